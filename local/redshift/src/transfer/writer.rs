//! One file of an UNLOAD: rows in, bytes out, as text, CSV, JSON or Parquet. Must never write a value that reads back as
//! another one, except where Redshift does.

use super::field::Column;
use super::json::compact;
use crate::dialect::transfer::UnloadFormat;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type as Node;
use std::io::Write;
use std::sync::Arc;
use tokio_postgres::types::Type;

/// Row groups of a Parquet file (guide, "UNLOAD", ROWGROUPSIZE).
const ROW_GROUP: usize = 32 * 1024 * 1024;
/// Bytes of a DECIMAL in Parquet: 38 digits.
const DECIMAL_BYTES: usize = 16;

/// A file being written.
pub(super) enum File {
    /// Anything made of lines.
    Lines { bytes: Vec<u8>, rows: u64 },
    /// Boxed: the writer is large.
    Parquet(Box<ParquetFile>),
}

/// A Parquet file: the writer and the row group that is collected.
pub(super) struct ParquetFile {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Values>,
    rows: u64,
    pending: usize,
}

impl File {
    /// An empty file, with its header line if it has one.
    pub(super) fn new(format: &UnloadFormat, columns: &[Column]) -> Result<Self, String> {
        if *format == UnloadFormat::Parquet {
            return Ok(Self::Parquet(Box::new(ParquetFile::new(columns)?)));
        }
        let mut file = Self::Lines { bytes: Vec::new(), rows: 0 };
        if matches!(format, UnloadFormat::Text { header: true, .. }) {
            let names: Vec<Option<&str>> = columns.iter().map(|column| Some(column.name.as_str())).collect();
            let texts: Vec<Column> = columns.iter().map(|c| Column { ty: Type::VARCHAR, ..c.clone() }).collect();
            // The header line counts as a row where a manifest counts rows.
            file.row(format, &texts, &names)?;
        }
        Ok(file)
    }

    /// Bytes so far; of Parquet what the values come to.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Lines { bytes, .. } => bytes.len() as u64,
            Self::Parquet(file) => (file.writer.bytes_written() + file.pending) as u64,
        }
    }

    pub(super) fn rows(&self) -> u64 {
        match self {
            Self::Lines { rows, .. } => *rows,
            Self::Parquet(file) => file.rows,
        }
    }

    /// Adds a row, cells as PostgreSQL prints them.
    pub(super) fn row(
        &mut self,
        format: &UnloadFormat,
        columns: &[Column],
        cells: &[Option<&str>],
    ) -> Result<(), String> {
        match (self, format) {
            (Self::Parquet(file), _) => file.row(columns, cells),
            (Self::Lines { bytes, rows }, UnloadFormat::Json) => {
                *rows += 1;
                json_line(bytes, columns, cells).map_err(|error| error.to_string())
            }
            (Self::Lines { bytes, rows }, format) => {
                *rows += 1;
                text_line(bytes, format, columns, cells);
                Ok(())
            }
        }
    }

    /// The whole file.
    pub(super) fn finish(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Lines { bytes, .. } => Ok(bytes),
            Self::Parquet(file) => file.finish().map_err(|error| error.to_string()),
        }
    }
}

/// As files have it: SUPER without blanks, VARBYTE without PostgreSQL's prefix.
fn shown<'a>(column: &Column, cell: &'a str) -> std::borrow::Cow<'a, str> {
    match column.ty {
        Type::JSONB => compact(cell).into(),
        Type::BYTEA => cell.strip_prefix("\\x").unwrap_or(cell).into(),
        _ => cell.into(),
    }
}

