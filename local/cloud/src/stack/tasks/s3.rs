//! `aws-sdk:s3:…` and the readers and writers of distributed Maps: from parameters to S3's HTTP, and back.
//!
//! Goes through the same protocol as every client of the gateway, so that a state sees what a client would.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chrono::{DateTime, SecondsFormat, Utc};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value, json};

use super::integration::{not_here, sdk_failure};
use crate::authorize::{self, Authorizer};
use crate::s3::Buckets;
use crate::stepfunctions::TaskFailure;
use crate::{ApiError, Caller};

/// Bytes of an answer. Objects that a distributed Map reads may be much larger than a payload.
const LARGEST_ANSWER: usize = 1 << 30;

/// Errors that have a class in the SDK; the others are `S3.S3Exception`.
const MODELLED: [&str; 13] = [
    "BucketAlreadyExists",
    "BucketAlreadyOwnedByYou",
    "EncryptionTypeMismatch",
    "IdempotencyParameterMismatch",
    "InvalidObjectState",
    "InvalidRequest",
    "InvalidWriteOffset",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchUpload",
    "ObjectAlreadyInActiveTierError",
    "ObjectNotInActiveTierError",
    "TooManyParts",
];

/// Headers and the members that they are, of requests and answers. `Metadata` is apart.
const HEADERS: [(&str, &str, Kind); 34] = [
    ("accept-ranges", "AcceptRanges", Kind::Text),
    ("cache-control", "CacheControl", Kind::Text),
    ("content-disposition", "ContentDisposition", Kind::Text),
    ("content-encoding", "ContentEncoding", Kind::Text),
    ("content-language", "ContentLanguage", Kind::Text),
    ("content-length", "ContentLength", Kind::Number),
    ("content-md5", "ContentMD5", Kind::Text),
    ("content-range", "ContentRange", Kind::Text),
    ("content-type", "ContentType", Kind::Text),
    ("etag", "ETag", Kind::Text),
    ("expires", "Expires", Kind::Date),
    ("if-match", "IfMatch", Kind::Text),
    ("if-modified-since", "IfModifiedSince", Kind::Date),
    ("if-none-match", "IfNoneMatch", Kind::Text),
    ("if-unmodified-since", "IfUnmodifiedSince", Kind::Date),
    ("last-modified", "LastModified", Kind::Date),
    ("range", "Range", Kind::Text),
    ("x-amz-bucket-region", "BucketRegion", Kind::Text),
    ("x-amz-checksum-crc32", "ChecksumCRC32", Kind::Text),
    ("x-amz-checksum-crc32c", "ChecksumCRC32C", Kind::Text),
    ("x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", Kind::Text),
    ("x-amz-checksum-mode", "ChecksumMode", Kind::Text),
    ("x-amz-checksum-sha1", "ChecksumSHA1", Kind::Text),
    ("x-amz-checksum-sha256", "ChecksumSHA256", Kind::Text),
    ("x-amz-checksum-type", "ChecksumType", Kind::Text),
    ("x-amz-copy-source", "CopySource", Kind::Text),
    ("x-amz-expected-bucket-owner", "ExpectedBucketOwner", Kind::Text),
    ("x-amz-metadata-directive", "MetadataDirective", Kind::Text),
    ("x-amz-sdk-checksum-algorithm", "ChecksumAlgorithm", Kind::Text),
    ("x-amz-server-side-encryption", "ServerSideEncryption", Kind::Text),
    ("x-amz-server-side-encryption-aws-kms-key-id", "SsekmsKeyId", Kind::Text),
    ("x-amz-server-side-encryption-bucket-key-enabled", "BucketKeyEnabled", Kind::Flag),
    ("x-amz-storage-class", "StorageClass", Kind::Text),
    ("x-amz-tagging", "Tagging", Kind::Text),
];

