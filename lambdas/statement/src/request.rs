//! What the tasker is asked for, checked field by field before anything happens. Unknown fields, wrong types and fields
//! that contradict each other are refused by name: a misspelt field must never change silently what runs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::fields::{Fields, is_statement_id, is_uuid, short};

use crate::target::{FIELDS as TARGET_FIELDS, Target};
use crate::{Error, script};

/// Most statements that one BatchExecuteStatement takes (Data API limit).
pub const BATCH_LIMIT: usize = 40;
/// Longest text of one statement, in bytes (Data API limit).
pub const TEXT_LIMIT: usize = 200 * 1024;
/// Longest life of a session, in seconds (Data API limit).
pub const SESSION_LIMIT: u64 = 86_400;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Run SQL.
    Execute(Execute),
    /// DescribeStatement.
    Describe(Reference),
    /// GetStatementResult.
    Result(ResultPage),
    /// CancelStatement.
    Cancel(Reference),
}

/// How SQL is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// One statement, or a script as one batch.
    Execute,
    /// The same, unless the same SQL is active.
    Singleton,
    /// A batch, also of one.
    Batch,
}

impl Action {
    /// As the request and the audit row spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Execute => "executeStatement",
            Self::Singleton => "executeSingletonStatement",
            Self::Batch => "batchExecuteStatement",
        }
    }
}

/// Where the SQL comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `sqlStatement`.
    Text(String),
    /// `sqlStatements`.
    List(Vec<String>),
    /// `scriptKey`: an object of the assets bucket.
    Script(String),
}

/// How a batch commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One transaction: all or nothing.
    Transaction,
    /// Each statement for itself.
    AutoCommit,
}

impl Mode {
    /// As the request and the API spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transaction => "TRANSACTION",
            Self::AutoCommit => "AUTO_COMMIT",
        }
    }
}

/// What the answer carries of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultMode {
    /// Nothing.
    None,
    /// Typed rows, as long as the output stays below 256 KiB.
    Inline,
}

impl ResultMode {
    /// As the request and the row spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Inline => "inline",
        }
    }
}

/// Which error names a waiting task sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// `FAILED` for every failed or aborted statement.
    Compatible,
    /// `Redshift.<class>`.
    Detailed,
}

impl Names {
    /// As the request and the row spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Detailed => "detailed",
        }
    }
}

/// How results are kept by the Data API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Typed cells.
    Json,
    /// CSV text.
    Csv,
}

impl Format {
    /// As the request and the API spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv => "CSV",
        }
    }
}

/// SQL to run and who waits for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Execute {
    /// How.
    pub action: Action,
    /// What.
    pub source: Source,
    /// How a batch commits.
    pub mode: Mode,
    /// Named values, by name.
    pub parameters: BTreeMap<String, String>,
    /// The task that waits.
    pub task_token: Option<String>,
    /// The execution it belongs to.
    pub execution_arn: Option<String>,
    /// The caller's own key.
    pub idempotency_key: Option<String>,
    /// A session to run in.
    pub session_id: Option<String>,
    /// How long the session is kept, in seconds.
    pub session_keep_alive: Option<u32>,
    /// How results are kept.
    pub format: Option<Format>,
    /// What the answer carries.
    pub result: ResultMode,
    /// Which error names the task sees.
    pub names: Names,
    /// A target other than the environment's, from the allow-list.
    pub target: Option<Target>,
}

/// A statement by id, or an execution's newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `statementId`.
    Id(String),
    /// `LATEST` with `executionArn`.
    LatestOf(String),
}

/// A page of a statement's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultPage {
    /// Whose.
    pub statement: Reference,
    /// Which page; the first without.
    pub next_token: Option<String>,
    /// How the result was kept.
    pub format: Format,
}

const ACTIONS: &str = "executeStatement, executeSingletonStatement, batchExecuteStatement, describeStatement, getStatementResult, cancelStatement";
/// The fields of a request that runs SQL (`statementId` only to be refused by its own message).
pub const EXECUTE_FIELDS: [&str; 16] = [
    "action",
    "sqlStatement",
    "sqlStatements",
    "scriptKey",
    "executionMode",
    "parameters",
    "taskToken",
    "executionArn",
    "idempotencyKey",
    "sessionId",
    "sessionKeepAliveSeconds",
    "resultFormat",
    "result",
    "errorNames",
    "target",
    "statementId",
];

