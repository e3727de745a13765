//! `aws.env`: what a shell has to know so that its AWS clients talk to this stack.

use std::fmt::Write as _;

use crate::template::Model;

/// The text, to be sourced by any POSIX shell.
pub(super) fn file(endpoint: &str, region: &str, stack: &str, model: &Model) -> String {
    let mut text = String::from("# To source in a shell: its AWS clients then talk to the local stack.\n");
    let mut export = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "export {name}='{}'", value.replace('\'', "'\\''"));
    };
    export("AWS_ENDPOINT_URL", endpoint);
    // The AWS CLI of version 1 knows the second name only, newer SDKs the first.
    export("AWS_REGION", region);
    export("AWS_DEFAULT_REGION", region);
    export("AWS_ACCESS_KEY_ID", "local");
    export("AWS_SECRET_ACCESS_KEY", "local");
    for machine in model.of_kind("AWS::StepFunctions::StateMachine") {
        let name = machine.name();
        let own = name.strip_prefix(stack).and_then(|rest| rest.strip_prefix('-')).unwrap_or(name);
        export(&variable(own), machine.arn());
    }
    text.push_str(
        "unset AWS_PROFILE AWS_SESSION_TOKEN\n\
         # Version 1 of the AWS CLI goes to AWS for SQS, whatever AWS_ENDPOINT_URL says, unless the command line says it.\n\
         aws() { command aws --endpoint-url=\"$AWS_ENDPOINT_URL\" \"$@\"; }\n",
    );
    text
}

/// `statement` is `STATEMENT_STATE_MACHINE_ARN`.
fn variable(machine: &str) -> String {
    let name: String =
        machine.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let digit = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    format!("{digit}{name}_STATE_MACHINE_ARN")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Attributes, Resource};
    use serde_json::json;

    #[test]
    fn a_shell_gets_everything_that_clients_look_for() {
        let machine = |name: &str| Resource {
            path: "Machines/Machine".into(),
            logical_id: "Machine".into(),
            stack: "local-Machines".into(),
            file: "machines.yaml".into(),
            kind: "AWS::StepFunctions::StateMachine".into(),
            attributes: Attributes {
                reference: format!("arn:{name}"),
                values: [("Arn".into(), format!("arn:{name}")), ("Name".into(), name.into())].into(),
            },
            properties: json!({}),
            needs: Vec::new(),
            deletion_policy: "Delete".into(),
            update_replace_policy: "Delete".into(),
        };
        let machines = ["local-statement", "local-2nd run", "other's"].map(machine);
        let model = Model { resources: machines.into(), ..Model::default() };
        let text = file("http://127.0.0.1:1", "eu-west-1", "local", &model);
        for line in [
            "export AWS_ENDPOINT_URL='http://127.0.0.1:1'",
            "export AWS_REGION='eu-west-1'",
            "export AWS_DEFAULT_REGION='eu-west-1'",
            "export AWS_ACCESS_KEY_ID='local'",
            "export AWS_SECRET_ACCESS_KEY='local'",
            "export STATEMENT_STATE_MACHINE_ARN='arn:local-statement'",
            "export _2ND_RUN_STATE_MACHINE_ARN='arn:local-2nd run'",
            "export OTHER_S_STATE_MACHINE_ARN='arn:other'\\''s'",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} in {text}");
        }
        // What a shell makes of it.
        let script =
            format!("{text}\nprintf '%s|' \"$AWS_ENDPOINT_URL\" \"$OTHER_S_STATE_MACHINE_ARN\"; command -v aws");
        let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "http://127.0.0.1:1|arn:other's|aws\n", "{said:?}");
    }
}
