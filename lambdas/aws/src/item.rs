//! The table's items: how a row and a lock are spelled in DynamoDB. Attribute names are documented in ARCHITECTURE; a
//! change here is a change of what running stacks hold.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use statement::key;
use statement::ports::{Failure, FailureKind};
use statement::request::{Action, Names, ResultMode};
use statement::row::{AnsweredAs, Callback, Lock, Previous, Resource, Row, RowError, Sealed, Status};

use crate::failure;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Most bytes of SQL in a row: an item holds 400 KB.
const SQL_LIMIT: usize = 300_000;

#[derive(Default)]
struct Writer(Item);

impl Writer {
    fn text(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
        self
    }

    fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    fn number(mut self, name: &str, value: impl ToString) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::N(value.to_string()));
        self
    }

    fn maybe_number(self, name: &str, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }

    fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::B(Blob::new(value)));
        self
    }

    fn value(mut self, name: &str, value: Option<AttributeValue>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    fn map(self) -> AttributeValue {
        AttributeValue::M(self.0)
    }
}

/// A row as an item.
pub(crate) fn of_row(row: &Row) -> Item {
    let sql = row.sql.as_deref().map(|sql| match sql.len() {
        0..=SQL_LIMIT => sql.to_owned(),
        _ => format!("{} … (cut)", statement::row::cut(sql, SQL_LIMIT / 4)),
    });
    let sealed = row.sealed.as_ref().map(|s| {
        Writer::default()
            .bytes("ciphertext", &s.ciphertext)
            .bytes("nonce", &s.nonce)
            .bytes("dataKey", &s.data_key)
            .map()
    });
    let resource = row.resource.as_ref().map(|r| {
        Writer::default()
            .text("stackId", &r.stack_id)
            .text("requestId", &r.request_id)
            .text("logicalResourceId", &r.logical_id)
            .map()
    });
    let error = row.error.as_ref().map(|e| {
        Writer::default()
            .text("name", &e.name)
            .maybe("class", e.class.as_deref())
            .text("message", &e.message)
            .maybe_number("index", e.index.map(i64::from))
            .map()
    });
    let previous =
        (!row.previous.is_empty()).then(|| AttributeValue::L(row.previous.iter().map(previous_item).collect()));
    Writer::default()
        .text("row", &row.key)
        .text("kind", "statement")
        .number("revision", row.revision)
        .number("attempt", row.attempt)
        .text("status", row.status.name())
        .number("tokenVersion", row.token_version)
        .number("answeredVersion", row.answered_version)
        .maybe("answeredAs", row.answered_as.map(AnsweredAs::name))
        .text("callback", row.callback.name())
        .value("sealed", sealed)
        .text("callerHash", &row.caller_hash)
        .value("resource", resource)
        .maybe("executionArn", row.execution_arn.as_deref())
        .maybe("openShard", row.open_since.map(|_| key::shard(&row.key).to_string()).as_deref())
        .maybe_number("openSince", row.open_since)
        .text("statementName", &row.statement_name)
        .maybe("statementId", row.statement_id.as_deref())
        .maybe("sessionId", row.session_id.as_deref())
        .text("requestHash", &row.request_hash)
        .text("sqlHash", &row.sql_hash)
        .maybe("sql", sql.as_deref())
        .text("action", row.action.name())
        .number("statements", row.statements)
        .text("target", &row.target)
        .text("result", row.result.name())
        .text("errorNames", row.names.name())
        .maybe("lock", row.lock.as_deref())
        .number("clientTokenAt", row.client_token_at)
        .number("createdAt", row.created_at)
        .text("period", &key::partition(key::period(row.created_at), key::shard(&row.key)))
        .maybe_number("submittedAt", row.submitted_at)
        .maybe_number("eventAt", row.event_at)
        .maybe_number("answeredAt", row.answered_at)
        .maybe_number("endedAt", row.ended_at)
        .maybe_number("rows", row.rows)
        .maybe_number("bytes", row.bytes)
        .maybe_number("durationNs", row.duration_ns)
        .maybe_number("queryId", row.query_id)
        .maybe("dbUser", row.db_user.as_deref())
        .value("error", error)
        .value("previous", previous)
        .maybe_number("expiresAt", row.expires_at)
        .maybe_number("checkedAt", row.checked_at)
        .0
}

