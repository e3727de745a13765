//! All ports in memory: a table, a Data API, Step Functions, a queue. It can cut a function off before or after any call,
//! let a call fail, and run something else in the middle of a call.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use serde_json::{Value, json};
use statement::key;
use statement::ports::*;
use statement::request::Format;
use statement::row::{Lock, Row, Sealed};
use statement::settings::{Settings, TaskerSettings};
use statement::target::Target;
use tokio::sync::Notify;

pub const STACK: &str = "prod";
pub const ARN: &str = "arn:aws:states:eu-west-1:000000000000:execution:m:one";
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;

/// Before or after the call took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

pub struct Statement {
    pub id: String,
    pub name: String,
    pub token: String,
    pub submission: Submission,
    pub description: Description,
    pub pages: Vec<Page>,
    pub since: i64,
    /// Whether the API still knows it.
    pub kept: bool,
}

type Hook = Box<dyn FnOnce(World) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

#[derive(Default)]
pub struct State {
    pub now: i64,
    pub rows: BTreeMap<String, Row>,
    pub locks: BTreeMap<String, Lock>,
    pub statements: Vec<Statement>,
    pub closed_tokens: HashSet<String>,
    /// What tasks took, in order: token, error name if it failed, output or cause.
    pub answers: Vec<(String, Option<String>, Value)>,
    pub refuse_output: bool,
    pub queue: Vec<String>,
    pub responses: Vec<(String, Value)>,
    pub scripts: HashMap<String, String>,
    pub executions: HashMap<String, (Execution, Vec<HistoryEvent>)>,
    /// Names of all calls, in order.
    pub calls: Vec<String>,
    /// Failures of ended statements, in order; nothing for a success.
    pub ended: Vec<Option<String>>,
    /// What the last pass of the reconciler left open: how many, the age of the oldest.
    pub open: Option<(u64, i64)>,
    cut: Option<(usize, When)>,
    failures: HashMap<String, VecDeque<(When, Failure)>>,
    hooks: HashMap<String, Vec<(When, Hook)>>,
}

#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    cut: Arc<Notify>,
}

pub fn failure(kind: FailureKind, code: &str, message: &str) -> Failure {
    Failure { service: "test", kind, code: code.to_owned(), message: message.to_owned() }
}

