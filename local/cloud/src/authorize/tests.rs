//! What calls need, and how services refuse: tables over the operations.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Method;
use serde_json::{Value, json};

use super::*;
use crate::s3::Buckets;
use crate::template::{Attributes, Resource};

const REGION: &str = "us-east-1";
const ROLE: &str = "arn:aws:iam::000000000000:role/worker";
const TRUST: &str = "lambda.amazonaws.com";

fn resource(kind: &str, logical: &str, reference: &str, values: &[(&str, &str)], properties: Value) -> Resource {
    Resource {
        path: logical.into(),
        logical_id: logical.into(),
        stack: "s".into(),
        file: "t.yaml".into(),
        kind: kind.into(),
        attributes: Attributes {
            reference: reference.into(),
            values: values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        },
        properties,
        needs: Vec::new(),
        deletion_policy: "Delete".into(),
        update_replace_policy: "Delete".into(),
    }
}

fn role(statements: Value) -> Resource {
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": [TRUST, "states.amazonaws.com"]}, "Action": "sts:AssumeRole"}]});
    let properties = json!({
        "AssumeRolePolicyDocument": trust, "Tags": [{"Key": "team", "Value": "data"}],
        "Policies": [{"PolicyName": "own", "PolicyDocument": document}],
    });
    resource("AWS::IAM::Role", "Role", "worker", &[("Arn", ROLE), ("RoleId", "AROA1")], properties)
}

/// An authorizer that knows the role, and its caller, the function `f`.
fn with(statements: Value) -> (Authorizer, Caller) {
    let authorizer = Authorizer::enforcing(REGION, Trace::default());
    authorizer.put(&role(statements)).unwrap();
    (authorizer, Caller::assumed(ROLE, "f").of_function("f"))
}

fn key(authorizer: &Authorizer, statement: Value) {
    let arn = "arn:aws:kms:us-east-1:000000000000:key/k";
    let policy = json!({"KeyPolicy": {"Version": "2012-10-17", "Statement": [statement]}});
    authorizer.put(&resource("AWS::KMS::Key", "Key", "k", &[("Arn", arn)], policy)).unwrap();
    let alias = json!({"AliasName": "alias/own", "TargetKeyId": "k"});
    authorizer.put(&resource("AWS::KMS::Alias", "Alias", "alias/own", &[], alias)).unwrap();
}

fn delegating() -> Value {
    json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*", "Resource": "*"})
}

#[test]
fn operations_need_the_actions_and_resources_of_the_reference() {
    let authorizer = Authorizer::enforcing(REGION, Trace::default());
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:us-east-1:000000000000:{rest}");
    let url = "http://127.0.0.1:1/000000000000/q";
    let machine = arn("states", "stateMachine:m");
    let execution = arn("states", "execution:m:e");
    let topic = arn("sns", "t");
    let transaction = json!({"TransactItems": [{"Put": {"TableName": "t"}}, {"ConditionCheck": {"TableName": "u"}}]});
    let cases = [
        ("dynamodb", "GetItem", json!({"TableName": "t"}), vec![("dynamodb:GetItem", arn("dynamodb", "table/t"))]),
        (
            "dynamodb",
            "Query",
            json!({"TableName": "t", "IndexName": "i"}),
            vec![("dynamodb:Query", arn("dynamodb", "table/t/index/i"))],
        ),
        (
            "dynamodb",
            "Scan",
            json!({"TableName": arn("dynamodb", "table/t")}),
            vec![("dynamodb:Scan", arn("dynamodb", "table/t"))],
        ),
        ("dynamodb", "ListTables", json!({}), vec![("dynamodb:ListTables", "*".into())]),
        (
            "dynamodb",
            "BatchGetItem",
            json!({"RequestItems": {"t": {}}}),
            vec![("dynamodb:BatchGetItem", arn("dynamodb", "table/t"))],
        ),
        (
            "dynamodb",
            "TransactWriteItems",
            transaction,
            vec![
                ("dynamodb:PutItem", arn("dynamodb", "table/t")),
                ("dynamodb:ConditionCheckItem", arn("dynamodb", "table/u")),
            ],
        ),
        ("sqs", "SendMessageBatch", json!({"QueueUrl": url}), vec![("sqs:SendMessage", arn("sqs", "q"))]),
        ("sqs", "GetQueueUrl", json!({"QueueName": "q"}), vec![("sqs:GetQueueUrl", arn("sqs", "q"))]),
        ("sqs", "ListQueues", json!({}), vec![("sqs:ListQueues", "*".into())]),
        ("sns", "Publish", json!({"TopicArn": topic}), vec![("sns:Publish", topic.clone())]),
        (
            "sns",
            "Unsubscribe",
            json!({"SubscriptionArn": format!("{topic}:id")}),
            vec![("sns:Unsubscribe", topic.clone())],
        ),
        (
            "states",
            "StartExecution",
            json!({"stateMachineArn": machine}),
            vec![("states:StartExecution", machine.clone())],
        ),
        (
            "states",
            "StartExecution",
            json!({"stateMachineArn": format!("{machine}:live")}),
            vec![("states:StartExecution", machine)],
        ),
        ("states", "StopExecution", json!({"executionArn": execution}), vec![("states:StopExecution", execution)]),
        ("states", "SendTaskSuccess", json!({"taskToken": "x"}), vec![("states:SendTaskSuccess", "*".into())]),
        (
            "events",
            "PutEvents",
            json!({"Entries": [{"Source": "s"}]}),
            vec![("events:PutEvents", arn("events", "event-bus/default"))],
        ),
        ("events", "PutRule", json!({"Name": "r"}), vec![("events:PutRule", arn("events", "rule/r"))]),
        ("kms", "Decrypt", json!({"CiphertextBlob": "AQFrAA=="}), vec![("kms:Decrypt", arn("kms", "key/k"))]),
        (
            "kms",
            "GenerateDataKey",
            json!({"KeyId": arn("kms", "key/k")}),
            vec![("kms:GenerateDataKey", arn("kms", "key/k"))],
        ),
    ];
    for (service, operation, body, expected) in cases {
        let needs = operations::needs(&authorizer, service, operation, &body).unwrap();
        let needs: Vec<(&str, String)> =
            needs.iter().map(|need| (need.action.as_str(), need.resource.clone())).collect();
        assert_eq!(needs, expected, "{service} {operation} {body}");
    }
    for (service, operation) in [("dynamodb", "ExecuteStatement"), ("kms", "Sign"), ("logs", "PutLogEvents")] {
        assert!(operations::needs(&authorizer, service, operation, &json!({})).is_none(), "{operation}");
    }
}

