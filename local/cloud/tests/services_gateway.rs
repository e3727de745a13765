//! The gateway over HTTP: which service a request reaches, as whom, and in what shape the answer comes back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cloud::dynamodb::DynamoDb;
use cloud::events::{Bus, Receivers};
use cloud::faults::Faults;
use cloud::gateway::{Gateway, Listener, Services};
use cloud::identity::Identity;
use cloud::kms::Kms;
use cloud::lambda::{Config, Lambda};
use cloud::page::{self, Page};
use cloud::s3::Buckets;
use cloud::service::Service;
use cloud::sns::Sns;
use cloud::sqs::Sqs;
use cloud::trace::{Trace, What};
use cloud::{ApiError, Caller};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Answers with what it was called with.
struct Mirror;

#[async_trait::async_trait]
impl Service for Mirror {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        match operation {
            "Refuse" => Err(ApiError::new(400, "Refused", "no").with("why", 5)),
            _ => Ok(json!({ "operation": operation, "caller": caller.arn, "body": body })),
        }
    }
}

struct Stand {
    endpoint: String,
    client: Client<HttpConnector, Full<Bytes>>,
    identity: Identity,
    trace: Trace,
    s3: Buckets,
    _gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Stand {
    async fn new() -> Self {
        let listener = Listener::bind(None).await.unwrap();
        let (endpoint, trace, identity) = (listener.endpoint(), Trace::default(), Identity::new());
        let folder = tempfile::tempdir().unwrap();
        let sqs = Sqs::new(&endpoint, "us-east-1", trace.clone());
        sqs.create_queue("q", &json!({})).unwrap();
        let lambda = Lambda::start(Config {
            region: "us-east-1".into(),
            endpoint: endpoint.clone(),
            command: Vec::new(),
            logs: folder.path().join("logs"),
            identity: identity.clone(),
            trace: trace.clone(),
        })
        .unwrap();
        let function = json!({"Code": "x", "Role": "arn:aws:iam::000000000000:role/r"});
        lambda.create_function("f", &function, &sqs).unwrap();
        let s3 = Buckets::new(folder.path().join("buckets"), "us-east-1").unwrap();
        s3.create_bucket("bucket", &json!({})).await.unwrap();
        let outbox = folder.path().join("outbox");
        let sns = Sns::new("us-east-1", &endpoint, outbox, sqs.clone(), lambda.clone(), trace.clone()).unwrap();
        let states: Arc<dyn Service> = Arc::new(Mirror);
        let receivers =
            Receivers { sqs: sqs.clone(), sns: sns.clone(), lambda: lambda.clone(), states: Arc::downgrade(&states) };
        let bus = Bus::start("us-east-1", receivers, Faults::default(), trace.clone());
        let page = Page::new(page::Shared {
            states: Arc::clone(&states),
            redshift_data: Arc::clone(&states),
            sqs: sqs.clone(),
            lambda: lambda.clone(),
            outbox: folder.path().join("outbox"),
            trace: trace.clone(),
            identity: identity.clone(),
            environment: Arc::new(OnceLock::from("export A='1'\n".to_owned())),
        });
        let gateway = listener.serve(Services {
            states,
            dynamodb: Arc::new(DynamoDb::new().unwrap()),
            redshift_data: Arc::new(Mirror),
            kms: Arc::new(Kms::new("us-east-1")),
            sqs: Arc::new(sqs),
            events: Arc::new(bus),
            sns: Arc::new(sns),
            cloudformation: Arc::new(Mirror),
            lambda,
            s3: s3.clone(),
            page,
            identity: identity.clone(),
            trace: trace.clone(),
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { endpoint, client, identity, trace, s3, _gateway: gateway, folder }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.endpoint));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    async fn call(&self, target: &str, body: Value) -> (Response<Bytes>, Value) {
        let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.0")];
        let response = self.send(Method::POST, "/", &headers, body.to_string()).await;
        let body = serde_json::from_slice(response.body()).unwrap();
        (response, body)
    }

    async fn put(&self, key: &str, headers: &[(&str, &str)], body: &str) -> StatusCode {
        self.send(Method::PUT, &format!("/bucket/{key}"), headers, body.to_owned()).await.status()
    }

    async fn get(&self, key: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        self.send(Method::GET, &format!("/bucket/{key}"), headers, "").await
    }
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
}

/// The texts of one element of an XML answer.
fn texts(response: &Response<Bytes>, element: &str) -> Vec<String> {
    let body = String::from_utf8_lossy(response.body()).into_owned();
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    body.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn targets_reach_their_service() {
    let stand = Stand::new().await;
    for (target, status, code) in [
        ("AWSStepFunctions.ListStateMachines", 200, None),
        ("RedshiftData.ExecuteStatement", 200, None),
        ("DynamoDB_20120810.ListTables", 200, None),
        ("AmazonSQS.ListQueues", 200, None),
        ("TrentService.ListKeys", 200, None),
        ("AWSEvents.ListRules", 200, None),
        ("AWSStepFunctions.Refuse", 400, Some("Refused")),
        ("DynamoDB_20120810.CreateBackup", 501, Some("NotImplemented")),
        ("AmazonSQS.AddPermission", 501, Some("NotImplemented")),
        ("TrentService.Sign", 501, Some("NotImplemented")),
        ("AWSEvents.CreateArchive", 501, Some("NotImplemented")),
        ("secretsmanager.GetSecretValue", 501, Some("NotImplemented")),
    ] {
        let (response, body) = stand.call(target, json!({})).await;
        assert_eq!(response.status().as_u16(), status, "{target}: {body}");
        assert_eq!(header(&response, "content-type"), "application/x-amz-json-1.0");
        assert!(!header(&response, "x-amzn-requestid").is_empty());
        if let Some(code) = code {
            assert_eq!(header(&response, "x-amzn-errortype"), code);
            assert_eq!(body["__type"], code);
        }
        if status == 501 {
            let operation = target.split('.').nth(1).unwrap();
            assert!(body["message"].as_str().unwrap().contains(operation), "{body}");
        }
    }
    let (_, refused) = stand.call("AWSStepFunctions.Refuse", json!({})).await;
    assert_eq!((&refused["message"], &refused["why"]), (&json!("no"), &json!(5)));
}

#[tokio::test]
async fn what_clients_of_some_services_look_for() {
    let stand = Stand::new().await;
    let body = json!({"QueueUrl": "http://h/0/none"});
    let (response, _) = stand.call("AmazonSQS.PurgeQueue", body).await;
    let older = "AWS.SimpleQueueService.NonExistentQueue;Sender";
    assert_eq!(header(&response, "x-amzn-query-error"), older);
    let (response, _) = stand.call("DynamoDB_20120810.ListTables", json!({})).await;
    // CRC-32 of `{"TableNames":[]}`, by zlib.
    assert_eq!(response.body(), r#"{"TableNames":[]}"#);
    assert_eq!(header(&response, "x-amz-crc32"), "1315925753");
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let who = stand.send(Method::POST, "/", &form, "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert_eq!(texts(&who, "Arn"), ["arn:aws:iam::000000000000:user/local"]);
    let stacks = stand.send(Method::POST, "/", &form, "Action=ListStacks&Version=2010-05-15").await;
    assert_eq!(stacks.status(), 200, "the version alone says that it is CloudFormation");
    let other = stand.send(Method::POST, "/", &form, "Action=ListUsers&Version=2010-05-08").await;
    assert_eq!(other.status(), 501);
    assert!(texts(&other, "Message")[0].contains("ListUsers of the API version 2010-05-08"));
}

#[tokio::test]
async fn topics_in_the_query_protocol() {
    let stand = Stand::new().await;
    let ask = async |form: &str| {
        let kind = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        stand.send(Method::POST, "/", &kind, format!("{form}&Version=2010-03-31")).await
    };
    let made = ask("Action=CreateTopic&Name=t&Attributes.entry.1.key=DisplayName&Attributes.entry.1.value=a%26b").await;
    assert_eq!(texts(&made, "TopicArn"), ["arn:aws:sns:us-east-1:000000000000:t"]);
    assert!(String::from_utf8_lossy(made.body()).starts_with("<CreateTopicResponse xmlns=\"http://sns.amazonaws.com/"));
    let topic = "TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3At";
    let queue = "arn%3Aaws%3Asqs%3Aus-east-1%3A000000000000%3Aq";
    let raw = "Attributes.entry.1.key=RawMessageDelivery&Attributes.entry.1.value=true";
    let form = format!("Action=Subscribe&{topic}&Protocol=sqs&Endpoint={queue}&ReturnSubscriptionArn=true&{raw}");
    assert_eq!(texts(&ask(&form).await, "SubscriptionArn").len(), 1);
    let attributes = ask(&format!("Action=GetTopicAttributes&{topic}")).await;
    let body = String::from_utf8_lossy(attributes.body()).into_owned();
    assert!(body.contains("<entry><key>DisplayName</key><value>a&amp;b</value></entry>"), "{body}");
    let attribute = "MessageAttributes.entry.1";
    let number = format!("{attribute}.Name=n&{attribute}.Value.DataType=Number&{attribute}.Value.StringValue=5");
    let form = format!("Action=Publish&{topic}&Message=hello+world&{number}");
    assert_eq!(texts(&ask(&form).await, "MessageId").len(), 1);
    let body = json!({"QueueUrl": format!("{}/000000000000/q", stand.endpoint), "MessageAttributeNames": ["All"]});
    let (_, received) = stand.call("AmazonSQS.ReceiveMessage", body).await;
    assert_eq!(received["Messages"][0]["Body"], "hello world");
    assert_eq!(received["Messages"][0]["MessageAttributes"]["n"]["StringValue"], "5");
    let refused = ask(&format!("Action=Publish&{topic}&Message=")).await;
    assert_eq!((refused.status().as_u16(), texts(&refused, "Code")), (400, vec!["InvalidParameter".to_owned()]));
    let none = ask("Action=GetTopicAttributes&TopicArn=none").await;
    assert_eq!((none.status().as_u16(), texts(&none, "Code")), (404, vec!["NotFound".to_owned()]));
}

#[tokio::test]
async fn a_key_that_was_given_out_calls_as_its_role() {
    let stand = Stand::new().await;
    let mut trace = stand.trace.subscribe();
    let given = stand.identity.issue("arn:aws:iam::000000000000:role/r", "stack-f");
    for (key, caller) in [
        (given.access_key_id.as_str(), "arn:aws:sts::000000000000:assumed-role/r/stack-f"),
        ("AKIDELSE", "arn:aws:iam::000000000000:user/local"),
    ] {
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/states/aws4_request, Signature=0");
        let headers = [("x-amz-target", "AWSStepFunctions.X"), ("authorization", &authorization)];
        let response = stand.send(Method::POST, "/", &headers, "").await;
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body, json!({"operation": "X", "caller": caller, "body": {}}));
    }
    let function = match trace.recv().await.unwrap().what {
        What::Call { service, operation, function, error: None } => (service, operation, function),
        other => panic!("{other:?}"),
    };
    assert_eq!(function, ("states".into(), "X".into(), Some("stack-f".into())));
    let body = [("x-amz-target", "AWSStepFunctions.X")];
    let response = stand.send(Method::POST, "/", &body, "{").await;
    assert_eq!(header(&response, "x-amzn-errortype"), "SerializationException");
}

#[tokio::test]
async fn lambdas_paths() {
    let stand = Stand::new().await;
    let path = "/2015-03-31/functions/f/invocations";
    let dry = [("x-amz-invocation-type", "DryRun")];
    assert_eq!(stand.send(Method::POST, path, &dry, "{}").await.status(), 204);
    let arn = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations";
    assert_eq!(stand.send(Method::POST, arn, &dry, "{}").await.status(), 204);
    let none = stand.send(Method::POST, "/2015-03-31/functions/g/invocations", &dry, "").await;
    assert_eq!(none.status(), 404);
    assert_eq!(header(&none, "x-amzn-errortype"), "ResourceNotFoundException");
    let bad = stand.send(Method::POST, path, &[], "{").await;
    assert_eq!(header(&bad, "x-amzn-errortype"), "InvalidRequestContentException");
    let odd = stand.send(Method::POST, path, &[("x-amz-invocation-type", "Later")], "").await;
    assert_eq!(odd.status(), 400);
    let deleted = stand.send(Method::DELETE, "/2015-03-31/functions/f", &[], "").await;
    assert_eq!(deleted.status(), 501);
    let scope = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/lambda/aws4_request, Signature=0";
    let scope = [("authorization", scope)];
    let layers = stand.send(Method::GET, "/2018-10-31/layers", &scope, "").await;
    assert_eq!(layers.status(), 501, "not taken for a bucket");
}

#[tokio::test]
async fn objects_and_what_is_kept_with_them() {
    let stand = Stand::new().await;
    let headers = [
        ("content-type", "text/plain"),
        ("cache-control", "no-store"),
        ("x-amz-meta-colour", "red"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "arn:key"),
    ];
    assert_eq!(stand.put("dir/a.sql", &headers, "select 1").await, 200);
    let got = stand.get("dir/a.sql", &[]).await;
    assert_eq!(got.body(), "select 1");
    for (name, value) in headers {
        assert_eq!(header(&got, name), value, "{name}");
    }
    assert_eq!(header(&got, "etag"), "\"95adb6e77a0884d9e50232cb8c5c969d\"");
    let head = stand.send(Method::HEAD, "/bucket/dir/a.sql", &[], "").await;
    assert_eq!((header(&head, "content-length"), head.body().len()), ("8", 0));
    let part = stand.get("dir/a.sql", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status().as_u16(), part.body().as_ref()), (206, &b"lec"[..]));
    assert_eq!(header(&part, "content-range"), "bytes 2-4/8");
    let outside = stand.get("dir/a.sql", &[("range", "bytes=8-")]).await;
    assert_eq!(outside.status(), 416);
    // A person sees a folder with a file, and a file that a person puts there is an object.
    let folder = stand.s3.folder("bucket");
    assert!(folder.starts_with(stand.folder.path()));
    assert_eq!(std::fs::read_to_string(folder.join("dir/a.sql")).unwrap(), "select 1");
    std::fs::write(folder.join("dir/a.sql"), "by hand").unwrap();
    let got = stand.get("dir/a.sql", &[]).await;
    assert_eq!(got.body(), "by hand");
    assert!(got.headers().get("x-amz-meta-colour").is_none());
    let gone = stand.send(Method::DELETE, "/bucket/dir/a.sql", &[], "").await;
    assert_eq!(gone.status(), 204);
    assert!(!folder.join("dir").exists());
    let missing = stand.get("dir/a.sql", &[]).await;
    assert_eq!(texts(&missing, "Code"), ["NoSuchKey"]);
    let acl = stand.send(Method::PUT, "/bucket?acl", &[], "").await;
    assert_eq!(acl.status(), 501);
    assert!(texts(&acl, "Message")[0].contains("PutBucketAcl"));
    let tagged = stand.put("t", &[("x-amz-tagging", "a=b")], "x").await;
    assert_eq!(tagged, 501);
}

#[tokio::test]
async fn conditions_hold_against_every_other_writer() {
    let stand = Stand::new().await;
    let bodies: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let racing = bodies.iter().map(|body| stand.put("race", &[("if-none-match", "*")], body));
    let ended = futures::future::join_all(racing).await;
    assert_eq!(ended.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(ended.iter().filter(|status| **status == 412).count(), 19);
    let winner = ended.iter().position(|status| *status == 200).unwrap();
    let got = stand.get("race", &[]).await;
    assert_eq!(got.body(), bodies[winner].as_str());
    // Everybody read the same object; the first to replace it wins.
    let etag = header(&got, "etag").to_owned();
    let changed: Vec<String> = (0..20).map(|n| format!("new {n}")).collect();
    let condition = [("if-match", etag.as_str())];
    let racing = changed.iter().map(|body| stand.put("race", &condition, body));
    let ended = futures::future::join_all(racing).await;
    assert_eq!(ended.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(stand.put("other", &condition, "x").await, 404);
    let unchanged = stand.get("race", &[]).await;
    let etag = header(&unchanged, "etag");
    assert_eq!(stand.get("race", &[("if-none-match", etag)]).await.status(), 304);
    assert_eq!(stand.get("race", &[("if-match", "\"0\"")]).await.status(), 412);
}

#[tokio::test]
async fn listings_have_prefixes_and_pages() {
    let stand = Stand::new().await;
    for key in ["a", "a/b", "a/c/d", "b/1", "b/2", "b/3", "c"] {
        assert_eq!(stand.put(key, &[], key).await, 200, "{key}");
    }
    // A key that is also the folder of others.
    assert_eq!(stand.get("a", &[]).await.body(), "a");
    let list = async |query: &str| {
        let response = stand.send(Method::GET, &format!("/bucket?list-type=2{query}"), &[], "").await;
        let prefixes: Vec<String> = texts(&response, "CommonPrefixes")
            .into_iter()
            .map(|prefix| prefix.replace("<Prefix>", "").replace("</Prefix>", ""))
            .collect();
        (texts(&response, "Key"), prefixes, texts(&response, "NextContinuationToken").pop())
    };
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let all = list("").await;
    assert_eq!(all.0, keys(&["a", "a/b", "a/c/d", "b/1", "b/2", "b/3", "c"]));
    let top = list("&delimiter=%2F").await;
    assert_eq!((top.0, top.1), (keys(&["a", "c"]), keys(&["a/", "b/"])));
    let below = list("&delimiter=%2F&prefix=a%2F").await;
    assert_eq!((below.0, below.1), (keys(&["a/b"]), keys(&["a/c/"])));
    assert_eq!(list("&start-after=b%2F2").await.0, keys(&["b/3", "c"]));
    let (mut token, mut got, mut pages) = (None, Vec::new(), 0);
    loop {
        let next = token.map(|token| format!("&continuation-token={token}")).unwrap_or_default();
        let page = list(&format!("&max-keys=2{next}")).await;
        got.extend(page.0);
        pages += 1;
        match page.2 {
            Some(next) => token = Some(next),
            None => break,
        }
    }
    assert_eq!((got, pages), (all.0, 4));
    let (first, prefixes, token) = list("&delimiter=%2F&max-keys=2").await;
    assert_eq!((first, prefixes), (keys(&["a"]), keys(&["a/"])));
    let token = format!("&delimiter=%2F&continuation-token={}", token.unwrap());
    let (second, prefixes, token) = list(&token).await;
    assert_eq!((second, prefixes, token), (keys(&["c"]), keys(&["b/"]), None));
}

#[tokio::test]
async fn no_key_leads_out_of_its_bucket() {
    let stand = Stand::new().await;
    let outside = stand.folder.path().join("buckets/outside");
    for key in ["..%2Foutside", "%2E%2E/outside", "a/..%2F..%2Foutside", "..%5Coutside"] {
        let status = stand.put(key, &[], "x").await;
        assert!(status == 200 || status == 400, "{key}: {status}");
        assert!(!outside.exists(), "{key}");
    }
    stand.s3.put("bucket", "../outside", Bytes::from("x")).await.unwrap();
    assert!(!outside.exists());
    assert_eq!(stand.s3.get("bucket", "../outside").await.unwrap(), "x");
    let error = stand.s3.create_bucket("../outside", &json!({})).await.unwrap_err();
    assert_eq!(error.code, "InvalidBucketName");
}

#[tokio::test]
async fn checksums_and_the_chunked_encoding() {
    let stand = Stand::new().await;
    let sum = [("x-amz-checksum-crc32", "DUoRhQ==")];
    assert_eq!(stand.put("sum", &sum, "hello world").await, 200);
    assert_eq!(stand.put("sum", &sum, "hello w0rld").await, 400);
    let got = stand.get("sum", &[("x-amz-checksum-mode", "ENABLED")]).await;
    assert_eq!((got.body().as_ref(), header(&got, sum[0].0)), (&b"hello world"[..], sum[0].1));
    let chunked = [
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "11"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    let body = "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
    assert_eq!(stand.put("chunks", &chunked, body).await, 200);
    let got = stand.get("chunks", &[]).await;
    assert_eq!(got.body(), "hello world");
    assert!(got.headers().get("content-encoding").is_none());
    let wrong = body.replace("DUoRhQ==", "AAAAAA==");
    assert_eq!(stand.put("chunks", &chunked, &wrong).await, 400);
    assert_eq!(stand.put("chunks", &chunked, "5\r\nhel").await, 400);
    assert_eq!(stand.get("chunks", &[]).await.body(), "hello world");
}

#[tokio::test]
async fn copies_and_batches_of_deletions() {
    let stand = Stand::new().await;
    let headers = [("content-type", "text/plain"), ("x-amz-meta-a", "1")];
    stand.put("from", &headers, "x").await;
    assert_eq!(stand.put("to", &[("x-amz-copy-source", "/bucket/from")], "").await, 200);
    let got = stand.get("to", &[]).await;
    assert_eq!((got.body().as_ref(), header(&got, "x-amz-meta-a")), (&b"x"[..], "1"));
    assert_eq!(stand.put("from", &[("x-amz-copy-source", "bucket/from")], "").await, 400);
    let body = "<Delete><Object><Key>from</Key></Object><Object><Key>none</Key></Object></Delete>";
    let digest = <s3s::crypto::Md5 as s3s::crypto::Checksum>::checksum(body.as_bytes());
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
    let deleted = stand.send(Method::POST, "/bucket?delete", &[("content-md5", &digest)], body).await;
    assert_eq!(texts(&deleted, "Key"), ["from", "none"]);
    assert_eq!(stand.s3.keys("bucket", "").await.unwrap(), ["to"]);
}

#[tokio::test]
async fn uploads_in_parts() {
    let stand = Stand::new().await;
    let begun = stand.send(Method::POST, "/bucket/big?uploads", &[("x-amz-meta-a", "1")], "").await;
    let id = texts(&begun, "UploadId").pop().unwrap();
    let large = "x".repeat(5 * 1024 * 1024);
    let part = async |number: u32, body: &str| {
        let path = format!("/bucket/big?partNumber={number}&uploadId={id}");
        let sent = stand.send(Method::PUT, &path, &[], body.to_owned()).await;
        header(&sent, "etag").to_owned()
    };
    let complete = async |parts: &[(u32, &str)]| {
        let parts: String = parts
            .iter()
            .map(|(n, etag)| format!("<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>"))
            .collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        stand.send(Method::POST, &format!("/bucket/big?uploadId={id}"), &[], body).await
    };
    part(1, "to be replaced").await;
    let (first, second, third) = (part(1, &large).await, part(2, "small").await, part(3, "end").await);
    for (parts, code) in [
        (vec![(2, second.as_str()), (1, first.as_str())], "InvalidPartOrder"),
        (vec![(1, first.as_str()), (2, first.as_str())], "InvalidPart"),
        (vec![(1, first.as_str()), (4, first.as_str())], "InvalidPart"),
        (vec![(2, second.as_str()), (3, third.as_str())], "EntityTooSmall"),
    ] {
        assert_eq!(texts(&complete(&parts).await, "Code"), [code]);
    }
    assert_eq!(stand.get("big", &[]).await.status(), 404, "not before it is complete");
    let done = complete(&[(1, &first), (3, &third)]).await;
    assert!(texts(&done, "ETag")[0].contains("-2"));
    let got = stand.get("big", &[]).await;
    assert!(got.body().as_ref() == format!("{large}end").as_bytes());
    assert_eq!(header(&got, "x-amz-meta-a"), "1");
    assert_eq!(texts(&complete(&[(1, &first)]).await, "Code"), ["NoSuchUpload"]);
    let begun = stand.send(Method::POST, "/bucket/other?uploads", &[], "").await;
    let id = texts(&begun, "UploadId").pop().unwrap();
    let path = format!("/bucket/other?partNumber=1&uploadId={id}");
    stand.send(Method::PUT, &path, &[], "x").await;
    let path = format!("/bucket/other?uploadId={id}");
    assert_eq!(stand.send(Method::DELETE, &path, &[], "").await.status(), 204);
    let left = std::fs::read_dir(stand.folder.path().join("buckets/.temporary")).unwrap().count();
    assert_eq!(left, 0, "no file of a part is left");
}

#[tokio::test]
async fn parts_are_copied_and_listed() {
    let stand = Stand::new().await;
    stand.put("from", &[], "0123456789").await;
    let begun = stand.send(Method::POST, "/bucket/to?uploads", &[], "").await;
    let id = texts(&begun, "UploadId").pop().unwrap();
    let copy = async |number: u32, range: &str| {
        let headers = [("x-amz-copy-source", "/bucket/from"), ("x-amz-copy-source-range", range)];
        let path = format!("/bucket/to?partNumber={number}&uploadId={id}");
        stand.send(Method::PUT, &path, if range.is_empty() { &headers[..1] } else { &headers }, "").await
    };
    let etag = texts(&copy(1, "bytes=2-4").await, "ETag").pop().unwrap();
    // MD5 of `234`.
    assert!(etag.contains("289dff07669d7a23de0ef88d2f7129e7"), "{etag}");
    assert_eq!(copy(2, "").await.status(), 200);
    for wrong in ["bytes=5-10", "bytes=4-2", "2-4"] {
        assert_eq!(texts(&copy(3, wrong).await, "Code"), ["InvalidArgument"], "{wrong}");
    }
    let first = stand.send(Method::GET, &format!("/bucket/to?uploadId={id}&max-parts=1"), &[], "").await;
    assert_eq!((texts(&first, "PartNumber"), texts(&first, "Size")), (vec!["1".to_owned()], vec!["3".to_owned()]));
    assert_eq!(texts(&first, "IsTruncated"), ["true"]);
    let path = format!("/bucket/to?uploadId={id}&part-number-marker=1");
    let second = stand.send(Method::GET, &path, &[], "").await;
    assert_eq!((texts(&second, "PartNumber"), texts(&second, "IsTruncated")), (vec!["2".into()], vec!["false".into()]));
    for n in 0..3 {
        stand.send(Method::POST, &format!("/bucket/other{n}?uploads"), &[], "").await;
    }
    let (mut keys, mut marker) = (Vec::new(), String::new());
    loop {
        let page = stand.send(Method::GET, &format!("/bucket?uploads&max-uploads=2{marker}"), &[], "").await;
        keys.extend(texts(&page, "Key"));
        match (texts(&page, "NextKeyMarker").pop(), texts(&page, "NextUploadIdMarker").pop()) {
            (Some(key), Some(id)) => marker = format!("&key-marker={key}&upload-id-marker={id}"),
            _ => break,
        }
    }
    assert_eq!(keys, ["other0", "other1", "other2", "to"]);
}

#[tokio::test]
async fn only_an_empty_bucket_can_be_deleted() {
    let stand = Stand::new().await;
    stand.put("a", &[], "x").await;
    let full = stand.send(Method::DELETE, "/bucket", &[], "").await;
    assert_eq!((full.status().as_u16(), texts(&full, "Code")), (409, vec!["BucketNotEmpty".to_owned()]));
    stand.send(Method::DELETE, "/bucket/a", &[], "").await;
    assert_eq!(stand.send(Method::DELETE, "/bucket", &[], "").await.status(), 204);
    assert_eq!(stand.send(Method::HEAD, "/bucket", &[], "").await.status(), 404);
    assert!(!stand.s3.folder("bucket").exists());
    assert_eq!(stand.send(Method::PUT, "/bucket", &[], "").await.status(), 200, "and made again");
}

#[tokio::test]
async fn presigned_urls_work_until_they_expire() {
    let stand = Stand::new().await;
    let signed = |at: chrono::DateTime<chrono::Utc>, seconds: i64| {
        format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260101%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date={}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host&X-Amz-Signature=0",
            at.format("%Y%m%dT%H%M%SZ")
        )
    };
    let now = chrono::Utc::now();
    let (good, expired) = (signed(now, 60), signed(now - chrono::TimeDelta::minutes(2), 60));
    for (method, query, status) in [
        (Method::PUT, &expired, 403),
        (Method::PUT, &good, 200),
        (Method::GET, &good, 200),
        (Method::GET, &expired, 403),
        (Method::DELETE, &expired, 403),
        (Method::DELETE, &good, 204),
    ] {
        let answer = stand.send(method.clone(), &format!("/bucket/k?{query}"), &[], "by url").await;
        assert_eq!(answer.status(), status, "{method} {query}");
        if method == Method::GET && status == 200 {
            assert_eq!(answer.body(), "by url");
        }
    }
}

#[tokio::test]
async fn the_page_is_for_browsers_on_this_machine() {
    let stand = Stand::new().await;
    let browser = [("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    let page = stand.send(Method::GET, "/", &browser, "").await;
    assert_eq!((page.status().as_u16(), header(&page, "content-type")), (200, "text/html; charset=utf-8"));
    assert!(header(&page, "content-security-policy").starts_with("default-src 'none'"));
    let html = String::from_utf8_lossy(page.body()).into_owned();
    // One file: nothing in it names another place.
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    // Clients that ask for buckets are no browsers.
    let buckets = stand.send(Method::GET, "/", &[], "").await;
    assert_eq!(texts(&buckets, "Name"), ["bucket"]);
    assert_eq!(stand.send(Method::GET, "/_tasker/aws.env", &[], "").await.body(), "export A='1'\n");
    for (path, status) in [
        ("/_tasker/nothing", 404),
        ("/_tasker/mail/..%2Flogs%2Ff.log", 404),
        ("/_tasker/mail/../logs/f.log", 404),
        ("/_tasker/mail/none.eml", 404),
    ] {
        assert_eq!(stand.send(Method::GET, path, &[], "").await.status(), status, "{path}");
    }
    assert_eq!(stand.send(Method::POST, "/_tasker/state", &[], "").await.status(), 405);
    let rebound = [("host", "evil.example:80"), ("accept", "text/html")];
    for path in ["/", "/_tasker/state"] {
        assert_eq!(stand.send(Method::GET, path, &rebound, "").await.status(), 403, "{path}");
    }
}
