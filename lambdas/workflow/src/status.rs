//! What became of one query: the small object `status/<query>.json` that each query has for itself, so that no object
//! grows with the number of queries and no two writers meet.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a query stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Not started.
    Initial,
    /// Started, its end is not known yet.
    Running,
    /// Ended well; its result is complete in S3.
    Finished,
    /// Its SQL or the way to it failed.
    Failed,
    /// Stopped: its time limit, a person, or the end of the run.
    Aborted,
    /// Not run: configured off, or something it depends on did not finish.
    Skipped,
}

impl State {
    /// All, in the order in which counts are shown.
    pub const ALL: [Self; 6] =
        [Self::Initial, Self::Running, Self::Finished, Self::Failed, Self::Aborted, Self::Skipped];

    /// As documents spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "INITIAL",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// Why a query did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The error's name, as a state's `Catch` sees it: `Redshift.Syntax`, `States.Timeout`, `DependencyFailed`.
    pub name: String,
    /// The text, for SQL the database's own.
    pub message: String,
    /// The class that the tasker read from the text (`Syntax`, `Other`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Whether the tasker holds that the same request may succeed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transient: Option<bool>,
}

/// The name of the error of a query that was not run because of another.
pub const DEPENDENCY_FAILED: &str = "DependencyFailed";
/// The name of the error of a query that is configured off, or depends on one that is.
pub const CONFIGURED_OFF: &str = "ConfiguredOff";
/// The name of the error of a query whose execution ended without saying how.
pub const STATUS_MISSING: &str = "StatusMissing";

/// Errors that no other try can change. Everything else is tried again in the next round: what is not known to be
/// permanent may pass, and a round costs little. `OutcomeUnknown` is among them because the SQL may have run.
pub const PERMANENT: [&str; 16] = [
    "Redshift.Syntax",
    "Redshift.UndefinedObject",
    "Redshift.Permission",
    "InvalidRequest",
    "IdempotencyConflict",
    "StatementNotFound",
    "ScriptNotFound",
    "AccessDenied",
    "ValidationFailed",
    "TargetNotFound",
    "ServiceRefused",
    "SealBroken",
    "Configuration",
    "OutcomeUnknown",
    "ResultTooLarge",
    "RowCountMismatch",
];

impl Failure {
    /// Reads what a state's `Catch` gives: the error's name and its Cause, which is the tasker's JSON
    /// (`{error, class, transient, …}`), Lambda's (`{errorMessage, …}`) or plain text.
    #[must_use]
    pub fn read(error: &str, cause: &str) -> Self {
        let mut failure = Self { name: error.to_owned(), message: cause.to_owned(), class: None, transient: None };
        if let Ok(Value::Object(cause)) = serde_json::from_str::<Value>(cause) {
            let text = |field: &str| cause.get(field).and_then(Value::as_str).map(str::to_owned);
            if let Some(message) = text("error").or_else(|| text("errorMessage")) {
                failure.message = message;
            }
            failure.class = text("class");
            failure.transient = cause.get("transient").and_then(Value::as_bool);
        }
        failure
    }

    /// Whether another try makes no sense. The class decides where the name is the compatible `FAILED`.
    #[must_use]
    pub fn permanent(&self) -> bool {
        if self.transient == Some(true) {
            return false;
        }
        let by_class = self.class.as_ref().is_some_and(|class| {
            PERMANENT.iter().any(|name| name.strip_prefix("Redshift.").is_some_and(|known| known == class))
        });
        by_class || PERMANENT.contains(&self.name.as_str())
    }
}

/// The object `status/<query>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The query.
    pub query: String,
    /// Where it stands.
    pub status: State,
    /// The round in which that happened; the first is 1, 0 stands for before it.
    pub round: u8,
    /// The tasker's attempt at the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// The Data API's id of the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_id: Option<String>,
    /// The execution that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_arn: Option<String>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Rows of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long the statement ran on Redshift, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it did not finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl Status {
    /// A status that says nothing yet but where the query stands.
    #[must_use]
    pub fn new(query: &str, status: State, round: u8) -> Self {
        Self {
            query: query.to_owned(),
            status,
            round,
            attempt: None,
            statement_id: None,
            execution_arn: None,
            started_at: None,
            ended_at: None,
            rows: None,
            bytes: None,
            duration_ms: None,
            error: None,
        }
    }

    /// Takes over what the answer to the task says of the statement: `statementId`, `attempt`, `executionArn`, `rows`,
    /// `bytes`, `durationMs`. It stands in a success's output and in a failure's Cause alike; what is absent or -1 stays.
    #[must_use]
    pub fn with_answer(mut self, answer: &Value) -> Self {
        let number = |field: &str| answer.get(field).and_then(Value::as_u64);
        let text = |field: &str| answer.get(field).and_then(Value::as_str).map(str::to_owned);
        self.attempt = number("attempt").or(self.attempt);
        self.statement_id = text("statementId").or(self.statement_id);
        self.execution_arn = text("executionArn").or(self.execution_arn);
        self.rows = number("rows").or(self.rows);
        self.bytes = number("bytes").or(self.bytes);
        self.duration_ms = number("durationMs").or(self.duration_ms);
        self
    }

    /// With the failure.
    #[must_use]
    pub fn with_error(mut self, error: Failure) -> Self {
        self.error = Some(error);
        self
    }

    /// With start and end.
    #[must_use]
    pub fn with_times(mut self, started_at: Option<DateTime<Utc>>, ended_at: Option<DateTime<Utc>>) -> Self {
        self.started_at = started_at;
        self.ended_at = ended_at;
        self
    }
}
