//! The zip of a function: one file `bootstrap`, the same bytes for the same program.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::{Error, Outcome};

/// What Lambda starts.
pub const BOOTSTRAP: &str = "bootstrap";

/// Packs a program: one entry, executable, at the beginning of the format's time.
///
/// # Errors
/// [`Error::Broken`] where the format does not hold it.
pub fn pack(program: &[u8]) -> Outcome<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let broken = |error: &dyn std::fmt::Display| Error::Broken(format!("the program cannot be packed: {error}"));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(BOOTSTRAP, options).map_err(|error| broken(&error))?;
    writer.write_all(program).map_err(|error| broken(&error))?;
    Ok(writer.finish().map_err(|error| broken(&error))?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_same_program_is_the_same_zip_and_runs() {
        let program = b"#!/bin/sh\necho hello hello hello\n".repeat(50);
        let packed = pack(&program).unwrap();
        assert_eq!(packed, pack(&program).unwrap());
        assert_ne!(packed, pack(b"another").unwrap());
        assert!(packed.len() < program.len());
        let mut archive = zip::ZipArchive::new(Cursor::new(packed)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut entry = archive.by_index(0).unwrap();
        assert_eq!(
            (entry.name().unwrap().as_ref(), entry.unix_mode().map(|mode| mode & 0o777)),
            ("bootstrap", Some(0o755))
        );
        let time = entry.last_modified().unwrap();
        assert_eq!((time.year(), time.month(), time.day(), time.hour()), (1980, 1, 1, 0));
        let mut read = Vec::new();
        entry.read_to_end(&mut read).unwrap();
        assert_eq!(read, program);
    }
}
