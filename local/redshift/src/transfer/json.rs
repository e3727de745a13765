//! JSON as COPY reads it: values one after another, each a row. Must never change a number on its way: the digits of the
//! file reach the column.

use super::field::Column;
use crate::dialect::transfer::JsonFormat;
use serde_json::value::RawValue;
use std::collections::HashMap;
use tokio_postgres::types::Type;

/// How a value becomes fields.
pub(super) enum Plan {
    Auto { ignore_case: bool },
    NoShred,
    Paths(Vec<Vec<Step>>),
}

/// One step of a JSONPath expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Plan {
    /// `paths`: the content of the JSONPaths file, if the format names one.
    pub(super) fn new(format: &JsonFormat, paths: Option<&[u8]>, columns: &[Column]) -> Result<Self, String> {
        match format {
            JsonFormat::Auto { ignore_case } => Ok(Self::Auto { ignore_case: *ignore_case }),
            JsonFormat::NoShred => match columns {
                [only] if only.ty == Type::JSONB => Ok(Self::NoShred),
                _ => Err("NOSHRED requires a target table with a single SUPER column".to_owned()),
            },
            JsonFormat::Paths(_) => {
                #[derive(serde::Deserialize)]
                struct File {
                    jsonpaths: Vec<String>,
                }
                let file: File = serde_json::from_slice(paths.unwrap_or_default())
                    .map_err(|error| format!("Invalid JSONPaths file: {error}"))?;
                if file.jsonpaths.len() != columns.len() {
                    return Err(format!(
                        "Number of jsonpaths and the number of columns should match. JSONPath size: {}, Number of \
                         columns in table or column list: {}",
                        file.jsonpaths.len(),
                        columns.len()
                    ));
                }
                let paths = file.jsonpaths.iter().map(|text| {
                    path(text).ok_or_else(|| {
                        format!(
                            "Invalid JSONPath format: Supported notations are 'dot-notation' and 'bracket-notation': {text}"
                        )
                    })
                });
                Ok(Self::Paths(paths.collect::<Result<_, _>>()?))
            }
        }
    }

    /// The fields of one value, in the order of the columns.
    pub(super) fn fields(&self, value: &RawValue, columns: &[Column]) -> Result<Vec<Option<String>>, &'static str> {
        match self {
            Self::NoShred => Ok(vec![Some(value.get().to_owned())]),
            Self::Auto { ignore_case } => {
                let members: HashMap<String, &RawValue> =
                    serde_json::from_str(value.get()).map_err(|_| "Invalid value: a JSON object is expected")?;
                let members: HashMap<String, &RawValue> = if *ignore_case {
                    members.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect()
                } else {
                    members
                };
                Ok(columns.iter().map(|column| members.get(&column.name).and_then(|v| text(v, column))).collect())
            }
            Self::Paths(paths) => {
                Ok(paths.iter().zip(columns).map(|(path, column)| text(at(value, path)?, column)).collect())
            }
        }
    }
}

/// A value as a field: SUPER takes it as it is, other columns a string without its quotes.
fn text(value: &RawValue, column: &Column) -> Option<String> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') if column.ty != Type::JSONB => serde_json::from_str(raw).ok(),
        Some(b'{' | b'[') => Some(compact(raw)),
        _ => Some(raw.to_owned()),
    }
}

/// JSON text without the blanks between its tokens.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in json.chars() {
        if quoted || !c.is_ascii_whitespace() {
            out.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    out
}

fn at<'a>(value: &'a RawValue, path: &[Step]) -> Option<&'a RawValue> {
    let Some((step, rest)) = path.split_first() else { return Some(value) };
    let inner: &'a RawValue = match step {
        Step::Key(key) => serde_json::from_str::<HashMap<String, &RawValue>>(value.get()).ok()?.get(key).copied()?,
        Step::Index(index) => serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(*index).copied()?,
    };
    at(inner, rest)
}

/// `$.a.b[0]`, `$['a'][0]`, or `$`.
fn path(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, more) = after.split_at(end);
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Key(name.to_owned()));
            rest = more;
            continue;
        }
        let inside = rest.strip_prefix('[')?;
        let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
        rest = match quote {
            Some(quote) => {
                let (name, more) = inside[1..].split_once(quote)?;
                steps.push(Step::Key(name.to_owned()));
                more.strip_prefix(']')?
            }
            None => {
                let (number, more) = inside.split_once(']')?;
                steps.push(Step::Index(number.trim().parse().ok()?));
                more
            }
        };
    }
    Some(steps)
}

