//! One pass of the reconciler.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use completion_function::settle::{Report, Settled, ended_status, settle};
use futures::StreamExt;
use serde_json::{Map, Value, json};
use statement::history::{TaskState, task_state};
use statement::ports::{Execution, FailureKind, LockChange, Measured, Ports, Written};
use statement::row::{Callback, Lock, Row, STATEMENT_KEPT_MS, Status};
use statement::settings::Settings;
use statement::{Error, key};
use tokio::sync::OnceCell;

use crate::pace::Paces;

/// Rows looked after at once.
const CONCURRENCY: usize = 8;
/// No new row is begun in the last seconds before the function is ended.
const MARGIN_MS: i64 = 15_000;
/// A row is given up as never submitted only when no tasker can still be at it: its timeout is 30 s.
const SUBMIT_GRACE_MS: i64 = 45 * 1000;
/// A custom resource's request is tried again by Lambda after 1 and 2 minutes; only then is it given up.
const RESOURCE_GRACE_MS: i64 = 10 * 60 * 1000;
/// Most rows of one execution that are looked at.
const EXECUTION_ROWS: usize = 10_000;
/// Pages of 500 events read to find a task; beyond them nothing is concluded.
const HISTORY_PAGES: usize = 5;

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Done {
    Settled,
    GivenUp,
    Cancelled,
    Running,
    Waiting,
    Freed,
    Nothing,
    Failed,
    Skipped,
}

impl Done {
    fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::GivenUp => "givenUp",
            Self::Cancelled => "cancelled",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Freed => "freed",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

pub(crate) struct Pass<'a> {
    ports: &'a Ports,
    settings: &'a Settings,
    deadline_ms: i64,
    paces: Paces,
    /// How many statements stay open, and since when the oldest of them.
    open: Mutex<(u64, Option<i64>)>,
    /// Each execution is asked for once in a pass.
    executions: Mutex<HashMap<String, Arc<OnceCell<Execution>>>>,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(ports: &'a Ports, settings: &'a Settings, deadline_ms: i64) -> Self {
        Self { ports, settings, deadline_ms, paces: Paces::new(), open: Mutex::default(), executions: Mutex::default() }
    }

    fn now(&self) -> i64 {
        self.ports.clock.now()
    }

    /// All open rows and locks that are older than the grace time.
    pub(crate) async fn everything(&self) -> Result<Value, Error> {
        let before = self.now() - self.settings.grace_ms;
        let shards = futures::future::join_all((0..key::SHARDS).map(|shard| self.ports.rows.open(shard, before))).await;
        let mut counts = HashMap::new();
        let mut keys = Vec::new();
        let mut unread = None;
        for shard in shards {
            match shard {
                Ok(found) => keys.push(found),
                Err(failure) => {
                    tracing::error!(code = failure.code, "a shard could not be read");
                    *counts.entry(Done::Failed).or_insert(0) += 1;
                    unread = Some(failure);
                }
            }
        }
        if keys.is_empty()
            && let Some(failure) = unread
        {
            return Err(failure.into());
        }
        // One of each shard in turn: if time runs out, all shards had their oldest looked at.
        let longest = keys.iter().map(Vec::len).max().unwrap_or(0);
        let mut in_turn = Vec::new();
        for n in 0..longest {
            in_turn.extend(keys.iter().filter_map(|shard| shard.get(n)).cloned());
        }
        self.count(in_turn, &mut counts, |key| self.look_after(key)).await;
        let (open, oldest) = *self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open + counts.get(&Done::Skipped).copied().unwrap_or(0);
        self.ports.metrics.put(&Measured::Open { count, oldest_ms: oldest.map_or(0, |since| self.now() - since) });
        Ok(summary(&counts))
    }

    /// The statements of an execution that ended ABORTED, TIMED_OUT or FAILED.
    pub(crate) async fn execution(&self, arn: &str, status: &str) -> Result<Value, Error> {
        let mut counts = HashMap::new();
        if !matches!(status, "ABORTED" | "TIMED_OUT" | "FAILED") {
            return Ok(summary(&counts));
        }
        // The event may be late and the execution redriven since: then its statements are wanted.
        if self.execution_state(arn).await? == Execution::Running {
            tracing::info!(execution = arn, "running again");
            return Ok(summary(&counts));
        }
        let keys = self.ports.rows.of_execution(arn, EXECUTION_ROWS).await?;
        self.count(keys, &mut counts, |key| self.stop(key)).await;
        let failed = counts.get(&Done::Failed).copied().unwrap_or(0) + counts.get(&Done::Skipped).copied().unwrap_or(0);
        if failed > 0 {
            return Err(Error::ServiceUnavailable(format!(
                "{failed} statements of a dead execution are still to be cancelled"
            )));
        }
        Ok(summary(&counts))
    }

