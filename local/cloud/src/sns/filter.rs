//! Filter policies of subscriptions (SNS guide, "Amazon SNS subscription filter policies"): the same operators as event
//! patterns, over a message's attributes or its body.
//!
//! Pure. A policy that was accepted never fails later.

use serde_json::{Map, Value};

use super::invalid;
use crate::ApiError;
use crate::events::Pattern;

/// Attribute names in one policy (SNS guide, "Filter policy constraints").
const MAX_KEYS: usize = 5;

/// A filter policy.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pattern: Pattern,
    scope: Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Attributes,
    Body,
}

impl Filter {
    /// Reads a policy and its scope; an empty policy is none.
    ///
    /// # Errors
    /// `InvalidParameter`, naming what is not understood.
    pub(super) fn parse(policy: Option<&str>, scope: Option<&str>) -> Result<Option<Self>, ApiError> {
        let scope = match scope {
            None | Some("MessageAttributes") => Scope::Attributes,
            Some("MessageBody") => Scope::Body,
            Some(other) => return Err(invalid(format!("FilterPolicyScope: Invalid value [{other}]"))),
        };
        let Some(policy) = policy else {
            return Ok(None);
        };
        let wrong = |reason: &str| invalid(format!("FilterPolicy: {reason}"));
        let policy: Value = serde_json::from_str(policy).map_err(|_| wrong("failed to parse JSON."))?;
        let Value::Object(keys) = &policy else {
            return Err(wrong("Filter policy must be an object"));
        };
        if keys.is_empty() {
            return Ok(None);
        }
        if keys.len() > MAX_KEYS {
            return Err(wrong("Filter policy can not have more than 5 keys"));
        }
        if scope == Scope::Attributes && keys.values().any(Value::is_object) {
            return Err(wrong("Filter policy scope MessageAttributes does not support nested filter policy"));
        }
        let pattern = Pattern::parse(&policy).map_err(|error| wrong(&error.message))?;
        Ok(Some(Self { pattern, scope }))
    }

    /// Whether the subscription gets this message.
    pub(super) fn takes(&self, text: &str, attributes: &Map<String, Value>) -> bool {
        match self.scope {
            Scope::Body => {
                serde_json::from_str::<Value>(text).is_ok_and(|body| body.is_object() && self.pattern.matches(&body))
            }
            Scope::Attributes => {
                let values = attributes.iter().filter_map(|(name, value)| {
                    let text = value.get("StringValue")?.as_str()?;
                    let value = match value.get("DataType")?.as_str()? {
                        "String.Array" => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
                        kind if kind.starts_with("Number") => serde_json::from_str(text).ok()?,
                        _ => Value::from(text),
                    };
                    Some((name.clone(), value))
                });
                self.pattern.matches(&Value::Object(values.collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operators_over_attributes_and_body() {
        let attributes = json!({
            "store": {"DataType": "String", "StringValue": "example_corp"},
            "price": {"DataType": "Number", "StringValue": "210.75"},
            "tags": {"DataType": "String.Array", "StringValue": "[\"rugby\", \"soccer\"]"},
            "raw": {"DataType": "Binary", "BinaryValue": "AA=="},
        });
        let body = r#"{"store": "example_corp", "customer": {"age": 5}}"#;
        for (policy, scope, taken) in [
            (json!({"store": ["example_corp"]}), None, true),
            (json!({"store": ["other"]}), None, false),
            (json!({"store": [{"prefix": "example"}], "price": [{"numeric": [">", 200]}]}), None, true),
            (json!({"store": ["example_corp"], "price": [{"numeric": ["<", 200]}]}), None, false),
            (json!({"tags": ["soccer"]}), None, true),
            (json!({"tags": [{"anything-but": ["rugby", "soccer"]}]}), None, false),
            (json!({"raw": [{"exists": true}]}), None, false),
            (json!({"other": [{"exists": false}]}), None, true),
            (json!({"$or": [{"store": ["x"]}, {"price": [{"numeric": ["=", 210.75]}]}]}), None, true),
            (json!({"store": ["example_corp"], "customer": {"age": [5]}}), Some("MessageBody"), true),
            (json!({"customer": {"age": [6]}}), Some("MessageBody"), false),
            (json!({"price": [{"numeric": [">", 200]}]}), Some("MessageBody"), false),
        ] {
            let filter = Filter::parse(Some(&policy.to_string()), scope).unwrap().unwrap();
            assert_eq!(filter.takes(body, attributes.as_object().unwrap()), taken, "{policy}");
        }
        let filter = Filter::parse(Some(r#"{"a": [{"exists": false}]}"#), Some("MessageBody")).unwrap().unwrap();
        assert!(!filter.takes("no JSON", &Map::new()));
        assert!(Filter::parse(Some("{}"), None).unwrap().is_none());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (policy, scope, named) in [
            ("{", None, "JSON"),
            ("[]", None, "object"),
            (r#"{"a": [{"glob": "x"}]}"#, None, "glob"),
            (r#"{"a": {"b": ["x"]}}"#, None, "nested"),
            (r#"{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}"#, None, "5 keys"),
            (r#"{"a": ["x"]}"#, Some("Subject"), "Subject"),
        ] {
            let error = Filter::parse(Some(policy), scope).unwrap_err();
            assert_eq!(error.code, "InvalidParameter");
            assert!(error.message.contains(named), "{error}");
        }
    }
}
