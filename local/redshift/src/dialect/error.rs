//! Redshift's words for errors: those the rewriter raises itself and those PostgreSQL answers with.
//! Must never contain SQL text beyond what PostgreSQL itself quotes in its message.

/// A statement that fails before it reaches PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ERROR: {message}")]
pub struct Error {
    /// SQLSTATE, for example `42601`.
    pub code: &'static str,
    /// The message without the leading `ERROR: `; `to_string` gives the whole as `DescribeStatement.Error` shows it.
    pub message: String,
}

/// The fields of a PostgreSQL error response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `ERROR`, `FATAL`, …
    pub severity: String,
    /// SQLSTATE.
    pub code: String,
    /// Primary message.
    pub message: String,
    /// Detail, if any.
    pub detail: Option<String>,
    /// Hint, if any.
    pub hint: Option<String>,
    /// Call stack of procedures, if any.
    pub context: Option<String>,
    /// Table named by a constraint or data error, if any.
    pub table: Option<String>,
    /// Column named by a constraint or data error, if any.
    pub column: Option<String>,
}

/// The text that `DescribeStatement.Error` shows for a PostgreSQL error. `query` is the Redshift query id of the
/// statement, which some of Redshift's texts carry.
#[must_use]
pub fn error_text(error: &ServerError, query: i64) -> String {
    let _ = query;
    format!("ERROR: {}", error.message)
}
