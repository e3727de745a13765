//! What a run has kept, as a folder: the layout of its prefix in the results bucket.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use chrono::Utc;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reporter_function::report::{Files, Inputs, Making};
use serde_json::Value;
use workflow::address::{Address, Link};
use workflow::configuration;
use workflow::manifest::Manifest;
use workflow::plan::{Keys, Plan};
use workflow::summary::Summary;

use crate::Error;
use crate::project::Project;

/// Objects that are copied at the same time.
const COPIES: usize = 8;

/// The folder of one run.
pub struct Kept {
    folder: PathBuf,
    pub plan: Plan,
    pub summary: Summary,
    manifests: Vec<Manifest>,
}

impl Kept {
    /// Reads a folder that a run was copied to.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is none.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let plan = std::fs::read(folder.join(Keys("").plan())).map_err(|_| {
            Error::Usage(format!("{} is not the folder of a run: it has no plan.json", folder.display()))
        })?;
        let plan = Plan::read(&plan).map_err(|error| Error::Usage(format!("{}: {error}", folder.display())))?;
        let manifests: Vec<Manifest> =
            plan.segments.iter().filter_map(|segment| json(folder, &Keys("").manifest(&segment.name))).collect();
        let summary = json(folder, &Keys("").summary()).unwrap_or_else(|| Summary::new(&plan, &manifests, Utc::now()));
        Ok(Self { folder: folder.to_owned(), plan, summary, manifests })
    }

    /// The report, when there is one.
    pub fn report(&self) -> Option<PathBuf> {
        Some(self.folder.join(Keys("").report())).filter(|file| file.is_file())
    }

    /// Builds the report again, from the results and the project's configuration as it is now, with links that work in
    /// the folder; the summary is written with it. Does nothing for a workflow without a report.
    ///
    /// # Errors
    /// [`Error::Function`] for a configuration that is wrong; what the machine refuses.
    pub fn build_report(&mut self, project: &Project) -> Result<(), Error> {
        if let Some(name) = &self.plan.report {
            let refused = |refusal: aws::Refusal| Error::Function(refusal.to_string());
            let texts =
                configuration::report_keys(name).iter().map(|key| read(project, key)).collect::<Result<_, _>>()?;
            let files = Files::new(name, texts).map_err(refused)?;
            let workflow: Value =
                serde_json::from_str(&read(project, &configuration::workflow_key(&self.plan.workflow))?)
                    .unwrap_or_default();
            let mut making = Making::new(&files, self.plan.target).map_err(refused)?;
            let mut csv = HashMap::new();
            for entry in self.manifests.iter().flat_map(|manifest| &manifest.queries) {
                let below = |key: &Option<String>| key.as_ref()?.strip_prefix(&self.plan.prefix).map(str::to_owned);
                let query = &entry.status.query;
                if let Some(file) = below(&entry.result_key).and_then(|file| File::open(self.folder.join(file)).ok()) {
                    making.load(query, BufReader::new(file), entry.status.rows);
                }
                if let Some(file) = below(&entry.csv_key) {
                    let place = self.folder.join(&file).display().to_string();
                    csv.insert(query.clone(), Address { place, link: Some(Link { href: file, until: None }) });
                }
            }
            let previous = self.previous();
            let inputs = Inputs {
                plan: &self.plan,
                description: workflow["description"].as_str().unwrap_or_default(),
                previous: previous.as_ref(),
                csv: &csv,
                place: Some(Address { place: self.folder.display().to_string(), link: None }),
                now: Utc::now(),
            };
            let html = making.finish(&inputs, &mut self.summary).map_err(refused)?;
            self.write(&Keys("").report(), html.as_bytes())?;
        }
        self.write(&Keys("").summary(), self.summary.to_json().as_bytes())
    }

    /// The summary of the run before on the same target, in the folder beside this one.
    fn previous(&self) -> Option<Summary> {
        let (own, beside) = (self.folder.file_name()?, self.folder.parent()?);
        let mut earlier: Vec<PathBuf> =
            std::fs::read_dir(beside).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        // Names begin with the time.
        earlier.retain(|folder| folder.file_name().is_some_and(|name| name < own));
        earlier.sort();
        earlier
            .iter()
            .rev()
            .filter_map(|folder| json::<Summary>(folder, &Keys("").summary()))
            .find(|summary| summary.workflow == self.plan.workflow && summary.target == self.plan.target)
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        let file = self.folder.join(file);
        std::fs::write(&file, bytes).map_err(|error| Error::Machine(format!("writing {}", file.display()), error))
    }
}

/// Copies what a run kept to a folder, by way of `get`, which has nothing for a key where there is nothing.
///
/// # Errors
/// What `get` or the machine refuses.
pub async fn copy(
    plan: &Plan,
    folder: &Path,
    get: impl AsyncFn(String) -> Result<Option<Vec<u8>>, Error>,
) -> Result<(), Error> {
    let keys = plan.keys();
    let mut wanted = vec![keys.plan(), keys.summary(), keys.report()];
    for segment in &plan.segments {
        let key = keys.manifest(&segment.name);
        let manifest = get(key.clone()).await?;
        wanted.push(key);
        let Some(manifest) = manifest.and_then(|text| serde_json::from_slice::<Manifest>(&text).ok()) else { continue };
        for entry in &manifest.queries {
            wanted.extend([&entry.result_key, &entry.csv_key, &entry.error_key].into_iter().flatten().cloned());
        }
    }
    let copies = wanted.into_iter().map(|key| copy_one(plan, folder, key, &get));
    stream::iter(copies).buffer_unordered(COPIES).try_collect().await
}

async fn copy_one(
    plan: &Plan,
    folder: &Path,
    key: String,
    get: &impl AsyncFn(String) -> Result<Option<Vec<u8>>, Error>,
) -> Result<(), Error> {
    let file = folder.join(key.strip_prefix(&plan.prefix).unwrap_or(&key));
    let Some(bytes) = get(key).await? else { return Ok(()) };
    let refused = |error| Error::Machine(format!("writing {}", file.display()), error);
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(refused)?;
    }
    std::fs::write(&file, bytes).map_err(refused)
}

fn json<T: serde::de::DeserializeOwned>(folder: &Path, file: &str) -> Option<T> {
    serde_json::from_slice(&std::fs::read(folder.join(file)).ok()?).ok()
}

fn read(project: &Project, key: &str) -> Result<String, Error> {
    let file = project.path(key);
    std::fs::read_to_string(&file).map_err(|error| Error::Machine(format!("reading {}", file.display()), error))
}
