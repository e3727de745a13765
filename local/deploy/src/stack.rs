//! Stacks of CloudFormation: what they are, their change sets, their events.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{self, Capability, ChangeSetType};
use chrono::{DateTime, Utc};

use crate::change::Change;
use crate::executions::time;
use crate::{Aws, Error, Outcome, failure};

const SERVICE: &str = "CloudFormation";
/// Events of one look. CloudFormation gives 100 or fewer a page.
const PAGES: usize = 50;
/// The type of a nested stack.
pub const STACK: &str = "AWS::CloudFormation::Stack";

/// A stack as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Its ARN; names it also when it is deleted.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Such as `UPDATE_COMPLETE`.
    pub status: String,
    /// What there is to say about that.
    pub reason: String,
    /// When it was created.
    pub created: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub updated: Option<DateTime<Utc>>,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
    /// Its parameters as given; secrets as asterisks.
    pub parameters: BTreeMap<String, String>,
}

impl Stack {
    /// Whether nothing is under way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.status.ends_with("_IN_PROGRESS")
    }

    /// Whether only the change set that would create it is there.
    #[must_use]
    pub fn is_unborn(&self) -> bool {
        self.status == "REVIEW_IN_PROGRESS"
    }

    /// An output that the stack must have.
    ///
    /// # Errors
    /// [`Error::Usage`] naming it.
    pub fn output(&self, name: &str) -> Outcome<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Error::Usage(format!(
                "the stack {} ({}) has no output {name}: is it one of redshift-tasker's, and is it deployed?",
                self.name, self.status
            ))
        })
    }
}

/// Something that happened to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique.
    pub id: String,
    /// The ARN of its stack.
    pub stack: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The resource's name in the template; the stack's own name for the stack itself.
    pub logical: String,
    /// What it is called in the account.
    pub physical: String,
    /// Its type.
    pub kind: String,
    /// Such as `CREATE_FAILED`.
    pub status: String,
    /// What there is to say about that.
    pub reason: String,
}

impl Event {
    /// Whether it is about the stack as a whole.
    #[must_use]
    pub fn is_of_stack(&self) -> bool {
        self.kind == STACK && self.physical == self.stack
    }
}

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name in the template.
    pub logical: String,
    /// What it is called in the account.
    pub physical: String,
    /// Its type.
    pub kind: String,
    /// Such as `CREATE_COMPLETE`.
    pub status: String,
}

/// Where a template is.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// At a URL in S3.
    Url(&'a str),
    /// Here; no more than 51,200 bytes.
    Text(&'a str),
}

/// What a change set is made from.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The stack's name.
    pub stack: &'a str,
    /// The change set's name.
    pub name: &'a str,
    /// The template.
    pub body: Body<'a>,
    /// Values; `None` keeps the stack's own.
    pub parameters: &'a [(String, Option<String>)],
    /// Whether the stack is there already.
    pub update: bool,
}

/// A change set as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeSet {
    /// Such as `CREATE_COMPLETE`.
    pub status: String,
    /// What there is to say about that.
    pub reason: String,
    /// What it would do; `nested` names the change set of a nested stack.
    pub changes: Vec<Change>,
}

/// A stack by name or ARN; nothing where there is none.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn describe(aws: &Aws, name: &str) -> Outcome<Option<Stack>> {
    let described = aws.cloudformation().describe_stacks().stack_name(name).send().await;
    let described = match described.map_err(|error| failure::of(SERVICE, error)) {
        Ok(described) => described,
        Err(Error::Service { message, .. }) if message.contains("does not exist") => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(described.stacks.unwrap_or_default().into_iter().next().map(|stack| Stack {
        id: stack.stack_id.unwrap_or_default(),
        name: stack.stack_name.unwrap_or_default(),
        status: stack.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: stack.stack_status_reason.unwrap_or_default(),
        created: stack.creation_time.as_ref().map(time),
        updated: stack.last_updated_time.as_ref().map(time),
        outputs: pairs(stack.outputs, |output| (output.output_key, output.output_value)),
        parameters: pairs(stack.parameters, |given| (given.parameter_key, given.parameter_value)),
    }))
}

fn pairs<T>(list: Option<Vec<T>>, split: impl Fn(T) -> (Option<String>, Option<String>)) -> BTreeMap<String, String> {
    list.unwrap_or_default().into_iter().map(split).filter_map(|(name, value)| Some((name?, value?))).collect()
}

/// A stack that must be there.
///
/// # Errors
/// [`Error::Usage`] where there is none; what CloudFormation refuses.
pub async fn existing(aws: &Aws, name: &str) -> Outcome<Stack> {
    let found = describe(aws, name).await?;
    found.ok_or_else(|| Error::Usage(format!("there is no stack {name} in {}", aws.region())))
}

/// The parameters that a template takes.
///
/// # Errors
/// What CloudFormation refuses, above all a template that is wrong.
pub async fn template_parameters(aws: &Aws, body: Body<'_>) -> Outcome<Vec<String>> {
    let request = aws.cloudformation().get_template_summary();
    let request = match body {
        Body::Url(url) => request.template_url(url),
        Body::Text(text) => request.template_body(text),
    };
    let summary = request.send().await.map_err(|error| failure::of(SERVICE, error))?;
    Ok(summary.parameters.unwrap_or_default().into_iter().filter_map(|parameter| parameter.parameter_key).collect())
}

