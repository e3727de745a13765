//! The plan of one run: what runs, in which order, under which keys. Made once from the configuration and never changed;
//! it lies in S3 and travels as a reference. Everything later is a function of it and of the queries' statuses.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::configuration::{Notify, Order, Start, Target, Workflow};
use crate::status::{CONFIGURED_OFF, Failure, State, Status};

/// A plan that cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The workflow has no such plan.
    #[error("the workflow {workflow} has no plan {plan:?}; it has: {known}")]
    UnknownPlan {
        /// The workflow.
        workflow: String,
        /// The name asked for.
        plan: String,
        /// The names it has.
        known: String,
    },
    /// The run's id cannot be part of a key.
    #[error("{0:?} is no run id: letters, digits and -, 1 to 64 characters")]
    RunId(String),
    /// No query is for the target.
    #[error("no query of the workflow {workflow} is for {}", target.name())]
    Empty {
        /// The workflow.
        workflow: String,
        /// The target asked for.
        target: Target,
    },
    /// `plan.json` is not what this crate wrote.
    #[error("the plan cannot be read: {0}")]
    Unreadable(String),
}

/// The format of `plan.json` that this crate writes and reads.
const FORMAT: u8 = 1;

/// The object `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The format; a reader refuses another.
    pub format: u8,
    /// The workflow's name.
    pub workflow: String,
    /// The plan's name.
    pub plan: String,
    /// Where it runs.
    pub target: Target,
    /// The run's id.
    pub run_id: String,
    /// When the run started.
    pub started_at: DateTime<Utc>,
    /// The run's place in the results bucket, see [`Keys`].
    pub prefix: String,
    /// After so many seconds the run is stopped.
    pub time_limit_seconds: u32,
    /// How often what failed is tried, the first run included.
    pub rounds: u8,
    /// The report's folder below `config/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Which ends are told.
    pub notify: Notify,
    /// What runs at the same time.
    pub segments: Vec<Segment>,
    /// The queries that are not for the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// A part of a plan. A list is a graph that is one query wide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// The most of its queries that run at a time, 1 to 40.
    pub width: u16,
    /// Its queries, each after everything it depends on.
    pub queries: Vec<Query>,
}

/// A query of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// Its name.
    pub name: String,
    /// The key of its SQL in the assets.
    pub script: String,
    /// Its result's file name, without ending.
    pub result: String,
    /// Its error's file name, without ending.
    pub error: String,
    /// After so many seconds it is cancelled.
    pub time_limit_seconds: u32,
    /// Its SQL parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// What must have finished before: places in the segment's `queries`, each lower than its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<usize>,
    /// Why it does not run in this run, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// Everything that the execution of one query needs, so that it never has to read the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// The query.
    pub query: String,
    /// The segment.
    pub segment: String,
    /// The round it runs in.
    pub round: u8,
    /// The key of its SQL in the assets.
    pub script_key: String,
    /// Its SQL parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// After so many seconds it is cancelled.
    pub time_limit_seconds: u32,
    /// The same for the same query, round and run: starting it twice runs the SQL once.
    pub idempotency_key: String,
    /// The key of its status.
    pub status_key: String,
    /// The key of its result, typed JSON.
    pub result_key: String,
    /// The key of its result as CSV.
    pub csv_key: String,
    /// The key of its error.
    pub error_key: String,
}

/// The keys of one run in the results bucket, all below its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys<'p>(pub &'p str);

impl Keys<'_> {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> String {
        format!("{}plan.json", self.0)
    }

    /// A query's status.
    #[must_use]
    pub fn status(&self, query: &str) -> String {
        format!("{}status/{query}.json", self.0)
    }

    /// A result in the Data API's typed JSON.
    #[must_use]
    pub fn result(&self, result: &str) -> String {
        format!("{}results/{result}.json", self.0)
    }

    /// A result as CSV.
    #[must_use]
    pub fn csv(&self, result: &str) -> String {
        format!("{}results/{result}.csv", self.0)
    }

    /// An error.
    #[must_use]
    pub fn error(&self, error: &str) -> String {
        format!("{}errors/{error}.json", self.0)
    }

    /// A segment's manifest.
    #[must_use]
    pub fn manifest(&self, segment: &str) -> String {
        format!("{}manifests/{segment}.json", self.0)
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> String {
        format!("{}report.html", self.0)
    }

    /// The summary.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}summary.json", self.0)
    }
}

