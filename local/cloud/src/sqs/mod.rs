//! SQS: standard queues in memory with visibility timeouts, receive counts, delays, retention and dead letter queues.
//!
//! Nothing polls: a receiver waits for a notification or for the next moment at which a message becomes visible. All
//! waiting follows tokio's clock. Message bodies never reach a log.

mod api;
mod queue;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use s3s::crypto::{Checksum as _, Md5};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::service::{Clock, Properties, Service, json_document};
use crate::trace::{Trace, What};
use crate::{ACCOUNT, ApiError, Caller, PARTITION};
use queue::{DeadLetters, Delivery, Message, Queue, Settings};

pub(crate) use api::query_error;

/// Seconds. SQS's limits and defaults, from the SQS guide ("Message quotas", "Queue parameters").
const MAX_VISIBILITY: u64 = 43_200;
const MAX_DELAY: u64 = 900;
const MAX_WAIT: u64 = 20;
/// Bytes.
const MAX_MESSAGE: u64 = 1_048_576;

/// The queues; clones share them.
#[derive(Clone)]
pub struct Sqs {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: String,
    region: String,
    clock: Clock,
    trace: Trace,
    /// By name.
    queues: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    queue: Queue,
    /// Tells receivers that a message may have become visible.
    arrived: Arc<Notify>,
    /// The attributes as they were set, by name, for GetQueueAttributes.
    attributes: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    /// Epoch seconds.
    created: i64,
    modified: i64,
    purged: Option<Instant>,
}

/// A message that was handed out in process, in the shape that Lambda gives to a function but for its source.
#[derive(Debug, Clone)]
pub(crate) struct Handed {
    /// The message's id.
    pub(crate) id: String,
    /// Deletes the message while nobody else was handed it.
    pub(crate) receipt: String,
    /// The record of an event of Lambda's SQS event source.
    pub(crate) record: Value,
}

impl Sqs {
    /// No queues yet. Queue URLs begin with `endpoint`, such as `http://127.0.0.1:4566`.
    pub fn new(endpoint: &str, region: &str, trace: Trace) -> Self {
        Self {
            shared: Arc::new(Shared {
                endpoint: endpoint.to_owned(),
                region: region.to_owned(),
                clock: Clock::default(),
                trace,
                queues: Mutex::default(),
            }),
        }
    }

    /// Creates the queue of an `AWS::SQS::Queue` with these resolved properties under this name. The dead letter queue
    /// that it names may be created later.
    ///
    /// # Errors
    /// An unknown property by name, or a value that SQS refuses.
    pub fn create_queue(&self, name: &str, properties: &Value) -> Result<(), ApiError> {
        self.create(name, attributes_of(properties)?)
    }

    /// Gives a queue the attributes of these properties, and those alone; its policy and its messages stay.
    ///
    /// # Errors
    /// As [`Self::create_queue`], or an unknown queue.
    pub fn update_queue(&self, name: &str, properties: &Value) -> Result<(), ApiError> {
        let mut attributes = attributes_of(properties)?;
        let mut queues = self.lock();
        let entry = queues.get_mut(name).ok_or_else(no_queue)?;
        if let Some(policy) = entry.attributes.get("Policy") {
            attributes.insert("Policy".into(), policy.clone());
        }
        entry.queue.settings = settings(&attributes)?;
        entry.attributes = attributes;
        entry.modified = self.shared.clock.now().timestamp();
        Ok(())
    }

    /// Removes a queue with its messages.
    pub fn delete_queue(&self, name: &str) {
        if let Some(entry) = self.lock().remove(name) {
            // Who waits for messages learns that there is no queue.
            entry.arrived.notify_waiters();
        }
    }

    /// Takes the policy of an `AWS::SQS::QueuePolicy` from its queues.
    pub fn delete_queue_policy(&self, properties: &Value) {
        for queue in properties.get("Queues").and_then(Value::as_array).into_iter().flatten() {
            let name = queue.as_str().and_then(|queue| self.name(queue).ok()).unwrap_or_default();
            if let Some(entry) = self.lock().get_mut(&name) {
                entry.attributes.remove("Policy");
            }
        }
    }

