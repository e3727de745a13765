//! A service behind its policies: what callers in process and the gateway get to see of it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{Authorizer, operations, redshift};
use crate::service::Service;
use crate::{ApiError, Caller};

/// A service that is asked only what its caller may.
pub(crate) struct Guarded {
    name: &'static str,
    inner: Arc<dyn Service>,
    authorizer: Authorizer,
}

impl Guarded {
    /// `name` is the service's among those of the local cloud, such as `redshift-data`.
    pub(crate) fn service(name: &'static str, inner: Arc<dyn Service>, authorizer: &Authorizer) -> Arc<dyn Service> {
        Arc::new(Self { name, inner, authorizer: authorizer.clone() })
    }
}

#[async_trait]
impl Service for Guarded {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.authorizer.check_call(self.name, operation, caller, &body)?;
        if let Some((resource, policy)) = self.authorizer.policy_in(self.name, operation, &body)? {
            let answer = self.inner.call(operation, caller, body).await?;
            self.authorizer.put_resource_policy(&format!("policy of {resource}"), &[resource], Some(&policy))?;
            return Ok(answer);
        }
        if self.name != "redshift-data" {
            return self.inner.call(operation, caller, body).await;
        }
        let asked = redshift::Asked::of(&body);
        let answer = self.inner.call(operation, caller, body).await?;
        self.authorizer.note_statement(caller, &asked, &answer);
        Ok(answer)
    }
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer").field("enforcing", &self.shared.is_some()).finish()
    }
}

impl states::Authority for Authorizer {
    fn check(&self, role_arn: &str, operation: &str, body: &Value) -> Result<(), states::ApiError> {
        let caller = Caller::assumed(role_arn, "StepFunctions");
        self.check_call("states", operation, &caller, body).map_err(|error| states::ApiError {
            code: error.code,
            status: error.status,
            message: error.message,
            extra: error.extra,
        })
    }
}

impl Authorizer {
    /// Whether a caller may make this call of a JSON or query service.
    ///
    /// # Errors
    /// The service's denial, or the operation by name when it has no entry.
    pub(crate) fn check_call(
        &self,
        service: &str,
        operation: &str,
        caller: &Caller,
        body: &Value,
    ) -> Result<(), ApiError> {
        if self.shared.is_none() || caller.role.is_none() {
            return Ok(());
        }
        let needs = match service {
            "redshift-data" => self.redshift_needs(operation, caller, body),
            _ => operations::needs(self, service, operation, body),
        };
        let needs = needs.ok_or_else(|| ApiError::not_implemented(service, operation))?;
        self.check_all(caller, &needs).map_err(|denied| denied.error(service))
    }
}
