//! Entering and leaving states, and the states that need nothing but their input: Pass, Choice, Wait, Succeed, Fail.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Engine, ExecutionId, Phase, Status, StrandId, Timer, Trouble, Turn, What};
use crate::choice;
use crate::definition::{Given, Kind, Language, Next, Placement, Rule, Selection, State, Text, Wait};
use crate::environment::{Environment, Failure};
use crate::history::{Details, Failed, StateKind};
use crate::payload::{Payload, is_too_deep};
use crate::template::{self, Template};
use crate::timestamp;

/// How a state is left.
#[derive(Debug)]
pub(super) struct Leaving {
    pub output: Payload,
    pub assigned: Vec<(String, Arc<Value>)>,
    pub next: Next,
}

/// What beginning a state comes to. `None`: it waits for something.
pub(super) type Begun = Result<Option<Leaving>, Trouble>;

pub(super) fn kind(kind: &Kind) -> StateKind {
    match kind {
        Kind::Pass { .. } => StateKind::Pass,
        Kind::Task(_) => StateKind::Task,
        Kind::Choice { .. } => StateKind::Choice,
        Kind::Wait(_) => StateKind::Wait,
        Kind::Succeed => StateKind::Succeed,
        Kind::Fail { .. } => StateKind::Fail,
        Kind::Map(_) => StateKind::Map,
        Kind::Parallel { .. } => StateKind::Parallel,
    }
}

impl Engine {
    pub(super) fn enter(&mut self, execution: ExecutionId, strand: StrandId, turn: &mut Turn<'_>) {
        let child_events = self.strand(execution, strand).map_or(0, |found| found.unrecorded);
        if child_events >= super::MOST_EVENTS {
            let trouble = Trouble::new(Some("States.Runtime".into()), Some("Too many events".into()));
            return self.strand_failed(execution, strand, &trouble, turn);
        }
        if self.executions[execution].history.len() + 1 >= super::MOST_EVENTS {
            let cause = format!("The execution reached the maximum number of history events ({}).", super::MOST_EVENTS);
            let failed = Failed { error: Some("States.Runtime".into()), cause: Some(cause.into()) };
            return self.end(execution, Status::Failed, failed, turn);
        }
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        found.before_entered = found.last_event;
        found.entered_at = turn.now;
        found.retries.clear();
        found.retry_count = 0;
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        let details = Details::StateEntered {
            kind: kind(&state.kind),
            name: Arc::clone(&state.name),
            input: found.input.clone(),
        };
        let entered = self.record(execution, strand, true, details, turn);
        if let Some(found) = self.strand_mut(execution, strand) {
            found.entered = entered;
        }
        self.execute(execution, strand, turn);
    }

    /// Runs the state that was entered, for the first time or again.
    pub(super) fn execute(&mut self, execution: ExecutionId, strand: StrandId, turn: &mut Turn<'_>) {
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        found.phase = Phase::Ready;
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        let begun = match &state.kind {
            Kind::Pass { result } => self.pass(execution, strand, state, result.as_ref(), turn),
            Kind::Choice { rules, default } => self.choose(execution, strand, state, rules, *default, turn),
            Kind::Wait(wait) => self.wait(execution, strand, state, wait, turn),
            Kind::Succeed => self.settle_input(execution, strand, state, turn).map(Some),
            Kind::Fail { error, cause } => {
                let trouble = self.fail(execution, strand, error.as_ref(), cause.as_ref(), turn);
                if let Some(location) = &trouble.evaluation {
                    let failed = Failed {
                        error: trouble.error.as_deref().map(Arc::from),
                        cause: trouble.cause.as_deref().map(Arc::from),
                    };
                    self.evaluation_failed(execution, strand, state, failed, location.clone(), turn);
                }
                return self.strand_failed(execution, strand, &trouble, turn);
            }
            Kind::Task(task) => self.begin_task(execution, strand, state, task, turn),
            Kind::Parallel { branches } => self.begin_parallel(execution, strand, state, branches, turn),
            Kind::Map(map) => self.begin_map(execution, strand, state, map, turn),
        };
        match begun {
            Ok(None) => {}
            Ok(Some(leaving)) => self.leave(execution, strand, leaving, turn),
            Err(trouble) => self.failed(execution, strand, trouble, turn),
        }
    }

