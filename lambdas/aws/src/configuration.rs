//! What the functions are told by their environment, through a lookup so that a test needs no process environment. Every
//! missing or malformed key is reported, not only the first. An empty value counts as unset: CloudFormation cannot
//! leave a variable out.

use serde_json::Value;
use statement::Error;
use statement::settings::{Settings, TaskerSettings};
use statement::target::Target;

/// Names of AWS things that the adapters work on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services {
    /// The table.
    pub table: String,
    /// The KMS key.
    pub key_arn: String,
    /// The completion queue; the tasker's only.
    pub queue_url: Option<String>,
    /// The bucket of SQL files; the tasker's only.
    pub assets_bucket: Option<String>,
}

/// Reads keys one by one and collects what is wrong.
pub struct Configuration<L> {
    lookup: L,
    problems: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Configuration<L> {
    /// Over a lookup, such as `|key| std::env::var(key).ok()`.
    pub fn new(lookup: L) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// The values of these keys, all of which are needed.
    ///
    /// # Errors
    /// [`Error::Configuration`] with all that are missing.
    pub fn named<const N: usize>(mut self, keys: [&str; N]) -> Result<[String; N], Error> {
        let values = keys.map(|key| self.required(key));
        self.done(values)
    }

    fn optional(&self, key: &str) -> Option<String> {
        (self.lookup)(key).filter(|value| !value.is_empty())
    }

    fn required(&mut self, key: &str) -> String {
        self.optional(key).unwrap_or_else(|| {
            self.problems.push(format!("{key} is missing"));
            String::new()
        })
    }

    fn number(&mut self, key: &str, default: u32, least: u32, most: u32) -> u32 {
        match self.optional(key).map(|text| text.parse::<u32>()) {
            None => default,
            Some(Ok(number)) if (least..=most).contains(&number) => number,
            Some(_) => {
                self.problems.push(format!("{key} is not a whole number from {least} to {most}"));
                default
            }
        }
    }

    fn settings(&mut self) -> (Settings, Services) {
        let stack = self.required("STACK_NAME");
        if stack.contains('/') {
            self.problems.push("STACK_NAME contains a slash".to_owned());
        }
        let settings = Settings {
            stack,
            grace_ms: i64::from(self.number("GRACE_SECONDS", 60, 1, 86_400)) * 1000,
            retention_days: self.number("RETENTION_DAYS", 90, 1, 36_500),
        };
        let services = Services {
            table: self.required("TABLE_NAME"),
            key_arn: self.required("KEY_ARN"),
            queue_url: self.optional("QUEUE_URL"),
            assets_bucket: self.optional("ASSETS_BUCKET"),
        };
        (settings, services)
    }

    fn done<T>(self, value: T) -> Result<T, Error> {
        if self.problems.is_empty() { Ok(value) } else { Err(Error::Configuration(self.problems.join("; "))) }
    }

    /// For the completion function and the reconciler.
    ///
    /// # Errors
    /// [`Error::Configuration`] with all problems.
    pub fn common(mut self) -> Result<(Settings, Services), Error> {
        let read = self.settings();
        self.done(read)
    }

    /// For the tasker.
    ///
    /// # Errors
    /// [`Error::Configuration`] with all problems.
    pub fn tasker(mut self) -> Result<(TaskerSettings, Services), Error> {
        let (common, mut services) = self.settings();
        services.queue_url = Some(self.required("QUEUE_URL"));
        services.assets_bucket = Some(self.required("ASSETS_BUCKET"));
        let target = Target::from_fields(|field| {
            self.optional(match field {
                "clusterIdentifier" => "REDSHIFT_CLUSTER",
                "workgroupName" => "REDSHIFT_WORKGROUP",
                "database" => "REDSHIFT_DATABASE",
                "dbUser" => "REDSHIFT_DB_USER",
                _ => "REDSHIFT_SECRET_ARN",
            })
        });
        let target = target.map_err(|problems| {
            self.problems.extend(
                problems
                    .iter()
                    .map(|(field, problem, allowed)| format!("the target's {field} {problem} (allowed: {allowed})")),
            );
        });
        let allowed = self.allowed_targets();
        let audit_sql_text = match self.optional("AUDIT_SQL_TEXT").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.problems.push("AUDIT_SQL_TEXT is neither true nor false".to_owned());
                false
            }
        };
        match target {
            Ok(target) => self.done((TaskerSettings { common, target, allowed, audit_sql_text }, services)),
            Err(()) => Err(Error::Configuration(self.problems.join("; "))),
        }
    }

    fn allowed_targets(&mut self) -> Vec<Target> {
        let Some(text) = self.optional("ALLOWED_TARGETS") else {
            return Vec::new();
        };
        let Ok(Value::Array(list)) = serde_json::from_str::<Value>(&text) else {
            self.problems.push("ALLOWED_TARGETS is not a JSON list".to_owned());
            return Vec::new();
        };
        let mut targets = Vec::new();
        for (index, value) in list.iter().enumerate() {
            match Target::from_json(value, &format!("ALLOWED_TARGETS[{index}]")) {
                Ok(target) => targets.push(target),
                Err(error) => self.problems.push(error.to_string()),
            }
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> Configuration<impl Fn(&str) -> Option<String>> {
        Configuration::new(|key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
    }

    const GOOD: &[(&str, &str)] = &[
        ("STACK_NAME", "prod"),
        ("TABLE_NAME", "t"),
        ("KEY_ARN", "k"),
        ("QUEUE_URL", "http://q"),
        ("ASSETS_BUCKET", "b"),
        ("REDSHIFT_CLUSTER", "c"),
        ("REDSHIFT_WORKGROUP", ""),
        ("REDSHIFT_DATABASE", "dev"),
        ("ALLOWED_TARGETS", r#"[{"workgroupName":"wg1","database":"x"}]"#),
        ("AUDIT_SQL_TEXT", "true"),
        ("GRACE_SECONDS", "90"),
    ];

    #[test]
    fn a_complete_environment_is_read() {
        let (settings, services) = with(GOOD).tasker().unwrap();
        assert_eq!((settings.common.grace_ms, settings.common.retention_days), (90_000, 90));
        assert_eq!(settings.target.describe(), "cluster:c/dev");
        assert_eq!(settings.allowed.len(), 1);
        assert!(settings.audit_sql_text);
        assert_eq!(services.queue_url.as_deref(), Some("http://q"));
        assert!(with(GOOD).common().is_ok());
    }

    #[test]
    fn all_problems_are_reported_together() {
        let Err(Error::Configuration(text)) = with(&[
            ("STACK_NAME", "a/b"),
            ("GRACE_SECONDS", "soon"),
            ("ALLOWED_TARGETS", r#"[{"database":"x"}]"#),
            ("AUDIT_SQL_TEXT", "yes"),
            ("REDSHIFT_CLUSTER", "c"),
            ("REDSHIFT_WORKGROUP", "www"),
        ])
        .tasker() else {
            panic!("accepted")
        };
        for part in [
            "slash",
            "GRACE_SECONDS",
            "TABLE_NAME",
            "KEY_ARN",
            "QUEUE_URL",
            "ASSETS_BUCKET",
            "workgroupName",
            "database",
            "ALLOWED_TARGETS[0].clusterIdentifier",
            "AUDIT_SQL_TEXT",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
