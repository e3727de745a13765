//! The workflow file: queries and the plans that say in which order they run.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::json;
use super::order::{cycles, plans};
use super::problem::{Object, Problem, Reader, is_name, kind, meant};
use super::report_keys;

/// Where a run works: the two kinds of Redshift, which differ in their system tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A cluster.
    Provisioned,
    /// A Redshift Serverless workgroup.
    Serverless,
}

impl Target {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Provisioned, Self::Serverless];

    /// As configuration spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::Serverless => "serverless",
        }
    }

    /// Reads the spelling of [`Self::name`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == text)
    }
}

/// The targets that something is for; never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// For a cluster.
    pub provisioned: bool,
    /// For a workgroup.
    pub serverless: bool,
}

impl Targets {
    /// Both targets.
    pub const BOTH: Self = Self { provisioned: true, serverless: true };

    /// Whether it is for this one.
    #[must_use]
    pub fn has(self, target: Target) -> bool {
        match target {
            Target::Provisioned => self.provisioned,
            Target::Serverless => self.serverless,
        }
    }
}

/// The SQL file of a query, as keys of the assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// The same on every target.
    Same(String),
    /// One for each target that the query is for.
    PerTarget {
        /// The file for clusters.
        provisioned: Option<String>,
        /// The file for workgroups.
        serverless: Option<String>,
    },
}

impl Script {
    /// The file for a target.
    #[must_use]
    pub fn on(&self, target: Target) -> Option<&str> {
        match (self, target) {
            (Self::Same(key), _) => Some(key),
            (Self::PerTarget { provisioned, .. }, Target::Provisioned) => provisioned.as_deref(),
            (Self::PerTarget { serverless, .. }, Target::Serverless) => serverless.as_deref(),
        }
    }
}

/// The status that a query is configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// `INITIAL`: it runs.
    Initial,
    /// `SKIPPED`: configured off.
    Skipped,
}

/// One configured query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Its name; the id of the report's section that it feeds, where there is one.
    pub name: String,
    /// Its SQL file.
    pub script: Script,
    /// Its file name below `results/`, without ending.
    pub result: String,
    /// Its file name below `errors/`, without ending.
    pub error: String,
    /// After so many seconds it is cancelled. 1 to 86,400 (a statement lasts at most 24 h, Data API limit).
    pub time_limit_seconds: u32,
    /// Whether it runs at all.
    pub status: Start,
    /// Named SQL parameters: text, numbers, true and false.
    pub parameters: Map<String, Value>,
    /// The queries that must have finished before, as indices into [`Workflow::queries`].
    pub depends_on: Vec<usize>,
    /// The targets it is for.
    pub targets: Targets,
}

/// How a segment's queries follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One after another, as listed.
    List,
    /// As soon as what they depend on has finished, at most so many at a time (1 to 40).
    Graph {
        /// The most that run at a time.
        width: u16,
    },
}

/// A part of a plan. The segments of a plan run at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its name, of which its manifest's key is made.
    pub name: String,
    /// How its queries follow each other.
    pub order: Order,
    /// Its queries, as indices into [`Workflow::queries`]; a `*` is already spelled out.
    pub queries: Vec<usize>,
}

/// A plan as configured; [`crate::plan::Plan`] is what a run makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOutline {
    /// Its name.
    pub name: String,
    /// Its segments; together they hold every query exactly once.
    pub segments: Vec<Segment>,
}

/// Which ends of a run are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// A run without persistent failures.
    pub success: bool,
    /// A run with persistent failures, a stopped one, a broken one.
    pub failure: bool,
}

/// A workflow that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Its name; the file is `config/workflows/<name>.json`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// After so many seconds the whole run is stopped.
    pub time_limit_seconds: u32,
    /// How often what failed is tried, the first run included: 1 to 3.
    pub rounds: u8,
    /// The queries in the order of the file.
    pub queries: Vec<Query>,
    /// The plans in the order of the file.
    pub plans: Vec<PlanOutline>,
    /// The name of the plan that runs where none is asked for.
    pub plan: String,
    /// The report's folder below `config/`.
    pub report: Option<String>,
    /// Which ends are told.
    pub notify: Notify,
}

/// The longest statement: 24 h (Data API limit).
const QUERY_SECONDS: u64 = 86_400;
/// The longest run: an execution of a standard state machine lasts at most one year (Step Functions quota).
const RUN_SECONDS: u64 = 31_536_000;
/// Rounds where none are configured, and the most.
const ROUNDS: u8 = 3;

pub(super) const TARGET_NAMES: [&str; 2] = ["provisioned", "serverless"];

/// The report that a workflow names, although the workflow may be wrong elsewhere.
pub(super) fn report_name(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get("report")?.as_str().filter(|name| is_name(name)).map(str::to_owned)
}

