//! Holds the interpreter against executions that were recorded from AWS.
//!
//! The recordings are data for tests and not part of this repository: `TASKER_ASL_CORPUS` says where they are. Unset, the
//! test says that it was not run; set to a folder that is not there, it fails. `TASKER_ASL_CORPUS_SHOW` set to a part of a
//! case's name prints every difference of the cases that it names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, missing_docs)]

#[path = "corpus/matching.rs"]
mod matching;
#[path = "corpus/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use matching::Matcher;
use serde_json::{Map, Value, json};
use world::World;

/// What must match at least, in percent of the cases that apply. Raised with the interpreter, never lowered.
const RESULTS_FLOOR: f64 = 99.8;
const HISTORY_FLOOR: f64 = 97.2;

#[derive(Default)]
struct Topic {
    applicable: usize,
    results: usize,
    histories: usize,
    with_history: usize,
    left_out: usize,
}

#[test]
fn recorded_executions_come_out_the_same() {
    let Some(folder) = std::env::var_os("TASKER_ASL_CORPUS").map(PathBuf::from) else {
        eprintln!("NOT RUN: TASKER_ASL_CORPUS is not set, so the recorded executions were not compared");
        return;
    };
    let index = folder.join("index.json");
    assert!(index.is_file(), "TASKER_ASL_CORPUS is set, but {} is not there", index.display());
    let index = read(&index);
    let show = std::env::var("TASKER_ASL_CORPUS_SHOW").ok();
    let mut topics: BTreeMap<String, Topic> = BTreeMap::new();
    for row in index.as_array().expect("index.json is a list") {
        let case = read(&folder.join(row["file"].as_str().unwrap()));
        let topic = topics.entry(row["topic"].as_str().unwrap().to_owned()).or_default();
        let name = row["file"].as_str().unwrap();
        if let Some(reason) = out_of_scope(&case) {
            topic.left_out += 1;
            println!("left out  {name}: {reason}");
            continue;
        }
        topic.applicable += 1;
        // One case that the runner has no words for must not hide all others.
        let outcome = std::panic::catch_unwind(|| run(&case)).unwrap_or_else(|_| Outcome {
            result: Some("the runner panicked".into()),
            history: case["expected"].get("events").is_some().then(|| Some("the runner panicked".into())),
            events: Value::Null,
        });
        topic.results += usize::from(outcome.result.is_none());
        if let Some(history) = &outcome.history {
            topic.with_history += 1;
            topic.histories += usize::from(history.is_none());
        }
        let difference = outcome.result.or(outcome.history.flatten());
        if let Some(difference) = difference {
            let shown = show.as_ref().is_some_and(|show| name.contains(show.as_str()));
            let most = if shown { usize::MAX } else { 400 };
            let difference: String = difference.chars().take(most).collect();
            println!("differs   {name}: {difference} ({})", reason(&difference));
            if shown {
                println!("{}", serde_json::to_string_pretty(&outcome.events).unwrap());
            }
        }
    }
    let mut sum = Topic::default();
    println!("{:<26}{:>8}{:>8}{:>9}{:>9}", "topic", "applies", "result", "history", "left out");
    for (name, topic) in &topics {
        let history = format!("{}/{}", topic.histories, topic.with_history);
        println!("{name:<26}{:>8}{:>8}{history:>9}{:>9}", topic.applicable, topic.results, topic.left_out);
        sum.applicable += topic.applicable;
        sum.results += topic.results;
        sum.histories += topic.histories;
        sum.with_history += topic.with_history;
        sum.left_out += topic.left_out;
    }
    #[allow(clippy::cast_precision_loss)] // Counts of cases.
    let percent = |part: usize, whole: usize| part as f64 * 100.0 / whole.max(1) as f64;
    let results = percent(sum.results, sum.applicable);
    let histories = percent(sum.histories, sum.with_history);
    println!(
        "all: results {}/{} ({results:.1} %), histories {}/{} ({histories:.1} %), left out {}",
        sum.results, sum.applicable, sum.histories, sum.with_history, sum.left_out
    );
    assert!(results >= RESULTS_FLOOR, "{results:.1} % of the results match, at least {RESULTS_FLOOR} % must");
    assert!(histories >= HISTORY_FLOOR, "{histories:.1} % of the histories match, at least {HISTORY_FLOOR} % must");
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Why a case comes out otherwise, where that is known.
fn reason(difference: &str) -> &'static str {
    if difference.contains(".previousEventId: expected") {
        "AWS changed in 2024 from which event a distributed Map's exit counts; most recordings are older"
    } else if difference.contains("Execution.RedriveCount: expected nothing") {
        "recorded before executions could be redriven"
    } else if difference.contains("output.RedriveCount: expected 0") {
        "recorded after the answer of a nested execution had a RedriveCount; most recordings are older"
    } else {
        "not known"
    }
}

