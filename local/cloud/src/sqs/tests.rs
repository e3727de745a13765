//! Rules of the queues, on paused time.

use super::*;

fn sqs(properties: Value) -> Sqs {
    let sqs = Sqs::new("http://127.0.0.1:1", "us-east-1", Trace::default());
    sqs.create_queue("dead", &json!({})).unwrap();
    sqs.create_queue("q", &properties).unwrap();
    sqs
}

async fn call(sqs: &Sqs, operation: &str, mut body: Value) -> Result<Value, ApiError> {
    if body.get("QueueUrl").is_none() && !matches!(operation, "ListQueues" | "CreateQueue") {
        body["QueueUrl"] = json!(sqs.url("q"));
    }
    sqs.call(operation, &Caller::local_user(), body).await
}

async fn receive(sqs: &Sqs) -> Vec<Value> {
    let answer = call(sqs, "ReceiveMessage", json!({"MaxNumberOfMessages": 10})).await.unwrap();
    answer.get("Messages").and_then(Value::as_array).cloned().unwrap_or_default()
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_is_hidden_until_its_visibility_timeout() {
    let sqs = sqs(json!({"VisibilityTimeout": 30}));
    sqs.send("q", "one").unwrap();
    let first = receive(&sqs).await;
    assert_eq!(first[0]["Body"], "one");
    pass(29).await;
    assert_eq!(receive(&sqs).await.len(), 0);
    assert_eq!(sqs.counts("q").unwrap(), (0, 1, 0));
    pass(1).await;
    let again = receive(&sqs).await;
    assert_eq!(again.len(), 1);
    // The first receipt is stale: no error, and no effect.
    call(&sqs, "DeleteMessage", json!({"ReceiptHandle": first[0]["ReceiptHandle"]})).await.unwrap();
    assert_eq!(sqs.counts("q").unwrap(), (0, 1, 0));
    call(&sqs, "DeleteMessage", json!({"ReceiptHandle": again[0]["ReceiptHandle"]})).await.unwrap();
    assert_eq!(sqs.counts("q").unwrap(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn visibility_changes_for_one_message() {
    let sqs = sqs(json!({"VisibilityTimeout": 30}));
    sqs.send("q", "a").unwrap();
    sqs.send("q", "b").unwrap();
    let messages = receive(&sqs).await;
    let handle = &messages[0]["ReceiptHandle"];
    let change = |seconds: u64| json!({"ReceiptHandle": handle, "VisibilityTimeout": seconds});
    call(&sqs, "ChangeMessageVisibility", change(100)).await.unwrap();
    pass(30).await;
    let back = receive(&sqs).await;
    assert_eq!(back.len(), 1);
    assert_eq!(back[0]["Body"], "b");
    call(&sqs, "ChangeMessageVisibility", change(0)).await.unwrap();
    let back = receive(&sqs).await;
    assert_eq!(back[0]["Body"], "a");
    let error = call(&sqs, "ChangeMessageVisibility", change(0)).await.unwrap_err();
    assert_eq!(error.code, "MessageNotInflight");
    let error = call(&sqs, "DeleteMessage", json!({"ReceiptHandle": "rubbish"})).await.unwrap_err();
    assert_eq!(error.code, "ReceiptHandleIsInvalid");
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_with_a_message_or_its_time() {
    let sqs = sqs(json!({"DelaySeconds": 5}));
    let begun = Instant::now();
    let wait = json!({"WaitTimeSeconds": 10});
    // Nothing there: all of the time.
    assert_eq!(call(&sqs, "ReceiveMessage", wait.clone()).await.unwrap(), json!({}));
    assert_eq!(begun.elapsed().as_secs(), 10);
    // Sent while waiting, and delayed: exactly as long as the delay.
    let begun = Instant::now();
    let waiting = call(&sqs, "ReceiveMessage", wait);
    let (answer, _) = tokio::join!(waiting, async { sqs.send("q", "late").unwrap() });
    assert_eq!(answer.unwrap()["Messages"][0]["Body"], "late");
    assert_eq!(begun.elapsed().as_secs(), 5);
    // Returned by its timeout while somebody waits.
    let begun = Instant::now();
    let answer = call(&sqs, "ReceiveMessage", json!({"WaitTimeSeconds": 20})).await.unwrap();
    assert_eq!(answer, json!({}), "30 seconds of visibility are longer than the wait");
    assert_eq!(begun.elapsed().as_secs(), 20);
    let answer = call(&sqs, "ReceiveMessage", json!({"WaitTimeSeconds": 20})).await.unwrap();
    assert_eq!(answer["Messages"][0]["Body"], "late");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_message_goes_to_the_dead_letter_queue() {
    let redrive = json!({
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead",
        "maxReceiveCount": 3,
    });
    let sqs = sqs(json!({"VisibilityTimeout": 1, "RedrivePolicy": redrive}));
    sqs.send("q", "bad").unwrap();
    for count in 1..=3 {
        let body = json!({"AttributeNames": ["ApproximateReceiveCount"]});
        let answer = call(&sqs, "ReceiveMessage", body).await.unwrap();
        let counted = &answer["Messages"][0]["Attributes"]["ApproximateReceiveCount"];
        assert_eq!(counted, &json!(count.to_string()));
        pass(1).await;
    }
    assert_eq!(receive(&sqs).await.len(), 0);
    assert_eq!(sqs.peek("dead").unwrap(), ["bad"]);
    let dead = json!({"QueueUrl": sqs.url("dead"), "MessageSystemAttributeNames": ["All"]});
    let answer = call(&sqs, "ReceiveMessage", dead).await.unwrap();
    let source = &answer["Messages"][0]["Attributes"]["DeadLetterQueueSourceArn"];
    assert_eq!(source, "arn:aws:sqs:us-east-1:000000000000:q");
    // Back to where it came from, with a fresh count.
    pass(30).await;
    let back = json!({"SourceArn": sqs.arn("dead")});
    sqs.call("StartMessageMoveTask", &Caller::local_user(), back).await.unwrap();
    assert_eq!(sqs.counts("dead").unwrap(), (0, 0, 0));
    assert_eq!(receive(&sqs).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn messages_are_forgotten_after_the_retention_period() {
    let sqs = sqs(json!({"MessageRetentionPeriod": "60"}));
    sqs.send("q", "old").unwrap();
    pass(59).await;
    assert_eq!(sqs.counts("q").unwrap(), (1, 0, 0));
    pass(1).await;
    sqs.send("q", "new").unwrap();
    let messages = receive(&sqs).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["Body"], "new");
}

#[tokio::test(start_paused = true)]
async fn batches_answer_entry_by_entry() {
    let sqs = sqs(json!({"MaximumMessageSize": 1024}));
    let body = json!({"Entries": [
        {"Id": "good", "MessageBody": "x"},
        {"Id": "long", "MessageBody": "x".repeat(1025)},
        {"Id": "empty", "MessageBody": ""},
        {"Id": "odd", "MessageBody": "a\u{1}"},
    ]});
    let answer = call(&sqs, "SendMessageBatch", body).await.unwrap();
    assert_eq!(answer["Successful"].as_array().unwrap().len(), 1);
    assert_eq!(answer["Successful"][0]["MD5OfMessageBody"], "9dd4e461268c8034f5c8564e155c67a6");
    let failed: Vec<&Value> = answer["Failed"].as_array().unwrap().iter().map(|f| &f["Code"]).collect();
    assert_eq!(failed, ["InvalidParameterValue", "InvalidMessageContents", "InvalidMessageContents"]);
    for (body, code) in [
        (json!({"Entries": []}), "EmptyBatchRequest"),
        (
            json!({"Entries": [{"Id": "a", "MessageBody": "x"}, {"Id": "a", "MessageBody": "x"}]}),
            "BatchEntryIdsNotDistinct",
        ),
        (
            json!({"Entries": (0..11).map(|n| json!({"Id": n.to_string(), "MessageBody": "x"})).collect::<Vec<_>>()}),
            "TooManyEntriesInBatchRequest",
        ),
    ] {
        assert_eq!(call(&sqs, "SendMessageBatch", body).await.unwrap_err().code, code);
    }
    let messages = receive(&sqs).await;
    let body = json!({"Entries": [
        {"Id": "0", "ReceiptHandle": messages[0]["ReceiptHandle"]},
        {"Id": "1", "ReceiptHandle": "rubbish"},
    ]});
    let answer = call(&sqs, "DeleteMessageBatch", body).await.unwrap();
    assert_eq!(answer["Successful"], json!([{"Id": "0"}]));
    assert_eq!(answer["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
}

#[tokio::test(start_paused = true)]
async fn message_attributes_have_the_digest_that_clients_check() {
    let sqs = sqs(json!({}));
    let attributes = json!({"kind": {"DataType": "String", "StringValue": "event"}});
    let body = json!({"MessageBody": "x", "MessageAttributes": attributes});
    let sent = call(&sqs, "SendMessage", body).await.unwrap();
    let got = call(&sqs, "ReceiveMessage", json!({"MessageAttributeNames": ["All"]})).await.unwrap();
    assert_eq!(got["Messages"][0]["MessageAttributes"], attributes);
    assert_eq!(sent["MD5OfMessageAttributes"], got["Messages"][0]["MD5OfMessageAttributes"]);
    // Counted by hand from the guide's description: lengths, texts and the transport type.
    let mut plain = Vec::new();
    for (text, transport) in [("kind", None), ("String", None), ("event", Some(1_u8))] {
        plain.extend(transport);
        plain.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        plain.extend(text.bytes());
    }
    assert_eq!(sent["MD5OfMessageAttributes"], md5(&plain));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_named() {
    let sqs = sqs(json!({"VisibilityTimeout": 60}));
    for (properties, name) in [
        (json!({"Colour": "red"}), "Colour"),
        (json!({"FifoQueue": true}), "FifoQueue"),
        (json!({"VisibilityTimeout": 43_201}), "VisibilityTimeout"),
        (json!({"RedrivePolicy": {"maxReceiveCount": 1}}), "RedrivePolicy"),
    ] {
        let error = sqs.create_queue("other", &properties).unwrap_err();
        assert!(error.message.contains(name), "{error}");
    }
    for (operation, body, code) in [
        ("AddPermission", json!({}), "NotImplemented"),
        ("SendMessage", json!({"MessageBody": "x", "MessageGroupId": "g"}), "NotImplemented"),
        ("SendMessage", json!({"MessageBody": "x", "QueueUrl": "http://h/0/none"}), "QueueDoesNotExist"),
        ("ReceiveMessage", json!({"MaxNumberOfMessages": 11}), "InvalidParameterValue"),
        ("SetQueueAttributes", json!({"Attributes": {"Colour": "red"}}), "InvalidAttributeName"),
    ] {
        let error = call(&sqs, operation, body).await.unwrap_err();
        assert_eq!(error.code, code, "{operation}: {error}");
    }
    let other = "arn:aws:sqs:eu-west-1:000000000000:q";
    assert_eq!(sqs.send(other, "x").unwrap_err().code, "QueueDoesNotExist", "another region");
    assert_eq!(sqs.counts("q").unwrap(), (0, 0, 0), "a refused message is not sent");
}

#[tokio::test]
async fn receivers_share_messages_and_nobody_gets_one_twice() {
    let sqs = sqs(json!({}));
    let receivers = (0..8).map(|_| {
        let sqs = sqs.clone();
        tokio::spawn(async move {
            let mut got = Vec::new();
            loop {
                match sqs.hand_out("q", 3, Duration::from_millis(200)).await.unwrap() {
                    messages if messages.is_empty() => return got,
                    messages => got.extend(messages.into_iter().map(|message| message.id)),
                }
            }
        })
    });
    let receivers: Vec<_> = receivers.collect();
    for n in 0..100 {
        sqs.send("q", &n.to_string()).unwrap();
    }
    let mut got = Vec::new();
    for receiver in receivers {
        got.extend(receiver.await.unwrap());
    }
    got.sort();
    let all = got.len();
    got.dedup();
    assert_eq!((all, got.len()), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn queues_are_listed_in_pages_and_tagged() {
    let sqs = sqs(json!({}));
    for n in 0..5 {
        call(&sqs, "CreateQueue", json!({"QueueName": format!("p{n}"), "tags": {"n": n.to_string()}})).await.unwrap();
    }
    let url = |name: &str| json!(sqs.url(name));
    let page = async |token: Value| {
        call(&sqs, "ListQueues", json!({"QueueNamePrefix": "p", "MaxResults": 2, "NextToken": token})).await.unwrap()
    };
    let first = page(Value::Null).await;
    assert_eq!(first["QueueUrls"], json!([url("p0"), url("p1")]));
    let second = page(first["NextToken"].clone()).await;
    let last = page(second["NextToken"].clone()).await;
    assert_eq!((&last["QueueUrls"], last.get("NextToken")), (&json!([url("p4")]), None));
    let all = call(&sqs, "ListQueues", json!({"QueueNamePrefix": "p"})).await.unwrap();
    assert_eq!((all["QueueUrls"].as_array().unwrap().len(), all.get("NextToken")), (5, None));

    let queue = url("p1");
    call(&sqs, "TagQueue", json!({"QueueUrl": queue, "Tags": {"a": "1"}})).await.unwrap();
    call(&sqs, "UntagQueue", json!({"QueueUrl": queue, "TagKeys": ["n"]})).await.unwrap();
    let tags = call(&sqs, "ListQueueTags", json!({"QueueUrl": queue})).await.unwrap();
    assert_eq!(tags, json!({"Tags": {"a": "1"}}));
}

#[tokio::test(start_paused = true)]
async fn a_purge_empties_the_queue_once_a_minute() {
    let sqs = sqs(json!({}));
    for _ in 0..3 {
        sqs.send("q", "x").unwrap();
    }
    receive(&sqs).await;
    call(&sqs, "PurgeQueue", json!({})).await.unwrap();
    assert_eq!(sqs.counts("q").unwrap(), (0, 0, 0));
    let again = call(&sqs, "PurgeQueue", json!({})).await.unwrap_err();
    assert_eq!((again.status, again.code.as_str()), (403, "PurgeQueueInProgress"));
    pass(61).await;
    call(&sqs, "PurgeQueue", json!({})).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn attributes_are_asked_for_by_name_and_change() {
    let sqs = sqs(json!({}));
    let ask = async |names: Value| call(&sqs, "GetQueueAttributes", json!({"AttributeNames": names})).await;
    let before = ask(json!(["CreatedTimestamp", "LastModifiedTimestamp", "RedrivePolicy"])).await.unwrap();
    assert_eq!(before["Attributes"].as_object().unwrap().len(), 2, "what was not set is not there");
    pass(5).await;
    call(&sqs, "SetQueueAttributes", json!({"Attributes": {"DelaySeconds": "3"}})).await.unwrap();
    let after = ask(json!(["All"])).await.unwrap();
    assert_eq!(after["Attributes"]["DelaySeconds"], "3");
    let seconds = |of: &Value, name: &str| of["Attributes"][name].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(seconds(&after, "CreatedTimestamp"), seconds(&before, "CreatedTimestamp"));
    assert_eq!(seconds(&after, "LastModifiedTimestamp") - seconds(&before, "LastModifiedTimestamp"), 5);
    assert_eq!(ask(json!(["Colour"])).await.unwrap_err().code, "InvalidAttributeName");
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_cannot_hold_and_fifo_are_refused() {
    let sqs = sqs(json!({}));
    let body = "x".repeat(600_000);
    let entries = json!([{"Id": "a", "MessageBody": body}, {"Id": "b", "MessageBody": body}]);
    let error = call(&sqs, "SendMessageBatch", json!({"Entries": entries})).await.unwrap_err();
    assert_eq!(error.code, "BatchRequestTooLong");
    assert_eq!(sqs.counts("q").unwrap(), (0, 0, 0));
    let error = call(&sqs, "CreateQueue", json!({"QueueName": "f.fifo"})).await.unwrap_err();
    assert!(error.code == "NotImplemented" && error.message.contains("FIFO queue f.fifo"), "{error}");
}
