//! The operations that answer from the catalog at once: ListDatabases, ListSchemas, ListTables, DescribeTable. Must never
//! show the schema that makes PostgreSQL speak Redshift: what it holds is Redshift's own catalog.

use crate::ApiError;
use crate::config::Caller;
use crate::connection::Connection;
use crate::input::{self, Input};
use crate::list::{position, token};
use crate::result;
use crate::service::Inner;
use serde_json::{Map, Value, json};
use tokio_postgres::types::{ToSql, Type};

/// Entries of one answer at most, and when MaxResults is absent (`PageSize` of the service model).
const PAGE: i64 = 1000;

const LOGIN: [&str; 7] =
    ["ClusterIdentifier", "SecretArn", "DbUser", "Database", "WorkgroupName", "MaxResults", "NextToken"];

/// User schemas and the two catalogs; not sessions' own, not PostgreSQL's.
const SHOWN: &str =
    "n.nspname <> 'redshift_catalog' and n.nspname not like 'pg\\_toast%' and n.nspname not like 'pg\\_temp\\_%'";

/// Relations as Redshift's JDBC driver, which the service uses, lists and names them: by type, schema and name.
/// Redshift's system views are in `pg_catalog`; here they are in a schema of their own.
const TABLES: &str = "
    select name, schema, type from (
        select c.relname::text as name,
               case n.nspname when 'redshift_catalog' then 'pg_catalog' else n.nspname::text end as schema,
               case when n.nspname in ('pg_catalog', 'information_schema', 'redshift_catalog')
                    then case when c.relkind in ('v', 'm') then 'SYSTEM VIEW' else 'SYSTEM TABLE' end
                    when c.relkind in ('v', 'm') then 'VIEW' else 'TABLE' end as type
        from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'v', 'm') and n.nspname not like 'pg\\_toast%' and n.nspname not like 'pg\\_temp\\_%'
          and (n.nspname <> 'redshift_catalog' or c.relkind = 'v')) as relations
    where schema like $1 and name like $2
    order by type, schema, name";

const COLUMNS: &str = "
    select schema, name, \"column\", type, modifier, not_null, default_value from (
        select case n.nspname when 'redshift_catalog' then 'pg_catalog' else n.nspname::text end as schema,
               c.relname::text as name, a.attname::text as \"column\", a.atttypid as type, a.atttypmod as modifier,
               a.attnotnull as not_null, a.attnum as place,
               pg_catalog.pg_get_expr(d.adbin, d.adrelid) as default_value
        from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm')
          and n.nspname not like 'pg\\_toast%' and n.nspname not like 'pg\\_temp\\_%'
          and (n.nspname <> 'redshift_catalog' or c.relkind = 'v')) as columns
    where ($1::text is null or schema = $1) and ($2::text is null or name = $2)
    order by schema, name, place";

impl Inner {
    pub(crate) async fn list_databases(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let request = Request::read(self, "ListDatabases", &[], caller, body)?;
        request.connect(self).await?;
        let databases = self.databases_of(request.place.target).into_iter().map(|name| json!(name)).collect();
        request.page("Databases", databases)
    }

    pub(crate) async fn list_schemas(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let request = Request::read(self, "ListSchemas", &["ConnectedDatabase", "SchemaPattern"], caller, body)?;
        let pattern = request.input.text("SchemaPattern", &input::ANY)?.unwrap_or("%");
        let query = format!(
            "select n.nspname::text from pg_catalog.pg_namespace n where {SHOWN} and n.nspname like $1 order by 1"
        );
        let rows = request.query(self, &query, &[&pattern]).await?;
        let schemas = rows.iter().map(|row| Ok(json!(row.try_get::<_, String>(0)?))).collect::<Result<_, _>>();
        request.page("Schemas", schemas.map_err(unreadable)?)
    }

    pub(crate) async fn list_tables(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let members = ["ConnectedDatabase", "SchemaPattern", "TablePattern"];
        let request = Request::read(self, "ListTables", &members, caller, body)?;
        let schema = request.input.text("SchemaPattern", &input::ANY)?.unwrap_or("%");
        let table = request.input.text("TablePattern", &input::ANY)?.unwrap_or("%");
        let rows = request.query(self, TABLES, &[&schema, &table]).await?;
        let tables = rows.iter().map(|row| {
            let text = |index| row.try_get::<_, String>(index);
            Ok(json!({ "name": text(0)?, "type": text(2)?, "schema": text(1)? }))
        });
        request.page("Tables", tables.collect::<Result<_, _>>().map_err(unreadable)?)
    }

