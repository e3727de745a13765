//! Long polling: an answer that waits for a statement's end, for `WaitTimeSeconds` at most. Must never hold the state
//! while it waits, nor count a caller that went away.

use crate::ApiError;
use crate::config::Caller;
use crate::list;
use crate::service::Inner;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// One request that waits for a statement.
struct Waiter(Arc<AtomicUsize>);

impl Waiter {
    /// None when as many wait already as may.
    fn enter(waiting: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let waiter = Self(Arc::clone(waiting));
        (waiter.0.fetch_add(1, Ordering::Relaxed) < limit).then_some(waiter)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    /// Returns when the statement has ended or the time is over; at once without a time. The id may name one statement
    /// of a batch: its results are there when the batch has ended. `limit`: so many may wait for one statement.
    ///
    /// # Errors
    /// A statement that the caller cannot see; more requests that wait for it than the limit.
    pub(crate) async fn wait_for_end(
        &self,
        caller: &Caller,
        id: &str,
        time: Option<Duration>,
        limit: usize,
    ) -> Result<(), ApiError> {
        let Some(time) = time else { return Ok(()) };
        let (mut status, _waiter) = {
            let state = self.state();
            let (statement, _) = list::visible(&state, caller, id)?;
            if statement.status().ended() {
                return Ok(());
            }
            let waiter = Waiter::enter(&statement.waiting, limit).ok_or_else(|| ApiError::waiting_requests(limit))?;
            (statement.status.subscribe(), waiter)
        };
        // Neither the time's end nor a record that retention removed is an error here: the operation looks itself.
        let _ = tokio::time::timeout(time, status.wait_for(|status| status.ended())).await;
        Ok(())
    }
}
