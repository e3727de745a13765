//! What CloudFormation knows about stacks: status, resources, events, change sets.
//!
//! Holds and tells; decides nothing. A parameter that is not to be shown leaves only masked.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::change_set::ChangeSet;
use super::files::Origin;
use crate::template::{Declared, Known, Resource, STACK};

/// What a value is shown as that must not be shown.
const MASKED: &str = "****";

/// One stack, the root or a nested one.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) name: String,
    /// Logical path below the root; empty for a root.
    pub(super) path: String,
    pub(super) parent: Option<String>,
    pub(super) root: String,
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) created: DateTime<Utc>,
    pub(super) updated: Option<DateTime<Utc>>,
    pub(super) deleted: Option<DateTime<Utc>>,
    pub(super) template: String,
    pub(super) declared: Declared,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) capabilities: Vec<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) disable_rollback: bool,
    pub(super) rows: Vec<Row>,
    pub(super) events: Vec<Event>,
    pub(super) change_sets: Vec<ChangeSet>,
    pub(super) deployed: Deployed,
}

/// What a root stack was last deployed from and what exists of it.
#[derive(Clone, Default)]
pub(super) struct Deployed {
    pub(super) origin: Option<Origin>,
    /// The values that were given, without defaults.
    pub(super) given: BTreeMap<String, String>,
    /// Every resource of the stack and those nested in it, in order of creation.
    pub(super) resources: Vec<Resource>,
    pub(super) known: Known,
}

/// One resource as DescribeStackResources tells of it.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) logical: String,
    pub(super) physical: String,
    pub(super) kind: String,
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) at: DateTime<Utc>,
}

/// One event.
#[derive(Clone)]
pub(super) struct Event {
    id: String,
    logical: String,
    physical: String,
    kind: String,
    status: &'static str,
    reason: Option<String>,
    at: DateTime<Utc>,
}

