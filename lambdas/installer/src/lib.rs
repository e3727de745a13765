//! The installer function: what a deployment does beyond making resources. `Custom::Assets` brings configuration and SQL
//! to the assets bucket, `Custom::Run` starts a workflow. Every request that names somebody to answer is answered, before
//! the function's own timeout and whatever happens; nothing here waits for a run, and Delete undoes nothing, because
//! what holds data outlives the stack.

mod assets;
mod ports;
mod run;

use std::sync::Arc;
use std::time::Duration;

use aws::RunError;
use aws::objects::Objects;
use serde_json::Value;
use statement::Error;
use statement::ports::{Clock, Responses};
use statement::resource::{Kind, ResourceRequest, Verdict};

pub use ports::{Deployment, Services};

/// What is left of the function's time when the work is given up: enough for an answer and its repetitions.
const MARGIN_MS: i64 = 20_000;

/// Handles one request of CloudFormation. `deadline_ms` is when the function is ended, epoch milliseconds.
///
/// # Errors
/// If nobody can be answered: the event names nobody, or the answer could not be delivered. Lambda then calls again.
pub async fn handle(
    deployment: &dyn Deployment,
    responses: &dyn Responses,
    clock: &dyn Clock,
    event: &Value,
    deadline_ms: i64,
) -> Result<Value, Error> {
    let request = ResourceRequest::envelope(event)?;
    let left = deadline_ms.saturating_sub(clock.now()).saturating_sub(MARGIN_MS);
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    let kind = event.get("ResourceType").and_then(Value::as_str).unwrap_or_default();
    let work = async {
        match (kind, request.kind) {
            // Also where the type is unknown: what was never made cannot keep a stack from going away.
            (_, Kind::Delete) => Ok(Vec::new()),
            ("Custom::Assets", _) => assets::bring(deployment, &request).await,
            ("Custom::Run", _) => run::start(deployment, &request).await,
            (other, _) => Err(format!("{other:?} is not known here: there are Custom::Assets and Custom::Run")),
        }
    };
    let verdict = match tokio::time::timeout(left, work).await {
        Ok(Ok(data)) => Verdict::Success(data),
        Ok(Err(reason)) => Verdict::Failed(reason),
        Err(_) => Verdict::Failed("it was not done in the function's time; deploy again".to_owned()),
    };
    if let Verdict::Failed(reason) = &verdict {
        tracing::warn!(kind, reason, "failed");
    }
    aws::custom_resource::deliver(responses, &request, &verdict).await
}

/// The variables that the function needs, beside `LOG_LEVEL`.
pub const ENVIRONMENT: [&str; 2] = ["ASSETS_BUCKET", "RESULTS_BUCKET"];

/// Serves invocations. Not to be called inside of a runtime.
///
/// # Errors
/// A configuration that is not complete, or that the Runtime API cannot be reached.
pub fn run() -> Result<(), RunError> {
    aws::execute(|| async {
        let lookup = |key: &str| std::env::var(key).ok();
        let [assets, results] = aws::Configuration::new(lookup).named(ENVIRONMENT)?;
        let clients = Arc::new(aws::clients::Clients::from_lookup(lookup)?);
        let services = Services { assets: Objects::new(clients.clone(), assets), results, clients };
        let (responses, clock) = (aws::custom_resource::response_urls(), aws::SystemClock);
        let (services, responses, clock) = (&services, &responses, &clock);
        aws::serve(move |event, invocation| async move {
            handle(services, responses, clock, &event, invocation.deadline_ms).await
        })
        .await
    })
}

#[cfg(test)]
mod tests;
