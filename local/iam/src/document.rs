//! Policy documents: what a text says, or what is wrong with it (IAM guide, "Grammar of the IAM JSON policy language").

use serde_json::{Map, Value};

use crate::condition::{self, Condition, action_matches};
use crate::pattern::Pattern;
use crate::principal::{Meant, Principals};
use crate::{Error, Request};

/// What a document is attached to, which decides what its statements must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A role's or user's policy, or a permissions boundary: resources, no principal.
    Identity,
    /// A bucket's, queue's, topic's, function's or key's policy: principals, and resources.
    Resource,
    /// A role's trust policy: principals, no resource.
    Trust,
}

/// `Allow` or `Deny`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The statement allows.
    Allow,
    /// The statement denies, whatever others allow.
    Deny,
}

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sid: Option<String>,
    effect: Effect,
    principals: Option<Principals>,
    actions: Vec<Pattern>,
    not_actions: bool,
    /// None in a trust policy, which is about its own role.
    resources: Option<Vec<Pattern>>,
    not_resources: bool,
    conditions: Vec<Condition>,
}

const ELEMENTS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

impl Document {
    /// Reads a document: an object, or its JSON text.
    ///
    /// # Errors
    /// What is wrong with it and where.
    pub fn parse(kind: Kind, value: &Value) -> Result<Self, Error> {
        let malformed = |at: &str, problem: &str| Error::Malformed { at: at.to_owned(), problem: problem.to_owned() };
        if let Value::String(text) = value {
            let value: Value = serde_json::from_str(text).map_err(|error| malformed("Policy", &error.to_string()))?;
            // A text inside a text is no document.
            return if value.is_object() {
                Self::parse(kind, &value)
            } else {
                Err(malformed("Policy", "is no object"))
            };
        }
        let Value::Object(members) = value else {
            return Err(malformed("Policy", "is no object"));
        };
        if let Some(name) = members.keys().find(|name| !["Version", "Id", "Statement"].contains(&name.as_str())) {
            return Err(Error::Element { at: "Policy".into(), name: name.clone() });
        }
        let variables = match members.get("Version").map(Value::as_str) {
            Some(Some("2012-10-17")) => true,
            None | Some(Some("2008-10-17")) => false,
            Some(_) => return Err(malformed("Version", "must be 2012-10-17 or 2008-10-17")),
        };
        let statements = match members.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err(malformed("Statement", "is missing or no list")),
        };
        let statements = statements.iter().enumerate().map(|(index, statement)| {
            let at = format!("Statement[{index}]");
            match statement {
                Value::Object(members) => Statement::parse(kind, members, variables, &at),
                _ => Err(malformed(&at, "is no object")),
            }
        });
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
    }

    /// Its statements, in order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

