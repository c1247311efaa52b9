//! Numbering of reports: without holes, kept until the owner says that they are recorded.

use berth_events::{AllocationReport, Observation, ObservationKind, RecordedUpTo};
use berth_ids::{AllocationId, ClusterId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most observations kept; past it only the newest of each allocation stays, under a new journal.
pub const MAX_JOURNAL_ITEMS: usize = 10_000;
/// Most observations in one report.
pub const MAX_REPORT_ITEMS: usize = 200;

/// Observations that are not known to be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    id: u64,
    next: u64,
    items: Vec<Observation>,
    /// Numbers of observations that must be on disk before they are sent.
    #[serde(skip)]
    kept_first: BTreeSet<u64>,
}

/// Whether an observation may be sent before the disk has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At once: after a crash a look at the engine says it again.
    AtOnce,
    /// Others act on it, so that a crash must not make the agent forget it.
    KeptFirst,
}

impl Journal {
    /// An empty journal under a random number.
    pub const fn new(id: u64) -> Self {
        Self {
            id,
            next: 1,
            items: Vec::new(),
            kept_first: BTreeSet::new(),
        }
    }
    /// Its random number.
    pub const fn id(&self) -> u64 {
        self.id
    }
    /// Number of the last observation; 0: none yet.
    pub const fn last_number(&self) -> u64 {
        self.next.saturating_sub(1)
    }
    /// What is not known to be recorded, oldest first.
    pub fn pending(&self) -> &[Observation] {
        &self.items
    }

    /// The same observations under another journal, numbered from 1. After a restart the disk may be behind
    /// what was sent, and a number must never get another content.
    pub fn renumbered(mut self, id: u64) -> Self {
        self.renumber(id);
        self
    }

    /// Number up to which observations may be sent while the disk has the journal up to `on_disk`.
    pub fn tellable(&self, on_disk: u64) -> u64 {
        let waiting = self.kept_first.range(on_disk.saturating_add(1)..).next();
        waiting.map_or(self.last_number(), |number| number - 1)
    }

    /// Takes an observation and gives it the next number.
    pub fn record(&mut self, what: ObservationKind, urgency: Urgency, seen_at: Timestamp) {
        if self.items.len() >= MAX_JOURNAL_ITEMS {
            self.compact();
        }
        if urgency == Urgency::KeptFirst {
            self.kept_first.insert(self.next);
        }
        self.items.push(Observation {
            number: self.next,
            seen_at,
            what,
        });
        self.next += 1;
    }

    /// Lets go of what the owner has. An answer about another journal says nothing.
    ///
    /// One about more than was ever recorded here comes from an owner that takes this journal for a past one: a
    /// report from before the agent's start has overtaken it. All that is kept is told again, under a new one.
    pub fn recorded_up_to(&mut self, recorded: &RecordedUpTo) {
        if recorded.journal == self.id && recorded.number > self.last_number() {
            self.begin_anew();
        } else if recorded.journal == self.id {
            self.items.retain(|item| item.number > recorded.number);
            self.kept_first.retain(|number| *number > recorded.number);
        }
    }

    fn renumber(&mut self, id: u64) {
        self.id = id;
        self.next = 1;
        self.kept_first.clear();
        for item in &mut self.items {
            item.number = self.next;
            self.next += 1;
        }
    }

    /// Reports with everything above `number`, in order, of bounded size.
    pub fn reports_after(
        &self,
        number: u64,
        node_id: NodeId,
        cluster_id: ClusterId,
        traceparent: impl Fn(AllocationId) -> Option<String>,
    ) -> Vec<AllocationReport> {
        let first = self.items.partition_point(|item| item.number <= number);
        self.items[first..]
            .chunks(MAX_REPORT_ITEMS)
            .map(|items| AllocationReport {
                node_id,
                cluster_id,
                journal: self.id,
                items: items.to_vec(),
                digest: None,
                traceparent: items.iter().rev().find_map(|item| match item.what {
                    ObservationKind::Allocation { allocation_id, .. } => traceparent(allocation_id),
                    ObservationKind::VolumesDropped { .. } => None,
                }),
            })
            .collect()
    }

    /// Keeps the newest of each allocation and numbers anew, under a new journal: numbers that may have
    /// been sent already never get another content.
    fn compact(&mut self) {
        let mut newest: BTreeMap<AllocationId, u64> = BTreeMap::new();
        for item in &self.items {
            if let ObservationKind::Allocation { allocation_id, .. } = item.what {
                newest.insert(allocation_id, item.number);
            }
        }
        self.items.retain(|item| match item.what {
            ObservationKind::Allocation { allocation_id, .. } => {
                newest.get(&allocation_id) == Some(&item.number)
            }
            ObservationKind::VolumesDropped { .. } => true,
        });
        // More allocations than places: the oldest go, the digest tells of them.
        let surplus = self.items.len().saturating_sub(MAX_JOURNAL_ITEMS / 2);
        self.items.drain(..surplus);
        self.begin_anew();
    }

