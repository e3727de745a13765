//! System tables and views, and what a seed puts into them: a made-up warehouse whose statements, loads, tables and
//! nodes fit together. `views.sql` has their columns.
//!
//! What must never happen here: two seedings of the same number that differ in anything but the time they start from,
//! rows of a cluster's own views (STL, STV, SVL) in a workgroup, a seed that touches a user's schema.

mod cluster;
mod lake;
mod queries;
mod tables;
mod upkeep;
mod warehouse;

use crate::postgres;
use crate::service::Inner;
use crate::statement::Place;
use std::collections::HashSet;
use std::str::FromStr;
use tokio::sync::Mutex;
use warehouse::Warehouse;

/// What the system views of a new database hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seed {
    /// A warehouse without a fault that a review would find.
    Healthy,
    /// A warehouse with every fault that the review of this project knows. Its login lacks `sys:monitor`, and sees the
    /// rows of others all the same: else nothing but that would be found.
    Troubled,
    /// Each fault or not, as the number says: the same number, the same warehouse.
    Mixed(u64),
}

/// A text that is no [`Seed`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed \"{0}\": it is healthy, troubled or a number from 0 to {max}", max = u64::MAX)]
pub struct UnknownSeed(pub String);

impl FromStr for Seed {
    type Err = UnknownSeed;

    fn from_str(text: &str) -> Result<Self, UnknownSeed> {
        match text {
            "healthy" => Ok(Self::Healthy),
            "troubled" => Ok(Self::Troubled),
            number => number.parse().map(Self::Mixed).map_err(|_| UnknownSeed(number.to_owned())),
        }
    }
}

impl std::fmt::Display for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Troubled => f.write_str("troubled"),
            Self::Mixed(number) => write!(f, "{number}"),
        }
    }
}

/// Which databases have their seed.
#[derive(Debug, Default)]
pub(crate) struct System {
    planted: Mutex<HashSet<String>>,
}

/// The seed is there at most once, also when two Data APIs share a server.
const PLANT: &str = "insert into redshift_catalog.seed (relation, content) values ('', '[]') on conflict do nothing";

impl System {
    /// Fills the views of a database, once, if a seed is configured.
    pub(crate) async fn plant(&self, inner: &Inner, place: &Place, database: &str) -> Result<(), postgres::Error> {
        let Some(seed) = inner.config.seed else { return Ok(()) };
        let mut planted = self.planted.lock().await;
        if planted.contains(database) {
            return Ok(());
        }
        let mut client = inner.server.connect(database, postgres::ADMINISTRATOR).await?;
        let transaction = client.transaction().await?;
        if transaction.execute(PLANT, &[]).await? == 1 {
            // Statements compare the rows with GETDATE().
            let now: chrono::NaiveDateTime =
                transaction.query_one("select redshift_catalog.\"timestamp\"()", &[]).await?.try_get(0)?;
            let serverless = place.workgroup.is_some();
            let rows = warehouse(seed, now, &place.database, serverless).into_rows();
            let fill = transaction
                .prepare("insert into redshift_catalog.seed (relation, content) values ($1::text, $2::jsonb)")
                .await?;
            for (view, content) in &rows.views {
                transaction.execute(&fill, &[view, content]).await?;
            }
            for (table, content) in &rows.tables {
                let fill = format!(
                    "insert into redshift_catalog.{table} \
                     select * from jsonb_populate_recordset(null::redshift_catalog.{table}, $1)"
                );
                transaction.execute(&fill, &[content]).await?;
            }
        }
        transaction.commit().await?;
        planted.insert(database.to_owned());
        Ok(())
    }
}

/// Makes up a warehouse.
fn warehouse(seed: Seed, now: chrono::NaiveDateTime, database: &str, serverless: bool) -> Warehouse {
    let mut warehouse = Warehouse::new(seed, now, database, serverless);
    cluster::fill(&mut warehouse);
    tables::fill(&mut warehouse);
    upkeep::fill(&mut warehouse);
    queries::fill(&mut warehouse);
    lake::fill(&mut warehouse);
    warehouse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_written_as_it_is_read() {
        for (text, seed) in [("healthy", Seed::Healthy), ("troubled", Seed::Troubled), ("17", Seed::Mixed(17))] {
            assert_eq!(text.parse(), Ok(seed));
            assert_eq!(seed.to_string(), text);
        }
        let error = "sick".parse::<Seed>().unwrap_err().to_string();
        assert_eq!(error, "seed \"sick\": it is healthy, troubled or a number from 0 to 18446744073709551615");
    }

    #[test]
    fn the_same_number_makes_the_same_warehouse() {
        let now = "2026-11-20T10:00:00".parse().unwrap();
        let rows = |number| warehouse(Seed::Mixed(number), now, "dev", false).into_rows();
        assert_eq!(rows(7), rows(7));
        assert_ne!(rows(7), rows(8));
    }

    #[test]
    fn a_workgroup_has_none_of_a_clusters_own_views() {
        let now = "2026-11-20T10:00:00".parse().unwrap();
        let rows = warehouse(Seed::Troubled, now, "dev", true).into_rows();
        let own = |name: &&&str| ["stl_", "stv_", "svl_", "svcs_"].iter().any(|prefix| name.starts_with(prefix));
        assert_eq!(rows.views.keys().filter(own).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert!(rows.views.contains_key("sys_serverless_usage"));
    }
}
