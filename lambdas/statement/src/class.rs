//! What a failed statement's error text says about the kind of failure. The Data API gives no SQLSTATE, only free text,
//! and compute nodes report XX000 for everything: so the text decides. PostgreSQL's own wording is known too, since
//! Redshift's leader and the local engine print it.

/// The error name of a failed or aborted statement where `errorNames` is `compatible`: the one name that
/// SfnRedshiftTasker's users catch.
pub const COMPATIBLE: &str = "FAILED";

/// The kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The text is not SQL.
    Syntax,
    /// A relation, column, function, schema … is missing.
    UndefinedObject,
    /// Rights are missing, in the database or of a role that it assumes.
    Permission,
    /// NOT NULL, a duplicate name, a dependent object.
    Constraint,
    /// A value does not fit or cannot be read.
    DataException,
    /// Error 1023 and its kin: run the whole transaction again.
    SerializationConflict,
    /// Stopped by a user, a rule or the reconciler.
    Cancelled,
    /// A time limit that the text names.
    Timeout,
    /// No space left.
    DiskFull,
    /// The cluster could not be reached or does not take the statement now.
    Connection,
    /// Anything else.
    Other,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Syntax,
        Self::UndefinedObject,
        Self::Permission,
        Self::Constraint,
        Self::DataException,
        Self::SerializationConflict,
        Self::Cancelled,
        Self::Timeout,
        Self::DiskFull,
        Self::Connection,
        Self::Other,
    ];

    /// The class as the failure's Cause and the audit row spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.error_name()["Redshift.".len()..]
    }

    /// The error name where `errorNames` is `detailed`.
    #[must_use]
    pub fn error_name(self) -> &'static str {
        match self {
            Self::Syntax => "Redshift.Syntax",
            Self::UndefinedObject => "Redshift.UndefinedObject",
            Self::Permission => "Redshift.Permission",
            Self::Constraint => "Redshift.Constraint",
            Self::DataException => "Redshift.DataException",
            Self::SerializationConflict => "Redshift.SerializationConflict",
            Self::Cancelled => "Redshift.Cancelled",
            Self::Timeout => "Redshift.Timeout",
            Self::DiskFull => "Redshift.DiskFull",
            Self::Connection => "Redshift.Connection",
            Self::Other => "Redshift.Other",
        }
    }

    /// Whether running the whole transaction again, unchanged, may succeed.
    #[must_use]
    pub fn transient(self) -> bool {
        matches!(self, Self::SerializationConflict | Self::Connection)
    }

    /// Reads the class from the error text of a statement that ended FAILED or, with `aborted`, ABORTED.
    #[must_use]
    pub fn of(text: &str, aborted: bool) -> Self {
        let text = text.to_ascii_lowercase();
        for (class, needles) in RULES {
            if needles.iter().any(|needle| needle.split('*').all(|part| text.contains(part))) {
                return *class;
            }
        }
        if aborted { Self::Cancelled } else { Self::Other }
    }
}

