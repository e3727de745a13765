//! One resolved resource in the place of another: which changes would replace it, and the others made in place.
//!
//! A change that would replace a resource is refused before anything is touched. Every type needs an entry in
//! [`REPLACED`]: without one, no change of it is made.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Parts, create, version};
use crate::template::{Resource, STACK};
use crate::{ApiError, Caller};

/// The properties whose change makes CloudFormation replace the resource ("Update requires: Replacement" on the type's
/// page of the template reference).
const REPLACED: &[(&str, &[&str])] = &[
    ("AWS::DynamoDB::Table", &["TableName", "KeySchema", "LocalSecondaryIndexes"]),
    ("AWS::KMS::Key", &["KeySpec", "KeyUsage"]),
    ("AWS::KMS::Alias", &["AliasName"]),
    ("AWS::S3::Bucket", &["BucketName"]),
    ("AWS::S3::BucketPolicy", &["Bucket"]),
    ("AWS::SQS::Queue", &["QueueName"]),
    ("AWS::SQS::QueuePolicy", &[]),
    ("AWS::SNS::Topic", &["TopicName", "FifoTopic"]),
    ("AWS::SNS::Subscription", &["TopicArn", "Protocol", "Endpoint"]),
    ("AWS::SNS::TopicPolicy", &[]),
    ("AWS::Lambda::Function", &["FunctionName", "PackageType"]),
    (
        "AWS::Lambda::Permission",
        &["FunctionName", "Action", "Principal", "SourceArn", "SourceAccount", "PrincipalOrgID"],
    ),
    ("AWS::Lambda::EventSourceMapping", &["EventSourceArn"]),
    ("AWS::Lambda::EventInvokeConfig", &["FunctionName", "Qualifier"]),
    ("AWS::Events::Rule", &["Name", "EventBusName"]),
    ("AWS::StepFunctions::StateMachine", &["StateMachineName", "StateMachineType"]),
    ("AWS::StepFunctions::StateMachineAlias", &["Name"]),
    ("AWS::IAM::Role", &["RoleName", "Path"]),
    ("AWS::IAM::Policy", &[]),
    ("AWS::IAM::ManagedPolicy", &["ManagedPolicyName", "Path", "Description"]),
    ("AWS::Logs::LogGroup", &["LogGroupName"]),
    ("AWS::Scheduler::Schedule", &["Name", "GroupName"]),
    ("AWS::CloudWatch::Alarm", &["AlarmName"]),
    ("AWS::CloudWatch::Dashboard", &["DashboardName"]),
];

/// A change that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The property; empty when the resource as a whole is meant.
    pub(crate) property: String,
    /// Why, in words.
    pub(crate) reason: String,
}

/// The names of the properties that differ.
pub(crate) fn changed(old: &Resource, new: &Resource) -> Vec<String> {
    let none = Map::new();
    let members = |resource: &'_ Resource| resource.properties.as_object().cloned().unwrap_or_else(|| none.clone());
    let (old, new) = (members(old), members(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
}

/// Why a resource cannot become the other, if it cannot.
pub(crate) fn refusal(old: &Resource, new: &Resource) -> Option<Refusal> {
    let refused = |property: &str, reason: String| Some(Refusal { property: property.to_owned(), reason });
    if old.kind != new.kind {
        return refused("Type", format!("the type changes from {} to {}", old.kind, new.kind));
    }
    let changed = changed(old, new);
    if crate::cloudformation::is_custom(&new.kind) {
        let token = changed.iter().any(|name| name == "ServiceToken");
        return if token { refused("ServiceToken", "Modifying service token is not allowed.".into()) } else { None };
    }
    if new.kind == STACK || new.kind == version::KIND || changed.is_empty() {
        return None;
    }
    let Some((_, replaced)) = REPLACED.iter().find(|(kind, _)| *kind == new.kind) else {
        let reason = format!("the local cloud does not know how to change {} in place", new.kind);
        return refused(&changed.join(", "), reason);
    };
    if let Some(property) = changed.iter().find(|name| replaced.contains(&name.as_str())) {
        return refused(property, format!("a change of {property} replaces {}", new.kind));
    }
    if old.attributes.reference != new.attributes.reference {
        let (old, new) = (&old.attributes.reference, &new.attributes.reference);
        return refused("", format!("it would have another name: {new} instead of {old}"));
    }
    None
}

/// Makes the change. What the service refuses has not been changed.
pub(crate) async fn update(parts: &Parts, old: &Resource, new: &Resource) -> Result<(), ApiError> {
    if let Some(refusal) = refusal(old, new) {
        return Err(ApiError::new(400, "ReplacementRefused", refusal.reason));
    }
    parts.identity.authorizer().put(new)?;
    let (name, properties) = (new.name(), &new.properties);
    match new.kind.as_str() {
        "AWS::DynamoDB::Table" => parts.dynamodb.update_table(name, &old.properties, properties).await,
        "AWS::KMS::Key" => parts.kms.update_key(name, properties),
        "AWS::S3::Bucket" => parts.s3.update_bucket(name, properties),
        "AWS::SQS::Queue" => parts.sqs.update_queue(name, properties),
        "AWS::SQS::QueuePolicy" => {
            parts.sqs.delete_queue_policy(&old.properties);
            create::create(parts, new).await
        }
        "AWS::SNS::Topic" => {
            if old.properties.get("Subscription") != properties.get("Subscription") {
                return Err(ApiError::not_implemented("cloudformation", "a change of the Subscription of a topic"));
            }
            parts.sns.update_topic(&new.attributes.reference, properties)
        }
        "AWS::SNS::TopicPolicy" => {
            parts.sns.delete_topic_policy(&old.properties);
            create::create(parts, new).await
        }
        "AWS::SNS::Subscription" => {
            parts.sns.delete_subscription(&old.attributes.reference);
            let made = create::create(parts, new).await;
            if made.is_err() {
                create::create(parts, old).await?;
            }
            made
        }
        "AWS::Lambda::Function" => parts.lambda.update_function(name, properties, &parts.sqs),
        "AWS::Lambda::EventSourceMapping" => {
            parts.lambda.delete_event_source_mapping(name);
            let made = create::create(parts, new).await;
            if made.is_err() {
                create::create(parts, old).await?;
            }
            made
        }
        "AWS::StepFunctions::StateMachine" => {
            let body = json!({
                "stateMachineArn": new.arn(),
                "definition": properties.get("DefinitionString"),
                "roleArn": properties.get("RoleArn"),
            });
            states(parts, "UpdateStateMachine", body).await
        }
        "AWS::StepFunctions::StateMachineAlias" => {
            let mut body = json!({
                "stateMachineAliasArn": new.arn(),
                "routingConfiguration": create::routes(properties),
            });
            if let Some(description) = properties.get("Description") {
                body["description"] = description.clone();
            }
            states(parts, "UpdateStateMachineAlias", body).await
        }
        // What is created puts itself in the place of what has its name.
        _ => create::create(parts, new).await,
    }
}

async fn states(parts: &Parts, operation: &str, body: Value) -> Result<(), ApiError> {
    parts.states.call(operation, &Caller::local_user(), body).await.map(drop)
}
