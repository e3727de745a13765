//! Whatever a policy says and whatever is asked, there is a decision or an error.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::sync::Arc;

use iam::{Attached, Context, Document, Guarding, Kind, Policies, Principal, Request, evaluate};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Texts that look like what policies hold, and some that do not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        "(s3|kms|[a-z]{1,3}):[A-Za-z*?]{0,6}",
        "arn:(aws|\\*):[a-z0-9*?]{0,4}:[a-z*]{0,3}:[0-9*]{0,3}:[a-z/:*?]{0,8}",
        "(\\$\\{)?[a-zA-Z:/*?${}', é]{0,12}\\}?",
        "[0-9./:-]{0,12}",
        "\\PC{0,6}",
    ]
}

fn texts() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        prop::collection::vec(text(), 0..3).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let operator = prop::sample::select(vec![
        "StringEquals",
        "StringNotLike",
        "StringLikeIfExists",
        "ForAnyValue:StringLike",
        "ForAllValues:ArnLike",
        "NumericLessThan",
        "DateEquals",
        "IpAddress",
        "NotIpAddress",
        "Bool",
        "Null",
        "BinaryEquals",
        "Other",
    ]);
    let key = prop::sample::select(vec!["aws:userid", "aws:SourceIp", "aws:CurrentTime", "aws:TagKeys", "s3:max-keys"]);
    (operator, key, texts()).prop_map(|(operator, key, texts)| json!({operator: {key: texts}}))
}

fn statement() -> impl Strategy<Value = Value> {
    let effect = prop::sample::select(vec!["Allow", "Deny"]);
    let principal = prop_oneof![Just(json!("*")), texts().prop_map(|names| json!({"AWS": names}))];
    (effect, texts(), texts(), any::<[bool; 3]>(), condition(), principal).prop_map(
        |(effect, actions, resources, [not_action, not_resource, owned], condition, principal)| {
            let mut statement = json!({"Effect": effect, "Condition": condition});
            statement[if not_action { "NotAction" } else { "Action" }] = actions;
            statement[if not_resource { "NotResource" } else { "Resource" }] = resources;
            if owned {
                statement["Principal"] = principal;
            }
            statement
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn there_is_always_an_answer(
        statements in prop::collection::vec(statement(), 0..3),
        action in text(), asked in text(), values in prop::collection::vec(text(), 0..3),
    ) {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        let mut context = Context::new();
        for value in &values {
            context.add("aws:TagKeys", value);
            context.set("aws:SourceIp", value);
            context.set("aws:userid", value);
            context.set("aws:CurrentTime", value);
        }
        let principal = Principal::Session { role: "arn:aws:iam::123456789012:role/r".into(), session: "s".into() };
        let parsed: Vec<(Kind, Attached)> = [Kind::Identity, Kind::Resource, Kind::Trust]
            .into_iter()
            .filter_map(|kind| {
                let document = Arc::new(Document::parse(kind, &document).ok()?);
                Some((kind, Attached { name: "p".into(), document }))
            })
            .collect();
        for guarding in [Guarding::Either, Guarding::Delegated, Guarding::ResourceOnly] {
            let of = |wanted: Kind| -> Vec<Attached> {
                parsed.iter().filter(|(kind, _)| *kind == wanted).map(|(_, document)| document.clone()).collect()
            };
            let (identity, resource) = (of(Kind::Identity), of(Kind::Resource));
            let policies = Policies { identity: &identity, boundary: identity.first(), resource: &resource, guarding };
            let request = Request { principal: &principal, action: &action, resource: &asked, context: &context };
            let _ = evaluate(&request, &policies);
        }
    }

    #[test]
    fn any_json_is_a_policy_or_an_error(text in "\\PC{0,80}") {
        let _ = Document::parse(Kind::Identity, &Value::String(text));
    }
}
