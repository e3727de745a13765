//! The query protocol, which SNS and STS still speak: a form in, XML out. Between both stands the JSON that every
//! service here is called with.
//!
//! Knows no service. Never fails on a form: what cannot be a member of a request reaches the service as a member that it
//! refuses by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How deep names may nest; the deepest of SNS is five.
const MAX_DEPTH: usize = 12;

/// A request: the operation, the API's version and the members as JSON.
pub(super) struct Form {
    pub(super) action: String,
    pub(super) version: String,
    pub(super) members: Value,
}

/// A name's part of the form: a text, or what lies below.
#[derive(Default)]
struct Node {
    text: Option<String>,
    below: BTreeMap<String, Node>,
}

impl Form {
    /// Reads a form. `A.member.1` is the first of a list, `A.entry.1.key` (or `.Name`) with `.value` (or `.Value`) an
    /// entry of a map; every text stays text.
    pub(super) fn parse(body: &[u8]) -> Self {
        let (mut action, mut version, mut root) = (String::new(), String::new(), Node::default());
        for (name, value) in form_urlencoded::parse(body) {
            match name.as_ref() {
                "Action" => action = value.into_owned(),
                "Version" => version = value.into_owned(),
                name => root.put(name, value.into_owned()),
            }
        }
        Self { action, version, members: root.members() }
    }
}

impl Node {
    fn put(&mut self, name: &str, value: String) {
        let mut node = self;
        for part in name.splitn(MAX_DEPTH, '.') {
            node = node.below.entry(part.to_owned()).or_default();
        }
        node.text = Some(value);
    }

    fn members(self) -> Value {
        Value::Object(self.below.into_iter().filter_map(|(name, node)| Some((name, node.value()?))).collect())
    }

    /// `None` for an empty text, which is how an empty list or map is written.
    fn value(mut self) -> Option<Value> {
        if self.below.is_empty() {
            return self.text.filter(|text| !text.is_empty()).map(Value::String);
        }
        if self.below.len() == 1 {
            if let Some(list) = self.below.remove("member") {
                return Some(Value::Array(list.in_order().into_iter().filter_map(Self::value).collect()));
            }
            if let Some(entries) = self.below.remove("entry") {
                let entry = |mut entry: Self| {
                    let mut take = |one, other| entry.below.remove(one).or_else(|| entry.below.remove(other));
                    let (name, value) = (take("key", "Name")?.text?, take("value", "Value")?);
                    let empty = value.below.is_empty();
                    Some((name, value.value().or_else(|| empty.then(|| Value::String(String::new())))?))
                };
                return Some(Value::Object(entries.in_order().into_iter().filter_map(entry).collect()));
            }
        }
        Some(self.members())
    }

    /// What lies below numbers, by number.
    fn in_order(self) -> Vec<Self> {
        let mut below: Vec<_> = self.below.into_iter().collect();
        below.sort_by_key(|(number, _)| number.parse::<u32>().unwrap_or(u32::MAX));
        below.into_iter().map(|(_, node)| node).collect()
    }
}

/// The XML of an answer. `maps` are the members that are maps: JSON does not tell them from structures.
pub(super) fn answer(namespace: &str, operation: &str, body: &Value, maps: &[&str], request: &str) -> String {
    let mut result = String::new();
    write(&mut result, body, maps);
    format!(
        "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{operation}Response>"
    )
}

/// The XML of a refusal.
pub(super) fn refusal(namespace: &str, status: u16, code: &str, message: &str, request: &str) -> String {
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    let mut text = String::new();
    escape(&mut text, message);
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{fault}</Type><Code>{code}</Code>\
         <Message>{text}</Message></Error><RequestId>{request}</RequestId></ErrorResponse>"
    )
}

fn write(xml: &mut String, value: &Value, maps: &[&str]) {
    match value {
        Value::Null => {}
        Value::String(text) => escape(xml, text),
        Value::Bool(_) | Value::Number(_) => xml.push_str(&value.to_string()),
        Value::Array(list) => {
            for item in list {
                element(xml, "member", item, maps);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Null => {}
                    Value::Object(entries) if maps.contains(&name.as_str()) => map(xml, name, entries, maps),
                    value => element(xml, name, value, maps),
                }
            }
        }
    }
}

fn element(xml: &mut String, name: &str, value: &Value, maps: &[&str]) {
    xml.push_str(&format!("<{name}>"));
    write(xml, value, maps);
    xml.push_str(&format!("</{name}>"));
}

fn map(xml: &mut String, name: &str, entries: &Map<String, Value>, maps: &[&str]) {
    xml.push_str(&format!("<{name}>"));
    for (key, value) in entries {
        xml.push_str("<entry><key>");
        escape(xml, key);
        xml.push_str("</key>");
        element(xml, "value", value, maps);
        xml.push_str("</entry>");
    }
    xml.push_str(&format!("</{name}>"));
}

/// Text for XML. Characters that XML 1.0 cannot hold are replaced, so that one odd message does not make a whole answer
/// unreadable.
fn escape(xml: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\r' => xml.push_str("&#13;"),
            '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => xml.push(c),
            _ => xml.push('\u{fffd}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_form_becomes_members() {
        let form = Form::parse(
            b"Action=Publish&Version=2010-03-31&TopicArn=arn%3Aa&Message=a+b%26%C3%A4&Nothing=\
              &MessageAttributes.entry.2.Name=b&MessageAttributes.entry.2.Value.DataType=Number\
              &MessageAttributes.entry.2.Value.StringValue=5\
              &MessageAttributes.entry.1.Name=a&MessageAttributes.entry.1.Value.DataType=String\
              &Attributes.entry.1.key=k&Attributes.entry.1.value=v&Attributes.entry.2.key=e&Attributes.entry.2.value=\
              &Entries.member.10.Id=ten&Entries.member.2.Id=two",
        );
        assert_eq!((form.action.as_str(), form.version.as_str()), ("Publish", "2010-03-31"));
        assert_eq!(
            form.members,
            json!({
                "TopicArn": "arn:a",
                "Message": "a b&ä",
                "Attributes": {"k": "v", "e": ""},
                "MessageAttributes": {"a": {"DataType": "String"}, "b": {"DataType": "Number", "StringValue": "5"}},
                "Entries": [{"Id": "two"}, {"Id": "ten"}],
            })
        );
        // Nothing in a form is too odd.
        let odd = format!("{}=1&.=2&=3&%ff=4&a.entry.1=5&b.member=6", "x.".repeat(1000));
        assert!(Form::parse(odd.as_bytes()).members.is_object());
    }

    #[test]
    fn an_answer_is_xml() {
        let body = json!({"Topics": [{"TopicArn": "a<b>&\u{1}"}], "Attributes": {"k": "v"}, "Next": null});
        assert_eq!(
            answer("urn:n", "List", &body, &["Attributes"], "id"),
            "<ListResponse xmlns=\"urn:n\"><ListResult><Topics><member><TopicArn>a&lt;b&gt;&amp;\u{fffd}</TopicArn>\
             </member></Topics><Attributes><entry><key>k</key><value>v</value></entry></Attributes></ListResult>\
             <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ListResponse>"
        );
        let refused = refusal("urn:n", 404, "NotFound", "no \"x\"", "id");
        assert!(refused.contains("<Type>Sender</Type><Code>NotFound</Code><Message>no &quot;x&quot;</Message>"));
    }
}
