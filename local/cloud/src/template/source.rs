//! Reads one template file into a tree of JSON with the long form of every function, and checks its outline.
//!
//! Knows YAML and the names of sections and attributes; resolves nothing.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Problem;
use super::files::Files;

/// Short tags and the long form they stand for.
const TAGS: [(&str, &str); 16] = [
    ("Ref", "Ref"),
    ("Condition", "Condition"),
    ("Sub", "Fn::Sub"),
    ("GetAtt", "Fn::GetAtt"),
    ("Join", "Fn::Join"),
    ("If", "Fn::If"),
    ("Select", "Fn::Select"),
    ("Split", "Fn::Split"),
    ("FindInMap", "Fn::FindInMap"),
    ("Equals", "Fn::Equals"),
    ("And", "Fn::And"),
    ("Or", "Fn::Or"),
    ("Not", "Fn::Not"),
    ("Contains", "Fn::Contains"),
    ("EachMemberEquals", "Fn::EachMemberEquals"),
    ("EachMemberIn", "Fn::EachMemberIn"),
];

const SECTIONS: [&str; 9] = [
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
];

/// One template as read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The file.
    pub file: PathBuf,
    /// What it says, as it stands there.
    pub text: String,
    /// `Description`, empty when absent.
    pub description: String,
    /// The sections; each is an object, empty when absent.
    pub metadata: Map<String, Value>,
    pub parameters: Map<String, Value>,
    pub rules: Map<String, Value>,
    pub mappings: Map<String, Value>,
    pub conditions: Map<String, Value>,
    pub resources: Map<String, Value>,
    pub outputs: Map<String, Value>,
}

/// Collects problems of one file.
#[derive(Debug)]
pub(super) struct Findings {
    file: PathBuf,
    pub problems: Vec<Problem>,
}

impl Findings {
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), problems: Vec::new() }
    }

    pub fn add(&mut self, at: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) {
        let found = Problem { file: self.file.clone(), at: at.into(), problem: problem.into(), remedy: remedy.into() };
        // The same mistake met on two ways is one mistake.
        if !self.problems.contains(&found) {
            self.problems.push(found);
        }
    }
}

/// Reads and outlines a template; `None` when it is too broken to go on.
pub(super) fn read(file: &Path, files: &dyn Files, findings: &mut Findings) -> Option<Source> {
    let text = match files.text(file) {
        Ok(text) => text,
        Err(error) => {
            findings.add(
                "the file",
                format!("cannot be read: {error}"),
                "check the path; a nested TemplateURL is relative to the template that names it",
            );
            return None;
        }
    };
    parse(file, &text, findings)
}

/// As [`read`], from text. JSON templates are read by the same parser: JSON is YAML.
pub(super) fn parse(file: &Path, text: &str, findings: &mut Findings) -> Option<Source> {
    let yaml: serde_yaml_ng::Value = match serde_yaml_ng::from_str(text) {
        Ok(yaml) => yaml,
        Err(error) => {
            findings.add("the file", format!("is not YAML: {error}"), "correct the syntax");
            return None;
        }
    };
    let tree = convert(yaml, "", findings);
    let Value::Object(mut root) = tree else {
        findings.add("the file", "is not an object with sections", "a template has at least Resources");
        return None;
    };
    for name in root.keys() {
        if name == "Transform" {
            findings.add(
                "Transform",
                "macros and the serverless transform are not resolved here",
                "write the resources that the transform would produce",
            );
        } else if !SECTIONS.contains(&name.as_str()) {
            findings.add(
                name,
                "is not a section the local cloud knows",
                format!("sections are {}", SECTIONS.join(", ")),
            );
        }
    }
    if let Some(version) = root.get("AWSTemplateFormatVersion")
        && version != "2010-09-09"
    {
        findings.add("AWSTemplateFormatVersion", format!("{version} does not exist"), "the only version is 2010-09-09");
    }
    if !root.contains_key("Resources") {
        findings.add("Resources", "is missing", "a template has at least one resource");
    }
    let description = section_text(&root, "Description");
    let mut section = |name: &str| match root.remove(name) {
        None => Map::new(),
        Some(Value::Object(section)) => section,
        Some(_) => {
            findings.add(name, "is not an object", "a section maps logical names to their definitions");
            Map::new()
        }
    };
    let source = Source {
        file: file.to_owned(),
        text: text.to_owned(),
        description,
        metadata: section("Metadata"),
        parameters: section("Parameters"),
        rules: section("Rules"),
        mappings: section("Mappings"),
        conditions: section("Conditions"),
        resources: section("Resources"),
        outputs: section("Outputs"),
    };
    outline(&source, findings);
    Some(source)
}

