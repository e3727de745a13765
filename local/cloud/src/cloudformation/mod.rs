//! CloudFormation: deploys templates into the services of the local cloud, for the stack that the command starts and for
//! whoever calls the API.
//!
//! [`crate::template`] says what a template comes to, `crate::stack` makes, changes and removes one resource; here is
//! what AWS does around that: order, events, roll-back, change sets, custom resources. Must never touch anything before
//! the whole template resolves and every change of it can be made.

mod api;
mod apply;
mod change_set;
mod custom;
mod engine;
mod files;
mod plan;
mod record;
mod remove;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::service::Service;
use crate::stack::Parts;
use crate::template::{Inputs, Known, Model, Resource};
use crate::{ACCOUNT, ApiError, Caller, Error, PARTITION};
use engine::{OnFailure, Run, Settings};
use files::Origin;
use record::Record;

pub(crate) use crate::template::custom::is as is_custom;

/// How long a question about a stack waits for the end of what is under way with it. Clients that wait for a stack ask once
/// at once, and then only every half minute; most operations here are over by then.
const PATIENCE: Duration = Duration::from_secs(4);

/// What a template may ask for; the person at the machine grants all of it.
const CAPABILITIES: [&str; 2] = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"];

/// The stacks; clones share them.
#[derive(Clone)]
pub(crate) struct CloudFormation {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    state: Mutex<State>,
    /// Told whenever an operation has ended.
    ended: Notify,
    /// The operations under way; they end with the cloud.
    running: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    /// Every stack that there is or was, in order of creation.
    records: Vec<Record>,
    /// How often a stack of a name was created.
    incarnations: BTreeMap<String, u32>,
    /// What was retained when its stack went.
    retained: Vec<Resource>,
}

impl CloudFormation {
    /// No stacks yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let shared =
            Shared { parts, state: Mutex::default(), ended: Notify::new(), running: Mutex::new(JoinSet::new()) };
        Self { shared: Arc::new(shared) }
    }

    /// Creates a stack from a template on this machine, and returns when it is there. What fails stays as it is.
    ///
    /// # Errors
    /// What is wrong with the template, or what a service refused.
    pub(crate) async fn deploy(
        &self,
        name: &str,
        template: PathBuf,
        parameters: BTreeMap<String, String>,
    ) -> Result<Model, Error> {
        let settings = Settings {
            origin: Origin::file(template),
            given: parameters,
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            tags: Vec::new(),
            on_failure: OnFailure::Nothing,
            retain: BTreeSet::new(),
        };
        let mut run = Run::prepare(self, name, None, settings)?;
        run.open("CREATE_IN_PROGRESS");
        run.create().await
    }

    /// Waits until nothing is under way with a stack, and describes it.
    ///
    /// # Errors
    /// `ValidationError` when there is no such stack.
    pub(crate) async fn settled(&self, name: &str) -> Result<Value, ApiError> {
        loop {
            let ended = self.shared.ended.notified();
            tokio::pin!(ended);
            // Registered before looking, so that an end in between is not missed.
            ended.as_mut().enable();
            let record = self.find(name)?;
            if !record.busy() {
                return Ok(record.described());
            }
            ended.await;
        }
    }

    /// Ends what is under way.
    pub(crate) async fn stop(&self) {
        let mut running = std::mem::take(&mut *self.running());
        running.shutdown().await;
    }

    fn running(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, operation: impl Future<Output = ()> + Send + 'static) {
        let ended = Arc::downgrade(&self.shared);
        let mut running = self.running();
        while running.try_join_next().is_some() {}
        running.spawn(async move {
            operation.await;
            if let Some(shared) = ended.upgrade() {
                shared.ended.notify_waiters();
            }
        });
    }

    fn parts(&self) -> &Parts {
        &self.shared.parts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a template of this stack is resolved with.
    fn inputs(&self, name: &str, parameters: BTreeMap<String, String>) -> Inputs {
        let parts = self.parts();
        Inputs {
            stack_name: name.to_owned(),
            region: parts.region.clone(),
            account: ACCOUNT.into(),
            partition: PARTITION.into(),
            endpoint: parts.endpoint.clone(),
            parameters,
        }
    }

    /// Changes the record of this id, if there is one.
    fn record<T>(&self, id: &str, change: impl FnOnce(&mut Record) -> T) -> Option<T> {
        self.lock().records.iter_mut().find(|record| record.id == id).map(change)
    }

    /// A stack by its name, or by its ARN also when it is deleted.
    fn find(&self, name: &str) -> Result<Record, ApiError> {
        let state = self.lock();
        let found = state.records.iter().rev().find(|record| {
            if name.starts_with("arn:") { record.id == name } else { record.name == name && record.deleted.is_none() }
        });
        found.cloned().ok_or_else(|| validation(format!("Stack with id {name} does not exist")))
    }

    /// What is known before a stack of this name is created, and that there is one more.
    fn incarnation(&self, name: &str) -> Known {
        let mut state = self.lock();
        let times = state.incarnations.entry(name.to_owned()).or_default();
        let incarnation = *times;
        *times += 1;
        Known { incarnation, ..Known::default() }
    }
}

#[async_trait]
impl Service for CloudFormation {
    async fn call(&self, operation: &str, _caller: &Caller, body: Value) -> Result<Value, ApiError> {
        if operation == "DescribeStacks"
            && let Some(name) = body.get("StackName").and_then(Value::as_str)
        {
            // Nothing to tell of it when there is no such stack, or when it takes longer.
            let _ = tokio::time::timeout(PATIENCE, self.settled(name)).await;
        }
        self.answer(operation, &body)
    }
}

fn validation(text: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationError", text)
}
