//! Calls about state machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, checked_arn, checked_name};
use super::pages::page;
use crate::definition::{self, Diagnostic, Machine, MachineType, Severity};
use crate::engine::{Engine, Registered, Revision, Turn};
use crate::{ApiError, intrinsic, timestamp};

/// Members that are stored and given back.
const SETTINGS: [&str; 3] = ["loggingConfiguration", "tracingConfiguration", "encryptionConfiguration"];

fn parsed(definition: &str, kind: MachineType) -> Result<Machine, ApiError> {
    definition::parse(definition, kind).map(|(machine, _)| machine).map_err(|found| {
        let found: Vec<String> =
            found.iter().filter(|one| one.severity == Severity::Error).map(ToString::to_string).collect();
        ApiError::new("InvalidDefinition", format!("Invalid State Machine Definition: '{}'", found.join(", ")))
    })
}

/// `type` of a call.
fn machine_type(arguments: &Arguments<'_>) -> Result<MachineType, ApiError> {
    match arguments.text("type")? {
        None | Some("STANDARD") => Ok(MachineType::Standard),
        Some("EXPRESS") => Ok(MachineType::Express),
        Some(other) => Err(ApiError::new(
            "ValidationException",
            format!(
                "1 validation error detected: Value '{other}' at 'type' failed to satisfy constraint: Member must \
                 satisfy enum value set: [STANDARD, EXPRESS]"
            ),
        )),
    }
}

fn role(arn: &str) -> Result<&str, ApiError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    if parts.len() == 6 && parts[0] == "arn" && parts[2] == "iam" && parts[5].starts_with("role/") {
        return Ok(arn);
    }
    Err(ApiError::new("InvalidArn", format!("Invalid Role Arn: '{arn}'")))
}

pub(super) fn validate(body: &Value) -> Result<Value, ApiError> {
    let arguments = Arguments::new(body, &["definition", "type", "severity", "maxResults"])?;
    let kind = machine_type(&arguments)?;
    let warnings = match arguments.text("severity")?.unwrap_or("ERROR") {
        "ERROR" => false,
        "WARNING" => true,
        other => {
            return Err(ApiError::new("ValidationException", format!("'{other}' is no severity")));
        }
    };
    let parsed = definition::parse(arguments.required("definition")?, kind);
    let mut found = parsed.map_or_else(|found| found, |(_, found)| found);
    found.retain(|one| warnings || one.severity == Severity::Error);
    let refused = found.iter().any(|one| one.severity == Severity::Error);
    let most = arguments.max_results()?;
    Ok(json!({
        "result": if refused { "FAIL" } else { "OK" },
        "diagnostics": found.iter().take(most).map(Diagnostic::to_json).collect::<Vec<_>>(),
        "truncated": found.len() > most,
    }))
}

