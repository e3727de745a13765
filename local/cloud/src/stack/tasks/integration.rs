//! How each service looks from a state: its names in resources and errors, and which members of its calls are texts,
//! bytes and dates.
//!
//! Optimised integrations (`dynamodb:putItem`) still speak like the first version of AWS's Java SDK, `aws-sdk:`
//! integrations like the second one; both are as recorded from AWS.

use uuid::Uuid;

use crate::ApiError;
use crate::stepfunctions::TaskFailure;

/// One service as states know it.
#[derive(Debug)]
pub(super) struct Integration {
    /// In `arn:aws:states:::aws-sdk:<name>:…`.
    pub sdk: &'static str,
    /// In `arn:aws:states:::<name>:…`, with the actions that there are; empty where there is no such integration.
    pub optimised: (&'static str, &'static [&'static str]),
    /// Its name among the services of the local cloud.
    pub service: &'static str,
    /// In front of the errors of `aws-sdk:` calls, and behind `Service: ` in their causes.
    pub prefix: &'static str,
    /// The same of optimised calls: in front of errors, and in causes.
    pub older: (&'static str, &'static str),
    /// Errors in the service's model. All others are the service's general exception.
    pub modelled: &'static [&'static str],
    /// Members that travel as seconds since 1970 and that states see as ISO 8601 texts.
    pub dates: &'static [&'static str],
    /// Members of requests that are bytes: a state's value goes in as JSON text, in base64 on the wire.
    pub bytes: &'static [&'static str],
    /// Members of the answer are spelled in lower camel case on the wire.
    pub lower_case: bool,
}

/// Members that are texts. A state may give any value for them, which goes out as JSON text.
pub(super) const TEXTS: [&str; 7] =
    ["MessageBody", "Message", "Detail", "EventPattern", "Event", "PolicyDocument", "Policy"];

const NONE: Integration = Integration {
    sdk: "",
    optimised: ("", &[]),
    service: "",
    prefix: "",
    older: ("", ""),
    modelled: &[],
    dates: &[],
    bytes: &[],
    lower_case: false,
};

