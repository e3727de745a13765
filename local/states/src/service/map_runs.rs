//! Calls about Map Runs.

use serde_json::{Value, json};

use super::arguments::{Arguments, checked_arn};
use super::machines::with_token;
use super::pages::page;
use crate::engine::Engine;
use crate::{ApiError, timestamp};

impl Engine {
    pub(super) fn describe_map_run(&self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["mapRunArn"])?;
        let arn = checked_arn(arguments.required("mapRunArn")?, "mapRun")?;
        let Some(run) = self.map_runs.get(arn) else {
            return Err(
                ApiError::new("ResourceNotFound", format!("Resource not found: '{arn}'")).with("resourceName", arn)
            );
        };
        Ok(run.to_json(arn, &self.executions[run.execution].arn))
    }

    pub(super) fn list_map_runs(&self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["executionArn", "maxResults", "nextToken"])?;
        let execution = self.execution(arguments.required("executionArn")?)?;
        // Newest first, as executions are.
        let runs: Vec<Value> = execution
            .map_runs
            .iter()
            .rev()
            .filter_map(|arn| {
                let run = self.map_runs.get(arn)?;
                let mut item = json!({
                    "executionArn": &*execution.arn,
                    "mapRunArn": &**arn,
                    "stateMachineArn": &*execution.revision.machine_arn,
                    "startDate": timestamp::seconds(run.started),
                });
                if let Some(stopped) = run.stopped {
                    item["stopDate"] = timestamp::seconds(stopped);
                }
                Some(item)
            })
            .collect();
        let (part, next) = page(&arguments, runs.len())?;
        Ok(with_token("mapRuns", runs[part].to_vec(), next))
    }
}
