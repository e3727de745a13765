//! What happens to a state that failed: `Retry`, `Catch`, or the end of its strand.
//!
//! `States.Runtime` is a mistake in the definition or its data: nothing retries or catches it, as recorded.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Engine, ExecutionId, Phase, Status, StrandId, Timer, Turn, What};
use crate::definition::{Catcher, Kind, Language, Retrier, State};
use crate::environment::{Environment, Failure};
use crate::history::{Details, Failed};
use crate::payload::Payload;
use crate::template;

/// Why a state failed.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub error: Option<String>,
    pub cause: Option<String>,
    /// A missed heartbeat: AWS reports `States.Timeout`, and `States.HeartbeatTimeout` matches too.
    pub heartbeat: bool,
    /// Nothing retries or catches it.
    pub fatal: bool,
    /// Makes an `EvaluationFailed` event, with the field if one is known.
    pub evaluation: Option<Option<String>>,
    /// A Map or Parallel that had begun its children ends with an event of its own.
    pub began: bool,
}

impl Trouble {
    pub(crate) fn new(error: Option<String>, cause: Option<String>) -> Self {
        Self { error, cause, heartbeat: false, fatal: false, evaluation: None, began: false }
    }

    fn failed(&self) -> Failed {
        Failed { error: self.error.as_deref().map(Arc::from), cause: self.cause.as_deref().map(Arc::from) }
    }

    /// `{"Error": …, "Cause": …}`, as a Catch sees it.
    fn output(&self) -> Value {
        // Recorded: a timeout has an empty cause here and none in its event; what was not given is null.
        let timeout = self.error.as_deref() == Some("States.Timeout");
        let cause = self.cause.as_deref().or(timeout.then_some(""));
        let mut output = Map::new();
        output.insert("Error".into(), self.error.as_deref().into());
        output.insert("Cause".into(), cause.into());
        Value::Object(output)
    }

    fn matches(&self, names: &[String]) -> bool {
        let error = self.error.as_deref().unwrap_or_default();
        let timeout = self.heartbeat || error == "States.Timeout";
        names.iter().any(|name| match name.as_str() {
            "States.ALL" => true,
            "States.TaskFailed" => !timeout,
            "States.HeartbeatTimeout" if self.heartbeat => true,
            name => name == error,
        })
    }
}

impl Engine {
    /// The failure of a field, with the sentence that AWS puts in front.
    pub(super) fn trouble(&self, execution: ExecutionId, strand: StrandId, failure: Failure) -> Trouble {
        let (name, entered) = self
            .strand(execution, strand)
            .map_or((String::new(), 0), |strand| (strand.current().name.to_string(), strand.entered));
        let cause = format!(
            "An error occurred while executing the state '{name}' (entered at the event id #{entered}). {}",
            failure.cause
        );
        Trouble {
            fatal: failure.error == "States.Runtime",
            evaluation: failure.evaluation.then_some(failure.location),
            ..Trouble::new(Some(failure.error), Some(cause))
        }
    }

    /// A state failed: try again, go where a catcher says, or give up.
    pub(super) fn failed(&mut self, execution: ExecutionId, strand: StrandId, trouble: Trouble, turn: &mut Turn<'_>) {
        let Some(found) = self.strand(execution, strand) else {
            return;
        };
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        self.release(execution, strand, turn);
        let container = matches!(state.kind, Kind::Map(_) | Kind::Parallel { .. });
        if let Some(location) = &trouble.evaluation {
            self.evaluation_failed(execution, strand, state, trouble.failed(), location.clone(), turn);
        }
        if !trouble.fatal && self.retry(execution, strand, state, &trouble, turn) {
            return;
        }
        if container && !trouble.fatal && (trouble.began || trouble.evaluation.is_some()) {
            self.record(execution, strand, true, Details::StateFailed(super::states::kind(&state.kind)), turn);
        }
        let catcher = state.catch.iter().enumerate().find(|(_, catcher)| trouble.matches(&catcher.errors));
        let Some((index, catcher)) = catcher.filter(|_| !trouble.fatal) else {
            return self.strand_failed(execution, strand, &trouble, turn);
        };
        match self.caught(execution, strand, state, index, catcher, &trouble, turn) {
            Ok(leaving) => self.leave(execution, strand, leaving, turn),
            Err(failure) => {
                let trouble = self.trouble(execution, strand, failure);
                self.strand_failed(execution, strand, &trouble, turn);
            }
        }
    }

