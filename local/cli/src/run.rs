//! `tasker run`: a configured workflow from the plan to the report, through the machines of the three levels.
//!
//! Starts the execution, shows what runs, and copies what the run kept. It decides nothing about the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use cloud::trace::{Entry, What};
use cloud::{Cloud, Seed};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use workflow::manifest::{Ending, Manifest};
use workflow::plan::{Plan, run_prefix};
use workflow::summary::Summary;

use crate::Error;
use crate::execute::{pretty, print};
use crate::project::Project;

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
    deploy(project, cloud).await?;
    let machine = project.machine(cloud, "workflow").await?;
    let mut input = json!({"workflow": arguments.workflow});
    for (name, value) in [("plan", &arguments.plan), ("target", &arguments.target)] {
        if let Some(value) = value {
            input[name] = json!(value);
        }
    }
    let seen = cloud.trace();
    let started =
        cloud.call("states", "StartExecution", json!({"stateMachineArn": machine, "input": input.to_string()})).await?;
    let execution = started["executionArn"].as_str().unwrap_or_default().to_owned();
    let stopped = follow(cloud, seen, &execution).await?;
    let described = cloud.wait(&execution).await?;
    let kept = Kept::find(cloud, arguments, &described).await?;
    let Some(kept) = kept else {
        // It did not come to a plan.
        let text = |name: &str| described[name].as_str().unwrap_or_default();
        let cause: Value = serde_json::from_str(text("cause")).unwrap_or_default();
        eprintln!("{}: {}", text("error"), cause["errorMessage"].as_str().unwrap_or(text("cause")));
        return Err(Error::Failed);
    };
    let folder = arguments.out.clone().unwrap_or_else(|| project.path(".tasker").join(&kept.plan.prefix));
    kept.copy_to(cloud, &folder).await?;
    if arguments.json {
        print(&pretty(&serde_json::to_value(&kept.summary).unwrap_or_default()))?;
    } else {
        print(&kept.to_text(&folder))?;
    }
    if arguments.open {
        open(&folder.join("report.html"))?;
    }
    if stopped {
        eprintln!("stopped: the statements that ran were cancelled");
    }
    if kept.summary.ending == Ending::Succeeded { Ok(()) } else { Err(Error::Failed) }
}

/// Shows a file with the system's own program for it.
fn open(file: &Path) -> Result<(), Error> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let opened = std::process::Command::new(program).arg(file).status();
    opened.map(drop).map_err(|error| Error::Machine(format!("opening {} with {program}", file.display()), error))
}

/// Copies configuration and SQL files to the assets bucket, as a deployment does.
async fn deploy(project: &Project, cloud: &Cloud) -> Result<(), Error> {
    let bucket = output(cloud, "AssetsBucket");
    for folder in ["config", "scripts"] {
        let mut folders = vec![project.path(folder)];
        while let Some(folder) = folders.pop() {
            let refused = |error| Error::Machine(format!("reading {}", folder.display()), error);
            if !folder.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(&folder).map_err(refused)? {
                let path = entry.map_err(refused)?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let key = path.strip_prefix(project.path("")).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                let bytes = std::fs::read(&path).map_err(refused)?;
                cloud.put_object(&bucket, &key, &bytes).await?;
            }
        }
    }
    Ok(())
}

fn output(cloud: &Cloud, name: &str) -> String {
    cloud.outputs().get(name).cloned().unwrap_or_default()
}

/// Shows what runs until the execution has ended; whether it was stopped from the keyboard.
async fn follow(cloud: &Cloud, mut seen: broadcast::Receiver<Entry>, execution: &str) -> Result<bool, Error> {
    let bars = MultiProgress::new();
    let line = bars.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        line.set_style(style);
    }
    line.enable_steady_tick(Duration::from_millis(100));
    let mut running: BTreeMap<String, ()> = BTreeMap::new();
    let (mut done, mut failed) = (0, 0);
    let mut stopped = false;
    loop {
        tokio::select! {
            entry = seen.recv() => match entry {
                Ok(Entry { what: What::Execution { arn, status }, .. }) => {
                    if arn == execution && status != "RUNNING" {
                        line.finish_and_clear();
                        return Ok(stopped);
                    }
                    let Some(query) = query_of(&arn) else { continue };
                    if status == "RUNNING" {
                        running.insert(query, ());
                    } else {
                        running.remove(&query);
                        done += 1;
                        failed += i32::from(status != "SUCCEEDED");
                    }
                    let now: Vec<&str> = running.keys().map(String::as_str).take(3).collect();
                    line.set_message(format!("{done} done, {failed} failed; running: {}", now.join(", ")));
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Ok(stopped),
            },
            pressed = tokio::signal::ctrl_c(), if !stopped => {
                pressed.map_err(|error| Error::Machine("waiting for signals".into(), error))?;
                stopped = true;
                line.set_message("stopping");
                cloud.call("states", "StopExecution", json!({"executionArn": execution, "cause": "Ctrl-C"})).await?;
            }
        }
    }
}

