//! KMS: keys in memory, AES-256-GCM, the encryption context bound to each ciphertext as additional data.
//!
//! A key never leaves this module but as the data keys that callers ask for. Nothing here is written to disk: what was
//! encrypted by a cloud that is gone cannot be decrypted by another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};

use crate::service::{Clock, Properties, Request, Service, json_document};
use crate::{ACCOUNT, ApiError, Caller, PARTITION};

/// The first byte of every ciphertext blob; the next layout gets the next number.
const LAYOUT: u8 = 1;
/// What a symmetric key encrypts at most (KMS quotas page).
const MAX_PLAINTEXT: usize = 4096;

/// The keys; clones share them.
#[derive(Clone)]
pub struct Kms {
    region: String,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By key id.
    keys: BTreeMap<String, Key>,
    /// `alias/name` to key id.
    aliases: BTreeMap<String, String>,
    calls: BTreeMap<String, u64>,
}

struct Key {
    sealing: Arc<LessSafeKey>,
    description: String,
    enabled: bool,
    created: f64,
}

impl Kms {
    /// No keys yet.
    pub fn new(region: &str) -> Self {
        Self { region: region.to_owned(), clock: Clock::default(), state: Arc::default() }
    }

    /// Creates the key of an `AWS::KMS::Key` with these resolved properties under this key id.
    ///
    /// # Errors
    /// An unknown property by name.
    pub fn create_key(&self, key_id: &str, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::KMS::Key", properties)?;
        let description = read.text("Description")?.unwrap_or_default();
        let enabled = read.flag("Enabled")?.unwrap_or(true);
        if let Some(policy) = read.value("KeyPolicy")
            && json_document(policy).is_none()
        {
            return Err(read.error("KeyPolicy", "must be a JSON document"));
        }
        for (name, only) in [
            ("KeySpec", "SYMMETRIC_DEFAULT"),
            ("KeyUsage", "ENCRYPT_DECRYPT"),
            ("Origin", "AWS_KMS"),
            ("MultiRegion", "false"),
        ] {
            if read.text(name)?.is_some_and(|value| value != only) {
                return Err(read.error(name, &format!("can only be {only} in the local cloud")));
            }
        }
        // Rotation and the waiting time of a deletion have no effect on a key that lives as long as the process.
        read.accept(&["EnableKeyRotation", "RotationPeriodInDays", "PendingWindowInDays", "Tags"]);
        read.accept(&["BypassPolicyLockoutSafetyCheck"]);
        read.end()?;
        let mut bytes = [0_u8; 32];
        random(&mut bytes)?;
        let sealing = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| failure())?;
        let key =
            Key { sealing: Arc::new(LessSafeKey::new(sealing)), description, enabled, created: seconds(&self.clock) };
        self.lock().keys.insert(key_id.to_owned(), key);
        Ok(())
    }

    /// Takes over what can change about a key: its description, and whether it is enabled.
    ///
    /// # Errors
    /// An unknown key.
    pub fn update_key(&self, key_id: &str, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::KMS::Key", properties)?;
        let description = read.text("Description")?.unwrap_or_default();
        let enabled = read.flag("Enabled")?.unwrap_or(true);
        let mut state = self.lock();
        let Some(key) = state.keys.get_mut(key_id) else {
            return Err(not_found(format!("Key '{}' does not exist", self.arn(key_id))));
        };
        key.description = description;
        key.enabled = enabled;
        Ok(())
    }

    /// Removes a key: what it sealed stays sealed. At AWS it would wait for its deletion, and be of no use meanwhile.
    pub fn delete_key(&self, key_id: &str) {
        self.lock().keys.remove(key_id);
    }

    /// Removes an alias.
    pub fn delete_alias(&self, alias: &str) {
        self.lock().aliases.remove(alias);
    }

    /// Creates an `AWS::KMS::Alias`.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown key.
    pub fn create_alias(&self, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::KMS::Alias", properties)?;
        let alias = read.required("AliasName")?;
        let target = read.required("TargetKeyId")?;
        if !alias.starts_with("alias/") || alias.starts_with("alias/aws/") {
            return Err(read.error("AliasName", "must begin with alias/, and not with alias/aws/"));
        }
        read.end()?;
        let (key_id, _) = self.find(&target)?;
        self.lock().aliases.insert(alias, key_id);
        Ok(())
    }

    /// How often each operation was called, refused calls included, for tests that bound it.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.lock().calls.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arn(&self, key_id: &str) -> String {
        format!("arn:{PARTITION}:kms:{}:{ACCOUNT}:key/{key_id}", self.region)
    }

    /// The key behind a key id, key ARN, alias name or alias ARN.
    fn find(&self, name: &str) -> Result<(String, Arc<LessSafeKey>), ApiError> {
        let prefix = format!("arn:{PARTITION}:kms:{}:{ACCOUNT}:", self.region);
        let local = name.strip_prefix(&prefix).unwrap_or(name);
        let state = self.lock();
        let key_id = if local.starts_with("alias/") {
            state
                .aliases
                .get(local)
                .cloned()
                .ok_or_else(|| not_found(format!("Alias {prefix}{local} is not found.")))?
        } else {
            local.strip_prefix("key/").unwrap_or(local).to_owned()
        };
        let Some(key) = state.keys.get(&key_id) else {
            return Err(not_found(format!("Key '{prefix}key/{key_id}' does not exist")));
        };
        if !key.enabled {
            let text = format!("{prefix}key/{key_id} is disabled.");
            return Err(ApiError::new(400, "DisabledException", text));
        }
        Ok((key_id, Arc::clone(&key.sealing)))
    }

    fn encrypt(
        &self,
        key: &str,
        context: &BTreeMap<String, String>,
        plaintext: &[u8],
    ) -> Result<(String, Vec<u8>), ApiError> {
        let (key_id, sealing) = self.find(key)?;
        let length = u8::try_from(key_id.len()).map_err(|_| failure())?;
        let mut nonce = [0_u8; NONCE_LEN];
        random(&mut nonce)?;
        let mut blob = vec![LAYOUT, length];
        blob.extend_from_slice(key_id.as_bytes());
        let additional = additional_data(&blob, context);
        blob.extend_from_slice(&nonce);
        let mut sealed = plaintext.to_vec();
        sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(additional), &mut sealed)
            .map_err(|_| failure())?;
        blob.extend_from_slice(&sealed);
        Ok((key_id, blob))
    }

    fn decrypt(
        &self,
        blob: &[u8],
        context: &BTreeMap<String, String>,
        wanted: Option<&str>,
    ) -> Result<(String, Vec<u8>), ApiError> {
        let invalid = || ApiError::new(400, "InvalidCiphertextException", "");
        let [LAYOUT, length, rest @ ..] = blob else {
            return Err(invalid());
        };
        let (key_id, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(invalid)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or_else(invalid)?;
        let header = &blob[..2 + key_id.len()];
        let key_id = std::str::from_utf8(key_id).map_err(|_| invalid())?;
        if let Some(wanted) = wanted
            && self.find(wanted)?.0 != key_id
        {
            return Err(ApiError::new(
                400,
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ));
        }
        // A blob that names a key of another cloud says nothing about which keys exist here.
        let (key_id, sealing) = self.find(key_id).map_err(|error| match error.code.as_str() {
            "NotFoundException" => invalid(),
            _ => error,
        })?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| invalid())?;
        let mut opened = sealed.to_vec();
        let plaintext = sealing
            .open_in_place(nonce, Aad::from(additional_data(header, context)), &mut opened)
            .map_err(|_| invalid())?;
        Ok((key_id, plaintext.to_vec()))
    }

    fn answer(&self, operation: &str, body: &Value) -> Result<Value, ApiError> {
        let mut read = Request::of("kms", operation, body)?;
        match operation {
            "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" => {
                let key = read.required("KeyId")?;
                let context = read.texts("EncryptionContext")?;
                let spec = read.text("KeySpec")?;
                let bytes = read.number("NumberOfBytes")?;
                read.value("GrantTokens");
                read.end()?;
                let length = match (spec, bytes) {
                    (Some("AES_256"), None) => 32,
                    (Some("AES_128"), None) => 16,
                    (None, Some(length @ 1..=1024)) => usize::try_from(length).map_err(|_| failure())?,
                    _ => {
                        return Err(validation("Please specify either number of bytes or key spec."));
                    }
                };
                let mut plaintext = vec![0_u8; length];
                random(&mut plaintext)?;
                let (key_id, blob) = self.encrypt(key, &context, &plaintext)?;
                let mut answer = json!({
                    "CiphertextBlob": STANDARD.encode(blob),
                    "KeyId": self.arn(&key_id),
                });
                if operation == "GenerateDataKey" {
                    answer["Plaintext"] = json!(STANDARD.encode(plaintext));
                }
                Ok(answer)
            }
            "Encrypt" => {
                let key = read.required("KeyId")?;
                let context = read.texts("EncryptionContext")?;
                let plaintext = read.bytes("Plaintext")?.unwrap_or_default();
                symmetric(&mut read)?;
                read.value("GrantTokens");
                read.end()?;
                if plaintext.is_empty() || plaintext.len() > MAX_PLAINTEXT {
                    return Err(validation(
                        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must \
                         have length between 1 and 4096",
                    ));
                }
                let (key_id, blob) = self.encrypt(key, &context, &plaintext)?;
                Ok(json!({
                    "CiphertextBlob": STANDARD.encode(blob),
                    "KeyId": self.arn(&key_id),
                    "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                }))
            }
            "Decrypt" => {
                let blob = read.bytes("CiphertextBlob")?.unwrap_or_default();
                let context = read.texts("EncryptionContext")?;
                let wanted = read.text("KeyId")?;
                symmetric(&mut read)?;
                read.value("GrantTokens");
                read.end()?;
                let (key_id, plaintext) = self.decrypt(&blob, &context, wanted)?;
                Ok(json!({
                    "Plaintext": STANDARD.encode(plaintext),
                    "KeyId": self.arn(&key_id),
                    "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                }))
            }
            "DescribeKey" => {
                let key = read.required("KeyId")?;
                read.value("GrantTokens");
                read.end()?;
                let (key_id, _) = match self.find(key) {
                    // A disabled key can be described.
                    Err(error) if error.code != "DisabledException" => return Err(error),
                    Err(_) => (key.rsplit('/').next().unwrap_or(key).to_owned(), None),
                    Ok((key_id, sealing)) => (key_id, Some(sealing)),
                };
                Ok(json!({ "KeyMetadata": self.metadata(&key_id) }))
            }
            "ListKeys" => {
                read.value("Limit");
                read.end()?;
                let keys: Vec<Value> =
                    (self.lock().keys.keys()).map(|id| json!({ "KeyId": id, "KeyArn": self.arn(id) })).collect();
                Ok(json!({ "Keys": keys, "Truncated": false }))
            }
            "ListAliases" => {
                let key = read.text("KeyId")?.map(|key| self.find(key)).transpose()?;
                read.value("Limit");
                read.end()?;
                let prefix = format!("arn:{PARTITION}:kms:{}:{ACCOUNT}", self.region);
                let aliases: Vec<Value> = (self.lock().aliases.iter())
                    .filter(|(_, id)| key.as_ref().is_none_or(|(key, _)| key == *id))
                    .map(|(alias, id)| {
                        json!({
                            "AliasName": alias,
                            "AliasArn": format!("{prefix}:{alias}"),
                            "TargetKeyId": id,
                        })
                    })
                    .collect();
                Ok(json!({ "Aliases": aliases, "Truncated": false }))
            }
            _ => Err(ApiError::not_implemented("kms", operation)),
        }
    }

    fn metadata(&self, key_id: &str) -> Value {
        let state = self.lock();
        let Some(key) = state.keys.get(key_id) else {
            return Value::Null;
        };
        json!({
            "AWSAccountId": ACCOUNT,
            "KeyId": key_id,
            "Arn": self.arn(key_id),
            "CreationDate": key.created,
            "Enabled": key.enabled,
            "Description": key.description,
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": if key.enabled { "Enabled" } else { "Disabled" },
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": false,
        })
    }
}

#[async_trait]
impl Service for Kms {
    async fn call(&self, operation: &str, _caller: &Caller, body: Value) -> Result<Value, ApiError> {
        *self.lock().calls.entry(operation.to_owned()).or_default() += 1;
        self.answer(operation, &body)
    }
}

/// What the tag of a ciphertext covers besides the plaintext: the blob's own header and the context. Each text comes
/// with its length, so that two contexts never give the same bytes.
fn additional_data(header: &[u8], context: &BTreeMap<String, String>) -> Vec<u8> {
    let mut data = header.to_vec();
    for text in context.iter().flat_map(|(key, value)| [key, value]) {
        data.extend_from_slice(&(text.len() as u64).to_be_bytes());
        data.extend_from_slice(text.as_bytes());
    }
    data
}

fn symmetric(read: &mut Request<'_>) -> Result<(), ApiError> {
    match read.text("EncryptionAlgorithm")? {
        None | Some("SYMMETRIC_DEFAULT") => Ok(()),
        Some(other) => Err(ApiError::not_implemented("kms", &format!("EncryptionAlgorithm {other}"))),
    }
}

fn random(bytes: &mut [u8]) -> Result<(), ApiError> {
    SystemRandom::new().fill(bytes).map_err(|_| failure())
}

fn failure() -> ApiError {
    ApiError::new(500, "KMSInternalException", "the cryptographic library refused")
}

fn not_found(text: String) -> ApiError {
    ApiError::new(400, "NotFoundException", text)
}

fn validation(text: &str) -> ApiError {
    ApiError::new(400, "ValidationException", text)
}

#[allow(clippy::cast_precision_loss)] // Milliseconds of this millennium fit into 53 bits.
fn seconds(clock: &Clock) -> f64 {
    clock.millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kms() -> Kms {
        let kms = Kms::new("us-east-1");
        for id in ["one", "two"] {
            kms.create_key(id, &json!({"Description": id, "EnableKeyRotation": true})).unwrap();
        }
        kms.create_alias(&json!({"AliasName": "alias/stack", "TargetKeyId": "one"})).unwrap();
        kms
    }

    fn ask(kms: &Kms, operation: &str, body: Value) -> Result<Value, String> {
        kms.answer(operation, &body).map_err(|error| error.code)
    }

    #[tokio::test]
    async fn a_data_key_opens_only_with_its_context_and_key() {
        let kms = kms();
        let context = json!({"stack": "s", "table": "t"});
        let made = ask(
            &kms,
            "GenerateDataKey",
            json!({"KeyId": "alias/stack", "KeySpec": "AES_256", "EncryptionContext": context}),
        )
        .unwrap();
        let arn = "arn:aws:kms:us-east-1:000000000000:key/one";
        assert_eq!(made["KeyId"], arn);
        let blob = &made["CiphertextBlob"];
        let opened = ask(&kms, "Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": context}));
        assert_eq!(opened.unwrap()["Plaintext"], made["Plaintext"]);

        let mut changed = STANDARD.decode(blob.as_str().unwrap()).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        let mut other_key = STANDARD.decode(blob.as_str().unwrap()).unwrap();
        other_key[2..5].copy_from_slice(b"two");
        for (name, body) in [
            ("no context", json!({"CiphertextBlob": blob})),
            ("joined context", json!({"CiphertextBlob": blob, "EncryptionContext": {"stack": "stablet"}})),
            ("other context", json!({"CiphertextBlob": blob, "EncryptionContext": {"stack": "s", "table": "u"}})),
            ("changed", json!({"CiphertextBlob": STANDARD.encode(changed), "EncryptionContext": context})),
            (
                "other key in the blob",
                json!({"CiphertextBlob": STANDARD.encode(other_key), "EncryptionContext": context}),
            ),
            ("rubbish", json!({"CiphertextBlob": "AQ=="})),
        ] {
            assert_eq!(ask(&kms, "Decrypt", body).unwrap_err(), "InvalidCiphertextException", "{name}");
        }
        assert_eq!(
            ask(&kms, "Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": context, "KeyId": "two"}))
                .unwrap_err(),
            "IncorrectKeyException"
        );
    }

    #[tokio::test]
    async fn names_of_keys() {
        let kms = kms();
        for name in [
            "one",
            "alias/stack",
            "arn:aws:kms:us-east-1:000000000000:key/one",
            "arn:aws:kms:us-east-1:000000000000:alias/stack",
        ] {
            let key = ask(&kms, "DescribeKey", json!({"KeyId": name})).unwrap();
            assert_eq!(key["KeyMetadata"]["KeyId"], "one", "{name}");
        }
        for name in ["three", "alias/none"] {
            let error = ask(&kms, "DescribeKey", json!({"KeyId": name})).unwrap_err();
            assert_eq!(error, "NotFoundException", "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let kms = kms();
        let error = kms.answer("Sign", &json!({})).unwrap_err();
        assert!(error.message.contains("Sign"), "{error}");
        let error = kms.answer("Encrypt", &json!({"KeyId": "one", "Plaintext": "YQ==", "DryRun": true}));
        assert!(error.unwrap_err().message.contains("DryRun"));
        let error = kms.create_key("x", &json!({"KeySpec": "RSA_2048"})).unwrap_err();
        assert!(error.message.contains("KeySpec"));
    }

    #[tokio::test]
    async fn calls_are_counted() {
        let kms = kms();
        let caller = Caller::local_user();
        for _ in 0..3 {
            let body = json!({"KeyId": "one", "NumberOfBytes": 8});
            kms.call("GenerateDataKey", &caller, body).await.unwrap();
        }
        assert_eq!(kms.calls()["GenerateDataKey"], 3);
    }
}
