//! The SDK clients, built once and only when first used: a function pays at its start for what it needs. Credentials and
//! endpoints come from the environment alone; no profile, no metadata service, no file is looked at.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use statement::Error;

/// Clients over one HTTP client each for http and https.
pub struct Clients {
    base: SdkConfig,
    endpoints: Endpoints,
    plain: OnceLock<SharedHttpClient>,
    tls: OnceLock<SharedHttpClient>,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    sfn: OnceLock<aws_sdk_sfn::Client>,
    redshift_data: OnceLock<aws_sdk_redshiftdata::Client>,
    kms: OnceLock<aws_sdk_kms::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
    s3: OnceLock<aws_sdk_s3::Client>,
}

/// Endpoint overrides, as every AWS SDK reads them from the environment.
struct Endpoints {
    all: Option<String>,
    dynamodb: Option<String>,
    sfn: Option<String>,
    redshift_data: Option<String>,
    kms: Option<String>,
    sqs: Option<String>,
    s3: Option<String>,
}

impl Clients {
    /// From the environment's lookup: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
    /// `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_<SERVICE>`. Lambda replaces an environment before its credentials expire.
    ///
    /// # Errors
    /// [`Error::Configuration`] naming what is missing.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let get = |key: &str| lookup(key).filter(|value| !value.is_empty());
        let region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
        let keys = (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY"));
        let (Some(region), (Some(id), Some(secret))) = (region, keys) else {
            return Err(Error::Configuration(
                "AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed".to_owned(),
            ));
        };
        let credentials = Credentials::new(id, secret, get("AWS_SESSION_TOKEN"), None, "environment");
        // The tasker's timeout is 30 s: its worst way is a seal, a put and a submit.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(Duration::from_secs(4))
            .operation_timeout(Duration::from_secs(7))
            .build();
        let base = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(100))
                    .with_max_backoff(Duration::from_secs(2)),
            )
            .timeout_config(timeouts)
            .build();
        let endpoints = Endpoints {
            all: get("AWS_ENDPOINT_URL"),
            dynamodb: get("AWS_ENDPOINT_URL_DYNAMODB"),
            sfn: get("AWS_ENDPOINT_URL_SFN"),
            redshift_data: get("AWS_ENDPOINT_URL_REDSHIFT_DATA"),
            kms: get("AWS_ENDPOINT_URL_KMS"),
            sqs: get("AWS_ENDPOINT_URL_SQS"),
            s3: get("AWS_ENDPOINT_URL_S3"),
        };
        Ok(Self {
            base,
            endpoints,
            plain: OnceLock::new(),
            tls: OnceLock::new(),
            dynamodb: OnceLock::new(),
            sfn: OnceLock::new(),
            redshift_data: OnceLock::new(),
            kms: OnceLock::new(),
            sqs: OnceLock::new(),
            s3: OnceLock::new(),
        })
    }

    /// The HTTP client for a URL. Certificates are loaded with the first https URL only.
    pub(crate) fn http(&self, https: bool) -> SharedHttpClient {
        let builder = aws_smithy_http_client::Builder::new();
        let client = if https {
            self.tls.get_or_init(|| builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
        } else {
            self.plain.get_or_init(|| builder.build_http())
        };
        client.clone()
    }

    fn config(&self, endpoint: Option<&String>) -> SdkConfig {
        let endpoint = endpoint.or(self.endpoints.all.as_ref());
        let https = endpoint.is_none_or(|url| !url.starts_with("http://"));
        let mut builder = self.base.to_builder();
        builder.set_endpoint_url(endpoint.cloned());
        builder.set_http_client(Some(self.http(https)));
        builder.build()
    }

    pub(crate) fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.dynamodb.get_or_init(|| aws_sdk_dynamodb::Client::new(&self.config(self.endpoints.dynamodb.as_ref())))
    }

    pub(crate) fn sfn(&self) -> &aws_sdk_sfn::Client {
        self.sfn.get_or_init(|| aws_sdk_sfn::Client::new(&self.config(self.endpoints.sfn.as_ref())))
    }

    pub(crate) fn redshift_data(&self) -> &aws_sdk_redshiftdata::Client {
        // A submit may take a while on a busy cluster, a result page carries data.
        self.redshift_data.get_or_init(|| {
            let config = self.config(self.endpoints.redshift_data.as_ref());
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_attempt_timeout(Duration::from_secs(8))
                .operation_timeout(Duration::from_secs(14))
                .build();
            aws_sdk_redshiftdata::Client::new(&config.to_builder().timeout_config(timeouts).build())
        })
    }

    pub(crate) fn kms(&self) -> &aws_sdk_kms::Client {
        self.kms.get_or_init(|| aws_sdk_kms::Client::new(&self.config(self.endpoints.kms.as_ref())))
    }

    pub(crate) fn sqs(&self) -> &aws_sdk_sqs::Client {
        self.sqs.get_or_init(|| aws_sdk_sqs::Client::new(&self.config(self.endpoints.sqs.as_ref())))
    }

    pub(crate) fn s3(&self) -> &aws_sdk_s3::Client {
        self.s3.get_or_init(|| {
            let endpoint = self.endpoints.s3.as_ref();
            let config = aws_sdk_s3::config::Builder::from(&self.config(endpoint))
                // An endpoint of one's own has no name per bucket.
                .force_path_style(endpoint.or(self.endpoints.all.as_ref()).is_some())
                .build();
            aws_sdk_s3::Client::from_conf(config)
        })
    }
}
