//! What AWS takes and nobody means: names of errors that cannot occur, entries that are never reached, variables that
//! nobody assigns, waits without an end.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::explain::warning;
use super::{Found, Place, nearest, part};
use crate::expression::{self, Expression};
use crate::json_path::{Path, Root};
use crate::{Pattern, TaskResource};

/// The names that the language reserves ("Error names").
const RESERVED: [&str; 17] = [
    "States.ALL",
    "States.BranchFailed",
    "States.DataLimitExceeded",
    "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout",
    "States.Http.Socket",
    "States.IntrinsicFailure",
    "States.ItemReaderFailed",
    "States.NoChoiceMatched",
    "States.ParameterPathFailure",
    "States.Permissions",
    "States.QueryEvaluationError",
    "States.ResultPathMatchFailure",
    "States.ResultWriterFailed",
    "States.Runtime",
    "States.TaskFailed",
    "States.Timeout",
];

/// How the errors of an integration begin: what the resource is called, and the prefix.
const PREFIXES: [(&str, &str); 14] = [
    ("dynamodb", "DynamoDB"),
    ("sqs", "SQS"),
    ("sns", "SNS"),
    ("events", "EventBridge"),
    ("states", "StepFunctions"),
    ("aws-sdk:dynamodb", "DynamoDb"),
    ("aws-sdk:s3", "S3"),
    ("aws-sdk:sqs", "Sqs"),
    ("aws-sdk:sns", "Sns"),
    ("aws-sdk:eventbridge", "EventBridge"),
    ("aws-sdk:sfn", "Sfn"),
    ("aws-sdk:redshiftdata", "RedshiftData"),
    ("aws-sdk:kms", "Kms"),
    ("aws-sdk:lambda", "Lambda"),
];

/// JSONata's own functions and those of Step Functions, which an expression may also pass on by name.
const FUNCTIONS: &str = " abs append assert average base64decode base64encode boolean ceil clone contains count \
    decodeUrl decodeUrlComponent distinct each encodeUrl encodeUrlComponent error exists filter floor formatBase \
    formatInteger formatNumber fromMillis hash join keys length lookup lowercase map match max merge millis min not now \
    number pad parse parseInteger partition power random range reduce replace reverse round shuffle sift single sort \
    split spread sqrt string substring substringAfter substringBefore sum toMillis trim type uppercase uuid zip ";

/// Findings of a whole definition.
pub(super) fn found(document: &Value) -> Vec<Found> {
    let mut walk = Walk::default();
    let jsonata = document.get("QueryLanguage").and_then(Value::as_str) == Some("JSONata");
    walk.assigned(document);
    walk.program(document, "", jsonata);
    walk.found
}

#[derive(Default)]
struct Walk {
    /// Every variable that some state assigns.
    variables: BTreeSet<String>,
    found: Vec<Found>,
}

