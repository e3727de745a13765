//! VACUUM, ANALYZE, commits, and what Redshift did or proposes to do to tables by itself.

use super::tables::NAMES;
use super::warehouse::Warehouse;
use chrono::{Duration, NaiveDateTime};
use serde_json::json;

pub(super) fn fill(warehouse: &mut Warehouse) {
    proposals(warehouse);
    automatic(warehouse);
    vacuum(warehouse);
    analyze(warehouse);
    commits(warehouse);
}

fn proposals(warehouse: &mut Warehouse) {
    let all = [
        (
            "proposed distribution key",
            "diststyle",
            200_008,
            "ALTER TABLE \"shop\".\"visits\" ALTER DISTSTYLE KEY DISTKEY \"customer_id\"",
        ),
        (
            "proposed sort key",
            "sortkey",
            200_002,
            "ALTER TABLE \"shop\".\"events\" ALTER COMPOUND SORTKEY (\"created_at\")",
        ),
        ("proposed encoding", "encode", 200_005, "ALTER TABLE \"shop\".\"imports\" ALTER COLUMN \"note\" ENCODE zstd"),
    ];
    for (fault, kind, table, ddl) in all {
        if warehouse.has(fault) {
            // Only distribution keys come in groups.
            let group = if kind == "diststyle" { 1 } else { -1 };
            let row = json!({
                "type": kind, "database": warehouse.database(), "table_id": table, "group_id": group, "ddl": ddl,
                "auto_eligible": "f",
            });
            warehouse.put("svv_alter_table_recommendations", row);
        }
    }
}

fn automatic(warehouse: &mut Warehouse) {
    let mut statuses = vec![(200_001, "sortkey", "Start"), (200_001, "sortkey", "Complete: 100%")];
    if warehouse.has("optimization gives up") {
        statuses.extend([(200_006, "distkey", "Abort: Table conflict with user query"); 4]);
    }
    if warehouse.has("optimization passes over") {
        statuses.extend([(200_008, "sortkey", "Skipped: Not enough time left in the quiet period"); 5]);
    }
    for (sequence, (table, kind, status)) in (1..).zip(statuses) {
        let (transaction, session, time) = (warehouse.id(), warehouse.id(), warehouse.ago(sequence * 500));
        warehouse.put(
            "sys_auto_table_optimization",
            json!({
                "transaction_id": transaction, "session_id": session, "table_id": table, "alter_table_type": kind,
                "status": status, "event_time": time, "alter_from": "",
            }),
        );
        warehouse.put(
            "svl_auto_worker_action",
            json!({ "table_id": table, "type": kind, "status": status, "eventtime": time, "sequence": 0, "previous_state": "" }),
        );
    }
}

fn vacuum(warehouse: &mut Warehouse) {
    let database = warehouse.database().to_owned();
    for day in 1..=6 {
        for (id, name) in &NAMES[..6] {
            let failed = *name == "baskets" && day < 4 && warehouse.has("failing VACUUM");
            let long = *name == "sales" && day == 2 && warehouse.has("a long VACUUM");
            let automatic = !failed && !long;
            let seconds = if long { 9_000 } else { warehouse.between(5, 200) };
            let start = warehouse.on_day(day, 7_200 + (id - 200_000) * 1_000);
            let end = start + Duration::seconds(seconds);
            let (transaction, query) = (warehouse.id(), warehouse.id());
            warehouse.put(
                "sys_vacuum_history",
                json!({
                    "user_id": 101, "transaction_id": transaction,
                    "query_id": if automatic { json!(null) } else { json!(query) }, "database_name": database,
                    "schema_name": "shop", "table_name": name, "table_id": id, "vacuum_type": "Full",
                    "is_automatic": automatic, "status": if failed { "Failed" } else { "Complete" },
                    "start_time": start, "end_time": end,
                    // An integer of microseconds ends at 35 minutes; the guide says integer, and the service counts on.
                    "record_time": end, "duration": (seconds * 1_000_000).min(i64::from(i32::MAX)),
                    "rows_before_vacuum": 1_000_000, "size_before_vacuum": 900, "reclaimable_rows": 20_000,
                    "reclaimed_rows": if failed { 0 } else { 20_000 }, "reclaimed_blocks": if failed { 0 } else { 18 },
                    "sortedrows_before_vacuum": 950_000, "sortedrows_after_vacuum": 980_000,
                }),
            );
            warehouse.put(
                "stl_vacuum",
                json!({
                    "userid": 101, "xid": transaction, "table_id": id,
                    "status": if failed { "Started" } else { "Finished" }, "rows": 980_000, "sortedrows": 980_000,
                    "blocks": 882, "max_merge_partitions": 0, "eventtime": end, "reclaimable_rows": 20_000,
                    "reclaimable_space_mb": 18, "cutoff_xid": transaction, "is_recluster": 0,
                }),
            );
        }
    }
}

