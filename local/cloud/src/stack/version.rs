//! Versions of state machines: the one resource that a changed template replaces as a matter of course.
//!
//! Their number is only known when they are there, so that what refers to them is resolved again afterwards.

use serde_json::{Value, json};

use super::Parts;
use crate::template::{Attributes, Resource};
use crate::{ApiError, Caller};

/// The type.
pub(crate) const KIND: &str = "AWS::StepFunctions::StateMachineVersion";
/// The type of what it is a version of.
pub(crate) const MACHINE: &str = "AWS::StepFunctions::StateMachine";

/// Publishes a version and gives its ARN as the attributes.
pub(crate) async fn publish(parts: &Parts, resource: &Resource) -> Result<Attributes, ApiError> {
    let mut body = json!({"stateMachineArn": resource.properties.get("StateMachineArn")});
    if let Some(description) = resource.properties.get("Description") {
        body["description"] = description.clone();
    }
    let made = parts.states.call("PublishStateMachineVersion", &Caller::local_user(), body).await?;
    let arn = made.get("stateMachineVersionArn").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Attributes { reference: arn.clone(), values: [("Arn".to_owned(), arn)].into() })
}
