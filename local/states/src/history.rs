//! An execution's history: what happened, in order, compact in memory and rendered as `GetExecutionHistory` returns it.
//!
//! Events are only ever appended. Input and output texts are shared with the data they came from.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::TaskResource;
use crate::payload::Payload;
use crate::timestamp;

/// The kind of a state, for the names of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateKind {
    Pass,
    Task,
    Choice,
    Wait,
    Succeed,
    Fail,
    Map,
    Parallel,
}

impl StateKind {
    fn name(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Task => "Task",
            Self::Choice => "Choice",
            Self::Wait => "Wait",
            Self::Succeed => "Succeed",
            Self::Fail => "Fail",
            Self::Map => "Map",
            Self::Parallel => "Parallel",
        }
    }
}

/// An error with a cause; both can be missing, as in a Fail state without them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failed {
    pub error: Option<Arc<str>>,
    pub cause: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Iteration {
    Started,
    Succeeded,
    Failed,
    Aborted,
}

#[derive(Debug)]
pub(crate) enum Details {
    ExecutionStarted { input: Payload, role: Arc<str>, version: Option<Arc<str>>, alias: Option<Arc<str>> },
    ExecutionSucceeded { output: Payload },
    ExecutionFailed(Failed),
    ExecutionAborted(Failed),
    ExecutionTimedOut(Failed),
    ExecutionRedriven { count: u32 },
    StateEntered { kind: StateKind, name: Arc<str>, input: Payload },
    StateExited { kind: StateKind, name: Arc<str>, output: Payload, assigned: Vec<(String, String)> },
    StateStarted { kind: StateKind, length: Option<usize> },
    StateSucceeded(StateKind),
    StateFailed(StateKind),
    StateAborted(StateKind),
    EvaluationFailed { failed: Failed, location: Option<String>, state: Arc<str> },
    Iteration { what: Iteration, name: Arc<str>, index: usize },
    MapRunStarted { arn: Arc<str> },
    MapRunSucceeded,
    MapRunFailed(Failed),
    TaskScheduled(Box<Scheduled>),
    TaskStarted(Arc<TaskResource>),
    TaskSubmitted { resource: Arc<TaskResource>, output: Payload },
    TaskSucceeded { resource: Arc<TaskResource>, output: Payload },
    TaskFailed { resource: Arc<TaskResource>, failed: Failed },
    TaskTimedOut { resource: Arc<TaskResource>, failed: Failed },
}

#[derive(Debug)]
pub(crate) struct Scheduled {
    pub resource: Arc<TaskResource>,
    pub region: Arc<str>,
    pub parameters: Payload,
    pub timeout: Option<i64>,
    pub heartbeat: Option<i64>,
    /// The role that `Credentials` named.
    pub credentials: Option<String>,
}

/// One event. Its id is its position, counted from 1.
#[derive(Debug)]
pub(crate) struct Event {
    pub previous: u32,
    /// Milliseconds since 1970.
    pub at: i64,
    pub details: Details,
}

impl Event {
    /// As `GetExecutionHistory` returns it. Without `data`, inputs and outputs are left out.
    pub(crate) fn to_json(&self, id: usize, data: bool) -> Value {
        let (kind, details) = self.details.to_json(data);
        let mut event = Map::new();
        event.insert("timestamp".into(), timestamp::seconds(self.at));
        event.insert("type".into(), kind.into());
        event.insert("id".into(), id.into());
        event.insert("previousEventId".into(), self.previous.into());
        if let Some((name, details)) = details {
            event.insert(name.into(), Value::Object(details));
        }
        Value::Object(event)
    }
}

