//! S3: what a request's method, path and query need, and S3's two ways to say that something is not there.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Authorizer, Denied, Need};
use crate::s3::{self, Buckets};
use crate::{ApiError, Caller};

/// Bytes of a list of objects to delete: a thousand of the longest keys.
const LONGEST_LIST: usize = 4 << 20;

/// What a request is about.
struct Asked {
    method: Method,
    bucket: String,
    key: String,
    /// Names with values, decoded.
    query: Vec<(String, String)>,
}

/// Answers a request if its caller may make it.
pub(crate) async fn answer(to: &Authorizer, caller: &Caller, buckets: &Buckets, request: Request) -> Response<Body> {
    if to.shared.is_none() || caller.role.is_none() {
        return s3::answer(buckets, request).await;
    }
    let asked = Asked::of(&request);
    let (parts, mut body) = request.into_parts();
    let mut deleted = Vec::new();
    if asked.method == Method::POST && asked.has("delete") {
        let Ok(list) = to_bytes(body, LONGEST_LIST).await else {
            return refusal(&ApiError::new(400, "MalformedXML", "The list of objects is too long"), false);
        };
        deleted = keys(&list);
        body = Body::from(list);
    }
    let head = asked.method == Method::HEAD;
    let Some(needs) = asked.needs(to, &parts.headers, &deleted) else {
        let what = format!("{} {}", asked.method, parts.uri);
        return refusal(&ApiError::not_implemented("s3", &what), head);
    };
    if let Err(denied) = to.check_all(caller, &needs) {
        return denied_response(&denied, head);
    }
    let response = s3::answer(buckets, Request::from_parts(parts, body)).await;
    // Who may not list a bucket is not told what is not in it (GetObject and HeadObject API reference, "Permissions").
    let reading = !asked.key.is_empty() && matches!(asked.method, Method::GET | Method::HEAD) && !asked.has("uploadId");
    if reading && response.status() == StatusCode::NOT_FOUND && buckets.exists(&asked.bucket) {
        let listing = Need::new("s3:ListBucket", format!("arn:aws:s3:::{}", asked.bucket));
        if let Err(denied) = to.check_all(caller, &[listing]) {
            return denied_response(&denied, head);
        }
    }
    response
}

