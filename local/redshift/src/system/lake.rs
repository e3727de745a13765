//! What goes between the made-up warehouse and Amazon S3: loads, their errors, unloads, external queries; and the use
//! of a workgroup's processing units.

use super::cluster::{SLICES, stored_mb};
use super::queries::{Statement, run};
use super::warehouse::Warehouse;
use chrono::{Duration, NaiveDateTime};
use serde_json::{Value, json};

const MB: i64 = 1_048_576;

pub(super) fn fill(warehouse: &mut Warehouse) {
    loads(warehouse);
    load_errors(warehouse);
    unloads(warehouse);
    external(warehouse);
    units(warehouse);
}

/// One COPY: into what, from how many files of how many KB, in how many seconds.
struct Load {
    table: &'static str,
    start: NaiveDateTime,
    files: i64,
    kb: i64,
    seconds: i64,
    compressed: bool,
}

fn loads(warehouse: &mut Warehouse) {
    let mut all = Vec::new();
    for day in 1..=6 {
        let mut load = |table, second, files, kb, seconds| {
            let start = warehouse.on_day(day, second);
            let compressed = !(table == "sales" && warehouse.has("uncompressed files"));
            all.push(Load { table, start, files, kb, seconds, compressed });
        };
        load("sales", 10_800, SLICES * 2, 64 * 1_024, 90);
        load("visits", 12_000, SLICES, 48 * 1_024, 60);
    }
    for day in 1..=6 {
        let mut odd = |fault: &str, table, second, files, kb, seconds| {
            if warehouse.has(fault) {
                let start = warehouse.on_day(day, second);
                all.push(Load { table, start, files, kb, seconds, compressed: true });
            }
        };
        odd("fewer files than slices", "prices", 13_000, 1, 300 * 1_024, 300);
        odd("uneven files", "stock", 13_600, SLICES + 3, 20 * 1_024, 60);
        odd("huge files", "events", 14_200, SLICES, 1_900 * 1_024, 1_800);
        odd("tiny files", "notes", 16_200, 400, 90, 90);
        odd("overlapping loads", "baskets", 17_000, SLICES, 40 * 1_024, 200);
        odd("overlapping loads", "baskets", 17_050, SLICES, 40 * 1_024, 200);
    }
    if warehouse.has("a stream of COPY") {
        let start = |n: i64| warehouse.on_day(4, 18_000 + n * 30);
        all.extend((0..112).map(|n| Load {
            table: "returns",
            start: start(n),
            files: SLICES,
            kb: 2_048,
            seconds: 4,
            compressed: true,
        }));
    }
    for load in &all {
        copy(warehouse, load);
    }
    if warehouse.has("repeated requests") {
        for n in 0..30 {
            let start = warehouse.on_day(2, 10_900 + n);
            request(warehouse, "crowded-bucket", 990, start, 4 * MB, 12 * MB, 3);
        }
        let query = warehouse.id();
        let start = warehouse.on_day(2, 10_900);
        let row = of_a_cluster(warehouse, 990, query, "copy shop.visits from 's3://crowded-bucket/visits'", start, 60);
        warehouse.put("stl_query", row);
    }
    if warehouse.has("compression analysis") {
        for day in 1..=6 {
            let (query, xid) = (warehouse.id(), warehouse.id());
            let start = warehouse.on_day(day, 10_790);
            let row = of_a_cluster(warehouse, query, xid, "analyze compression phase 1", start, 9);
            warehouse.put("stl_query", row);
        }
    }
}

/// A statement that only a cluster's log tells of.
fn of_a_cluster(warehouse: &Warehouse, query: i64, xid: i64, text: &str, start: NaiveDateTime, seconds: i64) -> Value {
    json!({
        "userid": 101, "query": query, "label": "default", "xid": xid, "pid": 40_001, "database": warehouse.database(),
        "querytxt": text, "starttime": start, "endtime": start + Duration::seconds(seconds), "aborted": 0,
        "insert_pristine": 0, "concurrency_scaling_status": 0,
    })
}

