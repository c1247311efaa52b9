//! What the worker knows, on disk and in its status. Nothing waits for the disk but what must (ADR 7):
//! steps on the engine wait for the assignment behind them, the word that something ended for good waits
//! for the journal.

use super::{
    Worker,
    done::{Done, Task},
};
use crate::state::StateError;
use berth_agent_core::Journal;
use std::time::Duration;
use tokio::time::Instant;

/// Time between two writes of the journal, unless something waits for it.
const JOURNAL_PAUSE: Duration = Duration::from_millis(100);
/// Wait before a file that could not be written is written again.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// One file and how far the disk is with it.
pub(super) struct Lane {
    /// Revision that the disk has, or did not take: a full disk must not keep containers from being stopped.
    tried: Option<u64>,
    failed: bool,
    writing: bool,
    not_before: Instant,
}

impl Lane {
    fn new(tried: Option<u64>) -> Self {
        Self {
            tried,
            failed: false,
            writing: false,
            not_before: Instant::now(),
        }
    }

    fn wants(&self, revision: u64) -> bool {
        !self.writing && (self.failed || self.tried != Some(revision))
    }

    fn ended(&mut self, file: &str, revision: u64, result: Result<(), StateError>, pause: Duration) {
        self.writing = false;
        self.tried = Some(revision);
        let pause = match &result {
            Ok(()) => pause,
            Err(_) => RETRY_DELAY,
        };
        self.not_before = Instant::now() + pause;
        // Once for each outage of the disk, not once a try.
        if let Err(error) = &result
            && !self.failed
        {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                error,
                "could not keep the {file}; a crash now would lose it. Free the disk"
            );
        }
        self.failed = result.is_err();
    }
}

/// What of the worker's knowledge the disk has.
pub(super) struct Keeping {
    assignment: Lane,
    journal: Lane,
    /// Journal and number of the last observation on disk.
    on_disk: (u64, u64),
}

/// A file was written, or could not be.
pub(super) enum Kept {
    Assignment {
        revision: u64,
        result: Result<(), StateError>,
    },
    Journal {
        revision: u64,
        last: (u64, u64),
        result: Result<(), StateError>,
    },
}

impl Keeping {
    /// All that was read from the disk is on it.
    pub(super) fn new(journal: &Journal) -> Self {
        Self {
            assignment: Lane::new(Some(0)),
            journal: Lane::new(None),
            on_disk: (journal.id(), journal.last_number()),
        }
    }
}

impl Worker {
    /// Whether the disk knows what the node obeys, so that containers of it are no strays after a crash.
    pub(super) fn is_assignment_kept(&self) -> bool {
        self.keeping.assignment.tried == Some(self.node.assignment_revision())
    }

    /// Journal and number of the last observation on disk.
    pub(super) const fn on_disk(&self) -> (u64, u64) {
        self.keeping.on_disk
    }

    /// Number up to which observations may be sent.
    fn tellable(&self) -> u64 {
        let journal = self.node.journal();
        let (id, number) = self.keeping.on_disk;
        journal.tellable(if id == journal.id() { number } else { 0 })
    }

    /// Begins the writes that are due; gives when the next one is.
    pub(super) fn keep(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let (revision, journal_revision) = (self.node.assignment_revision(), self.node.revision());
        let mut next = Vec::new();
        if self.keeping.assignment.wants(revision) {
            let retry_at =
                Some(self.keeping.assignment.not_before).filter(|_| self.keeping.assignment.failed);
            match retry_at.filter(|at| *at > now) {
                Some(at) => next.push(at),
                None => self.write_assignment(revision),
            }
        }
        if self.keeping.journal.wants(journal_revision) {
            let is_awaited =
                !self.keeping.journal.failed && self.tellable() < self.node.journal().last_number();
            match Some(self.keeping.journal.not_before).filter(|at| *at > now && !is_awaited) {
                Some(at) => next.push(at),
                None => self.write_journal(journal_revision),
            }
        }
        next.into_iter().min()
    }

    fn write_assignment(&mut self, revision: u64) {
        let Some(assignment) = self.node.stored_assignment() else {
            self.keeping.assignment.tried = Some(revision);
            return;
        };
        self.keeping.assignment.writing = true;
        let state = self.state.clone();
        self.spawn_blocking(Task::KeepAssignment(revision), move || {
            let result = state.keep_assignment(&assignment);
            Done::Kept(Kept::Assignment { revision, result })
        });
    }

    fn write_journal(&mut self, revision: u64) {
        self.keeping.journal.writing = true;
        let (state, stored) = (self.state.clone(), self.node.store());
        let last = (stored.journal.id(), stored.journal.last_number());
        self.spawn_blocking(Task::KeepJournal(revision), move || {
            let result = state.keep_journal(&stored);
            Done::Kept(Kept::Journal {
                revision,
                last,
                result,
            })
        });
    }

    pub(super) fn kept(&mut self, kept: Kept) {
        let keeping = &mut self.keeping;
        match kept {
            Kept::Assignment { revision, result } => {
                keeping
                    .assignment
                    .ended("assignment", revision, result, Duration::ZERO);
            }
            Kept::Journal {
                revision,
                last,
                result,
            } => {
                keeping.on_disk = last;
                keeping.journal.ended("journal", revision, result, JOURNAL_PAUSE);
            }
        }
    }

    /// Writes what the disk does not have and waits for it.
    pub(super) async fn keep_all(&mut self) {
        let (assignment, journal) = (self.node.stored_assignment(), self.node.store());
        let state = self.state.clone();
        let written = tokio::task::spawn_blocking(move || {
            if let Some(assignment) = assignment {
                state.keep_assignment(&assignment)?;
            }
            state.keep_journal(&journal)
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "could not keep the journal");
            }
            Err(error) => tracing::error!(%error, "could not keep the journal"),
        }
    }

    /// Tells everyone the status.
    pub(super) fn tell(&mut self) {
        let (generation, engine_up) = (self.node.assignment().generation(), self.engine_up);
        let known = self.node.assignment().is_known();
        let (journal, last) = (self.node.journal().id(), self.tellable());
        self.status.send_if_modified(|status| {
            let mut next = *status;
            (next.generation, next.known, next.engine_up) = (generation, known, engine_up);
            (next.journal, next.last_number) = (journal, last);
            std::mem::replace(status, next) != next
        });
    }
}
