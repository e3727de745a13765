//! Stands up what [`crate::template`] resolved: creates each resource in its service module, in order, and connects
//! them. Decides nothing about wiring: every connection is a property in a template.

/// Why a cloud could not be started or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The templates cannot be resolved.
    #[error(transparent)]
    Template(#[from] crate::template::Error),
    /// A service refused a resource.
    #[error("{resource}: {source}")]
    Resource {
        /// Logical path of the resource.
        resource: String,
        /// The service's reason.
        source: crate::ApiError,
    },
    /// A call was refused.
    #[error(transparent)]
    Api(#[from] crate::ApiError),
    /// The machine refused: a port, a folder, a process.
    #[error("{what}: {source}")]
    Machine {
        /// What was tried.
        what: String,
        /// The reason.
        source: std::io::Error,
    },
}

/// A running local cloud.
pub struct Cloud {}
