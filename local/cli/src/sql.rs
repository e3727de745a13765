//! `tasker sql`: one SQL request through statement.asl.json, callback included.
//!
//! The text travels as a script in the assets bucket, as a deployed workflow would send it, so that it stands in no
//! execution's input.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use cloud::Cloud;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::answer::Answer;
use crate::execute::{execution, pretty, print};
use crate::project::Project;
use crate::way;

/// `tasker sql "select …" | -f FILE [--parameter name=value]… [--json]`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("text").required(true))]
pub struct Arguments {
    /// The SQL; several statements separated by semicolons go as one batch.
    #[arg(group = "text")]
    sql: Option<String>,
    /// A file with SQL; a dash reads it from the standard input.
    #[arg(short, long, group = "text")]
    file: Option<PathBuf>,
    /// The value of `:name` in the SQL; may be given several times.
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Let each statement of a script commit by itself (default: all in one transaction).
    #[arg(long)]
    auto_commit: bool,
    /// Cancel the statement after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
    /// The answer as JSON, the rows under `rows`.
    #[arg(long)]
    json: bool,
}

/// Runs it. Rows go to stdout, the way it took to stderr.
///
/// # Errors
/// [`Error::Usage`] for parameters or a file that are none; [`Error::Failed`] when the statement failed.
pub async fn run(project: &Project, arguments: Arguments) -> Result<(), Error> {
    let text = read_text(&arguments)?;
    let mut request = json!({"result": "inline"});
    let parameters = read_parameters(&arguments.parameters)?;
    if !parameters.is_empty() {
        request["parameters"] = Value::Object(parameters);
    }
    if arguments.auto_commit {
        request["executionMode"] = json!("AUTO_COMMIT");
    }
    if let Some(seconds) = arguments.time_limit {
        request["timeLimitSeconds"] = json!(seconds);
    }
    let began = std::time::Instant::now();
    let cloud = project.start(None, &[]).await?;
    let up = began.elapsed();
    let ran = statement(project, &cloud, &text, request, "running").await;
    let said = match ran {
        Ok(Ran { answer, stations }) => {
            eprint!("  {:<12}{:>7} ms\n{}", "stack up", up.as_millis(), way::to_text(&stations));
            say(&answer, &stations, arguments.json)
        }
        Err(error) => Err(error),
    };
    cloud.shutdown().await;
    said
}

/// A statement that ran.
#[derive(Debug)]
pub struct Ran {
    /// How it came back.
    pub answer: Answer,
    /// The way it took.
    pub stations: Vec<way::Station>,
}

/// Puts the text into the assets bucket and runs it with this request.
///
/// # Errors
/// What the services refuse.
pub async fn statement(
    project: &Project,
    cloud: &Cloud,
    text: &str,
    mut request: Value,
    about: &str,
) -> Result<Ran, Error> {
    let key = format!("adhoc/{}.sql", hex::encode(Sha256::digest(text)));
    let outputs = cloud.outputs();
    let bucket = outputs.get("AssetsBucket").map(String::as_str).unwrap_or_default();
    cloud.put_object(bucket, &key, text.as_bytes()).await?;
    request["scriptKey"] = json!(key);
    let machine = project.machine(cloud, "statement").await?;
    let seen = cloud.trace();
    let description = execution(cloud, &machine, &request, about).await?;
    let stations = way::of(cloud, seen, &description).await?;
    Ok(Ran { answer: Answer::of(&description), stations })
}

fn say(answer: &Answer, stations: &[way::Station], json: bool) -> Result<(), Error> {
    if json {
        let mut whole = answer.to_json();
        whole["way"] = way::to_json(stations);
        print(&pretty(&whole))?;
    } else if answer.is_finished() {
        print(&answer.to_text())?;
    } else {
        eprint!("{}", answer.to_text());
    }
    if answer.is_finished() { Ok(()) } else { Err(Error::Failed) }
}

fn read_text(arguments: &Arguments) -> Result<String, Error> {
    let Some(file) = &arguments.file else { return Ok(arguments.sql.clone().unwrap_or_default()) };
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Error::Machine("reading the standard input".into(), error))?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(|error| Error::Usage(format!("{} cannot be read: {error}", file.display())))
}

fn read_parameters(given: &[String]) -> Result<Map<String, Value>, Error> {
    let mut parameters = Map::new();
    for parameter in given {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err(Error::Usage(format!("--parameter {parameter:?} has no value: write it as name=value")));
        };
        if parameters.insert(name.to_owned(), json!(value)).is_some() {
            return Err(Error::Usage(format!("--parameter {name} is given twice: give each name once")));
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_names_and_values() {
        let given = |texts: &[&str]| read_parameters(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(given(&["a=1", "b=x=y"]).map(Value::Object).ok(), Some(json!({"a": "1", "b": "x=y"})));
        for (wrong, expected) in [(&["a"][..], "has no value"), (&["a=1", "a=2"][..], "given twice")] {
            let error = given(wrong).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
