//! Requests a second, as the service limits them for an account. Switched off unless asked for: most tests are not about
//! throttling. Must never read a clock: the time comes with each request.

use crate::faults::Throttle;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap};

/// How many requests a second each operation takes, and how one too many is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// Requests a second by operation; an operation that is not named is not limited.
    pub per_second: BTreeMap<String, u32>,
    /// How a throttled call is answered.
    pub how: Throttle,
}

impl Rates {
    /// "Quotas for Amazon Redshift Data API" of the management guide; what it does not name is counted as its nearest
    /// relative is (GetStatementResultV2 as GetStatementResult, ListSessions as ListStatements).
    #[must_use]
    pub fn documented() -> Self {
        let limits = [
            ("ExecuteStatement", 30),
            ("BatchExecuteStatement", 20),
            ("DescribeStatement", 100),
            ("GetStatementResult", 20),
            ("GetStatementResultV2", 20),
            ("CancelStatement", 3),
            ("ListStatements", 3),
            ("ListSessions", 3),
            ("ListTables", 3),
            ("ListSchemas", 3),
            ("ListDatabases", 3),
            ("DescribeTable", 3),
        ];
        let per_second = limits.into_iter().map(|(operation, limit)| (operation.to_owned(), limit)).collect();
        Self { per_second, how: Throttle::Exception }
    }

    /// The same limits with another answer.
    #[must_use]
    pub fn answering(self, how: Throttle) -> Self {
        Self { how, ..self }
    }
}

/// What is left of each operation's second: a bucket that holds one second's requests and fills evenly.
#[derive(Debug)]
pub(crate) struct Buckets {
    rates: Rates,
    filled: HashMap<String, (f64, DateTime<Utc>)>,
}

impl Buckets {
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, filled: HashMap::new() }
    }

    /// Takes one request, or says how it is refused.
    pub(crate) fn take(&mut self, operation: &str, now: DateTime<Utc>) -> Result<(), Throttle> {
        let Some(limit) = self.rates.per_second.get(operation).map(|limit| f64::from(*limit)) else { return Ok(()) };
        let (left, since) = self.filled.entry(operation.to_owned()).or_insert((limit, now));
        let elapsed = (now - *since).num_microseconds().unwrap_or(i64::MAX).max(0);
        #[allow(clippy::cast_precision_loss)]
        let filled = (*left + elapsed as f64 / 1e6 * limit).min(limit);
        *since = now.max(*since);
        // A hair less than one is one: thirds of a second do not add up.
        if filled < 1.0 - 1e-9 {
            *left = filled;
            return Err(self.rates.how);
        }
        *left = filled - 1.0;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chrono::Duration;

    #[test]
    fn a_second_holds_its_requests_and_fills_evenly() {
        let mut buckets = Buckets::new(Rates::documented());
        let start: DateTime<Utc> = "2026-11-20T10:00:00Z".parse().unwrap();
        let mut taken = |operation: &str, after: i64, tries: usize| {
            let now = start + Duration::milliseconds(after);
            (0..tries).filter(|_| buckets.take(operation, now).is_ok()).count()
        };
        assert_eq!(taken("ListTables", 0, 10), 3);
        assert_eq!(taken("ListTables", 333, 10), 0, "a third of a second is not over");
        assert_eq!(taken("ListTables", 334, 10), 1);
        assert_eq!(taken("ListTables", 60_000, 10), 3, "no more than one second is saved");
        assert_eq!(taken("ListTables", 0, 10), 0, "a clock that goes back gives nothing");
        assert_eq!(taken("DescribeStatement", 0, 200), 100, "each operation has its own");
        assert_eq!(taken("Nonsense", 0, 1000), 1000);
    }
}
