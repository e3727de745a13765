//! Lambda: functions as processes that speak the Runtime API, and the event source mappings that feed them.
//!
//! A process is started on demand with the template's environment, is reused while idle, and never outlives the host.
//! Payloads and environments never reach a log of ours; what a function prints is kept as its log.

mod api;
mod asynchronous;
mod environment;
mod log;
mod mapping;
mod runtime_api;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::authorize::Authorizer;
use crate::identity::Identity;
use crate::service::Properties;
use crate::sqs::Sqs;
use crate::trace::{Trace, What};
use crate::{ACCOUNT, ApiError, PARTITION};
use environment::{Environment, Outcome};
use log::Log;
use runtime_api::MAX_PAYLOAD;
use settings::Settings;

pub(crate) use api::{answer, decoded, is_path};

/// Bytes of an asynchronous request (Lambda quotas page: 1 MB).
const MAX_EVENT: usize = 1_048_576;
/// The error name when a function reported an error without one.
const UNNAMED: &str = "Unhandled";

/// How functions are started.
#[derive(Clone)]
pub struct Config {
    /// The region they believe to be in.
    pub region: String,
    /// The gateway's address, `http://127.0.0.1:PORT`: their only way to any service.
    pub endpoint: String,
    /// The command that plays a function; the program's name is appended.
    pub command: Vec<OsString>,
    /// Where each function's log file is written, as `NAME.log`.
    pub logs: PathBuf,
    /// Gives each environment its credentials.
    pub identity: Identity,
    /// Where starts and ends are shown.
    pub trace: Trace,
}

/// How an invocation is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationType {
    /// The caller waits for the answer.
    RequestResponse,
    /// The event is queued, and tried up to three times.
    Event,
    /// Nothing is run.
    DryRun,
}

/// What an invocation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// 200, 202 for `Event`, 204 for `DryRun`.
    pub status: u16,
    /// `Unhandled` when the function failed: the payload is then `{"errorType": …, "errorMessage": …}`.
    pub function_error: Option<String>,
    /// The answer, JSON as the function wrote it. Empty for `Event` and `DryRun`.
    pub payload: Bytes,
    /// The request id.
    pub request_id: String,
    /// The lines of the log that belong to this invocation.
    pub log: Vec<String>,
}

/// The functions; clones share them. Ends every process when the last clone goes.
#[derive(Clone)]
pub struct Lambda {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    /// By name.
    functions: Mutex<BTreeMap<String, Arc<Function>>>,
    mappings: Mutex<Vec<mapping::Started>>,
    pauses: Mutex<[Duration; 2]>,
}

/// One function.
struct Function {
    settings: Settings,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Environment>>,
    /// Every process by its id, and how to have it killed.
    running: Mutex<HashMap<u32, Arc<Notify>>>,
    /// Told when a process is gone.
    ended: Notify,
    log: Log,
    /// How events are tried again.
    events: Mutex<asynchronous::Settings>,
}

/// What to do when all of a function's concurrency is in use.
#[derive(Clone, Copy)]
enum WhenBusy {
    /// Refuse, as for a caller who waits for the answer.
    Refuse,
    /// Wait this long, as Lambda does with events that it holds itself.
    Wait(Duration),
}

impl Lambda {
    /// No functions yet. Runs tasks on the current tokio runtime.
    ///
    /// # Errors
    /// When the folder for logs cannot be made.
    pub fn start(config: Config) -> Result<Self, ApiError> {
        std::fs::create_dir_all(&config.logs)
            .map_err(|error| ApiError::new(500, "ServiceException", format!("the folder of logs: {error}")))?;
        let inner = Inner {
            config,
            functions: Mutex::default(),
            mappings: Mutex::default(),
            pauses: Mutex::new(asynchronous::PAUSES),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Creates the function of an `AWS::Lambda::Function` with these resolved properties under this name. No process is
    /// started before it is invoked. `sqs` has its dead letter queue.
    ///
    /// # Errors
    /// An unknown property by name, or a value that Lambda refuses.
    pub fn create_function(&self, name: &str, properties: &Value, sqs: &Sqs) -> Result<(), ApiError> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
            return Err(invalid(format!("{name} is no function name")));
        }
        let settings = Settings::read(name, self.arn(name), properties)?;
        let events = asynchronous::Settings::of(&settings, sqs);
        let log = Log::create(&self.inner.config.logs.join(format!("{name}.log")))
            .map_err(|error| ApiError::new(500, "ServiceException", format!("the log of {name}: {error}")))?;
        self.inner.functions().insert(name.to_owned(), Arc::new(Function::new(settings, log, events)));
        Ok(())
    }

