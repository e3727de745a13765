//! CancelStatement: the backend really stops.

use crate::setting::{ENDLESS, Setting};
use serde_json::json;

#[tokio::test]
async fn a_running_statement_is_aborted_and_its_backend_idle() {
    let mut s = Setting::new().await;
    s.numbers().await;
    let body = s.on_cluster(json!({"Sql": ENDLESS, "WithEvent": true, "StatementName": "x"}));
    let id = s.call("ExecuteStatement", body).await.unwrap()["Id"].as_str().unwrap().to_owned();
    s.until(&id, "STARTED").await;
    assert_eq!(s.call("CancelStatement", json!({"Id": id})).await.unwrap(), json!({"Status": true}));
    let event = s.events.recv().await.unwrap();
    assert_eq!((&event["detail"]["state"], &event["detail"]["rows"]), (&json!("ABORTED"), &json!(-1)));
    let described = s.ended(&id).await;
    assert_eq!(described["Status"], "ABORTED");
    let query = described["RedshiftQueryId"].as_i64().unwrap();
    let error = described["Error"].as_str().unwrap();
    assert!(error.contains(&format!("Query ({query}) cancelled on user's request")), "{error}");
    let error = s.call("CancelStatement", json!({"Id": id})).await.unwrap_err();
    assert_eq!(error.message, format!("Could not cancel a query that is already in ABORTED state with ID: {id}"));
}

#[tokio::test]
async fn what_is_not_running_cannot_be_cancelled() {
    let s = Setting::new().await;
    let id = s.finished("select 1").await["Id"].as_str().unwrap().to_owned();
    let error = s.call("CancelStatement", json!({"Id": id})).await.unwrap_err();
    assert_eq!(error.message, format!("Could not cancel a query that is already in FINISHED state with ID: {id}"));
    let nobody = "00000000-0000-0000-0000-000000000000";
    let error = s.call("CancelStatement", json!({"Id": nobody})).await.unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_batch_is_cancelled_by_its_parent_and_rolled_back() {
    let s = Setting::new().await;
    s.numbers().await;
    s.finished("create table t (n int)").await;
    for (mode, kept) in [("TRANSACTION", 0), ("AUTO_COMMIT", 1)] {
        let body =
            json!({"Sqls": ["insert into t values (1)", ENDLESS, "insert into t values (2)"], "ExecutionMode": mode});
        let id = s.call("BatchExecuteStatement", s.on_cluster(body)).await.unwrap()["Id"].as_str().unwrap().to_owned();
        s.until(&id, "STARTED").await;
        let error = s.call("CancelStatement", json!({"Id": format!("{id}:2")})).await.unwrap_err();
        assert_eq!(error.code, "ValidationException");
        loop {
            let described = s.call("DescribeStatement", json!({"Id": id})).await.unwrap();
            if described["SubStatements"][1]["Status"] == "STARTED" {
                break;
            }
            tokio::task::yield_now().await;
        }
        s.call("CancelStatement", json!({"Id": id})).await.unwrap();
        let described = s.ended(&id).await;
        assert_eq!(described["Status"], "ABORTED", "{mode}");
        let parts: Vec<&str> =
            described["SubStatements"].as_array().unwrap().iter().map(|p| p["Status"].as_str().unwrap()).collect();
        assert_eq!(parts, ["FINISHED", "ABORTED", "ABORTED"], "{mode}");
        assert_eq!(s.rows("select count(*) from t").await[0][0], json!({"longValue": kept}), "{mode}");
    }
}

#[tokio::test]
async fn a_cancel_in_a_session_leaves_the_session_usable() {
    let s = Setting::new().await;
    s.numbers().await;
    let first =
        s.call("ExecuteStatement", s.on_cluster(json!({"Sql": ENDLESS, "SessionKeepAliveSeconds": 60}))).await.unwrap();
    let (id, session) = (first["Id"].as_str().unwrap(), first["SessionId"].clone());
    s.until(id, "STARTED").await;
    s.call("CancelStatement", json!({"Id": id})).await.unwrap();
    assert_eq!(s.ended(id).await["Status"], "ABORTED");
    let next = s.call("ExecuteStatement", json!({"Sql": "select 1", "SessionId": session})).await.unwrap();
    assert_eq!(s.ended(next["Id"].as_str().unwrap()).await["Status"], "FINISHED");
}

#[tokio::test]
async fn a_procedure_loop_is_cancelled_too() {
    let s = Setting::new().await;
    s.finished(
        "create or replace procedure forever() as $$ declare n int := 0; begin loop n := n + 1; if n > 1000000 then n := 0; \
         end if; end loop; end; $$ language plpgsql",
    )
    .await;
    let id = s.submit("call forever()").await;
    s.until(&id, "STARTED").await;
    s.call("CancelStatement", json!({"Id": id})).await.unwrap();
    assert_eq!(s.ended(&id).await["Status"], "ABORTED");
}
