//! `${Name}` in a definition: CloudFormation fills it in when the stack is made. Here something of the right shape
//! stands in for it, and nothing is said about a value of which nothing is known.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Fields that are numbers, with what stands in for one: a timeout above a heartbeat.
const NUMBERS: [(&str, i64); 13] = [
    ("TimeoutSeconds", 1_000_000),
    ("HeartbeatSeconds", 1),
    ("Seconds", 1),
    ("IntervalSeconds", 1),
    ("MaxAttempts", 1),
    ("BackoffRate", 2),
    ("MaxDelaySeconds", 1),
    ("MaxConcurrency", 1),
    ("MaxItems", 1),
    ("MaxItemsPerBatch", 1),
    ("MaxInputBytesPerBatch", 1),
    ("ToleratedFailureCount", 1),
    ("ToleratedFailurePercentage", 1),
];

/// The part of the text at its start that is a substitution, in bytes.
fn length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("${")?;
    let end = inside.find('}')?;
    let name = &inside[..end];
    let good = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    (!name.is_empty() && name.chars().all(good)).then_some(end + 3)
}

/// Whether there is a substitution somewhere in the value.
pub(super) fn holds(value: &Value) -> bool {
    match value {
        Value::String(text) => text.match_indices("${").any(|(at, _)| length(&text[at..]).is_some()),
        Value::Array(items) => items.iter().any(holds),
        Value::Object(members) => members.values().any(holds),
        _ => false,
    }
}

/// The text with every substitution that stands where a value should be, outside of quotes, in quotes: nothing moves
/// on its line but what comes behind it.
pub(super) fn unquoted(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    let (mut quoted, mut escaped) = (false, false);
    while let Some(c) = text[at..].chars().next() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '$' if !quoted => {
                if let Some(length) = length(&text[at..]) {
                    out.push_str(&text[copied..at]);
                    out.push('"');
                    out.push_str(&text[at..at + length]);
                    out.push('"');
                    at += length;
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The definition with something in place of every substitution.
pub(super) fn filled(value: &Value) -> Value {
    named("", value)
}

fn named(name: &str, value: &Value) -> Value {
    match value {
        Value::String(text) => text_of(name, text),
        Value::Array(items) => Value::Array(items.iter().map(|item| named(name, item)).collect()),
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), named(name, value))).collect();
            Value::Object(members)
        }
        other => other.clone(),
    }
}

fn text_of(name: &str, text: &str) -> Value {
    let whole = length(text) == Some(text.len());
    if whole && let Some((_, number)) = NUMBERS.iter().find(|(field, _)| *field == name) {
        return (*number).into();
    }
    match name {
        "Resource" if whole => return "arn:aws:lambda:us-east-1:000000000000:function:substituted".into(),
        "Timestamp" if whole => return "2026-01-01T00:00:00Z".into(),
        _ => {}
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        match length(&rest[at..]) {
            Some(length) => {
                // A word, so that it can stand in an ARN, in a path and in an expression.
                out.push_str(if rest[at..].starts_with("${AWS::Partition}") { "aws" } else { "substituted" });
                rest = &rest[at + length..];
            }
            None => {
                out.push_str("${");
                rest = &rest[at + 2..];
            }
        }
    }
    out.push_str(rest);
    out.into()
}
