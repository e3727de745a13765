//! Timeouts, windows and retries, as Lambda's and SQS's guides demand them.

use serde_json::Value;

use crate::templates::models;
use crate::{all, machines};

/// What Lambda may raise without the function being at fault, from the Step Functions guide's list for Lambda tasks; a
/// throttle is none of its list and as transient.
const LAMBDA: [&str; 5] = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Every state, at any depth, with its name.
fn states(value: &Value) -> Vec<(&String, &Value)> {
    let mut found = Vec::new();
    all(value, "States", &mut found);
    found.into_iter().filter_map(Value::as_object).flatten().collect()
}

#[test]
fn every_state_that_calls_a_function_is_retried_when_lambda_fails() {
    let mut checked = 0;
    for (file, machine) in machines() {
        for (name, state) in states(&machine) {
            if !state["Resource"].as_str().is_some_and(|resource| resource.contains(":lambda:invoke")) {
                continue;
            }
            let mut lists = Vec::new();
            all(&state["Retry"], "ErrorEquals", &mut lists);
            let retried: Vec<&str> =
                lists.into_iter().flat_map(|list| list.as_array().unwrap()).filter_map(Value::as_str).collect();
            for error in LAMBDA {
                assert!(retried.contains(&error), "{file}: {name} does not retry {error}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked}");
}

#[test]
fn a_state_gives_a_function_the_time_that_it_may_take() {
    for model in models() {
        let mut checked = 0;
        for machine in model.of_kind("AWS::StepFunctions::StateMachine") {
            let definition: Value =
                serde_json::from_str(machine.properties["DefinitionString"].as_str().unwrap()).unwrap();
            for (name, state) in states(&definition) {
                let resource = state["Resource"].as_str().unwrap_or_default();
                // An error is one small object; the function's own time is for results of any size.
                if !resource.ends_with(":lambda:invoke") || name == "KeepFailure" {
                    continue;
                }
                let arn = state["Arguments"]["FunctionName"].as_str().unwrap();
                let function = model.of_kind("AWS::Lambda::Function").find(|function| function.arn() == arn).unwrap();
                let (state, function) = (number(&state["TimeoutSeconds"]), number(&function.properties["Timeout"]));
                assert!(state >= function, "{}: {name} waits {state} s for {function} s", machine.path);
                checked += 1;
            }
        }
        assert!(checked >= 6, "{checked}");
    }
}

#[test]
fn queues_and_their_mappings_keep_the_rules_of_lambda_and_sqs() {
    for model in models() {
        let queue = |arn: &Value| model.of_kind("AWS::SQS::Queue").find(|queue| *arn == queue.arn()).unwrap();
        let mut checked = 0;
        for mapping in model.of_kind("AWS::Lambda::EventSourceMapping") {
            let (properties, source) = (&mapping.properties, queue(&mapping.properties["EventSourceArn"]));
            let function = properties["FunctionName"].as_str().unwrap();
            let function = model.of_kind("AWS::Lambda::Function").find(|known| known.name() == function).unwrap();
            let window = properties["MaximumBatchingWindowInSeconds"].as_u64().unwrap_or(0);
            let visible = number(&source.properties["VisibilityTimeout"]);
            let timeout = number(&function.properties["Timeout"]);
            assert!(visible >= 6 * timeout + window, "{visible} s for {timeout} s and a window of {window} s");
            assert!(window <= 300 && (number(&properties["BatchSize"]) <= 10 || window >= 1));
            assert!((2..=1000).contains(&number(&properties["ScalingConfig"]["MaximumConcurrency"])));
            assert!(
                properties["FunctionResponseTypes"].as_array().unwrap().contains(&"ReportBatchItemFailures".into())
            );
            let redrive = &source.properties["RedrivePolicy"];
            assert!(number(&redrive["maxReceiveCount"]) >= 5);
            // A message keeps the age that it had in the first queue.
            let dead = queue(&redrive["deadLetterTargetArn"]);
            let kept = |queue: &cloud::template::Resource| number(&queue.properties["MessageRetentionPeriod"]);
            assert!(kept(dead) > kept(source) && kept(dead) <= 14 * 86_400);
            checked += 1;
        }
        assert_eq!(checked, 1);
        for function in model.of_kind("AWS::Lambda::Function") {
            assert!(number(&function.properties["Timeout"]) <= 900, "{}", function.path);
            assert!((128..=10_240).contains(&number(&function.properties["MemorySize"])), "{}", function.path);
        }
    }
}

#[test]
fn cloudformation_waits_longer_than_the_function_may_take() {
    let mut checked = 0;
    for model in models() {
        for resource in model.resources.iter().filter(|resource| resource.kind.starts_with("Custom::")) {
            let token = resource.properties["ServiceToken"].as_str().unwrap();
            let function = model.of_kind("AWS::Lambda::Function").find(|function| function.arn() == token).unwrap();
            let waits: u64 = resource.properties["ServiceTimeout"].as_str().unwrap().parse().unwrap();
            // One invocation, and Lambda's second try a minute later, if the function was ended on the way.
            assert!(waits > number(&function.properties["Timeout"]) && waits <= 3_600, "{}", resource.path);
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked}");
}

#[test]
fn the_tasker_gives_up_before_its_rows_are_given_up() {
    for model in models() {
        // The reconciler declares an unsent row dead after 45 s at the earliest.
        assert!(number(&model.find("Tasker/TaskerFunction").unwrap().properties["Timeout"]) <= 30);
    }
}
