//! `tasker start`: a workflow's run in a deployed stack.

use ::deploy::executions;
use clap::Args;
use serde_json::json;

use crate::Error;
use crate::execute::print;
use crate::remote::{Named, Remote};
use crate::watch;

/// `tasker start WORKFLOW --stack NAME [--plan P] [--target T] [--watch]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// The workflow's name: a file in config/workflows/ of what was deployed.
    workflow: String,
    #[command(flatten)]
    named: Named,
    /// One of the workflow's plans; its own choice when not given.
    #[arg(long)]
    plan: Option<String>,
    /// Which variant of the queries runs: provisioned or serverless; the stack's own when not given.
    #[arg(long)]
    target: Option<String>,
    /// Show what runs until the run has ended.
    #[arg(long)]
    watch: bool,
}

/// Starts it. The execution's ARN goes to stdout.
///
/// # Errors
/// What the services refuse; with `--watch` [`Error::Failed`] when the run did not succeed.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let remote = Remote::find(&arguments.named).await?;
    let mut input = json!({"workflow": arguments.workflow});
    for (name, value) in [("plan", &arguments.plan), ("target", &arguments.target)] {
        if let Some(value) = value {
            input[name] = json!(value);
        }
    }
    let arn = executions::start(&remote.aws, remote.workflows()?, &input.to_string()).await?;
    print(&format!("{arn}\n"))?;
    if arguments.watch {
        let execution = executions::describe(&remote.aws, &arn).await?;
        return watch::follow(&remote, execution).await;
    }
    let name = arn.rsplit(':').next().unwrap_or_default();
    eprintln!("follow it with: tasker watch --stack {} {name}", remote.stack.name);
    Ok(())
}