    fn create(&self, name: &str, attributes: BTreeMap<String, String>) -> Result<(), ApiError> {
        if name.ends_with(".fifo") {
            return Err(ApiError::not_implemented("sqs", &format!("the FIFO queue {name}")));
        }
        let wrong = name.is_empty()
            || name.len() > 80
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if wrong {
            return Err(ApiError::new(
                400,
                "InvalidParameterValue",
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ));
        }
        let settings = settings(&attributes)?;
        let now = self.shared.clock.now().timestamp();
        let mut queues = self.lock();
        if let Some(existing) = queues.get(name) {
            return if existing.attributes == attributes {
                Ok(())
            } else {
                let text = "A queue already exists with the same name and a different value for an attribute";
                Err(ApiError::new(400, "QueueNameExists", text))
            };
        }
        let entry = Entry {
            queue: Queue::new(settings),
            arrived: Arc::default(),
            attributes,
            tags: BTreeMap::new(),
            created: now,
            modified: now,
            purged: None,
        };
        queues.insert(name.to_owned(), entry);
        Ok(())
    }

    /// Accepts an `AWS::SQS::QueuePolicy`: its queues must exist, the policy is not evaluated.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown queue.
    pub fn queue_policy(&self, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::SQS::QueuePolicy", properties)?;
        let Some(policy) = read.value("PolicyDocument").and_then(json_document) else {
            return Err(read.error("PolicyDocument", "must be a JSON document"));
        };
        let queues = read.list("Queues")?;
        if queues.is_empty() {
            return Err(read.error("Queues", "must name at least one queue"));
        }
        read.end()?;
        for queue in queues {
            let name = self.name(queue.as_str().unwrap_or_default())?;
            if let Some(entry) = self.lock().get_mut(&name) {
                entry.attributes.insert("Policy".into(), policy.to_string());
            }
        }
        Ok(())
    }

