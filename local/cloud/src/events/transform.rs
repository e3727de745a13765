//! What a target gets of an event: all of it, a constant, a part, or a template filled from it (EventBridge guide,
//! "Input transformation").
//!
//! Pure. Read once; afterwards every event gives some text.

use serde_json::{Value, json};

use crate::ApiError;
use crate::service::Properties;

/// Variables of one transformer, and characters of its template (InputTransformer API reference).
const MAX_PATHS: usize = 100;
const MAX_TEMPLATE: usize = 8192;

/// What a target gets.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// The whole event.
    Event,
    /// This text, whatever the event.
    Constant(String),
    /// The part of the event at this path.
    Part(Path),
    /// A template.
    Template(Transformer),
}

/// `$.detail.steps[0]`: EventBridge's paths are names and indexes only.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pointer: String,
    written: String,
}

/// A template and the paths of its variables.
#[derive(Debug, Clone)]
pub(super) struct Transformer {
    paths: Vec<(String, Path)>,
    parts: Vec<Part>,
    written: String,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Variable {
        name: String,
        /// Inside a JSON string a text stands without its quotes.
        quoted: bool,
    },
}

/// What is known about the moment besides the event.
pub(super) struct Moment<'a> {
    pub(super) rule_arn: &'a str,
    pub(super) rule_name: &'a str,
    /// RFC 3339.
    pub(super) ingested: &'a str,
}

impl Input {
    /// Reads `Input`, `InputPath` and `InputTransformer`, of which one may be there.
    pub(super) fn read(read: &mut Properties<'_>, target: &str) -> Result<Self, ApiError> {
        let (constant, path) = (read.text("Input")?, read.text("InputPath")?);
        let template = read.inside("InputTransformer")?;
        match (constant, path, template) {
            (None, None, None) => Ok(Self::Event),
            (Some(text), None, None) => {
                if serde_json::from_str::<Value>(&text).is_err() {
                    return Err(read.error("Input", "must be JSON"));
                }
                Ok(Self::Constant(text))
            }
            (None, Some(path), None) => match Path::parse(&path) {
                Some(path) => Ok(Self::Part(path)),
                None => Err(read.error("InputPath", &format!("is not understood: {path}"))),
            },
            (None, None, Some(template)) => Transformer::read(template, target).map(Self::Template),
            _ => Err(read.error("Input", "excludes InputPath and InputTransformer, and these each other")),
        }
    }

    /// The text for one event.
    pub(super) fn of(&self, event: &Value, moment: &Moment<'_>) -> String {
        match self {
            Self::Event => event.to_string(),
            Self::Constant(text) => text.clone(),
            Self::Part(path) => path.of(event).unwrap_or(&Value::Null).to_string(),
            Self::Template(transformer) => transformer.fill(event, moment),
        }
    }

    /// The members of a target as it was made.
    pub(super) fn describe(&self, target: &mut Value) {
        match self {
            Self::Event => {}
            Self::Constant(text) => target["Input"] = json!(text),
            Self::Part(path) => target["InputPath"] = json!(path.written),
            Self::Template(transformer) => {
                let paths = transformer.paths.iter().map(|(name, path)| (name.clone(), json!(path.written)));
                target["InputTransformer"] = json!({
                    "InputPathsMap": paths.collect::<serde_json::Map<_, _>>(),
                    "InputTemplate": transformer.written,
                });
            }
        }
    }
}

impl Path {
    fn parse(written: &str) -> Option<Self> {
        let mut rest = written.strip_prefix('$')?;
        let mut pointer = String::new();
        while !rest.is_empty() {
            let part = if let Some(name) = rest.strip_prefix('.') {
                let end = name.find(['.', '[']).unwrap_or(name.len());
                rest = &name[end..];
                &name[..end]
            } else {
                let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
                rest = after;
                Some(index).filter(|index| index.bytes().all(|byte| byte.is_ascii_digit()))?
            };
            if part.is_empty() || part.contains(['*', '?', '@', '(']) {
                return None;
            }
            pointer.push('/');
            pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
        }
        Some(Self { pointer, written: written.to_owned() })
    }

    fn of<'e>(&self, event: &'e Value) -> Option<&'e Value> {
        event.pointer(&self.pointer)
    }
}

impl Transformer {
    fn read(mut read: Properties<'_>, target: &str) -> Result<Self, ApiError> {
        let mut paths = Vec::new();
        match read.value("InputPathsMap") {
            None => {}
            Some(Value::Object(map)) => {
                for (name, path) in map {
                    let good = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
                        && !name.to_ascii_uppercase().starts_with("AWS");
                    let path = path.as_str().and_then(Path::parse).filter(|_| good);
                    match path {
                        Some(path) => paths.push((name.clone(), path)),
                        None => return Err(read.error("InputPathsMap", &format!("has a bad entry {name}"))),
                    }
                }
            }
            Some(_) => return Err(read.error("InputPathsMap", "must be a map")),
        }
        if paths.len() > MAX_PATHS {
            return Err(read.error("InputPathsMap", &format!("may have {MAX_PATHS} entries")));
        }
        let written = read.required("InputTemplate")?;
        if written.is_empty() || written.chars().count() > MAX_TEMPLATE {
            return Err(read.error("InputTemplate", &format!("must have 1 to {MAX_TEMPLATE} characters")));
        }
        read.end()?;
        let parts = parts(&written);
        for part in &parts {
            if let Part::Variable { name, .. } = part
                && !paths.iter().any(|(known, _)| known == name)
                && !PREDEFINED.contains(&name.as_str())
            {
                let text = format!("InputTemplate for target {target} contains invalid placeholder <{name}>.");
                return Err(ApiError::new(400, "ValidationException", text));
            }
        }
        Ok(Self { paths, parts, written })
    }

