//! Objects as files: `BUCKET/key` below the folder, what S3 knows about them in `.metadata/BUCKET/`.
//!
//! Blocks; callers run it on blocking threads. A file appears under its key only complete, by a rename; whether it may
//! appear is decided under the bucket's lock, so a condition holds against every other writer. A file that a person put
//! or changed in the folder is an object too: its ETag is then computed from its bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use s3s::crypto::{Checksum as _, Md5};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::key::{self, FILE_MARK, Problem};

/// What S3 keeps about an object besides its bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub(super) key: String,
    pub(super) etag: String,
    /// Of the file when it was written, to notice that a person changed it: length and modification time in
    /// nanoseconds.
    pub(super) length: u64,
    pub(super) modified: u128,
    /// Header name to value: `content-type`, `cache-control` and their like.
    pub(super) headers: BTreeMap<String, String>,
    /// `x-amz-meta-`.
    pub(super) user: BTreeMap<String, String>,
    /// `AES256`, `aws:kms`.
    pub(super) encryption: Option<String>,
    pub(super) encryption_key: Option<String>,
    pub(super) bucket_key: Option<bool>,
    /// Algorithm (`CRC32`, `SHA256`, …) to base64.
    pub(super) checksums: BTreeMap<String, String>,
}

/// An object as it was at one moment.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    /// Stays readable whatever happens to the key.
    pub(super) file: File,
}

/// A condition on what is under a key, checked in the moment of the change.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    /// Nothing may be there.
    pub(super) absent: bool,
    /// This ETag must be there; empty for any.
    pub(super) etag: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the bucket does not exist")]
    NoBucket,
    #[error("the key does not exist")]
    NoKey,
    #[error("a condition does not hold")]
    Precondition,
    #[error("the key cannot be stored: {0:?}")]
    Key(Problem),
    #[error("the disk: {0}")]
    Disk(#[from] io::Error),
}

/// One bucket's place on the disk.
pub(super) struct Store {
    objects: PathBuf,
    metadata: PathBuf,
    temporary: PathBuf,
    /// Held while a key changes, and while an object is opened together with its metadata.
    lock: Mutex<()>,
}

impl Store {
    pub(super) fn create(folder: &Path, bucket: &str) -> io::Result<Self> {
        let store = Self {
            objects: folder.join(bucket),
            metadata: folder.join(".metadata").join(bucket),
            temporary: folder.join(".temporary"),
            lock: Mutex::default(),
        };
        for path in [&store.objects, &store.metadata, &store.temporary] {
            fs::create_dir_all(path)?;
        }
        Ok(store)
    }

    /// A new file to write an object into, that [`Self::put`] then moves to its place.
    pub(super) fn temporary(&self) -> PathBuf {
        self.temporary.join(Uuid::new_v4().to_string())
    }

    /// Moves a complete temporary file to a key. The file is gone afterwards in any case.
    pub(super) fn put(
        &self,
        key: &str,
        temporary: &Path,
        mut metadata: Metadata,
        condition: &Condition,
    ) -> Result<Metadata, Error> {
        let ended = (|| {
            let path = key::path(key).map_err(Error::Key)?;
            let _held = self.held();
            self.check(key, condition)?;
            let target = self.place(&path)?;
            let written = fs::metadata(temporary)?;
            metadata.key = key.to_owned();
            metadata.length = written.len();
            metadata.modified = nanos(written.modified()?);
            let described = self.temporary();
            fs::write(&described, serde_json::to_vec(&metadata).map_err(io::Error::from)?)?;
            // The object first: without its metadata, or with old metadata that does not fit it, it is still whole.
            fs::rename(temporary, target)?;
            fs::rename(described, self.metadata_path(key))?;
            Ok(metadata)
        })();
        if ended.is_err() {
            // It may not even have been made.
            let _ = fs::remove_file(temporary);
        }
        ended
    }

    pub(super) fn get(&self, key: &str) -> Result<Object, Error> {
        let _held = self.held();
        self.open(key)
    }

