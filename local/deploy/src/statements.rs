//! The audit rows of statements, from the table. SQL text and sealed tokens are never read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use statement::key::SHARDS;

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
/// Parts of the table that are read at the same time.
const SCANS: i32 = 4;

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
    let mut found = Vec::new();
    for batch in keys.chunks(BATCH) {
        found.extend(items(aws, table, batch).await?.iter().filter_map(read));
    }
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

/// The newest statements, newest first, no more than `most`. There is no index by time over all statements, so this
/// reads the whole table: half a read unit for each 4 KB.
///
/// # Errors
/// What DynamoDB refuses.
pub async fn newest(aws: &Aws, table: &str, most: usize) -> Outcome<Vec<Statement>> {
    let scans = stream::iter(0..SCANS).map(|part| scan(aws, table, part, most)).buffer_unordered(4);
    let mut found: Vec<Statement> = scans.try_collect::<Vec<_>>().await?.into_iter().flatten().collect();
    keep_newest(&mut found, most);
    Ok(found)
}

async fn scan(aws: &Aws, table: &str, part: i32, most: usize) -> Outcome<Vec<Statement>> {
    let (projection, names) = projection();
    let mut pages = aws
        .dynamodb()
        .scan()
        .table_name(table)
        .segment(part)
        .total_segments(SCANS)
        .filter_expression("#kind = :statement")
        .expression_attribute_values(":statement", AttributeValue::S("statement".to_owned()))
        .projection_expression(projection)
        .set_expression_attribute_names(Some(names))
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failure::of(SERVICE, error))?;
        found.extend(page.items.unwrap_or_default().iter().filter_map(read));
        // A large table is read, not held.
        keep_newest(&mut found, most);
    }
    Ok(found)
}

fn keep_newest(found: &mut Vec<Statement>, most: usize) {
    found.sort_by_key(|statement| std::cmp::Reverse(statement.created));
    found.truncate(most);
}

/// Every name is given as a placeholder: some are words that DynamoDB keeps for itself.
fn projection() -> (String, HashMap<String, String>) {
    let names = ATTRIBUTES.map(|name| (format!("#{name}"), name.to_owned()));
    (names.clone().map(|(placeholder, _)| placeholder).join(", "), HashMap::from(names))
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

/// `None` for a lock.
fn read(item: &Item) -> Option<Statement> {
    if text(item, "kind")? != "statement" {
        return None;
    }
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse::<i64>().ok();
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

    #[test]
    fn only_the_newest_are_held() {
        let at = |ms: i64| Statement {
            created: DateTime::from_timestamp_millis(ms).unwrap(),
            ..read(&item("statement")).unwrap()
        };
        let mut found = vec![at(1), at(3), at(2)];
        keep_newest(&mut found, 2);
        assert_eq!(found.iter().map(|s| s.created.timestamp_millis()).collect::<Vec<_>>(), [3, 2]);
    }
}
