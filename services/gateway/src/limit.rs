//! How many requests a principal may make: a bucket of tokens that refills with time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Requests a second that a principal may make for long.
const REFILL_PER_SECOND: f64 = 500.0;
/// Requests that it may make at once.
const BURST: f64 = 1_000.0;
/// Principals remembered; past it, full buckets are forgotten.
const MAX_PRINCIPALS: usize = 10_000;

/// Requests of each principal.
#[derive(Default)]
pub(crate) struct RateLimit {
    buckets: Mutex<HashMap<String, (f64, Instant)>>,
}

impl RateLimit {
    /// Counts a request; `false`: it is one too many.
    pub(crate) fn take(&self, principal: &str, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_PRINCIPALS && !buckets.contains_key(principal) {
            buckets.retain(|_, (left, since)| refilled(*left, *since, now) < BURST);
        }
        let (left, since) = buckets.entry(principal.to_owned()).or_insert((BURST, now));
        let have = refilled(*left, *since, now);
        let allowed = have >= 1.0;
        (*left, *since) = (if allowed { have - 1.0 } else { have }, now);
        allowed
    }
}

fn refilled(left: f64, since: Instant, now: Instant) -> f64 {
    let passed = now.saturating_duration_since(since).as_secs_f64();
    passed.mul_add(REFILL_PER_SECOND, left).min(BURST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let (limit, start) = (RateLimit::default(), Instant::now());
        let taken = (0..2_000).filter(|_| limit.take("a", start)).count();
        assert_eq!(taken, 1_000);
        assert!(limit.take("b", start), "others are not held up");
        let later = start + Duration::from_millis(100);
        let taken = (0..2_000).filter(|_| limit.take("a", later)).count();
        assert_eq!(taken, 50);
    }
}
