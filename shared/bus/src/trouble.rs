//! What is the matter with the queues that a connection serves, for the health of its service.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A message that failed so often makes its queue one that fails.
const FAILING_DELIVERIES: i64 = 5;
/// A message that was not tried again within this was taken by another instance, or is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// A queue that cannot be read for so long is in trouble; servers start and elect leaders in less.
const AWAY_AFTER: Duration = Duration::from_secs(10);
/// Failing messages that are remembered.
const MAX_FAILING: usize = 1_000;

/// Troubles of one connection. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Troubles(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// By subject and number in the stream: how often it was tried, and when last.
    failing: BTreeMap<(String, u64), (i64, Instant)>,
    /// By filter: since when a queue cannot be read, and why.
    away: BTreeMap<String, (Instant, String)>,
}

impl Troubles {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn away(&self, filter: &str, reason: &impl std::fmt::Display) {
        let mut known = self.known();
        let since = known
            .away
            .get(filter)
            .map_or_else(Instant::now, |(since, _)| *since);
        known.away.insert(filter.to_owned(), (since, reason.to_string()));
    }

    pub(crate) fn back(&self, filter: &str) {
        self.known().away.remove(filter);
    }

    pub(crate) fn tried(&self, number: u64, subject: &str, deliveries: i64, failed: bool) {
        let mut known = self.known();
        let key = (subject.to_owned(), number);
        if !failed {
            known.failing.remove(&key);
        } else if deliveries >= FAILING_DELIVERIES && known.failing.len() < MAX_FAILING {
            known.failing.insert(key, (deliveries, Instant::now()));
        }
    }

    /// In words; empty if all is well.
    pub(crate) fn now(&self) -> Vec<String> {
        let mut known = self.known();
        known
            .failing
            .retain(|_, (_, last)| last.elapsed() < FORGOTTEN_AFTER);
        let failing = known.failing.iter().map(|((subject, _), (tried, _))| {
            format!(
                "a message on `{subject}` failed {tried} times and is tried again; see the log of the service"
            )
        });
        let away = known
            .away
            .iter()
            .filter(|(_, (since, _))| since.elapsed() >= AWAY_AFTER)
            .map(|(filter, (_, reason))| format!("queue `{filter}` cannot be read: {reason}"));
        away.chain(failing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_fails_again_and_again_is_told_until_it_is_handled() {
        let troubles = Troubles::default();
        troubles.tried(1, "rpt.alloc.n", 1, true);
        assert!(troubles.now().is_empty(), "once is no trouble");
        troubles.tried(1, "rpt.alloc.n", 7, true);
        troubles.tried(2, "rpt.alloc.n", 1, false);
        let told = troubles.now();
        assert!(
            told[0].contains("rpt.alloc.n") && told[0].contains('7'),
            "{told:?}"
        );
        troubles.tried(1, "rpt.alloc.n", 8, false);
        assert!(troubles.now().is_empty());
    }

    #[test]
    fn a_queue_that_is_away_for_a_moment_is_no_trouble() {
        let troubles = Troubles::default();
        troubles.away("rpt.alloc.*", &"no leader");
        assert!(troubles.now().is_empty());
        troubles.back("rpt.alloc.*");
        assert!(troubles.known().away.is_empty());
    }
}
