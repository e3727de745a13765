//! GetStatementResult and V2: types, pages, CSV, limits.

use crate::setting::Setting;
use redshift::Limits;
use serde_json::{Value, json};

#[tokio::test]
async fn cells_have_the_documented_members_and_columns_redshift_names() {
    let s = Setting::new().await;
    s.finished(
        "create table types (i2 smallint, i4 int not null, i8 bigint, f4 real, f8 double precision, n numeric(10,2), b boolean, \
         c char(5), v varchar(20), d date, ts timestamp, tz timestamptz)",
    )
    .await;
    s.finished(
        "insert into types values (1, 2, 9007199254740993, 1.5, 0.1, 12345.60, true, 'ab', 'x''y', '2026-01-02', \
         '2026-01-02 03:04:05.678', '2026-01-02 03:04:05+02'), (null, 3, null, null, null, null, false, null, '', null, null, null)",
    )
    .await;
    let described = s.finished("select * from types order by i4").await;
    let page = s.call("GetStatementResult", json!({"Id": described["Id"]})).await.unwrap();
    let null = json!({"isNull": true});
    let expected = [
        ("i2", "int2", json!({"longValue": 1}), null.clone()),
        ("i4", "int4", json!({"longValue": 2}), json!({"longValue": 3})),
        ("i8", "int8", json!({"longValue": 9_007_199_254_740_993_i64}), null.clone()),
        ("f4", "float4", json!({"doubleValue": 1.5}), null.clone()),
        ("f8", "float8", json!({"doubleValue": 0.1}), null.clone()),
        ("n", "numeric", json!({"stringValue": "12345.60"}), null.clone()),
        ("b", "bool", json!({"booleanValue": true}), json!({"booleanValue": false})),
        ("c", "bpchar", json!({"stringValue": "ab   "}), null.clone()),
        ("v", "varchar", json!({"stringValue": "x'y"}), json!({"stringValue": ""})),
        ("d", "date", json!({"stringValue": "2026-01-02"}), null.clone()),
        ("ts", "timestamp", json!({"stringValue": "2026-01-02 03:04:05.678"}), null.clone()),
        ("tz", "timestamptz", json!({"stringValue": "2026-01-02 01:04:05+00"}), null.clone()),
    ];
    for (index, (name, ty, first, second)) in expected.iter().enumerate() {
        let column = &page["ColumnMetadata"][index];
        assert_eq!((&column["name"], &column["label"]), (&json!(name), &json!(name)));
        assert_eq!(column["typeName"], *ty, "{name}");
        assert_eq!(column["tableName"], "types", "{name}");
        assert_eq!(column["schemaName"], "public", "{name}");
        assert_eq!(column["nullable"], i32::from(*name != "i4"), "{name}");
        assert_eq!(page["Records"][0][index], *first, "{name}");
        assert_eq!(page["Records"][1][index], *second, "{name}");
    }
    assert_eq!((&page["ColumnMetadata"][5]["precision"], &page["ColumnMetadata"][5]["scale"]), (&json!(10), &json!(2)));
    assert_eq!(page["TotalNumRows"], 2);
    assert!(page.get("NextToken").is_none());
}

#[tokio::test]
async fn expressions_and_odd_numbers() {
    let s = Setting::new().await;
    let rows = s
        .rows("select 'text', 'Infinity'::float8, 'NaN'::float8, count(*), 1.50::numeric(4,2), null, 1 = 1, 9223372036854775807")
        .await;
    let expected = json!([
        {"stringValue": "text"}, {"doubleValue": "Infinity"}, {"doubleValue": "NaN"}, {"longValue": 1},
        {"stringValue": "1.50"}, {"isNull": true}, {"booleanValue": true}, {"longValue": 9_223_372_036_854_775_807_i64},
    ]);
    assert_eq!(json!(rows[0]), expected);
}

async fn pages(s: &Setting, operation: &str, id: &Value) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut body = json!({ "Id": id });
    loop {
        let page = s.call(operation, body.clone()).await.unwrap();
        let next = page.get("NextToken").cloned();
        pages.push(page);
        match next {
            Some(next) => body["NextToken"] = next,
            None => return pages,
        }
    }
}

async fn table(s: &Setting, rows: usize) {
    s.finished("create table t (n int, v varchar(100))").await;
    let values: Vec<String> = (0..rows).map(|n| format!("({n}, 'value {n}')")).collect();
    s.finished(&format!("insert into t values {}", values.join(","))).await;
}