#[test]
fn denials_read_as_the_services_write_them() {
    let (authorizer, caller) = with(json!([{"Effect": "Deny", "Action": "sns:*", "Resource": "*"}]));
    let table = json!({"TableName": "t"});
    let topic = json!({"TopicArn": "arn:aws:sns:us-east-1:000000000000:t"});
    let queue = json!({"QueueUrl": "http://h/0/q"});
    let user = "User: arn:aws:sts::000000000000:assumed-role/worker/f is not authorized to perform:";
    for (service, operation, body, status, code, text) in [
        (
            "dynamodb",
            "PutItem",
            &table,
            400,
            "AccessDeniedException",
            "dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/t because no identity-based policy allows the dynamodb:PutItem action",
        ),
        (
            "sqs",
            "SendMessage",
            &queue,
            403,
            "AccessDenied",
            "sqs:sendmessage on resource: arn:aws:sqs:us-east-1:000000000000:q because no identity-based policy allows the sqs:sendmessage action",
        ),
        (
            "sns",
            "Publish",
            &topic,
            403,
            "AuthorizationError",
            "SNS:Publish on resource: arn:aws:sns:us-east-1:000000000000:t with an explicit deny in an identity-based policy",
        ),
        (
            "redshift-data",
            "ListStatements",
            &json!({}),
            403,
            "AccessDeniedException",
            "redshift-data:ListStatements on resource: * because no identity-based policy allows the redshift-data:ListStatements action",
        ),
    ] {
        let error = authorizer.check_call(service, operation, &caller, body).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (status, code), "{service}");
        assert_eq!(error.message, format!("{user} {text}"));
        // The person at the machine may do everything.
        authorizer.check_call(service, operation, &Caller::local_user(), body).unwrap();
    }
    let unknown = authorizer.check_call("kms", "Sign", &caller, &json!({})).unwrap_err();
    assert_eq!(unknown.code, "NotImplemented");
    let nobody = Caller::assumed("arn:aws:iam::000000000000:role/nobody", "x");
    assert!(authorizer.check_call("dynamodb", "PutItem", &nobody, &table).is_err());
}

