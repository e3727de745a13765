//! Parameters: declarations and given values in, checked values out.
//!
//! The value of a `NoEcho` parameter must never appear in an error.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::intrinsics::PENDING;
use super::source::Findings;

/// Bytes of a parameter's value ("CloudFormation quotas" of the user guide).
const MAX_VALUE: usize = 4_096;

const MEMBERS: [&str; 11] = [
    "Type",
    "Default",
    "AllowedValues",
    "AllowedPattern",
    "ConstraintDescription",
    "Description",
    "MinLength",
    "MaxLength",
    "MinValue",
    "MaxValue",
    "NoEcho",
];

/// The types of a single value and of a list. AWS's own types (`AWS::EC2::VPC::Id` …) are checked by AWS against the
/// account; here they are text.
fn is_list(kind: &str) -> Option<bool> {
    match kind {
        "String" | "Number" => Some(false),
        "CommaDelimitedList" | "List<Number>" | "List<String>" => Some(true),
        _ => {
            let (list, inner) = match kind.strip_prefix("List<").and_then(|k| k.strip_suffix('>')) {
                Some(inner) => (true, inner),
                None => (false, kind),
            };
            matches!(
                inner,
                "AWS::EC2::VPC::Id"
                    | "AWS::EC2::Subnet::Id"
                    | "AWS::EC2::SecurityGroup::Id"
                    | "AWS::EC2::AvailabilityZone::Name"
            )
            .then_some(list)
        }
    }
}

/// The value of every declared parameter: text, or a list of texts. What is wrong is added to `findings`.
///
/// `given_at` says where the values came from, for a value that no declaration wants.
pub(super) fn values(
    declared: &Map<String, Value>,
    given: &BTreeMap<String, String>,
    given_at: &str,
    findings: &mut Findings,
) -> BTreeMap<String, Value> {
    for name in given.keys() {
        if !declared.contains_key(name) {
            let known: Vec<_> = declared.keys().map(String::as_str).collect();
            findings.add(
                format!("Parameters.{name}"),
                format!("a value is given {given_at}, but the template declares no such parameter"),
                if known.is_empty() {
                    "the template has no parameters".to_owned()
                } else {
                    format!("its parameters are {}", known.join(", "))
                },
            );
        }
    }
    let mut values = BTreeMap::new();
    for (name, declaration) in declared {
        let at = format!("Parameters.{name}");
        let Value::Object(declaration) = declaration else {
            findings.add(&at, "is not an object", "a parameter has at least a Type");
            continue;
        };
        for member in declaration.keys() {
            if !MEMBERS.contains(&member.as_str()) {
                findings.add(
                    format!("{at}.{member}"),
                    "is not known",
                    format!("a parameter has {}", MEMBERS.join(", ")),
                );
            }
        }
        let kind = declaration.get("Type").and_then(Value::as_str).unwrap_or("");
        let Some(list) = is_list(kind) else {
            let (problem, remedy) = if kind.starts_with("AWS::SSM::") {
                (
                    format!("type {kind} reads the parameter store, which the local cloud does not have"),
                    "use String and pass the value",
                )
            } else {
                (format!("type {kind:?} is not known"), "use String, Number, CommaDelimitedList or List<Number>")
            };
            findings.add(format!("{at}.Type"), problem, remedy);
            continue;
        };
        let default = declaration.get("Default").and_then(scalar);
        let Some(text) = given.get(name).cloned().or(default) else {
            findings.add(&at, "has no value and no default", format!("give a value for {name}"));
            continue;
        };
        if text.len() > MAX_VALUE {
            findings.add(&at, format!("the value is longer than {MAX_VALUE} bytes"), "CloudFormation takes no more");
        }
        // Checked once the custom resource has answered.
        if !text.contains(PENDING) {
            check(&at, declaration, kind, &text, findings);
        }
        let value = if list {
            let items: Vec<_> = text.split(',').map(|item| json!(item.trim())).collect();
            // An empty text is an empty list, not a list of one empty text.
            json!(if text.trim().is_empty() { Vec::new() } else { items })
        } else {
            json!(text)
        };
        values.insert(name.clone(), value);
    }
    values
}

fn check(at: &str, declaration: &Map<String, Value>, kind: &str, text: &str, findings: &mut Findings) {
    let hidden = declaration.get("NoEcho").and_then(scalar).is_some_and(|flag| flag == "true");
    let shown = if hidden { "the value (not shown, NoEcho)".to_owned() } else { format!("{text:?}") };
    let remedy = |otherwise: String| {
        declaration.get("ConstraintDescription").and_then(Value::as_str).map_or(otherwise, str::to_owned)
    };
    let numbers: Option<Vec<f64>> = match kind {
        "Number" => Some(vec![text]),
        "List<Number>" => Some(text.split(',').map(str::trim).collect()),
        _ => None,
    }
    .map(|texts| texts.iter().map(|n| n.parse().unwrap_or(f64::NAN)).collect());
    if let Some(numbers) = &numbers
        && numbers.iter().any(|n| !n.is_finite())
    {
        findings.add(at, format!("{shown} is not a number"), "give a number");
        return;
    }
    if let Some(allowed) = declaration.get("AllowedValues") {
        let allowed: Vec<_> =
            allowed.as_array().map(|values| values.iter().filter_map(scalar).collect()).unwrap_or_default();
        if !allowed.iter().any(|value| value == text) {
            findings.add(
                at,
                format!("{shown} is not an allowed value"),
                remedy(format!("allowed are {}", allowed.join(", "))),
            );
        }
    }
    if let Some(pattern) = declaration.get("AllowedPattern").and_then(Value::as_str) {
        match regex::Regex::new(&format!("^(?:{pattern})$")) {
            Ok(compiled) if !compiled.is_match(text) => findings.add(
                at,
                format!("{shown} does not match the allowed pattern {pattern}"),
                remedy("give a value that matches as a whole".to_owned()),
            ),
            Ok(_) => {}
            Err(error) => findings.add(
                format!("{at}.AllowedPattern"),
                format!("is not a pattern the local cloud can use: {error}"),
                "look-around and back references are not supported",
            ),
        }
    }
    let length = text.chars().count() as f64;
    for (member, measured, too) in [
        ("MinLength", vec![length], "shorter than"),
        ("MaxLength", vec![length], "longer than"),
        ("MinValue", numbers.clone().unwrap_or_default(), "less than"),
        ("MaxValue", numbers.unwrap_or_default(), "more than"),
    ] {
        let Some(limit) = declaration.get(member) else {
            continue;
        };
        let Some(limit) = scalar(limit).and_then(|limit| limit.parse::<f64>().ok()) else {
            findings.add(format!("{at}.{member}"), format!("{limit} is not a number"), "give a number");
            continue;
        };
        let below = member.starts_with("Min");
        if measured.iter().any(|value| if below { *value < limit } else { *value > limit }) {
            findings.add(at, format!("{shown} is {too} {limit}"), remedy(format!("{member} is {limit}")));
        }
    }
}

/// Text of a scalar: CloudFormation takes numbers and booleans where it wants text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
