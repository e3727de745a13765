//! Change sets: what a deployment would do, kept until somebody carries it out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{already, nothing, refused, updatable};
use super::engine::{OnFailure, Run, Settings};
use super::plan::Change;
use super::record::{Record, tags, time};
use super::request::flag;
use super::{CloudFormation, validation};
use crate::service::Request;
use crate::{ACCOUNT, ApiError, PARTITION};

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

impl CloudFormation {
    pub(super) fn create_change_set(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let (name, set_name) = (read.required("StackName")?, read.required("ChangeSetName")?);
        let kind = read.text("ChangeSetType")?.unwrap_or("UPDATE");
        let existing = self.existing(name);
        let under_review = existing.as_ref().is_some_and(|stack| stack.status == "REVIEW_IN_PROGRESS");
        let existing = match (kind, existing) {
            ("CREATE", Some(existing)) if !under_review => return Err(already(&existing)),
            ("CREATE", existing) => existing,
            ("UPDATE", Some(existing)) if !under_review => {
                updatable(&existing)?;
                Some(existing)
            }
            ("UPDATE", _) => return Err(validation(format!("Stack [{name}] does not exist"))),
            (other, _) => return Err(ApiError::not_implemented("cloudformation", &format!("ChangeSetType {other}"))),
        };
        // The AWS CLI names them by the second, which is a long time here: one that failed does not keep its name.
        let taken = |set: &ChangeSet| set.name == set_name && set.status != "FAILED";
        if existing.as_ref().is_some_and(|stack| stack.change_sets.iter().any(taken)) {
            let text = format!("ChangeSet {set_name} cannot be created because a change set of this name exists");
            return Err(ApiError::new(400, "AlreadyExistsException", text));
        }
        let mut settings = self.asked(read, existing.as_ref())?;
        let description = read.text("Description")?.map(str::to_owned);
        let with_nested = flag(read, "IncludeNestedStacks")?.unwrap_or(false);
        settings.on_failure = match read.text("OnStackFailure")? {
            None | Some("ROLLBACK") => OnFailure::RollBack,
            Some("DELETE") => OnFailure::Delete,
            Some("DO_NOTHING") => OnFailure::Nothing,
            Some(other) => return Err(validation(format!("OnStackFailure cannot be {other}"))),
        };
        read.end()?;
        let run = Run::prepare(self, name, existing.as_ref(), settings).map_err(refused)?;
        let changes = run.plan();
        let mut nested = BTreeMap::new();
        if with_nested {
            for stack in run.model.stacks.iter().filter(|stack| !stack.path.is_empty()) {
                let below = format!("{}/", stack.path);
                if changes.iter().any(|change| change.path.starts_with(&below)) {
                    let name = format!("{set_name}-{}", stack.path.replace('/', "-"));
                    nested.insert(stack.path.clone(), ChangeSet::new_id(&self.parts().region, &name));
                }
            }
        }
        let unchanged = existing.as_ref().is_some_and(|stack| !under_review && nothing(&run, stack));
        let (status, reason, execution) = match run.refusal() {
            _ if unchanged => ("FAILED", Some(EMPTY.to_owned()), "UNAVAILABLE"),
            Some(refusal) => ("FAILED", Some(refusal.source.message), "UNAVAILABLE"),
            None => ("CREATE_COMPLETE", None, "AVAILABLE"),
        };
        let set = ChangeSet {
            id: ChangeSet::new_id(&self.parts().region, set_name),
            name: set_name.to_owned(),
            status,
            reason,
            execution,
            description,
            created: Utc::now(),
            parameters: run.model.stacks.first().map(|stack| stack.parameters.clone()).unwrap_or_default(),
            settings: run.settings.clone(),
            changes,
            nested,
        };
        let answer = json!({ "Id": set.id, "StackId": run.id });
        if existing.is_none() {
            let mut record = Record::new(&run.id, name, "REVIEW_IN_PROGRESS");
            record.deployed.known = run.known.clone();
            record.turn("REVIEW_IN_PROGRESS", Some("User Initiated".into()));
            if let Some(stack) = run.model.stacks.first() {
                record.declared = stack.declared.clone();
            }
            self.lock().records.push(record);
        }
        self.record(&run.id, |record| {
            record.change_sets.retain(|other| other.name != set.name);
            record.change_sets.push(set);
        });
        Ok(answer)
    }

    /// A change set by its name and stack, or by its ARN; with the path of the nested stack that it is about.
    pub(super) fn change_set(&self, read: &mut Request<'_>) -> Result<(Record, ChangeSet, String), ApiError> {
        let (name, stack) = (read.required("ChangeSetName")?, read.text("StackName")?);
        let missing = || ApiError::new(404, "ChangeSetNotFound", format!("ChangeSet [{name}] does not exist"));
        if stack.is_none() && !name.starts_with("arn:") {
            return Err(validation("StackName must be specified if ChangeSetName is not specified as an ARN."));
        }
        let root = stack.map(|stack| self.find(stack)).transpose()?;
        let state = self.lock();
        let (root, set, path) = (state.records.iter().rev())
            .filter(|record| root.as_ref().is_none_or(|root| root.root == record.id))
            .find_map(|record| {
                let (set, path) = record.change_sets.iter().find_map(|set| Some((set, set.path_of(name)?)))?;
                Some((record, set.clone(), path.to_owned()))
            })
            .ok_or_else(missing)?;
        let nested = state.records.iter().find(|one| !path.is_empty() && one.root == root.id && one.path == path);
        Ok((nested.unwrap_or(root).clone(), set, path))
    }

    pub(super) fn execute_change_set(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let (stack, set, path) = self.change_set(read)?;
        let disable = flag(read, "DisableRollback")?.unwrap_or(false);
        read.value("ClientRequestToken");
        read.value("RetainExceptOnCreate");
        read.end()?;
        if set.execution != "AVAILABLE" || !path.is_empty() {
            let text = format!("ChangeSet [{}] cannot be executed in its current status of [{}]", set.id, set.status);
            return Err(ApiError::new(400, "InvalidChangeSetStatus", text));
        }
        if stack.busy() {
            let (id, status) = (&stack.id, stack.status);
            return Err(validation(format!("Stack:{id} is in {status} state and can not be updated.")));
        }
        let mut settings = set.settings.clone();
        if disable {
            settings.on_failure = OnFailure::Nothing;
        }
        let mut run = Run::prepare(self, &stack.name, Some(&stack), settings).map_err(refused)?;
        if let Some(refusal) = run.refusal() {
            return Err(refusal.source);
        }
        // Whatever else was planned was planned for another stack than there will be.
        self.record(&stack.id, |record| record.change_sets.clear());
        if stack.status == "REVIEW_IN_PROGRESS" {
            run.open("CREATE_IN_PROGRESS");
            self.create(run);
        } else {
            run.open("UPDATE_IN_PROGRESS");
            self.spawn(run.update(disable));
        }
        Ok(json!({}))
    }
}