/// Why a case does not apply.
fn out_of_scope(case: &Value) -> Option<&'static str> {
    let text = case["definition"].to_string();
    match case["kind"].as_str().unwrap() {
        "test_state" => return Some("TestState is left out"),
        "sync_execution" | "express_async" => return Some("Express machines are left out"),
        _ => {}
    }
    let express = case["machine_type"] == "EXPRESS" || case["request"]["type"] == "EXPRESS";
    if express && case["kind"] == "execution" {
        return Some("Express machines are left out");
    }
    if case["topic"] == "activities" || (text.contains("activity_arn") && case["kind"] == "execution") {
        return Some("activities are left out");
    }
    if text.contains("\"Credentials\"") && case["kind"] == "execution" {
        return Some("credentials of other accounts are left out");
    }
    if text.contains("apigateway:invoke") {
        return Some("API Gateway is left out");
    }
    None
}

struct Outcome {
    /// What differs in status, output, error or cause.
    result: Option<String>,
    /// What differs in the history, where one was recorded.
    history: Option<Option<String>>,
    events: Value,
}

fn run(case: &Value) -> Outcome {
    let wildcards = case["wildcards"].as_array().into_iter().flatten().map(|w| w.as_str().unwrap().to_owned());
    let matcher = Matcher::new(wildcards.collect());
    let definition = match &case["definition"] {
        Value::Null => case["definition_text"].as_str().unwrap_or_default().to_owned(),
        definition => named(&definition.to_string())
            .replace("\"activity_arn\"", "\"arn:aws:states:us-east-1:111111111111:activity:a\""),
    };
    let mut world = World::new(case);
    let only = |result| Outcome { result, history: None, events: Value::Null };
    match case["kind"].as_str().unwrap() {
        "create_error" => return only(create_error(case, &definition, &mut world, &matcher)),
        "validate_definition" => {
            let kind = machine_type(case);
            let body = json!({ "definition": definition, "type": kind });
            let answer = world.call("ValidateStateMachineDefinition", &body).unwrap();
            return only(matcher.difference(&case["expected"], &answer, "$"));
        }
        "variable_references" => {
            let arn = match world.create("machine", &definition) {
                Ok(arn) => arn,
                Err(error) => return only(Some(error.to_string())),
            };
            let answer = world.call("DescribeStateMachine", &json!({ "stateMachineArn": arn })).unwrap();
            let expected = case["expected"].get("variableReferences").unwrap_or(&Value::Null);
            let found = answer.get("variableReferences").cloned().unwrap_or_else(|| json!({}));
            return only(matcher.difference(expected, &found, "$"));
        }
        _ => {}
    }
    match world.create("machine", &definition) {
        Ok(machine) => run_execution(case, &machine, &mut world, &matcher),
        Err(error) => only(Some(error.to_string())),
    }
}

