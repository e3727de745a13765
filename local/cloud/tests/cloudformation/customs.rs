//! Custom resources.

use serde_json::json;

use super::{ROLE, Stand, output, request};

fn template(properties: &str) -> String {
    format!(
        "
Resources:{ROLE}
  Function:
    Type: AWS::Lambda::Function
    Properties: {{FunctionName: maker, Code: {{S3Bucket: code, S3Key: f.zip}}, Handler: maker, Role: !GetAtt Role.Arn, Timeout: 5}}
  Made:
    Type: Custom::Thing
    Properties:
      ServiceToken: !GetAtt Function.Arn
      Flag: true
{properties}
  Topic:
    Type: AWS::SNS::Topic
    Properties: {{DisplayName: !GetAtt Made.Said}}
Outputs:
  Id: {{Value: !Ref Made}}
  Said: {{Value: !Sub '${{Made.Said}} ${{Made.Times}} times'}}
"
    )
}

async fn stand() -> Stand {
    let stand = Stand::start().await;
    stand.create("code", "Resources: {B: {Type: AWS::S3::Bucket, Properties: {BucketName: code}}}", &[]).await;
    stand.cloud.put_object("code", "f.zip", b"not looked into").await.unwrap();
    stand
}

/// What the function was asked, in order.
fn asked(stand: &Stand) -> Vec<String> {
    let lines = stand.cloud.logs("maker");
    lines.iter().filter_map(|line| line.split_once("ASKED ")).map(|(_, asked)| asked.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_created_changed_replaced_and_deleted() {
    let stand = stand().await;
    let stack = stand.create("own", &template("      Name: one"), &[]).await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE", "{:?}", stand.reasons("own").await);
    assert_eq!((output(&stack, "Id"), output(&stack, "Said")), ("one".into(), "one is here 3 times".into()));
    let attributes = json!({"TopicArn": "arn:aws:sns:us-east-1:000000000000:own-Topic"});
    let attributes = stand.cloud.call("sns", "GetTopicAttributes", attributes).await.unwrap();
    assert_eq!(attributes["Attributes"]["DisplayName"], "one is here");
    assert_eq!(asked(&stand), ["Create one old=- physical=- flag=\"true\""]);
    // The same id: changed in place. What refers to it follows.
    stand.update("own", &template("      Name: one\n      More: yes"), &[]).await;
    assert_eq!(asked(&stand)[1..], ["Update one old=one physical=one flag=\"true\""]);
    // Another id: the old one is deleted once all went well.
    let stack = stand.update("own", &template("      Name: two\n      More: yes"), &[]).await;
    assert_eq!(
        (&stack["StackStatus"], output(&stack, "Said").as_str()),
        (&json!("UPDATE_COMPLETE"), "two is here 3 times")
    );
    let physical_of_deleted =
        ["Update two old=one physical=one flag=\"true\"", "Delete one old=- physical=one flag=\"true\""];
    assert_eq!(asked(&stand)[2..], physical_of_deleted);
    // Not a word of it is in any bucket of the account.
    let buckets = stand.cloud.call("cloudformation", "ListStacks", json!({})).await;
    assert!(buckets.is_ok());
    let trace = asked(&stand).len();
    let stack = stand.delete("own").await;
    assert_eq!(stack["StackStatus"], "DELETE_COMPLETE", "{stack}");
    assert_eq!(trace, 4);
    let events = stand.events(stack["StackId"].as_str().unwrap()).await;
    let position = |event: &str| events.iter().position(|one| one == event).unwrap();
    assert!(
        position("Made DELETE_COMPLETE") < position("Function DELETE_IN_PROGRESS"),
        "who answers goes last: {events:?}"
    );
    stand.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_and_no_answer_fail_the_stack_and_say_so() {
    let stand = stand().await;
    for (name, properties, words) in [
        (
            "fails",
            "      Name: one\n      Fail: Create",
            "Received response status [FAILED] from custom resource. Message returned: as asked (RequestId: ",
        ),
        (
            "silent",
            "      Name: one\n      Silent: Create\n      ServiceTimeout: 1",
            "CloudFormation did not receive a response from your Custom Resource.",
        ),
    ] {
        let stack = stand.create(name, &template(properties), &[]).await;
        assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE", "{name}: {:?}", stand.events(name).await);
        assert_eq!(stack["StackStatusReason"], json!(null));
        let reasons = stand.reasons(name).await;
        assert!(reasons.iter().any(|reason| reason.contains(words)), "{name}: {reasons:?}");
        assert!(
            reasons
                .iter()
                .any(|reason| reason
                    == "The following resource(s) failed to create: [Made]. Rollback requested by user.")
        );
        assert!(stand.events(name).await.contains(&"Made DELETE_COMPLETE".to_owned()), "it may have left something");
        stand.delete(name).await;
    }
    // An update that fails is taken back: the function is asked for the old properties.
    stand.create("own", &template("      Name: one"), &[]).await;
    let stack = stand.update("own", &template("      Name: one\n      Fail: Update"), &[]).await;
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(
        asked(&stand)[1..],
        ["Update one old=one physical=one flag=\"true\"", "Update one old=one physical=one flag=\"true\""]
    );
    let refused =
        stand.refused("CreateStack", request("x", &template("      Name: one\n      ServiceTimeout: 7200"), &[])).await;
    assert!(refused.contains("ServiceTimeout") && refused.contains("from 1 to 3600"), "{refused}");
    stand.cloud.shutdown().await;
}
