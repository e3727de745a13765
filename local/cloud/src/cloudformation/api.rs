//! The operations, as far as the AWS CLI, boto3's waiters and `tasker` need them. Those that take time are begun and
//! answered at once.

use serde_json::{Map, Value, json};

use super::engine::{OnFailure, Run};
use super::record::Record;
use super::request::{flag, texts};
use super::{CloudFormation, validation};
use crate::service::Request;
use crate::template::Declared;
use crate::{ApiError, Error};

impl CloudFormation {
    pub(super) fn answer(&self, operation: &str, body: &Value) -> Result<Value, ApiError> {
        let mut read = Request::of("cloudformation", operation, body)?;
        match operation {
            "CreateStack" => self.create_stack(&mut read),
            "UpdateStack" => self.update_stack(&mut read),
            "DeleteStack" => self.delete_stack(&mut read),
            "DescribeStacks" => self.describe_stacks(&mut read),
            "ListStacks" => self.list_stacks(&mut read),
            "DescribeStackEvents" => {
                let stack = self.named(&mut read)?;
                read.value("NextToken");
                read.end()?;
                Ok(json!({ "StackEvents": stack.told() }))
            }
            "DescribeStackResources" | "DescribeStackResource" | "ListStackResources" => {
                self.stack_resources(operation, &mut read)
            }
            "GetTemplate" => {
                let stack = self.named(&mut read)?;
                read.value("TemplateStage");
                read.end()?;
                Ok(json!({ "TemplateBody": stack.template, "StagesAvailable": ["Original", "Processed"] }))
            }
            "GetTemplateSummary" => self.template_summary(&mut read),
            "ValidateTemplate" => {
                let origin = self.origin(&mut read, None)?;
                read.end()?;
                let declared = self.summary_of(&origin)?.declared;
                let mut answer = capabilities(&declared);
                answer["Parameters"] =
                    declared.parameters.iter().map(|(name, one)| parameter(name, one, false)).collect();
                answer["Description"] = described(&declared);
                Ok(answer)
            }
            "CreateChangeSet" => self.create_change_set(&mut read),
            "DescribeChangeSet" => {
                let (stack, set, path) = self.change_set(&mut read)?;
                read.value("NextToken");
                read.value("IncludePropertyValues");
                read.end()?;
                Ok(set.described(&stack, &path))
            }
            "ExecuteChangeSet" => self.execute_change_set(&mut read),
            "DeleteChangeSet" => {
                let (stack, set, _) = self.change_set(&mut read)?;
                read.end()?;
                self.record(&stack.id, |record| record.change_sets.retain(|one| one.id != set.id));
                Ok(json!({}))
            }
            "ListChangeSets" => {
                let stack = self.named(&mut read)?;
                read.value("NextToken");
                read.end()?;
                let sets: Vec<Value> = stack.change_sets.iter().map(|set| set.summary(&stack)).collect();
                Ok(json!({ "Summaries": sets }))
            }
            _ => Err(ApiError::not_implemented("cloudformation", operation)),
        }
    }

    /// The stack that a request names.
    fn named(&self, read: &mut Request<'_>) -> Result<Record, ApiError> {
        self.find(read.required("StackName")?)
    }

    /// A stack of this name that is not deleted.
    pub(super) fn existing(&self, name: &str) -> Option<Record> {
        self.find(name).ok()
    }

    fn create_stack(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let name = read.required("StackName")?;
        if let Some(existing) = self.existing(name) {
            return Err(already(&existing));
        }
        let mut settings = self.asked(read, None)?;
        let disable = flag(read, "DisableRollback")?;
        settings.on_failure = match (read.text("OnFailure")?, disable) {
            (Some(_), Some(_)) => {
                return Err(validation("You cannot specify both DisableRollback and OnFailure"));
            }
            (Some("ROLLBACK"), _) | (None, None | Some(false)) => OnFailure::RollBack,
            (Some("DELETE"), _) => OnFailure::Delete,
            (Some("DO_NOTHING"), _) | (None, Some(true)) => OnFailure::Nothing,
            (Some(other), _) => return Err(validation(format!("OnFailure cannot be {other}"))),
        };
        read.end()?;
        let mut run = Run::prepare(self, name, None, settings).map_err(refused)?;
        let id = run.id.clone();
        run.open("CREATE_IN_PROGRESS");
        self.create(run);
        Ok(json!({ "StackId": id }))
    }

