//! Whatever comes as definition, input or answer: nothing panics and every turn ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, missing_docs)]

mod harness;

use std::sync::atomic::{AtomicUsize, Ordering};

use harness::{Harness, ROLE};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Words of the language, so that arbitrary objects come near to definitions.
const FIELDS: &[&str] = &[
    "StartAt",
    "States",
    "Type",
    "Next",
    "End",
    "Default",
    "Choices",
    "Variable",
    "NumericEquals",
    "StringMatches",
    "And",
    "Not",
    "Condition",
    "Seconds",
    "SecondsPath",
    "TimestampPath",
    "Timestamp",
    "Parameters",
    "Arguments",
    "Output",
    "Result",
    "ResultPath",
    "ResultSelector",
    "InputPath",
    "OutputPath",
    "Assign",
    "Items",
    "ItemsPath",
    "ItemProcessor",
    "ItemSelector",
    "ItemReader",
    "ItemBatcher",
    "ProcessorConfig",
    "Mode",
    "MaxConcurrency",
    "ToleratedFailureCount",
    "Branches",
    "Retry",
    "Catch",
    "ErrorEquals",
    "Resource",
    "TimeoutSeconds",
    "HeartbeatSeconds",
    "QueryLanguage",
    "Error",
    "Cause",
    "ErrorPath",
    "x.$",
    "a",
    "b",
    "IntervalSeconds",
    "BackoffRate",
    "MaxAttempts",
];

const TEXTS: &[&str] = &[
    "A",
    "B",
    "Pass",
    "Task",
    "Choice",
    "Wait",
    "Succeed",
    "Fail",
    "Map",
    "Parallel",
    "JSONata",
    "JSONPath",
    "INLINE",
    "DISTRIBUTED",
    "$",
    "$.a",
    "$.a[0]",
    "$.a[*].b",
    "$..a",
    "$$",
    "$$.Task.Token",
    "$$.Map.Item.Value",
    "$v",
    "$.[",
    "$[?(@.a)]",
    "States.Format('{}', $.a)",
    "States.ArrayRange(0, 9, 2)",
    "States.MathAdd($.a, 1)",
    "States.StringToJson($.a)",
    "States.ArrayPartition($.a, 2)",
    "States.UUID()",
    "{% $states.input.a %}",
    "{% $states.context %}",
    "{% 1 + %}",
    "{% $sum([1..10]) %}",
    "{% $v %}",
    "{% function($x){$x} %}",
    "States.ALL",
    "States.Timeout",
    "",
    "arn:aws:states:::lambda:invoke",
    "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "arn:aws:lambda:us-east-1:000000000000:function:f",
    "arn:aws:states:::states:startExecution.sync:2",
    "arn:aws:states:::s3:getObject",
    "2026-01-01T00:00:00Z",
    "a*b",
    "\u{0}",
    "ü",
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3_i64..5).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let name = prop_oneof![prop::sample::select(FIELDS).prop_map(str::to_owned), any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

type Fields = &'static [&'static str];

/// Fields by kind of state: in JSONPath with a path or a template as value, in JSONata with a template.
const STATES: &[(&str, Fields, Fields, Fields)] = &[
    ("Pass", &["ResultPath", "InputPath", "OutputPath"], &["Parameters", "Assign", "Result"], &["Output", "Assign"]),
    (
        "Task",
        &["ResultPath", "InputPath", "OutputPath", "TimeoutSecondsPath"],
        &["Parameters", "ResultSelector", "Assign"],
        &["Arguments", "Output", "Assign", "TimeoutSeconds"],
    ),
    ("Wait", &["InputPath", "OutputPath"], &["Assign"], &["Output", "Assign"]),
    (
        "Map",
        &["ItemsPath", "ResultPath", "InputPath", "MaxConcurrencyPath", "ToleratedFailureCountPath"],
        &["ItemSelector", "ResultSelector", "Assign"],
        &["Items", "ItemSelector", "Output", "MaxConcurrency"],
    ),
    (
        "Parallel",
        &["ResultPath", "InputPath", "OutputPath"],
        &["Parameters", "ResultSelector"],
        &["Arguments", "Output"],
    ),
    ("Choice", &["InputPath", "OutputPath"], &["Assign"], &["Output", "Assign"]),
];

