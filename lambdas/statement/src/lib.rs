//! One SQL statement's life, as plain data and decisions: request, key, row, ended event, answer, error names. This crate
//! names no SDK, reads no clock and no environment variable; what it needs from outside are the [`ports`].

pub mod admission;
pub mod answer;
pub mod class;
mod error;
pub mod event;
mod fields;
pub mod history;
pub mod key;
pub mod ports;
pub mod refusal;
pub mod request;
pub mod resource;
pub mod row;
pub mod script;
pub mod settings;
pub mod target;

pub use error::{Error, ErrorName, error_names};
