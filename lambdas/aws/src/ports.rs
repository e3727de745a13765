//! The ports of `statement`, made of their adapters.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use statement::ports::{Clock, DataApi, Ports};
use statement::settings::Settings;

use crate::clients::Clients;
use crate::configuration::Services;
use crate::vault::{KmsKey, SealingVault};
use crate::{assets, data_api, metrics, queue, responses, rows, tasks};

/// The time of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// All ports over the SDKs.
#[must_use]
pub fn ports(clients: Arc<Clients>, settings: &Settings, services: &Services) -> Ports {
    let key = KmsKey::new(clients.clone(), services.key_arn.clone(), &settings.stack, &services.table);
    Ports {
        rows: Arc::new(rows::Table { clients: clients.clone(), table: services.table.clone() }),
        data: Arc::new(data_api::RedshiftData { clients: clients.clone() }),
        tasks: Arc::new(tasks::StepFunctions { clients: clients.clone() }),
        queue: Arc::new(queue::CompletionQueue { clients: clients.clone(), url: services.queue_url.clone() }),
        assets: Arc::new(assets::AssetsBucket { clients, bucket: services.assets_bucket.clone() }),
        vault: Arc::new(SealingVault::new(key)),
        responses: Arc::new(responses::ResponseUrls),
        clock: Arc::new(SystemClock),
        metrics: Arc::new(metrics::Lines { stack: settings.stack.clone() }),
    }
}

/// The Data API alone, for a function that only reads results.
#[must_use]
pub fn redshift_data(clients: Arc<Clients>) -> Arc<dyn DataApi> {
    Arc::new(data_api::RedshiftData { clients })
}
