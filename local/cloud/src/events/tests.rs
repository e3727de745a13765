//! Rules of the bus, on paused time, with queues as targets.

use std::time::Duration;

use super::*;
use crate::faults::Matching;
use crate::identity::Identity;
use crate::lambda::{Config, Lambda};
use crate::sns::Sns;
use crate::sqs::Sqs;

struct Stand {
    bus: Bus,
    sqs: Sqs,
    faults: Faults,
    trace: Trace,
    sns: Sns,
    machine: Arc<Machine>,
    folder: tempfile::TempDir,
}

/// Plays Step Functions: keeps what it was called with.
#[derive(Default)]
struct Machine(Mutex<Vec<(String, String, Value)>>);

#[async_trait]
impl Service for Machine {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.0.lock().unwrap().push((operation.to_owned(), caller.arn.clone(), body));
        Ok(json!({}))
    }
}

fn stand() -> Stand {
    let (trace, faults, folder) = (Trace::default(), Faults::default(), tempfile::tempdir().unwrap());
    let sqs = Sqs::new("http://127.0.0.1:1", "us-east-1", trace.clone());
    for name in ["q", "dead"] {
        sqs.create_queue(name, &json!({})).unwrap();
    }
    let lambda = Lambda::start(Config {
        region: "us-east-1".into(),
        endpoint: String::new(),
        command: Vec::new(),
        logs: folder.path().join("logs"),
        identity: Identity::new(),
        trace: trace.clone(),
    });
    let lambda = lambda.unwrap();
    let outbox = folder.path().join("outbox");
    let sns = Sns::new("us-east-1", "", outbox, sqs.clone(), lambda.clone(), trace.clone()).unwrap();
    let machine = Arc::new(Machine::default());
    let states: Weak<dyn Service> = Arc::<Machine>::downgrade(&machine);
    let receivers = Receivers { sqs: sqs.clone(), sns: sns.clone(), lambda, states };
    let bus = Bus::start("us-east-1", receivers, faults.clone(), trace.clone());
    Stand { bus, sqs, faults, trace, sns, machine, folder }
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
    let error = stand.bus.call("CreateArchive", &Caller::local_user(), json!({})).await.unwrap_err();
    assert!(error.message.contains("CreateArchive"));
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
        (finished(), json!({"Arn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}), "kinesis"),
        (finished(), json!({"Arn": "somewhere"}), "not in correct format"),
        (finished(), json!({"Id": "a b"}), "Id"),
        (finished(), json!({"InputTransformer": {}}), "InputTransformer"),
        (finished(), json!({"InputPath": "$..x"}), "InputPath"),
        (finished(), json!({"Input": "{"}), "Input"),
        (finished(), json!({"RetryPolicy": {"MaximumRetryAttempts": 186}}), "MaximumRetryAttempts"),
    ] {
        let error = stand.rule(properties, target).unwrap_err();
        assert!(error.message.contains(named), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn topics_and_state_machines_are_targets() {
    let stand = stand();
    stand.sns.create_topic("t", &json!({})).unwrap();
    let mail = json!({"TopicArn": stand.sns.arn("t"), "Protocol": "email", "Endpoint": "night@watch.example"});
    stand.sns.create_subscription(&format!("{}:1", stand.sns.arn("t")), &mail).unwrap();
    let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:m";
    let template = json!({"InputPathsMap": {"s": "$.detail.state"}, "InputTemplate": "\"statement <s>\""});
    let mut rule = finished();
    rule["Targets"] = json!([
        {"Id": "topic", "Arn": stand.sns.arn("t"), "InputTransformer": template},
        {"Id": "machine", "Arn": machine, "RoleArn": "arn:aws:iam::000000000000:role/r", "InputPath": "$.detail"},
    ]);
    stand.bus.create_rule("rule", &rule).unwrap();
    let mut trace = stand.trace.subscribe();
    stand.bus.publish(ended("FINISHED"));
    let mut delivered = 0;
    while delivered < 2 {
        if let What::Delivered { error, .. } = trace.recv().await.unwrap().what {
            assert_eq!(error, None);
            delivered += 1;
        }
    }
    let calls = stand.machine.0.lock().unwrap().clone();
    let caller = "arn:aws:sts::000000000000:assumed-role/r/events".to_owned();
    let request = json!({"stateMachineArn": machine, "input": "{\"state\":\"FINISHED\"}"});
    assert_eq!(calls, [("StartExecution".to_owned(), caller, request)]);
    let mail = std::fs::read_dir(stand.folder.path().join("outbox")).unwrap().next().unwrap().unwrap();
    let mail = std::fs::read_to_string(mail.path()).unwrap();
    assert!(mail.contains("\n\n\"statement FINISHED\"\n"), "{mail}");
}

/// Calls of the API, as the local user.
impl Stand {
    async fn call(&self, operation: &str, body: Value) -> Result<Value, ApiError> {
        self.bus.call(operation, &Caller::local_user(), body).await
    }
}

#[tokio::test(start_paused = true)]
async fn rules_are_made_and_changed_by_the_api() {
    let stand = stand();
    let pattern = json!({"source": ["mine"]}).to_string();
    let made = stand.call("PutRule", json!({"Name": "r", "EventPattern": pattern, "Description": "d"})).await.unwrap();
    assert_eq!(made["RuleArn"], "arn:aws:events:us-east-1:000000000000:rule/r");
    let target = json!({"Id": "q", "Arn": stand.sqs.arn("q"), "InputPath": "$.detail"});
    let put = stand.call("PutTargets", json!({"Rule": "r", "Targets": [target]})).await.unwrap();
    assert_eq!(put["FailedEntryCount"], 0);
    let event = json!({"Entries": [{"Source": "mine", "DetailType": "d", "Detail": "{\"a\":1}"}]});
    stand.call("PutEvents", event.clone()).await.unwrap();
    assert_eq!(stand.delivered("q").await, json!({"a": 1}));

    // Disabled it does nothing, a new pattern keeps the targets.
    stand.call("DisableRule", json!({"Name": "r"})).await.unwrap();
    stand.call("PutEvents", event.clone()).await.unwrap();
    assert_eq!(stand.call("DescribeRule", json!({"Name": "r"})).await.unwrap()["State"], "DISABLED");
    stand.call("EnableRule", json!({"Name": "r"})).await.unwrap();
    let pattern = json!({"source": ["mine"], "detail": {"a": [2]}}).to_string();
    stand.call("PutRule", json!({"Name": "r", "EventPattern": pattern})).await.unwrap();
    stand.call("PutEvents", event).await.unwrap();
    let event = json!({"Entries": [{"Source": "mine", "DetailType": "d", "Detail": "{\"a\":2}"}]});
    stand.call("PutEvents", event).await.unwrap();
    assert_eq!(stand.delivered("q").await, json!({"a": 2}));
    assert_eq!(stand.sqs.counts("q").unwrap(), (0, 2, 0), "nothing else came");

    let rules = stand.call("ListRules", json!({"NamePrefix": "r"})).await.unwrap();
    assert_eq!(rules["Rules"][0]["EventPattern"], pattern);
    let targets = stand.call("ListTargetsByRule", json!({"Rule": "r"})).await.unwrap();
    assert_eq!(targets["Targets"], json!([target]));
    let by = stand.call("ListRuleNamesByTarget", json!({"TargetArn": stand.sqs.arn("q")})).await.unwrap();
    assert_eq!(by, json!({"RuleNames": ["r"]}));
    let refused = stand.call("DeleteRule", json!({"Name": "r"})).await.unwrap_err();
    assert_eq!(refused.message, "Rule can't be deleted since it has targets.");
    stand.call("RemoveTargets", json!({"Rule": "r", "Ids": ["q"]})).await.unwrap();
    stand.call("DeleteRule", json!({"Name": "r"})).await.unwrap();
    stand.call("DeleteRule", json!({"Name": "r"})).await.unwrap();
    let gone = stand.call("DescribeRule", json!({"Name": "r"})).await.unwrap_err();
    assert_eq!(gone.code, "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_goes_on_while_its_rule_changes_and_ends_with_it() {
    let stand = stand();
    let rate = |minutes: u32| json!({"Name": "r", "ScheduleExpression": format!("rate({minutes} minutes)")});
    let begun = stand.bus.shared.clock.now();
    stand.call("PutRule", rate(10)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    // In the middle of its first ten minutes it gets a target.
    let targets = json!([{"Id": "q", "Arn": stand.sqs.arn("q")}]);
    stand.call("PutTargets", json!({"Rule": "r", "Targets": targets})).await.unwrap();
    let next = async || {
        let received = stand.sqs.hand_out("q", 1, Duration::from_secs(3600)).await.unwrap();
        stand.sqs.take_out("q", std::iter::once(received[0].receipt.as_str()));
        (stand.bus.shared.clock.now() - begun).num_seconds()
    };
    assert_eq!(next().await, 600);
    // Another rate begins anew.
    stand.call("PutRule", rate(2)).await.unwrap();
    assert_eq!(next().await, 720);
    stand.call("DisableRule", json!({"Name": "r"})).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(stand.sqs.counts("q").unwrap(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn lists_have_pages() {
    let stand = stand();
    for n in 0..7 {
        let body = json!({"Name": format!("r{n}"), "EventPattern": "{\"source\":[\"x\"]}"});
        stand.call("PutRule", body).await.unwrap();
    }
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let page = stand.call("ListRules", json!({"Limit": 3, "NextToken": token})).await.unwrap();
        names.extend(page["Rules"].as_array().unwrap().iter().map(|rule| rule["Name"].clone()));
        match page.get("NextToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    assert_eq!(names, (0..7).map(|n| json!(format!("r{n}"))).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_api_refuses_by_name() {
    let stand = stand();
    let pattern = "{\"source\":[\"x\"]}";
    stand.call("PutRule", json!({"Name": "r", "EventPattern": pattern})).await.unwrap();
    let queue = |id: &str| json!({"Id": id, "Arn": stand.sqs.arn("q")});
    let many: Vec<Value> = (0..6).map(|n| queue(&n.to_string())).collect();
    let event = json!({"id": "1", "account": "2", "source": "x", "time": "t", "region": "r", "resources": []});
    for (operation, body, code, named) in [
        ("PutRule", json!({"Name": "a b", "EventPattern": pattern}), "ValidationException", "name"),
        ("PutRule", json!({"Name": "a"}), "ValidationException", "ScheduleExpression"),
        ("PutRule", json!({"Name": "a", "ScheduleExpression": "soon"}), "ValidationException", "ScheduleExpression"),
        ("PutRule", json!({"Name": "a", "EventPattern": "{}"}), "InvalidEventPatternException", "empty"),
        ("PutRule", json!({"Name": "a", "EventPattern": pattern, "Colour": 1}), "NotImplemented", "Colour"),
        (
            "PutRule",
            json!({"Name": "a", "EventPattern": pattern, "EventBusName": "other"}),
            "ResourceNotFoundException",
            "other",
        ),
        ("PutTargets", json!({"Rule": "none", "Targets": [queue("q")]}), "ResourceNotFoundException", "none"),
        ("PutTargets", json!({"Rule": "r", "Targets": []}), "ValidationException", "targets"),
        ("PutTargets", json!({"Rule": "r", "Targets": many}), "LimitExceededException", "maximum"),
        ("RemoveTargets", json!({"Rule": "r", "Ids": []}), "ValidationException", "ids"),
        ("EnableRule", json!({"Name": "none"}), "ResourceNotFoundException", "none"),
        ("ListRules", json!({"Limit": 0}), "ValidationException", "limit"),
        ("TestEventPattern", json!({"EventPattern": pattern, "Event": "{"}), "ValidationException", "Event"),
        (
            "TestEventPattern",
            json!({"EventPattern": pattern, "Event": event.to_string()}),
            "ValidationException",
            "detail-type",
        ),
        ("PutEvents", json!({"Entries": []}), "ValidationException", "entries"),
    ] {
        let error = stand.call(operation, body).await.unwrap_err();
        assert!(error.code == code && error.message.contains(named), "{operation}: {error}");
    }
    let mut event = event;
    event["detail-type"] = json!("d");
    let tested = stand.call("TestEventPattern", json!({"EventPattern": pattern, "Event": event.to_string()}));
    assert_eq!(tested.await.unwrap(), json!({"Result": true}));
}
