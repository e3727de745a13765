//! What runs next. A decision is a function of the plan and of the queries' statuses alone, so that whoever died can be
//! taken over from; every decision costs time in proportion to the segment, never to its square.
//!
//! Within a round, waves: the queries whose dependencies have finished; as many of a wave run at a time as the segment is
//! wide, in their order. What cannot run because something before it did not finish is skipped. After a round comes the next with exactly what failed
//! and may pass, and what was skipped because of that; never what failed for good, nor what waits for it.

use crate::plan::{Query, Segment};
use crate::status::{DEPENDENCY_FAILED, Failure, STATUS_MISSING, State, Status};

/// What decisions need to know of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is yet to run in this round.
    Waiting,
    /// It was started and has not ended.
    Running,
    /// It has finished, in this round or before.
    Finished,
    /// It failed or was stopped, and may pass another time.
    Failed,
    /// It failed for good.
    Permanent,
    /// It was skipped because of another.
    Skipped,
    /// It does not run in this run.
    Off,
}

impl Mark {
    const ALL: [(Self, char); 7] = [
        (Self::Waiting, '.'),
        (Self::Running, 'r'),
        (Self::Finished, 'F'),
        (Self::Failed, 'f'),
        (Self::Permanent, 'p'),
        (Self::Skipped, 's'),
        (Self::Off, 'o'),
    ];
}

/// Where a segment stands in a round: one mark for each of its queries, in their order. Written as text it is one
/// character a query (10 KB for 10,000), short enough to travel with an execution instead of being read from S3 again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The marks, by the place in the segment's `queries`.
    pub marks: Vec<Mark>,
}

/// What comes next in a round. Numbers are places in the segment's `queries`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run these now, in this order, as many at a time as the segment is wide.
    Wave(Vec<usize>),
    /// These were started and nothing says how they ended. Nobody may be running them when this is asked, so record them
    /// with [`unsettled`] and ask again.
    Unsettled(Vec<usize>),
    /// The round is over.
    Over(Over),
}

/// A round that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// What could not run in it and is not recorded as skipped yet; record it with [`skipped`].
    pub skipped: Vec<Skip>,
    /// What the next round holds; empty where there is nothing to try again or no round left.
    pub again: Vec<usize>,
}

/// A query that was not run because of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// The query.
    pub query: usize,
    /// The query at the root of it, which failed.
    pub because: usize,
}

impl Progress {
    /// Before the first round.
    #[must_use]
    pub fn new(segment: &Segment) -> Self {
        let mark = |query: &Query| if query.skipped.is_some() { Mark::Off } else { Mark::Waiting };
        Self { marks: segment.queries.iter().map(mark).collect() }
    }

