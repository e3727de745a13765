//! Envelope encryption of task tokens and response URLs: AES-256-GCM under a data key from KMS. Data keys are reused for
//! a bounded time and number of seals, so a thousand statements cost a handful of KMS calls. The KMS context is
//! {stack, table} for all rows; what binds a secret to its row and token version is the AEAD's associated data. Plain
//! keys and secrets never leave this module but through `open`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use statement::ports::{Failure, FailureKind, Outcome, Vault};
use statement::row::Sealed;
use tokio::sync::{Mutex, OnceCell};

use crate::clients::Clients;
use crate::failure;

/// Seals under one data key. Random nonces stay safe for 2^32 (NIST SP 800-38D); this bounds what one key gives away.
const SEALS_PER_KEY: u32 = 1_000;
/// How long a data key is used, and an opened one remembered.
const KEY_AGE: Duration = Duration::from_secs(300);
/// Opened keys remembered: other environments' keys, each good for [`SEALS_PER_KEY`] rows.
const KEYS_REMEMBERED: usize = 64;

/// A fresh data key.
pub struct DataKey {
    /// 32 bytes.
    pub plain: Vec<u8>,
    /// The same under the KMS key.
    pub wrapped: Vec<u8>,
}

/// KMS, as far as sealing needs it.
#[async_trait]
pub trait DataKeys: Send + Sync {
    /// GenerateDataKey.
    async fn generate(&self) -> Outcome<DataKey>;
    /// Decrypt. [`FailureKind::Broken`] if the blob or the context is not ours.
    async fn unwrap(&self, wrapped: &[u8]) -> Outcome<Vec<u8>>;
}

struct Sealing {
    key: Arc<LessSafeKey>,
    wrapped: Vec<u8>,
    since: Instant,
    seals: u32,
}

type Opened = Arc<OnceCell<Arc<LessSafeKey>>>;

#[derive(Default)]
struct Remembered {
    keys: HashMap<Vec<u8>, (Opened, Instant)>,
    order: VecDeque<Vec<u8>>,
}

/// The vault over any source of data keys.
pub struct SealingVault<K> {
    keys: K,
    random: SystemRandom,
    /// Held over the call to KMS: concurrent first uses make one call.
    sealing: Mutex<Option<Sealing>>,
    opened: std::sync::Mutex<Remembered>,
}

impl<K: DataKeys> SealingVault<K> {
    /// Over a source of data keys.
    pub fn new(keys: K) -> Self {
        Self { keys, random: SystemRandom::new(), sealing: Mutex::new(None), opened: std::sync::Mutex::default() }
    }

    async fn sealing_key(&self) -> Outcome<(Arc<LessSafeKey>, Vec<u8>)> {
        let mut current = self.sealing.lock().await;
        if let Some(sealing) = current.as_mut()
            && sealing.seals < SEALS_PER_KEY
            && sealing.since.elapsed() < KEY_AGE
        {
            sealing.seals += 1;
            return Ok((sealing.key.clone(), sealing.wrapped.clone()));
        }
        let fresh = self.keys.generate().await?;
        let key = aead_key(&fresh.plain)?;
        *current = Some(Sealing { key: key.clone(), wrapped: fresh.wrapped.clone(), since: Instant::now(), seals: 1 });
        Ok((key, fresh.wrapped))
    }

    async fn opening_key(&self, wrapped: &[u8]) -> Outcome<Arc<LessSafeKey>> {
        let cell = self.remember(wrapped);
        // Concurrent openings under one key wait for one call; a failed call is made again by the next.
        cell.get_or_try_init(|| async { aead_key(&self.keys.unwrap(wrapped).await?) }).await.cloned()
    }

    fn remember(&self, wrapped: &[u8]) -> Opened {
        let mut opened = self.opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((cell, since)) = opened.keys.get(wrapped)
            && since.elapsed() < KEY_AGE
        {
            return cell.clone();
        }
        if opened.keys.remove(wrapped).is_some() {
            opened.order.retain(|key| key != wrapped);
        }
        while opened.order.len() >= KEYS_REMEMBERED {
            if let Some(oldest) = opened.order.pop_front() {
                opened.keys.remove(&oldest);
            }
        }
        let cell = Opened::default();
        opened.keys.insert(wrapped.to_vec(), (cell.clone(), Instant::now()));
        opened.order.push_back(wrapped.to_vec());
        cell
    }
}

