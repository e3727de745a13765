//! Pictures as SVG in the page. Widths are percentages and letters have their own size, so that a picture is as readable on
//! a phone as on a desk. Colours are classes of the template; every number of a picture also stands in a table or beside its bar.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use super::words;
use crate::status::State;
use crate::summary::Span;

/// The most bars, and the most points of a line that are drawn one by one.
const BARS: usize = 12;
const BAR_HEIGHT: usize = 38;
const LINE_HEIGHT: f64 = 160.0;
/// The most queries in the picture of the run: the longest are kept.
const SPANS: usize = 60;

/// How many bars a chart of rows has at most.
pub(super) fn most_bars() -> usize {
    BARS
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Not allowed in a page.
            c if c.is_control() && !c.is_whitespace() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn with_unit(value: f64, unit: Option<&str>) -> String {
    match unit {
        Some(unit) => format!("{} {unit}", words::number(value)),
        None => words::number(value),
    }
}

/// A bar for each label; the values are as they shall be shown, longest first. Nothing where there is nothing to draw.
pub(super) fn bars(id: &str, title: &str, bars: &[(String, f64)], unit: Option<&str>) -> Option<String> {
    let most = bars.iter().map(|(_, value)| *value).fold(0.0_f64, f64::max);
    if bars.is_empty() || most <= 0.0 {
        return None;
    }
    // A percentage is a part of 100, not of the longest bar.
    let whole = if unit == Some("%") && most <= 100.0 { 100.0 } else { most };
    let height = bars.len() * BAR_HEIGHT;
    let mut svg = format!(
        "<svg class=\"chart bars\" width=\"100%\" height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-t\"><title id=\"{id}-t\">{}</title>",
        escape(title)
    );
    for (at, (label, value)) in bars.iter().enumerate() {
        let y = at * BAR_HEIGHT;
        let width = (value.max(0.0) / whole * 100.0).clamp(0.0, 100.0);
        let _ = write!(
            svg,
            "<g><title>{full}: {number}</title><text class=\"label\" x=\"0\" y=\"{text}\">{label}</text>\
             <text class=\"number\" x=\"100%\" y=\"{text}\" text-anchor=\"end\">{number}</text>\
             <rect class=\"track\" x=\"0\" y=\"{bar}\" width=\"100%\" height=\"8\" rx=\"4\"/>\
             <rect class=\"bar\" x=\"0\" y=\"{bar}\" width=\"{width:.2}%\" height=\"8\" rx=\"4\"/></g>",
            full = escape(&words::start(label, 300)),
            number = escape(&with_unit(*value, unit)),
            text = y + 14,
            label = escape(&words::start(label, 34)),
            bar = y + 20,
        );
    }
    svg.push_str("</svg>");
    Some(svg)
}

fn when(label: &str) -> Option<NaiveDateTime> {
    let text = label.trim().replace('T', " ");
    let text = text.trim_end_matches("+00").trim_end_matches('Z');
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M"))
        .ok()
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0)))
}

