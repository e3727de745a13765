//! The planner function: plans a run, says which queries are next, and ends a loop. Every decision is the library's, a
//! function of the plan and of the statuses; this function only reads and writes them. It runs no SQL.

mod request;
mod runs;

use std::collections::HashSet;
use std::sync::Arc;

use aws::objects::Objects;
use aws::{Refusal, RunError};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use workflow::configuration::{self, Target};
use workflow::manifest::Manifest;
use workflow::plan::{Plan, Work};
use workflow::round::{Mark, Next, Progress};

use request::{Place, Request};
use runs::Runs;

/// The most queries that one execution of `loop` starts. Each leaves 19 events at most; an execution may have 25,000.
const STRETCH: u64 = 1_000;
/// The most queries that are handed over at a time: one state goes through all of them, instead of three for each.
const WAVE: usize = 40;
/// The most bytes of what is handed over at a time. Step Functions passes 256 KiB from state to state.
const WAVE_BYTES: usize = 200_000;

/// What the function works on.
pub struct Planner {
    assets: Objects,
    runs: Runs,
    target: Target,
}

impl Planner {
    /// On the bucket of configuration and SQL files, the bucket of results, and the stack's own target.
    #[must_use]
    pub fn new(assets: Objects, results: Objects, target: Target) -> Self {
        Self { assets, runs: Runs::new(results), target }
    }

    /// Handles `plan`, `nextWave` and `endLoop`.
    ///
    /// # Errors
    /// `InvalidRequest`, `InvalidConfiguration`, `RunNotFound`, and what the services refuse.
    pub async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<Value, Refusal> {
        match Request::read(event)? {
            Request::Plan(plan) => self.plan(&plan).await,
            Request::NextWave { place, ran } => self.next_wave(&place, ran, now).await,
            Request::EndLoop(place) => self.end_loop(&place, now).await,
        }
    }

    async fn plan(&self, asked: &request::Plan) -> Result<Value, Refusal> {
        let loaded = self.load(&asked.workflow).await?;
        let target = asked.target.unwrap_or(self.target);
        let plan = Plan::new(&loaded.workflow, asked.plan.as_deref(), target, &asked.run_id, asked.started_at)
            .map_err(|error| Refusal::new("InvalidRequest", error.to_string()))?;
        // Called again after a cut-off, the plan that is there holds.
        let plan = self.runs.keep_plan(plan).await?;
        let segments: Vec<Value> = (0..plan.segments.len()).map(|segment| json!({"segment": segment})).collect();
        tracing::info!(run = plan.prefix, queries = plan.queries().count(), segments = segments.len(), "planned");
        Ok(json!({"run": plan.prefix, "deadline": deadline(&plan), "segments": segments}))
    }

