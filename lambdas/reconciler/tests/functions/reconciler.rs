//! The reconciler's promises, case by case.

use serde_json::{Value, json};
use statement::ports::{Execution, FailureKind, HistoryEvent};
use statement::row::Status;

use crate::world::{ARN, HOUR, MINUTE, When, World, failure};

fn task(token: &str) -> Value {
    json!({"sqlStatement": "select 1", "taskToken": token, "executionArn": ARN})
}

async fn running() -> (World, String) {
    let world = World::new();
    world.tasker(&task("token-1")).await.unwrap();
    let id = world.state().statements[0].id.clone();
    (world, id)
}

fn status(world: &World) -> String {
    world.state().statements[0].description.status.clone()
}

fn died(status: &str) -> Value {
    json!({"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": {"executionArn": ARN, "status": status}})
}

fn set(world: &World, execution: Execution) {
    world.state().executions.get_mut(ARN).unwrap().0 = execution;
}

#[tokio::test]
async fn what_ended_without_an_event_is_settled() {
    for end in ["FINISHED", "FAILED", "ABORTED"] {
        let (world, id) = running().await;
        world.end(&id, end, Some("ERROR: division by zero"));
        // Young rows are left to their event.
        world.pass(MINUTE / 2);
        assert_eq!(world.reconcile().await, json!({}));
        world.pass(MINUTE);
        assert_eq!(world.reconcile().await, json!({"settled": 1}));
        assert_eq!(world.answers().len(), 1);
        assert_eq!(world.reconcile().await, json!({}));
        assert!(world.row().closed());
    }
}

#[tokio::test]
async fn each_statement_is_counted_once_and_by_its_class() {
    for (end, failure) in
        [("FINISHED", None), ("FAILED", Some("DataException".to_owned())), ("ABORTED", Some("Cancelled".to_owned()))]
    {
        let (world, id) = running().await;
        world.end(&id, end, (end == "FAILED").then_some("ERROR: division by zero"));
        world.pass(2 * MINUTE);
        world.reconcile().await;
        world.reconcile().await;
        assert_eq!(world.state().ended, [failure], "{end}");
    }
}

#[tokio::test]
async fn a_pass_says_how_much_is_open_and_since_when() {
    let (world, id) = running().await;
    world.pass(HOUR);
    world.tasker(&task("token-2")).await.unwrap();
    world.pass(2 * MINUTE);
    world.reconcile().await;
    assert_eq!(world.state().open, Some((2, HOUR + 2 * MINUTE)));
    world.end(&id, "FINISHED", None);
    world.reconcile().await;
    assert_eq!(world.state().open, Some((1, 2 * MINUTE)));
    world.end_all();
    world.reconcile().await;
    // Also where there is nothing: silence would mean that nobody looked.
    assert_eq!(world.state().open, Some((0, 0)));
}

#[tokio::test]
async fn a_statement_of_a_dead_execution_is_cancelled_at_once() {
    for end in ["ABORTED", "TIMED_OUT", "FAILED"] {
        let (world, _) = running().await;
        set(&world, Execution::Dead);
        assert_eq!(world.reconcile_with(&died(end)).await.unwrap(), json!({"cancelled": 1}));
        assert_eq!(status(&world), "ABORTED");
        // Once more: nothing left.
        assert_eq!(world.reconcile_with(&died(end)).await.unwrap(), json!({"nothing": 1}));
    }
    // Redriven since: its statements are wanted.
    let (world, _) = running().await;
    world.reconcile_with(&died("FAILED")).await.unwrap();
    assert_eq!(status(&world), "STARTED");
    // Submitted, but the id is not recorded.
    let world = World::new();
    assert!(world.cut_off(3, When::Before, world.tasker(&task("token-1"))).await);
    set(&world, Execution::Dead);
    assert_eq!(world.reconcile_with(&died("ABORTED")).await.unwrap(), json!({"cancelled": 1}));
    assert_eq!(status(&world), "ABORTED");
    // A failure in part is raised, so that Lambda tries again; the others are cancelled all the same.
    let world = World::new();
    for n in 0..5 {
        world.tasker(&task(&format!("token-{n}"))).await.unwrap();
    }
    set(&world, Execution::Dead);
    world.fail("data.cancel", When::Before, failure(FailureKind::Throttled, "ThrottlingException", ""));
    assert!(world.reconcile_with(&died("ABORTED")).await.unwrap_err().transient());
    let aborted = |world: &World| world.state().statements.iter().filter(|s| s.description.status == "ABORTED").count();
    assert_eq!(aborted(&world), 4);
    world.reconcile_with(&died("ABORTED")).await.unwrap();
    assert_eq!(aborted(&world), 5);
}

