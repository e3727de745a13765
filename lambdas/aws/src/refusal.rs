//! What the functions of a workflow raise: a stable name, whether trying again makes sense, and words.

use std::fmt;

use statement::Error;
use statement::ports::Failure;

use crate::runtime::Raise;

/// A refused invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    name: &'static str,
    transient: bool,
    message: String,
}

impl Refusal {
    /// A refusal for good: the same request will be refused again.
    pub fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, transient: false, message: message.into() }
    }

    /// The request names, misses or misspells a field.
    pub fn request(field: &str, problem: &str, allowed: &str) -> Self {
        Self::new("InvalidRequest", Error::invalid(field, problem, allowed).to_string())
    }
}

impl Raise for Refusal {
    fn name(&self) -> &'static str {
        self.name
    }

    fn transient(&self) -> bool {
        self.transient
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { name: error.name(), transient: error.transient(), message: error.to_string() }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Error::from(failure).into()
    }
}
