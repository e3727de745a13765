//! Distributed Map: items from the input or from S3, batches, tolerated failures, children that are executions of
//! their own.
//!
//! The children run as strands that leave no event in the parent's history, as at AWS. S3 is only ever reached through
//! [`Command::RunTask`].

use std::sync::Arc;

use serde_json::{Map as Object, Value, json};

use super::map_run::{Child, Counts};
use super::results::Writing;
use super::states::Begun;
use super::{Engine, ExecutionId, MapChild, MapRunRecord, Phase, StrandId, Trouble, Turn};
use crate::definition::{Batcher, Distributed, Kind, Map, Reader, State};
use crate::environment::{Environment, Failure};
use crate::history::{Details, Failed, StateKind};
use crate::payload::Payload;
use crate::{Command, Pattern, TaskFailure, TaskId, TaskResource, intrinsic, reader};

/// One Map Run.
#[derive(Debug)]
pub(super) struct Run {
    pub arn: Arc<str>,
    /// `machine/label`, of which the children's ARNs are made.
    family: String,
    failed: usize,
    tolerated: Tolerated,
    /// The items are what the children get: selected and batched already.
    pub selected: bool,
    /// Each child gets a batch of items.
    batched: bool,
    /// What became of the children, for a `ResultWriter`.
    pub records: Option<Vec<Value>>,
}

/// How many children may fail. With neither given, none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tolerated {
    count: Option<i64>,
    percentage: Option<f64>,
}

/// A Map Run that reads its items or writes its results.
#[derive(Debug)]
pub(super) struct MapRun {
    pub task: TaskId,
    pub run: Run,
    pub step: Step,
}

#[derive(Debug)]
pub(super) enum Step {
    Read(Reading),
    Write(Writing),
}

#[derive(Debug)]
pub(super) struct Reading {
    data: Payload,
    limit: usize,
    /// The reader's call, for the next page of a listing.
    request: Value,
    listed: Vec<Value>,
}

/// `ToleratedFailureCount` and `ToleratedFailurePercentage`.
pub(super) fn tolerated(map: &Map, env: &Environment<'_>) -> Result<Tolerated, Failure> {
    let count = super::children::whole_number(map.tolerated_count.as_ref(), "ToleratedFailureCount", env)?;
    if count.is_some_and(|count| count < 0) {
        return Err(Failure::runtime("ToleratedFailureCount cannot be negative."));
    }
    let field = "ToleratedFailurePercentage";
    let percentage = super::children::number(map.tolerated_percentage.as_ref(), field, "float", env, Value::is_number)?;
    let percentage = percentage.and_then(|value| value.as_f64());
    if percentage.is_some_and(|percentage| !(0.0..=100.0).contains(&percentage)) {
        return Err(Failure::runtime("ToleratedFailurePercentage must be between 0 and 100."));
    }
    Ok(Tolerated { count, percentage })
}

impl Tolerated {
    fn allows(self, failed: usize, total: usize) -> bool {
        if self.count.is_none() && self.percentage.is_none() {
            return failed == 0;
        }
        let within = |count: i64| i64::try_from(failed).is_ok_and(|failed| failed <= count);
        #[allow(clippy::cast_precision_loss)] // Counts of children are small.
        let share = failed as f64 * 100.0 / total.max(1) as f64;
        self.count.is_none_or(within) && self.percentage.is_none_or(|most| share <= most)
    }
}

impl Engine {
    #[allow(clippy::too_many_arguments)] // The state in all its parts.
    pub(super) fn begin_distributed(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        state: &State,
        map: &Map,
        distributed: &Distributed,
        selected: Payload,
        turn: &mut Turn<'_>,
    ) -> Begun {
        let items = match &distributed.reader {
            Some(_) => Vec::new(),
            None => self.items(execution, strand, state, map, &selected, turn)?,
        };
        let data = selected.value();
        let limit = self.evaluate(execution, strand, turn, data, |env| super::children::concurrency(map, env))?;
        let started = Details::StateStarted { kind: StateKind::Map, length: Some(items.len()) };
        self.record(execution, strand, true, started, turn);
        let tolerated = self.evaluate(execution, strand, turn, data, |env| tolerated(map, env))?;
        self.may_start_children(execution)?;
        let label = distributed.label.clone().unwrap_or_else(|| intrinsic::uuid_text(turn.chance()));
        let family = format!("{}/{label}", self.executions[execution].revision.name);
        let arn: Arc<str> = format!(
            "arn:{}:states:{}:{}:mapRun:{family}:{}",
            self.config.partition,
            self.config.region,
            self.config.account,
            intrinsic::uuid_text(turn.chance())
        )
        .into();
        self.record(execution, strand, true, Details::MapRunStarted { arn: Arc::clone(&arn) }, turn);
        let record = MapRunRecord {
            execution,
            started: turn.now,
            stopped: None,
            status: "RUNNING",
            concurrency: limit,
            tolerated_count: tolerated.count.unwrap_or(0),
            tolerated_percentage: tolerated.percentage.unwrap_or(0.0),
            executions: Counts::default(),
            items: Counts::default(),
        };
        self.map_run_begun(&arn, record);
        let run = Run {
            arn,
            family,
            failed: 0,
            tolerated,
            selected: false,
            batched: false,
            records: distributed.writer.as_ref().map(|_| Vec::new()),
        };
        match &distributed.reader {
            Some(reader) => self.read_items(execution, strand, reader, run, selected, limit, turn),
            None => self.run_items(execution, strand, map, distributed, items, run, selected, limit, turn),
        }
    }