    /// Leaves the state: to the next one, or out of the strand.
    pub(super) fn leave(&mut self, execution: ExecutionId, strand: StrandId, leaving: Leaving, turn: &mut Turn<'_>) {
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        let too_deep = leaving.output.is_too_deep() || leaving.assigned.iter().any(|(_, value)| is_too_deep(value));
        if too_deep || leaving.output.is_too_long() || leaving.assigned.iter().any(|(_, value)| is_too_long(value)) {
            let failure = Failure::new(
                "States.DataLimitExceeded",
                format!(
                    "The state/task '{}' returned a result with a size exceeding the maximum number of bytes service \
                     limit.",
                    state.name
                ),
            );
            let trouble = Trouble { fatal: true, ..self.trouble(execution, strand, failure) };
            return self.strand_failed(execution, strand, &trouble, turn);
        }
        let assigned = leaving.assigned.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        if !leaving.assigned.is_empty() {
            found.variables.assign(&leaving.assigned);
        }
        let details = Details::StateExited {
            kind: kind(&state.kind),
            name: Arc::clone(&state.name),
            output: leaving.output.clone(),
            assigned,
        };
        self.record(execution, strand, true, details, turn);
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        found.phase = Phase::Ready;
        match leaving.next {
            Next::State(next) => {
                found.state = next;
                found.input = leaving.output;
                turn.ready.push_back((execution, strand));
            }
            Next::End => match found.parent {
                None => {
                    self.executions[execution].output = Some(leaving.output);
                    self.end(execution, Status::Succeeded, Failed::default(), turn);
                }
                Some(parent) => self.child_succeeded(execution, parent, strand, leaving.output, turn),
            },
        }
    }

