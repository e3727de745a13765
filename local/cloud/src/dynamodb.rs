//! DynamoDB: dynoxide on SQLite in memory, in process. Nothing is stored by code of ours.
//!
//! SQLite blocks, so every call runs on a blocking thread: a slow query must never stall the runtime.

use std::sync::Arc;

use async_trait::async_trait;
use dynoxide::storage_backend::Clock;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::service::{Properties, Service};
use crate::{ApiError, Caller};

/// The tables; clones share them.
#[derive(Clone)]
pub struct DynamoDb {
    database: Database,
}

impl DynamoDb {
    /// No tables yet.
    ///
    /// # Errors
    /// When SQLite cannot open a database in memory.
    pub fn new() -> Result<Self, ApiError> {
        Ok(Self { database: Database::memory().map_err(|error| api_error("", &error))? })
    }

    /// No tables yet, and expiry judged by this clock.
    ///
    /// # Errors
    /// When SQLite cannot open a database in memory.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Result<Self, ApiError> {
        let database = Database::memory_with_clock(clock).map_err(|error| api_error("", &error))?;
        Ok(Self { database })
    }

    /// Creates the table of an `AWS::DynamoDB::Table` with these resolved properties under this name.
    ///
    /// # Errors
    /// An unknown property, by name, or DynamoDB's own reason.
    pub async fn create_table(&self, name: &str, properties: &Value) -> Result<(), ApiError> {
        let (create, time_to_live) = requests(name, properties)?;
        self.run("CreateTable", create).await?;
        if let Some(update) = time_to_live {
            self.run("UpdateTimeToLive", update).await?;
        }
        Ok(())
    }

    /// Changes a table from these properties to those: indexes, throughput, protection, time to live. Its items stay.
    ///
    /// # Errors
    /// An unknown property, by name, or DynamoDB's own reason.
    pub async fn update_table(&self, name: &str, old: &Value, new: &Value) -> Result<(), ApiError> {
        let (before, ttl_before) = requests(name, old)?;
        let (after, ttl_after) = requests(name, new)?;
        let mut update = Map::new();
        for member in
            ["BillingMode", "ProvisionedThroughput", "OnDemandThroughput", "TableClass", "DeletionProtectionEnabled"]
        {
            match (before.get(member), after.get(member)) {
                (old, Some(new)) if old != Some(new) => drop(update.insert(member.into(), new.clone())),
                (Some(_), None) if member == "DeletionProtectionEnabled" => {
                    update.insert(member.into(), json!(false));
                }
                _ => {}
            }
        }
        if !update.is_empty() {
            update.insert("TableName".into(), json!(name));
            self.run("UpdateTable", Value::Object(update)).await?;
        }
        // One index at a time, as DynamoDB takes them.
        for change in index_changes(&before, &after)? {
            let update = json!({
                "TableName": name,
                "AttributeDefinitions": after.get("AttributeDefinitions"),
                "GlobalSecondaryIndexUpdates": [change],
            });
            self.run("UpdateTable", update).await?;
        }
        if ttl_before != ttl_after {
            if let Some(mut off) = ttl_before {
                off["TimeToLiveSpecification"]["Enabled"] = json!(false);
                self.run("UpdateTimeToLive", off).await?;
            }
            if let Some(on) = ttl_after {
                self.run("UpdateTimeToLive", on).await?;
            }
        }
        Ok(())
    }

    /// Deletes what expired, as the service does in the background, and says how many items went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_expired(&self) -> Result<usize, ApiError> {
        let database = self.database.clone();
        blocking(move || database.sweep_ttl().map_err(|error| api_error("", &error))).await
    }

    async fn run(&self, operation: &str, body: Value) -> Result<Value, ApiError> {
        let database = self.database.clone();
        let operation = operation.to_owned();
        blocking(move || dispatch(&database, &operation, body)).await
    }
}

#[async_trait]
impl Service for DynamoDb {
    async fn call(&self, operation: &str, _caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.run(operation, body).await
    }
}

