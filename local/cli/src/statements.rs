//! `tasker statements`: the statements of a deployed stack, from their audit rows. Never SQL text.

use ::deploy::statements::{self, Statement};
use chrono::{DateTime, Utc};
use clap::Args;
use comfy_table::CellAlignment;
use serde_json::{Value, json};

use crate::Error;
use crate::answer::table;
use crate::execute::{pretty, print};
use crate::remote::{Named, Remote};

/// `tasker statements --stack NAME [--open | --last N] [--json]`
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
    /// Only those that somebody still waits for.
    #[arg(long, conflicts_with = "last")]
    open: bool,
    /// How many, newest first.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    last: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Lists them.
///
/// # Errors
/// What the services refuse.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let remote = Remote::find(&arguments.named).await?;
    let name = remote.stack.output("TableName")?;
    let found = if arguments.open {
        statements::open(&remote.aws, name).await?
    } else {
        statements::newest(&remote.aws, name, arguments.last as usize).await?
    };
    if arguments.json {
        return print(&pretty(&found.iter().map(to_json).collect::<Value>()));
    }
    print(&to_text(&found, arguments.open, Utc::now()))
}

fn to_text(found: &[Statement], open: bool, now: DateTime<Utc>) -> String {
    if found.is_empty() {
        return if open { "no statement is open\n" } else { "no statement has run yet\n" }.to_owned();
    }
    let mut table = table(["state", "started (UTC)", "duration", "rows", "execution", "error"]);
    for statement in found {
        // The state machine's name and the execution's, which a person looks for.
        let execution = statement.execution.as_deref().unwrap_or_default();
        let execution: Vec<&str> = execution.rsplitn(3, ':').collect();
        let execution = match execution[..] {
            [name, machine, _] => format!("{machine}:{name}"),
            _ => String::new(),
        };
        table.add_row([
            statement.state.clone(),
            statement.submitted.unwrap_or(statement.created).format("%F %T").to_string(),
            duration(statement, now),
            statement.rows.map(|rows| rows.to_string()).unwrap_or_default(),
            execution,
            statement.error.clone().unwrap_or_default(),
        ]);
    }
    for right in [2, 3] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

/// How long it ran on Redshift; how long it has been going where it has not ended.
fn duration(statement: &Statement, now: DateTime<Utc>) -> String {
    let going = || (statement.ended.is_none()).then(|| (now - statement.created).num_milliseconds().max(0));
    let Some(ms) = statement.duration_ms.or_else(going) else { return String::new() };
    let mark = if statement.duration_ms.is_none() { "…" } else { "" };
    match ms {
        0..60_000 => format!("{}.{} s{mark}", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s{mark}", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {} min{mark}", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

fn to_json(statement: &Statement) -> Value {
    json!({
        "state": statement.state, "open": statement.open, "action": statement.action, "attempt": statement.attempt,
        "createdAt": statement.created, "submittedAt": statement.submitted, "endedAt": statement.ended,
        "durationMs": statement.duration_ms, "rows": statement.rows, "executionArn": statement.execution,
        "statementId": statement.id, "target": statement.target, "error": statement.error, "row": statement.row,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        let created = "2026-11-20T10:00:00Z".parse().unwrap();
        Statement {
            row: "r".into(),
            state: "SUBMITTED".into(),
            open: true,
            action: "executeStatement".into(),
            attempt: 1,
            created,
            submitted: None,
            ended: None,
            duration_ms: None,
            rows: None,
            execution: Some("arn:aws:states:eu-central-1:1:execution:prod-statement:run-1-orders".into()),
            id: None,
            target: "cluster:c/dev".into(),
            error: None,
        }
    }

    #[test]
    fn the_table_says_state_time_and_whose_it_is() {
        let open = statement();
        let ended = Statement {
            state: "FAILED".into(),
            ended: Some(open.created),
            duration_ms: Some(1_250),
            error: Some("Redshift.Syntax".into()),
            ..open.clone()
        };
        let now = open.created + chrono::TimeDelta::seconds(75);
        assert_eq!(duration(&open, now), "1 min 15 s…");
        assert_eq!(duration(&ended, now), "1.2 s");
        assert_eq!(duration(&Statement { duration_ms: None, ..ended.clone() }, now), "");
        let text = to_text(&[open, ended], false, now);
        for part in ["SUBMITTED", "2026-11-20 10:00:00", "prod-statement:run-1-orders", "Redshift.Syntax"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(to_text(&[], true, now), "no statement is open\n");
    }
}
