//! SUPER: navigation, dynamic typing, unnesting.

use crate::setting::Setting;
use serde_json::{Value, json};

async fn setting() -> Setting {
    let s = Setting::new().await;
    s.finished("create schema shop").await;
    s.finished("create table shop.orders (id int, data super)").await;
    s.finished(
        "insert into shop.orders values \
         (1, json_parse('{\"customer\": {\"name\": \"Ann\", \"since\": 2019}, \"ok\": true, \"items\": [{\"sku\": \"a\", \"qty\": 2, \
         \"tags\": [\"x\", \"y\"]}, {\"sku\": \"b\", \"qty\": 1.5, \"tags\": []}]}')), \
         (2, json_parse('{\"customer\": {\"name\": \"Bob\"}, \"items\": \"none\"}')), (3, null)",
    )
    .await;
    s.finished("create table plain (id int, name varchar(5))").await;
    s.finished("insert into plain values (1, 'one')").await;
    s
}

async fn rows(s: &Setting, sql: &str) -> Value {
    let cell = |cell: &Value| {
        let (member, value) = cell.as_object().unwrap().iter().next().unwrap();
        if member == "isNull" { Value::Null } else { value.clone() }
    };
    s.rows(sql).await.iter().map(|row| row.iter().map(cell).collect::<Value>()).collect()
}

#[tokio::test]
async fn paths_with_dots_and_subscripts() {
    let s = setting().await;
    for (sql, expected) in [
        ("select data.customer.name from shop.orders order by id", json!([["\"Ann\""], ["\"Bob\""], [null]])),
        ("select o.data.customer.name::varchar from shop.orders o order by id", json!([["Ann"], ["Bob"], [null]])),
        ("select shop.orders.data.customer.name::varchar from shop.orders where id = 1", json!([["Ann"]])),
        ("select orders.data.items[0].tags[1]::varchar from shop.orders where id = 1", json!([["y"]])),
        ("select data.items[1].qty::int, data.ok::boolean from shop.orders where id = 1", json!([[2, true]])),
        ("select data['customer']['name']::varchar as n from shop.orders where id = 1", json!([["Ann"]])),
        // Lax: what is not there, and what does not fit, is NULL.
        (
            "select data.items[9].sku, data.customer.name::int, data.nothing.at.all from shop.orders where id = 1",
            json!([[null, null, null]]),
        ),
        ("select id from shop.orders where data.customer.name = 'Ann'", json!([[1]])),
        ("select id from shop.orders where 'Bob' = data.customer.name", json!([[2]])),
        ("select id from shop.orders where data.customer.name in ('Bob', 'Cid')", json!([[2]])),
        ("select id from shop.orders where data.customer.name not in ('Bob', 'Cid')", json!([[1]])),
        ("select id from shop.orders where data.customer.name between 'A' and 'B'", json!([[1]])),
        ("select id from shop.orders where data.customer.since > 2000", json!([[1]])),
        // Another type is not equal, and not comparable.
        ("select id from shop.orders where data.customer.name = 5 or data.customer.name < 5", json!([])),
        (
            "select o.data.customer.name::varchar, count(*) from shop.orders o group by o.data.customer.name order by o.data.customer.name",
            json!([["Ann", 1], ["Bob", 1], [null, 1]]),
        ),
        (
            "select (select max(p.name) from plain p where p.id = o.id and o.data.ok = true) from shop.orders o where o.id = 1",
            json!([["one"]]),
        ),
        (
            "with w as (select data as d from shop.orders) select w.d.customer.name::varchar from w where w.d.ok = true",
            json!([["Ann"]]),
        ),
        ("select json_parse('[1, 2]')[1]", json!([["2"]])),
        ("select p.id from plain p join shop.orders o on o.data.items[0].qty = p.id + 1", json!([[1]])),
    ] {
        assert_eq!(rows(&s, sql).await, expected, "{sql}");
    }
    s.finished("update plain set name = o.data.customer.name::varchar from shop.orders o where o.id = plain.id").await;
    assert_eq!(rows(&s, "select name from plain").await, json!([["Ann"]]));
    s.finished("create table made as select o.data.customer.name from shop.orders o").await;
    assert_eq!(rows(&s, "select count(name) from made").await, json!([[2]]));
}

