//! Misbehaviour on request: what the real service does now and then, made to happen when a test needs it.
//! Must never act unless asked.

use crate::ApiError;
use crate::rates::{Buckets, Rates};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How a throttled call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// ThrottlingException, as documented.
    Exception,
    /// The same text hidden in a ValidationException, as the service does at times.
    HiddenInValidation,
}

impl Throttle {
    fn error(self) -> ApiError {
        match self {
            Self::Exception => ApiError::throttled(),
            Self::HiddenInValidation => ApiError::validation("Rate exceeded"),
        }
    }
}

/// The switches; clones share them.
#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<Switches>>,
}

#[derive(Default)]
struct Switches {
    throttled: HashMap<String, (usize, Throttle)>,
    rates: Option<Buckets>,
    end_before_answer: bool,
    holds: Vec<(String, watch::Receiver<bool>)>,
}

/// Holds statements before STARTED; dropping it lets them go on.
pub struct Hold {
    release: watch::Sender<bool>,
}

impl Hold {
    /// Lets the held statements go on.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = self.release.send(true);
    }
}

impl Faults {
    fn switches(&self) -> std::sync::MutexGuard<'_, Switches> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next `calls` calls of `operation` are refused before anything else is looked at.
    pub fn throttle(&self, operation: &str, calls: usize, how: Throttle) {
        self.switches().throttled.insert(operation.to_owned(), (calls, how));
    }

    /// Limits requests a second from now on, by the configured clock; `None` lifts the limits.
    pub fn limit_rates(&self, rates: Option<Rates>) {
        self.switches().rates = rates.map(Buckets::new);
    }

    /// Execute and BatchExecute answer only after the statement has ended and its event is out.
    pub fn end_before_answer(&self, on: bool) {
        self.switches().end_before_answer = on;
    }

    /// Statements whose StatementName starts with `name_prefix` stay PICKED until the hold is released. An unnamed
    /// statement has the empty name.
    #[must_use]
    pub fn hold(&self, name_prefix: &str) -> Hold {
        let (release, released) = watch::channel(false);
        self.switches().holds.push((name_prefix.to_owned(), released));
        Hold { release }
    }

    pub(crate) fn check(&self, operation: &str, now: DateTime<Utc>) -> Result<(), ApiError> {
        let mut switches = self.switches();
        if let Some((left, how)) = switches.throttled.get_mut(operation).filter(|(left, _)| *left > 0) {
            *left -= 1;
            return Err((*how).error());
        }
        match &mut switches.rates {
            Some(buckets) => buckets.take(operation, now).map_err(Throttle::error),
            None => Ok(()),
        }
    }

    pub(crate) fn ends_before_answer(&self) -> bool {
        self.switches().end_before_answer
    }

    /// Returns when no hold on `name` is left.
    pub(crate) async fn pass(&self, name: &str) {
        loop {
            let held = {
                let mut switches = self.switches();
                switches.holds.retain(|(_, released)| !*released.borrow() && released.has_changed().is_ok());
                switches
                    .holds
                    .iter()
                    .find(|(prefix, _)| name.starts_with(prefix.as_str()))
                    .map(|(_, released)| released.clone())
            };
            let Some(mut released) = held else { return };
            // An error means that the hold is gone, which releases as well.
            let _ = released.wait_for(|released| *released).await;
        }
    }
}
