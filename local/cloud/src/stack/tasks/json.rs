//! Calls of services that speak JSON: from a state's parameters to the wire's request, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::integration::{Integration, TEXTS};

/// `putItem` to `PutItem`, `stringValue` to `StringValue`.
pub(super) fn upper(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// A state's parameters as the service takes them.
pub(super) fn request(integration: &Integration, parameters: &Value) -> Value {
    let Value::Object(members) = parameters else {
        return json!({});
    };
    Value::Object(members.iter().map(|(name, value)| (name.clone(), member(integration, name, value))).collect())
}

fn member(integration: &Integration, name: &str, value: &Value) -> Value {
    if integration.bytes.contains(&name) && !value.is_null() {
        // Recorded for S3's bodies: bytes are the value's JSON text, of a string with its quotes.
        return Value::String(STANDARD.encode(value.to_string()));
    }
    if integration.dates.contains(&name)
        && let Some(time) = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok())
    {
        return json!(time.timestamp());
    }
    match value {
        Value::Null | Value::String(_) => value.clone(),
        other if TEXTS.contains(&name) => Value::String(other.to_string()),
        Value::Array(items) if name == "Entries" => {
            Value::Array(items.iter().map(|item| request(integration, item)).collect())
        }
        other => other.clone(),
    }
}

/// A service's answer as an `aws-sdk:` state sees it.
pub(super) fn answer(integration: &Integration, value: Value) -> Value {
    let value = shown(integration, "", value);
    match value {
        // The second Java SDK spells this abbreviation as a word.
        Value::Object(members) if integration.service == "sqs" => {
            let spelled = |name: String| match name.strip_prefix("MD5") {
                Some(rest) => format!("Md5{rest}"),
                None => upper(&name),
            };
            Value::Object(members.into_iter().map(|(name, value)| (spelled(name), value)).collect())
        }
        other => other,
    }
}

fn shown(integration: &Integration, name: &str, value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let spelled = |name: String| if integration.lower_case { upper(&name) } else { name };
            let members = members.into_iter().map(|(name, value)| {
                let name = spelled(name);
                let value = shown(integration, &name, value);
                (name, value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| shown(integration, name, item)).collect()),
        Value::Number(seconds) if integration.dates.contains(&name) => date(&seconds),
        other => other,
    }
}

/// Seconds since 1970 as the text of a Java `Instant`.
pub(super) fn date(seconds: &serde_json::Number) -> Value {
    #[allow(clippy::cast_possible_truncation)] // Milliseconds of any date that a service gives.
    let millis = seconds.as_f64().map(|seconds| (seconds * 1000.0).round() as i64);
    let time = millis.and_then(DateTime::from_timestamp_millis);
    time.map_or(Value::Null, |time| Value::String(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
}

/// What optimised calls add to the answer: how HTTP looked.
pub(super) fn with_metadata(answer: Value, request_id: &str, status: u16, headers: &[(&str, String)]) -> Value {
    let mut answer = match answer {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let lists: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let single: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    answer.insert(
        "SdkHttpMetadata".into(),
        json!({ "AllHttpHeaders": lists, "HttpHeaders": single, "HttpStatusCode": status }),
    );
    answer.insert("SdkResponseMetadata".into(), json!({ "RequestId": request_id }));
    Value::Object(answer)
}

/// The answer of an optimised call of a JSON service.
pub(super) fn optimised(answer: Value) -> Value {
    let request_id = Uuid::new_v4().to_string();
    let headers = [
        ("x-amzn-RequestId", request_id.clone()),
        ("connection", "keep-alive".into()),
        ("Content-Length", answer.to_string().len().to_string()),
        ("Date", chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ("Content-Type", "application/x-amz-json-1.0".into()),
    ];
    with_metadata(answer, &request_id, 200, &headers)
}
