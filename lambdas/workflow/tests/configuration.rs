//! Workflow files: what is taken, what is refused and how it is said; the JSON Schema beside the parser.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use serde_json::{Value, json};
use workflow::configuration::{self, Order, Problem, ReportFiles, Script, Start, Target, Workflow};

const FILE: &str = "config/workflows/review.json";
const MISSING: &str = "scripts/review/missing.sql";

fn example() -> Value {
    json!({
        "$schema": "../schema/workflow.schema.json",
        "name": "review",
        "description": "Looks at a cluster",
        "timeLimitSeconds": 3600,
        "queries": [
            {"name": "nodes", "script": "scripts/review/nodes.sql", "timeLimitSeconds": 60, "targets": ["provisioned"]},
            {"name": "tables", "script": {"provisioned": "scripts/p.sql", "serverless": "scripts/s.sql"},
             "result": "table-design", "error": "table-errors", "timeLimitSeconds": 120, "status": "INITIAL",
             "parameters": {"days": 7, "schema": "public", "all": true}},
            {"name": "skew", "script": "scripts/skew.sql", "timeLimitSeconds": 60, "dependsOn": ["tables"]},
            {"name": "old", "script": "scripts/old.sql", "timeLimitSeconds": 60, "status": "SKIPPED"}
        ],
        "plans": {
            "serial": {"segments": [{"name": "all", "queries": ["*"]}]},
            "mixed": {"segments": [{"name": "one", "queries": ["nodes"]},
                                   {"name": "two", "queries": ["*", "skew"], "mode": "graph", "width": 7}]},
            "parallel": {"segments": [{"name": "all", "queries": ["*"], "mode": "graph"}]}
        },
        "plan": "mixed",
        "report": "review",
        "notify": {"success": false, "failure": true}
    })
}

fn read(document: &Value) -> Result<Workflow, Vec<Problem>> {
    configuration::workflow(FILE, &document.to_string(), |key| key != MISSING && !key.contains("nowhere"))
}

