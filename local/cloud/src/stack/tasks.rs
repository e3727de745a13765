//! Carries out what Task states call: Lambda functions.
//!
//! Requests and results carry task tokens; nothing of them is logged.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::ApiError;
use crate::lambda::{Invocation, InvocationType, Lambda};
use crate::stepfunctions::{TaskFailure, TaskResource, TaskRunner};

/// The calls of all state machines.
pub(super) struct Tasks {
    lambda: Lambda,
}

impl Tasks {
    pub(super) fn new(lambda: Lambda) -> Self {
        Self { lambda }
    }
}

#[async_trait]
impl TaskRunner for Tasks {
    async fn run(&self, _role_arn: &str, resource: &TaskResource, request: Value) -> Result<Value, TaskFailure> {
        if let Some(function) = &resource.function {
            // The older form: the state's input is the event, the answer is the result.
            let invocation = invoke(&self.lambda, function, InvocationType::RequestResponse, &request).await?;
            return Ok(parsed(&invocation.payload));
        }
        match (resource.service.as_str(), resource.action.as_str()) {
            ("lambda", "invoke") => self.lambda_invoke(request).await,
            (service, action) => Err(TaskFailure {
                error: "States.TaskFailed".into(),
                cause: Some(format!("{service}:{action} is not implemented by the local cloud ({})", resource.arn)),
            }),
        }
    }
}

impl Tasks {
    async fn lambda_invoke(&self, request: Value) -> Result<Value, TaskFailure> {
        let mut request = match request {
            Value::Object(request) => request,
            _ => Map::new(),
        };
        let Some(Value::String(function)) = request.remove("FunctionName") else {
            return Err(invalid("FunctionName is missing or is not text"));
        };
        let function = match request.remove("Qualifier") {
            Some(Value::String(qualifier)) => format!("{function}:{qualifier}"),
            _ => function,
        };
        let kind = match request.remove("InvocationType").as_ref().map(|kind| kind.as_str().unwrap_or_default()) {
            None | Some("RequestResponse") => InvocationType::RequestResponse,
            Some("Event") => InvocationType::Event,
            Some("DryRun") => InvocationType::DryRun,
            Some(other) => return Err(invalid(&format!("InvocationType {other:?} does not exist"))),
        };
        let payload = request.remove("Payload").unwrap_or_else(|| json!({}));
        if let Some(name) = request.keys().next() {
            return Err(invalid(&format!("{name} is not implemented by the local cloud")));
        }
        let invocation = invoke(&self.lambda, &function, kind, &payload).await?;
        Ok(response(&invocation))
    }
}

/// Invokes, and turns both kinds of failure into what a state sees: the service's refusal, and the function's error.
async fn invoke(
    lambda: &Lambda,
    function: &str,
    kind: InvocationType,
    payload: &Value,
) -> Result<Invocation, TaskFailure> {
    let invocation = lambda.invoke(function, kind, Bytes::from(payload.to_string())).await.map_err(refused)?;
    if invocation.function_error.is_none() {
        return Ok(invocation);
    }
    let error = parsed(&invocation.payload);
    let name = error.get("errorType").and_then(Value::as_str).unwrap_or("Lambda.Unknown");
    Err(TaskFailure { error: name.to_owned(), cause: Some(String::from_utf8_lossy(&invocation.payload).into_owned()) })
}

/// What the optimised integration returns for `lambda:invoke`.
fn response(invocation: &Invocation) -> Value {
    let headers = json!({
        "Content-Type": "application/json",
        "X-Amz-Executed-Version": "$LATEST",
        "x-amzn-RequestId": invocation.request_id,
    });
    let lists: Map<String, Value> =
        headers.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), json!([value]))).collect();
    let mut response = json!({
        "ExecutedVersion": "$LATEST",
        "SdkHttpMetadata": {
            "AllHttpHeaders": lists,
            "HttpHeaders": headers,
            "HttpStatusCode": invocation.status,
        },
        "SdkResponseMetadata": {"RequestId": invocation.request_id},
        "StatusCode": invocation.status,
    });
    if !invocation.payload.is_empty() {
        response["Payload"] = parsed(&invocation.payload);
    }
    response
}

fn parsed(payload: &Bytes) -> Value {
    // A function that writes something else than JSON is shown as text, as the integration does.
    serde_json::from_slice(payload).unwrap_or_else(|_| json!(String::from_utf8_lossy(payload)))
}

fn refused(error: ApiError) -> TaskFailure {
    TaskFailure {
        error: format!("Lambda.{}", error.code),
        cause: Some(format!("{} (Service: Lambda, Status Code: {})", error.message, error.status)),
    }
}

fn invalid(problem: &str) -> TaskFailure {
    TaskFailure { error: "States.Runtime".into(), cause: Some(format!("lambda:invoke: {problem}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_lambda_invoke_has_the_shape_of_aws() {
        let invocation = Invocation {
            status: 200,
            function_error: None,
            payload: Bytes::from_static(b"{\"a\":1}"),
            request_id: "r-1".into(),
            log: Vec::new(),
        };
        let result = response(&invocation);
        assert_eq!(result["Payload"], json!({"a": 1}));
        assert_eq!(result["ExecutedVersion"], "$LATEST");
        assert_eq!(result["StatusCode"], 200);
        assert_eq!(result["SdkResponseMetadata"]["RequestId"], "r-1");
        assert_eq!(result["SdkHttpMetadata"]["AllHttpHeaders"]["x-amzn-RequestId"], json!(["r-1"]));
    }

    #[test]
    fn a_refusal_of_the_service_is_named_after_it() {
        let failure = refused(ApiError::new(429, "TooManyRequestsException", "Rate Exceeded."));
        assert_eq!(failure.error, "Lambda.TooManyRequestsException");
        assert_eq!(failure.cause.as_deref(), Some("Rate Exceeded. (Service: Lambda, Status Code: 429)"));
    }
}