fn text_line(out: &mut Vec<u8>, format: &UnloadFormat, columns: &[Column], cells: &[Option<&str>]) {
    let UnloadFormat::Text { delimiter, csv, add_quotes, escape, null_as, .. } = format else { return };
    for (index, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if index > 0 {
            out.push(*delimiter);
        }
        let Some(cell) = cell else {
            out.extend_from_slice(null_as.as_bytes());
            continue;
        };
        let text = shown(column, cell);
        let special = |byte: u8| byte == *delimiter || matches!(byte, b'"' | b'\n' | b'\r');
        if *csv {
            if text.bytes().any(special) {
                out.push(b'"');
                out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
                out.push(b'"');
            } else {
                out.extend_from_slice(text.as_bytes());
            }
            continue;
        }
        if *add_quotes {
            out.push(b'"');
        }
        for byte in text.bytes() {
            let escaped = byte == *delimiter || matches!(byte, b'\\' | b'\n' | b'\r');
            if *escape && column.is_text() && (escaped || *add_quotes && matches!(byte, b'"' | b'\'')) {
                out.push(b'\\');
            }
            out.push(byte);
        }
        if *add_quotes {
            out.push(b'"');
        }
    }
    out.push(b'\n');
}

/// Booleans are `t` or `f`, NULL is `null` (guide, "UNLOAD", JSON).
fn json_line(out: &mut Vec<u8>, columns: &[Column], cells: &[Option<&str>]) -> Result<(), std::io::Error> {
    out.push(b'{');
    for (index, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &column.name)?;
        out.push(b':');
        let Some(cell) = cell else {
            out.extend_from_slice(b"null");
            continue;
        };
        let number = match column.ty {
            Type::INT2 | Type::INT4 | Type::INT8 | Type::NUMERIC => true,
            Type::FLOAT4 | Type::FLOAT8 => cell.parse::<f64>().is_ok_and(f64::is_finite),
            _ => false,
        };
        if number || column.ty == Type::JSONB {
            out.extend_from_slice(shown(column, cell).as_bytes());
        } else {
            serde_json::to_writer(&mut *out, &*shown(column, cell))?;
        }
    }
    out.write_all(b"}\n")
}

/// The values of one column of a row group, and whether each row has one.
struct Values {
    data: Data,
    levels: Vec<i16>,
}

enum Data {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Decimal(Vec<FixedLenByteArray>),
}

/// How a column is stored in Parquet.
fn node(column: &Column) -> Result<(Node, Data), String> {
    let name = column.name.as_str();
    let of = |physical| Node::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    let (builder, data) = match column.ty {
        Type::BOOL => (of(Physical::BOOLEAN), Data::Bool(Vec::new())),
        Type::INT2 => (of(Physical::INT32).with_converted_type(ConvertedType::INT_16), Data::Int32(Vec::new())),
        Type::INT4 => (of(Physical::INT32), Data::Int32(Vec::new())),
        Type::INT8 => (of(Physical::INT64), Data::Int64(Vec::new())),
        Type::FLOAT4 => (of(Physical::FLOAT), Data::Float(Vec::new())),
        Type::FLOAT8 => (of(Physical::DOUBLE), Data::Double(Vec::new())),
        Type::NUMERIC => {
            let (precision, scale) = column.decimal().unwrap_or((38, 0));
            let builder = of(Physical::FIXED_LEN_BYTE_ARRAY)
                .with_length(DECIMAL_BYTES as i32)
                .with_converted_type(ConvertedType::DECIMAL)
                .with_precision(precision as i32)
                .with_scale(scale as i32);
            (builder, Data::Decimal(Vec::new()))
        }
        Type::DATE => (of(Physical::INT32).with_converted_type(ConvertedType::DATE), Data::Int32(Vec::new())),
        // The zone is not unloaded.
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let logical = LogicalType::timestamp(false, TimeUnit::MICROS);
            (of(Physical::INT64).with_logical_type(Some(logical)), Data::Int64(Vec::new()))
        }
        Type::VARCHAR | Type::TEXT | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            (of(Physical::BYTE_ARRAY).with_converted_type(ConvertedType::UTF8), Data::Bytes(Vec::new()))
        }
        Type::JSONB => (of(Physical::BYTE_ARRAY).with_converted_type(ConvertedType::JSON), Data::Bytes(Vec::new())),
        Type::BYTEA => return Err(format!("column \"{name}\": VARBYTE can only be unloaded to text or CSV format")),
        ref other => {
            return Err(format!(
                "UNLOAD of type {} to PARQUET is not supported by the local Redshift stand-in (column \"{name}\")",
                other.name().to_uppercase()
            ));
        }
    };
    Ok((builder.build().map_err(|error| error.to_string())?, data))
}

