//! Decisions, table by table.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::sync::Arc;

use iam::{
    Attached, Context, Decision, Document, Error, Guarding, Kind, Policies, Principal, Reason, Request, evaluate,
};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/path/worker";
const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/worker/run";

fn session() -> Principal {
    Principal::Session { role: ROLE.into(), session: SESSION.into() }
}

fn context() -> Context {
    let mut context = Context::new()
        .with("aws:userid", "AROA1:run")
        .with("aws:SecureTransport", "true")
        .with("aws:PrincipalTag/team", "data*")
        .with("aws:SourceIp", "10.1.2.3")
        .with("aws:CurrentTime", "2026-11-21T09:00:00Z")
        .with("s3:max-keys", "10")
        .with("kms:EncryptionContext:table", "t");
    for key in ["a", "b"] {
        context.add("aws:TagKeys", key);
    }
    context
}

fn policy(kind: Kind, statements: Value) -> Attached {
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    Attached { name: "p".into(), document: Arc::new(Document::parse(kind, &document).expect("a good policy")) }
}

fn identity(statement: Value) -> Attached {
    policy(Kind::Identity, statement)
}

fn decide(principal: &Principal, action: &str, resource: &str, policies: &Policies<'_>) -> Decision {
    let context = context();
    evaluate(&Request { principal, action, resource, context: &context }, policies)
}

/// Whether a session may, by one identity policy.
fn may(statement: Value, action: &str, resource: &str) -> bool {
    let identity = [identity(statement)];
    let policies = Policies { identity: &identity, boundary: None, resource: &[], guarding: Guarding::Either };
    decide(&session(), action, resource, &policies).allowed()
}

#[test]
fn actions_and_resources() {
    let queue = "arn:aws:sqs:eu-west-1:123456789012:jobs";
    let cases: [(Value, &str, &str, bool); 23] = [
        (json!({"Action": "sqs:SendMessage", "Resource": queue}), "sqs:SendMessage", queue, true),
        (json!({"Action": "SQS:sendmessage", "Resource": queue}), "sqs:SendMessage", queue, true),
        (json!({"Action": "sqs:Send*", "Resource": queue}), "sqs:SendMessage", queue, true),
        (json!({"Action": "sqs:?endMessage", "Resource": queue}), "sqs:SendMessage", queue, true),
        (json!({"Action": "*", "Resource": "*"}), "sqs:SendMessage", queue, true),
        (json!({"Action": "sqs:Receive*", "Resource": queue}), "sqs:SendMessage", queue, false),
        (
            json!({"Action": ["a:B", "sqs:SendMessage"], "Resource": ["arn:x:y:::z", queue]}),
            "sqs:SendMessage",
            queue,
            true,
        ),
        (json!({"NotAction": "sqs:Delete*", "Resource": queue}), "sqs:SendMessage", queue, true),
        (json!({"NotAction": "sqs:Delete*", "Resource": queue}), "sqs:DeleteMessage", queue, false),
        (json!({"Action": "sqs:*", "NotResource": queue}), "sqs:SendMessage", queue, false),
        (json!({"Action": "sqs:*", "NotResource": format!("{queue}-2")}), "sqs:SendMessage", queue, true),
        // Resources are case-sensitive, and a wildcard stays in its part of the ARN.
        (
            json!({"Action": "sqs:*", "Resource": "arn:aws:sqs:eu-west-1:123456789012:Jobs"}),
            "sqs:SendMessage",
            queue,
            false,
        ),
        (json!({"Action": "sqs:*", "Resource": "arn:aws:sqs:eu-*:*:j?bs"}), "sqs:SendMessage", queue, true),
        (json!({"Action": "sqs:*", "Resource": "arn:aws:s*:jobs:*:x:*"}), "sqs:SendMessage", queue, false),
        (json!({"Action": "sqs:*", "Resource": "arn:aws:sqs:*"}), "sqs:SendMessage", queue, true),
        (
            json!({"Action": "s3:*", "Resource": "arn:aws:s3:::b/runs/*"}),
            "s3:GetObject",
            "arn:aws:s3:::b/runs/a/b:c",
            true,
        ),
        (json!({"Action": "s3:*", "Resource": "arn:aws:s3:::b/*"}), "s3:ListBucket", "arn:aws:s3:::b", false),
        (
            json!({"Action": "states:*", "Resource": "arn:aws:states:r:1:execution:m:*"}),
            "states:StopExecution",
            "arn:aws:states:r:1:execution:m:e",
            true,
        ),
        (
            json!({"Action": "states:*", "Resource": "arn:aws:states:r:1:execution:m:*"}),
            "states:StopExecution",
            "arn:aws:states:r:1:execution:m2:e",
            false,
        ),
        // An action without resources needs the asterisk.
        (json!({"Action": "states:SendTaskSuccess", "Resource": "*"}), "states:SendTaskSuccess", "*", true),
        (
            json!({"Action": "states:SendTaskSuccess", "Resource": "arn:aws:states:*:*:*"}),
            "states:SendTaskSuccess",
            "*",
            false,
        ),
        (
            json!({"Action": "s3:*", "Resource": "arn:aws:s3:::b/${aws:userid}/*"}),
            "s3:GetObject",
            "arn:aws:s3:::b/AROA1:run/k",
            true,
        ),
        (
            json!({"Action": "s3:*", "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/none, 'all'}/${*}"}),
            "s3:GetObject",
            "arn:aws:s3:::b/all/*",
            true,
        ),
    ];
    for (mut statement, action, resource, expected) in cases {
        statement["Effect"] = json!("Allow");
        assert_eq!(may(statement.clone(), action, resource), expected, "{statement} {action} {resource}");
    }
}

