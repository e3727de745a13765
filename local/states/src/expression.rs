//! JSONata as Step Functions has it: `{% … %}`, `$states`, variables as bindings, and the functions that it adds and
//! forbids. Must never let an expression see the clock or chance other than through the environment.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::{Context as Bindings, Evaluator, EvaluatorError, EvaluatorOptions};
use jsonata_core::value::JValue;
use serde_json::{Map, Value};

use crate::environment::{Environment, Failure};
use crate::payload::weight;
use crate::{Ids, SeededIds, intrinsic};

/// AWS stops an expression after one second ("Limitations" of the JSONata guide); here a busy machine gets some more.
/// This is the only thing that looks at a clock, inside the engine, and only an expression that would not end in useful
/// time can see it.
const EVALUATION_LIMIT_MS: u64 = 2_000;
/// What `$range` may make; a longer one exceeds every payload.
const LONGEST_SEQUENCE: usize = 1_000_000;

/// A parsed expression.
#[derive(Debug)]
pub(crate) struct Expression {
    source: String,
    tree: AstNode,
    /// The names behind `$` in the source. May hold too many (a name inside a string), never too few.
    names: BTreeSet<String>,
    states: Members,
}

/// Which members of `$states` an expression can look at.
#[derive(Debug, Clone, Copy)]
struct Members {
    input: bool,
    context: bool,
    result: bool,
    error_output: bool,
}

/// The text between `{%` and `%}`, if this string is an expression. AWS wants the marks at the very ends.
pub(crate) fn delimited(text: &str) -> Option<&str> {
    text.strip_prefix("{%")?.strip_suffix("%}").map(str::trim)
}

/// Where a source that cannot be read goes wrong, in characters from 0: the first character from which on the engine's
/// complaint is the one that it has about the whole. The engine itself names no place.
pub(crate) fn mistake(source: &str) -> usize {
    /// Longer ones are not worth the time: every beginning is read once.
    const LONGEST: usize = 4_000;
    let length = source.chars().count();
    let complaint = |source: &str| Expression::parse(source).err();
    let whole = complaint(source);
    if length > LONGEST {
        return 0;
    }
    let mut at = length;
    for (offset, _) in source.char_indices().rev() {
        if complaint(&source[..offset]) != whole {
            return at - 1;
        }
        at -= 1;
    }
    0
}

