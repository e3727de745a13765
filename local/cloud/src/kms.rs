//! KMS: keys in memory, AES-256-GCM, the encryption context bound to each ciphertext as additional data.
//!
//! A key never leaves this module but as the data keys that callers ask for.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;

use crate::gateway::service::Service;
use crate::{ApiError, Caller};

/// The keys; clones share them.
#[derive(Clone)]
pub struct Kms {}

impl Kms {
    /// No keys yet.
    pub fn new(_region: &str) -> Self {
        Self {}
    }

    /// Creates the key of an `AWS::KMS::Key` with these resolved properties under this key id.
    ///
    /// # Errors
    /// An unknown property by name.
    pub fn create_key(&self, _key_id: &str, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("kms", "create_key"))
    }

    /// Creates an `AWS::KMS::Alias`.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown key.
    pub fn create_alias(&self, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("kms", "create_alias"))
    }

    /// How often each operation was called, for tests that bound it.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}

#[async_trait]
impl Service for Kms {
    async fn call(&self, operation: &str, _caller: &Caller, _body: Value) -> Result<Value, ApiError> {
        Err(ApiError::not_implemented("kms", operation))
    }
}
