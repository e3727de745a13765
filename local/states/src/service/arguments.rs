//! Reads the members of a call's body, and refuses what is missing, malformed or unknown.

use serde_json::{Map, Value};

use crate::ApiError;

/// The body of one call.
pub(super) struct Arguments<'a>(&'a Map<String, Value>);

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationException", message)
}

fn constraint(value: &str, member: &str, rule: &str) -> ApiError {
    invalid(format!("1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {rule}"))
}

impl<'a> Arguments<'a> {
    /// Takes a body with these members and no others.
    pub(super) fn new(body: &'a Value, known: &[&str]) -> Result<Self, ApiError> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let object = match body {
            Value::Object(object) => object,
            Value::Null => &EMPTY,
            _ => {
                return Err(ApiError::new("SerializationException", "The body must be a JSON object"));
            }
        };
        match object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(invalid(format!("'{unknown}' is not supported here"))),
            None => Ok(Self(object)),
        }
    }

    /// `null` counts as missing.
    pub(super) fn get(&self, member: &str) -> Option<&'a Value> {
        self.0.get(member).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, member: &str) -> Result<Option<&'a str>, ApiError> {
        match self.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::new("SerializationException", format!("'{member}' must be a string"))),
        }
    }

    pub(super) fn required(&self, member: &str) -> Result<&'a str, ApiError> {
        self.text(member)?.ok_or_else(|| constraint("null", member, "Member must not be null"))
    }

    /// Text of at most `most` characters.
    pub(super) fn bounded(&self, member: &str, most: usize) -> Result<Option<&'a str>, ApiError> {
        let text = self.text(member)?;
        match text {
            // The value itself is not repeated: it may be a token or an output.
            Some(text) if text.chars().count() > most => {
                Err(constraint("(too long)", member, &format!("Member must have length less than or equal to {most}")))
            }
            text => Ok(text),
        }
    }

    pub(super) fn flag(&self, member: &str, default: bool) -> Result<bool, ApiError> {
        match self.get(member) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(ApiError::new("SerializationException", format!("'{member}' must be a boolean"))),
        }
    }

    /// `includedData`: whether the data is wanted, or only what is about it.
    pub(super) fn included_data(&self) -> Result<bool, ApiError> {
        match self.text("includedData")? {
            None | Some("ALL_DATA") => Ok(true),
            Some("METADATA_ONLY") => Ok(false),
            Some(other) => Err(constraint(
                &format!("'{other}'"),
                "includedData",
                "Member must satisfy enum value set: [ALL_DATA, METADATA_ONLY]",
            )),
        }
    }

    /// `maxResults`: 0 and nothing mean 100, the most is 1,000.
    pub(super) fn max_results(&self) -> Result<usize, ApiError> {
        let Some(value) = self.get("maxResults") else {
            return Ok(100);
        };
        match value.as_i64() {
            Some(0) => Ok(100),
            Some(number) if number < 0 => {
                Err(constraint(&number.to_string(), "maxResults", "Member must have value greater than or equal to 0"))
            }
            Some(number) => usize::try_from(number).ok().filter(|number| *number <= 1000).ok_or_else(|| {
                constraint(&number.to_string(), "maxResults", "Member must have value less than or equal to 1000")
            }),
            None => Err(ApiError::new("SerializationException", "'maxResults' must be an integer")),
        }
    }

    /// A member that AWS has and this service does not, unless it says nothing.
    pub(super) fn refuse(&self, member: &str) -> Result<(), ApiError> {
        match self.get(member) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(_) => Err(invalid(format!("'{member}' is not supported here"))),
        }
    }
}

/// Names of machines and executions: 1 to 80 characters without blanks, brackets, wildcards, controls and special ones
/// (CreateStateMachine, "name").
pub(super) fn checked_name(name: &str) -> Result<&str, ApiError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "<>{}[]?*\"#%\\^|~`$&,;:/".contains(c);
    if name.is_empty() || name.chars().count() > 80 || name.contains(bad) {
        return Err(ApiError::new("InvalidName", format!("Invalid Name: '{name}'")));
    }
    Ok(name)
}

/// Whether this looks like an ARN of Step Functions with a resource of this kind.
pub(super) fn checked_arn<'a>(arn: &'a str, kind: &str) -> Result<&'a str, ApiError> {
    let parts: Vec<&str> = arn.split(':').collect();
    let fits = parts.len() >= 7 && parts[0] == "arn" && parts[2] == "states" && parts[5] == kind;
    if !fits {
        return Err(ApiError::new("InvalidArn", format!("Invalid Arn: '{arn}'")));
    }
    Ok(arn)
}
