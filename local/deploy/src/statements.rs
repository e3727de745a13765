//! The audit rows of statements, from the table. SQL text and sealed tokens are never read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use chrono::{DateTime, Utc};
use futures::future;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use statement::key::{self, SHARDS};

use crate::{Aws, Error, Outcome, failure};

const SERVICE: &str = "DynamoDB";
/// What is read of a row. `sql` and `sealed` stay out.
const ATTRIBUTES: [&str; 15] = [
    "row",
    "kind",
    "status",
    "action",
    "attempt",
    "createdAt",
    "submittedAt",
    "endedAt",
    "durationNs",
    "rows",
    "executionArn",
    "statementId",
    "openSince",
    "target",
    "error",
];
/// Keys of one BatchGetItem.
const BATCH: usize = 100;
/// How far clocks are apart, milliseconds.
const CLOCKS_MS: i64 = 3_600_000;
/// How many spans of time are looked through at most: ten years, longer than any row is kept.
const PERIODS: i64 = 122;

type Item = HashMap<String, AttributeValue>;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The row's key.
    pub row: String,
    /// `PENDING`, `SUBMITTED`, `FINISHED`, `FAILED`, `ABORTED`, `REFUSED`, `UNKNOWN`.
    pub state: String,
    /// Whether somebody still waits for its answer.
    pub open: bool,
    /// The request's action.
    pub action: String,
    /// Which try of the same request it is.
    pub attempt: u32,
    /// When it was asked for.
    pub created: DateTime<Utc>,
    /// When Redshift took it.
    pub submitted: Option<DateTime<Utc>>,
    /// When it had ended.
    pub ended: Option<DateTime<Utc>>,
    /// How long it ran on Redshift.
    pub duration_ms: Option<i64>,
    /// Rows of its result, or touched.
    pub rows: Option<i64>,
    /// Whose it is.
    pub execution: Option<String>,
    /// The Data API's id.
    pub id: Option<String>,
    /// Where it runs.
    pub target: String,
    /// The error's name: `Redshift.Syntax`, `ConcurrentExecution`.
    pub error: Option<String>,
}

/// The statements that somebody still waits for, oldest first.
///
/// # Errors
/// What DynamoDB refuses.
pub async fn open(aws: &Aws, table: &str) -> Outcome<Vec<Statement>> {
    let shards = stream::iter(0..SHARDS).map(|shard| shard_keys(aws, table, shard)).buffered(usize::from(SHARDS));
    let keys: Vec<String> = shards.try_collect::<Vec<_>>().await?.into_iter().flatten().collect();
    let mut found = statements(aws, table, &keys).await?;
    found.sort_by_key(|statement| statement.created);
    Ok(found)
}

async fn shard_keys(aws: &Aws, table: &str, shard: u8) -> Outcome<Vec<String>> {
    let pages = aws
        .dynamodb()
        .query()
        .table_name(table)
        .index_name("open")
        .key_condition_expression("openShard = :shard")
        .expression_attribute_values(":shard", AttributeValue::S(shard.to_string()))
        .into_paginator()
        .items()
        .send();
    let found: Vec<Item> = pages.collect::<Result<_, _>>().await.map_err(|error| failure::of(SERVICE, error))?;
    Ok(found.iter().filter_map(|item| text(item, "row")).collect())
}

/// The statements of these rows, in no order.
async fn statements(aws: &Aws, table: &str, keys: &[String]) -> Outcome<Vec<Statement>> {
    let mut found = Vec::new();
    for batch in keys.chunks(BATCH) {
        found.extend(items(aws, table, batch).await?.iter().filter_map(read));
    }
    Ok(found)
}

async fn items(aws: &Aws, table: &str, keys: &[String]) -> Outcome<Vec<Item>> {
    let (projection, names) = projection();
    let keys = keys.iter().map(|key| Item::from([("row".to_owned(), AttributeValue::S(key.clone()))])).collect();
    let wanted = KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .projection_expression(projection)
        .set_expression_attribute_names(Some(names))
        .build()
        .map_err(|error| Error::Broken(error.to_string()))?;
    let mut wanted = HashMap::from([(table.to_owned(), wanted)]);
    let mut found = Vec::new();
    // What did not fit or was throttled comes back to be asked for again; the SDK waits between failures.
    while !wanted.is_empty() {
        let got = aws.dynamodb().batch_get_item().set_request_items(Some(wanted)).send().await;
        let got = got.map_err(|error| failure::of(SERVICE, error))?;
        found.extend(got.responses.unwrap_or_default().into_values().flatten());
        wanted = got.unprocessed_keys.unwrap_or_default();
    }
    Ok(found)
}

