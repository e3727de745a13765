//! The SQL that makes a PostgreSQL database answer like Redshift. Run once in each new database, by a superuser.
//! Must never depend on the session's search path, and must leave user schemas alone.

/// The schema that holds everything of the prelude. Sessions search it after the user's schemas and before
/// `pg_catalog` (the prelude sets this for the database).
pub const SCHEMA: &str = "redshift_catalog";

const SCRIPTS: &[&str] = &[
    include_str!("../prelude/1_schema.sql"),
    include_str!("../prelude/2_dates.sql"),
    include_str!("../prelude/3_text.sql"),
    include_str!("../prelude/4_json.sql"),
    include_str!("../prelude/5_aggregates.sql"),
    include_str!("../prelude/6_types.sql"),
    include_str!("../prelude/7_transfers.sql"),
];

/// The prelude as SQL scripts, in order. Each is sent as one simple query (several statements) by a superuser connected
/// to the new database; sessions opened afterwards have its settings. The cluster is expected to be UTF-8 with locale C:
/// Redshift's collation is binary.
#[must_use]
pub fn prelude() -> &'static [&'static str] {
    SCRIPTS
}
