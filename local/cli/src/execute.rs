//! `tasker execute`: one execution of any state machine of the stack.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use cloud::Cloud;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::Error;
use crate::project::Project;

/// `tasker execute MACHINE --input FILE|JSON [--json]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// The name of a file in statemachines/, with or without its ending.
    machine: String,
    /// The input: JSON, or a file with JSON.
    #[arg(long, value_name = "FILE|JSON", default_value = "{}")]
    input: String,
    /// The answer of DescribeExecution as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it and prints the output, or the error and its cause.
///
/// # Errors
/// [`Error::Usage`] for a machine or an input that is none; [`Error::Failed`] when the execution did not succeed.
pub async fn run(project: &Project, arguments: Arguments) -> Result<(), Error> {
    let input = read_input(&arguments.input)?;
    let cloud = project.start(None, &[]).await?;
    let result: Result<Value, Error> = async {
        let machine = project.machine(&cloud, &arguments.machine).await?;
        let description = execution(&cloud, &machine, &input, &arguments.machine).await?;
        Ok(description)
    }
    .await;
    cloud.shutdown().await;
    let description = result?;
    let succeeded = description["status"] == "SUCCEEDED";
    if arguments.json {
        print(&pretty(&description))?;
    } else if succeeded {
        let output = description["output"].as_str().unwrap_or_default();
        print(
            &serde_json::from_str(output).map_or_else(|_| output.to_owned() + "\n", |output: Value| pretty(&output)),
        )?;
    } else {
        let text = |name: &str| description[name].as_str().unwrap_or_default();
        eprintln!("{}: {}\n{}", text("status"), text("error"), text("cause"));
    }
    if succeeded { Ok(()) } else { Err(Error::Failed) }
}

/// One execution from start to end, with a line that moves while it runs; what DescribeExecution says at its end.
///
/// # Errors
/// What the service refuses.
pub async fn execution(cloud: &Cloud, machine: &str, input: &Value, about: &str) -> Result<Value, Error> {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(about.to_owned());
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let started =
        cloud.call("states", "StartExecution", json!({"stateMachineArn": machine, "input": input.to_string()})).await;
    let ended = match started {
        Ok(started) => cloud.wait(started["executionArn"].as_str().unwrap_or_default()).await.map_err(Error::from),
        Err(error) => Err(error.into()),
    };
    bar.finish_and_clear();
    ended
}

/// JSON with line breaks, for people and machines alike.
pub fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Prints to stdout. A reader that has gone away (`| head`) is no error.
pub fn print(text: &str) -> Result<(), Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Machine("writing the output".into(), error))
        }
        _ => Ok(()),
    }
}

fn read_input(given: &str) -> Result<Value, Error> {
    let file = PathBuf::from(given);
    let (text, origin) = if file.is_file() {
        let text = std::fs::read_to_string(&file).map_err(|error| Error::Machine(format!("reading {given}"), error))?;
        (text, format!("the file {given}"))
    } else {
        (given.to_owned(), "--input".to_owned())
    };
    serde_json::from_str(&text).map_err(|error| {
        Error::Usage(format!("{origin} is neither a file nor JSON ({error}): give a file's name, or JSON in quotes"))
    })
}
