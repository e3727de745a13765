//! The dialect on a real server: results against the values the developer guide prints, errors in Redshift's words.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use redshift::dialect::{Context, Kind, ServerError, Value, bind, error_text, translate};
use redshift::postgres::{ADMINISTRATOR, Server};
use tokio_postgres::{Client, SimpleQueryMessage};

/// A database with the prelude and a session in it, as a user without special rights.
struct Database {
    server: Server,
    client: Client,
}

async fn database() -> Database {
    let server = Server::start(10).await.expect("PostgreSQL starts");
    server.create_database("dev").await.expect("a database");
    let administrator = server.connect("dev", ADMINISTRATOR).await.expect("the administrator's session");
    administrator.batch_execute("create role reader login").await.expect("a user");
    let client = server.connect("dev", "reader").await.expect("a session");
    Database { server, client }
}

/// Runs one statement as the Data API does outside a batch; rows as text.
async fn run_in(client: &Client, sql: &str, context: Context) -> Result<Vec<String>, String> {
    let mut context = context;
    'translate: loop {
        let translation = translate(sql, &context).map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        for command in &translation.statements {
            match client.simple_query(&command.sql).await {
                Ok(messages) => {
                    rows = messages
                        .iter()
                        .filter_map(|message| match message {
                            SimpleQueryMessage::Row(row) => Some(
                                (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect::<Vec<_>>().join("|"),
                            ),
                            _ => None,
                        })
                        .collect();
                }
                Err(error) => {
                    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
                    let error = ServerError {
                        severity: error.severity().to_owned(),
                        code: error.code().code().to_owned(),
                        message: error.message().to_owned(),
                        detail: error.detail().map(str::to_owned),
                        hint: error.hint().map(str::to_owned),
                        context: error.where_().map(str::to_owned),
                        table: error.table().map(str::to_owned),
                        column: error.column().map(str::to_owned),
                    };
                    if let Some(with_alias) = context.with_alias(command, &error) {
                        context = with_alias;
                        continue 'translate;
                    }
                    return Err(error_text(&error, 7));
                }
            }
        }
        return Ok(rows);
    }
}

