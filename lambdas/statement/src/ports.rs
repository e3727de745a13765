//! What the functions need from outside, as traits at the edge. Adapters stand in the crate `aws`; tests have one in
//! memory that can be cut off at any point.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::request::{Format, Mode};
use crate::row::{Lock, Row, Sealed};
use crate::target::Target;

/// A call that did not succeed. It never carries SQL, a token or a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {code}: {message}")]
pub struct Failure {
    /// Which service, such as `dynamodb`.
    pub service: &'static str,
    /// What it means for the caller.
    pub kind: FailureKind,
    /// The service's error code, or a short word of ours.
    pub code: String,
    /// The service's message.
    pub message: String,
}

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Too many calls; nothing was done.
    Throttled,
    /// The thing does not exist; nothing was done.
    NotFound,
    /// Rights are missing; nothing was done.
    Denied,
    /// Refused for another reason that will stay; nothing was done.
    Refused,
    /// The service could not be reached or says it is unavailable; nothing was done.
    Unavailable,
    /// No answer, or an answer that does not tell whether it was done.
    Unknown,
    /// A sealed secret does not open.
    Broken,
}

/// Result of a port.
pub type Outcome<T> = Result<T, Failure>;

/// What a conditional write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Written.
    Done,
    /// The row is not the one that was read.
    RowChanged,
    /// Another attempt holds the lock; the row was not written.
    LockHeld,
}

/// What a write does to a lock, in one transaction with the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockChange<'a> {
    /// Nothing.
    Leave,
    /// Take it if nobody, this very attempt, or the given stale holder has it.
    Take(&'a Lock, Option<&'a Lock>),
    /// Free it if this attempt has it; else leave it alone.
    Free(&'a Lock),
}

/// The table.
#[async_trait]
pub trait Rows: Send + Sync {
    /// Reads a row, strongly consistent.
    async fn get(&self, key: &str) -> Outcome<Option<Row>>;
    /// Writes a row if the table's has the revision just below, or none for revision 1.
    async fn put(&self, row: &Row, lock: LockChange<'_>) -> Outcome<Written>;
    /// Reads a lock, strongly consistent.
    async fn lock(&self, key: &str) -> Outcome<Option<Lock>>;
    /// Frees a lock if it is still the given one.
    async fn free(&self, lock: &Lock) -> Outcome<()>;
    /// Keys of open rows and locks of a shard that are open since before `before` (epoch ms), oldest first.
    async fn open(&self, shard: u8, before: i64) -> Outcome<Vec<String>>;
    /// Keys of an execution's rows, newest first, at most `most`.
    async fn of_execution(&self, arn: &str, most: usize) -> Outcome<Vec<String>>;
}

/// What is submitted. No Debug: it holds SQL.
#[derive(Clone, PartialEq)]
pub struct Submission {
    /// 1 to 40.
    pub statements: Vec<String>,
    /// As a batch, committing so; else one statement.
    pub batch: Option<Mode>,
    /// Named values.
    pub parameters: Vec<(String, String)>,
    /// Where; nothing in a session.
    pub target: Option<Target>,
    /// The session to run in.
    pub session_id: Option<String>,
    /// Seconds to keep the session.
    pub session_keep_alive: Option<u32>,
    /// How the result is kept.
    pub format: Option<Format>,
    /// At most 64 characters.
    pub client_token: String,
    /// `<stack>/<row>.<attempt>`.
    pub statement_name: String,
}

/// What the API says of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The statement.
    pub id: String,
    /// The session it runs in.
    pub session_id: Option<String>,
    /// As whom.
    pub db_user: Option<String>,
}

/// DescribeStatement's answer, without the SQL. Absent and negative numbers of the API are `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Description {
    /// The statement.
    pub id: String,
    /// As the API spells it; values unknown to us are kept.
    pub status: String,
    /// The database's error text.
    pub error: Option<String>,
    /// Nanoseconds.
    pub duration_ns: Option<i64>,
    /// Rows returned or affected.
    pub rows: Option<i64>,
    /// Bytes of the result.
    pub bytes: Option<i64>,
    /// Redshift's query id.
    pub query_id: Option<i64>,
    /// The backend.
    pub pid: Option<i64>,
    /// Whether there are rows to fetch (also an empty set).
    pub has_result_set: bool,
    /// As whom.
    pub db_user: Option<String>,
    /// Where.
    pub database: Option<String>,
    /// Where.
    pub cluster: Option<String>,
    /// Where.
    pub workgroup: Option<String>,
    /// The session.
    pub session_id: Option<String>,
    /// JSON or CSV.
    pub format: Option<String>,
    /// Epoch ms.
    pub created_at: Option<i64>,
    /// Epoch ms.
    pub updated_at: Option<i64>,
    /// A batch's statements in their order.
    pub statements: Vec<Description>,
}