    fn fill(&self, event: &Value, moment: &Moment<'_>) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            let (name, quoted) = match part {
                Part::Text(text) => {
                    filled.push_str(text);
                    continue;
                }
                Part::Variable { name, quoted } => (name.as_str(), *quoted),
            };
            let value = match name {
                "aws.events.rule-arn" => Some(json!(moment.rule_arn)),
                "aws.events.rule-name" => Some(json!(moment.rule_name)),
                "aws.events.event.ingestion-time" => Some(json!(moment.ingested)),
                "aws.events.event" | "aws.events.event.json" => Some(event.clone()),
                name => {
                    let path = self.paths.iter().find(|(known, _)| known == name);
                    path.and_then(|(_, path)| path.of(event)).cloned()
                }
            };
            // A variable whose path leads nowhere does not appear.
            match value {
                None => {}
                Some(value) if !quoted => filled.push_str(&value.to_string()),
                Some(value) => {
                    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                    let written = Value::String(text).to_string();
                    filled.push_str(&written[1..written.len() - 1]);
                }
            }
        }
        filled
    }
}

/// Variables that every template has.
const PREDEFINED: [&str; 5] = [
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
];

/// Cuts a template at its `<variables>`. A `<` that no name follows is text.
fn parts(template: &str) -> Vec<Part> {
    let (mut parts, mut text) = (Vec::new(), String::new());
    let (mut quoted, mut rest) = (false, template);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '<' => {
                let name = rest.split_once('>').map(|(name, _)| name);
                let name = name.filter(|name| {
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
                });
                if let Some(name) = name {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                    parts.push(Part::Variable { name: name.to_owned(), quoted });
                    rest = &rest[name.len() + 1..];
                    continue;
                }
            }
            '\\' if quoted => {
                text.push(c);
                if let Some(escaped) = rest.chars().next() {
                    text.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
                continue;
            }
            '"' => quoted = !quoted,
            _ => {}
        }
        text.push(c);
    }
    parts.push(Part::Text(text));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(target: &Value) -> Result<Input, ApiError> {
        Input::read(&mut Properties::of("target", target).unwrap(), "one")
    }

    #[test]
    fn what_a_target_gets() {
        let event = json!({
            "source": "aws.redshift-data", "detail-type": "Status", "resources": ["r1", "r2"],
            "detail": {"state": "FAILED", "rows": 5, "who": "O\"Hara", "step": {"name": "x"}},
        });
        let moment = Moment { rule_arn: "arn:rule/ended", rule_name: "ended", ingested: "2026-01-01T00:00:00Z" };
        let paths = json!({
            "state": "$.detail.state", "rows": "$.detail.rows", "who": "$.detail.who", "step": "$.detail.step",
            "second": "$.resources[1]", "none": "$.detail.none",
        });
        let template = |text: &str| json!({"InputTransformer": {"InputPathsMap": paths, "InputTemplate": text}});
        for (target, got) in [
            (json!({"Input": "{\"a\": 1}"}), "{\"a\": 1}"),
            (json!({"InputPath": "$.detail.state"}), "\"FAILED\""),
            (json!({"InputPath": "$.detail-type"}), "\"Status\""),
            (json!({"InputPath": "$.resources[0]"}), "\"r1\""),
            (json!({"InputPath": "$.detail.none"}), "null"),
            (template("\"it <state> with <rows> rows, said <who>\""), "\"it FAILED with 5 rows, said O\\\"Hara\""),
            (
                template("{\"s\": <state>, \"r\": <rows>, \"t\": <step>}"),
                "{\"s\": \"FAILED\", \"r\": 5, \"t\": {\"name\":\"x\"}}",
            ),
            (template("{\"s\": \"<state>: <step>\"}"), "{\"s\": \"FAILED: {\\\"name\\\":\\\"x\\\"}\"}"),
            (template("\"one <second>\"\n\"two <none>.\""), "\"one r2\"\n\"two .\""),
            (
                template("\"rule <aws.events.rule-name> <aws.events.rule-arn> <aws.events.event.ingestion-time>\""),
                "\"rule ended arn:rule/ended 2026-01-01T00:00:00Z\"",
            ),
            (template("\"a < b, \\\"<state>\\\" < c>\""), "\"a < b, \\\"FAILED\\\" < c>\""),
        ] {
            assert_eq!(input(&target).unwrap().of(&event, &moment), got, "{target}");
        }
        let whole = input(&template("{\"e\": <aws.events.event.json>}")).unwrap().of(&event, &moment);
        assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), json!({"e": event}));
        let mut described = json!({});
        input(&template("\"<state>\"")).unwrap().describe(&mut described);
        assert_eq!(described, template("\"<state>\""));
    }

    #[test]
    fn refusals_are_named() {
        for (target, named) in [
            (json!({"Input": "{"}), "Input"),
            (json!({"InputPath": "$..x"}), "InputPath"),
            (json!({"InputPath": "detail"}), "InputPath"),
            (json!({"Input": "1", "InputPath": "$.x"}), "excludes"),
            (json!({"InputTransformer": {}}), "InputTemplate"),
            (json!({"InputTransformer": {"InputTemplate": "<nobody>"}}), "<nobody>"),
            (json!({"InputTransformer": {"InputTemplate": "x", "InputPathsMap": {"AWSx": "$.a"}}}), "AWSx"),
            (json!({"InputTransformer": {"InputTemplate": "x", "InputPathsMap": {"x": "a"}}}), "bad entry x"),
            (json!({"InputTransformer": {"InputTemplate": "x".repeat(8193)}}), "8192"),
        ] {
            let error = input(&target).unwrap_err();
            assert!(error.message.contains(named), "{error}");
        }
    }
}
