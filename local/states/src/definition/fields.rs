//! Reads the fields of one object of a definition and knows which ones it may have.
//! Must never let a field pass unread: what nobody asked for is reported.

use serde_json::{Map, Value};

use super::diagnostics::Findings;
use super::{Given, Language, Placement, Selection};
use crate::expression::{self, Expression};
use crate::intrinsic::Call;
use crate::json_path::Path;
use crate::template::Template;
use crate::timestamp;

/// What AWS allows for the numbers of seconds (99,999,999, "Task state fields").
const LONGEST_SECONDS: i64 = 99_999_999;

/// One object, its place, and the language in force.
pub(super) struct Fields<'a, 'f> {
    pub object: &'a Map<String, Value>,
    pub location: String,
    pub language: Language,
    pub findings: &'f mut Findings,
}

impl<'a> Fields<'a, '_> {
    pub(super) fn wrong(&mut self, field: &str, message: impl Into<String>) {
        let location = format!("{}/{field}", self.location);
        self.findings.schema(&location, message);
    }

    pub(super) fn here(&mut self, message: impl Into<String>) {
        let location = if self.location.is_empty() { "/".to_owned() } else { self.location.clone() };
        self.findings.schema(&location, message);
    }

    /// Reports fields outside of the three lists: for both languages, for JSONPath, for JSONata.
    pub(super) fn only(&mut self, both: &[&str], json_path: &[&str], jsonata: &[&str]) {
        for (name, value) in self.object {
            let name = name.as_str();
            if name == "Comment" && !value.is_string() {
                self.wrong("Comment", "Expected value of type String");
            }
            if both.contains(&name) || name == "Comment" {
                continue;
            }
            let (own, other, own_name, other_name) = match self.language {
                Language::JsonPath => (json_path, jsonata, "JSONPath", "JSONata"),
                Language::Jsonata => (jsonata, json_path, "JSONata", "JSONPath"),
            };
            if own.contains(&name) {
                continue;
            }
            if other.contains(&name) {
                self.here(format!(
                    "The QueryLanguage is set to '{own_name}', but field '{name}' is only supported for the \
                     '{other_name}' QueryLanguage"
                ));
            } else {
                self.here(format!("Field '{name}' is not supported"));
            }
        }
    }

    /// At most one of these fields.
    pub(super) fn one_of(&mut self, names: &[&str]) {
        if names.iter().filter(|name| self.object.contains_key(**name)).count() > 1 {
            self.here(format!("There should only be one of the following fields: [{}]", names.join(", ")));
        }
    }

    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.object.get(field)
    }

    pub(super) fn text(&mut self, field: &str) -> Option<&'a str> {
        match self.object.get(field)? {
            Value::String(text) => Some(text),
            _ => {
                self.wrong(field, "Expected value of type String");
                None
            }
        }
    }

    /// A text that is one of a few.
    pub(super) fn choice(&mut self, field: &str, values: &[&str]) -> Option<&'a str> {
        let text = self.text(field)?;
        if values.contains(&text) {
            return Some(text);
        }
        self.wrong(field, format!("Value is not one of: [{}]", values.join(", ")));
        None
    }

    pub(super) fn object(&mut self, field: &str) -> Option<&'a Map<String, Value>> {
        match self.object.get(field)? {
            Value::Object(object) => Some(object),
            _ => {
                self.wrong(field, "Expected value of type Object");
                None
            }
        }
    }

    pub(super) fn array(&mut self, field: &str) -> Option<&'a Vec<Value>> {
        match self.object.get(field)? {
            Value::Array(items) => Some(items),
            _ => {
                self.wrong(field, "Expected value of type Array");
                None
            }
        }
    }

    /// A number not below `least`.
    pub(super) fn number(&mut self, field: &str, least: f64) -> Option<f64> {
        match self.object.get(field)?.as_f64() {
            Some(number) if number >= least => Some(number),
            Some(_) => {
                self.wrong(field, format!("Minimum value is {least}"));
                None
            }
            None => {
                self.wrong(field, "Expected value of type Number");
                None
            }
        }
    }

    /// A whole number of seconds, `least` or more.
    pub(super) fn seconds(&mut self, field: &str, least: i64) -> Option<i64> {
        self.whole(field, least, LONGEST_SECONDS)
    }

    /// A whole number within these bounds.
    pub(super) fn whole(&mut self, field: &str, least: i64, most: i64) -> Option<i64> {
        match self.object.get(field)?.as_i64() {
            Some(number) if number < least => {
                self.wrong(field, format!("Minimum value is {least}"));
                None
            }
            Some(number) if number > most => {
                self.wrong(field, format!("Maximum value is {most}"));
                None
            }
            Some(number) => Some(number),
            None => {
                self.wrong(field, "Expected value of type Integer");
                None
            }
        }
    }

    /// `field` as a whole number or, in JSONata, an expression; `fieldPath` as a path in JSONPath.
    pub(super) fn given_whole(&mut self, field: &str, least: f64, most: Option<f64>) -> Option<Given> {
        let given = self.given_number(field, least, most)?;
        if let Given::Literal(value) = &given
            && value.as_i64().is_none()
        {
            self.wrong(field, "Expected value of type Integer");
        }
        Some(given)
    }

    /// `field` as a number or, in JSONata, an expression; `fieldPath` as a path in JSONPath.
    pub(super) fn given_number(&mut self, field: &str, least: f64, most: Option<f64>) -> Option<Given> {
        let path_field = format!("{field}Path");
        self.one_of(&[field, &path_field]);
        if let Some(text) = self.text_if_path(&path_field) {
            return self.path_text(&path_field, text).map(Given::Path);
        }
        let value = self.object.get(field)?;
        if let (Language::Jsonata, Value::String(text)) = (self.language, value) {
            return self.expression_text(field, text).map(|expression| Given::Expression(Box::new(expression)));
        }
        let number = self.number(field, least)?;
        if let Some(most) = most.filter(|most| number > *most) {
            self.wrong(field, format!("Maximum value is {most}"));
        }
        Some(Given::Literal(value.clone()))
    }

    fn text_if_path(&mut self, field: &str) -> Option<&'a str> {
        if self.language == Language::JsonPath { self.text(field) } else { None }
    }

    /// `Timestamp` of a Wait.
    pub(super) fn given_timestamp(&mut self, field: &str) -> Option<Given> {
        let text = self.text(field)?;
        if self.language == Language::Jsonata && expression::delimited(text).is_some() {
            return self.expression_text(field, text).map(|expression| Given::Expression(Box::new(expression)));
        }
        if timestamp::parse(text).is_none() {
            self.wrong(field, "String does not match RFC3339 timestamp");
        }
        Some(Given::Literal(Value::String(text.to_owned())))
    }

    pub(super) fn path(&mut self, field: &str) -> Option<Path> {
        let text = self.text(field)?;
        self.path_text(field, text)
    }

    fn path_text(&mut self, field: &str, text: &str) -> Option<Path> {
        match Path::parse(text) {
            Ok(path) => Some(path),
            Err(malformed) => {
                self.wrong(field, format!("Value is not a valid JSONPath: {malformed}"));
                None
            }
        }
    }

    pub(super) fn selection(&mut self, field: &str) -> Selection {
        match self.object.get(field) {
            None => Selection::All,
            Some(Value::Null) => Selection::Nothing,
            Some(_) => match self.path(field) {
                Some(path) if path.is_whole() && path.text() == "$" => Selection::All,
                Some(path) => Selection::Path(path),
                None => Selection::All,
            },
        }
    }

    pub(super) fn placement(&mut self, field: &str) -> Placement {
        match self.object.get(field) {
            None => Placement::Replace,
            Some(Value::Null) => Placement::Discard,
            Some(_) => match self.path(field) {
                Some(path) if path.is_reference() && path.is_whole() => Placement::Replace,
                Some(path) if path.is_reference() => Placement::At(path),
                Some(_) => {
                    self.wrong(field, "Value is not a Reference Path");
                    Placement::Replace
                }
                None => Placement::Replace,
            },
        }
    }

    fn expression_text(&mut self, field: &str, text: &str) -> Option<Expression> {
        let Some(source) = expression::delimited(text) else {
            self.wrong(field, "Value is not a valid JSONata expression: it must be between '{%' and '%}'");
            return None;
        };
        match Expression::parse(source) {
            Ok(expression) => Some(expression),
            Err(message) => {
                self.wrong(field, format!("Value is not a valid JSONata expression: {message}"));
                None
            }
        }
    }

    /// A template of the language in force.
    pub(super) fn template(&mut self, field: &str) -> Option<Template> {
        let value = self.object.get(field)?;
        let location = format!("{}/{field}", self.location);
        Some(template(value, self.language, &location, self.findings))
    }

    /// `Assign`.
    pub(super) fn assign(&mut self) -> Vec<(String, Template)> {
        let Some(object) = self.object("Assign") else {
            return Vec::new();
        };
        let location = format!("{}/Assign", self.location);
        for name in object.keys() {
            let name = name.strip_suffix(".$").unwrap_or(name);
            let fits = name.chars().all(|c| c.is_alphanumeric() || c == '_')
                && name.chars().next().is_some_and(|c| !c.is_numeric())
                && name.chars().count() <= 80;
            if !fits || name == "states" {
                self.findings.schema(&location, format!("'{name}' is not a valid variable name"));
            }
        }
        match template(&Value::Object(object.clone()), self.language, &location, self.findings) {
            Template::Object(members) => members,
            Template::Literal(Value::Object(members)) => {
                members.into_iter().map(|(name, value)| (name, Template::Literal(value))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// `field` as text, or `fieldPath` as a path or intrinsic function in JSONPath, or an expression in JSONata.
    pub(super) fn text_or_path(&mut self, field: &'static str, path_field: &'static str) -> Option<super::Text> {
        self.one_of(&[field, path_field]);
        if let Some(text) = self.text_if_path(path_field) {
            let template = computed(text);
            if template.is_none() {
                self.wrong(path_field, "Value must be a valid JSONPath or a valid intrinsic function call");
            }
            return template.map(|template| super::Text { field: path_field, template });
        }
        let text = self.text(field)?;
        if self.language == Language::Jsonata && expression::delimited(text).is_some() {
            let expression = self.expression_text(field, text)?;
            return Some(super::Text { field, template: Template::Jsonata(Box::new(expression)) });
        }
        Some(super::Text { field, template: Template::Literal(Value::String(text.to_owned())) })
    }
}

/// A path or an intrinsic function.
fn computed(text: &str) -> Option<Template> {
    if text.starts_with("States.") {
        return Call::parse(text).ok().map(|call| Template::Intrinsic(Box::new(call)));
    }
    Path::parse(text).ok().map(Template::Path)
}

/// Parses a template; parts without anything to evaluate become literals.
fn template(value: &Value, language: Language, location: &str, findings: &mut Findings) -> Template {
    match value {
        Value::Object(object) => {
            let mut members = Vec::with_capacity(object.len());
            let mut literal = true;
            for (name, member) in object {
                let (name, parsed) = match (language, name.strip_suffix(".$")) {
                    (Language::JsonPath, Some(plain)) => {
                        let parsed = member.as_str().and_then(computed);
                        if parsed.is_none() {
                            findings.schema(
                                location,
                                format!(
                                    "The value for the field '{name}' must be a valid JSONPath or a valid intrinsic \
                                     function call"
                                ),
                            );
                        }
                        (plain, parsed.unwrap_or(Template::Literal(Value::Null)))
                    }
                    _ => (name.as_str(), template(member, language, &format!("{location}/{name}"), findings)),
                };
                literal &= matches!(parsed, Template::Literal(_));
                members.push((name.to_owned(), parsed));
            }
            if literal {
                let plain = |template| {
                    if let Template::Literal(value) = template { value } else { Value::Null }
                };
                let object = members.into_iter().map(|(name, member)| (name, plain(member))).collect();
                return Template::Literal(Value::Object(object));
            }
            Template::Object(members)
        }
        Value::Array(items) => {
            let items: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| template(item, language, &format!("{location}[{index}]"), findings))
                .collect();
            if items.iter().all(|item| matches!(item, Template::Literal(_))) {
                return Template::Literal(value.clone());
            }
            Template::Array(items)
        }
        Value::String(text) if language == Language::Jsonata => match expression::delimited(text) {
            Some(source) => match Expression::parse(source) {
                Ok(expression) => Template::Jsonata(Box::new(expression)),
                Err(message) => {
                    findings.schema(location, format!("Value is not a valid JSONata expression: {message}"));
                    Template::Literal(Value::Null)
                }
            },
            None => Template::Literal(value.clone()),
        },
        other => Template::Literal(other.clone()),
    }
}