    /// Puts other settings in the place of a function's. Invocations under way end as they began; the next one is a new
    /// process.
    ///
    /// # Errors
    /// As [`Self::create_function`], or an unknown function.
    pub fn update_function(&self, name: &str, properties: &Value, sqs: &Sqs) -> Result<(), ApiError> {
        let old = self.inner.find(name)?;
        let settings = Settings::read(name, self.arn(name), properties)?;
        let events = old.events.lock().unwrap_or_else(PoisonError::into_inner).clone().with_function(&settings, sqs);
        let function = Function::new(settings, old.log.clone(), events);
        self.inner.functions().insert(name.to_owned(), Arc::new(function));
        old.slots.close();
        old.idle().clear();
        Ok(())
    }

    /// Removes a function and ends its processes; returns when all are gone. One that is not there is no error.
    pub async fn delete_function(&self, name: &str) {
        let removed = self.inner.functions().remove(name);
        if let Some(function) = removed {
            function.end().await;
        }
    }

    /// Removes an event source mapping by its id; batches under way are handled to their end.
    pub fn delete_event_source_mapping(&self, id: &str) {
        self.inner.mappings().retain(|mapping| {
            let is = mapping.described.get("UUID").and_then(Value::as_str) == Some(id);
            if is {
                mapping.stop();
            }
            !is
        });
    }

    /// Takes an `AWS::Lambda::EventInvokeConfig` back from a function.
    pub fn delete_event_invoke_config(&self, function: &str, sqs: &Sqs) {
        if let Ok(function) = self.inner.find(function) {
            let plain = asynchronous::Settings::of(&function.settings, sqs);
            *function.events.lock().unwrap_or_else(PoisonError::into_inner) = plain;
        }
    }

    /// Accepts an `AWS::Lambda::Permission`: its function must exist, the permission is not evaluated.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown function.
    pub fn permission(&self, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::Lambda::Permission", properties)?;
        let function = read.required("FunctionName")?;
        for name in ["Action", "Principal"] {
            read.required(name)?;
        }
        read.accept(&["SourceArn", "SourceAccount", "PrincipalOrgID"]);
        read.end()?;
        self.inner.find(&function).map(drop)
    }

    /// Creates an `AWS::Lambda::EventSourceMapping` from a queue, under this id, and starts to poll.
    ///
    /// # Errors
    /// An unknown property by name, an unknown queue or function, a visibility timeout below the function's timeout.
    pub fn create_event_source_mapping(&self, id: &str, properties: &Value, sqs: &Sqs) -> Result<(), ApiError> {
        let started = mapping::start(&self.inner, id, properties, sqs)?;
        self.inner.mappings().push(started);
        Ok(())
    }

    /// Takes over an `AWS::Lambda::EventInvokeConfig`: how often events are tried, and which queues are told.
    ///
    /// # Errors
    /// An unknown property by name, an unknown function, or a destination that is no queue.
    pub fn create_event_invoke_config(&self, properties: &Value, sqs: &Sqs) -> Result<(), ApiError> {
        asynchronous::configure(&self.inner, properties, sqs)
    }

    /// Invokes a function (by name, ARN or partial ARN). Goes on even if the caller gives up waiting.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `TooManyRequestsException` (429), `RequestTooLargeException` (413),
    /// `InvalidRequestContentException`. A failing function is no error, but [`Invocation::function_error`].
    pub async fn invoke(&self, function: &str, kind: InvocationType, payload: Bytes) -> Result<Invocation, ApiError> {
        let function = self.inner.find(function)?;
        let payload = checked(kind, payload)?;
        let request_id = Uuid::new_v4().to_string();
        let accepted = |status| Invocation {
            status,
            function_error: None,
            payload: Bytes::new(),
            request_id: request_id.clone(),
            log: Vec::new(),
        };
        match kind {
            InvocationType::DryRun => Ok(accepted(204)),
            InvocationType::Event => {
                let answer = accepted(202);
                tokio::spawn(asynchronous::run(Arc::clone(&self.inner), function, request_id, payload));
                Ok(answer)
            }
            InvocationType::RequestResponse => self.inner.invoke(function, request_id, payload, WhenBusy::Refuse).await,
        }
    }

