//! The deployment by the command: against a CloudFormation that says what a test wants, and against the local stack.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

#[path = "deploy/standin.rs"]
mod standin;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use standin::{Answer, Form, StandIn, list, refused, xml};

/// The command as somebody uses it who deploys to an endpoint.
fn tasker(endpoint: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tasker"))
        .args(arguments)
        .args(["--endpoint-url", endpoint])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs([
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nonexistent"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ])
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const ROOT: &str = "arn:aws:cloudformation:us-east-1:000000000000:stack/prod/1";
const DATA: &str = "arn:aws:cloudformation:us-east-1:000000000000:stack/prod-Data/2";
const CHANGE_SET: &str = "arn:aws:cloudformation:us-east-1:000000000000:changeSet/c/3";

fn stack(status: &str) -> Answer {
    let output = xml(&[("OutputKey", "TableName"), ("OutputValue", "prod-statements")]);
    let parameter = xml(&[("ParameterKey", "Kept"), ("ParameterValue", "old")]);
    let stack = xml(&[
        ("StackId", ROOT),
        ("StackName", "prod"),
        ("StackStatus", status),
        ("CreationTime", "2026-11-20T10:00:00Z"),
    ]) + &list("Outputs", &[output])
        + &list("Parameters", &[parameter]);
    (200, list("Stacks", &[stack]))
}

/// An event at this second.
fn event(stack: &str, second: u32, logical: &str, physical: &str, kind: &str, status: &str, why: &str) -> String {
    xml(&[
        ("EventId", &format!("{logical}-{second}-{status}")),
        ("StackId", stack),
        ("StackName", "prod"),
        ("Timestamp", &format!("2026-11-20T10:00:{second:02}.000Z")),
        ("LogicalResourceId", logical),
        ("PhysicalResourceId", physical),
        ("ResourceType", kind),
        ("ResourceStatus", status),
        ("ResourceStatusReason", why),
    ])
}

fn change(action: &str, logical: &str, kind: &str, replacement: &str) -> String {
    let change = xml(&[
        ("Action", action),
        ("LogicalResourceId", logical),
        ("ResourceType", kind),
        ("Replacement", replacement),
    ]);
    format!("<Type>Resource</Type><ResourceChange>{change}</ResourceChange>")
}

fn change_set(status: &str, why: &str, changes: &[String]) -> Answer {
    (200, xml(&[("Status", status), ("StatusReason", why)]) + &list("Changes", changes))
}

/// A template of two parameters.
fn template() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = r#"{"Parameters": {"Given": {"Type": "String"}, "Kept": {"Type": "String"}}, "Resources": {}}"#;
    std::fs::write(file.path(), text).unwrap();
    file
}

fn deploy(standin: &StandIn, more: &[&str]) -> Output {
    let template = template();
    let arguments = ["deploy", "--stack", "prod", "--template", template.path().to_str().unwrap()];
    tasker(&standin.endpoint, &[&arguments, more].concat())
}

#[test]
fn a_failure_is_explained_by_its_first_cause_through_nested_stacks() {
    const STACK: &str = "AWS::CloudFormation::Stack";
    let standin = StandIn::start(|action, form, before| match (action, form.get("StackName").map(String::as_str)) {
        ("DescribeStacks", _) if before == 0 => refused("Stack with id prod does not exist"),
        ("DescribeStacks", _) => stack("ROLLBACK_COMPLETE"),
        ("CreateChangeSet", _) => (200, xml(&[("Id", CHANGE_SET), ("StackId", ROOT)])),
        ("DescribeChangeSet", _) => change_set("CREATE_COMPLETE", "", &[change("Add", "Data", STACK, "")]),
        ("ExecuteChangeSet", _) => (200, String::new()),
        ("DescribeStackEvents", Some(ROOT)) => {
            let embedded =
                "Embedded stack was not successfully created: The following resource(s) failed to create: [Table].";
            // Newest first, as the service gives them.
            let all = [
                event(ROOT, 9, "prod", ROOT, STACK, "ROLLBACK_COMPLETE", ""),
                event(
                    ROOT,
                    6,
                    "prod",
                    ROOT,
                    STACK,
                    "ROLLBACK_IN_PROGRESS",
                    "The following resource(s) failed to create: [Data].",
                ),
                event(ROOT, 5, "Data", DATA, STACK, "CREATE_FAILED", embedded),
                event(ROOT, 2, "Data", DATA, STACK, "CREATE_IN_PROGRESS", "Resource creation Initiated"),
                event(ROOT, 1, "prod", ROOT, STACK, "REVIEW_IN_PROGRESS", "User Initiated"),
            ];
            // Before, while it is under way, and at its end.
            let from = [4, 3, 0][before.min(2)];
            (200, list("StackEvents", &all[from..]))
        }
        ("DescribeStackEvents", Some(DATA)) => {
            let all = [
                event(DATA, 4, "Key", "", "AWS::KMS::Key", "CREATE_FAILED", "Resource creation cancelled"),
                event(DATA, 3, "Table", "", "AWS::DynamoDB::Table", "CREATE_FAILED", "prod-statements already exists"),
                event(DATA, 2, "prod-Data", DATA, STACK, "CREATE_IN_PROGRESS", ""),
            ];
            (200, list("StackEvents", &all[if before == 0 { 2 } else { 0 }..]))
        }
        other => panic!("{other:?}"),
    });
    let output = deploy(&standin, &["--parameter", "Given=x"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "Add",
        "10:00:03  CREATE_FAILED        Data/Table (AWS::DynamoDB::Table)  prod-statements already exists",
        "the stack prod is ROLLBACK_COMPLETE",
        "first cause: Data/Table (AWS::DynamoDB::Table) CREATE_FAILED\n  prod-statements already exists",
        "NamePrefix",
        "tasker delete --stack prod",
    ] {
        assert!(said.contains(part), "{part:?} is missing:\n{said}");
    }
    // What was there before is of no interest, and nothing is said twice.
    assert!(!said.contains("REVIEW_IN_PROGRESS"), "{said}");
    assert_eq!(said.matches("10:00:03").count(), 1, "{said}");
    let asked = standin.call("CreateChangeSet");
    assert_eq!(asked["ChangeSetType"], "CREATE");
    assert_eq!(
        (asked["Parameters.member.1.ParameterKey"].as_str(), asked.get("Parameters.member.2.ParameterKey")),
        ("Given", None)
    );
}

/// A stack that is there, and this change set for it.
fn update(set: impl Fn() -> Answer + Send + Sync + 'static) -> StandIn {
    StandIn::start(move |action, _: &Form, _| match action {
        "DescribeStacks" => stack("UPDATE_COMPLETE"),
        "CreateChangeSet" => (200, xml(&[("Id", CHANGE_SET), ("StackId", ROOT)])),
        "DescribeChangeSet" => set(),
        "DeleteChangeSet" => (200, String::new()),
        other => panic!("{other}"),
    })
}

#[test]
fn what_replaces_or_removes_needs_agreement() {
    for grave in
        [change("Modify", "Queue", "AWS::SQS::Queue", "True"), change("Remove", "Queue", "AWS::SQS::Queue", "")]
    {
        let standin = update(move || change_set("CREATE_COMPLETE", "", std::slice::from_ref(&grave)));
        let output = deploy(&standin, &["--parameter", "Given=x"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("Queue") && said.contains("--yes"), "{said}");
        assert!(!standin.actions().contains(&"ExecuteChangeSet".to_owned()));
        // What is not given stays as it is in the stack.
        let asked = standin.call("CreateChangeSet");
        assert_eq!(asked["ChangeSetType"], "UPDATE");
        assert_eq!(asked["Parameters.member.2.ParameterKey"], "Kept");
        assert_eq!(asked["Parameters.member.2.UsePreviousValue"], "true");
    }
}

#[test]
fn where_nothing_changes_the_outputs_are_said_and_nothing_stays_behind() {
    let standin = update(|| change_set("FAILED", "The submitted information didn't contain changes.", &[]));
    let output = deploy(&standin, &["--parameter", "Given=x"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "TableName  prod-statements\n");
    assert!(standin.actions().contains(&"DeleteChangeSet".to_owned()));
}

#[test]
fn what_cannot_be_deployed_is_said_before_anything_is_sent() {
    let standin = update(|| change_set("FAILED", "Circular dependency between resources: [A, B]", &[]));
    let output = deploy(&standin, &["--parameter", "Given=x"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("Circular dependency between resources: [A, B]\nwhat to do: take one of the references"),
        "{said}"
    );

    let output = deploy(&standin, &["--parameter", "Wrong=x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no parameter Wrong; it has: Given, Kept"), "{}", text(&output.stderr));

    for (status, next) in [
        ("ROLLBACK_COMPLETE", "tasker delete --stack prod"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("UPDATE_IN_PROGRESS", "tasker status --stack prod"),
    ] {
        let standin = StandIn::start(move |_, _, _| stack(status));
        let output = deploy(&standin, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(next), "{}", text(&output.stderr));
        assert_eq!(standin.actions(), ["DescribeStacks"]);
    }
}

#[test]
fn a_stack_that_is_not_there_is_bad_usage() {
    let standin = StandIn::start(|_, _, _| refused("Stack with id prod does not exist"));
    for command in ["status", "delete", "watch", "fetch", "statements"] {
        let output = tasker(&standin.endpoint, &[command, "--stack", "prod"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert_eq!(text(&output.stderr), "tasker: there is no stack prod in us-east-1\n");
    }
}

#[test]
fn a_deletion_says_first_what_stays() {
    let standin = StandIn::start(|action, form, _| match action {
        "DescribeStacks" => stack("CREATE_COMPLETE"),
        "GetTemplate" if form["StackName"] == ROOT => {
            (200, xml(&[("TemplateBody", r#"{"Resources": {"Data": {"Type": "AWS::CloudFormation::Stack"}}}"#)]))
        }
        "GetTemplate" => (
            200,
            xml(&[("TemplateBody", "Resources:\n  Table: {Type: T, DeletionPolicy: Retain}\n  Queue: {Type: Q}\n")]),
        ),
        "ListStackResources" => {
            let resource = |logical, physical, kind| {
                xml(&[
                    ("LogicalResourceId", logical),
                    ("PhysicalResourceId", physical),
                    ("ResourceType", kind),
                    ("ResourceStatus", "CREATE_COMPLETE"),
                    ("LastUpdatedTimestamp", "2026-11-20T10:00:00Z"),
                ])
            };
            let found = if form["StackName"] == ROOT {
                vec![resource("Data", DATA, "AWS::CloudFormation::Stack")]
            } else {
                vec![resource("Table", "prod-statements", "T"), resource("Queue", "prod-queue", "Q")]
            };
            (200, list("StackResourceSummaries", &found))
        }
        other => panic!("{other}"),
    });
    let output = tasker(&standin.endpoint, &["delete", "--stack", "prod"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("stays: Data/Table (T) prod-statements\n") && !said.contains("prod-queue"), "{said}");
    assert!(
        said.contains("1 of its resources stay in the account, with what they hold: agree to it with --yes"),
        "{said}"
    );
    assert!(!standin.actions().contains(&"DeleteStack".to_owned()));
    let output = tasker(&standin.endpoint, &["status", "--stack", "prod"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("prod is CREATE_COMPLETE") && said.contains("Data") && said.contains("TableName"), "{said}");
}

/// A local cloud without a stack, until the test ends.
struct Serving {
    process: Child,
    endpoint: String,
    folder: tempfile::TempDir,
}

impl Serving {
    /// With a copy of the project that a test may change.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for part in ["infra", "statemachines", "config", "scripts"] {
            copy(&here.join(part), &folder.path().join(part));
        }
        let mut process = Command::new(env!("CARGO_BIN_EXE_tasker"))
            .args(["serve", "--empty", "--env"])
            .arg(folder.path().join("aws.env"))
            .current_dir(here)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let endpoint = lines.find_map(|line| Some("http://".to_owned() + line.split_once("http://")?.1)).unwrap();
        let serving = Self { process, endpoint, folder };
        for function in ::deploy::package::functions(serving.folder.path()).unwrap() {
            let mut program = vec![0; 64];
            program[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
            (program[16], program[18], program[20], program[52], program[58]) = (2, 62, 1, 64, 64);
            program.extend(function.as_bytes());
            serving.write(&format!("functions/{function}/bootstrap"), &program);
        }
        serving
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        let file = self.folder.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// Changes a file of the project.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Status, output, and what was said beside it.
    fn tasker(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let project = self.folder.path().to_str().unwrap();
        let output = tasker(&self.endpoint, &[&["--project", project], arguments].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn deploy(&self, more: &[&str]) -> (Option<i32>, String, String) {
        let functions = self.folder.path().join("functions");
        let usual = ["deploy", "--stack", "prod", "--bucket", "artefacts", "--functions", functions.to_str().unwrap()];
        self.tasker(&[&usual, more].concat())
    }

    /// As [`Self::tasker`], but it has to succeed.
    fn well(&self, arguments: &[&str]) -> (String, String) {
        let (status, output, said) = self.tasker(arguments);
        assert_eq!(status, Some(0), "{arguments:?}: {said}\n{output}");
        (output, said)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            // It may have ended already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let beside = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &beside) } else { std::fs::copy(&path, &beside).map(drop).unwrap() }
    }
}

#[test]
fn a_stack_is_deployed_used_changed_and_deleted() {
    let serving = Serving::start();
    serving.write("prod.json", br#"{"ClusterIdentifier": "local-cluster", "RetentionDays": 30}"#);
    let parameters = serving.folder.path().join("prod.json");
    let (status, _, said) = serving.deploy(&["--parameters", parameters.to_str().unwrap(), "--dry-run"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("Tasker/TaskerFunction") && !said.contains("CREATE_"), "{said}");
    let (status, outputs, said) = serving.deploy(&["--parameters", parameters.to_str().unwrap()]);
    assert_eq!(status, Some(0), "{said}");
    for part in [
        "7   AWS::Lambda::Function",
        "CREATE_COMPLETE      Data/Table (AWS::DynamoDB::Table)",
        "the stack prod is CREATE_COMPLETE",
        "tasker start review --watch --stack prod",
    ] {
        assert!(said.contains(part), "{said}");
    }
    for output in ["WorkflowStateMachineArn", "ResultsBucket", "TableName"] {
        assert!(outputs.contains(output), "{outputs}");
    }

    let (_, said) = serving.well(&["start", "review", "--stack", "prod", "--watch"]);
    assert!(said.contains("8/8: ") && said.contains("tasker fetch --stack prod"), "{said}");
    // Who comes later sees the same.
    let (output, _) = serving.well(&["watch", "--stack", "prod"]);
    assert!(output.starts_with("review: 33 of 33 queries finished"), "{output}");

    let (summary, _) = serving.well(&["fetch", "--stack", "prod", "review", "--json"]);
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&summary["workflow"], &summary["ending"]), (&json!("review"), &json!("SUCCEEDED")), "{summary}");
    let runs = serving.folder.path().join(".tasker/runs/review");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    let report = report.replace("&#x2f;", "/");
    let links: Vec<&str> = report.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let (inner, outer): (Vec<&str>, Vec<&str>) =
        links.iter().copied().partition(|link| link.starts_with('#') || run.join(link).is_file());
    assert!(inner.iter().any(|link| link.ends_with(".csv")), "the links lead into the folder: {links:?}");
    assert!(!outer.iter().any(|link| link.contains(&serving.endpoint)), "{outer:?}");

    let (listed, _) = serving.well(&["statements", "--stack", "prod", "--last", "5", "--json"]);
    let rows: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 5);
    assert!(rows.as_array().unwrap().iter().all(|row| row["state"] == "FINISHED"), "{listed}");
    assert!(!listed.to_lowercase().contains("select"), "{listed}");
    // They are the newest, and in order.
    let (all, _) = serving.well(&["statements", "--stack", "prod", "--last", "1000", "--json"]);
    let all: Vec<Value> = serde_json::from_str(&all).unwrap();
    assert!(all.len() >= 33, "{}", all.len());
    assert!(all.is_sorted_by(|one, next| one["createdAt"].as_str() >= next["createdAt"].as_str()), "{all:?}");
    let at = |rows: &[Value]| rows.iter().map(|row| row["createdAt"].clone()).collect::<Vec<_>>();
    assert_eq!(at(rows.as_array().unwrap()), at(&all[..5]));
    let (listed, _) = serving.well(&["statements", "--stack", "prod", "--open"]);
    assert_eq!(listed, "no statement is open\n");

    let (status, _, said) = serving.deploy(&[]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("nothing changes"), "{said}");

    // A new workflow is other assets: a deployment brings them, and nothing else changes.
    let small = json!({
        "name": "small", "timeLimitSeconds": 60, "rounds": 1, "plan": "one",
        "queries": [{"name": "one", "script": "scripts/small/one.sql", "timeLimitSeconds": 30}],
        "plans": {"one": {"segments": [{"name": "all", "queries": ["*"]}]}},
    });
    serving.write("config/workflows/small.json", small.to_string().as_bytes());
    serving.write("scripts/small/one.sql", b"select 1 as one");
    let (status, _, said) = serving.deploy(&["--parameter", "LogLevel=debug"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("Triggers/Assets") && said.contains("the stack prod is UPDATE_COMPLETE"), "{said}");
    assert!(!said.contains("Data/Table"), "{said}");
    let (output, said) = serving.well(&["start", "small", "--stack", "prod", "--watch"]);
    assert!(
        output.contains("small: 1 of 1 query finished") && said.contains("all 1/1: one finished"),
        "{output}{said}"
    );

    let (output, _) = serving.well(&["status", "--stack", "prod"]);
    assert!(output.starts_with("prod is UPDATE_COMPLETE") && output.contains("StateMachines"), "{output}");

    let (status, _, said) = serving.tasker(&["delete", "--stack", "prod"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("stays: Data/ResultsBucket (AWS::S3::Bucket)") && said.contains("--yes"), "{said}");
    let (_, said) = serving.well(&["delete", "--stack", "prod", "--yes"]);
    assert!(said.contains("the stack prod is deleted"), "{said}");
    let (status, _, said) = serving.tasker(&["status", "--stack", "prod"]);
    assert_eq!((status, said.as_str()), (Some(2), "tasker: there is no stack prod in us-east-1\n"));
}

#[test]
fn a_broken_template_fails_with_the_reason() {
    let serving = Serving::start();
    for (file, from, to, reason, next) in [
        // A circular reference.
        (
            "infra/root.yaml",
            "  Data:\n    Type: AWS::CloudFormation::Stack\n",
            "  Data:\n    Type: AWS::CloudFormation::Stack\n    DependsOn: Tasker\n",
            "Circular dependency between resources: [",
            "take one of the references",
        ),
        // A name that is not there.
        (
            "infra/triggers.yaml",
            "ASSETS_BUCKET: !Ref AssetsBucket",
            "ASSETS_BUCKET: !Ref AssetBucket",
            "AssetBucket",
            "correct the name",
        ),
        // A permission that the installer has to have.
        (
            "infra/triggers.yaml",
            "Action: s3:GetObject\n",
            "Action: s3:GetObjectTagging\n",
            "s3:GetObject",
            "grant the action",
        ),
        // A variable that the function does not know: it says so through its custom resource.
        (
            "infra/triggers.yaml",
            "ASSETS_BUCKET: !Ref AssetsBucket",
            "ASSET_BUCKET: !Ref AssetsBucket",
            "ASSETS_BUCKET is missing",
            "tasker delete --stack prod",
        ),
    ] {
        serving.edit(file, from, to);
        let (status, _, said) = serving.deploy(&["--parameter", "ClusterIdentifier=local-cluster"]);
        assert_eq!(status, Some(1), "{to}: {said}");
        assert!(said.contains(reason) && said.contains(next), "{to}: {said}");
        serving.edit(file, to, from);
        // Nothing of it is left, or what is left can be deleted.
        if serving.tasker(&["status", "--stack", "prod"]).0 != Some(2) {
            serving.well(&["delete", "--stack", "prod", "--yes"]);
        }
    }
    let (status, _, said) = serving.deploy(&["--parameter", "ClusterIdentifier=local-cluster"]);
    assert_eq!(status, Some(0), "{said}");
}
