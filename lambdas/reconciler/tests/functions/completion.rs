//! The completion function's promises, case by case.

use serde_json::{Value, json};
use statement::ports::{Cell, Description, FailureKind, Page};
use statement::row::{AnsweredAs, Status};

use crate::world::{ARN, When, World, event_body, failure};

async fn submitted(event: &Value) -> (World, String) {
    let world = World::new();
    world.tasker(event).await.unwrap();
    let id = world.state().statements[0].id.clone();
    (world, id)
}

fn task() -> Value {
    json!({"sqlStatement": "select 1", "taskToken": "token-1", "executionArn": ARN})
}

#[tokio::test]
async fn success_carries_the_event_and_what_describe_knows() {
    let (world, id) = submitted(&task()).await;
    world.complete(&world.end_all()).await;
    let (_, error, output) = world.answers().remove(0);
    assert_eq!(error, None);
    let expected = json!({
        "principal": "arn:aws:sts::000000000000:assumed-role/r/s", "statementName": world.row().statement_name, "statementId": id,
        "redshiftQueryId": 4711, "state": "FINISHED", "rows": 3, "expireAt": 1_601_673_265, "attempt": 1, "executionArn": ARN,
        "bytes": 120, "durationMs": 5, "dbUser": "loader", "hasResultSet": false
    });
    assert_eq!(output, expected);
    let row = world.row();
    assert_eq!(
        (row.status, row.answered_as, row.rows, row.query_id),
        (Status::Finished, Some(AnsweredAs::Sent), Some(3), Some(4711))
    );
    assert_eq!(row.expires_at, Some(world.state().now / 1000 + 90 * 86_400));
}

#[tokio::test]
async fn a_failure_says_what_the_database_said() {
    let text = "ERROR: 1023 DETAIL: Serializable isolation violation on table - 1256109";
    for (names, expected) in [("compatible", "FAILED"), ("detailed", "Redshift.SerializationConflict")] {
        let mut event = task();
        event["errorNames"] = json!(names);
        let (world, id) = submitted(&event).await;
        let ended = world.end(&id, "FAILED", Some(text));
        world.complete(&[ended]).await;
        let (_, error, cause) = world.answers().remove(0);
        assert_eq!(error.as_deref(), Some(expected));
        assert_eq!(
            (&cause["error"], &cause["class"], &cause["transient"]),
            (&json!(text), &json!("SerializationConflict"), &json!(true))
        );
        assert_eq!(
            (&cause["statementId"], &cause["state"], &cause["attempt"]),
            (&json!(id), &json!("FAILED"), &json!(1))
        );
        assert_eq!(world.row().error.unwrap().name, "Redshift.SerializationConflict");
    }
    // ABORTED ends the wait too, and is told apart.
    let mut event = task();
    event["errorNames"] = json!("detailed");
    let (world, id) = submitted(&event).await;
    let ended = world.end(&id, "ABORTED", None);
    world.complete(&[ended]).await;
    let (_, error, cause) = world.answers().remove(0);
    assert_eq!((error.as_deref(), &cause["state"]), (Some("Redshift.Cancelled"), &json!("ABORTED")));
    // However long the text, the cause fits and is JSON.
    let (world, id) = submitted(&task()).await;
    let ended = world.end(&id, "FAILED", Some(&format!("ERROR: syntax error {}", "\u{1}ä\"".repeat(20_000))));
    world.complete(&[ended]).await;
    assert_eq!(world.answers()[0].2["class"], "Syntax");
}

#[tokio::test]
async fn a_batch_names_its_first_failing_statement() {
    let (world, id) =
        submitted(&json!({"sqlStatements": ["select 1", "select x", "select 3"], "taskToken": "token-1"})).await;
    let sub = |n: u32, status: &str, error: Option<&str>| Description {
        id: format!("{id}:{n}"),
        status: status.to_owned(),
        error: error.map(str::to_owned),
        ..Description::default()
    };
    let ended = world.end(&id, "FAILED", Some("Query #2 failed with: ERROR: column \"x\" does not exist"));
    world.state().statements[0].description.statements = vec![
        sub(1, "FINISHED", None),
        sub(2, "FAILED", Some("ERROR: column \"x\" does not exist")),
        sub(3, "ABORTED", None),
    ];
    world.complete(&[ended]).await;
    let cause = world.answers().remove(0).2;
    assert_eq!(cause["subStatement"], json!({"index": 2, "statementId": format!("{id}:2")}));
    assert_eq!(
        (&cause["error"], &cause["class"]),
        (&json!("ERROR: column \"x\" does not exist"), &json!("UndefinedObject"))
    );
}

fn columns(names: &[&str]) -> Vec<serde_json::Map<String, Value>> {
    names.iter().map(|n| json!({"name": n, "label": n, "typeName": "x"}).as_object().unwrap().clone()).collect()
}

