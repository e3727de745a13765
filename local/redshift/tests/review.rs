//! The review of config/review against the seeds: every script runs, every rule fires on `troubled` and none on `healthy`,
//! for a cluster and for a workgroup, and what the configuration names is there.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use redshift::postgres::Server;
use redshift::{Caller, Config, DataApi, Seed, Target};
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::{OnceCell, mpsc};

const TARGETS: [&str; 2] = ["provisioned", "serverless"];

/// One database server for all tests of this file.
static SERVER: OnceCell<Arc<Server>> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The list `member` of a configuration file.
fn list(path: &str, member: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    file[member].as_array().unwrap_or_else(|| panic!("{path} has no list {member}")).clone()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no text {member} in {value}"))
}

fn sections() -> Vec<Value> {
    list("config/review/sections.json", "sections")
}

fn rules() -> Vec<Value> {
    list("config/review/rules.json", "rules")
}

fn queries() -> Vec<Value> {
    list("config/workflows/review.json", "queries")
}

/// Whether a query, a section or a rule is for this target; without a word of it, for both.
fn is_for(value: &Value, target: &str) -> bool {
    value["targets"].as_array().is_none_or(|targets| targets.iter().any(|t| t == target))
}

/// The path of a query's script for a target.
fn script(query: &Value, target: &str) -> String {
    query["script"].as_str().unwrap_or_else(|| text(&query["script"], target)).to_owned()
}

/// A rule is for a target that its section is for too.
fn rules_for(target: &str) -> Vec<Value> {
    let sections: BTreeSet<String> =
        sections().iter().filter(|s| is_for(s, target)).map(|s| text(s, "id").to_owned()).collect();
    rules().into_iter().filter(|rule| is_for(rule, target) && sections.contains(text(rule, "section"))).collect()
}

/// A warehouse made of a seed.
struct Warehouse {
    api: DataApi,
    place: Value,
    target: &'static str,
}

impl Warehouse {
    async fn new(seed: Option<&str>, target: &'static str) -> Self {
        Self::at(seed, target, None).await
    }

    /// At a time of day that GETDATE() tells, if one is given.
    async fn at(seed: Option<&str>, target: &'static str, time: Option<&str>) -> Self {
        let server =
            SERVER.get_or_init(|| async { Arc::new(Server::start(60).await.expect("a PostgreSQL server")) }).await;
        let database = format!("review{}", NEXT.fetch_add(1, Ordering::Relaxed));
        if let Some(time) = time {
            server.create_database(&database).await.unwrap();
            let administrator = server.connect(&database, redshift::postgres::ADMINISTRATOR).await.unwrap();
            let fixed = format!(
                "create or replace function redshift_catalog.\"timestamp\"() returns timestamp stable \
                 return timestamp '2026-11-18 {time}'"
            );
            administrator.batch_execute(&fixed).await.unwrap();
        }
        let (mut place, made) = match target {
            "provisioned" => (json!({ "ClusterIdentifier": "c" }), Target::cluster("c", &[&database])),
            _ => (json!({ "WorkgroupName": "wg-1" }), Target::workgroup("wg-1", &[&database])),
        };
        place["Database"] = json!(database);
        let (sender, _) = mpsc::unbounded_channel();
        let seed: Option<Seed> = seed.map(|seed| seed.parse().unwrap());
        let config = Config { seed, ..Config::new(vec![made], sender) };
        let api = DataApi::start_on(config, Arc::clone(server)).await.unwrap();
        Self { api, place, target }
    }

    async fn call(&self, operation: &str, body: Value) -> Value {
        let caller = Caller {
            arn: "arn:aws:sts::000000000000:assumed-role/review/one".to_owned(),
            owner: "arn:aws:iam::000000000000:role/review".to_owned(),
        };
        self.api.call(operation, &caller, body).await.unwrap_or_else(|e| panic!("{operation}: {e}"))
    }

    /// Runs a script; its columns as (name, type) and its rows.
    async fn run(&self, query: &Value) -> Section {
        let path = script(query, self.target);
        self.select(&path, &read(&path), query["parameters"].as_object()).await
    }