fn previous_item(previous: &Previous) -> AttributeValue {
    Writer::default()
        .number("attempt", previous.attempt)
        .text("status", previous.status.name())
        .maybe("statementId", previous.statement_id.as_deref())
        .maybe("error", previous.error.as_deref())
        .number("createdAt", previous.created_at)
        .maybe_number("endedAt", previous.ended_at)
        .map()
}

/// A lock as an item. It stands in the index of open rows, so that the reconciler meets one that was left behind.
pub(crate) fn of_lock(lock: &Lock) -> Item {
    Writer::default()
        .text("row", &lock.key)
        .text("kind", "lock")
        .text("owner", &lock.row)
        .number("ownerAttempt", lock.attempt)
        .text("statementName", &lock.statement_name)
        .text("openShard", &key::shard(&lock.key).to_string())
        .number("openSince", lock.since)
        .0
}

struct Reader<'a>(&'a Item);

impl<'a> Reader<'a> {
    fn maybe(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(|v| v.as_s().ok()).map(String::as_str)
    }

    fn text(&self, name: &str) -> Result<&'a str, Failure> {
        self.maybe(name).ok_or_else(|| unreadable(name))
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.maybe(name).map(str::to_owned)
    }

    fn maybe_number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_n().ok().and_then(|n| n.parse().ok()).map(Some).ok_or_else(|| unreadable(name)),
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.maybe_number(name)?.ok_or_else(|| unreadable(name))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.0.get(name).and_then(|v| v.as_b().ok()).map(|b| b.as_ref().to_vec()).ok_or_else(|| unreadable(name))
    }

    fn map(&self, name: &str) -> Option<Reader<'a>> {
        self.0.get(name).and_then(|v| v.as_m().ok()).map(Reader)
    }

    fn choice<T: Copy>(&self, name: &str, all: &[T], spelled: impl Fn(T) -> &'static str) -> Result<T, Failure> {
        let text = self.text(name)?;
        all.iter().copied().find(|c| spelled(*c) == text).ok_or_else(|| unreadable(name))
    }
}

fn unreadable(name: &str) -> Failure {
    failure::ours(
        "dynamodb",
        FailureKind::Refused,
        "item",
        format!("the row's attribute {name} is missing or unreadable"),
    )
}

/// Reads a row.
pub(crate) fn row(item: &Item) -> Result<Row, Failure> {
    let r = Reader(item);
    let sealed = match r.map("sealed") {
        None => None,
        Some(s) => {
            Some(Sealed { ciphertext: s.bytes("ciphertext")?, nonce: s.bytes("nonce")?, data_key: s.bytes("dataKey")? })
        }
    };
    let resource = match r.map("resource") {
        None => None,
        Some(s) => Some(Resource {
            stack_id: s.text("stackId")?.to_owned(),
            request_id: s.text("requestId")?.to_owned(),
            logical_id: s.text("logicalResourceId")?.to_owned(),
        }),
    };
    let error = match r.map("error") {
        None => None,
        Some(e) => Some(RowError {
            name: e.text("name")?.to_owned(),
            class: e.owned("class"),
            message: e.text("message")?.to_owned(),
            index: e.maybe_number("index")?,
        }),
    };
    let mut previous = Vec::new();
    for entry in item.get("previous").and_then(|v| v.as_l().ok()).into_iter().flatten() {
        let p = Reader(entry.as_m().map_err(|_| unreadable("previous"))?);
        previous.push(Previous {
            attempt: p.number("attempt")?,
            status: p.choice("status", &Status::ALL, Status::name)?,
            statement_id: p.owned("statementId"),
            error: p.owned("error"),
            created_at: p.number("createdAt")?,
            ended_at: p.maybe_number("endedAt")?,
        });
    }
    Ok(Row {
        key: r.text("row")?.to_owned(),
        revision: r.number("revision")?,
        attempt: r.number("attempt")?,
        status: r.choice("status", &Status::ALL, Status::name)?,
        token_version: r.number("tokenVersion")?,
        answered_version: r.number("answeredVersion")?,
        answered_as: r.maybe("answeredAs").and_then(AnsweredAs::from_name),
        callback: r.choice("callback", &[Callback::None, Callback::Task, Callback::Response], Callback::name)?,
        sealed,
        caller_hash: r.text("callerHash")?.to_owned(),
        resource,
        execution_arn: r.owned("executionArn"),
        open_since: r.maybe_number("openSince")?,
        statement_name: r.text("statementName")?.to_owned(),
        statement_id: r.owned("statementId"),
        session_id: r.owned("sessionId"),
        request_hash: r.text("requestHash")?.to_owned(),
        sql_hash: r.text("sqlHash")?.to_owned(),
        sql: r.owned("sql"),
        action: r.choice("action", &[Action::Execute, Action::Singleton, Action::Batch], Action::name)?,
        statements: r.number("statements")?,
        target: r.text("target")?.to_owned(),
        result: r.choice("result", &[ResultMode::None, ResultMode::Inline], ResultMode::name)?,
        names: r.choice("errorNames", &[Names::Compatible, Names::Detailed], Names::name)?,
        lock: r.owned("lock"),
        client_token_at: r.number("clientTokenAt")?,
        created_at: r.number("createdAt")?,
        submitted_at: r.maybe_number("submittedAt")?,
        event_at: r.maybe_number("eventAt")?,
        answered_at: r.maybe_number("answeredAt")?,
        ended_at: r.maybe_number("endedAt")?,
        rows: r.maybe_number("rows")?,
        bytes: r.maybe_number("bytes")?,
        duration_ns: r.maybe_number("durationNs")?,
        query_id: r.maybe_number("queryId")?,
        db_user: r.owned("dbUser"),
        error,
        previous,
        expires_at: r.maybe_number("expiresAt")?,
        checked_at: r.maybe_number("checkedAt")?,
    })
}

