//! The Runtime API of one environment (Lambda guide, "Using the Lambda runtime API"): hands the process one invocation
//! at a time and takes its answer.
//!
//! Knows no process and no time limit. Payloads pass through untouched.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use chrono::Utc;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::gateway::without_delay;

/// Bytes of a synchronous request or response (Lambda quotas page: 6 MB; the limit that error messages name).
pub(super) const MAX_PAYLOAD: usize = 6_291_556;

/// One invocation on its way to the process.
pub(super) struct Work {
    pub(super) request_id: String,
    pub(super) arn: String,
    pub(super) payload: Bytes,
    pub(super) timeout: Duration,
    /// Told when the process takes it.
    pub(super) begun: oneshot::Sender<()>,
    /// Where the answer goes.
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What the process answered.
#[derive(Debug)]
pub(super) enum Answer {
    Response(Bytes),
    /// The error's JSON as the process wrote it.
    Error(Bytes),
    TooLarge(usize),
}

/// The listener of one environment; stops when dropped.
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    work: mpsc::Sender<Work>,
    shared: Arc<Shared>,
    server: AbortHandle,
}

struct Shared {
    work: tokio::sync::Mutex<mpsc::Receiver<Work>>,
    current: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
    /// What the process said when it could not start.
    init_error: Mutex<Option<Bytes>>,
}

impl RuntimeApi {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, receiver) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            work: tokio::sync::Mutex::new(receiver),
            current: Mutex::default(),
            init_error: Mutex::default(),
        });
        let base = "/2018-06-01/runtime";
        let router = Router::new()
            .route(&format!("{base}/invocation/next"), get(next))
            .route(&format!("{base}/invocation/{{id}}/response"), post(response))
            .route(&format!("{base}/invocation/{{id}}/error"), post(error))
            .route(&format!("{base}/init/error"), post(init_error))
            .fallback(|| async { refusal(StatusCode::NOT_FOUND, "UnknownOperation", "no such path") })
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // Ends only with an error of the listener itself, which the process notices as a closed connection.
            if let Err(error) = axum::serve(listener.tap_io(without_delay), router).await {
                tracing::warn!(%error, "a Runtime API listener failed");
            }
        });
        Ok(Self { address, work: sender, shared, server: server.abort_handle() })
    }

    /// Gives the process its next invocation. `false` when it still has one that it never took.
    pub(super) fn give(&self, work: Work) -> bool {
        self.work.try_send(work).is_ok()
    }

    /// What the process said when it could not start, if it did.
    pub(super) fn init_error(&self) -> Option<Bytes> {
        self.shared.init_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Option<(String, oneshot::Sender<Answer>)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, id: &str, answer: Answer) -> Response {
        let mut current = self.current();
        match current.take_if(|(current, _)| current == id) {
            Some((_, waiting)) => {
                // Nobody waits any more when the time was over at this very moment.
                let _ = waiting.send(answer);
                respond(StatusCode::ACCEPTED, Body::from(r#"{"status":"OK"}"#))
            }
            None => refusal(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        }
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let work = shared.work.lock().await.recv().await;
    let Some(work) = work else {
        return refusal(StatusCode::GONE, "Shutdown", "the environment is shut down");
    };
    *shared.current() = Some((work.request_id.clone(), work.answer));
    // Nobody waits any more when the host gave up at this very moment; then the process is about to be killed.
    let _ = work.begun.send(());
    let deadline = Utc::now().timestamp_millis() + i64::try_from(work.timeout.as_millis()).unwrap_or(0);
    let trace = format!("Root=1-{:08x}-{};Sampled=0", Utc::now().timestamp(), &work.request_id.replace('-', "")[..24]);
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &work.request_id)
        .header("lambda-runtime-deadline-ms", deadline)
        .header("lambda-runtime-invoked-function-arn", &work.arn)
        .header("lambda-runtime-trace-id", trace)
        .body(Body::from(work.payload));
    response.unwrap_or_else(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal", &error.to_string()))
}

async fn response(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let length = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    match to_bytes(body, MAX_PAYLOAD).await {
        Ok(body) => shared.answer(&id, Answer::Response(body)),
        Err(_) if shared.current().as_ref().is_none_or(|(current, _)| *current != id) => {
            refusal(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
        }
        Err(_) => {
            shared.answer(&id, Answer::TooLarge(length.unwrap_or(MAX_PAYLOAD + 1)));
            refusal(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                &format!("Exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."),
            )
        }
    }
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Response {
    match error_body(&headers, body).await {
        Ok(body) => shared.answer(&id, Answer::Error(body)),
        Err(response) => response,
    }
}

async fn init_error(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    match error_body(&headers, body).await {
        Ok(body) => {
            *shared.init_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
            respond(StatusCode::ACCEPTED, Body::from(r#"{"status":"OK"}"#))
        }
        Err(response) => response,
    }
}

/// The error as JSON; a process that sends only the type in its header gets the object made.
async fn error_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Response> {
    let body = to_bytes(body, MAX_PAYLOAD)
        .await
        .map_err(|error| refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &error.to_string()))?;
    if !body.is_empty() {
        return Ok(body);
    }
    let name = headers.get("lambda-runtime-function-error-type").and_then(|name| name.to_str().ok());
    Ok(json!({ "errorType": name.unwrap_or("Runtime.Unknown") }).to_string().into())
}

fn refusal(status: StatusCode, name: &str, text: &str) -> Response {
    respond(status, Body::from(json!({ "errorType": name, "errorMessage": text }).to_string()))
}

fn respond(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("application/json"));
    response
}
