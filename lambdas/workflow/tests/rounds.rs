//! From configuration to plan, and through waves and rounds to the manifest and the summary.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use workflow::configuration::{self, Target, Workflow};
use workflow::manifest::{Ending, Manifest};
use workflow::plan::{self, Plan};
use workflow::round::{self, Mark, Next, Progress};
use workflow::status::{Failure, State, Status};
use workflow::summary::Summary;

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
}

/// A workflow of `(name, dependsOn, more fields)` with one plan of one segment.
fn workflow(queries: &[(&str, &[&str], Value)], segment: Value, rounds: u8) -> Workflow {
    let queries: Vec<Value> = queries
        .iter()
        .map(|(name, on, more)| {
            let mut query =
                json!({"name": name, "script": format!("scripts/{name}.sql"), "timeLimitSeconds": 60, "dependsOn": on});
            query.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            query
        })
        .collect();
    let mut all = json!({"name": "all", "queries": ["*"]});
    all.as_object_mut().unwrap().extend(segment.as_object().cloned().unwrap());
    let document = json!({"name": "review", "timeLimitSeconds": 600, "rounds": rounds, "queries": queries,
        "plans": {"only": {"segments": [all]}}, "plan": "only"});
    configuration::workflow("config/workflows/review.json", &document.to_string(), |_| true)
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn plan(workflow: &Workflow) -> Plan {
    Plan::new(workflow, None, Target::Provisioned, "r1", time(0)).unwrap()
}

fn error(name: &str) -> Failure {
    Failure { name: name.into(), message: format!("{name} happened"), class: None, transient: None }
}

/// Plays a segment to its end. `outcome` says what becomes of a query in a round: nothing is success, else the error's
/// name. Gives what ran, round by round and wave by wave, and the statuses. Every decision is taken three ways: from the
/// statuses, from the progress that is kept, and from that as text; they must agree.
fn play(
    plan: &Plan,
    most: usize,
    mut outcome: impl FnMut(&str, u8) -> Option<&'static str>,
) -> (Vec<Vec<Vec<String>>>, HashMap<String, Status>) {
    let segment = &plan.segments[0];
    let mut statuses: HashMap<String, Status> = plan.skipped().map(|status| (status.query.clone(), status)).collect();
    let mut progress = Progress::new(segment);
    let mut rounds = Vec::new();
    let mut round = 1;
    let mut waves = Vec::new();
    loop {
        let next = progress.next(segment, round, plan.rounds, most);
        let recorded = Progress::of(segment, round, |_, query| statuses.get(&query.name));
        assert_eq!(next, recorded.next(segment, round, plan.rounds, most), "from progress and from statuses");
        assert_eq!(Progress::parse(segment, &progress.to_text()).unwrap(), progress);
        let settled = match next {
            Next::Wave(wave) => {
                assert!(!wave.is_empty() && wave.len() <= most);
                waves.push(wave.iter().map(|at| segment.queries[*at].name.clone()).collect::<Vec<_>>());
                wave.iter()
                    .map(|at| {
                        let name = &segment.queries[*at].name;
                        let status = match outcome(name, round) {
                            None => Status::new(name, State::Finished, round),
                            Some("lost") => Status::new(name, State::Running, round),
                            Some("States.Timeout") => {
                                Status::new(name, State::Aborted, round).with_error(error("States.Timeout"))
                            }
                            Some(name_of_error) => {
                                Status::new(name, State::Failed, round).with_error(error(name_of_error))
                            }
                        };
                        (*at, status)
                    })
                    .collect::<Vec<_>>()
            }
            Next::Unsettled(lost) => lost.iter().map(|at| (*at, round::unsettled(segment, *at, round))).collect(),
            Next::Over(over) => {
                for skip in &over.skipped {
                    let status = round::skipped(segment, *skip, round);
                    statuses.insert(status.query.clone(), status);
                }
                rounds.push(std::mem::take(&mut waves));
                if over.again.is_empty() {
                    return (rounds, statuses);
                }
                progress.start(&over);
                round += 1;
                continue;
            }
        };
        for (at, status) in settled {
            progress.record(at, &status);
            statuses.insert(status.query.clone(), status);
        }
    }
}

fn names(waves: &[Vec<String>]) -> Vec<String> {
    waves.iter().map(|wave| wave.join("+")).collect()
}

#[test]
fn waves_and_rounds() {
    type Queries = &'static [(&'static str, &'static [&'static str])];
    const FLAT: Queries = &[("a", &[]), ("b", &[]), ("c", &[])];
    const CHAIN: Queries = &[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])];
    const DIAMOND: Queries = &[("d", &["b", "c"]), ("b", &["a"]), ("c", &["a"]), ("a", &[])];
    let list = json!({});
    let graph = json!({"mode": "graph"});
    // Segment, queries, what fails in which round, what is expected to run.
    type Case =
        (&'static str, Value, Queries, &'static [(&'static str, u8, &'static str)], &'static [&'static [&'static str]]);
    let cases: Vec<Case> = vec![
        ("a list runs in order", list.clone(), FLAT, &[], &[&["a+b+c"]]),
        ("a list goes on after a failure", list.clone(), FLAT, &[("a", 1, "FAILED")], &[&["a+b+c"], &["a"]]),
        ("a list waits for what its next one depends on", list.clone(), CHAIN, &[], &[&["a", "b", "c+d"]]),
        ("without dependencies: one wave", graph.clone(), FLAT, &[], &[&["a+b+c"]]),
        ("a diamond", graph.clone(), DIAMOND, &[], &[&["a", "b+c", "d"]]),
        ("a list puts what is waited for first", list, DIAMOND, &[], &[&["a", "b+c", "d"]]),
        (
            "what waited is in the next round, what finished is not",
            graph.clone(),
            CHAIN,
            &[("a", 1, "Throttled")],
            &[&["a+d"], &["a", "b", "c"]],
        ),
        (
            "twice failed, then works: three rounds",
            graph.clone(),
            CHAIN,
            &[("a", 1, "Redshift.SerializationConflict"), ("a", 2, "States.Timeout")],
            &[&["a+d"], &["a"], &["a", "b", "c"]],
        ),
        (
            "three times failed: over",
            graph.clone(),
            FLAT,
            &[("b", 1, "FAILED"), ("b", 2, "FAILED"), ("b", 3, "FAILED")],
            &[&["a+b+c"], &["b"], &["b"]],
        ),
        (
            "permanent: never again, nor what waits for it",
            graph.clone(),
            CHAIN,
            &[("b", 1, "Redshift.Syntax")],
            &[&["a+d", "b"]],
        ),
        (
            "one permanent, one not",
            graph.clone(),
            DIAMOND,
            &[("b", 1, "Redshift.Permission"), ("c", 1, "Redshift.Other")],
            &[&["a", "b+c"], &["c"]],
        ),
        (
            "permanent in a later round",
            graph.clone(),
            CHAIN,
            &[("a", 1, "FAILED"), ("a", 2, "ScriptNotFound")],
            &[&["a+d"], &["a"]],
        ),
        ("an end that was never recorded", graph.clone(), CHAIN, &[("a", 1, "lost")], &[&["a+d"], &["a", "b", "c"]]),
        (
            "another fails in the second round",
            graph,
            CHAIN,
            &[("a", 1, "FAILED"), ("b", 2, "FAILED")],
            &[&["a+d"], &["a", "b"], &["b", "c"]],
        ),
    ];
    for (what, segment, queries, failures, expected) in cases {
        let queries: Vec<_> = queries.iter().map(|(name, on)| (*name, *on, json!({}))).collect();
        let plan = plan(&workflow(&queries, segment, 3));
        let (rounds, statuses) = play(&plan, 40, |name, round| {
            failures.iter().find(|(query, failing, _)| *query == name && *failing == round).map(|(_, _, error)| *error)
        });
        let rounds: Vec<Vec<String>> = rounds.iter().map(|waves| names(waves)).collect();
        assert_eq!(rounds, expected, "{what}");
        assert_eq!(statuses.len(), queries.len(), "{what}: every query has a status");
    }
}

#[test]
fn the_configured_rounds_are_the_most() {
    let queries = [("a", &[][..], json!({}))];
    for rounds in 1..=3 {
        let plan = plan(&workflow(&queries, json!({}), rounds));
        let (ran, _) = play(&plan, 40, |_, _| Some("FAILED"));
        assert_eq!(ran.len(), usize::from(rounds));
    }
}

#[test]
fn the_skipped_say_because_of_what() {
    let queries = [
        ("a", &[][..], json!({})),
        ("b", &["a"], json!({})),
        ("c", &["b"], json!({})),
        ("x", &[], json!({})),
        ("y", &["x", "c"], json!({})),
    ];
    let plan = plan(&workflow(&queries, json!({"mode": "graph"}), 2));
    let (_, statuses) = play(&plan, 40, |name, _| match name {
        "a" => Some("Redshift.UndefinedObject"),
        "x" => Some("FAILED"),
        _ => None,
    });
    let told: Vec<_> = ["a", "b", "c", "x", "y"]
        .map(|name| (statuses[name].status, statuses[name].round, statuses[name].error.clone().unwrap().message))
        .into();
    let skipped = "not run: it depends on a, which did not finish".to_owned();
    assert_eq!(
        told,
        [
            (State::Failed, 1, "Redshift.UndefinedObject happened".into()),
            (State::Skipped, 1, skipped.clone()),
            (State::Skipped, 1, skipped.clone()),
            (State::Failed, 2, "FAILED happened".into()),
            (State::Skipped, 1, skipped),
        ]
    );
}

#[test]
fn what_is_permanent() {
    let failure = |name: &str, class: Option<&str>, transient: Option<bool>| {
        Failure { class: class.map(str::to_owned), transient, ..error(name) }.permanent()
    };
    assert!(failure("Redshift.Syntax", None, None));
    assert!(failure("FAILED", Some("Permission"), Some(false)));
    assert!(failure("InvalidRequest", None, None));
    assert!(!failure("FAILED", Some("Other"), Some(false)), "an unknown class may pass");
    assert!(!failure("States.Timeout", None, None));
    assert!(!failure("Redshift.Cancelled", None, Some(false)));
    assert!(!failure("ServiceRefused", None, Some(true)), "the cause knows better");
    // Names are spelled by the functions; ours must be among them, and nothing transient may be called permanent.
    let ours = ["RowCountMismatch"];
    let names = statement::error_names();
    for name in workflow::status::PERMANENT {
        let known = names.iter().find(|known| known.name == name);
        assert!(known.is_some() || ours.contains(&name), "{name} is no error of the functions");
        assert!(!known.is_some_and(|known| known.transient), "{name} is transient");
    }
}

#[test]
fn failures_are_read_from_causes() {
    let cases = [
        (
            r#"{"error":"ERROR: syntax error","class":"Syntax","transient":false,"state":"FAILED"}"#,
            "ERROR: syntax error",
            Some("Syntax"),
            Some(false),
        ),
        (r#"{"errorMessage":"2 validation errors","errorType":"x"}"#, "2 validation errors", None, None),
        ("plain words", "plain words", None, None),
        ("", "", None, None),
        ("[1]", "[1]", None, None),
    ];
    for (cause, message, class, transient) in cases {
        let failure = Failure::read("X", cause);
        assert_eq!(
            (failure.message.as_str(), failure.class.as_deref(), failure.transient),
            (message, class, transient)
        );
    }
}

#[test]
fn a_plan_is_made_for_a_target_and_is_read_back() {
    let queries = [
        ("late", &["early", "both"][..], json!({"targets": ["provisioned"], "parameters": {"days": 7}})),
        ("early", &[], json!({"targets": ["provisioned"], "script": {"provisioned": "p.sql"}})),
        (
            "both",
            &[],
            json!({"script": {"provisioned": "bp.sql", "serverless": "bs.sql"}, "result": "b-result", "error": "b-error"}),
        ),
        ("off", &[], json!({"status": "SKIPPED"})),
        ("after-off", &["off"], json!({})),
        ("after-after", &["after-off"], json!({})),
    ];
    let workflow = workflow(&queries, json!({"mode": "graph", "width": 3}), 3);
    let plan = plan(&workflow);
    assert_eq!(plan.prefix, "runs/review/20261118T110640Z-r1/");
    assert_eq!(Plan::read(plan.to_json().as_bytes()).unwrap(), plan);
    let segment = &plan.segments[0];
    let at = |name: &str| segment.queries.iter().position(|query| query.name == name).unwrap();
    assert_eq!(segment.queries[at("late")].depends_on, [at("early"), at("both")]);
    assert_eq!(segment.queries[at("early")].script, "p.sql");
    assert!(plan.left_out.is_empty());
    let reasons: Vec<_> =
        plan.skipped().map(|status| (status.query, status.status, status.error.unwrap().message)).collect();
    assert_eq!(
        reasons,
        [
            ("off".into(), State::Skipped, "its status is SKIPPED in the configuration".into()),
            ("after-off".to_owned(), State::Skipped, "it depends on off, which is configured off".to_owned()),
            ("after-after".into(), State::Skipped, "it depends on after-off, which is configured off".into()),
        ]
    );
    let work = plan.work(segment, &segment.queries[at("both")], 2);
    assert_eq!(
        serde_json::to_value(work).unwrap(),
        json!({"query": "both", "segment": "all", "round": 2, "scriptKey": "bp.sql", "timeLimitSeconds": 60,
            "idempotencyKey": "runs/review/20261118T110640Z-r1/both/2",
            "statusKey": "runs/review/20261118T110640Z-r1/status/both.json",
            "resultKey": "runs/review/20261118T110640Z-r1/results/b-result.json",
            "csvKey": "runs/review/20261118T110640Z-r1/results/b-result.csv",
            "errorKey": "runs/review/20261118T110640Z-r1/errors/b-error.json"})
    );
    let serverless = Plan::new(&workflow, Some("only"), Target::Serverless, "r2", time(0)).unwrap();
    assert_eq!(serverless.left_out, ["late", "early"]);
    assert_eq!(serverless.segments[0].queries[0].script, "bs.sql");
    let refused =
        |plan: Option<&str>, run: &str| Plan::new(&workflow, plan, Target::Serverless, run, time(0)).unwrap_err();
    assert!(matches!(refused(Some("none"), "r"), plan::Error::UnknownPlan { .. }));
    for run in ["", "a/b", "a b", &"x".repeat(65)] {
        assert!(matches!(refused(None, run), plan::Error::RunId(_)), "{run}");
    }
    let broken = plan.to_json().replace("\"format\": 1", "\"format\": 2");
    assert!(Plan::read(broken.as_bytes()).unwrap_err().to_string().contains("format is 2"));
}

#[test]
fn manifest_and_summary_hold_every_query() {
    let queries = [
        ("a", &[][..], json!({})),
        ("b", &["a"], json!({})),
        ("c", &[], json!({})),
        ("d", &[], json!({"status": "SKIPPED"})),
    ];
    let plan = plan(&workflow(&queries, json!({"mode": "graph"}), 3));
    let segment = &plan.segments[0];
    let (_, mut statuses) = play(&plan, 40, |name, _| (name == "a").then_some("Redshift.Syntax"));
    let c = statuses.remove("c").unwrap();
    let answer = json!({"statementId": "id", "rows": 12, "bytes": 99, "durationMs": 5, "attempt": 1});
    statuses.insert("c".into(), c.with_answer(&answer).with_times(Some(time(1)), Some(time(4))));
    let manifest = |statuses: &HashMap<String, Status>, stopped| {
        Manifest::new(&plan, segment, |_, query| statuses.get(&query.name), stopped, time(9))
    };
    let whole = manifest(&statuses, false);
    assert_eq!(whole.ending, Ending::PersistentFailures);
    assert_eq!(whole.counts.queries, 4);
    assert_eq!((whole.counts.finished, whole.counts.failed, whole.counts.skipped, whole.counts.off), (1, 1, 1, 1));
    assert_eq!(serde_json::from_str::<Manifest>(&whole.to_json()).unwrap(), whole);
    let entry: Value = serde_json::from_str::<Value>(&whole.to_json()).unwrap()["queries"][2].clone();
    assert_eq!(
        entry,
        json!({"query": "c", "status": "FINISHED", "round": 1, "attempt": 1, "statementId": "id", "startedAt": "2026-11-18T11:06:41Z",
            "endedAt": "2026-11-18T11:06:44Z", "rows": 12, "bytes": 99, "durationMs": 5,
            "resultKey": "runs/review/20261118T110640Z-r1/results/c.json", "csvKey": "runs/review/20261118T110640Z-r1/results/c.csv"})
    );

    let mut summary = Summary::new(&plan, std::slice::from_ref(&whole), time(10));
    summary.count(24);
    assert_eq!(summary.ending, Ending::PersistentFailures);
    let failures: Vec<_> =
        summary.failures.iter().map(|failure| (failure.query.as_str(), failure.error.name.as_str())).collect();
    assert_eq!(failures, [("a", "Redshift.Syntax"), ("b", "DependencyFailed")]);
    let cost = summary.cost.unwrap();
    assert_eq!((cost.state_transitions, cost.transitions_per_query, cost.dollars), (24, 8.0, 0.0006));
    assert_eq!((summary.rows, summary.time_line.len(), summary.rounds), (12, 1, 1));
    assert_eq!(serde_json::from_str::<Summary>(&summary.to_json()).unwrap(), summary);

    // Stopped: what was never reached is there too.
    let stopped = manifest(&HashMap::from([("a".to_owned(), Status::new("a", State::Running, 1))]), true);
    assert_eq!((stopped.ending, stopped.counts.open), (Ending::Stopped, 3));
    let summary = Summary::new(&plan, &[stopped], time(10));
    assert_eq!(summary.ending, Ending::Stopped);
    assert_eq!(summary.failures.iter().map(|failure| failure.query.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);

    // A segment without a manifest is no success.
    let summary = Summary::new(&plan, &[], time(10));
    assert_eq!((summary.ending, summary.missing_segments.as_slice()), (Ending::Stopped, &["all".to_owned()][..]));

    // All well.
    let (_, statuses) = play(&plan, 40, |_, _| None);
    assert_eq!(Summary::new(&plan, &[manifest(&statuses, false)], time(10)).ending, Ending::Succeeded);
}

#[test]
fn ten_thousand_queries_are_decided_in_proportion() {
    let names: Vec<String> = (0..10_000).map(|n| format!("q{n}")).collect();
    let before: Vec<Vec<&str>> = (0..10_000)
        .map(|n| if n < 100 { vec![] } else { vec![names[n - 100].as_str(), names[n - 99].as_str()] })
        .collect();
    let queries: Vec<_> = (0..10_000).map(|n| (names[n].as_str(), before[n].as_slice(), json!({}))).collect();
    let plan = plan(&workflow(&queries, json!({"mode": "graph", "width": 40}), 3));
    let segment = &plan.segments[0];
    let mut progress = Progress::new(segment);
    let mut waves = 0;
    let mut ran = 0;
    let mut round = 1;
    // 300 waves of a segment of 10,000: some million steps. Square work would be some hundred million for each.
    loop {
        match progress.next(segment, round, plan.rounds, 40) {
            Next::Wave(wave) => {
                waves += 1;
                ran += wave.len();
                for at in wave {
                    let fails = at % 1000 == 500 && round == 1;
                    progress.marks[at] = if fails { Mark::Failed } else { Mark::Finished };
                }
            }
            Next::Over(over) if over.again.is_empty() => break,
            Next::Over(over) => {
                progress.start(&over);
                round += 1;
            }
            Next::Unsettled(_) => panic!("nothing is running"),
        }
    }
    assert!(progress.marks.iter().all(|mark| *mark == Mark::Finished));
    assert!(waves >= 250 && ran > 10_000 && round == 2, "{waves} waves, {ran} runs, {round} rounds");
    assert_eq!(progress.to_text().len(), 10_000);
}
