//! The tasker's promises, case by case.

use serde_json::{Value, json};
use statement::ports::{Cell, FailureKind, Page};
use statement::request::Mode;
use statement::row::{AnsweredAs, Status};

use crate::world::{ARN, HOUR, MINUTE, When, World, failure};

fn task(token: &str) -> Value {
    json!({"sqlStatement": "select 1", "taskToken": token, "executionArn": ARN})
}

fn keyed(token: &str, sql: &str) -> Value {
    json!({"sqlStatement": sql, "taskToken": token, "executionArn": ARN, "idempotencyKey": "k"})
}

async fn refused(world: &World, event: &Value) -> (String, String) {
    let error = world.tasker(event).await.unwrap_err();
    (error.name().to_owned(), error.to_string())
}

#[tokio::test]
async fn the_peers_state_runs_unchanged() {
    // The Payload that the README of SfnRedshiftTasker shows, evaluated.
    let world = World::new();
    let reply = world.tasker(&task("token-1")).await.unwrap();
    let row = world.row();
    assert_eq!(reply["statementName"], row.statement_name);
    assert!(row.statement_name.starts_with("prod/") && row.statement_name.ends_with(".1"));
    assert_eq!((row.status, row.attempt, row.token_version, row.answered_version), (Status::Submitted, 1, 1, 0));
    assert_eq!(row.sql, None, "the text only if configured");
    let (submission, id) = {
        let state = world.state();
        let statement = &state.statements[0];
        (statement.submission.clone(), statement.id.clone())
    };
    assert_eq!(submission.statements, ["select 1"]);
    assert!(submission.batch.is_none());
    assert_eq!(submission.client_token, statement::key::client_token(&row.key, 1));
    let text = reply.to_string();
    assert!(!text.contains("token-1") && !text.contains("select"), "{text}");
    let event = world.end(&id, "FAILED", Some("ERROR: relation \"nowhere\" does not exist"));
    world.complete(&[event]).await;
    let answers = world.answers();
    assert_eq!(answers[0].1.as_deref(), Some("FAILED"), "the name that such a state catches");
    assert_eq!(answers[0].2["error"], "ERROR: relation \"nowhere\" does not exist");
    // Its second state, after States.Timeout.
    let cancel = json!({"action": "cancelStatement", "statementId": "LATEST", "executionArn": ARN});
    assert_eq!(world.tasker(&cancel).await.unwrap(), json!({"statementId": id, "Status": false, "state": "FAILED"}));
}

#[tokio::test]
async fn the_same_invocation_twice_submits_once() {
    let world = World::new();
    let first = world.tasker(&task("token-1")).await.unwrap();
    let writes = world.calls("rows.put");
    let second = world.tasker(&task("token-1")).await.unwrap();
    assert_eq!((world.runs(), &first["statementId"]), (1, &second["statementId"]));
    assert_eq!(world.calls("data.submit"), 1);
    assert_eq!(world.calls("rows.put"), writes + 1, "only the first look whether the key is new");
    // Two branches at once, each with its own token, are two statements.
    let (second, third) = (task("token-2"), task("token-3"));
    let (one, two) = tokio::join!(world.tasker(&second), world.tasker(&third));
    assert_ne!(one.unwrap()["statementId"], two.unwrap()["statementId"]);
    // Without key and token, Lambda's request id is the key: its retries run nothing twice, other invocations do.
    let world = World::new();
    let direct = json!({"sqlStatement": "select 1"});
    for id in ["a", "a", "b"] {
        world.tasker_as(&direct, id).await.unwrap();
    }
    assert_eq!(world.runs(), 2);
}

#[tokio::test]
async fn a_new_token_replaces_the_old_one_while_active() {
    let world = World::new();
    world.tasker(&keyed("token-1", "select 1")).await.unwrap();
    world.tasker(&keyed("token-2", "select  1 -- again")).await.unwrap();
    assert_eq!((world.runs(), world.row().token_version), (1, 2));
    world.complete(&world.end_all()).await;
    let answers = world.answers();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].0, "token-2");
    // Somebody who waits for nothing pushes nobody out.
    let world = World::new();
    world.tasker(&keyed("token-1", "select 1")).await.unwrap();
    world.tasker(&json!({"sqlStatement": "select 1", "idempotencyKey": "k"})).await.unwrap();
    world.complete(&world.end_all()).await;
    assert_eq!(world.answers()[0].0, "token-1");
}

