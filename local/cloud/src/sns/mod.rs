//! SNS: standard topics that deliver to queues, functions and, as files in a folder, to mailboxes.
//!
//! A message is delivered before its publication is answered, once to each subscription whose filter takes it. What a
//! subscriber refuses goes to the subscription's dead letter queue, if it has one. Nothing leaves the machine: an e-mail
//! is a file in the outbox, and its subscription needs no confirmation, because nobody could click the link. Messages
//! never reach a log.

mod api;
mod deliver;
mod filter;
mod mail;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::lambda::Lambda;
use crate::service::{Clock, Properties, Service, json_document};
use crate::sqs::Sqs;
use crate::trace::Trace;
use crate::{ACCOUNT, ApiError, Caller, PARTITION};
pub(crate) use api::MAPS;
use filter::Filter;

/// Bytes of a message with its attributes, and of all messages of a batch (SNS quotas page).
const MAX_MESSAGE: usize = 262_144;
/// Characters of a subject.
const MAX_SUBJECT: usize = 100;

/// The topics and their subscriptions; clones share them.
#[derive(Clone)]
pub struct Sns {
    shared: Arc<Shared>,
}

struct Shared {
    region: String,
    endpoint: String,
    outbox: PathBuf,
    clock: Clock,
    sqs: Sqs,
    lambda: Lambda,
    trace: Trace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By ARN; the attributes as they were set.
    topics: BTreeMap<String, BTreeMap<String, String>>,
    /// By ARN, which begins with the topic's.
    subscriptions: BTreeMap<String, Arc<Subscription>>,
}

#[derive(Debug, Clone)]
struct Subscription {
    arn: String,
    topic: String,
    protocol: Protocol,
    endpoint: String,
    /// As they were set, by name.
    attributes: BTreeMap<String, String>,
    raw: bool,
    filter: Option<Filter>,
    /// The ARN of a queue.
    dead_letters: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Email,
    EmailJson,
    Queue,
    Function,
}

