//! What conditions see of a request: keys with one or more values.
//!
//! Names of keys are not case-sensitive (IAM guide, "IAM JSON policy elements: Condition").

use std::collections::BTreeMap;

/// The context of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// By name in lower case.
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// Without any key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a key its one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    /// Adds a value to a key of several.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.values.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// The same with one more key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set(key, value);
        self
    }

    /// The values of a key; none when the request does not have it.
    pub fn get(&self, key: &str) -> &[String] {
        self.values.get(&key.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The value of a key that has exactly one, as a policy variable needs it.
    pub(crate) fn single(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Takes over every key of another context.
    pub fn extend(&mut self, other: &Self) {
        self.values.extend(other.values.iter().map(|(key, values)| (key.clone(), values.clone())));
    }
}
