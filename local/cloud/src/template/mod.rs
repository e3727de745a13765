//! Resolves CloudFormation templates: files and parameter values in, resources with resolved properties in order of
//! creation out.
//!
//! Pure but for reading the files: creates nothing, contacts nothing. Physical names and ARNs are computed, so every
//! reference resolves before anything exists. Must never pass over anything: an unknown section, type, property,
//! attribute or function is an error that names the file, the place, the problem and the remedy.

mod conditions;
pub(crate) mod custom;
mod definition;
pub(crate) mod files;
mod graph;
mod intrinsics;
pub mod kinds;
mod nested;
mod parameters;
mod rules;
pub mod shape;
mod source;
mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use files::{Disk, Files};
pub use intrinsics::Attributes;
pub use summary::{Declared, Summary, summary};

use intrinsics::{Failed, Scope};
use kinds::Naming;
use parameters::scalar;
use source::Findings;

/// The type of a nested stack; it is no entry of [`kinds`] because the loader itself resolves it.
pub const STACK: &str = "AWS::CloudFormation::Stack";

/// One thing that is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The template file.
    pub file: PathBuf,
    /// Where in it, such as `Resources.Queue.Properties.KmsMasterKeyId`.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}: {} ({})", self.file.display(), self.at, self.problem, self.remedy)
    }
}

/// Everything that was found wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, problem) in self.problems.iter().enumerate() {
            if count > 0 {
                writeln!(out)?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

/// What the templates are resolved with.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The root stack's name.
    pub stack_name: String,
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::AccountId`.
    pub account: String,
    /// `AWS::Partition`.
    pub partition: String,
    /// Where queue URLs begin, `http://127.0.0.1:PORT`: the one thing about a name that depends on the machine.
    pub endpoint: String,
    /// Values of the root template's parameters.
    pub parameters: BTreeMap<String, String>,
}

/// One resource, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// The logical ids that lead to it, such as `Tasker/CompletionQueue`.
    pub path: String,
    /// The last of them.
    pub logical_id: String,
    /// The name of the stack that it belongs to.
    pub stack: String,
    /// The file that declares it.
    pub file: PathBuf,
    /// CloudFormation's type.
    pub kind: String,
    /// What `Ref` and `Fn::GetAtt` give.
    pub attributes: Attributes,
    /// Resolved and converted to their types. A state machine's definition is always in `DefinitionString`, with its
    /// substitutions made.
    pub properties: Value,
    /// The paths of the resources that it needs.
    pub needs: Vec<String>,
    /// `Delete` when the template does not say.
    pub deletion_policy: String,
    /// `Delete` when the template does not say.
    pub update_replace_policy: String,
}

impl Resource {
    /// The physical name: the property of this name, or what the loader made up.
    pub fn name(&self) -> &str {
        let attribute = match self.kind.as_str() {
            "AWS::SQS::Queue" => "QueueName",
            "AWS::SNS::Topic" => "TopicName",
            "AWS::StepFunctions::StateMachine" => "Name",
            _ => return &self.attributes.reference,
        };
        self.attributes.values.get(attribute).map_or("", String::as_str)
    }

    /// `Fn::GetAtt` `Arn`; empty for a type without.
    pub fn arn(&self) -> &str {
        self.attributes.values.get("Arn").map_or("", String::as_str)
    }
}

/// What the templates come to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// Every resource of every stack, each after what it needs. A nested stack comes after its resources.
    pub resources: Vec<Resource>,
    /// The root stack's outputs.
    pub outputs: BTreeMap<String, String>,
    /// Every stack, the root first and each nested one when its turn came.
    pub stacks: Vec<Stack>,
}

/// One stack of a model: the root, or a nested one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stack {
    /// Logical path of the resource that it is; empty for the root.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub id: String,
    /// The template as it stands in its file.
    pub template: String,
    /// What the template says about itself.
    pub declared: Declared,
    /// The values of its parameters, in the order of their names.
    pub parameters: BTreeMap<String, String>,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
}

/// What is known from a deployment and cannot be computed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known {
    /// What `Ref` and `Fn::GetAtt` give, by the resource's path: the answers of custom resources, versions.
    pub attributes: BTreeMap<String, Attributes>,
    /// How often a stack of this name was created before.
    pub incarnation: u32,
}

impl Model {
    /// The resources of one type, in order of creation.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// The resource with this path (`Tasker/EveryMinute`), logical id or physical name, when exactly one has it.
    pub fn find(&self, name: &str) -> Option<&Resource> {
        if let Some(found) = self.resources.iter().find(|resource| resource.path == name) {
            return Some(found);
        }
        let mut found = self.resources.iter().filter(|resource| resource.logical_id == name || resource.name() == name);
        found.next().filter(|_| found.next().is_none())
    }
}

