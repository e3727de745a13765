//! From the text of a definition to a [`Machine`]. Reads everything before it gives up, so that all findings are
//! reported at once.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map as Object, Value};

use super::choice::{Comparison, Condition, Operand, Operator, Rule};
use super::diagnostics::{Diagnostic, Findings};
use super::fields::Fields;
use super::reachable;
use super::{
    Batcher, Catcher, Distributed, Kind, Language, Machine, Map, Next, Placement, Program, Reader,
    Retrier, State, Task, Wait, Writer,
};
use crate::{Pattern, TaskResource, timestamp};

/// "Limits" of the Step Functions guide.
const LONGEST_DEFINITION: usize = 1_048_576;
const LONGEST_STATE_NAME: usize = 80;
/// Programs in programs; deeper ones are refused rather than risked.
const DEEPEST: usize = 32;

/// What kind of machine a definition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MachineType {
    Standard,
    Express,
}

/// Reads a definition. Warnings alone do not refuse it; they come with the machine.
pub(crate) fn parse(
    text: &str,
    kind: MachineType,
) -> Result<(Machine, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut findings = Findings::default();
    findings.express = kind == MachineType::Express;
    if text.len() > LONGEST_DEFINITION {
        findings.add(
            "DEFINITION_TOO_LARGE",
            None,
            format!("The definition is larger than {LONGEST_DEFINITION} bytes"),
        );
        return Err(findings.into_vec());
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let (message, line, column) = unreadable(text, &error);
            let shown: String = text.chars().take(500).collect();
            let place = format!("[Source: (String)\"{shown}\"; line: {line}, column: {column}]");
            findings.add(
                "INVALID_JSON_DESCRIPTION",
                Some(&place),
                format!("{message}\n at {place}"),
            );
            return Err(findings.into_vec());
        }
    };
    let Value::Object(object) = &value else {
        findings.schema("/", "A state machine definition is a JSON object");
        return Err(findings.into_vec());
    };
    let mut fields = Fields {
        object,
        location: String::new(),
        language: Language::JsonPath,
        findings: &mut findings,
    };
    fields.language = language(&mut fields, None);
    fields.only(
        &[
            "StartAt",
            "States",
            "Version",
            "TimeoutSeconds",
            "QueryLanguage",
        ],
        &[],
        &[],
    );
    if fields
        .text("Version")
        .is_some_and(|version| version != "1.0")
    {
        fields.wrong("Version", "Value is not one of: [1.0]");
    }
    let timeout = fields.seconds("TimeoutSeconds", 1);
    let language = fields.language;
    let program = program(object, "", language, 0, &mut findings);
    match program {
        Some(program) if !findings.refuse() => {
            Ok((Machine { program, timeout }, findings.into_vec()))
        }
        _ => Err(findings.into_vec()),
    }
}

/// What AWS's parser says about a text that is not JSON, for a word where a value should be; for the rest, what ours says.
fn unreadable(text: &str, error: &serde_json::Error) -> (String, usize, usize) {
    let start = text.trim_start();
    let word: String = start
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    let is_word = word.chars().next().is_some_and(char::is_alphabetic)
        && !matches!(&*word, "null" | "true" | "false");
    if is_word {
        let before = &text[..text.len() - start.len()];
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |last| last.chars().count())
            + word.chars().count()
            + 1;
        let expected = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
        return (
            format!("Unrecognized token '{word}': was expecting {expected}"),
            line,
            column,
        );
    }
    (error.to_string(), error.line(), error.column())
}

/// `QueryLanguage`. A machine's JSONata cannot be taken back by a state.
fn language(fields: &mut Fields<'_, '_>, machine: Option<Language>) -> Language {
    let inherited = machine.unwrap_or(Language::JsonPath);
    match fields.text("QueryLanguage") {
        None => inherited,
        Some("JSONata") => Language::Jsonata,
        Some("JSONPath") if machine == Some(Language::Jsonata) => {
            fields.here(
                "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
            );
            Language::Jsonata
        }
        Some("JSONPath") => Language::JsonPath,
        Some(_) => {
            fields.wrong("QueryLanguage", "Value is not one of: [JSONPath, JSONata]");
            inherited
        }
    }
}

