//! From a request to a submitted statement. The order is the guarantee: row, then submit with a ClientToken derived from
//! key and attempt, then the id into the row. Wherever it is cut off, the same request again finds the row and goes on
//! from there, and the SQL runs once.

use serde_json::{Map, Value, json};
use statement::admission::{Admission, Ask, admit};
use statement::event::finished_message;
use statement::ports::{FailureKind, LockChange, Ports, Submission, Submitted, Written};
use statement::refusal::{self, SubmitFailure};
use statement::request::{Action, Execute, Mode};
use statement::row::{AnsweredAs, Callback, Lock, Resource, Row, Status};
use statement::settings::TaskerSettings;
use statement::{Error, key, script};

/// How often the row may change under us.
const ROUNDS: usize = 8;

/// Who asks. No Debug: it holds the secret.
pub(crate) struct Caller {
    /// Who is answered.
    pub(crate) callback: Callback,
    /// Task token or response URL.
    pub(crate) secret: Option<String>,
    /// How the caller is recognised when it comes again.
    pub(crate) hash: String,
    /// The idempotency key.
    pub(crate) key: String,
    /// The custom resource.
    pub(crate) resource: Option<Resource>,
}

impl Caller {
    /// The caller of a direct request: a task that waits, or whoever invoked.
    pub(crate) fn of(request: &Execute, invocation_id: &str) -> Self {
        let hash = match &request.task_token {
            Some(token) => key::token(token),
            None => key::caller("invocation", invocation_id),
        };
        Self {
            callback: if request.task_token.is_some() { Callback::Task } else { Callback::None },
            secret: request.task_token.clone(),
            key: request.idempotency_key.clone().unwrap_or_else(|| hash.clone()),
            hash,
            resource: None,
        }
    }
}

/// Runs the request's SQL, or finds that it runs or ran already.
pub(crate) async fn execute(
    ports: &Ports,
    settings: &TaskerSettings,
    request: &Execute,
    caller: &Caller,
) -> Result<Value, Error> {
    let statements = statements(ports, request).await?;
    let order = Order::new(settings, request, caller, statements);
    order.place(ports).await
}