/// The updates that make the one table's indexes the other's.
fn index_changes(before: &Value, after: &Value) -> Result<Vec<Value>, ApiError> {
    let indexes = |table: &Value| -> Vec<Value> {
        table.get("GlobalSecondaryIndexes").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let (before, after) = (indexes(before), indexes(after));
    let named = |list: &[Value], name: &Value| list.iter().find(|index| index.get("IndexName") == Some(name)).cloned();
    let mut changes = Vec::new();
    for index in &before {
        let name = index.get("IndexName").cloned().unwrap_or_default();
        match named(&after, &name) {
            None => changes.push(json!({ "Delete": { "IndexName": name } })),
            Some(same) if same == *index => {}
            Some(_) => {
                let text = format!("the index {name} cannot be changed: give another name to the changed one");
                return Err(ApiError::new(400, "ValidationException", text));
            }
        }
    }
    for index in after {
        if named(&before, index.get("IndexName").unwrap_or(&Value::Null)).is_none() {
            changes.push(json!({ "Create": index }));
        }
    }
    Ok(changes)
}

/// The `CreateTable` and, if asked for, the `UpdateTimeToLive` request that these properties stand for.
fn requests(name: &str, properties: &Value) -> Result<(Value, Option<Value>), ApiError> {
    let mut read = Properties::of("AWS::DynamoDB::Table", properties)?;
    let mut create = Map::new();
    create.insert("TableName".into(), json!(name));
    for property in [
        "AttributeDefinitions",
        "KeySchema",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "ProvisionedThroughput",
        "OnDemandThroughput",
        "TableClass",
        "Tags",
    ] {
        if let Some(value) = read.value(property) {
            create.insert(property.into(), value.clone());
        }
    }
    if let Some(on) = read.flag("DeletionProtectionEnabled")? {
        create.insert("DeletionProtectionEnabled".into(), json!(on));
    }
    if let Some(mut encryption) = read.inside("SSESpecification")? {
        let mut specification = Map::new();
        if let Some(on) = encryption.flag("SSEEnabled")? {
            specification.insert("Enabled".into(), json!(on));
        }
        for property in ["SSEType", "KMSMasterKeyId"] {
            if let Some(text) = encryption.text(property)? {
                specification.insert(property.into(), json!(text));
            }
        }
        encryption.end()?;
        create.insert("SSESpecification".into(), Value::Object(specification));
    }
    // Recovery to a point in time means nothing for a table that goes with the process.
    if let Some(mut recovery) = read.inside("PointInTimeRecoverySpecification")? {
        recovery.flag("PointInTimeRecoveryEnabled")?;
        recovery.number("RecoveryPeriodInDays", 1, 35)?;
        recovery.end()?;
    }
    let time_to_live = match read.inside("TimeToLiveSpecification")? {
        None => None,
        Some(mut specification) => {
            let attribute = specification.text("AttributeName")?;
            let enabled = specification.flag("Enabled")?.unwrap_or(false);
            specification.end()?;
            enabled.then(|| {
                json!({
                    "TableName": name,
                    "TimeToLiveSpecification": { "AttributeName": attribute, "Enabled": true },
                })
            })
        }
    };
    // The name was decided by whoever resolved the templates.
    read.accept(&["TableName"]);
    read.end()?;
    Ok((Value::Object(create), time_to_live))
}

/// Runs one operation; blocks.
fn dispatch(database: &Database, operation: &str, body: Value) -> Result<Value, ApiError> {
    macro_rules! operations {
        ($($name:literal => $method:ident),* $(,)?) => {
            match operation {
                $($name => answer(operation, body, |request| database.$method(request)),)*
                _ => Err(ApiError::not_implemented("dynamodb", operation)),
            }
        };
    }
    operations! {
        "CreateTable" => create_table,
        "DeleteTable" => delete_table,
        "DescribeTable" => describe_table,
        "ListTables" => list_tables,
        "UpdateTable" => update_table,
        "PutItem" => put_item,
        "GetItem" => get_item,
        "DeleteItem" => delete_item,
        "UpdateItem" => update_item,
        "Query" => query,
        "Scan" => scan,
        "BatchGetItem" => batch_get_item,
        "BatchWriteItem" => batch_write_item,
        "TransactWriteItems" => transact_write_items,
        "TransactGetItems" => transact_get_items,
        "UpdateTimeToLive" => update_time_to_live,
        "DescribeTimeToLive" => describe_time_to_live,
        "ExecuteStatement" => execute_statement,
        "ExecuteTransaction" => execute_transaction,
        "BatchExecuteStatement" => batch_execute_statement,
        "TagResource" => tag_resource,
        "UntagResource" => untag_resource,
        "ListTagsOfResource" => list_tags_of_resource,
    }
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    operation: &str,
    body: Value,
    call: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> Result<Value, ApiError> {
    let request = serde_json::from_value(body).map_err(|error| api_error(operation, &malformed(&error.to_string())))?;
    let answer = call(request).map_err(|error| api_error(operation, &error))?;
    serde_json::to_value(answer).map_err(|error| ApiError::new(500, "InternalServerError", error.to_string()))
}

/// What a body that does not fit the request's type is refused with. dynoxide marks its own refusals by a prefix of the
/// message; the rest is serde's wording, of which a missing member is a validation error and a wrong type none.
fn malformed(text: &str) -> DynoxideError {
    type Class = fn(String) -> DynoxideError;
    let marks: [(&str, Class); 5] = [
        ("VALIDATION_AS_READ:", DynoxideError::ValidationException),
        ("VALIDATION_REQUEST:", DynoxideError::EnvelopedValidation),
        ("VALIDATION:", DynoxideError::ValidationException),
        ("SERIALIZATION_AS_READ:", DynoxideError::SerializationException),
        ("SERIALIZATION:", DynoxideError::SerializationException),
    ];
    for (mark, error) in marks {
        if let Some(rest) = text.strip_prefix(mark) {
            return error(rest.to_owned());
        }
    }
    let validation = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"];
    if validation.iter().any(|part| text.contains(part)) {
        DynoxideError::ValidationException(text.to_owned())
    } else {
        DynoxideError::SerializationException(text.to_owned())
    }
}

fn api_error(operation: &str, error: &DynoxideError) -> ApiError {
    let mut body: Map<String, Value> = serde_json::from_str(&error.to_json()).unwrap_or_default();
    body.remove("__type");
    body.remove("message");
    body.remove("Message");
    let name = error.error_type();
    let mut message = error.to_string();
    // These three wrap what is wrong with the request itself in an envelope; the others report it bare.
    if matches!(error, DynoxideError::EnvelopedValidation(_))
        && matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem")
    {
        message = format!("1 validation error detected: {message}");
    }
    ApiError {
        code: name.rsplit('#').next().unwrap_or(name).to_owned(),
        status: error.status_code(),
        message,
        extra: body,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::new(500, "InternalServerError", error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use dynoxide::storage_backend::ManualClock;

    fn table() -> Value {
        json!({
            "TableName": "rows",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "row", "AttributeType": "S"},
                {"AttributeName": "openShard", "AttributeType": "S"},
                {"AttributeName": "openSince", "AttributeType": "N"},
            ],
            "KeySchema": [{"AttributeName": "row", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [{
                "IndexName": "open",
                "KeySchema": [
                    {"AttributeName": "openShard", "KeyType": "HASH"},
                    {"AttributeName": "openSince", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }],
            "TimeToLiveSpecification": {"AttributeName": "expiresAt", "Enabled": true},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
            "SSESpecification": {"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": "arn:key"},
            "DeletionProtectionEnabled": "true",
            "Tags": [{"Key": "a", "Value": "b"}],
        })
    }

    async fn call(db: &DynamoDb, operation: &str, body: Value) -> Result<Value, ApiError> {
        db.call(operation, &Caller::local_user(), body).await
    }

    fn row(key: &str, expires: u64) -> Value {
        json!({"TableName": "rows", "Item": {
            "row": {"S": key}, "openShard": {"S": "0"}, "openSince": {"N": "1"},
            "expiresAt": {"N": expires.to_string()},
        }})
    }

    #[tokio::test]
    async fn one_of_many_racing_conditional_writes_wins() {
        let db = DynamoDb::new().unwrap();
        db.create_table("rows", &table()).await.unwrap();
        let mut put = row("k", 0);
        put["ConditionExpression"] = json!("attribute_not_exists(#r)");
        put["ExpressionAttributeNames"] = json!({"#r": "row"});
        put["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
        let racing = (0..20).map(|_| call(&db, "PutItem", put.clone()));
        let ended = futures::future::join_all(racing).await;
        assert_eq!(ended.iter().filter(|end| end.is_ok()).count(), 1);
        for error in ended.into_iter().filter_map(Result::err) {
            assert_eq!(error.code, "ConditionalCheckFailedException");
            assert_eq!(error.extra["Item"]["row"]["S"], "k");
        }
    }

    #[tokio::test]
    async fn expired_items_go_with_the_sweep_and_leave_the_index() {
        let clock = ManualClock::new(1_000);
        let db = DynamoDb::with_clock(Arc::new(clock.clone())).unwrap();
        db.create_table("rows", &table()).await.unwrap();
        call(&db, "PutItem", row("old", 1_500)).await.unwrap();
        call(&db, "PutItem", row("young", 2_500)).await.unwrap();
        assert_eq!(db.sweep_expired().await.unwrap(), 0);
        clock.set(2_000);
        assert_eq!(db.sweep_expired().await.unwrap(), 1);
        let query = json!({
            "TableName": "rows",
            "IndexName": "open",
            "KeyConditionExpression": "openShard = :s",
            "ExpressionAttributeValues": {":s": {"S": "0"}},
        });
        let found = call(&db, "Query", query).await.unwrap();
        assert_eq!(found["Count"], 1);
        assert_eq!(found["Items"][0]["row"]["S"], "young");
        assert_eq!(found["Items"][0].get("expiresAt"), None, "the index has keys only");
    }

    #[tokio::test]
    async fn refusals_are_named() {
        let db = DynamoDb::new().unwrap();
        let mut wrong = table();
        wrong["Colour"] = json!("red");
        let error = db.create_table("rows", &wrong).await.unwrap_err();
        assert!(error.message.contains("Colour"), "{error}");
        let error = call(&db, "CreateBackup", json!({})).await.unwrap_err();
        assert!(error.message.contains("CreateBackup"), "{error}");
        let error = call(&db, "GetItem", row("k", 0)).await.unwrap_err();
        assert_eq!(error.code, "ValidationException", "{error}");
        let key = json!({"TableName": "none", "Key": {"row": {"S": "k"}}});
        let error = call(&db, "GetItem", key).await.unwrap_err();
        assert_eq!(error.code, "ResourceNotFoundException", "{error}");
        let error = call(&db, "GetItem", json!({"TableName": 5})).await.unwrap_err();
        assert_eq!(error.code, "SerializationException", "{error}");
        db.create_table("rows", &table()).await.unwrap();
        let error = call(&db, "DeleteTable", json!({"TableName": "rows"})).await.unwrap_err();
        assert_eq!(error.code, "ValidationException", "deletion protection: {error}");
    }
}
