//! `Retry` and `Catch`.

use serde_json::Value;

use super::super::fields::Fields;
use super::super::{Catcher, Placement, Retrier};
use super::find_target;
use super::state::StateReader;

/// `IntervalSeconds` and `MaxAttempts` ("Retrying after an error").
const MOST: i64 = 99_999_999;
/// `MaxDelaySeconds` is less than 31,622,400, a leap year.
const LONGEST_DELAY: i64 = 31_622_399;

impl StateReader<'_, '_> {
    pub(super) fn retry(&mut self) -> Vec<Retrier> {
        let Some(retriers) = self.fields.array("Retry") else {
            return Vec::new();
        };
        let mut parsed = Vec::with_capacity(retriers.len());
        for (index, retrier) in retriers.iter().enumerate() {
            let location = format!("{}/Retry[{index}]", self.fields.location);
            let Value::Object(object) = retrier else {
                self.fields.findings.schema(&location, "Expected value of type Object");
                continue;
            };
            let mut fields =
                Fields { object, location, language: self.fields.language, findings: self.fields.findings };
            fields.only(
                &["ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy"],
                &[],
                &[],
            );
            let errors = errors(&mut fields, index + 1 == retriers.len());
            let jitter = fields.text("JitterStrategy");
            if jitter.is_some_and(|jitter| !matches!(jitter, "FULL" | "NONE")) {
                fields.wrong("JitterStrategy", "Value is not one of: [FULL, NONE]");
            }
            #[allow(clippy::cast_precision_loss)] // Seconds of at most some years.
            let seconds = |seconds: i64| seconds as f64;
            parsed.push(Retrier {
                errors,
                interval: seconds(fields.whole("IntervalSeconds", 1, MOST).unwrap_or(1)),
                max_attempts: fields.whole("MaxAttempts", 0, MOST).and_then(|n| u64::try_from(n).ok()).unwrap_or(3),
                backoff: fields.number("BackoffRate", 1.0).unwrap_or(2.0),
                max_delay: fields.whole("MaxDelaySeconds", 1, LONGEST_DELAY).map(seconds),
                full_jitter: jitter == Some("FULL"),
            });
        }
        parsed
    }

    pub(super) fn catch(&mut self) -> Vec<Catcher> {
        let Some(catchers) = self.fields.array("Catch") else {
            return Vec::new();
        };
        let mut parsed = Vec::with_capacity(catchers.len());
        for (index, catcher) in catchers.iter().enumerate() {
            let location = format!("{}/Catch[{index}]", self.fields.location);
            let Value::Object(object) = catcher else {
                self.fields.findings.schema(&location, "Expected value of type Object");
                continue;
            };
            let mut fields = Fields {
                object,
                location: location.clone(),
                language: self.fields.language,
                findings: self.fields.findings,
            };
            fields.only(&["ErrorEquals", "Next", "Assign"], &["ResultPath"], &["Output"]);
            let errors = errors(&mut fields, index + 1 == catchers.len());
            let result_path: Placement = fields.placement("ResultPath");
            let output = fields.template("Output");
            let assign = fields.assign();
            let Some(next) = fields.text("Next") else {
                fields.here("These fields are required: [Next]");
                continue;
            };
            let next = find_target(self.targets, next, &format!("{location}/Next"), self.fields.findings);
            parsed.extend(next.map(|next| Catcher { errors, next, result_path, output, assign }));
        }
        parsed
    }
}

/// `ErrorEquals`. `States.ALL` stands alone and last.
fn errors(fields: &mut Fields<'_, '_>, last: bool) -> Vec<String> {
    let Some(names) = fields.array("ErrorEquals") else {
        if fields.get("ErrorEquals").is_none() {
            fields.here("These fields are required: [ErrorEquals]");
        }
        return Vec::new();
    };
    let mut errors = Vec::with_capacity(names.len());
    for name in names {
        match name {
            Value::String(name) => errors.push(name.clone()),
            _ => fields.wrong("ErrorEquals", "Expected value of type String"),
        }
    }
    if errors.is_empty() {
        fields.wrong("ErrorEquals", "ErrorEquals must not be empty");
    }
    if errors.iter().any(|name| name == "States.ALL") && (errors.len() > 1 || !last) {
        fields.wrong("ErrorEquals", "States.ALL must appear alone and in the last retrier or catcher");
    }
    errors
}
