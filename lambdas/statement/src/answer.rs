//! What a waiting caller is told when its statement has ended, and what the row keeps of it. SQL never appears here;
//! error texts do, as the database gave them.

use serde_json::{Map, Value, json};

use crate::Error;
use crate::class::{COMPATIBLE, Class};
use crate::event::Ended;
use crate::ports::{Cell, Description, Page};
use crate::request::Names;
use crate::resource::Verdict;
use crate::row::{Row, RowError, Status, cut};

/// Largest output of SendTaskSuccess, in bytes (Step Functions quota, 256 KiB).
pub const OUTPUT_LIMIT: usize = 262_144;
/// Largest cause of SendTaskFailure (API limit; in characters, here held in bytes to be safe).
pub const CAUSE_LIMIT: usize = 32_768;
/// Most bytes of inline rows: leaves room for the other fields and for 40 statements' entries.
const ROWS_LIMIT: usize = OUTPUT_LIMIT - 16_384;

/// What a task is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// SendTaskSuccess with this JSON.
    Success(String),
    /// SendTaskFailure.
    Failure {
        /// At most 256 characters.
        error: String,
        /// JSON, at most [`CAUSE_LIMIT`].
        cause: String,
    },
}

/// How an attempt ended: for the caller, and for the row.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// The attempt's last status.
    pub status: Status,
    /// For a task.
    pub answer: Answer,
    /// For CloudFormation.
    pub verdict: Verdict,
    /// The error that the row keeps.
    pub error: Option<RowError>,
    /// Rows returned or affected.
    pub rows: Option<i64>,
    /// Bytes of the result.
    pub bytes: Option<i64>,
    /// Nanoseconds.
    pub duration_ns: Option<i64>,
    /// Redshift's query id.
    pub query_id: Option<i64>,
    /// As whom it ran.
    pub db_user: Option<String>,
}

/// What is known of a statement that ended. The event may be missing (it was lost), the description too (after 24 h).
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The row.
    pub row: &'a Row,
    /// The statement's id.
    pub statement_id: &'a str,
    /// How it ended.
    pub status: Status,
    /// The event.
    pub event: Option<&'a Ended>,
    /// DescribeStatement's answer.
    pub description: Option<&'a Description>,
}

