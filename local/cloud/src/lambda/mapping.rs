//! Event source mappings from queues: takes batches, invokes the function, deletes what it handled.
//!
//! A message is deleted only when the function said so. What failed is left alone: its visibility timeout brings it back,
//! and its queue's redrive policy ends it (Lambda guide, "Using Lambda with Amazon SQS").

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Inner, Invocation, MAX_PAYLOAD, WhenBusy, invalid};
use crate::service::Properties;
use crate::sqs::{Handed, Sqs};
use crate::{ACCOUNT, ApiError, Caller, PARTITION};

/// Batches at once without a scaling configuration: what a mapping starts with. Lambda adds more under load, which one
/// machine would not profit from.
const CONCURRENCY: u64 = 5;
/// How long a mapping waits that is not allowed to poll.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one wait for messages lasts.
const POLL: Duration = Duration::from_secs(20);

/// One mapping.
struct Mapping {
    inner: Weak<Inner>,
    sqs: Sqs,
    /// The queue's name.
    queue: String,
    /// The function's ARN: what is behind it may be changed.
    function: String,
    batch: usize,
    window: Duration,
    partial: bool,
}

/// A mapping as the API tells of it, and its task.
pub(super) struct Started {
    /// EventSourceMappingConfiguration.
    pub(super) described: Value,
    task: Option<AbortHandle>,
}

impl Started {
    /// Ends the polling.
    pub(super) fn stop(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Reads the properties and starts to poll; a disabled mapping does not.
pub(super) fn start(inner: &Arc<Inner>, id: &str, properties: &Value, sqs: &Sqs) -> Result<Started, ApiError> {
    let mut read = Properties::of("AWS::Lambda::EventSourceMapping", properties)?;
    let source = read.required("EventSourceArn")?;
    let function = inner.find(&read.required("FunctionName")?)?;
    let batch = read.number("BatchSize", 1, 10_000)?.unwrap_or(10);
    let window = read.number("MaximumBatchingWindowInSeconds", 0, 300)?.unwrap_or(0);
    let enabled = read.flag("Enabled")?.unwrap_or(true);
    let mut partial = false;
    for kind in read.list("FunctionResponseTypes")? {
        match kind.as_str() {
            Some("ReportBatchItemFailures") => partial = true,
            _ => return Err(read.error("FunctionResponseTypes", &format!("does not know {kind}"))),
        }
    }
    let mut concurrency = CONCURRENCY;
    if let Some(mut scaling) = read.inside("ScalingConfig")? {
        concurrency = scaling.number("MaximumConcurrency", 2, 1000)?.unwrap_or(CONCURRENCY);
        scaling.end()?;
    }
    read.accept(&["Tags"]);
    if !source.starts_with("arn:") || source.split(':').nth(2) != Some("sqs") {
        return Err(read.error("EventSourceArn", &format!("must be the ARN of a queue, not {source}")));
    }
    read.end()?;
    if batch > 10 && window == 0 {
        return Err(invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10".into(),
        ));
    }
    let queue = sqs.name(&source)?;
    let (visibility, timeout) = (sqs.visibility(&queue)?, function.settings.timeout);
    if visibility < timeout {
        return Err(invalid(format!(
            "Queue visibility timeout: {} seconds is less than Function timeout: {} seconds",
            visibility.as_secs(),
            timeout.as_secs()
        )));
    }
    let region = &inner.config.region;
    let mut described = json!({
        "UUID": id,
        "EventSourceMappingArn": format!("arn:{PARTITION}:lambda:{region}:{ACCOUNT}:event-source-mapping:{id}"),
        "EventSourceArn": source,
        "FunctionArn": function.settings.arn,
        "BatchSize": batch,
        "MaximumBatchingWindowInSeconds": window,
        "FunctionResponseTypes": if partial { json!(["ReportBatchItemFailures"]) } else { json!([]) },
        "State": if enabled { "Enabled" } else { "Disabled" },
        "StateTransitionReason": "USER_INITIATED",
        "LastModified": chrono::Utc::now().timestamp(),
    });
    if concurrency != CONCURRENCY {
        described["ScalingConfig"] = json!({ "MaximumConcurrency": concurrency });
    }
    if !enabled {
        return Ok(Started { described, task: None });
    }
    let mapping = Arc::new(Mapping {
        inner: Arc::downgrade(inner),
        sqs: sqs.clone(),
        queue,
        function: function.settings.arn.clone(),
        batch: usize::try_from(batch).unwrap_or(10),
        window: Duration::from_secs(window),
        partial,
    });
    let slots = Arc::new(Semaphore::new(usize::try_from(concurrency).unwrap_or(5)));
    let task = tokio::spawn(poll(mapping, slots, id.to_owned())).abort_handle();
    Ok(Started { described, task: Some(task) })
}

async fn poll(mapping: Arc<Mapping>, slots: Arc<Semaphore>, id: String) {
    loop {
        // Not one message is taken before somebody is free to handle it.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        // A role that lost its permissions: the mapping finds nothing until it has them again.
        if !mapping.allowed() {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let messages = match mapping.gather().await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, id, "an event source mapping stops");
                return;
            }
        };
        if messages.is_empty() {
            continue;
        }
        let mapping = Arc::clone(&mapping);
        tokio::spawn(async move {
            for part in parts(messages) {
                mapping.handle(part).await;
            }
            drop(slot);
        });
    }
}

