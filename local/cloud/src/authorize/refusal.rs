//! Denials in AWS's words (IAM guide, "Troubleshoot access denied error messages"), and as each service's error.

use iam::Reason;

use super::Denied;
use crate::ApiError;

impl Denied {
    /// `User: ARN is not authorized to perform: ACTION on resource: ARN because …`
    pub fn message(&self) -> String {
        self.worded(&self.action, &self.resource)
    }

    fn worded(&self, action: &str, resource: &str) -> String {
        let principal = &self.principal;
        let start = format!("User: {principal} is not authorized to perform: {action} on resource: {resource}");
        match &self.reason {
            Reason::Implicit { kind } => format!("{start} because no {kind} allows the {action} action"),
            Reason::Explicit { kind, .. } => {
                let article = if kind.starts_with('i') { "an" } else { "a" };
                format!("{start} with an explicit deny in {article} {kind}")
            }
        }
    }

    /// The error of this service.
    pub(crate) fn error(&self, service: &str) -> ApiError {
        if self.on_key {
            return self.key_error(service);
        }
        match service {
            // SQS writes the action in lower case.
            "sqs" => {
                let action = self.action.to_lowercase();
                ApiError::new(403, "AccessDenied", self.worded(&action, &self.resource))
            }
            "sns" => {
                let action = self.action.replacen("sns:", "SNS:", 1);
                ApiError::new(403, "AuthorizationError", self.worded(&action, &self.resource))
            }
            "s3" => {
                let quoted = format!("\"{}\"", self.resource);
                ApiError::new(403, "AccessDenied", self.worded(&self.action, &quoted))
            }
            "lambda" => ApiError::new(403, "AccessDeniedException", self.message()),
            // Data API reference, common errors.
            "redshift-data" => ApiError::new(403, "AccessDeniedException", self.message()),
            _ => ApiError::new(400, "AccessDeniedException", self.message()),
        }
    }

    /// A service that may not use the key in the caller's name.
    fn key_error(&self, service: &str) -> ApiError {
        let text = self.message();
        let whole = format!("{text} (Service: Kms, Status Code: 400, Error Code: AccessDeniedException)");
        match service {
            "sqs" => ApiError::new(400, "KmsAccessDenied", text),
            "sns" => ApiError::new(400, "KMSAccessDenied", whole),
            "s3" => ApiError::new(403, "AccessDenied", text),
            "dynamodb" => ApiError::new(400, "AccessDeniedException", format!("KMS key access denied error: {whole}")),
            _ => ApiError::new(400, "AccessDeniedException", whole),
        }
    }
}
