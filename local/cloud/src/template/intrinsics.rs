//! The functions of CloudFormation: a value with functions in, a value without out.
//!
//! Knows names and values only; what a resource's attributes are was computed before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::parameters::scalar;
use super::source::{Findings, Source};

/// What `Ref` and `Fn::GetAtt` give for one resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// `Ref`.
    pub reference: String,
    /// `Fn::GetAtt`, by attribute name; a nested stack's are `Outputs.NAME`.
    pub values: BTreeMap<String, String>,
}

/// Resolution went wrong and the finding has been written down.
#[derive(Debug)]
pub(super) struct Failed;

/// The value, or `None` for `AWS::NoValue`.
pub(super) type Resolved = Result<Option<Value>, Failed>;

/// Everything that a function can refer to inside one stack.
pub(super) struct Scope<'a> {
    pub source: &'a Source,
    /// Parameters and pseudo parameters; text or lists of text.
    pub values: BTreeMap<String, Value>,
    pub conditions: BTreeMap<String, bool>,
    /// The resources resolved so far.
    pub resources: BTreeMap<String, Attributes>,
    /// Resources whose resolution failed; what refers to them fails silently.
    pub broken: BTreeSet<String>,
    /// Custom resources that have not answered yet, by their logical id.
    pub pending: BTreeSet<String>,
}

/// Begins what stands for an attribute that only a custom resource's answer will say.
pub(super) const PENDING: &str = "{{pending:";

pub(super) const NO_VALUE: &str = "AWS::NoValue";

/// A function call: an object with exactly one member that is a function's name.
pub(super) fn function(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object()?;
    let (name, argument) = object.iter().next()?;
    (object.len() == 1 && (name == "Ref" || name.starts_with("Fn::"))).then_some((name.as_str(), argument))
}

/// One piece of a `Fn::Sub` text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Splits a `Fn::Sub` text; `${!Name}` is the text `${Name}`.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let after = &rest[start + 2..];
        let Some(end) = after.find('}') else {
            return Err(format!("has an unfinished ${{{after}"));
        };
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        let name = &after[..end];
        if let Some(literal) = name.strip_prefix('!') {
            pieces.push(Piece::Text("${"));
            pieces.push(Piece::Text(literal));
            pieces.push(Piece::Text("}"));
        } else {
            let name = name.trim();
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_')) {
                return Err(format!("has ${{{name}}}, which is no name"));
            }
            pieces.push(Piece::Name(name));
        }
        rest = &after[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// The two parts of `Fn::GetAtt`: a resource, and an attribute that may itself be a `Ref`.
pub(super) fn get_att(argument: &Value) -> Option<(&str, Value)> {
    match argument {
        Value::String(text) => text.split_once('.').map(|(resource, attribute)| (resource, json!(attribute))),
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(resource), attribute] => Some((resource, attribute.clone())),
            // `[Nested, Outputs, Name]` is not CloudFormation's, but `[Nested, Outputs.Name]` is.
            _ => None,
        },
        _ => None,
    }
}

