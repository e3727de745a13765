//! Uploads in parts: each part is a temporary file until the upload is completed, and then one object.
//!
//! An upload that is never completed or aborted goes with the process; its files stay in the folder of temporary files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::{S3Result, s3_error};
use uuid::Uuid;

use super::receive::{Sums, receive};
use super::shape::{blocking, encrypt, error, headers, http_date, write_condition};
use super::store::Metadata;
use super::{Bucket, Shared};

/// Bytes of every part but the last (S3 user guide, "Amazon S3 multipart upload limits").
const LEAST_PART: u64 = 5 * 1024 * 1024;
/// Parts of one upload.
const MOST_PARTS: i32 = 10_000;

/// The uploads under way, by their id.
pub(super) type Uploads = BTreeMap<String, Upload>;

/// One upload.
pub(super) struct Upload {
    bucket: String,
    key: String,
    metadata: Metadata,
    parts: BTreeMap<i32, Part>,
}

struct Part {
    file: PathBuf,
    md5: [u8; 16],
    length: u64,
}

impl Upload {
    fn remove_files(self) {
        for part in self.parts.into_values() {
            if let Err(error) = std::fs::remove_file(&part.file) {
                tracing::warn!(%error, "a part's file stays");
            }
        }
    }
}

pub(super) fn create(shared: &Shared, input: CreateMultipartUploadInput) -> S3Result<CreateMultipartUploadOutput> {
    let bucket = shared.bucket(&input.bucket).map_err(error)?;
    for (name, given) in [
        ("x-amz-tagging", input.tagging.is_some()),
        ("x-amz-object-lock-mode", input.object_lock_mode.is_some()),
        ("x-amz-server-side-encryption-customer-algorithm", input.sse_customer_algorithm.is_some()),
        ("x-amz-website-redirect-location", input.website_redirect_location.is_some()),
    ] {
        if given {
            return Err(s3_error!(NotImplemented, "CreateMultipartUpload: {} is not implemented", name));
        }
    }
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
        &bucket.encryption,
        input.server_side_encryption.as_ref().map(ServerSideEncryption::as_str),
        input.ssekms_key_id,
        input.bucket_key_enabled,
    );
    let id = Uuid::new_v4().simple().to_string();
    let output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(id.clone()),
        server_side_encryption: metadata.encryption.clone().map(ServerSideEncryption::from),
        ssekms_key_id: metadata.encryption_key.clone(),
        bucket_key_enabled: metadata.bucket_key,
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..CreateMultipartUploadOutput::default()
    };
    let upload = Upload { bucket: input.bucket, key: input.key, metadata, parts: BTreeMap::new() };
    uploads(shared).insert(id, upload);
    Ok(output)
}

pub(super) async fn part(shared: &Shared, input: UploadPartInput) -> S3Result<UploadPartOutput> {
    let bucket = find(shared, &input.bucket, &input.key, &input.upload_id)?;
    if !(1..=MOST_PARTS).contains(&input.part_number) {
        return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
    }
    let file = bucket.store.temporary();
    let sent = Sums {
        md5: input.content_md5,
        crc32: input.checksum_crc32,
        crc32c: input.checksum_crc32c,
        sha1: input.checksum_sha1,
        sha256: input.checksum_sha256,
        crc64nvme: input.checksum_crc64nvme,
    };
    let received = receive(input.body, &file, sent).await?;
    let part = Part { file: file.clone(), md5: received.md5, length: received.length };
    let replaced = match uploads(shared).get_mut(&input.upload_id) {
        Some(upload) => upload.parts.insert(input.part_number, part).map(|part| part.file),
        // Completed or aborted meanwhile: the part is of no use.
        None => Some(file),
    };
    if let Some(file) = replaced {
        tokio::fs::remove_file(file).await.map_err(|failed| error(failed.into()))?;
    }
    let sum = |name: &str| received.checksums.get(name).cloned();
    Ok(UploadPartOutput {
        e_tag: Some(ETag::Strong(hex::encode(received.md5))),
        checksum_crc32: sum("CRC32"),
        checksum_crc32c: sum("CRC32C"),
        checksum_sha1: sum("SHA1"),
        checksum_sha256: sum("SHA256"),
        checksum_crc64nvme: sum("CRC64NVME"),
        ..UploadPartOutput::default()
    })
}

pub(super) async fn complete(
    shared: &Shared,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let bucket = find(shared, &input.bucket, &input.key, &input.upload_id)?;
    let condition = write_condition(input.if_none_match.as_ref(), input.if_match.as_ref())?;
    let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let (files, mut metadata) = {
        let uploads = uploads(shared);
        let upload = uploads.get(&input.upload_id).ok_or_else(no_upload)?;
        (check(upload, &listed)?, upload.metadata.clone())
    };
    let digests: Vec<u8> = files.iter().flat_map(|(_, md5)| *md5).collect();
    metadata.etag = format!("{}-{}", hex::encode(Md5::checksum(&digests)), files.len());
    let key = input.key.clone();
    let metadata = blocking(move || {
        let temporary = bucket.store.temporary();
        let mut whole = File::create(&temporary)?;
        for (file, _) in &files {
            std::io::copy(&mut File::open(file)?, &mut whole)?;
        }
        bucket.store.put(&key, &temporary, metadata, &condition)
    })
    .await?;
    if let Some(upload) = uploads(shared).remove(&input.upload_id) {
        upload.remove_files();
    }
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(metadata.etag)),
        server_side_encryption: metadata.encryption.map(ServerSideEncryption::from),
        ssekms_key_id: metadata.encryption_key,
        bucket_key_enabled: metadata.bucket_key,
        ..CompleteMultipartUploadOutput::default()
    })
}

pub(super) async fn abort(shared: &Shared, input: &AbortMultipartUploadInput) -> S3Result<()> {
    find(shared, &input.bucket, &input.key, &input.upload_id)?;
    if let Some(upload) = uploads(shared).remove(&input.upload_id) {
        upload.remove_files();
    }
    Ok(())
}

/// The files of the parts that a completion lists, if it may list them so.
fn check(upload: &Upload, listed: &[CompletedPart]) -> S3Result<Vec<(PathBuf, [u8; 16])>> {
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    let (mut parts, mut before) = (Vec::with_capacity(listed.len()), 0);
    for wanted in listed {
        let number = wanted.part_number.unwrap_or_default();
        if number <= before {
            return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
        }
        before = number;
        let etag = wanted.e_tag.as_ref().map(ETag::value);
        let part = upload.parts.get(&number).filter(|part| etag == Some(&*hex::encode(part.md5)));
        parts.push(
            part.ok_or_else(|| s3_error!(InvalidPart, "One or more of the specified parts could not be found."))?,
        );
    }
    let all_but_last = parts.split_last().map_or(&[][..], |(_, before)| before);
    if all_but_last.iter().any(|part| part.length < LEAST_PART) {
        return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
    }
    Ok(parts.into_iter().map(|part| (part.file.clone(), part.md5)).collect())
}

fn find(shared: &Shared, bucket: &str, key: &str, id: &str) -> S3Result<Arc<Bucket>> {
    let found = shared.bucket(bucket).map_err(error)?;
    let uploads = uploads(shared);
    let upload = uploads.get(id).filter(|upload| upload.bucket == bucket && upload.key == key);
    upload.map(|_| found).ok_or_else(no_upload)
}

fn uploads(shared: &Shared) -> MutexGuard<'_, Uploads> {
    shared.uploads.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_upload() -> s3s::S3Error {
    s3_error!(NoSuchUpload, "The specified multipart upload does not exist.")
}
