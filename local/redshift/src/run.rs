//! A statement's task: from SUBMITTED to its end. Must never run a statement of a batch after the batch was cancelled or
//! its transaction failed, nor leave a statement without an end.

use crate::connection::{Connection, Outcome, Request};
use crate::dialect::{self, ServerError};
use crate::result::Format;
use crate::service::Inner;
use crate::statement::{Mode, Place, Statement, Status};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A cancel request that meets the server between two commands is lost, so it is sent again after this time.
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

/// What the task needs to know; the statement itself stays in the state.
pub(crate) struct Task {
    inner: Arc<Inner>,
    id: String,
    name: String,
    place: Place,
    /// Its statement belongs to a session.
    session: bool,
    /// The session's connection, after the session's first statement.
    connection: Option<Connection>,
    sqls: Vec<String>,
    parameters: Vec<(String, String)>,
    format: Format,
    batch: Option<Mode>,
    cancel: watch::Receiver<bool>,
    ended: bool,
}

impl Drop for Task {
    /// A task that was dropped with its runtime, or that broke, still ends its statement.
    fn drop(&mut self) {
        if !self.ended {
            let error = "ERROR: the statement's task ended before the statement".to_owned();
            self.end(End { status: Status::Failed, error: Some(error) }, -1, None);
        }
    }
}

/// How the whole ended.
struct End {
    status: Status,
    error: Option<String>,
}

impl End {
    fn finished() -> Self {
        Self { status: Status::Finished, error: None }
    }
}

impl Task {
    pub(crate) fn new(inner: Arc<Inner>, statement: &Statement, connection: Option<Connection>) -> Self {
        Self {
            inner,
            id: statement.id.clone(),
            name: statement.name.clone().unwrap_or_default(),
            place: statement.place.clone(),
            session: statement.session.is_some(),
            connection,
            sqls: statement.parts.iter().map(|p| p.sql.clone()).collect(),
            parameters: statement.parameters.clone(),
            format: statement.format,
            batch: statement.batch,
            cancel: statement.cancel.subscribe(),
            ended: false,
        }
    }

