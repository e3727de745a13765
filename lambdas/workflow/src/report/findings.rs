//! What the rules find, how that differs from the run before, and which recommendations touch most.

use std::collections::{HashMap, HashSet};

use rusqlite::types::Value as Sql;

use super::database::quoted;
use super::{Review, SectionState};
use crate::configuration::{Condition, Rule, Severity};
use crate::summary::{FindingRecord, Summary};

/// A rule that fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    /// The section it is shown under.
    pub section: String,
    /// What it says.
    pub signal: String,
    /// How bad it is.
    pub severity: Severity,
    /// What the rows are, in the plural.
    pub population: String,
    /// How many rows it is true for.
    pub matched: u64,
    /// Of how many: the rows of the section that were looked at. Nothing for a rule over several sections.
    pub total: Option<u64>,
    /// The names of the rows' columns.
    pub columns: Vec<String>,
    /// The first rows.
    pub rows: Vec<Vec<Value>>,
    /// The ids of its recommendations.
    pub recommendations: Vec<String>,
    /// Where the threshold is from.
    pub source: Option<String>,
}

impl Finding {
    /// The share of the population, 0 to 1. A rule over several sections speaks of the whole.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn share(&self) -> f64 {
        match self.total {
            Some(total) if total > 0 => self.matched as f64 / total as f64,
            _ => 1.0,
        }
    }
}

/// A value of a finding's row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A boolean column's.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Text.
    Text(String),
}

/// A rule that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEvaluated {
    /// The rule's id.
    pub rule: String,
    /// The section it would be shown under.
    pub section: String,
    /// What it would say.
    pub signal: String,
    /// Why not.
    pub why: Why,
}

/// Why a rule could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A section that it needs has no rows in this run: its query did not finish.
    SectionMissing(String),
    /// The rule itself is wrong; SQLite's words.
    Rule(String),
}

/// Everything that the rules of a run say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// What fired: worst first, within a severity by the share of the population.
    pub findings: Vec<Finding>,
    /// What could not be evaluated.
    pub not_evaluated: Vec<NotEvaluated>,
    /// How many rules were evaluated.
    pub evaluated: usize,
}

impl Findings {
    /// Puts what the next run needs for its comparison into the summary.
    pub fn record(&self, summary: &mut Summary) {
        summary.findings = self
            .findings
            .iter()
            .map(|finding| FindingRecord {
                rule: finding.rule.clone(),
                section: finding.section.clone(),
                signal: finding.signal.clone(),
                severity: finding.severity,
                matched: finding.matched,
                total: finding.total.unwrap_or(finding.matched),
            })
            .collect();
        summary.not_evaluated = self.not_evaluated.iter().map(|rule| rule.rule.clone()).collect();
    }
}

/// The difference to the run before. Every rule is in at most one of the lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Rules that fire now and did not.
    pub new: Vec<String>,
    /// Findings of the run before that are gone.
    pub gone: Vec<FindingRecord>,
    /// Rules that fire as before, with the count of rows before.
    pub still: Vec<(String, u64)>,
    /// Findings of the run before whose rule could not be evaluated now, and findings of now whose rule could not be
    /// evaluated then: nobody knows.
    pub unknown: Vec<String>,
}

impl Change {
    /// Compares the findings with those of the run before.
    #[must_use]
    pub fn new(now: &Findings, before: &Summary) -> Self {
        let earlier: HashMap<&str, &FindingRecord> =
            before.findings.iter().map(|record| (record.rule.as_str(), record)).collect();
        let unknown_then: HashSet<&str> = before.not_evaluated.iter().map(String::as_str).collect();
        let unknown_now: HashSet<&str> = now.not_evaluated.iter().map(|rule| rule.rule.as_str()).collect();
        let firing: HashSet<&str> = now.findings.iter().map(|finding| finding.rule.as_str()).collect();
        let mut change = Self::default();
        for finding in &now.findings {
            match earlier.get(finding.rule.as_str()) {
                Some(record) => change.still.push((finding.rule.clone(), record.matched)),
                None if unknown_then.contains(finding.rule.as_str()) => change.unknown.push(finding.rule.clone()),
                None => change.new.push(finding.rule.clone()),
            }
        }
        for record in before.findings.iter().filter(|record| !firing.contains(record.rule.as_str())) {
            if unknown_now.contains(record.rule.as_str()) {
                change.unknown.push(record.rule.clone());
            } else {
                change.gone.push(record.clone());
            }
        }
        change
    }
}