#[tokio::test]
async fn pages_hold_every_row_once_and_in_order() {
    let s = Setting::with(Limits { page_rows: 50, ..Limits::default() }).await;
    table(&s, 120).await;
    let described = s.finished("select n, v from t order by n").await;
    let pages = pages(&s, "GetStatementResult", &described["Id"]).await;
    let sizes: Vec<usize> = pages.iter().map(|p| p["Records"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [50, 50, 20]);
    let numbers: Vec<i64> = pages
        .iter()
        .flat_map(|p| p["Records"].as_array().unwrap())
        .map(|row| row[0]["longValue"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (0..120).collect::<Vec<i64>>());
    for page in &pages {
        assert_eq!(page["TotalNumRows"], 120);
        assert_eq!(page["ColumnMetadata"].as_array().unwrap().len(), 2);
    }
    // A token belongs to its result.
    let other = s.finished("select 1").await;
    for token in [pages[0]["NextToken"].clone(), json!("nonsense")] {
        let body = json!({"Id": other["Id"], "NextToken": token});
        let error = s.call("GetStatementResult", body).await.unwrap_err();
        assert_eq!(error.message, "NextToken is invalid");
    }
}

#[tokio::test]
async fn a_large_result_is_paged_by_bytes() {
    let s = Setting::with(Limits { chunk_bytes: 4096, ..Limits::default() }).await;
    table(&s, 2000).await;
    let described = s.finished("select n, v from t order by n").await;
    let pages = pages(&s, "GetStatementResult", &described["Id"]).await;
    assert!(pages.len() > 20, "{}", pages.len());
    for page in &pages {
        assert!(page["Records"].to_string().len() <= 4096 + 2);
    }
    let rows: usize = pages.iter().map(|p| p["Records"].as_array().unwrap().len()).sum();
    assert_eq!(rows, 2000);
}

#[tokio::test]
async fn csv_has_a_header_crlf_and_quotes_where_needed() {
    let s = Setting::new().await;
    let body = json!({
        "Sql": "select 1 as n, 'a,b' as \"x\", 'say \"hi\"' as q, null as nothing, '' as empty, true as b, 'two\nlines' as l",
        "ResultFormat": "CSV",
    });
    let described = s.run_with("ExecuteStatement", body).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    assert_eq!(described["ResultFormat"], "CSV");
    let page = s.call("GetStatementResultV2", json!({"Id": described["Id"]})).await.unwrap();
    assert_eq!(page["ResultFormat"], "CSV");
    assert_eq!(page["TotalNumRows"], 1);
    let text = "n,x,q,nothing,empty,b,l\r\n1,\"a,b\",\"say \"\"hi\"\"\",,\"\",true,\"two\nlines\"\r\n";
    assert_eq!(page["Records"], json!([{"CSVRecords": text}]));
    // Each format has its own operation.
    let error = s.call("GetStatementResult", json!({"Id": described["Id"]})).await.unwrap_err();
    assert_eq!(error.code, "ValidationException");
    let json_result = s.finished("select 1").await;
    let error = s.call("GetStatementResultV2", json!({"Id": json_result["Id"]})).await.unwrap_err();
    assert_eq!(error.code, "ValidationException");
}

#[tokio::test]
async fn csv_pages_concatenate_to_the_whole() {
    let s = Setting::with(Limits { chunk_bytes: 512, ..Limits::default() }).await;
    table(&s, 1000).await;
    let body = json!({"Sql": "select n, v from t order by n", "ResultFormat": "CSV"});
    let described = s.run_with("ExecuteStatement", body).await;
    let pages = pages(&s, "GetStatementResultV2", &described["Id"]).await;
    assert!(pages.len() > 1);
    let mut whole = String::new();
    for page in &pages {
        let chunks = page["Records"].as_array().unwrap();
        assert!(chunks.len() <= 15);
        for chunk in chunks {
            let text = chunk["CSVRecords"].as_str().unwrap();
            assert!(text.len() <= 512 && text.ends_with("\r\n"));
            whole.push_str(text);
        }
    }
    let expected: String =
        std::iter::once("n,v\r\n".to_owned()).chain((0..1000).map(|n| format!("{n},value {n}\r\n"))).collect();
    assert_eq!(whole, expected);
}

#[tokio::test]
async fn an_empty_result_is_a_result() {
    let s = Setting::new().await;
    s.finished("create table t (n int)").await;
    let described = s.finished("select n from t").await;
    assert_eq!((&described["HasResultSet"], &described["ResultRows"]), (&json!(true), &json!(0)));
    let page = s.call("GetStatementResult", json!({"Id": described["Id"]})).await.unwrap();
    assert_eq!((&page["Records"], &page["TotalNumRows"]), (&json!([]), &json!(0)));
    assert_eq!(page["ColumnMetadata"][0]["name"], "n");
    let described = s.run_with("ExecuteStatement", json!({"Sql": "select n from t", "ResultFormat": "CSV"})).await;
    let page = s.call("GetStatementResultV2", json!({"Id": described["Id"]})).await.unwrap();
    assert_eq!(page["Records"], json!([{"CSVRecords": "n\r\n"}]));
}

#[tokio::test]
async fn no_result_without_a_finished_query() {
    let s = Setting::new().await;
    let ids =
        [s.finished("create table t (n int)").await["Id"].clone(), s.run("select * from nowhere").await["Id"].clone()];
    for id in ids {
        let error = s.call("GetStatementResult", json!({"Id": id})).await.unwrap_err();
        assert_eq!(error.code, "ResourceNotFoundException");
        assert_eq!(error.message, "Query does not have result. Please check query status with DescribeStatement.");
    }
}

#[tokio::test]
async fn rows_and_results_have_a_size_limit() {
    let s = Setting::with(Limits { row_bytes: 1000, result_bytes: 100_000, ..Limits::default() }).await;
    table(&s, 2000).await;
    for (sql, said) in [
        ("select repeat('x', 1001)", "packet for query is too large"),
        ("select a.v, b.v from t a, t b", "Database response exceeded size limit"),
    ] {
        let described = s.run(sql).await;
        assert_eq!(described["Status"], "FAILED", "{sql}");
        assert!(described["Error"].as_str().unwrap().contains(said), "{described}");
    }
    s.finished("select repeat('x', 1000)").await;
}
