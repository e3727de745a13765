//! The function of these tests: does what its event says, on the runtime that the real functions use. It is this very
//! test program, started again with the name of one test.

use std::ffi::OsString;
use std::io::Read as _;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// What the host starts; the name that it appends is one more filter, which matches nothing.
pub fn command() -> Vec<OsString> {
    let this: OsString = std::env::current_exe().unwrap().into();
    vec![this, "echo::plays_a_function".into(), "--exact".into(), "--nocapture".into()]
}

/// No test: without the Runtime API there is nothing to do.
#[tokio::test]
async fn plays_a_function() {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    if std::env::var_os("EXIT_AT_START").is_some() {
        eprintln!("cannot start");
        std::process::exit(7);
    }
    lambda_runtime::run(service_fn(handle)).await.unwrap();
}

fn refuse(text: String) -> Diagnostic {
    Diagnostic { error_type: "Echo.Refused".into(), error_message: text }
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let (event, context) = event.into_parts();
    if let Some(records) = event.get("Records") {
        return batch(records);
    }
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match text("do").as_str() {
        "print" => {
            println!("out {}", text("text"));
            eprintln!("err {}", text("text"));
            Ok(json!(std::process::id()))
        }
        "fail" => Err(refuse(text("text"))),
        "exit" => std::process::exit(3),
        "hang" => std::future::pending().await,
        "large" => Ok(json!("x".repeat(7_000_000))),
        "variable" => Ok(json!(std::env::var(text("name")).ok())),
        "process" => Ok(json!(std::process::id())),
        "context" => Ok(json!({
            "requestId": context.request_id,
            "deadline": context.deadline,
            "arn": context.invoked_function_arn,
        })),
        // Tells that it runs by connecting, and runs until the other side lets go.
        "hold" => {
            let at = text("at");
            tokio::task::spawn_blocking(move || {
                let mut stream = std::net::TcpStream::connect(at)?;
                stream.read(&mut [0])
            })
            .await
            .map_err(|error| refuse(error.to_string()))?
            .map_err(|error| refuse(error.to_string()))?;
            Ok(json!(std::process::id()))
        }
        _ => Ok(event),
    }
}

/// Of a batch: a record `bad` is reported, `fail` and `exit` end the whole batch, every other one is good.
fn batch(records: &Value) -> Result<Value, Diagnostic> {
    let records = records.as_array().map(Vec::as_slice).unwrap_or_default();
    let bodies: Vec<&str> = records.iter().filter_map(|record| record["body"].as_str()).collect();
    println!("batch {}", bodies.join(" "));
    if bodies.contains(&"fail") {
        return Err(refuse("the batch".into()));
    }
    if bodies.contains(&"exit") {
        std::process::exit(3);
    }
    let bad = records.iter().filter(|record| record["body"] == "bad");
    let failures: Vec<Value> = bad.map(|record| json!({ "itemIdentifier": record["messageId"] })).collect();
    Ok(json!({ "batchItemFailures": failures }))
}
