//! The reporter function: from what a run has kept to the report, the summary and the message. It reads and writes
//! documents only; it runs no SQL on Redshift and sends nothing.

pub mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws::objects::Objects;
use aws::{Refusal, RunError};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use statement::ports::Outcome;
use workflow::address::{Address, Link};
use workflow::configuration::{self, Target};
use workflow::manifest::{Ending, Manifest};
use workflow::notification::{self, Message};
use workflow::plan::{Keys, Plan, run_prefix, runs_prefix};
use workflow::status::Status;
use workflow::summary::Summary;

use report::{Files, Inputs, Making};

/// How long a link in a report or message works at most. It ends earlier with the function's own credentials.
const LINK: Duration = Duration::from_secs(12 * 60 * 60);
/// The largest result that a report reads, in bytes: it is held whole beside the tables made of those before it.
const LARGEST: u64 = 256 << 20;
/// Statuses read at a time.
const STATUSES: usize = 32;
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// The buckets that the function works on.
pub struct Reporter {
    assets: Objects,
    results: Objects,
}

impl Reporter {
    /// On the bucket of configuration and the bucket of results.
    #[must_use]
    pub fn new(assets: Objects, results: Objects) -> Self {
        Self { assets, results }
    }

    /// Reports the run that `run` names, or the one of an execution that ended without reporting (`execution`,
    /// `startDate` in epoch milliseconds, `status`, `error`).
    ///
    /// # Errors
    /// `InvalidRequest`, `RunNotFound`, `InvalidConfiguration`, and what the services refuse.
    pub async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<Value, Refusal> {
        if let Some(run) = event["run"].as_str() {
            let plan = self
                .plan(run)
                .await?
                .ok_or_else(|| Refusal::new("RunNotFound", format!("there is no plan at {run}")))?;
            return self.report(&plan, false, now).await;
        }
        if event["error"] == "PersistentFailures" {
            // It has reported itself.
            return Ok(json!({"notify": false, "summary": {}}));
        }
        self.broken(event, now).await
    }

    async fn plan(&self, run: &str) -> Result<Option<Plan>, Refusal> {
        let Some(text) = self.results.get(&Keys(run).plan()).await? else { return Ok(None) };
        Plan::read(&text).map(Some).map_err(|error| Refusal::new("RunNotFound", error.to_string()))
    }

    /// A workflow that was stopped, or broke before its report.
    async fn broken(&self, event: &Value, now: DateTime<Utc>) -> Result<Value, Refusal> {
        let execution = event["execution"]
            .as_str()
            .ok_or_else(|| Refusal::request("run", "is missing", "a run's prefix, or an execution"))?;
        let started = event["startDate"].as_i64().and_then(DateTime::from_timestamp_millis).unwrap_or(now);
        let id = execution.rsplit(':').next().unwrap_or(execution);
        // Which workflow it was stands in its input only; the run's prefix tells it.
        for folder in self.results.folders("runs/").await? {
            let workflow = folder.trim_start_matches("runs/").trim_end_matches('/');
            if let Some(plan) = self.plan(&run_prefix(workflow, started, id)).await? {
                return self.report(&plan, true, now).await;
            }
        }
        let status = event["status"].as_str().unwrap_or_default();
        let error = event["error"].as_str().filter(|error| !error.is_empty()).unwrap_or(status);
        let message = notification::broken(
            "workflow",
            id,
            error,
            &format!("It ended {status} before there was a plan. The execution says why: {execution}"),
        );
        Ok(answer(Some(message), json!({"status": status, "persistentFailures": 0})))
    }

    async fn report(&self, plan: &Plan, stopped: bool, now: DateTime<Utc>) -> Result<Value, Refusal> {
        let manifests = self.manifests(plan, stopped, now).await?;
        let mut summary = Summary::new(plan, &manifests, now);
        if stopped {
            summary.ending = Ending::Stopped;
        }
        let keys = plan.keys();
        let mut place = None;
        if let Some(name) = &plan.report {
            let files = self.files(name).await?;
            let previous = self.previous(plan).await?;
            let making = self.sections(&files, plan.target, &manifests).await?;
            let inputs = Inputs {
                plan,
                description: &self.description(&plan.workflow).await?,
                previous: previous.as_ref(),
                csv: &self.addresses(&manifests, now).await?,
                place: Some(Address { place: self.place(&plan.prefix), link: None }),
                now,
            };
            let html = making.finish(&inputs, &mut summary)?;
            self.results.put(&keys.report(), html.into_bytes(), HTML).await?;
            place = Some(self.address(&keys.report(), now).await?);
        }
        self.results.put(&keys.summary(), summary.to_json().into_bytes(), JSON).await?;
        let message = notification::message(&summary, plan.notify, place.as_ref());
        tracing::info!(
            run = plan.prefix,
            failures = summary.failures.len(),
            findings = summary.findings.len(),
            "reported"
        );
        let short = json!({
            "run": plan.prefix,
            "ending": summary.ending,
            "queries": summary.counts.queries,
            "finished": summary.counts.finished,
            "persistentFailures": summary.failures.len(),
            "failed": summary.failures.iter().take(20)
                .map(|failure| json!({"query": failure.query, "error": failure.error.name})).collect::<Vec<_>>(),
            "findings": summary.findings.len(),
            "report": place.map(|place| place.place),
        });
        Ok(answer(message, short))
    }

