//! What is remembered of a statement, and how it is shown. Plain data: no database, no clock.

use crate::result::{Format, Stored};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::watch;

/// Status of a statement or of one of a batch (`StatusString` without ALL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Submitted,
    Picked,
    Started,
    Finished,
    Aborted,
    Failed,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Picked => "PICKED",
            Self::Started => "STARTED",
            Self::Finished => "FINISHED",
            Self::Aborted => "ABORTED",
            Self::Failed => "FAILED",
        }
    }

    pub(crate) fn ended(self) -> bool {
        matches!(self, Self::Finished | Self::Aborted | Self::Failed)
    }
}

/// ExecutionMode of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Transaction,
    AutoCommit,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Transaction => "TRANSACTION",
            Self::AutoCommit => "AUTO_COMMIT",
        }
    }
}

/// One SQL text of a statement: the only one, or one of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) sql: String,
    pub(crate) status: Status,
    pub(crate) error: Option<String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    /// Nanoseconds, -1 until it ended.
    pub(crate) duration: i64,
    pub(crate) query_id: i64,
    /// -1 without a number.
    pub(crate) rows: i64,
    pub(crate) result: Option<Arc<Stored>>,
}

impl Part {
    pub(crate) fn new(sql: String, now: DateTime<Utc>) -> Self {
        Self {
            sql,
            status: Status::Submitted,
            error: None,
            created: now,
            updated: now,
            duration: -1,
            query_id: -1,
            rows: -1,
            result: None,
        }
    }

    fn size(&self) -> i64 {
        match (&self.result, self.status) {
            (Some(result), _) => result.size,
            (None, Status::Finished) => 0,
            _ => -1,
        }
    }

    fn describe(&self, id: &str, number: usize) -> Value {
        let mut entry = Map::new();
        entry.insert("Id".into(), json!(format!("{id}:{number}")));
        entry.insert("CreatedAt".into(), seconds(self.created));
        entry.insert("UpdatedAt".into(), seconds(self.updated));
        entry.insert("Duration".into(), json!(self.duration));
        if let Some(error) = &self.error {
            entry.insert("Error".into(), json!(error));
        }
        entry.insert("HasResultSet".into(), json!(self.result.is_some()));
        entry.insert("QueryString".into(), json!(self.sql));
        // As documented for the statements of a batch.
        entry.insert("RedshiftQueryId".into(), json!(-1));
        entry.insert("ResultRows".into(), json!(self.rows));
        entry.insert("ResultSize".into(), json!(self.size()));
        entry.insert("Status".into(), json!(self.status.name()));
        Value::Object(entry)
    }
}

/// Where and as whom a statement runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the target in the configuration.
    pub(crate) target: usize,
    pub(crate) cluster: Option<String>,
    pub(crate) workgroup: Option<String>,
    pub(crate) database: String,
    pub(crate) db_user: String,
    pub(crate) secret: Option<String>,
}

/// Everything about a statement.
pub(crate) struct Statement {
    pub(crate) id: String,
    /// Order of submission.
    pub(crate) sequence: u64,
    pub(crate) owner: String,
    pub(crate) principal: String,
    pub(crate) place: Place,
    pub(crate) name: Option<String>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) with_event: bool,
    pub(crate) format: Format,
    pub(crate) session: Option<String>,
    /// None for ExecuteStatement.
    pub(crate) batch: Option<Mode>,
    pub(crate) parts: Vec<Part>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) error: Option<String>,
    pub(crate) duration: i64,
    pub(crate) pid: i64,
    /// CancelStatement was accepted: the statement's task cancels the backend's work.
    pub(crate) cancel: watch::Sender<bool>,
    pub(crate) status: watch::Sender<Status>,
    /// Requests that wait for the end.
    pub(crate) waiting: Arc<AtomicUsize>,
}

impl Statement {
    pub(crate) fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Rows of all parts; -1 if none has a number.
    pub(crate) fn rows(&self) -> i64 {
        total(self.parts.iter().map(|p| p.rows))
    }

    /// The query id of a single statement; 0 for a batch, as documented.
    pub(crate) fn query_id(&self) -> i64 {
        match (self.batch, self.parts.first()) {
            (None, Some(part)) => part.query_id,
            _ => 0,
        }
    }

    fn place(&self, answer: &mut Map<String, Value>) {
        let place = &self.place;
        if let Some(cluster) = &place.cluster {
            answer.insert("ClusterIdentifier".into(), json!(cluster));
        }
        if let Some(workgroup) = &place.workgroup {
            answer.insert("WorkgroupName".into(), json!(workgroup));
        }
        answer.insert("Database".into(), json!(place.database));
        answer.insert("DbUser".into(), json!(place.db_user));
        if let Some(secret) = &place.secret {
            answer.insert("SecretArn".into(), json!(secret));
        }
        if let Some(session) = &self.session {
            answer.insert("SessionId".into(), json!(session));
        }
    }