fn schema(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/schema").join(format!("{name}.schema.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Sets the value at a pointer, or removes it where there is none; a new member is added.
fn change(document: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match (document.pointer_mut(parent).unwrap(), value) {
        (Value::Object(map), Some(value)) => {
            map.insert(last.to_owned(), value);
        }
        (Value::Object(map), None) => {
            map.remove(last).unwrap();
        }
        (Value::Array(list), Some(value)) if last == "-" => list.push(value),
        (Value::Array(list), Some(value)) => list[last.parse::<usize>().unwrap()] = value,
        (Value::Array(list), None) => {
            list.remove(last.parse().unwrap());
        }
        (other, _) => panic!("{other} has no members"),
    }
}

#[test]
fn a_workflow_is_read() {
    let workflow = read(&example()).unwrap();
    assert_eq!((workflow.rounds, workflow.time_limit_seconds), (3, 3600));
    assert_eq!(workflow.queries[0].script, Script::Same("scripts/review/nodes.sql".into()));
    assert_eq!((workflow.queries[0].result.as_str(), workflow.queries[0].error.as_str()), ("nodes", "nodes"));
    assert_eq!(
        (workflow.queries[1].result.as_str(), workflow.queries[1].error.as_str()),
        ("table-design", "table-errors")
    );
    assert_eq!(workflow.queries[1].script.on(Target::Serverless), Some("scripts/s.sql"));
    assert!(!workflow.queries[0].targets.has(Target::Serverless));
    assert_eq!(workflow.queries[2].depends_on, [1]);
    assert_eq!(workflow.queries[3].status, Start::Skipped);
    let segments = |plan: usize| {
        workflow.plans[plan].segments.iter().map(|segment| (segment.order, segment.queries.clone())).collect::<Vec<_>>()
    };
    assert_eq!(segments(0), [(Order::List, vec![0, 1, 2, 3])]);
    assert_eq!(segments(1), [(Order::List, vec![0]), (Order::Graph { width: 7 }, vec![1, 3, 2])]);
    assert_eq!(segments(2), [(Order::Graph { width: 40 }, vec![0, 1, 2, 3])]);
    assert!(!workflow.notify.success && workflow.notify.failure);
    assert!(schema("workflow").is_valid(&example()));
}

#[test]
fn a_star_puts_what_is_waited_for_first() {
    let mut document = example();
    change(&mut document, "/queries/1/dependsOn", Some(json!(["old"])));
    let workflow = read(&document).unwrap();
    assert_eq!(workflow.plans[0].segments[0].queries, [0, 3, 1, 2]);
}

/// A change of the example; where the problem is, what it says, what the remedy says; whether the schema refuses it too
/// (it cannot look at other files or compare names).
type Case = (&'static str, Option<Value>, &'static str, &'static str, &'static str, bool);

#[allow(clippy::too_many_lines)]
fn refused() -> Vec<Case> {
    let query = |name: &str, on: &[&str]| {
        Some(json!({"name": name, "script": "scripts/x.sql", "timeLimitSeconds": 1, "dependsOn": on}))
    };
    vec![
        ("/nmae", Some(json!("x")), "$.nmae", "unknown field \"nmae\"", "did you mean \"name\"?", true),
        ("/colour", Some(json!("x")), "$.colour", "unknown field", "known here: $schema, name", true),
        ("/name", None, "$", "the field \"name\" is missing", "add the workflow's name", true),
        ("/name", Some(json!("Review")), "$.name", "\"Review\" is no name", "a name starts with a-z", true),
        ("/name", Some(json!("audit")), "$.name", "its file is not", "audit.json", false),
        ("/name", Some(json!(7)), "$.name", "this is a number", "text is needed", true),
        ("/description", Some(json!(" ")), "$.description", "the text is empty", "remove the field", true),
        ("/timeLimitSeconds", None, "$", "\"timeLimitSeconds\" is missing", "add", true),
        ("/timeLimitSeconds", Some(json!(0)), "$.timeLimitSeconds", "0 is not allowed", "from 1 to 31536000", true),
        ("/timeLimitSeconds", Some(json!(1.5)), "$.timeLimitSeconds", "1.5 is not allowed", "a whole number", true),
        ("/timeLimitSeconds", Some(json!("60")), "$.timeLimitSeconds", "text is not allowed", "a whole number", true),
        ("/timeLimitSeconds", Some(json!(119)), "$.queries[1].timeLimitSeconds", "120 s is more", "lower it", false),
        ("/rounds", Some(json!(4)), "$.rounds", "4 is not allowed", "from 1 to 3", true),
        ("/rounds", Some(json!(0)), "$.rounds", "0 is not allowed", "from 1 to 3", true),
        ("/queries", None, "$", "\"queries\" is missing", "add a list", true),
        ("/queries", Some(json!({})), "$.queries", "this is an object", "a list is needed", true),
        ("/queries/3", Some(json!("old")), "$.queries[3]", "this is text", "an object is needed", true),
        ("/queries/3/name", None, "$.queries[3]", "\"name\" is missing", "add", true),
        ("/queries/3/name", Some(json!("a_b")), "$.queries[3].name", "is no name", "a-z, 0-9 and -", true),
        (
            "/queries/3/name",
            Some(json!("nodes")),
            "$.queries[3].name",
            "is taken by $.queries[0]",
            "another name",
            false,
        ),
        ("/queries/3/script", None, "$.queries[3]", "\"script\" is missing", "SQL file", true),
        (
            "/queries/3/script",
            Some(json!(MISSING)),
            "$.queries[3].script",
            "there is no file scripts/review/missing.sql",
            "write the file",
            false,
        ),
        (
            "/queries/3/script",
            Some(json!("../secret.sql")),
            "$.queries[3].script",
            "is no key",
            "from the project's folder",
            true,
        ),
        (
            "/queries/3/script",
            Some(json!("/etc/passwd")),
            "$.queries[3].script",
            "is no key",
            "from the project's folder",
            true,
        ),
        (
            "/queries/3/script",
            Some(json!(["x"])),
            "$.queries[3].script",
            "this is a list",
            "an object with one for each target",
            true,
        ),
        (
            "/queries/3/script",
            Some(json!({"provisioned": "p.sql"})),
            "$.queries[3].script",
            "for serverless, but has no script",
            "name the targets",
            false,
        ),
        (
            "/queries/0/script",
            Some(json!({"provisioned": "p.sql", "serverless": "s.sql"})),
            "$.queries[0].script.serverless",
            "is not for serverless",
            "add the target",
            false,
        ),
        (
            "/queries/1/script/serverles",
            Some(json!("s.sql")),
            "$.queries[1].script.serverles",
            "unknown field",
            "did you mean \"serverless\"?",
            true,
        ),
        (
            "/queries/3/result",
            Some(json!("table-design")),
            "$.queries[3].result",
            "is used by $.queries[1] too",
            "a result key of its own",
            false,
        ),
        (
            "/queries/3/result",
            Some(json!("nodes")),
            "$.queries[3].result",
            "is used by $.queries[0] too",
            "result key of its own",
            false,
        ),
        (
            "/queries/3/error",
            Some(json!("table-errors")),
            "$.queries[3].error",
            "is used by $.queries[1] too",
            "an error key of its own",
            false,
        ),
        (
            "/queries/0/result",
            Some(json!("skew")),
            "$.queries[2]",
            "the result key \"skew\" is used by $.queries[0] too",
            "its own",
            false,
        ),
        ("/queries/3/result", Some(json!("a/b")), "$.queries[3].result", "is no name", "a-z", true),
        (
            "/queries/3/timeLimitSeconds",
            None,
            "$.queries[3]",
            "\"timeLimitSeconds\" is missing",
            "add the query's time limit",
            true,
        ),
        (
            "/queries/3/timeLimitSeconds",
            Some(json!(86401)),
            "$.queries[3].timeLimitSeconds",
            "86401 is not allowed",
            "1 to 86400",
            true,
        ),
        (
            "/queries/3/status",
            Some(json!("RUNNING")),
            "$.queries[3].status",
            "not how it starts",
            "INITIAL (it runs) or SKIPPED",
            true,
        ),
        ("/queries/3/status", Some(json!("FINISHED")), "$.queries[3].status", "not how it starts", "INITIAL", true),
        ("/queries/3/status", Some(json!("initial")), "$.queries[3].status", "is no status", "INITIAL", true),
        ("/queries/3/parameters", Some(json!([])), "$.queries[3].parameters", "this is a list", "name and value", true),
        (
            "/queries/3/parameters",
            Some(json!({"a": null})),
            "$.queries[3].parameters.a",
            "null: the Data API takes no such",
            "write text",
            true,
        ),
        (
            "/queries/3/parameters",
            Some(json!({"a": ""})),
            "$.queries[3].parameters.a",
            "the text is empty",
            "write text",
            true,
        ),
        ("/queries/3/parameters", Some(json!({"a": [1]})), "$.queries[3].parameters.a", "a list", "write text", true),
        (
            "/queries/3/parameters",
            Some(json!({"a-b": 1})),
            "$.queries[3].parameters[\"a-b\"]",
            "no parameter's name",
            "letters, digits and _",
            true,
        ),
        (
            "/queries/3/dependsOn",
            Some(json!(["table"])),
            "$.queries[3].dependsOn[0]",
            "there is no query \"table\"",
            "did you mean \"tables\"?",
            false,
        ),
        (
            "/queries/3/dependsOn",
            Some(json!(["tables", "tables"])),
            "$.queries[3].dependsOn[1]",
            "stands twice",
            "remove one",
            true,
        ),
        (
            "/queries/3/dependsOn",
            Some(json!("tables")),
            "$.queries[3].dependsOn",
            "this is text",
            "a list is needed",
            true,
        ),
        (
            "/queries/3/dependsOn",
            Some(json!(["old"])),
            "$.queries[3].dependsOn",
            "wait for each other: old waits for old",
            "remove one",
            false,
        ),
        (
            "/queries/1/dependsOn",
            Some(json!(["skew"])),
            "$.queries[1].dependsOn",
            "tables waits for skew waits for tables",
            "remove one",
            false,
        ),
        (
            "/queries/-",
            query("x", &["nodes"]),
            "$.queries[4].dependsOn[0]",
            "\"nodes\" is not for serverless",
            "the same targets",
            false,
        ),
        (
            "/queries/3/targets",
            Some(json!([])),
            "$.queries[3].targets",
            "there is no target",
            "remove the field for both",
            true,
        ),
        (
            "/queries/3/targets",
            Some(json!(["cluster"])),
            "$.queries[3].targets[0]",
            "\"cluster\" is not known",
            "provisioned, serverless",
            true,
        ),
        (
            "/queries/3/targets",
            Some(json!(["serverless", "serverless"])),
            "$.queries[3].targets[1]",
            "stands twice",
            "remove one",
            true,
        ),
        ("/plans", None, "$", "\"plans\" is missing", "add a plan", true),
        ("/plans", Some(json!({})), "$.plans", "there is no plan", "add one", true),
        ("/plans", Some(json!([])), "$.plans", "this is a list", "plans by their names", true),
        (
            "/plans/Big One",
            Some(json!({"segments": [{"name": "all", "queries": ["*"]}]})),
            "$.plans[\"Big One\"]",
            "is no name",
            "a-z",
            true,
        ),
        ("/plans/serial/segments", Some(json!([])), "$.plans.serial.segments", "there is no segment", "add one", true),
        (
            "/plans/serial/segments/0/name",
            None,
            "$.plans.serial.segments[0]",
            "\"name\" is missing",
            "segment's name",
            true,
        ),
        (
            "/plans/serial/segments/0/mode",
            Some(json!("parallel")),
            "$.plans.serial.segments[0].mode",
            "\"parallel\" is not known",
            "list, graph",
            true,
        ),
        (
            "/plans/serial/segments/0/width",
            Some(json!(4)),
            "$.plans.serial.segments[0].width",
            "a list has no width",
            "\"mode\": \"graph\"",
            true,
        ),
        (
            "/plans/mixed/segments/1/width",
            Some(json!(41)),
            "$.plans.mixed.segments[1].width",
            "41 is not allowed",
            "1 to 40",
            true,
        ),
        (
            "/plans/mixed/segments/1/width",
            Some(json!(0)),
            "$.plans.mixed.segments[1].width",
            "0 is not allowed",
            "1 to 40",
            true,
        ),
        (
            "/plans/mixed/segments/1/name",
            Some(json!("one")),
            "$.plans.mixed.segments[1].name",
            "\"one\" is taken",
            "another name",
            false,
        ),
        (
            "/plans/mixed/segments/0/queries",
            Some(json!([])),
            "$.plans.mixed.segments[0]",
            "has no query",
            "remove the segment",
            true,
        ),
        (
            "/plans/mixed/segments/0/queries",
            Some(json!(["nods"])),
            "$.plans.mixed.segments[0].queries[0]",
            "there is no query \"nods\"",
            "did you mean \"nodes\"?",
            false,
        ),
        (
            "/plans/mixed/segments/0/queries",
            Some(json!(["nodes", "nodes"])),
            "$.plans.mixed.segments[0].queries[1]",
            "stands twice in this plan",
            "remove one",
            false,
        ),
        (
            "/plans/mixed/segments/0/queries",
            Some(json!(["nodes", "*"])),
            "$.plans.mixed.segments[1].queries[0]",
            "more than one \"*\"",
            "keep one",
            false,
        ),
        (
            "/plans/serial/segments/0/queries",
            Some(json!(["nodes", "tables", "skew"])),
            "$.plans.serial",
            "leaves out old",
            "status SKIPPED",
            false,
        ),
        (
            "/plans/serial/segments/0/queries",
            Some(json!(["nodes", "skew", "tables", "old"])),
            "$.plans.serial.segments[0]",
            "\"skew\" waits for \"tables\", which comes later",
            "make the segment a graph",
            false,
        ),
        (
            "/plans/mixed/segments/0/queries",
            Some(json!(["nodes", "tables"])),
            "$.plans.mixed.segments[1]",
            "which is in another segment",
            "the same segment",
            false,
        ),
        ("/plan", None, "$", "\"plan\" is missing", "name the plan", true),
        ("/plan", Some(json!("mixd")), "$.plan", "there is no plan \"mixd\"", "did you mean \"mixed\"?", false),
        ("/report", Some(json!("nowhere")), "$.report", "no file config/nowhere/sections.json", "write it", false),
        ("/notify", Some(json!(true)), "$.notify", "this is true or false", "an object", true),
        ("/notify/success", Some(json!("yes")), "$.notify.success", "this is text", "true or false", true),
        ("/notify/failed", Some(json!(true)), "$.notify.failed", "unknown field", "did you mean \"failure\"?", true),
    ]
}

#[test]
fn what_cannot_run_is_refused_with_place_and_remedy() {
    let schema = schema("workflow");
    for (pointer, value, path, what, remedy, by_schema) in refused() {
        let mut document = example();
        change(&mut document, pointer, value);
        let problems = read(&document).expect_err(pointer);
        assert!(
            problems
                .iter()
                .any(|p| p.file == FILE && p.path == path && p.what.contains(what) && p.remedy.contains(remedy)),
            "{pointer}: expected {path}: {what}; {remedy}\nfound {problems:#?}"
        );
        assert_eq!(!schema.is_valid(&document), by_schema, "{pointer}: whether the schema refuses it");
    }
}

#[test]
fn other_right_forms_are_taken_by_parser_and_schema() {
    let schema = schema("workflow");
    let right: &[(&str, Option<Value>)] = &[
        ("/$schema", None),
        ("/description", None),
        ("/report", None),
        ("/notify", None),
        ("/notify", Some(json!({}))),
        ("/rounds", Some(json!(1))),
        ("/rounds", Some(json!(2.0))),
        ("/timeLimitSeconds", Some(json!(31_536_000))),
        ("/queries/0/timeLimitSeconds", Some(json!(3600))),
        ("/queries/1/targets", Some(json!(["serverless", "provisioned"]))),
        ("/queries/1/parameters", Some(json!({}))),
        ("/queries/1/parameters", Some(json!({"1": 1.5, "a_B": "ü", "c": false}))),
        ("/queries/3/dependsOn", Some(json!([]))),
        ("/plans/serial/segments/0/mode", Some(json!("list"))),
        ("/plans/mixed/segments/1/width", Some(json!(40))),
    ];
    for (pointer, value) in right {
        let mut document = example();
        change(&mut document, pointer, value.clone());
        if let Err(problems) = read(&document) {
            panic!("{pointer} {value:?}: {problems:#?}");
        }
        assert!(schema.is_valid(&document), "{pointer} {value:?}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let mut document = example();
    for (pointer, value) in [
        ("/rounds", Some(json!(9))),
        ("/colour", Some(json!("red"))),
        ("/queries/0/timeLimitSeconds", Some(json!(-1))),
        ("/queries/2/script", Some(json!(MISSING))),
        ("/queries/2/dependsOn", Some(json!(["nothing"]))),
        ("/plans/serial/segments/0/queries", Some(json!(["nodes"]))),
        ("/plan", Some(json!("none"))),
    ] {
        change(&mut document, pointer, value);
    }
    let problems = read(&document).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "$.colour",
            "$.rounds",
            "$.queries[0].timeLimitSeconds",
            "$.queries[2].script",
            "$.queries[2].dependsOn[0]",
            "$.plans.serial",
            "$.plan"
        ]
    );
    assert_eq!(
        problems[3].to_string(),
        "config/workflows/review.json: $.queries[2].script: there is no file scripts/review/missing.sql; write the file, \
         or correct the path"
    );
}

#[test]
fn text_that_is_no_json_and_names_that_stand_twice() {
    let read = |text: &str| configuration::workflow(FILE, text, |_| true).unwrap_err();
    let problems = read("{\n  \"name\": \"review\", // why\n}");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].what.contains("line 2"), "{problems:?}");
    assert!(problems[0].remedy.contains("no comments"));
    assert!(read("").first().unwrap().what.contains("no JSON"));
    assert!(read("{} {}").first().unwrap().what.contains("no JSON"));
    let text = example().to_string().replace("\"parallel\":", "\"serial\":");
    let problems = read(&text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(
        (problems[0].path.as_str(), problems[0].what.as_str()),
        ("$.plans.serial", "the name stands twice in this object")
    );
}

