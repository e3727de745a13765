//! Sessions of the Data API: a database session kept between statements. Plain data and rules; the statements' task
//! takes the connection out and puts it back. Must never let two statements into one session at a time.

use crate::ApiError;
use crate::connection::Connection;
use crate::statement::Place;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// A session, open or closed.
pub(crate) struct Session {
    pub(crate) owner: String,
    pub(crate) place: Place,
    pub(crate) created: DateTime<Utc>,
    pub(crate) keep_alive: Duration,
    /// When it closes if nothing runs; for a closed one, when it closed.
    deadline: DateTime<Utc>,
    state: State,
}

enum State {
    /// A statement runs in it.
    Busy,
    /// Waiting for the next statement.
    Available(Box<Connection>),
    Closed,
}

impl Session {
    /// A new session, busy with its first statement.
    pub(crate) fn new(owner: String, place: Place, now: DateTime<Utc>, keep_alive: Duration) -> Self {
        Self { owner, place, created: now, keep_alive, deadline: now, state: State::Busy }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed)
    }

    /// Takes the connection for a statement.
    pub(crate) fn take(&mut self) -> Result<Connection, ApiError> {
        match std::mem::replace(&mut self.state, State::Busy) {
            State::Available(connection) if !connection.is_closed() => Ok(*connection),
            State::Available(_) | State::Closed => {
                self.state = State::Closed;
                Err(ApiError::validation("Session is not available"))
            }
            State::Busy => Err(ApiError::validation(
                "Session is busy: another statement runs in it, and a session runs one statement at a time",
            )),
        }
    }

    /// A statement has ended; without a connection the session is over.
    pub(crate) fn put_back(&mut self, connection: Option<Connection>, now: DateTime<Utc>, life: Duration) {
        self.deadline = (now + self.keep_alive).min(self.created + life);
        self.state = match connection {
            Some(connection) if self.deadline > now => State::Available(Box::new(connection)),
            _ => State::Closed,
        };
    }

    /// Closes a session that nobody used for its keep-alive time, or that reached the longest life.
    pub(crate) fn expire(&mut self, now: DateTime<Utc>) {
        if matches!(self.state, State::Available(_)) && now >= self.deadline {
            self.state = State::Closed;
        }
    }

    /// A closed session is remembered for a while, so that its id is told from one that never was.
    pub(crate) fn forgotten(&self, now: DateTime<Utc>, retention: Duration) -> bool {
        !self.is_open() && now >= self.deadline + retention
    }
}