/// The query that an execution of `statement` runs: the planner names it `<run>-<round>-<query>`.
fn query_of(arn: &str) -> Option<String> {
    let (machine, name) = arn.split_once(":execution:")?.1.split_once(':')?;
    // A run's id is a UUID.
    machine.ends_with("-statement").then(|| name.get(39..).unwrap_or(name).to_owned())
}

/// What a run has kept.
struct Kept {
    plan: Plan,
    manifests: Vec<Manifest>,
    summary: Summary,
}

impl Kept {
    async fn find(cloud: &Cloud, arguments: &Arguments, described: &Value) -> Result<Option<Self>, Error> {
        let started = described["startDate"]
            .as_f64()
            .and_then(|seconds| chrono::DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64));
        let id = described["name"].as_str().unwrap_or_default();
        let Some(started) = started else { return Ok(None) };
        let prefix = run_prefix(&arguments.workflow, started, id);
        let bucket = output(cloud, "ResultsBucket");
        let Ok(plan) = cloud.get_object(&bucket, &format!("{prefix}plan.json")).await else { return Ok(None) };
        let plan = Plan::read(&plan).map_err(|error| Error::Function(error.to_string()))?;
        let mut manifests = Vec::new();
        for segment in &plan.segments {
            if let Ok(text) = cloud.get_object(&bucket, &plan.keys().manifest(&segment.name)).await
                && let Ok(manifest) = serde_json::from_slice(&text)
            {
                manifests.push(manifest);
            }
        }
        let summary = match cloud.get_object(&bucket, &plan.keys().summary()).await {
            Ok(text) => serde_json::from_slice(&text).ok(),
            Err(_) => None,
        };
        let summary = summary.unwrap_or_else(|| Summary::new(&plan, &manifests, chrono::Utc::now(), None));
        Ok(Some(Self { plan, manifests, summary }))
    }

    async fn copy_to(&self, cloud: &Cloud, folder: &Path) -> Result<(), Error> {
        let bucket = output(cloud, "ResultsBucket");
        let keys = self.plan.keys();
        let mut wanted = vec![keys.plan(), keys.summary(), keys.report()];
        for manifest in &self.manifests {
            wanted.push(keys.manifest(&manifest.segment));
            for entry in &manifest.queries {
                wanted.extend([&entry.result_key, &entry.csv_key, &entry.error_key].into_iter().flatten().cloned());
            }
        }
        for key in wanted {
            // What the run did not come to is not there.
            let Ok(bytes) = cloud.get_object(&bucket, &key).await else { continue };
            let file = folder.join(key.strip_prefix(&self.plan.prefix).unwrap_or(&key));
            let refused = |error| Error::Machine(format!("writing {}", file.display()), error);
            if let Some(parent) = file.parent() {
                std::fs::create_dir_all(parent).map_err(refused)?;
            }
            std::fs::write(&file, bytes).map_err(refused)?;
        }
        Ok(())
    }

    fn to_text(&self, folder: &Path) -> String {
        let counts = &self.summary.counts;
        let mut text = format!(
            "{} of {} queries finished, {} rows, {} round{}\n",
            counts.finished,
            counts.queries - counts.off,
            self.summary.rows,
            self.summary.rounds,
            if self.summary.rounds == 1 { "" } else { "s" },
        );
        for failure in &self.summary.failures {
            text += &format!("  {:<24} {}: {}\n", failure.query, failure.error.name, failure.error.message);
        }
        text += &format!("kept in {}\n", folder.display());
        let report = folder.join("report.html");
        if report.is_file() {
            text += &format!("report  {}\n", report.display());
        }
        text
    }
}
