//! What AWS demands of a role when a resource is created, before any call is made: that its service may assume it, and
//! permissions for what the service does for the resource later, out of sight of this cloud.

use serde_json::Value;

use super::{Authorizer, Because, Need};
use crate::template::Resource;
use crate::{ACCOUNT, ApiError, Caller};

/// Actions that a role needs and no call of this cloud uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demanded {
    /// The actions.
    pub actions: &'static [&'static str],
    /// What they are for.
    pub reason: &'static str,
    /// The AWS page that demands them.
    pub page: &'static str,
}

const LOG_DELIVERY: Demanded = Demanded {
    actions: &[
        "logs:CreateLogDelivery",
        "logs:GetLogDelivery",
        "logs:UpdateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:DescribeResourcePolicies",
        "logs:DescribeLogGroups",
    ],
    reason: "a state machine delivers its log",
    page: "https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html",
};
const NESTED: Demanded = Demanded {
    actions: &["events:PutTargets", "events:PutRule", "events:DescribeRule"],
    reason: "a state machine hears of the end of its .sync children by a managed rule",
    page: "https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html",
};
const TRACES: Demanded = Demanded {
    actions: &["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
    reason: "a state machine writes traces",
    page: "https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html",
};
const FUNCTION_TRACES: Demanded = Demanded {
    actions: &["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    reason: "a function writes traces",
    page: "https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html",
};
const NETWORK: Demanded = Demanded {
    actions: &["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"],
    reason: "a function is connected to a VPC",
    page: "https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html",
};

/// All of them. They are checked when the resource is created.
pub const DEMANDED: [Demanded; 5] = [LOG_DELIVERY, NESTED, TRACES, FUNCTION_TRACES, NETWORK];

impl Authorizer {
    /// Checks what AWS checks when a resource is created or updated.
    pub(super) fn check_creation(&self, resource: &Resource) -> Result<(), ApiError> {
        let properties = &resource.properties;
        let text = |path: &str| properties.pointer(path).and_then(Value::as_str).unwrap_or_default();
        match resource.kind.as_str() {
            "AWS::Lambda::Function" => self.check_function(resource.arn(), properties),
            "AWS::Lambda::EventSourceMapping" => {
                let queue = text("/EventSourceArn");
                let function = text("/FunctionName");
                match self.function_role(function) {
                    Some(role) => self.check_mapping(&Caller::assumed(&role, "mapping"), queue),
                    None => Ok(()),
                }
            }
            "AWS::StepFunctions::StateMachine" => self.check_machine(resource.arn(), properties),
            "AWS::Logs::LogGroup" if !text("/KmsKeyId").is_empty() => {
                self.check_log_group(resource.name(), &self.key_arn(text("/KmsKeyId")))
            }
            _ => Ok(()),
        }
    }

    fn check_function(&self, arn: &str, properties: &Value) -> Result<(), ApiError> {
        let invalid = |text: String| ApiError::new(400, "InvalidParameterValueException", text);
        let role = properties.get("Role").and_then(Value::as_str).unwrap_or_default();
        let because = Because { service: "lambda.amazonaws.com", source: arn };
        self.check_trust(because, role)
            .map_err(|_| invalid("The role defined for the function cannot be assumed by Lambda.".into()))?;
        self.know_function(arn, role);
        let caller = Caller::assumed(role, "lambda");
        let may = |action: &str, resource: &str, service: &str| {
            let operation = action.split(':').nth(1).unwrap_or(action);
            self.check_all(&caller, &[Need::new(action, resource)]).map_err(|_| {
                let text = "The provided execution role does not have permissions to call";
                invalid(format!("{text} {operation} on {service}"))
            })
        };
        let subnets = properties.pointer("/VpcConfig/SubnetIds").and_then(Value::as_array);
        if subnets.is_some_and(|subnets| !subnets.is_empty()) {
            NETWORK.actions.iter().try_for_each(|action| may(action, "*", "EC2"))?;
        }
        if properties.pointer("/TracingConfig/Mode").and_then(Value::as_str) == Some("Active") {
            FUNCTION_TRACES.actions.iter().try_for_each(|action| may(action, "*", "XRAY"))?;
        }
        match properties.pointer("/DeadLetterConfig/TargetArn").and_then(Value::as_str) {
            Some(target) if target.contains(":sqs:") => may("sqs:SendMessage", target, "SQS"),
            Some(target) => may("sns:Publish", target, "SNS"),
            None => Ok(()),
        }
    }

    /// What the mapping of a function's role from a queue needs, also while it runs.
    pub(crate) fn check_mapping(&self, caller: &Caller, queue: &str) -> Result<(), ApiError> {
        for operation in ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"] {
            let action = format!("sqs:{operation}");
            let mut needs = vec![Need::new(action.as_str(), queue)];
            needs.extend(self.key_needs(&action, queue));
            self.check_all(caller, &needs).map_err(|denied| {
                let (operation, service) = match denied.action.split_once(':') {
                    Some(("kms", operation)) => (operation, "KMS"),
                    _ => (operation, "SQS"),
                };
                let text = "The provided execution role does not have permissions to call";
                ApiError::new(400, "InvalidParameterValueException", format!("{text} {operation} on {service}"))
            })?;
        }
        Ok(())
    }

    fn check_machine(&self, arn: &str, properties: &Value) -> Result<(), ApiError> {
        let refused = |text: String| ApiError::new(400, "AccessDeniedException", text);
        let text = |path: &str| properties.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let role = text("/RoleArn");
        let because = Because { service: "states.amazonaws.com", source: arn };
        self.check_trust(because, role).map_err(|_| {
            refused("Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the provided role.".into())
        })?;
        let caller = Caller::assumed(role, "StepFunctions");
        let may = |demanded: &Demanded, resource: &str| {
            let needs: Vec<Need> = demanded.actions.iter().map(|action| Need::new(*action, resource)).collect();
            self.check_all(&caller, &needs)
        };
        if !matches!(text("/LoggingConfiguration/Level"), "" | "OFF") {
            may(&LOG_DELIVERY, "*").map_err(|denied| {
                let text = "The state machine IAM Role is not authorized to access the Log Destination";
                refused(format!("{text} ({})", denied.action))
            })?;
        }
        if properties.pointer("/TracingConfiguration/Enabled").and_then(Value::as_bool) == Some(true) {
            may(&TRACES, "*").map_err(|denied| refused(denied.message()))?;
        }
        if text("/DefinitionString").contains(":states:startExecution.sync") {
            let rule = self.arn("events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule");
            may(&NESTED, &rule).map_err(|denied| {
                refused(format!("'{role}' is not authorized to create managed-rule. ({})", denied.action))
            })?;
        }
        Ok(())
    }

    /// CloudWatch Logs must be able to use the key of a log group (CloudWatch Logs guide, "Encrypt log data").
    fn check_log_group(&self, name: &str, key: &str) -> Result<(), ApiError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let group = self.arn("logs", &format!("log-group:{name}"));
        let service = format!("logs.{}.amazonaws.com", shared.region);
        let principal = iam::Principal::Service(service.clone());
        let because = Because { service: &service, source: &group };
        for operation in ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey"] {
            let need = Need::new(format!("kms:{operation}"), key);
            let context = shared.about_service(because).with("kms:EncryptionContext:aws:logs:arn", group.as_str());
            shared.decide(&principal, None, &need, context).map_err(|_| {
                let text = format!(
                    "The specified KMS key does not exist or is not allowed to be used with Arn '{group}' ({})",
                    need.action
                );
                ApiError::new(400, "InvalidParameterException", text)
            })?;
        }
        Ok(())
    }

    fn know_function(&self, arn: &str, role: &str) {
        if let Some(shared) = &self.shared {
            shared.lock().functions.insert(arn.to_owned(), role.to_owned());
        }
    }

    fn function_role(&self, function: &str) -> Option<String> {
        let arn = self.function_arn(function);
        self.shared.as_ref()?.lock().functions.get(&arn).cloned()
    }

    /// Whether a function's environment may write the log of its function.
    pub(crate) fn may_log(&self, caller: &Caller, group: &str) -> bool {
        let region = self.shared.as_ref().map_or("", |shared| &shared.region);
        let stream = format!("arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}:log-stream:local");
        let needs = ["logs:CreateLogStream", "logs:PutLogEvents"].map(|action| Need::new(action, stream.as_str()));
        self.check_all(caller, &needs).is_ok()
    }
}
