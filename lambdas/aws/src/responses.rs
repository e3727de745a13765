//! Answers to CloudFormation at a pre-signed URL, over the HTTP client that the SDKs use.

use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use statement::ports::{Answered, FailureKind, Outcome, Responses};

use crate::failure;

const SERVICE: &str = "response-url";
const ATTEMPTS: u32 = 3;

pub(crate) struct ResponseUrls;

#[async_trait]
impl Responses for ResponseUrls {
    async fn put(&self, url: &str, body: &str) -> Outcome<Answered> {
        let mut last = failure::ours(SERVICE, FailureKind::Unknown, "transport", "no answer");
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
            }
            match once(url, body).await {
                Err(failure)
                    if matches!(
                        failure.kind,
                        FailureKind::Unknown | FailureKind::Unavailable | FailureKind::Throttled
                    ) =>
                {
                    last = failure
                }
                done => return done,
            }
        }
        Err(last)
    }
}

async fn once(url: &str, body: &str) -> Outcome<Answered> {
    let refused = |message: &str| failure::ours(SERVICE, FailureKind::Refused, "request", message);
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("PUT").map_err(|_| refused("no method"))?;
    request.set_uri(url).map_err(|_| refused("the response URL is no URL"))?;
    // The URL is signed for an empty type.
    request.headers_mut().insert("content-type", "");
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(Duration::from_secs(2))
        .read_timeout(Duration::from_secs(4))
        .build();
    let connector = Connector::builder().connector_settings(settings);
    let connector = if url.starts_with("https://") {
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    } else {
        connector.build_http()
    };
    let answer = connector
        .call(request)
        .await
        .map_err(|_| failure::ours(SERVICE, FailureKind::Unknown, "transport", "no answer"))?;
    match answer.status().as_u16() {
        200..=299 => Ok(Answered::Sent),
        // An expired or used-up URL: nobody waits there.
        400 | 403 | 404 | 410 => Ok(Answered::Gone),
        429 | 503 => Err(failure::ours(SERVICE, FailureKind::Unavailable, "status", "unavailable")),
        status => Err(failure::ours(SERVICE, FailureKind::Unknown, "status", format!("HTTP {status}"))),
    }
}