    pub(super) fn create(&self, run: Run) {
        self.spawn(async move {
            // How it ended is in the stack's status and events.
            let _ = run.create().await;
        });
    }

    fn update_stack(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let stack = self.named(read)?;
        updatable(&stack)?;
        let settings = self.asked(read, Some(&stack))?;
        let disable = flag(read, "DisableRollback")?.unwrap_or(false);
        read.end()?;
        let mut run = Run::prepare(self, &stack.name, Some(&stack), settings).map_err(refused)?;
        if let Some(refusal) = run.refusal() {
            return Err(refusal.source);
        }
        if nothing(&run, &stack) {
            return Err(validation("No updates are to be performed."));
        }
        run.open("UPDATE_IN_PROGRESS");
        self.spawn(run.update(disable));
        Ok(json!({ "StackId": stack.id }))
    }

    fn delete_stack(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let name = read.required("StackName")?;
        let retain = texts(read, "RetainResources")?;
        for name in ["RoleARN", "ClientRequestToken", "DeletionMode"] {
            read.value(name);
        }
        read.end()?;
        let Some(stack) = self.existing(name).filter(|stack| stack.deleted.is_none()) else {
            // As at AWS, what is not there is gone.
            return Ok(json!({}));
        };
        if let Some(problem) = Self::belongs(&stack) {
            return Err(validation(problem));
        }
        if stack.busy() {
            let (id, status) = (&stack.id, stack.status);
            return Err(validation(format!("Stack:{id} is in {status} state and can not be deleted.")));
        }
        if !retain.is_empty() && stack.status != "DELETE_FAILED" {
            let text = "Invalid operation on stack. RetainResources can only be given for a stack in DELETE_FAILED.";
            return Err(validation(text));
        }
        let mut run = Run::of(self, &stack);
        run.settings.retain.extend(retain);
        run.turn(&stack.id, "DELETE_IN_PROGRESS", Some("User Initiated".into()));
        self.spawn(run.delete());
        Ok(json!({}))
    }

    fn describe_stacks(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let name = read.text("StackName")?;
        read.value("NextToken");
        read.end()?;
        let stacks = match name {
            Some(name) => vec![self.find(name)?.described()],
            None => {
                let state = self.lock();
                let there = state.records.iter().rev().filter(|record| record.deleted.is_none());
                there.map(Record::described).collect()
            }
        };
        Ok(json!({ "Stacks": stacks }))
    }

    fn list_stacks(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let wanted = texts(read, "StackStatusFilter")?;
        read.value("NextToken");
        read.end()?;
        let state = self.lock();
        let records = state.records.iter().rev();
        let records = records.filter(|record| wanted.is_empty() || wanted.iter().any(|one| one == record.status));
        Ok(json!({ "StackSummaries": records.map(Record::summary).collect::<Vec<_>>() }))
    }

    fn stack_resources(&self, operation: &str, read: &mut Request<'_>) -> Result<Value, ApiError> {
        let physical = read.text("PhysicalResourceId")?.map(str::to_owned);
        let stack = match (read.text("StackName")?, &physical) {
            (Some(name), _) => self.find(name)?,
            (None, Some(physical)) => {
                let state = self.lock();
                let has = |record: &&Record| {
                    record.deleted.is_none() && record.rows.iter().any(|row| row.physical == *physical)
                };
                let missing = || validation(format!("Stack for {physical} does not exist"));
                state.records.iter().find(has).cloned().ok_or_else(missing)?
            }
            (None, None) => return Err(validation("Either StackName or PhysicalResourceId must be given")),
        };
        let logical = read.text("LogicalResourceId")?;
        read.value("NextToken");
        read.end()?;
        let rows = || stack.rows.iter().filter(|row| logical.is_none_or(|logical| row.logical == logical));
        match operation {
            "ListStackResources" => {
                let shown: Vec<Value> = rows().map(|row| stack.resource(row, "LastUpdatedTimestamp", false)).collect();
                Ok(json!({ "StackResourceSummaries": shown }))
            }
            "DescribeStackResources" => {
                let shown: Vec<Value> = rows().map(|row| stack.resource(row, "Timestamp", true)).collect();
                Ok(json!({ "StackResources": shown }))
            }
            _ => match rows().next().filter(|_| logical.is_some()) {
                Some(row) => Ok(json!({ "StackResourceDetail": stack.resource(row, "LastUpdatedTimestamp", true) })),
                None => {
                    let (logical, name) = (logical.unwrap_or_default(), &stack.name);
                    Err(validation(format!("Resource {logical} does not exist for stack {name}")))
                }
            },
        }
    }

