//! The way one statement took, from its row in the table: when the row was written, when the statement was submitted,
//! when its event came and when the task was answered.
//!
//! Reads only; shows times and ids, never tokens or SQL.

use std::time::Duration;

use chrono::{DateTime, Utc};
use cloud::Cloud;
use cloud::trace::{Entry, What};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::Error;

/// How long the row of an ended execution may stay open before the way is shown as it stands.
const PATIENCE: Duration = Duration::from_secs(5);

/// One station of the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    /// What happened.
    pub what: &'static str,
    /// Milliseconds after the start of the execution.
    pub after_ms: i64,
    /// What there is to say about it.
    pub about: String,
}

/// The stations of the statement that `execution` ran last, in order of time. Empty when it started none.
///
/// The task is answered before its row is closed, so an execution can end some milliseconds earlier than the way does.
/// `seen` must have been subscribed before the execution started.
///
/// # Errors
/// When the table cannot be read.
pub async fn of(cloud: &Cloud, mut seen: broadcast::Receiver<Entry>, execution: &Value) -> Result<Vec<Station>, Error> {
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    loop {
        let Some(row) = newest_row(cloud, execution).await? else { return Ok(Vec::new()) };
        let open = row.get("openShard").is_some();
        if !open || !until_a_function_returned(&mut seen, patience.as_mut()).await {
            return Ok(stations(&row, execution));
        }
    }
}

/// Whether there is reason to look again.
async fn until_a_function_returned(
    seen: &mut broadcast::Receiver<Entry>,
    mut patience: std::pin::Pin<&mut tokio::time::Sleep>,
) -> bool {
    loop {
        tokio::select! {
            entry = seen.recv() => match entry {
                Ok(Entry { what: What::Returned { .. }, .. }) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Closed) => return false,
            },
            () = &mut patience => return false,
        }
    }
}

async fn newest_row(cloud: &Cloud, execution: &Value) -> Result<Option<Value>, Error> {
    let table = cloud.outputs().get("TableName").cloned().unwrap_or_default();
    let found = cloud
        .call(
            "dynamodb",
            "Query",
            json!({
                "TableName": table, "IndexName": "byExecution", "ScanIndexForward": false, "Limit": 1,
                "KeyConditionExpression": "executionArn = :execution",
                "ExpressionAttributeValues": {":execution": {"S": execution["executionArn"]}},
            }),
        )
        .await?;
    let Some(key) = found["Items"][0].get("row") else { return Ok(None) };
    let mut item = cloud.call("dynamodb", "GetItem", json!({"TableName": table, "Key": {"row": key}})).await?;
    Ok(Some(item["Item"].take()))
}

/// The stations that this row tells of, for an execution that began at `startDate`.
fn stations(row: &Value, execution: &Value) -> Vec<Station> {
    let number = |name: &str| row[name]["N"].as_str().and_then(|text| text.parse::<i64>().ok());
    let text = |name: &str| row[name]["S"].as_str().unwrap_or_default().to_owned();
    let began = number_of_ms(&execution["startDate"]);
    let mut stations: Vec<Station> = [
        ("row written", "createdAt", String::new()),
        ("submitted", "submittedAt", text("statementId")),
        ("event", "eventAt", text("status")),
        // "gone": the task had ended before, by its time limit or with its execution.
        (
            "answered",
            "answeredAt",
            if text("answeredAs") == "gone" { "nobody waited any more".into() } else { String::new() },
        ),
    ]
    .into_iter()
    .filter_map(|(what, name, about)| Some(Station { what, after_ms: number(name)? - began?, about }))
    .collect();
    stations.sort_by_key(|station| station.after_ms);
    stations
}

/// The stations as lines for people.
pub fn to_text(stations: &[Station]) -> String {
    stations
        .iter()
        .map(|station| {
            format!("  {:<12}{:>7} ms  {}", station.what, station.after_ms, station.about).trim_end().to_owned() + "\n"
        })
        .collect()
}

/// The stations for machines: milliseconds after the start of the execution, by station.
pub fn to_json(stations: &[Station]) -> Value {
    stations
        .iter()
        .map(|station| (station.what.replace(' ', "_"), json!(station.after_ms)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Epoch milliseconds of a date as the Step Functions API gives it: epoch seconds with fraction, or RFC 3339.
fn number_of_ms(date: &Value) -> Option<i64> {
    match date {
        // A number has millisecond precision on the wire, so rounding finds the exact value again.
        Value::Number(seconds) => seconds.as_f64().map(|seconds| (seconds * 1000.0).round() as i64),
        Value::String(text) => text.parse::<DateTime<Utc>>().ok().map(|time| time.timestamp_millis()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stations_come_in_order_and_only_those_that_happened() {
        let row = json!({
            "createdAt": {"N": "1010"}, "submittedAt": {"N": "1020"}, "statementId": {"S": "s-1"},
            "answeredAt": {"N": "1031"}, "status": {"S": "FINISHED"},
        });
        let stations = stations(&row, &json!({"startDate": 1.0}));
        assert_eq!(
            stations.iter().map(|s| (s.what, s.after_ms)).collect::<Vec<_>>(),
            [("row written", 10), ("submitted", 20), ("answered", 31)]
        );
        assert_eq!(to_text(&stations).lines().nth(1), Some("  submitted        20 ms  s-1"));
        assert_eq!(to_json(&stations)["row_written"], 10);
    }
}
