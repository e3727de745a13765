//! Step Functions: answers to tasks, and whether an execution still waits. Never a heartbeat.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_sfn::types::ExecutionStatus;
use statement::ports::{Answered, Execution, Failure, FailureKind, HistoryEvent, Outcome, Tasks};

use crate::clients::Clients;
use crate::failure;

const SERVICE: &str = "states";

pub(crate) struct StepFunctions {
    pub(crate) clients: Arc<Clients>,
}

/// A token that nobody waits for is an answer, not a failure.
fn answered(failure: Failure) -> Outcome<Answered> {
    match failure.code.as_str() {
        "TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken" => Ok(Answered::Gone),
        "InvalidOutput" => Ok(Answered::OutputRefused),
        _ => Err(failure),
    }
}

#[async_trait]
impl Tasks for StepFunctions {
    async fn success(&self, token: &str, output: &str) -> Outcome<Answered> {
        match self.clients.sfn().send_task_success().task_token(token).output(output).send().await {
            Ok(_) => Ok(Answered::Sent),
            Err(error) => answered(failure::of(SERVICE, &error)),
        }
    }

    async fn failure(&self, token: &str, error: &str, cause: &str) -> Outcome<Answered> {
        match self.clients.sfn().send_task_failure().task_token(token).error(error).cause(cause).send().await {
            Ok(_) => Ok(Answered::Sent),
            Err(error) => answered(failure::of(SERVICE, &error)),
        }
    }

    async fn execution(&self, arn: &str) -> Outcome<Execution> {
        match self.clients.sfn().describe_execution().execution_arn(arn).send().await {
            Ok(execution) => Ok(match execution.status {
                ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Execution::Running,
                ExecutionStatus::Succeeded => Execution::Succeeded,
                _ => Execution::Dead,
            }),
            Err(error) => match failure::of(SERVICE, &error) {
                failure if failure.kind == FailureKind::NotFound => Ok(Execution::Missing),
                failure => Err(failure),
            },
        }
    }

    async fn history(&self, arn: &str, next: Option<&str>) -> Outcome<(Vec<HistoryEvent>, Option<String>)> {
        let call = self
            .clients
            .sfn()
            .get_execution_history()
            .execution_arn(arn)
            .reverse_order(true)
            .include_execution_data(true);
        let page = call
            .max_results(500)
            .set_next_token(next.map(str::to_owned))
            .send()
            .await
            .map_err(|error| failure::of(SERVICE, &error))?;
        let events = page.events.into_iter().map(|event| HistoryEvent {
            id: event.id,
            previous: event.previous_event_id,
            kind: event.r#type.as_str().to_owned(),
            parameters: event.task_scheduled_event_details.map(|details| details.parameters),
        });
        Ok((events.collect(), page.next_token))
    }
}
