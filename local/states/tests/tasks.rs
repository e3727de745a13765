//! Tasks: tokens, timeouts, heartbeats, retries, catchers, nested executions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, missing_docs)]

mod harness;

use harness::{Harness, machine, text};
use serde_json::{Value, json};

fn waiting(extra: Value) -> Value {
    let mut state = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": { "FunctionName": "f", "Payload": { "token.$": "$$.Task.Token" } }, "End": true,
    });
    state.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    machine(state)
}

fn token(call: &harness::Call) -> String {
    text(&call.request["Payload"]["token"])
}

#[test]
fn a_token_brings_the_result_once() {
    let mut h = Harness::new();
    let execution = h.begin(&waiting(json!({})), &json!({}));
    let call = h.next_call();
    let token = token(&call);
    h.answer(&call, Ok(json!({ "StatusCode": 200 })));
    assert_eq!(h.status(&execution), "RUNNING");
    let success = json!({ "taskToken": token, "output": "{\"rows\": 3}" });
    h.call("SendTaskSuccess", success.clone()).unwrap();
    assert_eq!(h.output(&execution), json!({ "rows": 3 }));
    let expected = ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"];
    assert_eq!(h.kinds(&execution)[2..6], expected);
    // Dead, foreign, and no token at all.
    assert_eq!(h.refused("SendTaskSuccess", success), "TaskTimedOut");
    assert_eq!(h.refused("SendTaskHeartbeat", json!({ "taskToken": token })), "TaskTimedOut");
    let mut other = Harness::new();
    other.begin(&machine(json!({ "Type": "Pass", "End": true })), &json!({}));
    assert_eq!(other.refused("SendTaskFailure", json!({ "taskToken": token })), "TaskDoesNotExist");
    for malformed in ["", "token", "QVFERQ=="] {
        assert_eq!(h.refused("SendTaskFailure", json!({ "taskToken": malformed })), "InvalidToken", "{malformed}");
    }
}

#[test]
fn a_result_may_come_before_the_call_has_returned() {
    let mut h = Harness::new();
    let execution = h.begin(&waiting(json!({})), &json!({}));
    let call = h.next_call();
    h.call("SendTaskSuccess", json!({ "taskToken": token(&call), "output": "1" })).unwrap();
    assert_eq!(h.output(&execution), json!(1));
    let events = h.kinds(&execution);
    h.answer(&call, Err(("Late", "too late")));
    assert_eq!(h.kinds(&execution), events, "what comes late changes nothing");
}

#[test]
fn output_must_be_json_and_within_the_limit() {
    let mut h = Harness::new();
    h.begin(&waiting(json!({})), &json!({}));
    let token = token(&h.next_call());
    let send = |output: &str| json!({ "taskToken": token, "output": output });
    assert_eq!(h.refused("SendTaskSuccess", send("{")), "InvalidOutput");
    let long = format!("\"{}\"", "a".repeat(262_143));
    assert_eq!(h.refused("SendTaskSuccess", send(&long)), "ValidationException");
    assert_eq!(h.refused("SendTaskSuccess", json!({ "output": "1" })), "ValidationException");
    h.call("SendTaskSuccess", send("[]")).unwrap();
}

#[test]
fn every_attempt_has_a_token_of_its_own() {
    let mut h = Harness::new();
    let retry = json!({ "Retry": [{ "ErrorEquals": ["Busy"], "IntervalSeconds": 5, "MaxAttempts": 1 }] });
    let execution = h.begin(&waiting(retry), &json!({}));
    let first = h.next_call();
    let first_token = token(&first);
    h.answer(&first, Ok(json!({})));
    let failure = json!({ "taskToken": first_token, "error": "Busy", "cause": "later" });
    h.call("SendTaskFailure", failure.clone()).unwrap();
    assert_eq!(h.refused("SendTaskFailure", failure), "TaskTimedOut");
    h.pass(4);
    assert!(h.calls.is_empty(), "the pause is not over");
    h.pass(1);
    let second = h.next_call();
    assert_ne!(token(&second), first_token);
    h.answer(&second, Ok(json!({})));
    assert_eq!(
        h.refused("SendTaskSuccess", json!({ "taskToken": first_token, "output": "1" })),
        "TaskTimedOut",
        "the first attempt's token does not answer the second"
    );
    h.call("SendTaskFailure", json!({ "taskToken": token(&second), "error": "Busy" })).unwrap();
    assert_eq!(h.describe(&execution)["error"], "Busy");
    assert_eq!(h.status(&execution), "FAILED");
}

