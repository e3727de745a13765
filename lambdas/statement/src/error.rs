//! The names of everything that can go wrong, as a state's `Retry` and `Catch` match them. A name is spelled here and
//! nowhere else; no message here may carry SQL text, a token or a credential.

/// What a function raises, or what a waiting task is failed with before its SQL ever ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request cannot be right, whatever happens outside.
    #[error("{field}: {problem}; allowed: {allowed}")]
    InvalidRequest {
        /// Path of the field, such as `parameters.day`; `request` for the whole.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What would be right.
        allowed: String,
    },
    /// The key is known with other SQL, parameters, target or mode.
    #[error("the idempotency key was used before with another request (statement {statement_name})")]
    IdempotencyConflict {
        /// The statement that the key stands for.
        statement_name: String,
    },
    /// `executeSingletonStatement` while the same SQL is active.
    #[error("the same SQL is active as statement {statement_name}")]
    ConcurrentExecution {
        /// The statement that holds the lock.
        statement_name: String,
    },
    /// No statement with this id, or the execution has none.
    #[error("no such statement: {0}")]
    StatementNotFound(String),
    /// The assets bucket has no such object.
    #[error("the assets bucket has no object {0}")]
    ScriptNotFound(String),
    /// A rate limit, also where the API hides it in a ValidationException.
    #[error("throttled: {0}")]
    Throttled(String),
    /// 500 statements are active on the target (Data API limit).
    #[error("the target has as many active statements as it may: {0}")]
    ActiveStatementsExceeded(String),
    /// 500 sessions are open on the target (Data API limit).
    #[error("the target has as many sessions as it may: {0}")]
    ActiveSessionsExceeded(String),
    /// The session runs another statement; a session takes one at a time.
    #[error("the session runs another statement: {0}")]
    SessionBusy(String),
    /// A service did not answer or answered 5xx.
    #[error("a service is unavailable: {0}")]
    ServiceUnavailable(String),
    /// Rights are missing.
    #[error("access denied: {0}")]
    AccessDenied(String),
    /// The Data API found the call invalid.
    #[error("the Data API refused the call: {0}")]
    ValidationFailed(String),
    /// The cluster, workgroup, session or secret does not exist.
    #[error("the target does not exist: {0}")]
    TargetNotFound(String),
    /// A service other than the Data API refused for good.
    #[error("a service refused: {0}")]
    ServiceRefused(String),
    /// The function was cut off before the submit; the SQL did not run.
    #[error("the function was cut off before the statement was submitted; the SQL did not run")]
    SubmitInterrupted,
    /// Whether the SQL ran cannot be found out any more.
    #[error("whether the SQL ran is not known: {0}")]
    OutcomeUnknown(String),
    /// The inline result would not fit.
    #[error("the result does not fit: {0}")]
    ResultTooLarge(String),
    /// The result is no longer kept (24 h, Data API limit).
    #[error("the result is no longer kept: {0}")]
    ResultExpired(String),
    /// A sealed token could not be opened: wrong key or tampered with.
    #[error("a sealed token could not be opened: {0}")]
    SealBroken(String),
    /// The row was changed by others again and again.
    #[error("the row changed too often meanwhile: {0}")]
    RowContended(String),
    /// The environment is not complete or not readable.
    #[error("configuration: {0}")]
    Configuration(String),
    /// The function itself is wrong.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// The name that ASL's `ErrorEquals` matches.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } => "InvalidRequest",
            Self::IdempotencyConflict { .. } => "IdempotencyConflict",
            Self::ConcurrentExecution { .. } => "ConcurrentExecution",
            Self::StatementNotFound(_) => "StatementNotFound",
            Self::ScriptNotFound(_) => "ScriptNotFound",
            Self::Throttled(_) => "Throttled",
            Self::ActiveStatementsExceeded(_) => "ActiveStatementsExceeded",
            Self::ActiveSessionsExceeded(_) => "ActiveSessionsExceeded",
            Self::SessionBusy(_) => "SessionBusy",
            Self::ServiceUnavailable(_) => "ServiceUnavailable",
            Self::AccessDenied(_) => "AccessDenied",
            Self::ValidationFailed(_) => "ValidationFailed",
            Self::TargetNotFound(_) => "TargetNotFound",
            Self::ServiceRefused(_) => "ServiceRefused",
            Self::SubmitInterrupted => "SubmitInterrupted",
            Self::OutcomeUnknown(_) => "OutcomeUnknown",
            Self::ResultTooLarge(_) => "ResultTooLarge",
            Self::ResultExpired(_) => "ResultExpired",
            Self::SealBroken(_) => "SealBroken",
            Self::RowContended(_) => "RowContended",
            Self::Configuration(_) => "Configuration",
            Self::Internal(_) => "Internal",
        }
    }

    /// Whether the same request may succeed later without anyone changing anything.
    #[must_use]
    pub fn transient(&self) -> bool {
        matches!(
            self,
            Self::ConcurrentExecution { .. }
                | Self::Throttled(_)
                | Self::ActiveStatementsExceeded(_)
                | Self::ActiveSessionsExceeded(_)
                | Self::SessionBusy(_)
                | Self::ServiceUnavailable(_)
                | Self::SubmitInterrupted
                | Self::RowContended(_)
        )
    }

    /// An invalid request: which field, what is wrong, what is allowed.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::InvalidRequest { field: field.into(), problem: problem.into(), allowed: allowed.into() }
    }
}

