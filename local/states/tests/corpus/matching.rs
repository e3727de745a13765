//! Compares what came out with what was recorded, under the corpus's rules for placeholders (its README, "Wildcards").

use serde_json::Value;

/// Placeholders that only stand for a whole value.
const WHOLE_ONLY: [&str; 3] = ["timestamp", "date", "datetime"];
/// They mirror the front end of AWS's services; the README says to compare their shape or to leave them out.
const LEFT_OUT: [&str; 2] = ["SdkHttpMetadata", "SdkResponseMetadata"];

pub struct Matcher {
    wildcards: Vec<String>,
}

impl Matcher {
    pub fn new(wildcards: Vec<String>) -> Self {
        let mut wildcards = wildcards;
        wildcards.sort_by_key(|token| std::cmp::Reverse(token.len()));
        Self { wildcards }
    }

    /// The first difference, as a path with both values.
    pub fn difference(&self, expected: &Value, actual: &Value, path: &str) -> Option<String> {
        let differs = || Some(format!("{path}: expected {expected}, got {actual}"));
        match (expected, actual) {
            (Value::String(text), _) if self.wildcards.iter().any(|token| token == text) => None,
            // A placeholder that upstream replaced twice.
            (Value::String(text), Value::String(_)) if text.starts_with("<<") && text.ends_with('>') => None,
            (Value::String(text), Value::String(found)) => {
                if self.text_matches(text, found) {
                    None
                } else {
                    differs()
                }
            }
            (Value::Object(_), Value::String(text)) => match serde_json::from_str::<Value>(text) {
                Ok(parsed @ Value::Object(_)) => self.difference(expected, &parsed, path),
                _ => differs(),
            },
            (Value::Object(members), Value::Object(found)) => {
                for (name, member) in members {
                    if LEFT_OUT.contains(&name.as_str()) {
                        continue;
                    }
                    let Some(value) = found.get(name) else {
                        return Some(format!("{path}.{name}: expected {member}, got nothing"));
                    };
                    // Stack traces are those of the runtime that raised the error.
                    if name == "stackTrace" {
                        continue;
                    }
                    if let Some(difference) = self.difference(member, value, &format!("{path}.{name}")) {
                        return Some(difference);
                    }
                }
                found
                    .keys()
                    .find(|name| !members.contains_key(*name) && !LEFT_OUT.contains(&name.as_str()))
                    .map(|name| format!("{path}.{name}: expected nothing, got {}", found[name]))
            }
            (Value::Array(items), Value::Array(found)) if items.len() == found.len() => items
                .iter()
                .zip(found)
                .enumerate()
                .find_map(|(index, (item, value))| self.difference(item, value, &format!("{path}[{index}]"))),
            (Value::Number(a), Value::Number(b)) => {
                if a.as_f64() == b.as_f64() && a.is_f64() == b.is_f64() {
                    None
                } else {
                    differs()
                }
            }
            _ if expected == actual => None,
            _ => differs(),
        }
    }

    fn text_matches(&self, expected: &str, actual: &str) -> bool {
        if expected == actual {
            return true;
        }
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut rest = expected;
        let mut literal = 0;
        while literal < rest.len() {
            let here = &rest[literal..];
            let token = self.wildcards.iter().find(|token| {
                let inside = token.starts_with('<') || (token.len() > 6 && !WHOLE_ONLY.contains(&token.as_str()));
                inside && here.starts_with(token.as_str())
            });
            if let Some(token) = token {
                parts.push(Part::Text(&rest[..literal]));
                parts.push(Part::Anything);
                rest = &here[token.len()..];
                literal = 0;
            } else {
                literal += here.chars().next().map_or(1, char::len_utf8);
            }
        }
        parts.push(Part::Text(rest));
        matches_parts(&parts, actual)
    }
}

enum Part<'a> {
    Text(&'a str),
    /// One or more characters.
    Anything,
}

fn matches_parts(parts: &[Part<'_>], text: &str) -> bool {
    match parts.split_first() {
        None => text.is_empty(),
        Some((Part::Text(literal), rest)) => text.strip_prefix(literal).is_some_and(|after| matches_parts(rest, after)),
        Some((Part::Anything, rest)) => text
            .char_indices()
            .skip(1)
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| at > 0 && matches_parts(rest, &text[at..])),
    }
}
