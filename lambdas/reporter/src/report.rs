//! The report from documents at hand, without any service, so that the function and a person at a command make the same.

use std::collections::HashMap;

use aws::Refusal;
use chrono::{DateTime, Utc};
use workflow::address::Address;
use workflow::configuration::{self, Report, ReportFiles};
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

/// By query: its result in typed JSON, and how many rows its statement had.
pub type Results = HashMap<String, (Vec<u8>, Option<u64>)>;

/// What a report is made of.
pub struct Inputs<'i> {
    /// The run's plan.
    pub plan: &'i Plan,
    /// How it is made.
    pub files: &'i Files,
    /// What the workflow is for.
    pub description: &'i str,
    /// The run before, where there is one.
    pub previous: Option<&'i Summary>,
    /// The results.
    pub results: &'i Results,
    /// By query: where its CSV is.
    pub csv: &'i HashMap<String, Address>,
    /// Where everything of the run is.
    pub place: Option<Address>,
    /// When it is made.
    pub now: DateTime<Utc>,
}

/// Evaluates the rules, puts what they found into the summary, and gives the page.
///
/// # Errors
/// `InvalidConfiguration` for a wrong template; `Internal` where SQLite cannot be set up.
pub fn build(inputs: &Inputs<'_>, summary: &mut Summary) -> Result<String, Refusal> {
    let refused = |error: workflow::report::Error| match error {
        workflow::report::Error::Template { .. } => Refusal::new("InvalidConfiguration", error.to_string()),
        workflow::report::Error::Database(_) => Refusal::new("Internal", error.to_string()),
    };
    let mut review = Review::new(&inputs.files.report, inputs.plan.target, Limits::default()).map_err(refused)?;
    let sections: Vec<&str> = review.sections().map(|section| section.id.as_str()).collect();
    for section in sections {
        if let Some((bytes, rows)) = inputs.results.get(section)
            && let Err(error) = review.load(section, bytes.as_slice(), *rows)
        {
            // The report says so as well.
            tracing::warn!(section, error = error.name(), "a section cannot be read");
        }
    }
    let findings = review.evaluate();
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
    render(&inputs.files.template_name, &inputs.files.template, &review, &page).map_err(refused)
}
