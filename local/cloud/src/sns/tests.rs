//! Topics with queues, a mailbox and nobody at the other end.

use serde_json::json;

use super::*;
use crate::identity::Identity;
use crate::lambda::Config;
use crate::trace::What;

const MAILBOX: &str = "night@watch.example";

struct Stand {
    sns: Sns,
    sqs: Sqs,
    topic: String,
    folder: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        let (trace, folder) = (Trace::default(), tempfile::tempdir().unwrap());
        let sqs = Sqs::new("http://127.0.0.1:1", "us-east-1", trace.clone());
        for name in ["q", "dead"] {
            sqs.create_queue(name, &json!({})).unwrap();
        }
        let lambda = Lambda::start(Config {
            region: "us-east-1".into(),
            endpoint: String::new(),
            command: Vec::new(),
            logs: folder.path().join("logs"),
            identity: Identity::new(),
            trace: trace.clone(),
        });
        let outbox = folder.path().join("outbox");
        let sns = Sns::new("us-east-1", "http://127.0.0.1:1", outbox, sqs.clone(), lambda.unwrap(), trace).unwrap();
        sns.create_topic("t", &json!({"DisplayName": "Night run"})).unwrap();
        let topic = sns.arn("t");
        Self { sns, sqs, topic, folder }
    }

    async fn call(&self, operation: &str, mut body: Value) -> Result<Value, ApiError> {
        if body.get("TopicArn").is_none() && !operation.ends_with("Topics") && operation != "CreateTopic" {
            body["TopicArn"] = json!(self.topic);
        }
        self.sns.call(operation, &Caller::local_user(), body).await
    }

    async fn subscribe(&self, protocol: &str, endpoint: &str, attributes: Value) -> Result<String, ApiError> {
        let body = json!({"Protocol": protocol, "Endpoint": endpoint, "Attributes": attributes});
        let answer = self.call("Subscribe", body).await?;
        Ok(answer["SubscriptionArn"].as_str().unwrap().to_owned())
    }

    /// The message at the head of a queue, taken out.
    async fn taken(&self, queue: &str) -> Option<Value> {
        let body = json!({"QueueUrl": self.sqs.url(queue), "MessageAttributeNames": ["All"]});
        let answer = self.sqs.call("ReceiveMessage", &Caller::local_user(), body).await.unwrap();
        let message = answer["Messages"].get(0)?.clone();
        let body = json!({"QueueUrl": self.sqs.url(queue), "ReceiptHandle": message["ReceiptHandle"]});
        self.sqs.call("DeleteMessage", &Caller::local_user(), body).await.unwrap();
        Some(message)
    }

    fn mails(&self) -> Vec<String> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.folder.path().join("outbox")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.iter().all(|file| file.extension().is_some_and(|extension| extension == "eml")), "{files:?}");
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }
}

#[tokio::test]
async fn a_queue_gets_the_envelope_or_the_raw_message() {
    let stand = Stand::new();
    let arn = stand.subscribe("sqs", &stand.sqs.arn("q"), json!({})).await.unwrap();
    assert!(arn.starts_with(&format!("{}:", stand.topic)));
    let attribute = json!({"step": {"DataType": "String", "StringValue": "load"}});
    let publication = json!({"Message": "done", "Subject": "Step 1", "MessageAttributes": attribute});
    let answer = stand.call("Publish", publication.clone()).await.unwrap();
    let message = stand.taken("q").await.unwrap();
    let envelope: Value = serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
    for (member, value) in [
        ("Type", json!("Notification")),
        ("MessageId", answer["MessageId"].clone()),
        ("TopicArn", json!(stand.topic)),
        ("Subject", json!("Step 1")),
        ("Message", json!("done")),
        ("MessageAttributes", json!({"step": {"Type": "String", "Value": "load"}})),
    ] {
        assert_eq!(envelope[member], value, "{member}");
    }
    assert!(message.get("MessageAttributes").is_none());

    let body = json!({"SubscriptionArn": arn, "AttributeName": "RawMessageDelivery", "AttributeValue": "true"});
    stand.sns.answer("SetSubscriptionAttributes", &body).await.unwrap();
    stand.call("Publish", publication).await.unwrap();
    let message = stand.taken("q").await.unwrap();
    assert_eq!((&message["Body"], &message["MessageAttributes"]), (&json!("done"), &attribute));
    stand.sns.answer("Unsubscribe", &json!({"SubscriptionArn": arn})).await.unwrap();
    stand.sns.send(&stand.topic, "nobody listens").await.unwrap();
    assert!(stand.taken("q").await.is_none());
}

