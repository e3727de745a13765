//! The API: machines, executions, pages, refusals; and what holds for every execution.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, missing_docs)]

mod harness;

use harness::{Harness, ROLE, machine, text};
use serde_json::{Value, json};

fn pass() -> Value {
    machine(json!({ "Type": "Pass", "End": true }))
}

#[test]
fn creating_twice_is_the_same_machine_or_refused() {
    let mut h = Harness::new();
    let arn = h.create("m", &pass());
    assert_eq!(arn, "arn:aws:states:us-east-1:000000000000:stateMachine:m");
    assert_eq!(h.create("m", &pass()), arn);
    let other =
        json!({ "name": "m", "roleArn": ROLE, "definition": machine(json!({ "Type": "Succeed" })).to_string() });
    assert_eq!(h.refused("CreateStateMachine", other), "StateMachineAlreadyExists");
    let cases = [
        (json!({ "name": "a b", "roleArn": ROLE, "definition": "{}" }), "InvalidName"),
        (json!({ "name": "x".repeat(81), "roleArn": ROLE, "definition": "{}" }), "InvalidName"),
        (json!({ "name": "m", "roleArn": "role", "definition": "{}" }), "InvalidArn"),
        (json!({ "name": "m", "roleArn": ROLE, "definition": "{}" }), "InvalidDefinition"),
        (json!({ "name": "m", "roleArn": ROLE }), "ValidationException"),
        (
            json!({ "name": "m", "roleArn": ROLE, "definition": pass().to_string(), "type": "EXPRESS" }),
            "StateMachineTypeNotSupported",
        ),
        (json!({ "name": "m", "roleArn": ROLE, "definition": "{}", "type": "SWIFT" }), "ValidationException"),
        (json!({ "name": "m", "roleArn": ROLE, "definition": "{}", "versionDescription": "d" }), "ValidationException"),
        (json!({ "name": "m", "roleArn": ROLE, "definition": "{}", "colour": "red" }), "ValidationException"),
    ];
    for (body, code) in cases {
        assert_eq!(h.refused("CreateStateMachine", body.clone()), code, "{body}");
    }
}

#[test]
fn a_running_execution_keeps_its_definition() {
    let mut h = Harness::new();
    let wait = machine(json!({ "Type": "Wait", "Seconds": 10, "End": true }));
    let arn = h.create("m", &wait);
    let running = h.start(&arn, &json!({}));
    let new = json!({ "stateMachineArn": arn, "definition": pass().to_string() });
    h.call("UpdateStateMachine", new).unwrap();
    let next = h.start(&arn, &json!({}));
    assert_eq!((h.status(&running), h.status(&next)), ("RUNNING".into(), "SUCCEEDED".into()));
    let of_running = h.call("DescribeStateMachineForExecution", json!({ "executionArn": running })).unwrap();
    assert_eq!(of_running["definition"], wait.to_string());
    let now = h.call("DescribeStateMachine", json!({ "stateMachineArn": arn })).unwrap();
    assert_eq!(now["definition"], pass().to_string());
    h.call("DeleteStateMachine", json!({ "stateMachineArn": arn })).unwrap();
    assert_eq!(h.refused("DescribeStateMachine", json!({ "stateMachineArn": arn })), "StateMachineDoesNotExist");
    h.pass(10);
    assert_eq!(h.status(&running), "SUCCEEDED", "it outlives its machine");
    assert_eq!(h.refused("UpdateStateMachine", json!({ "stateMachineArn": arn })), "StateMachineDoesNotExist");
}

