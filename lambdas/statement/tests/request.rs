//! Requests: what is taken, and what is refused by field, problem and what is allowed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use statement::request::{Action, Mode, Names, Reference, Request, ResultMode, Source};
use statement::target::Target;
use statement::{Error, error_names};

const ARN: &str = "arn:aws:states:eu-west-1:000000000000:execution:m:one";
const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn allowed() -> Vec<Target> {
    vec![Target::from_json(&json!({"workgroupName": "wg1", "database": "dev"}), "t").unwrap()]
}

fn parse(event: &Value) -> Result<Request, Error> {
    Request::parse(event, &allowed())
}

#[test]
fn every_field_is_read() {
    let event = json!({
        "action": "executeSingletonStatement", "sqlStatement": "select :a, :b", "executionMode": "AUTO_COMMIT",
        "parameters": {"a": 1.50, "b": true}, "taskToken": "t", "executionArn": ARN, "idempotencyKey": "k",
        "sessionKeepAliveSeconds": 86_400, "resultFormat": "JSON", "result": "inline", "errorNames": "detailed",
        "target": {"workgroupName": "wg1", "database": "dev"}
    });
    let Request::Execute(execute) = parse(&event).unwrap() else { panic!("not execute") };
    assert_eq!((execute.action, execute.mode), (Action::Singleton, Mode::AutoCommit));
    assert_eq!(execute.source, Source::Text("select :a, :b".to_owned()));
    assert_eq!(
        execute.parameters.into_iter().collect::<Vec<_>>(),
        [("a".into(), "1.5".into()), ("b".into(), "true".into())]
    );
    assert_eq!((execute.result, execute.names), (ResultMode::Inline, Names::Detailed));
    assert_eq!((execute.session_keep_alive, execute.target), (Some(86_400), allowed().pop()));
    // The API's own form of parameters, and JSON null as absence.
    let event = json!({"sqlStatement": "select :a", "parameters": [{"name": "a", "value": "x"}], "target": null, "taskToken": null});
    assert!(parse(&event).is_ok());
    let latest = json!({"action": "cancelStatement", "statementId": "LATEST", "executionArn": ARN});
    assert_eq!(parse(&latest).unwrap(), Request::Cancel(Reference::LatestOf(ARN.to_owned())));
    let sub = json!({"action": "getStatementResult", "statementId": format!("{ID}:12"), "nextToken": "n", "resultFormat": "CSV"});
    assert!(matches!(parse(&sub), Ok(Request::Result(_))));
}