#[test]
fn long_cycles_are_told_once_each() {
    let mut document = example();
    let names = ["a", "b", "c", "d", "e"];
    for (at, name) in names.iter().enumerate() {
        // a→b→c→a, d→e→d
        let on = ["b", "c", "a", "e", "d"][at];
        change(
            &mut document,
            "/queries/-",
            Some(json!({"name": name, "script": "s.sql", "timeLimitSeconds": 1, "dependsOn": [on]})),
        );
    }
    // Waits for a cycle without being part of it.
    change(&mut document, "/queries/3/dependsOn", Some(json!(["a"])));
    let problems = read(&document).unwrap_err();
    let texts: Vec<&str> = problems.iter().filter(|p| p.what.contains("each other")).map(|p| p.what.as_str()).collect();
    assert_eq!(
        texts,
        [
            "the queries wait for each other: a waits for b waits for c waits for a",
            "the queries wait for each other: d waits for e waits for d"
        ]
    );
}

#[test]
fn ten_thousand_queries_are_read_in_no_time() {
    let queries: Vec<Value> = (0..10_000)
        .map(|n| {
            let on: Vec<String> = if n % 100 == 0 { vec![] } else { vec![format!("q{}", n - 1)] };
            json!({"name": format!("q{n}"), "script": "s.sql", "timeLimitSeconds": 9, "dependsOn": on})
        })
        .collect();
    let mut document = example();
    change(&mut document, "/queries", Some(Value::Array(queries)));
    change(
        &mut document,
        "/plans",
        Some(json!({"all": {"segments": [{"name": "all", "queries": ["*"], "mode": "graph"}]}})),
    );
    change(&mut document, "/plan", Some(json!("all")));
    let workflow = read(&document).unwrap();
    assert_eq!(workflow.plans[0].segments[0].queries.len(), 10_000);
}

