//! The rows of the sections in SQLite, in memory, for the rules. Loading writes; after that the database only reads, each
//! rule for a bounded number of steps, so that a rule can neither change anything, nor reach outside, nor run on for ever.

use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use rusqlite::{Connection, ToSql};

use super::Limits;
use crate::field::{Column, Field};
use crate::result::Sink;

/// SQLite asks for permission to go on after so many steps of its machine.
const STEPS: i32 = 1000;

pub(super) struct Database {
    connection: Connection,
    /// How often SQLite may still ask in the current rule.
    left: Arc<AtomicU64>,
    budget: u64,
    /// Bytes of the rows that are in it.
    bytes: Cell<u64>,
}

/// What loading a section has shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Loaded {
    /// The columns, with the names that they have in rules.
    pub(super) columns: Vec<LoadedColumn>,
    /// The first rows.
    pub(super) first: Vec<Vec<Field>>,
    /// All rows of the result.
    pub(super) total: u64,
    /// How many of them the rules look at.
    pub(super) examined: u64,
}

#[derive(Debug, Clone)]
pub(super) struct LoadedColumn {
    pub(super) name: String,
    pub(super) boolean: bool,
    pub(super) numeric: bool,
}

/// The rows that a rule found.
pub(super) struct Found {
    pub(super) columns: Vec<String>,
    pub(super) first: Vec<Vec<Sql>>,
    pub(super) count: u64,
}

impl Database {
    pub(super) fn new(limits: &Limits) -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        // A misspelt column in double quotes must be an error, not a text.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // No value that a rule makes may fill the memory. A cell of Redshift has at most 16 MB (SUPER).
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 20_000_000)?;
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let budget = limits.steps_per_rule / u64::from(STEPS.unsigned_abs());
        Ok(Self { connection, left, budget, bytes: Cell::new(0) })
    }

    /// Loads a result into a table. Rows beyond the limit are counted, not kept.
    pub(super) fn load(
        &self,
        table: &str,
        limits: &Limits,
        read: impl FnOnce(&mut dyn Sink) -> Result<u64, crate::result::Error>,
    ) -> Result<Loaded, crate::result::Error> {
        self.execute("BEGIN")?;
        let mut loading =
            Loading { database: self, table, insert: None, limits, loaded: Loaded::default(), full: false };
        let done = read(&mut loading);
        let mut loaded = std::mem::take(&mut loading.loaded);
        drop(loading);
        match done {
            Ok(total) => {
                self.execute("COMMIT")?;
                loaded.total = total;
                Ok(loaded)
            }
            Err(error) => {
                // Half a section is no section: its rules must not say that all is well.
                self.execute("ROLLBACK")?;
                Err(error)
            }
        }
    }

    fn execute(&self, sql: &str) -> io::Result<()> {
        self.connection.execute_batch(sql).map_err(io::Error::other)
    }

    /// From here on nothing is written and only tables and functions are read.
    pub(super) fn seal(&self) {
        self.connection.authorizer(Some(|context: rusqlite::hooks::AuthContext<'_>| match context.action {
            AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
            AuthAction::Function { function_name } if !function_name.eq_ignore_ascii_case("load_extension") => {
                Authorization::Allow
            }
            _ => Authorization::Deny,
        }));
        let left = Arc::clone(&self.left);
        let stop = move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err();
        self.connection.progress_handler(STEPS, Some(stop));
    }

    /// Runs a SELECT to its end, keeps its first rows and counts all. `wrapped` so that it can be nothing but one SELECT.
    pub(super) fn select(&self, select: &str, keep: usize) -> Result<Found, String> {
        let text = |error: rusqlite::Error| match error {
            rusqlite::Error::SqliteFailure(failure, _) if failure.code == rusqlite::ErrorCode::OperationInterrupted => {
                format!("stopped after {} million steps: it takes too long", self.budget * 1000 / 1_000_000)
            }
            rusqlite::Error::SqliteFailure(_, Some(message)) => message,
            rusqlite::Error::SqlInputError { msg, .. } => msg,
            other => other.to_string(),
        };
        self.left.store(self.budget, Ordering::Relaxed);
        let select = select.trim().trim_end_matches(';');
        let mut statement = self.connection.prepare(&format!("SELECT * FROM (\n{select}\n)")).map_err(text)?;
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut found = Found { columns, first: Vec::new(), count: 0 };
        let mut rows = statement.query([]).map_err(text)?;
        while let Some(row) = rows.next().map_err(text)? {
            found.count += 1;
            if found.first.len() < keep {
                let cells = (0..found.columns.len()).map(|at| row.get(at)).collect::<Result<_, _>>().map_err(text)?;
                found.first.push(cells);
            }
        }
        Ok(found)
    }
}

