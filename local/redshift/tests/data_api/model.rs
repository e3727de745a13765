//! The outputs and errors of the service model (redshift-data 2019-12-20, as botocore 1.44.5 ships it): every answer of
//! every test is held against this table, and the table against the model itself where `TASKER_BOTOCORE` names it.

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
            "Status": "part_status", "RedshiftPid": "long", "HasResultSet": "bool",
        });
        let part = json!({
            "Id": "!id", "Duration": "long", "Error": "text", "Status": "part_status", "CreatedAt": "time",
            "UpdatedAt": "time", "QueryString": "text", "ResultRows": "long", "ResultSize": "long",
            "RedshiftQueryId": "long", "HasResultSet": "bool", "RedshiftQueryUuid": "text",
        });
        let described = json!({
            "Id": "!id", "SecretArn": "text", "DbUser": "text", "Database": "text", "ClusterIdentifier": "text",
            "Duration": "long", "Error": "text", "Status": "status", "CreatedAt": "time", "UpdatedAt": "time",
            "RedshiftPid": "long", "HasResultSet": "bool", "QueryString": "text", "ResultRows": "long",
            "ResultSize": "long", "RedshiftQueryId": "long", "QueryParameters": "[parameter]",
            "SubStatements": "[part]", "WorkgroupName": "text", "ResultFormat": "format", "SessionId": "text",
            "ExecutionMode": "mode", "RedshiftQueryUuid": "text",
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
        let session = json!({
            "SessionId": "!id", "Status": "!session_status", "CreatedAt": "!time", "UpdatedAt": "time",
            "Database": "text", "DbUser": "text", "ClusterIdentifier": "text", "WorkgroupName": "text",
            "SessionAliveSeconds": "long", "SessionTtl": "time", "CurrentStatementId": "id",
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
            "ListSessions": { "Sessions": "![session]", "NextToken": "text" },
            "ListDatabases": { "Databases": "[text]", "NextToken": "text" },
            "ListSchemas": { "Schemas": "[text]", "NextToken": "text" },
            "ListTables": { "Tables": "[table]", "NextToken": "text" },
            "DescribeTable": { "TableName": "text", "ColumnList": "[column]", "NextToken": "text" },
            "table": { "name": "text", "type": "text", "schema": "text" },
            "session": session,
            "part": part, "listed": listed, "column": column,
            "parameter": { "name": "!text", "value": "!text" },
            "csv": { "CSVRecords": "text" },
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
        "session_status" => one_of(value, &["AVAILABLE", "BUSY", "CLOSED"]),
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

/// The errors that each operation has in the model.
fn errors(operation: &str) -> Vec<&'static str> {
    let own: &[&str] = match operation {
        "ExecuteStatement" => {
            &["ActiveSessionsExceededException", "ActiveStatementsExceededException", "ExecuteStatementException"]
        }
        "BatchExecuteStatement" => {
            &["ActiveSessionsExceededException", "ActiveStatementsExceededException", "BatchExecuteStatementException"]
        }
        "DescribeStatement" | "GetStatementResult" | "GetStatementResultV2" => {
            &["ActiveWaitingRequestsExceededException"]
        }
        "ListStatements" | "ListSessions" => &[],
        _ => &["QueryTimeoutException", "DatabaseConnectionException"],
    };
    let mut all = vec!["ValidationException", "ResourceNotFoundException", "InternalServerException"];
    all.extend(own);
    all
}

/// What an operation may answer besides 200: its errors, and those that every operation has.
pub fn valid_error(operation: &str, error: &ApiError) {
    let code = error.code.as_str();
    let common = ["ThrottlingException", "SerializationException", "UnknownOperationException"];
    assert!(errors(operation).contains(&code) || common.contains(&code), "{operation} has no {error}");
    assert_eq!(error.status, 400, "{error}");
    assert_eq!(error.extra.contains_key("ResourceId"), code == "ResourceNotFoundException", "{error}");
}

/// The scalars of the table and the shapes of the model that they stand for.
const SCALARS: [(&str, &[&str]); 10] = [
    ("text", &["String", "SecretArn", "WorkgroupNameString", "ClusterIdentifierString", "StatementNameString"]),
    ("long", &["Long", "BoxedLong", "Integer", "SessionAliveSeconds"]),
    ("bool", &["Boolean", "BoxedBoolean", "bool"]),
    ("time", &["Timestamp"]),
    ("id", &["UUID"]),
    ("status", &["StatusString"]),
    ("part_status", &["StatementStatusString"]),
    ("session_status", &["SessionStatusString"]),
    ("format", &["ResultFormatString"]),
    ("mode", &["ExecutionMode"]),
];
/// The same of texts with longer names.
const TEXTS: [&str; 4] = ["StatementString", "ParameterName", "ParameterValue", "CSVRecords"];

/// Holds one shape of the table against one of the model.
fn agrees(model: &Value, path: &str, ours: &str, theirs: &str) {
    let shape = &model["shapes"][theirs];
    match shape["type"].as_str() {
        Some("list") => {
            let of = ours.strip_prefix('[').and_then(|o| o.strip_suffix(']'));
            let of = of.unwrap_or_else(|| panic!("{path}: {ours} is a list in the model"));
            agrees(model, path, of, shape["member"]["shape"].as_str().unwrap());
        }
        Some("structure") if ours == "field" => {
            assert_eq!((theirs, &shape["union"]), ("Field", &json!(true)), "{path}")
        }
        Some("structure") => {
            let table = shapes()[ours].as_object().unwrap();
            let members = shape["members"].as_object().unwrap();
            let names = |map: &Map<String, Value>| map.keys().cloned().collect::<std::collections::BTreeSet<_>>();
            assert_eq!(names(table), names(members), "{path}");
            for (name, member) in members {
                let ours = table[name].as_str().unwrap();
                let required = shape["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
                assert_eq!(ours.starts_with('!'), required, "{path}.{name}");
                let theirs = member["shape"].as_str().unwrap();
                agrees(model, &format!("{path}.{name}"), ours.trim_start_matches('!'), theirs);
            }
        }
        _ => {
            let stands_for = SCALARS.iter().find(|(_, shapes)| shapes.contains(&theirs)).map_or("text", |(of, _)| of);
            let known = SCALARS.iter().any(|(_, shapes)| shapes.contains(&theirs)) || TEXTS.contains(&theirs);
            assert!(known && stands_for == ours, "{path}: {ours} stands for {theirs}");
        }
    }
}

/// The model of an installed botocore. `TASKER_BOTOCORE` is its folder
/// (`python -c 'import botocore; print(botocore.__path__[0])'`); without it there is nothing to compare with.
fn model() -> Option<Value> {
    let Some(botocore) = std::env::var_os("TASKER_BOTOCORE") else {
        eprintln!("not run: TASKER_BOTOCORE does not name an installed botocore");
        return None;
    };
    let file = std::path::Path::new(&botocore).join("data/redshift-data/2019-12-20/service-2.json.gz");
    let packed = std::fs::File::open(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Some(serde_json::from_reader(flate2::read::GzDecoder::new(packed)).unwrap())
}

#[test]
fn the_table_is_the_service_model() {
    let Some(model) = model() else { return };
    let operations = model["operations"].as_object().unwrap();
    assert_eq!(operations.len(), 12, "operations");
    for (name, operation) in operations {
        agrees(&model, name, name, operation["output"]["shape"].as_str().unwrap());
        let theirs: Vec<&str> =
            operation["errors"].as_array().unwrap().iter().map(|e| e["shape"].as_str().unwrap()).collect();
        let mut ours = errors(name);
        ours.sort_unstable();
        let mut theirs = theirs;
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "errors of {name}");
    }
}

/// Every member of every request is read: none is refused as unknown.
#[tokio::test]
async fn requests_have_the_members_of_the_service_model() {
    let Some(model) = model() else { return };
    let setting = crate::setting::Setting::new().await;
    for (name, operation) in model["operations"].as_object().unwrap() {
        let input = &model["shapes"][operation["input"]["shape"].as_str().unwrap()];
        let members = input["members"].as_object().unwrap();
        let body: Map<String, Value> = members.keys().map(|member| (member.clone(), Value::Null)).collect();
        // Members that are null are absent; some that is required is then missed, and nothing else.
        if let Err(error) = setting.call(name, Value::Object(body)).await {
            assert!(!error.message.contains("does not support"), "{name}: {error}");
        }
    }
}
