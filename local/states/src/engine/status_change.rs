//! `Step Functions Execution Status Change`, the event that the bus gets at the start and the end of an execution.

use serde_json::json;

use super::{Engine, ExecutionId, Turn};
use crate::payload::Payload;
use crate::{Command, timestamp};

/// Input and output of an event on the bus, as escaped JSON texts: 248 KB.
const LONGEST_EVENT_DATA: usize = 248 * 1024;

impl Engine {
    /// The EventBridge event for the execution's present status.
    pub(super) fn announce(&self, id: ExecutionId, turn: &mut Turn<'_>) {
        let execution = &self.executions[id];
        let (input, output) = (execution.input.text(), execution.output.as_ref().map(Payload::text));
        // "Step Functions execution status change events": what does not fit is left out, the input first.
        let length = |text: &str| serde_json::to_string(text).map_or(usize::MAX, |text| text.len());
        let output_length = output.map_or(0, length);
        let output_fits = output_length <= LONGEST_EVENT_DATA;
        let input_fits = length(input).saturating_add(output_length) <= LONGEST_EVENT_DATA;
        let included = |fits: bool| json!({ "included": fits });
        let event = json!({
            "version": "0",
            "id": crate::intrinsic::uuid_text(turn.chance()),
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": self.config.account,
            "time": timestamp::text_in_seconds(turn.now),
            "region": self.config.region,
            "resources": [&*execution.arn],
            "detail": {
                "executionArn": &*execution.arn,
                "stateMachineArn": &*execution.revision.machine_arn,
                "stateMachineVersionArn": execution.version.as_deref(),
                "stateMachineAliasArn": execution.alias.as_deref(),
                "name": &*execution.name,
                "status": execution.status.name(),
                "startDate": execution.started,
                "stopDate": execution.stopped,
                "input": input_fits.then_some(input),
                "inputDetails": included(input_fits),
                "output": output.filter(|_| output_fits),
                "outputDetails": output.map(|_| included(output_fits)),
                "error": execution.failed.error.as_deref(),
                "cause": execution.failed.cause.as_deref(),
                "redriveCount": execution.redrives.count,
                "redriveDate": execution.redrives.at,
                "redriveStatus": execution.redrive_status(turn.now).0,
                "redriveStatusReason": execution.redrive_status(turn.now).1,
            },
        });
        turn.commands.push(Command::StatusChange(event));
    }
}
