//! S3's operations over the store. What is not here is refused by name, by the defaults of s3s.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::RESPONSES;
use super::multipart;
use super::receive::{Sums, receive};
use super::shape::{
    blocking, check, condition_etag, content_type, contents, contents_of, encoded, encrypt, error, headers, http_date,
    is_url, listed, parsed_date, prefixes_of, refuse_other_members, refuse_version, signed, write_condition,
};
use super::store::{Condition, Metadata, Object};
use super::{Bucket, Encryption, Shared};
use crate::ACCOUNT;

/// Keys of one page of a listing.
const PAGE: i32 = 1000;

/// The protocol's side of the buckets.
pub(super) struct Wire {
    pub(super) shared: Arc<Shared>,
}

impl Wire {
    fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        self.shared.bucket(name).map_err(error)
    }

    async fn open(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let (bucket, key) = (self.bucket(bucket)?, key.to_owned());
        blocking(move || bucket.store.get(&key)).await
    }

    /// The object that a copy is made of, if the copy's conditions hold.
    async fn source(
        &self,
        source: &CopySource,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
        modified_since: Option<&Timestamp>,
        unmodified_since: Option<&Timestamp>,
    ) -> S3Result<Object> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(s3_error!(NotImplemented, "a copy from an access point is not implemented"));
        };
        refuse_version(&version_id.as_ref().map(ToString::to_string), None)?;
        let object = self.open(bucket, key).await?;
        check(&object, if_match, if_none_match, modified_since, unmodified_since)
            .map_err(|_| s3_error!(PreconditionFailed))?;
        Ok(object)
    }

    /// The keys of a page and the prefixes that stand for others, from after `after`; and where the next page begins.
    async fn page(
        &self,
        bucket: &str,
        prefix: Option<String>,
        delimiter: Option<String>,
        after: Option<String>,
        most: i32,
    ) -> S3Result<Page> {
        let bucket = self.bucket(bucket)?;
        let prefix = prefix.unwrap_or_default();
        blocking(move || {
            let mut page = Page::default();
            let after = after.as_deref();
            let mut left = most;
            for key in bucket.store.keys(&prefix)? {
                let delimiter = delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
                let common = delimiter.and_then(|delimiter| {
                    let at = key[prefix.len()..].find(delimiter)?;
                    Some(key[..prefix.len() + at + delimiter.len()].to_owned())
                });
                let shown = common.as_deref().unwrap_or(&key);
                // A prefix that ended the last page stands for everything below it.
                let seen = after.is_some_and(|after| shown <= after || key.as_str() <= after);
                if seen || page.prefixes.last().is_some_and(|last| Some(last) == common.as_ref()) {
                    continue;
                }
                if left == 0 {
                    page.truncated = most > 0;
                    break;
                }
                left -= 1;
                page.last = Some(shown.to_owned());
                match common {
                    Some(common) => page.prefixes.push(common),
                    // One that was deleted meanwhile is not listed.
                    None => page.objects.extend(bucket.store.get(&key).ok().map(listed)),
                }
            }
            Ok(page)
        })
        .await
    }
}

#[derive(Default)]
struct Page {
    objects: Vec<s3s::dto::Object>,
    prefixes: Vec<String>,
    truncated: bool,
    last: Option<String>,
}

#[async_trait::async_trait]
impl S3 for Wire {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let name = request.input.bucket;
        self.shared.create(&name, Encryption::default()).map_err(|error| {
            let code = S3ErrorCode::from_bytes(error.code.as_bytes());
            S3Error::with_message(code.unwrap_or(S3ErrorCode::InternalError), error.message)
        })?;
        let location = Some(format!("/{name}"));
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        let name = request.input.bucket;
        let (shared, bucket) = (Arc::clone(&self.shared), self.bucket(&name)?);
        let empty = blocking(move || {
            let empty = bucket.store.remove()?;
            if empty {
                shared.forget(&name);
            }
            Ok(empty)
        });
        if !empty.await? {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        Ok(S3Response::with_status(DeleteBucketOutput {}, hyper::StatusCode::NO_CONTENT))
    }

