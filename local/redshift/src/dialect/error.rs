//! Redshift's words for errors: those the rewriter raises itself and those PostgreSQL answers with.
//! Must never contain SQL text beyond what PostgreSQL itself quotes in its message.

use super::refusal::UNKNOWN_MARK;

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
/// statement, which some of Redshift's texts carry. Sources: facts on error texts (E.1, E.2).
#[must_use]
pub fn error_text(error: &ServerError, query: i64) -> String {
    let message = error.message.replace(UNKNOWN_MARK, "");
    let hint = error.hint.as_deref().unwrap_or_default();
    let context = error.context.as_deref().unwrap_or_default();
    let mut text = format!("ERROR: {}", words(error, &message, query));
    if let Some(block) = block(error, &message, query) {
        text.push_str(&block);
        return text;
    }
    match error.code.as_str() {
        "40001" => {
            text.push_str(
                " DETAIL: Serializable isolation violation on table - 0, transactions forming the cycle are: 0, 0 (pid:0)",
            );
        }
        "40P01" => {
            if let Some(detail) = &error.detail {
                text.push_str(&format!("\n  Detail: {detail}"));
            }
        }
        "2D000"
            if context.contains("truncate_commit")
                || context.contains(" at COMMIT")
                || context.contains(" at ROLLBACK") =>
        {
            text.push_str("\n  Hint: Try calling the procedure as a top-level call i.e. not from within an explicit transaction block. Or, if this procedure (or one of its ancestors in the call chain) was created with SET config options, recreate the procedure without them.");
        }
        "42883" => {
            let what = ["operator", "procedure", "aggregate"].into_iter().find(|what| message.starts_with(what));
            let what = what.unwrap_or("function");
            text.push_str(&format!(
                "\n  Hint: No {what} matches the given name and argument types. You may need to add explicit type casts."
            ));
        }
        "2BP01" => text.push_str("\n  Hint: Use DROP ... CASCADE to drop the dependent objects too."),
        _ if !hint.is_empty() && error.code.starts_with("P0") => text.push_str(&format!("\n  Hint: {hint}")),
        _ => {}
    }
    let lines: Vec<&str> = context
        .lines()
        .filter(|line| !line.contains("redshift_catalog") && !line.contains("inline_code_block"))
        .collect();
    if !lines.is_empty() {
        text.push_str(&format!("\n  Where: {}", lines.join("\n")));
    }
    text
}

/// Redshift's primary message.
fn words(error: &ServerError, message: &str, query: i64) -> String {
    match error.code.as_str() {
        // Cancelled by the user and stopped by statement_timeout read the same.
        "57014" => format!("Query ({query}) cancelled on user's request"),
        "22001" => "Value too long for character type".to_owned(),
        "22012" => "Divide by zero".to_owned(),
        "40001" => "1023".to_owned(),
        "53100" => "Disk Full".to_owned(),
        "23502" => match (&error.column, message.split('"').nth(1)) {
            (Some(column), _) => format!("Cannot insert a NULL value into column {column}"),
            (None, Some(column)) => format!("Cannot insert a NULL value into column {column}"),
            (None, None) => message.to_owned(),
        },
        "21000" if message.starts_with("MERGE command cannot affect row a second time") => {
            "Found multiple matches to update the same tuple.".to_owned()
        }
        "428C9" => "cannot set an identity column to a value".to_owned(),
        "2D000" => {
            let context = error.context.as_deref().unwrap_or_default();
            let command = if context.contains("truncate_commit") {
                "TRUNCATE"
            } else if context.contains(" at ROLLBACK") {
                "ROLLBACK"
            } else {
                "COMMIT"
            };
            format!("{command} cannot be invoked from a procedure that is executing in an atomic context.")
        }
        "22003" if message.contains("numeric field overflow") || message.contains("overflows numeric") => {
            "Numeric data overflow (result precision)".to_owned()
        }
        "42P07" => match message.strip_prefix("relation ") {
            Some(rest) => format!("Relation {rest}"),
            None => message.to_owned(),
        },
        // A key that is not enforced cannot be violated; what is left are PostgreSQL's own catalogs.
        "42501" => message
            .replace("permission denied for table ", "permission denied for relation ")
            .replace("permission denied for view ", "permission denied for relation ")
            .replace("permission denied for sequence ", "permission denied for relation ")
            .replace("permission denied for materialized view ", "permission denied for relation ")
            .replace("must be owner of table ", "must be owner of relation ")
            .replace("must be owner of view ", "must be owner of relation ")
            .replace("must be owner of materialized view ", "must be owner of relation "),
        "42704" if message.starts_with("role \"") => message.replacen("role", "user", 1),
        "42883" => without_schema(&unknown_types(message)),
        "53300" if message.contains("remaining connection slots") || message.contains("too many clients") => {
            "connection limit \"500\" exceeded for non-bootstrap users".to_owned()
        }
        "22P02" | "22007" => bad_literal(message),
        "0A000" => message.replace("merge-joinable or hash-joinable", "merge-joinable"),
        _ => without_schema(message),
    }
}