/// The state that users of SfnRedshiftTasker have, as it stands in their machines but for the function's name.
#[test]
fn a_state_written_for_the_older_tasker_runs_unchanged() {
    let definition = json!({
        "StartAt": "Run", "States": {
            "Run": {
                "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "HeartbeatSeconds": 60,
                "Parameters": { "FunctionName": "tasker", "Payload": { "Input": {
                    "taskToken.$": "$$.Task.Token", "executionArn.$": "$$.Execution.Id", "sqlStatement.$": "$.sql",
                } } },
                "Catch": [{ "ErrorEquals": ["FAILED"], "ResultPath": "$.failure", "Next": "Failed" }],
                "ResultPath": "$.result", "Next": "Done",
            },
            "Failed": { "Type": "Pass", "End": true }, "Done": { "Type": "Succeed" },
        },
    });
    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!({ "sql": "select 1" }));
    let call = h.next_call();
    let input = &call.request["Payload"]["Input"];
    assert_eq!(input["executionArn"], execution.as_str());
    assert_eq!(input["sqlStatement"], "select 1");
    let token = text(&input["taskToken"]);
    h.answer(&call, Ok(json!({})));
    h.pass(30);
    h.call("SendTaskFailure", json!({ "taskToken": token, "error": "FAILED", "cause": "no table" })).unwrap();
    let expected = json!({ "sql": "select 1", "failure": { "Error": "FAILED", "Cause": "no table" } });
    assert_eq!(h.output(&execution), expected);
}

#[test]
fn a_missed_heartbeat_and_a_timeout_end_the_task() {
    let cases = [
        // Heartbeats count from the end of the call, timeouts from its start.
        (json!({ "HeartbeatSeconds": 10 }), 100, 9, false),
        (json!({ "HeartbeatSeconds": 10 }), 100, 10, true),
        (json!({ "TimeoutSeconds": 10 }), 4, 5, false),
        (json!({ "TimeoutSeconds": 10 }), 4, 6, true),
        (json!({ "TimeoutSecondsPath": "$.limit" }), 4, 6, true),
    ];
    for (extra, call_takes, then, over) in cases {
        let mut h = Harness::new();
        let execution = h.begin(&waiting(extra.clone()), &json!({ "limit": 10 }));
        let call = h.next_call();
        h.pass(call_takes);
        h.answer(&call, Ok(json!({})));
        h.pass(then);
        assert_eq!(h.status(&execution) == "FAILED", over, "{extra}");
        if over {
            assert_eq!(h.describe(&execution)["error"], "States.Timeout", "{extra}");
            let dead = json!({ "taskToken": token(&call), "output": "1" });
            assert_eq!(h.refused("SendTaskSuccess", dead), "TaskTimedOut", "{extra}");
        }
    }
}

#[test]
fn heartbeats_keep_a_task_alive() {
    let mut h = Harness::new();
    let execution = h.begin(&waiting(json!({ "HeartbeatSeconds": 10 })), &json!({}));
    let call = h.next_call();
    h.answer(&call, Ok(json!({})));
    for _ in 0..10 {
        h.pass(9);
        h.call("SendTaskHeartbeat", json!({ "taskToken": token(&call) })).unwrap();
    }
    assert_eq!(h.status(&execution), "RUNNING");
    h.pass(10);
    assert_eq!(h.status(&execution), "FAILED");
}

