//! The table of statements. Every write is one conditional put, alone or in one transaction with a lock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use statement::ports::{FailureKind, LockChange, Outcome, Rows, Written};
use statement::row::{Lock, Row};

use crate::clients::Clients;
use crate::failure;
use crate::item::{self, Item};

const SERVICE: &str = "dynamodb";
/// The code of a write that met a transaction; nothing was done.
const CONFLICT: &str = "TransactionConflict";
/// Most keys of one shard in one pass of the reconciler.
const OPEN_LIMIT: usize = 2_000;

pub(crate) struct Table {
    pub(crate) clients: Arc<Clients>,
    pub(crate) table: String,
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The condition under which a row may be written, with its value.
fn condition(row: &Row) -> (&'static str, Option<AttributeValue>) {
    match row.revision {
        1 => ("attribute_not_exists(#row)", None),
        revision => ("revision = :before", Some(number(revision - 1))),
    }
}

impl Table {
    async fn item(&self, key: &str) -> Outcome<Option<Item>> {
        let get =
            self.clients.dynamodb().get_item().table_name(&self.table).key("row", text(key)).consistent_read(true);
        get.send().await.map(|got| got.item).map_err(|error| failure::of(SERVICE, &error))
    }

    fn put_row(&self, row: &Row) -> Outcome<Put> {
        let (condition, before) = condition(row);
        let mut put =
            Put::builder().table_name(&self.table).set_item(Some(item::of_row(row))).condition_expression(condition);
        put = match before {
            Some(before) => put.expression_attribute_values(":before", before),
            None => put.expression_attribute_names("#row", "row"),
        };
        put.build().map_err(|_| failure::ours(SERVICE, FailureKind::Refused, "request", "the put could not be built"))
    }

    fn take(&self, lock: &Lock, stale: Option<&Lock>) -> Outcome<TransactWriteItem> {
        let mut condition = "attribute_not_exists(#row) OR (#owner = :me AND ownerAttempt = :attempt)".to_owned();
        let mut put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item::of_lock(lock)))
            .expression_attribute_names("#row", "row")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":me", text(&lock.row))
            .expression_attribute_values(":attempt", number(lock.attempt));
        if let Some(stale) = stale {
            condition.push_str(" OR (#owner = :stale AND ownerAttempt = :staleAttempt)");
            put = put
                .expression_attribute_values(":stale", text(&stale.row))
                .expression_attribute_values(":staleAttempt", number(stale.attempt));
        }
        let put = put.condition_expression(condition).build();
        let put =
            put.map_err(|_| failure::ours(SERVICE, FailureKind::Refused, "request", "the lock could not be built"))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn release(&self, lock: &Lock) -> Outcome<TransactWriteItem> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .key("row", text(&lock.key))
            .condition_expression("#owner = :me AND ownerAttempt = :attempt")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":me", text(&lock.row))
            .expression_attribute_values(":attempt", number(lock.attempt))
            .build();
        let delete = delete
            .map_err(|_| failure::ours(SERVICE, FailureKind::Refused, "request", "the delete could not be built"))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    async fn put_alone(&self, row: &Row) -> Outcome<Written> {
        let (condition, before) = condition(row);
        let put = self
            .clients
            .dynamodb()
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::of_row(row)))
            .condition_expression(condition);
        let put = match before {
            Some(before) => put.expression_attribute_values(":before", before),
            None => put.expression_attribute_names("#row", "row"),
        };
        match put.send().await {
            Ok(_) => Ok(Written::Done),
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), PutItemError::ConditionalCheckFailedException(_)) =>
            {
                Ok(Written::RowChanged)
            }
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), PutItemError::TransactionConflictException(_)) =>
            {
                Err(conflict())
            }
            Err(error) => Err(failure::of(SERVICE, &error)),
        }
    }

    /// The row first, the lock second: the reasons of a cancelled transaction come in this order.
    async fn transact(&self, row: &Row, lock: TransactWriteItem) -> Outcome<Transacted> {
        let row = TransactWriteItem::builder().put(self.put_row(row)?).build();
        match self.clients.dynamodb().transact_write_items().transact_items(row).transact_items(lock).send().await {
            Ok(_) => Ok(Transacted::Done),
            Err(SdkError::ServiceError(error)) => match error.err() {
                TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                    let reasons = cancelled.cancellation_reasons();
                    let failed =
                        |index: usize| reasons.get(index).and_then(|r| r.code()) == Some("ConditionalCheckFailed");
                    if failed(0) {
                        Ok(Transacted::RowChanged)
                    } else if failed(1) {
                        Ok(Transacted::LockChanged)
                    } else {
                        // TransactionConflict, throttling: nothing was done.
                        Err(conflict())
                    }
                }
                TransactWriteItemsError::TransactionInProgressException(_) => Err(failure::ours(
                    SERVICE,
                    FailureKind::Unknown,
                    "TransactionInProgress",
                    "the transaction is still running",
                )),
                _ => Err(failure::of(SERVICE, &SdkError::ServiceError(error))),
            },
            Err(error) => Err(failure::of(SERVICE, &error)),
        }
    }

    async fn put_once(&self, row: &Row, lock: LockChange<'_>) -> Outcome<Written> {
        match lock {
            LockChange::Leave => self.put_alone(row).await,
            LockChange::Take(lock, stale) => Ok(match self.transact(row, self.take(lock, stale)?).await? {
                Transacted::Done => Written::Done,
                Transacted::RowChanged => Written::RowChanged,
                Transacted::LockChanged => Written::LockHeld,
            }),
            LockChange::Free(lock) => match self.transact(row, self.release(lock)?).await? {
                Transacted::Done => Ok(Written::Done),
                Transacted::RowChanged => Ok(Written::RowChanged),
                // Somebody freed it or took it over: nothing of ours is left to free.
                Transacted::LockChanged => self.put_alone(row).await,
            },
        }
    }

    async fn keys(
        &self,
        query: aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder,
        most: usize,
    ) -> Outcome<Vec<String>> {
        let mut keys = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let page = query.clone().table_name(&self.table).set_exclusive_start_key(start.take()).send().await;
            let page = page.map_err(|error| failure::of(SERVICE, &error))?;
            keys.extend(page.items().iter().filter_map(|i| i.get("row")?.as_s().ok().cloned()));
            start = page.last_evaluated_key;
            if start.is_none() || keys.len() >= most {
                keys.truncate(most);
                return Ok(keys);
            }
        }
    }
}

