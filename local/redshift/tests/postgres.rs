//! The server's life: it ends with its process, whatever happens to that, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use redshift::postgres::{ADMINISTRATOR, Programs, Server};
use redshift::{Caller, Config, DataApi, Target};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Set in the process that [`a_killed_process_takes_the_server_with_it`] starts.
const VICTIM: &str = "REDSHIFT_TEST_VICTIM";

fn folder(server: &Server) -> PathBuf {
    match server.session("postgres", ADMINISTRATOR).get_hosts() {
        [tokio_postgres::config::Host::Unix(folder)] => folder.clone(),
        other => panic!("{other:?}"),
    }
}

fn gone(folder: &Path) {
    let end = Instant::now() + Duration::from_secs(20);
    while folder.exists() {
        assert!(Instant::now() < end, "{} is still there", folder.display());
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn stop_waits_for_the_server_and_the_folder_follows() {
    let server = Server::start(20).await.unwrap();
    let folder = folder(&server);
    let client = server.connect("postgres", ADMINISTRATOR).await.unwrap();
    let listens: String = client.query_one("show listen_addresses", &[]).await.unwrap().get(0);
    assert_eq!(listens, "", "no TCP");
    let pid = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().to_owned();
    let runs = || Command::new("kill").args(["-0", &pid]).stderr(Stdio::null()).status().unwrap().success();
    assert!(runs());
    // A session that works does not hold the end up.
    let busy = server.connect("postgres", ADMINISTRATOR).await.unwrap();
    let work = tokio::spawn(async move { busy.batch_execute("select pg_sleep(3600)").await });
    let waiting = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    while client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
    server.stop().await;
    assert!(!runs());
    assert!(work.await.unwrap().is_err());
    assert!(client.query_one("select 1", &[]).await.is_err());
    drop(server);
    gone(&folder);
}

#[tokio::test]
async fn dropping_the_server_ends_it() {
    let server = Server::start(20).await.unwrap();
    let folder = folder(&server);
    assert!(folder.exists());
    drop(server);
    gone(&folder);
}

#[tokio::test]
async fn dropping_the_last_data_api_ends_the_server() {
    let (events, _listener) = mpsc::unbounded_channel();
    let api = DataApi::start(Config::new(vec![Target::cluster("c", &["dev"])], events)).await.unwrap();
    let caller = Caller { arn: "arn:aws:iam::0:user/u".into(), owner: "arn:aws:iam::0:user/u".into() };
    let body = json!({"Sql": "select pg_catalog.current_setting('unix_socket_directories')", "ClusterIdentifier": "c", "Database": "dev"});
    let answer = api.call("ExecuteStatement", &caller, body).await.unwrap();
    let described = api.wait(answer["Id"].as_str().unwrap()).await.unwrap();
    assert_eq!((&described["Status"], &described["DbUser"]), (&json!("FINISHED"), &json!("IAM:u")), "{described}");
    let result = api.call("GetStatementResult", &caller, json!({"Id": answer["Id"]})).await.unwrap();
    let folder = PathBuf::from(result["Records"][0][0]["stringValue"].as_str().unwrap());
    let second = api.clone();
    drop(api);
    assert!(folder.exists(), "a clone keeps it");
    drop(second);
    gone(&folder);
}

#[test]
fn a_killed_process_takes_the_server_with_it() {
    if std::env::var_os(VICTIM).is_some() {
        return victim();
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_takes_the_server_with_it", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let folder = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().strip_prefix("folder ").map(PathBuf::from))
        .expect("the victim prints its folder");
    assert!(folder.exists());
    // SIGKILL: no Drop, no handler.
    victim.kill().unwrap();
    victim.wait().unwrap();
    gone(&folder);
}

/// Starts a server, says where, and waits to be killed.
fn victim() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(20)).unwrap();
    println!("\nfolder {}", folder(&server).display());
    runtime.block_on(std::future::pending::<()>());
}

#[test]
fn the_programs_are_found_and_new_enough() {
    let programs = Programs::find().unwrap();
    assert!(programs.version >= 15 && programs.initdb.is_file() && programs.postgres.is_file(), "{programs:?}");
}
