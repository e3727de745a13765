//! Where a statement runs and as whom, and which of that a request may choose.

use serde_json::Value;

use crate::Error;

/// A cluster or a workgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A provisioned cluster's identifier.
    Cluster(String),
    /// A serverless workgroup's name or ARN.
    Workgroup(String),
}

/// As whom a statement runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// The function's role (`IAMR:role`).
    Identity,
    /// A named database user, provisioned clusters only.
    User(String),
    /// A Secrets Manager secret.
    Secret(String),
}

/// Place, database and login of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Cluster or workgroup.
    pub place: Place,
    /// The database.
    pub database: String,
    /// As whom.
    pub login: Login,
}

/// The fields that make a target, wherever they come from: the environment, the allow-list, a request.
pub const FIELDS: [&str; 5] = ["clusterIdentifier", "workgroupName", "database", "dbUser", "secretArn"];

impl Target {
    /// Checks the five fields (empty counts as absent). Problems come as field name (one of [`FIELDS`]), problem, allowed.
    ///
    /// # Errors
    /// Every problem, not only the first.
    pub fn from_fields(
        mut field: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, Vec<(&'static str, &'static str, &'static str)>> {
        let [cluster, workgroup, database, user, secret] = FIELDS.map(|name| field(name).filter(|v| !v.is_empty()));
        let mut problems = Vec::new();
        let one = "exactly one of clusterIdentifier and workgroupName";
        let place = match (cluster, workgroup) {
            (Some(c), None) if cluster_name(&c) => Some(Place::Cluster(c)),
            (Some(_), None) => {
                problems.push((
                    "clusterIdentifier",
                    "is no cluster identifier",
                    "1 to 63 of a-z, 0-9 and single hyphens, a letter first",
                ));
                None
            }
            (None, Some(w)) if workgroup_name(&w) => Some(Place::Workgroup(w)),
            (None, Some(_)) => {
                problems.push((
                    "workgroupName",
                    "is no workgroup",
                    "3 to 63 of a-z, 0-9 and hyphens, or a workgroup's ARN",
                ));
                None
            }
            (Some(_), Some(_)) => {
                problems.push(("workgroupName", "stands beside clusterIdentifier", one));
                None
            }
            (None, None) => {
                problems.push(("clusterIdentifier", "is missing", one));
                None
            }
        };
        if database.is_none() {
            problems.push(("database", "is missing", "a database name"));
        }
        let login = match (user, secret) {
            (None, None) => Login::Identity,
            (Some(user), None) => {
                if matches!(place, Some(Place::Workgroup(_))) {
                    problems.push(("dbUser", "stands beside workgroupName", "secretArn or nothing with a workgroup"));
                }
                Login::User(user)
            }
            (None, Some(secret)) => Login::Secret(secret),
            (Some(_), Some(_)) => {
                problems.push(("dbUser", "stands beside secretArn", "one of dbUser and secretArn"));
                Login::Identity
            }
        };
        match (place, database) {
            (Some(place), Some(database)) if problems.is_empty() => Ok(Self { place, database, login }),
            _ => Err(problems),
        }
    }

    /// Reads a target from a JSON object with the [`FIELDS`]; `path` names it in errors.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for the first problem.
    pub fn from_json(value: &Value, path: &str) -> Result<Self, Error> {
        let allowed = "an object with clusterIdentifier or workgroupName, database, and optionally dbUser or secretArn";
        let Some(object) = value.as_object() else {
            return Err(Error::invalid(path, "is not an object", allowed));
        };
        for (name, value) in object {
            if !FIELDS.contains(&name.as_str()) {
                return Err(Error::invalid(format!("{path}.{name}"), "is unknown", FIELDS.join(", ")));
            }
            if !value.is_string() {
                return Err(Error::invalid(format!("{path}.{name}"), "is not text", "text"));
            }
        }
        Self::from_fields(|name| object.get(name).and_then(Value::as_str).map(str::to_owned)).map_err(|problems| {
            let (field, problem, allowed) = problems[0];
            Error::invalid(format!("{path}.{field}"), problem, allowed)
        })
    }

    /// The target as one text, for hashes and the audit row.
    #[must_use]
    pub fn describe(&self) -> String {
        let place = match &self.place {
            Place::Cluster(name) => format!("cluster:{name}"),
            Place::Workgroup(name) => format!("workgroup:{name}"),
        };
        let login = match &self.login {
            Login::Identity => String::new(),
            Login::User(user) => format!("/user:{user}"),
            Login::Secret(arn) => format!("/secret:{arn}"),
        };
        format!("{place}/{}{login}", self.database)
    }
}

fn cluster_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn workgroup_name(name: &str) -> bool {
    let plain = (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    plain || (name.len() <= 128 && name.starts_with("arn:aws") && name.contains(":redshift-serverless:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets_are_complete_and_free_of_contradictions() {
        let good = [
            (json!({"clusterIdentifier": "c-1", "database": "dev"}), "cluster:c-1/dev"),
            (json!({"clusterIdentifier": "c", "database": "dev", "dbUser": "u"}), "cluster:c/dev/user:u"),
            (
                json!({"workgroupName": "wg1", "database": "dev", "secretArn": "arn:s"}),
                "workgroup:wg1/dev/secret:arn:s",
            ),
            (json!({"workgroupName": "wg1", "clusterIdentifier": "", "database": "dev"}), "workgroup:wg1/dev"),
        ];
        for (value, text) in good {
            assert_eq!(Target::from_json(&value, "target").map(|t| t.describe()), Ok(text.to_owned()));
        }
        let bad = [
            (json!([]), "target"),
            (json!({}), "target.clusterIdentifier"),
            (json!({"clusterIdentifier": "C", "database": "dev"}), "target.clusterIdentifier"),
            (json!({"clusterIdentifier": "c--d", "database": "dev"}), "target.clusterIdentifier"),
            (json!({"clusterIdentifier": "c", "workgroupName": "www", "database": "dev"}), "target.workgroupName"),
            (json!({"clusterIdentifier": "c"}), "target.database"),
            (json!({"workgroupName": "www", "database": "d", "dbUser": "u"}), "target.dbUser"),
            (json!({"clusterIdentifier": "c", "database": "d", "dbUser": "u", "secretArn": "s"}), "target.dbUser"),
            (json!({"clusterIdentifier": "c", "database": 5}), "target.database"),
            (json!({"cluster": "c"}), "target.cluster"),
        ];
        for (value, path) in bad {
            match Target::from_json(&value, "target") {
                Err(Error::InvalidRequest { field, .. }) => assert_eq!(field, path, "{value}"),
                other => panic!("{value}: {other:?}"),
            }
        }
    }
}