    pub(crate) async fn describe_table(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let request = Request::read(self, "DescribeTable", &["ConnectedDatabase", "Schema", "Table"], caller, body)?;
        let schema = request.input.text("Schema", &input::ANY)?.filter(|name| !name.is_empty());
        let table = request.input.text("Table", &input::ANY)?.filter(|name| !name.is_empty());
        let rows = request.query(self, COLUMNS, &[&schema, &table]).await?;
        let columns = rows.iter().map(|row| {
            let number: u32 = row.try_get(3)?;
            // Types of PostgreSQL's own catalogs that the driver does not know are shown as it would read them.
            let ty = Type::from_oid(number).unwrap_or(Type::TEXT);
            let origin = result::Origin {
                schema: row.try_get(0)?,
                table: row.try_get(1)?,
                not_null: row.try_get(5)?,
                default: row.try_get(6)?,
            };
            let column: String = row.try_get(2)?;
            Ok(result::described_column(&column, &ty, row.try_get(4)?, &origin))
        });
        let columns = columns.collect::<Result<_, _>>().map_err(unreadable)?;
        let mut answer = request.page("ColumnList", columns)?;
        // A table that is not there has no columns; the service does not call that an error.
        if let Some(table) = table {
            answer["TableName"] = json!(table);
        }
        Ok(answer)
    }
}

fn unreadable(error: tokio_postgres::Error) -> ApiError {
    ApiError::internal(format!("the catalog: {error}"))
}

/// A request of this family: where to look and which page to show.
struct Request<'a> {
    operation: &'static str,
    input: Input<'a>,
    place: crate::statement::Place,
    /// ConnectedDatabase: where the login is checked.
    connected: Option<&'a str>,
    from: usize,
    most: usize,
}

impl<'a> Request<'a> {
    fn read(
        inner: &Inner,
        operation: &'static str,
        members: &[&str],
        caller: &Caller,
        body: &'a Value,
    ) -> Result<Self, ApiError> {
        let known: Vec<&str> = LOGIN.iter().chain(members).copied().collect();
        let input = Input::new(body, operation, &known)?;
        let most = input.max_results(PAGE)?.unwrap_or(usize::try_from(PAGE).unwrap_or(usize::MAX));
        let from = input.next_token()?.map_or(Ok(0), |token| position(operation, token))?;
        let place = inner.place(&input, caller)?;
        let connected = if members.contains(&"ConnectedDatabase") {
            input.text("ConnectedDatabase", &input::ANY)?.filter(|name| !name.is_empty())
        } else {
            None
        };
        Ok(Self { operation, input, place, connected, from: usize::try_from(from).unwrap_or(usize::MAX), most })
    }

    /// Logs in where the request says, then goes to the database that it asks about.
    async fn connect(&self, inner: &Inner) -> Result<Connection, ApiError> {
        // What a login that fails answers is not documented; the text is the server's.
        if let Some(connected) = self.connected.filter(|connected| *connected != self.place.database) {
            let place = crate::statement::Place { database: connected.to_owned(), ..self.place.clone() };
            inner.open(&place).await.map_err(ApiError::validation)?;
        }
        inner.open(&self.place).await.map_err(ApiError::validation)
    }

    async fn query(
        &self,
        inner: &Inner,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, ApiError> {
        let connection = self.connect(inner).await?;
        connection.query(sql, values).await.map_err(unreadable)
    }

    /// One page of what was found; a token holds how many were shown, so the catalog may change between pages.
    fn page(&self, member: &str, all: Vec<Value>) -> Result<Value, ApiError> {
        let end = self.from.saturating_add(self.most).min(all.len());
        let more = end < all.len();
        let mut answer = Map::new();
        answer.insert(member.to_owned(), all.into_iter().take(end).skip(self.from).collect());
        if more {
            answer.insert("NextToken".to_owned(), token(self.operation, end as u64));
        }
        Ok(Value::Object(answer))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hidden_schema_is_the_preludes() {
        for query in [super::SHOWN, super::TABLES, super::COLUMNS] {
            assert!(query.contains(&format!("n.nspname <> '{}'", crate::dialect::SCHEMA)), "{query}");
        }
    }
}
