//! The tables of the made-up warehouse, their columns, and the materialized views over them.

use super::cluster::{SLICES, stored_mb};
use super::warehouse::Warehouse;
use serde_json::{Value, json};

/// One table of schema `shop`.
struct Table {
    id: i64,
    name: &'static str,
    rows: i64,
    size_mb: i64,
    diststyle: &'static str,
    sortkey1: Option<&'static str>,
    sortkey1_encoding: Option<&'static str>,
    sortkey_columns: i64,
    encoded: &'static str,
    max_varchar: i64,
    unsorted: f64,
    stats_off: Option<f64>,
    skew_rows: Option<f64>,
    vacuum_sort_benefit: f64,
    deleted_percent: i64,
}

impl Table {
    /// A table as it should be.
    fn new(id: i64, name: &'static str, rows: i64, size_mb: i64) -> Self {
        Self {
            id,
            name,
            rows,
            size_mb,
            diststyle: "KEY(customer_id)",
            sortkey1: Some("created_at"),
            sortkey1_encoding: Some("none"),
            sortkey_columns: 1,
            encoded: "Y, AUTO(ENCODE)",
            max_varchar: 256,
            unsorted: 1.5,
            stats_off: Some(2.0),
            skew_rows: Some(1.12),
            vacuum_sort_benefit: 0.4,
            deleted_percent: 1,
        }
    }
}

/// Id and name of the tables that statements and loads name.
pub(super) const NAMES: [(i64, &str); 12] = [
    (200_001, "sales"),
    (200_002, "events"),
    (200_003, "returns"),
    (200_004, "stock"),
    (200_005, "imports"),
    (200_006, "baskets"),
    (200_007, "notes"),
    (200_008, "visits"),
    (200_009, "prices"),
    (200_010, "customers"),
    (200_011, "daily"),
    (200_012, "regions"),
];

pub(super) fn fill(warehouse: &mut Warehouse) {
    let tables = tables(warehouse);
    let total: i64 = tables.iter().map(|table| table.size_mb).sum();
    for table in &tables {
        put(warehouse, table, total);
        columns(warehouse, table);
    }
    if warehouse.has("interleaved sort key") {
        let skew = warehouse.or("skewed interleaved sort key", 2.61, 1.1);
        for column in 0..2 {
            let reindexed = warehouse.on_day(90, 7_200);
            warehouse.put(
                "svv_interleaved_columns",
                json!({ "tbl": 200_012, "col": column, "interleaved_skew": skew, "last_reindex": reindexed }),
            );
        }
    } else if warehouse.has("skewed interleaved sort key") {
        let reindexed = warehouse.on_day(200, 7_200);
        warehouse.put(
            "svv_interleaved_columns",
            json!({ "tbl": 200_009, "col": 1, "interleaved_skew": 1.94, "last_reindex": reindexed }),
        );
    }
    materialized_views(warehouse);
}

