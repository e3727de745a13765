//! COPY and UNLOAD as plain data: what PostgreSQL has no word for is read here and run by the crate’s module `transfer`.
//! Must never take an option without reading it: one that this stand-in does not have is refused by name. A credential in
//! the text is looked at only to see that it is there.

mod copy;
mod unload;

pub(super) use copy::read as copy;
pub(super) use unload::read as unload;

use super::Error;
use super::token::{Node, Shape};

/// What a COPY or UNLOAD says.
#[derive(Debug, Clone, PartialEq)]
pub enum Transfer {
    /// COPY.
    Copy(Box<Copy>),
    /// UNLOAD; its query is the translation's only statement.
    Unload(Box<Unload>),
}

/// An object or a prefix in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Bucket.
    pub bucket: String,
    /// Key, or the beginning of keys.
    pub key: String,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// COPY (developer guide, "COPY").
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// The table as SQL.
    pub table: String,
    /// The table's own name, for messages.
    pub name: String,
    /// The column list.
    pub columns: Option<Vec<String>>,
    /// Where to read: a prefix, or a manifest.
    pub source: Location,
    /// The source is a manifest.
    pub manifest: bool,
    /// What the files hold.
    pub format: CopyFormat,
    /// Parquet: nested values go into SUPER columns.
    pub serialize_to_json: bool,
    /// The files are compressed with gzip.
    pub gzip: bool,
    /// How fields become values.
    pub rules: Conversion,
    /// Load values of IDENTITY columns.
    pub explicit_ids: bool,
    /// The load fails with so many errors.
    pub max_error: usize,
    /// Errors never fail the load.
    pub ignore_all_errors: bool,
    /// Check the files and load nothing.
    pub no_load: bool,
}

/// The format of files to load.
#[derive(Debug, Clone, PartialEq)]
pub enum CopyFormat {
    /// Lines of fields.
    Text(TextFormat),
    /// JSON values, one after another.
    Json(JsonFormat),
    /// Apache Parquet.
    Parquet,
}

/// How lines are cut into fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFormat {
    /// Between fields.
    pub delimiter: u8,
    /// CSV: the quote character.
    pub quote: Option<u8>,
    /// A backslash takes the next character as it is.
    pub escape: bool,
    /// Quotation marks around a field are taken away.
    pub remove_quotes: bool,
    /// Lines at the start of each file that are not loaded.
    pub ignore_header: usize,
    /// Empty lines are not loaded.
    pub ignore_blank_lines: bool,
}

/// How JSON values become rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonFormat {
    /// Keys are column names.
    Auto {
        /// In any case.
        ignore_case: bool,
    },
    /// The whole value goes into the only column, a SUPER.
    NoShred,
    /// A file with a path for each column.
    Paths(Location),
}

/// Data conversion parameters of COPY.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversion {
    /// A field that is this is NULL.
    pub null_as: String,
    /// An empty string is NULL.
    pub empty_as_null: bool,
    /// A string of blanks is NULL.
    pub blanks_as_null: bool,
    /// Blanks at the end of VARCHAR are cut.
    pub trim_blanks: bool,
    /// Strings are cut to the column's length.
    pub truncate_columns: bool,
    /// Columns missing at the end of a record are empty or NULL.
    pub fill_record: bool,
    /// Dates that cannot be read are NULL.
    pub accept_any_date: bool,
    /// Stands for bytes that are not UTF-8.
    pub replace_invalid: Option<char>,
    /// Decimals are rounded, not cut, to the column's scale.
    pub round_decimals: bool,
    /// DATEFORMAT.
    pub date_format: Option<String>,
    /// TIMEFORMAT.
    pub time_format: Option<String>,
}

/// UNLOAD (developer guide, "UNLOAD").
#[derive(Debug, Clone, PartialEq)]
pub struct Unload {
    /// The beginning of the files' keys.
    pub destination: Location,
    /// What to write.
    pub format: UnloadFormat,
    /// Compress text with gzip.
    pub gzip: bool,
    /// What to do about files that are there.
    pub existing: Existing,
    /// One file for each slice, or one after another.
    pub parallel: bool,
    /// A file with more bytes is followed by another part.
    pub max_file_bytes: u64,
    /// PARTITION BY: the columns, and whether they stay in the files (INCLUDE).
    pub partition: Option<(Vec<String>, bool)>,
    /// Write a manifest, and whether with VERBOSE.
    pub manifest: Option<bool>,
    /// EXTENSION.
    pub extension: Option<String>,
}

/// The format of files to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnloadFormat {
    /// Lines of fields.
    Text {
        /// Between fields.
        delimiter: u8,
        /// CSV: quote where needed, double the quotes.
        csv: bool,
        /// Quote every field.
        add_quotes: bool,
        /// A backslash before what could be misread.
        escape: bool,
        /// What NULL is written as.
        null_as: String,
        /// The names of the columns come first.
        header: bool,
    },
    /// One JSON object a line.
    Json,
    /// Apache Parquet with Snappy.
    Parquet,
}

/// What UNLOAD does about files at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Fail.
    Refuse,
    /// ALLOWOVERWRITE.
    Overwrite,
    /// CLEANPATH.
    Delete,
}