impl Request {
    /// Reads a request. `allowed` are the targets that a request may name.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], naming field, problem and what is allowed.
    pub fn parse(event: &Value, allowed: &[Target]) -> Result<Self, Error> {
        let Some(object) = event.as_object() else {
            return Err(Error::invalid("request", "is not a JSON object", "a JSON object"));
        };
        let fields = Fields { object, strings: false };
        let action = match fields.text("action", 64)? {
            Some(action) => action,
            None if ["sqlStatement", "sqlStatements", "scriptKey"].iter().any(|f| object.contains_key(*f)) => {
                "executeStatement".to_owned()
            }
            None => {
                return Err(Error::invalid("action", "is missing and no SQL is given", ACTIONS));
            }
        };
        match action.as_str() {
            "executeStatement" => Execute::read(&fields, Action::Execute, allowed).map(Self::Execute),
            "executeSingletonStatement" => Execute::read(&fields, Action::Singleton, allowed).map(Self::Execute),
            "batchExecuteStatement" => Execute::read(&fields, Action::Batch, allowed).map(Self::Execute),
            "describeStatement" => Reference::read(&fields, &[]).map(Self::Describe),
            "cancelStatement" => Reference::read(&fields, &[]).map(Self::Cancel),
            "getStatementResult" => {
                let statement = Reference::read(&fields, &["nextToken", "resultFormat"])?;
                let next_token = fields.text("nextToken", 2_048)?;
                let format = fields.format()?.unwrap_or(Format::Json);
                Ok(Self::Result(ResultPage { statement, next_token, format }))
            }
            other => Err(Error::invalid("action", format!("{} is unknown", short(other)), ACTIONS)),
        }
    }
}

impl Execute {
    /// Reads the SQL part of a custom resource, whose values all arrive as text.
    pub(crate) fn from_properties(object: &Map<String, Value>, allowed: &[Target]) -> Result<Self, Error> {
        let fields = Fields { object, strings: true };
        for forbidden in ["taskToken", "executionArn", "idempotencyKey"] {
            if object.contains_key(forbidden) {
                return Err(Error::invalid(
                    forbidden,
                    "is not for a custom resource",
                    "leave it out: CloudFormation waits",
                ));
            }
        }
        let action = match fields.text("action", 64)?.as_deref() {
            None | Some("executeStatement") => Action::Execute,
            Some("executeSingletonStatement") => Action::Singleton,
            Some("batchExecuteStatement") => Action::Batch,
            Some(other) => {
                let allowed = "executeStatement, executeSingletonStatement, batchExecuteStatement";
                return Err(Error::invalid(
                    "action",
                    format!("{} is not for a custom resource", short(other)),
                    allowed,
                ));
            }
        };
        Self::read(&fields, action, allowed)
    }

    fn read(fields: &Fields<'_>, action: Action, allowed: &[Target]) -> Result<Self, Error> {
        fields.only(&EXECUTE_FIELDS)?;
        if fields.object.contains_key("statementId") {
            return Err(Error::invalid(
                "statementId",
                "stands beside SQL",
                "describeStatement, getStatementResult or cancelStatement with it",
            ));
        }
        let source = fields.source()?;
        let result = match fields.choice("result", &["none", "inline"])? {
            Some("inline") => ResultMode::Inline,
            _ => ResultMode::None,
        };
        let format = fields.format()?;
        if result == ResultMode::Inline && format == Some(Format::Csv) {
            return Err(Error::invalid("resultFormat", "CSV stands beside result inline", "JSON, or result none"));
        }
        let session_id = fields.text("sessionId", 64)?;
        if let Some(id) = &session_id
            && !is_uuid(id)
        {
            return Err(Error::invalid(
                "sessionId",
                "is no session id",
                "the sessionId that a statement with sessionKeepAliveSeconds answered",
            ));
        }
        let target = match fields.object.get("target") {
            None | Some(Value::Null) => None,
            Some(_) if session_id.is_some() => {
                return Err(Error::invalid(
                    "target",
                    "stands beside sessionId",
                    "one of them: a session has its target",
                ));
            }
            Some(value) => {
                let target = Target::from_json(value, "target")?;
                if !allowed.contains(&target) {
                    return Err(Error::invalid(
                        "target",
                        "is not on the allow-list",
                        format!("{} of ALLOWED_TARGETS", TARGET_FIELDS.join(", ")),
                    ));
                }
                Some(target)
            }
        };
        let keep_alive = fields.integer("sessionKeepAliveSeconds", 0, SESSION_LIMIT)?;
        let execute = Self {
            action,
            source,
            mode: match fields.choice("executionMode", &["TRANSACTION", "AUTO_COMMIT"])? {
                Some("AUTO_COMMIT") => Mode::AutoCommit,
                _ => Mode::Transaction,
            },
            parameters: fields.parameters()?,
            task_token: fields.text("taskToken", 2_048)?,
            execution_arn: fields.arn("executionArn")?,
            idempotency_key: fields.text("idempotencyKey", 2_048)?,
            session_id,
            session_keep_alive: keep_alive.and_then(|n| u32::try_from(n).ok()),
            format,
            result,
            names: match fields.choice("errorNames", &["compatible", "detailed"])? {
                Some("detailed") => Names::Detailed,
                _ => Names::Compatible,
            },
            target,
        };
        // What can be checked without reading the script is checked at once.
        if let Some(texts) = execute.texts() {
            execute.statements(&texts)?;
        }
        Ok(execute)
    }

