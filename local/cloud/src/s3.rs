//! S3 over folders: a bucket is a folder that a person can open, metadata lies beside it.
//!
//! Never writes an object in place, never leaves the folder of a bucket, whatever a key looks like.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use crate::ApiError;

/// The buckets; clones share them.
#[derive(Clone)]
pub struct Buckets {}

impl Buckets {
    /// Buckets below this folder, which is created. Buckets that a former run left there are found again.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(_folder: PathBuf, _region: &str) -> Result<Self, ApiError> {
        Ok(Self {})
    }

    /// Creates the bucket of an `AWS::S3::Bucket` with these resolved properties under this name.
    ///
    /// # Errors
    /// An unknown property by name, or a name that is no bucket name.
    pub async fn create_bucket(&self, _name: &str, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("s3", "create_bucket"))
    }

    /// Accepts an `AWS::S3::BucketPolicy`: its bucket must exist, the policy is not evaluated.
    ///
    /// # Errors
    /// An unknown property by name, or an unknown bucket.
    pub fn bucket_policy(&self, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("s3", "bucket_policy"))
    }

    /// Writes an object, in process, and answers with its ETag.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what the disk says.
    pub async fn put(&self, _bucket: &str, _key: &str, _bytes: Bytes) -> Result<String, ApiError> {
        Err(ApiError::not_implemented("s3", "put"))
    }

    /// Reads an object, in process.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, or what the disk says.
    pub async fn get(&self, _bucket: &str, _key: &str) -> Result<Bytes, ApiError> {
        Err(ApiError::not_implemented("s3", "get"))
    }

    /// The keys with this prefix, in order.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what the disk says.
    pub async fn keys(&self, _bucket: &str, _prefix: &str) -> Result<Vec<String>, ApiError> {
        Err(ApiError::not_implemented("s3", "keys"))
    }

    /// The folder of a bucket, for a person to open.
    pub fn folder(&self, _bucket: &str) -> PathBuf {
        PathBuf::new()
    }
}
