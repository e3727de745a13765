//! The Data API behind the functions: which clusters, workgroups and databases there are is read from the functions'
//! environment, because the templates declare no cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use redshift::object::{self, ObjectStore};
use redshift::{Logins, Secret, Target};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Error;
use crate::s3::Buckets;
use crate::service::Service;
use crate::template::{Model, Resource};
use crate::{ACCOUNT, ApiError, Caller};

/// What the functions may name: `REDSHIFT_CLUSTER` or `REDSHIFT_WORKGROUP` with `REDSHIFT_DATABASE`, and the entries of
/// `ALLOWED_TARGETS`.
///
/// # Errors
/// An `ALLOWED_TARGETS` that is no list of targets, naming the function.
pub(crate) fn targets(model: &Model) -> Result<Vec<Target>, Error> {
    let mut found: BTreeMap<(Option<String>, Option<String>), BTreeSet<String>> = BTreeMap::new();
    for function in model.of_kind("AWS::Lambda::Function") {
        let (cluster, workgroup) = (variable(function, "REDSHIFT_CLUSTER"), variable(function, "REDSHIFT_WORKGROUP"));
        if let Some(database) = variable(function, "REDSHIFT_DATABASE")
            && (cluster.is_some() || workgroup.is_some())
        {
            found.entry((cluster, workgroup)).or_default().insert(database);
        }
        for target in allowed_targets(function)? {
            let text = |name: &str| target.get(name).and_then(Value::as_str).map(str::to_owned);
            let database = text("database").ok_or_else(|| wrong(function, "has an entry without database"))?;
            let (cluster, workgroup) = (text("clusterIdentifier"), text("workgroupName"));
            if cluster.is_none() && workgroup.is_none() {
                return Err(wrong(function, "has an entry without clusterIdentifier and workgroupName"));
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

/// The secrets that the functions name, in `REDSHIFT_SECRET_ARN` and in the entries of `ALLOWED_TARGETS`: only they exist.
/// Where none is named every secret is taken. What a secret holds is in no template, so each stands for `awsuser`.
///
/// # Errors
/// An `ALLOWED_TARGETS` that is no list, naming the function.
pub(crate) fn logins(model: &Model) -> Result<Logins, Error> {
    let mut secrets = BTreeMap::new();
    for function in model.of_kind("AWS::Lambda::Function") {
        let named = variable(function, "REDSHIFT_SECRET_ARN").into_iter();
        let allowed = allowed_targets(function)?;
        let allowed = allowed.iter().filter_map(|target| target.get("secretArn")?.as_str().map(str::to_owned));
        for secret in named.chain(allowed) {
            secrets.insert(secret, Secret { username: "awsuser".into(), cluster: None });
        }
    }
    Ok(Logins { secrets: (!secrets.is_empty()).then_some(secrets), users: None })
}

fn variable(function: &Resource, name: &str) -> Option<String> {
    let value = function.properties.pointer("/Environment/Variables")?.get(name)?.as_str()?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn wrong(function: &Resource, problem: &str) -> Error {
    Error::Resource {
        resource: function.path.clone(),
        kind: function.kind.clone(),
        source: ApiError::new(400, "ValidationException", format!("ALLOWED_TARGETS {problem}")),
    }
}

fn allowed_targets(function: &Resource) -> Result<Vec<Value>, Error> {
    let Some(allowed) = variable(function, "ALLOWED_TARGETS") else { return Ok(Vec::new()) };
    serde_json::from_str(&allowed).map_err(|error| wrong(function, &format!("is no list: {error}")))
}

/// The local S3 as COPY and UNLOAD see it.
struct Objects(Buckets);

fn object_error(error: ApiError) -> object::Error {
    match error.code.as_str() {
        "NoSuchBucket" => object::Error::NoSuchBucket,
        "NoSuchKey" => object::Error::NoSuchKey,
        "AccessDenied" => object::Error::AccessDenied,
        _ => object::Error::Other(format!("{},Status {},Error {}", error.message, error.status, error.code)),
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, object::Error> {
        self.0.keys(bucket, prefix).await.map_err(object_error)
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Bytes, object::Error> {
        self.0.get(bucket, key).await.map_err(object_error)
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Result<(), object::Error> {
        self.0.put(bucket, key, bytes).await.map(drop).map_err(object_error)
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<(), object::Error> {
        self.0.delete(bucket, key).await.map_err(object_error)
    }
}

/// The Data API. The database starts when the first stack names a cluster or a workgroup; until then there is none.
#[derive(Clone)]
pub(crate) struct DataApi {
    shared: Arc<Shared>,
}

struct Shared {
    buckets: Buckets,
    region: String,
    seed: Option<redshift::Seed>,
    events: mpsc::UnboundedSender<Value>,
    running: OnceLock<redshift::DataApi>,
    /// Held while the database starts: two stacks must not start two.
    starting: tokio::sync::Mutex<()>,
}

impl DataApi {
    /// No database yet. Status events will go to `events`.
    pub(super) fn new(
        buckets: Buckets,
        region: &str,
        seed: Option<redshift::Seed>,
        events: mpsc::UnboundedSender<Value>,
    ) -> Self {
        let shared = Shared {
            buckets,
            region: region.to_owned(),
            seed,
            events,
            running: OnceLock::new(),
            starting: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sees to it that these clusters, workgroups and secrets exist: starts the database, or adds to what it has.
    ///
    /// # Errors
    /// When the database does not start.
    pub(crate) async fn provide(&self, targets: Vec<Target>, logins: Logins) -> Result<(), Error> {
        if targets.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let _held = shared.starting.lock().await;
        let failed = |error: redshift::Error| Error::DataApi(error.to_string());
        if let Some(running) = shared.running.get() {
            return running.add(&targets, logins.secrets.unwrap_or_default()).map_err(failed);
        }
        let config = redshift::Config {
            region: shared.region.clone(),
            account: ACCOUNT.into(),
            logins,
            objects: Some(Arc::new(Objects(shared.buckets.clone()))),
            seed: shared.seed,
            ..redshift::Config::new(targets, shared.events.clone())
        };
        let started = redshift::DataApi::start(config).await.map_err(failed)?;
        // Nobody else sets it: the lock is held.
        let _ = shared.running.set(started);
        Ok(())
    }

    /// The service itself, for its faults.
    pub(super) fn running(&self) -> Option<&redshift::DataApi> {
        self.shared.running.get()
    }

    /// Ends the service and the database.
    pub(super) async fn stop(&self) {
        if let Some(running) = self.running() {
            running.stop().await;
        }
    }
}

#[async_trait]
impl Service for DataApi {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        let Some(running) = self.running() else {
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
            update_replace_policy: "Delete".into(),
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
    fn secrets_are_those_that_the_functions_name() {
        let named = |functions: &[Value]| {
            let secrets = logins(&model(functions)).unwrap().secrets;
            secrets.map(|secrets| secrets.into_keys().collect::<Vec<_>>())
        };
        let allowed = "[{\"clusterIdentifier\":\"c\",\"database\":\"d\",\"secretArn\":\"b\"}]";
        let functions =
            [json!({"REDSHIFT_SECRET_ARN": "a", "ALLOWED_TARGETS": allowed}), json!({"REDSHIFT_SECRET_ARN": ""})];
        assert_eq!(named(&functions), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(named(&functions[1..]), None);
    }

    #[tokio::test]
    async fn copy_and_unload_go_to_the_buckets() {
        let folder = tempfile::tempdir().unwrap();
        let buckets = Buckets::new(folder.path().to_owned(), "eu-west-1").unwrap();
        buckets.create_bucket("lake", &json!({})).await.unwrap();
        buckets.put("lake", "in/a.csv", Bytes::from_static(b"n,name\n1,one\n2,two\n")).await.unwrap();
        let (events, _listener) = mpsc::unbounded_channel();
        let targets = vec![Target::cluster("c", &["dev"])];
        let api = DataApi::new(buckets.clone(), "eu-west-1", None, events);
        let caller = Caller::local_user();
        let error = api.call("ListStatements", &caller, json!({})).await.unwrap_err();
        assert!(error.message.contains("there is no database"), "{error}");
        api.provide(targets, Logins::default()).await.unwrap();
        // What a later stack names is added to the same server.
        api.provide(vec![Target::workgroup("late", &["dev"])], Logins::default()).await.unwrap();
        let body = json!({"Sql": "select 1", "WorkgroupName": "late", "Database": "dev", "WaitTimeSeconds": 30});
        let answer = api.call("ExecuteStatement", &caller, body).await.unwrap();
        let ended = api.call("DescribeStatement", &caller, json!({"Id": answer["Id"]})).await.unwrap();
        assert_eq!(ended["Status"], "FINISHED", "{ended}");
        let run = async |sql: &str| {
            let body = json!({"Sql": sql, "ClusterIdentifier": "c", "Database": "dev", "WaitTimeSeconds": 30});
            let answer = api.call("ExecuteStatement", &caller, body).await.unwrap();
            api.call("DescribeStatement", &caller, json!({"Id": answer["Id"]})).await.unwrap()
        };
        for sql in [
            "create table t (n int, name varchar(10))",
            "copy t from 's3://lake/in/' iam_role default csv ignoreheader 1",
            "unload ('select name, n from t order by n') to 's3://lake/out/' iam_role default csv parallel off",
        ] {
            assert_eq!(run(sql).await["Status"], "FINISHED", "{sql}");
        }
        assert_eq!(buckets.get("lake", "out/000").await.unwrap(), "one,1\ntwo,2\n");
        let again = run("unload ('select 1') to 's3://lake/out/' iam_role default").await;
        assert!(
            again["Error"].as_str().unwrap().contains("Specified unload destination on S3 is not empty"),
            "{again}"
        );
        run("unload ('select 1') to 's3://lake/out/' iam_role default cleanpath").await;
        assert_eq!(buckets.keys("lake", "out/").await.unwrap(), ["out/0000_part_00"]);
        let missing = run("copy t from 's3://nowhere/in/' iam_role default").await;
        assert!(missing["Error"].as_str().unwrap().contains("Error NoSuchBucket"), "{missing}");
        api.stop().await;
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
