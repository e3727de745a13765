//! What starts a workflow without a person: the end of a deployment, and a schedule.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

mod world;

use serde_json::{Value, json};
use world::World;

/// The executions of the workflow's machine: name and input.
async fn executions(world: &World) -> Vec<(String, Value)> {
    let machine = &world.cloud.outputs()["WorkflowStateMachineArn"];
    let listed = world.cloud.call("states", "ListExecutions", json!({"stateMachineArn": machine})).await.unwrap();
    let mut found = Vec::new();
    for execution in listed["executions"].as_array().unwrap() {
        let body = json!({"executionArn": execution["executionArn"]});
        let described = world.cloud.call("states", "DescribeExecution", body).await.unwrap();
        let input = serde_json::from_str(described["input"].as_str().unwrap()).unwrap();
        found.push((execution["name"].as_str().unwrap().to_owned(), input));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_starts_a_run_and_says_where_it_will_be() {
    let world = World::start_with(&[("StartAfterDeployment", "nightly")]).await;
    let started = executions(&world).await;
    assert_eq!(started.len(), 1, "{started:?}");
    let (name, input) = &started[0];
    assert_eq!(input, &json!({"workflow": "nightly"}));
    let outputs = world.cloud.outputs();
    let location = &outputs["RunLocation"];
    assert!(location.starts_with(&format!("s3://{}/runs/nightly/", outputs["ResultsBucket"])), "{location}");
    assert!(location.ends_with(&format!("Z-{name}/")), "{location}");
    assert!(outputs["RunExecutionArn"].ends_with(&format!(":execution:whole-workflow:{name}")));
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_starts_the_alias_as_its_role() {
    let parameters = [
        ("ScheduleExpression", "cron(0 6 ? * MON *)"),
        ("ScheduleTimezone", "Europe/Berlin"),
        ("ScheduledWorkflow", "nightly"),
        ("ScheduledPlan", "short"),
    ];
    let world = World::start_with(&parameters).await;
    assert!(!world.cloud.outputs().contains_key("RunLocation"));
    world.cloud.fire_schedule("Triggers/Schedule").await.unwrap();
    let started = executions(&world).await;
    assert_eq!(started.len(), 1, "{started:?}");
    assert_eq!(started[0].1, json!({"workflow": "nightly", "plan": "short"}));
    // Nothing was refused: the role may.
    let queue = &world.cloud.outputs()["TriggersDeadLetterQueueUrl"];
    let received = world.cloud.call("sqs", "ReceiveMessage", json!({"QueueUrl": queue})).await.unwrap();
    assert!(received.get("Messages").is_none_or(|messages| messages == &json!([])), "{received}");
    world.cloud.shutdown().await;
}
