//! `tasker run`: a configured workflow from the plan to the report, through the machines of the three levels.
//!
//! Starts the execution, shows what runs, and copies what the run kept. It decides nothing about the run.

pub mod progress;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use cloud::trace::{Entry, What};
use cloud::{Cloud, Seed};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use workflow::configuration::PREFLIGHT;
use workflow::manifest::Ending;
use workflow::notification;
use workflow::plan::{Plan, run_prefix};
use workflow::summary::Summary;

use crate::Error;
use crate::execute::{pretty, print};
use crate::kept::{self, Kept};
use crate::project::Project;
use crate::report::open;
use progress::Progress;

/// How long a run that was stopped may take to report what there is.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// `tasker run WORKFLOW [--plan P] [--target T] [--out DIR] [--json]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// The name of a file in config/workflows/, without its ending.
    workflow: String,
    /// One of the workflow's plans; its own choice when not given.
    #[arg(long)]
    plan: Option<String>,
    /// Which variant of the queries runs: provisioned or serverless; the stack's own when not given.
    #[arg(long)]
    target: Option<String>,
    /// What the system views hold: healthy, troubled, or a number for a mix; what the local server knows when not given.
    #[arg(long)]
    seed: Option<Seed>,
    /// Open the report when it is there.
    #[arg(long)]
    open: bool,
    /// The folder that what the run keeps is copied to; .tasker/runs/WORKFLOW/RUN when not given.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it. The summary goes to stdout, progress to stderr.
///
/// # Errors
/// [`Error::Failed`] when a query never succeeded, or the run broke or was stopped.
pub async fn run(project: &Project, arguments: Arguments) -> Result<(), Error> {
    let parameters: &[(&str, &str)] = match arguments.target.as_deref() {
        Some("serverless") => &[("ClusterIdentifier", ""), ("WorkgroupName", "local-workgroup")],
        _ => &[],
    };
    let cloud = project.start_seeded(None, parameters, arguments.seed).await?;
    let ran = on(project, &cloud, &arguments).await;
    cloud.shutdown().await;
    ran
}

async fn on(project: &Project, cloud: &Cloud, arguments: &Arguments) -> Result<(), Error> {
    let machine = project.machine(cloud, "workflow").await?;
    let mut input = json!({"workflow": arguments.workflow});
    for (name, value) in [("plan", &arguments.plan), ("target", &arguments.target)] {
        if let Some(value) = value {
            input[name] = json!(value);
        }
    }
    let mut seen = cloud.trace();
    let execution = cloud.start_execution(&machine, &input).await?;
    let run = Run::of(cloud, &arguments.workflow, &execution).await?;
    let stopped = run.follow(&mut seen).await?;
    let described = cloud.wait(&execution).await?;
    if described["status"] != "SUCCEEDED" && described["error"] != "PersistentFailures" {
        run.last_words(&mut seen).await;
    }
    let Some(plan) = run.plan().await? else {
        // It did not come to a plan.
        let text = |name: &str| described[name].as_str().unwrap_or_default();
        let cause: Value = serde_json::from_str(text("cause")).unwrap_or_default();
        eprintln!("{}: {}", text("error"), cause["errorMessage"].as_str().unwrap_or(text("cause")));
        return Err(Error::Failed);
    };
    let folder = arguments.out.clone().unwrap_or_else(|| project.path(".tasker").join(&plan.prefix));
    // What the run did not come to is not there.
    kept::copy(&plan, &folder, async |key| Ok(cloud.get_object(&run.bucket, &key).await.ok().map(Into::into))).await?;
    let mut kept = Kept::read(&folder)?;
    kept.summary.count(cloud.usage().transitions as u64);
    kept.build_report(project)?;
    if arguments.json {
        print(&pretty(&serde_json::to_value(&kept.summary).unwrap_or_default()))?;
    } else {
        let show = |path: &Path| near(path).display().to_string();
        print(&summary_to_text(&kept.summary, &show(&folder), kept.report().as_deref().map(show).as_deref()))?;
    }
    if stopped {
        eprintln!("stopped: the statements that ran were cancelled");
    }
    if let Some(report) = kept.report().filter(|_| arguments.open) {
        open(&report)?;
    }
    if kept.summary.ending == Ending::Succeeded { Ok(()) } else { Err(Error::Failed) }
}

fn output(cloud: &Cloud, name: &str) -> String {
    cloud.outputs().get(name).cloned().unwrap_or_default()
}

/// A run on the local stack.
struct Run<'c> {
    cloud: &'c Cloud,
    execution: &'c str,
    bucket: String,
    prefix: String,
    about: String,
}

