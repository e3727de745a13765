//! Step Functions on tokio: the pure service of `states`, with a clock, a source of identifiers and tasks that run.
//!
//! All decisions are in `states`; this module only carries commands out and brings their outcome back. It must never
//! hold the service's lock across an await, and never let a task's request or result reach a log: they carry tokens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::{ApiError, Caller};
use states::{Command, Event, Ids, TaskId, service};
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
    async fn run(
        &self,
        role_arn: &str,
        resource: &TaskResource,
        request: Value,
    ) -> Result<Value, TaskFailure>;
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
    pub fn start(
        config: Config,
        runner: Arc<dyn TaskRunner>,
        status_events: mpsc::UnboundedSender<Value>,
    ) -> Self {
        let rescheduled = Arc::new(Notify::new());
        let shared = Arc::new_cyclic(|me| Shared {
            state: Mutex::new(State {
                service: service::StepFunctions::new(config),
                running: HashMap::new(),
                waiting: HashMap::new(),
                timer: None,
            }),
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
    pub async fn call(
        &self,
        operation: &str,
        _caller: &Caller,
        body: Value,
    ) -> Result<Value, ApiError> {
        self.shared
            .turn(|service| service.call(operation, &body, Utc::now(), &mut RandomIds))
            .map_err(|error| ApiError {
                code: error.code,
                status: error.status,
                message: error.message,
                extra: error.extra,
            })
    }

    /// Waits until the execution has ended and answers with `DescribeExecution`.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn wait(&self, execution_arn: &str) -> Result<Value, ApiError> {
        let body = json!({ "executionArn": execution_arn });
        loop {
            let ended = {
                let (sender, receiver) = oneshot::channel();
                // Registered before looking, so that an end in between is not missed.
                self.shared
                    .lock()
                    .waiting
                    .entry(execution_arn.to_owned())
                    .or_default()
                    .push(sender);
                receiver
            };
            let described = self
                .call("DescribeExecution", &Caller::local_user(), body.clone())
                .await?;
            if described.get("status").and_then(Value::as_str) != Some("RUNNING") {
                return Ok(described);
            }
            // An error means that the sender is gone, which only happens with the service itself: then look again.
            let _ = ended.await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One turn of the pure service, and what it asks for set going in the order in which it asked.
    fn turn<T>(&self, turn: impl FnOnce(&mut service::StepFunctions) -> (T, Vec<Command>)) -> T {
        let mut state = self.lock();
        let (answer, commands) = turn(&mut state.service);
        for command in commands {
            match command {
                Command::RunTask {
                    task,
                    role_arn,
                    resource,
                    request,
                } => {
                    let call = run_task(
                        self.me.clone(),
                        Arc::clone(&self.runner),
                        task,
                        role_arn,
                        resource,
                        request,
                    );
                    state
                        .running
                        .insert(task, tokio::spawn(call).abort_handle());
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
    let result = runner.run(&role_arn, &resource, request).await;
    let Some(shared) = shared.upgrade() else {
        return;
    };
    shared.lock().running.remove(&task);
    let event = Event::TaskFinished { task, result };
    shared.turn(|service| ((), service.event(event, Utc::now(), &mut RandomIds)));
}

async fn keep_time(shared: Weak<Shared>, rescheduled: Arc<Notify>) {
    loop {
        let due = {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            shared.lock().service.next_timer()
        };
        match due {
            None => rescheduled.notified().await,
            Some(due) => {
                let left = (due - Utc::now()).to_std().unwrap_or_default();
                tokio::select! {
                    () = tokio::time::sleep(left) => {
                        let Some(shared) = shared.upgrade() else { return };
                        shared.turn(|service| ((), service.due(Utc::now(), &mut RandomIds)));
                    }
                    () = rescheduled.notified() => {}
                }
            }
        }
    }
}
