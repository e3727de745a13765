//! When something is due. Must never fire what was cancelled.

use std::collections::BTreeMap;

use super::{ExecutionId, StrandId};
use crate::TaskId;

/// When, in milliseconds since 1970, and a number that keeps the order of those due at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimerKey(i64, u64);

#[derive(Debug, Clone, Copy)]
pub(super) struct Timer {
    pub execution: ExecutionId,
    pub strand: StrandId,
    pub what: What,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// The machine's `TimeoutSeconds`.
    Execution,
    /// An execution that a task started.
    Begin,
    /// A Wait state.
    Wait,
    /// The pause before a retry.
    Retry,
    /// A task's `TimeoutSeconds`.
    Task(TaskId),
    /// A task's `HeartbeatSeconds`.
    Heartbeat(TaskId),
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<TimerKey, Timer>,
    next: u64,
}

impl Timers {
    pub(super) fn add(&mut self, at: i64, timer: Timer) -> TimerKey {
        let key = TimerKey(at, self.next);
        self.next += 1;
        self.due.insert(key, timer);
        key
    }

    /// The time limit of an execution, in seconds, if its machine has one.
    pub(super) fn limit(&mut self, execution: ExecutionId, seconds: Option<i64>, now: i64) -> Option<TimerKey> {
        let timer = Timer { execution, strand: 0, what: What::Execution };
        seconds.map(|seconds| self.add(now + seconds * 1000, timer))
    }

    pub(super) fn cancel(&mut self, key: TimerKey) {
        self.due.remove(&key);
    }

    pub(super) fn next(&self) -> Option<i64> {
        self.due.first_key_value().map(|(key, _)| key.0)
    }

    /// How many timers there were so far.
    pub(super) fn issued(&self) -> u64 {
        self.next
    }

    /// The first that is due, among the first `known` that there were.
    pub(super) fn pop_due(&mut self, now: i64, known: u64) -> Option<Timer> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now && first.key().1 < known)?;
        Some(first.remove())
    }
}
