//! EventBridge's operations on the default bus.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::target::Target;
use super::{Bus, MAX_TARGETS, Pattern, Rule, Schedule, validation};
use crate::service::Request;
use crate::{ACCOUNT, ApiError, PARTITION};

/// Entries of one PutEvents, and bytes of all of them (EventBridge guide, "PutEvents event entry size").
const MAX_ENTRIES: usize = 10;
const MAX_SIZE: usize = 1_048_576;
/// Rules or targets of one page.
const PAGE: usize = 100;

impl Bus {
    pub(super) fn answer(&self, operation: &str, body: &Value) -> Result<Value, ApiError> {
        let mut read = Request::of("events", operation, body)?;
        match operation {
            "PutEvents" => self.put_events(&mut read),
            "PutRule" => self.put_rule(&mut read),
            "DeleteRule" => {
                let name = read.required("Name")?;
                default_bus(&mut read)?;
                read.value("Force");
                read.end()?;
                match self.shared.rule(name) {
                    // As at AWS, what is not there is gone.
                    Err(_) => Ok(json!({})),
                    Ok(rule) if rule.targets.is_empty() => {
                        self.shared.rules().remove(&rule.name);
                        Ok(json!({}))
                    }
                    Ok(_) => Err(validation("Rule can't be deleted since it has targets.")),
                }
            }
            "EnableRule" | "DisableRule" => {
                let name = read.required("Name")?;
                default_bus(&mut read)?;
                read.end()?;
                self.change(name, |rule| rule.enabled = operation == "EnableRule")?;
                Ok(json!({}))
            }
            "DescribeRule" => {
                let name = read.required("Name")?;
                default_bus(&mut read)?;
                read.end()?;
                let mut described = self.shared.described(&*self.shared.rule(name)?);
                described["CreatedBy"] = json!(ACCOUNT);
                Ok(described)
            }
            "ListRules" => {
                let prefix = read.text("NamePrefix")?.unwrap_or_default().to_owned();
                default_bus(&mut read)?;
                let rules: Vec<Value> = {
                    let rules = self.shared.rules();
                    let found = rules.values().map(|entry| &entry.rule);
                    found
                        .filter(|rule| rule.name.starts_with(&prefix))
                        .map(|rule| self.shared.described(rule))
                        .collect()
                };
                page(&mut read, "Rules", rules)
            }
            "ListRuleNamesByTarget" => {
                let target = read.required("TargetArn")?;
                default_bus(&mut read)?;
                let names: Vec<Value> = {
                    let rules = self.shared.rules();
                    let found = rules.values().map(|entry| &entry.rule);
                    let found = found.filter(|rule| rule.targets.iter().any(|one| one.arn == target));
                    found.map(|rule| json!(rule.name)).collect()
                };
                page(&mut read, "RuleNames", names)
            }
            "PutTargets" => self.put_targets(&mut read),
            "RemoveTargets" => {
                let name = read.required("Rule")?;
                let ids: Vec<&str> = read.list("Ids")?.iter().filter_map(Value::as_str).collect();
                default_bus(&mut read)?;
                read.value("Force");
                read.end()?;
                if ids.is_empty() {
                    return Err(length("ids"));
                }
                self.change(name, |rule| rule.targets.retain(|target| !ids.contains(&target.id.as_str())))?;
                Ok(json!({ "FailedEntryCount": 0, "FailedEntries": [] }))
            }
            "ListTargetsByRule" => {
                let name = read.required("Rule")?;
                default_bus(&mut read)?;
                let rule = self.shared.rule(name)?;
                page(&mut read, "Targets", rule.targets.iter().map(Target::described).collect())
            }
            "TestEventPattern" => {
                let pattern = Pattern::of_rule(&json!(read.required("EventPattern")?))?;
                let event = serde_json::from_str(read.required("Event")?);
                read.end()?;
                let wrong = |reason: &str| validation(format!("Parameter Event is not valid. Reason: {reason}"));
                let event: Value = event.map_err(|error: serde_json::Error| wrong(&error.to_string()))?;
                // TestEventPattern API reference: the members that must be there.
                let needed = ["id", "account", "source", "time", "region", "resources", "detail-type"];
                if let Some(name) = needed.iter().find(|name| event.get(**name).is_none()) {
                    return Err(wrong(&format!("{name} is missing")));
                }
                Ok(json!({ "Result": pattern.matches(&event) }))
            }
            "DescribeEventBus" => {
                let name = read.text("Name")?;
                read.end()?;
                known_bus(name)?;
                Ok(self.described_bus())
            }
            "ListEventBuses" => {
                let prefix = read.text("NamePrefix")?.unwrap_or_default();
                let buses: Vec<Value> =
                    Some(self.described_bus()).filter(|_| "default".starts_with(prefix)).into_iter().collect();
                page(&mut read, "EventBuses", buses)
            }
            _ => Err(ApiError::not_implemented("events", operation)),
        }
    }

