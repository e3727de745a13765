//! `tasker serve`: the stack stays up until it is told to stop.

use clap::Args;
use cloud::Cloud;
use serde_json::json;

use crate::Error;
use crate::execute::print;
use crate::project::Project;

/// `tasker serve [--port N]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// The port on 127.0.0.1 that answers for every service; free to choose when not given.
    #[arg(long)]
    port: Option<u16>,
}

/// Starts the stack, says how to use it, waits for Ctrl-C or SIGTERM, and ends everything it started.
///
/// # Errors
/// What the start refuses.
pub async fn run(project: &Project, arguments: Arguments) -> Result<(), Error> {
    let cloud = project.start(arguments.port, &[]).await?;
    let said = match introduction(project, &cloud).await {
        Ok(text) => print(&text),
        Err(error) => Err(error),
    };
    if said.is_ok() {
        told_to_stop().await?;
        eprintln!("stopping");
    }
    cloud.shutdown().await;
    said
}

async fn introduction(project: &Project, cloud: &Cloud) -> Result<String, Error> {
    let endpoint = cloud.endpoint();
    let machine = project.machine(cloud, "statement").await?;
    let outputs: String = cloud.outputs().iter().map(|(name, value)| format!("  {name:<26}{value}\n")).collect();
    let input = json!({"sqlStatement": "select 6*7 as answer", "result": "inline"});
    Ok(format!(
        "The stack is up. Every service answers at {endpoint}

{outputs}
In another terminal:
  export AWS_ENDPOINT_URL={endpoint} AWS_REGION={region} AWS_DEFAULT_REGION={region}
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  aws stepfunctions start-execution --state-machine-arn {machine} --input '{input}'
  aws stepfunctions describe-execution --execution-arn EXECUTION_ARN
  aws stepfunctions get-execution-history --execution-arn EXECUTION_ARN
  aws redshift-data execute-statement --cluster-identifier {cluster} --database {database} --sql 'select 1'
  aws dynamodb scan --table-name {stack}-statements

Ctrl-C stops it.
",
        region = cloud::DEFAULT_REGION,
        stack = crate::project::STACK,
        cluster = crate::project::CLUSTER,
        database = crate::project::DATABASE,
    ))
}

/// Until Ctrl-C, or SIGTERM where there is one.
async fn told_to_stop() -> Result<(), Error> {
    let refused = |error| Error::Machine("waiting for signals".into(), error);
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(refused)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(refused),
        _ = terminated.recv() => Ok(()),
    }
}