impl Mapping {
    /// A batch: full, or as full as it got within the window after its first message.
    async fn gather(&self) -> Result<Vec<Handed>, ApiError> {
        let mut messages = self.sqs.hand_out(&self.queue, self.batch, POLL).await?;
        let end = Instant::now() + self.window;
        while !messages.is_empty() && messages.len() < self.batch {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let room = self.batch - messages.len();
            messages.extend(self.sqs.hand_out(&self.queue, room, left).await?);
        }
        Ok(messages)
    }

    /// Whether the function's role may receive and delete.
    fn allowed(&self) -> bool {
        let Some(inner) = self.inner.upgrade() else { return true };
        let Ok(function) = inner.find(&self.function) else { return true };
        let settings = &function.settings;
        let caller = Caller::assumed(&settings.role, &settings.name);
        let allowed = inner.config.identity.authorizer().check_mapping(&caller, &self.sqs.arn(&self.queue));
        if let Err(error) = &allowed {
            tracing::warn!(%error, function = settings.name, "an event source mapping may not poll");
        }
        allowed.is_ok()
    }

    async fn handle(&self, messages: Vec<Handed>) {
        let Some(inner) = self.inner.upgrade() else {
            return;
        };
        let records: Vec<&Value> = messages.iter().map(|message| &message.record).collect();
        let payload = Bytes::from(json!({ "Records": records }).to_string());
        // A throttled batch is kept as long as its messages are hidden from others.
        let patience = self.sqs.visibility(&self.queue).unwrap_or_default();
        let ended = match inner.find(&self.function) {
            Ok(function) => inner.invoke(function, Uuid::new_v4().to_string(), payload, WhenBusy::Wait(patience)).await,
            Err(error) => Err(error),
        };
        let ids = messages.iter().map(|message| message.id.as_str()).collect();
        let failed = match ended {
            Ok(Invocation { function_error: None, payload, .. }) if self.partial => failures(&payload, &ids),
            Ok(Invocation { function_error: None, .. }) => Failures::These(BTreeSet::new()),
            Ok(_) => Failures::All,
            Err(error) => {
                let function = &self.function;
                tracing::warn!(%error, function, "a batch was not handled");
                Failures::All
            }
        };
        let Failures::These(failed) = failed else {
            return;
        };
        let handled = messages.iter().filter(|message| !failed.contains(&message.id));
        self.sqs.take_out(&self.queue, handled.map(|message| message.receipt.as_str()));
    }
}

/// Cuts a batch so that each part fits into one invocation.
fn parts(messages: Vec<Handed>) -> Vec<Vec<Handed>> {
    let mut parts: Vec<Vec<Handed>> = Vec::new();
    let mut size = 0;
    for message in messages {
        let length = message.record.to_string().len() + 1;
        match parts.last_mut() {
            Some(part) if size + length < MAX_PAYLOAD - 64 => {
                size += length;
                part.push(message);
            }
            _ => {
                size = length;
                parts.push(vec![message]);
            }
        }
    }
    parts
}

/// Which messages of a batch failed.
#[derive(Debug, PartialEq, Eq)]
enum Failures {
    All,
    /// By message id.
    These(BTreeSet<String>),
}

/// Reads a partial answer, as the guide's "success and failure conditions" say: nothing, null or an empty list is a
/// complete success; what is no such answer, or names a message that was not in the batch, is a complete failure.
fn failures(payload: &[u8], ids: &BTreeSet<&str>) -> Failures {
    if payload.is_empty() {
        return Failures::These(BTreeSet::new());
    }
    let Ok(answer) = serde_json::from_slice::<Value>(payload) else {
        return Failures::All;
    };
    let listed = match &answer {
        Value::Null => &Value::Null,
        Value::Object(members) => members.get("batchItemFailures").unwrap_or(&Value::Null),
        _ => return Failures::All,
    };
    let listed = match listed {
        Value::Null => return Failures::These(BTreeSet::new()),
        Value::Array(listed) => listed,
        _ => return Failures::All,
    };
    let mut failed = BTreeSet::new();
    for item in listed {
        match item.get("itemIdentifier").and_then(Value::as_str) {
            Some(id) if ids.contains(id) => failed.insert(id.to_owned()),
            _ => return Failures::All,
        };
    }
    Failures::These(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_answers() {
        let ids = BTreeSet::from(["a", "b"]);
        let these = |ids: &[&str]| Failures::These(ids.iter().map(|id| (*id).to_owned()).collect());
        for (answer, failed) in [
            ("", these(&[])),
            ("null", these(&[])),
            ("{}", these(&[])),
            (r#"{"batchItemFailures":null}"#, these(&[])),
            (r#"{"batchItemFailures":[]}"#, these(&[])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#, these(&["a"])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"a"}]}"#, these(&["a", "b"])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#, Failures::All),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, Failures::All),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, Failures::All),
            (r#"{"batchItemFailures":[{"id":"a"}]}"#, Failures::All),
            (r#"{"batchItemFailures":"a"}"#, Failures::All),
            (r#""done""#, Failures::All),
            ("{", Failures::All),
        ] {
            assert_eq!(failures(answer.as_bytes(), &ids), failed, "{answer}");
        }
    }

    #[test]
    fn a_batch_is_cut_where_an_invocation_would_be_too_large() {
        let message = |id: &str, size: usize| Handed {
            id: id.to_owned(),
            receipt: id.to_owned(),
            record: json!({ "body": "x".repeat(size) }),
        };
        let big = 1_048_576;
        let messages: Vec<Handed> = (0..10).map(|n| message(&n.to_string(), big)).collect();
        let parts = parts(messages);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
    }
}
