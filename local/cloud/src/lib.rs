//! The local cloud: reads the CloudFormation templates and stands up exactly that on one machine.
//!
//! [`template`] resolves the templates as CloudFormation would, without touching anything; [`stack`] creates what
//! came out of it in the service modules and connects them; [`Cloud`] is the handle that the command and the tests
//! hold. There is no second description of the wiring: what a template does not say does not exist here, and what
//! it says and the local cloud does not know is an error that names it. Nothing in this crate talks to AWS.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

pub mod authorize;
mod cloudformation;
pub mod dynamodb;
pub mod events;
pub mod faults;
pub mod gateway;
pub mod identity;
pub mod kms;
pub mod lambda;
pub mod page;
pub mod s3;
pub mod scheduler;
pub mod service;
pub mod sns;
pub mod sqs;
pub mod stack;
pub mod stepfunctions;
pub mod template;
pub mod trace;

/// The account that owns everything local. Twelve zeros is no account that AWS gives out.
pub const ACCOUNT: &str = "000000000000";
/// The partition of every local ARN.
pub const PARTITION: &str = "aws";
/// The region when [`Options::region`] is not set by the caller.
pub const DEFAULT_REGION: &str = "us-east-1";

/// An error as an AWS service answers it: an HTTP status and a JSON body with `__type` and `message`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The error's name without namespace, such as `ResourceNotFoundException`.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// The text for people.
    pub message: String,
    /// Further members of the body, next to `__type` and `message`.
    pub extra: Map<String, Value>,
}

impl ApiError {
    /// An error with this status, name and text.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, message: message.into(), extra: Map::new() }
    }

    /// A call or a member of a call that exists at AWS but not here: the text names it, so that nothing that a
    /// caller asked for is silently left out.
    pub fn not_implemented(service: &str, what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("{service}: {what} is not implemented by the local cloud"))
    }

    /// With one further member in the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The body as the JSON protocols send it. `Message` is there too because clients of some services look for it.
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("__type".into(), json!(self.code));
        body.insert("message".into(), json!(self.message));
        body.insert("Message".into(), json!(self.message));
        body.extend(self.extra.clone());
        Value::Object(body)
    }
}

/// Who makes a call, as the gateway finds it by the access key in the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` for a role, `arn:aws:iam::ACCOUNT:user/NAME` for the local user.
    pub arn: String,
    /// The ARN of the role, for a caller that assumed one. `None` is the local user, who may do everything.
    pub role: Option<String>,
    /// The function whose environment makes the call, if one does.
    pub function: Option<String>,
}

impl Caller {
    /// The person at the machine: what calls without a known access key are.
    pub fn local_user() -> Self {
        Self { arn: format!("arn:{PARTITION}:iam::{ACCOUNT}:user/local"), role: None, function: None }
    }

    /// A caller that assumed `role` (an ARN `arn:aws:iam::ACCOUNT:role/[PATH/]NAME`) under this session name.
    /// A function's session name is the function's name, as at AWS.
    pub fn assumed(role: &str, session: &str) -> Self {
        let name = role.rsplit('/').next().unwrap_or(role);
        Self {
            arn: format!("arn:{PARTITION}:sts::{ACCOUNT}:assumed-role/{name}/{session}"),
            role: Some(role.to_owned()),
            function: None,
        }
    }

    /// The same caller, known to be the environment of this function.
    #[must_use]
    pub fn of_function(mut self, function: &str) -> Self {
        self.function = Some(function.to_owned());
        self
    }

    /// What owns things made by this caller: the role, else the user. Statements of the Data API are visible by it.
    pub fn owner(&self) -> &str {
        self.role.as_deref().unwrap_or(&self.arn)
    }
}

/// How to start a [`Cloud`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The root template, such as `infra/root.yaml`.
    pub infra: PathBuf,
    /// Starts the services without a stack; `infra` is not looked at.
    pub empty: bool,
    /// The name of the root stack.
    pub stack_name: String,
    /// The region that the stack believes to be in.
    pub region: String,
    /// Values for the root template's parameters. A parameter without a value here has its default.
    pub parameters: BTreeMap<String, String>,
    /// The command that plays a function: the function's program name is appended, as in `tasker lambda NAME`.
    pub function_command: Vec<OsString>,
    /// The port of the gateway on 127.0.0.1; `None` lets the system choose.
    pub port: Option<u16>,
    /// Where buckets and logs are kept. `None`: a temporary folder that goes with the cloud.
    pub folder: Option<PathBuf>,
    /// What the system views of the database hold; `None`: what the server itself knows.
    pub seed: Option<redshift::Seed>,
}

impl Options {
    /// No stack: what there is comes by calls of CloudFormation.
    pub fn empty(function_command: Vec<OsString>) -> Self {
        Self { empty: true, ..Self::new(PathBuf::new(), function_command) }
    }

    /// The usual options for this root template and this command.
    pub fn new(infra: impl Into<PathBuf>, function_command: Vec<OsString>) -> Self {
        Self {
            infra: infra.into(),
            empty: false,
            stack_name: "local".into(),
            region: DEFAULT_REGION.into(),
            parameters: BTreeMap::new(),
            function_command,
            port: None,
            folder: None,
            seed: None,
        }
    }
}

pub use redshift::{Seed, UnknownSeed};
pub use stack::{Cloud, Error};
