//! Versions, aliases and Map Runs through the API.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, missing_docs)]

mod harness;

use harness::{Harness, ROLE, machine, text};
use serde_json::{Value, json};

/// A machine that says which one it is.
fn says(what: &str) -> Value {
    machine(json!({ "Type": "Pass", "Result": what, "End": true }))
}

fn update(h: &mut Harness, arn: &str, what: &str) {
    h.call("UpdateStateMachine", json!({ "stateMachineArn": arn, "definition": says(what).to_string() })).unwrap();
}

fn publish(h: &mut Harness, arn: &str) -> String {
    text(&h.call("PublishStateMachineVersion", json!({ "stateMachineArn": arn })).unwrap()["stateMachineVersionArn"])
}

fn alias(h: &mut Harness, name: &str, routes: &[(&str, u32)]) -> Result<Value, states::ApiError> {
    let routes: Vec<Value> =
        routes.iter().map(|(arn, weight)| json!({ "stateMachineVersionArn": arn, "weight": weight })).collect();
    h.call("CreateStateMachineAlias", json!({ "name": name, "routingConfiguration": routes }))
}

#[test]
fn versions_are_numbered_snapshots() {
    let mut h = Harness::new();
    let arn = h.create("m", &says("first"));
    let first = publish(&mut h, &arn);
    assert_eq!(first, format!("{arn}:1"));
    assert_eq!(publish(&mut h, &arn), first, "the revision has a number already");
    update(&mut h, &arn, "second");
    h.pass(1);
    let second = publish(&mut h, &arn);
    assert_eq!(second, format!("{arn}:2"));
    update(&mut h, &arn, "third");

    let listed = h.call("ListStateMachineVersions", json!({ "stateMachineArn": arn })).unwrap();
    let listed: Vec<String> = listed["stateMachineVersions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| text(&version["stateMachineVersionArn"]))
        .collect();
    assert_eq!(listed, [second.clone(), first.clone()]);

    for (target, said) in [(&arn, "third"), (&first, "first"), (&second, "second")] {
        let execution = h.start(target, &json!({}));
        assert_eq!(h.output(&execution), said);
        assert!(execution.contains(":execution:m:"), "{execution}");
        let described = h.describe(&execution);
        assert_eq!(described["stateMachineArn"], *arn);
        let version = (*target != arn).then(|| json!(target));
        assert_eq!(described.get("stateMachineVersionArn"), version.as_ref());
        let started = &h.history(&execution)[0]["executionStartedEventDetails"];
        assert_eq!(started.get("stateMachineVersionArn"), version.as_ref());
        let event = h.status_changes.last().unwrap();
        assert_eq!(event["detail"]["stateMachineVersionArn"], version.unwrap_or_default());
    }
    let described = h.call("DescribeStateMachine", json!({ "stateMachineArn": first })).unwrap();
    assert_eq!(
        (&described["stateMachineArn"], &described["definition"]),
        (&json!(first), &json!(says("first").to_string()))
    );
    let of_first = h.call("ListExecutions", json!({ "stateMachineArn": first })).unwrap();
    assert_eq!(of_first["executions"].as_array().unwrap().len(), 1);

    h.call("DeleteStateMachineVersion", json!({ "stateMachineVersionArn": second })).unwrap();
    assert_eq!(h.refused("StartExecution", json!({ "stateMachineArn": second })), "StateMachineDoesNotExist");
    update(&mut h, &arn, "fourth");
    assert_eq!(publish(&mut h, &arn), format!("{arn}:3"), "a number is never used again");
}

#[test]
fn a_version_is_published_with_the_machine_or_of_the_expected_revision() {
    let mut h = Harness::new();
    let create = json!({
        "name": "m", "roleArn": ROLE, "definition": says("a").to_string(), "publish": true, "versionDescription": "d",
    });
    let created = h.call("CreateStateMachine", create.clone()).unwrap();
    let version = text(&created["stateMachineVersionArn"]);
    assert_eq!(h.call("CreateStateMachine", create).unwrap(), created, "the same again");
    let described = h.call("DescribeStateMachine", json!({ "stateMachineArn": version })).unwrap();
    assert_eq!(described["description"], "d");
    let arn = text(&created["stateMachineArn"]);
    let publish = |revision: &str| json!({ "stateMachineArn": arn, "revisionId": revision });
    h.call("PublishStateMachineVersion", publish("INITIAL")).unwrap();
    let updated = json!({ "stateMachineArn": arn, "definition": says("b").to_string(), "publish": true });
    let updated = h.call("UpdateStateMachine", updated).unwrap();
    assert_eq!(updated["stateMachineVersionArn"], format!("{arn}:2"));
    assert_eq!(h.refused("PublishStateMachineVersion", publish("INITIAL")), "ConflictException");
    let revision = text(&updated["revisionId"]);
    assert_eq!(
        h.call("PublishStateMachineVersion", publish(&revision)).unwrap()["stateMachineVersionArn"],
        format!("{arn}:2")
    );
    let nowhere = json!({ "stateMachineArn": format!("{arn}x") });
    assert_eq!(h.refused("PublishStateMachineVersion", nowhere), "StateMachineDoesNotExist");
}

#[test]
fn aliases_lead_to_versions_by_weight() {
    let mut h = Harness::new();
    let arn = h.create("m", &says("first"));
    let first = publish(&mut h, &arn);
    update(&mut h, &arn, "second");
    let second = publish(&mut h, &arn);
    let live = text(&alias(&mut h, "live", &[(&first, 100)]).unwrap()["stateMachineAliasArn"]);
    assert_eq!(live, format!("{arn}:live"));
    let execution = h.start(&live, &json!({}));
    assert_eq!(h.output(&execution), "first");
    let described = h.describe(&execution);
    assert_eq!(described["stateMachineAliasArn"], *live);
    assert_eq!(described["stateMachineVersionArn"], *first);

    let routes = json!([
        { "stateMachineVersionArn": first, "weight": 30 }, { "stateMachineVersionArn": second, "weight": 70 },
    ]);
    h.pass(5);
    let change = json!({ "stateMachineAliasArn": live, "routingConfiguration": routes, "description": "both" });
    h.call("UpdateStateMachineAlias", change).unwrap();
    let described = h.call("DescribeStateMachineAlias", json!({ "stateMachineAliasArn": live })).unwrap();
    assert_eq!((&described["name"], &described["description"]), (&json!("live"), &json!("both")));
    assert_eq!(described["routingConfiguration"], routes);
    let seconds = described["updateDate"].as_f64().unwrap() - described["creationDate"].as_f64().unwrap();
    assert!((seconds - 5.0).abs() < 0.001);
    let mut firsts = 0;
    for _ in 0..400 {
        let execution = h.start(&live, &json!({}));
        firsts += usize::from(h.output(&execution) == "first");
    }
    assert!((80..160).contains(&firsts), "about 30 % of 400: {firsts}");

    // Of a version: the aliases that lead to it.
    for (of, number) in [(&arn, 1), (&second, 1)] {
        let listed = h.call("ListStateMachineAliases", json!({ "stateMachineArn": of })).unwrap();
        assert_eq!(listed["stateMachineAliases"].as_array().unwrap().len(), number, "{of}");
    }
    let delete = json!({ "stateMachineVersionArn": second });
    let error = h.call("DeleteStateMachineVersion", delete.clone()).unwrap_err();
    assert!(error.code == "ConflictException" && error.message.contains("[live]"), "{error}");
    h.call("DeleteStateMachineAlias", json!({ "stateMachineAliasArn": live })).unwrap();
    assert_eq!(h.refused("DeleteStateMachineAlias", json!({ "stateMachineAliasArn": live })), "ResourceNotFound");
    h.call("DeleteStateMachineVersion", delete).unwrap();
}

#[test]
fn aliases_that_make_no_sense_are_refused() {
    let mut h = Harness::new();
    let arn = h.create("m", &says("a"));
    let other = h.create("other", &says("a"));
    let (version, foreign) = (publish(&mut h, &arn), publish(&mut h, &other));
    update(&mut h, &arn, "b");
    let second = publish(&mut h, &arn);
    let missing = format!("{arn}:9");
    #[allow(clippy::type_complexity)] // A table.
    let cases: [(&str, &[(&str, u32)], &str); 9] = [
        ("7", &[(&version, 100)], "ValidationException"),
        ("a b", &[(&version, 100)], "ValidationException"),
        ("a", &[], "ValidationException"),
        ("a", &[(&version, 99)], "ValidationException"),
        ("a", &[(&version, 50), (&version, 50)], "ValidationException"),
        ("a", &[(&version, 50), (&foreign, 50)], "ValidationException"),
        ("a", &[(&arn, 100)], "ValidationException"),
        ("a", &[(&missing, 100)], "ResourceNotFound"),
        ("a", &[("nonsense", 100)], "InvalidArn"),
    ];
    for (name, routes, code) in cases {
        assert_eq!(alias(&mut h, name, routes).unwrap_err().code, code, "{name} {routes:?}");
    }
    let made = alias(&mut h, "a", &[(&version, 100)]).unwrap();
    assert_eq!(alias(&mut h, "a", &[(&version, 100)]).unwrap(), made);
    assert_eq!(alias(&mut h, "a", &[(&second, 100)]).unwrap_err().code, "ConflictException");
    let nowhere = json!({ "stateMachineAliasArn": format!("{arn}:b"), "description": "d" });
    assert_eq!(h.refused("UpdateStateMachineAlias", nowhere), "ResourceNotFound");
    let nothing = json!({ "stateMachineAliasArn": format!("{arn}:a") });
    assert_eq!(h.refused("UpdateStateMachineAlias", nothing), "ValidationException");
}

#[test]
fn map_runs_are_counted_while_they_run_and_after() {
    let definition = machine(json!({
        "Type": "Map", "End": true, "MaxConcurrency": 2, "ToleratedFailurePercentage": 50,
        "ItemBatcher": { "MaxItemsPerBatch": 2 },
        "ItemProcessor": {
            "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" }, "StartAt": "Wait",
            "States": {
                "Wait": { "Type": "Wait", "SecondsPath": "$.Items[0]", "Next": "Which" },
                "Which": { "Type": "Choice", "Default": "Good",
                    "Choices": [{ "Variable": "$.Items[0]", "NumericEquals": 3, "Next": "Bad" }] },
                "Good": { "Type": "Succeed" }, "Bad": { "Type": "Fail", "Error": "Three" },
            },
        },
    }));
    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!([1, 0, 3, 0, 5]));
    let listed = h.call("ListMapRuns", json!({ "executionArn": execution })).unwrap();
    let run = text(&listed["mapRuns"][0]["mapRunArn"]);
    let counts = |h: &mut Harness| {
        let described = h.call("DescribeMapRun", json!({ "mapRunArn": run })).unwrap();
        let numbers = |counts: &Value| {
            ["pending", "running", "succeeded", "failed", "aborted", "total"].map(|name| counts[name].as_u64().unwrap())
        };
        let status = text(&described["status"]);
        (status, numbers(&described["executionCounts"]), numbers(&described["itemCounts"]))
    };
    assert_eq!(counts(&mut h), ("RUNNING".into(), [1, 2, 0, 0, 0, 3], [1, 4, 0, 0, 0, 5]));
    h.pass(2);
    assert_eq!(counts(&mut h), ("RUNNING".into(), [0, 2, 1, 0, 0, 3], [0, 3, 2, 0, 0, 5]));
    h.pass(1);
    assert_eq!(counts(&mut h), ("RUNNING".into(), [0, 1, 1, 1, 0, 3], [0, 1, 2, 2, 0, 5]));
    h.pass(4);
    assert_eq!(counts(&mut h), ("SUCCEEDED".into(), [0, 0, 2, 1, 0, 3], [0, 0, 3, 2, 0, 5]));
    let described = h.call("DescribeMapRun", json!({ "mapRunArn": run })).unwrap();
    assert_eq!((&described["executionArn"], &described["maxConcurrency"]), (&json!(execution), &json!(2)));
    assert_eq!(described["toleratedFailurePercentage"], 50.0);

    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!([1, 0, 1]));
    h.call("StopExecution", json!({ "executionArn": execution })).unwrap();
    assert_eq!(counts(&mut h), ("ABORTED".into(), [0, 0, 0, 0, 2, 2], [0, 0, 0, 0, 3, 3]));
    assert_eq!(h.refused("DescribeMapRun", json!({ "mapRunArn": format!("{run}x") })), "ResourceNotFound");
}

#[test]
fn descriptions_leave_data_out_when_asked() {
    let mut h = Harness::new();
    let execution = h.begin(&says("a"), &json!({ "secret": 1 }));
    let bare = json!({ "executionArn": execution, "includedData": "METADATA_ONLY" });
    let described = h.call("DescribeExecution", bare).unwrap();
    assert_eq!(
        (described.get("input"), described.get("output"), &described["status"]),
        (None, None, &json!("SUCCEEDED"))
    );
    let arn = text(&described["stateMachineArn"]);
    let bare = json!({ "stateMachineArn": arn, "includedData": "METADATA_ONLY" });
    assert_eq!(h.call("DescribeStateMachine", bare).unwrap().get("definition"), None);
    let wrong = json!({ "stateMachineArn": arn, "includedData": "SOME" });
    assert_eq!(h.refused("DescribeStateMachine", wrong), "ValidationException");
}
