//! The reconciler: once a minute it looks after rows that are open for longer than a grace time, and when an execution
//! dies it cancels that execution's statements. What ended is settled by the completion function's own code. One row's
//! failure never keeps another from its turn. No heartbeat is ever sent.

mod pace;
mod sweep;

use serde_json::Value;
use statement::Error;
use statement::ports::Ports;
use statement::settings::Settings;

use sweep::Pass;

/// Handles a schedule event or a "Step Functions Execution Status Change" and answers a summary of counts. `deadline_ms`
/// is when the function is ended, epoch milliseconds.
///
/// # Errors
/// If nothing could be read at all, or if cancelling for a dead execution failed in part: Lambda then tries again.
pub async fn handle(ports: &Ports, settings: &Settings, event: &Value, deadline_ms: i64) -> Result<Value, Error> {
    let pass = Pass::new(ports, settings, deadline_ms);
    let detail = event.get("detail");
    match detail.and_then(|d| d.get("executionArn")).and_then(Value::as_str) {
        Some(arn) => {
            let status = detail.and_then(|d| d.get("status")).and_then(Value::as_str).unwrap_or_default();
            pass.execution(arn, status).await
        }
        None => pass.everything().await,
    }
}

/// Serves the Lambda Runtime API with the process's environment; the whole of the function's program. Blocks, so it is not
/// to be called inside of a runtime.
///
/// # Errors
/// [`aws::RunError`] if the environment is incomplete or the Runtime API ends.
pub fn run() -> Result<(), aws::RunError> {
    aws::execute(serve)
}

async fn serve() -> Result<(), aws::RunError> {
    let lookup = |key: &str| std::env::var(key).ok();
    let (settings, services) = aws::Configuration::new(lookup).common()?;
    let clients = aws::clients::Clients::from_lookup(lookup)?;
    let ports = aws::ports(clients.into(), &settings, &services);
    let (ports, settings) = (&ports, &settings);
    aws::serve(move |event, invocation| async move { handle(ports, settings, &event, invocation.deadline_ms).await })
        .await
}
