//! The Data API itself: who may call what, and the state that the operations share.
//!
//! One lock guards the state; it is held for moments, never across an await. What must never happen: a status event
//! before the status is visible, a statement shown to another owner.

use crate::config::{Caller, Config, Secret, Target};
use crate::connection::{self, Connection};
use crate::faults::Faults;
use crate::postgres::{self, Server};
use crate::session::Session;
use crate::statement::{Place, Statement, Status};
use crate::transfer::Site;
use crate::{ApiError, Error, event};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::Semaphore;

/// A running Data API; clones share it. When the last one is dropped the database server ends.
#[derive(Clone)]
pub struct DataApi {
    pub(crate) inner: Arc<Inner>,
    owns_server: bool,
}

/// What operations and statements' tasks share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) server: Arc<Server>,
    pub(crate) faults: Faults,
    /// Statements that may run at once.
    pub(crate) slots: Arc<Semaphore>,
    /// What exists; more may come, and what there is stays.
    places: RwLock<Places>,
    next_query: AtomicI64,
    system: crate::system::System,
    state: Mutex<State>,
}

/// Clusters, workgroups and their databases.
#[derive(Default)]
struct Places {
    targets: Vec<Target>,
    /// Resource ARN of each target.
    resources: Vec<String>,
    /// Physical database name by target and Database.
    databases: HashMap<(usize, String), Arc<str>>,
    /// Secrets that came with later targets.
    secrets: BTreeMap<String, Secret>,
}

impl Places {
    /// Adds what is not there yet.
    fn add(&mut self, config: &Config, targets: &[Target]) -> Result<(), Error> {
        for target in targets {
            let same = |known: &Target| known.cluster == target.cluster && known.workgroup == target.workgroup;
            let index = match self.targets.iter().position(same) {
                Some(index) => index,
                None => {
                    self.resources.push(resource(config, target)?);
                    self.targets.push(target.clone());
                    self.targets.len() - 1
                }
            };
            for database in &target.databases {
                if self.databases.contains_key(&(index, database.clone())) {
                    continue;
                }
                // Targets are apart: the second one with a database `dev` gets another database under that name.
                let taken = self.databases.values().any(|physical| **physical == **database);
                let physical = if taken { format!("{database}@{index}") } else { database.clone() };
                self.databases.insert((index, database.clone()), physical.into());
            }
        }
        Ok(())
    }
}

/// Statements, tokens and sessions.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) statements: HashMap<String, Statement>,
    /// Statement id by owner and ClientToken.
    pub(crate) tokens: HashMap<(String, String), (String, DateTime<Utc>)>,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) next_sequence: u64,
    /// Statements in flight by target.
    pub(crate) active: HashMap<usize, usize>,
    /// When retention was last looked at.
    swept: Option<DateTime<Utc>>,
}

impl DataApi {
    /// Starts a database server of its own and makes the targets' databases in it.
    ///
    /// # Errors
    /// [`Error`]: contradicting targets, or no usable PostgreSQL.
    pub async fn start(config: Config) -> Result<Self, Error> {
        // Beside the running statements and the sessions: administration, and connections that are just closing.
        let connections =
            config.limits.concurrency * 2 + config.limits.active_sessions * config.targets.len().max(1) + 20;
        let server = Server::start(connections.min(1_000)).await?;
        let mut api = Self::start_on(config, Arc::new(server)).await?;
        api.owns_server = true;
        Ok(api)
    }

