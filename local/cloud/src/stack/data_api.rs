//! The Data API behind the functions: which clusters, workgroups and databases there are is read from the functions'
//! environment, because the templates declare no cluster.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Error;
use crate::service::Service;
use crate::template::Model;
use crate::{ApiError, Caller};

/// One cluster or workgroup and its databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub cluster: Option<String>,
    pub workgroup: Option<String>,
    pub databases: Vec<String>,
}

/// What the functions may name: `REDSHIFT_CLUSTER` or `REDSHIFT_WORKGROUP` with `REDSHIFT_DATABASE`, and the entries of
/// `ALLOWED_TARGETS`.
///
/// # Errors
/// An `ALLOWED_TARGETS` that is no list of targets, naming the function.
pub(super) fn targets(model: &Model) -> Result<Vec<Target>, Error> {
    let mut found: BTreeMap<(Option<String>, Option<String>), BTreeSet<String>> = BTreeMap::new();
    for function in model.of_kind("AWS::Lambda::Function") {
        let variable = |name: &str| {
            let value = function.properties.pointer("/Environment/Variables")?.get(name)?.as_str()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let (cluster, workgroup) = (variable("REDSHIFT_CLUSTER"), variable("REDSHIFT_WORKGROUP"));
        if let Some(database) = variable("REDSHIFT_DATABASE")
            && (cluster.is_some() || workgroup.is_some())
        {
            found.entry((cluster, workgroup)).or_default().insert(database);
        }
        let Some(allowed) = variable("ALLOWED_TARGETS") else { continue };
        let wrong = |problem: String| Error::Resource {
            resource: function.path.clone(),
            kind: function.kind.clone(),
            source: ApiError::new(400, "ValidationException", format!("ALLOWED_TARGETS {problem}")),
        };
        let allowed: Vec<Value> =
            serde_json::from_str(&allowed).map_err(|error| wrong(format!("is no list: {error}")))?;
        for target in allowed {
            let text = |name: &str| target.get(name).and_then(Value::as_str).map(str::to_owned);
            let database = text("database").ok_or_else(|| wrong("has an entry without database".into()))?;
            let (cluster, workgroup) = (text("clusterIdentifier"), text("workgroupName"));
            if cluster.is_none() && workgroup.is_none() {
                return Err(wrong("has an entry without clusterIdentifier and workgroupName".into()));
            }
            found.entry((cluster, workgroup)).or_default().insert(database);
        }
    }
    Ok(found
        .into_iter()
        .map(|((cluster, workgroup), databases)| Target {
            cluster,
            workgroup,
            databases: databases.into_iter().collect(),
        })
        .collect())
}

/// The Data API, or nothing where no function has a target: then no database is started.
#[derive(Clone)]
pub(super) struct DataApi {}

impl DataApi {
    pub(super) async fn start(
        _targets: Vec<Target>,
        _region: String,
        _events: mpsc::UnboundedSender<Value>,
    ) -> Result<Self, Error> {
        Ok(Self {})
    }

    pub(super) async fn stop(&self) {}
}

#[async_trait]
impl Service for DataApi {
    async fn call(&self, operation: &str, _caller: &Caller, _body: Value) -> Result<Value, ApiError> {
        Err(ApiError::not_implemented("redshift-data", operation))
    }
}
