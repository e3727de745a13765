//! The operations of SNS, in JSON: what the query protocol's forms become, and what calls in process use.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{MAX_MESSAGE, Message, Sns, Subscription, invalid, no_topic, topic_attribute};
use crate::service::Request;
use crate::{ACCOUNT, ApiError};

/// Topics or subscriptions of one page.
const PAGE: usize = 100;
/// Messages of one PublishBatch.
const MAX_BATCH: usize = 10;

/// The members of answers that are maps, for protocols that write maps in another way than structures.
pub(crate) const MAPS: [&str; 1] = ["Attributes"];

impl Sns {
    pub(super) async fn answer(&self, operation: &str, body: &Value) -> Result<Value, ApiError> {
        let mut read = Request::of("sns", operation, body)?;
        match operation {
            "CreateTopic" => {
                let name = read.required("Name")?;
                let attributes = read.texts("Attributes")?;
                read.value("Tags");
                read.end()?;
                Ok(json!({ "TopicArn": self.create(name, attributes)? }))
            }
            "DeleteTopic" => {
                let topic = read.required("TopicArn")?;
                read.end()?;
                let mut state = self.lock();
                state.topics.remove(topic);
                state.subscriptions.retain(|_, subscription| subscription.topic != topic);
                Ok(json!({}))
            }
            "ListTopics" => {
                let topics: Vec<String> = self.lock().topics.keys().cloned().collect();
                page(&mut read, "Topics", topics, |arn| json!({ "TopicArn": arn }))
            }
            "GetTopicAttributes" => {
                let topic = read.required("TopicArn")?;
                read.end()?;
                Ok(json!({ "Attributes": self.topic_attributes(topic)? }))
            }
            "SetTopicAttributes" => {
                let (topic, name) = (read.required("TopicArn")?, read.required("AttributeName")?);
                let value = read.text("AttributeValue")?.unwrap_or_default();
                read.end()?;
                topic_attribute(name, value)?;
                let mut state = self.lock();
                let attributes = state.topics.get_mut(topic).ok_or_else(no_topic)?;
                attributes.insert(name.to_owned(), value.to_owned());
                Ok(json!({}))
            }
            "Subscribe" => {
                let (topic, protocol) = (read.required("TopicArn")?, read.required("Protocol")?);
                let endpoint = read.required("Endpoint")?;
                let attributes = read.texts("Attributes")?;
                // Every subscription is confirmed at once, so that there always is an ARN to return.
                read.value("ReturnSubscriptionArn");
                read.end()?;
                Ok(json!({ "SubscriptionArn": self.subscribe(topic, None, protocol, endpoint, attributes)? }))
            }
            "Unsubscribe" => {
                let arn = read.required("SubscriptionArn")?;
                read.end()?;
                self.lock().subscriptions.remove(arn);
                Ok(json!({}))
            }
            "ListSubscriptions" | "ListSubscriptionsByTopic" => {
                let topic = match operation {
                    "ListSubscriptions" => None,
                    _ => Some(read.required("TopicArn")?),
                };
                let state = self.lock();
                if topic.is_some_and(|topic| !state.topics.contains_key(topic)) {
                    return Err(no_topic());
                }
                let here = state.subscriptions.values().filter(|one| topic.is_none_or(|topic| one.topic == topic));
                page(&mut read, "Subscriptions", here.cloned().collect(), |one| listed(&one))
            }
            "GetSubscriptionAttributes" => {
                let arn = read.required("SubscriptionArn")?;
                read.end()?;
                let state = self.lock();
                let subscription = state.subscriptions.get(arn).ok_or_else(no_subscription)?;
                Ok(json!({ "Attributes": attributes(subscription) }))
            }
            "SetSubscriptionAttributes" => {
                let (arn, name) = (read.required("SubscriptionArn")?, read.required("AttributeName")?);
                let value = read.text("AttributeValue")?;
                read.end()?;
                let mut state = self.lock();
                let old = state.subscriptions.get(arn).ok_or_else(no_subscription)?;
                let mut attributes = old.attributes.clone();
                match value {
                    None => drop(attributes.remove(name)),
                    Some(value) => drop(attributes.insert(name.to_owned(), value.to_owned())),
                }
                let new =
                    Subscription::new(arn.to_owned(), &old.topic, old.protocol.name(), &old.endpoint, attributes)?;
                state.subscriptions.insert(arn.to_owned(), new.into());
                Ok(json!({}))
            }
            "Publish" => {
                let topic = read.text("TopicArn")?.or(read.text("TargetArn")?);
                let message = message(&mut read)?;
                // Named when there is one, because no telephone is called from here.
                read.end()?;
                let topic =
                    topic.ok_or_else(|| invalid("TopicArn or TargetArn Reason: no value for required parameter"))?;
                Ok(json!({ "MessageId": self.publish(topic, message).await? }))
            }
            "PublishBatch" => {
                let topic = read.required("TopicArn")?;
                let entries = read.list("PublishBatchRequestEntries")?;
                read.end()?;
                self.publish_batch(topic, entries).await
            }
            _ => Err(ApiError::not_implemented("sns", operation)),
        }
    }

