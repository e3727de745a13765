//! Sessions: what lives in them, who may use them, when they end.

use crate::setting::{ENDLESS, Setting, caller};
use chrono::Duration;
use redshift::Limits;
use serde_json::{Value, json};

async fn open(s: &Setting, sql: &str, keep_alive: u32) -> Value {
    let body = s.on_cluster(json!({"Sql": sql, "SessionKeepAliveSeconds": keep_alive}));
    let answer = s.call("ExecuteStatement", body).await.unwrap();
    let described = s.ended(answer["Id"].as_str().unwrap()).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    assert_eq!(described["SessionId"], answer["SessionId"]);
    answer["SessionId"].clone()
}

async fn within(s: &Setting, session: &Value, sql: &str) -> Value {
    let answer = s.call("ExecuteStatement", json!({"Sql": sql, "SessionId": session})).await.unwrap();
    assert_eq!(answer["SessionId"], *session);
    assert_eq!(answer["Database"], s.database);
    s.ended(answer["Id"].as_str().unwrap()).await
}

#[tokio::test]
async fn temp_tables_and_settings_live_in_a_session_and_nowhere_else() {
    let s = Setting::new().await;
    let session = open(&s, "create temp table mine (n int)", 60).await;
    assert_eq!(within(&s, &session, "insert into mine values (1)").await["Status"], "FINISHED");
    let described = within(&s, &session, "select n from mine").await;
    assert_eq!(s.records(described["Id"].as_str().unwrap()).await, vec![vec![json!({"longValue": 1})]]);
    assert_eq!(s.run("select n from mine").await["Status"], "FAILED");
    let other = open(&s, "select 1", 60).await;
    assert_ne!(other, session);
    assert_eq!(within(&s, &other, "select n from mine").await["Status"], "FAILED");
}

#[tokio::test]
async fn begin_and_commit_span_the_statements_of_a_session() {
    let s = Setting::new().await;
    s.finished("create table t (n int)").await;
    for (end, rows) in [("rollback", 0), ("commit", 1), ("end", 2)] {
        let session = open(&s, "begin", 60).await;
        within(&s, &session, "insert into t values (1)").await;
        let seen = s.rows("select count(*) from t").await;
        let described = within(&s, &session, end).await;
        assert_eq!(described["Status"], "FINISHED", "{end}: {described}");
        let after = s.rows("select count(*) from t").await;
        assert_eq!(after[0][0], json!({"longValue": rows}), "{end}");
        assert_eq!(seen[0][0], json!({"longValue": if rows == 0 { 0 } else { rows - 1 }}), "{end}");
    }
}

#[tokio::test]
async fn a_failure_aborts_the_block_until_rollback() {
    let s = Setting::new().await;
    let session = open(&s, "begin", 60).await;
    assert_eq!(within(&s, &session, "select * from nowhere").await["Status"], "FAILED");
    let described = within(&s, &session, "select 1").await;
    assert!(described["Error"].as_str().unwrap().contains("current transaction is aborted"), "{described}");
    assert_eq!(within(&s, &session, "rollback").await["Status"], "FINISHED");
    assert_eq!(within(&s, &session, "select 1").await["Status"], "FINISHED");
}

#[tokio::test]
async fn vacuum_is_refused_in_an_open_block() {
    let s = Setting::new().await;
    s.finished("create table t (n int)").await;
    let session = open(&s, "begin", 60).await;
    let described = within(&s, &session, "vacuum t").await;
    assert!(
        described["Error"].as_str().unwrap().contains("VACUUM cannot run inside a transaction block"),
        "{described}"
    );
}

#[tokio::test]
async fn one_statement_at_a_time() {
    let s = Setting::new().await;
    s.numbers().await;
    let session = open(&s, "select 1", 60).await;
    let running = s.call("ExecuteStatement", json!({"Sql": ENDLESS, "SessionId": session})).await.unwrap();
    let error = s.call("ExecuteStatement", json!({"Sql": "select 1", "SessionId": session})).await.unwrap_err();
    assert_eq!(error.code, "ValidationException");
    assert!(error.message.contains("busy"), "{error}");
    let id = running["Id"].as_str().unwrap();
    s.until(id, "STARTED").await;
    s.call("CancelStatement", json!({"Id": id})).await.unwrap();
    s.ended(id).await;
    assert_eq!(within(&s, &session, "select 1").await["Status"], "FINISHED");
}