    async fn count<F>(&self, keys: Vec<String>, counts: &mut HashMap<Done, u64>, each: impl Fn(String) -> F)
    where
        F: Future<Output = Result<Done, Error>>,
    {
        let each = &each;
        let mut results = futures::stream::iter(keys)
            .map(|key| async move {
                if self.now() > self.deadline_ms - MARGIN_MS {
                    return Done::Skipped;
                }
                match each(key.clone()).await {
                    Ok(done) => {
                        tracing::info!(row = key, done = done.name(), "row");
                        done
                    }
                    Err(error) => {
                        tracing::warn!(row = key, error = error.name(), "row failed");
                        Done::Failed
                    }
                }
            })
            .buffer_unordered(CONCURRENCY);
        while let Some(done) = results.next().await {
            *counts.entry(done).or_insert(0) += 1;
        }
    }

    async fn look_after(&self, key: String) -> Result<Done, Error> {
        let key = key.as_str();
        if key.starts_with("lock#") {
            return self.free(key).await;
        }
        let Some(row) = self.ports.rows.get(key).await? else {
            return Ok(Done::Nothing);
        };
        let Some(since) = row.open_since else {
            return Ok(Done::Nothing);
        };
        let done = self.row(&row, since).await;
        if !matches!(done, Ok(Done::Settled | Done::GivenUp | Done::Nothing)) {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            *open = (open.0 + 1, Some(open.1.map_or(since, |oldest| oldest.min(since))));
        }
        done
    }

    async fn row(&self, row: &Row, since: i64) -> Result<Done, Error> {
        let age = self.now() - since;
        let grace = match (row.status, row.callback) {
            (Status::Pending | Status::Refused | Status::Unknown, Callback::Response) => RESOURCE_GRACE_MS,
            (Status::Pending, _) => SUBMIT_GRACE_MS,
            _ => 0,
        };
        if age < grace.max(self.settings.grace_ms) {
            return Ok(Done::Waiting);
        }
        match row.status {
            Status::Pending => match self.find(row).await? {
                Some(row) => self.submitted(row).await,
                None if self.now() - row.client_token_at < STATEMENT_KEPT_MS => {
                    self.give_up(row, Status::Refused, &Error::SubmitInterrupted).await
                }
                None => self.give_up(row, Status::Unknown, &row.unknown()).await,
            },
            Status::Submitted => self.submitted(row.clone()).await,
            // The message of the tasker, or the answer's record, was lost.
            _ => self.settle(row, None).await,
        }
    }

    /// A lock whose holder ended without freeing it.
    async fn free(&self, key: &str) -> Result<Done, Error> {
        let Some(lock) = self.ports.rows.lock(key).await? else {
            return Ok(Done::Nothing);
        };
        let holder = self.ports.rows.get(&lock.row).await?;
        if !lock.stale(holder.as_ref()) {
            return Ok(Done::Running);
        }
        self.ports.rows.free(&lock).await?;
        Ok(Done::Freed)
    }

    /// Looks a statement up by its name and records its id.
    async fn find(&self, row: &Row) -> Result<Option<Row>, Error> {
        self.paces.list.turn().await;
        let listed = self.ports.data.list(&row.statement_name).await?;
        let Some(found) = listed.into_iter().find(|s| s.name == row.statement_name) else {
            return Ok(None);
        };
        let recorded = row.submitted(&found.id, None, None, self.now());
        match self.ports.rows.put(&recorded, LockChange::Leave).await? {
            Written::Done => Ok(Some(recorded)),
            _ => Err(Error::RowContended(row.key.clone())),
        }
    }

    async fn give_up(&self, row: &Row, status: Status, error: &Error) -> Result<Done, Error> {
        let now = self.now();
        // First claimed, then answered: a tasker that is late after all finds the row given up.
        let given_up = row.given_up(status, error, false, now, self.settings.retention_days);
        let lock = Lock::of(row, now);
        let change = lock.as_ref().map_or(LockChange::Leave, LockChange::Free);
        if self.ports.rows.put(&given_up, change).await? != Written::Done {
            return Err(Error::RowContended(row.key.clone()));
        }
        if given_up.closed() {
            self.ports.metrics.put(&Measured::Ended { failure: Some(error.name()) });
        } else {
            self.settle(&given_up, None).await?;
        }
        Ok(Done::GivenUp)
    }

