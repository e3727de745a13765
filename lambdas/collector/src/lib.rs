//! The collector function: keeps the whole result of a query in the results bucket, or what went wrong. A function of
//! its own, so that a large result never holds up completions; it holds a page and two parts, never the result.
//! It answers no task and submits nothing.

mod buffer;

use std::sync::Arc;
use std::time::Duration;

use aws::objects::{Objects, Upload};
use aws::{Refusal, RunError};
use base64::Engine as _;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use statement::ports::{Cell, DataApi, FailureKind, Page};
use statement::request::Format;
use workflow::field::{Column, Field};
use workflow::status::{Failure, State, Status};
use workflow::{csv, result};

use buffer::Buffer;

/// Where a query's outcome goes: `keep` of a request.
struct Keep<'e> {
    query: &'e str,
    round: u8,
    status_key: &'e str,
    result_key: &'e str,
    csv_key: &'e str,
    error_key: &'e str,
}

/// Handles `keepResult` and `keepFailure`.
///
/// # Errors
/// What the services refuse; `RowCountMismatch` when the result is not complete.
pub async fn handle(
    data: &dyn DataApi,
    results: &Objects,
    event: &Value,
    now: DateTime<Utc>,
) -> Result<Value, Refusal> {
    let keep = Keep::read(event)?;
    let started = text(event, "startedAt").ok().and_then(|text| text.parse().ok());
    let execution = json!({"executionArn": event["executionArn"]});
    let status = match event["action"].as_str() {
        Some("keepResult") => {
            let statement = &event["statement"];
            let rows = keep_result(data, results, &keep, statement).await?;
            let mut status = Status::new(keep.query, State::Finished, keep.round).with_answer(statement);
            status.rows = Some(rows);
            status
        }
        Some("keepFailure") => {
            let (error, cause) = (text(event, "error")?, text(event, "cause")?);
            let failure = Failure::read(error, cause);
            let state = match error {
                "Redshift.Timeout" | "Redshift.Cancelled" => State::Aborted,
                _ => State::Failed,
            };
            let cause: Value = serde_json::from_str(cause).unwrap_or_else(|_| json!(cause));
            let kept = json!({
                "query": keep.query, "round": keep.round, "error": error, "cause": cause,
                "at": now.to_rfc3339_opts(SecondsFormat::Millis, true),
            });
            results.put(keep.error_key, format!("{kept:#}\n").into_bytes(), JSON).await?;
            Status::new(keep.query, state, keep.round).with_answer(&cause).with_error(failure)
        }
        _ => return Err(Refusal::request("action", "is missing or unknown", "keepResult, keepFailure")),
    };
    let status = status.with_answer(&execution).with_times(started, Some(now));
    let text = serde_json::to_vec_pretty(&status)
        .map_err(|error| Refusal::new("Internal", format!("the status cannot be written: {error}")))?;
    results.put(keep.status_key, text, JSON).await?;
    tracing::info!(query = keep.query, round = keep.round, status = status.status.name(), "kept");
    Ok(json!({"query": keep.query, "status": status.status.name(), "rows": status.rows}))
}

/// How often a page is tried again, and the pauses: about a minute and a half in all.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
const JSON: &str = "application/json";
const CSV: &str = "text/csv; charset=utf-8";