    /// Runs to the end.
    pub(crate) async fn run(mut self) {
        // Never closed; an error would only mean to run without a slot.
        let slot = Arc::clone(&self.inner.slots).acquire_owned().await;
        self.inner.advance(&self.id, Status::Picked, |_| {});
        let opened = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.inner.open(&self.place).await,
        };
        self.inner.faults.pass(&self.name).await;
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => {
                self.part_ended(0, Status::Failed, -1, Some(error.clone()), None);
                self.end(End { status: Status::Failed, error: Some(error) }, -1, None);
                return;
            }
        };

        let pid = connection.pid;
        self.inner.advance(&self.id, Status::Started, |statement| statement.pid = pid);
        let started = Instant::now();
        let token = connection.cancel_token();
        let mut cancel = self.cancel.clone();
        let end = {
            let mut work = pin!(self.parts(&mut connection));
            let first = tokio::select! {
                end = &mut work => Some(end),
                // An error means that the statement's record is gone; then nobody can cancel it.
                Ok(_) = cancel.wait_for(|requested| *requested) => None,
            };
            match first {
                Some(end) => end,
                None => loop {
                    if let Err(error) = token.cancel_query(tokio_postgres::NoTls).await {
                        tracing::debug!(%error, "a cancel request did not reach the server");
                    }
                    tokio::select! {
                        end = &mut work => break end,
                        () = tokio::time::sleep(CANCEL_AGAIN) => {}
                    }
                },
            }
        };
        // After a cancel or a failure the session may be gone or still have a cancel request under way.
        let alive = !self.session || end.status == Status::Finished && !*cancel.borrow() || connection.settle().await;
        drop(slot);
        let connection = (self.session && alive).then_some(connection);
        self.end(end, nanoseconds(started), connection);
    }

    async fn parts(&self, connection: &mut Connection) -> End {
        match self.batch {
            None => self.single(connection).await,
            Some(Mode::AutoCommit) => self.each_alone(connection).await,
            Some(Mode::Transaction) => self.together(connection).await,
        }
    }

    async fn single(&self, connection: &mut Connection) -> End {
        match self.part(0, connection).await {
            Ok(()) => End::finished(),
            Err((status, error)) => End { status, error: Some(error) },
        }
    }

    /// AUTO_COMMIT: a failing statement does not stop the next ones.
    async fn each_alone(&self, connection: &mut Connection) -> End {
        let mut end = End::finished();
        for index in 0..self.sqls.len() {
            if *self.cancel.borrow() {
                return End { status: Status::Aborted, error: Some(self.cancelled()) };
            }
            if let Err((status, error)) = self.part(index, connection).await {
                let error = numbered(index, &error);
                if status == Status::Aborted {
                    return End { status, error: Some(error) };
                }
                end = End { status, error: end.error.or(Some(error)) };
            }
        }
        end
    }

    /// TRANSACTION: all or nothing, except for what a TRUNCATE has committed.
    async fn together(&self, connection: &mut Connection) -> End {
        // In a session with an open transaction the batch belongs to that one, which stays open.
        let own = !connection.in_transaction();
        for index in 0..self.sqls.len() {
            if *self.cancel.borrow() {
                connection.rollback().await;
                return End { status: Status::Aborted, error: Some(self.cancelled()) };
            }
            // At the start, and after a statement that ended the transaction.
            if !connection.in_transaction()
                && let Err(error) = connection.begin(0).await
            {
                return End { status: Status::Failed, error: Some(error.to_string()) };
            }
            if let Err((status, error)) = self.part(index, connection).await {
                if own {
                    connection.rollback().await;
                }
                return End { status, error: Some(numbered(index, &error)) };
            }
        }
        if own
            && connection.in_transaction()
            && let Err(error) = connection.commit(0).await
        {
            return End { status: Status::Failed, error: Some(error.to_string()) };
        }
        End::finished()
    }

    /// The text of a cancel that came between two statements, as for one that came within one.
    fn cancelled(&self) -> String {
        let error = ServerError {
            severity: "ERROR".to_owned(),
            code: "57014".to_owned(),
            message: "canceling statement due to user request".to_owned(),
            ..ServerError::default()
        };
        dialect::error_text(&error, self.inner.query_id())
    }

    /// Runs one SQL text and notes how it ended.
    async fn part(&self, index: usize, connection: &mut Connection) -> Result<(), (Status, String)> {
        let query_id = self.inner.query_id();
        let now = self.inner.now();
        self.inner.advance(&self.id, Status::Started, |statement| {
            if let Some(part) = statement.parts.get_mut(index) {
                part.status = Status::Started;
                part.updated = now;
                part.query_id = query_id;
            }
        });
        let started = Instant::now();
        let request = Request {
            sql: self.sqls.get(index).map_or("", String::as_str),
            parameters: &self.parameters,
            format: self.format,
            query_id,
            limits: &self.inner.config.limits,
            site: self.inner.site(&self.place, query_id, connection.pid),
        };
        match connection.run(&request).await {
            Ok(outcome) => {
                self.part_ended(index, Status::Finished, nanoseconds(started), None, Some(outcome));
                Ok(())
            }
            Err(error) => {
                let status = if *self.cancel.borrow() { Status::Aborted } else { Status::Failed };
                let error = error.to_string();
                self.part_ended(index, status, nanoseconds(started), Some(error.clone()), None);
                Err((status, error))
            }
        }
    }

    fn part_ended(&self, index: usize, status: Status, duration: i64, error: Option<String>, outcome: Option<Outcome>) {
        let mut state = self.inner.state();
        let now = self.inner.now();
        if let Some(part) = state.statements.get_mut(&self.id).and_then(|s| s.parts.get_mut(index)) {
            part.status = status;
            part.updated = now;
            part.duration = duration;
            part.error = error;
            if let Some(outcome) = outcome {
                part.rows = outcome.rows;
                part.result = outcome.result.map(Arc::new);
            }
        }
    }

    fn end(&mut self, end: End, duration: i64, connection: Option<Connection>) {
        self.ended = true;
        let now = self.inner.now();
        self.inner.end(&self.id, end.status, connection, |statement| {
            statement.error = end.error;
            statement.duration = duration;
            // What never ran, because something before it failed or was cancelled.
            for part in statement.parts.iter_mut().filter(|part| !part.status.ended()) {
                part.status = Status::Aborted;
                part.updated = now;
            }
        });
    }
}

/// The parent's text names the statement of the batch that failed.
fn numbered(index: usize, error: &str) -> String {
    format!("Query #{} failed with {error}", index + 1)
}

fn nanoseconds(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_nanos()).unwrap_or(i64::MAX)
}
