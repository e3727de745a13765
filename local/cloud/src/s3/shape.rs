//! Between S3's shapes and the store's: errors, conditions, headers, listings, bodies.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::Encryption;
use super::key::Problem;
use super::store::{Condition, Error, Metadata, Object};

/// Bytes read from a file at once.
const CHUNK: usize = 128 * 1024;

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> S3Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(S3Error::internal_error)?.map_err(error)
}

pub(super) fn error(error: Error) -> S3Error {
    match error {
        Error::NoBucket => s3_error!(NoSuchBucket, "The specified bucket does not exist"),
        Error::NoKey => s3_error!(NoSuchKey, "The specified key does not exist."),
        Error::Precondition => {
            s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
        }
        Error::Key(Problem::TooLong) => s3_error!(KeyTooLongError, "Your key is too long"),
        Error::Key(Problem::LongSegment) => {
            s3_error!(NotImplemented, "a part of the key between slashes is longer than a file name can be")
        }
        Error::Key(Problem::Empty) => s3_error!(InvalidArgument, "the key is empty"),
        Error::Disk(failed) if failed.kind() == std::io::ErrorKind::UnexpectedEof => {
            s3_error!(IncompleteBody, "The request body terminated unexpectedly")
        }
        Error::Disk(failed) => {
            tracing::warn!(error = %failed, "a bucket's folder");
            S3Error::internal_error(failed)
        }
    }
}

/// The condition of a write. S3 knows `If-None-Match` there only with a star.
pub(super) fn write_condition(
    if_none_match: Option<&ETagCondition>,
    if_match: Option<&ETagCondition>,
) -> S3Result<Condition> {
    let absent = match if_none_match {
        None => false,
        Some(ETagCondition::Any) => true,
        Some(ETagCondition::ETag(_)) => {
            return Err(s3_error!(NotImplemented, "a write knows If-None-Match only with *"));
        }
    };
    Ok(Condition { absent, etag: if_match.map(condition_etag) })
}

/// Members of PutObject that would change what is kept, and are not.
pub(super) fn refuse_other_members(input: &PutObjectInput) -> S3Result<()> {
    let unknown = [
        ("x-amz-server-side-encryption-customer-algorithm", input.sse_customer_algorithm.is_some()),
        ("x-amz-tagging", input.tagging.is_some()),
        ("x-amz-object-lock-mode", input.object_lock_mode.is_some()),
        ("x-amz-write-offset-bytes", input.write_offset_bytes.is_some()),
        ("x-amz-website-redirect-location", input.website_redirect_location.is_some()),
    ];
    match unknown.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(s3_error!(NotImplemented, "PutObject: {} is not implemented", name)),
    }
}

pub(super) fn refuse_version(version: &Option<String>, part: Option<i32>) -> S3Result<()> {
    match (version, part) {
        (Some(_), _) => Err(s3_error!(NotImplemented, "versionId is not implemented")),
        (_, Some(_)) => Err(s3_error!(NotImplemented, "partNumber is not implemented")),
        (None, None) => Ok(()),
    }
}

/// The conditions of a read, in the order in which RFC 9110 evaluates them.
pub(super) fn check(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    modified_since: Option<&Timestamp>,
    unmodified_since: Option<&Timestamp>,
) -> S3Result<()> {
    let is = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.metadata.etag,
    };
    // HTTP dates have whole seconds.
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = |time: &Timestamp| u64::try_from(s3s_seconds(time)).unwrap_or_default();
    let modified = seconds(object.modified);
    let failed = match (if_match, unmodified_since) {
        (Some(condition), _) => !is(condition),
        (None, Some(time)) => modified > at(time),
        (None, None) => false,
    };
    if failed {
        return Err(error(Error::Precondition));
    }
    let unchanged = match (if_none_match, modified_since) {
        (Some(condition), _) => is(condition),
        (None, Some(time)) => modified <= at(time),
        (None, None) => false,
    };
    if unchanged { Err(S3ErrorCode::NotModified.into()) } else { Ok(()) }
}

pub(super) fn s3s_seconds(time: &Timestamp) -> i64 {
    let mut text = Vec::new();
    // Writing to memory does not fail; a time that cannot be written is no time.
    let _ = time.format(TimestampFormat::EpochSeconds, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}

pub(super) fn http_date(time: &Timestamp) -> String {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = time.format(TimestampFormat::HttpDate, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

pub(super) fn parsed_date(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}

pub(super) fn condition_etag(condition: &ETagCondition) -> String {
    match condition {
        ETagCondition::Any => String::new(),
        ETagCondition::ETag(etag) => etag.value().to_owned(),
    }
}

pub(super) fn encrypt(
    metadata: &mut Metadata,
    default: &Encryption,
    algorithm: Option<&str>,
    key: Option<String>,
    bucket_key: Option<bool>,
) {
    match algorithm {
        Some(algorithm) => {
            metadata.encryption = Some(algorithm.to_owned());
            metadata.encryption_key = key;
            metadata.bucket_key = bucket_key;
        }
        None => {
            metadata.encryption = Some(default.algorithm.clone());
            metadata.encryption_key.clone_from(&default.key);
            metadata.bucket_key = bucket_key.or(default.bucket_key);
        }
    }
}

pub(super) fn headers<const N: usize>(given: [(&str, &Option<String>); N]) -> BTreeMap<String, String> {
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
}

/// S3's default type.
pub(super) fn content_type(metadata: &Metadata) -> String {
    let known = metadata.headers.get("content-type").cloned();
    known.unwrap_or_else(|| "binary/octet-stream".into())
}

pub(super) fn listed(object: Object) -> s3s::dto::Object {
    s3s::dto::Object {
        key: Some(object.metadata.key),
        e_tag: Some(ETag::Strong(object.metadata.etag)),
        size: Some(signed(object.length)),
        last_modified: Some(object.modified.into()),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..s3s::dto::Object::default()
    }
}

pub(super) fn contents_of(mut objects: Vec<s3s::dto::Object>, url: bool) -> Vec<s3s::dto::Object> {
    for object in &mut objects {
        object.key = object.key.take().map(|key| encoded(key, url));
    }
    objects
}

pub(super) fn prefixes_of(prefixes: Vec<String>, url: bool) -> Vec<CommonPrefix> {
    prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encoded(prefix, url)) }).collect()
}

pub(super) fn is_url(encoding: Option<&EncodingType>) -> bool {
    encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL)
}

/// `encoding-type=url`: what a client asks for because XML cannot hold every key.
pub(super) fn encoded(text: String, url: bool) -> String {
    use std::fmt::Write as _;
    if !url {
        return text;
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The bytes of an open file from where it stands, read on blocking threads.
pub(super) fn contents(file: File, size: u64) -> StreamingBlob {
    let parts = stream::try_unfold((file, size), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        tokio::task::spawn_blocking(move || {
            let want = usize::try_from(left.min(CHUNK as u64)).unwrap_or(CHUNK);
            let mut part = vec![0; want];
            let got = file.read(&mut part)?;
            if got == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
            }
            part.truncate(got);
            Ok(Some((Bytes::from(part), (file, left - got as u64))))
        })
        .await
        .map_err(std::io::Error::other)?
    });
    let body = StreamBody::new(parts.map(|part: std::io::Result<Bytes>| part.map(Frame::data)));
    StreamingBlob::from(s3s::Body::http_body_unsync(body))
}

pub(super) fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
