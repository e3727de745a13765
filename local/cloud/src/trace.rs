//! What happens in the local cloud, as it happens: typed events with their time, for the command's progress display
//! and for tests that wait on a condition.
//!
//! Observes only: a slow or missing subscriber must never delay or change what is observed. Carries names, ids and
//! states, never tokens, SQL or credentials.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::broadcast;

/// How many events a subscriber may lag behind before it loses the oldest.
const CAPACITY: usize = 16_384;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When, in wall time.
    pub at: DateTime<Utc>,
    /// What.
    pub what: What,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// A resource of the templates exists now.
    Created {
        /// Logical path, such as `Tasker/Queue`.
        resource: String,
        /// CloudFormation's type.
        kind: String,
        /// What `Ref` gives.
        id: String,
    },
    /// A call reached a service and was answered.
    Call {
        /// `dynamodb`, `kms`, `sqs`, `s3`, `lambda`, `states` or `redshift-data`.
        service: String,
        /// The operation, such as `PutItem`.
        operation: String,
        /// The calling function, or `None` for anyone else.
        function: Option<String>,
        /// The error's name, when refused.
        error: Option<String>,
    },
    /// Policies did not allow a call, or a part of it.
    Denied {
        /// The ARN of the role, or the name of the service, that asked.
        principal: String,
        /// The action, such as `dynamodb:PutItem`.
        action: String,
        /// The ARN of the resource, or `*`.
        resource: String,
    },
    /// A process of a function was started.
    FunctionStarted {
        /// The function's name.
        function: String,
        /// Its process id.
        pid: u32,
    },
    /// A function was given an event.
    Invoked {
        /// The function's name.
        function: String,
        /// The request id.
        request: String,
    },
    /// An invocation ended.
    Returned {
        /// The function's name.
        function: String,
        /// The request id.
        request: String,
        /// The error's name, when it failed.
        error: Option<String>,
    },
    /// A process of a function ended.
    FunctionEnded {
        /// The function's name.
        function: String,
        /// Its process id.
        pid: u32,
        /// Why, in words.
        reason: String,
    },
    /// An event came to the bus.
    Event {
        /// Its `source`.
        source: String,
        /// Its `detail-type`.
        detail_type: String,
        /// Its `detail`, without `input`, `output` and `cause`.
        detail: Value,
        /// What became of it.
        fate: Fate,
    },
    /// A rule passed an event to a target.
    Delivered {
        /// The rule's name.
        rule: String,
        /// The target's ARN.
        target: String,
        /// Why the target did not take it.
        error: Option<String>,
    },
    /// A message was put on a queue.
    MessageSent {
        /// The queue's name.
        queue: String,
        /// The message's id.
        message: String,
    },
    /// Messages were handed out by a queue.
    MessageReceived {
        /// The queue's name.
        queue: String,
        /// The message's id.
        message: String,
        /// How often it was handed out, this time included.
        receives: u32,
    },
    /// A message moved to the dead letter queue.
    MessageDead {
        /// The queue it left.
        queue: String,
        /// The message's id.
        message: String,
    },
    /// A message was published to a topic.
    Published {
        /// The topic's name.
        topic: String,
        /// The message's id.
        message: String,
    },
    /// A subscription was given a message.
    Notified {
        /// The topic's name.
        topic: String,
        /// The subscription's endpoint: an address or an ARN.
        endpoint: String,
        /// The message's id.
        message: String,
        /// The error's name, when the subscriber refused.
        error: Option<String>,
    },
    /// An e-mail is in the outbox.
    Mailed {
        /// Who would have got it.
        to: String,
        /// Its subject.
        subject: String,
        /// The file's name in the outbox.
        file: String,
    },
    /// An execution of a state machine changed its status.
    Execution {
        /// Its ARN.
        arn: String,
        /// The new status.
        status: String,
    },
}

/// What became of an event on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It went to the rules.
    Passed,
    /// A fault dropped it.
    Dropped,
    /// A fault passed it this many times more than once.
    Duplicated(u32),
    /// A fault holds it back.
    Held,
    /// A fault held it back, and let it go now.
    Released,
}

/// The sending side; clones share the subscribers.
#[derive(Debug, Clone)]
pub struct Trace {
    sender: broadcast::Sender<Entry>,
}

impl Default for Trace {
    fn default() -> Self {
        Self { sender: broadcast::channel(CAPACITY).0 }
    }
}

impl Trace {
    /// Tells every subscriber. Without subscribers nothing happens.
    pub fn emit(&self, mut what: What) {
        // An execution's input, output and cause are its data: SQL, tokens, rows.
        if let What::Event { detail: Value::Object(detail), .. } = &mut what {
            detail.retain(|name, _| !matches!(name.as_str(), "input" | "output" | "cause"));
        }
        // An error only says that nobody listens.
        let _ = self.sender.send(Entry { at: Utc::now(), what });
    }

    /// Everything that happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Entry> {
        self.sender.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_data_of_an_execution_is_not_shown() {
        let trace = Trace::default();
        let mut seen = trace.subscribe();
        trace.emit(What::Event {
            source: "aws.states".into(),
            detail_type: "Step Functions Execution Status Change".into(),
            detail: json!({"status": "FAILED", "input": "select secret", "output": "rows", "cause": "select secret"}),
            fate: Fate::Passed,
        });
        let What::Event { detail, .. } = seen.try_recv().unwrap().what else { panic!("another kind") };
        assert_eq!(detail, json!({"status": "FAILED"}));
    }
}
