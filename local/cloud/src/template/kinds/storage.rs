//! Types that hold or carry data: DynamoDB, KMS, S3, SQS, SNS, logs.

use super::super::shape::Shape::{Flag, Json, List, Number, Object, Text};
use super::super::shape::{Property, Shape, TAGS, has, idle};
use super::{Kind, attributes, text};

const AT_REST: &str = "nothing is encrypted at rest on one machine";
const POLICY: &str = "the authorizer reads it, not the service that has the resource";
const CAPACITY: &str = "capacity is not limited here";

const KEY_SCHEMA: Shape = List(&Object(&[has("AttributeName", Text).required(), has("KeyType", Text).required()]));
const PROJECTION: Shape = Object(&[has("ProjectionType", Text), has("NonKeyAttributes", List(&Text))]);
const THROUGHPUT: Property = idle(
    "ProvisionedThroughput",
    Object(&[has("ReadCapacityUnits", Number).required(), has("WriteCapacityUnits", Number).required()]),
    CAPACITY,
);
const ON_DEMAND: Property = idle(
    "OnDemandThroughput",
    Object(&[has("MaxReadRequestUnits", Number), has("MaxWriteRequestUnits", Number)]),
    CAPACITY,
);

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "AWS::DynamoDB::Table",
        properties: &[
            has("TableName", Text),
            has(
                "AttributeDefinitions",
                List(&Object(&[has("AttributeName", Text).required(), has("AttributeType", Text).required()])),
            ),
            has("KeySchema", KEY_SCHEMA).required(),
            has(
                "GlobalSecondaryIndexes",
                List(&Object(&[
                    has("IndexName", Text).required(),
                    has("KeySchema", KEY_SCHEMA).required(),
                    has("Projection", PROJECTION).required(),
                    THROUGHPUT,
                    ON_DEMAND,
                ])),
            ),
            has(
                "LocalSecondaryIndexes",
                List(&Object(&[
                    has("IndexName", Text).required(),
                    has("KeySchema", KEY_SCHEMA).required(),
                    has("Projection", PROJECTION).required(),
                ])),
            ),
            has("TimeToLiveSpecification", Object(&[has("AttributeName", Text), has("Enabled", Flag).required()])),
            has("BillingMode", Text),
            THROUGHPUT,
            ON_DEMAND,
            idle(
                "PointInTimeRecoverySpecification",
                Object(&[has("PointInTimeRecoveryEnabled", Flag), has("RecoveryPeriodInDays", Number)]),
                "the table lives as long as the process",
            ),
            idle(
                "SSESpecification",
                Object(&[has("SSEEnabled", Flag).required(), has("SSEType", Text), has("KMSMasterKeyId", Text)]),
                AT_REST,
            ),
            idle("DeletionProtectionEnabled", Flag, "nothing deletes a table here"),
            idle("TableClass", Text, "a matter of price"),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "TableName", 255);
            let arn = naming.arn("dynamodb", &format!("table/{name}"));
            attributes(name, [("Arn", arn)])
        },
    },
    Kind {
        name: "AWS::KMS::Key",
        properties: &[
            has("Description", Text),
            has("Enabled", Flag),
            has("KeySpec", Text),
            has("KeyUsage", Text),
            idle("KeyPolicy", Json, POLICY),
            idle("EnableKeyRotation", Flag, "the key lives as long as the process"),
            idle("RotationPeriodInDays", Number, "the key lives as long as the process"),
            idle("PendingWindowInDays", Number, "nothing deletes a key here"),
            TAGS,
        ],
        attributes: |naming, _| {
            let id = naming.uuid();
            let arn = naming.arn("kms", &format!("key/{id}"));
            attributes(id.clone(), [("Arn", arn), ("KeyId", id)])
        },
    },
    Kind {
        name: "AWS::KMS::Alias",
        properties: &[has("AliasName", Text).required(), has("TargetKeyId", Text).required()],
        attributes: |_, properties| attributes(text(properties, "AliasName"), []),
    },
    Kind {
        name: "AWS::S3::Bucket",
        properties: &[
            has("BucketName", Text),
            has("VersioningConfiguration", Object(&[has("Status", Text).required()])),
            idle(
                "BucketEncryption",
                Object(&[has(
                    "ServerSideEncryptionConfiguration",
                    List(&Object(&[
                        has("BucketKeyEnabled", Flag),
                        has(
                            "ServerSideEncryptionByDefault",
                            Object(&[has("SSEAlgorithm", Text).required(), has("KMSMasterKeyID", Text)]),
                        ),
                    ])),
                )
                .required()]),
                AT_REST,
            ),
            idle(
                "OwnershipControls",
                Object(&[has("Rules", List(&Object(&[has("ObjectOwnership", Text)]))).required()]),
                "there is one owner",
            ),
            idle(
                "PublicAccessBlockConfiguration",
                Object(&[
                    has("BlockPublicAcls", Flag),
                    has("BlockPublicPolicy", Flag),
                    has("IgnorePublicAcls", Flag),
                    has("RestrictPublicBuckets", Flag),
                ]),
                "nothing is public on loopback",
            ),
            idle("LifecycleConfiguration", Json, "the bucket does not live for days"),
            idle(
                "LoggingConfiguration",
                Object(&[has("DestinationBucketName", Text), has("LogFilePrefix", Text)]),
                "access is shown by the trace",
            ),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = match properties.get("BucketName") {
                Some(_) => naming.name(properties, "BucketName", 63),
                None => naming.name(properties, "", 63).to_lowercase(),
            };
            let arn = format!("arn:{}:s3:::{name}", naming.partition);
            attributes(
                name.clone(),
                [
                    ("Arn", arn),
                    ("DomainName", format!("{name}.s3.amazonaws.com")),
                    ("RegionalDomainName", format!("{name}.s3.{}.amazonaws.com", naming.region)),
                ],
            )
        },
    },
    Kind {
        name: "AWS::S3::BucketPolicy",
        properties: &[has("Bucket", Text).required(), idle("PolicyDocument", Json, POLICY).required()],
        attributes: |_, properties| attributes(text(properties, "Bucket"), []),
    },
    Kind {
        name: "AWS::SQS::Queue",
        properties: &[
            has("QueueName", Text),
            has("VisibilityTimeout", Number),
            has("MessageRetentionPeriod", Number),
            has("DelaySeconds", Number),
            has("ReceiveMessageWaitTimeSeconds", Number),
            has("MaximumMessageSize", Number),
            has(
                "RedrivePolicy",
                Object(&[has("deadLetterTargetArn", Text).required(), has("maxReceiveCount", Number).required()]),
            ),
            idle(
                "RedriveAllowPolicy",
                Object(&[has("redrivePermission", Text), has("sourceQueueArns", List(&Text))]),
                POLICY,
            ),
            idle("SqsManagedSseEnabled", Flag, AT_REST),
            idle("KmsMasterKeyId", Text, AT_REST),
            idle("KmsDataKeyReusePeriodSeconds", Number, AT_REST),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "QueueName", 80);
            let url = format!("{}/{}/{name}", naming.endpoint, naming.account);
            let arn = naming.arn("sqs", &name);
            attributes(url.clone(), [("Arn", arn), ("QueueName", name), ("QueueUrl", url)])
        },
    },
    Kind {
        name: "AWS::SQS::QueuePolicy",
        properties: &[has("Queues", List(&Text)).required(), idle("PolicyDocument", Json, POLICY).required()],
        attributes: |naming, _| attributes(format!("{}-{}", naming.stack, naming.logical), [("Id", naming.uuid())]),
    },
    Kind {
        name: "AWS::SNS::Topic",
        properties: &[
            has("TopicName", Text),
            has("DisplayName", Text),
            has("Subscription", List(&Object(&[has("Protocol", Text).required(), has("Endpoint", Text).required()]))),
            has("FifoTopic", Flag),
            idle("KmsMasterKeyId", Text, AT_REST),
            idle("SignatureVersion", Text, "messages are not signed here"),
            idle("TracingConfig", Text, "there is no X-Ray here; the cloud's own trace shows calls"),
            idle("DataProtectionPolicy", Json, POLICY),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "TopicName", 256);
            let arn = naming.arn("sns", &name);
            attributes(arn.clone(), [("TopicArn", arn), ("TopicName", name)])
        },
    },
    Kind {
        name: "AWS::SNS::Subscription",
        properties: &[
            has("TopicArn", Text).required(),
            has("Protocol", Text).required(),
            has("Endpoint", Text).required(),
            has("RawMessageDelivery", Flag),
            has("FilterPolicy", Json),
            has("FilterPolicyScope", Text),
            has("RedrivePolicy", Json),
            has("Region", Text),
            idle("DeliveryPolicy", Json, "it is about tries over HTTP"),
        ],
        attributes: |naming, properties| {
            let arn = format!("{}:{}", text(properties, "TopicArn"), naming.uuid());
            attributes(arn.clone(), [("Arn", arn)])
        },
    },
    Kind {
        name: "AWS::SNS::TopicPolicy",
        properties: &[has("Topics", List(&Text)).required(), idle("PolicyDocument", Json, POLICY).required()],
        attributes: |naming, _| attributes(format!("{}-{}", naming.stack, naming.logical), [("Id", naming.uuid())]),
    },
    Kind {
        name: "AWS::Logs::LogGroup",
        properties: &[
            has("LogGroupName", Text),
            idle("RetentionInDays", Number, "logs live as long as their folder"),
            idle("KmsKeyId", Text, AT_REST),
            idle("LogGroupClass", Text, "a matter of price"),
            TAGS,
        ],
        attributes: |naming, properties| {
            let name = naming.name(properties, "LogGroupName", 512);
            let arn = naming.arn("logs", &format!("log-group:{name}:*"));
            attributes(name, [("Arn", arn)])
        },
    },
];
