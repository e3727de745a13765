//! Event patterns (EventBridge guide, "Comparison operators"): parsed once, refused by name where unknown.
//!
//! Pure. A pattern that was accepted never fails later; it matches or not.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::ApiError;

/// Characters of a rule's pattern (EventBridge quotas page).
const MAX_LENGTH: usize = 2048;
/// Combinations that the `$or` of a pattern may come to (EventBridge guide, "Using Or in event patterns").
const MAX_COMBINATIONS: usize = 1000;

/// A pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    fields: Vec<(String, Node)>,
    /// `$or`: one of these must match besides.
    alternatives: Vec<Vec<Pattern>>,
}

#[derive(Debug, Clone)]
enum Node {
    Below(Pattern),
    AnyOf(Vec<Matcher>),
}

#[derive(Debug, Clone)]
enum Matcher {
    Exactly(Value),
    Exists(bool),
    Text(Text),
    /// Matches every value that none of these matches.
    AnythingBut(Vec<Matcher>),
    Numeric(Vec<(Comparison, f64)>),
    Cidr {
        network: IpAddr,
        bits: u32,
    },
}

/// A comparison with a text.
#[derive(Debug, Clone)]
enum Text {
    Prefix(String, Case),
    Suffix(String, Case),
    EqualsIgnoreCase(String),
    /// The literal parts between asterisks.
    Wildcard(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    Sensitive,
    Ignored,
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

fn invalid(reason: impl std::fmt::Display) -> ApiError {
    let text = format!("Event pattern is not valid. Reason: {reason}");
    ApiError::new(400, "InvalidEventPatternException", text)
}

impl Pattern {
    /// Reads the pattern of a rule, as [`Self::parse`] does.
    ///
    /// # Errors
    /// `InvalidEventPatternException`, also for a pattern that is too long.
    pub(super) fn of_rule(value: &Value) -> Result<Self, ApiError> {
        let length = value.as_str().map_or_else(|| value.to_string().chars().count(), |text| text.chars().count());
        if length > MAX_LENGTH {
            return Err(invalid(format!("longer than {MAX_LENGTH} characters")));
        }
        Self::parse(value)
    }

    /// Reads a pattern: an object, or its text.
    ///
    /// # Errors
    /// `InvalidEventPatternException`, naming what is not understood.
    pub(crate) fn parse(value: &Value) -> Result<Self, ApiError> {
        let pattern = match value {
            Value::String(text) => serde_json::from_str(text).map_err(invalid)?,
            other => other.clone(),
        };
        let pattern = match &pattern {
            Value::Object(map) if !map.is_empty() => Self::object(map)?,
            _ => return Err(invalid("the pattern must be an object that is not empty")),
        };
        if pattern.combinations() > MAX_COMBINATIONS {
            return Err(invalid(format!("$or comes to more than {MAX_COMBINATIONS} combinations")));
        }
        Ok(pattern)
    }

    /// How many patterns without `$or` it stands for.
    fn combinations(&self) -> usize {
        let below = self.fields.iter().map(|(_, node)| match node {
            Node::Below(pattern) => pattern.combinations(),
            Node::AnyOf(_) => 1,
        });
        let any = |any: &Vec<Self>| any.iter().map(Self::combinations).fold(0, usize::saturating_add);
        below.chain(self.alternatives.iter().map(any)).fold(1, usize::saturating_mul)
    }

    fn object(map: &Map<String, Value>) -> Result<Self, ApiError> {
        let mut pattern = Self { fields: Vec::new(), alternatives: Vec::new() };
        for (name, value) in map {
            match value {
                Value::Array(list) if name == "$or" => {
                    if list.len() < 2 {
                        return Err(invalid("$or needs at least two patterns"));
                    }
                    let parsed = list.iter().map(|part| match part {
                        Value::Object(part) if !part.is_empty() => Self::object(part),
                        _ => Err(invalid("$or takes a list of objects")),
                    });
                    pattern.alternatives.push(parsed.collect::<Result<_, _>>()?);
                }
                Value::Object(below) if below.is_empty() => {
                    return Err(invalid(format!("{name} is empty")));
                }
                Value::Object(below) => {
                    pattern.fields.push((name.clone(), Node::Below(Self::object(below)?)));
                }
                Value::Array(list) if list.is_empty() => {
                    return Err(invalid(format!("{name} is an empty list")));
                }
                Value::Array(list) => {
                    let matchers = list.iter().map(Matcher::parse).collect::<Result<_, _>>()?;
                    pattern.fields.push((name.clone(), Node::AnyOf(matchers)));
                }
                _ => return Err(invalid(format!("{name} must be an object or an array"))),
            }
        }
        Ok(pattern)
    }

    /// Whether this event matches.
    pub(crate) fn matches(&self, event: &Value) -> bool {
        // In an array of objects one object has to match as a whole.
        if let Value::Array(list) = event {
            return list.iter().any(|item| self.matches(item));
        }
        self.fields.iter().all(|(name, node)| match (node, event.get(name)) {
            (Node::Below(pattern), value) => pattern.matches(value.unwrap_or(&Value::Null)),
            (Node::AnyOf(matchers), value) => matchers.iter().any(|matcher| matcher.matches(value)),
        }) && self.alternatives.iter().all(|any| any.iter().any(|pattern| pattern.matches(event)))
    }
}

/// Whether `is` holds for one of the values that are no structure; nested arrays are as if they were one.
fn any_leaf(value: &Value, is: &impl Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|item| any_leaf(item, is)),
        Value::Object(_) => false,
        leaf => is(leaf),
    }
}