#[test]
fn statements_of_the_data_api_belong_to_who_submitted_them() {
    let own = |owner: &str| {
        json!([
            {"Effect": "Allow", "Action": "redshift-data:ExecuteStatement", "Resource": "arn:aws:redshift:*:*:cluster:c"},
            {"Effect": "Allow", "Action": "redshift:GetClusterCredentialsWithIAM", "Resource": "arn:aws:redshift:*:*:dbname:c/dev"},
            {"Effect": "Allow", "Action": ["redshift-data:DescribeStatement", "redshift-data:GetStatementResult"], "Resource": "*",
             "Condition": {"StringLike": {"redshift-data:statement-owner-iam-userid": owner}}},
        ])
    };
    let submit = json!({"ClusterIdentifier": "c", "Database": "dev", "Sql": "select 1"});
    for (owner, mine, others) in [("AROA1:*", true, true), ("${aws:userid}", true, false), ("AROA2:*", false, false)] {
        let (authorizer, caller) = with(own(owner));
        authorizer.check_call("redshift-data", "ExecuteStatement", &caller, &submit).unwrap();
        authorizer.note_statement(&caller, &redshift::Asked::of(&submit), &json!({"Id": "i", "CreatedAt": 1}));
        let sibling = Caller::assumed(ROLE, "g");
        for (caller, expected) in [(&caller, mine), (&sibling, others)] {
            for (operation, id) in [("DescribeStatement", "i"), ("GetStatementResultV2", "i:2")] {
                let asked = authorizer.check_call("redshift-data", operation, caller, &json!({"Id": id}));
                assert_eq!(asked.is_ok(), expected, "{owner} {} {operation}", caller.arn);
            }
        }
        let unknown = authorizer.check_call("redshift-data", "DescribeStatement", &caller, &json!({"Id": "no"}));
        assert!(unknown.is_err(), "a statement of nobody");
    }
    let (authorizer, caller) = with(own("AROA1:*"));
    for (missing, action) in [
        (json!({"ClusterIdentifier": "d", "Database": "dev"}), "redshift-data:ExecuteStatement"),
        (json!({"ClusterIdentifier": "c", "Database": "other"}), "redshift:GetClusterCredentialsWithIAM"),
        (
            json!({"ClusterIdentifier": "c", "Database": "dev", "DbUser": "u"}),
            "redshift:GetClusterCredentials on resource: arn:aws:redshift:us-east-1:000000000000:dbuser:c/u",
        ),
        (
            json!({"ClusterIdentifier": "c", "Database": "dev", "SecretArn": "arn:s"}),
            "secretsmanager:GetSecretValue on resource: arn:s",
        ),
        (
            json!({"WorkgroupName": "w", "Database": "dev"}),
            "redshift-data:ExecuteStatement on resource: arn:aws:redshift-serverless:us-east-1:000000000000:workgroup/",
        ),
    ] {
        let error = authorizer.check_call("redshift-data", "ExecuteStatement", &caller, &missing).unwrap_err();
        assert!(error.message.contains(action), "{error}");
    }
}

#[test]
fn an_encrypted_queue_needs_its_key_as_well() {
    let queue = "arn:aws:sqs:us-east-1:000000000000:q";
    let sqs = json!({"Effect": "Allow", "Action": "sqs:*", "Resource": queue});
    let kms = |action: &str| {
        json!({"Effect": "Allow", "Action": action, "Resource": "arn:aws:kms:us-east-1:000000000000:key/k",
               "Condition": {"StringEquals": {"kms:ViaService": "sqs.us-east-1.amazonaws.com"}}})
    };
    let body = json!({"QueueUrl": "http://h/0/q"});
    let encrypted = |statements: Value, principal: Value| {
        let (authorizer, caller) = with(statements);
        key(&authorizer, principal);
        let properties = json!({"KmsMasterKeyId": "alias/own"});
        let values = [("Arn", queue), ("QueueName", "q")];
        authorizer.put(&resource("AWS::SQS::Queue", "Queue", "http://h/0/q", &values, properties)).unwrap();
        (authorizer, caller)
    };
    let ask = |statements: Value, operation: &str| {
        let (authorizer, caller) = encrypted(statements, delegating());
        authorizer.check_call("sqs", operation, &caller, &body).map_err(|error| error.code)
    };
    assert_eq!(ask(json!([sqs]), "SendMessage").unwrap_err(), "KmsAccessDenied");
    assert_eq!(ask(json!([sqs, kms("kms:GenerateDataKey")]), "SendMessage").unwrap_err(), "KmsAccessDenied");
    assert_eq!(ask(json!([sqs, kms("kms:*")]), "SendMessage"), Ok(()));
    assert_eq!(ask(json!([sqs, kms("kms:Decrypt")]), "ReceiveMessage"), Ok(()));
    assert_eq!(ask(json!([sqs]), "DeleteMessage"), Ok(()));
    // Directly, without the service, the condition does not hold.
    let (authorizer, caller) = encrypted(json!([kms("kms:*")]), delegating());
    let direct = authorizer.check_call("kms", "GenerateDataKey", &caller, &json!({"KeyId": "alias/own"}));
    assert_eq!(direct.unwrap_err().code, "AccessDeniedException");
    // A rule needs both the queue's policy and the key's.
    let rule = "arn:aws:events:us-east-1:000000000000:rule/r";
    let because = Because { service: "events.amazonaws.com", source: rule };
    let service = json!({"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "*", "Resource": "*",
                         "Condition": {"ArnEquals": {"aws:SourceArn": rule}}});
    let policy = json!({"Version": "2012-10-17", "Statement": [service]});
    for (principal, expected) in [(delegating(), false), (service.clone(), true)] {
        let (authorizer, _) = encrypted(json!([sqs]), principal);
        assert!(authorizer.check_service(because, "sqs:SendMessage", queue).is_err(), "no queue policy yet");
        authorizer.put_resource_policy("s/P", &[queue.into()], Some(&policy)).unwrap();
        assert_eq!(authorizer.check_service(because, "sqs:SendMessage", queue).is_ok(), expected);
        let other = Because { source: "arn:aws:events:us-east-1:000000000000:rule/other", ..because };
        assert!(authorizer.check_service(other, "sqs:SendMessage", queue).is_err());
    }
}

