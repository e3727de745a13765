//! `ResultWriter` of a distributed Map: the children's records, the files made of them, and their way to S3.
//!
//! The names and members of the files follow the guide ("ResultWriter (Map)"). S3 is only reached through
//! [`Command::RunTask`](crate::Command::RunTask).

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::distributed::{MapRun, Run, Step};
use super::{Engine, ExecutionId, MapChild, Phase, StrandId, Trouble, Turn};
use crate::definition::{Kind, Writer};
use crate::payload::Payload;
use crate::{TaskFailure, TaskResource, timestamp};

/// Files that are still to be written, and what the state gives when they are.
#[derive(Debug)]
pub(super) struct Writing {
    resource: Arc<TaskResource>,
    puts: VecDeque<Value>,
    output: Value,
    /// The run failed: error and cause. Its results are written all the same.
    failed: Option<(&'static str, &'static str)>,
}

impl Engine {
    /// Keeps what became of a child, if its Map has a `ResultWriter`.
    pub(super) fn keep_record(
        &mut self,
        execution: ExecutionId,
        parent: StrandId,
        child: StrandId,
        end: Result<&Payload, &Trouble>,
        turn: &Turn<'_>,
    ) {
        let end = match end {
            Ok(output) => End::Succeeded(output),
            Err(trouble) => End::Failed(trouble),
        };
        let about = self.strand(execution, child).and_then(|found| found.run.clone());
        if let (Some(about), Some(records)) = (about, self.records(execution, parent)) {
            records.push(record(&about, end, turn.now));
        }
    }

    /// Keeps the children that a failed run stops or never comes to: the former count as failed, the latter are pending
    /// ("ResultWriter (Map)", exported files).
    pub(super) fn keep_unfinished(&mut self, execution: ExecutionId, parent: StrandId, turn: &Turn<'_>) {
        if self.records(execution, parent).is_none() {
            return;
        }
        let strands = self.executions[execution].strands.values();
        let running: Vec<_> =
            strands.filter(|strand| strand.parent == Some(parent)).filter_map(|strand| strand.run.clone()).collect();
        let pending: Vec<_> =
            self.children_mut(execution, parent).map(|children| children.pending().to_vec()).unwrap_or_default();
        let Some(records) = self.records(execution, parent) else {
            return;
        };
        records.extend(running.iter().map(|about| record(about, End::Aborted, turn.now)));
        records.extend(pending.iter().map(
            |item| json!({ "Input": item.to_string(), "InputDetails": { "Included": true }, "Status": "PENDING" }),
        ));
    }

    fn records(&mut self, execution: ExecutionId, parent: StrandId) -> Option<&mut Vec<Value>> {
        self.children_mut(execution, parent)?.run.as_mut()?.records.as_mut()
    }

    /// All children are through and their results belong into files.
    /// Files that belong to a run that failed are written before it says so.
    pub(super) fn write_results(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        run: Run,
        failed: Option<(&'static str, &'static str)>,
        turn: &mut Turn<'_>,
    ) {
        let Some(found) = self.strand(execution, strand) else {
            return;
        };
        let program = Arc::clone(&found.program);
        let state = &program.states[found.state];
        let Kind::Map(map) = &state.kind else {
            return;
        };
        let Some(writer) = map.distributed.as_ref().and_then(|distributed| distributed.writer.as_ref()) else {
            return;
        };
        let Some(resource) = &writer.resource else {
            // Only transformed, and the state's own result.
            return match failed {
                None => self.map_run_succeeded(execution, strand, &run.arn, transformed(writer, &run), turn),
                Some((error, cause)) => self.map_run_failed(execution, strand, &run.arn, error, cause, turn),
            };
        };
        let target = self.selected(execution, strand, state, turn).and_then(|data| {
            self.evaluate(execution, strand, turn, data.value(), |env| {
                writer.arguments.evaluate(env, "ResultWriter/Arguments")
            })
        });
        let target = match target {
            Ok(target) => target,
            Err(trouble) => {
                self.map_run_ended(&run.arn, "FAILED", turn.now);
                return self.failed(execution, strand, trouble, turn);
            }
        };
        let (puts, output) = files(writer, &target, &run);
        let step = Step::Write(Writing { resource: Arc::clone(resource), puts, output, failed });
        self.write_next(execution, strand, run, step, turn);
    }

    fn write_next(&mut self, execution: ExecutionId, strand: StrandId, run: Run, step: Step, turn: &mut Turn<'_>) {
        let Step::Write(mut writing) = step else {
            return;
        };
        let Some(request) = writing.puts.pop_front() else {
            self.map_run_written(&run.arn, run.records.as_ref().map_or(0, Vec::len));
            return match writing.failed {
                None => self.map_run_succeeded(execution, strand, &run.arn, writing.output, turn),
                Some((error, cause)) => self.map_run_failed(execution, strand, &run.arn, error, cause, turn),
            };
        };
        let task = self.new_task(execution, strand);
        self.call_s3(execution, task, &writing.resource, request, turn);
        if let Some(found) = self.strand_mut(execution, strand) {
            found.phase = Phase::MapRun(Box::new(MapRun { task, run, step: Step::Write(writing) }));
        }
    }

