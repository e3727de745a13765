//! The workflow file: queries and the plans that say in which order they run.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::json;
use super::problem::{NAME_REMEDY, Object, Problem, Reader, is_name, kind, meant};
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
/// The most queries of a wave: what one inline Map runs at a time (Step Functions quota).
pub(crate) const WIDTH: u16 = 40;
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
const SEGMENT_FIELDS: [&str; 4] = ["name", "queries", "mode", "width"];

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
struct Draft {
    path: String,
    name: Option<String>,
    depends_on: Vec<usize>,
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

/// Names every cycle of `dependsOn` once.
fn cycles(reader: &mut Reader<'_>, drafts: &[Draft]) {
    let done = topological(drafts.len(), |index| &drafts[index].depends_on).1;
    let mut seen = vec![false; drafts.len()];
    for start in (0..drafts.len()).filter(|index| !done[*index]) {
        // What is not done depends on something that is not done: walking there must come back to a cycle.
        let mut walk = Vec::new();
        let mut place = HashMap::new();
        let mut at = start;
        while !seen[at] {
            seen[at] = true;
            place.insert(at, walk.len());
            walk.push(at);
            match drafts[at].depends_on.iter().find(|on| !done[**on]) {
                Some(on) => at = *on,
                None => break,
            }
        }
        if let Some(first) = place.get(&at) {
            let ring = &walk[*first..];
            let name = |index: usize| drafts[index].name.as_deref().unwrap_or("?").to_owned();
            let mut text: Vec<String> = ring.iter().map(|index| name(*index)).collect();
            text.push(name(at));
            reader.problem(
                format!("{}.dependsOn", drafts[at].path),
                format!("the queries wait for each other: {}", text.join(" waits for ")),
                "remove one of these dependencies",
            );
        }
    }
}

/// An order in which everything comes after what it depends on, as near to the given order as can be; and what is part
/// of it. What is not depends on a cycle.
fn topological<'d>(count: usize, depends_on: impl Fn(usize) -> &'d Vec<usize>) -> (Vec<usize>, Vec<bool>) {
    let mut waits: Vec<usize> = (0..count).map(|index| depends_on(index).len()).collect();
    let mut dependants = vec![Vec::new(); count];
    for index in 0..count {
        for on in depends_on(index) {
            dependants[*on].push(index);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..count).filter(|index| waits[*index] == 0).collect();
    let mut order = Vec::with_capacity(count);
    let mut done = vec![false; count];
    while let Some(index) = ready.pop_first() {
        done[index] = true;
        order.push(index);
        for dependant in &dependants[index] {
            waits[*dependant] -= 1;
            if waits[*dependant] == 0 {
                ready.insert(*dependant);
            }
        }
    }
    (order, done)
}

type PlanDraft = (String, Option<Vec<Segment>>);

fn plans(reader: &mut Reader<'_>, root: &Object<'_>, drafts: &[Draft]) -> Vec<PlanDraft> {
    let Some(value) = root.map.get("plans") else {
        reader.missing(
            root,
            "plans",
            "add a plan, such as {\"serial\": {\"segments\": [{\"name\": \"all\", \"queries\": [\"*\"]}]}}",
        );
        return Vec::new();
    };
    let Some(map) = value.as_object() else {
        reader.problem("$.plans", format!("this is {}", kind(value)), "an object is needed here: plans by their names");
        return Vec::new();
    };
    if map.is_empty() {
        reader.problem("$.plans", "there is no plan", "add one");
    }
    let names: BTreeMap<&str, usize> = drafts
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(index, draft)| draft.name.as_deref().map(|name| (name, index)))
        .collect();
    let order = topological(drafts.len(), |index| &drafts[index].depends_on).0;
    map.iter()
        .map(|(name, value)| {
            let path = super::problem::child("$.plans", name);
            if !is_name(name) {
                reader.problem(&path, format!("{name:?} is no name"), NAME_REMEDY);
            }
            (name.clone(), plan(reader, value, &path, drafts, &names, &order))
        })
        .collect()
}

