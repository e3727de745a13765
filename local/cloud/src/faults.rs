//! Faults that a test or the demonstration puts into the local cloud: events that get lost, come twice or come late.
//!
//! Nothing happens by chance: a fault is armed for a stated number of events that match, and is used up by them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Which events on the bus a fault is for. Empty matches every event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matching {
    /// The event's `source` must be this.
    pub source: Option<String>,
    /// The event's `detail-type` must be this.
    pub detail_type: Option<String>,
    /// A member of `detail` (by JSON pointer, such as `/state`) and the value it must have.
    pub detail: Vec<(String, Value)>,
}

impl Matching {
    /// Events of this source, such as `aws.redshift-data`.
    pub fn source(source: &str) -> Self {
        Self { source: Some(source.to_owned()), ..Self::default() }
    }

    /// And with this value at this JSON pointer below `detail`.
    #[must_use]
    pub fn and_detail(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        self.detail.push((pointer.to_owned(), value.into()));
        self
    }

    fn takes(&self, event: &Value) -> bool {
        let is = |name: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| event.get(name).and_then(Value::as_str) == Some(wanted))
        };
        is("source", &self.source)
            && is("detail-type", &self.detail_type)
            && self
                .detail
                .iter()
                .all(|(pointer, value)| event.get("detail").and_then(|detail| detail.pointer(pointer)) == Some(value))
    }
}

/// What the bus does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Passes it this many times; once is usual.
    Pass(u32),
    /// Loses it.
    Drop,
    /// Keeps it until [`Faults::release`].
    Hold,
}

#[derive(Debug)]
struct Armed {
    matching: Matching,
    verdict: Verdict,
    left: u32,
}

#[derive(Debug, Default)]
struct State {
    armed: Vec<Armed>,
    held: Vec<Value>,
    released: Vec<Value>,
}

/// The armed faults; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    /// Wakes the bus when held events are let go.
    wake: Arc<tokio::sync::Notify>,
}

impl Faults {
    /// Loses the next `count` events that match.
    pub fn drop_next(&self, matching: Matching, count: u32) {
        self.arm(matching, Verdict::Drop, count);
    }

    /// Passes each of the next `count` events that match `times` times.
    pub fn duplicate_next(&self, matching: Matching, count: u32, times: u32) {
        self.arm(matching, Verdict::Pass(times), count);
    }

    /// Holds back the next `count` events that match until [`Faults::release`].
    pub fn hold_next(&self, matching: Matching, count: u32) {
        self.arm(matching, Verdict::Hold, count);
    }

    /// Lets go of every event held so far, in the order they came, and says how many.
    pub fn release(&self) -> usize {
        let mut state = self.lock();
        let held = std::mem::take(&mut state.held);
        let count = held.len();
        state.released.extend(held);
        drop(state);
        self.wake.notify_one();
        count
    }

    /// The events held back now.
    pub fn held(&self) -> Vec<Value> {
        self.lock().held.clone()
    }

    /// Forgets every armed fault. Held events stay held.
    pub fn clear(&self) {
        self.lock().armed.clear();
    }

    /// Decides about an event that came to the bus, and uses up the fault it meets; the first armed goes first.
    pub fn judge(&self, event: &Value) -> Verdict {
        let mut state = self.lock();
        let Some(at) = state.armed.iter().position(|armed| armed.matching.takes(event)) else {
            return Verdict::Pass(1);
        };
        let armed = &mut state.armed[at];
        let verdict = armed.verdict;
        armed.left -= 1;
        if armed.left == 0 {
            state.armed.remove(at);
        }
        if verdict == Verdict::Hold {
            state.held.push(event.clone());
        }
        verdict
    }

    /// Waits for events that were let go. The bus calls it in a loop.
    pub async fn released(&self) -> Vec<Value> {
        loop {
            let notified = self.wake.notified();
            let released = std::mem::take(&mut self.lock().released);
            if !released.is_empty() {
                return released;
            }
            notified.await;
        }
    }

    fn arm(&self, matching: Matching, verdict: Verdict, count: u32) {
        if count > 0 {
            self.lock().armed.push(Armed { matching, verdict, left: count });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_is_used_up_by_what_matches_it() {
        let faults = Faults::default();
        faults.drop_next(Matching::source("aws.redshift-data").and_detail("/state", "FINISHED"), 1);
        faults.duplicate_next(Matching::source("aws.states"), 1, 3);
        let ended = json!({"source": "aws.redshift-data", "detail": {"state": "FINISHED"}});
        let failed = json!({"source": "aws.redshift-data", "detail": {"state": "FAILED"}});
        assert_eq!(faults.judge(&failed), Verdict::Pass(1));
        assert_eq!(faults.judge(&ended), Verdict::Drop);
        assert_eq!(faults.judge(&ended), Verdict::Pass(1));
        assert_eq!(faults.judge(&json!({"source": "aws.states"})), Verdict::Pass(3));
        assert_eq!(faults.judge(&json!({"source": "aws.states"})), Verdict::Pass(1));
    }

    #[tokio::test]
    async fn held_events_come_in_order_when_released() {
        let faults = Faults::default();
        faults.hold_next(Matching::default(), 2);
        for n in [1, 2] {
            assert_eq!(faults.judge(&json!({"n": n})), Verdict::Hold);
        }
        assert_eq!(faults.judge(&json!({"n": 3})), Verdict::Pass(1));
        assert_eq!(faults.held().len(), 2);
        assert_eq!(faults.release(), 2);
        assert_eq!(faults.released().await, vec![json!({"n": 1}), json!({"n": 2})]);
        assert!(faults.held().is_empty());
    }
}
