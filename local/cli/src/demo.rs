//! `tasker demo`: the whole system at work on a small shop, one scene for each way that a statement can come back.
//!
//! The scenes are data; each says how it must end, and one that ends otherwise makes the command fail, so that the
//! demonstration is also a check.

use std::time::{Duration, Instant};

use cloud::Cloud;
use cloud::faults::Matching;
use comfy_table::CellAlignment;
use serde_json::{Value, json};

use crate::Error;
use crate::answer::{Answer, table};
use crate::execute::print;
use crate::project::Project;
use crate::sql::{Ran, statement};
use crate::way;

/// A statement whose event is lost is looked after from this age; the templates' usual value is a minute.
const GRACE: (&str, &str) = ("GraceSeconds", "1");
/// How often the demonstration plays the rule that fires every minute on AWS.
const MINUTE: Duration = Duration::from_secs(1);

/// One statement, and how it must come back.
struct Scene {
    title: &'static str,
    /// A file in scripts/demo/, without its ending.
    script: &'static str,
    /// What the request holds beside the script.
    request: Value,
    ends: Ending,
    comes_home: By,
}

/// How a scene must end.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Finished,
    /// With this error name.
    Failed(&'static str),
}

/// Who brings the answer home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Redshift's event, through the completion function.
    Event,
    /// The reconciler: the event is lost on its way.
    Reconciler,
    /// The state's own time limit.
    TimeLimit,
}

fn scenes() -> Vec<Scene> {
    let scene = |title, script, request, ends, comes_home| Scene { title, script, request, ends, comes_home };
    let finished = |title, script, request| scene(title, script, request, Ending::Finished, By::Event);
    vec![
        finished("a schema, as one batch in one transaction", "schema", json!({})),
        finished(
            "a stored procedure, statements that commit one by one",
            "load",
            json!({"executionMode": "AUTO_COMMIT"}),
        ),
        finished(
            "a query with parameters, its rows in the answer",
            "revenue",
            json!({"parameters": {"left_out": "NL", "minimum": "20000"}, "result": "inline"}),
        ),
        finished("a batch that builds a table and reads it", "monthly", json!({"result": "inline"})),
        scene(
            "a batch whose second statement is wrong: all of it is rolled back",
            "broken",
            json!({}),
            Ending::Failed("Redshift.UndefinedObject"),
            By::Event,
        ),
        scene(
            "a query that does not end: its time limit of 2 s cancels it on the database",
            "endless",
            json!({"timeLimitSeconds": 2}),
            Ending::Failed("Redshift.Timeout"),
            By::TimeLimit,
        ),
        scene(
            "a statement whose completion event is lost: the reconciler finds it",
            "lost",
            json!({"result": "inline"}),
            Ending::Finished,
            By::Reconciler,
        ),
    ]
}

/// Runs every scene and prints how each came back.
///
/// # Errors
/// What the stack refuses; [`Error::Failed`] when a scene ended otherwise than it must.
pub async fn run(project: &Project) -> Result<(), Error> {
    let began = Instant::now();
    print("Starting PostgreSQL, the functions and the services that infra/root.yaml describes …\n")?;
    let cloud = project.start(None, &[GRACE]).await?;
    print(&format!("Up after {:.1} s at {}\n", began.elapsed().as_secs_f32(), cloud.endpoint()))?;
    let played = play(project, &cloud).await;
    cloud.shutdown().await;
    let wrong = played?;
    if wrong.is_empty() {
        return print(&format!(
            "Every statement came back as it must, in {:.1} s with start and end.\n\
             Next: cargo run --release -- sql \"select 6*7 as answer\", or serve to keep the stack up.\n",
            began.elapsed().as_secs_f32()
        ));
    }
    for line in &wrong {
        eprintln!("{line}");
    }
    Err(Error::Failed)
}

/// What went otherwise than it must, a line each.
async fn play(project: &Project, cloud: &Cloud) -> Result<Vec<String>, Error> {
    let scenes = scenes();
    let mut wrong = Vec::new();
    let mut table = table(["script", "ended", "brought home by", "ms"]);
    for (at, scene) in scenes.iter().enumerate() {
        print(&format!("\n{} of {}  {} (scripts/demo/{}.sql)\n", at + 1, scenes.len(), scene.title, scene.script))?;
        let began = Instant::now();
        let ran = one(project, cloud, scene).await?;
        let took = began.elapsed().as_millis();
        print(&format!("{}{}", way::to_text(&ran.stations), indented(&ran.answer.to_text())))?;
        let by = brought_home_by(&ran);
        table.add_row([scene.script, ended(&ran.answer), by.name(), &took.to_string()]);
        let as_told = match scene.ends {
            Ending::Finished => ran.answer.is_finished(),
            Ending::Failed(name) => ended(&ran.answer) == name,
        };
        if !as_told || by != scene.comes_home {
            wrong.push(format!(
                "{}: must end {:?} by {:?}, ended {:?} by {by:?}",
                scene.script, scene.ends, scene.comes_home, ran.answer
            ));
        }
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print(&format!("\n{table}\n"))?;
    Ok(wrong)
}

async fn one(project: &Project, cloud: &Cloud, scene: &Scene) -> Result<Ran, Error> {
    let file = project.path(format!("scripts/demo/{}.sql", scene.script));
    let text =
        std::fs::read_to_string(&file).map_err(|error| Error::Machine(format!("reading {}", file.display()), error))?;
    if scene.comes_home == By::Reconciler {
        cloud.faults().drop_next(Matching::source("aws.redshift-data"), 1);
    }
    let running = statement(project, cloud, &text, scene.request.clone(), scene.script);
    tokio::pin!(running);
    let mut minutes = tokio::time::interval(MINUTE);
    loop {
        tokio::select! {
            ran = &mut running => return ran,
            _ = minutes.tick(), if scene.comes_home == By::Reconciler => cloud.fire_rule("EveryMinute").await?,
        }
    }
}

fn ended(answer: &Answer) -> &str {
    match answer {
        Answer::Finished { .. } => "FINISHED",
        Answer::Failed { error, .. } => error,
    }
}

/// Read from the row: an event that came left its time there.
fn brought_home_by(ran: &Ran) -> By {
    let event = ran.stations.iter().any(|station| station.what == "event");
    match (ended(&ran.answer), event) {
        ("Redshift.Timeout", _) => By::TimeLimit,
        (_, true) => By::Event,
        (_, false) => By::Reconciler,
    }
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Reconciler => "reconciler",
            Self::TimeLimit => "time limit",
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