    fn template_summary(&self, read: &mut Request<'_>) -> Result<Value, ApiError> {
        read.value("TemplateSummaryConfig");
        let declared = match read.text("StackName")? {
            Some(name) => {
                let stack = self.find(name)?;
                read.end()?;
                stack.declared
            }
            None => {
                let origin = self.origin(read, None)?;
                read.end()?;
                self.summary_of(&origin)?.declared
            }
        };
        let mut answer = capabilities(&declared);
        answer["Parameters"] = declared.parameters.iter().map(|(name, one)| parameter(name, one, true)).collect();
        answer["Description"] = described(&declared);
        answer["ResourceTypes"] = json!(declared.types);
        answer["Version"] = json!("2010-09-09");
        if !declared.metadata.is_empty() {
            answer["Metadata"] = json!(Value::Object(declared.metadata.clone()).to_string());
        }
        Ok(answer)
    }
}

/// Whether nothing would change.
pub(super) fn nothing(run: &Run, stack: &Record) -> bool {
    let root = run.model.stacks.first();
    let outputs = root.is_none_or(|root| root.outputs == stack.outputs);
    run.plan().is_empty() && outputs && run.settings.tags == stack.tags
}

pub(super) fn already(existing: &Record) -> ApiError {
    ApiError::new(400, "AlreadyExistsException", format!("Stack [{}] already exists", existing.name))
}

/// A stack that can be changed now.
pub(super) fn updatable(stack: &Record) -> Result<(), ApiError> {
    if let Some(problem) = CloudFormation::belongs(stack) {
        return Err(validation(problem));
    }
    match stack.status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "UPDATE_FAILED" | "CREATE_FAILED" => {
            Ok(())
        }
        status => Err(validation(format!("Stack:{} is in {status} state and can not be updated.", stack.id))),
    }
}

/// What an operation was refused with before anything was touched.
pub(super) fn refused(error: Error) -> ApiError {
    match error {
        Error::Api(error) | Error::Resource { source: error, .. } => error,
        Error::Template(error) => validation(format!("Template error: {error}")),
        other => ApiError::new(500, "InternalFailure", other.to_string()),
    }
}

fn described(declared: &Declared) -> Value {
    if declared.description.is_empty() { Value::Null } else { json!(declared.description) }
}

fn capabilities(declared: &Declared) -> Value {
    match &declared.capability {
        Some((needed, kinds)) => json!({
            "Capabilities": [needed],
            "CapabilitiesReason": format!("The following resource(s) require capabilities: [{}]", kinds.join(", ")),
        }),
        None => json!({ "Capabilities": [] }),
    }
}

/// ParameterDeclaration of GetTemplateSummary, TemplateParameter of ValidateTemplate.
fn parameter(name: &str, declared: &Value, full: bool) -> Value {
    let text = |member: &str| match declared.get(member) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    let hidden = text("NoEcho").is_some_and(|flag| flag == "true");
    let mut shown = Map::new();
    shown.insert("ParameterKey".into(), json!(name));
    shown.insert("DefaultValue".into(), json!(text("Default").filter(|_| !hidden)));
    shown.insert("NoEcho".into(), json!(hidden));
    shown.insert("Description".into(), json!(text("Description")));
    if full {
        shown.insert("ParameterType".into(), json!(text("Type")));
        let allowed = declared.get("AllowedValues").cloned().unwrap_or_else(|| json!([]));
        shown.insert("ParameterConstraints".into(), json!({ "AllowedValues": allowed }));
    }
    Value::Object(shown)
}
