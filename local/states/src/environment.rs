//! What an expression can see: the state's data, the context object, variables, and chance.
//!
//! Must never compute the context object for an expression that does not look at it: most do not, and every transition
//! would pay for it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::Ids;

/// What one evaluation may copy: many times what a payload may hold.
pub(crate) const MOST_COPIED: usize = 32 * 1024 * 1024;

/// Why a field of a state could not be evaluated. The state's name and event id are put in front by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A `States.…` name.
    pub error: String,
    /// The text behind `An error occurred while executing the state …`.
    pub cause: String,
    /// Whether it makes an `EvaluationFailed` event, as mistakes of JSONata do.
    pub evaluation: bool,
    /// The field of a JSONata expression, as `Output/result`.
    pub location: Option<String>,
}

impl Failure {
    pub(crate) fn new(error: &str, cause: impl Into<String>) -> Self {
        Self { error: error.into(), cause: cause.into(), evaluation: false, location: None }
    }

    /// `States.Runtime`: a mistake in the definition or its data that no `States.ALL` catches.
    pub(crate) fn runtime(cause: impl Into<String>) -> Self {
        Self::new("States.Runtime", cause)
    }

    /// `States.QueryEvaluationError` of a JSONata field.
    pub(crate) fn query(location: &str, cause: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..Self::query_anywhere(cause) }
    }

    /// The same where AWS names no field.
    pub(crate) fn query_anywhere(cause: impl Into<String>) -> Self {
        Self { evaluation: true, ..Self::new("States.QueryEvaluationError", cause) }
    }
}

/// The variables in reach: those of this scope, then those of the scopes around it, which it can only read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    own: Arc<BTreeMap<String, Arc<Value>>>,
    outer: Option<Arc<Variables>>,
}

impl Variables {
    /// A scope inside this one, as a branch or an iteration has it.
    pub(crate) fn inner(&self) -> Self {
        if self.own.is_empty() {
            return Self { own: Arc::default(), outer: self.outer.clone() };
        }
        Self { own: Arc::default(), outer: Some(Arc::new(self.clone())) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Value>> {
        self.own.get(name).or_else(|| self.outer.as_ref().and_then(|outer| outer.get(name)))
    }

    pub(crate) fn assign(&mut self, values: &[(String, Arc<Value>)]) {
        let own = Arc::make_mut(&mut self.own);
        for (name, value) in values {
            own.insert(name.clone(), Arc::clone(value));
        }
    }
}

/// The context object, made when first looked at.
pub(crate) struct Context<'a> {
    made: OnceCell<Value>,
    make: &'a dyn Fn() -> Value,
}

impl<'a> Context<'a> {
    pub(crate) fn new(make: &'a dyn Fn() -> Value) -> Self {
        Self { made: OnceCell::new(), make }
    }

    pub(crate) fn get(&self) -> &Value {
        self.made.get_or_init(self.make)
    }
}

/// Where an evaluation draws from.
pub(crate) trait Chance {
    fn draw(&self) -> u128;
}

impl Chance for RefCell<&mut dyn Ids> {
    fn draw(&self) -> u128 {
        self.borrow_mut().next()
    }
}

/// Everything that one evaluation can see.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a> {
    /// JSONPath's `$`.
    pub data: &'a Value,
    pub context: &'a Context<'a>,
    pub variables: &'a Variables,
    /// `$states.input`.
    pub input: &'a Value,
    /// `$states.result`, where there is one.
    pub result: Option<&'a Value>,
    /// `$states.errorOutput`, in a `Catch`.
    pub error_output: Option<&'a Value>,
    pub ids: &'a dyn Chance,
    /// What `$now()` and `$millis()` say, in milliseconds since 1970.
    pub now: i64,
    /// How many bytes this evaluation may still copy.
    pub budget: &'a Cell<usize>,
}

impl<'a> Environment<'a> {
    /// The same with another `$`.
    pub(crate) fn with_data(self, data: &'a Value) -> Self {
        Self { data, ..self }
    }

    /// Counts what was copied. A template that names a large input many times must not take memory without end.
    pub(crate) fn spend(&self, bytes: usize) -> Result<(), Failure> {
        match self.budget.get().checked_sub(bytes) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => Err(Failure::new(
                "States.DataLimitExceeded",
                "The result has a size exceeding the maximum number of bytes service limit.",
            )),
        }
    }

    pub(crate) fn chance(&self) -> u128 {
        self.ids.draw()
    }
}