/// Placeholders for names, made fit for names.
fn named(text: &str) -> String {
    let text =
        &text.replace("\"state-machine-arn\"", "\"arn:aws:states:us-east-1:111111111111:stateMachine:<nested>\"");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("stateMachine:<") {
        let start = at + "stateMachine:".len();
        out.push_str(&rest[..start]);
        let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
        out.extend(rest[start..end].chars().filter(|c| c.is_ascii_alphanumeric()));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn machine_type(case: &Value) -> &'static str {
    // The corpus says it by the case's name where the request was not kept.
    let id = case["id"].as_str().unwrap();
    let express = case["machine_type"] == "EXPRESS" || case["request"]["type"] == "EXPRESS" || id.contains("express");
    if express { "EXPRESS" } else { "STANDARD" }
}

fn create_error(case: &Value, definition: &str, world: &mut World, matcher: &Matcher) -> Option<String> {
    let expected = &case["expected"];
    let body =
        json!({ "name": "machine", "definition": definition, "roleArn": world::ROLE, "type": machine_type(case) });
    match world.call("CreateStateMachine", &body) {
        Ok(_) => Some("the definition was accepted".into()),
        Err(error) => matcher
            .difference(&expected["error_code"], &json!(error.code), "code")
            .or_else(|| matcher.difference(&expected["error_message"], &json!(error.message), "message")),
    }
}

fn run_execution(case: &Value, machine: &str, world: &mut World, matcher: &Matcher) -> Outcome {
    let input = match case.get("input_text").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => named(&case["input"].to_string()),
    };
    for (index, nested) in case["provision"]["state_machines"].as_array().into_iter().flatten().enumerate() {
        // Machines that the case starts are named by placeholders in its input.
        let name = placeholder(&input, index).unwrap_or_else(|| format!("nested{index}"));
        world.create(&name, &nested.to_string()).unwrap_or_else(|error| panic!("{}: {error}", case["id"]));
    }
    let started =
        world.call("StartExecution", &json!({ "stateMachineArn": machine, "input": input, "name": "execution" }));
    let arn = match started {
        Ok(answer) => answer["executionArn"].as_str().unwrap().to_owned(),
        Err(error) => {
            return Outcome { result: Some(error.to_string()), history: None, events: Value::Null };
        }
    };
    if case["client_actions"].as_array().into_iter().flatten().any(|action| action["call"] == "stop_execution") {
        world.call("StopExecution", &json!({ "executionArn": arn })).unwrap();
    }
    if !world.run_to_end(&arn) {
        let problem = world.problem.clone().unwrap_or_default();
        return Outcome {
            result: Some(format!("it waits for ever {problem}")),
            history: None,
            events: history(world, &arn),
        };
    }
    let described = world.call("DescribeExecution", &json!({ "executionArn": arn })).unwrap();
    let events = history(world, &arn);
    let mut result = result_difference(case, &described, matcher);
    if let (Some(difference), Some(problem)) = (&mut result, &world.problem) {
        difference.push_str(&format!(" ({problem})"));
    }
    let expected = case["expected"].get("events").and_then(Value::as_array);
    let history = expected.map(|expected| {
        let unordered = case["events_unordered"] == true;
        history_difference(expected, events.as_array().unwrap(), unordered, matcher)
    });
    Outcome { result, history, events }
}

fn placeholder(input: &str, index: usize) -> Option<String> {
    let mut names: Vec<&str> = input
        .split("stateMachine:")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
        .collect();
    names.dedup();
    names.get(index).map(|name| (*name).to_owned())
}

fn result_difference(case: &Value, described: &Value, matcher: &Matcher) -> Option<String> {
    let expected = &case["expected"];
    if let Some(difference) = matcher.difference(&expected["status"], &described["status"], "status") {
        let cause = described.get("cause").or(described.get("output")).unwrap_or(&Value::Null);
        return Some(format!("{difference} ({} {cause})", described.get("error").unwrap_or(&Value::Null)));
    }
    for name in ["error", "cause"] {
        match (expected.get(name), described.get(name)) {
            (Some(expected), Some(actual)) => {
                if let Some(difference) = matcher.difference(expected, actual, name) {
                    return Some(difference);
                }
            }
            (None, None) => {}
            (expected, actual) => {
                return Some(format!("{name}: expected {expected:?}, got {actual:?}"));
            }
        }
    }
    let output = expected.get("output")?;
    let text = described["output"].as_str().unwrap_or("null");
    matcher.difference(output, &serde_json::from_str(text).unwrap(), "output")
}

