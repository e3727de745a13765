//! What templates, state machines and functions expect of each other.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::collections::BTreeSet;

use serde_json::Value;

#[path = "contracts/metrics.rs"]
mod metrics;
#[path = "contracts/templates.rs"]
mod templates;
#[path = "contracts/timing.rs"]
mod timing;
mod world;

use world::project;

fn machines() -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = std::fs::read_dir(project().join("statemachines"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty());
    found
}

/// Every value under this key, at any depth.
fn all<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == key {
                    found.push(member);
                }
                all(member, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}

#[test]
fn every_error_that_a_machine_matches_exists() {
    let ours: BTreeSet<&str> = statement::error_names().iter().map(|error| error.name).collect();
    // Lambda's own, from its guide on error handling and the Step Functions guide's list for Lambda tasks.
    let lambda = [
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.TooManyRequestsException",
        "Lambda.Unknown",
        "Runtime.ExitError",
        "Sandbox.Timedout",
    ];
    let mut matched = 0;
    for (file, machine) in machines() {
        let mut lists = Vec::new();
        all(&machine, "ErrorEquals", &mut lists);
        for name in lists.into_iter().flat_map(|list| list.as_array().unwrap()) {
            let name = name.as_str().unwrap();
            assert!(
                ours.contains(name)
                    || lambda.contains(&name)
                    || matches!(name, "States.ALL" | "States.Timeout" | "States.TaskFailed"),
                "{file} matches {name:?}, which nothing raises"
            );
            matched += 1;
        }
    }
    assert!(matched > 10);
}

#[test]
fn every_transient_error_of_the_tasker_is_retried_by_the_statement_machine() {
    let (_, machine) = machines().into_iter().find(|(file, _)| file == "statement.asl.json").unwrap();
    let mut retried = Vec::new();
    all(&machine["States"]["RunStatement"]["Retry"], "ErrorEquals", &mut retried);
    let retried: BTreeSet<&str> =
        retried.into_iter().flat_map(|list| list.as_array().unwrap()).map(|name| name.as_str().unwrap()).collect();
    for error in statement::error_names() {
        // Another execution holds the lock: how long to wait for it is the user's decision.
        if error.name == "ConcurrentExecution" || error.name.starts_with("Redshift.") {
            continue;
        }
        assert_eq!(retried.contains(error.name), error.transient, "{}", error.name);
    }
}

#[test]
fn the_machines_have_no_finding() {
    for entry in std::fs::read_dir(project().join("statemachines")).unwrap() {
        let path = entry.unwrap().path();
        let found = states::check::file(&std::fs::read_to_string(&path).unwrap());
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
}

#[test]
fn the_readme_names_every_error_and_every_field() {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    for error in statement::error_names() {
        let name = error.name.strip_prefix("Redshift.").unwrap_or(error.name);
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in the README");
    }
    for field in statement::request::EXECUTE_FIELDS {
        assert!(readme.contains(&format!("`{field}`")), "{field} is not in the README");
    }
}
