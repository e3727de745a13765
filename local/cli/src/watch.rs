//! `tasker watch`: a run in a deployed stack, as `tasker run` shows one here.
//!
//! It only looks: at the execution, at what runs of the machine for one query, and at the queries' small status objects.
//! How often is bounded, because Step Functions takes two of these calls a second over a whole account.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ::deploy::executions::{self, Execution};
use clap::Args;
use serde_json::Value;
use workflow::plan::{Keys, Plan};
use workflow::status::{State, Status};
use workflow::summary::Summary;

use crate::Error;
use crate::execute::print;
use crate::remote::{Named, Remote, plan_at, prefix_of};
use crate::run::progress::Progress;
use crate::run::summary_to_text;

/// `tasker watch --stack NAME [EXECUTION]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// The name or the ARN of an execution; what runs now, or ran last, when not given.
    execution: Option<String>,
    #[command(flatten)]
    named: Named,
}

/// Shows the run until it has ended, then how it went. Ctrl-C ends the watching, not the run.
///
/// # Errors
/// [`Error::Failed`] when the run did not succeed; what the services refuse.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let remote = Remote::find(&arguments.named).await?;
    let execution = remote.execution(arguments.execution.as_deref()).await?;
    follow(&remote, execution).await
}

/// The same for an execution that is known.
///
/// # Errors
/// As [`run`].
pub async fn follow(remote: &Remote, mut execution: Execution) -> Result<(), Error> {
    let prefix = prefix_of(&execution)?;
    let name = prefix.split('/').nth(1).unwrap_or_default();
    let mut watched =
        Watched { remote, prefix: prefix.clone(), progress: Progress::new(name), plan: None, known: Known::default() };
    let mut pace = Pace::new(remote.aws.is_local());
    let mut pressed = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        // First whether it has ended: then the look behind it has seen everything.
        execution = executions::describe(&remote.aws, &execution.arn).await?;
        let news = watched.look().await?;
        if !execution.is_running() {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(pace.next(news)) => {}
            _ = &mut pressed => {
                watched.progress.end();
                eprintln!("the run goes on; watch it with: tasker watch --stack {} {}", remote.stack.name, execution.name);
                return Ok(());
            }
        }
    }
    watched.progress.end();
    ended(remote, &execution, &prefix).await
}

/// Says how it went.
async fn ended(remote: &Remote, execution: &Execution, prefix: &str) -> Result<(), Error> {
    let bucket = remote.results()?;
    let place = format!("s3://{}/{prefix}", bucket.name);
    let summary = bucket.get(&Keys(prefix).summary()).await?;
    if let Some(summary) = summary.and_then(|text| serde_json::from_slice::<Summary>(&text).ok()) {
        let report = bucket.has(&Keys(prefix).report()).await?;
        let report = report.then(|| format!("{place}report.html"));
        print(&summary_to_text(&summary, &place, report.as_deref()))?;
        let run = prefix.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        eprintln!("bring it here with: tasker fetch --stack {} {run}", remote.stack.name);
    }
    if execution.status == "SUCCEEDED" {
        return Ok(());
    }
    let cause: Value = serde_json::from_str(&execution.cause).unwrap_or_default();
    let cause = cause["errorMessage"].as_str().unwrap_or(&execution.cause);
    eprintln!("{} {}: {cause}", execution.status, execution.error);
    Err(Error::Failed)
}

/// What is known of the queries.
#[derive(Default)]
struct Known {
    /// Executions that were seen to run.
    running: HashSet<String>,
    /// The status objects that were read: key and version.
    read: HashMap<String, String>,
    /// The round of each query's last status.
    rounds: HashMap<String, u8>,
}

struct Watched<'r> {
    remote: &'r Remote,
    prefix: String,
    progress: Progress,
    plan: Option<Plan>,
    known: Known,
}

impl Watched<'_> {
    /// Shows what has changed; whether anything has.
    async fn look(&mut self) -> Result<bool, Error> {
        let bucket = self.remote.results()?;
        let mut news = false;
        if self.plan.is_none() {
            self.plan = plan_at(bucket, &self.prefix).await?;
            let Some(plan) = &self.plan else { return Ok(false) };
            self.progress.planned(plan);
            news = true;
        }
        let Some(plan) = &self.plan else { return Ok(news) };
        // No more than a plan lets run at a time.
        let width: usize = plan.segments.iter().map(|segment| usize::from(segment.width)).sum();
        let machine = self.remote.stack.output("StatementStateMachineArn")?;
        for execution in executions::list(&self.remote.aws, machine, true, width.max(100)).await? {
            let Some((query, round)) = self.progress.query(&execution.name) else { continue };
            // It may run on for a moment after its status is written.
            let over = self.known.rounds.get(query).is_some_and(|recorded| *recorded >= round);
            if !over && self.known.running.insert(execution.name.clone()) {
                self.progress.execution(&execution.name, "RUNNING");
                news = true;
            }
        }
        for object in bucket.list(&format!("{}status/", self.prefix)).await? {
            if self.known.read.get(&object.key) == Some(&object.version) {
                continue;
            }
            let Some(text) = bucket.get(&object.key).await? else { continue };
            self.known.read.insert(object.key, object.version);
            let Ok(status) = serde_json::from_slice::<Status>(&text) else { continue };
            let end = match status.status {
                State::Finished => "SUCCEEDED",
                State::Failed => "FAILED",
                State::Aborted => "ABORTED",
                State::Initial | State::Running | State::Skipped => continue,
            };
            let place = plan.segments.iter().enumerate().find_map(|(at, segment)| {
                let query = segment.queries.iter().position(|query| query.name == status.query)?;
                Some((at, query))
            });
            let Some((segment, query)) = place else { continue };
            self.progress.execution(&plan.execution_name(segment, query, status.round), end);
            self.known.rounds.insert(status.query, status.round);
            news = true;
        }
        Ok(news)
    }
}

/// How long to wait between two looks: longer when nothing happens, never so short that others are throttled.
struct Pace {
    least: Duration,
    most: Duration,
    now: Duration,
}

impl Pace {
    fn new(local: bool) -> Self {
        let (least, most) = if local { (200, 500) } else { (2_000, 10_000) };
        let [least, most] = [least, most].map(Duration::from_millis);
        Self { least, most, now: least }
    }

    fn next(&mut self, news: bool) -> Duration {
        self.now = if news { self.least } else { (self.now * 5 / 4).min(self.most) };
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_waits_longer_when_nothing_happens() {
        let mut pace = Pace::new(false);
        assert_eq!(pace.next(true), Duration::from_secs(2));
        assert_eq!(pace.next(false), Duration::from_millis(2_500));
        let last = (0..20).map(|_| pace.next(false)).last();
        assert_eq!(last, Some(Duration::from_secs(10)));
        assert_eq!(pace.next(true), Duration::from_secs(2));
    }
}