impl Database {
    async fn rows(&self, sql: &str) -> Vec<String> {
        run_in(&self.client, sql, Context::default()).await.unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    async fn error(&self, sql: &str) -> String {
        match run_in(&self.client, sql, Context::default()).await {
            Err(error) => error,
            Ok(rows) => panic!("{sql} runs: {rows:?}"),
        }
    }

    async fn holds(&self, cases: &[(&str, &[&str])]) {
        for (sql, expected) in cases {
            assert_eq!(self.rows(sql).await, *expected, "of {sql}");
        }
    }

    async fn fails(&self, cases: &[(&str, &str)]) {
        for (sql, expected) in cases {
            let error = self.error(sql).await;
            assert!(error.starts_with(expected), "{sql}\n expected {expected}\n got {error}");
        }
    }
}

const SALES: &[&str] = &[
    "create table sales (id int identity(1,1), seller int, item varchar(10), price decimal(8,2), sold timestamp, primary key (id)) distkey(seller) sortkey(sold)",
    "insert into sales (seller, item, price, sold) values (1, 'a', 1.50, '2020-01-01'), (1, 'b', 2.50, '2020-01-02'), \
     (2, null, 4.00, '2020-01-03'), (2, '', 4.00, null), (2, 'b ', 3.01, '2020-01-05')",
];

#[tokio::test]
async fn functions() {
    let db = database().await;
    db.holds(&[
        // Dates: facts B.1.
        ("select dateadd(month, 1, '2008-04-30'::date)", &["2008-05-30 00:00:00"]),
        ("select dateadd(month, 12, '2016-02-29')", &["2017-02-28 00:00:00"]),
        ("select dateadd(year, 1, '2016-02-29')", &["2017-03-01 00:00:00"]),
        ("select dateadd(m, 5, '2008-01-01 10:00'::timestamp)", &["2008-01-01 10:05:00"]),
        ("select dateadd(hr, -3, time '02:00')", &["23:00:00"]),
        ("select dateadd(qtr, 1, '2008-01-31'), dateadd(ms, 5, '2008-01-31')", &["2008-04-30 00:00:00|2008-01-31 00:00:00.005"]),
        ("select datediff(year, '2008-12-31', '2009-01-01')", &["1"]),
        ("select datediff(hour, '2008-01-01 08:30'::timestamp, '2008-01-01 10:00')", &["2"]),
        ("select datediff(week, '2009-01-01', '2009-12-31')", &["52"]),
        // The guide prints 40 for a current date of June 2008, one more than the boundaries it says it counts.
        ("select datediff(qtr, '1998-07-01', '2008-07-05')", &["40"]),
        ("select datediff(hour, '2023-01-01', '2023-01-03 05:04:03')", &["53"]),
        ("select datediff(day, '2009-01-01'::date, '2008-12-01'::date), datediff(s, '2009-01-01', '2009-01-01 00:01:00')", &["-31|60"]),
        ("select date_part(sec, '2008-01-01 10:11:03.189717'::timestamp)", &["3.189717"]),
        ("select extract(sec from '2008-01-01 10:11:03.189717'::timestamp)", &["3"]),
        ("select extract(ms from '2009-09-09 12:08:43.101'::timestamp), extract(us from '2009-09-09 12:08:43.101'::timestamp)", &["101|101000"]),
        ("select date_part(decade, date '1999-06-01'), date_part(decade, date '2000-06-01')", &["200|201"]),
        ("select date_part(century, date '2000-06-01'), date_part(c, date '2001-06-01')", &["20|21"]),
        ("select extract(dow from date '2020-01-05'), extract(epoch from timestamp '1970-01-02')", &["0|86400"]),
        ("select date_trunc('week', '2020-01-05'::date), date_trunc('mons', '2020-05-17 10:00')", &["2019-12-30 00:00:00|2020-05-01 00:00:00"]),
        ("select trunc('2020-05-17 10:00'::timestamp), last_day('2008-02-03')", &["2020-05-17|2008-02-29"]),
        ("select add_months('2008-04-30', 1), add_months('2008-03-31', 1)", &["2008-05-31 00:00:00|2008-04-30 00:00:00"]),
        ("select months_between('1969-01-18', '1969-03-18'), months_between('2020-02-29', '2020-01-31'), months_between(null, '2020-01-31')", &["-2|1|NULL"]),
        ("select next_day('2014-08-20', 'Tuesday')", &["2014-08-26"]),
        ("select convert_timezone('EST', 'PST', '2008-03-05 12:25:29')", &["2008-03-05 09:25:29"]),
        ("select convert_timezone('America/New_York', '2013-02-01 08:00:00')", &["2013-02-01 03:00:00"]),
        ("select convert_timezone('GMT', 'GMT+2', '2014-05-17 12:00:00')", &["2014-05-17 10:00:00"]),
        ("select to_date('20010631', 'YYYYMMDD'), to_date('02 Oct 2001', 'DD Mon YYYY')", &["2001-07-01|2001-10-02"]),
        ("select to_char('2009-12-31 23:15:59'::timestamp, 'MONTH-DY-DD-YYYY HH12:MIPM'), to_char(125.8, '999.99')", &["DECEMBER -THU-31-2009 11:15PM| 125.80"]),
        ("select getdate() <= sysdate, date_trunc('second', getdate()) = getdate(), trunc(sysdate) - 1 = current_date - 1", &["t|t|t"]),
        ("select current_date + 1 - current_date, timestamp '2020-01-02' - timestamp '2020-01-01'", &["1|1 day"]),
        ("select interval '3 hours, 35 minutes', interval '52'", &["03:35:00|00:00:52"]),
        // NULL: facts B.2.
        ("select nvl(null, null, 3), nvl2(null, 1, 2), nvl2('x', 1, 2)", &["3|2|1"]),
        ("select decode(null, 1, 'one', null, 'none'), decode(2, 1, 'one'), decode(2, 1, 'one', 'other')", &["none|NULL|other"]),
        ("select concat('a', null), 'a' || null, concat('a', 1), concat(1, 2)", &["NULL|NULL|a1|12"]),
        ("select greatest(1, null, 3), least('a', null)", &["3|a"]),
        // Strings: facts B.3.
        ("select len('caf\u{e9} '), octet_length('caf\u{e9}'), len('a  '::char(5)), length('a  ')", &["5|5|1|3"]),
        ("select substring('caterpillar', 0, 4), left('abc', 2), charindex('fish', 'dogfish'), replicate('ab', 2)", &["cat|ab|4|abab"]),
        ("select split_part('abc$def$ghi', '$', 2), split_part('a', '$', 9)", &["def|"]),
        ("select strtol('0xf', 16), strtol('abcd1234', 16), strtol(' -110101', 2), strtol('', 10), strtol(null, 10)", &["15|2882343476|-53|0|NULL"]),
        ("select regexp_replace('a1b22', '[0-9]+', '#'), regexp_replace('a1b22', '[0-9]+'), regexp_replace('the fox', '\\\\s', '_', 1)", &["a#b#|ab|the_fox"]),
        ("select regexp_substr('abc', 'z'), regexp_substr('a1b2', '[0-9]', 1, 2), regexp_substr('a1', '[0-9]', 1, 5), regexp_substr('ab', 'a', 9)", &["|2|NULL|"]),
        ("select regexp_count('abcabc', 'B', 1, 'i'), regexp_instr('abc', 'c'), regexp_instr('abc', 'z')", &["2|3|0"]),
        ("select 'a' = 'a  ', 'a ' in ('a', 'b'), 'a'::char(3) = 'a', 'a ' < 'a', ('a ', 1) = ('a', 1)", &["t|t|t|f|t"]),
        ("select 'a' + 'b' + 'c', 1 || 'x', 'x' || 1.50 || current_date::date", &[&format!("abc|1x|x1.50{}", today(&db).await)]),
        ("select 'Incomplete'::char(3), '\u{e9}\u{e9}\u{e9}'::varchar(4), 'abc'::varchar(2)", &["Inc|\u{e9}\u{e9}|ab"]),
        ("select sha1('abc'), func_sha1('') ", &["a9993e364706816aba3e25717850c26c9cd0d89d|da39a3ee5e6b4b0d3255bfef95601890afd80709"]),
        ("select md5('Amazon Redshift'), sha2('abc', 224)", &["f7415e33f972c03abd4f3fed36748f7a|23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"]),
        ("select crc32('123456789'), fnv_hash('Amazon Redshift'), fnv_hash(1)", &["cbf43926|7783490368944507294|-5968735742475085980"]),
        // JSON: facts B.3.
        ("select json_extract_path_text('{\"f2\":{\"f3\":1},\"f4\":{\"f5\":99,\"f6\":\"star\"}}', 'f4', 'f6')", &["star"]),
        ("select json_extract_path_text('{\"a\":1}', 'b'), json_extract_path_text('no', 'b', true)", &["|NULL"]),
        ("select json_extract_array_element_text('[111,112,113]', 2), json_array_length('[11,12,{\"f1\":21}]')", &["113|3"]),
        ("select is_valid_json('{\"a\":2}'), is_valid_json('{a:1}'), is_valid_json_array('[]'), is_valid_json_array('{}')", &["t|f|t|f"]),
        ("select json_serialize(json_parse('{\"a\": [1, \"x\"]}')), json_typeof(array()), get_array_length(split_to_array('a,b'))", &["{\"a\":[1,\"x\"]}|array|2"]),
        ("select json_serialize(array_concat(array(1), array('x'))), json_serialize(object('a', 1)), json_serialize(subarray(array(1, 2, 3), 1, 1))", &["[1,\"x\"]|{\"a\":1}|[2]"]),
        ("select c.s[0].name::varchar, c.s[9] from (select json_parse('[{\"name\":\"n\"}]') as s) c", &["n|NULL"]),
        // Numbers: facts B.4.
        ("select 7 / 2, 7 % 2, mod(7, 3), 5::smallint / 2, round(1.239::float, 2), trunc(1.29::float, 1)", &["3|1|1|2|1.24|1.2"]),
        ("select 1::boolean, true = 1, 'yes'::boolean, case when 0 then 'a' else 'b' end, cast(1.5 as decimal)", &["t|t|t|b|2"]),
        ("select version() like '%Redshift 1.0%', log(100), dlog10(100), power(2, 10)", &["t|2|2|1024"]),
    ])
    .await;
    db.fails(&[
        ("select concat('a', 'b', 'c')", "ERROR: function concat(text, text, text) does not exist"),
        ("select split_part('a', 'b', 0)", "ERROR: field position must be greater than zero"),
        ("select true::varchar", "ERROR: cannot cast type boolean to character varying"),
        ("select 1.5::boolean", "ERROR: cannot cast type numeric to boolean"),
        ("select to_date('20010631', 'YYYYMMDD', true)", "ERROR: date/time field value out of range"),
        ("select dateadd(fortnight, 1, '2020-01-01')", "ERROR: timestamp units \"fortnight\" not recognized"),
        (
            "select dateadd(day, 1, now())",
            "ERROR: function pg_catalog.date_add(\"unknown\", integer, timestamp with time zone) does not exist",
        ),
        ("select json_extract_path_text('no', 'b')", "ERROR: JSON parsing error"),
        ("select string_agg('a', ',')", "ERROR: function string_agg(\"unknown\", \"unknown\") does not exist"),
        ("select pg_sleep(1)", "ERROR: function pg_sleep(integer) does not exist"),
        ("select nvl(1, 'Amazon Redshift')", "ERROR: invalid input syntax for integer: \"Amazon Redshift\""),
        ("select 1 / 0", "ERROR: Divide by zero"),
        ("select * from nowhere", "ERROR: relation \"nowhere\" does not exist"),
    ])
    .await;
    db.server.stop().await;
}

async fn today(db: &Database) -> String {
    db.rows("select current_date").await.remove(0)
}

#[tokio::test]
async fn queries() {
    let db = database().await;
    for sql in SALES {
        db.rows(sql).await;
    }
    db.holds(&[
        ("select avg(seller), sum(seller), avg(price), sum(price), avg(seller::bigint), avg(seller::float) from sales", &["1|8|3.00|15.01|1|1.6"]),
        ("select listagg(item, ',') within group (order by id) from sales", &["a,b,b "]),
        ("select listagg(distinct seller, ';') within group (order by seller desc) from sales", &["2;1"]),
        (
            "select seller, listagg(item) within group (order by id desc) over (partition by seller) from sales order by id",
            &["1|ba", "1|ba", "2|b ", "2|b ", "2|b "],
        ),
        ("select median(seller), median(price), percentile_cont(0.25) within group (order by price desc) from sales", &["2|3.01|4.00"]),
        ("select median(sold), percentile_disc(0.5) within group (order by seller) from sales", &["2020-01-02 12:00:00|2"]),
        ("select id, median(price) over (partition by seller) from sales order by id limit 1", &["1|2.000"]),
        ("select approximate count(distinct seller), any_value(1), bool_or(seller = 1) from sales", &["2|1|t"]),
        ("select round(ratio_to_report(price) over (partition by seller), 3) from sales order by id limit 2", &["0.375", "0.625"]),
        (
            "select last_value(item ignore nulls) over (order by id rows between unbounded preceding and current row), \
             lag(item) ignore nulls over (order by id), lead(sold, 1) respect nulls over (order by id) from sales order by id",
            &["a|NULL|2020-01-02 00:00:00", "b|a|2020-01-03 00:00:00", "b|b|NULL", "|b|2020-01-05 00:00:00", "b ||NULL"],
        ),
        (
            "select seller as k, max(id) from sales group by k qualify k = 2",
            &["2|5"],
        ),
        (
            "select c[0].a = 1, c[0].a = 'x'::varchar, c[0].b[0]::boolean, c[9].a is null \
             from (select json_parse('[{\"a\":1,\"b\":[true]}]') as c)",
            &["t|f|t|t"],
        ),
        ("select top 2 id from sales order by id desc", &["5", "4"]),
        ("select top 1 seller from sales union all select top 1 seller + 10 from sales order by 1 desc", &["11", "1"]),
        ("select id from sales where id < 4 minus select 2 order by 1", &["1", "3"]),
        (
            "select seller, item, row_number() over (partition by seller order by id) as rn from sales qualify rn = 1 order by seller",
            &["1|a|1", "2|NULL|1"],
        ),
        ("select * from sales qualify row_number() over (partition by seller order by price, id) = 1 order by sold limit 1", &["1|1|a|1.50|2020-01-01 00:00:00"]),
        (
            "select s.*, t.n from sales s join (select seller, count(*) n from sales group by seller) t on s.seller = t.seller \
             where s.id > 1 qualify count(*) over (partition by s.seller) = 1",
            &["2|1|b|2.50|2020-01-02 00:00:00|2"],
        ),
        ("select price / 2 as half, half * 10 as five from sales where id = 1", &["0.75000000000000000000|7.50000000000000000000"]),
        ("select seller * 100 as seller, seller + 1 as next from sales where id = 1", &["100|2"]),
        ("select * from (select id from sales where id = 1), (select 2 as b)", &["1|2"]),
        (
            "select * from (select seller, item, price from sales) pivot (count(*) as n, sum(price) for seller in (1, 2 as two)) order by item",
            &["|0|NULL|1|4.00", "a|1|1.50|0|NULL", "b|1|2.50|0|NULL", "b |0|NULL|1|3.01", "NULL|0|NULL|1|4.00"],
        ),
        (
            "select * from (select id, seller, item::varchar as item from sales where id < 3) unpivot (v for c in (seller, id as num)) order by 1, 2",
            &["a|num|1", "a|seller|1", "b|num|2", "b|seller|1"],
        ),
        ("select count(*) from sales x join sales y on x.item = y.item", &["6"]),
        ("select count(*) from sales where item not in ('a  ', '')", &["2"]),
        ("select count(*) from sales where sold > '2020-01-01'::varchar and sold <= dateadd(day, 3, '2020-01-01')", &["2"]),
        ("with recursive n(i) as (select 1 union all select i + 1 from n where i < 5) select sum(i) from n", &["15"]),
        ("select case when grouping(seller) = 1 then 'all' else seller::varchar end, count(*) from sales group by rollup(seller) order by 1", &["1|2", "2|3", "all|5"]),
    ])
    .await;
    let names = [
        (
            "select dateadd(day, 1, sold), datediff(day, sold, sold), date_part(day, sold), extract(day from sold), avg(1) from sales group by sold limit 1",
            vec!["date_add", "date_diff", "pgdate_part", "date_part", "avg"],
        ),
        (
            "select getdate(), decode(1, 1, 2), nvl(1, 2), listagg('a')",
            vec!["timestamp", "case", "coalesce", "listagg"],
        ),
        (
            "select seller, row_number() over (order by id), id + 1 from sales qualify count(*) over () > 0",
            vec!["seller", "row_number", "?column?"],
        ),
    ];
    for (sql, expected) in names {
        let translation = translate(sql, &Context::default()).unwrap();
        let statement = db.client.prepare(&translation.statements[0].sql).await.unwrap();
        assert_eq!(statement.columns().iter().map(|column| column.name()).collect::<Vec<_>>(), expected, "of {sql}");
    }
    db.server.stop().await;
}

#[tokio::test]
async fn tables() {
    let db = database().await;
    for sql in SALES {
        db.rows(sql).await;
    }
    db.rows(
        "create table keys (a int primary key, b varchar(5) unique, c super, foreign key (b) references sales (item))",
    )
    .await;
    db.holds(&[
        // Keys are not enforced, NOT NULL of the primary key is.
        ("insert into keys values (1, 'x', json_parse('{\"k\": [1, 2]}')), (1, 'x', null)", &[]),
        ("select count(*) from keys", &["2"]),
        ("select json_serialize(c) from keys where c is not null", &["{\"k\":[1,2]}"]),
        // Length in bytes; blanks beyond it are cut.
        ("insert into keys (a, b) values (2, 'abc       ')", &[]),
        ("select '[' || b || ']' from keys where a = 2", &["[abc  ]"]),
        ("create table #scratch as select a from keys", &[]),
        ("select count(*) from #scratch", &["3"]),
        ("select a into temp copied from keys where a = 2", &[]),
        ("select * from copied", &["2"]),
        ("create table liked (like sales including defaults)", &[]),
        ("create table wide (a nvarchar(max), b text, c bpchar, d decimal, e char, f float default 1.5 not null, g date default getdate()::date encode az64)", &[]),
        (
            "select column_name, data_type, coalesce(character_maximum_length, numeric_precision) from information_schema.columns where table_name = 'wide' order by ordinal_position",
            &["a|character varying|65535", "b|character varying|256", "c|character|256", "d|numeric|18", "e|character|1", "f|double precision|53", "g|date|NULL"],
        ),
        ("alter table wide add column h varchar(3) encode lzo", &[]),
        ("alter table wide alter column h type varchar(30)", &[]),
        ("alter table wide alter diststyle even", &[]),
        ("alter table wide add primary key (f)", &[]),
        ("create view v as select seller, dateadd(day, 1, sold) as next from sales with no schema binding", &[]),
        ("select next from v order by next limit 1", &["2020-01-02 00:00:00"]),
        ("create materialized view mv backup no distkey(seller) auto refresh yes as select seller, count(*) as n from sales group by seller", &[]),
        ("refresh materialized view mv", &[]),
        ("select n from mv where seller = 2", &["3"]),
        ("create table src (id int, seller int)", &[]),
        ("insert into src values (1, 100), (99, 5)", &[]),
        ("merge into sales using src on sales.id = src.id when matched then update set seller = src.seller when not matched then insert (seller) values (src.seller)", &[]),
        ("select seller from sales where id in (1, 6) order by 1", &["5", "100"]),
        ("delete sales where seller = 100", &[]),
        ("with w as (select 5 as x) update sales set item = 'w' where seller in (select x from w)", &[]),
        ("insert into sales (seller) with w as (select 5 as x) select x from w", &[]),
        ("select count(*) from sales where seller = 5", &["2"]),
        ("truncate table src", &[]),
        ("vacuum full sales to 99 percent", &[]),
        ("analyze sales predicate columns", &[]),
        ("set query_group to 'nightly'", &[]),
        ("show query_group", &["nightly"]),
        ("reset query_group", &[]),
        ("show query_group", &["unset"]),
        ("show search_path", &["$user, public"]),
        ("set search_path to pg_catalog, public", &[]),
        ("select len('x')", &["1"]),
        ("reset search_path", &[]),
        ("create function plus(float, integer) returns float stable as $$ select $1 + $2 + len('ab') $$ language sql", &[]),
        ("select plus(1.5, 2)", &["5.5"]),
    ])
    .await;
    db.fails(&[
        ("insert into keys (a) values (null)", "ERROR: Cannot insert a NULL value into column a"),
        ("insert into keys (a, b) values (3, 'abcdef')", "ERROR: Value too long for character type\n  Detail: \n"),
        ("insert into keys (a, b) values (3, '\u{e9}\u{e9}\u{e9}')", "ERROR: Value too long for character type"),
        ("insert into sales (id, seller) values (1, 1)", "ERROR: cannot set an identity column to a value"),
        ("insert into wide (d) values (1e30)", "ERROR: Numeric data overflow (result precision)"),
        ("create table keys (a int)", "ERROR: Relation \"keys\" already exists"),
        ("select nothing from keys", "ERROR: column \"nothing\" does not exist"),
        ("alter table wide add primary key (a)", "ERROR: column \"a\" must be NOT NULL"),
        (
            "merge into sales using (select 2 as id, 1 as a union all select 2, 2) s on sales.id = s.id when matched then update set seller = s.a when not matched then insert (seller) values (s.a)",
            "ERROR: Found multiple matches to update the same tuple.",
        ),
    ])
    .await;
    let administrator = db.server.connect("dev", ADMINISTRATOR).await.unwrap();
    administrator
        .batch_execute("create table public.secret (a int); revoke all on public.secret from public")
        .await
        .unwrap();
    db.fails(&[
        ("select * from public.secret", "ERROR: permission denied for relation secret"),
        ("drop table public.secret", "ERROR: must be owner of relation secret"),
    ])
    .await;
    db.server.stop().await;
}

#[tokio::test]
async fn procedures() {
    let db = database().await;
    db.rows("create table log (m varchar(200))").await;
    let log = "select listagg(m, ';') within group (order by m) from log";
    db.holds(&[
        // OUT arguments are not passed; modes and names in either order.
        (
            "create or replace procedure area(w in int, note inout varchar(20), out size int) as $$\n\
             declare factor int := 2;\nbegin\n  size := w * factor * nvl(null, 1);\n  note := note || '!';\nend;\n$$ language plpgsql",
            &[],
        ),
        ("call area(4, 'ok')", &["ok!|8"]),
        ("drop procedure area(int, varchar)", &[]),
        // Redshift's SQL in a body, static and built as text; a variable wins over a column of its name.
        (
            "create procedure fill(m int) language plpgsql as $body$\n\
             declare r record; sql varchar(max); d date := dateadd(day, 1, '2020-01-01')::date;\nbegin\n\
               for r in select top 2 relname from pg_class order by 1 loop\n    insert into log values (nvl2(r.relname, 'row', 'none'));\n  end loop;\n\
               sql := 'insert into log select top ' || m || ' decode(1, 1, ''it''''s'') from pg_class';\n  execute sql;\n\
               execute 'create table if not exists made_' || m || ' (a int identity(1,1) distkey, b int primary key) sortkey(b)';\n\
               execute 'insert into made_' || m || ' (b) values (1), (1)';\n\
               execute 'insert into log values ($1)' using d;\n\
               insert into log select m from (select 1);\n\
             end\n$body$",
            &[],
        ),
        ("call fill(1)", &[]),
        (log, &["1;2020-01-02;it's;row;row"]),
        ("select count(*) from made_1", &["2"]),
        ("truncate log", &[]),
        // A handler runs in a new transaction and the error goes on.
        (
            "create procedure guarded() as $$ begin insert into log values ('lost'); perform 1 / 0; \
             exception when others then insert into log values ('handled: ' || sqlerrm); end $$ language plpgsql",
            &[],
        ),
    ])
    .await;
    db.fails(&[("call guarded()", "ERROR: Divide by zero")]).await;
    db.holds(&[
        (log, &["handled: division by zero"]),
        ("truncate log", &[]),
        // NONATOMIC keeps what has run.
        (
            "create procedure steps() nonatomic as $$ begin insert into log values ('kept'); insert into nowhere values (1); end $$ language plpgsql",
            &[],
        ),
    ])
    .await;
    db.fails(&[("call steps()", "ERROR: relation \"nowhere\" does not exist")]).await;
    db.holds(&[
        (log, &["kept"]),
        // TRUNCATE commits in a procedure.
        ("create table gone (a int)", &[]),
        ("insert into gone values (1)", &[]),
        ("create procedure emptied() as $$ begin truncate gone; perform 1 / 0; end $$ language plpgsql", &[]),
    ])
    .await;
    db.fails(&[("call emptied()", "ERROR: Divide by zero")]).await;
    db.holds(&[("select count(*) from gone", &["0"]), ("begin", &[])]).await;
    // Also when prepared, as the Data API sends it.
    db.rows("rollback").await;
    db.rows("insert into gone values (2)").await;
    let call = db.client.prepare("call emptied()").await.unwrap();
    assert!(db.client.query(&call, &[]).await.is_err());
    db.holds(&[("select count(*) from gone", &["0"]), ("begin", &[])]).await;
    let block = Context { in_transaction: true, ..Context::default() };
    let error = run_in(&db.client, "call emptied()", block).await.unwrap_err();
    assert!(
        error.starts_with(
            "ERROR: TRUNCATE cannot be invoked from a procedure that is executing in an atomic context.\n  Hint: "
        ),
        "{error}"
    );
    db.holds(&[
        ("rollback", &[]),
        // A result set through a cursor.
        ("create procedure listing(rs inout refcursor) as $$ begin open rs for select top 1 m from log; end $$ language plpgsql", &[]),
        ("begin", &[]),
        ("call listing('c')", &["c"]),
        ("fetch all from c", &["kept"]),
        ("commit", &[]),
        // What is refused in SQL built as text is refused when it runs.
        ("create procedure bad() as $$ begin execute 'create index i on log (m)'; end $$ language plpgsql", &[]),
        // A loop on GETDATE ends: in a procedure each statement has its own time.
        (
            "create procedure burn(seconds int) as $$ declare stop timestamp := dateadd(second, seconds, getdate()); \
             begin while getdate() < stop loop end loop; end $$ language plpgsql",
            &[],
        ),
        ("call burn(1)", &[]),
    ])
    .await;
    db.fails(&[
        ("call bad()", "ERROR: SQL command \"CREATE INDEX\" not supported on Redshift tables."),
        (
            "create procedure p() as $$ begin vacuum; end $$ language plpgsql",
            "ERROR: VACUUM cannot be executed from a procedure",
        ),
        ("create procedure p() as 'begin end' language plpgsql", "ERROR: syntax error at or near \"'begin end'\""),
    ])
    .await;
    db.server.stop().await;
}

/// Values travel beside the text and take the type of their place.
#[tokio::test]
async fn parameters() {
    let db = database().await;
    for sql in SALES {
        db.rows(sql).await;
    }
    let run = async |sql: &str, given: &[(&str, &str)]| -> Vec<String> {
        let translation = translate(sql, &Context::default()).unwrap();
        assert_eq!(translation.kind, Kind::Select);
        let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
        let bound = bind(&translation.statements[0].sql, &names).unwrap();
        assert!(bound.missing.is_empty());
        let values: Vec<Value<'_>> = bound.values.iter().map(|at| Value(given[*at].1)).collect();
        let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let statement = db.client.prepare(&bound.sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        db.client
            .query(&statement, &values)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get::<_, Option<String>>(0).unwrap_or_default())
            .collect()
    };
    assert_eq!(
        run("select item from sales where id = :id and sold < :day", &[("day", "2020-06-01"), ("id", "2")]).await,
        ["b"]
    );
    assert_eq!(
        run("select dateadd(day, :n, :d)::varchar", &[("n", "2"), ("d", "2020-01-01")]).await,
        ["2020-01-03 00:00:00"]
    );
    assert_eq!(run("select :text || '!'", &[("text", "'; drop table sales; --")]).await, ["'; drop table sales; --!"]);
    assert_eq!(run("select top :n item from sales order by id", &[("n", "1")]).await, ["a"]);
    assert_eq!(
        run(
            "select item from sales where price > :p::decimal(8,2) order by nvl(item, :x)",
            &[("p", "2.00"), ("x", "a")]
        )
        .await
        .len(),
        4
    );
    db.server.stop().await;
}