#[tokio::test]
async fn columns_are_named_after_the_last_member() {
    let s = setting().await;
    let described =
        s.finished("select o.data.customer.name, o.data.items[0], data.ok as fine, o.id from shop.orders o").await;
    let page = s.call("GetStatementResult", json!({"Id": described["Id"]})).await.unwrap();
    let names: Vec<&str> =
        page["ColumnMetadata"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["name", "items", "fine", "id"]);
    assert_eq!(page["ColumnMetadata"][0]["typeName"], "super");
    // Compact, as Redshift prints it.
    assert_eq!(page["Records"][0][1]["stringValue"], "{\"qty\":2,\"sku\":\"a\",\"tags\":[\"x\",\"y\"]}");
}

#[tokio::test]
async fn arrays_are_unnested_in_from() {
    let s = setting().await;
    for (sql, expected) in [
        (
            "select o.id, i.sku::varchar, i.qty::decimal(4,1) from shop.orders o, o.data.items i order by 2",
            json!([[1, "a", "2.0"], [1, "b", "1.5"]]),
        ),
        (
            "select o.id, i.sku::varchar, n from shop.orders as o, o.data.items as i at n order by n",
            json!([[1, "a", 0], [1, "b", 1]]),
        ),
        (
            "select t, i.sku::varchar from shop.orders o, o.data.items i, i.tags t where t = 'y'",
            json!([["\"y\"", "a"]]),
        ),
        ("select t::varchar from shop.orders o, o.data.items[0].tags t order by 1", json!([["x"], ["y"]])),
        ("select orders.id from shop.orders, orders.data.items i where i.sku = 'b'", json!([[1]])),
        (
            "select o.id, i.sku::varchar from shop.orders o left join o.data.items i on true order by 1, 2",
            json!([[1, "a"], [1, "b"], [2, null], [3, null]]),
        ),
        (
            "select s.id, e from (select 7 as id, json_parse('[1, [2, 3]]') as list) s, s.list e order by e",
            json!([[7, "1"], [7, "[2,3]"]]),
        ),
        (
            "select a, e from (select json_parse('[[1], [2]]') as m) f, f.m as a, a as e order by e",
            json!([["[1]", "1"], ["[2]", "2"]]),
        ),
        (
            "select k, v from shop.orders o, unpivot o.data.customer as v at k where o.id = 1 order by k",
            json!([["name", "\"Ann\""], ["since", "2019"]]),
        ),
        (
            "select o.data.items[n].sku::varchar from shop.orders o, o.data.items i at n order by 1",
            json!([["a"], ["b"]]),
        ),
        (
            "select count(*) from shop.orders o where exists (select 1 from plain p where p.id = o.id) and o.data.ok = true",
            json!([[1]]),
        ),
    ] {
        assert_eq!(rows(&s, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn what_is_no_super_stays_an_error() {
    let s = setting().await;
    for (sql, message) in [
        ("select nowhere.name from plain", "missing FROM-clause entry for table \"nowhere\""),
        ("select p.name.first from plain p", "missing FROM-clause entry for table \"name\""),
        ("select x.y from plain p where p.id = 1", "missing FROM-clause entry for table \"x\""),
        ("select * from plain p, p.nothing x", "column p.nothing does not exist"),
        ("select 1 from nowhere.at_all", "relation \"nowhere.at_all\" does not exist"),
    ] {
        let described = s.run(sql).await;
        let error = described["Error"].as_str().unwrap_or_default();
        assert!(error.contains(message), "{sql}: {described}");
    }
    // In a transaction the first guess does not abort it.
    let body = json!({"Sqls": ["select o.data.customer.name from shop.orders o", "select 1"]});
    let described = s.run_with("BatchExecuteStatement", body).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
}
