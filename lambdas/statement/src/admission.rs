//! What a request means for the row of its key: a new row, a new caller in it, a new attempt, or nothing. Pure decisions;
//! the row that comes out is written only if the one that went in is still there.

use crate::request::{Action, Names, ResultMode};
use crate::row::{
    AnsweredAs, CLIENT_TOKEN_MS, Callback, PREVIOUS_KEPT, Previous, Resource, Row, STATEMENT_KEPT_MS, Status,
};
use crate::{Error, key};

/// Who asks, and for what: what [`Row::first`] and [`admit`] need.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The stack's name.
    pub stack: String,
    /// [`key::row`].
    pub key: String,
    /// See [`Row::request_hash`].
    pub request_hash: String,
    /// See [`Row::sql_hash`].
    pub sql_hash: String,
    /// The SQL, only if configured.
    pub sql: Option<String>,
    /// See [`Row::action`].
    pub action: Action,
    /// See [`Row::statements`].
    pub statements: u32,
    /// See [`Row::target`].
    pub target: String,
    /// See [`Row::lock`].
    pub lock: Option<String>,
    /// See [`Row::callback`].
    pub callback: Callback,
    /// See [`Row::caller_hash`].
    pub caller_hash: String,
    /// See [`Row::resource`].
    pub resource: Option<Resource>,
    /// See [`Row::execution_arn`].
    pub execution_arn: Option<String>,
    /// See [`Row::result`].
    pub result: ResultMode,
    /// See [`Row::names`].
    pub names: Names,
}

/// What to do about a request whose key is known. A row that comes with it is to be written first.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// Submit, with the same ClientToken: the API has it or takes it, but never twice.
    Resubmit(Option<Box<Row>>),
    /// The ClientToken is too old to be remembered: look the statement up by name.
    LookUp(Option<Box<Row>>),
    /// It is running: nothing to submit.
    Active(Option<Box<Row>>),
    /// It ended well: nothing to submit; the completion function answers the new caller if one is owed an answer.
    Finished(Option<Box<Row>>),
    /// It ended and this very caller was answered: nothing at all.
    Over,
    /// It ended otherwise: submit, as a new attempt if the last one ran.
    Again(Box<Row>),
}

/// Decides what a request with a known key leads to.
///
/// # Errors
/// [`Error::IdempotencyConflict`] if the key stands for another request.
pub fn admit(row: &Row, ask: &Ask, now: i64) -> Result<Admission, Error> {
    if row.request_hash != ask.request_hash {
        return Err(Error::IdempotencyConflict { statement_name: row.statement_name.clone() });
    }
    let same_caller = row.caller_hash == ask.caller_hash;
    Ok(match row.status {
        Status::Unknown => return Err(row.unknown()),
        Status::Pending if now - row.client_token_at < CLIENT_TOKEN_MS => Admission::Resubmit(row.take_over(ask, now)),
        Status::Pending => Admission::LookUp(row.take_over(ask, now)),
        Status::Submitted => Admission::Active(row.take_over(ask, now)),
        Status::Finished => Admission::Finished(row.take_over(ask, now)),
        // The same caller again after its SQL ran and failed: an invocation that was delivered twice. A refused one never
        // ran and was told so by the function, so it may well come again; unless its callback was answered meanwhile.
        Status::Failed | Status::Aborted if same_caller => Admission::Over,
        Status::Refused if same_caller && matches!(row.answered_as, Some(AnsweredAs::Sent | AnsweredAs::Gone)) => {
            Admission::Over
        }
        Status::Refused if now - row.client_token_at < CLIENT_TOKEN_MS => {
            Admission::Again(Box::new(row.reopened(ask, now)))
        }
        Status::Failed | Status::Aborted | Status::Refused => Admission::Again(row.again(ask, now)),
    })
}

