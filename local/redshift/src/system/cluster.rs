//! Nodes, disks, queues, monitoring rules, data shares, logins: what a warehouse has beside tables and statements.

use super::warehouse::Warehouse;
use serde_json::json;

/// Slices of the cluster; loads are measured against it.
pub(super) const SLICES: i64 = 8;

pub(super) fn fill(warehouse: &mut Warehouse) {
    nodes(warehouse);
    queues(warehouse);
    monitoring_rules(warehouse);
    data_shares(warehouse);
    connections(warehouse);
    transactions(warehouse);
    if !warehouse.has("login without sys:monitor") {
        warehouse
            .put("svv_user_grants", json!({ "role_id": 9_001, "role_name": "sys:monitor", "admin_option": false }));
    }
}

/// Capacity and use of each node, in MB.
fn disks(warehouse: &Warehouse) -> [(i64, i64); 4] {
    // dc2.large and ra3.xlplus, by the size of their disk.
    let capacity = warehouse.or("previous generation nodes", 190_633, 2_002_943);
    let percents = [
        warehouse.or("a full node", 94, 56),
        warehouse.or("a filling node", 78, 57),
        warehouse.or("an empty node", 31, 55),
        58,
    ];
    percents.map(|percent| (capacity, capacity * percent / 100))
}

/// What all tables take, in MB.
pub(super) fn stored_mb(warehouse: &Warehouse) -> i64 {
    disks(warehouse).iter().map(|(_, used)| used).sum()
}

fn nodes(warehouse: &mut Warehouse) {
    for (node, (capacity, used)) in (0..).zip(disks(warehouse)) {
        warehouse.put("stv_node_storage_capacity", json!({ "node": node, "used": used, "capacity": capacity }));
        warehouse.put(
            "stv_partitions",
            json!({
                "owner": node, "host": node, "diskno": 0, "part_begin": 0, "part_end": capacity * 1_048_576,
                "used": used, "tossed": 0, "capacity": capacity, "reads": 1_000_000, "writes": 400_000,
                "seek_forward": 0, "seek_back": 0, "is_san": 0, "failed": 0, "mbps": 0, "mount": "/dev/nvme0n1",
            }),
        );
        for slice in 0..SLICES / 4 {
            let number = node * (SLICES / 4) + slice;
            warehouse.put("stv_slices", json!({ "node": node, "slice": number, "localslice": slice, "type": "D" }));
        }
    }
}

/// The service class that every statement of the made-up warehouse runs in.
pub(super) fn busy_queue(warehouse: &Warehouse) -> (i64, &'static str) {
    if warehouse.has("queues configured by hand") { (6, "loads and reports") } else { (100, "Default queue") }
}

fn queues(warehouse: &mut Warehouse) {
    let by_hand = warehouse.has("queues configured by hand");
    let scaling = warehouse.or("no concurrency scaling", "off", "auto");
    let timeout = warehouse.or("a WLM timeout", 1_800_000, 0);
    let (class, name) = busy_queue(warehouse);
    let mut queue = |class: i64, name: &str, slots: i64, timeout: i64, scaling: &str| {
        let priority = if class >= 100 { "normal" } else { "n/a" };
        warehouse.put(
            "stv_wlm_service_class_config",
            json!({
                "service_class": class, "queueing_strategy": "fifo queuing", "num_query_tasks": slots,
                "target_num_query_tasks": slots, "evictable": "false", "eviction_threshold": 0,
                "query_working_mem": if slots > 0 { 1_200 } else { -1 },
                "target_query_working_mem": if slots > 0 { 1_200 } else { -1 }, "min_step_mem": 5, "name": name,
                "max_execution_time": timeout, "user_group_wild_card": false, "query_group_wild_card": false,
                "concurrency_scaling": scaling, "query_priority": priority, "user_role_wild_card": false,
            }),
        );
        warehouse.put(
            "stv_wlm_service_class_state",
            json!({
                "service_class": class, "num_queued_queries": 0, "num_executing_queries": 1,
                "num_serviced_queries": 400, "num_executed_queries": 400, "num_evicted_queries": 0,
                "num_concurrency_scaling_queries": 0,
            }),
        );
    };
    queue(5, "Service class for super user", 1, 0, "off");
    if by_hand {
        // One queue with all the work, one with slots to spare, one without any query.
        queue(class, name, 10, timeout, scaling);
        queue(7, "dashboards", 8, 0, "off");
        queue(8, "ad hoc", 5, 0, "off");
    } else {
        queue(class, name, -1, timeout, scaling);
    }
    queue(15, "Service class for vacuum/analyze", 3, 0, "off");
    if !warehouse.has("no short query acceleration") {
        let scaling = "off";
        warehouse.put(
            "stv_wlm_service_class_config",
            json!({
                "service_class": 14, "queueing_strategy": "fifo queuing", "num_query_tasks": 5,
                "target_num_query_tasks": 5, "evictable": "true", "eviction_threshold": 0, "query_working_mem": 0,
                "target_query_working_mem": 0, "min_step_mem": 5, "name": "Short query queue", "max_execution_time": 0,
                "user_group_wild_card": false, "query_group_wild_card": false, "concurrency_scaling": scaling,
                "query_priority": "n/a", "user_role_wild_card": false,
            }),
        );
    }
}

