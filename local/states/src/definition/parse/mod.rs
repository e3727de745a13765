//! From the text of a definition to a [`Machine`]. Reads everything before it gives up, so that all findings are
//! reported at once.

mod choices;
mod errors;
mod map;
mod state;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map as Object, Value};

use super::diagnostics::{Diagnostic, Findings};
use super::fields::Fields;
use super::reachable;
use super::{Language, Machine, Program, Severity};
use state::StateReader;

/// "Limits" of the Step Functions guide.
const LONGEST_DEFINITION: usize = 1_048_576;
const LONGEST_STATE_NAME: usize = 80;
/// Programs in programs; deeper ones are refused rather than risked.
const DEEPEST: usize = 32;

/// What kind of machine a definition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MachineType {
    Standard,
    Express,
}

/// Reads a definition. Warnings alone do not refuse it; they come with the machine.
pub(crate) fn parse(text: &str, kind: MachineType) -> Result<(Machine, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut findings = Findings::default();
    if text.len() > LONGEST_DEFINITION {
        findings.add("DEFINITION_TOO_LARGE", None, format!("The definition is larger than {LONGEST_DEFINITION} bytes"));
        return Err(findings.into_vec());
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let (message, line, column) = unreadable(text, &error);
            let shown: String = text.chars().take(500).collect();
            let place = format!("[Source: (String)\"{shown}\"; line: {line}, column: {column}]");
            findings.add("INVALID_JSON_DESCRIPTION", Some(&place), format!("{message}\n at {place}"));
            return Err(findings.into_vec());
        }
    };
    let (machine, found) = read(&value, kind);
    match machine {
        Some(machine) if !found.iter().any(|one| one.severity == Severity::Error) => Ok((machine, found)),
        _ => Err(found),
    }
}

/// Reads a definition that is JSON, as far as it can be read.
pub(crate) fn read(value: &Value, kind: MachineType) -> (Option<Machine>, Vec<Diagnostic>) {
    let mut findings = Findings::of(kind == MachineType::Express);
    let Value::Object(object) = value else {
        findings.schema("/", "A state machine definition is a JSON object");
        return (None, findings.into_vec());
    };
    let mut fields = Fields { object, location: String::new(), language: Language::JsonPath, findings: &mut findings };
    fields.language = language(&mut fields, None);
    fields.only(&["StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"], &[], &[]);
    if fields.text("Version").is_some_and(|version| version != "1.0") {
        fields.wrong("Version", "Value is not one of: [1.0]");
    }
    let timeout = fields.seconds("TimeoutSeconds", 1);
    let language = fields.language;
    let program = program(object, "", language, 0, &mut findings);
    (program.map(|program| Machine { program, timeout }), findings.into_vec())
}

/// What AWS's parser says about a text that is not JSON, for a word where a value should be; for the rest, what ours says.
fn unreadable(text: &str, error: &serde_json::Error) -> (String, usize, usize) {
    let start = text.trim_start();
    let word: String = start.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let is_word = word.chars().next().is_some_and(char::is_alphabetic) && !matches!(&*word, "null" | "true" | "false");
    if is_word {
        let before = &text[..text.len() - start.len()];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + word.chars().count() + 1;
        let expected = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
        return (format!("Unrecognized token '{word}': was expecting {expected}"), line, column);
    }
    (error.to_string(), error.line(), error.column())
}

/// `QueryLanguage`. A machine's JSONata cannot be taken back by a state.
fn language(fields: &mut Fields<'_, '_>, machine: Option<Language>) -> Language {
    let inherited = machine.unwrap_or(Language::JsonPath);
    match fields.text("QueryLanguage") {
        None => inherited,
        Some("JSONata") => Language::Jsonata,
        Some("JSONPath") if machine == Some(Language::Jsonata) => {
            fields.here("'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine");
            Language::Jsonata
        }
        Some("JSONPath") => Language::JsonPath,
        Some(_) => {
            fields.wrong("QueryLanguage", "Value is not one of: [JSONPath, JSONata]");
            inherited
        }
    }
}

type Targets<'a> = HashMap<&'a str, usize>;

/// `StartAt` and `States` of a machine, a branch or an item processor. States inside inherit the machine's language.
fn program(
    object: &Object<String, Value>,
    location: &str,
    machine: Language,
    depth: usize,
    findings: &mut Findings,
) -> Option<Arc<Program>> {
    let here = if location.is_empty() { "/" } else { location };
    if depth > DEEPEST {
        findings.schema(here, format!("States nest deeper than {DEEPEST}"));
        return None;
    }
    let missing: Vec<_> = ["StartAt", "States"].into_iter().filter(|name| !object.contains_key(*name)).collect();
    if !missing.is_empty() {
        findings.schema(here, format!("These fields are required: [{}]", missing.join(", ")));
        return None;
    }
    let mut fields = Fields { object, location: location.to_owned(), language: machine, findings };
    let start = fields.text("StartAt")?;
    let states = fields.object("States")?;
    if states.is_empty() {
        fields.wrong("States", "States must not be empty");
        return None;
    }
    let targets: Targets<'_> = states.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let start_index = targets.get(start).copied();
    if start_index.is_none() {
        let at = format!("{location}/StartAt");
        findings.add("MISSING_TRANSITION_TARGET", Some(&at), format!("Missing 'Next' target: {start}"));
    }
    let mut parsed = Vec::with_capacity(states.len());
    for (name, state) in states {
        let at = format!("{location}/States/{name}");
        if name.is_empty() || name.chars().count() > LONGEST_STATE_NAME {
            findings.schema(&at, format!("A state's name has 1 to {LONGEST_STATE_NAME} characters"));
        }
        let Value::Object(object) = state else {
            findings.schema(&at, "Expected value of type Object");
            continue;
        };
        let fields = Fields { object, location: at, language: machine, findings };
        parsed.extend(StateReader { fields, targets: &targets, machine, depth }.state(name));
    }
    let program = Program { start: start_index?, states: parsed };
    if program.states.len() == states.len() {
        reachable::check(&program, location, findings);
        return Some(Arc::new(program));
    }
    None
}

/// The state of this name, or a finding.
fn find_target(targets: &Targets<'_>, name: &str, location: &str, findings: &mut Findings) -> Option<usize> {
    let found = targets.get(name).copied();
    if found.is_none() {
        // AWS says 'Next' for every kind of target.
        findings.add("MISSING_TRANSITION_TARGET", Some(location), format!("Missing 'Next' target: {name}"));
    }
    found
}
