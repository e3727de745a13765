//! The tasker as a CloudFormation custom resource: SQL for create, update and delete. Every path ends in an answer at the
//! response URL, else the stack hangs for an hour; and the physical id never changes, so that no update deletes.

use serde_json::{Map, Value, json};

use crate::request::Execute;
use crate::row::{Resource, cut};
use crate::target::Target;
use crate::{Error, key};

/// Longest answer that CloudFormation takes, in bytes.
pub const ANSWER_LIMIT: usize = 4_096;

/// A custom resource's request. No Debug: the response URL is a credential.
#[derive(Clone, PartialEq)]
pub struct ResourceRequest {
    /// Create, Update or Delete.
    pub kind: Kind,
    /// The pre-signed URL for the answer.
    pub response_url: String,
    /// Whose it is.
    pub resource: Resource,
    properties: Map<String, Value>,
}

/// RequestType.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Create.
    Create,
    /// Update.
    Update,
    /// Delete.
    Delete,
}

/// What CloudFormation is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// SUCCESS, with values for Fn::GetAtt.
    Success(Vec<(&'static str, String)>),
    /// FAILED, with the reason.
    Failed(String),
}

/// The three parts that hold SQL.
const PARTS: [&str; 3] = ["create", "update", "delete"];
/// Properties that CloudFormation passes on from the resource itself.
const CLOUDFORMATION: [&str; 2] = ["ServiceToken", "ServiceTimeout"];

impl ResourceRequest {
    /// Whether an event comes from CloudFormation.
    #[must_use]
    pub fn is(event: &Value) -> bool {
        event.get("RequestType").is_some() && event.get("ResponseURL").is_some()
    }

    /// Reads the envelope: what is needed to answer at all.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if there is nobody to answer.
    pub fn envelope(event: &Value) -> Result<Self, Error> {
        let text = |name: &str| {
            let value = event.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
            value.ok_or_else(|| Error::invalid(name, "is missing", "what CloudFormation sends"))
        };
        let kind = match text("RequestType")?.as_str() {
            "Create" => Kind::Create,
            "Update" => Kind::Update,
            "Delete" => Kind::Delete,
            _ => {
                return Err(Error::invalid("RequestType", "is unknown", "Create, Update, Delete"));
            }
        };
        Ok(Self {
            kind,
            response_url: text("ResponseURL")?,
            resource: Resource {
                stack_id: text("StackId")?,
                request_id: text("RequestId")?,
                logical_id: text("LogicalResourceId")?,
            },
            properties: event.get("ResourceProperties").and_then(Value::as_object).cloned().unwrap_or_default(),
        })
    }

    /// A property of the resource; text, as CloudFormation sends every scalar. Nothing where it is empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.properties.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The idempotency key: CloudFormation's request, however often it is delivered.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        key::hash(["resource", &self.resource.stack_id, &self.resource.logical_id, &self.resource.request_id])
    }

    /// The SQL for this request, if there is any. All three parts are checked every time: what is wrong with the delete
    /// SQL is to be heard at Create, not when the stack is to go away.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for any part or common property.
    pub fn sql(&self, allowed: &[Target]) -> Result<Option<Execute>, Error> {
        let mut common = Map::new();
        for (name, value) in &self.properties {
            if !PARTS.contains(&name.as_str()) && !CLOUDFORMATION.contains(&name.as_str()) {
                common.insert(name.clone(), value.clone());
            }
        }
        for sql in ["sqlStatement", "sqlStatements", "scriptKey", "parameters"] {
            if common.contains_key(sql) {
                return Err(Error::invalid(
                    sql,
                    "stands outside of create, update and delete",
                    "SQL inside these parts",
                ));
            }
        }
        let mut found = None;
        for part in PARTS {
            let Some(value) = self.properties.get(part) else {
                continue;
            };
            let mut object = common.clone();
            match value {
                Value::String(text) if text.is_empty() => continue,
                Value::String(text) => {
                    object.insert("sqlStatement".to_owned(), Value::String(text.clone()));
                }
                Value::Object(fields) => object.extend(fields.clone()),
                _ => {
                    return Err(Error::invalid(
                        part,
                        "is neither text nor an object",
                        "SQL text, or an object with the request's SQL fields",
                    ));
                }
            }
            let execute = Execute::from_properties(&object, allowed).map_err(|error| within(part, error))?;
            if part == self.part() {
                found = Some(execute);
            }
        }
        if !PARTS.iter().any(|part| self.properties.contains_key(*part)) {
            return Err(Error::invalid(
                "create",
                "is missing, and so are update and delete",
                "SQL for at least one of create, update and delete",
            ));
        }
        Ok(found)
    }

    fn part(&self) -> &'static str {
        match self.kind {
            Kind::Create => PARTS[0],
            Kind::Update => PARTS[1],
            Kind::Delete => PARTS[2],
        }
    }
}

