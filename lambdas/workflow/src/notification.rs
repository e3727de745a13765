//! The message that tells a subscriber how a run ended: plain text, short enough for SNS, and complete enough to act on.

use crate::address::Address;
use crate::configuration::{PREFLIGHT, Severity};
use crate::manifest::Ending;
use crate::status::State;
use crate::summary::Summary;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// ASCII without control characters, less than 100 characters (SNS limit for subjects).
    pub subject: String,
    /// Plain text, far below 256 KiB (SNS limit).
    pub body: String,
}

/// The most failures that a message spells out, and the longest error text: it stays readable, and below SNS's limit.
const FAILURES: usize = 50;
const ERROR_CHARACTERS: usize = 500;

/// The message for a run, or nothing where the workflow does not want one for such an end.
#[must_use]
pub fn message(summary: &Summary, notify: crate::configuration::Notify, report: Option<&Address>) -> Option<Message> {
    let wanted = if summary.ending == Ending::Succeeded { notify.success } else { notify.failure };
    wanted.then(|| Message { subject: subject(summary), body: body(summary, report) })
}

/// The message for a run that broke before there was a plan or a summary: nobody is left waiting in silence.
#[must_use]
pub fn broken(workflow: &str, run: &str, error: &str, cause: &str) -> Message {
    let subject = ascii(&format!("{workflow}: the run broke ({error})"));
    let cause = shorten(cause);
    Message {
        subject,
        body: format!("The run {run} of the workflow {workflow} broke.\n\nError: {error}\nCause: {cause}\n"),
    }
}

fn ascii(text: &str) -> String {
    // SNS wants a letter, number or punctuation mark first; workflow names start with a letter.
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(99).collect()
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    if text.chars().count() <= ERROR_CHARACTERS {
        return text.to_owned();
    }
    let start: String = text.chars().take(ERROR_CHARACTERS).collect();
    format!("{start} … (the rest is in the error's object)")
}

fn plural(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// How many findings there are of each severity, in words; what the review could not see is none.
#[must_use]
pub fn findings(summary: &Summary) -> String {
    let found = || summary.findings.iter().filter(|finding| finding.section != PREFLIGHT);
    let count = |severity: Severity| found().filter(|finding| finding.severity == severity).count();
    if found().next().is_none() {
        return "no findings".to_owned();
    }
    let parts: Vec<String> = Severity::ALL
        .into_iter()
        .filter(|severity| count(*severity) > 0)
        .map(|severity| format!("{} {}", count(severity), severity.name()))
        .collect();
    format!("{} ({})", plural(found().count() as u64, "finding", "findings"), parts.join(", "))
}

fn subject(summary: &Summary) -> String {
    let counts = &summary.counts;
    let missing = counts.queries - counts.off - counts.finished;
    ascii(&match summary.ending {
        Ending::Succeeded if summary.findings.is_empty() => {
            format!("{}: finished, {}", summary.workflow, plural(counts.finished, "query", "queries"))
        }
        Ending::Succeeded => format!("{}: finished, {}", summary.workflow, findings(summary)),
        Ending::PersistentFailures => format!(
            "{}: partial, {} of {} never succeeded",
            summary.workflow,
            missing,
            plural(counts.queries - counts.off, "query", "queries")
        ),
        Ending::Stopped => format!(
            "{}: stopped, {} of {} finished",
            summary.workflow,
            counts.finished,
            plural(counts.queries - counts.off, "query", "queries")
        ),
    })
}

fn body(summary: &Summary, report: Option<&Address>) -> String {
    let counts = &summary.counts;
    let seconds = (summary.ended_at - summary.started_at).num_seconds().max(0);
    let ended = match summary.ending {
        Ending::Succeeded => "finished",
        Ending::PersistentFailures => "ended with queries that never succeeded",
        Ending::Stopped => "was stopped before its end",
    };
    let mut lines = vec![
        format!("The run {} of the workflow {} {ended}.", summary.run_id, summary.workflow),
        String::new(),
        format!("Plan:     {} on {}", summary.plan, summary.target.name()),
        format!(
            "Time:     {} to {} UTC ({} min {:02} s)",
            summary.started_at.format("%Y-%m-%d %H:%M:%S"),
            summary.ended_at.format("%H:%M:%S"),
            seconds / 60,
            seconds % 60
        ),
        format!(
            "Queries:  {} finished, {} failed, {} aborted, {} skipped, {} not reached, {} configured off; {}",
            counts.finished,
            counts.failed,
            counts.aborted,
            counts.skipped,
            counts.open,
            counts.off,
            plural(summary.rounds.into(), "round", "rounds")
        ),
    ];
    if !summary.findings.is_empty() || !summary.not_evaluated.is_empty() {
        lines.push(format!("Findings: {}", findings(summary)));
    }
    for blind in summary.findings.iter().filter(|finding| finding.section == PREFLIGHT) {
        lines.push(format!("Not seen: {}", blind.signal));
    }
    if !summary.not_evaluated.is_empty() {
        let count = summary.not_evaluated.len() as u64;
        lines.push(format!("          {} could not be evaluated", plural(count, "rule", "rules")));
    }
    if !summary.missing_segments.is_empty() {
        lines.push(format!("Segments without a manifest: {}", summary.missing_segments.join(", ")));
    }
    if let Some(address) = report {
        lines.push(String::new());
        let partial = if summary.ending == Ending::Succeeded { "" } else { " (of what there is)" };
        lines.push(format!("Report:   {}{partial}", address.place));
        if let Some(link) = &address.link {
            lines.push(match link.until {
                Some(until) => format!("Link until {} UTC:", until.format("%Y-%m-%d %H:%M")),
                None => "Link:".to_owned(),
            });
            lines.push(link.href.clone());
        }
    }
    if !summary.failures.is_empty() {
        lines.push(String::new());
        lines.push("What did not finish:".to_owned());
        // What failed by itself first; what only waited for it explains nothing.
        let (skipped, failed): (Vec<_>, Vec<_>) =
            summary.failures.iter().partition(|failure| failure.status == State::Skipped);
        let all: Vec<_> = failed.into_iter().chain(skipped).collect();
        for failure in all.iter().take(FAILURES) {
            lines.push(format!(
                "- {} ({}, round {}): {}: {}",
                failure.query,
                failure.status.name(),
                failure.round,
                failure.error.name,
                shorten(&failure.error.message).replace('\n', "\n  ")
            ));
        }
        if all.len() > FAILURES {
            lines.push(format!(
                "- and {} more, all of them in {}",
                all.len() - FAILURES,
                crate::plan::Keys(&summary.prefix).summary()
            ));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