impl Engine {
    pub(super) fn create_state_machine(&mut self, body: &Value, turn: &mut Turn<'_>) -> Result<Value, ApiError> {
        let known = ["name", "definition", "roleArn", "type", "tags", "publish", "versionDescription"];
        let arguments = Arguments::new(body, &[&known[..], &SETTINGS].concat())?;
        let name = checked_name(arguments.required("name")?)?;
        let definition = arguments.required("definition")?;
        let role = role(arguments.required("roleArn")?)?;
        let publish = published(&arguments)?;
        let kind = machine_type(&arguments)?;
        let machine = parsed(definition, kind)?;
        if kind == MachineType::Express {
            let message = "State machines of type EXPRESS are not supported here";
            return Err(ApiError::new("StateMachineTypeNotSupported", message));
        }
        let config = &self.config;
        let arn: Arc<str> =
            format!("arn:{}:states:{}:{}:stateMachine:{name}", config.partition, config.region, config.account).into();
        let settings: Map<String, Value> =
            SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), arguments.get(name)?.clone()))).collect();
        if let Some(existing) = self.machines.get(&arn) {
            // Idempotent for the same definition and settings, whatever the role ("CreateStateMachine").
            if *existing.revision.definition == *definition && existing.settings == settings {
                let answer = created(&arn, existing.created);
                return self.with_version(answer, &arn, publish, turn);
            }
            return Err(ApiError::new("StateMachineAlreadyExists", format!("State Machine Already Exists: '{arn}'")));
        }
        let revision = Revision {
            machine_arn: Arc::clone(&arn),
            name: name.into(),
            definition: definition.into(),
            role: role.into(),
            machine: Arc::new(machine),
            revision_id: intrinsic::uuid_text(turn.chance()),
            updated: turn.now,
        };
        let registered = Registered {
            revision: Arc::new(revision),
            created: turn.now,
            settings,
            executions: Vec::new(),
            updates: 0,
            versions: BTreeMap::new(),
            last_version: 0,
            aliases: BTreeMap::new(),
        };
        self.machines.insert(Arc::clone(&arn), registered);
        self.with_version(created(&arn, turn.now), &arn, publish, turn)
    }

    /// Publishes a version, if that was asked for, and names it in the answer.
    fn with_version(
        &mut self,
        mut answer: Value,
        arn: &str,
        publish: Option<Option<&str>>,
        turn: &Turn<'_>,
    ) -> Result<Value, ApiError> {
        if let Some(description) = publish {
            answer["stateMachineVersionArn"] = self.publish(arn, description, turn.now)?.0.into();
        }
        Ok(answer)
    }

    pub(super) fn update_state_machine(&mut self, body: &Value, turn: &mut Turn<'_>) -> Result<Value, ApiError> {
        let known = ["stateMachineArn", "definition", "roleArn", "publish", "versionDescription"];
        let arguments = Arguments::new(body, &[&known[..], &SETTINGS].concat())?;
        let publish = published(&arguments)?;
        let registered = self.registered(arguments.required("stateMachineArn")?)?;
        let settings: Vec<&str> = SETTINGS.into_iter().filter(|name| arguments.get(name).is_some()).collect();
        let (definition, role_arn) = (arguments.text("definition")?, arguments.text("roleArn")?);
        if definition.is_none() && role_arn.is_none() && settings.is_empty() {
            return Err(ApiError::new(
                "MissingRequiredParameter",
                "Either the definition, the role ARN, the LoggingConfiguration, the TracingConfiguration or the \
                 EncryptionConfiguration must be specified",
            ));
        }
        let old = &registered.revision;
        let machine = match definition {
            Some(definition) => Arc::new(parsed(definition, MachineType::Standard)?),
            None => Arc::clone(&old.machine),
        };
        let revision = Revision {
            machine_arn: Arc::clone(&old.machine_arn),
            name: Arc::clone(&old.name),
            definition: definition.map_or_else(|| Arc::clone(&old.definition), Into::into),
            role: role_arn.map(role).transpose()?.map_or_else(|| Arc::clone(&old.role), Into::into),
            machine,
            revision_id: intrinsic::uuid_text(turn.chance()),
            updated: turn.now,
        };
        let answer = json!({ "updateDate": timestamp::seconds(turn.now), "revisionId": revision.revision_id });
        let arn = Arc::clone(&old.machine_arn);
        if let Some(registered) = self.machines.get_mut(&arn) {
            for name in settings {
                registered.settings.insert(name.to_owned(), arguments.get(name).cloned().unwrap_or_default());
            }
            // Running executions keep the revision that they started with.
            registered.revision = Arc::new(revision);
            registered.updates += 1;
        }
        self.with_version(answer, &arn, publish, turn)
    }

    pub(super) fn delete_state_machine(&mut self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineArn"])?;
        let arn = checked_arn(arguments.required("stateMachineArn")?, "stateMachine")?;
        // Deleting what is not there is no error. Running executions go on.
        self.machines.remove(arn);
        Ok(json!({}))
    }

    pub(super) fn describe_state_machine(&self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineArn", "includedData"])?;
        let arn = arguments.required("stateMachineArn")?;
        let (registered, revision, version) = self.revision_of(arn)?;
        let mut answer = described(revision, &registered.settings, arguments.included_data()?);
        answer.insert("stateMachineArn".into(), arn.into());
        answer.insert("status".into(), "ACTIVE".into());
        answer.insert("type".into(), "STANDARD".into());
        let created = version.map_or(registered.created, |version| version.created);
        answer.insert("creationDate".into(), timestamp::seconds(created));
        if let Some(description) = version.and_then(|version| version.description.as_deref()) {
            answer.insert("description".into(), description.into());
        }
        Ok(Value::Object(answer))
    }

    pub(super) fn describe_state_machine_for_execution(&self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["executionArn", "includedData"])?;
        let execution = self.execution(arguments.required("executionArn")?)?;
        let none = Map::new();
        let settings = self.machines.get(&execution.revision.machine_arn).map_or(&none, |found| &found.settings);
        let mut answer = described(&execution.revision, settings, arguments.included_data()?);
        answer.insert("updateDate".into(), timestamp::seconds(execution.revision.updated));
        Ok(Value::Object(answer))
    }

    pub(super) fn list_state_machines(&self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["maxResults", "nextToken"])?;
        let (part, next) = page(&arguments, self.machines.len())?;
        let machines: Vec<Value> = self
            .machines
            .iter()
            .skip(part.start)
            .take(part.len())
            .map(|(arn, registered)| {
                json!({
                    "stateMachineArn": &**arn,
                    "name": &*registered.revision.name,
                    "type": "STANDARD",
                    "creationDate": timestamp::seconds(registered.created),
                })
            })
            .collect();
        Ok(with_token("stateMachines", machines, next))
    }

    pub(super) fn registered(&self, arn: &str) -> Result<&Registered, ApiError> {
        checked_arn(arn, "stateMachine")?;
        self.machines
            .get(arn)
            .ok_or_else(|| ApiError::new("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'")))
    }
}

