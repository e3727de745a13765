//! The tasker function: writes the row, submits the statement, remembers who waits. It never answers a task (only the
//! completion function does) and never waits for a statement.

mod execute;
mod reference;
mod resource;

use serde_json::Value;
use statement::Error;
use statement::ports::Ports;
use statement::request::Request;
use statement::resource::ResourceRequest;
use statement::settings::TaskerSettings;

/// Handles one invocation; `invocation_id` is Lambda's request id, which Lambda's own retries keep.
///
/// # Errors
/// Every [`Error`]; its name is what a state's `Retry` or `Catch` sees.
pub async fn handle(
    ports: &Ports,
    settings: &TaskerSettings,
    event: &Value,
    invocation_id: &str,
) -> Result<Value, Error> {
    if ResourceRequest::is(event) {
        return resource::handle(ports, settings, event).await;
    }
    match Request::parse(event, &settings.allowed)? {
        Request::Execute(request) => {
            let caller = execute::Caller::of(&request, invocation_id);
            execute::execute(ports, settings, &request, &caller).await
        }
        Request::Describe(statement) => reference::describe(ports, &statement).await,
        Request::Result(page) => reference::result(ports, &page).await,
        Request::Cancel(statement) => reference::cancel(ports, &statement).await,
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
    let (settings, services) = aws::Configuration::new(lookup).tasker()?;
    let clients = aws::clients::Clients::from_lookup(lookup)?;
    let ports = aws::ports(clients.into(), &settings.common, &services);
    let (ports, settings) = (&ports, &settings);
    aws::serve(move |event, invocation| async move { handle(ports, settings, &event, &invocation.request_id).await })
        .await
}
