//! The adapters on the wire: what they send, and what they make of what comes back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use statement::admission::Ask;
use statement::ports::{Answered, Execution, FailureKind, LockChange, Ports, Submission, Written};
use statement::request::{Action, Format, Mode, Names, ResultMode};
use statement::row::{Callback, Lock, Row, Sealed};
use statement::settings::Settings;
use statement::target::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the service answers: a status and a body, or it cuts the connection.
#[derive(Clone)]
enum Reply {
    Json(u16, Value),
    Cut,
}

#[derive(Debug, Clone)]
struct Seen {
    operation: String,
    head: String,
    body: String,
}

/// One endpoint for all services that answers from a list, the last entry for ever.
struct Endpoint {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Endpoint {
    async fn new(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(replies));
        let all = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, all.clone(), replies.clone()));
            }
        });
        Self { url, seen }
    }

    fn ports(&self) -> Ports {
        ports(&self.url)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn body(&self, n: usize) -> Value {
        serde_json::from_str(&self.seen()[n].body).unwrap()
    }
}

fn ports(url: &str) -> Ports {
    let url = url.to_owned();
    let clients = aws::clients::Clients::from_lookup(move |key| match key {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        "AWS_ENDPOINT_URL" => Some(url.clone()),
        _ => None,
    });
    let settings = Settings { stack: "prod".to_owned(), grace_ms: 60_000, retention_days: 90 };
    let services = aws::Services {
        table: "table".to_owned(),
        key_arn: "key".to_owned(),
        queue_url: Some("http://queue".to_owned()),
        assets_bucket: Some("assets".to_owned()),
    };
    aws::ports(Arc::new(clients.unwrap()), &settings, &services)
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, replies: Arc<Mutex<Vec<Reply>>>) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
        let header = |name: &str| {
            let line = head.lines().find(|l| l.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let length: usize = header("content-length").map_or(0, |l| l.parse().unwrap());
        while buffer.len() < end + 4 + length {
            assert!(stream.read_buf(&mut buffer).await.unwrap() > 0);
        }
        let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).unwrap();
        buffer.drain(..end + 4 + length);
        let operation = header("x-amz-target").and_then(|t| Some(t.rsplit_once('.')?.1.to_owned())).unwrap_or_default();
        seen.lock().unwrap().push(Seen { operation, head: head.clone(), body });
        let reply = {
            let mut replies = replies.lock().unwrap();
            if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() }
        };
        let Reply::Json(status, body) = reply else {
            return;
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn error(status: u16, code: &str) -> Reply {
    Reply::Json(status, json!({"__type": code, "message": "a message", "Message": "a message"}))
}

fn submission() -> Submission {
    Submission {
        statements: vec!["select :a".to_owned()],
        batch: None,
        parameters: vec![("a".to_owned(), "1".to_owned())],
        target: Target::from_json(&json!({"clusterIdentifier": "c", "database": "dev", "dbUser": "u"}), "t").ok(),
        session_id: None,
        session_keep_alive: None,
        format: None,
        client_token: "token".to_owned(),
        statement_name: "prod/row.1".to_owned(),
    }
}

#[tokio::test]
async fn a_submit_carries_everything_and_is_repeated_with_its_token() {
    let taken = || Reply::Json(200, json!({"Id": "id", "CreatedAt": 1.0, "SessionId": "s", "DbUser": "u"}));
    let endpoint = Endpoint::new(vec![error(500, "InternalServerException"), taken()]).await;
    let submitted = endpoint.ports().data.submit(&submission()).await.unwrap();
    assert_eq!(
        (submitted.id.as_str(), submitted.session_id.as_deref(), submitted.db_user.as_deref()),
        ("id", Some("s"), Some("u"))
    );
    let expected = json!({
        "Sql": "select :a", "ClusterIdentifier": "c", "Database": "dev", "DbUser": "u", "WithEvent": true,
        "StatementName": "prod/row.1", "ClientToken": "token", "Parameters": [{"name": "a", "value": "1"}]
    });
    assert_eq!(endpoint.seen().len(), 2);
    assert_eq!((endpoint.body(0), endpoint.body(1)), (expected.clone(), expected));
    // A batch in a session.
    let endpoint = Endpoint::new(vec![taken()]).await;
    let batch = Submission {
        statements: vec!["a".to_owned(), "b".to_owned()],
        batch: Some(Mode::AutoCommit),
        parameters: Vec::new(),
        target: None,
        session_id: Some("01234567-89ab-cdef-0123-456789abcdef".to_owned()),
        session_keep_alive: Some(60),
        format: Some(Format::Csv),
        ..submission()
    };
    endpoint.ports().data.submit(&batch).await.unwrap();
    let expected = json!({
        "Sqls": ["a", "b"], "ExecutionMode": "AUTO_COMMIT", "WithEvent": true, "StatementName": "prod/row.1", "ClientToken": "token",
        "SessionId": "01234567-89ab-cdef-0123-456789abcdef", "SessionKeepAliveSeconds": 60, "ResultFormat": "CSV"
    });
    assert_eq!((endpoint.seen()[0].operation.as_str(), endpoint.body(0)), ("BatchExecuteStatement", expected));
}

#[tokio::test]
async fn failures_tell_what_was_done() {
    let cases = [
        (error(400, "ThrottlingException"), FailureKind::Throttled),
        (error(400, "ValidationException"), FailureKind::Refused),
        (error(400, "ActiveStatementsExceededException"), FailureKind::Refused),
        (error(403, "AccessDeniedException"), FailureKind::Denied),
        (error(400, "AccessDeniedException"), FailureKind::Denied),
        (error(400, "ResourceNotFoundException"), FailureKind::NotFound),
        (error(500, "InternalServerException"), FailureKind::Unknown),
        (error(500, "ExecuteStatementException"), FailureKind::Unknown),
        (error(503, "ServiceUnavailableException"), FailureKind::Unavailable),
        (Reply::Json(200, json!({})), FailureKind::Unknown),
        (Reply::Cut, FailureKind::Unknown),
    ];
    let cases = cases.map(|(reply, kind)| async move {
        let name = match &reply {
            Reply::Json(status, body) => format!("{status} {body}"),
            Reply::Cut => "cut".to_owned(),
        };
        let endpoint = Endpoint::new(vec![reply]).await;
        let failure = endpoint.ports().data.submit(&submission()).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{name}: {failure}");
        assert!(!failure.to_string().contains("select"), "{failure}");
    });
    futures::future::join_all(cases).await;
    // Nobody listens: nothing can have been done.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failure = ports(&format!("http://{free}")).data.submit(&submission()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
}

#[tokio::test]
async fn dead_tokens_are_answers_and_no_heartbeat_exists() {
    for code in ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"] {
        let endpoint = Endpoint::new(vec![error(400, code)]).await;
        let tasks = endpoint.ports().tasks;
        assert_eq!(tasks.success("t", "{}").await.unwrap(), Answered::Gone, "{code}");
        assert_eq!(tasks.failure("t", "e", "c").await.unwrap(), Answered::Gone, "{code}");
        assert_eq!(endpoint.body(1), json!({"taskToken": "t", "error": "e", "cause": "c"}));
    }
    let endpoint = Endpoint::new(vec![error(400, "InvalidOutput"), error(400, "KmsAccessDeniedException")]).await;
    let tasks = endpoint.ports().tasks;
    assert_eq!(tasks.success("t", "{}").await.unwrap(), Answered::OutputRefused);
    assert_eq!(tasks.success("t", "{}").await.unwrap_err().kind, FailureKind::Denied);
    for (status, state) in
        [("RUNNING", Execution::Running), ("SUCCEEDED", Execution::Succeeded), ("ABORTED", Execution::Dead)]
    {
        let body = json!({"executionArn": "a", "stateMachineArn": "m", "status": status, "startDate": 1.0});
        let endpoint = Endpoint::new(vec![Reply::Json(200, body)]).await;
        assert_eq!(endpoint.ports().tasks.execution("a").await.unwrap(), state);
    }
    let endpoint = Endpoint::new(vec![error(400, "ExecutionDoesNotExist")]).await;
    assert_eq!(endpoint.ports().tasks.execution("a").await.unwrap(), Execution::Missing);
}