type Targets<'a> = HashMap<&'a str, usize>;

/// `StartAt` and `States` of a machine, a branch or an item processor. States inside inherit the machine's language.
fn program(
    object: &Object<String, Value>,
    location: &str,
    machine: Language,
    depth: usize,
    findings: &mut Findings,
) -> Option<Arc<Program>> {
    let here = if location.is_empty() { "/" } else { location };
    if depth > DEEPEST {
        findings.schema(here, format!("States nest deeper than {DEEPEST}"));
        return None;
    }
    let missing: Vec<_> = ["StartAt", "States"]
        .into_iter()
        .filter(|name| !object.contains_key(*name))
        .collect();
    if !missing.is_empty() {
        findings.schema(
            here,
            format!("These fields are required: [{}]", missing.join(", ")),
        );
        return None;
    }
    let mut fields = Fields {
        object,
        location: location.to_owned(),
        language: machine,
        findings,
    };
    let start = fields.text("StartAt")?;
    let states = fields.object("States")?;
    if states.is_empty() {
        fields.wrong("States", "States must not be empty");
        return None;
    }
    let targets: Targets<'_> = states
        .keys()
        .enumerate()
        .map(|(index, name)| (name.as_str(), index))
        .collect();
    let start_index = targets.get(start).copied();
    if start_index.is_none() {
        let at = format!("{location}/StartAt");
        findings.add(
            "MISSING_TRANSITION_TARGET",
            Some(&at),
            format!("Missing 'Next' target: {start}"),
        );
    }
    let mut parsed = Vec::with_capacity(states.len());
    for (name, state) in states {
        let at = format!("{location}/States/{name}");
        if name.is_empty() || name.chars().count() > LONGEST_STATE_NAME {
            findings.schema(
                &at,
                format!("A state's name has 1 to {LONGEST_STATE_NAME} characters"),
            );
        }
        let Value::Object(object) = state else {
            findings.schema(&at, "Expected value of type Object");
            continue;
        };
        let fields = Fields {
            object,
            location: at,
            language: machine,
            findings,
        };
        parsed.extend(
            StateReader {
                fields,
                targets: &targets,
                machine,
                depth,
            }
            .state(name),
        );
    }
    let program = Program {
        start: start_index?,
        states: parsed,
    };
    if program.states.len() == states.len() {
        reachable::check(&program, location, findings);
        return Some(Arc::new(program));
    }
    None
}

struct StateReader<'a, 'f> {
    fields: Fields<'a, 'f>,
    targets: &'a Targets<'a>,
    machine: Language,
    depth: usize,
}

impl StateReader<'_, '_> {
    fn state(mut self, name: &str) -> Option<State> {
        if !self.fields.object.contains_key("Type") {
            self.fields.here("These fields are required: [Type]");
            return None;
        }
        let kind_name = self.fields.text("Type")?.to_owned();
        self.fields.language = language(&mut self.fields, Some(self.machine));
        if !self.allowed(&kind_name) {
            return None;
        }
        let kind = self.kind(&kind_name);
        let moves = !matches!(kind_name.as_str(), "Choice" | "Succeed" | "Fail");
        let next = if moves { self.next() } else { Some(Next::End) };
        let parameters = if self.fields.language == Language::JsonPath {
            // A Map's Parameters are its ItemSelector in the older form.
            if kind_name == "Map" {
                None
            } else {
                self.fields.template("Parameters")
            }
        } else {
            self.fields.template("Arguments")
        };
        let state = State {
            name: name.into(),
            language: self.fields.language,
            next: next.unwrap_or(Next::End),
            input_path: self.fields.selection("InputPath"),
            output_path: self.fields.selection("OutputPath"),
            result_path: self.fields.placement("ResultPath"),
            arguments: parameters,
            result_selector: self.fields.template("ResultSelector"),
            output: self.fields.template("Output"),
            assign: self.fields.assign(),
            retry: self.retry(),
            catch: self.catch(),
            kind: kind?,
        };
        next.map(|_| state)
    }

