//! Functions as processes: what callers see when they answer, fail, crash, hang, are too many, and when the host goes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod echo;

use std::time::Duration;

use bytes::Bytes;
use cloud::identity::Identity;
use cloud::lambda::{Config, Invocation, InvocationType, Lambda};
use cloud::service::Service as _;
use cloud::sqs::Sqs;
use cloud::trace::{Trace, What};
use cloud::{ApiError, Caller};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast::Receiver;

const ROLE: &str = "arn:aws:iam::000000000000:role/function-role";

struct Host {
    lambda: Lambda,
    sqs: Sqs,
    trace: Trace,
    logs: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let (trace, logs) = (Trace::default(), tempfile::tempdir().unwrap());
        let lambda = Lambda::start(Config {
            region: "us-east-1".into(),
            endpoint: "http://127.0.0.1:9".into(),
            command: echo::command(),
            logs: logs.path().to_owned(),
            identity: Identity::new(),
            trace: trace.clone(),
        });
        let sqs = Sqs::new("http://127.0.0.1:9", "us-east-1", trace.clone());
        Self { lambda: lambda.unwrap(), sqs, trace, logs }
    }

    fn with(properties: Value) -> Self {
        let host = Self::new();
        host.create("echo", properties);
        host
    }

    fn create(&self, name: &str, mut properties: Value) {
        properties["Code"] = json!("../target/lambda/echo");
        properties["Role"] = json!(ROLE);
        self.lambda.create_function(name, &properties, &self.sqs).unwrap();
    }

    async fn invoke(&self, event: Value) -> Result<Invocation, ApiError> {
        let payload = Bytes::from(event.to_string());
        self.lambda.invoke("echo", InvocationType::RequestResponse, payload).await
    }

    async fn answer(&self, event: Value) -> Value {
        let invocation = self.invoke(event).await.unwrap();
        assert_eq!(invocation.function_error, None, "{invocation:?}");
        serde_json::from_slice(&invocation.payload).unwrap()
    }

    async fn error(&self, event: Value) -> (String, String) {
        let invocation = self.invoke(event).await.unwrap();
        assert_eq!(invocation.function_error.as_deref(), Some("Unhandled"), "{invocation:?}");
        let error: Value = serde_json::from_slice(&invocation.payload).unwrap();
        let text = |name: &str| error[name].as_str().unwrap().replace(&invocation.request_id, "ID");
        (text("errorType"), text("errorMessage"))
    }
}

/// Waits for something to happen, for at most a minute.
async fn until<T>(trace: &mut Receiver<cloud::trace::Entry>, wanted: impl Fn(&What) -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = wanted(&trace.recv().await.unwrap().what) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it did not happen")
}

fn runs(pid: u64) -> bool {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}

#[tokio::test]
async fn an_answer_and_a_process_that_is_used_again() {
    let host = Host::with(json!({}));
    assert_eq!(host.answer(json!({"a": [1, null]})).await, json!({"a": [1, null]}));
    let first = host.answer(json!({"do": "process"})).await;
    let second = host.answer(json!({"do": "process"})).await;
    assert_eq!(first, second);
    assert_eq!(host.lambda.processes("echo"), [u32::try_from(first.as_u64().unwrap()).unwrap()]);
    let empty = host.lambda.invoke("echo", InvocationType::RequestResponse, Bytes::new()).await;
    assert_eq!(empty.unwrap().payload, "{}");
    host.lambda.shutdown().await;
    assert!(!runs(first.as_u64().unwrap()), "shutdown returned before the process had ended");
}

#[tokio::test]
async fn the_environment_is_the_templates_and_lambdas() {
    let host = Host::with(json!({
        "Environment": {"Variables": {"TABLE_NAME": "t", "COUNT": 5}},
        "MemorySize": 256,
        "Timeout": 20,
    }));
    for (name, value) in [
        ("TABLE_NAME", json!("t")),
        ("COUNT", json!("5")),
        ("AWS_LAMBDA_FUNCTION_NAME", json!("echo")),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", json!("256")),
        ("AWS_REGION", json!("us-east-1")),
        ("AWS_ENDPOINT_URL", json!("http://127.0.0.1:9")),
        // Of this machine nothing gets in but what starts programs.
        ("CARGO_PKG_NAME", Value::Null),
        ("HOME", Value::Null),
    ] {
        let got = host.answer(json!({"do": "variable", "name": name})).await;
        assert_eq!(got, value, "{name}");
    }
    let context = host.answer(json!({"do": "context"})).await;
    assert_eq!(context["arn"], "arn:aws:lambda:us-east-1:000000000000:function:echo");
    let left = context["deadline"].as_i64().unwrap() - chrono::Utc::now().timestamp_millis();
    assert!((10_000..=20_000).contains(&left), "{left}");
    let key = host.answer(json!({"do": "variable", "name": "AWS_ACCESS_KEY_ID"})).await;
    assert!(key.as_str().unwrap().starts_with("ASIA"));
}

