//! Lines of fields: delimited text and CSV, as COPY reads them. Must never lose a record: what cannot be cut into fields
//! is reported with its line.

use crate::dialect::transfer::TextFormat;

/// One record, or what is wrong with it.
pub(super) struct Record<'a> {
    /// Line of the file on which it begins, from 1.
    pub(super) line: u64,
    /// The record as it stands in the file.
    pub(super) raw: &'a [u8],
    pub(super) fields: Result<Vec<Vec<u8>>, Unreadable>,
}

/// Why a record has no fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) code: i32,
    pub(super) reason: &'static str,
}

/// The records of a file.
pub(super) struct Records<'a> {
    format: &'a TextFormat,
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Records<'a> {
    pub(super) fn new(format: &'a TextFormat, bytes: &'a [u8]) -> Self {
        // A byte order mark is no data.
        let at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut records = Self { format, bytes, at, line: 1 };
        for _ in 0..format.ignore_header {
            records.skip_line();
        }
        records
    }

    fn skip_line(&mut self) {
        let end = self.bytes[self.at..].iter().position(|byte| *byte == b'\n');
        self.at = end.map_or(self.bytes.len(), |end| self.at + end + 1);
        self.line += 1;
    }

    /// Reads fields up to the end of the record; `at` is behind it afterwards.
    fn fields(&mut self) -> Result<Vec<Vec<u8>>, Unreadable> {
        let mut fields = Vec::new();
        loop {
            let mut field = Vec::new();
            let last = self.field(&mut field)?;
            fields.push(field);
            if last {
                return Ok(fields);
            }
        }
    }

    /// One field. True when the record ends with it.
    fn field(&mut self, field: &mut Vec<u8>) -> Result<bool, Unreadable> {
        let first = self.bytes.get(self.at).copied();
        let quote = match self.format.quote {
            Some(quote) => first.filter(|byte| *byte == quote),
            None => first.filter(|byte| self.format.remove_quotes && (*byte == b'"' || *byte == b'\'')),
        };
        if let Some(quote) = quote {
            self.at += 1;
            self.quoted(quote, field)?;
        }
        // A carriage return before the line's end is part of it, unless it is escaped.
        let mut ends_line = false;
        loop {
            let Some(byte) = self.bytes.get(self.at).copied() else { return Ok(true) };
            self.at += 1;
            match byte {
                b'\n' => {
                    self.line += 1;
                    if ends_line {
                        field.pop();
                    }
                    return Ok(true);
                }
                b'\r' if quote.is_some() && self.bytes.get(self.at) == Some(&b'\n') => {}
                byte if byte == self.format.delimiter => return Ok(false),
                _ if quote.is_some() => {
                    return Err(match self.format.quote {
                        Some(_) => Unreadable { code: 1216, reason: "Invalid quote formatting for CSV" },
                        None => Unreadable { code: 1214, reason: "Delimiter not found" },
                    });
                }
                b'\\' if self.format.escape => {
                    self.escaped(field);
                    ends_line = false;
                    continue;
                }
                byte => field.push(byte),
            }
            ends_line = byte == b'\r' && quote.is_none();
        }
    }

    fn escaped(&mut self, field: &mut Vec<u8>) {
        match self.bytes.get(self.at) {
            // A field `\N` is the null string and not an escaped N.
            Some(b'N') if field.is_empty() && self.ends_after(self.at + 1) => field.extend_from_slice(b"\\N"),
            Some(next) => {
                self.line += u64::from(*next == b'\n');
                field.push(*next);
            }
            None => {}
        }
        self.at += 1;
    }

    fn ends_after(&self, at: usize) -> bool {
        self.bytes.get(at).is_none_or(|byte| *byte == self.format.delimiter || matches!(byte, b'\n' | b'\r'))
    }

    /// What stands between quotes: in CSV a doubled quote is one.
    fn quoted(&mut self, quote: u8, field: &mut Vec<u8>) -> Result<(), Unreadable> {
        while let Some(byte) = self.bytes.get(self.at).copied() {
            self.at += 1;
            match byte {
                byte if byte == quote => {
                    if self.format.quote.is_none() || self.bytes.get(self.at) != Some(&quote) {
                        return Ok(());
                    }
                    self.at += 1;
                    field.push(quote);
                }
                b'\\' if self.format.escape => self.escaped(field),
                byte => {
                    self.line += u64::from(byte == b'\n');
                    field.push(byte);
                }
            }
        }
        Err(Unreadable { code: 1214, reason: "Delimited value missing end quote" })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (start, line) = (self.at, self.line);
            if start >= self.bytes.len() {
                return None;
            }
            let fields = self.fields();
            if fields.is_err() {
                // Go on with the next line of the file, not within this one.
                (self.at, self.line) = (start, line);
                self.skip_line();
            }
            let raw = self.bytes.get(start..self.at).unwrap_or_default().trim_ascii_end();
            if self.format.ignore_blank_lines && raw.is_empty() {
                continue;
            }
            return Some(Record { line, raw, fields });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(delimiter: u8, quote: Option<u8>, change: fn(&mut TextFormat)) -> TextFormat {
        let mut format = TextFormat {
            delimiter,
            quote,
            escape: false,
            remove_quotes: false,
            ignore_header: 0,
            ignore_blank_lines: false,
        };
        change(&mut format);
        format
    }

    fn read(format: &TextFormat, text: &str) -> Vec<(u64, String)> {
        Records::new(format, text.as_bytes())
            .map(|record| {
                let fields = match record.fields {
                    Ok(fields) => {
                        let fields: Vec<String> =
                            fields.into_iter().map(|field| String::from_utf8_lossy(&field).into_owned()).collect();
                        fields.join("¦")
                    }
                    Err(error) => format!("{}", error.code),
                };
                (record.line, fields)
            })
            .collect()
    }

    #[test]
    fn lines_become_fields() {
        let pipe = format(b'|', None, |_| {});
        let csv = format(b',', Some(b'"'), |_| {});
        let escape = format(b'|', None, |f| f.escape = true);
        let unquote = format(b',', None, |f| f.remove_quotes = true);
        let header = format(b',', Some(b'"'), |f| {
            f.ignore_header = 1;
            f.ignore_blank_lines = true;
        });
        type Case<'a> = (&'a TextFormat, &'a str, &'a [(u64, &'a str)]);
        let cases: [Case<'_>; 12] = [
            (&pipe, "a|b\nc|d\n", &[(1, "a¦b"), (2, "c¦d")]),
            (&pipe, "a||\r\n\n\"q\"|\\|", &[(1, "a¦¦"), (2, ""), (3, "\"q\"¦\\¦")]),
            (&pipe, "", &[]),
            (&csv, "a,\"b,c\"\n", &[(1, "a¦b,c")]),
            (&csv, "\"x \"\"y\"\" z\",\"\"\r\n1,2", &[(1, "x \"y\" z¦"), (2, "1¦2")]),
            (&csv, "\"two\nlines\",1\nnext,2\n", &[(1, "two\nlines¦1"), (3, "next¦2")]),
            (&csv, "\"a\"b,1\nnext,2\n", &[(1, "1216"), (2, "next¦2")]),
            (&csv, "\"open,1\nnext,2\n", &[(1, "1214"), (2, "next¦2")]),
            (&escape, "a\\|b|c\\\nd|\\\\|\\N\n", &[(1, "a|b¦c\nd¦\\¦\\N")]),
            (&unquote, "'a,b',\"c\",d'e\n", &[(1, "a,b¦c¦d'e")]),
            (&header, "name,n\n\nx,1\n\n", &[(3, "x¦1")]),
            (&csv, "\u{feff}a,b", &[(1, "a¦b")]),
        ];
        for (format, text, expected) in cases {
            let expected: Vec<(u64, String)> = expected.iter().map(|(line, f)| (*line, (*f).to_owned())).collect();
            assert_eq!(read(format, text), expected, "{text:?}");
        }
    }
}
