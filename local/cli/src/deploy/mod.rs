//! `tasker deploy`: the stack, created or changed through a change set that is shown first.
//!
//! What is taken away or replaced is agreed to by a person. A failure is explained by its first cause.

pub mod confirm;
mod parameters;
pub mod progress;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ::deploy::change::{self, Change};
use ::deploy::follow::Follower;
use ::deploy::stack::{self, Body, ChangeSet, Stack, Wanted};
use ::deploy::{Aws, cause, template};
use clap::Args;
use comfy_table::CellAlignment;
use serde_json::Value;

use crate::Error;
use crate::answer::table;
use crate::execute::print;
use crate::package::{self, Functions};
use crate::project::Project;
use crate::remote::Named;
use confirm::confirm;

/// The largest template that travels in the call itself.
const INLINE: usize = 51_200;
/// Nested change sets in nested change sets.
const DEPTH: usize = 8;

/// `tasker deploy --stack NAME [--parameters FILE] [--bucket B] [--yes]`
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    named: Named,
    /// A JSON file with the values of parameters: {"ClusterIdentifier": "warehouse", …}. What it does not name stays as
    /// it is in the stack.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// One value, above the file's; may be repeated.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameters::pair_of)]
    values: Vec<(String, String)>,
    /// The bucket for what is deployed; the stack's own, or tasker-artefacts-ACCOUNT-REGION, when not given. Created
    /// when it is not there.
    #[arg(long)]
    bucket: Option<String>,
    /// Before every key in the bucket.
    #[arg(long, default_value = "", value_name = "PREFIX")]
    prefix: String,
    #[command(flatten)]
    functions: Functions,
    /// Deploy this template, which `tasker package` or the AWS CLI has packaged, and package nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["architecture", "functions"])]
    template: Option<PathBuf>,
    /// Ask nothing, also when something is replaced or removed.
    #[arg(long)]
    yes: bool,
    /// Show the change set and stop.
    #[arg(long)]
    dry_run: bool,
}

/// Deploys. Outputs go to stdout, everything else to stderr.
///
/// # Errors
/// [`Error::Failed`] when the deployment failed, which has been explained; what the services refuse.
pub async fn run(project: Result<Project, Error>, arguments: &Arguments) -> Result<(), Error> {
    let aws = arguments.named.endpoint.connect().await?;
    let name = &arguments.named.name;
    let before = stack::describe(&aws, name).await?;
    if let Some(stack) = &before {
        ready_for_change(stack)?;
    }
    let before = before.filter(|stack| !stack.is_unborn());
    let mut given = arguments.parameters.as_deref().map(parameters::read).transpose()?.unwrap_or_default();
    given.extend(arguments.values.iter().cloned());

    let (text, url, packaged) = source(project, &aws, arguments, before.as_ref()).await?;
    let known = template::read("the template", &text)?;
    let known: Vec<String> =
        known["Parameters"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let kept = before.as_ref().map(|stack| stack.parameters.clone()).unwrap_or_default();
    let parameters = parameters::merge(&known, &given, &packaged, &kept)?;

    let change_set = format!("tasker-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S"));
    let body = url.as_deref().map_or(Body::Text(&text), Body::Url);
    let wanted = Wanted { stack: name, name: &change_set, body, parameters: &parameters, update: before.is_some() };
    let arn = match stack::create_change_set(&aws, &wanted).await {
        Err(::deploy::Error::Service { code, message, .. }) if code == "ValidationError" => {
            eprintln!("CloudFormation refuses the template: {message}\nwhat to do: {}", cause::advice(&message));
            return Err(Error::Failed);
        }
        made => made?,
    };
    let made = settled(&aws, &arn).await?;
    if made.status == "FAILED" {
        give_up(&aws, name, &arn, before.is_none()).await;
        if change::is_empty(&made.reason) {
            eprintln!("nothing changes: the stack {name} is as it should be");
            return print_outputs(before.as_ref());
        }
        let reason = first_reason(&aws, &made.reason).await;
        eprintln!("the change set could not be made: {reason}\nwhat to do: {}", cause::advice(&reason));
        return Err(Error::Failed);
    }
    let changes = flat(&aws, made.changes).await?;
    // Of what is new a count is enough to agree to.
    let short = before.is_none() && !arguments.dry_run;
    eprintln!("{}", if short { counted(&changes) } else { to_text(&changes) });
    let grave = changes.iter().filter(|change| change.is_grave()).count();
    if arguments.dry_run
        || (grave > 0 && !confirm(arguments.yes, &format!("{grave} resources are replaced or removed"))?)
    {
        give_up(&aws, name, &arn, before.is_none()).await;
        return if arguments.dry_run { Ok(()) } else { Err(Error::Failed) };
    }
    carry_out(&aws, name, &arn).await
}