/// A line through points. Labels that are times are put where they belong, others side by side; points with the same label
/// are added up. Nothing where there are fewer than two points.
#[allow(clippy::cast_precision_loss)]
pub(super) fn line(id: &str, title: &str, points: &[(String, f64)], unit: Option<&str>) -> Option<String> {
    let mut merged: Vec<(String, f64)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (label, value) in points {
        match places.get(label) {
            Some(at) => {
                let (_, sum): &mut (String, f64) = &mut merged[*at];
                *sum += value;
            }
            None => {
                places.insert(label.clone(), merged.len());
                merged.push((label.clone(), *value));
            }
        }
    }
    let times: Option<Vec<NaiveDateTime>> = merged.iter().map(|(label, _)| when(label)).collect();
    let mut placed: Vec<(f64, f64, String)> = match times {
        Some(times) => {
            let first = times.iter().min().copied()?;
            let second = |at: NaiveDateTime| (at - first).num_seconds() as f64;
            times.iter().zip(&merged).map(|(at, (label, value))| (second(*at), *value, label.clone())).collect()
        }
        None => merged.into_iter().enumerate().map(|(at, (label, value))| (at as f64, value, label)).collect(),
    };
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let last = placed.last()?.0;
    let most = placed.iter().map(|point| point.1).fold(0.0_f64, f64::max);
    if placed.len() < 2 || last <= 0.0 || most <= 0.0 {
        return None;
    }
    let x = |at: f64| at / last * 1000.0;
    let y = |value: f64| LINE_HEIGHT - value.max(0.0) / most * LINE_HEIGHT;
    let path: Vec<String> = placed.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
    let path = path.join(" ");
    let peak = placed.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let axis = LINE_HEIGHT + 40.0;
    let mut svg = format!(
        "<svg class=\"chart line\" width=\"100%\" height=\"{axis}\" role=\"img\" aria-labelledby=\"{id}-t\"><title id=\"{id}-t\">{title}. \
         Highest: {peak} at {label}.</title>\
         <svg x=\"0\" y=\"18\" width=\"100%\" height=\"{LINE_HEIGHT}\" viewBox=\"0 0 1000 {LINE_HEIGHT}\" preserveAspectRatio=\"none\" overflow=\"visible\">",
        title = escape(title),
        peak = escape(&with_unit(peak.1, unit)),
        label = escape(&peak.2),
    );
    for part in [0.0, 0.5, 1.0] {
        let at = LINE_HEIGHT * part;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"0\" x2=\"1000\" y1=\"{at}\" y2=\"{at}\" vector-effect=\"non-scaling-stroke\"/>"
        );
    }
    let _ = write!(
        svg,
        "<polygon class=\"area\" points=\"0,{LINE_HEIGHT} {path} {end:.1},{LINE_HEIGHT}\"/>\
         <polyline class=\"stroke\" points=\"{path}\" vector-effect=\"non-scaling-stroke\"/></svg>\
         <text class=\"number\" x=\"0\" y=\"12\">{top}</text>\
         <text class=\"label\" x=\"0\" y=\"{foot}\">{from}</text>\
         <text class=\"label\" x=\"100%\" y=\"{foot}\" text-anchor=\"end\">{to}</text></svg>",
        end = x(last),
        top = escape(&with_unit(most, unit)),
        foot = LINE_HEIGHT + 36.0,
        from = escape(&words::start(&placed.first()?.2, 19)),
        to = escape(&words::start(&placed.last()?.2, 19)),
    );
    Some(svg)
}

