//! IAM policies: text in, decision out.
//!
//! [`Document::parse`] reads identity, resource, trust and key policies and permission boundaries; [`evaluate`] says
//! whether a request is allowed, and by which statement (IAM guide, "Policy evaluation logic"). Pure: no clock, no I/O,
//! no knowledge of services. Must never guess: an operator, an element or a condition key that it does not know is an
//! error that names it, because a condition that is skipped would allow what AWS denies.

mod condition;
mod context;
mod document;
mod evaluate;
mod keys;
mod pattern;
mod principal;

pub use context::Context;
pub use document::{Document, Effect, Kind, Statement};
pub use evaluate::{Attached, Decision, Grant, Guarding, Policies, Reason, evaluate};
pub use principal::Principal;

/// What is wrong with a policy document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No JSON object, or an element that is not of its type.
    #[error("{at}: {problem}")]
    Malformed {
        /// Where, such as `Statement[1].Condition`.
        at: String,
        /// What is wrong there.
        problem: String,
    },
    /// An element that policies do not have.
    #[error("{at}: there is no element {name}")]
    Element {
        /// Where.
        at: String,
        /// Its name.
        name: String,
    },
    /// A condition operator that does not exist.
    #[error("{at}: there is no condition operator {name}")]
    Operator {
        /// Where.
        at: String,
        /// Its name as written.
        name: String,
    },
    /// A condition key, or a policy variable, that is not known.
    #[error("{at}: the condition key {name} is not known")]
    Key {
        /// Where.
        at: String,
        /// Its name as written.
        name: String,
    },
}

/// One request to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// `service:Operation`.
    pub action: &'a str,
    /// The ARN that is acted on; `*` for an action that knows no resource.
    pub resource: &'a str,
    /// What conditions see.
    pub context: &'a Context,
}
