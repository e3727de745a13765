//! The objects that COPY reads and UNLOAD writes: S3 as far as they need it, to be supplied by whoever has one.

use async_trait::async_trait;
use bytes::Bytes;

/// Why an object could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 404: no such bucket.
    #[error("The specified bucket does not exist,Status 404,Error NoSuchBucket")]
    NoSuchBucket,
    /// 404: no such key.
    #[error("The specified key does not exist.,Status 404,Error NoSuchKey")]
    NoSuchKey,
    /// 403.
    #[error("Access Denied,Status 403,Error AccessDenied")]
    AccessDenied,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Buckets with objects. Keys are those of S3: any text, without a leading slash.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// The keys that begin with `prefix`, in the order of their bytes.
    ///
    /// # Errors
    /// [`Error`]; a prefix without keys is none.
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error>;

    /// A whole object.
    ///
    /// # Errors
    /// [`Error`], for example [`Error::NoSuchKey`].
    async fn get(&self, bucket: &str, key: &str) -> Result<Bytes, Error>;

    /// Writes an object, over one that is there.
    ///
    /// # Errors
    /// [`Error`].
    async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Result<(), Error>;

    /// Deletes an object; one that is not there is no error.
    ///
    /// # Errors
    /// [`Error`].
    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Error>;
}