fn tables(warehouse: &Warehouse) -> Vec<Table> {
    let stored = stored_mb(warehouse);
    // Rows, and thousandths of all that is stored.
    let shares: [(i64, i64); 12] = [
        (4_500_000_000, warehouse.or("a table larger than the free disk", 550, 240)),
        (3_200_000_000, warehouse.or("a table larger than the free disk", 110, 190)),
        (1_200_000_000, warehouse.or("a table larger than the free disk", 50, 90)),
        (4_000_000, 10),
        (400_000_000, 30),
        (2_400_000_000, warehouse.or("a table larger than the free disk", 70, 160)),
        (600_000_000, 50),
        (3_800_000_000, warehouse.or("a table larger than the free disk", 110, 210)),
        (2_500_000, 5),
        (warehouse.or("a large table on every node", 9_000_000, 900_000), 10),
        (3_000_000, 4),
        (240, 1),
    ];
    let size = |share: i64| stored * share / 1_000;
    let mut tables: Vec<Table> =
        NAMES.iter().zip(shares).map(|((id, name), (rows, share))| Table::new(*id, name, rows, size(share))).collect();
    for table in &mut tables {
        let has = |fault| warehouse.has(fault);
        match table.name {
            "sales" if has("skewed rows") => table.skew_rows = Some(6.2),
            "events" if has("no sort key") => {
                (table.sortkey1, table.sortkey1_encoding, table.sortkey_columns) = (None, None, 0);
            }
            "returns" => {
                table.unsorted = warehouse.or("unsorted rows", 38.4, 3.0);
                table.vacuum_sort_benefit = warehouse.or("a table that VACUUM would help", 24.5, 1.0);
            }
            "stock" => table.stats_off = Some(warehouse.or("stale statistics", 43.0, 4.0)),
            "imports" if has("missing statistics") => table.stats_off = None,
            "imports" if has("columns without encoding") => table.encoded = "N",
            "baskets" if has("deleted rows") => table.deleted_percent = 27,
            "notes" if has("wide columns") => table.max_varchar = 65_535,
            "visits" if has("a compressed sort key") => table.sortkey1_encoding = Some("az64"),
            "prices" if has("a long sort key") => table.sortkey_columns = 8,
            "customers" => (table.diststyle, table.skew_rows) = ("ALL", None),
            "regions" => (table.diststyle, table.skew_rows) = ("AUTO(ALL)", None),
            _ => {}
        }
    }
    tables
}

fn put(warehouse: &mut Warehouse, table: &Table, total: i64) {
    let created = warehouse.on_day(400, 30_000);
    let (database, rows) = (warehouse.database().to_owned(), table.rows);
    warehouse.put(
        "svv_table_info",
        json!({
            "database": database, "schema": "shop", "table_id": table.id, "table": table.name, "encoded": table.encoded,
            "diststyle": table.diststyle, "sortkey1": table.sortkey1, "max_varchar": table.max_varchar,
            "sortkey1_enc": table.sortkey1_encoding, "sortkey_num": table.sortkey_columns, "size": table.size_mb,
            "pct_used": percent(table.size_mb, total), "empty": 0, "unsorted": table.unsorted,
            "stats_off": table.stats_off, "tbl_rows": rows, "skew_sortkey1": 1.0, "skew_rows": table.skew_rows,
            "estimated_visible_rows": rows - rows / 100 * table.deleted_percent, "risk_event": null,
            "vacuum_sort_benefit": table.vacuum_sort_benefit, "create_time": created,
        }),
    );
    for slice in 0..SLICES {
        let rows = rows / SLICES;
        warehouse.put(
            "stv_tbl_perm",
            json!({
                "slice": slice, "id": table.id, "name": table.name, "rows": rows, "sorted_rows": rows / 100 * 98,
                "temp": 0, "db_id": 1, "insert_pristine": 0, "delete_pristine": 0, "backup": 1, "dist_style": 1,
                "block_count": table.size_mb / SLICES,
            }),
        );
    }
}

/// Two decimals are all that a share needs.
fn percent(part: i64, whole: i64) -> Value {
    let hundredths = part * 10_000 / whole.max(1);
    json!(f64::from(i32::try_from(hundredths).unwrap_or(i32::MAX)) / 100.0)
}