#[test]
fn what_is_wrong_is_named() {
    let sql = |more: Value| {
        let mut event = json!({"sqlStatement": "select 1"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let cases = [
        (json!([]), "request"),
        (json!({}), "action"),
        (json!({"action": "explode"}), "action"),
        (json!({"action": 5}), "action"),
        (json!({"action": "executeStatement"}), "sqlStatement"),
        (json!({"sqlStatement": 5}), "sqlStatement"),
        (json!({"sqlStatement": " ; -- nothing"}), "sqlStatement"),
        (json!({"sqlStatements": "select 1"}), "sqlStatements"),
        (json!({"sqlStatements": []}), "sqlStatements"),
        (json!({"sqlStatements": ["select 1", 2]}), "sqlStatements"),
        (json!({"sqlStatements": ["select 1; select 2"]}), "sqlStatements[0]"),
        (json!({"sqlStatements": vec!["select 1"; 41]}), "sqlStatements"),
        (json!({"scriptKey": ""}), "scriptKey"),
        (sql(json!({"sqlStatements": ["select 1"]})), "sqlStatements"),
        (sql(json!({"scriptKey": "a.sql"})), "scriptKey"),
        (sql(json!({"sqlStatment": "select 1"})), "sqlStatment"),
        (sql(json!({"statementId": ID})), "statementId"),
        (sql(json!({"nextToken": "n"})), "nextToken"),
        (sql(json!({"executionMode": "auto"})), "executionMode"),
        (sql(json!({"result": true})), "result"),
        (sql(json!({"errorNames": "short"})), "errorNames"),
        (sql(json!({"resultFormat": "PARQUET"})), "resultFormat"),
        (sql(json!({"resultFormat": "CSV", "result": "inline"})), "resultFormat"),
        (sql(json!({"taskToken": ""})), "taskToken"),
        (sql(json!({"taskToken": "x".repeat(2_049)})), "taskToken"),
        (sql(json!({"executionArn": "one"})), "executionArn"),
        (sql(json!({"idempotencyKey": 5})), "idempotencyKey"),
        (sql(json!({"sessionId": "mine"})), "sessionId"),
        (sql(json!({"sessionKeepAliveSeconds": 86_401})), "sessionKeepAliveSeconds"),
        (sql(json!({"sessionKeepAliveSeconds": "60"})), "sessionKeepAliveSeconds"),
        (sql(json!({"sessionKeepAliveSeconds": -1})), "sessionKeepAliveSeconds"),
        (sql(json!({"sessionId": ID, "target": {"workgroupName": "wg1", "database": "dev"}})), "target"),
        (sql(json!({"target": {"workgroupName": "wg1", "database": "other"}})), "target"),
        (sql(json!({"target": {"workgroup": "wg1"}})), "target.workgroup"),
        (sql(json!({"parameters": "a"})), "parameters"),
        (sql(json!({"parameters": {"a": 1}})), "parameters.a"),
        (json!({"sqlStatement": "select ':a' -- :a", "parameters": {"a": 1}}), "parameters.a"),
        (json!({"sqlStatement": "select :a", "parameters": {"a": null}}), "parameters.a"),
        (json!({"sqlStatement": "select :a", "parameters": {"a": ""}}), "parameters.a"),
        (json!({"sqlStatement": "select :a", "parameters": {"a": [1]}}), "parameters.a"),
        (json!({"sqlStatement": "select :a", "parameters": {"a-b": 1}}), "parameters.a-b"),
        (json!({"sqlStatement": "select :a", "parameters": [{"value": "1"}]}), "parameters[0].name"),
        (
            json!({"sqlStatement": "select :a", "parameters": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}),
            "parameters.a",
        ),
        (json!({"action": "describeStatement"}), "statementId"),
        (json!({"action": "describeStatement", "statementId": "LATEST"}), "executionArn"),
        (json!({"action": "describeStatement", "statementId": "newest"}), "statementId"),
        (json!({"action": "describeStatement", "statementId": ID, "taskToken": "t"}), "taskToken"),
        (json!({"action": "cancelStatement", "statementId": ID, "sqlStatement": "select 1"}), "sqlStatement"),
        (json!({"action": "cancelStatement", "statementId": ID, "nextToken": "n"}), "nextToken"),
    ];
    for (event, path) in cases {
        match parse(&event) {
            Err(Error::InvalidRequest { field, problem, allowed }) => {
                assert_eq!(field, path, "{event}");
                assert!(!problem.is_empty() && !allowed.is_empty());
                assert!(!problem.contains("select") && !field.contains("select"), "no SQL in messages: {problem}");
            }
            other => panic!("{event}: {other:?}"),
        }
    }
}

#[test]
fn a_text_of_several_statements_goes_as_one_batch() {
    let Request::Execute(execute) = parse(&json!({"sqlStatement": "begin work; select ';'; commit;"})).unwrap() else {
        panic!()
    };
    let statements = execute.resolve(None).unwrap();
    assert_eq!(statements, ["begin work", "select ';'", "commit"]);
    assert!(execute.batch(statements.len()) && !execute.batch(1));
    // What never ends is left to the database, whose message a person knows; a script is refused before anything runs.
    let Request::Execute(execute) = parse(&json!({"sqlStatement": "select 'a"})).unwrap() else { panic!() };
    assert_eq!(execute.resolve(None).unwrap(), ["select 'a"]);
    let Request::Execute(script) = parse(&json!({"scriptKey": "a.sql"})).unwrap() else { panic!() };
    assert_eq!(script.resolve(Some("select 'a".to_owned())).unwrap_err().name(), "InvalidRequest");
    // 40 fit, 41 do not; the limit of a text.
    assert_eq!(script.resolve(Some("select 1;".repeat(40))).unwrap().len(), 40);
    let error = script.resolve(Some("select 1;".repeat(41))).unwrap_err().to_string();
    assert!(error.contains("41 statements") && error.contains("split"), "{error}");
    let long = format!("select '{}'", "x".repeat(statement::request::TEXT_LIMIT));
    assert!(script.resolve(Some(long)).unwrap_err().to_string().contains("statement 1"));
}

#[test]
fn names_are_spelled_once() {
    let names = error_names();
    for name in &names {
        assert!(name.raised || name.answered);
        assert_eq!(names.iter().filter(|n| n.name == name.name).count(), 1, "{}", name.name);
    }
    for (name, transient) in [
        ("FAILED", false),
        ("Redshift.SerializationConflict", true),
        ("Redshift.Syntax", false),
        ("Throttled", true),
        ("SubmitInterrupted", true),
        ("InvalidRequest", false),
    ] {
        assert!(names.iter().any(|n| n.name == name && n.transient == transient), "{name}");
    }
}
