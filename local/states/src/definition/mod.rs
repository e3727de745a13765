//! State machine definitions: the parsed form that executions share, and what is wrong with a text that has none.
//!
//! Everything that can be known before an execution starts is decided here: paths, templates and expressions are
//! parsed, targets of transitions are numbers. Must never be changed once made: a running execution keeps the
//! definition it started with.

mod choice;
mod diagnostics;
mod fields;
mod parse;
mod reachable;
mod references;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use choice::{Comparison, Condition, Operand, Operator, Rule};
pub(crate) use diagnostics::Diagnostic;
pub use diagnostics::Severity;
pub(crate) use parse::{MachineType, parse, read};

use crate::TaskResource;
use crate::expression::Expression;
use crate::json_path::Path;
use crate::template::Template;

/// A parsed definition.
#[derive(Debug)]
pub(crate) struct Machine {
    pub program: Arc<Program>,
    /// `TimeoutSeconds` of the machine.
    pub timeout: Option<i64>,
}

/// States with a start: a machine, a branch, or what a Map does with an item.
#[derive(Debug)]
pub(crate) struct Program {
    pub start: usize,
    pub states: Vec<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    JsonPath,
    Jsonata,
}

/// Where a state leads when it does not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    State(usize),
    End,
}

/// `InputPath` and `OutputPath`.
#[derive(Debug)]
pub(crate) enum Selection {
    All,
    /// `null`: the empty object.
    Nothing,
    Path(Path),
}

/// `ResultPath`.
#[derive(Debug)]
pub(crate) enum Placement {
    Replace,
    /// `null`: the input goes on.
    Discard,
    At(Path),
}

/// A value that the state gives, by itself, by a path, or by an expression.
#[derive(Debug)]
pub(crate) enum Given {
    Literal(Value),
    Path(Path),
    Expression(Box<Expression>),
}

#[derive(Debug)]
pub(crate) struct State {
    pub name: Arc<str>,
    pub language: Language,
    pub kind: Kind,
    pub next: Next,
    pub input_path: Selection,
    pub output_path: Selection,
    pub result_path: Placement,
    /// `Parameters` or `Arguments`.
    pub arguments: Option<Template>,
    pub result_selector: Option<Template>,
    pub output: Option<Template>,
    pub assign: Vec<(String, Template)>,
    pub retry: Vec<Retrier>,
    pub catch: Vec<Catcher>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Pass { result: Option<Value> },
    Task(Box<Task>),
    Choice { rules: Vec<Rule>, default: Option<usize> },
    Wait(Wait),
    Succeed,
    Fail { error: Option<Text>, cause: Option<Text> },
    Map(Box<Map>),
    Parallel { branches: Vec<Arc<Program>> },
}

/// The `Error` or `Cause` of a Fail state and the field that gives it.
#[derive(Debug)]
pub(crate) struct Text {
    pub field: &'static str,
    pub template: Template,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub resource: Arc<TaskResource>,
    pub timeout: Option<Given>,
    pub heartbeat: Option<Given>,
    pub credentials: Option<Template>,
}

#[derive(Debug)]
pub(crate) enum Wait {
    Seconds(Given),
    Timestamp(Given),
}

#[derive(Debug)]
pub(crate) struct Map {
    /// `ItemsPath`.
    pub items_path: Option<Path>,
    /// `Items`.
    pub items: Option<Template>,
    /// `ItemSelector`, or `Parameters` in the older form.
    pub selector: Option<Template>,
    pub program: Arc<Program>,
    pub concurrency: Option<Given>,
    pub tolerated_count: Option<Given>,
    pub tolerated_percentage: Option<Given>,
    /// `None` for an inline Map.
    pub distributed: Option<Distributed>,
}

/// What only a distributed Map has.
#[derive(Debug)]
pub(crate) struct Distributed {
    pub label: Option<String>,
    pub reader: Option<Reader>,
    pub batcher: Option<Batcher>,
    pub writer: Option<Writer>,
}

#[derive(Debug)]
pub(crate) struct Reader {
    pub resource: Arc<TaskResource>,
    pub arguments: Template,
    pub config: Value,
    pub max_items: Option<Given>,
}

#[derive(Debug)]
pub(crate) struct Batcher {
    pub input: Option<Template>,
    pub max_items: Option<Given>,
    pub max_bytes: Option<Given>,
}

#[derive(Debug)]
pub(crate) struct Writer {
    /// `None`: the results are transformed and stay the state's.
    pub resource: Option<Arc<TaskResource>>,
    pub config: Value,
    pub arguments: Template,
}

#[derive(Debug)]
pub(crate) struct Retrier {
    pub errors: Vec<String>,
    /// Seconds.
    pub interval: f64,
    pub max_attempts: u64,
    pub backoff: f64,
    /// Seconds.
    pub max_delay: Option<f64>,
    pub full_jitter: bool,
}

#[derive(Debug)]
pub(crate) struct Catcher {
    pub errors: Vec<String>,
    pub next: usize,
    pub result_path: Placement,
    pub output: Option<Template>,
    pub assign: Vec<(String, Template)>,
}