fn columns(warehouse: &mut Warehouse, table: &Table) {
    let raw = table.name == "imports" && warehouse.has("columns without encoding");
    let date_key = table.name == "daily" && warehouse.has("distribution on a date");
    let text_date = table.name == "returns" && warehouse.has("dates kept as text");
    let interleaved = table.name == "regions" && warehouse.has("interleaved sort key");
    let encoding = |usual: &'static str| if raw { "none" } else { usual };
    let key = !date_key && table.diststyle.starts_with("KEY");
    let sort = |place: i64| if place <= table.sortkey_columns { place } else { 0 };
    // Interleaved keys have alternating signs.
    let (first, second) = if interleaved { (1, -2) } else { (sort(1), sort(2)) };
    let text = format!("character varying({})", table.max_varchar);
    let returned_on = if text_date { "character varying(32)" } else { "date" };
    let mut columns = vec![
        ("created_at", "timestamp without time zone", table.sortkey1_encoding.unwrap_or("az64"), false, first),
        ("id", "bigint", encoding("az64"), false, second),
        ("customer_id", "bigint", encoding("az64"), key, sort(3)),
        ("amount", "numeric(12,2)", encoding("az64"), false, sort(4)),
        ("currency", "character(3)", encoding("bytedict"), false, sort(5)),
        ("note", text.as_str(), encoding("lzo"), false, sort(6)),
        ("returned_date", returned_on, encoding(if text_date { "lzo" } else { "az64" }), date_key, sort(7)),
    ];
    if table.sortkey_columns > 7 {
        columns.push(("valid", "boolean", "runlength", false, sort(8)));
    }
    let database = warehouse.database().to_owned();
    for (place, (name, kind, encoding, distkey, sortkey)) in (1..).zip(columns) {
        warehouse.put(
            "svv_redshift_columns",
            json!({
                "database_name": database, "schema_name": "shop", "table_name": table.name, "column_name": name,
                "ordinal_position": place, "data_type": kind, "column_default": "",
                "is_nullable": if name == "id" { "NO" } else { "YES" }, "encoding": encoding, "distkey": distkey,
                "sortkey": sortkey, "column_acl": "", "remarks": "",
            }),
        );
    }
}

fn materialized_views(warehouse: &mut Warehouse) {
    let database = warehouse.database().to_owned();
    let views = [
        // name, stale, state, automatic refresh, how its refreshes end
        ("revenue_by_day", false, 1, true, "Refresh successfully updated MV incrementally"),
        ("open_baskets", warehouse.has("a stale view"), 1, true, "Refresh successfully updated MV incrementally"),
        ("old_prices", false, warehouse.or("a view that cannot be refreshed", 103, 1), true, ""),
        (
            "top_customers",
            false,
            warehouse.or("a view computed from the start", 0, 1),
            true,
            "Refresh successfully recomputed MV from scratch",
        ),
        (
            "stock_levels",
            false,
            1,
            !warehouse.has("a view refreshed by hand"),
            "Refresh successfully updated MV incrementally",
        ),
        (
            "returns_by_region",
            false,
            1,
            true,
            warehouse.or(
                "failing refreshes",
                "Refresh failed. Internal error",
                "Refresh successfully updated MV incrementally",
            ),
        ),
    ];
    for (id, (name, stale, state, automatic, status)) in (300_001..).zip(views) {
        let flag = |set: bool| if set { "t" } else { "f" };
        warehouse.put(
            "svv_mv_info",
            json!({
                "database_name": database, "schema_name": "shop", "user_name": "loader", "name": name,
                "is_stale": flag(stale), "state": state, "autorewrite": "t", "autorefresh": flag(automatic),
            }),
        );
        warehouse.put(
            "stv_mv_info",
            json!({
                "db_name": database, "schema": "shop", "name": name, "updated_upto_xid": 90_000,
                "is_stale": flag(stale), "owner_user_name": "loader", "state": state, "autorewrite": "t",
                "autorefresh": flag(automatic),
            }),
        );
        if status.is_empty() {
            continue;
        }
        for day in 1..=6 {
            let start = warehouse.on_day(day, 18_000 + id % 10 * 300);
            let seconds = warehouse.between(3, 40);
            let (session, transaction) = (warehouse.id(), warehouse.id());
            let end = start + chrono::Duration::seconds(seconds);
            let kind = if automatic { "Auto" } else { "Manual" };
            warehouse.put(
                "sys_mv_refresh_history",
                json!({
                    "user_id": 101, "session_id": session, "transaction_id": transaction, "database_name": database,
                    "schema_name": "shop", "mv_id": id, "mv_name": name, "refresh_type": kind, "status": status,
                    "start_time": start, "end_time": end, "duration": seconds * 1_000_000, "consumer_account": "",
                    "consumer_region": "", "consumer_namespace": "",
                }),
            );
            warehouse.put(
                "svl_mv_refresh_status",
                json!({
                    "db_name": database, "userid": 101, "schema_name": "shop", "mv_name": name, "xid": transaction,
                    "starttime": start, "endtime": end, "status": status, "refresh_type": kind,
                }),
            );
        }
    }
}
