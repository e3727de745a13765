//! Targets of rules: queues, topics, functions and state machines. Any other is refused when the rule is made.

use std::sync::Weak;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::transform::{Input, Moment};
use crate::authorize::Because;
use crate::lambda::{InvocationType, Lambda};
use crate::service::{Properties, Service};
use crate::sns::Sns;
use crate::sqs::Sqs;
use crate::{ApiError, Caller};

/// Whom queues, topics, functions and roles must trust.
const SERVICE: &str = "events.amazonaws.com";

/// What rules deliver to.
#[derive(Clone)]
pub struct Receivers {
    /// Queues, also those for dead letters.
    pub sqs: Sqs,
    /// Topics.
    pub sns: Sns,
    /// Functions.
    pub lambda: Lambda,
    /// Step Functions. Weak, because state machines may put events on the bus themselves.
    pub states: Weak<dyn Service>,
}

/// One target of a rule.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) id: String,
    pub(super) arn: String,
    role: Option<String>,
    kind: Kind,
    input: Input,
    dead_letters: Option<String>,
    /// As it was given; nothing here fails that a second try would help.
    retry_policy: Option<Value>,
}

#[derive(Clone, Copy)]
enum Kind {
    Queue,
    Topic,
    Function,
    Machine,
}

impl Target {
    pub(super) fn read(value: &Value) -> Result<Self, ApiError> {
        let mut read = Properties::of("AWS::Events::Rule Targets", value)?;
        let (id, arn) = (read.required("Id")?, read.required("Arn")?);
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if id.is_empty() || id.len() > 64 || !id.chars().all(good) {
            return Err(read.error("Id", &format!("must have 1 to 64 letters, digits, dots, - and _, not {id}")));
        }
        let parts: Vec<&str> = arn.split(':').collect();
        let kind = match parts[..] {
            ["arn", _, "sqs", _, _, _] => Kind::Queue,
            ["arn", _, "sns", _, _, _] => Kind::Topic,
            ["arn", _, "lambda", _, _, "function", _, ..] => Kind::Function,
            ["arn", _, "states", _, _, "stateMachine", _, ..] => Kind::Machine,
            ["arn", _, service, ..] => {
                return Err(ApiError::not_implemented("events", &format!("a target of {service}")));
            }
            _ => {
                let text = format!("Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.");
                return Err(ApiError::new(400, "ValidationException", text));
            }
        };
        let input = Input::read(&mut read, &id)?;
        let mut dead_letters = None;
        if let Some(mut config) = read.inside("DeadLetterConfig")? {
            dead_letters = config.text("Arn")?;
            config.end()?;
        }
        let retry_policy = read.value("RetryPolicy").cloned();
        if let Some(mut policy) = read.inside("RetryPolicy")? {
            policy.number("MaximumEventAgeInSeconds", 60, 86_400)?;
            policy.number("MaximumRetryAttempts", 0, 185)?;
            policy.end()?;
        }
        let role = read.text("RoleArn")?;
        read.end()?;
        Ok(Self { id, arn, role, kind, input, dead_letters, retry_policy })
    }

    /// What the target gets of an event.
    pub(super) fn input(&self, event: &Value, moment: &Moment<'_>) -> String {
        self.input.of(event, moment)
    }

    /// Hands it over.
    pub(super) async fn send(&self, to: &Receivers, rule: &str, body: &str) -> Result<(), ApiError> {
        let authorizer = to.lambda.authorizer();
        let because = Because { service: SERVICE, source: rule };
        let allowed = match self.kind {
            Kind::Queue => authorizer.check_service(because, "sqs:SendMessage", &self.arn),
            Kind::Topic => authorizer.check_service(because, "sns:Publish", &self.arn),
            Kind::Function => authorizer.check_service(because, "lambda:InvokeFunction", &self.arn),
            Kind::Machine => match self.role.as_deref() {
                Some(role) => authorizer.check_trust(because, role),
                None => Ok(()),
            },
        };
        // What EventBridge gives as ERROR_CODE to a dead letter queue.
        allowed.map_err(|denied| ApiError::new(403, "NO_PERMISSIONS", denied.message()))?;
        match self.kind {
            Kind::Queue => to.sqs.send(&self.arn, body).map(drop),
            Kind::Topic => to.sns.send(&self.arn, body).await.map(drop),
            Kind::Function => {
                let payload = Bytes::copy_from_slice(body.as_bytes());
                to.lambda.invoke(&self.arn, InvocationType::Event, payload).await.map(drop)
            }
            Kind::Machine => {
                // Gone only while everything ends.
                let Some(states) = to.states.upgrade() else { return Ok(()) };
                let caller =
                    self.role.as_deref().map_or_else(Caller::local_user, |role| Caller::assumed(role, "events"));
                let request = json!({ "stateMachineArn": self.arn, "input": body });
                states.call("StartExecution", &caller, request).await.map(drop)
            }
        }
    }

    /// Keeps what the target refused, with the attributes that EventBridge gives to such messages.
    pub(super) fn give_up(&self, to: &Receivers, rule: &str, body: &str, error: &ApiError) {
        let kept = match &self.dead_letters {
            None => return tracing::warn!(%error, rule, target = self.arn, "an event is lost"),
            Some(queue) => {
                let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
                let attributes = Map::from_iter([
                    ("RULE_ARN".to_owned(), text(rule)),
                    ("TARGET_ARN".to_owned(), text(&self.arn)),
                    ("ERROR_CODE".to_owned(), text(&error.code)),
                    ("ERROR_MESSAGE".to_owned(), text(&error.message)),
                ]);
                let because = Because { service: SERVICE, source: rule };
                let allowed = to.lambda.authorizer().check_service(because, "sqs:SendMessage", queue);
                allowed.map_err(|denied| denied.error("sqs")).and_then(|()| to.sqs.send_with(queue, body, attributes))
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%error, rule, target = self.arn, "an event is lost");
        }
    }

    pub(super) fn described(&self) -> Value {
        let mut described = json!({ "Id": self.id, "Arn": self.arn });
        self.input.describe(&mut described);
        if let Some(role) = &self.role {
            described["RoleArn"] = json!(role);
        }
        if let Some(arn) = &self.dead_letters {
            described["DeadLetterConfig"] = json!({ "Arn": arn });
        }
        if let Some(policy) = &self.retry_policy {
            described["RetryPolicy"] = policy.clone();
        }
        described
    }
}