#[async_trait]
impl<K: DataKeys> Vault for SealingVault<K> {
    async fn seal(&self, context: &str, secret: &str) -> Outcome<Sealed> {
        let (key, data_key) = self.sealing_key().await?;
        let mut nonce = [0u8; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| failure::ours("vault", FailureKind::Unavailable, "random", "no randomness"))?;
        let mut ciphertext = secret.as_bytes().to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context.as_bytes()),
            &mut ciphertext,
        )
        .map_err(|_| failure::ours("vault", FailureKind::Refused, "seal", "the secret could not be sealed"))?;
        Ok(Sealed { ciphertext, nonce: nonce.to_vec(), data_key })
    }

    async fn open(&self, context: &str, sealed: &Sealed) -> Outcome<String> {
        let nonce =
            Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(|_| broken("the nonce has a wrong length"))?;
        let key = self.opening_key(&sealed.data_key).await?;
        let mut text = sealed.ciphertext.clone();
        let plain = key
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut text)
            .map_err(|_| broken("the sealed secret is not the one that was written for this row and caller"))?;
        String::from_utf8(plain.to_vec()).map_err(|_| broken("the secret is not text"))
    }
}

fn aead_key(plain: &[u8]) -> Outcome<Arc<LessSafeKey>> {
    let key = UnboundKey::new(&AES_256_GCM, plain).map_err(|_| broken("the data key has a wrong length"))?;
    Ok(Arc::new(LessSafeKey::new(key)))
}

fn broken(message: &str) -> Failure {
    failure::ours("vault", FailureKind::Broken, "SealBroken", message)
}

/// The stack's KMS key.
pub(crate) struct KmsKey {
    clients: Arc<Clients>,
    key_arn: String,
    context: HashMap<String, String>,
}

impl KmsKey {
    pub(crate) fn new(clients: Arc<Clients>, key_arn: String, stack: &str, table: &str) -> Self {
        let context = HashMap::from([("stack".to_owned(), stack.to_owned()), ("table".to_owned(), table.to_owned())]);
        Self { clients, key_arn, context }
    }
}

#[async_trait]
impl DataKeys for KmsKey {
    async fn generate(&self) -> Outcome<DataKey> {
        let call = self.clients.kms().generate_data_key().key_id(&self.key_arn).key_spec(DataKeySpec::Aes256);
        let key = call
            .set_encryption_context(Some(self.context.clone()))
            .send()
            .await
            .map_err(|error| failure::of("kms", &error))?;
        match (key.plaintext, key.ciphertext_blob) {
            (Some(plain), Some(wrapped)) => Ok(DataKey { plain: plain.into_inner(), wrapped: wrapped.into_inner() }),
            _ => Err(failure::ours("kms", FailureKind::Unknown, "answer", "GenerateDataKey answered without a key")),
        }
    }

