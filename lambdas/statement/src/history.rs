//! Whether a task is still waiting, read from its execution's history. No heartbeat may be sent to find out: it would
//! extend the time budget that the user's `HeartbeatSeconds` sets.

use serde_json::Value;

use crate::key;
use crate::ports::HistoryEvent;

/// What the history tells of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// It was scheduled and nothing ended it.
    Waiting,
    /// An event after it ended it.
    Over,
    /// Its TaskScheduled event is not among the events: read on, or conclude nothing.
    NotSeen,
}

/// Looks for the task whose token has this hash among the newest events of a history, in any order.
#[must_use]
pub fn task_state(events: &[HistoryEvent], token_hash: &str) -> TaskState {
    let Some(scheduled) = events.iter().find(|e| e.kind == "TaskScheduled" && holds_token(e, token_hash)) else {
        return TaskState::NotSeen;
    };
    let ended = events.iter().any(|event| {
        event.id > scheduled.id
            && !matches!(event.kind.as_str(), "TaskStarted" | "TaskSubmitted")
            && descends(events, event, scheduled.id)
    });
    if ended { TaskState::Over } else { TaskState::Waiting }
}

/// Whether the chain of previous events leads to `ancestor`. Ids only fall along it, so it ends.
fn descends(events: &[HistoryEvent], event: &HistoryEvent, ancestor: i64) -> bool {
    let mut previous = event.previous;
    loop {
        if previous <= ancestor {
            return previous == ancestor;
        }
        match events.iter().find(|e| e.id == previous) {
            Some(found) if found.previous < previous => previous = found.previous,
            _ => return false,
        }
    }
}

fn holds_token(event: &HistoryEvent, token_hash: &str) -> bool {
    let parameters = event.parameters.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    parameters.is_some_and(|value| any_string(&value, &|text| key::token(text) == token_hash))
}

fn any_string(value: &Value, test: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => test(text),
        Value::Array(list) => list.iter().any(|v| any_string(v, test)),
        Value::Object(object) => object.values().any(|v| any_string(v, test)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: i64, previous: i64, kind: &str, token: Option<&str>) -> HistoryEvent {
        HistoryEvent {
            id,
            previous,
            kind: kind.to_owned(),
            parameters: token.map(|t| format!(r#"{{"Payload":{{"taskToken":"{t}"}}}}"#)),
        }
    }

    #[test]
    fn a_task_is_over_when_an_event_of_its_chain_says_so() {
        let base = vec![
            event(1, 0, "ExecutionStarted", None),
            event(2, 1, "TaskStateEntered", None),
            event(3, 2, "TaskScheduled", Some("one")),
            event(4, 3, "TaskStarted", None),
            event(5, 4, "TaskSubmitted", None),
        ];
        let hash = key::token("one");
        assert_eq!(task_state(&base, &hash), TaskState::Waiting);
        assert_eq!(task_state(&base, &key::token("two")), TaskState::NotSeen);
        // Another branch's events change nothing.
        let mut branch = base.clone();
        branch.extend([event(6, 2, "TaskScheduled", Some("two")), event(7, 6, "TaskTimedOut", None)]);
        assert_eq!(task_state(&branch, &hash), TaskState::Waiting);
        assert_eq!(task_state(&branch, &key::token("two")), TaskState::Over);
        for kind in ["TaskTimedOut", "TaskFailed", "TaskSucceeded", "TaskSubmitFailed", "TaskStateAborted"] {
            let mut over = branch.clone();
            over.push(event(8, 5, kind, None));
            over.reverse();
            assert_eq!(task_state(&over, &hash), TaskState::Over, "{kind}");
        }
    }
}