type Rendered = (String, Option<(&'static str, Map<String, Value>)>);

impl Details {
    fn to_json(&self, data: bool) -> Rendered {
        let plain = |kind: &str| (kind.to_owned(), None);
        let with = |kind: String, name, details| (kind, Some((name, details)));
        match self {
            Self::ExecutionStarted { input, role, version, alias } => {
                let mut details = payload("input", input, data);
                details.insert("roleArn".into(), role.as_ref().into());
                for (name, arn) in [("stateMachineAliasArn", alias), ("stateMachineVersionArn", version)] {
                    details.extend(arn.as_deref().map(|arn| (name.to_owned(), arn.into())));
                }
                with("ExecutionStarted".into(), "executionStartedEventDetails", details)
            }
            Self::ExecutionSucceeded { output } => {
                with("ExecutionSucceeded".into(), "executionSucceededEventDetails", payload("output", output, data))
            }
            Self::ExecutionFailed(f) => with("ExecutionFailed".into(), "executionFailedEventDetails", failed(f)),
            Self::ExecutionAborted(f) => with("ExecutionAborted".into(), "executionAbortedEventDetails", failed(f)),
            Self::ExecutionTimedOut(f) => with("ExecutionTimedOut".into(), "executionTimedOutEventDetails", failed(f)),
            Self::ExecutionRedriven { count } => {
                let mut details = Map::new();
                details.insert("redriveCount".into(), (*count).into());
                with("ExecutionRedriven".into(), "executionRedrivenEventDetails", details)
            }
            Self::StateEntered { kind, name, input } => {
                let mut details = Map::new();
                details.insert("name".into(), name.as_ref().into());
                details.extend(payload("input", input, data));
                with(format!("{}StateEntered", kind.name()), "stateEnteredEventDetails", details)
            }
            Self::StateExited { kind, name, output, assigned } => {
                let mut details = Map::new();
                details.insert("name".into(), name.as_ref().into());
                details.extend(payload("output", output, data));
                if !assigned.is_empty() {
                    if data {
                        let variables = assigned.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
                        details.insert("assignedVariables".into(), Value::Object(variables));
                    }
                    details.insert("assignedVariablesDetails".into(), json!({ "truncated": false }));
                }
                with(format!("{}StateExited", kind.name()), "stateExitedEventDetails", details)
            }
            Self::StateStarted { kind, length } => {
                let details = length.map(|length| {
                    let mut details = Map::new();
                    details.insert("length".into(), length.into());
                    ("mapStateStartedEventDetails", details)
                });
                (format!("{}StateStarted", kind.name()), details)
            }
            Self::StateSucceeded(kind) => plain(&format!("{}StateSucceeded", kind.name())),
            Self::StateFailed(kind) => plain(&format!("{}StateFailed", kind.name())),
            Self::StateAborted(kind) => plain(&format!("{}StateAborted", kind.name())),
            Self::EvaluationFailed { failed: f, location, state } => {
                let mut details = failed(f);
                if let Some(location) = location {
                    details.insert("location".into(), location.as_str().into());
                }
                details.insert("state".into(), state.as_ref().into());
                with("EvaluationFailed".into(), "evaluationFailedEventDetails", details)
            }
            Self::Iteration { what, name, index } => {
                let mut details = Map::new();
                details.insert("name".into(), name.as_ref().into());
                details.insert("index".into(), (*index).into());
                let (kind, field) = match what {
                    Iteration::Started => ("MapIterationStarted", "mapIterationStartedEventDetails"),
                    Iteration::Succeeded => ("MapIterationSucceeded", "mapIterationSucceededEventDetails"),
                    Iteration::Failed => ("MapIterationFailed", "mapIterationFailedEventDetails"),
                    Iteration::Aborted => ("MapIterationAborted", "mapIterationAbortedEventDetails"),
                };
                with(kind.into(), field, details)
            }
            Self::MapRunStarted { arn } => {
                let mut details = Map::new();
                details.insert("mapRunArn".into(), arn.as_ref().into());
                with("MapRunStarted".into(), "mapRunStartedEventDetails", details)
            }
            Self::MapRunSucceeded => plain("MapRunSucceeded"),
            Self::MapRunFailed(f) => with("MapRunFailed".into(), "mapRunFailedEventDetails", failed(f)),
            _ => self.task_to_json(data),
        }
    }

    /// A function named by its ARN has events of its own kind.
    fn task_to_json(&self, data: bool) -> Rendered {
        let (what, resource) = match self {
            Self::TaskScheduled(scheduled) => ("Scheduled", &scheduled.resource),
            Self::TaskStarted(resource) => ("Started", resource),
            Self::TaskSubmitted { resource, .. } => ("Submitted", resource),
            Self::TaskSucceeded { resource, .. } => ("Succeeded", resource),
            Self::TaskFailed { resource, .. } => ("Failed", resource),
            Self::TaskTimedOut { resource, .. } => ("TimedOut", resource),
            // All others were rendered before.
            _ => return (String::new(), None),
        };
        let function = resource.function.as_deref();
        let mut details = Map::new();
        match self {
            Self::TaskScheduled(scheduled) => {
                match function {
                    Some(function) => {
                        details.extend(payload("input", &scheduled.parameters, data));
                        details.insert("resource".into(), function.into());
                    }
                    None => {
                        if data {
                            details.insert("parameters".into(), scheduled.parameters.text().into());
                        }
                        details.insert("region".into(), scheduled.region.as_ref().into());
                    }
                }
                if let Some(seconds) = scheduled.timeout {
                    details.insert("timeoutInSeconds".into(), seconds.into());
                }
                if let (Some(seconds), None) = (scheduled.heartbeat, function) {
                    details.insert("heartbeatInSeconds".into(), seconds.into());
                }
                if let Some(role) = &scheduled.credentials {
                    details.insert("taskCredentials".into(), json!({ "roleArn": role }));
                }
            }
            Self::TaskSubmitted { output, .. } | Self::TaskSucceeded { output, .. } => {
                details.extend(payload("output", output, data));
            }
            Self::TaskFailed { failed: f, .. } | Self::TaskTimedOut { failed: f, .. } => details.extend(failed(f)),
            _ => {}
        }
        if function.is_some() {
            let field = match what {
                "Scheduled" => "lambdaFunctionScheduledEventDetails",
                "Succeeded" => "lambdaFunctionSucceededEventDetails",
                "Failed" => "lambdaFunctionFailedEventDetails",
                "TimedOut" => "lambdaFunctionTimedOutEventDetails",
                _ => return (format!("LambdaFunction{what}"), None),
            };
            return (format!("LambdaFunction{what}"), Some((field, details)));
        }
        details.insert("resource".into(), resource.history_name().into());
        details.insert("resourceType".into(), resource.service.as_str().into());
        let field = match what {
            "Scheduled" => "taskScheduledEventDetails",
            "Started" => "taskStartedEventDetails",
            "Submitted" => "taskSubmittedEventDetails",
            "Succeeded" => "taskSucceededEventDetails",
            "Failed" => "taskFailedEventDetails",
            _ => "taskTimedOutEventDetails",
        };
        (format!("Task{what}"), Some((field, details)))
    }
}

fn payload(name: &str, payload: &Payload, data: bool) -> Map<String, Value> {
    let mut details = Map::new();
    if data {
        details.insert(name.into(), payload.text().into());
    }
    details.insert(format!("{name}Details"), json!({ "truncated": false }));
    details
}

fn failed(failed: &Failed) -> Map<String, Value> {
    let mut details = Map::new();
    if let Some(error) = &failed.error {
        details.insert("error".into(), error.as_ref().into());
    }
    if let Some(cause) = &failed.cause {
        details.insert("cause".into(), cause.as_ref().into());
    }
    details
}
