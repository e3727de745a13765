//! The `Condition` element: operators, and what they make of a request's context (IAM guide, "IAM JSON policy elements:
//! Condition operators").

mod value;

use serde_json::Value;

use crate::pattern::{Pattern, Symbol, matches};
use crate::{Context, Error, keys};

/// What an operator compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Text,
    TextIgnoringCase,
    TextLike,
    Arn,
    Number(Order),
    Date(Order),
    Flag,
    Binary,
    Address,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Several values of a key at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    /// A key of one value; for several, one of them is enough.
    One,
    Any,
    All,
}

/// One operator with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    compare: Compare,
    negated: bool,
    set: Set,
    if_exists: bool,
    key: String,
    values: Vec<Pattern>,
}

/// The operators without prefix and suffix.
const OPERATORS: [(&str, Compare, bool); 27] = [
    ("StringEquals", Compare::Text, false),
    ("StringNotEquals", Compare::Text, true),
    ("StringEqualsIgnoreCase", Compare::TextIgnoringCase, false),
    ("StringNotEqualsIgnoreCase", Compare::TextIgnoringCase, true),
    ("StringLike", Compare::TextLike, false),
    ("StringNotLike", Compare::TextLike, true),
    // ArnEquals and ArnLike behave the same, as do their negations.
    ("ArnEquals", Compare::Arn, false),
    ("ArnLike", Compare::Arn, false),
    ("ArnNotEquals", Compare::Arn, true),
    ("ArnNotLike", Compare::Arn, true),
    ("NumericEquals", Compare::Number(Order::Equal), false),
    ("NumericNotEquals", Compare::Number(Order::Equal), true),
    ("NumericLessThan", Compare::Number(Order::Less), false),
    ("NumericLessThanEquals", Compare::Number(Order::LessOrEqual), false),
    ("NumericGreaterThan", Compare::Number(Order::Greater), false),
    ("NumericGreaterThanEquals", Compare::Number(Order::GreaterOrEqual), false),
    ("DateEquals", Compare::Date(Order::Equal), false),
    ("DateNotEquals", Compare::Date(Order::Equal), true),
    ("DateLessThan", Compare::Date(Order::Less), false),
    ("DateLessThanEquals", Compare::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Compare::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Compare::Date(Order::GreaterOrEqual), false),
    ("Bool", Compare::Flag, false),
    ("BinaryEquals", Compare::Binary, false),
    ("IpAddress", Compare::Address, false),
    ("NotIpAddress", Compare::Address, true),
    ("Null", Compare::Null, false),
];

/// Reads a whole `Condition` element: all of it must hold.
pub(crate) fn parse(value: &Value, variables: bool, at: &str) -> Result<Vec<Condition>, Error> {
    let malformed = |at: &str, problem: &str| Error::Malformed { at: at.to_owned(), problem: problem.to_owned() };
    let Value::Object(operators) = value else {
        return Err(malformed(at, "must be an object"));
    };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let at = format!("{at}.{operator}");
        let (name, set) = match operator.split_once(':') {
            Some(("ForAnyValue", name)) => (name, Set::Any),
            Some(("ForAllValues", name)) => (name, Set::All),
            _ => (operator.as_str(), Set::One),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let found = OPERATORS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
        let found = found.filter(|(_, compare, _)| *compare != Compare::Null || !(if_exists || set != Set::One));
        let Some((_, compare, negated)) = found else {
            return Err(Error::Operator { at, name: operator.clone() });
        };
        let Value::Object(keys) = keys else {
            return Err(malformed(&at, "must be an object"));
        };
        for (key, values) in keys {
            let at = format!("{at}.{key}");
            keys::check(key, &at)?;
            let texts = match values {
                Value::Array(values) => values.iter().collect(),
                one => vec![one],
            };
            let mut patterns = Vec::new();
            for text in texts {
                let text = match text {
                    Value::String(text) => text.clone(),
                    Value::Bool(flag) => flag.to_string(),
                    Value::Number(number) => number.to_string(),
                    _ => return Err(malformed(&at, "must have texts")),
                };
                let pattern = Pattern::parse(&text, variables, &at)?;
                value::check(*compare, &pattern, &at)?;
                patterns.push(pattern);
            }
            conditions.push(Condition {
                compare: *compare,
                negated: *negated,
                set,
                if_exists,
                key: key.clone(),
                values: patterns,
            });
        }
    }
    Ok(conditions)
}

impl Condition {
    /// Whether it holds.
    pub(crate) fn holds(&self, context: &Context) -> bool {
        let given = context.get(&self.key);
        if self.compare == Compare::Null {
            let wanted = self.values.iter().any(|value| value.written().eq_ignore_ascii_case("true"));
            return given.is_empty() == wanted;
        }
        if given.is_empty() {
            // A missing key: "IfExists" and "ForAllValues" hold, a negated operator holds, but not for "any value".
            return self.if_exists || self.set == Set::All || (self.negated && self.set == Set::One);
        }
        let same = |value: &String| self.values.iter().any(|wanted| self.compare.same(value, wanted, context));
        match (self.set, self.negated) {
            (Set::One, false) | (Set::Any, false) => given.iter().any(same),
            (Set::One, true) | (Set::All, true) => !given.iter().any(same),
            (Set::Any, true) => given.iter().any(|value| !same(value)),
            (Set::All, false) => given.iter().all(same),
        }
    }

    /// How it reads in a message: the key, and what it wants.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl Compare {
    /// Whether a value of the request is what one value of the policy wants.
    fn same(self, given: &str, wanted: &Pattern, context: &Context) -> bool {
        match self {
            Self::TextLike => wanted.matches(given, context),
            Self::Arn => wanted.matches_arn(given, context),
            _ => {
                let Some(wanted) = wanted.text(context) else { return false };
                match self {
                    Self::Text | Self::Binary => given == wanted,
                    Self::TextIgnoringCase => given.to_lowercase() == wanted.to_lowercase(),
                    Self::Flag => given.eq_ignore_ascii_case(&wanted),
                    Self::Number(order) => {
                        let pair = value::number(given).zip(value::number(&wanted));
                        pair.is_some_and(|(given, wanted)| order.holds(given.partial_cmp(&wanted)))
                    }
                    Self::Date(order) => {
                        let pair = value::date(given).zip(value::date(&wanted));
                        pair.is_some_and(|(given, wanted)| order.holds(Some(given.cmp(&wanted))))
                    }
                    Self::Address => value::in_range(given, &wanted),
                    Self::TextLike | Self::Arn | Self::Null => false,
                }
            }
        }
    }
}

impl Order {
    fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        order.is_some_and(|order| match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        })
    }
}

/// Whether an action matches: names of actions are not case-sensitive.
pub(crate) fn action_matches(pattern: &Pattern, action: &str) -> bool {
    let Some(symbols) = pattern.resolve(&Context::new(), true) else { return false };
    let lower = |symbol: &Symbol| match symbol {
        Symbol::Char(c) => Symbol::Char(c.to_ascii_lowercase()),
        other => *other,
    };
    matches(&symbols.iter().map(lower).collect::<Vec<_>>(), &action.to_ascii_lowercase())
}