#[test]
fn errors_match_by_name() {
    let cases = [
        ("Boom", "States.ALL", true),
        ("Boom", "States.TaskFailed", true),
        ("Boom", "Boom", true),
        ("Boom", "Bang", false),
        ("States.Timeout", "States.TaskFailed", false),
        ("States.Timeout", "States.Timeout", true),
        ("Lambda.Unknown", "States.TaskFailed", true),
    ];
    for (error, name, caught) in cases {
        let definition = json!({ "StartAt": "Run", "States": {
            "Run": {
                "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
                "Catch": [{ "ErrorEquals": [name], "Next": "Caught" }],
            },
            "Caught": { "Type": "Succeed" },
        } });
        let mut h = Harness::new();
        let execution = h.begin(&definition, &json!({}));
        let call = h.next_call();
        h.answer(&call, Err((error, "why")));
        assert_eq!(h.status(&execution) == "SUCCEEDED", caught, "{error} by {name}");
        if caught && error != "States.Timeout" {
            assert_eq!(h.output(&execution), json!({ "Error": error, "Cause": "why" }));
        }
    }
}

#[test]
fn a_missed_heartbeat_is_caught_under_both_names() {
    for name in ["States.HeartbeatTimeout", "States.Timeout"] {
        let definition = json!({ "StartAt": "Run", "States": {
            "Run": {
                "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": true,
                "HeartbeatSeconds": 5, "Catch": [{ "ErrorEquals": [name], "Next": "Caught" }],
            },
            "Caught": { "Type": "Succeed" },
        } });
        let mut h = Harness::new();
        let execution = h.begin(&definition, &json!({}));
        let call = h.next_call();
        h.answer(&call, Ok(json!({})));
        h.pass(5);
        assert_eq!(h.status(&execution), "SUCCEEDED", "{name}");
    }
}

#[test]
fn pauses_grow_and_are_capped() {
    let cases = [
        (json!({ "IntervalSeconds": 1, "BackoffRate": 2.0, "MaxAttempts": 4 }), vec![1, 2, 4, 8]),
        (json!({ "IntervalSeconds": 3, "BackoffRate": 1.0, "MaxAttempts": 3 }), vec![3, 3, 3]),
        (
            json!({ "IntervalSeconds": 2, "BackoffRate": 3.0, "MaxAttempts": 4, "MaxDelaySeconds": 10 }),
            vec![2, 6, 10, 10],
        ),
        (json!({}), vec![1, 2, 4]),
        (json!({ "MaxAttempts": 0 }), vec![]),
    ];
    for (retrier, pauses) in cases {
        let mut retrier = retrier;
        retrier["ErrorEquals"] = json!(["States.ALL"]);
        let state = json!({
            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true, "Retry": [retrier],
        });
        let mut h = Harness::new();
        let execution = h.begin(&machine(state), &json!({}));
        for pause in &pauses {
            let call = h.next_call();
            h.answer(&call, Err(("Busy", "")));
            let due = h.service.next_timer().expect("a retry waits");
            assert_eq!((due - h.now).num_seconds(), *pause, "{retrier}");
            h.pass(*pause);
        }
        let call = h.next_call();
        h.answer(&call, Err(("Busy", "")));
        assert_eq!(h.status(&execution), "FAILED", "{retrier}");
    }
}

