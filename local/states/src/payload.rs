//! A JSON value with its text, shared by everything that refers to it.

use std::sync::Arc;

use serde_json::Value;

/// Inputs and outputs of executions, states and tasks are at most this long (Step Functions quotas: 256 KiB of UTF-8).
pub(crate) const LONGEST_PAYLOAD: usize = 262_144;

/// Values nest at most this deep; deeper ones would put the stack of whoever walks them at risk. AWS's own JSON library
/// has a limit of the same size.
pub(crate) const DEEPEST_PAYLOAD: usize = 1_000;

/// Whether a value nests too deep. Looks no deeper than that itself.
pub(crate) fn is_too_deep(value: &Value) -> bool {
    fn deeper(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(items) => left == 0 || items.iter().any(|value| deeper(value, left - 1)),
            Value::Object(members) => left == 0 || members.values().any(|value| deeper(value, left - 1)),
            _ => false,
        }
    }
    deeper(value, DEEPEST_PAYLOAD)
}

/// About how many bytes a value takes, as text.
pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 2,
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + 4 + weight(value)).sum::<usize>() + 2,
        _ => 4,
    }
}

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

    pub(crate) fn is_too_deep(&self) -> bool {
        is_too_deep(self.value())
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.0.1.len() > LONGEST_PAYLOAD
    }
}
