//! The report: rules over the results, and one HTML page. Nothing is left out in silence: what was not loaded, what could
//! not be evaluated and what the review could not see stands in the report.
//!
//! In short: [`Review::new`], [`Review::load`] for every section whose query finished, [`Review::evaluate`], then
//! [`Findings::record`] into the summary and [`render`].

mod chart;
mod database;
mod findings;
mod page;
mod section;
mod words;

use std::collections::HashMap;
use std::io::Read;

use database::{Database, Loaded};

use crate::configuration::{Condition, Problem, Report, Section, Target};

pub use findings::{Change, Finding, Findings, NotEvaluated, Ranked, Value, Why, rank};
pub use page::{Page, check_template, render};

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The template is wrong; the message names the line.
    #[error("the template {name} is wrong: {message}")]
    Template {
        /// Its name.
        name: String,
        /// What is wrong, and where.
        message: String,
    },
    /// SQLite cannot be set up.
    #[error("the rules' database: {0}")]
    Database(#[from] rusqlite::Error),
}

/// How much a report holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a section's table. The CSV has them all.
    pub rows_shown: usize,
    /// Rows of a finding.
    pub rows_of_finding: usize,
    /// Rows of a section that the rules look at. More are counted, and the report says that they were not looked at.
    pub rows_examined: u64,
    /// Bytes of all sections together that the rules look at; they are held in memory. Rows beyond are treated likewise.
    pub bytes_examined: u64,
    /// Steps of SQLite's machine for a rule, so that none runs on for ever; a step takes some 10 ns.
    pub steps_per_rule: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows_shown: 25,
            rows_of_finding: 10,
            rows_examined: 100_000,
            bytes_examined: 100_000_000,
            steps_per_rule: 100_000_000,
        }
    }
}

/// The sections of a run while they are looked at.
pub struct Review<'c> {
    configuration: &'c Report,
    target: Target,
    limits: Limits,
    database: Database,
    sections: HashMap<&'c str, SectionState>,
}

enum SectionState {
    Loaded(Loaded),
    /// Its result is there but cannot be used.
    Missing(String),
}

impl<'c> Review<'c> {
    /// Starts with no section loaded.
    ///
    /// # Errors
    /// [`Error::Database`] where SQLite cannot be set up.
    pub fn new(configuration: &'c Report, target: Target, limits: Limits) -> Result<Self, Error> {
        let database = Database::new(&limits)?;
        Ok(Self { configuration, target, limits, database, sections: HashMap::new() })
    }

    /// The sections that the target has, in the report's order; each is to be loaded where its query finished.
    pub fn sections(&self) -> impl Iterator<Item = &'c Section> {
        let target = self.target;
        self.configuration.sections.iter().filter(move |section| section.targets.has(target))
    }

    /// Loads a section from its result (`results/<result>.json`), which is read as it comes. `expected` is the number of
    /// rows by the statement's description. A section that cannot be read is missing in the report, which says why.
    ///
    /// # Errors
    /// Those of [`crate::result::read`], for the caller's log. A section that no configuration knows is ignored.
    pub fn load(&mut self, section: &str, from: impl Read, expected: Option<u64>) -> Result<(), crate::result::Error> {
        let Some(section) = self.configuration.sections.iter().find(|known| known.id == section) else { return Ok(()) };
        let read = |sink: &mut dyn crate::result::Sink| crate::result::read(from, expected, sink);
        let (state, done) = match self.database.load(&section.table(), &self.limits, read) {
            Ok(loaded) => (SectionState::Loaded(loaded), Ok(())),
            Err(error) => (SectionState::Missing(error.to_string()), Err(error)),
        };
        self.sections.insert(&section.id, state);
        done
    }

    /// Leaves a section out that has a result; the report says why.
    pub fn leave_out(&mut self, section: &str, why: String) {
        if let Some(section) = self.configuration.sections.iter().find(|known| known.id == section) {
            self.sections.insert(&section.id, SectionState::Missing(why));
        }
    }

    /// Evaluates the rules. From here on the database only reads, so load first.
    #[must_use]
    pub fn evaluate(&self) -> Findings {
        self.database.seal();
        findings::evaluate(self)
    }

    fn loaded(&self, section: &str) -> Option<&Loaded> {
        match self.sections.get(section) {
            Some(SectionState::Loaded(loaded)) => Some(loaded),
            _ => None,
        }
    }
}

/// What is wrong with the rules' SQL before there is any row: text that SQLite cannot read. Whether its names exist is only
/// known when a report is made. `folder` is the report's, for the problems: `config/review`.
///
/// # Errors
/// [`Error::Database`] where SQLite cannot be set up.
pub fn check_rules(folder: &str, report: &Report) -> Result<Vec<Problem>, Error> {
    let database = Database::new(&Limits::default())?;
    database.seal();
    let mut problems = Vec::new();
    for (at, rule) in report.rules.iter().enumerate() {
        let (field, select) = match &rule.condition {
            Condition::When(predicate) => ("when", findings::predicate("t", predicate)),
            Condition::Select(select) => ("select", select.clone()),
        };
        // SQLite reads the whole text before it looks for names.
        let Err(message) = database.select(&select, 0) else { continue };
        if ["syntax error", "incomplete input", "unrecognized token"].iter().any(|wrong| message.contains(wrong)) {
            problems.push(Problem {
                file: format!("{folder}/rules.json"),
                path: format!("$.rules[{at}].{field}"),
                what: format!("the rule {:?} cannot be read: {message}", rule.id),
                remedy: "correct the SQL; it is SQLite's".to_owned(),
            });
        }
    }
    Ok(problems)
}
