//! How a function answers CloudFormation: one place for every custom resource. CloudFormation hears nothing of what a
//! function raises; an answer that could not be delivered is raised all the same, so that Lambda calls again.

use serde_json::{Value, json};
use statement::Error;
use statement::ports::Responses;
use statement::resource::{ResourceRequest, Verdict, answer};

use crate::responses::ResponseUrls;

/// The way to CloudFormation.
#[must_use]
pub fn response_urls() -> impl Responses {
    ResponseUrls
}

/// Delivers what a request came to; what the function then says to Lambda.
///
/// # Errors
/// [`Error`] if nobody could be reached: the same request again is safe, its answer is the same.
pub async fn deliver(responses: &dyn Responses, request: &ResourceRequest, verdict: &Verdict) -> Result<Value, Error> {
    responses.put(&request.response_url, &answer(&request.resource, verdict)).await?;
    let status = match verdict {
        Verdict::Success(_) => "SUCCESS",
        Verdict::Failed(_) => "FAILED",
    };
    tracing::info!(logical_id = request.resource.logical_id, status, "custom resource answered");
    Ok(json!({"answered": status}))
}
