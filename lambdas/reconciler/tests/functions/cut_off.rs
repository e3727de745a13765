//! Cut off at any point and called again: the SQL runs once, every caller hears once, the row is closed, the lock is free.

use serde_json::{Value, json};
use statement::row::Status;

use crate::world::{ARN, MINUTE, When, World};

fn task(token: &str, action: &str) -> Value {
    json!({"action": action, "sqlStatement": "insert into t select 1", "taskToken": token, "executionArn": ARN, "idempotencyKey": "k"})
}

/// Brings everything to its end: statements end, their events arrive, the reconciler runs as long as anything is open.
async fn bring_home(world: &World, lost_events: bool) {
    for _ in 0..6 {
        let events = world.end_all();
        if !lost_events {
            world.complete(&events).await;
        }
        let queue = std::mem::take(&mut world.state().queue);
        world.complete(&queue).await;
        world.pass(11 * MINUTE);
        world.reconcile().await;
    }
}

fn assert_home(world: &World, what: &str) {
    let state = world.state();
    for row in state.rows.values() {
        assert!(row.closed() && row.open_since.is_none() && row.sealed.is_none(), "{what}: {row:?}");
    }
    assert!(state.locks.is_empty(), "{what}: lock left");
    let mut tokens: Vec<&String> = state.answers.iter().map(|(token, ..)| token).collect();
    let all = tokens.len();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), all, "{what}: answered twice");
}

#[tokio::test]
async fn the_tasker_cut_off_anywhere_and_called_again_runs_the_sql_once() {
    for action in ["executeStatement", "executeSingletonStatement", "batchExecuteStatement"] {
        for when in [When::Before, When::After] {
            for lost_events in [false, true] {
                // The same token again (a crash between the calls of one task), and a new one (the state's Retry).
                for second in ["token-1", "token-2"] {
                    let mut n = 0;
                    loop {
                        let world = World::new();
                        let cut = world.cut_off(n, when, world.tasker(&task("token-1", action))).await;
                        let what = format!("{action} {when:?} {n} lost={lost_events} {second}");
                        if second == "token-2" {
                            world.state().closed_tokens.insert("token-1".to_owned());
                        }
                        world.tasker_as(&task(second, action), "request-2").await.expect(&what);
                        assert_eq!(world.runs(), 1, "{what}");
                        bring_home(&world, lost_events).await;
                        assert_home(&world, &what);
                        assert_eq!(world.runs(), 1, "{what}");
                        assert_eq!(world.row().status, Status::Finished, "{what}");
                        let answers = world.answers();
                        assert_eq!(answers.len(), 1, "{what}: {answers:?}");
                        assert_eq!((answers[0].0.as_str(), &answers[0].1), (second, &None), "{what}");
                        if !cut {
                            assert!(n >= 3, "seal, put, submit, put: {n}");
                            break;
                        }
                        n += 1;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn the_tasker_cut_off_anywhere_and_never_called_again_leaves_nobody_waiting() {
    for action in ["executeStatement", "executeSingletonStatement"] {
        for when in [When::Before, When::After] {
            let mut n = 0;
            loop {
                let world = World::new();
                let cut = world.cut_off(n, when, world.tasker(&task("token-1", action))).await;
                let what = format!("{action} {when:?} {n}");
                bring_home(&world, true).await;
                assert_home(&world, &what);
                let answers = world.answers();
                match (world.runs(), answers.as_slice()) {
                    // Nothing was written: the invocation's own failure is all there is.
                    (0, []) => assert!(world.state().rows.is_empty(), "{what}"),
                    (0, [(_, Some(error), cause)]) => {
                        assert_eq!(error, "SubmitInterrupted", "{what}");
                        assert_eq!(cause["transient"], true);
                    }
                    (1, [(_, None, output)]) => assert_eq!(output["state"], "FINISHED", "{what}"),
                    other => panic!("{what}: {other:?}"),
                }
                if !cut {
                    break;
                }
                n += 1;
            }
        }
    }
}

#[tokio::test]
async fn completion_and_reconciler_cut_off_anywhere_answer_once() {
    for status in ["FINISHED", "FAILED"] {
        for action in ["executeStatement", "executeSingletonStatement"] {
            for by_event in [true, false] {
                for when in [When::Before, When::After] {
                    let mut n = 0;
                    loop {
                        let what = format!("{status} {action} event={by_event} {when:?} {n}");
                        let world = World::new();
                        world.tasker(&task("token-1", action)).await.unwrap();
                        let id = world.state().statements[0].id.clone();
                        let event = [world.end(&id, status, Some("ERROR: division by zero"))];
                        world.pass(2 * MINUTE);
                        let cut = if by_event {
                            world.cut_off(n, when, world.complete(&event)).await
                        } else {
                            world.cut_off(n, when, world.reconcile()).await
                        };
                        // Delivered again, and again.
                        assert_eq!(world.complete(&event).await, [0usize; 0], "{what}");
                        assert_eq!(world.complete(&event).await, [0usize; 0], "{what}");
                        world.reconcile().await;
                        assert_home(&world, &what);
                        assert_eq!(world.answers().len(), 1, "{what}");
                        if !cut {
                            break;
                        }
                        n += 1;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_second_caller_cut_off_anywhere_still_hears() {
    for first_end in ["FINISHED", "FAILED"] {
        for when in [When::Before, When::After] {
            let mut n = 0;
            loop {
                let what = format!("{first_end} {when:?} {n}");
                let world = World::new();
                world.tasker(&task("token-1", "executeStatement")).await.unwrap();
                let id = world.state().statements[0].id.clone();
                let event =
                    world.end(&id, first_end, Some("ERROR: 1023 DETAIL: Serializable isolation violation on table"));
                world.complete(&[event]).await;
                let cut =
                    world.cut_off(n, when, world.tasker_as(&task("token-2", "executeStatement"), "request-2")).await;
                world.tasker_as(&task("token-2", "executeStatement"), "request-3").await.expect(&what);
                let runs = if first_end == "FINISHED" { 1 } else { 2 };
                assert_eq!(world.runs(), runs, "{what}");
                bring_home(&world, false).await;
                assert_home(&world, &what);
                assert_eq!(world.runs(), runs, "{what}");
                let heard: Vec<_> = world.answers().into_iter().filter(|(token, ..)| token == "token-2").collect();
                assert_eq!(heard.len(), 1, "{what}");
                assert_eq!(heard[0].1, None, "{what}");
                if !cut {
                    break;
                }
                n += 1;
            }
        }
    }
}
