//! The Redshift Data API over a throw-away PostgreSQL server.
//!
//! [`DataApi`] answers the service's operations as the service documents them: asynchronous statements, batches,
//! sessions, cancellation, paged results, status events. [`postgres`] owns the server, [`dialect`] the SQL.
//!
//! What must never happen here: a statement that runs twice for one ClientToken, a status event before the status it
//! names can be described, a caller who sees another role's statement, a database server that outlives its process.

pub mod dialect;
pub mod object;
pub mod postgres;

mod config;
mod connection;
mod event;
mod faults;
mod input;
mod list;
mod metadata;
mod rates;
mod result;
mod run;
mod service;
mod session;
mod statement;
mod submit;
mod transfer;
mod waiting;

pub use config::{Caller, Clock, Config, Limits, Logins, Secret, Target, system_clock};
pub use faults::{Faults, Hold, Throttle};
pub use rates::Rates;
pub use service::DataApi;

use serde_json::{Map, Value, json};

/// Why the Data API could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database server could not be found, initialised or started.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// The configuration contradicts itself.
    #[error("redshift configuration: {0}")]
    Config(String),
}

/// An answer other than 200, as the service sends it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The exception's name, for example `ValidationException`.
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// The text of the member `Message`.
    pub message: String,
    /// Further members of the exception, for example `ResourceId`.
    pub extra: Map<String, Value>,
}

impl ApiError {
    fn new(code: &str, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), status, message: message.into(), extra: Map::new() }
    }

    /// 400: the request itself is wrong.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", 400, message)
    }

    /// 400, not 404: the service's choice.
    pub(crate) fn not_found(message: impl Into<String>, resource: &str) -> Self {
        let mut error = Self::new("ResourceNotFoundException", 400, message);
        error.extra.insert("ResourceId".to_owned(), json!(resource));
        error
    }

    /// 400: too many requests a second.
    pub(crate) fn throttled() -> Self {
        Self::new("ThrottlingException", 400, "Rate exceeded")
    }

    /// 400: the limit of statements in flight on one cluster or workgroup.
    pub(crate) fn active_statements(limit: usize) -> Self {
        Self::new(
            "ActiveStatementsExceededException",
            400,
            format!("Active statements exceeded the allowed quota ({limit})."),
        )
    }

    /// 400: the limit of open sessions on one cluster or workgroup.
    pub(crate) fn active_sessions(limit: usize) -> Self {
        Self::new(
            "ActiveSessionsExceededException",
            400,
            format!("Active sessions exceeded the allowed quota ({limit})."),
        )
    }

    /// 400: more requests with WaitTimeSeconds for one statement than the service takes.
    pub(crate) fn waiting_requests(limit: usize) -> Self {
        Self::new(
            "ActiveWaitingRequestsExceededException",
            400,
            format!("Active waiting requests for the statement exceeded the allowed quota ({limit})."),
        )
    }

    /// 500: something broke on this side.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("InternalServerException", 500, message)
    }

    /// An operation of the service that this stand-in does not have.
    pub(crate) fn unknown_operation(operation: &str) -> Self {
        Self::new(
            "UnknownOperationException",
            400,
            format!("RedshiftData.{operation} is not supported by the local Data API"),
        )
    }
}
