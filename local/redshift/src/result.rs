//! Stored results: what a statement returned, kept in the form in which it is answered, in memory while small and in a
//! temporary file otherwise. Must never hold a large result in memory, nor change a value on its way.

use crate::config::Limits;
use crate::transfer::compact;
use serde_json::{Map, Value, json};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};
use tokio_postgres::types::Type;

/// Results below this stay in memory.
const IN_MEMORY: usize = 256 * 1024;
/// A CSV answer has at most so many chunks (15 MB a call).
const CSV_CHUNKS: usize = 15;

/// ResultFormat of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Typed fields, for GetStatementResult.
    Json,
    /// Text, for GetStatementResultV2.
    Csv,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv => "CSV",
        }
    }
}

/// Which member of the union `Field` a column's cells use (Data API guide, "Data type mapping").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Boolean,
    Long,
    Double,
    Text,
    /// SUPER: JSON without blanks.
    Super,
    /// VARBYTE: text in hexadecimal digits, without PostgreSQL's `\x`.
    Hex,
}

/// A result column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    cell: Cell,
    /// ColumnMetadata as answered.
    metadata: Value,
}

/// Where a result column comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) not_null: bool,
    pub(crate) default: Option<String>,
}

impl Column {
    pub(crate) fn new(name: &str, ty: &Type, modifier: i32, origin: Option<&Origin>) -> Self {
        let shape = shape(ty, modifier);
        let mut metadata = Map::new();
        metadata.insert("isCaseSensitive".into(), json!(shape.is_text));
        metadata.insert("isCurrency".into(), json!(false));
        metadata.insert("isSigned".into(), json!(shape.is_signed));
        metadata.insert("label".into(), json!(name));
        metadata.insert("length".into(), json!(0));
        metadata.insert("name".into(), json!(name));
        metadata.insert("nullable".into(), json!(i32::from(!origin.is_some_and(|o| o.not_null))));
        metadata.insert("precision".into(), json!(shape.precision));
        metadata.insert("scale".into(), json!(shape.scale));
        metadata.insert("schemaName".into(), json!(origin.map_or("", |o| &o.schema)));
        metadata.insert("tableName".into(), json!(origin.map_or("", |o| &o.table)));
        metadata.insert("typeName".into(), json!(shape.name));
        if let Some(default) = origin.and_then(|o| o.default.as_deref()) {
            metadata.insert("columnDefault".into(), json!(default));
        }
        Self { cell: shape.cell, metadata: Value::Object(metadata) }
    }
}

/// A column as DescribeTable shows it: the driver's catalog knows its size and not, as a result does, its label, whether
/// it is signed and whether its text is case-sensitive (guide, "To describe a table", the sample answer).
pub(crate) fn described_column(name: &str, ty: &Type, modifier: i32, origin: &Origin) -> Value {
    let shape = shape(ty, modifier);
    let mut column = json!({
        "isCaseSensitive": false, "isCurrency": false, "isSigned": false, "length": shape.precision, "name": name,
        "nullable": i32::from(!origin.not_null), "precision": shape.precision, "scale": shape.scale,
        "schemaName": origin.schema, "tableName": origin.table, "typeName": shape.name,
    });
    if let Some(default) = &origin.default {
        column["columnDefault"] = json!(default);
    }
    column
}

/// What a type looks like from outside. Precision and scale follow Redshift's JDBC driver, which the service uses.
struct Shape {
    name: String,
    cell: Cell,
    precision: i32,
    scale: i32,
    is_signed: bool,
    is_text: bool,
}

