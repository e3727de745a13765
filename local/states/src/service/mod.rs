//! The Step Functions API as a state machine: machines, executions, tokens and timers.
//!
//! Must never wait, sleep or do I/O: what has to happen outside is returned as [`Command`]s, in order.

mod arguments;
mod executions;
mod machines;
mod map_runs;
mod pages;
mod tasks;
mod versions;

use serde_json::Value;

use crate::engine::{Engine, Outcome, Turn};
use crate::history::{Details, StateKind};
use crate::{ApiError, Command, Config, Event, Ids, Time};

/// All state machines and executions of one account in one region.
#[derive(Debug)]
pub struct StepFunctions {
    engine: Engine,
}

impl StepFunctions {
    /// An empty service.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { engine: Engine::new(config) }
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
        let mut turn = Turn::new(now.timestamp_millis(), ids);
        let answer = self.engine.call(operation, body, false, &mut turn);
        self.engine.run(&mut turn);
        (answer, turn.commands)
    }

    /// Takes the outcome of a command.
    pub fn event(&mut self, event: Event, now: Time, ids: &mut dyn Ids) -> Vec<Command> {
        let mut turn = Turn::new(now.timestamp_millis(), ids);
        match event {
            Event::TaskFinished { task, result } => self.engine.task_ended(task, Outcome::Called(result), &mut turn),
        }
        self.engine.run(&mut turn);
        turn.commands
    }

    /// Does what is due at `now`: waits that end, timeouts, retries.
    pub fn due(&mut self, now: Time, ids: &mut dyn Ids) -> Vec<Command> {
        let mut turn = Turn::new(now.timestamp_millis(), ids);
        self.engine.due(&mut turn);
        turn.commands
    }

    /// Asks before its machines call this service itself.
    pub fn set_authority(&mut self, authority: std::sync::Arc<dyn crate::Authority>) {
        self.engine.authority = Some(authority);
    }

    /// What all executions have cost so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.engine.usage()
    }

    /// When [`StepFunctions::due`] must be called next; `None` when nothing waits for time.
    #[must_use]
    pub fn next_timer(&self) -> Option<Time> {
        self.engine.next_timer().and_then(Time::from_timestamp_millis)
    }
}

/// What executions cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many executions there are.
    pub executions: usize,
    /// State transitions as AWS bills them: every state that was entered, and every retry.
    pub transitions: usize,
    /// The events of the longest history; an execution may have 25,000.
    pub longest_history: usize,
}

impl Engine {
    /// Looks through every history, so not for the way of a call.
    fn usage(&self) -> Usage {
        let mut usage = Usage { executions: self.executions.len(), ..Usage::default() };
        for execution in &self.executions {
            let count =
                |wanted: fn(&Details) -> bool| execution.history.iter().filter(|event| wanted(&event.details)).count();
            let entered = count(|details| matches!(details, Details::StateEntered { .. }));
            let tasks = count(|details| matches!(details, Details::StateEntered { kind: StateKind::Task, .. }));
            let scheduled = count(|details| matches!(details, Details::TaskScheduled(_)));
            usage.transitions += entered + scheduled.saturating_sub(tasks);
            usage.longest_history = usage.longest_history.max(execution.history.len());
        }
        usage
    }

    /// One API call, from outside or `nested` in a task. What it starts runs with the next [`Engine::run`].
    pub(crate) fn call(
        &mut self,
        operation: &str,
        body: &Value,
        nested: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Value, ApiError> {
        match operation {
            "CreateStateMachine" => self.create_state_machine(body, turn),
            "UpdateStateMachine" => self.update_state_machine(body, turn),
            "DeleteStateMachine" => self.delete_state_machine(body),
            "DescribeStateMachine" => self.describe_state_machine(body),
            "DescribeStateMachineForExecution" => self.describe_state_machine_for_execution(body),
            "ListStateMachines" => self.list_state_machines(body),
            "ValidateStateMachineDefinition" => machines::validate(body),
            "PublishStateMachineVersion" => self.publish_state_machine_version(body, turn),
            "ListStateMachineVersions" => self.list_state_machine_versions(body),
            "DeleteStateMachineVersion" => self.delete_state_machine_version(body),
            "CreateStateMachineAlias" => self.create_state_machine_alias(body, turn),
            "DescribeStateMachineAlias" => self.describe_state_machine_alias(body),
            "UpdateStateMachineAlias" => self.update_state_machine_alias(body, turn),
            "DeleteStateMachineAlias" => self.delete_state_machine_alias(body),
            "ListStateMachineAliases" => self.list_state_machine_aliases(body),
            "DescribeMapRun" => self.describe_map_run(body),
            "ListMapRuns" => self.list_map_runs(body),
            "StartExecution" => self.start_execution_call(body, nested, turn),
            "RedriveExecution" => self.redrive_execution(body, turn),
            "StopExecution" => self.stop_execution(body, turn),
            "DescribeExecution" => self.describe_execution(body, turn),
            "ListExecutions" => self.list_executions(body),
            "GetExecutionHistory" => self.get_execution_history(body),
            "SendTaskSuccess" => self.send_task_success(body, turn),
            "SendTaskFailure" => self.send_task_failure(body, turn),
            "SendTaskHeartbeat" => self.send_task_heartbeat(body, turn),
            other => Err(ApiError::new("UnknownOperationException", format!("{other} is not supported here"))),
        }
    }
}
