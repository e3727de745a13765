//! What the project promises of one statement, shown on the whole stack: real functions, real SQL, and the events that
//! come twice, late, early or never.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

mod world;

use cloud::faults::Matching;
use cloud::trace::What;
use serde_json::{Value, json};
use world::{World, until};

/// A query that only a time limit or a cancel ends.
const ENDLESS: &str = "select count(*) from big a, big b, big c";

/// Rows enough for [`ENDLESS`].
async fn big(world: &World) {
    let numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) select i from n";
    let ended = world.run(&json!({"sqlStatement": format!("create table big as {numbers}")})).await;
    assert_eq!(ended.status, "SUCCEEDED", "{ended:?}");
}

fn completion_call(wanted: &'static str) -> impl Fn(&What) -> bool {
    move |what| {
        matches!(what, What::Call { operation, function: Some(function), .. }
            if operation == wanted && function == "whole-completion")
    }
}

fn count(history: &[String], kind: &str) -> usize {
    history.iter().filter(|event| *event == kind).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_tasker_s_state_runs_unchanged() {
    let world = World::start().await;
    big(&world).await;
    let definition = json!({
        "StartAt": "Run",
        "States": {
            "Run": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                "HeartbeatSeconds": 2,
                "Parameters": {
                    "FunctionName": world.tasker_arn(),
                    "Payload": {
                        "taskToken.$": "$$.Task.Token",
                        "executionArn.$": "$$.Execution.Id",
                        "sqlStatement.$": "$.sql",
                    },
                },
                "ResultPath": "$.executionDetails",
                "Catch": [
                    {"ErrorEquals": ["States.Timeout"], "ResultPath": "$.timedOut", "Next": "Cancel"},
                    {"ErrorEquals": ["FAILED"], "ResultPath": "$.failure", "Next": "Failed"},
                ],
                "Next": "Done",
            },
            "Cancel": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {
                    "FunctionName": world.tasker_arn(),
                    "Payload": {"action": "cancelStatement", "executionArn.$": "$$.Execution.Id", "statementId": "LATEST"},
                },
                "ResultPath": "$.cancelled",
                "End": true,
            },
            "Failed": {"Type": "Pass", "End": true},
            "Done": {"Type": "Succeed"},
        },
    });
    let machine = world.machine("drop-in", &definition).await;
    let run = async |sql: &str| {
        let arn = world.cloud.start_execution(&machine, &json!({"sql": sql})).await.unwrap();
        world.end(&arn).await
    };

    let ended = run("select 6*7").await;
    assert_eq!((ended.status.as_str(), &ended.data["executionDetails"]["state"]), ("SUCCEEDED", &json!("FINISHED")));

    let ended = run("select * from nowhere").await;
    assert_eq!((ended.status.as_str(), &ended.data["failure"]["Error"]), ("SUCCEEDED", &json!("FAILED")));
    let cause: Value = serde_json::from_str(ended.data["failure"]["Cause"].as_str().unwrap()).unwrap();
    assert_eq!(cause["error"], "ERROR: relation \"nowhere\" does not exist");

    let mut seen = world.cloud.trace();
    let ended = run(ENDLESS).await;
    assert_eq!(ended.data["cancelled"]["Payload"]["Status"], true, "{ended:?}");
    world.settled(&mut seen).await;
    assert_eq!(world.row(&ended.arn).await["status"]["S"], "ABORTED");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_twice_late_or_never_is_one_answer() {
    let world = World::start().await;
    let faults = world.cloud.faults();
    let any = || Matching::source("aws.redshift-data");

    let mut seen = world.cloud.trace();
    faults.duplicate_next(any(), 1, 3);
    let twice = world.run(&json!({"sqlStatement": "create table twice (a int)"})).await;
    assert_eq!(twice.status, "SUCCEEDED", "{twice:?}");
    let mut messages = 0;
    until(&mut seen, "all three events went through the queue", |what| {
        messages += i32::from(matches!(what, What::MessageReceived { .. }));
        messages == 3
    })
    .await;
    world.settled(&mut seen).await;
    assert_eq!(count(&world.history(&twice.arn).await, "TaskSucceeded"), 1);

    // Never: the reconciler finds it, and what it says is what the event would have said.
    faults.drop_next(any(), 1);
    let lost = world.begin(&json!({"sqlStatement": "select 6*7 as answer", "result": "inline"})).await;
    let lost = world.end_by_reconciler(&lost).await;
    assert_eq!((lost.status.as_str(), &lost.data["results"][0]["rows"]), ("SUCCEEDED", &json!([[42]])), "{lost:?}");
    world.settled(&mut seen).await;
    assert!(world.row(&lost.arn).await.get("eventAt").is_none(), "no event came");

    // Late: after the reconciler has settled it, the event changes nothing.
    faults.hold_next(any(), 1);
    let late = world.begin(&json!({"sqlStatement": "select 1"})).await;
    let late = world.end_by_reconciler(&late).await;
    world.settled(&mut seen).await;
    let before = world.row(&late.arn).await;
    let mut seen = world.cloud.trace();
    assert_eq!(faults.release(), 1);
    until(
        &mut seen,
        "completion took the late event",
        |what| matches!(what, What::Returned { function, error: None, .. } if function == "whole-completion"),
    )
    .await;
    assert_eq!(world.row(&late.arn).await["answeredAt"], before["answeredAt"]);
    assert_eq!(count(&world.history(&late.arn).await, "TaskSucceeded"), 1);

    // Early: the statement has ended and its event is out before ExecuteStatement answers.
    world.cloud.data_api().unwrap().faults().end_before_answer(true);
    let early = world.run(&json!({"sqlStatement": "select 'early'", "result": "inline"})).await;
    assert_eq!(early.data["results"][0]["rows"], json!([["early"]]), "{early:?}");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_function_in_the_middle_of_a_statement_still_ends_with_one_answer() {
    let world = World::start().await;
    assert_eq!(world.run(&json!({"sqlStatement": "create table runs (a int)"})).await.status, "SUCCEEDED");
    let api = world.cloud.data_api().unwrap().clone();

    // The tasker, while its call of the Data API is under way: the call took effect, nobody wrote down its id.
    api.faults().end_before_answer(true);
    let hold = api.faults().hold("whole/");
    let mut seen = world.cloud.trace();
    let tasker = world.begin(&json!({"sqlStatement": "insert into runs values (1)"})).await;
    until(&mut seen, "the row is written", |what| {
        matches!(what, What::Call { operation, function: Some(function), .. }
            if operation == "PutItem" && function == "whole-tasker")
    })
    .await;
    assert_eq!(world.cloud.kill("TaskerFunction"), 1);
    until(&mut seen, "the process is gone", |what| matches!(what, What::FunctionEnded { .. })).await;
    api.faults().end_before_answer(false);
    hold.release();
    let tasker = world.end(&tasker).await;
    assert_eq!(tasker.status, "SUCCEEDED", "{tasker:?}");
    assert_eq!(world.sql("select count(*) from runs").await, json!([1]), "the SQL ran once");
    let history = world.history(&tasker.arn).await;
    assert_eq!((count(&history, "TaskSucceeded"), count(&history, "ExecutionSucceeded")), (1, 1), "{history:?}");

    // The completion function, between reading the row and whatever comes next. Its message stays invisible for two
    // minutes; the reconciler is there before.
    let mut seen = world.cloud.trace();
    let completion = world.begin(&json!({"sqlStatement": "insert into runs values (2)"})).await;
    until(&mut seen, "completion reads the row", completion_call("GetItem")).await;
    world.cloud.kill("CompletionFunction");
    let completion = world.end_by_reconciler(&completion).await;
    assert_eq!(completion.status, "SUCCEEDED", "{completion:?}");
    assert_eq!(world.sql("select count(*) from runs").await, json!([2]));
    assert_eq!(count(&world.history(&completion.arn).await, "TaskSucceeded"), 1);
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_runs_on_with_nobody_waiting() {
    let world = World::start().await;
    big(&world).await;

    let mut seen = world.cloud.trace();
    let limited = world.run(&json!({"sqlStatement": ENDLESS, "timeLimitSeconds": 1})).await;
    assert_eq!((limited.status.as_str(), limited.error.as_str()), ("FAILED", "Redshift.Timeout"), "{limited:?}");
    assert!(limited.data["statementId"].is_string(), "{limited:?}");
    world.settled(&mut seen).await;
    assert_eq!(world.row(&limited.arn).await["status"]["S"], "ABORTED");

    let mut seen = world.cloud.trace();
    let stopped = world.begin(&json!({"sqlStatement": ENDLESS})).await;
    until(
        &mut seen,
        "the statement is submitted",
        |what| matches!(what, What::Returned { function, .. } if function == "whole-tasker"),
    )
    .await;
    world.cloud.call("states", "StopExecution", json!({"executionArn": stopped})).await.unwrap();
    until(&mut seen, "the statement is cancelled", |what| {
        matches!(what, What::Event { source, detail, .. }
            if source == "aws.redshift-data" && detail["state"] == "ABORTED")
    })
    .await;
    world.settled(&mut seen).await;
    let row = world.row(&stopped).await;
    assert_eq!((&row["status"]["S"], &row["answeredAs"]["S"]), (&json!("ABORTED"), &json!("gone")), "{row}");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_refused_for_now_is_tried_again_and_runs_once() {
    let world = World::start().await;
    let api = world.cloud.data_api().unwrap().clone();
    api.faults().throttle("ExecuteStatement", 1, redshift::Throttle::HiddenInValidation);
    let ended = world.run(&json!({"sqlStatement": "select 1"})).await;
    assert_eq!(ended.status, "SUCCEEDED", "{ended:?}");
    assert_eq!(
        count(&world.history(&ended.arn).await, "TaskFailed"),
        1,
        "throttling has its own name, which is retried"
    );
    assert_eq!(world.row(&ended.arn).await["attempt"]["N"], "1");

    let refused = world.run(&json!({"sqlStatement": "select 1", "result": "inlin"})).await;
    assert_eq!((refused.status.as_str(), refused.error.as_str()), ("FAILED", "InvalidRequest"), "{refused:?}");
    let said = refused.data["errorMessage"].as_str().unwrap();
    assert!(said.contains("result") && said.contains("inlin") && said.contains("none"), "{said}");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sql_text_runs_once_at_a_time_when_asked_so() {
    let world = World::start().await;
    let hold = world.cloud.data_api().unwrap().faults().hold("whole/");
    let request = |sql: &str| json!({"action": "executeSingletonStatement", "sqlStatement": sql});
    let mut seen = world.cloud.trace();
    let first = world.begin(&request("select count(*) from pg_class")).await;
    until(
        &mut seen,
        "the first one is submitted",
        |what| matches!(what, What::Returned { function, .. } if function == "whole-tasker"),
    )
    .await;
    let second = world.run(&request("select count(*)  -- the same\n   from /* still */ pg_class")).await;
    assert_eq!((second.status.as_str(), second.error.as_str()), ("FAILED", "ConcurrentExecution"), "{second:?}");
    hold.release();
    assert_eq!(world.end(&first).await.status, "SUCCEEDED");
    world.settled(&mut seen).await;
    let third = world.run(&request("select count(*) from pg_class")).await;
    assert_eq!(third.status, "SUCCEEDED", "the lock is free again: {third:?}");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_resource_is_answered_at_its_url_whatever_happens() {
    let world = World::start().await;
    let bucket = world.cloud.outputs()["AssetsBucket"].clone();
    let mut seen = world.cloud.trace();
    for (number, (kind, properties, status, reason)) in [
        ("Create", json!({"create": "create table made (a int)", "delete": "drop table made"}), "SUCCESS", ""),
        ("Update", json!({"create": "create table made (a int)", "delete": "drop table made"}), "SUCCESS", ""),
        ("Create", json!({"create": "create table made (a int)"}), "FAILED", "already exists"),
        ("Create", json!({"create": "select 1", "colour": "red"}), "FAILED", "colour"),
        ("Delete", json!({"create": "create table made (a int)", "delete": "drop table made"}), "SUCCESS", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let event = json!({
            "RequestType": kind, "ResponseURL": format!("{}/{bucket}/answer-{number}", world.cloud.endpoint()),
            "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/theirs/guid",
            "RequestId": format!("request-{number}"), "ResourceType": "Custom::Sql", "LogicalResourceId": "Table",
            "PhysicalResourceId": "given", "ResourceProperties": properties,
        });
        let invocation = world.cloud.invoke("TaskerFunction", &event).await.unwrap();
        assert_eq!(invocation.function_error, None, "{number}: {:?}", invocation.payload);
        let answer = loop {
            match world.cloud.get_object(&bucket, &format!("answer-{number}")).await {
                Ok(bytes) => break serde_json::from_slice::<Value>(&bytes).unwrap(),
                Err(_) => until(&mut seen, "an answer", |what| matches!(what, What::Returned { .. })).await,
            };
        };
        assert_eq!(answer["Status"], status, "{number}: {answer}");
        assert!(answer["Reason"].as_str().unwrap_or_default().contains(reason), "{number}: {answer}");
        assert_eq!(answer["RequestId"], format!("request-{number}"));
    }
    world.settled(&mut seen).await;
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_sql_are_in_no_log_and_no_row() {
    let world = World::start().await;
    let mut seen = world.cloud.trace();
    for sql in ["select 'sesame'", "select 'sesame' from nowhere", "selec 'sesame'"] {
        world.run(&json!({"sqlStatement": sql, "result": "inline"})).await;
    }
    world.settled(&mut seen).await;
    let rows = serde_json::to_string(&world.rows().await).unwrap();
    assert!(rows.contains("sqlHash") && !rows.contains("sesame"), "{rows}");
    for function in ["TaskerFunction", "CompletionFunction"] {
        let log = world.cloud.logs(function).join("\n");
        assert!(log.contains("statement"), "{function} logs what it does: {log}");
        assert!(!log.contains("sesame"), "{function}: {log}");
        // What a token begins with here; a statement's ids are in the log, a token never is.
        assert!(!log.contains("taskToken"), "{function}: {log}");
    }
    world.cloud.shutdown().await;
}
