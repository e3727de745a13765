//! Calls about executions.

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, checked_arn, checked_name};
use super::machines::with_token;
use super::pages::page;
use super::versions::qualified;
use crate::engine::{Engine, Execution, ExecutionId, Status, Turn};
use crate::history::Failed;
use crate::payload::{LONGEST_PAYLOAD, Payload};
use crate::{ApiError, TaskId, intrinsic, timestamp};

impl Engine {
    pub(super) fn start_execution_call(
        &mut self,
        body: &Value,
        nested: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Value, ApiError> {
        let id = self.start_execution(body, None, nested, turn)?;
        let execution = &self.executions[id];
        Ok(json!({ "executionArn": &*execution.arn, "startDate": timestamp::seconds(execution.started) }))
    }

    /// Starts an execution, or finds the running one with the same name and input. `nested`: a task asks for it.
    pub(crate) fn start_execution(
        &mut self,
        body: &Value,
        started_by: Option<TaskId>,
        nested: bool,
        turn: &mut Turn<'_>,
    ) -> Result<ExecutionId, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineArn", "name", "input", "traceHeader"])?;
        let target = self.target(arguments.required("stateMachineArn")?, turn)?;
        let text = arguments.text("input")?.unwrap_or("{}");
        if text.len() > LONGEST_PAYLOAD {
            let message = format!("Invalid State Machine Execution Input: 'The input exceeds {LONGEST_PAYLOAD} bytes'");
            return Err(ApiError::new("InvalidExecutionInput", message));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| {
            ApiError::new("InvalidExecutionInput", format!("Invalid State Machine Execution Input: '{error}'"))
        })?;
        let input = Payload::with_text(value, text);
        let Some(name) = arguments.text("name")? else {
            let name = intrinsic::uuid_text(turn.chance());
            return Ok(self.start(target, &name, input, started_by, nested, turn));
        };
        let name = checked_name(name)?;
        let arn = self.execution_arn(&target.revision.name, name);
        if let Some(id) = self.by_arn.get(arn.as_str()).copied() {
            let existing = &self.executions[id];
            if started_by.is_none() && existing.status == Status::Running && existing.input.value() == input.value() {
                return Ok(id);
            }
            return Err(ApiError::new("ExecutionAlreadyExists", format!("Execution Already Exists: '{arn}'")));
        }
        Ok(self.start(target, name, input, started_by, nested, turn))
    }

