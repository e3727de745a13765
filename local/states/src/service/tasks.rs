//! `SendTaskSuccess`, `SendTaskFailure`, `SendTaskHeartbeat`. Must never repeat a token in an error.

use serde_json::{Value, json};

use super::arguments::Arguments;
use crate::ApiError;
use crate::engine::{Engine, TokenError, Turn};
use crate::history::Failed;
use crate::payload::LONGEST_PAYLOAD;

/// Lengths of the API's members (API reference, SendTask…).
const LONGEST_TOKEN: usize = 2_048;
const LONGEST_ERROR: usize = 256;
const LONGEST_CAUSE: usize = 32_768;

fn token<'a>(arguments: &Arguments<'a>) -> Result<&'a str, ApiError> {
    arguments.required("taskToken")?;
    Ok(arguments.bounded("taskToken", LONGEST_TOKEN)?.unwrap_or_default())
}

fn closed(error: TokenError) -> ApiError {
    match error {
        TokenError::Malformed => ApiError::new("InvalidToken", "Invalid Token: 'Invalid token'"),
        TokenError::Unknown => {
            ApiError::new("TaskDoesNotExist", "Task does not exist: 'The task token is not of this account or region'")
        }
        TokenError::Closed => ApiError::new("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'"),
    }
}

impl Engine {
    pub(super) fn send_task_success(&mut self, body: &Value, turn: &mut Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["taskToken", "output"])?;
        let token = token(&arguments)?;
        let text = arguments.required("output")?;
        if text.len() > LONGEST_PAYLOAD {
            arguments.bounded("output", LONGEST_PAYLOAD)?;
            let message = format!("Invalid Output: 'The output exceeds {LONGEST_PAYLOAD} bytes'");
            return Err(ApiError::new("InvalidOutput", message));
        }
        let output: Value = serde_json::from_str(text)
            .map_err(|error| ApiError::new("InvalidOutput", format!("Invalid Output: 'not valid JSON: {error}'")))?;
        self.answer(token, Ok(output), turn).map_err(closed)?;
        Ok(json!({}))
    }

    pub(super) fn send_task_failure(&mut self, body: &Value, turn: &mut Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["taskToken", "error", "cause"])?;
        let token = token(&arguments)?;
        let error = arguments.bounded("error", LONGEST_ERROR)?.map(Into::into);
        let cause = arguments.bounded("cause", LONGEST_CAUSE)?.map(Into::into);
        self.answer(token, Err(Failed { error, cause }), turn).map_err(closed)?;
        Ok(json!({}))
    }

    pub(super) fn send_task_heartbeat(&mut self, body: &Value, turn: &mut Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["taskToken"])?;
        self.heartbeat(token(&arguments)?, turn).map_err(closed)?;
        Ok(json!({}))
    }
}
