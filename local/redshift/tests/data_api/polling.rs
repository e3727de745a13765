//! WaitTimeSeconds.

use crate::setting::Setting;
use redshift::Limits;
use serde_json::{Value, json};

/// Long enough that only the statement's end can be what ended the wait.
const LONG: u32 = 30;

#[tokio::test]
async fn submitting_waits_for_the_end_and_says_how_it_went() {
    let s = Setting::new().await;
    for (operation, body, status, result) in [
        ("ExecuteStatement", json!({"Sql": "select 1"}), "FINISHED", true),
        ("ExecuteStatement", json!({"Sql": "create table t (n int)"}), "FINISHED", false),
        ("ExecuteStatement", json!({"Sql": "select * from nowhere"}), "FAILED", false),
        ("BatchExecuteStatement", json!({"Sqls": ["select 1", "set timezone to 'utc'"]}), "FINISHED", true),
    ] {
        let mut waited = s.on_cluster(body.clone());
        waited["WaitTimeSeconds"] = json!(LONG);
        let answer = s.call(operation, waited).await.unwrap();
        assert_eq!((&answer["Status"], &answer["HasResultSet"]), (&json!(status), &json!(result)), "{body}");
        assert!(answer["RedshiftPid"].as_i64().unwrap() > 0, "{body}");
        assert_eq!(s.status(answer["Id"].as_str().unwrap()).await, status);
        let answer = s.call(operation, s.on_cluster(body)).await;
        assert!(answer.is_err() || answer.unwrap().get("Status").is_none(), "without a wait nothing is known");
    }
}

#[tokio::test]
async fn describing_and_fetching_wait_for_the_end() {
    let s = Setting::new().await;
    let hold = s.api.faults().hold("held");
    let body = s.on_cluster(json!({"Sql": "select 7", "StatementName": "held"}));
    let id = s.call("ExecuteStatement", body).await.unwrap()["Id"].clone();
    let wait = json!({"Id": id, "WaitTimeSeconds": LONG});
    let described = s.call("DescribeStatement", wait.clone());
    let fetched = s.call("GetStatementResult", wait);
    // Both are waiting before the statement may run.
    let release = async {
        tokio::task::yield_now().await;
        hold.release();
    };
    let (described, fetched, ()) = tokio::join!(described, fetched, release);
    assert_eq!(described.unwrap()["Status"], "FINISHED");
    assert_eq!(fetched.unwrap()["Records"], json!([[{"longValue": 7}]]));
}

#[tokio::test]
async fn a_wait_for_one_of_a_batch_ends_with_the_batch() {
    let s = Setting::new().await;
    let hold = s.api.faults().hold("held");
    let body = s.on_cluster(json!({"Sqls": ["select 1", "select 2"], "StatementName": "held", "ResultFormat": "CSV"}));
    let id = s.call("BatchExecuteStatement", body).await.unwrap()["Id"].as_str().unwrap().to_owned();
    let wait = json!({"Id": format!("{id}:2"), "WaitTimeSeconds": LONG});
    let fetched = s.call("GetStatementResultV2", wait);
    let release = async {
        tokio::task::yield_now().await;
        hold.release();
    };
    let (fetched, ()) = tokio::join!(fetched, release);
    assert_eq!(fetched.unwrap()["Records"][0]["CSVRecords"], "?column?\r\n2\r\n");
}

#[tokio::test]
async fn when_the_time_is_over_the_state_is_answered_or_nothing() {
    let s = Setting::new().await;
    let hold = s.api.faults().hold("held");
    let body = s.on_cluster(json!({"Sql": "select 1", "StatementName": "held", "WaitTimeSeconds": 1}));
    let answer = s.call("ExecuteStatement", body).await.unwrap();
    assert_eq!(answer["Status"], "PICKED");
    let wait = json!({"Id": answer["Id"], "WaitTimeSeconds": 1});
    let described = s.call("DescribeStatement", wait.clone());
    let (described, fetched) = tokio::join!(described, s.call("GetStatementResult", wait));
    assert_eq!(described.unwrap()["Status"], "PICKED");
    let error = fetched.unwrap_err();
    assert_eq!((error.code.as_str(), &error.extra["ResourceId"]), ("ResourceNotFoundException", &answer["Id"]));
    hold.release();
}

#[tokio::test]
async fn the_time_has_bounds_and_the_statement_must_be_there() {
    let s = Setting::new().await;
    let id = s.submit("select 1").await;
    for (seconds, rule) in [(0, "greater than or equal to 1"), (31, "less than or equal to 30")] {
        for (operation, body) in [
            ("ExecuteStatement", s.on_cluster(json!({"Sql": "select 1"}))),
            ("BatchExecuteStatement", s.on_cluster(json!({"Sqls": ["select 1"]}))),
            ("DescribeStatement", json!({"Id": id})),
            ("GetStatementResult", json!({"Id": id})),
            ("GetStatementResultV2", json!({"Id": id})),
        ] {
            let mut body: Value = body;
            body["WaitTimeSeconds"] = json!(seconds);
            let error = s.call(operation, body).await.unwrap_err();
            assert_eq!(error.code, "ValidationException", "{operation}");
            assert!(error.message.contains("'waitTimeSeconds'") && error.message.contains(rule), "{error}");
        }
    }
    let unknown = json!({"Id": "00000000-0000-0000-0000-000000000000", "WaitTimeSeconds": LONG});
    let error = s.call("DescribeStatement", unknown).await.unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
    let error = s.call("CancelStatement", json!({"Id": id, "WaitTimeSeconds": 1})).await.unwrap_err();
    assert!(error.message.contains("does not support the member WaitTimeSeconds"), "{error}");
}

#[tokio::test]
async fn only_so_many_may_wait_for_one_statement() {
    let s = Setting::with(Limits { waiting_requests: 2, ..Limits::default() }).await;
    let hold = s.api.faults().hold("held");
    let body = s.on_cluster(json!({"Sql": "select 1", "StatementName": "held"}));
    let id = s.call("ExecuteStatement", body).await.unwrap()["Id"].clone();
    let wait = || s.call("DescribeStatement", json!({"Id": id, "WaitTimeSeconds": LONG}));
    let third = async {
        tokio::task::yield_now().await;
        let error = wait().await.unwrap_err();
        // Without a wait it is still described.
        assert_eq!(s.status(id.as_str().unwrap()).await, "PICKED");
        hold.release();
        error
    };
    let (first, second, error) = tokio::join!(wait(), wait(), third);
    assert_eq!((error.code.as_str(), error.status), ("ActiveWaitingRequestsExceededException", 400));
    assert_eq!((&first.unwrap()["Status"], &second.unwrap()["Status"]), (&json!("FINISHED"), &json!("FINISHED")));
    // Who waited does not count any more.
    wait().await.unwrap();
}