/// The history with its JSON texts parsed, as the corpus holds it.
fn history(world: &mut World, arn: &str) -> Value {
    let mut events = Vec::new();
    let mut token = Value::Null;
    loop {
        let body = json!({ "executionArn": arn, "maxResults": 1000, "nextToken": token });
        let page = world.call("GetExecutionHistory", &body).unwrap();
        events.extend(page["events"].as_array().unwrap().iter().map(parsed));
        match page.get("nextToken") {
            Some(next) => token = next.clone(),
            None => return Value::Array(events),
        }
    }
}

fn parsed(event: &Value) -> Value {
    let mut event = event.as_object().unwrap().clone();
    event.shift_remove("timestamp");
    for (name, details) in &mut event {
        let (true, Some(details)) = (name.ends_with("Details"), details.as_object_mut()) else {
            continue;
        };
        for (name, value) in details.iter_mut() {
            match name.as_str() {
                "input" | "output" | "parameters" => *value = parsed_text(value),
                "assignedVariables" => {
                    let variables: Map<String, Value> =
                        value.as_object().unwrap().iter().map(|(k, v)| (k.clone(), parsed_text(v))).collect();
                    *value = Value::Object(variables);
                }
                _ => {}
            }
        }
    }
    Value::Object(event)
}

fn parsed_text(value: &Value) -> Value {
    serde_json::from_str(value.as_str().unwrap()).unwrap()
}

fn history_difference(expected: &[Value], actual: &[Value], unordered: bool, matcher: &Matcher) -> Option<String> {
    let kinds =
        |events: &[Value]| events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    if !unordered {
        if kinds(expected) != kinds(actual) {
            return Some(format!("events: expected {:?}, got {:?}", kinds(expected), kinds(actual)));
        }
        return expected.iter().zip(actual).enumerate().find_map(|(index, (expected, actual))| {
            matcher.difference(expected, actual, &format!("events[{}]", index + 1))
        });
    }
    // Upstream sorted what lies between a Parallel's start and end, blanked its ids and dropped its own end.
    let region = |events: &[Value]| {
        let first = events.iter().position(|event| event["type"] == "ParallelStateStarted").unwrap_or(0);
        let last = events.iter().rposition(|event| event["type"] == "ParallelStateExited").unwrap_or(events.len());
        (first, last)
    };
    let (first, last) = region(expected);
    let (start, end) = region(actual);
    for (index, (expected, actual)) in expected[..=first].iter().zip(&actual[..=start]).enumerate() {
        if let Some(difference) = matcher.difference(expected, actual, &format!("events[{}]", index + 1)) {
            return Some(difference);
        }
    }
    if expected.len() - last != actual.len() - end {
        return Some(format!("events: expected {:?}, got {:?}", kinds(expected), kinds(actual)));
    }
    for (expected, actual) in expected[last..].iter().zip(&actual[end..]) {
        if let Some(difference) = matcher.difference(expected, actual, "events after the Parallel") {
            return Some(difference);
        }
    }
    let plain = |event: &Value| {
        let mut event = event.as_object().unwrap().clone();
        event.shift_remove("id");
        event.shift_remove("previousEventId");
        Value::Object(event)
    };
    let own = [
        "ParallelStateStarted",
        "ParallelStateSucceeded",
        "ParallelStateFailed",
        "ParallelStateEntered",
        "ParallelStateExited",
    ];
    let inside = |events: &[Value]| {
        let events = events.iter().filter(|event| !own.contains(&event["type"].as_str().unwrap()));
        events.map(plain).collect::<Vec<_>>()
    };
    let mut found = inside(&actual[start + 1..end]);
    for wanted in inside(&expected[first + 1..last]) {
        match found.iter().position(|event| matcher.difference(&wanted, event, "").is_none()) {
            Some(at) => drop(found.remove(at)),
            None => return Some(format!("events in the Parallel: nothing like {wanted}")),
        }
    }
    found.first().map(|event| format!("events in the Parallel: nothing recorded like {event}"))
}
