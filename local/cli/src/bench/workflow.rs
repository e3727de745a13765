//! `tasker bench workflow`: many small queries through the three levels, on the whole local stack.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::environment::peak_memory;
use crate::Error;
use crate::execute::{pretty, print};
use crate::project::Project;

/// The segments of the plan, and how many queries of each run at a time.
const SEGMENTS: usize = 4;
const WIDTH: usize = 10;
/// The workflow's name.
const NAME: &str = "many";

/// Runs a workflow of so many queries and prints what it took.
///
/// # Errors
/// What the machine refuses; [`Error::Function`] when the run does not succeed.
pub async fn run(project: &Project, queries: usize, json: bool) -> Result<(), Error> {
    let cloud = project.start(None, &[]).await?;
    let figures = measure(&cloud, queries).await;
    cloud.shutdown().await;
    let figures = figures?;
    if json {
        return print(&pretty(&figures));
    }
    let lines: Vec<String> =
        figures.as_object().into_iter().flatten().map(|(name, figure)| format!("{name:28} {figure}\n")).collect();
    print(&lines.concat())
}

async fn measure(cloud: &cloud::Cloud, queries: usize) -> Result<Value, Error> {
    let assets = cloud.outputs()["AssetsBucket"].clone();
    let names: Vec<String> = (0..queries).map(|number| format!("query-{number}")).collect();
    cloud.put_object(&assets, "scripts/many/one.sql", b"select 1 as one").await?;
    let configured: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "script": "scripts/many/one.sql", "timeLimitSeconds": 600}))
        .collect();
    let segments: Vec<Value> = names
        .chunks(queries.div_ceil(SEGMENTS).max(1))
        .enumerate()
        .map(|(at, part)| json!({"name": format!("part-{at}"), "queries": part, "mode": "graph", "width": WIDTH}))
        .collect();
    let workflow = json!({"name": NAME, "timeLimitSeconds": 86_400, "rounds": 1, "queries": configured,
        "plan": "only", "plans": {"only": {"segments": segments}}});
    cloud.put_object(&assets, &format!("config/workflows/{NAME}.json"), workflow.to_string().as_bytes()).await?;

    let before = peak_memory(std::process::id());
    let began = Instant::now();
    let execution = cloud.start_execution("StateMachines/Workflow", &json!({"workflow": NAME})).await?;
    let ended = cloud.wait(&execution).await?;
    let took = began.elapsed().as_secs_f64();
    if ended["status"] != "SUCCEEDED" {
        return Err(Error::Function(format!(
            "the run ended {}: {} {}",
            ended["status"], ended["error"], ended["cause"]
        )));
    }
    let usage = cloud.usage();
    let mut functions = BTreeMap::new();
    for function in ["PlannerFunction", "TaskerFunction", "CompletionFunction", "CollectorFunction"] {
        let peak = cloud.processes(function).into_iter().filter_map(peak_memory).max();
        functions.insert(function, peak.map(mib));
    }
    Ok(json!({
        "queries": queries,
        "seconds": (took * 10.0).round() / 10.0,
        "queries_per_second": (queries as f64 / took).round(),
        "executions": usage.executions,
        "transitions": usage.transitions,
        "transitions_per_query": (usage.transitions as f64 / queries as f64 * 100.0).round() / 100.0,
        "longest_history_events": usage.longest_history,
        "stack_memory_mib_before": before.map(mib),
        "stack_memory_mib": peak_memory(std::process::id()).map(mib),
        "function_memory_mib": functions,
    }))
}

fn mib(bytes: u64) -> f64 {
    (bytes as f64 / f64::from(1 << 20) * 10.0).round() / 10.0
}