/// A recommendation and what it touches.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// The recommendation's id.
    pub id: String,
    /// The findings that ask for it, as places in [`Findings::findings`].
    pub findings: Vec<usize>,
    /// How much it touches: the sum over its findings of the share of the population, a high one counting nine times, a
    /// medium one three times a low one.
    pub weight: f64,
}

/// The recommendations of what fired, those that touch most first.
#[must_use]
pub fn rank(findings: &Findings) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> = Vec::new();
    for (at, finding) in findings.findings.iter().enumerate() {
        let weight = finding.share()
            * match finding.severity {
                Severity::High => 9.0,
                Severity::Medium => 3.0,
                Severity::Low => 1.0,
            };
        for id in &finding.recommendations {
            match ranked.iter_mut().find(|known| known.id == *id) {
                Some(known) => {
                    known.findings.push(at);
                    known.weight += weight;
                }
                None => ranked.push(Ranked { id: id.clone(), findings: vec![at], weight }),
            }
        }
    }
    // Stable, so that equal ones stay in the order of the worst finding.
    ranked.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    ranked
}

/// Evaluates every rule that is for the run's target.
pub(super) fn evaluate(review: &Review<'_>) -> Findings {
    let mut all = Findings::default();
    for rule in review.configuration.rules.iter().filter(|rule| rule.targets.has(review.target)) {
        match one(review, rule) {
            Ok(finding) => {
                all.evaluated += 1;
                all.findings.extend(finding);
            }
            Err(why) => all.not_evaluated.push(NotEvaluated {
                rule: rule.id.clone(),
                section: rule.section.clone(),
                signal: rule.signal.clone(),
                why,
            }),
        }
    }
    all.findings.sort_by(|a, b| a.severity.cmp(&b.severity).then(b.share().total_cmp(&a.share())));
    all
}

/// The SELECT of a predicate's rows. On lines of its own: a comment at its end must not swallow the parenthesis.
pub(super) fn predicate(table: &str, predicate: &str) -> String {
    format!("SELECT * FROM {} WHERE (\n{predicate}\n)", quoted(table))
}

fn one(review: &Review<'_>, rule: &Rule) -> Result<Option<Finding>, Why> {
    let section = review.sections.get(rule.section.as_str());
    let loaded = section.and_then(|section| match section {
        SectionState::Loaded(loaded) => Some(loaded),
        SectionState::Missing(_) => None,
    });
    let (select, total) = match &rule.condition {
        Condition::When(text) => {
            let Some(loaded) = loaded else { return Err(Why::SectionMissing(rule.section.clone())) };
            (predicate(&rule.section.replace('-', "_"), text), Some(loaded.examined))
        }
        Condition::Select(select) => (select.clone(), None),
    };
    let found = review.database.select(&select, review.limits.rows_of_finding).map_err(|message| {
        // A table that is missing because its query failed is no mistake of the rule.
        let table = message.split("no such table: ").nth(1).map(|rest| rest.split_whitespace().next().unwrap_or(rest));
        let missing = table.and_then(|table| {
            review
                .configuration
                .sections
                .iter()
                .filter(|section| section.targets.has(review.target) && section.table() == table)
                .find(|section| !matches!(review.sections.get(section.id.as_str()), Some(SectionState::Loaded(_))))
        });
        match missing {
            Some(section) => Why::SectionMissing(section.id.clone()),
            None => Why::Rule(message),
        }
    })?;
    if found.count == 0 {
        return Ok(None);
    }
    let boolean = |at: usize| {
        total.is_some() && loaded.and_then(|loaded| loaded.columns.get(at)).is_some_and(|column| column.boolean)
    };
    let value = |at: usize, value: Sql| match value {
        Sql::Null => Value::Null,
        Sql::Integer(number) if boolean(at) => Value::Boolean(number != 0),
        Sql::Integer(number) => Value::Integer(number),
        Sql::Real(number) => Value::Real(number),
        Sql::Text(text) => Value::Text(text),
        Sql::Blob(bytes) => Value::Text(format!("{} bytes", bytes.len())),
    };
    Ok(Some(Finding {
        rule: rule.id.clone(),
        section: rule.section.clone(),
        signal: rule.signal.clone(),
        severity: rule.severity,
        population: rule.population.clone(),
        matched: found.count,
        total,
        columns: found.columns,
        rows: found
            .first
            .into_iter()
            .map(|row| row.into_iter().enumerate().map(|(at, cell)| value(at, cell)).collect())
            .collect(),
        recommendations: rule.recommendations.clone(),
        source: rule.source.clone(),
    }))
}
