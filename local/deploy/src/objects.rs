//! Objects of one bucket, read and written whole: a deployment's artefacts, a run's documents.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};

use crate::{Aws, Error, Outcome, failure};

const SERVICE: &str = "S3";

/// One bucket.
#[derive(Clone, Copy)]
pub struct Bucket<'a> {
    aws: &'a Aws,
    /// Its name.
    pub name: &'a str,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Another text when the object is another: tag and time.
    pub version: String,
}

impl<'a> Bucket<'a> {
    /// The bucket of this name; whether it is there is not looked at.
    #[must_use]
    pub fn new(aws: &'a Aws, name: &'a str) -> Self {
        Self { aws, name }
    }

    /// Creates the bucket unless it is there, encrypted and closed to the public; whether it was created.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn ensure(&self) -> Outcome<bool> {
        match self.aws.s3().head_bucket().bucket(self.name).send().await {
            Ok(_) => return Ok(false),
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => {}
            Err(error) => {
                let error = failure::of(SERVICE, error);
                return Err(Error::Usage(format!("the bucket {} cannot be used: {error}", self.name)));
            }
        }
        let mut create = self.aws.s3().create_bucket().bucket(self.name);
        // The one region that must not be named.
        if self.aws.region() != "us-east-1" {
            let place = BucketLocationConstraint::from(self.aws.region());
            create = create
                .create_bucket_configuration(CreateBucketConfiguration::builder().location_constraint(place).build());
        }
        create.send().await.map_err(|error| failure::of(SERVICE, error))?;
        let broken = |error: aws_smithy_types::error::operation::BuildError| Error::Broken(error.to_string());
        let by_default = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(ServerSideEncryption::Aes256)
            .build()
            .map_err(broken)?;
        let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(by_default).build();
        let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(broken)?;
        // S3 has encrypted and closed new buckets by itself since 2023; an account's policy may ask for it in words.
        let _ = self
            .aws
            .s3()
            .put_bucket_encryption()
            .bucket(self.name)
            .server_side_encryption_configuration(rules)
            .send()
            .await;
        let closed = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let _ = self
            .aws
            .s3()
            .put_public_access_block()
            .bucket(self.name)
            .public_access_block_configuration(closed)
            .send()
            .await;
        Ok(true)
    }

    /// Whether there is an object under this key.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn has(&self, key: &str) -> Outcome<bool> {
        match self.aws.s3().head_object().bucket(self.name).key(key).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => Ok(false),
            Err(error) => Err(failure::of(SERVICE, error)),
        }
    }

    /// An object, whole; nothing where there is none.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn get(&self, key: &str) -> Outcome<Option<Vec<u8>>> {
        let object = match self.aws.s3().get_object().bucket(self.name).key(key).send().await {
            Ok(object) => object,
            Err(error) => {
                let error = failure::of(SERVICE, error);
                let none = matches!(&error, Error::Service { code, .. } if code == "NoSuchKey");
                return if none { Ok(None) } else { Err(error) };
            }
        };
        let body = object.body.collect().await.map_err(|error| Error::Service {
            service: SERVICE,
            code: "transport".to_owned(),
            message: format!("{key} could not be read to its end: {error}"),
        })?;
        Ok(Some(body.to_vec()))
    }

    /// Writes an object with its metadata.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str, metadata: &[(&str, &str)]) -> Outcome<()> {
        let mut put = self.aws.s3().put_object().bucket(self.name).key(key).content_type(content_type);
        for (name, value) in metadata {
            put = put.metadata(*name, *value);
        }
        put.body(ByteStream::from(bytes)).send().await.map_err(|error| failure::of(SERVICE, error))?;
        Ok(())
    }

    /// The objects whose keys begin so, in S3's order.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn list(&self, prefix: &str) -> Outcome<Vec<Listed>> {
        let mut pages = self.aws.s3().list_objects_v2().bucket(self.name).prefix(prefix).into_paginator().send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure::of(SERVICE, error))?;
            listed.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| {
                let tag = object.e_tag.unwrap_or_default();
                let time = object.last_modified.map(|time| time.as_nanos()).unwrap_or_default();
                Some(Listed { key: object.key?, version: format!("{tag} {time}") })
            }));
        }
        Ok(listed)
    }

    /// The "folders" below a prefix that ends in a slash, each with the prefix and a slash at its end.
    ///
    /// # Errors
    /// What S3 refuses.
    pub async fn folders(&self, prefix: &str) -> Outcome<Vec<String>> {
        let request = self.aws.s3().list_objects_v2().bucket(self.name).prefix(prefix).delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure::of(SERVICE, error))?;
            folders.extend(page.common_prefixes.unwrap_or_default().into_iter().filter_map(|folder| folder.prefix));
        }
        Ok(folders)
    }
}
