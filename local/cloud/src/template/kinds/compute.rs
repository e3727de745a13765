//! Types that do something or allow it: Lambda, EventBridge, Step Functions, IAM.

use super::super::shape::Shape::{Flag, Json, List, Map, Number, Object, Text};
use super::super::shape::{Property, Shape, TAGS, has, idle};
use super::{Kind, attributes, text};

const TRACING: &str = "there is no X-Ray here; the cloud's own trace shows calls";
const POLICY: &str = "the authorizer reads it, not the service that has the resource";
const DEAD_LETTER: Shape = Object(&[has("Arn", Text)]);
const DESTINATION: Shape = Object(&[has("Destination", Text).required()]);
const PATH: Property = has("Path", Text);

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "AWS::Lambda::Function",
        properties: &[
            has("FunctionName", Text),
            has("Description", Text),
            has("Runtime", Text),
            has("Handler", Text),
            has("Architectures", List(&Text)),
            has("PackageType", Text),
            // A path on this machine, as `aws cloudformation package` takes it; its last component names the program.
            has("Code", Text).required(),
            has("Role", Text).required(),
            has("MemorySize", Number),
            has("Timeout", Number),
            has("Environment", Object(&[has("Variables", Map(&Text))])),
            has("ReservedConcurrentExecutions", Number),
            has("DeadLetterConfig", Object(&[has("TargetArn", Text)])),
            idle(
                "LoggingConfig",
                Object(&[
                    has("LogGroup", Text),
                    has("LogFormat", Text),
                    has("ApplicationLogLevel", Text),
                    has("SystemLogLevel", Text),
                ]),
                "a function's output is kept as it wrote it",
            ),
            idle("TracingConfig", Object(&[has("Mode", Text)]), TRACING),
            idle("KmsKeyArn", Text, "the environment is nowhere at rest"),
            idle(
                "VpcConfig",
                Object(&[
                    has("SubnetIds", List(&Text)),
                    has("SecurityGroupIds", List(&Text)),
                    has("Ipv6AllowedForDualStack", Flag),
                ]),
                "everything is on loopback",
            ),
            idle(
                "EphemeralStorage",
                Object(&[has("Size", Number).required()]),
                "the machine's temporary folder is used",
            ),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "FunctionName", 64);
            let arn = naming.arn("lambda", &format!("function:{name}"));
            attributes(name, [("Arn", arn)])
        },
    },
    Kind {
        name: "AWS::Lambda::Permission",
        properties: &[
            has("FunctionName", Text).required(),
            idle("Action", Text, POLICY).required(),
            idle("Principal", Text, POLICY).required(),
            idle("SourceArn", Text, POLICY),
            idle("SourceAccount", Text, POLICY),
        ],
        attributes: |naming, _| attributes(format!("{}-{}", naming.stack, naming.logical), [("Id", naming.uuid())]),
    },
    Kind {
        name: "AWS::Lambda::EventSourceMapping",
        properties: &[
            has("EventSourceArn", Text).required(),
            has("FunctionName", Text).required(),
            has("BatchSize", Number),
            has("MaximumBatchingWindowInSeconds", Number),
            has("FunctionResponseTypes", List(&Text)),
            has("ScalingConfig", Object(&[has("MaximumConcurrency", Number)])),
            has("Enabled", Flag),
            TAGS,
        ],
        attributes: |naming, _| {
            let id = naming.uuid();
            let arn = naming.arn("lambda", &format!("event-source-mapping:{id}"));
            attributes(id.clone(), [("Id", id), ("EventSourceMappingArn", arn)])
        },
    },
    Kind {
        name: "AWS::Lambda::EventInvokeConfig",
        properties: &[
            has("FunctionName", Text).required(),
            has("Qualifier", Text).required(),
            has("MaximumRetryAttempts", Number),
            has("MaximumEventAgeInSeconds", Number),
            has("DestinationConfig", Object(&[has("OnFailure", DESTINATION), has("OnSuccess", DESTINATION)])),
        ],
        attributes: |naming, _| attributes(naming.uuid(), []),
    },
    Kind {
        name: "AWS::Events::Rule",
        properties: &[
            has("Name", Text),
            has("Description", Text),
            has("EventPattern", Json),
            has("ScheduleExpression", Text),
            has("State", Text),
            has(
                "Targets",
                List(&Object(&[
                    has("Id", Text).required(),
                    has("Arn", Text).required(),
                    has("RoleArn", Text),
                    has("Input", Text),
                    has("InputPath", Text),
                    has(
                        "InputTransformer",
                        Object(&[has("InputPathsMap", Map(&Text)), has("InputTemplate", Text).required()]),
                    ),
                    has("DeadLetterConfig", DEAD_LETTER),
                    has(
                        "RetryPolicy",
                        Object(&[has("MaximumEventAgeInSeconds", Number), has("MaximumRetryAttempts", Number)]),
                    ),
                ])),
            ),
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "Name", 64);
            let arn = naming.arn("events", &format!("rule/{name}"));
            attributes(name, [("Arn", arn)])
        },
    },
    Kind {
        name: "AWS::Scheduler::Schedule",
        properties: &[
            has("Name", Text),
            has("Description", Text),
            has("ScheduleExpression", Text).required(),
            has("ScheduleExpressionTimezone", Text),
            has("StartDate", Text),
            has("EndDate", Text),
            has("State", Text),
            has("FlexibleTimeWindow", Object(&[has("Mode", Text).required(), has("MaximumWindowInMinutes", Number)]))
                .required(),
            has(
                "Target",
                Object(&[
                    has("Arn", Text).required(),
                    has("RoleArn", Text).required(),
                    has("Input", Text),
                    has("DeadLetterConfig", DEAD_LETTER),
                    has(
                        "RetryPolicy",
                        Object(&[has("MaximumEventAgeInSeconds", Number), has("MaximumRetryAttempts", Number)]),
                    ),
                ]),
            )
            .required(),
            idle("KmsKeyArn", Text, "nothing is encrypted at rest on one machine"),
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "Name", 64);
            let arn = naming.arn("scheduler", &format!("schedule/default/{name}"));
            attributes(name, [("Arn", arn)])
        },
    },
    Kind {
        name: "AWS::StepFunctions::StateMachine",
        properties: &[
            has("StateMachineName", Text),
            has("StateMachineType", Text),
            has("RoleArn", Text).required(),
            has("DefinitionString", Text),
            idle(
                "LoggingConfiguration",
                Object(&[
                    has("Level", Text),
                    has("IncludeExecutionData", Flag),
                    has(
                        "Destinations",
                        List(&Object(&[has("CloudWatchLogsLogGroup", Object(&[has("LogGroupArn", Text)]))])),
                    ),
                ]),
                "the history is kept whole",
            ),
            idle("TracingConfiguration", Object(&[has("Enabled", Flag)]), TRACING),
            idle(
                "EncryptionConfiguration",
                Object(&[
                    has("Type", Text).required(),
                    has("KmsKeyId", Text),
                    has("KmsDataKeyReusePeriodSeconds", Number),
                ]),
                "nothing is encrypted at rest on one machine",
            ),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "StateMachineName", 80);
            let arn = naming.arn("states", &format!("stateMachine:{name}"));
            // Another definition, role or logging is another revision; AWS gives it a UUID.
            let revision = naming.of_content(properties);
            attributes(arn.clone(), [("Arn", arn), ("Name", name), ("StateMachineRevisionId", revision)])
        },
    },
    Kind {
        name: "AWS::StepFunctions::StateMachineVersion",
        properties: &[
            has("StateMachineArn", Text).required(),
            idle("StateMachineRevisionId", Text, "the latest revision is published; another one is another property"),
            has("Description", Text),
        ],
        attributes: |_, properties| {
            // The loader makes each stack once, so that a machine has one version.
            let arn = format!("{}:1", text(properties, "StateMachineArn"));
            attributes(arn.clone(), [("Arn", arn)])
        },
    },
    Kind {
        name: "AWS::StepFunctions::StateMachineAlias",
        properties: &[
            has("Name", Text),
            has("Description", Text),
            has(
                "RoutingConfiguration",
                List(&Object(&[has("StateMachineVersionArn", Text).required(), has("Weight", Number).required()])),
            )
            .required(),
        ],
        attributes: |naming, properties| {
            let version = properties
                .pointer("/RoutingConfiguration/0/StateMachineVersionArn")
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default();
            let machine = version.rsplit_once(':').map_or(version, |(machine, _)| machine);
            let arn = format!("{machine}:{}", naming.name(properties, "Name", 80));
            attributes(arn.clone(), [("Arn", arn)])
        },
    },
    Kind {
        name: "AWS::IAM::Role",
        properties: &[
            has("RoleName", Text),
            PATH,
            has("Description", Text),
            idle("AssumeRolePolicyDocument", Json, POLICY).required(),
            idle(
                "Policies",
                List(&Object(&[has("PolicyName", Text).required(), has("PolicyDocument", Json).required()])),
                POLICY,
            ),
            idle("ManagedPolicyArns", List(&Text), POLICY),
            idle("PermissionsBoundary", Text, POLICY),
            idle("MaxSessionDuration", Number, "credentials do not expire here"),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "RoleName", 64);
            let path = properties.get("Path").and_then(serde_json::Value::as_str).unwrap_or("/");
            let arn = naming.global("iam", &format!("role{path}{name}"));
            attributes(name, [("Arn", arn), ("RoleId", naming.unique_id("AROA"))])
        },
    },
    Kind {
        name: "AWS::IAM::Policy",
        properties: &[
            has("PolicyName", Text).required(),
            has("Roles", List(&Text)).required(),
            idle("PolicyDocument", Json, POLICY).required(),
        ],
        attributes: |naming, properties| attributes(text(properties, "PolicyName"), [("Id", naming.uuid())]),
    },
    Kind {
        name: "AWS::IAM::ManagedPolicy",
        properties: &[
            has("ManagedPolicyName", Text),
            has("Description", Text),
            PATH,
            has("Roles", List(&Text)),
            idle("PolicyDocument", Json, POLICY).required(),
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "ManagedPolicyName", 128);
            let path = properties.get("Path").and_then(serde_json::Value::as_str).unwrap_or("/");
            let arn = naming.global("iam", &format!("policy{path}{name}"));
            attributes(arn.clone(), [("PolicyArn", arn), ("PolicyId", naming.unique_id("ANPA"))])
        },
    },
];
