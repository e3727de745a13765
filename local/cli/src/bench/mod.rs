//! `tasker bench`: what the functions themselves cost, as the programs that are deployed, against services that answer at
//! once; and what a workflow of many queries costs on the local stack.
//!
//! Measures and reports; asserts nothing. What the stand-ins of the services take is counted and taken off, so that
//! the figures are the functions' own.

mod collector;
mod environment;
mod services;
mod workflow;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Error;
use crate::answer::table;
use crate::execute::{pretty, print};
use crate::project::Project;
use environment::Environment;
use services::Services;

/// Cold starts that are measured.
const STARTS: usize = 20;
/// Warm invocations of the tasker that are measured; each leaves a statement for the completion function.
const STATEMENTS: usize = 5_000;
/// Records of one completion batch, the templates' BatchSize.
const BATCH: usize = 10;

/// `tasker bench functions [--json]`
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Start, first and warm invocation, memory, size and throughput of tasker and completion.
    Functions {
        /// The folder with the programs; target/lambda of the project when not given.
        #[arg(long, value_name = "FOLDER")]
        programs: Option<PathBuf>,
        /// The figures as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Memory and time of the collector for a large result.
    Collector {
        /// The folder with the program; target/lambda of the project when not given.
        #[arg(long, value_name = "FOLDER")]
        programs: Option<PathBuf>,
        /// How large the result is, in MB of the Data API's JSON.
        #[arg(long, default_value_t = 500)]
        megabytes: u64,
        /// The figures as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Transitions, history, memory and time of a workflow of many queries.
    Workflow {
        /// How many queries.
        #[arg(long, default_value_t = 10_000)]
        queries: usize,
        /// The figures as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What one function cost. Times in microseconds.
#[derive(Debug, Default)]
struct Figures {
    start: Vec<Duration>,
    first: Vec<Duration>,
    warm: Vec<Duration>,
    peak_bytes: Option<u64>,
    program_bytes: u64,
    per_second: f64,
}

/// Runs the measurement and prints it.
///
/// # Errors
/// [`Error::Usage`] when the programs are not built; what the machine refuses.
pub async fn run(project: &Project, arguments: Arguments) -> Result<(), Error> {
    match arguments.what {
        What::Functions { programs, json } => functions(project, programs, json).await,
        What::Collector { programs, megabytes, json } => collector::run(project, programs, megabytes, json).await,
        What::Workflow { queries, json } => workflow::run(project, queries, json).await,
    }
}

async fn functions(project: &Project, programs: Option<PathBuf>, json: bool) -> Result<(), Error> {
    let folder = programs.unwrap_or_else(|| project.path("target/lambda"));
    let tasker = program(&folder, "tasker-function")?;
    let completion = program(&folder, "completion-function")?;
    let services = Services::start().await?;

    let mut of_tasker = starts(&tasker, &services, |number| request(&format!("start-{number}"))).await?;
    let mut environment = Environment::start(&tasker, &services).await?;
    let whole = std::time::Instant::now();
    for number in 0..STATEMENTS {
        of_tasker.warm.push(environment.invoke(&request(&format!("warm-{number}"))).await?);
    }
    of_tasker.per_second = per_second(STATEMENTS, whole.elapsed());
    of_tasker.peak_bytes = environment.peak_memory();
    drop(environment);

    let statements = services.statements();
    let (measured, for_starts) = statements.split_at(statements.len() - STARTS);
    let mut of_completion = starts(&completion, &services, |number| batch(&for_starts[number..=number])).await?;
    let mut environment = Environment::start(&completion, &services).await?;
    let answered = services.answered();
    let whole = std::time::Instant::now();
    for records in measured.chunks(BATCH) {
        of_completion.warm.push(environment.invoke(&batch(records)).await?);
    }
    of_completion.per_second = per_second(services.answered() - answered, whole.elapsed());
    of_completion.peak_bytes = environment.peak_memory();
    drop(environment);

    let functions = [("tasker-function", of_tasker), ("completion-function", of_completion)];
    if json {
        let whole: serde_json::Map<String, Value> =
            functions.iter().map(|(name, figures)| ((*name).to_owned(), figures.to_json())).collect();
        return print(&pretty(&Value::Object(whole)));
    }
    print(&to_text(&functions))
}

fn program(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::Usage(format!(
        "{} is not there: build the functions with\n  cargo build --profile lambda -p {name}",
        path.display()
    )))
}

/// Cold starts: from the start of the process to its first call of the Runtime API, and its first invocation.
async fn starts(program: &Path, services: &Services, event: impl Fn(usize) -> Value) -> Result<Figures, Error> {
    let size = std::fs::metadata(program)
        .map_err(|error| Error::Machine(format!("reading {}", program.display()), error))?
        .len();
    let mut figures = Figures { program_bytes: size, ..Figures::default() };
    for number in 0..STARTS {
        let mut environment = Environment::start(program, services).await?;
        figures.start.push(environment.took_to_start());
        figures.first.push(environment.invoke(&event(number)).await?);
    }
    Ok(figures)
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// What a state sends.
fn request(token: &str) -> Value {
    json!({
        "sqlStatement": "select count(*) from orders where ordered_at > current_date - 7",
        "taskToken": token, "executionArn": format!("arn:aws:states:us-east-1:000000000000:execution:bench:{token}"),
    })
}

/// What SQS sends for these statements, given by name and id.
fn batch(statements: &[(String, String)]) -> Value {
    let records: Vec<Value> = statements
        .iter()
        .map(|(name, id)| {
            let event = json!({
                "version": "0", "id": id, "detail-type": "Redshift Data Statement Status Change",
                "source": "aws.redshift-data", "account": "000000000000", "time": "2026-01-01T00:00:00Z",
                "region": "us-east-1", "resources": [],
                "detail": {"principal": "arn:aws:sts::000000000000:assumed-role/role/tasker", "statementName": name,
                           "statementId": id, "redshiftQueryId": 7, "state": "FINISHED", "rows": 1, "expireAt": 1},
            });
            json!({
                "messageId": id, "receiptHandle": id, "body": event.to_string(), "md5OfBody": "", "attributes": {},
                "messageAttributes": {}, "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:completion", "awsRegion": "us-east-1",
            })
        })
        .collect();
    json!({"Records": records})
}

impl Figures {
    fn to_json(&self) -> Value {
        let milliseconds = |times: &[Duration], share| (quantile(times, share).as_secs_f64() * 1e6).round() / 1e3;
        json!({
            "start_ms": {"median": milliseconds(&self.start, 0.5), "p90": milliseconds(&self.start, 0.9)},
            "first_ms": {"median": milliseconds(&self.first, 0.5), "p90": milliseconds(&self.first, 0.9)},
            "warm_ms": {"median": milliseconds(&self.warm, 0.5), "p99": milliseconds(&self.warm, 0.99)},
            "peak_bytes": self.peak_bytes,
            "program_bytes": self.program_bytes,
            "per_second": self.per_second.round(),
        })
    }
}

/// The value below which this share of the times lies.
fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

fn to_text(functions: &[(&str, Figures)]) -> String {
    let ms = |times: &[Duration], share| format!("{:.2} ms", quantile(times, share).as_secs_f64() * 1e3);
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let mut table = table(["", functions[0].0, functions[1].0]);
    let mut row = |name: &str, cell: &dyn Fn(&Figures) -> String| {
        table.add_row([name.to_owned(), cell(&functions[0].1), cell(&functions[1].1)]);
    };
    row("start to the first call of the Runtime API, median", &|f| ms(&f.start, 0.5));
    row("the same, slowest tenth", &|f| ms(&f.start, 0.9));
    row("first invocation, median", &|f| ms(&f.first, 0.5));
    row("warm invocation, median", &|f| ms(&f.warm, 0.5));
    row("the same, slowest hundredth", &|f| ms(&f.warm, 0.99));
    row("peak memory", &|f| f.peak_bytes.map_or_else(|| "not measured on this system".to_owned(), mib));
    row("program", &|f| mib(f.program_bytes));
    row("statements a second, one process", &|f| format!("{:.0}", f.per_second));
    format!(
        "{table}\nInvocations without the time of the services; a completion is one of {BATCH} records. {STARTS} starts, \
         {STATEMENTS} statements.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 0.5), Duration::from_millis(51));
        assert_eq!(quantile(&times, 0.99), Duration::from_millis(100));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn a_missing_program_says_how_to_build_it() {
        let error = program(Path::new("/nowhere"), "tasker-function").unwrap_err();
        assert!(error.to_string().contains("cargo build --profile lambda"), "{error}");
    }
}
