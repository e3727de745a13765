//! The one place where an ended statement is answered and its row closed; the reconciler comes through here too. The
//! answer goes out before the row is closed, and the row is closed only for the caller that was answered: whoever took
//! its place in between is answered in the next round.

use std::borrow::Cow;

use serde_json::Value;
use statement::answer::{self, Answer, Ending, InlineRows, Known};
use statement::event::Ended;
use statement::ports::{Answered, Description, FailureKind, LockChange, Measured, Ports, Written};
use statement::request::{Format, ResultMode};
use statement::row::{AnsweredAs, Callback, Lock, Row, Status};
use statement::settings::Settings;
use statement::{Error, resource};

/// How often the row may change under us before the message is put back.
const ROUNDS: usize = 8;

/// That an attempt is over, and what is known of it already.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// The row's key.
    pub row: &'a str,
    /// Which attempt.
    pub attempt: u32,
    /// The statement; needed unless the row was given up.
    pub statement_id: Option<&'a str>,
    /// The event that said so.
    pub event: Option<&'a Ended>,
    /// What DescribeStatement said, if it was asked already.
    pub description: Option<Description>,
}

/// What settling came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The caller took the answer; the row is closed.
    Sent,
    /// Nobody waited any more; the row is closed.
    Gone,
    /// Nobody was to be answered; the row is closed.
    Closed,
    /// All of it was done before.
    Already,
    /// The row has gone on to a later attempt.
    Stale,
    /// The row's statement is another one.
    Foreign,
    /// There is no such row, or not yet.
    NoRow,
}

impl Settled {
    /// For the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Gone => "gone",
            Self::Closed => "closed",
            Self::Already => "already",
            Self::Stale => "stale",
            Self::Foreign => "foreign",
            Self::NoRow => "no-row",
        }
    }
}

/// Answers whoever waits for the reported attempt and closes the row.
///
/// # Errors
/// Any failed call; repeating the whole is safe.
pub async fn settle(ports: &Ports, settings: &Settings, mut report: Report<'_>) -> Result<Settled, Error> {
    let mut sent: Option<(u64, AnsweredAs)> = None;
    for _ in 0..ROUNDS {
        let Some(row) = ports.rows.get(report.row).await? else {
            return Ok(Settled::NoRow);
        };
        if row.attempt != report.attempt {
            return Ok(if row.attempt > report.attempt { Settled::Stale } else { Settled::NoRow });
        }
        if row.closed() {
            return Ok(Settled::Already);
        }
        let ending = match row.status {
            Status::Refused | Status::Unknown => answer::given_up(&row),
            _ => match ending(ports, &row, &mut report).await? {
                Some(ending) => ending,
                None => return Ok(Settled::Foreign),
            },
        };
        let how = match (row.callback, sent) {
            (Callback::None, _) => None,
            (_, Some((version, how))) if version == row.token_version => Some(how),
            _ if !row.owes_answer() => None,
            _ => {
                let how = deliver(ports, &row, &ending).await?;
                sent = Some((row.token_version, how));
                Some(how)
            }
        };
        let now = ports.clock.now();
        let mut closed = row.ended(&ending, report.statement_id, now);
        if report.event.is_some() {
            closed.event_at = closed.event_at.or(Some(now));
        }
        if let Some(how) = how {
            closed = closed.answered(how, now);
        }
        let closed = closed.close(now, settings.retention_days);
        let lock = Lock::of(&row, now);
        let change = lock.as_ref().map_or(LockChange::Leave, LockChange::Free);
        match ports.rows.put(&closed, change).await? {
            Written::Done => {
                let failure = ending.error.as_ref().map(|error| error.class.as_deref().unwrap_or(&error.name));
                ports.metrics.put(&Measured::Ended { failure });
                return Ok(match how {
                    Some(AnsweredAs::Sent) => Settled::Sent,
                    Some(_) => Settled::Gone,
                    None => Settled::Closed,
                });
            }
            Written::RowChanged | Written::LockHeld => {}
        }
    }
    Err(Error::RowContended(report.row.to_owned()))
}

