//! An S3 in memory, for COPY and UNLOAD.

use async_trait::async_trait;
use bytes::Bytes;
use redshift::object::{Error, ObjectStore};
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Default)]
pub struct Objects {
    objects: Mutex<BTreeMap<(String, String), Bytes>>,
}

fn known(bucket: &str) -> Result<(), Error> {
    match bucket {
        "data" | "out" => Ok(()),
        "closed" => Err(Error::AccessDenied),
        _ => Err(Error::NoSuchBucket),
    }
}

impl Objects {
    pub fn write(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.objects.lock().unwrap().insert((bucket.to_owned(), key.to_owned()), bytes.into());
    }

    pub fn text(&self, bucket: &str, key: &str) -> String {
        String::from_utf8(self.bytes(bucket, key).to_vec()).unwrap()
    }

    pub fn bytes(&self, bucket: &str, key: &str) -> Bytes {
        let objects = self.objects.lock().unwrap();
        let found = objects.get(&(bucket.to_owned(), key.to_owned()));
        found.unwrap_or_else(|| panic!("no {bucket}/{key}")).clone()
    }

    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.objects.lock().unwrap().keys().filter(|(of, _)| of == bucket).map(|(_, key)| key.clone()).collect()
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error> {
        known(bucket)?;
        Ok(self.keys(bucket).into_iter().filter(|key| key.starts_with(prefix)).collect())
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Bytes, Error> {
        known(bucket)?;
        let objects = self.objects.lock().unwrap();
        objects.get(&(bucket.to_owned(), key.to_owned())).cloned().ok_or(Error::NoSuchKey)
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Result<(), Error> {
        known(bucket)?;
        self.write(bucket, key, bytes);
        Ok(())
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        known(bucket)?;
        self.objects.lock().unwrap().remove(&(bucket.to_owned(), key.to_owned()));
        Ok(())
    }
}
