//! Rules of the bus, on paused time, with queues as targets.

use std::time::Duration;

use super::*;
use crate::faults::Matching;
use crate::identity::Identity;
use crate::lambda::Config;

struct Stand {
    bus: Bus,
    sqs: Sqs,
    faults: Faults,
    trace: Trace,
    _logs: tempfile::TempDir,
}

fn stand() -> Stand {
    let (trace, faults, logs) = (Trace::default(), Faults::default(), tempfile::tempdir().unwrap());
    let sqs = Sqs::new("http://127.0.0.1:1", "us-east-1", trace.clone());
    for name in ["q", "dead"] {
        sqs.create_queue(name, &json!({})).unwrap();
    }
    let lambda = Lambda::start(Config {
        region: "us-east-1".into(),
        endpoint: String::new(),
        command: Vec::new(),
        logs: logs.path().to_owned(),
        identity: Identity::new(),
        trace: trace.clone(),
    });
    let bus = Bus::start("us-east-1", sqs.clone(), lambda.unwrap(), faults.clone(), trace.clone());
    Stand { bus, sqs, faults, trace, _logs: logs }
}

impl Stand {
    fn rule(&self, mut properties: Value, target: Value) -> Result<(), ApiError> {
        let mut targets = json!({"Id": "one", "Arn": self.sqs.arn("q")});
        if let (Value::Object(into), Value::Object(from)) = (&mut targets, target) {
            into.extend(from);
        }
        properties["Targets"] = json!([targets]);
        self.bus.create_rule("rule", &properties)
    }

    async fn delivered(&self, queue: &str) -> Value {
        let received = self.sqs.hand_out(queue, 1, Duration::from_secs(100)).await.unwrap();
        let body = received[0].record["body"].as_str().unwrap().to_owned();
        serde_json::from_str(&body).unwrap()
    }
}

fn ended(state: &str) -> Value {
    json!({
        "source": "aws.redshift-data",
        "detail-type": "Redshift Data Statement Status Change",
        "detail": {"state": state},
    })
}

fn finished() -> Value {
    json!({"EventPattern": {"source": ["aws.redshift-data"], "detail": {"state": ["FINISHED"]}}})
}