async fn statements(ports: &Ports, request: &Execute) -> Result<Vec<String>, Error> {
    let statement::request::Source::Script(key) = &request.source else {
        return request.resolve(None);
    };
    match ports.assets.script(key).await {
        Ok(script) => request.resolve(Some(script)),
        Err(failure) if failure.kind == FailureKind::NotFound => Err(Error::ScriptNotFound(key.clone())),
        Err(failure) if matches!(failure.code.as_str(), "TooLarge" | "Encoding") => {
            Err(Error::invalid("scriptKey", failure.message, "a SQL file in UTF-8, of at most 40 statements"))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Everything that placing needs, decided before the first effect.
struct Order<'a> {
    ask: Ask,
    secret: Option<&'a str>,
    /// Template of the submission; token and name come from the row.
    submission: Submission,
    retention_days: u32,
}

impl<'a> Order<'a> {
    fn new(settings: &TaskerSettings, request: &Execute, caller: &'a Caller, statements: Vec<String>) -> Self {
        let stack = &settings.common.stack;
        let normal: Vec<String> = statements.iter().map(|s| script::normalise(s)).collect();
        let target = request.target.clone().unwrap_or_else(|| settings.target.clone());
        let place = match &request.session_id {
            Some(id) => format!("session:{id}"),
            None => target.describe(),
        };
        let batch = request.batch(statements.len()).then_some(request.mode);
        let mode = batch.map_or("single", Mode::name);
        let keep = request.session_keep_alive.map(|s| s.to_string()).unwrap_or_default();
        let format = request.format.map_or("", |f| f.name());
        let fixed = [request.action.name(), place.as_str(), mode, keep.as_str(), format];
        let parameters =
            request.parameters.iter().flat_map(|(name, value)| ["parameter", name.as_str(), value.as_str()]);
        let request_hash = key::hash(fixed.into_iter().chain(parameters).chain(normal.iter().map(String::as_str)));
        let ask = Ask {
            stack: stack.clone(),
            key: key::row(stack, &caller.key),
            request_hash,
            sql_hash: key::hash(&normal),
            sql: settings.audit_sql_text.then(|| statements.join(";\n")),
            action: request.action,
            statements: u32::try_from(statements.len()).unwrap_or(u32::MAX),
            lock: (request.action == Action::Singleton).then(|| key::lock(&place, &normal)),
            target: place,
            callback: caller.callback,
            caller_hash: caller.hash.clone(),
            resource: caller.resource.clone(),
            execution_arn: request.execution_arn.clone(),
            result: request.result,
            names: request.names,
        };
        let submission = Submission {
            statements,
            batch,
            parameters: request.parameters.clone().into_iter().collect(),
            target: request.session_id.is_none().then_some(target),
            session_id: request.session_id.clone(),
            session_keep_alive: request.session_keep_alive,
            format: request.format,
            client_token: String::new(),
            statement_name: String::new(),
        };
        Self { ask, secret: caller.secret.as_deref(), submission, retention_days: settings.common.retention_days }
    }

    async fn place(&self, ports: &Ports) -> Result<Value, Error> {
        // Most keys are new: the first write tells whether this one is.
        let mut known: Option<Row> = None;
        for _ in 0..ROUNDS {
            let now = ports.clock.now();
            let admission = match &known {
                None => Admission::Again(Box::new(Row::first(&self.ask, now))),
                Some(row) => admit(row, &self.ask, now)?,
            };
            match self.follow(ports, admission, known.as_ref(), now).await? {
                Step::Done(reply) => return Ok(reply),
                Step::Changed => known = ports.rows.get(&self.ask.key).await?,
            }
        }
        Err(Error::RowContended(self.ask.key.clone()))
    }

    async fn follow(&self, ports: &Ports, admission: Admission, known: Option<&Row>, now: i64) -> Result<Step, Error> {
        let (row, next) = match (admission, known) {
            (Admission::Again(row), _) => (Some(row), Next::Submit { first: true }),
            (Admission::Resubmit(row), _) => (row, Next::Submit { first: false }),
            (Admission::LookUp(row), _) => (row, Next::LookUp),
            (Admission::Active(row), _) => (row, Next::Reply),
            (Admission::Finished(row), _) => (row, Next::Announce),
            (Admission::Over, _) => (None, Next::Reply),
        };
        let row = match (row, known) {
            (Some(row), _) => match self.write(ports, *row, now).await? {
                Some(row) => row,
                None => return Ok(Step::Changed),
            },
            (None, Some(row)) => row.clone(),
            (None, None) => return Ok(Step::Changed),
        };
        match next {
            Next::Submit { first } => self.submit(ports, row, first).await.map(Step::Done),
            Next::LookUp => self.look_up(ports, row, now).await,
            Next::Reply => Ok(Step::Done(reply(&row, known.is_some()))),
            Next::Announce => {
                // Also where the message may have been sent before and the function was cut off: a second one does nothing.
                if row.owes_answer() {
                    ports.queue.send(&finished_message(&row).to_string()).await?;
                }
                Ok(Step::Done(reply(&row, true)))
            }
        }
    }

    /// Writes a row, its secret sealed for exactly this row and caller; nothing if another write came first.
    async fn write(&self, ports: &Ports, mut row: Row, now: i64) -> Result<Option<Row>, Error> {
        if let (Some(secret), None) = (self.secret, &row.sealed) {
            row.sealed = Some(ports.vault.seal(&row.seal_context(), secret).await?);
        }
        let lock = Lock::of(&row, now).filter(|_| row.status == Status::Pending);
        let mut stale: Option<Lock> = None;
        for _ in 0..ROUNDS {
            let change = lock.as_ref().map_or(LockChange::Leave, |lock| LockChange::Take(lock, stale.as_ref()));
            match (ports.rows.put(&row, change).await?, &lock) {
                (Written::Done, _) => return Ok(Some(row)),
                (Written::LockHeld, Some(lock)) => stale = self.stale(ports, lock).await?,
                (Written::RowChanged | Written::LockHeld, _) => return Ok(None),
            }
        }
        Err(Error::RowContended(row.key))
    }

    /// The lock as it stands, if its holder is over and only the freeing was cut off.
    async fn stale(&self, ports: &Ports, lock: &Lock) -> Result<Option<Lock>, Error> {
        let Some(held) = ports.rows.lock(&lock.key).await? else {
            return Ok(None);
        };
        let holder = ports.rows.get(&held.row).await?;
        // An earlier attempt of this very row is over as soon as the new one is written, which is one transaction.
        if held.row == lock.row || held.stale(holder.as_ref()) {
            return Ok(Some(held));
        }
        Err(Error::ConcurrentExecution { statement_name: held.statement_name })
    }

    async fn submit(&self, ports: &Ports, row: Row, first: bool) -> Result<Value, Error> {
        let submission = Submission {
            client_token: key::client_token(&row.key, row.attempt),
            statement_name: row.statement_name.clone(),
            ..self.submission.clone()
        };
        match ports.data.submit(&submission).await {
            Ok(submitted) => self.record(ports, row, &submitted).await,
            Err(failure) => match refusal::of_submit(&failure) {
                SubmitFailure::Refused(error) if first => self.refuse(ports, row, error).await,
                // Another invocation may have submitted it. The row stays as it is, for the next try or the reconciler.
                SubmitFailure::Refused(error) => Err(error),
                SubmitFailure::Unknown => {
                    tracing::warn!(
                        row = row.key,
                        attempt = row.attempt,
                        code = failure.code,
                        "whether the API has the statement is not known"
                    );
                    // A task keeps waiting: the reconciler finds out. Raising would make a Retry run the SQL again
                    // under a new token while this one may be running.
                    if row.callback == Callback::Task {
                        return Ok(reply(&row, false));
                    }
                    Err(Error::ServiceUnavailable(failure.to_string()))
                }
            },
        }
    }

    /// Records the id. That it is recorded is a convenience from here on: the statement's name leads back to the row.
    async fn record(&self, ports: &Ports, mut row: Row, submitted: &Submitted) -> Result<Value, Error> {
        let attempt = row.attempt;
        for _ in 0..ROUNDS {
            let recorded = row.submitted(
                &submitted.id,
                submitted.session_id.as_deref(),
                submitted.db_user.as_deref(),
                ports.clock.now(),
            );
            let written = match ports.rows.put(&recorded, LockChange::Leave).await {
                Ok(written) => written,
                Err(failure) => {
                    tracing::warn!(
                        row = row.key,
                        attempt,
                        statement_id = submitted.id,
                        code = failure.code,
                        "the id is not recorded"
                    );
                    return Ok(reply(&recorded, false));
                }
            };
            if written == Written::Done {
                return Ok(reply(&recorded, false));
            }
            let Some(now) = ports.rows.get(&row.key).await.ok().flatten() else {
                return Ok(reply(&recorded, false));
            };
            if now.attempt != attempt {
                return Ok(reply(&now, false));
            }
            match (now.status, now.answered_as) {
                // A new caller took over meanwhile, or the same request was refused on another path.
                (Status::Pending, _) | (Status::Refused, Some(AnsweredAs::Raised)) => row = now,
                // Given up while we were submitting, which the reconciler's grace time should rule out.
                (Status::Refused | Status::Unknown, _) => {
                    return self.withdraw(ports, &now, submitted).await;
                }
                // It has ended already, or is recorded by the same request on another path.
                _ => return Ok(reply(&now, false)),
            }
        }
        Ok(reply(&row, false))
    }

    async fn withdraw(&self, ports: &Ports, row: &Row, submitted: &Submitted) -> Result<Value, Error> {
        tracing::error!(row = row.key, statement_id = submitted.id, "submitted after it was given up; cancelling");
        ports.data.cancel(&submitted.id).await?;
        Err(Error::SubmitInterrupted)
    }

    async fn refuse(&self, ports: &Ports, row: Row, error: Error) -> Result<Value, Error> {
        // CloudFormation hears nothing from a raised error, so its row stays open: either Lambda's retry of this very
        // request runs the SQL, or the reconciler answers.
        let raised = row.callback != Callback::Response || !error.transient();
        let now = ports.clock.now();
        let refused = row.given_up(Status::Refused, &error, raised, now, self.retention_days);
        let lock = Lock::of(&row, now);
        let change = lock.as_ref().map_or(LockChange::Leave, LockChange::Free);
        match ports.rows.put(&refused, change).await {
            Ok(Written::Done) => {}
            // The reconciler gives it up later; the caller hears the reason now.
            Ok(_) => tracing::warn!(row = row.key, "the row changed while the submit was refused"),
            Err(failure) => tracing::warn!(row = row.key, code = failure.code, "the refusal is not recorded"),
        }
        Err(error)
    }

    async fn look_up(&self, ports: &Ports, row: Row, now: i64) -> Result<Step, Error> {
        let listed = ports.data.list(&row.statement_name).await?;
        if let Some(found) = listed.into_iter().find(|s| s.name == row.statement_name) {
            let submitted = Submitted { id: found.id, session_id: None, db_user: None };
            return self.record(ports, row, &submitted).await.map(Step::Done);
        }
        let again = row.after_look_up(&self.ask, now)?;
        match self.write(ports, *again, now).await? {
            Some(row) => self.submit(ports, row, true).await.map(Step::Done),
            None => Ok(Step::Changed),
        }
    }
}

enum Step {
    Done(Value),
    Changed,
}

enum Next {
    /// `first`: nobody else can have submitted this attempt.
    Submit {
        first: bool,
    },
    LookUp,
    Reply,
    Announce,
}

/// What the invocation answers: ids only. `known` says that the key was known before.
fn reply(row: &Row, known: bool) -> Value {
    let mut reply = Map::new();
    reply.insert("statementId".to_owned(), json!(row.statement_id));
    reply.insert("statementName".to_owned(), json!(row.statement_name));
    reply.insert("attempt".to_owned(), json!(row.attempt));
    reply.insert("state".to_owned(), json!(row.status.name()));
    reply.insert("known".to_owned(), json!(known));
    if let Some(session) = &row.session_id {
        reply.insert("sessionId".to_owned(), json!(session));
    }
    tracing::info!(
        row = row.key,
        attempt = row.attempt,
        statement_id = row.statement_id,
        state = row.status.name(),
        known,
        "tasker"
    );
    Value::Object(reply)
}
