//! Evaluates the rules of a Choice state. Must never fail on a value of the wrong kind: a comparison with it is false.

use serde_json::Value;

use crate::definition::{Comparison, Condition, Operand, Operator};
use crate::environment::{Environment, Failure};
use crate::{template, timestamp};

/// Whether the condition holds. `field` is where it stands, for JSONata's cause texts.
pub(crate) fn holds(condition: &Condition, env: &Environment<'_>, field: &str) -> Result<bool, Failure> {
    match condition {
        Condition::And(parts) => {
            for part in parts {
                if !holds(part, env, field)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Condition::Or(parts) => {
            for part in parts {
                if holds(part, env, field)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Condition::Not(part) => holds(part, env, field).map(|held| !held),
        Condition::Compare(comparison) => compare(comparison, env),
        Condition::Constant(held) => Ok(*held),
        Condition::Expression(expression) => {
            let value = expression.evaluate_as(env, field, "boolean", Value::is_boolean)?;
            Ok(value == Value::Bool(true))
        }
    }
}

fn compare(comparison: &Comparison, env: &Environment<'_>) -> Result<bool, Failure> {
    let Comparison { variable, operator, operand } = comparison;
    let found = template::find(variable, env);
    if *operator == Operator::IsPresent {
        return Ok(matches!(operand, Operand::Boolean(wanted) if *wanted == found.is_ok()));
    }
    let value = found.map_err(|_| invalid(variable.text()))?;
    if operator.is_test() {
        let is = match operator {
            Operator::IsNull => value.is_null(),
            Operator::IsNumeric => value.is_number(),
            Operator::IsString => value.is_string(),
            Operator::IsBoolean => value.is_boolean(),
            _ => value.as_str().is_some_and(|text| timestamp::parse(text).is_some()),
        };
        return Ok(matches!(operand, Operand::Boolean(wanted) if *wanted == is));
    }
    let from_path;
    let operand = match operand {
        Operand::Path(path) => {
            let other = template::find(path, env).map_err(|_| invalid(path.text()))?;
            match typed(*operator, &other) {
                Some(operand) => {
                    from_path = operand;
                    &from_path
                }
                None => return Ok(false),
            }
        }
        given => given,
    };
    let Some(value) = typed(*operator, &value) else {
        return Ok(false);
    };
    let order = match (&value, operand) {
        (Operand::Boolean(a), Operand::Boolean(b)) => Some(a.cmp(b)),
        (Operand::Number(a), Operand::Number(b)) => a.partial_cmp(b),
        (Operand::Text(a), Operand::Text(b)) if *operator == Operator::StringMatches => {
            return Ok(matches_pattern(a, b));
        }
        (Operand::Text(a), Operand::Text(b)) => Some(a.cmp(b)),
        (Operand::Time(a), Operand::Time(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let Some(order) = order else { return Ok(false) };
    Ok(match operator {
        Operator::NumericLessThan | Operator::StringLessThan | Operator::TimestampLessThan => order.is_lt(),
        Operator::NumericLessThanEquals | Operator::StringLessThanEquals | Operator::TimestampLessThanEquals => {
            order.is_le()
        }
        Operator::NumericGreaterThan | Operator::StringGreaterThan | Operator::TimestampGreaterThan => order.is_gt(),
        Operator::NumericGreaterThanEquals
        | Operator::StringGreaterThanEquals
        | Operator::TimestampGreaterThanEquals => order.is_ge(),
        _ => order.is_eq(),
    })
}

fn invalid(path: &str) -> Failure {
    Failure::runtime(format!("Invalid path '{path}': The choice state's condition path references an invalid value."))
}

/// The value as the operator's kind, if it is of that kind.
fn typed(operator: Operator, value: &Value) -> Option<Operand> {
    if operator.is_numeric() {
        return value.as_f64().map(Operand::Number);
    }
    if operator.is_timestamp() {
        return timestamp::parse_exact(value.as_str()?).map(Operand::Time);
    }
    if operator == Operator::BooleanEquals {
        return value.as_bool().map(Operand::Boolean);
    }
    value.as_str().map(|text| Operand::Text(text.to_owned()))
}

/// `*` stands for any run of characters; `\*` and `\\` for themselves.
fn matches_pattern(text: &str, pattern: &str) -> bool {
    let mut wanted = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        wanted.push(match c {
            '*' => None,
            '\\' => Some(chars.next().unwrap_or('\\')),
            c => Some(c),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // Greedy with one place to fall back to, which is enough for `*` and keeps the cost at the product of the lengths.
    let (mut t, mut w) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match wanted.get(w) {
            Some(None) => {
                back = Some((w + 1, t));
                w += 1;
            }
            Some(Some(c)) if *c == text[t] => {
                t += 1;
                w += 1;
            }
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    t = from + 1;
                    w = after;
                }
                None => return false,
            },
        }
    }
    wanted[w..].iter().all(Option::is_none)
}

#[cfg(test)]
mod tests {
    use super::matches_pattern;

    #[test]
    fn patterns_match() {
        let cases = [
            ("log-2026.txt", "log-*.txt", true),
            ("log-.txt", "log-*.txt", true),
            ("log.txt", "log-*.txt", false),
            ("a*b", r"a\*b", true),
            ("axb", r"a\*b", false),
            (r"a\b", r"a\\b", true),
            ("abcabd", "*abd", true),
            ("", "*", true),
            ("", "", true),
            ("x", "", false),
        ];
        for (text, pattern, expected) in cases {
            assert_eq!(matches_pattern(text, pattern), expected, "{text} ~ {pattern}");
        }
    }
}
