//! One cell of a result, as the Data API's typed JSON has it: an object with exactly one member of the field union.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// A cell. The variants are the members of the union `Field` (Redshift Data API reference).
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// `isNull`.
    Null,
    /// `booleanValue`.
    Boolean(bool),
    /// `longValue`: the integer types.
    Long(i64),
    /// `doubleValue`: the floating types.
    Double(f64),
    /// `stringValue`: text, decimals, dates, times.
    Text(String),
    /// `blobValue`, in base64 as on the wire.
    Blob(String),
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Null => map.serialize_entry("isNull", &true)?,
            Self::Boolean(value) => map.serialize_entry("booleanValue", value)?,
            Self::Long(value) => map.serialize_entry("longValue", value)?,
            Self::Double(value) if value.is_finite() => map.serialize_entry("doubleValue", value)?,
            // JSON has no such numbers; AWS JSON spells them as text.
            Self::Double(value) => map.serialize_entry("doubleValue", not_finite(*value))?,
            Self::Text(value) => map.serialize_entry("stringValue", value)?,
            Self::Blob(value) => map.serialize_entry("blobValue", value)?,
        }
        map.end()
    }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Member {
    #[serde(rename = "isNull")]
    Null,
    #[serde(rename = "booleanValue")]
    Boolean,
    #[serde(rename = "longValue")]
    Long,
    #[serde(rename = "doubleValue")]
    Double,
    #[serde(rename = "stringValue")]
    Text,
    #[serde(rename = "blobValue")]
    Blob,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Double {
    Number(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Union)
    }
}

struct Union;

impl<'de> Visitor<'de> for Union {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cell: an object with one member of the Data API's field union")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        let field = match map.next_key::<Member>()? {
            None => return Err(de::Error::custom("the cell has no member")),
            Some(Member::Null) => match map.next_value::<bool>()? {
                true => Field::Null,
                false => return Err(de::Error::custom("the cell says isNull: false and nothing else")),
            },
            Some(Member::Boolean) => Field::Boolean(map.next_value()?),
            Some(Member::Long) => Field::Long(map.next_value()?),
            Some(Member::Double) => Field::Double(match map.next_value::<Double>()? {
                Double::Number(value) => value,
                Double::Text(text) => match text.as_str() {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    _ => return Err(de::Error::custom(format!("{text:?} is no number"))),
                },
            }),
            Some(Member::Text) => Field::Text(map.next_value()?),
            Some(Member::Blob) => Field::Blob(map.next_value()?),
        };
        match map.next_key::<String>()? {
            None => Ok(field),
            Some(more) => Err(de::Error::custom(format!("the cell has a second member, {more:?}"))),
        }
    }
}

/// A column of a result, as far as results need it. Unknown members of `ColumnMetadata` are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as Redshift calls it: `int8`, `numeric`, `varchar`, `timestamp`.
    #[serde(default)]
    pub type_name: String,
    /// What the query calls it; the name where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Digits in all, for decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<i32>,
    /// Digits after the point, for decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<i32>,
}

impl Column {
    /// What the column is called in the result: its label, else its name.
    #[must_use]
    pub fn title(&self) -> &str {
        self.label.as_deref().filter(|label| !label.is_empty()).unwrap_or(&self.name)
    }
}
