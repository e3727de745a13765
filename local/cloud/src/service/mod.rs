//! What the service modules share: the shape of a JSON service, the reader of resolved CloudFormation properties, the
//! clock.
//!
//! Knows no service. Nothing here may hold state.

mod clock;
mod properties;

use async_trait::async_trait;
use serde_json::Value;

use crate::{ApiError, Caller};

pub use clock::Clock;
pub(crate) use properties::{Properties, json_document};

/// A service that is called by the name of an operation with one JSON body: what all of AWS's JSON protocols are below
/// the headers. The gateway, the task runner of Step Functions and tests call it the same way.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers `operation` (the name after the dot of `X-Amz-Target`).
    ///
    /// # Errors
    /// The service's own error. An operation that exists at AWS but not here is refused by
    /// [`ApiError::not_implemented`], an operation that AWS does not know by `UnknownOperationException`.
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError>;
}

/// The answer to an operation that this service does not have.
pub(crate) fn unknown_operation(service: &str, operation: &str) -> ApiError {
    ApiError::not_implemented(service, operation)
}