    /// Who may call them, and what their roles may do.
    pub fn authorizer(&self) -> &Authorizer {
        self.inner.config.identity.authorizer()
    }

    /// The names of all functions.
    pub fn names(&self) -> Vec<String> {
        self.inner.functions().keys().cloned().collect()
    }

    /// The log of a function (by name or ARN), line by line, oldest first. Empty when there is no such function.
    pub fn log(&self, function: &str) -> Vec<String> {
        self.inner.find(function).map(|function| function.log.lines()).unwrap_or_default()
    }

    /// Kills every process of a function (by name or ARN), as a crash would, and says how many there were.
    pub fn kill(&self, function: &str) -> usize {
        let Ok(function) = self.inner.find(function) else {
            return 0;
        };
        let running = function.running();
        for kill in running.values() {
            kill.notify_one();
        }
        running.len()
    }

    /// The ids of the processes of a function (by name or ARN).
    pub fn processes(&self, function: &str) -> Vec<u32> {
        let function = self.inner.find(function);
        function.map(|function| function.running().keys().copied().collect()).unwrap_or_default()
    }

    /// Other pauses before the second and third try of an asynchronous event than AWS's one and two minutes.
    pub fn set_retry_pauses(&self, pauses: [Duration; 2]) {
        *self.inner.pauses.lock().unwrap_or_else(PoisonError::into_inner) = pauses;
    }

    /// Stops the mappings and ends every process; returns when all are gone.
    pub async fn shutdown(&self) {
        self.inner.stop_mappings();
        let functions: Vec<Arc<Function>> = self.inner.functions().values().cloned().collect();
        for function in functions {
            function.end().await;
        }
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:{PARTITION}:lambda:{}:{ACCOUNT}:function:{name}", self.inner.config.region)
    }
}

