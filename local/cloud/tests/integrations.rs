//! What state machines call, from the definition to the service and back: optimised and `aws-sdk:` integrations, and
//! distributed Maps over S3.
//!
//! The function is this very test program, started again with the name of one test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use cloud::{Cloud, Options};
use serde_json::{Value, json};

async fn start() -> Cloud {
    let this: OsString = std::env::current_exe().unwrap().into();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/integrated/root.yaml");
    let command = vec![this, "plays_a_function".into(), "--exact".into(), "--nocapture".into()];
    let mut options = Options::new(root, command);
    options.stack_name = "integrated".into();
    Cloud::start(options).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a machine of one state to its end: its output, or error and cause.
async fn run(cloud: &Cloud, state: Value, input: Value) -> Result<Value, (String, String)> {
    let ended = ended(cloud, state, input).await;
    if ended["status"] == "SUCCEEDED" {
        return Ok(serde_json::from_str(ended["output"].as_str().unwrap()).unwrap());
    }
    let text = |name: &str| ended[name].as_str().unwrap_or_default().to_owned();
    Err((text("error"), text("cause")))
}

async fn ended(cloud: &Cloud, mut state: Value, input: Value) -> Value {
    state["End"] = json!(true);
    let definition = json!({ "StartAt": "Only", "States": { "Only": state } }).to_string();
    // Every definition has a machine of its own.
    let name = definition.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let body = json!({ "name": format!("m{name}"), "definition": definition, "roleArn": cloud.outputs()["Role"] });
    let created = cloud.call("states", "CreateStateMachine", body).await.unwrap();
    let execution = cloud.start_execution(created["stateMachineArn"].as_str().unwrap(), &input).await.unwrap();
    cloud.wait(&execution).await.unwrap()
}

fn task(resource: &str, parameters: Value) -> Value {
    json!({ "Type": "Task", "Resource": format!("arn:aws:states:::{resource}"), "Parameters": parameters })
}

async fn received(cloud: &Cloud) -> Value {
    let body = json!({ "QueueUrl": cloud.outputs()["Queue"], "WaitTimeSeconds": 20 });
    let answer = cloud.call("sqs", "ReceiveMessage", body).await.unwrap();
    let message = &answer["Messages"][0];
    let delete = json!({ "QueueUrl": cloud.outputs()["Queue"], "ReceiptHandle": message["ReceiptHandle"] });
    cloud.call("sqs", "DeleteMessage", delete).await.unwrap();
    serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_go_into_a_table_and_refusals_have_the_names_of_either_sdk() {
    let cloud = start().await;
    let item = json!({ "TableName": "rows", "Item": { "row": { "S": "a" }, "n": { "N": "1" } } });
    let put = run(&cloud, task("dynamodb:putItem", item.clone()), json!({})).await.unwrap();
    assert_eq!(put["SdkHttpMetadata"]["HttpStatusCode"], 200, "{put}");
    assert!(put["SdkResponseMetadata"]["RequestId"].is_string(), "{put}");
    let key = json!({ "TableName": "rows", "Key": { "row": { "S": "a" } } });
    let got = run(&cloud, task("dynamodb:getItem", key.clone()), json!({})).await.unwrap();
    assert_eq!(got["Item"], item["Item"]);
    // The SDK's form has nothing but the answer.
    let got = run(&cloud, task("aws-sdk:dynamodb:getItem", key.clone()), json!({})).await.unwrap();
    assert_eq!(got, json!({ "Item": item["Item"] }));
    let mut update = key.clone();
    update["UpdateExpression"] = json!("SET n = n + :one");
    update["ExpressionAttributeValues"] = json!({ ":one": { "N": "1" } });
    update["ReturnValues"] = json!("UPDATED_NEW");
    let updated = run(&cloud, task("dynamodb:updateItem", update), json!({})).await.unwrap();
    assert_eq!(updated["Attributes"], json!({ "n": { "N": "2" } }));
    let query = json!({
        "TableName": "rows", "KeyConditionExpression": "#r = :r", "ExpressionAttributeNames": { "#r": "row" },
        "ExpressionAttributeValues": { ":r": { "S": "a" } },
    });
    let found = run(&cloud, task("aws-sdk:dynamodb:query", query), json!({})).await.unwrap();
    assert_eq!((&found["Count"], &found["Items"][0]["n"]), (&json!(1), &json!({ "N": "2" })));

    let mut again = item.clone();
    again["ConditionExpression"] = json!("attribute_not_exists(#r)");
    again["ExpressionAttributeNames"] = json!({ "#r": "row" });
    let nowhere = json!({ "TableName": "nowhere", "Key": { "row": { "S": "a" } } });
    let cases = [
        ("dynamodb:putItem", again.clone(), "DynamoDB.ConditionalCheckFailedException"),
        ("aws-sdk:dynamodb:putItem", again, "DynamoDb.ConditionalCheckFailedException"),
        ("dynamodb:getItem", nowhere.clone(), "DynamoDB.ResourceNotFoundException"),
        ("aws-sdk:dynamodb:getItem", nowhere, "DynamoDb.ResourceNotFoundException"),
        ("dynamodb:getItem", json!({ "TableName": "rows", "Key": {} }), "DynamoDB.AmazonDynamoDBException"),
        ("aws-sdk:dynamodb:getItem", json!({ "TableName": "rows", "Key": {} }), "DynamoDb.DynamoDbException"),
    ];
    for (resource, parameters, name) in cases {
        let (error, cause) = run(&cloud, task(resource, parameters), json!({})).await.unwrap_err();
        assert_eq!(error, name, "{cause}");
        let service = if resource.starts_with("aws-sdk") {
            "(Service: DynamoDb, Status Code: 400, Request ID: "
        } else {
            "(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: "
        };
        assert!(cause.contains(service), "{cause}");
    }
    run(&cloud, task("dynamodb:deleteItem", key.clone()), json!({})).await.unwrap();
    let gone = run(&cloud, task("aws-sdk:dynamodb:getItem", key), json!({})).await.unwrap();
    assert_eq!(gone.get("Item"), None);
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_events_arrive_and_a_token_comes_back_through_the_queue() {
    let cloud = start().await;
    let queue = &cloud.outputs()["Queue"];
    let send = json!({ "QueueUrl": queue, "MessageBody.$": "$" });
    let sent = run(&cloud, task("sqs:sendMessage", send.clone()), json!({ "a": [1] })).await.unwrap();
    assert!(sent["MessageId"].is_string() && sent["MD5OfMessageBody"].is_string(), "{sent}");
    assert_eq!(received(&cloud).await, json!({ "a": [1] }));
    let sent = run(&cloud, task("aws-sdk:sqs:sendMessage", send), json!({ "b": 2 })).await.unwrap();
    assert!(sent["Md5OfMessageBody"].is_string() && sent.get("SdkHttpMetadata").is_none(), "{sent}");
    assert_eq!(received(&cloud).await, json!({ "b": 2 }));
    let empty = task("sqs:sendMessage", json!({ "QueueUrl": queue, "MessageBody": null }));
    let (error, cause) = run(&cloud, empty, json!({})).await.unwrap_err();
    assert_eq!(error, "SQS.AmazonSQSException");
    assert!(cause.starts_with("The request must contain the parameter MessageBody. (Service: AmazonSQS; "), "{cause}");
    let nowhere = json!({ "QueueUrl": queue.replace("work", "none"), "MessageBody": "m" });
    let (error, _) = run(&cloud, task("sqs:sendMessage", nowhere.clone()), json!({})).await.unwrap_err();
    assert_eq!(error, "SQS.QueueDoesNotExistException");
    let (error, _) = run(&cloud, task("aws-sdk:sqs:sendMessage", nowhere), json!({})).await.unwrap_err();
    assert_eq!(error, "Sqs.QueueDoesNotExistException");

    let waiting = task(
        "sqs:sendMessage.waitForTaskToken",
        json!({ "QueueUrl": queue, "MessageBody": { "Token.$": "$$.Task.Token" } }),
    );
    let answers = async {
        let token = received(&cloud).await["Token"].clone();
        let success = json!({ "taskToken": token, "output": "{\"done\":true}" });
        cloud.call("states", "SendTaskSuccess", success).await.unwrap();
    };
    let (ended, ()) = tokio::join!(run(&cloud, waiting, json!({})), answers);
    assert_eq!(ended, Ok(json!({ "done": true })));

    let entry = json!({ "Source": "shop", "DetailType": "sold", "Detail": { "what.$": "$.what" } });
    let ended = ended_with_arns(&cloud, entry).await;
    let event = received(&cloud).await;
    assert_eq!((&event["detail"], &event["detail-type"]), (&json!({ "what": "tea" }), &json!("sold")));
    assert_eq!(event["resources"], json!([ended["executionArn"], ended["stateMachineArn"]]));
    let bad = json!({ "Entries": [{ "Detail": "\"text\"", "DetailType": "d", "Source": "shop" }] });
    let (error, cause) = run(&cloud, task("events:putEvents", bad), json!({})).await.unwrap_err();
    assert_eq!(error, "EventBridge.FailedEntry");
    let cause: Value = serde_json::from_str(&cause).unwrap();
    assert_eq!((&cause["FailedEntryCount"], &cause["Entries"][0]["ErrorCode"]), (&json!(1), &json!("MalformedDetail")));
    cloud.shutdown().await;
}

async fn ended_with_arns(cloud: &Cloud, entry: Value) -> Value {
    let state = task("events:putEvents", json!({ "Entries": [entry] }));
    let ended = ended(cloud, state, json!({ "what": "tea" })).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_machines_answer_the_sdk_s_calls() {
    let cloud = start().await;
    let key = run(&cloud, task("aws-sdk:kms:describeKey", json!({ "KeyId": "alias/integrated" })), json!({})).await;
    let key = key.unwrap();
    let created = key["KeyMetadata"]["CreationDate"].as_str().unwrap_or_else(|| panic!("{key}"));
    assert!(created.ends_with('Z') && created.contains('T'), "{created}");
    let encrypt = json!({ "KeyId": "alias/integrated", "Plaintext.$": "$.secret" });
    let sealed = run(&cloud, task("aws-sdk:kms:encrypt", encrypt), json!({ "secret": "s" })).await.unwrap();
    // A state's value is encrypted as its JSON text.
    let opened = json!({ "CiphertextBlob": sealed["CiphertextBlob"] });
    let opened = cloud.call("kms", "Decrypt", opened).await.unwrap();
    assert_eq!(opened["Plaintext"], "InMi", "\"s\" with its quotes in base64");
    let none = task("aws-sdk:kms:describeKey", json!({ "KeyId": "alias/none" }));
    assert_eq!(run(&cloud, none, json!({})).await.unwrap_err().0, "Kms.NotFoundException");

    let live = cloud.outputs()["Live"].clone();
    let nested = task("states:startExecution.sync:2", json!({ "StateMachineArn": live, "Input.$": "$" }));
    let nested = run(&cloud, nested, json!({ "a": 1 })).await.unwrap();
    assert_eq!((&nested["Output"], &nested["Status"]), (&json!({ "a": 1 }), &json!("SUCCEEDED")));
    let described = task("aws-sdk:sfn:describeExecution", json!({ "ExecutionArn": nested["ExecutionArn"] }));
    let described = run(&cloud, described, json!({})).await.unwrap();
    assert_eq!(described["StateMachineAliasArn"], *live);
    assert_eq!(described["StateMachineVersionArn"], cloud.outputs()["Version"]);
    let started = described["StartDate"].as_str().unwrap_or_else(|| panic!("{described}"));
    assert!(started.ends_with('Z'), "{started}");
    let mut start = json!({ "StateMachineArn": live, "Name": "once", "Input": { "b": 2 } });
    run(&cloud, task("aws-sdk:sfn:startExecution", start.clone()), json!({})).await.unwrap();
    start["Input"] = json!({ "b": 3 });
    let (error, cause) =
        run(&cloud, task("aws-sdk:sfn:startExecution", start), json!({ "again": 1 })).await.unwrap_err();
    assert_eq!(error, "Sfn.ExecutionAlreadyExistsException", "{cause}");
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_answer_in_all_three_forms() {
    let cloud = start().await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:echo";
    let by_arn = json!({ "Type": "Task", "Resource": arn });
    let invoke = task("lambda:invoke", json!({ "FunctionName": "echo", "Payload.$": "$", "LogType": "Tail" }));
    let sdk = task("aws-sdk:lambda:invoke", json!({ "FunctionName": "echo", "Payload.$": "$" }));
    let input = json!({ "say": "hello" });
    assert_eq!(run(&cloud, by_arn.clone(), input.clone()).await, Ok(input.clone()));
    let answer = run(&cloud, invoke.clone(), input.clone()).await.unwrap();
    assert_eq!((&answer["Payload"], &answer["StatusCode"]), (&input, &json!(200)));
    assert!(answer["LogResult"].is_string(), "{answer}");
    let answer = run(&cloud, sdk.clone(), input.clone()).await.unwrap();
    assert_eq!(answer, json!({ "ExecutedVersion": "$LATEST", "StatusCode": 200, "Payload": "{\"say\":\"hello\"}" }));

    // The error's text: as the function wrote it, written anew, or an answer like others.
    let input = json!({ "raise": "{\"errorMessage\": \"no\", \"errorType\": \"Colour.Wrong\"}" });
    let (error, cause) = run(&cloud, by_arn, input.clone()).await.unwrap_err();
    assert_eq!((error.as_str(), cause.as_str()), ("Colour.Wrong", input["raise"].as_str().unwrap()));
    let (error, cause) = run(&cloud, invoke, input.clone()).await.unwrap_err();
    assert_eq!(error, "Colour.Wrong");
    assert_eq!(cause, "{\"errorMessage\":\"no\",\"errorType\":\"Colour.Wrong\"}");
    let answer = run(&cloud, sdk, input.clone()).await.unwrap();
    assert_eq!((&answer["FunctionError"], &answer["Payload"]), (&json!("Unhandled"), &input["raise"]));

    let nowhere = task("lambda:invoke", json!({ "FunctionName": "none" }));
    let (error, cause) = run(&cloud, nowhere, json!({})).await.unwrap_err();
    assert_eq!(error, "Lambda.ResourceNotFoundException");
    let start = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:none:$LATEST \
                 (Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; Request ID: ";
    assert!(cause.starts_with(start), "{cause}");
    let found = task("aws-sdk:lambda:getFunction", json!({ "FunctionName": "echo" }));
    let found = run(&cloud, found, json!({})).await.unwrap();
    assert_eq!(found["Configuration"]["FunctionArn"], arn);
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_here_fails_by_name_and_is_not_caught() {
    let cloud = start().await;
    for (resource, named) in [
        ("aws-sdk:ec2:describeInstances", "aws-sdk:ec2:describeInstances"),
        ("glue:startJobRun.sync", "glue:startJobRun.sync"),
        ("dynamodb:query", "dynamodb:query"),
        ("aws-sdk:dynamodb:createBackup", "CreateBackup"),
        ("aws-sdk:redshiftdata:executeStatement", "there is no database"),
    ] {
        let mut state = task(resource, json!({}));
        state["Retry"] = json!([{ "ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1 }]);
        if named == "there is no database" {
            state["Retry"] = json!([]);
        }
        let (error, cause) = run(&cloud, state, json!({})).await.unwrap_err();
        assert!(cause.contains(named), "{error}: {cause}");
        let expected =
            if named == "there is no database" { "RedshiftData.ValidationException" } else { "States.Runtime" };
        assert_eq!(error, expected, "{cause}");
    }
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_pass_messages_on() {
    let cloud = start().await;
    let publish = json!({ "TopicArn": "arn:aws:sns:us-east-1:000000000000:news", "Message.$": "$" });
    let sent = run(&cloud, task("sns:publish", publish.clone()), json!({ "a": 1 })).await.unwrap();
    assert!(sent["MessageId"].is_string() && sent["SdkHttpMetadata"].is_object(), "{sent}");
    let notification = received(&cloud).await;
    assert_eq!((&notification["Message"], &notification["MessageId"]), (&json!("{\"a\":1}"), &sent["MessageId"]));
    run(&cloud, task("aws-sdk:sns:publish", publish), json!({ "b": 2 })).await.unwrap();
    assert_eq!(received(&cloud).await["Message"], "{\"b\":2}");
    let nowhere = json!({ "TopicArn": "arn:aws:sns:us-east-1:000000000000:none", "Message": "m" });
    let (error, cause) = run(&cloud, task("sns:publish", nowhere), json!({})).await.unwrap_err();
    assert_eq!(error, "SNS.NotFoundException");
    let start = "Topic does not exist (Service: AmazonSNS; Status Code: 404; Error Code: NotFound; Request ID: ";
    assert!(cause.starts_with(start), "{cause}");
    cloud.shutdown().await;
}

// ---- Distributed Maps.

/// A distributed Map whose children give what they get; those with `bad` fail.
fn map(reader: Value, more: Value) -> Value {
    let mut state = json!({
        "Type": "Map", "ItemReader": reader,
        "ItemProcessor": {
            "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" }, "StartAt": "Which",
            "States": {
                "Which": { "Type": "Choice", "Default": "Good", "Choices": [
                    { "Variable": "$.bad", "IsPresent": true, "Next": "Bad" },
                ] },
                "Good": { "Type": "Succeed" }, "Bad": { "Type": "Fail", "Error": "Bad", "Cause": "as asked" },
            },
        },
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    state
}

fn get(key: &str, config: Value) -> Value {
    json!({
        "Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": config,
        "Parameters": { "Bucket": "map-data", "Key": key },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_start_its_own_machine_runs_no_distributed_map() {
    let cloud = start().await;
    let mut state = map(json!({}), json!({}));
    state.as_object_mut().unwrap().remove("ItemReader");
    assert_eq!(run(&cloud, state.clone(), json!([1])).await, Ok(json!([1])));
    let mut role = cloud.model().find("Role").unwrap().clone();
    let statements = &mut role.properties["Policies"][0]["PolicyDocument"]["Statement"];
    let deny = json!({ "Effect": "Deny", "Action": "states:StartExecution", "Resource": "*" });
    statements.as_array_mut().unwrap().push(deny);
    cloud.authorizer().put(&role).unwrap();
    let (error, cause) = run(&cloud, state, json!([1])).await.unwrap_err();
    assert_eq!(error, "States.Permissions");
    let denied =
        "is not authorized to perform: states:StartExecution on resource: arn:aws:states:us-east-1:000000000000:";
    assert!(cause.contains(&format!("{denied}stateMachine:m")), "{cause}");
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maps_read_their_items_from_objects() {
    let cloud = start().await;
    let csv = "\u{feff}id,name\n1,\"a, b\"\n2\n3,c,extra\n";
    let objects = [
        ("list.json", "[{\"n\":1},{\"n\":2},{\"n\":3}]"),
        ("deep.json", "{\"in\": {\"it\": [1, 2]}}"),
        ("lines.jsonl", "{\"n\":1}\n\n{\"n\":2}\n"),
        ("rows.csv", csv),
        ("pipes.csv", "1|a\n2|b\n"),
        ("broken.json", "{"),
    ];
    for (key, body) in objects {
        cloud.put_object("map-data", key, body.as_bytes()).await.unwrap();
    }
    let rows = json!([{ "id": "1", "name": "a, b" }, { "id": "2", "name": "" }, { "id": "3", "name": "c" }]);
    let cases = [
        (get("list.json", json!({ "InputType": "JSON" })), json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }])),
        (get("list.json", json!({ "InputType": "JSON", "MaxItems": 2 })), json!([{ "n": 1 }, { "n": 2 }])),
        (get("list.json", json!({ "MaxItemsPath": "$.most" })), json!([{ "n": 1 }])),
        (get("deep.json", json!({ "InputType": "JSON", "ItemsPointer": "/in/it" })), json!([1, 2])),
        (get("lines.jsonl", json!({ "InputType": "JSONL" })), json!([{ "n": 1 }, { "n": 2 }])),
        (get("rows.csv", json!({ "InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW" })), rows),
        (
            get(
                "pipes.csv",
                json!({
                    "InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["x", "y"], "CSVDelimiter": "PIPE",
                }),
            ),
            json!([{ "x": "1", "y": "a" }, { "x": "2", "y": "b" }]),
        ),
    ];
    for (reader, expected) in cases {
        assert_eq!(run(&cloud, map(reader.clone(), json!({})), json!({ "most": 1 })).await, Ok(expected), "{reader}");
    }
    for (key, start) in [
        ("none.json", "The specified key does not exist. (Service: S3, Status Code: 404, "),
        ("broken.json", "Attempting to map over invalid JSON."),
        ("deep.json", "Attempting to map over non-iterable node."),
    ] {
        let (error, cause) = run(&cloud, map(get(key, json!({})), json!({})), json!({})).await.unwrap_err();
        assert_eq!(error, "States.ItemReaderFailed", "{cause}");
        assert!(cause.starts_with(start), "{cause}");
    }
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maps_go_over_listings_of_many_pages_in_batches() {
    let cloud = start().await;
    for number in 0..1_005 {
        cloud.put_object("map-data", &format!("in/{number:04}"), b"abc").await.unwrap();
    }
    cloud.put_object("map-data", "other", b"").await.unwrap();
    let list = json!({
        "Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": { "Bucket": "map-data", "Prefix": "in/" },
    });
    let items = run(&cloud, map(list.clone(), json!({ "MaxConcurrency": 7 })), json!({})).await.unwrap();
    let items = items.as_array().unwrap();
    assert_eq!((items.len(), &items[1_004]["Key"]), (1_005, &json!("in/1004")));
    let first = &items[0];
    assert_eq!((&first["Size"], &first["StorageClass"]), (&json!(3), &json!("STANDARD")), "{first}");
    assert!(first["Etag"].as_str().unwrap().starts_with('"') && first["LastModified"].is_u64(), "{first}");

    let batched = json!({
        "ItemSelector": { "key.$": "$$.Map.Item.Value.Key" },
        "ItemBatcher": { "MaxItemsPerBatch": 500, "BatchInput": { "who.$": "$.who" } },
    });
    let batches = run(&cloud, map(list, batched), json!({ "who": "me" })).await.unwrap();
    let sizes: Vec<usize> =
        batches.as_array().unwrap().iter().map(|batch| batch["Items"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [500, 500, 5]);
    assert_eq!(batches[2]["BatchInput"], json!({ "who": "me" }));
    assert_eq!(batches[2]["Items"][4], json!({ "key": "in/1004" }));
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maps_write_their_results_into_the_bucket_whether_they_succeed_or_not() {
    let cloud = start().await;
    let items = "[{\"n\":1},{\"bad\":true},{\"n\":2},{\"n\":3}]";
    cloud.put_object("map-data", "items.json", items.as_bytes()).await.unwrap();
    let reader = get("items.json", json!({ "InputType": "JSON" }));
    let writer = |prefix: &str, config: Value| {
        json!({
            "Resource": "arn:aws:states:::s3:putObject", "WriterConfig": config,
            "Parameters": { "Bucket": "map-data", "Prefix": prefix },
        })
    };
    let read = async |key: &Value| -> Value {
        let bytes = cloud.get_object("map-data", key.as_str().unwrap()).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let more = json!({ "ToleratedFailureCount": 1, "ResultWriter": writer("out", json!({})) });
    let output = run(&cloud, map(reader.clone(), more), json!({})).await.unwrap();
    let details = &output["ResultWriterDetails"];
    assert_eq!(details["Bucket"], "map-data");
    let manifest = read(&details["Key"]).await;
    assert_eq!((&manifest["MapRunArn"], &manifest["DestinationBucket"]), (&output["MapRunArn"], &json!("map-data")));
    let files = &manifest["ResultFiles"];
    assert_eq!((files["SUCCEEDED"].as_array().unwrap().len(), &files["PENDING"]), (1, &json!([])));
    let succeeded = read(&files["SUCCEEDED"][0]["Key"]).await;
    let outputs: Vec<&str> =
        succeeded.as_array().unwrap().iter().map(|record| record["Output"].as_str().unwrap()).collect();
    assert_eq!(outputs, ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
    let size = cloud.get_object("map-data", files["SUCCEEDED"][0]["Key"].as_str().unwrap()).await.unwrap().len();
    assert_eq!(files["SUCCEEDED"][0]["Size"], size);
    let failed = read(&files["FAILED"][0]["Key"]).await;
    assert_eq!((&failed[0]["Error"], &failed[0]["Cause"]), (&json!("Bad"), &json!("as asked")));
    let run_of = cloud.call("states", "DescribeMapRun", json!({ "mapRunArn": output["MapRunArn"] })).await.unwrap();
    assert_eq!((&run_of["status"], &run_of["itemCounts"]["resultsWritten"]), (&json!("SUCCEEDED"), &json!(4)));

    // More failures than tolerated: the state fails, and what there is is written all the same.
    let more = json!({ "MaxConcurrency": 1, "ResultWriter": writer("bad", json!({})) });
    let (error, _) = run(&cloud, map(reader.clone(), more), json!({})).await.unwrap_err();
    assert_eq!(error, "States.ExceedToleratedFailureThreshold");
    let kept = task("aws-sdk:s3:listObjectsV2", json!({ "Bucket": "map-data", "Prefix": "bad/" }));
    let kept = run(&cloud, kept, json!({})).await.unwrap();
    let keys: Vec<String> =
        kept["Contents"].as_array().unwrap().iter().map(|object| object["Key"].as_str().unwrap().to_owned()).collect();
    let names: Vec<&str> = keys.iter().map(|key| key.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["FAILED_0.json", "PENDING_0.json", "SUCCEEDED_0.json", "manifest.json"]);
    let pending = read(&json!(keys[1])).await;
    assert_eq!(pending.as_array().unwrap().len(), 2);

    // Without a bucket the results are only formed.
    let more = json!({
        "ToleratedFailureCount": 1, "ResultWriter": { "WriterConfig": { "Transformation": "COMPACT", "OutputType": "JSON" } },
    });
    let formed = run(&cloud, map(reader.clone(), more), json!({})).await.unwrap();
    assert_eq!(
        (&formed[0], &formed[1]["Status"], &formed[3]),
        (&json!({ "n": 1 }), &json!("FAILED"), &json!({ "n": 3 }))
    );

    let nowhere = json!({ "ResultWriter": {
        "Resource": "arn:aws:states:::s3:putObject", "Parameters": { "Bucket": "no-such-bucket", "Prefix": "p" },
    }, "ToleratedFailureCount": 1 });
    let (error, cause) = run(&cloud, map(reader, nowhere), json!({})).await.unwrap_err();
    assert_eq!(error, "States.ResultWriterFailed");
    assert!(cause.starts_with("The specified bucket does not exist (Service: S3, "), "{cause}");
    cloud.shutdown().await;
}

// ---- The function.

/// Not a test: what the function's process runs. Outside the host it has nothing to do.
#[test]
fn plays_a_function() {
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    loop {
        let (head, event) = http(&api, "GET", "/2018-06-01/runtime/invocation/next", "");
        let id = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("lambda-runtime-aws-request-id:").map(str::to_owned))
            .expect("the Runtime API gives a request id");
        let parsed: Value = serde_json::from_str(&event).unwrap();
        let (outcome, answer) = match parsed.get("raise") {
            Some(error) => ("error", error.as_str().unwrap().to_owned()),
            None => ("response", event),
        };
        http(&api, "POST", &format!("/2018-06-01/runtime/invocation/{}/{outcome}", id.trim()), &answer);
    }
}

/// One request on a connection of its own; head and body of the answer.
fn http(host: &str, method: &str, path: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer has a head");
    (head.to_owned(), body.to_owned())
}
