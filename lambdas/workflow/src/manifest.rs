//! What became of a segment: `manifests/<segment>.json`, written at its end whatever happened. It holds every query of the
//! segment exactly once, also the one that never started.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Query, Segment};
use crate::status::{Failure, State, Status};

/// How a segment, or a run, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ending {
    /// Every query finished that was to run.
    Succeeded,
    /// Some queries never succeeded in the configured rounds.
    PersistentFailures,
    /// It was stopped, or its time limit passed, or it broke.
    Stopped,
}

/// How many queries stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// All of them.
    pub queries: u64,
    /// Ended well.
    pub finished: u64,
    /// Failed.
    pub failed: u64,
    /// Stopped.
    pub aborted: u64,
    /// Not run because of another.
    pub skipped: u64,
    /// Configured off.
    pub off: u64,
    /// Never started, or started with no end known.
    pub open: u64,
}

impl Counts {
    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        self.queries += other.queries;
        self.finished += other.finished;
        self.failed += other.failed;
        self.aborted += other.aborted;
        self.skipped += other.skipped;
        self.off += other.off;
        self.open += other.open;
    }

    /// Whether everything that was to run has finished.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.finished + self.off == self.queries
    }
}

/// One query in a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What its status object says.
    #[serde(flatten)]
    pub status: Status,
    /// Whether it is configured off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// The key of its result, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_key: Option<String>,
    /// The key of its result as CSV, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv_key: Option<String>,
    /// The key of its error, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_key: Option<String>,
}

/// The object `manifests/<segment>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The workflow.
    pub workflow: String,
    /// The run.
    pub run_id: String,
    /// The segment.
    pub segment: String,
    /// How it ended.
    pub ending: Ending,
    /// How many rounds it had.
    pub rounds: u8,
    /// When its first query started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// How many queries stand where.
    pub counts: Counts,
    /// Every query, in the segment's order.
    pub queries: Vec<Entry>,
}

impl Manifest {
    /// Made from the statuses as they are recorded. `stopped` says that the segment did not come to its own end.
    #[must_use]
    pub fn new<'s>(
        plan: &Plan,
        segment: &Segment,
        status: impl Fn(usize, &Query) -> Option<&'s Status>,
        stopped: bool,
        ended_at: DateTime<Utc>,
    ) -> Self {
        let keys = plan.keys();
        let mut counts = Counts::default();
        let queries: Vec<Entry> = segment
            .queries
            .iter()
            .enumerate()
            .map(|(at, query)| {
                let off = query.skipped.is_some();
                let status = status(at, query).cloned().unwrap_or_else(|| {
                    let state = if off { State::Skipped } else { State::Initial };
                    let status = Status::new(&query.name, state, 0);
                    match &query.skipped {
                        Some(why) => status.with_error(Failure {
                            name: crate::status::CONFIGURED_OFF.to_owned(),
                            message: why.clone(),
                            class: None,
                            transient: None,
                        }),
                        None => status,
                    }
                });
                counts.queries += 1;
                *match status.status {
                    _ if off => &mut counts.off,
                    State::Finished => &mut counts.finished,
                    State::Failed => &mut counts.failed,
                    State::Aborted => &mut counts.aborted,
                    State::Skipped => &mut counts.skipped,
                    State::Initial | State::Running => &mut counts.open,
                } += 1;
                let finished = status.status == State::Finished;
                let failed = matches!(status.status, State::Failed | State::Aborted);
                Entry {
                    off,
                    result_key: finished.then(|| keys.result(&query.result)),
                    csv_key: finished.then(|| keys.csv(&query.result)),
                    error_key: failed.then(|| keys.error(&query.error)),
                    status,
                }
            })
            .collect();
        let ending = if counts.complete() {
            Ending::Succeeded
        } else if stopped || counts.open > 0 {
            Ending::Stopped
        } else {
            Ending::PersistentFailures
        };
        Self {
            workflow: plan.workflow.clone(),
            run_id: plan.run_id.clone(),
            segment: segment.name.clone(),
            ending,
            rounds: queries.iter().map(|entry| entry.status.round).max().unwrap_or(0),
            started_at: queries.iter().filter_map(|entry| entry.status.started_at).min(),
            ended_at,
            counts,
            queries,
        }
    }

    /// The text of the object.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::json(self)
    }
}