/// A definition that is right in its bones: a line of states with arbitrary further fields of theirs.
fn definition() -> impl Strategy<Value = Value> {
    let texts = |start: &[&str]| {
        let fits = |text: &&&str| start.iter().any(|start| text.starts_with(start));
        TEXTS.iter().filter(fits).copied().collect::<Vec<_>>()
    };
    let path = prop::sample::select(texts(&["$"]));
    let computed = prop::sample::select(texts(&["$", "States.F", "States.M", "States.S", "States.U", "States.Ar"]));
    let expression = prop::sample::select(texts(&["{%"]));
    let part = (0..STATES.len(), prop::collection::vec((any::<u8>(), path, computed, expression), 0..4), any::<u8>());
    (prop::collection::vec(part, 1..5), any::<bool>()).prop_map(|(parts, jsonata)| {
        let mut all = Map::new();
        let last = parts.len() - 1;
        for (index, (kind, fields, pick)) in parts.into_iter().enumerate() {
            let (kind, path_fields, template_fields, jsonata_fields) = STATES[kind];
            let mut state = Map::new();
            state.insert("Type".into(), kind.into());
            for (which, path, computed, expression) in fields {
                let which = usize::from(which);
                if jsonata {
                    let field = jsonata_fields[which % jsonata_fields.len()];
                    let value = if field == "Assign" { json!({ "v": expression }) } else { json!(expression) };
                    state.insert(field.into(), value);
                } else if which % 2 == 0 {
                    state.insert(path_fields[which / 2 % path_fields.len()].into(), path.into());
                } else {
                    let field = template_fields[which / 2 % template_fields.len()];
                    state.insert(field.into(), json!({ "v.$": computed, "w": [1, { "u.$": path }] }));
                }
            }
            let next = format!("S{}", index + 1);
            if kind == "Choice" {
                let target = if index == last { "End".to_owned() } else { next };
                let rule = if jsonata {
                    json!({ "Condition": "{% $states.input.a %}", "Next": target })
                } else {
                    json!({ "Variable": "$.a", "IsNumeric": true, "Next": target })
                };
                state.insert("Choices".into(), json!([rule]));
                state.insert("Default".into(), if pick % 4 == 0 { "S0".into() } else { target.into() });
            } else if index == last {
                state.insert("Next".into(), "End".into());
            } else {
                state.insert("Next".into(), next.into());
            }
            let resources: Vec<&str> = TEXTS.iter().filter(|text| text.starts_with("arn:")).copied().collect();
            let inner = json!({ "StartAt": "I", "States": { "I": {
                "Type": "Task", "Resource": resources[usize::from(pick) % 3], "End": true,
            } } });
            match kind {
                "Task" => {
                    state.insert("Resource".into(), resources[usize::from(pick) % resources.len()].into());
                    state.insert("Retry".into(), json!([{ "ErrorEquals": ["States.ALL"], "MaxAttempts": 2 }]));
                    state.insert("Catch".into(), json!([{ "ErrorEquals": ["States.ALL"], "Next": "End" }]));
                }
                "Wait" => drop(state.insert("Seconds".into(), pick.into())),
                "Map" => {
                    let mut inner = inner;
                    if pick % 3 == 0 {
                        inner["ProcessorConfig"] = json!({ "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" });
                    }
                    state.insert("ItemProcessor".into(), inner);
                }
                "Parallel" => drop(state.insert("Branches".into(), json!([inner, inner]))),
                _ => {}
            }
            all.insert(format!("S{index}"), Value::Object(state));
        }
        all.insert("End".into(), json!({ "Type": "Succeed" }));
        let language = if jsonata { "JSONata" } else { "JSONPath" };
        json!({ "StartAt": "S0", "QueryLanguage": language, "States": all })
    })
}

/// How many arbitrary definitions ran at all: a strategy that is always refused would test nothing.
static RAN: AtomicUsize = AtomicUsize::new(0);

/// Runs a while: answers what is called, lets time pass, and stops it in the end.
fn exercise(definition: &str, input: &Value, answers: &[Value]) {
    for found in states::check::file(definition) {
        assert!(found.line > 0 && found.column > 0, "{found}");
    }
    let mut h = Harness::new();
    let body = json!({ "name": "m", "roleArn": ROLE, "definition": definition });
    let Ok(created) = h.call("CreateStateMachine", body) else {
        return;
    };
    let start = json!({ "stateMachineArn": created["stateMachineArn"], "input": input.to_string() });
    let Ok(started) = h.call("StartExecution", start) else {
        return;
    };
    RAN.fetch_add(1, Ordering::Relaxed);
    let execution = json!({ "executionArn": started["executionArn"] });
    for (index, answer) in answers.iter().cycle().take(12).enumerate() {
        if let Some(call) = h.calls.pop_front() {
            let result = if index % 3 == 2 { Err(("Error", "cause")) } else { Ok(answer.clone()) };
            h.answer(&call, result);
        } else if let Some(due) = h.service.next_timer() {
            let seconds = (due - h.now).num_seconds().clamp(0, 100_000) + 1;
            h.pass(seconds);
        }
    }
    h.call("StopExecution", execution.clone()).unwrap();
    let described = h.call("DescribeExecution", execution.clone()).unwrap();
    assert_ne!(described["status"], "RUNNING");
    h.call("GetExecutionHistory", execution.clone()).unwrap();
    let redriven = h.call("RedriveExecution", execution.clone());
    if redriven.is_ok() {
        h.pass(5);
        h.call("StopExecution", execution.clone()).unwrap();
    }
    assert_eq!(h.service.next_timer(), None, "an execution that has ended waits for nothing");
}

