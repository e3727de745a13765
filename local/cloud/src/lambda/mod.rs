//! Lambda: functions as processes that speak the Runtime API, and the event source mappings that feed them.
//!
//! A process is started on demand with the template's environment, is reused while idle, and never outlives the host.
//! Payloads and environments never reach a log of ours; what a function prints is kept as its log.

use std::ffi::OsString;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use crate::ApiError;
use crate::identity::Identity;
use crate::sqs::Sqs;
use crate::trace::Trace;

/// How functions are started.
#[derive(Clone)]
pub struct Config {
    /// The region they believe to be in.
    pub region: String,
    /// The gateway's address, `http://127.0.0.1:PORT`: their only way to any service.
    pub endpoint: String,
    /// The command that plays a function; the program's name is appended.
    pub command: Vec<OsString>,
    /// Where each function's log file is written, as `NAME.log`.
    pub logs: PathBuf,
    /// Gives each environment its credentials.
    pub identity: Identity,
    /// Where starts and ends are shown.
    pub trace: Trace,
}

/// How an invocation is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationType {
    /// The caller waits for the answer.
    RequestResponse,
    /// The event is queued, and tried up to three times.
    Event,
    /// Nothing is run.
    DryRun,
}

/// What an invocation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// 200, 202 for `Event`, 204 for `DryRun`.
    pub status: u16,
    /// `Unhandled` when the function failed: the payload is then `{"errorType": …, "errorMessage": …}`.
    pub function_error: Option<String>,
    /// The answer, JSON as the function wrote it. Empty for `Event` and `DryRun`.
    pub payload: Bytes,
    /// The request id.
    pub request_id: String,
}

/// The functions; clones share them. Ends every process when the last clone goes.
#[derive(Clone)]
pub struct Lambda {}

impl Lambda {
    /// No functions yet. Runs tasks on the current tokio runtime.
    ///
    /// # Errors
    /// When the folder for logs cannot be made.
    pub fn start(_config: Config) -> Result<Self, ApiError> {
        Ok(Self {})
    }

    /// Creates the function of an `AWS::Lambda::Function` with these resolved properties under this name. No process is
    /// started before it is invoked.
    ///
    /// # Errors
    /// An unknown property by name, or a value that Lambda refuses.
    pub fn create_function(&self, _name: &str, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("lambda", "create_function"))
    }

    /// Accepts an `AWS::Lambda::Permission`: its function must exist, the permission is not evaluated.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown function.
    pub fn permission(&self, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("lambda", "permission"))
    }

    /// Creates an `AWS::Lambda::EventSourceMapping` from a queue, under this id, and starts to poll.
    ///
    /// # Errors
    /// An unknown property by name, an unknown queue or function, a visibility timeout below the function's timeout.
    pub fn create_event_source_mapping(&self, _id: &str, _properties: &Value, _sqs: &Sqs) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("lambda", "create_event_source_mapping"))
    }

    /// Invokes a function (by name, ARN or partial ARN).
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `TooManyRequestsException` (429), `RequestTooLargeException` (413),
    /// `InvalidRequestContentException`. A failing function is no error, but [`Invocation::function_error`].
    pub async fn invoke(&self, _function: &str, _kind: InvocationType, _payload: Bytes) -> Result<Invocation, ApiError> {
        Err(ApiError::not_implemented("lambda", "invoke"))
    }

    /// The log of a function, line by line, oldest first.
    pub fn log(&self, _function: &str) -> Vec<String> {
        Vec::new()
    }

    /// Kills every process of a function, as a crash would, and says how many there were.
    pub fn kill(&self, _function: &str) -> usize {
        0
    }

    /// Stops the mappings and ends every process.
    pub async fn shutdown(&self) {}
}
