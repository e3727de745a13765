//! `tasker report`: the report again, from what a run has kept. Needs no stack.

use std::path::PathBuf;

use clap::Args;

use crate::Error;
use crate::execute::print;
use crate::kept::Kept;
use crate::project::Project;

/// `tasker report DIR [--open]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder that a run was copied to.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Open the report.
    #[arg(long)]
    open: bool,
}

/// Builds it and prints its path.
///
/// # Errors
/// [`Error::Usage`] for a folder of no run, or of one without a report; [`Error::Function`] for a wrong configuration.
pub fn run(project: &Project, arguments: &Arguments) -> Result<(), Error> {
    let mut kept = Kept::read(&arguments.folder)?;
    kept.build_report(project)?;
    let Some(report) = kept.report() else {
        return Err(Error::Usage(format!("the workflow {} has no report: name one in its file", kept.plan.workflow)));
    };
    print(&format!("{}\n", report.display()))?;
    if arguments.open { open(&report) } else { Ok(()) }
}

/// Shows a file with the system's own program for it.
///
/// # Errors
/// When there is no such program.
pub fn open(file: &std::path::Path) -> Result<(), Error> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let opened = std::process::Command::new(program).arg(file).status();
    opened.map(drop).map_err(|error| Error::Machine(format!("opening {} with {program}", file.display()), error))
}
