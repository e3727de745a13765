//! Policies as resources of templates bring them, change them and take them away.

use std::sync::Arc;

use iam::{Attached, Document, Kind};
use serde_json::{Value, json};

use super::{Authorizer, Owned, Role, State, document, managed};
use crate::template::Resource;
use crate::{ACCOUNT, ApiError, PARTITION};

/// Condition keys that AWS fills in and the local cloud does not: a policy that asks for one is refused, because it
/// would be taken for more, or less, than it is.
const NOT_FILLED_IN: [&str; 8] = [
    "dynamodb:",
    "aws:resourcetag/",
    "aws:requesttag/",
    "aws:tagkeys",
    "s3:existingobjecttag/",
    "s3:requestobjecttag",
    "kms:resourcealiases",
    "aws:calledvia",
];

impl Authorizer {
    /// Takes over what a resource that is created or updated says about who may do what, and checks what AWS checks then:
    /// that roles can be assumed, and that they may do what their service asks of them.
    ///
    /// # Errors
    /// A policy that is wrong, or a check that fails, as the resource's service words it.
    pub fn put(&self, resource: &Resource) -> Result<(), ApiError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let properties = &resource.properties;
        let text = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default();
        let list = |name: &str| properties.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let texts = |name: &str| list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        let origin = origin(resource);
        match resource.kind.as_str() {
            "AWS::IAM::Role" => {
                let id = resource.attributes.values.get("RoleId").map_or("AROAUNKNOWN", String::as_str);
                self.put_role(&origin, resource.arn(), id, properties)?;
            }
            "AWS::IAM::Policy" => {
                let name = text("PolicyName").to_owned();
                let document = self.document(Kind::Identity, &resource.path, properties.get("PolicyDocument"))?;
                let mut state = shared.lock();
                state.forget(&origin);
                for role in texts("Roles") {
                    let attached = Attached { name: name.clone(), document: Arc::clone(&document) };
                    state.role(&role).policies.push(Owned { origin: origin.clone(), attached });
                }
            }
            "AWS::IAM::ManagedPolicy" => {
                let arn = resource.attributes.reference.clone();
                let document = self.document(Kind::Identity, &resource.path, properties.get("PolicyDocument"))?;
                let mut state = shared.lock();
                state.forget(&origin);
                state.managed.insert(arn.clone(), Arc::clone(&document));
                for role in texts("Roles") {
                    let attached = Attached { name: arn.clone(), document: Arc::clone(&document) };
                    state.role(&role).policies.push(Owned { origin: origin.clone(), attached });
                }
            }
            "AWS::S3::BucketPolicy" => {
                self.put_resource_policy(&origin, &[bucket_arn(text("Bucket"))], properties.get("PolicyDocument"))?;
            }
            "AWS::SQS::QueuePolicy" => {
                let name = |url: &String| self.arn("sqs", url.rsplit('/').next().unwrap_or_default());
                let queues: Vec<String> = texts("Queues").iter().map(name).collect();
                self.put_resource_policy(&origin, &queues, properties.get("PolicyDocument"))?;
            }
            "AWS::SNS::TopicPolicy" => {
                self.put_resource_policy(&origin, &texts("Topics"), properties.get("PolicyDocument"))?;
            }
            "AWS::Lambda::Permission" => {
                let function = self.function_arn(text("FunctionName"));
                self.put_resource_policy(
                    &origin,
                    std::slice::from_ref(&function),
                    Some(&permission(properties, &function)),
                )?;
            }
            "AWS::KMS::Key" => {
                let account = format!("arn:{PARTITION}:iam::{ACCOUNT}:root");
                let default = json!({ "Version": "2012-10-17", "Statement": [
                    { "Effect": "Allow", "Principal": { "AWS": account }, "Action": "kms:*", "Resource": "*" }
                ]});
                let policy = properties.get("KeyPolicy").filter(|policy| !policy.is_null()).unwrap_or(&default);
                self.put_resource_policy(&origin, &[resource.arn().to_owned()], Some(policy))?;
            }
            "AWS::KMS::Alias" => {
                let key = self.key_arn(text("TargetKeyId"));
                shared.lock().aliases.insert(text("AliasName").to_owned(), key);
            }
            "AWS::DynamoDB::Table" => {
                let key = properties.pointer("/SSESpecification/KMSMasterKeyId").and_then(Value::as_str);
                self.encrypt(resource.arn(), key);
            }
            "AWS::S3::Bucket" => {
                let rules = properties.pointer("/BucketEncryption/ServerSideEncryptionConfiguration/0");
                let key = rules.and_then(|rule| rule.pointer("/ServerSideEncryptionByDefault/KMSMasterKeyID"));
                self.encrypt(resource.arn(), key.and_then(Value::as_str));
            }
            "AWS::SQS::Queue" | "AWS::SNS::Topic" => {
                let arn = match resource.attributes.values.get("TopicArn") {
                    Some(arn) => arn,
                    None => resource.arn(),
                };
                self.encrypt(arn, properties.get("KmsMasterKeyId").and_then(Value::as_str));
            }
            _ => {}
        }
        self.check_creation(resource)
    }

    /// The policy that a call gives to a queue or a topic, and whose it is. An empty text takes it away.
    ///
    /// # Errors
    /// A text that is no policy.
    pub(crate) fn policy_in(
        &self,
        service: &str,
        operation: &str,
        body: &Value,
    ) -> Result<Option<(String, Value)>, ApiError> {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let attribute = || body.pointer("/Attributes/Policy").and_then(Value::as_str);
        let (resource, policy) = match (service, operation) {
            ("sqs", "CreateQueue" | "SetQueueAttributes") => {
                let queue = text("QueueName").or_else(|| text("QueueUrl")?.rsplit('/').next());
                (queue.map(|queue| self.arn("sqs", queue)), attribute())
            }
            ("sns", "CreateTopic") => (text("Name").map(|topic| self.arn("sns", topic)), attribute()),
            ("sns", "SetTopicAttributes") if text("AttributeName") == Some("Policy") => {
                (text("TopicArn").map(str::to_owned), text("AttributeValue"))
            }
            _ => return Ok(None),
        };
        let (Some(resource), Some(policy)) = (resource, policy) else { return Ok(None) };
        if policy.is_empty() {
            return Ok(Some((resource, json!({ "Version": "2012-10-17", "Statement": [] }))));
        }
        let policy = serde_json::from_str(policy)
            .map_err(|error| ApiError::new(400, "InvalidAttributeValue", format!("the policy is no JSON: {error}")))?;
        document(Kind::Resource, &resource, Some(&policy))?;
        Ok(Some((resource, policy)))
    }

    /// Forgets a resource that is deleted, and what it said.
    pub fn remove(&self, resource: &Resource) {
        let Some(shared) = &self.shared else { return };
        let mut state = shared.lock();
        state.forget(&origin(resource));
        match resource.kind.as_str() {
            "AWS::IAM::Role" => drop(state.roles.remove(resource.arn())),
            "AWS::IAM::ManagedPolicy" => drop(state.managed.remove(&resource.attributes.reference)),
            "AWS::KMS::Alias" => drop(state.aliases.remove(&resource.attributes.reference)),
            _ => drop(state.keys.remove(resource.arn())),
        }
    }

    /// Takes over a role: who may assume it, its inline and managed policies, its boundary. `origin` names where it came
    /// from, so that it can be replaced.
    ///
    /// # Errors
    /// A policy that is wrong.
    pub fn put_role(&self, origin: &str, arn: &str, id: &str, properties: &Value) -> Result<(), ApiError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let trust = self.document(Kind::Trust, arn, properties.get("AssumeRolePolicyDocument"))?;
        let mut policies = Vec::new();
        for policy in properties.get("Policies").and_then(Value::as_array).into_iter().flatten() {
            let name = policy.get("PolicyName").and_then(Value::as_str).unwrap_or_default().to_owned();
            let document = self.document(Kind::Identity, &format!("{arn} {name}"), policy.get("PolicyDocument"))?;
            policies.push(Owned { origin: origin.to_owned(), attached: Attached { name, document } });
        }
        let arns = properties.get("ManagedPolicyArns").and_then(Value::as_array).into_iter().flatten();
        let managed: Vec<String> = arns.filter_map(Value::as_str).map(str::to_owned).collect();
        let boundary = properties.get("PermissionsBoundary").and_then(Value::as_str).filter(|arn| !arn.is_empty());
        for arn in managed.iter().map(String::as_str) {
            self.know_managed(arn)?;
        }
        // A boundary is usually somebody else's and in no template: what it allows is not known here, so that it limits
        // nothing here, which is said.
        let boundary = boundary.filter(|boundary| {
            let known = self.know_managed(boundary);
            if known.is_err() {
                tracing::warn!(role = arn, boundary, "the permissions boundary is in no template and is not enforced");
            }
            known.is_ok()
        });
        let tags = properties.get("Tags").and_then(Value::as_array).into_iter().flatten().filter_map(|tag| {
            let text = |name: &str| tag.get(name).and_then(Value::as_str).map(str::to_owned);
            Some((text("Key")?, text("Value")?))
        });
        let mut state = shared.lock();
        let role = state.roles.entry(arn.to_owned()).or_default();
        // What other resources attached to it stays.
        role.policies.retain(|owned| owned.origin != origin);
        role.policies.extend(policies);
        role.id = id.to_owned();
        role.trust = Some(Attached { name: "trust policy".into(), document: trust });
        role.managed = managed;
        role.boundary = boundary.map(ToOwned::to_owned);
        role.tags = tags.collect();
        Ok(())
    }

    /// Takes over the policy of these resources, by ARN.
    ///
    /// # Errors
    /// A policy that is wrong.
    pub fn put_resource_policy(
        &self,
        origin: &str,
        resources: &[String],
        policy: Option<&Value>,
    ) -> Result<(), ApiError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let document = self.document(Kind::Resource, origin, policy)?;
        let mut state = shared.lock();
        state.forget(origin);
        for arn in resources {
            let attached = Attached { name: origin.to_owned(), document: Arc::clone(&document) };
            state.resources.entry(arn.clone()).or_default().push(Owned { origin: origin.to_owned(), attached });
        }
        Ok(())
    }

    fn document(&self, kind: Kind, of: &str, value: Option<&Value>) -> Result<Arc<Document>, ApiError> {
        let document = document(kind, of, value)?;
        for statement in document.statements() {
            for key in statement.condition_keys() {
                let lower = key.to_lowercase();
                if NOT_FILLED_IN.iter().any(|prefix| lower.starts_with(prefix)) {
                    return Err(ApiError::not_implemented("iam", &format!("the condition key {key} in {of}")));
                }
            }
        }
        Ok(document)
    }

    /// A managed policy that a template declares is known; of AWS's own some are.
    fn know_managed(&self, arn: &str) -> Result<(), ApiError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        if shared.lock().managed.contains_key(arn) {
            return Ok(());
        }
        let name = arn.split_once(":iam::aws:policy/").map(|(_, name)| name);
        let document = name.and_then(managed::document);
        let document =
            document.ok_or_else(|| ApiError::not_implemented("iam", &format!("the managed policy {arn}")))?;
        let document = self.document(Kind::Identity, arn, Some(&document))?;
        shared.lock().managed.insert(arn.to_owned(), document);
        Ok(())
    }

    fn encrypt(&self, resource: &str, key: Option<&str>) {
        let Some(shared) = &self.shared else { return };
        // AWS's own keys need no permission.
        let key = key.filter(|key| !key.is_empty() && !key.contains("alias/aws/")).map(|key| self.key_arn(key));
        let mut state = shared.lock();
        match key {
            Some(key) => drop(state.keys.insert(resource.to_owned(), key)),
            None => drop(state.keys.remove(resource)),
        }
    }

    /// The ARN of the customer's key that encrypts a resource, its table's for an index, its bucket's for an object.
    pub(crate) fn encrypting(&self, resource: &str) -> Option<String> {
        let state = self.shared.as_ref()?.lock();
        let whole = super::owner(resource);
        let whole = whole.split("/index/").next().unwrap_or(whole);
        state.keys.get(whole).cloned()
    }

    /// The ARN of a key by its id, ARN or alias.
    pub(crate) fn key_arn(&self, name: &str) -> String {
        if let Some((_, alias)) = name.split_once("alias/") {
            let alias = format!("alias/{alias}");
            let known = self.shared.as_ref().and_then(|shared| shared.lock().aliases.get(&alias).cloned());
            return known.unwrap_or_else(|| self.arn("kms", &alias));
        }
        if name.starts_with("arn:") { name.to_owned() } else { self.arn("kms", &format!("key/{name}")) }
    }

    /// Whether this is the name or ARN of an alias that nothing has.
    pub(crate) fn is_unknown_alias(&self, name: &str) -> bool {
        let Some((_, alias)) = name.split_once("alias/") else { return false };
        self.shared.as_ref().is_some_and(|shared| !shared.lock().aliases.contains_key(&format!("alias/{alias}")))
    }

    /// The ARN of the key that a ciphertext of the local KMS names in its head: layout, length, key id.
    pub(crate) fn key_of_ciphertext(&self, blob: &str) -> String {
        use base64::Engine as _;
        let blob = base64::engine::general_purpose::STANDARD.decode(blob).unwrap_or_default();
        let length = blob.get(1).map_or(0, |length| usize::from(*length));
        let id = blob.get(2..2 + length).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or("unknown");
        self.key_arn(id)
    }

    /// The ARN of a function by its name or ARN, without a version.
    pub(crate) fn function_arn(&self, function: &str) -> String {
        let name = function.rsplit_once("function:").map_or(function, |(_, name)| name);
        self.arn("lambda", &format!("function:{}", name.split(':').next().unwrap_or(name)))
    }
}