/// Members of requests that travel in the query.
const QUERY: [(&str, &str); 13] = [
    ("ContinuationToken", "continuation-token"),
    ("Delimiter", "delimiter"),
    ("EncodingType", "encoding-type"),
    ("FetchOwner", "fetch-owner"),
    ("Marker", "marker"),
    ("MaxKeys", "max-keys"),
    ("Prefix", "prefix"),
    ("ResponseCacheControl", "response-cache-control"),
    ("ResponseContentDisposition", "response-content-disposition"),
    ("ResponseContentEncoding", "response-content-encoding"),
    ("ResponseContentType", "response-content-type"),
    ("StartAfter", "start-after"),
    ("VersionId", "versionId"),
];

/// What a header's text is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    Flag,
    Date,
}

/// How the body of `putObject` is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bodies {
    /// A state's value: recorded to arrive as its JSON text, a string with its quotes.
    Json,
    /// A file of a `ResultWriter`, as it is.
    Plain,
}

/// The buckets, and who asks for them.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    pub(super) authorizer: &'a Authorizer,
    pub(super) caller: &'a Caller,
    pub(super) buckets: &'a Buckets,
}

/// Makes one call. `action` is the SDK's name, as `getObject`.
pub(super) async fn call(
    access: Access<'_>,
    action: &str,
    parameters: &Value,
    bodies: Bodies,
) -> Result<Value, TaskFailure> {
    let request = request(action, parameters, bodies)?;
    let response = authorize::answer_s3(access.authorizer, access.caller, access.buckets, request).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, LARGEST_ANSWER).await.map_err(|error| {
        let error = ApiError::new(500, "InternalError", error.to_string());
        sdk_failure("S3", &MODELLED, &error)
    })?;
    if !head.status.is_success() {
        return Err(sdk_failure("S3", &MODELLED, &refusal(head.status, &body)));
    }
    let mut answer = members(action, &head.headers);
    if action == "getObject" {
        // Bytes that are no text cannot be in a payload; AWS gives what their decoding as UTF-8 comes to.
        answer.insert("Body".into(), String::from_utf8_lossy(&body).into_owned().into());
    } else if let Value::Object(document) = document(&body) {
        answer.extend(document);
    }
    Ok(Value::Object(answer))
}

fn request(action: &str, parameters: &Value, bodies: Bodies) -> Result<Request<Body>, TaskFailure> {
    let none = Map::new();
    let given = parameters.as_object().unwrap_or(&none);
    let (method, object, sub) = match action {
        "getObject" => (Method::GET, true, ""),
        "headObject" => (Method::HEAD, true, ""),
        "putObject" | "copyObject" => (Method::PUT, true, ""),
        "deleteObject" => (Method::DELETE, true, ""),
        "listObjectsV2" => (Method::GET, false, "list-type=2"),
        "listObjects" | "listBuckets" => (Method::GET, false, ""),
        "deleteObjects" => (Method::POST, false, "delete"),
        "getBucketLocation" => (Method::GET, false, "location"),
        "createBucket" => (Method::PUT, false, ""),
        "headBucket" => (Method::HEAD, false, ""),
        other => return Err(not_here(&format!("aws-sdk:s3:{other}"))),
    };
    let text = |name: &str| given.get(name).map(shown);
    let mut path = String::from("/");
    if action != "listBuckets" {
        path.push_str(&escaped(&text("Bucket").ok_or_else(|| missing("Bucket"))?));
    }
    if object {
        let key = text("Key").ok_or_else(|| missing("Key"))?;
        path.push('/');
        path.push_str(&key.split('/').map(escaped).collect::<Vec<_>>().join("/"));
    }
    let mut query = sub.to_owned();
    let mut built = Request::builder().method(method);
    let mut body = Vec::new();
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "Bucket" | "Key" => {}
            "Body" if action == "putObject" => {
                body = match (bodies, value) {
                    (Bodies::Plain, Value::String(text)) => text.clone().into_bytes(),
                    (_, value) => value.to_string().into_bytes(),
                };
            }
            "Delete" if action == "deleteObjects" => body = deleted(value).into_bytes(),
            "Metadata" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    built = built.header(format!("x-amz-meta-{name}"), shown(value));
                }
            }
            "CopySource" => {
                let source = shown(value);
                built = built.header("x-amz-copy-source", source.split('/').map(escaped).collect::<Vec<_>>().join("/"));
            }
            name => {
                if let Some((_, key)) = QUERY.iter().find(|(member, _)| *member == name) {
                    let joint = if query.is_empty() { "" } else { "&" };
                    query.push_str(&format!("{joint}{key}={}", escaped(shown(value))));
                } else if let Some((header, _, kind)) = HEADERS.iter().find(|(_, member, _)| *member == name) {
                    let text = shown(value);
                    let text = if *kind == Kind::Date { http_date(&text).unwrap_or(text) } else { text };
                    built = built.header(*header, text);
                } else {
                    return Err(not_here(&format!("aws-sdk:s3:{action}: {name}")));
                }
            }
        }
    }
    let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
    built.uri(uri).header("host", "s3.local").header("content-length", body.len()).body(Body::from(body)).map_err(
        |error| {
            let error = ApiError::new(400, "InvalidArgument", error.to_string());
            sdk_failure("S3", &MODELLED, &error)
        },
    )
}