    /// Deletes a key; one that is not there is no error, unless a condition asks for it.
    pub(super) fn delete(&self, key: &str, condition: &Condition) -> Result<(), Error> {
        let _held = self.held();
        self.check(key, condition)?;
        let path = match self.find(key) {
            Ok(path) => path,
            Err(Error::NoKey) => return Ok(()),
            Err(error) => return Err(error),
        };
        fs::remove_file(&path)?;
        match fs::remove_file(self.metadata_path(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        // Folders exist only because of what is in them.
        for parent in path.ancestors().skip(1).take_while(|parent| **parent != *self.objects) {
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Every key with this prefix, in the order of its bytes.
    pub(super) fn keys(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let _held = self.held();
        let mut keys = Vec::new();
        walk(&self.objects, "", prefix, &mut keys)?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// Removes the bucket's folders, if it holds no object, and says whether it did.
    pub(super) fn remove(&self) -> Result<bool, Error> {
        let _held = self.held();
        let mut keys = Vec::new();
        walk(&self.objects, "", "", &mut keys)?;
        if !keys.is_empty() {
            return Ok(false);
        }
        for folder in [&self.objects, &self.metadata] {
            fs::remove_dir_all(folder)?;
        }
        Ok(true)
    }

    fn held(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, key: &str, condition: &Condition) -> Result<(), Error> {
        if !condition.absent && condition.etag.is_none() {
            return Ok(());
        }
        match (self.open(key), &condition.etag) {
            (Ok(_), _) if condition.absent => Err(Error::Precondition),
            (Ok(object), Some(etag)) if !etag.is_empty() && *etag != object.metadata.etag => Err(Error::Precondition),
            (Err(Error::NoKey), None) | (Ok(_), _) => Ok(()),
            (Err(error), _) => Err(error),
        }
    }

    fn open(&self, key: &str) -> Result<Object, Error> {
        let mut file = File::open(self.find(key)?)?;
        let described = file.metadata()?;
        let (length, modified) = (described.len(), described.modified()?);
        let metadata = match fs::read(self.metadata_path(key)) {
            Ok(bytes) => serde_json::from_slice::<Metadata>(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => Metadata::default(),
            Err(error) => return Err(error.into()),
        };
        let metadata = if metadata.length == length && metadata.modified == nanos(modified) {
            metadata
        } else {
            // Put here by a person: what was known about another file says nothing about this one.
            let etag = etag_of(&mut file)?;
            Metadata { key: key.to_owned(), etag, length, modified: nanos(modified), ..Metadata::default() }
        };
        Ok(Object { metadata, length, modified, file })
    }

    /// The file of an existing key.
    fn find(&self, key: &str) -> Result<PathBuf, Error> {
        let path = self.objects.join(key::path(key).map_err(Error::Key)?);
        for path in [marked(&path), path] {
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_file() => return Ok(path),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::NoKey)
    }

    /// Where to write a key's file: its folder exists afterwards, and a file that was in the way of a folder, or a
    /// folder in the way of the file, is stepped around by [`FILE_MARK`].
    fn place(&self, path: &Path) -> Result<PathBuf, Error> {
        let target = self.objects.join(path);
        let mut folder = self.objects.clone();
        for name in path.parent().into_iter().flat_map(Path::iter) {
            folder.push(name);
            if folder.is_file() {
                fs::rename(&folder, marked(&folder))?;
            }
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        let marked = marked(&target);
        Ok(if target.is_dir() || marked.is_file() { marked } else { target })
    }

    fn metadata_path(&self, key: &str) -> PathBuf {
        self.metadata.join(format!("{}.json", hex::encode(Sha256::digest(key))))
    }
}

fn marked(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(FILE_MARK);
    PathBuf::from(name)
}

fn walk(folder: &Path, above: &str, prefix: &str, keys: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        // A name that no key is written as belongs to nobody here.
        let Some(segment) = name.to_str().and_then(key::decode) else {
            continue;
        };
        let here = format!("{above}{segment}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let below = format!("{here}/");
            if below.starts_with(prefix) || prefix.starts_with(&below) {
                walk(&entry.path(), &below, prefix, keys)?;
            }
        } else if kind.is_file() && here.starts_with(prefix) {
            keys.push(here);
        }
    }
    Ok(())
}

fn etag_of(file: &mut File) -> io::Result<String> {
    use std::io::Seek as _;
    let mut digest = Md5::new();
    let mut buffer = vec![0_u8; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => digest.update(&buffer[..length]),
        }
    }
    file.rewind()?;
    Ok(hex::encode(digest.finalize()))
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos()
}
