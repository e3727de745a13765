//! The wire operations of SQS, AWS JSON 1.0.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::crypto::{Checksum as _, Md5};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::queue::{Delivery, Message, Receipt};
use super::{MAX_DELAY, MAX_VISIBILITY, MAX_WAIT, SETTABLE, Sending, Sqs, md5, no_queue, settings};
use crate::service::Request;
use crate::{ApiError, Caller};

/// What a batch may hold (quotas page), in entries and in bytes.
const MAX_BATCH: usize = 10;
const MAX_BATCH_SIZE: usize = 1_048_576;
/// Queues of one page of a list.
const PAGE: usize = 1000;
/// How long a purge takes, as PurgeQueue documents it: a second one in this time is refused.
const PURGE: Duration = Duration::from_secs(60);
/// Tags of one queue.
const MAX_TAGS: usize = 50;

impl Sqs {
    pub(super) async fn answer(&self, operation: &str, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let mut read = Request::of("sqs", operation, body)?;
        match operation {
            "CreateQueue" => {
                let name = read.required("QueueName")?;
                let attributes = read.texts("Attributes")?;
                let tags = read.texts("tags")?;
                read.end()?;
                settable(&attributes)?;
                self.create(name, attributes)?;
                if let Some(entry) = self.lock().get_mut(name) {
                    entry.tags.extend(tags);
                }
                Ok(json!({ "QueueUrl": self.url(name) }))
            }
            "GetQueueUrl" => {
                let name = read.required("QueueName")?;
                read.value("QueueOwnerAWSAccountId");
                read.end()?;
                Ok(json!({ "QueueUrl": self.url(&self.name(name)?) }))
            }
            "ListQueues" => {
                let prefix = read.text("QueueNamePrefix")?.unwrap_or_default();
                let queues = self.lock();
                let found = queues.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
                self.page(&mut read, "QueueUrls", found)
            }
            "DeleteQueue" => {
                let name = self.queue_of(&mut read)?;
                read.end()?;
                self.lock().remove(&name);
                Ok(json!({}))
            }
            "PurgeQueue" => {
                let name = self.queue_of(&mut read)?;
                read.end()?;
                let now = Instant::now();
                let mut queues = self.lock();
                let entry = queues.get_mut(&name).ok_or_else(no_queue)?;
                if entry.purged.is_some_and(|purged| now.duration_since(purged) < PURGE) {
                    let text = format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
                    return Err(ApiError::new(403, "PurgeQueueInProgress", text));
                }
                entry.purged = Some(now);
                entry.queue.purge();
                Ok(json!({}))
            }
            "GetQueueAttributes" => {
                let name = self.queue_of(&mut read)?;
                let wanted = names(read.list("AttributeNames")?);
                read.end()?;
                let mut attributes = self.attributes(&name)?;
                let known = |name: &str| name == "All" || attributes.contains_key(name) || SETTABLE.contains(&name);
                if let Some(name) = wanted.iter().find(|name| !known(name)) {
                    return Err(unknown_attribute(name));
                }
                attributes.retain(|name, _| wanted.iter().any(|w| *w == "All" || w == name));
                Ok(json!({ "Attributes": attributes }))
            }
            "SetQueueAttributes" => {
                let name = self.queue_of(&mut read)?;
                let changes = read.texts("Attributes")?;
                read.end()?;
                settable(&changes)?;
                let mut queues = self.lock();
                let entry = queues.get_mut(&name).ok_or_else(no_queue)?;
                let mut attributes = entry.attributes.clone();
                attributes.extend(changes);
                entry.queue.settings = settings(&attributes)?;
                entry.attributes = attributes;
                entry.modified = self.shared.clock.now().timestamp();
                Ok(json!({}))
            }
            "TagQueue" => {
                let name = self.queue_of(&mut read)?;
                let tags = read.texts("Tags")?;
                read.end()?;
                let mut queues = self.lock();
                let entry = queues.get_mut(&name).ok_or_else(no_queue)?;
                entry.tags.extend(tags);
                if entry.tags.len() > MAX_TAGS {
                    return Err(parameter("Tags", &format!("may be {MAX_TAGS}")));
                }
                Ok(json!({}))
            }
            "UntagQueue" => {
                let name = self.queue_of(&mut read)?;
                let keys = names(read.list("TagKeys")?);
                read.end()?;
                let mut queues = self.lock();
                queues.get_mut(&name).ok_or_else(no_queue)?.tags.retain(|key, _| !keys.contains(&key.as_str()));
                Ok(json!({}))
            }
            "ListQueueTags" => {
                let name = self.queue_of(&mut read)?;
                read.end()?;
                Ok(json!({ "Tags": self.lock().get(&name).ok_or_else(no_queue)?.tags }))
            }
            "SendMessage" => {
                let name = self.queue_of(&mut read)?;
                let (sending, digests) = sending(&mut read)?;
                read.end()?;
                let id = self.put(&name, caller.owner(), sending)?;
                Ok(with(json!({ "MessageId": id }), digests))
            }
            "SendMessageBatch" => {
                let name = self.queue_of(&mut read)?;
                self.batch(&mut read, |read| {
                    let (sending, digests) = sending(read)?;
                    read.end()?;
                    let id = self.put(&name, caller.owner(), sending)?;
                    Ok(with(json!({ "MessageId": id }), digests))
                })
            }
            "ReceiveMessage" => self.receive_message(&mut read).await,
            "DeleteMessage" => {
                let name = self.queue_of(&mut read)?;
                let handle = read.required("ReceiptHandle")?;
                read.end()?;
                self.delete(&name, handle)
            }
            "DeleteMessageBatch" => {
                let name = self.queue_of(&mut read)?;
                self.batch(&mut read, |read| {
                    let handle = read.required("ReceiptHandle")?;
                    read.end()?;
                    self.delete(&name, handle)
                })
            }
            "ChangeMessageVisibility" => {
                let name = self.queue_of(&mut read)?;
                self.change(&name, &mut read)
            }
            "ChangeMessageVisibilityBatch" => {
                let name = self.queue_of(&mut read)?;
                self.batch(&mut read, |read| self.change(&name, read))
            }
            "ListDeadLetterSourceQueues" => {
                let name = self.queue_of(&mut read)?;
                let queues = self.lock();
                let sources = queues.iter().filter(|(_, entry)| {
                    let dead = entry.queue.settings.dead_letters.as_ref();
                    dead.is_some_and(|dead| dead.queue == name)
                });
                let sources = sources.map(|(source, _)| source.clone()).collect();
                self.page(&mut read, "queueUrls", sources)
            }
            "StartMessageMoveTask" => {
                let source = self.name(read.required("SourceArn")?)?;
                let target = read.text("DestinationArn")?.map(|arn| self.name(arn)).transpose()?;
                read.end()?;
                self.move_back(&source, target.as_deref())
            }
            _ => Err(ApiError::not_implemented("sqs", operation)),
        }
    }