impl ParquetFile {
    fn new(columns: &[Column]) -> Result<Self, String> {
        let mut nodes = Vec::with_capacity(columns.len());
        let mut values = Vec::with_capacity(columns.len());
        for column in columns {
            let (node, data) = node(column)?;
            nodes.push(Arc::new(node));
            values.push(Values { data, levels: Vec::new() });
        }
        let open = || -> Result<SerializedFileWriter<Vec<u8>>, ParquetError> {
            let schema = Node::group_type_builder("schema").with_fields(nodes).build()?;
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))
        };
        Ok(Self { writer: open().map_err(|error| error.to_string())?, columns: values, rows: 0, pending: 0 })
    }

    fn row(&mut self, columns: &[Column], cells: &[Option<&str>]) -> Result<(), String> {
        for ((values, column), cell) in self.columns.iter_mut().zip(columns).zip(cells) {
            values.levels.push(i16::from(cell.is_some()));
            let Some(cell) = cell else { continue };
            self.pending += cell.len() + 4;
            push(&mut values.data, column, cell)
                .ok_or_else(|| format!("column \"{}\": a value that Parquet cannot hold", column.name))?;
        }
        self.rows += 1;
        if self.pending > ROW_GROUP {
            self.flush().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.columns.first().is_none_or(|values| values.levels.is_empty()) {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let mut columns = self.columns.iter_mut();
        while let (Some(mut writer), Some(values)) = (group.next_column()?, columns.next()) {
            let levels = std::mem::take(&mut values.levels);
            macro_rules! write {
                ($writer:expr, $data:expr) => {
                    $writer.write_batch(&std::mem::take($data), Some(&levels), None).map(drop)?
                };
            }
            match (writer.untyped(), &mut values.data) {
                (ColumnWriter::BoolColumnWriter(writer), Data::Bool(data)) => write!(writer, data),
                (ColumnWriter::Int32ColumnWriter(writer), Data::Int32(data)) => write!(writer, data),
                (ColumnWriter::Int64ColumnWriter(writer), Data::Int64(data)) => write!(writer, data),
                (ColumnWriter::FloatColumnWriter(writer), Data::Float(data)) => write!(writer, data),
                (ColumnWriter::DoubleColumnWriter(writer), Data::Double(data)) => write!(writer, data),
                (ColumnWriter::ByteArrayColumnWriter(writer), Data::Bytes(data)) => write!(writer, data),
                (ColumnWriter::FixedLenByteArrayColumnWriter(writer), Data::Decimal(data)) => write!(writer, data),
                _ => return Err(ParquetError::General("a column of another type".to_owned())),
            }
            writer.close()?;
        }
        group.close()?;
        self.pending = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, ParquetError> {
        self.flush()?;
        self.writer.into_inner()
    }
}

/// Adds one value; none for what has no place in Parquet, as `infinity`.
fn push(data: &mut Data, column: &Column, cell: &str) -> Option<()> {
    match data {
        Data::Bool(all) => all.push(cell == "t"),
        Data::Int32(all) if column.ty == Type::DATE => {
            let days = cell.parse::<NaiveDate>().ok()?.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?);
            all.push(i32::try_from(days.num_days()).ok()?);
        }
        Data::Int32(all) => all.push(cell.parse().ok()?),
        Data::Int64(all) if column.ty == Type::TIMESTAMP => {
            let moment = NaiveDateTime::parse_from_str(cell, "%Y-%m-%d %H:%M:%S%.f").ok()?;
            all.push(moment.and_utc().timestamp_micros());
        }
        Data::Int64(all) if column.ty == Type::TIMESTAMPTZ => {
            let moment = DateTime::parse_from_str(&format!("{cell}:00"), "%Y-%m-%d %H:%M:%S%.f%:z");
            let moment = moment.or_else(|_| DateTime::parse_from_str(cell, "%Y-%m-%d %H:%M:%S%.f%:z")).ok()?;
            all.push(moment.timestamp_micros());
        }
        Data::Int64(all) => all.push(cell.parse().ok()?),
        Data::Float(all) => all.push(cell.parse().ok()?),
        Data::Double(all) => all.push(cell.parse().ok()?),
        Data::Bytes(all) => all.push(ByteArray::from(shown(column, cell).into_owned().into_bytes())),
        Data::Decimal(all) => {
            let scale = column.decimal().map_or(0, |(_, scale)| scale as usize);
            let (whole, fraction) = cell.split_once('.').unwrap_or((cell, ""));
            let digits = format!("{whole}{fraction:0<scale$}");
            let number: i128 = digits.parse().ok()?;
            all.push(FixedLenByteArray::from(number.to_be_bytes().to_vec()));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::transfer::{Conversion, TextFormat};
    use crate::transfer::field::convert;
    use crate::transfer::moment;
    use crate::transfer::text::Records;
    use proptest::prelude::*;

    fn column(ty: Type) -> Column {
        Column { name: "c".into(), ty, modifier: -1, not_null: false }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_reads_back(
            rows in prop::collection::vec(prop::collection::vec("[a-c,|\"'\\\\\n\rü ]{0,8}", 2), 1..4),
            csv: bool,
            header: bool,
        ) {
            let (delimiter, columns) = (b'|', vec![column(Type::VARCHAR), column(Type::VARCHAR)]);
            let format =
                UnloadFormat::Text { delimiter, csv, add_quotes: false, escape: !csv, null_as: String::new(), header };
            let mut file = File::new(&format, &columns).map_err(TestCaseError::fail)?;
            for row in &rows {
                let cells: Vec<Option<&str>> = row.iter().map(|cell| Some(cell.as_str())).collect();
                file.row(&format, &columns, &cells).map_err(TestCaseError::fail)?;
            }
            let bytes = file.finish().map_err(TestCaseError::fail)?;
            let read = TextFormat {
                delimiter,
                quote: csv.then_some(b'"'),
                escape: !csv,
                remove_quotes: false,
                ignore_header: usize::from(header),
                ignore_blank_lines: false,
            };
            let found: Vec<Vec<String>> = Records::new(&read, &bytes)
                .map(|record| {
                    let fields = record.fields.map_err(|error| TestCaseError::fail(error.reason))?;
                    Ok(fields.into_iter().map(|field| String::from_utf8_lossy(&field).into_owned()).collect())
                })
                .collect::<Result<_, TestCaseError>>()?;
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn no_file_and_no_field_panics(bytes: Vec<u8>, text in "\\PC{0,20}", format in "[YMDHIS24:./ -]{0,16}", flags: [bool; 4]) {
            let read = TextFormat {
                delimiter: b'|',
                quote: flags[0].then_some(b'"'),
                escape: flags[1],
                remove_quotes: flags[2],
                ignore_header: usize::from(flags[3]),
                ignore_blank_lines: flags[3],
            };
            // As many bytes as there are, and no more: the reader gets on.
            prop_assert!(Records::new(&read, &bytes).count() <= bytes.len() + 1);
            let _ = moment::by_format(&format, &text);
            for ty in [Type::INT4, Type::NUMERIC, Type::DATE, Type::TIMESTAMPTZ, Type::BPCHAR, Type::JSONB, Type::BOOL] {
                let _ = convert(Some(&text), &column(ty), &Conversion { date_format: Some(format.clone()), ..Conversion::default() });
            }
        }
    }
}
