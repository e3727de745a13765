//! The statements of the made-up warehouse: an even working week, and on it what goes wrong.

use super::cluster::busy_queue;
use super::tables::NAMES;
use super::warehouse::Warehouse;
use chrono::{Duration, NaiveDateTime};
use serde_json::{Value, json};

/// One statement, times in milliseconds.
#[derive(Clone)]
pub(super) struct Statement {
    pub(super) kind: &'static str,
    pub(super) text: String,
    pub(super) start: NaiveDateTime,
    pub(super) run: i64,
    pub(super) queue: i64,
    pub(super) compile: i64,
    pub(super) lock: i64,
    pub(super) rows: i64,
    pub(super) spilled_mb: i64,
    /// Empty when it succeeded.
    pub(super) error: &'static str,
    pub(super) cancelled: bool,
    pub(super) database: Option<&'static str>,
    joined_rows: i64,
    nested_rows: i64,
    io_skew: f64,
}

impl Statement {
    pub(super) fn new(kind: &'static str, text: impl Into<String>, start: NaiveDateTime, run: i64) -> Self {
        Self {
            kind,
            text: text.into(),
            start,
            run,
            queue: 0,
            compile: 0,
            lock: 0,
            rows: 100,
            spilled_mb: 0,
            error: "",
            cancelled: false,
            database: None,
            joined_rows: 10_000,
            nested_rows: 0,
            io_skew: 1.05,
        }
    }
}

/// What people ask day by day.
const USUAL: [&str; 10] = [
    "select trunc(created_at), sum(amount) from shop.sales where created_at >= dateadd(day, -7, getdate()) group by 1",
    "select customer_id, count(*) from shop.visits where created_at >= dateadd(hour, -1, getdate()) group by 1",
    "select currency, avg(amount) from shop.sales where created_at >= dateadd(day, -1, getdate()) group by 1",
    "select r.id, c.id from shop.returns r join shop.customers c on c.id = r.customer_id where r.created_at >= dateadd(day, -1, getdate())",
    "select count(distinct customer_id) from shop.events where created_at >= dateadd(day, -30, getdate())",
    "select id, amount from shop.stock where amount < 10 order by amount limit 100",
    "select customer_id, max(created_at) from shop.baskets group by 1 having count(*) > 3",
    "select id, note from shop.notes where created_at >= dateadd(day, -2, getdate()) limit 500",
    "select p.id, p.amount from shop.prices p join shop.stock s on s.id = p.id where p.created_at >= dateadd(day, -1, getdate())",
    "select region, sum(amount) from shop.daily join shop.regions using (id) group by region",
];

pub(super) fn fill(warehouse: &mut Warehouse) {
    week(warehouse);
    slow(warehouse);
    crowds(warehouse);
    memory(warehouse);
    joins(warehouse);
    small_statements(warehouse);
    failures(warehouse);
    locks(warehouse);
    alerts(warehouse);
    scaling(warehouse);
}

/// Seven days with work in twelve hours, each kind of query now and then.
fn week(warehouse: &mut Warehouse) {
    for day in 1..=7 {
        for hour in 7..19 {
            if day == 7 && hour > 9 && warehouse.has("an idle day") {
                continue;
            }
            for turn in 0..5 {
                let second = warehouse.between(0, 3_500);
                let start = warehouse.on_day(day, hour * 3_600 + second);
                let place = usize::try_from((day + hour * 5 + turn) % 10).unwrap_or(0);
                let mut statement = Statement::new("SELECT", USUAL[place], start, warehouse.between(4_000, 14_000));
                if turn == 0 && hour == 9 && warehouse.has("several databases") {
                    statement.database = Some("reporting");
                }
                run(warehouse, &statement);
            }
        }
    }
}

