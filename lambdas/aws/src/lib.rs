//! The functions' way out: the ports of `statement` over the AWS SDKs, the environment, the Lambda Runtime API and the
//! log. The only crate of theirs that names an SDK. It decides nothing about statements.

mod assets;
pub mod clients;
pub mod configuration;
pub mod custom_resource;
mod data_api;
pub mod executions;
mod failure;
mod item;
pub mod metrics;
pub mod objects;
mod ports;
mod queue;
mod refusal;
mod responses;
mod rows;
mod runtime;
mod tasks;
pub mod vault;

pub use configuration::{Configuration, Services};
pub use ports::{SystemClock, ports, redshift_data};
pub use refusal::Refusal;
pub use runtime::{Invocation, Raise, RunError, execute, exit_code, serve};