fn sections() -> Value {
    json!({"sections": [
        {"id": "nodes", "title": "Nodes", "about": "Disk.", "columns": {"used": {"title": "Used", "unit": "%"}, "x": {}},
         "chart": {"kind": "bar", "label": "node", "value": "used"}},
        {"id": "tables", "title": "Tables", "about": "Design.", "targets": ["serverless"]}
    ]})
}

fn rules() -> Value {
    json!({"rules": [
        {"id": "full", "section": "nodes", "signal": "Full", "when": "used > 75", "population": "nodes", "severity": "high",
         "recommendations": ["resize"]},
        {"id": "both", "section": "tables", "signal": "Both", "select": "SELECT 1", "population": "tables", "severity": "low",
         "recommendations": [], "targets": ["serverless"]}
    ]})
}

fn recommendations() -> Value {
    json!({"recommendations": [
        {"id": "resize", "title": "Resize", "text": "Do it.", "effort": "medium", "link": "https://docs.aws.amazon.com/x"},
        {"id": "other", "title": "Other", "text": "Do that.", "effort": "low"}
    ]})
}

#[test]
#[allow(clippy::type_complexity)]
fn a_report_is_read_and_its_mistakes_are_told() {
    let workflow = read(&example()).unwrap();
    let read = |documents: &[Value; 3]| {
        let texts = documents.each_ref().map(Value::to_string);
        let files = ReportFiles {
            folder: "config/review".into(),
            sections: &texts[0],
            rules: &texts[1],
            recommendations: &texts[2],
        };
        configuration::report(&files, Some(&workflow))
    };
    let schemas = ["sections", "rules", "recommendations"].map(schema);
    let right = [sections(), rules(), recommendations()];
    let report = read(&right).unwrap();
    for (document, schema) in right.iter().zip(&schemas) {
        assert!(schema.is_valid(document));
    }
    // Targets come down: query, section, rule.
    assert!(!report.sections[0].targets.has(Target::Serverless));
    assert!(!report.rules[0].targets.has(Target::Serverless));
    assert_eq!(report.sections[0].columns[0].unit.as_deref(), Some("%"));

    let cases: &[(usize, &str, Option<Value>, &str, &str, &str, bool)] = &[
        (0, "/sections/0/colour", Some(json!(1)), "$.sections[0].colour", "unknown field", "known here", true),
        (
            0,
            "/sections/0/id",
            Some(json!("node")),
            "$.sections[0].id",
            "no query \"node\" feeds",
            "did you mean \"nodes\"?",
            false,
        ),
        (
            0,
            "/sections/1/id",
            Some(json!("nodes")),
            "$.sections[1].id",
            "is taken by $.sections[0]",
            "another id",
            false,
        ),
        (0, "/sections/0/title", None, "$.sections[0]", "\"title\" is missing", "heading", true),
        (
            0,
            "/sections/0/targets",
            Some(json!(["serverless"])),
            "$.sections[0].targets",
            "is not for serverless",
            "remove the target",
            false,
        ),
        (
            0,
            "/sections/0/columns/used/unt",
            Some(json!("%")),
            "$.sections[0].columns.used.unt",
            "unknown field",
            "did you mean \"unit\"?",
            true,
        ),
        (
            0,
            "/sections/0/chart/kind",
            Some(json!("pie")),
            "$.sections[0].chart.kind",
            "\"pie\" is not known",
            "bar, line",
            true,
        ),
        (0, "/sections/0/chart/value", None, "$.sections[0].chart", "\"value\" is missing", "numbers", true),
        (
            1,
            "/rules/0/section",
            Some(json!("node")),
            "$.rules[0].section",
            "there is no section",
            "did you mean \"nodes\"?",
            false,
        ),
        (1, "/rules/0/select", Some(json!("SELECT 1")), "$.rules[0]", "both", "remove one", true),
        (1, "/rules/0/when", None, "$.rules[0]", "no condition", "add \"when\"", true),
        (
            1,
            "/rules/0/severity",
            Some(json!("bad")),
            "$.rules[0].severity",
            "\"bad\" is not known",
            "high, medium, low",
            true,
        ),
        (
            1,
            "/rules/0/recommendations",
            Some(json!(["resise"])),
            "$.rules[0].recommendations[0]",
            "there is no recommendation",
            "did you mean \"resize\"?",
            false,
        ),
        (1, "/rules/0/recommendations", None, "$.rules[0]", "\"recommendations\" is missing", "add a list", true),
        (1, "/rules/1/id", Some(json!("full")), "$.rules[1].id", "is taken by $.rules[0]", "another id", false),
        (
            1,
            "/rules/1/targets",
            Some(json!(["provisioned"])),
            "$.rules[1].targets",
            "is not for provisioned",
            "remove the target",
            false,
        ),
        (1, "/rules/0/population", Some(json!("")), "$.rules[0].population", "empty", "write something", true),
        (
            2,
            "/recommendations/0/link",
            Some(json!("javascript:alert(1)")),
            "$.recommendations[0].link",
            "is no address",
            "https://",
            true,
        ),
        (
            2,
            "/recommendations/0/effort",
            Some(json!("big")),
            "$.recommendations[0].effort",
            "not known",
            "low, medium, high",
            true,
        ),
        (2, "/recommendations/1/id", Some(json!("resize")), "$.recommendations[1].id", "is taken", "another id", false),
        (
            2,
            "/recommendation",
            Some(json!([])),
            "$.recommendation",
            "unknown field",
            "did you mean \"recommendations\"?",
            true,
        ),
    ];
    for (file, pointer, value, path, what, remedy, by_schema) in cases {
        let mut documents = right.clone();
        change(&mut documents[*file], pointer, value.clone());
        let problems = read(&documents).expect_err(pointer);
        let name = ["sections", "rules", "recommendations"][*file];
        assert!(
            problems.iter().any(|p| p.file == format!("config/review/{name}.json")
                && p.path == *path
                && p.what.contains(what)
                && p.remedy.contains(remedy)),
            "{pointer}: expected {path}: {what}; {remedy}\nfound {problems:#?}"
        );
        assert_eq!(!schemas[*file].is_valid(&documents[*file]), *by_schema, "{pointer}: whether the schema refuses it");
    }
}

#[test]
fn a_workflow_is_loaded_with_its_report() {
    let files = |key: &str| match key {
        FILE => Some(example().to_string()),
        "config/review/sections.json" => Some(sections().to_string()),
        "config/review/rules.json" => Some(rules().to_string()),
        "config/review/recommendations.json" => Some(recommendations().to_string()),
        _ => None,
    };
    let loaded = configuration::load("review", files, |_| true).unwrap();
    assert_eq!(loaded.report.unwrap().rules.len(), 2);

    let wrong = |key: &str| {
        files(key).map(|text| text.replace("\"plan\":\"mixed\"", "\"plan\":\"none\"").replace("\"high\"", "\"worst\""))
    };
    let problems = configuration::load("review", wrong, |_| true).unwrap_err();
    let places: Vec<_> = problems.iter().map(|p| (p.file.as_str(), p.path.as_str())).collect();
    assert_eq!(places, [(FILE, "$.plan"), ("config/review/rules.json", "$.rules[0].severity")]);

    let problems = configuration::load("other", files, |_| true).unwrap_err();
    assert!(problems[0].what.contains("no workflow \"other\""));
}
