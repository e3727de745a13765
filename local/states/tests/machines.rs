//! The project's own state machines: accepted, and run as their templates fill them in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, missing_docs)]

mod harness;

use std::path::PathBuf;

use harness::{Harness, text};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../statemachines")
}

/// The definition with its `${…}` filled in by something of the right shape.
fn filled(path: &std::path::Path) -> String {
    let mut definition = std::fs::read_to_string(path).unwrap();
    while let Some(start) = definition.find("${") {
        let end = start + definition[start..].find('}').expect("a substitution ends");
        let name = definition[start + 2..end].to_owned();
        let value = if name == "Partition" {
            "aws".to_owned()
        } else if name.contains("Function") {
            format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
        } else if name == "TopicArn" {
            "arn:aws:sns:us-east-1:000000000000:topic".to_owned()
        } else {
            format!("arn:aws:states:us-east-1:000000000000:stateMachine:{name}")
        };
        definition.replace_range(start..=end, &value);
    }
    definition
}

#[test]
fn every_machine_is_accepted_without_a_finding() {
    let mut checked = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".asl.json") {
            // Filled in and as it is written.
            for text in [filled(&path), std::fs::read_to_string(&path).unwrap()] {
                let found: Vec<String> = states::check::file(&text).iter().map(ToString::to_string).collect();
                assert!(found.is_empty(), "{}: {found:#?}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 0, "there are machines in {}", folder().display());
}

#[test]
fn the_statement_machine_hands_its_request_to_the_tasker_and_takes_the_answer() {
    let definition: Value = serde_json::from_str(&filled(&folder().join("statement.asl.json"))).unwrap();
    let mut h = Harness::new();
    let input = json!({ "sqlStatement": "select :n", "parameters": { "n": "1" }, "timeLimitSeconds": 60 });
    let execution = h.begin(&definition, &input);
    let call = h.next_call();
    let payload = &call.request["Payload"];
    assert_eq!(payload["sqlStatement"], "select :n");
    assert_eq!(payload["executionArn"], execution.as_str());
    assert_eq!(payload.get("timeLimitSeconds"), None, "the limit is the state's: {payload}");
    let token = text(&payload["taskToken"]);
    h.answer(&call, Ok(json!({ "StatusCode": 200 })));
    let answer = json!({ "taskToken": token, "output": "{\"state\":\"FINISHED\",\"rows\":[[1]]}" });
    h.call("SendTaskSuccess", answer).unwrap();
    assert_eq!(h.status(&execution), "SUCCEEDED", "{}", h.describe(&execution));

    // Time runs out: the token is dead, the statement is cancelled, the execution says why it failed.
    h.create(
        "StatementTimeoutArn",
        &serde_json::from_str(&filled(&folder().join("statement-timeout.asl.json"))).unwrap(),
    );
    let execution = h.start("arn:aws:states:us-east-1:000000000000:stateMachine:machine", &input);
    let call = h.next_call();
    h.answer(&call, Ok(json!({ "StatusCode": 200 })));
    h.pass(60);
    let dead = json!({ "taskToken": call.request["Payload"]["taskToken"], "output": "1" });
    assert_eq!(h.refused("SendTaskSuccess", dead), "TaskTimedOut");
    let cancel = h.next_call();
    assert_eq!(cancel.request["Payload"]["action"], "cancelStatement");
    h.answer(&cancel, Ok(json!({ "Payload": { "statementId": "s-1" } })));
    let look = h.next_call();
    assert_eq!(look.request["Payload"]["action"], "describeStatement");
    h.answer(&look, Ok(json!({ "Payload": { "Status": "ABORTED" } })));
    let described = h.describe(&execution);
    assert_eq!((&described["status"], &described["error"]), (&json!("FAILED"), &json!("Redshift.Timeout")));
    let cause: Value = serde_json::from_str(described["cause"].as_str().unwrap()).unwrap();
    assert_eq!((&cause["class"], &cause["statementId"]), (&json!("Timeout"), &json!("s-1")));
}
