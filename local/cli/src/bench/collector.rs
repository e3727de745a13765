//! `tasker bench collector`: a result of hundreds of megabytes through a function that holds one page of it.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::environment::Environment;
use super::program;
use super::services::{PAGE_ROWS, Services};
use crate::Error;
use crate::execute::{pretty, print};
use crate::project::Project;

/// Keeps one result and prints what it took.
///
/// # Errors
/// [`Error::Usage`] when the program is not built; [`Error::Function`] when the result is not kept whole.
pub async fn run(project: &Project, programs: Option<PathBuf>, megabytes: u64, json: bool) -> Result<(), Error> {
    let program = program(&programs.unwrap_or_else(|| project.path("target/lambda")), "collector-function")?;
    let services = Services::start().await?;
    let mut environment = Environment::start(&program, &services).await?;
    let at_start = environment.peak_memory();
    let rows = megabytes * PAGE_ROWS;
    let event = json!({
        "action": "keepResult", "executionArn": "arn:aws:states:us-east-1:000000000000:execution:bench:e",
        "startedAt": "2026-01-01T00:00:00Z",
        "statement": {"statementId": format!("pages-{megabytes}"), "hasResultSet": true, "rows": rows},
        "keep": {"query": "q", "round": 1, "statusKey": "runs/w/r/status/q.json", "resultKey": "runs/w/r/results/q.json",
                 "csvKey": "runs/w/r/results/q.csv", "errorKey": "runs/w/r/errors/q.json"},
    });
    let began = Instant::now();
    let own = environment.invoke(&event).await?;
    let whole = began.elapsed();
    let mib = |bytes: Option<u64>| bytes.map(|bytes| (bytes as f64 / f64::from(1 << 20) * 10.0).round() / 10.0);
    let figures = json!({
        "pages": megabytes, "rows": rows, "stored_mib": mib(Some(services.stored())),
        "seconds": (whole.as_secs_f64() * 100.0).round() / 100.0,
        "own_seconds": (own.as_secs_f64() * 100.0).round() / 100.0,
        "memory_at_start_mib": mib(at_start), "peak_memory_mib": mib(environment.peak_memory()),
    });
    if json {
        return print(&pretty(&figures));
    }
    let figure = |name: &str| figures[name].to_string();
    print(&format!(
        "{rows} rows in {megabytes} pages; {} MiB written to S3 as JSON and CSV in {} s, {} s without the services\n\
         peak memory {} MiB ({} MiB at the start)\n",
        figure("stored_mib"),
        figure("seconds"),
        figure("own_seconds"),
        figure("peak_memory_mib"),
        figure("memory_at_start_mib"),
    ))
}
