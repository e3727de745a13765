//! Alarms and dashboard name only metrics that somebody emits, of things that exist.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::templates::models;

/// What AWS emits, from the services' pages "CloudWatch metrics": namespace, dimension, metrics.
const AWS: [(&str, &str, &[&str]); 3] = [
    (
        "AWS/SQS",
        "QueueName",
        &["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"],
    ),
    ("AWS/Lambda", "FunctionName", &["Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"]),
    (
        "AWS/States",
        "StateMachineArn",
        &["ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"],
    ),
];

/// A metric as a template names it.
type Named = (String, String, Vec<(String, String)>);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn dimensions(list: &Value) -> Vec<(String, String)> {
    list.as_array().unwrap().iter().map(|one| (text(&one["Name"]), text(&one["Value"]))).collect()
}

/// The metrics of alarms.
fn alarmed(model: &cloud::template::Model) -> Vec<Named> {
    let mut found = Vec::new();
    for alarm in model.of_kind("AWS::CloudWatch::Alarm") {
        let mut one = |metric: &Value| {
            found.push((text(&metric["Namespace"]), text(&metric["MetricName"]), dimensions(&metric["Dimensions"])));
        };
        match alarm.properties["Metrics"].as_array() {
            None => one(&alarm.properties),
            Some(metrics) => metrics.iter().filter_map(|m| m["MetricStat"].get("Metric")).for_each(&mut one),
        }
        let topic = model.find("Notification/Topic").unwrap().attributes.reference.as_str();
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(alarm.properties[actions], json!([topic]), "{}", alarm.path);
        }
    }
    found
}

/// The metrics of the dashboard.
fn shown(model: &cloud::template::Model) -> Vec<Named> {
    let board = model.of_kind("AWS::CloudWatch::Dashboard").next().unwrap();
    let body: Value = serde_json::from_str(board.properties["DashboardBody"].as_str().unwrap()).unwrap();
    let mut found = Vec::new();
    for widget in body["widgets"].as_array().unwrap() {
        let (x, width) = (widget["x"].as_u64().unwrap(), widget["width"].as_u64().unwrap());
        assert!(x + width <= 24, "a dashboard is 24 wide: {widget}");
        for metric in widget["properties"]["metrics"].as_array().unwrap() {
            let parts = metric.as_array().unwrap();
            if let Some(search) = parts[0].get("expression").and_then(Value::as_str) {
                let [namespace, ended_failed] = [aws::metrics::NAMESPACE, "StatementsFailed"];
                let (stack, class) = (aws::metrics::STACK, aws::metrics::CLASS);
                assert!(
                    search.contains(&format!("{{{namespace},{stack},{class}}} MetricName=\"{ended_failed}\"")),
                    "{search}"
                );
                continue;
            }
            let words: Vec<String> = parts.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let pairs = words[2..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            found.push((words[0].clone(), words[1].clone(), pairs));
        }
    }
    found
}

#[test]
fn every_named_metric_is_emitted_and_of_something_that_exists() {
    for model in models() {
        let queues = model.of_kind("AWS::SQS::Queue").map(|queue| queue.name());
        let functions = model.of_kind("AWS::Lambda::Function").map(|function| function.name());
        let machines = model.of_kind("AWS::StepFunctions::StateMachine").map(|machine| machine.arn());
        let stack =
            model.find("Tasker/TaskerFunction").unwrap().properties["Environment"]["Variables"]["STACK_NAME"].clone();
        let there: BTreeSet<(&str, &str)> = queues
            .map(|name| ("QueueName", name))
            .chain(functions.map(|name| ("FunctionName", name)))
            .chain(machines.map(|arn| ("StateMachineArn", arn)))
            .chain([(aws::metrics::STACK, stack.as_str().unwrap())])
            .collect();
        let named = [alarmed(&model), shown(&model)].concat();
        assert!(named.len() > 50, "{}", named.len());
        for (namespace, metric, dimensions) in &named {
            let known = if namespace == aws::metrics::NAMESPACE {
                aws::metrics::NAMES.contains(&metric.as_str()) && dimensions[0].0 == aws::metrics::STACK
            } else {
                AWS.iter().any(|(n, d, m)| n == namespace && *d == dimensions[0].0 && m.contains(&metric.as_str()))
            };
            assert!(known, "nobody emits {namespace} {metric} by {dimensions:?}");
            for (name, value) in dimensions {
                assert!(there.contains(&(name.as_str(), value.as_str())), "{metric}: there is no {name} {value}");
            }
        }
        // And what we emit is looked at.
        for metric in aws::metrics::NAMES {
            assert!(named.iter().any(|(_, name, _)| name == metric), "{metric} is shown nowhere");
        }
        // Every dead letter queue and every function is watched.
        for queue in model.of_kind("AWS::SQS::Queue").filter(|queue| queue.name().ends_with("dead-letter")) {
            let watched =
                |(_, metric, by): &Named| metric == "ApproximateNumberOfMessagesVisible" && by[0].1 == queue.name();
            assert!(alarmed(&model).iter().any(watched), "{}", queue.name());
        }
        for function in model.of_kind("AWS::Lambda::Function") {
            for wanted in ["Errors", "Throttles"] {
                let watched = |(_, metric, by): &Named| metric == wanted && by[0].1 == function.name();
                assert!(alarmed(&model).iter().any(watched), "{} {wanted}", function.name());
            }
        }
    }
}
