//! Where templates, definitions and packages come from: this machine's disk, or whatever the caller has.
//!
//! Reads only what a template names. An object is the place `s3://BUCKET/KEY`; everything else is a path.

use std::path::{Path, PathBuf};

/// Reads what templates name.
pub trait Files: Sync {
    /// The text behind a place.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn text(&self, place: &Path) -> Result<String, String>;

    /// The program in a function's package, where the object says so: `package` in its metadata.
    ///
    /// # Errors
    /// Why the object cannot be looked at, in words.
    fn package(&self, place: &Path) -> Result<Option<String>, String>;

    /// Whether there are objects at all.
    fn has_objects(&self) -> bool;
}

/// The disk: files only.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn text(&self, place: &Path) -> Result<String, String> {
        std::fs::read_to_string(place).map_err(|error| error.to_string())
    }

    fn package(&self, _place: &Path) -> Result<Option<String>, String> {
        Err("there is no S3 here".into())
    }

    fn has_objects(&self) -> bool {
        false
    }
}

/// The place of an object.
pub(crate) fn object(bucket: &str, key: &str) -> PathBuf {
    PathBuf::from(format!("s3://{bucket}/{key}"))
}

/// Bucket and key of a place that is an object.
pub(crate) fn bucket_and_key(place: &Path) -> Option<(&str, &str)> {
    place.to_str()?.strip_prefix("s3://")?.split_once('/')
}

/// The object that a URL names: `s3://BUCKET/KEY`, virtual-hosted or path style, at AWS or at `endpoint`.
pub(crate) fn object_of_url(url: &str, endpoint: &str) -> Option<PathBuf> {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let split = |path: &str| {
        let (bucket, key) = path.split_once('/')?;
        let key = percent_decoded(key)?;
        (!bucket.is_empty() && !key.is_empty()).then(|| object(bucket, &key))
    };
    if let Some(path) = url.strip_prefix("s3://") {
        let (bucket, key) = path.split_once('/')?;
        return (!bucket.is_empty() && !key.is_empty()).then(|| object(bucket, key));
    }
    if let Some(path) = url.strip_prefix(endpoint).and_then(|rest| rest.strip_prefix('/')) {
        return split(path);
    }
    let (host, path) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?.split_once('/')?;
    let (name, port) = host.split_once(':').map_or((host, false), |(name, _)| (name, true));
    if port && (name == "127.0.0.1" || name == "localhost") {
        return split(path);
    }
    let name = name.strip_suffix(".amazonaws.com").or_else(|| name.strip_suffix(".amazonaws.com.cn"))?;
    if name == "s3" || name.starts_with("s3.") || name.starts_with("s3-") {
        return split(path);
    }
    let bucket = name.find(".s3.").or_else(|| name.find(".s3-")).or_else(|| name.strip_suffix(".s3").map(str::len))?;
    split(&format!("{}/{path}", &name[..bucket]))
}

fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let code = text.get(at + 1..at + 3)?;
            out.push(u8::from_str_radix(code, 16).ok()?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_behind_every_kind_of_url() {
        let endpoint = "http://127.0.0.1:4566";
        for url in [
            "s3://b/p/k.template",
            "http://127.0.0.1:4566/b/p/k.template",
            "http://localhost:4566/b/p/k.template",
            "https://s3.amazonaws.com/b/p/k.template",
            "https://s3.eu-west-1.amazonaws.com/b/p/k.template?versionId=1",
            "https://s3-eu-west-1.amazonaws.com/b/p/k.template",
            "https://b.s3.amazonaws.com/p/k.template",
            "https://b.s3.eu-west-1.amazonaws.com/p%2Fk.template",
        ] {
            assert_eq!(object_of_url(url, endpoint), Some(object("b", "p/k.template")), "{url}");
        }
        for url in ["https://example.com/b/k", "https://s3.amazonaws.com/b", "file:///b/k", "./data.yaml"] {
            assert_eq!(object_of_url(url, endpoint), None, "{url}");
        }
        assert_eq!(bucket_and_key(&object("b", "p/k")), Some(("b", "p/k")));
    }
}
