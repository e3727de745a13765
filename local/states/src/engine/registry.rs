//! What is registered: machines with their revisions, versions and aliases. Must never change a revision: executions keep
//! the one they started with.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::ExecutionId;
use crate::definition::Machine;

/// A definition as it was when an execution started.
#[derive(Debug)]
pub(crate) struct Revision {
    pub machine_arn: Arc<str>,
    pub name: Arc<str>,
    pub definition: Arc<str>,
    pub role: Arc<str>,
    pub machine: Arc<Machine>,
    pub revision_id: String,
    /// Milliseconds since 1970.
    pub updated: i64,
}

/// A registered state machine.
#[derive(Debug)]
pub(crate) struct Registered {
    pub revision: Arc<Revision>,
    /// Milliseconds since 1970.
    pub created: i64,
    /// Configurations that change nothing here but are given back: `loggingConfiguration` and the like.
    pub settings: serde_json::Map<String, Value>,
    /// In order of their start.
    pub executions: Vec<ExecutionId>,
    /// How often it was updated.
    pub updates: u64,
    /// By number. Numbers are never used again.
    pub versions: BTreeMap<u32, Version>,
    pub last_version: u32,
    /// By name.
    pub aliases: BTreeMap<String, Alias>,
}

/// A revision that was published under a number.
#[derive(Debug)]
pub(crate) struct Version {
    pub revision: Arc<Revision>,
    /// Milliseconds since 1970.
    pub created: i64,
    pub description: Option<String>,
}

/// Where a name leads executions.
#[derive(Debug)]
pub(crate) struct Alias {
    pub description: Option<String>,
    pub routes: Vec<Route>,
    /// Milliseconds since 1970.
    pub created: i64,
    pub updated: i64,
}

/// One version behind an alias.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub version: u32,
    pub version_arn: Arc<str>,
    /// In percent.
    pub weight: u32,
}

/// What an execution is started of: a machine as it is, a version, or a version by an alias.
#[derive(Debug)]
pub(crate) struct Target {
    pub revision: Arc<Revision>,
    pub version: Option<Arc<str>>,
    pub alias: Option<Arc<str>>,
}