#[tokio::test]
async fn a_token_replaced_while_the_old_one_is_answered_hears_too() {
    for (call, when) in [
        ("tasks.success", When::Before),
        ("tasks.success", When::After),
        ("vault.open", When::After),
        ("data.describe", When::Before),
        ("rows.put", When::Before),
    ] {
        let world = World::new();
        world.tasker(&keyed("token-1", "select 1")).await.unwrap();
        let events = world.end_all();
        world.during(call, when, |world| async move {
            world.tasker_as(&keyed("token-2", "select 1"), "request-2").await.unwrap();
        });
        assert!(world.complete(&events).await.is_empty(), "{call} {when:?}");
        let queue = world.state().queue.clone();
        world.complete(&queue).await;
        let heard: Vec<String> = world.answers().into_iter().map(|(token, ..)| token).collect();
        assert_eq!(heard.iter().filter(|t| *t == "token-2").count(), 1, "{call} {when:?}: {heard:?}");
        assert_eq!(world.runs(), 1);
        let row = world.row();
        assert!(row.closed() && row.answered_version == 2, "{call} {when:?}: {row:?}");
    }
}

#[tokio::test]
async fn after_finished_nothing_is_submitted_and_the_new_token_hears() {
    let world = World::new();
    world.tasker(&keyed("token-1", "select 1")).await.unwrap();
    world.complete(&world.end_all()).await;
    let reply = world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    assert_eq!((&reply["state"], world.runs()), (&json!("FINISHED"), 1));
    assert_eq!(world.state().queue.len(), 1);
    // The same caller again before the answer sends the message again, which does no harm.
    world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    let queue = world.state().queue.clone();
    world.complete(&queue).await;
    assert_eq!(world.answers().len(), 2);
    assert_eq!(world.answers()[1].0, "token-2");
    // And after it, nothing.
    world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    assert_eq!(world.state().queue.len(), 2);
    // The message is lost, or the Data API has forgotten the statement: the row knows enough.
    world.tasker(&keyed("token-3", "select 1")).await.unwrap();
    world.state().statements[0].kept = false;
    world.pass(2 * MINUTE);
    world.reconcile().await;
    let answers = world.answers();
    assert_eq!((answers[2].0.as_str(), &answers[2].1), ("token-3", &None));
    assert_eq!((&answers[2].2["state"], &answers[2].2["rows"]), (&json!("FINISHED"), &json!(3)));
}

