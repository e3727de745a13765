//! The one listener of the local cloud: finds service, operation and caller of each request and answers in the
//! protocol that the request was made in.
//!
//! Decides nothing about services; logs no body and no header. A request for a service that is not here is refused by
//! name.

mod query;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::serve::ListenerExt as _;
use s3s::crypto::Crc32;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::identity::Identity;
use crate::lambda::{self, Lambda};
use crate::page::Page;
use crate::s3::{self, Buckets};
use crate::service::Service;
use crate::trace::{Trace, What};
use crate::{ACCOUNT, ApiError, Caller, authorize, sns, sqs};

/// Bytes of a request to a JSON service or to Lambda; DynamoDB takes 16 MB, the others less.
const MAX_BODY: usize = 17 * 1024 * 1024;
/// How long [`Gateway::stop`] waits for answers under way; long polls take up to 20 s.
const PATIENCE: Duration = Duration::from_millis(500);

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
    /// The query protocol in the version 2010-03-31.
    pub sns: Arc<dyn Service>,
    /// The query protocol in the version 2010-05-15.
    pub cloudformation: Arc<dyn Service>,
    /// `/2015-03-31/functions/…`
    pub lambda: Lambda,
    /// Every other path.
    pub s3: Buckets,
    /// What a browser is shown.
    pub page: Page,
    /// Who is behind an access key.
    pub identity: Identity,
    /// Where calls are shown.
    pub trace: Trace,
}

/// A bound port that does not answer yet: services need its address before they exist.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds this port on 127.0.0.1; `None` lets the system choose.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(port: Option<u16>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts to answer.
    pub fn serve(self, services: Services) -> Gateway {
        let (stop, mut stopped) = watch::channel(false);
        let router = Router::new().fallback(answer).with_state(Arc::new(services));
        let server = tokio::spawn(async move {
            let stopped = async move {
                // An error means that the gateway was dropped.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let listener = self.listener.tap_io(without_delay);
            let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
            if let Err(error) = serving.await {
                tracing::error!(%error, "the gateway's listener failed");
            }
        });
        Gateway { stop, server }
    }
}

