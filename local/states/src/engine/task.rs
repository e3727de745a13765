//! Task states: scheduling, tokens, timeouts, heartbeats, and the many ways in which a task ends.
//!
//! Every attempt has a task id and, where one is used, a token of its own. Once an attempt is over nothing that still
//! comes for it may change anything.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::states::{Begun, shown};
use super::{Engine, ExecutionId, Phase, Status, StrandId, Timer, TimerKey, Trouble, Turn, What};
use crate::definition::{Given, State, Task};
use crate::environment::{Environment, Failure};
use crate::history::{Details, Failed, Scheduled};
use crate::payload::Payload;
use crate::{Command, Pattern, TaskFailure, TaskId, TaskResource, template};

/// One attempt of a task.
#[derive(Debug)]
pub(super) struct Attempt {
    pub id: TaskId,
    pub resource: Arc<TaskResource>,
    token: Option<Token>,
    timeout: Option<TimerKey>,
    heartbeat: Option<TimerKey>,
    heartbeat_seconds: Option<i64>,
    /// The result comes with the end of an execution that this task started.
    pub nested: bool,
    /// That execution, while it runs.
    /// The role that started the child.
    pub role: Arc<str>,
    pub child: Option<ExecutionId>,
    /// A call made through [`Command::RunTask`] has not come back.
    outside: bool,
}

impl Attempt {
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.text.as_str())
    }
}

/// How a task came to an end, or at least further.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The call returned.
    Called(Result<Value, TaskFailure>),
    /// The result of what was called, by token or by the end of a nested execution. A failure may have no error name.
    Answered(Result<Value, Failed>),
}

#[derive(Debug)]
struct Token {
    text: String,
    key: u128,
}

/// The tokens that were given out. Only open ones take memory: whether this service made a token can be seen from it.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    secret: Option<u128>,
    open: HashMap<u128, TaskId>,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// Not a token at all.
    Malformed,
    /// A token, but not one of this service.
    Unknown,
    /// The task is closed.
    Closed,
}

const TOKEN_MARK: &[u8; 4] = b"AQDE";

impl Tokens {
    fn issue(&mut self, task: TaskId, turn: &Turn<'_>) -> Token {
        let secret = *self.secret.get_or_insert_with(|| turn.chance());
        let key = turn.chance();
        self.open.insert(key, task);
        let mut bytes = TOKEN_MARK.to_vec();
        bytes.extend(key.to_be_bytes());
        // What anyone can check, and what only this service can.
        bytes.extend(seal(0, key));
        bytes.extend(seal(secret, key));
        Token { text: STANDARD.encode(bytes), key }
    }

    fn find(&self, text: &str) -> Result<TaskId, TokenError> {
        let bytes = STANDARD.decode(text).map_err(|_| TokenError::Malformed)?;
        let (Some(mark), Some(key), Some(open), Some(sealed), 84) =
            (bytes.get(..4), bytes.get(4..20), bytes.get(20..52), bytes.get(52..84), bytes.len())
        else {
            return Err(TokenError::Malformed);
        };
        let key = key.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
        if mark != TOKEN_MARK || open != seal(0, key) {
            return Err(TokenError::Malformed);
        }
        match self.secret {
            Some(secret) if sealed == seal(secret, key) => self.open.get(&key).copied().ok_or(TokenError::Closed),
            _ => Err(TokenError::Unknown),
        }
    }
}

fn seal(secret: u128, key: u128) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(secret.to_be_bytes());
    hash.update(key.to_be_bytes());
    hash.finalize().into()
}

