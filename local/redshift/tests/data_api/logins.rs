//! Secrets and database users, checked where they are configured.

use crate::setting::Setting;
use redshift::{Logins, Secret};
use serde_json::{Value, json};

const ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:loader-AbCdEf";

async fn setting() -> Setting {
    let secret = |username: &str, cluster: Option<&str>| Secret {
        username: username.to_owned(),
        cluster: cluster.map(str::to_owned),
    };
    let secrets = [
        (ARN.to_owned(), secret("loader", Some("c"))),
        ("elsewhere".to_owned(), secret("loader", Some("other"))),
        ("anywhere".to_owned(), secret("loader", None)),
        ("stale".to_owned(), secret("gone", None)),
    ];
    Setting::with_logins(Logins {
        secrets: Some(secrets.into()),
        users: Some(["loader".to_owned(), "reader".to_owned()].into()),
    })
    .await
}

/// How a statement with this login ends: its user, or why not.
async fn login(s: &Setting, login: Value) -> Result<String, String> {
    let mut body = s.on_cluster(json!({"Sql": "select current_user::varchar"}));
    for (member, value) in login.as_object().unwrap() {
        body[member] = value.clone();
    }
    let answer = s.call("ExecuteStatement", body).await.map_err(|error| error.to_string())?;
    let described = s.ended(answer["Id"].as_str().unwrap()).await;
    if described["Status"] == "FAILED" {
        return Err(described["Error"].as_str().unwrap().to_owned());
    }
    assert_eq!(described["SecretArn"], login["SecretArn"]);
    let records = s.records(answer["Id"].as_str().unwrap()).await;
    assert_eq!(records[0][0]["stringValue"], described["DbUser"]);
    Ok(described["DbUser"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn secrets_say_who_logs_in_and_where() {
    let s = setting().await;
    let workgroup =
        json!({"SecretArn": "anywhere", "ClusterIdentifier": null, "WorkgroupName": "wg-1", "Database": "serverless"});
    for (given, ended) in [
        (json!({"SecretArn": ARN}), Ok("loader")),
        (json!({"SecretArn": "loader"}), Ok("loader")),
        (json!({"SecretArn": "anywhere"}), Ok("loader")),
        (workgroup, Ok("loader")),
        (json!({"SecretArn": "elsewhere"}), Err("ValidationException: ClusterIdentifier does not match")),
        (json!({"SecretArn": "unknown"}), Err("ResourceNotFoundException: Secrets Manager can't find")),
        (json!({"SecretArn": "stale"}), Err("FATAL: password authentication failed for user \"gone\"")),
    ] {
        match (login(&s, given.clone()).await, ended) {
            (Ok(user), Ok(expected)) => assert_eq!(user, expected, "{given}"),
            (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{given}: {error}"),
            (found, expected) => panic!("{given}: {found:?} instead of {expected:?}"),
        }
    }
    let error = s.call("ListTables", s.on_cluster(json!({"SecretArn": "unknown"}))).await.unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_database_user_must_be_there() {
    let s = setting().await;
    assert_eq!(login(&s, json!({"DbUser": "reader"})).await, Ok("reader".to_owned()));
    // Users of IAM identities are made with their first login.
    assert_eq!(login(&s, json!({})).await, Ok("IAMR:submitter".to_owned()));
    let later = format!("made_{}", s.database);
    let refused = format!("FATAL: password authentication failed for user \"{later}\"");
    assert_eq!(login(&s, json!({ "DbUser": later })).await, Err(refused.clone()));
    let error = s.call("ListTables", s.on_cluster(json!({ "DbUser": later }))).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.message), ("ValidationException", refused));
    s.finished(&format!("create user {later} password disable")).await;
    assert_eq!(login(&s, json!({ "DbUser": later })).await, Ok(later));
}

#[tokio::test]
async fn without_a_configuration_everybody_may_log_in() {
    let s = Setting::new().await;
    assert_eq!(login(&s, json!({"SecretArn": "whatever"})).await, Ok("awsuser".to_owned()));
    assert_eq!(login(&s, json!({"DbUser": "whoever"})).await, Ok("whoever".to_owned()));
}
