//! One resolved resource into the service that has its type.

use serde_json::{Value, json};

use super::Parts;
use crate::template::{Resource, STACK};
use crate::{ApiError, Caller};

/// Creates the resource. Everything that it refers to exists.
pub(crate) async fn create(parts: &Parts, resource: &Resource) -> Result<(), ApiError> {
    parts.identity.authorizer().put(resource)?;
    let (name, properties) = (resource.name(), &resource.properties);
    match resource.kind.as_str() {
        "AWS::DynamoDB::Table" => parts.dynamodb.create_table(name, properties).await,
        "AWS::KMS::Key" => parts.kms.create_key(name, properties),
        "AWS::KMS::Alias" => parts.kms.create_alias(properties),
        "AWS::S3::Bucket" => parts.s3.create_bucket(name, properties).await,
        "AWS::S3::BucketPolicy" => parts.s3.bucket_policy(properties),
        "AWS::SQS::Queue" => {
            parts.sqs.create_queue(name, properties)?;
            same("queue URL", &parts.sqs.url(name), &resource.attributes.reference)
        }
        "AWS::SQS::QueuePolicy" => parts.sqs.queue_policy(properties),
        "AWS::Lambda::Function" => parts.lambda.create_function(name, properties, &parts.sqs),
        "AWS::Lambda::Permission" => parts.lambda.permission(properties),
        "AWS::Lambda::EventInvokeConfig" => parts.lambda.create_event_invoke_config(properties, &parts.sqs),
        "AWS::Lambda::EventSourceMapping" => parts.lambda.create_event_source_mapping(name, properties, &parts.sqs),
        "AWS::SNS::Topic" => {
            parts.sns.create_topic(name, properties)?;
            same("topic ARN", &parts.sns.arn(name), &resource.attributes.reference)
        }
        "AWS::SNS::Subscription" => parts.sns.create_subscription(&resource.attributes.reference, properties),
        "AWS::SNS::TopicPolicy" => parts.sns.topic_policy(properties),
        "AWS::Events::Rule" => parts.bus.create_rule(name, properties),
        "AWS::Scheduler::Schedule" => parts.scheduler.create_schedule(name, properties),
        "AWS::IAM::Role" => parts.identity.create_role(resource.arn(), properties),
        "AWS::StepFunctions::StateMachine" => {
            let mut body = json!({
                "name": name,
                "definition": properties.get("DefinitionString"),
                "roleArn": properties.get("RoleArn"),
            });
            if let Some(kind) = properties.get("StateMachineType") {
                body["type"] = kind.clone();
            }
            let created = states(parts, "CreateStateMachine", body).await?;
            same("state machine ARN", text(&created, "stateMachineArn"), resource.arn())
        }
        "AWS::StepFunctions::StateMachineAlias" => {
            let name = resource.arn().rsplit(':').next().unwrap_or_default();
            let mut body = json!({"name": name, "routingConfiguration": routes(properties)});
            if let Some(description) = properties.get("Description") {
                body["description"] = description.clone();
            }
            let created = states(parts, "CreateStateMachineAlias", body).await?;
            same("alias ARN", text(&created, "stateMachineAliasArn"), resource.arn())
        }
        // Kept in the model: policies belong to roles that exist, logs are written by name, nothing measures, a nested
        // stack is its resources.
        "AWS::IAM::Policy"
        | "AWS::IAM::ManagedPolicy"
        | "AWS::Logs::LogGroup"
        | "AWS::CloudWatch::Alarm"
        | "AWS::CloudWatch::Dashboard"
        | STACK => Ok(()),
        other => Err(ApiError::not_implemented("cloudformation", other)),
    }
}

/// The routes of an alias, as the API takes them.
pub(super) fn routes(properties: &Value) -> Vec<Value> {
    let routes = properties.get("RoutingConfiguration").and_then(Value::as_array);
    routes
        .into_iter()
        .flatten()
        .map(|route| {
            json!({
                "stateMachineVersionArn": route.get("StateMachineVersionArn"),
                "weight": route.get("Weight"),
            })
        })
        .collect()
}

async fn states(parts: &Parts, operation: &str, body: Value) -> Result<Value, ApiError> {
    parts.states.call(operation, &Caller::local_user(), body).await
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// References were resolved before anything existed: what a service made must be what they say.
fn same(what: &str, made: &str, computed: &str) -> Result<(), ApiError> {
    if made == computed {
        return Ok(());
    }
    Err(ApiError::new(500, "InternalFailure", format!("the {what} is {made}, but references say {computed}")))
}
