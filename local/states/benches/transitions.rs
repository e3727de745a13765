//! How many transitions a second, whether a transition's cost grows with the history, and what waiting executions take.
//!
//! `cargo bench -p states` measures. Run by the tests it is a small dry run: they hold no time against it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Instant;

use chrono::DateTime;
use serde_json::{Value, json};
use states::service::StepFunctions;
use states::{Config, SeededIds};

fn call(service: &mut StepFunctions, operation: &str, body: &Value) -> Value {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    service.call(operation, body, now, &mut SeededIds::new(u64::from(std::process::id()))).0.unwrap()
}

fn create(service: &mut StepFunctions, name: &str, definition: &Value) -> Value {
    let role = "arn:aws:iam::000000000000:role/r";
    let body = json!({ "name": name, "roleArn": role, "definition": definition.to_string() });
    call(service, "CreateStateMachine", &body)["stateMachineArn"].clone()
}

/// A chain of this many Pass and Choice states.
fn chain(length: usize) -> Value {
    let mut states = serde_json::Map::new();
    for index in 0..length {
        let next = if index + 1 == length { "End".to_owned() } else { format!("S{}", index + 1) };
        let state = if index % 2 == 0 {
            json!({ "Type": "Pass", "Result": index, "ResultPath": "$.n", "Next": next })
        } else {
            json!({ "Type": "Choice", "Choices": [{ "Variable": "$.n", "NumericGreaterThanEquals": 0, "Next": next }] })
        };
        states.insert(format!("S{index}"), state);
    }
    states.insert("End".into(), json!({ "Type": "Succeed" }));
    json!({ "StartAt": "S0", "States": states })
}

/// Transitions a second over executions of this many states.
fn rate(length: usize, total: usize) -> f64 {
    let mut service = StepFunctions::new(Config::default());
    let machine = create(&mut service, "m", &chain(length));
    let runs = total / length;
    let began = Instant::now();
    for run in 0..runs {
        let body = json!({ "stateMachineArn": machine, "name": format!("e{run}"), "input": "{\"order\": \"a-17\", \"n\": 0}" });
        call(&mut service, "StartExecution", &body);
    }
    let took = began.elapsed().as_secs_f64();
    let listed =
        call(&mut service, "ListExecutions", &json!({ "stateMachineArn": machine, "statusFilter": "SUCCEEDED" }));
    assert_eq!(listed["executions"].as_array().unwrap().len(), runs.min(100), "all of them ran to their end");
    (runs * length) as f64 / took
}

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn main() {
    let before = resident_kib();
    let mut service = StepFunctions::new(Config::default());
    let state = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true,
        "Parameters": { "FunctionName": "tasker", "Payload": { "token.$": "$$.Task.Token", "sql.$": "$.sql" } },
    });
    let machine = create(&mut service, "m", &json!({ "StartAt": "Run", "States": { "Run": state } }));
    for run in 0..1_000 {
        let body = json!({ "stateMachineArn": machine, "name": format!("e{run}"), "input": "{\"sql\": \"select 1\"}" });
        call(&mut service, "StartExecution", &body);
    }
    if let (Some(before), Some(after)) = (before, resident_kib()) {
        let taken = after.saturating_sub(before);
        println!("1,000 executions waiting for a token: {taken} KiB");
        assert!(taken < 50 * 1024, "1,000 waiting executions take {taken} KiB");
    }
    // cargo says which of the two it is.
    let total = if std::env::args().any(|argument| argument == "--bench") { 200_000 } else { 20_000 };
    let short = rate(100, total);
    let long = rate(10_000, total);
    println!("transitions a second: {short:.0} in executions of 100 states, {long:.0} in executions of 10,000");
    println!("against the aim of 100,000: {:.1} times", short / 100_000.0);
    println!("a transition in the long history against one in the short: {:.2} times the speed", long / short);
}
