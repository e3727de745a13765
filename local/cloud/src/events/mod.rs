//! EventBridge: the default bus, rules with patterns or schedules, targets.
//!
//! Delivers at least once and in no promised order. A pattern operator or target member that it does not know is
//! refused by name when the rule is made, never later.

mod pattern;
mod schedule;
mod target;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::faults::{Faults, Verdict};
use crate::lambda::Lambda;
use crate::service::{Clock, Properties, Request, Service};
use crate::sqs::Sqs;
use crate::trace::{Fate, Trace, What};
use crate::{ACCOUNT, ApiError, Caller, PARTITION};
use pattern::Pattern;
use schedule::Schedule;
use target::Target;

/// Targets of one rule (EventBridge quotas page).
const MAX_TARGETS: usize = 5;
/// Entries of one PutEvents.
const MAX_ENTRIES: usize = 10;

/// The default bus and its rules; clones share them.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    region: String,
    clock: Clock,
    sqs: Sqs,
    lambda: Lambda,
    faults: Faults,
    trace: Trace,
    /// By name.
    rules: Mutex<BTreeMap<String, Arc<Rule>>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

struct Rule {
    name: String,
    description: String,
    enabled: bool,
    pattern: Option<(Pattern, String)>,
    schedule: Option<(Schedule, String)>,
    targets: Vec<Target>,
}

impl Bus {
    /// A bus without rules that delivers to these queues and functions. Runs tasks on the current tokio runtime.
    pub fn start(region: &str, sqs: Sqs, lambda: Lambda, faults: Faults, trace: Trace) -> Self {
        let shared = Arc::new(Shared {
            region: region.to_owned(),
            clock: Clock::default(),
            sqs,
            lambda,
            faults,
            trace,
            rules: Mutex::default(),
            tasks: Mutex::default(),
        });
        let releasing = tokio::spawn(release(Arc::downgrade(&shared), shared.faults.clone()));
        shared.tasks().push(releasing.abort_handle());
        Self { shared }
    }

    /// Creates the rule of an `AWS::Events::Rule` with these resolved properties under this name. A schedule starts now
    /// when the rule is enabled.
    ///
    /// # Errors
    /// An unknown property, pattern operator, schedule or kind of target, by name.
    pub fn create_rule(&self, name: &str, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::Events::Rule", properties)?;
        let description = read.text("Description")?.unwrap_or_default();
        let enabled = match read.text("State")?.as_deref() {
            None | Some("ENABLED") => true,
            Some("DISABLED") => false,
            Some(other) => return Err(read.error("State", &format!("cannot be {other}"))),
        };
        if read.text("EventBusName")?.is_some_and(|bus| bus.rsplit('/').next() != Some("default")) {
            return Err(read.error("EventBusName", "can only be default in the local cloud"));
        }
        let pattern = match read.value("EventPattern") {
            None => None,
            Some(value) => {
                let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                Some((Pattern::parse(value)?, text))
            }
        };
        let schedule = match read.text("ScheduleExpression")? {
            None => None,
            Some(text) => match Schedule::parse(&text) {
                Some(schedule) => Some((schedule, text)),
                None => {
                    return Err(read.error("ScheduleExpression", &format!("is not valid: {text}")));
                }
            },
        };
        if pattern.is_none() && schedule.is_none() {
            return Err(read.error("EventPattern", "or ScheduleExpression is missing"));
        }
        let targets = read.list("Targets")?;
        if targets.len() > MAX_TARGETS {
            return Err(read.error("Targets", &format!("may be {MAX_TARGETS}")));
        }
        let targets = targets.iter().map(Target::read).collect::<Result<Vec<_>, _>>()?;
        read.accept(&["Name", "Tags"]);
        read.end()?;
        let rule = Arc::new(Rule {
            name: name.to_owned(),
            description,
            enabled,
            pattern,
            schedule: schedule.clone(),
            targets,
        });
        self.shared.rules().insert(name.to_owned(), Arc::clone(&rule));
        if let (true, Some((schedule, _))) = (enabled, schedule) {
            let ticking = tick(Arc::downgrade(&self.shared), self.shared.clock, rule, schedule);
            self.shared.tasks().push(tokio::spawn(ticking).abort_handle());
        }
        Ok(())
    }

    /// Takes a complete event (with `source`, `detail-type` and `detail`; missing `id`, `time`, `account`, `region`,
    /// `resources` and `version` are filled in) to the rules, as a service of AWS does. Faults apply.
    pub fn publish(&self, event: Value) {
        let event = self.shared.complete(event);
        let verdict = self.shared.faults.judge(&event);
        let (fate, times) = match verdict {
            Verdict::Pass(1) => (Fate::Passed, 1),
            Verdict::Pass(0) | Verdict::Drop => (Fate::Dropped, 0),
            Verdict::Pass(times) => (Fate::Duplicated(times - 1), times),
            Verdict::Hold => (Fate::Held, 0),
        };
        self.shared.show(&event, fate);
        for _ in 0..times {
            self.shared.route(&event);
        }
    }

