//! The Redshift SQL dialect on PostgreSQL: one Redshift statement in, the SQL that PostgreSQL shall run out.
//!
//! Three parts work together. The rewriter (this module and its children) changes what only a change of the text can
//! express and refuses what Redshift refuses. The prelude (`src/prelude/*.sql`, run once in each new database) supplies
//! Redshift's functions, aggregates, operators and casts in the schema `redshift_catalog`, which stands before
//! `pg_catalog` in the search path. [`error_text`] turns PostgreSQL's errors into the words Redshift uses.
//!
//! Redshift has no `pg_sleep`. A statement that takes a known time is a procedure that loops on GETDATE(), which moves on
//! inside a procedure: `create procedure burn(seconds int) as $$ declare stop timestamp := dateadd(second, seconds,
//! getdate()); begin while getdate() < stop loop end loop; end $$ language plpgsql`, then `call burn(5)`.
//!
//! What must never happen here: a statement that runs with another meaning than Redshift gives it, a parameter value
//! spliced into SQL, or a construct dropped without an error that names it. A text that is neither rewritten nor refused
//! leaves byte for byte as it came.

mod bind;
mod body;
mod column;
mod dynamic;
mod error;
mod expression;
mod function;
mod navigation;
mod pivot;
mod prelude;
mod procedure;
mod qualify;
mod query;
mod refusal;
mod statement;
mod table;
mod token;
pub mod transfer;
mod types;
mod unnest;
mod utility;

use std::collections::BTreeSet;

pub use bind::{Bound, Marker, Value, bind};
pub use error::{Error, ServerError, compute_error, error_text};
pub use prelude::{SCHEMA, prelude};

/// What the statement is, as far as the Data API and the transaction logic care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing but blanks and comments.
    Empty,
    /// SELECT or WITH … SELECT: returns rows.
    Select,
    /// INSERT, UPDATE, DELETE or MERGE.
    Dml,
    /// CREATE, ALTER, DROP, COMMENT, GRANT, REVOKE, SELECT … INTO, CREATE TABLE AS.
    Ddl,
    /// CALL of a stored procedure. Must be sent alone: a procedure may commit.
    Call,
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT or END.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
    /// TRUNCATE: Redshift commits the open transaction with it.
    Truncate,
    /// COPY: nothing for PostgreSQL, everything in [`Translation::transfer`].
    Copy,
    /// UNLOAD: the statement is its query, the rest is in [`Translation::transfer`].
    Unload,
    /// SET, SHOW, ANALYZE, VACUUM, EXPLAIN, LOCK, PREPARE, DECLARE, FETCH and the like.
    Utility,
}

/// What the translation has to know about the session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The statement runs in a transaction that is already open (a batch in TRANSACTION mode, or after BEGIN).
    pub in_transaction: bool,
    /// `enable_case_sensitive_identifier`: without it Redshift folds quoted names to lower case too.
    pub case_sensitive_identifiers: bool,
    /// Select-list aliases to expand where a later item of the list uses them.
    pub inline_aliases: BTreeSet<String>,
    /// Names that are SUPER columns where they stand at this place of a path: `(items, 1)` for `t.items.name`.
    pub super_columns: BTreeSet<(String, usize)>,
}

impl Context {
    /// What to do when PostgreSQL refuses a command with 42703 (undefined column) or 42P01 (undefined table), which comes
    /// before anything has run (in a block put a savepoint before a command that [`Command::may_read_otherwise`]): the
    /// context to translate the statement with again, or `None` when the error stands.
    #[must_use]
    pub fn with_alias(&self, command: &Command, error: &ServerError) -> Option<Self> {
        if error.code == "42P01" {
            let table = error.message.split("FROM-clause entry for table \"").nth(1)?.strip_suffix('"')?;
            let column = navigation::column_of(&command.paths, table)?;
            let mut context = self.clone();
            return context.super_columns.insert(column).then_some(context);
        }
        if error.code != "42703" {
            return None;
        }
        let name = error.message.strip_prefix("column \"")?.strip_suffix("\" does not exist")?;
        if !command.lateral_aliases.contains(name) || self.inline_aliases.contains(name) {
            return None;
        }
        let mut context = self.clone();
        context.inline_aliases.insert(name.to_owned());
        Some(context)
    }
}

/// One Redshift statement as PostgreSQL statements.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// What the statement is.
    pub kind: Kind,
    /// What PostgreSQL shall run, in this order, each sent alone; the last one's rows and command tag are the
    /// statement's. Empty for [`Kind::Empty`]. Several statements belong into one transaction unless `in_block` is
    /// false. `:name` markers are still in the text: give each statement to [`bind`].
    pub statements: Vec<Command>,
    /// The relation that is written, created, altered or dropped, as written (folded to lower case), with its schema if
    /// one was given.
    pub target: Option<String>,
    /// The statement returns rows (`HasResultSet`).
    pub returns_rows: bool,
    /// The statement may run in a transaction block. If false and a block is open, [`translate`] has already refused it
    /// when [`Context::in_transaction`] says so.
    pub in_block: bool,
    /// The open transaction is to be committed when the statement has ended well, and the block goes on (TRUNCATE).
    pub commits: bool,
    /// What a COPY or UNLOAD says, for the crate’s module `transfer` to run.
    pub transfer: Option<transfer::Transfer>,
}

/// One PostgreSQL statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The SQL text.
    pub sql: String,
    /// Select-list aliases that a later item of the same list uses. Redshift lets a column of that name win and takes
    /// the alias otherwise; only the server knows the columns. See [`Context::with_alias`].
    pub lateral_aliases: BTreeSet<String>,
    /// Qualified names that may turn out to be paths into a SUPER column.
    pub paths: BTreeSet<Vec<String>>,
}

impl Command {
    /// The server may refuse this text and take another one for the same statement.
    #[must_use]
    pub fn may_read_otherwise(&self) -> bool {
        !self.lateral_aliases.is_empty() || !self.paths.is_empty()
    }
}

/// Translates one Redshift statement (a trailing `;` is fine, a second statement is an error).
///
/// # Errors
/// [`Error`] is a failure of the statement (status FAILED with this text), never of the API call: what Redshift refuses,
/// in its words, or what this stand-in cannot run, naming the construct.
pub fn translate(sql: &str, context: &Context) -> Result<Translation, Error> {
    statement::translate(sql, context)
}
