//! The templates, definitions and packages of a deployment: a body in the request, objects in the local S3, and, for the
//! stack that the command itself starts, files of this machine.
//!
//! A request must never make the process read a file of the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::s3::Buckets;
use crate::template::files::bucket_and_key;
use crate::template::{Disk, Files};

/// Where a root template comes from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// An object, a file, or a name for the body.
    pub(super) place: PathBuf,
    /// The template itself, when it came in the request.
    pub(super) body: Option<String>,
    /// Whether files of this machine may be read.
    pub(super) disk: bool,
}

impl Origin {
    pub(super) fn body(text: &str) -> Self {
        Self { place: PathBuf::from("TemplateBody"), body: Some(text.to_owned()), disk: false }
    }

    pub(super) fn object(place: PathBuf) -> Self {
        Self { place, body: None, disk: false }
    }

    pub(super) fn file(place: PathBuf) -> Self {
        Self { place, body: None, disk: true }
    }
}

/// What one deployment reads, each thing once: what is changed meanwhile is the next deployment's.
pub(super) struct Stored {
    buckets: Buckets,
    origin: Origin,
    read: Mutex<BTreeMap<PathBuf, String>>,
}

impl Stored {
    pub(super) fn new(buckets: Buckets, origin: Origin) -> Self {
        Self { buckets, origin, read: Mutex::default() }
    }

    pub(super) fn place(&self) -> &Path {
        &self.origin.place
    }
}

impl Files for Stored {
    fn text(&self, place: &Path) -> Result<String, String> {
        if let (Some(body), true) = (&self.origin.body, place == self.origin.place) {
            return Ok(body.clone());
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = read.get(place) {
            return Ok(text.clone());
        }
        let text = match bucket_and_key(place) {
            Some((bucket, key)) => {
                self.buckets.text_now(bucket, key).map_err(|error| format!("S3 error: {}", error.message))
            }
            None if self.origin.disk => Disk.text(place),
            None => Err("TemplateURL must be a supported URL: give that of an object".into()),
        }?;
        read.insert(place.to_owned(), text.clone());
        Ok(text)
    }

    fn package(&self, place: &Path) -> Result<Option<String>, String> {
        let (bucket, key) = bucket_and_key(place).ok_or("is no object")?;
        self.buckets.metadata_now(bucket, key, "package").map_err(|error| error.message)
    }

    fn has_objects(&self) -> bool {
        true
    }
}
