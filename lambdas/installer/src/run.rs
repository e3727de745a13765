//! `Custom::Run`: starts a workflow and says where it will keep what it finds. The execution's name comes from the request,
//! so that a request that is delivered twice starts one run.

use chrono::{DateTime, Utc};
use serde_json::json;
use statement::resource::ResourceRequest;

use crate::ports::Deployment;

pub(crate) async fn start(
    deployment: &dyn Deployment,
    request: &ResourceRequest,
) -> Result<Vec<(&'static str, String)>, String> {
    let property = |name| request.text(name).ok_or_else(|| format!("{name} is missing"));
    let (machine, workflow) = (property("StateMachineArn")?, property("Workflow")?);
    let mut input = json!({"workflow": workflow});
    if let Some(plan) = request.text("Plan") {
        input["plan"] = json!(plan);
    }
    // 64 bits are enough to tell the deployments of a stack apart, and the name stands in every key of the run.
    let name = format!("deployment-{}", &request.idempotency_key()[..16]);
    let started = deployment
        .start(machine, &name, &input.to_string())
        .await
        .map_err(|failure| format!("StartExecution: {}: {}", failure.code, failure.message))?;
    let at = DateTime::<Utc>::from_timestamp_millis(started.at_ms).ok_or("the execution began at no time")?;
    let location = format!("s3://{}/{}", deployment.results(), workflow::plan::run_prefix(workflow, at, &name));
    tracing::info!(execution = started.arn, location, "started");
    Ok(vec![("RunLocation", location), ("ExecutionArn", started.arn)])
}