    async fn select(&self, what: &str, sql: &str, parameters: Option<&Map<String, Value>>) -> Section {
        let mut body = self.place.clone();
        body["Sql"] = json!(sql);
        if let Some(parameters) = parameters {
            let one = |(name, value): (&String, &Value)| json!({ "name": name, "value": value.to_string() });
            body["Parameters"] = parameters.iter().map(one).collect();
        }
        let id = self.call("ExecuteStatement", body).await["Id"].as_str().unwrap().to_owned();
        let ended = self.api.wait(&id).await.unwrap();
        assert_eq!(ended["Status"], "FINISHED", "{what} on {}: {}", self.target, ended["Error"]);
        let mut section = Section { columns: Vec::new(), rows: Vec::new() };
        let mut next = Value::Null;
        loop {
            let mut body = json!({ "Id": id });
            if next != Value::Null {
                body["NextToken"] = next;
            }
            let page = self.call("GetStatementResult", body).await;
            section.columns = page["ColumnMetadata"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| (text(c, "name").to_owned(), text(c, "typeName").to_owned()))
                .collect();
            for record in page["Records"].as_array().unwrap() {
                let cells = record.as_array().unwrap().iter().zip(&section.columns);
                section.rows.push(cells.map(|(cell, (_, kind))| to_cell(cell, kind)).collect());
            }
            next = page["NextToken"].clone();
            if next == Value::Null {
                return section;
            }
        }
    }

    /// Runs every script of the workflow and puts the results into SQLite.
    async fn review(&self) -> Review {
        let sqlite = Connection::open_in_memory().unwrap();
        let mut columns = BTreeMap::new();
        for query in queries().iter().filter(|query| is_for(query, self.target)) {
            let section = self.run(query).await;
            let name = text(query, "name");
            let table = name.replace('-', "_");
            let names: Vec<String> = section.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            sqlite.execute(&format!("create table {table} ({})", names.join(", ")), []).unwrap();
            let marks = vec!["?"; names.len()].join(", ");
            let mut insert = sqlite.prepare(&format!("insert into {table} values ({marks})")).unwrap();
            for row in &section.rows {
                insert.execute(rusqlite::params_from_iter(row)).unwrap();
            }
            columns.insert(name.to_owned(), section.columns);
        }
        Review { sqlite, columns }
    }
}

struct Section {
    columns: Vec<(String, String)>,
    rows: Vec<Vec<Cell>>,
}

/// SQLite's value of a field, as the report makes it.
fn to_cell(field: &Value, kind: &str) -> Cell {
    let (member, value) = field.as_object().unwrap().iter().next().unwrap();
    match member.as_str() {
        "isNull" => Cell::Null,
        "longValue" => Cell::Integer(value.as_i64().unwrap()),
        "doubleValue" => Cell::Real(value.as_f64().unwrap()),
        "booleanValue" => Cell::Integer(value.as_bool().unwrap().into()),
        "stringValue" if kind.starts_with("numeric") || kind.starts_with("decimal") => {
            Cell::Real(value.as_str().unwrap().parse().unwrap())
        }
        "stringValue" => Cell::Text(value.as_str().unwrap().to_owned()),
        other => panic!("a field of kind {other}"),
    }
}

struct Review {
    sqlite: Connection,
    columns: BTreeMap<String, Vec<(String, String)>>,
}

impl Review {
    /// How many rows a rule finds.
    fn finds(&self, rule: &Value) -> i64 {
        let sql = match rule["select"].as_str() {
            Some(select) => format!("select count(*) from ({select})"),
            None => {
                format!("select count(*) from {} where {}", text(rule, "section").replace('-', "_"), text(rule, "when"))
            }
        };
        self.sqlite
            .query_row(&sql, [], |row| row.get(0))
            .unwrap_or_else(|e| panic!("rule {}: {e}\n{sql}", text(rule, "id")))
    }

    fn fired(&self, target: &str) -> BTreeSet<String> {
        rules_for(target).iter().filter(|rule| self.finds(rule) > 0).map(|rule| text(rule, "id").to_owned()).collect()
    }
}

async fn fired(seed: &str, target: &'static str, time: Option<&str>) -> BTreeSet<String> {
    Warehouse::at(Some(seed), target, time).await.review().await.fired(target)
}

/// Now, and at the edges of the day: rows are counted by the hour and by the day.
const TIMES: [Option<&str>; 3] = [None, Some("00:00:07"), Some("23:59:50")];

#[tokio::test]
async fn every_rule_fires_on_a_troubled_warehouse() {
    for target in TARGETS {
        for time in TIMES {
            let fired = fired("troubled", target, time).await;
            let ids = rules_for(target).into_iter().map(|rule| text(&rule, "id").to_owned());
            let silent: Vec<String> = ids.filter(|id| !fired.contains(id)).collect();
            assert_eq!(silent, Vec::<String>::new(), "silent on {target} at {time:?}");
        }
    }
}

#[tokio::test]
async fn no_rule_fires_on_a_healthy_warehouse() {
    for target in TARGETS {
        for time in TIMES {
            assert_eq!(fired("healthy", target, time).await, BTreeSet::new(), "{target} at {time:?}");
        }
    }
}