fn monitoring_rules(warehouse: &mut Warehouse) {
    let (class, name) = busy_queue(warehouse);
    let mut rules = vec![("too_long", "abort", "query_execution_time", 7_200.0)];
    if !warehouse.has("no rule on nested loops") {
        rules.push(("nested_loops", "log", "nested_loop_join_row_count", 100.0));
    }
    for (rule, action, metric, value) in rules {
        // The other queues of a cluster configured by hand are without a rule.
        warehouse.put(
            "stv_wlm_qmr_config",
            json!({
                "service_class": class, "rule_name": rule, "action": action, "metric_name": metric,
                "metric_operator": ">", "metric_value": value, "action_value": "",
            }),
        );
    }
    for _ in 0..warehouse.or("rules that abort", 14, 2) {
        let minutes = warehouse.between(60, 9_000);
        let row = json!({
            "userid": 101, "query": warehouse.id(), "service_class": class, "rule": "too_long", "action": "abort",
            "recordtime": warehouse.ago(minutes), "action_value": "", "service_class_name": name,
        });
        warehouse.put("stl_wlm_rule_action", row);
    }
}

fn data_shares(warehouse: &mut Warehouse) {
    let database = warehouse.database().to_owned();
    let created = warehouse.on_day(120, 36_000);
    let public = warehouse.has("a public data share");
    let consumer = warehouse.or("an unused data share", json!(null), json!("partner"));
    warehouse.put(
        "svv_datashares",
        json!({
            "share_name": "sales_share", "share_id": 200_101, "share_owner": 100, "source_database": database,
            "consumer_database": null, "share_type": "OUTBOUND", "createdate": created, "is_publicaccessible": public,
            "share_acl": "", "producer_account": "000000000000",
            "producer_namespace": "5709a006-6ac3-4a0c-a609-d740640d3080", "managed_by": "",
        }),
    );
    warehouse.put(
        "svv_datashares",
        json!({
            "share_name": "partner_share", "share_id": 200_102, "share_owner": null, "source_database": null,
            "consumer_database": consumer, "share_type": "INBOUND", "createdate": created, "is_publicaccessible": false,
            "share_acl": "", "producer_account": "111111111111",
            "producer_namespace": "2b12345d-1234-4e2b-9fd6-a3a1d5e3a3c1", "managed_by": "",
        }),
    );
    warehouse.put(
        "svv_datashare_objects",
        json!({
            "share_type": "OUTBOUND", "share_name": "sales_share", "object_type": "table", "object_name": "shop.sales",
            "producer_account": "000000000000", "producer_namespace": "5709a006-6ac3-4a0c-a609-d740640d3080",
            "include_new": false,
        }),
    );
    for day in 1..=6 {
        for request in 0..8 {
            let failed = request == 0 && warehouse.has("failing data share requests");
            let time = warehouse.on_day(day, 30_000 + request * 3_000);
            let transaction = warehouse.id();
            warehouse.put(
                "sys_datashare_usage_consumer",
                json!({
                    "user_id": 102, "session_id": 5_000 + day, "transaction_id": transaction,
                    "request_id": format!("request-{day}-{request}"), "request_type": "GET RELATION",
                    "transaction_uid": format!("transaction-{day}-{request}"), "record_time": time,
                    "status": i32::from(failed),
                    "error": if failed { "Producer table not ready for consumption, please retry later." } else { "" },
                }),
            );
        }
    }
}