fn copy(warehouse: &mut Warehouse, load: &Load) {
    let Load { table, start, files, kb, seconds, compressed } = load;
    let text = format!("copy shop.{table} from 's3://lake/{table}/' iam_role default format csv gzip");
    let mut statement = Statement::new("COPY", text, *start, seconds * 1_000);
    statement.rows = 0;
    let query = run(warehouse, &statement);
    let (bytes, rows) = (files * kb * 1_024, files * kb * 10);
    let database = warehouse.database().to_owned();
    let end = *start + Duration::seconds(*seconds);
    warehouse.put(
        "load",
        json!({
            "userid": 101, "query": query, "session": 40_001, "database_name": database, "status": "completed",
            "table_name": table, "starttime": start, "endtime": end, "data_source": format!("s3://lake/{table}/"),
            "file_format": "CSV", "loaded_rows": rows, "file_count": files, "file_bytes": bytes, "error_count": 0,
        }),
    );
    // A few files stand for all of them: the views are per file, and no section needs each.
    for file in 0..(*files).min(4) {
        let name = format!("s3://lake/{table}/{query}/part-{file:04}.csv.gz");
        warehouse.put(
            "load_file",
            json!({
                "userid": 101, "query": query, "name": name, "filename": name, "lines_scanned": kb * 10, "errors": 0,
                "curtime": end, "file_format": "Text",
            }),
        );
        warehouse.put(
            "sys_load_detail",
            json!({
                "user_id": 101, "query_id": query, "file_name": name,
                "bytes_scanned": (kb * 1_024).min(i64::from(i32::MAX)), "lines_scanned": kb * 10, "record_time": end,
                "splits_scanned": 1, "start_time": start, "end_time": end, "file_etag": "", "file_last_modified": start,
            }),
        );
        let data = if *compressed { kb * 1_024 * 4 } else { kb * 1_024 };
        request(warehouse, "lake", query, *start, kb * 1_024, data, 0);
    }
}

fn request(
    warehouse: &mut Warehouse,
    bucket: &str,
    query: i64,
    start: NaiveDateTime,
    transferred: i64,
    data: i64,
    retries: i64,
) {
    let key = format!("part-{}", warehouse.id());
    warehouse.put(
        "stl_s3client",
        json!({
            "userid": 101, "query": query, "slice": 0, "recordtime": start + Duration::seconds(1), "pid": 40_001,
            "http_method": "GET", "bucket": bucket, "key": key, "transfer_size": transferred, "data_size": data,
            "start_time": 0, "end_time": 400_000, "transfer_time": 300_000, "compression_time": 90_000,
            "connect_time": 2_000, "app_connect_time": 1_000, "retries": retries, "request_id": "",
            "extended_request_id": "", "ip_address": "", "is_partial": 0, "start_offset": 0, "query_uuid": "",
        }),
    );
}

fn load_errors(warehouse: &mut Warehouse) {
    let kinds = [
        ("load error: too long", 1204, "note", "varchar", "String length exceeds DDL length"),
        ("load error: date", 1205, "returned_date", "date", "Invalid Date Format - length must be 10 or more"),
        ("load error: number", 1207, "customer_id", "int8", "Invalid digit, Value 'C', Pos 0, Type: Long"),
        (
            "load error: text",
            1220,
            "note",
            "varchar",
            "String contains invalid or unsupported UTF-8 codepoints. Bad UTF-8 hex sequence: a4 (error 3)",
        ),
        ("load error: columns", 1202, "", "", "Extra column(s) found"),
        ("load error: null", 1213, "id", "int8", "Missing data for not-null field"),
    ];
    for (place, (fault, code, column, kind, message)) in (0..).zip(kinds) {
        if !warehouse.has(fault) {
            continue;
        }
        for n in 0..9 {
            let start = warehouse.on_day(1 + n % 5, 20_000 + place * 600);
            let query = warehouse.id();
            let database = warehouse.database().to_owned();
            warehouse.put(
                "load_error",
                json!({
                    "userid": 101, "query": query, "session": 40_002, "database_name": database, "tbl": 200_001 + place,
                    "starttime": start, "filename": format!("s3://lake/bad/{code}/{n}.csv"), "line_number": 17 + n,
                    "colname": column, "type": kind, "col_length": "256", "position": 3, "raw_line": "1,C,,x",
                    "raw_field_value": "C", "err_code": code, "err_reason": message,
                }),
            );
        }
    }
}

