//! Step Functions on tokio: the pure service of `states`, with a clock, a source of identifiers and tasks that run.
//!
//! All decisions are in `states`; this module only carries commands out and brings their outcome back. It must never
//! hold the service's lock across an await, and never let a task's request or result reach a log: they carry tokens.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::service::Clock;
use crate::{ApiError, Caller};
pub use states::service::Usage;
use states::{Command, Event, Ids, TaskId, Time, service};
pub use states::{Config, Pattern, TaskFailure, TaskResource};

/// Makes the calls of Task states.
#[async_trait]
pub trait TaskRunner: Send + Sync {
    /// Calls `resource` with `request` under `role_arn`.
    ///
    /// The result is what AWS's integration returns: for `lambda:invoke` an object with `ExecutedVersion`, `Payload` and
    /// `StatusCode`; for a function named by ARN its answer; for the others the call's response. A call with
    /// `.waitForTaskToken` is made the same way; its result only says that the call went through.
    ///
    /// # Errors
    /// What the state shall see as `Error` and `Cause`. A function that raised an error is its `errorType` and its
    /// error JSON as text.
    async fn run(&self, role_arn: &str, resource: &TaskResource, request: Value) -> Result<Value, TaskFailure>;
}

struct RandomIds;

impl Ids for RandomIds {
    fn next(&mut self) -> u128 {
        uuid::Uuid::new_v4().as_u128()
    }
}

/// The running service. Clones are handles to the same one; when the last is gone its tasks end.
#[derive(Clone)]
pub struct StepFunctions {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: Clock,
    runner: Arc<dyn TaskRunner>,
    status_events: mpsc::UnboundedSender<Value>,
    /// The next due time may have changed.
    rescheduled: Arc<Notify>,
    me: Weak<Shared>,
}

struct State {
    service: service::StepFunctions,
    /// Calls under way. A cancelled one stays: as at AWS a call that was made is not taken back, only its result is ignored.
    running: HashMap<TaskId, AbortHandle>,
    waiting: HashMap<String, Vec<oneshot::Sender<()>>>,
    timer: Option<AbortHandle>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in state.running.values() {
            task.abort();
        }
        if let Some(timer) = &state.timer {
            timer.abort();
        }
    }
}

impl StepFunctions {
    /// Starts the service on the current tokio runtime. Status-change events go to `status_events` as complete
    /// EventBridge events.
    pub fn start(config: Config, runner: Arc<dyn TaskRunner>, status_events: mpsc::UnboundedSender<Value>) -> Self {
        let rescheduled = Arc::new(Notify::new());
        let shared = Arc::new_cyclic(|me| Shared {
            state: Mutex::new(State {
                service: service::StepFunctions::new(config),
                running: HashMap::new(),
                waiting: HashMap::new(),
                timer: None,
            }),
            clock: Clock::default(),
            runner,
            status_events,
            rescheduled: Arc::clone(&rescheduled),
            me: me.clone(),
        });
        let timer = tokio::spawn(keep_time(Arc::downgrade(&shared), rescheduled));
        shared.lock().timer = Some(timer.abort_handle());
        Self { shared }
    }

    /// Answers one API call: `operation` is the name after `AWSStepFunctions.`.
    ///
    /// # Errors
    /// AWS's error for the call.
    #[allow(clippy::unused_async)] // The signature that all services of the gateway share.
    pub async fn call(&self, operation: &str, _caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.shared.turn(|service, now| service.call(operation, &body, now, &mut RandomIds)).map_err(refused)
    }

    /// Asks before machines call this service itself.
    pub fn set_authority(&self, authority: Arc<dyn states::Authority>) {
        self.shared.lock().service.set_authority(authority);
    }

    /// What all executions have cost so far.
    pub fn usage(&self) -> Usage {
        self.shared.lock().service.usage()
    }

    /// Waits until the execution has ended and answers with `DescribeExecution`.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn wait(&self, execution_arn: &str) -> Result<Value, ApiError> {
        let body = json!({ "executionArn": execution_arn });
        loop {
            let ended = {
                // One look and the registration under one lock, so that an end in between is not missed.
                let mut state = self.shared.lock();
                let now = self.shared.clock.now();
                let (described, _) = state.service.call("DescribeExecution", &body, now, &mut RandomIds);
                let described = described.map_err(refused)?;
                if described.get("status").and_then(Value::as_str) != Some("RUNNING") {
                    return Ok(described);
                }
                let (sender, receiver) = oneshot::channel();
                state.waiting.entry(execution_arn.to_owned()).or_default().push(sender);
                receiver
            };
            // An error means that the sender is gone, which only happens with the service itself: then look again.
            let _ = ended.await;
        }
    }
}