/// Asks for a change set; its ARN.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn create_change_set(aws: &Aws, wanted: &Wanted<'_>) -> Outcome<String> {
    let mut request = aws
        .cloudformation()
        .create_change_set()
        .stack_name(wanted.stack)
        .change_set_name(wanted.name)
        .change_set_type(if wanted.update { ChangeSetType::Update } else { ChangeSetType::Create })
        .capabilities(Capability::CapabilityNamedIam)
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityAutoExpand)
        .include_nested_stacks(true);
    request = match wanted.body {
        Body::Url(url) => request.template_url(url),
        Body::Text(text) => request.template_body(text),
    };
    for (name, value) in wanted.parameters {
        let parameter = types::Parameter::builder().parameter_key(name);
        request = request.parameters(match value {
            Some(value) => parameter.parameter_value(value).build(),
            None => parameter.use_previous_value(true).build(),
        });
    }
    let created = request.send().await.map_err(|error| failure::of(SERVICE, error))?;
    created.id.ok_or_else(|| Error::Broken("CloudFormation gave the change set no id".to_owned()))
}

/// A change set by ARN, with all its changes.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn change_set(aws: &Aws, arn: &str) -> Outcome<ChangeSet> {
    let mut token = None;
    let mut changes = Vec::new();
    loop {
        let request = aws.cloudformation().describe_change_set().change_set_name(arn).set_next_token(token);
        let page = request.send().await.map_err(|error| failure::of(SERVICE, error))?;
        changes.extend(page.changes.unwrap_or_default().into_iter().filter_map(|change| change.resource_change).map(
            |change| Change {
                action: change.action.map(|action| action.as_str().to_owned()).unwrap_or_default(),
                logical: change.logical_resource_id.unwrap_or_default(),
                kind: change.resource_type.unwrap_or_default(),
                replacement: change.replacement.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
                retained: change.policy_action.is_some_and(|action| action.as_str().contains("Retain")),
                nested: change.change_set_id,
            },
        ));
        token = page.next_token;
        if token.is_none() {
            return Ok(ChangeSet {
                status: page.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
                reason: page.status_reason.unwrap_or_default(),
                changes,
            });
        }
    }
}

/// Carries a change set out; the events tell how it goes.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn execute(aws: &Aws, change_set: &str) -> Outcome<()> {
    let executed = aws.cloudformation().execute_change_set().change_set_name(change_set).send().await;
    executed.map(drop).map_err(|error| failure::of(SERVICE, error))
}

/// Gives a change set up.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn discard(aws: &Aws, change_set: &str) -> Outcome<()> {
    let deleted = aws.cloudformation().delete_change_set().change_set_name(change_set).send().await;
    deleted.map(drop).map_err(|error| failure::of(SERVICE, error))
}

/// Begins to delete a stack.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn delete(aws: &Aws, name: &str) -> Outcome<()> {
    let deleted = aws.cloudformation().delete_stack().stack_name(name).send().await;
    deleted.map(drop).map_err(|error| failure::of(SERVICE, error))
}

/// The events of a stack after the one named, oldest first; all where none is named.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn events(aws: &Aws, stack: &str, after: Option<&str>) -> Outcome<Vec<Event>> {
    let mut pages = aws.cloudformation().describe_stack_events().stack_name(stack).into_paginator().send();
    let mut found = Vec::new();
    'pages: for _ in 0..PAGES {
        let Some(page) = pages.next().await else { break };
        let page = page.map_err(|error| failure::of(SERVICE, error))?;
        // Newest first.
        for event in page.stack_events.unwrap_or_default() {
            let id = event.event_id.unwrap_or_default();
            if after == Some(id.as_str()) {
                break 'pages;
            }
            found.push(Event {
                id,
                stack: event.stack_id.unwrap_or_default(),
                at: event.timestamp.as_ref().map(time).unwrap_or_default(),
                logical: event.logical_resource_id.unwrap_or_default(),
                physical: event.physical_resource_id.unwrap_or_default(),
                kind: event.resource_type.unwrap_or_default(),
                status: event.resource_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
                reason: event.resource_status_reason.unwrap_or_default(),
            });
        }
    }
    found.reverse();
    Ok(found)
}

/// The resources of a stack, nested stacks as one each.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn resources(aws: &Aws, stack: &str) -> Outcome<Vec<Resource>> {
    let pages = aws.cloudformation().list_stack_resources().stack_name(stack).into_paginator().items().send();
    let found: Vec<_> = pages.collect::<Result<_, _>>().await.map_err(|error| failure::of(SERVICE, error))?;
    Ok(found
        .into_iter()
        .map(|resource| Resource {
            logical: resource.logical_resource_id.unwrap_or_default(),
            physical: resource.physical_resource_id.unwrap_or_default(),
            kind: resource.resource_type.unwrap_or_default(),
            status: resource.resource_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        })
        .collect())
}

/// The template of a stack, as it was given.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn template(aws: &Aws, stack: &str) -> Outcome<String> {
    let got = aws.cloudformation().get_template().stack_name(stack).send().await;
    Ok(got.map_err(|error| failure::of(SERVICE, error))?.template_body.unwrap_or_default())
}