#[tokio::test]
async fn inline_rows_are_typed_and_complete() {
    let mut event = task();
    event["result"] = json!("inline");
    let (world, id) = submitted(&event).await;
    let row = |n: i64| {
        vec![
            Cell::Long(i64::MAX - n),
            Cell::Double(f64::NAN),
            Cell::Double(1.5),
            Cell::Text("12.30".to_owned()),
            Cell::Bool(false),
            Cell::Null,
        ]
    };
    let page = |from: i64| Page {
        columns: columns(&["a", "b", "c", "d", "e", "f"]),
        records: (from..from + 60).map(row).collect(),
        ..Page::default()
    };
    let events = world.end_all();
    {
        let mut state = world.state();
        state.statements[0].description.has_result_set = true;
        state.statements[0].pages = vec![page(0), page(60)];
    }
    world.complete(&events).await;
    let output = world.answers().remove(0).2;
    let result = &output["results"][0];
    assert_eq!((output["results"].as_array().unwrap().len(), &result["statementId"]), (1, &json!(id)));
    assert_eq!(result["columns"][0], json!({"name": "a", "typeName": "x"}));
    let rows = result["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 120);
    assert_eq!(rows[119], json!([i64::MAX - 119, "NaN", 1.5, "12.30", false, null]));
}

#[tokio::test]
async fn inline_rows_that_do_not_fit_are_an_error_not_a_part() {
    let mut event = task();
    event["result"] = json!("inline");
    for (length, pages) in [(300_000, 1), (1_000, 400)] {
        let (world, _) = submitted(&event).await;
        let events = world.end_all();
        let page =
            Page { columns: columns(&["a"]), records: vec![vec![Cell::Text("x".repeat(length))]], ..Page::default() };
        {
            let mut state = world.state();
            state.statements[0].description.has_result_set = true;
            state.statements[0].pages = vec![page; pages];
        }
        world.complete(&events).await;
        let (_, error, cause) = world.answers().remove(0);
        assert_eq!((error.as_deref(), &cause["state"]), (Some("ResultTooLarge"), &json!("FINISHED")));
        assert!(world.calls("data.result") < 400, "not all of it was fetched for nothing");
        assert_eq!(world.row().status, Status::Finished);
    }
    // Step Functions itself refuses the output: the task is failed, not left waiting.
    let (world, _) = submitted(&task()).await;
    world.state().refuse_output = true;
    world.complete(&world.end_all()).await;
    assert_eq!(world.answers()[0].1.as_deref(), Some("ResultTooLarge"));
}

#[tokio::test]
async fn each_record_stands_for_itself() {
    let world = World::new();
    for n in 0..6 {
        world.tasker(&json!({"sqlStatement": "select 1", "taskToken": format!("token-{n}")})).await.unwrap();
    }
    let mut events = world.end_all();
    // A name of ours without a row, a foreign name, no name, nonsense.
    events.push(event_body(
        &statement::key::statement_name("prod", &statement::key::row("prod", "none"), 1),
        "id",
        "FINISHED",
    ));
    events.push(event_body("prod-eu/x.1", "id", "FINISHED"));
    events.push(json!({"detail": {"statementId": "id", "state": "FINISHED"}}).to_string());
    events.push("nonsense".to_owned());
    // One row's secret was tampered with; one call is throttled.
    let tampered = {
        let mut state = world.state();
        let key = state
            .rows
            .values()
            .find(|r| r.statement_id.as_deref() == Some(state.statements[2].id.as_str()))
            .unwrap()
            .key
            .clone();
        let row = state.rows.get_mut(&key).unwrap();
        row.sealed.as_mut().unwrap().data_key = b"other".to_vec();
        key
    };
    world.fail("tasks.success", When::Before, failure(FailureKind::Throttled, "ThrottlingException", ""));
    let failed = world.complete(&events).await;
    assert_eq!(failed.len(), 4, "{failed:?}");
    assert!(failed.contains(&2) && failed.contains(&6) && failed.contains(&9), "{failed:?}");
    assert_eq!(world.answers().len(), 4);
    assert!(!world.state().rows[&tampered].closed(), "a broken seal is not closed in silence");
    // Delivered again: only what was not done is done.
    let again: Vec<String> = failed.iter().map(|n| events[*n].clone()).collect();
    world.complete(&again).await;
    assert_eq!(world.answers().len(), 5);
    // The row comes later than its event.
    assert_eq!(world.complete(&events[..2]).await, [0usize; 0]);
    assert_eq!(world.answers().len(), 5);
}

#[tokio::test]
async fn a_token_that_nobody_waits_for_closes_the_row() {
    let (world, _) = submitted(&task()).await;
    world.state().closed_tokens.insert("token-1".to_owned());
    assert!(world.complete(&world.end_all()).await.is_empty());
    let row = world.row();
    assert!(row.closed());
    assert_eq!(row.answered_as, Some(AnsweredAs::Gone));
}

#[tokio::test]
async fn an_event_of_another_statement_changes_nothing() {
    let (world, id) = submitted(&task()).await;
    let name = world.row().statement_name;
    let other = event_body(&name, "ffffffff-0000-0000-0000-000000000000", "FAILED");
    assert!(world.complete(&[other]).await.is_empty());
    assert!(world.answers().is_empty());
    // The event overtakes the API's own view: it comes again.
    assert_eq!(world.complete(&[event_body(&name, &id, "FINISHED")]).await, [0]);
    assert!(world.answers().is_empty());
}

#[tokio::test]
async fn no_time_left_gives_the_records_back() {
    let (world, _) = submitted(&task()).await;
    let events = world.end_all();
    let now = world.state().now;
    let event = json!({"Records": [{"messageId": "m", "body": events[0]}]});
    let answer =
        completion_function::handle(&world.ports(), &World::settings().common, &event, now + 1_000).await.unwrap();
    // Nothing in memory takes time, so the record may be done before its time is looked at; a slow call must not be waited for.
    assert!(answer["batchItemFailures"].as_array().unwrap().len() <= 1);
    let (world, _) = submitted(&task()).await;
    let events = world.end_all();
    world.during("data.describe", When::Before, |_| std::future::pending());
    let now = world.state().now;
    let event = json!({"Records": [{"messageId": "m", "body": events[0]}]});
    let answer =
        completion_function::handle(&world.ports(), &World::settings().common, &event, now + 3_010).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m"}]}));
}
