//! Reads what a request to create or change a stack says: template, parameters, capabilities, tags.
//!
//! A member that is not understood is refused by name; so is one whose effect would be missed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::engine::{OnFailure, Settings};
use super::files::{Origin, Stored};
use super::record::Record;
use super::{CloudFormation, validation};
use crate::ApiError;
use crate::service::Request;
use crate::template::files::object_of_url;
use crate::template::{Summary, summary};

/// The longest body of a template, in bytes ("CloudFormation quotas").
const MAX_BODY: usize = 51_200;

impl CloudFormation {
    /// The template that a request names.
    pub(super) fn origin(&self, read: &mut Request<'_>, existing: Option<&Record>) -> Result<Origin, ApiError> {
        let (body, url) = (read.text("TemplateBody")?, read.text("TemplateURL")?);
        let previous = flag(read, "UsePreviousTemplate")?.unwrap_or(false);
        match (body, url, previous) {
            (Some(body), None, false) if body.len() > MAX_BODY => Err(validation(format!(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have \
                 length less than or equal to {MAX_BODY}"
            ))),
            (Some(body), None, false) => Ok(Origin::body(body)),
            (None, Some(url), false) => object_of_url(url, &self.parts().endpoint)
                .map(Origin::object)
                .ok_or_else(|| validation("TemplateURL must be a supported URL.")),
            (None, None, true) => {
                let previous = existing.and_then(|record| record.deployed.origin.clone());
                previous.ok_or_else(|| validation("There is no previous template to use."))
            }
            _ => Err(validation("Either Template URL or Template Body must be specified.")),
        }
    }

    /// The template as such.
    pub(super) fn summary_of(&self, origin: &Origin) -> Result<Summary, ApiError> {
        let files = Stored::new(self.parts().s3.clone(), origin.clone());
        let found = summary(&origin.place, &files);
        let found = found.map_err(|error| validation(format!("Template format error: {error}")))?;
        match &found.refused {
            Some(refused) => Err(validation(refused)),
            None => Ok(found),
        }
    }

    /// Everything that CreateStack, UpdateStack and CreateChangeSet have in common.
    pub(super) fn asked(&self, read: &mut Request<'_>, existing: Option<&Record>) -> Result<Settings, ApiError> {
        let origin = self.origin(read, existing)?;
        let summary = self.summary_of(&origin)?;
        let mut given = BTreeMap::new();
        for parameter in read.list("Parameters")? {
            let text = |name: &str| parameter.get(name).and_then(Value::as_str);
            let Some(key) = text("ParameterKey") else {
                return Err(validation("1 validation error detected: a parameter has no ParameterKey"));
            };
            let value = match text("UsePreviousValue") {
                Some("true") => match existing.and_then(|record| record.parameters.get(key)) {
                    Some(value) => value.clone(),
                    None => {
                        return Err(validation(format!(
                            "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a \
                             parameter key not in the previous template"
                        )));
                    }
                },
                // An empty text travels as none.
                _ => text("ParameterValue").unwrap_or_default().to_owned(),
            };
            given.insert(key.to_owned(), value);
        }
        if let Some(refused) = summary.refuses(&given) {
            return Err(validation(refused));
        }
        let capabilities: Vec<String> = texts(read, "Capabilities")?;
        if let Some((needed, _)) = &summary.declared.capability
            && !super::apply::grants(&capabilities, needed)
        {
            let text = format!("Requires capabilities : [{needed}]");
            return Err(ApiError::new(400, "InsufficientCapabilitiesException", text));
        }
        let mut tags = Vec::new();
        for tag in read.list("Tags")? {
            let text = |name: &str| tag.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            tags.push((text("Key"), text("Value")));
        }
        // Nobody but the person at the machine deploys here; notifications and tokens have no effect on what is made.
        for name in ["RoleARN", "ClientRequestToken", "ClientToken", "TimeoutInMinutes", "ResourceTypes"] {
            read.value(name);
        }
        if !texts(read, "NotificationARNs")?.is_empty() {
            return Err(ApiError::not_implemented("cloudformation", "NotificationARNs"));
        }
        if flag(read, "EnableTerminationProtection")? == Some(true) {
            return Err(ApiError::not_implemented("cloudformation", "EnableTerminationProtection"));
        }
        Ok(Settings { origin, given, capabilities, tags, on_failure: OnFailure::RollBack, retain: BTreeSet::new() })
    }
}

/// A flag, which the query protocol writes as text.
pub(super) fn flag(read: &mut Request<'_>, name: &'static str) -> Result<Option<bool>, ApiError> {
    match read.value(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(value) => match value.as_str() {
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            _ => Err(validation(format!("{name} must be true or false"))),
        },
    }
}

pub(super) fn texts(read: &mut Request<'_>, name: &'static str) -> Result<Vec<String>, ApiError> {
    Ok(read.list(name)?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}
