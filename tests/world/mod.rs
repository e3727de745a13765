//! The whole stack for a test: the project's own templates, machines and functions, started as `tasker` starts them.
//!
//! Waits on what happens, never on the clock; the limits only end a test that would hang.

#![allow(dead_code, reason = "every test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use cloud::template::{Inputs, Model, load};
use cloud::trace::{Entry, What};
use cloud::{Cloud, Options};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

/// Ends a test that would hang.
const LIMIT: Duration = Duration::from_secs(90);

/// The command, as cargo built it for the tests.
pub const TASKER: &str = env!("CARGO_BIN_EXE_tasker");

/// The folder with `infra/` and `statemachines/`.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The project's templates, resolved for a stack of this name and these parameters.
pub fn resolved(stack: &str, parameters: &[(&str, &str)]) -> Model {
    let inputs = Inputs {
        stack_name: stack.into(),
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        region: cloud::DEFAULT_REGION.into(),
        account: "000000000000".into(),
        partition: "aws".into(),
        endpoint: "http://127.0.0.1:1".into(),
    };
    load(&project().join("infra/root.yaml"), &inputs).unwrap_or_else(|error| panic!("{parameters:?}: {error}"))
}

/// A running stack.
pub struct World {
    pub cloud: Cloud,
}

/// An execution that has ended.
#[derive(Debug)]
pub struct Ended {
    pub arn: String,
    pub status: String,
    pub error: String,
    /// The output, or the cause where that is JSON.
    pub data: Value,
}

impl World {
    /// The stack as the templates say, looked after from the first second on.
    pub async fn start() -> Self {
        Self::start_telling("").await
    }

    /// The same, with somebody who is told how workflows went.
    pub async fn start_telling(address: &str) -> Self {
        Self::start_with(&[("NotificationEmail", address)]).await
    }

    /// The same, with further parameters.
    pub async fn start_with(more: &[(&str, &str)]) -> Self {
        Self::start_on(&[&[("ClusterIdentifier", "local-cluster")], more].concat()).await
    }

    /// The same, on what these parameters name.
    pub async fn start_on(parameters: &[(&str, &str)]) -> Self {
        let mut options = Options::new(project().join("infra/root.yaml"), vec![TASKER.into(), "lambda".into()]);
        options.stack_name = "whole".into();
        for (name, value) in [("Database", "dev"), ("GraceSeconds", "1")].iter().chain(parameters) {
            options.parameters.insert((*name).into(), (*value).into());
        }
        Self { cloud: Cloud::start(options).await.unwrap_or_else(|error| panic!("{error}")) }
    }

    /// Starts the machine `statement`.
    pub async fn begin(&self, request: &Value) -> String {
        self.cloud.start_execution("StateMachines/Statement", request).await.unwrap()
    }

    /// Waits for the end of an execution.
    pub async fn end(&self, arn: &str) -> Ended {
        let described = tokio::time::timeout(LIMIT, self.cloud.wait(arn)).await.expect("the execution ends").unwrap();
        let text = |name: &str| described[name].as_str().unwrap_or_default().to_owned();
        let data = if text("status") == "SUCCEEDED" { text("output") } else { text("cause") };
        Ended {
            arn: arn.to_owned(),
            status: text("status"),
            error: text("error"),
            data: serde_json::from_str(&data).unwrap_or(Value::String(data)),
        }
    }

    /// Waits for the end of an execution while the minutes pass as fast as the reconciler works.
    pub async fn end_by_reconciler(&self, arn: &str) -> Ended {
        let minutes = async {
            let mut seen = self.cloud.trace();
            loop {
                self.cloud.fire_rule("EveryMinute").await.unwrap();
                until(
                    &mut seen,
                    "the reconciler returned",
                    |what| matches!(what, What::Returned { function, .. } if function == "whole-reconciler"),
                )
                .await;
            }
        };
        tokio::select! { ended = self.end(arn) => ended, never = minutes => never }
    }

    /// One execution of `statement` from start to end.
    pub async fn run(&self, request: &Value) -> Ended {
        let arn = self.begin(request).await;
        self.end(&arn).await
    }

    /// SQL that must succeed, to prepare something or to look; the first row of its result.
    pub async fn sql(&self, text: &str) -> Value {
        let ended = self.run(&json!({"sqlStatement": text, "result": "inline"})).await;
        assert_eq!(ended.status, "SUCCEEDED", "{text}: {ended:?}");
        ended.data["results"][0]["rows"][0].clone()
    }

    /// Creates a machine with the role that the project's own machine has, and gives its ARN.
    pub async fn machine(&self, name: &str, definition: &Value) -> String {
        let role = self.cloud.model().find("StateMachines/StatementRole").expect("the role");
        let role = &role.attributes.values["Arn"];
        let body = json!({"name": name, "definition": definition.to_string(), "roleArn": role});
        let created = self.cloud.call("states", "CreateStateMachine", body).await.unwrap();
        created["stateMachineArn"].as_str().unwrap().to_owned()
    }

    /// The ARN of the tasker function.
    pub fn tasker_arn(&self) -> &str {
        &self.cloud.outputs()["TaskerFunctionArn"]
    }

    /// Every row of statements, as the table has it.
    pub async fn rows(&self) -> Vec<Value> {
        let found =
            self.cloud.call("dynamodb", "Scan", json!({"TableName": self.cloud.outputs()["TableName"]})).await.unwrap();
        let mut rows = found["Items"].as_array().unwrap().clone();
        rows.retain(|row| row["kind"]["S"] == "statement");
        rows
    }

    /// The row of the statement that this execution ran.
    pub async fn row(&self, execution: &str) -> Value {
        let mut rows = self.rows().await;
        rows.retain(|row| row["executionArn"]["S"] == execution);
        assert_eq!(rows.len(), 1, "{rows:#?}");
        rows.remove(0)
    }

    /// Waits until nothing is owed to anybody; `seen` must have been subscribed before what is waited for.
    pub async fn settled(&self, seen: &mut Receiver<Entry>) {
        while self.rows().await.iter().any(|row| row.get("openShard").is_some()) {
            until(seen, "a function returned", |what| matches!(what, What::Returned { .. })).await;
        }
    }

    /// The types of the events in an execution's history.
    pub async fn history(&self, execution: &str) -> Vec<String> {
        let body = json!({"executionArn": execution, "maxResults": 1000});
        let history = self.cloud.call("states", "GetExecutionHistory", body).await.unwrap();
        let events = history["events"].as_array().unwrap();
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// Waits for something to happen.
pub async fn until(seen: &mut Receiver<Entry>, what: &str, mut wanted: impl FnMut(&What) -> bool) -> What {
    let found = async {
        loop {
            let entry = seen.recv().await.unwrap();
            if wanted(&entry.what) {
                return entry.what;
            }
        }
    };
    tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}
