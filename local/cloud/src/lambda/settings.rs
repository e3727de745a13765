//! What an `AWS::Lambda::Function` says, read once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::ApiError;
use crate::service::Properties;

/// Concurrent executions of an account, which functions without a reservation share (Lambda quotas page). Here each of
/// them may use all of it.
const ACCOUNT_CONCURRENCY: u64 = 1000;

/// A function's configuration.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) description: String,
    /// The program that plays it: the last component of its code's path.
    pub(super) program: String,
    pub(super) handler: String,
    pub(super) runtime: String,
    pub(super) role: String,
    pub(super) timeout: Duration,
    /// MB.
    pub(super) memory: u64,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) log_group: String,
    pub(super) concurrency: usize,
    pub(super) reserved: Option<u64>,
    /// The ARN of the queue for events that are given up.
    pub(super) dead_letters: Option<String>,
}

impl Settings {
    pub(super) fn read(name: &str, arn: String, properties: &Value) -> Result<Self, ApiError> {
        let mut read = Properties::of("AWS::Lambda::Function", properties)?;
        let code = read.required("Code")?;
        let program = code.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        if program.is_empty() {
            return Err(read.error("Code", "must be a local path whose last part names the program"));
        }
        let package = read.text("PackageType")?;
        if package.is_some_and(|package| package != "Zip") {
            return Err(read.error("PackageType", "can only be Zip in the local cloud"));
        }
        let mut log_group = format!("/aws/lambda/{name}");
        if let Some(mut logging) = read.inside("LoggingConfig")? {
            log_group = logging.text("LogGroup")?.unwrap_or(log_group);
            logging.accept(&["LogFormat", "ApplicationLogLevel", "SystemLogLevel"]);
            logging.end()?;
        }
        let mut environment = BTreeMap::new();
        if let Some(mut variables) = read.inside("Environment")? {
            match variables.value("Variables") {
                None => {}
                Some(Value::Object(map)) => {
                    for (variable, value) in map {
                        let value = match value {
                            Value::String(text) => text.clone(),
                            Value::Number(number) => number.to_string(),
                            Value::Bool(flag) => flag.to_string(),
                            _ => return Err(variables.error(variable, "must be a text")),
                        };
                        if reserved_variable(variable) {
                            return Err(variables.error(variable, "is reserved by Lambda"));
                        }
                        environment.insert(variable.clone(), value);
                    }
                }
                Some(_) => return Err(variables.error("Variables", "must be a map")),
            }
            variables.end()?;
        }
        let size: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > 4096 {
            return Err(read.error("Environment", "must not be larger than 4 KB"));
        }
        let reserved = read.number("ReservedConcurrentExecutions", 0, ACCOUNT_CONCURRENCY)?;
        let concurrency = usize::try_from(reserved.unwrap_or(ACCOUNT_CONCURRENCY)).unwrap_or(usize::MAX);
        let mut dead_letters = None;
        if let Some(mut config) = read.inside("DeadLetterConfig")? {
            dead_letters = config.text("TargetArn")?;
            config.end()?;
            if let Some(arn) = &dead_letters
                && arn.split(':').nth(2) != Some("sqs")
            {
                return Err(ApiError::not_implemented("lambda", &format!("DeadLetterConfig with the target {arn}")));
            }
        }
        let settings = Self {
            name: name.to_owned(),
            arn,
            description: read.text("Description")?.unwrap_or_default(),
            program,
            handler: read.text("Handler")?.unwrap_or_else(|| "bootstrap".into()),
            runtime: read.text("Runtime")?.unwrap_or_else(|| "provided.al2023".into()),
            role: read.required("Role")?,
            timeout: Duration::from_secs(read.number("Timeout", 1, 900)?.unwrap_or(3)),
            memory: read.number("MemorySize", 128, 10_240)?.unwrap_or(128),
            environment,
            log_group,
            concurrency,
            reserved,
            dead_letters,
        };
        // These change nothing on one machine.
        read.accept(&["FunctionName", "Architectures", "Tags", "TracingConfig", "KmsKeyArn"]);
        read.accept(&["VpcConfig", "EphemeralStorage", "RecursiveLoop", "RuntimeManagementConfig"]);
        read.end()?;
        Ok(settings)
    }
}

/// Variables that Lambda sets itself (Lambda guide, "Defined runtime environment variables").
fn reserved_variable(name: &str) -> bool {
    name.starts_with("AWS_LAMBDA_")
        || matches!(
            name,
            "_HANDLER"
                | "_X_AMZN_TRACE_ID"
                | "AWS_DEFAULT_REGION"
                | "AWS_REGION"
                | "AWS_EXECUTION_ENV"
                | "AWS_ACCESS_KEY"
                | "AWS_ACCESS_KEY_ID"
                | "AWS_SECRET_ACCESS_KEY"
                | "AWS_SESSION_TOKEN"
                | "LAMBDA_TASK_ROOT"
                | "LAMBDA_RUNTIME_DIR"
        )
}
