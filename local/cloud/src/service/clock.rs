//! Wall time that follows tokio's clock.
//!
//! Everything that waits here waits on tokio's clock, which tests pause and advance. Timestamps have to move with it,
//! or a test could not see a message age. So a clock is an anchor: wall time and tokio time of the same moment.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Wall time, anchored to tokio's clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: DateTime<Utc>,
    tokio: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::starting_at(Utc::now())
    }
}

impl Clock {
    /// A clock that shows `wall` now.
    pub fn starting_at(wall: DateTime<Utc>) -> Self {
        Self { wall, tokio: Instant::now() }
    }

    /// The wall time.
    pub fn now(&self) -> DateTime<Utc> {
        self.wall + TimeDelta::from_std(self.tokio.elapsed()).unwrap_or(TimeDelta::MAX)
    }

    /// The wall time as epoch milliseconds, as SQS and EventBridge write it.
    pub fn millis(&self) -> i64 {
        self.now().timestamp_millis()
    }
}
