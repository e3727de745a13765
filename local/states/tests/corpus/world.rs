//! The world around a recorded execution: a virtual clock, and services that answer what was recorded.
//!
//! Only answers of services are taken from a recording; everything between them is for the interpreter to find.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use states::service::StepFunctions;
use states::{Command, Config, Event, Pattern, SeededIds, TaskFailure, TaskResource};

pub const ACCOUNT: &str = "111111111111";
pub const ROLE: &str = "arn:aws:iam::111111111111:role/executor";

/// What happened to one task in a recording.
#[derive(Debug, Clone, Default)]
struct Recorded {
    submitted: Option<Value>,
    end: Option<End>,
}

#[derive(Debug, Clone)]
enum End {
    Succeeded(Value),
    Failed(Option<String>, Option<String>),
}

pub struct World {
    pub service: StepFunctions,
    ids: SeededIds,
    pub now: DateTime<Utc>,
    recorded: VecDeque<Recorded>,
    objects: BTreeMap<(String, String), String>,
    large_output: bool,
    waiting: Vec<(String, End)>,
    pub problem: Option<String>,
}

/// The text of a value that the corpus holds parsed.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// As Python spaces JSON. The cause of a function named by its ARN is the text that the function made.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{}: {}", json!(name), spaced(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

impl World {
    pub fn new(case: &Value) -> Self {
        let config = Config { account: ACCOUNT.into(), ..Config::default() };
        let mut objects = BTreeMap::new();
        for call in case["provision"]["setup_calls"].as_array().into_iter().flatten() {
            if call["op"] == "put_object" {
                let args = &call["args"];
                objects.insert((text(&args["Bucket"]), text(&args["Key"])), text(&args["Body"]));
            }
        }
        let behaviours = case["provision"]["lambdas"].as_array();
        let large_output = behaviours.into_iter().flatten().any(|lambda| lambda["behaviour"] == "large_output");
        Self {
            service: StepFunctions::new(config),
            ids: SeededIds::new(7),
            now: DateTime::from_timestamp_millis(1_800_000_000_000).unwrap(),
            recorded: recorded(case["expected"]["events"].as_array().map_or(&[], Vec::as_slice)),
            objects,
            large_output,
            waiting: Vec::new(),
            problem: None,
        }
    }

    pub fn call(&mut self, operation: &str, body: &Value) -> Result<Value, states::ApiError> {
        let (answer, commands) = self.service.call(operation, body, self.now, &mut self.ids);
        self.carry_out(commands);
        answer
    }

    pub fn create(&mut self, name: &str, definition: &str) -> Result<String, states::ApiError> {
        let body = json!({ "name": name, "definition": definition, "roleArn": ROLE });
        self.call("CreateStateMachine", &body).map(|answer| text(&answer["stateMachineArn"]))
    }

    /// Lets time pass until the execution has ended. `false`: it waits for something that never comes.
    pub fn run_to_end(&mut self, execution: &str) -> bool {
        loop {
            let answers = std::mem::take(&mut self.waiting);
            if !answers.is_empty() {
                for (token, end) in answers {
                    // A token that is dead by now is no concern of the world.
                    let _ = match end {
                        End::Succeeded(output) => {
                            self.call("SendTaskSuccess", &json!({ "taskToken": token, "output": output.to_string() }))
                        }
                        End::Failed(error, cause) => {
                            self.call("SendTaskFailure", &json!({ "taskToken": token, "error": error, "cause": cause }))
                        }
                    };
                }
                continue;
            }
            let described = self.call("DescribeExecution", &json!({ "executionArn": execution })).unwrap();
            if described["status"] != "RUNNING" {
                return true;
            }
            let Some(due) = self.service.next_timer() else {
                return false;
            };
            self.now = self.now.max(due);
            let commands = self.service.due(self.now, &mut self.ids);
            self.carry_out(commands);
        }
    }

    fn carry_out(&mut self, commands: Vec<Command>) {
        let mut commands = VecDeque::from(commands);
        while let Some(command) = commands.pop_front() {
            if let Command::RunTask { task, resource, request, .. } = command
                && let Some(result) = self.run(&resource, &request)
            {
                let event = Event::TaskFinished { task, result };
                commands.extend(self.service.event(event, self.now, &mut self.ids));
            }
        }
    }