fn row() -> Row {
    let ask = Ask {
        stack: "prod".to_owned(),
        key: "r".to_owned(),
        request_hash: "q".to_owned(),
        sql_hash: "s".to_owned(),
        sql: None,
        action: Action::Singleton,
        statements: 1,
        target: "cluster:c/dev".to_owned(),
        lock: Some("lock#1".to_owned()),
        callback: Callback::None,
        caller_hash: "c".to_owned(),
        resource: None,
        execution_arn: None,
        result: ResultMode::None,
        names: Names::Compatible,
    };
    Row::first(&ask, 5)
}

#[tokio::test]
async fn writes_are_conditional_and_their_refusals_are_read() {
    let first = row();
    let second = first.next();
    let endpoint =
        Endpoint::new(vec![Reply::Json(200, json!({})), error(400, "ConditionalCheckFailedException")]).await;
    let rows = endpoint.ports().rows;
    assert_eq!(rows.put(&first, LockChange::Leave).await.unwrap(), Written::Done);
    assert_eq!(rows.put(&second, LockChange::Leave).await.unwrap(), Written::RowChanged);
    assert_eq!(endpoint.body(0)["ConditionExpression"], "attribute_not_exists(#row)");
    assert_eq!(endpoint.body(1)["ConditionExpression"], "revision = :before");
    assert_eq!(endpoint.body(1)["ExpressionAttributeValues"], json!({":before": {"N": "1"}}));
    assert_eq!(endpoint.body(1)["Item"]["revision"], json!({"N": "2"}));
    // With a lock it is one transaction; its reasons come in the order of its items.
    let cancelled = |reasons: [&str; 2]| {
        let reasons: Vec<Value> = reasons.iter().map(|code| json!({"Code": code})).collect();
        Reply::Json(
            400,
            json!({"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "CancellationReasons": reasons}),
        )
    };
    let lock = Lock::of(&first, 5).unwrap();
    for (reply, expected) in [
        (Reply::Json(200, json!({})), Ok(Written::Done)),
        (cancelled(["ConditionalCheckFailed", "ConditionalCheckFailed"]), Ok(Written::RowChanged)),
        (cancelled(["None", "ConditionalCheckFailed"]), Ok(Written::LockHeld)),
        (cancelled(["TransactionConflict", "None"]), Err(FailureKind::Throttled)),
    ] {
        let endpoint = Endpoint::new(vec![reply]).await;
        let written = endpoint.ports().rows.put(&first, LockChange::Take(&lock, None)).await;
        assert_eq!(written.map_err(|f| f.kind), expected);
        assert_eq!(endpoint.seen()[0].operation, "TransactWriteItems");
    }
    // A write that only met another transaction is made again.
    for lock in [LockChange::Take(&lock, None), LockChange::Leave] {
        let met = match lock {
            LockChange::Leave => error(400, "TransactionConflictException"),
            _ => cancelled(["TransactionConflict", "None"]),
        };
        let endpoint = Endpoint::new(vec![met, Reply::Json(200, json!({}))]).await;
        assert_eq!(endpoint.ports().rows.put(&first, lock).await.unwrap(), Written::Done);
        assert_eq!(endpoint.seen().len(), 2);
    }
    // A lock that is no longer ours keeps no row from being closed.
    let endpoint =
        Endpoint::new(vec![cancelled(["None", "ConditionalCheckFailed"]), Reply::Json(200, json!({}))]).await;
    assert_eq!(endpoint.ports().rows.put(&second, LockChange::Free(&lock)).await.unwrap(), Written::Done);
    assert_eq!(
        endpoint.seen().iter().map(|s| s.operation.as_str()).collect::<Vec<_>>(),
        ["TransactWriteItems", "PutItem"]
    );
}

#[tokio::test]
async fn sealing_names_stack_and_table_to_kms() {
    // 32 zero bytes, base64.
    let plain = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let endpoint = Endpoint::new(vec![
        Reply::Json(200, json!({"KeyId": "key", "Plaintext": plain, "CiphertextBlob": "AQID"})),
        Reply::Json(200, json!({"KeyId": "key", "Plaintext": plain})),
        error(400, "InvalidCiphertextException"),
    ])
    .await;
    let vault = endpoint.ports().vault;
    let sealed = vault.seal("row#1", "token").await.unwrap();
    assert_eq!(vault.open("row#1", &sealed).await.unwrap(), "token");
    let context = json!({"stack": "prod", "table": "table"});
    assert_eq!((&endpoint.body(0)["EncryptionContext"], &endpoint.body(1)["EncryptionContext"]), (&context, &context));
    let foreign = Sealed { data_key: vec![9], ..sealed };
    assert_eq!(vault.open("row#1", &foreign).await.unwrap_err().kind, FailureKind::Broken);
}

#[tokio::test]
async fn a_response_goes_out_without_a_type_and_an_expired_url_is_an_answer() {
    let endpoint = Endpoint::new(vec![Reply::Cut, Reply::Json(200, Value::Null), Reply::Json(403, Value::Null)]).await;
    let responses = endpoint.ports().responses;
    let url = format!("{}/answer?X-Amz-Signature=s", endpoint.url);
    assert_eq!(responses.put(&url, "{}").await.unwrap(), Answered::Sent);
    assert_eq!(responses.put(&url, "{}").await.unwrap(), Answered::Gone);
    let seen = &endpoint.seen()[1];
    assert!(seen.head.starts_with("PUT /answer?X-Amz-Signature=s HTTP/1.1"), "{}", seen.head);
    let types: Vec<&str> = seen.head.lines().filter(|l| l.to_ascii_lowercase().starts_with("content-type:")).collect();
    assert!(types.iter().all(|t| t.split_once(':').unwrap().1.trim().is_empty()), "{types:?}");
    assert_eq!(seen.body, "{}");
    let failure = responses.put("no url", "{}").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
}

#[tokio::test]
async fn results_keep_their_types() {
    let page = json!({
        "Records": [[{"longValue": 9_007_199_254_740_993i64}, {"doubleValue": 1.5}, {"stringValue": "1.20"}, {"booleanValue": true}, {"isNull": true}]],
        "ColumnMetadata": [{"name": "a", "label": "b", "typeName": "int8"}], "TotalNumRows": 1, "NextToken": "n"
    });
    let endpoint = Endpoint::new(vec![Reply::Json(200, page)]).await;
    let page = endpoint.ports().data.result("id", Some("m"), Format::Json).await.unwrap();
    assert_eq!(endpoint.body(0), json!({"Id": "id", "NextToken": "m"}));
    let cells: Vec<Value> = page.records[0].iter().map(statement::answer::cell).collect();
    assert_eq!(Value::Array(cells), json!([9_007_199_254_740_993i64, 1.5, "1.20", true, null]));
    assert_eq!((page.next.as_deref(), page.total, &page.columns[0]["label"]), (Some("n"), Some(1), &json!("b")));
    let list = json!({"Statements": [{"Id": "i", "StatementName": "prod/r.1", "Status": "ABORTED"}]});
    let endpoint = Endpoint::new(vec![Reply::Json(200, list)]).await;
    assert_eq!(endpoint.ports().data.list("prod/r.1").await.unwrap()[0].status, "ABORTED");
    assert_eq!(endpoint.body(0), json!({"StatementName": "prod/r.1", "Status": "ALL", "MaxResults": 100}));
    // A status that no documentation knows is kept, not an error.
    let endpoint = Endpoint::new(vec![Reply::Json(
        200,
        json!({"Id": "i", "Status": "UNKNOWN", "Duration": -1, "ResultRows": -1}),
    )])
    .await;
    let description = endpoint.ports().data.describe("i").await.unwrap();
    assert_eq!((description.status.as_str(), description.rows, description.duration_ns), ("UNKNOWN", None, None));
}
