//! Many statements as one run: what is configured, the immutable plan made from it, which queries run next, what became
//! of them, their results as CSV, and the report. Everything here is a function over plain data: this crate names no SDK,
//! reads no clock and no environment variable, and does no I/O beyond the readers and writers that it is handed.
//!
//! The documents that a run keeps in S3 (plan, status, manifest, summary, results) are defined by the types here, which
//! therefore derive serde; a change of a field is a change of a file format.

pub mod address;
pub mod configuration;
pub mod csv;
pub mod field;
pub mod manifest;
pub mod notification;
pub mod plan;
#[cfg(feature = "report")]
pub mod report;
pub mod result;
pub mod round;
pub mod status;
pub mod summary;

/// A document's text. The types here hold nothing that JSON cannot say, so this has no error.
fn json<T: serde::Serialize>(document: &T) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}
