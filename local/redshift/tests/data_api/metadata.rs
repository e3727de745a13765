//! ListDatabases, ListSchemas, ListTables, DescribeTable.

use crate::setting::{Setting, caller};
use serde_json::{Value, json};

async fn tables() -> Setting {
    let s = Setting::new().await;
    for sql in [
        "create schema sales",
        "create table sales.orders (id bigint not null, amount decimal(10,2) default 0, note varchar(20), at timestamp)",
        "create table sales.order_items (id int, data super)",
        "create table public.other (flag boolean)",
        "create view sales.latest as select id from sales.orders",
    ] {
        s.finished(sql).await;
    }
    s
}

async fn ask(s: &Setting, operation: &str, body: Value) -> Value {
    s.call(operation, s.on_cluster(body)).await.unwrap()
}

#[tokio::test]
async fn databases_are_those_of_the_target() {
    let s = Setting::new().await;
    assert_eq!(ask(&s, "ListDatabases", json!({})).await, json!({"Databases": [s.database]}));
    let body = json!({"WorkgroupName": "wg-1", "Database": "serverless"});
    assert_eq!(s.call("ListDatabases", body).await.unwrap(), json!({"Databases": ["serverless"]}));
}

#[tokio::test]
async fn schemas_by_pattern() {
    let s = tables().await;
    for (pattern, expected) in [
        (json!(null), json!(["information_schema", "pg_catalog", "public", "sales"])),
        (json!("%a%"), json!(["information_schema", "pg_catalog", "sales"])),
        (json!("sale_"), json!(["sales"])),
        (json!("s"), json!([])),
        (json!("SALES"), json!([])),
        (json!("redshift%"), json!([])),
    ] {
        let answer = ask(&s, "ListSchemas", json!({ "SchemaPattern": pattern })).await;
        assert_eq!(answer, json!({ "Schemas": expected }), "{pattern}");
    }
}

#[tokio::test]
async fn tables_by_pattern_and_with_their_type() {
    let s = tables().await;
    let table = |name: &str, schema: &str, ty: &str| json!({"name": name, "type": ty, "schema": schema});
    let (orders, items) = (table("orders", "sales", "TABLE"), table("order_items", "sales", "TABLE"));
    let (latest, other) = (table("latest", "sales", "VIEW"), table("other", "public", "TABLE"));
    for (body, expected) in [
        (json!({"SchemaPattern": "sales"}), json!([items, orders, latest])),
        (json!({"SchemaPattern": "sales", "TablePattern": "order_"}), json!([orders])),
        (json!({"SchemaPattern": "sales", "TablePattern": "order%"}), json!([items, orders])),
        (json!({"TablePattern": "o%"}), json!([other, items, orders])),
        (json!({"SchemaPattern": "public", "TablePattern": "latest"}), json!([])),
        (
            json!({"SchemaPattern": "pg_catalog", "TablePattern": "pg_class"}),
            json!([table("pg_class", "pg_catalog", "SYSTEM TABLE")]),
        ),
        (
            json!({"SchemaPattern": "pg_catalog", "TablePattern": "pg_tables"}),
            json!([table("pg_tables", "pg_catalog", "SYSTEM VIEW")]),
        ),
    ] {
        let answer = ask(&s, "ListTables", body.clone()).await;
        assert_eq!(answer, json!({ "Tables": expected }), "{body}");
    }
    // All tables: nothing of the schema behind the dialect.
    let all = ask(&s, "ListTables", json!({})).await;
    let all = all["Tables"].as_array().unwrap();
    assert!(all.len() > 50 && all.contains(&latest), "{}", all.len());
    assert!(all.iter().all(|table| table["schema"] != "redshift_catalog"));
}

