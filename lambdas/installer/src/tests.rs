//! The installer against ports in memory: what it leaves, and that it answers, whatever fails or hangs.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use aws::executions::Started;
use serde_json::{Value, json};
use statement::ports::{Answered, Clock, Failure, FailureKind, Outcome, Responses};

use crate::ports::Deployment;
use crate::{MARGIN_MS, handle};

/// Buckets and executions in memory; one call can be told to fail or to hang.
#[derive(Default)]
struct World {
    artifacts: BTreeSet<String>,
    assets: Mutex<BTreeSet<String>>,
    started: Mutex<Vec<(String, String)>>,
    answers: Mutex<Vec<Value>>,
    fails: Option<&'static str>,
    hangs: Option<&'static str>,
}

impl World {
    fn of(artifacts: &[&str], assets: &[&str]) -> Self {
        let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        Self { artifacts: set(artifacts), assets: Mutex::new(set(assets)), ..Self::default() }
    }

    async fn call(&self, what: &str) -> Outcome<()> {
        if self.hangs == Some(what) {
            std::future::pending::<()>().await;
        }
        if self.fails == Some(what) {
            let code = "AccessDenied".to_owned();
            return Err(Failure { service: "test", kind: FailureKind::Denied, code, message: what.to_owned() });
        }
        Ok(())
    }

    fn assets(&self) -> Vec<String> {
        self.assets.lock().unwrap().iter().cloned().collect()
    }

    /// The one answer that was given since the last look.
    fn answer(&self) -> Value {
        let mut answers = self.answers.lock().unwrap();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }
}

