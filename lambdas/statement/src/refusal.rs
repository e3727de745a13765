//! What a failed call means in the names that a `Retry` matches. The Data API hides some rate limits in a
//! ValidationException, so the text is looked at too.

use crate::Error;
use crate::ports::{Failure, FailureKind};

/// A submit that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitFailure {
    /// The API has not taken it.
    Refused(Error),
    /// It may have. Nothing may be concluded; the ClientToken makes asking again safe.
    Unknown,
}

/// Reads a failed ExecuteStatement or BatchExecuteStatement.
#[must_use]
pub fn of_submit(failure: &Failure) -> SubmitFailure {
    let message = message(failure);
    let text = failure.message.to_ascii_lowercase();
    let throttled = ["rate exceeded", "throttl", "too many requests", "request limit", "reduce your request rate"]
        .iter()
        .any(|needle| text.contains(needle));
    let busy = text.contains("session")
        && ["busy", "in use", "already running", "another statement", "one statement at a time"]
            .iter()
            .any(|n| text.contains(n));
    SubmitFailure::Refused(match (failure.kind, failure.code.as_str()) {
        // The statement may exist: both carry a StatementId (Data API reference).
        (FailureKind::Unknown, _) | (_, "ExecuteStatementException" | "BatchExecuteStatementException") => {
            return SubmitFailure::Unknown;
        }
        (_, "ActiveStatementsExceededException") => Error::ActiveStatementsExceeded(message),
        (_, "ActiveSessionsExceededException") => Error::ActiveSessionsExceeded(message),
        (FailureKind::Throttled, _) => Error::Throttled(message),
        (FailureKind::Refused, _) if throttled => Error::Throttled(message),
        (FailureKind::Refused, _) if text.contains("active statements exceeded") => {
            Error::ActiveStatementsExceeded(message)
        }
        (FailureKind::Refused | FailureKind::NotFound, _) if busy => Error::SessionBusy(message),
        (FailureKind::Unavailable, _) => Error::ServiceUnavailable(message),
        (FailureKind::Denied, _) => Error::AccessDenied(message),
        (FailureKind::NotFound, _) => Error::TargetNotFound(message),
        (FailureKind::Refused | FailureKind::Broken, _) => Error::ValidationFailed(message),
    })
}

impl From<Failure> for Error {
    /// A failed call other than a submit. Whether it was done does not matter: every one of them may be repeated.
    fn from(failure: Failure) -> Self {
        let message = message(&failure);
        match failure.kind {
            FailureKind::Throttled => Self::Throttled(message),
            FailureKind::Unavailable | FailureKind::Unknown => Self::ServiceUnavailable(message),
            FailureKind::Denied => Self::AccessDenied(message),
            FailureKind::Broken => Self::SealBroken(message),
            FailureKind::NotFound | FailureKind::Refused => Self::ServiceRefused(message),
        }
    }
}

fn message(failure: &Failure) -> String {
    crate::row::cut(&failure.to_string(), 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_names_that_tell_transient_from_permanent() {
        use FailureKind::{Denied, NotFound, Refused, Throttled, Unavailable, Unknown};
        let cases = [
            (Throttled, "ThrottlingException", "Rate exceeded", Some(("Throttled", true))),
            (Refused, "ValidationException", "Rate exceeded", Some(("Throttled", true))),
            (Refused, "ValidationException", "Request was throttled", Some(("Throttled", true))),
            (
                Refused,
                "ActiveStatementsExceededException",
                "Active statements exceeded",
                Some(("ActiveStatementsExceeded", true)),
            ),
            (Refused, "ActiveSessionsExceededException", "x", Some(("ActiveSessionsExceeded", true))),
            (Refused, "ValidationException", "Session is busy with another statement", Some(("SessionBusy", true))),
            (Refused, "ValidationException", "Database is missing", Some(("ValidationFailed", false))),
            (Denied, "AccessDeniedException", "not authorized", Some(("AccessDenied", false))),
            (NotFound, "ResourceNotFoundException", "no such cluster", Some(("TargetNotFound", false))),
            (Unavailable, "ServiceUnavailableException", "", Some(("ServiceUnavailable", true))),
            (Unknown, "timeout", "", None),
            (Unknown, "InternalServerException", "", None),
            (Refused, "ExecuteStatementException", "", None),
        ];
        for (kind, code, text, expected) in cases {
            let failure = Failure { service: "redshift-data", kind, code: code.to_owned(), message: text.to_owned() };
            match (of_submit(&failure), expected) {
                (SubmitFailure::Refused(error), Some((name, transient))) => {
                    assert_eq!((error.name(), error.transient()), (name, transient), "{code} {text}");
                }
                (SubmitFailure::Unknown, None) => {}
                (other, _) => panic!("{code} {text}: {other:?}"),
            }
        }
    }
}