#[tokio::test]
async fn a_number_makes_a_mixture_and_always_the_same() {
    for target in TARGETS {
        let all = rules_for(target).len();
        let mut mixtures = BTreeSet::new();
        for seed in ["1", "2", "3", "2"] {
            let fired = fired(seed, target, Some("12:00:00")).await;
            let expected = all / 8..all * 7 / 8;
            assert!(expected.contains(&fired.len()), "seed {seed} on {target}: {} of {all}", fired.len());
            mixtures.insert(fired);
        }
        assert_eq!(mixtures.len(), 3, "{target}");
    }
}

#[tokio::test]
async fn without_a_seed_the_views_are_there_and_empty() {
    for target in TARGETS {
        let warehouse = Warehouse::new(None, target).await;
        for query in queries().iter().filter(|query| is_for(query, target)) {
            let rows = warehouse.run(query).await.rows.len();
            // The login is real without a seed.
            assert_eq!(rows, usize::from(text(query, "name") == "preflight"), "{}", text(query, "name"));
        }
    }
}

/// What a seed says of a column that its view does not have would be lost without a word.
const UNKNOWN: &str = "select distinct s.relation || '.' || k.name
    from redshift_catalog.seed s, jsonb_array_elements(s.content) as e(line), jsonb_object_keys(e.line) as k(name)
    where not exists (select 1 from information_schema.columns c
        where c.table_schema = 'redshift_catalog' and c.table_name = s.relation and c.column_name = k.name)
    order by 1";
const VIEWS: &str = "select c.relname::text from pg_class c
    where c.relnamespace = 'redshift_catalog'::regnamespace and c.relkind = 'v' order by 1";

