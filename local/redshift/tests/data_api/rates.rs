//! Requests a second, when they are limited.

use crate::setting::Setting;
use chrono::Duration;
use redshift::{Rates, Throttle};
use serde_json::json;

/// Calls an operation `calls` times and says how many were let in; the rest must be refused in this way.
async fn let_in(s: &Setting, operation: &str, calls: usize, code: &str) -> usize {
    let mut taken = 0;
    for _ in 0..calls {
        match s.call(operation, json!({})).await {
            Err(error) if error.message == "Rate exceeded" => {
                assert_eq!((error.code.as_str(), error.status), (code, 400))
            }
            _ => taken += 1,
        }
    }
    taken
}

#[tokio::test]
async fn off_until_switched_on_and_as_documented() {
    let s = Setting::new().await;
    assert_eq!(let_in(&s, "CancelStatement", 50, "").await, 50);
    s.api.faults().limit_rates(Some(Rates::documented()));
    for (operation, limit) in [
        ("ExecuteStatement", 30),
        ("BatchExecuteStatement", 20),
        ("DescribeStatement", 100),
        ("GetStatementResult", 20),
        ("GetStatementResultV2", 20),
        ("CancelStatement", 3),
        ("ListStatements", 3),
        ("ListSessions", 3),
        ("ListTables", 3),
        ("ListSchemas", 3),
        ("ListDatabases", 3),
        ("DescribeTable", 3),
    ] {
        // A request counts also when it is refused for another reason.
        assert_eq!(let_in(&s, operation, limit + 5, "ThrottlingException").await, limit, "{operation}");
    }
    s.pass(Duration::seconds(1));
    assert_eq!(let_in(&s, "CancelStatement", 5, "ThrottlingException").await, 3);
    s.api.faults().limit_rates(None);
    assert_eq!(let_in(&s, "CancelStatement", 50, "").await, 50);
}

#[tokio::test]
async fn throttling_can_hide_in_a_validation_exception() {
    let s = Setting::new().await;
    s.api.faults().limit_rates(Some(Rates::documented().answering(Throttle::HiddenInValidation)));
    assert_eq!(let_in(&s, "ListStatements", 10, "ValidationException").await, 3);
}

#[tokio::test]
async fn a_throttled_submit_leaves_nothing() {
    let s = Setting::new().await;
    let mut rates = Rates::documented();
    rates.per_second.insert("ExecuteStatement".into(), 1);
    s.api.faults().limit_rates(Some(rates));
    let body = s.on_cluster(json!({"Sql": "select 1", "ClientToken": "t"}));
    let first = s.call("ExecuteStatement", body.clone()).await.unwrap();
    assert_eq!(s.call("ExecuteStatement", body.clone()).await.unwrap_err().code, "ThrottlingException");
    s.pass(Duration::seconds(1));
    // The retry of the SDK meets the statement that its token names.
    assert_eq!(s.call("ExecuteStatement", body).await.unwrap()["Id"], first["Id"]);
    let all = s.call("ListStatements", json!({"Status": "ALL"})).await.unwrap();
    assert_eq!(all["Statements"].as_array().unwrap().len(), 1);
}
