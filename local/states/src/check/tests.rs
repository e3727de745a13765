//! What is found, where, and in which words.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::file;

/// The findings as lines, without AWS's codes at their end.
fn found(text: &str) -> Vec<String> {
    file(text).iter().map(|one| one.to_string().rsplit_once(" [").unwrap().0.to_owned()).collect()
}

/// A machine of these states, pretty, so that every field has a line of its own.
fn machine(states: &Value) -> String {
    let first = states.as_object().unwrap().keys().next().unwrap().clone();
    serde_json::to_string_pretty(&json!({ "StartAt": first, "States": states })).unwrap()
}

fn task(more: Value) -> Value {
    let mut state = json!({ "Type": "Task", "Resource": "arn:aws:states:::aws-sdk:dynamodb:putItem", "End": true });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "A": state })
}

/// Every case has exactly one finding: its line starts so.
fn each(cases: &[(Value, &str)]) {
    for (states, expected) in cases {
        let text = machine(states);
        let found = found(&text);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}\n{text}\n{found:#?}");
    }
}

#[test]
fn mistakes_of_structure_say_where_and_what_to_do() {
    each(&[
        (
            json!({ "A": { "Type": "Pass", "Resultt": 1, "End": true } }),
            "6:7: error: there is no field 'Resultt' here: did you mean 'Result'?",
        ),
        (
            json!({ "A": { "Type": "Pass", "Colour": 1, "End": true } }),
            "6:7: error: there is no field 'Colour' here: remove it, or put notes for people into 'Comment'",
        ),
        (
            json!({ "A": { "Type": "Pass", "Output": 1, "End": true } }),
            "6:7: error: The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the 'JSONata'",
        ),
        (
            json!({ "Start": { "Type": "Pass", "Next": "Ende" }, "End": { "Type": "Succeed" } }),
            "6:15: error: there is no state 'Ende' here: did you mean 'End'?",
        ),
        (json!({ "A": { "Type": "Pass" } }), "4:10: error: the state leads nowhere: give it a 'Next'"),
        (
            json!({ "A": { "Type": "Pass", "End": true }, "B/[0]": { "Type": "Pass", "End": true } }),
            "8:5: error: nothing leads to the state 'B/[0]': name it in a 'Next'",
        ),
        (
            json!({ "A": { "Type": "Pass", "Next": "A" } }),
            "1:1: error: nothing here ends: a state needs '\"End\": true'",
        ),
        (
            json!({ "A": { "Type": "Task", "Resource": "lambda", "End": true } }),
            "6:19: error: this is no ARN of something that a Task can call",
        ),
    ]);
}

#[test]
fn paths_intrinsics_and_expressions_say_at_which_character() {
    let jsonata =
        |source: &str| json!({ "A": { "Type": "Pass", "QueryLanguage": "JSONata", "Output": source, "End": true } });
    each(&[
        (
            json!({ "A": { "Type": "Pass", "InputPath": "$.a[", "End": true } }),
            "6:24: error: '$.a[' is no path: ']' is missing at character 4",
        ),
        (
            json!({ "A": { "Type": "Pass", "Parameters": { "x": [{ "y.$": "$.b..", "z": 1 }] }, "End": true } }),
            "9:26: error: '$.b..' is no path: a name is missing at character 6; a constant stands under the name without",
        ),
        (
            json!({ "A": { "Type": "Pass", "Parameters": { "x.$": "States.Format('{}', $.a" }, "End": true } }),
            "7:40: error: 'States.Format('{}', $.a' is no call of an intrinsic function: ',' or ')' expected at character 24",
        ),
        (
            json!({ "A": { "Type": "Pass", "Parameters": { "x.$": "States.Formt($.a)" }, "End": true } }),
            "7:17: error: 'States.Formt($.a)' is no call of an intrinsic function: there is no function 'States.Formt'",
        ),
        (
            json!({ "A": { "Type": "Pass", "Parameters": { "x.$": 5 }, "End": true } }),
            "7:16: error: the value of 'x.$' must be a string with a path",
        ),
        (jsonata("{% $states.input.a + ) + 1 %}"), "7:39: error: the expression cannot be read at character 22:"),
        (jsonata("{% 1 + %}"), "7:23: error: the expression cannot be read at character 6:"),
        // Escapes in the text are one character of the expression.
        (jsonata("{% \"\\u00fc\" & ) %}"), "7:35: error: the expression cannot be read at character 15:"),
        (
            json!({ "A": { "Type": "Wait", "QueryLanguage": "JSONata", "Seconds": "{% 1 % }", "End": true } }),
            "7:18: error: '{% 1 % }' must be an expression between '{%' and '%}'",
        ),
    ]);
}