#[test]
fn full_jitter_stays_within_the_pause() {
    let retrier = json!({ "ErrorEquals": ["States.ALL"], "IntervalSeconds": 100, "JitterStrategy": "FULL", "MaxAttempts": 20,
        "BackoffRate": 1.0 });
    let state =
        json!({ "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true, "Retry": [retrier] });
    let mut h = Harness::new();
    h.begin(&machine(state), &json!({}));
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let call = h.next_call();
        h.answer(&call, Err(("Busy", "")));
        let pause = (h.service.next_timer().unwrap() - h.now).num_milliseconds();
        assert!((0..=100_000).contains(&pause), "{pause}");
        pauses.push(pause);
        h.pass(100);
    }
    pauses.dedup();
    assert!(pauses.len() > 15, "pauses are drawn: {pauses:?}");
}

fn parent(resource: &str, extra: Value) -> Value {
    let mut state = json!({
        "Type": "Task", "Resource": resource, "End": true,
        "Parameters": { "StateMachineArn.$": "$.child", "Input": { "n": 1 } },
    });
    state.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    machine(state)
}

const SYNC: &str = "arn:aws:states:::states:startExecution.sync";

#[test]
fn a_nested_execution_gives_its_description() {
    let cases = [
        (SYNC.to_owned(), json!("{\"n\":1}")),
        (format!("{SYNC}:2"), json!({ "n": 1 })),
        ("arn:aws:states:::states:startExecution".to_owned(), Value::Null),
    ];
    for (resource, shown) in cases {
        let mut h = Harness::new();
        let child = h.create("child", &machine(json!({ "Type": "Pass", "End": true })));
        let execution = h.begin(&parent(&resource, json!({})), &json!({ "child": child }));
        let output = h.output(&execution);
        assert!(text(&output["ExecutionArn"]).contains(":execution:child:"), "{resource}");
        assert_eq!(output["Output"], shown, "{resource}");
    }
}

#[test]
fn a_nested_failure_is_a_task_failure_with_the_description_as_cause() {
    let mut h = Harness::new();
    let child = h.create("child", &machine(json!({ "Type": "Fail", "Error": "Bad", "Cause": "luck" })));
    let execution = h.begin(&parent(SYNC, json!({})), &json!({ "child": child }));
    let described = h.describe(&execution);
    assert_eq!(described["error"], "States.TaskFailed");
    let cause: Value = serde_json::from_str(described["cause"].as_str().unwrap()).unwrap();
    assert_eq!((&cause["Status"], &cause["Error"]), (&json!("FAILED"), &json!("Bad")));
}

#[test]
fn stop_and_timeout_reach_nested_executions() {
    for (extra, stop) in [(json!({}), true), (json!({ "TimeoutSeconds": 5 }), false)] {
        let mut h = Harness::new();
        let child = h.create("child", &machine(json!({ "Type": "Wait", "Seconds": 1000, "End": true })));
        let execution = h.begin(&parent(SYNC, extra), &json!({ "child": child }));
        let running = h.call("ListExecutions", json!({ "stateMachineArn": child })).unwrap();
        let nested = text(&running["executions"][0]["executionArn"]);
        assert_eq!(h.status(&nested), "RUNNING");
        if stop {
            h.call("StopExecution", json!({ "executionArn": execution, "error": "E", "cause": "C" })).unwrap();
            assert_eq!(h.describe(&execution)["cause"], "C");
        } else {
            h.pass(5);
        }
        assert_eq!(h.status(&execution), if stop { "ABORTED" } else { "FAILED" });
        assert_eq!(h.status(&nested), "ABORTED");
        assert_eq!(h.service.next_timer(), None, "nothing is left waiting");
    }
}

#[test]
fn machines_that_start_each_other_do_not_keep_a_turn_from_ending() {
    let mut h = Harness::new();
    let arn = "arn:aws:states:us-east-1:000000000000:stateMachine:machine";
    let state = json!({
        "Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "End": true,
        "Parameters": { "StateMachineArn": arn },
    });
    let machine_arn = h.create("machine", &machine(state));
    assert_eq!(machine_arn, arn);
    let execution = h.start(arn, &json!({}));
    assert_eq!(h.status(&execution), "SUCCEEDED");
    assert!(h.service.next_timer().is_some(), "the next one waits for its turn");
}

#[test]
fn a_task_can_answer_another_through_the_sdk_integration() {
    let mut h = Harness::new();
    let waits = h.begin(&waiting(json!({})), &json!({}));
    let call = h.next_call();
    let answers = h.create(
        "answers",
        &machine(json!({
            "Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:sendTaskSuccess", "End": true,
            "Parameters": { "TaskToken.$": "$.token", "Output": "{\"a\":1}" },
        })),
    );
    let input = json!({ "token": token(&call) });
    let first = h.start(&answers, &input);
    assert_eq!(h.status(&first), "SUCCEEDED");
    assert_eq!(h.output(&waits), json!({ "a": 1 }));
    let second = h.start(&answers, &input);
    assert_eq!(h.describe(&second)["error"], "Sfn.TaskTimedOutException");
}

#[test]
fn a_failing_branch_stops_its_siblings() {
    let task = |name: &str| {
        json!({ "StartAt": name, "States": { name: {
            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true,
            "Parameters": { "Payload": { "token.$": "$$.Task.Token" } },
        } } })
    };
    let definition = machine(json!({ "Type": "Parallel", "Branches": [task("A"), task("B")], "End": true }));
    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!({}));
    let (a, b) = (h.next_call(), h.next_call());
    h.answer(&a, Ok(json!({})));
    h.answer(&b, Err(("Broken", "b")));
    assert_eq!(h.describe(&execution)["error"], "Broken");
    let late = json!({ "taskToken": token(&a), "output": "1" });
    assert_eq!(h.refused("SendTaskSuccess", late), "TaskTimedOut");
    assert!(h.kinds(&execution).contains(&"TaskStateAborted".to_owned()));
}