    /// Runs a schedule rule now, whatever its schedule or state says, and waits until its targets took it.
    ///
    /// # Errors
    /// No such rule, or no schedule rule.
    pub async fn fire(&self, rule: &str) -> Result<(), ApiError> {
        let rule = self.shared.rule(rule)?;
        if rule.schedule.is_none() {
            let text = format!("Rule {} has no schedule.", rule.name);
            return Err(ApiError::new(400, "ValidationException", text));
        }
        let event = self.shared.scheduled(&rule);
        self.shared.deliver(rule, event).await;
        Ok(())
    }

    fn answer(&self, operation: &str, body: &Value) -> Result<Value, ApiError> {
        let mut read = Request::of("events", operation, body)?;
        match operation {
            "PutEvents" => {
                let entries = read.list("Entries")?;
                read.end()?;
                if !(1..=MAX_ENTRIES).contains(&entries.len()) {
                    let text = format!(
                        "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have \
                         length between 1 and {MAX_ENTRIES}"
                    );
                    return Err(ApiError::new(400, "ValidationException", text));
                }
                let (mut answers, mut failed) = (Vec::new(), 0);
                for entry in entries {
                    match self.entry(entry) {
                        Ok(id) => answers.push(json!({ "EventId": id })),
                        Err(error) => {
                            failed += 1;
                            answers.push(json!({
                                "ErrorCode": error.code,
                                "ErrorMessage": error.message,
                            }));
                        }
                    }
                }
                Ok(json!({ "FailedEntryCount": failed, "Entries": answers }))
            }
            "ListRules" => {
                let prefix = read.text("NamePrefix")?.unwrap_or_default().to_owned();
                default_bus(&mut read)?;
                read.end()?;
                let rules = self.shared.rules();
                let found = rules.values().filter(|rule| rule.name.starts_with(&prefix));
                let rules: Vec<Value> = found.map(|rule| self.shared.described(rule)).collect();
                Ok(json!({ "Rules": rules }))
            }
            "DescribeRule" => {
                let name = read.required("Name")?;
                default_bus(&mut read)?;
                read.end()?;
                Ok(self.shared.described(&*self.shared.rule(name)?))
            }
            "ListTargetsByRule" => {
                let name = read.required("Rule")?;
                default_bus(&mut read)?;
                read.end()?;
                let rule = self.shared.rule(name)?;
                let targets: Vec<Value> = rule.targets.iter().map(Target::described).collect();
                Ok(json!({ "Targets": targets }))
            }
            "TestEventPattern" => {
                let pattern = Pattern::parse(&json!(read.required("EventPattern")?))?;
                let event = serde_json::from_str(read.required("Event")?);
                read.end()?;
                let event: Value = event.map_err(|error| {
                    let text = format!("Parameter Event is not valid. Reason: {error}");
                    ApiError::new(400, "ValidationException", text)
                })?;
                Ok(json!({ "Result": pattern.matches(&event) }))
            }
            _ => Err(ApiError::not_implemented("events", operation)),
        }
    }

    /// Takes one entry of PutEvents, and answers with the event's id.
    fn entry(&self, entry: &Value) -> Result<String, ApiError> {
        let mut read = Request::of("events", "PutEvents entry", entry)?;
        let mut text = |name: &'static str| {
            read.text(name)?.filter(|text| !text.is_empty()).map(ToOwned::to_owned).ok_or_else(|| {
                let text = format!("Parameter {name} is not valid. Reason: {name} is a required argument.");
                ApiError::new(400, "InvalidArgument", text)
            })
        };
        let (source, kind, detail) = (text("Source")?, text("DetailType")?, text("Detail")?);
        default_bus(&mut read)?;
        read.value("TraceHeader");
        let time = match read.value("Time") {
            None => None,
            Some(time) => {
                let seconds = time.as_f64().ok_or_else(|| read.wrong_type("Time", "a number"))?;
                #[allow(clippy::cast_possible_truncation)] // Far below 2^63 milliseconds.
                let millis = (seconds * 1000.0) as i64;
                DateTime::from_timestamp_millis(millis)
            }
        };
        let resources = read.list("Resources")?;
        read.end()?;
        if source.starts_with("aws.") {
            let text = "Not authorized for the source.";
            return Err(ApiError::new(400, "NotAuthorizedForSourceException", text));
        }
        let detail: Map<String, Value> =
            serde_json::from_str(&detail).map_err(|_| ApiError::new(400, "MalformedDetail", "Detail is malformed."))?;
        let id = Uuid::new_v4().to_string();
        let mut event = json!({
            "id": id,
            "detail-type": kind,
            "source": source,
            "resources": resources,
            "detail": detail,
        });
        if let Some(time) = time {
            event["time"] = json!(time.to_rfc3339_opts(SecondsFormat::Secs, true));
        }
        self.publish(event);
        Ok(id)
    }
}

