//! Parallel and inline Map: strands inside a strand.
//!
//! Which event is whose predecessor follows the recordings: an iteration's end counts for the Map's end but not for the
//! next iteration's start, and a failure goes on from the last event of the strand that failed.

use std::sync::Arc;

use serde_json::Value;

use super::distributed::Run;
use super::states::{Begun, shown};
use super::{Engine, ExecutionId, Item, Phase, Strand, StrandId, Trouble, Turn};
use crate::definition::{Given, Kind, Language, Map, Program, State};
use crate::environment::{Environment, Failure};
use crate::history::{Details, Iteration, StateKind};
use crate::payload::Payload;
use crate::{expression, template};

/// An inline Map runs at most this many iterations at a time (Step Functions quotas).
const MOST_INLINE: usize = 40;
/// What a distributed Map runs at a time when nothing is said (Step Functions quotas).
const MOST_DISTRIBUTED: usize = 10_000;

/// What a Parallel or Map waits for.
#[derive(Debug)]
pub(super) struct Children {
    results: Vec<Option<Payload>>,
    running: usize,
    map: Option<Iterations>,
    /// Set for a distributed Map.
    pub run: Option<Run>,
}

/// Children of a distributed Map that it never came to.
pub(super) type Pending<'a> = &'a [Arc<Value>];

#[derive(Debug)]
struct Iterations {
    items: Vec<Arc<Value>>,
    next: usize,
    program: Arc<Program>,
    /// What `ItemSelector` sees as `$`.
    data: Payload,
    /// What each item is without an `ItemSelector`, or is selected.
    selects: bool,
}

impl Engine {
    pub(super) fn begin_parallel(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        branches: &[Arc<Program>],
        turn: &mut Turn<'_>,
    ) -> Begun {
        let input = self.arguments(execution, strand, state, turn)?;
        let started = Details::StateStarted { kind: StateKind::Parallel, length: None };
        let last = self.record(execution, strand, true, started, turn);
        let children = Children { results: vec![None; branches.len()], running: branches.len(), map: None, run: None };
        let Some(found) = self.strand_mut(execution, strand) else {
            return Ok(None);
        };
        found.phase = Phase::Children(Box::new(children));
        for (index, branch) in branches.iter().enumerate() {
            self.add_child(execution, strand, index, Arc::clone(branch), input.clone(), last, None, turn);
        }
        Ok(None)
    }

    #[allow(clippy::too_many_arguments)] // A child is all of this.
    fn add_child(
        &mut self,
        execution: ExecutionId,
        parent: StrandId,
        index: usize,
        program: Arc<Program>,
        input: Payload,
        last_event: u32,
        item: Option<Arc<Item>>,
        turn: &mut Turn<'_>,
    ) -> StrandId {
        let whole = &mut self.executions[execution];
        let id = whole.next_strand;
        whole.next_strand += 1;
        let Some(found) = whole.strands.get(&parent) else {
            return id;
        };
        let item = item.or_else(|| found.item.clone());
        let mut child = Strand::new(Some(parent), index, program, input, found.variables.inner(), last_event);
        child.item = item;
        child.run = found.run.clone();
        whole.strands.insert(id, child);
        turn.ready.push_back((execution, id));
        id
    }

    pub(super) fn begin_map(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        map: &Map,
        turn: &mut Turn<'_>,
    ) -> Begun {
        let selected = self.selected(execution, strand, state, turn)?;
        if let Some(distributed) = &map.distributed {
            return self.begin_distributed(execution, strand, state, map, distributed, selected, turn);
        }
        let items = self.items(execution, strand, state, map, &selected, turn)?;
        let limit = self.evaluate(execution, strand, turn, selected.value(), |env| concurrency(map, env))?;
        // Given and right, even if only a distributed Map heeds them.
        self.evaluate(execution, strand, turn, selected.value(), |env| super::distributed::tolerated(map, env))?;
        let started = Details::StateStarted { kind: StateKind::Map, length: Some(items.len()) };
        self.record(execution, strand, true, started, turn);
        let limit = if limit == 0 { MOST_INLINE } else { limit.min(MOST_INLINE) };
        self.start_iterations(execution, strand, map, items, selected, limit, None, turn)
    }

