//! One database session: runs one Redshift statement at a time and knows whether a transaction is open.
//! Must never put a parameter's value into SQL text, nor hold more of a result in memory than one row.

use crate::config::Limits;
use crate::dialect::transfer::{Transfer, Unload};
use crate::dialect::{self, Kind, ServerError};
use crate::postgres::Server;
use crate::result::{self, Column, Format, Origin, Stored, Writer};
use crate::transfer::{self, Site};
use bytes::BytesMut;
use futures::{StreamExt, pin_mut};
use std::collections::HashMap;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

/// A session and what is known of its state.
pub(crate) struct Connection {
    client: Client,
    /// Process id of the server's backend.
    pub(crate) pid: i64,
    context: dialect::Context,
}

/// How a statement ended well.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Rows returned or affected.
    pub(crate) rows: i64,
    /// What it returned; none for a statement without a result set.
    pub(crate) result: Option<Stored>,
}

/// Everything a statement needs besides its text.
pub(crate) struct Request<'a> {
    pub(crate) sql: &'a str,
    pub(crate) parameters: &'a [(String, String)],
    pub(crate) format: Format,
    pub(crate) query_id: i64,
    pub(crate) limits: &'a Limits,
    /// For COPY and UNLOAD.
    pub(crate) site: Site<'a>,
}

/// Why a statement failed; each reads as DescribeStatement.Error shows it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Dialect(#[from] dialect::Error),
    #[error("{0}")]
    Server(String),
    #[error(transparent)]
    Result(#[from] result::Error),
    /// COPY or UNLOAD: the whole text.
    #[error("{0}")]
    Transfer(String),
}

impl Connection {
    pub(crate) async fn open(server: &Server, database: &str, user: &str) -> Result<Self, tokio_postgres::Error> {
        let client = server.connect(database, user).await?;
        let row = client.query_one("select pg_catalog.pg_backend_pid()", &[]).await?;
        let pid: i32 = row.try_get(0)?;
        Ok(Self { client, pid: i64::from(pid), context: dialect::Context::default() })
    }

    /// Asks the catalog; not a user's statement.
    pub(crate) async fn query(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
        self.client.query(sql, values).await
    }

    /// What cancels the running statement.
    pub(crate) fn cancel_token(&self) -> tokio_postgres::CancelToken {
        self.client.cancel_token()
    }

    /// The server has ended the session, and that was noticed.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// A transaction is open.
    pub(crate) fn in_transaction(&self) -> bool {
        self.context.in_transaction
    }

    pub(crate) async fn begin(&mut self, query_id: i64) -> Result<(), Error> {
        self.plain("begin", query_id).await?;
        self.context.in_transaction = true;
        Ok(())
    }

    pub(crate) async fn commit(&mut self, query_id: i64) -> Result<(), Error> {
        self.context.in_transaction = false;
        self.plain("commit", query_id).await
    }

    pub(crate) async fn rollback(&mut self) {
        self.context.in_transaction = false;
        self.undo().await;
    }

    async fn undo(&self) {
        if let Err(error) = self.client.batch_execute("rollback").await {
            tracing::debug!(code = ?error.code(), "rollback failed: the session is gone");
        }
    }

    /// Swallows a cancel request that came too late for the statement it was meant for, and tells whether the session
    /// still lives.
    pub(crate) async fn settle(&self) -> bool {
        match self.client.batch_execute("").await {
            Ok(()) => true,
            // The late request hit this instead.
            Err(error) => error.code() == Some(&tokio_postgres::error::SqlState::QUERY_CANCELED),
        }
    }

    async fn plain(&self, sql: &str, query_id: i64) -> Result<(), Error> {
        self.client.batch_execute(sql).await.map_err(|e| failure(&e, query_id))
    }

    /// Runs one statement. A failure in an open transaction aborts it, whoever noticed it.
    pub(crate) async fn run(&mut self, request: &Request<'_>) -> Result<Outcome, Error> {
        let ended = self.translated(request).await;
        if self.context.in_transaction && matches!(ended, Err(Error::Dialect(_) | Error::Transfer(_))) {
            // The server has not heard of it.
            let _ = self.client.batch_execute("select redshift_catalog.refuse('XX000', 'aborted')").await;
        }
        ended
    }