pub(super) fn read(file: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Result<Workflow, Vec<Problem>> {
    let (value, problems) = json::parse(file, text);
    let mut reader = Reader::new(file);
    reader.problems = problems;
    let workflow = value.and_then(|value| document(&mut reader, file, &value, exists));
    match workflow {
        Some(workflow) if reader.problems.is_empty() => Ok(workflow),
        _ => Err(reader.problems),
    }
}

const WORKFLOW_FIELDS: [&str; 10] =
    ["$schema", "name", "description", "timeLimitSeconds", "rounds", "queries", "plans", "plan", "report", "notify"];
const QUERY_FIELDS: [&str; 9] =
    ["name", "script", "result", "error", "timeLimitSeconds", "status", "parameters", "dependsOn", "targets"];

fn document(reader: &mut Reader<'_>, file: &str, value: &Value, exists: &dyn Fn(&str) -> bool) -> Option<Workflow> {
    let root = reader.object(value, "$".to_owned(), &WORKFLOW_FIELDS)?;
    if root.map.contains_key("$schema") {
        reader.text(&root, "$schema", None);
    }
    let name = reader.name(&root, "name", Some("add the workflow's name"));
    if let Some(name) = &name {
        let stem = file.rsplit('/').next().and_then(|last| last.strip_suffix(".json"));
        if stem.is_some_and(|stem| stem != name) {
            let what = format!("the workflow is called {name:?}, its file is not");
            reader.problem("$.name", what, format!("rename one of them: the file is called {name}.json"));
        }
    }
    let description = reader.text(&root, "description", None).unwrap_or_default();
    let time_limit_seconds =
        reader.integer(&root, "timeLimitSeconds", 1..=RUN_SECONDS, Some("add the time limit of the whole run"));
    let rounds = reader.integer(&root, "rounds", 1..=u64::from(ROUNDS), None);
    let queries = queries(reader, &root, time_limit_seconds, exists);
    let plans = plans(reader, &root, &queries);
    let plan = reader.text(&root, "plan", Some("name the plan that runs where none is asked for"));
    if let Some(plan) = &plan
        && !plans.iter().any(|known| known.0 == *plan)
        && root.map.get("plans").is_some_and(Value::is_object)
    {
        let remedy = meant(plan, plans.iter().map(|known| known.0.as_str()), "name a plan of this file");
        reader.problem("$.plan", format!("there is no plan {plan:?}"), remedy);
    }
    let report = reader.name(&root, "report", None);
    if let Some(report) = &report {
        for key in report_keys(report) {
            if !exists(&key) {
                reader.problem("$.report", format!("the report has no file {key}"), "write it, or name another report");
            }
        }
    }
    let notify = notify(reader, &root);
    Some(Workflow {
        name: name?,
        description,
        time_limit_seconds: u32::try_from(time_limit_seconds?).ok()?,
        rounds: u8::try_from(rounds.unwrap_or(ROUNDS.into())).ok()?,
        queries: queries.into_iter().map(|draft| draft.query).collect::<Option<_>>()?,
        plans: plans
            .into_iter()
            .map(|(name, segments)| Some(PlanOutline { name, segments: segments? }))
            .collect::<Option<_>>()?,
        plan: plan?,
        report,
        notify,
    })
}

fn notify(reader: &mut Reader<'_>, root: &Object<'_>) -> Notify {
    let mut notify = Notify { success: true, failure: true };
    if let Some(value) = root.map.get("notify")
        && let Some(object) = reader.object(value, root.at("notify"), &["success", "failure"])
    {
        notify.success = reader.boolean(&object, "success").unwrap_or(true);
        notify.failure = reader.boolean(&object, "failure").unwrap_or(true);
    }
    notify
}

/// A query while the file is read: what is needed for further checks although the query itself may be wrong.
pub(super) struct Draft {
    pub(super) path: String,
    pub(super) name: Option<String>,
    pub(super) depends_on: Vec<usize>,
    targets: Targets,
    query: Option<Query>,
}

fn queries(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    run_limit: Option<u64>,
    exists: &dyn Fn(&str) -> bool,
) -> Vec<Draft> {
    let list = reader.list(root, "queries", true).unwrap_or_default();
    if list.is_empty() && root.map.get("queries").is_some_and(Value::is_array) {
        reader.problem("$.queries", "there is no query", "add one");
    }
    // Names first, so that a query may depend on one that stands below it.
    let mut names: HashMap<&str, usize> = HashMap::with_capacity(list.len());
    let mut results: HashMap<String, String> = HashMap::new();
    let mut errors: HashMap<String, String> = HashMap::new();
    for (index, (value, path)) in list.iter().enumerate() {
        if let Some(name) = value.get("name").and_then(Value::as_str) {
            if let Some(first) = names.get(name) {
                let what = format!("the name {name:?} is taken by $.queries[{first}]");
                reader.problem(format!("{path}.name"), what, "give it another name");
            } else {
                names.insert(name, index);
            }
        }
    }
    let mut drafts = Vec::with_capacity(list.len());
    for (value, path) in &list {
        drafts.push(query(reader, value, path, run_limit, exists, &names, [&mut results, &mut errors]));
    }
    cycles(reader, &drafts);
    for draft in &drafts {
        for (place, on) in draft.depends_on.iter().enumerate() {
            let other = &drafts[*on];
            let lacking: Vec<&str> = Target::ALL
                .into_iter()
                .filter(|target| draft.targets.has(*target) && !other.targets.has(*target))
                .map(Target::name)
                .collect();
            if let ([target, ..], Some(on)) = (lacking.as_slice(), &other.name) {
                reader.problem(
                    format!("{}.dependsOn[{place}]", draft.path),
                    format!("{on:?} is not for {target}, where this query runs"),
                    "give both the same targets, or remove the dependency",
                );
            }
        }
    }
    drafts
}

#[allow(clippy::too_many_lines)]
fn query(
    reader: &mut Reader<'_>,
    value: &Value,
    path: &str,
    run_limit: Option<u64>,
    exists: &dyn Fn(&str) -> bool,
    names: &HashMap<&str, usize>,
    [results, errors]: [&mut HashMap<String, String>; 2],
) -> Draft {
    let mut draft =
        Draft { path: path.to_owned(), name: None, depends_on: Vec::new(), targets: Targets::BOTH, query: None };
    let Some(object) = reader.object(value, path.to_owned(), &QUERY_FIELDS) else { return draft };
    let name = reader.name(&object, "name", Some("add the query's name"));
    draft.name.clone_from(&name);
    draft.targets = targets(reader, &object);
    let script = script(reader, &object, draft.targets, exists);
    let key = |reader: &mut Reader<'_>, field: &str, taken: &mut HashMap<String, String>| {
        let given = reader.name(&object, field, None);
        let key = if object.map.contains_key(field) { given } else { name.clone() }?;
        // A name that stands twice is one problem, not three.
        if let Some(other) = taken.get(&key)
            && (object.map.contains_key(field)
                || names.get(key.as_str()).is_none_or(|first| *other != format!("$.queries[{first}]")))
        {
            let at = if object.map.contains_key(field) { object.at(field) } else { path.to_owned() };
            let what = format!("the {field} key {key:?} is used by {other} too");
            reader.problem(
                at,
                what,
                format!("give it {} {field} key of its own", if field == "error" { "an" } else { "a" }),
            );
        }
        taken.entry(key.clone()).or_insert_with(|| path.to_owned());
        Some(key)
    };
    let result = key(reader, "result", results);
    let error = key(reader, "error", errors);
    let limit = reader.integer(&object, "timeLimitSeconds", 1..=QUERY_SECONDS, Some("add the query's time limit"));
    if let (Some(limit), Some(run)) = (limit, run_limit)
        && limit > run
    {
        let what = format!("{limit} s is more than the whole run may last ({run} s)");
        reader.problem(object.at("timeLimitSeconds"), what, "lower it, or raise $.timeLimitSeconds");
    }
    let status = status(reader, &object);
    let parameters = parameters(reader, &object);
    draft.depends_on = depends_on(reader, &object, names);
    draft.query = (|| {
        Some(Query {
            name: name?,
            script: script?,
            result: result?,
            error: error?,
            time_limit_seconds: u32::try_from(limit?).ok()?,
            status: status?,
            parameters: parameters?,
            depends_on: draft.depends_on.clone(),
            targets: draft.targets,
        })
    })();
    draft
}

