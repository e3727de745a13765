//! A stack that is deployed: on AWS, or behind any endpoint that speaks its APIs.

use ::deploy::Aws;
use ::deploy::executions::{self, Execution};
use ::deploy::objects::Bucket;
use ::deploy::stack::{self, Stack};
use clap::Args;
use serde_json::Value;
use workflow::plan::{Plan, run_prefix};

use crate::Error;

/// Which endpoint; region and credentials are found as the AWS CLI finds them.
#[derive(Debug, Args)]
pub struct Endpoint {
    /// Instead of AWS: the URL of `tasker serve`, or of anything that speaks the APIs. AWS_ENDPOINT_URL does the same.
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
}

impl Endpoint {
    /// Makes no call yet.
    ///
    /// # Errors
    /// [`Error::Deploy`] where no region is set.
    pub async fn connect(&self) -> Result<Aws, Error> {
        Ok(Aws::connect(self.endpoint_url.as_deref()).await?)
    }
}

/// Which stack.
#[derive(Debug, Args)]
pub struct Named {
    /// The stack's name.
    #[arg(long = "stack", value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub endpoint: Endpoint,
}

/// A stack of ours and the way to it.
pub struct Remote {
    pub aws: Aws,
    pub stack: Stack,
}

impl Remote {
    /// The stack of this name.
    ///
    /// # Errors
    /// [`Error::Deploy`] where there is none.
    pub async fn find(named: &Named) -> Result<Self, Error> {
        let aws = named.endpoint.connect().await?;
        let stack = stack::existing(&aws, &named.name).await?;
        Ok(Self { aws, stack })
    }

    /// The state machine that runs workflows.
    pub fn workflows(&self) -> Result<&str, Error> {
        Ok(self.stack.output("WorkflowStateMachineArn")?)
    }

    /// The bucket with what runs keep.
    pub fn results(&self) -> Result<Bucket<'_>, Error> {
        Ok(Bucket::new(&self.aws, self.stack.output("ResultsBucket")?))
    }

    /// The execution that a person names by ARN or name; the newest one where none is named, a running one first.
    pub async fn execution(&self, named: Option<&str>) -> Result<Execution, Error> {
        let machine = self.workflows()?;
        let arn = match named {
            Some(arn) if arn.starts_with("arn:") => arn.to_owned(),
            Some(name) => format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1)),
            None => {
                let mut found = executions::list(&self.aws, machine, true, 1).await?;
                if found.is_empty() {
                    found = executions::list(&self.aws, machine, false, 1).await?;
                }
                let newest = found.pop();
                newest.ok_or_else(|| Error::Usage(format!("nothing has run yet in the stack {}", self.stack.name)))?.arn
            }
        };
        Ok(executions::describe(&self.aws, &arn).await?)
    }
}

/// The place of a run in the results bucket, as the planner chooses it.
pub fn prefix_of(execution: &Execution) -> Result<String, Error> {
    let input: Value = serde_json::from_str(&execution.input).unwrap_or_default();
    let workflow = input["workflow"]
        .as_str()
        .ok_or_else(|| Error::Usage(format!("{} is no run of a workflow: its input names none", execution.arn)))?;
    Ok(run_prefix(workflow, execution.started, &execution.name))
}

/// The plan at a place; nothing where the run has not come to it.
pub async fn plan_at(bucket: Bucket<'_>, prefix: &str) -> Result<Option<Plan>, Error> {
    let Some(text) = bucket.get(&format!("{prefix}plan.json")).await? else { return Ok(None) };
    Plan::read(&text).map(Some).map_err(|error| Error::Function(error.to_string()))
}
