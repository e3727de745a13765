//! Removes what exists: a whole stack, what an update left over, what an operation made before it failed.
//!
//! In the reverse of the order of creation; what another resource needs that could not be removed stays too. What is to
//! be retained is only forgotten.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::custom::{self, Ask};
use super::engine::{Done, Run, not_deleted};
use super::record::{Deployed, Record};
use super::{CloudFormation, is_custom};
use crate::ApiError;
use crate::stack::{delete, update};
use crate::template::{Resource, STACK};

/// On which occasion something is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Delete,
    RollBack,
}

impl Run {
    /// Deletes the stack, which says already that it is being deleted.
    pub(super) async fn delete(mut self) {
        let left = self.remove_below("", When::Delete).await;
        let resources = self.resources();
        self.cf.record(&self.id, |record| record.deployed.resources = resources);
        match left.is_empty() {
            true => self.turn(&self.id, "DELETE_COMPLETE", None),
            false => self.turn(&self.id, "DELETE_FAILED", Some(not_deleted(&left))),
        }
    }

    /// Removes what lies in the stack at this path, and says what could not be removed, by logical id.
    pub(super) fn remove_below<'a>(&'a mut self, path: &'a str, when: When) -> BoxFuture<'a, Vec<String>> {
        async move {
            let own: Vec<Resource> = self
                .order
                .iter()
                .rev()
                .filter(|one| parent(one) == path)
                .filter_map(|one| self.now.get(one))
                .cloned()
                .collect();
            let mut left: Vec<Resource> = Vec::new();
            for resource in own {
                if left.iter().any(|left| left.needs.contains(&resource.path))
                    || !self.remove_one(&resource, when).await
                {
                    left.push(resource);
                }
            }
            left.into_iter().map(|resource| resource.logical_id).collect()
        }
        .boxed()
    }

    /// Whether the resource is gone, or retained.
    async fn remove_one(&mut self, resource: &Resource, when: When) -> bool {
        let physical = resource.attributes.reference.clone();
        let retained = match resource.deletion_policy.as_str() {
            "Retain" => true,
            "RetainExceptOnCreate" => when == When::Delete,
            _ => false,
        };
        if retained || self.settings.retain.contains(&resource.path) {
            self.row(resource, &physical, "DELETE_SKIPPED", None);
            self.let_go(resource);
            return true;
        }
        self.row(resource, &physical, "DELETE_IN_PROGRESS", None);
        let removed = if resource.kind == STACK {
            self.turn(&physical, "DELETE_IN_PROGRESS", None);
            let left = self.remove_below(&resource.path, when).await;
            if left.is_empty() {
                self.turn(&physical, "DELETE_COMPLETE", None);
                Ok(())
            } else {
                let text = not_deleted(&left);
                self.turn(&physical, "DELETE_FAILED", Some(text.clone()));
                Err(ApiError::new(400, "DeleteFailed", text))
            }
        } else {
            self.remove_physical(resource).await
        };
        match removed {
            Ok(()) => {
                self.row(resource, &physical, "DELETE_COMPLETE", None);
                self.forget(&resource.path);
                true
            }
            Err(error) => {
                self.row(resource, &physical, "DELETE_FAILED", Some(error.message));
                false
            }
        }
    }

    async fn remove_physical(&mut self, resource: &Resource) -> Result<(), ApiError> {
        let parts = self.cf.parts().clone();
        if is_custom(&resource.kind) {
            let stack = self.stack_of(&resource.path);
            let asked = custom::ask(&parts, Ask::Delete, &stack, resource, Some(resource)).await;
            return asked.map(drop).map_err(|refused| refused.error);
        }
        delete::delete(&parts, resource).await
    }

    fn forget(&mut self, path: &str) {
        self.now.remove(path);
        self.order.retain(|one| one != path);
        self.known.attributes.remove(path);
    }

    /// Retained: it exists, and is no longer the stack's. A nested stack stands on its own from now on.
    fn let_go(&mut self, resource: &Resource) {
        if resource.kind != STACK {
            self.cf.lock().retained.push(resource.clone());
            self.forget(&resource.path);
            return;
        }
        let prefix = format!("{}/", resource.path);
        let below: Vec<String> = self.order.iter().filter(|path| path.starts_with(&prefix)).cloned().collect();
        let mut resources = Vec::new();
        for path in below {
            if let Some(mut one) = self.now.get(&path).cloned() {
                one.path = path[prefix.len()..].to_owned();
                one.needs = one.needs.iter().filter_map(|need| need.strip_prefix(&prefix)).map(str::to_owned).collect();
                resources.push(one);
            }
            self.forget(&path);
        }
        self.forget(&resource.path);
        let (root, id) = (self.id.clone(), resource.attributes.reference.clone());
        let mut state = self.cf.lock();
        for record in state.records.iter_mut().filter(|record| record.root == root) {
            if record.id == id {
                record.path = String::new();
                record.parent = None;
                record.root.clone_from(&id);
                record.deployed = Deployed { resources: std::mem::take(&mut resources), ..Deployed::default() };
            } else if let Some(rest) = record.path.strip_prefix(&prefix) {
                record.path = rest.to_owned();
                record.root.clone_from(&id);
            }
        }
    }

