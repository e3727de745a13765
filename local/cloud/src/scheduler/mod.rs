//! EventBridge Scheduler: schedules that start executions of state machines, as their role, and what they could not start
//! in a dead letter queue.
//!
//! A kind of target that it does not know is refused by name when the schedule is made. Waits on tokio's clock, so that
//! tests let weeks pass.

mod time;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::authorize::Because;
use crate::events::Receivers;
use crate::service::{Clock, Properties};
use crate::trace::{Trace, What};
use crate::{ACCOUNT, ApiError, Caller, PARTITION};
use time::Schedule;

/// The schedules; clones share them.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
}

struct Shared {
    region: String,
    clock: Clock,
    receivers: Receivers,
    trace: Trace,
    /// By name.
    schedules: Mutex<BTreeMap<String, Entry>>,
}

/// A schedule, and the task that waits for its time.
struct Entry {
    target: Arc<Target>,
    waiting: Option<AbortHandle>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(task) = &self.waiting {
            task.abort();
        }
    }
}

/// What a schedule starts.
struct Target {
    schedule: String,
    arn: String,
    role: String,
    input: String,
    dead_letters: Option<String>,
}

impl Scheduler {
    /// A scheduler without schedules. Schedules run on the tokio runtime that they are made on.
    pub fn new(region: &str, receivers: Receivers, trace: Trace) -> Self {
        let shared = Shared {
            region: region.to_owned(),
            clock: Clock::default(),
            receivers,
            trace,
            schedules: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Creates the schedule of an `AWS::Scheduler::Schedule` with these resolved properties under this name, or puts it in
    /// the place of the one that had it.
    ///
    /// # Errors
    /// An unknown property, expression, time zone or kind of target, by name.
    pub fn create_schedule(&self, name: &str, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::Scheduler::Schedule", properties)?;
        let expression = read.required("ScheduleExpression")?;
        let zone = read.text("ScheduleExpressionTimezone")?.unwrap_or_else(|| "UTC".to_owned());
        let (starts, ends) = (read.text("StartDate")?, read.text("EndDate")?);
        let schedule = Schedule::parse(&expression, &zone, starts.as_deref(), ends.as_deref())
            .map_err(|(property, problem)| read.error(property, &problem))?;
        let enabled = match read.text("State")?.as_deref() {
            None | Some("ENABLED") => true,
            Some("DISABLED") => false,
            Some(other) => return Err(read.error("State", &format!("cannot be {other}"))),
        };
        match read.inside("FlexibleTimeWindow")? {
            None => return Err(read.error("FlexibleTimeWindow", "is missing")),
            Some(mut window) => {
                if window.required("Mode")? != "OFF" {
                    return Err(window.error("Mode", "can only be OFF in the local cloud"));
                }
                window.end()?;
            }
        }
        let Some(target) = read.inside("Target")? else { return Err(read.error("Target", "is missing")) };
        let target = Arc::new(Target::read(name, target)?);
        read.accept(&["Name", "Description", "GroupName", "KmsKeyArn"]);
        read.end()?;
        let waiting = enabled.then(|| {
            let waiting = wait(Arc::downgrade(&self.shared), self.shared.clock, Arc::clone(&target), schedule);
            tokio::spawn(waiting).abort_handle()
        });
        self.shared.schedules().insert(name.to_owned(), Entry { target, waiting });
        Ok(())
    }

    /// Deletes a schedule; one that is not there is deleted already.
    pub fn delete_schedule(&self, name: &str) {
        self.shared.schedules().remove(name);
    }

    /// Invokes a schedule's target now, whatever its time or state says, and waits until it took it.
    ///
    /// # Errors
    /// No such schedule.
    pub async fn fire(&self, name: &str) -> Result<(), ApiError> {
        let target = self.shared.schedules().get(name).map(|entry| Arc::clone(&entry.target));
        let target = target.ok_or_else(|| {
            ApiError::new(404, "ResourceNotFoundException", format!("Schedule {name} does not exist."))
        })?;
        self.shared.invoke(&target, self.shared.clock.now()).await;
        Ok(())
    }
}

impl Target {
    fn read(schedule: &str, mut read: Properties<'_>) -> Result<Self, ApiError> {
        let (arn, role) = (read.required("Arn")?, read.required("RoleArn")?);
        match arn.split(':').collect::<Vec<_>>()[..] {
            ["arn", _, "states", _, _, "stateMachine", _, ..] => {}
            ["arn", _, service, ..] => {
                return Err(ApiError::not_implemented("scheduler", &format!("a target of {service}")));
            }
            _ => return Err(read.error("Arn", &format!("is no ARN: {arn}"))),
        }
        let input = read.text("Input")?.unwrap_or_else(|| "{}".to_owned());
        if serde_json::from_str::<Value>(&input).is_err() {
            return Err(read.error("Input", "is not JSON, which an execution needs"));
        }
        let mut dead_letters = None;
        if let Some(mut config) = read.inside("DeadLetterConfig")? {
            dead_letters = config.text("Arn")?;
            config.end()?;
        }
        // Nothing here fails that a second try would help.
        if let Some(mut policy) = read.inside("RetryPolicy")? {
            policy.number("MaximumEventAgeInSeconds", 60, 86_400)?;
            policy.number("MaximumRetryAttempts", 0, 185)?;
            policy.end()?;
        }
        read.end()?;
        Ok(Self { schedule: schedule.to_owned(), arn, role, input, dead_letters })
    }
}

impl Shared {
    fn schedules(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the execution; what is refused goes to the dead letter queue, if there is one.
    async fn invoke(&self, target: &Target, due: DateTime<Utc>) {
        let schedule =
            format!("arn:{PARTITION}:scheduler:{}:{ACCOUNT}:schedule/default/{}", self.region, target.schedule);
        let id = Uuid::new_v4().to_string();
        let input = [
            ("<aws.scheduler.schedule-arn>", schedule.as_str()),
            ("<aws.scheduler.scheduled-time>", &due.to_rfc3339_opts(SecondsFormat::Secs, true)),
            ("<aws.scheduler.execution-id>", &id),
            ("<aws.scheduler.attempt-number>", "1"),
        ]
        .iter()
        .fold(target.input.clone(), |input, (keyword, value)| input.replace(keyword, value));
        // Gone only while everything ends.
        let Some(states) = self.receivers.states.upgrade() else { return };
        let caller = Caller::assumed(&target.role, "scheduler");
        let request = json!({"stateMachineArn": target.arn, "input": input});
        // The scheduler assumes the role in the name of the schedule's group (EventBridge Scheduler guide, "Confused
        // deputy prevention").
        let group = format!("arn:{PARTITION}:scheduler:{}:{ACCOUNT}:schedule-group/default", self.region);
        let because = Because { service: "scheduler.amazonaws.com", source: &group };
        let trusted = self.receivers.lambda.authorizer().check_trust(because, &target.role);
        let refused = match trusted {
            Ok(()) => states.call("StartExecution", &caller, request).await.err(),
            Err(denied) => Some(denied.error("scheduler")),
        };
        if let Some(error) = &refused {
            self.give_up(target, &schedule, &id, &input, error);
        }
        self.trace.emit(What::Delivered {
            rule: target.schedule.clone(),
            target: target.arn.clone(),
            error: refused.map(|error| error.to_string()),
        });
    }

    /// Keeps what was refused, with the attributes that the scheduler gives to such messages.
    fn give_up(&self, target: &Target, schedule: &str, id: &str, input: &str, error: &ApiError) {
        let kept = match &target.dead_letters {
            None => return tracing::warn!(%error, schedule, "a start is lost"),
            Some(queue) => {
                let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
                let attributes = Map::from_iter([
                    ("SCHEDULE_ARN".to_owned(), text(schedule)),
                    ("TARGET_ARN".to_owned(), text(&target.arn)),
                    ("EXECUTION_ID".to_owned(), text(id)),
                    ("RETRY_ATTEMPTS".to_owned(), text("0")),
                    ("ERROR_CODE".to_owned(), text(&error.code)),
                    ("ERROR_MESSAGE".to_owned(), text(&error.message)),
                ]);
                // As the schedule's role (EventBridge Scheduler guide, "Configuring a dead-letter queue").
                let caller = Caller::assumed(&target.role, "scheduler");
                let name = queue.rsplit(':').next().unwrap_or(queue);
                let body = json!({ "QueueUrl": self.receivers.sqs.url(name) });
                let authorizer = self.receivers.lambda.authorizer();
                let allowed = authorizer.check_call("sqs", "SendMessage", &caller, &body);
                allowed.and_then(|()| self.receivers.sqs.send_with(queue, input, attributes))
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%error, schedule, "a start is lost");
        }
    }
}

/// Invokes a target by its schedule. A time that was missed is not made up for.
async fn wait(shared: Weak<Shared>, clock: Clock, target: Arc<Target>, schedule: Schedule) {
    let mut last = clock.now();
    while let Some(next) = schedule.next(last) {
        let left = (next - clock.now()).to_std().unwrap_or_default();
        tokio::time::sleep(left).await;
        let Some(shared) = shared.upgrade() else { return };
        // On its own, because this task ends in the middle when the schedule is changed.
        let (invoking, target) = (Arc::clone(&shared), Arc::clone(&target));
        tokio::spawn(async move { invoking.invoke(&target, next).await });
        last = next.max(clock.now() - chrono::TimeDelta::minutes(1));
    }
}

#[cfg(test)]
mod tests;