/// The values of a file: each with its line, or the line of what is no JSON.
pub(super) struct Values<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Values<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), at: 0, line: 1 }
    }

    fn advance(&mut self, to: usize) {
        let passed = self.bytes.get(self.at..to).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = to;
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = (u64, Result<&'a RawValue, &'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let blanks = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.advance(self.at + blanks);
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return None;
        }
        let line = self.line;
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(value)) => {
                let end = self.at + values.byte_offset();
                self.advance(end);
                Some((line, Ok(value)))
            }
            // The next line may be a value again.
            _ => {
                let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
                self.advance(self.at + length);
                Some((line, Err(rest[..length].trim_ascii_end())))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn columns(types: &[(&str, Type)]) -> Vec<Column> {
        let column = |(name, ty): &(&str, Type)| Column {
            name: (*name).to_owned(),
            ty: ty.clone(),
            modifier: -1,
            not_null: false,
        };
        types.iter().map(column).collect()
    }

    #[test]
    fn values_keep_their_digits_and_their_lines() {
        let columns = columns(&[("a", Type::NUMERIC), ("b", Type::VARCHAR), ("c", Type::JSONB)]);
        let plan = Plan::new(&JsonFormat::Auto { ignore_case: false }, None, &columns).unwrap();
        let file = b"{\"a\": 12345678901234567.890, \"b\": \"x\\ny\", \"c\": \"s\"}\n\n{\"b\": {\"k\": [1, 2]},\n \"c\": {\"k\": 1.0}, \"z\": 1} {\"A\": 1, \"b\": null}\n{broken\n[1]\n{\"b\":true}";
        let read: Vec<(u64, String)> = Values::new(file)
            .map(|(line, value)| match value.map(|value| plan.fields(value, &columns)) {
                Ok(Ok(fields)) => {
                    (line, fields.iter().map(|f| f.as_deref().unwrap_or("-")).collect::<Vec<_>>().join("¦"))
                }
                Ok(Err(error)) => (line, error.to_owned()),
                Err(raw) => (line, String::from_utf8_lossy(raw).into_owned()),
            })
            .collect();
        let expected = [
            (1, "12345678901234567.890¦x\ny¦\"s\""),
            (3, "-¦{\"k\":[1,2]}¦{\"k\":1.0}"),
            (4, "-¦-¦-"),
            (5, "{broken"),
            (6, "Invalid value: a JSON object is expected"),
            (7, "-¦true¦-"),
        ];
        assert_eq!(read, expected.map(|(line, fields)| (line, fields.to_owned())));
    }

    #[test]
    fn paths_lead_into_a_value() {
        let columns = columns(&[("a", Type::VARCHAR), ("b", Type::INT4), ("c", Type::JSONB)]);
        let format =
            JsonFormat::Paths(crate::dialect::transfer::Location { bucket: String::new(), key: String::new() });
        let file = br#"{"jsonpaths": ["$.x['y z'][1]", "$[\"n\"]", "$"]}"#;
        let plan = Plan::new(&format, Some(file), &columns).unwrap();
        let value: &RawValue = serde_json::from_str(r#"{"x":{"y z":[0,"one"]},"n":7}"#).unwrap();
        let fields = plan.fields(value, &columns).unwrap();
        assert_eq!(fields, [Some("one".into()), Some("7".into()), Some(value.get().to_owned())]);
        for (file, message) in [
            (r#"{"jsonpaths": ["$.a"]}"#, "JSONPath size: 1, Number of columns in table or column list: 3"),
            (r#"{"jsonpaths": ["$.a", "a", "$"]}"#, "Invalid JSONPath format"),
            (r#"{"jsonpaths": ["$.a", "$..b", "$"]}"#, "Invalid JSONPath format"),
            ("[]", "Invalid JSONPaths file"),
        ] {
            let Err(error) = Plan::new(&format, Some(file.as_bytes()), &columns) else { panic!("{file}") };
            assert!(error.contains(message), "{file}: {error}");
        }
        assert!(Plan::new(&JsonFormat::NoShred, None, &columns).is_err());
    }
}
