//! The Data API: whose statements and sessions are whose, and the credentials that a statement logs in with (facts of
//! the Redshift Management Guide, "Authorizing access to the Amazon Redshift Data API").

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Authorizer, Need};
use crate::{ACCOUNT, Caller, PARTITION};

/// What is known of statements, sessions and workgroups.
#[derive(Default)]
pub(super) struct Owners {
    /// By id, the `aws:userid` that submitted it.
    statements: HashMap<String, String>,
    /// By id, the owner's `aws:userid` and the ARN that it runs on.
    sessions: HashMap<String, (String, String)>,
    /// By name, the UUID in the ARN.
    workgroups: HashMap<String, String>,
}

/// What a call said about where it runs.
pub(super) struct Asked {
    cluster: String,
    workgroup: String,
    session: String,
    database: String,
    user: String,
    secret: String,
}

impl Asked {
    pub(super) fn of(body: &Value) -> Self {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            cluster: text("ClusterIdentifier"),
            workgroup: text("WorkgroupName"),
            session: text("SessionId"),
            database: text("Database"),
            user: text("DbUser"),
            secret: text("SecretArn"),
        }
    }
}

impl Authorizer {
    /// Tells the UUID in a workgroup's ARN, which nothing else here knows.
    pub(crate) fn name_workgroup(&self, name: &str, id: &str) {
        if let Some(shared) = &self.shared {
            shared.lock().statements.workgroups.insert(name.to_owned(), id.to_owned());
        }
    }

    pub(super) fn redshift_needs(&self, operation: &str, caller: &Caller, body: &Value) -> Option<Vec<Need>> {
        let shared = self.shared.as_ref()?;
        let own = shared.user_id(caller);
        Some(match operation {
            "ExecuteStatement"
            | "BatchExecuteStatement"
            | "ListDatabases"
            | "ListSchemas"
            | "ListTables"
            | "DescribeTable" => self.run_needs(operation, &Asked::of(body)),
            "DescribeStatement"
            | "GetStatementResult"
            | "GetStatementResultV2"
            | "CancelStatement"
            | "ListStatements" => {
                let id = body.get("Id").and_then(Value::as_str).unwrap_or_default();
                // A part of a batch is the batch's.
                let id = id.split(':').next().unwrap_or(id);
                let owner = match operation {
                    "ListStatements" => Some(own),
                    _ => shared.lock().statements.statements.get(id).cloned(),
                };
                let action = operation.trim_end_matches("V2");
                let mut need = Need::new(format!("redshift-data:{action}"), "*");
                if let Some(owner) = owner {
                    need.context.set("redshift-data:statement-owner-iam-userid", owner);
                }
                vec![need]
            }
            "ListSessions" => {
                let mut need = Need::new("redshift-data:ListSessions", "*");
                need.context.set("redshift-data:session-owner-iam-userid", own);
                vec![need]
            }
            _ => return None,
        })
    }

    fn run_needs(&self, operation: &str, asked: &Asked) -> Vec<Need> {
        let session = self.shared.as_ref().and_then(|shared| {
            let state = shared.lock();
            state.statements.sessions.get(&asked.session).cloned()
        });
        let resource = self.runs_on(asked, session.as_ref());
        let mut need = Need::new(format!("redshift-data:{operation}"), resource.clone());
        if let Some((owner, _)) = session {
            need.context.set("redshift-data:session-owner-iam-userid", owner);
            // A session is logged in already.
            return vec![need];
        }
        let region = self.shared.as_ref().map_or("", |shared| &shared.region);
        let redshift = |rest: String| format!("arn:{PARTITION}:redshift:{region}:{ACCOUNT}:{rest}");
        let (cluster, database) = (&asked.cluster, &asked.database);
        let login = |action: &str, resource: String| {
            let mut need = Need::new(action, resource);
            if action.starts_with("redshift:") {
                need.context.set("redshift:DbName", database.as_str());
                need.context.set("redshift:DbUser", asked.user.as_str());
            }
            need
        };
        let mut needs = vec![need];
        if !asked.secret.is_empty() {
            needs.push(login("secretsmanager:GetSecretValue", asked.secret.clone()));
        } else if cluster.is_empty() {
            needs.push(login("redshift-serverless:GetCredentials", resource));
        } else if asked.user.is_empty() {
            let name = redshift(format!("dbname:{cluster}/{database}"));
            needs.push(login("redshift:GetClusterCredentialsWithIAM", name));
        } else {
            for name in [format!("dbuser:{cluster}/{}", asked.user), format!("dbname:{cluster}/{database}")] {
                needs.push(login("redshift:GetClusterCredentials", redshift(name)));
            }
        }
        needs
    }

    /// The ARN of the cluster or workgroup.
    fn runs_on(&self, asked: &Asked, session: Option<&(String, String)>) -> String {
        if let Some((_, arn)) = session {
            return arn.clone();
        }
        if !asked.cluster.is_empty() {
            return self.arn("redshift", &format!("cluster:{}", asked.cluster));
        }
        if asked.workgroup.starts_with("arn:") {
            return asked.workgroup.clone();
        }
        let known = self.shared.as_ref().and_then(|shared| {
            let state = shared.lock();
            state.statements.workgroups.get(&asked.workgroup).cloned()
        });
        let id = known.unwrap_or_else(|| {
            let digest = hex::encode(Sha256::digest(&asked.workgroup));
            [&digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32]].join("-")
        });
        self.arn("redshift-serverless", &format!("workgroup/{id}"))
    }

    /// Remembers whose a new statement or session is.
    pub(super) fn note_statement(&self, caller: &Caller, asked: &Asked, answer: &Value) {
        let Some(shared) = &self.shared else { return };
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        // Only a submission answers with the time of the submission and without a status of its own.
        let Some(id) = text("Id").filter(|_| answer.get("CreatedAt").is_some() && answer.get("QueryString").is_none())
        else {
            return;
        };
        let owner = shared.user_id(caller);
        let resource = self.runs_on(asked, None);
        let mut state = shared.lock();
        state.statements.statements.entry(id).or_insert_with(|| owner.clone());
        if let Some(session) = text("SessionId") {
            state.statements.sessions.entry(session).or_insert((owner, resource));
        }
    }
}
