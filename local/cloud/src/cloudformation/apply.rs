//! Makes what a model says out of what there is: creates and changes, one resource after the other, each after what it
//! needs.
//!
//! Every step is an event before and after. What only a resource itself can say, such as a custom resource's answer, is
//! put into the model before the next step.

use serde_json::{Value, json};

use super::custom::{self, Ask};
use super::engine::{Done, Failure, Run};
use super::is_custom;
use super::record::Record;
use crate::stack::{create, update, version};
use crate::template::{self, Attributes, Resource, STACK, Stack};
use crate::trace::What;
use crate::{ApiError, Caller};

impl Run {
    /// Brings about the model.
    pub(super) async fn apply(&mut self) -> Result<(), Failure> {
        self.start_database()?;
        let mut at = 0;
        while let Some(resource) = self.model.resources.get(at).cloned() {
            at += 1;
            if self.step(&resource).await? {
                let next = self.model.resources.get(at).cloned();
                self.resolve_again(next.as_ref())?;
            }
        }
        self.database().await?;
        // Reached when nothing was changed but outputs or parameters of a nested stack.
        Ok(())
    }

    fn resolve_again(&mut self, next: Option<&Resource>) -> Result<(), Failure> {
        match template::resolve(self.files.place(), &self.inputs, &self.files, &self.known) {
            Ok(model) => {
                self.model = model;
                match self.refusal() {
                    Some(failure) => Err(self.refused(failure)),
                    None => Ok(()),
                }
            }
            Err(error) => {
                let source = ApiError::new(400, "ValidationError", error.to_string());
                let (path, kind) =
                    next.map_or((String::new(), STACK.to_owned()), |next| (next.path.clone(), next.kind.clone()));
                let failure = Failure { path, kind, source };
                Err(match next {
                    Some(next) => self.failed(next, failure.source, self.doing_failed(next)),
                    None => failure,
                })
            }
        }
    }

    fn refused(&mut self, failure: Failure) -> Failure {
        match self.model.resources.iter().find(|resource| resource.path == failure.path).cloned() {
            Some(resource) => self.failed(&resource, failure.source, "UPDATE_FAILED"),
            None => failure,
        }
    }

