//! One function on the Lambda Runtime API: the log, the runtime, and how an error becomes Lambda's errorType. Nothing of
//! the SDKs or of HTTP is ever logged below WARN: their detail holds bodies, which hold tokens and SQL.

use std::fmt;
use std::future::Future;
use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use statement::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What a function knows of its invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's request id; Lambda's own retries keep it.
    pub request_id: String,
    /// When Lambda will end the function, epoch milliseconds.
    pub deadline_ms: i64,
}

/// Why a function stopped serving.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not begin.
    #[error("{name}: {0}", name = .0.name())]
    Start(#[from] Error),
    /// The Runtime API failed.
    #[error("runtime: {0}")]
    Runtime(lambda_runtime::Error),
}

/// An error that a function may raise.
pub trait Raise: fmt::Display {
    /// Its stable name, which ASL matches.
    fn name(&self) -> &'static str;
    /// Whether trying again unchanged makes sense.
    fn transient(&self) -> bool;
}

impl Raise for Error {
    fn name(&self) -> &'static str {
        self.name()
    }

    fn transient(&self) -> bool {
        self.transient()
    }
}

/// The error of an invocation; its name becomes Lambda's errorType.
struct Raised<E>(E);

impl<E: Raise> fmt::Debug for Raised<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl<E: Raise> From<Raised<E>> for Diagnostic {
    fn from(raised: Raised<E>) -> Self {
        Self { error_type: raised.0.name().to_owned(), error_message: raised.0.to_string() }
    }
}

/// Serves invocations until the Runtime API ends. A handler's error fails its invocation only.
///
/// # Errors
/// If the Runtime API cannot be reached.
pub async fn serve<H, F, E>(handler: H) -> Result<(), RunError>
where
    H: Fn(Value, Invocation) -> F,
    F: Future<Output = Result<Value, E>>,
    E: Raise,
{
    // The runtime crate panics where one is missing.
    let needed = [
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
    ];
    let missing: Vec<&str> = needed.into_iter().filter(|key| std::env::var_os(key).is_none()).collect();
    if !missing.is_empty() {
        return Err(Error::Configuration(format!("Lambda sets {}, which is missing here", missing.join(", "))).into());
    }
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let invocation = Invocation {
            request_id: event.context.request_id.clone(),
            deadline_ms: i64::try_from(event.context.deadline).unwrap_or(i64::MAX),
        };
        async move {
            let result = handler(event.payload, invocation).await;
            if let Err(error) = &result {
                tracing::warn!(error = error.name(), transient = error.transient(), "invocation failed");
            }
            result.map_err(Raised)
        }
    }))
    .await
    .map_err(RunError::Runtime)
}

/// Log lines as JSON on standard output, at `LOG_LEVEL` (default INFO) for our own crates and WARN for all others. Does
/// nothing where a log already exists.
fn start_log() {
    let level =
        std::env::var("LOG_LEVEL").ok().and_then(|text| text.parse::<LevelFilter>().ok()).unwrap_or(LevelFilter::INFO);
    let ours = [
        "statement",
        "aws",
        "tasker_function",
        "completion_function",
        "reconciler_function",
        "collector_function",
        "planner_function",
        "reporter_function",
        "installer_function",
    ];
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(ours.map(|name| (name, level)))
        // The span that carries the request id.
        .with_target("lambda_runtime::layers::trace", level.min(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false);
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}

/// What every function does from its start: the log, a single-threaded runtime, `serve`. Not to be called inside of a
/// runtime.
///
/// # Errors
/// What `serve` ends with, or that there is no runtime.
pub fn execute<R, F>(serve: R) -> Result<(), RunError>
where
    R: FnOnce() -> F,
    F: Future<Output = Result<(), RunError>>,
{
    start_log();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::Runtime(error.into()))?;
    let result = runtime.block_on(serve());
    if let Err(error) = &result {
        tracing::error!(%error, "the function cannot serve");
    }
    result
}

/// The exit code of a function's own program.
#[must_use]
pub fn exit_code(result: &Result<(), RunError>) -> ExitCode {
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
