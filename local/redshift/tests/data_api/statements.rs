//! ExecuteStatement, DescribeStatement, events, tokens, limits, visibility.

use crate::setting::{ENDLESS, Setting, caller};
use chrono::Duration;
use redshift::{Limits, Throttle};
use serde_json::{Value, json};

#[tokio::test]
async fn a_query_is_finished_and_described() {
    let s = Setting::new().await;
    let submitted = s
        .call("ExecuteStatement", s.on_cluster(json!({"Sql": "select 6*7 as answer", "StatementName": "n"})))
        .await
        .unwrap();
    assert_eq!(submitted["ClusterIdentifier"], "c");
    assert_eq!(submitted["DbUser"], "IAMR:submitter");
    let described = s.ended(submitted["Id"].as_str().unwrap()).await;
    for (member, value) in [
        ("Status", json!("FINISHED")),
        ("HasResultSet", json!(true)),
        ("ResultRows", json!(1)),
        ("ResultSize", json!(2)),
        ("QueryString", json!("select 6*7 as answer")),
        ("Database", json!(s.database)),
        ("ResultFormat", json!("JSON")),
        ("Id", submitted["Id"].clone()),
    ] {
        assert_eq!(described[member], value, "{member}");
    }
    assert!(described["Duration"].as_i64().unwrap() > 0);
    assert!(described["RedshiftPid"].as_i64().unwrap() > 0);
    assert!(described["RedshiftQueryId"].as_i64().unwrap() > 0);
    for absent in ["Error", "StatementName", "ClientToken", "SubStatements", "SessionId"] {
        assert!(described.get(absent).is_none(), "{absent}");
    }
    let records = s.records(described["Id"].as_str().unwrap()).await;
    assert_eq!(records, vec![vec![json!({"longValue": 42})]]);
}

#[tokio::test]
async fn an_sql_error_is_a_failed_statement_not_an_api_error() {
    let s = Setting::new().await;
    let described = s.run("select * from nowhere").await;
    assert_eq!(described["Status"], "FAILED");
    let error = described["Error"].as_str().unwrap();
    assert!(error.starts_with("ERROR: ") && error.contains("relation \"nowhere\" does not exist"), "{error}");
    assert_eq!(described["ResultRows"], -1);
    assert_eq!(described["HasResultSet"], false);
}

#[tokio::test]
async fn a_database_that_is_not_there_fails_the_statement() {
    let s = Setting::new().await;
    for database in ["nowhere", "postgres", "template1"] {
        let body = json!({"Sql": "select 1", "ClusterIdentifier": "c", "Database": database});
        let id = s.call("ExecuteStatement", body).await.unwrap()["Id"].as_str().unwrap().to_owned();
        let described = s.ended(&id).await;
        assert_eq!(described["Status"], "FAILED");
        assert!(described["Error"].as_str().unwrap().contains("does not exist"), "{described}");
    }
}

#[tokio::test]
async fn targets_are_apart() {
    let s = Setting::with_workgroup(Limits::default(), None).await;
    s.finished("create table only_on_cluster (n int)").await;
    let body = json!({"Sql": "select * from only_on_cluster", "WorkgroupName": "wg-1", "Database": s.database});
    let id = s.call("ExecuteStatement", body).await.unwrap()["Id"].as_str().unwrap().to_owned();
    let described = s.ended(&id).await;
    assert_eq!(described["Status"], "FAILED");
    assert_eq!(described["WorkgroupName"], "wg-1");
}

#[tokio::test]
async fn rows_affected_are_counted() {
    let s = Setting::new().await;
    s.finished("create table t (n int, v varchar(20))").await;
    for (sql, rows) in [
        ("insert into t values (1,'a'),(2,'b'),(3,'c')", 3),
        ("update t set v = 'x' where n > 1", 2),
        ("delete from t where n = 1", 1),
        ("select * from t where n > 100", 0),
    ] {
        let described = s.finished(sql).await;
        assert_eq!(described["ResultRows"], rows, "{sql}");
        assert_eq!(described["HasResultSet"], sql.starts_with("select"), "{sql}");
    }
}

