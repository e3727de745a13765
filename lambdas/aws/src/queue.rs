//! The completion queue.

use std::sync::Arc;

use async_trait::async_trait;
use statement::ports::{FailureKind, Outcome, Queue};

use crate::clients::Clients;
use crate::failure;

pub(crate) struct CompletionQueue {
    pub(crate) clients: Arc<Clients>,
    pub(crate) url: Option<String>,
}

#[async_trait]
impl Queue for CompletionQueue {
    async fn send(&self, body: &str) -> Outcome<()> {
        let Some(url) = &self.url else {
            return Err(failure::ours("sqs", FailureKind::Refused, "configuration", "QUEUE_URL is not set"));
        };
        let sent = self.clients.sqs().send_message().queue_url(url).message_body(body).send().await;
        sent.map(|_| ()).map_err(|error| failure::of("sqs", &error))
    }
}