#[tokio::test(start_paused = true)]
async fn the_schedule_cancels_what_nobody_waits_for() {
    for (execution, token, cancelled) in [
        (Execution::Dead, true, true),
        (Execution::Succeeded, true, true),
        (Execution::Missing, true, true),
        (Execution::Running, true, false),
        (Execution::Dead, false, true),
        // Started without waiting: it may outlive its execution.
        (Execution::Succeeded, false, false),
        (Execution::Missing, false, false),
    ] {
        let world = World::new();
        let mut event = task("token-1");
        if !token {
            event.as_object_mut().unwrap().remove("taskToken");
        }
        world.tasker(&event).await.unwrap();
        set(&world, execution);
        world.pass(2 * MINUTE);
        world.reconcile().await;
        assert_eq!(status(&world) == "ABORTED", cancelled, "{execution:?} {token}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_statement_whose_task_is_over_is_cancelled() {
    let history = |kinds: &[&str]| -> Vec<HistoryEvent> {
        let mut events: Vec<HistoryEvent> = kinds
            .iter()
            .zip(1i64..)
            .map(|(kind, id)| HistoryEvent {
                id,
                previous: id - 1,
                kind: (*kind).to_owned(),
                parameters: (*kind == "TaskScheduled")
                    .then(|| json!({"Payload": {"taskToken": "token-1"}}).to_string()),
            })
            .collect();
        events.reverse();
        events
    };
    for (kinds, cancelled) in [
        (["ExecutionStarted", "TaskScheduled", "TaskStarted", "TaskSubmitted"].as_slice(), false),
        (
            ["ExecutionStarted", "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskTimedOut", "TaskStateExited"]
                .as_slice(),
            true,
        ),
        // The token stands nowhere: nothing is concluded.
        (["ExecutionStarted", "TaskTimedOut"].as_slice(), false),
    ] {
        let (world, _) = running().await;
        world.state().executions.get_mut(ARN).unwrap().1 = history(kinds);
        world.pass(2 * MINUTE);
        world.reconcile().await;
        assert_eq!(status(&world) == "ABORTED", cancelled, "{kinds:?}");
        assert!(world.state().calls.iter().all(|c| c != "tasks.heartbeat"));
    }
    // A long statement costs few looks: their distance grows to a quarter of an hour.
    let (world, _) = running().await;
    world.state().executions.get_mut(ARN).unwrap().1 = history(&["ExecutionStarted", "TaskScheduled"]);
    world.state().calls.clear();
    for _ in 0..6 * 60 {
        world.pass(MINUTE);
        world.reconcile().await;
    }
    let looks = world.calls("tasks.history");
    assert!((20..=32).contains(&looks), "{looks} looks in six hours");
}

#[tokio::test]
async fn what_the_api_has_forgotten_is_given_up_by_that_name() {
    let (world, _) = running().await;
    world.state().statements[0].kept = false;
    world.pass(25 * HOUR);
    assert_eq!(world.reconcile().await, json!({"givenUp": 1}));
    assert_eq!(world.answers()[0].1.as_deref(), Some("OutcomeUnknown"));
    assert_eq!(world.row().status, Status::Unknown);
    // The same key would not be submitted blindly either.
    let error = world.tasker(&task("token-1")).await.unwrap_err();
    assert_eq!(error.name(), "OutcomeUnknown");
}

#[tokio::test]
async fn a_late_tasker_meets_a_row_given_up_and_withdraws() {
    let world = World::new();
    world.during("data.submit", When::Before, |world| async move {
        world.pass(2 * MINUTE);
        assert_eq!(world.reconcile().await, json!({"givenUp": 1}));
    });
    let error = world.tasker(&task("token-1")).await.unwrap_err();
    assert_eq!((error.name(), status(&world).as_str()), ("SubmitInterrupted", "ABORTED"));
    assert_eq!(world.answers()[0].1.as_deref(), Some("SubmitInterrupted"));
}

#[tokio::test]
async fn locks_of_ended_statements_are_freed_and_others_left() {
    let singleton = json!({"action": "executeSingletonStatement", "sqlStatement": "vacuum", "taskToken": "token-1"});
    let world = World::new();
    world.tasker(&singleton).await.unwrap();
    world.pass(2 * MINUTE);
    world.reconcile().await;
    let lock = world.state().locks.values().next().expect("still held").clone();
    world.complete(&world.end_all()).await;
    assert!(world.state().locks.is_empty());
    world.state().locks.insert(lock.key.clone(), lock);
    assert_eq!(world.reconcile().await, json!({"freed": 1}));
    assert!(world.state().locks.is_empty());
}

#[tokio::test]
async fn one_failing_row_never_stops_the_others() {
    let world = World::new();
    for n in 0..20 {
        world.tasker(&task(&format!("token-{n}"))).await.unwrap();
    }
    world.end_all();
    world.pass(2 * MINUTE);
    for (call, kind) in [
        ("data.describe", FailureKind::Unknown),
        ("rows.get", FailureKind::Throttled),
        ("tasks.success", FailureKind::Denied),
    ] {
        world.fail(call, When::Before, failure(kind, "x", ""));
    }
    world.fail("rows.open", When::Before, failure(FailureKind::Throttled, "x", ""));
    let summary = world.reconcile().await;
    assert!(summary["failed"].as_u64().unwrap() >= 3, "{summary}");
    assert!(world.answers().len() >= 10, "{summary}");
    world.reconcile().await;
    assert_eq!(world.answers().len(), 20);
}

#[tokio::test]
async fn no_row_is_begun_when_the_time_is_nearly_over() {
    let (world, _) = running().await;
    world.end_all();
    world.pass(2 * MINUTE);
    let deadline = world.state().now + 1_000;
    let summary =
        reconciler_function::handle(&world.ports(), &World::settings().common, &json!({}), deadline).await.unwrap();
    assert_eq!(summary, json!({"skipped": 1}));
}