#[tokio::test]
async fn an_error_a_crash_and_a_timeout_have_lambdas_words() {
    let host = Host::with(json!({"Timeout": 1}));
    let failed = host.error(json!({"do": "fail", "text": "no"})).await;
    assert_eq!(failed, ("Echo.Refused".into(), "no".into()));
    let crashed = host.error(json!({"do": "exit"})).await;
    let text = "RequestId: ID Error: Runtime exited with error: exit status 3";
    assert_eq!(crashed, ("Runtime.ExitError".into(), text.into()));
    let hung = host.error(json!({"do": "hang"})).await;
    let text = "RequestId: ID Error: Task timed out after 1.00 seconds";
    assert_eq!(hung, ("Sandbox.Timedout".into(), text.into()));
    assert_eq!(host.lambda.processes("echo").len(), 0, "what hung was killed");
    assert_eq!(host.answer(json!("again")).await, json!("again"));
}

#[tokio::test]
async fn a_process_that_cannot_start() {
    let host = Host::with(json!({"Environment": {"Variables": {"EXIT_AT_START": "1"}}}));
    let text = "RequestId: ID Error: Runtime exited with error: exit status 7";
    assert_eq!(host.error(json!({})).await, ("Runtime.ExitError".into(), text.into()));
    assert!(host.lambda.log("echo").contains(&"cannot start".to_owned()));
}

#[tokio::test]
async fn killing_a_process_in_the_middle() {
    let host = Host::with(json!({"Timeout": 60}));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let event = json!({"do": "hold", "at": at});
    let (error, _held) = tokio::join!(host.error(event), async {
        let held = listener.accept().await.unwrap();
        assert_eq!(host.lambda.kill("echo"), 1);
        // Let go only afterwards: the process would answer as soon as this is dropped.
        held
    });
    let text = "RequestId: ID Error: Runtime exited with error: signal: killed";
    assert_eq!(error, ("Runtime.ExitError".into(), text.into()));
}

