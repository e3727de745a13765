//! The command `tasker`: the whole system on one machine, from the same templates, state machines and functions
//! that run on AWS.
//!
//! This file reads the command line and turns results into exit codes: 0 for success, 1 for a statement, an
//! execution or a machine that failed, 2 for bad usage. It decides nothing else.

mod answer;
mod bench;
mod check;
mod demo;
mod deploy;
mod execute;
mod fetch;
mod iam;
mod kept;
mod package;
mod project;
mod remote;
mod report;
mod run;
mod serve;
mod sql;
mod stack;
mod start;
mod statements;
mod watch;
mod way;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// SQL on Amazon Redshift, orchestrated by Step Functions through callbacks.
#[derive(Debug, Parser)]
#[command(name = "tasker", version, about, max_term_width = 110)]
struct Arguments {
    /// The folder with infra/ and statemachines/; found from the current folder upwards when not given.
    #[arg(long, global = true, value_name = "FOLDER")]
    project: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run SQL through statement.asl.json, the functions and the database, callback included.
    Sql(sql::Arguments),
    /// Run any state machine of statemachines/.
    Execute(execute::Arguments),
    /// Run a configured workflow: its queries, rounds and report.
    Run(run::Arguments),
    /// Build a run's report again, from the folder that it was copied to.
    Report(report::Arguments),
    /// Keep the stack up; print its endpoints and how to use them.
    Serve(serve::Arguments),
    /// Build the functions and upload what a deployment needs.
    Package(package::Arguments),
    /// Create or change a stack, after showing what changes.
    Deploy(deploy::Arguments),
    /// Say how a deployed stack stands.
    Status(stack::Status),
    /// Delete a deployed stack; what holds data stays.
    Delete(stack::Delete),
    /// Start a workflow's run in a deployed stack.
    Start(start::Arguments),
    /// Follow a run in a deployed stack.
    Watch(watch::Arguments),
    /// Bring a run's results and report here from a deployed stack.
    Fetch(fetch::Arguments),
    /// List the statements of a deployed stack: those that run, those that ended.
    Statements(statements::Arguments),
    /// Find what is wrong with state machines, without running anything.
    Check(check::Arguments),
    /// Play one function on the Lambda Runtime API.
    Lambda {
        /// tasker-function, completion-function or reconciler-function.
        name: String,
    },
    /// Show what the roles of the templates may do against what they use.
    Iam(iam::Arguments),
    /// Measure what the functions cost.
    Bench(bench::Arguments),
    /// Show the whole system at work: what succeeds, what fails, what is cancelled, what comes home late.
    Demo,
}

/// How a command ended, when not well.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The command line asks for something that is not there or does not fit.
    #[error("{0}")]
    Usage(String),
    /// The local stack could not be started or used.
    #[error(transparent)]
    Cloud(#[from] cloud::Error),
    /// A service of the local stack refused a call.
    #[error(transparent)]
    Api(#[from] cloud::ApiError),
    /// The machine refused.
    #[error("{0}: {1}")]
    Machine(String, std::io::Error),
    /// What a deployed stack, or the way to it, refuses.
    #[error(transparent)]
    Deploy(#[from] ::deploy::Error),
    /// A function could not run.
    #[error("{0}")]
    Function(String),
    /// The statement or execution failed; everything about it has been printed.
    #[error("failed")]
    Failed,
}

impl Error {
    fn exit_code(&self) -> u8 {
        if matches!(self, Self::Usage(_) | Self::Deploy(::deploy::Error::Usage(_))) { 2 } else { 1 }
    }
}

fn main() -> ExitCode {
    // clap exits with 2 by itself on a command line that it cannot read.
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Failed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("tasker: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = match arguments.command {
        Command::Lambda { name } => return play(&name),
        Command::Check(check) => return check::run(arguments.project, check),
        command => command,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Machine("starting the runtime".into(), error))?;
    let project = project::Project::find(arguments.project);
    runtime.block_on(async {
        // What looks at a deployed stack needs no project.
        match command {
            Command::Deploy(arguments) => deploy::run(project, &arguments).await,
            Command::Status(arguments) => stack::status(&arguments).await,
            Command::Delete(arguments) => stack::delete(&arguments).await,
            Command::Start(arguments) => start::run(&arguments).await,
            Command::Watch(arguments) => watch::run(&arguments).await,
            Command::Fetch(arguments) => fetch::run(project, &arguments).await,
            Command::Statements(arguments) => statements::run(&arguments).await,
            Command::Sql(arguments) => sql::run(&project?, arguments).await,
            Command::Execute(arguments) => execute::run(&project?, arguments).await,
            Command::Run(arguments) => run::run(&project?, arguments).await,
            Command::Report(arguments) => report::run(&project?, &arguments),
            Command::Serve(arguments) => serve::run(&project?, arguments).await,
            Command::Package(arguments) => package::run(&project?, &arguments).await,
            Command::Iam(arguments) => iam::run(&project?, arguments).await,
            Command::Bench(arguments) => bench::run(&project?, arguments).await,
            Command::Demo => demo::run(&project?).await,
            Command::Lambda { .. } | Command::Check(_) => Ok(()),
        }
    })
}

/// The functions that this executable can play; the names are those of their own programs.
fn play(name: &str) -> Result<(), Error> {
    let played = match name {
        "tasker-function" => tasker_function::run(),
        "completion-function" => completion_function::run(),
        "reconciler-function" => reconciler_function::run(),
        "planner-function" => planner_function::run(),
        "collector-function" => collector_function::run(),
        "reporter-function" => reporter_function::run(),
        "installer-function" => installer_function::run(),
        other => {
            return Err(Error::Usage(format!(
                "there is no function {other:?}; there are tasker-, completion-, reconciler-, planner-, collector-, reporter- and installer-function"
            )));
        }
    };
    played.map_err(|error| Error::Function(format!("{name}: {error}")))
}
