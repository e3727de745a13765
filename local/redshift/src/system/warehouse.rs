//! What the parts of a made-up warehouse share: its faults, its time, its dice, and the rows put down so far.
//! Must never draw from anything but the seed.

use super::Seed;
use chrono::{Duration, NaiveDateTime, NaiveTime};
use serde_json::Value;
use std::collections::BTreeMap;

/// Views that only a cluster has, by the beginning of their name, and the few that are called like the shared ones.
const CLUSTER_ONLY: [&str; 7] =
    ["stl_", "stv_", "svl_", "svcs_", "svv_vacuum_summary", "svv_diskusage", "svv_interleaved_columns"];

/// Base tables that COPY and UNLOAD write too; their views are in the prelude.
const TABLES: [&str; 5] = ["load", "load_error", "load_file", "unload", "unload_file"];

/// A warehouse in the making.
pub(super) struct Warehouse {
    seed: Seed,
    dice: u64,
    next_id: i64,
    now: NaiveDateTime,
    database: String,
    serverless: bool,
    rows: BTreeMap<&'static str, Vec<Value>>,
}

/// The rows of each view and of each base table, as JSON arrays.
#[derive(Debug, PartialEq)]
pub(super) struct Rows {
    pub(super) views: BTreeMap<&'static str, Value>,
    pub(super) tables: BTreeMap<&'static str, Value>,
}

impl Warehouse {
    pub(super) fn new(seed: Seed, now: NaiveDateTime, database: &str, serverless: bool) -> Self {
        let dice = match seed {
            Seed::Healthy => 1,
            Seed::Troubled => 2,
            Seed::Mixed(number) => number.wrapping_add(3),
        };
        Self { seed, dice, next_id: 1_000, now, database: database.to_owned(), serverless, rows: BTreeMap::new() }
    }

    /// Whether the warehouse has this fault.
    pub(super) fn has(&self, fault: &str) -> bool {
        match self.seed {
            Seed::Healthy => false,
            Seed::Troubled => true,
            // FNV-1a over the name, mixed with the number: faults are drawn apart from each other.
            Seed::Mixed(number) => {
                let hash = fault.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                });
                scramble(hash ^ scramble(number)).is_multiple_of(2)
            }
        }
    }

    /// The value with the fault, or the one without.
    pub(super) fn or<T>(&self, fault: &str, with: T, without: T) -> T {
        if self.has(fault) { with } else { without }
    }

    /// A number from `from` up to, not including, `to`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let width = to.saturating_sub(from).max(1).unsigned_abs();
        from + i64::try_from(scramble(self.dice) % width).unwrap_or(0)
    }

    /// A new id for a query, a transaction or a session.
    pub(super) fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn serverless(&self) -> bool {
        self.serverless
    }

    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// So many minutes ago.
    pub(super) fn ago(&self, minutes: i64) -> NaiveDateTime {
        self.now - Duration::minutes(minutes)
    }

    /// Midnight at the start of the day so many days ago, and then so many seconds on.
    pub(super) fn on_day(&self, days_ago: i64, second: i64) -> NaiveDateTime {
        (self.now - Duration::days(days_ago)).date().and_time(NaiveTime::MIN) + Duration::seconds(second)
    }

    /// Puts down a row; of a cluster's own views only in a cluster.
    pub(super) fn put(&mut self, view: &'static str, row: Value) {
        let own = CLUSTER_ONLY.iter().any(|name| view.starts_with(name));
        let workgroups = view == "sys_serverless_usage";
        if if self.serverless { !own } else { !workgroups } {
            self.rows.entry(view).or_default().push(row);
        }
    }

    pub(super) fn into_rows(self) -> Rows {
        let (mut views, mut tables) = (BTreeMap::new(), BTreeMap::new());
        for (name, rows) in self.rows {
            let into = if TABLES.contains(&name) { &mut tables } else { &mut views };
            into.insert(name, Value::Array(rows));
        }
        Rows { views, tables }
    }
}

/// SplitMix64’s last step.
fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
