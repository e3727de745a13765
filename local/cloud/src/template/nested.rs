//! What a resource brings from elsewhere: the template of a nested stack, the code of a function.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::intrinsics::{Attributes, Failed};
use super::parameters::scalar;
use super::source::Findings;
use super::{Loader, StackName, files, intrinsics, shape};

impl Loader<'_> {
    /// The code of a function: a path stays as it is, an object becomes `s3://BUCKET/KEY/PROGRAM`, so that its last part
    /// names the program either way.
    pub(super) fn code(
        &self,
        properties: &mut Map<String, Value>,
        at: &str,
        findings: &mut Findings,
    ) -> Result<(), Failed> {
        let at = format!("{at}.Code");
        let Some(code) = properties.get("Code").filter(|code| !code.is_string()) else { return Ok(()) };
        let member = |name: &str| code.get(name).and_then(Value::as_str);
        let (Some(bucket), Some(key), true) = (member("S3Bucket"), member("S3Key"), self.source.has_objects()) else {
            return intrinsics::fail(
                findings,
                &at,
                "is not a path on this machine",
                "give a path relative to the template, as `aws cloudformation package` takes it",
            );
        };
        let place = files::object(bucket, key);
        let named = match self.source.package(&place) {
            Ok(named) => named,
            Err(error) => {
                let problem = format!("{} cannot be read: {error}", place.display());
                return intrinsics::fail(findings, &at, problem, "upload the package first");
            }
        };
        // The program's own runtime does not read its handler, so that it may say which program it is.
        let handler = properties.get("Handler").and_then(Value::as_str).filter(|handler| *handler != "bootstrap");
        let Some(program) = named.or_else(|| handler.map(str::to_owned)).filter(|name| !name.contains('/')) else {
            return intrinsics::fail(
                findings,
                &at,
                format!("{} does not say which program it holds", place.display()),
                "upload it with the metadata `package`, as `tasker package` does, or name the program as the Handler",
            );
        };
        properties.insert("Code".into(), json!(format!("{}/{program}", place.display())));
        Ok(())
    }

    pub(super) fn nested(
        &mut self,
        properties: &Map<String, Value>,
        folder: &Path,
        at: &str,
        nested: &StackName,
        findings: &mut Findings,
    ) -> Result<Attributes, Failed> {
        const PROPERTIES: &[shape::Property] = &[
            shape::has("TemplateURL", shape::Shape::Text).required(),
            shape::has("Parameters", shape::Shape::Json),
            shape::idle("TimeoutInMinutes", shape::Shape::Number, "creation takes no time"),
            shape::TAGS,
        ];
        let before = findings.problems.len();
        let checked = shape::check(Value::Object(properties.clone()), shape::Shape::Object(PROPERTIES), at, findings);
        if findings.problems.len() > before {
            return Err(Failed);
        }
        let url = checked.get("TemplateURL").and_then(Value::as_str).unwrap_or_default();
        let object = files::object_of_url(url, &self.inputs.endpoint).filter(|_| self.source.has_objects());
        if url.contains("://") && object.is_none() {
            return intrinsics::fail(
                findings,
                &format!("{at}.TemplateURL"),
                "is not a path on this machine",
                "give a path relative to the template, as `aws cloudformation package` takes it",
            );
        }
        let mut given = BTreeMap::new();
        let mut failed = false;
        match checked.get("Parameters") {
            None => {}
            Some(Value::Object(parameters)) => {
                for (name, value) in parameters {
                    // A list becomes the text that a CommaDelimitedList is read from.
                    let text = match value {
                        Value::Array(list) => {
                            list.iter().map(scalar).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
                        }
                        value => scalar(value),
                    };
                    match text {
                        Some(text) => drop(given.insert(name.clone(), text)),
                        None => {
                            findings.add(
                                format!("{at}.Parameters.{name}"),
                                "is neither text nor a list of texts",
                                "pass text",
                            );
                            failed = true;
                        }
                    }
                }
            }
            Some(_) => {
                findings.add(format!("{at}.Parameters"), "is not an object", "map names to values");
                failed = true;
            }
        }
        if failed {
            return Err(Failed);
        }
        let file = object.unwrap_or_else(|| folder.join(url.trim_start_matches("./")));
        let given_at = format!("by {at}");
        let outputs = self.stack(&file, nested, &given, &given_at)?;
        Ok(Attributes {
            reference: self.naming(nested, "").stack_id(),
            values: outputs.into_iter().map(|(name, value)| (format!("Outputs.{name}"), value)).collect(),
        })
    }
}
