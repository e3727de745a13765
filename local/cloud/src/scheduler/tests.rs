//! Schedules on paused time, with a stand-in for Step Functions.

use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::identity::Identity;
use crate::lambda::{Config, Lambda};
use crate::service::Service;
use crate::sns::Sns;
use crate::sqs::Sqs;

const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:m:live";
const ROLE: &str = "arn:aws:iam::000000000000:role/starter";

/// Keeps what it was called with, and refuses the input `{"refuse": true}`.
#[derive(Default)]
struct Machine(Mutex<Vec<(String, Value)>>);

#[async_trait]
impl Service for Machine {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        assert_eq!((operation, &body["stateMachineArn"]), ("StartExecution", &json!(MACHINE)));
        let input: Value = serde_json::from_str(body["input"].as_str().unwrap()).unwrap();
        if input["refuse"] == true {
            return Err(ApiError::new(400, "AccessDeniedException", "not this one"));
        }
        self.0.lock().unwrap().push((caller.arn.clone(), input));
        Ok(json!({}))
    }
}

struct Stand {
    scheduler: Scheduler,
    machine: Arc<Machine>,
    sqs: Sqs,
    _folder: tempfile::TempDir,
}

fn stand() -> Stand {
    let (trace, folder) = (Trace::default(), tempfile::tempdir().unwrap());
    let sqs = Sqs::new("http://127.0.0.1:1", "us-east-1", trace.clone());
    sqs.create_queue("dead", &json!({})).unwrap();
    let config = Config {
        region: "us-east-1".into(),
        endpoint: String::new(),
        command: Vec::new(),
        logs: folder.path().join("logs"),
        identity: Identity::new(),
        trace: trace.clone(),
    };
    let lambda = Lambda::start(config).unwrap();
    let sns =
        Sns::new("us-east-1", "", folder.path().join("outbox"), sqs.clone(), lambda.clone(), trace.clone()).unwrap();
    let machine = Arc::new(Machine::default());
    let states: Weak<dyn Service> = Arc::<Machine>::downgrade(&machine);
    let scheduler = Scheduler::new("us-east-1", Receivers { sqs: sqs.clone(), sns, lambda, states }, trace);
    Stand { scheduler, machine, sqs, _folder: folder }
}

impl Stand {
    fn properties(&self, expression: &str, input: &str) -> Value {
        json!({
            "Name": "s", "Description": "d", "ScheduleExpression": expression, "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": MACHINE, "RoleArn": ROLE, "Input": input, "DeadLetterConfig": {"Arn": self.sqs.arn("dead")},
                "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 10},
            },
        })
    }

    fn create(&self, expression: &str, input: &str) -> Result<(), ApiError> {
        self.scheduler.create_schedule("s", &self.properties(expression, input))
    }

    /// Lets time pass, in steps that no schedule here is shorter than.
    async fn pass(&self, minutes: u64) {
        for _ in 0..minutes {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    fn started(&self) -> usize {
        self.machine.0.lock().unwrap().len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_week_of_days_starts_seven_executions_as_the_role() {
    let stand = stand();
    stand.create("rate(1 day)", r#"{"workflow": "review", "at": "<aws.scheduler.scheduled-time>"}"#).unwrap();
    stand.pass(7 * 24 * 60 + 1).await;
    let started = stand.machine.0.lock().unwrap().clone();
    assert_eq!(started.len(), 7);
    let (caller, input) = &started[0];
    assert_eq!(caller, "arn:aws:sts::000000000000:assumed-role/starter/scheduler");
    assert_eq!(input["workflow"], "review");
    assert!(input["at"].as_str().unwrap().ends_with('Z'), "{input}");
}

#[tokio::test(start_paused = true)]
async fn what_is_replaced_deleted_or_disabled_starts_nothing_more() {
    let stand = stand();
    stand.create("rate(1 hour)", "{}").unwrap();
    stand.pass(61).await;
    assert_eq!(stand.started(), 1);
    stand.create("rate(1 day)", "{}").unwrap();
    stand.pass(23 * 60).await;
    assert_eq!(stand.started(), 1, "the first one still runs");
    stand.pass(61).await;
    assert_eq!(stand.started(), 2);
    stand.scheduler.delete_schedule("s");
    let mut disabled = stand.properties("rate(1 hour)", "{}");
    disabled["State"] = json!("DISABLED");
    stand.scheduler.create_schedule("s", &disabled).unwrap();
    stand.pass(3 * 24 * 60).await;
    assert_eq!(stand.started(), 2);
    stand.scheduler.fire("s").await.unwrap();
    assert_eq!(stand.started(), 3);
    assert!(stand.scheduler.fire("t").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_lies_in_the_dead_letter_queue() {
    let stand = stand();
    stand.create("rate(1 hour)", r#"{"refuse": true}"#).unwrap();
    stand.pass(61).await;
    let request = json!({"QueueUrl": stand.sqs.url("dead"), "MessageAttributeNames": ["All"]});
    let received = stand.sqs.call("ReceiveMessage", &Caller::local_user(), request).await.unwrap();
    let message = &received["Messages"][0];
    assert_eq!(message["Body"], r#"{"refuse": true}"#);
    assert_eq!(message["MessageAttributes"]["ERROR_CODE"]["StringValue"], "AccessDeniedException");
    assert_eq!(message["MessageAttributes"]["TARGET_ARN"]["StringValue"], MACHINE);
}

#[tokio::test]
async fn what_it_does_not_know_is_refused_by_name() {
    let stand = stand();
    let with = |pointer: &str, value: Value| {
        let mut properties = stand.properties("rate(1 hour)", "{}");
        *properties.pointer_mut(pointer).unwrap() = value;
        stand.scheduler.create_schedule("s", &properties).unwrap_err().message
    };
    assert!(with("/ScheduleExpression", json!("rate(1 hours)")).contains("ScheduleExpression"));
    assert!(with("/ScheduleExpressionTimezone", json!("Mars")).contains("ScheduleExpressionTimezone"));
    assert!(with("/FlexibleTimeWindow/Mode", json!("FLEXIBLE")).contains("Mode"));
    assert!(with("/Target/Arn", json!("arn:aws:ecs:r:1:cluster/c")).contains("a target of ecs"));
    assert!(with("/Target/Input", json!("{")).contains("Input"));
    assert!(with("/Target", json!({"Arn": MACHINE, "RoleArn": ROLE, "EcsParameters": {}})).contains("EcsParameters"));
    assert!(with("/Target/RetryPolicy/MaximumRetryAttempts", json!(186)).contains("MaximumRetryAttempts"));
}