impl Expression {
    /// Parses the text between the delimiters.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let tree = guarded(|| jsonata_core::parser::parse(source).map_err(|e| e.to_string()))
            .unwrap_or_else(|| Err("the expression cannot be read".into()))?;
        let names = names(source);
        let states = members(source);
        Ok(Self { source: source.to_owned(), tree, names, states })
    }

    /// The variables that the expression refers to: not `$states`, not what it binds itself, not functions.
    pub(crate) fn variables(&self) -> impl Iterator<Item = String> + '_ {
        self.names.iter().filter(|name| *name != "states" && !self.is_own(name)).cloned()
    }

    /// Whether every place of this name is a call, a binding or a parameter.
    fn is_own(&self, name: &str) -> bool {
        let mut bound = false;
        let free = self.source.match_indices('$').any(|(at, _)| {
            let rest = &self.source[at + 1..];
            let Some(after) = rest.strip_prefix(name) else {
                return false;
            };
            if after.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                return false;
            }
            let after = after.trim_start();
            // `:=`, a parameter, or the name that `#` and `@` bind.
            bound |= after.starts_with(":=") || self.is_parameter(at) || self.source[..at].ends_with(['#', '@']);
            !after.starts_with('(')
        });
        bound || !free
    }

    /// Whether the `$` at this place stands in the parentheses behind `function`.
    fn is_parameter(&self, at: usize) -> bool {
        let before = &self.source[..at];
        let Some(open) = before.rfind('(') else {
            return false;
        };
        let head = before[..open].trim_end();
        !before[open..].contains(')') && (head.ends_with("function") || head.ends_with('\u{3bb}'))
    }

    /// Evaluates; `field` is the state's field, as `Output/result`.
    pub(crate) fn evaluate(&self, env: &Environment<'_>, field: &str) -> Result<Value, Failure> {
        let says = |what: &str| {
            Failure::query(
                field,
                format!("The JSONata expression '{}' specified for the field '{field}' {what}", self.source),
            )
        };
        self.spend(env)?;
        match self.run(env) {
            Ok(JValue::Undefined) => Err(says("returned nothing (undefined).")),
            Ok(value) => to_json(&value).ok_or_else(|| says("returned an unsupported result type.")),
            Err(error) => Err(says(&format!(
                "threw an error during evaluation{} {}",
                if error.code().is_some() { "." } else { ":" },
                error.message()
            ))),
        }
    }

    /// What is handed to the engine is a copy.
    fn spend(&self, env: &Environment<'_>) -> Result<(), Failure> {
        let mut bytes = 0;
        if self.names.contains("states") {
            bytes += if self.states.input { weight(env.input) } else { 0 };
            bytes += if self.states.result { env.result.map_or(0, weight) } else { 0 };
            bytes += if self.states.error_output { env.error_output.map_or(0, weight) } else { 0 };
        }
        bytes += self.names.iter().filter_map(|name| env.variables.get(name)).map(|value| weight(value)).sum::<usize>();
        env.spend(bytes)
    }

    /// Evaluates to a value of one JSON type, whose name is `expected`.
    pub(crate) fn evaluate_as(
        &self,
        env: &Environment<'_>,
        field: &str,
        expected: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let value = self.evaluate(env, field)?;
        if fits(&value) {
            return Ok(value);
        }
        Err(Failure::query(
            field,
            format!(
                "The JSONata expression '{}' specified for the field '{field}' returned an unexpected result type. \
                 Expected '{expected}', but was '{}' for value: {value}",
                self.source,
                type_name(&value)
            ),
        ))
    }

    fn run(&self, env: &Environment<'_>) -> Result<JValue, EvaluatorError> {
        let mut bindings = Bindings::new();
        if self.names.contains("states") {
            let mut states = Map::new();
            if self.states.input {
                states.insert("input".into(), env.input.clone());
            }
            if self.states.context {
                states.insert("context".into(), env.context.get().clone());
            }
            if let (true, Some(result)) = (self.states.result, env.result) {
                states.insert("result".into(), result.clone());
            }
            if let (true, Some(error)) = (self.states.error_output, env.error_output) {
                states.insert("errorOutput".into(), error.clone());
            }
            bindings.bind("states".into(), JValue::from(Value::Object(states)));
        }
        for name in &self.names {
            if let Some(value) = env.variables.get(name) {
                bindings.bind(name.clone(), JValue::from(Value::clone(value)));
            }
        }
        let options = EvaluatorOptions {
            timeout_ms: Some(EVALUATION_LIMIT_MS),
            max_sequence_length: Some(LONGEST_SEQUENCE),
            ..EvaluatorOptions::default()
        };
        let mut evaluator = Evaluator::with_options(bindings, options);
        self.add_functions(&mut evaluator, env)?;
        guarded(|| evaluator.evaluate(&self.tree, &JValue::Undefined)).unwrap_or_else(|| {
            let message = "an internal error of the expression engine";
            Err(EvaluatorError::EvaluationError(message.into()))
        })
    }

    fn add_functions(&self, evaluator: &mut Evaluator, env: &Environment<'_>) -> Result<(), EvaluatorError> {
        let used = |name: &str| self.names.contains(name);
        if used("partition") {
            evaluator.register_fn("partition", |args: &[JValue]| {
                intrinsic_function(args, intrinsic::array_partition).map(plain)
            })?;
        }
        if used("range") {
            // A sequence, so that a range of one is that one, as recorded.
            evaluator.register_fn("range", |args: &[JValue]| {
                intrinsic_function(args, intrinsic::array_range).map(|value| match plain(value) {
                    JValue::Array(items) => JValue::sequence(items.into_vec()),
                    other => other,
                })
            })?;
        }
        if used("hash") {
            evaluator.register_fn("hash", |args: &[JValue]| intrinsic_function(args, intrinsic::hash).map(plain))?;
        }
        if used("parse") {
            evaluator.register_fn("parse", |args: &[JValue]| {
                let Some(text) = args.first().and_then(JValue::as_str) else {
                    return Err(EvaluatorError::TypeError("T0410: $parse takes one string".into()));
                };
                JValue::from_json_str(text).map_err(|e| EvaluatorError::EvaluationError(format!("$parse: {e}")))
            })?;
        }
        if used("uuid") {
            let chance = Rc::new(RefCell::new(seeded(env)));
            evaluator.register_fn("uuid", move |_: &[JValue]| {
                Ok(JValue::from(intrinsic::uuid_text(chance.borrow_mut().next())))
            })?;
        }
        if used("random") {
            let chance = Rc::new(RefCell::new(seeded(env)));
            evaluator.register_fn_override("random", move |args: &[JValue]| {
                let drawn = match args.first().and_then(JValue::as_f64) {
                    Some(seed) => SeededIds::new(seed.to_bits()).next(),
                    None => chance.borrow_mut().next(),
                };
                Ok(JValue::from_f64(intrinsic::fraction(drawn)))
            })?;
        }
        if used("now") {
            let now = env.now;
            evaluator.register_fn_override("now", move |_: &[JValue]| Ok(JValue::from(crate::timestamp::text(now))))?;
        }
        if used("millis") {
            let now = env.now;
            #[allow(clippy::cast_precision_loss)]
            // Milliseconds since 1970 fit a double until the year 287396.
            evaluator.register_fn_override("millis", move |_: &[JValue]| Ok(JValue::from_f64(now as f64)))?;
        }
        if used("eval") {
            evaluator.register_fn_override("eval", |_: &[JValue]| {
                Err::<JValue, _>(EvaluatorError::EvaluationError("$eval is not supported; $parse reads JSON".into()))
            })?;
        }
        Ok(())
    }
}

