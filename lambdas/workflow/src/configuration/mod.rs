//! What users write in `config/`: workflows, and what a report is made of. Reading refuses what cannot run, every problem
//! at once, before anything runs. It never guesses: an unknown name or field is a problem, not a default.

mod json;
mod order;
mod problem;
mod report;
mod workflow;

pub use problem::Problem;
pub use report::{
    Chart, ChartKind, Column, Condition, Effort, Recommendation, Report, ReportFiles, Rule, Section, Severity,
};
pub use workflow::{Notify, Order, PlanOutline, Query, Script, Segment, Start, Target, Targets, Workflow};

/// The section that says what a review can see. What its rules find, or that it is missing, is said at the top of a report
/// and in the message, and is counted among no findings.
pub const PREFLIGHT: &str = "preflight";

/// Reads a workflow. `file` is its key in the assets (`config/workflows/<name>.json`), `exists` tells whether the assets
/// hold a key.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn workflow(file: &str, text: &str, exists: impl Fn(&str) -> bool) -> Result<Workflow, Vec<Problem>> {
    workflow::read(file, text, &exists)
}

/// Reads what a report is made of: sections, rules and recommendations. With a workflow the sections are held against
/// its queries too.
///
/// # Errors
/// Everything that is wrong in the three files.
pub fn report(files: &ReportFiles<'_>, workflow: Option<&Workflow>) -> Result<Report, Vec<Problem>> {
    report::read(files, workflow)
}

/// A workflow with its report, read together.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The workflow.
    pub workflow: Workflow,
    /// Its report, where it has one.
    pub report: Option<Report>,
}

/// The key of a workflow's file.
#[must_use]
pub fn workflow_key(name: &str) -> String {
    format!("config/workflows/{name}.json")
}

/// The keys of a report's files: sections, rules, recommendations, template.
#[must_use]
pub fn report_keys(name: &str) -> [String; 4] {
    ["sections.json", "rules.json", "recommendations.json", "report.html"].map(|file| format!("config/{name}/{file}"))
}

/// Reads a workflow and the report it names. `read` answers with an asset's text, or nothing where there is none.
///
/// # Errors
/// Everything that is wrong in any of the files; a missing file is a problem too.
pub fn load(
    name: &str,
    read: impl Fn(&str) -> Option<String>,
    exists: impl Fn(&str) -> bool,
) -> Result<Loaded, Vec<Problem>> {
    let file = workflow_key(name);
    let Some(text) = read(&file) else {
        return Err(vec![Problem {
            file,
            path: "$".to_owned(),
            what: format!("there is no workflow {name:?}"),
            remedy: "write this file, or name a workflow that stands in config/workflows".to_owned(),
        }]);
    };
    let (workflow, mut problems) = match workflow(&file, &text, exists) {
        Ok(workflow) => (Some(workflow), Vec::new()),
        Err(problems) => (None, problems),
    };
    // The report is read although the workflow is wrong, so that its problems are seen now as well.
    let named = match &workflow {
        Some(workflow) => workflow.report.clone(),
        None => workflow::report_name(&text),
    };
    let mut loaded = None;
    if let Some(name) = named {
        let keys = report_keys(&name);
        let texts = [0, 1, 2].map(|i| read(&keys[i]));
        // Missing files were reported by the workflow's own reading.
        if let [Some(sections), Some(rules), Some(recommendations)] = &texts {
            let files = ReportFiles { folder: format!("config/{name}"), sections, rules, recommendations };
            match report(&files, workflow.as_ref()) {
                Ok(report) => loaded = Some(report),
                Err(found) => problems.extend(found),
            }
        }
    }
    match workflow {
        Some(workflow) if problems.is_empty() => Ok(Loaded { workflow, report: loaded }),
        _ => Err(problems),
    }
}