    async fn translated(&mut self, request: &Request<'_>) -> Result<Outcome, Error> {
        let translation = dialect::translate(request.sql, &self.context)?;
        let block = self.context.in_transaction;
        // Several PostgreSQL statements for one of Redshift's: all or nothing. A load puts savepoints.
        let copy = matches!(translation.transfer, Some(Transfer::Copy(_)));
        let own_block = !block && (copy || translation.in_block && translation.statements.len() > 1);
        if own_block {
            self.plain("begin", request.query_id).await?;
        }
        let outcome = match self.work(&translation, request, block || own_block).await {
            Ok(outcome) => outcome,
            Err(error) => {
                if own_block {
                    self.rollback().await;
                }
                return Err(error);
            }
        };
        if own_block {
            self.plain("commit", request.query_id).await?;
        }
        match translation.kind {
            Kind::Begin => self.context.in_transaction = true,
            Kind::Commit | Kind::Rollback => self.context.in_transaction = false,
            _ => {}
        }
        if translation.commits && block {
            self.commit(request.query_id).await?;
            self.begin(request.query_id).await?;
        }
        self.note_setting(request.sql);
        Ok(outcome)
    }

    async fn work(
        &self,
        translation: &dialect::Translation,
        request: &Request<'_>,
        block: bool,
    ) -> Result<Outcome, Error> {
        match &translation.transfer {
            None => self.commands(translation, request, block).await,
            Some(Transfer::Copy(copy)) => {
                let rows = transfer::copy(&self.client, copy, &request.site).await?;
                Ok(Outcome { rows, ..Outcome::default() })
            }
            Some(Transfer::Unload(unload)) => self.unload(translation, unload, request, block).await,
        }
    }

    /// Runs the query of an UNLOAD and puts its rows into files.
    async fn unload(
        &self,
        translation: &dialect::Translation,
        unload: &Unload,
        request: &Request<'_>,
        block: bool,
    ) -> Result<Outcome, Error> {
        let open = transfer::prepare_unload(unload, &request.site).await?;
        let mut commands = translation.statements.clone();
        let mut context = self.context.clone();
        let (prepared, bound) = self.prepare(&mut commands, 0, &mut context, request, block).await?;
        let columns = prepared.columns().iter().map(|c| transfer::Column {
            name: c.name().to_owned(),
            ty: c.type_().clone(),
            modifier: c.type_modifier(),
            not_null: false,
        });
        let mut output = open(columns.collect())?;
        let lost = |e: tokio_postgres::Error| failure(&e, request.query_id);
        let messages = self.client.simple_query_raw(&bound.sql).await.map_err(lost)?;
        pin_mut!(messages);
        let mut refused = None;
        while let Some(message) = messages.next().await {
            if let SimpleQueryMessage::Row(row) = message.map_err(lost)?
                && refused.is_none()
            {
                let cells: Vec<Option<&str>> =
                    (0..row.len()).map(|i| row.try_get(i)).collect::<Result<_, _>>().map_err(lost)?;
                refused = output.row(&cells).err();
            }
        }
        if let Some(refused) = refused {
            return Err(Error::Transfer(dialect::compute_error(&refused, "8001", "", request.query_id)));
        }
        let rows = output.rows;
        output.put(&self.client, &request.site).await?;
        Ok(Outcome { rows, ..Outcome::default() })
    }

    /// Prepares one of the commands. What turns out to be an alias changes `commands` and `context`.
    async fn prepare(
        &self,
        commands: &mut Vec<dialect::Command>,
        index: usize,
        context: &mut dialect::Context,
        request: &Request<'_>,
        block: bool,
    ) -> Result<(Statement, dialect::Bound), Error> {
        let names: Vec<&str> = request.parameters.iter().map(|(name, _)| name.as_str()).collect();
        // What the server said before a path was taken for SUPER: if that was wrong too, this is the error.
        let mut first = None;
        loop {
            let Some(command) = commands.get(index) else {
                return Err(Error::Server("ERROR: a statement lost its text".to_owned()));
            };
            let bound = dialect::bind(&command.sql, &names)?;
            // A refused preparation runs nothing, but it breaks an open transaction.
            let guarded = block && command.may_read_otherwise();
            if guarded {
                self.plain("savepoint redshift_alias", request.query_id).await?;
            }
            match self.client.prepare(&bound.sql).await {
                Ok(prepared) => {
                    if guarded {
                        self.plain("release savepoint redshift_alias", request.query_id).await?;
                    }
                    return Ok((prepared, bound));
                }
                Err(error) => match error.as_db_error().and_then(|e| context.with_alias(command, &server_error(e))) {
                    // No such column: then it is the alias, and the statement reads differently.
                    Some(with_alias) => {
                        if guarded {
                            self.plain("rollback to savepoint redshift_alias", request.query_id).await?;
                        }
                        *commands = dialect::translate(request.sql, &with_alias)?.statements;
                        if with_alias.super_columns != context.super_columns {
                            first.get_or_insert_with(|| failure(&error, request.query_id));
                        }
                        *context = with_alias;
                    }
                    None => return Err(first.unwrap_or_else(|| failure(&error, request.query_id))),
                },
            }
        }
    }

