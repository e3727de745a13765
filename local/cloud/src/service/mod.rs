//! What the service modules share: the shape of a JSON service, the readers of requests and of resolved CloudFormation
//! properties, the clock.
//!
//! Knows no service. Nothing here may hold state.

mod clock;
mod properties;
mod request;

use async_trait::async_trait;
use serde_json::Value;

use crate::{ApiError, Caller};

pub use clock::Clock;
pub(crate) use properties::{Properties, json_document};
pub(crate) use request::Request;

/// A service that is called by the name of an operation with one JSON body: what all of AWS's JSON protocols are below
/// the headers. The gateway, the task runner of Step Functions and tests call it the same way.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers `operation` (the name after the dot of `X-Amz-Target`).
    ///
    /// # Errors
    /// The service's own error. An operation or a member that is not implemented here is refused by
    /// [`ApiError::not_implemented`], which names it.
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError>;
}