#[async_trait]
impl Service for Bus {
    async fn call(&self, operation: &str, _caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.answer(operation, &body)
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Rule>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A rule by name or ARN.
    fn rule(&self, name: &str) -> Result<Arc<Rule>, ApiError> {
        let name = name.rsplit('/').next().unwrap_or(name);
        self.rules().get(name).cloned().ok_or_else(|| {
            let text = format!("Rule {name} does not exist on EventBus default.");
            ApiError::new(400, "ResourceNotFoundException", text)
        })
    }

    fn arn(&self, rule: &str) -> String {
        format!("arn:{PARTITION}:events:{}:{ACCOUNT}:rule/{rule}", self.region)
    }

    fn described(&self, rule: &Rule) -> Value {
        let mut described = json!({
            "Name": rule.name,
            "Arn": self.arn(&rule.name),
            "State": if rule.enabled { "ENABLED" } else { "DISABLED" },
            "Description": rule.description,
            "EventBusName": "default",
        });
        if let Some((_, text)) = &rule.pattern {
            described["EventPattern"] = json!(text);
        }
        if let Some((_, text)) = &rule.schedule {
            described["ScheduleExpression"] = json!(text);
        }
        described
    }

    fn complete(&self, mut event: Value) -> Value {
        if let Value::Object(event) = &mut event {
            let now: DateTime<Utc> = self.clock.now();
            for (name, value) in [
                ("version", json!("0")),
                ("id", json!(Uuid::new_v4().to_string())),
                ("account", json!(ACCOUNT)),
                ("time", json!(now.to_rfc3339_opts(SecondsFormat::Secs, true))),
                ("region", json!(self.region)),
                ("resources", json!([])),
                ("detail", json!({})),
            ] {
                event.entry(name).or_insert(value);
            }
        }
        event
    }

    fn scheduled(&self, rule: &Rule) -> Value {
        self.complete(json!({
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "resources": [self.arn(&rule.name)],
        }))
    }

    fn show(&self, event: &Value, fate: Fate) {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        self.trace.emit(What::Event {
            source: text("source").to_owned(),
            detail_type: text("detail-type").to_owned(),
            detail: event.get("detail").cloned().unwrap_or_default(),
            fate,
        });
    }

    /// Sends an event on its way to the targets of every rule that it matches.
    fn route(self: &Arc<Self>, event: &Value) {
        let matching: Vec<Arc<Rule>> = self
            .rules()
            .values()
            .filter(|rule| {
                let pattern = rule.pattern.as_ref();
                rule.enabled && pattern.is_some_and(|(pattern, _)| pattern.matches(event))
            })
            .cloned()
            .collect();
        for rule in matching {
            let (shared, event) = (Arc::clone(self), event.clone());
            tokio::spawn(async move { shared.deliver(rule, event).await });
        }
    }

    /// Hands an event to the targets of a rule. What a target refuses goes to its dead letter queue, if it has one.
    async fn deliver(&self, rule: Arc<Rule>, event: Value) {
        for target in &rule.targets {
            let body = target.input(&event);
            let refused = target.send(&self.sqs, &self.lambda, &body).await.err();
            if let Some(error) = &refused {
                target.give_up(&self.sqs, &self.arn(&rule.name), &body, error);
            }
            self.trace.emit(What::Delivered {
                rule: rule.name.clone(),
                target: target.arn.clone(),
                error: refused.map(|error| error.to_string()),
            });
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in self.tasks().drain(..) {
            task.abort();
        }
    }
}

/// Passes on events that a fault held and let go.
async fn release(shared: Weak<Shared>, faults: Faults) {
    loop {
        let released = faults.released().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        for event in released {
            shared.show(&event, Fate::Released);
            shared.route(&event);
        }
    }
}

/// Runs a rule by its schedule. A time that was missed is not made up for.
async fn tick(shared: Weak<Shared>, clock: Clock, rule: Arc<Rule>, schedule: Schedule) {
    let mut last = clock.now();
    while let Some(next) = schedule.next(last) {
        let left = (next - clock.now()).to_std().unwrap_or_default();
        tokio::time::sleep(left).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let event = shared.scheduled(&rule);
        shared.show(&event, Fate::Passed);
        shared.deliver(Arc::clone(&rule), event).await;
        last = next.max(clock.now() - chrono::TimeDelta::minutes(1));
    }
}

fn default_bus(read: &mut Request<'_>) -> Result<(), ApiError> {
    match read.text("EventBusName")? {
        None => Ok(()),
        Some(bus) if bus.rsplit('/').next() == Some("default") => Ok(()),
        Some(bus) => {
            let text = format!("Event bus {bus} does not exist.");
            Err(ApiError::new(400, "ResourceNotFoundException", text))
        }
    }
}

#[cfg(test)]
mod tests;