#[tokio::test]
async fn a_session_fixes_where_and_as_whom() {
    let s = Setting::new().await;
    let session = open(&s, "select 1", 60).await;
    for (member, value) in [
        ("ClusterIdentifier", "c"),
        ("WorkgroupName", "wg-1"),
        ("Database", "dev"),
        ("DbUser", "u"),
        ("SecretArn", "arn"),
    ] {
        let mut body = json!({"Sql": "select 1", "SessionId": session});
        body[member] = json!(value);
        let error = s.call("ExecuteStatement", body).await.unwrap_err();
        assert_eq!(error.code, "ValidationException");
        assert!(error.message.contains(member), "{error}");
    }
    let stranger = caller("other", "one");
    for (who, id) in
        [(&stranger, session.clone()), (&caller("submitter", "one"), json!("00000000-0000-0000-0000-000000000000"))]
    {
        let error = s.call_as(who, "ExecuteStatement", json!({"Sql": "select 1", "SessionId": id})).await.unwrap_err();
        assert_eq!(error.message, format!("Session with Id: {} is invalid", id.as_str().unwrap()));
    }
}

#[tokio::test]
async fn a_session_ends_after_its_keep_alive_time() {
    let s = Setting::new().await;
    let session = open(&s, "select 1", 60).await;
    s.pass(Duration::seconds(59));
    // Each statement starts the time anew, and may set it.
    let body = json!({"Sql": "select 1", "SessionId": session, "SessionKeepAliveSeconds": 10});
    let answer = s.call("ExecuteStatement", body).await.unwrap();
    s.ended(answer["Id"].as_str().unwrap()).await;
    s.pass(Duration::seconds(9));
    within(&s, &session, "select 1").await;
    s.pass(Duration::seconds(10));
    let error = s.call("ExecuteStatement", json!({"Sql": "select 1", "SessionId": session})).await.unwrap_err();
    assert_eq!(error.message, "Session is not available");
}

#[tokio::test]
async fn a_session_lives_a_day_at_most() {
    let s = Setting::new().await;
    let session = open(&s, "select 1", 86_400).await;
    s.pass(Duration::hours(23));
    within(&s, &session, "select 1").await;
    s.pass(Duration::hours(1));
    let error = s.call("ExecuteStatement", json!({"Sql": "select 1", "SessionId": session})).await.unwrap_err();
    assert_eq!(error.message, "Session is not available");
}

#[tokio::test]
async fn open_sessions_are_limited() {
    let s = Setting::with(Limits { active_sessions: 1, ..Limits::default() }).await;
    let session = open(&s, "select 1", 60).await;
    let body = s.on_cluster(json!({"Sql": "select 1", "SessionKeepAliveSeconds": 60}));
    let error = s.call("ExecuteStatement", body.clone()).await.unwrap_err();
    assert_eq!(error.code, "ActiveSessionsExceededException");
    s.finished("select 1").await;
    // With 0 it ends with this statement.
    let last = json!({"Sql": "select 1", "SessionId": session, "SessionKeepAliveSeconds": 0});
    let answer = s.call("ExecuteStatement", last).await.unwrap();
    s.ended(answer["Id"].as_str().unwrap()).await;
    s.call("ExecuteStatement", body).await.unwrap();
}

#[tokio::test]
async fn a_session_whose_backend_died_is_over() {
    let s = Setting::new().await;
    let session = open(&s, "select 1", 60).await;
    let pid = within(&s, &session, "select 1").await["RedshiftPid"].as_i64().unwrap();
    s.finished(&format!("select pg_terminate_backend({pid})")).await;
    // Either the death is noticed at once, or the statement meets it.
    match s.call("ExecuteStatement", json!({"Sql": "select 1", "SessionId": session})).await {
        Ok(answer) => {
            assert_eq!(s.ended(answer["Id"].as_str().unwrap()).await["Status"], "FAILED");
            let error = s.call("ExecuteStatement", json!({"Sql": "select 1", "SessionId": session})).await.unwrap_err();
            assert_eq!(error.message, "Session is not available");
        }
        Err(error) => assert_eq!(error.message, "Session is not available"),
    }
}

fn listed(answer: &Value) -> Vec<&Value> {
    answer["Sessions"].as_array().unwrap().iter().map(|s| &s["SessionId"]).collect()
}