    fn allowed(&mut self, kind: &str) -> bool {
        let paths = ["InputPath", "OutputPath"];
        let (both, json_path, jsonata): (&[&str], &[&str], &[&str]) = match kind {
            "Pass" => (
                &["Next", "End", "Assign"],
                &["Result", "Parameters", "ResultPath"],
                &["Output"],
            ),
            "Task" => (
                &[
                    "Next",
                    "End",
                    "Assign",
                    "Resource",
                    "Retry",
                    "Catch",
                    "TimeoutSeconds",
                    "HeartbeatSeconds",
                    "Credentials",
                ],
                &[
                    "Parameters",
                    "ResultSelector",
                    "ResultPath",
                    "TimeoutSecondsPath",
                    "HeartbeatSecondsPath",
                ],
                &["Arguments", "Output"],
            ),
            "Choice" => (&["Choices", "Default", "Assign"], &[], &["Output"]),
            "Wait" => (
                &["Next", "End", "Assign", "Seconds", "Timestamp"],
                &["SecondsPath", "TimestampPath"],
                &["Output"],
            ),
            "Succeed" => (&[], &[], &["Output"]),
            "Fail" => (&["Error", "Cause"], &["ErrorPath", "CausePath"], &[]),
            "Map" => (
                &[
                    "Next",
                    "End",
                    "Assign",
                    "Retry",
                    "Catch",
                    "ItemProcessor",
                    "Iterator",
                    "ItemSelector",
                    "ItemReader",
                    "ItemBatcher",
                    "ResultWriter",
                    "MaxConcurrency",
                    "ToleratedFailureCount",
                    "ToleratedFailurePercentage",
                    "Label",
                ],
                &[
                    "Parameters",
                    "ResultSelector",
                    "ResultPath",
                    "ItemsPath",
                    "MaxConcurrencyPath",
                    "ToleratedFailureCountPath",
                    "ToleratedFailurePercentagePath",
                ],
                &["Items", "Output"],
            ),
            "Parallel" => (
                &["Next", "End", "Assign", "Retry", "Catch", "Branches"],
                &["Parameters", "ResultSelector", "ResultPath"],
                &["Arguments", "Output"],
            ),
            _ => {
                self.fields.wrong(
                    "Type",
                    "Value is not one of: [Choice, Fail, Map, Parallel, Pass, Succeed, Task, Wait]",
                );
                return false;
            }
        };
        let both = [both, &["Type", "QueryLanguage"]].concat();
        let json_path = if kind == "Fail" {
            json_path.to_vec()
        } else {
            [json_path, &paths].concat()
        };
        self.fields.only(&both, &json_path, jsonata);
        true
    }

    fn next(&mut self) -> Option<Next> {
        let end = match self.fields.get("End") {
            None => false,
            Some(Value::Bool(end)) => *end,
            Some(_) => {
                self.fields.wrong("End", "Expected value of type Boolean");
                return None;
            }
        };
        if self.fields.get("Next").is_some() {
            if end {
                self.fields
                    .here("There should only be one of the following fields: [Next, End]");
            }
            return self.target("Next").map(Next::State);
        }
        if !end {
            self.fields
                .here("One of the following fields is required: [Next, End]");
            return None;
        }
        Some(Next::End)
    }

    fn target(&mut self, field: &str) -> Option<usize> {
        let name = self.fields.text(field)?;
        let location = format!("{}/{field}", self.fields.location);
        find_target(self.targets, name, &location, self.fields.findings)
    }

    fn kind(&mut self, kind: &str) -> Option<Kind> {
        match kind {
            "Pass" => Some(Kind::Pass {
                result: self.fields.get("Result").cloned(),
            }),
            "Task" => self.task(),
            "Choice" => self.choice(),
            "Wait" => self.wait(),
            "Succeed" => Some(Kind::Succeed),
            "Fail" => Some(Kind::Fail {
                error: self.fields.text_or_path("Error", "ErrorPath"),
                cause: self.fields.text_or_path("Cause", "CausePath"),
            }),
            "Map" => self.map(),
            "Parallel" => self.parallel(),
            _ => None,
        }
    }

