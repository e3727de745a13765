//! One field to one value, as COPY converts it; errors with the codes of the developer guide ("Load error reference").
//! Must never let a value through that Redshift would have refused for its type; what only the server can tell is left
//! to the server.

use super::moment;
use crate::dialect::transfer::Conversion;
use std::borrow::Cow;
use tokio_postgres::types::Type;

/// A column to load.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// PostgreSQL's type modifier: length plus 4, or precision and scale.
    pub(crate) modifier: i32,
    pub(crate) not_null: bool,
}

impl Column {
    /// As `stl_load_errors` names the type.
    pub(super) fn type_name(&self) -> &str {
        match self.ty {
            Type::BPCHAR => "char",
            Type::JSONB => "super",
            ref other => other.name(),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.ty, Type::VARCHAR | Type::TEXT | Type::BPCHAR)
    }

    /// Longest value in bytes, of a string type.
    pub(super) fn length(&self) -> Option<usize> {
        (self.is_text() && self.modifier >= 4).then(|| usize::try_from(self.modifier - 4).unwrap_or_default())
    }

    /// Precision and scale of a DECIMAL.
    pub(super) fn decimal(&self) -> Option<(u32, u32)> {
        let bits = u32::try_from(self.modifier - 4).ok().filter(|_| self.ty == Type::NUMERIC && self.modifier >= 4)?;
        Some((bits >> 16, bits & 0x7ff))
    }
}

/// Why a field is not a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) code: i32,
    pub(super) reason: String,
    /// Place of the offending character in the field.
    pub(super) position: usize,
}

fn bad(code: i32, reason: impl Into<String>) -> Bad {
    Bad { code, reason: reason.into(), position: 0 }
}

/// What to store in the column; `None` is NULL.
pub(super) fn convert<'a>(
    field: Option<&'a str>,
    column: &Column,
    rules: &Conversion,
) -> Result<Option<Cow<'a, str>>, Bad> {
    let value = match field {
        None => None,
        Some(text) if text == rules.null_as => None,
        Some(text) if column.is_text() => string(text, column, rules)?,
        // Blank fields of other types are NULL.
        Some(text) if text.trim().is_empty() => None,
        Some(text) => other(text, column, rules)?,
    };
    if value.is_none() && column.not_null {
        return Err(bad(1213, "Missing data for not-null field"));
    }
    Ok(value)
}

fn string<'a>(text: &'a str, column: &Column, rules: &Conversion) -> Result<Option<Cow<'a, str>>, Bad> {
    if text.is_empty() && rules.empty_as_null {
        return Ok(None);
    }
    if rules.blanks_as_null && !text.is_empty() && text.trim().is_empty() {
        return Ok(None);
    }
    let mut text = Cow::Borrowed(text);
    if rules.trim_blanks && column.ty != Type::BPCHAR {
        text = Cow::Owned(text.trim_end_matches(' ').to_owned());
    }
    if column.ty == Type::BPCHAR
        && let Some((position, c)) = text.char_indices().find(|(_, c)| !c.is_ascii())
    {
        let mut bytes = [0; 4];
        let hex: Vec<String> = c.encode_utf8(&mut bytes).bytes().map(|byte| format!("{byte:02x}")).collect();
        let reason = format!(
            "Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid char: {}",
            hex.join(" ")
        );
        return Err(Bad { code: 1220, reason, position });
    }
    if let Some(position) = text.find('\0') {
        let reason = "String contains invalid or unsupported UTF-8 codepoints. Bad UTF-8 hex sequence: 00 (error 3)";
        return Err(Bad { position, ..bad(1220, reason) });
    }
    if let Some(length) = column.length().filter(|length| text.len() > *length) {
        if !rules.truncate_columns {
            return Err(bad(1204, "String length exceeds DDL length"));
        }
        let cut = (0..=length).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text = Cow::Owned(text[..cut].to_owned());
    }
    Ok(Some(text))
}