#[test]
fn events_name_their_sender_and_history_does_not() {
    let entry = json!({ "Source": "s", "DetailType": "d", "Detail": {}, "Resources": ["mine"] });
    let definition = harness::machine(json!({
        "Type": "Task", "Resource": "arn:aws:states:::events:putEvents", "Parameters": { "Entries": [entry] }, "End": true,
    }));
    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!({}));
    let call = h.next_call();
    let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:machine";
    assert_eq!(call.request["Entries"][0]["Resources"], json!(["mine", execution, machine]));
    let scheduled = text(&h.history(&execution)[2]["taskScheduledEventDetails"]["parameters"]);
    assert_eq!(serde_json::from_str::<Value>(&scheduled).unwrap(), json!({ "Entries": [entry] }));
}

#[test]
fn a_call_that_does_not_exist_here_is_neither_retried_nor_caught() {
    let definition = json!({ "StartAt": "Task", "States": {
        "Task": { "Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ec2:runInstances", "End": true,
            "Retry": [{ "ErrorEquals": ["States.ALL"] }], "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "Caught" }] },
        "Caught": { "Type": "Succeed" },
    } });
    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!({}));
    let call = h.next_call();
    h.answer(&call, Err(("States.Runtime", "ec2 is not here")));
    let described = h.describe(&execution);
    assert_eq!((&described["error"], &described["cause"]), (&json!("States.Runtime"), &json!("ec2 is not here")));
    let nested = harness::machine(json!({
        "Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "End": true,
        "Parameters": { "StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:machine", "Colour": "red" },
    }));
    let mut h = Harness::new();
    let execution = h.begin(&nested, &json!({}));
    assert!(text(&h.describe(&execution)["cause"]).contains("'Colour'"));
}

#[test]
fn the_sdk_s_answers_have_upper_camel_case_and_dates_as_texts() {
    let call = |action: &str, parameters: Value| json!({ "Type": "Task", "Resource": format!("arn:aws:states:::aws-sdk:sfn:{action}"), "Parameters": parameters, "End": true });
    let mut h = Harness::new();
    let assigns = harness::machine(json!({ "Type": "Pass", "Assign": { "myVar": { "aB": 1 } }, "End": true }));
    let machine = h.create("assigns", &assigns);
    let execution = h.start(&machine, &json!({}));
    let of = json!({ "ExecutionArn": execution });
    let definition = harness::machine(call("getExecutionHistory", of));
    let reader = h.begin(&definition, &json!({}));
    let output = h.output(&reader);
    let exited = &output["Events"][2];
    assert_eq!(exited["Type"], "PassStateExited");
    assert_eq!(exited["StateExitedEventDetails"]["AssignedVariables"], json!({ "myVar": "{\"aB\":1}" }));
    assert_eq!(exited["Timestamp"], "2027-01-15T08:00:00.000Z");
}