    fn task(&mut self) -> Option<Kind> {
        let Some(text) = self.fields.text("Resource") else {
            if self.fields.get("Resource").is_none() {
                self.fields.here("These fields are required: [Resource]");
            }
            return None;
        };
        let express = self.fields.findings.express;
        if express && text.contains(":activity:") {
            self.fields.wrong(
                "Resource",
                "Express state machine does not support Activity ARN",
            );
            return None;
        }
        let resource = match TaskResource::parse(text) {
            Ok(resource) => resource,
            Err(message) => {
                self.fields.wrong("Resource", message);
                return None;
            }
        };
        if express && resource.pattern != Pattern::RequestResponse {
            let suffix = resource.history_name().replacen(&resource.action, "", 1);
            // The two blanks before "at" are AWS's.
            let message =
                format!("Express state machine does not support '{suffix}' service integration ");
            self.fields.wrong("Resource", message);
        }
        if self.fields.object.contains_key("Credentials") {
            let credentials = self.fields.object("Credentials")?;
            if !credentials.contains_key("RoleArn") && !credentials.contains_key("RoleArn.$") {
                self.fields.wrong(
                    "Credentials",
                    "The field 'RoleArn' is required but was missing",
                );
            }
        }
        let timeout = self
            .fields
            .given_number("TimeoutSeconds", 1.0, Some(99_999_999.0));
        let heartbeat = self
            .fields
            .given_number("HeartbeatSeconds", 1.0, Some(99_999_999.0));
        if let (Some(super::Given::Literal(timeout)), Some(super::Given::Literal(heartbeat))) =
            (&timeout, &heartbeat)
            && heartbeat.as_f64() >= timeout.as_f64()
        {
            self.fields.wrong(
                "HeartbeatSeconds",
                "HeartbeatSeconds must be smaller than TimeoutSeconds",
            );
        }
        if resource.pattern == Pattern::WaitForTaskToken && timeout.is_none() && heartbeat.is_none()
        {
            let location = self.fields.location.clone();
            let message = "The task waits for a token without TimeoutSeconds or HeartbeatSeconds: up to a year";
            self.fields.findings.warn("NO_TIMEOUT", &location, message);
        }
        let credentials = self.fields.template("Credentials");
        Some(Kind::Task(Box::new(Task {
            resource: Arc::new(resource),
            timeout,
            heartbeat,
            credentials,
        })))
    }

    fn choice(&mut self) -> Option<Kind> {
        let default = match self.fields.get("Default") {
            Some(_) => Some(self.target("Default")?),
            None => None,
        };
        let Some(choices) = self.fields.array("Choices") else {
            self.fields.here("These fields are required: [Choices]");
            return None;
        };
        if choices.is_empty() {
            self.fields
                .wrong("Choices", "There must be at least one choice");
        }
        let mut rules = Vec::with_capacity(choices.len());
        for (index, choice) in choices.iter().enumerate() {
            let location = format!("{}/Choices[{index}]", self.fields.location);
            let Value::Object(object) = choice else {
                self.fields
                    .findings
                    .schema(&location, "Expected value of type Object");
                continue;
            };
            let mut fields = Fields {
                object,
                location: location.clone(),
                language: self.fields.language,
                findings: self.fields.findings,
            };
            let condition = if fields.language == Language::Jsonata {
                fields.only(&["Next", "Assign"], &["Variable"], &["Condition", "Output"]);
                match fields.template("Condition") {
                    Some(crate::template::Template::Jsonata(expression)) => {
                        Some(Condition::Expression(expression))
                    }
                    Some(crate::template::Template::Literal(Value::Bool(held))) => {
                        Some(Condition::Constant(held))
                    }
                    Some(_) => {
                        fields.wrong("Condition", "Value is not a valid JSONata expression");
                        None
                    }
                    None => {
                        fields.here("These fields are required: [Condition]");
                        None
                    }
                }
            } else {
                condition(&mut fields, 0)
            };
            let assign = fields.assign();
            let output = fields.template("Output");
            let Some(next) = fields.text("Next") else {
                fields.here("These fields are required: [Next]");
                continue;
            };
            let next = find_target(
                self.targets,
                next,
                &format!("{location}/Next"),
                self.fields.findings,
            );
            if let (Some(condition), Some(next)) = (condition, next) {
                rules.push(Rule {
                    condition,
                    next,
                    assign,
                    output,
                });
            }
        }
        (rules.len() == choices.len()).then_some(Kind::Choice { rules, default })
    }

