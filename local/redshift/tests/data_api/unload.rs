//! UNLOAD to S3, and COPY of what it wrote.

use crate::objects::Objects;
use crate::setting::Setting;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;

const ROLE: &str = "iam_role default";

async fn setting() -> (Setting, Arc<Objects>) {
    let (s, objects) = Setting::with_objects().await;
    s.finished("create table t (n int, name varchar(20), ok boolean, at timestamp, price decimal(8,2), data super)")
        .await;
    s.finished(
        "insert into t values (1, 'a|\"b\", \\'c\\'', true, '2020-01-02 03:04:05', 1.5, json_parse('{\"k\": [1, null]}')), \
         (2, null, false, null, -20.25, null), (3, '', null, '1969-12-31 23:59:59.5', null, json_parse('\"x\"'))",
    )
    .await;
    (s, objects)
}

async fn unload(s: &Setting, query: &str, to: &str, options: &str) -> Value {
    let query = query.replace('\'', "''");
    s.run(&format!("unload ('{query}') to 's3://out/{to}' {ROLE} {options}")).await
}

async fn unloaded(s: &Setting, query: &str, to: &str, options: &str) {
    let described = unload(s, query, to, options).await;
    assert_eq!(described["Status"], "FINISHED", "{options}: {described}");
}

#[tokio::test]
async fn formats_of_text() {
    let (s, objects) = setting().await;
    let query = "select n, name, ok, at, price, data from t order by n";
    for (options, expected) in [
        (
            "",
            "1|a|\"b\", 'c'|t|2020-01-02 03:04:05|1.50|{\"k\":[1,null]}\n2||f||-20.25|\n3|||1969-12-31 23:59:59.5||\"x\"\n",
        ),
        (
            "csv header",
            "n,name,ok,at,price,data\n1,\"a|\"\"b\"\", 'c'\",t,2020-01-02 03:04:05,1.50,\"{\"\"k\"\":[1,null]}\"\n2,,f,,-20.25,\n3,,,1969-12-31 23:59:59.5,,\"\"\"x\"\"\"\n",
        ),
        (
            "delimiter ';' null as 'NULL'",
            "1;a|\"b\", 'c';t;2020-01-02 03:04:05;1.50;{\"k\":[1,null]}\n2;NULL;f;NULL;-20.25;NULL\n3;;NULL;1969-12-31 23:59:59.5;NULL;\"x\"\n",
        ),
        (
            "addquotes escape",
            "\"1\"|\"a\\|\\\"b\\\", \\'c\\'\"|\"t\"|\"2020-01-02 03:04:05\"|\"1.50\"|\"{\"k\":[1,null]}\"\n\"2\"||\"f\"||\"-20.25\"|\n\"3\"|\"\"||\"1969-12-31 23:59:59.5\"||\"\"x\"\"\n",
        ),
        (
            "json",
            "{\"n\":1,\"name\":\"a|\\\"b\\\", 'c'\",\"ok\":\"t\",\"at\":\"2020-01-02 03:04:05\",\"price\":1.50,\"data\":{\"k\":[1,null]}}\n\
             {\"n\":2,\"name\":null,\"ok\":\"f\",\"at\":null,\"price\":-20.25,\"data\":null}\n\
             {\"n\":3,\"name\":\"\",\"ok\":null,\"at\":\"1969-12-31 23:59:59.5\",\"price\":null,\"data\":\"x\"}\n",
        ),
    ] {
        unloaded(&s, query, "f_", &format!("parallel off cleanpath {options}")).await;
        assert_eq!(objects.keys("out"), ["f_000"], "{options}");
        assert_eq!(objects.text("out", "f_000"), expected, "{options}");
    }
}

