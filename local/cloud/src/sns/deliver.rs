//! From a publication to its subscribers: the texts that each protocol gets, and where they go.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::mail::Mail;
use super::{MAX_MESSAGE, MAX_SUBJECT, Message, Protocol, Sns, Subscription, invalid, no_topic};
use crate::ApiError;
use crate::authorize::Because;
use crate::lambda::InvocationType;
use crate::trace::What;

/// Messages here are not signed. The fields are there, because programs that read the envelope expect them.
const UNSIGNED: &str = "bm90IHNpZ25lZA==";

/// Whom queues and functions must trust.
const SERVICE: &str = "sns.amazonaws.com";

/// A message on its way.
struct Notice<'a> {
    id: String,
    at: DateTime<Utc>,
    topic: &'a str,
    message: &'a Message,
}

impl Message {
    /// Bytes that count against SNS's limit.
    pub(super) fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let member = |member| value.get(member).and_then(Value::as_str).map_or(0, str::len);
            name.len() + member("DataType") + member("StringValue") + member("BinaryValue")
        });
        self.text.len() + self.texts.values().map(String::len).sum::<usize>() + attributes.sum::<usize>()
    }

    fn check(&self) -> Result<(), ApiError> {
        if self.text.is_empty() {
            return Err(invalid("Empty message"));
        }
        if self.size() > MAX_MESSAGE {
            return Err(invalid("Message too long"));
        }
        if let Some(subject) = &self.subject {
            // Publish API reference: ASCII that begins with a letter, number or punctuation mark, no line breaks or
            // control characters, less than 100 characters.
            let good = subject.chars().all(|c| c.is_ascii_graphic() || c == ' ');
            if !good || subject.is_empty() || subject.starts_with(' ') || subject.len() > MAX_SUBJECT {
                return Err(invalid("Subject"));
            }
        }
        if let Some(name) = self.attributes.keys().find(|name| name.is_empty() || name.len() > 256) {
            return Err(invalid(format!("Message attribute name: {name}")));
        }
        for (name, value) in &self.attributes {
            let member = |member| value.get(member).and_then(Value::as_str);
            let text = member("StringValue").filter(|text| !text.is_empty());
            let fits = match member("DataType").unwrap_or_default().split('.').next() {
                Some("String") => text.is_some(),
                Some("Number") => text.is_some_and(|text| text.parse::<f64>().is_ok()),
                Some("Binary") => member("BinaryValue").is_some(),
                _ => false,
            };
            if !fits {
                let text = format!(
                    "The message attribute '{name}' must contain non-empty message attribute value of its type"
                );
                return Err(ApiError::new(400, "ParameterValueInvalid", text));
            }
        }
        Ok(())
    }

    fn text(&self, protocol: Protocol) -> &str {
        self.texts.get(protocol.name()).map_or(&self.text, String::as_str)
    }
}

impl Sns {
    /// Publishes to a topic (by ARN): every subscription whose filter takes the message has it when this returns.
    pub(super) async fn publish(&self, topic: &str, message: Message) -> Result<String, ApiError> {
        message.check()?;
        let (display_name, subscriptions) = {
            let state = self.lock();
            let attributes = state.topics.get(topic).ok_or_else(no_topic)?;
            let here = state.subscriptions.values().filter(|subscription| subscription.topic == topic);
            let taking = here.filter(|subscription| {
                let filter = subscription.filter.as_ref();
                filter.is_none_or(|filter| filter.takes(message.text(subscription.protocol), &message.attributes))
            });
            (attributes.get("DisplayName").cloned(), taking.cloned().collect::<Vec<Arc<Subscription>>>())
        };
        let name = topic.rsplit(':').next().unwrap_or(topic).to_owned();
        let notice = Notice { id: Uuid::new_v4().to_string(), at: self.shared.clock.now(), topic, message: &message };
        self.shared.trace.emit(What::Published { topic: name.clone(), message: notice.id.clone() });
        for subscription in subscriptions {
            let error = self.deliver(&subscription, &notice, display_name.as_deref()).await.err();
            if let Some(error) = &error {
                self.give_up(&subscription, &notice, error);
            }
            self.shared.trace.emit(What::Notified {
                topic: name.clone(),
                endpoint: subscription.endpoint.clone(),
                message: notice.id.clone(),
                error: error.map(|error| error.code),
            });
        }
        Ok(notice.id)
    }