#[tokio::test]
async fn a_process_that_died_while_idle_is_replaced_unseen() {
    let host = Host::with(json!({}));
    let mut trace = host.trace.subscribe();
    let first = host.answer(json!({"do": "process"})).await;
    assert_eq!(host.lambda.kill("echo"), 1);
    let reason = until(&mut trace, |what| match what {
        What::FunctionEnded { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.await, "Runtime exited with error: signal: killed");
    assert_ne!(host.answer(json!({"do": "process"})).await, first);
}

#[tokio::test]
async fn reserved_concurrency_refuses_the_one_too_many() {
    let host = Host::with(json!({"ReservedConcurrentExecutions": 2, "Timeout": 60}));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let event = json!({"do": "hold", "at": listener.local_addr().unwrap().to_string()});
    let (first, second, ()) = tokio::join!(host.answer(event.clone()), host.answer(event.clone()), async {
        let held = (listener.accept().await.unwrap(), listener.accept().await.unwrap());
        let error = host.invoke(json!({})).await.unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (429, "TooManyRequestsException"));
        assert_eq!(error.extra["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
        drop(held);
    });
    assert_ne!(first, second, "two at once are two processes");
    assert_eq!(host.answer(json!(1)).await, json!(1));
    assert_eq!(host.lambda.processes("echo").len(), 2, "and both are used again");
}

#[tokio::test]
async fn payload_limits_and_requests_that_are_refused() {
    let host = Host::with(json!({}));
    let large = json!({"do": "large"});
    assert_eq!(host.error(large).await.0, "Function.ResponseSizeTooLarge");
    let text = |size: usize| Bytes::from(json!("x".repeat(size)).to_string());
    for (kind, payload, code) in [
        (InvocationType::RequestResponse, text(6_300_000), "RequestTooLargeException"),
        (InvocationType::Event, text(1_100_000), "RequestTooLargeException"),
        (InvocationType::RequestResponse, Bytes::from("{"), "InvalidRequestContentException"),
    ] {
        let error = host.lambda.invoke("echo", kind, payload).await.unwrap_err();
        assert_eq!(error.code, code);
    }
    for name in ["other", "arn:aws:lambda:eu-west-1:000000000000:function:echo"] {
        let error = host.lambda.invoke(name, InvocationType::DryRun, Bytes::new()).await;
        assert_eq!(error.unwrap_err().status, 404, "{name}");
    }
    let dry = host.lambda.invoke("echo", InvocationType::DryRun, Bytes::new()).await.unwrap();
    assert_eq!((dry.status, dry.payload.len()), (204, 0));
    for (properties, name) in [
        (json!({"Code": "x", "Role": ROLE, "Layers": []}), "Layers"),
        (json!({"Code": "x", "Role": ROLE, "Timeout": 901}), "Timeout"),
        (json!({"Code": {"S3Bucket": "b"}, "Role": ROLE}), "Code"),
        (json!({"Code": "x", "Role": ROLE, "Environment": {"Variables": {"AWS_REGION": "x"}}}), "AWS_REGION"),
    ] {
        let error = host.lambda.create_function("other", &properties, &host.sqs).unwrap_err();
        assert!(error.message.contains(name), "{error}");
    }
}

#[tokio::test]
async fn the_log_has_every_line_of_an_invocation_between_its_marks() {
    let host = Host::with(json!({}));
    for text in ["one", "two"] {
        let invocation = host.invoke(json!({"do": "print", "text": text})).await.unwrap();
        let id = &invocation.request_id;
        // The first log begins with what a test program says at its start.
        let said = usize::from(text == "one") * 2;
        let [start, first, second, end, report] = &invocation.log[said..] else { panic!("{:?}", invocation.log) };
        assert_eq!(*start, format!("START RequestId: {id} Version: $LATEST"));
        let mut printed = [first.as_str(), second.as_str()];
        printed.sort_unstable();
        assert_eq!(printed, [format!("err {text}"), format!("out {text}")]);
        assert_eq!(*end, format!("END RequestId: {id}"));
        assert!(report.starts_with(&format!("REPORT RequestId: {id}\tDuration: ")), "{report}");
        assert!(report.contains("Memory Size: 128 MB"), "{report}");
        assert_eq!(report.contains("Init Duration"), text == "one", "{report}");
    }
    let file = std::fs::read_to_string(host.logs.path().join("echo.log")).unwrap();
    assert_eq!(file.lines().collect::<Vec<_>>(), host.lambda.log("echo"));
    assert_eq!(file.lines().count(), 2 + 10);
}

#[tokio::test]
async fn an_event_is_tried_three_times() {
    let host = Host::with(json!({}));
    host.lambda.set_retry_pauses([Duration::ZERO; 2]);
    let mut trace = host.trace.subscribe();
    let send = |event: Value| host.lambda.invoke("echo", InvocationType::Event, Bytes::from(event.to_string()));
    let accepted = send(json!({"do": "fail"})).await.unwrap();
    assert_eq!((accepted.status, accepted.payload.len()), (202, 0));
    let returned = |what: &What| match what {
        What::Returned { request, error, .. } => Some((request.clone(), error.clone())),
        _ => None,
    };
    for _ in 0..3 {
        let (request, error) = until(&mut trace, returned).await;
        assert_eq!((request, error.as_deref()), (accepted.request_id.clone(), Some("Echo.Refused")));
    }
    // The next thing that returns is the next event: there was no fourth try.
    let good = send(json!({})).await.unwrap();
    assert_eq!(until(&mut trace, returned).await, (good.request_id, None));
}

#[tokio::test]
async fn dropping_the_host_ends_its_processes() {
    let host = Host::with(json!({}));
    let mut trace = host.trace.subscribe();
    let pid = host.answer(json!({"do": "process"})).await.as_u64().unwrap();
    assert!(runs(pid));
    drop(host);
    until(&mut trace, |what| matches!(what, What::FunctionEnded { .. }).then_some(())).await;
    assert!(!runs(pid));
}

mod mapping {
    use super::*;

    /// A host whose queue already has these messages when the mapping begins.
    fn host(queue: Value, messages: &[&str], mut mapping: Value) -> Host {
        let host = Host::with(json!({"Timeout": 1}));
        host.sqs.create_queue("dead", &json!({})).unwrap();
        host.sqs.create_queue("q", &queue).unwrap();
        for message in messages {
            host.sqs.send("q", message).unwrap();
        }
        mapping["EventSourceArn"] = json!(host.sqs.arn("q"));
        mapping["FunctionName"] = json!("echo");
        host.lambda.create_event_source_mapping("m", &mapping, &host.sqs).unwrap();
        host
    }

    fn redrive(times: u32) -> Value {
        json!({
            "VisibilityTimeout": 1,
            "RedrivePolicy": {
                "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead",
                "maxReceiveCount": times,
            },
        })
    }

    async fn returned(trace: &mut Receiver<cloud::trace::Entry>) -> Option<String> {
        until(trace, |what| match what {
            What::Returned { error, .. } => Some(error.clone()),
            _ => None,
        })
        .await
    }

    async fn dead(host: &Host, trace: &mut Receiver<cloud::trace::Entry>) -> Vec<String> {
        until(trace, |what| matches!(what, What::MessageDead { .. }).then_some(())).await;
        host.sqs.peek("dead").unwrap()
    }

    #[tokio::test]
    async fn a_partial_answer_keeps_only_what_it_names() {
        let host =
            host(redrive(1), &["good", "bad", "fine"], json!({"FunctionResponseTypes": ["ReportBatchItemFailures"]}));
        let mut trace = host.trace.subscribe();
        assert_eq!(dead(&host, &mut trace).await, ["bad"]);
        assert_eq!(host.sqs.counts("q").unwrap(), (0, 0, 0));
        let log = host.lambda.log("echo");
        assert!(log.contains(&"batch good bad fine".to_owned()), "one batch: {log:?}");
    }

    #[tokio::test]
    async fn without_partial_answers_a_batch_is_handled_as_one() {
        let host = host(redrive(1), &[], json!({"BatchSize": 1}));
        let mut trace = host.trace.subscribe();
        // The function's list of failures means nothing to this mapping.
        host.sqs.send("q", "bad").unwrap();
        assert_eq!(returned(&mut trace).await, None);
        host.sqs.send("q", "fail").unwrap();
        assert_eq!(returned(&mut trace).await.as_deref(), Some("Echo.Refused"));
        assert_eq!(dead(&host, &mut trace).await, ["fail"]);
    }

    #[tokio::test]
    async fn a_crash_brings_the_batch_back_after_the_visibility_timeout() {
        let host = host(redrive(2), &[], json!({"BatchSize": 1, "FunctionResponseTypes": ["ReportBatchItemFailures"]}));
        let mut trace = host.trace.subscribe();
        host.sqs.send("q", "exit").unwrap();
        for _ in 0..2 {
            assert_eq!(returned(&mut trace).await.as_deref(), Some("Runtime.ExitError"));
        }
        assert_eq!(dead(&host, &mut trace).await, ["exit"]);
    }

    #[tokio::test]
    async fn refusals_are_named() {
        let host = Host::with(json!({"Timeout": 60}));
        host.sqs.create_queue("q", &json!({"VisibilityTimeout": 30})).unwrap();
        host.sqs.create_queue("long", &json!({"VisibilityTimeout": 60})).unwrap();
        let arn = |name: &str| host.sqs.arn(name);
        for (mapping, text) in [
            (json!({"EventSourceArn": arn("q"), "FunctionName": "echo"}), "visibility timeout"),
            (json!({"EventSourceArn": arn("none"), "FunctionName": "echo"}), "queue does not exist"),
            (json!({"EventSourceArn": arn("long"), "FunctionName": "none"}), "not found"),
            (json!({"EventSourceArn": arn("long"), "FunctionName": "echo", "BatchSize": 11}), "batch window"),
            (
                json!({"EventSourceArn": arn("long"), "FunctionName": "echo", "StartingPosition": "LATEST"}),
                "StartingPosition",
            ),
            (
                json!({"EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s", "FunctionName": "echo"}),
                "kinesis",
            ),
            (
                json!({"EventSourceArn": arn("long"), "FunctionName": "echo", "ScalingConfig": {"MaximumConcurrency": 1}}),
                "MaximumConcurrency",
            ),
        ] {
            let error = host.lambda.create_event_source_mapping("m", &mapping, &host.sqs);
            let error = error.unwrap_err();
            assert!(error.message.contains(text), "{error}");
        }
    }
}

#[tokio::test]
async fn a_process_ends_when_its_host_is_gone() {
    // What a killed host leaves behind: a closed connection and nobody who listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let command = echo::command();
    let mut child = tokio::process::Command::new(&command[0])
        .args(&command[1..])
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "echo")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let connection = listener.accept().await.unwrap();
    drop(listener);
    drop(connection);
    let ended = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
    assert!(!ended.expect("it lives on").unwrap().success());
}

#[tokio::test]
async fn destinations_are_told_what_became_of_an_event() {
    let host = Host::with(json!({}));
    for name in ["good", "bad"] {
        host.sqs.create_queue(name, &json!({})).unwrap();
    }
    let config = json!({
        "FunctionName": "echo",
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {
            "OnSuccess": {"Destination": host.sqs.arn("good")},
            "OnFailure": {"Destination": host.sqs.arn("bad")},
        },
    });
    host.lambda.create_event_invoke_config(&config, &host.sqs).unwrap();
    for (event, queue, condition, answer) in [
        (json!({"a": 1}), "good", "Success", json!({"a": 1})),
        (
            json!({"do": "fail", "text": "x"}),
            "bad",
            "RetriesExhausted",
            json!({"errorType": "Echo.Refused", "errorMessage": "x"}),
        ),
    ] {
        let mut trace = host.trace.subscribe();
        let payload = Bytes::from(event.to_string());
        host.lambda.invoke("echo", InvocationType::Event, payload).await.unwrap();
        until(&mut trace, |what| matches!(what, What::MessageSent { .. }).then_some(())).await;
        let record: Value = serde_json::from_str(&host.sqs.peek(queue).unwrap()[0]).unwrap();
        assert_eq!(record["requestContext"]["condition"], condition);
        assert_eq!(record["requestContext"]["approximateInvokeCount"], 1);
        assert_eq!((&record["requestPayload"], &record["responsePayload"]), (&event, &answer));
    }
    for (change, named) in [
        (json!({"MaximumRetryAttempts": 3}), "MaximumRetryAttempts"),
        (json!({"Qualifier": "live"}), "Qualifier"),
        (json!({"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sns:r:0:t"}}}), "sns"),
    ] {
        let mut config = config.clone();
        config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = host.lambda.create_event_invoke_config(&config, &host.sqs).unwrap_err();
        assert!(error.message.contains(named), "{error}");
    }
}