#[tokio::test(start_paused = true)]
async fn an_event_reaches_the_targets_of_the_rules_it_matches() {
    let stand = stand();
    stand.rule(finished(), json!({})).unwrap();
    stand.bus.publish(ended("FAILED"));
    stand.bus.publish(ended("FINISHED"));
    let event = stand.delivered("q").await;
    assert_eq!(event["detail"], json!({"state": "FINISHED"}));
    for (member, value) in [
        ("version", json!("0")),
        ("account", json!("000000000000")),
        ("region", json!("us-east-1")),
        ("resources", json!([])),
    ] {
        assert_eq!(event[member], value, "{member}");
    }
    assert!(event["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(stand.sqs.counts("q").unwrap(), (0, 1, 0), "the other event matched no rule");
}

#[tokio::test(start_paused = true)]
async fn input_and_input_path() {
    for (target, body) in [
        (json!({"Input": r#"{"a":1}"#}), json!({"a": 1})),
        (json!({"InputPath": "$.detail.state"}), json!("FINISHED")),
        (json!({"InputPath": "$.detail-type"}), ended("")["detail-type"].clone()),
        (json!({"InputPath": "$.detail.none"}), Value::Null),
    ] {
        let stand = stand();
        stand.rule(finished(), target.clone()).unwrap();
        stand.bus.publish(ended("FINISHED"));
        assert_eq!(stand.delivered("q").await, body, "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_goes_to_the_targets_dead_letter_queue() {
    let stand = stand();
    let gone = json!({
        "Arn": stand.sqs.arn("gone"),
        "DeadLetterConfig": {"Arn": stand.sqs.arn("dead")},
    });
    stand.rule(finished(), gone).unwrap();
    stand.bus.publish(ended("FINISHED"));
    let received = stand.sqs.hand_out("dead", 1, Duration::from_secs(100)).await.unwrap();
    let attributes = &received[0].record["messageAttributes"];
    assert_eq!(attributes["ERROR_CODE"]["stringValue"], "QueueDoesNotExist");
    assert_eq!(attributes["RULE_ARN"]["stringValue"], "arn:aws:events:us-east-1:000000000000:rule/rule");
}

#[tokio::test(start_paused = true)]
async fn schedules_follow_the_clock() {
    let stand = stand();
    let begun = stand.bus.shared.clock.now();
    stand.rule(json!({"ScheduleExpression": "rate(5 minutes)"}), json!({})).unwrap();
    for times in 1..=3 {
        let event = loop {
            let received = stand.sqs.hand_out("q", 1, Duration::from_secs(20)).await.unwrap();
            if let Some(message) = received.first() {
                stand.sqs.take_out("q", std::iter::once(message.receipt.as_str()));
                break serde_json::from_str::<Value>(message.record["body"].as_str().unwrap()).unwrap();
            }
        };
        assert_eq!(event["source"], "aws.events");
        assert_eq!(event["detail-type"], "Scheduled Event");
        assert_eq!(event["detail"], json!({}));
        assert_eq!(event["resources"], json!(["arn:aws:events:us-east-1:000000000000:rule/rule"]));
        let passed = (stand.bus.shared.clock.now() - begun).num_seconds();
        assert_eq!(passed, times * 300);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disabled_schedule_runs_only_when_fired() {
    let stand = stand();
    let schedule = json!({"ScheduleExpression": "rate(1 minute)", "State": "DISABLED"});
    stand.rule(schedule, json!({})).unwrap();
    let nothing = stand.sqs.hand_out("q", 1, Duration::from_secs(600)).await.unwrap();
    assert_eq!(nothing.len(), 0);
    stand.bus.fire("rule").await.unwrap();
    assert_eq!(stand.sqs.counts("q").unwrap(), (1, 0, 0));
    assert_eq!(stand.bus.fire("none").await.unwrap_err().code, "ResourceNotFoundException");
    stand.rule(finished(), json!({})).unwrap();
    assert!(stand.bus.fire("rule").await.unwrap_err().message.contains("no schedule"));
}

#[tokio::test(start_paused = true)]
async fn faults_drop_hold_and_double() {
    let stand = stand();
    stand.rule(finished(), json!({})).unwrap();
    let mut trace = stand.trace.subscribe();
    stand.faults.drop_next(Matching::default(), 1);
    stand.faults.hold_next(Matching::default(), 1);
    stand.faults.duplicate_next(Matching::default(), 1, 2);
    for _ in 0..3 {
        stand.bus.publish(ended("FINISHED"));
    }
    stand.delivered("q").await;
    stand.delivered("q").await;
    assert_eq!(stand.sqs.counts("q").unwrap(), (0, 2, 0));
    assert_eq!(stand.faults.release(), 1);
    stand.delivered("q").await;
    let mut fates = Vec::new();
    while let Ok(entry) = trace.try_recv() {
        if let What::Event { fate, .. } = entry.what {
            fates.push(fate);
        }
    }
    assert_eq!(fates, [Fate::Dropped, Fate::Held, Fate::Duplicated(1), Fate::Released]);
}

#[tokio::test(start_paused = true)]
async fn put_events_answers_entry_by_entry() {
    let stand = stand();
    stand.rule(json!({"EventPattern": {"source": ["mine"]}}), json!({})).unwrap();
    let body = json!({"Entries": [
        {"Source": "mine", "DetailType": "d", "Detail": "{\"a\":1}", "Resources": ["r"]},
        {"Source": "aws.redshift-data", "DetailType": "d", "Detail": "{}"},
        {"Source": "mine", "DetailType": "d", "Detail": "[]"},
        {"Source": "mine", "Detail": "{}"},
    ]});
    let answer = stand.bus.call("PutEvents", &Caller::local_user(), body).await.unwrap();
    assert_eq!(answer["FailedEntryCount"], 3);
    let codes: Vec<&Value> = answer["Entries"].as_array().unwrap().iter().map(|entry| &entry["ErrorCode"]).collect();
    assert_eq!(
        codes,
        [&Value::Null, &json!("NotAuthorizedForSourceException"), &json!("MalformedDetail"), &json!("InvalidArgument"),]
    );
    let event = stand.delivered("q").await;
    assert_eq!(event["id"], answer["Entries"][0]["EventId"]);
    assert_eq!(event["resources"], json!(["r"]));
    assert_eq!(stand.sqs.counts("q").unwrap(), (0, 1, 0));
    let error = stand.bus.call("PutRule", &Caller::local_user(), json!({})).await.unwrap_err();
    assert!(error.message.contains("PutRule"));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_named() {
    let stand = stand();
    for (properties, target, named) in [
        (json!({}), json!({}), "EventPattern"),
        (json!({"EventPattern": {"a": [{"glob": "x"}]}}), json!({}), "glob"),
        (json!({"ScheduleExpression": "rate(1 minutes)"}), json!({}), "rate(1 minutes)"),
        (json!({"EventPattern": {"a": ["b"]}, "EventBusName": "other"}), json!({}), "EventBusName"),
        (json!({"EventPattern": {"a": ["b"]}, "Colour": 1}), json!({}), "Colour"),
        (finished(), json!({"Arn": "arn:aws:states:us-east-1:000000000000:stateMachine:m"}), "states"),
        (finished(), json!({"InputTransformer": {}}), "InputTransformer"),
        (finished(), json!({"InputPath": "$..x"}), "InputPath"),
        (finished(), json!({"Input": "{"}), "Input"),
        (finished(), json!({"RetryPolicy": {"MaximumRetryAttempts": 186}}), "MaximumRetryAttempts"),
    ] {
        let error = stand.rule(properties, target).unwrap_err();
        assert!(error.message.contains(named), "{error}");
    }
}
