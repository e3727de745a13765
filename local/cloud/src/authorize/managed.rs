//! AWS's own managed policies that functions' roles usually have. Any other is refused by name, because what it allows
//! is not known here.

use iam::{Document, Kind};
use serde_json::{Value, json};

/// A document that allows nothing.
pub(super) fn nothing() -> Document {
    let document = json!({ "Version": "2012-10-17", "Statement": [] });
    // An empty list of statements is a document; the other arm cannot be.
    Document::parse(Kind::Identity, &document).unwrap_or_else(|_| unreachable!("an empty document"))
}

/// What the managed policy of this name allows (AWS Managed Policy Reference).
pub(super) fn document(name: &str) -> Option<Value> {
    const LOGS: [&str; 3] = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];
    let actions: Vec<&str> = match name {
        "service-role/AWSLambdaBasicExecutionRole" => LOGS.to_vec(),
        "service-role/AWSLambdaVPCAccessExecutionRole" => LOGS
            .into_iter()
            .chain([
                "ec2:CreateNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:DeleteNetworkInterface",
                "ec2:AssignPrivateIpAddresses",
                "ec2:UnassignPrivateIpAddresses",
            ])
            .collect(),
        "service-role/AWSLambdaSQSQueueExecutionRole" => {
            ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"].into_iter().chain(LOGS).collect()
        }
        "AWSXRayDaemonWriteAccess" => vec![
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:GetSamplingStatisticSummaries",
        ],
        "AdministratorAccess" => vec!["*"],
        _ => return None,
    };
    Some(json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
    }))
}
