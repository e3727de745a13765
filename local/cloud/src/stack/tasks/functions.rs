//! Lambda from a state: a function named by its ARN, `lambda:invoke`, and `aws-sdk:lambda:…`.
//!
//! The three differ in what they make of a function's error: the older form gives its text as the function wrote it,
//! `lambda:invoke` writes it anew without blanks, and the SDK's call succeeds with a `FunctionError`; all as recorded.

use axum::body::to_bytes;
use axum::http::{HeaderMap, HeaderValue, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::integration::{not_here, older_failure, sdk_failure};
use super::json::with_metadata;
use crate::authorize::Authorizer;
use crate::lambda::{self, Invocation, InvocationType, Lambda};
use crate::stepfunctions::TaskFailure;
use crate::{ApiError, Caller};

/// Errors that have a class in the SDK.
const MODELLED: [&str; 14] = [
    "EC2AccessDeniedException",
    "InvalidParameterValueException",
    "InvalidRequestContentException",
    "KMSAccessDeniedException",
    "RecursiveInvocationException",
    "RequestTooLargeException",
    "ResourceConflictException",
    "ResourceNotFoundException",
    "ResourceNotReadyException",
    "ServiceException",
    "SnapStartException",
    "SnapStartNotReadyException",
    "TooManyRequestsException",
    "UnsupportedMediaTypeException",
];

/// The service's name in errors, and in causes of the optimised integration.
const NAMES: (&str, &str) = ("Lambda", "AWSLambda");

/// The longest log tail of an answer, in bytes ("Invoke": the last 4 KB).
const TAIL: usize = 4096;
/// The longest answer of the API that is not an invocation.
const LARGEST_ANSWER: usize = 1 << 20;

/// The functions, as states call them.
pub(super) struct Functions {
    lambda: Lambda,
}

/// The parameters of an invocation.
struct Call {
    function: String,
    kind: InvocationType,
    tail: bool,
    payload: Option<Value>,
}

impl Functions {
    pub(super) fn new(lambda: Lambda) -> Self {
        Self { lambda }
    }

    /// Who may call them.
    pub(super) fn authorizer(&self) -> &Authorizer {
        self.lambda.authorizer()
    }

    fn check(&self, caller: &Caller, action: &str, function: &str) -> Result<(), ApiError> {
        self.authorizer().check_function_call(caller, action, function)
    }

    /// The older form: the state's input is the event, the function's answer is the result.
    pub(super) async fn by_arn(&self, caller: &Caller, function: &str, input: &Value) -> Result<Value, TaskFailure> {
        let allowed = self.check(caller, "InvokeFunction", function);
        allowed.map_err(|error| older_failure(NAMES, &MODELLED, &error, &error.code))?;
        let payload = Bytes::from(input.to_string());
        let invocation = self.lambda.invoke(function, InvocationType::RequestResponse, payload).await;
        let invocation = invocation.map_err(|error| older_failure(NAMES, &MODELLED, &error, &error.code))?;
        match invocation.function_error {
            None => Ok(parsed(&invocation.payload)),
            Some(_) => Err(raised(&invocation.payload, String::from_utf8_lossy(&invocation.payload).into_owned())),
        }
    }

    /// `lambda:invoke`.
    pub(super) async fn invoke(&self, caller: &Caller, request: Value) -> Result<Value, TaskFailure> {
        let call = Call::read(request, "lambda:invoke")?;
        let allowed = self.check(caller, "InvokeFunction", &call.function);
        allowed.map_err(|error| older_failure(NAMES, &MODELLED, &error, &error.code))?;
        let payload = call.payload.as_ref().filter(|payload| !payload.is_null());
        let payload = payload.map(|payload| Bytes::from(payload.to_string())).unwrap_or_default();
        let invocation = self.lambda.invoke(&call.function, call.kind, payload).await;
        let invocation = invocation.map_err(|error| older_failure(NAMES, &MODELLED, &error, &error.code))?;
        if invocation.function_error.is_some() {
            let cause = match serde_json::from_slice::<Value>(&invocation.payload) {
                Ok(error) => error.to_string(),
                Err(_) => String::from_utf8_lossy(&invocation.payload).into_owned(),
            };
            return Err(raised(&invocation.payload, cause));
        }
        let mut answer = answer(&call, &invocation);
        if !invocation.payload.is_empty() {
            answer.insert("Payload".into(), parsed(&invocation.payload));
        }
        let headers = [
            ("Content-Type", "application/json".to_owned()),
            ("X-Amz-Executed-Version", "$LATEST".into()),
            ("x-amzn-RequestId", invocation.request_id.clone()),
            ("Content-Length", invocation.payload.len().to_string()),
        ];
        Ok(with_metadata(Value::Object(answer), &invocation.request_id, invocation.status, &headers))
    }

    /// `aws-sdk:lambda:…`.
    pub(super) async fn sdk(&self, caller: &Caller, action: &str, request: &Value) -> Result<Value, TaskFailure> {
        let refused = |error: ApiError| sdk_failure(NAMES.0, &MODELLED, &error);
        if action == "invoke" {
            let call = Call::read(request.clone(), "aws-sdk:lambda:invoke")?;
            self.check(caller, "InvokeFunction", &call.function).map_err(refused)?;
            let payload = call.payload.as_ref().map(|payload| Bytes::from(payload.to_string())).unwrap_or_default();
            let invocation = self.lambda.invoke(&call.function, call.kind, payload).await.map_err(refused)?;
            let mut answer = answer(&call, &invocation);
            if let Some(error) = &invocation.function_error {
                answer.insert("FunctionError".into(), error.as_str().into());
            }
            answer.insert("Payload".into(), String::from_utf8_lossy(&invocation.payload).into());
            return Ok(Value::Object(answer));
        }
        let path = match action {
            "listFunctions" => String::new(),
            "getFunction" => format!("/{}", name_of(request)?),
            "getFunctionConfiguration" => format!("/{}/configuration", name_of(request)?),
            other => return Err(not_here(&format!("aws-sdk:lambda:{other}"))),
        };
        let path = format!("/2015-03-31/functions{path}");
        self.authorizer().check_lambda(caller, &Method::GET, &path, None).map_err(refused)?;
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("application/json"));
        let (_, answered) = lambda::answer(&self.lambda, &Method::GET, &path, None, &headers, Bytes::new()).await;
        let body = answered.map_err(refused)?.into_body();
        let body = to_bytes(body, LARGEST_ANSWER).await;
        let body = body.map_err(|error| refused(ApiError::new(500, "ServiceException", error.to_string())))?;
        Ok(parsed(&body))
    }
}

