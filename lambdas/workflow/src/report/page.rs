//! The page: everything that is known of a run, put into words, handed to the template. The template decides how it looks;
//! what it can use is the `Context` below, which the template's first lines describe for those who change it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Safe};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::findings::{Change, Finding, Findings, Value, rank};
use super::section::{
    Cell, Head, LONG_CELL, Linked, Part, Shown, Table, Unevaluated, caption, linked, missing, null_cell, number_cell,
    part, reach, shown, text_cell, unevaluated, value_cell,
};
use super::{Error, Review, chart, words};
use crate::address::Address;
use crate::configuration::{PREFLIGHT, Severity};
use crate::manifest::Ending;
use crate::plan::Plan;
use crate::status::State;
use crate::summary::Summary;

/// What a page is made of, beside the sections.
pub struct Page<'p> {
    /// What the workflow is for.
    pub description: &'p str,
    /// The run's plan.
    pub plan: &'p Plan,
    /// What became of the run.
    pub summary: &'p Summary,
    /// What the rules say.
    pub findings: &'p Findings,
    /// The run before, where there is one.
    pub previous: Option<&'p Summary>,
    /// When the page is made.
    pub made_at: DateTime<Utc>,
    /// Where a query's CSV is.
    pub csv: &'p dyn Fn(&str) -> Option<Address>,
    /// Where everything of the run is.
    pub results: Option<Address>,
}

/// The most queries in the table of the run.
const QUERIES: usize = 500;

#[derive(Serialize)]
struct Context {
    title: String,
    description: String,
    run: Run,
    status: Status,
    blind: Blind,
    severities: Vec<Count>,
    total: usize,
    evaluated: usize,
    not_evaluated: Vec<Unevaluated>,
    change: Option<Changed>,
    findings: Vec<Shown>,
    recommendations: Vec<Advice>,
    sections: Vec<Part>,
    how: How,
}

#[derive(Serialize)]
struct Run {
    workflow: String,
    plan: String,
    target: &'static str,
    id: String,
    started: String,
    started_iso: String,
    elapsed: String,
    made: String,
    results: Option<Linked>,
}