#[tokio::test]
async fn names_of_files() {
    let (s, objects) = setting().await;
    for (options, keys) in [
        ("", vec!["x/0000_part_00", "x/0001_part_00"]),
        ("parallel off", vec!["x/000"]),
        ("gzip", vec!["x/0000_part_00.gz", "x/0001_part_00.gz"]),
        ("parquet", vec!["x/0000_part_00.parquet", "x/0001_part_00.parquet"]),
        ("csv extension 'csv'", vec!["x/0000_part_00.csv", "x/0001_part_00.csv"]),
        ("parallel false manifest", vec!["x/000", "x/manifest"]),
    ] {
        unloaded(&s, "select n from t order by n", "x/", &format!("cleanpath {options}")).await;
        assert_eq!(objects.keys("out"), keys, "{options}");
    }
    assert_eq!(
        serde_json::from_slice::<Value>(&objects.bytes("out", "x/manifest")).unwrap(),
        json!({"entries": [{"url": "s3://out/x/000"}]})
    );
    unloaded(&s, "select n from t order by n", "x/", "cleanpath gzip").await;
    let mut text = String::new();
    GzDecoder::new(&objects.bytes("out", "x/0000_part_00.gz")[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "1\n3\n");
    // Nothing to write is an empty file, but of Parquet.
    unloaded(&s, "select n from t where n > 9", "x/", "cleanpath").await;
    assert_eq!(
        (objects.keys("out"), objects.text("out", "x/0000_part_00")),
        (vec!["x/0000_part_00".to_owned()], String::new())
    );
    unloaded(&s, "select n from t where n > 9", "x/", "cleanpath parquet").await;
    assert_eq!(objects.keys("out"), Vec::<String>::new());
}

#[tokio::test]
async fn files_that_are_there() {
    let (s, objects) = setting().await;
    objects.write("out", "x/0000_part_00", "old");
    objects.write("out", "x/old", "old");
    objects.write("out", "y", "old");
    let described = unload(&s, "select n from t", "x/", "").await;
    let error = described["Error"].as_str().unwrap();
    assert!(error.starts_with("ERROR: Specified unload destination on S3 is not empty."), "{error}");
    assert_eq!(objects.text("out", "x/0000_part_00"), "old");
    unloaded(&s, "select n from t order by n", "x/", "allowoverwrite").await;
    assert_eq!(objects.keys("out"), ["x/0000_part_00", "x/0001_part_00", "x/old", "y"]);
    assert_eq!(objects.text("out", "x/0000_part_00"), "1\n3\n");
    // A query that fails cleans nothing.
    let described = unload(&s, "select 1 / (n - 3) from t", "x/", "cleanpath").await;
    assert_eq!(described["Status"], "FAILED", "{described}");
    assert_eq!(objects.keys("out").len(), 4);
    unloaded(&s, "select n from t", "x/", "parallel off cleanpath").await;
    assert_eq!(objects.keys("out"), ["x/000", "y"]);
}

#[tokio::test]
async fn partitions_are_folders() {
    let (s, objects) = setting().await;
    let query = "select n, ok, name from t where n < 3 union all select 4, true, 'd/e' from t where n = 1";
    unloaded(&s, query, "p", "partition by (ok, name) parallel off").await;
    let keys =
        ["p/ok=f/name=__HIVE_DEFAULT_PARTITION__/000", "p/ok=t/name=a|%22b%22, %27c%27/000", "p/ok=t/name=d%2Fe/000"];
    assert_eq!(objects.keys("out"), keys);
    assert_eq!(objects.text("out", keys[2]), "4\n");
    objects.write("out", "p/ok=x/name=y/000", "other partition");
    unloaded(
        &s,
        "select 5 as n, true as ok, 'd/e' as name",
        "p/",
        "partition by (ok, name) include parallel off cleanpath",
    )
    .await;
    assert_eq!(objects.text("out", keys[2]), "5|t|d/e\n");
    assert_eq!(objects.keys("out").len(), 4, "only the folders that get files are cleaned");
    for (columns, message) in [("m", "Partition column m is not a column"), ("n", "At least one column")] {
        let described = unload(&s, "select n from t", "q/", &format!("partition by ({columns})")).await;
        assert!(described["Error"].as_str().unwrap().contains(message), "{described}");
    }
}

#[tokio::test]
async fn what_was_unloaded_can_be_loaded() {
    let (s, objects) = setting().await;
    s.finished(
        "create table wide (a smallint, b int, c bigint, d real, e float8, f boolean, g decimal(30,10), h decimal(5,0), \
         i varchar(50), j char(4), k date, l timestamp, m timestamptz, o super)",
    )
    .await;
    s.finished(
        "insert into wide values (-1, 2147483647, -9223372036854775808, 1.5, 1e100, true, 12345678901234567890.0123456789, -5, \
         'ünï|\"code\"\\n,\\'x\\'', 'ab', '1900-02-28', '2020-01-02 03:04:05.123456', '2020-01-02 03:04:05+02', \
         json_parse('{\"a\": {\"b\": [1, \"two\"]}}')), (null, null, null, null, null, null, null, null, null, null, null, null, null, null)",
    )
    .await;
    let plain = "a, b, c, d, e, f, g, h, i, j, k, l, m";
    let serialized = format!("{plain}, json_serialize(o)");
    for (write, read) in [
        ("parquet", "parquet"),
        ("csv null as '~'", "csv null as '~'"),
        ("csv header gzip null as '~'", "csv ignoreheader 1 gzip null as '~'"),
        ("addquotes escape null as '~'", "removequotes escape null as '~'"),
        ("escape null as '~' delimiter '\\t'", "escape null as '~' delimiter '\\t'"),
        ("json", "json 'auto'"),
        ("parquet manifest verbose", "parquet manifest"),
    ] {
        // Quotes in a SUPER are not escaped: only those of CHAR and VARCHAR are.
        let (list, shown) = if write.contains("addquotes") { (plain, plain) } else { ("*", serialized.as_str()) };
        unloaded(&s, &format!("select {list} from wide"), "w/", &format!("cleanpath {write}")).await;
        s.finished("drop table if exists copied").await;
        s.finished("create table copied (like wide)").await;
        let from = if read.contains("manifest") { "w/manifest" } else { "w/" };
        let columns = if list == "*" { String::new() } else { format!("({list})") };
        let described = s.run(&format!("copy copied {columns} from 's3://out/{from}' {ROLE} {read}")).await;
        let why = s.rows("select trim(raw_line), trim(colname), trim(err_reason) from stl_load_errors").await;
        assert_eq!(described["Status"], "FINISHED", "{write}: {described} {why:?}");
        let expected = s.rows(&format!("select {shown} from wide order by a")).await;
        assert_eq!(s.rows(&format!("select {shown} from copied order by a")).await, expected, "{write}");
    }
    let manifest: Value = serde_json::from_slice(&objects.bytes("out", "w/manifest")).unwrap();
    assert_eq!(manifest["meta"]["record_count"], 2);
    assert_eq!(manifest["entries"][0]["meta"]["record_count"], 1);
    assert_eq!(
        manifest["schema"]["elements"][6],
        json!({"name": "g", "type": {"base": "numeric", "precision": 30, "scale": 10}})
    );
    assert_eq!(manifest["author"]["name"], "Amazon Redshift");
}

#[tokio::test]
async fn parquet_columns_must_fit() {
    let (s, _) = setting().await;
    unloaded(&s, "select n, name, price, n::bigint as b from t", "p/", "parquet").await;
    for (table, message) in [
        (
            "n int, name varchar(20), price decimal(8,2)",
            "code:      15001\n  context:   Unmatched number of columns between table and file. Table columns: 3, Data columns: 4",
        ),
        (
            "n bigint, name varchar(20), price decimal(8,2), b bigint",
            "incompatible Parquet schema for column 'n'. Column type: INT8, Parquet schema: INT32 n",
        ),
        ("n int, name varchar(20), price decimal(8,2), b int", "code:      15007"),
        ("n int, name varchar(20), price decimal(8,3), b bigint", "incompatible Parquet schema for column 'price'"),
        ("n int, name date, price decimal(8,2), b bigint", "incompatible Parquet schema for column 'name'"),
        (
            "n int, name varchar(3), price decimal(8,2), b bigint",
            "The length of the data column name is longer than the length defined in the table. Table: 3, Data: 10",
        ),
        ("n int, name varchar(20) not null, price decimal(8,2), b bigint", "Missing data for not-null field name"),
    ] {
        s.finished("drop table if exists fit").await;
        s.finished(&format!("create table fit ({table})")).await;
        let described = s.run(&format!("copy fit from 's3://out/p/' {ROLE} format as parquet")).await;
        let error = described["Error"].as_str().unwrap_or_default();
        assert!(error.starts_with("ERROR: Spectrum Scan Error") && error.contains(message), "{table}: {described}");
    }
    s.finished("create table more (n int, name varchar(20), price decimal(8,2), b bigint, extra int)").await;
    s.finished(&format!("copy more from 's3://out/p/' {ROLE} format as parquet fillrecord")).await;
    assert_eq!(
        s.rows("select count(*), count(extra) from more").await[0],
        [json!({"longValue": 3}), json!({"longValue": 0})]
    );
}

#[tokio::test]
async fn system_tables_tell_of_it() {
    let (s, _) = setting().await;
    let described = unload(&s, "select n from t", "h/", "").await;
    assert_eq!((&described["ResultRows"], &described["HasResultSet"]), (&json!(3), &json!(false)));
    let query = &described["RedshiftQueryId"];
    let log = s
        .rows(&format!(
            "select trim(path), line_count, transfer_size from stl_unload_log where query = {query} order by 1"
        ))
        .await;
    assert_eq!(
        log,
        vec![
            vec![json!({"stringValue": "s3://out/h/0000_part_00"}), json!({"longValue": 2}), json!({"longValue": 4})],
            vec![json!({"stringValue": "s3://out/h/0001_part_00"}), json!({"longValue": 1}), json!({"longValue": 2})],
        ]
    );
    let history = s
        .rows(&format!(
            "select status, unloaded_rows, unloaded_files_count from sys_unload_history where query_id = {query}"
        ))
        .await;
    assert_eq!(
        history,
        vec![vec![json!({"stringValue": "completed"}), json!({"longValue": 3}), json!({"longValue": 2})]]
    );
    let tables = s
        .call("ListTables", s.on_cluster(json!({"SchemaPattern": "pg_catalog", "TablePattern": "stl%"})))
        .await
        .unwrap();
    let names: Vec<&str> = tables["Tables"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["stl_load_commits", "stl_load_errors", "stl_unload_log"]);
}

#[tokio::test]
async fn what_is_refused() {
    let (s, _) = setting().await;
    for (sql, message) in [
        ("unload ('select 1') to 's3://out/z'", "CREDENTIALS argument is required"),
        ("unload ('select n from t limit 1') to 's3://out/z' iam_role default", "Limit clause is not supported"),
        ("unload ('select top 1 n from t') to 's3://out/z' iam_role default", "Limit clause is not supported"),
        ("unload ('insert into t values (1)') to 's3://out/z' iam_role default", "UNLOAD takes a SELECT query"),
        ("unload ('select nothing from t') to 's3://out/z' iam_role default", "column \"nothing\" does not exist"),
        ("unload (select 1) to 's3://out/z' iam_role default", "syntax error at or near \"select\""),
        ("unload ('select 1') to 's3://none/z' iam_role default", "Error NoSuchBucket"),
        (
            "unload ('select 1') to 's3://out/z' iam_role default parquet gzip",
            "GZIP is not supported for UNLOAD to PARQUET",
        ),
        (
            "unload ('select 1') to 's3://out/z' iam_role default csv addquotes",
            "ADDQUOTES is not supported for UNLOAD to CSV",
        ),
        (
            "unload ('select 1') to 's3://out/z' iam_role default allowoverwrite cleanpath",
            "You can only specify one of",
        ),
        ("unload ('select 1') to 's3://out/z' iam_role default maxfilesize 1 mb", "between 5 MB and 6.2 GB"),
        ("unload ('select 1') to 's3://out/z' iam_role default zstd", "UNLOAD … ZSTD is not supported by the local"),
        ("unload ('select 1 as a, 2 as a') to 's3://out/z' iam_role default json", "unique column names: a"),
        ("unload ('select ''1:00''::time as a') to 's3://out/z' iam_role default parquet", "type TIME to PARQUET"),
    ] {
        let described = s.run(sql).await;
        let error = described["Error"].as_str().unwrap_or_default();
        assert!(described["Status"] == "FAILED" && error.contains(message), "{sql}: {described}");
    }
    // Dollar quotes, an alias used in its own list, and a file larger than its limit.
    let described =
        s.run("unload ($$select 'it''s' as a, a || '!' as b$$) to 's3://out/d' iam_role default parallel off").await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
}

#[tokio::test]
async fn a_large_result_goes_into_parts() {
    let (s, objects) = setting().await;
    let query = "select repeat('x', 1000) as a from t a, t b, t c, t d, t e, t f, t g, t h";
    unloaded(&s, query, "l/", "parallel off maxfilesize 5 mb").await;
    assert_eq!(objects.keys("out"), ["l/000", "l/001"]);
    let sizes = [objects.bytes("out", "l/000").len(), objects.bytes("out", "l/001").len()];
    assert_eq!(sizes[0] + sizes[1], 6561 * 1001);
    assert!((5 << 20..(5 << 20) + 1001).contains(&sizes[0]), "{sizes:?}");
}