    /// From the statuses, seen from within `round`. `status` answers with what is recorded for the query at a place.
    #[must_use]
    pub fn of<'s>(segment: &Segment, round: u8, status: impl Fn(usize, &Query) -> Option<&'s Status>) -> Self {
        let mut marks: Vec<Mark> = Vec::with_capacity(segment.queries.len());
        // What was already lost when the round began, and is not part of it. Dependencies stand before their dependants.
        let mut lost = vec![false; segment.queries.len()];
        for (at, query) in segment.queries.iter().enumerate() {
            let recorded = status(at, query);
            let mark = match recorded {
                _ if query.skipped.is_some() => Mark::Off,
                None => Mark::Waiting,
                Some(status) if status.round >= round => mark(status),
                Some(status) => match mark(status) {
                    Mark::Failed | Mark::Running => Mark::Waiting,
                    Mark::Skipped if !query.depends_on.iter().any(|on| lost[*on]) => Mark::Waiting,
                    other => other,
                },
            };
            lost[at] = matches!(mark, Mark::Permanent | Mark::Skipped | Mark::Off)
                && recorded.is_none_or(|status| status.round < round);
            marks.push(mark);
        }
        Self { marks }
    }

    /// Takes note of what became of a query.
    pub fn record(&mut self, at: usize, status: &Status) {
        if let Some(place) = self.marks.get_mut(at) {
            *place = mark(status);
        }
    }

    /// As text, one character a query.
    #[must_use]
    pub fn to_text(&self) -> String {
        let letter = |mark: &Mark| Mark::ALL.iter().find(|(known, _)| known == mark).map_or('.', |(_, letter)| *letter);
        self.marks.iter().map(letter).collect()
    }

    /// Reads [`Self::to_text`]; nothing where it is of another segment or has an unknown letter.
    #[must_use]
    pub fn parse(segment: &Segment, text: &str) -> Option<Self> {
        let mark = |letter: char| Mark::ALL.iter().find(|(_, known)| *known == letter).map(|(mark, _)| *mark);
        let marks: Vec<Mark> = text.chars().map(mark).collect::<Option<_>>()?;
        (marks.len() == segment.queries.len()).then_some(Self { marks })
    }

    /// What comes next in a round. `rounds` is how many there may be, `most` the most queries of a wave.
    #[must_use]
    pub fn next(&self, segment: &Segment, round: u8, rounds: u8, most: usize) -> Next {
        let marks = &self.marks;
        let with = |wanted: Mark| marks.iter().enumerate().filter(move |(_, mark)| **mark == wanted).map(|(at, _)| at);
        let running: Vec<usize> = with(Mark::Running).collect();
        if !running.is_empty() {
            return Next::Unsettled(running);
        }
        let wave = self.wave(segment, most);
        if !wave.is_empty() {
            return Next::Wave(wave);
        }
        let mut roots: Vec<usize> = (0..marks.len()).collect();
        let mut passable = vec![false; marks.len()];
        let mut over = Over { skipped: Vec::new(), again: Vec::new() };
        for (at, query) in segment.queries.iter().enumerate() {
            passable[at] = match marks[at] {
                Mark::Finished | Mark::Failed => true,
                Mark::Waiting | Mark::Skipped => query.depends_on.iter().all(|on| passable[*on]),
                Mark::Permanent | Mark::Off | Mark::Running => false,
            };
            if matches!(marks[at], Mark::Waiting | Mark::Skipped) {
                // What failed for good explains more than what may still pass.
                let open = || query.depends_on.iter().filter(|on| marks[**on] != Mark::Finished);
                if let Some(on) = open().find(|on| !passable[**on]).or_else(|| open().next()) {
                    roots[at] = roots[*on];
                }
            }
            if marks[at] == Mark::Waiting {
                over.skipped.push(Skip { query: at, because: roots[at] });
            }
            if round < rounds && passable[at] && marks[at] != Mark::Finished {
                over.again.push(at);
            }
        }
        Next::Over(over)
    }

    /// The queries that can run now, in their order.
    fn wave(&self, segment: &Segment, most: usize) -> Vec<usize> {
        let mut wave = Vec::new();
        for (at, query) in segment.queries.iter().enumerate() {
            if wave.len() == most.max(1) {
                break;
            }
            if self.marks[at] != Mark::Waiting {
                continue;
            }
            if query.depends_on.iter().all(|on| self.marks[*on] == Mark::Finished) {
                wave.push(at);
            } else if segment.width == 1 && query.depends_on.iter().any(|on| wave.binary_search(on).is_ok()) {
                // A list keeps its order: nothing after a query runs before it is known whether that one can.
                break;
            }
        }
        wave
    }

    /// Starts the next round with what [`Over::again`] holds; what was skipped and is not in it stays skipped.
    pub fn start(&mut self, over: &Over) {
        for skip in &over.skipped {
            self.marks[skip.query] = Mark::Skipped;
        }
        for at in &over.again {
            self.marks[*at] = Mark::Waiting;
        }
    }
}

/// What a status means for decisions.
fn mark(status: &Status) -> Mark {
    match status.status {
        State::Initial => Mark::Waiting,
        State::Running => Mark::Running,
        State::Finished => Mark::Finished,
        State::Skipped => Mark::Skipped,
        State::Failed | State::Aborted => {
            if status.error.as_ref().is_some_and(Failure::permanent) {
                Mark::Permanent
            } else {
                Mark::Failed
            }
        }
    }
}

/// The status of a query that was not run because of another.
#[must_use]
pub fn skipped(segment: &Segment, skip: Skip, round: u8) -> Status {
    let message = format!("not run: it depends on {}, which did not finish", segment.queries[skip.because].name);
    Status::new(&segment.queries[skip.query].name, State::Skipped, round).with_error(Failure {
        name: DEPENDENCY_FAILED.to_owned(),
        message,
        class: None,
        transient: None,
    })
}

/// The status of a query whose execution ended without recording how. It is tried again in the next round: its
/// idempotency key there is another, so that a statement that did run is known to have been another one.
#[must_use]
pub fn unsettled(segment: &Segment, query: usize, round: u8) -> Status {
    Status::new(&segment.queries[query].name, State::Aborted, round).with_error(Failure {
        name: STATUS_MISSING.to_owned(),
        message: "the execution of the query ended without saying how".to_owned(),
        class: None,
        transient: None,
    })
}
