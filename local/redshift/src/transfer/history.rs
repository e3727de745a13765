//! What system tables tell of loads and unloads. Written through a session of its own: a load that fails rolls back, its
//! errors stay. Must never hold a value longer than the table's column.

use super::Site;
use crate::connection;
use crate::postgres::ADMINISTRATOR;
use serde_json::Value;

/// Adds rows, as JSON objects with the columns of a table of `redshift_catalog`.
pub(super) async fn write(site: &Site<'_>, tables: &[(&str, Vec<Value>)]) -> Result<(), connection::Error> {
    let failed = |error: tokio_postgres::Error| connection::failure(&error, site.query_id);
    let client = site.server.connect(&site.physical, ADMINISTRATOR).await.map_err(failed)?;
    for (table, rows) in tables.iter().filter(|(_, rows)| !rows.is_empty()) {
        let insert = format!(
            "insert into redshift_catalog.{table} \
             select * from pg_catalog.jsonb_populate_recordset(null::redshift_catalog.{table}, $1)"
        );
        client.execute(&insert, &[&Value::Array(rows.clone())]).await.map_err(failed)?;
    }
    Ok(())
}

/// At most so many bytes, in whole characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    &text[..end]
}