    /// Evaluates in the strand's environment and turns a failure into trouble.
    pub(super) fn evaluate<R>(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        turn: &Turn<'_>,
        data: &Value,
        evaluate: impl FnOnce(&Environment<'_>) -> Result<R, Failure>,
    ) -> Result<R, Trouble> {
        self.with_environment(execution, strand, turn, data, evaluate)
            .unwrap_or_else(|| Err(Failure::runtime("The state is gone")))
            .map_err(|failure| self.trouble(execution, strand, failure))
    }

    fn input(&self, execution: ExecutionId, strand: StrandId) -> Payload {
        self.strand(execution, strand).map_or_else(|| Payload::new(Value::Null), |found| found.input.clone())
    }

    /// What `InputPath` selects.
    pub(super) fn selected(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        turn: &Turn<'_>,
    ) -> Result<Payload, Trouble> {
        let input = self.input(execution, strand);
        match &state.input_path {
            Selection::All => Ok(input),
            selection => {
                self.evaluate(execution, strand, turn, input.value(), |env| select(selection, env)).map(Payload::new)
            }
        }
    }

    /// What the state works on: `InputPath` and then `Parameters`, or `Arguments`.
    pub(super) fn arguments(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        turn: &Turn<'_>,
    ) -> Result<Payload, Trouble> {
        let selected = self.selected(execution, strand, state, turn)?;
        let field = if state.language == Language::JsonPath { "Parameters" } else { "Arguments" };
        let Some(arguments) = &state.arguments else {
            return Ok(selected);
        };
        let arguments = self
            .evaluate(execution, strand, turn, selected.value(), |env| arguments.evaluate(env, field))
            .map(Payload::new)?;
        if arguments.is_too_long() {
            // "Error names", States.DataLimitExceeded: also the input of a state after its Parameters.
            let failure = Failure::new(
                "States.DataLimitExceeded",
                format!(
                    "The field '{field}' of the state '{}' has a size exceeding the maximum number of bytes service limit.",
                    state.name
                ),
            );
            return Err(self.trouble(execution, strand, failure));
        }
        Ok(arguments)
    }

    /// From a state's result to how it is left: `ResultSelector`, `ResultPath`, `OutputPath`, or `Output`; and `Assign`.
    pub(super) fn settle(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        result: Payload,
        turn: &Turn<'_>,
    ) -> Result<Leaving, Trouble> {
        let simple = state.assign.is_empty()
            && state.output.is_none()
            && state.result_selector.is_none()
            && matches!(state.result_path, Placement::Replace)
            && matches!(state.output_path, Selection::All);
        if simple {
            return Ok(Leaving { output: result, assigned: Vec::new(), next: state.next });
        }
        self.evaluate(execution, strand, turn, result.value(), |env| {
            let env = Environment { result: Some(result.value()), ..*env };
            let assigned = template::assignments(&state.assign, &env, "Assign")?;
            let output = match state.language {
                Language::Jsonata => match &state.output {
                    Some(output) => Payload::new(output.evaluate(&env, "Output")?),
                    None => result.clone(),
                },
                Language::JsonPath => {
                    let result = match &state.result_selector {
                        Some(selector) => selector.evaluate(&env, "ResultSelector")?,
                        None => result.value().clone(),
                    };
                    let placed = place(&state.result_path, env.input, result)?;
                    match &state.output_path {
                        Selection::All => Payload::new(placed),
                        selection => Payload::new(select(selection, &env.with_data(&placed))?),
                    }
                }
            };
            Ok(Leaving { output, assigned, next: state.next })
        })
    }

    /// A state whose result is its input: Succeed, Wait, and Pass in JSONata.
    fn settle_input(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        turn: &Turn<'_>,
    ) -> Result<Leaving, Trouble> {
        let selected = self.selected(execution, strand, state, turn)?;
        if state.assign.is_empty() && state.output.is_none() && matches!(state.output_path, Selection::All) {
            return Ok(Leaving { output: selected, assigned: Vec::new(), next: state.next });
        }
        self.evaluate(execution, strand, turn, selected.value(), |env| {
            let assigned = template::assignments(&state.assign, env, "Assign")?;
            let output = match (&state.output, &state.output_path) {
                (Some(output), _) => Payload::new(output.evaluate(env, "Output")?),
                (None, Selection::All) => selected.clone(),
                (None, selection) => Payload::new(select(selection, env)?),
            };
            Ok(Leaving { output, assigned, next: state.next })
        })
    }

    fn pass(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        result: Option<&Value>,
        turn: &Turn<'_>,
    ) -> Begun {
        if state.language == Language::Jsonata {
            return self.settle_input(execution, strand, state, turn).map(Some);
        }
        let result = match result {
            Some(result) => {
                // InputPath and Parameters are evaluated all the same: a mistake in them fails the state.
                self.arguments(execution, strand, state, turn)?;
                Payload::new(result.clone())
            }
            None => self.arguments(execution, strand, state, turn)?,
        };
        self.settle(execution, strand, state, result, turn).map(Some)
    }

    fn choose(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        rules: &[Rule],
        default: Option<usize>,
        turn: &Turn<'_>,
    ) -> Begun {
        let selected = self.selected(execution, strand, state, turn)?;
        self.evaluate(execution, strand, turn, selected.value(), |env| {
            let mut taken = None;
            for (index, rule) in rules.iter().enumerate() {
                if choice::holds(&rule.condition, env, &format!("Choices[{index}]/Condition"))? {
                    taken = Some((index, rule));
                    break;
                }
            }
            let (next, assign, output, place) = match (taken, default) {
                (Some((index, rule)), _) => (rule.next, &rule.assign, &rule.output, format!("Choices[{index}]/")),
                (None, Some(default)) => (default, &state.assign, &state.output, String::new()),
                (None, None) => {
                    // Measured at AWS (September 2026): not States.NoChoiceMatched, which the guide names.
                    return Err(Failure::runtime(
                        "Failed to transition out of the state. The state does not point to a next state.",
                    ));
                }
            };
            let assigned = template::assignments(assign, env, &format!("{place}Assign"))?;
            let output = match (output, &state.output_path) {
                (Some(output), _) => Payload::new(output.evaluate(env, &format!("{place}Output"))?),
                (None, Selection::All) => selected.clone(),
                (None, selection) => Payload::new(select(selection, env)?),
            };
            Ok(Some(Leaving { output, assigned, next: Next::State(next) }))
        })
    }

    fn wait(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        wait: &Wait,
        turn: &mut Turn<'_>,
    ) -> Begun {
        let selected = self.selected(execution, strand, state, turn)?;
        let until = self.evaluate(execution, strand, turn, selected.value(), |env| match wait {
            Wait::Seconds(given) => {
                seconds(given, env).map(|seconds| turn.now.saturating_add(seconds.saturating_mul(1000)))
            }
            Wait::Timestamp(given) => moment(given, env),
        })?;
        if until <= turn.now {
            return self.settle_input(execution, strand, state, turn).map(Some);
        }
        let timer = self.timers.add(until, Timer { execution, strand, what: What::Wait });
        if let Some(found) = self.strand_mut(execution, strand) {
            found.phase = Phase::Timer(timer);
        }
        Ok(None)
    }

    /// A Wait state's time has come.
    pub(super) fn wait_over(&mut self, execution: ExecutionId, strand: StrandId, turn: &mut Turn<'_>) {
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        found.phase = Phase::Ready;
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        match self.settle_input(execution, strand, state, turn) {
            Ok(leaving) => self.leave(execution, strand, leaving, turn),
            Err(trouble) => self.failed(execution, strand, trouble, turn),
        }
    }

    fn fail(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        error: Option<&Text>,
        cause: Option<&Text>,
        turn: &Turn<'_>,
    ) -> Trouble {
        let input = self.input(execution, strand);
        let texts = self.evaluate(execution, strand, turn, input.value(), |env| {
            let text = |text: Option<&Text>| -> Result<Option<String>, Failure> {
                let Some(Text { field, template }) = text else {
                    return Ok(None);
                };
                if let Template::Jsonata(expression) = template {
                    let text = expression.evaluate_as(env, field, "string", Value::is_string)?;
                    return Ok(text.as_str().map(str::to_owned));
                }
                match template.evaluate(env, field)? {
                    Value::String(text) => Ok(Some(text)),
                    other => Err(Failure::runtime(format!("The field '{field}' must be a string but was: {other}"))),
                }
            };
            Ok((text(error)?, text(cause)?))
        });
        match texts {
            Ok((error, cause)) => Trouble::new(error, cause),
            Err(trouble) => trouble,
        }
    }
}

fn is_too_long(value: &Value) -> bool {
    // Most variables are small; only those that might be too long are written out.
    match value {
        Value::String(text) => text.len() > crate::payload::LONGEST_PAYLOAD,
        Value::Array(_) | Value::Object(_) => value.to_string().len() > crate::payload::LONGEST_PAYLOAD,
        _ => false,
    }
}

/// `InputPath` and `OutputPath`.
pub(super) fn select(selection: &Selection, env: &Environment<'_>) -> Result<Value, Failure> {
    match selection {
        Selection::All => Ok(env.data.clone()),
        Selection::Nothing => Ok(Value::Object(Map::new())),
        Selection::Path(path) => {
            template::find(path, env).map_err(|why| Failure::runtime(format!("Invalid path '{}' : {why}", path.text())))
        }
    }
}

/// `ResultPath`: where the result goes in the state's raw input.
pub(super) fn place(placement: &Placement, input: &Value, result: Value) -> Result<Value, Failure> {
    match placement {
        Placement::Replace => Ok(result),
        Placement::Discard => Ok(input.clone()),
        Placement::At(path) => path.put(input.clone(), result).map_err(|_| {
            Failure::new(
                "States.ResultPathMatchFailure",
                format!("Unable to apply ReferencePath {} to input {input}", path.text()),
            )
        }),
    }
}

/// `Seconds` of a Wait state.
fn seconds(given: &Given, env: &Environment<'_>) -> Result<i64, Failure> {
    match given {
        Given::Literal(value) => Ok(value.as_i64().unwrap_or(0)),
        Given::Path(path) => {
            let text = path.text();
            let value = template::find(path, env).map_err(|_| {
                Failure::runtime(format!("The SecondsPath parameter does not reference an input value: {text}"))
            })?;
            match value.as_i64() {
                Some(seconds) if seconds < 0 => Err(Failure::runtime(format!(
                    "The SecondsPath parameter references a negative value: {text} == {value}"
                ))),
                Some(seconds) => Ok(seconds),
                None => Err(Failure::runtime(format!(
                    "The SecondsPath parameter cannot be parsed as a long value: {text} == {}",
                    shown(&value)
                ))),
            }
        }
        Given::Expression(expression) => {
            let value = expression.evaluate_as(env, "Seconds", "number", |value| value.is_number())?;
            value.as_i64().filter(|seconds| *seconds >= 0).ok_or_else(|| {
                Failure::query("Seconds", format!("The Seconds field must be a positive integer but was: {value}"))
            })
        }
    }
}

/// `Timestamp` of a Wait state, in milliseconds since 1970.
fn moment(given: &Given, env: &Environment<'_>) -> Result<i64, Failure> {
    match given {
        Given::Literal(value) => Ok(value.as_str().and_then(timestamp::parse).unwrap_or(0)),
        Given::Path(path) => {
            let text = path.text();
            let value = template::find(path, env).map_err(|_| {
                Failure::runtime(format!("The TimestampPath parameter does not reference an input value: {text}"))
            })?;
            value.as_str().and_then(timestamp::parse).ok_or_else(|| {
                Failure::runtime(format!(
                    "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format \
                     string: {text} == {}",
                    shown(&value)
                ))
            })
        }
        Given::Expression(expression) => {
            let value = expression.evaluate_as(env, "Timestamp", "string", Value::is_string)?;
            value.as_str().and_then(timestamp::parse).ok_or_else(|| {
                Failure::query(
                    "Timestamp",
                    format!(
                        "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: {}",
                        shown(&value)
                    ),
                )
            })
        }
    }
}

/// A value inside a cause text: strings without quotes.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
