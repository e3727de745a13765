//! Which actions, resources and condition keys each operation needs (Service Authorization Reference, the page of each
//! service). An operation without an entry here is refused.

use iam::Context;
use serde_json::Value;

use super::{Authorizer, Need};
use crate::ACCOUNT;

/// What a call needs; none for an operation that is not known.
pub(super) fn needs(to: &Authorizer, service: &str, operation: &str, body: &Value) -> Option<Vec<Need>> {
    let mut needs = match service {
        "dynamodb" => dynamodb(to, operation, body)?,
        // An alias that does not exist is not found, whoever asks.
        "kms" if to.is_unknown_alias(text(body, "KeyId")) => Vec::new(),
        "kms" => vec![kms(to, operation, body)?],
        "sqs" => vec![sqs(to, operation, body)?],
        "sns" => vec![sns(operation, body)?],
        "states" => vec![states(to, operation, body)?],
        "events" => events(to, operation, body)?,
        _ => return None,
    };
    let keys: Vec<Need> = needs.iter().flat_map(|need| to.key_needs(&need.action, &need.resource)).collect();
    for need in keys {
        if !needs.iter().any(|known| known.action == need.action && known.resource == need.resource) {
            needs.push(need);
        }
    }
    Some(needs)
}

fn text<'v>(body: &'v Value, name: &str) -> &'v str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The resource, or `*` where a call names none.
fn or_any(arn: &str) -> &str {
    if arn.is_empty() { "*" } else { arn }
}

fn dynamodb(to: &Authorizer, operation: &str, body: &Value) -> Option<Vec<Need>> {
    let table = |name: &str| {
        if name.starts_with("arn:") { name.to_owned() } else { to.arn("dynamodb", &format!("table/{name}")) }
    };
    let one = |action: &str, resource: String| vec![Need::new(format!("dynamodb:{action}"), resource)];
    let own = table(text(body, "TableName"));
    Some(match operation {
        "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" | "DescribeTable" | "DeleteTable" | "UpdateTable"
        | "CreateTable" | "UpdateTimeToLive" | "DescribeTimeToLive" => one(operation, own),
        "Query" | "Scan" => match text(body, "IndexName") {
            "" => one(operation, own),
            index => one(operation, format!("{own}/index/{index}")),
        },
        "ListTables" => one(operation, "*".into()),
        "TagResource" | "UntagResource" | "ListTagsOfResource" => one(operation, text(body, "ResourceArn").to_owned()),
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = body.get("RequestItems").and_then(Value::as_object).into_iter().flatten();
            tables.flat_map(|(name, _)| one(operation, table(name))).collect()
        }
        // Transactions need what their items need.
        "TransactWriteItems" | "TransactGetItems" => {
            let items = body.get("TransactItems").and_then(Value::as_array).into_iter().flatten();
            let parts = items.filter_map(Value::as_object).flatten();
            let parts = parts.filter_map(|(kind, item)| {
                let action = match kind.as_str() {
                    "Get" => "GetItem",
                    "Put" => "PutItem",
                    "Update" => "UpdateItem",
                    "Delete" => "DeleteItem",
                    "ConditionCheck" => "ConditionCheckItem",
                    _ => return None,
                };
                Some(Need::new(format!("dynamodb:{action}"), table(text(item, "TableName"))))
            });
            parts.collect()
        }
        _ => return None,
    })
}

fn kms(to: &Authorizer, operation: &str, body: &Value) -> Option<Need> {
    let (key, alias) = match operation {
        "ListKeys" | "ListAliases" => ("*".to_owned(), None),
        "Decrypt" if text(body, "KeyId").is_empty() => (to.key_of_ciphertext(text(body, "CiphertextBlob")), None),
        "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" | "Encrypt" | "Decrypt" | "DescribeKey" => {
            let name = text(body, "KeyId");
            let alias = name.split_once("alias/").map(|(_, rest)| format!("alias/{rest}"));
            (to.key_arn(name), alias)
        }
        _ => return None,
    };
    let mut need = Need::new(format!("kms:{operation}"), key);
    need.context.set("kms:CallerAccount", ACCOUNT);
    if let Some(alias) = alias {
        need.context.set("kms:RequestAlias", alias);
    }
    for (name, value) in body.get("EncryptionContext").and_then(Value::as_object).into_iter().flatten() {
        need.context.set(&format!("kms:EncryptionContext:{name}"), value.as_str().unwrap_or_default());
        need.context.add("kms:EncryptionContextKeys", name);
    }
    Some(need)
}