fn other<'a>(text: &'a str, column: &Column, rules: &Conversion) -> Result<Option<Cow<'a, str>>, Bad> {
    let trimmed = text.trim();
    let made = match column.ty {
        Type::INT2 => integer(trimmed, "Short", i64::from(i16::MIN), i64::from(i16::MAX))?,
        Type::INT4 => integer(trimmed, "Integer", i64::from(i32::MIN), i64::from(i32::MAX))?,
        Type::INT8 => integer(trimmed, "Long", i64::MIN, i64::MAX)?,
        Type::NUMERIC => decimal(trimmed, column, rules.round_decimals)?,
        Type::FLOAT4 | Type::FLOAT8 => {
            if trimmed.parse::<f64>().is_err() {
                let kind = if column.ty == Type::FLOAT4 { "Float" } else { "Double" };
                return Err(digit(1208, trimmed, |_, c| "0123456789+-.eE".contains(c), kind));
            }
            trimmed.to_owned()
        }
        Type::BOOL => match trimmed.to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "1" => "t".to_owned(),
            "f" | "false" | "n" | "no" | "0" => "f".to_owned(),
            _ => return Err(bad(1210, "Unknown boolean format")),
        },
        Type::DATE => match date(trimmed, rules.date_format.as_deref()) {
            Err(_) if rules.accept_any_date => return Ok(None),
            found => found?,
        },
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let zoned = column.ty == Type::TIMESTAMPTZ;
            match timestamp(trimmed, rules.time_format.as_deref(), zoned) {
                Err(_) if rules.accept_any_date => return Ok(None),
                found => found?,
            }
        }
        Type::JSONB => {
            if serde_json::from_str::<serde::de::IgnoredAny>(trimmed).is_err() {
                return Err(bad(1224, "Invalid JSON value for SUPER"));
            }
            trimmed.to_owned()
        }
        // TIME, INTERVAL, VARBYTE: the server reads them.
        _ => return Ok(Some(Cow::Borrowed(text))),
    };
    Ok(Some(Cow::Owned(made)))
}

/// The first character that a number of this kind cannot have.
fn digit(code: i32, text: &str, good: impl Fn(usize, char) -> bool, kind: &str) -> Bad {
    let (position, value) = text.char_indices().find(|(at, c)| !good(*at, *c)).unwrap_or_default();
    Bad { code, reason: format!("Invalid digit, Value '{value}', Pos {position}, Type: {kind}"), position }
}

fn integer(text: &str, kind: &str, least: i64, most: i64) -> Result<String, Bad> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return Err(digit(1207, text, |at, c| c.is_ascii_digit() || at == 0 && "+-".contains(c), kind));
    }
    match text.parse::<i64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
        _ => Err(bad(1222, format!("Overflow, ({kind} valid range {least} to {most})"))),
    }
}

/// Cut or rounded to the column's scale.
fn decimal(text: &str, column: &Column, round: bool) -> Result<String, Bad> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    // JSON and Parquet writers use exponents; the server knows what they mean.
    if digits.contains(['e', 'E']) && digits.parse::<f64>().is_ok() {
        return Ok(text.to_owned());
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !number(whole) || !number(fraction) {
        let good = |at: usize, c: char| c.is_ascii_digit() || c == '.' || at == 0 && "+-".contains(c);
        return Err(digit(1207, text, good, "Decimal"));
    }
    let Some((precision, scale)) = column.decimal() else { return Ok(text.to_owned()) };
    if whole.trim_start_matches('0').len() > precision.saturating_sub(scale) as usize {
        return Err(bad(1204, format!("Overflow for NUMERIC({precision},{scale})")));
    }
    let cut = if round { fraction } else { fraction.get(..scale as usize).unwrap_or(fraction) };
    Ok(format!("{sign}{whole}.{cut}0"))
}

