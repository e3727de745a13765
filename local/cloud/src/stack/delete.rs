//! One resource out of the service that has it. Afterwards nothing of it is left: no process, no schedule, no data.

use serde_json::{Value, json};

use super::{Parts, version};
use crate::service::Service as _;
use crate::template::{Resource, STACK};
use crate::{ApiError, Caller};

/// Removes the resource. One that is gone already is no error; one that holds data may refuse.
pub(crate) async fn delete(parts: &Parts, resource: &Resource) -> Result<(), ApiError> {
    take_out(parts, resource).await?;
    parts.identity.authorizer().remove(resource);
    Ok(())
}

async fn take_out(parts: &Parts, resource: &Resource) -> Result<(), ApiError> {
    let (name, properties) = (resource.name(), &resource.properties);
    match resource.kind.as_str() {
        "AWS::DynamoDB::Table" => {
            let deleted = parts.dynamodb.call("DeleteTable", &Caller::local_user(), json!({ "TableName": name })).await;
            return gone(deleted, "ResourceNotFoundException");
        }
        "AWS::KMS::Key" => parts.kms.delete_key(name),
        "AWS::KMS::Alias" => parts.kms.delete_alias(name),
        "AWS::S3::Bucket" => return parts.s3.delete_bucket(name).await,
        "AWS::SQS::Queue" => parts.sqs.delete_queue(name),
        "AWS::SQS::QueuePolicy" => parts.sqs.delete_queue_policy(properties),
        "AWS::Lambda::Function" => parts.lambda.delete_function(name).await,
        "AWS::Lambda::EventInvokeConfig" => {
            let function = properties.get("FunctionName").and_then(Value::as_str).unwrap_or_default();
            parts.lambda.delete_event_invoke_config(function, &parts.sqs);
        }
        "AWS::Lambda::EventSourceMapping" => parts.lambda.delete_event_source_mapping(name),
        "AWS::SNS::Topic" => parts.sns.delete_topic(&resource.attributes.reference),
        "AWS::SNS::Subscription" => parts.sns.delete_subscription(&resource.attributes.reference),
        "AWS::SNS::TopicPolicy" => parts.sns.delete_topic_policy(properties),
        "AWS::Events::Rule" => parts.bus.delete_rule(name),
        "AWS::Scheduler::Schedule" => parts.scheduler.delete_schedule(name),
        "AWS::IAM::Role" => parts.identity.delete_role(resource.arn()),
        version::MACHINE => return states(parts, "DeleteStateMachine", "stateMachineArn", resource).await,
        version::KIND => return states(parts, "DeleteStateMachineVersion", "stateMachineVersionArn", resource).await,
        "AWS::StepFunctions::StateMachineAlias" => {
            return states(parts, "DeleteStateMachineAlias", "stateMachineAliasArn", resource).await;
        }
        // Nothing is kept of them but what the stack itself knows; a nested stack is its resources.
        "AWS::S3::BucketPolicy"
        | "AWS::Lambda::Permission"
        | "AWS::IAM::Policy"
        | "AWS::IAM::ManagedPolicy"
        | "AWS::Logs::LogGroup"
        | "AWS::CloudWatch::Alarm"
        | "AWS::CloudWatch::Dashboard"
        | STACK => {}
        other => return Err(ApiError::not_implemented("cloudformation", &format!("the deletion of {other}"))),
    }
    Ok(())
}

fn gone(deleted: Result<Value, ApiError>, code: &str) -> Result<(), ApiError> {
    match deleted {
        Err(error) if error.code == code => Ok(()),
        deleted => deleted.map(drop),
    }
}

async fn states(parts: &Parts, operation: &str, member: &str, resource: &Resource) -> Result<(), ApiError> {
    let mut body = serde_json::Map::new();
    body.insert(member.to_owned(), json!(resource.arn()));
    let deleted = parts.states.call(operation, &Caller::local_user(), Value::Object(body)).await;
    gone(gone_machine(deleted), "ResourceNotFound")
}

fn gone_machine(deleted: Result<Value, ApiError>) -> Result<Value, ApiError> {
    match deleted {
        Err(error) if error.code == "StateMachineDoesNotExist" => Ok(Value::Null),
        deleted => deleted,
    }
}