fn plan(
    reader: &mut Reader<'_>,
    value: &Value,
    path: &str,
    drafts: &[Draft],
    names: &BTreeMap<&str, usize>,
    order: &[usize],
) -> Option<Vec<Segment>> {
    let object = reader.object(value, path.to_owned(), &["segments"])?;
    let list = reader.list(&object, "segments", true)?;
    if list.is_empty() {
        reader.problem(object.at("segments"), "there is no segment", "add one");
    }
    let before = reader.problems.len();
    let mut places: Vec<Option<(usize, usize)>> = vec![None; drafts.len()];
    let mut rest: Option<(usize, usize)> = None;
    let mut segments = Vec::new();
    let mut paths = Vec::new();
    for (number, (value, path)) in list.iter().enumerate() {
        paths.push(path.clone());
        let Some(object) = reader.object(value, path.clone(), &SEGMENT_FIELDS) else { continue };
        let name = reader.name(&object, "name", Some("add the segment's name")).unwrap_or_default();
        if !name.is_empty() && segments.iter().any(|segment: &Segment| segment.name == name) {
            let what = format!("the segment's name {name:?} is taken");
            reader.problem(object.at("name"), what, "give it another name");
        }
        let order = segment_order(reader, &object);
        let mut queries = Vec::new();
        for (value, path) in reader.list(&object, "queries", true).unwrap_or_default() {
            let Some(query) = reader.text_value(value, path.clone()) else { continue };
            if query == "*" {
                if rest.is_some() {
                    reader.problem(
                        path,
                        "the plan has more than one \"*\"",
                        "keep one: it stands for all other queries",
                    );
                } else {
                    rest = Some((number, queries.len()));
                }
                continue;
            }
            let Some(index) = names.get(query.as_str()) else {
                let remedy = meant(&query, names.keys().copied(), "name a query of this file, or \"*\"");
                reader.problem(path, format!("there is no query {query:?}"), remedy);
                continue;
            };
            if places[*index].is_some() {
                reader.problem(path, format!("{query:?} stands twice in this plan"), "remove one");
                continue;
            }
            places[*index] = Some((number, queries.len()));
            queries.push(*index);
        }
        segments.push(Segment { name, order, queries });
    }
    let missing: Vec<usize> = order.iter().copied().filter(|index| places[*index].is_none()).collect();
    if let Some((segment, at)) = rest
        && let Some(segment) = segments.get_mut(segment)
    {
        segment.queries.splice(at..at, missing);
    } else if !missing.is_empty() && rest.is_none() {
        let mut named: Vec<&str> = missing.iter().filter_map(|index| drafts[*index].name.as_deref()).collect();
        named.sort_unstable();
        let more = if named.len() > 10 { format!(" and {} more", named.len() - 10) } else { String::new() };
        named.truncate(10);
        reader.problem(
            path,
            format!("the plan leaves out {}{more}", named.join(", ")),
            "name them in a segment, or write \"*\", which stands for all other queries; what shall not run has the status SKIPPED",
        );
    }
    for (number, segment) in segments.iter().enumerate() {
        for (at, query) in segment.queries.iter().enumerate() {
            places[*query] = Some((number, at));
        }
        if segment.queries.is_empty() && reader.problems.len() == before {
            reader.problem(&paths[number], "the segment has no query", "add one, or remove the segment");
        }
    }
    for (index, draft) in drafts.iter().enumerate() {
        for on in &draft.depends_on {
            let (Some((segment, at)), Some((other, before))) = (places[index], places[*on]) else { continue };
            let name = |index: usize| drafts[index].name.as_deref().unwrap_or("?");
            if segment != other {
                reader.problem(
                    &paths[segment],
                    format!(
                        "{:?} waits for {:?}, which is in another segment: segments run at the same time",
                        name(index),
                        name(*on)
                    ),
                    "put both into the same segment",
                );
            } else if before >= at && segments[segment].order == Order::List && index != *on {
                reader.problem(
                    &paths[segment],
                    format!("{:?} waits for {:?}, which comes later in the list", name(index), name(*on)),
                    "change the order, or make the segment a graph",
                );
            }
        }
    }
    (reader.problems.len() == before).then_some(segments)
}

fn segment_order(reader: &mut Reader<'_>, object: &Object<'_>) -> Order {
    let mode = reader.word(object, "mode", &["list", "graph"], None);
    let width = reader.integer(object, "width", 1..=u64::from(WIDTH), None);
    match mode {
        Some("graph") => Order::Graph { width: width.and_then(|n| u16::try_from(n).ok()).unwrap_or(WIDTH) },
        _ => {
            if object.map.contains_key("width") && (mode.is_some() || !object.map.contains_key("mode")) {
                reader.problem(object.at("width"), "a list has no width", "remove it, or write \"mode\": \"graph\"");
            }
            Order::List
        }
    }
}
