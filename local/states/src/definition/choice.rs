//! The rules of Choice states, parsed. Evaluating them is in `crate::choice`.

use chrono::{DateTime, Utc};

use crate::expression::Expression;
use crate::json_path::Path;
use crate::template::Template;

/// One of `Choices`.
#[derive(Debug)]
pub(crate) struct Rule {
    pub condition: Condition,
    pub next: usize,
    pub assign: Vec<(String, Template)>,
    pub output: Option<Template>,
}

#[derive(Debug)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Box<Comparison>),
    Expression(Box<Expression>),
    /// A JSONata `Condition` that is `true` or `false` as it stands.
    Constant(bool),
}

#[derive(Debug)]
pub(crate) struct Comparison {
    pub variable: Path,
    pub operator: Operator,
    pub operand: Operand,
}

#[derive(Debug)]
pub(crate) enum Operand {
    Boolean(bool),
    Number(f64),
    Text(String),
    Time(DateTime<Utc>),
    /// An operator ending in `Path`.
    Path(Path),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    BooleanEquals,
    NumericEquals,
    NumericLessThan,
    NumericLessThanEquals,
    NumericGreaterThan,
    NumericGreaterThanEquals,
    StringEquals,
    StringLessThan,
    StringLessThanEquals,
    StringGreaterThan,
    StringGreaterThanEquals,
    StringMatches,
    TimestampEquals,
    TimestampLessThan,
    TimestampLessThanEquals,
    TimestampGreaterThan,
    TimestampGreaterThanEquals,
    IsNull,
    IsPresent,
    IsNumeric,
    IsString,
    IsBoolean,
    IsTimestamp,
}

impl Operator {
    /// The operator of this field, and whether its operand is a path.
    pub(crate) fn named(field: &str) -> Option<(Self, bool)> {
        if let Some(operator) = Self::plain(field) {
            return Some((operator, false));
        }
        let operator = Self::plain(field.strip_suffix("Path")?)?;
        // Tests and patterns have no form with a path.
        (!operator.is_test() && operator != Self::StringMatches).then_some((operator, true))
    }

    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "BooleanEquals" => Self::BooleanEquals,
            "NumericEquals" => Self::NumericEquals,
            "NumericLessThan" => Self::NumericLessThan,
            "NumericLessThanEquals" => Self::NumericLessThanEquals,
            "NumericGreaterThan" => Self::NumericGreaterThan,
            "NumericGreaterThanEquals" => Self::NumericGreaterThanEquals,
            "StringEquals" => Self::StringEquals,
            "StringLessThan" => Self::StringLessThan,
            "StringLessThanEquals" => Self::StringLessThanEquals,
            "StringGreaterThan" => Self::StringGreaterThan,
            "StringGreaterThanEquals" => Self::StringGreaterThanEquals,
            "StringMatches" => Self::StringMatches,
            "TimestampEquals" => Self::TimestampEquals,
            "TimestampLessThan" => Self::TimestampLessThan,
            "TimestampLessThanEquals" => Self::TimestampLessThanEquals,
            "TimestampGreaterThan" => Self::TimestampGreaterThan,
            "TimestampGreaterThanEquals" => Self::TimestampGreaterThanEquals,
            "IsNull" => Self::IsNull,
            "IsPresent" => Self::IsPresent,
            "IsNumeric" => Self::IsNumeric,
            "IsString" => Self::IsString,
            "IsBoolean" => Self::IsBoolean,
            "IsTimestamp" => Self::IsTimestamp,
            _ => return None,
        })
    }

    /// `Is…`: asks for a kind of value.
    pub(crate) fn is_test(self) -> bool {
        matches!(
            self,
            Self::IsNull | Self::IsPresent | Self::IsNumeric | Self::IsString | Self::IsBoolean | Self::IsTimestamp
        )
    }

    pub(crate) fn is_numeric(self) -> bool {
        matches!(
            self,
            Self::NumericEquals
                | Self::NumericLessThan
                | Self::NumericLessThanEquals
                | Self::NumericGreaterThan
                | Self::NumericGreaterThanEquals
        )
    }

    pub(crate) fn is_timestamp(self) -> bool {
        matches!(
            self,
            Self::TimestampEquals
                | Self::TimestampLessThan
                | Self::TimestampLessThanEquals
                | Self::TimestampGreaterThan
                | Self::TimestampGreaterThanEquals
        )
    }
}