#[tokio::test]
async fn status_goes_through_picked_and_started() {
    let s = Setting::new().await;
    let hold = s.api.faults().hold("held/");
    let body = s.on_cluster(json!({"Sql": "select 1", "StatementName": "held/1"}));
    let id = s.call("ExecuteStatement", body).await.unwrap()["Id"].as_str().unwrap().to_owned();
    s.until(&id, "PICKED").await;
    // Another name is not held.
    s.finished("select 2").await;
    assert_eq!(s.status(&id).await, "PICKED");
    let error = s.call("CancelStatement", json!({"Id": id})).await.unwrap_err();
    assert_eq!(error.code, "ValidationException");
    hold.release();
    assert_eq!(s.ended(&id).await["Status"], "FINISHED");
}

#[tokio::test]
async fn statements_wait_as_submitted_when_all_slots_are_taken() {
    let s = Setting::with(Limits { concurrency: 1, ..Limits::default() }).await;
    s.numbers().await;
    let running = s.submit(ENDLESS).await;
    s.until(&running, "STARTED").await;
    let waiting = s.submit("select 1").await;
    assert_eq!(s.status(&waiting).await, "SUBMITTED");
    s.call("CancelStatement", json!({"Id": running})).await.unwrap();
    assert_eq!(s.ended(&waiting).await["Status"], "FINISHED");
    assert_eq!(s.status(&running).await, "ABORTED");
}

#[tokio::test]
async fn with_event_emits_the_documented_event_after_the_state_is_visible() {
    let mut s = Setting::new().await;
    s.finished("create table t (n int)").await;
    s.finished("insert into t values (1),(2)").await;
    for (sql, state, rows) in [
        ("select * from t", "FINISHED", 2),
        ("insert into t values (3)", "FINISHED", 1),
        ("select * from nowhere", "FAILED", -1),
    ] {
        let body = s.on_cluster(json!({"Sql": sql, "WithEvent": true, "StatementName": "stack/row.1"}));
        let id = s.call("ExecuteStatement", body).await.unwrap()["Id"].clone();
        let event = s.events.recv().await.unwrap();
        // At once: whoever hears of the end must find it.
        let described = s.call("DescribeStatement", json!({"Id": id})).await.unwrap();
        assert_eq!(described["Status"], state);
        let expected = json!({
            "version": "0", "id": event["id"], "detail-type": "Redshift Data Statement Status Change",
            "source": "aws.redshift-data", "account": "000000000000", "time": "2026-11-20T10:00:00Z",
            "region": "us-east-1", "resources": ["arn:aws:redshift:us-east-1:000000000000:cluster:c"],
            "detail": {
                "principal": "arn:aws:sts::000000000000:assumed-role/submitter/one", "statementName": "stack/row.1",
                "statementId": id, "redshiftQueryId": described["RedshiftQueryId"], "state": state, "rows": rows,
                "expireAt": 1_795_255_200,
            },
        });
        assert_eq!(event, expected);
    }
    // Not asked for: no event.
    s.finished("select 1").await;
    assert!(s.events.try_recv().is_err());
}

#[tokio::test]
async fn a_workgroup_names_its_arn_in_the_event() {
    let mut s = Setting::new().await;
    let body = json!({"Sql": "select 1", "WithEvent": true, "WorkgroupName": "wg-1", "Database": "serverless"});
    s.call("ExecuteStatement", body).await.unwrap();
    let event = s.events.recv().await.unwrap();
    let arn = event["resources"][0].as_str().unwrap().to_owned();
    assert!(arn.starts_with("arn:aws:redshift-serverless:us-east-1:000000000000:workgroup/"), "{arn}");
    // The ARN works as the workgroup's name too.
    let body = json!({"Sql": "select 1", "WorkgroupName": arn, "Database": "serverless"});
    s.call("ExecuteStatement", body).await.unwrap();
}