fn slow(warehouse: &mut Warehouse) {
    if warehouse.has("a dominant statement") {
        for n in 0..60 {
            let text = "insert into shop.daily select trunc(created_at), sum(amount) from shop.sales group by 1";
            run(
                warehouse,
                &Statement::new("INSERT", text, warehouse.on_day(1 + n % 6, 21_600 + n / 6 * 3_600), 480_000),
            );
        }
    }
    if warehouse.has("long statements") {
        for n in 0..12 {
            let text = "select customer_id, listagg(id, ',') from shop.events group by 1";
            run(warehouse, &Statement::new("SELECT", text, warehouse.on_day(6, 28_800 + n * 1_800), 1_500_000));
        }
    }
    if warehouse.has("compiling") {
        for n in 0..5 {
            let text = "select a.id from shop.sales a join shop.sales b using (id) join shop.sales c using (id) where a.amount > 0";
            let mut statement = Statement::new("SELECT", text, warehouse.on_day(2, 25_000 + n * 900), 8_000);
            statement.compile = 22_000;
            run(warehouse, &statement);
        }
    }
    let (star, large) = (warehouse.has("all columns"), warehouse.has("large results"));
    if star || large {
        let text = if star { "select * from shop.visits" } else { "select id, customer_id from shop.visits" };
        for n in 0..6 {
            let mut statement = Statement::new("SELECT", text, warehouse.on_day(1 + n, 33_000), 45_000);
            statement.rows = if large { 2_600_000 } else { 5_000 };
            run(warehouse, &statement);
        }
    }
    if warehouse.has("a repeated query") {
        for n in 0..130 {
            let text = "select count(*) from shop.baskets where created_at >= dateadd(minute, -5, getdate())";
            run(warehouse, &Statement::new("SELECT", text, warehouse.on_day(2, 25_200 + n * 300), 4_000));
        }
    }
}

fn crowds(warehouse: &mut Warehouse) {
    if warehouse.has("a crowd") {
        for n in 0..18 {
            let text = "select customer_id, sum(amount) from shop.returns group by 1 order by 2 desc limit 20";
            let mut statement = Statement::new("SELECT", text, warehouse.on_day(3, 52_200 + n), 120_000);
            // What the slots do not hold waits.
            statement.queue = if n < 8 { 0 } else { 120_000 };
            run(warehouse, &statement);
        }
    }
    if warehouse.has("waiting queries") {
        for n in 0..40 {
            let text = "select currency, count(*) from shop.events group by 1";
            let mut statement = Statement::new("SELECT", text, warehouse.on_day(4, 36_000 + n * 80), 20_000);
            statement.queue = 130_000;
            run(warehouse, &statement);
        }
    }
}

fn memory(warehouse: &mut Warehouse) {
    if warehouse.has("many spills") {
        for n in 0..110 {
            let table = NAMES[usize::try_from(n % 10).unwrap_or(0)].1;
            let text = format!("select distinct note, customer_id from shop.{table} order by 1");
            let start = warehouse.on_day(1 + n % 6, 27_000 + n / 6 * 1_800);
            let mut statement = Statement::new("SELECT", text, start, 60_000);
            statement.spilled_mb = warehouse.between(1_500, 9_000);
            run(warehouse, &statement);
        }
    }
    if warehouse.has("a large spill") {
        let text =
            "create table shop.wide as select s.*, v.note from shop.sales s join shop.visits v using (customer_id)";
        let mut statement = Statement::new("CTAS", text, warehouse.on_day(3, 70_000), 500_000);
        statement.spilled_mb = 181_000;
        run(warehouse, &statement);
    }
}

fn joins(warehouse: &mut Warehouse) {
    if warehouse.has("nested loops") {
        let text = "select count(*) from shop.sales s join shop.prices p on s.created_at between p.created_at and p.returned_date";
        let mut statement = Statement::new("SELECT", text, warehouse.on_day(2, 66_000), 90_000);
        statement.nested_rows = 5_400_000;
        run(warehouse, &statement);
    }
    if warehouse.has("huge joins") {
        let text = "select count(*) from shop.sales s join shop.events e using (currency)";
        let mut statement = Statement::new("SELECT", text, warehouse.on_day(2, 68_000), 110_000);
        statement.joined_rows = 3_100_000_000;
        run(warehouse, &statement);
    }
    if warehouse.has("uneven reads") {
        let text = "select customer_id, sum(amount) from shop.sales group by 1";
        let mut statement = Statement::new("SELECT", text, warehouse.on_day(3, 66_000), 400_000);
        statement.io_skew = 2.3;
        run(warehouse, &statement);
    }
}

