//! Map states, inline and distributed.

use std::sync::Arc;

use serde_json::{Map as Object, Value};

use super::super::fields::Fields;
use super::super::{Batcher, Distributed, Kind, Language, Map, Reader, Writer};
use super::program;
use super::state::StateReader;
use crate::TaskResource;
use crate::template::Template;

impl StateReader<'_, '_> {
    pub(super) fn map(&mut self) -> Option<Kind> {
        self.fields.one_of(&["ItemProcessor", "Iterator"]);
        self.fields.one_of(&["ItemSelector", "Parameters"]);
        let field = if self.fields.get("Iterator").is_some() { "Iterator" } else { "ItemProcessor" };
        let Some(processor) = self.fields.object(field) else {
            self.fields.here("These fields are required: [ItemProcessor]");
            return None;
        };
        let location = format!("{}/{field}", self.fields.location);
        let mut fields = Fields {
            object: processor,
            location: location.clone(),
            language: self.machine,
            findings: self.fields.findings,
        };
        fields.only(&["StartAt", "States", "ProcessorConfig"], &[], &[]);
        let mut mode = "INLINE";
        if let Some(config) = fields.object("ProcessorConfig") {
            let mut config = Fields {
                object: config,
                location: format!("{location}/ProcessorConfig"),
                language: self.machine,
                findings: fields.findings,
            };
            config.only(&["Mode", "ExecutionType"], &[], &[]);
            mode = config.text("Mode").unwrap_or("INLINE");
            if !matches!(mode, "INLINE" | "DISTRIBUTED") {
                config.wrong("Mode", "Value is not one of: [INLINE, DISTRIBUTED]");
            }
            if config.text("ExecutionType").is_some_and(|kind| !matches!(kind, "STANDARD" | "EXPRESS")) {
                config.wrong("ExecutionType", "Value is not one of: [STANDARD, EXPRESS]");
            }
        }
        let program = program(processor, &location, self.machine, self.depth + 1, self.fields.findings);
        let selector_field = if self.fields.get("Parameters").is_some() { "Parameters" } else { "ItemSelector" };
        let distributed = if mode == "DISTRIBUTED" {
            Some(self.distributed())
        } else {
            for name in ["ItemReader", "ItemBatcher", "ResultWriter", "Label"] {
                if self.fields.get(name).is_some() {
                    self.fields.here(format!("Field '{name}' is not supported"));
                }
            }
            None
        };
        let jsonata = self.fields.language == Language::Jsonata;
        let map = Map {
            items_path: if self.fields.get("ItemsPath").is_some() { self.fields.path("ItemsPath") } else { None },
            items: if jsonata { self.fields.template("Items") } else { None },
            selector: self.fields.template(selector_field),
            concurrency: self.fields.given_whole("MaxConcurrency", 0.0, None),
            tolerated_count: self.fields.given_whole("ToleratedFailureCount", 0.0, None),
            tolerated_percentage: self.fields.given_number("ToleratedFailurePercentage", 0.0, Some(100.0)),
            program: program?,
            distributed,
        };
        Some(Kind::Map(Box::new(map)))
    }

    fn distributed(&mut self) -> Distributed {
        let label = self.fields.text("Label").map(str::to_owned);
        if label.as_ref().is_some_and(|label| label.is_empty() || label.chars().count() > 40) {
            self.fields.wrong("Label", "A label has 1 to 40 characters");
        }
        // "Map state in Distributed mode", fields.
        let bad = |c: char| c.is_whitespace() || c.is_control() || "?*<>{}[]:;,\\|^~$#%&`\"/".contains(c);
        if label.as_ref().is_some_and(|label| label.contains(bad)) {
            self.fields.wrong("Label", "A label has no blanks, brackets, wildcards and special characters");
        }
        Distributed { label, reader: self.reader(), batcher: self.batcher(), writer: self.writer() }
    }

    fn part(&mut self, field: &str) -> Option<Fields<'_, '_>> {
        let object = self.fields.object(field)?;
        let location = format!("{}/{field}", self.fields.location);
        Some(Fields { object, location, language: self.fields.language, findings: self.fields.findings })
    }

    fn reader(&mut self) -> Option<Reader> {
        let mut fields = self.part("ItemReader")?;
        fields.only(&["Resource", "ReaderConfig"], &["Parameters"], &["Arguments"]);
        let arguments = arguments(&mut fields);
        let resource = resource(&mut fields);
        let mut max_items = None;
        if let Some(config) = fields.object("ReaderConfig") {
            let mut config = Fields {
                object: config,
                location: format!("{}/ReaderConfig", fields.location),
                language: fields.language,
                findings: fields.findings,
            };
            config.only(
                &["InputType", "MaxItems", "CSVHeaderLocation", "CSVHeaders", "CSVDelimiter", "ItemsPointer"],
                &["MaxItemsPath"],
                &[],
            );
            config.choice("InputType", &["JSON", "JSONL", "CSV"]);
            config.choice("CSVHeaderLocation", &["FIRST_ROW", "GIVEN"]);
            config.choice("CSVDelimiter", &["COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"]);
            max_items = config.given_whole("MaxItems", 0.0, Some(100_000_000.0));
        }
        let config = fields.get("ReaderConfig").cloned().unwrap_or_default();
        Some(Reader { resource: resource?, arguments, config, max_items })
    }

    fn batcher(&mut self) -> Option<Batcher> {
        let mut fields = self.part("ItemBatcher")?;
        fields.only(
            &["BatchInput", "MaxItemsPerBatch", "MaxInputBytesPerBatch"],
            &["MaxItemsPerBatchPath", "MaxInputBytesPerBatchPath"],
            &[],
        );
        Some(Batcher {
            input: fields.template("BatchInput"),
            max_items: fields.given_whole("MaxItemsPerBatch", 0.0, None),
            max_bytes: fields.given_whole("MaxInputBytesPerBatch", 0.0, None),
        })
    }

    fn writer(&mut self) -> Option<Writer> {
        let mut fields = self.part("ResultWriter")?;
        fields.only(&["Resource", "WriterConfig"], &["Parameters"], &["Arguments"]);
        let arguments = arguments(&mut fields);
        if fields.get("Resource").is_none() && fields.get("WriterConfig").is_none() {
            fields.here("One of the following fields is required: [Resource, WriterConfig]");
        }
        let resource = if fields.get("Resource").is_some() { resource(&mut fields) } else { None };
        if let Some(config) = fields.object("WriterConfig") {
            let mut config = Fields {
                object: config,
                location: format!("{}/WriterConfig", fields.location),
                language: fields.language,
                findings: fields.findings,
            };
            config.only(&["Transformation", "OutputType"], &[], &[]);
            config.choice("Transformation", &["NONE", "COMPACT", "FLATTEN"]);
            config.choice("OutputType", &["JSON", "JSONL"]);
        }
        let config = fields.get("WriterConfig").cloned().unwrap_or_default();
        Some(Writer { resource, config, arguments })
    }
}

fn arguments(fields: &mut Fields<'_, '_>) -> Template {
    let field = if fields.language == Language::JsonPath { "Parameters" } else { "Arguments" };
    fields.template(field).unwrap_or(Template::Literal(Value::Object(Object::new())))
}

fn resource(fields: &mut Fields<'_, '_>) -> Option<Arc<TaskResource>> {
    let text = fields.text("Resource").unwrap_or_default();
    match TaskResource::parse(text) {
        Ok(resource) => Some(Arc::new(resource)),
        Err(message) => {
            fields.wrong("Resource", message);
            None
        }
    }
}
