//! Parquet as COPY reads it: columns by position, types that must fit. Must never convert between types that Redshift
//! keeps apart: it refuses such a file.

use super::field::Column;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveTime};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type as Node;
use serde_json::{Value, json};
use tokio_postgres::types::Type;

/// Why a file cannot be loaded: code and context of the error block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) code: &'static str,
    pub(super) context: String,
}

/// Reads a file row by row. `url` names it in errors.
pub(super) struct File {
    reader: SerializedFileReader<Bytes>,
    url: String,
}

impl File {
    pub(super) fn open(bytes: Bytes, url: &str) -> Result<Self, Unfit> {
        let reader = SerializedFileReader::new(bytes).map_err(|error| Unfit {
            code: "15001",
            context: format!("File '{url}' is not a valid Parquet file: {error}"),
        })?;
        Ok(Self { reader, url: url.to_owned() })
    }

    /// The number of columns must be the table's (fewer with FILLRECORD), and each type must fit.
    pub(super) fn check(&self, columns: &[Column], fill: bool, to_json: bool) -> Result<(), Unfit> {
        let schema = self.reader.metadata().file_metadata().schema();
        let fields = schema.get_fields();
        if fields.len() > columns.len() || fields.len() < columns.len() && !fill {
            return Err(Unfit {
                code: "15001",
                context: format!(
                    "Unmatched number of columns between table and file. Table columns: {}, Data columns: {}, File \
                     name: {}",
                    columns.len(),
                    fields.len(),
                    self.url
                ),
            });
        }
        for (field, column) in fields.iter().zip(columns) {
            if !fits(field, column, to_json) {
                let shown = if field.is_primitive() {
                    format!("{:?}", field.get_physical_type())
                } else {
                    "a nested type".to_owned()
                };
                return Err(Unfit {
                    code: "15007",
                    context: format!(
                        "File '{}' has an incompatible Parquet schema for column '{}'. Column type: {}, Parquet schema: \
                         {shown} {}",
                        self.url,
                        column.name,
                        column.type_name().to_uppercase(),
                        field.name(),
                    ),
                });
            }
        }
        Ok(())
    }

    /// Every row's fields as text. A length that does not fit is the file's failure, not the row's.
    pub(super) fn rows(
        &self,
        columns: &[Column],
        mut each: impl FnMut(Vec<Option<String>>) -> Result<(), Unfit>,
    ) -> Result<(), Unfit> {
        let broken = |error: parquet::errors::ParquetError| Unfit {
            code: "15001",
            context: format!("File '{}' cannot be read: {error}", self.url),
        };
        for row in self.reader.get_row_iter(None).map_err(broken)? {
            let row: Row = row.map_err(broken)?;
            let mut fields = Vec::with_capacity(columns.len());
            for ((name, field), column) in row.get_column_iter().zip(columns) {
                let text = text(field, column).map_err(|problem| Unfit {
                    code: "15001",
                    context: format!("File '{}', column '{name}': {problem}", self.url),
                })?;
                if let (Some(text), Some(length)) = (&text, column.length())
                    && text.len() > length
                {
                    return Err(Unfit {
                        code: "15001",
                        context: format!(
                            "The length of the data column {name} is longer than the length defined in the table. \
                             Table: {length}, Data: {}, File name: {}",
                            text.len(),
                            self.url
                        ),
                    });
                }
                fields.push(text);
            }
            fields.resize(columns.len(), None);
            each(fields)?;
        }
        Ok(())
    }
}