impl State {
    /// Takes every policy away that came with this resource.
    fn forget(&mut self, origin: &str) {
        for role in self.roles.values_mut() {
            role.policies.retain(|owned| owned.origin != origin);
        }
        for policies in self.resources.values_mut() {
            policies.retain(|owned| owned.origin != origin);
        }
    }

    /// The role of this name, whatever its path; policies may come before the role.
    fn role(&mut self, name: &str) -> &mut Role {
        let known = self.roles.keys().find(|arn| arn.rsplit('/').next() == Some(name)).cloned();
        let arn = known.unwrap_or_else(|| format!("arn:{PARTITION}:iam::{ACCOUNT}:role/{name}"));
        self.roles.entry(arn).or_default()
    }
}

/// What tells one resource of all stacks from the others.
fn origin(resource: &Resource) -> String {
    format!("{}/{}", resource.stack, resource.logical_id)
}

fn bucket_arn(name: &str) -> String {
    format!("arn:{PARTITION}:s3:::{name}")
}

/// The statement that Lambda makes of an `AWS::Lambda::Permission` (AddPermission API reference).
fn permission(properties: &Value, function: &str) -> Value {
    let text = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default();
    let principal = match text("Principal") {
        "*" => json!("*"),
        service if service.contains('.') && !service.starts_with("arn:") => json!({ "Service": service }),
        other => json!({ "AWS": other }),
    };
    let mut statement = json!({
        "Effect": "Allow", "Principal": principal, "Action": text("Action"), "Resource": function,
    });
    if !text("SourceArn").is_empty() {
        statement["Condition"]["ArnLike"]["AWS:SourceArn"] = json!(text("SourceArn"));
    }
    if !text("SourceAccount").is_empty() {
        statement["Condition"]["StringEquals"]["AWS:SourceAccount"] = json!(text("SourceAccount"));
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}