/// The newest statements, newest first, no more than `most`: span by span, back to when the table was made.
///
/// # Errors
/// What DynamoDB refuses.
pub async fn newest(aws: &Aws, table: &str, most: usize) -> Outcome<Vec<Statement>> {
    let described = aws.dynamodb().describe_table().table_name(table).send().await;
    let described = described.map_err(|error| failure::of(SERVICE, error))?.table;
    let made = described.and_then(|table| table.creation_date_time).and_then(|at| at.to_millis().ok());
    // The clock of who wrote a row may be ahead of this one's.
    let last = key::period(Utc::now().timestamp_millis() + CLOCKS_MS);
    let first = key::period(made.unwrap_or_default()).max(last - PERIODS);
    let mut keys: Vec<(i64, String)> = Vec::new();
    for period in (first..=last).rev() {
        let shards = (0..SHARDS).map(|shard| newest_of(aws, table, key::partition(period, shard), most));
        for found in future::try_join_all(shards).await? {
            keys.extend(found);
        }
        if keys.len() >= most {
            break;
        }
    }
    keys.sort_unstable_by(|one, other| other.cmp(one));
    keys.truncate(most);
    let keys: Vec<String> = keys.into_iter().map(|(_, row)| row).collect();
    let mut found = statements(aws, table, &keys).await?;
    found.sort_by_key(|statement| std::cmp::Reverse(statement.created));
    Ok(found)
}

/// The newest rows of a partition of the index by time, with the time of each.
async fn newest_of(aws: &Aws, table: &str, partition: String, most: usize) -> Outcome<Vec<(i64, String)>> {
    let mut pages = aws
        .dynamodb()
        .query()
        .table_name(table)
        .index_name("byTime")
        .key_condition_expression("#period = :period")
        .expression_attribute_names("#period", "period")
        .expression_attribute_values(":period", AttributeValue::S(partition))
        .scan_index_forward(false)
        .limit(i32::try_from(most).unwrap_or(i32::MAX))
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    while let Some(item) = pages.next().await {
        let item = item.map_err(|error| failure::of(SERVICE, error))?;
        found.extend(number(&item, "createdAt").zip(text(&item, "row")));
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}

/// Every name is given as a placeholder: some are words that DynamoDB keeps for itself.
fn projection() -> (String, HashMap<String, String>) {
    let names = ATTRIBUTES.map(|name| (format!("#{name}"), name.to_owned()));
    (names.clone().map(|(placeholder, _)| placeholder).join(", "), HashMap::from(names))
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// `None` for a lock.
fn read(item: &Item) -> Option<Statement> {
    if text(item, "kind")? != "statement" {
        return None;
    }
    let number = |name: &str| number(item, name);
    let time = |name: &str| number(name).and_then(DateTime::from_timestamp_millis);
    let error = item.get("error").and_then(|error| error.as_m().ok());
    Some(Statement {
        row: text(item, "row")?,
        state: text(item, "status").unwrap_or_default(),
        open: item.contains_key("openSince"),
        action: text(item, "action").unwrap_or_default(),
        attempt: number("attempt").and_then(|attempt| attempt.try_into().ok()).unwrap_or(1),
        created: time("createdAt").unwrap_or_default(),
        submitted: time("submittedAt"),
        ended: time("endedAt"),
        duration_ms: number("durationNs").filter(|ns| *ns >= 0).map(|ns| ns / 1_000_000),
        rows: number("rows").filter(|rows| *rows >= 0),
        execution: text(item, "executionArn"),
        id: text(item, "statementId"),
        target: text(item, "target").unwrap_or_default(),
        error: error.and_then(|error| text(error, "name")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &str) -> Item {
        let s = |text: &str| AttributeValue::S(text.to_owned());
        let n = |number: &str| AttributeValue::N(number.to_owned());
        let error = Item::from([("name".to_owned(), s("Redshift.Syntax"))]);
        Item::from(
            [
                ("row", s("r")),
                ("kind", s(kind)),
                ("status", s("FAILED")),
                ("createdAt", n("1000")),
                ("durationNs", n("2500000")),
                ("rows", n("-1")),
                ("error", AttributeValue::M(error)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        )
    }

    #[test]
    fn a_row_is_read_and_a_lock_is_none() {
        let statement = read(&item("statement")).unwrap();
        assert_eq!((statement.state.as_str(), statement.open), ("FAILED", false));
        assert_eq!((statement.duration_ms, statement.rows), (Some(2), None));
        assert_eq!(statement.error.as_deref(), Some("Redshift.Syntax"));
        assert_eq!(read(&item("lock")), None);
    }

    #[test]
    fn neither_sql_nor_tokens_are_asked_for() {
        let (projection, names) = projection();
        assert_eq!(projection.split(", ").count(), ATTRIBUTES.len());
        for secret in ["sql", "sealed", "callerHash", "requestHash"] {
            assert!(!names.values().any(|name| name == secret));
        }
    }
}