impl World {
    pub fn new() -> Self {
        let state = State { now: 1_000 * HOUR, ..State::default() };
        let world = Self { state: Arc::new(Mutex::new(state)), cut: Arc::new(Notify::new()) };
        world.state().executions.insert(ARN.to_owned(), (Execution::Running, Vec::new()));
        world
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn ports(&self) -> Ports {
        let world = || Arc::new(self.clone());
        Ports {
            rows: world(),
            data: world(),
            tasks: world(),
            queue: world(),
            assets: world(),
            vault: world(),
            responses: world(),
            clock: world(),
            metrics: world(),
        }
    }

    pub fn settings() -> TaskerSettings {
        let target = |name: &str| {
            Target::from_json(&json!({"clusterIdentifier": name, "database": "dev", "dbUser": "loader"}), "t").unwrap()
        };
        TaskerSettings {
            common: Settings { stack: STACK.to_owned(), grace_ms: MINUTE, retention_days: 90 },
            target: target("main"),
            allowed: vec![target("other")],
            audit_sql_text: false,
        }
    }

    pub async fn tasker(&self, event: &Value) -> Result<Value, statement::Error> {
        self.tasker_as(event, "request-1").await
    }

    pub async fn tasker_as(&self, event: &Value, id: &str) -> Result<Value, statement::Error> {
        tasker_function::handle(&self.ports(), &Self::settings(), event, id).await
    }

    /// Delivers bodies as one batch; which of them come back.
    pub async fn complete(&self, bodies: &[String]) -> Vec<usize> {
        let records: Vec<Value> =
            bodies.iter().enumerate().map(|(n, body)| json!({"messageId": n.to_string(), "body": body})).collect();
        let deadline = self.state().now + MINUTE;
        let answer = completion_function::handle(
            &self.ports(),
            &Self::settings().common,
            &json!({"Records": records}),
            deadline,
        )
        .await
        .unwrap();
        let failed = answer["batchItemFailures"].as_array().unwrap().iter();
        let mut failed: Vec<usize> = failed.map(|f| f["itemIdentifier"].as_str().unwrap().parse().unwrap()).collect();
        failed.sort_unstable();
        failed
    }

    pub async fn reconcile(&self) -> Value {
        self.reconcile_with(&json!({"source": "aws.events"})).await.unwrap()
    }

    pub async fn reconcile_with(&self, event: &Value) -> Result<Value, statement::Error> {
        let deadline = self.state().now + 5 * MINUTE;
        reconciler_function::handle(&self.ports(), &Self::settings().common, event, deadline).await
    }

    /// Runs until the `n`-th call (from 0) and cuts off there; whether it came that far.
    pub async fn cut_off<T>(&self, n: usize, when: When, run: impl Future<Output = T>) -> bool {
        {
            let mut state = self.state();
            state.calls.clear();
            state.cut = Some((n, when));
        }
        let notified = self.cut.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        tokio::pin!(run);
        let cut = matches!(futures::future::select(run, notified).await, futures::future::Either::Right(_));
        self.state().cut = None;
        cut
    }

    pub fn fail(&self, call: &str, when: When, failure: Failure) {
        self.state().failures.entry(call.to_owned()).or_default().push_back((when, failure));
    }

    /// Runs `hook` once, in the middle of the next such call.
    pub fn during<F>(&self, call: &str, when: When, hook: impl FnOnce(Self) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hook: Hook = Box::new(move |world| Box::pin(hook(world)));
        self.state().hooks.entry(call.to_owned()).or_default().push((when, hook));
    }

    pub fn pass(&self, ms: i64) {
        self.state().now += ms;
    }

    /// Ends a statement; its event's body.
    pub fn end(&self, id: &str, status: &str, error: Option<&str>) -> String {
        let mut state = self.state();
        let statement = state.statements.iter_mut().find(|s| s.id == id).unwrap();
        if !matches!(statement.description.status.as_str(), "FINISHED" | "FAILED" | "ABORTED") {
            statement.description.status = status.to_owned();
            statement.description.error = error.map(str::to_owned);
            statement.description.rows = Some(3);
            statement.description.bytes = Some(120);
            statement.description.duration_ns = Some(5_000_000);
            statement.description.query_id = Some(4711);
        }
        event_body(&statement.name, id, &statement.description.status)
    }

    pub fn end_all(&self) -> Vec<String> {
        let ids: Vec<String> = self.state().statements.iter().map(|s| s.id.clone()).collect();
        ids.iter().map(|id| self.end(id, "FINISHED", None)).collect()
    }

    pub fn row(&self) -> Row {
        let state = self.state();
        assert_eq!(state.rows.len(), 1, "one row");
        state.rows.values().next().unwrap().clone()
    }

    /// How often SQL was started.
    pub fn runs(&self) -> usize {
        self.state().statements.len()
    }

    pub fn answers(&self) -> Vec<(String, Option<String>, Value)> {
        self.state().answers.clone()
    }

    pub fn calls(&self, name: &str) -> usize {
        self.state().calls.iter().filter(|c| *c == name).count()
    }

    /// Every call of a port goes through here: `effect` is what it does.
    async fn call<T: Send>(&self, name: &str, effect: impl FnOnce(&mut State) -> Outcome<T> + Send) -> Outcome<T> {
        let n = {
            let mut state = self.state();
            state.calls.push(name.to_owned());
            state.calls.len() - 1
        };
        self.interrupt(name, n, When::Before).await?;
        let result = effect(&mut self.state());
        self.interrupt(name, n, When::After).await?;
        result
    }

    async fn interrupt(&self, name: &str, n: usize, when: When) -> Outcome<()> {
        let hook = {
            let mut state = self.state();
            state.hooks.get_mut(name).and_then(|hooks| {
                let at = hooks.iter().position(|(w, _)| *w == when)?;
                Some(hooks.remove(at).1)
            })
        };
        if let Some(hook) = hook {
            hook(self.clone()).await;
        }
        let cut = self.state().cut == Some((n, when));
        if cut {
            self.cut.notify_waiters();
            std::future::pending::<()>().await;
        }
        let mut state = self.state();
        let failures = state.failures.get_mut(name);
        match failures.and_then(|f| f.front().is_some_and(|(w, _)| *w == when).then(|| f.pop_front()).flatten()) {
            Some((_, failure)) => Err(failure),
            None => Ok(()),
        }
    }
}

pub fn event_body(name: &str, id: &str, status: &str) -> String {
    json!({
        "version": "0", "source": "aws.redshift-data", "detail-type": "Redshift Data Statement Status Change",
        "detail": {"principal": "arn:aws:sts::000000000000:assumed-role/r/s", "statementName": name, "statementId": id,
                   "redshiftQueryId": -1, "state": status, "rows": -1, "expireAt": 1_601_673_265}
    })
    .to_string()
}

#[async_trait]
impl Rows for World {
    async fn get(&self, key: &str) -> Outcome<Option<Row>> {
        self.call("rows.get", |state| Ok(state.rows.get(key).cloned())).await
    }