fn small_statements(warehouse: &mut Warehouse) {
    let inserts = warehouse.or("small inserts", 115, 6);
    for n in 0..inserts {
        let text = format!("insert into shop.events (id, customer_id) values ({n}, {})", n * 7);
        let mut statement = Statement::new("INSERT", text, warehouse.on_day(3, 57_600 + n * 30), 300);
        statement.rows = 1;
        run(warehouse, &statement);
    }
}

fn failures(warehouse: &mut Warehouse) {
    let kinds = [
        ("missing rights", 12, "SELECT", "ERROR: permission denied for relation salaries", false),
        (
            "serialization errors",
            6,
            "UPDATE",
            "ERROR: 1023 DETAIL: Serializable isolation violation on table - 200001, transactions forming the cycle are: 7, 9 (pid:81)",
            false,
        ),
        ("full disks", 3, "CTAS", "ERROR: Disk Full DETAIL: error: Disk Full code: 1016 context: node: 0", false),
        ("cancelled queries", 26, "SELECT", "ERROR: Query cancelled on user's request", true),
    ];
    for (place, (fault, times, kind, error, cancelled)) in (0..).zip(kinds) {
        if warehouse.has(fault) {
            for n in 0..times {
                let text = format!("{} /* {fault} */", kind.to_lowercase());
                let mut statement =
                    Statement::new(kind, text, warehouse.on_day(5, 39_600 + place * 3_600 + n * 60), 2_000);
                (statement.error, statement.cancelled, statement.rows) = (error, cancelled, 0);
                run(warehouse, &statement);
            }
        }
    }
}

fn locks(warehouse: &mut Warehouse) {
    for (fault, lock, work, text) in [
        (
            "long lock waits",
            95_000,
            400_000,
            "update shop.stock set amount = amount - 1 where id in (select id from shop.baskets)",
        ),
        (
            "statements bound by locks",
            22_000,
            4_000,
            "delete from shop.baskets where created_at < dateadd(day, -30, getdate())",
        ),
    ] {
        if warehouse.has(fault) {
            for n in 0..5 {
                let kind = if text.starts_with("update") { "UPDATE" } else { "DELETE" };
                let mut statement = Statement::new(kind, text, warehouse.on_day(1 + n, 63_000), work);
                statement.lock = lock;
                run(warehouse, &statement);
            }
        }
    }
}

fn alerts(warehouse: &mut Warehouse) {
    let events = [
        ("alert: statistics", "Missing query planner statistics", "Run the ANALYZE command", 4),
        (
            "alert: nested loop",
            "Nested Loop Join in the query plan",
            "Review the join predicates to avoid Cartesian products",
            8,
        ),
        (
            "alert: filter",
            "Very selective query filter:ratio=rows(41)/rows_pre_user_filter(8182930)=0.000005",
            "Review the choice of sort key to enable range restricted scans, or run the VACUUM command to ensure the table is sorted",
            1,
        ),
        (
            "alert: deleted rows",
            "Scanned a large number of deleted rows:ratio=rows_pre_user_filter(410)/rows_pre_filter(9200)=0.04",
            "Run the VACUUM command to reclaim deleted space",
            5,
        ),
        (
            "alert: distribution",
            "Distributed a large number of rows across the network:8123456 rows were distributed in order to process the aggregation",
            "Review the choice of distribution key to collocate the join or aggregation",
            0,
        ),
        (
            "alert: broadcast",
            "Broadcasted a large number of rows across the network:5123456 rows were broadcasted",
            "Review the choice of distribution key to collocate the join and consider using distributed tables",
            7,
        ),
        (
            "alert: serial join",
            "DS_DIST_ALL_INNER for Hash Join in the query plan",
            "Review the choice of distribution strategy to distribute the inner, rather than outer, table",
            9,
        ),
    ];
    for (place, (fault, event, solution, table)) in (0..).zip(events) {
        if !warehouse.has(fault) {
            continue;
        }
        let (table_id, table) = NAMES[table];
        for n in 0..2 + place % 4 {
            let start = warehouse.on_day(1 + n, 60_000 + place * 400);
            let text = format!("select count(*) from shop.{table} where customer_id = {n}");
            let query = run(warehouse, &Statement::new("SELECT", text, start, 25_000));
            let xid = warehouse.id();
            for slice in 0..2 {
                warehouse.put(
                    "stl_alert_event_log",
                    json!({
                        "userid": 102, "query": query, "slice": slice, "segment": 2, "step": 3, "pid": 40_000,
                        "xid": xid, "event": event, "solution": solution, "event_time": start + Duration::seconds(3),
                    }),
                );
                warehouse.put(
                    "stl_scan",
                    json!({
                        "userid": 102, "query": query, "slice": slice, "segment": 2, "step": 0, "starttime": start,
                        "endtime": start + Duration::seconds(20), "tasknum": 1, "rows": 41, "bytes": 328, "fetches": 1,
                        "type": 2, "tbl": table_id, "is_rrscan": "f", "is_delayed_scan": "f",
                        "rows_pre_filter": 8_182_930, "rows_pre_user_filter": 8_182_930, "perm_table_name": table,
                        "is_rlf_scan": "f", "is_rlf_scan_reason": 0, "num_em_blocks": 0, "checksum": 0,
                        "runtime_filtering": "f",
                    }),
                );
            }
            let mut row = detail(query, start, 20_000, "scan");
            row["alert"] = json!(event);
            (row["table_id"], row["table_name"]) = (json!(table_id), json!(table));
            warehouse.put("sys_query_detail", row);
        }
    }
}

