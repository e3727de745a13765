//! What is known about Map Runs, for `DescribeMapRun` and `ListMapRuns`: when they ran, how they ended, how many of
//! their children came through. Must never decide anything: the Map state does.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Engine, ExecutionId};
use crate::timestamp;

/// One Map Run, under way or over.
#[derive(Debug)]
pub(crate) struct MapRunRecord {
    pub execution: ExecutionId,
    /// Milliseconds since 1970.
    pub started: i64,
    pub stopped: Option<i64>,
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `ABORTED`.
    pub status: &'static str,
    /// 0 where nothing was said.
    pub concurrency: usize,
    pub tolerated_count: i64,
    pub tolerated_percentage: f64,
    pub executions: Counts,
    /// The same of items; more than executions where they come in batches.
    pub items: Counts,
}

/// How many of them are where.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub total: usize,
    pub running: usize,
    pub succeeded: usize,
    pub failed: usize,
    pub aborted: usize,
    pub written: usize,
}

/// What happens to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Child {
    Started,
    Succeeded,
    Failed,
    Aborted,
}

impl Counts {
    fn add(&mut self, what: Child, number: usize) {
        let ended = match what {
            Child::Started => {
                self.running += number;
                return;
            }
            Child::Succeeded => &mut self.succeeded,
            Child::Failed => &mut self.failed,
            Child::Aborted => &mut self.aborted,
        };
        *ended += number;
        self.running = self.running.saturating_sub(number);
    }

    /// As the API has them.
    pub(crate) fn to_json(self) -> Value {
        let begun = self.running + self.succeeded + self.failed + self.aborted;
        json!({
            "pending": self.total.saturating_sub(begun),
            "running": self.running,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "timedOut": 0,
            "aborted": self.aborted,
            "total": self.total,
            "resultsWritten": self.written,
            "failuresNotRedrivable": 0,
            "pendingRedrive": 0,
        })
    }
}

impl MapRunRecord {
    /// The answer of `DescribeMapRun`.
    pub(crate) fn to_json(&self, arn: &str, execution_arn: &str) -> Value {
        let mut answer = json!({
            "mapRunArn": arn,
            "executionArn": execution_arn,
            "status": self.status,
            "startDate": timestamp::seconds(self.started),
            "maxConcurrency": self.concurrency,
            "toleratedFailurePercentage": self.tolerated_percentage,
            "toleratedFailureCount": self.tolerated_count,
            "itemCounts": self.items.to_json(),
            "executionCounts": self.executions.to_json(),
            "redriveCount": 0,
        });
        if let Some(stopped) = self.stopped {
            answer["stopDate"] = timestamp::seconds(stopped);
        }
        answer
    }
}

impl Engine {
    pub(super) fn map_run_begun(&mut self, arn: &Arc<str>, record: MapRunRecord) {
        self.executions[record.execution].map_runs.push(Arc::clone(arn));
        self.map_runs.insert(Arc::clone(arn), record);
    }

    pub(super) fn map_run_total(&mut self, arn: &str, executions: usize, items: usize) {
        if let Some(record) = self.map_runs.get_mut(arn) {
            record.executions.total = executions;
            record.items.total = items;
        }
    }

    pub(super) fn map_run_child(&mut self, arn: &str, what: Child, items: usize) {
        if let Some(record) = self.map_runs.get_mut(arn) {
            record.executions.add(what, 1);
            record.items.add(what, items);
        }
    }

    pub(super) fn map_run_written(&mut self, arn: &str, executions: usize) {
        if let Some(record) = self.map_runs.get_mut(arn) {
            record.executions.written = executions;
            record.items.written = record.items.succeeded + record.items.failed + record.items.aborted;
        }
    }

    /// The run is over. What still ran is aborted; a run that is over already stays as it ended.
    pub(super) fn map_run_ended(&mut self, arn: &str, status: &'static str, now: i64) {
        let Some(record) = self.map_runs.get_mut(arn).filter(|record| record.stopped.is_none()) else {
            return;
        };
        record.status = status;
        record.stopped = Some(now);
        for counts in [&mut record.executions, &mut record.items] {
            counts.add(Child::Aborted, counts.running);
        }
    }
}