impl Matcher {
    fn parse(value: &Value) -> Result<Self, ApiError> {
        let Value::Object(map) = value else {
            return match value {
                Value::Array(_) => Err(invalid("a list inside a list")),
                plain => Ok(Self::Exactly(plain.clone())),
            };
        };
        let mut members = map.iter();
        let (Some((operator, operand)), None) = (members.next(), members.next()) else {
            return Err(invalid("a match expression has exactly one operator"));
        };
        let wrong = || invalid(format!("{operator} cannot take {operand}"));
        match operator.as_str() {
            "exists" => operand.as_bool().map(Self::Exists).ok_or_else(wrong),
            "numeric" => numeric(operand).map(Self::Numeric).ok_or_else(wrong),
            "cidr" => cidr(operand).ok_or_else(wrong),
            "anything-but" => anything_but(operand).map(Self::AnythingBut),
            _ => Text::parse(operator, operand).map(Self::Text),
        }
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            // Only a leaf exists, also one that is null.
            Self::Exists(wanted) => value.is_some_and(|value| any_leaf(value, &|_| true)) == *wanted,
            other => value.is_some_and(|value| any_leaf(value, &|leaf| other.one(leaf))),
        }
    }

    fn one(&self, value: &Value) -> bool {
        match (self, value) {
            // Numbers are compared as they are written.
            (Self::Exactly(Value::Number(wanted)), Value::Number(number)) => wanted.to_string() == number.to_string(),
            (Self::Exactly(wanted), value) => wanted == value,
            (Self::Text(text), Value::String(value)) => text.matches(value),
            (Self::AnythingBut(others), value) => !others.iter().any(|other| other.one(value)),
            (Self::Numeric(bounds), Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                bounds.iter().all(|(comparison, bound)| comparison.holds(number, *bound))
            }
            (Self::Cidr { network, bits }, Value::String(address)) => {
                address.parse().is_ok_and(|address| same_network(*network, address, *bits))
            }
            _ => false,
        }
    }
}

