//! Starting executions of a state machine under a name that says who asked, so that asking twice starts one.

use std::sync::Arc;

use statement::ports::Outcome;

use crate::clients::Clients;
use crate::failure;

const SERVICE: &str = "states";

/// An execution that runs, or ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its ARN.
    pub arn: String,
    /// When it began, epoch milliseconds.
    pub at_ms: i64,
}

/// Starts an execution of a machine, version or alias, or finds the one that an earlier call under this name started.
///
/// # Errors
/// What Step Functions refuses.
pub async fn start(clients: &Arc<Clients>, machine_arn: &str, name: &str, input: &str) -> Outcome<Started> {
    let request = clients.sfn().start_execution().state_machine_arn(machine_arn).name(name).input(input);
    match request.send().await {
        Ok(started) => Ok(Started { arn: started.execution_arn, at_ms: millis(&started.start_date) }),
        Err(error) => match failure::of(SERVICE, &error) {
            // It has ended already, or its input was another one: it is there.
            failure if failure.code == "ExecutionAlreadyExists" => {
                let arn = execution_arn(machine_arn, name).ok_or(failure)?;
                let found = clients.sfn().describe_execution().execution_arn(&arn).send().await;
                let found = found.map_err(|error| failure::of(SERVICE, &error))?;
                Ok(Started { arn, at_ms: millis(&found.start_date) })
            }
            failure => Err(failure),
        },
    }
}

fn millis(time: &aws_smithy_types::DateTime) -> i64 {
    time.to_millis().unwrap_or_default()
}

/// `arn:P:states:R:A:stateMachine:NAME[:ALIAS]` to `arn:P:states:R:A:execution:NAME:EXECUTION`.
fn execution_arn(machine_arn: &str, name: &str) -> Option<String> {
    let (account, machine) = machine_arn.split_once(":stateMachine:")?;
    let machine = machine.split(':').next()?;
    Some(format!("{account}:execution:{machine}:{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_execution_of_an_alias_is_the_machine_s() {
        let arn = |machine: &str| execution_arn(machine, "deployment-1");
        let wanted = Some("arn:p:states:r:1:execution:s-workflow:deployment-1".to_owned());
        assert_eq!(arn("arn:p:states:r:1:stateMachine:s-workflow"), wanted);
        assert_eq!(arn("arn:p:states:r:1:stateMachine:s-workflow:live"), wanted);
        assert_eq!(arn("s-workflow"), None);
    }
}
