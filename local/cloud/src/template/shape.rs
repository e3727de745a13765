//! The shape of properties: which a resource type has, what each holds, and whether it has an effect here.
//!
//! A property that is not in a table is refused by name. Values are converted to their type, because parameters and
//! functions give text where a number or a flag is wanted.

use serde_json::{Map, Value, json};

use super::intrinsics::PENDING;
use super::parameters::scalar;
use super::source::Findings;

/// What a property holds.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Text; numbers and flags become text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// Anything, such as a policy document.
    Json,
    /// A list.
    List(&'static Shape),
    /// Names chosen by the template, all with values of one shape.
    Map(&'static Shape),
    /// A structure.
    Object(&'static [Property]),
}

/// What a property does in the local cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The same as on AWS, as far as one machine goes.
    Honoured,
    /// Nothing; the text says why that changes no result.
    None(&'static str),
}

/// One property of a type or a structure.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What it does here.
    pub effect: Effect,
}

impl Property {
    /// A property that must be there.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// An honoured property.
pub(super) const fn has(name: &'static str, shape: Shape) -> Property {
    Property { name, shape, required: false, effect: Effect::Honoured }
}

/// A property without effect here, and why.
pub(super) const fn idle(name: &'static str, shape: Shape, why: &'static str) -> Property {
    Property { name, shape, required: false, effect: Effect::None(why) }
}

/// `Tags` as most types have them.
pub(super) const TAGS: Property = idle(
    "Tags",
    Shape::List(&Shape::Object(&[has("Key", Shape::Text).required(), has("Value", Shape::Text).required()])),
    "tags serve billing and access by tag",
);

/// Holds `value` against `shape` and gives it back with its types.
pub(super) fn check(value: Value, shape: Shape, at: &str, findings: &mut Findings) -> Value {
    let wanted = match (shape, value) {
        (Shape::Json, value) => return value,
        // Checked once the custom resource has answered.
        (_, Value::String(text)) if text.contains(PENDING) => return Value::String(text),
        (Shape::Text, value) => match scalar(&value) {
            Some(text) => return json!(text),
            None => "text",
        },
        (Shape::Number, value) => {
            let number = match &value {
                Value::Number(_) => return value,
                Value::String(text) => {
                    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from))
                }
                _ => Ok(Value::Null),
            };
            match number {
                Ok(number @ Value::Number(_)) => return number,
                _ => "a number",
            }
        }
        (Shape::Flag, value) => match scalar(&value).as_deref() {
            Some("true") => return Value::Bool(true),
            Some("false") => return Value::Bool(false),
            _ => "true or false",
        },
        (Shape::List(inner), Value::Array(list)) => {
            return Value::Array(
                list.into_iter()
                    .enumerate()
                    .map(|(index, item)| check(item, *inner, &format!("{at}.{index}"), findings))
                    .collect(),
            );
        }
        (Shape::List(_), _) => "a list",
        (Shape::Map(inner), Value::Object(object)) => {
            return Value::Object(
                object
                    .into_iter()
                    .map(|(name, member)| {
                        let member = check(member, *inner, &format!("{at}.{name}"), findings);
                        (name, member)
                    })
                    .collect(),
            );
        }
        (Shape::Object(properties), Value::Object(object)) => return check_object(object, properties, at, findings),
        (Shape::Map(_) | Shape::Object(_), _) => "an object",
    };
    findings.add(at, format!("is not {wanted}"), format!("give {wanted}"));
    Value::Bool(false)
}

fn check_object(object: Map<String, Value>, properties: &[Property], at: &str, findings: &mut Findings) -> Value {
    for property in properties.iter().filter(|property| property.required) {
        if !object.contains_key(property.name) {
            findings.add(at, format!("{} is missing", property.name), format!("state {}", property.name));
        }
    }
    let mut checked = Map::new();
    for (name, value) in object {
        let at = format!("{at}.{name}");
        match properties.iter().find(|property| property.name == name) {
            Some(property) => {
                let value = check(value, property.shape, &at, findings);
                checked.insert(name, value);
            }
            None => {
                let known: Vec<_> = properties.iter().map(|property| property.name).collect();
                findings.add(
                    at,
                    "is not known to the local cloud",
                    format!("correct the name, or teach it to local/cloud; known here are {}", known.join(", ")),
                );
            }
        }
    }
    Value::Object(checked)
}
