//! The definition of a state machine, from wherever the template has it, with its substitutions made.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::files::{self, Files};
use super::intrinsics::{Failed, PENDING, fail};
use super::parameters::scalar;
use super::source::Findings;

const PLACES: [&str; 3] = ["Definition", "DefinitionString", "DefinitionS3Location"];

/// Replaces `Definition`, `DefinitionString` or `DefinitionS3Location` and `DefinitionSubstitutions` in the resolved
/// properties by one `DefinitionString` that is JSON. A location is a path relative to `folder`.
pub(super) fn inline(
    properties: &mut Map<String, Value>,
    folder: &Path,
    files: &dyn Files,
    at: &str,
    findings: &mut Findings,
) -> Result<(), Failed> {
    let mut found: Vec<(&str, Value)> =
        PLACES.iter().filter_map(|place| properties.remove(*place).map(|value| (*place, value))).collect();
    let Some((place, value)) = found.pop().filter(|_| found.is_empty()) else {
        return fail(
            findings,
            at,
            "does not have exactly one definition",
            format!("state one of {}", PLACES.join(", ")),
        );
    };
    let substitutions = properties.remove("DefinitionSubstitutions").unwrap_or_else(|| json!({}));
    let at_place = format!("{at}.{place}");
    let text = match (place, value) {
        ("Definition", value @ Value::Object(_)) => value.to_string(),
        ("Definition", _) => return fail(findings, &at_place, "is not an object", "give the definition as an object"),
        ("DefinitionString", Value::String(text)) => text,
        ("DefinitionS3Location", Value::String(path)) => match files.text(&folder.join(&path)) {
            Ok(text) => text,
            Err(error) => {
                return fail(
                    findings,
                    &at_place,
                    format!("{path} cannot be read: {error}"),
                    "the path is relative to the template",
                );
            }
        },
        ("DefinitionS3Location", Value::Object(location)) if files.has_objects() => {
            let member = |name: &str| location.get(name).and_then(Value::as_str).unwrap_or_default();
            let place = files::object(member("Bucket"), member("Key"));
            match files.text(&place) {
                Ok(text) => text,
                Err(error) => {
                    let problem = format!("{} cannot be read: {error}", place.display());
                    return fail(findings, &at_place, problem, "give Bucket and Key of an object that exists");
                }
            }
        }
        ("DefinitionS3Location", _) => {
            return fail(
                findings,
                &at_place,
                "is not a path on this machine",
                "give a path relative to the template, as `aws cloudformation package` takes it",
            );
        }
        _ => return fail(findings, &at_place, "is not text", "give the definition as text"),
    };
    let Value::Object(substitutions) = substitutions else {
        let at = format!("{at}.DefinitionSubstitutions");
        return fail(findings, &at, "is not an object", "map names to values");
    };
    let text = substitute(&text, &substitutions, at, &at_place, findings)?;
    // What a custom resource will answer may stand where JSON wants a number.
    if !text.contains(PENDING)
        && let Err(error) = serde_json::from_str::<Value>(&text)
    {
        return fail(findings, &at_place, format!("is not JSON: {error}"), "correct the definition");
    }
    properties.insert("DefinitionString".into(), Value::String(text));
    Ok(())
}

fn substitute(
    text: &str,
    substitutions: &Map<String, Value>,
    at: &str,
    at_place: &str,
    findings: &mut Findings,
) -> Result<String, Failed> {
    let mut out = String::new();
    let mut failed = false;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        out.push_str(before);
        let name_ends = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        let name = &after[..name_ends];
        if name.is_empty() || !after[name_ends..].starts_with('}') {
            // Not a substitution: JSONata and plain text may hold these characters.
            out.push_str("${");
            rest = after;
            continue;
        }
        match substitutions.get(name).map(scalar) {
            Some(Some(value)) => out.push_str(&value),
            Some(None) => {
                findings.add(format!("{at}.DefinitionSubstitutions.{name}"), "is not text", "give text");
                failed = true;
            }
            None => {
                findings.add(
                    at_place,
                    format!("the definition has ${{{name}}}, which DefinitionSubstitutions does not give"),
                    format!("add {name} to DefinitionSubstitutions"),
                );
                failed = true;
            }
        }
        rest = &after[name_ends + 1..];
    }
    out.push_str(rest);
    if failed { Err(Failed) } else { Ok(out) }
}
