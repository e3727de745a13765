//! Metrics as log lines in CloudWatch's embedded metric format, from which CloudWatch makes them without a call. What a
//! template may name is [`NAMES`]; a test holds alarms and dashboard against it. Never a value that tells one statement
//! from another: each value of a dimension is a metric that is paid for.

use std::io::Write as _;

use serde_json::{Value, json};
use statement::ports::{Clock, Measured, Metrics};

use crate::ports::SystemClock;

/// The namespace of all our metrics.
pub const NAMESPACE: &str = "RedshiftTasker";
/// The dimension that all of them have: the stack's prefix.
pub const STACK: &str = "Stack";
/// The dimension of failures by class.
pub const CLASS: &str = "Class";
/// Every metric.
pub const NAMES: [&str; 4] = ["StatementsEnded", "StatementsFailed", "OpenStatements", "OldestOpenStatement"];

pub(crate) struct Lines {
    pub(crate) stack: String,
}

impl Metrics for Lines {
    fn put(&self, measured: &Measured<'_>) {
        // A log that takes no lines takes no complaint either.
        let _ = writeln!(std::io::stdout().lock(), "{}", line(&self.stack, measured, SystemClock.now()));
    }
}

/// One line of the embedded metric format.
#[must_use]
pub fn line(stack: &str, measured: &Measured<'_>, now_ms: i64) -> Value {
    let [ended, failed, open, oldest] = NAMES;
    let count = |name: &str| json!({"Name": name, "Unit": "Count"});
    let directive = |dimensions: Value, metrics: Value| json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics});
    let mut directives = Vec::new();
    let mut line = json!({STACK: stack});
    match measured {
        Measured::Ended { failure } => {
            directives.push(directive(json!([STACK]), json!([count(ended), count(failed)])));
            line[ended] = json!(1);
            line[failed] = json!(i32::from(failure.is_some()));
            if let Some(class) = failure {
                directives.push(directive(json!([STACK, CLASS]), json!([count(failed)])));
                line[CLASS] = json!(class);
            }
        }
        Measured::Open { count: number, oldest_ms } => {
            let seconds = json!({"Name": oldest, "Unit": "Seconds"});
            directives.push(directive(json!([STACK]), json!([count(open), seconds])));
            line[open] = json!(number);
            line[oldest] = json!(oldest_ms / 1000);
        }
    }
    line["_aws"] = json!({"Timestamp": now_ms, "CloudWatchMetrics": directives});
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What CloudWatch demands of a line: each named dimension is a text in it, each named metric a number.
    fn metrics(line: &Value) -> Vec<(Vec<&str>, &str, f64)> {
        let mut found = Vec::new();
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], NAMESPACE);
            for dimensions in directive["Dimensions"].as_array().unwrap() {
                let dimensions: Vec<&str> = dimensions
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| line[name.as_str().unwrap()].as_str().unwrap())
                    .collect();
                for metric in directive["Metrics"].as_array().unwrap() {
                    let name = metric["Name"].as_str().unwrap();
                    assert!(NAMES.contains(&name));
                    found.push((dimensions.clone(), name, line[name].as_f64().unwrap()));
                }
            }
        }
        found
    }

    #[test]
    fn what_is_measured_becomes_metrics_with_their_dimensions() {
        let success = line("prod", &Measured::Ended { failure: None }, 7);
        assert_eq!(success["_aws"]["Timestamp"], 7);
        assert_eq!(
            metrics(&success),
            [(vec!["prod"], "StatementsEnded", 1.0), (vec!["prod"], "StatementsFailed", 0.0)]
        );
        assert_eq!(
            metrics(&line("prod", &Measured::Ended { failure: Some("Syntax") }, 7)),
            [
                (vec!["prod"], "StatementsEnded", 1.0),
                (vec!["prod"], "StatementsFailed", 1.0),
                (vec!["prod", "Syntax"], "StatementsFailed", 1.0)
            ]
        );
        assert_eq!(
            metrics(&line("prod", &Measured::Open { count: 3, oldest_ms: 61_999 }, 7)),
            [(vec!["prod"], "OpenStatements", 3.0), (vec!["prod"], "OldestOpenStatement", 61.0)]
        );
    }
}
