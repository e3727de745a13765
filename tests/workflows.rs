//! What the project promises of a configured workflow, shown on the whole stack: rounds, limits, what is kept and what is
//! said, however the run ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use cloud::trace::What;
use serde_json::{Value, json};
use workflow::manifest::{Ending, Manifest};
use workflow::plan::{Keys, run_prefix};
use workflow::summary::Summary;
use world::{Ended, World, until};

/// A query that only a time limit or a cancel ends, and rows enough for it.
const ENDLESS: &str = "select count(*) from big a, big b, big c";
const BIG: &str = "create table big as with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) select i from n";

/// A workflow's file and its SQL files: two files for each query, and nothing else makes a query.
struct Files {
    name: String,
    document: Value,
    scripts: BTreeMap<String, String>,
}

impl Files {
    fn new(name: &str) -> Self {
        let document = json!({
            "name": name, "timeLimitSeconds": 600, "queries": [], "plan": "only",
            "plans": {"only": {"segments": [{"name": "all", "queries": ["*"]}]}},
        });
        Self { name: name.into(), document, scripts: BTreeMap::new() }
    }

    fn query(mut self, name: &str, sql: &str, more: Value) -> Self {
        let script = format!("scripts/{}/{name}.sql", self.name);
        let mut query = json!({"name": name, "script": script, "timeLimitSeconds": 60});
        query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.document["queries"].as_array_mut().unwrap().push(query);
        self.scripts.insert(script, sql.into());
        self
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.document[field] = value;
        self
    }

    /// Puts the files where a deployment puts them.
    async fn put(&self, world: &World) {
        let bucket = &world.cloud.outputs()["AssetsBucket"];
        let key = format!("config/workflows/{}.json", self.name);
        world.cloud.put_object(bucket, &key, self.document.to_string().as_bytes()).await.unwrap();
        for (key, sql) in &self.scripts {
            world.cloud.put_object(bucket, key, sql.as_bytes()).await.unwrap();
        }
    }
}

/// A run of a workflow that has ended.
struct Run {
    ended: Ended,
    prefix: String,
}

impl Run {
    async fn start(world: &World, workflow: &str) -> String {
        world.cloud.start_execution("StateMachines/Workflow", &json!({"workflow": workflow})).await.unwrap()
    }

    async fn end(world: &World, workflow: &str, execution: &str) -> Self {
        let ended = world.end(execution).await;
        let body = json!({"executionArn": execution});
        let described = world.cloud.call("states", "DescribeExecution", body).await.unwrap();
        let started = (described["startDate"].as_f64().unwrap() * 1000.0).round();
        #[allow(clippy::cast_possible_truncation)]
        let started = chrono::DateTime::from_timestamp_millis(started as i64).unwrap();
        Self { ended, prefix: run_prefix(workflow, started, described["name"].as_str().unwrap()) }
    }

    async fn of(world: &World, files: &Files) -> Self {
        files.put(world).await;
        let execution = Self::start(world, &files.name).await;
        Self::end(world, &files.name, &execution).await
    }

    async fn object(&self, world: &World, key: &str) -> Option<Vec<u8>> {
        let bucket = &world.cloud.outputs()["ResultsBucket"];
        world.cloud.get_object(bucket, key).await.ok().map(|bytes| bytes.to_vec())
    }

    async fn summary(&self, world: &World) -> Summary {
        let text = self.object(world, &Keys(&self.prefix).summary()).await.expect("a summary");
        serde_json::from_slice(&text).unwrap()
    }

    async fn manifest(&self, world: &World, segment: &str) -> Manifest {
        let text = self.object(world, &Keys(&self.prefix).manifest(segment)).await.expect("a manifest");
        serde_json::from_slice(&text).unwrap()
    }

    async fn csv(&self, world: &World, result: &str) -> Option<String> {
        let text = self.object(world, &Keys(&self.prefix).csv(result)).await?;
        Some(String::from_utf8(text).unwrap())
    }
}

/// The statements that the Data API knows, by the script's query: how often each was submitted.
async fn executions(world: &World) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let listed = world.cloud.call("states", "ListStateMachines", json!({})).await.unwrap();
    let machine = listed["stateMachines"]
        .as_array()
        .unwrap()
        .iter()
        .find(|machine| machine["name"] == "whole-statement")
        .unwrap()["stateMachineArn"]
        .clone();
    let mut token = Value::Null;
    loop {
        let mut body = json!({"stateMachineArn": machine, "maxResults": 1000});
        if !token.is_null() {
            body["nextToken"] = token;
        }
        let page = world.cloud.call("states", "ListExecutions", body).await.unwrap();
        for execution in page["executions"].as_array().unwrap() {
            // `<run: a UUID>-<round>-<query>`
            if let Some(query) = execution["name"].as_str().unwrap().get(39..) {
                *found.entry(query.to_owned()).or_default() += 1;
            }
        }
        token = page["nextToken"].clone();
        if token.is_null() {
            return found;
        }
    }
}