fn analyze(warehouse: &mut Warehouse) {
    let database = warehouse.database().to_owned();
    for (id, name) in NAMES {
        let by_hand = name == "prices" && warehouse.has("needless ANALYZE");
        for run in 0..if by_hand { 14 } else { 3 } {
            let start = warehouse.on_day(1 + run % 6, 14_000 + id % 100 * 60 + run * 1_200);
            let end = start + Duration::milliseconds(warehouse.between(200, 9_000));
            let transaction = warehouse.id();
            let status = if by_hand { "Skipped" } else { "Full" };
            warehouse.put(
                "sys_analyze_history",
                json!({
                    "user_id": 101, "transaction_id": transaction, "database_name": database, "schema_name": "shop",
                    "table_name": name, "table_id": id, "is_automatic": if by_hand { "f" } else { "t" },
                    "status": status, "start_time": start, "end_time": end, "rows": 1_000_000.0,
                    "modified_rows": 150_000.0, "analyze_threshold_percent": 10, "last_analyze_time": start,
                }),
            );
            warehouse.put(
                "stl_analyze",
                json!({
                    "userid": 101, "xid": transaction, "database": database, "table_id": id, "status": status,
                    "rows": 1_000_000.0, "modified_rows": 150_000.0, "threshold_percent": 10,
                    "is_auto": if by_hand { "f" } else { "t" }, "starttime": start, "endtime": end, "prevtime": start,
                    "num_predicate_cols": 2, "num_new_predicate_cols": 0, "is_background": "f",
                    "auto_analyze_phase": "", "schema_name": "shop", "table_name": name,
                }),
            );
        }
    }
}

/// A commit: when it began to wait, for how long, behind how many, how long it took (milliseconds).
struct Commit {
    start: NaiveDateTime,
    wait: i64,
    queue: i64,
    work: i64,
}

fn commits(warehouse: &mut Warehouse) {
    let mut all = Vec::new();
    for day in 1..=6 {
        for hour in 7..19 {
            for _ in 0..4 {
                let second = warehouse.between(0, 3_600);
                let start = warehouse.on_day(day, hour * 3_600 + second);
                all.push(Commit { start, wait: 5, queue: 0, work: warehouse.between(20, 400) });
            }
        }
    }
    if warehouse.has("many commits") {
        all.extend((0..540).map(|n| Commit {
            start: warehouse.on_day(2, 43_200 + n * 6),
            wait: 30,
            queue: 1,
            work: 120,
        }));
    }
    if warehouse.has("a long commit queue") {
        all.push(Commit { start: warehouse.on_day(3, 50_400), wait: 4_000, queue: 23, work: 300 });
    }
    if warehouse.has("waiting commits") {
        all.push(Commit { start: warehouse.on_day(4, 50_400), wait: 41_000, queue: 3, work: 300 });
    }
    if warehouse.has("slow commits") {
        all.extend((0..5).map(|n| Commit {
            start: warehouse.on_day(5, 75_600 + n * 60),
            wait: 10,
            queue: 0,
            work: 6_500,
        }));
    }
    for Commit { start, wait, queue, work } in all {
        let begun = start + Duration::milliseconds(wait);
        let end = begun + Duration::milliseconds(work);
        let (xid, blocks) = (warehouse.id(), warehouse.between(4, 90));
        warehouse.put(
            "stl_commit_stats",
            json!({
                "xid": xid, "node": -1, "startqueue": start, "startwork": begun, "endflush": begun, "endstage": begun,
                "endlocal": begun, "startglobal": begun, "endtime": end, "queuelen": queue, "permblocks": 500_000,
                "newblocks": blocks, "dirtyblocks": blocks, "headers": blocks, "numxids": 2, "oldestxid": xid - 5,
                "extwritelatency": 0, "metadatawritten": 1, "tombstonedblocks": 0, "tossedblocks": 0, "batched_by": 0,
            }),
        );
        warehouse.put(
            "sys_transaction_history",
            json!({
                "user_id": 101, "transaction_id": xid, "isolation_level": "Snapshot Isolation", "status": "committed",
                "transaction_start_time": start - Duration::seconds(2), "commit_start_time": begun,
                "commit_end_time": end, "blocks_committed": blocks, "undo_transaction_id": -1,
            }),
        );
    }
}