/// The place of a workflow's runs in the results bucket. Keys sort by the time of the run's start.
#[must_use]
pub fn runs_prefix(workflow: &str) -> String {
    format!("runs/{workflow}/")
}

/// The place of one run: `runs/<workflow>/<yyyymmddThhmmssZ>-<run id>/`.
#[must_use]
pub fn run_prefix(workflow: &str, started_at: DateTime<Utc>, run_id: &str) -> String {
    format!("{}{}-{run_id}/", runs_prefix(workflow), started_at.format("%Y%m%dT%H%M%SZ"))
}

impl Plan {
    /// Makes the plan of a run. `plan` is the workflow's default where none is given.
    ///
    /// # Errors
    /// [`Error::UnknownPlan`], [`Error::RunId`], [`Error::Empty`].
    pub fn new(
        workflow: &Workflow,
        plan: Option<&str>,
        target: Target,
        run_id: &str,
        started_at: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if run_id.is_empty() || run_id.len() > 64 || !run_id.chars().all(fine) {
            return Err(Error::RunId(run_id.to_owned()));
        }
        let name = plan.unwrap_or(&workflow.plan);
        let outline = workflow.plans.iter().find(|known| known.name == name).ok_or_else(|| Error::UnknownPlan {
            workflow: workflow.name.clone(),
            plan: name.to_owned(),
            known: workflow.plans.iter().map(|known| known.name.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let off = configured_off(workflow);
        let mut segments = Vec::with_capacity(outline.segments.len());
        for segment in &outline.segments {
            let width = match segment.order {
                Order::List => 1,
                Order::Graph { width } => width,
            };
            let queries = planned(workflow, &segment.queries, target, &off);
            if !queries.is_empty() {
                segments.push(Segment { name: segment.name.clone(), width, queries });
            }
        }
        if segments.is_empty() {
            return Err(Error::Empty { workflow: workflow.name.clone(), target });
        }
        Ok(Self {
            format: FORMAT,
            workflow: workflow.name.clone(),
            plan: name.to_owned(),
            target,
            run_id: run_id.to_owned(),
            started_at,
            prefix: run_prefix(&workflow.name, started_at, run_id),
            time_limit_seconds: workflow.time_limit_seconds,
            rounds: workflow.rounds,
            report: workflow.report.clone(),
            notify: workflow.notify,
            segments,
            left_out: workflow
                .queries
                .iter()
                .filter(|query| !query.targets.has(target))
                .map(|query| query.name.clone())
                .collect(),
        })
    }

    /// Reads `plan.json`.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where it is of another format or does not hold together.
    pub fn read(text: &[u8]) -> Result<Self, Error> {
        let plan: Self = serde_json::from_slice(text).map_err(|error| Error::Unreadable(error.to_string()))?;
        if plan.format != FORMAT {
            return Err(Error::Unreadable(format!("its format is {}, this program reads {FORMAT}", plan.format)));
        }
        for segment in &plan.segments {
            // Everything that decides relies on it.
            let forward =
                segment.queries.iter().enumerate().any(|(at, query)| query.depends_on.iter().any(|on| *on >= at));
            if forward || segment.width == 0 {
                return Err(Error::Unreadable(format!("the segment {:?} is not in order", segment.name)));
            }
        }
        Ok(plan)
    }

    /// The text of `plan.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::json(self)
    }

    /// The run's keys.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys(&self.prefix)
    }

    /// All queries with their segments.
    pub fn queries(&self) -> impl Iterator<Item = (&Segment, &Query)> {
        self.segments.iter().flat_map(|segment| segment.queries.iter().map(move |query| (segment, query)))
    }

    /// The statuses of the queries that do not run, which are known from the start.
    pub fn skipped(&self) -> impl Iterator<Item = Status> {
        self.queries().filter_map(|(_, query)| {
            let why = query.skipped.as_ref()?;
            Some(Status::new(&query.name, State::Skipped, 0).with_error(Failure {
                name: CONFIGURED_OFF.to_owned(),
                message: why.clone(),
                class: None,
                transient: None,
            }))
        })
    }

    /// What the execution of a query of a segment needs.
    #[must_use]
    pub fn work(&self, segment: &Segment, query: &Query, round: u8) -> Work {
        let keys = self.keys();
        Work {
            query: query.name.clone(),
            segment: segment.name.clone(),
            round,
            script_key: query.script.clone(),
            parameters: query.parameters.clone(),
            time_limit_seconds: query.time_limit_seconds,
            idempotency_key: format!("{}{}/{round}", self.prefix, query.name),
            status_key: keys.status(&query.name),
            result_key: keys.result(&query.result),
            csv_key: keys.csv(&query.result),
            error_key: keys.error(&query.error),
        }
    }
}

/// The most characters of an execution's name (Step Functions quotas).
const EXECUTION_NAME: usize = 80;

impl Plan {
    /// The name of a query's execution, so that a person finds it and none is started twice: `<run>-<round>-<query>`. A
    /// query's name that is too long for that gives way to its place in the plan. Both numbers are places.
    #[must_use]
    pub fn execution_name(&self, segment: usize, query: usize, round: u8) -> String {
        let name = &self.segments[segment].queries[query].name;
        let mut whole = format!("{}-{round}-{name}", self.run_id);
        if whole.len() > EXECUTION_NAME {
            let place = format!("-{segment}-{query}");
            whole.truncate(EXECUTION_NAME - place.len());
            whole += &place;
        }
        whole
    }
}

/// Why a query does not run: it is configured off, or it depends on one that is.
fn configured_off(workflow: &Workflow) -> Vec<Option<String>> {
    let mut off: Vec<Option<String>> = workflow
        .queries
        .iter()
        .map(|query| (query.status == Start::Skipped).then(|| "its status is SKIPPED in the configuration".to_owned()))
        .collect();
    let mut dependants = vec![Vec::new(); off.len()];
    for (index, query) in workflow.queries.iter().enumerate() {
        for on in &query.depends_on {
            dependants[*on].push(index);
        }
    }
    let mut open: Vec<usize> = (0..off.len()).filter(|index| off[*index].is_some()).collect();
    while let Some(index) = open.pop() {
        for dependant in &dependants[index] {
            if off[*dependant].is_none() {
                off[*dependant] =
                    Some(format!("it depends on {}, which is configured off", workflow.queries[index].name));
                open.push(*dependant);
            }
        }
    }
    off
}

/// The queries of a segment that are for the target, each after what it depends on, otherwise as listed.
fn planned(workflow: &Workflow, indices: &[usize], target: Target, off: &[Option<String>]) -> Vec<Query> {
    const NOWHERE: usize = usize::MAX;
    let mut place = vec![NOWHERE; workflow.queries.len()];
    let here: Vec<usize> =
        indices.iter().copied().filter(|index| workflow.queries[*index].targets.has(target)).collect();
    let mut queries = Vec::with_capacity(here.len());
    for start in here {
        // Depth first through what it depends on, with a stack of our own: a chain may be long. Configuration has no cycles.
        let mut open = vec![(start, 0)];
        while let Some((index, next)) = open.pop() {
            if place[index] != NOWHERE {
                continue;
            }
            let query = &workflow.queries[index];
            if let Some(on) = query.depends_on.get(next) {
                open.push((index, next + 1));
                if place[*on] == NOWHERE {
                    open.push((*on, 0));
                }
                continue;
            }
            place[index] = queries.len();
            queries.push(Query {
                name: query.name.clone(),
                script: query.script.on(target).unwrap_or_default().to_owned(),
                result: query.result.clone(),
                error: query.error.clone(),
                time_limit_seconds: query.time_limit_seconds,
                parameters: query.parameters.clone(),
                depends_on: query.depends_on.iter().map(|on| place[*on]).collect(),
                skipped: off[index].clone(),
            });
        }
    }
    queries
}
