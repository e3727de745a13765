//! ExecuteStatement and BatchExecuteStatement up to SUBMITTED. Must never start anything for a request that is refused,
//! nor a second time for a ClientToken that is remembered.

use crate::ApiError;
use crate::config::Caller;
use crate::dialect;
use crate::input::{self, Input};
use crate::result::Format;
use crate::run;
use crate::service::Inner;
use crate::session::Session;
use crate::statement::{Mode, Part, Place, Statement, Status};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

const COMMON: [&str; 13] = [
    "ClusterIdentifier",
    "SecretArn",
    "DbUser",
    "Database",
    "WithEvent",
    "StatementName",
    "Parameters",
    "WorkgroupName",
    "ClientToken",
    "ResultFormat",
    "SessionKeepAliveSeconds",
    "SessionId",
    "WaitTimeSeconds",
];
/// With SessionId these come from the session.
const SESSION_FIXES: [&str; 5] = ["ClusterIdentifier", "WorkgroupName", "Database", "DbUser", "SecretArn"];

impl Inner {
    /// Takes a statement in and starts its task. Answers with its id, the operation's answer, and how long the caller
    /// wants to wait for the end.
    pub(crate) fn submit(
        self: &Arc<Self>,
        operation: &str,
        caller: &Caller,
        body: &Value,
    ) -> Result<(String, Value, Option<Duration>), ApiError> {
        let limits = &self.config.limits;
        let batch = operation == "BatchExecuteStatement";
        let mut known = COMMON.to_vec();
        known.extend(if batch { &["Sqls", "ExecutionMode"][..] } else { &["Sql"][..] });
        let input = Input::new(body, operation, &known)?;

        let sqls: Vec<&str> = if batch {
            input.texts("Sqls", limits.batch_statements)?
        } else {
            vec![input.required_text("Sql", &input::ANY)?]
        };
        for sql in &sqls {
            if sql.len() > limits.sql_bytes {
                return Err(ApiError::validation(format!(
                    "Statement text exceeds the limit of {} bytes",
                    limits.sql_bytes
                )));
            }
            if sql.trim().is_empty() {
                return Err(ApiError::validation("SQL statement cannot be empty"));
            }
        }
        let mode = match input.one_of("ExecutionMode", &["TRANSACTION", "AUTO_COMMIT"])? {
            Some("AUTO_COMMIT") => Mode::AutoCommit,
            _ => Mode::Transaction,
        };
        let format = match input.one_of("ResultFormat", &["JSON", "CSV"])? {
            Some("CSV") => Format::Csv,
            _ => Format::Json,
        };
        let name = input.text("StatementName", &input::STATEMENT_NAME)?.map(str::to_owned);
        let with_event = input.boolean("WithEvent")?.unwrap_or(false);
        let token = input.text("ClientToken", &input::CLIENT_TOKEN)?.map(str::to_owned);
        let keep_alive = input.integer("SessionKeepAliveSeconds", 0..=86_400)?.map(Duration::from_secs);
        let session = input.text("SessionId", &input::UUID)?.map(str::to_owned);
        let wait = input.wait_time()?;
        let parameters = input.parameters()?;
        check_parameters(&sqls, &parameters)?;
        let place = if session.is_some() {
            if let Some(fixed) = SESSION_FIXES.into_iter().find(|member| input.has(member)) {
                return Err(ApiError::validation(format!("{fixed} cannot be given together with SessionId")));
            }
            None
        } else {
            Some(self.place(&input, caller)?)
        };

        let mut state = self.state();
        let key = token.map(|token| (caller.owner.clone(), token));
        if let Some((id, _)) = key.as_ref().and_then(|key| state.tokens.get(key))
            && let Some(statement) = state.statements.get(id)
        {
            // The same token is the same statement, whatever else the request says: what the service does with other
            // SQL under a used token is not documented.
            return Ok((id.clone(), statement.submitted(), wait));
        }

        let now = self.now();
        let id = Uuid::new_v4().to_string();
        state.next_sequence += 1;
        let sequence = state.next_sequence;
        let (place, session, connection) = match (place, session) {
            (None, Some(session_id)) => {
                let invalid = || ApiError::validation(format!("Session with Id: {session_id} is invalid"));
                let session =
                    state.sessions.get(&session_id).filter(|s| s.owner == caller.owner).ok_or_else(invalid)?;
                let place = session.place.clone();
                self.check_active(&state, place.target)?;
                let session = state.sessions.get_mut(&session_id).ok_or_else(invalid)?;
                let connection = session.take(&id, now)?;
                if let Some(keep_alive) = keep_alive {
                    session.keep_alive = keep_alive;
                }
                (place, Some(session_id), Some(connection))
            }
            (Some(place), _) => {
                self.check_active(&state, place.target)?;
                let session = match keep_alive {
                    None => None,
                    Some(keep_alive) => {
                        let open =
                            state.sessions.values().filter(|s| s.is_open() && s.place.target == place.target).count();
                        if open >= limits.active_sessions {
                            return Err(ApiError::active_sessions(limits.active_sessions));
                        }
                        let session_id = Uuid::new_v4().to_string();
                        let session = Session::new(caller, place.clone(), now, keep_alive, (sequence, &id));
                        state.sessions.insert(session_id.clone(), session);
                        Some(session_id)
                    }
                };
                (place, session, None)
            }
            (None, None) => return Err(ApiError::internal("a statement without a place to run")),
        };

        let statement = Statement {
            id: id.clone(),
            sequence,
            owner: caller.owner.clone(),
            principal: caller.arn.clone(),
            place,
            name,
            parameters,
            with_event,
            format,
            session,
            batch: batch.then_some(mode),
            parts: sqls.into_iter().map(|sql| Part::new(sql.to_owned(), now)).collect(),
            created: now,
            updated: now,
            error: None,
            duration: -1,
            pid: 0,
            cancel: watch::Sender::new(false),
            status: watch::Sender::new(Status::Submitted),
            waiting: Arc::default(),
        };
        let answer = statement.submitted();
        *state.active.entry(statement.place.target).or_default() += 1;
        let task = run::Task::new(Arc::clone(self), &statement, connection);
        if let Some(key) = key {
            state.tokens.insert(key, (id.clone(), now));
        }
        state.statements.insert(id.clone(), statement);
        drop(state);
        tokio::spawn(task.run());
        Ok((id, answer, wait))
    }