/// Template, its URL where it is in S3, and the parameters that belong to it.
async fn source(
    project: Result<Project, Error>,
    aws: &Aws,
    arguments: &Arguments,
    before: Option<&Stack>,
) -> Result<(String, Option<String>, Vec<(&'static str, String)>), Error> {
    if let Some(file) = &arguments.template {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::Usage(format!("{} cannot be read: {error}", file.display())))?;
        if text.len() <= INLINE {
            return Ok((text, None, Vec::new()));
        }
        let Some(bucket) = &arguments.bucket else {
            return Err(Error::Usage(format!(
                "{} has more than {INLINE} bytes, which have to be read from S3: name a --bucket",
                file.display()
            )));
        };
        let key = format!("{}.template", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&text)));
        let there = ::deploy::objects::Bucket::new(aws, bucket);
        there.ensure().await?;
        there.put(&key, text.clone().into_bytes(), "application/json", &[]).await?;
        return Ok((text, Some(aws.object_url(bucket, &key)), Vec::new()));
    }
    let own = before.and_then(|stack| stack.parameters.get("ArtifactBucket")).filter(|bucket| !bucket.is_empty());
    let bucket = match arguments.bucket.as_ref().or(own) {
        Some(bucket) => bucket.clone(),
        None => {
            let account = aws.account().await.map_err(|error| {
                Error::Usage(format!(
                    "name a --bucket for what is deployed: whose account this is cannot be found out ({error})"
                ))
            })?;
            format!("tasker-artefacts-{account}-{}", aws.region())
        }
    };
    let ready = package::prepare(&project?, aws, &arguments.functions, &bucket, &arguments.prefix).await?;
    let url = aws.object_url(&bucket, &ready.packaged.root_key);
    Ok((ready.packaged.root, Some(url), ready.parameters.to_vec()))
}

/// Whether CloudFormation would take a change of it.
fn ready_for_change(stack: &Stack) -> Result<(), Error> {
    let (name, status) = (&stack.name, stack.status.as_str());
    let next = match status {
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => {
            format!("it never came to be, or is half gone: remove what is left with `tasker delete --stack {name}`")
        }
        "UPDATE_ROLLBACK_FAILED" => {
            format!("`aws cloudformation continue-update-rollback --stack-name {name}` brings it back first")
        }
        _ if stack.is_unborn() || stack.is_settled() => return Ok(()),
        _ => format!("something is under way: look at it with `tasker status --stack {name}`"),
    };
    Err(Error::Usage(format!("the stack {name} is {status}: {next}")))
}

/// A change set that is made, or could not be.
async fn settled(aws: &Aws, arn: &str) -> Result<ChangeSet, Error> {
    loop {
        let made = stack::change_set(aws, arn).await?;
        if made.status == "FAILED" || made.status == "CREATE_COMPLETE" {
            return Ok(made);
        }
        tokio::time::sleep(Duration::from_millis(if aws.is_local() { 100 } else { 1_500 })).await;
    }
}

/// A nested stack's change set says why the one above it failed.
async fn first_reason(aws: &Aws, reason: &str) -> String {
    let mut reason = reason.to_owned();
    for _ in 0..DEPTH {
        let nested = reason
            .split([' ', ','])
            .map(|word| word.trim_end_matches(['.', ':']))
            .find(|word| word.contains(":changeSet/"));
        let Some(nested) = nested else { break };
        match stack::change_set(aws, nested).await {
            Ok(made) if !made.reason.is_empty() && made.reason != reason => reason = made.reason,
            _ => break,
        }
    }
    reason
}

