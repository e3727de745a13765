//! S3 over folders: a bucket is a folder that a person can open, metadata lies beside it.
//!
//! Never writes an object in place, never leaves the folder of a bucket, whatever a key looks like. Only the newest
//! version of an object is kept, also where a bucket's versioning is on; a request for a version is refused by name.

mod http;
mod key;
mod multipart;
mod receive;
mod shape;
mod store;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use s3s::crypto::{Checksum as _, Md5};
use s3s::service::{S3Service, S3ServiceBuilder};
use serde_json::Value;
use tokio::sync::Notify;

use crate::ApiError;
use crate::service::{Properties, json_document};
use store::{Condition, Error, Metadata, Store};

pub(crate) use http::{answer, operation, presigned_access_key};

/// How the name of the bucket begins that custom resources answer to.
pub(crate) const RESPONSES: &str = "cloudformation-custom-resource-response-";

/// The buckets; clones share them.
#[derive(Clone)]
pub struct Buckets {
    shared: Arc<Shared>,
    service: S3Service,
}

struct Shared {
    folder: PathBuf,
    region: String,
    buckets: Mutex<BTreeMap<String, Arc<Bucket>>>,
    /// Told when an object was written by a request.
    written: Notify,
    uploads: Mutex<multipart::Uploads>,
}

struct Bucket {
    store: Store,
    created: std::time::SystemTime,
    encryption: Mutex<Encryption>,
}

impl Bucket {
    fn encryption(&self) -> Encryption {
        self.encryption.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a bucket encrypts its objects with when they do not say. Nothing is encrypted here; the headers are kept.
#[derive(Debug, Clone)]
struct Encryption {
    algorithm: String,
    key: Option<String>,
    bucket_key: Option<bool>,
}

impl Default for Encryption {
    /// S3's own default since January 2023.
    fn default() -> Self {
        Self { algorithm: "AES256".into(), key: None, bucket_key: None }
    }
}

impl Buckets {
    /// Buckets below this folder, which is created.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: PathBuf, region: &str) -> Result<Self, ApiError> {
        std::fs::create_dir_all(&folder).map_err(|error| disk(&error))?;
        let shared = Arc::new(Shared {
            folder,
            region: region.to_owned(),
            buckets: Mutex::default(),
            written: Notify::new(),
            uploads: Mutex::default(),
        });
        let service = S3ServiceBuilder::new(wire::Wire { shared: Arc::clone(&shared) }).build();
        Ok(Self { shared, service })
    }

    /// Creates the bucket of an `AWS::S3::Bucket` with these resolved properties under this name. What a former run left
    /// in its folder is there again.
    ///
    /// # Errors
    /// An unknown property by name, or a name that is no bucket name.
    pub async fn create_bucket(&self, name: &str, properties: &Value) -> Result<(), ApiError> {
        self.shared.create(name, encryption_of(properties)?)
    }

    /// Gives a bucket the settings of these properties; its objects stay.
    ///
    /// # Errors
    /// As [`Self::create_bucket`], or an unknown bucket.
    pub fn update_bucket(&self, name: &str, properties: &Value) -> Result<(), ApiError> {
        let encryption = encryption_of(properties)?;
        let bucket = self.shared.bucket(name).map_err(api_error)?;
        *bucket.encryption.lock().unwrap_or_else(PoisonError::into_inner) = encryption;
        Ok(())
    }

    /// Removes a bucket that holds no object. One that is not there is no error.
    ///
    /// # Errors
    /// `BucketNotEmpty`, or what the disk says.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), ApiError> {
        match self.blocking(name, |bucket| bucket.store.remove()).await {
            Ok(true) => {
                self.shared.forget(name);
                Ok(())
            }
            Ok(false) => Err(ApiError::new(409, "BucketNotEmpty", "The bucket you tried to delete is not empty")),
            Err(error) if error.code == "NoSuchBucket" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Accepts an `AWS::S3::BucketPolicy`: its bucket must exist, the policy is not evaluated.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown bucket.
    pub fn bucket_policy(&self, properties: &Value) -> Result<(), ApiError> {
        let mut read = Properties::of("AWS::S3::BucketPolicy", properties)?;
        let bucket = read.required("Bucket")?;
        if read.value("PolicyDocument").and_then(json_document).is_none() {
            return Err(read.error("PolicyDocument", "must be a JSON document"));
        }
        read.end()?;
        self.shared.bucket(&bucket).map(drop).map_err(api_error)
    }

    /// Writes an object, in process, and answers with its ETag.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what the disk says.
    pub async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Result<String, ApiError> {
        let key = key.to_owned();
        self.blocking(bucket, move |bucket| {
            let etag = hex::encode(Md5::checksum(&bytes));
            let encryption = bucket.encryption();
            let metadata = Metadata {
                etag: etag.clone(),
                encryption: Some(encryption.algorithm),
                encryption_key: encryption.key,
                bucket_key: encryption.bucket_key,
                ..Metadata::default()
            };
            let temporary = bucket.store.temporary();
            std::fs::write(&temporary, &bytes)?;
            bucket.store.put(&key, &temporary, metadata, &Condition::default())?;
            Ok(etag)
        })
        .await
    }

    /// Reads an object, in process.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, or what the disk says.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Bytes, ApiError> {
        let key = key.to_owned();
        self.blocking(bucket, move |bucket| {
            use std::io::Read as _;
            let mut object = bucket.store.get(&key)?;
            let mut bytes = Vec::new();
            object.file.read_to_end(&mut bytes)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }

    /// Reads an object at once, for who cannot wait: its text, and what its `x-amz-meta-package` says.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, or what the disk says; an object that is no text.
    pub(crate) fn text_now(&self, bucket: &str, key: &str) -> Result<String, ApiError> {
        use std::io::Read as _;
        let bucket = self.shared.bucket(bucket).map_err(api_error)?;
        let mut text = String::new();
        bucket.store.get(key).map_err(api_error)?.file.read_to_string(&mut text).map_err(|error| disk(&error))?;
        Ok(text)
    }

    /// One entry of an object's own metadata (`x-amz-meta-NAME`), at once.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, or what the disk says.
    pub(crate) fn metadata_now(&self, bucket: &str, key: &str, name: &str) -> Result<Option<String>, ApiError> {
        let bucket = self.shared.bucket(bucket).map_err(api_error)?;
        Ok(bucket.store.get(key).map_err(api_error)?.metadata.user.get(name).cloned())
    }

    /// Waits until a request has written this object, and reads it.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what the disk says.
    pub(crate) async fn arrival(&self, bucket: &str, key: &str) -> Result<Bytes, ApiError> {
        loop {
            let written = self.shared.written.notified();
            tokio::pin!(written);
            // Registered before looking, so that an arrival in between is not missed.
            written.as_mut().enable();
            match self.get(bucket, key).await {
                Err(error) if error.code == "NoSuchKey" => written.await,
                ended => return ended,
            }
        }
    }

    /// The keys with this prefix, in order.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what the disk says.
    pub async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ApiError> {
        let prefix = prefix.to_owned();
        self.blocking(bucket, move |bucket| bucket.store.keys(&prefix)).await
    }

    /// Deletes an object, in process; one that is not there is no error.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what the disk says.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), ApiError> {
        let key = key.to_owned();
        self.blocking(bucket, move |bucket| bucket.store.delete(&key, &Condition::default())).await
    }

    /// Whether there is a bucket of this name.
    pub(crate) fn exists(&self, bucket: &str) -> bool {
        self.shared.bucket(bucket).is_ok()
    }

    /// The folder of a bucket, for a person to open.
    pub fn folder(&self, bucket: &str) -> PathBuf {
        self.shared.folder.join(bucket)
    }

    pub(crate) fn service(&self) -> &S3Service {
        &self.service
    }

    async fn blocking<T: Send + 'static>(
        &self,
        bucket: &str,
        work: impl FnOnce(&Bucket) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let bucket = self.shared.bucket(bucket).map_err(api_error)?;
        tokio::task::spawn_blocking(move || work(&bucket))
            .await
            .map_err(|error| ApiError::new(500, "InternalError", error.to_string()))?
            .map_err(api_error)
    }
}

impl Shared {
    fn bucket(&self, name: &str) -> Result<Arc<Bucket>, Error> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.get(name).cloned().ok_or(Error::NoBucket)
    }

