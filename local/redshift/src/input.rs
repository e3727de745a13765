//! The members of a request, checked as the service model says (redshift-data 2019-12-20). Must never let a member pass
//! that nothing reads: an unknown one is refused by name.

use crate::ApiError;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A request's members.
pub(crate) struct Input<'a> {
    members: &'a Map<String, Value>,
}

/// What a string member may look like.
pub(crate) struct Text {
    min: usize,
    max: usize,
    pattern: Option<Pattern>,
}

/// A pattern of the model, and what decides whether a text matches it.
struct Pattern(&'static str, fn(&str) -> bool);

/// A string without constraints.
pub(crate) const ANY: Text = Text { min: 0, max: usize::MAX, pattern: None };
/// `UUID`: an id, with `:n` for one statement of a batch.
pub(crate) const UUID: Text = Text {
    min: 0,
    max: usize::MAX,
    pattern: Some(Pattern(r"^[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}(:\d{0,2})?$", is_uuid)),
};
/// `ClusterIdentifierString`.
pub(crate) const CLUSTER: Text =
    Text { min: 1, max: 63, pattern: Some(Pattern(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", is_cluster)) };
/// `WorkgroupNameString`.
pub(crate) const WORKGROUP: Text =
    Text { min: 3, max: 128, pattern: Some(Pattern(r"^[a-z0-9-]{3,63}$ or a workgroup ARN", is_workgroup)) };
/// `StatementNameString`.
pub(crate) const STATEMENT_NAME: Text = Text { min: 0, max: 2048, pattern: None };
/// `ClientToken`.
pub(crate) const CLIENT_TOKEN: Text = Text { min: 1, max: 64, pattern: None };
/// `ParameterName`.
const PARAMETER_NAME: Text =
    Text { min: 0, max: usize::MAX, pattern: Some(Pattern(r"^[0-9a-zA-Z_]+$", is_parameter_name)) };
/// `ParameterValue`: neither NULL nor the empty string.
const PARAMETER_VALUE: Text = Text { min: 1, max: usize::MAX, pattern: None };

fn is_uuid(text: &str) -> bool {
    let (id, part) = text.split_once(':').unwrap_or((text, ""));
    let groups: Vec<&str> = id.split('-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        && part.len() <= 2
        && part.bytes().all(|b| b.is_ascii_digit())
}

fn is_cluster(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn is_workgroup(text: &str) -> bool {
    if let Some(arn) = text.strip_prefix("arn:") {
        return arn.contains(":redshift-serverless:") && arn.contains(":workgroup/");
    }
    (3..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_parameter_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `Sql` becomes `sql`: how the service names a member in a validation message.
fn path(member: &str) -> String {
    let mut chars = member.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn constraint(value: &str, path: &str, rule: &str) -> ApiError {
    ApiError::validation(format!(
        "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: {rule}"
    ))
}

fn check(text: &str, path: &str, rule: &Text) -> Result<(), ApiError> {
    let length = text.chars().count();
    // The value is quoted only where it is short and no SQL: messages end up in logs.
    let shown = if rule.pattern.is_some() && length <= 200 { text } else { "…" };
    if length < rule.min {
        return Err(constraint(text, path, &format!("Member must have length greater than or equal to {}", rule.min)));
    }
    if length > rule.max {
        return Err(constraint(shown, path, &format!("Member must have length less than or equal to {}", rule.max)));
    }
    match &rule.pattern {
        Some(Pattern(pattern, matches)) if !matches(text) => {
            Err(constraint(shown, path, &format!("Member must satisfy regular expression pattern: {pattern}")))
        }
        _ => Ok(()),
    }
}

impl<'a> Input<'a> {
    /// Reads `body`, which may have the members `known` only.
    pub(crate) fn new(body: &'a Value, operation: &str, known: &[&str]) -> Result<Self, ApiError> {
        let members = body
            .as_object()
            .ok_or_else(|| ApiError::new("SerializationException", 400, "the body of a request is a JSON object"))?;
        if let Some(unknown) = members.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(ApiError::validation(format!(
                "the local Data API does not support the member {unknown} of {operation}"
            )));
        }
        Ok(Self { members })
    }

    fn get(&self, member: &str) -> Option<&'a Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    fn wrong_type(member: &str, wanted: &str) -> ApiError {
        ApiError::new("SerializationException", 400, format!("{member} must be {wanted}"))
    }

    pub(crate) fn has(&self, member: &str) -> bool {
        self.get(member).is_some()
    }

    pub(crate) fn text(&self, member: &str, rule: &Text) -> Result<Option<&'a str>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| Self::wrong_type(member, "a string"))?;
        check(text, &path(member), rule)?;
        Ok(Some(text))
    }

    pub(crate) fn required_text(&self, member: &str, rule: &Text) -> Result<&'a str, ApiError> {
        self.text(member, rule)?.ok_or_else(|| Self::missing(member))
    }

    fn missing(member: &str) -> ApiError {
        let path = path(member);
        ApiError::validation(format!(
            "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must not be null"
        ))
    }

    pub(crate) fn boolean(&self, member: &str) -> Result<Option<bool>, ApiError> {
        self.get(member).map(|v| v.as_bool().ok_or_else(|| Self::wrong_type(member, "a boolean"))).transpose()
    }

    /// An integer within these bounds.
    pub(crate) fn integer(&self, member: &str, bounds: RangeInclusive<i64>) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| Self::wrong_type(member, "an integer"))?;
        let rule = if number > *bounds.end() {
            format!("less than or equal to {}", bounds.end())
        } else if number < *bounds.start() {
            format!("greater than or equal to {}", bounds.start())
        } else {
            return Ok(u64::try_from(number).ok());
        };
        Err(constraint(&number.to_string(), &path(member), &format!("Member must have value {rule}")))
    }

    /// `WaitTimeSeconds`: how long the answer may wait for the statement's end, 1 to 30 seconds.
    pub(crate) fn wait_time(&self) -> Result<Option<Duration>, ApiError> {
        Ok(self.integer("WaitTimeSeconds", 1..=30)?.map(Duration::from_secs))
    }

    /// `NextToken`; an empty one is none.
    pub(crate) fn next_token(&self) -> Result<Option<&'a str>, ApiError> {
        Ok(self.text("NextToken", &ANY)?.filter(|token| !token.is_empty()))
    }

    /// `MaxResults`; 0 is none.
    pub(crate) fn max_results(&self, most: i64) -> Result<Option<usize>, ApiError> {
        Ok(self.integer("MaxResults", 0..=most)?.filter(|most| *most > 0).and_then(|most| usize::try_from(most).ok()))
    }

    /// One of `values`.
    pub(crate) fn one_of(&self, member: &str, values: &[&str]) -> Result<Option<&'a str>, ApiError> {
        let Some(text) = self.text(member, &ANY)? else { return Ok(None) };
        if values.contains(&text) {
            return Ok(Some(text));
        }
        let rule = format!("Member must satisfy enum value set: [{}]", values.join(", "));
        Err(constraint(text, &path(member), &rule))
    }

    /// `Sqls`.
    pub(crate) fn texts(&self, member: &str, max: usize) -> Result<Vec<&'a str>, ApiError> {
        let value = self.get(member).ok_or_else(|| Self::missing(member))?;
        let list = value.as_array().ok_or_else(|| Self::wrong_type(member, "a list"))?;
        let length = |rule: String| {
            let size = list.len();
            ApiError::validation(format!(
                "1 validation error detected: Value at '{}' with {size} members failed to satisfy constraint: {rule}",
                path(member)
            ))
        };
        if list.is_empty() {
            return Err(length("Member must have length greater than or equal to 1".to_owned()));
        }
        if list.len() > max {
            return Err(length(format!("Member must have length less than or equal to {max}")));
        }
        list.iter().map(|v| v.as_str().ok_or_else(|| Self::wrong_type(member, "a list of strings"))).collect()
    }

    /// `Parameters`: names and values.
    pub(crate) fn parameters(&self) -> Result<Vec<(String, String)>, ApiError> {
        let Some(value) = self.get("Parameters") else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| Self::wrong_type("Parameters", "a list"))?;
        if list.is_empty() {
            let rule = "Member must have length greater than or equal to 1";
            return Err(constraint("[]", "parameters", rule));
        }
        let mut parameters: Vec<(String, String)> = Vec::with_capacity(list.len());
        for (index, entry) in list.iter().enumerate() {
            let entry = entry.as_object().ok_or_else(|| Self::wrong_type("Parameters", "a list of structures"))?;
            if let Some(unknown) = entry.keys().find(|key| !matches!(key.as_str(), "name" | "value")) {
                return Err(ApiError::validation(format!(
                    "the local Data API does not support the member {unknown} of SqlParameter"
                )));
            }
            let member = |name: &str, rule: &Text| {
                let path = format!("parameters.{}.member.{name}", index + 1);
                match entry.get(name) {
                    None | Some(Value::Null) => Err(ApiError::validation(format!(
                        "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must \
                         not be null"
                    ))),
                    Some(Value::String(text)) => check(text, &path, rule).map(|()| text.clone()),
                    Some(_) => Err(Self::wrong_type(&path, "a string")),
                }
            };
            let (name, value) = (member("name", &PARAMETER_NAME)?, member("value", &PARAMETER_VALUE)?);
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(ApiError::validation(format!("Parameters list contains duplicate parameters: [{name}]")));
            }
            parameters.push((name, value));
        }
        Ok(parameters)
    }
}