    /// The configuration, with every file that it names known to exist.
    async fn load(&self, name: &str) -> Result<configuration::Loaded, Refusal> {
        let mut keys = HashSet::<String>::from_iter(self.assets.keys("config/").await?);
        keys.extend(self.assets.keys("scripts/").await?);
        let exists = |key: &str| keys.contains(key);
        let file = configuration::workflow_key(name);
        let mut texts = vec![(file.clone(), self.read(&file).await?)];
        let report = texts[0].1.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        if let Some(report) = report.as_ref().and_then(|workflow| workflow["report"].as_str()) {
            for key in configuration::report_keys(report) {
                let text = self.read(&key).await?;
                texts.push((key, text));
            }
        }
        let read = |key: &str| texts.iter().find(|(known, _)| known == key).and_then(|(_, text)| text.clone());
        configuration::load(name, read, exists).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Refusal::new("InvalidConfiguration", lines.join("\n"))
        })
    }

    async fn read(&self, key: &str) -> Result<Option<String>, Refusal> {
        Ok(self.assets.get(key).await?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn next_wave(&self, place: &Place, ran: u64, now: DateTime<Utc>) -> Result<Value, Refusal> {
        let plan = self.runs.plan(&place.run).await?;
        let segment = place.segment(&plan)?;
        let mut progress = self.progress(place, &plan).await?;
        self.runs.settle(&plan, segment, place.round, &mut progress).await?;
        let mut queries = Vec::new();
        if ran < STRETCH
            && now.timestamp() < deadline(&plan)
            && let Next::Wave(wave) = progress.next(segment, place.round, plan.rounds, WAVE)
        {
            let mut bytes = 0;
            for at in wave {
                let work = plan.work(segment, &segment.queries[at], place.round);
                let name = plan.execution_name(place.segment, at, place.round);
                let query = json!({"name": name, "input": statement_input(&work)});
                bytes += query.to_string().len();
                if bytes > WAVE_BYTES && !queries.is_empty() {
                    break;
                }
                progress.marks[at] = Mark::Running;
                queries.push(query);
            }
        }
        let ran = ran + queries.len() as u64;
        Ok(json!({"queries": queries, "concurrency": segment.width, "progress": progress.to_text(), "ran": ran}))
    }

    /// Where the round stands: what the execution carries, or what the statuses say when it carries nothing.
    async fn progress(&self, place: &Place, plan: &Plan) -> Result<Progress, Refusal> {
        let segment = place.segment(plan)?;
        if let Some(progress) = Progress::parse(segment, &place.progress) {
            return Ok(progress);
        }
        if place.round == 1 && place.fresh {
            return Ok(Progress::new(segment));
        }
        let statuses = self.runs.statuses(plan, segment).await?;
        Ok(Progress::of(segment, place.round, |at, _| statuses[at].as_ref()))
    }

    async fn end_loop(&self, place: &Place, now: DateTime<Utc>) -> Result<Value, Refusal> {
        let plan = self.runs.plan(&place.run).await?;
        let segment = place.segment(&plan)?;
        let broken = Progress::parse(segment, &place.progress).is_none();
        let stopped = now.timestamp() >= deadline(&plan);
        let mut progress = self.progress(place, &plan).await?;
        self.runs.settle(&plan, segment, place.round, &mut progress).await?;
        let mut round = place.round;
        let mut again = false;
        match progress.next(segment, round, plan.rounds, WAVE) {
            // An execution handed over, or its time is up.
            Next::Wave(_) | Next::Unsettled(_) if !broken => again = !stopped,
            // It broke: what is left is the next round's, so that something that always breaks has an end.
            Next::Wave(_) | Next::Unsettled(_) => again = !stopped && round < plan.rounds,
            Next::Over(over) => {
                self.runs.skip(&plan, segment, &over, round).await?;
                if !over.again.is_empty() && !stopped {
                    progress.start(&over);
                    again = true;
                    round += 1;
                }
            }
        }
        if broken && again {
            round = place.round + 1;
        }
        if !again || broken || round > place.round {
            let statuses = self.runs.statuses(&plan, segment).await?;
            let manifest = Manifest::new(&plan, segment, |at, _| statuses[at].as_ref(), stopped, now);
            self.runs.write_manifest(&plan, segment, &manifest).await?;
        }
        tracing::info!(run = plan.prefix, segment = segment.name, round = place.round, again, "loop ended");
        // A broken loop's next round begins from what the statuses say.
        let progress = if broken { String::new() } else { progress.to_text() };
        Ok(json!({"again": again, "round": round, "progress": progress}))
    }
}

/// When the run's time is up, epoch seconds.
fn deadline(plan: &Plan) -> i64 {
    plan.started_at.timestamp() + i64::from(plan.time_limit_seconds)
}

/// The input of the state machine `statement` for one query.
fn statement_input(work: &Work) -> Value {
    let mut input = json!({
        "scriptKey": work.script_key,
        "idempotencyKey": work.idempotency_key,
        "timeLimitSeconds": work.time_limit_seconds,
        "keep": {
            "query": work.query, "round": work.round, "statusKey": work.status_key, "resultKey": work.result_key,
            "csvKey": work.csv_key, "errorKey": work.error_key,
        },
    });
    if !work.parameters.is_empty() {
        input["parameters"] = Value::Object(work.parameters.clone());
    }
    input
}

/// The variables that the function needs, beside `LOG_LEVEL`.
pub const ENVIRONMENT: [&str; 3] = ["ASSETS_BUCKET", "RESULTS_BUCKET", "TARGET"];

/// Serves invocations. Not to be called inside of a runtime.
///
/// # Errors
/// A configuration that is not complete, or that the Runtime API cannot be reached.
pub fn run() -> Result<(), RunError> {
    aws::execute(|| async {
        let lookup = |key: &str| std::env::var(key).ok();
        let [assets, results, target] = aws::Configuration::new(lookup).named(ENVIRONMENT)?;
        let target = Target::parse(&target).ok_or_else(|| {
            statement::Error::Configuration("TARGET is neither provisioned nor serverless".to_owned())
        })?;
        let clients = Arc::new(aws::clients::Clients::from_lookup(lookup)?);
        let planner = Planner::new(Objects::new(clients.clone(), assets), Objects::new(clients, results), target);
        let planner = &planner;
        aws::serve(move |event, _| async move { planner.handle(&event, Utc::now()).await }).await
    })
}
