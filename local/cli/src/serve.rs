//! `tasker serve`: the stack stays up until it is told to stop.

use std::path::{Path, PathBuf};

use clap::Args;
use cloud::Cloud;
use serde_json::json;

use crate::Error;
use crate::execute::print;
use crate::project::Project;

/// `tasker serve [--port N] [--env FILE]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// The port on 127.0.0.1 that answers for every service; free to choose when not given.
    #[arg(long)]
    port: Option<u16>,
    /// Where to write what a shell has to source; .tasker/aws.env of the project when not given.
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    /// Start the services without a stack: one comes by `tasker deploy --endpoint-url` or `aws cloudformation deploy`.
    #[arg(long)]
    empty: bool,
}

/// Starts the stack, says how to use it, waits for Ctrl-C or SIGTERM, and ends everything it started.
///
/// # Errors
/// What the start refuses.
pub async fn run(project: &Project, arguments: Arguments) -> Result<(), Error> {
    let cloud = match arguments.empty {
        true => project.start_empty(arguments.port).await?,
        false => project.start(arguments.port, &[]).await?,
    };
    let file = arguments.env.unwrap_or_else(|| project.path(".tasker/aws.env"));
    let said = write(&file, &cloud.env_file()).and_then(|()| print(&introduction(&cloud, &file, arguments.empty)));
    if said.is_ok() {
        told_to_stop().await?;
        eprintln!("stopping");
    }
    // Another stack may have written it anew meanwhile.
    if std::fs::read_to_string(&file).is_ok_and(|text| text == cloud.env_file()) {
        let _ = std::fs::remove_file(&file);
    }
    cloud.shutdown().await;
    said
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    let refused = |error| Error::Machine(format!("writing {}", file.display()), error);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    std::fs::write(file, text).map_err(refused)
}

fn introduction(cloud: &Cloud, file: &Path, empty: bool) -> String {
    if empty {
        return format!(
            "The services are up, without a stack. Every service answers at {endpoint}
Open that address in a browser to see executions, statements, messages and logs as they happen.

In another terminal:
  . {file}
  aws s3 mb s3://artefacts
  aws cloudformation package --template-file TEMPLATE --s3-bucket artefacts --output-template-file packaged.yaml
  aws cloudformation deploy --stack-name NAME --template-file packaged.yaml --capabilities CAPABILITY_NAMED_IAM
  aws cloudformation describe-stack-events --stack-name NAME

Ctrl-C stops it.
",
            endpoint = cloud.endpoint(),
            file = file.display(),
        );
    }
    let width = cloud.outputs().keys().map(String::len).max().unwrap_or_default();
    let outputs: String = cloud.outputs().iter().map(|(name, value)| format!("  {name:<width$}  {value}\n")).collect();
    let input = json!({"sqlStatement": "select 6*7 as answer", "result": "inline"});
    format!(
        "The stack is up. Every service answers at {endpoint}
Open that address in a browser to see executions, statements, messages and logs as they happen.

{outputs}
In another terminal:
  . {file}
  aws stepfunctions start-execution --state-machine-arn $STATEMENT_STATE_MACHINE_ARN --input '{input}'
  aws stepfunctions describe-execution --execution-arn EXECUTION_ARN
  aws stepfunctions get-execution-history --execution-arn EXECUTION_ARN
  aws redshift-data execute-statement --cluster-identifier {cluster} --database {database} --sql 'select 1'
  aws dynamodb scan --table-name {table}

Ctrl-C stops it.
",
        endpoint = cloud.endpoint(),
        file = file.display(),
        table = cloud.outputs().get("TableName").map_or("TABLE", String::as_str),
        cluster = crate::project::CLUSTER,
        database = crate::project::DATABASE,
    )
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
