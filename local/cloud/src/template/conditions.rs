//! The section Conditions: each comes to true or false before any resource is looked at.
//!
//! Conditions see parameters and mappings only, never resources.

use std::collections::BTreeMap;

use serde_json::Value;

use super::intrinsics::{Failed, Scope, fail, function};
use super::source::Findings;

/// Evaluates every condition into `scope.conditions`. A broken one is left out beside its finding.
pub(super) fn evaluate(scope: &mut Scope<'_>, findings: &mut Findings) {
    let mut known = BTreeMap::new();
    for name in scope.source.conditions.keys() {
        // A failure was written down.
        let _ = named(name, "Conditions", scope, &mut known, &mut Vec::new(), findings);
    }
    scope.conditions = known;
}

fn named(
    name: &str,
    at: &str,
    scope: &Scope<'_>,
    known: &mut BTreeMap<String, bool>,
    path: &mut Vec<String>,
    findings: &mut Findings,
) -> Result<bool, Failed> {
    if let Some(holds) = known.get(name) {
        return Ok(*holds);
    }
    if let Some(start) = path.iter().position(|earlier| earlier == name) {
        let circle = [&path[start..], &[name.to_owned()]].concat().join(" → ");
        return fail(
            findings,
            &format!("Conditions.{}", path[start]),
            format!("conditions refer to each other in a circle: {circle}"),
            "break the circle",
        );
    }
    let Some(expression) = scope.source.conditions.get(name) else {
        return fail(findings, at, format!("there is no condition {name}"), "declare it under Conditions");
    };
    path.push(name.to_owned());
    let holds = holds(expression, &format!("Conditions.{name}"), scope, known, path, findings);
    path.pop();
    let holds = holds?;
    known.insert(name.to_owned(), holds);
    Ok(holds)
}

fn holds(
    expression: &Value,
    at: &str,
    scope: &Scope<'_>,
    known: &mut BTreeMap<String, bool>,
    path: &mut Vec<String>,
    findings: &mut Findings,
) -> Result<bool, Failed> {
    if let Some(name) = expression.get("Condition").and_then(Value::as_str) {
        return named(name, at, scope, known, path, findings);
    }
    let Some((name, argument)) = function(expression) else {
        return fail(findings, at, "is not a condition", "use Fn::Equals, And, Or, Not or Condition");
    };
    let at = format!("{at}.{name}");
    let list = argument.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut each = |list: &[Value], findings: &mut Findings| {
        list.iter()
            .enumerate()
            .map(|(index, part)| holds(part, &format!("{at}.{index}"), scope, known, path, findings))
            .collect::<Result<Vec<_>, _>>()
    };
    match (name, list.len()) {
        ("Fn::Equals", 2) => {
            // As CloudFormation, text is compared: `true` equals "true".
            let [left, right] = [&list[0], &list[1]].map(|side| {
                if refers_to_resource(side, scope) {
                    return fail(
                        findings,
                        &at,
                        "refers to a resource",
                        "a condition sees parameters and mappings only",
                    );
                }
                scope.text(side, &at, findings)
            });
            Ok(left? == right?)
        }
        ("Fn::Not", 1) => Ok(!each(list, findings)?[0]),
        ("Fn::And", 2..=10) => Ok(each(list, findings)?.into_iter().all(|holds| holds)),
        ("Fn::Or", 2..=10) => Ok(each(list, findings)?.into_iter().any(|holds| holds)),
        ("Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or", count) => {
            fail(findings, &at, format!("has {count} operands"), "Equals takes 2, Not takes 1, And and Or take 2 to 10")
        }
        _ => fail(findings, &at, format!("{name} is not a condition"), "use Fn::Equals, And, Or, Not or Condition"),
    }
}

fn refers_to_resource(value: &Value, scope: &Scope<'_>) -> bool {
    match function(value) {
        Some(("Fn::GetAtt", _)) => true,
        Some(("Ref", target)) => target.as_str().is_some_and(|target| scope.source.resources.contains_key(target)),
        Some((_, argument)) => refers_to_resource(argument, scope),
        None => match value {
            Value::Array(list) => list.iter().any(|item| refers_to_resource(item, scope)),
            _ => false,
        },
    }
}