impl Inner {
    fn functions(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Function>>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mappings(&self) -> MutexGuard<'_, Vec<mapping::Started>> {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The function behind a name, an ARN or `ACCOUNT:function:NAME`, with or without the qualifier `$LATEST`.
    fn find(&self, function: &str) -> Result<Arc<Function>, ApiError> {
        let (function, qualifier) = match function.strip_suffix(":$LATEST") {
            Some(unqualified) => (unqualified, true),
            None => (function, false),
        };
        let name = match function.rsplit_once("function:") {
            Some((_, name)) => name,
            None => function,
        };
        let found = self.functions().get(name).cloned();
        match found {
            Some(found) if !function.starts_with("arn:") || function == found.settings.arn => Ok(found),
            _ => {
                let suffix = if qualifier { ":$LATEST" } else { "" };
                let arn = format!("arn:{PARTITION}:lambda:{}:{ACCOUNT}:function:{name}{suffix}", self.config.region);
                let text = format!("Function not found: {arn}");
                Err(ApiError::new(404, "ResourceNotFoundException", text).with("Type", "User"))
            }
        }
    }

    /// Runs one invocation to its end, whoever waits for it.
    async fn invoke(
        self: &Arc<Self>,
        function: Arc<Function>,
        request_id: String,
        payload: Bytes,
        busy: WhenBusy,
    ) -> Result<Invocation, ApiError> {
        let slot = function.slot(busy).await?;
        let inner = Arc::clone(self);
        let running = tokio::spawn(async move {
            let ended = inner.run(&function, request_id, payload).await;
            // The environment is idle again before the slot is free, so that the next one finds it.
            drop(slot);
            ended
        });
        running.await.map_err(|error| ApiError::new(500, "ServiceException", format!("the host failed: {error}")))?
    }

    async fn run(&self, function: &Arc<Function>, request_id: String, payload: Bytes) -> Result<Invocation, ApiError> {
        let settings = &function.settings;
        let trace = &self.config.trace;
        trace.emit(What::Invoked { function: settings.name.clone(), request: request_id.clone() });
        let ended = loop {
            let warm = function.warm();
            let mut environment = match warm {
                Some(environment) => environment,
                None => match Environment::start(&self.config, function).await {
                    Ok(environment) => environment,
                    Err(error) => break Err(error),
                },
            };
            match environment.invoke(settings, &request_id, payload.clone()).await {
                // It ended between two invocations: this one has not been seen by anybody.
                (Outcome::NotTaken, _) => {}
                (Outcome::Answered { payload, failed }, log) => {
                    if environment.alive() && !function.slots.is_closed() {
                        function.idle().push(environment);
                    }
                    break Ok((payload, failed, log));
                }
            }
        };
        let error = match &ended {
            Ok((payload, true, _)) => Some(error_type(payload)),
            Ok(_) => None,
            Err(error) => Some(error.code.clone()),
        };
        trace.emit(What::Returned { function: settings.name.clone(), request: request_id.clone(), error });
        ended.map(|(payload, failed, log)| Invocation {
            status: 200,
            function_error: failed.then(|| UNNAMED.to_owned()),
            payload,
            request_id,
            log,
        })
    }

    fn stop_mappings(&self) {
        for mapping in self.mappings().drain(..) {
            mapping.stop();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop_mappings();
        for function in self.functions().values() {
            function.idle().clear();
            for kill in function.running().values() {
                kill.notify_one();
            }
        }
    }
}

impl Function {
    /// Without any process.
    fn new(settings: Settings, log: Log, events: asynchronous::Settings) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(settings.concurrency)),
            settings,
            idle: Mutex::default(),
            running: Mutex::default(),
            ended: Notify::new(),
            log,
            events: Mutex::new(events),
        }
    }

    /// Ends every process, and returns when all are gone.
    async fn end(&self) {
        // No invocation gets in any more.
        self.slots.close();
        self.idle().clear();
        loop {
            let ended = self.ended.notified();
            let left: Vec<Arc<Notify>> = self.running().values().cloned().collect();
            if left.is_empty() {
                break;
            }
            for kill in left {
                kill.notify_one();
            }
            ended.await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Environment>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u32, Arc<Notify>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The environment that was used last and still lives.
    fn warm(&self) -> Option<Environment> {
        let mut idle = self.idle();
        while let Some(environment) = idle.pop() {
            if environment.alive() {
                return Some(environment);
            }
        }
        None
    }

    async fn slot(&self, busy: WhenBusy) -> Result<OwnedSemaphorePermit, ApiError> {
        let slots = Arc::clone(&self.slots);
        let slot = match busy {
            WhenBusy::Refuse => slots.try_acquire_owned().ok(),
            WhenBusy::Wait(time) => tokio::time::timeout(time, slots.acquire_owned()).await.ok().and_then(Result::ok),
        };
        slot.ok_or_else(|| {
            let reason = match self.settings.reserved {
                Some(_) => "ReservedFunctionConcurrentInvocationLimitExceeded",
                None => "ConcurrentInvocationLimitExceeded",
            };
            ApiError::new(429, "TooManyRequestsException", "Rate Exceeded.").with("Reason", reason).with("Type", "User")
        })
    }
}

/// The payload, if Lambda would take it. No payload at all is an empty object.
fn checked(kind: InvocationType, payload: Bytes) -> Result<Bytes, ApiError> {
    let most = if kind == InvocationType::Event { MAX_EVENT } else { MAX_PAYLOAD };
    if payload.len() > most {
        let text = format!("Request must be smaller than {most} bytes for the InvokeFunction operation");
        return Err(ApiError::new(413, "RequestTooLargeException", text).with("Type", "User"));
    }
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let text = format!("Could not parse request body into json: {error}");
        return Err(ApiError::new(400, "InvalidRequestContentException", text).with("Type", "User"));
    }
    Ok(payload)
}

/// The name in a function's error JSON.
fn error_type(payload: &[u8]) -> String {
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    value.get("errorType").and_then(Value::as_str).unwrap_or(UNNAMED).to_owned()
}

fn invalid(text: String) -> ApiError {
    ApiError::new(400, "InvalidParameterValueException", text).with("Type", "User")
}