    /// The items that a Map goes over, when they come with the input.
    pub(super) fn items(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        map: &Map,
        selected: &Payload,
        turn: &Turn<'_>,
    ) -> Result<Vec<Arc<Value>>, Trouble> {
        let items = self.evaluate(execution, strand, turn, selected.value(), |env| {
            if state.language == Language::Jsonata {
                let items = match &map.items {
                    Some(template::Template::Jsonata(expression)) => {
                        let expected = |value: &Value| value.is_array();
                        expression.evaluate_as(env, "Items", "array", expected)?
                    }
                    Some(items) => items.evaluate(env, "Items")?,
                    None => env.data.clone(),
                };
                return match items {
                    Value::Array(items) => Ok(items),
                    other => Err(Failure::query_anywhere(format!("Map state input must be an array but was: {other}"))),
                };
            }
            let items = match &map.items_path {
                Some(path) => template::find(path, env)
                    .map_err(|why| Failure::runtime(format!("Invalid path '{}' : {why}", path.text())))?,
                None => env.data.clone(),
            };
            match items {
                Value::Array(items) => Ok(items),
                _ => {
                    let path = map.items_path.as_ref().map_or("$", |path| path.text());
                    Err(Failure::runtime(format!("Reference path \"{path}\" must point to array.")))
                }
            }
        })?;
        Ok(items.into_iter().map(Arc::new).collect())
    }

    /// Starts as many iterations as may run at a time. With none the Map is done.
    #[allow(clippy::too_many_arguments)] // What an inline and a distributed Map have in common.
    pub(super) fn start_iterations(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        map: &Map,
        items: Vec<Arc<Value>>,
        data: Payload,
        limit: usize,
        run: Option<Run>,
        turn: &mut Turn<'_>,
    ) -> Begun {
        let length = items.len();
        let limit = if run.is_some() && limit == 0 { MOST_DISTRIBUTED } else { limit };
        let selects = map.selector.is_some() && run.as_ref().is_none_or(|run| !run.selected);
        let iterations = Iterations { items, next: 0, program: Arc::clone(&map.program), data, selects };
        let children = Children { results: vec![None; length], running: 0, map: Some(iterations), run };
        let Some(found) = self.strand_mut(execution, strand) else {
            return Ok(None);
        };
        let last = found.last_event;
        found.phase = Phase::Children(Box::new(children));
        if length == 0 {
            self.children_done(execution, strand, turn);
            return Ok(None);
        }
        for _ in 0..limit.min(length) {
            self.next_iteration(execution, strand, last, turn)?;
        }
        Ok(None)
    }

    /// Starts the next iteration if there is one left.
    fn next_iteration(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        last: u32,
        turn: &mut Turn<'_>,
    ) -> Result<(), Trouble> {
        let Some(found) = self.strand_mut(execution, strand) else {
            return Ok(());
        };
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        let Kind::Map(map) = &state.kind else {
            return Ok(());
        };
        let Phase::Children(children) = &mut found.phase else {
            return Ok(());
        };
        let distributed = children.run.is_some();
        let Some(iterations) = children.map.as_mut().filter(|map| map.next < map.items.len()) else {
            return Ok(());
        };
        let index = iterations.next;
        iterations.next += 1;
        children.running += 1;
        let value = Arc::clone(&iterations.items[index]);
        let (data, body, selects) = (iterations.data.clone(), Arc::clone(&iterations.program), iterations.selects);
        let item = Arc::new(Item { index, value: Arc::clone(&value) });
        let input = match &map.selector {
            Some(selector) if selects => {
                // The selector is the Map's own, but it sees the item.
                let outer = found.item.replace(Arc::clone(&item));
                let input =
                    self.evaluate(execution, strand, turn, data.value(), |env| selector.evaluate(env, "ItemSelector"));
                if let Some(found) = self.strand_mut(execution, strand) {
                    found.item = outer;
                }
                Payload::new(input.map_err(|trouble| Trouble { began: true, ..trouble })?)
            }
            _ => Payload::new(Value::clone(&value)),
        };
        let child = self.add_child(execution, strand, index, body, input, last, Some(item), turn);
        if distributed {
            self.become_execution(execution, strand, child, turn);
            return Ok(());
        }
        let details = Details::Iteration { what: Iteration::Started, name: Arc::clone(&state.name), index };
        self.record(execution, child, true, details, turn);
        Ok(())
    }