/// One name of the table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorName {
    /// The name, as `ErrorEquals` spells it.
    pub name: &'static str,
    /// Whether trying again unchanged makes sense.
    pub transient: bool,
    /// Whether the function raises it (the invocation fails).
    pub raised: bool,
    /// Whether a waiting task is failed with it (`SendTaskFailure`).
    pub answered: bool,
}

/// Every name that a function raises or a task is failed with. The test over `statemachines/` and the README's table
/// are held against it.
#[must_use]
pub fn error_names() -> Vec<ErrorName> {
    let s = String::new;
    let raised = [
        Error::invalid("", "", ""),
        Error::IdempotencyConflict { statement_name: s() },
        Error::ConcurrentExecution { statement_name: s() },
        Error::StatementNotFound(s()),
        Error::ScriptNotFound(s()),
        Error::Throttled(s()),
        Error::ActiveStatementsExceeded(s()),
        Error::ActiveSessionsExceeded(s()),
        Error::SessionBusy(s()),
        Error::ServiceUnavailable(s()),
        Error::AccessDenied(s()),
        Error::ValidationFailed(s()),
        Error::TargetNotFound(s()),
        Error::ServiceRefused(s()),
        Error::SubmitInterrupted,
        Error::OutcomeUnknown(s()),
        Error::ResultTooLarge(s()),
        Error::ResultExpired(s()),
        Error::SealBroken(s()),
        Error::RowContended(s()),
        Error::Configuration(s()),
        Error::Internal(s()),
    ];
    let answered =
        [Error::SubmitInterrupted, Error::OutcomeUnknown(s()), Error::ResultTooLarge(s()), Error::ResultExpired(s())];
    let mut names: Vec<ErrorName> = raised
        .iter()
        .map(|e| ErrorName { name: e.name(), transient: e.transient(), raised: true, answered: false })
        .collect();
    for error in &answered {
        match names.iter_mut().find(|n| n.name == error.name()) {
            Some(name) => name.answered = true,
            None => names.push(ErrorName {
                name: error.name(),
                transient: error.transient(),
                raised: false,
                answered: true,
            }),
        }
    }
    names.push(ErrorName { name: crate::class::COMPATIBLE, transient: false, raised: false, answered: true });
    for class in crate::class::Class::ALL {
        names.push(ErrorName { name: class.error_name(), transient: class.transient(), raised: false, answered: true });
    }
    names
}