#[tokio::test]
async fn the_same_client_token_is_the_same_statement_for_eight_hours() {
    let mut s = Setting::new().await;
    s.finished("create table t (n int)").await;
    let body = s.on_cluster(json!({"Sql": "insert into t values (1)", "ClientToken": "k", "WithEvent": true}));
    let first = s.call("ExecuteStatement", body.clone()).await.unwrap();
    s.ended(first["Id"].as_str().unwrap()).await;
    s.pass(Duration::hours(8) - Duration::seconds(1));
    // Also with other SQL: documented choice, see `Inner::submit`.
    let mut other = body.clone();
    other["Sql"] = json!("insert into t values (2)");
    for again in [body.clone(), other] {
        assert_eq!(s.call("ExecuteStatement", again).await.unwrap(), first);
    }
    // Another role has its own tokens.
    let stranger = caller("other", "one");
    let theirs = s.call_as(&stranger, "ExecuteStatement", body.clone()).await.unwrap();
    assert_ne!(theirs["Id"], first["Id"]);
    s.ended(theirs["Id"].as_str().unwrap()).await;
    assert_eq!(s.rows("select count(*) from t").await[0][0], json!({"longValue": 2}));
    s.pass(Duration::seconds(1));
    let later = s.call("ExecuteStatement", body).await.unwrap();
    assert_ne!(later["Id"], first["Id"]);
    s.ended(later["Id"].as_str().unwrap()).await;
    assert_eq!(s.rows("select count(*) from t").await[0][0], json!({"longValue": 3}));
    let mut events = 0;
    while s.events.try_recv().is_ok() {
        events += 1;
    }
    assert_eq!(events, 3);
}

#[tokio::test]
async fn active_statements_are_limited() {
    let s = Setting::with(Limits { active_statements: 2, ..Limits::default() }).await;
    let hold = s.api.faults().hold("");
    let ids = [s.submit("select 1").await, s.submit("select 2").await];
    let refused = s.call("ExecuteStatement", s.on_cluster(json!({"Sql": "select 3"}))).await.unwrap_err();
    assert_eq!(refused.code, "ActiveStatementsExceededException");
    // The other target has its own limit.
    let body = json!({"Sql": "select 1", "WorkgroupName": "wg-1", "Database": "serverless"});
    s.call("ExecuteStatement", body).await.unwrap();
    hold.release();
    for id in ids {
        s.ended(&id).await;
    }
    s.finished("select 3").await;
}

#[tokio::test]
async fn only_the_submitting_role_sees_a_statement() {
    let s = Setting::new().await;
    let described = s.finished("select 1").await;
    let id = described["Id"].as_str().unwrap();
    let stranger = caller("other", "one");
    for operation in ["DescribeStatement", "GetStatementResult", "CancelStatement"] {
        let error = s.call_as(&stranger, operation, json!({"Id": id})).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.extra["ResourceId"].as_str()), ("ResourceNotFoundException", Some(id)));
    }
    let listed = s.call_as(&stranger, "ListStatements", json!({})).await.unwrap();
    assert_eq!(listed["Statements"], json!([]));
    // Another session of the same role is the same owner.
    let colleague = caller("submitter", "two");
    s.call_as(&colleague, "GetStatementResult", json!({"Id": id})).await.unwrap();
}