/// Runs the engine, which is not ours: a panic in it must fail a state, not the service.
fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

fn seeded(env: &Environment<'_>) -> SeededIds {
    #[allow(clippy::cast_possible_truncation)] // Any 64 of the bits will do.
    SeededIds::new(env.chance() as u64)
}

/// Runs an intrinsic function of JSONPath on JSONata's arguments.
fn intrinsic_function(
    args: &[JValue],
    call: impl Fn(&[Value]) -> Result<Value, String>,
) -> Result<Value, EvaluatorError> {
    let args: Option<Vec<Value>> = args.iter().map(to_json).collect();
    let args = args.ok_or_else(|| EvaluatorError::TypeError("T0410: the argument is not a JSON value".into()))?;
    call(&args).map_err(EvaluatorError::EvaluationError)
}

fn plain(value: Value) -> JValue {
    JValue::from(value)
}

/// JSON has no place for functions and regular expressions. A value that nests deeper than a payload may is none either.
fn to_json(value: &JValue) -> Option<Value> {
    to_json_within(value, crate::payload::DEEPEST_PAYLOAD)
}

fn to_json_within(value: &JValue, left: usize) -> Option<Value> {
    let inner = |value: &JValue| left.checked_sub(1).and_then(|left| to_json_within(value, left));
    match value {
        JValue::Null => Some(Value::Null),
        JValue::Bool(b) => Some(Value::Bool(*b)),
        JValue::Number(n) => Some(number(*n)),
        JValue::String(s) => Some(Value::String(s.to_string())),
        JValue::Array(items) => items.iter().map(inner).collect::<Option<Vec<_>>>().map(Value::Array),
        JValue::Object(_) => {
            let members = value.as_object()?;
            let mut object = Map::with_capacity(members.len());
            for (name, member) in members {
                if !member.is_undefined() {
                    object.insert(name.clone(), inner(member)?);
                }
            }
            Some(Value::Object(object))
        }
        _ => None,
    }
}

/// JSONata knows one kind of number; whole ones are written without a fraction.
pub(crate) fn number(n: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)] // Checked against the range of i64.
    if n.fract() == 0.0 && n.abs() < 9e18 {
        Value::from(n as i64)
    } else {
        serde_json::Number::from_f64(n).map_or(Value::Null, Value::Number)
    }
}

/// The type's name in cause texts.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn names(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in source.match_indices('$') {
        let name: String = source[at + 1..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !name.is_empty() {
            names.insert(name);
        }
    }
    names
}

fn members(source: &str) -> Members {
    // Anything but `$states.member` may look at all of them.
    let all = source.match_indices("$states").any(|(at, found)| {
        let rest = source[at + found.len()..].trim_start();
        !["input", "context", "result", "errorOutput"]
            .iter()
            .any(|member| rest.strip_prefix('.').is_some_and(|rest| rest.trim_start().starts_with(member)))
    });
    let named = |member: &str| all || source.contains(member);
    Members {
        input: named("input"),
        context: named("context"),
        result: named("result"),
        error_output: named("errorOutput"),
    }
}
