//! A section of the page: its findings, its table, its chart, and why it has no rows where it has none.

use minijinja::value::Value as Safe;
use serde::Serialize;

use super::findings::{Change, Finding, Value, Why};
use super::page::Page;
use super::{Review, SectionState, chart, words};
use crate::address::Address;
use crate::configuration::{ChartKind, Section};
use crate::field::Field;

/// The longest text of a cell that is shown at once; the rest is a click away.
pub(super) const CELL: usize = 90;
/// The longest text of a cell at all; the CSV has it whole.
pub(super) const LONG_CELL: usize = 4000;
#[derive(Serialize)]
pub(super) struct Unevaluated {
    pub(super) rule: String,
    pub(super) signal: String,
    pub(super) section: String,
    pub(super) why: String,
    /// Whether the rule itself is wrong.
    pub(super) wrong: bool,
}

#[derive(Serialize, Clone)]
pub(super) struct Shown {
    pub(super) rule: String,
    pub(super) section: String,
    pub(super) section_title: String,
    pub(super) signal: String,
    pub(super) severity: &'static str,
    /// new, still, or nothing where there is no run to compare with.
    pub(super) change: Option<&'static str>,
    /// "3 of 12 nodes", "4 rows".
    pub(super) reach: String,
    /// "25 %", where it is a share.
    pub(super) share: Option<String>,
    pub(super) share_number: Option<f64>,
    pub(super) source: Option<String>,
    pub(super) recommendations: Vec<(String, String)>,
    pub(super) table: Table,
}

#[derive(Serialize, Clone)]
pub(super) struct Table {
    pub(super) columns: Vec<Head>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// All rows.
    pub(super) total: u64,
    /// "all 12 rows", "the first 25 of 1,204 rows".
    pub(super) caption: String,
    pub(super) csv: Option<Linked>,
}

#[derive(Serialize, Clone)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) unit: Option<String>,
    pub(super) number: bool,
}

#[derive(Serialize, Clone)]
pub(super) struct Cell {
    /// number, text, long, or null.
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// The start of a long text.
    pub(super) start: Option<String>,
    /// What numbers are sorted by.
    pub(super) sort: Option<f64>,
}

#[derive(Serialize, Clone)]
pub(super) struct Linked {
    pub(super) place: String,
    pub(super) href: Option<String>,
    pub(super) until: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) about: String,
    /// shown, failed or off.
    pub(super) state: &'static str,
    /// Why it has no rows.
    pub(super) why: Option<String>,
    pub(super) findings: Vec<Shown>,
    pub(super) not_evaluated: Vec<Unevaluated>,
    pub(super) worst: Option<&'static str>,
    pub(super) chart: Option<Safe>,
    pub(super) chart_title: Option<String>,
    pub(super) table: Option<Table>,
    /// Rows that the rules did not look at.
    pub(super) partial: Option<String>,
}

pub(super) fn linked(address: &Address) -> Linked {
    Linked {
        place: address.place.clone(),
        href: address.link.as_ref().map(|link| link.href.clone()),
        until: address.link.as_ref().and_then(|link| link.until).map(words::time),
    }
}

/// Why a section has no rows: whether it failed, and the reason.
pub(super) fn missing(review: &Review<'_>, page: &Page<'_>, id: &str) -> (&'static str, String) {
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

pub(super) fn section_title<'r>(review: &Review<'r>, id: &'r str) -> &'r str {
    review.configuration.sections.iter().find(|section| section.id == id).map_or(id, |section| section.title.as_str())
}

pub(super) fn unevaluated(review: &Review<'_>, rule: &super::NotEvaluated) -> Unevaluated {
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
pub(super) fn reach(finding: &Finding) -> (String, Option<String>) {
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

pub(super) fn shown(review: &Review<'_>, page: &Page<'_>, finding: &Finding, change: Option<&Change>) -> Shown {
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

pub(super) fn caption(shown: usize, total: u64) -> String {
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

pub(super) fn head(section: Option<&Section>, name: &str, number: bool) -> Head {
    let configured = section.and_then(|section| section.columns.iter().find(|column| column.name == name));
    Head {
        name: name.to_owned(),
        title: configured.and_then(|column| column.title.clone()).unwrap_or_else(|| words::heading(name)),
        unit: configured.and_then(|column| column.unit.clone()),
        number,
    }
}

/// Whether a column's numbers are names, which are not grouped: query_id, pid, node, slice.
pub(super) fn identifies(column: &str) -> bool {
    let name = column.to_ascii_lowercase();
    name.ends_with("id") || matches!(name.as_str(), "query" | "node" | "slice" | "service_class" | "process" | "year")
}

pub(super) fn text_cell(text: &str) -> Cell {
    if text.chars().count() > CELL {
        let whole = words::start(text, LONG_CELL);
        return Cell { kind: "long", text: whole, start: Some(words::start(text, CELL)), sort: None };
    }
    Cell { kind: "text", text: text.to_owned(), start: None, sort: None }
}

pub(super) fn number_cell(text: String, sort: f64) -> Cell {
    Cell { kind: "number", text, start: None, sort: sort.is_finite().then_some(sort) }
}

pub(super) fn null_cell() -> Cell {
    Cell { kind: "null", text: "–".to_owned(), start: None, sort: None }
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn value_cell(value: &Value, identifies: bool) -> Cell {
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
pub(super) fn field_cell(field: &Field, numeric: bool, identifies: bool) -> Cell {
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

pub(super) fn part(review: &Review<'_>, page: &Page<'_>, section: &Section, findings: &[Shown]) -> Part {
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
pub(super) fn picture(review: &Review<'_>, section: &Section) -> Option<(String, String)> {
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