    /// After an update that went well: removes what was replaced, and what the template no longer has. What cannot be
    /// removed is left behind, as at AWS.
    pub(super) async fn clean_up(&mut self) {
        for done in std::mem::take(&mut self.done).into_iter().rev() {
            let Done::Replaced { old, new } = done else { continue };
            let physical = old.attributes.reference.clone();
            if new.update_replace_policy == "Retain" {
                self.told(&old, &physical, "DELETE_SKIPPED", None);
                self.cf.lock().retained.push(old);
                continue;
            }
            self.told(&old, &physical, "DELETE_IN_PROGRESS", None);
            match self.remove_physical(&old).await {
                Ok(()) => self.told(&old, &physical, "DELETE_COMPLETE", None),
                Err(error) => self.told(&old, &physical, "DELETE_FAILED", Some(error.message)),
            }
        }
        let wanted: BTreeSet<String> = self.model.resources.iter().map(|resource| resource.path.clone()).collect();
        let gone: Vec<Resource> = (self.order.iter().rev())
            .filter(|path| !wanted.contains(*path))
            .filter(|path| parent(path).is_empty() || wanted.contains(parent(path)))
            .filter_map(|path| self.now.get(path))
            .cloned()
            .collect();
        for resource in gone {
            let stack = self.stack_of(&resource.path);
            if !self.remove_one(&resource, When::Delete).await {
                self.cf.lock().retained.push(resource.clone());
                self.forget(&resource.path);
            }
            self.cf.record(&stack, |record| record.rows.retain(|row| row.logical != resource.logical_id));
        }
        // From now on in the order of this model, a nested stack before its resources.
        let mut order: Vec<String> = Vec::new();
        for path in self.model.resources.iter().map(|resource| resource.path.as_str()) {
            let around = path.match_indices('/').map(|(end, _)| &path[..end]);
            for one in around.chain([path]) {
                if !order.iter().any(|there| there == one) {
                    order.push(one.to_owned());
                }
            }
        }
        self.order = order;
    }

    /// Undoes what an update did, the last thing first, and says what could not be undone, by logical id.
    pub(super) async fn undo(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        let parts = self.cf.parts().clone();
        for done in std::mem::take(&mut self.done).into_iter().rev() {
            match done {
                Done::Created(path) => {
                    let Some(resource) = self.now.get(&path).cloned() else { continue };
                    if !self.remove_one(&resource, When::RollBack).await {
                        left.push(resource.logical_id);
                    }
                }
                Done::Updated { old, .. } if old.kind == STACK => drop(self.now.insert(old.path.clone(), old)),
                Done::Updated { old, new } => {
                    let physical = old.attributes.reference.clone();
                    self.row(&old, &physical, "UPDATE_IN_PROGRESS", None);
                    let undone = if is_custom(&old.kind) {
                        let stack = self.stack_of(&old.path);
                        let asked = custom::ask(&parts, Ask::Update, &stack, &old, Some(&new)).await;
                        asked.map(drop).map_err(|refused| refused.error)
                    } else {
                        update::update(&parts, &new, &old).await
                    };
                    match undone {
                        Ok(()) => self.row(&old, &physical, "UPDATE_COMPLETE", None),
                        Err(error) => {
                            self.row(&old, &physical, "UPDATE_FAILED", Some(error.message));
                            left.push(old.logical_id.clone());
                        }
                    }
                    self.now.insert(old.path.clone(), old);
                }
                Done::Replaced { old, new } => {
                    if let Err(error) = self.remove_physical(&new).await {
                        self.told(&new, &new.attributes.reference, "DELETE_FAILED", Some(error.message));
                    }
                    let physical = old.attributes.reference.clone();
                    self.row(&old, &physical, "UPDATE_COMPLETE", None);
                    self.now.insert(old.path.clone(), old);
                }
            }
        }
        for before in std::mem::take(&mut self.before).into_iter().rev() {
            let (id, path) = (before.id.clone(), before.path.clone());
            self.turn(&id, "UPDATE_ROLLBACK_IN_PROGRESS", None);
            self.cf.record(&id, |record| record.take_back(before));
            self.turn(&id, "UPDATE_ROLLBACK_COMPLETE", None);
            if let Some(resource) = self.now.get(&path).cloned() {
                self.row(&resource, &id, "UPDATE_COMPLETE", None);
            }
        }
        left
    }

    /// An event about a physical resource that is no longer the logical one.
    fn told(&self, resource: &Resource, physical: &str, status: &'static str, reason: Option<String>) {
        let stack = self.stack_of(&resource.path);
        let (logical, kind) = (resource.logical_id.clone(), resource.kind.clone());
        self.cf.record(&stack, |record| record.tell(logical, physical.to_owned(), kind, status, reason));
    }
}

impl CloudFormation {
    /// Why a stack cannot be deleted by itself, if it cannot.
    pub(super) fn belongs(record: &Record) -> Option<String> {
        let parent = record.parent.as_ref()?;
        Some(format!("Stack {} is nested in {parent}: update or delete that one", record.name))
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(around, _)| around)
}