/// First match wins, so the specific stand before the general. An asterisk joins parts that must all occur.
const RULES: &[(Class, &[&str])] = &[
    (
        Class::SerializationConflict,
        &[
            "serializable isolation violation",
            "1018*relation does not exist",
            "conflict with concurrent transaction",
            "could not open relation with oid",
            "relation with oid*does not exist",
            "deadlock detected",
            "could not serialize access",
            "vacuum is running",
        ],
    ),
    (Class::Timeout, &["due to statement timeout", "due to lock timeout", "query timeout", "query timed out"]),
    (
        Class::Cancelled,
        &[
            "cancelled on user",
            "canceled on user",
            "cancelled by wlm",
            "canceled by wlm",
            "due to user request",
            "query cancelled",
            "query canceled",
            "query monitoring rule",
        ],
    ),
    (Class::DiskFull, &["disk full", "no space left on device", "could not extend file"]),
    (
        Class::Connection,
        &[
            "connection limit",
            "too many connections",
            "too many clients",
            "remaining connection slots",
            "resize mode",
            "system requested abort",
            "please retry later",
            "toomanyrequestsexception",
            "rate exceeded",
            "slowdown",
            "slow down",
            "terminating connection",
            "connection refused",
            "connection reset",
            "connection timed out",
            "could not connect",
            "server closed the connection",
            "the database system is",
            "no pg_hba.conf entry",
        ],
    ),
    (
        Class::Permission,
        &[
            "permission denied",
            "must be owner",
            "must be superuser",
            "does not have assumerole",
            "access denied",
            "accessdenied",
            "not authorized",
            "password authentication failed",
            "insufficient privilege",
        ],
    ),
    (
        Class::Syntax,
        &[
            "syntax error",
            "unterminated",
            "not supported",
            "unsupported",
            "cannot run inside a transaction block",
            "cannot be executed from a function",
            "there is no parameter",
            "mismatched parentheses",
        ],
    ),
    (
        Class::Constraint,
        &[
            "already exists",
            "null value into column",
            "violates",
            "other objects depend on it",
            "owns some object",
            "has a privilege on some object",
            "used by a view or rule",
            "found multiple matches to update the same tuple",
            "cannot be null",
        ],
    ),
    (
        Class::DataException,
        &[
            "value too long",
            "data overflow",
            "out of range",
            "overflow",
            "divide by zero",
            "division by zero",
            "invalid digit",
            "invalid input syntax",
            "invalid input value",
            "check 'stl_load_errors'",
            "check 'sys_load_error_detail'",
            "result size exceeds listagg",
            "cannot be cast",
            "invalid date",
            "invalid timestamp",
            "multibyte character",
            "utf-8",
            "invalid byte sequence",
            "subquery used as an expression",
            "spectrum scan error",
            "error converting",
        ],
    ),
    (
        Class::UndefinedObject,
        &["does not exist", "not found", "no schema has been selected", "missing from-clause", "unknown"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_texts_have_their_class() {
        let cases = [
            ("ERROR: syntax error at or near \"selec\" Position: 1", Class::Syntax),
            ("ERROR: unterminated dollar-quoted string at or near \"$$", Class::Syntax),
            ("ERROR: VACUUM cannot run inside a transaction block", Class::Syntax),
            (
                "ERROR: relation \"nowhere\" does not exist [ErrorId: 1-65f0a1b2-0123456789abcdef01234567]",
                Class::UndefinedObject,
            ),
            ("ERROR: column \"name\" does not exist in customers", Class::UndefinedObject),
            ("ERROR: function f(integer) does not exist HINT: No function matches", Class::UndefinedObject),
            ("ERROR: database \"x\" does not exist", Class::UndefinedObject),
            ("ERROR: permission denied for relation x", Class::Permission),
            ("ERROR: must be owner of relation x", Class::Permission),
            ("User awsuser does not have ASSUMEROLE permission on IAM role \"arn\" for COPY", Class::Permission),
            ("S3ServiceException:Access Denied,Status 403,Error AccessDenied", Class::Permission),
            ("ERROR: password authentication failed for user \"x\"", Class::Permission),
            ("ERROR: Cannot insert a NULL value into column x", Class::Constraint),
            ("ERROR: null value in column \"x\" of relation \"t\" violates not-null constraint", Class::Constraint),
            ("ERROR: Relation \"x\" already exists", Class::Constraint),
            ("cannot drop table x because other objects depend on it", Class::Constraint),
            (
                "ERROR:  Value too long for character type\nDETAIL:\n  -----\n  error:  Value too long for character type\n  code:      8001\n  process: query4_35 [pid=1]",
                Class::DataException,
            ),
            ("ERROR: Numeric data overflow (result precision)", Class::DataException),
            ("ERROR: division by zero", Class::DataException),
            ("ERROR: Divide by zero", Class::DataException),
            ("ERROR: Invalid digit, Value 'a', Pos 0, Type: Integer", Class::DataException),
            ("ERROR: invalid input syntax for type integer: \"x\"", Class::DataException),
            (
                "ERROR: Load into table 'part' failed.  Check 'stl_load_errors' system table for details.",
                Class::DataException,
            ),
            ("ERROR: 1023 DETAIL: Serializable isolation violation on table - 1256109", Class::SerializationConflict),
            ("ERROR: 1018 DETAIL: Relation does not exist.", Class::SerializationConflict),
            ("Error: could not complete because of conflict with concurrent transaction", Class::SerializationConflict),
            ("ERROR: Relation with OID 15170212 does not exist", Class::SerializationConflict),
            ("ERROR: deadlock detected", Class::SerializationConflict),
            ("ERROR: could not serialize access due to concurrent update", Class::SerializationConflict),
            ("ERROR: Query (168) cancelled on user's request", Class::Cancelled),
            ("ERROR: canceling statement due to user request", Class::Cancelled),
            ("Query (12345) cancelled by WLM abort action of Query Monitoring Rule \"long\".", Class::Cancelled),
            ("ERROR: canceling statement due to statement timeout", Class::Timeout),
            ("ERROR: Disk Full\n DETAIL:\n error: Disk Full\n code: 1016\n context: node: 3", Class::DiskFull),
            ("FATAL: connection limit \"500\" exceeded for non-bootstrap users", Class::Connection),
            ("Cannot execute write query because system is in resize mode", Class::Connection),
            ("ERROR: Query aborted code: 1020 context: system requested abort", Class::Connection),
            ("FATAL: sorry, too many clients already", Class::Connection),
            ("Rate Exceeded.; Exception: TooManyRequestsException; ShouldRetry: 1", Class::Connection),
            ("ERROR: Assert code: 1000", Class::Other),
            ("", Class::Other),
        ];
        for (text, class) in cases {
            assert_eq!(Class::of(text, false), class, "{text}");
        }
        assert_eq!(Class::of("", true), Class::Cancelled);
    }
}
