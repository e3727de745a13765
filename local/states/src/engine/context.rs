//! The context object: `$$` in JSONPath, `$states.context` in JSONata.

use serde_json::{Map, Value, json};

use super::{Execution, Phase, Strand};
use crate::definition::Kind;
use crate::timestamp;

/// The context object as the strand's current state sees it.
pub(super) fn object(execution: &Execution, strand: &Strand) -> Value {
    let (id, name, machine) = match &strand.run {
        Some(child) => (child.arn.as_str(), child.name.as_str(), child.machine.as_str()),
        None => (&*execution.arn, &*execution.name, &*execution.revision.machine_arn),
    };
    let mut context = Map::new();
    context.insert(
        "Execution".into(),
        json!({
            "Id": id,
            "Input": strand.run.as_ref().map_or(&execution.input, |child| &child.input).value(),
            "StartTime": timestamp::text(execution.started),
            "Name": name,
            "RoleArn": &*execution.revision.role,
            "RedriveCount": execution.redrives.count,
        }),
    );
    if let Some(at) = execution.redrives.at {
        context["Execution"]["RedriveTime"] = timestamp::text(at).into();
    }
    context.insert("StateMachine".into(), json!({ "Id": machine, "Name": &*execution.revision.name }));
    let state = strand.current();
    let mut entered = Map::new();
    entered.insert("Name".into(), (*state.name).into());
    entered.insert("EnteredTime".into(), timestamp::text(strand.entered_at).into());
    if matches!(state.kind, Kind::Task(_) | Kind::Map(_) | Kind::Parallel { .. }) {
        entered.insert("RetryCount".into(), strand.retry_count.into());
    }
    context.insert("State".into(), Value::Object(entered));
    if let Phase::Task(attempt) = &strand.phase
        && let Some(token) = attempt.token()
    {
        context.insert("Task".into(), json!({ "Token": token }));
    }
    if let Some(item) = &strand.item {
        context.insert("Map".into(), json!({ "Item": { "Index": item.index, "Value": &*item.value } }));
    }
    Value::Object(context)
}
