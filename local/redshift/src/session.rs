//! Sessions of the Data API: a database session kept between statements. Plain data and rules; the statements' task
//! takes the connection out and puts it back. Must never let two statements into one session at a time.

use crate::ApiError;
use crate::config::Caller;
use crate::connection::Connection;
use crate::statement::{Place, seconds};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A session, open or closed.
pub(crate) struct Session {
    pub(crate) owner: String,
    pub(crate) principal: String,
    /// Order of creation.
    pub(crate) sequence: u64,
    pub(crate) place: Place,
    pub(crate) created: DateTime<Utc>,
    updated: DateTime<Utc>,
    pub(crate) keep_alive: Duration,
    /// When it closes if nothing runs; for a closed one, when it closed.
    deadline: DateTime<Utc>,
    state: State,
}

enum State {
    /// This statement runs in it.
    Busy(String),
    /// Waiting for the next statement.
    Available(Box<Connection>),
    Closed,
}

impl Session {
    /// A new session, busy with its first statement.
    pub(crate) fn new(
        caller: &Caller,
        place: Place,
        now: DateTime<Utc>,
        keep_alive: Duration,
        (sequence, statement): (u64, &str),
    ) -> Self {
        Self {
            owner: caller.owner.clone(),
            principal: caller.arn.clone(),
            sequence,
            place,
            created: now,
            updated: now,
            keep_alive,
            deadline: now,
            state: State::Busy(statement.to_owned()),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed)
    }

    /// AVAILABLE, BUSY or CLOSED.
    pub(crate) fn status(&self) -> &'static str {
        match self.state {
            State::Busy(_) => "BUSY",
            State::Available(_) => "AVAILABLE",
            State::Closed => "CLOSED",
        }
    }

    /// Takes the connection for a statement.
    pub(crate) fn take(&mut self, statement: &str, now: DateTime<Utc>) -> Result<Connection, ApiError> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Available(connection) if !connection.is_closed() => {
                self.state = State::Busy(statement.to_owned());
                self.updated = now;
                Ok(*connection)
            }
            State::Available(_) => {
                self.deadline = now;
                self.updated = now;
                Err(ApiError::validation("Session is not available"))
            }
            State::Closed => Err(ApiError::validation("Session is not available")),
            busy @ State::Busy(_) => {
                self.state = busy;
                Err(ApiError::validation(
                    "Session is busy: another statement runs in it, and a session runs one statement at a time",
                ))
            }
        }
    }

    /// A statement has ended; without a connection the session is over.
    pub(crate) fn put_back(&mut self, connection: Option<Connection>, now: DateTime<Utc>, life: Duration) {
        self.updated = now;
        self.deadline = (now + self.keep_alive).min(self.created + life);
        self.state = match connection {
            Some(connection) if self.deadline > now => State::Available(Box::new(connection)),
            _ => {
                self.deadline = now;
                State::Closed
            }
        };
    }

    /// Closes a session that nobody used for its keep-alive time, or that reached the longest life.
    pub(crate) fn expire(&mut self, now: DateTime<Utc>) {
        if matches!(self.state, State::Available(_)) && now >= self.deadline {
            self.state = State::Closed;
            self.updated = self.deadline;
        }
    }

    /// A closed session is remembered for a while, so that its id is told from one that never was.
    pub(crate) fn forgotten(&self, now: DateTime<Utc>, retention: Duration) -> bool {
        !self.is_open() && now >= self.deadline + retention
    }

    /// An entry of ListSessions.
    pub(crate) fn listed(&self, id: &str, life: Duration) -> Value {
        let mut entry = Map::new();
        entry.insert("SessionId".into(), json!(id));
        entry.insert("Status".into(), json!(self.status()));
        entry.insert("CreatedAt".into(), seconds(self.created));
        entry.insert("UpdatedAt".into(), seconds(self.updated));
        entry.insert("Database".into(), json!(self.place.database));
        entry.insert("DbUser".into(), json!(self.place.db_user));
        if let Some(cluster) = &self.place.cluster {
            entry.insert("ClusterIdentifier".into(), json!(cluster));
        }
        if let Some(workgroup) = &self.place.workgroup {
            entry.insert("WorkgroupName".into(), json!(workgroup));
        }
        entry.insert("SessionAliveSeconds".into(), json!(self.keep_alive.as_secs()));
        // The keep-alive time only starts when the statement has ended; until then the longest life is what is known.
        let ends = if matches!(self.state, State::Busy(_)) { self.created + life } else { self.deadline };
        entry.insert("SessionTtl".into(), seconds(ends));
        if let State::Busy(statement) = &self.state {
            entry.insert("CurrentStatementId".into(), json!(statement));
        }
        Value::Object(entry)
    }
}