    async fn unwrap(&self, wrapped: &[u8]) -> Outcome<Vec<u8>> {
        let call = self.clients.kms().decrypt().key_id(&self.key_arn).ciphertext_blob(Blob::new(wrapped));
        let opened = call.set_encryption_context(Some(self.context.clone())).send().await.map_err(|error| {
            let failure = failure::of("kms", &error);
            match failure.code.as_str() {
                "InvalidCiphertextException" | "IncorrectKeyException" => {
                    Failure { kind: FailureKind::Broken, ..failure }
                }
                _ => failure,
            }
        })?;
        opened
            .plaintext
            .map(Blob::into_inner)
            .ok_or_else(|| failure::ours("kms", FailureKind::Unknown, "answer", "Decrypt answered without a key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// KMS that only flips bits, and counts.
    #[derive(Default)]
    struct Counting {
        calls: AtomicUsize,
        failing: AtomicUsize,
    }

    #[async_trait]
    impl DataKeys for Arc<Counting> {
        async fn generate(&self) -> Outcome<DataKey> {
            let n = self.calls.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let plain = vec![u8::try_from(n % 251).unwrap(); 32];
            Ok(DataKey { wrapped: plain.iter().map(|b| !b).collect(), plain })
        }

        async fn unwrap(&self, wrapped: &[u8]) -> Outcome<Vec<u8>> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if self.failing.load(Ordering::SeqCst) > 0 {
                self.failing.fetch_sub(1, Ordering::SeqCst);
                return Err(failure::ours("kms", FailureKind::Throttled, "ThrottlingException", ""));
            }
            Ok(wrapped.iter().map(|b| !b).collect())
        }
    }

    #[tokio::test]
    async fn a_thousand_statements_cost_at_most_twenty_calls() {
        let kms = Arc::new(Counting::default());
        let vault = Arc::new(SealingVault::new(kms.clone()));
        // Many at once from the start: the first uses are concurrent.
        let seals = (0..1_100).map(|n| {
            let vault = vault.clone();
            tokio::spawn(async move { vault.seal(&format!("row{n}#1"), &format!("token{n}")).await.unwrap() })
        });
        let sealed: Vec<Sealed> = futures::future::join_all(seals).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(kms.calls.load(Ordering::SeqCst), 2, "1,000 seals to a key");
        // The other side: another environment.
        let other_kms = Arc::new(Counting::default());
        let other = SealingVault::new(other_kms.clone());
        let contexts: Vec<String> = (0..1_100).map(|n| format!("row{n}#1")).collect();
        let opened = futures::future::join_all(sealed.iter().zip(&contexts).map(|(s, c)| other.open(c, s))).await;
        for (n, token) in opened.into_iter().enumerate() {
            assert_eq!(token.unwrap(), format!("token{n}"));
        }
        assert_eq!(other_kms.calls.load(Ordering::SeqCst), 2);
        assert!(kms.calls.load(Ordering::SeqCst) + other_kms.calls.load(Ordering::SeqCst) <= 20);
    }

    #[tokio::test]
    async fn tampering_is_noticed() {
        let vault = SealingVault::new(Arc::new(Counting::default()));
        let good = vault.seal("row#1", "token").await.unwrap();
        assert!(!good.ciphertext.windows(5).any(|w| w == b"token"));
        assert_eq!(vault.open("row#1", &good).await.unwrap(), "token");
        let flipped = |mut bytes: Vec<u8>| {
            bytes[0] ^= 1;
            bytes
        };
        let bad = [
            ("row#2", good.clone()),
            ("other#1", good.clone()),
            ("row#1", Sealed { ciphertext: flipped(good.ciphertext.clone()), ..good.clone() }),
            ("row#1", Sealed { nonce: flipped(good.nonce.clone()), ..good.clone() }),
            ("row#1", Sealed { data_key: flipped(good.data_key.clone()), ..good.clone() }),
            ("row#1", Sealed { nonce: vec![0; 3], ..good.clone() }),
            ("row#1", Sealed { ciphertext: Vec::new(), ..good.clone() }),
        ];
        for (context, sealed) in bad {
            assert_eq!(vault.open(context, &sealed).await.unwrap_err().kind, FailureKind::Broken);
        }
    }

    #[tokio::test]
    async fn a_failed_unwrap_is_tried_again_and_memory_is_bounded() {
        let kms = Arc::new(Counting::default());
        let vault = SealingVault::new(kms.clone());
        let sealed = vault.seal("r#1", "t").await.unwrap();
        kms.failing.store(1, Ordering::SeqCst);
        assert_eq!(vault.open("r#1", &sealed).await.unwrap_err().kind, FailureKind::Throttled);
        assert_eq!(vault.open("r#1", &sealed).await.unwrap(), "t");
        for n in 0..200u8 {
            let _ = vault.open("r#1", &Sealed { data_key: vec![n; 32], ..sealed.clone() }).await;
        }
        assert!(vault.opened.lock().unwrap().keys.len() <= KEYS_REMEMBERED);
    }
}
