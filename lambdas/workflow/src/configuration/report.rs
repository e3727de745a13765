//! What a report is made of: sections (one per query), rules over their rows, and recommendations. Rules are data; the SQL
//! in them is only looked at when a report is made, where a rule that cannot run becomes an entry of the report.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;
use super::problem::{Object, Problem, Reader, child, kind, meant};
use super::workflow::{Targets, Workflow, targets};

/// The texts of a report's files.
#[derive(Debug, Clone)]
pub struct ReportFiles<'t> {
    /// The folder they are in, for the problems: `config/review`.
    pub folder: String,
    /// `sections.json`.
    pub sections: &'t str,
    /// `rules.json`.
    pub rules: &'t str,
    /// `recommendations.json`.
    pub recommendations: &'t str,
}

/// A report's configuration. Order is the files'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The sections, in the order in which the report shows them.
    pub sections: Vec<Section>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The recommendations.
    pub recommendations: Vec<Recommendation>,
}

/// A part of the report: the rows of one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The query's name. In rules its table is called so, with `_` for `-`. The section `preflight` is special: what its
    /// rules find is what the review could not see, and is said at the top.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// One sentence on what it shows.
    pub about: String,
    /// The targets that have it; the query's, where the file names none.
    pub targets: Targets,
    /// What columns are called and measured in. Others are shown under their own names.
    pub columns: Vec<Column>,
    /// A picture of two columns.
    pub chart: Option<Chart>,
}

impl Section {
    /// The name of its table in rules.
    #[must_use]
    pub fn table(&self) -> String {
        self.id.replace('-', "_")
    }
}

/// How a column is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in the result.
    pub name: String,
    /// Its heading; the name where there is none.
    pub title: Option<String>,
    /// What it is measured in: `%`, `MB`, `s`.
    pub unit: Option<String>,
}

/// A chart over the section's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Its form.
    pub kind: ChartKind,
    /// The column that names the bars, or the times of a line.
    pub label: String,
    /// The column of numbers.
    pub value: String,
}

/// The form of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartKind {
    /// A bar for each row, longest first.
    Bar,
    /// A line through the rows in their order.
    Line,
}

/// How bad a finding is. The order is that of the report: worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Act now.
    High,
    /// Plan it.
    Medium,
    /// Know it.
    Low,
}

impl Severity {
    /// All, worst first.
    pub const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// As configuration spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// When a rule fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// A SQLite predicate over the section's columns: the rows for which it is true.
    When(String),
    /// A SQLite SELECT over the tables of any sections: its rows.
    Select(String),
}

/// A signal and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, by which runs are compared.
    pub id: String,
    /// The section under which its finding is shown.
    pub section: String,
    /// What it says when it fires.
    pub signal: String,
    /// When it fires.
    pub condition: Condition,
    /// What the rows are, in the plural: "nodes".
    pub population: String,
    /// How bad it is.
    pub severity: Severity,
    /// Ids of recommendations.
    pub recommendations: Vec<String>,
    /// The targets it is for; the section's, where the file names none.
    pub targets: Targets,
    /// Where the threshold is from.
    pub source: Option<String>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    /// Its id, as rules name it.
    pub id: String,
    /// What to do, in a few words.
    pub title: String,
    /// What to do, in two or three sentences.
    pub text: String,
    /// How much work it is.
    pub effort: Effort,
    /// Where it is documented (`https://…`).
    pub link: Option<String>,
}

/// How much work a recommendation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// A statement or a setting.
    Low,
    /// A day.
    Medium,
    /// A project.
    High,
}

const SECTION_FIELDS: [&str; 6] = ["id", "title", "about", "targets", "columns", "chart"];
const RULE_FIELDS: [&str; 10] =
    ["id", "section", "signal", "when", "select", "population", "severity", "recommendations", "targets", "source"];
const RECOMMENDATION_FIELDS: [&str; 5] = ["id", "title", "text", "effort", "link"];

