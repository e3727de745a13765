//! What requests are refused, and how.

use crate::setting::Setting;
use serde_json::{Value, json};

#[tokio::test]
async fn wrong_members_are_refused_by_name() {
    let s = Setting::new().await;
    let good = s.on_cluster(json!({"Sql": "select 1"}));
    let with = |changes: Value| {
        let mut body = good.clone();
        for (member, value) in changes.as_object().unwrap() {
            body[member] = value.clone();
        }
        body
    };
    for (body, code, said) in [
        (with(json!({"Sql": null})), "ValidationException", "'sql'"),
        (with(json!({"Sql": " \n"})), "ValidationException", "empty"),
        (with(json!({"Sql": 7})), "SerializationException", "Sql"),
        (with(json!({"Sql": "x".repeat(204_801)})), "ValidationException", "204800"),
        (with(json!({"ClusterIdentifier": "C_1"})), "ValidationException", "'clusterIdentifier'"),
        (
            with(json!({"ClusterIdentifier": "other"})),
            "ValidationException",
            "Redshift endpoint doesn't exist in this region.",
        ),
        (with(json!({"ClusterIdentifier": null})), "ValidationException", "ClusterIdentifier"),
        (with(json!({"WorkgroupName": "wg-1"})), "ValidationException", "together"),
        (with(json!({"ClusterIdentifier": null, "WorkgroupName": "w"})), "ValidationException", "'workgroupName'"),
        (
            with(json!({"ClusterIdentifier": null, "WorkgroupName": "wg-1", "DbUser": "u"})),
            "ValidationException",
            "DbUser",
        ),
        (with(json!({"DbUser": "u", "SecretArn": "arn"})), "ValidationException", "SecretArn"),
        (with(json!({"Database": null})), "ValidationException", "Database"),
        (with(json!({"StatementName": "n".repeat(2049)})), "ValidationException", "'statementName'"),
        (with(json!({"ClientToken": ""})), "ValidationException", "'clientToken'"),
        (with(json!({"ClientToken": "t".repeat(65)})), "ValidationException", "'clientToken'"),
        (with(json!({"SessionKeepAliveSeconds": 86_401})), "ValidationException", "'sessionKeepAliveSeconds'"),
        (with(json!({"SessionKeepAliveSeconds": -1})), "ValidationException", "'sessionKeepAliveSeconds'"),
        (with(json!({"ResultFormat": "XML"})), "ValidationException", "'resultFormat'"),
        (with(json!({"WithEvent": "yes"})), "SerializationException", "WithEvent"),
        (with(json!({"Sqls": ["select 1"]})), "ValidationException", "Sqls"),
        (json!([]), "SerializationException", "object"),
    ] {
        let error = s.call("ExecuteStatement", body.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(said), "{error}");
    }
    for (sqls, said) in
        [(json!(null), "'sqls'"), (json!([]), "'sqls'"), (json!(vec!["select 1"; 41]), "less than or equal to 40")]
    {
        let mut body = s.on_cluster(json!({"Sqls": sqls}));
        let error = s.call("BatchExecuteStatement", body.clone()).await.unwrap_err();
        assert!(error.message.contains(said), "{error}");
        body["Sqls"] = json!(["select 1"]);
        body["ExecutionMode"] = json!("SERIAL");
        let error = s.call("BatchExecuteStatement", body).await.unwrap_err();
        assert!(error.message.contains("'executionMode'"), "{error}");
    }
    for operation in ["DescribeStatement", "CancelStatement", "GetStatementResult", "GetStatementResultV2"] {
        for id in [json!(null), json!("x"), json!("00000000-0000-0000-0000-00000000000A")] {
            let error = s.call(operation, json!({"Id": id})).await.unwrap_err();
            assert_eq!(error.code, "ValidationException", "{operation} {id}");
        }
    }
    for body in [json!({"MaxResults": 101}), json!({"Status": "DONE"}), json!({"NextToken": "x"})] {
        let error = s.call("ListStatements", body.clone()).await.unwrap_err();
        assert_eq!(error.code, "ValidationException", "{body}");
    }
    let listed = s.call("ListStatements", json!({"Status": "ALL"})).await.unwrap();
    assert_eq!(listed["Statements"], json!([]), "a refused request leaves nothing");
}

#[tokio::test]
async fn an_operation_that_is_not_there_is_named() {
    let s = Setting::new().await;
    for operation in ["ExecuteStatements", "Nonsense"] {
        let error = s.call(operation, json!({})).await.unwrap_err();
        assert!(error.message.contains(operation), "{error}");
    }
}

#[tokio::test]
async fn two_statements_in_one_text_are_refused() {
    let s = Setting::new().await;
    assert_eq!(s.run("select 1; select 2").await["Status"], "FAILED");
    s.finished("select 1;").await;
}

#[tokio::test]
async fn forty_statements_fit_in_a_batch() {
    let s = Setting::new().await;
    let described = s.run_with("BatchExecuteStatement", json!({"Sqls": vec!["select 1"; 40]})).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    assert_eq!(described["SubStatements"].as_array().unwrap().len(), 40);
}
