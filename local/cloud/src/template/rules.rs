//! The section Rules: what must hold between the values of parameters before anything is created.
//!
//! Rules see parameters only. A value that a rule looks at is never shown: only the template's own words are.

use std::collections::BTreeMap;

use serde_json::Value;

use super::intrinsics::{Failed, Scope, fail, function};
use super::source::Findings;

/// Adds a finding for every assertion that does not hold.
pub(super) fn check(scope: &Scope<'_>, findings: &mut Findings) {
    for (name, rule) in &scope.source.rules {
        let at = format!("Rules.{name}");
        if let Err(Failed) = one(rule, &at, scope, findings) {
            // It was written down.
        }
    }
}

fn one(rule: &Value, at: &str, scope: &Scope<'_>, findings: &mut Findings) -> Result<(), Failed> {
    let Value::Object(members) = rule else {
        return fail(findings, at, "is not an object", "a rule has Assertions, and a RuleCondition where it has one");
    };
    if let Some(unknown) = members.keys().find(|name| !["RuleCondition", "Assertions"].contains(&name.as_str())) {
        return fail(findings, &format!("{at}.{unknown}"), "is not known", "a rule has RuleCondition and Assertions");
    }
    if let Some(condition) = members.get("RuleCondition")
        && !holds(condition, &format!("{at}.RuleCondition"), scope, findings)?
    {
        return Ok(());
    }
    let Some(Value::Array(assertions)) = members.get("Assertions") else {
        return fail(findings, &format!("{at}.Assertions"), "is not a list", "list what must hold");
    };
    for (index, assertion) in assertions.iter().enumerate() {
        let at = format!("{at}.Assertions.{index}");
        let Some(assert) = assertion.get("Assert") else {
            return fail(findings, &at, "has no Assert", "state what must hold");
        };
        if !holds(assert, &format!("{at}.Assert"), scope, findings)? {
            let said = assertion.get("AssertDescription").and_then(Value::as_str);
            findings.add(at, said.unwrap_or("does not hold"), "give other values to the parameters");
        }
    }
    Ok(())
}

fn holds(value: &Value, at: &str, scope: &Scope<'_>, findings: &mut Findings) -> Result<bool, Failed> {
    let remedy = "use Fn::And, Contains, EachMemberEquals, EachMemberIn, Equals, Not or Or";
    let Some((name, argument)) = function(value) else {
        return fail(findings, at, "is not a function that is true or false", remedy);
    };
    let at = format!("{at}.{name}");
    let operands = argument.as_array().map(Vec::as_slice).unwrap_or_default();
    let each = |findings: &mut Findings| {
        operands
            .iter()
            .enumerate()
            .map(|(index, part)| holds(part, &format!("{at}.{index}"), scope, findings))
            .collect::<Result<Vec<_>, _>>()
    };
    match (name, operands) {
        ("Fn::Not", [_]) => Ok(!each(findings)?[0]),
        ("Fn::And", [_, _, ..]) => Ok(each(findings)?.into_iter().all(|holds| holds)),
        ("Fn::Or", [_, _, ..]) => Ok(each(findings)?.into_iter().any(|holds| holds)),
        ("Fn::Equals", [left, right]) => Ok(texts(left, &at, scope, findings)? == texts(right, &at, scope, findings)?),
        ("Fn::Contains" | "Fn::EachMemberIn", [list, sought]) => {
            let (mut list, mut sought) = (texts(list, &at, scope, findings)?, texts(sought, &at, scope, findings)?);
            if name == "Fn::EachMemberIn" {
                std::mem::swap(&mut list, &mut sought);
            }
            Ok(sought.iter().all(|one| list.contains(one)))
        }
        ("Fn::EachMemberEquals", [list, wanted]) => {
            let wanted = texts(wanted, &at, scope, findings)?;
            Ok(texts(list, &at, scope, findings)?.iter().all(|one| wanted == [one.as_str()]))
        }
        _ => fail(findings, &at, "is not known here, or has the wrong number of operands", remedy),
    }
}

/// A text, a list of texts, or a parameter that holds either.
fn texts(value: &Value, at: &str, scope: &Scope<'_>, findings: &mut Findings) -> Result<Vec<String>, Failed> {
    let wrong = |findings: &mut Findings| {
        fail(findings, at, "is neither text nor a parameter nor a list of them", "a rule sees parameters only")
    };
    match (value, function(value)) {
        (_, Some(("Ref", Value::String(parameter)))) => {
            let given: &BTreeMap<String, Value> = &scope.values;
            match given.get(parameter) {
                Some(value) => texts(value, at, scope, findings),
                // A parameter without a value was written down; anything else is none.
                None if scope.source.parameters.contains_key(parameter) => Err(Failed),
                None => wrong(findings),
            }
        }
        (Value::Array(list), _) => {
            let mut all = Vec::new();
            for item in list {
                all.extend(texts(item, at, scope, findings)?);
            }
            Ok(all)
        }
        (value, _) => match super::parameters::scalar(value) {
            Some(text) => Ok(vec![text]),
            None => wrong(findings),
        },
    }
}