#[test]
fn starting_is_idempotent_by_name_while_it_runs() {
    let mut h = Harness::new();
    let arn = h.create("m", &machine(json!({ "Type": "Wait", "Seconds": 10, "End": true })));
    let start = |input: &str| json!({ "stateMachineArn": arn, "name": "n", "input": input });
    let first = h.call("StartExecution", start("{\"a\": 1}")).unwrap();
    assert_eq!(h.call("StartExecution", start("{\"a\":1}")).unwrap(), first);
    assert_eq!(h.refused("StartExecution", start("{}")), "ExecutionAlreadyExists");
    h.pass(10);
    assert_eq!(h.refused("StartExecution", start("{\"a\": 1}")), "ExecutionAlreadyExists");
    let cases = [
        (json!({ "stateMachineArn": "m" }), "InvalidArn"),
        (json!({ "stateMachineArn": format!("{arn}x") }), "StateMachineDoesNotExist"),
        (json!({ "stateMachineArn": arn, "input": "{" }), "InvalidExecutionInput"),
        (json!({ "stateMachineArn": arn, "input": format!("\"{}\"", "a".repeat(262_143)) }), "InvalidExecutionInput"),
        (json!({ "stateMachineArn": arn, "name": "a:b" }), "InvalidName"),
    ];
    for (body, code) in cases {
        assert_eq!(h.refused("StartExecution", body), code);
    }
}

#[test]
fn history_comes_in_pages_both_ways_with_and_without_data() {
    let mut h = Harness::new();
    let execution = h.begin(&pass(), &json!({ "a": 1 }));
    let all = h.history(&execution);
    let ids = |events: &Value| events.as_array().unwrap().iter().map(|e| e["id"].as_u64().unwrap()).collect::<Vec<_>>();
    for (reverse, expected) in [(false, vec![1, 2, 3, 4]), (true, vec![4, 3, 2, 1])] {
        let mut found = Vec::new();
        let mut token = Value::Null;
        loop {
            let body =
                json!({ "executionArn": execution, "maxResults": 3, "reverseOrder": reverse, "nextToken": token });
            let page = h.call("GetExecutionHistory", body).unwrap();
            found.extend(ids(&page["events"]));
            match page.get("nextToken") {
                Some(next) => token = next.clone(),
                None => break,
            }
        }
        assert_eq!(found, expected);
    }
    assert_eq!(all[0]["executionStartedEventDetails"]["input"], "{\"a\":1}");
    let bare = json!({ "executionArn": execution, "includeExecutionData": false });
    let bare = h.call("GetExecutionHistory", bare).unwrap();
    assert_eq!(bare["events"][0]["executionStartedEventDetails"].get("input"), None);
    let wrong = json!({ "executionArn": execution, "nextToken": "x" });
    assert_eq!(h.refused("GetExecutionHistory", wrong), "InvalidToken");
}

#[test]
fn executions_are_listed_newest_first_and_by_status() {
    let mut h = Harness::new();
    let arn = h.create("m", &machine(json!({ "Type": "Wait", "SecondsPath": "$.s", "End": true })));
    for seconds in [0, 5, 0] {
        h.start(&arn, &json!({ "s": seconds }));
        h.pass(1);
    }
    let list = |h: &mut Harness, filter: Value| {
        let body = json!({ "stateMachineArn": arn, "statusFilter": filter });
        let answer = h.call("ListExecutions", body).unwrap();
        answer["executions"].as_array().unwrap().iter().map(|e| text(&e["status"])).collect::<Vec<_>>()
    };
    assert_eq!(list(&mut h, Value::Null), ["SUCCEEDED", "RUNNING", "SUCCEEDED"]);
    assert_eq!(list(&mut h, json!("RUNNING")), ["RUNNING"]);
    let body = json!({ "stateMachineArn": arn, "statusFilter": "ASLEEP" });
    assert_eq!(h.refused("ListExecutions", body), "ValidationException");
    let machines = h.call("ListStateMachines", json!({})).unwrap();
    assert_eq!(machines["stateMachines"][0]["name"], "m");
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let mut h = Harness::new();
    for operation in ["CreateActivity", "StartSyncExecution", "TestState", "TagResource", "UpdateMapRun", "Nonsense"] {
        let error = h.call(operation, json!({})).unwrap_err();
        assert!(error.message.contains(operation), "{error}");
    }
    let nowhere = "arn:aws:states:us-east-1:000000000000:execution:m:n";
    for operation in ["DescribeExecution", "StopExecution", "GetExecutionHistory", "DescribeStateMachineForExecution"] {
        assert_eq!(h.refused(operation, json!({ "executionArn": nowhere })), "ExecutionDoesNotExist", "{operation}");
    }
}

