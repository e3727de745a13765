//! COPY from and UNLOAD to S3: the statements that PostgreSQL cannot run itself.
//!
//! A load checks each field as Redshift does and hands the rows to the server in the statement's own transaction; what
//! went wrong is written to the load error tables outside it, so that it survives the rollback. Must never load half a
//! statement, nor write a file of a query that failed.

mod field;
mod history;
mod json;
mod load;
mod moment;
mod parquet;
mod text;
mod unload;
mod writer;

pub(crate) use field::Column;
pub(crate) use json::compact;
pub(crate) use load::copy;
pub(crate) use unload::prepare as prepare_unload;

use crate::connection;
use crate::dialect::{self, transfer::Location};
use crate::object::{self, ObjectStore};
use crate::postgres::Server;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::io::Read;

/// Where a COPY or UNLOAD runs.
pub(crate) struct Site<'a> {
    pub(crate) server: &'a Server,
    /// The database on the server.
    pub(crate) physical: std::sync::Arc<str>,
    /// Its name for users.
    pub(crate) database: &'a str,
    pub(crate) objects: Option<&'a dyn ObjectStore>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) query_id: i64,
    pub(crate) pid: i64,
}

impl Site<'_> {
    fn objects(&self) -> Result<&dyn ObjectStore, connection::Error> {
        self.objects.ok_or_else(|| {
            connection::Error::Transfer(
                "ERROR: the local Redshift stand-in was started without an S3 to go to".to_owned(),
            )
        })
    }

    /// An error of the leader node.
    fn error(&self, text: impl std::fmt::Display) -> connection::Error {
        connection::Error::Transfer(format!("ERROR: {text}"))
    }

    /// An error of the compute nodes.
    fn compute(&self, title: &str, code: &str, context: &str) -> connection::Error {
        connection::Error::Transfer(dialect::compute_error(title, code, context, self.query_id))
    }

    fn s3(&self, error: &object::Error, location: &Location) -> connection::Error {
        let title = match error {
            object::Error::Other(text) => format!("S3ServiceException:{text}"),
            known => format!("S3ServiceException:{known}"),
        };
        self.compute(&title, "8001", &format!("S3 path: {location}"))
    }

    async fn get(&self, location: &Location) -> Result<Bytes, connection::Error> {
        let got = self.objects()?.get(&location.bucket, &location.key).await;
        got.map_err(|error| self.s3(&error, location))
    }
}

/// What a gzip file holds.
fn gunzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out)?;
    Ok(out.into())
}