    /// The event for a mistake in an expression.
    pub(super) fn evaluation_failed(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        failed: Failed,
        location: Option<String>,
        turn: &Turn<'_>,
    ) {
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        // Recorded: what goes wrong before a state has done anything counts from before the state; not so in a Wait.
        if found.last_event == found.entered && !matches!(state.kind, Kind::Wait(_)) {
            found.last_event = found.before_entered;
        }
        let details = Details::EvaluationFailed { failed, location, state: Arc::clone(&state.name) };
        self.record(execution, strand, true, details, turn);
    }

    fn retry(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        trouble: &Trouble,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some((index, retrier)) =
            state.retry.iter().enumerate().find(|(_, retrier)| trouble.matches(&retrier.errors))
        else {
            return false;
        };
        let Some(found) = self.strand_mut(execution, strand) else {
            return false;
        };
        found.retries.resize(state.retry.len(), 0);
        let attempts = found.retries[index];
        if attempts >= retrier.max_attempts {
            return false;
        }
        found.retries[index] += 1;
        found.retry_count += 1;
        let at = turn.now + delay(retrier, attempts, turn);
        let timer = self.timers.add(at, Timer { execution, strand, what: What::Retry });
        if let Some(found) = self.strand_mut(execution, strand) {
            found.phase = Phase::Timer(timer);
        }
        true
    }

    #[allow(clippy::too_many_arguments)] // A catcher with its place, the state and the error it caught.
    fn caught(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        index: usize,
        catcher: &Catcher,
        trouble: &Trouble,
        turn: &Turn<'_>,
    ) -> Result<super::states::Leaving, Failure> {
        let error = trouble.output();
        self.with_environment(execution, strand, turn, &error, |env| {
            let env = Environment { error_output: Some(&error), ..*env };
            let assigned = template::assignments(&catcher.assign, &env, &format!("Catch[{index}]/Assign"))?;
            let output = match state.language {
                Language::Jsonata => match &catcher.output {
                    Some(output) => output.evaluate(&env, &format!("Catch[{index}]/Output"))?,
                    None => error.clone(),
                },
                Language::JsonPath => super::states::place(&catcher.result_path, env.input, error.clone())?,
            };
            Ok(super::states::Leaving {
                output: Payload::new(output),
                assigned,
                next: crate::definition::Next::State(catcher.next),
            })
        })
        .unwrap_or_else(|| Err(Failure::runtime("The state is gone")))
    }

    /// Nobody took care of the error.
    pub(super) fn strand_failed(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        trouble: &Trouble,
        turn: &mut Turn<'_>,
    ) {
        let Some(parent) = self.strand(execution, strand).map(|found| found.parent) else {
            return;
        };
        match parent {
            None => self.end(execution, Status::Failed, trouble.failed(), turn),
            Some(parent) => self.child_failed(execution, parent, strand, trouble, turn),
        }
    }
}

/// Milliseconds until the next attempt.
fn delay(retrier: &Retrier, attempts: u64, turn: &Turn<'_>) -> i64 {
    /// No pause is longer than a year, the longest an execution lasts.
    const LONGEST: f64 = 366.0 * 86_400.0;
    let power = i32::try_from(attempts).unwrap_or(i32::MAX);
    let mut seconds = retrier.interval * retrier.backoff.powi(power);
    if let Some(most) = retrier.max_delay {
        seconds = seconds.min(most);
    }
    if retrier.full_jitter {
        seconds *= crate::intrinsic::fraction(turn.chance());
    }
    #[allow(clippy::cast_possible_truncation)] // Bounded above; not a number becomes 0.
    let millis = (seconds.min(LONGEST) * 1000.0) as i64;
    millis
}
