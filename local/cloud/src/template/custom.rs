//! Custom resources: types that a template makes up, behind which a function stands.
//!
//! Only their own properties are checked; the others are the function's.

use serde_json::{Map, Value, json};

use super::intrinsics::{Failed, PENDING, fail};
use super::parameters::scalar;
use super::source::Findings;

/// Whether a type is one of them.
pub(crate) fn is(kind: &str) -> bool {
    kind == "AWS::CloudFormation::CustomResource" || kind.strip_prefix("Custom::").is_some_and(|name| !name.is_empty())
}

/// The longest time that CloudFormation waits for an answer, in seconds; also when the template does not say.
pub(crate) const SERVICE_TIMEOUT: u64 = 3_600;

/// Checks `ServiceToken` and `ServiceTimeout`, and makes every scalar a text, as the function gets it.
pub(super) fn check(properties: Map<String, Value>, at: &str, findings: &mut Findings) -> Result<Value, Failed> {
    if properties.get("ServiceToken").and_then(Value::as_str).is_none() {
        let remedy = "give the ARN of the function that answers";
        return fail(findings, &format!("{at}.ServiceToken"), "is missing or no text", remedy);
    }
    if let Some(timeout) = properties.get("ServiceTimeout").and_then(scalar)
        && !timeout.contains(PENDING)
        && !timeout.parse::<u64>().is_ok_and(|seconds| (1..=SERVICE_TIMEOUT).contains(&seconds))
    {
        let problem = format!("{timeout:?} is no number of seconds from 1 to {SERVICE_TIMEOUT}");
        return fail(findings, &format!("{at}.ServiceTimeout"), problem, "give seconds");
    }
    Ok(texts(Value::Object(properties)))
}

fn texts(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, member)| (name, texts(member))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(texts).collect()),
        other => scalar(&other).map_or(other, |text| json!(text)),
    }
}
