//! `tasker status` and `tasker delete`: a deployed stack as it stands, and its end.

use ::deploy::follow::Follower;
use ::deploy::stack::{self, Resource, STACK};
use ::deploy::{Aws, template};
use clap::Args;

use crate::Error;
use crate::answer::table;
use crate::deploy::confirm::confirm;
use crate::deploy::{explain, outputs_to_text, progress, template_of};
use crate::execute::print;
use crate::remote::Named;

/// `tasker status --stack NAME`
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    named: Named,
}

/// `tasker delete --stack NAME [--yes]`
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    named: Named,
    /// Ask nothing.
    #[arg(long)]
    yes: bool,
}

/// Says how the stack stands: its status, the nested stacks, what is not as it should be, the outputs.
///
/// # Errors
/// [`Error::Failed`] when its last change failed; what CloudFormation refuses.
pub async fn status(arguments: &Status) -> Result<(), Error> {
    let aws = arguments.named.endpoint.connect().await?;
    let stack = stack::existing(&aws, &arguments.named.name).await?;
    let since =
        stack.updated.or(stack.created).map(|time| format!(", {} UTC", time.format("%F %T"))).unwrap_or_default();
    let mut text = format!("{} is {}{since}\n", stack.name, stack.status);
    if !stack.reason.is_empty() {
        text += &format!("  {}\n", stack.reason);
    }
    let mut table = table(["nested stack", "status", "resources", "not complete"]);
    for nested in stack::resources(&aws, &stack.id).await?.iter().filter(|resource| resource.kind == STACK) {
        let inner =
            if nested.physical.is_empty() { Vec::new() } else { stack::resources(&aws, &nested.physical).await? };
        let open: Vec<String> = inner
            .iter()
            .filter(|resource| !resource.status.ends_with("_COMPLETE"))
            .map(|resource| format!("{} {}", resource.logical, resource.status))
            .collect();
        table.add_row([&nested.logical, &nested.status, &inner.len().to_string(), &open.join(", ")]);
    }
    if !table.is_empty() {
        text += &format!("\n{table}\n");
    }
    if !stack.outputs.is_empty() {
        text += &format!("\n{}", outputs_to_text(&stack));
    }
    print(&text)?;
    if stack.status.contains("ROLLBACK") || stack.status.ends_with("FAILED") { Err(Error::Failed) } else { Ok(()) }
}

/// Deletes the stack, after saying what of it stays in the account.
///
/// # Errors
/// [`Error::Failed`] when it could not be deleted, or nobody agreed; what CloudFormation refuses.
pub async fn delete(arguments: &Delete) -> Result<(), Error> {
    let aws = arguments.named.endpoint.connect().await?;
    let stack = stack::existing(&aws, &arguments.named.name).await?;
    // What never came to be has kept nothing.
    let stays = if stack.is_unborn() { Vec::new() } else { staying(&aws, &stack.id).await? };
    let what = if stays.is_empty() {
        "nothing of it stays".to_owned()
    } else {
        format!("{} of its resources stay in the account, with what they hold", stays.len())
    };
    for (place, resource) in &stays {
        eprintln!("stays: {place} ({}) {}", resource.kind, resource.physical);
    }
    if !confirm(arguments.yes, &format!("the stack {} is deleted; {what}", stack.name))? {
        return Err(Error::Failed);
    }
    let mut follower = Follower::begin(&aws, &stack.id).await?;
    stack::delete(&aws, &stack.id).await?;
    match progress::follow(&aws, &mut follower).await? {
        None => eprintln!("the deletion goes on; look at it with: tasker status --stack {}", stack.name),
        Some(ended) if ended == "DELETE_COMPLETE" => eprintln!("the stack {} is deleted; {what}", stack.name),
        Some(ended) => {
            explain(&follower, &stack.name, &ended);
            return Err(Error::Failed);
        }
    }
    Ok(())
}

/// The resources that outlive the stack by choice, with the names that lead to them. What is nested in a stack that stays
/// stays whole.
async fn staying(aws: &Aws, root: &str) -> Result<Vec<(String, Resource)>, Error> {
    let mut staying = Vec::new();
    let mut open = vec![(root.to_owned(), String::new(), false)];
    while let Some((id, path, whole)) = open.pop() {
        let retained = template::retained(&template_of(aws, &id).await);
        for resource in stack::resources(aws, &id).await? {
            if resource.physical.is_empty() || resource.status == "DELETE_COMPLETE" {
                continue;
            }
            let stays = whole || retained.iter().any(|(name, _)| *name == resource.logical);
            let place = format!("{path}{}", resource.logical);
            if resource.kind == STACK {
                open.push((resource.physical, format!("{place}/"), stays));
            } else if stays {
                staying.push((place, resource));
            }
        }
    }
    staying.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(staying)
}
