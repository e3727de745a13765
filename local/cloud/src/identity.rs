//! Who calls: credentials that each function environment gets, and the caller behind an access key. What they may do is
//! said by the [`Authorizer`] that goes along with it.
//!
//! Signatures are not verified: everything here is on loopback and belongs to one person. A key that was not given out
//! here is the local user. Credentials never reach a log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use uuid::Uuid;

use crate::authorize::Authorizer;
use crate::service::{Properties, json_document};
use crate::trace::Trace;
use crate::{ApiError, Caller};

/// Credentials of one function environment. Not `Debug`, so that they cannot be printed by accident.
#[derive(Clone)]
pub struct Credentials {
    /// `ASIA` and sixteen characters.
    pub access_key_id: String,
    /// The secret that belongs to it.
    pub secret_access_key: String,
    /// The session token that belongs to both.
    pub session_token: String,
}

/// The roles and the credentials given out; clones share them.
#[derive(Clone, Default)]
pub struct Identity {
    state: Arc<Mutex<State>>,
    authorizer: Authorizer,
}

#[derive(Default)]
struct State {
    /// Role ARN to its inline policies, as written.
    roles: HashMap<String, Vec<Value>>,
    /// Access key id to the caller.
    callers: HashMap<String, Caller>,
}

impl Identity {
    /// Nobody but the local user, and everybody may do everything: for services that are used by themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nobody but the local user, and roles may do what their policies say.
    pub fn enforcing(region: &str, trace: Trace) -> Self {
        Self { state: Arc::default(), authorizer: Authorizer::enforcing(region, trace) }
    }

    /// Who may do what.
    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// Creates an `AWS::IAM::Role` with these resolved properties under this ARN. Its policies are the
    /// [`Authorizer`]'s matter.
    ///
    /// # Errors
    /// An unknown property by name, or a document that is none.
    pub fn create_role(&self, arn: &str, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::IAM::Role", properties)?;
        match read.value("AssumeRolePolicyDocument").map(json_document) {
            Some(Some(_)) => {}
            _ => return Err(read.error("AssumeRolePolicyDocument", "must be a JSON document")),
        }
        let mut policies = Vec::new();
        for policy in read.list("Policies")? {
            let mut inline = Properties::of("AWS::IAM::Role Policies", policy)?;
            inline.required("PolicyName")?;
            match inline.value("PolicyDocument").and_then(json_document) {
                Some(document) => policies.push(document),
                None => return Err(inline.error("PolicyDocument", "must be a JSON document")),
            }
            inline.end()?;
        }
        read.accept(&["RoleName", "Path", "Description", "ManagedPolicyArns", "Tags"]);
        read.accept(&["MaxSessionDuration", "PermissionsBoundary"]);
        read.end()?;
        self.lock().roles.insert(arn.to_owned(), policies);
        Ok(())
    }

    /// Removes a role.
    pub fn delete_role(&self, arn: &str) {
        self.lock().roles.remove(arn);
    }

    /// The ARNs of all roles.
    pub fn roles(&self) -> Vec<String> {
        let mut roles: Vec<String> = self.lock().roles.keys().cloned().collect();
        roles.sort_unstable();
        roles
    }

    /// Whether a role of this ARN was created.
    pub fn has_role(&self, arn: &str) -> bool {
        self.lock().roles.contains_key(arn)
    }

    /// The inline policy documents of a role, as written.
    pub fn policies(&self, arn: &str) -> Vec<Value> {
        self.lock().roles.get(arn).cloned().unwrap_or_default()
    }

    /// New credentials for an environment of this function, which has assumed this role.
    pub fn issue(&self, role: &str, function: &str) -> Credentials {
        let long = || Uuid::new_v4().simple().to_string();
        let access_key_id = format!("ASIA{}", &long().to_uppercase()[..16]);
        let caller = Caller::assumed(role, function).of_function(function);
        self.lock().callers.insert(access_key_id.clone(), caller);
        Credentials {
            access_key_id,
            secret_access_key: long()[..20].to_owned() + &long()[..20],
            session_token: long() + &long(),
        }
    }

    /// Forgets credentials, when the environment that had them is gone.
    pub fn revoke(&self, access_key_id: &str) {
        self.lock().callers.remove(access_key_id);
    }

    /// The caller behind an access key id. One that was not given out here is the local user.
    pub fn by_access_key(&self, access_key_id: &str) -> Caller {
        self.lock().callers.get(access_key_id).cloned().unwrap_or_else(Caller::local_user)
    }

    /// The caller behind an `Authorization` header; none, or one that says nothing, is the local user.
    pub fn caller(&self, authorization: Option<&str>) -> Caller {
        let key = authorization
            .and_then(|header| header.split_once("Credential="))
            .and_then(|(_, scope)| scope.split('/').next());
        key.map_or_else(Caller::local_user, |key| self.by_access_key(key))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_environment_calls_as_its_role_until_it_is_gone() {
        let identity = Identity::new();
        let role = "arn:aws:iam::000000000000:role/path/function-role";
        let credentials = identity.issue(role, "stack-tasker");
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0",
            credentials.access_key_id
        );
        let caller = identity.caller(Some(&header));
        assert_eq!(caller.arn, "arn:aws:sts::000000000000:assumed-role/function-role/stack-tasker");
        assert_eq!(caller.owner(), role);
        assert_eq!(caller.function.as_deref(), Some("stack-tasker"));
        identity.revoke(&credentials.access_key_id);
        assert_eq!(identity.caller(Some(&header)), Caller::local_user());
        assert_eq!(identity.caller(None), Caller::local_user());
        assert_eq!(identity.caller(Some("Bearer x")), Caller::local_user());
    }

    #[test]
    fn roles_keep_their_documents() {
        let identity = Identity::new();
        let document = json!({"Version": "2012-10-17", "Statement": []});
        let properties = json!({
            "AssumeRolePolicyDocument": document,
            "Policies": [{"PolicyName": "logs", "PolicyDocument": document}],
        });
        identity.create_role("arn:r", &properties).unwrap();
        assert_eq!(identity.policies("arn:r"), vec![document.clone()]);
        let error =
            identity.create_role("arn:r", &json!({"AssumeRolePolicyDocument": document, "Colour": 1})).unwrap_err();
        assert!(error.message.contains("Colour"), "{error}");
    }
}
