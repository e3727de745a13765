//! Stand-ins that answer at once for the services that the functions call: just enough of DynamoDB, KMS, the Data API,
//! Step Functions and S3 that a statement goes its way and a result is kept. Conditions are not looked at: one process at
//! a time is measured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
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
    /// Bytes that were written to S3.
    stored: u64,
    /// Time spent in the stand-ins.
    took: Duration,
}

/// Rows of a page of a large result; with four columns about 1 MB as the Data API writes it.
pub const PAGE_ROWS: u64 = 5_000;

/// Thirty-two bytes, as a data key has.
const DATA_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

impl Services {
    /// Listens on a free port of the loopback.
    pub async fn start() -> Result<Self, Error> {
        let refused = |error| Error::Machine("listening on the loopback".into(), error);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(refused)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(refused)?);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&seen));
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

    /// How many bytes were written to S3.
    pub fn stored(&self) -> u64 {
        self.lock().stored
    }

    /// How long the stand-ins have worked since they were asked last.
    pub fn take_took(&self) -> Duration {
        std::mem::take(&mut self.lock().took)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(seen): State<Arc<Mutex<Seen>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let began = Instant::now();
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = match headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        Some(operation) => {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            match seen.answer(operation.rsplit('.').next().unwrap_or_default(), &body) {
                Some(answer) => answer.to_string().into_response(),
                None => {
                    let said = json!({"__type": "UnknownOperationException", "message": operation});
                    (StatusCode::BAD_REQUEST, said.to_string()).into_response()
                }
            }
        }
        None => seen.store(&method, uri.query().unwrap_or_default(), &body),
    };
    seen.took += began.elapsed();
    answer
}

/// A page of a result that goes on for `pages` pages. `next` is the place of the page as text.
fn page(pages: u64, next: &Value) -> Value {
    let at: u64 = next.as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    let row = |number: u64| {
        json!([{"longValue": number}, {"stringValue": format!("a text of some length, as names and descriptions have it: {number:0>40}")},
            {"doubleValue": number as f64 / 7.0}, {"isNull": true}])
    };
    let records: Vec<Value> = (at * PAGE_ROWS..(at + 1) * PAGE_ROWS).map(row).collect();
    let column = |name: &str, kind: &str| json!({"name": name, "label": name, "typeName": kind, "nullable": 1});
    let mut page = json!({
        "ColumnMetadata": [column("number", "int8"), column("name", "varchar"), column("share", "float8"), column("note", "varchar")],
        "Records": records,
        "TotalNumRows": pages * PAGE_ROWS,
    });
    if at + 1 < pages {
        page["NextToken"] = json!((at + 1).to_string());
    }
    page
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
            // The id says how long the result is.
            "GetStatementResult" => {
                let pages = body["Id"].as_str()?.strip_prefix("pages-")?.parse().ok()?;
                page(pages, &body["NextToken"])
            }
            _ => return None,
        })
    }

    /// S3, as far as objects are written; what they hold is only counted.
    fn store(&mut self, method: &Method, query: &str, body: &Bytes) -> Response {
        let xml = |name: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><{name}><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId>\
                 <ETag>\"e\"</ETag></{name}>"
            )
        };
        match *method {
            Method::PUT => {
                self.stored += body.len() as u64;
                ([("etag", "\"e\"")], "").into_response()
            }
            Method::POST if query.contains("uploads") => xml("InitiateMultipartUploadResult").into_response(),
            Method::POST => xml("CompleteMultipartUploadResult").into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

fn row(item: &Value) -> &str {
    item["row"]["S"].as_str().unwrap_or_default()
}