impl Scope<'_> {
    /// Resolves every function in `value`.
    pub fn resolve(&self, value: &Value, at: &str, findings: &mut Findings) -> Resolved {
        if let Some((name, argument)) = function(value) {
            return self.call(name, argument, &format!("{at}.{name}"), findings);
        }
        match value {
            Value::Object(object) => {
                let mut resolved = Map::new();
                let mut failed = false;
                for (name, member) in object {
                    match self.resolve(member, &format!("{at}.{name}"), findings) {
                        Ok(Some(member)) => drop(resolved.insert(name.clone(), member)),
                        Ok(None) => {}
                        Err(Failed) => failed = true,
                    }
                }
                if failed { Err(Failed) } else { Ok(Some(Value::Object(resolved))) }
            }
            Value::Array(list) => {
                let mut resolved = Vec::new();
                let mut failed = false;
                for (index, item) in list.iter().enumerate() {
                    match self.resolve(item, &format!("{at}.{index}"), findings) {
                        Ok(Some(item)) => resolved.push(item),
                        Ok(None) => {}
                        Err(Failed) => failed = true,
                    }
                }
                if failed { Err(Failed) } else { Ok(Some(Value::Array(resolved))) }
            }
            Value::String(text) if text.contains("{{resolve:") => {
                findings.add(
                    at,
                    "is a dynamic reference, which the local cloud does not resolve",
                    "pass the value, or the ARN of the secret, as a parameter",
                );
                Err(Failed)
            }
            other => Ok(Some(other.clone())),
        }
    }

    fn call(&self, name: &str, argument: &Value, at: &str, findings: &mut Findings) -> Resolved {
        match name {
            "Ref" => {
                let Some(target) = argument.as_str() else {
                    return fail(
                        findings,
                        at,
                        "does not name anything",
                        "Ref takes the name of a parameter or resource",
                    );
                };
                if target == NO_VALUE {
                    return Ok(None);
                }
                self.reference(target, at, findings).map(Some)
            }
            "Fn::GetAtt" => {
                let Some((resource, attribute)) = get_att(argument) else {
                    return fail(findings, at, "is not a resource and an attribute", "write Resource.Attribute");
                };
                let attribute = self.text(&attribute, at, findings)?;
                self.attribute(resource, &attribute, at, findings).map(|text| Some(json!(text)))
            }
            "Fn::Sub" => self.sub(argument, at, findings).map(|text| Some(json!(text))),
            "Fn::Join" => {
                let [delimiter, list] = self.arguments::<2>(argument, at, "a delimiter and a list", findings)?;
                let Some(delimiter) = delimiter.as_str() else {
                    return fail(findings, at, "the delimiter is not text", "write [delimiter, [values…]]");
                };
                let parts = self.texts(list, at, findings)?;
                Ok(Some(json!(parts.join(delimiter))))
            }
            "Fn::Split" => {
                let [delimiter, text] = self.arguments::<2>(argument, at, "a delimiter and a text", findings)?;
                let Some(delimiter) = delimiter.as_str().filter(|delimiter| !delimiter.is_empty()) else {
                    return fail(findings, at, "the delimiter is not text", "write [delimiter, text]");
                };
                let text = self.text(text, at, findings)?;
                Ok(Some(json!(text.split(delimiter).collect::<Vec<_>>())))
            }
            "Fn::Select" => {
                let [index, list] = self.arguments::<2>(argument, at, "an index and a list", findings)?;
                let index = self.text(index, at, findings)?;
                let list = self.list(list, at, findings)?;
                match index.parse::<usize>().ok().and_then(|index| list.get(index)) {
                    Some(value) => Ok(Some(value.clone())),
                    None => fail(
                        findings,
                        at,
                        format!("there is no element {index} in a list of {}", list.len()),
                        "indexes begin at 0",
                    ),
                }
            }
            "Fn::If" => {
                let [condition, then, otherwise] =
                    self.arguments::<3>(argument, at, "a condition and two values", findings)?;
                let holds = condition.as_str().and_then(|name| self.conditions.get(name)).copied();
                match holds {
                    Some(true) => self.resolve(then, &format!("{at}.1"), findings),
                    Some(false) => self.resolve(otherwise, &format!("{at}.2"), findings),
                    // The outline check has already named a condition that does not exist.
                    None => {
                        fail(findings, at, format!("{condition} is not a condition"), "declare it under Conditions")
                    }
                }
            }
            "Fn::FindInMap" => {
                let keys = self.arguments::<3>(argument, at, "a map and two keys", findings)?;
                let [map, first, second] = keys.map(|key| self.text(key, at, findings));
                let (map, first, second) = (map?, first?, second?);
                match self.source.mappings.get(&map).and_then(|map| map.get(&first)?.get(&second)) {
                    Some(value) => Ok(Some(value.clone())),
                    None => fail(
                        findings,
                        at,
                        format!("Mappings has no {map}.{first}.{second}"),
                        "add the entry, or correct the keys",
                    ),
                }
            }
            "Fn::Base64" => {
                use base64::Engine as _;
                let text = self.text(argument, at, findings)?;
                Ok(Some(json!(base64::engine::general_purpose::STANDARD.encode(text))))
            }
            other => fail(
                findings,
                at,
                format!("{other} is not known to the local cloud"),
                "known are Ref, Fn::GetAtt, Sub, Join, If, Select, Split, FindInMap, Base64",
            ),
        }
    }

    fn reference(&self, target: &str, at: &str, findings: &mut Findings) -> Result<Value, Failed> {
        if let Some(value) = self.values.get(target) {
            return Ok(value.clone());
        }
        self.resource(target, at, findings).map(|attributes| json!(attributes.reference))
    }

    fn attribute(&self, resource: &str, attribute: &str, at: &str, findings: &mut Findings) -> Result<String, Failed> {
        let attributes = self.resource(resource, at, findings)?;
        if let Some(value) = attributes.values.get(attribute) {
            return Ok(value.clone());
        }
        if self.pending.contains(resource) {
            return Ok(format!("{PENDING}{resource}.{attribute}}}}}"));
        }
        let known: Vec<_> = attributes.values.keys().map(String::as_str).collect();
        fail(
            findings,
            at,
            format!("{resource} has no attribute {attribute}"),
            if known.is_empty() {
                "its type has no attributes here".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            },
        )
    }

    fn resource(&self, name: &str, at: &str, findings: &mut Findings) -> Result<&Attributes, Failed> {
        if let Some(attributes) = self.resources.get(name) {
            return Ok(attributes);
        }
        if self.broken.contains(name) || (self.source.parameters.contains_key(name)) {
            // Its own finding says why.
            return Err(Failed);
        }
        match self.source.resources.get(name) {
            Some(resource) => fail(
                findings,
                at,
                format!(
                    "{name} does not exist, because its condition {} does not hold",
                    resource.get("Condition").and_then(Value::as_str).unwrap_or("?")
                ),
                "refer to it inside Fn::If with the same condition",
            ),
            None => fail(
                findings,
                at,
                format!("there is no parameter and no resource {name}"),
                "correct the name, or declare it",
            ),
        }
    }

    fn sub(&self, argument: &Value, at: &str, findings: &mut Findings) -> Result<String, Failed> {
        let none = Map::new();
        let (text, own) = match argument {
            Value::String(text) => (text, &none),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(text), Value::Object(own)] => (text, own),
                _ => return fail(findings, at, "is not a text and an object", "write [text, {Name: value}]"),
            },
            _ => return fail(findings, at, "is not text", "write text with ${Name}"),
        };
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(problem) => return fail(findings, at, problem, "write ${Name}, ${Name.Attribute} or ${!Literal}"),
        };
        let mut out = String::new();
        for piece in pieces {
            let name = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Name(name) => name,
            };
            if let Some(value) = own.get(name) {
                out.push_str(&self.text(value, &format!("{at}.{name}"), findings)?);
                continue;
            }
            match name.split_once('.') {
                Some((resource, attribute)) => out.push_str(&self.attribute(resource, attribute, at, findings)?),
                None => {
                    let value = self.reference(name, at, findings)?;
                    match scalar(&value) {
                        Some(text) => out.push_str(&text),
                        None => {
                            return fail(findings, at, format!("{name} is a list"), "join it with Fn::Join first");
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// Exactly `N` arguments, not yet resolved.
    fn arguments<'v, const N: usize>(
        &self,
        argument: &'v Value,
        at: &str,
        wanted: &str,
        findings: &mut Findings,
    ) -> Result<[&'v Value; N], Failed> {
        let found: Option<[&Value; N]> =
            argument.as_array().and_then(|list| list.iter().collect::<Vec<_>>().try_into().ok());
        match found {
            Some(arguments) => Ok(arguments),
            None => fail(
                findings,
                at,
                format!("does not have {wanted}"),
                "see the function's page in the CloudFormation guide",
            ),
        }
    }

    pub fn text(&self, value: &Value, at: &str, findings: &mut Findings) -> Result<String, Failed> {
        match self.resolve(value, at, findings)?.as_ref().and_then(scalar) {
            Some(text) => Ok(text),
            None => fail(findings, at, "does not come to a text", "give a text here"),
        }
    }

    fn list(&self, value: &Value, at: &str, findings: &mut Findings) -> Result<Vec<Value>, Failed> {
        match self.resolve(value, at, findings)? {
            Some(Value::Array(list)) => Ok(list),
            _ => fail(findings, at, "does not come to a list", "give a list here"),
        }
    }

    fn texts(&self, value: &Value, at: &str, findings: &mut Findings) -> Result<Vec<String>, Failed> {
        let list = self.list(value, at, findings)?;
        match list.iter().map(scalar).collect() {
            Some(texts) => Ok(texts),
            None => fail(findings, at, "has an element that is not text", "give a list of texts"),
        }
    }
}

/// Writes the finding down and fails.
pub(super) fn fail<T>(
    findings: &mut Findings,
    at: &str,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, Failed> {
    findings.add(at, problem, remedy);
    Err(Failed)
}