/// The run's time line: a bar for each query, by its start. Of many queries the longest are shown; the second value is how
/// many are not.
#[allow(clippy::cast_precision_loss)]
pub(super) fn time_line(spans: &[Span], from: DateTime<Utc>, to: DateTime<Utc>) -> Option<(String, usize)> {
    let mut shown: Vec<&Span> = spans.iter().collect();
    shown.sort_by_key(|span| std::cmp::Reverse(span.ended_at - span.started_at));
    shown.truncate(SPANS);
    shown.sort_by_key(|span| span.started_at);
    let first = shown.first()?;
    let from = from.min(first.started_at);
    let whole = (to - from).max(TimeDelta::milliseconds(1)).num_milliseconds() as f64;
    let row = 34;
    let height = shown.len() * row + 18;
    let mut svg = format!(
        "<svg class=\"chart spans\" width=\"100%\" height=\"{height}\" role=\"img\" aria-labelledby=\"run-t\"><title id=\"run-t\">\
         Which query ran when, over {}. The table below has the numbers.</title>",
        escape(&words::span(to - from))
    );
    for (at, span) in shown.iter().enumerate() {
        let left = ((span.started_at - from).num_milliseconds() as f64 / whole * 100.0).clamp(0.0, 100.0);
        let width = ((span.ended_at - span.started_at).num_milliseconds() as f64 / whole * 100.0)
            .clamp(0.3, 100.0 - left.min(99.7));
        let class = match span.status {
            State::Finished => "good",
            State::Failed | State::Aborted => "bad",
            _ => "idle",
        };
        let name = format!("{}{}", if class == "bad" { "✕ " } else { "" }, words::start(&span.query, 34));
        let y = at * row;
        let _ = write!(
            svg,
            "<g><title>{full}: {status}, {span}, round {round}</title><text class=\"label\" x=\"0\" y=\"{text}\">{name}</text>\
             <text class=\"soft\" x=\"100%\" y=\"{text}\" text-anchor=\"end\">{span}</text>\
             <rect class=\"track\" x=\"0\" y=\"{bar}\" width=\"100%\" height=\"8\" rx=\"4\"/>\
             <rect class=\"{class}\" x=\"{left:.2}%\" y=\"{bar}\" width=\"{width:.2}%\" height=\"8\" rx=\"3\"/></g>",
            full = escape(&span.query),
            status = span.status.name(),
            span = words::span(span.ended_at - span.started_at),
            round = span.round,
            text = y + 13,
            bar = y + 18,
            name = escape(&name),
        );
    }
    let foot = height - 4;
    let _ = write!(
        svg,
        "<text class=\"soft\" x=\"0\" y=\"{foot}\">{}</text><text class=\"soft\" x=\"100%\" y=\"{foot}\" text-anchor=\"end\">{}</text></svg>",
        from.format("%H:%M:%S UTC"),
        to.format("%H:%M:%S UTC")
    );
    Some((svg, spans.len() - shown.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(&str, f64)]) -> Vec<(String, f64)> {
        values.iter().map(|(label, value)| ((*label).to_owned(), *value)).collect()
    }

    #[test]
    fn there_is_no_picture_of_nothing() {
        assert_eq!(bars("c", "t", &[], None), None);
        assert_eq!(bars("c", "t", &points(&[("a", 0.0), ("b", -1.0)]), None), None);
        assert_eq!(line("c", "t", &[], None), None);
        assert_eq!(line("c", "t", &points(&[("a", 1.0)]), None), None);
        assert_eq!(line("c", "t", &points(&[("a", 0.0), ("b", 0.0)]), None), None);
        assert_eq!(line("c", "t", &points(&[("a", 1.0), ("a", 2.0)]), None), None);
        assert!(time_line(&[], DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH).is_none());
    }

    #[test]
    fn bars_are_parts_of_the_longest_or_of_a_hundred() {
        let values = points(&[("<a>", 50.0), ("b", 25.0), ("c", -5.0)]);
        let parts = bars("c", "t & t", &values, Some("%")).unwrap();
        assert!(
            parts.contains("width=\"50.00%\"")
                && parts.contains("width=\"25.00%\"")
                && parts.contains("width=\"0.00%\"")
        );
        assert!(parts.contains("&lt;a&gt;") && parts.contains("t &amp; t") && !parts.contains("<a>"));
        assert!(bars("c", "t", &values, None).unwrap().contains("width=\"100.00%\""));
    }

    #[test]
    fn times_stand_where_they_belong_and_equal_labels_are_added_up() {
        // The newest first, a gap, and one hour twice.
        let values = points(&[
            ("2026-11-21 04:00:00", 3.0),
            ("2026-11-21 01:00:00", 1.0),
            ("2026-11-21 01:00:00", 1.0),
            ("2026-11-21", 4.0),
        ]);
        let svg = line("c", "t", &values, Some("s")).unwrap();
        assert!(svg.contains("points=\"0.0,0.0 250.0,80.0 1000.0,40.0\""), "{svg}");
        assert!(svg.contains("Highest: 4 s at 2026-11-21."));
        // Words stand side by side in their order.
        let svg = line("c", "t", &points(&[("b", 1.0), ("a", 2.0)]), None).unwrap();
        assert!(svg.contains("points=\"0.0,80.0 1000.0,0.0\""), "{svg}");
    }
}
