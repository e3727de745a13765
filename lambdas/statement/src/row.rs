//! The row of one idempotency key: what was asked, what became of it, who is owed an answer. All changes of a row are
//! functions here, from the row that was read to the row to be written; the store writes it only if nobody else wrote in
//! between (`revision`), so a change never rests on something that is no longer so.

use crate::Error;
use crate::request::{Action, Names, ResultMode};

/// Ended attempts kept in a row.
pub const PREVIOUS_KEPT: usize = 10;
/// For how long the Data API knows a ClientToken (8 h), less a margin for clocks that differ.
pub const CLIENT_TOKEN_MS: i64 = (8 * 60 - 20) * 60 * 1000;
/// For how long the Data API keeps a statement (24 h), less the same margin.
pub const STATEMENT_KEPT_MS: i64 = (24 * 60 - 20) * 60 * 1000;

/// Where a statement's attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Row written; whether the API has the statement is not recorded yet.
    Pending,
    /// The API has it under the recorded id.
    Submitted,
    /// Ended well.
    Finished,
    /// Ended with an error.
    Failed,
    /// Was stopped.
    Aborted,
    /// Never ran: the submit was refused or never happened.
    Refused,
    /// Whether it ran cannot be found out any more: the Data API has forgotten it (24 h).
    Unknown,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Submitted, Self::Finished, Self::Failed, Self::Aborted, Self::Refused, Self::Unknown];

    /// As the row spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Submitted => "SUBMITTED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
            Self::Refused => "REFUSED",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// By the name that [`Status::name`] gives.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the attempt is over.
    #[must_use]
    pub fn ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Submitted)
    }
}

/// Who is answered when the statement has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// Nobody.
    None,
    /// A Step Functions task.
    Task,
    /// CloudFormation, at a response URL.
    Response,
}

impl Callback {
    /// As the row spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Task => "task",
            Self::Response => "response",
        }
    }

    /// By the name that [`Callback::name`] gives.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Task, Self::Response].into_iter().find(|c| c.name() == name)
    }
}

/// How the newest caller got its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredAs {
    /// The callback took it.
    Sent,
    /// Nobody waited any more (the task is closed, the URL expired); also after an answer whose record was cut off.
    Gone,
    /// The function raised the error to its caller.
    Raised,
}

impl AnsweredAs {
    /// As the row spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Gone => "gone",
            Self::Raised => "raised",
        }
    }

    /// By the name that [`AnsweredAs::name`] gives.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sent, Self::Gone, Self::Raised].into_iter().find(|a| a.name() == name)
    }
}

/// A secret under a data key, bound to its row and token version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// AES-256-GCM ciphertext with its tag.
    pub ciphertext: Vec<u8>,
    /// 12 bytes.
    pub nonce: Vec<u8>,
    /// The data key, wrapped by KMS.
    pub data_key: Vec<u8>,
}

/// The custom resource that a row works for. Its response URL is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// CloudFormation's StackId.
    pub stack_id: String,
    /// CloudFormation's RequestId.
    pub request_id: String,
    /// CloudFormation's LogicalResourceId.
    pub logical_id: String,
}

/// Why an attempt did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The error name in full detail (`Redshift.<class>` or an [`Error::name`]).
    pub name: String,
    /// The class, if the SQL ran.
    pub class: Option<String>,
    /// The text, cut to 2,000 characters.
    pub message: String,
    /// The failing statement of a batch, from 1.
    pub index: Option<u32>,
}

/// An earlier attempt, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// Its number.
    pub attempt: u32,
    /// How it ended.
    pub status: Status,
    /// Its statement.
    pub statement_id: Option<String>,
    /// Its error's name.
    pub error: Option<String>,
    /// When it was asked for, epoch ms.
    pub created_at: i64,
    /// When it ended, epoch ms.
    pub ended_at: Option<i64>,
}

/// The row. Times are epoch milliseconds unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Partition key: [`crate::key::row`].
    pub key: String,
    /// Counts the writes; a write is conditional on the count before it.
    pub revision: u64,
    /// Counts the submits of different ClientTokens, from 1.
    pub attempt: u32,
    /// Where the attempt stands.
    pub status: Status,
    /// Counts the callers.
    pub token_version: u64,
    /// The newest caller that was answered; below `token_version` an answer may be owed.
    pub answered_version: u64,
    /// How.
    pub answered_as: Option<AnsweredAs>,
    /// Who is answered.
    pub callback: Callback,
    /// The token or response URL.
    pub sealed: Option<Sealed>,
    /// [`crate::key::caller`] of the newest caller.
    pub caller_hash: String,
    /// The custom resource.
    pub resource: Option<Resource>,
    /// The execution that asked, for `LATEST` and for cancelling.
    pub execution_arn: Option<String>,
    /// Since when the row owes something; absent when it owes nothing (sparse index).
    pub open_since: Option<i64>,
    /// The Data API's StatementName of this attempt.
    pub statement_name: String,
    /// The Data API's id, once known.
    pub statement_id: Option<String>,
    /// The session it ran in or opened.
    pub session_id: Option<String>,
    /// Hash over everything that decides what runs and where.
    pub request_hash: String,
    /// Hash over the SQL in normal form.
    pub sql_hash: String,
    /// The SQL, only if configured.
    pub sql: Option<String>,
    /// What was asked for.
    pub action: Action,
    /// How many statements.
    pub statements: u32,
    /// [`crate::target::Target::describe`].
    pub target: String,
    /// What the answer carries.
    pub result: ResultMode,
    /// Which names the task sees.
    pub names: Names,
    /// The lock that this attempt holds.
    pub lock: Option<String>,
    /// When this attempt's ClientToken was made.
    pub client_token_at: i64,
    /// When this attempt was asked for; orders an execution's statements.
    pub created_at: i64,
    /// When the API took the statement.
    pub submitted_at: Option<i64>,
    /// When its end was heard of.
    pub event_at: Option<i64>,
    /// When the newest caller was answered.
    pub answered_at: Option<i64>,
    /// When the attempt ended.
    pub ended_at: Option<i64>,
    /// Rows returned or affected.
    pub rows: Option<i64>,
    /// Bytes of the result.
    pub bytes: Option<i64>,
    /// Nanoseconds.
    pub duration_ns: Option<i64>,
    /// Redshift's query id.
    pub query_id: Option<i64>,
    /// As whom it ran.
    pub db_user: Option<String>,
    /// Why it did not end well.
    pub error: Option<RowError>,
    /// Ended attempts, oldest first, at most [`PREVIOUS_KEPT`].
    pub previous: Vec<Previous>,
    /// When DynamoDB may drop the row, epoch seconds; absent while it is open.
    pub expires_at: Option<i64>,
    /// When the reconciler last looked whether the waiting task is still there.
    pub checked_at: Option<i64>,
}