/// Services that take JSON. S3 and Lambda have modules of their own, Step Functions is in the interpreter.
pub(super) static SERVICES: [Integration; 6] = [
    Integration {
        sdk: "dynamodb",
        optimised: ("dynamodb", &["getItem", "putItem", "updateItem", "deleteItem"]),
        service: "dynamodb",
        prefix: "DynamoDb",
        older: ("DynamoDB", "AmazonDynamoDBv2"),
        modelled: &[
            "ConditionalCheckFailedException",
            "DuplicateItemException",
            "IdempotentParameterMismatchException",
            "InternalServerError",
            "ItemCollectionSizeLimitExceededException",
            "LimitExceededException",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "ResourceInUseException",
            "ResourceNotFoundException",
            "TableNotFoundException",
            "TransactionCanceledException",
            "TransactionConflictException",
            "TransactionInProgressException",
        ],
        dates: &[
            "CreationDateTime",
            "LastUpdateToPayPerRequestDateTime",
            "LastIncreaseDateTime",
            "LastDecreaseDateTime",
        ],
        ..NONE
    },
    Integration {
        sdk: "sqs",
        optimised: ("sqs", &["sendMessage"]),
        service: "sqs",
        prefix: "Sqs",
        older: ("SQS", "AmazonSQS"),
        modelled: &[
            "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong",
            "EmptyBatchRequest",
            "InvalidAttributeName",
            "InvalidAttributeValue",
            "InvalidBatchEntryId",
            "InvalidIdFormat",
            "InvalidMessageContents",
            "MessageNotInflight",
            "OverLimit",
            "PurgeQueueInProgress",
            "QueueDeletedRecently",
            "QueueDoesNotExist",
            "QueueNameExists",
            "ReceiptHandleIsInvalid",
            "RequestThrottled",
            "ResourceNotFoundException",
            "TooManyEntriesInBatchRequest",
            "UnsupportedOperation",
        ],
        ..NONE
    },
    Integration {
        sdk: "sns",
        optimised: ("sns", &["publish"]),
        service: "sns",
        prefix: "Sns",
        older: ("SNS", "AmazonSNS"),
        modelled: &[
            "AuthorizationError",
            "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong",
            "EmptyBatchRequest",
            "EndpointDisabled",
            "FilterPolicyLimitExceeded",
            "InternalError",
            "InvalidBatchEntryId",
            "InvalidParameter",
            "InvalidParameterValue",
            "NotFound",
            "PlatformApplicationDisabled",
            "ResourceNotFound",
            "SubscriptionLimitExceeded",
            "Throttled",
            "TooManyEntriesInBatchRequest",
            "TopicLimitExceeded",
            "ValidationException",
        ],
        ..NONE
    },
    Integration {
        sdk: "eventbridge",
        optimised: ("events", &["putEvents"]),
        service: "events",
        prefix: "EventBridge",
        older: ("EventBridge", "AmazonEventBridge"),
        modelled: &[
            "InternalException",
            "InvalidEventPatternException",
            "LimitExceededException",
            "ResourceNotFoundException",
        ],
        dates: &["CreationTime", "Time"],
        ..NONE
    },
    Integration {
        sdk: "kms",
        service: "kms",
        prefix: "Kms",
        modelled: &[
            "AlreadyExistsException",
            "DependencyTimeoutException",
            "DisabledException",
            "IncorrectKeyException",
            "InvalidAliasNameException",
            "InvalidArnException",
            "InvalidCiphertextException",
            "InvalidKeyUsageException",
            "KMSInternalException",
            "KMSInvalidStateException",
            "KeyUnavailableException",
            "LimitExceededException",
            "NotFoundException",
        ],
        dates: &["CreationDate", "DeletionDate", "ValidTo", "LastUpdatedDate"],
        bytes: &["Plaintext", "CiphertextBlob", "Message"],
        ..NONE
    },
    Integration {
        sdk: "redshiftdata",
        service: "redshift-data",
        prefix: "RedshiftData",
        modelled: &[
            "ActiveSessionsExceededException",
            "ActiveStatementsExceededException",
            "BatchExecuteStatementException",
            "DatabaseConnectionException",
            "ExecuteStatementException",
            "InternalServerException",
            "QueryTimeoutException",
            "ResourceNotFoundException",
            "ValidationException",
        ],
        dates: &["CreatedAt", "UpdatedAt"],
        lower_case: true,
        ..NONE
    },
];

/// The name of an error class in Java: always an exception.
fn exception(code: &str) -> String {
    if code.ends_with("Exception") { code.to_owned() } else { format!("{code}Exception") }
}

/// An error of an `aws-sdk:` call. `modelled` are the errors that have a class of their own.
pub(super) fn sdk_failure(prefix: &str, modelled: &[&str], error: &ApiError) -> TaskFailure {
    // S3 alone has a second identifier.
    let more =
        if prefix == "S3" { format!(", Extended Request ID: {}", Uuid::new_v4().simple()) } else { String::new() };
    let name =
        if modelled.contains(&error.code.as_str()) { exception(&error.code) } else { format!("{prefix}Exception") };
    TaskFailure {
        error: format!("{prefix}.{name}"),
        cause: Some(format!(
            "{} (Service: {prefix}, Status Code: {}, Request ID: {}{more}) (SDK Attempt Count: 1)",
            error.message,
            error.status,
            Uuid::new_v4()
        )),
    }
}

/// An error of an optimised call. `code` is the error's code on the wire.
pub(super) fn older_failure(older: (&str, &str), modelled: &[&str], error: &ApiError, code: &str) -> TaskFailure {
    let (prefix, service) = older;
    let name = if modelled.contains(&error.code.as_str()) {
        exception(&error.code)
    } else {
        // Recorded: the general exception of DynamoDB does not carry the version of its API.
        format!("{}Exception", service.trim_end_matches("v2"))
    };
    TaskFailure {
        error: format!("{prefix}.{name}"),
        cause: Some(format!(
            "{} (Service: {service}; Status Code: {}; Error Code: {code}; Request ID: {}; Proxy: null)",
            error.message,
            error.status,
            Uuid::new_v4()
        )),
    }
}

/// What exists at AWS and not here. `States.Runtime`, because nothing must catch it.
pub(super) fn not_here(what: &str) -> TaskFailure {
    TaskFailure { error: "States.Runtime".into(), cause: Some(format!("{what} is not implemented by the local cloud")) }
}