    /// All that is kept, under the journal after this one.
    fn begin_anew(&mut self) {
        self.renumber(successor(self.id));
        // The disk has nothing of the new journal yet.
        self.kept_first = BTreeSet::from([1]);
    }
}

/// The number after a journal's random number: as good as random, and the same for the same journal.
const fn successor(id: u64) -> u64 {
    // SplitMix64.
    let z = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::Observed;

    fn stopping(id: u128) -> ObservationKind {
        ObservationKind::Allocation {
            allocation_id: AllocationId::from_u128(id),
            state: Observed::Stopping,
        }
    }
    fn numbers(journal: &Journal) -> Vec<u64> {
        journal.pending().iter().map(|item| item.number).collect()
    }

    #[test]
    fn numbers_have_no_holes_and_go_when_recorded() {
        let mut journal = Journal::new(7);
        for id in 1..=4 {
            journal.record(stopping(id), Urgency::AtOnce, Timestamp::default());
        }
        let recorded = |journal, number| RecordedUpTo {
            journal,
            number,
            resend: false,
        };
        journal.recorded_up_to(&recorded(8, 4));
        assert_eq!(numbers(&journal), [1, 2, 3, 4]);
        journal.recorded_up_to(&recorded(7, 2));
        assert_eq!(numbers(&journal), [3, 4]);
        assert_eq!(journal.last_number(), 4);
    }

    #[test]
    fn a_journal_that_the_owner_takes_for_a_past_one_is_told_again_as_another() {
        let mut journal = Journal::new(7);
        journal.record(stopping(1), Urgency::AtOnce, Timestamp::default());
        journal.record(stopping(2), Urgency::AtOnce, Timestamp::default());
        let past = RecordedUpTo {
            journal: 7,
            number: u64::MAX,
            resend: false,
        };
        journal.recorded_up_to(&past);
        assert_ne!(journal.id(), 7);
        assert_eq!(numbers(&journal), [1, 2], "nothing is lost");
        assert_eq!(journal.tellable(0), 0, "the disk has it first");
        let id = journal.id();
        journal.recorded_up_to(&past);
        assert_eq!(journal.id(), id, "a word about the one before changes nothing");
    }

    #[test]
    fn what_must_be_kept_first_holds_up_what_follows() {
        let mut journal = Journal::new(7);
        for (id, urgency) in [
            (1, Urgency::AtOnce),
            (2, Urgency::KeptFirst),
            (3, Urgency::AtOnce),
        ] {
            journal.record(stopping(id), urgency, Timestamp::default());
        }
        assert_eq!([0, 1, 2].map(|on_disk| journal.tellable(on_disk)), [1, 1, 3]);
    }

    #[test]
    fn after_a_restart_numbers_run_in_another_journal() {
        let mut journal = Journal::new(7);
        for id in 1..=3 {
            journal.record(stopping(id), Urgency::AtOnce, Timestamp::default());
        }
        let recorded = RecordedUpTo {
            journal: 7,
            number: 2,
            resend: false,
        };
        journal.recorded_up_to(&recorded);
        let journal = journal.renumbered(9);
        assert_eq!((journal.id(), numbers(&journal)), (9, vec![1]));
    }

    #[test]
    fn reports_are_bounded_and_in_order() {
        let mut journal = Journal::new(7);
        for id in 0..(MAX_REPORT_ITEMS as u128 + 5) {
            journal.record(stopping(id), Urgency::AtOnce, Timestamp::default());
        }
        let reports = journal.reports_after(3, NodeId::default(), ClusterId::default(), |_| None);
        let sizes: Vec<usize> = reports.iter().map(|r| r.items.len()).collect();
        assert_eq!(sizes, [MAX_REPORT_ITEMS, 2]);
        assert_eq!(reports[0].items[0].number, 4);
    }

    #[test]
    fn a_full_journal_keeps_the_newest_of_each_allocation_under_a_new_number() {
        let mut journal = Journal::new(7);
        for n in 0..=MAX_JOURNAL_ITEMS {
            journal.record(stopping((n % 3) as u128), Urgency::AtOnce, Timestamp::default());
        }
        assert_ne!(journal.id(), 7);
        assert_eq!(numbers(&journal), [1, 2, 3, 4]);
    }
}
