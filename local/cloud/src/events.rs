//! EventBridge: the default bus, rules with patterns or schedules, targets.
//!
//! Delivers at least once and in no promised order. A pattern operator or target member that it does not know is
//! refused by name when the rule is made, never later.

use async_trait::async_trait;
use serde_json::Value;

use crate::faults::Faults;
use crate::lambda::Lambda;
use crate::gateway::service::Service;
use crate::sqs::Sqs;
use crate::trace::Trace;
use crate::{ApiError, Caller};

/// The default bus and its rules; clones share them.
#[derive(Clone)]
pub struct Bus {}

impl Bus {
    /// A bus without rules that delivers to these queues and functions. Runs tasks on the current tokio runtime.
    pub fn start(_region: &str, _sqs: Sqs, _lambda: Lambda, _faults: Faults, _trace: Trace) -> Self {
        Self {}
    }

    /// Creates the rule of an `AWS::Events::Rule` with these resolved properties under this name. A schedule starts now
    /// when the rule is enabled.
    ///
    /// # Errors
    /// An unknown property, pattern operator, schedule or kind of target, by name.
    pub fn create_rule(&self, _name: &str, _properties: &Value) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("events", "create_rule"))
    }

    /// Takes a complete event (with `source`, `detail-type` and `detail`; missing `id`, `time`, `account`, `region`,
    /// `resources` and `version` are filled in) to the rules, as a service of AWS does. Faults apply.
    pub fn publish(&self, _event: Value) {}

    /// Runs a schedule rule now, whatever its schedule or state says, and waits until its targets took it.
    ///
    /// # Errors
    /// No such rule, or no schedule rule.
    pub async fn fire(&self, _rule: &str) -> Result<(), ApiError> {
        Err(ApiError::not_implemented("events", "fire"))
    }
}

#[async_trait]
impl Service for Bus {
    async fn call(&self, operation: &str, _caller: &Caller, _body: Value) -> Result<Value, ApiError> {
        Err(ApiError::not_implemented("events", operation))
    }
}
