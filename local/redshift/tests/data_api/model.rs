//! The service model as botocore ships it (redshift-data 2019-12-20), cut to what this Data API answers: every answer
//! of every test is held against it.

use redshift::ApiError;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// Shapes by name; members `name: shape`, `!` for required, `[shape]` for a list.
fn shapes() -> &'static Map<String, Value> {
    static SHAPES: OnceLock<Map<String, Value>> = OnceLock::new();
    SHAPES.get_or_init(|| {
        let submitted = json!({
            "Id": "id", "CreatedAt": "time", "ClusterIdentifier": "text", "DbUser": "text", "DbGroups": "[text]",
            "Database": "text", "SecretArn": "text", "WorkgroupName": "text", "SessionId": "id",
        });
        let part = json!({
            "Id": "!id", "Duration": "long", "Error": "text", "Status": "part_status", "CreatedAt": "time",
            "UpdatedAt": "time", "QueryString": "text", "ResultRows": "long", "ResultSize": "long",
            "RedshiftQueryId": "long", "HasResultSet": "bool",
        });
        let described = json!({
            "Id": "!id", "SecretArn": "text", "DbUser": "text", "Database": "text", "ClusterIdentifier": "text",
            "Duration": "long", "Error": "text", "Status": "status", "CreatedAt": "time", "UpdatedAt": "time",
            "RedshiftPid": "long", "HasResultSet": "bool", "QueryString": "text", "ResultRows": "long",
            "ResultSize": "long", "RedshiftQueryId": "long", "QueryParameters": "[parameter]",
            "SubStatements": "[part]", "WorkgroupName": "text", "ResultFormat": "format", "SessionId": "text",
            // Newer than the model at hand, documented in the API reference.
            "ExecutionMode": "mode",
        });
        let listed = json!({
            "Id": "!id", "QueryString": "text", "QueryStrings": "[text]", "SecretArn": "text", "Status": "status",
            "StatementName": "text", "CreatedAt": "time", "UpdatedAt": "time", "QueryParameters": "[parameter]",
            "IsBatchStatement": "bool", "ResultFormat": "format", "SessionId": "id",
        });
        let column = json!({
            "isCaseSensitive": "bool", "isCurrency": "bool", "isSigned": "bool", "label": "text", "name": "text",
            "nullable": "long", "precision": "long", "scale": "long", "schemaName": "text", "tableName": "text",
            "typeName": "text", "length": "long", "columnDefault": "text",
        });
        let all = json!({
            "ExecuteStatement": submitted,
            "BatchExecuteStatement": submitted,
            "DescribeStatement": described,
            "CancelStatement": { "Status": "bool" },
            "GetStatementResult": {
                "Records": "![[field]]", "ColumnMetadata": "[column]", "TotalNumRows": "long", "NextToken": "text",
            },
            "GetStatementResultV2": {
                "Records": "![csv]", "ColumnMetadata": "[column]", "TotalNumRows": "long", "NextToken": "text",
                "ResultFormat": "format",
            },
            "ListStatements": { "Statements": "![listed]", "NextToken": "text" },
            "part": part, "listed": listed, "column": column,
            "parameter": { "name": "!text", "value": "!text" },
            "csv": { "CSVRecords": "!text" },
        });
        match all {
            Value::Object(all) => all,
            other => panic!("{other}"),
        }
    })
}

fn one_of(value: &Value, allowed: &[&str]) -> bool {
    value.as_str().is_some_and(|text| allowed.contains(&text))
}

fn id(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let (id, part) = text.split_once(':').unwrap_or((text, "1"));
    uuid_like(id) && part.len() <= 2 && part.parse::<u8>().is_ok()
}

fn uuid_like(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && !text.contains(|c: char| c.is_ascii_uppercase())
}

fn check(path: &str, shape: &str, value: &Value) {
    let good = match shape {
        "text" => value.is_string(),
        "long" => value.is_i64(),
        "bool" => value.is_boolean(),
        "time" => value.as_f64().is_some_and(|seconds| seconds > 1.0e9 && seconds < 1.0e10),
        "id" => id(value),
        "status" => one_of(value, &["SUBMITTED", "PICKED", "STARTED", "FINISHED", "ABORTED", "FAILED", "ALL"]),
        "part_status" => one_of(value, &["SUBMITTED", "PICKED", "STARTED", "FINISHED", "ABORTED", "FAILED"]),
        "format" => one_of(value, &["JSON", "CSV"]),
        "mode" => one_of(value, &["TRANSACTION", "AUTO_COMMIT"]),
        "field" => field(value),
        list if list.starts_with('[') => {
            let of = &list[1..list.len() - 1];
            let entries = value.as_array().unwrap_or_else(|| panic!("{path} is no list: {value}"));
            for (index, entry) in entries.iter().enumerate() {
                check(&format!("{path}[{index}]"), of, entry);
            }
            true
        }
        structure => {
            members(path, structure, value);
            true
        }
    };
    assert!(good, "{path} is no {shape}: {value}");
}

/// The union `Field`: exactly one member, of its type.
fn field(value: &Value) -> bool {
    let Some(members) = value.as_object().filter(|members| members.len() == 1) else { return false };
    members.iter().all(|(name, value)| match name.as_str() {
        "isNull" | "booleanValue" => value.is_boolean(),
        "longValue" => value.is_i64(),
        "doubleValue" => value.is_f64() || one_of(value, &["NaN", "Infinity", "-Infinity"]),
        "stringValue" => value.is_string(),
        _ => false,
    })
}

fn members(path: &str, shape: &str, value: &Value) {
    let known = shapes().get(shape).unwrap_or_else(|| panic!("no shape {shape}")).as_object().unwrap();
    let members = value.as_object().unwrap_or_else(|| panic!("{path} is no structure: {value}"));
    for (name, shape) in known {
        let shape = shape.as_str().unwrap();
        let required = shape.starts_with('!');
        match members.get(name) {
            Some(value) => check(&format!("{path}.{name}"), shape.trim_start_matches('!'), value),
            None => assert!(!required, "{path}.{name} is missing in {value}"),
        }
    }
    for name in members.keys() {
        assert!(known.contains_key(name), "{path} has a member {name} that the model does not know");
    }
}

pub fn valid_output(operation: &str, answer: &Value) {
    members(operation, operation, answer);
}

/// The errors an operation has in the model, and the two that every operation has.
pub fn valid_error(operation: &str, error: &ApiError) {
    let own: &[&str] = match operation {
        "ExecuteStatement" | "BatchExecuteStatement" => {
            &["ActiveSessionsExceededException", "ActiveStatementsExceededException", "ResourceNotFoundException"]
        }
        _ => &["ResourceNotFoundException"],
    };
    let code = error.code.as_str();
    let common = ["ValidationException", "ThrottlingException", "SerializationException", "UnknownOperationException"];
    assert!(own.contains(&code) || common.contains(&code), "{operation} has no {error}");
    assert_eq!(error.status, 400, "{error}");
    assert_eq!(error.extra.contains_key("ResourceId"), code == "ResourceNotFoundException", "{error}");
}