impl Engine {
    pub(super) fn begin_task(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        task: &Task,
        turn: &mut Turn<'_>,
    ) -> Begun {
        let id = self.new_task(execution, strand);
        let token = (task.resource.pattern != Pattern::RequestResponse).then(|| self.tokens.issue(id, turn));
        let attempt = Attempt {
            id,
            resource: Arc::clone(&task.resource),
            token,
            timeout: None,
            heartbeat: None,
            heartbeat_seconds: None,
            nested: false,
            child: None,
            role: Arc::from(""),
            outside: false,
        };
        // In its phase before its arguments are evaluated: they may name its token.
        if let Some(found) = self.strand_mut(execution, strand) {
            found.phase = Phase::Task(Box::new(attempt));
        }
        let selected = self.selected(execution, strand, state, turn)?;
        let (timeout, heartbeat, role) = self.evaluate(execution, strand, turn, selected.value(), |env| {
            let timeout = limit(task.timeout.as_ref(), "TimeoutSeconds", env)?;
            let heartbeat = limit(task.heartbeat.as_ref(), "HeartbeatSeconds", env)?;
            let credentials = task.credentials.as_ref().map(|given| given.evaluate(env, "Credentials")).transpose()?;
            let role = credentials.and_then(|given| given.get("RoleArn").and_then(Value::as_str).map(str::to_owned));
            Ok((timeout, heartbeat, role))
        })?;
        let arguments = self.arguments(execution, strand, state, turn)?;
        let scheduled = Scheduled {
            resource: Arc::clone(&task.resource),
            region: Arc::clone(&self.region),
            parameters: arguments.clone(),
            timeout,
            heartbeat,
            credentials: role.clone(),
        };
        self.record(execution, strand, true, Details::TaskScheduled(Box::new(scheduled)), turn);
        self.record(execution, strand, true, Details::TaskStarted(Arc::clone(&task.resource)), turn);
        let timer = timeout.map(|seconds| {
            self.timers.add(turn.now + seconds * 1000, Timer { execution, strand, what: What::Task(id) })
        });
        if let Some(attempt) = self.attempt(execution, strand) {
            attempt.timeout = timer;
            attempt.heartbeat_seconds = heartbeat;
        }
        if self.runs_inside(&task.resource) {
            let role = role.unwrap_or_else(|| self.executions[execution].revision.role.to_string());
            self.run_inside(id, &role, &task.resource, arguments.value(), turn);
            return Ok(None);
        }
        if let Some(attempt) = self.attempt(execution, strand) {
            attempt.outside = true;
        }
        let mut request = arguments.value().clone();
        if (task.resource.service.as_str(), task.resource.action.as_str()) == ("events", "putEvents") {
            self.name_sender(execution, &mut request);
        }
        let role_arn = role.unwrap_or_else(|| self.executions[execution].revision.role.to_string());
        turn.commands.push(Command::RunTask {
            task: id,
            role_arn,
            resource: TaskResource::clone(&task.resource),
            request,
        });
        Ok(None)
    }

    /// Adds execution and machine to the resources of each event, which `events:putEvents` does without a word in its
    /// history ("Call EventBridge with Step Functions").
    fn name_sender(&self, execution: ExecutionId, request: &mut Value) {
        let execution = &self.executions[execution];
        let sender = [Value::from(&*execution.arn), Value::from(&*execution.revision.machine_arn)];
        for entry in request.get_mut("Entries").and_then(Value::as_array_mut).into_iter().flatten() {
            let Value::Object(entry) = entry else { continue };
            if let Value::Array(resources) = entry.entry("Resources").or_insert_with(|| Value::Array(Vec::new())) {
                resources.extend(sender.iter().cloned());
            }
        }
    }

    pub(super) fn new_task(&mut self, execution: ExecutionId, strand: StrandId) -> TaskId {
        let id = TaskId(self.next_task);
        self.next_task += 1;
        self.tasks.insert(id, (execution, strand));
        id
    }

    pub(super) fn attempt(&mut self, execution: ExecutionId, strand: StrandId) -> Option<&mut Attempt> {
        match &mut self.strand_mut(execution, strand)?.phase {
            Phase::Task(attempt) => Some(attempt),
            _ => None,
        }
    }

    /// The attempt of this task, if it is still open.
    pub(super) fn open_attempt(&mut self, task: TaskId) -> Option<(ExecutionId, StrandId, &mut Attempt)> {
        let (execution, strand) = *self.tasks.get(&task)?;
        let attempt = self.attempt(execution, strand).filter(|attempt| attempt.id == task)?;
        Some((execution, strand, attempt))
    }

