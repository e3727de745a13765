//! Reads resolved CloudFormation properties, so that a property which nobody read is refused by name.
//!
//! Must never ignore: [`Properties::end`] fails on what was not asked for.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::ApiError;

/// The properties of one resource, or a structure inside them, and which of them were read.
pub(crate) struct Properties<'a> {
    /// Where we are, for messages: `AWS::SQS::Queue`, `AWS::SQS::Queue RedrivePolicy`.
    path: String,
    map: Option<&'a Map<String, Value>>,
    read: BTreeSet<&'a str>,
}

impl<'a> Properties<'a> {
    /// The properties of a resource of this type.
    ///
    /// # Errors
    /// When they are no JSON object. Missing properties are an empty object.
    pub(crate) fn of(kind: &str, value: &'a Value) -> Result<Self, ApiError> {
        let map = match value {
            Value::Object(map) => Some(map),
            Value::Null => None,
            _ => {
                return Err(ApiError::new(400, "ValidationException", format!("{kind}: properties are no object")));
            }
        };
        Ok(Self { path: kind.to_owned(), map, read: BTreeSet::new() })
    }

    /// An error about one property.
    pub(crate) fn error(&self, name: &str, problem: &str) -> ApiError {
        ApiError::new(400, "ValidationException", format!("{}: property {name} {problem}", self.path))
    }

    /// A property as it is. JSON null is the same as absent, as after `AWS::NoValue`.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.read.insert(name);
        self.map?.get(name).filter(|value| !value.is_null())
    }

    /// Properties that mean nothing on one machine (encryption at rest, tags): accepted, and not looked into.
    pub(crate) fn accept(&mut self, names: &[&'static str]) {
        self.read.extend(names);
    }

    /// A text; numbers and booleans count as text, as in templates.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => Err(self.error(name, "must be a text")),
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| self.error(name, "is missing"))
    }

    /// A whole number between two bounds, also written as text, as parameters resolve to.
    pub(crate) fn number(&mut self, name: &'static str, least: u64, most: u64) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(self.error(name, &format!("must be a whole number from {least} to {most}, not {text}"))),
        }
    }

    /// A boolean, also written as text.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.error(name, "must be true or false")),
        }
    }

    /// A list.
    pub(crate) fn list(&mut self, name: &'static str) -> Result<&'a [Value], ApiError> {
        match self.value(name) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.error(name, "must be a list")),
        }
    }

    /// A structure inside, to be read and ended on its own.
    pub(crate) fn inside(&mut self, name: &'static str) -> Result<Option<Properties<'a>>, ApiError> {
        let path = format!("{} {name}", self.path);
        self.value(name).map(|value| Properties::of(&path, value)).transpose()
    }

    /// Refuses what was not read.
    ///
    /// # Errors
    /// Names the first unknown property.
    pub(crate) fn end(self) -> Result<(), ApiError> {
        match self.map.into_iter().flat_map(Map::keys).find(|name| !self.read.contains(name.as_str())) {
            None => Ok(()),
            Some(name) => Err(ApiError::new(
                400,
                "ValidationException",
                format!("{}: property {name} is not known to the local cloud", self.path),
            )),
        }
    }
}

/// A JSON document in a property: an object, or its text.
pub(crate) fn json_document(value: &Value) -> Option<Value> {
    match value {
        Value::Object(_) => Some(value.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_read_is_refused_by_name() {
        let value = json!({"QueueName": "q", "Colour": "red"});
        let mut properties = Properties::of("AWS::SQS::Queue", &value).unwrap();
        assert_eq!(properties.required("QueueName").unwrap(), "q");
        let error = properties.end().unwrap_err();
        assert_eq!(error.message, "AWS::SQS::Queue: property Colour is not known to the local cloud");
    }

    #[test]
    fn numbers_may_be_text_and_have_bounds() {
        let value = json!({"Timeout": "30", "MemorySize": 1, "No": null});
        let mut properties = Properties::of("F", &value).unwrap();
        assert_eq!(properties.number("Timeout", 1, 900).unwrap(), Some(30));
        assert!(properties.number("MemorySize", 128, 10_240).unwrap_err().message.contains("MemorySize"));
        assert_eq!(properties.number("No", 1, 2).unwrap(), None);
    }
}