/// `targets`, both where there are none.
pub(super) fn targets(reader: &mut Reader<'_>, object: &Object<'_>) -> Targets {
    let Some(list) = reader.list(object, "targets", false) else { return Targets::BOTH };
    let mut targets = Targets { provisioned: false, serverless: false };
    for (value, path) in &list {
        let Some(word) = reader.word_value(value, path.clone(), &TARGET_NAMES) else { continue };
        let seen = if word == "provisioned" { &mut targets.provisioned } else { &mut targets.serverless };
        if *seen {
            reader.problem(path.clone(), format!("{word} stands twice"), "remove one");
        }
        *seen = true;
    }
    if list.is_empty() {
        reader.problem(object.at("targets"), "there is no target", "name one, or remove the field for both");
        return Targets::BOTH;
    }
    targets
}

fn script(
    reader: &mut Reader<'_>,
    object: &Object<'_>,
    targets: Targets,
    exists: &dyn Fn(&str) -> bool,
) -> Option<Script> {
    let path = object.at("script");
    let file = |reader: &mut Reader<'_>, value: &Value, path: String| {
        let key = reader.text_value(value, path.clone())?;
        if key.starts_with('/') || key.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            let remedy = "write the path from the project's folder, such as scripts/review/nodes.sql";
            reader.problem(path, format!("{key:?} is no key"), remedy);
            return None;
        }
        if !exists(&key) {
            reader.problem(path, format!("there is no file {key}"), "write the file, or correct the path");
        }
        Some(key)
    };
    match object.map.get("script") {
        None => {
            reader.missing(object, "script", "add the path of the SQL file");
            None
        }
        Some(value @ Value::Object(_)) => {
            let each = reader.object(value, path, &TARGET_NAMES)?;
            let mut keys =
                TARGET_NAMES.map(|target| each.map.get(target).map(|value| file(reader, value, each.at(target))));
            for target in Target::ALL {
                let has = each.map.contains_key(target.name());
                if targets.has(target) && !has {
                    let what = format!("the query is for {}, but has no script for it", target.name());
                    reader.problem(each.path.clone(), what, "add the script, or name the targets without it");
                }
                if !targets.has(target) && has {
                    let what = format!("the query is not for {}", target.name());
                    reader.problem(each.at(target.name()), what, "remove the script, or add the target");
                }
            }
            if keys.iter().any(|key| matches!(key, Some(None))) {
                return None;
            }
            let serverless = keys[1].take().flatten();
            Some(Script::PerTarget { provisioned: keys[0].take().flatten(), serverless })
        }
        Some(value @ Value::String(_)) => file(reader, value, path).map(Script::Same),
        Some(other) => {
            let remedy = "write the path of the SQL file, or an object with one for each target";
            reader.problem(path, format!("this is {}", kind(other)), remedy);
            None
        }
    }
}