#[tokio::test]
async fn an_event_that_is_given_up_goes_to_the_functions_dead_letter_queue() {
    let host = Host::new();
    host.sqs.create_queue("dead", &json!({})).unwrap();
    host.create("echo", json!({"DeadLetterConfig": {"TargetArn": host.sqs.arn("dead")}}));
    host.lambda.set_retry_pauses([Duration::ZERO; 2]);
    let mut trace = host.trace.subscribe();
    let event = json!({"do": "fail", "text": "not today"});
    host.lambda.invoke("echo", InvocationType::Event, Bytes::from(event.to_string())).await.unwrap();
    until(&mut trace, |what| matches!(what, What::MessageSent { .. }).then_some(())).await;
    let body = json!({"QueueUrl": host.sqs.url("dead"), "MessageAttributeNames": ["All"]});
    let received = host.sqs.call("ReceiveMessage", &Caller::local_user(), body).await.unwrap();
    let message = &received["Messages"][0];
    assert_eq!(serde_json::from_str::<Value>(message["Body"].as_str().unwrap()).unwrap(), event);
    let attribute = |name: &str| message["MessageAttributes"][name]["StringValue"].as_str().unwrap().to_owned();
    assert_eq!((attribute("ErrorCode"), attribute("ErrorMessage")), ("200".into(), "not today".into()));
    assert!(!attribute("RequestID").is_empty());
    let topic = json!({"Code": "x", "Role": ROLE, "DeadLetterConfig": {"TargetArn": "arn:aws:sns:r:0:t"}});
    let error = host.lambda.create_function("other", &topic, &host.sqs).unwrap_err();
    assert!(error.message.contains("arn:aws:sns:r:0:t"), "{error}");
}
