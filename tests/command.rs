//! The command as a person uses it: output, exit codes, and what is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn tasker(arguments: &[&str]) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(env!("CARGO_BIN_EXE_tasker")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn rows_come_as_json_and_as_a_table() {
    let output = tasker(&["sql", "select 6*7 as answer", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["rows"], json!([{"answer": 42}]));
    let stations =
        ["row_written", "submitted", "event", "answered"].map(|station| json["way"][station].as_i64().unwrap());
    assert!(stations.is_sorted(), "{stations:?}");

    let output = tasker(&["sql", "select :n::int + 1 as next, null as nothing", "--parameter", "n=41"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("next") && table.contains("42") && table.contains("∅"), "{table}");
    let way = text(&output.stderr);
    for station in ["row written", "submitted", "event", "answered"] {
        assert!(way.contains(station), "{way}");
    }
}

#[test]
fn a_failed_statement_is_1_with_the_database_s_words_and_bad_usage_is_2() {
    let output = tasker(&["sql", "select * from nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("relation \"nowhere\" does not exist"), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");

    for (wrong, expected) in [
        (&["sql"][..], "required"),
        (&["sql", "select 1", "--parameter", "n"], "write it as name=value"),
        (&["sql", "-f", "no/such/file.sql"], "no/such/file.sql"),
        (&["execute", "statement", "--input", "{"], "--input"),
        (&["execute", "nobody"], "there is: loop, report, statement"),
        (&["lambda", "nobody"], "there are tasker-"),
        (&["--project", "/", "sql", "select 1"], "infra/root.yaml"),
    ] {
        let output = tasker(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(expected), "{wrong:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_script_goes_as_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script.sql");
    std::fs::write(&file, "create table t (a int); insert into t values (1), (2);\nselect sum(a) as total from t;")
        .unwrap();
    let output = tasker(&["sql", "-f", file.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["rows"], json!([{"total": 3}]));
}

#[test]
fn execute_runs_a_machine_and_prints_its_output() {
    let output = tasker(&["execute", "statement.asl.json", "--input", r#"{"sqlStatement": "select 1"}"#]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["state"], &json["hasResultSet"]), (&json!("FINISHED"), &json!(true)), "{json}");
    let output = tasker(&["execute", "statement", "--input", r#"{"sqlStatement": "selec 1"}"#]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("Redshift.Syntax"), "{}", text(&output.stderr));
}

/// Ends the command also when the test fails.
struct Serving(std::process::Child);

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            // It may have ended already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

fn call(endpoint: &str, operation: &str, body: &Value) -> Value {
    let mut stream = TcpStream::connect(endpoint).unwrap();
    let body = body.to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {endpoint}\r\nX-Amz-Target: AWSStepFunctions.{operation}\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\nConnection: close\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/states/aws4_request, SignedHeaders=host, \
         Signature=0\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

#[test]
fn serve_answers_until_it_is_told_to_stop_and_leaves_nothing_behind() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let settings = tempfile::tempdir().unwrap();
    let env = settings.path().join("aws.env");
    let child = Command::new(env!("CARGO_BIN_EXE_tasker"))
        .args(["serve", "--env", env.to_str().unwrap()])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut serving = Serving(child);
    let mut said = BufReader::new(serving.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = said.find(|line| line.contains("http://")).expect("it says where it answers");
    let endpoint = first.split("http://").nth(1).unwrap().trim().to_owned();
    let machine =
        said.find_map(|line| line.split_once("StatementStateMachineArn").map(|(_, arn)| arn.trim().to_owned()));
    let machine = machine.expect("it names the machine");

    let sourced = std::fs::read_to_string(&env).unwrap();
    assert!(sourced.contains(&format!("AWS_ENDPOINT_URL='http://{endpoint}'")), "{sourced}");

    let input = json!({"sqlStatement": "select 1"}).to_string();
    let started = call(&endpoint, "StartExecution", &json!({"stateMachineArn": machine, "input": input}));
    let described = loop {
        let described = call(&endpoint, "DescribeExecution", &json!({"executionArn": started["executionArn"]}));
        if described["status"] != "RUNNING" {
            break described;
        }
    };
    assert_eq!(described["status"], "SUCCEEDED", "{described}");

    let pid = rustix::process::Pid::from_raw(serving.0.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(serving.0.wait().unwrap().success());
    assert!(TcpStream::connect(&endpoint).is_err(), "nobody answers there any more");
    assert!(!env.exists(), "nothing is left to be sourced");
}

/// A project with the real templates and machines, and a workflow of its own.
fn project(workflow: &str, queries: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    for shared in ["infra", "statemachines"] {
        std::os::unix::fs::symlink(real.join(shared), folder.path().join(shared)).unwrap();
    }
    for below in ["config/workflows", "scripts"] {
        std::fs::create_dir_all(folder.path().join(below)).unwrap();
    }
    let mut configured = Vec::new();
    for (name, sql) in queries {
        std::fs::write(folder.path().join(format!("scripts/{name}.sql")), sql).unwrap();
        configured.push(json!({"name": name, "script": format!("scripts/{name}.sql"), "timeLimitSeconds": 60}));
    }
    let document = json!({
        "name": workflow, "timeLimitSeconds": 60, "queries": configured, "plan": "only", "rounds": 1,
        "plans": {"only": {"segments": [{"name": "all", "queries": ["*"]}]}},
    });
    std::fs::write(folder.path().join(format!("config/workflows/{workflow}.json")), document.to_string()).unwrap();
    folder
}

#[test]
fn run_shows_what_it_does_and_keeps_results_and_1_is_persistent_failures() {
    let project = project("own", &[("good", "select 6*7 as answer"), ("bad", "select * from nowhere")]);
    let folder = project.path().to_str().unwrap();
    let out = project.path().join("out");
    let output = tasker(&["--project", folder, "run", "own", "--json", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["ending"], &summary["counts"]["finished"]), (&json!("PERSISTENT_FAILURES"), &json!(1)));
    assert_eq!(summary["failures"][0]["error"]["name"], "Redshift.UndefinedObject");
    // Start, plan, segment, loop, report; and two queries.
    let transitions = summary["cost"]["stateTransitions"].as_u64().unwrap();
    assert!((20..40).contains(&transitions), "{transitions}");
    let said = text(&output.stderr);
    assert!(said.contains("all 1/2: good finished") && said.contains("all 2/2: bad failed"), "{said}");
    assert_eq!(std::fs::read_to_string(out.join("results/good.csv")).unwrap(), "answer\r\n42\r\n");
    assert!(std::fs::read_to_string(out.join("errors/bad.json")).unwrap().contains("nowhere"));

    let output = tasker(&["--project", folder, "run", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("InvalidConfiguration: config/workflows/nobody.json"),
        "{}",
        text(&output.stderr)
    );
    let output = tasker(&["--project", folder, "report", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("has no report"), "{}", text(&output.stderr));
}

#[test]
fn the_review_of_a_healthy_workgroup_finds_nothing_and_of_a_troubled_one_a_lot() {
    for (seed, least) in [("healthy", 0), ("troubled", 60)] {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().to_str().unwrap();
        let output = tasker(&["run", "review", "--target", "serverless", "--seed", seed, "--json", "--out", folder]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["counts"]["finished"], summary["counts"]["queries"], "{summary}");
        assert_eq!(summary.get("notEvaluated"), None, "{summary}");
        let found = summary["findings"].as_array().map_or(0, Vec::len);
        assert!(if least == 0 { found == 0 } else { found >= least }, "{seed}: {found}");
        let report = std::fs::read_to_string(out.path().join("report.html")).unwrap();
        assert!(report.contains("href=\"results&#x2f;tables.csv\""), "links work in the folder");
        // The same again, from what was kept.
        let again = tasker(&["report", folder]);
        assert!(again.status.success(), "{}", text(&again.stderr));
        assert!(std::fs::read_to_string(out.path().join("report.html")).unwrap().contains("Amazon Redshift review"));
    }
}

#[test]
fn ctrl_c_stops_the_run_and_leaves_what_there_is() {
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 4000) select count(*) from n a, n b, n c";
    let project = project("own", &[("good", "select 1 as one"), ("endless", endless)]);
    let out = project.path().join("out");
    let mut running = Command::new(env!("CARGO_BIN_EXE_tasker"))
        .args(["--project", project.path().to_str().unwrap(), "run", "own", "--json", "--out", out.to_str().unwrap()])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(running.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("good finished") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended early");
    }
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = said.lines().map(Result::unwrap).collect();
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("stopped: the statements that ran were cancelled")), "{rest:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["ending"], &summary["counts"]["finished"]), (&json!("STOPPED"), &json!(1)), "{summary}");
    assert!(out.join("manifests/all.json").is_file() && out.join("results/good.csv").is_file());
}

#[test]
fn check_says_where_a_machine_is_wrong() {
    let output = tasker(&["check"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.asl.json");
    std::fs::write(
        &file,
        "{\n  \"StartAt\": \"A\",\n  \"States\": {\n    \"A\": {\"Type\": \"Pass\", \"Next\": \"B\"}\n  }\n}\n",
    )
    .unwrap();
    let output = tasker(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains("wrong.asl.json:4:") && said.contains("error") && said.contains("B"), "{said}");
    let output = tasker(&["check", "--json", file.to_str().unwrap()]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found[0]["line"], &found[0]["severity"]), (&json!(4), &json!("error")), "{found}");
    assert_eq!(tasker(&["check", "no/such/file"]).status.code(), Some(2));
}

#[test]
fn check_says_everything_that_is_wrong_with_a_workflow() {
    let folder = tempfile::tempdir().unwrap();
    let workflows = folder.path().join("config/workflows");
    std::fs::create_dir_all(&workflows).unwrap();
    let file = workflows.join("own.json");
    let workflow = json!({
        "name": "own", "timeLimitSeconds": 60, "plan": "other", "plans": {"only": {"segments": [{"name": "all", "queries": ["*"]}]}},
        "queries": [{"name": "a", "script": "scripts/a.sql", "timeLimitSeconds": 60, "depends": []}],
    });
    std::fs::write(&file, workflow.to_string()).unwrap();
    let output = tasker(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    for wanted in ["own.json: error: $.plan:", "scripts/a.sql", "did you mean \"dependsOn\"?"] {
        assert!(said.contains(wanted), "{wanted} is missing in: {said}");
    }
}