fn status(reader: &mut Reader<'_>, object: &Object<'_>) -> Option<Start> {
    let Some(value) = object.map.get("status") else { return Some(Start::Initial) };
    match value.as_str() {
        Some("INITIAL") => Some(Start::Initial),
        Some("SKIPPED") => Some(Start::Skipped),
        Some(word @ ("RUNNING" | "FINISHED" | "FAILED" | "ABORTED")) => {
            let what = format!("{word} is what becomes of a query, not how it starts");
            reader.problem(object.at("status"), what, "write INITIAL (it runs) or SKIPPED (it does not)");
            None
        }
        _ => {
            reader.problem(
                object.at("status"),
                format!("{value} is no status"),
                "write INITIAL (it runs) or SKIPPED (it does not)",
            );
            None
        }
    }
}

/// As the tasker takes them: named `[0-9a-zA-Z_]+`, text (not empty), numbers, true and false; never null (Data API).
fn parameters(reader: &mut Reader<'_>, object: &Object<'_>) -> Option<Map<String, Value>> {
    let Some(value) = object.map.get("parameters") else { return Some(Map::new()) };
    let path = object.at("parameters");
    let Some(map) = value.as_object() else {
        reader.problem(path, format!("this is {}", kind(value)), "an object is needed here: name and value");
        return None;
    };
    let mut fine = true;
    for (name, value) in map {
        let at = super::problem::child(&path, name);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            reader.problem(&at, format!("{name:?} is no parameter's name"), "use letters, digits and _");
            fine = false;
        }
        let wrong = match value {
            Value::String(text) if text.is_empty() => Some("the text is empty"),
            Value::String(_) | Value::Number(_) | Value::Bool(_) => None,
            other => Some(kind(other)),
        };
        if let Some(wrong) = wrong {
            let what = format!("{wrong}: the Data API takes no such parameter");
            reader.problem(at, what, "write text, a number, true or false, or leave the parameter out of the SQL");
            fine = false;
        }
    }
    fine.then(|| map.clone())
}

fn depends_on(reader: &mut Reader<'_>, object: &Object<'_>, names: &HashMap<&str, usize>) -> Vec<usize> {
    let mut found = Vec::new();
    for (value, path) in reader.list(object, "dependsOn", false).unwrap_or_default() {
        let Some(name) = reader.text_value(value, path.clone()) else { continue };
        match names.get(name.as_str()) {
            Some(index) if found.contains(index) => {
                reader.problem(path, format!("{name:?} stands twice"), "remove one")
            }
            Some(index) => found.push(*index),
            None => {
                let remedy = meant(&name, names.keys().copied(), "name a query of this file");
                reader.problem(path, format!("there is no query {name:?}"), remedy);
            }
        }
    }
    found
}
