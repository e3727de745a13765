//! What a local Data API is told at its start. Must never read the environment: the caller decides.

use chrono::{DateTime, Utc};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Where the time comes from; tests put their own in. It decides retention and session expiry and stamps statements;
/// how long SQL runs is measured by the machine's clock.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The machine's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(Utc::now)
}

/// A cluster or a workgroup with its databases. Exactly one of `cluster` and `workgroup` is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// ClusterIdentifier of a provisioned cluster.
    pub cluster: Option<String>,
    /// WorkgroupName of a serverless workgroup.
    pub workgroup: Option<String>,
    /// Databases that exist at the start.
    pub databases: Vec<String>,
}

impl Target {
    /// A provisioned cluster.
    #[must_use]
    pub fn cluster(name: &str, databases: &[&str]) -> Self {
        Self {
            cluster: Some(name.to_owned()),
            workgroup: None,
            databases: databases.iter().map(|d| (*d).to_owned()).collect(),
        }
    }

    /// A serverless workgroup.
    #[must_use]
    pub fn workgroup(name: &str, databases: &[&str]) -> Self {
        Self {
            cluster: None,
            workgroup: Some(name.to_owned()),
            databases: databases.iter().map(|d| (*d).to_owned()).collect(),
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Principal: `arn:aws:sts::…:assumed-role/ROLE/SESSION` or a user's ARN. It appears in events and decides
    /// `RoleLevel=false` listings.
    pub arn: String,
    /// Role ARN or user ARN: only its owner sees a statement or a session.
    pub owner: String,
}

/// The service's quotas, "Quotas and limits" of the Redshift Data API guide unless noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Statements SUBMITTED, PICKED or STARTED on one target: 500.
    pub active_statements: usize,
    /// Open sessions on one target: 500.
    pub active_sessions: usize,
    /// Statements running at once on one server; the others wait as SUBMITTED. Ours, as a cluster's queue slots: 16.
    pub concurrency: usize,
    /// Bytes of one SQL text: 200 KB (204,800).
    pub sql_bytes: usize,
    /// Statements of a batch: 40.
    pub batch_statements: usize,
    /// Bytes of one statement's result: 500 MB. The service counts after gzip, this stand-in before.
    pub result_bytes: u64,
    /// Bytes of one result row: 64 KB.
    pub row_bytes: usize,
    /// Bytes of one chunk of a stored result: 1 MB. A JSON page is one chunk, a CSV page up to 15.
    pub chunk_bytes: usize,
    /// Rows of one JSON page at most. Ours: the service documents none.
    pub page_rows: usize,
    /// How long statements and results are kept after their end: 24 h.
    pub retention: Duration,
    /// How long a ClientToken is remembered: 8 h.
    pub token_retention: Duration,
    /// Longest life of a session: 24 h.
    pub session_life: Duration,
    /// Rows in one answer of ListStatements when MaxResults is absent: 100.
    pub list_page: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            active_statements: 500,
            active_sessions: 500,
            concurrency: 16,
            sql_bytes: 200 * 1024,
            batch_statements: 40,
            result_bytes: 500 * 1024 * 1024,
            row_bytes: 64 * 1024,
            chunk_bytes: 1024 * 1024,
            page_rows: 10_000,
            retention: Duration::from_secs(24 * 3600),
            token_retention: Duration::from_secs(8 * 3600),
            session_life: Duration::from_secs(24 * 3600),
            list_page: 100,
        }
    }
}

/// What the local Data API is made of.
#[derive(Clone)]
pub struct Config {
    /// Region in ARNs and events.
    pub region: String,
    /// Account in ARNs and events, 12 digits.
    pub account: String,
    /// Clusters and workgroups that exist.
    pub targets: Vec<Target>,
    /// Receives each status-change event as a whole EventBridge event.
    pub events: mpsc::UnboundedSender<Value>,
    /// Quotas.
    pub limits: Limits,
    /// What the system views hold; `None`: nothing.
    pub seed: Option<crate::Seed>,
    /// Time.
    pub clock: Clock,
}

impl Config {
    /// us-east-1, account 000000000000, the service's quotas, the machine's clock.
    #[must_use]
    pub fn new(targets: Vec<Target>, events: mpsc::UnboundedSender<Value>) -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            targets,
            events,
            limits: Limits::default(),
            seed: None,
            clock: system_clock(),
        }
    }
}