impl<'c> Run<'c> {
    async fn of(cloud: &'c Cloud, workflow: &str, execution: &'c str) -> Result<Self, Error> {
        let described = cloud.call("states", "DescribeExecution", json!({"executionArn": execution})).await?;
        let started = described["startDate"].as_f64().unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
        let started: DateTime<Utc> =
            DateTime::from_timestamp_millis((started * 1000.0).round() as i64).unwrap_or_default();
        let prefix = run_prefix(workflow, started, described["name"].as_str().unwrap_or_default());
        Ok(Self { cloud, execution, bucket: output(cloud, "ResultsBucket"), prefix, about: workflow.to_owned() })
    }

    async fn plan(&self) -> Result<Option<Plan>, Error> {
        let Ok(plan) = self.cloud.get_object(&self.bucket, &format!("{}plan.json", self.prefix)).await else {
            return Ok(None);
        };
        Plan::read(&plan).map(Some).map_err(|error| Error::Function(error.to_string()))
    }

    /// Shows what runs until the execution has ended; whether it was stopped from the keyboard.
    async fn follow(&self, seen: &mut broadcast::Receiver<Entry>) -> Result<bool, Error> {
        let mut progress = Progress::new(&self.about);
        let mut planned = false;
        let mut stopped = false;
        // Made once: what is pressed between two looks is not lost.
        let mut pressed =
            signal(SignalKind::interrupt()).map_err(|error| Error::Machine("waiting for signals".into(), error))?;
        let mut ended = std::pin::pin!(self.cloud.wait(self.execution));
        loop {
            tokio::select! {
                biased;
                entry = seen.recv() => {
                    // Who lags behind misses a step of the display, nothing else.
                    let Ok(Entry { what: What::Execution { arn, status }, .. }) = entry else { continue };
                    let Some(name) = query_of(&arn) else { continue };
                    if !planned && let Some(plan) = self.plan().await? {
                        progress.planned(&plan);
                        planned = true;
                    }
                    progress.execution(name, &status);
                }
                described = &mut ended => {
                    progress.end();
                    return described.map(|_| stopped).map_err(Error::from);
                }
                _ = pressed.recv(), if !stopped => {
                    stopped = true;
                    progress.say("stopping");
                    let body = json!({"executionArn": self.execution, "error": "Stopped", "cause": "from the keyboard"});
                    self.cloud.call("states", "StopExecution", body).await?;
                }
            }
        }
    }

    /// Waits for the report of a run that could not report itself, and for its statements to be cancelled.
    async fn last_words(&self, seen: &mut broadcast::Receiver<Entry>) {
        let said = async {
            loop {
                match seen.recv().await {
                    Ok(Entry { what: What::Execution { arn, status }, .. })
                        if status != "RUNNING" && arn.contains("-report:") =>
                    {
                        return;
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                    _ => {}
                }
            }
        };
        // Late is late: then there is no summary, and what is there is counted here.
        let _ = tokio::time::timeout(LAST_WORDS, said).await;
    }
}

/// The name of an execution of `statement`.
fn query_of(arn: &str) -> Option<&str> {
    let (machine, name) = arn.split_once(":execution:")?.1.split_once(':')?;
    machine.ends_with("-statement").then_some(name)
}

/// The path from the current folder, where it leads down from there.
pub fn near(path: &Path) -> &Path {
    let below = std::env::current_dir().ok().and_then(|current| path.strip_prefix(current).ok());
    below.unwrap_or(path)
}

/// The summary for people: where the run is kept, and where its report is.
pub fn summary_to_text(summary: &Summary, place: &str, report: Option<&str>) -> String {
    let plural = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let counts = &summary.counts;
    let took = (summary.ended_at - summary.started_at).num_milliseconds().max(0);
    let mut text = format!(
        "{}: {} of {} finished in {}.{} s, {}, {}\n",
        summary.workflow,
        counts.finished,
        plural(counts.queries - counts.off, "query", "queries"),
        took / 1000,
        took % 1000 / 100,
        plural(summary.rounds.into(), "round", "rounds"),
        plural(summary.rows, "row", "rows"),
    );
    if report.is_some() {
        text += &format!("{}\n", notification::findings(summary));
    }
    for blind in summary.findings.iter().filter(|finding| finding.section == PREFLIGHT) {
        text += &format!("not seen  {}\n", blind.signal);
    }
    if !summary.not_evaluated.is_empty() {
        text += &format!("rules that could not be evaluated: {}\n", summary.not_evaluated.join(", "));
    }
    if !summary.failures.is_empty() {
        text += "never succeeded:\n";
    }
    let width = summary.failures.iter().map(|failure| failure.query.len()).max().unwrap_or_default();
    for failure in &summary.failures {
        text += &format!("  {:<width$}  {}: {}\n", failure.query, failure.error.name, failure.error.message);
    }
    text += &format!("kept in   {place}\n");
    if let Some(report) = report {
        text += &format!("report    {report}\n");
    }
    text
}