#[tokio::test]
async fn who_may_not_list_is_not_told_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let buckets = Buckets::new(folder.path().to_owned(), REGION).unwrap();
    buckets.create_bucket("box", &json!({})).await.unwrap();
    buckets.put("box", "runs/a b", "1".into()).await.unwrap();
    let reading = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box/runs/*"});
    let listing = json!({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::box"});
    let deleting = json!({"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::box/runs/*"});
    let ask = async |statements: Value, method: Method, path: &str, body: &'static str| {
        let (authorizer, caller) = with(statements);
        let request = Request::builder().method(method).uri(path).header("content-length", body.len());
        let request = request.body(Body::from(body)).unwrap();
        let response = answer_s3(&authorizer, &caller, &buckets, request).await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let get = Method::GET;
    assert_eq!(ask(json!([reading]), get.clone(), "/box/runs/a%20b", "").await.0, 200);
    let (status, text) = ask(json!([reading]), get.clone(), "/box/runs/none", "").await;
    assert!(status == 403 && text.contains("<Code>AccessDenied</Code>") && text.contains("s3:ListBucket"), "{text}");
    assert_eq!(ask(json!([reading, listing]), get.clone(), "/box/runs/none", "").await.0, 404);
    assert_eq!(ask(json!([reading]), Method::HEAD, "/box/runs/none", "").await, (403, String::new()));
    assert_eq!(ask(json!([reading, listing]), get.clone(), "/box/other", "").await.0, 403);
    assert_eq!(ask(json!([reading]), get.clone(), "/box?list-type=2", "").await.0, 403);
    assert_eq!(ask(json!([listing]), get, "/box?list-type=2", "").await.0, 200);
    assert_eq!(ask(json!([reading]), Method::PUT, "/box/runs/new", "x").await.0, 403);
    let list = "<Delete><Object><Key>runs/x</Key></Object><Object><Key>other&amp;y</Key></Object></Delete>";
    let (status, text) = ask(json!([deleting]), Method::POST, "/box?delete", list).await;
    assert!(status == 403 && text.contains("box/other&amp;y"), "{text}");
    let list = "<Delete><Object><Key>runs/x</Key></Object></Delete>";
    assert_eq!(ask(json!([deleting]), Method::POST, "/box?delete", list).await.0, 200);
}

#[test]
fn what_aws_demands_when_a_resource_is_created() {
    let function = |properties: Value| {
        let mut all = json!({"Role": ROLE, "Code": "x"});
        all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        resource("AWS::Lambda::Function", "F", "f", &[("Arn", arn)], all)
    };
    let machine = |properties: Value| {
        let mut all = json!({"RoleArn": ROLE, "DefinitionString": "{}"});
        all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        let arn = "arn:aws:states:us-east-1:000000000000:stateMachine:m";
        resource("AWS::StepFunctions::StateMachine", "M", arn, &[("Arn", arn), ("Name", "m")], all)
    };
    let mapping = json!({"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q", "FunctionName": "f"});
    let (authorizer, _) = with(json!([]));
    authorizer.put(&function(json!({}))).unwrap();
    authorizer.put(&machine(json!({}))).unwrap();
    let cases = [
        (function(json!({"VpcConfig": {"SubnetIds": ["s"]}})), "CreateNetworkInterface on EC2"),
        (function(json!({"TracingConfig": {"Mode": "Active"}})), "PutTraceSegments on XRAY"),
        (
            function(json!({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:d"}})),
            "SendMessage on SQS",
        ),
        (function(json!({"Role": "arn:aws:iam::000000000000:role/none"})), "cannot be assumed by Lambda"),
        (resource("AWS::Lambda::EventSourceMapping", "E", "e", &[], mapping), "ReceiveMessage on SQS"),
        (machine(json!({"LoggingConfiguration": {"Level": "ERROR"}})), "access the Log Destination"),
        (machine(json!({"TracingConfiguration": {"Enabled": true}})), "xray:PutTraceSegments"),
        (machine(json!({"DefinitionString": "arn:aws:states:::states:startExecution.sync:2"})), "create managed-rule"),
        (machine(json!({"RoleArn": "arn:aws:iam::000000000000:role/none"})), "authorized to assume the provided role"),
    ];
    let (all, _) = with(json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    all.put(&function(json!({}))).unwrap();
    for (resource, problem) in cases {
        let error = authorizer.put(&resource).unwrap_err();
        assert!(error.message.contains(problem), "{error}");
        if !problem.contains("assume") {
            all.put(&resource).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    let group = |key: &str| resource("AWS::Logs::LogGroup", "G", "g", &[], json!({"KmsKeyId": key}));
    key(&authorizer, delegating());
    let error = authorizer.put(&group("alias/own")).unwrap_err();
    assert!(error.message.contains("not allowed to be used with Arn"), "{error}");
    key(
        &authorizer,
        json!({"Effect": "Allow", "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
        "Action": "kms:*", "Resource": "*", "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:*:*:log-group:*"}}}),
    );
    authorizer.put(&group("alias/own")).unwrap();
}

#[test]
fn policies_come_change_and_go_with_their_resources() {
    let (authorizer, caller) = with(json!([]));
    let table = json!({"TableName": "t"});
    let may = |authorizer: &Authorizer| authorizer.check_call("dynamodb", "PutItem", &caller, &table).is_ok();
    let policy = |action: &str| {
        let document =
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]});
        let properties = json!({"PolicyName": "more", "Roles": ["worker"], "PolicyDocument": document});
        resource("AWS::IAM::Policy", "Policy", "p", &[], properties)
    };
    assert!(!may(&authorizer));
    authorizer.put(&policy("dynamodb:*")).unwrap();
    assert!(may(&authorizer));
    // The role's own update leaves what was attached to it.
    authorizer.put(&role(json!([]))).unwrap();
    assert!(may(&authorizer));
    authorizer.put(&policy("dynamodb:GetItem")).unwrap();
    assert!(!may(&authorizer), "replaced");
    authorizer.put(&policy("dynamodb:PutItem")).unwrap();
    authorizer.forget_usage();
    let used = authorizer.usage().allowed;
    assert_eq!((used.len(), used[0].calls), (1, 0));
    assert!(may(&authorizer));
    let used = &authorizer.usage().allowed[0];
    assert_eq!((used.policy.as_str(), used.action.as_str(), used.calls), ("more", "dynamodb:PutItem", 1));
    assert_eq!(used.examples[0].1, "arn:aws:dynamodb:us-east-1:000000000000:table/t");
    authorizer.remove(&policy("dynamodb:PutItem"));
    assert!(!may(&authorizer));
    let mut bounded = role(json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    bounded.properties["PermissionsBoundary"] = json!("arn:aws:iam::000000000000:policy/edge");
    authorizer.put(&bounded).unwrap();
    assert!(may(&authorizer), "a boundary that no template has limits nothing");
    let edge = json!({"PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:Get*", "Resource": "*"}]}});
    authorizer
        .put(&resource("AWS::IAM::ManagedPolicy", "Edge", "arn:aws:iam::000000000000:policy/edge", &[], edge))
        .unwrap();
    authorizer.put(&bounded).unwrap();
    let error = authorizer.check_call("dynamodb", "PutItem", &caller, &table).unwrap_err();
    assert!(error.message.ends_with("because no permissions boundary allows the dynamodb:PutItem action"), "{error}");
    for (key, named) in [("dynamodb:LeadingKeys", "dynamodb:LeadingKeys"), ("aws:Colour", "aws:Colour")] {
        let condition =
            json!([{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {key: "x"}}}]);
        let error = authorizer.put(&role(condition)).unwrap_err();
        assert!(error.message.contains(named), "{error}");
    }
}
