//! DynamoDB: dynoxide on SQLite in memory, in process. Nothing is stored by code of ours.
//!
//! SQLite blocks, so every call runs on a blocking thread: a slow query must never stall the runtime.

use async_trait::async_trait;
use serde_json::Value;

use crate::gateway::service::Service;
use crate::{ApiError, Caller};

/// The tables; clones share them.
#[derive(Clone)]
pub struct DynamoDb {}

impl DynamoDb {
    /// No tables yet.
    ///
    /// # Errors
    /// When SQLite cannot open a database in memory.
    pub fn new() -> Result<Self, ApiError> {
        Ok(Self {})
    }

    /// Creates the table of an `AWS::DynamoDB::Table` with these resolved properties under this name.
    ///
    /// # Errors
    /// An unknown property, by name, or DynamoDB's own reason.
    pub async fn create_table(&self, _name: &str, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("dynamodb", "create_table"))
    }

    /// Deletes what expired, as the service does in the background, and says how many items went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_expired(&self) -> Result<usize, ApiError> {
        Err(ApiError::not_implemented("dynamodb", "sweep_expired"))
    }
}

#[async_trait]
impl Service for DynamoDb {
    async fn call(&self, operation: &str, _caller: &Caller, _body: Value) -> Result<Value, ApiError> {
        Err(ApiError::not_implemented("dynamodb", operation))
    }
}
