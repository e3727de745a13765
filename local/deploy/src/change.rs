//! What a change set would do, and which of it a person has to agree to.

/// One resource that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `Add`, `Modify`, `Remove`, `Import`, `Dynamic`.
    pub action: String,
    /// The resource's name in its template; below a nested stack with the stack's name before it.
    pub logical: String,
    /// Its type.
    pub kind: String,
    /// `True`, `False`, `Conditional`; empty where it does not apply.
    pub replacement: String,
    /// Whether what goes stays in the account.
    pub retained: bool,
    /// The change set of a nested stack.
    pub nested: Option<String>,
}

impl Change {
    /// Whether it takes something away, or puts something else in its place.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        self.action == "Remove" || self.replacement == "True"
    }

    /// What happens to what is there, in a word.
    #[must_use]
    pub fn replaces(&self) -> &'static str {
        match (self.replacement.as_str(), self.action.as_str(), self.retained) {
            ("True", _, true) => "yes, the old one stays",
            ("True", _, false) => "yes",
            ("Conditional", ..) => "perhaps",
            (_, "Remove", true) => "stays in the account",
            _ => "",
        }
    }
}

/// Whether a change set failed only because there is nothing to change.
#[must_use]
pub fn is_empty(reason: &str) -> bool {
    ["didn't contain changes", "No updates are to be performed", "no changes"].iter().any(|sign| reason.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: &str, replacement: &str, retained: bool) -> Change {
        let (logical, kind) = ("Queue".to_owned(), "AWS::SQS::Queue".to_owned());
        Change { action: action.into(), logical, kind, replacement: replacement.into(), retained, nested: None }
    }

    #[test]
    fn what_takes_away_is_grave() {
        for (action, replacement, retained, grave, word) in [
            ("Add", "", false, false, ""),
            ("Modify", "False", false, false, ""),
            ("Modify", "Conditional", false, false, "perhaps"),
            ("Modify", "True", false, true, "yes"),
            ("Modify", "True", true, true, "yes, the old one stays"),
            ("Remove", "", false, true, ""),
            ("Remove", "", true, true, "stays in the account"),
        ] {
            let change = change(action, replacement, retained);
            assert_eq!((change.is_grave(), change.replaces()), (grave, word), "{change:?}");
        }
    }

    #[test]
    fn an_empty_change_set_is_no_failure() {
        assert!(is_empty("The submitted information didn't contain changes. Submit different information."));
        assert!(is_empty("No updates are to be performed."));
        assert!(!is_empty("Circular dependency between resources: [A, B]"));
    }
}