/// The running gateway; stops when dropped.
pub struct Gateway {
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Gateway {
    /// Takes no further connection and waits a moment for the answers under way.
    pub async fn stop(mut self) {
        // Without a receiver the server has ended already.
        let _ = self.stop.send(true);
        if tokio::time::timeout(PATIENCE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Sends what there is at once. A body that follows its head would otherwise wait for the other side's delayed
/// acknowledgement, 40 ms.
pub(crate) fn without_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with its delay");
    }
}

async fn answer(State(services): State<Arc<Services>>, request: Request) -> Response<Body> {
    if Page::is_for(&request) {
        return services.page.answer(request).await;
    }
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let caller = match s3::presigned_access_key(request.uri()) {
        Some(key) => services.identity.by_access_key(&key),
        None => services.identity.caller(text("authorization")),
    };
    let target = text("x-amz-target").map(ToOwned::to_owned);
    let scope = text("authorization").and_then(signed_service).map(ToOwned::to_owned);
    // hyper answers no `100 Continue` when there is no body to continue with, and botocore then takes the connection for
    // one whose request is answered already: its next upload there hangs.
    let poisoned = text("expect").is_some() && text("content-length") == Some("0");
    let form = text("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if let Some(target) = target {
        json(&services, caller, &target, request).await
    } else if lambda::is_path(request.uri().path()) {
        rest(&services, caller, request).await
    } else if form && request.uri().path() == "/" {
        query(&services, caller, request).await
    } else if let Some(service) = scope.filter(|service| service != "s3") {
        let what = format!("{} {}", request.method(), request.uri().path());
        unknown(&services, caller, &service, &what)
    } else {
        let operation = s3::operation(&request);
        let response = authorize::answer_s3(services.identity.authorizer(), &caller, &services.s3, request).await;
        let error = (!response.status().is_success()).then(|| response.status().as_u16().to_string());
        services.trace.emit(What::Call { service: "s3".into(), operation, function: caller.function, error });
        let mut response = with_request_id(response);
        if poisoned {
            set(response.headers_mut(), "connection", "close");
        }
        response
    }
}

/// The service that a signature is for: the fourth part of the credential's scope.
fn signed_service(authorization: &str) -> Option<&str> {
    let (_, scope) = authorization.split_once("Credential=")?;
    scope.split(',').next()?.split('/').nth(3)
}

/// A request to a service, or a path of a service, that is not here.
fn unknown(services: &Services, caller: Caller, service: &str, what: &str) -> Response<Body> {
    let error = ApiError::not_implemented(service, what);
    services.trace.emit(What::Call {
        service: service.to_owned(),
        operation: what.to_owned(),
        function: caller.function,
        error: Some(error.code.clone()),
    });
    json_error(&error)
}

/// AWS JSON 1.0 and 1.1.
async fn json(services: &Services, caller: Caller, target: &str, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
    let known = match prefix {
        "AWSStepFunctions" => Some(("states", &services.states)),
        "DynamoDB_20120810" => Some(("dynamodb", &services.dynamodb)),
        "RedshiftData" => Some(("redshift-data", &services.redshift_data)),
        "TrentService" => Some(("kms", &services.kms)),
        "AmazonSQS" => Some(("sqs", &services.sqs)),
        "AWSEvents" => Some(("events", &services.events)),
        _ => None,
    };
    let function = caller.function.clone();
    let ended = match (known, parse(body).await) {
        (None, _) => Err(ApiError::not_implemented(prefix, operation)),
        (_, Err(error)) => Err(error),
        (Some((_, service)), Ok(body)) => service.call(operation, &caller, body).await,
    };
    let service = known.map_or(prefix, |(name, _)| name);
    services.trace.emit(What::Call {
        service: service.to_owned(),
        operation: operation.to_owned(),
        function,
        error: ended.as_ref().err().map(|error| error.code.clone()),
    });
    let kind = parts.headers.get(header::CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or(HeaderValue::from_static("application/x-amz-json-1.1"));
    let (mut response, body) = match ended {
        Ok(body) => (Response::default(), body.to_string()),
        Err(error) => {
            let mut response = failed(&error);
            if service == "sqs" {
                let fault = if error.status < 500 { "Sender" } else { "Receiver" };
                let older = format!("{};{fault}", sqs::query_error(&error.code));
                set(response.headers_mut(), "x-amzn-query-error", &older);
            }
            (response, error.body().to_string())
        }
    };
    if service == "dynamodb" {
        let checksum = Crc32::checksum_u32(body.as_bytes()).to_string();
        set(response.headers_mut(), "x-amz-crc32", &checksum);
    }
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    *response.body_mut() = Body::from(body);
    with_request_id(response)
}

/// Lambda's REST JSON.
async fn rest(services: &Services, caller: Caller, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (operation, ended) = match to_bytes(body, MAX_BODY).await {
        Ok(body) => {
            let (path, query) = (parts.uri.path(), parts.uri.query());
            match services.identity.authorizer().check_lambda(&caller, &parts.method, path, query) {
                Ok(()) => lambda::answer(&services.lambda, &parts.method, path, query, &parts.headers, body).await,
                Err(error) => ("Invoke", Err(error)),
            }
        }
        Err(error) => ("Invoke", Err(too_large(&error))),
    };
    services.trace.emit(What::Call {
        service: "lambda".into(),
        operation: operation.into(),
        function: caller.function,
        error: ended.as_ref().err().map(|error| error.code.clone()),
    });
    match ended {
        Ok(response) if response.headers().contains_key("x-amzn-requestid") => response,
        Ok(response) => with_request_id(response),
        Err(error) => json_error(&error),
    }
}

fn json_error(error: &ApiError) -> Response<Body> {
    let mut response = failed(error);
    set(response.headers_mut(), "content-type", "application/json");
    *response.body_mut() = Body::from(error.body().to_string());
    with_request_id(response)
}

/// The query protocol, whose services are told apart by the version of their API.
async fn query(services: &Services, caller: Caller, request: Request) -> Response<Body> {
    const SNS: &str = "http://sns.amazonaws.com/doc/2010-03-31/";
    const CLOUDFORMATION: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
    const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
    let function = caller.function.clone();
    let form = to_bytes(request.into_body(), MAX_BODY).await.map(|body| query::Form::parse(&body));
    let form = match form {
        Ok(form) => form,
        Err(error) => return json_error(&too_large(&error)),
    };
    // It becomes the name of an element.
    let action: String = form.action.chars().filter(char::is_ascii_alphanumeric).collect();
    let (service, namespace, maps, ended) = match form.version.as_str() {
        "2010-03-31" => ("sns", SNS, &sns::MAPS[..], services.sns.call(&action, &caller, form.members).await),
        "2010-05-15" => {
            let ended = services.cloudformation.call(&action, &caller, form.members).await;
            ("cloudformation", CLOUDFORMATION, &[][..], ended)
        }
        "2011-06-15" if action == "GetCallerIdentity" => {
            let user = caller.role.as_deref().unwrap_or("local").rsplit('/').next().unwrap_or_default();
            let body = serde_json::json!({ "Arn": caller.arn, "UserId": user, "Account": ACCOUNT });
            ("sts", STS, &[][..], Ok(body))
        }
        "2011-06-15" => ("sts", STS, &[][..], Err(ApiError::not_implemented("sts", &action))),
        version => {
            let what = format!("{action} of the API version {version}");
            ("query", "", &[][..], Err(ApiError::not_implemented("the query protocol", &what)))
        }
    };
    services.trace.emit(What::Call {
        service: service.into(),
        operation: action.clone(),
        function,
        error: ended.as_ref().err().map(|error| error.code.clone()),
    });
    let id = Uuid::new_v4().to_string();
    let (status, xml) = match ended {
        Ok(body) => (200, query::answer(namespace, &action, &body, maps, &id)),
        Err(error) => (error.status, query::refusal(namespace, error.status, &error.code, &error.message, &id)),
    };
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    set(response.headers_mut(), "x-amzn-requestid", &id);
    response
}

async fn parse(body: Body) -> Result<Value, ApiError> {
    let body = to_bytes(body, MAX_BODY).await.map_err(|error| too_large(&error))?;
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(&body).map_err(|error| ApiError::new(400, "SerializationException", error.to_string()))
}

fn too_large(error: &axum::Error) -> ApiError {
    ApiError::new(413, "RequestEntityTooLarge", error.to_string())
}

fn failed(error: &ApiError) -> Response<Body> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(response.headers_mut(), "x-amzn-errortype", &error.code);
    response
}

fn with_request_id(mut response: Response<Body>) -> Response<Body> {
    let id = Uuid::new_v4().to_string();
    set(response.headers_mut(), "x-amzn-requestid", &id);
    set(response.headers_mut(), "x-amz-request-id", &id);
    response
}

/// Sets a header whose value is a name or a number of ours.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(error) => tracing::error!(%error, name, "a header could not be set"),
    }
}
