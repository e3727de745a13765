//! ListStatements.

use crate::setting::{Setting, caller};
use serde_json::{Value, json};

fn names(answer: &Value) -> Vec<&str> {
    answer["Statements"].as_array().unwrap().iter().map(|s| s["StatementName"].as_str().unwrap_or("")).collect()
}

async fn named(s: &Setting, name: &str, sql: &str) -> String {
    let described = s.run_with("ExecuteStatement", json!({"Sql": sql, "StatementName": name})).await;
    described["Id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn finished_only_unless_asked_newest_first() {
    let s = Setting::new().await;
    named(&s, "a/1", "select 1").await;
    named(&s, "a/2", "select * from nowhere").await;
    named(&s, "A/3", "select 3").await;
    s.run_with("BatchExecuteStatement", json!({"Sqls": ["select 4", "select 5"], "StatementName": "a/4"})).await;
    for (body, expected) in [
        (json!({}), vec!["a/4", "A/3", "a/1"]),
        (json!({"Status": "ALL"}), vec!["a/4", "A/3", "a/2", "a/1"]),
        (json!({"Status": "FAILED"}), vec!["a/2"]),
        (json!({"Status": "STARTED"}), vec![]),
        (json!({"StatementName": "a/"}), vec!["a/4", "a/1"]),
        (json!({"StatementName": "a/", "Status": "ALL"}), vec!["a/4", "a/2", "a/1"]),
        (json!({"ClusterIdentifier": "c", "Database": s.database}), vec!["a/4", "A/3", "a/1"]),
        (json!({"ClusterIdentifier": "c", "Database": "other"}), vec![]),
        (json!({"WorkgroupName": "wg-1"}), vec![]),
    ] {
        let answer = s.call("ListStatements", body.clone()).await.unwrap();
        assert_eq!(names(&answer), expected, "{body}");
    }
    let answer = s.call("ListStatements", json!({"Status": "ALL"})).await.unwrap();
    let batch = &answer["Statements"][0];
    assert_eq!((&batch["IsBatchStatement"], &batch["QueryStrings"]), (&json!(true), &json!(["select 4", "select 5"])));
    assert_eq!(answer["Statements"][3]["QueryString"], "select 1");
}

#[tokio::test]
async fn pages_do_not_shift_when_statements_come_in() {
    let s = Setting::new().await;
    for n in 0..5 {
        named(&s, &format!("p/{n}"), "select 1").await;
    }
    let first = s.call("ListStatements", json!({"MaxResults": 2})).await.unwrap();
    assert_eq!(names(&first), ["p/4", "p/3"]);
    named(&s, "p/5", "select 1").await;
    let second = s.call("ListStatements", json!({"MaxResults": 2, "NextToken": first["NextToken"]})).await.unwrap();
    assert_eq!(names(&second), ["p/2", "p/1"]);
    let third = s.call("ListStatements", json!({"MaxResults": 2, "NextToken": second["NextToken"]})).await.unwrap();
    assert_eq!(names(&third), ["p/0"]);
    assert!(third.get("NextToken").is_none());
}

#[tokio::test]
async fn role_level_tells_the_role_from_the_role_session() {
    let s = Setting::new().await;
    named(&s, "one", "select 1").await;
    let two = caller("submitter", "two");
    for (who, role_level, expected) in [
        (&two, json!(true), vec!["one"]),
        (&two, json!(null), vec!["one"]),
        (&two, json!(false), vec![]),
        (&caller("submitter", "one"), json!(false), vec!["one"]),
    ] {
        let answer = s.call_as(who, "ListStatements", json!({"RoleLevel": role_level})).await.unwrap();
        assert_eq!(names(&answer), expected, "{role_level}");
    }
}
