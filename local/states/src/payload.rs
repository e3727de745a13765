//! A JSON value with its text, shared by everything that refers to it.

use std::sync::Arc;

use serde_json::Value;

/// Inputs and outputs of executions, states and tasks are at most this long (Step Functions quotas: 256 KiB of UTF-8).
pub(crate) const LONGEST_PAYLOAD: usize = 262_144;

/// An immutable value. The text is made once: history, size check and API all want it.
#[derive(Debug, Clone)]
pub(crate) struct Payload(Arc<(Value, Box<str>)>);

impl Payload {
    pub(crate) fn new(value: Value) -> Self {
        let text = value.to_string().into_boxed_str();
        Self(Arc::new((value, text)))
    }

    /// With the text as it came.
    pub(crate) fn with_text(value: Value, text: &str) -> Self {
        Self(Arc::new((value, text.into())))
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0.0
    }

    pub(crate) fn text(&self) -> &str {
        &self.0.1
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.0.1.len() > LONGEST_PAYLOAD
    }
}
