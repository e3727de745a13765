//! The function of these tests: answers as a custom resource is told to by its properties.

use std::ffi::OsString;

use serde_json::{Value, json};

use super::http::http;

/// What the host starts; the name that it appends is one more filter, which matches nothing.
pub(crate) fn command() -> Vec<OsString> {
    let this: OsString = std::env::current_exe().unwrap().into();
    vec![this, "function::plays_a_function".into(), "--exact".into(), "--nocapture".into()]
}

/// Not a test: what a function's process runs. Outside the host it has nothing to do.
#[test]
fn plays_a_function() {
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    loop {
        let (head, event) = http(&api, "GET", "/2018-06-01/runtime/invocation/next", &[], "");
        let id = head.lines().find_map(|line| {
            line.to_lowercase().strip_prefix("lambda-runtime-aws-request-id:").map(|id| id.trim().to_owned())
        });
        let event: Value = serde_json::from_str(&event).unwrap();
        if event.get("RequestType").is_some() {
            answer(&event);
        }
        let path = format!("/2018-06-01/runtime/invocation/{}/response", id.unwrap());
        http(&api, "POST", &path, &[], &json!({"greeting": std::env::var("GREETING").ok()}).to_string());
    }
}

/// `Fail` and `Silent` name the requests that fail and that are not answered; `Name` becomes the physical id.
fn answer(event: &Value) {
    let properties = &event["ResourceProperties"];
    let (kind, name) = (event["RequestType"].as_str().unwrap(), properties["Name"].as_str().unwrap());
    let old = event["OldResourceProperties"]["Name"].as_str().unwrap_or("-");
    let physical = event["PhysicalResourceId"].as_str().unwrap_or("-");
    println!("ASKED {kind} {name} old={old} physical={physical} flag={}", properties["Flag"]);
    let is = |member: &str| properties[member].as_str() == Some(kind);
    if is("Silent") {
        return;
    }
    let deleted = if physical == "-" { name } else { physical };
    let mut answer = json!({
        "Status": if is("Fail") { "FAILED" } else { "SUCCESS" },
        "Reason": "as asked",
        "PhysicalResourceId": if kind == "Delete" { deleted } else { name },
        "Data": {"Said": format!("{name} is here"), "Times": 3},
    });
    for member in ["StackId", "RequestId", "LogicalResourceId"] {
        answer[member] = event[member].clone();
    }
    let url = event["ResponseURL"].as_str().unwrap().trim_start_matches("http://");
    let (host, path) = url.split_once('/').unwrap();
    let (head, body) = http(host, "PUT", &format!("/{path}"), &["Content-Type: "], &answer.to_string());
    assert!(head.starts_with("HTTP/1.1 200"), "{head} {body}");
}