fn scaling(warehouse: &mut Warehouse) {
    let days = [
        (1, 240),
        (2, warehouse.or("much concurrency scaling", 1_500, 300)),
        (3, warehouse.or("charged scaling", 5_400, 120)),
    ];
    for (day, seconds) in days {
        let start = warehouse.on_day(day, 36_000);
        warehouse.put(
            "svcs_concurrency_scaling_usage",
            json!({
                "start_time": start, "end_time": start + Duration::seconds(seconds), "queries": seconds / 30,
                "usage_in_seconds": seconds,
            }),
        );
    }
}

/// A step of a query as sys_query_detail has it.
fn detail(query: i64, start: NaiveDateTime, milliseconds: i64, step: &str) -> Value {
    json!({
        "user_id": 102, "query_id": query, "child_query_sequence": 1, "stream_id": 0, "segment_id": 2, "step_id": 3,
        "step_name": step, "table_id": 0, "table_name": "", "is_rrscan": "f", "start_time": start,
        "end_time": start + Duration::milliseconds(milliseconds), "duration": milliseconds * 1_000, "alert": "",
        "input_bytes": 8_000_000, "input_rows": 100_000, "output_bytes": 80_000, "output_rows": 1_000,
        "blocks_read": 120, "blocks_write": 0, "local_read_io": 120, "remote_read_io": 0, "source": "",
        "data_skewness": 2, "time_skewness": 3, "is_active": "f", "spilled_block_local_disk": 0,
        "spilled_block_remote_disk": 0, "step_attribute": "", "metrics_level": "step", "plan_parent_id": 1,
        "plan_node_id": 2,
    })
}

