//! What a person sees while a workflow runs: on a terminal a bar for each segment with the queries running now, elsewhere
//! a line for each query that has ended.

use std::collections::{BTreeSet, HashMap};
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use workflow::plan::Plan;

/// The queries that a bar names.
const NAMED: usize = 3;

pub struct Progress {
    terminal: bool,
    bars: MultiProgress,
    head: ProgressBar,
    segments: Vec<Segment>,
    /// By the name of its execution: segment, query, round.
    queries: HashMap<String, (usize, usize, u8)>,
}

struct Segment {
    name: String,
    bar: ProgressBar,
    queries: Vec<Query>,
    running: BTreeSet<usize>,
    round: u8,
}

struct Query {
    name: String,
    end: Option<bool>,
}

impl Progress {
    pub fn new(about: &str) -> Self {
        let bars = MultiProgress::new();
        let head = bars.add(ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}")));
        head.set_message(about.to_owned());
        head.enable_steady_tick(Duration::from_millis(100));
        Self { terminal: std::io::stderr().is_terminal(), bars, head, segments: Vec::new(), queries: HashMap::new() }
    }

    /// The plan is known.
    pub fn planned(&mut self, plan: &Plan) {
        let width = plan.segments.iter().map(|segment| segment.name.len()).max().unwrap_or_default();
        for (at, segment) in plan.segments.iter().enumerate() {
            let queries: Vec<Query> =
                segment.queries.iter().map(|query| Query { name: query.name.clone(), end: None }).collect();
            let off = segment.queries.iter().filter(|query| query.skipped.is_some()).count();
            let bar = ProgressBar::new((queries.len() - off) as u64)
                .with_style(style("  {prefix} {bar:24} {pos:>3}/{len} {wide_msg}"))
                .with_prefix(format!("{:width$}", segment.name));
            let bar = self.bars.add(bar);
            bar.tick();
            for round in 1..=plan.rounds {
                for query in 0..queries.len() {
                    self.queries.insert(plan.execution_name(at, query, round), (at, query, round));
                }
            }
            let name = segment.name.clone();
            self.segments.push(Segment { name, bar, queries, running: BTreeSet::new(), round: 1 });
        }
    }

    /// An execution of the machine that runs one query changed its status.
    pub fn execution(&mut self, name: &str, status: &str) {
        let Some(&(segment, query, round)) = self.queries.get(name) else { return };
        let segment = &mut self.segments[segment];
        segment.round = segment.round.max(round);
        if status == "RUNNING" {
            segment.running.insert(query);
            segment.queries[query].end = None;
        } else {
            segment.running.remove(&query);
            segment.queries[query].end = Some(status == "SUCCEEDED");
            if !self.terminal {
                eprintln!("{}", segment.line(query, status, round));
            }
        }
        segment.show();
    }

    /// The query of an execution of that machine, and its round; nothing for one of another run.
    pub fn query(&self, name: &str) -> Option<(&str, u8)> {
        let &(segment, query, round) = self.queries.get(name)?;
        Some((&self.segments[segment].queries[query].name, round))
    }

    /// Something to be said above the bars.
    pub fn say(&self, text: &str) {
        if self.terminal {
            self.head.set_message(text.to_owned());
        } else {
            eprintln!("{text}");
        }
    }

    pub fn end(&self) {
        for segment in &self.segments {
            segment.bar.finish_and_clear();
        }
        self.head.finish_and_clear();
    }
}

impl Segment {
    fn ended(&self, well: bool) -> usize {
        self.queries.iter().filter(|query| query.end == Some(well)).count()
    }

    fn show(&self) {
        self.bar.set_position((self.ended(true) + self.ended(false)) as u64);
        let mut words = Vec::new();
        if self.round > 1 {
            words.push(format!("round {}", self.round));
        }
        if self.ended(false) > 0 {
            words.push(format!("{} failed", self.ended(false)));
        }
        let mut names: Vec<&str> = self.running.iter().take(NAMED).map(|at| self.queries[*at].name.as_str()).collect();
        let more = self.running.len().saturating_sub(NAMED);
        let more = format!("{more} more");
        if self.running.len() > NAMED {
            names.push(&more);
        }
        words.push(names.join(", "));
        self.bar.set_message(words.join("; "));
    }

    fn line(&self, query: usize, status: &str, round: u8) -> String {
        let word = match status {
            "SUCCEEDED" => "finished",
            "ABORTED" => "stopped",
            _ => "failed",
        };
        let round = if round > 1 { format!(" in round {round}") } else { String::new() };
        let ended = self.ended(true) + self.ended(false);
        format!(
            "{} {ended}/{}: {} {word}{round}",
            self.name,
            self.bar.length().unwrap_or_default(),
            self.queries[query].name
        )
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours and right; a wrong one would show as the default.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
