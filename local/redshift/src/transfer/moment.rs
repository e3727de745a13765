//! DATEFORMAT and TIMEFORMAT (developer guide, "DATEFORMAT and TIMEFORMAT strings"). `'auto'` is left to the server, which
//! reads at least as much. Must never guess: what does not match the format is no moment.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Reads a text by a format. What follows the format in the text is ignored when it is a fraction of a second.
pub(super) fn by_format(format: &str, text: &str) -> Option<NaiveDateTime> {
    let (mut year, mut month, mut day) = (None, 1, 1);
    let (mut hour, mut minute, mut second, mut nanos) = (0, 0, 0, 0);
    let mut afternoon = None;
    let mut rest = text.trim();
    let upper = format.to_ascii_uppercase();
    let mut format = upper.as_str();
    while !format.is_empty() {
        let token = ["YYYY", "YY", "MONTH", "MON", "MM", "MI", "DD", "HH24", "HH12", "HH", "SS", "AM", "PM", "OF"]
            .into_iter()
            .find(|token| format.starts_with(token));
        let Some(token) = token else {
            let expected = format.chars().next()?;
            let found = rest.chars().next()?.to_ascii_uppercase();
            if found != expected {
                return None;
            }
            rest = &rest[rest.chars().next()?.len_utf8()..];
            format = &format[expected.len_utf8()..];
            continue;
        };
        format = &format[token.len()..];
        match token {
            "YYYY" => year = Some(number(&mut rest, 4)?),
            "YY" => {
                let short = number(&mut rest, 2)?;
                year = Some(if short < 70 { 2000 + short } else { 1900 + short });
            }
            "MM" => month = number(&mut rest, 2)?,
            "DD" => day = number(&mut rest, 2)?,
            "HH24" | "HH12" | "HH" => hour = number(&mut rest, 2)?,
            "MI" => minute = number(&mut rest, 2)?,
            "SS" => {
                second = number(&mut rest, 2)?;
                if let Some(fraction) = rest.strip_prefix('.')
                    && !format.starts_with('.')
                {
                    let digits: String = fraction.chars().take_while(char::is_ascii_digit).collect();
                    rest = &fraction[digits.len()..];
                    nanos = format!("{digits:0<9}").get(..9)?.parse().ok()?;
                }
            }
            "MONTH" | "MON" => {
                let lower = rest.to_ascii_lowercase();
                let found = MONTHS.iter().position(|name| lower.starts_with(&name[..3]))?;
                let full = if lower.starts_with(MONTHS[found]) { MONTHS[found].len() } else { 3 };
                rest = &rest[full..];
                month = u32::try_from(found).ok()? + 1;
            }
            "AM" | "PM" => {
                afternoon = Some(rest.get(..2)?.eq_ignore_ascii_case("pm"));
                rest = &rest[2..];
            }
            // Offsets are the server's.
            _ => rest = "",
        }
    }
    if !rest.trim().is_empty() {
        return None;
    }
    match afternoon {
        Some(true) if hour < 12 => hour += 12,
        Some(false) if hour == 12 => hour = 0,
        _ => {}
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(year?).ok()?, month, day)?;
    date.and_hms_nano_opt(hour, minute, second, nanos)
}

fn number(rest: &mut &str, most: usize) -> Option<u32> {
    let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, after) = rest.split_at(digits);
    *rest = after;
    number.parse().ok()
}

/// `'epochsecs'` and `'epochmillisecs'`.
pub(super) fn epoch(text: &str, per_second: f64) -> Option<NaiveDateTime> {
    let seconds = text.trim().parse::<f64>().ok()? / per_second;
    #[allow(clippy::cast_possible_truncation)]
    let micros = (seconds * 1e6).round() as i64;
    DateTime::from_timestamp_micros(micros).map(|moment| moment.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_the_guide() {
        for (format, text, expected) in [
            ("YYYY-MM-DD", "2020-03-04", Some("2020-03-04 00:00:00")),
            ("MM/DD/YY", "3/4/20", Some("2020-03-04 00:00:00")),
            ("DD-MON-YYYY", "04-Mar-2020", Some("2020-03-04 00:00:00")),
            ("MONTH DD, YYYY", "march 4, 2020", Some("2020-03-04 00:00:00")),
            ("YYYY-MM-DD HH:MI:SS", "2020-03-04 05:06:07", Some("2020-03-04 05:06:07")),
            ("YYYY-MM-DD HH24:MI:SS", "2020-03-04 05:06:07.25", Some("2020-03-04 05:06:07.250")),
            ("MM.DD.YYYY HH12:MI:SS AM", "03.04.2020 12:06:07 am", Some("2020-03-04 00:06:07")),
            ("YYYY-MM-DDTHH:MI:SS", "2020-03-04T05:06:07", Some("2020-03-04 05:06:07")),
            ("YYYY-MM-DD", "2020-13-04", None),
            ("YYYY-MM-DD", "2020-03-04 05:06:07", None),
            ("YYYY-MM-DD", "hello", None),
            ("MON", "März", None),
        ] {
            let found = by_format(format, text).map(|moment| moment.to_string());
            assert_eq!(found.as_deref(), expected, "{format} {text}");
        }
        assert_eq!(epoch("1583298367.5", 1.0).map(|m| m.to_string()).as_deref(), Some("2020-03-04 05:06:07.500"));
        assert_eq!(epoch("1583298367500", 1000.0), epoch("1583298367.5", 1.0));
        assert_eq!(epoch("soon", 1.0), None);
    }
}