    /// A page of queues, by name. As at SQS only who asks for pages gets the place of the next one.
    fn page(&self, read: &mut Request<'_>, member: &str, names: Vec<String>) -> Result<Value, ApiError> {
        let most = bounded(read, "MaxResults", 1, PAGE as u64)?.and_then(|most| usize::try_from(most).ok());
        let after = read.text("NextToken")?.map(ToOwned::to_owned);
        read.end()?;
        let mut rest = names.into_iter().filter(|name| after.as_ref().is_none_or(|after| name > after));
        let shown: Vec<String> = rest.by_ref().take(most.unwrap_or(PAGE)).collect();
        let next = shown.last().filter(|_| most.is_some() && rest.next().is_some()).cloned();
        let mut answer = Map::new();
        answer.insert(member.to_owned(), shown.iter().map(|name| json!(self.url(name))).collect());
        if let Some(next) = next {
            answer.insert("NextToken".into(), json!(next));
        }
        Ok(Value::Object(answer))
    }

    fn queue_of(&self, read: &mut Request<'_>) -> Result<String, ApiError> {
        self.name(read.required("QueueUrl")?)
    }

    async fn receive_message(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let name = self.queue_of(read)?;
        let max = bounded(read, "MaxNumberOfMessages", 1, 10)?.unwrap_or(1);
        let visibility = bounded(read, "VisibilityTimeout", 0, MAX_VISIBILITY)?;
        let wait = bounded(read, "WaitTimeSeconds", 0, MAX_WAIT)?;
        let mut system = names(read.list("MessageSystemAttributeNames")?);
        system.extend(names(read.list("AttributeNames")?));
        let custom = names(read.list("MessageAttributeNames")?);
        read.end()?;
        let deliveries = self
            .receive(
                &name,
                usize::try_from(max).unwrap_or(1),
                visibility.map(Duration::from_secs),
                wait.map(Duration::from_secs),
            )
            .await?;
        if deliveries.is_empty() {
            return Ok(json!({}));
        }
        let messages: Vec<Value> = deliveries.iter().map(|delivery| message(delivery, &system, &custom)).collect();
        Ok(json!({ "Messages": messages }))
    }