fn unloads(warehouse: &mut Warehouse) {
    let mut all = vec![("good", "PARQUET", "SNAPPY", SLICES, 640, "completed", "")];
    let add = |fault: &str, unload, all: &mut Vec<_>, warehouse: &Warehouse| {
        if warehouse.has(fault) {
            all.push(unload);
        }
    };
    add("unload as text", ("text", "CSV", "GZIP", SLICES, 900, "completed", ""), &mut all, warehouse);
    add("unload of plain text", ("plain", "TEXT", "NONE", SLICES, 1_600, "completed", ""), &mut all, warehouse);
    add("unload to one file", ("one", "PARQUET", "SNAPPY", 1, 3_000, "completed", ""), &mut all, warehouse);
    add("unload to tiny files", ("tiny", "PARQUET", "SNAPPY", 300, 60, "completed", ""), &mut all, warehouse);
    let denied = "S3ServiceException:Access Denied,Status 403,Error AccessDenied";
    add("failing unload", ("denied", "PARQUET", "", 0, 0, "aborted", denied), &mut all, warehouse);
    for (place, (name, format, compression, files, mb, status, error)) in (0..).zip(all) {
        let start = warehouse.on_day(2, 22_000 + place * 900);
        let end = start + Duration::seconds(80);
        let location = format!("s3://lake/out/{name}/");
        let text = format!("unload ('select id from shop.sales') to '{location}' iam_role default");
        let mut statement = Statement::new("UNLOAD", text, start, 80_000);
        statement.error = error;
        let query = run(warehouse, &statement);
        let database = warehouse.database().to_owned();
        warehouse.put(
            "unload",
            json!({
                "userid": 101, "query": query, "session": 40_003, "database_name": database, "status": status,
                "starttime": start, "endtime": end, "file_format": format, "compression_type": compression,
                "unloaded_location": location, "unloaded_rows": mb * 10_000, "unloaded_files_count": files,
                "unloaded_files_size": mb * MB, "error_message": error,
            }),
        );
        for file in 0..files.min(4) {
            warehouse.put(
                "unload_file",
                json!({
                    "userid": 101, "query": query, "session": 40_003, "slice": file,
                    "path": format!("{location}{file:04}_part_00"), "starttime": start, "endtime": end,
                    "line_count": mb * 10_000 / files, "transfer_size": mb * MB / files, "file_format": format,
                }),
            );
        }
    }
}

/// An external table: how its queries read it.
struct External {
    name: &'static str,
    format: &'static str,
    partitions: i64,
    qualified: i64,
    files: i64,
    mb_per_file: i64,
    returned_mb: i64,
    warning: &'static str,
}

