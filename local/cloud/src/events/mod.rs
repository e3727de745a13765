//! EventBridge: the default bus, rules with patterns or schedules, targets.
//!
//! Delivers at least once and in no promised order. A pattern operator or target member that it does not know is
//! refused by name when the rule is made, never later.

mod api;
mod pattern;
pub(crate) mod schedule;
mod target;
mod transform;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::faults::{Faults, Verdict};
use crate::service::{Clock, Properties, Service};
use crate::trace::{Fate, Trace, What};
use crate::{ACCOUNT, ApiError, Caller, PARTITION};
pub(crate) use pattern::Pattern;
use schedule::Schedule;
pub use target::Receivers;
use target::Target;
use transform::Moment;

/// Targets of one rule (EventBridge quotas page).
const MAX_TARGETS: usize = 5;

/// The default bus and its rules; clones share them.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    region: String,
    clock: Clock,
    receivers: Receivers,
    faults: Faults,
    trace: Trace,
    /// By name.
    rules: Mutex<BTreeMap<String, Entry>>,
    releasing: Mutex<Option<AbortHandle>>,
}

/// A rule, and the task that runs it by its schedule.
struct Entry {
    rule: Arc<Rule>,
    ticking: Option<AbortHandle>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(task) = &self.ticking {
            task.abort();
        }
    }
}

#[derive(Clone)]
struct Rule {
    name: String,
    description: String,
    enabled: bool,
    pattern: Option<(Pattern, String)>,
    schedule: Option<(Schedule, String)>,
    role: Option<String>,
    targets: Vec<Target>,
}

impl Bus {
    /// A bus without rules that delivers to these services. Runs tasks on the current tokio runtime.
    pub fn start(region: &str, receivers: Receivers, faults: Faults, trace: Trace) -> Self {
        let shared = Arc::new(Shared {
            region: region.to_owned(),
            clock: Clock::default(),
            receivers,
            faults,
            trace,
            rules: Mutex::default(),
            releasing: Mutex::default(),
        });
        let releasing = tokio::spawn(release(Arc::downgrade(&shared), shared.faults.clone()));
        *shared.releasing() = Some(releasing.abort_handle());
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
                Some((Pattern::of_rule(value)?, text))
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
        let role = read.text("RoleArn")?;
        read.accept(&["Name", "Tags"]);
        read.end()?;
        self.install(Rule { name: name.to_owned(), description, enabled, pattern, schedule, role, targets });
        Ok(())
    }

    /// Removes a rule with its targets; its schedule ends.
    pub fn delete_rule(&self, name: &str) {
        self.shared.rules().remove(name);
    }

    /// Puts a rule in the place of the one of its name. A schedule that stays the same goes on as it was.
    fn install(&self, rule: Rule) {
        let timing = |rule: &Rule| rule.schedule.as_ref().filter(|_| rule.enabled).map(|(_, text)| text.clone());
        let mut rules = self.shared.rules();
        let mut old = rules.remove(&rule.name);
        let ticking = match (old.as_mut(), rule.schedule.clone()) {
            (_, None) => None,
            _ if !rule.enabled => None,
            (Some(old), _) if timing(&old.rule) == timing(&rule) => old.ticking.take(),
            (_, Some((schedule, _))) => {
                let ticking = tick(Arc::downgrade(&self.shared), self.shared.clock, rule.name.clone(), schedule);
                Some(tokio::spawn(ticking).abort_handle())
            }
        };
        rules.insert(rule.name.clone(), Entry { rule: Arc::new(rule), ticking });
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
}

#[async_trait]
impl Service for Bus {
    async fn call(&self, operation: &str, _caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.answer(operation, &body)
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn releasing(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.releasing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A rule by name or ARN.
    fn rule(&self, name: &str) -> Result<Arc<Rule>, ApiError> {
        let name = name.rsplit('/').next().unwrap_or(name);
        self.rules().get(name).map(|entry| Arc::clone(&entry.rule)).ok_or_else(|| {
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
        if let Some(role) = &rule.role {
            described["RoleArn"] = json!(role);
        }
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
            .map(|entry| &entry.rule)
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
        let (arn, ingested) = (self.arn(&rule.name), self.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true));
        let moment = Moment { rule_arn: &arn, rule_name: &rule.name, ingested: &ingested };
        for target in &rule.targets {
            let body = target.input(&event, &moment);
            let refused = target.send(&self.receivers, &arn, &body).await.err();
            if let Some(error) = &refused {
                target.give_up(&self.receivers, &arn, &body, error);
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
        if let Some(task) = self.releasing().take() {
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
async fn tick(shared: Weak<Shared>, clock: Clock, rule: String, schedule: Schedule) {
    let mut last = clock.now();
    while let Some(next) = schedule.next(last) {
        let left = (next - clock.now()).to_std().unwrap_or_default();
        tokio::time::sleep(left).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let Ok(rule) = shared.rule(&rule) else {
            return;
        };
        let event = shared.scheduled(&rule);
        shared.show(&event, Fate::Passed);
        // On its own, because this task ends in the middle when the rule is changed.
        let delivering = Arc::clone(&shared);
        tokio::spawn(async move { delivering.deliver(rule, event).await });
        last = next.max(clock.now() - chrono::TimeDelta::minutes(1));
    }
}

fn validation(text: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", text)
}

#[cfg(test)]
mod tests;
