//! Keeps calls below a rate that is not ours to exceed.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Lets calls through one by one, a gap apart.
pub(crate) struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(gap: Duration) -> Self {
        Self { gap, next: Mutex::new(None) }
    }

    /// Waits for the next turn.
    pub(crate) async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().await;
            let now = Instant::now();
            let at = next.map_or(now, |next| next.max(now));
            *next = Some(at + self.gap);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

/// The rates of one invocation, below the Data API's fixed limits (100, 3 and 3 a second) because the other functions
/// call too, and modest with Step Functions.
pub(crate) struct Paces {
    pub(crate) describe: Pace,
    pub(crate) cancel: Pace,
    pub(crate) list: Pace,
    pub(crate) execution: Pace,
    pub(crate) history: Pace,
}

impl Paces {
    pub(crate) fn new() -> Self {
        Self {
            describe: Pace::new(Duration::from_millis(20)),
            cancel: Pace::new(Duration::from_millis(350)),
            list: Pace::new(Duration::from_millis(400)),
            execution: Pace::new(Duration::from_millis(100)),
            history: Pace::new(Duration::from_millis(200)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cancels_stay_below_three_a_second() {
        let paces = Paces::new();
        let began = Instant::now();
        futures::future::join_all((0..30).map(|_| paces.cancel.turn())).await;
        assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    }
}