    async fn put(&self, row: &Row, lock: LockChange<'_>) -> Outcome<Written> {
        let name = match lock {
            LockChange::Leave => "rows.put",
            LockChange::Take(..) => "rows.take",
            LockChange::Free(_) => "rows.free",
        };
        self.call(name, |state| {
            let before = state.rows.get(&row.key).map_or(0, |r| r.revision);
            if before + 1 != row.revision {
                return Ok(Written::RowChanged);
            }
            // The invariants of every row that is ever written.
            assert_eq!(row.open_since.is_none(), row.closed(), "in the index exactly while something is owed: {row:?}");
            assert_eq!(row.expires_at.is_some(), row.closed(), "a TTL exactly when closed: {row:?}");
            assert!(row.closed() || row.sealed.is_some() == row.owes_answer(), "{row:?}");
            let mine = |l: &Lock, o: &Lock| l.row == o.row && l.attempt == o.attempt;
            match lock {
                LockChange::Leave => {}
                LockChange::Take(lock, stale) => {
                    if let Some(held) = state.locks.get(&lock.key)
                        && !mine(held, lock)
                        && !stale.is_some_and(|s| mine(held, s))
                    {
                        return Ok(Written::LockHeld);
                    }
                    state.locks.insert(lock.key.clone(), lock.clone());
                }
                LockChange::Free(lock) => {
                    if state.locks.get(&lock.key).is_some_and(|held| mine(held, lock)) {
                        state.locks.remove(&lock.key);
                    }
                }
            }
            state.rows.insert(row.key.clone(), row.clone());
            Ok(Written::Done)
        })
        .await
    }

    async fn lock(&self, key: &str) -> Outcome<Option<Lock>> {
        self.call("rows.lock", |state| Ok(state.locks.get(key).cloned())).await
    }

    async fn free(&self, lock: &Lock) -> Outcome<()> {
        self.call("rows.unlock", |state| {
            if state.locks.get(&lock.key).is_some_and(|held| held == lock) {
                state.locks.remove(&lock.key);
            }
            Ok(())
        })
        .await
    }

    async fn open(&self, shard: u8, before: i64) -> Outcome<Vec<String>> {
        self.call("rows.open", |state| {
            let rows =
                state.rows.values().filter(|r| r.open_since.is_some_and(|since| since < before)).map(|r| r.key.clone());
            let locks = state.locks.values().filter(|l| l.since < before).map(|l| l.key.clone());
            Ok(rows.chain(locks).filter(|k| key::shard(k) == shard).collect())
        })
        .await
    }

    async fn of_execution(&self, arn: &str, most: usize) -> Outcome<Vec<String>> {
        self.call("rows.of_execution", |state| {
            let mut rows: Vec<&Row> = state.rows.values().filter(|r| r.execution_arn.as_deref() == Some(arn)).collect();
            rows.sort_by_key(|r| std::cmp::Reverse(r.created_at));
            Ok(rows.into_iter().take(most).map(|r| r.key.clone()).collect())
        })
        .await
    }
}

#[async_trait]
impl DataApi for World {
    async fn submit(&self, submission: &Submission) -> Outcome<Submitted> {
        self.call("data.submit", |state| {
            let now = state.now;
            // The API remembers a ClientToken for 8 hours.
            let known =
                state.statements.iter().find(|s| s.token == submission.client_token && now - s.since < 8 * HOUR);
            if let Some(known) = known {
                return Ok(Submitted { id: known.id.clone(), session_id: None, db_user: None });
            }
            assert!(submission.client_token.len() <= 64);
            let id = format!("{:08x}-0000-0000-0000-000000000000", state.statements.len() + 1);
            let description = Description { id: id.clone(), status: "STARTED".to_owned(), ..Description::default() };
            state.statements.push(Statement {
                id: id.clone(),
                name: submission.statement_name.clone(),
                token: submission.client_token.clone(),
                submission: submission.clone(),
                description,
                pages: Vec::new(),
                since: now,
                kept: true,
            });
            Ok(Submitted { id, session_id: None, db_user: Some("loader".to_owned()) })
        })
        .await
    }

    async fn describe(&self, id: &str) -> Outcome<Description> {
        self.call("data.describe", |state| {
            let found = state.statements.iter().find(|s| s.id == id && s.kept);
            found
                .map(|s| s.description.clone())
                .ok_or_else(|| failure(FailureKind::NotFound, "ResourceNotFoundException", ""))
        })
        .await
    }

    async fn result(&self, id: &str, next: Option<&str>, _format: Format) -> Outcome<Page> {
        self.call("data.result", |state| {
            let (parent, _) = id.split_once(':').unwrap_or((id, ""));
            let found = state.statements.iter().find(|s| s.id == parent && s.kept);
            let statement = found.ok_or_else(|| failure(FailureKind::NotFound, "ResourceNotFoundException", ""))?;
            let n: usize = next.map_or(0, |n| n.parse().unwrap());
            let mut page = statement.pages[n].clone();
            page.next = (n + 1 < statement.pages.len()).then(|| (n + 1).to_string());
            Ok(page)
        })
        .await
    }