fn section_text(root: &Map<String, Value>, name: &str) -> String {
    root.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The members of resources and outputs.
fn outline(source: &Source, findings: &mut Findings) {
    for (section, entries, known) in [
        (
            "Resources",
            &source.resources,
            &["Type", "Properties", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"][..],
        ),
        ("Outputs", &source.outputs, &["Description", "Value", "Condition"][..]),
    ] {
        for (name, entry) in entries {
            let at = format!("{section}.{name}");
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
                findings.add(&at, "the logical name is not alphanumeric", "use A-Z, a-z and 0-9 only");
            }
            let Value::Object(entry) = entry else {
                findings.add(&at, "is not an object", format!("it has {}", known.join(", ")));
                continue;
            };
            for member in entry.keys() {
                if !known.contains(&member.as_str()) {
                    findings.add(
                        format!("{at}.{member}"),
                        "is not known to the local cloud",
                        format!("known here are {}", known.join(", ")),
                    );
                }
            }
            let needed = if section == "Resources" { "Type" } else { "Value" };
            if !entry.contains_key(needed) {
                findings.add(&at, format!("has no {needed}"), format!("state its {needed}"));
            }
            for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
                if let Some(value) = entry.get(policy)
                    && !matches!(value.as_str(), Some("Delete" | "Retain" | "Snapshot" | "RetainExceptOnCreate"))
                {
                    findings.add(
                        format!("{at}.{policy}"),
                        format!("{value} is not a policy"),
                        "use Delete, Retain, RetainExceptOnCreate or Snapshot, as plain text",
                    );
                }
            }
            if let Some(condition) = entry.get("Condition")
                && !condition.is_string()
            {
                findings.add(
                    format!("{at}.Condition"),
                    "is not the name of a condition",
                    "name one condition; combine several in the section Conditions",
                );
            }
        }
    }
}

/// YAML to JSON, short tags to long functions. A place that cannot be converted becomes `false` beside its finding.
fn convert(yaml: serde_yaml_ng::Value, at: &str, findings: &mut Findings) -> Value {
    use serde_yaml_ng::Value as Yaml;
    let below = |name: &str| {
        if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
    };
    match yaml {
        Yaml::Null => {
            findings.add(
                if at.is_empty() { "the file" } else { at },
                "is empty or null, which CloudFormation refuses",
                "give a value, or !Ref AWS::NoValue, or leave it out",
            );
            Value::Bool(false)
        }
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => serde_json::to_value(number).unwrap_or_default(),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(list) => Value::Array(
            list.into_iter()
                .enumerate()
                .map(|(index, item)| convert(item, &below(&index.to_string()), findings))
                .collect(),
        ),
        Yaml::Mapping(mapping) => {
            let mut object = Map::new();
            for (key, value) in mapping {
                let key = match key {
                    Yaml::String(key) => key,
                    Yaml::Number(key) => key.to_string(),
                    Yaml::Bool(key) => key.to_string(),
                    _ => {
                        findings.add(at, "has a key that is not text", "keys are names");
                        continue;
                    }
                };
                if key == "<<" {
                    findings.add(below("<<"), "CloudFormation does not know YAML merge keys", "write the members out");
                    continue;
                }
                let value = convert(value, &below(&key), findings);
                object.insert(key, value);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let long = match TAGS.iter().find(|(short, _)| *short == tag) {
                Some((_, long)) => (*long).to_owned(),
                // Other functions get their long name here and their error where they stand in the template.
                None => format!("Fn::{tag}"),
            };
            let mut value = convert(tagged.value, at, findings);
            if long == "Fn::GetAtt"
                && let Value::String(text) = &value
                && let Some((resource, attribute)) = text.split_once('.')
            {
                value = Value::Array(vec![resource.into(), attribute.into()]);
            }
            Value::Object(Map::from_iter([(long, value)]))
        }
    }
}