/// The function of a call that only names one.
fn name_of(request: &Value) -> Result<&str, TaskFailure> {
    let members = request.as_object().into_iter().flatten();
    if let Some((unknown, _)) = members.into_iter().find(|(name, _)| *name != "FunctionName") {
        return Err(not_here(&format!("aws-sdk:lambda: {unknown}")));
    }
    request.get("FunctionName").and_then(Value::as_str).ok_or_else(|| invalid("FunctionName is missing or is not text"))
}

impl Call {
    fn read(request: Value, what: &str) -> Result<Self, TaskFailure> {
        let mut request = match request {
            Value::Object(request) => request,
            _ => Map::new(),
        };
        let mut text = |name: &str| match request.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(&format!("{name} is not text"))),
        };
        let function = text("FunctionName")?.ok_or_else(|| invalid("FunctionName is missing"))?;
        // Recorded: what is not found is named with the version that was looked for.
        let qualifier = text("Qualifier")?.unwrap_or_else(|| "$LATEST".into());
        let qualified = function.rsplit("function:").next().is_some_and(|name| name.contains(':'));
        let function = if qualified { function } else { format!("{function}:{qualifier}") };
        let kind = match text("InvocationType")?.as_deref() {
            None | Some("RequestResponse") => InvocationType::RequestResponse,
            Some("Event") => InvocationType::Event,
            Some("DryRun") => InvocationType::DryRun,
            Some(other) => return Err(invalid(&format!("InvocationType {other:?} does not exist"))),
        };
        let tail = text("LogType")?.as_deref() == Some("Tail");
        let payload = request.remove("Payload");
        match request.keys().next() {
            Some(name) => Err(not_here(&format!("{what}: {name}"))),
            None => Ok(Self { function, kind, tail, payload }),
        }
    }
}

/// What both forms of `invoke` answer, without the payload.
fn answer(call: &Call, invocation: &Invocation) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("ExecutedVersion".into(), "$LATEST".into());
    if call.tail {
        let log = invocation.log.join("\n") + "\n";
        let from = (log.len().saturating_sub(TAIL)..log.len()).find(|at| log.is_char_boundary(*at));
        answer.insert("LogResult".into(), STANDARD.encode(&log[from.unwrap_or_default()..]).into());
    }
    answer.insert("StatusCode".into(), invocation.status.into());
    answer
}

/// A function's error: its `errorType` is the state's error.
fn raised(payload: &Bytes, cause: String) -> TaskFailure {
    let error = parsed(payload);
    let name = error.get("errorType").and_then(Value::as_str).unwrap_or("Lambda.Unknown");
    TaskFailure { error: name.to_owned(), cause: Some(cause) }
}

/// A function that writes something else than JSON is shown as text, as the integration does.
fn parsed(payload: &Bytes) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|_| json!(String::from_utf8_lossy(payload)))
}

fn invalid(problem: &str) -> TaskFailure {
    TaskFailure { error: "States.Runtime".into(), cause: Some(format!("lambda:invoke: {problem}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_s_error_is_named_by_its_type() {
        let payload = Bytes::from_static(b"{\"errorMessage\": \"no\", \"errorType\": \"Colour.Wrong\"}");
        let failure = raised(&payload, "text".into());
        assert_eq!((failure.error.as_str(), failure.cause.as_deref()), ("Colour.Wrong", Some("text")));
        assert_eq!(raised(&Bytes::from_static(b"gone"), String::new()).error, "Lambda.Unknown");
    }

    #[test]
    fn parameters_are_read_or_refused_by_name() {
        let call = Call::read(json!({ "FunctionName": "f", "LogType": "Tail", "Payload": null }), "x").ok();
        let call = call.map(|call| (call.function, call.tail));
        assert_eq!(call, Some(("f:$LATEST".into(), true)));
        for (function, qualified) in [
            ("arn:aws:lambda:us-east-1:0:function:f", "arn:aws:lambda:us-east-1:0:function:f:$LATEST"),
            ("arn:aws:lambda:us-east-1:0:function:f:live", "arn:aws:lambda:us-east-1:0:function:f:live"),
            ("f:7", "f:7"),
        ] {
            let call = Call::read(json!({ "FunctionName": function }), "x").ok();
            assert_eq!(call.map(|call| call.function).as_deref(), Some(qualified));
        }
        for (request, problem) in [
            (json!({}), "FunctionName is missing"),
            (json!({ "FunctionName": "f", "ClientContext": "x" }), "ClientContext is not implemented"),
            (json!({ "FunctionName": "f", "InvocationType": "Later" }), "Later"),
        ] {
            let cause = Call::read(request, "lambda:invoke").err().and_then(|failure| failure.cause);
            assert!(cause.as_ref().is_some_and(|cause| cause.contains(problem)), "{cause:?}");
        }
    }
}