/// The nodes of a statement, read from left to right.
struct Reader<'a> {
    nodes: &'a [Node],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Node> {
        self.nodes.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Node> {
        let node = self.nodes.get(self.at);
        self.at += 1;
        node
    }

    /// Takes the word if it comes next.
    fn word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|node| node.is(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), Error> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Error {
        match self.peek() {
            Some(node) => Error::near(&node.text),
            None => Error::syntax("syntax error at end of input"),
        }
    }

    /// A string, if one comes next.
    fn text_if(&mut self) -> Result<Option<String>, Error> {
        match self.peek() {
            Some(node) if matches!(node.shape, Shape::Text | Shape::Dollar) => {
                self.at += 1;
                literal(node).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// `[AS] 'text'`.
    fn text(&mut self) -> Result<String, Error> {
        self.word("as");
        self.text_if()?.ok_or_else(|| self.unexpected())
    }

    /// `[AS] number`, also one in quotes.
    fn number(&mut self) -> Result<f64, Error> {
        self.word("as");
        let unexpected = self.unexpected();
        let node = self.next().ok_or_else(|| unexpected.clone())?;
        let text = if node.shape == Shape::Number { node.text.clone() } else { literal(node)? };
        text.trim().parse().map_err(|_| unexpected)
    }

    fn count(&mut self, what: &str, most: f64) -> Result<usize, Error> {
        let number = self.number()?;
        if number < 0.0 || number > most || number.fract() != 0.0 {
            return Err(Error::refused(format!("Invalid value for {what}: it is a number from 0 to {most}")));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(number as usize)
    }

    /// ON, OFF and their like; ON when none of them comes.
    fn switch(&mut self) -> bool {
        let (on, off) = (["on", "true"], ["off", "false"]);
        match self.peek() {
            Some(node) if node.is_any(&on) => self.at += 1,
            Some(node) if node.is_any(&off) => {
                self.at += 1;
                return false;
            }
            _ => {}
        }
        true
    }

    /// `'x'`, one ASCII character.
    fn character(&mut self, what: &str) -> Result<u8, Error> {
        match self.text()?.as_bytes() {
            [byte] if byte.is_ascii() && *byte != 0 => Ok(*byte),
            _ => Err(Error::refused(format!("{what} must be a single ASCII character"))),
        }
    }

    /// Authorization parameters. True when one was read.
    fn authorization(&mut self) -> Result<bool, Error> {
        let Some(node) = self.peek() else { return Ok(false) };
        if node.is("iam_role") {
            self.at += 1;
            if !self.word("default") {
                role(&self.text()?)?;
            }
            return Ok(true);
        }
        let with = node.is("with") && self.nodes.get(self.at + 1).is_some_and(|next| next.is("credentials"));
        self.at += usize::from(with);
        if self.word("credentials") {
            let text = self.text()?;
            let known = |part: &str| {
                ["aws_iam_role=", "aws_access_key_id=", "aws_secret_access_key=", "token="]
                    .iter()
                    .any(|key| part.trim().starts_with(key))
            };
            if text.split(';').any(|part| part.trim().starts_with("master_symmetric_key")) {
                return Err(Error::unable("client-side encryption (master_symmetric_key)"));
            }
            if !text.split(';').all(known) {
                return Err(Error::refused("Invalid credentials string"));
            }
            return Ok(true);
        }
        // Never kept: the local S3 asks nobody who they are.
        for key in ["access_key_id", "secret_access_key", "session_token"] {
            if self.word(key) {
                self.text()?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn missing_authorization() -> Error {
    Error::refused("CREDENTIALS argument is required but it was not specified.")
}

/// One role, or a chain of roles.
fn role(text: &str) -> Result<(), Error> {
    let good = |arn: &str| {
        let mut parts = arn.trim().splitn(6, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (arn, partition, service, region, account, name) = (next(), next(), next(), next(), next(), next());
        arn == "arn"
            && partition.starts_with("aws")
            && service == "iam"
            && region.is_empty()
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && name.strip_prefix("role/").is_some_and(|name| !name.is_empty())
    };
    if text.split(',').all(good) {
        Ok(())
    } else {
        Err(Error::refused("IAM_ROLE must be default or the ARN of a role: arn:aws:iam::<account>:role/<name>"))
    }
}

/// `s3://bucket/key`.
fn location(text: &str) -> Result<Location, Error> {
    for other in ["dynamodb://", "emr://", "ssh://"] {
        if text.starts_with(other) {
            return Err(Error::unable(&format!("COPY from {other}")));
        }
    }
    let rest = text
        .strip_prefix("s3://")
        .ok_or_else(|| Error::refused("Invalid S3 path: it has the form s3://bucket/prefix"))?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(Error::refused("Invalid S3 path: it has the form s3://bucket/prefix"));
    }
    Ok(Location { bucket: bucket.to_owned(), key: key.to_owned() })
}

/// What a quoted text means: `'…'` with PostgreSQL 8.0's escapes, or `$$…$$`.
fn literal(node: &Node) -> Result<String, Error> {
    let text = node.text.as_str();
    if node.shape == Shape::Dollar {
        let tag = text[1..].find('$').map_or(0, |end| end + 2);
        return Ok(text.get(tag..text.len().saturating_sub(tag)).unwrap_or_default().to_owned());
    }
    // The statement's names pass has put an E before literals with a backslash.
    let body = text.strip_prefix(['E', 'e']).unwrap_or(text);
    let body = body
        .strip_prefix('\'')
        .and_then(|body| body.strip_suffix('\''))
        .filter(|_| node.shape == Shape::Text)
        .ok_or_else(|| Error::near(text))?;
    let mut out = String::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                // Doubled.
                chars.next();
                out.push('\'');
            }
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('b') => out.push('\u{8}'),
                Some('f') => out.push('\u{c}'),
                Some(digit @ '0'..='7') => {
                    let mut value = digit.to_digit(8).unwrap_or_default();
                    while let Some(more) = chars.peek().and_then(|c| c.to_digit(8)).filter(|_| value < 0o40) {
                        value = value * 8 + more;
                        chars.next();
                    }
                    out.push(char::from_u32(value).unwrap_or('\u{fffd}'));
                }
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    Ok(out)
}