    async fn deliver(
        &self,
        subscription: &Subscription,
        notice: &Notice<'_>,
        display_name: Option<&str>,
    ) -> Result<(), ApiError> {
        let text = notice.message.text(subscription.protocol);
        let because = Because { service: SERVICE, source: notice.topic };
        let action = match subscription.protocol {
            Protocol::Queue => Some("sqs:SendMessage"),
            Protocol::Function => Some("lambda:InvokeFunction"),
            Protocol::Email | Protocol::EmailJson => None,
        };
        if let Some(action) = action {
            let allowed = self.shared.lambda.authorizer().check_service(because, action, &subscription.endpoint);
            allowed.map_err(|denied| ApiError::new(403, "AccessDenied", denied.message()))?;
        }
        match subscription.protocol {
            Protocol::Queue if subscription.raw => {
                let attributes = notice.message.attributes.clone();
                if attributes.len() > 10 {
                    // SNS guide, "Amazon SNS message attributes": with raw delivery the queue takes ten.
                    return Err(invalid("Message attributes: a queue takes 10 with raw message delivery"));
                }
                self.shared.sqs.send_with(&subscription.endpoint, text, attributes).map(drop)
            }
            Protocol::Queue => {
                let envelope = self.envelope(subscription, notice, Case::Url).to_string();
                self.shared.sqs.send(&subscription.endpoint, &envelope).map(drop)
            }
            Protocol::Function => {
                let mut envelope = self.envelope(subscription, notice, Case::Record);
                if let Value::Object(envelope) = &mut envelope {
                    envelope.entry("Subject").or_insert(Value::Null);
                    envelope.entry("MessageAttributes").or_insert_with(|| json!({}));
                }
                let record = json!({
                    "EventSource": "aws:sns",
                    "EventVersion": "1.0",
                    "EventSubscriptionArn": subscription.arn,
                    "Sns": envelope,
                });
                let event = Bytes::from(json!({ "Records": [record] }).to_string());
                self.shared.lambda.invoke(&subscription.endpoint, InvocationType::Event, event).await.map(drop)
            }
            Protocol::Email | Protocol::EmailJson => {
                let (text, footer) = match subscription.protocol {
                    Protocol::EmailJson => {
                        let envelope = self.envelope(subscription, notice, Case::Url);
                        (serde_json::to_string_pretty(&envelope).unwrap_or_default(), None)
                    }
                    _ => {
                        let footer = format!(
                            "If you wish to stop receiving notifications from this topic, please use this link to \
                             unsubscribe:\n{}",
                            self.unsubscribe_url(subscription)
                        );
                        (text.to_owned(), Some(footer))
                    }
                };
                let mail = Mail {
                    from: display_name,
                    to: &subscription.endpoint,
                    subject: notice.message.subject.as_deref().unwrap_or("AWS Notification Message"),
                    id: &notice.id,
                    at: notice.at,
                    text: &text,
                    footer,
                };
                self.post(&mail).await
            }
        }
    }

    /// Puts an e-mail into the outbox. It appears there complete, and sorted by its time.
    async fn post(&self, mail: &Mail<'_>) -> Result<(), ApiError> {
        let disk = |error: std::io::Error| ApiError::new(500, "InternalError", format!("the outbox: {error}"));
        let to: String =
            mail.to.chars().map(|c| if c.is_ascii_alphanumeric() || "@.-_+".contains(c) { c } else { '_' }).collect();
        let file = format!("{}-{}-{to}.eml", mail.at.format("%Y%m%dT%H%M%S%.3fZ"), &mail.id[..8]);
        let temporary = self.shared.outbox.join(format!(".{}", Uuid::new_v4()));
        tokio::fs::write(&temporary, mail.written()).await.map_err(disk)?;
        tokio::fs::rename(&temporary, self.shared.outbox.join(&file)).await.map_err(disk)?;
        self.shared.trace.emit(What::Mailed { to: mail.to.to_owned(), subject: mail.subject.to_owned(), file });
        Ok(())
    }

    /// Keeps what a subscriber refused, with the attributes that SNS gives to such messages.
    fn give_up(&self, subscription: &Subscription, notice: &Notice<'_>, error: &ApiError) {
        let kept = subscription.dead_letters.as_ref().map(|queue| {
            let attributes = json!({
                "ERROR_CODE": {"DataType": "String", "StringValue": error.code},
                "ERROR_MESSAGE": {"DataType": "String", "StringValue": error.message},
            });
            let attributes = attributes.as_object().cloned().unwrap_or_default();
            let envelope = self.envelope(subscription, notice, Case::Url).to_string();
            let because = Because { service: SERVICE, source: notice.topic };
            let allowed = self.shared.lambda.authorizer().check_service(because, "sqs:SendMessage", queue);
            allowed.map_err(|denied| denied.error("sqs"))?;
            self.shared.sqs.send_with(queue, &envelope, attributes)
        });
        match kept {
            Some(Ok(_)) => {}
            _ => tracing::warn!(%error, subscription = subscription.arn, "a notification is lost"),
        }
    }

    fn unsubscribe_url(&self, subscription: &Subscription) -> String {
        format!("{}/?Action=Unsubscribe&SubscriptionArn={}", self.shared.endpoint, subscription.arn)
    }

    /// The JSON around a message (SNS guide, "Amazon SNS message and JSON formats").
    fn envelope(&self, subscription: &Subscription, notice: &Notice<'_>, case: Case) -> Value {
        let message = notice.message;
        let mut envelope = Map::new();
        let mut put = |name: &str, value: &str| drop(envelope.insert(name.to_owned(), json!(value)));
        put("Type", "Notification");
        put("MessageId", &notice.id);
        put("TopicArn", notice.topic);
        if let Some(subject) = &message.subject {
            put("Subject", subject);
        }
        put("Message", message.text(subscription.protocol));
        put("Timestamp", &notice.at.to_rfc3339_opts(SecondsFormat::Millis, true));
        put("SignatureVersion", "1");
        put("Signature", UNSIGNED);
        let (certificate, unsubscribe) = match case {
            Case::Url => ("SigningCertURL", "UnsubscribeURL"),
            Case::Record => ("SigningCertUrl", "UnsubscribeUrl"),
        };
        put(certificate, &format!("{}/SimpleNotificationService.pem", self.shared.endpoint));
        put(unsubscribe, &self.unsubscribe_url(subscription));
        if !message.attributes.is_empty() {
            let attributes: BTreeMap<&String, Value> = message
                .attributes
                .iter()
                .map(|(name, value)| {
                    let member = |member| value.get(member).cloned();
                    let text = member("StringValue").or_else(|| member("BinaryValue"));
                    (name, json!({ "Type": member("DataType"), "Value": text }))
                })
                .collect();
            envelope.insert("MessageAttributes".into(), json!(attributes));
        }
        Value::Object(envelope)
    }
}

/// Lambda's record writes two names in another way than the other protocols.
#[derive(Clone, Copy)]
enum Case {
    Url,
    Record,
}