    /// Runs what a statement was translated to; the last one's outcome is the statement's.
    async fn commands(
        &self,
        translation: &dialect::Translation,
        request: &Request<'_>,
        block: bool,
    ) -> Result<Outcome, Error> {
        let mut context = self.context.clone();
        let mut commands = translation.statements.clone();
        let mut outcome = Outcome::default();
        let mut index = 0;
        while index < commands.len() {
            let (prepared, bound) = self.prepare(&mut commands, index, &mut context, request, block).await?;
            outcome = self.prepared(&prepared, &bound, request, block, translation.kind).await?;
            index += 1;
        }
        Ok(outcome)
    }

    /// The one session setting that changes how the next statement is read.
    fn note_setting(&mut self, sql: &str) {
        let words: Vec<String> = sql
            .split(|c: char| c.is_whitespace() || matches!(c, '=' | ';' | '\''))
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        let words: Vec<&str> =
            words.iter().map(String::as_str).filter(|w| !matches!(*w, "session" | "local" | "to")).collect();
        match words[..] {
            ["set", "enable_case_sensitive_identifier", value] => {
                self.context.case_sensitive_identifiers = matches!(value, "true" | "on" | "1" | "yes" | "t");
            }
            ["reset", "enable_case_sensitive_identifier" | "all"] => self.context.case_sensitive_identifiers = false,
            _ => {}
        }
    }