/// `publish` with `versionDescription`: whether to publish, and with which description.
fn published<'a>(arguments: &Arguments<'a>) -> Result<Option<Option<&'a str>>, ApiError> {
    let description = arguments.bounded("versionDescription", 256)?;
    match arguments.flag("publish", false)? {
        true => Ok(Some(description)),
        false if description.is_some() => {
            Err(ApiError::new("ValidationException", "Version description can only be set when publish is true"))
        }
        false => Ok(None),
    }
}

fn created(arn: &str, at: i64) -> Value {
    json!({ "stateMachineArn": arn, "creationDate": timestamp::seconds(at) })
}

fn described(revision: &Revision, settings: &Map<String, Value>, data: bool) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("stateMachineArn".into(), (*revision.machine_arn).into());
    answer.insert("name".into(), (*revision.name).into());
    if data {
        answer.insert("definition".into(), (*revision.definition).into());
    }
    answer.insert("roleArn".into(), (*revision.role).into());
    answer.insert("revisionId".into(), revision.revision_id.as_str().into());
    answer.insert("loggingConfiguration".into(), json!({ "level": "OFF", "includeExecutionData": false }));
    answer.insert("tracingConfiguration".into(), json!({ "enabled": false }));
    answer.insert("encryptionConfiguration".into(), json!({ "type": "AWS_OWNED_KEY" }));
    answer.extend(settings.clone());
    let references: BTreeMap<String, Vec<String>> = revision.machine.variable_references();
    if data && !references.is_empty() {
        answer.insert("variableReferences".into(), json!(references));
    }
    answer
}

/// A page of a list.
pub(super) fn with_token(name: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = Map::new();
    answer.insert(name.to_owned(), Value::Array(items));
    if let Some(next) = next {
        answer.insert("nextToken".into(), next.into());
    }
    Value::Object(answer)
}