#[tokio::test]
async fn an_email_becomes_a_file() {
    let stand = Stand::new();
    stand.subscribe("email", MAILBOX, json!({})).await.unwrap();
    let mut trace = stand.sns.shared.trace.subscribe();
    stand.call("Publish", json!({"Message": "zwölf rows\nmissing", "Subject": "Load failed"})).await.unwrap();
    let mails = stand.mails();
    assert_eq!(mails.len(), 1);
    let (head, body) = mails[0].split_once("\n\n").unwrap();
    for line in [
        "From: \"Night run\" <no-reply@sns.amazonaws.com>",
        "To: night@watch.example",
        "Subject: Load failed",
        "Content-Type: text/plain; charset=UTF-8",
    ] {
        assert!(head.lines().any(|there| there == line), "{line} in {head}");
    }
    assert!(body.starts_with("zwölf rows\nmissing\n\n--\nIf you wish to stop"), "{body}");
    let mut shown = Vec::new();
    while let Ok(entry) = trace.try_recv() {
        if let What::Mailed { to, subject, file } = entry.what {
            assert!(stand.folder.path().join("outbox").join(file).exists());
            shown.push((to, subject));
        }
    }
    assert_eq!(shown, [(MAILBOX.to_owned(), "Load failed".to_owned())]);

    stand.subscribe("email-json", "robot@watch.example", json!({})).await.unwrap();
    let texts = json!({"default": "all", "email": "for people", "email-json": "for robots"});
    stand.call("Publish", json!({"Message": texts.to_string(), "MessageStructure": "json"})).await.unwrap();
    let mails = stand.mails();
    assert_eq!(mails.len(), 3);
    assert!(mails.iter().any(|mail| mail.contains("\n\nfor people\n") && mail.contains("AWS Notification Message")));
    assert!(mails.iter().any(|mail| mail.contains("\"Message\": \"for robots\"")));
}

