//! Services that are scripted: what goes to them and what a state sees of their answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Mutex;

use super::*;
use crate::identity::Identity;
use crate::trace::Trace;

const ROLE: &str = "arn:aws:iam::000000000000:role/machine";

/// Answers everything the same way and keeps what it was asked.
struct Scripted {
    answer: Result<Value, ApiError>,
    asked: Mutex<Vec<(String, String, Value)>>,
}

#[async_trait]
impl Service for Scripted {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        self.asked.lock().unwrap().push((operation.to_owned(), caller.arn.clone(), body));
        self.answer.clone()
    }
}

/// Makes one call of a scripted service: what it was asked, and what the state sees.
async fn call(
    service: &'static str,
    resource: &str,
    request: Value,
    answer: Result<Value, ApiError>,
) -> (Option<(String, String, Value)>, Result<Value, TaskFailure>) {
    let folder = tempfile::tempdir().unwrap();
    let lambda = Lambda::start(crate::lambda::Config {
        region: "us-east-1".into(),
        endpoint: "http://127.0.0.1:1".into(),
        command: Vec::new(),
        logs: folder.path().join("logs"),
        identity: Identity::new(),
        trace: Trace::default(),
    });
    let buckets = Buckets::new(folder.path().join("buckets"), "us-east-1").unwrap();
    let tasks = Tasks::new(lambda.unwrap(), buckets);
    let scripted = Arc::new(Scripted { answer, asked: Mutex::default() });
    let services = BTreeMap::from([(service, Arc::clone(&scripted) as Arc<dyn Service>)]);
    tasks.connect(&services);
    let resource = TaskResource::parse(&format!("arn:aws:states:::{resource}")).unwrap();
    let result = tasks.run(ROLE, &resource, request).await;
    let asked = scripted.asked.lock().unwrap().pop();
    (asked, result)
}

#[tokio::test]
async fn the_data_api_is_called_as_the_machine_s_role_and_answers_in_upper_camel_case() {
    let request = json!({ "Id": "s-1" });
    let answer = json!({
        "Id": "s-1", "CreatedAt": 1_700_000_000.25, "UpdatedAt": 1_700_000_001,
        "ColumnMetadata": [{ "name": "n", "typeName": "int4" }],
        "Records": [[{ "longValue": 7 }, { "isNull": true }, { "stringValue": "a" }]],
    });
    let (asked, seen) =
        call("redshift-data", "aws-sdk:redshiftdata:getStatementResult", request.clone(), Ok(answer)).await;
    let caller = "arn:aws:sts::000000000000:assumed-role/machine/StepFunctions";
    assert_eq!(asked, Some(("GetStatementResult".into(), caller.into(), request)));
    assert_eq!(
        seen.unwrap(),
        json!({
            "Id": "s-1", "CreatedAt": "2023-11-14T22:13:20.250Z", "UpdatedAt": "2023-11-14T22:13:21Z",
            "ColumnMetadata": [{ "Name": "n", "TypeName": "int4" }],
            "Records": [[{ "LongValue": 7 }, { "IsNull": true }, { "StringValue": "a" }]],
        })
    );
    let error = ApiError::new(400, "ResourceNotFoundException", "Query does not exist.");
    let (_, seen) = call("redshift-data", "aws-sdk:redshiftdata:describeStatement", json!({}), Err(error)).await;
    let failure = seen.unwrap_err();
    assert_eq!(failure.error, "RedshiftData.ResourceNotFoundException");
    let cause = failure.cause.unwrap();
    assert!(
        cause.starts_with("Query does not exist. (Service: RedshiftData, Status Code: 400, Request ID: "),
        "{cause}"
    );
    assert!(cause.ends_with(") (SDK Attempt Count: 1)"), "{cause}");
}

#[tokio::test]
async fn a_topic_gets_texts_and_its_refusals_are_the_older_sdk_s() {
    let request = json!({ "TopicArn": "t", "Message": { "a": 1 } });
    let answer = Ok(json!({ "MessageId": "m-1" }));
    let (asked, seen) = call("sns", "sns:publish.waitForTaskToken", request.clone(), answer).await;
    assert_eq!(asked.unwrap().2, json!({ "TopicArn": "t", "Message": "{\"a\":1}" }));
    let seen = seen.unwrap();
    assert_eq!((&seen["MessageId"], &seen["SdkHttpMetadata"]["HttpStatusCode"]), (&json!("m-1"), &json!(200)));
    for (code, status, error) in [
        ("InvalidParameter", 400, "SNS.InvalidParameterException"),
        ("NotFound", 404, "SNS.NotFoundException"),
        ("Strange", 500, "SNS.AmazonSNSException"),
    ] {
        let refusal = ApiError::new(status, code, "no");
        let (_, seen) = call("sns", "sns:publish", request.clone(), Err(refusal)).await;
        let failure = seen.unwrap_err();
        assert_eq!(failure.error, error);
        let start = format!("no (Service: AmazonSNS; Status Code: {status}; Error Code: {code}; Request ID: ");
        assert!(failure.cause.unwrap().starts_with(&start));
    }
    let (_, seen) = call("sns", "aws-sdk:sns:publish", request, Err(ApiError::new(404, "NotFound", "no"))).await;
    assert_eq!(seen.unwrap_err().error, "Sns.NotFoundException");
}

#[tokio::test]
async fn bytes_and_dates_go_out_as_the_wire_has_them() {
    let request = json!({ "KeyId": "k", "Plaintext": { "a": 1 } });
    let (asked, _) = call("kms", "aws-sdk:kms:encrypt", request, Ok(json!({}))).await;
    assert_eq!(asked.unwrap().2, json!({ "KeyId": "k", "Plaintext": "eyJhIjoxfQ==" }));
    let entry = json!({ "Source": "s", "DetailType": "d", "Detail": [1], "Time": "2026-01-02T03:04:05Z" });
    let answer = Ok(json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e" }] }));
    let (asked, seen) = call("events", "aws-sdk:eventbridge:putEvents", json!({ "Entries": [entry] }), answer).await;
    let sent = json!({ "Source": "s", "DetailType": "d", "Detail": "[1]", "Time": 1_767_323_045 });
    assert_eq!(asked.unwrap().2, json!({ "Entries": [sent] }));
    assert_eq!(seen.unwrap()["Entries"][0]["EventId"], "e");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named_and_nothing_catches_it() {
    for resource in
        ["sns:publish", "aws-sdk:sns:publish", "aws-sdk:ec2:runInstances", "ecs:runTask.sync", "sqs:sendMessageBatch"]
    {
        let (asked, seen) = call("none", resource, json!({}), Ok(json!({}))).await;
        let failure = seen.unwrap_err();
        assert_eq!((asked, failure.error.as_str()), (None, "States.Runtime"), "{resource}");
        assert!(failure.cause.unwrap().contains("is not implemented by the local cloud"), "{resource}");
    }
}
