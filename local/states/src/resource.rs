//! What the `Resource` of a Task names. Must never guess: a resource that this interpreter has no word for is refused
//! by name.

use crate::{Pattern, TaskResource};

impl TaskResource {
    /// Reads a `Resource`.
    ///
    /// # Errors
    /// Why it names nothing that can be run here.
    pub fn parse(arn: &str) -> Result<Self, String> {
        let mut parts = arn.splitn(6, ':');
        let (head, _partition, service) = (parts.next(), parts.next(), parts.next());
        let (region, account, rest) = (parts.next(), parts.next(), parts.next());
        let (Some("arn"), Some(service), Some(rest)) = (head, service, rest) else {
            return Err("Value is not a valid resource ARN".into());
        };
        match service {
            "lambda" if rest.starts_with("function:") => Ok(Self {
                arn: arn.to_owned(),
                service: "lambda".into(),
                action: "invoke".into(),
                pattern: Pattern::RequestResponse,
                function: Some(arn.to_owned()),
            }),
            "states" if rest.starts_with("activity:") => Err("Activities are not supported here".into()),
            "states" if region == Some("") && account == Some("") => integration(arn, rest),
            _ => Err(format!(
                "The resource provided {arn} is not recognized. The value is not a valid resource ARN, \
                              or the resource is not available in this region."
            )),
        }
    }

    /// History's `resource`: the call with its pattern, for example `invoke.waitForTaskToken`.
    #[must_use]
    pub fn history_name(&self) -> String {
        let suffix = match self.pattern {
            Pattern::RequestResponse => "",
            Pattern::WaitForTaskToken => ".waitForTaskToken",
            Pattern::Sync => ".sync",
            Pattern::Sync2 => ".sync:2",
        };
        format!("{}{suffix}", self.action)
    }
}

/// `lambda:invoke.waitForTaskToken`, `aws-sdk:dynamodb:putItem`, `states:startExecution.sync:2`.
fn integration(arn: &str, rest: &str) -> Result<TaskResource, String> {
    let suffixes =
        [(".waitForTaskToken", Pattern::WaitForTaskToken), (".sync:2", Pattern::Sync2), (".sync", Pattern::Sync)];
    let (name, pattern) = suffixes
        .into_iter()
        .find_map(|(suffix, pattern)| rest.strip_suffix(suffix).map(|name| (name, pattern)))
        .unwrap_or((rest, Pattern::RequestResponse));
    match name.rsplit_once(':') {
        Some((service, action)) if !service.is_empty() && !action.is_empty() && !action.contains('.') => {
            Ok(TaskResource {
                arn: arn.to_owned(),
                service: service.to_owned(),
                action: action.to_owned(),
                pattern,
                function: None,
            })
        }
        _ => Err(format!("The resource provided {arn} is not recognized")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_told_apart() {
        let cases = [
            ("arn:aws:lambda:us-east-1:1:function:f:live", "lambda", "invoke", Pattern::RequestResponse, true),
            ("arn:aws:states:::lambda:invoke", "lambda", "invoke", Pattern::RequestResponse, false),
            (
                "arn:aws-cn:states:::sqs:sendMessage.waitForTaskToken",
                "sqs",
                "sendMessage",
                Pattern::WaitForTaskToken,
                false,
            ),
            ("arn:aws:states:::states:startExecution.sync:2", "states", "startExecution", Pattern::Sync2, false),
            (
                "arn:aws:states:::aws-sdk:dynamodb:putItem",
                "aws-sdk:dynamodb",
                "putItem",
                Pattern::RequestResponse,
                false,
            ),
        ];
        for (arn, service, action, pattern, function) in cases {
            let parsed = TaskResource::parse(arn).unwrap();
            assert_eq!((parsed.service.as_str(), parsed.action.as_str(), parsed.pattern), (service, action, pattern));
            assert_eq!(parsed.function.is_some(), function, "{arn}");
        }
        for arn in ["", "lambda", "arn:aws:states:::lambda", "arn:aws:states:us-east-1:1:activity:a", "arn:aws:s3:::b"]
        {
            assert!(TaskResource::parse(arn).is_err(), "{arn}");
        }
    }
}
