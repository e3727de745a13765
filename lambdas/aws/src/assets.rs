//! SQL files in the assets bucket.

use std::sync::Arc;

use async_trait::async_trait;
use statement::ports::{Assets, FailureKind, Outcome};

use crate::clients::Clients;
use crate::failure;

/// Largest script, in bytes: 40 statements of the longest text the Data API takes.
const SCRIPT_LIMIT: i64 = 40 * 200 * 1024;

pub(crate) struct AssetsBucket {
    pub(crate) clients: Arc<Clients>,
    pub(crate) bucket: Option<String>,
}

#[async_trait]
impl Assets for AssetsBucket {
    async fn script(&self, key: &str) -> Outcome<String> {
        let Some(bucket) = &self.bucket else {
            return Err(failure::ours("s3", FailureKind::Refused, "configuration", "ASSETS_BUCKET is not set"));
        };
        let object = self.clients.s3().get_object().bucket(bucket).key(key).send().await;
        let object = object.map_err(|error| failure::of("s3", &error))?;
        if object.content_length().is_some_and(|length| length > SCRIPT_LIMIT) {
            return Err(failure::ours(
                "s3",
                FailureKind::Refused,
                "TooLarge",
                format!("the script has more than {SCRIPT_LIMIT} bytes"),
            ));
        }
        let body = object.body.collect().await.map_err(|_| {
            failure::ours("s3", FailureKind::Unknown, "transport", "the object could not be read to its end")
        })?;
        String::from_utf8(body.to_vec())
            .map_err(|_| failure::ours("s3", FailureKind::Refused, "Encoding", "the script is not UTF-8"))
    }
}