/// Pieces of JSONata.
const PIECES: &[&str] = &[
    "$states",
    ".input",
    ".context",
    "a",
    "b",
    "[0]",
    "[-1]",
    "[a > 1]",
    "$sum(",
    "$map(",
    "$filter(",
    "$reduce(",
    "$sift(",
    "$each(",
    "$string(",
    "$number(",
    "$substring(",
    "$split(",
    "$join(",
    "$replace(",
    "$match(",
    "$toMillis(",
    "$fromMillis(",
    "$formatNumber(",
    "$formatBase(",
    "$formatInteger(",
    "$parseInteger(",
    "$pad(",
    "$sort(",
    "$zip(",
    "$merge(",
    "$lookup(",
    "$keys(",
    "$spread(",
    "$append(",
    "$partition(",
    "$range(",
    "$hash(",
    "$parse(",
    "$uuid()",
    "$random()",
    "$now()",
    "$power(",
    "$sqrt(",
    "$round(",
    ")",
    "(",
    ",",
    "1",
    "-1",
    "0.5",
    "1e308",
    "9007199254740993",
    "'x'",
    "'\u{fc}\u{1f600}'",
    "\"#0.0\"",
    "/a+/",
    "null",
    "true",
    "[",
    "]",
    "{",
    "}",
    ":",
    "+",
    "-",
    "*",
    "**",
    "%",
    "&",
    "^(",
    "and",
    "or",
    "in",
    "?",
    ":=",
    "$x",
    ";",
    "~>",
    "function($x){",
    "|",
    "@$i",
    "#$j",
    "=",
    "!=",
    "<",
    "..",
    "`",
    "$",
    "$$",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_texts_are_refused_or_run(definition in any::<String>(), input in json_value()) {
        exercise(&definition, &input, &[Value::Null]);
    }

    #[test]
    fn arbitrary_substitutions_and_quotes_are_checked(pieces in prop::collection::vec(prop::sample::select(&[
        "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u00fc", "\u{fc}", "\"States\"", "\"StartAt\"", "\"A\"", "\"Type\"",
        "\"Pass\"", "\"x.$\"", "\"States.Format('{}'\"", "\"{% $x + %}\"", "${", "${Name}", "\"${Name}\"", "1", "\n", " ",
    ][..]), 0..30)) {
        let _ = states::check::file(&pieces.concat());
    }

    #[test]
    fn arbitrary_json_is_refused_or_runs(definition in json_value(), input in json_value()) {
        exercise(&definition.to_string(), &input, &[Value::Null]);
    }

    #[test]
    fn arbitrary_expressions_are_refused_or_evaluated(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..9), input in json_value(),
    ) {
        let source = format!("{{% {} %}}", pieces.join(" "));
        let state = json!({ "Type": "Pass", "Output": source, "End": true });
        let definition = json!({ "StartAt": "A", "QueryLanguage": "JSONata", "States": { "A": state } });
        exercise(&definition.to_string(), &json!({ "a": [1, "x", null], "b": input }), &[Value::Null]);
    }

    #[test]
    fn arbitrary_calls_are_answered(operation in prop::sample::select(&[
        "CreateStateMachine", "UpdateStateMachine", "DeleteStateMachine", "DescribeStateMachine", "ListStateMachines",
        "StartExecution", "StopExecution", "RedriveExecution", "DescribeExecution", "ListExecutions", "GetExecutionHistory", "SendTaskSuccess",
        "SendTaskFailure", "SendTaskHeartbeat", "ValidateStateMachineDefinition", "PublishStateMachineVersion",
        "CreateStateMachineAlias", "UpdateStateMachineAlias", "DescribeMapRun", "ListMapRuns",
    ][..]), body in json_value()) {
        let mut h = Harness::new();
        let _ = h.call(operation, body);
    }
}

#[test]
fn definitions_with_arbitrary_fields_are_refused_or_run() {
    let cases = 600;
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (definition(), json_value(), prop::collection::vec(json_value(), 1..4));
    let result = proptest::test_runner::TestRunner::new(config).run(&strategy, |(definition, input, answers)| {
        exercise(&definition.to_string(), &input, &answers);
        Ok(())
    });
    result.unwrap();
    let ran = RAN.load(Ordering::Relaxed);
    assert!(ran > cases as usize / 10, "only {ran} of {cases} definitions were accepted and ran");
}
