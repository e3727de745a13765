//! One database server for all tests of this file, a database and a Data API for each test.

use crate::model;
use crate::objects::Objects;
use chrono::{DateTime, Duration, Utc};
use redshift::object::ObjectStore;
use redshift::postgres::Server;
use redshift::{ApiError, Caller, Config, DataApi, Limits, Logins, Target};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{OnceCell, mpsc};

static SERVER: OnceCell<Arc<Server>> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A Data API with a cluster `c` and a workgroup `wg`, and who calls it.
pub struct Setting {
    pub api: DataApi,
    pub events: mpsc::UnboundedReceiver<Value>,
    pub database: String,
    now: Arc<Mutex<DateTime<Utc>>>,
}

pub fn caller(role: &str, session: &str) -> Caller {
    Caller {
        arn: format!("arn:aws:sts::000000000000:assumed-role/{role}/{session}"),
        owner: format!("arn:aws:iam::000000000000:role/{role}"),
    }
}

impl Setting {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        // The workgroup's database is one for all tests: making one takes time.
        Self::with_workgroup(limits, Some("serverless")).await
    }

    pub async fn with_logins(logins: Logins) -> Self {
        Self::configured(Some("serverless"), |config| config.logins = logins).await
    }

    /// With an S3 of its own that has the buckets `data` and `out`.
    pub async fn with_objects() -> (Self, Arc<Objects>) {
        let objects = Arc::new(Objects::default());
        let given: Arc<dyn ObjectStore> = objects.clone();
        (Self::configured(Some("serverless"), |config| config.objects = Some(given)).await, objects)
    }

    /// The workgroup with another database, or with one of the same name as the cluster's.
    pub async fn with_workgroup(limits: Limits, workgroup_database: Option<&str>) -> Self {
        Self::configured(workgroup_database, |config| config.limits = limits).await
    }

    /// With any other change of the configuration.
    async fn configured(workgroup_database: Option<&str>, change: impl FnOnce(&mut Config)) -> Self {
        let server =
            SERVER.get_or_init(|| async { Arc::new(Server::start(200).await.expect("a PostgreSQL server")) }).await;
        let database = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (sender, events) = mpsc::unbounded_channel();
        let now = Arc::new(Mutex::new("2026-11-20T10:00:00Z".parse().unwrap()));
        let clock = Arc::clone(&now);
        let mut config = Config {
            clock: Arc::new(move || *clock.lock().unwrap()),
            ..Config::new(
                vec![
                    Target::cluster("c", &[&database]),
                    Target::workgroup("wg-1", &[workgroup_database.unwrap_or(&database)]),
                ],
                sender,
            )
        };
        change(&mut config);
        let api = DataApi::start_on(config, Arc::clone(server)).await.unwrap();
        Self { api, events, database, now }
    }

    pub fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    pub async fn call_as(&self, caller: &Caller, operation: &str, body: Value) -> Result<Value, ApiError> {
        let answer = self.api.call(operation, caller, body).await;
        match &answer {
            Ok(answer) => model::valid_output(operation, answer),
            Err(error) => model::valid_error(operation, error),
        }
        answer
    }

    pub async fn call(&self, operation: &str, body: Value) -> Result<Value, ApiError> {
        self.call_as(&caller("submitter", "one"), operation, body).await
    }

    /// Adds the cluster and the database to a body.
    pub fn on_cluster(&self, mut body: Value) -> Value {
        body["ClusterIdentifier"] = json!("c");
        body["Database"] = json!(self.database);
        body
    }

    /// Submits one SQL text and answers with the id.
    pub async fn submit(&self, sql: &str) -> String {
        let answer = self.call("ExecuteStatement", self.on_cluster(json!({ "Sql": sql }))).await.unwrap();
        answer["Id"].as_str().unwrap().to_owned()
    }

    /// Runs one SQL text to its end and describes it.
    pub async fn run(&self, sql: &str) -> Value {
        let id = self.submit(sql).await;
        self.ended(&id).await
    }

    /// Submits a body on the cluster and waits for the end.
    pub async fn run_with(&self, operation: &str, body: Value) -> Value {
        let answer = self.call(operation, self.on_cluster(body)).await.unwrap();
        self.ended(answer["Id"].as_str().unwrap()).await
    }

    pub async fn ended(&self, id: &str) -> Value {
        let described = self.api.wait(id).await.unwrap();
        model::valid_output("DescribeStatement", &described);
        described
    }

    pub async fn finished(&self, sql: &str) -> Value {
        let described = self.run(sql).await;
        assert_eq!(described["Status"], "FINISHED", "{sql}: {described}");
        described
    }

    /// The cells of a query's only page.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        let described = self.finished(sql).await;
        self.records(described["Id"].as_str().unwrap()).await
    }

    pub async fn records(&self, id: &str) -> Vec<Vec<Value>> {
        let page = self.call("GetStatementResult", json!({ "Id": id })).await.unwrap();
        assert!(page.get("NextToken").is_none());
        serde_json::from_value(page["Records"].clone()).unwrap()
    }

    pub async fn status(&self, id: &str) -> String {
        self.call("DescribeStatement", json!({ "Id": id })).await.unwrap()["Status"].as_str().unwrap().to_owned()
    }

    /// Waits until a statement has this status, without a fixed time.
    pub async fn until(&self, id: &str, status: &str) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while self.status(id).await != status {
            assert!(std::time::Instant::now() < end, "{id} never became {status}");
            tokio::task::yield_now().await;
        }
    }
}

/// Runs until it is cancelled.
pub const ENDLESS: &str = "select count(*) from (select a.n from numbers a, numbers b, numbers c, numbers d) x";

impl Setting {
    /// The table that [`ENDLESS`] needs: 1000^4 combinations.
    pub async fn numbers(&self) {
        self.finished("create table numbers (n int)").await;
        let values: Vec<String> = (0..1000).map(|n| format!("({n})")).collect();
        self.finished(&format!("insert into numbers values {}", values.join(","))).await;
    }
}
