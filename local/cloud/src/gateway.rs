//! The one listener of the local cloud: finds service, operation and caller of each request and answers in the
//! protocol that the request was made in.
//!
//! Decides nothing about services; logs no body and no header.

pub use crate::service;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::identity::Identity;
use crate::lambda::Lambda;
use crate::s3::Buckets;
use crate::service::Service;
use crate::trace::Trace;

/// The services behind the gateway.
#[derive(Clone)]
pub struct Services {
    /// `AWSStepFunctions.`
    pub states: Arc<dyn Service>,
    /// `DynamoDB_20120810.`
    pub dynamodb: Arc<dyn Service>,
    /// `RedshiftData.`
    pub redshift_data: Arc<dyn Service>,
    /// `TrentService.`
    pub kms: Arc<dyn Service>,
    /// `AmazonSQS.`
    pub sqs: Arc<dyn Service>,
    /// `AWSEvents.`
    pub events: Arc<dyn Service>,
    /// `/2015-03-31/functions/…`
    pub lambda: Lambda,
    /// Every other path.
    pub s3: Buckets,
    /// Who is behind an access key.
    pub identity: Identity,
    /// Where calls are shown.
    pub trace: Trace,
}

/// A bound port that does not answer yet: services need its address before they exist.
pub struct Listener {}

impl Listener {
    /// Binds this port on 127.0.0.1; `None` lets the system choose.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(_port: Option<u16>) -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Starts to answer.
    pub fn serve(self, _services: Services) -> Gateway {
        Gateway {}
    }
}

/// The running gateway; stops when dropped.
pub struct Gateway {}

impl Gateway {
    /// Takes no further connection and waits for the answers under way.
    pub async fn stop(self) {}
}
