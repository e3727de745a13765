//! Carries out what Task states call: functions, and the services of the stack by optimised and by `aws-sdk:`
//! integrations.
//!
//! Requests and results carry task tokens; nothing of them is logged. Must never answer for a service that is not
//! there: a call that the local cloud does not have fails by name, and nothing catches that.

mod functions;
mod integration;
mod json;
mod s3;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::lambda::Lambda;
use crate::s3::Buckets;
use crate::service::Service;
use crate::stepfunctions::{Pattern, TaskFailure, TaskResource, TaskRunner};
use crate::{ApiError, Caller, sqs};
use functions::Functions;
use integration::{Integration, SERVICES, not_here, older_failure, sdk_failure};

/// The name of the sessions in which state machines assume their roles.
const SESSION: &str = "StepFunctions";

/// The calls of all state machines.
pub(super) struct Tasks {
    functions: Functions,
    s3: Buckets,
    /// Not owned: among them are services that hold on to the machines whose calls these are.
    services: OnceLock<BTreeMap<&'static str, Weak<dyn Service>>>,
}

impl Tasks {
    pub(super) fn new(lambda: Lambda, s3: Buckets) -> Self {
        Self { functions: Functions::new(lambda), s3, services: OnceLock::new() }
    }

    /// Makes the services known, once all of them exist. Until then calls of them fail.
    pub(super) fn connect(&self, services: &BTreeMap<&'static str, Arc<dyn Service>>) {
        let weak = services.iter().map(|(name, service)| (*name, Arc::downgrade(service))).collect();
        // A second time would be the same services.
        let _ = self.services.set(weak);
    }

    fn s3<'a>(&'a self, caller: &'a Caller) -> s3::Access<'a> {
        s3::Access { authorizer: self.functions.authorizer(), caller, buckets: &self.s3 }
    }

    fn service(&self, name: &str) -> Option<Arc<dyn Service>> {
        self.services.get()?.get(name)?.upgrade()
    }
}

#[async_trait]
impl TaskRunner for Tasks {
    async fn run(&self, role_arn: &str, resource: &TaskResource, request: Value) -> Result<Value, TaskFailure> {
        if let Some(function) = &resource.function {
            return self.functions.by_arn(&Caller::assumed(role_arn, SESSION), function, &request).await;
        }
        let (service, action) = (resource.service.as_str(), resource.action.as_str());
        if matches!(resource.pattern, Pattern::Sync | Pattern::Sync2) {
            return Err(not_here(&resource.arn));
        }
        let caller = Caller::assumed(role_arn, SESSION);
        match service.strip_prefix("aws-sdk:") {
            Some("s3") => s3::call(self.s3(&caller), action, &request, s3::Bodies::Json).await,
            Some("lambda") => self.functions.sdk(&caller, action, &request).await,
            Some(name) => match SERVICES.iter().find(|known| known.sdk == name) {
                Some(integration) => self.sdk(integration, action, &caller, &request).await,
                None => Err(not_here(&resource.arn)),
            },
            // The reader and the writer of a distributed Map.
            None if service == "s3" => s3::call(self.s3(&caller), action, &request, s3::Bodies::Plain).await,
            None if (service, action) == ("lambda", "invoke") => self.functions.invoke(&caller, request).await,
            None => {
                let known = SERVICES.iter().find(|known| known.optimised.0 == service);
                match known.filter(|known| known.optimised.1.contains(&action)) {
                    Some(integration) => self.optimised(integration, action, &caller, &request).await,
                    None => Err(not_here(&resource.arn)),
                }
            }
        }
    }
}

impl Tasks {
    async fn sdk(
        &self,
        integration: &Integration,
        action: &str,
        caller: &Caller,
        request: &Value,
    ) -> Result<Value, TaskFailure> {
        let answer = self.call(integration, action, caller, request).await?;
        let answer = answer.map_err(|error| sdk_failure(integration.prefix, integration.modelled, &error))?;
        Ok(json::answer(integration, answer))
    }

    async fn optimised(
        &self,
        integration: &Integration,
        action: &str,
        caller: &Caller,
        request: &Value,
    ) -> Result<Value, TaskFailure> {
        let failed = |error: &ApiError, code: &str| older_failure(integration.older, integration.modelled, error, code);
        if action == "sendMessage" && request.get("MessageBody").is_none_or(Value::is_null) {
            let text = "The request must contain the parameter MessageBody.";
            let code = "MissingParameter";
            return Err(failed(&ApiError::new(400, code, text), code));
        }
        let answer = self.call(integration, action, caller, request).await?;
        let answer = answer.map_err(|error| {
            let code = match integration.service {
                "sqs" => sqs::query_error(&error.code),
                _ => error.code.clone(),
            };
            failed(&error, &code)
        })?;
        // Entries that the bus refused fail the whole task, as recorded.
        if action == "putEvents" && answer.get("FailedEntryCount").is_some_and(|count| *count != json!(0)) {
            let cause = json!({ "Entries": answer["Entries"], "FailedEntryCount": answer["FailedEntryCount"] });
            return Err(TaskFailure { error: "EventBridge.FailedEntry".into(), cause: Some(cause.to_string()) });
        }
        Ok(json::optimised(answer))
    }

    /// The outer error: there is no such service or operation here. The inner one: the service refused.
    async fn call(
        &self,
        integration: &Integration,
        action: &str,
        caller: &Caller,
        request: &Value,
    ) -> Result<Result<Value, ApiError>, TaskFailure> {
        let operation = json::upper(action);
        let Some(service) = self.service(integration.service) else {
            return Err(not_here(&format!("{}: {operation}", integration.service)));
        };
        match service.call(&operation, caller, json::request(integration, request)).await {
            Err(error) if error.code == "NotImplemented" => {
                Err(TaskFailure { error: "States.Runtime".into(), cause: Some(error.message) })
            }
            ended => Ok(ended),
        }
    }
}

#[cfg(test)]
mod tests;
