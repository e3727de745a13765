//! COPY from S3: formats, conversion, errors and what is left of them.

use crate::objects::Objects;
use crate::setting::Setting;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;

const ROLE: &str = "iam_role 'arn:aws:iam::000000000000:role/loader'";

/// A Data API with files and a table `t`.
async fn with(files: &[(&str, &str)], table: &str) -> (Setting, Arc<Objects>) {
    let (s, objects) = Setting::with_objects().await;
    for (key, text) in files {
        objects.write("data", key, (*text).to_owned());
    }
    s.finished(&format!("create table t ({table})")).await;
    (s, objects)
}

fn plain(cell: &Value) -> Value {
    let (member, value) = cell.as_object().unwrap().iter().next().unwrap();
    if member == "isNull" { Value::Null } else { value.clone() }
}

async fn rows(s: &Setting, sql: &str) -> Value {
    let rows = s.rows(sql).await;
    rows.iter().map(|row| row.iter().map(plain).collect::<Value>()).collect()
}

async fn fails(s: &Setting, sql: &str) -> String {
    let described = s.run(sql).await;
    assert_eq!(described["Status"], "FAILED", "{sql}: {described}");
    described["Error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_file_of_a_prefix_is_loaded_by_position() {
    let files = [("in/a", "1|one\n2|two\n"), ("in/b", "3|three"), ("other", "4|four\n"), ("swapped", "five|5\n")];
    let (s, _) = with(&files, "n int, name varchar(10), at date default '2020-01-01'").await;
    let described = s.finished(&format!("copy t (n, name) from 's3://data/in/' {ROLE}")).await;
    assert_eq!((&described["ResultRows"], &described["HasResultSet"]), (&json!(3), &json!(false)));
    let all = rows(&s, "select n, name, at from t order by n").await;
    assert_eq!(all, json!([[1, "one", "2020-01-01"], [2, "two", "2020-01-01"], [3, "three", "2020-01-01"]]));
    // The list decides which field goes where.
    s.finished("truncate t").await;
    let described = s.run(&format!("copy t (name, n) from 's3://data/in/b' {ROLE}")).await;
    assert_eq!(described["Status"], "FAILED");
    s.finished(&format!("copy t (name, n) from 's3://data/swapped' {ROLE}")).await;
    assert_eq!(rows(&s, "select n, name from t").await, json!([[5, "five"]]));
}

#[tokio::test]
async fn text_formats() {
    let table = "n int, name varchar(20)";
    for (file, options, expected) in [
        ("1|a\n\\N|b\n|\n", "", json!([[1, "a"], [null, "b"], [null, ""]])),
        ("1,a\n", "delimiter ','", json!([[1, "a"]])),
        ("1\ta\n", "delimiter '\\t'", json!([[1, "a"]])),
        (
            "n,name\n1,\"x, \"\"y\"\"\"\n2,\"two\nlines\"\n",
            "csv ignoreheader 1",
            json!([[1, "x, \"y\""], [2, "two\nlines"]]),
        ),
        ("1;'a;b'\n", "format as csv delimiter ';' quote as ''''", json!([[1, "a;b"]])),
        ("1|\"a|b\"\n", "removequotes", json!([[1, "a|b"]])),
        ("1|a\\|b\\\nc\n", "escape", json!([[1, "a|b\nc"]])),
        ("1|a\n\n2|b\n", "ignoreblanklines", json!([[1, "a"], [2, "b"]])),
        ("1|none\n", "null as 'none'", json!([[1, null]])),
        ("1|\n2|  \n", "emptyasnull blanksasnull", json!([[1, null], [2, null]])),
        ("1\n", "fillrecord", json!([[1, ""]])),
        ("1|abcdefghijklmnopqrstuvwxyz\n", "truncatecolumns", json!([[1, "abcdefghijklmnopqrst"]])),
        ("1|a  \n", "trimblanks compupdate off statupdate on region 'eu-west-1' encoding utf8", json!([[1, "a"]])),
    ] {
        let (s, _) = with(&[("f", file)], table).await;
        s.finished(&format!("copy t from 's3://data/f' {ROLE} {options}")).await;
        assert_eq!(rows(&s, "select * from t order by n").await, expected, "{options}");
    }
}

#[tokio::test]
async fn types_are_converted() {
    let table = "a smallint, b bigint, c decimal(8,2), d real, e boolean, f date, g timestamp, h char(3), i super, j timestamptz";
    let (s, _) = with(
        &[
            ("f", "1|2|20.259|1.5|yes|2020-01-02|2020-01-02 03:04:05.5|ab|{\"k\": [1, 2]}|2020-01-02 03:04:05+02\n"),
            ("g", "||20.259||||1600000000|||\n"),
            ("h", "|||||02.01.2020|||\"text\"|\n"),
        ],
        table,
    )
    .await;
    for (key, options) in [("f", ""), ("g", "roundec timeformat 'epochsecs'"), ("h", "dateformat 'DD.MM.YYYY'")] {
        s.finished(&format!("copy t from 's3://data/{key}' {ROLE} {options}")).await;
    }
    assert_eq!(
        rows(&s, "select a, b, c, d, e, f, g, h, json_serialize(i), j from t where a is not null").await,
        json!([[
            1,
            2,
            "20.25",
            1.5,
            true,
            "2020-01-02",
            "2020-01-02 03:04:05.5",
            "ab ",
            "{\"k\":[1,2]}",
            "2020-01-02 01:04:05+00"
        ]])
    );
    assert_eq!(rows(&s, "select c, g from t where c > 20.25").await, json!([["20.26", "2020-09-13 12:26:40"]]));
    assert_eq!(rows(&s, "select f, json_typeof(i) from t where c is null").await, json!([["2020-01-02", "string"]]));
}

#[tokio::test]
async fn the_first_error_fails_the_load_and_is_kept() {
    let (s, _) = with(&[("in/1", "1|a\nx2|b\n3|c\n")], "n int, name varchar(5)").await;
    let copy = format!("copy t from 's3://data/in' {ROLE}");
    let described = s.run(&copy).await;
    assert_eq!(
        described["Error"],
        "ERROR: Load into table 't' failed.  Check 'stl_load_errors' system table for details."
    );
    assert_eq!(rows(&s, "select count(*) from t").await, json!([[0]]));
    let query = described["RedshiftQueryId"].clone();
    let columns = "trim(filename), line_number, trim(colname), trim(type), trim(col_length), position, trim(raw_line), \
                   trim(raw_field_value), err_code, trim(err_reason)";
    let found = rows(&s, &format!("select {columns} from stl_load_errors where query = {query}")).await;
    let expected = json!([[
        "s3://data/in/1",
        2,
        "n",
        "int4",
        "0",
        0,
        "x2|b",
        "x2",
        1207,
        "Invalid digit, Value 'x', Pos 0, Type: Integer"
    ]]);
    assert_eq!(found, expected);
    let found = rows(
        &s,
        &format!(
            "select file_name, line_number, trim(column_name), error_code, error_message, database_name \
             from sys_load_error_detail where query_id = {query}"
        ),
    )
    .await;
    assert_eq!(
        found,
        json!([["s3://data/in/1", 2, "n", 1207, "Invalid digit, Value 'x', Pos 0, Type: Integer", s.database]])
    );
    let found = rows(
        &s,
        &format!("select status, table_name, loaded_rows, error_count from sys_load_history where query_id = {query}"),
    )
    .await;
    assert_eq!(found, json!([["failed", "t", 0, 1]]));
}

#[tokio::test]
async fn each_kind_of_error_has_its_code() {
    for (table, file, options, code, reason, column) in [
        ("a int, b int", "1|2|3\n", "", 1202, "Extra column(s) found", ""),
        ("a int, b int", "1\n", "", 1214, "Delimiter not found", ""),
        ("a varchar(2)", "abc\n", "", 1204, "String length exceeds DDL length", "a"),
        ("a int not null", "\\N\n", "", 1213, "Missing data for not-null field", "a"),
        ("a date", "20-01-01\n", "", 1205, "Invalid Date Format - length must be 10 or more", "a"),
        ("a date", "never ever\n", "dateformat 'auto'", 1205, "Invalid Date Format", "a"),
        ("a timestamp", "x\n", "", 1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]", "a"),
        ("a boolean", "x\n", "", 1210, "Unknown boolean format", "a"),
        ("a super", "{x\n", "", 1224, "Invalid JSON value for SUPER", "a"),
        ("a varchar(9)", "\"x\"y\n", "csv", 1216, "Invalid quote formatting for CSV", ""),
        // What only the server can tell.
        ("a int, b int not null", "1\n", "(a)", 1213, "Missing data for not-null field", "b"),
        ("a time", "noon\n", "", 1200, "invalid input syntax for type time: \"noon\"", "a"),
    ] {
        let (s, _) = with(&[("f", file)], table).await;
        let (list, options) = if options.starts_with('(') { (options, "") } else { ("", options) };
        let error = fails(&s, &format!("copy t {list} from 's3://data/f' {ROLE} {options}")).await;
        assert!(error.contains("Check 'stl_load_errors'"), "{file}: {error}");
        let found =
            rows(&s, "select err_code, trim(err_reason), trim(colname), line_number from stl_load_errors").await;
        let column = if column == "b" { "" } else { column };
        assert_eq!(found, json!([[code, reason, column, 1]]), "{file}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text() {
    let (s, objects) = with(&[], "a varchar(10)").await;
    objects.write("data", "f", b"ok\nx\xe4\xa4y\n".to_vec());
    fails(&s, &format!("copy t from 's3://data/f' {ROLE}")).await;
    let found = rows(&s, "select err_code, position, trim(err_reason) from stl_load_errors").await;
    let reason = "String contains invalid or unsupported UTF-8 codepoints. Bad UTF-8 hex sequence: e4 (error 3)";
    assert_eq!(found, json!([[1220, 1, reason]]));
    s.finished(&format!("copy t from 's3://data/f' {ROLE} acceptinvchars as '^'")).await;
    assert_eq!(rows(&s, "select a from t order by a").await, json!([["ok"], ["x^^y"]]));
}

#[tokio::test]
async fn maxerror_lets_some_rows_go() {
    let (s, _) = with(&[("f", "1|1999-12-31\nx|a\n2|no\n3|2000-01-01\ny|b\n")], "n int, d date").await;
    let copy = |options: &str| format!("copy t from 's3://data/f' {ROLE} dateformat 'auto' {options}");
    fails(&s, &copy("maxerror 3")).await;
    assert_eq!(rows(&s, "select count(*) from t").await, json!([[0]]));
    let described = s.finished(&copy("maxerror 4")).await;
    assert_eq!(described["ResultRows"], 2);
    assert_eq!(rows(&s, "select n from t order by n").await, json!([[1], [3]]));
    let query = &described["RedshiftQueryId"];
    let found = rows(
        &s,
        &format!("select line_number, err_code from stl_load_errors where query = {query} order by line_number"),
    )
    .await;
    assert_eq!(found, json!([[2, 1207], [3, 1205], [5, 1207]]));
    let commits = rows(&s, "select trim(filename), lines_scanned, errors from stl_load_commits").await;
    assert_eq!(commits, json!([["s3://data/f", 5, 3]]));
    let described = s.finished(&copy("noload maxerror 100")).await;
    assert_eq!(described["ResultRows"], 0);
    assert_eq!(rows(&s, "select count(*) from t").await, json!([[2]]));
}

#[tokio::test]
async fn a_load_belongs_to_its_transaction() {
    let (s, _) = with(&[("good", "1\n"), ("bad", "x\n")], "n int").await;
    let good = format!("copy t from 's3://data/good' {ROLE}");
    let bad = format!("copy t from 's3://data/bad' {ROLE}");
    let sqls = json!({"Sqls": [good, "select pg_last_copy_count(), pg_last_copy_id() > 0", good]});
    let described = s.run_with("BatchExecuteStatement", sqls).await;
    assert_eq!(described["Status"], "FINISHED", "{described}");
    let id = format!("{}:2", described["Id"].as_str().unwrap());
    assert_eq!(s.records(&id).await, vec![vec![json!({"longValue": 1}), json!({"booleanValue": true})]]);
    let described = s.run_with("BatchExecuteStatement", json!({"Sqls": [good, bad]})).await;
    assert_eq!(described["Status"], "FAILED");
    assert_eq!(rows(&s, "select count(*) from t").await, json!([[2]]));
    // The errors outlive the rollback.
    assert_eq!(rows(&s, "select count(*) from stl_load_errors").await, json!([[1]]));
    // In a block of the user's own the failure aborts the block.
    let body = s.on_cluster(json!({"Sql": "begin", "SessionKeepAliveSeconds": 60}));
    let begun = s.call("ExecuteStatement", body).await.unwrap();
    s.ended(begun["Id"].as_str().unwrap()).await;
    let mut last = Value::Null;
    for sql in [bad.as_str(), "select 1"] {
        let body = json!({"Sql": sql, "SessionId": begun["SessionId"]});
        let answer = s.call("ExecuteStatement", body).await.unwrap();
        last = s.ended(answer["Id"].as_str().unwrap()).await;
    }
    assert!(last["Error"].as_str().unwrap().contains("current transaction is aborted"), "{last}");
}

#[tokio::test]
async fn json_lines() {
    let table = "n int, name varchar(20), data super";
    let file =
        "{\"n\": 1, \"name\": \"a\", \"data\": {\"k\": 1.50}, \"more\": true}\n{\"name\": {\"x\": [1, 2]}, \"N\": 2}\n";
    let paths = "{\"jsonpaths\": [\"$.n\", \"$['data']['k']\", \"$\"]}";
    for (options, expected) in [
        ("json 'auto'", json!([[1, "a", "{\"k\":1.50}"], [null, "{\"x\":[1,2]}", null]])),
        ("format as json as 'auto ignorecase'", json!([[1, "a", "{\"k\":1.50}"], [2, "{\"x\":[1,2]}", null]])),
        ("json 's3://data/paths'", json!([[1, "1.50", "x"], [null, null, "x"]])),
    ] {
        let (s, _) = with(&[("f.json", file), ("paths", paths)], table).await;
        s.finished(&format!("copy t from 's3://data/f.json' {ROLE} {options}")).await;
        let third =
            if options.contains("paths") { "case when json_typeof(data) = 'object' then 'x' end" } else { "data" };
        assert_eq!(rows(&s, &format!("select n, name, {third} from t order by n")).await, expected, "{options}");
    }
    let (s, _) = with(&[("f.json", "{\"a\": 1}\n[2]\n")], "data super").await;
    s.finished(&format!("copy t from 's3://data/f.json' {ROLE} json 'noshred'")).await;
    assert_eq!(rows(&s, "select json_serialize(data) from t order by 1").await, json!([["[2]"], ["{\"a\":1}"]]));
    let (s, _) = with(&[("f.json", "{\"n\": 1}\n{\"n\": \n{\"n\": \"x\"}\n")], "n int").await;
    s.finished(&format!("copy t from 's3://data/f.json' {ROLE} json 'auto' maxerror 5")).await;
    let found = rows(&s, "select line_number, err_code from stl_load_errors order by 1").await;
    assert_eq!(found, json!([[2, 1216], [3, 1207]]));
    for (options, message) in [
        ("json 's3://data/none'", "S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey"),
        ("json 's3://data/f.json'", "Invalid JSONPaths file"),
        ("json 'auto' csv", "JSON cannot be used with CSV"),
    ] {
        let error = fails(&s, &format!("copy t from 's3://data/f.json' {ROLE} {options}")).await;
        assert!(error.contains(message), "{error}");
    }
}

#[tokio::test]
async fn compressed_files_and_manifests() {
    let (s, objects) = with(&[("plain", "2\n")], "n int").await;
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"1\n").unwrap();
    objects.write("data", "packed.gz", packed.finish().unwrap());
    s.finished(&format!("copy t from 's3://data/packed.gz' {ROLE} gzip")).await;
    let error = fails(&s, &format!("copy t from 's3://data/plain' {ROLE} gzip")).await;
    assert!(error.contains("s3://data/plain cannot be decompressed"), "{error}");
    let manifest = json!({"entries": [
        {"url": "s3://data/plain", "mandatory": true},
        {"url": "s3://data/missing"},
    ]});
    objects.write("data", "m", manifest.to_string());
    s.finished(&format!("copy t from 's3://data/m' {ROLE} manifest")).await;
    assert_eq!(rows(&s, "select n from t order by n").await, json!([[1], [2]]));
    for (manifest, message) in [
        (json!({"entries": [{"url": "s3://data/missing", "mandatory": true}]}), "Error NoSuchKey"),
        (json!({"entries": [{"url": "missing"}]}), "MANIFEST requires full path of an S3 object"),
        (json!([]), "The manifest file cannot be read"),
    ] {
        objects.write("data", "m", manifest.to_string());
        let error = fails(&s, &format!("copy t from 's3://data/m' {ROLE} manifest")).await;
        assert!(error.contains(message), "{error}");
    }
}

#[tokio::test]
async fn identity_columns_take_values_only_when_told() {
    let table = "id int identity(10, 1), n int";
    let (s, _) = with(&[("one", "7\n"), ("two", "5|8\n")], table).await;
    s.finished(&format!("copy t from 's3://data/one' {ROLE}")).await;
    s.finished(&format!("copy t from 's3://data/two' {ROLE} explicit_ids")).await;
    assert_eq!(rows(&s, "select id, n from t order by n").await, json!([[10, 7], [5, 8]]));
    let error = fails(&s, &format!("copy t (id, n) from 's3://data/two' {ROLE}")).await;
    assert!(error.contains("cannot set an identity column to a value"), "{error}");
}

#[tokio::test]
async fn what_is_wrong_before_a_row_is_read() {
    let (s, _) = with(&[("f", "1\n")], "n int").await;
    for (sql, message) in [
        ("copy t from 's3://data/f'".to_owned(), "CREDENTIALS argument is required but it was not specified."),
        ("copy t from 's3://data/f' iam_role 'me'".to_owned(), "IAM_ROLE must be default or the ARN of a role"),
        (format!("copy nowhere from 's3://data/f' {ROLE}"), "Cannot COPY into nonexistent table nowhere"),
        (format!("copy t (m) from 's3://data/f' {ROLE}"), "column \"m\" of relation \"t\" does not exist"),
        (format!("copy t from 's3://data/none' {ROLE}"), "The specified S3 prefix 'none' does not exist"),
        (
            format!("copy t from 's3://none/f' {ROLE}"),
            "S3ServiceException:The specified bucket does not exist,Status 404",
        ),
        (
            format!("copy t from 's3://closed/f' {ROLE}"),
            "S3ServiceException:Access Denied,Status 403,Error AccessDenied",
        ),
        (format!("copy t from 'dynamodb://t' {ROLE}"), "COPY from dynamodb:// is not supported by the local"),
        (format!("copy t from 's3://data/f' {ROLE} format as orc"), "COPY … ORC is not supported by the local"),
        (format!("copy t from 's3://data/f' {ROLE} nonsense"), "syntax error at or near \"nonsense\""),
        (format!("copy t from 's3://data/f' {ROLE} maxerror 100001"), "Invalid value for MAXERROR"),
        (
            format!("copy t from 's3://data/f' {ROLE} parquet maxerror 1"),
            "MAXERROR argument is not supported for PARQUET based COPY",
        ),
        (format!("copy t from 's3://data/f' {ROLE} parquet"), "Spectrum Scan Error"),
        (
            "copy t from 's3://data/f' access_key_id 'a' secret_access_key 'b' parquet".to_owned(),
            "only accepts IAM_ROLE credentials",
        ),
    ] {
        let error = fails(&s, &sql).await;
        assert!(error.starts_with("ERROR: ") && error.contains(message), "{sql}: {error}");
    }
    s.finished("copy t from 's3://data/f' iam_role default").await;
    s.finished("copy t from 's3://data/f' credentials 'aws_iam_role=arn:aws:iam::000000000000:role/loader'").await;
    let without = Setting::new().await;
    without.finished("create table t (n int)").await;
    assert!(fails(&without, "copy t from 's3://data/f' iam_role default").await.contains("without an S3"));
}