    async fn settle(&self, row: &Row, description: Option<statement::ports::Description>) -> Result<Done, Error> {
        if description.is_none() && ran(row.status) {
            self.paces.describe.turn().await;
        }
        let report = Report {
            row: &row.key,
            attempt: row.attempt,
            statement_id: row.statement_id.as_deref(),
            event: None,
            description,
        };
        let settled = settle(self.ports, self.settings, report).await?;
        Ok(match settled {
            Settled::Sent | Settled::Gone | Settled::Closed => Done::Settled,
            _ => Done::Nothing,
        })
    }

    async fn submitted(&self, row: Row) -> Result<Done, Error> {
        let Some(id) = row.statement_id.as_deref() else {
            return Err(Error::Internal("a submitted row without an id".to_owned()));
        };
        self.paces.describe.turn().await;
        let description = match self.ports.data.describe(id).await {
            Ok(description) => description,
            Err(failure) if failure.kind == FailureKind::NotFound => {
                return self.give_up(&row, Status::Unknown, &row.unknown()).await;
            }
            Err(failure) => return Err(failure.into()),
        };
        if ended_status(&description.status).is_some() {
            return self.settle(&row, Some(description)).await;
        }
        if self.wanted(&row).await? {
            return Ok(Done::Running);
        }
        self.cancel(id).await
    }

    /// Whether somebody still waits for a running statement, as far as that can be known. In doubt somebody does.
    async fn wanted(&self, row: &Row) -> Result<bool, Error> {
        let Some(arn) = row.execution_arn.as_deref().filter(|_| row.check_due(self.now())) else {
            return Ok(true);
        };
        let waits = row.callback == Callback::Task;
        let wanted = match self.execution_state(arn).await? {
            Execution::Dead => false,
            // Without a task nobody waited from the start, and a name that Step Functions does not know proves nothing.
            Execution::Succeeded | Execution::Missing => !waits,
            Execution::Running => !waits || !self.task_over(arn, &row.caller_hash).await?,
        };
        if wanted {
            // Lost to another write: looked at again in the next pass, no harm.
            self.ports.rows.put(&row.checked(self.now()), LockChange::Leave).await?;
        }
        Ok(wanted)
    }

    async fn execution_state(&self, arn: &str) -> Result<Execution, Error> {
        let cell = {
            let mut executions = self.executions.lock().unwrap_or_else(PoisonError::into_inner);
            executions.entry(arn.to_owned()).or_default().clone()
        };
        let state = cell.get_or_try_init(|| async {
            self.paces.execution.turn().await;
            self.ports.tasks.execution(arn).await
        });
        Ok(*state.await?)
    }

    async fn task_over(&self, arn: &str, token_hash: &str) -> Result<bool, Error> {
        let mut events = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..HISTORY_PAGES {
            self.paces.history.turn().await;
            let (page, token) = self.ports.tasks.history(arn, next.as_deref()).await?;
            events.extend(page);
            match task_state(&events, token_hash) {
                TaskState::Over => return Ok(true),
                TaskState::Waiting => return Ok(false),
                TaskState::NotSeen => {}
            }
            next = token;
            if next.is_none() {
                break;
            }
        }
        Ok(false)
    }

    async fn cancel(&self, id: &str) -> Result<Done, Error> {
        self.paces.cancel.turn().await;
        match self.ports.data.cancel(id).await {
            Ok(_) => Ok(Done::Cancelled),
            // It has ended meanwhile: its event, or the next pass, settles it.
            Err(failure) if matches!(failure.kind, FailureKind::NotFound | FailureKind::Refused) => Ok(Done::Nothing),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Cancels a row's statement because its execution is dead.
    async fn stop(&self, key: String) -> Result<Done, Error> {
        let Some(row) = self.ports.rows.get(&key).await? else {
            return Ok(Done::Nothing);
        };
        let row = match row.status {
            Status::Submitted => row,
            // The tasker may be about to submit it; if it is not found now, the schedule comes back to it.
            Status::Pending => match self.find(&row).await? {
                Some(row) => row,
                None => return Ok(Done::Waiting),
            },
            _ => return Ok(Done::Nothing),
        };
        match row.statement_id.as_deref() {
            Some(id) => self.cancel(id).await,
            None => Ok(Done::Nothing),
        }
    }
}

/// Whether the SQL ran or runs, as far as the row knows.
fn ran(status: Status) -> bool {
    !matches!(status, Status::Pending | Status::Refused | Status::Unknown)
}

fn summary(counts: &HashMap<Done, u64>) -> Value {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort();
    let counts: Map<String, Value> =
        sorted.into_iter().map(|(done, count)| (done.name().to_owned(), json!(count))).collect();
    let summary = Value::Object(counts);
    tracing::info!(%summary, "pass");
    summary
}
