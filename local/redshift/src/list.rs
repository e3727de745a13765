//! The operations that look at statements: DescribeStatement, CancelStatement, GetStatementResult and V2,
//! ListStatements, ListSessions. Must never tell a caller of a statement that another owner submitted.

use crate::ApiError;
use crate::config::Caller;
use crate::input::{self, Input};
use crate::result::{Format, Stored};
use crate::service::{Inner, State};
use crate::session::Session;
use crate::statement::{Statement, Status};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// ListSessions shows what was created in the last 24 hours.
const SESSIONS_SHOWN: Duration = Duration::from_secs(24 * 3600);

const STATUSES: [&str; 7] = ["SUBMITTED", "PICKED", "STARTED", "FINISHED", "ABORTED", "FAILED", "ALL"];

/// A page token: what it is for and where to go on. Opaque to callers.
pub(crate) fn token(kind: &str, position: u64) -> Value {
    json!(STANDARD.encode(format!("{kind}/{position}")))
}

pub(crate) fn position(kind: &str, token: &str) -> Result<u64, ApiError> {
    let read = || {
        let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
        text.strip_prefix(kind)?.strip_prefix('/')?.parse().ok()
    };
    read().ok_or_else(|| ApiError::validation("NextToken is invalid"))
}

/// A statement that the caller may see, and the number of the batch's statement in its id.
pub(crate) fn visible<'s>(
    state: &'s State,
    caller: &Caller,
    id: &str,
) -> Result<(&'s Statement, Option<usize>), ApiError> {
    let not_found = || ApiError::not_found("Query does not exist.", id);
    let (parent, part) = id.split_once(':').map_or((id, None), |(parent, part)| (parent, Some(part)));
    let statement = state.statements.get(parent).filter(|s| s.owner == caller.owner).ok_or_else(not_found)?;
    let part = match part {
        None => None,
        Some(number) => {
            let number = number.parse().map_err(|_| not_found())?;
            if statement.batch.is_none() || !(1..=statement.parts.len()).contains(&number) {
                return Err(not_found());
            }
            Some(number)
        }
    };
    Ok((statement, part))
}

impl Inner {
    pub(crate) async fn describe(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let input = Input::new(body, "DescribeStatement", &["Id", "WaitTimeSeconds"])?;
        let id = input.required_text("Id", &input::UUID)?;
        self.wait_for_end(caller, id, input.wait_time()?, self.config.limits.waiting_requests).await?;
        let state = self.state();
        let (statement, part) = visible(&state, caller, id)?;
        Ok(statement.describe(part))
    }

    pub(crate) fn cancel(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let input = Input::new(body, "CancelStatement", &["Id"])?;
        let id = input.required_text("Id", &input::UUID)?;
        let state = self.state();
        let (statement, part) = visible(&state, caller, id)?;
        if part.is_some() {
            return Err(ApiError::validation(
                "A statement of a batch cannot be canceled: cancel the batch by its own id",
            ));
        }
        match statement.status() {
            Status::Started => {
                statement.cancel.send_replace(true);
                Ok(json!({ "Status": true }))
            }
            status if status.ended() => Err(ApiError::validation(format!(
                "Could not cancel a query that is already in {} state with ID: {id}",
                status.name()
            ))),
            status => Err(ApiError::validation(format!(
                "Could not cancel a query that is not running: it is in {} state with ID: {id}",
                status.name()
            ))),
        }
    }

    pub(crate) async fn result(&self, operation: &str, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let input = Input::new(body, operation, &["Id", "NextToken", "WaitTimeSeconds"])?;
        let id = input.required_text("Id", &input::UUID)?;
        let next = input.next_token()?;
        self.wait_for_end(caller, id, input.wait_time()?, self.config.limits.waiting_requests).await?;
        let stored = {
            let state = self.state();
            let (statement, part) = visible(&state, caller, id)?;
            stored(statement, part, operation, id)?
        };
        let from = next.map_or(Ok(0), |token| position(id, token))?;
        let from = usize::try_from(from)
            .ok()
            .filter(|from| *from == 0 || *from < stored.chunks())
            .ok_or_else(|| ApiError::validation("NextToken is invalid"))?;
        let (mut answer, more) =
            stored.page(from).map_err(|e| ApiError::internal(format!("the stored result: {e}")))?;
        if operation == "GetStatementResultV2" {
            answer.insert("ResultFormat".into(), json!(stored.format.name()));
        }
        if let Some(more) = more {
            answer.insert("NextToken".into(), token(id, more as u64));
        }
        Ok(Value::Object(answer))
    }

