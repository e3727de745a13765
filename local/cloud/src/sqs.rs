//! SQS: standard queues in memory with visibility timeouts, receive counts, delays, retention and dead letter queues.
//!
//! Nothing polls: a receiver waits for a notification or for the next moment at which a message becomes visible. All
//! waiting follows tokio's clock.

use async_trait::async_trait;
use serde_json::Value;

use crate::gateway::service::Service;
use crate::trace::Trace;
use crate::{ApiError, Caller};

/// The queues; clones share them.
#[derive(Clone)]
pub struct Sqs {}

impl Sqs {
    /// No queues yet. Queue URLs begin with `endpoint`, such as `http://127.0.0.1:4566`.
    pub fn new(_endpoint: &str, _region: &str, _trace: Trace) -> Self {
        Self {}
    }

    /// Creates the queue of an `AWS::SQS::Queue` with these resolved properties under this name. The dead letter queue
    /// that it names may be created later.
    ///
    /// # Errors
    /// An unknown property by name, or a value that SQS refuses.
    pub fn create_queue(&self, _name: &str, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("sqs", "create_queue"))
    }

    /// Accepts an `AWS::SQS::QueuePolicy`: its queues must exist, the policy is not evaluated.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown queue.
    pub fn queue_policy(&self, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("sqs", "queue_policy"))
    }

    /// The URL of a queue of this name, whether it exists or not.
    pub fn url(&self, _name: &str) -> String {
        String::new()
    }

    /// Sends a message in process to a queue (by name, URL or ARN) and answers with its id.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, `InvalidMessageContents`.
    pub fn send(&self, _queue: &str, _body: &str) -> Result<String, ApiError> {
        Err(ApiError::not_implemented("sqs", "send"))
    }
}

#[async_trait]
impl Service for Sqs {
    async fn call(&self, operation: &str, _caller: &Caller, _body: Value) -> Result<Value, ApiError> {
        Err(ApiError::not_implemented("sqs", operation))
    }
}
