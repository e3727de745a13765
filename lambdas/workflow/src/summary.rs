//! What became of a run: `summary.json`, from the manifests of its segments. The next run reads it to say what changed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::configuration::{Severity, Target};
use crate::manifest::{Counts, Ending, Manifest};
use crate::plan::Plan;
use crate::status::{Failure, State};

/// The error with which the root execution ends when some queries never succeeded.
pub const PERSISTENT_FAILURES: &str = "PersistentFailures";

/// US dollars for a state transition of a standard state machine, us-east-1 (Step Functions pricing: $0.025 per 1,000).
const DOLLARS_PER_TRANSITION: f64 = 0.000_025;

/// A query that never succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PersistentFailure {
    /// The query.
    pub query: String,
    /// Its segment.
    pub segment: String,
    /// Where it ended: FAILED, ABORTED, SKIPPED, or INITIAL where it was never reached.
    pub status: State,
    /// The last round in which it was tried.
    pub round: u8,
    /// Why.
    pub error: Failure,
}

/// A bar of the time line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// The query.
    pub query: String,
    /// Its segment.
    pub segment: String,
    /// The round of its last try.
    pub round: u8,
    /// How that ended.
    pub status: State,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// Rows of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// A finding, as far as the next run needs it to compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingRecord {
    /// The rule.
    pub rule: String,
    /// The section.
    pub section: String,
    /// What it says.
    pub signal: String,
    /// How bad it is.
    pub severity: Severity,
    /// How many rows it is true for.
    pub matched: u64,
    /// Of how many.
    pub total: u64,
}

/// What the run cost Step Functions. A hint: prices differ by region.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// State transitions over all executions of the run.
    pub state_transitions: u64,
    /// The same for each query that was run.
    pub transitions_per_query: f64,
    /// US dollars at the price of us-east-1.
    pub dollars: f64,
}

/// The object `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The workflow.
    pub workflow: String,
    /// The plan.
    pub plan: String,
    /// Where it ran.
    pub target: Target,
    /// The run.
    pub run_id: String,
    /// Its place in the results bucket.
    pub prefix: String,
    /// How it ended.
    pub ending: Ending,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When its last segment ended.
    pub ended_at: DateTime<Utc>,
    /// The most rounds that a segment had.
    pub rounds: u8,
    /// How many queries stand where.
    pub counts: Counts,
    /// Rows of all results.
    pub rows: u64,
    /// Bytes of all results.
    pub bytes: u64,
    /// What never succeeded, in the plan's order.
    pub failures: Vec<PersistentFailure>,
    /// Segments whose manifest is missing; their queries are in no count but the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_segments: Vec<String>,
    /// The queries that ran, by their start.
    pub time_line: Vec<Span>,
    /// What the run cost, where it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What the report found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingRecord>,
    /// The rules that could not be evaluated. The next run does not call their findings new or gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_evaluated: Vec<String>,
}

impl Summary {
    /// Made from the manifests.
    #[must_use]
    pub fn new(plan: &Plan, manifests: &[Manifest], ended_at: DateTime<Utc>) -> Self {
        let mut summary = Self {
            workflow: plan.workflow.clone(),
            plan: plan.plan.clone(),
            target: plan.target,
            run_id: plan.run_id.clone(),
            prefix: plan.prefix.clone(),
            ending: Ending::Succeeded,
            started_at: plan.started_at,
            ended_at,
            rounds: 0,
            counts: Counts::default(),
            rows: 0,
            bytes: 0,
            failures: Vec::new(),
            missing_segments: Vec::new(),
            time_line: Vec::new(),
            cost: None,
            findings: Vec::new(),
            not_evaluated: Vec::new(),
        };
        for segment in &plan.segments {
            let Some(manifest) = manifests.iter().find(|manifest| manifest.segment == segment.name) else {
                summary.missing_segments.push(segment.name.clone());
                let all = u64::try_from(segment.queries.len()).unwrap_or(u64::MAX);
                summary.counts.add(&Counts { queries: all, open: all, ..Counts::default() });
                continue;
            };
            summary.take(manifest);
        }
        summary.time_line.sort_by(|a, b| (a.started_at, &a.query).cmp(&(b.started_at, &b.query)));
        summary.ending = if summary.counts.complete() {
            Ending::Succeeded
        } else if summary.counts.open > 0 || manifests.iter().any(|manifest| manifest.ending == Ending::Stopped) {
            Ending::Stopped
        } else {
            Ending::PersistentFailures
        };
        summary
    }

    /// Takes note of what the run cost: the state transitions over all its executions.
    pub fn count(&mut self, transitions: u64) {
        let ran = u32::try_from(self.counts.queries - self.counts.off).unwrap_or(u32::MAX).max(1);
        #[allow(clippy::cast_precision_loss)]
        let count = transitions as f64;
        self.cost = Some(Cost {
            state_transitions: transitions,
            transitions_per_query: (count / f64::from(ran) * 100.0).round() / 100.0,
            dollars: (count * DOLLARS_PER_TRANSITION * 1e6).round() / 1e6,
        });
    }

    fn take(&mut self, manifest: &Manifest) {
        self.rounds = self.rounds.max(manifest.rounds);
        self.counts.add(&manifest.counts);
        for entry in &manifest.queries {
            let status = &entry.status;
            if status.status == State::Finished {
                self.rows += status.rows.unwrap_or(0);
                self.bytes += status.bytes.unwrap_or(0);
            } else if !entry.off {
                let error = status.error.clone().unwrap_or_else(|| Failure {
                    name: if status.status == State::Initial { "NotReached" } else { "Unknown" }.to_owned(),
                    message: match status.status {
                        State::Initial => "the run ended before it",
                        State::Running => "the run ended while it ran",
                        _ => "no error was recorded",
                    }
                    .to_owned(),
                    class: None,
                    transient: None,
                });
                self.failures.push(PersistentFailure {
                    query: status.query.clone(),
                    segment: manifest.segment.clone(),
                    status: status.status,
                    round: status.round,
                    error,
                });
            }
            if let (Some(started_at), Some(ended_at)) = (status.started_at, status.ended_at) {
                self.time_line.push(Span {
                    query: status.query.clone(),
                    segment: manifest.segment.clone(),
                    round: status.round,
                    status: status.status,
                    started_at,
                    ended_at,
                    rows: status.rows,
                });
            }
        }
    }

    /// The text of `summary.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::json(self)
    }
}
