//! What came back from an execution of `statement`, for people and for machines.
//!
//! Pure: reads DescribeExecution's answer, writes text and JSON. Shows nothing that is not in the answer.

use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::{Map, Value, json};

/// One result set.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultSet {
    /// Column names, as the database gave them; they need not be unique.
    pub columns: Vec<String>,
    /// Cells in the order of the columns.
    pub rows: Vec<Vec<Value>>,
}

/// How the statement came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// FINISHED. `output` is the whole callback output.
    Finished {
        /// The execution's output.
        output: Value,
        /// The result sets in it, in the order of the statements.
        results: Vec<ResultSet>,
    },
    /// Anything else.
    Failed {
        /// The execution's status, such as FAILED.
        status: String,
        /// The error's name, such as `Redshift.UndefinedObject`.
        error: String,
        /// The text for people: the database's own words, where it was the database.
        message: String,
        /// The cause as it came: an object where it is JSON, else text.
        cause: Value,
    },
}

impl Answer {
    /// Reads what DescribeExecution says of an execution that has ended.
    pub fn of(description: &Value) -> Self {
        let text = |name: &str| description[name].as_str().unwrap_or_default();
        if text("status") == "SUCCEEDED" {
            let output: Value = serde_json::from_str(text("output")).unwrap_or_else(|_| json!(text("output")));
            let results = output["results"].as_array().into_iter().flatten().map(result_set).collect();
            return Self::Finished { output, results };
        }
        let cause: Value = serde_json::from_str(text("cause")).unwrap_or_else(|_| json!(text("cause")));
        let message = ["error", "errorMessage", "Error"]
            .iter()
            .find_map(|name| cause[*name].as_str())
            .or(cause.as_str())
            .unwrap_or_default()
            .to_owned();
        Self::Failed { status: text("status").to_owned(), error: text("error").to_owned(), message, cause }
    }

    /// Whether the statement finished.
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Finished { .. })
    }

    /// For machines: `status`, then `columns`, `rows` (one object a row, of the last result set), all `results` when
    /// there are several, and everything about the statement; or `error`, `message` and `cause`.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Finished { output, results } => {
                let last = results.last();
                let mut whole = Map::new();
                whole.insert("status".into(), json!("FINISHED"));
                whole.insert("columns".into(), json!(last.map(ResultSet::unique_columns).unwrap_or_default()));
                whole.insert("rows".into(), json!(last.map(ResultSet::objects).unwrap_or_default()));
                if results.len() > 1 {
                    let all = results.iter().map(|set| json!({"columns": set.unique_columns(), "rows": set.objects()}));
                    whole.insert("results".into(), all.collect());
                }
                let mut statement = output.as_object().cloned().unwrap_or_default();
                statement.remove("results");
                whole.insert("statement".into(), Value::Object(statement));
                Value::Object(whole)
            }
            Self::Failed { status, error, message, cause } => {
                json!({"status": status, "error": error, "message": message, "cause": cause})
            }
        }
    }

    /// For people, with a line break at the end: the result sets as tables, or the number of rows touched.
    pub fn to_text(&self) -> String {
        match self {
            Self::Finished { output, results } if results.is_empty() => match output["rows"].as_i64() {
                Some(rows) if rows >= 0 => format!("Finished, {rows} {}.\n", if rows == 1 { "row" } else { "rows" }),
                _ => "Finished.\n".to_owned(),
            },
            Self::Finished { results, .. } => results.iter().map(ResultSet::to_text).collect::<Vec<_>>().join("\n"),
            Self::Failed { error, message, .. } if message.is_empty() => format!("{error}\n"),
            Self::Failed { message, .. } => format!("{}\n", message.trim_end()),
        }
    }
}

impl ResultSet {
    /// Column names made unique by a number, so that a row can be an object: `a`, `a_2`.
    fn unique_columns(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let mut name = column.clone();
            let mut number = 2;
            while names.contains(&name) {
                name = format!("{column}_{number}");
                number += 1;
            }
            names.push(name);
        }
        names
    }

    fn objects(&self) -> Vec<Value> {
        let names = self.unique_columns();
        self.rows.iter().map(|row| Value::Object(names.iter().cloned().zip(row.iter().cloned()).collect())).collect()
    }

    fn to_text(&self) -> String {
        let mut table = table(&self.columns);
        for row in &self.rows {
            table.add_row(row.iter().map(cell));
        }
        for (at, column) in table.column_iter_mut().enumerate() {
            if self.rows.iter().any(|row| row[at].is_number()) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let rows = self.rows.len();
        format!("{table}\n({rows} {})\n", if rows == 1 { "row" } else { "rows" })
    }
}

/// An empty table as wide as the terminal, with a line below its header and no other.
pub fn table<T: Into<comfy_table::Row>>(header: T) -> Table {
    let mut table = Table::new();
    table.load_preset("     ──            ").set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table
}

/// NULL is shown as ∅, so that it differs from an empty string.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "∅".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn result_set(result: &Value) -> ResultSet {
    let columns: Vec<String> = result["columns"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|column| column["name"].as_str().or(column.as_str()).unwrap_or_default().to_owned())
        .collect();
    let width = columns.len();
    let rows = result["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let mut cells = row.as_array().cloned().unwrap_or_default();
            cells.resize(width, Value::Null);
            cells
        })
        .collect();
    ResultSet { columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(output: &Value) -> Answer {
        Answer::of(&json!({"status": "SUCCEEDED", "output": output.to_string()}))
    }

    #[test]
    fn rows_are_objects_and_names_stay_unique() {
        let answer = finished(&json!({
            "statementId": "s-1", "rows": 1,
            "results": [{"columns": [{"name": "a"}, {"name": "a"}, {"name": "b"}], "rows": [[1, null, "x"]]}],
        }));
        let json = answer.to_json();
        assert_eq!(json["columns"], json!(["a", "a_2", "b"]));
        assert_eq!(json["rows"], json!([{"a": 1, "a_2": null, "b": "x"}]));
        assert_eq!(json["statement"]["statementId"], "s-1");
        assert!(json["statement"].get("results").is_none());
        let text = answer.to_text();
        assert!(text.contains("∅") && text.contains("(1 row)"), "{text}");
    }

    #[test]
    fn several_result_sets_are_all_there() {
        let set = |n: i64| json!({"columns": [{"name": "n"}], "rows": [[n]]});
        let json = finished(&json!({"results": [set(1), set(2)]})).to_json();
        assert_eq!(json["rows"], json!([{"n": 2}]));
        assert_eq!(json["results"][0]["rows"], json!([{"n": 1}]));
    }

    #[test]
    fn a_failure_speaks_in_the_databases_words() {
        let cause = json!({"error": "ERROR: relation \"nowhere\" does not exist", "class": "UndefinedObject"});
        let answer =
            Answer::of(&json!({"status": "FAILED", "error": "Redshift.UndefinedObject", "cause": cause.to_string()}));
        assert!(!answer.is_finished());
        assert_eq!(answer.to_text(), "ERROR: relation \"nowhere\" does not exist\n");
        assert_eq!(answer.to_json()["cause"]["class"], "UndefinedObject");
    }

    #[test]
    fn without_a_result_set_the_rows_touched_are_said() {
        assert_eq!(finished(&json!({"rows": 1})).to_text(), "Finished, 1 row.\n");
        assert_eq!(finished(&json!({"rows": -1})).to_text(), "Finished.\n");
    }
}
