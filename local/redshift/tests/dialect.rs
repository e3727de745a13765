//! The rewriter without a server: what it changes, what it refuses and in which words, and that it changes nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use redshift::dialect::{Context, Kind, ServerError, Translation, bind, error_text, translate};

fn run(sql: &str) -> Translation {
    translate(sql, &Context::default()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn last(sql: &str) -> String {
    run(sql).statements.last().expect("a statement").sql.clone()
}

fn refused(sql: &str) -> String {
    match translate(sql, &Context::default()) {
        Err(error) => error.to_string(),
        Ok(translation) => panic!("{sql} is not refused: {translation:?}"),
    }
}

#[test]
fn rewrites() {
    let cases = [
        ("select dateadd(day, 1, d) from t", "select redshift_catalog.date_add('day', 1, d) from t"),
        ("select DATEDIFF ( 'hour', a, b )", "select redshift_catalog.date_diff('hour', a, b)"),
        ("select date_part(sec, ts)", "select redshift_catalog.pgdate_part('sec', ts)"),
        ("select extract(year from ts)", "select redshift_catalog.date_part(ts, 'year')"),
        ("select nvl(a, 0)", "select coalesce(a, 0)"),
        ("select nvl2(a, 1, 2)", "select case when (a) is not null then 1 else 2 end"),
        (
            "select decode(a, null, 'n', 1, 'one', 'other')",
            "select case when (a) is null then 'n' when (a) is not distinct from (1) then 'one' else 'other' end",
        ),
        ("select convert(int, x)", "select cast(x as int)"),
        ("select sysdate - 1, a.sysdate", "select redshift_catalog.sysdate() - 1, a.sysdate"),
        ("select top 5 a from t order by a;", "select a from t order by a limit 5"),
        ("select a from t minus select b from u", "select a from t except select b from u"),
        ("select * from (select 1)", "select * from (select 1) as \"__subquery_0\""),
        ("select 1 -- one\n from (select 1) x", "select 1 -- one\n from (select 1) x"),
        ("select a::varchar(max), b::nvarchar, c::decimal", "select a::varchar(65535), b::varchar, c::numeric(18,0)"),
        ("select '\\\\d', 'plain', E'x\\n'", "select E'\\\\d', 'plain', E'x\\n'"),
        ("select \"MyCol\" from \"T\"", "select \"mycol\" from \"t\""),
        ("select * from #Tmp", "select * from \"#tmp\""),
        ("select a # b, a#b from t", "select a # b, a#b from t"),
        (
            "select c[0].name[1] from t",
            "select ((( c operator(pg_catalog.->) (0)) operator(pg_catalog.->) 'name') operator(pg_catalog.->) (1)) as \"name\" from t",
        ),
        ("delete t where a = 1", "delete from t where a = 1"),
        ("select approximate count(distinct a) from t", "select  count(distinct a) from t"),
        (
            "select listagg(a, ',') within group (order by b) from t",
            "select redshift_catalog.listagg(a, ',' order by b) from t",
        ),
        (
            "select listagg(a) within group (order by b) over (partition by c) from t",
            "select redshift_catalog.listagg(a) over (partition by c order by b rows between unbounded preceding and unbounded following) from t",
        ),
        (
            "select lag(a, 2) ignore nulls over (order by b) from t",
            "select redshift_catalog.lag_not_null(pg_catalog.array_agg(a) over (order by b rows between unbounded preceding and 1 preceding), 2) from t",
        ),
        (
            "select first_value(a) respect nulls over (order by b rows unbounded preceding) from t",
            "select first_value(a) over (order by b rows unbounded preceding) from t",
        ),
        (
            "select o.id, i.sku from shop.orders o, o.data.items[0] as i at n where i.sku = 'a'",
            "select o.id, (i.i operator(pg_catalog.->) 'sku') as \"sku\" from shop.orders o, lateral redshift_catalog.super_items(((o.data operator(pg_catalog.->) 'items') operator(pg_catalog.->) (0))) as \"i\"(\"i\", \"n\") where (i.i operator(pg_catalog.->) 'sku') = 'a'::text",
        ),
        (
            "select a.b.c.d.e from t",
            "select ((a.b.c operator(pg_catalog.->) 'd') operator(pg_catalog.->) 'e') as \"e\" from t",
        ),
        ("vacuum sort only s.t to 90 percent", "vacuum s.t"),
        ("analyze t all columns", "analyze t"),
        ("begin read only", "begin isolation level repeatable read read only"),
        ("set search_path to a, b", "set search_path to a, b, redshift_catalog, pg_catalog"),
        ("set query_group to batch", "set redshift.query_group to 'batch'"),
        ("grant select on t to role r", "grant select on t to r"),
        ("alter user u set search_path to a", "alter user u set search_path to a, redshift_catalog, pg_catalog"),
        ("create user u password disable nocreateuser", "create user u password null nosuperuser"),
        ("create table #t (a int)", "create temp table \"#t\" (a int)"),
        (
            "create table if not exists s.t (id bigint identity(0,1) distkey, a varchar encode lzo, b char, primary key (a)) diststyle key compound sortkey (id) backup no",
            "create table if not exists s.t (id bigint generated always as identity (start with 0 increment by 1 minvalue 0), a varchar(256) not null, b char(1))",
        ),
        ("create table t (a int primary key references u (b), unique (a))", "create table t (a int not null)"),
        (
            "create table t diststyle even sortkey(a) as select dateadd(d, 1, x) a from u",
            "create table t as select redshift_catalog.date_add('d', 1, x) a from u",
        ),
        ("create view v as select 1 with no schema binding", "create view v as select 1"),
        ("create schema s quota unlimited", "create schema s"),
        ("alter table t alter column c type varchar(10)", "alter table t alter column c type varchar(10)"),
        ("select into_x from t", "select into_x from t"),
        ("select a into #x from t", "select a into temp \"#x\" from t"),
    ];
    for (sql, expected) in cases {
        let made = last(sql);
        let flat = |text: &str| text.replace("( ", "(");
        assert_eq!(flat(&made), flat(expected), "of {sql}");
    }
}

#[test]
fn plain_sql_is_left_alone() {
    for sql in [
        "",
        "  -- nothing\n /* at /* all */ */ ",
        "select 1",
        "SELECT a, b.c AS \"d\", 'it''s; -- text' /* c */ FROM s.t AS b WHERE x <> 1 AND y LIKE '%\u{e4}%' ORDER BY 1 LIMIT 10",
        "insert into t (a, b) values (1, 'x'), (2, null)",
        "update t set a = 1 from u where u.id = t.id",
        "with x as (select 1 as a), y as (select * from x) select * from x join y using (a)",
        "select case when a then 1 else 2 end, count(*) over (partition by b) from t group by grouping sets ((a), ())",
        "select :name, a::int, $1, '$$', $$ select dateadd(day, 1, x) $$, $q$ it's $q$ from t",
        "commit",
        "fetch forward all from c",
        "drop table if exists a, b cascade",
    ] {
        let translation = run(sql);
        let made: String = translation.statements.iter().map(|command| command.sql.as_str()).collect();
        assert_eq!(made, if translation.kind == Kind::Empty { "" } else { sql });
    }
}

#[test]
fn refusals() {
    let cases = [
        ("insert into t values (1) on conflict do nothing", "ERROR: syntax error at or near \"on\""),
        ("insert into t values (1) returning id", "ERROR: syntax error at or near \"returning\""),
        ("update t set a = 1 returning a", "ERROR: syntax error at or near \"returning\""),
        ("insert into t values (1), ((select 1))", "ERROR: can't use subqueries in multi-row VALUES"),
        ("select distinct on (a) a from t", "ERROR: SELECT DISTINCT ON is not supported"),
        ("select count(*) filter (where a) from t", "ERROR: syntax error at or near \"(\""),
        ("select sum(a) over w from t window w as (partition by b)", "ERROR: syntax error at or near \"window\""),
        (
            "select sum(a) over (order by b range unbounded preceding) from t",
            "ERROR: syntax error at or near \"range\"",
        ),
        (
            "select sum(a) over (order by b) from t",
            "ERROR: Aggregate window functions with an ORDER BY clause require a frame clause",
        ),
        ("values (1)", "ERROR: syntax error at or near \"values\""),
        ("select * from (values (1)) v", "ERROR: syntax error at or near \"values\""),
        ("select * from t, lateral (select 1) x", "ERROR: syntax error at or near \"lateral\""),
        ("select * from t tablesample system (1)", "ERROR: syntax error at or near \"tablesample\""),
        ("select * from t fetch first 1 rows only", "ERROR: syntax error at or near \"fetch\""),
        ("select * from t for update", "ERROR: syntax error at or near \"for\""),
        ("select 1 intersect all select 1", "ERROR: syntax error at or near \"all\""),
        ("select 1 except all select 1", "ERROR: syntax error at or near \"all\""),
        ("select 1 minus all select 1", "ERROR: syntax error at or near \"all\""),
        ("with x as (insert into t values (1)) select 1", "ERROR: syntax error at or near \"insert\""),
        ("with x as materialized (select 1) select 1", "ERROR: syntax error at or near \"materialized\""),
        ("create index i on t (a)", "ERROR: SQL command \"CREATE INDEX\" not supported on Redshift tables."),
        ("create unique index i on t (a)", "ERROR: SQL command \"CREATE UNIQUE\" not supported on Redshift tables."),
        ("create trigger x", "ERROR: SQL command \"CREATE TRIGGER\" not supported on Redshift tables."),
        ("create sequence x", "ERROR: SQL command \"CREATE SEQUENCE\" not supported on Redshift tables."),
        ("create domain x as int", "ERROR: SQL command \"CREATE DOMAIN\" not supported on Redshift tables."),
        ("create type x as enum ('a')", "ERROR: SQL command \"CREATE TYPE\" not supported on Redshift tables."),
        ("create extension x", "ERROR: SQL command \"CREATE EXTENSION\" not supported on Redshift tables."),
        ("savepoint s", "ERROR: SQL command \"SAVEPOINT\" not supported on Redshift tables."),
        ("rollback to s", "ERROR: SQL command \"ROLLBACK TO SAVEPOINT\" not supported on Redshift tables."),
        ("do $$ begin end $$", "ERROR: SQL command \"DO\" not supported on Redshift tables."),
        ("listen x", "ERROR: SQL command \"LISTEN\" not supported on Redshift tables."),
        ("select array[1, 2]", "ERROR: syntax error at or near \"[\""),
        ("select a is distinct from b", "ERROR: syntax error at or near \"distinct\""),
        ("select a::int[]", "ERROR: type \"int[]\" does not exist"),
        ("select a::uuid", "ERROR: type \"uuid\" does not exist"),
        ("create table t (c serial)", "ERROR: Column \"t.c\" has unsupported type \"serial\"."),
        ("create table s.t (a int, c jsonb)", "ERROR: Column \"t.c\" has unsupported type \"jsonb\"."),
        ("create table t (c int[])", "ERROR: Column \"t.c\" has unsupported type \"int[]\"."),
        ("create table t (c interval)", "ERROR: Column \"t.c\" has unsupported type \"interval\"."),
        ("create table t (c varchar(70000))", "ERROR: length for type varchar cannot exceed 65535"),
        ("create table t (a int check (a > 0))", "ERROR: syntax error at or near \"check\""),
        ("create table t (tag int)", "ERROR: syntax error at or near \"tag\""),
        ("create table t (a int) inherits (b)", "ERROR: syntax error at or near \"inherits\""),
        ("create table t (a int) partition by range (a)", "ERROR: syntax error at or near \"partition\""),
        ("alter table t alter column a type int", "ERROR: ALTER COLUMN TYPE is only supported for VARCHAR columns"),
        ("alter table t alter column a set not null", "ERROR: syntax error at or near \"set\""),
        (
            "select now() from t",
            "ERROR: Specified types or functions (one per INFO message) not supported on Redshift tables.",
        ),
        ("select substr(a, 1) from t", "ERROR: SUBSTR() function is not supported (Hint: use SUBSTRING instead)"),
        ("merge into t using s on a = b when matched and a then delete", "ERROR: syntax error at or near \"and\""),
        ("truncate t cascade", "ERROR: syntax error at or near \"cascade\""),
        ("truncate a, b", "ERROR: syntax error at or near \",\""),
        ("explain analyze select 1", "ERROR: syntax error at or near \"analyze\""),
        ("vacuum analyze t", "ERROR: syntax error at or near \"analyze\""),
        ("insert into t overriding system value values (1)", "ERROR: syntax error at or near \"overriding\""),
        ("update t set (a, b) = (1, 2)", "ERROR: syntax error at or near \"(\""),
        ("delete from only t", "ERROR: syntax error at or near \"only\""),
        ("select a is true, b from t", "ERROR: Not implemented"),
        ("select f(a => 1)", "ERROR: syntax error at or near \"=>\""),
        ("create table t as select 1 as a with no data", "ERROR: syntax error at or near \"with\""),
        ("commit prepared 'x'", "ERROR: syntax error at or near \"prepared\""),
        ("rollback and chain", "ERROR: syntax error at or near \"and\""),
        ("select 1; select 2", "ERROR: cannot insert multiple commands into a prepared statement"),
        ("select 'open", "ERROR: unterminated quoted string at or near \"'open\""),
        ("copy t from stdin", "ERROR: syntax error at or near \"copy\""),
        ("select qualify from", "ERROR: syntax error at or near \"qualify\""),
        ("nonsense", "ERROR: syntax error at or near \"nonsense\""),
    ];
    for (sql, expected) in cases {
        assert_eq!(refused(sql), expected, "of {sql}");
    }
}

/// What Redshift runs and this stand-in does not is named.
#[test]
fn named_gaps() {
    for (sql, construct) in [
        ("create external table s.t (a int) stored as parquet location 's3://b'", "CREATE EXTERNAL TABLE"),
        ("create external schema s from data catalog", "CREATE EXTERNAL SCHEMA"),
        ("create model m from t", "CREATE MODEL M"),
        ("create datashare d", "CREATE DATASHARE"),
        ("create database d", "CREATE DATABASE"),
        ("alter table a append from b", "APPEND FROM"),
        ("merge into t using s on a = b remove duplicates", "REMOVE DUPLICATES"),
        ("select * from t start with a = 1 connect by prior a = b", "CONNECT BY"),
        ("select * from a, b where a.x = b.x (+)", "outer join operator (+)"),
        ("select * from t pivot (count(*) for a in (1))", "PIVOT of a table"),
        ("create table t (g geometry)", "type GEOMETRY"),
        ("create table t (g varbyte(10))", "type VARBYTE"),
        ("create table t (a varchar(10) collate case_insensitive)", "COLLATE CASE_INSENSITIVE"),
        ("analyze compression t", "ANALYZE COMPRESSION"),
        ("show tables from schema a.b", "SHOW TABLES"),
        ("cancel 12", "CANCEL"),
        ("grant usage on datashare d to namespace 'x'", "DATASHARE"),
        (
            "create procedure p(out a int, inout b int) as $$ begin end $$ language plpgsql",
            "an INOUT argument behind an OUT argument",
        ),
    ] {
        let text = refused(sql);
        assert!(
            text.contains(construct) && text.contains("not supported by the local Redshift stand-in"),
            "{sql}: {text}"
        );
    }
}

/// A statement from outside must not end the process: not by depth, not by size, not by what a rewrite multiplies.
#[test]
fn limits() {
    let deep = format!("select {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(refused(&deep), "ERROR: stack depth limit exceeded");
    let nested = format!("select * from {}select 1{}", "(select * from ".repeat(190), ")".repeat(190));
    assert!(translate(&nested, &Context::default()).is_ok());
    let mut decode = "a".to_owned();
    for _ in 0..40 {
        decode = format!("decode({decode}, 1, 2, 3, 4, 5, 6)");
    }
    assert!(refused(&format!("select {decode}")).starts_with("ERROR: Statement is too large."));
    let rows = vec!["(1, 'x', null)"; 50_000].join(", ");
    assert_eq!(last(&format!("insert into t values {rows}")).len(), "insert into t values ".len() + rows.len());
}

/// What cannot run inside a procedure fails when the procedure runs, so that it can be made.
#[test]
fn refused_in_a_procedure_when_it_runs() {
    let made = last("create procedure p() as $$ begin copy t from 's3://b' iam_role default; end $$ language plpgsql");
    assert!(
        made.contains("perform redshift_catalog.refuse('0A000', 'COPY in a stored procedure is not supported"),
        "{made}"
    );
}

#[test]
fn kinds() {
    let cases = [
        ("select 1", Kind::Select, None, true),
        ("/* c */ with a as (select 1) select * from a", Kind::Select, None, true),
        ("(select 1) union (select 2)", Kind::Select, None, true),
        ("select 1 as a into s.t", Kind::Ddl, Some("s.t"), false),
        ("insert into S.T (a) select 1", Kind::Dml, Some("s.t"), false),
        ("with a as (select 1) update t set b = 1", Kind::Dml, Some("t"), false),
        ("delete from only_t", Kind::Dml, Some("only_t"), false),
        ("merge into t using s on t.a = s.a when matched then delete", Kind::Dml, Some("t"), false),
        ("create table \"Q\" (a int)", Kind::Ddl, Some("q"), false),
        ("call p(1, 'x')", Kind::Call, Some("p"), false),
        ("begin", Kind::Begin, None, false),
        ("start transaction isolation level serializable", Kind::Begin, None, false),
        ("end", Kind::Commit, None, false),
        ("abort", Kind::Rollback, None, false),
        ("truncate table s.t", Kind::Truncate, Some("s.t"), false),
        ("show search_path", Kind::Utility, None, true),
        ("explain select 1", Kind::Utility, None, true),
        ("set query_group to x", Kind::Utility, None, false),
        ("grant select on t to u", Kind::Ddl, None, false),
        ("drop table a", Kind::Ddl, Some("a"), false),
        ("refresh materialized view m", Kind::Utility, Some("m"), false),
        ("vacuum t", Kind::Utility, Some("t"), false),
        (" -- nothing", Kind::Empty, None, false),
    ];
    for (sql, kind, target, rows) in cases {
        let made = run(sql);
        assert_eq!((made.kind, made.target.as_deref(), made.returns_rows), (kind, target, rows), "of {sql}");
    }
    assert!(run("truncate t").commits);
    assert!(!run("vacuum").in_block);
}

#[test]
fn statements_that_cannot_run_in_a_block() {
    let block = Context { in_transaction: true, ..Context::default() };
    for (sql, what) in [
        ("vacuum t", "VACUUM"),
        ("alter table t alter column a type varchar(9)", "ALTER TABLE ALTER COLUMN"),
        ("drop database d", "DROP DATABASE"),
    ] {
        let error = translate(sql, &block).unwrap_err();
        assert_eq!(error.to_string(), format!("ERROR: {what} cannot run inside a transaction block"));
        assert_eq!(error.code, "25001");
    }
    assert!(translate("analyze t", &block).is_ok());
    let call = translate("call p()", &block).unwrap();
    assert_eq!(call.statements.len(), 2, "a CALL in a block tells the procedure so: {call:?}");
}

#[test]
fn select_list_aliases_wait_for_the_server() {
    let context = Context::default();
    let sql = "select clicks / views as p, round(100 * p, 1) as pct, u.p from u";
    let first = translate(sql, &context).unwrap();
    assert_eq!(first.statements[0].sql, sql);
    let refusal = |name: &str| ServerError {
        code: "42703".to_owned(),
        message: format!("column \"{name}\" does not exist"),
        ..ServerError::default()
    };
    assert_eq!(context.with_alias(&first.statements[0], &refusal("views")), None);
    let again = context.with_alias(&first.statements[0], &refusal("p")).expect("p is an alias");
    let second = translate(sql, &again).unwrap();
    assert_eq!(
        second.statements[0].sql,
        "select clicks / views as p, round(100 * ( clicks / views), 1) as pct, u.p from u"
    );
    assert_eq!(again.with_alias(&second.statements[0], &refusal("p")), None, "once is enough");
}

#[test]
fn parameters() {
    let sql = "select :a, ':a', \":a\", x::a, :b::int, $$ :a $$, /* :a */ :a -- :b\n, :1st, :c from t";
    let bound = bind(sql, &["b", "a", "1st", "unused"]).unwrap();
    assert_eq!(bound.sql, "select $1, ':a', \":a\", x::a, $2::int, $$ :a $$, /* :a */ $1 -- :b\n, $3, :c from t");
    assert_eq!(bound.values, [1, 0, 2]);
    assert_eq!(bound.used.iter().map(String::as_str).collect::<Vec<_>>(), ["1st", "a", "b"]);
    assert_eq!(bound.missing.iter().map(|marker| marker.name.as_str()).collect::<Vec<_>>(), ["c"]);
    // Markers survive the rewriter.
    let made = last("select dateadd(day, :n, :d) from t where a = :n limit :m");
    assert_eq!(
        bind(&made, &["n", "d", "m"]).unwrap().sql,
        "select redshift_catalog.date_add('day', $1, $2) from t where a = $1 limit $3"
    );
}

#[test]
fn error_texts() {
    let error = |code: &str, message: &str| ServerError {
        severity: "ERROR".to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        ..ServerError::default()
    };
    let hint =
        "\n  Hint: No function matches the given name and argument types. You may need to add explicit type casts.";
    for (given, expected) in [
        (
            error("42P01", "relation \"nowhere\" does not exist"),
            "ERROR: relation \"nowhere\" does not exist".to_owned(),
        ),
        (error("42501", "permission denied for table t"), "ERROR: permission denied for relation t".to_owned()),
        (error("42501", "permission denied for schema s"), "ERROR: permission denied for schema s".to_owned()),
        (error("42501", "must be owner of view v"), "ERROR: must be owner of relation v".to_owned()),
        (
            error("22P02", "invalid input syntax for type integer: \"x\""),
            "ERROR: invalid input syntax for integer: \"x\"".to_owned(),
        ),
        (error("22012", "division by zero"), "ERROR: Divide by zero".to_owned()),
        (
            error("57014", "canceling statement due to user request"),
            "ERROR: Query (42) cancelled on user's request".to_owned(),
        ),
        (
            error("57014", "canceling statement due to statement timeout"),
            "ERROR: Query (42) cancelled on user's request".to_owned(),
        ),
        (error("42P07", "relation \"t\" already exists"), "ERROR: Relation \"t\" already exists".to_owned()),
        (
            error("428C9", "cannot insert a non-DEFAULT value into column \"id\""),
            "ERROR: cannot set an identity column to a value".to_owned(),
        ),
        (
            error("21000", "MERGE command cannot affect row a second time"),
            "ERROR: Found multiple matches to update the same tuple.".to_owned(),
        ),
        (
            error("42883", "function string_agg\u{2060}(character varying, unknown) does not exist"),
            format!("ERROR: function string_agg(character varying, \"unknown\") does not exist{hint}"),
        ),
        (
            error(
                "42883",
                "function redshift_catalog.date_add(unknown, integer, timestamp with time zone) does not exist",
            ),
            format!(
                "ERROR: function pg_catalog.date_add(\"unknown\", integer, timestamp with time zone) does not exist{hint}"
            ),
        ),
        (
            error("53300", "remaining connection slots are reserved for non-replication superuser connections"),
            "ERROR: connection limit \"500\" exceeded for non-bootstrap users".to_owned(),
        ),
    ] {
        assert_eq!(error_text(&given, 42), expected);
    }
    let long = error_text(&error("22001", "value too long for type character varying(8)"), 3_743_263);
    assert!(long.starts_with("ERROR: Value too long for character type\n  Detail: \n  ----"), "{long}");
    for line in ["code:      8001", "context:   Value too long for type character varying(8)", "query:     3743263"] {
        assert!(long.contains(line), "{long}");
    }
    let serial = error_text(&error("40001", "could not serialize access due to concurrent update"), 1);
    assert!(serial.contains("1023") && serial.contains("Serializable isolation violation on table"), "{serial}");
    let truncate = ServerError {
        context: Some("PL/pgSQL function redshift_catalog.truncate_commit() line 3 at COMMIT".to_owned()),
        ..error("2D000", "invalid transaction termination")
    };
    assert!(error_text(&truncate, 1).starts_with(
        "ERROR: TRUNCATE cannot be invoked from a procedure that is executing in an atomic context.\n  Hint: Try calling"
    ));
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "select",
        "from",
        "where",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        ";",
        "a",
        "b",
        "t",
        "1",
        "2.5",
        "'x'",
        "'\\''",
        "\"Q\"",
        "$$",
        "$1",
        ":n",
        "::",
        "as",
        "with",
        "union",
        "all",
        "minus",
        "top",
        "qualify",
        "over",
        "order",
        "by",
        "group",
        "within",
        "listagg",
        "dateadd",
        "day",
        "decode",
        "nvl2",
        "create",
        "table",
        "procedure",
        "begin",
        "end",
        "identity",
        "int",
        "varchar",
        "max",
        "insert",
        "into",
        "values",
        "update",
        "set",
        "delete",
        "merge",
        "using",
        "on",
        "when",
        "matched",
        "then",
        "call",
        "drop",
        "alter",
        "add",
        "column",
        "pivot",
        "unpivot",
        "for",
        "in",
        "ignore",
        "nulls",
        "lag",
        "extract",
        "cast",
        "convert",
        "primary",
        "key",
        "default",
        "#t",
        "--c\n",
        "/*c*/",
        "=",
        "<>",
        "||",
        "+",
        "*",
        "show",
        "grant",
        "to",
        "vacuum",
        "explain",
        "declare",
        "exception",
        "execute",
        "if",
        "loop",
        "case",
        "language",
        "plpgsql",
        "$$ begin execute 'select ' || a; end $$",
        "approximate",
        "count",
        "median",
        "is",
        "not",
        "distinct",
        "interval",
        "like",
        "references",
        "encode",
        "limit",
        "recursive",
    ])
    .prop_map(str::to_owned)
}

/// Queries that mean the same in both systems, with blanks, comments and quotes in odd places.
fn plain() -> impl Strategy<Value = String> {
    let blank =
        prop::sample::select(vec![" ", "  ", "\n", "\t", " /* dateadd(day */ ", " -- it's\n", " /* a /* b */ c */ "]);
    let item = prop::sample::select(vec![
        "a",
        "t.a",
        "count(*)",
        "'it''s'",
        "'--'",
        "'/*'",
        "1.5e3",
        "upper(a) as u",
        "a || 'x'",
        "(a + 1) * 2",
        "\"quoted \"\"name\"",
        "case when a > 1 then b else c end",
        "$$dateadd(day, 1, x)$$",
        "$t$'$t$",
        "a <> b",
        "a::int",
        "coalesce(a, 'sysdate')",
    ]);
    (
        prop::collection::vec((item, blank.clone()), 1..5),
        blank,
        prop::sample::select(vec!["", " where a = 'top 5'", " group by a", " order by 1 desc limit 3"]),
    )
        .prop_map(|(items, blank, end)| {
            let list: Vec<String> = items.iter().map(|(item, blank)| format!("{blank}{item}")).collect();
            format!("select{}{blank}from t{blank}join u using (a){end}", list.join(","))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_panics_on_words(words in prop::collection::vec(word(), 0..25)) {
        let sql = words.join(" ");
        let _ = translate(&sql, &Context::default());
        let _ = bind(&sql, &["n"]);
    }

    #[test]
    fn never_panics_on_text(sql in "\\PC{0,80}") {
        let _ = translate(&sql, &Context::default());
        let _ = bind(&sql, &["n"]);
    }

    #[test]
    fn procedures_never_panic(words in prop::collection::vec(word(), 0..25)) {
        let sql = format!("create procedure p() as $body$ {} $body$ language plpgsql", words.join(" "));
        let _ = translate(&sql, &Context::default());
    }

    #[test]
    fn plain_queries_are_unchanged(sql in plain()) {
        let made = translate(&sql, &Context::default()).map(|translation| translation.statements[0].sql.clone());
        prop_assert_eq!(made, Ok(sql));
    }

    #[test]
    fn binding_without_names_changes_nothing(sql in plain()) {
        prop_assert_eq!(bind(&sql, &[]).map(|bound| bound.sql), Ok(sql));
    }
}