    fn delete(&self, name: &str, handle: &str) -> Result<Value, ApiError> {
        let mut queues = self.lock();
        match queues.get_mut(name).ok_or_else(no_queue)?.queue.delete(handle) {
            Receipt::Invalid => Err(invalid_receipt()),
            Receipt::Stale | Receipt::Done => Ok(json!({})),
        }
    }

    fn change(&self, name: &str, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let handle = read.required("ReceiptHandle")?;
        let seconds = bounded(read, "VisibilityTimeout", 0, MAX_VISIBILITY)?
            .ok_or_else(|| parameter("VisibilityTimeout", "is missing"))?;
        read.end()?;
        let mut queues = self.lock();
        let entry = queues.get_mut(name).ok_or_else(no_queue)?;
        let visibility = Duration::from_secs(seconds);
        match entry.queue.change_visibility(Instant::now(), handle, visibility) {
            Receipt::Invalid => Err(invalid_receipt()),
            Receipt::Stale => Err(ApiError::new(400, "MessageNotInflight", "The message referred to isn't in flight.")),
            Receipt::Done => {
                entry.arrived.notify_waiters();
                Ok(json!({}))
            }
        }
    }

    /// Runs `each` for every entry; one that fails is told apart in the answer.
    fn batch(
        &self,
        read: &mut Request<'_>,
        mut each: impl FnMut(&mut Request<'_>) -> Result<Value, ApiError>,
    ) -> Result<Value, ApiError> {
        let entries = read.list("Entries")?;
        read.end()?;
        let mut ids = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = entry.get("Id").and_then(Value::as_str).unwrap_or_default();
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if id.is_empty() || id.len() > 80 || !id.bytes().all(good) {
                let text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores.";
                return Err(ApiError::new(400, "InvalidBatchEntryId", text));
            }
            ids.push(id);
        }
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let problem = match entries.len() {
            0 => Some(("EmptyBatchRequest", "There should be at least one entry in the request.")),
            count if count > MAX_BATCH => {
                Some(("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10."))
            }
            count if distinct.len() < count => {
                Some(("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id."))
            }
            _ if entries.iter().map(size).sum::<usize>() > MAX_BATCH_SIZE => {
                Some(("BatchRequestTooLong", "The length of all the messages put together is more than the limit."))
            }
            _ => None,
        };
        if let Some((code, text)) = problem {
            return Err(ApiError::new(400, code, text));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (id, entry) in ids.into_iter().zip(entries) {
            let outcome = Request::of("sqs", "batch entry", entry).and_then(|mut read| {
                read.value("Id");
                each(&mut read)
            });
            match outcome {
                Ok(answer) => successful.push(with(json!({ "Id": id }), answer)),
                Err(error) => failed.push(json!({
                    "Id": id,
                    "SenderFault": error.status < 500,
                    "Code": query_error(&error.code),
                    "Message": error.message,
                })),
            }
        }
        // Both are there, also empty: the model requires them.
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    fn attributes(&self, name: &str) -> Result<BTreeMap<String, String>, ApiError> {
        let mut queues = self.lock();
        let entry = queues.get_mut(name).ok_or_else(no_queue)?;
        let (visible, in_flight, delayed) = entry.queue.counts(Instant::now());
        let settings = &entry.queue.settings;
        let mut attributes: BTreeMap<String, String> = [
            ("QueueArn", self.arn(name)),
            ("CreatedTimestamp", entry.created.to_string()),
            ("LastModifiedTimestamp", entry.modified.to_string()),
            ("ApproximateNumberOfMessages", visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
            ("VisibilityTimeout", settings.visibility.as_secs().to_string()),
            ("MessageRetentionPeriod", settings.retention.as_secs().to_string()),
            ("DelaySeconds", settings.delay.as_secs().to_string()),
            ("ReceiveMessageWaitTimeSeconds", settings.wait.as_secs().to_string()),
            ("MaximumMessageSize", settings.max_size.to_string()),
            ("SqsManagedSseEnabled", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        attributes.extend(entry.attributes.clone());
        Ok(attributes)
    }

    /// Moves everything visible of a dead letter queue to `target`, or to where each message came from. AWS does it in
    /// the background; here it is done when the call returns.
    fn move_back(&self, source: &str, target: Option<&str>) -> Result<Value, ApiError> {
        let now = Instant::now();
        let mut queues = self.lock();
        let messages = queues.get_mut(source).ok_or_else(no_queue)?.queue.take_visible(now);
        for mut message in messages {
            let came_from = message.dead_from.as_deref().and_then(|arn| arn.rsplit(':').next());
            let to = target.or(came_from).unwrap_or(source).to_owned();
            // A redriven message is a new one for retention and receive counts (SQS guide, "dead-letter queue redrive").
            message.receives = 0;
            message.dead_from = None;
            message.sent = now;
            if let Some(entry) = queues.get_mut(&to) {
                entry.queue.put(now, message, Duration::ZERO);
                entry.arrived.notify_waiters();
            }
        }
        Ok(json!({ "TaskHandle": uuid::Uuid::new_v4().to_string() }))
    }
}

/// SQS's older name of an error, which clients of the query protocol's time still look for; it travels in the header
/// `x-amzn-query-error`.
pub(crate) fn query_error(code: &str) -> String {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".into(),
        "QueueNameExists" => "QueueAlreadyExists".into(),
        "MessageNotInflight"
        | "EmptyBatchRequest"
        | "TooManyEntriesInBatchRequest"
        | "BatchEntryIdsNotDistinct"
        | "InvalidBatchEntryId"
        | "BatchRequestTooLong"
        | "UnsupportedOperation"
        | "PurgeQueueInProgress" => format!("AWS.SimpleQueueService.{code}"),
        other => other.to_owned(),
    }
}

/// The attributes that SQS keeps about a message.
pub(super) fn system_attributes(message: &Message) -> Map<String, Value> {
    let mut attributes = Map::new();
    attributes.insert("ApproximateReceiveCount".into(), json!(message.receives.to_string()));
    attributes.insert("SentTimestamp".into(), json!(message.sent_millis.to_string()));
    attributes.insert("SenderId".into(), json!(message.sender));
    if let Some(first) = message.first_received_millis {
        attributes.insert("ApproximateFirstReceiveTimestamp".into(), json!(first.to_string()));
    }
    if let Some(source) = &message.dead_from {
        attributes.insert("DeadLetterQueueSourceArn".into(), json!(source));
    }
    for (name, value) in &message.system_attributes {
        attributes.insert(name.clone(), value.get("StringValue").cloned().unwrap_or_default());
    }
    attributes
}

fn message(delivery: &Delivery, system: &[&str], custom: &[&str]) -> Value {
    let message = &delivery.message;
    let mut shown = json!({
        "MessageId": message.id,
        "ReceiptHandle": delivery.receipt,
        "MD5OfBody": md5(message.body.as_bytes()),
        "Body": message.body,
    });
    let mut attributes = system_attributes(message);
    attributes.retain(|name, _| system.iter().any(|wanted| *wanted == "All" || wanted == name));
    if !attributes.is_empty() {
        shown["Attributes"] = Value::Object(attributes);
    }
    let wanted = |name: &String| {
        custom.iter().any(|wanted| {
            matches!(*wanted, "All" | ".*")
                || wanted == name
                || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
        })
    };
    let mut attributes = message.attributes.clone();
    attributes.retain(|name, _| wanted(name));
    if !attributes.is_empty() {
        shown["MD5OfMessageAttributes"] = json!(md5_of_attributes(&attributes));
        shown["MessageAttributes"] = Value::Object(attributes);
    }
    shown
}

/// The digest that SDKs check, as the SQS guide describes it ("Calculating the MD5 message digest for message
/// attributes").
pub(super) fn md5_of_attributes(attributes: &Map<String, Value>) -> String {
    let mut digest = Md5::new();
    let add = |digest: &mut Md5, bytes: &[u8]| {
        digest.update(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(bytes);
    };
    let sorted: BTreeMap<&String, &Value> = attributes.iter().collect();
    for (name, value) in sorted {
        let member = |member| value.get(member).and_then(Value::as_str);
        let (transport, bytes) = match member("BinaryValue") {
            Some(encoded) => (2_u8, STANDARD.decode(encoded).unwrap_or_default()),
            None => (1, member("StringValue").unwrap_or_default().as_bytes().to_vec()),
        };
        add(&mut digest, name.as_bytes());
        add(&mut digest, member("DataType").unwrap_or_default().as_bytes());
        digest.update(&[transport]);
        add(&mut digest, &bytes);
    }
    hex::encode(digest.finalize())
}

/// A message to be sent, and the digests to answer with.
fn sending(read: &mut Request<'_>) -> Result<(Sending, Value), ApiError> {
    let body = read.required("MessageBody")?.to_owned();
    let delay = bounded(read, "DelaySeconds", 0, MAX_DELAY)?.map(Duration::from_secs);
    let attributes = attributes(read, "MessageAttributes")?;
    let system_attributes = attributes_of_system(read)?;
    let mut digests = json!({ "MD5OfMessageBody": md5(body.as_bytes()) });
    if !attributes.is_empty() {
        digests["MD5OfMessageAttributes"] = json!(md5_of_attributes(&attributes));
    }
    if !system_attributes.is_empty() {
        digests["MD5OfMessageSystemAttributes"] = json!(md5_of_attributes(&system_attributes));
    }
    Ok((Sending { body, attributes, system_attributes, delay }, digests))
}

fn attributes_of_system(read: &mut Request<'_>) -> Result<Map<String, Value>, ApiError> {
    let attributes = attributes(read, "MessageSystemAttributes")?;
    match attributes.keys().find(|name| *name != "AWSTraceHeader") {
        None => Ok(attributes),
        Some(name) => Err(parameter(name, "is no message system attribute that can be sent")),
    }
}

fn attributes(read: &mut Request<'_>, name: &'static str) -> Result<Map<String, Value>, ApiError> {
    let attributes = match read.value(name) {
        None => return Ok(Map::new()),
        Some(Value::Object(attributes)) => attributes,
        Some(_) => return Err(read.wrong_type(name, "a map")),
    };
    if attributes.len() > 10 {
        return Err(parameter(name, "may hold 10 attributes"));
    }
    for (attribute, value) in attributes {
        let member = |member| value.get(member).and_then(Value::as_str);
        let kind = member("DataType").unwrap_or_default();
        let fits = match kind.split('.').next() {
            Some("String") => member("StringValue").is_some_and(|text| !text.is_empty()),
            Some("Number") => member("StringValue").is_some_and(|text| text.parse::<f64>().is_ok()),
            Some("Binary") => member("BinaryValue").is_some(),
            _ => false,
        };
        if !fits {
            return Err(parameter(attribute, "must contain a non-empty value of its type"));
        }
    }
    Ok(attributes.clone())
}

fn bounded(read: &mut Request<'_>, name: &'static str, least: u64, most: u64) -> Result<Option<u64>, ApiError> {
    let Some(number) = read.number(name)? else {
        return Ok(None);
    };
    match u64::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => Err(parameter(name, &format!("must be between {least} and {most}, not {number}"))),
    }
}

fn settable(attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    match attributes.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) if name.starts_with("Fifo") => Err(ApiError::not_implemented("sqs", name)),
        Some(name) if name == "ContentBasedDeduplication" || name == "DeduplicationScope" => {
            Err(ApiError::not_implemented("sqs", name))
        }
        Some(name) => Err(unknown_attribute(name)),
    }
}

fn unknown_attribute(name: &str) -> ApiError {
    ApiError::new(400, "InvalidAttributeName", format!("Unknown Attribute {name}."))
}

/// Bytes of a batch's entry that count.
fn size(entry: &Value) -> usize {
    let text = |value: &Value, name| value.get(name).and_then(Value::as_str).map_or(0, str::len);
    let attributes = entry.get("MessageAttributes").and_then(Value::as_object).into_iter().flatten();
    let attributes = attributes.map(|(name, value)| {
        name.len() + text(value, "DataType") + text(value, "StringValue") + text(value, "BinaryValue")
    });
    text(entry, "MessageBody") + attributes.sum::<usize>()
}

fn parameter(name: &str, problem: &str) -> ApiError {
    ApiError::new(
        400,
        "InvalidParameterValue",
        format!("Value for parameter {name} is invalid. Reason: {name} {problem}."),
    )
}

fn invalid_receipt() -> ApiError {
    ApiError::new(400, "ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
}

fn names(list: &[Value]) -> Vec<&str> {
    list.iter().filter_map(Value::as_str).collect()
}

fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}
