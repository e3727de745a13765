//! Creation, update, removal.

use serde_json::{Value, json};

use super::{ROLE, Stand, output, request};

const INNER: &str = "
Parameters: {Word: {Type: String}}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${AWS::StackName}-q', VisibilityTimeout: 7}}
Outputs:
  Word: {Value: !Sub 'inner ${Word}'}
";

fn outer(url: &str) -> String {
    format!(
        "
Description: Two stacks.
Parameters:
  Word: {{Type: String, Default: hello}}
  Secret: {{Type: String, NoEcho: true, Default: open sesame}}
Resources:
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties: {{TemplateURL: '{url}', Parameters: {{Word: !Ref Word}}}}
  Topic: {{Type: AWS::SNS::Topic, DependsOn: Inner}}
Outputs:
  Said: {{Value: !GetAtt Inner.Outputs.Word, Description: What was said}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nested_template_in_a_bucket_comes_up_and_goes() {
    let stand = Stand::start().await;
    assert_eq!(stand.call("DescribeStacks", json!({})).await.unwrap()["Stacks"], json!([]));
    stand
        .create("artefacts", "Resources: {B: {Type: AWS::S3::Bucket, Properties: {BucketName: artefacts}}}", &[])
        .await;
    stand.cloud.put_object("artefacts", "t/inner.template", INNER.as_bytes()).await.unwrap();
    stand
        .cloud
        .put_object(
            "artefacts",
            "t/outer.template",
            outer("https://s3.us-east-1.amazonaws.com/artefacts/t/inner.template").as_bytes(),
        )
        .await
        .unwrap();
    let body =
        json!({"StackName": "two", "TemplateURL": format!("{}/artefacts/t/outer.template", stand.cloud.endpoint())});
    stand.call("CreateStack", body).await.unwrap();
    let stack = stand.settled("two").await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE", "{stack}");
    assert_eq!(output(&stack, "Said"), "inner hello");
    assert_eq!(stack["Parameters"][0], json!({"ParameterKey": "Secret", "ParameterValue": "****"}));
    assert_eq!(
        stand.events("two").await,
        [
            "two CREATE_IN_PROGRESS",
            "Inner CREATE_IN_PROGRESS",
            "Inner CREATE_COMPLETE",
            "Topic CREATE_IN_PROGRESS",
            "Topic CREATE_COMPLETE",
            "two CREATE_COMPLETE"
        ]
    );
    // The nested one is a stack of its own.
    let inner = stand.describe("two-Inner").await;
    assert_eq!((&inner["StackStatus"], &inner["ParentId"]), (&json!("CREATE_COMPLETE"), &stack["StackId"]));
    let expected = [
        "two-Inner CREATE_IN_PROGRESS",
        "Queue CREATE_IN_PROGRESS",
        "Queue CREATE_COMPLETE",
        "two-Inner CREATE_COMPLETE",
    ];
    assert_eq!(stand.events("two-Inner").await, expected);
    let rows = stand.call("DescribeStackResources", json!({"StackName": "two"})).await.unwrap();
    let row = |name: &str| {
        let rows = rows["StackResources"].as_array().unwrap();
        rows.iter().find(|row| row["LogicalResourceId"] == name).unwrap().clone()
    };
    assert_eq!(row("Inner")["PhysicalResourceId"], inner["StackId"]);
    assert_eq!(row("Topic")["PhysicalResourceId"], "arn:aws:sns:us-east-1:000000000000:two-Topic");
    let template = stand.call("GetTemplate", json!({"StackName": "two-Inner"})).await.unwrap();
    assert_eq!(template["TemplateBody"], INNER);
    let queues = stand.cloud.call("sqs", "ListQueues", json!({})).await.unwrap();
    assert_eq!(queues["QueueUrls"].as_array().unwrap().len(), 1, "{queues}");

    let gone = stand.delete("two").await;
    assert_eq!(gone["StackStatus"], "DELETE_COMPLETE");
    let deleted = stand.refused("DescribeStacks", json!({"StackName": "two"})).await;
    assert_eq!(deleted, "ValidationError: Stack with id two does not exist");
    let queues = stand.cloud.call("sqs", "ListQueues", json!({})).await.unwrap();
    assert_eq!(queues.get("QueueUrls").and_then(Value::as_array).map_or(0, Vec::len), 0, "{queues}");
    let topics = stand.cloud.call("sns", "ListTopics", json!({})).await.unwrap();
    assert_eq!(topics["Topics"], json!([]));
    let events = stand.events(gone["StackId"].as_str().unwrap()).await;
    let after = &events[6..];
    assert_eq!(
        after,
        [
            "two DELETE_IN_PROGRESS",
            "Topic DELETE_IN_PROGRESS",
            "Topic DELETE_COMPLETE",
            "Inner DELETE_IN_PROGRESS",
            "Inner DELETE_COMPLETE",
            "two DELETE_COMPLETE"
        ]
    );
    let listed = stand.call("ListStacks", json!({"StackStatusFilter": ["DELETE_COMPLETE"]})).await.unwrap();
    assert_eq!(listed["StackSummaries"].as_array().unwrap().len(), 2);
    stand.cloud.shutdown().await;
}

fn everything(greeting: &str, seconds: u32, text: &str) -> String {
    format!(
        "
Resources:{ROLE}
  Function:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: speaker
      Code: {{S3Bucket: code, S3Key: f.zip}}
      Handler: speaker
      Role: !GetAtt Role.Arn
      Timeout: 5
      Environment: {{Variables: {{GREETING: {greeting}}}}}
  Queue: {{Type: AWS::SQS::Queue, Properties: {{VisibilityTimeout: {seconds}}}}}
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {{EventSourceArn: !GetAtt Queue.Arn, FunctionName: !Ref Function, BatchSize: 1}}
  Rule:
    Type: AWS::Events::Rule
    Properties: {{ScheduleExpression: rate(5 minutes), Targets: [{{Id: f, Arn: !GetAtt Function.Arn}}]}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{AttributeName: row, AttributeType: S}}]
      KeySchema: [{{AttributeName: row, KeyType: HASH}}]
  Key: {{Type: AWS::KMS::Key, Properties: {{Description: {greeting}}}}}
  Machine:
    Type: AWS::StepFunctions::StateMachine
    Properties:
      StateMachineName: speaks
      RoleArn: !GetAtt Role.Arn
      DefinitionString: '{{\"StartAt\":\"A\",\"States\":{{\"A\":{{\"Type\":\"Pass\",\"Result\":\"{text}\",\"End\":true}}}}}}'
  Version:
    Type: AWS::StepFunctions::StateMachineVersion
    Properties: {{StateMachineArn: !Ref Machine, StateMachineRevisionId: !GetAtt Machine.StateMachineRevisionId}}
  Alias:
    Type: AWS::StepFunctions::StateMachineAlias
    Properties: {{Name: live, RoutingConfiguration: [{{StateMachineVersionArn: !Ref Version, Weight: 100}}]}}
Outputs:
  Alias: {{Value: !Ref Alias}}
  Version: {{Value: !Ref Version}}
"
    )
}

async fn with_code() -> Stand {
    let stand = Stand::start().await;
    stand.create("code", "Resources: {B: {Type: AWS::S3::Bucket, Properties: {BucketName: code}}}", &[]).await;
    stand.cloud.put_object("code", "f.zip", b"not looked into").await.unwrap();
    stand
}

async fn greeting(stand: &Stand) -> Value {
    let invoked = stand.cloud.invoke("speaker", &json!({})).await.unwrap();
    serde_json::from_slice::<Value>(&invoked.payload).unwrap()["greeting"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_changes_in_place_what_differs_and_nothing_else() {
    let stand = with_code().await;
    let stack = stand.create("all", &everything("hello", 30, "one"), &[]).await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE", "{:?}", stand.reasons("all").await);
    assert_eq!(greeting(&stand).await, "hello");
    let process = stand.cloud.processes("speaker");
    let run = async |stand: &Stand, arn: &str| {
        let execution = stand.cloud.start_execution(arn, &json!({})).await.unwrap();
        stand.cloud.wait(&execution).await.unwrap()["output"].clone()
    };
    assert_eq!(run(&stand, &output(&stack, "Alias")).await, "\"one\"");
    let same = request("all", &everything("hello", 30, "one"), &[]);
    assert_eq!(stand.refused("UpdateStack", same).await, "ValidationError: No updates are to be performed.");
    stand
        .cloud
        .call("dynamodb", "PutItem", json!({"TableName": "all-Table", "Item": {"row": {"S": "kept"}}}))
        .await
        .unwrap();

    let before = stand.events("all").await.len();
    let stack = stand.update("all", &everything("goodbye", 60, "two"), &[]).await;
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE", "{:?}", stand.reasons("all").await);
    assert_eq!(greeting(&stand).await, "goodbye");
    assert_ne!(stand.cloud.processes("speaker"), process, "another environment is another process");
    let attributes = json!({"QueueUrl": "all-Queue", "AttributeNames": ["VisibilityTimeout"]});
    let attributes = stand.cloud.call("sqs", "GetQueueAttributes", attributes).await.unwrap();
    assert_eq!(attributes["Attributes"]["VisibilityTimeout"], "60");
    // The changed machine has another version, and the alias leads there; the old version is gone.
    assert!(output(&stack, "Version").ends_with(":speaks:2"), "{stack}");
    assert_eq!(run(&stand, &output(&stack, "Alias")).await, "\"two\"");
    let versions = json!({"stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:speaks"});
    let versions = stand.cloud.call("states", "ListStateMachineVersions", versions).await.unwrap();
    assert_eq!(versions["stateMachineVersions"].as_array().unwrap().len(), 1);
    let kept = stand.cloud.call("dynamodb", "Scan", json!({"TableName": "all-Table"})).await.unwrap();
    assert_eq!(kept["Count"], 1);
    let events = stand.events("all").await.split_off(before);
    for name in ["Role", "Table", "Mapping", "Rule"] {
        assert!(
            !events.iter().any(|event| event.starts_with(&format!("{name} "))),
            "{name} did not change: {events:?}"
        );
    }
    assert_eq!(events.first().unwrap(), "all UPDATE_IN_PROGRESS");
    assert_eq!(
        events[events.len() - 4..],
        [
            "all UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            "Version DELETE_IN_PROGRESS",
            "Version DELETE_COMPLETE",
            "all UPDATE_COMPLETE"
        ]
    );

    // Nothing of it is left.
    let stack = stand.delete("all").await;
    assert_eq!(stack["StackStatus"], "DELETE_COMPLETE", "{stack}");
    assert!(stand.cloud.processes("speaker").is_empty());
    let code = |error: cloud::ApiError| error.code;
    assert_eq!(code(stand.cloud.invoke("speaker", &json!({})).await.unwrap_err()), "ResourceNotFoundException");
    let rules = stand.cloud.call("events", "ListRules", json!({})).await.unwrap();
    assert_eq!(rules["Rules"], json!([]));
    let machines = stand.cloud.call("states", "ListStateMachines", json!({})).await.unwrap();
    assert_eq!(machines["stateMachines"], json!([]));
    let tables = stand.cloud.call("dynamodb", "ListTables", json!({})).await.unwrap();
    assert_eq!(tables["TableNames"], json!([]));
    let keys = stand.cloud.call("kms", "ListKeys", json!({})).await.unwrap();
    assert_eq!(keys["Keys"], json!([]));
    stand.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_would_replace_is_refused_before_anything_is_touched() {
    let stand = with_code().await;
    stand.create("all", &everything("hello", 30, "one"), &[]).await;
    let before = stand.events("all").await;
    for (from, to, named) in [
        (
            "FunctionName: speaker",
            "FunctionName: talker",
            ["Function (AWS::Lambda::Function), FunctionName", "replaces"],
        ),
        ("AttributeName: row", "AttributeName: line", ["Table (AWS::DynamoDB::Table), KeySchema", "replaces"]),
        (
            "StateMachineName: speaks",
            "StateMachineName: talks",
            ["Machine (AWS::StepFunctions::StateMachine), StateMachineName", "replaces"],
        ),
        (
            "Type: AWS::KMS::Key, Properties: {Description: goodbye}",
            "Type: AWS::SNS::Topic",
            ["Key (AWS::SNS::Topic), Type", "the type changes from AWS::KMS::Key"],
        ),
    ] {
        let template = everything("goodbye", 60, "two");
        assert!(template.contains(from));
        let refused = stand.refused("UpdateStack", request("all", &template.replace(from, to), &[])).await;
        assert!(named.iter().all(|part| refused.contains(part)), "{refused}");
    }
    assert_eq!(stand.events("all").await, before);
    assert_eq!(greeting(&stand).await, "hello");
    stand.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_creation_is_rolled_back_and_says_why() {
    let stand = Stand::start().await;
    stand.create("first", "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: taken}}}", &[]).await;
    stand.create("t", "Resources: {B: {Type: AWS::S3::Bucket, Properties: {BucketName: nested}}}", &[]).await;
    let inner = "Resources: {Free: {Type: AWS::SQS::Queue}, Taken: {Type: AWS::SQS::Queue, DependsOn: Free, Properties: {QueueName: taken}}}";
    stand.cloud.put_object("nested", "inner", inner.as_bytes()).await.unwrap();
    let template = "
Resources:
  Kept: {Type: AWS::SNS::Topic, DeletionPolicy: Retain}
  Inner: {Type: AWS::CloudFormation::Stack, DependsOn: Kept, Properties: {TemplateURL: 's3://nested/inner'}}
  Never: {Type: AWS::SNS::Topic, DependsOn: Inner}
";
    let stack = stand.create("second", template, &[]).await;
    assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE");
    let events = stand.events("second").await;
    let expected = [
        "second CREATE_IN_PROGRESS",
        "Kept CREATE_IN_PROGRESS",
        "Kept CREATE_COMPLETE",
        "Inner CREATE_IN_PROGRESS",
        "Inner CREATE_FAILED",
        "second ROLLBACK_IN_PROGRESS",
        "Inner DELETE_IN_PROGRESS",
        "Inner DELETE_COMPLETE",
        "Kept DELETE_SKIPPED",
        "second ROLLBACK_COMPLETE",
    ];
    assert_eq!(events, expected);
    let reasons = stand.reasons("second").await;
    assert!(
        reasons[1].contains("was not successfully created: The following resource(s) failed to create: [Taken]."),
        "{reasons:?}"
    );
    // The first cause is in the nested stack, which is found by its ARN though it is gone.
    let rows = stand
        .call("DescribeStackResource", json!({"StackName": "second", "LogicalResourceId": "Inner"}))
        .await
        .unwrap();
    let inner = rows["StackResourceDetail"]["PhysicalResourceId"].as_str().unwrap();
    let first = stand.describe("first").await["StackId"].as_str().unwrap().to_owned();
    assert_eq!(stand.reasons(inner).await[0], format!("taken already exists in stack {first}"));
    let topics = stand.cloud.call("sns", "ListTopics", json!({})).await.unwrap();
    assert_eq!(topics["Topics"].as_array().unwrap().len(), 1, "what is retained stays: {topics}");
    let update = stand.refused("UpdateStack", request("second", template, &[])).await;
    assert!(update.contains("is in ROLLBACK_COMPLETE state and can not be updated"), "{update}");
    // Deleted, the name is free again; what was retained keeps its own.
    stand.delete("second").await;
    stand.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": "taken"})).await.unwrap();
    stand.delete("first").await;
    let stack = stand.create("second", template, &[]).await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE", "{:?}", stand.reasons("second").await);
    stand.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_update_is_rolled_back() {
    let stand = Stand::start().await;
    stand.create("other", "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: taken}}}", &[]).await;
    let template = |seconds: u32, more: &str| {
        format!(
            "Resources:\n  Queue: {{Type: AWS::SQS::Queue, Properties: {{VisibilityTimeout: {seconds}}}}}\n  Old: {{Type: AWS::SNS::Topic}}\n{more}"
        )
    };
    stand.create("mine", &template(10, ""), &[]).await;
    let more = "  New: {Type: AWS::SNS::Topic, DependsOn: Queue}\n  Taken: {Type: AWS::SQS::Queue, DependsOn: New, Properties: {QueueName: taken}}\n";
    let stack = stand.update("mine", &template(20, more), &[]).await;
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    let events = stand.events("mine").await;
    for event in [
        "Queue UPDATE_COMPLETE",
        "New CREATE_COMPLETE",
        "Taken CREATE_FAILED",
        "mine UPDATE_ROLLBACK_IN_PROGRESS",
        "New DELETE_COMPLETE",
    ] {
        assert!(events.iter().any(|one| one == event), "{event} in {events:?}");
    }
    let attributes = json!({"QueueUrl": "mine-Queue", "AttributeNames": ["VisibilityTimeout"]});
    let attributes = stand.cloud.call("sqs", "GetQueueAttributes", attributes).await.unwrap();
    assert_eq!(attributes["Attributes"]["VisibilityTimeout"], "10");
    assert_eq!(stand.cloud.call("sns", "ListTopics", json!({})).await.unwrap()["Topics"].as_array().unwrap().len(), 1);
    let kept = stand.call("GetTemplate", json!({"StackName": "mine"})).await.unwrap();
    assert_eq!(kept["TemplateBody"], template(10, ""));
    // And it can be updated again.
    let stack = stand.update("mine", &template(30, "").replace("  Old: {Type: AWS::SNS::Topic}\n", ""), &[]).await;
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE");
    assert_eq!(
        stand.cloud.call("sns", "ListTopics", json!({})).await.unwrap()["Topics"],
        json!([]),
        "what the template no longer has goes"
    );
    stand.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_holds_something_refuses_its_deletion() {
    let stand = Stand::start().await;
    let template = "
Resources:
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: full}}
  Policy: {Type: AWS::S3::BucketPolicy, Properties: {Bucket: !Ref Bucket, PolicyDocument: {Version: '2012-10-17', Statement: [{Effect: Deny, Principal: '*', Action: 's3:PutObject', Resource: 'arn:aws:s3:::full/no'}]}}}
  Topic: {Type: AWS::SNS::Topic}
";
    stand.create("data", template, &[]).await;
    stand.cloud.put_object("full", "a", b"1").await.unwrap();
    let stack = stand.delete("data").await;
    assert_eq!(stack["StackStatus"], "DELETE_FAILED");
    assert_eq!(stack["StackStatusReason"], "The following resource(s) failed to delete: [Bucket]. ");
    let reasons = stand.reasons("data").await;
    assert!(reasons.iter().any(|reason| reason == "The bucket you tried to delete is not empty"), "{reasons:?}");
    let id = stack["StackId"].as_str().unwrap();
    stand.call("DeleteStack", json!({"StackName": "data", "RetainResources": ["Bucket"]})).await.unwrap();
    assert_eq!(stand.settled(id).await["StackStatus"], "DELETE_COMPLETE");
    assert_eq!(stand.cloud.get_object("full", "a").await.unwrap(), "1");
    stand.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_have_cloudformation_s_words() {
    let stand = Stand::start().await;
    let topic = "{Type: AWS::SNS::Topic}";
    for (template, parameters, words) in [
        (
            "Parameters: {A: {Type: String}, B: {Type: String}}\nResources: {T: TOPIC}",
            &[][..],
            "Parameters: [A, B] must have values",
        ),
        ("Resources: {T: TOPIC}", &[("X", "1")], "Parameters: [X] do not exist in the template"),
        (
            "Resources: {T: {Type: AWS::SNS::Topic, Properties: {DisplayName: !Ref Nobody}}}",
            &[],
            "Template format error: Unresolved resource dependencies [Nobody] in the Resources block of the template",
        ),
        (
            "Resources: {T: TOPIC}\nOutputs: {O: {Value: !GetAtt U.Arn}}",
            &[],
            "Template format error: Unresolved resource dependencies [U] in the Outputs block of the template",
        ),
        (
            "Resources: {A: {Type: AWS::SNS::Topic, DependsOn: B}, B: {Type: AWS::SNS::Topic, DependsOn: A}}",
            &[],
            "Circular dependency between resources: [A, B]",
        ),
        (
            "Resources: {T: {Type: AWS::Nothing::AtAll}}",
            &[],
            "Template format error: Unrecognized resource types: [AWS::Nothing::AtAll]",
        ),
        ("Resources: {}", &[], "Template format error: At least one Resources member must be defined."),
        ("Resources: [", &[], "Template format error"),
        (
            "Parameters: {A: {Type: String, AllowedValues: [x]}}\nResources: {T: TOPIC}",
            &[("A", "y")],
            "is not an allowed value",
        ),
        (
            "Resources: {T: {Type: AWS::SNS::Topic, Properties: {Colour: red}}}",
            &[],
            "Resources.T.Properties.Colour: is not known",
        ),
        (
            "Resources: {N: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: ./inner.yaml}}}",
            &[],
            "TemplateURL must be a supported URL",
        ),
    ] {
        let template = template.replace("TOPIC", topic);
        let refused = stand.refused("CreateStack", request("wrong", &template, parameters)).await;
        assert!(refused.starts_with("ValidationError: ") && refused.contains(words), "{template}: {refused}");
    }
    let mut plain = request("iam", &format!("Resources:{ROLE}"), &[]);
    plain["Capabilities"] = json!([]);
    let refused = stand.refused("CreateStack", plain.clone()).await;
    assert_eq!(refused, "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_IAM]");
    plain["TemplateBody"] =
        json!(format!("Resources:{}", ROLE.replace("    Properties:\n", "    Properties:\n      RoleName: mine\n")));
    plain["Capabilities"] = json!(["CAPABILITY_IAM"]);
    let refused = stand.refused("CreateStack", plain).await;
    assert_eq!(refused, "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]");
    let mut odd = request("odd", "Resources: {T: {Type: AWS::SNS::Topic}}", &[]);
    odd["StackPolicyBody"] = json!("{}");
    assert!(
        stand.refused("CreateStack", odd).await.contains("member StackPolicyBody of CreateStack is not implemented")
    );
    stand.create("there", "Resources: {T: {Type: AWS::SNS::Topic}}", &[]).await;
    let again = stand.refused("CreateStack", request("there", "Resources: {T: {Type: AWS::SNS::Topic}}", &[])).await;
    assert_eq!(again, "AlreadyExistsException: Stack [there] already exists");
    assert_eq!(stand.call("ListStacks", json!({})).await.unwrap()["StackSummaries"].as_array().unwrap().len(), 1);
    stand.cloud.shutdown().await;
}

/// A function that names a cluster brings the database with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_starts_with_the_first_stack_that_names_one() {
    let stand = with_code().await;
    let sql = json!({"ClusterIdentifier": "warehouse", "Database": "dev", "Sql": "select 1", "WaitTimeSeconds": 30});
    let error = stand.cloud.call("redshift-data", "ExecuteStatement", sql.clone()).await.unwrap_err();
    assert!(error.message.contains("there is no database"), "{error}");
    let template = everything("hello", 30, "one")
        .replace("GREETING: hello", "REDSHIFT_CLUSTER: warehouse, REDSHIFT_DATABASE: dev");
    assert_eq!(stand.create("all", &template, &[]).await["StackStatus"], "CREATE_COMPLETE");
    let answer = stand.cloud.call("redshift-data", "ExecuteStatement", sql).await.unwrap();
    let ended = stand.cloud.call("redshift-data", "DescribeStatement", json!({"Id": answer["Id"]})).await.unwrap();
    assert_eq!(ended["Status"], "FINISHED", "{ended}");
    stand.cloud.shutdown().await;
}
