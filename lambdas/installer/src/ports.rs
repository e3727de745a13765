//! What the installer does to the world, for tests to stand in, and how it is done at AWS.

use std::sync::Arc;

use async_trait::async_trait;
use aws::clients::Clients;
use aws::executions::{self, Started};
use aws::objects::Objects;
use statement::ports::Outcome;

/// The effects of a deployment.
#[async_trait]
pub trait Deployment: Send + Sync {
    /// The keys below a prefix of a bucket that artefacts were brought to.
    async fn artifacts(&self, bucket: &str, prefix: &str) -> Outcome<Vec<String>>;
    /// The keys below a prefix of the assets bucket.
    async fn assets(&self, prefix: &str) -> Outcome<Vec<String>>;
    /// Copies an artefact to the assets bucket.
    async fn copy(&self, bucket: &str, source: &str, key: &str) -> Outcome<()>;
    /// Deletes an asset.
    async fn delete(&self, key: &str) -> Outcome<()>;
    /// Starts an execution, or finds the one of this name.
    async fn start(&self, machine_arn: &str, name: &str, input: &str) -> Outcome<Started>;
    /// The bucket with the results of runs.
    fn results(&self) -> &str;
}

/// At AWS.
pub struct Services {
    /// The assets bucket.
    pub assets: Objects,
    /// The results bucket's name.
    pub results: String,
    /// The clients.
    pub clients: Arc<Clients>,
}

#[async_trait]
impl Deployment for Services {
    async fn artifacts(&self, bucket: &str, prefix: &str) -> Outcome<Vec<String>> {
        Objects::new(self.clients.clone(), bucket).keys(prefix).await
    }

    async fn assets(&self, prefix: &str) -> Outcome<Vec<String>> {
        self.assets.keys(prefix).await
    }

    async fn copy(&self, bucket: &str, source: &str, key: &str) -> Outcome<()> {
        self.assets.copy_from(bucket, source, key).await
    }

    async fn delete(&self, key: &str) -> Outcome<()> {
        self.assets.delete(key).await
    }

    async fn start(&self, machine_arn: &str, name: &str, input: &str) -> Outcome<Started> {
        executions::start(&self.clients, machine_arn, name, input).await
    }

    fn results(&self) -> &str {
        &self.results
    }
}
