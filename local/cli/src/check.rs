//! `tasker check`: what is wrong with state machines, before anything runs. Needs no stack and changes nothing.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use states::Severity;
use states::check::Diagnostic;

use crate::Error;
use crate::execute::{pretty, print};
use crate::project::Project;

/// `tasker check [FILE…] [--json]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// Files with definitions in Amazon States Language; all of the project's statemachines/ when none is named.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks every file and prints what it finds, a line each: `FILE:LINE:COLUMN: error: …`.
///
/// # Errors
/// [`Error::Usage`] for a file that cannot be read; [`Error::Failed`] when a file has an error. Warnings alone succeed.
pub fn run(project: Option<PathBuf>, arguments: Arguments) -> Result<(), Error> {
    let files = if arguments.files.is_empty() { machines(&Project::find(project)?)? } else { arguments.files };
    let mut found = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::Usage(format!("{} cannot be read: {error}", file.display())))?;
        found.extend(states::check::file(&text).into_iter().map(|finding| (file, finding)));
    }
    let errors = found.iter().filter(|(_, finding)| finding.severity == Severity::Error).count();
    if arguments.json {
        let list: Vec<Value> = found.iter().map(|(file, finding)| to_json(&file.to_string_lossy(), finding)).collect();
        print(&pretty(&Value::Array(list)))?;
    } else {
        let lines: String = found.iter().map(|(file, finding)| format!("{}:{finding}\n", file.display())).collect();
        print(&lines)?;
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

fn machines(project: &Project) -> Result<Vec<PathBuf>, Error> {
    let folder = project.path("statemachines");
    let refused = |error| Error::Machine(format!("reading {}", folder.display()), error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        if path.to_string_lossy().ends_with(".asl.json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn to_json(file: &str, finding: &Diagnostic) -> Value {
    json!({
        "file": file, "line": finding.line, "column": finding.column, "pointer": finding.pointer,
        "severity": if finding.severity == Severity::Error { "error" } else { "warning" },
        "code": finding.code, "message": finding.message,
    })
}
