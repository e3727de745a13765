//! The event "Redshift Data Statement Status Change" (Redshift Management Guide, "Monitoring events for the Amazon
//! Redshift Data API"). Must never carry SQL or an error text: the service's does not.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// What an event says.
pub(crate) struct Ended<'a> {
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) statement_name: &'a str,
    pub(crate) statement_id: &'a str,
    pub(crate) query_id: i64,
    pub(crate) state: &'a str,
    /// Rows returned or affected; -1 without a number.
    pub(crate) rows: i64,
    pub(crate) time: DateTime<Utc>,
    /// When the statement's record is dropped.
    pub(crate) expires: Duration,
}

/// The whole EventBridge event.
pub(crate) fn event(ended: &Ended<'_>) -> Value {
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Redshift Data Statement Status Change",
        "source": "aws.redshift-data",
        "account": ended.account,
        "time": ended.time.to_rfc3339_opts(SecondsFormat::Secs, true),
        "region": ended.region,
        "resources": [ended.resource],
        "detail": {
            "principal": ended.principal,
            "statementName": ended.statement_name,
            "statementId": ended.statement_id,
            "redshiftQueryId": ended.query_id,
            "state": ended.state,
            "rows": ended.rows,
            "expireAt": (ended.time + ended.expires).timestamp(),
        },
    })
}