fn refused(error: states::ApiError) -> ApiError {
    ApiError { code: error.code, status: error.status, message: error.message, extra: error.extra }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One turn of the pure service, and what it asks for set going in the order in which it asked.
    fn turn<T>(&self, turn: impl FnOnce(&mut service::StepFunctions, Time) -> (T, Vec<Command>)) -> T {
        let mut state = self.lock();
        let (answer, commands) = turn(&mut state.service, self.clock.now());
        for command in commands {
            match command {
                Command::RunTask { task, role_arn, resource, request } => {
                    let call = run_task(self.me.clone(), Arc::clone(&self.runner), task, role_arn, resource, request);
                    state.running.insert(task, tokio::spawn(call).abort_handle());
                }
                // The call goes on, as at AWS. The core no longer knows the task and ignores its result.
                Command::CancelTask { .. } => {}
                // No receiver: nobody is interested in status changes, which is not this module's business.
                Command::StatusChange(event) => drop(self.status_events.send(event)),
                Command::Ended { execution_arn } => {
                    for waiting in state.waiting.remove(&execution_arn).unwrap_or_default() {
                        // A waiter that gave up is no error.
                        let _ = waiting.send(());
                    }
                }
            }
        }
        drop(state);
        self.rescheduled.notify_one();
        answer
    }
}

async fn run_task(
    shared: Weak<Shared>,
    runner: Arc<dyn TaskRunner>,
    task: TaskId,
    role_arn: String,
    resource: TaskResource,
    request: Value,
) {
    // A runner that panics must not leave a state waiting for ever.
    let call = AssertUnwindSafe(runner.run(&role_arn, &resource, request)).catch_unwind().await;
    let result = call.unwrap_or_else(|_| {
        let cause = format!("The call of {} ended without an answer", resource.arn);
        Err(TaskFailure { error: "States.TaskFailed".into(), cause: Some(cause) })
    });
    let Some(shared) = shared.upgrade() else {
        return;
    };
    shared.lock().running.remove(&task);
    let event = Event::TaskFinished { task, result };
    shared.turn(|service, now| ((), service.event(event, now, &mut RandomIds)));
}

