//! Counters of the log, read by whoever serves them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub struct LedgerMetrics {
    pub(crate) queued: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) appends: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) last_batch_events: AtomicU64,
    pub(crate) largest_batch_events: AtomicU64,
    pub(crate) commit_micros: AtomicU64,
    pub(crate) takeovers: AtomicU64,
    pub(crate) head: AtomicU64,
    pub(crate) relayed: AtomicU64,
    pub(crate) relay_resyncs: AtomicU64,
    pub(crate) relay_from_database: AtomicU64,
}

/// What the counters say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerSnapshot {
    /// Appends that wait now.
    pub queue_length: u64,
    /// Appends refused because the queue was full.
    pub busy: u64,
    /// Appends committed.
    pub appends: u64,
    /// Appends refused by a rule.
    pub refused: u64,
    /// Appends of commands that were known.
    pub repeated: u64,
    /// Commits.
    pub batches: u64,
    /// Events committed.
    pub events: u64,
    /// Events of the last commit.
    pub last_batch_events: u64,
    /// Events of the largest commit.
    pub largest_batch_events: u64,
    /// Time spent in commits, in microseconds.
    pub commit_micros: u64,
    /// How often this process became the writer.
    pub takeovers: u64,
    /// Position of the last event committed.
    pub head: u64,
    /// Position of the last event that the stream EVT has acknowledged.
    pub relayed: u64,
    /// Events committed and not yet in EVT.
    pub relay_lag: u64,
    /// How often the relay had to look where EVT stands.
    pub relay_resyncs: u64,
    /// Events that the relay read from the database.
    pub relay_from_database: u64,
}

impl LedgerMetrics {
    /// Reads all counters.
    pub fn snapshot(&self) -> LedgerSnapshot {
        let (head, relayed) = (self.head.load(Relaxed), self.relayed.load(Relaxed));
        LedgerSnapshot {
            queue_length: self.queued.load(Relaxed),
            busy: self.busy.load(Relaxed),
            appends: self.appends.load(Relaxed),
            refused: self.refused.load(Relaxed),
            repeated: self.repeated.load(Relaxed),
            batches: self.batches.load(Relaxed),
            events: self.events.load(Relaxed),
            last_batch_events: self.last_batch_events.load(Relaxed),
            largest_batch_events: self.largest_batch_events.load(Relaxed),
            commit_micros: self.commit_micros.load(Relaxed),
            takeovers: self.takeovers.load(Relaxed),
            head,
            relayed,
            relay_lag: head.saturating_sub(relayed),
            relay_resyncs: self.relay_resyncs.load(Relaxed),
            relay_from_database: self.relay_from_database.load(Relaxed),
        }
    }

    pub(crate) fn committed(&self, events: u64, micros: u64, head: u64) {
        self.batches.fetch_add(1, Relaxed);
        self.events.fetch_add(events, Relaxed);
        self.last_batch_events.store(events, Relaxed);
        self.largest_batch_events.fetch_max(events, Relaxed);
        self.commit_micros.fetch_add(micros, Relaxed);
        self.head.store(head, Relaxed);
    }
}