    /// A branch or an iteration came to its end.
    pub(super) fn child_succeeded(
        &mut self,
        execution: ExecutionId,
        parent: StrandId,
        child: StrandId,
        output: Payload,
        turn: &mut Turn<'_>,
    ) {
        let Some(name) = self.strand(execution, parent).map(|found| Arc::clone(&found.current().name)) else {
            return;
        };
        let Some((index, last)) = self.strand(execution, child).map(|found| (found.index, found.last_event)) else {
            return;
        };
        let is_map = matches!(self.strand(execution, parent).map(|found| &found.current().kind), Some(Kind::Map(_)));
        let distributed = self.is_distributed(execution, parent);
        let mut end = last;
        if is_map && !distributed {
            let details = Details::Iteration { what: Iteration::Succeeded, name, index };
            end = self.record(execution, child, false, details, turn);
        }
        if distributed {
            self.keep_record(execution, parent, child, Ok(&output), turn);
            self.count_child(execution, parent, child, super::map_run::Child::Succeeded);
        }
        self.executions[execution].strands.remove(&child);
        let Some(found) = self.strand_mut(execution, parent) else {
            return;
        };
        if !distributed {
            found.last_event = end;
        }
        let Phase::Children(children) = &mut found.phase else {
            return;
        };
        children.results[index] = Some(output);
        children.running -= 1;
        self.child_over(execution, parent, last, turn);
    }

    /// Goes on after one child less: the next iteration, or the end.
    pub(super) fn child_over(&mut self, execution: ExecutionId, parent: StrandId, last: u32, turn: &mut Turn<'_>) {
        if let Err(trouble) = self.next_iteration(execution, parent, last, turn) {
            self.abort_children(execution, parent, turn);
            return self.failed(execution, parent, trouble, turn);
        }
        let over = matches!(
            self.strand(execution, parent).map(|found| &found.phase),
            Some(Phase::Children(children)) if children.running == 0
        );
        if over {
            self.children_done(execution, parent, turn);
        }
    }

    fn is_distributed(&self, execution: ExecutionId, strand: StrandId) -> bool {
        matches!(
            self.strand(execution, strand).map(|found| &found.phase),
            Some(Phase::Children(children)) if children.run.is_some()
        )
    }

    fn children_done(&mut self, execution: ExecutionId, strand: StrandId, turn: &mut Turn<'_>) {
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        let Phase::Children(children) = std::mem::replace(&mut found.phase, Phase::Ready) else {
            return;
        };
        let Children { results, run, .. } = *children;
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        let kind = super::states::kind(&state.kind);
        if let Some(run) = run {
            return self.map_run_over(execution, strand, run, results, turn);
        }
        // A result is missing only where a failure was tolerated.
        let results = results.into_iter().flatten().map(|result| result.value().clone()).collect();
        self.record(execution, strand, false, Details::StateSucceeded(kind), turn);
        self.finish_container(execution, strand, Value::Array(results), turn);
    }

    /// A Parallel's or Map's result is there.
    pub(super) fn finish_container(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        result: Value,
        turn: &mut Turn<'_>,
    ) {
        let Some(found) = self.strand(execution, strand) else {
            return;
        };
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        match self.settle(execution, strand, state, Payload::new(result), turn) {
            Ok(leaving) => self.leave(execution, strand, leaving, turn),
            Err(trouble) => self.failed(execution, strand, trouble, turn),
        }
    }

    /// A branch or an iteration failed, and with it the state around it.
    pub(super) fn child_failed(
        &mut self,
        execution: ExecutionId,
        parent: StrandId,
        child: StrandId,
        trouble: &Trouble,
        turn: &mut Turn<'_>,
    ) {
        let Some(around) = self.strand(execution, parent) else {
            return;
        };
        let (name, is_map) = (Arc::clone(&around.current().name), matches!(around.current().kind, Kind::Map(_)));
        let Some(found) = self.strand(execution, child) else {
            return;
        };
        let (index, last) = (found.index, found.last_event);
        let state = super::states::kind(&found.current().kind);
        if self.is_distributed(execution, parent) {
            return self.map_child_failed(execution, parent, child, trouble, turn);
        }
        if is_map {
            let details = Details::Iteration { what: Iteration::Failed, name, index };
            self.record(execution, child, false, details, turn);
        } else if state == StateKind::Task {
            // Recorded for a branch whose task failed.
            self.record(execution, child, false, Details::StateAborted(state), turn);
        }
        self.release(execution, child, turn);
        self.executions[execution].strands.remove(&child);
        self.abort_children(execution, parent, turn);
        if let Some(found) = self.strand_mut(execution, parent) {
            found.last_event = last;
            found.phase = Phase::Ready;
        }
        let trouble = Trouble { began: true, evaluation: None, ..trouble.clone() };
        self.failed(execution, parent, trouble, turn);
    }