fn external(warehouse: &mut Warehouse) {
    let good = |name| External {
        name,
        format: "parquet",
        partitions: 365,
        qualified: 7,
        files: 40,
        mb_per_file: 180,
        returned_mb: 12,
        warning: "",
    };
    let mut all = vec![good("lake.orders")];
    let mut add = |fault: &str, table: External| {
        if warehouse.has(fault) {
            all.push(table);
        }
    };
    add("external text", External { format: "text", ..good("lake.logs") });
    add("small external files", External { mb_per_file: 3, files: 600, ..good("lake.clicks") });
    add("many external files", External { files: 4_000, mb_per_file: 70, ..good("lake.views") });
    add("every partition", External { qualified: 365, ..good("lake.archive") });
    add("no partitions", External { partitions: 0, qualified: 0, files: 900, ..good("lake.history") });
    add("much brought back", External { returned_mb: 6_000, ..good("lake.exports") });
    add(
        "external warnings",
        External { warning: "Some files were skipped since their name begins with _", ..good("lake.partners") },
    );
    for (place, table) in (0..).zip(all) {
        for day in 1..=6 {
            let start = warehouse.on_day(day, 31_000 + place * 300);
            let text = format!("select count(*) from {} where day >= '2026-01-01'", table.name);
            let query = run(warehouse, &Statement::new("SELECT", text, start, 9_000));
            let xid = warehouse.id();
            let end = start + Duration::seconds(8);
            let bytes = table.files * table.mb_per_file * MB;
            warehouse.put(
                "sys_external_query_detail",
                json!({
                    "user_id": 102, "query_id": query, "transaction_id": xid, "child_query_sequence": 1,
                    "segment_id": 1, "source_type": "S3", "start_time": start, "end_time": end, "duration": 8_000_000,
                    "total_partitions": table.partitions, "qualified_partitions": table.qualified,
                    "scanned_files": table.files, "returned_rows": table.returned_mb * 9_000,
                    "returned_bytes": table.returned_mb * MB, "file_format": table.format,
                    "file_location": "s3://lake/", "external_query_text": "", "warning_message": table.warning,
                    "table_name": table.name, "is_recursive": "f", "is_nested": "f", "s3list_time": 300,
                    "get_partition_time": 90, "query_uuid": "",
                }),
            );
            warehouse.put(
                "svl_s3query_summary",
                json!({
                    "userid": 102, "query": query, "xid": xid, "pid": 40_000, "segment": 1, "step": 0,
                    "starttime": start, "endtime": end, "elapsed": 8_000_000, "aborted": 0,
                    "external_table_name": table.name, "file_format": table.format,
                    "is_partitioned": if table.partitions > 0 { "t" } else { "f" }, "is_rrscan": "f", "is_nested": "f",
                    "s3_scanned_rows": bytes / 100, "s3_scanned_bytes": bytes,
                    "s3query_returned_rows": table.returned_mb * 9_000,
                    "s3query_returned_bytes": table.returned_mb * MB, "files": table.files,
                    "files_max": table.files / 8 + 1, "files_avg": table.files / 8, "splits": table.files,
                    "splits_max": table.files / 8 + 1, "splits_avg": table.files / 8, "total_split_size": bytes,
                    "max_split_size": table.mb_per_file * MB, "avg_split_size": table.mb_per_file * MB,
                    "total_retries": 0, "max_retries": 0, "max_request_duration": 900_000,
                    "avg_request_duration": 400_000.0, "max_request_parallelism": 10, "avg_request_parallelism": 6.5,
                    "total_slowdown_count": 0, "max_slowdown_count": 0,
                }),
            );
            warehouse.put(
                "svl_s3partition_summary",
                json!({
                    "query": query, "segment": 1, "assignment": "S", "min_starttime": start, "max_endtime": end,
                    "min_duration": 90_000, "max_duration": 90_000, "avg_duration": 90_000,
                    "total_partitions": table.partitions, "qualified_partitions": table.qualified,
                    "min_assigned_partitions": 1, "max_assigned_partitions": 9, "avg_assigned_partitions": 4,
                }),
            );
        }
    }
}

fn units(warehouse: &mut Warehouse) {
    let always = warehouse.has("a workgroup that never rests");
    let stored = stored_mb(warehouse);
    for day in 0..=7 {
        for hour in 0..24 {
            let start = warehouse.on_day(day, hour * 3_600);
            let work = (7..19).contains(&hour) && day > 0;
            if !work && !always || start > warehouse.ago(0) {
                continue;
            }
            let computed = warehouse.between(20_000, 60_000);
            // A burst every few minutes: each is charged for at least a minute.
            let bursts = day == 3 && hour == 8 && warehouse.has("small bursts");
            let abroad = if day == 2 && hour == 9 { warehouse.or("data for other regions", 700_000_000, 0) } else { 0 };
            warehouse.put(
                "sys_serverless_usage",
                json!({
                    "start_time": start, "end_time": start + Duration::hours(1),
                    "compute_seconds": if bursts { 3_000 } else { computed }, "compute_capacity": 32.0,
                    "data_storage": stored - day * 100, "cross_region_transferred_data": abroad,
                    "charged_seconds": if bursts { 15_000 } else { computed + 1_000 },
                    "charged_extra_compute_for_automatic_optimization_seconds": 0,
                }),
            );
        }
    }
}