/// How many of the endless queries the database itself is at work on.
async fn running(world: &World) -> i64 {
    let sql = "select count(*) from pg_stat_activity where state = 'active' and query like '%big a, ' || 'big b%'";
    world.sql(sql).await[0].as_i64().unwrap()
}

fn mailed(world: &World) -> Vec<String> {
    let mut mails: Vec<_> =
        std::fs::read_dir(world.cloud.outbox()).unwrap().map(|entry| entry.unwrap().path()).collect();
    mails.sort();
    mails.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_fails_twice_and_then_works_needs_three_rounds_and_no_other_is_run_again() {
    let world = World::start().await;
    // What a failed batch inserted is gone, but not the numbers that its identity column gave away.
    world.sql("create table tries (number int identity(1, 1), a int)").await;
    let files = Files::new("stubborn")
        .query("before", "select 'before' as said", json!({}))
        .query(
            "flaky",
            "insert into tries (a) values (1); select 1 / (case when max(number) >= 3 then 1 else 0 end) as one from tries",
            json!({}),
        )
        .query("behind", "select count(*) as tries from tries", json!({"dependsOn": ["flaky"]}))
        .query("after", "select 'after' as said", json!({}));
    let run = Run::of(&world, &files).await;
    assert_eq!(run.ended.status, "SUCCEEDED", "{:?}", run.ended);
    let summary = run.summary(&world).await;
    assert_eq!((summary.ending, summary.rounds, summary.counts.finished), (Ending::Succeeded, 3, 4), "{summary:?}");
    let ran = executions(&world).await;
    let expected =
        [("after", 1), ("before", 1), ("behind", 1), ("flaky", 3)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(ran, expected.into());
    assert_eq!(run.csv(&world, "flaky").await.unwrap(), "one\r\n1\r\n", "the last result of several statements");
    assert_eq!(run.csv(&world, "behind").await.unwrap(), "tries\r\n1\r\n", "only the last try is there");
    let manifest = run.manifest(&world, "all").await;
    let rounds: Vec<_> =
        manifest.queries.iter().map(|entry| (entry.status.query.as_str(), entry.status.round)).collect();
    assert_eq!(rounds, [("before", 1), ("flaky", 3), ("behind", 3), ("after", 1)]);
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_succeeds_is_named_in_error_message_and_report_and_permanent_errors_are_tried_once() {
    let world = World::start_telling("dba@example.com").await;
    let files = Files::new("broken")
        .query("fine", "select 1 as one", json!({}))
        .query("typo", "selec 1", json!({}))
        .query("zero", "select 1 / 0", json!({}))
        .query("missing", "select * from nowhere", json!({}))
        .query("behind", "select 2", json!({"dependsOn": ["typo"]}))
        .with("rounds", json!(2));
    let mut seen = world.cloud.trace();
    let run = Run::of(&world, &files).await;
    assert_eq!(
        (run.ended.status.as_str(), run.ended.error.as_str()),
        ("FAILED", "PersistentFailures"),
        "{:?}",
        run.ended
    );
    assert_eq!(run.ended.data["persistentFailures"], 4, "{:?}", run.ended);
    let ran = executions(&world).await;
    let expected =
        [("fine", 1), ("missing", 1), ("typo", 1), ("zero", 2)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(ran, expected.into());
    let summary = run.summary(&world).await;
    let failures: Vec<(&str, &str)> =
        summary.failures.iter().map(|failure| (failure.query.as_str(), failure.error.name.as_str())).collect();
    assert_eq!(
        failures,
        [
            ("typo", "Redshift.Syntax"),
            ("zero", "Redshift.DataException"),
            ("missing", "Redshift.UndefinedObject"),
            ("behind", "DependencyFailed")
        ]
    );
    let kept = run.object(&world, &Keys(&run.prefix).error("typo")).await.unwrap();
    assert!(String::from_utf8(kept).unwrap().contains("syntax error"));
    until(&mut seen, "a message", |what| matches!(what, What::Mailed { to, .. } if to == "dba@example.com")).await;
    let mails = mailed(&world);
    let said = mails.iter().find(|mail| mail.contains("typo")).expect("a message with the list");
    for wanted in ["typo", "zero", "missing", "behind", "syntax error", "Divide by zero", "4 of 5"] {
        assert!(said.contains(wanted), "{wanted} is missing in: {said}");
    }
    assert!(!said.contains("- fine"), "{said}");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_over_its_limit_is_really_gone_and_one_that_was_done_in_time_is_kept() {
    let world = World::start().await;
    world.sql(BIG).await;
    let files = Files::new("slow")
        .query("endless", ENDLESS, json!({"timeLimitSeconds": 1}))
        .query("fine", "select 1 as one", json!({}))
        .with("rounds", json!(1));
    let run = Run::of(&world, &files).await;
    assert_eq!(run.ended.error, "PersistentFailures", "{:?}", run.ended);
    let summary = run.summary(&world).await;
    let [failure] = &summary.failures[..] else { panic!("{summary:?}") };
    assert_eq!((failure.query.as_str(), failure.error.name.as_str()), ("endless", "Redshift.Timeout"));
    assert!(failure.error.message.contains("time limit of 1 s"), "{failure:?}");
    assert_eq!(running(&world).await, 0);

    // It finishes, and its event never comes: the time limit passes, and what it gave is kept all the same.
    world.cloud.faults().drop_next(cloud::faults::Matching::source("aws.redshift-data"), 1);
    let files = Files::new("unheard")
        .query("done", "select 7 as seven", json!({"timeLimitSeconds": 1}))
        .with("rounds", json!(1));
    files.put(&world).await;
    let execution = Run::start(&world, &files.name).await;
    world.end_by_reconciler(&execution).await;
    let run = Run::end(&world, &files.name, &execution).await;
    assert_eq!(run.ended.status, "SUCCEEDED", "{:?}", run.ended);
    assert_eq!(run.csv(&world, "done").await.unwrap(), "seven\r\n7\r\n");
    assert_eq!(run.summary(&world).await.counts.finished, 1);
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_query_is_two_files_and_wrong_ones_are_all_named_before_anything_runs() {
    let world = World::start().await;
    let files = Files::new("growing").query("old", "select 1 as one", json!({}));
    let run = Run::of(&world, &files).await;
    assert_eq!((run.summary(&world).await.counts.queries, run.csv(&world, "new").await), (1, None));
    let files = files.query("new", "select 2 as two", json!({}));
    let run = Run::of(&world, &files).await;
    assert_eq!(run.csv(&world, "new").await.unwrap(), "two\r\n2\r\n");

    let before = executions(&world).await;
    let mut files = files.query("again", "select 3", json!({"result": "old"})).query(
        "circle",
        "select 4",
        json!({"dependsOn": ["circle", "nobody"]}),
    );
    files.document["queries"][0]["script"] = json!("scripts/growing/nowhere.sql");
    let run = Run::of(&world, &files).await;
    assert_eq!(
        (run.ended.status.as_str(), run.ended.error.as_str()),
        ("FAILED", "InvalidConfiguration"),
        "{:?}",
        run.ended
    );
    let said = run.ended.data["errorMessage"].as_str().unwrap();
    for wanted in ["scripts/growing/nowhere.sql", "\"old\"", "circle", "nobody", "config/workflows/growing.json"] {
        assert!(said.contains(wanted), "{wanted} is missing in: {said}");
    }
    assert_eq!(executions(&world).await, before, "nothing ran");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_run_cancels_what_runs_leaves_a_manifest_and_says_so() {
    let world = World::start_telling("dba@example.com").await;
    world.sql(BIG).await;
    let files = Files::new("long")
        .query("first", "select 1 as one", json!({"timeLimitSeconds": 4}))
        .query("endless", ENDLESS, json!({"timeLimitSeconds": 4}))
        .query("never", "select 2", json!({"dependsOn": ["endless"], "timeLimitSeconds": 4}));
    for by_hand in [true, false] {
        let files = if by_hand {
            files.clone_named("stopped")
        } else {
            files.clone_named("timed").with("timeLimitSeconds", json!(4))
        };
        files.put(&world).await;
        let mut seen = world.cloud.trace();
        let execution = Run::start(&world, &files.name).await;
        let mut begun = 0;
        until(&mut seen, "the endless statement runs", |what| {
            begun += i32::from(matches!(what, What::Returned { function, .. } if function == "whole-tasker"));
            begun == 2
        })
        .await;
        assert_eq!(running(&world).await, 1);
        if by_hand {
            world.cloud.call("states", "StopExecution", json!({"executionArn": execution})).await.unwrap();
        }
        let run = Run::end(&world, &files.name, &execution).await;
        assert_eq!(run.ended.status, if by_hand { "ABORTED" } else { "FAILED" }, "{:?}", run.ended);
        world.settled(&mut seen).await;
        assert_eq!(running(&world).await, 0);
        let mut seen_mail = false;
        while !seen_mail {
            seen_mail = mailed(&world).iter().any(|mail| mail.contains(&files.name) && mail.contains("endless"));
            if !seen_mail {
                until(&mut seen, "a message", |what| matches!(what, What::Mailed { .. })).await;
            }
        }
        let manifest = run.manifest(&world, "all").await;
        assert_eq!(manifest.ending, Ending::Stopped, "{manifest:?}");
        assert_eq!((manifest.counts.queries, manifest.counts.finished), (3, 1), "{manifest:?}");
        assert_eq!(run.csv(&world, "first").await.unwrap(), "one\r\n1\r\n");
    }
    world.cloud.shutdown().await;
}

impl Files {
    /// The same queries under another workflow's name.
    fn clone_named(&self, name: &str) -> Self {
        Self { name: name.into(), document: self.document.clone(), scripts: self.scripts.clone() }
            .with("name", json!(name))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_is_refused_for_now_is_waited_for_and_a_cut_off_collector_begins_anew() {
    let world = World::start().await;
    let files = Files::new("patient").query("rows", "select 1 as one union all select 2 order by 1", json!({}));
    let faults = world.cloud.data_api().unwrap().faults();
    faults.throttle("GetStatementResult", 7, redshift::Throttle::Exception);
    let run = Run::of(&world, &files).await;
    assert_eq!(run.ended.status, "SUCCEEDED", "{:?}", run.ended);
    assert_eq!(run.csv(&world, "rows").await.unwrap(), "one\r\n1\r\n2\r\n");

    files.put(&world).await;
    faults.throttle("GetStatementResult", 3, redshift::Throttle::Exception);
    let mut seen = world.cloud.trace();
    let execution = Run::start(&world, &files.name).await;
    until(&mut seen, "the collector asks for rows", |what| {
        matches!(what, What::Call { operation, function: Some(function), .. }
            if operation == "GetStatementResult" && function == "whole-collector")
    })
    .await;
    assert_eq!(world.cloud.kill("CollectorFunction"), 1);
    let run = Run::end(&world, &files.name, &execution).await;
    assert_eq!(run.ended.status, "SUCCEEDED", "{:?}", run.ended);
    assert_eq!(run.csv(&world, "rows").await.unwrap(), "one\r\n1\r\n2\r\n");
    let summary = run.summary(&world).await;
    assert_eq!((summary.rounds, summary.rows), (1, 2), "the SQL was not run again");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_workflows_at_the_same_time_do_not_touch_each_other() {
    let world = World::start().await;
    let mut started = Vec::new();
    for number in 0..10 {
        // Two runs of each of five workflows; the names of queries, results and segments are the same in all.
        let files = Files::new(&format!("side{}", number / 2))
            .query("one", &format!("select {} as number", number / 2), json!({}))
            .query("two", &format!("select {} as number", 100 + number / 2), json!({}));
        files.put(&world).await;
        started.push((number / 2, files.name.clone(), Run::start(&world, &files.name).await));
    }
    let mut prefixes = BTreeSet::new();
    for (number, name, execution) in started {
        let run = Run::end(&world, &name, &execution).await;
        assert_eq!(run.ended.status, "SUCCEEDED", "{:?}", run.ended);
        assert_eq!(run.csv(&world, "one").await.unwrap(), format!("number\r\n{number}\r\n"));
        assert_eq!(run.csv(&world, "two").await.unwrap(), format!("number\r\n{}\r\n", 100 + number));
        let summary = run.summary(&world).await;
        assert_eq!((summary.workflow.as_str(), summary.counts.finished), (name.as_str(), 2));
        prefixes.insert(run.prefix);
    }
    assert_eq!(prefixes.len(), 10);
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_queries_are_a_small_history_and_few_transitions() {
    let world = World::start().await;
    let mut files = Files::new("many");
    // More than one execution of `loop` takes on.
    for number in 0..1_040 {
        files = files.query(&format!("query-{number}"), &format!("select {number} as number"), json!({}));
    }
    let segment = json!({"name": "all", "queries": ["*"], "mode": "graph", "width": 8});
    let files = files.with("plans", json!({"only": {"segments": [segment]}}));
    let run = Run::of(&world, &files).await;
    assert_eq!(run.ended.status, "SUCCEEDED", "{:?}", run.ended);
    let summary = run.summary(&world).await;
    assert_eq!((summary.counts.finished, summary.rounds, summary.rows), (1_040, 1, 1_040));
    assert_eq!(executions(&world).await.len(), 1_040);
    let usage = world.cloud.usage();
    assert!(usage.transitions <= 6 * 1_040, "{usage:?}");
    assert!(usage.longest_history < 10_000, "{usage:?}");
    assert_eq!(run.csv(&world, "query-999").await.unwrap(), "number\r\n999\r\n");
    world.cloud.shutdown().await;
}