fn fits(field: &Node, column: &Column, to_json: bool) -> bool {
    if !field.is_primitive()
        || field.get_basic_info().has_repetition()
            && field.get_basic_info().repetition() == parquet::basic::Repetition::REPEATED
    {
        return column.ty == Type::JSONB && to_json;
    }
    let physical = field.get_physical_type();
    let info = field.get_basic_info();
    let converted = info.converted_type();
    let decimal = converted == ConvertedType::DECIMAL;
    let stamp = matches!(converted, ConvertedType::TIMESTAMP_MICROS | ConvertedType::TIMESTAMP_MILLIS)
        || matches!(info.logical_type_ref(), Some(LogicalType::Timestamp { .. }));
    let time = matches!(converted, ConvertedType::TIME_MICROS | ConvertedType::TIME_MILLIS)
        || matches!(info.logical_type_ref(), Some(LogicalType::Time { .. }));
    let unsigned = matches!(
        converted,
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
    );
    let plain = !decimal && !stamp && !time && !unsigned && converted != ConvertedType::DATE;
    let nanos = matches!(
        info.logical_type_ref(),
        Some(LogicalType::Timestamp(t)) if t.unit == TimeUnit::NANOS
    );
    match column.ty {
        Type::BOOL => physical == Physical::BOOLEAN,
        Type::INT2 => physical == Physical::INT32 && plain && converted != ConvertedType::INT_32,
        Type::INT4 => physical == Physical::INT32 && plain,
        Type::INT8 => physical == Physical::INT64 && plain,
        Type::FLOAT4 => physical == Physical::FLOAT,
        Type::FLOAT8 => physical == Physical::DOUBLE,
        Type::NUMERIC => decimal && column.decimal().is_none_or(|(_, scale)| field.get_scale() == scale as i32),
        Type::DATE => physical == Physical::INT32 && converted == ConvertedType::DATE,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            physical == Physical::INT96 || physical == Physical::INT64 && stamp && !nanos
        }
        Type::TIME => time,
        Type::VARCHAR | Type::TEXT | Type::BPCHAR | Type::JSONB => physical == Physical::BYTE_ARRAY && !decimal,
        Type::BYTEA => matches!(physical, Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY) && !decimal,
        _ => false,
    }
}

fn text(field: &Field, column: &Column) -> Result<Option<String>, String> {
    let moment = |micros: i64| {
        DateTime::from_timestamp_micros(micros)
            .map(|moment| moment.naive_utc().to_string())
            .ok_or("a time out of range")
    };
    let text = match field {
        Field::Null => return Ok(None),
        Field::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
        Field::Byte(value) => value.to_string(),
        Field::Short(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::Float(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        Field::Decimal(_) => field.to_string(),
        Field::Date(days) => date(*days).ok_or("a date out of range")?,
        Field::TimestampMillis(millis) => moment(millis.saturating_mul(1000))?,
        Field::TimestampMicros(micros) => moment(*micros)?,
        Field::TimeMillis(millis) => time(i64::from(*millis) * 1000).ok_or("a time out of range")?,
        Field::TimeMicros(micros) => time(*micros).ok_or("a time out of range")?,
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) if column.ty == Type::BYTEA => {
            format!("\\x{}", bytes.data().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_err(|_| "text that is not UTF-8")?.to_owned(),
        nested => json_value(nested).to_string(),
    };
    // A SUPER gets a string as a string, and what is JSON by its annotation as such.
    if column.ty == Type::JSONB && matches!(field, Field::Str(_) | Field::Bytes(_)) {
        let known = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        return Ok(Some(if known { text } else { json!(text).to_string() }));
    }
    let zoned = column.ty == Type::TIMESTAMPTZ;
    Ok(Some(if zoned { text + "+00" } else { text }))
}

fn date(days: i32) -> Option<String> {
    let date = NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(chrono::Duration::days(i64::from(days)))?;
    Some(date.to_string())
}

fn time(micros: i64) -> Option<String> {
    let seconds = u32::try_from(micros / 1_000_000).ok()?;
    let nanos = u32::try_from(micros % 1_000_000 * 1000).ok()?;
    Some(NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos)?.to_string())
}

/// A nested value, for SERIALIZETOJSON.
fn json_value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Byte(value) => json!(value),
        Field::Short(value) => json!(value),
        Field::Int(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::Float(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(text) => json!(text),
        Field::Group(row) => {
            Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), json_value(field))).collect())
        }
        Field::ListInternal(list) => list.elements().iter().map(json_value).collect(),
        Field::MapInternal(map) => {
            let key = |key: &Field| match key {
                Field::Str(text) => text.clone(),
                other => other.to_string(),
            };
            Value::Object(map.entries().iter().map(|(k, value)| (key(k), json_value(value))).collect())
        }
        other => json!(other.to_string()),
    }
}
