//! Describe, result and cancel: answered at once, in the API's field names, without the SQL.

use serde_json::{Map, Value, json};
use statement::Error;
use statement::answer::cell;
use statement::ports::{Cell, Description, Failure, FailureKind, Page, Ports};
use statement::request::{Format, Reference, ResultPage};

/// Largest answer of a synchronous invocation, in bytes (Lambda's 6 MB, with room for the envelope).
const ANSWER_LIMIT: usize = 6 * 1024 * 1024 - 64 * 1024;

pub(crate) async fn describe(ports: &Ports, statement: &Reference) -> Result<Value, Error> {
    let id = resolve(ports, statement).await?;
    let description = ports.data.describe(&id).await.map_err(|failure| failed(&id, failure))?;
    Ok(described(&description, true))
}

pub(crate) async fn result(ports: &Ports, wanted: &ResultPage) -> Result<Value, Error> {
    let id = resolve(ports, &wanted.statement).await?;
    let page = ports
        .data
        .result(&id, wanted.next_token.as_deref(), wanted.format)
        .await
        .map_err(|failure| failed(&id, failure))?;
    let output = paged(&id, page, wanted.format);
    if output.to_string().len() > ANSWER_LIMIT {
        return Err(Error::ResultTooLarge("one page does not fit into 6 MB; UNLOAD the result".to_owned()));
    }
    Ok(output)
}

/// Cancelling what has ended is no failure: a time limit and the end may cross.
pub(crate) async fn cancel(ports: &Ports, statement: &Reference) -> Result<Value, Error> {
    let id = resolve(ports, statement).await?;
    let refused = match ports.data.cancel(&id).await {
        Ok(status) => {
            tracing::info!(statement_id = id, cancelled = status, "cancel");
            return Ok(json!({"statementId": id, "Status": status}));
        }
        Err(failure) if matches!(failure.kind, FailureKind::Refused | FailureKind::NotFound) => failure,
        Err(failure) => return Err(failed(&id, failure)),
    };
    let description = ports.data.describe(&id).await.map_err(|failure| failed(&id, failure))?;
    match description.status.as_str() {
        "FINISHED" | "FAILED" | "ABORTED" => {
            Ok(json!({"statementId": id, "Status": false, "state": description.status}))
        }
        _ => Err(failed(&id, refused)),
    }
}

async fn resolve(ports: &Ports, statement: &Reference) -> Result<String, Error> {
    let arn = match statement {
        Reference::Id(id) => return Ok(id.clone()),
        Reference::LatestOf(arn) => arn,
    };
    let none = || Error::StatementNotFound(format!("the execution {arn} has no statement"));
    let key = ports.rows.of_execution(arn, 1).await?.into_iter().next().ok_or_else(none)?;
    let row = ports.rows.get(&key).await?.ok_or_else(none)?;
    if let Some(id) = row.statement_id {
        return Ok(id);
    }
    // The id may just not be recorded; the name was there before.
    let listed = ports.data.list(&row.statement_name).await?;
    listed.into_iter().find(|s| s.name == row.statement_name).map(|s| s.id).ok_or_else(none)
}

fn failed(id: &str, failure: Failure) -> Error {
    match failure.kind {
        FailureKind::NotFound => Error::StatementNotFound(id.to_owned()),
        FailureKind::Refused => Error::ValidationFailed(failure.to_string()),
        _ => failure.into(),
    }
}

fn described(d: &Description, whole: bool) -> Value {
    let seconds = |ms: Option<i64>| ms.map(|ms| json!(ms as f64 / 1000.0));
    let mut output = Map::new();
    let fields = [
        ("Id", Some(json!(d.id))),
        ("Status", Some(json!(d.status))),
        ("HasResultSet", Some(json!(d.has_result_set))),
        ("ResultRows", Some(json!(d.rows.unwrap_or(-1)))),
        ("ResultSize", Some(json!(d.bytes.unwrap_or(-1)))),
        ("Duration", Some(json!(d.duration_ns.unwrap_or(-1)))),
        ("RedshiftQueryId", Some(json!(d.query_id.unwrap_or(if whole { 0 } else { -1 })))),
        ("RedshiftPid", d.pid.map(Value::from)),
        ("Error", d.error.clone().map(Value::from)),
        ("Database", d.database.clone().map(Value::from)),
        ("DbUser", d.db_user.clone().map(Value::from)),
        ("ClusterIdentifier", d.cluster.clone().map(Value::from)),
        ("WorkgroupName", d.workgroup.clone().map(Value::from)),
        ("SessionId", d.session_id.clone().map(Value::from)),
        ("ResultFormat", d.format.clone().map(Value::from)),
        ("CreatedAt", seconds(d.created_at)),
        ("UpdatedAt", seconds(d.updated_at)),
    ];
    output.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    if !d.statements.is_empty() {
        output.insert("SubStatements".to_owned(), d.statements.iter().map(|s| described(s, false)).collect());
    }
    Value::Object(output)
}

fn paged(id: &str, page: Page, format: Format) -> Value {
    let mut output = Map::new();
    output.insert("statementId".to_owned(), json!(id));
    let columns = page.columns.into_iter().map(Value::Object).collect();
    output.insert("ColumnMetadata".to_owned(), Value::Array(columns));
    let records = match format {
        Format::Json => page.records.iter().map(|record| record.iter().map(field).collect::<Value>()).collect(),
        Format::Csv => page.csv.iter().map(|text| json!({"CSVRecords": text})).collect(),
    };
    output.insert("Records".to_owned(), Value::Array(records));
    output.insert("ResultFormat".to_owned(), json!(format.name()));
    if let Some(total) = page.total {
        output.insert("TotalNumRows".to_owned(), json!(total));
    }
    if let Some(next) = page.next {
        output.insert("NextToken".to_owned(), json!(next));
    }
    Value::Object(output)
}

/// A cell as the API's Field.
fn field(value: &Cell) -> Value {
    let name = match value {
        Cell::Null => return json!({"isNull": true}),
        Cell::Bool(_) => "booleanValue",
        Cell::Long(_) => "longValue",
        Cell::Double(_) => "doubleValue",
        Cell::Text(_) => "stringValue",
        Cell::Blob(_) => "blobValue",
    };
    json!({name: cell(value)})
}