#[test]
fn what_is_taken_and_not_meant_is_a_warning() {
    let catch = |names: &[&[&str]]| {
        let entries: Vec<Value> = names.iter().map(|names| json!({ "ErrorEquals": names, "Next": "B" })).collect();
        let mut states = task(json!({ "Catch": entries }));
        states["B"] = json!({ "Type": "Succeed" });
        states
    };
    let wait = |resource: &str| json!({ "A": { "Type": "Task", "Resource": resource, "End": true } });
    each(&[
        (
            wait("arn:aws:states:::sqs:sendMessage.waitForTaskToken"),
            "4:10: warning: the task waits for a token without",
        ),
        (
            wait("arn:aws:states:::states:startExecution.sync:2"),
            "4:10: warning: the task waits for a job without a limit",
        ),
        (
            catch(&[&["States.Timeut"]]),
            "11:13: warning: there is no error 'States.Timeut': did you mean 'States.Timeout'?",
        ),
        (catch(&[&["States.Runtime"]]), "11:13: warning: nothing catches or retries 'States.Runtime'"),
        (catch(&[&["States.HeartbeatTimeout"]]), "11:13: warning: 'States.HeartbeatTimeout' cannot occur without"),
        (catch(&[&["States.BranchFailed"]]), "11:13: warning: 'States.BranchFailed' only occurs in a Parallel"),
        (
            catch(&[&["States.ItemReaderFailed"]]),
            "11:13: warning: 'States.ItemReaderFailed' only occurs in a distributed",
        ),
        (catch(&[&["States.QueryEvaluationError"]]), "11:13: warning: 'States.QueryEvaluationError' only occurs with"),
        (
            catch(&[&["DynamoDB.ConditionalCheckFailedException"]]),
            "11:13: warning: the errors of aws-sdk:dynamodb begin with 'DynamoDb.': write 'DynamoDb.ConditionalCheckFailed",
        ),
        (catch(&[&["A"], &["B", "A"]]), "18:13: warning: 'A' is never reached: an entry before it takes 'A'"),
        (
            catch(&[&["States.TaskFailed"], &["A"]]),
            "17:13: warning: 'A' is never reached: an entry before it takes 'St",
        ),
        (
            json!({ "A": { "Type": "Pass", "Assign": { "total": 1 }, "Next": "B" },
                    "B": { "Type": "Pass", "InputPath": "$totl.x", "End": true } }),
            "13:21: warning: no state assigns the variable '$totl': did you mean '$total'?",
        ),
        (
            json!({ "A": { "Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% 1 + $missing %}", "End": true } }),
            "7:25: warning: no state assigns the variable '$missing': a state before must have it in its 'Assign'",
        ),
        (
            json!({ "A": { "Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $eval('1') %}", "End": true } }),
            "7:21: warning: Step Functions has no $eval: $parse reads JSON",
        ),
    ]);
    let all = machine(&catch(&[&["States.ALL"], &["A"]]));
    let found = found(&all);
    assert!(
        found[0].starts_with("10:26: error: 'States.ALL' must be the only name and in the last entry"),
        "{found:#?}"
    );
}