fn within(part: &str, error: Error) -> Error {
    match error {
        Error::InvalidRequest { field, problem, allowed } => {
            Error::InvalidRequest { field: format!("{part}.{field}"), problem, allowed }
        }
        other => other,
    }
}

/// The answer's body, at most [`ANSWER_LIMIT`] bytes whatever the reason's length.
#[must_use]
pub fn answer(resource: &Resource, verdict: &Verdict) -> String {
    let body = |reason: &str| {
        let mut body = json!({
            "Status": "SUCCESS",
            "PhysicalResourceId": key::physical_id(&resource.stack_id, &resource.logical_id),
            "StackId": resource.stack_id,
            "RequestId": resource.request_id,
            "LogicalResourceId": resource.logical_id,
        });
        if matches!(verdict, Verdict::Failed(_)) {
            body["Status"] = json!("FAILED");
            body["Reason"] = json!(reason);
        }
        if let Verdict::Success(data) = verdict {
            let data: Map<String, Value> =
                data.iter().map(|(k, v)| ((*k).to_owned(), Value::String(v.clone()))).collect();
            body["Data"] = Value::Object(data);
        }
        body.to_string()
    };
    let reason = match verdict {
        Verdict::Success(_) => "",
        Verdict::Failed(reason) => reason.as_str(),
    };
    let mut most = reason.chars().count().min(ANSWER_LIMIT);
    loop {
        let text = body(&cut(reason, most));
        if text.len() <= ANSWER_LIMIT || most == 0 {
            return text;
        }
        // A character takes up to 12 bytes escaped, so cutting the excess divided by that never cuts too much.
        most = most.saturating_sub(((text.len() - ANSWER_LIMIT) / 12).max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, properties: &Value) -> Value {
        json!({"RequestType": kind, "ResponseURL": "http://r", "StackId": "s", "RequestId": "r", "LogicalResourceId": "l",
               "ResourceType": "Custom::Sql", "ResourceProperties": properties})
    }

    fn sql(kind: &str, properties: &Value) -> Result<Option<Execute>, Error> {
        ResourceRequest::envelope(&event(kind, properties)).and_then(|r| r.sql(&[]))
    }

    #[test]
    fn every_part_is_checked_every_time() {
        let properties = json!({"ServiceToken": "arn", "ServiceTimeout": "60", "create": "create table t (a int)",
            "delete": {"sqlStatement": "drop table t", "sessionKeepAliveSeconds": "60"}, "errorNames": "detailed"});
        let create = sql("Create", &properties).ok().flatten().map(|e| e.source);
        assert_eq!(create, Some(crate::request::Source::Text("create table t (a int)".to_owned())));
        assert_eq!(sql("Update", &properties), Ok(None));
        assert_eq!(sql("Delete", &properties).ok().flatten().and_then(|e| e.session_keep_alive), Some(60));
        let bad = [
            (json!({}), "create"),
            (json!({"create": "select 1", "delete": {"sqlStatment": "x"}}), "delete.sqlStatment"),
            (json!({"create": "select 1", "delete": {}}), "delete.sqlStatement"),
            (json!({"create": 5}), "create"),
            (json!({"create": {"sqlStatement": "select 1", "taskToken": "t"}}), "create.taskToken"),
            (json!({"create": {"action": "cancelStatement", "statementId": "LATEST"}}), "create.action"),
            (json!({"sqlStatement": "select 1"}), "sqlStatement"),
            (json!({"create": "select 1", "Create": "select 1"}), "create.Create"),
        ];
        for (properties, path) in bad {
            for kind in ["Create", "Update", "Delete"] {
                match sql(kind, &properties) {
                    Err(Error::InvalidRequest { field, .. }) => {
                        assert_eq!(field, path, "{properties}")
                    }
                    other => panic!("{properties}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn the_answer_fits_whatever_the_reason() {
        let resource = Resource { stack_id: "s".repeat(200), request_id: "r".to_owned(), logical_id: "l".to_owned() };
        for reason in ["short".to_owned(), "x".repeat(100_000), "\u{1}ä\"".repeat(5_000)] {
            let body = answer(&resource, &Verdict::Failed(reason.clone()));
            assert!(body.len() <= ANSWER_LIMIT, "{}", body.len());
            assert!(reason.len() < 100 || body.len() > ANSWER_LIMIT - 200, "{}", body.len());
            let value: Value = serde_json::from_str(&body).unwrap_or_default();
            assert_eq!(value["Status"], "FAILED");
        }
        let one = key::physical_id("s", "l");
        assert_eq!(one, key::physical_id("s", "l"));
        assert_ne!(one, key::physical_id("s", "m"));
    }
}
