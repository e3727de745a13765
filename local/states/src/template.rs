//! Payload templates: `Parameters`, `ResultSelector`, `ItemSelector` and `Assign` with `name.$` members in JSONPath, and
//! `Arguments`, `Output`, `Assign` with `{% … %}` strings in JSONata. Must never evaluate a part that a state does not ask for.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::environment::{Environment, Failure};
use crate::expression::Expression;
use crate::intrinsic::Call;
use crate::json_path::{Path, Root};
use crate::payload::weight;

/// A parsed template.
#[derive(Debug)]
pub(crate) enum Template {
    /// Nothing to evaluate in here.
    Literal(Value),
    Object(Vec<(String, Template)>),
    Array(Vec<Template>),
    Path(Path),
    Intrinsic(Box<Call>),
    Jsonata(Box<Expression>),
}

impl Template {
    /// Evaluates. `field` is where this template stands, for cause texts.
    pub(crate) fn evaluate(&self, env: &Environment<'_>, field: &str) -> Result<Value, Failure> {
        match self {
            Self::Literal(value) => {
                env.spend(weight(value))?;
                Ok(value.clone())
            }
            Self::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (name, member) in members {
                    let value = match member {
                        Self::Path(_) | Self::Intrinsic(_) => member.evaluate(env, &format!("{name}.$"))?,
                        Self::Literal(value) => value.clone(),
                        _ => member.evaluate(env, &format!("{field}/{name}"))?,
                    };
                    object.insert(name.clone(), value);
                }
                Ok(Value::Object(object))
            }
            Self::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| item.evaluate(env, &format!("{field}[{index}]")))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Self::Path(path) => match find(path, env) {
                Ok(found) => {
                    env.spend(weight(&found))?;
                    Ok(found)
                }
                Err(_) => {
                    let place = if *path.root() == Root::Context { env.context.get() } else { env.data };
                    Err(Failure::runtime(format!(
                        "The JSONPath '{}' specified for the field '{field}' could not be found in the input '{place}'",
                        path.text()
                    )))
                }
            },
            Self::Intrinsic(call) => call.evaluate(env),
            Self::Jsonata(expression) => expression.evaluate(env, field),
        }
    }

    /// Whether evaluating can look at the context object's `Task`, which only a task with a token has.
    pub(crate) fn visit_paths<'a>(&'a self, visit: &mut dyn FnMut(&'a Path)) {
        match self {
            Self::Object(members) => members.iter().for_each(|(_, member)| member.visit_paths(visit)),
            Self::Array(items) => items.iter().for_each(|item| item.visit_paths(visit)),
            Self::Path(path) => visit(path),
            Self::Intrinsic(call) => call.visit_paths(visit),
            Self::Literal(_) | Self::Jsonata(_) => {}
        }
    }
}

/// What a path names in this environment. The error is the text behind `Invalid path '…' : `.
pub(crate) fn find(path: &Path, env: &Environment<'_>) -> Result<Value, String> {
    let found = match path.root() {
        Root::Input => path.find(env.data),
        Root::Context => path.find(env.context.get()),
        Root::Variable(name) => match env.variables.get(name) {
            Some(value) => path.find(value),
            None => return Err(format!("No variable '{name}' is assigned")),
        },
    };
    found.map_err(|missing| missing.0)
}

/// `Assign`: names with their templates.
pub(crate) fn assignments(
    assign: &[(String, Template)],
    env: &Environment<'_>,
    field: &str,
) -> Result<Vec<(String, Arc<Value>)>, Failure> {
    assign
        .iter()
        .map(|(name, template)| {
            let field = match template {
                Template::Path(_) | Template::Intrinsic(_) => format!("{name}.$"),
                _ => format!("{field}/{name}"),
            };
            Ok((name.clone(), Arc::new(template.evaluate(env, &field)?)))
        })
        .collect()
}