    /// The role starts the children as executions of its own machine (Step Functions guide, "IAM policies for using
    /// Distributed Map states"). The error's name is not in the guide; the cause is the denial's text.
    fn may_start_children(&self, execution: ExecutionId) -> Result<(), Trouble> {
        let revision = &self.executions[execution].revision;
        let body = json!({ "stateMachineArn": *revision.machine_arn });
        self.allowed(&revision.role, "StartExecution", &body)
            .map_err(|denied| Trouble::new(Some("States.Permissions".to_owned()), Some(denied.message)))
    }

    #[allow(clippy::too_many_arguments)] // As above.
    fn read_items(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        reader: &Reader,
        run: Run,
        data: Payload,
        limit: usize,
        turn: &mut Turn<'_>,
    ) -> Begun {
        let request = self.evaluate(execution, strand, turn, data.value(), |env| {
            reader.arguments.evaluate(env, "ItemReader/Arguments")
        })?;
        let task = self.new_task(execution, strand);
        self.call_s3(execution, task, &reader.resource, request.clone(), turn);
        let reading = Reading { data, limit, request, listed: Vec::new() };
        let waiting = MapRun { task, run, step: Step::Read(reading) };
        if let Some(found) = self.strand_mut(execution, strand) {
            found.phase = Phase::MapRun(Box::new(waiting));
        }
        Ok(None)
    }

    pub(super) fn call_s3(
        &self,
        execution: ExecutionId,
        task: TaskId,
        resource: &TaskResource,
        request: Value,
        turn: &mut Turn<'_>,
    ) {
        // Not `aws-sdk:s3`: there a body is a JSON value, here it is a file.
        let service = resource.service.trim_start_matches("aws-sdk:").to_owned();
        let resource = TaskResource { service, pattern: Pattern::RequestResponse, ..resource.clone() };
        let role_arn = self.executions[execution].revision.role.to_string();
        turn.commands.push(Command::RunTask { task, role_arn, resource, request });
    }

    /// Which strand's Map Run made this call.
    pub(super) fn map_run_task(&self, task: TaskId) -> Option<(ExecutionId, StrandId)> {
        let (execution, strand) = *self.tasks.get(&task)?;
        match &self.strand(execution, strand)?.phase {
            Phase::MapRun(run) if run.task == task => Some((execution, strand)),
            _ => None,
        }
    }

    pub(super) fn drop_map_run(&mut self, run: MapRun, turn: &mut Turn<'_>) {
        self.tasks.remove(&run.task);
        turn.commands.push(Command::CancelTask { task: run.task });
    }