    /// The same on a server that already runs and that others may use too. Databases that exist are used as they are.
    ///
    /// # Errors
    /// [`Error`]: contradicting targets, or a refusal of the server.
    pub async fn start_on(config: Config, server: Arc<Server>) -> Result<Self, Error> {
        let mut places = Places::default();
        places.add(&config, &config.targets)?;
        // The others are made when a statement first needs them.
        if let Some(database) = config.targets.first().and_then(|target| target.databases.first()) {
            server.create_database(database).await?;
        }
        let slots = Arc::new(Semaphore::new(config.limits.concurrency));
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                server,
                faults: Faults::default(),
                slots,
                places: RwLock::new(places),
                next_query: AtomicI64::new(1_000),
                system: crate::system::System::default(),
                state: Mutex::default(),
            }),
            owns_server: false,
        })
    }

    /// One call of the service: `operation` as in `X-Amz-Target: RedshiftData.<operation>`, `body` and answer as JSON 1.1.
    ///
    /// # Errors
    /// [`ApiError`], as the service answers; a failing SQL statement is none.
    pub async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        let inner = &self.inner;
        inner.faults.check(operation, inner.now())?;
        match operation {
            "ExecuteStatement" | "BatchExecuteStatement" => {
                let (id, answer, wait) = inner.submit(operation, caller, &body)?;
                if inner.faults.ends_before_answer() {
                    self.wait(&id).await?;
                }
                if wait.is_none() {
                    return Ok(answer);
                }
                // The operations that submit do not have the error of too many waiting requests.
                inner.wait_for_end(caller, &id, wait, usize::MAX).await?;
                Ok(inner.state().statements.get(&id).map_or(answer, Statement::submitted_and_waited))
            }
            "DescribeStatement" => inner.describe(caller, &body).await,
            "CancelStatement" => inner.cancel(caller, &body),
            "GetStatementResult" | "GetStatementResultV2" => inner.result(operation, caller, &body).await,
            "ListStatements" => inner.list(caller, &body),
            "ListSessions" => inner.list_sessions(caller, &body),
            "ListDatabases" => inner.list_databases(caller, &body).await,
            "ListSchemas" => inner.list_schemas(caller, &body).await,
            "ListTables" => inner.list_tables(caller, &body).await,
            "DescribeTable" => inner.describe_table(caller, &body).await,
            other => Err(ApiError::unknown_operation(other)),
        }
    }

    /// More clusters, workgroups, databases and secrets. What exists already stays as it is.
    ///
    /// # Errors
    /// [`Error`]: a target that is neither a cluster nor a workgroup.
    pub fn add(&self, targets: &[Target], secrets: BTreeMap<String, Secret>) -> Result<(), Error> {
        let mut places = self.inner.places.write().unwrap_or_else(PoisonError::into_inner);
        places.secrets.extend(secrets);
        places.add(&self.inner.config, targets)
    }

    /// Waits until the statement has ended (and its event, if any, is out) and describes it; for tests and for a caller
    /// in the same process.
    ///
    /// # Errors
    /// ResourceNotFoundException for an unknown id.
    pub async fn wait(&self, id: &str) -> Result<Value, ApiError> {
        let mut status = match self.inner.state().statements.get(id) {
            Some(statement) => statement.status.subscribe(),
            None => return Err(ApiError::not_found("Query does not exist.", id)),
        };
        // An error means that the record is gone: retention is over, which the next line reports.
        let _ = status.wait_for(|status| status.ended()).await;
        match self.inner.state().statements.get(id) {
            Some(statement) => Ok(statement.describe(None)),
            None => Err(ApiError::not_found("Query does not exist.", id)),
        }
    }

    /// Switches for misbehaviour.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Ends the server, if this Data API started it, and with it whatever still runs. Later statements fail.
    pub async fn stop(&self) {
        if self.owns_server {
            self.inner.server.stop().await;
        }
    }
}

/// ARN of a target, as events name it. A workgroup's is built on its id, which is drawn here.
fn resource(config: &Config, target: &Target) -> Result<String, Error> {
    let (region, account) = (&config.region, &config.account);
    match (&target.cluster, &target.workgroup) {
        (Some(cluster), None) => Ok(format!("arn:aws:redshift:{region}:{account}:cluster:{cluster}")),
        (None, Some(_)) => {
            let id = uuid::Uuid::new_v4();
            Ok(format!("arn:aws:redshift-serverless:{region}:{account}:workgroup/{id}"))
        }
        _ => Err(Error::Config("a target is either a cluster or a workgroup".to_owned())),
    }
}

impl Inner {
    fn places(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The secret that SecretArn names.
    pub(crate) fn secret(&self, arn: &str) -> Option<Secret> {
        let later = self.places().secrets.get(arn).cloned();
        later.or_else(|| self.config.logins.secret(arn))
    }

    /// The database on the server that a place stands for.
    fn physical(&self, place: &Place) -> Option<Arc<str>> {
        self.places().databases.get(&(place.target, place.database.clone())).cloned()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.config.clock)()
    }