/// Writes the result as typed JSON and as CSV; how many rows it has.
async fn keep_result(
    data: &dyn DataApi,
    results: &Objects,
    keep: &Keep<'_>,
    statement: &Value,
) -> Result<u64, Refusal> {
    let Some(id) = result_id(statement) else {
        results.put(keep.result_key, br#"{"ColumnMetadata":[],"TotalNumRows":0,"Records":[]}"#.to_vec(), JSON).await?;
        results.put(keep.csv_key, Vec::new(), CSV).await?;
        return Ok(0);
    };
    let mut typed = Sink { upload: results.upload(keep.result_key, JSON), buffer: Buffer::default() };
    let mut plain = Sink { upload: results.upload(keep.csv_key, CSV), buffer: Buffer::default() };
    match copy(data, &id, statement, &mut typed, &mut plain).await {
        Ok(rows) => {
            // The CSV first: what reads results looks for the JSON.
            plain.upload.finish().await?;
            typed.upload.finish().await?;
            Ok(rows)
        }
        Err(refusal) => {
            // What cannot be given up now is swept by the bucket's lifecycle.
            let _ = typed.upload.abort().await;
            let _ = plain.upload.abort().await;
            Err(refusal)
        }
    }
}

/// An object that is written through a buffer, because rows are written synchronously and parts are not.
struct Sink {
    upload: Upload,
    buffer: Buffer,
}

impl Sink {
    async fn send(&mut self) -> Result<(), Refusal> {
        Ok(self.upload.push(&self.buffer.take()).await?)
    }
}

async fn copy(
    data: &dyn DataApi,
    id: &str,
    statement: &Value,
    typed: &mut Sink,
    plain: &mut Sink,
) -> Result<u64, Refusal> {
    let mut page = next_page(data, id, None).await?;
    let columns = columns(&page)?;
    let said = statement["rows"].as_u64().filter(|_| statement.get("subStatements").is_none());
    let total = page.total.and_then(|total| u64::try_from(total).ok()).or(said).unwrap_or_default();
    if said.is_some_and(|said| said != total) {
        let refused = result::Error::RowCount { expected: said.unwrap_or_default(), found: total };
        return Err(Refusal::new(refused.name(), refused.to_string()));
    }
    let mut json = result::Writer::new(typed.buffer.clone(), &columns, total).map_err(refused)?;
    let mut csv = csv::Writer::new(plain.buffer.clone(), &columns).map_err(|error| refused(error.into()))?;
    loop {
        for record in &page.records {
            let row: Vec<Field> = record.iter().map(field).collect();
            json.row(&row).map_err(refused)?;
            csv.row(&row).map_err(|error| refused(error.into()))?;
        }
        typed.send().await?;
        plain.send().await?;
        let Some(next) = page.next else { break };
        page = next_page(data, id, Some(&next)).await?;
    }
    json.finish().map_err(refused)?;
    typed.send().await?;
    Ok(total)
}

/// A page. GetStatementResult may be called 20 times a second in an account: who is refused for now waits, so that a long
/// result need not begin anew.
async fn next_page(data: &dyn DataApi, id: &str, next: Option<&str>) -> Result<Page, Refusal> {
    let mut pause = PAUSE;
    for _ in 0..TRIES {
        match data.result(id, next, Format::Json).await {
            Err(failure) if matches!(failure.kind, FailureKind::Throttled | FailureKind::Unavailable) => {
                // Two that were refused together do not come again together.
                let share = Utc::now().timestamp_subsec_micros() % 1_000;
                tokio::time::sleep(pause / 2 + pause * share / 2_000).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            other => return Ok(other?),
        }
    }
    Ok(data.result(id, next, Format::Json).await?)
}

fn refused(error: result::Error) -> Refusal {
    Refusal::new(error.name(), error.to_string())
}

/// The statement whose result is the query's: of a batch the last one that has a result.
fn result_id(statement: &Value) -> Option<String> {
    let id = |value: &Value| value["statementId"].as_str().map(str::to_owned);
    match statement["subStatements"].as_array() {
        Some(parts) => parts.iter().rev().find(|part| part["hasResultSet"] == true).and_then(id),
        None => Some(statement).filter(|statement| statement["hasResultSet"] == true).and_then(id),
    }
}

fn columns(page: &Page) -> Result<Vec<Column>, Refusal> {
    let columns: Result<Vec<Column>, _> = page
        .columns
        .iter()
        .map(|column: &Map<String, Value>| serde_json::from_value(Value::Object(column.clone())))
        .collect();
    columns.map_err(|error| Refusal::new("ResultUnreadable", format!("ColumnMetadata cannot be read: {error}")))
}

fn field(cell: &Cell) -> Field {
    match cell {
        Cell::Null => Field::Null,
        Cell::Bool(value) => Field::Boolean(*value),
        Cell::Long(value) => Field::Long(*value),
        Cell::Double(value) => Field::Double(*value),
        Cell::Text(value) => Field::Text(value.clone()),
        Cell::Blob(value) => Field::Blob(base64::engine::general_purpose::STANDARD.encode(value)),
    }
}

impl<'e> Keep<'e> {
    fn read(event: &'e Value) -> Result<Self, Refusal> {
        let keep = &event["keep"];
        let round = keep["round"].as_u64().and_then(|round| u8::try_from(round).ok());
        Ok(Self {
            query: text(keep, "query")?,
            round: round.ok_or_else(|| Refusal::request("keep.round", "is missing or no round", "1 to 3"))?,
            status_key: text(keep, "statusKey")?,
            result_key: text(keep, "resultKey")?,
            csv_key: text(keep, "csvKey")?,
            error_key: text(keep, "errorKey")?,
        })
    }
}

fn text<'e>(event: &'e Value, field: &str) -> Result<&'e str, Refusal> {
    event[field].as_str().ok_or_else(|| Refusal::request(field, "is missing or no text", "a text"))
}

/// The variables that the function needs, beside `LOG_LEVEL`.
pub const ENVIRONMENT: [&str; 1] = ["RESULTS_BUCKET"];

/// Serves invocations. Not to be called inside of a runtime.
///
/// # Errors
/// A configuration that is not complete, or that the Runtime API cannot be reached.
pub fn run() -> Result<(), RunError> {
    aws::execute(|| async {
        let lookup = |key: &str| std::env::var(key).ok();
        let [bucket] = aws::Configuration::new(lookup).named(ENVIRONMENT)?;
        let clients = Arc::new(aws::clients::Clients::from_lookup(lookup)?);
        let (results, data) = (Objects::new(clients.clone(), bucket), aws::redshift_data(clients));
        let (results, data) = (&results, &*data);
        aws::serve(move |event, _| async move { handle(data, results, &event, Utc::now()).await }).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_a_batch_is_its_last_one() {
        for (statement, expected) in [
            (json!({"statementId": "a", "hasResultSet": true}), Some("a")),
            (json!({"statementId": "a", "hasResultSet": false}), None),
            (
                json!({"statementId": "a", "hasResultSet": true, "subStatements": [
                    {"statementId": "a:1", "hasResultSet": true}, {"statementId": "a:2", "hasResultSet": true},
                    {"statementId": "a:3", "hasResultSet": false}]}),
                Some("a:2"),
            ),
        ] {
            assert_eq!(result_id(&statement).as_deref(), expected, "{statement}");
        }
    }
}
