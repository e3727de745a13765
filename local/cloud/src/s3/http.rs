//! From the gateway to s3s and back: takes signatures off, which nobody verifies here, and undoes the chunked encoding
//! that signed uploads use.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::Buckets;

/// Bytes of one upload in the chunked encoding, which is held in memory. S3 takes 5 GB at once; who sends that much
/// sends it in parts.
const MAX_CHUNKED: usize = 1 << 30;

/// The operation that a request to S3 stands for, for the trace. Subresources that are not served have their own name.
pub(crate) fn operation(request: &Request) -> String {
    let path = request.uri().path().trim_matches('/');
    let query = request.uri().query().unwrap_or_default();
    let object = path.contains('/');
    let sub = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).find(|name| {
        matches!(*name, "uploads" | "uploadId" | "delete" | "location" | "versioning" | "tagging" | "acl" | "policy")
    });
    match (request.method(), path.is_empty(), object, sub) {
        (&Method::GET, true, ..) => "ListBuckets".into(),
        (&Method::GET, _, false, None) if query.contains("list-type=2") => "ListObjectsV2".into(),
        (&Method::GET, _, false, None) => "ListObjects".into(),
        (&Method::GET, _, true, None) => "GetObject".into(),
        (&Method::HEAD, _, true, None) => "HeadObject".into(),
        (&Method::HEAD, ..) => "HeadBucket".into(),
        (&Method::PUT, _, true, None) if request.headers().contains_key("x-amz-copy-source") => "CopyObject".into(),
        (&Method::PUT, _, true, None) => "PutObject".into(),
        (&Method::DELETE, _, true, None) => "DeleteObject".into(),
        (&Method::POST, _, false, Some("delete")) => "DeleteObjects".into(),
        (method, _, _, sub) => format!("{method} {}", sub.unwrap_or_default()).trim_end().to_owned(),
    }
}

/// The access key of a presigned URL.
pub(crate) fn presigned_access_key(uri: &Uri) -> Option<String> {
    uri.query()?.split('&').find_map(|pair| match pair.split_once('=')? {
        ("X-Amz-Credential", scope) => scope.split('/').next()?.split("%2F").next().map(ToOwned::to_owned),
        ("AWSAccessKeyId", key) => Some(key.to_owned()),
        _ => None,
    })
}

/// Answers a request in S3's protocol.
pub(crate) async fn answer(buckets: &Buckets, request: Request) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    match unsigned(&parts.uri, Utc::now()) {
        Ok(Some(uri)) => parts.uri = uri,
        Ok(None) => {}
        Err(()) => return refusal(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired"),
    }
    for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
        parts.headers.remove(name);
    }
    let hash = parts.headers.remove("x-amz-content-sha256");
    let chunked = hash.is_some_and(|hash| hash.as_bytes().starts_with(b"STREAMING-"));
    let body = if chunked {
        let Ok(raw) = to_bytes(body, MAX_CHUNKED).await else {
            let text = "Your proposed upload exceeds the maximum allowed size";
            return refusal(StatusCode::BAD_REQUEST, "EntityTooLarge", text);
        };
        let Some((data, trailers)) = unchunk(raw) else {
            let text = "The body is not in the chunked encoding that its header names";
            return refusal(StatusCode::BAD_REQUEST, "IncompleteBody", text);
        };
        plain_headers(&mut parts.headers, data.len(), trailers);
        s3s::Body::from(data)
    } else {
        s3s::Body::http_body_unsync(body)
    };
    let request = axum::http::Request::from_parts(parts, body);
    match buckets.service().call(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => {
            let text = "We encountered an internal error. Please try again.";
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", text)
        }
    }
}

/// The URI without a signature in its query, if it has one; an error when that has expired.
fn unsigned(uri: &Uri, now: DateTime<Utc>) -> Result<Option<Uri>, ()> {
    let Some(query) = uri.query() else {
        return Ok(None);
    };
    let (mut kept, mut date, mut lifetime, mut expires) = (Vec::new(), None, None, None);
    let version_2 = query.contains("AWSAccessKeyId=") && query.contains("Signature=");
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("X-Amz-Date", value)) => date = Some(value),
            Some(("X-Amz-Expires", value)) => lifetime = value.parse::<i64>().ok(),
            Some((
                "X-Amz-Algorithm"
                | "X-Amz-Credential"
                | "X-Amz-SignedHeaders"
                | "X-Amz-Signature"
                | "X-Amz-Security-Token",
                _,
            )) => {}
            Some(("Expires", value)) if version_2 => expires = value.parse::<i64>().ok(),
            Some(("AWSAccessKeyId" | "Signature" | "x-amz-security-token", _)) if version_2 => {}
            _ => kept.push(pair),
        }
    }
    if date.is_none() && !version_2 {
        return Ok(None);
    }
    let signed_until = date.and_then(|date| {
        let begun = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").ok()?.and_utc();
        begun.checked_add_signed(TimeDelta::try_seconds(lifetime?)?)
    });
    let until = signed_until.or_else(|| DateTime::from_timestamp(expires?, 0));
    if until.is_none_or(|until| until < now) {
        return Err(());
    }
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{}{query}", uri.path()).parse().map(Some).map_err(|_| ())
}

