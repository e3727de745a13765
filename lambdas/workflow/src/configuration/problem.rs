//! Problems of configuration: where, what, and what to do about it. Reading goes on after a problem, so that a person
//! sees all of them at once.

use std::fmt;

use serde_json::{Map, Value};

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as a key of the assets bucket: `config/workflows/review.json`.
    pub file: String,
    /// Where in the file: `$.queries[3].timeLimitSeconds`. `$` is the whole file.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What would make it right.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.file, self.path, self.what, self.remedy)
    }
}

/// The problems of one file as they are found, and the readers of its values.
pub(super) struct Reader<'f> {
    file: &'f str,
    pub(super) problems: Vec<Problem>,
}

/// An object of the file and where it stands.
#[derive(Clone)]
pub(super) struct Object<'v> {
    pub(super) map: &'v Map<String, Value>,
    pub(super) path: String,
}

impl Object<'_> {
    pub(super) fn at(&self, field: &str) -> String {
        child(&self.path, field)
    }
}

/// The path of a member. Names that are no identifiers are quoted, as JSONPath does it.
pub(super) fn child(path: &str, field: &str) -> String {
    let plain = field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
        && field.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if plain { format!("{path}.{field}") } else { format!("{path}[{}]", Value::from(field)) }
}

impl<'f> Reader<'f> {
    pub(super) fn new(file: &'f str) -> Self {
        Self { file, problems: Vec::new() }
    }

    pub(super) fn problem(&mut self, path: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            path: path.into(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// The value as an object; fields not in `known` are problems.
    pub(super) fn object<'v>(&mut self, value: &'v Value, path: String, known: &[&str]) -> Option<Object<'v>> {
        let Some(map) = value.as_object() else {
            self.problem(path, format!("this is {}", kind(value)), "an object is needed here");
            return None;
        };
        for field in map.keys() {
            if !known.contains(&field.as_str()) {
                let remedy = match nearest(field, known.iter().copied()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("remove it; known here: {}", known.join(", ")),
                };
                self.problem(child(&path, field), format!("unknown field {field:?}"), remedy);
            }
        }
        Some(Object { map, path })
    }

    /// The elements of a list with their paths. A missing field is a problem when `required`.
    pub(super) fn list<'v>(
        &mut self,
        object: &Object<'v>,
        field: &str,
        required: bool,
    ) -> Option<Vec<(&'v Value, String)>> {
        let path = object.at(field);
        match object.map.get(field) {
            Some(Value::Array(list)) => {
                Some(list.iter().enumerate().map(|(i, value)| (value, format!("{path}[{i}]"))).collect())
            }
            Some(other) => {
                self.problem(path, format!("this is {}", kind(other)), "a list is needed here");
                None
            }
            None => {
                if required {
                    self.missing(object, field, "add a list");
                }
                None
            }
        }
    }

    pub(super) fn missing(&mut self, object: &Object<'_>, field: &str, remedy: &str) {
        self.problem(object.path.clone(), format!("the field {field:?} is missing"), remedy);
    }

    /// Text that is not empty.
    pub(super) fn text(&mut self, object: &Object<'_>, field: &str, required: Option<&str>) -> Option<String> {
        match object.map.get(field) {
            Some(value) => self.text_value(value, object.at(field)),
            None => {
                if let Some(remedy) = required {
                    self.missing(object, field, remedy);
                }
                None
            }
        }
    }

    pub(super) fn text_value(&mut self, value: &Value, path: String) -> Option<String> {
        match value {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::String(_) => {
                self.problem(path, "the text is empty", "write something or remove the field");
                None
            }
            other => {
                self.problem(path, format!("this is {}", kind(other)), "text is needed here");
                None
            }
        }
    }

    /// A name: `[a-z][a-z0-9-]{0,62}`, so that it can be part of a key, of an execution's name and of a table's name.
    pub(super) fn name_value(&mut self, value: &Value, path: String) -> Option<String> {
        let text = self.text_value(value, path.clone())?;
        if is_name(&text) {
            return Some(text);
        }
        self.problem(path, format!("{text:?} is no name"), NAME_REMEDY);
        None
    }

    pub(super) fn name(&mut self, object: &Object<'_>, field: &str, required: Option<&str>) -> Option<String> {
        match object.map.get(field) {
            Some(value) => self.name_value(value, object.at(field)),
            None => {
                if let Some(remedy) = required {
                    self.missing(object, field, remedy);
                }
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(
        &mut self,
        object: &Object<'_>,
        field: &str,
        bounds: std::ops::RangeInclusive<u64>,
        required: Option<&str>,
    ) -> Option<u64> {
        let Some(value) = object.map.get(field) else {
            if let Some(remedy) = required {
                self.missing(object, field, remedy);
            }
            return None;
        };
        // A JSON Schema takes 3.0 for an integer, so it is one here.
        let number = value.as_u64().or_else(|| {
            value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n)).map(
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                |n| n as u64,
            )
        });
        match number {
            Some(number) if bounds.contains(&number) => Some(number),
            _ => {
                self.problem(
                    object.at(field),
                    format!(
                        "{} is not allowed",
                        if value.is_number() { value.to_string() } else { kind(value).into() }
                    ),
                    format!("a whole number from {} to {} is needed here", bounds.start(), bounds.end()),
                );
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, object: &Object<'_>, field: &str) -> Option<bool> {
        match object.map.get(field)? {
            Value::Bool(value) => Some(*value),
            other => {
                self.problem(object.at(field), format!("this is {}", kind(other)), "true or false is needed here");
                None
            }
        }
    }

    /// One word of a list of words.
    pub(super) fn word(
        &mut self,
        object: &Object<'_>,
        field: &str,
        words: &[&'static str],
        required: Option<&str>,
    ) -> Option<&'static str> {
        let Some(value) = object.map.get(field) else {
            if let Some(remedy) = required {
                self.missing(object, field, remedy);
            }
            return None;
        };
        self.word_value(value, object.at(field), words)
    }

    pub(super) fn word_value(&mut self, value: &Value, path: String, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text_value(value, path.clone())?;
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            self.problem(path, format!("{text:?} is not known here"), format!("write one of: {}", words.join(", ")));
        }
        found
    }
}

pub(super) const NAME_REMEDY: &str = "a name starts with a-z and goes on with a-z, 0-9 and -, at most 63 characters";

/// Whether a text is a name, see [`Reader::name_value`].
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && text.len() <= 63
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The known name that a wrong one was probably meant to be.
pub(super) fn nearest<'n>(wrong: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let far = wrong.chars().count() / 3 + 1;
    known
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The remedy for an unknown name.
pub(super) fn meant<'n>(wrong: &str, known: impl Iterator<Item = &'n str>, otherwise: &str) -> String {
    nearest(wrong, known).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean {near:?}?"))
}
