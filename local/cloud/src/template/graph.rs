//! What refers to what inside one template, and the order of creation that follows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::intrinsics::{NO_VALUE, Piece, Scope, function, get_att, pieces};
use super::source::{Findings, Source};

/// Checks, in all branches of all conditions, that functions exist and that what they name exists.
pub(super) fn check_names(scope: &Scope<'_>, findings: &mut Findings) {
    for (section, entries, member) in
        [("Resources", &scope.source.resources, "Properties"), ("Outputs", &scope.source.outputs, "Value")]
    {
        for (name, entry) in entries {
            let at = format!("{section}.{name}");
            if let Some(condition) = entry.get("Condition").and_then(Value::as_str)
                && !scope.source.conditions.contains_key(condition)
            {
                findings.add(
                    format!("{at}.Condition"),
                    format!("there is no condition {condition}"),
                    "declare it under Conditions",
                );
            }
            if let Some(value) = entry.get(member) {
                walk(value, &format!("{at}.{member}"), None, &mut |named, at| match named {
                    Named::Target(target) if !exists(scope, target) => findings.add(
                        at,
                        format!("there is no parameter and no resource {target}"),
                        "correct the name, or declare it",
                    ),
                    Named::Condition(condition) if !scope.source.conditions.contains_key(condition) => {
                        findings.add(at, format!("there is no condition {condition}"), "declare it under Conditions");
                    }
                    _ => {}
                });
            }
            for target in depends_on(entry) {
                if !scope.source.resources.contains_key(&target) {
                    findings.add(
                        format!("{at}.DependsOn"),
                        format!("there is no resource {target}"),
                        "correct the name",
                    );
                }
            }
        }
    }
}

fn exists(scope: &Scope<'_>, target: &str) -> bool {
    target == NO_VALUE
        || scope.values.contains_key(target)
        || scope.source.parameters.contains_key(target)
        || scope.source.resources.contains_key(target)
}

/// The resources that exist under the conditions, with what each needs, in an order in which each comes after what it
/// needs; otherwise in the order of the template. A circle is a finding that names it, and its members are left out.
pub(super) fn order(scope: &Scope<'_>, findings: &mut Findings) -> Vec<(String, Vec<String>)> {
    let mut needs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let existing: Vec<&str> = scope
        .source
        .resources
        .iter()
        .filter(|(_, resource)| {
            resource
                .get("Condition")
                .and_then(Value::as_str)
                .is_none_or(|condition| scope.conditions.get(condition).copied().unwrap_or(false))
        })
        .map(|(name, _)| name.as_str())
        .collect();
    for name in &existing {
        let Some(resource) = scope.source.resources.get(*name) else { continue };
        let mut found: BTreeSet<String> = depends_on(resource).into_iter().collect();
        if let Some(properties) = resource.get("Properties") {
            walk(properties, "", Some(&scope.conditions), &mut |named, _| {
                if let Named::Target(target) = named {
                    found.insert(target.to_owned());
                }
            });
        }
        // A dependency on what does not exist under the conditions is none, as at CloudFormation.
        found.retain(|target| existing.contains(&target.as_str()));
        needs.insert(name, found);
    }
    let mut state = Sorting { needs: &needs, done: BTreeSet::new(), order: Vec::new(), path: Vec::new() };
    for name in &existing {
        state.visit(name, findings);
    }
    state
        .order
        .into_iter()
        .map(|name| (name.clone(), needs.get(name.as_str()).into_iter().flatten().cloned().collect()))
        .collect()
}

struct Sorting<'a> {
    needs: &'a BTreeMap<&'a str, BTreeSet<String>>,
    done: BTreeSet<String>,
    order: Vec<String>,
    path: Vec<String>,
}

impl Sorting<'_> {
    fn visit(&mut self, name: &str, findings: &mut Findings) {
        if let Some(start) = self.path.iter().position(|earlier| earlier == name) {
            let circle = [&self.path[start..], &[name.to_owned()]].concat().join(" → ");
            findings.add(
                format!("Resources.{}", self.path[start]),
                format!("resources depend on each other in a circle: {circle}"),
                "break the circle, for example with a policy as a resource of its own",
            );
            return;
        }
        if self.done.contains(name) {
            return;
        }
        self.path.push(name.to_owned());
        for need in self.needs.get(name).into_iter().flatten() {
            self.visit(need, findings);
        }
        self.path.pop();
        if self.done.insert(name.to_owned()) {
            self.order.push(name.to_owned());
        }
    }
}

