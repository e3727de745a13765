//! `ResultWriter` of a distributed Map: the children's records, the files made of them, and their way to S3.
//!
//! The names and members of the files follow the guide ("ResultWriter (Map)"). S3 is only reached through
//! [`Command::RunTask`](crate::Command::RunTask).

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::distributed::{MapRun, Run, Step};
use super::{Engine, ExecutionId, Phase, StrandId, Trouble, Turn};
use crate::definition::{Kind, Writer};
use crate::payload::Payload;
use crate::{TaskFailure, TaskResource, timestamp};

/// Files that are still to be written, and what the state gives when they are.
#[derive(Debug)]
pub(super) struct Writing {
    resource: Arc<TaskResource>,
    puts: VecDeque<Value>,
    output: Value,
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
        let Some(about) = self.strand(execution, child).and_then(|found| found.run.clone()) else {
            return;
        };
        let Some(children) = self.children_mut(execution, parent) else {
            return;
        };
        let Some(records) = children.run.as_mut().and_then(|run| run.records.as_mut()) else {
            return;
        };
        let status = if end.is_ok() { "SUCCEEDED" } else { "FAILED" };
        let mut record = Map::new();
        let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
        if let Err(trouble) = end {
            put("Cause", trouble.cause.as_deref().into());
            put("Error", trouble.error.as_deref().into());
        }
        put("ExecutionArn", about.arn.as_str().into());
        put("Input", about.input.text().into());
        put("InputDetails", json!({ "Included": true }));
        put("Name", about.name.as_str().into());
        if let Ok(output) = end {
            put("Output", output.text().into());
            put("OutputDetails", json!({ "Included": true }));
        }
        put("RedriveCount", 0.into());
        put("RedriveStatus", "NOT_REDRIVABLE".into());
        put("RedriveStatusReason", format!("Execution is {status} and cannot be redriven").into());
        put("StartDate", timestamp::text(about.started).into());
        put("StateMachineArn", about.machine.as_str().into());
        put("Status", status.into());
        put("StopDate", timestamp::text(turn.now).into());
        records.push(Value::Object(record));
    }

    /// All children are through and their results belong into files.
    pub(super) fn write_results(&mut self, execution: ExecutionId, strand: StrandId, run: Run, turn: &mut Turn<'_>) {
        let Some(found) = self.strand(execution, strand) else {
            return;
        };
        let program = Arc::clone(&found.program);
        let Kind::Map(map) = &program.states[found.state].kind else {
            return;
        };
        let Some(writer) = map.distributed.as_ref().and_then(|distributed| distributed.writer.as_ref()) else {
            return;
        };
        let data = found.input.clone();
        let target = self.evaluate(execution, strand, turn, data.value(), |env| {
            writer.arguments.evaluate(env, "ResultWriter/Arguments")
        });
        let target = match target {
            Ok(target) => target,
            Err(trouble) => return self.failed(execution, strand, trouble, turn),
        };
        let (puts, output) = files(writer, &target, &run);
        let step = Step::Write(Writing { resource: Arc::clone(&writer.resource), puts, output });
        self.write_next(execution, strand, run, step, turn);
    }

    fn write_next(&mut self, execution: ExecutionId, strand: StrandId, run: Run, step: Step, turn: &mut Turn<'_>) {
        let Step::Write(mut writing) = step else {
            return;
        };
        let Some(request) = writing.puts.pop_front() else {
            return self.map_run_succeeded(execution, strand, writing.output, turn);
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
                self.map_run_failed(execution, strand, "States.ResultWriterFailed", &cause, turn);
            }
        }
    }
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
        let of_status = |record: &&Value| record["Status"] == status;
        let records: Vec<Value> = run.records.iter().flatten().filter(of_status).cloned().collect();
        if records.is_empty() {
            listed.insert(status.into(), json!([]));
            continue;
        }
        let body = contents(writer, status, records);
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

/// `WriterConfig`: whole records, outputs, or the items of outputs; as one JSON array or as lines.
fn contents(writer: &Writer, status: &str, records: Vec<Value>) -> String {
    let setting = |name: &str| writer.config.get(name).and_then(Value::as_str);
    let outputs = |records: Vec<Value>| {
        let output = |record: &Value| record["Output"].as_str().and_then(|text| serde_json::from_str(text).ok());
        records.iter().filter_map(output).collect::<Vec<Value>>()
    };
    // What failed has no output: its record says what happened whatever the transformation.
    let items = match setting("Transformation") {
        Some("COMPACT") if status == "SUCCEEDED" => outputs(records),
        Some("FLATTEN") if status == "SUCCEEDED" => outputs(records)
            .into_iter()
            .flat_map(|output| match output {
                Value::Array(items) => items,
                other => vec![other],
            })
            .collect(),
        _ => records,
    };
    match setting("OutputType") {
        Some("JSONL") => items.iter().map(|item| format!("{item}\n")).collect(),
        _ => Value::Array(items).to_string(),
    }
}
