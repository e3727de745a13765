//! The tasker as a custom resource: the response URL is answered on every path.

use serde_json::{Value, json};
use statement::ports::FailureKind;
use statement::row::Status;

use crate::world::{MINUTE, When, World, failure};

fn event(kind: &str, request: &str, properties: &Value) -> Value {
    json!({"RequestType": kind, "ResponseURL": format!("https://answers/{request}"), "StackId": "stack", "RequestId": request,
           "LogicalResourceId": "Schema", "ResourceType": "Custom::Sql", "ResourceProperties": properties,
           "PhysicalResourceId": "whatever"})
}

fn properties() -> Value {
    json!({"ServiceToken": "arn", "create": "create schema s", "delete": {"sqlStatement": "drop schema s"}})
}

fn answers(world: &World) -> Vec<(String, Value)> {
    world.state().responses.clone()
}

#[tokio::test]
async fn create_update_and_delete_are_answered_with_one_physical_id() {
    let world = World::new();
    world.tasker(&event("Create", "r1", &properties())).await.unwrap();
    assert!(answers(&world).is_empty(), "not before the SQL has run");
    let row = world.row();
    let text = format!("{row:?}");
    assert!(
        row.sealed.is_some() && !text.replace(&format!("{:?}", row.sealed), "").contains("https://answers"),
        "the URL only sealed"
    );
    world.complete(&world.end_all()).await;
    // No SQL for an update: answered at once.
    world.tasker(&event("Update", "r2", &properties())).await.unwrap();
    world.tasker(&event("Delete", "r3", &properties())).await.unwrap();
    world.complete(&world.end_all()).await;
    let answers = answers(&world);
    assert_eq!(
        answers.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>(),
        ["https://answers/r1", "https://answers/r2", "https://answers/r3"]
    );
    for (_, body) in &answers {
        assert_eq!(
            (&body["Status"], &body["PhysicalResourceId"]),
            (&json!("SUCCESS"), &answers[0].1["PhysicalResourceId"])
        );
        assert_eq!((&body["StackId"], &body["LogicalResourceId"]), (&json!("stack"), &json!("Schema")));
    }
    assert_eq!(answers[0].1["Data"]["StatementId"], world.state().statements[0].id);
    assert_eq!(
        world.state().statements.iter().map(|s| s.submission.statements[0].clone()).collect::<Vec<_>>(),
        ["create schema s", "drop schema s"]
    );
    // Delivered twice: one run, no second answer.
    world.tasker(&event("Delete", "r3", &properties())).await.unwrap();
    assert_eq!((world.runs(), self::answers(&world).len()), (2, 3));
}

#[tokio::test]
async fn what_is_wrong_is_answered_at_once() {
    let bad = json!({"create": "create schema s", "delete": {"sqlStatment": "drop schema s"}});
    for (kind, status) in [("Create", "FAILED"), ("Update", "FAILED"), ("Delete", "SUCCESS")] {
        let world = World::new();
        world.tasker(&event(kind, "r", &bad)).await.unwrap();
        let (_, body) = answers(&world).remove(0);
        assert_eq!((body["Status"].as_str(), world.runs()), (Some(status), 0), "{kind}");
        if status == "FAILED" {
            assert!(body["Reason"].as_str().unwrap().contains("delete.sqlStatment"));
        }
    }
    let world = World::new();
    world.fail("data.submit", When::Before, failure(FailureKind::Denied, "AccessDeniedException", "no"));
    world.tasker(&event("Create", "r", &properties())).await.unwrap();
    assert!(answers(&world)[0].1["Reason"].as_str().unwrap().starts_with("AccessDenied"));
    // The SQL fails.
    let world = World::new();
    world.tasker(&event("Create", "r", &properties())).await.unwrap();
    let id = world.state().statements[0].id.clone();
    let ended = world.end(&id, "FAILED", Some(&format!("ERROR: permission denied {}", "x".repeat(9_000))));
    world.complete(&[ended]).await;
    assert!(answers(&world)[0].1["Reason"].as_str().unwrap().contains("permission denied"));
    // No row can be written: nobody would answer later.
    for call in ["vault.seal", "rows.put"] {
        let world = World::new();
        world.fail(call, When::Before, failure(FailureKind::Unavailable, "x", ""));
        world.tasker(&event("Create", "r", &properties())).await.unwrap();
        assert_eq!(answers(&world)[0].1["Status"], "FAILED", "{call}");
    }
}

#[tokio::test]
async fn a_transient_refusal_is_tried_again_and_given_up_last() {
    let throttle = |world: &World| {
        world.fail("data.submit", When::Before, failure(FailureKind::Throttled, "ThrottlingException", ""))
    };
    let world = World::new();
    throttle(&world);
    let create = event("Create", "r", &properties());
    assert!(world.tasker_as(&create, "lambda").await.unwrap_err().transient());
    assert!(answers(&world).is_empty());
    world.pass(2 * MINUTE);
    world.reconcile().await;
    assert!(answers(&world).is_empty(), "Lambda tries again first");
    world.tasker_as(&create, "lambda").await.unwrap();
    world.complete(&world.end_all()).await;
    assert_eq!((world.runs(), answers(&world)[0].1["Status"].as_str()), (1, Some("SUCCESS")));
    // All of Lambda's tries fail.
    let world = World::new();
    for _ in 0..3 {
        throttle(&world);
        world.tasker_as(&create, "lambda").await.unwrap_err();
        world.pass(2 * MINUTE);
    }
    world.pass(10 * MINUTE);
    world.reconcile().await;
    assert_eq!(answers(&world)[0].1["Status"], "FAILED");
    assert!(answers(&world)[0].1["Reason"].as_str().unwrap().starts_with("Throttled"));
    let row = world.row();
    assert!(row.closed() && row.status == Status::Refused);
    // And a try after that runs nothing behind CloudFormation's back.
    world.tasker_as(&create, "lambda").await.unwrap();
    assert_eq!(world.runs(), 0);
}

#[tokio::test]
async fn cut_off_anywhere_cloudformation_hears() {
    for again in [true, false] {
        for when in [When::Before, When::After] {
            let mut n = 0;
            loop {
                let what = format!("{when:?} {n} again={again}");
                let world = World::new();
                let create = event("Create", "r", &properties());
                let cut = world.cut_off(n, when, world.tasker_as(&create, "lambda")).await;
                // A function that was killed is invoked again by Lambda.
                if again {
                    world.pass(MINUTE);
                    world.tasker_as(&create, "lambda").await.expect(&what);
                }
                for _ in 0..4 {
                    world.complete(&world.end_all()).await;
                    world.pass(11 * MINUTE);
                    world.reconcile().await;
                }
                let written = !world.state().rows.is_empty();
                let heard = answers(&world);
                assert_eq!(heard.len(), usize::from(written), "{what}: {heard:?}");
                assert!(world.runs() <= 1 && (!again || heard[0].1["Status"] == "SUCCESS"), "{what}");
                if !cut {
                    break;
                }
                n += 1;
            }
        }
    }
}
