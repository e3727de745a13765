//! The language's rules, one table each: intrinsic functions, JSONata, choices, data flow, waits, mistakes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, missing_docs)]

mod harness;

use harness::{Harness, machine, text};
use serde_json::{Value, json};

/// Runs a machine to its end: its output, or its error with the cause.
fn run(definition: &Value, input: &Value) -> Result<Value, (String, String)> {
    let mut h = Harness::new();
    let execution = h.begin(definition, input);
    let described = h.describe(&execution);
    if described["status"] == "SUCCEEDED" {
        return Ok(h.output(&execution));
    }
    let member = |name: &str| described.get(name).map(text).unwrap_or_default();
    Err((member("error"), member("cause")))
}

fn intrinsic(expression: &str, input: &Value) -> Result<Value, (String, String)> {
    let state = json!({ "Type": "Pass", "Parameters": { "r.$": expression }, "OutputPath": "$.r", "End": true });
    run(&machine(state), input)
}

fn jsonata(expression: &str, input: &Value) -> Result<Value, (String, String)> {
    let mut definition = machine(json!({ "Type": "Pass", "Output": format!("{{% {expression} %}}"), "End": true }));
    definition["QueryLanguage"] = json!("JSONata");
    run(&definition, input)
}

#[test]
fn intrinsic_functions() {
    let input = json!({ "a": [1, 2, 2, 3], "s": "x-y,z", "o": { "k": 1 }, "n": 7, "t": "{\"k\":[1]}", "e": "" });
    let cases = [
        ("States.Array($.n, 'a', true, null)", json!([7, "a", true, null])),
        ("States.Array()", json!([])),
        ("States.ArrayContains($.a, 3)", json!(true)),
        ("States.ArrayContains($.a, 3.0)", json!(true)),
        ("States.ArrayGetItem($.a, 1)", json!(2)),
        ("States.ArrayLength($.a)", json!(4)),
        ("States.ArrayPartition($.a, 3)", json!([[1, 2, 2], [3]])),
        ("States.ArrayRange(9, 1, -4)", json!([9, 5, 1])),
        ("States.ArrayUnique($.a)", json!([1, 2, 3])),
        ("States.Base64Encode($.s)", json!("eC15LHo=")),
        ("States.Base64Decode('eC15LHo=')", json!("x-y,z")),
        ("States.Format('{}/{} \\{\\}', $.n, $.o)", json!("7/{k=1} {}")),
        ("States.Hash('abc', 'MD5')", json!("900150983cd24fb0d6963f7d28e17f72")),
        ("States.Hash('abc', 'SHA-1')", json!("a9993e364706816aba3e25717850c26c9cd0d89d")),
        ("States.Hash('abc', 'SHA-256')", json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
        ("States.JsonMerge($.o, States.StringToJson($.t), false)", json!({ "k": [1] })),
        ("States.JsonToString($.o)", json!("{\"k\":1}")),
        ("States.MathAdd($.n, -8)", json!(-1)),
        ("States.StringSplit($.s, ',-')", json!(["x", "y", "z"])),
        ("States.StringToJson($.e)", json!(null)),
        ("States.Format('It\\'s {}', $$.State.Name)", json!("It's Only")),
        ("States.ArrayLength(States.StringSplit(States.Format('a,{}', $.n), ','))", json!(2)),
    ];
    for (expression, expected) in cases {
        assert_eq!(intrinsic(expression, &input), Ok(expected), "{expression}");
    }
    let drawn = intrinsic("States.MathRandom(3, 5)", &input).unwrap();
    assert!(drawn == 3 || drawn == 4, "{drawn}");
    let seeded = |_| intrinsic("States.MathRandom(0, 1000000, 5)", &input).unwrap();
    assert_eq!(seeded(1), seeded(2));
    let uuid = text(&intrinsic("States.UUID()", &input).unwrap());
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
}

#[test]
fn intrinsic_functions_that_fail_say_why() {
    let cases = [
        ("States.ArrayGetItem($.a, 9)", "out of bounds"),
        ("States.ArrayRange(0, 5000, 1)", "at most 1000"),
        ("States.ArrayRange(0, 5, 0)", "must not be 0"),
        ("States.ArrayPartition($.a, 0)", "positive"),
        ("States.StringToJson('{')", "Invalid JSON"),
        ("States.JsonMerge($.a, $.a, false)", "objects"),
        ("States.Hash('a', 'SHA-3')", "SHA-3"),
        ("States.Format('{}', 1, 2)", "more arguments"),
        ("States.Format('{} {}', 1)", "more places"),
        ("States.MathAdd('a', 1)", "not a number"),
        ("States.Base64Decode('?')", "not Base64"),
    ];
    for (expression, why) in cases {
        let (error, cause) = intrinsic(expression, &json!({ "a": [1] })).unwrap_err();
        assert_eq!(error, "States.IntrinsicFailure", "{expression}");
        assert!(cause.contains(why), "{expression}: {cause}");
    }
}

#[test]
fn jsonata_with_what_step_functions_adds_and_forbids() {
    let input = json!({ "list": [1, 2, 3], "one": [4], "name": "a" });
    let cases = [
        ("$states.input.list[$ > 1]", json!([2, 3])),
        ("$sum($states.input.list) / 4", json!(1.5)),
        ("$states.input.one", json!([4])),
        ("$partition([1..5], 2)", json!([[1, 2], [3, 4], [5]])),
        ("$range(1, 7, 3)", json!([1, 4, 7])),
        ("$hash('abc', 'SHA-1')", json!("a9993e364706816aba3e25717850c26c9cd0d89d")),
        ("$parse('{\"a\": [1]}')", json!({ "a": [1] })),
        ("$random(7) = $random(7)", json!(true)),
        ("$length($uuid())", json!(36)),
        ("$states.context.State.Name", json!("Only")),
        ("$now()", json!("2027-01-15T08:00:00.000Z")),
        ("$millis()", json!(1_800_000_000_000_i64)),
        ("{ 'x': nothing, 'y': null }", json!({ "y": null })),
    ];
    for (expression, expected) in cases {
        assert_eq!(jsonata(expression, &input), Ok(expected), "{expression}");
    }
    let fails = [
        ("$states.input.nothing", "returned nothing (undefined)"),
        ("$eval('1')", "threw an error during evaluation"),
        ("'a' + 1", "threw an error during evaluation. T2001"),
        ("function($x){ $x }", "returned an unsupported result type"),
        ("$nothing", "returned nothing (undefined)"),
        ("(function($f){ $f($f) })(function($f){ $f($f) })", "threw an error during evaluation"),
    ];
    for (expression, why) in fails {
        let (error, cause) = jsonata(expression, &input).unwrap_err();
        assert_eq!(error, "States.QueryEvaluationError", "{expression}");
        let start = format!(
            "An error occurred while executing the state 'Only' (entered at the event id #2). The JSONata expression \
             '{expression}' specified for the field 'Output' "
        );
        assert!(cause.starts_with(&start) && cause.contains(why), "{expression}: {cause}");
    }
}

#[test]
fn choices() {
    let cases = [
        (json!({ "Variable": "$.n", "NumericEquals": 1.0 }), true),
        (json!({ "Variable": "$.n", "NumericGreaterThanPath": "$.zero" }), true),
        (json!({ "Variable": "$.s", "NumericLessThan": 5 }), false),
        (json!({ "Variable": "$.s", "StringLessThanEquals": "b" }), true),
        (json!({ "Variable": "$.s", "StringMatches": "a*c" }), true),
        (json!({ "Variable": "$.t", "TimestampGreaterThan": "2026-01-01T00:00:00+05:00" }), true),
        (json!({ "Variable": "$.t", "TimestampEqualsPath": "$.t2" }), true),
        (json!({ "Variable": "$.b", "BooleanEquals": false }), true),
        (json!({ "Variable": "$.null", "IsNull": true }), true),
        (json!({ "Variable": "$.none", "IsPresent": false }), true),
        (json!({ "Variable": "$.t", "IsTimestamp": true }), true),
        (json!({ "Variable": "$.s", "IsTimestamp": false }), true),
        (json!({ "Not": { "Variable": "$.n", "IsString": true } }), true),
        (
            json!({ "And": [{ "Variable": "$.n", "IsNumeric": true }, { "Variable": "$.n", "NumericLessThan": 0 }] }),
            false,
        ),
        // The right side is not looked at when the left one decides.
        (
            json!({ "Or": [{ "Variable": "$.n", "IsNumeric": true }, { "Variable": "$.none", "NumericLessThan": 0 }] }),
            true,
        ),
        (json!({ "Variable": "$$.Execution.Input.n", "NumericEquals": 1 }), true),
    ];
    let input = json!({
        "n": 1, "zero": 0, "s": "abc", "b": false, "null": null, "t": "2026-01-01T00:00:00Z", "t2": "2026-01-01T01:00:00+01:00",
    });
    for (rule, expected) in cases {
        let mut rule = rule;
        rule["Next"] = json!("Yes");
        let definition = json!({ "StartAt": "Which", "States": {
            "Which": { "Type": "Choice", "Choices": [rule], "Default": "No" },
            "Yes": { "Type": "Pass", "Result": true, "End": true }, "No": { "Type": "Pass", "Result": false, "End": true },
        } });
        assert_eq!(run(&definition, &input), Ok(json!(expected)), "{definition}");
    }
    let missing = json!({ "StartAt": "Which", "States": {
        "Which": { "Type": "Choice", "Choices": [{ "Variable": "$.none", "IsNull": true, "Next": "Yes" }], "Default": "Yes" },
        "Yes": { "Type": "Succeed" },
    } });
    let (error, cause) = run(&missing, &input).unwrap_err();
    assert_eq!(error, "States.Runtime");
    assert!(cause.contains("condition path references an invalid value"), "{cause}");
}

#[test]
fn data_flows_through_the_fields_in_order() {
    let input = json!({ "in": { "a": 1 }, "keep": true });
    let cases = [
        (json!({ "InputPath": "$.in" }), json!({ "a": 1 })),
        (json!({ "InputPath": null }), json!({})),
        (json!({ "OutputPath": null }), json!({})),
        (json!({ "Result": 5, "ResultPath": "$.out.r" }), json!({ "in": { "a": 1 }, "keep": true, "out": { "r": 5 } })),
        (json!({ "Result": 5, "ResultPath": null }), input.clone()),
        (json!({ "InputPath": "$.in", "ResultPath": "$.copy", "OutputPath": "$.copy.a" }), json!(1)),
        (
            json!({ "Parameters": { "x.$": "$.in.a", "y": [{ "z.$": "$.keep" }] } }),
            json!({ "x": 1, "y": [{ "z": true }] }),
        ),
        (json!({ "Result": { "x.$": "$.in" } }), json!({ "x.$": "$.in" })),
    ];
    for (fields, expected) in cases {
        let mut state = json!({ "Type": "Pass", "End": true });
        state.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(run(&machine(state), &input), Ok(expected), "{fields}");
    }
    let mistakes = [
        (json!({ "InputPath": "$.no" }), "States.Runtime", "Invalid path '$.no' : No results for path: $['no']"),
        (
            json!({ "Parameters": { "x.$": "$.no" } }),
            "States.Runtime",
            "specified for the field 'x.$' could not be found",
        ),
        (json!({ "Result": 1, "ResultPath": "$.keep.x" }), "States.ResultPathMatchFailure", "$.keep.x"),
    ];
    for (fields, name, why) in mistakes {
        let mut state = json!({ "Type": "Pass", "End": true });
        state.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (error, cause) = run(&machine(state), &input).unwrap_err();
        assert_eq!(error, name, "{fields}");
        assert!(cause.contains(why), "{fields}: {cause}");
    }
}

#[test]
fn waits_in_all_forms() {
    let until = "2027-01-15T08:01:00Z"; // The harness starts at 08:00:00.
    let cases = [
        (json!({ "Seconds": 60 }), false),
        (json!({ "SecondsPath": "$.s" }), false),
        (json!({ "Timestamp": until }), false),
        (json!({ "TimestampPath": "$.t" }), false),
        (json!({ "Seconds": "{% $states.input.s %}" }), true),
        (json!({ "Timestamp": "{% $states.input.t %}" }), true),
    ];
    for (fields, jsonata) in cases {
        let mut state = json!({ "Type": "Wait", "End": true });
        state.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut definition = machine(state);
        definition["QueryLanguage"] = json!(if jsonata { "JSONata" } else { "JSONPath" });
        let mut h = Harness::new();
        let execution = h.begin(&definition, &json!({ "s": 60, "t": until }));
        h.pass(59);
        assert_eq!(h.status(&execution), "RUNNING", "{fields}");
        h.pass(1);
        assert_eq!(h.status(&execution), "SUCCEEDED", "{fields}");
    }
}

#[test]
fn maps_and_parallels_give_results_in_order() {
    let map = |extra: Value| {
        let mut state = json!({
            "Type": "Map", "End": true, "ItemsPath": "$.items",
            "ItemSelector": { "v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index", "all.$": "$.base" },
            "ItemProcessor": { "StartAt": "W", "States": {
                // Later items are done first.
                "W": { "Type": "Wait", "SecondsPath": "$.v", "End": true },
            } },
        });
        state.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        machine(state)
    };
    let input = json!({ "items": [3, 2, 1], "base": "b" });
    let expected =
        json!([{ "v": 3, "i": 0, "all": "b" }, { "v": 2, "i": 1, "all": "b" }, { "v": 1, "i": 2, "all": "b" }]);
    for (extra, seconds) in [(json!({}), 3), (json!({ "MaxConcurrency": 1 }), 6), (json!({ "MaxConcurrency": 2 }), 3)] {
        let mut h = Harness::new();
        let execution = h.begin(&map(extra.clone()), &input);
        h.pass(seconds - 1);
        assert_eq!(h.status(&execution), "RUNNING", "{extra}");
        h.pass(1);
        assert_eq!(h.output(&execution), expected, "{extra}");
    }
    let branch = |seconds: i64| {
        json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": seconds, "Next": "P" },
            "P": { "Type": "Pass", "Result": seconds, "End": true } } })
    };
    let mut h = Harness::new();
    let parallel = machine(json!({ "Type": "Parallel", "Branches": [branch(2), branch(1)], "End": true }));
    let execution = h.begin(&parallel, &json!({}));
    h.pass(2);
    assert_eq!(h.output(&execution), json!([2, 1]));
}