#[tokio::test]
async fn sessions_are_listed_with_their_state() {
    let s = Setting::new().await;
    let (one, two) = (open(&s, "select 1", 60).await, open(&s, "select 1", 3600).await);
    let hold = s.api.faults().hold("held");
    let body = json!({"Sql": "select 1", "SessionId": two, "StatementName": "held"});
    let running = s.call("ExecuteStatement", body).await.unwrap()["Id"].clone();
    let answer = s.call("ListSessions", json!({})).await.unwrap();
    // The newest first.
    assert_eq!(listed(&answer), [&two, &one]);
    let (busy, free) = (&answer["Sessions"][0], &answer["Sessions"][1]);
    assert_eq!((&busy["Status"], &busy["CurrentStatementId"]), (&json!("BUSY"), &running));
    assert_eq!((&free["Status"], free.get("CurrentStatementId")), (&json!("AVAILABLE"), None));
    assert_eq!(free["SessionTtl"].as_f64().unwrap() - free["UpdatedAt"].as_f64().unwrap(), 60.0);
    assert_eq!(busy["SessionTtl"].as_f64().unwrap() - busy["CreatedAt"].as_f64().unwrap(), 86_400.0);
    assert_eq!((&free["ClusterIdentifier"], &free["Database"]), (&json!("c"), &json!(s.database)));
    assert_eq!((&free["DbUser"], &free["SessionAliveSeconds"]), (&json!("IAMR:submitter"), &json!(60)));
    hold.release();
    s.ended(running.as_str().unwrap()).await;
    s.pass(Duration::seconds(60));
    for (body, expected) in [
        (json!({}), vec![&two]),
        (json!({"Status": "AVAILABLE"}), vec![&two]),
        (json!({"Status": "BUSY"}), vec![]),
        (json!({"Status": "CLOSED"}), vec![&one]),
        // By its id a session is shown whatever its state.
        (json!({"SessionId": one}), vec![&one]),
        (json!({"SessionId": "00000000-0000-0000-0000-000000000000"}), vec![]),
        (json!({"ClusterIdentifier": "c", "Database": s.database}), vec![&two]),
        (json!({"Database": "other"}), vec![]),
        (json!({"WorkgroupName": "wg-1"}), vec![]),
    ] {
        assert_eq!(listed(&s.call("ListSessions", body.clone()).await.unwrap()), expected, "{body}");
    }
    for (member, value) in
        [("Status", "BUSY"), ("ClusterIdentifier", "c"), ("WorkgroupName", "wg-1"), ("Database", "dev")]
    {
        let mut body = json!({ "SessionId": one });
        body[member] = json!(value);
        let error = s.call("ListSessions", body).await.unwrap_err();
        assert!(error.code == "ValidationException" && error.message.contains(member), "{error}");
    }
    // What was created more than a day ago is no longer listed.
    s.pass(Duration::hours(24));
    assert_eq!(listed(&s.call("ListSessions", json!({"Status": "CLOSED"})).await.unwrap()), Vec::<&Value>::new());
}

#[tokio::test]
async fn sessions_are_the_roles_and_come_in_pages() {
    let s = Setting::new().await;
    let mut opened = Vec::new();
    for _ in 0..3 {
        opened.insert(0, open(&s, "select 1", 60).await);
    }
    let two = caller("submitter", "two");
    for (who, role_level, count) in [
        (&two, json!(null), 3),
        (&two, json!(true), 3),
        (&two, json!(false), 0),
        (&caller("submitter", "one"), json!(false), 3),
        (&caller("other", "one"), json!(null), 0),
    ] {
        let answer = s.call_as(who, "ListSessions", json!({ "RoleLevel": role_level })).await.unwrap();
        assert_eq!(listed(&answer).len(), count, "{} {role_level}", who.arn);
    }
    let first = s.call("ListSessions", json!({"MaxResults": 2})).await.unwrap();
    assert_eq!(listed(&first), [&opened[0], &opened[1]]);
    let second = s.call("ListSessions", json!({"MaxResults": 2, "NextToken": first["NextToken"]})).await.unwrap();
    assert_eq!((listed(&second), second.get("NextToken")), (vec![&opened[2]], None));
    for body in [json!({"MaxResults": 101}), json!({"NextToken": "x"}), json!({"Status": "OPEN"})] {
        assert_eq!(s.call("ListSessions", body).await.unwrap_err().code, "ValidationException");
    }
}