    fn parameters(&self, answer: &mut Map<String, Value>) {
        if !self.parameters.is_empty() {
            let list: Vec<Value> =
                self.parameters.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            answer.insert("QueryParameters".into(), Value::Array(list));
        }
    }

    /// The answer of Execute and BatchExecuteStatement.
    pub(crate) fn submitted(&self) -> Value {
        let mut answer = Map::new();
        answer.insert("Id".into(), json!(self.id));
        answer.insert("CreatedAt".into(), seconds(self.created));
        answer.insert("DbGroups".into(), json!([]));
        self.place(&mut answer);
        Value::Object(answer)
    }

    /// The same after a wait: with what the statement came to meanwhile.
    pub(crate) fn submitted_and_waited(&self) -> Value {
        let mut answer = self.submitted();
        answer["Status"] = json!(self.status().name());
        answer["HasResultSet"] = json!(self.has_result());
        answer["RedshiftPid"] = json!(self.pid);
        answer
    }

    fn has_result(&self) -> bool {
        self.parts.iter().any(|p| p.result.is_some())
    }

    /// The answer of DescribeStatement; with `part` (from 1) that entry alone in SubStatements.
    pub(crate) fn describe(&self, part: Option<usize>) -> Value {
        let mut answer = Map::new();
        answer.insert("Id".into(), json!(self.id));
        answer.insert("CreatedAt".into(), seconds(self.created));
        answer.insert("UpdatedAt".into(), seconds(self.updated));
        answer.insert("Status".into(), json!(self.status().name()));
        answer.insert("Duration".into(), json!(self.duration));
        if let Some(error) = &self.error {
            answer.insert("Error".into(), json!(error));
        }
        answer.insert("HasResultSet".into(), json!(self.has_result()));
        answer.insert("RedshiftPid".into(), json!(self.pid));
        answer.insert("RedshiftQueryId".into(), json!(self.query_id()));
        answer.insert("ResultRows".into(), json!(self.rows()));
        answer.insert("ResultSize".into(), json!(total(self.parts.iter().map(Part::size))));
        answer.insert("ResultFormat".into(), json!(self.format.name()));
        self.place(&mut answer);
        self.parameters(&mut answer);
        match (self.batch, self.parts.first()) {
            (None, Some(only)) => {
                answer.insert("QueryString".into(), json!(only.sql));
            }
            (Some(mode), _) => {
                answer.insert("ExecutionMode".into(), json!(mode.name()));
                let entries: Vec<Value> = self
                    .parts
                    .iter()
                    .enumerate()
                    .map(|(index, entry)| (index + 1, entry))
                    .filter(|(number, _)| part.is_none_or(|wanted| wanted == *number))
                    .map(|(number, entry)| entry.describe(&self.id, number))
                    .collect();
                answer.insert("SubStatements".into(), Value::Array(entries));
            }
            (None, None) => {}
        }
        Value::Object(answer)
    }

    /// An entry of ListStatements.
    pub(crate) fn listed(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("Id".into(), json!(self.id));
        match (self.batch, self.parts.first()) {
            (None, Some(only)) => entry.insert("QueryString".into(), json!(only.sql)),
            _ => {
                let texts: Vec<&str> = self.parts.iter().map(|p| p.sql.as_str()).collect();
                entry.insert("QueryStrings".into(), json!(texts))
            }
        };
        if let Some(secret) = &self.place.secret {
            entry.insert("SecretArn".into(), json!(secret));
        }
        entry.insert("Status".into(), json!(self.status().name()));
        if let Some(name) = &self.name {
            entry.insert("StatementName".into(), json!(name));
        }
        entry.insert("CreatedAt".into(), seconds(self.created));
        entry.insert("UpdatedAt".into(), seconds(self.updated));
        self.parameters(&mut entry);
        entry.insert("IsBatchStatement".into(), json!(self.batch.is_some()));
        entry.insert("ResultFormat".into(), json!(self.format.name()));
        if let Some(session) = &self.session {
            entry.insert("SessionId".into(), json!(session));
        }
        Value::Object(entry)
    }
}

fn total(numbers: impl Iterator<Item = i64>) -> i64 {
    numbers.filter(|n| *n >= 0).reduce(|a, b| a + b).unwrap_or(-1)
}

/// A time as JSON 1.1 sends it: seconds since 1970 with milliseconds.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn seconds(time: DateTime<Utc>) -> Value {
    json!(time.timestamp_millis() as f64 / 1000.0)
}