/// Puts a statement into every view that knows of statements, and answers with its id.
pub(super) fn run(warehouse: &mut Warehouse, statement: &Statement) -> i64 {
    let Statement { kind, text, start, run, queue, compile, lock, rows, spilled_mb, error, .. } = statement;
    let (query, xid) = (warehouse.id(), warehouse.id());
    let (user, username) = if *kind == "SELECT" { (102, "analyst") } else { (101, "loader") };
    let (mut class, mut class_name) = busy_queue(warehouse);
    let elapsed = queue + compile + lock + run;
    let end = *start + Duration::milliseconds(elapsed);
    let exec_start = *start + Duration::milliseconds(*queue);
    let database = statement.database.unwrap_or(warehouse.database()).to_owned();
    let hash = text
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .fold(7_u64, |hash, c| hash.wrapping_mul(31).wrapping_add(c.into()));
    let status = match (error.is_empty(), statement.cancelled) {
        (true, _) => "success",
        (false, true) => "canceled",
        (false, false) => "failed",
    };
    if warehouse.serverless() {
        (class, class_name) = (-1, "");
    }
    warehouse.put(
        "sys_query_history",
        json!({
            "user_id": user, "query_id": query, "query_label": "default", "transaction_id": xid, "session_id": 40_000,
            "database_name": database, "query_type": kind, "status": status, "result_cache_hit": false,
            "start_time": start, "end_time": end, "elapsed_time": elapsed * 1_000, "queue_time": queue * 1_000,
            "execution_time": (compile + run) * 1_000, "error_message": error, "returned_rows": rows,
            "returned_bytes": rows * 40, "query_text": text, "redshift_version": "1.0.123456", "usage_limit": "",
            "compute_type": "primary", "compile_time": compile * 1_000, "planning_time": 9_000,
            "lock_wait_time": lock * 1_000, "service_class_id": class, "service_class_name": class_name,
            "query_priority": "Normal", "short_query_accelerated": "false", "user_query_hash": format!("{hash:016x}"),
            "generic_query_hash": format!("{hash:016x}"), "query_hash_version": 1, "result_cache_query_id": null,
            "username": username,
        }),
    );
    if *spilled_mb > 0 {
        let mut step = detail(query, exec_start, *run, "sort");
        step["spilled_block_local_disk"] = json!(spilled_mb);
        let mut whole = step.clone();
        (whole["stream_id"], whole["segment_id"], whole["step_id"]) = (json!(-1), json!(-1), json!(-1));
        (whole["step_name"], whole["metrics_level"]) = (json!(""), json!("child query"));
        warehouse.put("sys_query_detail", step);
        warehouse.put("sys_query_detail", whole);
        warehouse.put(
            "svl_query_summary",
            json!({
                "userid": user, "query": query, "stm": 1, "seg": 2, "step": 3, "maxtime": run * 1_000,
                "avgtime": run * 900, "rows": 9_000_000, "bytes": 900_000_000, "rate_row": null, "rate_byte": null,
                "label": "sort   tbl=1182", "is_diskbased": "t", "workmem": 1_200_000_000, "is_rrscan": "f",
                "is_delayed_scan": "f", "rows_pre_filter": 0,
            }),
        );
    }
    of_a_cluster(
        warehouse,
        statement,
        &Ids { query, xid, user, class, class_name, database: &database, end, exec_start },
    );
    query
}

/// What the views of a cluster need beside the statement.
struct Ids<'a> {
    query: i64,
    xid: i64,
    user: i64,
    class: i64,
    class_name: &'a str,
    database: &'a str,
    end: NaiveDateTime,
    exec_start: NaiveDateTime,
}

fn of_a_cluster(warehouse: &mut Warehouse, statement: &Statement, ids: &Ids<'_>) {
    let Statement { text, start, run, queue, spilled_mb, .. } = statement;
    let Ids { query, xid, user, class, class_name, database, end, exec_start } = ids;
    warehouse.put(
        "stl_query",
        json!({
            "userid": user, "query": query, "label": "default", "xid": xid, "pid": 40_000, "database": database,
            "querytxt": text, "starttime": start, "endtime": end, "aborted": i32::from(!statement.error.is_empty()),
            "insert_pristine": 0, "concurrency_scaling_status": 0,
        }),
    );
    let exec = (*end - *exec_start).num_milliseconds() * 1_000;
    warehouse.put(
        "stl_wlm_query",
        json!({
            "userid": user, "xid": xid, "task": query, "query": query, "service_class": class, "slot_count": 1,
            "service_class_start_time": start, "queue_start_time": start, "queue_end_time": exec_start,
            "total_queue_time": queue * 1_000, "exec_start_time": exec_start, "exec_end_time": end,
            "total_exec_time": exec, "service_class_end_time": end, "final_state": "Completed",
            "est_peak_mem": 200_000_000, "query_priority": "Normal", "service_class_name": class_name,
        }),
    );
    warehouse.put(
        "svl_query_metrics_summary",
        json!({
            "userid": user, "query": query, "service_class": class, "query_cpu_time": run / 1_500,
            "query_blocks_read": 1_200, "query_execution_time": run / 1_000, "query_cpu_usage_percent": 24.5,
            "query_temp_blocks_to_disk": if *spilled_mb > 0 { json!(spilled_mb) } else { json!(null) },
            "segment_execution_time": run / 1_300, "cpu_skew": 1.1, "io_skew": statement.io_skew,
            "scan_row_count": 1_000_000, "join_row_count": statement.joined_rows,
            "nested_loop_join_row_count": statement.nested_rows,
            "return_row_count": if statement.kind == "SELECT" { statement.rows } else { 0 },
            "spectrum_scan_row_count": null, "spectrum_scan_size_mb": null, "query_queue_time": queue / 1_000,
        }),
    );
}