fn conflict() -> statement::ports::Failure {
    failure::ours(SERVICE, FailureKind::Throttled, CONFLICT, "the write met another transaction")
}

enum Transacted {
    Done,
    RowChanged,
    LockChanged,
}

#[async_trait]
impl Rows for Table {
    async fn get(&self, key: &str) -> Outcome<Option<Row>> {
        self.item(key).await?.map(|item| item::row(&item)).transpose()
    }

    async fn put(&self, row: &Row, lock: LockChange<'_>) -> Outcome<Written> {
        // Two transactions that meet cancel one another, which the SDK does not repeat. One that took effect after all
        // is seen as a changed row, which every caller reads again.
        for pause_ms in [20, 60, 180] {
            match self.put_once(row, lock).await {
                Err(failure) if failure.code == CONFLICT => {
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                }
                done => return done,
            }
        }
        self.put_once(row, lock).await
    }

    async fn lock(&self, key: &str) -> Outcome<Option<Lock>> {
        self.item(key).await?.map(|item| item::lock(&item)).transpose()
    }

    async fn free(&self, lock: &Lock) -> Outcome<()> {
        let delete = self
            .clients
            .dynamodb()
            .delete_item()
            .table_name(&self.table)
            .key("row", text(&lock.key))
            .condition_expression("#owner = :me AND ownerAttempt = :attempt")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":me", text(&lock.row))
            .expression_attribute_values(":attempt", number(lock.attempt));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(failure::of(SERVICE, &error)),
        }
    }

    async fn open(&self, shard: u8, before: i64) -> Outcome<Vec<String>> {
        let query = self
            .clients
            .dynamodb()
            .query()
            .index_name("open")
            .key_condition_expression("openShard = :shard AND openSince < :before")
            .expression_attribute_values(":shard", text(&shard.to_string()))
            .expression_attribute_values(":before", number(before));
        self.keys(query, OPEN_LIMIT).await
    }

    async fn of_execution(&self, arn: &str, most: usize) -> Outcome<Vec<String>> {
        let query = self
            .clients
            .dynamodb()
            .query()
            .index_name("byExecution")
            .key_condition_expression("executionArn = :arn")
            .expression_attribute_values(":arn", text(arn))
            .scan_index_forward(false)
            .limit(i32::try_from(most).unwrap_or(i32::MAX).min(1_000));
        self.keys(query, most).await
    }
}