    /// The state, without what retention has ended.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        // Once a second is enough, and keeps a call's cost apart from the number of statements.
        if state.swept.is_none_or(|swept| now >= swept + chrono::Duration::seconds(1)) {
            state.swept = Some(now);
            let limits = &self.config.limits;
            state.statements.retain(|_, s| !s.status().ended() || now < s.updated + limits.retention);
            state.tokens.retain(|_, (_, since)| now < *since + limits.token_retention);
            for session in state.sessions.values_mut() {
                session.expire(now);
            }
            state.sessions.retain(|_, session| !session.forgotten(now, limits.retention));
        }
        state
    }

    /// The databases of a target.
    pub(crate) fn databases_of(&self, target: usize) -> Vec<String> {
        let places = self.places();
        let mut names: Vec<String> =
            places.databases.keys().filter(|(of, _)| *of == target).map(|(_, name)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// A new Redshift query id.
    pub(crate) fn query_id(&self) -> i64 {
        self.next_query.fetch_add(1, Ordering::Relaxed)
    }

    /// The target with this cluster or workgroup; a workgroup may be named by its ARN.
    pub(crate) fn target(&self, cluster: Option<&str>, workgroup: Option<&str>) -> Option<usize> {
        let places = self.places();
        places.targets.iter().zip(&places.resources).position(|(target, arn)| match (cluster, workgroup) {
            (Some(cluster), None) => target.cluster.as_deref() == Some(cluster),
            (None, Some(workgroup)) => target.workgroup.as_deref() == Some(workgroup) || arn == workgroup,
            _ => false,
        })
    }

    /// Changes a statement and then shows its new status.
    pub(crate) fn advance(&self, id: &str, status: Status, change: impl FnOnce(&mut Statement)) {
        let mut state = self.state();
        if let Some(statement) = state.statements.get_mut(id) {
            statement.updated = self.now();
            change(statement);
            statement.status.send_replace(status);
        }
    }

    /// The last change of a statement: the session is free again, the status visible, then the event goes out.
    pub(crate) fn end(
        &self,
        id: &str,
        status: Status,
        connection: Option<Connection>,
        change: impl FnOnce(&mut Statement),
    ) {
        let mut state = self.state();
        let now = self.now();
        let session = state.statements.get(id).and_then(|s| s.session.clone());
        if let Some(session) = session.and_then(|session| state.sessions.get_mut(&session)) {
            session.put_back(connection, now, self.config.limits.session_life);
        }
        let State { statements, active, .. } = &mut *state;
        let Some(statement) = statements.get_mut(id) else { return };
        if let Some(active) = active.get_mut(&statement.place.target) {
            *active = active.saturating_sub(1);
        }
        statement.updated = now;
        change(statement);
        statement.status.send_replace(status);
        if statement.with_event {
            let places = self.places();
            let ended = event::Ended {
                account: &self.config.account,
                region: &self.config.region,
                resource: places.resources.get(statement.place.target).map_or("", String::as_str),
                principal: &statement.principal,
                statement_name: statement.name.as_deref().unwrap_or_default(),
                statement_id: id,
                query_id: statement.query_id(),
                state: status.name(),
                rows: statement.rows(),
                time: now,
                expires: chrono::Duration::from_std(self.config.limits.retention).unwrap_or(chrono::Duration::days(1)),
            };
            if self.config.events.send(event::event(&ended)).is_err() {
                tracing::debug!(statement = id, "nobody listens to status events");
            }
        }
    }

    /// The database of a place on the server, and what COPY and UNLOAD need there.
    pub(crate) fn site<'a>(&'a self, place: &'a Place, query_id: i64, pid: i64) -> Site<'a> {
        Site {
            server: &self.server,
            physical: self.physical(place).unwrap_or_else(|| place.database.as_str().into()),
            database: &place.database,
            objects: self.config.objects.as_deref(),
            now: self.now(),
            query_id,
            pid,
        }
    }

    /// Opens a database session, making the database and the user if they are new. An error reads as
    /// DescribeStatement.Error shows it.
    pub(crate) async fn open(&self, place: &Place) -> Result<Connection, String> {
        let shown = |error: postgres::Error| match error {
            postgres::Error::Server(error) => connection::failure(&error, 0).to_string(),
            other => format!("ERROR: {other}"),
        };
        let missing = || format!("ERROR: database \"{}\" does not exist", place.database);
        let database = self.physical(place).ok_or_else(missing)?;
        let database = &*database;
        self.server.create_database(database).await.map_err(shown)?;
        self.system.plant(self, place, database).await.map_err(shown)?;
        let open = || Connection::open(&self.server, database, &place.db_user);
        match open().await {
            // invalid_authorization_specification: the role does not exist.
            Err(error) if error.code().is_some_and(|code| code.code() == "28000") => {
                // An IAM identity gets its user with its first login; any other user must be there.
                let iam = place.db_user.starts_with("IAM:") || place.db_user.starts_with("IAMR:");
                if !iam && !self.config.logins.has_user(&place.db_user) {
                    return Err(format!("FATAL: password authentication failed for user \"{}\"", place.db_user));
                }
                self.server.ensure_user(&place.db_user).await.map_err(shown)?;
                open().await.map_err(|error| shown(error.into()))
            }
            opened => opened.map_err(|error| shown(error.into())),
        }
    }
}
