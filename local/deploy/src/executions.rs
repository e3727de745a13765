//! Executions of state machines, from outside: start, describe, list.

use aws_sdk_sfn::types::ExecutionStatus;
use aws_smithy_types::DateTime as Stamp;
use chrono::{DateTime, Utc};

use crate::{Aws, Error, Outcome, failure};

const SERVICE: &str = "Step Functions";

/// An execution as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED`, `PENDING_REDRIVE`.
    pub status: String,
    /// Its start.
    pub started: DateTime<Utc>,
    /// Its input; a listing does not have it.
    pub input: String,
    /// Why it failed.
    pub error: String,
    /// What there is to say about that.
    pub cause: String,
}

impl Execution {
    /// Whether it may still change.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "RUNNING" | "PENDING_REDRIVE")
    }
}

/// The SDK's times to chrono's, at the millisecond that services give.
pub(crate) fn time(stamp: &Stamp) -> DateTime<Utc> {
    stamp.to_millis().ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

/// Starts one; its ARN.
///
/// # Errors
/// What Step Functions refuses.
pub async fn start(aws: &Aws, machine: &str, input: &str) -> Outcome<String> {
    let started = aws.sfn().start_execution().state_machine_arn(machine).input(input).send().await;
    Ok(started.map_err(|error| failure::of(SERVICE, error))?.execution_arn)
}

/// One as it stands.
///
/// # Errors
/// What Step Functions refuses.
pub async fn describe(aws: &Aws, arn: &str) -> Outcome<Execution> {
    let described = aws.sfn().describe_execution().execution_arn(arn).send().await;
    let described = described.map_err(|error| match failure::of(SERVICE, error) {
        Error::Service { code, .. } if code == "ExecutionDoesNotExist" => {
            Error::Usage(format!("there is no execution {arn}"))
        }
        error => error,
    })?;
    Ok(Execution {
        arn: described.execution_arn,
        name: described.name.unwrap_or_default(),
        status: described.status.as_str().to_owned(),
        started: time(&described.start_date),
        input: described.input.unwrap_or_default(),
        error: described.error.unwrap_or_default(),
        cause: described.cause.unwrap_or_default(),
    })
}

/// The executions of a machine, newest first: those that run, or all; no more than `most`.
///
/// # Errors
/// What Step Functions refuses.
pub async fn list(aws: &Aws, machine: &str, running: bool, most: usize) -> Outcome<Vec<Execution>> {
    let page = i32::try_from(most.clamp(1, 1000)).unwrap_or(1000);
    let mut request = aws.sfn().list_executions().state_machine_arn(machine).max_results(page);
    if running {
        request = request.status_filter(ExecutionStatus::Running);
    }
    let mut pages = request.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failure::of(SERVICE, error))?;
        found.extend(page.executions.into_iter().map(|listed| Execution {
            arn: listed.execution_arn,
            name: listed.name,
            status: listed.status.as_str().to_owned(),
            started: time(&listed.start_date),
            input: String::new(),
            error: String::new(),
            cause: String::new(),
        }));
        if found.len() >= most {
            break;
        }
    }
    found.truncate(most);
    Ok(found)
}