impl Known<'_> {
    /// The answer for a statement that ended well; `results` are the inline rows if they were asked for.
    #[must_use]
    pub fn finished(&self, results: Option<Result<Vec<Value>, Error>>) -> Ending {
        let mut ending = self.ending(Answer::Success(String::new()), Verdict::Success(Vec::new()), None);
        let mut output = self.output(&ending);
        match results {
            Some(Err(error)) => return self.unreadable(&error),
            Some(Ok(results)) => {
                output.insert("results".to_owned(), Value::Array(results));
            }
            None => {}
        }
        let text = Value::Object(output).to_string();
        if text.len() > OUTPUT_LIMIT {
            return self.unreadable(&too_large());
        }
        let mut data =
            vec![("StatementId", self.statement_id.to_owned()), ("StatementName", self.row.statement_name.clone())];
        data.extend(ending.rows.map(|n| ("Rows", n.to_string())));
        data.extend(ending.query_id.map(|n| ("RedshiftQueryId", n.to_string())));
        ending.verdict = Verdict::Success(data);
        ending.answer = Answer::Success(text);
        ending
    }

    /// The statement ended well but its rows cannot be handed over.
    #[must_use]
    pub fn unreadable(&self, error: &Error) -> Ending {
        let kept = RowError {
            name: error.name().to_owned(),
            class: None,
            message: cut(&error.to_string(), 2_000),
            index: None,
        };
        self.without_class(kept, error.transient())
    }

    /// The answer for a statement that failed or was stopped.
    #[must_use]
    pub fn failed(&self) -> Ending {
        let aborted = self.status == Status::Aborted;
        let failing = self.description.and_then(failing_statement);
        let text = failing
            .and_then(|(_, statement)| statement.error.as_deref())
            .or_else(|| self.description.and_then(|d| d.error.as_deref()))
            .filter(|text| !text.is_empty())
            .unwrap_or(if aborted {
                "The statement was stopped."
            } else {
                "The error text is not known: the Data API keeps it for 24 hours."
            });
        let class = Class::of(text, aborted);
        let index = failing.map(|(index, _)| index);
        let error = match self.row.names {
            Names::Compatible => COMPATIBLE,
            Names::Detailed => class.error_name(),
        };
        let kept = RowError {
            name: class.error_name().to_owned(),
            class: Some(class.name().to_owned()),
            message: cut(text, 2_000),
            index,
        };
        let mut more = Map::new();
        more.insert("class".to_owned(), json!(class.name()));
        more.insert("transient".to_owned(), json!(class.transient()));
        if let Some((index, statement)) = failing {
            more.insert("subStatement".to_owned(), json!({"index": index, "statementId": statement.id}));
        }
        let cause = self.cause(text, more);
        let reason = match index {
            Some(index) => format!("statement {index}: {text}"),
            None => text.to_owned(),
        };
        self.ending(Answer::Failure { error: error.to_owned(), cause }, Verdict::Failed(reason), Some(kept))
    }

    fn without_class(&self, kept: RowError, transient: bool) -> Ending {
        let mut more = Map::new();
        more.insert("transient".to_owned(), json!(transient));
        let answer = Answer::Failure { error: kept.name.clone(), cause: self.cause(&kept.message, more) };
        self.ending(answer, Verdict::Failed(format!("{}: {}", kept.name, kept.message)), Some(kept))
    }

    fn ending(&self, answer: Answer, verdict: Verdict, error: Option<RowError>) -> Ending {
        let event =
            |name: &str| self.event.and_then(|e| e.detail.get(name)).and_then(Value::as_i64).filter(|n| *n >= 0);
        let described = self.description;
        Ending {
            status: self.status,
            answer,
            verdict,
            error,
            rows: described.and_then(|d| d.rows).or_else(|| event("rows")).or(self.row.rows),
            bytes: described.and_then(|d| d.bytes).or(self.row.bytes),
            duration_ns: described.and_then(|d| d.duration_ns).or(self.row.duration_ns),
            query_id: described
                .and_then(|d| d.query_id)
                .or_else(|| event("redshiftQueryId"))
                .filter(|n| *n > 0)
                .or(self.row.query_id),
            db_user: described.and_then(|d| d.db_user.clone()).or_else(|| self.row.db_user.clone()),
        }
    }

    /// Every field of the event's detail, completed: a number that the event has not, or has as -1, comes from the
    /// description.
    fn output(&self, ending: &Ending) -> Map<String, Value> {
        let mut output = self.event.filter(|e| !e.own).map(|e| e.detail.clone()).unwrap_or_default();
        output.insert("statementId".to_owned(), json!(self.statement_id));
        output.insert("statementName".to_owned(), json!(self.row.statement_name));
        output.insert("state".to_owned(), json!(self.status.name()));
        for (name, value) in [("rows", ending.rows), ("redshiftQueryId", ending.query_id)] {
            let known = output.get(name).and_then(Value::as_i64).is_some_and(|n| n > 0);
            if !known && (value.is_some() || !output.contains_key(name)) {
                output.insert(name.to_owned(), json!(value.unwrap_or(-1)));
            }
        }
        self.facts(&mut output, ending.bytes, ending.duration_ns);
        if let Some(description) = self.description {
            output.insert("hasResultSet".to_owned(), json!(description.has_result_set));
            if !description.statements.is_empty() {
                output.insert("subStatements".to_owned(), description.statements.iter().map(sub_statement).collect());
            }
        }
        output
    }

    fn facts(&self, output: &mut Map<String, Value>, bytes: Option<i64>, duration_ns: Option<i64>) {
        output.insert("attempt".to_owned(), json!(self.row.attempt));
        if let Some(arn) = &self.row.execution_arn {
            output.insert("executionArn".to_owned(), json!(arn));
        }
        if let Some(bytes) = bytes {
            output.insert("bytes".to_owned(), json!(bytes));
        }
        if let Some(ns) = duration_ns {
            output.insert("durationMs".to_owned(), json!(ns / 1_000_000));
        }
        let described = self.description;
        let session = described.and_then(|d| d.session_id.clone()).or_else(|| self.row.session_id.clone());
        for (name, value) in [
            ("database", described.and_then(|d| d.database.clone())),
            ("dbUser", described.and_then(|d| d.db_user.clone()).or_else(|| self.row.db_user.clone())),
            ("sessionId", session),
        ] {
            if let Some(value) = value {
                output.insert(name.to_owned(), json!(value));
            }
        }
    }

    /// The cause's JSON; the text is cut until the whole fits and stays JSON.
    fn cause(&self, text: &str, more: Map<String, Value>) -> String {
        let build = |text: &str| {
            let mut cause = Map::new();
            cause.insert("error".to_owned(), json!(text));
            cause.extend(more.clone());
            cause.insert("state".to_owned(), json!(self.status.name()));
            cause.insert("statementId".to_owned(), json!(self.statement_id));
            cause.insert("statementName".to_owned(), json!(self.row.statement_name));
            let id = self.description.and_then(|d| d.query_id).filter(|n| *n > 0);
            if let Some(id) = id {
                cause.insert("redshiftQueryId".to_owned(), json!(id));
            }
            self.facts(
                &mut cause,
                self.description.and_then(|d| d.bytes),
                self.description.and_then(|d| d.duration_ns),
            );
            Value::Object(cause).to_string()
        };
        let mut most = text.chars().count().min(CAUSE_LIMIT);
        loop {
            let cause = build(&cut(text, most));
            if cause.len() <= CAUSE_LIMIT || most == 0 {
                return cause;
            }
            most = most.saturating_sub(((cause.len() - CAUSE_LIMIT) / 12).max(1));
        }
    }
}

/// The answer of a row that was given up: the error that it holds.
#[must_use]
pub fn given_up(row: &Row) -> Ending {
    let known = Known {
        row,
        statement_id: row.statement_id.as_deref().unwrap_or(""),
        status: row.status,
        event: None,
        description: None,
    };
    let kept = row.error.clone().unwrap_or_else(|| RowError {
        name: Error::SubmitInterrupted.name().to_owned(),
        class: None,
        message: Error::SubmitInterrupted.to_string(),
        index: None,
    });
    let transient = crate::error_names().iter().any(|n| n.name == kept.name && n.transient);
    known.without_class(kept, transient)
}