impl Row {
    /// The first row of a key.
    #[must_use]
    pub fn first(ask: &Ask, now: i64) -> Self {
        Self {
            key: ask.key.clone(),
            revision: 1,
            attempt: 1,
            status: Status::Pending,
            token_version: 1,
            answered_version: 0,
            answered_as: None,
            callback: ask.callback,
            sealed: None,
            caller_hash: ask.caller_hash.clone(),
            resource: ask.resource.clone(),
            execution_arn: ask.execution_arn.clone(),
            open_since: Some(now),
            statement_name: key::statement_name(&ask.stack, &ask.key, 1),
            statement_id: None,
            session_id: None,
            request_hash: ask.request_hash.clone(),
            sql_hash: ask.sql_hash.clone(),
            sql: ask.sql.clone(),
            action: ask.action,
            statements: ask.statements,
            target: ask.target.clone(),
            result: ask.result,
            names: ask.names,
            lock: ask.lock.clone(),
            client_token_at: now,
            created_at: now,
            submitted_at: None,
            event_at: None,
            answered_at: None,
            ended_at: None,
            rows: None,
            bytes: None,
            duration_ns: None,
            query_id: None,
            db_user: None,
            error: None,
            previous: Vec::new(),
            expires_at: None,
            checked_at: None,
        }
    }

    fn take_over(&self, ask: &Ask, now: i64) -> Option<Box<Self>> {
        // A caller that waits for nothing never pushes out one that waits.
        let changes =
            self.caller_hash != ask.caller_hash && (ask.callback != Callback::None || self.callback == Callback::None);
        // A row that is about to be submitted is young again, so that the reconciler leaves it alone meanwhile.
        let pending = self.status == Status::Pending;
        if !changes && !pending {
            return None;
        }
        let mut row = self.next();
        if changes {
            row.caller(ask);
        }
        if pending || (row.status.ended() && row.owes_answer()) {
            row.open_since = Some(now);
            row.expires_at = None;
        }
        Some(Box::new(row))
    }

    fn caller(&mut self, ask: &Ask) {
        self.token_version += 1;
        self.callback = ask.callback;
        self.caller_hash = ask.caller_hash.clone();
        self.sealed = None;
        self.answered_as = None;
        self.answered_at = None;
        self.resource = ask.resource.clone();
        self.execution_arn = ask.execution_arn.clone().or_else(|| self.execution_arn.take());
        self.result = ask.result;
        self.names = ask.names;
        self.checked_at = None;
    }

    fn again(&self, ask: &Ask, now: i64) -> Box<Self> {
        let attempt = self.attempt + 1;
        Box::new(Self {
            attempt,
            statement_name: key::statement_name(&ask.stack, &self.key, attempt),
            client_token_at: now,
            ..self.reopened(ask, now)
        })
    }

    /// The same attempt once more: it never ran. Its ClientToken stays, so even a submit that was believed lost and
    /// comes through late is the same statement to the API.
    fn reopened(&self, ask: &Ask, now: i64) -> Self {
        let mut previous = self.previous.clone();
        previous.push(Previous {
            attempt: self.attempt,
            status: self.status,
            statement_id: self.statement_id.clone(),
            error: self.error.as_ref().map(|e| e.name.clone()),
            created_at: self.created_at,
            ended_at: self.ended_at,
        });
        if previous.len() > PREVIOUS_KEPT {
            previous.drain(..previous.len() - PREVIOUS_KEPT);
        }
        Self {
            revision: self.revision + 1,
            attempt: self.attempt,
            token_version: self.token_version + 1,
            answered_version: self.answered_version,
            statement_name: self.statement_name.clone(),
            client_token_at: self.client_token_at,
            execution_arn: ask.execution_arn.clone().or_else(|| self.execution_arn.clone()),
            previous,
            ..Self::first(ask, now)
        }
    }

    /// After a look-up by name found nothing: the statement was never submitted, as long as the API would still know it.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] once the API has forgotten.
    pub fn after_look_up(&self, ask: &Ask, now: i64) -> Result<Box<Self>, Error> {
        if now - self.client_token_at < STATEMENT_KEPT_MS { Ok(self.again(ask, now)) } else { Err(self.unknown()) }
    }

    /// What a row is given up with when the Data API has forgotten its statement.
    #[must_use]
    pub fn unknown(&self) -> Error {
        Error::OutcomeUnknown(format!(
            "the Data API keeps statements for 24 hours and knows {} no more; use a new idempotencyKey",
            self.statement_name
        ))
    }
}
