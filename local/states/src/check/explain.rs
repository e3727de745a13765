//! Findings of the reader of definitions, which speaks AWS's words, in words that a person can act on; with the exact
//! place where the reader only names what is around it.

use serde_json::Value;

use super::{Found, Place, nearest, part, substitutions};
use crate::expression::{self, Expression};
use crate::intrinsic::Call;
use crate::json_path::Path;
use crate::{Severity, definition};

/// Every field of the language, for what was probably meant.
const FIELDS: [&str; 64] = [
    "Arguments",
    "Assign",
    "BackoffRate",
    "BatchInput",
    "Branches",
    "Catch",
    "Cause",
    "CausePath",
    "Choices",
    "Comment",
    "Condition",
    "Credentials",
    "Default",
    "End",
    "Error",
    "ErrorEquals",
    "ErrorPath",
    "ExecutionType",
    "HeartbeatSeconds",
    "HeartbeatSecondsPath",
    "InputPath",
    "InputType",
    "IntervalSeconds",
    "ItemBatcher",
    "ItemProcessor",
    "ItemReader",
    "ItemSelector",
    "Items",
    "ItemsPath",
    "JitterStrategy",
    "Label",
    "MaxAttempts",
    "MaxConcurrency",
    "MaxConcurrencyPath",
    "MaxDelaySeconds",
    "MaxInputBytesPerBatch",
    "MaxItems",
    "MaxItemsPath",
    "MaxItemsPerBatch",
    "Mode",
    "Next",
    "Output",
    "OutputPath",
    "Parameters",
    "ProcessorConfig",
    "QueryLanguage",
    "ReaderConfig",
    "Resource",
    "Result",
    "ResultPath",
    "ResultSelector",
    "ResultWriter",
    "Retry",
    "Seconds",
    "SecondsPath",
    "StartAt",
    "States",
    "TimeoutSeconds",
    "TimeoutSecondsPath",
    "Timestamp",
    "TimestampPath",
    "ToleratedFailureCount",
    "ToleratedFailurePercentage",
    "Type",
];

/// The finding with its place and words. `None`: it is about a value that is filled in later.
pub(super) fn explained(finding: definition::Diagnostic, written: &Value, filled: &Value) -> Option<Found> {
    let location = finding.location.as_deref().unwrap_or_default();
    let (mut pointer, value) = resolve(location, filled);
    let (severity, code) = (finding.severity, finding.code);
    let message = finding.message;
    let found = |pointer: String, place, message: String| Some(Found { severity, code, pointer, place, message });
    if let Some(name) = quoted(&message, "Field '").or_else(|| quoted(&message, "but field '")) {
        if message.ends_with("is not supported") {
            let hint = match nearest(&name, FIELDS.into_iter()) {
                Some(meant) => format!("did you mean '{meant}'?"),
                None => "remove it, or put notes for people into 'Comment'".to_owned(),
            };
            pointer.push_str(&format!("/{}", part(&name)));
            return found(pointer, Place::Name, format!("there is no field '{name}' here: {hint}"));
        }
        pointer.push_str(&format!("/{}", part(&name)));
        return found(pointer, Place::Name, message);
    }
    // Members of templates are named in the message only.
    if let Some(name) = quoted(&message, "The value for the field '") {
        pointer.push_str(&format!("/{}", part(&name)));
        let text = value.and_then(|value| value.get(&name));
        let Some(Value::String(text)) = text else {
            let message = format!(
                "the value of '{name}' must be a string with a path ('$.a') or an intrinsic function ('States.Format(…)'); \
                 a constant stands under the name without '.$'"
            );
            return found(pointer, Place::Value, message);
        };
        let (place, why) = computed(text);
        return found(pointer, place, why);
    }
    if is_unknown(&pointer, written) && code != "MISSING_END_STATE" {
        return None;
    }
    let text = value.and_then(Value::as_str).unwrap_or_default();
    if message.starts_with("Value is not a valid JSONPath") {
        let (place, why) = path(text);
        return found(pointer, place, why);
    }
    if message.starts_with("Value must be a valid JSONPath or a valid intrinsic") {
        let (place, why) = computed(text);
        return found(pointer, place, why);
    }
    if message.starts_with("Value is not a valid JSONata expression") {
        let (place, why) = jsonata(text);
        return found(pointer, place, why);
    }
    if let Some(target) = message.strip_prefix("Missing 'Next' target: ") {
        let states = siblings(&pointer, filled);
        let hint = match nearest(target, states.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean '{meant}'?"),
            None => "the states beside it are the only ones that it can lead to".to_owned(),
        };
        return found(pointer, Place::Value, format!("there is no state '{target}' here: {hint}"));
    }
    if let Some(name) = quoted(&message, "State \"") {
        let message =
            format!("nothing leads to the state '{name}': name it in a 'Next', 'Default' or 'Catch', or remove it");
        return found(pointer, Place::Name, message);
    }
    let message = match (code, message.as_str()) {
        ("MISSING_END_STATE", _) => {
            "nothing here ends: a state needs '\"End\": true', or the Type 'Succeed' or 'Fail'".to_owned()
        }
        ("NO_TIMEOUT", _) => format!(
            "{}: give the state 'TimeoutSeconds' (and 'HeartbeatSeconds' if heartbeats are sent)",
            lower(&message)
        ),
        (_, "Value is not a valid resource ARN") => {
            "this is no ARN of something that a Task can call: a function's ARN or 'arn:aws:states:::service:action'"
                .into()
        }
        (_, "One of the following fields is required: [Next, End]") => {
            "the state leads nowhere: give it a 'Next', or '\"End\": true'".into()
        }
        (_, text) if text.starts_with("States.ALL must appear alone") => {
            "'States.ALL' must be the only name and in the last entry: what stands behind it is never reached".into()
        }
        _ => message,
    };
    found(pointer, Place::Value, message)
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

/// What stands between `start` and the next quote.
fn quoted(message: &str, start: &str) -> Option<String> {
    let quote = start.chars().next_back()?;
    let rest = &message[message.find(start)? + start.len()..];
    Some(rest[..rest.rfind(quote).filter(|_| quote == '"').or_else(|| rest.find(quote))?].to_owned())
}

/// From a location, `/States/A/Choices[0]/Next`, to a JSON Pointer and what it names. The document decides, because the
/// names of states may hold slashes and brackets.
fn resolve<'v>(location: &str, document: &'v Value) -> (String, Option<&'v Value>) {
    let mut pointer = String::new();
    let mut value = document;
    let mut rest = if location == "/" { "" } else { location };
    while !rest.is_empty() {
        let next = match value {
            Value::Object(members) => members
                .iter()
                .filter_map(|(name, member)| {
                    let behind = rest.strip_prefix('/')?.strip_prefix(name.as_str())?;
                    let ends = behind.is_empty() || behind.starts_with(['/', '[']);
                    ends.then(|| (part(name), member, behind))
                })
                .max_by_key(|(name, ..)| name.len()),
            Value::Array(items) => rest.strip_prefix('[').and_then(|behind| {
                let (index, behind) = behind.split_once(']')?;
                Some((index.to_owned(), items.get(index.parse::<usize>().ok()?)?, behind))
            }),
            _ => None,
        };
        let Some((name, member, behind)) = next else {
            // A field that is missing: its name, where it would stand.
            if let Some(name) = rest.strip_prefix('/') {
                pointer.push_str(&format!("/{}", part(name)));
            }
            return (pointer, None);
        };
        pointer.push_str(&format!("/{name}"));
        (value, rest) = (member, behind);
    }
    (pointer, Some(value))
}

