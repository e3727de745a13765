//! What a distributed Map's `ItemReader` makes of an object in S3: JSON, JSON lines, CSV.
//! Must never leave an input type that it does not know unsaid.

use chrono::DateTime;
use serde_json::{Map, Value};

/// An object of a listing as an item: unlike the SDK's, with `Etag` and the date in seconds since 1970 ("ItemReader
/// (Map)", items of `listObjectsV2`).
pub(crate) fn listed(object: Value) -> Value {
    let Value::Object(members) = object else {
        return object;
    };
    let members = members.into_iter().map(|(name, value)| {
        let date = value.as_str().filter(|_| name == "LastModified").map(DateTime::parse_from_rfc3339);
        match date {
            Some(Ok(date)) => (name, date.timestamp().into()),
            _ if name == "ETag" => ("Etag".to_owned(), value),
            _ => (name, value),
        }
    });
    Value::Object(members.collect())
}

/// The items in the response of `s3:getObject`.
pub(crate) fn items(config: &Value, response: &Value) -> Result<Vec<Value>, String> {
    let body = response.get("Body").unwrap_or(&Value::Null);
    let text = match body {
        Value::String(text) => text.clone(),
        // A caller that parsed JSON already.
        other => other.to_string(),
    };
    // Excel writes the mark of UTF-8 in front of a CSV file.
    let text = text.trim_start_matches('\u{feff}');
    match config.get("InputType").and_then(Value::as_str).unwrap_or("JSON") {
        "JSON" => json(config, text),
        "JSONL" => text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| serde_json::from_str(line).map_err(|_| "Attempting to map over invalid JSON lines.".to_owned()))
            .collect(),
        "CSV" => csv(config, text),
        other => Err(format!("The InputType '{other}' is not supported here")),
    }
}

fn json(config: &Value, text: &str) -> Result<Vec<Value>, String> {
    let value: Value = serde_json::from_str(text).map_err(|_| "Attempting to map over invalid JSON.".to_owned())?;
    let value = match config.get("ItemsPointer").and_then(Value::as_str) {
        Some(pointer) => value.pointer(pointer).cloned().unwrap_or(Value::Null),
        None => value,
    };
    match value {
        Value::Array(items) => Ok(items),
        _ => Err("Attempting to map over non-iterable node.".into()),
    }
}

fn csv(config: &Value, text: &str) -> Result<Vec<Value>, String> {
    let delimiter = match config.get("CSVDelimiter").and_then(Value::as_str).unwrap_or("COMMA") {
        "COMMA" => b',',
        "PIPE" => b'|',
        "SEMICOLON" => b';',
        "SPACE" => b' ',
        "TAB" => b'\t',
        other => return Err(format!("The CSVDelimiter '{other}' is not supported")),
    };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut rows = reader.records();
    let headers: Vec<String> = match config.get("CSVHeaderLocation").and_then(Value::as_str) {
        Some("GIVEN") => {
            let given = config.get("CSVHeaders").and_then(Value::as_array);
            given.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => match rows.next() {
            Some(row) => row.map_err(|e| e.to_string())?.iter().map(str::to_owned).collect(),
            None => Vec::new(),
        },
    };
    rows.map(|row| {
        let row = row.map_err(|e| e.to_string())?;
        let mut item = Map::new();
        for (index, header) in headers.iter().enumerate() {
            item.insert(header.clone(), row.get(index).unwrap_or_default().into());
        }
        Ok(Value::Object(item))
    })
    .collect()
}