fn sqs(to: &Authorizer, operation: &str, body: &Value) -> Option<Need> {
    // A batch needs the action of its single form.
    let action = match operation {
        "SendMessage" | "SendMessageBatch" => "SendMessage",
        "DeleteMessage" | "DeleteMessageBatch" => "DeleteMessage",
        "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => "ChangeMessageVisibility",
        "ReceiveMessage"
        | "GetQueueAttributes"
        | "SetQueueAttributes"
        | "GetQueueUrl"
        | "ListQueues"
        | "CreateQueue"
        | "DeleteQueue"
        | "PurgeQueue"
        | "TagQueue"
        | "UntagQueue"
        | "ListQueueTags"
        | "ListDeadLetterSourceQueues"
        | "StartMessageMoveTask" => operation,
        _ => return None,
    };
    let name = match text(body, "QueueUrl") {
        "" => text(body, "QueueName"),
        url => url.rsplit('/').next().unwrap_or_default(),
    };
    let resource = match (operation, text(body, "SourceArn")) {
        ("ListQueues", _) => "*".to_owned(),
        ("StartMessageMoveTask", source) => source.to_owned(),
        _ => to.arn("sqs", name),
    };
    Some(Need::new(format!("sqs:{action}"), resource))
}

fn sns(operation: &str, body: &Value) -> Option<Need> {
    let action = if operation == "PublishBatch" { "Publish" } else { operation };
    let subscription = text(body, "SubscriptionArn").rsplit_once(':').map_or("", |(topic, _)| topic);
    let resource = match operation {
        "Publish" if text(body, "TopicArn").is_empty() => text(body, "TargetArn"),
        "Publish"
        | "PublishBatch"
        | "DeleteTopic"
        | "GetTopicAttributes"
        | "SetTopicAttributes"
        | "Subscribe"
        | "ListSubscriptionsByTopic" => text(body, "TopicArn"),
        "Unsubscribe" | "GetSubscriptionAttributes" | "SetSubscriptionAttributes" => subscription,
        "CreateTopic" | "ListTopics" | "ListSubscriptions" => "*",
        _ => return None,
    };
    let mut need = Need::new(format!("sns:{action}"), or_any(resource));
    if operation == "Subscribe" {
        need.context.set("sns:Protocol", text(body, "Protocol"));
        need.context.set("sns:Endpoint", text(body, "Endpoint"));
    }
    Some(need)
}

fn states(to: &Authorizer, operation: &str, body: &Value) -> Option<Need> {
    let machine = text(body, "stateMachineArn");
    let resource = match operation {
        // A task token names no resource that a policy could.
        "SendTaskSuccess"
        | "SendTaskFailure"
        | "SendTaskHeartbeat"
        | "ListStateMachines"
        | "ValidateStateMachineDefinition" => "*".to_owned(),
        "StopExecution"
        | "DescribeExecution"
        | "GetExecutionHistory"
        | "RedriveExecution"
        | "ListMapRuns"
        | "DescribeStateMachineForExecution" => text(body, "executionArn").to_owned(),
        "DescribeMapRun" => text(body, "mapRunArn").to_owned(),
        "ListExecutions" if machine.is_empty() => text(body, "mapRunArn").to_owned(),
        "CreateStateMachine" => to.arn("states", &format!("stateMachine:{}", text(body, "name"))),
        "CreateStateMachineAlias" => {
            let routes = body.pointer("/routingConfiguration/0/stateMachineVersionArn").and_then(Value::as_str);
            routes.and_then(|version| version.rsplit_once(':')).map_or_else(String::new, |(arn, _)| arn.to_owned())
        }
        "DescribeStateMachineAlias" | "UpdateStateMachineAlias" | "DeleteStateMachineAlias" => {
            text(body, "stateMachineAliasArn").to_owned()
        }
        "DeleteStateMachineVersion" => text(body, "stateMachineVersionArn").to_owned(),
        "StartExecution"
        | "UpdateStateMachine"
        | "DeleteStateMachine"
        | "DescribeStateMachine"
        | "ListExecutions"
        | "PublishStateMachineVersion"
        | "ListStateMachineVersions"
        | "ListStateMachineAliases" => machine.to_owned(),
        _ => return None,
    };
    // Permissions for versions and aliases are the machine's, with the qualifier as a condition ("Creating granular
    // permissions" for versions and aliases); a policy may also name the whole ARN.
    let parts: Vec<&str> = resource.split(':').collect();
    let mut need = Need::new(format!("states:{operation}"), or_any(&resource));
    if let ["arn", _, "states", _, _, "stateMachine", _, qualifier] = parts[..] {
        need.context = Context::new().with("states:StateMachineQualifier", qualifier);
        need.resource = parts[..7].join(":");
        need.also = Some(resource);
    }
    Some(need)
}

