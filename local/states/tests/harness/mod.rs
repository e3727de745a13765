//! A service with a virtual clock and tasks that a test answers by hand.

#![allow(dead_code)] // Each test binary uses its part.

use std::collections::VecDeque;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use states::service::StepFunctions;
use states::{ApiError, Command, Config, Event, SeededIds, TaskFailure, TaskId, TaskResource};

pub const ROLE: &str = "arn:aws:iam::000000000000:role/machine";

/// A call that the service wants made.
#[derive(Debug, Clone)]
pub struct Call {
    pub task: TaskId,
    pub resource: TaskResource,
    pub request: Value,
}

pub struct Harness {
    pub service: StepFunctions,
    ids: SeededIds,
    pub now: DateTime<Utc>,
    pub calls: VecDeque<Call>,
    pub cancelled: Vec<TaskId>,
    pub status_changes: Vec<Value>,
    pub ended: Vec<String>,
}

impl Harness {
    pub fn new() -> Self {
        Self {
            service: StepFunctions::new(Config::default()),
            ids: SeededIds::new(1),
            now: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            calls: VecDeque::new(),
            cancelled: Vec::new(),
            status_changes: Vec::new(),
            ended: Vec::new(),
        }
    }

    pub fn call(&mut self, operation: &str, body: Value) -> Result<Value, ApiError> {
        let (answer, commands) = self.service.call(operation, &body, self.now, &mut self.ids);
        self.take(commands);
        answer
    }

    /// The error's name, where one is expected.
    pub fn refused(&mut self, operation: &str, body: Value) -> String {
        self.call(operation, body).expect_err(operation).code
    }

    pub fn create(&mut self, name: &str, definition: &Value) -> String {
        let body = json!({ "name": name, "definition": definition.to_string(), "roleArn": ROLE });
        text(&self.call("CreateStateMachine", body).unwrap()["stateMachineArn"])
    }

    pub fn start(&mut self, machine: &str, input: &Value) -> String {
        let body = json!({ "stateMachineArn": machine, "input": input.to_string() });
        text(&self.call("StartExecution", body).unwrap()["executionArn"])
    }

    /// Creates a machine and starts it.
    pub fn begin(&mut self, definition: &Value, input: &Value) -> String {
        let machine = self.create("machine", definition);
        let execution = self.start(&machine, input);
        self.settle();
        execution
    }

    pub fn describe(&mut self, execution: &str) -> Value {
        self.call("DescribeExecution", json!({ "executionArn": execution })).unwrap()
    }

    pub fn status(&mut self, execution: &str) -> String {
        text(&self.describe(execution)["status"])
    }

    pub fn output(&mut self, execution: &str) -> Value {
        let described = self.describe(execution);
        serde_json::from_str(described["output"].as_str().unwrap_or_else(|| panic!("{described}"))).unwrap()
    }

    pub fn history(&mut self, execution: &str) -> Vec<Value> {
        let body = json!({ "executionArn": execution, "maxResults": 1000 });
        self.call("GetExecutionHistory", body).unwrap()["events"].as_array().unwrap().clone()
    }

    pub fn kinds(&mut self, execution: &str) -> Vec<String> {
        self.history(execution).iter().map(|event| text(&event["type"])).collect()
    }

    /// The next call that waits to be made.
    pub fn next_call(&mut self) -> Call {
        self.calls.pop_front().expect("a call waits")
    }

    pub fn answer(&mut self, call: &Call, result: Result<Value, (&str, &str)>) {
        let result = result.map_err(|(error, cause)| TaskFailure { error: error.into(), cause: Some(cause.into()) });
        let event = Event::TaskFinished { task: call.task, result };
        let commands = self.service.event(event, self.now, &mut self.ids);
        self.take(commands);
    }

    /// Lets this much time pass.
    pub fn pass(&mut self, seconds: i64) {
        let until = self.now + Duration::seconds(seconds);
        while let Some(due) = self.service.next_timer().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let commands = self.service.due(self.now, &mut self.ids);
            self.take(commands);
        }
        self.now = until;
    }

    /// Does what is due now.
    pub fn settle(&mut self) {
        self.pass(0);
    }

    fn take(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::RunTask { task, resource, request, .. } => {
                    self.calls.push_back(Call { task, resource, request });
                }
                Command::CancelTask { task } => self.cancelled.push(task),
                Command::StatusChange(event) => self.status_changes.push(event),
                Command::Ended { execution_arn } => self.ended.push(execution_arn),
            }
        }
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

/// A machine of one state.
pub fn machine(state: Value) -> Value {
    json!({ "StartAt": "Only", "States": { "Only": state } })
}