    async fn list_buckets(&self, _request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.shared.buckets.lock().map_err(|_| S3ErrorCode::InternalError)?;
        // That of custom resources' answers belongs to CloudFormation, not to the account.
        let own = buckets.iter().filter(|(name, _)| !name.starts_with(RESPONSES));
        let buckets = own.map(|(name, bucket)| s3s::dto::Bucket {
            name: Some(name.clone()),
            creation_date: Some(bucket.created.into()),
            ..s3s::dto::Bucket::default()
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(Owner { display_name: None, id: Some(ACCOUNT.into()) }),
            ..ListBucketsOutput::default()
        }))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket)?;
        let bucket_region = Some(self.shared.region.clone());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&request.input.bucket)?;
        // The oldest region has no constraint.
        let region = Some(self.shared.region.clone()).filter(|region| region != "us-east-1");
        let location_constraint = region.map(BucketLocationConstraint::from);
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        refuse_other_members(&input)?;
        let bucket = self.bucket(&input.bucket)?;
        let condition = write_condition(input.if_none_match.as_ref(), input.if_match.as_ref())?;
        let mut metadata = Metadata {
            headers: headers([
                ("content-type", &input.content_type),
                ("cache-control", &input.cache_control),
                ("content-disposition", &input.content_disposition),
                ("content-encoding", &input.content_encoding),
                ("content-language", &input.content_language),
                ("expires", &input.expires.as_ref().map(http_date)),
            ]),
            user: input.metadata.unwrap_or_default().into_iter().collect(),
            ..Metadata::default()
        };
        encrypt(
            &mut metadata,
            &bucket.encryption(),
            input.server_side_encryption.as_ref().map(ServerSideEncryption::as_str),
            input.ssekms_key_id,
            input.bucket_key_enabled,
        );
        let temporary = bucket.store.temporary();
        let sent = Sums {
            md5: input.content_md5,
            crc32: input.checksum_crc32,
            crc32c: input.checksum_crc32c,
            sha1: input.checksum_sha1,
            sha256: input.checksum_sha256,
            crc64nvme: input.checksum_crc64nvme,
        };
        let received = receive(input.body, &temporary, sent).await?;
        metadata.etag = hex::encode(received.md5);
        metadata.checksums = received.checksums;
        let key = input.key;
        let metadata = blocking(move || bucket.store.put(&key, &temporary, metadata, &condition)).await?;
        self.shared.written.notify_waiters();
        let sum = |name: &str| metadata.checksums.get(name).cloned();
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(metadata.etag.clone())),
            checksum_crc32: sum("CRC32"),
            checksum_crc32c: sum("CRC32C"),
            checksum_sha1: sum("SHA1"),
            checksum_sha256: sum("SHA256"),
            checksum_crc64nvme: sum("CRC64NVME"),
            server_side_encryption: metadata.encryption.map(ServerSideEncryption::from),
            ssekms_key_id: metadata.encryption_key,
            bucket_key_enabled: metadata.bucket_key,
            ..PutObjectOutput::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        multipart::create(&self.shared, request.input).map(S3Response::new)
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        multipart::part(&self.shared, request.input).await.map(S3Response::new)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = request.input;
        let object = self
            .source(
                &input.copy_source,
                input.copy_source_if_match.as_ref(),
                input.copy_source_if_none_match.as_ref(),
                input.copy_source_if_modified_since.as_ref(),
                input.copy_source_if_unmodified_since.as_ref(),
            )
            .await?;
        multipart::part_of(&self.shared, input, object).await.map(S3Response::new)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        multipart::list_parts(&self.shared, request.input).map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        multipart::list(&self.shared, request.input).map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        multipart::complete(&self.shared, request.input).await.map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        multipart::abort(&self.shared, &request.input).await?;
        let gone = hyper::StatusCode::NO_CONTENT;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), gone))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        refuse_version(&input.version_id, input.part_number)?;
        let object = self.open(&input.bucket, &input.key).await?;
        check(
            &object,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        )?;
        let length = object.length;
        let part = match input.range {
            None => 0..length,
            Some(range) => range.check(length).map_err(|_| s3_error!(InvalidRange))?,
        };
        let partial = input.range.is_some();
        let mut file = object.file;
        file.seek(SeekFrom::Start(part.start)).map_err(|failed| error(failed.into()))?;
        let size = part.end - part.start;
        let metadata = object.metadata;
        let header = |name: &str| metadata.headers.get(name).cloned();
        let checked = input.checksum_mode.is_some() && !partial;
        let sum = |name: &str| metadata.checksums.get(name).cloned().filter(|_| checked);
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            body: Some(contents(file, size)),
            cache_control: input.response_cache_control.or(header("cache-control")),
            checksum_crc32: sum("CRC32"),
            checksum_crc32c: sum("CRC32C"),
            checksum_sha1: sum("SHA1"),
            checksum_sha256: sum("SHA256"),
            checksum_crc64nvme: sum("CRC64NVME"),
            content_disposition: input.response_content_disposition.or(header("content-disposition")),
            content_encoding: input.response_content_encoding.or(header("content-encoding")),
            content_language: input.response_content_language.or(header("content-language")),
            content_length: Some(signed(size)),
            content_range: partial.then(|| format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1))),
            content_type: input.response_content_type.or(Some(content_type(&metadata))),
            e_tag: Some(ETag::Strong(metadata.etag.clone())),
            expires: header("expires").as_deref().and_then(parsed_date),
            last_modified: Some(object.modified.into()),
            metadata: Some(metadata.user.clone().into_iter().collect()),
            server_side_encryption: metadata.encryption.clone().map(ServerSideEncryption::from),
            ssekms_key_id: metadata.encryption_key.clone(),
            bucket_key_enabled: metadata.bucket_key,
            ..GetObjectOutput::default()
        };
        let mut response = S3Response::new(output);
        if partial {
            response.status = Some(hyper::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        refuse_version(&input.version_id, input.part_number)?;
        let object = self.open(&input.bucket, &input.key).await?;
        check(
            &object,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        )?;
        let metadata = object.metadata;
        let header = |name: &str| metadata.headers.get(name).cloned();
        let checked = input.checksum_mode.is_some();
        let sum = |name: &str| metadata.checksums.get(name).cloned().filter(|_| checked);
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".into()),
            cache_control: header("cache-control"),
            checksum_crc32: sum("CRC32"),
            checksum_crc32c: sum("CRC32C"),
            checksum_sha1: sum("SHA1"),
            checksum_sha256: sum("SHA256"),
            checksum_crc64nvme: sum("CRC64NVME"),
            content_disposition: header("content-disposition"),
            content_encoding: header("content-encoding"),
            content_language: header("content-language"),
            content_length: Some(signed(object.length)),
            content_type: Some(content_type(&metadata)),
            e_tag: Some(ETag::Strong(metadata.etag.clone())),
            expires: header("expires").as_deref().and_then(parsed_date),
            last_modified: Some(object.modified.into()),
            metadata: Some(metadata.user.clone().into_iter().collect()),
            server_side_encryption: metadata.encryption.clone().map(ServerSideEncryption::from),
            ssekms_key_id: metadata.encryption_key.clone(),
            bucket_key_enabled: metadata.bucket_key,
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let after = match &input.continuation_token {
            None => input.start_after.clone(),
            Some(token) => Some(
                hex::decode(token)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))?,
            ),
        };
        let most = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        let page = self.page(&input.bucket, prefix, delimiter, after, most).await?;
        let url = is_url(input.encoding_type.as_ref());
        let next = page.last.as_ref().filter(|_| page.truncated).map(hex::encode);
        let count = page.objects.len() + page.prefixes.len();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoded(input.prefix.unwrap_or_default(), url)),
            max_keys: Some(most),
            key_count: Some(i32::try_from(count).unwrap_or(PAGE)),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.truncated),
            next_continuation_token: next,
            contents: Some(contents_of(page.objects, url)),
            common_prefixes: Some(prefixes_of(page.prefixes, url)),
            delimiter: input.delimiter.map(|delimiter| encoded(delimiter, url)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|after| encoded(after, url)),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let most = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        let page = self.page(&input.bucket, prefix, delimiter, input.marker.clone(), most).await?;
        let url = is_url(input.encoding_type.as_ref());
        let next = page.last.clone().filter(|_| page.truncated).map(|last| encoded(last, url));
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoded(input.prefix.unwrap_or_default(), url)),
            marker: input.marker.map(|marker| encoded(marker, url)),
            max_keys: Some(most),
            is_truncated: Some(page.truncated),
            contents: Some(contents_of(page.objects, url)),
            common_prefixes: Some(prefixes_of(page.prefixes, url)),
            delimiter: input.delimiter.map(|delimiter| encoded(delimiter, url)),
            next_marker: next,
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        refuse_version(&input.version_id, None)?;
        let bucket = self.bucket(&input.bucket)?;
        let etag = input.if_match.as_ref().map(condition_etag);
        let condition = Condition { absent: false, etag };
        blocking(move || bucket.store.delete(&input.key, &condition)).await?;
        Ok(S3Response::with_status(DeleteObjectOutput::default(), hyper::StatusCode::NO_CONTENT))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let quiet = input.delete.quiet.unwrap_or(false);
        let output = blocking(move || {
            let (mut deleted, mut errors) = (Vec::new(), Vec::new());
            for object in input.delete.objects {
                let etag = object.e_tag.map(ETag::into_value);
                let ended = match object.version_id {
                    Some(_) => Err(s3_error!(NotImplemented, "versions are not implemented")),
                    None => {
                        let condition = Condition { absent: false, etag };
                        bucket.store.delete(&object.key, &condition).map_err(error)
                    }
                };
                match ended {
                    Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() }),
                    Err(failed) => errors.push(s3s::dto::Error {
                        code: Some(failed.code().as_str().to_owned()),
                        key: Some(object.key),
                        message: failed.message().map(ToOwned::to_owned),
                        version_id: object.version_id,
                    }),
                }
            }
            Ok(DeleteObjectsOutput {
                deleted: (!quiet).then_some(deleted),
                errors: Some(errors),
                ..DeleteObjectsOutput::default()
            })
        });
        Ok(S3Response::new(output.await?))
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let object = self
            .source(
                &input.copy_source,
                input.copy_source_if_match.as_ref(),
                input.copy_source_if_none_match.as_ref(),
                input.copy_source_if_modified_since.as_ref(),
                input.copy_source_if_unmodified_since.as_ref(),
            )
            .await?;
        let bucket = self.bucket(&input.bucket)?;
        let replace =
            input.metadata_directive.as_ref().is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        let same = matches!(&input.copy_source, CopySource::Bucket { bucket, key, .. }
            if bucket.as_ref() == input.bucket && key.as_ref() == input.key);
        if same && !replace && input.server_side_encryption.is_none() {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the \
                 object's metadata, storage class, website redirect location or encryption attributes."
            ));
        }
        let mut metadata = Metadata {
            etag: object.metadata.etag.clone(),
            checksums: object.metadata.checksums.clone(),
            ..Metadata::default()
        };
        if replace {
            metadata.headers = headers([
                ("content-type", &input.content_type),
                ("cache-control", &input.cache_control),
                ("content-disposition", &input.content_disposition),
                ("content-encoding", &input.content_encoding),
                ("content-language", &input.content_language),
                ("expires", &input.expires.as_ref().map(http_date)),
            ]);
            metadata.user = input.metadata.unwrap_or_default().into_iter().collect();
        } else {
            metadata.headers.clone_from(&object.metadata.headers);
            metadata.user.clone_from(&object.metadata.user);
        }
        encrypt(
            &mut metadata,
            &bucket.encryption(),
            input.server_side_encryption.as_ref().map(ServerSideEncryption::as_str),
            input.ssekms_key_id,
            input.bucket_key_enabled,
        );
        let key = input.key;
        let metadata = blocking(move || {
            let temporary = bucket.store.temporary();
            let mut file = object.file;
            std::io::copy(&mut file, &mut File::create(&temporary)?)?;
            bucket.store.put(&key, &temporary, metadata, &Condition::default())
        })
        .await?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(metadata.etag)),
                last_modified: Some(SystemTime::now().into()),
                ..CopyObjectResult::default()
            }),
            server_side_encryption: metadata.encryption.map(ServerSideEncryption::from),
            ssekms_key_id: metadata.encryption_key,
            bucket_key_enabled: metadata.bucket_key,
            ..CopyObjectOutput::default()
        }))
    }
}
