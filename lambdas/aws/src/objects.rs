//! Objects of one bucket: configuration, results, reports. Small ones are read and written whole; results of any size
//! are written in parts, so that memory holds one part. Never logs what an object holds.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use statement::ports::{FailureKind, Outcome};

use crate::clients::Clients;
use crate::failure;

/// Size of a part. S3 takes 10,000 parts of at least 5 MiB: 80 GB of result.
const PART_BYTES: usize = 8 << 20;

/// One bucket.
#[derive(Clone)]
pub struct Objects {
    clients: Arc<Clients>,
    bucket: String,
}

impl Objects {
    /// The bucket of this name.
    #[must_use]
    pub fn new(clients: Arc<Clients>, bucket: impl Into<String>) -> Self {
        Self { clients, bucket: bucket.into() }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// An object, whole; nothing where there is none.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>> {
        Ok(self.get_within(key, u64::MAX).await?.and_then(Result::ok))
    }

    /// The same of an object that is no larger than `most` bytes, otherwise its size.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn get_within(&self, key: &str, most: u64) -> Outcome<Option<Result<Vec<u8>, u64>>> {
        let object = match self.clients.s3().get_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => object,
            Err(error) => {
                let failure = failure::of("s3", &error);
                return if failure.kind == FailureKind::NotFound { Ok(None) } else { Err(failure) };
            }
        };
        let size = object.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        if size > most {
            return Ok(Some(Err(size)));
        }
        let body = object.body.collect().await.map_err(|_| {
            failure::ours("s3", FailureKind::Unknown, "transport", "the object could not be read to its end")
        })?;
        Ok(Some(Ok(body.to_vec())))
    }

    /// Writes an object, over what was there.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Outcome<()> {
        let request = self.clients.s3().put_object().bucket(&self.bucket).key(key).content_type(content_type);
        request.body(ByteStream::from(bytes)).send().await.map_err(|error| failure::of("s3", &error))?;
        Ok(())
    }

    /// Writes an object unless there is one; whether it was written.
    ///
    /// # Errors
    /// What S3 refuses, apart from an object that is there.
    pub async fn put_new(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Outcome<bool> {
        let request = self.clients.s3().put_object().bucket(&self.bucket).key(key).content_type(content_type);
        match request.if_none_match("*").body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(true),
            Err(error) => {
                let failure = failure::of("s3", &error);
                if failure.code == "PreconditionFailed" { Ok(false) } else { Err(failure) }
            }
        }
    }

    /// Copies an object of another bucket to this key, without its bytes passing through here.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn copy_from(&self, bucket: &str, source: &str, key: &str) -> Outcome<()> {
        let source = format!("{bucket}/{}", percent_encoded(source));
        let request = self.clients.s3().copy_object().bucket(&self.bucket).key(key).copy_source(source);
        request.send().await.map_err(|error| failure::of("s3", &error))?;
        Ok(())
    }

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn delete(&self, key: &str) -> Outcome<()> {
        let request = self.clients.s3().delete_object().bucket(&self.bucket).key(key);
        request.send().await.map_err(|error| failure::of("s3", &error))?;
        Ok(())
    }

    /// The keys that begin so, in S3's order.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn keys(&self, prefix: &str) -> Outcome<Vec<String>> {
        let mut pages = self.clients.s3().list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure::of("s3", &error))?;
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
        }
        Ok(keys)
    }

    /// The "folders" below a prefix that ends in a slash: what stands between it and the next slash, with both.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn folders(&self, prefix: &str) -> Outcome<Vec<String>> {
        let request = self.clients.s3().list_objects_v2().bucket(&self.bucket).prefix(prefix).delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure::of("s3", &error))?;
            folders.extend(page.common_prefixes.unwrap_or_default().into_iter().filter_map(|folder| folder.prefix));
        }
        Ok(folders)
    }

    /// An address that reads the object without credentials, for this long; no longer than the function's own
    /// credentials last.
    ///
    /// # Errors
    /// A time that S3 does not allow.
    pub async fn presigned(&self, key: &str, lasts: Duration) -> Outcome<String> {
        let refused = |what: &str| failure::ours("s3", FailureKind::Refused, "presigning", what);
        let config = PresigningConfig::expires_in(lasts).map_err(|error| refused(&error.to_string()))?;
        let request = self.clients.s3().get_object().bucket(&self.bucket).key(key);
        let signed = request.presigned(config).await.map_err(|error| failure::of("s3", &error))?;
        Ok(signed.uri().to_owned())
    }

    /// Begins an object that is written piece by piece. It exists once [`Upload::finish`] has returned.
    #[must_use]
    pub fn upload(&self, key: &str, content_type: &str) -> Upload {
        Upload {
            objects: self.clone(),
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            waiting: Vec::new(),
            id: None,
            parts: Vec::new(),
        }
    }
}

/// A key as `x-amz-copy-source` wants it; slashes stay.
fn percent_encoded(key: &str) -> String {
    let mut text = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// An object that is being written. One that is not finished leaves nothing: its parts are given up with
/// [`Upload::abort`], or by the bucket's lifecycle where even that could not be said.
pub struct Upload {
    objects: Objects,
    key: String,
    content_type: String,
    waiting: Vec<u8>,
    id: Option<String>,
    parts: Vec<CompletedPart>,
}

impl Upload {
    /// Appends.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn push(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() < PART_BYTES {
            return Ok(());
        }
        self.send_part().await
    }

    /// The object exists when this returns.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn finish(mut self) -> Outcome<()> {
        if self.id.is_none() {
            // Too small for parts.
            return self.objects.put(&self.key, std::mem::take(&mut self.waiting), &self.content_type).await;
        }
        if !self.waiting.is_empty() {
            self.send_part().await?;
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(std::mem::take(&mut self.parts))).build();
        let s3 = self.objects.clients.s3();
        let request = s3.complete_multipart_upload().bucket(&self.objects.bucket).key(&self.key);
        let request = request.set_upload_id(self.id.take()).multipart_upload(parts);
        request.send().await.map_err(|error| failure::of("s3", &error))?;
        Ok(())
    }

    /// Gives up what was written.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn abort(mut self) -> Outcome<()> {
        let Some(id) = self.id.take() else { return Ok(()) };
        let s3 = self.objects.clients.s3();
        let request = s3.abort_multipart_upload().bucket(&self.objects.bucket).key(&self.key).upload_id(id);
        request.send().await.map_err(|error| failure::of("s3", &error))?;
        Ok(())
    }

    async fn send_part(&mut self) -> Outcome<()> {
        let s3 = self.objects.clients.s3();
        let (bucket, key) = (&self.objects.bucket, &self.key);
        let id = match &self.id {
            Some(id) => id.clone(),
            None => {
                let request = s3.create_multipart_upload().bucket(bucket).key(key).content_type(&self.content_type);
                let created = request.send().await.map_err(|error| failure::of("s3", &error))?;
                let id = created.upload_id.ok_or_else(|| {
                    failure::ours("s3", FailureKind::Unknown, "shape", "CreateMultipartUpload gave no upload id")
                })?;
                self.id.insert(id).clone()
            }
        };
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let body = ByteStream::from(std::mem::take(&mut self.waiting));
        let request = s3.upload_part().bucket(bucket).key(key).upload_id(id).part_number(number).body(body);
        let sent = request.send().await.map_err(|error| failure::of("s3", &error))?;
        self.parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
        Ok(())
    }
}
