//! The message that a statement has ended: Redshift's event, or the tasker's own finished message of the same shape.
//! Read leniently: AWS documents one sample and was seen to send others (facts §2.2), so only what we cannot do without
//! is required and everything else is kept as it came.

use serde_json::{Map, Value, json};

use crate::row::{Row, Status};

/// The source of the tasker's own messages.
pub const OWN_SOURCE: &str = "redshift-tasker";

/// A message that a statement ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The statement.
    pub statement_id: String,
    /// Its name.
    pub statement_name: String,
    /// FINISHED, FAILED or ABORTED.
    pub status: Status,
    /// All fields of the detail.
    pub detail: Map<String, Value>,
    /// Whether the tasker sent it.
    pub own: bool,
}

/// What a message on the completion queue is.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A statement ended.
    Ended(Box<Ended>),
    /// Nothing of ours, or no end; with the reason. To be dropped.
    Foreign(&'static str),
    /// A name of ours and the rest unreadable; with the reason. To be kept for a person (dead-letter queue).
    Malformed(&'static str),
}

impl Message {
    /// Reads a message's body; `own` tells a statement name of this stack.
    #[must_use]
    pub fn parse(body: &str, own: impl Fn(&str) -> bool) -> Self {
        let Ok(event) = serde_json::from_str::<Value>(body) else {
            return Self::Malformed("the body is not JSON");
        };
        let Some(detail) = event.get("detail").and_then(Value::as_object) else {
            return Self::Foreign("there is no detail");
        };
        let text = |name: &str| detail.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let Some(statement_name) = text("statementName") else {
            return Self::Foreign("there is no statementName");
        };
        if !own(statement_name) {
            return Self::Foreign("the statementName is not of this stack");
        }
        let Some(statement_id) = text("statementId") else {
            return Self::Malformed("there is no statementId");
        };
        let status = match text("state") {
            Some("FINISHED") => Status::Finished,
            Some("FAILED") => Status::Failed,
            Some("ABORTED") => Status::Aborted,
            Some(_) => return Self::Foreign("the state is no end"),
            None => return Self::Malformed("there is no state"),
        };
        Self::Ended(Box::new(Ended {
            statement_id: statement_id.to_owned(),
            statement_name: statement_name.to_owned(),
            status,
            detail: detail.clone(),
            own: event.get("source").and_then(Value::as_str) == Some(OWN_SOURCE),
        }))
    }
}

/// The tasker's finished message for a row that ended before its newest caller came.
#[must_use]
pub fn finished_message(row: &Row) -> Value {
    json!({
        "version": "0",
        "source": OWN_SOURCE,
        "detail-type": "Redshift Data Statement Status Change",
        "detail": {
            "statementName": row.statement_name,
            "statementId": row.statement_id,
            "state": row.status.name(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Message {
        Message::parse(body, |name| name.starts_with("prod/"))
    }

    #[test]
    fn every_shape_that_was_seen_is_read() {
        let bodies = [
            // The documented sample, with our name.
            r#"{"version":"0","source":"aws.redshift-data","detail":{"principal":"arn:aws:iam::123456789012:user/myuser","statementName":"prod/x","statementId":"dd2e","redshiftQueryId":-1,"state":"FINISHED","rows":1,"expireAt":1601673265}}"#,
            // 2022: no redshiftQueryId.
            r#"{"detail":{"principal":"p","statementName":"prod/x","statementId":"dd2e","state":"FINISHED","rows":-1,"expireAt":1658112063}}"#,
            // 2020: expireAt as text, other fields.
            r#"{"detail":{"statementId":"dd2e","clusterId":"c","statementName":"prod/x","state":"FINISHED","pages":1,"expireAt":"2020-10-02T21:14:26Z","principal":"p","queryId":7}}"#,
        ];
        for body in bodies {
            match parse(body) {
                Message::Ended(ended) => {
                    assert_eq!(
                        (ended.statement_id.as_str(), ended.status, ended.own),
                        ("dd2e", Status::Finished, false)
                    );
                    let whole: Value = serde_json::from_str(body).unwrap_or_default();
                    assert_eq!(Value::Object(ended.detail), whole["detail"]);
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_rest_is_dropped_or_kept_for_a_person() {
        let cases = [
            ("nonsense", false),
            (r#"{"detail":{"statementName":"prod/x","state":"FINISHED"}}"#, false),
            (r#"{"detail":{"statementName":"prod/x","statementId":"i"}}"#, false),
            (r#"{"detail":{"statementId":"i","state":"FINISHED"}}"#, true),
            (r#"{"detail":{"statementName":"","statementId":"i","state":"FINISHED"}}"#, true),
            (r#"{"detail":{"statementName":"prod-eu/x","statementId":"i","state":"FINISHED"}}"#, true),
            (r#"{"detail":{"statementName":"prod/x","statementId":"i","state":"STARTED"}}"#, true),
            ("{}", true),
            ("[]", true),
        ];
        for (body, dropped) in cases {
            match parse(body) {
                Message::Foreign(_) => assert!(dropped, "{body}"),
                Message::Malformed(_) => assert!(!dropped, "{body}"),
                Message::Ended(_) => panic!("{body}"),
            }
        }
    }
}
