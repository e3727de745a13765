//! `tasker fetch`: what a run has kept in a deployed stack, as `tasker run` keeps it here.

use std::path::PathBuf;

use clap::Args;
use workflow::manifest::Ending;
use workflow::plan::runs_prefix;

use crate::Error;
use crate::execute::{pretty, print};
use crate::kept::{self, Kept};
use crate::project::Project;
use crate::remote::{Named, Remote, plan_at, prefix_of};
use crate::report::open;
use crate::run::{near, summary_to_text};

/// `tasker fetch --stack NAME [RUN] [--out FOLDER]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// A run: its name in the results bucket, its execution's name or ARN, or a workflow's name for its newest; the newest
    /// of all when not given.
    run: Option<String>,
    #[command(flatten)]
    named: Named,
    /// The folder that it is copied to; .tasker/runs/WORKFLOW/RUN when not given.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Open the report.
    #[arg(long)]
    open: bool,
    /// The summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Copies it and builds the report again, with links that work here.
///
/// # Errors
/// [`Error::Usage`] for a run that is not there; [`Error::Failed`] when the run did not succeed.
pub async fn run(project: Result<Project, Error>, arguments: &Arguments) -> Result<(), Error> {
    let remote = Remote::find(&arguments.named).await?;
    let bucket = remote.results()?;
    let prefix = find(&remote, arguments.run.as_deref()).await?;
    let plan = plan_at(bucket, &prefix).await?.ok_or_else(|| {
        Error::Usage(format!("s3://{}/{prefix} has no plan.json: the run did not come to a plan", bucket.name))
    })?;
    let beside = PathBuf::from(".tasker");
    let home = project.as_ref().map_or(beside, |project| project.path(".tasker"));
    let folder = arguments.out.clone().unwrap_or_else(|| home.join(&plan.prefix));
    kept::copy(&plan, &folder, async |key| Ok(bucket.get(&key).await?)).await?;
    let mut kept = Kept::read(&folder)?;
    // The stack's own report has links into the bucket, which end after some hours.
    if let Err(error) = project.and_then(|project| kept.build_report(&project)) {
        eprintln!("the report is as the stack made it, with its links into the bucket: {error}");
    }
    if arguments.json {
        print(&pretty(&serde_json::to_value(&kept.summary).unwrap_or_default()))?;
    } else {
        let show = |path: &std::path::Path| near(path).display().to_string();
        print(&summary_to_text(&kept.summary, &show(&folder), kept.report().as_deref().map(show).as_deref()))?;
    }
    if let Some(report) = kept.report().filter(|_| arguments.open) {
        open(&report)?;
    }
    if kept.summary.ending == Ending::Succeeded { Ok(()) } else { Err(Error::Failed) }
}

/// The place of the run that is meant.
async fn find(remote: &Remote, named: Option<&str>) -> Result<String, Error> {
    let bucket = remote.results()?;
    if let Some(named) = named {
        let place = named.strip_prefix(&format!("s3://{}/", bucket.name)).unwrap_or(named);
        if place.starts_with("runs/") {
            return Ok(format!("{}/", place.trim_end_matches('/')));
        }
        if named.starts_with("arn:") {
            return prefix_of(&remote.execution(Some(named)).await?);
        }
    }
    let mut found = Vec::new();
    for workflow in bucket.folders("runs/").await? {
        let whole = named.is_none_or(|named| workflow == runs_prefix(named));
        let runs = bucket.folders(&workflow).await?;
        found.extend(runs.into_iter().filter(|run| {
            let name = run[workflow.len()..].trim_end_matches('/');
            // The name begins with the time and ends with the execution's name.
            whole || named.is_some_and(|named| name == named || name.split_once('-').is_some_and(|(_, id)| id == named))
        }));
    }
    let time = |run: &String| run.split('/').nth(2).map(str::to_owned);
    found.into_iter().max_by_key(time).ok_or_else(|| {
        Error::Usage(match named {
            Some(named) => format!("s3://{}/runs/ has no run and no workflow {named:?}", bucket.name),
            None => format!("no run of the stack {} has kept anything yet", remote.stack.name),
        })
    })
}
