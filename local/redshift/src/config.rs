//! What a local Data API is told at its start. Must never read the environment: the caller decides.

use crate::object::ObjectStore;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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
    /// Requests with WaitTimeSeconds that may wait for one statement at a time. The limit exists
    /// (ActiveWaitingRequestsExceededException), its number is not documented; ours: 10.
    pub waiting_requests: usize,
    /// Rows in one answer of ListStatements and ListSessions when MaxResults is absent: 100.
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
            waiting_requests: 10,
            list_page: 100,
        }
    }
}

/// Who may log in to the databases. By default everybody may, as whom they like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logins {
    /// The secrets that exist, by ARN or name. `None`: every SecretArn is taken and stands for the user `awsuser`.
    pub secrets: Option<BTreeMap<String, Secret>>,
    /// Database users that exist before SQL creates any. `None`: every user exists. The users of IAM identities
    /// (`IAM:name`, `IAMR:role`) are always made with their first login.
    pub users: Option<BTreeSet<String>>,
}

/// What a secret says (Data API guide, "Storing database credentials in AWS Secrets Manager").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// `username`.
    pub username: String,
    /// `dbClusterIdentifier`; must be the request's cluster when it is there.
    pub cluster: Option<String>,
}

/// Who a secret stands for when none is configured: there is no Secrets Manager here to ask.
const SECRET_USER: &str = "awsuser";

impl Logins {
    /// The secret that SecretArn names, by its ARN, by its name, or by the name within its ARN.
    pub(crate) fn secret(&self, arn: &str) -> Option<Secret> {
        let Some(secrets) = &self.secrets else {
            return Some(Secret { username: SECRET_USER.to_owned(), cluster: None });
        };
        // arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-6RANDM
        let named = |known: &str| {
            let name = known.split(":secret:").nth(1).unwrap_or_default();
            name == arn || name.len() > 7 && name.is_char_boundary(name.len() - 7) && &name[..name.len() - 7] == arn
        };
        secrets.get(arn).or_else(|| secrets.iter().find(|(known, _)| named(known)).map(|(_, secret)| secret)).cloned()
    }

    pub(crate) fn has_user(&self, name: &str) -> bool {
        self.users.as_ref().is_none_or(|users| users.contains(name))
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
    /// Secrets and database users.
    pub logins: Logins,
    /// The S3 of COPY and UNLOAD; without one they fail and say so.
    pub objects: Option<Arc<dyn ObjectStore>>,
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
            logins: Logins::default(),
            objects: None,
            clock: system_clock(),
        }
    }
}
