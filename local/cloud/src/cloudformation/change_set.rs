//! Change sets: what a deployment would do, kept until somebody carries it out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::engine::Settings;
use super::plan::Change;
use super::record::{Record, tags, time};
use crate::{ACCOUNT, PARTITION};

/// What CloudFormation says when there is nothing to do; clients look for these words.
pub(super) const EMPTY: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

/// One change set of a root stack, with those of its nested stacks.
#[derive(Clone)]
pub(super) struct ChangeSet {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) execution: &'static str,
    pub(super) description: Option<String>,
    pub(super) created: DateTime<Utc>,
    pub(super) settings: Settings,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) changes: Vec<Change>,
    /// Whether nested stacks have change sets of their own; by path.
    pub(super) nested: BTreeMap<String, String>,
}

impl ChangeSet {
    /// The ARN of a new change set of this name.
    pub(super) fn new_id(region: &str, name: &str) -> String {
        format!("arn:{PARTITION}:cloudformation:{region}:{ACCOUNT}:changeSet/{name}/{}", Uuid::new_v4())
    }

    /// Whether this is the change set, or that of one of its nested stacks: then the path of that stack.
    pub(super) fn path_of(&self, name: &str) -> Option<&str> {
        if self.id == name || self.name == name {
            return Some("");
        }
        self.nested.iter().find(|(_, id)| *id == name).map(|(path, _)| path.as_str())
    }

    /// DescribeChangeSet, of the stack at this path.
    pub(super) fn described(&self, stack: &Record, path: &str) -> Value {
        let own = |change: &&Change| change.path.rsplit_once('/').map_or("", |(around, _)| around) == path;
        let shown = self.changes.iter().filter(own).map(|change| change.shown(self.nested.get(&change.path)));
        let parameters: Vec<Value> = (self.parameters.iter())
            .map(|(name, value)| {
                let value = if stack.declared.hides(name) { "****" } else { value };
                json!({ "ParameterKey": name, "ParameterValue": value })
            })
            .collect();
        let nested = !path.is_empty();
        json!({
            "ChangeSetName": self.name,
            "ChangeSetId": if nested { self.nested.get(path) } else { Some(&self.id) },
            "StackId": stack.id,
            "StackName": stack.name,
            "Description": self.description,
            "Parameters": if nested { json!([]) } else { json!(parameters) },
            "CreationTime": time(self.created),
            "ExecutionStatus": self.execution,
            "Status": self.status,
            "StatusReason": self.reason,
            "NotificationARNs": [],
            "RollbackConfiguration": {},
            "Capabilities": self.settings.capabilities,
            "Tags": tags(&self.settings.tags),
            "Changes": shown.collect::<Vec<Value>>(),
            "IncludeNestedStacks": !self.nested.is_empty(),
            "ParentChangeSetId": nested.then_some(&self.id),
            "RootChangeSetId": nested.then_some(&self.id),
        })
    }

    /// ChangeSetSummary of ListChangeSets.
    pub(super) fn summary(&self, stack: &Record) -> Value {
        json!({
            "StackId": stack.id,
            "StackName": stack.name,
            "ChangeSetId": self.id,
            "ChangeSetName": self.name,
            "ExecutionStatus": self.execution,
            "Status": self.status,
            "StatusReason": self.reason,
            "CreationTime": time(self.created),
            "Description": self.description,
            "IncludeNestedStacks": !self.nested.is_empty(),
        })
    }
}
