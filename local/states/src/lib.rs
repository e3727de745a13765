//! Amazon States Language, interpreted.
//!
//! A pure core: events in, commands and an AWS-shaped history out. Time and identifiers are inputs. Nothing here may
//! open a socket or a file, read a clock or draw a random number; the same inputs give the same history.
//!
//! The entry point is [`service::StepFunctions`], which is the Step Functions API as a state machine: it holds the
//! registered machines, their executions, the task tokens and the timers.

#![allow(clippy::result_large_err)] // Errors of calls are rare and short-lived; boxing them would only be in the way.

pub mod check;
mod choice;
mod definition;
mod engine;
mod environment;
mod expression;
mod history;
mod intrinsic;
pub mod json_path;
mod payload;
mod reader;
mod resource;
pub mod service;
mod template;
mod timestamp;

pub use definition::Severity;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// A refused call, as AWS's JSON 1.0 protocol reports it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The error's name, for example `ExecutionDoesNotExist`; goes into `__type`.
    pub code: String,
    /// The HTTP status; Step Functions uses 400 for all its modelled errors.
    pub status: u16,
    /// The text for people; goes into `message`.
    pub message: String,
    /// Further members of the error's body, for example `reason` of a `ValidationException`.
    pub extra: Map<String, Value>,
}

impl ApiError {
    /// A modelled Step Functions error: HTTP 400, no further members.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), status: 400, message: message.into(), extra: Map::new() }
    }

    /// With one further member in the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

/// Where unique identifiers come from: execution names, task tokens, map runs, `States.UUID`, jitter.
///
/// The core never makes one itself, so that a run with the same source is the same run.
pub trait Ids {
    /// The next value: 128 bits, never the same twice within one service.
    fn next(&mut self) -> u128;
}

/// Identifiers that follow from a seed and a counter: the same seed gives the same sequence.
#[derive(Debug, Clone)]
pub struct SeededIds {
    seed: u64,
    count: u64,
}

impl SeededIds {
    /// Starts the sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }
}

impl Ids for SeededIds {
    fn next(&mut self) -> u128 {
        use sha2::{Digest, Sha256};
        self.count += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(self.count.to_be_bytes());
        let digest = hash.finalize();
        digest.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
    }
}

/// What the service must know about the world it stands in.
#[derive(Debug, Clone)]
pub struct Config {
    /// `aws` for the commercial partition.
    pub partition: String,
    /// For example `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { partition: "aws".into(), region: "us-east-1".into(), account: "000000000000".into() }
    }
}

/// Says whether a role may make a call of this very service, which its machines make without anybody outside hearing of
/// it: `states:startExecution` in all its forms and `aws-sdk:sfn:…`. Must answer at once and without effects on the service.
pub trait Authority: Send + Sync + std::fmt::Debug {
    /// `body` is the call's JSON as on the wire.
    ///
    /// # Errors
    /// The call's error, `AccessDeniedException`.
    fn check(&self, role_arn: &str, operation: &str, body: &Value) -> Result<(), ApiError>;
}

/// One attempt of one task. A retry is another attempt with another id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u64);

/// How a task's result comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// The call's response is the result.
    RequestResponse,
    /// The response only says that the call was made; the result comes with `SendTaskSuccess` or `SendTaskFailure`.
    WaitForTaskToken,
    /// The result comes when the job that the call started has ended; JSON results as text.
    Sync,
    /// As [`Pattern::Sync`], JSON results parsed (`.sync:2`).
    Sync2,
}

/// What a Task state calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskResource {
    /// The state's `Resource` as written, for example `arn:aws:states:::lambda:invoke.waitForTaskToken`, or a function's ARN.
    pub arn: String,
    /// History's `resourceType`: `lambda`, `dynamodb`, `sqs`, `aws-sdk:dynamodb`, …
    pub service: String,
    /// The call without its pattern: `invoke`, `putItem`, …. For a function named by ARN it is `invoke`, and
    /// [`TaskResource::function`] is set.
    pub action: String,
    /// How the result comes back.
    pub pattern: Pattern,
    /// The function's ARN when the state names a function directly (the older form). The request then is the payload
    /// itself and the result is the function's answer itself, not `{ExecutedVersion, Payload, StatusCode}`.
    pub function: Option<String>,
}

/// Why a task failed, as history and `Catch` see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFailure {
    /// The name that `ErrorEquals` matches, for example a function's `errorType` or `Lambda.TooManyRequestsException`.
    pub error: String,
    /// The cause; for a function's error its error JSON as text.
    pub cause: Option<String>,
}

/// What the service wants done. The order of commands is the order in which they arose.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make the call and answer with [`Event::TaskFinished`].
    RunTask {
        /// To be given back with the result.
        task: TaskId,
        /// The role of the state machine, under which the call is made.
        role_arn: String,
        /// What to call.
        resource: TaskResource,
        /// The call's arguments.
        request: Value,
    },
    /// Nobody waits for this task any more (timeout, stop, failure of a sibling). A result that still comes is ignored.
    CancelTask {
        /// The task of an earlier [`Command::RunTask`].
        task: TaskId,
    },
    /// A complete EventBridge event, `Step Functions Execution Status Change` of source `aws.states`.
    StatusChange(Value),
    /// An execution has ended; `DescribeExecution` has its end state.
    Ended {
        /// Which one.
        execution_arn: String,
    },
}

/// What the world answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The call of a [`Command::RunTask`] is over.
    TaskFinished {
        /// From the command.
        task: TaskId,
        /// The call's response, or why it failed.
        result: Result<Value, TaskFailure>,
    },
}

/// A point in time. The core works in whole milliseconds.
pub type Time = DateTime<Utc>;