/// A name in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Loading<'d> {
    database: &'d Database,
    table: &'d str,
    insert: Option<rusqlite::Statement<'d>>,
    limits: &'d Limits,
    loaded: Loaded,
    full: bool,
}

/// What a cell takes in SQLite, roughly.
fn size(cell: &Field) -> u64 {
    match cell {
        Field::Null | Field::Boolean(_) => 2,
        Field::Long(_) | Field::Double(_) => 9,
        Field::Text(text) | Field::Blob(text) => text.len() as u64 + 3,
    }
}

impl Sink for Loading<'_> {
    fn columns(&mut self, columns: &[Column]) -> io::Result<()> {
        let mut taken = HashSet::new();
        let mut declared = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            let kind = column.type_name.to_ascii_lowercase();
            let kind = kind.split(['(', ' ']).next().unwrap_or_default();
            let boolean = matches!(kind, "bool" | "boolean");
            let real = matches!(kind, "numeric" | "decimal" | "float4" | "float8" | "real" | "float" | "double");
            let integer = matches!(kind, "int2" | "int4" | "int8" | "smallint" | "integer" | "bigint" | "oid");
            let text = matches!(
                kind,
                "varchar"
                    | "char"
                    | "bpchar"
                    | "text"
                    | "name"
                    | "character"
                    | "date"
                    | "time"
                    | "timetz"
                    | "timestamp"
                    | "timestamptz"
            );
            // SQLite does not tell letters' cases apart in names, and knows each once.
            let mut name = column.title().to_owned();
            if name.is_empty() {
                name = format!("column_{}", at + 1);
            }
            let mut number = 2;
            while !taken.insert(name.to_ascii_lowercase()) {
                name = format!("{}_{number}", column.title());
                number += 1;
            }
            let affinity = match (integer || boolean, real, text) {
                (true, ..) => "INTEGER",
                (_, true, _) => "REAL",
                (.., true) => "TEXT",
                _ => "",
            };
            declared.push(format!("{} {affinity}", quoted(&name)));
            self.loaded.columns.push(LoadedColumn { name, boolean, numeric: integer || real });
        }
        if columns.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the result has no columns"));
        }
        let table = quoted(self.table);
        self.database.execute(&format!("CREATE TABLE {table} ({})", declared.join(", ")))?;
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {table} VALUES ({places})");
        self.insert = Some(self.database.connection.prepare(&insert).map_err(io::Error::other)?);
        Ok(())
    }

    fn row(&mut self, cells: &[Field]) -> io::Result<()> {
        if self.loaded.first.len() < self.limits.rows_shown {
            self.loaded.first.push(cells.to_vec());
        }
        let bytes = self.database.bytes.get() + cells.iter().map(size).sum::<u64>();
        // Once a row is left out, so are those after it: what is looked at is the first rows.
        self.full |= self.loaded.examined >= self.limits.rows_examined || bytes > self.limits.bytes_examined;
        if self.full {
            return Ok(());
        }
        self.database.bytes.set(bytes);
        let Some(insert) = &mut self.insert else { return Ok(()) };
        for (at, cell) in cells.iter().enumerate() {
            let real = self.loaded.columns.get(at).is_some_and(|column| column.numeric);
            insert.raw_bind_parameter(at + 1, Bound { field: cell, real }).map_err(io::Error::other)?;
        }
        insert.raw_execute().map_err(io::Error::other)?;
        self.loaded.examined += 1;
        Ok(())
    }
}

/// A cell on its way into SQLite.
struct Bound<'f> {
    field: &'f Field,
    /// Whether text is a decimal number.
    real: bool,
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.field {
            Field::Null => ToSqlOutput::Owned(Sql::Null),
            Field::Boolean(value) => ToSqlOutput::Owned(Sql::Integer((*value).into())),
            Field::Long(value) => ToSqlOutput::Owned(Sql::Integer(*value)),
            Field::Double(value) => ToSqlOutput::Owned(Sql::Real(*value)),
            Field::Text(value) => match value.trim().parse::<f64>() {
                Ok(number) if self.real => ToSqlOutput::Owned(Sql::Real(number)),
                _ => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            },
            Field::Blob(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
        })
    }
}