impl Asked {
    fn of(request: &Request) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        Self {
            method: request.method().clone(),
            bucket: bucket.to_owned(),
            key: crate::lambda::decoded(key),
            query: query.into_owned().collect(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.query.iter().any(|(key, _)| key == name)
    }

    /// What the request needs; none for one that has no entry.
    fn needs(&self, to: &Authorizer, headers: &HeaderMap, deleted: &[String]) -> Option<Vec<Need>> {
        let bucket = format!("arn:aws:s3:::{}", self.bucket);
        let object = format!("{bucket}/{}", self.key);
        let has = |name: &str| self.has(name);
        let one = |action: &str, resource: &str| vec![Need::new(format!("s3:{action}"), resource)];
        if self.bucket.is_empty() {
            return (self.method == Method::GET).then(|| one("ListAllMyBuckets", "*"));
        }
        if self.key.is_empty() {
            return Some(match self.method {
                Method::GET if has("location") => one("GetBucketLocation", &bucket),
                Method::GET if has("versioning") => one("GetBucketVersioning", &bucket),
                Method::GET if has("uploads") => one("ListBucketMultipartUploads", &bucket),
                Method::GET if has("policy") => one("GetBucketPolicy", &bucket),
                Method::GET if has("tagging") => one("GetBucketTagging", &bucket),
                Method::GET if has("acl") => one("GetBucketAcl", &bucket),
                Method::GET | Method::HEAD => {
                    let mut need = Need::new("s3:ListBucket", bucket);
                    for name in ["prefix", "delimiter", "max-keys"] {
                        if let Some((_, value)) = self.query.iter().find(|(key, _)| key == name) {
                            need.context.set(&format!("s3:{name}"), value.as_str());
                        }
                    }
                    vec![need]
                }
                Method::PUT if self.query.is_empty() => one("CreateBucket", &bucket),
                Method::DELETE if self.query.is_empty() => one("DeleteBucket", &bucket),
                Method::POST if has("delete") => {
                    deleted.iter().map(|key| Need::new("s3:DeleteObject", format!("{bucket}/{key}"))).collect()
                }
                _ => return None,
            });
        }
        let version = if has("versionId") { "Version" } else { "" };
        Some(match self.method {
            Method::GET if has("tagging") => one(&format!("GetObject{version}Tagging"), &object),
            Method::GET if has("acl") => one(&format!("GetObject{version}Acl"), &object),
            Method::GET if has("uploadId") => one("ListMultipartUploadParts", &object),
            Method::GET | Method::HEAD => self.with_key(to, headers, one(&format!("GetObject{version}"), &object)),
            Method::PUT if has("tagging") => one("PutObjectTagging", &object),
            Method::PUT | Method::POST if !has("acl") => {
                let mut need = Need::new("s3:PutObject", object);
                for (name, value) in headers.iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?))) {
                    if name.as_str().starts_with("x-amz-") || name.as_str().starts_with("if-") {
                        need.context.set(&format!("s3:{name}"), value);
                    }
                }
                let mut needs = vec![need];
                if let Some(source) = headers.get("x-amz-copy-source").and_then(|value| value.to_str().ok()) {
                    let source = crate::lambda::decoded(source);
                    let source = format!("arn:aws:s3:::{}", source.trim_start_matches('/'));
                    needs.push(Need::new("s3:GetObject", source.split('?').next().unwrap_or_default()));
                }
                self.with_key(to, headers, needs)
            }
            Method::DELETE if has("uploadId") => one("AbortMultipartUpload", &object),
            Method::DELETE => one(&format!("DeleteObject{version}"), &object),
            _ => return None,
        })
    }

    /// The same with what S3 does with the key of the object: the one that the request names, else the bucket's.
    fn with_key(&self, to: &Authorizer, headers: &HeaderMap, mut needs: Vec<Need>) -> Vec<Need> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if header("x-amz-server-side-encryption") == Some("AES256") {
            return needs;
        }
        let resource = needs[0].resource.clone();
        let named = header("x-amz-server-side-encryption-aws-kms-key-id").map(|key| to.key_arn(key));
        let Some(key) = named.or_else(|| to.encrypting(&resource)) else { return needs };
        // An upload in parts also needs Decrypt: S3 reads the parts again when it puts them together.
        let actions: &[&str] = match (&self.method, self.has("uploads") || self.has("uploadId")) {
            (&Method::GET | &Method::HEAD, _) => &["Decrypt"],
            (_, true) => &["GenerateDataKey", "Decrypt"],
            _ => &["GenerateDataKey"],
        };
        // With a bucket key the context is the bucket's ARN; conditions on it are rare enough to leave it at that.
        let bucket = format!("arn:aws:s3:::{}", self.bucket);
        needs.extend(actions.iter().map(|action| to.key_need("s3", action, &key, &bucket)));
        needs
    }
}

/// The keys in a `DeleteObjects` document.
fn keys(list: &[u8]) -> Vec<String> {
    let mut reader = Reader::from_reader(list);
    let (mut keys, mut open, mut buffer) = (Vec::new(), None::<String>, Vec::new());
    loop {
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(start)) if start.local_name().as_ref() == b"Key" => open = Some(String::new()),
            Ok(Event::Text(text)) => {
                if let (Some(open), Ok(text)) = (&mut open, text.decode()) {
                    open.push_str(&text);
                }
            }
            Ok(Event::GeneralRef(reference)) => {
                if let (Some(open), Ok(name)) = (&mut open, reference.decode()) {
                    let whole = format!("&{name};");
                    open.push_str(&quick_xml::escape::unescape(&whole).unwrap_or(whole.as_str().into()));
                }
            }
            Ok(Event::End(_)) => keys.extend(open.take()),
            Ok(Event::Eof) | Err(_) => return keys,
            Ok(_) => {}
        }
        buffer.clear();
    }
}

fn denied_response(denied: &Denied, head: bool) -> Response<Body> {
    refusal(&denied.error("s3"), head)
}

/// An error in S3's XML; the answer to HEAD has no body.
fn refusal(error: &ApiError, head: bool) -> Response<Body> {
    let message = quick_xml::escape::escape(error.message.as_str());
    let code = &error.code;
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(if head { Body::empty() } else { Body::from(text) });
    *response.status_mut() = StatusCode::from_u16(error.status).unwrap_or(StatusCode::FORBIDDEN);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
