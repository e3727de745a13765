//! Lambda's REST calls: which action and function a path stands for.

use axum::http::Method;

use super::{Authorizer, Need};
use crate::{ApiError, Caller};

impl Authorizer {
    /// Whether a caller may make this call of Lambda's API.
    ///
    /// # Errors
    /// `AccessDeniedException`, or the path by name when it has no entry.
    pub(crate) fn check_lambda(
        &self,
        caller: &Caller,
        method: &Method,
        path: &str,
        query: Option<&str>,
    ) -> Result<(), ApiError> {
        if self.shared.is_none() || caller.role.is_none() {
            return Ok(());
        }
        let mut parts = path.trim_start_matches("/2015-03-31/").split('/').map(crate::lambda::decoded);
        let (kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let what = parts.next().unwrap_or_default();
        let action = match (method, kind.as_str(), name.as_str(), what.as_str()) {
            (&Method::GET, "functions", "", "") => "ListFunctions",
            (&Method::GET, "functions", _, "") => "GetFunction",
            (&Method::GET, "functions", _, "configuration") => "GetFunctionConfiguration",
            (&Method::POST, "functions", _, "invocations") => "InvokeFunction",
            (&Method::GET, "event-source-mappings", "", "") => "ListEventSourceMappings",
            (&Method::GET, "event-source-mappings", id, "") => {
                let mapping = self.arn("lambda", &format!("event-source-mapping:{id}"));
                let need = Need::new("lambda:GetEventSourceMapping", mapping);
                return self.check_all(caller, &[need]).map_err(|denied| denied.error("lambda"));
            }
            _ => return Err(ApiError::not_implemented("lambda", &format!("{method} {path}"))),
        };
        if name.is_empty() {
            let need = Need::new(format!("lambda:{action}"), "*");
            return self.check_all(caller, &[need]).map_err(|denied| denied.error("lambda"));
        }
        let qualifier = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .find(|(key, _)| key == "Qualifier")
            .map(|(_, value)| format!(":{value}"));
        self.check_function_call(caller, action, &format!("{name}{}", qualifier.unwrap_or_default()))
    }

    /// Whether a caller may do this to a function (by name or ARN). A version or alias is a resource of its own, `$LATEST`
    /// is the function's.
    ///
    /// # Errors
    /// `AccessDeniedException`.
    pub(crate) fn check_function_call(&self, caller: &Caller, action: &str, function: &str) -> Result<(), ApiError> {
        let mut resource = self.function_arn(function);
        let name = function.rsplit_once("function:").map_or(function, |(_, name)| name);
        if let Some((_, qualifier)) = name.split_once(':').filter(|(_, qualifier)| *qualifier != "$LATEST") {
            resource = format!("{resource}:{qualifier}");
        }
        let need = Need::new(format!("lambda:{action}"), resource);
        self.check_all(caller, &[need]).map_err(|denied| denied.error("lambda"))
    }
}
