//! Reads single fields of a request, each problem by field, problem and what is allowed. Messages show names and kinds, never
//! a value that could be SQL or a secret.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Error;
use crate::request::{Format, Source};

const SOURCES: &str = "exactly one of sqlStatement, sqlStatements and scriptKey";

pub(crate) struct Fields<'a> {
    pub(crate) object: &'a Map<String, Value>,
    /// CloudFormation sends every value as text.
    pub(crate) strings: bool,
}

impl Fields<'_> {
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Error> {
        match self.object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(Error::invalid(short(unknown), "is unknown here", known.join(", "))),
            None => Ok(()),
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.object.get(name).filter(|v| !v.is_null())
    }

    /// Text of 1 to `longest` characters. JSON null counts as absent.
    pub(crate) fn text(&self, name: &str, longest: usize) -> Result<Option<String>, Error> {
        let allowed = || format!("text of 1 to {longest} characters");
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Err(Error::invalid(name, "is empty", allowed())),
            Some(Value::String(text)) if text.chars().count() > longest => {
                Err(Error::invalid(name, "is too long", allowed()))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(Error::invalid(name, format!("is {}", kind(other)), allowed())),
        }
    }

    pub(crate) fn arn(&self, name: &str) -> Result<Option<String>, Error> {
        let arn = self.text(name, 2_048)?;
        match &arn {
            Some(arn)
                if !(arn.starts_with("arn:")
                    && arn.contains(":states:")
                    && (arn.contains(":execution:") || arn.contains(":express:"))) =>
            {
                Err(Error::invalid(name, "is no execution's ARN", "$$.Execution.Id of the state machine"))
            }
            _ => Ok(()),
        }?;
        Ok(arn)
    }

    pub(crate) fn choice<'c>(&self, name: &str, choices: &[&'c str]) -> Result<Option<&'c str>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => match choices.iter().find(|c| value.as_str() == Some(c)) {
                Some(choice) => Ok(Some(choice)),
                None => Err(Error::invalid(name, format!("is {}", shown(value)), choices.join(", "))),
            },
        }
    }

    pub(crate) fn format(&self) -> Result<Option<Format>, Error> {
        Ok(self.choice("resultFormat", &["JSON", "CSV"])?.map(|f| if f == "CSV" { Format::Csv } else { Format::Json }))
    }

    pub(crate) fn integer(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Error> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::String(text)) if self.strings => text.parse().ok(),
            Some(value) => value.as_u64(),
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(Error::invalid(name, "is no such number", format!("a whole number from {least} to {most}"))),
        }
    }

    pub(crate) fn source(&self) -> Result<Source, Error> {
        let text = self.value("sqlStatement");
        let list = self.value("sqlStatements");
        let key = self.value("scriptKey");
        match (text, list, key) {
            (Some(Value::String(text)), None, None) => Ok(Source::Text(text.clone())),
            (Some(other), None, None) => Err(Error::invalid("sqlStatement", format!("is {}", kind(other)), "text")),
            (None, Some(Value::Array(entries)), None) => {
                let texts: Option<Vec<String>> = entries.iter().map(|e| e.as_str().map(str::to_owned)).collect();
                texts.map(Source::List).ok_or_else(|| {
                    Error::invalid("sqlStatements", "holds something other than text", "a list of 1 to 40 texts")
                })
            }
            (None, Some(other), None) => {
                Err(Error::invalid("sqlStatements", format!("is {}", kind(other)), "a list of 1 to 40 texts"))
            }
            (None, None, Some(_)) => match self.text("scriptKey", 1_024)? {
                Some(key) => Ok(Source::Script(key)),
                None => Err(Error::invalid("scriptKey", "is missing", SOURCES)),
            },
            (None, None, None) => Err(Error::invalid("sqlStatement", "is missing", SOURCES)),
            (Some(_), Some(_), _) => Err(Error::invalid("sqlStatements", "stands beside sqlStatement", SOURCES)),
            (_, _, Some(_)) => Err(Error::invalid("scriptKey", "stands beside other SQL", SOURCES)),
        }
    }

    /// An object of name and value, or the API's list of `{name, value}`. Numbers and booleans become text, as the API
    /// takes text only and casts it.
    pub(crate) fn parameters(&self) -> Result<BTreeMap<String, String>, Error> {
        let allowed = "an object of names and values, or a list of {name, value}";
        let pairs: Vec<(String, &Value)> = match self.value("parameters") {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(object)) => object.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Some(Value::Array(list)) => {
                let mut pairs = Vec::new();
                for (index, entry) in list.iter().enumerate() {
                    let path = format!("parameters[{index}]");
                    let Some(object) = entry.as_object() else {
                        return Err(Error::invalid(path, format!("is {}", kind(entry)), "{name, value}"));
                    };
                    if let Some(unknown) = object.keys().find(|k| !["name", "value"].contains(&k.as_str())) {
                        return Err(Error::invalid(format!("{path}.{}", short(unknown)), "is unknown", "name, value"));
                    }
                    let Some(name) = object.get("name").and_then(Value::as_str) else {
                        return Err(Error::invalid(
                            format!("{path}.name"),
                            "is missing or no text",
                            "a parameter's name",
                        ));
                    };
                    pairs.push((name.to_owned(), object.get("value").unwrap_or(&Value::Null)));
                }
                pairs
            }
            Some(other) => {
                return Err(Error::invalid("parameters", format!("is {}", kind(other)), allowed));
            }
        };
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            let path = format!("parameters.{}", short(&name));
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(Error::invalid(path, "is no parameter name", "letters, digits and underscores"));
            }
            let text = match value {
                Value::String(text) if text.is_empty() => {
                    return Err(Error::invalid(
                        path,
                        "is empty",
                        "at least 1 character: the Data API takes no empty value; write '' in the SQL",
                    ));
                }
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Null => {
                    return Err(Error::invalid(
                        path,
                        "is null",
                        "a value: the Data API takes no NULL as a parameter; write NULL in the SQL",
                    ));
                }
                other => {
                    return Err(Error::invalid(path, format!("is {}", kind(other)), "text, a number or a boolean"));
                }
            };
            if parameters.insert(name, text).is_some() {
                return Err(Error::invalid(path, "is given twice", "each name once"));
            }
        }
        Ok(parameters)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A choice's value for a message: a short word as it stands, never a longer text that could be anything.
fn shown(value: &Value) -> String {
    value.as_str().filter(|t| t.len() <= 32).map_or_else(|| kind(value).to_owned(), |t| format!("{t:?}"))
}

/// A field or action name, cut: it comes from outside.
pub(crate) fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

pub(crate) fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 5
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, n)| part.len() == n && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

pub(crate) fn is_statement_id(text: &str) -> bool {
    match text.split_once(':') {
        None => is_uuid(text),
        Some((id, index)) => is_uuid(id) && index.len() <= 2 && index.bytes().all(|b| b.is_ascii_digit()),
    }
}
