//! The SDK's clients, with region, credentials and endpoints found as every AWS tool finds them: environment, profiles,
//! SSO, a process, the container's or the instance's role; `AWS_ENDPOINT_URL` and its variants for each service.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::{Error, Outcome, failure};

/// A region of an account, or what stands in for it.
pub struct Aws {
    config: SdkConfig,
    s3_endpoint: Option<String>,
    cloudformation: OnceLock<aws_sdk_cloudformation::Client>,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    s3: OnceLock<aws_sdk_s3::Client>,
    sfn: OnceLock<aws_sdk_sfn::Client>,
}

impl Aws {
    /// Reads the configuration; makes no call yet. The endpoint is for every service, and stands above the environment's.
    ///
    /// # Errors
    /// [`Error::Usage`] where no region is set.
    pub async fn connect(endpoint: Option<&str>) -> Outcome<Self> {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            // A person waits, and services throttle what polls.
            .retry_config(RetryConfig::standard().with_max_attempts(6).with_max_backoff(Duration::from_secs(8)))
            .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).build());
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(Error::Usage(
                "no region is set: set AWS_REGION, or a region in the profile of AWS_PROFILE".to_owned(),
            ));
        }
        let named = std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty());
        let s3_endpoint = endpoint.map(str::to_owned).or(named).or(config.endpoint_url().map(str::to_owned));
        let (cloudformation, dynamodb, s3, sfn) = Default::default();
        Ok(Self { config, s3_endpoint, cloudformation, dynamodb, s3, sfn })
    }

    /// The region's name.
    #[must_use]
    pub fn region(&self) -> &str {
        self.config.region().map_or("", AsRef::as_ref)
    }

    /// Whether the services are on this machine, where no rate has to be respected.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.config
            .endpoint_url()
            .is_some_and(|url| ["//127.", "//localhost", "//[::1]"].iter().any(|l| url.contains(l)))
    }

    /// The URL under which CloudFormation reads an object.
    #[must_use]
    pub fn object_url(&self, bucket: &str, key: &str) -> String {
        let region = self.region();
        match &self.s3_endpoint {
            Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
            None => {
                let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                format!("https://s3.{region}.{suffix}/{bucket}/{key}")
            }
        }
    }

    /// The account that the credentials are of.
    ///
    /// # Errors
    /// What STS refuses.
    pub async fn account(&self) -> Outcome<String> {
        let client = aws_sdk_sts::Client::new(&self.config);
        let identity = client.get_caller_identity().send().await.map_err(|error| failure::of("STS", error))?;
        identity.account.ok_or_else(|| Error::Broken("STS named no account".to_owned()))
    }

    pub(crate) fn cloudformation(&self) -> &aws_sdk_cloudformation::Client {
        self.cloudformation.get_or_init(|| aws_sdk_cloudformation::Client::new(&self.config))
    }

    pub(crate) fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.dynamodb.get_or_init(|| aws_sdk_dynamodb::Client::new(&self.config))
    }

    pub(crate) fn s3(&self) -> &aws_sdk_s3::Client {
        self.s3.get_or_init(|| {
            // An endpoint of one's own has no name per bucket.
            let config =
                aws_sdk_s3::config::Builder::from(&self.config).force_path_style(self.s3_endpoint.is_some()).build();
            aws_sdk_s3::Client::from_conf(config)
        })
    }

    pub(crate) fn sfn(&self) -> &aws_sdk_sfn::Client {
        self.sfn.get_or_init(|| aws_sdk_sfn::Client::new(&self.config))
    }
}