    /// The manifests; one that is missing is made from the statuses, because its segment did not come to its end.
    async fn manifests(&self, plan: &Plan, stopped: bool, now: DateTime<Utc>) -> Result<Vec<Manifest>, Refusal> {
        let mut manifests = Vec::new();
        for segment in &plan.segments {
            let key = plan.keys().manifest(&segment.name);
            let kept = self.results.get(&key).await?;
            if let Some(manifest) = kept.filter(|_| !stopped).and_then(|text| serde_json::from_slice(&text).ok()) {
                manifests.push(manifest);
                continue;
            }
            let statuses: Vec<Option<Status>> = futures::stream::iter(&segment.queries)
                .map(|query| async {
                    let text = self.results.get(&plan.keys().status(&query.name)).await?;
                    Outcome::Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
                })
                .buffered(STATUSES)
                .try_collect()
                .await?;
            let manifest = Manifest::new(plan, segment, |at, _| statuses[at].as_ref(), true, now);
            self.results.put(&key, manifest.to_json().into_bytes(), JSON).await?;
            manifests.push(manifest);
        }
        Ok(manifests)
    }

    async fn files(&self, name: &str) -> Result<Files, Refusal> {
        let mut texts = Vec::with_capacity(4);
        for key in configuration::report_keys(name) {
            let text = self.assets.get(&key).await?;
            let text = text.ok_or_else(|| Refusal::new("InvalidConfiguration", format!("{key} is missing")))?;
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
        Files::new(name, texts)
    }

    async fn description(&self, workflow: &str) -> Result<String, Refusal> {
        let text = self.assets.get(&configuration::workflow_key(workflow)).await?;
        let workflow: Value = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Ok(workflow["description"].as_str().unwrap_or_default().to_owned())
    }

    /// The summary of the newest earlier run on the same target.
    async fn previous(&self, plan: &Plan) -> Result<Option<Summary>, Refusal> {
        let mut runs = self.results.folders(&runs_prefix(&plan.workflow)).await?;
        runs.retain(|run| *run < plan.prefix);
        for run in runs.iter().rev() {
            let Some(text) = self.results.get(&Keys(run).summary()).await? else { continue };
            if let Ok(summary) = serde_json::from_slice::<Summary>(&text)
                && summary.target == plan.target
            {
                return Ok(Some(summary));
            }
        }
        Ok(None)
    }

    /// The sections of the report, each from its result.
    async fn sections<'f>(
        &self,
        files: &'f Files,
        target: Target,
        manifests: &[Manifest],
    ) -> Result<Making<'f>, Refusal> {
        let mut making = Making::new(files, target)?;
        for entry in manifests.iter().flat_map(|manifest| &manifest.queries) {
            let query = &entry.status.query;
            let Some(key) = entry.result_key.as_ref().filter(|_| making.has(query)) else { continue };
            match self.results.get_within(key, LARGEST).await? {
                Some(Ok(bytes)) => making.load(query, bytes.as_slice(), entry.status.rows),
                Some(Err(size)) => {
                    making
                        .leave_out(query, format!("its result has {size} bytes, more than a report reads ({LARGEST})"));
                }
                None => {}
            }
        }
        Ok(making)
    }

    async fn addresses(&self, manifests: &[Manifest], now: DateTime<Utc>) -> Result<HashMap<String, Address>, Refusal> {
        let mut addresses = HashMap::new();
        for entry in manifests.iter().flat_map(|manifest| &manifest.queries) {
            if let Some(key) = &entry.csv_key {
                addresses.insert(entry.status.query.clone(), self.address(key, now).await?);
            }
        }
        Ok(addresses)
    }

    async fn address(&self, key: &str, now: DateTime<Utc>) -> Result<Address, Refusal> {
        let link = Link { href: self.results.presigned(key, LINK).await?, until: Some(now + LINK) };
        Ok(Address { place: self.place(key), link: Some(link) })
    }

    fn place(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.results.bucket())
    }
}

fn answer(message: Option<Message>, summary: Value) -> Value {
    match message {
        Some(message) => {
            json!({"notify": true, "subject": message.subject, "message": message.body, "summary": summary})
        }
        None => json!({"notify": false, "summary": summary}),
    }
}

/// The variables that the function needs, beside `LOG_LEVEL`.
pub const ENVIRONMENT: [&str; 2] = ["ASSETS_BUCKET", "RESULTS_BUCKET"];

/// Serves invocations. Not to be called inside of a runtime.
///
/// # Errors
/// A configuration that is not complete, or that the Runtime API cannot be reached.
pub fn run() -> Result<(), RunError> {
    aws::execute(|| async {
        let lookup = |key: &str| std::env::var(key).ok();
        let [assets, results] = aws::Configuration::new(lookup).named(ENVIRONMENT)?;
        let clients = Arc::new(aws::clients::Clients::from_lookup(lookup)?);
        let reporter = Reporter::new(Objects::new(clients.clone(), assets), Objects::new(clients, results));
        let reporter = &reporter;
        aws::serve(move |event, _| async move { reporter.handle(&event, Utc::now()).await }).await
    })
}
