//! A change of a stack as a person sees it: on a terminal a line that moves, below what is done; elsewhere a line for
//! each event.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use ::deploy::Aws;
use ::deploy::follow::Follower;
use ::deploy::stack::Event;
use indicatif::{ProgressBar, ProgressStyle};

use crate::Error;

/// The resources that the line names.
const NAMED: usize = 3;
/// CloudFormation says it once when it begins and once when the service has taken it.
const SECOND: [&str; 2] = ["Resource creation Initiated", "Resource update Initiated"];

/// Shows what happens until the stack has ended; how it did. Ctrl-C ends the watching, not the change: then nothing.
///
/// # Errors
/// What CloudFormation refuses.
pub async fn follow(aws: &Aws, follower: &mut Follower<'_>) -> Result<Option<String>, Error> {
    let mut shown = Shown::new();
    let wait = Duration::from_millis(if aws.is_local() { 200 } else { 2_500 });
    let mut pressed = std::pin::pin!(tokio::signal::ctrl_c());
    let ended = loop {
        let news = follower.look().await?.to_vec();
        for event in &news {
            shown.event(event, &follower.place(event));
        }
        if let Some(ended) = follower.ended() {
            break Some(ended.to_owned());
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = &mut pressed => break None,
        }
    };
    shown.bar.finish_and_clear();
    Ok(ended)
}

struct Shown {
    terminal: bool,
    bar: ProgressBar,
    done: usize,
    waiting: BTreeMap<String, ()>,
}

impl Shown {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { terminal: std::io::stderr().is_terminal(), bar, done: 0, waiting: BTreeMap::new() }
    }

    fn event(&mut self, event: &Event, place: &str) {
        let begins = event.status.ends_with("_IN_PROGRESS");
        if begins && SECOND.contains(&event.reason.as_str()) {
            return;
        }
        if begins {
            self.waiting.insert(place.to_owned(), ());
        } else if self.waiting.remove(place).is_some() {
            self.done += 1;
        }
        let mut names: Vec<&str> = self.waiting.keys().take(NAMED).map(String::as_str).collect();
        let more = format!("{} more", self.waiting.len().saturating_sub(NAMED));
        if self.waiting.len() > NAMED {
            names.push(&more);
        }
        self.bar.set_message(format!("{} done; {}", self.done, names.join(", ")));
        // On a terminal the moving line says what has begun.
        if begins && self.terminal {
            return;
        }
        let line = line(event, place);
        if self.terminal {
            self.bar.println(line);
        } else {
            eprintln!("{line}");
        }
    }
}

fn line(event: &Event, place: &str) -> String {
    let why = if event.status.contains("FAILED") || event.is_of_stack() { event.reason.as_str() } else { "" };
    let line = format!("{}  {:<20} {place} ({})  {why}", event.at.format("%H:%M:%S"), event.status, event.kind);
    line.trim_end().to_owned()
}