impl Row {
    /// Whether the newest caller waits for an answer.
    #[must_use]
    pub fn owes_answer(&self) -> bool {
        self.callback != Callback::None && self.answered_version < self.token_version
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.status.ended() && !self.owes_answer()
    }

    /// What the sealed secret is bound to: it opens in no other row and for no other caller.
    #[must_use]
    pub fn seal_context(&self) -> String {
        format!("{}#{}", self.key, self.token_version)
    }

    /// The row with one more write counted. Every row that is written went through this or [`Row::first`].
    #[must_use]
    pub fn next(&self) -> Self {
        Self { revision: self.revision + 1, ..self.clone() }
    }

    /// The API has the statement, also where the attempt was believed refused.
    #[must_use]
    pub fn submitted(&self, statement_id: &str, session_id: Option<&str>, db_user: Option<&str>, now: i64) -> Self {
        let mut row = self.next();
        row.open_since = row.open_since.or(Some(now));
        (row.ended_at, row.error, row.expires_at) = (None, None, None);
        row.status = Status::Submitted;
        row.statement_id = Some(statement_id.to_owned());
        row.session_id = session_id.map(str::to_owned).or(row.session_id);
        row.db_user = db_user.map(str::to_owned).or(row.db_user);
        row.submitted_at = Some(now);
        row
    }

    /// The attempt is given up: it never ran (`Refused`), or nobody can tell (`Unknown`). With `raised` the caller hears
    /// it from the function itself, else an answer is still owed.
    #[must_use]
    pub fn given_up(&self, status: Status, error: &Error, raised: bool, now: i64, retention_days: u32) -> Self {
        let mut row = self.next();
        row.status = status;
        row.ended_at = Some(now);
        row.error = Some(RowError {
            name: error.name().to_owned(),
            class: None,
            message: cut(&error.to_string(), 2_000),
            index: None,
        });
        row.lock = None;
        if raised {
            row.answered_as = Some(AnsweredAs::Raised);
            row.answered_version = row.token_version;
            row.answered_at = Some(now);
        }
        row.close(now, retention_days)
    }

    /// The newest caller was answered.
    #[must_use]
    pub fn answered(mut self, how: AnsweredAs, now: i64) -> Self {
        self.answered_version = self.token_version;
        self.answered_as = Some(how);
        self.answered_at = Some(now);
        self
    }

    /// Takes the row out of the index of open rows, and the secret out of the row, if nothing is owed any more.
    #[must_use]
    pub fn close(mut self, now: i64, retention_days: u32) -> Self {
        if self.closed() {
            self.open_since = None;
            self.sealed = None;
            self.expires_at = Some(now / 1000 + i64::from(retention_days) * 86_400);
        }
        self
    }

    /// The row with the newest caller in it; nothing if there is nothing to change.
    /// The reconciler has looked after the waiting task.
    #[must_use]
    pub fn checked(&self, now: i64) -> Self {
        Self { checked_at: Some(now), ..self.next() }
    }

    /// Whether to look after the waiting task again: at ages that double, at least every quarter of an hour.
    #[must_use]
    pub fn check_due(&self, now: i64) -> bool {
        let begun = self.submitted_at.unwrap_or(self.created_at);
        match self.checked_at {
            None => true,
            Some(last) => now - begun >= 2 * (last - begun) || now - last >= 15 * 60 * 1000,
        }
    }
}

/// At most `most` characters.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => text[..end].to_owned(),
    }
}

/// The lock of one SQL on one target: its own item in the table, held by one attempt of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Partition key: [`crate::key::lock`].
    pub key: String,
    /// The row that holds it.
    pub row: String,
    /// Which of its attempts.
    pub attempt: u32,
    /// That attempt's StatementName.
    pub statement_name: String,
    /// Since when, epoch ms.
    pub since: i64,
}

impl Lock {
    /// The lock that an attempt takes, if it takes one.
    #[must_use]
    pub fn of(row: &Row, now: i64) -> Option<Self> {
        Some(Self {
            key: row.lock.clone()?,
            row: row.key.clone(),
            attempt: row.attempt,
            statement_name: row.statement_name.clone(),
            since: now,
        })
    }

    /// Whether the holder is over: its row is gone, ended, or at another attempt.
    #[must_use]
    pub fn stale(&self, holder: Option<&Row>) -> bool {
        holder.is_none_or(|row| {
            row.attempt != self.attempt || row.status.ended() || row.lock.as_deref() != Some(&self.key)
        })
    }
}