/// The changes with those of nested stacks, by the names that lead to them.
async fn flat(aws: &Aws, changes: Vec<Change>) -> Result<Vec<Change>, Error> {
    let mut flat = Vec::new();
    let mut open: Vec<(Change, usize)> = changes.into_iter().rev().map(|change| (change, 0)).collect();
    while let Some((change, depth)) = open.pop() {
        if let Some(nested) = change.nested.as_deref().filter(|_| depth < DEPTH) {
            let below = settled(aws, nested).await?.changes.into_iter().rev();
            let named = |it: Change| Change { logical: format!("{}/{}", change.logical, it.logical), ..it };
            open.extend(below.map(|it| (named(it), depth + 1)));
        }
        flat.push(change);
    }
    Ok(flat)
}

fn to_text(changes: &[Change]) -> String {
    let mut table = table(["action", "resource", "type", "replacement"]);
    for change in changes {
        table.add_row([&change.action, &change.logical, &change.kind, change.replaces()]);
    }
    table.to_string()
}

/// How many of each type.
fn counted(changes: &[Change]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for change in changes {
        *counts.entry((&change.action, &change.kind)).or_default() += 1;
    }
    let mut table = table(["action", "resources", "type"]);
    for ((action, kind), count) in counts {
        table.add_row([action, &count.to_string(), kind]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n{} resources; --dry-run shows each", changes.len())
}

/// Takes the change set away, and the stack that was only there for it.
async fn give_up(aws: &Aws, stack: &str, change_set: &str, unborn: bool) {
    // What stays behind does nothing; the next deployment says what is wrong with it.
    let _ = stack::discard(aws, change_set).await;
    if unborn {
        let _ = stack::delete(aws, stack).await;
    }
}

async fn carry_out(aws: &Aws, name: &str, change_set: &str) -> Result<(), Error> {
    let id = stack::existing(aws, name).await?.id;
    let mut follower = Follower::begin(aws, &id).await?;
    stack::execute(aws, change_set).await?;
    let Some(ended) = progress::follow(aws, &mut follower).await? else {
        eprintln!("the deployment goes on; look at it with: tasker status --stack {name}");
        return Ok(());
    };
    if matches!(ended.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE") {
        eprintln!("the stack {name} is {ended}");
        let stack = stack::describe(aws, name).await?;
        print_outputs(stack.as_ref())?;
        if ended == "CREATE_COMPLETE" {
            eprintln!("{}", next(name, stack.as_ref()));
        }
        return Ok(());
    }
    explain(&follower, name, &ended);
    Err(Error::Failed)
}

/// What to do with a stack that is new.
fn next(name: &str, stack: Option<&Stack>) -> String {
    let started = stack.is_some_and(|stack| stack.outputs.contains_key("RunExecutionArn"));
    let next = if started { "watch" } else { "start review --watch" };
    let what = if started { "follow the run that it started" } else { "start a workflow" };
    format!("{what} with: tasker {next} --stack {name}")
}

/// The first cause, and what to do next.
pub fn explain(follower: &Follower<'_>, name: &str, ended: &str) {
    eprintln!("\nthe stack {name} is {ended}");
    if let Some(event) = cause::first(follower.events()) {
        eprintln!("first cause: {} ({}) {}\n  {}", follower.place(event), event.kind, event.status, event.reason);
        eprintln!("what to do: {}", cause::advice(&event.reason));
    }
    match ended {
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" => {
            eprintln!("then: tasker delete --stack {name}, and deploy again");
        }
        "UPDATE_ROLLBACK_COMPLETE" => eprintln!("the stack is as it was before; deploy again when it is corrected"),
        _ => {}
    }
}

fn print_outputs(stack: Option<&Stack>) -> Result<(), Error> {
    let Some(stack) = stack else { return Ok(()) };
    print(&outputs_to_text(stack))
}

/// The outputs, one a line.
pub fn outputs_to_text(stack: &Stack) -> String {
    let width = stack.outputs.keys().map(String::len).max().unwrap_or_default();
    stack.outputs.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// A template of a deployed stack as a tree; empty where it cannot be read.
pub async fn template_of(aws: &Aws, stack: &str) -> Value {
    let text = stack::template(aws, stack).await.unwrap_or_default();
    template::read("the template", &text).unwrap_or_default()
}
