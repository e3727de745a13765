//! Timestamps: ISO 8601 extended with an offset, as `Wait`, `Choice` and the context object use them.
//! Must never read a clock.

use chrono::{DateTime, SecondsFormat, Utc};

/// Milliseconds since 1970, if the text is a timestamp with date, `T`, time and an offset.
pub(crate) fn parse(text: &str) -> Option<i64> {
    // The parser also takes a space for the `T` and small letters, which Step Functions refuses.
    if text.as_bytes().get(10) != Some(&b'T') || text.ends_with('z') {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
}

/// With full precision, for comparisons.
pub(crate) fn parse_exact(text: &str) -> Option<DateTime<Utc>> {
    parse(text)?;
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// `2026-01-02T03:04:05.678Z`.
pub(crate) fn text(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Seconds with a fraction, as the JSON protocols carry time.
pub(crate) fn seconds(millis: i64) -> serde_json::Value {
    #[allow(clippy::cast_precision_loss)] // Exact for the next 285,000 years.
    serde_json::Value::from(millis as f64 / 1000.0)
}

/// `2026-01-02T03:04:05Z`, as EventBridge writes time.
pub(crate) fn text_in_seconds(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