    fn wait(&mut self) -> Option<Kind> {
        self.fields
            .one_of(&["Seconds", "Timestamp", "SecondsPath", "TimestampPath"]);
        if self.fields.get("Seconds").is_some() || self.fields.get("SecondsPath").is_some() {
            return self
                .fields
                .given_number("Seconds", 0.0, Some(99_999_999.0))
                .map(|given| Kind::Wait(Wait::Seconds(given)));
        }
        if self.fields.get("Timestamp").is_some() {
            return self
                .fields
                .given_timestamp("Timestamp")
                .map(|given| Kind::Wait(Wait::Timestamp(given)));
        }
        if self.fields.get("TimestampPath").is_some() {
            let path = self.fields.path("TimestampPath")?;
            return Some(Kind::Wait(Wait::Timestamp(super::Given::Path(path))));
        }
        self.fields.here("One of the following fields is required: [Seconds, Timestamp, SecondsPath, TimestampPath]");
        None
    }

    fn parallel(&mut self) -> Option<Kind> {
        let Some(branches) = self.fields.array("Branches") else {
            self.fields.here("These fields are required: [Branches]");
            return None;
        };
        if branches.is_empty() {
            self.fields
                .wrong("Branches", "There must be at least one branch");
            return None;
        }
        let mut programs = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            let location = format!("{}/Branches[{index}]", self.fields.location);
            let Value::Object(object) = branch else {
                self.fields
                    .findings
                    .schema(&location, "Expected value of type Object");
                continue;
            };
            let mut fields = Fields {
                object,
                location: location.clone(),
                language: self.machine,
                findings: self.fields.findings,
            };
            fields.only(&["StartAt", "States"], &[], &[]);
            programs.extend(program(
                object,
                &location,
                self.machine,
                self.depth + 1,
                self.fields.findings,
            ));
        }
        (programs.len() == branches.len()).then_some(Kind::Parallel { branches: programs })
    }

    fn map(&mut self) -> Option<Kind> {
        self.fields.one_of(&["ItemProcessor", "Iterator"]);
        self.fields.one_of(&["ItemSelector", "Parameters"]);
        let field = if self.fields.get("Iterator").is_some() {
            "Iterator"
        } else {
            "ItemProcessor"
        };
        let Some(processor) = self.fields.object(field) else {
            self.fields
                .here("These fields are required: [ItemProcessor]");
            return None;
        };
        let location = format!("{}/{field}", self.fields.location);
        let mut fields = Fields {
            object: processor,
            location: location.clone(),
            language: self.machine,
            findings: self.fields.findings,
        };
        fields.only(&["StartAt", "States", "ProcessorConfig"], &[], &[]);
        let mut mode = "INLINE";
        if let Some(config) = fields.object("ProcessorConfig") {
            let mut config = Fields {
                object: config,
                location: format!("{location}/ProcessorConfig"),
                language: self.machine,
                findings: fields.findings,
            };
            config.only(&["Mode", "ExecutionType"], &[], &[]);
            mode = config.text("Mode").unwrap_or("INLINE");
            if !matches!(mode, "INLINE" | "DISTRIBUTED") {
                config.wrong("Mode", "Value is not one of: [INLINE, DISTRIBUTED]");
            }
            if config
                .text("ExecutionType")
                .is_some_and(|kind| !matches!(kind, "STANDARD" | "EXPRESS"))
            {
                config.wrong("ExecutionType", "Value is not one of: [STANDARD, EXPRESS]");
            }
        }
        let program = program(
            processor,
            &location,
            self.machine,
            self.depth + 1,
            self.fields.findings,
        );
        let selector_field = if self.fields.get("Parameters").is_some() {
            "Parameters"
        } else {
            "ItemSelector"
        };
        let distributed = if mode == "DISTRIBUTED" {
            Some(self.distributed())
        } else {
            for name in ["ItemReader", "ItemBatcher", "ResultWriter", "Label"] {
                if self.fields.get(name).is_some() {
                    self.fields.here(format!("Field '{name}' is not supported"));
                }
            }
            None
        };
        let jsonata = self.fields.language == Language::Jsonata;
        let map = Map {
            items_path: if self.fields.get("ItemsPath").is_some() {
                self.fields.path("ItemsPath")
            } else {
                None
            },
            items: if jsonata {
                self.fields.template("Items")
            } else {
                None
            },
            selector: self.fields.template(selector_field),
            concurrency: self.fields.given_number("MaxConcurrency", 0.0, None),
            tolerated_count: self.fields.given_number("ToleratedFailureCount", 0.0, None),
            tolerated_percentage: self.fields.given_number(
                "ToleratedFailurePercentage",
                0.0,
                Some(100.0),
            ),
            program: program?,
            distributed,
        };
        Some(Kind::Map(Box::new(map)))
    }

    fn distributed(&mut self) -> Distributed {
        let label = self.fields.text("Label").map(str::to_owned);
        if label
            .as_ref()
            .is_some_and(|label| label.is_empty() || label.chars().count() > 40)
        {
            self.fields.wrong("Label", "A label has 1 to 40 characters");
        }
        Distributed {
            label,
            reader: self.reader(),
            batcher: self.batcher(),
            writer: self.writer(),
        }
    }

    fn part(&mut self, field: &str) -> Option<Fields<'_, '_>> {
        let object = self.fields.object(field)?;
        let location = format!("{}/{field}", self.fields.location);
        Some(Fields {
            object,
            location,
            language: self.fields.language,
            findings: self.fields.findings,
        })
    }

    fn reader(&mut self) -> Option<Reader> {
        let mut fields = self.part("ItemReader")?;
        fields.only(
            &["Resource", "ReaderConfig"],
            &["Parameters"],
            &["Arguments"],
        );
        let arguments = arguments(&mut fields);
        let resource = resource(&mut fields);
        let mut max_items = None;
        if let Some(config) = fields.object("ReaderConfig") {
            let mut config = Fields {
                object: config,
                location: format!("{}/ReaderConfig", fields.location),
                language: fields.language,
                findings: fields.findings,
            };
            max_items = config.given_number("MaxItems", 0.0, Some(100_000_000.0));
        }
        let config = fields.get("ReaderConfig").cloned().unwrap_or_default();
        Some(Reader {
            resource: resource?,
            arguments,
            config,
            max_items,
        })
    }

    fn batcher(&mut self) -> Option<Batcher> {
        let mut fields = self.part("ItemBatcher")?;
        fields.only(
            &["BatchInput", "MaxItemsPerBatch", "MaxInputBytesPerBatch"],
            &["MaxItemsPerBatchPath", "MaxInputBytesPerBatchPath"],
            &[],
        );
        Some(Batcher {
            input: fields.template("BatchInput"),
            max_items: fields.given_number("MaxItemsPerBatch", 0.0, None),
            max_bytes: fields.given_number("MaxInputBytesPerBatch", 0.0, None),
        })
    }

    fn writer(&mut self) -> Option<Writer> {
        let mut fields = self.part("ResultWriter")?;
        fields.only(
            &["Resource", "WriterConfig"],
            &["Parameters"],
            &["Arguments"],
        );
        let arguments = arguments(&mut fields);
        let resource = resource(&mut fields);
        resource.map(|_| Writer { arguments })
    }

    fn retry(&mut self) -> Vec<Retrier> {
        let Some(retriers) = self.fields.array("Retry") else {
            return Vec::new();
        };
        let mut parsed = Vec::with_capacity(retriers.len());
        for (index, retrier) in retriers.iter().enumerate() {
            let location = format!("{}/Retry[{index}]", self.fields.location);
            let Value::Object(object) = retrier else {
                self.fields
                    .findings
                    .schema(&location, "Expected value of type Object");
                continue;
            };
            let mut fields = Fields {
                object,
                location,
                language: self.fields.language,
                findings: self.fields.findings,
            };
            fields.only(
                &[
                    "ErrorEquals",
                    "IntervalSeconds",
                    "MaxAttempts",
                    "BackoffRate",
                    "MaxDelaySeconds",
                    "JitterStrategy",
                ],
                &[],
                &[],
            );
            let errors = errors(&mut fields, index + 1 == retriers.len());
            let jitter = fields.text("JitterStrategy");
            if jitter.is_some_and(|jitter| !matches!(jitter, "FULL" | "NONE")) {
                fields.wrong("JitterStrategy", "Value is not one of: [FULL, NONE]");
            }
            let max_attempts = fields.number("MaxAttempts", 0.0).unwrap_or(3.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // Not negative; a cast saturates.
            parsed.push(Retrier {
                errors,
                interval: fields.number("IntervalSeconds", 1.0).unwrap_or(1.0),
                max_attempts: max_attempts as u64,
                backoff: fields.number("BackoffRate", 1.0).unwrap_or(2.0),
                max_delay: fields.number("MaxDelaySeconds", 1.0),
                full_jitter: jitter == Some("FULL"),
            });
        }
        parsed
    }

    fn catch(&mut self) -> Vec<Catcher> {
        let Some(catchers) = self.fields.array("Catch") else {
            return Vec::new();
        };
        let mut parsed = Vec::with_capacity(catchers.len());
        for (index, catcher) in catchers.iter().enumerate() {
            let location = format!("{}/Catch[{index}]", self.fields.location);
            let Value::Object(object) = catcher else {
                self.fields
                    .findings
                    .schema(&location, "Expected value of type Object");
                continue;
            };
            let mut fields = Fields {
                object,
                location: location.clone(),
                language: self.fields.language,
                findings: self.fields.findings,
            };
            fields.only(
                &["ErrorEquals", "Next", "Assign"],
                &["ResultPath"],
                &["Output"],
            );
            let errors = errors(&mut fields, index + 1 == catchers.len());
            let result_path: Placement = fields.placement("ResultPath");
            let output = fields.template("Output");
            let assign = fields.assign();
            let Some(next) = fields.text("Next") else {
                fields.here("These fields are required: [Next]");
                continue;
            };
            let next = find_target(
                self.targets,
                next,
                &format!("{location}/Next"),
                self.fields.findings,
            );
            parsed.extend(next.map(|next| Catcher {
                errors,
                next,
                result_path,
                output,
                assign,
            }));
        }
        parsed
    }
}

