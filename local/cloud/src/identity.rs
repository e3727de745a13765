//! Who calls: credentials that each function environment gets, and the caller behind an access key.
//!
//! Signatures are not verified: everything here is on loopback and belongs to one person. A key that was not given out
//! here is the local user.

use serde_json::Value;

use crate::{ApiError, Caller};

/// Credentials of one function environment.
#[derive(Clone)]
pub struct Credentials {
    /// `ASIA…`
    pub access_key_id: String,
    /// The secret that belongs to it.
    pub secret_access_key: String,
    /// The session token that belongs to both.
    pub session_token: String,
}

/// The roles and the credentials given out; clones share them.
#[derive(Clone)]
pub struct Identity {}

impl Identity {
    /// Nobody but the local user.
    pub fn new() -> Self {
        Self {}
    }

    /// Creates an `AWS::IAM::Role` with these resolved properties under this ARN.
    ///
    /// # Errors
    /// An unknown property by name.
    pub fn create_role(&self, _arn: &str, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("iam", "create_role"))
    }

    /// New credentials for an environment of this function, which has assumed this role.
    pub fn issue(&self, _role: &str, _function: &str) -> Credentials {
        Credentials { access_key_id: String::new(), secret_access_key: String::new(), session_token: String::new() }
    }

    /// Forgets credentials, when the environment that had them is gone.
    pub fn revoke(&self, _access_key_id: &str) {}

    /// The caller behind an `Authorization` header, or the access key of a presigned URL.
    pub fn caller(&self, _authorization: Option<&str>) -> Caller {
        Caller::local_user()
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}
