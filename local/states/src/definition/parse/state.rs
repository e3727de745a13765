//! One state: which fields it may have, where it leads, and the kinds that are not in a file of their own.

use std::sync::Arc;

use serde_json::Value;

use super::super::fields::Fields;
use super::super::{Given, Kind, Language, Next, State, Task, Wait};
use super::{Targets, find_target, language, program};
use crate::{Pattern, TaskResource};

/// Reads one state among its siblings.
pub(super) struct StateReader<'a, 'f> {
    pub fields: Fields<'a, 'f>,
    pub targets: &'a Targets<'a>,
    /// The machine's language, which states inside of states inherit.
    pub machine: Language,
    pub depth: usize,
}

impl StateReader<'_, '_> {
    pub(super) fn state(mut self, name: &str) -> Option<State> {
        if !self.fields.object.contains_key("Type") {
            self.fields.here("These fields are required: [Type]");
            return None;
        }
        let kind_name = self.fields.text("Type")?.to_owned();
        self.fields.language = language(&mut self.fields, Some(self.machine));
        if !self.allowed(&kind_name) {
            return None;
        }
        let kind = self.kind(&kind_name);
        let moves = !matches!(kind_name.as_str(), "Choice" | "Succeed" | "Fail");
        let next = if moves { self.next() } else { Some(Next::End) };
        let parameters = if self.fields.language == Language::JsonPath {
            // A Map's Parameters are its ItemSelector in the older form.
            if kind_name == "Map" { None } else { self.fields.template("Parameters") }
        } else {
            self.fields.template("Arguments")
        };
        let state = State {
            name: name.into(),
            language: self.fields.language,
            next: next.unwrap_or(Next::End),
            input_path: self.fields.selection("InputPath"),
            output_path: self.fields.selection("OutputPath"),
            result_path: self.fields.placement("ResultPath"),
            arguments: parameters,
            result_selector: self.fields.template("ResultSelector"),
            output: self.fields.template("Output"),
            assign: self.fields.assign(),
            retry: self.retry(),
            catch: self.catch(),
            kind: kind?,
        };
        next.map(|_| state)
    }

    fn allowed(&mut self, kind: &str) -> bool {
        let paths = ["InputPath", "OutputPath"];
        let (both, json_path, jsonata): (&[&str], &[&str], &[&str]) = match kind {
            "Pass" => (&["Next", "End", "Assign"], &["Result", "Parameters", "ResultPath"], &["Output"]),
            "Task" => (
                &[
                    "Next",
                    "End",
                    "Assign",
                    "Resource",
                    "Retry",
                    "Catch",
                    "TimeoutSeconds",
                    "HeartbeatSeconds",
                    "Credentials",
                ],
                &["Parameters", "ResultSelector", "ResultPath", "TimeoutSecondsPath", "HeartbeatSecondsPath"],
                &["Arguments", "Output"],
            ),
            "Choice" => (&["Choices", "Default", "Assign"], &[], &["Output"]),
            "Wait" => {
                (&["Next", "End", "Assign", "Seconds", "Timestamp"], &["SecondsPath", "TimestampPath"], &["Output"])
            }
            "Succeed" => (&[], &[], &["Output"]),
            "Fail" => (&["Error", "Cause"], &["ErrorPath", "CausePath"], &[]),
            "Map" => (
                &[
                    "Next",
                    "End",
                    "Assign",
                    "Retry",
                    "Catch",
                    "ItemProcessor",
                    "Iterator",
                    "ItemSelector",
                    "ItemReader",
                    "ItemBatcher",
                    "ResultWriter",
                    "MaxConcurrency",
                    "ToleratedFailureCount",
                    "ToleratedFailurePercentage",
                    "Label",
                ],
                &[
                    "Parameters",
                    "ResultSelector",
                    "ResultPath",
                    "ItemsPath",
                    "MaxConcurrencyPath",
                    "ToleratedFailureCountPath",
                    "ToleratedFailurePercentagePath",
                ],
                &["Items", "Output"],
            ),
            "Parallel" => (
                &["Next", "End", "Assign", "Retry", "Catch", "Branches"],
                &["Parameters", "ResultSelector", "ResultPath"],
                &["Arguments", "Output"],
            ),
            _ => {
                self.fields
                    .wrong("Type", "Value is not one of: [Choice, Fail, Map, Parallel, Pass, Succeed, Task, Wait]");
                return false;
            }
        };
        let both = [both, &["Type", "QueryLanguage"]].concat();
        let json_path = if kind == "Fail" { json_path.to_vec() } else { [json_path, &paths].concat() };
        self.fields.only(&both, &json_path, jsonata);
        true
    }

    fn next(&mut self) -> Option<Next> {
        let end = match self.fields.get("End") {
            None => false,
            Some(Value::Bool(end)) => *end,
            Some(_) => {
                self.fields.wrong("End", "Expected value of type Boolean");
                return None;
            }
        };
        if self.fields.get("Next").is_some() {
            if end {
                self.fields.here("There should only be one of the following fields: [Next, End]");
            }
            return self.target("Next").map(Next::State);
        }
        if !end {
            self.fields.here("One of the following fields is required: [Next, End]");
            return None;
        }
        Some(Next::End)
    }