fn find_target(
    targets: &Targets<'_>,
    name: &str,
    location: &str,
    findings: &mut Findings,
) -> Option<usize> {
    let found = targets.get(name).copied();
    if found.is_none() {
        // AWS says 'Next' for every kind of target.
        findings.add(
            "MISSING_TRANSITION_TARGET",
            Some(location),
            format!("Missing 'Next' target: {name}"),
        );
    }
    found
}

fn arguments(fields: &mut Fields<'_, '_>) -> crate::template::Template {
    let field = if fields.language == Language::JsonPath {
        "Parameters"
    } else {
        "Arguments"
    };
    fields
        .template(field)
        .unwrap_or(crate::template::Template::Literal(Value::Object(
            Object::new(),
        )))
}

fn resource(fields: &mut Fields<'_, '_>) -> Option<Arc<TaskResource>> {
    let text = fields.text("Resource").unwrap_or_default();
    match TaskResource::parse(text) {
        Ok(resource) => Some(Arc::new(resource)),
        Err(message) => {
            fields.wrong("Resource", message);
            None
        }
    }
}

/// `ErrorEquals`. `States.ALL` stands alone and last.
fn errors(fields: &mut Fields<'_, '_>, last: bool) -> Vec<String> {
    let Some(names) = fields.array("ErrorEquals") else {
        if fields.get("ErrorEquals").is_none() {
            fields.here("These fields are required: [ErrorEquals]");
        }
        return Vec::new();
    };
    let mut errors = Vec::with_capacity(names.len());
    for name in names {
        match name {
            Value::String(name) => errors.push(name.clone()),
            _ => fields.wrong("ErrorEquals", "Expected value of type String"),
        }
    }
    if errors.is_empty() {
        fields.wrong("ErrorEquals", "ErrorEquals must not be empty");
    }
    if errors.iter().any(|name| name == "States.ALL") && (errors.len() > 1 || !last) {
        fields.wrong(
            "ErrorEquals",
            "States.ALL must appear alone and in the last retrier or catcher",
        );
    }
    errors
}