#[test]
fn status_changes_are_events_as_documented() {
    let mut h = Harness::new();
    let execution = h.begin(&machine(json!({ "Type": "Fail", "Error": "E", "Cause": "C" })), &json!({ "a": 1 }));
    let statuses: Vec<String> = h.status_changes.iter().map(|e| text(&e["detail"]["status"])).collect();
    assert_eq!(statuses, ["RUNNING", "FAILED"]);
    assert_eq!(h.ended.as_slice(), std::slice::from_ref(&execution));
    let event = &h.status_changes[1];
    assert_eq!(event["source"], "aws.states");
    assert_eq!(event["detail-type"], "Step Functions Execution Status Change");
    assert_eq!(event["resources"], json!([execution]));
    let detail = &event["detail"];
    assert_eq!((&detail["error"], &detail["cause"], &detail["output"]), (&json!("E"), &json!("C"), &Value::Null));
    assert_eq!(detail["input"], "{\"a\":1}");
    assert_eq!(detail["stopDate"], json!(h.now.timestamp_millis()));
    assert_eq!(h.status_changes[0]["detail"]["stopDate"], Value::Null);
}

#[test]
fn events_on_the_bus_leave_out_what_does_not_fit() {
    // 248 KB of input and output together; the input goes first.
    for (input, output, kept) in
        [(10, 10, (true, true)), (150_000, 150_000, (false, true)), (10, 255_000, (false, false))]
    {
        let state = json!({ "Type": "Pass", "Result": "o".repeat(output), "End": true });
        let mut h = Harness::new();
        h.begin(&machine(state), &json!("i".repeat(input)));
        let detail = &h.status_changes[1]["detail"];
        let held = |name: &str| detail[name].is_string();
        let said = |name: &str| detail[name]["included"] == true;
        assert_eq!((held("input"), held("output")), kept, "{input} {output}");
        assert_eq!((said("inputDetails"), said("outputDetails")), kept, "{input} {output}");
        assert_eq!(h.status_changes[0]["detail"]["outputDetails"], Value::Null);
    }
}

#[test]
fn a_day_of_waits_ends_at_once_and_the_same_way_twice() {
    let definition = json!({ "StartAt": "Count", "States": {
        "Count": { "Type": "Pass", "Parameters": { "n.$": "States.MathAdd($.n, 1)", "id.$": "States.UUID()" }, "Next": "Wait" },
        "Wait": { "Type": "Wait", "Seconds": 3600, "Next": "Enough" },
        "Enough": { "Type": "Choice", "Choices": [{ "Variable": "$.n", "NumericLessThan": 24, "Next": "Count" }], "Default": "Done" },
        "Done": { "Type": "Succeed" },
    } });
    let run = || {
        let mut h = Harness::new();
        let execution = h.begin(&definition, &json!({ "n": 0 }));
        h.pass(24 * 3600);
        assert_eq!(h.output(&execution)["n"], 24);
        h.history(&execution)
    };
    assert_eq!(run(), run());
}

#[test]
fn an_execution_that_never_ends_has_too_many_events() {
    let forever = json!({ "StartAt": "A", "States": {
        "A": { "Type": "Choice", "Choices": [{ "Variable": "$.stop", "IsPresent": true, "Next": "End" }], "Default": "A" },
        "End": { "Type": "Succeed" },
    } });
    let mut h = Harness::new();
    let execution = h.begin(&forever, &json!({}));
    let described = h.describe(&execution);
    assert_eq!(described["status"], "FAILED");
    assert!(text(&described["cause"]).contains("25000"), "{described}");
    let last = json!({ "executionArn": execution, "maxResults": 1, "reverseOrder": true });
    let last = h.call("GetExecutionHistory", last).unwrap();
    assert!(last["events"][0]["id"].as_u64().unwrap() <= 25_000);
}