impl Protocol {
    fn parse(name: &str) -> Result<Self, ApiError> {
        match name {
            "email" => Ok(Self::Email),
            "email-json" => Ok(Self::EmailJson),
            "sqs" => Ok(Self::Queue),
            "lambda" => Ok(Self::Function),
            "http" | "https" | "sms" | "application" | "firehose" => {
                Err(ApiError::not_implemented("sns", &format!("the protocol {name}")))
            }
            other => Err(invalid(format!("Does not support this protocol string: {other}"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::EmailJson => "email-json",
            Self::Queue => "sqs",
            Self::Function => "lambda",
        }
    }
}

/// A message to be published.
#[derive(Debug, Clone, Default)]
struct Message {
    subject: Option<String>,
    /// What every protocol gets that has no text of its own.
    text: String,
    /// `MessageStructure` `json`: the protocol's own text.
    texts: BTreeMap<String, String>,
    /// Name to `{"DataType", "StringValue" | "BinaryValue"}`, as published.
    attributes: Map<String, Value>,
}

/// The attributes that a topic can be given. Policies, encryption and delivery to HTTP change nothing here.
const TOPIC_ATTRIBUTES: [&str; 6] =
    ["DisplayName", "Policy", "DeliveryPolicy", "KmsMasterKeyId", "SignatureVersion", "TracingConfig"];

/// The attributes that a subscription can be given; CloudFormation's properties have the same names.
const SUBSCRIPTION_ATTRIBUTES: [&str; 5] =
    ["RawMessageDelivery", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy", "DeliveryPolicy"];

impl Sns {
    /// No topics yet. E-mails become files in the folder `outbox`, which is created.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(
        region: &str,
        endpoint: &str,
        outbox: PathBuf,
        sqs: Sqs,
        lambda: Lambda,
        trace: Trace,
    ) -> Result<Self, ApiError> {
        std::fs::create_dir_all(&outbox)
            .map_err(|error| ApiError::new(500, "InternalError", format!("the outbox: {error}")))?;
        let shared = Shared {
            region: region.to_owned(),
            endpoint: endpoint.to_owned(),
            outbox,
            clock: Clock::default(),
            sqs,
            lambda,
            trace,
            state: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Creates the topic of an `AWS::SNS::Topic` with these resolved properties under this name, with the subscriptions
    /// that it lists.
    ///
    /// # Errors
    /// An unknown property by name, or a value that SNS refuses.
    pub fn create_topic(&self, name: &str, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::SNS::Topic", properties)?;
        let mut attributes = BTreeMap::new();
        for attribute in ["DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig"] {
            if let Some(text) = read.text(attribute)? {
                attributes.insert(attribute.to_owned(), text);
            }
        }
        if read.flag("FifoTopic")? == Some(true) {
            return Err(ApiError::not_implemented("sns", "FifoTopic"));
        }
        let subscriptions = read.list("Subscription")?;
        read.accept(&["TopicName", "Tags", "DataProtectionPolicy", "DeliveryStatusLogging"]);
        read.end()?;
        let topic = self.create(name, attributes)?;
        for subscription in subscriptions {
            let mut read = Properties::of("AWS::SNS::Topic Subscription", subscription)?;
            let (protocol, endpoint) = (read.required("Protocol")?, read.required("Endpoint")?);
            read.end()?;
            self.subscribe(&topic, None, &protocol, &endpoint, BTreeMap::new())?;
        }
        Ok(())
    }

    /// Creates an `AWS::SNS::Subscription` with these resolved properties under this ARN.
    ///
    /// # Errors
    /// An unknown property by name, an unknown topic, or a value that SNS refuses.
    pub fn create_subscription(&self, arn: &str, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::SNS::Subscription", properties)?;
        let (topic, protocol) = (read.required("TopicArn")?, read.required("Protocol")?);
        let endpoint = read.required("Endpoint")?;
        let mut attributes = BTreeMap::new();
        for attribute in SUBSCRIPTION_ATTRIBUTES {
            let value = match read.value(attribute) {
                None => continue,
                Some(document @ (Value::Object(_) | Value::Array(_))) => document.to_string(),
                Some(_) => read.text(attribute)?.unwrap_or_default(),
            };
            attributes.insert(attribute.to_owned(), value);
        }
        if read.text("Region")?.is_some_and(|region| region != self.shared.region) {
            return Err(read.error("Region", "can only be the stack's own in the local cloud"));
        }
        read.end()?;
        self.subscribe(&topic, Some(arn), &protocol, &endpoint, attributes).map(drop)
    }

    /// Accepts an `AWS::SNS::TopicPolicy`: its topics must exist, the policy is kept and not evaluated.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown topic.
    pub fn topic_policy(&self, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::SNS::TopicPolicy", properties)?;
        let Some(policy) = read.value("PolicyDocument").and_then(json_document) else {
            return Err(read.error("PolicyDocument", "must be a JSON document"));
        };
        let topics = read.list("Topics")?;
        if topics.is_empty() {
            return Err(read.error("Topics", "must name at least one topic"));
        }
        read.end()?;
        let mut state = self.lock();
        for topic in topics {
            let attributes = state.topics.get_mut(topic.as_str().unwrap_or_default()).ok_or_else(no_topic)?;
            attributes.insert("Policy".into(), policy.to_string());
        }
        Ok(())
    }

    /// Gives a topic the attributes of these properties; its policy and its subscriptions stay.
    ///
    /// # Errors
    /// As [`Self::create_topic`], or an unknown topic.
    pub fn update_topic(&self, arn: &str, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::SNS::Topic", properties)?;
        let mut attributes = BTreeMap::new();
        for attribute in ["DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig"] {
            if let Some(text) = read.text(attribute)? {
                topic_attribute(attribute, &text)?;
                attributes.insert(attribute.to_owned(), text);
            }
        }
        let mut state = self.lock();
        let topic = state.topics.get_mut(arn).ok_or_else(no_topic)?;
        if let Some(policy) = topic.get("Policy") {
            attributes.insert("Policy".into(), policy.clone());
        }
        *topic = attributes;
        Ok(())
    }

    /// Removes a topic with its subscriptions.
    pub fn delete_topic(&self, arn: &str) {
        let mut state = self.lock();
        state.topics.remove(arn);
        state.subscriptions.retain(|_, subscription| subscription.topic != arn);
    }

    /// Removes a subscription.
    pub fn delete_subscription(&self, arn: &str) {
        self.lock().subscriptions.remove(arn);
    }

    /// Takes the policy of an `AWS::SNS::TopicPolicy` from its topics.
    pub fn delete_topic_policy(&self, properties: &Value) {
        let mut state = self.lock();
        for topic in properties.get("Topics").and_then(Value::as_array).into_iter().flatten() {
            if let Some(attributes) = state.topics.get_mut(topic.as_str().unwrap_or_default()) {
                attributes.remove("Policy");
            }
        }
    }

    /// Publishes in process, without subject and attributes, and answers with the message's id.
    ///
    /// # Errors
    /// `NotFound` for the topic, `InvalidParameter`.
    pub async fn send(&self, topic: &str, text: &str) -> Result<String, ApiError> {
        self.publish(topic, Message { text: text.to_owned(), ..Message::default() }).await
    }

    /// The ARN of a topic of this name, whether it exists or not.
    pub fn arn(&self, name: &str) -> String {
        format!("arn:{PARTITION}:sns:{}:{ACCOUNT}:{name}", self.shared.region)
    }

    fn create(&self, name: &str, attributes: BTreeMap<String, String>) -> Result<String, ApiError> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > 256 || !name.bytes().all(good) {
            return Err(invalid("Topic Name"));
        }
        for (attribute, value) in &attributes {
            topic_attribute(attribute, value)?;
        }
        let arn = self.arn(name);
        let mut state = self.lock();
        if let Some(existing) = state.topics.get(&arn) {
            let same = attributes.iter().all(|(name, value)| existing.get(name) == Some(value));
            return if same {
                Ok(arn)
            } else {
                Err(invalid("Attributes Reason: Topic already exists with different attributes"))
            };
        }
        state.topics.insert(arn.clone(), attributes);
        Ok(arn)
    }

    /// Subscribes, and answers with the subscription's ARN: the one given, or a new one. The same subscription twice is
    /// one.
    fn subscribe(
        &self,
        topic: &str,
        arn: Option<&str>,
        protocol: &str,
        endpoint: &str,
        attributes: BTreeMap<String, String>,
    ) -> Result<String, ApiError> {
        let arn = arn.map_or_else(|| format!("{topic}:{}", Uuid::new_v4()), ToOwned::to_owned);
        let subscription = Subscription::new(arn, topic, protocol, endpoint, attributes)?;
        let mut state = self.lock();
        if !state.topics.contains_key(topic) {
            return Err(no_topic());
        }
        let existing = state.subscriptions.values().find(|other| {
            other.topic == topic && other.protocol == subscription.protocol && other.endpoint == endpoint
        });
        if let Some(existing) = existing {
            return if existing.attributes == subscription.attributes {
                Ok(existing.arn.clone())
            } else {
                Err(invalid("Attributes Reason: Subscription already exists with different attributes"))
            };
        }
        let arn = subscription.arn.clone();
        state.subscriptions.insert(arn.clone(), Arc::new(subscription));
        Ok(arn)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    fn new(
        arn: String,
        topic: &str,
        protocol: &str,
        endpoint: &str,
        attributes: BTreeMap<String, String>,
    ) -> Result<Self, ApiError> {
        let protocol = Protocol::parse(protocol)?;
        let service = endpoint.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(1));
        let fits = match protocol {
            Protocol::Email | Protocol::EmailJson => mail::is_address(endpoint),
            Protocol::Queue => service == Some("sqs"),
            Protocol::Function => service == Some("lambda"),
        };
        if !fits {
            return Err(invalid(format!("Endpoint: {endpoint} is none of the protocol {}", protocol.name())));
        }
        if protocol == Protocol::Queue && endpoint.ends_with(".fifo") {
            return Err(invalid("Endpoint: a FIFO queue cannot be subscribed to a standard topic"));
        }
        if let Some(name) = attributes.keys().find(|name| !SUBSCRIPTION_ATTRIBUTES.contains(&name.as_str())) {
            return Err(invalid(format!("AttributeName: {name}")));
        }
        let value = |name: &str| attributes.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let raw = match value("RawMessageDelivery") {
            None | Some("false") => false,
            Some("true") if protocol == Protocol::Queue => true,
            Some("true") => {
                let text = format!("Delivery protocol [{}] does not support raw message delivery.", protocol.name());
                return Err(invalid(format!("Attributes Reason: {text}")));
            }
            Some(_) => return Err(invalid("Attributes Reason: RawMessageDelivery: must be true or false")),
        };
        let filter = Filter::parse(value("FilterPolicy"), value("FilterPolicyScope"))?;
        let dead_letters = match value("RedrivePolicy") {
            None => None,
            Some(text) => {
                let policy: Value = serde_json::from_str(text).unwrap_or_default();
                let queue = policy.get("deadLetterTargetArn").and_then(Value::as_str);
                let queue = queue.filter(|arn| arn.split(':').nth(2) == Some("sqs"));
                Some(queue.ok_or_else(|| invalid("RedrivePolicy: deadLetterTargetArn"))?.to_owned())
            }
        };
        Ok(Self {
            arn,
            topic: topic.to_owned(),
            protocol,
            endpoint: endpoint.to_owned(),
            attributes,
            raw,
            filter,
            dead_letters,
        })
    }
}

#[async_trait]
impl Service for Sns {
    async fn call(&self, operation: &str, _caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.answer(operation, &body).await
    }
}

fn topic_attribute(name: &str, value: &str) -> Result<(), ApiError> {
    match name {
        "FifoTopic" | "ContentBasedDeduplication" | "FifoThroughputScope" | "ArchivePolicy" => {
            Err(ApiError::not_implemented("sns", name))
        }
        "DisplayName" if value.chars().count() > 100 => Err(invalid("DisplayName: longer than 100 characters")),
        name if TOPIC_ATTRIBUTES.contains(&name) => Ok(()),
        name => Err(invalid(format!("AttributeName: {name}"))),
    }
}

fn invalid(what: impl std::fmt::Display) -> ApiError {
    ApiError::new(400, "InvalidParameter", format!("Invalid parameter: {what}"))
}

fn no_topic() -> ApiError {
    ApiError::new(404, "NotFound", "Topic does not exist")
}

#[cfg(test)]
mod tests;
