//! Why a deployment failed: one event is the cause, the others are its consequences. Pure.

use crate::stack::{Event, STACK};

/// The first failure that is none of another's consequences.
#[must_use]
pub fn first(events: &[Event]) -> Option<&Event> {
    let failed = || events.iter().filter(|event| event.status.ends_with("_FAILED") && !is_consequence(event));
    // A nested stack fails with what is in it: that has its own event, which may be missing where the nested stack's own
    // template was refused.
    let earliest = |nested: bool| {
        failed().filter(|event| !event.is_of_stack() && (event.kind == STACK) == nested).min_by_key(|event| event.at)
    };
    earliest(false).or_else(|| earliest(true)).or_else(|| {
        // Nothing but the stack itself says why.
        events.iter().find(|event| event.is_of_stack() && event.status.contains("ROLLBACK") && !event.reason.is_empty())
    })
}

fn is_consequence(event: &Event) -> bool {
    let reason = event.reason.to_ascii_lowercase();
    reason.contains("cancelled") || reason.starts_with("the following resource(s) failed")
}

/// Signs in a reason, and what to do about them. The first that fits is said.
const ADVICE: [(&[&str], &str); 15] = [
    (
        &["not authorized to perform", "AccessDenied", "Access denied", "UnauthorizedOperation"],
        "grant the action to the identity that is named, or deploy as one that has it; where a permissions boundary \
         is demanded, name it in PermissionsBoundaryArn",
    ),
    (
        &["already exists", "AlreadyExists", "already owned", "EntityAlreadyExists"],
        "something of this name is there already, perhaps retained from an earlier stack: give the parameter NamePrefix \
         another value, or remove or import what is there",
    ),
    (
        &["Circular dependency"],
        "take one of the references between these resources away, or move what refers into a resource of its own",
    ),
    (
        &[
            "did not receive a response from your Custom Resource",
            "timed out",
            "did not stabilize",
            "Exceeded attempts",
        ],
        "look into the log group of the function behind the resource, correct what it says, and deploy again",
    ),
    (
        &["custom resource", "Custom Resource", "Received response status"],
        "the function behind the resource says what was wrong; its log group has the rest",
    ),
    (&["must have values"], "give the parameters that are named a value in the file of --parameters"),
    (
        &["failed to satisfy constraint", "AllowedValues", "AllowedPattern", "is not a valid value"],
        "correct the parameter's value; infra/root.yaml describes what it takes",
    ),
    (
        &["Unresolved resource dependencies", "Template error", "Template format error", "Template validation error"],
        "the template names something that is not there: correct the name in infra/, `tasker check` and cfn-lint find it too",
    ),
    (
        &["substitution", "SCHEMA_VALIDATION_FAILED", "Invalid State Machine Definition", "InvalidDefinition"],
        "correct the state machine's definition or its DefinitionSubstitutions; `tasker check` finds it too",
    ),
    (
        &["Environment variable", "environment variable"],
        "correct the variable in infra/; names begin with a letter and are not those that Lambda keeps for itself",
    ),
    (
        &["S3 error", "NoSuchKey", "Access Denied"],
        "CloudFormation could not read an artefact: the bucket has to be in the stack's region and readable for who deploys",
    ),
    (
        &["LimitExceeded", "limit exceeded", "quota", "exceeds the limit"],
        "ask for a higher quota, or remove what is not needed",
    ),
    (&["Rate exceeded", "Throttl"], "the account's calls were throttled: deploy again in a minute"),
    (
        &["would replace", "requires replacement", "custom-named resource"],
        "the resource can only be changed by another one in its place: give it another name, or undo the change",
    ),
    (&["security token", "ExpiredToken", "credentials"], "sign in again: the credentials have expired"),
];

/// What to do next.
#[must_use]
pub fn advice(reason: &str) -> &'static str {
    let fits = |signs: &&[&str]| signs.iter().any(|sign| reason.contains(sign));
    ADVICE
        .iter()
        .find(|(signs, _)| fits(signs))
        .map_or("correct what the reason names, and deploy again", |(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn event(second: i64, logical: &str, kind: &str, status: &str, reason: &str) -> Event {
        Event {
            id: format!("{second}-{logical}"),
            stack: "arn:root".into(),
            at: DateTime::from_timestamp(second, 0).unwrap(),
            logical: logical.into(),
            physical: if kind == STACK && logical == "root" { "arn:root".into() } else { String::new() },
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn the_cause_is_the_earliest_failure_that_is_no_consequence() {
        let events = [
            event(5, "Data", STACK, "CREATE_FAILED", "Embedded stack arn was not successfully created"),
            event(1, "Table", "AWS::DynamoDB::Table", "CREATE_IN_PROGRESS", ""),
            event(2, "Key", "AWS::KMS::Key", "CREATE_FAILED", "Resource creation cancelled"),
            event(4, "Bucket", "AWS::S3::Bucket", "CREATE_FAILED", "quota"),
            event(3, "Table", "AWS::DynamoDB::Table", "CREATE_FAILED", "Table already exists: x"),
            event(6, "root", STACK, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Data]."),
        ];
        assert_eq!(first(&events).unwrap().logical, "Table");
        // A nested stack whose template was refused has no events of its own.
        assert_eq!(first(&[events[0].clone(), events[5].clone()]).unwrap().logical, "Data");
        assert_eq!(first(&events[5..]).unwrap().logical, "root");
        assert_eq!(first(&events[1..3]), None);
    }

    #[test]
    fn a_reason_leads_to_something_to_do() {
        for (reason, part) in [
            (
                "User: arn:aws:iam::1:user/a is not authorized to perform: kms:CreateKey on resource: *",
                "grant the action",
            ),
            ("alias/prod already exists in stack", "NamePrefix"),
            ("Circular dependency between resources: [A, B]", "references"),
            ("Parameters: [Database] must have values", "--parameters"),
            ("Received response status [FAILED] from custom resource. Message returned: no", "function behind"),
            ("something new", "correct what the reason names"),
        ] {
            assert!(advice(reason).contains(part), "{reason}: {}", advice(reason));
        }
    }
}