impl Walk {
    fn assigned(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if let (true, Value::Object(assigned)) = (name == "Assign", member) {
                        self.variables
                            .extend(assigned.keys().map(|name| name.strip_suffix(".$").unwrap_or(name).to_owned()));
                    }
                    self.assigned(member);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.assigned(item)),
            _ => {}
        }
    }

    fn program(&mut self, program: &Value, pointer: &str, jsonata: bool) {
        for (name, state) in program.get("States").and_then(Value::as_object).into_iter().flatten() {
            if let Value::Object(fields) = state {
                self.state(fields, &format!("{pointer}/States/{}", part(name)), jsonata);
            }
        }
    }

    fn state(&mut self, state: &Map<String, Value>, pointer: &str, machine: bool) {
        let text = |field: &str| state.get(field).and_then(Value::as_str);
        let jsonata = machine || text("QueryLanguage") == Some("JSONata");
        let resource = text("Resource").and_then(|resource| TaskResource::parse(resource).ok());
        for field in ["Retry", "Catch"] {
            self.entries(state, field, pointer, jsonata, resource.as_ref());
        }
        if let Some(resource) = &resource {
            self.waits(state, resource, pointer);
        }
        for (field, value) in state {
            let here = format!("{pointer}/{}", part(field));
            match field.as_str() {
                "ItemProcessor" | "Iterator" => self.program(value, &here, machine),
                "Branches" => {
                    for (index, branch) in value.as_array().into_iter().flatten().enumerate() {
                        self.program(branch, &format!("{here}/{index}"), machine);
                    }
                }
                // Texts for people and constants.
                "Comment" | "Result" => {}
                _ => self.references(value, &here, jsonata),
            }
        }
    }

    /// A task that waits for somebody and has no limit.
    fn waits(&mut self, state: &Map<String, Value>, resource: &TaskResource, pointer: &str) {
        let limited = ["TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath"];
        let waits = matches!(resource.pattern, Pattern::Sync | Pattern::Sync2);
        if waits && !limited.iter().any(|field| state.contains_key(*field)) {
            let message = "the task waits for a job without a limit, up to a year: give the state 'TimeoutSeconds'";
            self.found.push(warning("NO_TIMEOUT", pointer.to_owned(), Place::Value, message.to_owned()));
        }
    }

    /// `Retry` or `Catch`.
    fn entries(
        &mut self,
        state: &Map<String, Value>,
        field: &str,
        pointer: &str,
        jsonata: bool,
        resource: Option<&TaskResource>,
    ) {
        let entries = state.get(field).and_then(Value::as_array);
        let mut before: Vec<&str> = Vec::new();
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            let names = entry.get("ErrorEquals").and_then(Value::as_array);
            let names: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
            for (at, name) in names.iter().enumerate() {
                let place = format!("{pointer}/{field}/{index}/ErrorEquals/{at}");
                let never = reserved(name, state, jsonata)
                    .or_else(|| resource.and_then(|resource| foreign(name, resource)))
                    .or_else(|| reached(name, &before));
                if let Some((code, message)) = never {
                    self.found.push(warning(code, place, Place::Value, message));
                }
            }
            before.extend(names);
        }
    }

    /// Variables that no state assigns, and functions that Step Functions does not have.
    fn references(&mut self, value: &Value, pointer: &str, jsonata: bool) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    self.references(member, &format!("{pointer}/{}", part(name)), jsonata);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.references(item, &format!("{pointer}/{index}"), jsonata);
                }
            }
            Value::String(text) if jsonata => {
                let expression = expression::delimited(text).and_then(|source| Expression::parse(source).ok());
                if let Some(expression) = expression {
                    if let Some(at) = text.find("$eval(").or_else(|| text.find("$eval (")) {
                        let place = Place::Inside(text[..at].chars().count());
                        let message = "Step Functions has no $eval: $parse reads JSON";
                        self.found.push(warning("UNKNOWN_FUNCTION", pointer.to_owned(), place, message.to_owned()));
                    }
                    let names: Vec<String> =
                        expression.variables().filter(|name| !FUNCTIONS.contains(&format!(" {name} "))).collect();
                    for name in names {
                        self.unassigned(&name, text, pointer);
                    }
                }
            }
            Value::String(text) if text.starts_with('$') => {
                let name = Path::parse(text).ok().and_then(|path| match path.root() {
                    Root::Variable(name) => Some(name.clone()),
                    _ => None,
                });
                if let Some(name) = name {
                    self.unassigned(&name, text, pointer);
                }
            }
            _ => {}
        }
    }

    fn unassigned(&mut self, name: &str, text: &str, pointer: &str) {
        if self.variables.contains(name) {
            return;
        }
        let hint = match nearest(name, self.variables.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean '${meant}'?"),
            None => "a state before must have it in its 'Assign'".to_owned(),
        };
        let Some(at) = unquoted(text, name) else {
            return;
        };
        let at = text[..at].chars().count();
        let message = format!("no state assigns the variable '${name}': {hint}");
        self.found.push(warning("UNKNOWN_VARIABLE", pointer.to_owned(), Place::Inside(at), message));
    }
}

/// Where `$name` stands outside of the strings in an expression, in bytes.
fn unquoted(text: &str, name: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '$') => {
                let behind = text[at + 1..].strip_prefix(name);
                if behind.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')) {
                    return Some(at);
                }
            }
            (None, _) => {}
        }
    }
    None
}