    pub(crate) fn list(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let known = [
            "NextToken",
            "MaxResults",
            "StatementName",
            "Status",
            "RoleLevel",
            "Database",
            "ClusterIdentifier",
            "WorkgroupName",
        ];
        let input = Input::new(body, "ListStatements", &known)?;
        let next = input.next_token()?;
        let most = input.max_results(100)?.unwrap_or(self.config.limits.list_page);
        let name = input.text("StatementName", &input::STATEMENT_NAME)?.unwrap_or_default();
        let status = input.one_of("Status", &STATUSES)?.unwrap_or("FINISHED");
        let role_level = input.boolean("RoleLevel")?.unwrap_or(true);
        let cluster = input.text("ClusterIdentifier", &input::CLUSTER)?;
        let workgroup = input.text("WorkgroupName", &input::WORKGROUP)?;
        let database = input.text("Database", &input::ANY)?;
        if cluster.is_some() && workgroup.is_some() {
            return Err(ApiError::validation("ClusterIdentifier and WorkgroupName cannot be given together"));
        }
        let before = next.map(|token| position("list", token)).transpose()?;

        let state = self.state();
        let mut wanted: Vec<&Statement> = state
            .statements
            .values()
            .filter(|s| s.owner == caller.owner && (role_level || s.principal == caller.arn))
            .filter(|s| status == "ALL" || s.status().name() == status)
            .filter(|s| s.name.as_deref().unwrap_or_default().starts_with(name))
            .filter(|s| cluster.is_none_or(|c| s.place.cluster.as_deref() == Some(c)))
            .filter(|s| workgroup.is_none_or(|w| Some(s.place.target) == self.target(None, Some(w))))
            .filter(|s| database.is_none_or(|d| s.place.database == d))
            .filter(|s| before.is_none_or(|before| s.sequence < before))
            .collect();
        // Newest first; a token holds the last one shown, so that new statements do not shift the pages.
        wanted.sort_by_key(|s| std::cmp::Reverse(s.sequence));
        let more = wanted.len() > most;
        wanted.truncate(most);
        let mut answer = json!({ "Statements": wanted.iter().map(|s| s.listed()).collect::<Vec<_>>() });
        if more && let Some(last) = wanted.last() {
            answer["NextToken"] = token("list", last.sequence);
        }
        Ok(answer)
    }
}

/// Statuses of a session.
const SESSION_STATUSES: [&str; 3] = ["AVAILABLE", "BUSY", "CLOSED"];

impl Inner {
    /// The caller's sessions of the last 24 hours. One that is asked for by its id and not there is an empty list: what
    /// the service does then is not documented.
    pub(crate) fn list_sessions(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let filters = ["Status", "ClusterIdentifier", "WorkgroupName", "Database"];
        let mut known = vec!["NextToken", "MaxResults", "SessionId", "RoleLevel"];
        known.extend(filters);
        let input = Input::new(body, "ListSessions", &known)?;
        let before = input.next_token()?.map(|token| position("sessions", token)).transpose()?;
        let most = input.max_results(100)?.unwrap_or(self.config.limits.list_page);
        let wanted = input.text("SessionId", &input::UUID)?;
        let status = input.one_of("Status", &SESSION_STATUSES)?;
        let role_level = input.boolean("RoleLevel")?.unwrap_or(true);
        let cluster = input.text("ClusterIdentifier", &input::CLUSTER)?;
        let workgroup = input.text("WorkgroupName", &input::WORKGROUP)?;
        let database = input.text("Database", &input::ANY)?;
        if let Some(filter) = filters.into_iter().find(|filter| wanted.is_some() && input.has(filter)) {
            return Err(ApiError::validation(format!("{filter} cannot be given together with SessionId")));
        }
        if cluster.is_some() && workgroup.is_some() {
            return Err(ApiError::validation("ClusterIdentifier and WorkgroupName cannot be given together"));
        }

        let now = self.now();
        let mut state = self.state();
        // A session that is read must be as it is now, not as it was when retention was last looked at.
        state.sessions.values_mut().for_each(|session| session.expire(now));
        let mut found: Vec<(&String, &Session)> = state
            .sessions
            .iter()
            .filter(|(_, s)| s.owner == caller.owner && (role_level || s.principal == caller.arn))
            .filter(|(_, s)| now < s.created + SESSIONS_SHOWN)
            .filter(|(id, s)| match (wanted, status) {
                (Some(wanted), _) => id.as_str() == wanted,
                (None, Some(status)) => s.status() == status,
                (None, None) => s.is_open(),
            })
            .filter(|(_, s)| cluster.is_none_or(|c| s.place.cluster.as_deref() == Some(c)))
            .filter(|(_, s)| workgroup.is_none_or(|w| Some(s.place.target) == self.target(None, Some(w))))
            .filter(|(_, s)| database.is_none_or(|d| s.place.database == d))
            .filter(|(_, s)| before.is_none_or(|before| s.sequence < before))
            .collect();
        found.sort_by_key(|(_, session)| std::cmp::Reverse(session.sequence));
        let more = found.len() > most;
        found.truncate(most);
        let life = self.config.limits.session_life;
        let entries: Vec<Value> = found.iter().map(|(id, session)| session.listed(id, life)).collect();
        let mut answer = json!({ "Sessions": entries });
        if more && let Some((_, last)) = found.last() {
            answer["NextToken"] = token("sessions", last.sequence);
        }
        Ok(answer)
    }
}

/// The result that an id names.
fn stored(statement: &Statement, part: Option<usize>, operation: &str, id: &str) -> Result<Arc<Stored>, ApiError> {
    let index = match (statement.batch, part) {
        (None, _) => 0,
        (Some(_), Some(number)) => number - 1,
        (Some(_), None) => {
            return Err(ApiError::validation(
                "BatchExecuteStatement result can only be retrieved with sub-statement id.",
            ));
        }
    };
    let wanted = if operation == "GetStatementResult" { Format::Json } else { Format::Csv };
    if statement.format != wanted {
        return Err(ApiError::validation(format!(
            "{operation} answers results in {} format, the statement was submitted with ResultFormat {}",
            wanted.name(),
            statement.format.name()
        )));
    }
    let ended = statement.status() == Status::Finished || statement.batch.is_some() && statement.status().ended();
    statement
        .parts
        .get(index)
        .filter(|part| ended && part.status == Status::Finished)
        .and_then(|part| part.result.clone())
        .ok_or_else(|| {
            ApiError::not_found("Query does not have result. Please check query status with DescribeStatement.", id)
        })
}
