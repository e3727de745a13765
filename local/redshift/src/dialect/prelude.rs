//! The SQL that makes a PostgreSQL database answer like Redshift. Run once in each new database, by a superuser.
//! Must never depend on the session's search path, and must leave user schemas alone.

/// The schema that holds everything of the prelude. Sessions search it after the user's schemas and before
/// `pg_catalog` (the prelude sets this for the database).
pub const SCHEMA: &str = "redshift_catalog";

/// The prelude as SQL scripts, in order. Each is sent as one simple query (several statements) by a superuser connected
/// to the new database; sessions opened afterwards have its settings.
#[must_use]
pub fn prelude() -> &'static [&'static str] {
    &[]
}