async fn keep_time(shared: Weak<Shared>, rescheduled: Arc<Notify>) {
    loop {
        let left = {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let due = shared.lock().service.next_timer();
            due.map(|due| (due - shared.clock.now()).to_std().unwrap_or_default())
        };
        match left {
            None => rescheduled.notified().await,
            Some(left) => {
                tokio::select! {
                    () = tokio::time::sleep(left) => {
                        let Some(shared) = shared.upgrade() else { return };
                        shared.turn(|service, now| ((), service.due(now, &mut RandomIds)));
                    }
                    () = rescheduled.notified() => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use tokio::time::Instant;

    type Answer = Result<Value, TaskFailure>;

    /// Hands every call to the test, which answers when it likes.
    struct Scripted(mpsc::UnboundedSender<(TaskResource, Value, oneshot::Sender<Answer>)>);

    #[async_trait]
    impl TaskRunner for Scripted {
        async fn run(&self, role_arn: &str, resource: &TaskResource, request: Value) -> Answer {
            assert_eq!(role_arn, ROLE);
            let (sender, receiver) = oneshot::channel();
            self.0.send((resource.clone(), request, sender)).unwrap();
            receiver.await.expect("the test answers every call")
        }
    }

    const ROLE: &str = "arn:aws:iam::000000000000:role/machine";

    struct World {
        states: StepFunctions,
        calls: mpsc::UnboundedReceiver<(TaskResource, Value, oneshot::Sender<Answer>)>,
        events: mpsc::UnboundedReceiver<Value>,
    }

    impl World {
        fn start() -> Self {
            let (calls_sender, calls) = mpsc::unbounded_channel();
            let (events_sender, events) = mpsc::unbounded_channel();
            let runner = Arc::new(Scripted(calls_sender));
            Self { states: StepFunctions::start(Config::default(), runner, events_sender), calls, events }
        }

        async fn call(&self, operation: &str, body: Value) -> Result<Value, ApiError> {
            self.states.call(operation, &Caller::local_user(), body).await
        }

        /// Starts a machine of one state.
        async fn begin(&self, state: Value) -> String {
            let definition = json!({ "StartAt": "Only", "States": { "Only": state } }).to_string();
            let body = json!({ "name": "m", "definition": definition, "roleArn": ROLE });
            let machine = self.call("CreateStateMachine", body).await.unwrap();
            let body = json!({ "stateMachineArn": machine["stateMachineArn"], "input": "{\"a\":1}" });
            let started = self.call("StartExecution", body).await.unwrap();
            started["executionArn"].as_str().unwrap().to_owned()
        }
    }

    fn waiting() -> Value {
        json!({
            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true,
            "Parameters": { "FunctionName": "f", "Payload": { "token.$": "$$.Task.Token" } },
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_brings_its_result_and_the_bus_hears_of_it() {
        let mut world = World::start();
        let resource = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let execution = world.begin(json!({ "Type": "Task", "Resource": resource, "End": true })).await;
        let (called, request, answer) = world.calls.recv().await.unwrap();
        assert_eq!((called.function.as_deref(), request), (Some(resource), json!({ "a": 1 })));
        answer.send(Ok(json!({ "b": 2 }))).unwrap();
        let ended = world.states.wait(&execution).await.unwrap();
        assert_eq!((&ended["status"], &ended["output"]), (&json!("SUCCEEDED"), &json!("{\"b\":2}")));
        for status in ["RUNNING", "SUCCEEDED"] {
            assert_eq!(world.events.recv().await.unwrap()["detail"]["status"], status);
        }
        // Waiting for what has ended, and for what never was.
        assert_eq!(world.states.wait(&execution).await.unwrap(), ended);
        let nowhere = world.states.wait(&execution.replace(":m:", ":n:")).await;
        assert_eq!(nowhere.unwrap_err().code, "ExecutionDoesNotExist");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_of_the_call_is_the_state_s_error() {
        let mut world = World::start();
        let execution = world.begin(waiting()).await;
        let (_, _, answer) = world.calls.recv().await.unwrap();
        answer.send(Err(TaskFailure { error: "Boom".into(), cause: Some("bang".into()) })).unwrap();
        let ended = world.states.wait(&execution).await.unwrap();
        assert_eq!((&ended["error"], &ended["cause"]), (&json!("Boom"), &json!("bang")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_panics_fails_the_task() {
        let mut world = World::start();
        let execution = world.begin(waiting()).await;
        let (_, _, answer) = world.calls.recv().await.unwrap();
        drop(answer);
        assert_eq!(world.states.wait(&execution).await.unwrap()["error"], "States.TaskFailed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_ends_the_wait_while_the_call_is_still_under_way() {
        let mut world = World::start();
        let execution = world.begin(waiting()).await;
        let (_, request, answer) = world.calls.recv().await.unwrap();
        let success = json!({ "taskToken": request["Payload"]["token"], "output": "42" });
        let waits = tokio::spawn({
            let (states, execution) = (world.states.clone(), execution.clone());
            async move { states.wait(&execution).await }
        });
        world.call("SendTaskSuccess", success.clone()).await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap()["output"], "42");
        answer.send(Ok(json!({}))).unwrap();
        assert_eq!(world.call("SendTaskSuccess", success).await.unwrap_err().code, "TaskTimedOut");
    }

    #[tokio::test(start_paused = true)]
    async fn time_limits_are_kept_and_late_results_dropped() {
        let mut world = World::start();
        let mut state = waiting();
        state["TimeoutSeconds"] = json!(30);
        state["Retry"] = json!([{ "ErrorEquals": ["States.Timeout"], "IntervalSeconds": 7, "MaxAttempts": 1 }]);
        let began = Instant::now();
        let execution = world.begin(state).await;
        let (_, first, late) = world.calls.recv().await.unwrap();
        let (_, second, answer) = world.calls.recv().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 37);
        assert_ne!(first["Payload"]["token"], second["Payload"]["token"]);
        late.send(Err(TaskFailure { error: "Late".into(), cause: None })).unwrap();
        answer.send(Ok(json!({}))).unwrap();
        let ended = world.states.wait(&execution).await.unwrap();
        assert_eq!((&ended["error"], began.elapsed().as_secs()), (&json!("States.Timeout"), 67));
    }

    #[tokio::test(start_paused = true)]
    async fn hours_of_waiting_pass_at_once() {
        let world = World::start();
        let began = Instant::now();
        let execution = world.begin(json!({ "Type": "Wait", "Seconds": 7200, "End": true })).await;
        let ended = world.states.wait(&execution).await.unwrap();
        assert_eq!((&ended["status"], began.elapsed().as_secs()), (&json!("SUCCEEDED"), 7200));
        let took = ended["stopDate"].as_f64().unwrap() - ended["startDate"].as_f64().unwrap();
        assert!((7200.0..7201.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_execution_ends_the_wait() {
        let mut world = World::start();
        let execution = world.begin(waiting()).await;
        world.calls.recv().await.unwrap();
        world.call("StopExecution", json!({ "executionArn": execution, "cause": "enough" })).await.unwrap();
        let ended = world.states.wait(&execution).await.unwrap();
        assert_eq!((&ended["status"], &ended["cause"]), (&json!("ABORTED"), &json!("enough")));
    }
}