/// A JSONPath rule, or a part of one.
fn condition(fields: &mut Fields<'_, '_>, depth: usize) -> Option<Condition> {
    if depth > DEEPEST {
        fields.here(format!("Conditions nest deeper than {DEEPEST}"));
        return None;
    }
    for (name, join) in [("And", true), ("Or", false)] {
        if fields.get(name).is_none() {
            continue;
        }
        let parts = fields.array(name)?;
        if parts.is_empty() {
            fields.wrong(name, "There must be at least one condition");
        }
        let mut parsed = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            parsed.push(inner_condition(
                fields,
                part,
                &format!("{name}[{index}]"),
                depth,
            )?);
        }
        return Some(if join {
            Condition::And(parsed)
        } else {
            Condition::Or(parsed)
        });
    }
    if let Some(part) = fields.get("Not") {
        return inner_condition(fields, part, "Not", depth)
            .map(|condition| Condition::Not(Box::new(condition)));
    }
    comparison(fields)
}

fn inner_condition(
    fields: &mut Fields<'_, '_>,
    part: &Value,
    name: &str,
    depth: usize,
) -> Option<Condition> {
    let location = format!("{}/{name}", fields.location);
    let Value::Object(object) = part else {
        fields
            .findings
            .schema(&location, "Expected value of type Object");
        return None;
    };
    let mut inner = Fields {
        object,
        location,
        language: fields.language,
        findings: fields.findings,
    };
    condition(&mut inner, depth + 1)
}