impl Text {
    fn parse(operator: &str, operand: &Value) -> Result<Self, ApiError> {
        let wrong = || invalid(format!("{operator} cannot take {operand}"));
        let text = || operand.as_str().map(ToOwned::to_owned);
        let cased = || match operand {
            Value::Object(map) if map.len() == 1 => {
                let text = map.get("equals-ignore-case")?.as_str()?;
                Some((text.to_lowercase(), Case::Ignored))
            }
            other => Some((other.as_str()?.to_owned(), Case::Sensitive)),
        };
        match operator {
            "prefix" => cased().map(|(text, case)| Self::Prefix(text, case)).ok_or_else(wrong),
            "suffix" => cased().map(|(text, case)| Self::Suffix(text, case)).ok_or_else(wrong),
            "equals-ignore-case" => text().map(|text| Self::EqualsIgnoreCase(text.to_lowercase())).ok_or_else(wrong),
            "wildcard" => {
                let parts = text().and_then(|text| literal_parts(&text)).ok_or_else(wrong)?;
                let between = parts.get(1..parts.len() - 1).unwrap_or_default();
                if between.iter().any(String::is_empty) {
                    return Err(invalid("wildcard: consecutive asterisks"));
                }
                Ok(Self::Wildcard(parts))
            }
            other => Err(invalid(format!("Unrecognized match type {other}"))),
        }
    }

    fn matches(&self, value: &str) -> bool {
        let cased = |case: &Case| match case {
            Case::Sensitive => value.to_owned(),
            Case::Ignored => value.to_lowercase(),
        };
        match self {
            Self::Prefix(prefix, case) => cased(case).starts_with(prefix),
            Self::Suffix(suffix, case) => cased(case).ends_with(suffix),
            Self::EqualsIgnoreCase(text) => value.to_lowercase() == *text,
            Self::Wildcard(parts) => wildcard(parts, value),
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            #[allow(clippy::float_cmp)] // What the operator `=` means.
            Self::Equal => number == bound,
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
        }
    }
}

/// A value or a list of values of one type, or one operator with a text or a list of texts.
fn anything_but(operand: &Value) -> Result<Vec<Matcher>, ApiError> {
    let plain = |value: &Value| match value {
        Value::String(_) | Value::Number(_) => Ok(Matcher::Exactly(value.clone())),
        other => Err(invalid(format!("anything-but cannot take {other}"))),
    };
    match operand {
        Value::Array(list) if list.is_empty() => Err(invalid("anything-but takes no empty list")),
        Value::Array(list) if list.iter().any(Value::is_string) && list.iter().any(Value::is_number) => {
            Err(invalid("anything-but takes a list of texts or a list of numbers, no mixture"))
        }
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::Object(map) if map.len() == 1 => {
            let mut matchers = Vec::new();
            for (operator, operand) in map {
                let operands = match operand {
                    Value::Array(list) if !list.is_empty() => list.as_slice(),
                    other => std::slice::from_ref(other),
                };
                for operand in operands {
                    if operand.is_object() {
                        return Err(invalid(format!("{operator} inside anything-but cannot take {operand}")));
                    }
                    matchers.push(Matcher::Text(Text::parse(operator, operand)?));
                }
            }
            Ok(matchers)
        }
        other => plain(other).map(|matcher| vec![matcher]),
    }
}

/// `[">", 0, "<=", 5]`: one comparison, or a lower and an upper bound. EventBridge takes numbers up to five billion.
fn numeric(operand: &Value) -> Option<Vec<(Comparison, f64)>> {
    let list = operand.as_array()?;
    if !matches!(list.len(), 2 | 4) {
        return None;
    }
    let pairs: Option<Vec<(Comparison, f64)>> = list
        .chunks(2)
        .map(|pair| {
            let comparison = match pair[0].as_str()? {
                "=" => Comparison::Equal,
                "<" => Comparison::Less,
                "<=" => Comparison::LessOrEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterOrEqual,
                _ => return None,
            };
            let bound = pair[1].as_f64().filter(|bound| bound.abs() <= 5.0e9)?;
            Some((comparison, bound))
        })
        .collect();
    let pairs = pairs?;
    match &pairs[..] {
        [_] => Some(pairs),
        [
            (Comparison::Greater | Comparison::GreaterOrEqual, low),
            (Comparison::Less | Comparison::LessOrEqual, high),
        ] if low < high => Some(pairs),
        _ => None,
    }
}

