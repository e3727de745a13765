//! The page: everything that is known of a run, put into words, handed to the template. The template decides how it looks;
//! what it can use is the `Context` below, which the template's first lines describe for those who change it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Safe};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::findings::{Change, Finding, Findings, Value, Why, rank};
use super::{Error, Review, SectionState, chart, words};
use crate::address::Address;
use crate::configuration::{ChartKind, PREFLIGHT, Section, Severity};
use crate::field::Field;
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

/// The longest text of a cell that is shown at once; the rest is a click away.
const CELL: usize = 90;
/// The longest text of a cell at all; the CSV has it whole.
const LONG_CELL: usize = 4000;
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
struct Unevaluated {
    rule: String,
    signal: String,
    section: String,
    why: String,
    /// Whether the rule itself is wrong.
    wrong: bool,
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

#[derive(Serialize, Clone)]
struct Shown {
    rule: String,
    section: String,
    section_title: String,
    signal: String,
    severity: &'static str,
    /// new, still, or nothing where there is no run to compare with.
    change: Option<&'static str>,
    /// "3 of 12 nodes", "4 rows".
    reach: String,
    /// "25 %", where it is a share.
    share: Option<String>,
    share_number: Option<f64>,
    source: Option<String>,
    recommendations: Vec<(String, String)>,
    table: Table,
}

#[derive(Serialize, Clone)]
struct Table {
    columns: Vec<Head>,
    rows: Vec<Vec<Cell>>,
    /// All rows.
    total: u64,
    /// "all 12 rows", "the first 25 of 1,204 rows".
    caption: String,
    csv: Option<Linked>,
}

#[derive(Serialize, Clone)]
struct Head {
    name: String,
    title: String,
    unit: Option<String>,
    number: bool,
}

#[derive(Serialize, Clone)]
struct Cell {
    /// number, text, long, or null.
    kind: &'static str,
    text: String,
    /// The start of a long text.
    start: Option<String>,
    /// What numbers are sorted by.
    sort: Option<f64>,
}

#[derive(Serialize, Clone)]
struct Linked {
    place: String,
    href: Option<String>,
    until: Option<String>,
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
struct Part {
    id: String,
    title: String,
    about: String,
    /// shown, failed or off.
    state: &'static str,
    /// Why it has no rows.
    why: Option<String>,
    findings: Vec<Shown>,
    not_evaluated: Vec<Unevaluated>,
    worst: Option<&'static str>,
    chart: Option<Safe>,
    chart_title: Option<String>,
    table: Option<Table>,
    /// Rows that the rules did not look at.
    partial: Option<String>,
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

fn linked(address: &Address) -> Linked {
    Linked {
        place: address.place.clone(),
        href: address.link.as_ref().map(|link| link.href.clone()),
        until: address.link.as_ref().and_then(|link| link.until).map(words::time),
    }
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

/// Why a section has no rows: whether it failed, and the reason.
fn missing(review: &Review<'_>, page: &Page<'_>, id: &str) -> (&'static str, String) {
    if let Some(SectionState::Missing(why)) = review.sections.get(id) {
        return ("failed", format!("its result cannot be used: {why}"));
    }
    if let Some(failure) = page.summary.failures.iter().find(|failure| failure.query == id) {
        let message = words::start(failure.error.message.trim(), 300);
        return ("failed", format!("its query did not finish ({}): {message}", failure.error.name));
    }
    match page.plan.queries().find(|(_, query)| query.name == id) {
        Some((_, query)) if query.skipped.is_some() => ("off", "its query is configured off".to_owned()),
        Some((segment, _)) if page.summary.missing_segments.contains(&segment.name) => {
            ("failed", format!("the segment {} left no manifest", segment.name))
        }
        Some(_) => ("failed", "its result was not found".to_owned()),
        None => ("failed", "the plan has no query for it".to_owned()),
    }
}

fn section_title<'r>(review: &Review<'r>, id: &'r str) -> &'r str {
    review.configuration.sections.iter().find(|section| section.id == id).map_or(id, |section| section.title.as_str())
}

fn unevaluated(review: &Review<'_>, rule: &super::NotEvaluated) -> Unevaluated {
    let (wrong, why) = match &rule.why {
        Why::SectionMissing(section) => {
            let title = review.configuration.sections.iter().find(|known| known.id == *section);
            (
                false,
                format!("the section “{}” is missing", title.map_or(section.as_str(), |known| known.title.as_str())),
            )
        }
        Why::Rule(message) => (true, message.clone()),
    };
    Unevaluated { rule: rule.rule.clone(), signal: rule.signal.clone(), section: rule.section.clone(), why, wrong }
}

/// "3 of 12 nodes" and "25 %", or "4 rows".
fn reach(finding: &Finding) -> (String, Option<String>) {
    match finding.total {
        Some(total) => {
            let text = format!(
                "{} of {} {}",
                words::whole(finding.matched.into()),
                words::whole(total.into()),
                finding.population
            );
            (text, Some(words::percent(finding.share())))
        }
        None => (words::plural(finding.matched, "row", "rows"), None),
    }
}

fn shown(review: &Review<'_>, page: &Page<'_>, finding: &Finding, change: Option<&Change>) -> Shown {
    let (reach, share) = reach(finding);
    let section = review.configuration.sections.iter().find(|section| section.id == finding.section);
    let columns = finding
        .columns
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let number =
                finding.rows.iter().all(|row| matches!(row[at], Value::Integer(_) | Value::Real(_) | Value::Null))
                    && finding.rows.iter().any(|row| !matches!(row[at], Value::Null));
            head(section, name, number)
        })
        .collect();
    let rows = finding
        .rows
        .iter()
        .map(|row| row.iter().zip(&finding.columns).map(|(value, name)| value_cell(value, identifies(name))).collect())
        .collect();
    let csv = finding.total.and_then(|_| (page.csv)(&finding.section));
    Shown {
        rule: finding.rule.clone(),
        section: finding.section.clone(),
        section_title: section_title(review, &finding.section).to_owned(),
        signal: finding.signal.clone(),
        severity: finding.severity.name(),
        change: change.map(|change| {
            if change.new.contains(&finding.rule) {
                "new"
            } else if change.unknown.contains(&finding.rule) {
                "unknown"
            } else {
                "still"
            }
        }),
        share_number: share.is_some().then(|| (finding.share() * 1000.0).round() / 10.0),
        reach,
        share,
        source: finding.source.clone(),
        recommendations: review
            .configuration
            .recommendations
            .iter()
            .filter(|known| finding.recommendations.contains(&known.id))
            .map(|known| (known.id.clone(), known.title.clone()))
            .collect(),
        table: Table {
            columns,
            rows,
            total: finding.matched,
            caption: caption(finding.rows.len(), finding.matched),
            csv: csv.as_ref().map(linked),
        },
    }
}

fn caption(shown: usize, total: u64) -> String {
    let count = u64::try_from(shown).unwrap_or(u64::MAX);
    if count == total {
        match total {
            0 => "no rows".to_owned(),
            1 => "the one row".to_owned(),
            _ => format!("all {} rows", words::whole(total.into())),
        }
    } else {
        format!("the first {} of {} rows", words::whole(count.into()), words::whole(total.into()))
    }
}

fn head(section: Option<&Section>, name: &str, number: bool) -> Head {
    let configured = section.and_then(|section| section.columns.iter().find(|column| column.name == name));
    Head {
        name: name.to_owned(),
        title: configured.and_then(|column| column.title.clone()).unwrap_or_else(|| words::heading(name)),
        unit: configured.and_then(|column| column.unit.clone()),
        number,
    }
}

/// Whether a column's numbers are names, which are not grouped: query_id, pid, node, slice.
fn identifies(column: &str) -> bool {
    let name = column.to_ascii_lowercase();
    name.ends_with("id") || matches!(name.as_str(), "query" | "node" | "slice" | "service_class" | "process" | "year")
}

fn text_cell(text: &str) -> Cell {
    if text.chars().count() > CELL {
        let whole = words::start(text, LONG_CELL);
        return Cell { kind: "long", text: whole, start: Some(words::start(text, CELL)), sort: None };
    }
    Cell { kind: "text", text: text.to_owned(), start: None, sort: None }
}

fn number_cell(text: String, sort: f64) -> Cell {
    Cell { kind: "number", text, start: None, sort: sort.is_finite().then_some(sort) }
}

fn null_cell() -> Cell {
    Cell { kind: "null", text: "–".to_owned(), start: None, sort: None }
}

#[allow(clippy::cast_precision_loss)]
fn value_cell(value: &Value, identifies: bool) -> Cell {
    match value {
        Value::Null => null_cell(),
        Value::Boolean(yes) => text_cell(if *yes { "yes" } else { "no" }),
        Value::Integer(number) if identifies => number_cell(number.to_string(), *number as f64),
        Value::Integer(number) => number_cell(words::whole((*number).into()), *number as f64),
        Value::Real(number) => number_cell(words::number(*number), *number),
        Value::Text(text) => text_cell(text),
    }
}

#[allow(clippy::cast_precision_loss)]
fn field_cell(field: &Field, numeric: bool, identifies: bool) -> Cell {
    match field {
        Field::Null => null_cell(),
        Field::Boolean(yes) => text_cell(if *yes { "yes" } else { "no" }),
        Field::Long(number) if identifies => number_cell(number.to_string(), *number as f64),
        Field::Long(number) => number_cell(words::whole((*number).into()), *number as f64),
        Field::Double(number) => number_cell(words::number(*number), *number),
        Field::Text(text) => match text.trim().parse::<f64>() {
            Ok(number) if numeric => number_cell(words::number(number), number),
            _ => text_cell(text),
        },
        Field::Blob(text) => text_cell(text),
    }
}

fn part(review: &Review<'_>, page: &Page<'_>, section: &Section, findings: &[Shown]) -> Part {
    let own: Vec<Shown> = findings.iter().filter(|finding| finding.section == section.id).cloned().collect();
    let not_evaluated = page
        .findings
        .not_evaluated
        .iter()
        .filter(|rule| rule.section == section.id)
        .map(|rule| unevaluated(review, rule))
        .filter(|rule| rule.wrong)
        .collect();
    let mut part = Part {
        id: section.id.clone(),
        title: section.title.clone(),
        about: section.about.clone(),
        state: "shown",
        why: None,
        worst: own.first().map(|finding| finding.severity),
        findings: own,
        not_evaluated,
        chart: None,
        chart_title: None,
        table: None,
        partial: None,
    };
    let Some(loaded) = review.loaded(&section.id) else {
        let (state, why) = missing(review, page, &section.id);
        part.state = state;
        part.why = Some(why);
        return part;
    };
    if loaded.examined < loaded.total {
        part.partial = Some(format!(
            "the rules looked at the first {} of {} rows",
            words::whole(loaded.examined.into()),
            words::whole(loaded.total.into())
        ));
    }
    let columns: Vec<Head> =
        loaded.columns.iter().map(|column| head(Some(section), &column.name, column.numeric)).collect();
    let rows: Vec<Vec<Cell>> = loaded
        .first
        .iter()
        .map(|row| {
            row.iter()
                .zip(&loaded.columns)
                .map(|(field, column)| field_cell(field, column.numeric, identifies(&column.name)))
                .collect()
        })
        .collect();
    let csv = (page.csv)(&section.id);
    part.table = Some(Table {
        caption: caption(rows.len(), loaded.total),
        columns,
        rows,
        total: loaded.total,
        csv: csv.as_ref().map(linked),
    });
    if let Some((svg, title)) = picture(review, section) {
        part.chart = Some(Safe::from_safe_string(svg));
        part.chart_title = Some(title);
    }
    part
}

/// The section's chart. A column that the result does not have means no chart: the table is there all the same.
fn picture(review: &Review<'_>, section: &Section) -> Option<(String, String)> {
    let chart = section.chart.as_ref()?;
    let quoted = super::database::quoted;
    let (label, value, table) = (quoted(&chart.label), quoted(&chart.value), quoted(&section.table()));
    let select = match chart.kind {
        ChartKind::Bar => format!(
            "SELECT {label}, {value} FROM {table} WHERE {value} IS NOT NULL ORDER BY 2 DESC LIMIT {}",
            chart::most_bars()
        ),
        ChartKind::Line => format!("SELECT {label}, {value} FROM {table} WHERE {value} IS NOT NULL LIMIT 5000"),
    };
    let found = review.database.select(&select, 5000).ok()?;
    let label_title = head(Some(section), &chart.label, false);
    let points: Vec<(String, f64)> = found
        .first
        .into_iter()
        .filter_map(|row| {
            use rusqlite::types::Value as Sql;
            let mut cells = row.into_iter();
            let label = match cells.next()? {
                Sql::Text(text) => text,
                // A bare number says nothing beside a bar.
                Sql::Integer(number) => format!("{} {number}", label_title.title),
                Sql::Real(number) => format!("{} {}", label_title.title, words::number(number)),
                _ => "–".to_owned(),
            };
            #[allow(clippy::cast_precision_loss)]
            let value = match cells.next()? {
                Sql::Integer(number) => number as f64,
                Sql::Real(number) => number,
                _ => return None,
            };
            Some((label, value))
        })
        .collect();
    let value = head(Some(section), &chart.value, true);
    let id = format!("chart-{}", section.id);
    let total = review.loaded(&section.id).map_or(0, |loaded| loaded.total);
    let (svg, title) = match chart.kind {
        ChartKind::Bar => {
            let most =
                if (points.len() as u64) < total { format!(", the {} highest", points.len()) } else { String::new() };
            let title = format!("{} by {}{most}", value.title, label_title.title.to_lowercase());
            (chart::bars(&id, &title, &points, value.unit.as_deref())?, title)
        }
        ChartKind::Line => {
            let title = format!("{} by {}", value.title, label_title.title.to_lowercase());
            (chart::line(&id, &title, &points, value.unit.as_deref())?, title)
        }
    };
    Some((svg, title))
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