    /// Takes what became of a task. Late news of a closed task is dropped.
    pub(crate) fn task_ended(&mut self, task: TaskId, outcome: Outcome, turn: &mut Turn<'_>) {
        if let Some((execution, strand)) = self.map_run_task(task) {
            if let Outcome::Called(result) = outcome {
                self.map_run_called(execution, strand, result, turn);
            }
            return;
        }
        let Some((execution, strand, attempt)) = self.open_attempt(task) else {
            return;
        };
        let resource = Arc::clone(&attempt.resource);
        match outcome {
            Outcome::Called(result) => {
                attempt.outside = false;
                let waits = match resource.pattern {
                    Pattern::RequestResponse => false,
                    Pattern::WaitForTaskToken => true,
                    Pattern::Sync | Pattern::Sync2 => attempt.nested,
                };
                match result {
                    Ok(output) if waits => self.submitted(execution, strand, task, Payload::new(output), turn),
                    Ok(output) => self.succeeded(execution, strand, output, turn),
                    Err(TaskFailure { error, cause }) => {
                        let failed = Failed { error: Some(error.into()), cause: cause.map(Into::into) };
                        self.task_failed(execution, strand, failed, true, turn);
                    }
                }
            }
            Outcome::Answered(Ok(output)) => self.succeeded(execution, strand, output, turn),
            Outcome::Answered(Err(failed)) => self.task_failed(execution, strand, failed, false, turn),
        }
    }

    fn submitted(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        task: TaskId,
        output: Payload,
        turn: &mut Turn<'_>,
    ) {
        let Some(attempt) = self.attempt(execution, strand) else {
            return;
        };
        let resource = Arc::clone(&attempt.resource);
        if attempt.heartbeat_seconds.is_some() && attempt.heartbeat.is_none() {
            self.beat(task, turn);
        }
        self.record(execution, strand, true, Details::TaskSubmitted { resource, output }, turn);
    }

    /// Sets the heartbeat's clock back.
    fn beat(&mut self, task: TaskId, turn: &Turn<'_>) {
        let Some((execution, strand, attempt)) = self.open_attempt(task) else {
            return;
        };
        let Some(seconds) = attempt.heartbeat_seconds else {
            return;
        };
        let old = attempt.heartbeat.take();
        if let Some(old) = old {
            self.timers.cancel(old);
        }
        let timer =
            self.timers.add(turn.now + seconds * 1000, Timer { execution, strand, what: What::Heartbeat(task) });
        if let Some(attempt) = self.attempt(execution, strand) {
            attempt.heartbeat = Some(timer);
        }
    }

    fn succeeded(&mut self, execution: ExecutionId, strand: StrandId, output: Value, turn: &mut Turn<'_>) {
        let Some(attempt) = self.attempt(execution, strand) else {
            return;
        };
        let resource = Arc::clone(&attempt.resource);
        let output = Payload::new(output);
        if output.is_too_long() {
            let task = resource.function.as_deref().unwrap_or(&resource.service);
            let cause = format!(
                "The state/task '{task}' returned a result with a size exceeding the maximum number of bytes service limit."
            );
            let failed = Failed { error: Some("States.DataLimitExceeded".into()), cause: Some(cause.into()) };
            return self.task_failed(execution, strand, failed, false, turn);
        }
        self.record(execution, strand, true, Details::TaskSucceeded { resource, output: output.clone() }, turn);
        let Some(found) = self.strand(execution, strand) else {
            return;
        };
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        let settled = self.settle(execution, strand, state, output, turn);
        self.release(execution, strand, turn);
        match settled {
            Ok(leaving) => self.leave(execution, strand, leaving, turn),
            Err(trouble) => self.failed(execution, strand, trouble, turn),
        }
    }

