//! Deployment from this machine: what a stack is packaged into, how it is created and changed, and what runs in it, read
//! from outside. With `lambdas/aws` the only crate that names an SDK.
//!
//! It prints nothing and asks nobody; the command does. It knows no SQL and reads no statement's text.

pub mod archive;
pub mod cause;
pub mod change;
pub mod clients;
pub mod executions;
mod failure;
pub mod follow;
pub mod objects;
pub mod package;
pub mod program;
pub mod stack;
pub mod statements;
pub mod template;

pub use clients::Aws;

/// Why a command cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for is not there or does not fit.
    #[error("{0}")]
    Usage(String),
    /// A service refused a call, or could not be reached.
    #[error("{service}: {message}")]
    Service {
        /// For people: `S3`.
        service: &'static str,
        /// The error's name, such as `AccessDenied`.
        code: String,
        /// What it said.
        message: String,
    },
    /// The machine refused.
    #[error("{0}: {1}")]
    Machine(String, std::io::Error),
    /// What a service answered, or what is to be deployed, is not what it has to be.
    #[error("{0}")]
    Broken(String),
}

/// A result of this crate.
pub type Outcome<T> = Result<T, Error>;