fn shape(ty: &Type, modifier: i32) -> Shape {
    let number = |name: &str, cell, precision, scale| Shape {
        name: name.to_owned(),
        cell,
        precision,
        scale,
        is_signed: true,
        is_text: false,
    };
    let plain = |name: &str, cell, precision, scale| Shape {
        name: name.to_owned(),
        cell,
        precision,
        scale,
        is_signed: false,
        is_text: false,
    };
    let text = |name: &str, precision| Shape {
        name: name.to_owned(),
        cell: Cell::Text,
        precision,
        scale: 0,
        is_signed: false,
        is_text: true,
    };
    let length = |default| if modifier >= 4 { modifier - 4 } else { default };
    match *ty {
        Type::BOOL => plain("bool", Cell::Boolean, 1, 0),
        Type::INT2 => number("int2", Cell::Long, 5, 0),
        Type::INT4 => number("int4", Cell::Long, 10, 0),
        Type::INT8 => number("int8", Cell::Long, 19, 0),
        Type::OID => number("oid", Cell::Long, 10, 0),
        Type::FLOAT4 => number("float4", Cell::Double, 8, 8),
        Type::FLOAT8 => number("float8", Cell::Double, 17, 17),
        Type::NUMERIC => {
            // Modifier: precision in the upper half, scale in the lower, plus 4.
            let (precision, scale) =
                if modifier >= 4 { ((modifier - 4) >> 16, (modifier - 4) & 0x7ff) } else { (38, 0) };
            number("numeric", Cell::Text, precision, scale)
        }
        Type::VARCHAR | Type::TEXT | Type::UNKNOWN => text("varchar", length(65_535)),
        Type::BPCHAR => text("bpchar", length(1)),
        Type::NAME => text("name", 63),
        Type::CHAR => text("char", 1),
        Type::DATE => plain("date", Cell::Text, 13, 0),
        Type::TIME => plain("time", Cell::Text, 15, 6),
        Type::TIMETZ => plain("timetz", Cell::Text, 21, 6),
        Type::TIMESTAMP => plain("timestamp", Cell::Text, 29, 6),
        Type::TIMESTAMPTZ => plain("timestamptz", Cell::Text, 35, 6),
        Type::INTERVAL => plain("interval", Cell::Text, 49, 0),
        Type::BYTEA => plain("varbyte", Cell::Hex, length(65_535), 0),
        Type::JSON | Type::JSONB => Shape { cell: Cell::Super, ..text("super", 0) },
        // CALL without a result.
        Type::VOID => plain("void", Cell::Text, 0, 0),
        ref other => text(other.name(), 0),
    }
}

/// Why a result cannot be stored: texts of DescribeStatement.Error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("ERROR: packet for query is too large: a row of the result has {bytes} bytes, the limit is {limit}")]
    Row { bytes: usize, limit: usize },
    #[error("ERROR: Database response exceeded size limit: the result has more than {limit} bytes")]
    Size { limit: u64 },
    #[error("ERROR: the result could not be stored: {0}")]
    Io(#[from] std::io::Error),
}

/// A part of a result that is read at once.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    offset: u64,
    length: usize,
}

/// A result being written.
pub(crate) struct Writer {
    format: Format,
    columns: Vec<Column>,
    file: tempfile::SpooledTempFile,
    chunks: Vec<Chunk>,
    pending: Vec<u8>,
    pending_rows: usize,
    offset: u64,
    rows: i64,
    size: u64,
    result_bytes: u64,
    row_bytes: usize,
    chunk_bytes: usize,
    page_rows: usize,
}

impl Writer {
    pub(crate) fn new(format: Format, columns: Vec<Column>, limits: &Limits) -> Self {
        let mut writer = Self {
            format,
            columns,
            file: tempfile::SpooledTempFile::new(IN_MEMORY),
            chunks: Vec::new(),
            pending: Vec::new(),
            pending_rows: 0,
            offset: 0,
            rows: 0,
            size: 0,
            result_bytes: limits.result_bytes,
            row_bytes: limits.row_bytes,
            chunk_bytes: limits.chunk_bytes,
            page_rows: limits.page_rows,
        };
        if format == Format::Csv {
            let names: Vec<Option<&str>> =
                writer.columns.iter().map(|c| c.metadata.get("label").and_then(Value::as_str)).collect();
            let mut header = Vec::new();
            csv_row(&mut header, &names, &[]);
            writer.pending = header;
        }
        writer
    }

    /// Adds a row, cells as PostgreSQL prints them.
    pub(crate) fn row(&mut self, cells: &[Option<&str>]) -> Result<(), Error> {
        let bytes: usize = cells.iter().map(|cell| cell.map_or(0, str::len)).sum();
        if bytes > self.row_bytes {
            return Err(Error::Row { bytes, limit: self.row_bytes });
        }
        self.size += bytes as u64;
        if self.size > self.result_bytes {
            return Err(Error::Size { limit: self.result_bytes });
        }
        let start = self.pending.len();
        match self.format {
            Format::Json => {
                self.pending.push(b'[');
                for (column, cell) in self.columns.iter().zip(cells) {
                    if self.pending.last() != Some(&b'[') {
                        self.pending.push(b',');
                    }
                    json_field(&mut self.pending, column.cell, *cell)?;
                }
                self.pending.push(b']');
            }
            Format::Csv => csv_row(&mut self.pending, cells, &self.columns),
        }
        self.rows += 1;
        self.pending_rows += 1;
        // A chunk never grows past its limit, except for one row that is larger by itself.
        let full = match self.format {
            Format::Json => {
                self.pending.len() + self.pending_rows > self.chunk_bytes || self.pending_rows > self.page_rows
            }
            Format::Csv => self.pending.len() > self.chunk_bytes,
        };
        if full && self.pending_rows > 1 {
            let row = self.pending.split_off(start);
            self.flush()?;
            self.pending = row;
            self.pending_rows = 1;
        }
        if self.format == Format::Json {
            self.pending.push(b'\n');
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending)?;
            self.chunks.push(Chunk { offset: self.offset, length: self.pending.len() });
            self.offset += self.pending.len() as u64;
            self.pending.clear();
        }
        self.pending_rows = 0;
        Ok(())
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> i64 {
        self.rows
    }

