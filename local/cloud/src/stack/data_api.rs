//! The Data API behind the functions: which clusters, workgroups and databases there are is read from the functions'
//! environment, because the templates declare no cluster.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use redshift::Target;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Error;
use crate::service::Service;
use crate::template::Model;
use crate::{ACCOUNT, ApiError, Caller};

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
pub(super) struct DataApi {
    running: Option<redshift::DataApi>,
}

impl DataApi {
    /// Starts the database and the service. Status events go to `events`.
    ///
    /// # Errors
    /// When the database does not start.
    pub(super) async fn start(
        targets: Vec<Target>,
        region: String,
        events: mpsc::UnboundedSender<Value>,
    ) -> Result<Self, Error> {
        if targets.is_empty() {
            return Ok(Self { running: None });
        }
        let config = redshift::Config { region, account: ACCOUNT.into(), ..redshift::Config::new(targets, events) };
        let running = redshift::DataApi::start(config).await.map_err(|error| Error::DataApi(error.to_string()))?;
        Ok(Self { running: Some(running) })
    }

    /// The service itself, for its faults.
    pub(super) fn running(&self) -> Option<&redshift::DataApi> {
        self.running.as_ref()
    }

    /// Ends the service and the database.
    pub(super) async fn stop(&self) {
        if let Some(running) = &self.running {
            running.stop().await;
        }
    }
}

#[async_trait]
impl Service for DataApi {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        let Some(running) = &self.running else {
            return Err(ApiError::new(
                400,
                "ValidationException",
                "there is no database: no function has REDSHIFT_CLUSTER or REDSHIFT_WORKGROUP with REDSHIFT_DATABASE",
            ));
        };
        let caller = redshift::Caller { arn: caller.arn.clone(), owner: caller.owner().to_owned() };
        running.call(operation, &caller, body).await.map_err(|error| ApiError {
            code: error.code,
            status: error.status,
            message: error.message,
            extra: error.extra,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Resource;
    use serde_json::json;

    fn model(functions: &[Value]) -> Model {
        let resources = functions.iter().map(|variables| Resource {
            path: "Tasker/Function".into(),
            logical_id: "Function".into(),
            stack: "test".into(),
            file: "tasker.yaml".into(),
            kind: "AWS::Lambda::Function".into(),
            attributes: crate::template::Attributes::default(),
            properties: json!({"Environment": {"Variables": variables}}),
            needs: Vec::new(),
            deletion_policy: "Delete".into(),
        });
        Model { resources: resources.collect(), ..Model::default() }
    }

    #[test]
    fn targets_come_from_the_environment_of_the_functions() {
        let found = targets(&model(&[
            json!({"REDSHIFT_CLUSTER": "c", "REDSHIFT_WORKGROUP": "", "REDSHIFT_DATABASE": "dev",
                   "ALLOWED_TARGETS": "[{\"clusterIdentifier\":\"c\",\"database\":\"other\"},\
                                        {\"workgroupName\":\"w\",\"database\":\"dev\"}]"}),
            json!({"TABLE_NAME": "t"}),
        ]));
        assert_eq!(found.unwrap(), [Target::workgroup("w", &["dev"]), Target::cluster("c", &["dev", "other"])]);
        assert!(targets(&model(&[json!({"REDSHIFT_CLUSTER": "", "REDSHIFT_DATABASE": "dev"})])).unwrap().is_empty());
    }

    #[test]
    fn a_list_of_targets_that_cannot_be_read_is_refused() {
        for (allowed, problem) in [
            ("none", "ALLOWED_TARGETS is no list"),
            ("[{\"workgroupName\":\"w\"}]", "has an entry without database"),
            ("[{\"database\":\"dev\"}]", "has an entry without clusterIdentifier and workgroupName"),
        ] {
            let error = targets(&model(&[json!({"ALLOWED_TARGETS": allowed})])).unwrap_err().to_string();
            assert!(error.starts_with("Tasker/Function") && error.contains(problem), "{error}");
        }
    }
}