    fn topic_attributes(&self, topic: &str) -> Result<BTreeMap<String, String>, ApiError> {
        let state = self.lock();
        let mut attributes = state.topics.get(topic).ok_or_else(no_topic)?.clone();
        let confirmed = state.subscriptions.values().filter(|one| one.topic == topic).count();
        for (name, value) in [
            ("TopicArn", topic.to_owned()),
            ("Owner", ACCOUNT.to_owned()),
            ("SubscriptionsConfirmed", confirmed.to_string()),
            ("SubscriptionsPending", "0".to_owned()),
            ("SubscriptionsDeleted", "0".to_owned()),
        ] {
            attributes.insert(name.to_owned(), value);
        }
        for name in ["DisplayName", "Policy"] {
            attributes.entry(name.to_owned()).or_default();
        }
        Ok(attributes)
    }

    async fn publish_batch(&self, topic: &str, entries: &[Value]) -> Result<Value, ApiError> {
        let id = |entry: &Value| entry.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut ids: Vec<String> = entries.iter().map(id).collect();
        let good = |id: &String| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=80).contains(&id.len()) && id.bytes().all(good)
        };
        let well_formed = ids.iter().all(good);
        ids.sort_unstable();
        ids.dedup();
        let refused = |code: &str, text: &str| Err(ApiError::new(400, code, text));
        match entries.len() {
            0 => return refused("EmptyBatchRequest", "The batch request doesn't contain any entries."),
            count if count > MAX_BATCH => {
                return refused("TooManyEntriesInBatchRequest", "The batch request contains more than 10 entries.");
            }
            _ if !well_formed => {
                return refused("InvalidBatchEntryId", "The Id of a batch entry doesn't abide by the specification.");
            }
            count if ids.len() < count => {
                return refused("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id.");
            }
            _ => {}
        }
        let mut messages = Vec::with_capacity(entries.len());
        for entry in entries {
            let read = Request::of("sns", "PublishBatch entry", entry).and_then(|mut read| {
                read.value("Id");
                let message = message(&mut read)?;
                read.end()?;
                Ok(message)
            });
            messages.push((id(entry), read));
        }
        let size: usize = messages.iter().filter_map(|(_, message)| message.as_ref().ok()).map(Message::size).sum();
        if size > MAX_MESSAGE {
            return refused("BatchRequestTooLong", "The length of all the batch messages put together is too long.");
        }
        if !self.lock().topics.contains_key(topic) {
            return Err(no_topic());
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (id, message) in messages {
            let ended = match message {
                Ok(message) => self.publish(topic, message).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(message) => successful.push(json!({ "Id": id, "MessageId": message })),
                Err(error) => failed.push(json!({
                    "Id": id,
                    "Code": error.code,
                    "Message": error.message,
                    "SenderFault": error.status < 500,
                })),
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }
}

/// A message of Publish or of an entry of PublishBatch.
fn message(read: &mut Request<'_>) -> Result<Message, ApiError> {
    // A form does not tell an empty text from none.
    let text = read.text("Message")?.unwrap_or_default().to_owned();
    let subject = read.text("Subject")?.map(ToOwned::to_owned);
    let attributes = match read.value("MessageAttributes") {
        None => Map::new(),
        Some(Value::Object(attributes)) => attributes.clone(),
        Some(_) => return Err(read.wrong_type("MessageAttributes", "a map")),
    };
    let mut texts = BTreeMap::new();
    let text = match read.text("MessageStructure")? {
        None | Some("") => text,
        Some("json") => {
            let wrong = |reason: &str| invalid(format!("Message Structure - {reason}"));
            let parsed: Map<String, Value> =
                serde_json::from_str(&text).map_err(|_| wrong("JSON message body failed to parse"))?;
            for (protocol, text) in parsed {
                if let Value::String(text) = text {
                    texts.insert(protocol, text);
                }
            }
            texts.remove("default").ok_or_else(|| wrong("No default entry in JSON message body"))?
        }
        Some(_) => return Err(invalid("MessageStructure")),
    };
    Ok(Message { subject, text, texts, attributes })
}

fn page<T>(read: &mut Request<'_>, member: &str, all: Vec<T>, show: impl Fn(T) -> Value) -> Result<Value, ApiError> {
    let from = match read.text("NextToken")? {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| invalid("NextToken"))?,
    };
    read.end()?;
    let more = all.len() > from.saturating_add(PAGE);
    let shown: Vec<Value> = all.into_iter().skip(from).take(PAGE).map(show).collect();
    let mut answer = Map::new();
    answer.insert(member.to_owned(), json!(shown));
    if more {
        answer.insert("NextToken".into(), json!((from + PAGE).to_string()));
    }
    Ok(Value::Object(answer))
}

fn listed(subscription: &Subscription) -> Value {
    json!({
        "SubscriptionArn": subscription.arn,
        "Owner": ACCOUNT,
        "Protocol": subscription.protocol.name(),
        "Endpoint": subscription.endpoint,
        "TopicArn": subscription.topic,
    })
}

fn attributes(subscription: &Subscription) -> BTreeMap<String, String> {
    let mut attributes = subscription.attributes.clone();
    for (name, value) in [
        ("SubscriptionArn", subscription.arn.as_str()),
        ("TopicArn", &subscription.topic),
        ("Owner", ACCOUNT),
        ("Protocol", subscription.protocol.name()),
        ("Endpoint", &subscription.endpoint),
        ("PendingConfirmation", "false"),
        ("ConfirmationWasAuthenticated", "true"),
        ("RawMessageDelivery", if subscription.raw { "true" } else { "false" }),
    ] {
        attributes.insert(name.to_owned(), value.to_owned());
    }
    if subscription.filter.is_some() {
        attributes.entry("FilterPolicyScope".into()).or_insert_with(|| "MessageAttributes".into());
    }
    attributes
}

fn no_subscription() -> ApiError {
    ApiError::new(404, "NotFound", "Subscription does not exist")
}