    fn described_bus(&self) -> Value {
        let arn = format!("arn:{PARTITION}:events:{}:{ACCOUNT}:event-bus/default", self.shared.region);
        json!({ "Name": "default", "Arn": arn })
    }

    fn put_events(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let entries = read.list("Entries")?;
        read.end()?;
        if !(1..=MAX_ENTRIES).contains(&entries.len()) {
            return Err(length("entries"));
        }
        let size = |entry: &Value| {
            let text = |name| entry.get(name).and_then(Value::as_str).map_or(0, str::len);
            text("Source") + text("DetailType") + text("Detail")
        };
        if entries.iter().map(size).sum::<usize>() > MAX_SIZE {
            return Err(validation(format!(
                "Total size of the entries in the request is over the limit of {MAX_SIZE}."
            )));
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

    /// Makes a rule, or makes one anew that keeps its targets.
    fn put_rule(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let name = read.required("Name")?;
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
            return Err(validation(
                "1 validation error detected: Value at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+",
            ));
        }
        let pattern = match read.text("EventPattern")?.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some((Pattern::of_rule(&json!(text))?, text.to_owned())),
        };
        let schedule = match read.text("ScheduleExpression")?.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => match Schedule::parse(text) {
                Some(schedule) => Some((schedule, text.to_owned())),
                None => return Err(validation("Parameter ScheduleExpression is not valid.")),
            },
        };
        if pattern.is_none() && schedule.is_none() {
            return Err(validation("Parameter(s) EventPattern or ScheduleExpression must be specified."));
        }
        let enabled = match read.text("State")? {
            None | Some("ENABLED") => true,
            Some("DISABLED") => false,
            Some(other) => return Err(ApiError::not_implemented("events", &format!("State {other}"))),
        };
        let description = read.text("Description")?.unwrap_or_default().to_owned();
        let role = read.text("RoleArn")?.map(ToOwned::to_owned);
        default_bus(read)?;
        read.value("Tags");
        read.end()?;
        let targets = self.shared.rule(name).map(|old| old.targets.clone()).unwrap_or_default();
        self.install(Rule { name: name.to_owned(), description, enabled, pattern, schedule, role, targets });
        Ok(json!({ "RuleArn": self.shared.arn(name) }))
    }

    fn put_targets(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let name = read.required("Rule")?;
        let given = read.list("Targets")?;
        default_bus(read)?;
        read.end()?;
        if given.is_empty() {
            return Err(length("targets"));
        }
        let rule = self.shared.rule(name)?;
        let mut targets = rule.targets.clone();
        for target in given {
            let target = Target::read(target)?;
            match targets.iter_mut().find(|old| old.id == target.id) {
                Some(old) => *old = target,
                None => targets.push(target),
            }
        }
        if targets.len() > MAX_TARGETS {
            let text = "The requested resource exceeds the maximum number allowed.";
            return Err(ApiError::new(400, "LimitExceededException", text));
        }
        self.change(name, |rule| rule.targets = targets)?;
        Ok(json!({ "FailedEntryCount": 0, "FailedEntries": [] }))
    }

    /// Puts a changed copy of a rule in its place.
    fn change(&self, name: &str, change: impl FnOnce(&mut Rule)) -> Result<(), ApiError> {
        let mut rule = Rule::clone(&*self.shared.rule(name)?);
        change(&mut rule);
        self.install(rule);
        Ok(())
    }
}

fn page(read: &mut Request<'_>, member: &str, all: Vec<Value>) -> Result<Value, ApiError> {
    let most = match read.number("Limit")? {
        None => PAGE,
        Some(limit) => {
            usize::try_from(limit).ok().filter(|limit| (1..=PAGE).contains(limit)).ok_or_else(|| length("limit"))?
        }
    };
    let from = match read.text("NextToken")? {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| validation("NextToken is not valid."))?,
    };
    read.end()?;
    let more = all.len() > from.saturating_add(most);
    let shown: Vec<Value> = all.into_iter().skip(from).take(most).collect();
    let mut answer = Map::new();
    answer.insert(member.to_owned(), json!(shown));
    if more {
        answer.insert("NextToken".into(), json!((from + most).to_string()));
    }
    Ok(Value::Object(answer))
}

fn length(member: &str) -> ApiError {
    validation(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length between 1 \
         and {}",
        if member == "entries" { MAX_ENTRIES } else { PAGE }
    ))
}

fn default_bus(read: &mut Request<'_>) -> Result<(), ApiError> {
    known_bus(read.text("EventBusName")?)
}

fn known_bus(name: Option<&str>) -> Result<(), ApiError> {
    match name {
        None => Ok(()),
        Some(bus) if bus.rsplit('/').next() == Some("default") => Ok(()),
        Some(bus) => {
            let text = format!("Event bus {bus} does not exist.");
            Err(ApiError::new(400, "ResourceNotFoundException", text))
        }
    }
}