/// Whether the value there is a text with a substitution.
fn is_unknown(pointer: &str, written: &Value) -> bool {
    written.pointer(pointer).is_some_and(|value| value.is_string() && substitutions::holds(value))
}

/// The names of the states among which a pointer lies.
fn siblings(pointer: &str, document: &Value) -> Vec<String> {
    let around =
        pointer.rmatch_indices("/States/").find_map(|(at, _)| document.pointer(&pointer[..at + 7])?.as_object());
    let around = around.or_else(|| document.pointer(pointer.strip_suffix("/StartAt")?)?.get("States")?.as_object());
    around.into_iter().flat_map(|states| states.keys().cloned()).collect()
}

/// Why a text is not a path.
fn path(text: &str) -> (Place, String) {
    match Path::parse(text) {
        Err(wrong) => (
            Place::Inside(wrong.position.saturating_sub(1)),
            format!("'{text}' is no path: {} at character {}", wrong.message, wrong.position),
        ),
        Ok(_) => (Place::Value, format!("'{text}' is no path that can stand here")),
    }
}

/// Why a text is neither a path nor an intrinsic function.
fn computed(text: &str) -> (Place, String) {
    if !text.starts_with("States.") {
        let (place, why) = path(text);
        return (place, format!("{why}; a constant stands under the name without '.$'"));
    }
    match Call::parse(text) {
        Err(why) => {
            let position = why.rsplit("at character ").next().and_then(|rest| {
                rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse::<usize>().ok())
            });
            let place = position.map_or(Place::Inside(0), |position| Place::Inside(position.saturating_sub(1)));
            (place, format!("'{text}' is no call of an intrinsic function: {why}"))
        }
        Ok(_) => (Place::Value, format!("'{text}' cannot stand here")),
    }
}

/// Why a text is not an expression.
fn jsonata(text: &str) -> (Place, String) {
    let Some(source) = expression::delimited(text) else {
        let message =
            format!("'{text}' must be an expression between '{{%' and '%}}', without blanks around these marks");
        return (Place::Value, message);
    };
    match Expression::parse(source) {
        Err(why) => {
            let start = text.find(source).unwrap_or(0);
            let before = text[..start].chars().count();
            let at = expression::mistake(source);
            (
                Place::Inside(before + at),
                format!("the expression cannot be read at character {}: {why}", before + at + 1),
            )
        }
        Ok(_) => (Place::Value, format!("'{text}' cannot stand here")),
    }
}

/// A finding of ours.
pub(super) fn warning(code: &'static str, pointer: String, place: Place, message: String) -> Found {
    Found { severity: Severity::Warning, code, pointer, place, message }
}