fn date(text: &str, format: Option<&str>) -> Result<String, Bad> {
    let invalid = || bad(1205, "Invalid Date Format - length must be 10 or more");
    match format {
        Some("auto") => Ok(text.to_owned()),
        Some(format) => {
            let moment = moment::by_format(format, text)
                .ok_or_else(|| bad(1205, format!("Invalid Date Format - expected {format}")))?;
            Ok(moment.date().to_string())
        }
        // A time behind the date is not looked at.
        None => {
            let date = text.get(..10).ok_or_else(invalid)?;
            Ok(moment::by_format("YYYY-MM-DD", date).ok_or_else(invalid)?.date().to_string())
        }
    }
}

fn timestamp(text: &str, format: Option<&str>, zoned: bool) -> Result<String, Bad> {
    let invalid = |shown: &str| bad(1206, format!("Invalid timestamp format or value [{shown}]"));
    let given = match format {
        Some("auto") => return Ok(text.to_owned()),
        Some("epochsecs") => Some(("epochsecs", moment::epoch(text, 1.0))),
        Some("epochmillisecs") => Some(("epochmillisecs", moment::epoch(text, 1000.0))),
        Some(format) => Some((format, moment::by_format(format, text))),
        None => None,
    };
    if let Some((format, moment)) = given {
        let moment = moment.ok_or_else(|| invalid(format))?.to_string();
        return Ok(if zoned && format.starts_with("epoch") { moment + "+00" } else { moment });
    }
    let shown = if zoned { "YYYY-MM-DD HH24:MI:SSOF" } else { "YYYY-MM-DD HH24:MI:SS" };
    let head = text.get(..19).or_else(|| text.get(..10).filter(|date| date.len() == text.len()));
    let head = head.ok_or_else(|| invalid(shown))?;
    let format = if head.len() == 10 { "YYYY-MM-DD" } else { "YYYY-MM-DD HH24:MI:SS" };
    moment::by_format(format, head).ok_or_else(|| invalid(shown))?;
    let fraction = |rest: &str| rest.is_empty() || rest.starts_with('.');
    if !zoned && !fraction(&text[head.len()..]) {
        return Err(invalid(shown));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(ty: Type, modifier: i32) -> Column {
        Column { name: "c".into(), ty, modifier, not_null: false }
    }

    fn converted(text: &str, column: &Column, rules: &Conversion) -> String {
        match convert(Some(text), column, rules) {
            Ok(Some(value)) => value.into_owned(),
            Ok(None) => "NULL".to_owned(),
            Err(bad) => format!("{} {} @{}", bad.code, bad.reason, bad.position),
        }
    }

    #[test]
    fn fields_become_values_or_errors_with_redshifts_codes() {
        let rules = Conversion { null_as: "\\N".into(), ..Conversion::default() };
        let varchar = column(Type::VARCHAR, 4 + 3);
        let numeric = column(Type::NUMERIC, (5 << 16 | 2) + 4);
        for (text, column, expected) in [
            ("\\N", &varchar, "NULL"),
            ("", &varchar, ""),
            ("abc", &varchar, "abc"),
            ("abcd", &varchar, "1204 String length exceeds DDL length @0"),
            ("åå", &varchar, "1204 String length exceeds DDL length @0"),
            (
                "aé",
                &column(Type::BPCHAR, 9),
                "1220 Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid char: c3 a9 @1",
            ),
            ("", &column(Type::INT4, -1), "NULL"),
            ("  ", &column(Type::INT4, -1), "NULL"),
            (" 12 ", &column(Type::INT4, -1), "12"),
            ("-7", &column(Type::INT2, -1), "-7"),
            ("1x", &column(Type::INT4, -1), "1207 Invalid digit, Value 'x', Pos 1, Type: Integer @1"),
            ("1.5", &column(Type::INT8, -1), "1207 Invalid digit, Value '.', Pos 1, Type: Long @1"),
            ("40000", &column(Type::INT2, -1), "1222 Overflow, (Short valid range -32768 to 32767) @0"),
            ("20.259", &numeric, "20.250"),
            ("-.5", &numeric, "-.50"),
            ("1234.5", &numeric, "1204 Overflow for NUMERIC(5,2) @0"),
            ("1,5", &numeric, "1207 Invalid digit, Value ',', Pos 1, Type: Decimal @1"),
            ("1e2", &numeric, "1e2"),
            ("1.5e3", &column(Type::FLOAT8, -1), "1.5e3"),
            ("x", &column(Type::FLOAT8, -1), "1208 Invalid digit, Value 'x', Pos 0, Type: Double @0"),
            ("Yes", &column(Type::BOOL, -1), "t"),
            ("0", &column(Type::BOOL, -1), "f"),
            ("maybe", &column(Type::BOOL, -1), "1210 Unknown boolean format @0"),
            ("2020-01-02", &column(Type::DATE, -1), "2020-01-02"),
            ("2020-01-02 03:04:05", &column(Type::DATE, -1), "2020-01-02"),
            ("2020-1-2", &column(Type::DATE, -1), "1205 Invalid Date Format - length must be 10 or more @0"),
            ("2020-01-02 03:04:05.5", &column(Type::TIMESTAMP, -1), "2020-01-02 03:04:05.5"),
            ("2020-01-02", &column(Type::TIMESTAMP, -1), "2020-01-02"),
            (
                "2020-01-02T03:04:05",
                &column(Type::TIMESTAMP, -1),
                "1206 Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS] @0",
            ),
            ("2020-01-02 03:04:05+02", &column(Type::TIMESTAMPTZ, -1), "2020-01-02 03:04:05+02"),
            ("{\"a\": 1}", &column(Type::JSONB, -1), "{\"a\": 1}"),
            ("{a}", &column(Type::JSONB, -1), "1224 Invalid JSON value for SUPER @0"),
        ] {
            assert_eq!(converted(text, column, &rules), expected, "{text} as {}", column.ty);
        }
    }

    #[test]
    fn conversion_parameters() {
        let plain = Conversion { null_as: "\\N".into(), ..Conversion::default() };
        let (varchar, date) = (column(Type::VARCHAR, 4 + 3), column(Type::DATE, -1));
        let stamp = column(Type::TIMESTAMP, -1);
        let numeric = column(Type::NUMERIC, (5 << 16 | 2) + 4);
        let with = |change: fn(&mut Conversion)| {
            let mut rules = plain.clone();
            change(&mut rules);
            rules
        };
        for (text, column, rules, expected) in [
            ("", &varchar, with(|r| r.empty_as_null = true), "NULL"),
            ("  ", &varchar, with(|r| r.blanks_as_null = true), "NULL"),
            ("a  ", &varchar, with(|r| r.trim_blanks = true), "a"),
            ("aåå", &varchar, with(|r| r.truncate_columns = true), "aå"),
            ("-", &varchar, with(|r| r.null_as = "-".into()), "NULL"),
            ("20.259", &numeric, with(|r| r.round_decimals = true), "20.2590"),
            ("never", &date, with(|r| r.accept_any_date = true), "NULL"),
            ("02.01.2020", &date, with(|r| r.date_format = Some("DD.MM.YYYY".into())), "2020-01-02"),
            ("Jan 2, 2020", &date, with(|r| r.date_format = Some("auto".into())), "Jan 2, 2020"),
            ("0", &stamp, with(|r| r.time_format = Some("epochsecs".into())), "1970-01-01 00:00:00"),
            ("1500", &stamp, with(|r| r.time_format = Some("epochmillisecs".into())), "1970-01-01 00:00:01.500"),
        ] {
            assert_eq!(converted(text, column, &rules), expected, "{text}");
        }
        let required = Column { not_null: true, ..varchar };
        assert_eq!(convert(None, &required, &plain).map_err(|bad| bad.code), Err(1213));
    }
}