    pub(crate) fn finish(mut self) -> Result<Stored, Error> {
        self.flush()?;
        Ok(Stored {
            format: self.format,
            metadata: self.columns.into_iter().map(|c| c.metadata).collect(),
            chunks: self.chunks,
            file: Mutex::new(self.file),
            rows: self.rows,
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
        })
    }
}

/// A finished result.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) format: Format,
    metadata: Vec<Value>,
    chunks: Vec<Chunk>,
    file: Mutex<tempfile::SpooledTempFile>,
    pub(crate) rows: i64,
    /// Bytes of the cells.
    pub(crate) size: i64,
}

impl Stored {
    /// One answer of GetStatementResult or V2, from chunk `from` on, and where the next one starts.
    pub(crate) fn page(&self, from: usize) -> Result<(Map<String, Value>, Option<usize>), std::io::Error> {
        let mut answer = Map::new();
        let until = match self.format {
            Format::Json => from + 1,
            Format::Csv => from + CSV_CHUNKS,
        }
        .min(self.chunks.len());
        let mut records = Vec::new();
        for chunk in self.chunks.get(from..until).unwrap_or_default() {
            let text = self.read(*chunk)?;
            match self.format {
                Format::Json => {
                    for line in text.lines() {
                        records.push(serde_json::from_str(line)?);
                    }
                }
                Format::Csv => records.push(json!({ "CSVRecords": text })),
            }
        }
        answer.insert("Records".into(), Value::Array(records));
        answer.insert("ColumnMetadata".into(), Value::Array(self.metadata.clone()));
        answer.insert("TotalNumRows".into(), json!(self.rows));
        Ok((answer, (until < self.chunks.len()).then_some(until)))
    }

    /// Number of chunks: what a token may name.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    fn read(&self, chunk: Chunk) -> Result<String, std::io::Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(chunk.offset))?;
        let mut bytes = vec![0; chunk.length];
        file.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(std::io::Error::other)
    }
}

fn json_field(out: &mut Vec<u8>, cell: Cell, text: Option<&str>) -> Result<(), Error> {
    let (member, value) = match (cell, text) {
        (_, None) => ("isNull", json!(true)),
        (Cell::Boolean, Some(text)) => ("booleanValue", json!(text == "t")),
        // What is no number after all (an infinite double) travels as text, as the protocol writes it.
        (Cell::Long, Some(text)) => ("longValue", text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n))),
        (Cell::Double, Some(text)) => {
            let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
            ("doubleValue", number.map_or_else(|| json!(text), |n| json!(n)))
        }
        (Cell::Text, Some(text)) => ("stringValue", json!(text)),
        (Cell::Super, Some(text)) => ("stringValue", json!(compact(text))),
        (Cell::Hex, Some(text)) => ("stringValue", json!(text.strip_prefix("\\x").unwrap_or(text))),
    };
    write!(out, "{{\"{member}\":")?;
    serde_json::to_writer(&mut *out, &value).map_err(std::io::Error::from)?;
    out.push(b'}');
    Ok(())
}

/// RFC 4180 with `\r\n`; NULL is an empty field, an empty string is `""`, so that the two stay apart.
fn csv_row(out: &mut Vec<u8>, cells: &[Option<&str>], columns: &[Column]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let Some(text) = cell else { continue };
        let compacted;
        let text = match columns.get(index).map(|c| c.cell) {
            Some(Cell::Boolean) => {
                if *text == "t" {
                    "true"
                } else {
                    "false"
                }
            }
            Some(Cell::Hex) => text.strip_prefix("\\x").unwrap_or(text),
            Some(Cell::Super) => {
                compacted = compact(text);
                &compacted
            }
            _ => text,
        };
        if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
            out.push(b'"');
            out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}