    /// The field the SQL came in.
    #[must_use]
    pub fn source_field(&self) -> &'static str {
        match self.source {
            Source::Text(_) => "sqlStatement",
            Source::List(_) => "sqlStatements",
            Source::Script(_) => "scriptKey",
        }
    }

    fn texts(&self) -> Option<Vec<String>> {
        match &self.source {
            Source::Text(text) => Some(vec![text.clone()]),
            Source::List(list) => Some(list.clone()),
            Source::Script(_) => None,
        }
    }

    /// The statements to submit; `script` is the text of the `scriptKey`, if that is the source.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`]: no statement, more than 40, one too long, a quote that never ends, a parameter that no
    /// statement uses.
    pub fn resolve(&self, script: Option<String>) -> Result<Vec<String>, Error> {
        match (self.texts(), script) {
            (Some(texts), _) => self.statements(&texts),
            (None, Some(script)) => self.statements(&[script]),
            (None, None) => Err(Error::Internal("the script was not read".to_owned())),
        }
    }

    fn statements(&self, texts: &[String]) -> Result<Vec<String>, Error> {
        let field = self.source_field();
        let mut statements = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match script::split(text) {
                Ok(found) => {
                    if matches!(self.source, Source::List(_)) && found.len() != 1 {
                        let problem = format!("holds {} statements", found.len());
                        return Err(Error::invalid(
                            format!("{field}[{index}]"),
                            problem,
                            "one statement in each entry",
                        ));
                    }
                    statements.extend(found.into_iter().map(str::to_owned));
                }
                // The database's own message tells more about a text that a person wrote as one statement.
                Err(_) if !matches!(self.source, Source::Script(_)) => statements.push(text.trim().to_owned()),
                Err(error) => {
                    return Err(Error::invalid(field, error.to_string(), "a script whose quotes and comments end"));
                }
            }
        }
        if statements.is_empty() {
            return Err(Error::invalid(field, "holds no statement", "1 to 40 statements"));
        }
        if statements.len() > BATCH_LIMIT {
            let problem = format!("holds {} statements, more than one batch takes", statements.len());
            let allowed = "1 to 40 statements; split the script at transaction boundaries into several requests, or put the \
                           statements into a stored procedure and CALL it: a transaction is never cut silently";
            return Err(Error::invalid(field, problem, allowed));
        }
        if let Some(long) = statements.iter().position(|s| s.len() > TEXT_LIMIT) {
            let problem = format!("statement {} has {} bytes", long + 1, statements[long].len());
            return Err(Error::invalid(field, problem, format!("at most {TEXT_LIMIT} bytes of text in a statement")));
        }
        let used: Vec<String> = statements.iter().flat_map(|s| script::parameters(s)).collect();
        if let Some(unused) = self.parameters.keys().find(|name| !used.contains(name)) {
            return Err(Error::invalid(
                format!("parameters.{unused}"),
                "is used by no statement",
                "parameters that the SQL names as :name, outside of quotes and comments",
            ));
        }
        Ok(statements)
    }

    /// Whether the statements go as a batch.
    #[must_use]
    pub fn batch(&self, statements: usize) -> bool {
        self.action == Action::Batch || statements > 1
    }
}

impl Reference {
    fn read(fields: &Fields<'_>, more: &[&str]) -> Result<Self, Error> {
        if fields.object.contains_key("taskToken") {
            return Err(Error::invalid(
                "taskToken",
                "is given to an action that answers at once; the state would wait for ever",
                "arn:aws:states:::lambda:invoke without .waitForTaskToken, and no taskToken",
            ));
        }
        let known: Vec<&str> = ["action", "statementId", "executionArn"].iter().chain(more).copied().collect();
        fields.only(&known)?;
        let arn = fields.arn("executionArn")?;
        match (fields.text("statementId", 64)?, arn) {
            (None, _) => {
                Err(Error::invalid("statementId", "is missing", "a statement id, or LATEST with executionArn"))
            }
            (Some(id), Some(arn)) if id == "LATEST" => Ok(Self::LatestOf(arn)),
            (Some(id), None) if id == "LATEST" => Err(Error::invalid(
                "executionArn",
                "is missing",
                "with statementId LATEST: the execution whose newest statement is meant",
            )),
            (Some(id), _) if is_statement_id(&id) => Ok(Self::Id(id)),
            (Some(_), _) => Err(Error::invalid(
                "statementId",
                "is no statement id",
                "a UUID, a UUID with :n for a batch's statement n, or LATEST",
            )),
        }
    }
}