#[test]
fn variables_are_literal_and_only_of_the_new_version() {
    let statement = |resource: &str| json!({"Effect": "Allow", "Action": "s3:*", "Resource": resource});
    // The tag's value ends in an asterisk, which is no wildcard.
    let by_tag = statement("arn:aws:s3:::b/${aws:PrincipalTag/team}/k");
    assert!(may(by_tag.clone(), "s3:GetObject", "arn:aws:s3:::b/data*/k"));
    assert!(!may(by_tag, "s3:GetObject", "arn:aws:s3:::b/datastore/k"));
    assert!(!may(statement("arn:aws:s3:::b/${aws:username}/k"), "s3:GetObject", "arn:aws:s3:::b//k"), "no value");
    let old = json!({"Version": "2008-10-17", "Statement": [statement("arn:aws:s3:::b/${aws:userid}")]});
    let old = [Attached { name: "p".into(), document: Arc::new(Document::parse(Kind::Identity, &old).unwrap()) }];
    let policies = Policies { identity: &old, boundary: None, resource: &[], guarding: Guarding::Either };
    assert!(decide(&session(), "s3:GetObject", "arn:aws:s3:::b/${aws:userid}", &policies).allowed());
}

#[test]
fn conditions() {
    let cases: [(Value, bool); 54] = [
        (json!({"StringEquals": {"aws:userid": "AROA1:run"}}), true),
        (json!({"StringEquals": {"AWS:UserId": ["x", "AROA1:run"]}}), true),
        (json!({"StringEquals": {"aws:userid": "AROA1:*"}}), false),
        (json!({"StringEquals": {"aws:userid": "${aws:userid}"}}), true),
        (json!({"StringNotEquals": {"aws:userid": ["x", "AROA1:run"]}}), false),
        (json!({"StringNotEquals": {"aws:userid": ["x", "y"]}}), true),
        (json!({"StringNotEquals": {"aws:username": "x"}}), true),
        (json!({"StringEqualsIgnoreCase": {"aws:userid": "aroa1:RUN"}}), true),
        (json!({"StringNotEqualsIgnoreCase": {"aws:userid": "aroa1:RUN"}}), false),
        (json!({"StringLike": {"aws:userid": "AROA1:*"}}), true),
        (json!({"StringLike": {"aws:userid": "AROA?:r?n"}}), true),
        (json!({"StringNotLike": {"aws:userid": "AROA1:*"}}), false),
        (json!({"StringEquals": {"aws:username": "x"}}), false),
        (json!({"StringEqualsIfExists": {"aws:username": "x"}}), true),
        (json!({"StringEqualsIfExists": {"aws:userid": "x"}}), false),
        (json!({"StringEquals": {"aws:userid": "AROA1:run", "aws:username": "x"}}), false),
        (json!({"StringEquals": {"aws:userid": "AROA1:run"}, "Bool": {"aws:SecureTransport": "false"}}), false),
        (json!({"Bool": {"aws:SecureTransport": true}}), true),
        (json!({"Bool": {"aws:SecureTransport": "TRUE"}}), true),
        (json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}), false),
        (json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}), true),
        (json!({"Null": {"aws:username": "true"}}), true),
        (json!({"Null": {"aws:username": "false"}}), false),
        (json!({"Null": {"aws:userid": false}}), true),
        (json!({"NumericEquals": {"s3:max-keys": "10.0"}}), true),
        (json!({"NumericNotEquals": {"s3:max-keys": "10"}}), false),
        (json!({"NumericLessThan": {"s3:max-keys": 11}}), true),
        (json!({"NumericLessThan": {"s3:max-keys": "10"}}), false),
        (json!({"NumericLessThanEquals": {"s3:max-keys": "10"}}), true),
        (json!({"NumericGreaterThan": {"s3:max-keys": "9"}}), true),
        (json!({"NumericGreaterThanEquals": {"s3:max-keys": "10.5"}}), false),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-11-21"}}), true),
        (json!({"DateLessThan": {"aws:CurrentTime": "2026-11-21T10:00:00+02:00"}}), false),
        (json!({"DateEquals": {"aws:CurrentTime": "1795251600"}}), true),
        (json!({"DateNotEquals": {"aws:CurrentTime": "2026-11-21T09:00:00Z"}}), false),
        (json!({"DateLessThanEquals": {"aws:CurrentTime": "2026-11-21T09:00:00"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.0.0.0/8"]}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "10.1.2.4"}}), false),
        (json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "::/0"}}), false),
        (json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), false),
        (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["b", "c"]}}), true),
        (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": "c"}}), false),
        (json!({"ForAnyValue:StringNotEquals": {"aws:TagKeys": "a"}}), true),
        (json!({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a", "b"]}}), false),
        (json!({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "a"}}), false),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b", "c"]}}), true),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}), false),
        (json!({"ForAllValues:StringNotEquals": {"aws:TagKeys": "c"}}), true),
        (json!({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": "a"}}), true),
        (json!({"ForAnyValue:StringEqualsIfExists": {"kms:EncryptionContextKeys": "a"}}), true),
        (json!({"StringEquals": {"kms:EncryptionContext:table": "t"}}), true),
        (json!({"BinaryEquals": {"kms:EncryptionContext:table": "t"}}), true),
        (json!({"ArnLike": {"aws:SourceArn": "arn:*:*:*:*:*"}}), false),
    ];
    for (condition, expected) in cases {
        let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition});
        assert_eq!(may(statement, "s3:GetObject", "arn:aws:s3:::b/k"), expected, "{condition}");
    }
}

#[test]
fn a_boundary_an_explicit_deny_and_who_said_so() {
    let allow = identity(json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]));
    let deny = identity(json!([
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:Put*", "Resource": "arn:aws:s3:::b/locked/*"},
    ]));
    let boundary = identity(json!([{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]));
    let decide = |identity: &Attached, boundary: Option<&Attached>, action: &str| {
        let identity = [identity.clone()];
        let policies = Policies { identity: &identity, boundary, resource: &[], guarding: Guarding::Either };
        decide(&session(), action, "arn:aws:s3:::b/locked/k", &policies)
    };
    assert!(decide(&allow, None, "s3:PutObject").allowed());
    let explicit = Reason::Explicit { policy: "p".into(), statement: 1, kind: "identity-based policy" };
    assert_eq!(decide(&deny, None, "s3:PutObject"), Decision::Denied(explicit));
    assert!(decide(&allow, Some(&boundary), "s3:GetObject").allowed());
    let implicit = Reason::Implicit { kind: "permissions boundary" };
    assert_eq!(decide(&allow, Some(&boundary), "s3:PutObject"), Decision::Denied(implicit));
    let implicit = Reason::Implicit { kind: "identity-based policy" };
    assert_eq!(decide(&boundary, None, "s3:PutObject"), Decision::Denied(implicit));
}

#[test]
fn principals_of_resources() {
    let root = "arn:aws:iam::123456789012:root";
    let service = Principal::Service("events.amazonaws.com".into());
    let user = Principal::User("arn:aws:iam::123456789012:user/u".into());
    let other = Principal::User("arn:aws:iam::210987654321:user/u".into());
    let cases = [
        (json!("*"), session(), true),
        (json!("*"), service.clone(), true),
        (json!({"AWS": "*"}), session(), true),
        (json!({"AWS": ROLE}), session(), true),
        (json!({"AWS": SESSION}), session(), true),
        (json!({"AWS": "arn:aws:iam::123456789012:role/path/other"}), session(), false),
        (json!({"AWS": "arn:aws:iam::123456789012:user/u"}), user.clone(), true),
        // The account only hands the question to its identity policies, which say nothing here.
        (json!({"AWS": root}), session(), false),
        (json!({"AWS": "123456789012"}), user, false),
        (json!({"AWS": root}), Principal::Root("123456789012".into()), true),
        (json!({"AWS": root}), other, false),
        (json!({"Service": "events.amazonaws.com"}), service.clone(), true),
        (json!({"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}), service.clone(), true),
        (json!({"Service": "sns.amazonaws.com"}), service, false),
        (json!({"Service": "events.amazonaws.com"}), session(), false),
        (json!({"Federated": "cognito-identity.amazonaws.com"}), session(), false),
    ];
    for (principal, caller, expected) in cases {
        let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sqs:*", "Resource": "*"});
        let resource = [policy(Kind::Resource, statement)];
        let policies = Policies { identity: &[], boundary: None, resource: &resource, guarding: Guarding::Either };
        let decided = decide(&caller, "sqs:SendMessage", "arn:aws:sqs:r:123456789012:q", &policies);
        assert_eq!(decided.allowed(), expected, "{principal} {caller:?}");
    }
    // All but a role: each form of the caller must be listed.
    let but = |listed: Value| {
        let statement = json!({"Effect": "Deny", "NotPrincipal": {"AWS": listed}, "Action": "*", "Resource": "*"});
        let resource = [policy(Kind::Resource, statement)];
        let identity = [identity(json!({"Effect": "Allow", "Action": "*", "Resource": "*"}))];
        let policies =
            Policies { identity: &identity, boundary: None, resource: &resource, guarding: Guarding::Either };
        decide(&session(), "sqs:SendMessage", "arn:aws:sqs:r:123456789012:q", &policies).allowed()
    };
    assert!(but(json!([root, ROLE, SESSION])));
    assert!(!but(json!([ROLE])));
}

#[test]
fn a_key_s_policy_decides_whether_the_account_s_count() {
    let identity = [identity(json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}))];
    let key = |principal: Value, condition: Value| {
        let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*", "Condition": condition});
        [policy(Kind::Resource, statement)]
    };
    let ask = |identity: &[Attached], resource: &[Attached], action: &str| {
        let policies = Policies { identity, boundary: None, resource, guarding: Guarding::Delegated };
        decide(&session(), action, "arn:aws:kms:r:123456789012:key/k", &policies)
    };
    let root = json!({"AWS": "arn:aws:iam::123456789012:root"});
    let delegating = key(root.clone(), json!({}));
    assert!(ask(&identity, &delegating, "kms:Decrypt").allowed());
    assert!(!ask(&identity, &delegating, "kms:Encrypt").allowed());
    assert!(!ask(&[], &delegating, "kms:Decrypt").allowed());
    let no_delegation = key(json!({"AWS": "arn:aws:iam::123456789012:role/path/other"}), json!({}));
    let decided = ask(&identity, &no_delegation, "kms:Decrypt");
    assert_eq!(decided, Decision::Denied(Reason::Implicit { kind: "resource-based policy" }));
    let other_way = key(root, json!({"Bool": {"aws:SecureTransport": "false"}}));
    assert!(!ask(&identity, &other_way, "kms:Decrypt").allowed());
    assert!(ask(&[], &key(json!({"AWS": ROLE}), json!({})), "kms:Decrypt").allowed());
}

#[test]
fn a_trust_policy_alone_decides() {
    let trust = json!({"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"},
                      "ArnLike": {"aws:SourceArn": "arn:aws:states:*:*:stateMachine:*"}}});
    let trust = [policy(Kind::Trust, trust)];
    let policies = Policies { identity: &[], boundary: None, resource: &trust, guarding: Guarding::ResourceOnly };
    let ask = |service: &str, account: &str| {
        let principal = Principal::Service(service.into());
        let context = Context::new()
            .with("aws:SourceAccount", account)
            .with("aws:SourceArn", "arn:aws:states:r:123456789012:stateMachine:m");
        let request = Request { principal: &principal, action: "sts:AssumeRole", resource: ROLE, context: &context };
        evaluate(&request, &policies).allowed()
    };
    assert!(ask("states.amazonaws.com", "123456789012"));
    assert!(!ask("lambda.amazonaws.com", "123456789012"));
    assert!(!ask("states.amazonaws.com", "210987654321"));
}

#[test]
fn what_is_wrong_is_named() {
    let of = |kind: Kind, statement: Value| {
        Document::parse(kind, &json!({"Version": "2012-10-17", "Statement": statement})).unwrap_err()
    };
    let condition =
        |condition: Value| json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition});
    let at = |place: &str| format!("Statement[0].Condition.{place}");
    assert_eq!(
        of(Kind::Identity, condition(json!({"StringSame": {"aws:userid": "x"}}))),
        Error::Operator { at: at("StringSame"), name: "StringSame".into() }
    );
    for operator in ["NullIfExists", "ForAnyValue:Null", "ForSome:StringEquals", "stringequal"] {
        let error = of(Kind::Identity, condition(json!({operator: {"aws:userid": "x"}})));
        assert_eq!(error, Error::Operator { at: at(operator), name: operator.into() });
    }
    for key in ["aws:colour", "userid", "kms:EncryptionContext:", "nosuch:key", "redshift-data:owner"] {
        let error = of(Kind::Identity, condition(json!({"StringEquals": {key: "x"}})));
        assert_eq!(error, Error::Key { at: at(&format!("StringEquals.{key}")), name: key.into() });
    }
    for (kind, statement, part) in [
        (Kind::Identity, json!({"Effect": "Permit", "Action": "*", "Resource": "*"}), "Effect"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": "*"}), "Resource is missing"),
        (Kind::Identity, json!({"Effect": "Allow", "Resource": "*"}), "Action is missing"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": [], "Resource": "*"}), "is empty"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": "s3", "Resource": "*"}), "s3 is no service:action"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": "*", "Resource": "bucket"}), "bucket is no ARN"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}), "has both"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}), "has no place"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Colour": 1}), "no element Colour"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": "*", "Resource": "arn:${aws:nosuch}"}), "aws:nosuch"),
        (Kind::Identity, json!({"Effect": "Allow", "Action": "*", "Resource": "arn:${aws:userid"}), "no end"),
        (Kind::Resource, json!({"Effect": "Allow", "Action": "*", "Resource": "*"}), "Principal is missing"),
        (
            Kind::Resource,
            json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::123456789012:role/*"}}),
            "no principal",
        ),
        (
            Kind::Resource,
            json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": {"Aws": "*"}}),
            "no element Aws",
        ),
        (Kind::Trust, json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}), "has no place"),
        (Kind::Identity, condition(json!({"NumericEquals": {"s3:max-keys": "many"}})), "many is no value"),
        (Kind::Identity, condition(json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}})), "no value"),
        (Kind::Identity, condition(json!({"Bool": {"aws:SecureTransport": "no"}})), "no value"),
    ] {
        let error = of(kind, statement.clone()).to_string();
        assert!(error.contains(part), "{statement}: {error}");
    }
    for (document, part) in [
        (json!([]), "is no object"),
        (json!("{"), "Policy"),
        (json!({"Version": "2020-01-01", "Statement": []}), "Version"),
        (json!({"Statement": [], "Statements": []}), "no element Statements"),
        (json!({"Version": "2012-10-17"}), "Statement"),
    ] {
        let error = Document::parse(Kind::Identity, &document).unwrap_err().to_string();
        assert!(error.contains(part), "{document}: {error}");
    }
}