#[tokio::test]
async fn statements_are_forgotten_after_a_day() {
    let s = Setting::new().await;
    let id = s.finished("select 1").await["Id"].clone();
    s.pass(Duration::hours(24) - Duration::seconds(1));
    s.call("GetStatementResult", json!({"Id": id})).await.unwrap();
    s.pass(Duration::seconds(1));
    let error = s.call("DescribeStatement", json!({"Id": id})).await.unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn parameters_are_bound_as_values() {
    let s = Setting::new().await;
    s.finished("create table t (n int, v varchar(40), d date)").await;
    let parameters = json!([
        {"name": "n", "value": "7"}, {"name": "v", "value": "it's :n; drop table t --"}, {"name": "d", "value": "2026-02-03"},
    ]);
    let insert = json!({"Sql": "insert into t values (:n, :v, :d) -- :comment", "Parameters": parameters});
    let described = s.run_with("ExecuteStatement", insert).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    assert_eq!(described["QueryParameters"], parameters);
    let select = json!({
        "Sql": "select n, v, d::varchar, ':v', :v::varchar as again from t where n = :n",
        "Parameters": [{"name": "n", "value": "7"}, {"name": "v", "value": "é"}],
    });
    let described = s.run_with("ExecuteStatement", select).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    let records = s.records(described["Id"].as_str().unwrap()).await;
    let expected = json!([[
        {"longValue": 7}, {"stringValue": "it's :n; drop table t --"}, {"stringValue": "2026-02-03"}, {"stringValue": ":v"},
        {"stringValue": "é"},
    ]]);
    assert_eq!(json!(records), expected);
    let bad = json!({"Sql": "select n from t where n = :n", "Parameters": [{"name": "n", "value": "seven"}]});
    assert_eq!(s.run_with("ExecuteStatement", bad).await["Status"], "FAILED");
}

#[tokio::test]
async fn a_cast_is_no_parameter_and_a_missing_one_is_named() {
    let s = Setting::new().await;
    s.finished("select '1'::int").await;
    for (sql, parameters, said) in [
        ("select 1", json!([{"name": "a", "value": "1"}]), "Unused parameters: [a]"),
        ("select ':a' -- :a", json!([{"name": "a", "value": "1"}]), "Unused parameters: [a]"),
        ("select :a, :b", json!([{"name": "a", "value": "1"}]), "Missing parameters: [b]"),
        ("select :a", json!([{"name": "a", "value": ""}]), "parameters.1.member.value"),
        ("select :a", json!([{"name": "a", "value": null}]), "parameters.1.member.value"),
        ("select :a", json!([{"name": "a b", "value": "1"}]), "parameters.1.member.name"),
        ("select :a", json!([{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]), "duplicate"),
        ("select 1", json!([]), "parameters"),
    ] {
        let error =
            s.call("ExecuteStatement", s.on_cluster(json!({"Sql": sql, "Parameters": parameters}))).await.unwrap_err();
        assert_eq!(error.code, "ValidationException");
        assert!(error.message.contains(said), "{sql}: {error}");
    }
}

#[tokio::test]
async fn throttling_comes_in_both_shapes_and_runs_nothing() {
    let s = Setting::new().await;
    s.finished("create table t (n int)").await;
    for (how, code) in
        [(Throttle::Exception, "ThrottlingException"), (Throttle::HiddenInValidation, "ValidationException")]
    {
        s.api.faults().throttle("ExecuteStatement", 2, how);
        let body = s.on_cluster(json!({"Sql": "insert into t values (1)"}));
        for _ in 0..2 {
            let error = s.call("ExecuteStatement", body.clone()).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.message.as_str()), (code, "Rate exceeded"));
        }
    }
    assert_eq!(s.rows("select count(*) from t").await[0][0], json!({"longValue": 0}));
}

#[tokio::test]
async fn a_statement_can_end_before_its_submission_is_answered() {
    let mut s = Setting::new().await;
    s.api.faults().end_before_answer(true);
    let answer = s.call("ExecuteStatement", s.on_cluster(json!({"Sql": "select 1", "WithEvent": true}))).await.unwrap();
    let event = s.events.try_recv().expect("the event is out before the answer");
    assert_eq!(event["detail"]["statementId"], answer["Id"]);
}

#[tokio::test]
async fn users_made_by_sql_have_the_rights_sql_gave_them() {
    let s = Setting::new().await;
    let user = format!("reader_{}", s.database);
    s.finished("create table secret_table (n int)").await;
    s.finished(&format!("create user {user} password disable")).await;
    let mut body = s.on_cluster(json!({"Sql": "select * from secret_table", "DbUser": user}));
    let described = s.ended(s.call("ExecuteStatement", body.clone()).await.unwrap()["Id"].as_str().unwrap()).await;
    assert_eq!(described["Status"], "FAILED");
    assert!(described["Error"].as_str().unwrap().contains("permission denied"), "{described}");
    s.finished(&format!("grant select on secret_table to {user}")).await;
    body["Sql"] = json!("select count(*), current_user from secret_table");
    let described = s.ended(s.call("ExecuteStatement", body).await.unwrap()["Id"].as_str().unwrap()).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    assert_eq!(described["DbUser"], Value::String(user));
}