/// What the SDK says itself before it sends anything.
fn missing(member: &str) -> TaskFailure {
    TaskFailure { error: "S3.SdkClientException".into(), cause: Some(format!("Parameter '{member}' must not be null")) }
}

/// A value as text: strings without quotes.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// For a path segment or a value of the query: everything but RFC 3986's unreserved characters.
fn escaped(text: impl AsRef<str>) -> String {
    let mut out = String::with_capacity(text.as_ref().len());
    for byte in text.as_ref().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// `Delete` of `deleteObjects`.
fn deleted(value: &Value) -> String {
    let mut xml = String::from("<Delete>");
    for object in value.get("Objects").and_then(Value::as_array).into_iter().flatten() {
        let key = object.get("Key").map(shown).unwrap_or_default();
        xml.push_str(&format!("<Object><Key>{}</Key></Object>", quick_xml::escape::escape(key)));
    }
    if value.get("Quiet") == Some(&Value::Bool(true)) {
        xml.push_str("<Quiet>true</Quiet>");
    }
    xml + "</Delete>"
}

fn http_date(text: &str) -> Option<String> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.with_timezone(&Utc).format("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// The headers of an answer as members.
fn members(action: &str, headers: &HeaderMap) -> Map<String, Value> {
    let reads = matches!(action, "getObject" | "headObject");
    let mut found = Map::new();
    for (header, member, kind) in HEADERS {
        // Of an XML answer, the length and type are the document's and no members.
        if !reads && matches!(header, "content-length" | "content-type" | "accept-ranges") {
            continue;
        }
        let Some(text) = headers.get(header).and_then(|value| value.to_str().ok()) else {
            continue;
        };
        let value = match kind {
            Kind::Text => Some(json!(text)),
            Kind::Number => text.parse::<u64>().ok().map(Value::from),
            Kind::Flag => text.parse::<bool>().ok().map(Value::from),
            Kind::Date => DateTime::parse_from_rfc2822(text)
                .ok()
                .map(|time| json!(time.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true))),
        };
        found.extend(value.map(|value| (member.to_owned(), value)));
    }
    if reads {
        let metadata: Map<String, Value> = headers
            .iter()
            .filter_map(|(name, value)| {
                let name = name.as_str().strip_prefix("x-amz-meta-")?;
                Some((name.to_owned(), json!(value.to_str().ok()?)))
            })
            .collect();
        found.insert("Metadata".into(), Value::Object(metadata));
    }
    found
}

/// The error that an answer carries; one without a body (`HEAD`) is named by its status.
fn refusal(status: StatusCode, body: &[u8]) -> ApiError {
    let document = document(body);
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let plain = if status == StatusCode::NOT_FOUND { "NoSuchKey" } else { "S3Exception" };
    let code = text("Code").unwrap_or_else(|| plain.to_owned());
    ApiError::new(status.as_u16(), code, text("Message").unwrap_or_default())
}

/// The members of an XML document. Elements that may repeat are lists, also when there is one; none is an absent list,
/// as in the SDK's answers.
fn document(body: &[u8]) -> Value {
    let mut reader = Reader::from_reader(body);
    // From the root inwards: the element's name, its members, its text.
    let mut open: Vec<(String, Map<String, Value>, String)> = Vec::new();
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(start)) => {
                let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                open.push((name, Map::new(), String::new()));
            }
            Ok(Event::Text(text)) => {
                if let (Some((_, _, into)), Ok(text)) = (open.last_mut(), text.decode()) {
                    into.push_str(&text);
                }
            }
            Ok(Event::GeneralRef(reference)) => {
                if let (Some((_, _, into)), Ok(name)) = (open.last_mut(), reference.decode()) {
                    let whole = format!("&{name};");
                    into.push_str(&quick_xml::escape::unescape(&whole).unwrap_or(whole.as_str().into()));
                }
            }
            Ok(Event::End(_)) => {
                let Some((name, members, text)) = open.pop() else {
                    return Value::Null;
                };
                let value = if members.is_empty() { leaf(&name, text) } else { Value::Object(members) };
                let Some((_, around, _)) = open.last_mut() else {
                    return value;
                };
                put(around, name, value);
            }
            Ok(Event::Eof) | Err(_) => return Value::Null,
            Ok(_) => {}
        }
        buffer.clear();
    }
}