    /// Statements in flight on a target are limited.
    fn check_active(&self, state: &crate::service::State, target: usize) -> Result<(), ApiError> {
        let limit = self.config.limits.active_statements;
        let active = state.active.get(&target).copied().unwrap_or_default();
        if active >= limit { Err(ApiError::active_statements(limit)) } else { Ok(()) }
    }

    /// Where and as whom a statement without a session runs.
    pub(crate) fn place(&self, input: &Input<'_>, caller: &Caller) -> Result<Place, ApiError> {
        let cluster = input.text("ClusterIdentifier", &input::CLUSTER)?;
        let workgroup = input.text("WorkgroupName", &input::WORKGROUP)?;
        let secret = input.text("SecretArn", &input::ANY)?.filter(|secret| !secret.is_empty());
        let user = input.text("DbUser", &input::ANY)?.filter(|user| !user.is_empty());
        match (cluster, workgroup) {
            (Some(_), Some(_)) => {
                return Err(ApiError::validation("ClusterIdentifier and WorkgroupName cannot be given together"));
            }
            (None, None) => {
                return Err(ApiError::validation("Either ClusterIdentifier, WorkgroupName or SessionId must be given"));
            }
            _ => {}
        }
        if user.is_some() && secret.is_some() {
            return Err(ApiError::validation("DbUser and SecretArn cannot be given together"));
        }
        if user.is_some() && workgroup.is_some() {
            return Err(ApiError::validation("DbUser cannot be given together with WorkgroupName"));
        }
        let database = input
            .text("Database", &input::ANY)?
            .filter(|database| !database.is_empty())
            .ok_or_else(|| ApiError::validation("Database must be given"))?;
        let target = self
            .target(cluster, workgroup)
            .ok_or_else(|| ApiError::validation("Redshift endpoint doesn't exist in this region."))?;
        let db_user = match (user, secret) {
            (Some(user), _) => user.to_owned(),
            (None, Some(arn)) => {
                // Secrets Manager's own words; which exception of the Data API carries them is not documented.
                let unknown = || ApiError::not_found("Secrets Manager can't find the specified secret.", arn);
                let secret = self.secret(arn).ok_or_else(unknown)?;
                if secret.cluster.is_some() && secret.cluster.as_deref() != cluster {
                    return Err(ApiError::validation(
                        "ClusterIdentifier does not match the dbClusterIdentifier of the secret",
                    ));
                }
                secret.username
            }
            (None, None) => iam_user(&caller.owner),
        };
        Ok(Place {
            target,
            cluster: cluster.map(str::to_owned),
            workgroup: workgroup.map(str::to_owned),
            database: database.to_owned(),
            db_user,
            secret: secret.map(str::to_owned),
        })
    }
}

/// The database user of an IAM identity: `IAMR:role` or `IAM:user`.
fn iam_user(owner: &str) -> String {
    let name = owner.rsplit('/').next().unwrap_or(owner);
    if owner.contains(":role/") { format!("IAMR:{name}") } else { format!("IAM:{name}") }
}

/// Every parameter is used by at least one of the texts, and every marker has a parameter.
fn check_parameters(sqls: &[&str], parameters: &[(String, String)]) -> Result<(), ApiError> {
    if parameters.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    let mut used = BTreeSet::new();
    let mut missing = BTreeSet::new();
    for sql in sqls {
        // A text that cannot be read is a failure of the statement, not of the call.
        let Ok(bound) = dialect::bind(sql, &names) else { return Ok(()) };
        used.extend(bound.used);
        missing.extend(bound.missing.into_iter().map(|marker| marker.name));
    }
    let unused: Vec<&str> = names.into_iter().filter(|name| !used.contains(*name)).collect();
    if !unused.is_empty() {
        return Err(ApiError::validation(format!(
            "Parameters list contains unused parameters. Unused parameters: [{}]",
            unused.join(", ")
        )));
    }
    if !missing.is_empty() {
        let missing: Vec<String> = missing.into_iter().collect();
        return Err(ApiError::validation(format!(
            "Parameters list lacks parameters that the statement names. Missing parameters: [{}]",
            missing.join(", ")
        )));
    }
    Ok(())
}