fn comparison(fields: &mut Fields<'_, '_>) -> Option<Condition> {
    if fields.get("Variable").is_none() {
        if fields.get("Condition").is_some() {
            fields.here(
                "The QueryLanguage is set to 'JSONPath', but field 'Condition' is only supported for the 'JSONata' \
                 QueryLanguage",
            );
        } else {
            fields.here("These fields are required: [Variable]");
        }
        return None;
    }
    let variable = fields.path("Variable")?;
    let mut found = None;
    for name in fields.object.keys() {
        if matches!(name.as_str(), "Variable" | "Next" | "Assign" | "Comment") {
            continue;
        }
        let Some((operator, is_path)) = Operator::named(name) else {
            fields.here(format!("Field '{name}' is not supported"));
            return None;
        };
        if found.replace((name.clone(), operator, is_path)).is_some() {
            fields.here("There should only be one comparison operator");
            return None;
        }
    }
    let Some((name, operator, is_path)) = found else {
        fields.here("A comparison operator is required");
        return None;
    };
    let operand = if is_path {
        Operand::Path(fields.path(&name)?)
    } else {
        operand(fields, &name, operator)?
    };
    Some(Condition::Compare(Box::new(Comparison {
        variable,
        operator,
        operand,
    })))
}

fn operand(fields: &mut Fields<'_, '_>, name: &str, operator: Operator) -> Option<Operand> {
    let value = fields.get(name)?;
    if operator.is_test() || operator == Operator::BooleanEquals {
        if let Value::Bool(wanted) = value {
            return Some(Operand::Boolean(*wanted));
        }
        fields.wrong(name, "Expected value of type Boolean");
        return None;
    }
    if operator.is_numeric() {
        return match value.as_f64() {
            Some(number) => Some(Operand::Number(number)),
            None => {
                fields.wrong(name, "Expected value of type Number");
                None
            }
        };
    }
    let text = fields.text(name)?;
    if operator.is_timestamp() {
        let time = timestamp::parse_exact(text);
        if time.is_none() {
            fields.wrong(name, "String does not match RFC3339 timestamp");
        }
        return time.map(Operand::Time);
    }
    Some(Operand::Text(text.to_owned()))
}
