//! A stack from a template, with everything connected: functions as processes, rules, queues, machines, faults.
//!
//! The functions are this very test program, started again with the name of one test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/http.rs"]
mod http;

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloud::faults::Matching;
use cloud::trace::{Entry, Fate, What};
use cloud::{Cloud, Error, Options};
use http::http;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wired/root.yaml")
}

fn options(infra: PathBuf) -> Options {
    // The host appends the function's name; for the test program it is one more filter, which matches nothing.
    let this: OsString = std::env::current_exe().unwrap().into();
    let mut options =
        Options::new(infra, vec![this, "plays_a_function".into(), "--exact".into(), "--nocapture".into()]);
    options.stack_name = "wired".into();
    options
}

async fn start() -> Cloud {
    Cloud::start(options(fixture())).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Waits for something to happen; the limit only ends a test that would hang.
async fn until(trace: &mut Receiver<Entry>, what: &str, wanted: impl Fn(&What) -> bool) -> What {
    let found = async {
        loop {
            let entry = trace.recv().await.unwrap();
            if wanted(&entry.what) {
                return entry.what;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}

async fn run(cloud: &Cloud, input: Value) -> Value {
    let execution = cloud.start_execution("Machine", &input).await.unwrap();
    cloud.wait(&execution).await.unwrap()
}

fn returned(function: &'static str) -> impl Fn(&What) -> bool {
    move |what| matches!(what, What::Returned { function: name, .. } if name == function)
}

async fn rows(cloud: &Cloud) -> Vec<Value> {
    let found = cloud.call("dynamodb", "Scan", json!({"TableName": "wired-Table"})).await.unwrap();
    found["Items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_calls_a_function_and_its_end_comes_home_through_rule_queue_and_mapping() {
    let cloud = start().await;
    let mut trace = cloud.trace();
    let ended = run(&cloud, json!({"say": "good morning"})).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    let output: Value = serde_json::from_str(ended["output"].as_str().unwrap()).unwrap();
    assert_eq!(output, json!({"said": "good morning", "by": "echo", "greeting": "hello"}));

    until(&mut trace, "the recorder returned", returned("wired-Recorder")).await;
    let rows = rows(&cloud).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let event: Value = serde_json::from_str(rows[0]["body"]["S"].as_str().unwrap()).unwrap();
    assert_eq!(event["source"], "aws.states");
    assert_eq!(event["detail"]["executionArn"], ended["executionArn"]);
    assert_eq!(event["detail"]["status"], "SUCCEEDED");
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_functions_reach_the_state_by_name() {
    let cloud = start().await;
    let ended = run(&cloud, json!({"fail": "Colour.Wrong"})).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("Colour.Wrong")), "{ended}");
    let cause: Value = serde_json::from_str(ended["cause"].as_str().unwrap()).unwrap();
    assert_eq!(cause["errorMessage"], "as asked");

    let ended = run(&cloud, json!({"exit": 3})).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("Runtime.ExitError")), "{ended}");

    // A process that is killed in the middle is the same to the state.
    let mut trace = cloud.trace();
    let execution = cloud.start_execution("Machine", &json!({"hang": true})).await.unwrap();
    until(&mut trace, "echo is in the middle", |what| {
        matches!(what, What::Call { operation, function, .. }
            if operation == "PutItem" && function.as_deref() == Some("wired-Echo"))
    })
    .await;
    assert_eq!(cloud.kill("Echo"), 1);
    let ended = cloud.wait(&execution).await.unwrap();
    assert_eq!((&ended["status"], &ended["error"]), (&json!("FAILED"), &json!("Runtime.ExitError")), "{ended}");
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_sees_the_template_s_environment_and_calls_as_its_role() {
    let cloud = start().await;
    let mut trace = cloud.trace();
    let invocation = cloud.invoke("Echo", &json!({"show": "environment"})).await.unwrap();
    assert_eq!(invocation.function_error, None);
    let environment: Value = serde_json::from_slice(&invocation.payload).unwrap();
    for (name, value) in [
        ("GREETING", "hello"),
        ("TABLE_NAME", "wired-Table"),
        ("NUMBER", "5"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_LAMBDA_FUNCTION_NAME", "wired-Echo"),
        ("AWS_ENDPOINT_URL", cloud.endpoint()),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
    let foreign: Vec<_> = environment
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| !name.starts_with("AWS_") && !name.starts_with("LD_") && !name.starts_with("DYLD_"))
        .collect();
    assert!(
        foreign.iter().all(|name| [
            "GREETING",
            "TABLE_NAME",
            "NUMBER",
            "PATH",
            "TMPDIR",
            "TZ",
            "LANG",
            "_HANDLER",
            "LAMBDA_TASK_ROOT",
            "LAMBDA_RUNTIME_DIR",
            "_X_AMZN_TRACE_ID"
        ]
        .contains(&name.as_str())),
        "{foreign:?}"
    );

    let invocation = cloud.invoke("Echo", &json!({"store": "mine"})).await.unwrap();
    assert_eq!(invocation.function_error, None, "{:?}", invocation.payload);
    let call = until(
        &mut trace,
        "a call of DynamoDB",
        |what| matches!(what, What::Call { service, .. } if service == "dynamodb"),
    )
    .await;
    assert_eq!(
        call,
        What::Call {
            service: "dynamodb".into(),
            operation: "PutItem".into(),
            function: Some("wired-Echo".into()),
            error: None
        }
    );
    assert_eq!(rows(&cloud).await[0]["row"]["S"], "mine");
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_execution_is_a_mail_in_the_outbox() {
    let cloud = start().await;
    let mut trace = cloud.trace();
    let ended = run(&cloud, json!({"fail": "Colour.Wrong"})).await;
    let mailed = until(&mut trace, "an e-mail", |what| matches!(what, What::Mailed { .. })).await;
    let What::Mailed { to, subject, file } = mailed else { panic!("another kind") };
    assert_eq!((to.as_str(), subject.as_str()), ("night@watch.example", "AWS Notification Message"));
    let mail = std::fs::read_to_string(cloud.outbox().join(file)).unwrap();
    assert!(mail.starts_with("From: \"Night run\" <"), "{mail}");
    let name = ended["name"].as_str().unwrap();
    assert!(mail.contains(&format!("\n\n\"Execution {name} ended as FAILED.\"\n")), "{mail}");
    let listed = cloud.call("sns", "ListSubscriptions", json!({})).await.unwrap();
    assert_eq!(listed["Subscriptions"].as_array().unwrap().len(), 2);
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_publishes_to_a_topic() {
    let cloud = start().await;
    let topic = "arn:aws:sns:us-east-1:000000000000:wired-Alarm";
    let parameters = json!({"TopicArn": topic, "Subject": "From a state", "Message.$": "$.text"});
    let state =
        json!({"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Parameters": parameters, "End": true});
    let definition = json!({"StartAt": "Tell", "States": {"Tell": state}}).to_string();
    let role = "arn:aws:iam::000000000000:role/wired-Role";
    let made =
        cloud.call("states", "CreateStateMachine", json!({"name": "tell", "definition": definition, "roleArn": role}));
    let machine = made.await.unwrap()["stateMachineArn"].as_str().unwrap().to_owned();
    let execution = cloud.start_execution(&machine, &json!({"text": "the night went well"})).await.unwrap();
    let ended = cloud.wait(&execution).await.unwrap();
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    assert!(ended["output"].as_str().unwrap().contains("MessageId"), "{ended}");
    let mails: Vec<_> = std::fs::read_dir(cloud.outbox()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(mails.len(), 1, "the mail is there when the state has ended");
    let mail = std::fs::read_to_string(&mails[0]).unwrap();
    assert!(mail.contains("Subject: From a state\n") && mail.contains("\n\nthe night went well\n"), "{mail}");
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_what_there_is_without_secrets() {
    let cloud = start().await;
    let state = async || serde_json::from_str::<Value>(&get(&cloud, "/_tasker/state").await).unwrap();
    assert_eq!(state().await["executions"], json!([]));
    let mut trace = cloud.trace();
    let live = {
        let endpoint = cloud.endpoint().trim_start_matches("http://").to_owned();
        let (ready, subscribed) = tokio::sync::oneshot::channel();
        let reading = tokio::task::spawn_blocking(move || follow(&endpoint, ready));
        subscribed.await.unwrap();
        reading
    };
    let token = format!("QVFER{}==", "x1Y+".repeat(12));
    let input = json!({"fail": "Colour.Wrong", "password": "open sesame", "callback": token});
    let ended = run(&cloud, input.clone()).await;
    until(&mut trace, "an e-mail", |what| matches!(what, What::Mailed { .. })).await;
    cloud
        .call("sqs", "SendMessage", json!({"QueueUrl": "wired-Dead", "MessageBody": input.to_string()}))
        .await
        .unwrap();
    let shown = state().await;
    assert_eq!(shown["executions"][0]["arn"], ended["executionArn"]);
    assert_eq!(shown["executions"][0]["status"], "FAILED");
    assert_eq!(shown["mails"][0]["to"], "night@watch.example");
    let queues = shown["queues"].as_array().unwrap();
    let dead = queues.iter().find(|queue| queue["name"] == "wired-Dead").unwrap();
    assert!(dead["messages"][0].as_str().unwrap().contains("Colour.Wrong"), "{dead}");
    let history = get(&cloud, &format!("/_tasker/history/{}", ended["executionArn"].as_str().unwrap())).await;
    let events: Value = serde_json::from_str(&history).unwrap();
    assert_eq!(events["events"][0]["type"], "ExecutionStarted");
    assert!(events["events"][0]["details"].as_str().unwrap().contains("Colour.Wrong"));
    let mail = get(&cloud, &format!("/_tasker/mail/{}", shown["mails"][0]["file"].as_str().unwrap())).await;
    assert!(mail.contains("ended as FAILED"), "{mail}");
    let log = get(&cloud, "/_tasker/log/wired-Echo").await;
    assert!(log.contains("REPORT RequestId"), "{log}");
    let lines = live.await.unwrap();
    assert!(lines.contains("is FAILED") && lines.contains("wired-Echo returns"), "{lines}");
    for secret in ["x1Y+", "open sesame"] {
        for text in [&shown.to_string(), &history, &log, &lines] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    cloud.shutdown().await;
}

/// Reads the page's events until an execution failed.
fn follow(host: &str, ready: tokio::sync::oneshot::Sender<()>) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /_tasker/events HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let (mut all, mut buffer, mut ready) = (String::new(), [0; 4096], Some(ready));
    while !all.contains(" is FAILED") {
        let got = stream.read(&mut buffer).unwrap();
        assert_ne!(got, 0, "the stream ended: {all}");
        all.push_str(&String::from_utf8_lossy(&buffer[..got]));
        if let (true, Some(ready)) = (all.contains(": here"), ready.take()) {
            ready.send(()).unwrap();
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_can_be_fired_by_hand() {
    let cloud = start().await;
    let mut trace = cloud.trace();
    cloud.fire_rule("EveryDay").await.unwrap();
    until(&mut trace, "the recorder returned", returned("wired-Recorder")).await;
    let rows = rows(&cloud).await;
    assert_eq!(rows[0]["row"]["S"], "Scheduled Event", "{rows:?}");
    assert!(cloud.fire_rule("Ended").await.is_err(), "a rule without schedule cannot be fired");
    assert!(cloud.fire_rule("Nobody").await.is_err());
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_can_be_lost_repeated_and_held_back() {
    let cloud = start().await;
    let mut trace = cloud.trace();
    let succeeded = || Matching::source("aws.states").and_detail("/status", "SUCCEEDED");

    cloud.faults().drop_next(succeeded(), 1);
    assert_eq!(run(&cloud, json!({"say": "lost"})).await["status"], "SUCCEEDED");
    until(&mut trace, "the event was dropped", |what| matches!(what, What::Event { fate: Fate::Dropped, .. })).await;

    cloud.faults().hold_next(succeeded(), 1);
    assert_eq!(run(&cloud, json!({"say": "late"})).await["status"], "SUCCEEDED");
    until(&mut trace, "the event was held", |what| matches!(what, What::Event { fate: Fate::Held, .. })).await;
    assert_eq!(rows(&cloud).await.len(), 0);
    assert_eq!(cloud.faults().release(), 1);
    until(&mut trace, "the event was released", |what| matches!(what, What::Event { fate: Fate::Released, .. })).await;
    until(&mut trace, "the recorder returned", returned("wired-Recorder")).await;
    assert_eq!(rows(&cloud).await.len(), 1);

    cloud.faults().duplicate_next(succeeded(), 1, 2);
    assert_eq!(run(&cloud, json!({"say": "twice"})).await["status"], "SUCCEEDED");
    for _ in 0..2 {
        until(&mut trace, "a message was received", |what| matches!(what, What::MessageReceived { .. })).await;
    }
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_objects_and_services_are_at_hand() {
    let cloud = start().await;
    assert_eq!(cloud.outputs()["Machine"], "arn:aws:states:us-east-1:000000000000:stateMachine:wired-Machine");
    assert_eq!(cloud.outputs()["Queue"], format!("{}/000000000000/wired-Queue", cloud.endpoint()));
    cloud.put_object("wired-bucket", "a/b.sql", b"select 1").await.unwrap();
    assert_eq!(cloud.get_object("wired-bucket", "a/b.sql").await.unwrap(), "select 1");
    assert_eq!(cloud.get_object("wired-bucket", "none").await.unwrap_err().code, "NoSuchKey");
    let error = cloud.call("ses", "SendEmail", json!({})).await.unwrap_err();
    assert_eq!(error.message, "ses: SendEmail is not implemented by the local cloud");
    let error = cloud.call("redshift-data", "ListStatements", json!({})).await.unwrap_err();
    assert!(error.message.contains("REDSHIFT_CLUSTER"), "{error}");
    let listed = get(&cloud, "/2015-03-31/event-source-mappings/?FunctionName=wired-Recorder").await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let mapping = &listed["EventSourceMappings"][0];
    assert_eq!(mapping["EventSourceArn"], "arn:aws:sqs:us-east-1:000000000000:wired-Queue");
    let path = format!("/2015-03-31/event-source-mappings/{}", mapping["UUID"].as_str().unwrap());
    assert_eq!(&serde_json::from_str::<Value>(&get(&cloud, &path).await).unwrap(), mapping);
    let none = get(&cloud, "/2015-03-31/event-source-mappings/?FunctionName=wired-Echo").await;
    assert_eq!(none, r#"{"EventSourceMappings":[]}"#);
    let folder = cloud.folder().to_owned();
    assert!(folder.exists());
    cloud.shutdown().await;
    assert!(!folder.exists(), "a temporary folder goes with the cloud");
}

#[tokio::test]
async fn mistakes_are_found_before_and_while_standing_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.yaml");
    std::fs::write(&file, "Resources: {A: {Type: AWS::Nothing::AtAll}}").unwrap();
    let error = Cloud::start(options(file.clone())).await.err().unwrap();
    assert!(matches!(&error, Error::Template(_)) && error.to_string().contains("AWS::Nothing::AtAll"), "{error}");

    std::fs::write(&file, "Resources: {R: {Type: AWS::Events::Rule, Properties: {ScheduleExpression: now and then}}}")
        .unwrap();
    let error = Cloud::start(options(file.clone())).await.err().unwrap();
    assert!(error.to_string().starts_with("R (AWS::Events::Rule): "), "{error}");

    let mut taken = options(fixture());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    taken.port = Some(listener.local_addr().unwrap().port());
    let error = Cloud::start(taken).await.err().unwrap();
    assert!(error.to_string().starts_with("listening on port "), "{error}");
}

/// The template of these tests has one of every type, so that a type that the loader knows and no service creates shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_that_the_loader_knows_is_created() {
    let cloud = start().await;
    for kind in cloud::template::kinds::all() {
        assert!(cloud.model().of_kind(kind.name).next().is_some(), "{} is created", kind.name);
    }
    cloud.shutdown().await;
}

/// Every property in the project's templates is one that the services take, under every condition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stack_of_the_project_stands_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/root.yaml");
    let mut options = options(root);
    let parameters = [
        ("ClusterIdentifier", "one"),
        ("NotificationEmail", "somebody@example.com"),
        ("ScheduleExpression", "cron(0 6 ? * MON *)"),
        ("ScheduleTimezone", "Europe/Berlin"),
        ("ScheduledPlan", "daily"),
        ("Tracing", "true"),
        ("VpcSubnetIds", "subnet-1,subnet-2"),
        ("VpcSecurityGroupIds", "sg-1"),
        ("NamePrefix", "Team-Tasker"),
    ];
    options.parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let cloud = Cloud::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    let listed = cloud.call("states", "ListStateMachines", json!({})).await.unwrap();
    let machines = cloud.model().of_kind("AWS::StepFunctions::StateMachine").count();
    assert_eq!(listed["stateMachines"].as_array().unwrap().len(), machines);
    let tables = cloud.call("dynamodb", "ListTables", json!({})).await.unwrap();
    assert_eq!(tables["TableNames"], json!([cloud.outputs()["TableName"]]));
    cloud.shutdown().await;
}

// ---- The functions.

/// Not a test: what a function's process runs. Outside the host it has nothing to do.
#[test]
fn plays_a_function() {
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    let program = std::env::args().next_back().unwrap();
    loop {
        let (head, event) = http(&api, "GET", "/2018-06-01/runtime/invocation/next", &[], "");
        let request = head
            .lines()
            .find_map(|line| {
                line.to_lowercase().strip_prefix("lambda-runtime-aws-request-id:").map(|id| id.trim().to_owned())
            })
            .expect("the Runtime API gives a request id");
        let event: Value = serde_json::from_str(&event).unwrap();
        let (outcome, answer) = match handle(&program, &event) {
            Ok(answer) => ("response", answer),
            Err(name) => ("error", json!({"errorType": name, "errorMessage": "as asked"})),
        };
        let path = format!("/2018-06-01/runtime/invocation/{request}/{outcome}");
        http(&api, "POST", &path, &[], &answer.to_string());
    }
}

fn handle(program: &str, event: &Value) -> Result<Value, String> {
    if let Some(say) = event.get("say") {
        return Ok(json!({"said": say, "by": program, "greeting": std::env::var("GREETING").unwrap()}));
    }
    if let Some(name) = event.get("fail") {
        return Err(name.as_str().unwrap().to_owned());
    }
    if let Some(code) = event.get("exit") {
        std::process::exit(code.as_i64().unwrap() as i32);
    }
    if event.get("hang").is_some() {
        store("hanging", "");
        loop {
            std::thread::park();
        }
    }
    if event.get("show").is_some() {
        return Ok(std::env::vars()
            .map(|(name, value)| (name, json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into());
    }
    if let Some(row) = event.get("store") {
        store(row.as_str().unwrap(), "");
    }
    if let Some(kind) = event.get("detail-type") {
        store(kind.as_str().unwrap(), "");
    }
    for record in event.get("Records").and_then(Value::as_array).into_iter().flatten() {
        store(record["messageId"].as_str().unwrap(), record["body"].as_str().unwrap());
    }
    Ok(json!({"batchItemFailures": []}))
}

/// Writes a row through the gateway, as an SDK would.
fn store(row: &str, body: &str) {
    let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap();
    let key = std::env::var("AWS_ACCESS_KEY_ID").unwrap();
    let authorization = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
    );
    let item = json!({
        "TableName": std::env::var("TABLE_NAME").unwrap(),
        "Item": {"row": {"S": row}, "body": {"S": body}},
    });
    let headers =
        ["X-Amz-Target: DynamoDB_20120810.PutItem", "Content-Type: application/x-amz-json-1.0", authorization.as_str()];
    let (head, answer) = http(endpoint.trim_start_matches("http://"), "POST", "/", &headers, &item.to_string());
    assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{answer}");
}

/// The body of a GET at the gateway.
async fn get(cloud: &Cloud, path: &str) -> String {
    let (host, path) = (cloud.endpoint().trim_start_matches("http://").to_owned(), path.to_owned());
    tokio::task::spawn_blocking(move || http(&host, "GET", &path, &[], "").1).await.unwrap()
}