#[test]
fn what_grows_too_large_fails_the_execution() {
    let double = json!({ "StartAt": "A", "States": {
        "A": { "Type": "Pass", "Parameters": { "a.$": "$", "b.$": "$" }, "Next": "A2" },
        "A2": { "Type": "Pass", "Next": "A3" },
        "A3": { "Type": "Choice", "Choices": [{ "Variable": "$.stop", "IsPresent": true, "Next": "End" }], "Default": "A" },
        "End": { "Type": "Succeed" },
    } });
    let nest = json!({ "StartAt": "A", "States": {
        "A": { "Type": "Pass", "Parameters": { "a.$": "$" }, "Next": "B" },
        "B": { "Type": "Choice", "Choices": [{ "Variable": "$.stop", "IsPresent": true, "Next": "End" }], "Default": "A" },
        "End": { "Type": "Succeed" },
    } });
    for definition in [double, nest] {
        let mut h = Harness::new();
        let execution = h.begin(&definition, &json!({}));
        assert_eq!(h.describe(&execution)["error"], "States.DataLimitExceeded", "{definition}");
    }
}

#[test]
fn a_machine_has_a_time_limit() {
    let mut h = Harness::new();
    let mut definition = machine(json!({ "Type": "Wait", "Seconds": 60, "End": true }));
    definition["TimeoutSeconds"] = json!(5);
    let execution = h.begin(&definition, &json!({}));
    h.pass(5);
    assert_eq!(h.status(&execution), "TIMED_OUT");
    assert_eq!(h.kinds(&execution).last().unwrap(), "ExecutionTimedOut");
    assert_eq!(h.service.next_timer(), None);
}

#[test]
fn variables_reach_inwards_and_not_outwards() {
    let definition = json!({ "QueryLanguage": "JSONata", "StartAt": "Set", "States": {
        "Set": { "Type": "Pass", "Assign": { "base": 10, "list": [1, 2] }, "Next": "Each" },
        "Each": {
            "Type": "Map", "Items": "{% $list %}", "Next": "After",
            "ItemProcessor": { "StartAt": "Add", "States": {
                "Add": { "Type": "Pass", "Assign": { "inner": "{% $base + $states.input %}" }, "Next": "Give" },
                "Give": { "Type": "Pass", "Output": "{% $inner %}", "End": true },
            } },
            "Assign": { "sums": "{% $states.result %}" },
        },
        "After": { "Type": "Pass", "Output": { "sums": "{% $sums %}", "inner": "{% $exists($inner) %}" }, "End": true },
    } });
    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!({}));
    assert_eq!(h.output(&execution), json!({ "sums": [11, 12], "inner": false }));
}

#[test]
fn a_distributed_map_tolerates_what_it_is_told_to() {
    let definition = |count: i64| {
        machine(json!({
            "Type": "Map", "End": true, "ItemsPath": "$.items", "MaxConcurrency": 2, "ToleratedFailureCount": count,
            "ItemProcessor": {
                "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" }, "StartAt": "Even",
                "States": {
                    "Even": { "Type": "Choice", "Choices": [{ "Variable": "$", "NumericLessThan": 3, "Next": "Good" }], "Default": "Bad" },
                    "Good": { "Type": "Succeed" }, "Bad": { "Type": "Fail", "Error": "Odd" },
                },
            },
        }))
    };
    let input = json!({ "items": [1, 2, 3, 4] });
    let mut h = Harness::new();
    let execution = h.begin(&definition(2), &input);
    assert_eq!(h.output(&execution), json!([1, 2]));
    let mut h = Harness::new();
    let execution = h.begin(&definition(1), &input);
    assert_eq!(h.describe(&execution)["error"], "States.ExceedToleratedFailureThreshold");
}

