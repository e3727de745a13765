//! From the SDK's errors to what they mean: was it done, was it refused, does nobody know.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use statement::ports::{Failure, FailureKind};

/// A failure of ours, without a service's answer.
pub(crate) fn ours(service: &'static str, kind: FailureKind, code: &str, message: impl Into<String>) -> Failure {
    Failure { service, kind, code: code.to_owned(), message: message.into() }
}

/// Reads an SDK's error. The SDK has repeated what may be repeated already.
pub(crate) fn of<E: ProvideErrorMetadata>(service: &'static str, error: &SdkError<E, HttpResponse>) -> Failure {
    let code = error.code().unwrap_or_default().to_owned();
    match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let message = error.message().unwrap_or_default().to_owned();
            let kind = kind(&code, status);
            let code = if code.is_empty() { format!("HTTP {status}") } else { code };
            Failure { service, kind, code, message }
        }
        // No connection: nothing was sent. Everything else of the transport may have reached the service.
        SdkError::DispatchFailure(dispatch) if dispatch.is_user() => {
            ours(service, FailureKind::Refused, "request", "the request could not be built")
        }
        SdkError::DispatchFailure(dispatch) if dispatch.as_connector_error().is_some_and(not_connected) => {
            ours(service, FailureKind::Unavailable, "connection", "no connection")
        }
        SdkError::ConstructionFailure(_) => {
            ours(service, FailureKind::Refused, "request", "the request could not be built")
        }
        SdkError::TimeoutError(_) => ours(service, FailureKind::Unknown, "timeout", "no answer in time"),
        _ => ours(service, FailureKind::Unknown, "transport", "the connection broke or the answer was unreadable"),
    }
}

fn not_connected(error: &aws_smithy_runtime_api::client::result::ConnectorError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && matches!(
                io.kind(),
                std::io::ErrorKind::ConnectionRefused
                    | std::io::ErrorKind::HostUnreachable
                    | std::io::ErrorKind::NetworkUnreachable
            )
        {
            return true;
        }
        source = inner.source();
    }
    false
}

fn kind(code: &str, status: u16) -> FailureKind {
    match code {
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "KmsThrottlingException"
        | "SlowDown"
        | "RequestThrottled"
        | "LimitExceededException" => FailureKind::Throttled,
        "ResourceNotFoundException"
        | "NotFoundException"
        | "NoSuchKey"
        | "NoSuchBucket"
        | "ExecutionDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue" => FailureKind::NotFound,
        "AccessDeniedException"
        | "AccessDenied"
        | "KmsAccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch" => FailureKind::Denied,
        "ServiceUnavailable" | "ServiceUnavailableException" => FailureKind::Unavailable,
        _ => match status {
            429 => FailureKind::Throttled,
            503 => FailureKind::Unavailable,
            500.. => FailureKind::Unknown,
            401 | 403 => FailureKind::Denied,
            _ => FailureKind::Refused,
        },
    }
}