#[tokio::test]
async fn after_failed_or_aborted_there_is_a_new_attempt() {
    for end in ["FAILED", "ABORTED"] {
        let world = World::new();
        world.tasker(&keyed("token-1", "select 1")).await.unwrap();
        let id = world.state().statements[0].id.clone();
        let old = world.end(&id, end, Some("ERROR: x"));
        world.complete(std::slice::from_ref(&old)).await;
        // The very same caller was told already.
        let reply = world.tasker(&keyed("token-1", "select 1")).await.unwrap();
        assert_eq!((world.runs(), reply["state"].as_str()), (1, Some(end)));
        let reply = world.tasker(&keyed("token-2", "select 1")).await.unwrap();
        assert_eq!((world.runs(), &reply["attempt"]), (2, &json!(2)));
        let row = world.row();
        assert_eq!(row.previous.len(), 1);
        assert_eq!((row.previous[0].attempt, row.previous[0].statement_id.as_deref()), (1, Some(id.as_str())));
        assert!(world.state().statements[1].name.ends_with(".2"));
        let tokens: Vec<String> = world.state().statements.iter().map(|s| s.token.clone()).collect();
        assert_ne!(tokens[0], tokens[1]);
        // The old attempt's event once more says nothing to the new caller.
        assert!(world.complete(&[old]).await.is_empty());
        assert_eq!(world.answers().len(), 1);
    }
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let world = World::new();
    world.tasker(&keyed("token-1", "select 1")).await.unwrap();
    for other in [
        keyed("token-2", "select 2"),
        json!({"sqlStatement": "select 1", "idempotencyKey": "k", "target": {"clusterIdentifier": "other", "database": "dev", "dbUser": "loader"}}),
        json!({"sqlStatement": "select 1", "idempotencyKey": "k", "action": "batchExecuteStatement"}),
        json!({"sqlStatement": "select 1", "idempotencyKey": "k", "resultFormat": "CSV"}),
    ] {
        assert_eq!(refused(&world, &other).await.0, "IdempotencyConflict", "{other}");
    }
    assert_eq!(world.runs(), 1);
    // What the caller gets to see is not what runs.
    world
        .tasker(
            &json!({"sqlStatement": "select 1", "idempotencyKey": "k", "result": "inline", "errorNames": "detailed"}),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn an_old_unrecorded_submit_is_looked_up_never_blindly_repeated() {
    // It was submitted and the record was cut off; nobody came for nine hours.
    let world = World::new();
    assert!(world.cut_off(2, When::After, world.tasker(&keyed("token-1", "select 1"))).await);
    assert_eq!((world.runs(), world.row().status), (1, Status::Pending));
    world.pass(9 * HOUR);
    let reply = world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    assert_eq!((world.runs(), world.calls("data.list"), world.calls("data.submit")), (1, 1, 1));
    assert_eq!(reply["statementId"], world.state().statements[0].id);
    // It was not submitted.
    let world = World::new();
    assert!(world.cut_off(2, When::Before, world.tasker(&keyed("token-1", "select 1"))).await);
    world.pass(9 * HOUR);
    let reply = world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    assert_eq!((world.runs(), &reply["attempt"]), (1, &json!(2)));
    // The API's memory of a day is over: nobody can tell.
    let world = World::new();
    assert!(world.cut_off(2, When::After, world.tasker(&keyed("token-1", "select 1"))).await);
    world.pass(25 * HOUR);
    world.state().statements[0].kept = false;
    assert_eq!(refused(&world, &keyed("token-2", "select 1")).await.0, "OutcomeUnknown");
    assert_eq!(world.runs(), 1);
    // An attempt's name is a prefix of a later one's: `.1` must not find `.12`.
    let world = World::new();
    assert!(world.cut_off(2, When::Before, world.tasker(&keyed("token-1", "select 1"))).await);
    let name = format!("{}2", world.row().statement_name);
    world.tasker(&json!({"sqlStatement": "select 2"})).await.unwrap();
    world.state().statements[0].name = name;
    world.pass(9 * HOUR);
    world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    assert_eq!(world.runs(), 2);
}

#[tokio::test]
async fn a_statement_that_ends_before_its_id_is_recorded_is_answered() {
    // Before the id is recorded, and before ExecuteStatement returned.
    for (call, when) in [("data.submit", When::After), ("rows.put", When::Before)] {
        let world = World::new();
        let finish = |world: World| async move {
            let events = world.end_all();
            assert!(world.complete(&events).await.is_empty());
        };
        if call == "rows.put" {
            // The second put records the id.
            world.during("data.submit", When::After, move |world| async move {
                world.during("rows.put", When::Before, finish)
            });
        } else {
            world.during(call, when, finish);
        }
        let reply = world.tasker(&task("token-1")).await.unwrap();
        assert_eq!(world.answers().len(), 1, "{call}");
        let row = world.row();
        assert_eq!((row.status, &reply["statementId"]), (Status::Finished, &json!(row.statement_id)));
        assert!(row.closed());
    }
}

#[tokio::test]
async fn an_unknown_outcome_keeps_a_task_waiting_and_raises_to_others() {
    let lost = || failure(FailureKind::Unknown, "timeout", "no answer in time");
    for (when, taken) in [(When::After, true), (When::Before, false)] {
        let world = World::new();
        world.fail("data.submit", when, lost());
        let reply = world.tasker(&task("token-1")).await.unwrap();
        assert_eq!((&reply["state"], &reply["statementId"]), (&json!("PENDING"), &Value::Null));
        world.end_all();
        world.pass(2 * MINUTE);
        world.reconcile().await;
        let answers = world.answers();
        assert_eq!((world.runs(), answers.len()), (usize::from(taken), 1));
        assert_eq!(answers[0].1.as_deref(), if taken { None } else { Some("SubmitInterrupted") });
    }
    // Whoever invoked directly tries again, and the API knows the ClientToken.
    let world = World::new();
    world.fail("data.submit", When::After, lost());
    let direct = json!({"sqlStatement": "select 1", "idempotencyKey": "k"});
    let error = world.tasker(&direct).await.unwrap_err();
    assert!(error.transient() && error.name() == "ServiceUnavailable");
    world.tasker(&direct).await.unwrap();
    assert_eq!(world.runs(), 1);
}

#[tokio::test]
async fn a_refused_submit_leaves_a_row_that_says_so() {
    let cases = [
        (FailureKind::Throttled, "ThrottlingException", "Rate exceeded", "Throttled", true),
        (FailureKind::Refused, "ValidationException", "Rate exceeded", "Throttled", true),
        (FailureKind::Refused, "ActiveStatementsExceededException", "500", "ActiveStatementsExceeded", true),
        (FailureKind::Denied, "AccessDeniedException", "no", "AccessDenied", false),
        (
            FailureKind::Refused,
            "ValidationException",
            "Redshift endpoint doesn't exist in this region.",
            "ValidationFailed",
            false,
        ),
    ];
    for (kind, code, message, name, transient) in cases {
        for action in ["executeStatement", "executeSingletonStatement"] {
            let world = World::new();
            world.fail("data.submit", When::Before, failure(kind, code, message));
            let event = |token: &str| json!({"action": action, "sqlStatement": "select 1", "taskToken": token, "idempotencyKey": "k"});
            let error = world.tasker(&event("token-1")).await.unwrap_err();
            assert_eq!((error.name(), error.transient()), (name, transient));
            let row = world.row();
            assert_eq!((row.status, row.answered_as), (Status::Refused, Some(AnsweredAs::Raised)));
            assert_eq!(row.error.as_ref().unwrap().name, name);
            assert!(row.expires_at.is_some() && row.closed());
            assert!(world.state().locks.is_empty());
            // The reconciler leaves it alone, and the state's Retry runs the SQL, once.
            world.pass(2 * MINUTE);
            world.reconcile().await;
            assert!(world.answers().is_empty());
            world.tasker(&event("token-2")).await.unwrap();
            world.complete(&world.end_all()).await;
            assert_eq!((world.runs(), world.answers().len()), (1, 1));
        }
    }
}

#[tokio::test]
async fn a_submit_that_was_refused_and_yet_taken_runs_once() {
    let world = World::new();
    world.fail("data.submit", When::After, failure(FailureKind::Throttled, "ThrottlingException", ""));
    world.tasker(&keyed("token-1", "select 1")).await.unwrap_err();
    assert_eq!(world.row().status, Status::Refused);
    world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    assert_eq!((world.runs(), world.row().attempt), (1, 1));
    // Once the API has forgotten the ClientToken, the refusal is old enough to be believed.
    let world = World::new();
    world.fail("data.submit", When::Before, failure(FailureKind::Throttled, "ThrottlingException", ""));
    world.tasker(&keyed("token-1", "select 1")).await.unwrap_err();
    world.pass(9 * HOUR);
    world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    assert_eq!((world.runs(), world.row().attempt), (1, 2));
}

#[tokio::test]
async fn a_submit_refused_beside_another_of_the_same_key_refuses_nothing() {
    // The second invocation is throttled while the first, whose submit went through, has not recorded it yet.
    let world = World::new();
    world.during("data.submit", When::After, |world| async move {
        world.fail("data.submit", When::Before, failure(FailureKind::Throttled, "ThrottlingException", ""));
        let error = world.tasker_as(&keyed("token-1", "select 1"), "request-2").await.unwrap_err();
        assert_eq!(error.name(), "Throttled");
    });
    let reply = world.tasker(&keyed("token-1", "select 1")).await.unwrap();
    assert_eq!(reply["state"], "SUBMITTED");
    world.complete(&world.end_all()).await;
    assert_eq!((world.runs(), world.answers().len()), (1, 1));
    // The other way round: the first is refused, the second went through. One run, and the next caller finds it.
    let world = World::new();
    world.during("data.submit", When::Before, |world| async move {
        world.tasker_as(&keyed("token-1", "select 1"), "request-2").await.unwrap();
        world.fail("data.submit", When::Before, failure(FailureKind::Throttled, "ThrottlingException", ""));
    });
    world.tasker(&keyed("token-1", "select 1")).await.unwrap_err();
    world.tasker(&keyed("token-2", "select 1")).await.unwrap();
    world.complete(&world.end_all()).await;
    assert_eq!(world.runs(), 1);
    assert!(world.answers().iter().any(|(token, error, _)| token == "token-2" && error.is_none()));
}

#[tokio::test]
async fn one_sql_runs_alone_whatever_its_blanks() {
    let singleton = |token: &str, sql: &str| json!({"action": "executeSingletonStatement", "sqlStatement": sql, "taskToken": token});
    let world = World::new();
    world.tasker(&singleton("token-1", "vacuum  sales")).await.unwrap();
    let (name, message) = refused(&world, &singleton("token-2", "vacuum sales -- nightly\n;")).await;
    assert_eq!(name, "ConcurrentExecution");
    assert!(!message.contains("vacuum"));
    assert_eq!(world.state().rows.len(), 1, "no row of the refused one");
    // Elsewhere it is another statement; so is other SQL.
    world.tasker(&singleton("token-3", "vacuum orders")).await.unwrap();
    let mut elsewhere = singleton("token-4", "vacuum sales");
    elsewhere["target"] = json!({"clusterIdentifier": "other", "database": "dev", "dbUser": "loader"});
    world.tasker(&elsewhere).await.unwrap();
    for end in ["FINISHED", "FAILED", "ABORTED"] {
        let world = World::new();
        world.tasker(&singleton("token-1", "vacuum sales")).await.unwrap();
        let id = world.state().statements[0].id.clone();
        let event = world.end(&id, end, None);
        world.complete(&[event]).await;
        world.tasker(&singleton("token-2", "vacuum sales")).await.unwrap();
        assert_eq!(world.runs(), 2, "{end}");
    }
}

#[tokio::test]
async fn a_lock_left_behind_is_taken_over() {
    let singleton =
        |token: &str| json!({"action": "executeSingletonStatement", "sqlStatement": "vacuum", "taskToken": token});
    let world = World::new();
    world.tasker(&singleton("token-1")).await.unwrap();
    let lock = world.state().locks.values().next().unwrap().clone();
    world.complete(&world.end_all()).await;
    world.state().locks.insert(lock.key.clone(), lock.clone());
    world.tasker(&singleton("token-2")).await.unwrap();
    assert_eq!(world.runs(), 2);
    // Its row was dropped.
    let world = World::new();
    world.state().locks.insert(lock.key.clone(), lock);
    world.tasker(&singleton("token-3")).await.unwrap();
}

#[tokio::test]
async fn scripts_lists_parameters_and_sessions_reach_the_api() {
    let world = World::new();
    world
        .state()
        .scripts
        .insert("a.sql".to_owned(), "create temp table x as select ';' as a;\ninsert into x values (:v)".to_owned());
    let event = json!({"scriptKey": "a.sql", "parameters": {"v": 5}, "executionMode": "AUTO_COMMIT", "sessionKeepAliveSeconds": 60});
    world.tasker_as(&event, "1").await.unwrap();
    world
        .tasker_as(&json!({"sqlStatements": ["select 1", "select 2;"], "action": "batchExecuteStatement"}), "2")
        .await
        .unwrap();
    let session = "01234567-89ab-cdef-0123-456789abcdef";
    world
        .tasker_as(&json!({"sqlStatement": "select 1", "sessionId": session, "resultFormat": "CSV"}), "3")
        .await
        .unwrap();
    {
        let state = world.state();
        let of = |n: usize| &state.statements[n].submission;
        assert_eq!(of(0).statements, ["create temp table x as select ';' as a", "insert into x values (:v)"]);
        assert_eq!((of(0).batch, of(0).session_keep_alive), (Some(Mode::AutoCommit), Some(60)));
        assert_eq!(of(0).parameters, [("v".to_owned(), "5".to_owned())]);
        assert_eq!((of(1).batch, of(1).statements.len()), (Some(Mode::Transaction), 2));
        assert_eq!((of(2).target.is_none(), of(2).session_id.as_deref()), (true, Some(session)));
    }
    assert_eq!(refused(&world, &json!({"scriptKey": "missing.sql"})).await.0, "ScriptNotFound");
    world.state().scripts.insert("long.sql".to_owned(), "select 1;".repeat(41));
    let (name, message) = refused(&world, &json!({"scriptKey": "long.sql"})).await;
    assert!(name == "InvalidRequest" && message.contains("41") && message.contains("split"), "{message}");
    world.state().scripts.insert("open.sql".to_owned(), "select 1;\nselect 'a".to_owned());
    assert!(refused(&world, &json!({"scriptKey": "open.sql"})).await.1.contains("line 2"));
}

#[tokio::test]
async fn describe_result_and_cancel_answer_at_once() {
    let world = World::new();
    world.tasker(&task("token-1")).await.unwrap();
    let id = world.state().statements[0].id.clone();
    let latest = |action: &str| json!({"action": action, "statementId": "LATEST", "executionArn": ARN});
    let described = world.tasker(&latest("describeStatement")).await.unwrap();
    assert_eq!((&described["Id"], &described["Status"]), (&json!(id), &json!("STARTED")));
    assert!(described.get("QueryString").is_none());
    assert_eq!(world.tasker(&latest("cancelStatement")).await.unwrap()["Status"], true);
    // A second page is the second page.
    let page = |n: i64| Page {
        records: vec![vec![Cell::Long(n), Cell::Null, Cell::Text("x".to_owned())]],
        total: Some(2),
        ..Page::default()
    };
    world.state().statements[0].pages = vec![page(1), page(2)];
    let first = world.tasker(&json!({"action": "getStatementResult", "statementId": id})).await.unwrap();
    assert_eq!(first["Records"], json!([[{"longValue": 1}, {"isNull": true}, {"stringValue": "x"}]]));
    let next = json!({"action": "getStatementResult", "statementId": id, "nextToken": first["NextToken"]});
    let second = world.tasker(&next).await.unwrap();
    assert_eq!((&second["Records"][0][0]["longValue"], second.get("NextToken")), (&json!(2), None));
    // The newest of two.
    world.pass(1_000);
    world.tasker(&task("token-2")).await.unwrap();
    let newest = world.state().statements[1].id.clone();
    assert_eq!(world.tasker(&latest("describeStatement")).await.unwrap()["Id"], newest);
    // Its id is not recorded yet.
    world.pass(1_000);
    assert!(world.cut_off(3, When::Before, world.tasker(&task("token-3"))).await);
    let unrecorded = world.state().statements[2].id.clone();
    assert_eq!(world.tasker(&latest("describeStatement")).await.unwrap()["Id"], unrecorded);
    let none = json!({"action": "cancelStatement", "statementId": "LATEST", "executionArn": format!("{ARN}-other")});
    assert_eq!(refused(&world, &none).await.0, "StatementNotFound");
    let unknown = json!({"action": "describeStatement", "statementId": "ffffffff-0000-0000-0000-000000000000"});
    assert_eq!(refused(&world, &unknown).await.0, "StatementNotFound");
    let waiting = json!({"action": "describeStatement", "statementId": id, "taskToken": "t"});
    assert!(refused(&world, &waiting).await.1.contains("waitForTaskToken"));
}

#[tokio::test]
async fn a_token_without_an_execution_and_an_execution_without_a_token() {
    let world = World::new();
    world.tasker(&json!({"sqlStatement": "select 1", "taskToken": "token-1"})).await.unwrap();
    world.complete(&world.end_all()).await;
    assert_eq!(world.answers().len(), 1);
    world.tasker(&json!({"sqlStatement": "select 2", "executionArn": ARN})).await.unwrap();
    let latest = json!({"action": "describeStatement", "statementId": "LATEST", "executionArn": ARN});
    assert_eq!(world.tasker(&latest).await.unwrap()["Id"], world.state().statements[1].id);
}

#[tokio::test]
async fn nothing_is_submitted_when_the_row_cannot_be_written() {
    for call in ["vault.seal", "rows.put"] {
        let world = World::new();
        world.fail(call, When::Before, failure(FailureKind::Throttled, "ThrottlingException", ""));
        let error = world.tasker(&task("token-1")).await.unwrap_err();
        assert!(error.transient(), "{call}");
        assert_eq!((world.runs(), world.state().rows.len()), (0, 0));
    }
    // The put took effect and its answer was lost: the same request finds its own row.
    let world = World::new();
    world.fail("rows.put", When::After, failure(FailureKind::Unknown, "timeout", ""));
    world.tasker(&task("token-1")).await.unwrap_err();
    world.tasker(&task("token-1")).await.unwrap();
    assert_eq!((world.runs(), world.state().rows.len()), (1, 1));
}