    /// Stops all strands below this one.
    pub(super) fn abort_children(&mut self, execution: ExecutionId, parent: StrandId, turn: &mut Turn<'_>) {
        let is_map = matches!(self.strand(execution, parent).map(|found| &found.current().kind), Some(Kind::Map(_)));
        let name = self.strand(execution, parent).map(|found| Arc::clone(&found.current().name));
        let children: Vec<(StrandId, usize)> = self.executions[execution]
            .strands
            .iter()
            .filter(|(_, strand)| strand.parent == Some(parent))
            .map(|(id, strand)| (*id, strand.index))
            .collect();
        for (child, index) in children {
            self.abort_children(execution, child, turn);
            let Some(found) = self.strand(execution, child) else {
                continue;
            };
            let kind = super::states::kind(&found.current().kind);
            if matches!(kind, StateKind::Task | StateKind::Wait | StateKind::Map | StateKind::Parallel) {
                self.record(execution, child, true, Details::StateAborted(kind), turn);
            }
            if let (true, Some(name)) = (is_map, &name) {
                let details = Details::Iteration { what: Iteration::Aborted, name: Arc::clone(name), index };
                self.record(execution, child, false, details, turn);
            }
            self.release(execution, child, turn);
            self.executions[execution].strands.remove(&child);
        }
    }

    pub(super) fn children_mut(&mut self, execution: ExecutionId, strand: StrandId) -> Option<&mut Children> {
        match &mut self.strand_mut(execution, strand)?.phase {
            Phase::Children(children) => Some(children),
            _ => None,
        }
    }
}

impl Children {
    /// The items whose iterations were not started.
    pub(super) fn pending(&self) -> Pending<'_> {
        self.map.as_ref().map_or(&[], |map| &map.items[map.next..])
    }

    /// One child less; how many items there are in all.
    pub(super) fn one_over(&mut self) -> usize {
        self.running -= 1;
        self.results.len()
    }
}

/// `MaxConcurrency`; 0 means no limit of its own.
pub(super) fn concurrency(map: &Map, env: &Environment<'_>) -> Result<usize, Failure> {
    let number = whole_number(map.concurrency.as_ref(), "MaxConcurrency", env)?.unwrap_or(0);
    usize::try_from(number)
        .map_err(|_| Failure::runtime(format!("The MaxConcurrencyPath field refers to a negative value: {number}")))
}

/// A number of a Map, however given.
pub(super) fn whole_number(given: Option<&Given>, field: &str, env: &Environment<'_>) -> Result<Option<i64>, Failure> {
    let value = number(given, field, "integer", env, |value| value.as_i64().is_some())?;
    Ok(value.and_then(|value| value.as_i64()))
}

/// A number of the given kind; `integer` and `float` are the words of the cause texts.
pub(super) fn number(
    given: Option<&Given>,
    field: &str,
    kind: &str,
    env: &Environment<'_>,
    fits: impl Fn(&Value) -> bool,
) -> Result<Option<Value>, Failure> {
    match given {
        None => Ok(None),
        Some(Given::Literal(value)) => Ok(Some(value.clone())),
        Some(Given::Path(path)) => {
            let mut value = template::find(path, env)
                .map_err(|why| Failure::runtime(format!("Invalid path '{}' : {why}", path.text())))?;
            // Recorded: digits in a string are a number.
            if let Some(number) = value.as_str().and_then(|text| text.parse::<serde_json::Number>().ok()) {
                value = Value::Number(number);
            }
            if !fits(&value) {
                return Err(Failure::runtime(format!(
                    "The {field}Path field refers to value \"{}\" which is not a valid {kind}: {}",
                    shown(&value),
                    path.text()
                )));
            }
            Ok(Some(value))
        }
        Some(Given::Expression(expression)) => {
            let value = expression.evaluate_as(env, field, "number", Value::is_number)?;
            if !fits(&value) {
                return Err(Failure::query(
                    field,
                    format!("The {field} field must be a valid {kind} but was: {}", expression::type_name(&value)),
                ));
            }
            Ok(Some(value))
        }
    }
}
