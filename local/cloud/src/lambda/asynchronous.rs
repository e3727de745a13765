//! Asynchronous events (Lambda guide, "Invoking a Lambda function asynchronously"): tried again after a function error,
//! kept while the function is throttled, and told to a queue when they succeeded or were given up.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Function, Inner, Invocation, WhenBusy};
use crate::service::Properties;
use crate::sqs::Sqs;
use crate::{ApiError, Caller};

/// How long after a function error an event is tried a second and a third time.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// How long an event is kept at most.
const MAX_AGE: Duration = Duration::from_secs(6 * 60 * 60);

/// How a function's events are handled.
#[derive(Clone)]
pub(super) struct Settings {
    retries: usize,
    max_age: Duration,
    on_success: Option<(Sqs, String)>,
    on_failure: Option<(Sqs, String)>,
    /// The function's own dead letter queue, which is told besides `on_failure`.
    dead_letters: Option<(Sqs, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { retries: PAUSES.len(), max_age: MAX_AGE, on_success: None, on_failure: None, dead_letters: None }
    }
}

impl Settings {
    /// What holds for a function until an `AWS::Lambda::EventInvokeConfig` says more.
    pub(super) fn of(function: &super::Settings, sqs: &Sqs) -> Self {
        let dead_letters = function.dead_letters.clone().map(|queue| (sqs.clone(), queue));
        Self { dead_letters, ..Self::default() }
    }

    /// The same after a change of the function itself.
    pub(super) fn with_function(self, function: &super::Settings, sqs: &Sqs) -> Self {
        Self { dead_letters: Self::of(function, sqs).dead_letters, ..self }
    }
}

/// Reads an `AWS::Lambda::EventInvokeConfig`.
pub(super) fn configure(inner: &Inner, properties: &Value, sqs: &Sqs) -> Result<(), ApiError> {
    let mut read = Properties::of("AWS::Lambda::EventInvokeConfig", properties)?;
    let function = inner.find(&read.required("FunctionName")?)?;
    if read.required("Qualifier")? != "$LATEST" {
        return Err(read.error("Qualifier", "can only be $LATEST in the local cloud"));
    }
    let mut settings = Settings::of(&function.settings, sqs);
    if let Some(retries) = read.number("MaximumRetryAttempts", 0, 2)? {
        settings.retries = usize::try_from(retries).unwrap_or(PAUSES.len());
    }
    if let Some(age) = read.number("MaximumEventAgeInSeconds", 60, 21_600)? {
        settings.max_age = Duration::from_secs(age);
    }
    if let Some(mut config) = read.inside("DestinationConfig")? {
        for (name, into) in [("OnSuccess", &mut settings.on_success), ("OnFailure", &mut settings.on_failure)] {
            if let Some(mut destination) = config.inside(name)? {
                let arn = destination.required("Destination")?;
                if arn.split(':').nth(2) != Some("sqs") {
                    let what = format!("{name} destination {arn}");
                    return Err(ApiError::not_implemented("lambda", &what));
                }
                destination.end()?;
                *into = Some((sqs.clone(), arn));
            }
        }
        config.end()?;
    }
    read.end()?;
    *function.events.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    Ok(())
}

