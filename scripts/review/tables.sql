-- Table design and upkeep, the largest tables first. Tables without rows are not in the view.
-- stats_off_percent is empty when statistics were never gathered. deleted_percent: rows marked as deleted and still on disk.
-- Reads svv_table_info.
select trim("schema") as schema_name,
    trim("table") as table_name,
    table_id,
    size as size_mb,
    pct_used as used_percent,
    tbl_rows as row_count,
    trim(diststyle) as diststyle,
    trim(sortkey1) as sortkey1,
    trim(sortkey1_enc) as sortkey1_encoding,
    sortkey_num as sortkey_columns,
    trim(encoded) as encoded,
    max_varchar,
    unsorted as unsorted_percent,
    stats_off as stats_off_percent,
    skew_rows,
    vacuum_sort_benefit,
    cast(100.0 * (tbl_rows - estimated_visible_rows) / nullif(tbl_rows, 0) as decimal(9, 2)) as deleted_percent
from svv_table_info
where "schema" not in ('pg_catalog', 'pg_internal', 'pg_automv', 'information_schema')
order by size desc, schema_name, table_name
limit 2000