#[tokio::test]
async fn every_database_speaks_redshift() {
    let s = Setting::new().await;
    let rows = s.rows("select nvl(null, len('abc')), dateadd(month, 1, '2008-04-30'::date)::varchar").await;
    assert_eq!(json!(rows), json!([[{"longValue": 3}, {"stringValue": "2008-05-30 00:00:00"}]]));
    let body = json!({"Sql": "select getdate() is not null", "WorkgroupName": "wg-1", "Database": "serverless"});
    let answer = s.call("ExecuteStatement", body).await.unwrap();
    let described = s.ended(answer["Id"].as_str().unwrap()).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
}

#[tokio::test]
async fn an_alias_serves_later_items_unless_a_column_has_its_name() {
    let s = Setting::new().await;
    s.finished("create table t (n int, m int)").await;
    s.finished("insert into t values (2, 10)").await;
    let alias = "select n * 3 as p, p + 1 as q from t where n = :n";
    let column = "select n * 3 as m, m + 1 as q from t where n = :n";
    let parameters = json!([{"name": "n", "value": "2"}]);
    let body = json!({"Sqls": [alias, column, "insert into t values (3, :n)"], "Parameters": parameters});
    // In a transaction, where the first refusal must not break it, and outside of one.
    for mode in ["TRANSACTION", "AUTO_COMMIT"] {
        let mut body = body.clone();
        body["ExecutionMode"] = json!(mode);
        let described = s.run_with("BatchExecuteStatement", body).await;
        assert_eq!(described["Status"], "FINISHED", "{mode}: {described}");
        let id = described["Id"].as_str().unwrap();
        let cell = |n: i64| json!({"longValue": n});
        assert_eq!(s.records(&format!("{id}:1")).await, vec![vec![cell(6), cell(7)]], "{mode}");
        assert_eq!(s.records(&format!("{id}:2")).await, vec![vec![cell(6), cell(11)]], "{mode}");
    }
    // The text as written is what an error speaks of.
    let described = s.run("select n * 3 as p, p + nowhere as q from t").await;
    assert!(described["Error"].as_str().unwrap().contains("column \"nowhere\" does not exist"), "{described}");
}

#[tokio::test]
async fn a_thousand_statements_at_once_all_end() {
    let mut s = Setting::with(Limits { active_statements: 1_000, ..Limits::default() }).await;
    for n in 0..1_000 {
        let body =
            json!({"Sql": "select :n::int", "WithEvent": true, "Parameters": [{"name": "n", "value": n.to_string()}]});
        s.call("ExecuteStatement", s.on_cluster(body)).await.unwrap();
    }
    for _ in 0..1_000 {
        assert_eq!(s.events.recv().await.unwrap()["detail"]["state"], "FINISHED");
    }
}

#[tokio::test]
async fn a_procedure_takes_parameters_and_returns_its_output_arguments() {
    let s = Setting::new().await;
    s.finished(
        "create or replace procedure mixed(a in int, b inout numeric(10,2), c inout boolean, d inout varchar(20)) as $$ begin \
         b := b * a; c := not c; d := null; end; $$ language plpgsql",
    )
    .await;
    let parameters = json!([{"name": "a", "value": "3"}, {"name": "b", "value": "1.50"}, {"name": "c", "value": "f"}]);
    let body = json!({"Sql": "call mixed(:a, :b, :c, 'x')", "Parameters": parameters});
    let described = s.run_with("ExecuteStatement", body).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    let row = vec![json!({"stringValue": "4.50"}), json!({"booleanValue": true}), json!({"isNull": true})];
    assert_eq!(s.records(described["Id"].as_str().unwrap()).await, vec![row.clone()]);
    // The same without parameters.
    assert_eq!(s.rows("call mixed(3, 1.50, false, 'x')").await, vec![row]);
}

#[tokio::test]
async fn parameters_serve_create_table_as_and_explain() {
    let s = Setting::new().await;
    let parameters = json!([{"name": "n", "value": "7"}]);
    for (sql, has_result) in [
        ("create table made as select :n::int as n", false),
        ("explain select * from made where n = :n", true),
        ("delete from made where n = :n", false),
    ] {
        let described = s.run_with("ExecuteStatement", json!({"Sql": sql, "Parameters": parameters})).await;
        assert_eq!(described["Status"], "FINISHED", "{sql}: {described}");
        assert_eq!(described["HasResultSet"], has_result, "{sql}");
    }
}
