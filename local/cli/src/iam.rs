//! `tasker iam`: what the roles of the templates may do against what they use.
//!
//! Runs SQL and a workflow on a stack of its own and counts, action by action, the calls that each statement of a role's
//! policies allowed. Says nothing about what would fail without an action; `tests/iam.rs` does.

use std::collections::BTreeMap;

use clap::Args;
use cloud::Cloud;
use cloud::authorize::{Allowed, DEMANDED, Usage};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::Error;
use crate::execute::print;
use crate::project::Project;

/// `tasker iam [--json]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// One JSON document instead of tables.
    #[arg(long)]
    json: bool,
    /// The workflow to run, by the name of its file in config/workflows/.
    #[arg(long, default_value = "review")]
    workflow: String,
}

/// Starts a stack, uses it, and prints what was allowed and used.
///
/// # Errors
/// What the start refuses.
pub async fn run(project: &Project, arguments: Arguments) -> Result<(), Error> {
    let cloud = project.start(None, &[("GraceSeconds", "1"), ("NotificationEmail", "nobody@example.com")]).await?;
    let used = exercise(&cloud, &arguments.workflow).await;
    let usage = cloud.authorizer().usage();
    cloud.shutdown().await;
    used?;
    if arguments.json { print(&format!("{:#}\n", document(&usage))) } else { print(&tables(&usage)) }
}

/// A statement of each kind, and the workflow. How they end does not matter here.
async fn exercise(cloud: &Cloud, workflow: &str) -> Result<(), Error> {
    for request in [
        json!({"sqlStatement": "select 6*7 as answer", "result": "inline"}),
        json!({"action": "batchExecuteStatement", "sqlStatements": ["select 1", "select 2"]}),
        json!({"action": "executeSingletonStatement", "sqlStatement": "select 1"}),
        json!({"sqlStatement": "select 1", "idempotencyKey": "again"}),
        json!({"sqlStatement": "select 1", "idempotencyKey": "again"}),
        json!({"sqlStatement": "select * from nowhere"}),
    ] {
        let execution = cloud.start_execution("StateMachines/Statement", &request).await?;
        cloud.wait(&execution).await?;
    }
    let execution = cloud.start_execution("StateMachines/Workflow", &json!({"workflow": workflow})).await?;
    cloud.wait(&execution).await?;
    Ok(())
}

/// Why an action that no call here uses is allowed, where AWS demands it.
fn demanded(action: &str) -> Option<(&'static str, &'static str)> {
    let found = DEMANDED.iter().find(|demanded| demanded.actions.contains(&action));
    found.map(|demanded| (demanded.reason, demanded.page))
}

fn role(allowed: &Allowed) -> &str {
    allowed.role.rsplit('/').next().unwrap_or(&allowed.role)
}

fn document(usage: &Usage) -> Value {
    let actions = usage.allowed.iter().map(|allowed| {
        let examples: Vec<Value> = (allowed.examples.iter())
            .map(|(action, resource)| json!({"action": action, "resource": resource}))
            .collect();
        json!({
            "role": allowed.role,
            "policy": allowed.policy,
            "statement": allowed.statement,
            "sid": allowed.sid,
            "action": allowed.action,
            "resources": allowed.resources,
            "conditionKeys": allowed.conditions,
            "calls": allowed.calls,
            "examples": examples,
            "demandedBy": demanded(&allowed.action).map(|(_, page)| page),
        })
    });
    json!({ "allowed": actions.collect::<Vec<_>>() })
}

fn tables(usage: &Usage) -> String {
    let mut roles: BTreeMap<&str, Vec<&Allowed>> = BTreeMap::new();
    for allowed in &usage.allowed {
        roles.entry(role(allowed)).or_default().push(allowed);
    }
    let mut text = String::new();
    for (name, actions) in roles {
        let used = actions.iter().filter(|allowed| allowed.calls > 0).count();
        text.push_str(&format!("{name}: {used} of {} allowed actions used\n", actions.len()));
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(["policy", "action", "calls", "used on"]);
        for allowed in actions {
            let on = match (allowed.examples.first(), demanded(&allowed.action)) {
                (Some((_, resource)), _) => resource.clone(),
                (None, Some((reason, page))) => format!("{reason}: {page}"),
                (None, None) => "-".to_owned(),
            };
            let policy = format!("{}[{}]", allowed.policy, allowed.statement);
            table.add_row([policy, allowed.action.clone(), allowed.calls.to_string(), on]);
        }
        if let Some(column) = table.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        text.push_str(&format!("{table}\n\n"));
    }
    text
}
