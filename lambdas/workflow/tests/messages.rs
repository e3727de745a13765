//! The message to the subscriber: for success, for a partial report, for a stopped and for a broken run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use chrono::DateTime;
use workflow::address::{Address, Link};
use workflow::configuration::{Notify, Severity, Target};
use workflow::manifest::{Counts, Ending};
use workflow::notification;
use workflow::status::{Failure, State};
use workflow::summary::{FindingRecord, PersistentFailure, Summary};

const BOTH: Notify = Notify { success: true, failure: true };

fn summary(ending: Ending, finished: u64, failed: u64) -> Summary {
    Summary {
        workflow: "review".into(),
        plan: "serial-parallel".into(),
        target: Target::Provisioned,
        run_id: "r1".into(),
        prefix: "runs/review/20261121T070331Z-r1/".into(),
        ending,
        started_at: DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
        ended_at: DateTime::from_timestamp(1_795_000_125, 0).unwrap(),
        rounds: 2,
        counts: Counts { queries: finished + failed, finished, failed, ..Counts::default() },
        rows: 10,
        bytes: 100,
        failures: (0..failed)
            .map(|n| PersistentFailure {
                query: format!("q{n}"),
                segment: "all".into(),
                status: State::Failed,
                round: 2,
                error: Failure {
                    name: "Redshift.Syntax".into(),
                    message: "ERROR: syntax error\nat or near \"x\"".into(),
                    class: None,
                    transient: None,
                },
            })
            .collect(),
        missing_segments: vec![],
        time_line: vec![],
        cost: None,
        findings: vec![],
        not_evaluated: vec![],
    }
}

fn finding(severity: Severity) -> FindingRecord {
    FindingRecord { rule: "r".into(), section: "s".into(), signal: "x".into(), severity, matched: 1, total: 2 }
}

#[test]
fn success() {
    let mut summary = summary(Ending::Succeeded, 18, 0);
    let message = notification::message(&summary, BOTH, None).unwrap();
    assert_eq!(message.subject, "review: finished, 18 queries");
    summary.findings = vec![finding(Severity::High), finding(Severity::Low), finding(Severity::Low)];
    let until = DateTime::from_timestamp(1_795_003_600, 0);
    let place =
        Address { place: "s3://bucket/report.html".into(), link: Some(Link { href: "https://x/y".into(), until }) };
    let message = notification::message(&summary, BOTH, Some(&place)).unwrap();
    assert_eq!(message.subject, "review: finished, 3 findings (1 high, 2 low)");
    assert_eq!(
        message.body,
        "The run r1 of the workflow review finished.\n\nPlan:     serial-parallel on provisioned\n\
         Time:     2026-11-18 11:06:40 to 11:08:45 UTC (2 min 05 s)\n\
         Queries:  18 finished, 0 failed, 0 aborted, 0 skipped, 0 not reached, 0 configured off; 2 rounds\n\
         Findings: 3 findings (1 high, 2 low)\n\nReport:   s3://bucket/report.html\nLink until 2026-11-18 12:06 UTC:\nhttps://x/y\n"
    );
    // What the review could not see is no finding, and is said.
    let blind = FindingRecord { section: "preflight".into(), signal: "It is blind".into(), ..finding(Severity::High) };
    summary.findings.push(blind);
    summary.not_evaluated = vec!["rule".into()];
    let message = notification::message(&summary, BOTH, None).unwrap();
    assert_eq!(message.subject, "review: finished, 3 findings (1 high, 2 low)");
    assert!(
        message.body.contains("Not seen: It is blind\n          1 rule could not be evaluated\n"),
        "{}",
        message.body
    );
    assert!(notification::message(&summary, Notify { success: false, failure: true }, None).is_none());
}

#[test]
fn partial_stopped_and_broken() {
    let message = notification::message(&summary(Ending::PersistentFailures, 16, 2), BOTH, None).unwrap();
    assert_eq!(message.subject, "review: partial, 2 of 18 queries never succeeded");
    assert!(
        message.body.contains("- q1 (FAILED, round 2): Redshift.Syntax: ERROR: syntax error\n  at or near \"x\"\n")
    );
    let stopped = summary(Ending::Stopped, 3, 1);
    assert_eq!(
        notification::message(&stopped, BOTH, None).unwrap().subject,
        "review: stopped, 3 of 4 queries finished"
    );
    assert!(notification::message(&stopped, Notify { success: true, failure: false }, None).is_none());
    let broken = notification::broken("review", "r1", "States.Runtime", "no\nplän");
    assert_eq!(broken.subject, "review: the run broke (States.Runtime)");
    assert!(broken.body.contains("Cause: no\nplän"));
}

#[test]
fn the_limits_of_sns_hold_for_ten_thousand_failures() {
    let mut summary = summary(Ending::PersistentFailures, 0, 10_000);
    summary.workflow = "w".repeat(63);
    for failure in &mut summary.failures {
        failure.error.message = "é".repeat(4000);
    }
    let message = notification::message(&summary, BOTH, None).unwrap();
    assert!(message.subject.len() < 100 && message.subject.is_ascii() && !message.subject.contains('\n'));
    assert!(message.body.len() < 256 * 1024);
    assert!(message.body.contains("- and 9950 more, all of them in runs/review/20261121T070331Z-r1/summary.json"));
}
