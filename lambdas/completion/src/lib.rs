//! The completion function: messages that statements have ended, each to the caller that waits. Records of a batch stand
//! for themselves: one that fails is returned alone. It submits nothing.

pub mod settle;

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use statement::event::Message;
use statement::ports::Ports;
use statement::settings::Settings;
use statement::{Error, key};

use settle::{Report, Settled, settle};

/// Records worked on at once.
const CONCURRENCY: usize = 10;
/// What is left of the function's time when a record is given back: enough to answer the queue.
const MARGIN_MS: i64 = 3_000;

/// Works through a batch of the queue and names the records to be delivered again. `deadline_ms` is when the function is
/// ended, epoch milliseconds.
///
/// # Errors
/// [`Error::Internal`] if the event is no batch: the whole of it is then delivered again.
pub async fn handle(ports: &Ports, settings: &Settings, event: &Value, deadline_ms: i64) -> Result<Value, Error> {
    let Some(records) = event.get("Records").and_then(Value::as_array) else {
        return Err(Error::Internal("the event holds no Records".to_owned()));
    };
    let left = u64::try_from(deadline_ms.saturating_sub(ports.clock.now()).saturating_sub(MARGIN_MS)).unwrap_or(0);
    let failed: Vec<Value> = futures::stream::iter(0..records.len())
        .map(|n| async move {
            let record = &records[n];
            let message = record.get("messageId").and_then(Value::as_str).unwrap_or_default();
            let body = record.get("body").and_then(Value::as_str).unwrap_or_default();
            let done = tokio::time::timeout(Duration::from_millis(left), one(ports, settings, message, body)).await;
            match done {
                Ok(true) => None,
                Ok(false) => Some(json!({"itemIdentifier": message})),
                Err(_) => {
                    tracing::warn!(message, "no time left for this record");
                    Some(json!({"itemIdentifier": message}))
                }
            }
        })
        .buffer_unordered(CONCURRENCY)
        .filter_map(|failed| async move { failed })
        .collect()
        .await;
    Ok(json!({"batchItemFailures": failed}))
}

/// Whether the record is done with.
async fn one(ports: &Ports, settings: &Settings, message: &str, body: &str) -> bool {
    let ended = match Message::parse(body, |name| key::parse_statement_name(&settings.stack, name).is_some()) {
        Message::Ended(ended) => ended,
        Message::Foreign(reason) => {
            tracing::info!(message, reason, "dropped");
            return true;
        }
        Message::Malformed(reason) => {
            tracing::error!(message, reason, "unreadable");
            return false;
        }
    };
    let Some((row, attempt)) = key::parse_statement_name(&settings.stack, &ended.statement_name) else {
        return true;
    };
    let report =
        Report { row, attempt, statement_id: Some(&ended.statement_id), event: Some(&ended), description: None };
    match settle(ports, settings, report).await {
        Ok(settled) => {
            let done = settled != Settled::NoRow;
            tracing::info!(
                message,
                row,
                attempt,
                statement_id = ended.statement_id,
                state = ended.status.name(),
                settled = settled.name(),
                done,
                "record"
            );
            done
        }
        Err(error) => {
            tracing::warn!(
                message,
                row,
                attempt,
                statement_id = ended.statement_id,
                error = error.name(),
                "record failed"
            );
            false
        }
    }
}

/// Serves the Lambda Runtime API with the process's environment; the whole of the function's program. Blocks, so it is not
/// to be called inside of a runtime.
///
/// # Errors
/// [`aws::RunError`] if the environment is incomplete or the Runtime API ends.
pub fn run() -> Result<(), aws::RunError> {
    aws::execute(serve)
}

async fn serve() -> Result<(), aws::RunError> {
    let lookup = |key: &str| std::env::var(key).ok();
    let (settings, services) = aws::Configuration::new(lookup).common()?;
    let clients = aws::clients::Clients::from_lookup(lookup)?;
    let ports = aws::ports(clients.into(), &settings, &services);
    let (ports, settings) = (&ports, &settings);
    aws::serve(move |event, invocation| async move { handle(ports, settings, &event, invocation.deadline_ms).await })
        .await
}
