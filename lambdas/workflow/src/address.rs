//! Where a person finds an object of a run: its plain address, which stays, and a link, which may end.

use chrono::{DateTime, Utc};

/// The place of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The plain address: `s3://bucket/key`, or a path.
    pub place: String,
    /// What to click.
    pub link: Option<Link>,
}

/// A link to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its target: a presigned `https` address, or a path relative to the report.
    pub href: String,
    /// When a presigned link ends.
    pub until: Option<DateTime<Utc>>,
}
