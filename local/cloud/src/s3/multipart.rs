//! Uploads in parts: each part is a temporary file until the upload is completed, and then one object.
//!
//! An upload that is never completed or aborted goes with the process; its files stay in the folder of temporary files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::SystemTime;

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::{S3Result, s3_error};
use uuid::Uuid;

use super::receive::{Sums, receive};
use super::shape::{blocking, encoded, encrypt, error, headers, http_date, is_url, signed, write_condition};
use super::store::{Metadata, Object};
use super::{Bucket, Shared};

/// Bytes of every part but the last (S3 user guide, "Amazon S3 multipart upload limits").
const LEAST_PART: u64 = 5 * 1024 * 1024;
/// Parts of one upload.
const MOST_PARTS: i32 = 10_000;
/// Parts or uploads of one page of a list.
const PAGE: i32 = 1000;

/// The uploads under way, by their id.
pub(super) type Uploads = BTreeMap<String, Upload>;

/// One upload.
pub(super) struct Upload {
    bucket: String,
    key: String,
    metadata: Metadata,
    begun: SystemTime,
    parts: BTreeMap<i32, Part>,
}

struct Part {
    file: PathBuf,
    md5: [u8; 16],
    length: u64,
    at: SystemTime,
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
        &bucket.encryption(),
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
    let begun = SystemTime::now();
    let upload = Upload { bucket: input.bucket, key: input.key, metadata, begun, parts: BTreeMap::new() };
    uploads(shared).insert(id, upload);
    Ok(output)
}

pub(super) async fn part(shared: &Shared, input: UploadPartInput) -> S3Result<UploadPartOutput> {
    let bucket = find(shared, &input.bucket, &input.key, &input.upload_id)?;
    check_number(input.part_number)?;
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
    let part = Part { file, md5: received.md5, length: received.length, at: SystemTime::now() };
    keep(shared, &input.upload_id, input.part_number, part).await?;
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

/// A part that is a piece of an object. `source` was opened and held against the request's conditions by the caller.
pub(super) async fn part_of(
    shared: &Shared,
    input: UploadPartCopyInput,
    source: Object,
) -> S3Result<UploadPartCopyOutput> {
    let bucket = find(shared, &input.bucket, &input.key, &input.upload_id)?;
    check_number(input.part_number)?;
    let range = match input.copy_source_range.as_deref() {
        None => 0..source.length,
        Some(text) => range(text, source.length)
            .ok_or_else(|| s3_error!(InvalidArgument, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"))?,
    };
    let part = blocking(move || {
        let temporary = bucket.store.temporary();
        let (mut from, mut to) = (source.file, File::create(&temporary)?);
        from.seek(SeekFrom::Start(range.start))?;
        let mut left = from.take(range.end - range.start);
        let (mut md5, mut length, mut buffer) = (Md5::new(), 0, vec![0; 256 * 1024]);
        loop {
            match left.read(&mut buffer)? {
                0 => break,
                got => {
                    md5.update(&buffer[..got]);
                    to.write_all(&buffer[..got])?;
                    length += got as u64;
                }
            }
        }
        Ok(Part { file: temporary, md5: md5.finalize(), length, at: SystemTime::now() })
    })
    .await?;
    let result = CopyPartResult {
        e_tag: Some(ETag::Strong(hex::encode(part.md5))),
        last_modified: Some(part.at.into()),
        ..CopyPartResult::default()
    };
    keep(shared, &input.upload_id, input.part_number, part).await?;
    Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() })
}

/// `bytes=first-last`, which unlike other ranges must lie inside the object.
fn range(text: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    (first <= last && last < length).then_some(first..last + 1)
}

fn check_number(number: i32) -> S3Result<()> {
    if (1..=MOST_PARTS).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

/// Puts a part to its upload, in the place of the one of its number.
async fn keep(shared: &Shared, id: &str, number: i32, part: Part) -> S3Result<()> {
    let file = part.file.clone();
    let replaced = match uploads(shared).get_mut(id) {
        Some(upload) => upload.parts.insert(number, part).map(|part| part.file),
        // Completed or aborted meanwhile: the part is of no use.
        None => Some(file),
    };
    match replaced {
        Some(file) => tokio::fs::remove_file(file).await.map_err(|failed| error(failed.into())),
        None => Ok(()),
    }
}

pub(super) fn list_parts(shared: &Shared, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    find(shared, &input.bucket, &input.key, &input.upload_id)?;
    let most = input.max_parts.unwrap_or(PAGE).clamp(0, PAGE);
    let after = input.part_number_marker.unwrap_or_default();
    let uploads = uploads(shared);
    let upload = uploads.get(&input.upload_id).ok_or_else(no_upload)?;
    let mut rest = upload.parts.iter().filter(|(number, _)| **number > after);
    let parts: Vec<s3s::dto::Part> = rest
        .by_ref()
        .take(usize::try_from(most).unwrap_or_default())
        .map(|(number, part)| s3s::dto::Part {
            part_number: Some(*number),
            e_tag: Some(ETag::Strong(hex::encode(part.md5))),
            size: Some(signed(part.length)),
            last_modified: Some(part.at.into()),
            ..s3s::dto::Part::default()
        })
        .collect();
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(most),
        part_number_marker: Some(after),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        is_truncated: Some(rest.next().is_some()),
        parts: Some(parts),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..ListPartsOutput::default()
    })
}

pub(super) fn list(shared: &Shared, input: ListMultipartUploadsInput) -> S3Result<ListMultipartUploadsOutput> {
    shared.bucket(&input.bucket).map_err(error)?;
    if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(s3_error!(NotImplemented, "ListMultipartUploads: delimiter is not implemented"));
    }
    let most = input.max_uploads.unwrap_or(PAGE).clamp(0, PAGE);
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.key_marker.clone().map(|key| (key, input.upload_id_marker.clone()));
    let uploads = uploads(shared);
    let here = uploads.iter().filter(|(_, upload)| upload.bucket == input.bucket && upload.key.starts_with(&prefix));
    // By key, and uploads of one key by their id; a marker without id stands behind all of its key.
    let mut here: Vec<(&String, &String, SystemTime)> =
        here.map(|(id, upload)| (&upload.key, id, upload.begun)).collect();
    here.sort_unstable();
    here.retain(|(key, id, _)| match &after {
        None => true,
        Some((marker, None)) => *key > marker,
        Some((marker, Some(marker_id))) => (*key, *id) > (marker, marker_id),
    });
    let url = is_url(input.encoding_type.as_ref());
    let most_here = usize::try_from(most).unwrap_or_default();
    let last =
        here.get(..most_here.min(here.len())).and_then(<[_]>::last).map(|(key, id, _)| ((*key).clone(), (*id).clone()));
    let truncated = here.len() > most_here && most > 0;
    let shown = here.into_iter().take(most_here).map(|(key, id, begun)| MultipartUpload {
        key: Some(encoded(key.clone(), url)),
        upload_id: Some(id.clone()),
        initiated: Some(begun.into()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..MultipartUpload::default()
    });
    let shown: Vec<MultipartUpload> = shown.collect();
    let (next_key, next_id) = last.filter(|_| truncated).unzip();
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        next_key_marker: next_key.map(|key| encoded(key, url)),
        next_upload_id_marker: next_id,
        max_uploads: Some(most),
        is_truncated: Some(truncated),
        encoding_type: input.encoding_type,
        uploads: Some(shown),
        ..ListMultipartUploadsOutput::default()
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