#[async_trait]
impl Deployment for World {
    async fn artifacts(&self, bucket: &str, prefix: &str) -> Outcome<Vec<String>> {
        assert_eq!(bucket, "artifacts");
        self.call("artifacts").await?;
        Ok(self.artifacts.iter().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    async fn assets(&self, prefix: &str) -> Outcome<Vec<String>> {
        self.call("assets").await?;
        Ok(self.assets.lock().unwrap().iter().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    async fn copy(&self, _: &str, source: &str, key: &str) -> Outcome<()> {
        self.call("copy").await?;
        assert!(self.artifacts.contains(source), "{source}");
        self.assets.lock().unwrap().insert(key.to_owned());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Outcome<()> {
        self.call("delete").await?;
        self.assets.lock().unwrap().remove(key);
        Ok(())
    }

    async fn start(&self, machine: &str, name: &str, input: &str) -> Outcome<Started> {
        self.call("start").await?;
        let mut started = self.started.lock().unwrap();
        let one = (name.to_owned(), input.to_owned());
        if !started.contains(&one) {
            started.push(one);
        }
        Ok(Started { arn: format!("{machine}/{name}"), at_ms: 1_700_000_000_123 })
    }

    fn results(&self) -> &str {
        "results"
    }
}

#[async_trait]
impl Responses for World {
    async fn put(&self, url: &str, body: &str) -> Outcome<Answered> {
        assert_eq!(url, "http://answer");
        self.call("answer").await?;
        self.answers.lock().unwrap().push(serde_json::from_str(body).unwrap());
        Ok(Answered::Sent)
    }
}

impl Clock for World {
    fn now(&self) -> i64 {
        0
    }
}

fn event(kind: &str, resource: &str, properties: &Value) -> Value {
    json!({
        "RequestType": kind, "ResourceType": resource, "ResponseURL": "http://answer", "StackId": "stack",
        "RequestId": "request", "LogicalResourceId": "Logical", "ResourceProperties": properties,
    })
}

fn assets() -> Value {
    json!({"ServiceToken": "arn", "ArtifactBucket": "artifacts", "AssetsPrefix": "p/assets/1/"})
}

fn run() -> Value {
    json!({"ServiceToken": "arn", "StateMachineArn": "machine", "Workflow": "review", "AssetsPrefix": "x/"})
}

async fn answered(world: &World, event: &Value) -> Value {
    handle(world, world, world, event, 600_000).await.unwrap();
    world.answer()
}

const ARTIFACTS: &[&str] = &[
    "p/assets/1/config/",
    "p/assets/1/config/review/report.html",
    "p/assets/1/scripts/review/top.sql",
    "p/assets/1/secret.txt",
    "p/assets/2/scripts/other.sql",
    "p/assets/1x/scripts/other.sql",
];

#[tokio::test]
async fn afterwards_the_assets_are_the_artefacts() {
    let before = ["config/old.json", "scripts/review/top.sql", "elsewhere/kept.txt"];
    for kind in ["Create", "Update"] {
        let world = World::of(ARTIFACTS, &before);
        let answer = answered(&world, &event(kind, "Custom::Assets", &assets())).await;
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        assert_eq!(answer["Data"], json!({"Prefix": "p/assets/1/", "Copied": "2", "Removed": "1"}));
        assert_eq!(world.assets(), ["config/review/report.html", "elsewhere/kept.txt", "scripts/review/top.sql"]);
    }
}

#[tokio::test]
async fn nothing_is_removed_where_something_could_not_be_copied() {
    for broken in ["artifacts", "assets", "copy"] {
        let world = World { fails: Some(broken), ..World::of(ARTIFACTS, &["config/old.json"]) };
        let answer = answered(&world, &event("Create", "Custom::Assets", &assets())).await;
        assert_eq!(answer["Status"], "FAILED", "{broken}");
        assert!(answer["Reason"].as_str().unwrap().contains("AccessDenied"), "{answer}");
        assert!(world.assets().contains(&"config/old.json".to_owned()));
    }
    // A wrong prefix is no reason to empty the bucket.
    let world = World::of(&["p/assets/2/config/a.json"], &["config/old.json"]);
    let answer = answered(&world, &event("Update", "Custom::Assets", &assets())).await;
    assert!(answer["Reason"].as_str().unwrap().contains("nothing below s3://artifacts/p/assets/1/"), "{answer}");
    assert_eq!(world.assets(), ["config/old.json"]);
}

#[tokio::test]
async fn a_request_that_comes_twice_starts_one_run() {
    let world = World::default();
    let request = event("Create", "Custom::Run", &run());
    let first = answered(&world, &request).await;
    assert_eq!(first, answered(&world, &request).await);
    let started = world.started.lock().unwrap().clone();
    assert_eq!(started.len(), 1, "{started:?}");
    let (name, input) = &started[0];
    assert_eq!(input, r#"{"workflow":"review"}"#);
    assert_eq!(first["Data"]["RunLocation"], format!("s3://results/runs/review/20231114T221320Z-{name}/"));
    // What the planner takes as the id of a run.
    assert!(name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
    let mut other = request;
    other["RequestId"] = json!("another");
    answered(&world, &other).await;
    assert_eq!(world.started.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn delete_is_always_answered_and_undoes_nothing() {
    for resource in ["Custom::Assets", "Custom::Run", "Custom::Nothing"] {
        for properties in [assets(), run(), json!({}), json!(null)] {
            let world = World::of(ARTIFACTS, &["config/kept.json"]);
            let answer = answered(&world, &event("Delete", resource, &properties)).await;
            assert_eq!(answer["Status"], "SUCCESS", "{answer}");
            assert_eq!(world.assets(), ["config/kept.json"]);
            assert!(world.started.lock().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn bad_properties_are_answered_by_name() {
    for (resource, properties, said) in [
        ("Custom::Assets", json!({}), "ArtifactBucket is missing"),
        ("Custom::Assets", json!({"ArtifactBucket": "artifacts", "AssetsPrefix": ""}), "AssetsPrefix is missing"),
        ("Custom::Assets", json!({"ArtifactBucket": "artifacts", "AssetsPrefix": "p"}), "slash"),
        ("Custom::Assets", json!({"ArtifactBucket": ["artifacts"], "AssetsPrefix": "p/"}), "ArtifactBucket is missing"),
        ("Custom::Run", json!({"Workflow": "review"}), "StateMachineArn is missing"),
        ("Custom::Run", json!({"StateMachineArn": "machine"}), "Workflow is missing"),
        ("Custom::Sql", assets(), "Custom::Sql"),
    ] {
        for kind in ["Create", "Update"] {
            let world = World::of(ARTIFACTS, &["config/kept.json"]);
            let answer = answered(&world, &event(kind, resource, &properties)).await;
            assert_eq!(answer["Status"], "FAILED", "{properties}");
            assert!(answer["Reason"].as_str().unwrap().contains(said), "{answer}");
            assert_eq!(world.assets(), ["config/kept.json"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_answered_before_the_function_is_ended() {
    for (call, resource, properties) in [
        ("artifacts", "Custom::Assets", assets()),
        ("assets", "Custom::Assets", assets()),
        ("copy", "Custom::Assets", assets()),
        ("delete", "Custom::Assets", assets()),
        ("start", "Custom::Run", run()),
    ] {
        let world = World { hangs: Some(call), ..World::of(ARTIFACTS, &["config/old.json"]) };
        let began = tokio::time::Instant::now();
        let answer = answered(&world, &event("Create", resource, &properties)).await;
        assert_eq!(answer["Status"], "FAILED", "{call}");
        let left = 600_000 - i64::try_from(began.elapsed().as_millis()).unwrap();
        assert!((MARGIN_MS - 1_000..=MARGIN_MS).contains(&left), "{call}: {left} ms are left");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_took_is_raised_and_one_to_nobody_too() {
    let world = World { fails: Some("answer"), ..World::default() };
    let raised = handle(&world, &world, &world, &event("Create", "Custom::Run", &run()), 600_000).await;
    assert!(raised.is_err());
    // Lambda calls again: the same run.
    let again = World { started: world.started, ..World::default() };
    answered(&again, &event("Create", "Custom::Run", &run())).await;
    assert_eq!(again.started.lock().unwrap().len(), 1);
    let mut nobody = event("Create", "Custom::Run", &run());
    nobody["ResponseURL"] = json!("");
    assert!(handle(&again, &again, &again, &nobody, 600_000).await.is_err());
}
