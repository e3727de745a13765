//! BatchExecuteStatement in both modes.

use crate::setting::Setting;
use serde_json::{Value, json};

fn statuses(described: &Value) -> Vec<&str> {
    described["SubStatements"].as_array().unwrap().iter().map(|p| p["Status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_batch_is_one_transaction_with_results_by_number() {
    let mut s = Setting::new().await;
    let body = json!({
        "Sqls": ["create table t (n int)", "insert into t values (1),(2)", "select n from t order by n", "select 'x' as v"],
        "WithEvent": true, "StatementName": "batch",
    });
    let described = s.run_with("BatchExecuteStatement", body).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    assert_eq!(statuses(&described), ["FINISHED"; 4]);
    assert_eq!(described["ExecutionMode"], "TRANSACTION");
    assert_eq!(described["ResultRows"], 5);
    assert_eq!(described["RedshiftQueryId"], 0);
    assert_eq!(described["HasResultSet"], true);
    assert!(described.get("QueryString").is_none());
    let id = described["Id"].as_str().unwrap();
    let third = &described["SubStatements"][2];
    assert_eq!(third["Id"], format!("{id}:3"));
    assert_eq!(third["QueryString"], "select n from t order by n");
    assert_eq!((&third["ResultRows"], &third["RedshiftQueryId"]), (&json!(2), &json!(-1)));
    assert_eq!(s.records(&format!("{id}:3")).await, vec![vec![json!({"longValue": 1})], vec![json!({"longValue": 2})]]);
    assert_eq!(s.records(&format!("{id}:4")).await, vec![vec![json!({"stringValue": "x"})]]);

    let error = s.call("GetStatementResult", json!({"Id": id})).await.unwrap_err();
    assert_eq!(error.message, "BatchExecuteStatement result can only be retrieved with sub-statement id.");
    let error = s.call("GetStatementResult", json!({"Id": format!("{id}:1")})).await.unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
    for gone in [":0", ":5", ":"] {
        let error = s.call("DescribeStatement", json!({"Id": format!("{id}{gone}")})).await.unwrap_err();
        assert_eq!(error.code, "ResourceNotFoundException", "{gone}");
    }
    // By number: the parent, with that entry alone.
    let one = s.call("DescribeStatement", json!({"Id": format!("{id}:3")})).await.unwrap();
    assert_eq!((&one["Id"], &one["Status"]), (&json!(id), &json!("FINISHED")));
    assert_eq!(one["SubStatements"], json!([third]));

    let event = s.events.recv().await.unwrap();
    assert_eq!(event["detail"]["statementId"], id);
    assert!(s.events.try_recv().is_err(), "one event for the parent only");
}

#[tokio::test]
async fn a_failure_rolls_the_transaction_back_and_stops_it() {
    let mut s = Setting::new().await;
    s.finished("create table t (n int)").await;
    let body = json!({
        "Sqls": ["insert into t values (1)", "insert into nowhere values (1)", "insert into t values (2)"], "WithEvent": true,
    });
    let described = s.run_with("BatchExecuteStatement", body).await;
    assert_eq!(described["Status"], "FAILED");
    assert_eq!(statuses(&described), ["FINISHED", "FAILED", "ABORTED"]);
    let error = described["SubStatements"][1]["Error"].as_str().unwrap();
    assert!(error.contains("relation \"nowhere\" does not exist"), "{error}");
    assert_eq!(described["Error"], format!("Query #2 failed with {error}"));
    assert_eq!(s.rows("select count(*) from t").await[0][0], json!({"longValue": 0}));
    assert_eq!(s.events.recv().await.unwrap()["detail"]["state"], "FAILED");
    assert!(s.events.try_recv().is_err());
}

#[tokio::test]
async fn auto_commit_goes_on_after_a_failure_and_ends_failed() {
    let s = Setting::new().await;
    s.finished("create table t (n int)").await;
    let body = json!({
        "Sqls": ["insert into t values (1)", "insert into nowhere values (1)", "insert into t values (2)", "select * from t"],
        "ExecutionMode": "AUTO_COMMIT",
    });
    let described = s.run_with("BatchExecuteStatement", body).await;
    assert_eq!(described["Status"], "FAILED");
    assert_eq!(described["ExecutionMode"], "AUTO_COMMIT");
    assert_eq!(statuses(&described), ["FINISHED", "FAILED", "FINISHED", "FINISHED"]);
    assert_eq!(s.rows("select count(*) from t").await[0][0], json!({"longValue": 2}));
    let id = described["Id"].as_str().unwrap();
    assert_eq!(s.records(&format!("{id}:4")).await.len(), 2);
}

#[tokio::test]
async fn parameters_are_shared_by_the_batch() {
    let s = Setting::new().await;
    s.finished("create table t (n int, v varchar(10))").await;
    let parameters = json!([{"name": "n", "value": "1"}, {"name": "v", "value": "a"}]);
    let body = json!({
        "Sqls": ["insert into t values (:n, :v)", "select v from t where n = :n", "select 1"], "Parameters": parameters,
    });
    let described = s.run_with("BatchExecuteStatement", body).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    let id = described["Id"].as_str().unwrap();
    assert_eq!(s.records(&format!("{id}:2")).await, vec![vec![json!({"stringValue": "a"})]]);
    let body = json!({"Sqls": ["select :n", "select 2"], "Parameters": parameters});
    let error = s.call("BatchExecuteStatement", s.on_cluster(body)).await.unwrap_err();
    assert!(error.message.contains("Unused parameters: [v]"), "{error}");
}

#[tokio::test]
async fn what_cannot_run_in_a_transaction_is_refused_there_and_runs_alone() {
    let s = Setting::new().await;
    s.finished("create table t (n int)").await;
    let described = s.run_with("BatchExecuteStatement", json!({"Sqls": ["select 1", "vacuum t"]})).await;
    assert_eq!(described["Status"], "FAILED");
    let error = described["SubStatements"][1]["Error"].as_str().unwrap();
    assert!(error.contains("VACUUM cannot run inside a transaction block"), "{error}");
    let body = json!({"Sqls": ["select 1", "vacuum t"], "ExecutionMode": "AUTO_COMMIT"});
    let described = s.run_with("BatchExecuteStatement", body).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
}

#[tokio::test]
async fn truncate_commits_the_transaction() {
    let s = Setting::new().await;
    s.finished("create table t (n int)").await;
    s.finished("create table log (n int)").await;
    s.finished("insert into t values (1)").await;
    let body = json!({"Sqls": [
        "insert into log values (1)", "truncate t", "insert into log values (2)", "select * from nowhere",
    ]});
    let described = s.run_with("BatchExecuteStatement", body).await;
    assert_eq!(statuses(&described), ["FINISHED", "FINISHED", "FINISHED", "FAILED"]);
    assert_eq!(s.rows("select count(*) from t").await[0][0], json!({"longValue": 0}));
    // The first line was committed by TRUNCATE, the second rolled back.
    assert_eq!(s.rows("select n from log").await, vec![vec![json!({"longValue": 1})]]);
}

#[tokio::test]
async fn a_procedure_may_commit_when_it_is_sent_alone() {
    let s = Setting::new().await;
    s.finished("create table t (n int)").await;
    s.finished(
        "create or replace procedure commits() as $$ begin insert into t values (1); commit; insert into t values (2); \
         rollback; end; $$ language plpgsql",
    )
    .await;
    s.finished("call commits()").await;
    assert_eq!(s.rows("select n from t").await, vec![vec![json!({"longValue": 1})]]);
    let described = s.run_with("BatchExecuteStatement", json!({"Sqls": ["select 1", "call commits()"]})).await;
    assert_eq!(described["Status"], "FAILED", "{described}");
    let described = s
        .run_with(
            "BatchExecuteStatement",
            json!({"Sqls": ["select 1", "call commits()"], "ExecutionMode": "AUTO_COMMIT"}),
        )
        .await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
}
