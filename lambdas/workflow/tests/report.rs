//! The report: rules over results, the comparison with the run before, the page. The page that the last test makes lies
//! in the target folder (`tmp/report.html`), to be looked at.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};
use workflow::address::{Address, Link};
use workflow::configuration::{self, Report, ReportFiles, Target, Workflow};
use workflow::manifest::Manifest;
use workflow::plan::Plan;
use workflow::report::{self, Change, Findings, Limits, Page, Review, Value, Why};
use workflow::status::{Failure, State, Status};
use workflow::summary::Summary;

const TEMPLATE: &str = include_str!("../../../config/review/report.html");

fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_000_000_000 + ms).unwrap()
}

fn read_report(sections: &Json, rules: &Json, recommendations: &Json) -> Report {
    let texts = [
        json!({"sections": sections}).to_string(),
        json!({"rules": rules}).to_string(),
        json!({"recommendations": recommendations}).to_string(),
    ];
    let files =
        ReportFiles { folder: "config/x".into(), sections: &texts[0], rules: &texts[1], recommendations: &texts[2] };
    configuration::report(&files, None).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A result of `name:type` columns; cells are JSON: null, true, numbers, text.
fn result(columns: &[&str], rows: &[Json]) -> String {
    let columns: Vec<Json> = columns
        .iter()
        .map(|column| column.split_once(':').map(|(name, kind)| json!({"name": name, "typeName": kind})).unwrap())
        .collect();
    let records: Vec<Vec<Json>> = rows
        .iter()
        .map(|row| {
            row.as_array()
                .unwrap()
                .iter()
                .map(|cell| match cell {
                    Json::Null => json!({"isNull": true}),
                    Json::Bool(value) => json!({"booleanValue": value}),
                    Json::Number(value) if value.is_f64() => json!({"doubleValue": value}),
                    Json::Number(value) => json!({"longValue": value}),
                    other => json!({"stringValue": other}),
                })
                .collect()
        })
        .collect();
    json!({"ColumnMetadata": columns, "TotalNumRows": records.len(), "Records": records}).to_string()
}

fn one_rule(condition: &str, value: &str) -> Report {
    let mut rule = json!({"id": "rule", "section": "nodes", "signal": "It fires", "population": "nodes", "severity": "high", "recommendations": []});
    rule[condition] = json!(value);
    read_report(
        &json!([{"id": "nodes", "title": "Nodes", "about": "x"}, {"id": "big-tables", "title": "Big tables", "about": "x"}]),
        &json!([rule]),
        &json!([]),
    )
}

fn nodes() -> String {
    result(
        &["node:int4", "used:numeric", "kind:varchar", "leader:bool", "load:float8", "at:timestamp"],
        &[
            json!([0, "80.50", "ra3", true, 0.5, "2026-11-20 10:00:00"]),
            json!([1, "9.25", "dc2", false, 1.5, "2026-11-21 10:00:00.5"]),
            json!([2, null, "", false, null, null]),
        ],
    )
}

fn evaluate(report: &Report, tables: bool) -> Findings {
    let mut review = Review::new(report, Target::Provisioned, Limits::default()).unwrap();
    review.load("nodes", nodes().as_bytes(), Some(3)).unwrap();
    if tables {
        let rows: Vec<Json> = (0..2).map(|n| json!([n, "orders"])).collect();
        review.load("big-tables", result(&["node:int4", "name:varchar"], &rows).as_bytes(), None).unwrap();
    }
    review.evaluate()
}

#[test]
fn predicates_and_selects() {
    // Condition, text, rows matched; of a population where it is a predicate.
    let cases = [
        ("when", "used > 75", 1),
        ("when", "used > 9", 2),
        ("when", "used > 100", 0),
        ("when", "used is null", 1),
        ("when", "leader", 1),
        ("when", "not leader", 2),
        ("when", "kind = ''", 1),
        ("when", "kind like 'dc2%' or \"load\" < 1", 2),
        ("when", "at >= '2026-11-21'", 1),
        ("when", "node in (1, 2) -- a comment", 2),
        ("when", "used > (select avg(used) from nodes)", 1),
        ("select", "select n.node, t.name from nodes n join big_tables t on t.node = n.node", 2),
        ("select", "SELECT count(*) AS nodes FROM nodes HAVING count(*) > 2;", 1),
        ("select", "WITH a AS (SELECT 1 AS one) SELECT * FROM a WHERE one = 2", 0),
    ];
    for (condition, text, matched) in cases {
        let findings = evaluate(&one_rule(condition, text), true);
        assert_eq!(findings.not_evaluated, [], "{text}");
        assert_eq!(findings.evaluated, 1);
        assert_eq!(findings.findings.first().map_or(0, |finding| finding.matched), matched, "{text}");
        if let Some(finding) = findings.findings.first() {
            assert_eq!(finding.total, (condition == "when").then_some(3), "{text}");
        }
    }
}

#[test]
fn values_keep_their_kinds() {
    let findings = evaluate(&one_rule("when", "node < 3 and used is not null"), false);
    let finding = &findings.findings[0];
    assert_eq!(finding.columns, ["node", "used", "kind", "leader", "load", "at"]);
    assert_eq!(
        finding.rows[0],
        [
            Value::Integer(0),
            Value::Real(80.5),
            Value::Text("ra3".into()),
            Value::Boolean(true),
            Value::Real(0.5),
            Value::Text("2026-11-20 10:00:00".into())
        ]
    );
    assert!((finding.share() - 2.0 / 3.0).abs() < 1e-9);
}

#[test]
fn a_rule_that_cannot_run_is_told() {
    let cases = [
        ("when", "usde > 75", "no such column: usde"),
        ("when", "\"usde\" > 75", "no such column"),
        ("when", "used >", "syntax error"),
        ("when", "count(*) > 1", "misuse of aggregate"),
        ("when", "nosuch(used)", "no such function: nosuch"),
        ("when", "load_extension('x')", "not authorized"),
        ("select", "select * from nodse", "no such table: nodse"),
        ("select", "delete from nodes", "syntax error"),
        ("select", "select 1; drop table nodes", "syntax error"),
        ("select", "attach 'x' as y", "syntax error"),
        ("select", "pragma table_list", "no such table: pragma"),
        ("select", "select * from pragma_table_list", "not authorized"),
        (
            "select",
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
            "takes too long",
        ),
        ("select", "select zeroblob(1000000000)", "too big"),
    ];
    for (condition, text, says) in cases {
        let findings = evaluate(&one_rule(condition, text), true);
        assert_eq!((findings.findings.len(), findings.evaluated), (0, 0), "{text}");
        let Why::Rule(message) = &findings.not_evaluated[0].why else { panic!("{text}: {findings:?}") };
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn sql_that_cannot_be_read_is_told_before_any_run() {
    for (condition, text, wrong) in [
        ("when", "used > 75", false),
        ("when", "no_such_column = 1 and f(x)", false),
        ("select", "select * from nowhere;", false),
        ("when", "used > ", true),
        ("when", "used > 'open", true),
        ("select", "selct 1", true),
        ("select", "select 1; select 2", true),
    ] {
        let problems = report::check_rules("config/x", &one_rule(condition, text)).unwrap();
        assert_eq!(!problems.is_empty(), wrong, "{text}: {problems:?}");
        if let Some(problem) = problems.first() {
            assert_eq!(problem.path, format!("$.rules[0].{condition}"));
        }
    }
}

/// The contrast of two colours as WCAG 2.2 has it.
fn contrast(one: &str, other: &str) -> f64 {
    let light = |colour: &str| {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    };
    let (one, other) = (light(one) + 0.05, light(other) + 0.05);
    if one > other { one / other } else { other / one }
}

#[test]
fn letters_stand_out_in_light_and_dark() {
    let light = TEMPLATE.split(":root {").nth(1).unwrap();
    let dark = TEMPLATE.split("prefers-color-scheme: dark").nth(1).unwrap();
    for (mode, css) in [("light", light), ("dark", dark)] {
        let colour = |name: &str| {
            let start = css.split(&format!("--{name}: ")).nth(1).unwrap_or_else(|| panic!("{mode} has no {name}"));
            let colour: String = start.chars().take_while(|c| *c != ';').collect();
            colour
        };
        for (letters, ground) in [
            ("ink", "page"),
            ("ink", "card"),
            ("ink", "faint"),
            ("soft", "page"),
            ("soft", "card"),
            ("soft", "faint"),
            ("link", "page"),
            ("link", "card"),
            ("high", "high-bg"),
            ("medium", "medium-bg"),
            ("low", "low-bg"),
            ("good", "good-bg"),
            ("new", "new-bg"),
            ("high", "card"),
            ("medium", "card"),
            ("low", "card"),
            ("high", "faint"),
        ] {
            let contrast = contrast(&colour(letters), &colour(ground));
            assert!(contrast >= 4.5, "{mode}: {letters} on {ground} has {contrast:.2}");
        }
    }
}

#[test]
fn a_section_without_rows_of_its_own_silences_nothing() {
    let missing =
        |condition: &str, text: &str| evaluate(&one_rule(condition, text), false).not_evaluated[0].why.clone();
    assert_eq!(missing("select", "select * from big_tables"), Why::SectionMissing("big-tables".into()));
    let report = one_rule("when", "used > 75");
    let mut review = Review::new(&report, Target::Provisioned, Limits::default()).unwrap();
    // A result that is cut short is not loaded at all.
    let cut = nodes().replace("\"TotalNumRows\":3", "\"TotalNumRows\":120");
    assert!(review.load("nodes", cut.as_bytes(), None).is_err());
    assert_eq!(review.evaluate().not_evaluated[0].why, Why::SectionMissing("nodes".into()));
    // No rows are rows enough: the rule was evaluated and found nothing.
    let mut review = Review::new(&report, Target::Provisioned, Limits::default()).unwrap();
    review.load("nodes", result(&["used:numeric"], &[]).as_bytes(), Some(0)).unwrap();
    let findings = review.evaluate();
    assert_eq!((findings.evaluated, findings.findings.len(), findings.not_evaluated.len()), (1, 0, 0));
}

#[test]
fn what_is_too_much_is_counted_and_said() {
    let report = one_rule("when", "n >= 0");
    let rows: Vec<Json> = (0..50).map(|n| json!([n, "x".repeat(100)])).collect();
    let text = result(&["n:int4", "t:varchar"], &rows);
    for (limits, examined) in [
        (Limits { rows_examined: 20, ..Limits::default() }, 20),
        (Limits { bytes_examined: 1200, ..Limits::default() }, 10),
        (Limits::default(), 50),
    ] {
        let mut review = Review::new(&report, Target::Provisioned, limits).unwrap();
        review.load("nodes", text.as_bytes(), Some(50)).unwrap();
        let finding = &review.evaluate().findings[0];
        assert_eq!((finding.matched, finding.total), (examined, Some(examined)));
        assert_eq!(finding.rows.len(), 10);
    }
}

#[test]
fn columns_of_the_same_name_are_all_there() {
    let report = one_rule("when", "a = 1 and a_2 = 2 and \"A_3\" = 3");
    let mut review = Review::new(&report, Target::Provisioned, Limits::default()).unwrap();
    review.load("nodes", result(&["a:int4", "A:int4", "a:int4"], &[json!([1, 2, 3])]).as_bytes(), None).unwrap();
    let findings = review.evaluate();
    assert_eq!((findings.findings.len(), findings.not_evaluated), (1, vec![]));
}

fn finding_summary(rules: &[(&str, u64)], not_evaluated: &[&str]) -> Summary {
    let records: Vec<Json> = rules
        .iter()
        .map(|(rule, matched)| json!({"rule": rule, "section": "s", "signal": format!("{rule} fires"), "severity": "low", "matched": matched, "total": 9}))
        .collect();
    serde_json::from_value(json!({
        "workflow": "review", "plan": "serial", "target": "provisioned", "runId": "r0", "prefix": "p/", "ending": "SUCCEEDED",
        "startedAt": "2026-11-14T07:00:00Z", "endedAt": "2026-11-14T07:01:00Z", "rounds": 1,
        "counts": {"queries": 1, "finished": 1, "failed": 0, "aborted": 0, "skipped": 0, "off": 0, "open": 0},
        "rows": 1, "bytes": 1, "failures": [], "timeLine": [], "findings": records, "notEvaluated": not_evaluated
    }))
    .unwrap()
}

#[test]
fn the_change_since_the_run_before() {
    let rule = |id: &str, when: &str| json!({"id": id, "section": "nodes", "signal": id, "when": when, "population": "nodes", "severity": "low", "recommendations": []});
    let report = read_report(
        &json!([{"id": "nodes", "title": "Nodes", "about": "x"}]),
        &json!([
            rule("new", "true"),
            rule("still", "node > 0"),
            rule("quiet", "false"),
            rule("wrong", "nothing > 1"),
            rule("was-wrong", "true")
        ]),
        &json!([]),
    );
    let findings = evaluate(&report, false);
    let before = finding_summary(&[("still", 5), ("quiet", 2), ("wrong", 1), ("removed", 1)], &["was-wrong"]);
    let change = Change::new(&findings, &before);
    assert_eq!(change.new, ["new"]);
    assert_eq!(change.still, [("still".to_owned(), 5)]);
    assert_eq!(change.gone.iter().map(|record| record.rule.as_str()).collect::<Vec<_>>(), ["quiet", "removed"]);
    assert_eq!(change.unknown, ["was-wrong", "wrong"]);
    let mut summary = finding_summary(&[], &[]);
    findings.record(&mut summary);
    assert_eq!(summary.findings.len(), 3);
    assert_eq!(summary.not_evaluated, ["wrong"]);
    let again = Change::new(&findings, &summary);
    assert_eq!((again.new.len(), again.gone.len(), again.still.len(), again.unknown.len()), (0, 0, 3, 0));
}

#[test]
fn what_touches_most_stands_first() {
    let rule = |id: &str, when: &str, severity: &str, recommendations: &[&str]| json!({"id": id, "section": "nodes", "signal": id, "when": when, "population": "nodes", "severity": severity, "recommendations": recommendations});
    let advice = |id: &str| json!({"id": id, "title": id, "text": "x", "effort": "low"});
    let report = read_report(
        &json!([{"id": "nodes", "title": "Nodes", "about": "x"}]),
        &json!([
            rule("one-high", "node = 0", "high", &["a", "b"]),
            rule("all-low", "true", "low", &["c"]),
            rule("two-medium", "node > 0", "medium", &["b"])
        ]),
        &json!([advice("a"), advice("b"), advice("c"), advice("unused")]),
    );
    let findings = evaluate(&report, false);
    let order: Vec<&str> = findings.findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(order, ["one-high", "two-medium", "all-low"]);
    let ranked = report::rank(&findings);
    let order: Vec<_> =
        ranked.iter().map(|ranked| (ranked.id.as_str(), ranked.weight, ranked.findings.len())).collect();
    assert_eq!(order, [("b", 5.0, 2), ("a", 3.0, 1), ("c", 1.0, 1)]);
}

#[test]
fn templates_are_checked_and_their_errors_name_the_line() {
    report::check_template("report.html", TEMPLATE).unwrap();
    let error = report::check_template("report.html", "<p>\n{% for x in %}").unwrap_err().to_string();
    assert!(error.contains("report.html") && error.contains("line 2"), "{error}");
    let sample = Sample::new();
    let error = sample.render("a\n{{ run.wrokflow }}").unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn whatever_the_template_is_called_values_are_never_markup() {
    let html = Sample::new()
        .render("{{ title }} {% for s in sections %}{{ s.about }}{% endfor %} {{ 'a `b<c>` d' | code }}")
        .unwrap();
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");
    assert!(html.ends_with("a <code>b&lt;c&gt;</code> d"), "{html}");
}

/// A run of some sections, with everything that a report can show.
struct Sample {
    workflow: Workflow,
    report: Report,
    plan: Plan,
    summary: Summary,
    results: HashMap<&'static str, String>,
    findings: Findings,
}

impl Sample {
    #[allow(clippy::too_many_lines)]
    fn new() -> Self {
        let names = ["preflight", "nodes", "tables", "queries", "usage", "loads", "locks", "spectrum"];
        let queries: Vec<Json> = names
            .iter()
            .map(|name| json!({"name": name, "script": "s.sql", "timeLimitSeconds": 60, "status": if *name == "spectrum" { "SKIPPED" } else { "INITIAL" }}))
            .collect();
        let document = json!({"name": "review", "timeLimitSeconds": 600, "queries": queries, "plan": "only",
            "plans": {"only": {"segments": [{"name": "system", "queries": ["preflight", "nodes", "tables"]}, {"name": "queries", "queries": ["*"]}]}}});
        let workflow =
            configuration::workflow("config/workflows/review.json", &document.to_string(), |_| true).unwrap();
        let report = read_report(
            &json!([
                {"id": "preflight", "title": "Preflight", "about": "What the review may see."},
                {"id": "nodes", "title": "Nodes and storage", "about": "How full each node’s disks are, and how evenly the data lies on them.",
                 "columns": {"used_percent": {"title": "Used", "unit": "%"}, "used_gb": {"title": "Used", "unit": "GB"}},
                 "chart": {"kind": "bar", "label": "node", "value": "used_percent"}},
                {"id": "tables", "title": "Table design", "about": "Sort and distribution keys, encoding, skew and statistics of the largest tables.",
                 "columns": {"size_mb": {"title": "Size", "unit": "MB"}, "stats_off": {"title": "Statistics off", "unit": "%"}},
                 "chart": {"kind": "bar", "label": "table_name", "value": "size_mb"}},
                {"id": "queries", "title": "Top queries", "about": "Where the time of the last seven days went. <script>alert(1)</script>"},
                {"id": "usage", "title": "Usage pattern", "about": "Queries by the hour.",
                 "chart": {"kind": "line", "label": "hour", "value": "queries"}},
                {"id": "loads", "title": "COPY performance", "about": "How the loads went."},
                {"id": "locks", "title": "Lock waits", "about": "Who waited for whom."},
                {"id": "spectrum", "title": "Spectrum", "about": "Queries on files in Amazon S3."}
            ]),
            &json!([
                {"id": "limited-view", "section": "preflight", "signal": "The login sees only its own statements: rows of other users are missing", "when": "not sees_everything",
                 "population": "logins", "severity": "high", "recommendations": ["grant-monitor"]},
                {"id": "disk-nearly-full", "section": "nodes", "signal": "Nodes use more than 75 % of their disk", "when": "used_percent > 75",
                 "population": "nodes", "severity": "high", "recommendations": ["resize", "vacuum"], "source": "AWS’s own review warns from 70 %."},
                {"id": "stale-statistics", "section": "tables", "signal": "Statistics are more than 10 % off", "when": "stats_off > 10",
                 "population": "tables", "severity": "medium", "recommendations": ["analyze"]},
                {"id": "no-sort-key", "section": "tables", "signal": "Large tables have no sort key", "when": "sort_key is null and size_mb > 2000",
                 "population": "tables", "severity": "medium", "recommendations": ["sort-key"]},
                {"id": "wide-varchar", "section": "tables", "signal": "Columns are wider than 1,000 characters", "when": "max_varchar > 1000",
                 "population": "tables", "severity": "low", "recommendations": ["narrow"]},
                {"id": "broken-rule", "section": "tables", "signal": "Tables are skewed", "when": "skew_rwos > 4",
                 "population": "tables", "severity": "low", "recommendations": []},
                {"id": "slow-queries", "section": "queries", "signal": "Queries run more than 600 times", "when": "runs > 600",
                 "population": "queries", "severity": "low", "recommendations": ["sort-key", "analyze"]},
                {"id": "many-small-loads", "section": "loads", "signal": "Loads are small", "when": "mb < 1", "population": "loads", "severity": "low", "recommendations": []},
                {"id": "long-locks", "section": "locks", "signal": "Locks are waited for", "when": "seconds > 60", "population": "waits", "severity": "medium", "recommendations": []}
            ]),
            &json!([
                {"id": "grant-monitor", "title": "Give the review’s login the role sys:monitor", "text": "Run `GRANT ROLE sys:monitor TO \"reviewer\"` as a superuser. The role reads system tables and nothing else.", "effort": "low", "link": "https://docs.aws.amazon.com/redshift/latest/dg/r_roles-default.html"},
                {"id": "resize", "title": "Resize the cluster", "text": "Fit the number or type of nodes to the data and the work. An elastic resize takes minutes and keeps the endpoint.", "effort": "medium", "link": "https://docs.aws.amazon.com/redshift/latest/mgmt/resizing-cluster.html"},
                {"id": "vacuum", "title": "Free what was deleted", "text": "Run `VACUUM DELETE ONLY sales.orders` on the tables with many deleted rows.", "effort": "low"},
                {"id": "analyze", "title": "Bring statistics up to date", "text": "Run `ANALYZE sales.orders PREDICATE COLUMNS` after each load. The planner guesses without them, and guesses badly for joins.", "effort": "low", "link": "https://docs.aws.amazon.com/redshift/latest/dg/r_ANALYZE.html"},
                {"id": "sort-key", "title": "Give large tables a sort key", "text": "`ALTER TABLE sales.orders ALTER SORTKEY AUTO` lets Redshift choose; for time series take the column that queries filter by.", "effort": "medium"},
                {"id": "narrow", "title": "Narrow wide columns", "text": "Declare columns as wide as their data. Intermediate results are laid out at the declared width.", "effort": "high"}
            ]),
        );
        let plan = Plan::new(&workflow, None, Target::Provisioned, "5f2c9a", time(0)).unwrap();
        let results = Self::results();
        let summary = Self::summary(&plan, &results);
        let mut sample = Self { workflow, report, plan, summary, results, findings: Findings::default() };
        sample.findings = sample.review().evaluate();
        let findings = sample.findings.clone();
        findings.record(&mut sample.summary);
        sample
    }

    fn results() -> HashMap<&'static str, String> {
        let tables: Vec<Json> = (0..64)
            .map(|n| {
                let size = 90_000 / (n + 1) + n % 7;
                let key = if n % 3 == 0 { Json::Null } else { json!("created_at") };
                json!([
                    "sales",
                    format!("orders_{}", 2026 - n),
                    size,
                    key,
                    format!("{}.50", (n * 7) % 40),
                    if n == 5 { 4000 } else { 64 },
                    n % 2 == 0
                ])
            })
            .collect();
        let text = "SELECT c.region, date_trunc('month', o.created_at) AS month, sum(o.amount) AS revenue\nFROM sales.orders o JOIN sales.customers c ON c.id = o.customer_id\nWHERE o.created_at > '2026-01-01' AND c.name <> 'Müller & Söhne <intern>'\nGROUP BY 1, 2 ORDER BY 3 DESC";
        let queries: Vec<Json> =
            (0..20).map(|n| json!([1_000_000 + n, text, (20 - n) * 47, 20.5 - f64::from(n), null])).collect();
        let usage: Vec<Json> = (0..168)
            .map(|hour| {
                let at = time(0) - TimeDelta::hours(hour);
                let busy = ((hour % 24) - 12).abs();
                json!([
                    at.format("%Y-%m-%d %H:00:00").to_string(),
                    40 + busy * busy * 9 + (hour * 37) % 50,
                    (hour * 13) % 11
                ])
            })
            .collect();
        HashMap::from([
            ("preflight", result(&["login:varchar", "sees_everything:bool"], &[json!(["reviewer", false])])),
            (
                "nodes",
                result(
                    &["node:int4", "node_type:varchar", "used_gb:int8", "capacity_gb:int8", "used_percent:numeric"],
                    &[
                        json!([0, "ra3.xlplus", 3_812, 4_096, "93.07"]),
                        json!([1, "ra3.xlplus", 3_150, 4_096, "76.90"]),
                        json!([2, "ra3.xlplus", 1_702, 4_096, "41.55"]),
                        json!([3, "ra3.xlplus", 1_650, 4_096, "40.28"]),
                    ],
                ),
            ),
            (
                "tables",
                result(
                    &[
                        "schema_name:varchar",
                        "table_name:varchar",
                        "size_mb:int8",
                        "sort_key:varchar",
                        "stats_off:numeric",
                        "max_varchar:int4",
                        "encoded:bool",
                    ],
                    &tables,
                ),
            ),
            (
                "queries",
                result(
                    &["query_id:int8", "example:varchar", "runs:int8", "total_seconds:float8", "spilled_mb:float8"],
                    &queries,
                ),
            ),
            ("usage", result(&["hour:timestamp", "queries:int8", "failed:int8"], &usage)),
            ("locks", result(&["waiter:varchar", "seconds:float8"], &[])),
        ])
    }

    fn summary(plan: &Plan, results: &HashMap<&'static str, String>) -> Summary {
        let mut statuses: HashMap<String, Status> = HashMap::new();
        for (at, (_, query)) in plan.queries().enumerate() {
            let at = i64::try_from(at).unwrap();
            let started = Some(time(180 * at));
            let status = match query.name.as_str() {
                "loads" => Status::new("loads", State::Failed, 3)
                    .with_error(Failure {
                        name: "Redshift.UndefinedObject".into(),
                        message: "ERROR: relation \"stl_load_commits\" does not exist\n  Position: 15".into(),
                        class: Some("UndefinedObject".into()),
                        transient: Some(false),
                    })
                    .with_times(started, Some(time(180 * at + 700))),
                name => {
                    let rows = results.get(name).map_or(0, |text| text.matches("],[").count() as u64 + 1);
                    let answer = json!({"rows": rows, "bytes": rows * 80, "durationMs": 90});
                    Status::new(name, State::Finished, if name == "queries" { 2 } else { 1 })
                        .with_answer(&answer)
                        .with_times(started, Some(time(180 * at + 260 + (at * 331) % 900)))
                }
            };
            if query.skipped.is_none() {
                statuses.insert(query.name.clone(), status);
            }
        }
        let manifests: Vec<Manifest> = plan
            .segments
            .iter()
            .map(|segment| Manifest::new(plan, segment, |_, query| statuses.get(&query.name), false, time(2_600)))
            .collect();
        let mut summary = Summary::new(plan, &manifests, time(2_600));
        summary.count(54);
        summary
    }

    fn review(&self) -> Review<'_> {
        let mut review = Review::new(&self.report, Target::Provisioned, Limits::default()).unwrap();
        for section in self.report.sections.iter() {
            if let Some(text) = self.results.get(section.id.as_str()) {
                review.load(&section.id, text.as_bytes(), None).unwrap();
            }
        }
        review
    }

    fn render(&self, template: &str) -> Result<String, report::Error> {
        let review = self.review();
        let findings = review.evaluate();
        let before = finding_summary(
            &[("disk-nearly-full", 1), ("stale-statistics", 40), ("long-locks", 4), ("many-small-loads", 2)],
            &[],
        );
        let address = |key: String| Address {
            link: Some(Link {
                href: format!(
                    "https://bucket.s3.eu-central-1.amazonaws.com/{key}?X-Amz-Signature=0&X-Amz-Expires=3600"
                ),
                until: Some(time(3_600_000)),
            }),
            place: format!("s3://bucket/{key}"),
        };
        let page = Page {
            description: "Looks at nodes, tables, queries and loads",
            plan: &self.plan,
            summary: &self.summary,
            findings: &findings,
            previous: Some(&before),
            made_at: time(3_000),
            csv: &|section: &str| Some(address(self.plan.keys().csv(section))),
            results: Some(address(self.plan.prefix.clone())),
        };
        assert_eq!(self.workflow.queries.len(), 8);
        report::render("report.html", template, &review, &page)
    }
}

#[test]
fn the_page_says_everything() {
    let sample = Sample::new();
    let html = sample.render(TEMPLATE).unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    std::fs::write(&path, &html).unwrap();
    // The template's own way of escaping is not what is looked at.
    let html = html.replace("&#x2f;", "/");
    for says in [
        // What could not be seen, at the top.
        "What this review could not see",
        "The login sees only its own statements",
        "its query did not finish (Redshift.UndefinedObject)",
        // Status, severities, share, change.
        "Partial: 1 of 7 queries never succeeded",
        "2 of 4 nodes",
        "more: 1 → 2",
        "was 4 rows",
        "cannot be evaluated in this run",
        // A rule that is wrong.
        "no such column: skew_rwos",
        // Sections.
        "The query gave no rows.",
        "configured off",
        "the first 25 of 64 rows",
        "Highest:",
        // Links with their ends beside plain addresses.
        "(link until 18 Nov 2026, 12:06 UTC)",
        "<code>s3://bucket/runs/review/20261118T110640Z-5f2c9a/results/nodes.csv</code>",
        // How the run went.
        "relation &quot;stl_load_commits&quot; does not exist",
        "54 state transitions",
        "Müller &amp; Söhne &lt;intern&gt;",
        "<code>VACUUM DELETE ONLY sales.orders</code>",
    ] {
        assert!(html.contains(says), "the page does not say {says:?}: {}", path.display());
    }
    // Nothing from elsewhere, nothing from the data as markup.
    assert!(!html.contains("<script>alert"));
    for loads in ["src=", "@import", "url(", "<link", "<iframe", "<img"] {
        assert!(!html.contains(loads), "{loads}");
    }
    assert_eq!(html.matches("<h1").count(), 1);
    assert_eq!(html.matches("<main").count(), 1);
    // Every link within the page has its place, every place its own name.
    let ids: Vec<&str> = html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let unique: std::collections::HashSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "ids stand twice");
    for rest in html.split("href=\"#").skip(1) {
        let target = rest.split('"').next().unwrap();
        assert!(unique.contains(target), "nothing is at #{target}");
    }
    for tag in ["section", "details", "table", "ul", "ol", "li", "div", "figure", "svg", "p", "span", "td", "tr"] {
        let open = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(open, html.matches(&format!("</{tag}>")).count(), "<{tag}> is not closed as often as opened");
    }
}