type Never = Option<(&'static str, String)>;

/// Why a name of the language can never match in this state.
fn reserved(name: &str, state: &Map<String, Value>, jsonata: bool) -> Never {
    if !name.starts_with("States.") {
        return None;
    }
    let never = |why: String| Some(("ERROR_CANNOT_OCCUR", why));
    if !RESERVED.contains(&name) {
        let hint = match nearest(name, RESERVED.into_iter()) {
            Some(meant) => format!("did you mean '{meant}'?"),
            None => "names that begin with 'States.' are the language's own".to_owned(),
        };
        return never(format!("there is no error '{name}': {hint}"));
    }
    let kind = state.get("Type").and_then(Value::as_str).unwrap_or_default();
    let distributed = state
        .get("ItemProcessor")
        .and_then(|processor| processor.pointer("/ProcessorConfig/Mode"))
        .and_then(Value::as_str)
        == Some("DISTRIBUTED");
    let heartbeat = ["HeartbeatSeconds", "HeartbeatSecondsPath"].iter().any(|field| state.contains_key(*field));
    match name {
        "States.Runtime" => never("nothing catches or retries 'States.Runtime': the execution fails at once".into()),
        "States.HeartbeatTimeout" if kind == "Task" && !heartbeat => {
            never("'States.HeartbeatTimeout' cannot occur without 'HeartbeatSeconds'".into())
        }
        "States.BranchFailed" if kind != "Parallel" => never("'States.BranchFailed' only occurs in a Parallel".into()),
        "States.NoChoiceMatched" if kind == "Task" => never("'States.NoChoiceMatched' only occurs in a Choice".into()),
        "States.ItemReaderFailed" | "States.ResultWriterFailed" | "States.ExceedToleratedFailureThreshold"
            if kind == "Task" || (kind == "Map" && !distributed && !nested_map(state)) =>
        {
            never(format!("'{name}' only occurs in a distributed Map"))
        }
        "States.QueryEvaluationError" if kind == "Task" && !jsonata => {
            never("'States.QueryEvaluationError' only occurs with JSONata".into())
        }
        "States.IntrinsicFailure" | "States.ParameterPathFailure" | "States.ResultPathMatchFailure"
            if kind == "Task" && jsonata =>
        {
            never(format!("'{name}' does not occur with JSONata"))
        }
        _ => None,
    }
}

/// Whether there is a distributed Map inside.
fn nested_map(state: &Map<String, Value>) -> bool {
    ["ItemProcessor", "Iterator", "Branches"]
        .iter()
        .filter_map(|field| state.get(*field))
        .any(|inside| inside.to_string().contains("\"DISTRIBUTED\""))
}

/// A name with the prefix of another spelling of the same service, which is never raised.
fn foreign(name: &str, resource: &TaskResource) -> Never {
    let (_, own) = PREFIXES.iter().find(|(service, _)| *service == resource.service)?;
    let (prefix, rest) = name.split_once('.')?;
    let other = prefix != *own && PREFIXES.iter().any(|(_, known)| *known == prefix);
    // Of another service: an error that somebody sends with the token may have any name.
    let own_service = resource.service.trim_start_matches("aws-sdk:");
    let same = PREFIXES.iter().any(|(service, known)| {
        *known == prefix
            && (service.trim_start_matches("aws-sdk:") == own_service || alias(service) == alias(&resource.service))
    });
    (other && same).then(|| {
        let message =
            format!("the errors of {} begin with '{own}.': write '{own}.{rest}' instead of '{name}'", resource.service);
        ("ERROR_CANNOT_OCCUR", message)
    })
}

/// Services whose two integrations have different names.
fn alias(service: &str) -> &str {
    match service.trim_start_matches("aws-sdk:") {
        "events" => "eventbridge",
        "states" => "sfn",
        other => other,
    }
}

/// Whether an earlier entry has taken every error of this name.
fn reached(name: &str, before: &[&str]) -> Never {
    let taken = |by: &str| {
        Some((
            "NEVER_REACHED",
            format!("'{name}' is never reached: an entry before it takes '{by}'; put the special ones first"),
        ))
    };
    if before.contains(&name) {
        return taken(name);
    }
    let timeout = matches!(name, "States.Timeout" | "States.HeartbeatTimeout" | "States.ALL");
    if before.contains(&"States.TaskFailed") && !timeout {
        return taken("States.TaskFailed");
    }
    None
}