    /// `called`: the call itself failed, so that the error's name is not one that somebody made up.
    fn task_failed(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        failed: Failed,
        called: bool,
        turn: &mut Turn<'_>,
    ) {
        let Some(attempt) = self.attempt(execution, strand) else {
            return;
        };
        let resource = Arc::clone(&attempt.resource);
        self.record(execution, strand, true, Details::TaskFailed { resource, failed: failed.clone() }, turn);
        let text = |text: Option<Arc<str>>| text.map(|text| text.to_string());
        let fatal = called && failed.error.as_deref() == Some("States.Runtime");
        let trouble = Trouble { fatal, ..Trouble::new(text(failed.error), text(failed.cause)) };
        self.failed(execution, strand, trouble, turn);
    }

    pub(super) fn task_timed_out(&mut self, task: TaskId, heartbeat: bool, turn: &mut Turn<'_>) {
        let Some((execution, strand, attempt)) = self.open_attempt(task) else {
            return;
        };
        let resource = Arc::clone(&attempt.resource);
        // Recorded: a missed heartbeat is reported as States.Timeout as well.
        let failed = Failed { error: Some("States.Timeout".into()), cause: None };
        self.record(execution, strand, true, Details::TaskTimedOut { resource, failed }, turn);
        let trouble = Trouble { heartbeat, ..Trouble::new(Some("States.Timeout".into()), None) };
        self.failed(execution, strand, trouble, turn);
    }

    /// An attempt is over, whatever the reason: its token is dead, its timers are off, its child is stopped.
    pub(super) fn drop_attempt(&mut self, attempt: Attempt, turn: &mut Turn<'_>) {
        self.tasks.remove(&attempt.id);
        if let Some(token) = &attempt.token {
            self.tokens.open.remove(&token.key);
        }
        for timer in [attempt.timeout, attempt.heartbeat].into_iter().flatten() {
            self.timers.cancel(timer);
        }
        if attempt.outside {
            turn.commands.push(Command::CancelTask { task: attempt.id });
        }
        if let Some(child) = attempt.child {
            self.executions[child].started_by = None;
            // Who may not stop its child leaves it running.
            if self.may(&attempt.role, "StopExecution", child).is_ok() {
                self.end(child, Status::Aborted, Failed::default(), turn);
            }
        }
    }

    /// `SendTaskSuccess` and `SendTaskFailure`.
    pub(crate) fn answer(
        &mut self,
        token: &str,
        result: Result<Value, Failed>,
        turn: &mut Turn<'_>,
    ) -> Result<(), TokenError> {
        let task = self.tokens.find(token)?;
        self.task_ended(task, Outcome::Answered(result), turn);
        Ok(())
    }

    /// `SendTaskHeartbeat`.
    pub(crate) fn heartbeat(&mut self, token: &str, turn: &Turn<'_>) -> Result<(), TokenError> {
        let task = self.tokens.find(token)?;
        self.beat(task, turn);
        Ok(())
    }
}

/// `TimeoutSeconds` or `HeartbeatSeconds`, however given.
fn limit(given: Option<&Given>, field: &str, env: &Environment<'_>) -> Result<Option<i64>, Failure> {
    /// "Task state fields": at most 99,999,999.
    const LONGEST: i64 = 99_999_999;
    let (value, failure) = match given {
        None => return Ok(None),
        Some(Given::Literal(value)) => (value.clone(), Failure::runtime(field)),
        Some(Given::Path(path)) => {
            let value = template::find(path, env)
                .map_err(|why| Failure::runtime(format!("Invalid path '{}' : {why}", path.text())))?;
            let cause = format!(
                "The {field}Path parameter cannot be parsed as a long value: {} == {}",
                path.text(),
                shown(&value)
            );
            (value, Failure::runtime(cause))
        }
        Some(Given::Expression(expression)) => {
            let value = expression.evaluate_as(env, field, "number", Value::is_number)?;
            let cause = format!("The {field} field must be a positive integer but was: {value}");
            (value, Failure::query(field, cause))
        }
    };
    match value.as_i64() {
        Some(seconds) if (1..=LONGEST).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(failure),
    }
}