/// One statement of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The statement.
    pub id: String,
    /// Its name.
    pub name: String,
    /// As the API spells it.
    pub status: String,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// BOOLEAN.
    Bool(bool),
    /// The integer types.
    Long(i64),
    /// REAL, DOUBLE PRECISION.
    Double(f64),
    /// DECIMAL, text, dates and times.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// One page of a result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// ColumnMetadata in the API's field names.
    pub columns: Vec<Map<String, Value>>,
    /// Typed rows (format JSON).
    pub records: Vec<Vec<Cell>>,
    /// CSV chunks (format CSV).
    pub csv: Vec<String>,
    /// Rows in all pages.
    pub total: Option<i64>,
    /// The next page.
    pub next: Option<String>,
}

/// The Data API.
#[async_trait]
pub trait DataApi: Send + Sync {
    /// ExecuteStatement or BatchExecuteStatement, with event.
    async fn submit(&self, submission: &Submission) -> Outcome<Submitted>;
    /// DescribeStatement.
    async fn describe(&self, id: &str) -> Outcome<Description>;
    /// GetStatementResult, or V2 for CSV.
    async fn result(&self, id: &str, next: Option<&str>, format: Format) -> Outcome<Page>;
    /// CancelStatement.
    async fn cancel(&self, id: &str) -> Outcome<bool>;
    /// ListStatements of any status whose name begins so.
    async fn list(&self, name_prefix: &str) -> Outcome<Vec<Listed>>;
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Taken.
    Sent,
    /// Nobody waits there any more (TaskTimedOut, TaskDoesNotExist, InvalidToken; an expired URL).
    Gone,
    /// The output was refused (InvalidOutput).
    OutputRefused,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// RUNNING or PENDING_REDRIVE.
    Running,
    /// SUCCEEDED: no task waits any more, but what was started without waiting may go on.
    Succeeded,
    /// FAILED, TIMED_OUT or ABORTED.
    Dead,
    /// Unknown to Step Functions (also older than its memory).
    Missing,
}

/// One event of an execution's history. No Debug: parameters hold the token.
#[derive(Clone, PartialEq, Eq)]
pub struct HistoryEvent {
    /// From 1.
    pub id: i64,
    /// 0 for the first.
    pub previous: i64,
    /// Such as `TaskScheduled`.
    pub kind: String,
    /// TaskScheduled's parameters, JSON text.
    pub parameters: Option<String>,
}

/// Step Functions.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// SendTaskSuccess.
    async fn success(&self, token: &str, output: &str) -> Outcome<Answered>;
    /// SendTaskFailure.
    async fn failure(&self, token: &str, error: &str, cause: &str) -> Outcome<Answered>;
    /// DescribeExecution.
    async fn execution(&self, arn: &str) -> Outcome<Execution>;
    /// GetExecutionHistory, newest first, with data; the next page's token comes back.
    async fn history(&self, arn: &str, next: Option<&str>) -> Outcome<(Vec<HistoryEvent>, Option<String>)>;
}

/// The completion queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends one message.
    async fn send(&self, body: &str) -> Outcome<()>;
}

/// The assets bucket.
#[async_trait]
pub trait Assets: Send + Sync {
    /// The text of an object.
    async fn script(&self, key: &str) -> Outcome<String>;
}

/// Envelope encryption under the stack's KMS key.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Seals a secret, bound to `context`.
    async fn seal(&self, context: &str, secret: &str) -> Outcome<Sealed>;
    /// Opens it. [`FailureKind::Broken`] if it was not sealed so.
    async fn open(&self, context: &str, sealed: &Sealed) -> Outcome<String>;
}

/// CloudFormation's response URLs.
#[async_trait]
pub trait Responses: Send + Sync {
    /// Puts an answer, with an empty Content-Type.
    async fn put(&self, url: &str, body: &str) -> Outcome<Answered>;
}

/// The time.
pub trait Clock: Send + Sync {
    /// Epoch milliseconds.
    fn now(&self) -> i64;
}

/// Something that is counted or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured<'a> {
    /// A statement has ended and its row is closed.
    Ended {
        /// The class of the error, or the error's name where it has none; nothing where it succeeded.
        failure: Option<&'a str>,
    },
    /// What a pass of the reconciler leaves open, of what is older than the grace time.
    Open {
        /// Statements.
        count: u64,
        /// How long the oldest of them has been open, milliseconds; 0 where there is none.
        oldest_ms: i64,
    },
}

/// Metrics. Nothing depends on them: what cannot be put is lost.
pub trait Metrics: Send + Sync {
    /// Puts what was measured now.
    fn put(&self, measured: &Measured<'_>);
}

/// All ports of a function.
#[derive(Clone)]
pub struct Ports {
    /// The table.
    pub rows: Arc<dyn Rows>,
    /// The Data API.
    pub data: Arc<dyn DataApi>,
    /// Step Functions.
    pub tasks: Arc<dyn Tasks>,
    /// The completion queue.
    pub queue: Arc<dyn Queue>,
    /// The assets bucket.
    pub assets: Arc<dyn Assets>,
    /// Sealing.
    pub vault: Arc<dyn Vault>,
    /// Response URLs.
    pub responses: Arc<dyn Responses>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Metrics.
    pub metrics: Arc<dyn Metrics>,
}