    pub(super) fn stop_execution(&mut self, body: &Value, turn: &mut Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["executionArn", "error", "cause"])?;
        let id = self.execution_id(arguments.required("executionArn")?)?;
        let failed = Failed {
            error: arguments.bounded("error", 256)?.map(Into::into),
            cause: arguments.bounded("cause", 32_768)?.map(Into::into),
        };
        self.end(id, Status::Aborted, failed, turn);
        let stopped = self.executions[id].stopped.unwrap_or(turn.now);
        Ok(json!({ "stopDate": timestamp::seconds(stopped) }))
    }

    pub(super) fn redrive_execution(&mut self, body: &Value, turn: &mut Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["executionArn", "clientToken"])?;
        let id = self.execution_id(arguments.required("executionArn")?)?;
        let token = arguments.bounded("clientToken", 64)?;
        let execution = &self.executions[id];
        let again = token.is_some() && execution.redrives.token.as_deref() == token;
        if !again {
            if let (_, Some(reason)) = execution.redrive_status(turn.now) {
                return Err(ApiError::new("ExecutionNotRedrivable", reason));
            }
            self.redrive(id, token, turn);
        }
        let at = self.executions[id].redrives.at.unwrap_or(turn.now);
        Ok(json!({ "redriveDate": timestamp::seconds(at) }))
    }

    pub(super) fn describe_execution(&self, body: &Value, turn: &Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["executionArn", "includedData"])?;
        let execution = self.execution(arguments.required("executionArn")?)?;
        let mut answer = listed(execution);
        if arguments.included_data()? {
            answer.insert("input".into(), execution.input.text().into());
            answer.insert("inputDetails".into(), json!({ "included": true }));
            if let Some(output) = &execution.output {
                answer.insert("output".into(), output.text().into());
                answer.insert("outputDetails".into(), json!({ "included": true }));
            }
            if let Some(error) = &execution.failed.error {
                answer.insert("error".into(), (**error).into());
            }
            if let Some(cause) = &execution.failed.cause {
                answer.insert("cause".into(), (**cause).into());
            }
        }
        let (redrive, reason) = execution.redrive_status(turn.now);
        answer.insert("redriveStatus".into(), redrive.into());
        if let Some(reason) = reason {
            answer.insert("redriveStatusReason".into(), reason.into());
        }
        Ok(Value::Object(answer))
    }

    pub(super) fn list_executions(&self, body: &Value) -> Result<Value, ApiError> {
        let known = ["stateMachineArn", "statusFilter", "maxResults", "nextToken", "mapRunArn", "redriveFilter"];
        let arguments = Arguments::new(body, &known)?;
        arguments.refuse("mapRunArn")?;
        let redriven = arguments.text("redriveFilter")?;
        if let Some(unknown) = redriven.filter(|filter| !["REDRIVEN", "NOT_REDRIVEN"].contains(filter)) {
            return Err(ApiError::new(
                "ValidationException",
                format!(
                    "1 validation error detected: Value '{unknown}' at 'redriveFilter' failed to satisfy constraint: \
                     Member must satisfy enum value set: [REDRIVEN, NOT_REDRIVEN]"
                ),
            ));
        }
        let of = arguments.required("stateMachineArn")?;
        // Of a version or an alias: the executions that were started by it.
        let machine = qualified(of).map_or(of, |(machine, _)| machine);
        let registered = self.registered(machine)?;
        let started_by = |execution: &Execution| {
            machine == of || [&execution.version, &execution.alias].into_iter().flatten().any(|arn| &**arn == of)
        };
        let filter = arguments.text("statusFilter")?;
        let statuses = ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"];
        if let Some(unknown) = filter.filter(|filter| !statuses.contains(filter)) {
            return Err(ApiError::new(
                "ValidationException",
                format!(
                    "1 validation error detected: Value '{unknown}' at 'statusFilter' failed to satisfy constraint: \
                     Member must satisfy enum value set: [{}]",
                    statuses.join(", ")
                ),
            ));
        }
        // Newest first. A page's token counts from the newest, so an execution that starts in between shifts the pages
        // by one, as at AWS.
        let chosen: Vec<&Execution> = registered
            .executions
            .iter()
            .rev()
            .map(|id| &self.executions[*id])
            .filter(|execution| started_by(execution))
            .filter(|execution| filter.is_none_or(|filter| execution.status.name() == filter))
            .filter(|execution| {
                redriven.is_none_or(|redriven| (redriven == "REDRIVEN") == (execution.redrives.count > 0))
            })
            .collect();
        let (part, next) = page(&arguments, chosen.len())?;
        let items = chosen[part].iter().map(|execution| Value::Object(listed(execution))).collect();
        Ok(with_token("executions", items, next))
    }

    pub(super) fn get_execution_history(&self, body: &Value) -> Result<Value, ApiError> {
        let known = ["executionArn", "maxResults", "reverseOrder", "nextToken", "includeExecutionData"];
        let arguments = Arguments::new(body, &known)?;
        let execution = self.execution(arguments.required("executionArn")?)?;
        let reverse = arguments.flag("reverseOrder", false)?;
        let data = arguments.flag("includeExecutionData", true)?;
        let length = execution.history.len();
        let (part, next) = page(&arguments, length)?;
        let events = part
            .map(|at| {
                let index = if reverse { length - 1 - at } else { at };
                execution.history[index].to_json(index + 1, data)
            })
            .collect();
        Ok(with_token("events", events, next))
    }

    fn execution_id(&self, arn: &str) -> Result<ExecutionId, ApiError> {
        checked_arn(arn, "execution")?;
        self.by_arn
            .get(arn)
            .copied()
            .ok_or_else(|| ApiError::new("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'")))
    }

    pub(super) fn execution(&self, arn: &str) -> Result<&Execution, ApiError> {
        self.execution_id(arn).map(|id| &self.executions[id])
    }
}

fn listed(execution: &Execution) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("executionArn".into(), (*execution.arn).into());
    answer.insert("stateMachineArn".into(), (*execution.revision.machine_arn).into());
    if let Some(version) = &execution.version {
        answer.insert("stateMachineVersionArn".into(), (**version).into());
    }
    if let Some(alias) = &execution.alias {
        answer.insert("stateMachineAliasArn".into(), (**alias).into());
    }
    answer.insert("name".into(), (*execution.name).into());
    answer.insert("status".into(), execution.status.name().into());
    answer.insert("startDate".into(), timestamp::seconds(execution.started));
    if let Some(stopped) = execution.stopped {
        answer.insert("stopDate".into(), timestamp::seconds(stopped));
    }
    answer.insert("redriveCount".into(), execution.redrives.count.into());
    if let Some(at) = execution.redrives.at {
        answer.insert("redriveDate".into(), timestamp::seconds(at));
    }
    answer
}
