//! Takes the body of an upload to a temporary file, and holds it against the checksums that came with it.

use std::collections::BTreeMap;
use std::path::Path;

use futures::StreamExt as _;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::StreamingBlob;
use s3s::{S3Result, s3_error};
use tokio::io::AsyncWriteExt as _;

use super::shape::{base64, error, headers};
use super::store::Error;

/// The checksums that a client sent, in base64.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) md5: Option<String>,
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) crc64nvme: Option<String>,
}

/// What arrived.
pub(super) struct Received {
    pub(super) md5: [u8; 16],
    pub(super) length: u64,
    /// Algorithm (`CRC32`, `SHA256`, …) to base64, for those that the client sent.
    pub(super) checksums: BTreeMap<String, String>,
}

/// Writes a body to this file, which is gone again after an error.
pub(super) async fn receive(body: Option<StreamingBlob>, file: &Path, sent: Sums) -> S3Result<Received> {
    let mut checks = ChecksumHasher {
        crc32: sent.crc32.is_some().then(Crc32::new),
        crc32c: sent.crc32c.is_some().then(Crc32c::new),
        sha1: sent.sha1.is_some().then(Sha1::new),
        sha256: sent.sha256.is_some().then(Sha256::new),
        crc64nvme: sent.crc64nvme.is_some().then(Crc64Nvme::new),
    };
    let received = async {
        let (md5, length) = write(body, file, &mut checks).await.map_err(error)?;
        let sums = checks.finalize();
        let md5: [u8; 16] = md5.finalize();
        let wrong = sent.md5.is_some_and(|sent| sent != base64(md5))
            || sums.checksum_crc32 != sent.crc32
            || sums.checksum_crc32c != sent.crc32c
            || sums.checksum_sha1 != sent.sha1
            || sums.checksum_sha256 != sent.sha256
            || sums.checksum_crc64nvme != sent.crc64nvme;
        if wrong {
            return Err(s3_error!(BadDigest, "The checksum you specified did not match what we received."));
        }
        let checksums = headers([
            ("CRC32", &sums.checksum_crc32),
            ("CRC32C", &sums.checksum_crc32c),
            ("SHA1", &sums.checksum_sha1),
            ("SHA256", &sums.checksum_sha256),
            ("CRC64NVME", &sums.checksum_crc64nvme),
        ]);
        Ok(Received { md5, length, checksums })
    }
    .await;
    if received.is_err() {
        // It may not even have been made.
        let _ = tokio::fs::remove_file(file).await;
    }
    received
}

async fn write(mut body: Option<StreamingBlob>, file: &Path, checks: &mut ChecksumHasher) -> Result<(Md5, u64), Error> {
    let (mut md5, mut length) = (Md5::new(), 0);
    let mut file = tokio::fs::File::create(file).await?;
    while let Some(part) = match &mut body {
        Some(body) => body.next().await,
        None => None,
    } {
        let part = part.map_err(|_| Error::Disk(std::io::ErrorKind::UnexpectedEof.into()))?;
        md5.update(&part);
        checks.update(&part);
        length += part.len() as u64;
        file.write_all(&part).await?;
    }
    file.flush().await?;
    Ok((md5, length))
}