fn put(around: &mut Map<String, Value>, name: String, value: Value) {
    match name.as_str() {
        "Contents" | "CommonPrefixes" | "Deleted" | "Error" => {
            let name = if name == "Error" { "Errors".to_owned() } else { name };
            if let Value::Array(items) = around.entry(name).or_insert_with(|| json!([])) {
                items.push(value);
            }
        }
        "Bucket" if value.is_object() => {
            // `<Buckets><Bucket>…`: the list is the element around it.
            if let Value::Array(items) = around.entry("").or_insert_with(|| json!([])) {
                items.push(value);
            }
        }
        "Buckets" => {
            let items = value.as_object().and_then(|members| members.get("")).cloned().unwrap_or_else(|| json!([]));
            around.insert(name, items);
        }
        _ => drop(around.insert(name, value)),
    }
}

fn leaf(name: &str, text: String) -> Value {
    let number = matches!(name, "Size" | "MaxKeys" | "KeyCount").then(|| text.parse::<u64>().ok()).flatten();
    match (number, name, text.as_str()) {
        (Some(number), ..) => number.into(),
        (None, "IsTruncated", "true" | "false") => (text == "true").into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn buckets() -> (Buckets, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let buckets = Buckets::new(folder.path().to_owned(), "us-east-1").unwrap();
        buckets.create_bucket("box", &json!({})).await.unwrap();
        (buckets, folder)
    }

    async fn sdk(buckets: &Buckets, action: &str, parameters: Value) -> Result<Value, TaskFailure> {
        let (authorizer, caller) = (&Authorizer::default(), &Caller::local_user());
        call(Access { authorizer, caller, buckets }, action, &parameters, Bodies::Json).await
    }

    #[tokio::test]
    async fn objects_go_in_as_json_and_come_out_as_recorded() {
        let (buckets, _folder) = buckets().await;
        // ETags as recorded from AWS: a string is written with its quotes.
        for (body, etag) in [
            (json!("text data"), "2b5df3712557f503a9977a8ea893b2c9"),
            (json!(false), "68934a3e9455fa72420237eb05902327"),
            (json!(0), "cfcd208495d565ef66e7dff9f98764da"),
        ] {
            let put = sdk(&buckets, "putObject", json!({ "Bucket": "box", "Key": "a b/ü&<.txt", "Body": body })).await;
            let put = put.unwrap();
            assert_eq!(put["ETag"], format!("\"{etag}\""), "{put}");
            assert_eq!(put["ServerSideEncryption"], "AES256");
            assert_eq!(put.get("ContentLength"), None, "{put}");
        }
        buckets.put("box", "plain", "text data".into()).await.unwrap();
        let found = sdk(&buckets, "getObject", json!({ "Bucket": "box", "Key": "plain" })).await.unwrap();
        let mut members: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        let recorded = [
            "AcceptRanges",
            "Body",
            "ContentLength",
            "ContentType",
            "ETag",
            "LastModified",
            "Metadata",
            "ServerSideEncryption",
        ];
        assert_eq!(members, recorded);
        assert_eq!((&found["Body"], &found["ContentLength"]), (&json!("text data"), &json!(9)));
        assert_eq!(found["ETag"], "\"332eec544317a6d340b8e77da7fe54ad\"");
        assert!(DateTime::parse_from_rfc3339(found["LastModified"].as_str().unwrap()).is_ok(), "{found}");
    }

    #[tokio::test]
    async fn listings_have_lists_numbers_and_pages() {
        let (buckets, _folder) = buckets().await;
        for key in ["in/a&b", "in/c", "other"] {
            buckets.put("box", key, "123".into()).await.unwrap();
        }
        let list = json!({ "Bucket": "box", "Prefix": "in/", "MaxKeys": 1 });
        let first = sdk(&buckets, "listObjectsV2", list.clone()).await.unwrap();
        assert_eq!((&first["IsTruncated"], &first["KeyCount"]), (&json!(true), &json!(1)));
        assert_eq!((&first["Contents"][0]["Key"], &first["Contents"][0]["Size"]), (&json!("in/a&b"), &json!(3)));
        let mut next = list;
        next["ContinuationToken"] = first["NextContinuationToken"].clone();
        let second = sdk(&buckets, "listObjectsV2", next).await.unwrap();
        assert_eq!(second["Contents"][0]["Key"], "in/c");
        assert_eq!(second.get("NextContinuationToken"), None);
        let found = sdk(&buckets, "listBuckets", json!({})).await.unwrap();
        assert_eq!(found["Buckets"][0]["Name"], "box");
        let delete = json!({ "Bucket": "box", "Delete": { "Objects": [{ "Key": "in/a&b" }, { "Key": "in/c" }] } });
        let deleted = sdk(&buckets, "deleteObjects", delete).await.unwrap();
        assert_eq!(deleted["Deleted"], json!([{ "Key": "in/a&b" }, { "Key": "in/c" }]));
        let empty = sdk(&buckets, "listObjectsV2", json!({ "Bucket": "box", "Prefix": "in/" })).await.unwrap();
        assert_eq!((empty.get("Contents"), &empty["KeyCount"]), (None, &json!(0)));
    }

    #[tokio::test]
    async fn refusals_are_named_after_the_sdk_s_classes() {
        let (buckets, _folder) = buckets().await;
        buckets.put("box", "k", "1".into()).await.unwrap();
        let cases = [
            ("getObject", json!({ "Bucket": "box", "Key": "no" }), "S3.NoSuchKeyException"),
            ("headObject", json!({ "Bucket": "box", "Key": "no" }), "S3.NoSuchKeyException"),
            ("listObjectsV2", json!({ "Bucket": "none" }), "S3.NoSuchBucketException"),
            ("putObject", json!({ "Bucket": "box", "Key": "k", "IfNoneMatch": "*" }), "S3.S3Exception"),
            ("getObject", json!({ "Bucket": "box" }), "S3.SdkClientException"),
            ("getObject", json!({ "Bucket": "box", "Key": "k", "Colour": 1 }), "States.Runtime"),
            ("restoreObject", json!({ "Bucket": "box", "Key": "k" }), "States.Runtime"),
        ];
        for (action, parameters, error) in cases {
            let failure = sdk(&buckets, action, parameters.clone()).await.unwrap_err();
            assert_eq!(failure.error, error, "{action} {parameters}: {:?}", failure.cause);
        }
        let failure = sdk(&buckets, "getObject", json!({ "Bucket": "box", "Key": "no" })).await.unwrap_err();
        let cause = failure.cause.unwrap();
        let start = "The specified key does not exist. (Service: S3, Status Code: 404, Request ID: ";
        assert!(cause.starts_with(start) && cause.contains(", Extended Request ID: "), "{cause}");
    }
}
