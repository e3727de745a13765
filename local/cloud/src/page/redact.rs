//! Takes secrets out of a text before a person sees it: task tokens, access keys, signatures, and what stands under a
//! name that says so.
//!
//! Works on text, because secrets stand in JSON, in JSON inside JSON and in plain lines. Errs on the side of showing less.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What is shown instead.
const HIDDEN: &str = "(hidden)";

/// The value of a member whose name says what it is, however often the JSON around it was made a string: the quotes
/// then have backslashes before them.
static MEMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = r"[A-Za-z0-9_-]*(?:token|password|secret|credential|authorization|signature|sealed)[A-Za-z0-9_-]*";
    Regex::new(&format!(r#"(?i)(\\*"{name}\\*"\s*:\s*\\*")[^"\\]*"#)).ok()
});

/// A token of the local Step Functions, an access key, a session's signature in a URL.
static VALUES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"QVFER[A-Za-z0-9+/]{16,}=*|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\x22\\]+").ok()
});

/// The text without secrets.
pub(super) fn redact(text: &str) -> String {
    // Both patterns are constants under test; should one not be one, nothing is shown.
    let (Some(members), Some(values)) = (&*MEMBERS, &*VALUES) else { return HIDDEN.to_owned() };
    let text = members.replace_all(text, |found: &Captures<'_>| format!("{}{HIDDEN}", &found[1]));
    let text: Cow<'_, str> = values.replace_all(&text, |found: &Captures<'_>| {
        format!("{}{HIDDEN}", found.get(1).map_or("", |name| name.as_str()))
    });
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_do_not_come_through() {
        let token = format!("QVFER{}==", "aB3/+".repeat(20));
        let inner = json!({"taskToken": token, "password": "pa ss", "sql": "select 1"});
        let outer = json!({"Payload": inner.to_string(), "callback": token, "other": {"SecretString": "hidden?"}});
        let deepest = json!({"body": outer.to_string()}).to_string();
        for text in [inner.to_string(), outer.to_string(), deepest, format!("REPORT token {token} seen")] {
            let shown = redact(&text);
            for secret in [token.as_str(), "pa ss", "hidden?", "aB3"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
        assert!(redact(&inner.to_string()).contains(r#""sql":"select 1""#));
        let url = "http://h/b/k?X-Amz-Credential=AKIAABCDEFGHIJKLMNOP%2F2026&X-Amz-Expires=60&X-Amz-Signature=abc123";
        assert_eq!(redact(url), "http://h/b/k?X-Amz-Credential=(hidden)&X-Amz-Expires=60&X-Amz-Signature=(hidden)");
        assert_eq!(redact("key ASIA0123456789ABCDEF."), "key (hidden).");
    }

    #[test]
    fn what_is_no_secret_stays_and_json_stays_json() {
        for text in ["select 'token' from t", r#"{"taskToken.$":"$$.Task.Token","rows":5}"#, "ASIA is a continent"] {
            assert_eq!(redact(text), text);
        }
        let nested = json!({"a": json!({"token": "x\"y", "b": 1}).to_string()}).to_string();
        let shown: serde_json::Value = serde_json::from_str(&redact(&nested)).unwrap();
        assert!(shown["a"].as_str().unwrap().contains("(hidden)"));
    }
}
