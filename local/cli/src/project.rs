//! Where the project is, and the local stack made from it.
//!
//! The stack is whatever infra/root.yaml says; this file only chooses parameter values that fit one machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cloud::{Cloud, Options, Seed};

use crate::Error;

/// The stack's name on this machine; it begins the names of the functions, the table and the statements.
pub const STACK: &str = "local";
/// The cluster that the local Data API plays.
pub const CLUSTER: &str = "local-cluster";
/// Its database.
pub const DATABASE: &str = "dev";

/// A folder with `infra/root.yaml` and `statemachines/`.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
}

impl Project {
    /// The given folder, or the nearest one from the current folder upwards.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none.
    pub fn find(given: Option<PathBuf>) -> Result<Self, Error> {
        if let Some(folder) = given {
            if is_project(&folder) {
                return Ok(Self { folder });
            }
            return Err(Error::Usage(format!(
                "{} has no infra/root.yaml: name the folder of the project with --project",
                folder.display()
            )));
        }
        let current = std::env::current_dir().map_err(|error| Error::Machine("the current folder".into(), error))?;
        current.ancestors().find(|folder| is_project(folder)).map(|folder| Self { folder: folder.to_owned() }).ok_or_else(
            || {
                Error::Usage(format!(
                    "there is no infra/root.yaml in {} or above it: run the command in the project's folder, or name it with --project",
                    current.display()
                ))
            },
        )
    }

    /// A file of the project.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.folder.join(below)
    }

    /// Starts the stack, with these parameter values over the usual ones.
    ///
    /// # Errors
    /// What the templates, PostgreSQL or the machine refuse.
    pub async fn start(&self, port: Option<u16>, parameters: &[(&str, &str)]) -> Result<Cloud, Error> {
        self.start_seeded(port, parameters, None).await
    }

    /// Starts the services without a stack.
    ///
    /// # Errors
    /// What the machine refuses.
    pub async fn start_empty(&self, port: Option<u16>) -> Result<Cloud, Error> {
        let program = std::env::current_exe().map_err(|error| Error::Machine("finding this program".into(), error))?;
        let mut options = Options::empty(vec![program.into(), "lambda".into()]);
        options.stack_name = STACK.into();
        options.port = port;
        Ok(Cloud::start(options).await?)
    }

    /// The same, with system views that hold a seed.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_seeded(
        &self,
        port: Option<u16>,
        parameters: &[(&str, &str)],
        seed: Option<Seed>,
    ) -> Result<Cloud, Error> {
        let program = std::env::current_exe().map_err(|error| Error::Machine("finding this program".into(), error))?;
        let mut options = Options::new(self.path("infra/root.yaml"), vec![program.into(), "lambda".into()]);
        options.stack_name = STACK.into();
        options.port = port;
        options.seed = seed;
        let usual = [("ClusterIdentifier", CLUSTER), ("Database", DATABASE)];
        options.parameters = usual
            .iter()
            .chain(parameters)
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect::<BTreeMap<_, _>>();
        let cloud = Cloud::start(options).await?;
        match self.copy_assets(&cloud).await {
            Ok(()) => Ok(cloud),
            Err(error) => {
                cloud.shutdown().await;
                Err(error)
            }
        }
    }

    /// Copies configuration and SQL files to the assets bucket, as a deployment does.
    async fn copy_assets(&self, cloud: &Cloud) -> Result<(), Error> {
        let Some(bucket) = cloud.outputs().get("AssetsBucket") else { return Ok(()) };
        let mut folders = vec![self.path("config"), self.path("scripts")];
        while let Some(folder) = folders.pop() {
            let refused = |error| Error::Machine(format!("reading {}", folder.display()), error);
            if !folder.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(&folder).map_err(refused)? {
                let path = entry.map_err(refused)?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let key = path.strip_prefix(&self.folder).unwrap_or(&path).to_string_lossy();
                let bytes = std::fs::read(&path).map_err(refused)?;
                cloud.put_object(bucket, &key, &bytes).await?;
            }
        }
        Ok(())
    }

    /// The ARN of the state machine that runs `statemachines/<name>.asl.json`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming what there is, when there is no such machine.
    pub async fn machine(&self, cloud: &Cloud, name: &str) -> Result<String, Error> {
        let wanted = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".asl.json");
        let listed = cloud.call("states", "ListStateMachines", serde_json::json!({})).await?;
        let machines: Vec<(String, String)> = listed["stateMachines"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|machine| {
                Some((machine["name"].as_str()?.to_owned(), machine["stateMachineArn"].as_str()?.to_owned()))
            })
            .collect();
        let full = format!("{STACK}-{wanted}");
        if let Some((_, arn)) = machines.iter().find(|(name, _)| *name == full || name == wanted) {
            return Ok(arn.clone());
        }
        let known: Vec<&str> =
            machines.iter().map(|(name, _)| name.strip_prefix(&format!("{STACK}-")).unwrap_or(name)).collect();
        let file = self.path(format!("statemachines/{wanted}.asl.json"));
        Err(Error::Usage(if file.is_file() {
            format!("{} is not part of the stack: declare it in infra/statemachines.yaml", file.display())
        } else {
            format!("there is no state machine {wanted:?}; there is: {}", known.join(", "))
        }))
    }
}

fn is_project(folder: &Path) -> bool {
    folder.join("infra/root.yaml").is_file()
}
