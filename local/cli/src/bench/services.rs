//! Stand-ins that answer at once for the services that the functions call: just enough of DynamoDB, KMS, the Data API
//! and Step Functions that a statement goes its way. Conditions are not looked at: one process at a time is measured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};

use crate::Error;

/// The running stand-ins.
pub struct Services {
    endpoint: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// The table, by row.
    items: HashMap<String, Value>,
    /// Name and id of every statement, in order.
    statements: Vec<(String, String)>,
    answered: usize,
    /// Time spent in the stand-ins.
    took: Duration,
}

/// Thirty-two bytes, as a data key has.
const DATA_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

impl Services {
    /// Listens on a free port of the loopback.
    pub async fn start() -> Result<Self, Error> {
        let refused = |error| Error::Machine("listening on the loopback".into(), error);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(refused)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(refused)?);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let listener = listener.tap_io(|stream| {
            // Best effort: without it the figures are merely worse.
            let _ = stream.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { endpoint, seen })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Name and id of every statement, in the order of their submission.
    pub fn statements(&self) -> Vec<(String, String)> {
        self.lock().statements.clone()
    }

    /// How many tasks were answered.
    pub fn answered(&self) -> usize {
        self.lock().answered
    }

    /// How long the stand-ins have worked since they were asked last.
    pub fn take_took(&self) -> Duration {
        std::mem::take(&mut self.lock().took)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let began = Instant::now();
    let operation = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = seen.answer(operation.rsplit('.').next().unwrap_or_default(), &body);
    let answer = match answer {
        Some(answer) => (StatusCode::OK, answer.to_string()),
        None => {
            let said = json!({"__type": "UnknownOperationException", "message": operation});
            (StatusCode::BAD_REQUEST, said.to_string())
        }
    };
    seen.took += began.elapsed();
    answer
}

impl Seen {
    fn answer(&mut self, operation: &str, body: &Value) -> Option<Value> {
        Some(match operation {
            "GetItem" => match self.items.get(row(&body["Key"])) {
                Some(item) => json!({"Item": item}),
                None => json!({}),
            },
            "PutItem" => {
                self.items.insert(row(&body["Item"]).to_owned(), body["Item"].clone());
                json!({})
            }
            "GenerateDataKey" => {
                json!({"Plaintext": DATA_KEY, "CiphertextBlob": DATA_KEY, "KeyId": body["KeyId"]})
            }
            "Decrypt" => json!({"Plaintext": DATA_KEY, "KeyId": body["KeyId"]}),
            "ExecuteStatement" => {
                let id = format!("{:08x}-0000-4000-8000-000000000000", self.statements.len());
                let name = body["StatementName"].as_str().unwrap_or_default().to_owned();
                self.statements.push((name, id.clone()));
                json!({"Id": id, "CreatedAt": 1.0})
            }
            "DescribeStatement" => json!({
                "Id": body["Id"], "Status": "FINISHED", "HasResultSet": true, "ResultRows": 1, "ResultSize": 8,
                "Duration": 1, "RedshiftQueryId": 7, "CreatedAt": 1.0, "UpdatedAt": 1.0,
            }),
            "SendTaskSuccess" => {
                self.answered += 1;
                json!({})
            }
            _ => return None,
        })
    }
}

fn row(item: &Value) -> &str {
    item["row"]["S"].as_str().unwrap_or_default()
}
