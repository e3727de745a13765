//! Reads the members of a request, so that a member which no code read is refused by name instead of ignored.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::ApiError;

/// The members of one request, and which of them were read.
pub(crate) struct Request<'a> {
    service: &'static str,
    operation: &'a str,
    map: &'a Map<String, Value>,
    read: BTreeSet<&'static str>,
}

impl<'a> Request<'a> {
    /// The request for this operation.
    ///
    /// # Errors
    /// `SerializationException` when the body is no JSON object.
    pub(crate) fn of(service: &'static str, operation: &'a str, body: &'a Value) -> Result<Self, ApiError> {
        let Value::Object(map) = body else {
            return Err(ApiError::new(400, "SerializationException", "the body must be a JSON object"));
        };
        Ok(Self { service, operation, map, read: BTreeSet::new() })
    }

    /// A member as it is; JSON null is the same as absent.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.read.insert(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A member of the wrong type.
    pub(crate) fn wrong_type(&self, name: &str, wanted: &str) -> ApiError {
        ApiError::new(400, "SerializationException", format!("{name} must be {wanted}"))
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong_type(name, "a string")),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// `ValidationException` in the words that AWS's validation uses.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<&'a str, ApiError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<i64>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| self.wrong_type(name, "a whole number")),
        }
    }

    /// A list; absent is empty.
    pub(crate) fn list(&mut self, name: &'static str) -> Result<&'a [Value], ApiError> {
        match self.value(name) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.wrong_type(name, "a list")),
        }
    }

    /// A map of texts; absent is empty.
    pub(crate) fn texts(&mut self, name: &'static str) -> Result<BTreeMap<String, String>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(BTreeMap::new());
        };
        let wrong = || self.wrong_type(name, "a map of strings");
        value
            .as_object()
            .ok_or_else(wrong)?
            .iter()
            .map(|(key, value)| Ok((key.clone(), value.as_str().ok_or_else(wrong)?.to_owned())))
            .collect()
    }

    /// Bytes, which travel as base64.
    pub(crate) fn bytes(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        STANDARD.decode(text).map(Some).map_err(|_| self.wrong_type(name, "base64"))
    }

    /// Refuses members that nothing read.
    ///
    /// # Errors
    /// Names the first one.
    pub(crate) fn end(&self) -> Result<(), ApiError> {
        match self.map.iter().find(|(name, value)| !value.is_null() && !self.read.contains(name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                Err(ApiError::not_implemented(self.service, &format!("member {name} of {}", self.operation)))
            }
        }
    }
}

/// The answer when a member is missing.
pub(crate) fn missing(name: &str) -> ApiError {
    let mut member = name.chars();
    let member: String = member.next().into_iter().flat_map(char::to_lowercase).chain(member).collect();
    ApiError::new(
        400,
        "ValidationException",
        format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ),
    )
}
