//! What the environment sets for the functions, as plain data. Where it is read stands in the crate `aws`.

use crate::target::Target;

/// Settings of all functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The root stack's name; begins every statement name.
    pub stack: String,
    /// Age from which the reconciler looks after an open row, in milliseconds.
    pub grace_ms: i64,
    /// Days that an ended row is kept.
    pub retention_days: u32,
}

/// What only the tasker is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskerSettings {
    /// Those of all functions.
    pub common: Settings,
    /// Where statements run.
    pub target: Target,
    /// Where a request may send them instead.
    pub allowed: Vec<Target>,
    /// Whether rows hold the SQL.
    pub audit_sql_text: bool,
}