fn cidr(operand: &Value) -> Option<Matcher> {
    let (network, bits) = operand.as_str()?.split_once('/')?;
    let (network, bits) = (network.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?);
    let most = if network.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some(Matcher::Cidr { network, bits })
}

fn same_network(network: IpAddr, address: IpAddr, bits: u32) -> bool {
    let prefix = |value: u128, width: u32| value.checked_shr(width - bits).unwrap_or(0);
    match (network, address) {
        (IpAddr::V4(one), IpAddr::V4(two)) => {
            let wide = |address: std::net::Ipv4Addr| u128::from(u32::from(address));
            prefix(wide(one), 32) == prefix(wide(two), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(two)) => prefix(u128::from(one), 128) == prefix(u128::from(two), 128),
        _ => false,
    }
}

/// Cuts at asterisks; `\*` and `\\` stand for themselves.
fn literal_parts(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => parts.push(String::new()),
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '\\')) => parts.last_mut()?.push(escaped),
                _ => return None,
            },
            other => parts.last_mut()?.push(other),
        }
    }
    Some(parts)
}

fn wildcard(parts: &[String], value: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == value);
    };
    let Some(mut rest) = value.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        match rest.find(part.as_str()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operators() {
        let event = json!({
            "source": "aws.redshift-data",
            "detail": {
                "statementName": "prod/abc.1", "rows": 5, "zero": 0, "flag": true, "nothing": null, "empty": "",
                "tags": ["a", "b"], "address": "10.0.3.7", "none": [], "star": "a*bc", "nested": [[1, 2], [3]],
                "v6": "2001:db8::17", "deep": [[{"a": "x"}], {"a": "y"}],
                "steps": [{"name": "x", "state": "DONE"}, {"name": "y", "state": "OPEN"}],
            },
        });
        for (pattern, matches) in [
            (json!({"source": ["aws.states", "aws.redshift-data"]}), true),
            (json!({"source": ["aws.states"]}), false),
            (json!({"detail": {"statementName": [{"prefix": "prod/"}]}}), true),
            (json!({"detail": {"statementName": [{"prefix": "prod-eu/"}]}}), false),
            (json!({"detail": {"statementName": [{"prefix": {"equals-ignore-case": "PROD/"}}]}}), true),
            (json!({"detail": {"statementName": [{"suffix": ".1"}]}}), true),
            (json!({"detail": {"statementName": [{"suffix": ".2"}]}}), false),
            (json!({"detail": {"statementName": [{"equals-ignore-case": "PROD/ABC.1"}]}}), true),
            (json!({"detail": {"statementName": [{"wildcard": "prod/*.1"}]}}), true),
            (json!({"detail": {"statementName": [{"wildcard": "*b*1"}]}}), true),
            (json!({"detail": {"statementName": [{"wildcard": "p*x*1"}]}}), false),
            (json!({"detail": {"rows": [5]}}), true),
            (json!({"detail": {"rows": ["5"]}}), false),
            (json!({"detail": {"rows": [5.0]}}), false),
            (json!({"detail": {"rows": [{"numeric": [">", 0, "<=", 5]}]}}), true),
            (json!({"detail": {"rows": [{"numeric": ["=", 5]}]}}), true),
            (json!({"detail": {"rows": [{"numeric": ["<", 5]}]}}), false),
            (json!({"detail": {"zero": [{"numeric": [">=", 0]}]}}), true),
            (json!({"detail": {"statementName": [{"numeric": ["=", 5]}]}}), false),
            (json!({"detail": {"flag": [true]}}), true),
            (json!({"detail": {"nothing": [null]}}), true),
            (json!({"detail": {"absent": [null]}}), false),
            (json!({"detail": {"empty": [""]}}), true),
            (json!({"detail": {"nothing": [{"exists": true}]}}), true),
            (json!({"detail": {"absent": [{"exists": false}]}}), true),
            (json!({"absent": {"below": [{"exists": false}]}}), true),
            (json!({"detail": {"rows": [{"exists": false}]}}), false),
            (json!({"detail": [{"exists": true}]}), false),
            (json!({"detail": {"statementName": [{"anything-but": "x"}]}}), true),
            (json!({"detail": {"statementName": [{"anything-but": ["x", "prod/abc.1"]}]}}), false),
            (json!({"detail": {"rows": [{"anything-but": [4, 5]}]}}), false),
            (json!({"detail": {"absent": [{"anything-but": "x"}]}}), false),
            (json!({"detail": {"statementName": [{"anything-but": {"prefix": "prod/"}}]}}), false),
            (json!({"detail": {"statementName": [{"anything-but": {"suffix": [".2", ".3"]}}]}}), true),
            (json!({"detail": {"tags": ["b", "c"]}}), true),
            (json!({"detail": {"tags": ["c"]}}), false),
            (json!({"detail": {"none": [{"exists": false}]}}), true),
            (json!({"detail": {"steps": {"name": ["x"], "state": ["DONE"]}}}), true),
            (json!({"detail": {"steps": {"name": ["x"], "state": ["OPEN"]}}}), false),
            (json!({"detail": {"address": [{"cidr": "10.0.0.0/22"}]}}), true),
            (json!({"detail": {"address": [{"cidr": "10.0.0.0/24"}]}}), false),
            (json!({"detail": {"address": [{"cidr": "0.0.0.0/0"}]}}), true),
            (json!({"$or": [{"source": ["x"]}, {"detail": {"rows": [5]}}]}), true),
            (json!({"$or": [{"source": ["x"]}, {"detail": {"rows": [6]}}]}), false),
            (json!({"source": ["x"], "$or": [{"detail": {"rows": [5]}}, {"a": ["b"]}]}), false),
            (
                json!({"detail": {"$or": [{"rows": [6]}, {"flag": [true], "$or": [{"zero": [1]}, {"zero": [0]}]}]}}),
                true,
            ),
            (json!({"detail": {"statementName": [{"suffix": {"equals-ignore-case": "BC.1"}}]}}), true),
            (json!({"detail": {"statementName": [{"suffix": {"equals-ignore-case": "BC.2"}}]}}), false),
            (json!({"detail": {"statementName": [{"wildcard": "prod/abc.1"}]}}), true),
            (json!({"detail": {"statementName": [{"wildcard": "*"}]}}), true),
            (json!({"detail": {"star": [{"wildcard": "a\\*b*"}]}}), true),
            (json!({"detail": {"statementName": [{"wildcard": "prod\\**"}]}}), false),
            (
                json!({"detail": {"statementName": [{"anything-but": {"equals-ignore-case": ["PROD/ABC.1", "x"]}}]}}),
                false,
            ),
            (json!({"detail": {"statementName": [{"anything-but": {"wildcard": "prod/*"}}]}}), false),
            (json!({"detail": {"statementName": [{"anything-but": {"wildcard": ["dev/*", "test/*"]}}]}}), true),
            (json!({"detail": {"statementName": [{"anything-but": {"prefix": ["dev/", "prod/"]}}]}}), false),
            (json!({"detail": {"rows": [{"anything-but": 4}]}}), true),
            (json!({"detail": {"rows": [{"anything-but": "5"}]}}), true),
            (json!({"detail": {"statementName": [{"anything-but": {"suffix": ".1"}}]}}), false),
            (json!({"detail": {"rows": [{"numeric": [">=", 5, "<", 6]}]}}), true),
            (json!({"detail": {"rows": [{"numeric": [">", 5, "<", 6]}]}}), false),
            (json!({"detail": {"rows": [{"numeric": ["<", 3]}, 5]}}), true),
            (json!({"detail": {"nested": [3]}}), true),
            (json!({"detail": {"nested": [{"exists": true}]}}), true),
            (json!({"detail": {"deep": {"a": ["x"]}}}), true),
            (json!({"detail": {"steps": [{"exists": true}]}}), false),
            (json!({"detail": {"steps": {"other": [{"exists": false}], "name": ["y"]}}}), true),
            (json!({"detail": {"v6": [{"cidr": "2001:db8::/32"}]}}), true),
            (json!({"detail": {"v6": [{"cidr": "2001:db9::/32"}]}}), false),
            (json!({"detail": {"v6": [{"cidr": "10.0.0.0/8"}]}}), false),
            (json!({"detail": {"statementName": [{"cidr": "10.0.0.0/8"}]}}), false),
        ] {
            assert_eq!(Pattern::parse(&pattern).unwrap().matches(&event), matches, "{pattern}");
        }
        let text = json!(r#"{"source":["aws.redshift-data"]}"#);
        assert!(Pattern::parse(&text).unwrap().matches(&event));
    }

    fn or(count: usize) -> Value {
        json!({"$or": (0..count).map(|n| json!({"x": [n]})).collect::<Vec<_>>()})
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (pattern, named) in [
            (json!({}), "empty"),
            (json!("{"), "EOF"),
            (json!({"source": "x"}), "source must be an object or an array"),
            (json!({"source": []}), "empty list"),
            (json!({"source": [{"glob": "x"}]}), "glob"),
            (json!({"source": [{"anything-but": {"glob": "x"}}]}), "glob"),
            (json!({"source": [{"prefix": 5}]}), "prefix"),
            (json!({"source": [{"prefix": "a", "suffix": "b"}]}), "exactly one operator"),
            (json!({"source": [{"numeric": ["~", 5]}]}), "numeric"),
            (json!({"source": [{"numeric": [">", 5, "<", 1]}]}), "numeric"),
            (json!({"source": [{"exists": "yes"}]}), "exists"),
            (json!({"source": [{"cidr": "10.0.0.0/33"}]}), "cidr"),
            (json!({"source": [{"wildcard": "a**b"}]}), "wildcard"),
            (json!({"source": ["x".repeat(2100)]}), "2048"),
            (json!({"source": [{"anything-but": ["x", 1]}]}), "mixture"),
            (json!({"source": [{"anything-but": []}]}), "empty list"),
            (json!({"source": [{"anything-but": null}]}), "anything-but"),
            (json!({"source": [{"anything-but": {"prefix": {"equals-ignore-case": "x"}}}]}), "inside anything-but"),
            (json!({"source": [{"prefix": {"suffix": "x"}}]}), "prefix"),
            (json!({"source": [{"equals-ignore-case": 1}]}), "equals-ignore-case"),
            (json!({"source": [{"wildcard": "a\\x"}]}), "wildcard"),
            (json!({"source": [["x"]]}), "list inside a list"),
            (json!({"source": [{"numeric": ["<", 5, ">", 1]}]}), "numeric"),
            (json!({"source": [{"numeric": [">", 6.0e9]}]}), "numeric"),
            (json!({"source": [{"cidr": "10.0.0.0"}]}), "cidr"),
            (json!({"$or": [{"a": ["b"]}]}), "$or"),
            (json!({"$or": ["a", "b"]}), "$or"),
            (json!({"a": or(11), "b": or(10), "c": or(10)}), "1000 combinations"),
        ] {
            let error = Pattern::of_rule(&pattern).unwrap_err();
            assert_eq!(error.code, "InvalidEventPatternException");
            assert!(error.message.contains(named), "{pattern}: {error}");
        }
    }
}