#[tokio::test]
async fn a_filter_decides_who_gets_a_message() {
    let stand = Stand::new();
    let filter = json!({"status": ["FAILED"]}).to_string();
    stand.subscribe("email", MAILBOX, json!({"FilterPolicy": filter})).await.unwrap();
    let policy = json!({"RawMessageDelivery": "true", "FilterPolicy": filter, "FilterPolicyScope": "MessageBody"});
    stand.subscribe("sqs", &stand.sqs.arn("q"), policy).await.unwrap();
    for (status, body) in [("FAILED", "x"), ("FINISHED", r#"{"status":"FAILED"}"#), ("FINISHED", "x")] {
        let attributes = json!({"status": {"DataType": "String", "StringValue": status}});
        stand.call("Publish", json!({"Message": body, "MessageAttributes": attributes})).await.unwrap();
    }
    assert_eq!(stand.mails().len(), 1);
    assert_eq!(stand.taken("q").await.unwrap()["Body"], r#"{"status":"FAILED"}"#);
    assert!(stand.taken("q").await.is_none());
}

#[tokio::test]
async fn what_a_subscriber_refuses_goes_to_its_dead_letter_queue() {
    let stand = Stand::new();
    let redrive = json!({"deadLetterTargetArn": stand.sqs.arn("dead")}).to_string();
    let gone = "arn:aws:lambda:us-east-1:000000000000:function:gone";
    for (protocol, endpoint, code) in
        [("sqs", stand.sqs.arn("gone"), "QueueDoesNotExist"), ("lambda", gone.into(), "ResourceNotFoundException")]
    {
        let arn = stand.subscribe(protocol, &endpoint, json!({"RedrivePolicy": redrive})).await.unwrap();
        stand.sns.send(&stand.topic, "lost").await.unwrap();
        let kept = stand.taken("dead").await.unwrap();
        assert!(kept["Body"].as_str().unwrap().contains("\"Message\":\"lost\""), "{kept}");
        assert_eq!(kept["MessageAttributes"]["ERROR_CODE"]["StringValue"], code);
        stand.sns.answer("Unsubscribe", &json!({"SubscriptionArn": arn})).await.unwrap();
    }
}

#[tokio::test]
async fn topics_and_subscriptions_are_listed_in_pages() {
    let stand = Stand::new();
    for n in 0..120 {
        stand.call("CreateTopic", json!({"Name": format!("many-{n:03}")})).await.unwrap();
        stand.subscribe("email", &format!("{n}@watch.example"), json!({})).await.unwrap();
    }
    for (operation, member, count) in
        [("ListTopics", "Topics", 121), ("ListSubscriptionsByTopic", "Subscriptions", 120)]
    {
        let first = stand.call(operation, json!({})).await.unwrap();
        assert_eq!(first[member].as_array().unwrap().len(), 100);
        let second = stand.call(operation, json!({"NextToken": first["NextToken"]})).await.unwrap();
        assert_eq!(second[member].as_array().unwrap().len(), count - 100);
        assert!(second.get("NextToken").is_none());
    }
    let attributes = stand.call("GetTopicAttributes", json!({})).await.unwrap();
    assert_eq!(attributes["Attributes"]["SubscriptionsConfirmed"], "120");
    assert_eq!(attributes["Attributes"]["DisplayName"], "Night run");
    let change = json!({"AttributeName": "DisplayName", "AttributeValue": "Day run"});
    stand.call("SetTopicAttributes", change).await.unwrap();
    let attributes = stand.call("GetTopicAttributes", json!({})).await.unwrap();
    assert_eq!(attributes["Attributes"]["DisplayName"], "Day run");
    stand.call("DeleteTopic", json!({})).await.unwrap();
    assert_eq!(stand.call("GetTopicAttributes", json!({})).await.unwrap_err().code, "NotFound");
    let left = stand.sns.answer("ListSubscriptions", &json!({})).await.unwrap();
    assert_eq!(left["Subscriptions"], json!([]));
}

#[tokio::test]
async fn the_same_twice_is_one() {
    let stand = Stand::new();
    let first = stand.subscribe("email", MAILBOX, json!({})).await.unwrap();
    assert_eq!(stand.subscribe("email", MAILBOX, json!({})).await.unwrap(), first);
    let other = stand.subscribe("email", MAILBOX, json!({"FilterPolicy": "{\"a\":[1]}"})).await.unwrap_err();
    assert!(other.message.contains("different attributes"), "{other}");
    assert_eq!(stand.call("CreateTopic", json!({"Name": "t"})).await.unwrap()["TopicArn"], json!(stand.topic));
    let other = json!({"Name": "t", "Attributes": {"DisplayName": "x"}});
    assert!(stand.call("CreateTopic", other).await.unwrap_err().message.contains("different attributes"));
}

#[tokio::test]
async fn batches_answer_entry_by_entry() {
    let stand = Stand::new();
    stand.subscribe("sqs", &stand.sqs.arn("q"), json!({"RawMessageDelivery": "true"})).await.unwrap();
    let entries = json!([{"Id": "a", "Message": "one"}, {"Id": "b", "Message": "two", "Subject": "line\nbreak"}]);
    let answer = stand.call("PublishBatch", json!({"PublishBatchRequestEntries": entries})).await.unwrap();
    assert_eq!(answer["Successful"][0]["Id"], "a");
    assert_eq!((&answer["Failed"][0]["Id"], &answer["Failed"][0]["Code"]), (&json!("b"), &json!("InvalidParameter")));
    assert_eq!(stand.taken("q").await.unwrap()["Body"], "one");
    assert!(stand.taken("q").await.is_none());
    let long = "x".repeat(200_000);
    for (entries, code) in [
        (json!([]), "EmptyBatchRequest"),
        (json!([{"Id": "a", "Message": "1"}, {"Id": "a", "Message": "2"}]), "BatchEntryIdsNotDistinct"),
        (json!([{"Id": "a b", "Message": "1"}]), "InvalidBatchEntryId"),
        (json!([{"Id": "a", "Message": long}, {"Id": "b", "Message": long}]), "BatchRequestTooLong"),
        ((0..11).map(|n| json!({"Id": n.to_string(), "Message": "m"})).collect(), "TooManyEntriesInBatchRequest"),
    ] {
        let error = stand.call("PublishBatch", json!({"PublishBatchRequestEntries": entries})).await.unwrap_err();
        assert_eq!(error.code, code);
    }
}

#[tokio::test]
async fn refusals_are_named() {
    let stand = Stand::new();
    let queue = stand.sqs.arn("q");
    for (operation, body, code, named) in [
        ("Publish", json!({"Message": ""}), "InvalidParameter", "Empty"),
        ("Publish", json!({"Message": "x".repeat(262_145)}), "InvalidParameter", "too long"),
        ("Publish", json!({"Message": "m", "Subject": "ä"}), "InvalidParameter", "Subject"),
        ("Publish", json!({"Message": "m", "PhoneNumber": "+1"}), "NotImplemented", "PhoneNumber"),
        ("Publish", json!({"Message": "m", "TopicArn": "arn:aws:sns:us-east-1:000000000000:no"}), "NotFound", "Topic"),
        ("Publish", json!({"Message": "{}", "MessageStructure": "json"}), "InvalidParameter", "default"),
        (
            "Publish",
            json!({"Message": "m", "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "x"}}}),
            "ParameterValueInvalid",
            "'n'",
        ),
        ("Subscribe", json!({"Protocol": "https", "Endpoint": "https://h"}), "NotImplemented", "https"),
        ("Subscribe", json!({"Protocol": "pigeon", "Endpoint": "x"}), "InvalidParameter", "pigeon"),
        ("Subscribe", json!({"Protocol": "email", "Endpoint": "x\n@y.z"}), "InvalidParameter", "Endpoint"),
        ("Subscribe", json!({"Protocol": "sqs", "Endpoint": "q"}), "InvalidParameter", "Endpoint"),
        (
            "Subscribe",
            json!({"Protocol": "email", "Endpoint": MAILBOX, "Attributes": {"RawMessageDelivery": "true"}}),
            "InvalidParameter",
            "raw message delivery",
        ),
        (
            "Subscribe",
            json!({"Protocol": "sqs", "Endpoint": queue, "Attributes": {"Colour": "red"}}),
            "InvalidParameter",
            "Colour",
        ),
        ("CreateTopic", json!({"Name": "a b"}), "InvalidParameter", "Topic Name"),
        ("CreateTopic", json!({"Name": "f", "Attributes": {"FifoTopic": "true"}}), "NotImplemented", "FifoTopic"),
        ("AddPermission", json!({}), "NotImplemented", "AddPermission"),
    ] {
        let error = stand.call(operation, body.clone()).await.unwrap_err();
        assert!(error.code == code && error.message.contains(named), "{operation}: {error}");
    }
}