#[tokio::test]
async fn columns_as_the_catalog_knows_them() {
    let s = tables().await;
    let answer = ask(&s, "DescribeTable", json!({"Schema": "sales", "Table": "orders"})).await;
    assert_eq!(answer["TableName"], "orders");
    let shown = |c: &Value| {
        json!([c["name"], c["typeName"], c["precision"], c["scale"], c["length"], c["nullable"], c["columnDefault"]])
    };
    let columns: Vec<Value> = answer["ColumnList"].as_array().unwrap().iter().map(shown).collect();
    assert_eq!(
        json!(columns),
        json!([
            ["id", "int8", 19, 0, 19, 0, null],
            ["amount", "numeric", 10, 2, 10, 1, "0"],
            ["note", "varchar", 20, 0, 20, 1, null],
            ["at", "timestamp", 29, 6, 29, 1, null],
        ])
    );
    let column = &answer["ColumnList"][0];
    assert_eq!((&column["schemaName"], &column["tableName"]), (&json!("sales"), &json!("orders")));
    assert!(column.get("label").is_none());
    // Without a table: every table of the schema; without a schema: the tables of that name.
    let answer = ask(&s, "DescribeTable", json!({"Schema": "sales"})).await;
    assert_eq!((answer["ColumnList"].as_array().unwrap().len(), answer.get("TableName")), (7, None));
    let answer = ask(&s, "DescribeTable", json!({"Table": "other"})).await;
    assert_eq!(answer["ColumnList"][0]["schemaName"], "public");
    let answer = ask(&s, "DescribeTable", json!({"Schema": "sales", "Table": "nowhere"})).await;
    assert_eq!(answer, json!({"ColumnList": [], "TableName": "nowhere"}));
}

#[tokio::test]
async fn pages_hold_everything_once() {
    let s = tables().await;
    for (operation, member, body, count) in [
        ("ListDatabases", "Databases", json!({}), 1),
        ("ListSchemas", "Schemas", json!({}), 4),
        ("ListTables", "Tables", json!({"SchemaPattern": "sales"}), 3),
        ("DescribeTable", "ColumnList", json!({"Schema": "sales"}), 7),
    ] {
        let whole = ask(&s, operation, body.clone()).await;
        assert_eq!(whole[member].as_array().unwrap().len(), count, "{operation}");
        let mut paged = Vec::new();
        let mut next = Value::Null;
        loop {
            let mut page = body.clone();
            page["MaxResults"] = json!(1);
            page["NextToken"] = next;
            let answer = ask(&s, operation, page).await;
            assert_eq!(answer[member].as_array().unwrap().len(), 1, "{operation}");
            paged.extend(answer[member].as_array().unwrap().iter().cloned());
            next = answer["NextToken"].clone();
            if next.is_null() {
                break;
            }
        }
        assert_eq!(json!(paged), whole[member], "{operation}");
    }
    for (body, message) in [
        (json!({"MaxResults": 1001}), "Member must have value less than or equal to 1000"),
        (json!({"MaxResults": -1}), "Member must have value greater than or equal to 0"),
        (json!({"NextToken": "x"}), "NextToken is invalid"),
        // 0 is not a page of nothing.
        (json!({"MaxResults": 0}), ""),
    ] {
        let answer = s.call("ListTables", s.on_cluster(body)).await;
        match answer {
            Ok(answer) => assert!(message.is_empty() && answer["Tables"].as_array().unwrap().len() > 50),
            Err(error) => assert!(!message.is_empty() && error.message.contains(message), "{error}"),
        }
    }
}

#[tokio::test]
async fn where_and_as_whom_is_checked() {
    let s = Setting::new().await;
    for operation in ["ListDatabases", "ListSchemas", "ListTables", "DescribeTable"] {
        for (body, message) in [
            (json!({"Database": "dev"}), "Either ClusterIdentifier, WorkgroupName or SessionId must be given"),
            (json!({"ClusterIdentifier": "c"}), "Database must be given"),
            (json!({"ClusterIdentifier": "no", "Database": "dev"}), "Redshift endpoint doesn't exist in this region."),
            (json!({"ClusterIdentifier": "c", "Database": "no"}), "database \"no\" does not exist"),
            (json!({"ClusterIdentifier": "c", "Database": s.database, "Nonsense": 1}), "Nonsense"),
        ] {
            let error = s.call(operation, body.clone()).await.unwrap_err();
            assert_eq!(error.code, "ValidationException", "{operation} {body}");
            assert!(error.message.contains(message), "{operation} {body}: {error}");
        }
    }
    for operation in ["ListSchemas", "ListTables", "DescribeTable"] {
        let body = s.on_cluster(json!({"ConnectedDatabase": "no"}));
        let error = s.call(operation, body).await.unwrap_err();
        assert!(error.message.contains("database \"no\" does not exist"), "{operation}: {error}");
        let body = s.on_cluster(json!({"ConnectedDatabase": s.database}));
        s.call(operation, body).await.unwrap();
    }
    // Another role asks the same catalog: these operations know no owner.
    s.call_as(&caller("other", "one"), "ListSchemas", s.on_cluster(json!({}))).await.unwrap();
}
