//! What a template says about itself before any value is known: parameters, needed capabilities, types.
//!
//! The mistakes that CloudFormation finds in a template as such are told in its own words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::files::Files;
use super::parameters::scalar;
use super::source::{self, Findings, Source};
use super::{Error, STACK, custom, graph, kinds};

/// What is declared, beside the resources.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declared {
    /// `Description`.
    pub description: String,
    /// The section Parameters.
    pub parameters: Map<String, Value>,
    /// Descriptions of the outputs.
    pub outputs: BTreeMap<String, String>,
    /// The types of all resources, in order and once.
    pub types: Vec<String>,
    /// `CAPABILITY_IAM` or `CAPABILITY_NAMED_IAM`, when one is needed, and the types it is needed for.
    pub capability: Option<(&'static str, Vec<String>)>,
    /// The section Metadata.
    pub metadata: Map<String, Value>,
}

impl Declared {
    pub(super) fn of(source: &Source) -> Self {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let types: BTreeSet<String> = source.resources.values().filter_map(|resource| text(resource, "Type")).collect();
        let mut iam: BTreeMap<bool, BTreeSet<String>> = BTreeMap::new();
        for resource in source.resources.values() {
            let Some(kind) = text(resource, "Type").filter(|kind| kind.starts_with("AWS::IAM::")) else { continue };
            let named = ["RoleName", "ManagedPolicyName", "UserName", "GroupName", "InstanceProfileName"]
                .iter()
                .any(|name| resource.get("Properties").is_some_and(|properties| properties.get(name).is_some()));
            iam.entry(named).or_default().insert(kind);
        }
        let capability = if let Some(kinds) = iam.get(&true) {
            Some(("CAPABILITY_NAMED_IAM", kinds.iter().cloned().collect()))
        } else {
            iam.get(&false).map(|kinds| ("CAPABILITY_IAM", kinds.iter().cloned().collect()))
        };
        Self {
            description: source.description.clone(),
            parameters: source.parameters.clone(),
            outputs: (source.outputs.iter())
                .filter_map(|(name, output)| Some((name.clone(), text(output, "Description")?)))
                .collect(),
            types: types.into_iter().collect(),
            capability,
            metadata: source.metadata.clone(),
        }
    }

    /// Whether a parameter's value must never be shown.
    pub fn hides(&self, parameter: &str) -> bool {
        let flag = self.parameters.get(parameter).and_then(|declared| declared.get("NoEcho")).and_then(scalar);
        flag.is_some_and(|flag| flag == "true")
    }
}

/// One template as such.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What it declares.
    pub declared: Declared,
    /// What CloudFormation would refuse it with, whatever the values of its parameters.
    pub refused: Option<String>,
}

impl Summary {
    /// What CloudFormation refuses these parameter values with.
    pub fn refuses(&self, given: &BTreeMap<String, String>) -> Option<String> {
        let declared = &self.declared.parameters;
        let unknown: Vec<&str> =
            given.keys().filter(|name| !declared.contains_key(*name)).map(String::as_str).collect();
        if !unknown.is_empty() {
            return Some(format!("Parameters: [{}] do not exist in the template", unknown.join(", ")));
        }
        let missing: Vec<&str> = (declared.iter())
            .filter(|(name, declaration)| !given.contains_key(*name) && declaration.get("Default").is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        (!missing.is_empty()).then(|| format!("Parameters: [{}] must have values", missing.join(", ")))
    }
}

/// Reads a template without resolving it.
///
/// # Errors
/// What is wrong with its outline.
pub fn summary(file: &Path, files: &dyn Files) -> Result<Summary, Error> {
    let mut findings = Findings::new(file);
    let Some(source) = source::read(file, files, &mut findings) else {
        return Err(Error { problems: findings.problems });
    };
    let refused = refused(&source);
    if refused.is_none() && !findings.problems.is_empty() {
        return Err(Error { problems: findings.problems });
    }
    Ok(Summary { declared: Declared::of(&source), refused })
}

fn refused(source: &Source) -> Option<String> {
    if source.resources.is_empty() {
        return Some("Template format error: At least one Resources member must be defined.".into());
    }
    let known = |kind: &str| kind == STACK || custom::is(kind) || kinds::find(kind).is_some();
    let unknown: BTreeSet<&str> = (source.resources.values())
        .filter_map(|resource| resource.get("Type").and_then(Value::as_str))
        .filter(|kind| !known(kind))
        .collect();
    if !unknown.is_empty() {
        let unknown: Vec<&str> = unknown.into_iter().collect();
        return Some(format!("Template format error: Unrecognized resource types: [{}]", unknown.join(", ")));
    }
    if let Some((block, missing)) = graph::unresolved(source).into_iter().next() {
        let missing = missing.join(", ");
        return Some(format!(
            "Template format error: Unresolved resource dependencies [{missing}] in the {block} block of the template"
        ));
    }
    let circle = graph::circle(source);
    (!circle.is_empty()).then(|| format!("Circular dependency between resources: [{}]", circle.join(", ")))
}