#[test]
fn an_inline_map_runs_forty_at_a_time() {
    let definition = machine(json!({
        "Type": "Map", "End": true,
        "ItemProcessor": { "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 1, "End": true } } },
    }));
    let mut h = Harness::new();
    let execution = h.begin(&definition, &json!((0..100).collect::<Vec<_>>()));
    h.pass(2);
    assert_eq!(h.status(&execution), "RUNNING");
    h.pass(1);
    assert_eq!(h.status(&execution), "SUCCEEDED");
}

/// A definition's first complaint.
fn refused(state: Value) -> (String, String) {
    let mut h = Harness::new();
    let body = json!({ "definition": machine(state).to_string() });
    let answer = h.call("ValidateStateMachineDefinition", body).unwrap();
    let first = &answer["diagnostics"][0];
    (
        first["message"].as_str().unwrap_or_default().to_owned(),
        first["location"].as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
fn numbers_have_kinds_and_bounds() {
    let task = |more: Value| {
        let mut state = json!({ "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true });
        state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        state
    };
    let retry = |more: Value| {
        let mut retrier = json!({ "ErrorEquals": ["A"] });
        retrier.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task(json!({ "Retry": [retrier] }))
    };
    let wait = |seconds: Value| json!({ "Type": "Wait", "Seconds": seconds, "End": true });
    let cases = [
        (wait(json!(1.5)), "Expected value of type Integer", "/Seconds"),
        (wait(json!(-1)), "Minimum value is 0", "/Seconds"),
        (wait(json!(100_000_000)), "Maximum value is 99999999", "/Seconds"),
        (wait(json!("1")), "Expected value of type Number", "/Seconds"),
        (task(json!({ "TimeoutSeconds": 0 })), "Minimum value is 1", "/TimeoutSeconds"),
        (task(json!({ "TimeoutSeconds": 2.5 })), "Expected value of type Integer", "/TimeoutSeconds"),
        (
            task(json!({ "TimeoutSeconds": 5, "HeartbeatSeconds": 5 })),
            "HeartbeatSeconds must be smaller than TimeoutSeconds",
            "/HeartbeatSeconds",
        ),
        (retry(json!({ "IntervalSeconds": 0 })), "Minimum value is 1", "/Retry[0]/IntervalSeconds"),
        (retry(json!({ "IntervalSeconds": 1.5 })), "Expected value of type Integer", "/Retry[0]/IntervalSeconds"),
        (retry(json!({ "MaxAttempts": -1 })), "Minimum value is 0", "/Retry[0]/MaxAttempts"),
        (retry(json!({ "BackoffRate": 0.5 })), "Minimum value is 1", "/Retry[0]/BackoffRate"),
        (retry(json!({ "MaxDelaySeconds": 0 })), "Minimum value is 1", "/Retry[0]/MaxDelaySeconds"),
        (retry(json!({ "MaxDelaySeconds": 31_622_400 })), "Maximum value is 31622399", "/Retry[0]/MaxDelaySeconds"),
        (retry(json!({ "JitterStrategy": "SOME" })), "Value is not one of: [FULL, NONE]", "/Retry[0]/JitterStrategy"),
        (task(json!({ "Comment": 5 })), "Expected value of type String", "/Comment"),
        (json!({ "Type": "Fail", "Error": "a", "ErrorPath": "$.a" }), "There should only be one of the", ""),
        (json!({ "Type": "Fail", "CausePath": "States.Nothing()" }), "Value must be a valid JSONPath or", "/CausePath"),
        (
            json!({ "Type": "Pass", "Assign": { "states": 1 }, "End": true }),
            "'states' is not a valid variable name",
            "/Assign",
        ),
        (json!({ "Type": "Pass", "Assign": { ("x".repeat(81)): 1 }, "End": true }), "'xxx", "/Assign"),
        (
            json!({ "Type": "Pass", "ResultPath": "$.a[*]", "End": true }),
            "Value is not a Reference Path",
            "/ResultPath",
        ),
    ];
    for (state, message, field) in cases {
        let (found, location) = refused(state.clone());
        assert!(found.starts_with(message), "{state}: {found}");
        assert_eq!(location, format!("/States/Only{field}"), "{state}");
    }
    for state in [retry(json!({ "MaxAttempts": 0, "BackoffRate": 1, "MaxDelaySeconds": 1 })), wait(json!(0))] {
        assert_eq!(refused(state.clone()), Default::default(), "{state}");
    }
}

#[test]
fn a_map_s_parts_are_checked() {
    let map = |more: Value| {
        let mut state = json!({ "Type": "Map", "End": true, "ItemProcessor": {
            "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" },
            "StartAt": "I", "States": { "I": { "Type": "Succeed" } },
        } });
        state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        state
    };
    let reader = |config: Value| {
        map(json!({ "ItemReader": { "Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": config } }))
    };
    let cases = [
        (map(json!({ "Label": "a b" })), "/Label"),
        (map(json!({ "Label": "x".repeat(41) })), "/Label"),
        (map(json!({ "ToleratedFailurePercentage": 101 })), "/ToleratedFailurePercentage"),
        (map(json!({ "MaxConcurrency": -1 })), "/MaxConcurrency"),
        (reader(json!({ "InputType": "YAML" })), "/ItemReader/ReaderConfig/InputType"),
        (reader(json!({ "CSVDelimiter": ";" })), "/ItemReader/ReaderConfig/CSVDelimiter"),
        (reader(json!({ "Colour": 1 })), "/ItemReader/ReaderConfig"),
        (map(json!({ "ResultWriter": {} })), "/ResultWriter"),
        (
            map(json!({ "ResultWriter": { "WriterConfig": { "OutputType": "CSV" } } })),
            "/ResultWriter/WriterConfig/OutputType",
        ),
        (
            map(json!({ "ItemProcessor": { "StartAt": "I", "States": { "I": { "Type": "Succeed" } } }, "Label": "l" })),
            "",
        ),
    ];
    for (state, location) in cases {
        assert_eq!(refused(state.clone()).1, format!("/States/Only{location}"), "{state}");
    }
    assert_eq!(refused(map(json!({ "Label": "fits-in_it.1" }))), Default::default());
}

#[test]
fn failures_say_what_their_fields_come_to() {
    let fail = |fields: Value| {
        let mut state = json!({ "Type": "Fail" });
        state.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        machine(state)
    };
    let input = json!({ "e": "E", "c": "C", "n": 5 });
    let cases = [
        (fail(json!({ "Error": "A", "Cause": "B" })), ("A", "B")),
        (fail(json!({ "ErrorPath": "$.e", "CausePath": "$.c" })), ("E", "C")),
        (fail(json!({ "ErrorPath": "States.Format('{}-{}', $.e, $.n)" })), ("E-5", "")),
        (fail(json!({ "ErrorPath": "$$.State.Name", "CausePath": "States.JsonToString($.n)" })), ("Only", "5")),
        (
            fail(json!({ "QueryLanguage": "JSONata", "Error": "{% $states.input.e & '!' %}", "Cause": "plain" })),
            ("E!", "plain"),
        ),
    ];
    for (definition, (error, cause)) in cases {
        assert_eq!(run(&definition, &input), Err((error.into(), cause.into())), "{definition}");
    }
    let mistakes = [
        (fail(json!({ "ErrorPath": "$.n" })), "States.Runtime", "must be a string"),
        (
            fail(json!({ "QueryLanguage": "JSONata", "Error": "{% $states.input.n %}" })),
            "States.QueryEvaluationError",
            "returned an unexpected result type. Expected 'string', but was 'number' for value: 5",
        ),
    ];
    for (definition, name, why) in mistakes {
        let (error, cause) = run(&definition, &input).unwrap_err();
        assert!(error == name && cause.contains(why), "{definition}: {error}: {cause}");
    }
}

#[test]
fn arguments_that_grow_too_large_fail_the_state_and_can_be_caught() {
    let twice = json!({ "a.$": "$.text", "b.$": "$.text" });
    let definition = json!({ "StartAt": "Task", "States": {
        "Task": { "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": twice, "End": true,
            "Catch": [{ "ErrorEquals": ["States.DataLimitExceeded"], "Next": "Caught" }] },
        "Caught": { "Type": "Pass", "Result": "caught", "End": true },
    } });
    assert_eq!(run(&definition, &json!({ "text": "x".repeat(140_000) })), Ok(json!("caught")));
}

#[test]
fn every_operator_that_compares_has_a_form_with_a_path() {
    let input = json!({
        "one": 1, "two": 2, "a": "a", "b": "b", "yes": true, "no": false,
        "early": "2026-01-01T00:00:00Z", "late": "2026-06-01T00:00:00.5+02:00",
    });
    let families = [("Numeric", "one", "two"), ("String", "a", "b"), ("Timestamp", "early", "late")];
    let operators = [
        ("Equals", [false, true, false]),
        ("LessThan", [true, false, false]),
        ("LessThanEquals", [true, true, false]),
        ("GreaterThan", [false, false, true]),
        ("GreaterThanEquals", [false, true, true]),
    ];
    let mut cases = vec![
        ("BooleanEquals".to_owned(), "yes", "yes", true),
        ("BooleanEquals".to_owned(), "yes", "no", false),
        // A value of another kind is never equal, less or greater.
        ("NumericEquals".to_owned(), "one", "a", false),
        ("StringGreaterThanEquals".to_owned(), "a", "one", false),
        ("TimestampLessThan".to_owned(), "early", "a", false),
    ];
    for (family, low, high) in families {
        for (operator, held) in operators {
            let name = format!("{family}{operator}");
            cases.push((name.clone(), low, high, held[0]));
            cases.push((name.clone(), low, low, held[1]));
            cases.push((name, high, low, held[2]));
        }
    }
    for (operator, left, right, held) in cases {
        let left = format!("$.{left}");
        let literal = json!({ "Variable": left, (operator.clone()): input[right], "Next": "Yes" });
        let by_path = json!({ "Variable": left, (format!("{operator}Path")): format!("$.{right}"), "Next": "Yes" });
        for rule in [literal, by_path] {
            let definition = json!({ "StartAt": "Which", "States": {
                "Which": { "Type": "Choice", "Choices": [rule], "Default": "No" },
                "Yes": { "Type": "Pass", "Result": true, "End": true },
                "No": { "Type": "Pass", "Result": false, "End": true },
            } });
            let kinds = (operator.as_str(), right);
            // A literal of another kind is refused when the machine is made.
            if matches!(kinds, ("NumericEquals", "a") | ("StringGreaterThanEquals", "one") | ("TimestampLessThan", "a"))
                && rule.get(&operator).is_some()
            {
                let mut h = Harness::new();
                let body = json!({ "name": "m", "roleArn": harness::ROLE, "definition": definition.to_string() });
                assert_eq!(h.refused("CreateStateMachine", body), "InvalidDefinition", "{rule}");
                continue;
            }
            assert_eq!(run(&definition, &input), Ok(json!(held)), "{rule}");
        }
    }
}

#[test]
fn intrinsic_functions_keep_their_limits() {
    let long = "x".repeat(10_001);
    let input = json!({ "long": long, "fits": "x".repeat(10_000), "list": (0..1_000).collect::<Vec<_>>() });
    for expression in ["States.Base64Encode($.long)", "States.Base64Decode($.long)", "States.Hash($.long, 'MD5')"] {
        assert_eq!(intrinsic(expression, &input).unwrap_err().0, "States.IntrinsicFailure", "{expression}");
    }
    assert!(intrinsic("States.Base64Encode($.fits)", &input).is_ok());
    assert!(intrinsic("States.ArrayRange(1, 1000, 1)", &input).is_ok());
    let nested = |depth: usize| format!("{}$.list{}", "States.Array(".repeat(depth), ")".repeat(depth));
    assert!(intrinsic(&nested(10), &input).is_ok());
    let mut h = Harness::new();
    let state = json!({ "Type": "Pass", "Parameters": { "r.$": nested(11) }, "End": true });
    let body = json!({ "name": "m", "roleArn": harness::ROLE, "definition": machine(state).to_string() });
    assert_eq!(h.refused("CreateStateMachine", body), "InvalidDefinition");
    // Fractions are rounded where whole numbers are wanted.
    assert_eq!(intrinsic("States.ArrayPartition($.list[0:3], 1.6)", &input), Ok(json!([[0, 1], [2]])));
    assert_eq!(intrinsic("States.MathAdd(1.5, 1)", &input), Ok(json!(3)));
    assert_eq!(
        intrinsic(
            "States.JsonMerge(States.StringToJson('{\"a\":1,\"b\":1}'), States.StringToJson('{\"b\":2}'), false)",
            &input
        ),
        Ok(json!({ "a": 1, "b": 2 }))
    );
    let deep = intrinsic("States.JsonMerge($, $, true)", &input).unwrap_err();
    assert_eq!(deep.0, "States.IntrinsicFailure");
}

#[test]
fn variables_are_assigned_at_once_and_from_the_values_before() {
    let definition = json!({ "StartAt": "One", "States": {
        "One": { "Type": "Pass", "Assign": { "x": 1, "y": 2 }, "Next": "Swap" },
        "Swap": { "Type": "Pass", "Assign": { "x.$": "$y", "y.$": "$x" }, "Next": "Show" },
        "Show": { "Type": "Pass", "Parameters": { "x.$": "$x", "y.$": "$y" }, "End": true },
    } });
    assert_eq!(run(&definition, &json!({})), Ok(json!({ "x": 2, "y": 1 })));
    // The output of the state that assigns still sees the values before.
    let definition = json!({ "StartAt": "One", "QueryLanguage": "JSONata", "States": {
        "One": { "Type": "Pass", "Assign": { "x": 1 }, "Next": "Two" },
        "Two": { "Type": "Pass", "Assign": { "x": "{% $x + 1 %}" }, "Output": "{% $x %}", "Next": "Show" },
        "Show": { "Type": "Pass", "Output": { "before": "{% $states.input %}", "after": "{% $x %}" }, "End": true },
    } });
    assert_eq!(run(&definition, &json!({})), Ok(json!({ "before": 1, "after": 2 })));
}
