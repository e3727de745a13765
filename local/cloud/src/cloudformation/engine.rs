//! One operation on one root stack: what it starts from, what it has made so far, and how it ends.
//!
//! `apply` makes and changes, `remove` removes; here are the operations that consist of both. An operation that failed
//! says what failed first, and leaves what was there before it.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;

use super::files::{Origin, Stored};
use super::record::{Deployed, Record};
use super::remove::When;
use super::{CloudFormation, plan};
use crate::stack::{data_api, update};
use crate::template::{self, Inputs, Known, Model, Resource};
use crate::{ApiError, Error};

/// What to do when a creation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    Nothing,
    RollBack,
    /// Roll back, and forget the stack.
    Delete,
}

/// What an operation was asked for.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) origin: Origin,
    pub(super) given: BTreeMap<String, String>,
    pub(super) capabilities: Vec<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) on_failure: OnFailure,
    /// Logical ids that a deletion leaves alone.
    pub(super) retain: BTreeSet<String>,
}

/// The first thing that failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// The path of the resource; empty for the stack itself.
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) source: ApiError,
}

/// What was done, to be undone.
pub(super) enum Done {
    /// The path of what was created.
    Created(String),
    Updated {
        old: Resource,
        new: Resource,
    },
    /// The old one still exists.
    Replaced {
        old: Resource,
        new: Resource,
    },
}

/// One operation under way.
pub(super) struct Run {
    pub(super) cf: CloudFormation,
    pub(super) settings: Settings,
    pub(super) id: String,
    pub(super) inputs: Inputs,
    pub(super) files: Stored,
    pub(super) known: Known,
    pub(super) model: Model,
    /// What exists now, by path.
    pub(super) now: BTreeMap<String, Resource>,
    /// Its paths, in order of creation; a nested stack stands before its resources.
    pub(super) order: Vec<String>,
    pub(super) done: Vec<Done>,
    /// Nested stacks that are being worked on; whether they are new.
    pub(super) begun: BTreeMap<String, bool>,
    /// The stack as it was before.
    pub(super) root_before: Option<Record>,
    /// Nested stacks as they were before they were changed.
    pub(super) before: Vec<Record>,
    /// The database behind the Data API, while it starts.
    pub(super) database: JoinSet<Result<(), Error>>,
}

impl Run {
    /// Resolves everything, and refuses what cannot be done, before anything is touched. `existing` is the stack that is
    /// changed; without one, a stack is created.
    ///
    /// # Errors
    /// What is wrong with the templates, or which change would replace a resource.
    pub(super) fn prepare(
        cf: &CloudFormation,
        name: &str,
        existing: Option<&Record>,
        settings: Settings,
    ) -> Result<Self, Error> {
        let files = Stored::new(cf.parts().s3.clone(), settings.origin.clone());
        let known = existing.map_or_else(|| cf.incarnation(name), |record| record.deployed.known.clone());
        let inputs = cf.inputs(name, settings.given.clone());
        let model = template::resolve(files.place(), &inputs, &files, &known)?;
        let id = model.stacks.first().map(|stack| stack.id.clone()).unwrap_or_default();
        let mut run = Self { files, model, known, id, ..Self::empty(cf, inputs, settings) };
        if let Some(record) = existing {
            run.take(record);
        }
        Ok(run)
    }

    /// An operation on a stack as it is, without a template.
    pub(super) fn of(cf: &CloudFormation, record: &Record) -> Self {
        let settings = Settings {
            origin: record.deployed.origin.clone().unwrap_or_else(|| Origin::body("")),
            given: record.deployed.given.clone(),
            capabilities: record.capabilities.clone(),
            tags: record.tags.clone(),
            on_failure: OnFailure::Nothing,
            retain: BTreeSet::new(),
        };
        let inputs = cf.inputs(&record.name, settings.given.clone());
        let mut run = Self::empty(cf, inputs, settings);
        run.id.clone_from(&record.id);
        run.known.clone_from(&record.deployed.known);
        run.take(record);
        run
    }

    fn take(&mut self, record: &Record) {
        let resources = &record.deployed.resources;
        self.order = resources.iter().map(|resource| resource.path.clone()).collect();
        self.now = resources.iter().map(|resource| (resource.path.clone(), resource.clone())).collect();
    }

    fn empty(cf: &CloudFormation, inputs: Inputs, settings: Settings) -> Self {
        Self {
            cf: cf.clone(),
            files: Stored::new(cf.parts().s3.clone(), settings.origin.clone()),
            settings,
            id: String::new(),
            inputs,
            known: Known::default(),
            model: Model::default(),
            now: BTreeMap::new(),
            order: Vec::new(),
            done: Vec::new(),
            begun: BTreeMap::new(),
            root_before: None,
            before: Vec::new(),
            database: JoinSet::new(),
        }
    }

    /// The first change that cannot be made, if there is one.
    pub(super) fn refusal(&self) -> Option<Failure> {
        self.model.resources.iter().find_map(|new| {
            let refusal = update::refusal(self.now.get(&new.path)?, new)?;
            let what = if refusal.property.is_empty() { String::new() } else { format!(", {}", refusal.property) };
            let text = format!("{} ({}){what}: {}", new.path, new.kind, refusal.reason);
            let source = ApiError::new(400, "ValidationError", text);
            Some(Failure { path: new.path.clone(), kind: new.kind.clone(), source })
        })
    }

