//! Change sets.

use serde_json::{Value, json};

use super::{Stand, request};

const TEMPLATE: &str = "
Parameters: {Seconds: {Type: Number, Default: 10}}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: !Ref Seconds}}
  Topic: {Type: AWS::SNS::Topic}
";

fn set(name: &str, kind: &str, template: &str, parameters: &[(&str, &str)]) -> Value {
    let mut body = request("planned", template, parameters);
    body["ChangeSetName"] = json!(name);
    body["ChangeSetType"] = json!(kind);
    body
}

/// `Action LogicalId Replacement` of each change.
fn shown(described: &Value) -> Vec<String> {
    let changes = described["Changes"].as_array().unwrap().iter().map(|change| &change["ResourceChange"]);
    changes
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap_or("-");
            format!("{} {} {}", text("Action"), text("LogicalResourceId"), text("Replacement"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_set_is_shown_and_carried_out() {
    let stand = Stand::start().await;
    let describe = async |name: &str| {
        stand.call("DescribeChangeSet", json!({"StackName": "planned", "ChangeSetName": name})).await.unwrap()
    };
    let execute = async |name: &str| {
        stand.call("ExecuteChangeSet", json!({"StackName": "planned", "ChangeSetName": name})).await.unwrap();
        stand.settled("planned").await
    };
    let refused = stand.refused("CreateChangeSet", set("a", "UPDATE", TEMPLATE, &[])).await;
    assert_eq!(refused, "ValidationError: Stack [planned] does not exist");
    stand.call("CreateChangeSet", set("a", "CREATE", TEMPLATE, &[])).await.unwrap();
    assert_eq!(stand.describe("planned").await["StackStatus"], "REVIEW_IN_PROGRESS");
    let described = describe("a").await;
    assert_eq!((&described["Status"], &described["ExecutionStatus"]), (&json!("CREATE_COMPLETE"), &json!("AVAILABLE")));
    assert_eq!(shown(&described), ["Add Queue -", "Add Topic -"]);
    assert_eq!(
        stand.cloud.call("sns", "ListTopics", json!({})).await.unwrap()["Topics"],
        json!([]),
        "nothing is made yet"
    );
    let stack = execute("a").await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE");
    assert_eq!(stand.call("ListChangeSets", json!({"StackName": "planned"})).await.unwrap()["Summaries"], json!([]));

    stand.call("CreateChangeSet", set("same", "UPDATE", TEMPLATE, &[])).await.unwrap();
    let described = describe("same").await;
    assert_eq!(described["Status"], "FAILED");
    assert!(described["StatusReason"].as_str().unwrap().contains("The submitted information didn't contain changes."));
    let refused = stand.refused("ExecuteChangeSet", json!({"StackName": "planned", "ChangeSetName": "same"})).await;
    assert!(refused.starts_with("InvalidChangeSetStatus: "), "{refused}");

    let replacing = TEMPLATE.replace("VisibilityTimeout:", "QueueName: other, VisibilityTimeout:");
    stand.call("CreateChangeSet", set("replaces", "UPDATE", &replacing, &[])).await.unwrap();
    let described = describe("replaces").await;
    assert_eq!((&described["Status"], shown(&described)), (&json!("FAILED"), vec!["Modify Queue True".to_owned()]));
    assert!(described["StatusReason"].as_str().unwrap().contains("a change of QueueName replaces AWS::SQS::Queue"));

    // By its ARN, with a value of before and one that is new.
    let changed = TEMPLATE.replace("  Topic: {Type: AWS::SNS::Topic}\n", "  Other: {Type: AWS::SNS::Topic}\n");
    let made = stand.call("CreateChangeSet", set("b", "UPDATE", &changed, &[("Seconds", "20")])).await.unwrap();
    let by_arn = json!({"ChangeSetName": made["Id"]});
    let described = stand.call("DescribeChangeSet", by_arn.clone()).await.unwrap();
    assert_eq!(shown(&described), ["Modify Queue False", "Add Other -", "Remove Topic -"]);
    assert_eq!(described["Changes"][0]["ResourceChange"]["Details"][0]["Target"]["Name"], "VisibilityTimeout");
    stand.call("ExecuteChangeSet", by_arn.clone()).await.unwrap();
    assert_eq!(stand.settled("planned").await["StackStatus"], "UPDATE_COMPLETE");
    assert!(stand.refused("DescribeChangeSet", by_arn).await.starts_with("ChangeSetNotFound"));
    let mut previous = set("c", "UPDATE", "", &[]);
    previous["UsePreviousTemplate"] = json!("true");
    previous.as_object_mut().unwrap().remove("TemplateBody");
    previous["Parameters"] = json!([{"ParameterKey": "Seconds", "UsePreviousValue": "true"}]);
    stand.call("CreateChangeSet", previous).await.unwrap();
    assert_eq!(describe("c").await["Status"], "FAILED", "the same again");
    stand.call("DeleteChangeSet", json!({"StackName": "planned", "ChangeSetName": "c"})).await.unwrap();
    stand.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_stacks_have_change_sets_of_their_own_when_asked_for() {
    let stand = Stand::start().await;
    stand.create("t", "Resources: {B: {Type: AWS::S3::Bucket, Properties: {BucketName: nested}}}", &[]).await;
    stand.cloud.put_object("nested", "inner", TEMPLATE.as_bytes()).await.unwrap();
    let root = "
Parameters: {Seconds: {Type: Number, Default: 10}}
Resources:
  Inner: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: 's3://nested/inner', Parameters: {Seconds: !Ref Seconds}}}
  Same: {Type: AWS::SNS::Topic}
";
    stand.create("planned", root, &[]).await;
    let mut body = set("deep", "UPDATE", root, &[("Seconds", "20")]);
    body["IncludeNestedStacks"] = json!("true");
    let made = stand.call("CreateChangeSet", body).await.unwrap();
    let described = stand.call("DescribeChangeSet", json!({"ChangeSetName": made["Id"]})).await.unwrap();
    assert_eq!(shown(&described), ["Modify Inner False"]);
    let inner = &described["Changes"][0]["ResourceChange"]["ChangeSetId"];
    let inner = stand.call("DescribeChangeSet", json!({"ChangeSetName": inner})).await.unwrap();
    assert_eq!((shown(&inner), &inner["StackName"]), (vec!["Modify Queue False".to_owned()], &json!("planned-Inner")));
    stand.call("ExecuteChangeSet", json!({"ChangeSetName": made["Id"]})).await.unwrap();
    assert_eq!(stand.settled("planned").await["StackStatus"], "UPDATE_COMPLETE");
    let events = stand.events("planned-Inner").await;
    assert_eq!(
        events[events.len() - 4..],
        [
            "planned-Inner UPDATE_IN_PROGRESS",
            "Queue UPDATE_IN_PROGRESS",
            "Queue UPDATE_COMPLETE",
            "planned-Inner UPDATE_COMPLETE"
        ]
    );
    stand.cloud.shutdown().await;
}