/// Runs an event until it succeeds, its tries are used up or it is too old.
pub(super) async fn run(inner: Arc<Inner>, function: Arc<Function>, request_id: String, payload: Bytes) {
    let settings = function.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let pauses = *inner.pauses.lock().unwrap_or_else(PoisonError::into_inner);
    // The handle may go while this event waits.
    let inner = {
        let weak = Arc::downgrade(&inner);
        drop(inner);
        weak
    };
    let begun = Instant::now();
    let mut tries = 0;
    let (condition, last) = loop {
        let Some(host) = inner.upgrade() else { return };
        let left = settings.max_age.saturating_sub(begun.elapsed());
        let invoked =
            host.invoke(Arc::clone(&function), request_id.clone(), payload.clone(), WhenBusy::Wait(left)).await;
        drop(host);
        tries += 1;
        match invoked {
            Ok(ended @ Invocation { function_error: None, .. }) => break ("Success", Some(ended)),
            Ok(failed) if tries > settings.retries => break ("RetriesExhausted", Some(failed)),
            Ok(failed) => {
                let pause = pauses.get(tries - 1).copied().unwrap_or_default();
                if begun.elapsed() + pause >= settings.max_age {
                    break ("EventAgeExceeded", Some(failed));
                }
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                let name = &function.settings.name;
                tracing::warn!(%error, function = name, "an event was not run");
                break ("EventAgeExceeded", None);
            }
        }
    };
    if let (false, Some((sqs, queue))) = (condition == "Success", &settings.dead_letters) {
        let attributes = dead_letter(&request_id, last.as_ref());
        // The event itself is the message.
        let sent = may_send(&function, sqs, queue, inner.upgrade().as_deref())
            .and_then(|()| sqs.send_with(queue, &String::from_utf8_lossy(&payload), attributes));
        if let Err(error) = sent {
            let name = &function.settings.name;
            tracing::warn!(%error, function = name, request_id, "the dead letter queue refused an event");
        }
    }
    let destination = if condition == "Success" { &settings.on_success } else { &settings.on_failure };
    let Some((sqs, queue)) = destination else {
        if condition != "Success" && settings.dead_letters.is_none() {
            let name = &function.settings.name;
            tracing::warn!(function = name, request_id, condition, "an event is given up");
        }
        return;
    };
    let record = record(&function.settings.arn, &request_id, condition, tries, &payload, last);
    let sent = may_send(&function, sqs, queue, inner.upgrade().as_deref());
    if let Err(error) = sent.and_then(|()| sqs.send(queue, &record.to_string())) {
        let name = &function.settings.name;
        tracing::warn!(%error, function = name, request_id, "a destination refused its record");
    }
}

/// Whether the function's role may send to this queue.
fn may_send(function: &Function, sqs: &Sqs, queue: &str, inner: Option<&Inner>) -> Result<(), ApiError> {
    let Some(inner) = inner else { return Ok(()) };
    let settings = &function.settings;
    let caller = Caller::assumed(&settings.role, &settings.name);
    let body = json!({ "QueueUrl": sqs.url(&sqs.name(queue)?) });
    inner.config.identity.authorizer().check_call("sqs", "SendMessage", &caller, &body)
}

/// The attributes of an event on a dead letter queue (Lambda guide, "Adding a dead-letter queue"): the error's first
/// kilobyte, and the status of the last invocation.
fn dead_letter(request_id: &str, last: Option<&Invocation>) -> Map<String, Value> {
    let status = last.map_or(429, |last| last.status);
    let error = last.and_then(|last| serde_json::from_slice::<Value>(&last.payload).ok());
    let message = error.as_ref().and_then(|error| error.get("errorMessage")).and_then(Value::as_str);
    let message: String = message.filter(|text| !text.is_empty()).unwrap_or("no message").chars().take(1024).collect();
    Map::from_iter([
        ("RequestID".to_owned(), json!({ "DataType": "String", "StringValue": request_id })),
        ("ErrorCode".to_owned(), json!({ "DataType": "Number", "StringValue": status.to_string() })),
        ("ErrorMessage".to_owned(), json!({ "DataType": "String", "StringValue": message })),
    ])
}

/// The record that a destination gets.
fn record(
    arn: &str,
    request_id: &str,
    condition: &str,
    tries: usize,
    payload: &[u8],
    last: Option<Invocation>,
) -> Value {
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let mut record = json!({
        "version": "1.0",
        "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        "requestContext": {
            "requestId": request_id,
            "functionArn": format!("{arn}:$LATEST"),
            "condition": condition,
            "approximateInvokeCount": tries,
        },
        "requestPayload": parsed(payload),
    });
    if let Some(last) = last {
        record["responseContext"] = json!({ "statusCode": 200, "executedVersion": "$LATEST" });
        if let Some(error) = last.function_error {
            record["responseContext"]["functionError"] = json!(error);
        }
        record["responsePayload"] = parsed(&last.payload);
    }
    record
}