/// Something that a function names.
enum Named<'a> {
    /// A parameter or a resource.
    Target(&'a str),
    Condition(&'a str),
}

/// Visits what every function in `value` names. With `conditions`, only the branch of `Fn::If` that is taken.
fn walk(value: &Value, at: &str, conditions: Option<&BTreeMap<String, bool>>, visit: &mut impl FnMut(Named<'_>, &str)) {
    let Some((name, argument)) = function(value) else {
        match value {
            Value::Object(object) => {
                for (name, member) in object {
                    walk(member, &format!("{at}.{name}"), conditions, visit);
                }
            }
            Value::Array(list) => {
                for (index, item) in list.iter().enumerate() {
                    walk(item, &format!("{at}.{index}"), conditions, visit);
                }
            }
            _ => {}
        }
        return;
    };
    let at = format!("{at}.{name}");
    match (name, argument) {
        ("Ref", Value::String(target)) => visit(Named::Target(target), &at),
        ("Fn::GetAtt", argument) => {
            if let Some((resource, attribute)) = get_att(argument) {
                visit(Named::Target(resource), &at);
                walk(&attribute, &at, conditions, visit);
            }
        }
        ("Fn::Sub", argument) => {
            let (text, own) = match argument {
                Value::Array(parts) => (parts.first(), parts.get(1)),
                text => (Some(text), None),
            };
            // A text that cannot be split is a finding where it is resolved.
            for piece in text.and_then(Value::as_str).map(pieces).and_then(Result::ok).unwrap_or_default() {
                if let Piece::Name(name) = piece
                    && own.is_none_or(|own| own.get(name).is_none())
                {
                    visit(Named::Target(name.split('.').next().unwrap_or(name)), &at);
                }
            }
            if let Some(own) = own {
                walk(own, &at, conditions, visit);
            }
        }
        ("Fn::If", Value::Array(parts)) => {
            let condition = parts.first().and_then(Value::as_str);
            if let Some(condition) = condition {
                visit(Named::Condition(condition), &at);
            }
            let taken = conditions.and_then(|known| known.get(condition?).copied());
            for (index, branch) in parts.iter().enumerate().skip(1) {
                if taken.is_none_or(|holds| holds == (index == 1)) {
                    walk(branch, &format!("{at}.{index}"), conditions, visit);
                }
            }
        }
        (_, argument) => walk(argument, &at, conditions, visit),
    }
}

pub(super) fn depends_on(resource: &Value) -> Vec<String> {
    match resource.get("DependsOn") {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// What Resources and Outputs name and the template does not have, by section.
pub(super) fn unresolved(source: &Source) -> Vec<(&'static str, Vec<String>)> {
    let has = |name: &str| {
        name.starts_with("AWS::") || source.parameters.contains_key(name) || source.resources.contains_key(name)
    };
    [("Resources", &source.resources, "Properties"), ("Outputs", &source.outputs, "Value")]
        .into_iter()
        .filter_map(|(section, entries, member)| {
            let mut missing = BTreeSet::new();
            for entry in entries.values() {
                missing.extend(depends_on(entry).into_iter().filter(|target| !source.resources.contains_key(target)));
                if let Some(value) = entry.get(member) {
                    walk(value, "", None, &mut |named, _| {
                        if let Named::Target(target) = named
                            && !has(target)
                        {
                            missing.insert(target.to_owned());
                        }
                    });
                }
            }
            (!missing.is_empty()).then(|| (section, missing.into_iter().collect()))
        })
        .collect()
}

/// The resources that need each other in a circle, or that need one that does, whatever conditions say.
pub(super) fn circle(source: &Source) -> Vec<String> {
    let mut needs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, resource) in &source.resources {
        let mut found: BTreeSet<String> = depends_on(resource).into_iter().collect();
        if let Some(properties) = resource.get("Properties") {
            walk(properties, "", None, &mut |named, _| {
                if let Named::Target(target) = named {
                    found.insert(target.to_owned());
                }
            });
        }
        found.retain(|target| source.resources.contains_key(target));
        needs.insert(name, found);
    }
    // What needs nothing that is left can be made; what stays is the circle.
    loop {
        let free: Vec<&str> = needs.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| *name).collect();
        if free.is_empty() {
            return needs.into_keys().map(str::to_owned).collect();
        }
        for name in free {
            needs.remove(name);
            for others in needs.values_mut() {
                others.remove(name);
            }
        }
    }
}