/// Reads a lock.
pub(crate) fn lock(item: &Item) -> Result<Lock, Failure> {
    let r = Reader(item);
    Ok(Lock {
        key: r.text("row")?.to_owned(),
        row: r.text("owner")?.to_owned(),
        attempt: r.number("ownerAttempt")?,
        statement_name: r.text("statementName")?.to_owned(),
        since: r.number("openSince")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use statement::admission::Ask;

    fn full() -> Row {
        let ask = Ask {
            stack: "prod".to_owned(),
            key: key::row("prod", "k"),
            request_hash: "q".to_owned(),
            sql_hash: "s".to_owned(),
            sql: Some("select 1".to_owned()),
            action: Action::Singleton,
            statements: 2,
            target: "cluster:c/dev".to_owned(),
            lock: Some("lock#1".to_owned()),
            callback: Callback::Response,
            caller_hash: "c".to_owned(),
            resource: Some(Resource {
                stack_id: "s".to_owned(),
                request_id: "r".to_owned(),
                logical_id: "l".to_owned(),
            }),
            execution_arn: Some("arn".to_owned()),
            result: ResultMode::Inline,
            names: Names::Detailed,
        };
        let mut row = Row::first(&ask, 5).submitted("id", Some("session"), Some("user"), 6);
        row.sealed = Some(Sealed { ciphertext: vec![1], nonce: vec![2; 12], data_key: vec![3] });
        row.answered_as = Some(AnsweredAs::Gone);
        row.error = Some(RowError {
            name: "n".to_owned(),
            class: Some("Other".to_owned()),
            message: "m".to_owned(),
            index: Some(3),
        });
        row.previous = vec![Previous {
            attempt: 1,
            status: Status::Failed,
            statement_id: Some("o".to_owned()),
            error: Some("e".to_owned()),
            created_at: 1,
            ended_at: Some(2),
        }];
        for time in [
            &mut row.event_at,
            &mut row.answered_at,
            &mut row.ended_at,
            &mut row.rows,
            &mut row.bytes,
            &mut row.duration_ns,
        ] {
            *time = Some(7);
        }
        (row.query_id, row.expires_at, row.checked_at) = (Some(8), Some(9), Some(10));
        row
    }

    #[test]
    fn every_field_survives_the_table() {
        let row = full();
        assert_eq!(super::row(&of_row(&row)).unwrap(), row);
        let closed = Row { open_since: None, sealed: None, ..row.clone() };
        let item = of_row(&closed);
        assert!(!item.contains_key("openShard") && !item.contains_key("openSince"), "the index is sparse");
        assert_eq!(super::row(&item).unwrap(), closed);
        let lock = Lock::of(&row, 11).unwrap();
        assert_eq!(super::lock(&of_lock(&lock)).unwrap(), lock);
    }

    #[test]
    fn an_attribute_that_is_missing_is_named() {
        let mut item = of_row(&full());
        item.remove("requestHash");
        assert!(super::row(&item).unwrap_err().message.contains("requestHash"));
    }
}