#[test]
fn definitions_are_refused_with_all_their_mistakes() {
    let one = |state: Value| machine(state).to_string();
    let cases = [
        ("{}".to_owned(), vec![("These fields are required: [StartAt, States]", "/")]),
        (one(json!({ "End": true })), vec![("These fields are required: [Type]", "/States/Only")]),
        (
            one(json!({ "Type": "Pass" })),
            vec![("One of the following fields is required: [Next, End]", "/States/Only")],
        ),
        (one(json!({ "Type": "Fail", "End": true })), vec![("Field 'End' is not supported", "/States/Only")]),
        (
            one(json!({ "Type": "Wait", "Seconds": -1, "End": true })),
            vec![("Minimum value is 0", "/States/Only/Seconds")],
        ),
        (
            one(json!({ "Type": "Pass", "Output": 1, "End": true })),
            vec![(
                "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the 'JSONata' QueryLanguage",
                "/States/Only",
            )],
        ),
        (
            one(
                json!({ "Type": "Pass", "Parameters": { "a.$": "b", "c": { "d.$": "States.Nothing()" } }, "End": true }),
            ),
            vec![
                (
                    "The value for the field 'a.$' must be a valid JSONPath or a valid intrinsic function call",
                    "/States/Only/Parameters",
                ),
                (
                    "The value for the field 'd.$' must be a valid JSONPath or a valid intrinsic function call",
                    "/States/Only/Parameters/c",
                ),
            ],
        ),
        (
            json!({ "StartAt": "A", "States": {
                "A": { "Type": "Pass", "Next": "Nowhere" }, "B": { "Type": "Pass", "End": true },
            } })
            .to_string(),
            vec![("Missing 'Next' target: Nowhere", "/States/A/Next")],
        ),
        (
            json!({ "StartAt": "A", "States": {
                "A": { "Type": "Pass", "End": true }, "B": { "Type": "Pass", "End": true },
            } })
            .to_string(),
            vec![("State \"B\" is not reachable.", "/States/B")],
        ),
        (
            one(json!({ "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
                "Retry": [{ "ErrorEquals": ["States.ALL", "A"] }, { "ErrorEquals": [] }] })),
            vec![
                (
                    "States.ALL must appear alone and in the last retrier or catcher",
                    "/States/Only/Retry[0]/ErrorEquals",
                ),
                ("ErrorEquals must not be empty", "/States/Only/Retry[1]/ErrorEquals"),
            ],
        ),
        (
            json!({ "StartAt": "Only", "QueryLanguage": "JSONata", "States": { "Only": {
                "Type": "Pass", "Output": "{% 1 + %}", "End": true,
            } } })
            .to_string(),
            vec![(
                "Value is not a valid JSONata expression: S0207: Unexpected end of expression",
                "/States/Only/Output",
            )],
        ),
    ];
    for (definition, expected) in cases {
        let body = json!({ "definition": definition, "maxResults": 100 });
        let answer = Harness::new().call("ValidateStateMachineDefinition", body).unwrap();
        let found: Vec<(&str, &str)> = answer["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["message"].as_str().unwrap(), one["location"].as_str().unwrap_or("null")))
            .collect();
        assert_eq!(found, expected, "{definition}");
    }
}

#[test]
fn a_wait_for_a_token_without_a_limit_is_a_warning() {
    let state = json!({ "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true });
    let definition = machine(state).to_string();
    let mut h = Harness::new();
    let body = json!({ "definition": definition, "severity": "WARNING" });
    let answer = h.call("ValidateStateMachineDefinition", body).unwrap();
    assert_eq!((&answer["result"], &answer["diagnostics"][0]["code"]), (&json!("OK"), &json!("NO_TIMEOUT")));
}

#[test]
fn a_redrive_goes_on_where_it_ended() {
    let definition = json!({ "StartAt": "First", "States": {
        "First": { "Type": "Pass", "Assign": { "v": 7 }, "Next": "Call" },
        "Call": { "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
            "Parameters": { "v.$": "$v", "redrives.$": "$$.Execution.RedriveCount" } },
    } });
    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!({}));
    let call = h.next_call();
    h.answer(&call, Err(("Broken", "")));
    assert_eq!(h.describe(&execution)["redriveStatus"], "REDRIVABLE");
    let redrive = json!({ "executionArn": execution, "clientToken": "once" });
    h.pass(60);
    let first = h.call("RedriveExecution", redrive.clone()).unwrap();
    h.pass(60);
    assert_eq!(h.call("RedriveExecution", redrive).unwrap(), first, "the same request again");
    let call = h.next_call();
    assert!(h.calls.is_empty());
    assert_eq!(call.request, json!({ "v": 7, "redrives": 1 }));
    h.answer(&call, Ok(json!("done")));
    let described = h.describe(&execution);
    assert_eq!((&described["status"], &described["redriveCount"]), (&json!("SUCCEEDED"), &json!(1)));
    let kinds = h.kinds(&execution);
    assert_eq!(kinds.iter().filter(|kind| *kind == "PassStateEntered").count(), 1, "what succeeded is not run again");
    assert!(kinds.contains(&"ExecutionRedriven".to_owned()));
    assert_eq!(h.refused("RedriveExecution", json!({ "executionArn": execution })), "ExecutionNotRedrivable");
    let late = h.start("arn:aws:states:us-east-1:000000000000:stateMachine:machine", &json!({}));
    let call = h.next_call();
    h.answer(&call, Err(("Broken", "")));
    h.pass(15 * 24 * 3600);
    assert_eq!(h.refused("RedriveExecution", json!({ "executionArn": late })), "ExecutionNotRedrivable");
}

#[test]
fn a_result_writer_puts_the_children_s_records_into_files() {
    let definition = |config: Value| {
        machine(json!({
            "Type": "Map", "End": true, "ItemsPath": "$.items", "ToleratedFailureCount": 1,
            "ItemProcessor": {
                "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" }, "StartAt": "Small",
                "States": {
                    "Small": { "Type": "Choice", "Default": "Bad",
                        "Choices": [{ "Variable": "$[0]", "NumericLessThan": 3, "Next": "Good" }] },
                    "Good": { "Type": "Succeed" }, "Bad": { "Type": "Fail", "Error": "TooLarge" },
                },
            },
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject", "WriterConfig": config,
                "Parameters": { "Bucket.$": "$.bucket", "Prefix": "out" },
            },
        }))
    };
    let cases = [
        (json!({}), "[{"),
        (json!({ "Transformation": "COMPACT" }), "[[1],[2]]"),
        (json!({ "Transformation": "FLATTEN", "OutputType": "JSONL" }), "1\n2\n"),
    ];
    for (config, expected) in cases {
        let mut h = Harness::new();
        let execution = h.begin(&definition(config.clone()), &json!({ "items": [[1], [2], [3]], "bucket": "b" }));
        let mut files = std::collections::BTreeMap::new();
        for _ in 0..3 {
            let call = h.next_call();
            assert_eq!((call.resource.service.as_str(), call.resource.action.as_str()), ("s3", "putObject"));
            assert_eq!(call.request["Bucket"], "b");
            let key = text(&call.request["Key"]);
            files.insert(key.rsplit('/').next().unwrap().to_owned(), text(&call.request["Body"]));
            h.answer(&call, Ok(json!({ "ETag": "e" })));
        }
        assert!(files["SUCCEEDED_0.json"].starts_with(expected), "{config}: {files:?}");
        let failed: Value = serde_json::from_str(files["FAILED_0.json"].lines().next().unwrap()).unwrap();
        let failed = failed.as_array().map_or(&failed, |records| &records[0]);
        assert_eq!((&failed["Error"], &failed["Input"]), (&json!("TooLarge"), &json!("[3]")));
        let manifest: Value = serde_json::from_str(&files["manifest.json"]).unwrap();
        let output = h.output(&execution);
        assert_eq!(manifest["MapRunArn"], output["MapRunArn"]);
        assert!(text(&output["ResultWriterDetails"]["Key"]).ends_with("/manifest.json"));
        assert!(text(&manifest["ResultFiles"]["SUCCEEDED"][0]["Key"]).starts_with("out/"));
    }
    let mut h = Harness::new();
    let execution = h.begin(&definition(json!({})), &json!({ "items": [], "bucket": "b" }));
    let call = h.next_call();
    h.answer(&call, Err(("S3.NoSuchBucketException", "no bucket")));
    assert_eq!(h.describe(&execution)["error"], "States.ResultWriterFailed");
}
