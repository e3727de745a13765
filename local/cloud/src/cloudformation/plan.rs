//! What an operation will change, resource by resource, before anything is touched.
//!
//! What only the operation itself will find out (the next version of a changed machine, a custom resource's answer) is
//! shown as depending on it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::is_custom;
use crate::stack::{update, version};
use crate::template::{Model, Resource, STACK};

/// One resource that changes.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) path: String,
    logical: String,
    kind: String,
    physical: Option<String>,
    action: &'static str,
    replacement: Option<&'static str>,
    /// Property, and whether its change replaces the resource.
    details: Vec<(String, bool)>,
    /// Whether it only follows from another change.
    follows: bool,
}

impl Change {
    fn of(resource: &Resource, action: &'static str) -> Self {
        Self {
            path: resource.path.clone(),
            logical: resource.logical_id.clone(),
            kind: resource.kind.clone(),
            physical: (action != "Add").then(|| resource.attributes.reference.clone()),
            action,
            replacement: (action == "Modify").then_some("False"),
            details: Vec::new(),
            follows: false,
        }
    }

    /// Change of DescribeChangeSet; `nested` is the id of the change set of a nested stack.
    pub(super) fn shown(&self, nested: Option<&String>) -> Value {
        let details: Vec<Value> = (self.details.iter())
            .map(|(property, replaces)| {
                json!({
                    "Target": {
                        "Attribute": "Properties",
                        "Name": property,
                        "RequiresRecreation": if *replaces { "Always" } else { "Never" },
                    },
                    "Evaluation": if self.follows { "Dynamic" } else { "Static" },
                    "ChangeSource": if self.follows { "ResourceAttribute" } else { "DirectModification" },
                })
            })
            .collect();
        let scope = if self.action == "Modify" { json!(["Properties"]) } else { json!([]) };
        json!({
            "Type": "Resource",
            "ResourceChange": {
                "Action": self.action,
                "LogicalResourceId": self.logical,
                "PhysicalResourceId": self.physical,
                "ResourceType": self.kind,
                "Replacement": self.replacement,
                "Scope": scope,
                "Details": details,
                "ChangeSetId": nested,
            },
        })
    }
}

/// Everything that changes, of the root and of the nested stacks.
pub(super) fn changes(now: &BTreeMap<String, Resource>, order: &[String], model: &Model) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut touched: BTreeSet<String> = BTreeSet::new();
    for new in &model.resources {
        let Some(old) = now.get(&new.path) else {
            changes.push(Change::of(new, "Add"));
            continue;
        };
        let mut change = Change::of(old, "Modify");
        change.details = update::changed(old, new).into_iter().map(|name| (name, false)).collect();
        if let Some(refusal) = update::refusal(old, new) {
            change.replacement = Some("True");
            match change.details.iter_mut().find(|(name, _)| *name == refusal.property) {
                Some((_, replaces)) => *replaces = true,
                None => change.details.push((refusal.property, true)),
            }
        } else if new.kind == version::KIND && !change.details.is_empty() {
            change.replacement = Some("True");
        }
        if change.details.is_empty() {
            let below = format!("{}/", new.path);
            let inside = new.kind == STACK && changes.iter().any(|change| change.path.starts_with(&below));
            let inside = inside
                || new.kind == STACK
                    && order.iter().any(|path| {
                        path.starts_with(&below) && !model.resources.iter().any(|resource| resource.path == *path)
                    });
            // What is behind these attributes is only known when it is there.
            let upstream = new.needs.iter().find(|need| touched.contains(*need));
            let follows = upstream.is_some() && (new.kind == version::KIND || new.kind.ends_with("MachineAlias"));
            if !inside && !follows {
                continue;
            }
            change.follows = true;
            if follows && new.kind == version::KIND {
                change.replacement = Some("Conditional");
                change.details.push(("StateMachineRevisionId".into(), true));
            }
        }
        if new.kind == version::MACHINE || new.kind == version::KIND || is_custom(&new.kind) {
            touched.insert(new.path.clone());
        }
        changes.push(change);
    }
    for path in order.iter().rev() {
        if let Some(old) = now.get(path)
            && !model.resources.iter().any(|resource| resource.path == *path)
        {
            changes.push(Change::of(old, "Remove"));
        }
    }
    changes
}
