//! Tasks that call this very service: `states:startExecution` in all its forms and `aws-sdk:sfn:…`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Engine, ExecutionId, Outcome, Status, Turn};
use crate::history::Failed;
use crate::payload::Payload;
use crate::{ApiError, Pattern, TaskFailure, TaskId, TaskResource};

impl Engine {
    #[allow(clippy::unused_self)] // Beside the other questions to the engine.
    pub(super) fn runs_inside(&self, resource: &TaskResource) -> bool {
        matches!(
            (resource.service.as_str(), resource.action.as_str()),
            ("states", "startExecution") | ("aws-sdk:sfn", _)
        )
    }

    /// Makes a call of this service as this role.
    pub(super) fn run_inside(
        &mut self,
        task: TaskId,
        role: &str,
        resource: &TaskResource,
        arguments: &Value,
        turn: &mut Turn<'_>,
    ) {
        let result = if resource.service == "states" {
            self.start_nested(task, role, resource, arguments, turn)
        } else {
            self.call_inside(role, resource, arguments, turn)
        };
        turn.settled.push_back((task, Outcome::Called(result)));
    }

    fn start_nested(
        &mut self,
        task: TaskId,
        role: &str,
        resource: &TaskResource,
        arguments: &Value,
        turn: &mut Turn<'_>,
    ) -> Result<Value, TaskFailure> {
        let known = ["StateMachineArn", "Name", "TraceHeader", "Input"];
        let members = arguments.as_object().into_iter().flat_map(Map::keys);
        if let Some(unknown) = members.into_iter().find(|name| !known.contains(&name.as_str())) {
            return Err(TaskFailure {
                error: "States.Runtime".into(),
                cause: Some(format!("The field '{unknown}' of startExecution is not supported here")),
            });
        }
        let mut body = Map::new();
        for (from, to) in [("StateMachineArn", "stateMachineArn"), ("Name", "name"), ("TraceHeader", "traceHeader")] {
            if let Some(value) = arguments.get(from) {
                body.insert(to.into(), value.clone());
            }
        }
        let input = match arguments.get("Input") {
            None | Some(Value::Null) => "{}".to_owned(),
            // Text is taken as JSON text, as recorded.
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        body.insert("input".into(), input.into());
        let sync = matches!(resource.pattern, Pattern::Sync | Pattern::Sync2);
        let body = Value::Object(body);
        self.allowed(role, "StartExecution", &body).map_err(|error| legacy_failure(&error, turn))?;
        let started = self
            .start_execution(&body, sync.then_some(task), true, turn)
            .map_err(|error| legacy_failure(&error, turn))?;
        let execution = &self.executions[started];
        let mut response = Map::new();
        response.insert("ExecutionArn".into(), (*execution.arn).into());
        let length = execution.arn.len() + 60;
        response.extend(sdk_metadata(length, turn));
        response.insert("StartDate".into(), execution.started.into());
        if let (true, Some((_, _, attempt))) = (sync, self.open_attempt(task)) {
            attempt.nested = true;
            attempt.child = Some(started);
            attempt.role = role.into();
        }
        Ok(Value::Object(response))
    }

    /// A nested execution has ended: the task that waits for it gets its description.
    pub(super) fn child_ended(&mut self, task: TaskId, child: ExecutionId, turn: &mut Turn<'_>) {
        let Some((_, _, attempt)) = self.open_attempt(task) else {
            return;
        };
        attempt.child = None;
        let role = Arc::clone(&attempt.role);
        let parsed = attempt.resource.pattern == Pattern::Sync2;
        if let Err(error) = self.may(&role, "DescribeExecution", child) {
            let failure = legacy_failure(&error, turn);
            let failed = Failed { error: Some(failure.error.into()), cause: failure.cause.map(Into::into) };
            turn.settled.push_back((task, Outcome::Answered(Err(failed))));
            return;
        }
        let execution = &self.executions[child];
        let shown = |payload: &Payload| {
            if parsed { payload.value().clone() } else { Value::String(payload.text().to_owned()) }
        };
        let mut described = Map::new();
        let mut put = |name: &str, value: Value| described.insert(name.to_owned(), value);
        if let Some(cause) = &execution.failed.cause {
            put("Cause", (**cause).into());
        }
        if let Some(error) = &execution.failed.error {
            put("Error", (**error).into());
        }
        put("ExecutionArn", (*execution.arn).into());
        put("Input", shown(&execution.input));
        put("InputDetails", json!({ "Included": true }));
        put("Name", (*execution.name).into());
        if let Some(output) = &execution.output {
            put("Output", shown(output));
            put("OutputDetails", json!({ "Included": true }));
        }
        put("StartDate", execution.started.into());
        put("StateMachineArn", (*execution.revision.machine_arn).into());
        put("Status", execution.status.name().into());
        put("StopDate", execution.stopped.into());
        let described = Value::Object(described);
        let result = if execution.status == Status::Succeeded {
            Ok(described)
        } else {
            let cause: Arc<str> = described.to_string().into();
            Err(Failed { error: Some("States.TaskFailed".into()), cause: Some(cause) })
        };
        turn.settled.push_back((task, Outcome::Answered(result)));
    }

    pub(super) fn allowed(&self, role: &str, operation: &str, body: &Value) -> Result<(), ApiError> {
        self.authority.as_ref().map_or(Ok(()), |authority| authority.check(role, operation, body))
    }

    /// Whether a role may do this to an execution that it started and waits for.
    pub(super) fn may(&self, role: &str, operation: &str, child: ExecutionId) -> Result<(), ApiError> {
        let body = json!({ "executionArn": *self.executions[child].arn });
        self.allowed(role, operation, &body)
    }

    /// `aws-sdk:sfn:…`: the same calls, with names in upper camel case and dates as texts.
    fn call_inside(
        &mut self,
        role: &str,
        resource: &TaskResource,
        arguments: &Value,
        turn: &mut Turn<'_>,
    ) -> Result<Value, TaskFailure> {
        let operation = renamed(&resource.action, char::to_ascii_uppercase);
        let mut body = with_names(arguments, char::to_ascii_lowercase);
        for text in ["input", "output", "definition"] {
            // Members that are JSON texts may be given as what they mean.
            if let Some(value) = body.get_mut(text).filter(|value| !value.is_string() && !value.is_null()) {
                *value = value.to_string().into();
            }
        }
        let allowed = self.allowed(role, &operation, &body);
        match allowed.and_then(|()| self.call(&operation, &body, true, turn)) {
            Ok(answer) => Ok(with_dates(with_names(&answer, char::to_ascii_uppercase))),
            Err(error) => Err(TaskFailure {
                error: format!("Sfn.{}Exception", error.code.trim_end_matches("Exception")),
                cause: Some(format!(
                    "{} (Service: Sfn, Status Code: {}, Request ID: {}) (SDK Attempt Count: 1)",
                    error.message,
                    error.status,
                    crate::intrinsic::uuid_text(turn.chance())
                )),
            }),
        }
    }
}

/// Errors of the optimised integration look as the first version of AWS's Java SDK words them.
fn legacy_failure(error: &ApiError, turn: &Turn<'_>) -> TaskFailure {
    // What the service's model does not have is the SDK's general exception.
    let name = match error.code.as_str() {
        "AccessDeniedException" => "AWSStepFunctions",
        code => code.trim_end_matches("Exception"),
    };
    TaskFailure {
        error: format!("StepFunctions.{name}Exception"),
        cause: Some(format!(
            "{} (Service: AWSStepFunctions; Status Code: {}; Error Code: {}; Request ID: {}; Proxy: null)",
            error.message,
            error.status,
            error.code,
            crate::intrinsic::uuid_text(turn.chance())
        )),
    }
}

fn sdk_metadata(length: usize, turn: &Turn<'_>) -> Map<String, Value> {
    let request = crate::intrinsic::uuid_text(turn.chance());
    let date = crate::timestamp::text_in_seconds(turn.now);
    let kind = "application/x-amz-json-1.0";
    let length = length.to_string();
    let mut metadata = Map::new();
    metadata.insert(
        "SdkHttpMetadata".into(),
        json!({
            "AllHttpHeaders": {
                "x-amzn-RequestId": [request], "connection": ["keep-alive"], "Content-Length": [length],
                "Date": [date], "Content-Type": [kind],
            },
            "HttpHeaders": {
                "connection": "keep-alive", "Content-Length": length, "Content-Type": kind, "Date": date,
                "x-amzn-RequestId": request,
            },
            "HttpStatusCode": 200,
        }),
    );
    metadata.insert("SdkResponseMetadata".into(), json!({ "RequestId": request }));
    metadata
}

fn renamed(name: &str, change: fn(&char) -> char) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| change(&first)).into_iter().chain(chars).collect()
}

fn with_names(value: &Value, change: fn(&char) -> char) -> Value {
    // Their members are names of states and variables.
    let maps = ["assignedVariables", "variableReferences"];
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| {
                let member = if maps.contains(&name.as_str()) { member.clone() } else { with_names(member, change) };
                (renamed(name, change), member)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| with_names(item, change)).collect()),
        other => other.clone(),
    }
}

/// Dates as the SDK gives them: ISO 8601.
fn with_dates(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| match value.as_f64() {
                #[allow(clippy::cast_possible_truncation)] // Milliseconds of a date.
                Some(seconds) if name.ends_with("Date") || name == "Timestamp" => {
                    (name, crate::timestamp::text((seconds * 1000.0).round() as i64).into())
                }
                _ => (name, with_dates(value)),
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(with_dates).collect()),
        other => other,
    }
}