#[tokio::test]
async fn every_view_can_be_read_and_has_the_columns_that_a_seed_fills() {
    for target in TARGETS {
        let warehouse = Warehouse::new(Some("troubled"), target).await;
        let database = text(&warehouse.place, "Database");
        let administrator = SERVER.get().unwrap().connect(database, redshift::postgres::ADMINISTRATOR).await.unwrap();
        let views: Vec<String> = administrator.query(VIEWS, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert!(views.len() > 80, "{}", views.len());
        for view in views {
            warehouse.select(&view, &format!("select * from {view}"), None).await;
        }
        let unknown: Vec<String> =
            administrator.query(UNKNOWN, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(unknown, Vec::<String>::new(), "{target}");
    }
}

#[tokio::test]
async fn both_scripts_of_a_section_have_the_same_columns() {
    let cluster = Warehouse::new(Some("healthy"), "provisioned").await.review().await;
    let workgroup = Warehouse::new(Some("healthy"), "serverless").await.review().await;
    // Counts are of any width: SQLite does not tell them apart.
    let same = |kind: &str| kind.replace("int4", "int8").replace("bpchar", "varchar").replace("text", "varchar");
    let plain = |columns: &[(String, String)]| -> Vec<(String, String)> {
        columns.iter().map(|(name, kind)| (name.clone(), same(kind))).collect()
    };
    for (name, columns) in &cluster.columns {
        if let Some(others) = workgroup.columns.get(name) {
            assert_eq!(plain(columns), plain(others), "{name}");
        }
    }
    for section in sections() {
        let id = text(&section, "id");
        let columns = cluster.columns.get(id).or_else(|| workgroup.columns.get(id)).unwrap();
        let has = |name: &str| columns.iter().any(|(column, _)| column == name);
        for name in section["columns"].as_object().unwrap_or(&Map::new()).keys() {
            assert!(has(name), "section {id} describes a column {name} that it does not have");
        }
        if let Some(chart) = section["chart"].as_object() {
            assert!(has(chart["label"].as_str().unwrap()) && has(chart["value"].as_str().unwrap()), "chart of {id}");
        }
    }
}

fn unique<'a>(ids: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for id in ids {
        assert!(seen.insert(id), "{id} is there twice");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(id.chars().all(plain) && id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
    }
    seen
}

fn ends_properly(owner: &str, sentence: &str) {
    assert!(sentence.ends_with('.') && !sentence.ends_with("..") && sentence.trim() == sentence, "{owner}: {sentence}");
    assert!(sentence.starts_with(|c: char| !c.is_lowercase()), "{owner}: {sentence}");
}

#[test]
fn the_configuration_fits_together() {
    let (sections, rules, queries) = (sections(), rules(), queries());
    let recommendations = list("config/review/recommendations.json", "recommendations");
    let section_ids = unique(sections.iter().map(|s| text(s, "id")));
    let query_names = unique(queries.iter().map(|q| text(q, "name")));
    let recommendation_ids = unique(recommendations.iter().map(|r| text(r, "id")));
    unique(rules.iter().map(|r| text(r, "id")));
    assert!(section_ids.len() >= 20 && rules.len() >= 60 && recommendation_ids.len() >= 40);
    assert_eq!(section_ids, query_names, "each section has its query");

    let mut used = BTreeSet::new();
    let mut with_rule = BTreeSet::new();
    for rule in &rules {
        let id = text(rule, "id");
        let section = sections.iter().find(|s| s["id"] == rule["section"]).unwrap_or_else(|| panic!("section of {id}"));
        with_rule.insert(text(rule, "section"));
        assert!(TARGETS.iter().any(|t| is_for(rule, t) && is_for(section, t)), "{id} is for no target");
        assert!(["high", "medium", "low"].contains(&text(rule, "severity")), "{id}");
        assert_ne!(rule["when"].is_string(), rule["select"].is_string(), "{id} has a predicate or a query");
        let signal = text(rule, "signal");
        assert!(!signal.ends_with('.') && signal.starts_with(char::is_uppercase), "{id}: {signal}");
        assert!(!text(rule, "population").is_empty(), "{id}");
        ends_properly(id, text(rule, "source"));
        let recommended = rule["recommendations"].as_array().unwrap();
        assert!(!recommended.is_empty(), "{id} recommends nothing");
        for recommendation in recommended {
            let recommendation = recommendation.as_str().unwrap();
            assert!(recommendation_ids.contains(recommendation), "{id}: {recommendation}");
            used.insert(recommendation);
        }
    }
    assert_eq!(section_ids, with_rule, "each section has a rule");
    assert_eq!(recommendation_ids, used, "each recommendation is given by a rule");

    for section in &sections {
        ends_properly(text(section, "id"), text(section, "about"));
    }
    for recommendation in &recommendations {
        let id = text(recommendation, "id");
        ends_properly(id, text(recommendation, "text"));
        assert!(!text(recommendation, "title").ends_with('.'), "{id}");
        assert!(["low", "medium", "high"].contains(&text(recommendation, "effort")), "{id}");
        assert!(text(recommendation, "link").starts_with("https://docs.aws.amazon.com/redshift/latest/"), "{id}");
    }
}

#[test]
fn the_scripts_are_commented_bounded_and_read_what_their_target_has() {
    let mut used = BTreeSet::new();
    for query in &queries() {
        let section = sections().into_iter().find(|s| s["id"] == query["name"]).unwrap();
        for target in TARGETS {
            assert_eq!(is_for(query, target), is_for(&section, target), "{}", query["name"]);
            if !is_for(query, target) {
                continue;
            }
            let path = script(query, target);
            let sql = read(&path);
            used.insert(path.clone());
            assert!(sql.starts_with("-- ") && sql.contains("Reads "), "{path} says what it shows and from where");
            let code: String = sql
                .lines()
                .filter(|line| !line.trim_start().starts_with("--"))
                .collect::<Vec<_>>()
                .join("\n")
                .to_lowercase();
            let last = code.rsplit("order by").next().unwrap();
            assert!(code.contains("\norder by ") && last.contains("\nlimit "), "{path} is ordered and bounded");
            assert_eq!(code.contains(":days"), query["parameters"]["days"].is_number(), "{path} and its parameter");
            if target == "serverless" {
                for family in ["stl_", "stv_", "svl_", "svcs_"] {
                    assert!(!code.contains(family), "{path} reads a view that a workgroup does not have");
                }
            }
        }
    }
    let mut present = BTreeSet::new();
    for folder in ["scripts/review", "scripts/review/provisioned", "scripts/review/serverless"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".sql") {
                present.insert(format!("{folder}/{name}"));
            }
        }
    }
    assert_eq!(present, used, "each script is used");
}

#[test]
fn each_plan_runs_each_query_once() {
    let workflow: Value = serde_json::from_str(&read("config/workflows/review.json")).unwrap();
    let names: BTreeSet<String> = queries().iter().map(|q| text(q, "name").to_owned()).collect();
    let plans = workflow["plans"].as_object().unwrap();
    assert!(plans.contains_key(text(&workflow, "plan")));
    for (plan, content) in plans {
        let mut planned = Vec::new();
        for segment in content["segments"].as_array().unwrap() {
            for query in segment["queries"].as_array().unwrap() {
                match query.as_str().unwrap() {
                    "*" => planned.extend(names.iter().cloned()),
                    name => planned.push(name.to_owned()),
                }
            }
        }
        planned.sort();
        assert_eq!(planned, names.iter().cloned().collect::<Vec<_>>(), "{plan}");
    }
}