impl Record {
    /// A stack of which nothing exists yet.
    pub(super) fn new(id: &str, name: &str, status: &'static str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            path: String::new(),
            parent: None,
            root: id.to_owned(),
            status,
            reason: None,
            created: Utc::now(),
            updated: None,
            deleted: None,
            template: String::new(),
            declared: Declared::default(),
            parameters: BTreeMap::new(),
            outputs: BTreeMap::new(),
            capabilities: Vec::new(),
            tags: Vec::new(),
            disable_rollback: false,
            rows: Vec::new(),
            events: Vec::new(),
            change_sets: Vec::new(),
            deployed: Deployed::default(),
        }
    }

    /// Whether an operation is under way.
    pub(super) fn busy(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && self.status != "REVIEW_IN_PROGRESS"
    }

    /// The stack itself has another status.
    pub(super) fn turn(&mut self, status: &'static str, reason: Option<String>) {
        self.status = status;
        self.reason.clone_from(&reason);
        let now = Utc::now();
        match status {
            "DELETE_COMPLETE" => self.deleted = Some(now),
            "UPDATE_IN_PROGRESS" => self.updated = Some(now),
            _ => {}
        }
        let (name, id) = (self.name.clone(), self.id.clone());
        self.tell(name, id, STACK.to_owned(), status, reason);
    }

    /// One of its resources has another status.
    pub(super) fn row(&mut self, resource: &Resource, physical: &str, status: &'static str, reason: Option<String>) {
        let row = Row {
            logical: resource.logical_id.clone(),
            physical: physical.to_owned(),
            kind: resource.kind.clone(),
            status,
            reason: reason.clone(),
            at: Utc::now(),
        };
        match self.rows.iter_mut().find(|row| row.logical == resource.logical_id) {
            Some(existing) => *existing = row,
            None => self.rows.push(row),
        }
        self.tell(resource.logical_id.clone(), physical.to_owned(), resource.kind.clone(), status, reason);
    }

    /// Is again what it was before an operation; what was told since stays told.
    pub(super) fn take_back(&mut self, before: Self) {
        self.template = before.template;
        self.declared = before.declared;
        self.parameters = before.parameters;
        self.outputs = before.outputs;
        self.tags = before.tags;
        self.capabilities = before.capabilities;
        self.deployed = before.deployed;
    }

    /// An event alone.
    pub(super) fn tell(
        &mut self,
        logical: String,
        physical: String,
        kind: String,
        status: &'static str,
        reason: Option<String>,
    ) {
        let id = Uuid::new_v4().to_string();
        self.events.push(Event { id, logical, physical, kind, status, reason, at: Utc::now() });
    }

    /// The values of the parameters as they may be shown.
    pub(super) fn shown_parameters(&self) -> Vec<Value> {
        let shown = self.parameters.iter().map(|(name, value)| {
            let value = if self.declared.hides(name) { MASKED } else { value };
            json!({ "ParameterKey": name, "ParameterValue": value })
        });
        shown.collect()
    }

    /// Stack of DescribeStacks.
    pub(super) fn described(&self) -> Value {
        let outputs: Vec<Value> = (self.outputs.iter())
            .map(|(name, value)| {
                json!({ "OutputKey": name, "OutputValue": value, "Description": self.declared.outputs.get(name) })
            })
            .collect();
        json!({
            "StackId": self.id,
            "StackName": self.name,
            "Description": (!self.declared.description.is_empty()).then_some(&self.declared.description),
            "Parameters": self.shown_parameters(),
            "CreationTime": time(self.created),
            "LastUpdatedTime": self.updated.map(time),
            "DeletionTime": self.deleted.map(time),
            "RollbackConfiguration": {},
            "StackStatus": self.status,
            "StackStatusReason": self.reason,
            "DisableRollback": self.disable_rollback,
            "NotificationARNs": [],
            "Capabilities": self.capabilities,
            "Outputs": outputs,
            "Tags": tags(&self.tags),
            "EnableTerminationProtection": false,
            "ParentId": self.parent,
            "RootId": self.parent.as_ref().map(|_| &self.root),
            "DriftInformation": { "StackDriftStatus": "NOT_CHECKED" },
        })
    }

    /// StackSummary of ListStacks.
    pub(super) fn summary(&self) -> Value {
        json!({
            "StackId": self.id,
            "StackName": self.name,
            "TemplateDescription": (!self.declared.description.is_empty()).then_some(&self.declared.description),
            "CreationTime": time(self.created),
            "LastUpdatedTime": self.updated.map(time),
            "DeletionTime": self.deleted.map(time),
            "StackStatus": self.status,
            "StackStatusReason": self.reason,
            "ParentId": self.parent,
            "RootId": self.parent.as_ref().map(|_| &self.root),
            "DriftInformation": { "StackDriftStatus": "NOT_CHECKED" },
        })
    }

    /// The events, newest first.
    pub(super) fn told(&self) -> Vec<Value> {
        let told = self.events.iter().rev().map(|event| {
            json!({
                "StackId": self.id,
                "EventId": format!("{}-{}-{}", event.logical, event.status, event.id),
                "StackName": self.name,
                "LogicalResourceId": event.logical,
                "PhysicalResourceId": event.physical,
                "ResourceType": event.kind,
                "Timestamp": time(event.at),
                "ResourceStatus": event.status,
                "ResourceStatusReason": event.reason,
            })
        });
        told.collect()
    }

    /// One resource: StackResource, StackResourceDetail or StackResourceSummary, which name the time differently.
    pub(super) fn resource(&self, row: &Row, time_name: &str, with_stack: bool) -> Value {
        let mut shown = json!({
            "LogicalResourceId": row.logical,
            "PhysicalResourceId": (!row.physical.is_empty()).then_some(&row.physical),
            "ResourceType": row.kind,
            "ResourceStatus": row.status,
            "ResourceStatusReason": row.reason,
            "DriftInformation": { "StackResourceDriftStatus": "NOT_CHECKED" },
        });
        shown[time_name] = json!(time(row.at));
        if with_stack {
            shown["StackId"] = json!(self.id);
            shown["StackName"] = json!(self.name);
        }
        shown
    }
}

/// A moment, as the query protocol writes it.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(super) fn tags(tags: &[(String, String)]) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