fn connections(warehouse: &mut Warehouse) {
    struct Client {
        user: &'static str,
        application: &'static str,
        driver: &'static str,
        tls: &'static str,
        logins: i64,
        failures: i64,
    }
    let client =
        |user, application, driver, tls, logins, failures| Client { user, application, driver, tls, logins, failures };
    let current = "Redshift JDBC Driver 2.1.0.30";
    let clients = [
        client("loader", "nightly load", current, "TLSv1.2", 12, 1),
        client("dashboard", "dashboard", current, warehouse.or("old TLS", "TLSv1.1", "TLSv1.3"), 30, 0),
        client(
            "analyst",
            "psql",
            warehouse.or("old driver", "Amazon Redshift ODBC Driver 1.4.40", "libpq 16"),
            "TLSv1.3",
            9,
            0,
        ),
        client("reports", "reports", "libpq 16", warehouse.or("no TLS", "", "TLSv1.3"), 6, 0),
        client("legacy", "sync", current, "TLSv1.2", 2, warehouse.or("failing log-ins", 9, 0)),
    ];
    for c in clients {
        for attempt in 0..c.logins + c.failures {
            let event = if attempt < c.logins { "authenticated" } else { "authentication failure" };
            let minutes = warehouse.between(30, 9_000);
            let (time, session) = (warehouse.ago(minutes), warehouse.id());
            let database = warehouse.database().to_owned();
            warehouse.put(
                "sys_connection_log",
                json!({
                    "event": event, "record_time": time, "remote_host": "::ffff:10.0.0.17", "remote_port": "53412",
                    "session_id": session, "database_name": database, "user_name": c.user, "auth_method": "password",
                    "duration": 0, "ssl_version": c.tls, "ssl_cipher": "ECDHE-RSA-AES256-GCM-SHA384", "mtu": 1_500,
                    "ssl_compression": "", "ssl_expansion": "", "iam_auth_guid": "", "application_name": c.application,
                    "driver_version": c.driver, "os_version": "Linux", "plugin_name": "", "protocol_version": 2,
                    "global_session_id": "",
                }),
            );
            warehouse.put(
                "stl_connection_log",
                json!({
                    "event": event, "recordtime": time, "remotehost": "::ffff:10.0.0.17", "remoteport": "53412",
                    "pid": session, "dbname": database, "username": c.user, "authmethod": "password", "duration": 0,
                    "sslversion": c.tls, "sslcipher": "ECDHE-RSA-AES256-GCM-SHA384", "mtu": 1_500,
                    "application_name": c.application, "os_version": "Linux", "driver_version": c.driver,
                    "protocol_version": 2,
                }),
            );
        }
    }
}

fn transactions(warehouse: &mut Warehouse) {
    let mut open =
        vec![("loader", 30_001, 2, "ShareRowExclusiveLock", true), ("dashboard", 30_002, 1, "AccessShareLock", true)];
    if warehouse.has("a forgotten transaction") {
        open.push(("analyst", 30_003, 340, "AccessExclusiveLock", true));
    }
    if warehouse.has("a blocked transaction") {
        open.push(("loader", 30_004, 25, "ShareRowExclusiveLock", false));
    }
    for (owner, pid, minutes, mode, granted) in open {
        let row = json!({
            "txn_owner": owner, "txn_db": warehouse.database(), "xid": warehouse.id(), "pid": pid,
            "txn_start": warehouse.ago(minutes), "lock_mode": mode, "lockable_object_type": "relation",
            "relation": 200_001, "granted": granted,
        });
        warehouse.put("svv_transactions", row);
    }
}