/// The error for rows that do not fit.
#[must_use]
pub fn too_large() -> Error {
    Error::ResultTooLarge(
        "inline rows must keep the task's output below 256 KiB; use result none and UNLOAD, getStatementResult page by page, or a LIMIT".to_owned(),
    )
}

/// The first failing statement of a batch, from 1.
fn failing_statement(batch: &Description) -> Option<(u32, &Description)> {
    let numbered = || batch.statements.iter().zip(1u32..);
    numbered()
        .find(|(s, _)| s.status == "FAILED")
        .or_else(|| numbered().find(|(s, _)| s.error.as_deref().is_some_and(|e| !e.is_empty())))
        .or_else(|| numbered().find(|(s, _)| s.status == "ABORTED" && batch.status == "ABORTED"))
        .map(|(statement, index)| (index, statement))
}

fn sub_statement(statement: &Description) -> Value {
    let mut output = Map::new();
    output.insert("statementId".to_owned(), json!(statement.id));
    output.insert("state".to_owned(), json!(statement.status));
    output.insert("rows".to_owned(), json!(statement.rows.unwrap_or(-1)));
    output.insert("redshiftQueryId".to_owned(), json!(statement.query_id.unwrap_or(-1)));
    output.insert("hasResultSet".to_owned(), json!(statement.has_result_set));
    if let Some(bytes) = statement.bytes {
        output.insert("bytes".to_owned(), json!(bytes));
    }
    if let Some(ns) = statement.duration_ns {
        output.insert("durationMs".to_owned(), json!(ns / 1_000_000));
    }
    Value::Object(output)
}

/// The ids whose rows belong into an inline answer: the statement itself, or those of a batch that have rows.
#[must_use]
pub fn result_ids(description: &Description) -> Vec<String> {
    if description.statements.is_empty() {
        return if description.has_result_set { vec![description.id.clone()] } else { Vec::new() };
    }
    description.statements.iter().filter(|s| s.has_result_set).map(|s| s.id.clone()).collect()
}

/// Collects inline rows page by page and says when they grow too large, before more is fetched.
#[derive(Debug, Default)]
pub struct InlineRows {
    results: Vec<Value>,
    bytes: usize,
}

impl InlineRows {
    /// Begins the result of one statement.
    pub fn statement(&mut self, id: &str) {
        self.results.push(json!({"statementId": id, "columns": [], "rows": []}));
    }

    /// Adds a page to the statement begun last.
    ///
    /// # Errors
    /// [`Error::ResultTooLarge`].
    pub fn page(&mut self, page: &Page) -> Result<(), Error> {
        let Some(result) = self.results.last_mut() else {
            return Err(Error::Internal("a page without its statement".to_owned()));
        };
        if result["columns"].as_array().is_some_and(Vec::is_empty) {
            result["columns"] = page.columns.iter().map(column).collect();
            self.bytes += result["columns"].to_string().len();
        }
        if let Some(rows) = result["rows"].as_array_mut() {
            for record in &page.records {
                let row: Value = record.iter().map(cell).collect();
                self.bytes += row.to_string().len() + 1;
                if self.bytes > ROWS_LIMIT {
                    return Err(too_large());
                }
                rows.push(row);
            }
        }
        Ok(())
    }

    /// All results.
    #[must_use]
    pub fn done(self) -> Vec<Value> {
        self.results
    }
}

fn column(metadata: &Map<String, Value>) -> Value {
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    json!({"name": text("label").or(text("name")).unwrap_or(""), "typeName": text("typeName").unwrap_or("")})
}

/// A cell as JSON: integers exactly, what JSON has no number for as text.
#[must_use]
pub fn cell(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(truth) => json!(truth),
        Cell::Long(number) => json!(number),
        Cell::Double(number) if number.is_nan() => json!("NaN"),
        Cell::Double(number) if number.is_infinite() => json!(if *number > 0.0 { "Infinity" } else { "-Infinity" }),
        Cell::Double(number) => json!(number),
        Cell::Text(text) => json!(text),
        Cell::Blob(bytes) => json!(hex::encode(bytes)),
    }
}

impl Row {
    /// The attempt has ended so. The caller's answer is counted by [`Row::answered`].
    #[must_use]
    pub fn ended(&self, ending: &Ending, statement_id: Option<&str>, now: i64) -> Self {
        let mut row = self.next();
        if !row.status.ended() {
            row.status = ending.status;
            row.ended_at = Some(now);
        }
        row.statement_id = row.statement_id.or_else(|| statement_id.filter(|id| !id.is_empty()).map(str::to_owned));
        row.rows = ending.rows;
        row.bytes = ending.bytes;
        row.duration_ns = ending.duration_ns;
        row.query_id = ending.query_id;
        row.db_user = ending.db_user.clone();
        row.error = ending.error.clone();
        row.lock = None;
        row
    }
}
