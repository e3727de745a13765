//! Choice states and their rules.

use serde_json::Value;

use super::super::Kind;
use super::super::Language;
use super::super::choice::{Comparison, Condition, Operand, Operator, Rule};
use super::super::fields::Fields;
use super::state::StateReader;
use super::{DEEPEST, find_target};
use crate::template::Template;
use crate::timestamp;

impl StateReader<'_, '_> {
    pub(super) fn choice(&mut self) -> Option<Kind> {
        let default = match self.fields.get("Default") {
            Some(_) => Some(self.target("Default")?),
            None => None,
        };
        let Some(choices) = self.fields.array("Choices") else {
            self.fields.here("These fields are required: [Choices]");
            return None;
        };
        if choices.is_empty() {
            self.fields.wrong("Choices", "There must be at least one choice");
        }
        let mut rules = Vec::with_capacity(choices.len());
        for (index, choice) in choices.iter().enumerate() {
            let location = format!("{}/Choices[{index}]", self.fields.location);
            let Value::Object(object) = choice else {
                self.fields.findings.schema(&location, "Expected value of type Object");
                continue;
            };
            let mut fields = Fields {
                object,
                location: location.clone(),
                language: self.fields.language,
                findings: self.fields.findings,
            };
            let condition = if fields.language == Language::Jsonata {
                fields.only(&["Next", "Assign"], &["Variable"], &["Condition", "Output"]);
                match fields.template("Condition") {
                    Some(Template::Jsonata(expression)) => Some(Condition::Expression(expression)),
                    Some(Template::Literal(Value::Bool(held))) => Some(Condition::Constant(held)),
                    Some(_) => {
                        fields.wrong("Condition", "Value is not a valid JSONata expression");
                        None
                    }
                    None => {
                        fields.here("These fields are required: [Condition]");
                        None
                    }
                }
            } else {
                condition(&mut fields, 0)
            };
            let assign = fields.assign();
            let output = fields.template("Output");
            let Some(next) = fields.text("Next") else {
                fields.here("These fields are required: [Next]");
                continue;
            };
            let next = find_target(self.targets, next, &format!("{location}/Next"), self.fields.findings);
            if let (Some(condition), Some(next)) = (condition, next) {
                rules.push(Rule { condition, next, assign, output });
            }
        }
        (rules.len() == choices.len()).then_some(Kind::Choice { rules, default })
    }
}

/// A JSONPath rule, or a part of one.
fn condition(fields: &mut Fields<'_, '_>, depth: usize) -> Option<Condition> {
    if depth > DEEPEST {
        fields.here(format!("Conditions nest deeper than {DEEPEST}"));
        return None;
    }
    for (name, join) in [("And", true), ("Or", false)] {
        if fields.get(name).is_none() {
            continue;
        }
        let parts = fields.array(name)?;
        if parts.is_empty() {
            fields.wrong(name, "There must be at least one condition");
        }
        let mut parsed = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            parsed.push(inner_condition(fields, part, &format!("{name}[{index}]"), depth)?);
        }
        return Some(if join { Condition::And(parsed) } else { Condition::Or(parsed) });
    }
    if let Some(part) = fields.get("Not") {
        return inner_condition(fields, part, "Not", depth).map(|condition| Condition::Not(Box::new(condition)));
    }
    comparison(fields)
}

fn inner_condition(fields: &mut Fields<'_, '_>, part: &Value, name: &str, depth: usize) -> Option<Condition> {
    let location = format!("{}/{name}", fields.location);
    let Value::Object(object) = part else {
        fields.findings.schema(&location, "Expected value of type Object");
        return None;
    };
    let mut inner = Fields { object, location, language: fields.language, findings: fields.findings };
    condition(&mut inner, depth + 1)
}

fn comparison(fields: &mut Fields<'_, '_>) -> Option<Condition> {
    if fields.get("Variable").is_none() {
        if fields.get("Condition").is_some() {
            fields.here(
                "The QueryLanguage is set to 'JSONPath', but field 'Condition' is only supported for the 'JSONata' \
                 QueryLanguage",
            );
        } else {
            fields.here("These fields are required: [Variable]");
        }
        return None;
    }
    let variable = fields.path("Variable")?;
    let mut found = None;
    for name in fields.object.keys() {
        if matches!(name.as_str(), "Variable" | "Next" | "Assign" | "Comment") {
            continue;
        }
        let Some((operator, is_path)) = Operator::named(name) else {
            fields.here(format!("Field '{name}' is not supported"));
            return None;
        };
        if found.replace((name.clone(), operator, is_path)).is_some() {
            fields.here("There should only be one comparison operator");
            return None;
        }
    }
    let Some((name, operator, is_path)) = found else {
        fields.here("A comparison operator is required");
        return None;
    };
    let operand = if is_path { Operand::Path(fields.path(&name)?) } else { operand(fields, &name, operator)? };
    Some(Condition::Compare(Box::new(Comparison { variable, operator, operand })))
}

fn operand(fields: &mut Fields<'_, '_>, name: &str, operator: Operator) -> Option<Operand> {
    let value = fields.get(name)?;
    if operator.is_test() || operator == Operator::BooleanEquals {
        if let Value::Bool(wanted) = value {
            return Some(Operand::Boolean(*wanted));
        }
        fields.wrong(name, "Expected value of type Boolean");
        return None;
    }
    if operator.is_numeric() {
        return match value.as_f64() {
            Some(number) => Some(Operand::Number(number)),
            None => {
                fields.wrong(name, "Expected value of type Number");
                None
            }
        };
    }
    let text = fields.text(name)?;
    if operator.is_timestamp() {
        let time = timestamp::parse_exact(text);
        if time.is_none() {
            fields.wrong(name, "String does not match RFC3339 timestamp");
        }
        return time.map(Operand::Time);
    }
    Some(Operand::Text(text.to_owned()))
}
