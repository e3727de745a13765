//! What is wrong with a definition, in the words of AWS where they are known.

use serde_json::{Value, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It refuses the definition.
    Error,
    /// It is accepted and probably not meant.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    /// Whether it refuses the definition.
    pub severity: Severity,
    /// AWS's code, for example `SCHEMA_VALIDATION_FAILED` or `MISSING_TRANSITION_TARGET`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where, as `/States/Name/Field`. AWS gives none for some findings.
    pub location: Option<String>,
}

impl Diagnostic {
    /// As `ValidateStateMachineDefinition` reports it.
    pub(crate) fn to_json(&self) -> Value {
        let severity = match self.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
        };
        let mut json = json!({ "severity": severity, "code": self.code, "message": self.message });
        if let Some(location) = &self.location {
            json["location"] = location.as_str().into();
        }
        json
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        // AWS writes "null" for a finding without a place.
        write!(f, " at {}", self.location.as_deref().unwrap_or("null"))
    }
}

/// Collects findings while a definition is read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The definition is for an Express machine, which has fewer kinds of tasks.
    pub express: bool,
    found: Vec<Diagnostic>,
}

impl Findings {
    pub(crate) fn of(express: bool) -> Self {
        Self { express, found: Vec::new() }
    }

    pub(crate) fn schema(&mut self, location: &str, message: impl Into<String>) {
        self.add("SCHEMA_VALIDATION_FAILED", Some(location), message);
    }

    pub(crate) fn add(&mut self, code: &'static str, location: Option<&str>, message: impl Into<String>) {
        self.found.push(Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            location: location.map(str::to_owned),
        });
    }

    pub(crate) fn warn(&mut self, code: &'static str, location: &str, message: impl Into<String>) {
        self.add(code, Some(location), message);
        if let Some(last) = self.found.last_mut() {
            last.severity = Severity::Warning;
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Diagnostic> {
        self.found
    }
}
