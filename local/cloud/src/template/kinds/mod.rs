//! The resource types: their properties, what `Ref` and `Fn::GetAtt` give, and how a resource is named that the
//! template does not name.
//!
//! A type that is not here is refused by name. Everything is computed from names, nothing is looked up: the same
//! templates and parameters always give the same names and ARNs.

mod compute;
mod observed;
mod storage;

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::intrinsics::Attributes;
use super::shape::Property;

/// One resource type.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// CloudFormation's name, such as `AWS::SQS::Queue`.
    pub name: &'static str,
    /// Its properties.
    pub properties: &'static [Property],
    /// What references to it give.
    pub(super) attributes: fn(&Naming<'_>, &Value) -> Attributes,
}

/// The type of this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    all().find(|kind| kind.name == name)
}

/// Every type that the local cloud knows, nested stacks apart.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    storage::KINDS.iter().chain(compute::KINDS).chain(observed::KINDS)
}

/// From what names and ARNs are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming<'a> {
    pub partition: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    /// Where queue URLs begin, `http://127.0.0.1:PORT`.
    pub endpoint: &'a str,
    pub stack: &'a str,
    pub logical: &'a str,
    /// How often a stack of this name was created before. What a former one retained keeps its name.
    pub incarnation: u32,
}

impl Naming<'_> {
    /// The name that the property gives, or `<stack>-<LogicalId>` cut to `limit` characters. CloudFormation appends
    /// something random to the latter; here it stays predictable.
    fn name(&self, properties: &Value, property: &str, limit: usize) -> String {
        if let Some(name) = properties.get(property).and_then(Value::as_str) {
            return name.to_owned();
        }
        let name = match self.incarnation {
            0 => format!("{}-{}", self.stack, self.logical),
            times => format!("{}-{}-{times}", self.stack, self.logical),
        };
        if name.len() <= limit {
            return name;
        }
        // A digest keeps two long names apart.
        let digest = self.digest();
        let cut: String = name.chars().take(limit - 9).collect();
        format!("{cut}-{}", &digest[..8])
    }

    fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{rest}", self.partition, self.region, self.account)
    }

    /// For services whose ARNs carry no region.
    fn global(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}::{}:{rest}", self.partition, self.account)
    }

    fn digest(&self) -> String {
        let times = match self.incarnation {
            0 => String::new(),
            times => format!("\n{times}"),
        };
        hex::encode(Sha256::digest(format!("{}\n{}{times}", self.stack, self.logical)))
    }

    /// A UUID that depends on the resource and on what it is made of.
    fn of_content(&self, properties: &Value) -> String {
        uuid(&hex::encode(Sha256::digest(format!("{}\n{properties}", self.digest()))))
    }

    /// A UUID that depends on the resource only.
    pub(super) fn uuid(&self) -> String {
        uuid(&self.digest())
    }

    /// The stack's own ARN.
    pub(super) fn stack_id(&self) -> String {
        self.arn("cloudformation", &format!("stack/{}/{}", self.stack, Self { logical: "", ..*self }.uuid()))
    }

    /// A unique id as IAM gives it, with its four letters in front.
    fn unique_id(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.digest()[..17].to_uppercase())
    }
}

fn uuid(digest: &str) -> String {
    [&digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32]].join("-")
}

/// Attributes from pairs.
fn attributes<const N: usize>(reference: impl Into<String>, values: [(&str, String); N]) -> Attributes {
    Attributes {
        reference: reference.into(),
        values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>(),
    }
}

fn text<'v>(properties: &'v Value, name: &str) -> &'v str {
    properties.get(name).and_then(Value::as_str).unwrap_or_default()
}