impl Statement {
    fn parse(kind: Kind, members: &Map<String, Value>, variables: bool, at: &str) -> Result<Self, Error> {
        let malformed = |problem: &str| Error::Malformed { at: at.to_owned(), problem: problem.to_owned() };
        if let Some(name) = members.keys().find(|name| !ELEMENTS.contains(&name.as_str())) {
            return Err(Error::Element { at: at.to_owned(), name: name.clone() });
        }
        let one_of =
            |positive: &'static str, negative: &'static str| match (members.get(positive), members.get(negative)) {
                (Some(value), None) => Ok(Some((value, false, positive))),
                (None, Some(value)) => Ok(Some((value, true, negative))),
                (None, None) => Ok(None),
                (Some(_), Some(_)) => Err(malformed(&format!("has both {positive} and {negative}"))),
            };
        let effect = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(malformed("Effect must be Allow or Deny")),
        };
        let sid = match members.get("Sid") {
            None => None,
            Some(Value::String(sid)) => Some(sid.clone()),
            Some(_) => return Err(malformed("Sid must be a text")),
        };
        let principals = match (kind, one_of("Principal", "NotPrincipal")?) {
            (Kind::Identity, None) => None,
            (Kind::Identity, Some((_, _, name))) => return Err(malformed(&format!("{name} has no place here"))),
            (_, None) => return Err(malformed("Principal is missing")),
            (_, Some((value, negated, name))) => Some(Principals::parse(value, negated, &format!("{at}.{name}"))?),
        };
        let Some((actions, not_actions, name)) = one_of("Action", "NotAction")? else {
            return Err(malformed("Action is missing"));
        };
        let place = format!("{at}.{name}");
        let actions = texts(actions, &place)?;
        for action in &actions {
            let (service, name) = action.split_once(':').unwrap_or(("", ""));
            if *action != "*" && (service.is_empty() || name.is_empty()) {
                return Err(Error::Malformed { at: place, problem: format!("{action} is no service:action") });
            }
        }
        let actions = actions.iter().map(|action| Pattern::parse(action, false, &place)).collect::<Result<_, _>>()?;
        let (resources, not_resources) = match (kind, one_of("Resource", "NotResource")?) {
            (Kind::Trust, None) => (None, false),
            (Kind::Trust, Some((_, _, name))) => return Err(malformed(&format!("{name} has no place here"))),
            (_, None) => return Err(malformed("Resource is missing")),
            (_, Some((value, negated, name))) => {
                let place = format!("{at}.{name}");
                let resources = texts(value, &place)?;
                for resource in &resources {
                    if *resource != "*" && !resource.starts_with("arn:") {
                        return Err(Error::Malformed { at: place, problem: format!("{resource} is no ARN") });
                    }
                }
                let resources = resources.iter().map(|resource| Pattern::parse(resource, variables, &place));
                (Some(resources.collect::<Result<_, _>>()?), negated)
            }
        };
        let conditions = match members.get("Condition") {
            None => Vec::new(),
            Some(value) => condition::parse(value, variables, &format!("{at}.Condition"))?,
        };
        Ok(Self { sid, effect, principals, actions, not_actions, resources, not_resources, conditions })
    }

    /// Its `Sid`.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Its `Effect`.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The entries of `Action` as written; none for a `NotAction`.
    pub fn actions(&self) -> Vec<&str> {
        if self.not_actions { Vec::new() } else { self.actions.iter().map(Pattern::written).collect() }
    }

    /// The entries of `Resource` or `NotResource` as written.
    pub fn resources(&self) -> Vec<&str> {
        self.resources.iter().flatten().map(Pattern::written).collect()
    }

    /// The keys that its conditions ask for.
    pub fn condition_keys(&self) -> Vec<&str> {
        self.conditions.iter().map(Condition::key).collect()
    }

    /// Which entry of `Action` matches a request that the whole statement applies to. A `NotAction` is entry 0.
    pub(crate) fn applies(&self, request: &Request<'_>) -> Option<usize> {
        let entry = self.actions.iter().position(|action| action_matches(action, request.action));
        let entry = match (entry, self.not_actions) {
            (Some(entry), false) => entry,
            (None, true) => 0,
            _ => return None,
        };
        if let Some(resources) = &self.resources {
            let among = resources.iter().any(|resource| {
                if request.resource == "*" {
                    resource.is_anything()
                } else {
                    resource.matches_arn(request.resource, request.context)
                }
            });
            if among == self.not_resources {
                return None;
            }
        }
        self.conditions.iter().all(|condition| condition.holds(request.context)).then_some(entry)
    }

    /// How it means the caller of a request, if it has principals.
    pub(crate) fn means(&self, request: &Request<'_>) -> Option<Meant> {
        self.principals.as_ref().and_then(|principals| principals.mean(request.principal))
    }
}

/// A text or a list of texts, at least one.
fn texts<'v>(value: &'v Value, at: &str) -> Result<Vec<&'v str>, Error> {
    let malformed = |problem: &str| Error::Malformed { at: at.to_owned(), problem: problem.to_owned() };
    let values = match value {
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    };
    if values.is_empty() {
        return Err(malformed("is empty"));
    }
    values.into_iter().map(|value| value.as_str().ok_or_else(|| malformed("must have texts"))).collect()
}