    /// `None`: no answer ever comes.
    fn run(&mut self, resource: &TaskResource, request: &Value) -> Option<Result<Value, TaskFailure>> {
        if resource.service == "s3" {
            return Some(self.s3(resource, request));
        }
        if self.large_output {
            let output = Value::String("a".repeat(263_168));
            return Some(Ok(if resource.function.is_some() { output } else { json!({ "Payload": output }) }));
        }
        let Some(recorded) = self.recorded.pop_front() else {
            // Not a task of the recorded execution but of one that it started: a consumer answers its token.
            if let Some(token) = find(request, "TaskToken") {
                let output = find(request, "Message").unwrap_or(Value::Null);
                self.waiting.push((text(&token), End::Succeeded(output)));
                return Some(Ok(json!({})));
            }
            // Children of a distributed Map leave no history here; their functions return what they get.
            if resource.function.is_some() {
                return Some(Ok(request.clone()));
            }
            self.problem = Some(format!("no recorded answer for {}", resource.arn));
            return Some(Ok(json!({})));
        };
        if let (Pattern::WaitForTaskToken, Some(submitted)) = (resource.pattern, &recorded.submitted) {
            match (find_token(request), recorded.end) {
                (Some(token), Some(end)) => self.waiting.push((token, end)),
                (None, Some(_)) => self.problem = Some("the request holds no token".into()),
                (_, None) => {}
            }
            return Some(Ok(submitted.clone()));
        }
        Some(match recorded.end? {
            End::Succeeded(output) => Ok(output),
            End::Failed(error, cause) => Err(TaskFailure { error: error.unwrap_or_default(), cause }),
        })
    }

    /// What a distributed Map reads and writes.
    fn s3(&self, resource: &TaskResource, request: &Value) -> Result<Value, TaskFailure> {
        let bucket = text(&request["Bucket"]);
        match resource.action.as_str() {
            "putObject" => Ok(json!({ "ETag": "tag" })),
            "listObjectsV2" => {
                let objects = self.objects.iter().filter(|((b, _), _)| *b == bucket);
                let contents = objects.map(|((_, key), body)| {
                    json!({
                        "ETag": "tag", "Key": key, "LastModified": "2026-01-02T03:04:05.000Z", "Size": body.len(),
                        "StorageClass": "STANDARD",
                    })
                });
                Ok(json!({ "Contents": contents.collect::<Vec<_>>() }))
            }
            _ => match self.objects.get(&(bucket, text(&request["Key"]))) {
                Some(body) => Ok(json!({ "Body": body })),
                None => Err(TaskFailure { error: "S3.NoSuchKeyException".into(), cause: None }),
            },
        }
    }
}

/// A token anywhere in a request: the corpus's machines put it under this or that name.
fn find_token(request: &Value) -> Option<String> {
    match request {
        Value::String(text) if text.len() > 100 && text.starts_with("QVFER") => Some(text.clone()),
        Value::String(text) => {
            serde_json::from_str::<Value>(text).ok().filter(|v| !v.is_string()).and_then(|v| find_token(&v))
        }
        Value::Object(members) => members.values().find_map(find_token),
        Value::Array(items) => items.iter().find_map(find_token),
        _ => None,
    }
}

fn find(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Object(members) => {
            members.get(name).cloned().or_else(|| members.values().find_map(|member| find(member, name)))
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}

/// The tasks of a recorded history, in the order in which they were scheduled.
fn recorded(events: &[Value]) -> VecDeque<Recorded> {
    // By the event that the next one of the same task names as its predecessor.
    let mut tasks: Vec<Recorded> = Vec::new();
    let mut open: BTreeMap<i64, usize> = BTreeMap::new();
    let mut loose: Vec<usize> = Vec::new();
    let nested = ["states"];
    for event in events {
        let kind = event["type"].as_str().unwrap_or_default();
        let Some(what) = kind.strip_prefix("LambdaFunction").or_else(|| kind.strip_prefix("Task")) else {
            continue;
        };
        let details = event.as_object().unwrap().iter().find(|(name, _)| name.ends_with("Details"));
        let details = details.map_or(&Value::Null, |(_, details)| details);
        if details["resourceType"].as_str().is_some_and(|kind| nested.contains(&kind) || kind == "aws-sdk:sfn") {
            continue;
        }
        let (id, previous) = (event["id"].as_i64(), event["previousEventId"].as_i64());
        if what == "Scheduled" {
            tasks.push(Recorded::default());
            match id {
                Some(id) => drop(open.insert(id, tasks.len() - 1)),
                None => loose.push(tasks.len() - 1),
            }
            continue;
        }
        let index = match previous.and_then(|previous| open.get(&previous).copied()) {
            Some(index) => index,
            None => match loose.iter().copied().find(|index| tasks[*index].end.is_none()) {
                Some(index) => index,
                // Upstream sorted the events of branches: an end can stand before its beginning.
                None if previous.is_none() && matches!(what, "Failed" | "Succeeded") => {
                    tasks.push(Recorded::default());
                    tasks.len() - 1
                }
                None => continue,
            },
        };
        let function = kind.starts_with("Lambda");
        let cause = || {
            details.get("cause").map(|cause| if function && !cause.is_string() { spaced(cause) } else { text(cause) })
        };
        match what {
            "Submitted" => tasks[index].submitted = Some(details["output"].clone()),
            "Succeeded" => tasks[index].end = Some(End::Succeeded(details["output"].clone())),
            "Failed" => tasks[index].end = Some(End::Failed(details.get("error").map(text), cause())),
            _ => {}
        }
        if let Some(id) = id {
            open.insert(id, index);
        }
    }
    tasks.into()
}