/// Resolves a root template and the templates nested in it.
///
/// # Errors
/// All problems that were found; those of a nested stack hide those that only depend on it.
pub fn load(file: &Path, inputs: &Inputs) -> Result<Model, Error> {
    resolve(file, inputs, &Disk, &Known::default())
}

/// The same from other files than this machine's, in the middle of a deployment: with what is known by now. Until a
/// custom resource has answered, a text that no resource can be made with stands for what it will say.
///
/// # Errors
/// As [`load`].
pub fn resolve(file: &Path, inputs: &Inputs, files: &dyn Files, known: &Known) -> Result<Model, Error> {
    let mut loader =
        Loader { inputs, source: files, known, model: Model::default(), problems: Vec::new(), files: Vec::new() };
    let name = inputs.stack_name.as_bytes();
    let fits = name.len() <= 128 && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if !fits || !name.first().is_some_and(u8::is_ascii_alphabetic) {
        loader.problems.push(Problem {
            file: file.to_owned(),
            at: "the stack's name".into(),
            problem: format!("{:?} is not one that CloudFormation takes", inputs.stack_name),
            remedy: "begin with a letter; use letters, digits and hyphens; at most 128 characters".into(),
        });
    }
    let stack = StackName { name: inputs.stack_name.clone(), path: String::new() };
    let outputs = loader.stack(file, &stack, &inputs.parameters, "from outside");
    match outputs {
        Ok(outputs) if loader.problems.is_empty() => {
            loader.model.outputs = outputs;
            Ok(loader.model)
        }
        _ => Err(Error { problems: loader.problems }),
    }
}

struct Loader<'a> {
    inputs: &'a Inputs,
    source: &'a dyn Files,
    known: &'a Known,
    model: Model,
    problems: Vec<Problem>,
    /// The files that are being loaded, outermost first: a template that nests itself would never end.
    files: Vec<PathBuf>,
}

struct StackName {
    name: String,
    /// Empty for the root, else ending in a slash.
    path: String,
}