/// Reads one file that holds one list of objects with ids.
fn file<T>(
    path: &str,
    text: &str,
    list: &'static str,
    problems: &mut Vec<Problem>,
    mut each: impl FnMut(&mut Reader<'_>, &Value, String) -> Option<(String, T)>,
) -> Vec<T> {
    let (value, found) = json::parse(path, text);
    let mut reader = Reader::new(path);
    reader.problems = found;
    let mut items = Vec::new();
    let mut ids: HashMap<String, String> = HashMap::new();
    if let Some(value) = &value
        && let Some(root) = reader.object(value, "$".to_owned(), &["$schema", list])
    {
        for (value, path) in reader.list(&root, list, true).unwrap_or_default() {
            let Some((id, item)) = each(&mut reader, value, path.clone()) else { continue };
            if let Some(first) = ids.get(&id) {
                reader.problem(
                    format!("{path}.id"),
                    format!("the id {id:?} is taken by {first}"),
                    "give it another id",
                );
            } else {
                ids.insert(id, path);
            }
            items.push(item);
        }
    }
    problems.append(&mut reader.problems);
    items
}

pub(super) fn read(files: &ReportFiles<'_>, workflow: Option<&Workflow>) -> Result<Report, Vec<Problem>> {
    let mut problems = Vec::new();
    let key = |name: &str| format!("{}/{name}.json", files.folder);
    let sections = file(&key("sections"), files.sections, "sections", &mut problems, |reader, value, path| {
        section(reader, value, path, workflow)
    });
    // The names are taken from the text, so that a wrong section does not make its rules wrong as well.
    let ids = |text: &str, list: &str| -> Vec<String> {
        serde_json::from_str::<Value>(text)
            .ok()
            .and_then(|value| value.get(list).and_then(Value::as_array).cloned())
            .unwrap_or_default()
            .iter()
            .filter_map(|item| item.get("id").and_then(Value::as_str).map(str::to_owned))
            .collect()
    };
    let section_ids = ids(files.sections, "sections");
    let recommendation_ids = ids(files.recommendations, "recommendations");
    let rules = file(&key("rules"), files.rules, "rules", &mut problems, |reader, value, path| {
        rule(reader, value, path, &sections, &section_ids, &recommendation_ids)
    });
    let recommendations =
        file(&key("recommendations"), files.recommendations, "recommendations", &mut problems, recommendation);
    if problems.is_empty() { Ok(Report { sections, rules, recommendations }) } else { Err(problems) }
}

fn section(
    reader: &mut Reader<'_>,
    value: &Value,
    path: String,
    workflow: Option<&Workflow>,
) -> Option<(String, Section)> {
    let object = reader.object(value, path, &SECTION_FIELDS)?;
    let id = reader.name(&object, "id", Some("add the name of the query that feeds the section"));
    let title = reader.text(&object, "title", Some("add the section's heading"));
    let about = reader.text(&object, "about", Some("add a sentence on what the section shows"));
    let mut targets = targets(reader, &object);
    if let (Some(id), Some(workflow)) = (&id, workflow) {
        match workflow.queries.iter().find(|query| query.name == *id) {
            None => {
                let names = workflow.queries.iter().map(|query| query.name.as_str());
                let remedy = meant(id, names, "add a query of this name to the workflow, or remove the section");
                reader.problem(object.at("id"), format!("no query {id:?} feeds this section"), remedy);
            }
            Some(query) if !object.map.contains_key("targets") => targets = query.targets,
            Some(query) => {
                for target in super::Target::ALL {
                    if targets.has(target) && !query.targets.has(target) {
                        let what = format!("the query {id:?} is not for {}", target.name());
                        reader.problem(object.at("targets"), what, "remove the target, or make the query for it");
                    }
                }
            }
        }
    }
    let columns = columns(reader, &object);
    let chart = match object.map.get("chart") {
        None => None,
        Some(value) => chart(reader, value, object.at("chart")),
    };
    let section = Section { id: id?, title: title?, about: about?, targets, columns, chart };
    Some((section.id.clone(), section))
}

fn columns(reader: &mut Reader<'_>, object: &Object<'_>) -> Vec<Column> {
    let Some(value) = object.map.get("columns") else { return Vec::new() };
    let path = object.at("columns");
    let Some(map) = value.as_object() else {
        reader.problem(path, format!("this is {}", kind(value)), "an object is needed here: columns by their names");
        return Vec::new();
    };
    map.iter()
        .filter_map(|(name, value)| {
            let object = reader.object(value, child(&path, name), &["title", "unit"])?;
            let title = reader.text(&object, "title", None);
            let unit = reader.text(&object, "unit", None);
            Some(Column { name: name.clone(), title, unit })
        })
        .collect()
}

fn chart(reader: &mut Reader<'_>, value: &Value, path: String) -> Option<Chart> {
    let object = reader.object(value, path, &["kind", "label", "value"])?;
    let kind = reader.word(&object, "kind", &["bar", "line"], Some("add \"bar\" or \"line\""));
    let label = reader.text(&object, "label", Some("name the column that names the bars"));
    let value = reader.text(&object, "value", Some("name the column of numbers"));
    let kind = if kind? == "bar" { ChartKind::Bar } else { ChartKind::Line };
    Some(Chart { kind, label: label?, value: value? })
}

fn rule(
    reader: &mut Reader<'_>,
    value: &Value,
    path: String,
    sections: &[Section],
    section_ids: &[String],
    recommendation_ids: &[String],
) -> Option<(String, Rule)> {
    let object = reader.object(value, path, &RULE_FIELDS)?;
    let id = reader.name(&object, "id", Some("add an id, by which runs are compared"));
    let section = reader.text(&object, "section", Some("name the section under which it is shown"));
    if let Some(section) = &section
        && !section_ids.contains(section)
    {
        let remedy = meant(section, section_ids.iter().map(String::as_str), "name a section of sections.json");
        reader.problem(object.at("section"), format!("there is no section {section:?}"), remedy);
    }
    let signal = reader.text(&object, "signal", Some("add what the rule says when it fires"));
    let population = reader.text(&object, "population", Some("add what the rows are, in the plural"));
    let severity =
        reader.word(&object, "severity", &Severity::ALL.map(Severity::name), Some("add high, medium or low"));
    let when = reader.text(&object, "when", None);
    let select = reader.text(&object, "select", None);
    let condition = match (object.map.contains_key("when"), object.map.contains_key("select")) {
        (true, false) => when.map(Condition::When),
        (false, true) => select.map(Condition::Select),
        (true, true) => {
            reader.problem(&object.path, "the rule has both \"when\" and \"select\"", "remove one");
            None
        }
        (false, false) => {
            let remedy =
                "add \"when\", a predicate over the section's columns, or \"select\", a SELECT over any sections";
            reader.problem(&object.path, "the rule has no condition", remedy);
            None
        }
    };
    let mut recommendations = Vec::new();
    for (value, path) in reader.list(&object, "recommendations", true).unwrap_or_default() {
        let Some(id) = reader.text_value(value, path.clone()) else { continue };
        if recommendations.contains(&id) {
            reader.problem(path, format!("{id:?} stands twice"), "remove one");
            continue;
        }
        if !recommendation_ids.contains(&id) {
            let remedy = meant(
                &id,
                recommendation_ids.iter().map(String::as_str),
                "name a recommendation of recommendations.json",
            );
            reader.problem(path, format!("there is no recommendation {id:?}"), remedy);
        }
        recommendations.push(id);
    }
    let own = targets(reader, &object);
    let shown = sections.iter().find(|candidate| Some(&candidate.id) == section.as_ref());
    let targets = match shown {
        Some(shown) if !object.map.contains_key("targets") => shown.targets,
        Some(shown) => {
            for target in super::Target::ALL {
                if own.has(target) && !shown.targets.has(target) {
                    let what = format!("the section {:?} is not for {}", shown.id, target.name());
                    reader.problem(object.at("targets"), what, "remove the target, or make the section for it");
                }
            }
            own
        }
        None => own,
    };
    let source = reader.text(&object, "source", None);
    let severity = severity.and_then(|word| Severity::ALL.into_iter().find(|severity| severity.name() == word));
    let rule = Rule {
        id: id?,
        section: section?,
        signal: signal?,
        condition: condition?,
        population: population?,
        severity: severity?,
        recommendations,
        targets,
        source,
    };
    Some((rule.id.clone(), rule))
}

fn recommendation(reader: &mut Reader<'_>, value: &Value, path: String) -> Option<(String, Recommendation)> {
    let object = reader.object(value, path, &RECOMMENDATION_FIELDS)?;
    let id = reader.name(&object, "id", Some("add an id, by which rules name it"));
    let title = reader.text(&object, "title", Some("add what to do, in a few words"));
    let text = reader.text(&object, "text", Some("add what to do, in two or three sentences"));
    let effort = reader.word(&object, "effort", &["low", "medium", "high"], Some("add low, medium or high"));
    let link = reader.text(&object, "link", None);
    if let Some(link) = &link
        && (!link.starts_with("https://") || link.contains(char::is_whitespace))
    {
        reader.problem(object.at("link"), format!("{link:?} is no address"), "write one that starts with https://");
    }
    let effort = match effort? {
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        _ => Effort::High,
    };
    Some((id.clone()?, Recommendation { id: id?, title: title?, text: text?, effort, link }))
}