    async fn cancel(&self, id: &str) -> Outcome<bool> {
        self.call("data.cancel", |state| {
            let Some(statement) = state.statements.iter_mut().find(|s| s.id == id && s.kept) else {
                return Err(failure(FailureKind::NotFound, "ResourceNotFoundException", ""));
            };
            if statement.description.status != "STARTED" {
                return Err(failure(
                    FailureKind::Refused,
                    "ValidationException",
                    "Could not cancel a query that is already in FINISHED state",
                ));
            }
            statement.description.status = "ABORTED".to_owned();
            Ok(true)
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Outcome<Vec<Listed>> {
        self.call("data.list", |state| {
            let found = state.statements.iter().filter(|s| s.kept && s.name.starts_with(prefix));
            Ok(found
                .map(|s| Listed { id: s.id.clone(), name: s.name.clone(), status: s.description.status.clone() })
                .collect())
        })
        .await
    }
}

#[async_trait]
impl Tasks for World {
    async fn success(&self, token: &str, output: &str) -> Outcome<Answered> {
        self.call("tasks.success", |state| {
            if state.closed_tokens.contains(token) {
                return Ok(Answered::Gone);
            }
            if state.refuse_output {
                return Ok(Answered::OutputRefused);
            }
            assert!(output.len() <= 262_144);
            state.closed_tokens.insert(token.to_owned());
            state.answers.push((token.to_owned(), None, serde_json::from_str(output).unwrap()));
            Ok(Answered::Sent)
        })
        .await
    }

    async fn failure(&self, token: &str, error: &str, cause: &str) -> Outcome<Answered> {
        self.call("tasks.failure", |state| {
            if !state.closed_tokens.insert(token.to_owned()) {
                return Ok(Answered::Gone);
            }
            assert!(cause.len() <= 32_768 && error.len() <= 256);
            state.answers.push((token.to_owned(), Some(error.to_owned()), serde_json::from_str(cause).unwrap()));
            Ok(Answered::Sent)
        })
        .await
    }

    async fn execution(&self, arn: &str) -> Outcome<Execution> {
        self.call("tasks.execution", |state| Ok(state.executions.get(arn).map_or(Execution::Missing, |(e, _)| *e)))
            .await
    }

    async fn history(&self, arn: &str, _next: Option<&str>) -> Outcome<(Vec<HistoryEvent>, Option<String>)> {
        self.call("tasks.history", |state| {
            Ok((state.executions.get(arn).map(|(_, h)| h.clone()).unwrap_or_default(), None))
        })
        .await
    }
}

#[async_trait]
impl Queue for World {
    async fn send(&self, body: &str) -> Outcome<()> {
        self.call("queue.send", |state| {
            state.queue.push(body.to_owned());
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Assets for World {
    async fn script(&self, key: &str) -> Outcome<String> {
        self.call("assets.script", |state| {
            state.scripts.get(key).cloned().ok_or_else(|| failure(FailureKind::NotFound, "NoSuchKey", ""))
        })
        .await
    }
}

#[async_trait]
impl Vault for World {
    async fn seal(&self, context: &str, secret: &str) -> Outcome<Sealed> {
        self.call("vault.seal", |_| {
            Ok(Sealed {
                ciphertext: secret.as_bytes().to_vec(),
                nonce: vec![0; 12],
                data_key: context.as_bytes().to_vec(),
            })
        })
        .await
    }

    async fn open(&self, context: &str, sealed: &Sealed) -> Outcome<String> {
        self.call("vault.open", |_| {
            if sealed.data_key != context.as_bytes() {
                return Err(failure(FailureKind::Broken, "SealBroken", ""));
            }
            Ok(String::from_utf8(sealed.ciphertext.clone()).unwrap())
        })
        .await
    }
}

#[async_trait]
impl Responses for World {
    async fn put(&self, url: &str, body: &str) -> Outcome<Answered> {
        self.call("responses.put", |state| {
            assert!(body.len() <= 4_096);
            state.responses.push((url.to_owned(), serde_json::from_str(body).unwrap()));
            Ok(Answered::Sent)
        })
        .await
    }
}

impl Metrics for World {
    fn put(&self, measured: &Measured<'_>) {
        match *measured {
            Measured::Ended { failure } => self.state().ended.push(failure.map(str::to_owned)),
            Measured::Open { count, oldest_ms } => self.state().open = Some((count, oldest_ms)),
        }
    }
}

impl Clock for World {
    fn now(&self) -> i64 {
        self.state().now
    }
}