    /// One file was written, or not.
    pub(super) fn written(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        run: Run,
        step: Step,
        result: Result<Value, TaskFailure>,
        turn: &mut Turn<'_>,
    ) {
        match result {
            Ok(_) => self.write_next(execution, strand, run, step, turn),
            Err(failure) => {
                let cause = failure.cause.unwrap_or(failure.error);
                self.map_run_failed(execution, strand, &run.arn, "States.ResultWriterFailed", &cause, turn);
            }
        }
    }
}

/// How a child ended.
#[derive(Clone, Copy)]
enum End<'a> {
    Succeeded(&'a Payload),
    Failed(&'a Trouble),
    Aborted,
}

fn record(about: &MapChild, end: End<'_>, now: i64) -> Value {
    let status = match end {
        End::Succeeded(_) => "SUCCEEDED",
        End::Failed(_) => "FAILED",
        End::Aborted => "ABORTED",
    };
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
    if let End::Failed(trouble) = end {
        put("Cause", trouble.cause.as_deref().into());
        put("Error", trouble.error.as_deref().into());
    }
    put("ExecutionArn", about.arn.as_str().into());
    put("Input", about.input.text().into());
    put("InputDetails", json!({ "Included": true }));
    put("Name", about.name.as_str().into());
    if let End::Succeeded(output) = end {
        put("Output", output.text().into());
        put("OutputDetails", json!({ "Included": true }));
    }
    put("RedriveCount", 0.into());
    put("RedriveStatus", "NOT_REDRIVABLE".into());
    put("RedriveStatusReason", format!("Execution is {status} and cannot be redriven").into());
    put("StartDate", timestamp::text(about.started).into());
    put("StateMachineArn", about.machine.as_str().into());
    put("Status", status.into());
    put("StopDate", timestamp::text(now).into());
    Value::Object(record)
}

/// The calls that write the files, the manifest last, and the state's result.
fn files(writer: &Writer, target: &Value, run: &Run) -> (VecDeque<Value>, Value) {
    let bucket = &target["Bucket"];
    let prefix = target.get("Prefix").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
    let id = run.arn.rsplit(':').next().unwrap_or_default();
    let folder = if prefix.is_empty() { id.to_owned() } else { format!("{prefix}/{id}") };
    let mut puts = VecDeque::new();
    let mut listed = Map::new();
    for status in ["FAILED", "PENDING", "SUCCEEDED"] {
        let of_status = |record: &&Value| match record["Status"].as_str() {
            Some("ABORTED") => status == "FAILED",
            other => other == Some(status),
        };
        let records: Vec<Value> = run.records.iter().flatten().filter(of_status).cloned().collect();
        if records.is_empty() {
            listed.insert(status.into(), json!([]));
            continue;
        }
        let body = contents(writer, records);
        let key = format!("{folder}/{status}_0.json");
        listed.insert(status.into(), json!([{ "Key": key, "Size": body.len() }]));
        puts.push_back(json!({ "Bucket": bucket, "Key": key, "Body": body }));
    }
    let manifest = json!({ "DestinationBucket": bucket, "MapRunArn": &*run.arn, "ResultFiles": listed });
    let key = format!("{folder}/manifest.json");
    puts.push_back(json!({ "Bucket": bucket, "Key": key, "Body": manifest.to_string() }));
    let output = json!({ "MapRunArn": &*run.arn, "ResultWriterDetails": { "Bucket": bucket, "Key": key } });
    (puts, output)
}

/// What a writer without a bucket gives: the results as `WriterConfig` says, JSON lines as their text.
fn transformed(writer: &Writer, run: &Run) -> Value {
    let records: Vec<Value> = run.records.iter().flatten().cloned().collect();
    match setting(writer, "OutputType") {
        Some("JSONL") => lines(&items(writer, records)).into(),
        _ => Value::Array(items(writer, records)),
    }
}

fn setting<'a>(writer: &'a Writer, name: &str) -> Option<&'a str> {
    writer.config.get(name).and_then(Value::as_str)
}

fn lines(items: &[Value]) -> String {
    items.iter().map(|item| format!("{item}\n")).collect()
}

/// `WriterConfig`: whole records, outputs, or the items of outputs. What has no output is its record whatever the
/// transformation.
fn items(writer: &Writer, records: Vec<Value>) -> Vec<Value> {
    let transformation = setting(writer, "Transformation").unwrap_or("NONE");
    let mut items = Vec::with_capacity(records.len());
    for record in records {
        let output = record["Output"].as_str().and_then(|text| serde_json::from_str(text).ok());
        match (transformation, output) {
            ("COMPACT", Some(output)) => items.push(output),
            ("FLATTEN", Some(Value::Array(outputs))) => items.extend(outputs),
            ("FLATTEN", Some(output)) => items.push(output),
            _ => items.push(record),
        }
    }
    items
}

/// A file: one JSON array, or JSON lines.
fn contents(writer: &Writer, records: Vec<Value>) -> String {
    let items = items(writer, records);
    match setting(writer, "OutputType") {
        Some("JSONL") => lines(&items),
        _ => Value::Array(items).to_string(),
    }
}
