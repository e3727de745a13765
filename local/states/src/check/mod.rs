//! `tasker check`: what is wrong with the text of a state machine, where it stands, and what to do about it.
//!
//! Goes further than creating a machine does: it also reports what AWS takes and nobody means. Texts with `${…}` that
//! CloudFormation fills in later are read as if they were filled in. Must never report the same mistake twice, and never
//! stop at the first one that leaves something to read.

mod explain;
mod positions;
mod rules;
mod substitutions;

use std::borrow::Cow;

use serde_json::Value;

use crate::Severity;
use crate::definition::{self, MachineType};
use positions::Positions;

/// One finding in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// An error refuses the machine; a warning is probably not meant.
    pub severity: Severity,
    /// AWS's code where there is one (`SCHEMA_VALIDATION_FAILED`, `MISSING_TRANSITION_TARGET`, …), or one of ours.
    pub code: &'static str,
    /// Where, as a JSON Pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// Line in the text, counted from 1.
    pub line: usize,
    /// Column in the line, in characters, counted from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {severity}: {} [{}", self.line, self.column, self.message, self.code)?;
        if !self.pointer.is_empty() {
            write!(f, " at {}", self.pointer)?;
        }
        f.write_str("]")
    }
}

/// Something found, before it has a line and a column.
struct Found {
    severity: Severity,
    code: &'static str,
    pointer: String,
    place: Place,
    message: String,
}

/// Which part of what a pointer names.
#[derive(Clone, Copy)]
enum Place {
    Name,
    Value,
    /// A character of a string, counted from 0.
    Inside(usize),
}

/// Everything that is wrong with the text of a definition, in the order of the text.
#[must_use]
pub fn file(text: &str) -> Vec<Diagnostic> {
    let text: Cow<'_, str> = substitutions::unquoted(text);
    let value: Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => return vec![unreadable(&text, &error)],
    };
    let positions = Positions::of(&text);
    let filled = substitutions::filled(&value);
    let mut found: Vec<Found> = positions
        .repeated
        .iter()
        .map(|(pointer, name)| Found {
            severity: Severity::Error,
            code: "DUPLICATE_NAME",
            pointer: pointer.clone(),
            place: Place::Name,
            message: format!("'{name}' stands here a second time, and only the last one counts: remove one of them"),
        })
        .collect();
    let (_, read) = definition::read(&filled, MachineType::Standard);
    found.extend(read.into_iter().filter_map(|finding| explain::explained(finding, &value, &filled)));
    found.extend(rules::found(&filled));
    let mut diagnostics: Vec<Diagnostic> = found
        .into_iter()
        .map(|Found { severity, code, pointer, place, message }| {
            let (line, column) = positions.find(&pointer, place);
            Diagnostic { severity, code, pointer, line, column, message }
        })
        .collect();
    diagnostics.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    diagnostics.dedup();
    diagnostics
}

fn unreadable(text: &str, error: &serde_json::Error) -> Diagnostic {
    // Ours counts columns in bytes, and ends the message with the place.
    let line = error.line().max(1);
    let bytes = text.lines().nth(line - 1).unwrap_or_default();
    let before = bytes.char_indices().take_while(|(at, _)| *at + 1 < error.column()).count();
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    let hint = match message.as_str() {
        "trailing comma" => ": remove the comma in front of it",
        "expected `,` or `}`" => ": a comma or the closing brace is missing, here or at the end of the line before",
        "expected `,` or `]`" => ": a comma or the closing bracket is missing, here or at the end of the line before",
        "EOF while parsing an object" | "EOF while parsing a list" | "EOF while parsing a value" => {
            ": the text ends in the middle; a closing brace or bracket is missing"
        }
        "EOF while parsing a string" => ": a closing quote is missing",
        "key must be a string" => ": names stand in double quotes",
        _ => "",
    };
    Diagnostic {
        severity: Severity::Error,
        code: "INVALID_JSON_DESCRIPTION",
        pointer: String::new(),
        line,
        column: before + 1,
        message: format!("this is not JSON: {message}{hint}"),
    }
}

/// A part of a JSON Pointer.
fn part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The nearest of the names, if one is near enough to be meant.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let most = (name.chars().count() / 3).clamp(1, 3);
    names
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| (1..=most).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// How many characters must change to get from one to the other; case counts for nothing but equality.
fn distance(a: &str, b: &str) -> usize {
    if a != b && a.eq_ignore_ascii_case(b) {
        return 1;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(ca != *cb)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