    /// The URL of a queue of this name, whether it exists or not.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.shared.endpoint)
    }

    /// The ARN of a queue of this name, whether it exists or not.
    pub fn arn(&self, name: &str) -> String {
        format!("arn:{PARTITION}:sqs:{}:{ACCOUNT}:{name}", self.shared.region)
    }

    /// Sends a message in process to a queue (by name, URL or ARN) and answers with its id.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, `InvalidMessageContents`.
    pub fn send(&self, queue: &str, body: &str) -> Result<String, ApiError> {
        let sending = Sending { body: body.to_owned(), ..Sending::default() };
        self.put(&self.name(queue)?, ACCOUNT, sending)
    }

    /// As [`Self::send`], with message attributes in the shape of SendMessage.
    pub(crate) fn send_with(
        &self,
        queue: &str,
        body: &str,
        attributes: Map<String, Value>,
    ) -> Result<String, ApiError> {
        let sending = Sending { body: body.to_owned(), attributes, ..Sending::default() };
        self.put(&self.name(queue)?, ACCOUNT, sending)
    }

    /// The bodies of all messages that rest in a queue (by name, URL or ARN), oldest first, without receiving them.
    ///
    /// # Errors
    /// `QueueDoesNotExist`.
    pub fn peek(&self, queue: &str) -> Result<Vec<String>, ApiError> {
        let name = self.name(queue)?;
        let queues = self.lock();
        let entry = queues.get(&name).ok_or_else(no_queue)?;
        Ok(entry.queue.messages().map(|message| message.body.clone()).collect())
    }

    /// Visible, in flight and delayed messages of a queue (by name, URL or ARN).
    ///
    /// # Errors
    /// `QueueDoesNotExist`.
    pub fn counts(&self, queue: &str) -> Result<(usize, usize, usize), ApiError> {
        let name = self.name(queue)?;
        Ok(self.lock().get_mut(&name).ok_or_else(no_queue)?.queue.counts(Instant::now()))
    }

    /// The name of an existing queue that is given by name, URL or ARN.
    pub(crate) fn name(&self, queue: &str) -> Result<String, ApiError> {
        let name = queue.rsplit(['/', ':']).next().unwrap_or(queue);
        let known = self.lock().contains_key(name);
        let ours = !queue.starts_with("arn:") || queue == self.arn(name);
        if known && ours { Ok(name.to_owned()) } else { Err(no_queue()) }
    }

    /// A queue's visibility timeout and receive wait time.
    pub(crate) fn visibility(&self, name: &str) -> Result<Duration, ApiError> {
        Ok(self.lock().get(name).ok_or_else(no_queue)?.queue.settings.visibility)
    }

    /// Waits up to `wait` for messages, and hands out up to `max`.
    pub(crate) async fn hand_out(&self, name: &str, max: usize, wait: Duration) -> Result<Vec<Handed>, ApiError> {
        let deliveries = self.receive(name, max, None, Some(wait)).await?;
        Ok(deliveries.into_iter().map(|delivery| self.handed(name, delivery)).collect())
    }

    /// Takes messages out for good. One that somebody else was handed meanwhile stays.
    pub(crate) fn take_out<'a>(&self, name: &str, receipts: impl Iterator<Item = &'a str>) {
        if let Some(entry) = self.lock().get_mut(name) {
            for receipt in receipts {
                entry.queue.delete(receipt);
            }
        }
    }

    fn handed(&self, name: &str, delivery: Delivery) -> Handed {
        let message = &delivery.message;
        let attributes: Map<String, Value> = (message.attributes.iter())
            .map(|(name, value)| {
                let mut members = Map::new();
                for (from, to) in
                    [("StringValue", "stringValue"), ("BinaryValue", "binaryValue"), ("DataType", "dataType")]
                {
                    if let Some(member) = value.get(from) {
                        members.insert(to.to_owned(), member.clone());
                    }
                }
                members.insert("stringListValues".into(), json!([]));
                members.insert("binaryListValues".into(), json!([]));
                (name.clone(), Value::Object(members))
            })
            .collect();
        let mut record = json!({
            "messageId": message.id,
            "receiptHandle": delivery.receipt,
            "body": message.body,
            "attributes": api::system_attributes(message),
            "messageAttributes": attributes,
            "md5OfBody": md5(message.body.as_bytes()),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn(name),
            "awsRegion": self.shared.region,
        });
        if !message.attributes.is_empty() {
            record["md5OfMessageAttributes"] = json!(api::md5_of_attributes(&message.attributes));
        }
        Handed { id: message.id.clone(), receipt: delivery.receipt, record }
    }

    fn put(&self, name: &str, sender: &str, sending: Sending) -> Result<String, ApiError> {
        let now = Instant::now();
        let mut queues = self.lock();
        let entry = queues.get_mut(name).ok_or_else(no_queue)?;
        sending.check(entry.queue.settings.max_size)?;
        let delay = sending.delay.unwrap_or(entry.queue.settings.delay);
        let id = Uuid::new_v4().to_string();
        let message = Message {
            id: id.clone(),
            body: sending.body,
            attributes: sending.attributes,
            system_attributes: sending.system_attributes,
            sender: sender.to_owned(),
            sent_millis: self.shared.clock.millis(),
            sent: now,
            receives: 0,
            first_received_millis: None,
            dead_from: None,
        };
        entry.queue.put(now, message, delay);
        entry.arrived.notify_waiters();
        drop(queues);
        self.shared.trace.emit(What::MessageSent { queue: name.to_owned(), message: id.clone() });
        Ok(id)
    }

    async fn receive(
        &self,
        name: &str,
        max: usize,
        visibility: Option<Duration>,
        wait: Option<Duration>,
    ) -> Result<Vec<Delivery>, ApiError> {
        let begun = Instant::now();
        loop {
            let (arrived, end) = {
                let queues = self.lock();
                let entry = queues.get(name).ok_or_else(no_queue)?;
                let wait = wait.unwrap_or(entry.queue.settings.wait);
                (Arc::clone(&entry.arrived), begun + wait)
            };
            let notified = arrived.notified();
            tokio::pin!(notified);
            // Registered before looking, so that an arrival in between is not missed.
            notified.as_mut().enable();
            let deliveries = self.receive_now(name, max, visibility)?;
            if !deliveries.is_empty() || Instant::now() >= end {
                return Ok(deliveries);
            }
            let next = self.lock().get(name).and_then(|entry| entry.queue.next_appearance());
            let until = next.map_or(end, |next| next.min(end));
            tokio::select! {
                () = notified => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    fn receive_now(&self, name: &str, max: usize, visibility: Option<Duration>) -> Result<Vec<Delivery>, ApiError> {
        let now = Instant::now();
        let mut queues = self.lock();
        let entry = queues.get_mut(name).ok_or_else(no_queue)?;
        let dead_queue = entry.queue.settings.dead_letters.as_ref().map(|dead| dead.queue.clone());
        if let Some(dead) = &dead_queue
            && !queues.contains_key(dead)
        {
            return Err(ApiError::new(
                400,
                "QueueDoesNotExist",
                format!("the dead letter queue {dead} of {name} does not exist"),
            ));
        }
        let entry = queues.get_mut(name).ok_or_else(no_queue)?;
        let visibility = visibility.unwrap_or(entry.queue.settings.visibility);
        let (deliveries, dead) = entry.queue.receive(now, self.shared.clock.millis(), max, visibility);
        let mut shown = Vec::new();
        if let Some(target) = dead_queue.and_then(|dead| queues.get_mut(&dead)) {
            for mut message in dead {
                message.dead_from = Some(self.arn(name));
                let message_id = message.id.clone();
                target.queue.put(now, message, Duration::ZERO);
                shown.push(What::MessageDead { queue: name.to_owned(), message: message_id });
            }
            target.arrived.notify_waiters();
        }
        drop(queues);
        shown.extend(deliveries.iter().map(|delivery| What::MessageReceived {
            queue: name.to_owned(),
            message: delivery.message.id.clone(),
            receives: delivery.message.receives,
        }));
        for what in shown {
            self.shared.trace.emit(what);
        }
        Ok(deliveries)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Service for Sqs {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.answer(operation, caller, &body).await
    }
}

/// A message before it is on a queue.
#[derive(Default)]
struct Sending {
    body: String,
    attributes: Map<String, Value>,
    system_attributes: Map<String, Value>,
    delay: Option<Duration>,
}

impl Sending {
    fn check(&self, max_size: usize) -> Result<(), ApiError> {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let member = |member| value.get(member).and_then(Value::as_str).map_or(0, str::len);
            name.len() + member("DataType") + member("StringValue") + member("BinaryValue")
        });
        if self.body.len() + attributes.sum::<usize>() > max_size {
            return Err(ApiError::new(
                400,
                "InvalidParameterValue",
                format!("One or more parameters are invalid. Reason: Message must be shorter than {max_size} bytes."),
            ));
        }
        // The characters of XML 1.0, as SendMessage documents.
        let allowed = |c: char| matches!(c, '\u{9}' | '\u{a}' | '\u{d}' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        if self.body.is_empty() || !self.body.chars().all(allowed) {
            return Err(ApiError::new(
                400,
                "InvalidMessageContents",
                "The message must have at least one character, and only characters that XML 1.0 allows.",
            ));
        }
        Ok(())
    }
}

/// The attributes that a queue can be given; CloudFormation's properties have the same names.
const SETTABLE: [&str; 11] = [
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
];

/// The attributes that the properties of an `AWS::SQS::Queue` stand for.
fn attributes_of(properties: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let mut read = Properties::of("AWS::SQS::Queue", properties)?;
    read.accept(&["QueueName", "Tags"]);
    let mut attributes = BTreeMap::new();
    for property in SETTABLE {
        let value = match read.value(property) {
            None => continue,
            Some(document @ (Value::Object(_) | Value::Array(_))) => document.to_string(),
            Some(_) => read.text(property)?.unwrap_or_default(),
        };
        attributes.insert(property.to_owned(), value);
    }
    if read.flag("FifoQueue")? == Some(true) {
        return Err(ApiError::not_implemented("sqs", "FifoQueue"));
    }
    read.end()?;
    Ok(attributes)
}

/// What attributes mean. Those that are about encryption and access change nothing here.
fn settings(attributes: &BTreeMap<String, String>) -> Result<Settings, ApiError> {
    let invalid = |name: &str| {
        let text = format!("Invalid value for the parameter {name}.");
        ApiError::new(400, "InvalidAttributeValue", text)
    };
    let number = |name: &str, least: u64, most: u64, default: u64| match attributes.get(name) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| invalid(name)),
    };
    let seconds =
        |name: &str, least: u64, most: u64, default: u64| number(name, least, most, default).map(Duration::from_secs);
    let dead_letters = match attributes.get("RedrivePolicy").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => {
            let policy: Value = serde_json::from_str(text).map_err(|_| invalid("RedrivePolicy"))?;
            let target = policy.get("deadLetterTargetArn").and_then(Value::as_str);
            let times = policy.get("maxReceiveCount").and_then(|times| match times {
                Value::String(text) => text.parse().ok(),
                other => other.as_u64(),
            });
            let times = times.filter(|times| (1..=1000).contains(times));
            match (target.and_then(|arn| arn.rsplit(':').next()), times) {
                (Some(queue), Some(times)) => Some(DeadLetters {
                    queue: queue.to_owned(),
                    max_receives: u32::try_from(times).map_err(|_| invalid("RedrivePolicy"))?,
                }),
                _ => return Err(invalid("RedrivePolicy")),
            }
        }
    };
    let max_size = number("MaximumMessageSize", 1024, MAX_MESSAGE, MAX_MESSAGE)?;
    Ok(Settings {
        visibility: seconds("VisibilityTimeout", 0, MAX_VISIBILITY, 30)?,
        retention: seconds("MessageRetentionPeriod", 60, 1_209_600, 345_600)?,
        delay: seconds("DelaySeconds", 0, MAX_DELAY, 0)?,
        wait: seconds("ReceiveMessageWaitTimeSeconds", 0, MAX_WAIT, 0)?,
        max_size: usize::try_from(max_size).map_err(|_| invalid("MaximumMessageSize"))?,
        dead_letters,
    })
}

fn no_queue() -> ApiError {
    ApiError::new(400, "QueueDoesNotExist", "The specified queue does not exist.")
}

fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::checksum(bytes))
}

#[cfg(test)]
mod tests;
