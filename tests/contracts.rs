//! What templates, state machines and functions expect of each other.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

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
fn no_machine_names_a_partition_a_region_or_an_account() {
    for (file, machine) in machines() {
        let text = machine.to_string();
        assert!(!text.contains("arn:aws"), "{file}");
        assert!(!text.contains("us-east-1") && !text.contains("000000000000"), "{file}");
    }
}

#[test]
fn each_function_gets_what_it_needs_and_reads_all_that_it_gets() {
    let inputs = cloud::template::Inputs {
        stack_name: "contract".into(),
        parameters: [("ClusterIdentifier", "c"), ("Database", "dev")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        region: cloud::DEFAULT_REGION.into(),
        account: "000000000000".into(),
        partition: "aws".into(),
        endpoint: "http://127.0.0.1:1".into(),
    };
    let model = cloud::template::load(&project().join("infra/root.yaml"), &inputs).unwrap();
    let mut checked = 0;
    for function in model.of_kind("AWS::Lambda::Function") {
        let given = function.properties["Environment"]["Variables"].as_object().unwrap();
        let read = RefCell::new(BTreeSet::from(["LOG_LEVEL".to_owned()]));
        let lookup = |name: &str| {
            read.borrow_mut().insert(name.to_owned());
            given.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        match function.logical_id.as_str() {
            "TaskerFunction" => aws::Configuration::new(lookup).tasker().map(drop).unwrap(),
            "CompletionFunction" | "ReconcilerFunction" => aws::Configuration::new(lookup).common().map(drop).unwrap(),
            "PlannerFunction" => {
                aws::Configuration::new(lookup).named(planner_function::ENVIRONMENT).map(drop).unwrap()
            }
            "CollectorFunction" => {
                aws::Configuration::new(lookup).named(collector_function::ENVIRONMENT).map(drop).unwrap()
            }
            "ReporterFunction" => {
                aws::Configuration::new(lookup).named(reporter_function::ENVIRONMENT).map(drop).unwrap()
            }
            "InstallerFunction" => {
                aws::Configuration::new(lookup).named(installer_function::ENVIRONMENT).map(drop).unwrap()
            }
            other => panic!("nobody said what {other} reads"),
        }
        let given: BTreeSet<String> = given.keys().cloned().collect();
        let unread: Vec<_> = given.difference(&read.into_inner()).cloned().collect();
        assert!(unread.is_empty(), "{} is given {unread:?} and never reads it", function.logical_id);
        checked += 1;
    }
    assert_eq!(checked, 7);
}

#[test]
fn the_tasker_gives_up_before_its_rows_are_given_up() {
    let template = std::fs::read_to_string(project().join("infra/tasker.yaml")).unwrap();
    let after = template.split("\n  TaskerFunction:").nth(1).unwrap();
    let timeout: u64 = after.split("Timeout: ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    // The reconciler declares an unsent row dead after 45 s at the earliest.
    assert!(timeout <= 30);
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