    /// Takes a bucket that is gone from the list.
    fn forget(&self, name: &str) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn create(&self, name: &str, encryption: Encryption) -> Result<(), ApiError> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let ends = name.starts_with(['-', '.']) || name.ends_with(['-', '.']) || name.contains("..");
        if !(3..=63).contains(&name.len()) || !name.bytes().all(good) || ends {
            let text = format!("The specified bucket is not valid: {name}");
            return Err(ApiError::new(400, "InvalidBucketName", text));
        }
        let store = Store::create(&self.folder, name).map_err(|error| disk(&error))?;
        let bucket = Bucket { store, created: std::time::SystemTime::now(), encryption: Mutex::new(encryption) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.contains_key(name) {
            let text = "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(ApiError::new(409, "BucketAlreadyOwnedByYou", text));
        }
        buckets.insert(name.to_owned(), Arc::new(bucket));
        Ok(())
    }
}

/// What the properties of an `AWS::S3::Bucket` say about encryption.
fn encryption_of(properties: &Value) -> Result<Encryption, ApiError> {
    let mut read = Properties::of("AWS::S3::Bucket", properties)?;
    let mut encryption = Encryption::default();
    if let Some(mut outer) = read.inside("BucketEncryption")? {
        for rule in outer.list("ServerSideEncryptionConfiguration")? {
            let mut rule = Properties::of("AWS::S3::Bucket BucketEncryption", rule)?;
            encryption.bucket_key = rule.flag("BucketKeyEnabled")?;
            if let Some(mut default) = rule.inside("ServerSideEncryptionByDefault")? {
                encryption.algorithm = default.required("SSEAlgorithm")?;
                encryption.key = default.text("KMSMasterKeyID")?;
                default.end()?;
            }
            rule.end()?;
        }
        outer.end()?;
    }
    if let Some(mut versioning) = read.inside("VersioningConfiguration")? {
        versioning.required("Status")?;
        versioning.end()?;
    }
    // About access, cost and ownership, which mean nothing on one machine; old objects are never cleaned up here.
    read.accept(&["BucketName", "Tags", "OwnershipControls", "PublicAccessBlockConfiguration"]);
    read.accept(&["AccessControl", "LifecycleConfiguration", "LoggingConfiguration"]);
    read.end()?;
    Ok(encryption)
}

fn disk(error: &std::io::Error) -> ApiError {
    ApiError::new(500, "InternalError", format!("the disk: {error}"))
}

fn api_error(error: Error) -> ApiError {
    let (status, code) = match &error {
        Error::NoBucket => (404, "NoSuchBucket"),
        Error::NoKey => (404, "NoSuchKey"),
        Error::Precondition => (412, "PreconditionFailed"),
        Error::Key(_) => (400, "KeyTooLongError"),
        Error::Disk(_) => (500, "InternalError"),
    };
    ApiError::new(status, code, error.to_string())
}
