//! The Step Functions API as a state machine: machines, executions, tokens and timers.
//!
//! Must never wait, sleep or do I/O: what has to happen outside is returned as [`Command`]s, in order.

use serde_json::Value;

use crate::{ApiError, Command, Config, Event, Ids, Time};

/// All state machines and executions of one account in one region.
#[derive(Debug)]
pub struct StepFunctions {
    config: Config,
}

impl StepFunctions {
    /// An empty service.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Answers one API call. `operation` is the name after `AWSStepFunctions.`, `body` the call's JSON.
    ///
    /// # Errors
    /// AWS's error for the call. A call that this service does not have is `UnknownOperationException`, naming it.
    pub fn call(
        &mut self,
        operation: &str,
        body: &Value,
        now: Time,
        ids: &mut dyn Ids,
    ) -> (Result<Value, ApiError>, Vec<Command>) {
        let _ = (body, now, ids.next(), &self.config);
        let error = ApiError::new(
            "UnknownOperationException",
            format!("{operation} is not supported here"),
        );
        (Err(error), Vec::new())
    }

    /// Takes the outcome of a command.
    pub fn event(&mut self, event: Event, now: Time, ids: &mut dyn Ids) -> Vec<Command> {
        let _ = (event, now, ids.next());
        Vec::new()
    }

    /// Does what is due at `now`: waits that end, timeouts, retries.
    pub fn due(&mut self, now: Time, ids: &mut dyn Ids) -> Vec<Command> {
        let _ = (now, ids.next());
        Vec::new()
    }

    /// When [`StepFunctions::due`] must be called next; `None` when nothing waits for time.
    #[must_use]
    pub fn next_timer(&self) -> Option<Time> {
        None
    }
}