    /// What the operation will change.
    pub(super) fn plan(&self) -> Vec<plan::Change> {
        plan::changes(&self.now, &self.order, &self.model)
    }

    /// Creates the stack, which was [opened](Run::open).
    pub(super) async fn create(mut self) -> Result<Model, Error> {
        match self.apply().await {
            Ok(()) => {
                self.keep();
                self.close("CREATE_COMPLETE", None);
                Ok(self.model)
            }
            Err(failure) => {
                let summary = self.fail_nested(&failure, "CREATE_FAILED", "create");
                match self.settings.on_failure {
                    OnFailure::Nothing => {
                        self.keep();
                        self.turn(&self.id, "CREATE_FAILED", Some(summary));
                    }
                    OnFailure::RollBack | OnFailure::Delete => {
                        let delete = self.settings.on_failure == OnFailure::Delete;
                        let (doing, done, failed) = if delete {
                            ("DELETE_IN_PROGRESS", "DELETE_COMPLETE", "DELETE_FAILED")
                        } else {
                            ("ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
                        };
                        self.turn(&self.id, doing, Some(format!("{summary} Rollback requested by user.")));
                        let left = self.remove_below("", When::RollBack).await;
                        self.keep();
                        match left.is_empty() {
                            true => self.turn(&self.id, done, None),
                            false => self.turn(&self.id, failed, Some(not_deleted(&left))),
                        }
                    }
                }
                Err(failure.into())
            }
        }
    }

    /// Changes the stack, which was [opened](Run::open).
    pub(super) async fn update(mut self, disable_rollback: bool) {
        let (before, old_known) = (self.root_before.take(), self.known.clone());
        match self.apply().await {
            Ok(()) => {
                self.turn(&self.id, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None);
                self.clean_up().await;
                self.keep();
                self.close("UPDATE_COMPLETE", None);
            }
            Err(failure) => {
                let summary = self.fail_nested(&failure, "UPDATE_FAILED", "update");
                if disable_rollback {
                    self.keep();
                    self.turn(&self.id, "UPDATE_FAILED", Some(summary));
                    return;
                }
                self.turn(&self.id, "UPDATE_ROLLBACK_IN_PROGRESS", Some(summary));
                let left = self.undo().await;
                self.known = old_known;
                if let Some(before) = before {
                    self.restore(before);
                }
                if left.is_empty() {
                    self.turn(&self.id, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None);
                    self.turn(&self.id, "UPDATE_ROLLBACK_COMPLETE", None);
                } else {
                    let text = format!("The following resource(s) failed to update: [{}].", left.join(", "));
                    self.turn(&self.id, "UPDATE_ROLLBACK_FAILED", Some(text));
                }
            }
        }
    }

    /// Starts the database behind the Data API when the model names a cluster or workgroup. Everything else happens
    /// meanwhile.
    pub(super) fn start_database(&mut self) -> Result<(), Failure> {
        let wanted = data_api::targets(&self.model).and_then(|found| Ok((found, data_api::logins(&self.model)?)));
        let (targets, logins) = wanted.map_err(|error| Failure {
            path: String::new(),
            kind: template::STACK.into(),
            source: ApiError::new(400, "ValidationError", error.to_string()),
        })?;
        let data_api = self.cf.parts().data_api.clone();
        // A set, because it ends its task when it is dropped: a failure must not leave half a database behind.
        self.database.spawn(async move { data_api.provide(targets, logins).await });
        Ok(())
    }

    /// Waits until the database is there.
    pub(super) async fn database(&mut self) -> Result<(), Failure> {
        while let Some(started) = self.database.join_next().await {
            let error = match started {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            let source = ApiError::new(500, "InternalFailure", error);
            return Err(Failure { path: String::new(), kind: template::STACK.into(), source });
        }
        Ok(())
    }

    fn restore(&mut self, before: Record) {
        let resources = self.resources();
        self.cf.record(&self.id, |record| {
            record.take_back(before);
            record.deployed.resources = resources;
        });
    }

    /// What exists now, in order of creation.
    pub(super) fn resources(&self) -> Vec<Resource> {
        self.order.iter().filter_map(|path| self.now.get(path)).cloned().collect()
    }

    /// Writes down what exists and what it was made from.
    fn keep(&self) {
        let deployed = Deployed {
            origin: Some(self.settings.origin.clone()),
            given: self.settings.given.clone(),
            resources: self.resources(),
            known: self.known.clone(),
        };
        self.cf.record(&self.id, |record| record.deployed = deployed);
    }
}

/// In CloudFormation's words.
pub(super) fn not_deleted(left: &[String]) -> String {
    format!("The following resource(s) failed to delete: [{}]. ", left.join(", "))
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        if failure.path.is_empty() {
            return Self::Api(failure.source);
        }
        Self::Resource { resource: failure.path, kind: failure.kind, source: failure.source }
    }
}