#[test]
fn good_definitions_are_silent() {
    let good = [
        task(json!({
            "Retry": [{ "ErrorEquals": ["DynamoDb.ConditionalCheckFailedException", "States.Timeout"] },
                      { "ErrorEquals": ["States.TaskFailed"] }, { "ErrorEquals": ["States.ALL"] }],
        })),
        json!({ "A": { "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true,
                       "HeartbeatSeconds": 60, "Retry": [{ "ErrorEquals": ["States.HeartbeatTimeout", "DynamoDB.Mine"] }] } }),
        json!({ "A": { "Type": "Pass", "QueryLanguage": "JSONata", "End": true, "Assign": { "x": 1 },
                       "Output": "{% ($f := function($v) { $v + 1 }; $map([1..$x], $f) ~> $sum) & $uppercase('a') %}" } }),
        json!({ "A": { "Type": "Pass", "QueryLanguage": "JSONata", "End": true,
                       "Output": "{% $map(['a'], $uppercase) %}" } }),
        json!({ "A": { "Type": "Pass", "QueryLanguage": "JSONata", "End": true,
                       "Output": "{% 'costs $money' & $states.input.list#$i.{ 'n': $i } %}" } }),
        json!({ "A": { "Type": "Map", "End": true, "Catch": [{ "ErrorEquals": ["States.ItemReaderFailed"], "Next": "B" }],
                       "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" },
                           "StartAt": "I", "States": { "I": { "Type": "Pass", "End": true } } } },
                "B": { "Type": "Succeed" } }),
    ];
    for states in good {
        let text = machine(&states);
        assert_eq!(found(&text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn texts_that_are_no_json_say_where() {
    let cases = [
        (
            "{\n  \"StartAt\": \"A\",\n}",
            "3:1: error: this is not JSON: trailing comma: remove the comma in front of it",
        ),
        ("{\n  \"ü\" 5 }", "2:7: error: this is not JSON: expected `:`"),
        ("{ \"a\": 1\n  \"b\": 2 }", "2:3: error: this is not JSON: expected `,` or `}`: a comma or the closing brace"),
        ("{ \"a\": [1, ", "1:11: error: this is not JSON: EOF while parsing a value: the text ends in the middle"),
        ("", "1:1: error: this is not JSON: EOF while parsing a value"),
        ("[]", "1:1: error: A state machine definition is a JSON object"),
    ];
    for (text, expected) in cases {
        let found = found(text);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}\n{found:#?}");
    }
    let twice = "{ \"StartAt\": \"A\", \"States\": {\n \"A\": { \"Type\": \"Succeed\" },\n \"A\": { \"Type\": \"Succeed\" } } }";
    assert_eq!(
        found(twice),
        ["3:2: error: 'A' stands here a second time, and only the last one counts: remove one of them"]
    );
}

#[test]
fn what_cloudformation_fills_in_is_taken_as_filled_in() {
    let text = r#"{
      "StartAt": "Ask", "TimeoutSeconds": ${Limit},
      "States": {
        "Ask": { "Type": "Task", "Resource": "${FunctionArn}", "TimeoutSeconds": "${Timeout}", "HeartbeatSeconds": "${Beat}",
          "Next": "Token" },
        "Token": { "Type": "Task", "Resource": "arn:${AWS::Partition}:states:::lambda:invoke.waitForTaskToken",
          "TimeoutSeconds": 5, "Parameters": { "FunctionName": "${FunctionArn}", "x.$": "$.${Field}" }, "Next": "Which" },
        "Which": { "Type": "Choice", "Choices": [{ "Variable": "$.a", "NumericLessThan": ${Most}, "Next": "Wait" }],
          "Default": "Wait" },
        "Wait": { "Type": "Wait", "QueryLanguage": "JSONata", "Seconds": "{% ${Pause} + 1 %}", "End": true }
      }
    }"#;
    assert_eq!(found(text), Vec::<String>::new());
    // What does not hang on it is found all the same, and a dollar before a brace is no substitution by itself.
    let text = text.replace("\"End\": true", "\"End\": true, \"Assgin\": {}").replace("+ 1", "+ 1 + ${'a': 1}.a");
    assert_eq!(found(&text), ["10:123: error: there is no field 'Assgin' here: did you mean 'Assign'?"]);
}