/// What the attempt's end means; nothing if the row's statement is another one.
async fn ending(ports: &Ports, row: &Row, report: &mut Report<'_>) -> Result<Option<Ending>, Error> {
    let Some(statement_id) = report.statement_id.or(row.statement_id.as_deref()).map(str::to_owned) else {
        return Err(Error::Internal("an ended statement without an id".to_owned()));
    };
    if row.statement_id.as_ref().is_some_and(|id| *id != statement_id) {
        return Ok(None);
    }
    if report.description.is_none() {
        match ports.data.describe(&statement_id).await {
            Ok(description) => report.description = Some(description),
            // Forgotten after 24 hours: the event and the row have to do.
            Err(failure) if failure.kind == FailureKind::NotFound && (report.event.is_some() || row.status.ended()) => {
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    let described = report.description.as_ref().map(|d| ended_status(&d.status));
    let status = match (described, report.event.map(|e| e.status)) {
        (Some(Some(status)), _) | (None, Some(status)) => status,
        (None, None) => row.status,
        // The event overtook the description.
        (Some(None), _) => {
            return Err(Error::ServiceUnavailable("DescribeStatement does not know of the end yet".to_owned()));
        }
    };
    let known = Known {
        row,
        statement_id: &statement_id,
        status,
        event: report.event,
        description: report.description.as_ref(),
    };
    Ok(Some(match status {
        Status::Finished => known.finished(match row.result {
            ResultMode::None => None,
            ResultMode::Inline => Some(inline(ports, row, known.description).await?),
        }),
        _ => known.failed(),
    }))
}

/// FINISHED, FAILED or ABORTED; nothing for what has not ended.
#[must_use]
pub fn ended_status(status: &str) -> Option<Status> {
    match status {
        "FINISHED" => Some(Status::Finished),
        "FAILED" => Some(Status::Failed),
        "ABORTED" => Some(Status::Aborted),
        _ => None,
    }
}

/// The inner error is part of the answer, the outer one means: again later.
async fn inline(
    ports: &Ports,
    row: &Row,
    description: Option<&Description>,
) -> Result<Result<Vec<Value>, Error>, Error> {
    let expired = || Error::ResultExpired("the Data API keeps results for 24 hours".to_owned());
    let Some(description) = description else {
        return Ok(Err(expired()));
    };
    if row.callback != Callback::Task {
        return Ok(Ok(Vec::new()));
    }
    let mut rows = InlineRows::default();
    for id in answer::result_ids(description) {
        rows.statement(&id);
        let mut next: Option<String> = None;
        loop {
            let page = match ports.data.result(&id, next.as_deref(), Format::Json).await {
                Ok(page) => page,
                Err(failure) if failure.kind == FailureKind::NotFound => return Ok(Err(expired())),
                Err(failure) => return Err(failure.into()),
            };
            if let Err(error) = rows.page(&page) {
                return Ok(Err(error));
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(Ok(rows.done()))
}

async fn deliver(ports: &Ports, row: &Row, ending: &Ending) -> Result<AnsweredAs, Error> {
    let Some(sealed) = &row.sealed else {
        return Err(Error::SealBroken("the row holds no secret".to_owned()));
    };
    let secret = ports.vault.open(&row.seal_context(), sealed).await?;
    let answered = match (row.callback, &row.resource) {
        (Callback::Response, Some(resource)) => {
            ports.responses.put(&secret, &resource::answer(resource, &ending.verdict)).await?
        }
        _ => task(ports, row, &secret, ending).await?,
    };
    Ok(match answered {
        Answered::Sent => AnsweredAs::Sent,
        Answered::Gone | Answered::OutputRefused => AnsweredAs::Gone,
    })
}

async fn task(ports: &Ports, row: &Row, token: &str, ending: &Ending) -> Result<Answered, Error> {
    let answer = match &ending.answer {
        Answer::Success(output) => match ports.tasks.success(token, output).await? {
            // Step Functions will not take this output whatever happens; silence would be a wait for ever.
            Answered::OutputRefused => {
                let id = row.statement_id.as_deref().unwrap_or_default();
                let known = Known { row, statement_id: id, status: ending.status, event: None, description: None };
                Cow::Owned(known.unreadable(&answer::too_large()).answer)
            }
            answered => return Ok(answered),
        },
        failure @ Answer::Failure { .. } => Cow::Borrowed(failure),
    };
    match answer.as_ref() {
        Answer::Failure { error, cause } => Ok(ports.tasks.failure(token, error, cause).await?),
        Answer::Success(_) => Err(Error::Internal("an output refused twice".to_owned())),
    }
}
