//! What a function prints, and the lines that Lambda puts around each invocation: in memory and in a file.
//!
//! Lines come in the order in which they were written; with several environments at once they interleave, as the file
//! of a log group does.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines kept in memory for each function; the file keeps all.
const KEPT: usize = 20_000;

/// The log of one function; clones share it.
#[derive(Clone)]
pub(super) struct Log {
    state: Arc<Mutex<State>>,
}

struct State {
    file: File,
    lines: VecDeque<String>,
}

impl Log {
    /// Begins the log file anew.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let state = State { file: File::create(path)?, lines: VecDeque::new() };
        Ok(Self { state: Arc::new(Mutex::new(state)) })
    }

    /// Adds a line. A disk that is full must not stop a function: what cannot be written is still in memory.
    pub(super) fn line(&self, line: &str) {
        let mut state = self.lock();
        if let Err(error) = writeln!(state.file, "{line}") {
            tracing::warn!(%error, "a function's log file cannot be written");
        }
        if state.lines.len() == KEPT {
            state.lines.pop_front();
        }
        state.lines.push_back(line.to_owned());
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of one environment: the function's, and the part that belongs to the invocation under way.
#[derive(Clone)]
pub(super) struct Sink {
    /// None when the function's role may not write it.
    log: Option<Log>,
    tail: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub(super) fn new(log: Option<Log>) -> Self {
        Self { log, tail: Arc::default() }
    }

    pub(super) fn line(&self, line: String) {
        if let Some(log) = &self.log {
            log.line(&line);
        }
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// The lines since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.tail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