impl Loader<'_> {
    /// Loads one stack and gives its outputs.
    fn stack(
        &mut self,
        file: &Path,
        stack: &StackName,
        given: &BTreeMap<String, String>,
        given_at: &str,
    ) -> Result<BTreeMap<String, String>, Failed> {
        let mut findings = Findings::new(file);
        let canonical = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        if self.files.contains(&canonical) {
            findings.add("the file", "nests itself", "a template cannot be its own nested stack");
            self.problems.append(&mut findings.problems);
            return Err(Failed);
        }
        self.files.push(canonical);
        let outputs = self.stack_in(file, stack, given, given_at, &mut findings);
        self.files.pop();
        let clean = findings.problems.is_empty();
        self.problems.append(&mut findings.problems);
        outputs.and_then(|outputs| if clean { Ok(outputs) } else { Err(Failed) })
    }

    fn stack_in(
        &mut self,
        file: &Path,
        stack: &StackName,
        given: &BTreeMap<String, String>,
        given_at: &str,
        findings: &mut Findings,
    ) -> Result<BTreeMap<String, String>, Failed> {
        let source = source::read(file, self.source, findings).ok_or(Failed)?;
        let place = self.model.stacks.len();
        self.model.stacks.push(Stack {
            path: stack.path.trim_end_matches('/').to_owned(),
            name: stack.name.clone(),
            id: self.naming(stack, "").stack_id(),
            template: source.text.clone(),
            declared: Declared::of(&source),
            ..Stack::default()
        });
        let mut values = parameters::values(&source.parameters, given, given_at, findings);
        let shown = |value: &Value| match value {
            Value::Array(list) => list.iter().filter_map(scalar).collect::<Vec<_>>().join(","),
            value => scalar(value).unwrap_or_default(),
        };
        let parameters = values.iter().map(|(name, value)| (name.clone(), shown(value))).collect();
        if let Some(declared) = self.model.stacks.get_mut(place) {
            declared.parameters = parameters;
        }
        values.extend(self.pseudo_parameters(stack));
        let mut scope = Scope {
            source: &source,
            values,
            conditions: BTreeMap::new(),
            resources: BTreeMap::new(),
            broken: BTreeSet::new(),
            pending: BTreeSet::new(),
        };
        rules::check(&scope, findings);
        conditions::evaluate(&mut scope, findings);
        graph::check_names(&scope, findings);
        let order = graph::order(&scope, findings);
        for (name, needs) in order {
            let at = format!("Resources.{name}");
            match self.resource(&name, &needs, &at, stack, &scope, findings) {
                Ok(attributes) => {
                    let path = format!("{}{name}", stack.path);
                    let kind = source.resources.get(&name).and_then(|declared| declared.get("Type"));
                    if kind.and_then(Value::as_str).is_some_and(custom::is)
                        && !self.known.attributes.contains_key(&path)
                    {
                        scope.pending.insert(name.clone());
                    }
                    scope.resources.insert(name, attributes);
                }
                Err(Failed) => drop(scope.broken.insert(name)),
            }
        }
        let mut outputs = BTreeMap::new();
        for (name, output) in &source.outputs {
            let condition = output.get("Condition").and_then(Value::as_str);
            if condition.is_some_and(|condition| scope.conditions.get(condition) != Some(&true)) {
                continue;
            }
            let at = format!("Outputs.{name}.Value");
            if let Some(value) = output.get("Value")
                && let Ok(text) = scope.text(value, &at, findings)
            {
                outputs.insert(name.clone(), text);
            }
        }
        if let Some(declared) = self.model.stacks.get_mut(place) {
            declared.outputs.clone_from(&outputs);
        }
        Ok(outputs)
    }

    fn pseudo_parameters(&self, stack: &StackName) -> [(String, Value); 6] {
        let naming = self.naming(stack, "");
        [
            ("AWS::Region", self.inputs.region.clone()),
            ("AWS::AccountId", self.inputs.account.clone()),
            ("AWS::Partition", self.inputs.partition.clone()),
            ("AWS::URLSuffix", "amazonaws.com".into()),
            ("AWS::StackName", stack.name.clone()),
            ("AWS::StackId", naming.stack_id()),
        ]
        .map(|(name, value)| (name.to_owned(), json!(value)))
    }

    fn naming<'n>(&'n self, stack: &'n StackName, logical: &'n str) -> Naming<'n> {
        Naming {
            partition: &self.inputs.partition,
            region: &self.inputs.region,
            account: &self.inputs.account,
            endpoint: &self.inputs.endpoint,
            stack: &stack.name,
            logical,
            incarnation: self.known.incarnation,
        }
    }

    fn resource(
        &mut self,
        name: &str,
        needs: &[String],
        at: &str,
        stack: &StackName,
        scope: &Scope<'_>,
        findings: &mut Findings,
    ) -> Result<Attributes, Failed> {
        let declared = scope.source.resources.get(name).and_then(Value::as_object).ok_or(Failed)?;
        let kind = declared.get("Type").and_then(Value::as_str).unwrap_or_default();
        let known = kinds::find(kind);
        if known.is_none() && kind != STACK && !custom::is(kind) {
            return intrinsics::fail(
                findings,
                &format!("{at}.Type"),
                format!("type {kind} is not known to the local cloud"),
                "correct the name, or teach the type to local/cloud",
            );
        }
        let at = format!("{at}.Properties");
        let none = json!({});
        let properties = declared.get("Properties").unwrap_or(&none);
        let Some(Value::Object(mut properties)) = scope.resolve(properties, &at, findings)? else {
            return intrinsics::fail(findings, &at, "is not an object", "properties map names to values");
        };
        let folder = scope.source.file.parent().unwrap_or(Path::new(""));
        let path = format!("{}{name}", stack.path);
        let (attributes, properties) = match known {
            None if custom::is(kind) => {
                let properties = custom::check(properties, &at, findings)?;
                (Attributes { reference: self.naming(stack, name).uuid(), ..Attributes::default() }, properties)
            }
            None => {
                let nested_name = match self.known.incarnation {
                    0 => format!("{}-{name}", stack.name),
                    // Nested stacks take what their parent's name has already.
                    times if stack.path.is_empty() => format!("{}-{name}-{times}", stack.name),
                    _ => format!("{}-{name}", stack.name),
                };
                let nested = StackName { name: nested_name, path: format!("{path}/") };
                let attributes = self.nested(&properties, folder, &at, &nested, findings)?;
                (attributes, Value::Object(properties))
            }
            Some(kind) => {
                if kind.name == "AWS::StepFunctions::StateMachine" {
                    definition::inline(&mut properties, folder, self.source, &at, findings)?;
                }
                if kind.name == "AWS::Lambda::Function" {
                    self.code(&mut properties, &at, findings)?;
                }
                let before = findings.problems.len();
                let checked =
                    shape::check(Value::Object(properties), shape::Shape::Object(kind.properties), &at, findings);
                if findings.problems.len() > before {
                    return Err(Failed);
                }
                ((kind.attributes)(&self.naming(stack, name), &checked), checked)
            }
        };
        let attributes = self.known.attributes.get(&path).cloned().unwrap_or(attributes);
        let policy = |name: &str| declared.get(name).and_then(Value::as_str).unwrap_or("Delete").to_owned();
        self.model.resources.push(Resource {
            path,
            logical_id: name.to_owned(),
            stack: stack.name.clone(),
            file: scope.source.file.clone(),
            kind: kind.to_owned(),
            attributes: attributes.clone(),
            properties,
            needs: needs.iter().map(|need| format!("{}{need}", stack.path)).collect(),
            deletion_policy: policy("DeletionPolicy"),
            update_replace_policy: policy("UpdateReplacePolicy"),
        });
        Ok(attributes)
    }
}
