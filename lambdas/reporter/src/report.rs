//! The report from documents at hand, without any service, so that the function and a person at a command make the same.

use std::collections::HashMap;
use std::io::Read;

use aws::Refusal;
use chrono::{DateTime, Utc};
use workflow::address::Address;
use workflow::configuration::{self, Report, ReportFiles, Target};
use workflow::plan::Plan;
use workflow::report::{Limits, Page, Review, render};
use workflow::summary::Summary;

/// What a report is configured by.
pub struct Files {
    report: Report,
    template_name: String,
    template: String,
}

impl Files {
    /// From the texts of sections, rules, recommendations and template, in this order.
    ///
    /// # Errors
    /// `InvalidConfiguration` with everything that is wrong.
    pub fn new(name: &str, texts: Vec<String>) -> Result<Self, Refusal> {
        let [sections, rules, recommendations, template] =
            <[String; 4]>::try_from(texts).map_err(|_| Refusal::new("Internal", "a report has four files"))?;
        let files = ReportFiles {
            folder: format!("config/{name}"),
            sections: &sections,
            rules: &rules,
            recommendations: &recommendations,
        };
        let report = configuration::report(&files, None).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Refusal::new("InvalidConfiguration", lines.join("\n"))
        })?;
        Ok(Self { report, template_name: format!("config/{name}/report.html"), template })
    }
}

/// A report in the making: each section is loaded by itself, so that only one result is held beside the tables.
pub struct Making<'f> {
    files: &'f Files,
    review: Review<'f>,
}

/// What a report says beside its sections.
pub struct Inputs<'i> {
    /// The run's plan.
    pub plan: &'i Plan,
    /// What the workflow is for.
    pub description: &'i str,
    /// The run before, where there is one.
    pub previous: Option<&'i Summary>,
    /// By query: where its CSV is.
    pub csv: &'i HashMap<String, Address>,
    /// Where everything of the run is.
    pub place: Option<Address>,
    /// When it is made.
    pub now: DateTime<Utc>,
}

impl<'f> Making<'f> {
    /// With no section loaded.
    ///
    /// # Errors
    /// `Internal` where SQLite cannot be set up.
    pub fn new(files: &'f Files, target: Target) -> Result<Self, Refusal> {
        let review = Review::new(&files.report, target, Limits::default()).map_err(refused)?;
        Ok(Self { files, review })
    }

    /// Whether a query's result is a section of the report.
    #[must_use]
    pub fn has(&self, query: &str) -> bool {
        self.review.sections().any(|section| section.id == query)
    }

    /// Loads a section from its result, which is read as it comes; `rows` is how many its statement had.
    pub fn load(&mut self, section: &str, from: impl Read, rows: Option<u64>) {
        if let Err(error) = self.review.load(section, from, rows) {
            // The report says so as well.
            tracing::warn!(section, error = error.name(), "a section cannot be read");
        }
    }

    /// Says in the report why a section is not there.
    pub fn leave_out(&mut self, section: &str, why: String) {
        self.review.leave_out(section, why);
    }

    /// Evaluates the rules, puts what they found into the summary, and gives the page.
    ///
    /// # Errors
    /// `InvalidConfiguration` for a wrong template.
    pub fn finish(self, inputs: &Inputs<'_>, summary: &mut Summary) -> Result<String, Refusal> {
        let findings = self.review.evaluate();
        findings.record(summary);
        let page = Page {
            description: inputs.description,
            plan: inputs.plan,
            summary,
            findings: &findings,
            previous: inputs.previous,
            made_at: inputs.now,
            csv: &|query| inputs.csv.get(query).cloned(),
            results: inputs.place.clone(),
        };
        render(&self.files.template_name, &self.files.template, &self.review, &page).map_err(refused)
    }
}

fn refused(error: workflow::report::Error) -> Refusal {
    match error {
        workflow::report::Error::Template { .. } => Refusal::new("InvalidConfiguration", error.to_string()),
        workflow::report::Error::Database(_) => Refusal::new("Internal", error.to_string()),
    }
}