    pub(super) fn map_run_called(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        result: Result<Value, TaskFailure>,
        turn: &mut Turn<'_>,
    ) {
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        let Phase::MapRun(waiting) = std::mem::replace(&mut found.phase, Phase::Ready) else {
            return;
        };
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        let MapRun { task, run, step } = *waiting;
        self.tasks.remove(&task);
        let Step::Read(mut reading) = step else {
            return self.written(execution, strand, run, step, result, turn);
        };
        let Kind::Map(map) = &state.kind else { return };
        let Some((distributed, reader)) =
            map.distributed.as_ref().and_then(|distributed| Some((distributed, distributed.reader.as_ref()?)))
        else {
            return;
        };
        let response = match result {
            Ok(response) => response,
            Err(failure) => {
                let cause = failure.cause.unwrap_or(failure.error);
                return self.map_run_failed(execution, strand, &run.arn, "States.ItemReaderFailed", &cause, turn);
            }
        };
        let items = if reader.resource.action == "listObjectsV2" {
            let page = response.get("Contents").and_then(Value::as_array).cloned().unwrap_or_default();
            reading.listed.extend(page.into_iter().map(reader::listed));
            if let Some(token) = response.get("NextContinuationToken").and_then(Value::as_str) {
                let task = self.new_task(execution, strand);
                let mut request = reading.request.clone();
                request["ContinuationToken"] = token.into();
                self.call_s3(execution, task, &reader.resource, request, turn);
                if let Some(found) = self.strand_mut(execution, strand) {
                    let waiting = MapRun { task, run, step: Step::Read(reading) };
                    found.phase = Phase::MapRun(Box::new(waiting));
                }
                return;
            }
            Ok(std::mem::take(&mut reading.listed))
        } else {
            reader::items(&reader.config, &response)
        };
        let Reading { data, limit, .. } = reading;
        let most = self.evaluate(execution, strand, turn, data.value(), |env| {
            super::children::whole_number(reader.max_items.as_ref(), "MaxItems", env)
        });
        let most = match most {
            Ok(most) => most.unwrap_or(0),
            Err(trouble) => {
                self.map_run_ended(&run.arn, "FAILED", turn.now);
                return self.failed(execution, strand, trouble, turn);
            }
        };
        let mut items = match items {
            _ if most < 0 => {
                let cause = "field MaxItems must be positive";
                return self.map_run_failed(execution, strand, &run.arn, "States.ItemReaderFailed", cause, turn);
            }
            Ok(items) => items,
            Err(cause) => {
                return self.map_run_failed(execution, strand, &run.arn, "States.ItemReaderFailed", &cause, turn);
            }
        };
        if most > 0 {
            items.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        let items = items.into_iter().map(Arc::new).collect();
        let begun = self.run_items(execution, strand, map, distributed, items, run, data, limit, turn);
        if let Err(trouble) = begun {
            self.failed(execution, strand, trouble, turn);
        }
    }

    #[allow(clippy::too_many_arguments)] // As above.
    fn run_items(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        map: &Map,
        distributed: &Distributed,
        items: Vec<Arc<Value>>,
        mut run: Run,
        data: Payload,
        limit: usize,
        turn: &mut Turn<'_>,
    ) -> Begun {
        let mut items = items;
        let length = items.len();
        if let Some(batcher) = &distributed.batcher {
            items = self.batches(execution, strand, map, batcher, items, &data, turn)?;
            run.selected = true;
            run.batched = true;
        }
        self.map_run_total(&run.arn, items.len(), length);
        self.start_iterations(execution, strand, map, items, data, limit, Some(run), turn)
    }

    /// `ItemBatcher`: the items, selected, in groups.
    #[allow(clippy::too_many_arguments)] // As above.
    fn batches(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        map: &Map,
        batcher: &Batcher,
        items: Vec<Arc<Value>>,
        data: &Payload,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<Arc<Value>>, Trouble> {
        let (most_items, most_bytes, input) = self.evaluate(execution, strand, turn, data.value(), |env| {
            let number = |given, field| {
                let number = super::children::whole_number(given, field, env)?;
                Ok(number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0))
            };
            let most_items = number(batcher.max_items.as_ref(), "MaxItemsPerBatch")?;
            let most_bytes = number(batcher.max_bytes.as_ref(), "MaxInputBytesPerBatch")?;
            let input =
                batcher.input.as_ref().map(|input| input.evaluate(env, "ItemBatcher/BatchInput")).transpose()?;
            Ok((most_items, most_bytes, input))
        })?;
        let most_items = most_items.unwrap_or(usize::MAX);
        let most_bytes = most_bytes.unwrap_or(crate::payload::LONGEST_PAYLOAD).min(crate::payload::LONGEST_PAYLOAD);
        let mut batches: Vec<Vec<Value>> = Vec::new();
        let mut bytes = 0;
        for (index, value) in items.into_iter().enumerate() {
            let selected = match &map.selector {
                None => Value::clone(&value),
                Some(selector) => {
                    let item = Arc::new(super::Item { index, value });
                    let outer = self.strand_mut(execution, strand).and_then(|found| found.item.replace(item));
                    let selected = self
                        .evaluate(execution, strand, turn, data.value(), |env| selector.evaluate(env, "ItemSelector"));
                    if let Some(found) = self.strand_mut(execution, strand) {
                        found.item = outer;
                    }
                    selected.map_err(|trouble| Trouble { began: true, ..trouble })?
                }
            };
            let length = selected.to_string().len() + 1;
            match batches.last_mut() {
                Some(batch) if batch.len() < most_items && bytes + length <= most_bytes => {
                    batch.push(selected);
                    bytes += length;
                }
                _ => {
                    batches.push(vec![selected]);
                    bytes = length;
                }
            }
        }
        let batch = |items: Vec<Value>| {
            let mut object = Object::new();
            if let Some(input) = &input {
                object.insert("BatchInput".into(), input.clone());
            }
            object.insert("Items".into(), json!(items));
            Arc::new(Value::Object(object))
        };
        Ok(batches.into_iter().map(batch).collect())
    }

    /// A child of a distributed Map is an execution with its own name and without its parent's variables.
    pub(super) fn become_execution(
        &mut self,
        execution: ExecutionId,
        parent: StrandId,
        child: StrandId,
        turn: &Turn<'_>,
    ) {
        let name = intrinsic::uuid_text(turn.chance());
        let Some(children) = self.children_mut(execution, parent) else {
            return;
        };
        let Some(family) = children.run.as_ref().map(|run| run.family.clone()) else {
            return;
        };
        let arn = self.execution_arn(&family, &name);
        let config = &self.config;
        let machine =
            format!("arn:{}:states:{}:{}:stateMachine:{family}", config.partition, config.region, config.account);
        let started = turn.now;
        let Some(found) = self.strand_mut(execution, child) else {
            return;
        };
        found.variables = crate::environment::Variables::default();
        found.run = Some(Arc::new(MapChild { arn, name, machine, input: found.input.clone(), started }));
        self.count_child(execution, parent, child, Child::Started);
    }

    /// Counts what happened to a child of the Map Run in `parent`.
    pub(super) fn count_child(&mut self, execution: ExecutionId, parent: StrandId, child: StrandId, what: Child) {
        let items = self.strand(execution, child).and_then(|found| found.run.clone());
        let Some(run) = self.children_mut(execution, parent).and_then(|children| children.run.as_ref()) else {
            return;
        };
        let batch =
            items.filter(|_| run.batched).and_then(|about| about.input.value().get("Items")?.as_array().map(Vec::len));
        let arn = Arc::clone(&run.arn);
        self.map_run_child(&arn, what, batch.unwrap_or(1));
    }

    pub(super) fn map_child_failed(
        &mut self,
        execution: ExecutionId,
        parent: StrandId,
        child: StrandId,
        trouble: &Trouble,
        turn: &mut Turn<'_>,
    ) {
        self.keep_record(execution, parent, child, Err(trouble), turn);
        self.count_child(execution, parent, child, Child::Failed);
        self.abort_children(execution, child, turn);
        self.release(execution, child, turn);
        self.executions[execution].strands.remove(&child);
        let Some(children) = self.children_mut(execution, parent) else {
            return;
        };
        let total = children.one_over();
        let Some(run) = &mut children.run else { return };
        run.failed += 1;
        if run.tolerated.allows(run.failed, total) {
            return self.child_over(execution, parent, 0, turn);
        }
        self.keep_unfinished(execution, parent, turn);
        self.abort_children(execution, parent, turn);
        let Some(found) = self.strand_mut(execution, parent) else {
            return;
        };
        let Phase::Children(children) = std::mem::replace(&mut found.phase, Phase::Ready) else {
            return;
        };
        let exceeded =
            ("States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded");
        let Some(run) = children.run else { return };
        if run.records.is_some() {
            return self.write_results(execution, parent, run, Some(exceeded), turn);
        }
        self.map_run_failed(execution, parent, &run.arn, exceeded.0, exceeded.1, turn);
    }

    pub(super) fn map_run_failed(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        arn: &str,
        error: &str,
        cause: &str,
        turn: &mut Turn<'_>,
    ) {
        self.map_run_ended(arn, "FAILED", turn.now);
        let failed = Failed { error: Some(error.into()), cause: Some(cause.into()) };
        self.record(execution, strand, true, Details::MapRunFailed(failed), turn);
        let trouble = Trouble { began: true, ..Trouble::new(Some(error.to_owned()), Some(cause.to_owned())) };
        self.failed(execution, strand, trouble, turn);
    }

    /// All children are through.
    pub(super) fn map_run_over(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        run: Run,
        results: Vec<Option<Payload>>,
        turn: &mut Turn<'_>,
    ) {
        if run.records.is_some() {
            return self.write_results(execution, strand, run, None, turn);
        }
        let results = results.into_iter().flatten().map(|result| result.value().clone()).collect();
        self.map_run_succeeded(execution, strand, &run.arn, Value::Array(results), turn);
    }

    pub(super) fn map_run_succeeded(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        arn: &str,
        result: Value,
        turn: &mut Turn<'_>,
    ) {
        self.map_run_ended(arn, "SUCCEEDED", turn.now);
        // Recordings until mid 2024 count the Map's exit from here, later ones from the run's start; most are of the
        // former kind.
        self.record(execution, strand, true, Details::MapRunSucceeded, turn);
        self.record(execution, strand, false, Details::StateSucceeded(StateKind::Map), turn);
        self.finish_container(execution, strand, result, turn);
    }
}