fn events(to: &Authorizer, operation: &str, body: &Value) -> Option<Vec<Need>> {
    let name = match text(body, "Name") {
        "" => text(body, "Rule"),
        name => name,
    };
    let resource = match operation {
        "PutEvents" => {
            let entries = body.get("Entries").and_then(Value::as_array).into_iter().flatten();
            let needs = entries.map(|entry| {
                let mut need = Need::new("events:PutEvents", to.arn("events", "event-bus/default"));
                need.context.set("events:source", text(entry, "Source"));
                need.context.set("events:detail-type", text(entry, "DetailType"));
                need
            });
            return Some(needs.collect());
        }
        "PutRule" | "DeleteRule" | "EnableRule" | "DisableRule" | "DescribeRule" | "PutTargets" | "RemoveTargets"
        | "ListTargetsByRule" => to.arn("events", &format!("rule/{}", name.rsplit('/').next().unwrap_or_default())),
        "DescribeEventBus" => to.arn("events", "event-bus/default"),
        "ListRules" | "ListRuleNamesByTarget" | "ListEventBuses" | "TestEventPattern" => "*".to_owned(),
        _ => return None,
    };
    Some(vec![Need::new(format!("events:{operation}"), resource)])
}

impl Authorizer {
    /// What the service of a resource that is encrypted with a customer's key does with that key in the caller's name.
    /// Sources: SQS guide "Key management", SNS guide "Key management", S3 guide "Using SSE-KMS", DynamoDB guide
    /// "Encryption at rest: usage notes" (`Decrypt` for the table key whenever its cached form has expired).
    pub(crate) fn key_needs(&self, action: &str, resource: &str) -> Vec<Need> {
        let (service, operation) = action.split_once(':').unwrap_or((action, ""));
        let actions: &[&str] = match (service, operation) {
            ("sqs", "SendMessage") | ("sns", "Publish") => &["GenerateDataKey", "Decrypt"],
            ("sqs", "ReceiveMessage") | ("s3", "GetObject") => &["Decrypt"],
            ("s3", "PutObject") => &["GenerateDataKey"],
            (
                "dynamodb",
                "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" | "Query" | "Scan" | "BatchGetItem"
                | "BatchWriteItem" | "ConditionCheckItem",
            ) => &["Decrypt"],
            _ => return Vec::new(),
        };
        let Some(key) = self.encrypting(resource) else { return Vec::new() };
        actions.iter().map(|action| self.key_need(service, action, &key, resource)).collect()
    }

    /// A service's use of a key in the caller's name.
    pub(crate) fn key_need(&self, service: &str, action: &str, key: &str, resource: &str) -> Need {
        let region = self.shared.as_ref().map_or("", |shared| &shared.region);
        let mut context = Context::new()
            .with("kms:CallerAccount", ACCOUNT)
            .with("kms:ViaService", format!("{service}.{region}.amazonaws.com"))
            .with("aws:ViaAWSService", "true");
        let (name, value) = match service {
            "sqs" => ("aws:sqs:arn", resource),
            "sns" => ("aws:sns:topicArn", resource),
            "s3" => ("aws:s3:arn", resource),
            _ => {
                let table = resource.split('/').nth(1).unwrap_or_default();
                context.set("kms:EncryptionContext:aws:dynamodb:subscriberId", ACCOUNT);
                context.add("kms:EncryptionContextKeys", "aws:dynamodb:subscriberId");
                ("aws:dynamodb:tableName", table)
            }
        };
        context.set(&format!("kms:EncryptionContext:{name}"), value);
        context.add("kms:EncryptionContextKeys", name);
        Need { action: format!("kms:{action}"), resource: key.to_owned(), context, on_key: true, also: None }
    }
}