    fn doing_failed(&self, resource: &Resource) -> &'static str {
        if self.now.contains_key(&resource.path) { "UPDATE_FAILED" } else { "CREATE_FAILED" }
    }

    /// One resource; whether something is known now that the model does not have.
    async fn step(&mut self, new: &Resource) -> Result<bool, Failure> {
        let old = self.now.get(&new.path).cloned();
        if new.kind == STACK {
            return self.finish_nested(new, old.as_ref()).map(|()| false);
        }
        let Some(old) = old else {
            self.begin_nested(&new.path)?;
            return self.create_one(new).await;
        };
        if old.kind == new.kind && old.properties == new.properties {
            // What is not a property may have changed: policies, what it needs.
            self.now.insert(new.path.clone(), Resource { attributes: old.attributes, ..new.clone() });
            return Ok(false);
        }
        self.begin_nested(&new.path)?;
        self.update_one(&old, new).await
    }

    async fn create_one(&mut self, new: &Resource) -> Result<bool, Failure> {
        self.row(new, "", "CREATE_IN_PROGRESS", None);
        if let Some(error) = self.taken(new) {
            return Err(self.failed(new, error, "CREATE_FAILED"));
        }
        let parts = self.cf.parts().clone();
        let made = if is_custom(&new.kind) {
            self.database().await?;
            match custom::ask(&parts, Ask::Create, &self.stack_of(&new.path), new, None).await {
                Ok(attributes) => Ok(Some(attributes)),
                Err(refused) => {
                    // It may have made something all the same: it is asked to delete that in the roll-back.
                    let reference = refused.physical.unwrap_or_else(|| new.attributes.reference.clone());
                    let left =
                        Resource { attributes: Attributes { reference, ..Attributes::default() }, ..new.clone() };
                    self.exists(left);
                    self.done.push(Done::Created(new.path.clone()));
                    Err(refused.error)
                }
            }
        } else if new.kind == version::KIND {
            version::publish(&parts, new).await.map(Some)
        } else {
            create::create(&parts, new).await.map(|()| None)
        };
        let made = match made {
            Ok(made) => made,
            Err(error) => return Err(self.failed(new, error, "CREATE_FAILED")),
        };
        let attributes = made.clone().unwrap_or_else(|| new.attributes.clone());
        let resource = Resource { attributes, ..new.clone() };
        self.exists(resource.clone());
        self.done.push(Done::Created(new.path.clone()));
        self.row(new, &resource.attributes.reference, "CREATE_COMPLETE", None);
        parts.trace.emit(What::Created {
            resource: new.path.clone(),
            kind: new.kind.clone(),
            id: resource.attributes.reference.clone(),
        });
        let differs = made.is_some_and(|made| is_custom(&new.kind) || made != new.attributes);
        if differs {
            self.known.attributes.insert(new.path.clone(), resource.attributes);
        }
        Ok(differs)
    }

    async fn update_one(&mut self, old: &Resource, new: &Resource) -> Result<bool, Failure> {
        let physical = old.attributes.reference.clone();
        self.row(new, &physical, "UPDATE_IN_PROGRESS", None);
        let parts = self.cf.parts().clone();
        let known = if is_custom(&new.kind) {
            self.database().await?;
            match custom::ask(&parts, Ask::Update, &self.stack_of(&new.path), new, Some(old)).await {
                Ok(attributes) => Ok(Some(attributes)),
                Err(refused) => {
                    // It may have changed something all the same: it is asked for the old properties in the roll-back.
                    let half = Resource { attributes: old.attributes.clone(), ..new.clone() };
                    self.done.push(Done::Updated { old: old.clone(), new: half });
                    Err(refused.error)
                }
            }
        } else if new.kind == version::KIND {
            version::publish(&parts, new).await.map(Some)
        } else {
            match update::update(&parts, old, new).await {
                Ok(()) if new.kind == version::MACHINE => self.revision(new).await.map(Some),
                ended => ended.map(|()| None),
            }
        };
        let known = match known {
            Ok(known) => known,
            Err(error) => return Err(self.failed(new, error, "UPDATE_FAILED")),
        };
        let attributes = known.clone().unwrap_or_else(|| new.attributes.clone());
        let resource = Resource { attributes, ..new.clone() };
        let reference = resource.attributes.reference.clone();
        let (old, made) = (old.clone(), resource.clone());
        let replaced = reference != physical;
        self.done.push(if replaced { Done::Replaced { old, new: made } } else { Done::Updated { old, new: made } });
        if replaced {
            let text = "Requested update requires the creation of a new physical resource; hence creating one.";
            self.row(new, &reference, "UPDATE_IN_PROGRESS", Some(text.into()));
        }
        self.now.insert(new.path.clone(), resource.clone());
        self.row(new, &reference, "UPDATE_COMPLETE", None);
        if known.is_some() {
            self.known.attributes.insert(new.path.clone(), resource.attributes);
        }
        Ok(known.is_some())
    }

    /// The attributes of a state machine that was changed: it has another revision.
    async fn revision(&self, machine: &Resource) -> Result<Attributes, ApiError> {
        let body = json!({ "stateMachineArn": machine.arn() });
        let states = &self.cf.parts().states;
        let described = states.call("DescribeStateMachine", &Caller::local_user(), body).await?;
        let mut attributes = machine.attributes.clone();
        let revision = described.get("revisionId").and_then(Value::as_str).unwrap_or_default();
        attributes.values.insert("StateMachineRevisionId".into(), revision.to_owned());
        Ok(attributes)
    }

    /// Whether the name is another stack's, or that of something that was retained.
    fn taken(&self, new: &Resource) -> Option<ApiError> {
        // Their references are no names of their own.
        if is_custom(&new.kind) || new.kind.ends_with("Policy") || new.kind.starts_with("AWS::Lambda::Event") {
            return None;
        }
        let same = |other: &Resource| other.kind == new.kind && other.attributes.reference == new.attributes.reference;
        let state = self.cf.lock();
        let owner = state.records.iter().find(|record| {
            record.id != self.id && record.deleted.is_none() && record.deployed.resources.iter().any(same)
        });
        let name = new.name();
        let text = match owner {
            Some(owner) => format!("{name} already exists in stack {}", owner.id),
            None if self.now.values().any(same) || state.retained.iter().any(same) => format!("{name} already exists"),
            None => return None,
        };
        Some(ApiError::new(400, "AlreadyExists", text))
    }

    /// Puts a resource into what exists.
    fn exists(&mut self, resource: Resource) {
        if !self.order.contains(&resource.path) {
            self.order.push(resource.path.clone());
        }
        self.now.insert(resource.path.clone(), resource);
    }

    /// Begins the nested stacks around a path that are not begun yet, the outermost first.
    fn begin_nested(&mut self, path: &str) -> Result<(), Failure> {
        for (end, _) in path.match_indices('/') {
            let around = path[..end].to_owned();
            if !self.begun.contains_key(&around) {
                self.begin_one(&around)?;
            }
        }
        Ok(())
    }

    fn begin_one(&mut self, path: &str) -> Result<(), Failure> {
        let Some(resource) = self.model.resources.iter().find(|resource| resource.path == path).cloned() else {
            return Ok(());
        };
        let Some(stack) = self.model.stacks.iter().find(|stack| stack.path == path).cloned() else { return Ok(()) };
        let new = !self.now.contains_key(path);
        let status = if new { "CREATE_IN_PROGRESS" } else { "UPDATE_IN_PROGRESS" };
        self.begun.insert(path.to_owned(), new);
        self.row(&resource, &stack.id, status, None);
        let parent = self.stack_of(path);
        let root = self.id.clone();
        if new {
            let mut record = Record::new(&stack.id, &stack.name, status);
            record.path = path.to_owned();
            record.parent = Some(parent);
            record.root = root;
            record.capabilities.clone_from(&self.settings.capabilities);
            record.tags.clone_from(&self.settings.tags);
            self.cf.lock().records.push(record);
            self.exists(resource.clone());
            self.done.push(Done::Created(path.to_owned()));
        }
        if !new {
            self.before.extend(self.cf.record(&stack.id, |record| record.clone()));
        }
        self.turn(&stack.id, status, None);
        self.describe(&stack);
        if let Some((capability, _)) = &stack.declared.capability
            && !grants(&self.settings.capabilities, capability)
        {
            let text = format!("Requires capabilities : [{capability}]");
            let error = ApiError::new(400, "InsufficientCapabilitiesException", text);
            let failed = if new { "CREATE_FAILED" } else { "UPDATE_FAILED" };
            return Err(self.failed(&resource, error, failed));
        }
        Ok(())
    }

    /// Ends a nested stack whose resources are all there.
    fn finish_nested(&mut self, new: &Resource, old: Option<&Resource>) -> Result<(), Failure> {
        if !self.begun.contains_key(&new.path) {
            if old.is_some_and(|old| old.properties == new.properties) {
                let kept = new.clone();
                self.now.insert(new.path.clone(), kept);
                return Ok(());
            }
            // A stack around it begins first.
            self.begin_nested(&new.path)?;
            self.begin_one(&new.path)?;
        }
        let created = self.begun.get(&new.path).copied().unwrap_or_default();
        if let (false, Some(old)) = (created, old) {
            self.done.push(Done::Updated { old: old.clone(), new: new.clone() });
        }
        self.exists(new.clone());
        let id = new.attributes.reference.clone();
        if let Some(stack) = self.model.stacks.iter().find(|stack| stack.path == new.path).cloned() {
            self.describe(&stack);
        }
        let status = if created { "CREATE_COMPLETE" } else { "UPDATE_COMPLETE" };
        self.turn(&id, status, None);
        self.row(new, &id, status, None);
        Ok(())
    }

    /// The id of the stack that a path lies in.
    pub(super) fn stack_of(&self, path: &str) -> String {
        let around = path.rsplit_once('/').map_or("", |(around, _)| around);
        if around.is_empty() {
            return self.id.clone();
        }
        let stack = self.model.stacks.iter().find(|stack| stack.path == around).map(|stack| stack.id.clone());
        let existing = || self.now.get(around).map(|resource| resource.attributes.reference.clone());
        stack.or_else(existing).unwrap_or_default()
    }

    /// A resource failed: its event, and what to answer with.
    pub(super) fn failed(&mut self, resource: &Resource, error: ApiError, status: &'static str) -> Failure {
        let physical = self.now.get(&resource.path).map(|now| now.attributes.reference.clone()).unwrap_or_default();
        self.row(resource, &physical, status, Some(error.message.clone()));
        Failure { path: resource.path.clone(), kind: resource.kind.clone(), source: error }
    }

    /// The nested stacks around what failed fail too, the innermost first. What the root says about it.
    pub(super) fn fail_nested(&mut self, failure: &Failure, status: &'static str, verb: &str) -> String {
        let summary = |path: &str| {
            let logical = path.rsplit('/').next().unwrap_or(path);
            format!("The following resource(s) failed to {verb}: [{logical}].")
        };
        let mut path = failure.path.clone();
        while let Some((around, _)) = path.rsplit_once('/') {
            let around = around.to_owned();
            let resource = self.now.get(&around).cloned();
            if let Some(resource) = resource {
                let id = resource.attributes.reference.clone();
                let text = summary(&path);
                let new = self.begun.get(&around).copied().unwrap_or(false);
                let status = if new { "CREATE_FAILED" } else { status };
                self.turn(&id, status, Some(text.clone()));
                let text = format!("Embedded stack {id} was not successfully {verb}d: {text}");
                self.row(&resource, &id, status, Some(text));
            }
            path = around;
        }
        if path.is_empty() { failure.source.message.clone() } else { summary(&path) }
    }

    /// An event of a resource, in the stack that it belongs to.
    pub(super) fn row(&self, resource: &Resource, physical: &str, status: &'static str, reason: Option<String>) {
        let stack = self.stack_of(&resource.path);
        self.cf.record(&stack, |record| record.row(resource, physical, status, reason));
    }

    /// An event of a stack itself.
    pub(super) fn turn(&self, stack: &str, status: &'static str, reason: Option<String>) {
        self.cf.record(stack, |record| record.turn(status, reason));
    }

    /// The root stack begins an operation.
    pub(super) fn open(&mut self, status: &'static str) {
        let Some(stack) = self.model.stacks.first().cloned() else { return };
        self.root_before = self.cf.record(&self.id, |record| record.clone());
        if self.root_before.is_none() {
            self.cf.lock().records.push(Record::new(&self.id, &stack.name, status));
        }
        self.describe(&stack);
        let settings = self.settings.clone();
        self.cf.record(&self.id, |record| {
            record.capabilities = settings.capabilities;
            record.tags = settings.tags;
            record.turn(status, Some("User Initiated".into()));
        });
    }

    /// The root stack has what its template says.
    pub(super) fn close(&mut self, status: &'static str, reason: Option<String>) {
        if let Some(stack) = self.model.stacks.first().cloned() {
            self.describe(&stack);
        }
        self.turn(&self.id, status, reason);
    }

    fn describe(&self, stack: &Stack) {
        self.cf.record(&stack.id, |record| {
            record.template.clone_from(&stack.template);
            record.declared = stack.declared.clone();
            record.parameters.clone_from(&stack.parameters);
            record.outputs.clone_from(&stack.outputs);
        });
    }
}

/// Whether what was granted covers a capability.
pub(super) fn grants(granted: &[String], needed: &str) -> bool {
    granted.iter().any(|one| one == needed || one == "CAPABILITY_NAMED_IAM")
}