#[derive(Serialize)]
struct Status {
    /// good, partial or stopped.
    kind: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Blind {
    /// What the preflight's rules found.
    findings: Vec<Shown>,
    /// The preflight itself could not be read.
    unknown: Option<String>,
    sections: Vec<MissingPart>,
    partial: Vec<String>,
}

impl Blind {
    fn nothing(&self) -> bool {
        self.findings.is_empty() && self.unknown.is_none() && self.sections.is_empty() && self.partial.is_empty()
    }
}

#[derive(Serialize)]
struct MissingPart {
    id: String,
    title: String,
    why: String,
}

#[derive(Serialize)]
struct Count {
    name: &'static str,
    title: String,
    count: usize,
    new: usize,
}

#[derive(Serialize)]
struct Changed {
    since: String,
    run: String,
    new: Vec<Mention>,
    gone: Vec<Mention>,
    still: usize,
    moved: Vec<Mention>,
    unknown: Vec<Mention>,
}

#[derive(Serialize)]
struct Mention {
    /// The finding to go to, where there is one.
    rule: Option<String>,
    signal: String,
    severity: &'static str,
    note: String,
}

#[derive(Serialize)]
struct Advice {
    id: String,
    title: String,
    text: String,
    effort: String,
    link: Option<String>,
    severity: &'static str,
    touches: Vec<Touch>,
}

#[derive(Serialize)]
struct Touch {
    rule: String,
    signal: String,
    severity: &'static str,
    reach: String,
    share: Option<String>,
}

#[derive(Serialize)]
struct How {
    counts: Vec<(String, u64)>,
    rounds: u8,
    rows: String,
    bytes: String,
    cost: Option<String>,
    time_line: Option<Safe>,
    not_drawn: usize,
    failures: Vec<Failed>,
    queries: Table,
    missing_segments: Vec<String>,
    left_out: Vec<String>,
}

#[derive(Serialize)]
struct Failed {
    query: String,
    segment: String,
    status: &'static str,
    round: u8,
    name: String,
    message: String,
}

/// Renders the page with a template, for which values are escaped as HTML. Its name is only for error messages.
///
/// # Errors
/// [`Error::Template`] where the template is wrong or uses a name that there is not.
pub fn render(name: &str, template: &str, review: &Review<'_>, page: &Page<'_>) -> Result<String, Error> {
    let environment = environment(name, template)?;
    let context = context(review, page);
    let error = |error: minijinja::Error| Error::Template { name: name.to_owned(), message: said(&error) };
    environment.get_template(name).and_then(|template| template.render(Serde(&context))).map_err(error)
}

/// Whether a template can be read at all; what it uses is only known when a page is made.
///
/// # Errors
/// [`Error::Template`] with the line.
pub fn check_template(name: &str, template: &str) -> Result<(), Error> {
    environment(name, template).map(|_| ())
}

fn environment<'t>(name: &'t str, template: &'t str) -> Result<Environment<'t>, Error> {
    let mut environment = Environment::new();
    // Whatever the template is called: what comes from the database is never markup.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Tags on lines of their own leave none behind.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    let syntax = syntax.map_err(|error| Error::Template { name: name.to_owned(), message: said(&error) })?;
    environment.set_syntax(syntax);
    environment.add_filter("code", code);
    environment.add_filter("whole", |number: i128| words::whole(number));
    environment
        .add_template(name, template)
        .map_err(|error| Error::Template { name: name.to_owned(), message: said(&error) })?;
    Ok(environment)
}

fn said(error: &minijinja::Error) -> String {
    let place = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{place}{error}")
}

/// Text between backquotes as code, everything escaped.
#[allow(clippy::needless_pass_by_value)]
fn code(text: String) -> Safe {
    let mut html = String::new();
    let parts: Vec<&str> = text.split('`').collect();
    // A backquote without its partner is just that.
    let last = parts.len() - 1;
    for (at, part) in parts.iter().enumerate() {
        let escaped = chart::escape(part);
        match at % 2 {
            1 if at < last => html.push_str(&format!("<code>{escaped}</code>")),
            1 => html.push_str(&format!("`{escaped}")),
            _ => html.push_str(&escaped),
        }
    }
    Safe::from_safe_string(html)
}

fn context(review: &Review<'_>, page: &Page<'_>) -> Context {
    let summary = page.summary;
    let change = page.previous.map(|before| Change::new(page.findings, before));
    let shown: Vec<Shown> =
        page.findings.findings.iter().map(|finding| shown(review, page, finding, change.as_ref())).collect();
    let (blind_findings, findings): (Vec<Shown>, Vec<Shown>) =
        shown.into_iter().partition(|finding| finding.section == PREFLIGHT);
    let not_evaluated: Vec<Unevaluated> =
        page.findings.not_evaluated.iter().map(|rule| unevaluated(review, rule)).collect();
    let sections: Vec<Part> = review
        .sections()
        .filter(|section| section.id != PREFLIGHT)
        .map(|section| part(review, page, section, &findings))
        .collect();
    let blind = blind(review, page, blind_findings, &sections);
    let count = |severity: Severity| findings.iter().filter(move |finding| finding.severity == severity.name());
    Context {
        title: words::heading(&summary.workflow),
        description: page.description.to_owned(),
        run: Run {
            workflow: summary.workflow.clone(),
            plan: summary.plan.clone(),
            target: summary.target.name(),
            id: summary.run_id.clone(),
            started: words::time(summary.started_at),
            started_iso: summary.started_at.to_rfc3339(),
            elapsed: words::span(summary.ended_at - summary.started_at),
            made: words::time(page.made_at),
            results: page.results.as_ref().map(linked),
        },
        status: status(summary, blind.nothing()),
        blind,
        severities: Severity::ALL
            .into_iter()
            .map(|severity| Count {
                name: severity.name(),
                title: words::heading(severity.name()),
                count: count(severity).count(),
                new: count(severity).filter(|finding| finding.change == Some("new")).count(),
            })
            .collect(),
        total: findings.len(),
        evaluated: page.findings.evaluated,
        not_evaluated,
        change: change.zip(page.previous).map(|(change, before)| changed(&change, page.findings, before)),
        recommendations: advice(review, page),
        findings,
        sections,
        how: how(page),
    }
}

fn status(summary: &Summary, sees_all: bool) -> Status {
    let counts = &summary.counts;
    let wanted = counts.queries - counts.off;
    let (kind, text) = match summary.ending {
        Ending::Succeeded if sees_all => {
            ("good", format!("Complete: all {} finished", words::plural(wanted, "query", "queries")))
        }
        Ending::Succeeded => (
            "partial",
            format!(
                "All {} finished, but the review could not see everything",
                words::plural(wanted, "query", "queries")
            ),
        ),
        Ending::PersistentFailures => (
            "partial",
            format!(
                "Partial: {} of {} never succeeded",
                words::whole((wanted - counts.finished).into()),
                words::plural(wanted, "query", "queries")
            ),
        ),
        Ending::Stopped => (
            "stopped",
            format!(
                "Stopped: {} of {} finished",
                words::whole(counts.finished.into()),
                words::plural(wanted, "query", "queries")
            ),
        ),
    };
    Status { kind, text }
}

fn blind(review: &Review<'_>, page: &Page<'_>, findings: Vec<Shown>, sections: &[Part]) -> Blind {
    let preflight = review.sections().find(|section| section.id == PREFLIGHT);
    let unknown = preflight
        .and_then(|section| match review.loaded(&section.id) {
            None => Some(missing(review, page, &section.id).1),
            Some(_) => page.findings.not_evaluated.iter().find(|rule| rule.section == PREFLIGHT).map(|rule| {
                let Unevaluated { rule, why, .. } = unevaluated(review, rule);
                format!("the rule {rule} cannot be evaluated: {why}")
            }),
        })
        .map(|why| format!("Whether the review sees the rows of all users is not known: {why}"));
    Blind {
        findings,
        unknown,
        sections: sections
            .iter()
            .filter(|part| part.state == "failed")
            .map(|part| MissingPart {
                id: part.id.clone(),
                title: part.title.clone(),
                why: part.why.clone().unwrap_or_default(),
            })
            .collect(),
        partial: sections
            .iter()
            .filter_map(|part| part.partial.as_ref().map(|partial| format!("{}: {partial}", part.title)))
            .collect(),
    }
}

fn changed(change: &Change, findings: &Findings, before: &Summary) -> Changed {
    let by_rule: HashMap<&str, &Finding> =
        findings.findings.iter().map(|finding| (finding.rule.as_str(), finding)).collect();
    let mention = |rule: &String, note: String| {
        by_rule.get(rule.as_str()).map(|finding| Mention {
            rule: Some(rule.clone()),
            signal: finding.signal.clone(),
            severity: finding.severity.name(),
            note,
        })
    };
    Changed {
        since: words::time(before.started_at),
        run: before.run_id.clone(),
        new: change
            .new
            .iter()
            .filter_map(|rule| {
                mention(rule, by_rule.get(rule.as_str()).map(|finding| reach(finding).0).unwrap_or_default())
            })
            .collect(),
        gone: change
            .gone
            .iter()
            .map(|record| Mention {
                rule: None,
                signal: record.signal.clone(),
                severity: record.severity.name(),
                note: format!("was {}", words::plural(record.matched, "row", "rows")),
            })
            .collect(),
        still: change.still.len(),
        moved: change
            .still
            .iter()
            .filter_map(|(rule, earlier)| {
                let now = by_rule.get(rule.as_str())?.matched;
                let note = match now.cmp(earlier) {
                    std::cmp::Ordering::Equal => return None,
                    std::cmp::Ordering::Greater => "more",
                    std::cmp::Ordering::Less => "fewer",
                };
                mention(rule, format!("{note}: {} → {}", words::whole((*earlier).into()), words::whole(now.into())))
            })
            .collect(),
        unknown: change
            .unknown
            .iter()
            .filter_map(|rule| {
                mention(rule, "could not be evaluated in the run before".to_owned()).or_else(|| {
                    let record = before.findings.iter().find(|record| record.rule == *rule)?;
                    Some(Mention {
                        rule: None,
                        signal: record.signal.clone(),
                        severity: record.severity.name(),
                        note: "cannot be evaluated in this run".to_owned(),
                    })
                })
            })
            .collect(),
    }
}

fn advice(review: &Review<'_>, page: &Page<'_>) -> Vec<Advice> {
    rank(page.findings)
        .into_iter()
        .filter_map(|ranked| {
            let known = review.configuration.recommendations.iter().find(|known| known.id == ranked.id)?;
            let touched = || ranked.findings.iter().map(|at| &page.findings.findings[*at]);
            Some(Advice {
                id: known.id.clone(),
                title: known.title.clone(),
                text: known.text.clone(),
                effort: match known.effort {
                    crate::configuration::Effort::Low => "low",
                    crate::configuration::Effort::Medium => "medium",
                    crate::configuration::Effort::High => "high",
                }
                .to_owned(),
                link: known.link.clone(),
                severity: touched().map(|finding| finding.severity).min().map_or("low", Severity::name),
                touches: touched()
                    .map(|finding| {
                        let (reach, share) = reach(finding);
                        Touch {
                            rule: finding.rule.clone(),
                            signal: finding.signal.clone(),
                            severity: finding.severity.name(),
                            reach,
                            share,
                        }
                    })
                    .collect(),
            })
        })
        .collect()
}

fn how(page: &Page<'_>) -> How {
    let summary = page.summary;
    let counts = &summary.counts;
    let line = chart::time_line(&summary.time_line, summary.started_at, summary.ended_at);
    let not_drawn = line.as_ref().map_or(0, |(_, left)| *left);
    let columns = ["Query", "Segment", "Status", "Round", "Started after", "Took", "Rows"];
    let queries = summary.time_line.iter().take(QUERIES).map(|span| {
        let after = span.started_at - summary.started_at;
        let took = span.ended_at - span.started_at;
        #[allow(clippy::cast_precision_loss)]
        let ms = |delta: chrono::TimeDelta| delta.num_milliseconds() as f64;
        vec![
            text_cell(&span.query),
            text_cell(&span.segment),
            text_cell(span.status.name()),
            number_cell(span.round.to_string(), span.round.into()),
            number_cell(words::span(after), ms(after)),
            number_cell(words::span(took), ms(took)),
            span.rows.map_or_else(null_cell, |rows| {
                value_cell(&Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX)), false)
            }),
        ]
    });
    let rows: Vec<Vec<Cell>> = queries.collect();
    How {
        counts: [
            ("finished", counts.finished),
            ("failed", counts.failed),
            ("aborted", counts.aborted),
            ("skipped", counts.skipped),
            ("not reached", counts.open),
            ("configured off", counts.off),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect(),
        rounds: summary.rounds,
        rows: words::whole(summary.rows.into()),
        bytes: words::bytes(summary.bytes),
        cost: summary.cost.map(|cost| {
            format!(
                "{} state transitions, {} a query, about ${}",
                words::whole(cost.state_transitions.into()),
                words::number(cost.transitions_per_query),
                words::number(cost.dollars)
            )
        }),
        time_line: line.map(|(svg, _)| Safe::from_safe_string(svg)),
        not_drawn,
        failures: summary
            .failures
            .iter()
            .take(QUERIES)
            .map(|failure| Failed {
                query: failure.query.clone(),
                segment: failure.segment.clone(),
                status: if failure.status == State::Initial { "NOT REACHED" } else { failure.status.name() },
                round: failure.round,
                name: failure.error.name.clone(),
                message: words::start(&failure.error.message, LONG_CELL),
            })
            .collect(),
        queries: Table {
            columns: columns
                .iter()
                .enumerate()
                .map(|(at, title)| Head {
                    name: (*title).to_owned(),
                    title: (*title).to_owned(),
                    unit: None,
                    number: at > 2,
                })
                .collect(),
            total: summary.time_line.len() as u64,
            caption: caption(rows.len(), summary.time_line.len() as u64),
            rows,
            csv: None,
        },
        missing_segments: summary.missing_segments.clone(),
        left_out: page.plan.left_out.clone(),
    }
}
