//! Numbers and times as people read them.

use chrono::{DateTime, TimeDelta, Utc};

/// A whole number in groups of three.
pub(super) fn whole(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('\u{2212}');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Any number: grouped, with at most two digits after the point, or three that count where it is below one.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if size >= 1e15 || (size > 0.0 && size < 1e-4) {
        return format!("{value:.2e}").replace('-', "\u{2212}");
    }
    let text = if size >= 1.0 || size == 0.0 { format!("{size:.2}") } else { format!("{size:.4}") };
    let (before, after) = text.split_once('.').unwrap_or((&text, ""));
    let after = after.trim_end_matches('0');
    let before = whole(before.parse().unwrap_or(0));
    let sign = if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "\u{2212}" } else { "" };
    if after.is_empty() { format!("{sign}{before}") } else { format!("{sign}{before}.{after}") }
}

/// A share as a whole percentage that never says 0 or 100 where it is neither.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 1.0 => "under 1\u{a0}%".to_owned(),
        p if p > 99.0 && p < 100.0 => "over 99\u{a0}%".to_owned(),
        p => format!("{p:.0}\u{a0}%"),
    }
}

/// A time span: "850 ms", "12.3 s", "4 min 05 s", "2 h 07 min".
pub(super) fn span(delta: TimeDelta) -> String {
    let ms = delta.num_milliseconds().max(0);
    let seconds = ms / 1000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", seconds, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// "21 Nov 2026, 07:03 UTC".
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}

/// "1 row", "2 rows".
pub(super) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", whole(count.into()), if count == 1 { one } else { many })
}

/// Bytes in binary units.
pub(super) fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss)]
    let mut size = count as f64;
    if count < 1024 {
        return plural(count, "byte", "bytes");
    }
    let mut unit = "bytes";
    for next in units {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    format!("{} {unit}", number((size * 10.0).round() / 10.0))
}

/// The start of a text that is too long for its place.
pub(super) fn start(text: &str, characters: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut start: String = text.chars().take(characters.saturating_sub(1)).collect();
    start.truncate(start.trim_end().len());
    start.push('…');
    start
}

/// A name of a column or an id, as a heading: "used_percent" is "Used percent".
pub(super) fn heading(name: &str) -> String {
    let name = name.replace(['_', '-'], " ");
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (93.1, "93.1"),
            (93.104, "93.1"),
            (0.123_456, "0.1235"),
            (-1234.5, "−1,234.5"),
            (1_234_567.0, "1,234,567"),
            (999.999, "1,000"),
            (0.000_01, "1.00e−5"),
            (1e20, "1.00e20"),
        ] {
            assert_eq!(number(value), text);
        }
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "−1,234,567")] {
            assert_eq!(whole(value), text);
        }
    }

    #[test]
    fn shares_spans_and_sizes() {
        for (share, text) in [
            (0.0, "0\u{a0}%"),
            (0.004, "under 1\u{a0}%"),
            (0.25, "25\u{a0}%"),
            (0.996, "over 99\u{a0}%"),
            (1.0, "100\u{a0}%"),
        ] {
            assert_eq!(percent(share), text);
        }
        for (ms, text) in
            [(0, "0 ms"), (850, "850 ms"), (12_345, "12.3 s"), (245_000, "4 min 05 s"), (7_620_000, "2 h 07 min")]
        {
            assert_eq!(span(TimeDelta::milliseconds(ms)), text);
        }
        for (count, text) in [(1, "1 byte"), (1023, "1,023 bytes"), (1536, "1.5 KiB"), (500 << 20, "500 MiB")] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!((start("abcdef", 4), start("abc", 4)), ("abc…".into(), "abc".into()));
        assert_eq!(heading("used_percent"), "Used percent");
    }
}