    pub(super) fn target(&mut self, field: &str) -> Option<usize> {
        let name = self.fields.text(field)?;
        let location = format!("{}/{field}", self.fields.location);
        find_target(self.targets, name, &location, self.fields.findings)
    }

    fn kind(&mut self, kind: &str) -> Option<Kind> {
        match kind {
            "Pass" => Some(Kind::Pass { result: self.fields.get("Result").cloned() }),
            "Task" => self.task(),
            "Choice" => self.choice(),
            "Wait" => self.wait(),
            "Succeed" => Some(Kind::Succeed),
            "Fail" => Some(Kind::Fail {
                error: self.fields.text_or_path("Error", "ErrorPath"),
                cause: self.fields.text_or_path("Cause", "CausePath"),
            }),
            "Map" => self.map(),
            "Parallel" => self.parallel(),
            _ => None,
        }
    }

    fn task(&mut self) -> Option<Kind> {
        let Some(text) = self.fields.text("Resource") else {
            if self.fields.get("Resource").is_none() {
                self.fields.here("These fields are required: [Resource]");
            }
            return None;
        };
        let express = self.fields.findings.express;
        if express && text.contains(":activity:") {
            self.fields.wrong("Resource", "Express state machine does not support Activity ARN");
            return None;
        }
        let resource = match TaskResource::parse(text) {
            Ok(resource) => resource,
            Err(message) => {
                self.fields.wrong("Resource", message);
                return None;
            }
        };
        if express && resource.pattern != Pattern::RequestResponse {
            let suffix = resource.history_name().replacen(&resource.action, "", 1);
            // The two blanks before "at" are AWS's.
            let message = format!("Express state machine does not support '{suffix}' service integration ");
            self.fields.wrong("Resource", message);
        }
        if self.fields.object.contains_key("Credentials") {
            let credentials = self.fields.object("Credentials")?;
            if !credentials.contains_key("RoleArn") && !credentials.contains_key("RoleArn.$") {
                self.fields.wrong("Credentials", "The field 'RoleArn' is required but was missing");
            }
        }
        let timeout = self.fields.given_whole("TimeoutSeconds", 1.0, Some(99_999_999.0));
        let heartbeat = self.fields.given_whole("HeartbeatSeconds", 1.0, Some(99_999_999.0));
        if let (Some(Given::Literal(timeout)), Some(Given::Literal(heartbeat))) = (&timeout, &heartbeat)
            && heartbeat.as_f64() >= timeout.as_f64()
        {
            self.fields.wrong("HeartbeatSeconds", "HeartbeatSeconds must be smaller than TimeoutSeconds");
        }
        if resource.pattern == Pattern::WaitForTaskToken && timeout.is_none() && heartbeat.is_none() {
            let location = self.fields.location.clone();
            let message = "The task waits for a token without TimeoutSeconds or HeartbeatSeconds: up to a year";
            self.fields.findings.warn("NO_TIMEOUT", &location, message);
        }
        let credentials = self.fields.template("Credentials");
        Some(Kind::Task(Box::new(Task { resource: Arc::new(resource), timeout, heartbeat, credentials })))
    }

    fn wait(&mut self) -> Option<Kind> {
        self.fields.one_of(&["Seconds", "Timestamp", "SecondsPath", "TimestampPath"]);
        if self.fields.get("Seconds").is_some() || self.fields.get("SecondsPath").is_some() {
            return self
                .fields
                .given_whole("Seconds", 0.0, Some(99_999_999.0))
                .map(|given| Kind::Wait(Wait::Seconds(given)));
        }
        if self.fields.get("Timestamp").is_some() {
            return self.fields.given_timestamp("Timestamp").map(|given| Kind::Wait(Wait::Timestamp(given)));
        }
        if self.fields.get("TimestampPath").is_some() {
            let path = self.fields.path("TimestampPath")?;
            return Some(Kind::Wait(Wait::Timestamp(Given::Path(path))));
        }
        self.fields.here("One of the following fields is required: [Seconds, Timestamp, SecondsPath, TimestampPath]");
        None
    }

    fn parallel(&mut self) -> Option<Kind> {
        let Some(branches) = self.fields.array("Branches") else {
            self.fields.here("These fields are required: [Branches]");
            return None;
        };
        if branches.is_empty() {
            self.fields.wrong("Branches", "There must be at least one branch");
            return None;
        }
        let mut programs = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            let location = format!("{}/Branches[{index}]", self.fields.location);
            let Value::Object(object) = branch else {
                self.fields.findings.schema(&location, "Expected value of type Object");
                continue;
            };
            let mut fields =
                Fields { object, location: location.clone(), language: self.machine, findings: self.fields.findings };
            fields.only(&["StartAt", "States"], &[], &[]);
            programs.extend(program(object, &location, self.machine, self.depth + 1, self.fields.findings));
        }
        (programs.len() == branches.len()).then_some(Kind::Parallel { branches: programs })
    }
}