/// `invalid input syntax for type integer: "x"` lost its `type` in PostgreSQL 8.0's wording.
fn bad_literal(message: &str) -> String {
    match message.strip_prefix("invalid input syntax for type ") {
        Some(rest) => format!("invalid input syntax for {rest}"),
        None => message.to_owned(),
    }
}

/// PostgreSQL 8.0 quotes the type of an untyped literal.
fn unknown_types(message: &str) -> String {
    message.replace("(unknown", "(\"unknown\"").replace(", unknown", ", \"unknown\"")
}

/// Redshift's own functions are in `pg_catalog`.
fn without_schema(message: &str) -> String {
    message.replace("redshift_catalog.", "pg_catalog.")
}

/// The block that compute nodes add below the message.
fn block(error: &ServerError, message: &str, query: i64) -> Option<String> {
    let (title, code, context, location) = match error.code.as_str() {
        "22001" => {
            let context = message.replacen("value", "Value", 1);
            ("Value too long for character type", "8001", context, Some("funcs_string.hpp:392"))
        }
        "23502" => {
            let column = words(error, message, query);
            return Some(details(&column, "8001", &column, query, None));
        }
        "22003" if message.contains("numeric field overflow") || message.contains("overflows numeric") => {
            ("Numeric data overflow (result precision)", "1058", "128 bit overflow".to_owned(), None)
        }
        "53100" => ("Disk Full", "1016", "node: 0".to_owned(), Some("fdisk_api.cpp:345")),
        _ => return None,
    };
    Some(details(title, code, &context, query, location))
}

/// A failure on the compute nodes, with the block that they add below the message.
#[must_use]
pub fn compute_error(title: &str, code: &str, context: &str, query: i64) -> String {
    format!("ERROR: {title}{}", details(title, code, context, query, None))
}

/// A line whose content no source gives is left out.
fn details(title: &str, code: &str, context: &str, query: i64, location: Option<&str>) -> String {
    let rule = "  -----------------------------------------------";
    let location = location.map(|location| format!("  location:  {location}\n")).unwrap_or_default();
    format!(
        "\n  Detail: \n{rule}\n  error:  {title}\n  code:      {code}\n  context:   {context}\n  query:     {query}\n\
         {location}{rule}"
    )
}

impl Error {
    /// A syntax error (42601).
    pub(super) fn syntax(message: impl Into<String>) -> Self {
        Self { code: "42601", message: message.into() }
    }

    /// `syntax error at or near "…"`.
    pub(super) fn near(token: &str) -> Self {
        Self::syntax(format!("syntax error at or near \"{token}\""))
    }

    /// Something Redshift refuses (0A000).
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { code: "0A000", message: message.into() }
    }

    /// Something Redshift runs and this stand-in cannot: the construct is named.
    pub(super) fn unable(construct: &str) -> Self {
        Self { code: "0A000", message: format!("{construct} is not supported by the local Redshift stand-in") }
    }
}