/// Headers as if the body had been sent plainly, with the checksums that came behind it.
fn plain_headers(headers: &mut HeaderMap, length: usize, trailers: HeaderMap) {
    for name in ["x-amz-decoded-content-length", "x-amz-trailer", "transfer-encoding"] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let encodings = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let others: Vec<String> = encodings
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(|encoding| encoding.trim().to_owned())
        .filter(|encoding| encoding != "aws-chunked" && !encoding.is_empty())
        .collect();
    match HeaderValue::from_str(&others.join(",")) {
        Ok(value) if !others.is_empty() => drop(headers.insert(header::CONTENT_ENCODING, value)),
        _ => drop(headers.remove(header::CONTENT_ENCODING)),
    }
    headers.extend(trailers);
}

/// Undoes `SIZE[;chunk-signature=…]\r\nDATA\r\n … 0\r\n[trailer:value\r\n…]\r\n` (S3 API reference, "Signature
/// calculations for the authorization header: transferring payload in multiple chunks").
fn unchunk(mut raw: Bytes) -> Option<(Bytes, HeaderMap)> {
    let mut data = BytesMut::with_capacity(raw.len());
    loop {
        let line = line(&mut raw)?;
        let size = line.split(|byte| *byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        if raw.len() < size.checked_add(2)? {
            return None;
        }
        data.extend_from_slice(&raw.split_to(size));
        if raw.split_to(2) != "\r\n" {
            return None;
        }
    }
    let mut trailers = HeaderMap::new();
    while let Some(line) = line(&mut raw) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = header::HeaderName::from_bytes(&line[..at]).ok()?;
        if name.as_str().starts_with("x-amz-checksum-") {
            let value = std::str::from_utf8(&line[at + 1..]).ok()?.trim();
            trailers.insert(name, HeaderValue::from_str(value).ok()?);
        }
    }
    Some((data.freeze(), trailers))
}

/// Takes a line without its end.
fn line(raw: &mut Bytes) -> Option<Bytes> {
    let end = raw.windows(2).position(|pair| pair == b"\r\n")?;
    let line = raw.split_to(end);
    drop(raw.split_to(2));
    Some(line)
}

fn refusal(status: StatusCode, code: &str, text: &str) -> Response<Body> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_apart() {
        let signed = "5;chunk-signature=00\r\nhello\r\n6;chunk-signature=11\r\n world\r\n0;chunk-signature=22\r\n\r\n";
        let (data, trailers) = unchunk(Bytes::from(signed)).unwrap();
        assert_eq!((data, trailers.len()), (Bytes::from("hello world"), 0));
        let trailing = "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\nx-amz-trailer-signature:00\r\n\r\n";
        let (data, trailers) = unchunk(Bytes::from(trailing)).unwrap();
        assert_eq!(data, "hello world");
        assert_eq!(trailers.len(), 1);
        assert_eq!(trailers["x-amz-checksum-crc32"], "DUoRhQ==");
        for broken in ["", "5\r\nhel", "z\r\n", "5\r\nhelloXX0\r\n\r\n", "ffffffffffffffff\r\nx"] {
            assert!(unchunk(Bytes::from(broken)).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn a_presigned_url_lives_until_it_expires() {
        let uri: Uri = "/b/k?x-id=GetObject&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260101%2Fr%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
            .parse()
            .unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let kept = unsigned(&uri, at("2026-01-01T00:01:00Z")).unwrap().unwrap();
        assert_eq!(kept, "/b/k?x-id=GetObject");
        assert!(unsigned(&uri, at("2026-01-01T00:01:01Z")).is_err());
        assert_eq!(presigned_access_key(&uri).as_deref(), Some("AK"));
        let plain: Uri = "/b?list-type=2&prefix=a".parse().unwrap();
        assert_eq!(unsigned(&plain, at("2026-01-01T00:00:00Z")), Ok(None));
    }
}