    async fn prepared(
        &self,
        prepared: &Statement,
        bound: &dialect::Bound,
        request: &Request<'_>,
        block: bool,
        kind: Kind,
    ) -> Result<Outcome, Error> {
        let columns = self.columns(prepared, request.query_id).await?;
        let values: Vec<dialect::Value<'_>> = bound
            .values
            .iter()
            .filter_map(|index| request.parameters.get(*index))
            .map(|(_, value)| dialect::Value(value))
            .collect();
        if values.is_empty() {
            return self.stream(&bound.sql, columns, request).await;
        }
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as &(dyn ToSql + Sync)).collect();
        if columns.is_empty() {
            let rows = self.client.execute(prepared, &values).await.map_err(|e| failure(&e, request.query_id))?;
            return Ok(Outcome { rows: i64::try_from(rows).unwrap_or(i64::MAX), ..Outcome::default() });
        }
        if kind != Kind::Select {
            return self.rendered(prepared, &values, columns, request).await;
        }
        self.through_cursor(&bound.sql, &values, columns, request, block).await
    }

    /// A query with bound values: opened as a cursor, read as text.
    async fn through_cursor(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        columns: Vec<Column>,
        request: &Request<'_>,
        block: bool,
    ) -> Result<Outcome, Error> {
        if !block {
            self.plain("begin", request.query_id).await?;
        }
        let run = async {
            let declare = format!("declare redshift_data_api no scroll cursor for {sql}");
            self.client.execute(declare.as_str(), values).await.map_err(|e| failure(&e, request.query_id))?;
            let outcome = self.stream("fetch all from redshift_data_api", columns, request).await?;
            self.plain("close redshift_data_api", request.query_id).await?;
            Ok(outcome)
        };
        let outcome = run.await;
        if !block {
            if outcome.is_ok() {
                self.plain("commit", request.query_id).await?;
            } else {
                self.undo().await;
            }
        }
        outcome
    }

    /// A CALL or the like with bound values. The driver reads its rows in binary form only, and no cursor can stand
    /// before it, so the server is asked for the text of each cell (with `format`, as the dialect
    /// refuses some casts to text). For a row or a few: no query comes here.
    async fn rendered(
        &self,
        prepared: &Statement,
        values: &[&(dyn ToSql + Sync)],
        columns: Vec<Column>,
        request: &Request<'_>,
    ) -> Result<Outcome, Error> {
        let lost = |e: tokio_postgres::Error| failure(&e, request.query_id);
        let rows = self.client.query(prepared, values).await.map_err(lost)?;
        let types: Vec<Type> = prepared.columns().iter().map(|c| c.type_().clone()).collect();
        let cells: Vec<String> = (1..=types.len())
            .map(|n| format!("case when ${n} is not null then pg_catalog.format('%s', ${n}) end"))
            .collect();
        let render = format!("select {}", cells.join(", "));
        let render = self.client.prepare_typed(&render, &types).await.map_err(lost)?;
        let mut writer = Writer::new(request.format, columns, request.limits);
        for row in &rows {
            let cells: Vec<Binary<'_>> =
                (0..row.len()).map(|i| row.try_get(i)).collect::<Result<_, _>>().map_err(lost)?;
            let cells: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
            let texts = self.client.query_one(&render, &cells).await.map_err(lost)?;
            let texts: Vec<Option<&str>> =
                (0..texts.len()).map(|i| texts.try_get(i)).collect::<Result<_, _>>().map_err(lost)?;
            writer.row(&texts)?;
        }
        Ok(Outcome { rows: writer.rows(), result: Some(writer.finish()?) })
    }

    /// Runs a text and stores the rows as they come.
    async fn stream(&self, sql: &str, columns: Vec<Column>, request: &Request<'_>) -> Result<Outcome, Error> {
        let width = columns.len();
        let mut writer = (width > 0).then(|| Writer::new(request.format, columns, request.limits));
        let messages = self.client.simple_query_raw(sql).await.map_err(|e| failure(&e, request.query_id))?;
        pin_mut!(messages);
        let mut affected = 0;
        let mut refused = None;
        while let Some(message) = messages.next().await {
            match message {
                Ok(SimpleQueryMessage::Row(row)) => {
                    // After a refusal the rest is read and dropped until the server notices the cancel.
                    let Some(writer) = writer.as_mut().filter(|_| refused.is_none()) else { continue };
                    let cells: Vec<Option<&str>> = (0..width.min(row.len()))
                        .map(|i| row.try_get(i))
                        .collect::<Result<_, _>>()
                        .map_err(|e| failure(&e, request.query_id))?;
                    if let Err(error) = writer.row(&cells) {
                        refused = Some(error);
                        let _ = self.client.cancel_token().cancel_query(tokio_postgres::NoTls).await;
                    }
                }
                Ok(SimpleQueryMessage::CommandComplete(rows)) => affected = rows,
                Ok(_) => {}
                Err(error) => return Err(refused.map_or_else(|| failure(&error, request.query_id), Error::Result)),
            }
        }
        if let Some(refused) = refused {
            self.settle().await;
            return Err(refused.into());
        }
        let Some(writer) = writer else {
            return Ok(Outcome { rows: i64::try_from(affected).unwrap_or(i64::MAX), ..Outcome::default() });
        };
        let rows = writer.rows();
        Ok(Outcome { rows, result: Some(writer.finish()?) })
    }

    /// The columns of a prepared statement, with the tables they come from.
    async fn columns(&self, prepared: &Statement, query_id: i64) -> Result<Vec<Column>, Error> {
        let sources: Vec<(u32, i16)> =
            prepared.columns().iter().filter_map(|c| Some((c.table_oid()?, c.column_id()?))).collect();
        let mut origins: HashMap<(u32, i16), Origin> = HashMap::new();
        if !sources.is_empty() {
            let tables: Vec<u32> = sources.iter().map(|(table, _)| *table).collect();
            let rows = self
                .client
                .query(
                    "select a.attrelid, a.attnum, n.nspname::text, c.relname::text, a.attnotnull, \
                     pg_catalog.pg_get_expr(d.adbin, d.adrelid) from pg_catalog.pg_attribute a \
                     join pg_catalog.pg_class c on c.oid = a.attrelid \
                     join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                     left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
                     where a.attrelid = any($1) and a.attnum > 0",
                    &[&tables],
                )
                .await
                .map_err(|e| failure(&e, query_id))?;
            for row in rows {
                let read = || -> Result<((u32, i16), Origin), tokio_postgres::Error> {
                    let origin = Origin {
                        schema: row.try_get(2)?,
                        table: row.try_get(3)?,
                        not_null: row.try_get(4)?,
                        default: row.try_get(5)?,
                    };
                    Ok(((row.try_get(0)?, row.try_get(1)?), origin))
                };
                let (key, origin) = read().map_err(|e| failure(&e, query_id))?;
                origins.insert(key, origin);
            }
        }
        Ok(prepared
            .columns()
            .iter()
            .map(|c| {
                let origin = c.table_oid().zip(c.column_id()).and_then(|key| origins.get(&key));
                Column::new(c.name(), c.type_(), c.type_modifier(), origin)
            })
            .collect())
    }
}

/// A value as the server sent it, of any type, to be sent back.
#[derive(Debug)]
struct Binary<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Binary<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Binary<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// An error of the server in Redshift's words.
pub(crate) fn failure(error: &tokio_postgres::Error, query_id: i64) -> Error {
    Error::Server(match error.as_db_error() {
        Some(e) => dialect::error_text(&server_error(e), query_id),
        None => format!("ERROR: the connection to the database was lost: {error}"),
    })
}

fn server_error(e: &tokio_postgres::error::DbError) -> ServerError {
    ServerError {
        severity: e.severity().to_owned(),
        code: e.code().code().to_owned(),
        message: e.message().to_owned(),
        detail: e.detail().map(str::to_owned),
        hint: e.hint().map(str::to_owned),
        context: e.where_().map(str::to_owned),
        table: e.table().map(str::to_owned),
        column: e.column().map(str::to_owned),
    }
}
