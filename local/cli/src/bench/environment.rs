//! One process of a function and the Runtime API that it speaks to, which takes the times.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

use super::services::Services;
use crate::Error;

/// A process that does not come up or answer within this time ends the measurement.
const PATIENCE: Duration = Duration::from_secs(300);

/// A started function; dropping it ends the process.
pub struct Environment<'s> {
    process: Child,
    events: mpsc::UnboundedSender<String>,
    answers: mpsc::UnboundedReceiver<(String, Bytes, Instant)>,
    asked: mpsc::UnboundedReceiver<Instant>,
    handed: mpsc::UnboundedReceiver<Instant>,
    started: Duration,
    services: &'s Services,
}

struct Api {
    events: Mutex<mpsc::UnboundedReceiver<String>>,
    answers: mpsc::UnboundedSender<(String, Bytes, Instant)>,
    asked: mpsc::UnboundedSender<Instant>,
    handed: mpsc::UnboundedSender<Instant>,
}

impl<'s> Environment<'s> {
    /// Starts the program and waits for its first call of the Runtime API.
    pub async fn start(program: &Path, services: &'s Services) -> Result<Self, Error> {
        let refused = |error| Error::Machine("listening on the loopback".into(), error);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (events, waiting) = mpsc::unbounded_channel();
        let (answered, answers) = mpsc::unbounded_channel();
        let (asks, mut asked) = mpsc::unbounded_channel();
        let (hands, handed) = mpsc::unbounded_channel();
        let api = Api { events: Mutex::new(waiting), answers: answered, asked: asks, handed: hands };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{request}/{outcome}", post(outcome))
            .with_state(Arc::new(api));
        let listener = listener.tap_io(|stream| {
            // Best effort: without it the figures are merely worse.
            let _ = stream.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });

        let began = Instant::now();
        let process = Command::new(program)
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.to_string().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "bench"),
                ("AWS_SECRET_ACCESS_KEY", "bench"),
                ("AWS_ENDPOINT_URL", services.endpoint()),
                ("STACK_NAME", "bench"),
                ("TABLE_NAME", "bench-statements"),
                ("KEY_ARN", "arn:aws:kms:us-east-1:000000000000:key/bench"),
                ("QUEUE_URL", "http://127.0.0.1/000000000000/bench-completion"),
                ("ASSETS_BUCKET", "bench-assets"),
                ("RESULTS_BUCKET", "bench-results"),
                ("REDSHIFT_CLUSTER", "bench"),
                ("REDSHIFT_DATABASE", "dev"),
                ("LOG_LEVEL", "info"),
            ])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::Machine(format!("starting {}", program.display()), error))?;
        let first = tokio::time::timeout(PATIENCE, asked.recv()).await.ok().flatten();
        let Some(first) = first else {
            return Err(Error::Function(format!("{} never asked for an event", program.display())));
        };
        let started = first.duration_since(began);
        Ok(Self { process, events, answers, asked, handed, started, services })
    }

    /// From the start of the process to its first call of the Runtime API.
    pub fn took_to_start(&self) -> Duration {
        self.started
    }

    /// One invocation: how long it took, without the time that the services took.
    pub async fn invoke(&mut self, event: &Value) -> Result<Duration, Error> {
        let gone = || Error::Function("the function is gone".into());
        self.services.take_took();
        self.events.send(event.to_string()).map_err(|_| gone())?;
        let waited = tokio::time::timeout(PATIENCE, async {
            let handed = self.handed.recv().await;
            let answer = self.answers.recv().await;
            // It is ready for the next event only when it has asked for it.
            self.asked.recv().await;
            handed.zip(answer)
        });
        let Some((handed, (outcome, body, at))) = waited.await.ok().flatten() else { return Err(gone()) };
        let failed: Option<Value> = serde_json::from_slice(&body).ok().filter(|body: &Value| {
            outcome != "response" || body["batchItemFailures"].as_array().is_some_and(|failed| !failed.is_empty())
        });
        if let Some(failed) = failed {
            return Err(Error::Function(format!("the function failed: {failed}")));
        }
        Ok(at.duration_since(handed).saturating_sub(self.services.take_took()))
    }

    /// Peak resident memory in bytes, where the system tells.
    pub fn peak_memory(&self) -> Option<u64> {
        peak_memory(self.process.id()?)
    }
}

/// Peak resident memory of a process in bytes, where the system tells (Linux: VmHWM).
pub fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

async fn next(State(api): State<Arc<Api>>) -> (HeaderMap, String) {
    // Nobody listens any more only when the measurement is over.
    let _ = api.asked.send(Instant::now());
    let event = api.events.lock().await.recv().await.unwrap_or_default();
    let _ = api.handed.send(Instant::now());
    let headers = [
        ("lambda-runtime-aws-request-id", "00000000-0000-4000-8000-000000000000"),
        ("lambda-runtime-deadline-ms", "9999999999999"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:bench"),
    ]
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    (HeaderMap::from_iter(headers), event)
}

async fn outcome(
    State(api): State<Arc<Api>>,
    UrlPath((_, outcome)): UrlPath<(String, String)>,
    body: Bytes,
) -> axum::http::StatusCode {
    let _ = api.answers.send((outcome, body, Instant::now()));
    axum::http::StatusCode::ACCEPTED
}
