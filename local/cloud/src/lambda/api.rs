//! Lambda's REST API, as far as it is served: Invoke, GetFunction, GetFunctionConfiguration, ListFunctions,
//! GetEventSourceMapping, ListEventSourceMappings.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Function, InvocationType, Lambda};
use crate::ApiError;

/// The path of event source mappings.
const MAPPINGS: &str = "/2015-03-31/event-source-mappings";
/// The longest log tail that an answer carries (Invoke API reference: the last 4 KB).
const TAIL: usize = 4096;

/// Whether a path is one of Lambda's that are served.
pub(crate) fn is_path(path: &str) -> bool {
    path.starts_with("/2015-03-31/functions") || path.starts_with(MAPPINGS)
}

/// Answers a request for such a path, and with the operation's name for the trace.
pub(crate) async fn answer(
    lambda: &Lambda,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Bytes,
) -> (&'static str, Result<Response<Body>, ApiError>) {
    let parameter = |name: &str| {
        let found = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    };
    if let Some(rest) = path.strip_prefix(MAPPINGS) {
        return match (method, rest.trim_matches('/')) {
            (&Method::GET, "") => {
                let (source, function) = (parameter("EventSourceArn"), parameter("FunctionName"));
                ("ListEventSourceMappings", list_mappings(lambda, source.as_deref(), function.as_deref()))
            }
            (&Method::GET, id) => ("GetEventSourceMapping", get_mapping(lambda, id)),
            (method, _) => {
                let what = format!("{method} {MAPPINGS}");
                ("Unknown", Err(ApiError::not_implemented("lambda", &what)))
            }
        };
    }
    let rest = path.trim_start_matches("/2015-03-31/functions").trim_matches('/');
    let mut parts = rest.split('/').map(decoded);
    let (name, what) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Some(qualifier) = parameter("Qualifier")
        && qualifier != "$LATEST"
    {
        let text = format!("Function not found: {name}:{qualifier}");
        let error = ApiError::new(404, "ResourceNotFoundException", text).with("Type", "User");
        return ("Invoke", Err(error));
    }
    match (method, name.as_str(), what.as_str()) {
        (&Method::POST, name, "invocations") if !name.is_empty() => {
            ("Invoke", invoke(lambda, name, headers, body).await)
        }
        (&Method::GET, "", "") => {
            let functions: Vec<Value> =
                lambda.inner.functions().values().map(|function| configuration(function)).collect();
            ("ListFunctions", json_response(&json!({ "Functions": functions })))
        }
        (&Method::GET, name, "configuration") => (
            "GetFunctionConfiguration",
            lambda.inner.find(name).and_then(|found| json_response(&configuration(&found))),
        ),
        (&Method::GET, name, "") => (
            "GetFunction",
            lambda.inner.find(name).and_then(|found| {
                let location = json!({ "RepositoryType": "local", "Location": found.settings.program });
                json_response(&json!({ "Configuration": configuration(&found), "Code": location }))
            }),
        ),
        (method, _, what) => {
            let what = format!("{method} /2015-03-31/functions/…/{what}");
            ("Unknown", Err(ApiError::not_implemented("lambda", &what)))
        }
    }
}

fn list_mappings(lambda: &Lambda, source: Option<&str>, function: Option<&str>) -> Result<Response<Body>, ApiError> {
    let function = function.map(|name| lambda.inner.find(name)).transpose()?;
    let is = |described: &Value, name: &str, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| described.get(name).and_then(Value::as_str) == Some(wanted))
    };
    let arn = function.as_ref().map(|function| function.settings.arn.as_str());
    let mappings = lambda.inner.mappings();
    let shown = mappings.iter().map(|mapping| &mapping.described);
    let shown: Vec<&Value> =
        shown.filter(|one| is(one, "EventSourceArn", source) && is(one, "FunctionArn", arn)).collect();
    json_response(&json!({ "EventSourceMappings": shown }))
}

fn get_mapping(lambda: &Lambda, id: &str) -> Result<Response<Body>, ApiError> {
    let mappings = lambda.inner.mappings();
    match mappings.iter().find(|mapping| mapping.described.get("UUID").and_then(Value::as_str) == Some(id)) {
        Some(mapping) => json_response(&mapping.described),
        None => {
            let text = "The resource you requested does not exist.";
            Err(ApiError::new(404, "ResourceNotFoundException", text).with("Type", "User"))
        }
    }
}

async fn invoke(lambda: &Lambda, name: &str, headers: &HeaderMap, body: Bytes) -> Result<Response<Body>, ApiError> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = match header("x-amz-invocation-type") {
        None | Some("RequestResponse") => InvocationType::RequestResponse,
        Some("Event") => InvocationType::Event,
        Some("DryRun") => InvocationType::DryRun,
        Some(other) => {
            let text = format!("{other} is no invocation type");
            return Err(ApiError::new(400, "InvalidParameterValueException", text));
        }
    };
    let tail = header("x-amz-log-type") == Some("Tail");
    let invocation = lambda.invoke(name, kind, body).await?;
    let mut response = Response::builder()
        .status(invocation.status)
        .header("content-type", "application/json")
        .header("x-amzn-requestid", &invocation.request_id);
    if kind == InvocationType::RequestResponse {
        response = response.header("x-amz-executed-version", "$LATEST");
        if tail {
            let log = invocation.log.join("\n") + "\n";
            let from = (log.len().saturating_sub(TAIL)..log.len()).find(|at| log.is_char_boundary(*at));
            response = response.header("x-amz-log-result", STANDARD.encode(&log[from.unwrap_or_default()..]));
        }
    }
    if let Some(error) = &invocation.function_error {
        response = response.header("x-amz-function-error", error);
    }
    response.body(Body::from(invocation.payload)).map_err(|error| failure(&error))
}

fn configuration(function: &Function) -> Value {
    let settings = &function.settings;
    json!({
        "FunctionName": settings.name,
        "FunctionArn": settings.arn,
        "Description": settings.description,
        "Runtime": settings.runtime,
        "Role": settings.role,
        "Handler": settings.handler,
        "Timeout": settings.timeout.as_secs(),
        "MemorySize": settings.memory,
        "Version": "$LATEST",
        "PackageType": "Zip",
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "Environment": { "Variables": settings.environment },
        "LoggingConfig": { "LogGroup": settings.log_group, "LogFormat": "Text" },
    })
}

fn json_response(body: &Value) -> Result<Response<Body>, ApiError> {
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .map_err(|error| failure(&error))
}

fn failure(error: &axum::http::Error) -> ApiError {
    ApiError::new(500, "ServiceException", error.to_string())
}

/// A path segment without percent signs. One that is malformed stays as it is, and names no function.
pub(crate) fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let coded = (byte == b'%').then(|| tail.get(..2)).flatten();
        match coded.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
