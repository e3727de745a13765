//! Targets of rules: queues and functions. Any other is refused when the rule is made.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::ApiError;
use crate::lambda::{InvocationType, Lambda};
use crate::service::Properties;
use crate::sqs::Sqs;

/// One target of a rule.
pub(super) struct Target {
    id: String,
    pub(super) arn: String,
    kind: Kind,
    input: Input,
    dead_letters: Option<String>,
}

#[derive(Clone, Copy)]
enum Kind {
    Queue,
    Function,
}

enum Input {
    /// The whole event.
    Event,
    /// This text, whatever the event.
    Constant(String),
    /// The part of the event at this JSON pointer, and the path as it was written.
    Part(String, String),
}

impl Target {
    pub(super) fn read(value: &Value) -> Result<Self, ApiError> {
        let mut read = Properties::of("AWS::Events::Rule Targets", value)?;
        let (id, arn) = (read.required("Id")?, read.required("Arn")?);
        let kind = match arn.split(':').nth(2) {
            Some("sqs") => Kind::Queue,
            Some("lambda") => Kind::Function,
            service => {
                let service = service.unwrap_or(&arn);
                return Err(ApiError::not_implemented("events", &format!("a target of {service}")));
            }
        };
        let input = match (read.text("Input")?, read.text("InputPath")?) {
            (None, None) => Input::Event,
            (Some(text), None) => {
                if serde_json::from_str::<Value>(&text).is_err() {
                    return Err(read.error("Input", "must be JSON"));
                }
                Input::Constant(text)
            }
            (None, Some(path)) => match pointer(&path) {
                Some(pointer) => Input::Part(pointer, path),
                None => return Err(read.error("InputPath", &format!("is not understood: {path}"))),
            },
            (Some(_), Some(_)) => return Err(read.error("Input", "excludes InputPath")),
        };
        let mut dead_letters = None;
        if let Some(mut config) = read.inside("DeadLetterConfig")? {
            dead_letters = config.text("Arn")?;
            config.end()?;
        }
        // Nothing here fails that a second try would help; the bounds are checked all the same.
        if let Some(mut policy) = read.inside("RetryPolicy")? {
            policy.number("MaximumEventAgeInSeconds", 60, 86_400)?;
            policy.number("MaximumRetryAttempts", 0, 185)?;
            policy.end()?;
        }
        read.end()?;
        Ok(Self { id, arn, kind, input, dead_letters })
    }

    /// What the target gets of an event, as JSON text.
    pub(super) fn input(&self, event: &Value) -> String {
        match &self.input {
            Input::Event => event.to_string(),
            Input::Constant(text) => text.clone(),
            Input::Part(pointer, _) => event.pointer(pointer).unwrap_or(&Value::Null).to_string(),
        }
    }

    /// Hands it over.
    pub(super) async fn send(&self, sqs: &Sqs, lambda: &Lambda, body: &str) -> Result<(), ApiError> {
        match self.kind {
            Kind::Queue => sqs.send(&self.arn, body).map(drop),
            Kind::Function => {
                let payload = Bytes::copy_from_slice(body.as_bytes());
                lambda.invoke(&self.arn, InvocationType::Event, payload).await.map(drop)
            }
        }
    }

    /// Keeps what the target refused, with the attributes that EventBridge gives to such messages.
    pub(super) fn give_up(&self, sqs: &Sqs, rule: &str, body: &str, error: &ApiError) {
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
                sqs.send_with(queue, body, attributes)
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%error, rule, target = self.arn, "an event is lost");
        }
    }

    pub(super) fn described(&self) -> Value {
        let mut described = json!({ "Id": self.id, "Arn": self.arn });
        match &self.input {
            Input::Event => {}
            Input::Constant(text) => described["Input"] = json!(text),
            Input::Part(_, path) => described["InputPath"] = json!(path),
        }
        if let Some(arn) = &self.dead_letters {
            described["DeadLetterConfig"] = json!({ "Arn": arn });
        }
        described
    }
}

/// `$.detail.steps[0]` as a JSON pointer; EventBridge's paths are names and indexes only.
fn pointer(path: &str) -> Option<String> {
    let mut rest = path.strip_prefix('$')?;
    let mut pointer = String::new();
    while !rest.is_empty() {
        let part = if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            rest = &name[end..];
            &name[..end]
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            rest = after;
            Some(index).filter(|index| index.bytes().all(|byte| byte.is_ascii_digit()))?
        };
        if part.is_empty() || part.contains(['*', '?', '@', '(']) {
            return None;
        }
        pointer.push('/');
        pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
    }
    Some(pointer)
}
