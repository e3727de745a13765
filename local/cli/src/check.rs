//! `tasker check`: what is wrong with state machines and with configuration, before anything runs. Needs no stack and
//! changes nothing.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use states::Severity;
use workflow::configuration::{self, Problem};

use crate::Error;
use crate::execute::{pretty, print};
use crate::project::Project;

/// `tasker check [FILE…] [--json]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// State machines in Amazon States Language, or workflows in config/workflows/ with everything that they name; all of
    /// the project's when none is named.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The findings as JSON.
    #[arg(long)]
    json: bool,
}

/// One thing that is wrong.
struct Finding {
    file: String,
    severity: Severity,
    line: Option<usize>,
    column: Option<usize>,
    /// A JSON pointer in a state machine, a path in configuration.
    place: String,
    code: String,
    message: String,
    text: String,
}

/// Checks every file and prints what it finds, a line each: `FILE:LINE:COLUMN: error: …`.
///
/// # Errors
/// [`Error::Usage`] for a file that cannot be read; [`Error::Failed`] when a file has an error. Warnings alone succeed.
pub fn run(project: Option<PathBuf>, arguments: Arguments) -> Result<(), Error> {
    let files = if arguments.files.is_empty() { everything(&Project::find(project)?)? } else { arguments.files };
    let mut found = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::Usage(format!("{} cannot be read: {error}", file.display())))?;
        match workflow_of(file) {
            Some((folder, name)) => found.extend(configured(folder, name)),
            None => found.extend(states::check::file(&text).iter().map(|finding| of_machine(file, finding))),
        }
    }
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error).count();
    if arguments.json {
        print(&pretty(&found.iter().map(to_json).collect()))?;
    } else {
        print(&found.iter().map(|finding| format!("{}\n", finding.text)).collect::<String>())?;
        let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        eprintln!(
            "{} checked: {}, {}",
            count(files.len(), "file"),
            count(errors, "error"),
            count(found.len() - errors, "warning")
        );
    }
    if errors == 0 { Ok(()) } else { Err(Error::Failed) }
}

fn everything(project: &Project) -> Result<Vec<PathBuf>, Error> {
    let mut files = listed(&project.path("statemachines"), ".asl.json")?;
    files.extend(listed(&project.path("config/workflows"), ".json")?);
    Ok(files)
}

/// The files of a folder with this ending; none where there is no such folder.
fn listed(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    if folder.is_dir() {
        let refused = |error| Error::Machine(format!("reading {}", folder.display()), error);
        for entry in std::fs::read_dir(folder).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            if path.to_string_lossy().ends_with(ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The project's folder and the workflow's name, where the file is `<project>/config/workflows/<name>.json`.
fn workflow_of(file: &Path) -> Option<(&Path, &str)> {
    let folder = file.parent()?;
    let config = folder.parent()?;
    let stands = folder.file_name()? == "workflows" && config.file_name()? == "config" && file.extension()? == "json";
    let project = config.parent().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    stands.then_some((project?, file.file_stem()?.to_str()?))
}

/// What is wrong with a workflow and everything that it names.
fn configured(folder: &Path, name: &str) -> Vec<Finding> {
    let read = |key: &str| std::fs::read_to_string(folder.join(key)).ok();
    let loaded = configuration::load(name, read, |key| folder.join(key).is_file());
    let mut found = Vec::new();
    let mut wrong = |file: &str, path: &str, message: String| {
        let file = folder.join(file).display().to_string();
        found.push(Finding {
            text: format!("{file}: error: {path}: {message}"),
            file,
            severity: Severity::Error,
            line: None,
            column: None,
            place: path.to_owned(),
            code: "InvalidConfiguration".to_owned(),
            message,
        });
    };
    match loaded {
        Err(problems) => {
            for Problem { file, path, what, remedy } in problems {
                wrong(&file, &path, format!("{what}; {remedy}"));
            }
        }
        Ok(loaded) => {
            if let Some(report) = loaded.workflow.report {
                let rules =
                    loaded.report.map(|rules| workflow::report::check_rules(&format!("config/{report}"), &rules));
                for Problem { file, path, what, remedy } in rules.and_then(Result::ok).unwrap_or_default() {
                    wrong(&file, &path, format!("{what}; {remedy}"));
                }
                let [.., template] = configuration::report_keys(&report);
                if let Some(text) = read(&template)
                    && let Err(error) = workflow::report::check_template(&template, &text)
                {
                    wrong(&template, "$", error.to_string());
                }
            }
        }
    }
    found
}

fn of_machine(file: &Path, finding: &states::check::Diagnostic) -> Finding {
    let file = file.display().to_string();
    Finding {
        text: format!("{file}:{finding}"),
        file,
        severity: finding.severity,
        line: Some(finding.line),
        column: Some(finding.column),
        place: finding.pointer.clone(),
        code: finding.code.to_string(),
        message: finding.message.clone(),
    }
}

fn to_json(finding: &Finding) -> Value {
    json!({
        "file": finding.file, "line": finding.line, "column": finding.column, "pointer": finding.place,
        "severity": if finding.severity == Severity::Error { "error" } else { "warning" },
        "code": finding.code, "message": finding.message,
    })
}
