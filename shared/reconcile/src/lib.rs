//! Drives a reconciler: activated by notices and by a timer, never with an input.
//!
//! An activation gathers, decides (pure), acts and reports. It can be repeated at any time: "after a
//! restart" and "after a notice" are the same path. It does not retry: the next activation does.

use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The shortest time between two activations that failed.
const MIN_RETRY: Duration = Duration::from_millis(50);
/// The longest.
const MAX_RETRY: Duration = Duration::from_secs(5);

/// What makes the observed state equal to the desired one.
#[async_trait]
pub trait Reconciler: Send {
    /// Why an activation failed.
    type Error: std::fmt::Display + Send;

    /// Name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Looks, decides, acts once.
    async fn activate(&mut self) -> Result<Next, Self::Error>;

    /// Told how long an activation took, for metrics.
    fn measured(&self, _took: Duration, _failed: bool) {}
}

/// When to activate again without a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: there is more to do.
    Now,
    /// After this time at the latest.
    Within(Duration),
    /// With the next notice or the regular timer.
    Notice,
}

/// Activates on every notice, and at least once an interval, until shutdown.
///
/// Notices that come during an activation lead to one more.
pub async fn drive<R: Reconciler, T: Send + Sync>(
    mut reconciler: R,
    mut notices: watch::Receiver<T>,
    interval: Duration,
    shutdown: CancellationToken,
) {
    let mut retry = MIN_RETRY;
    while !shutdown.is_cancelled() {
        notices.mark_unchanged();
        let started = tokio::time::Instant::now();
        let result = reconciler.activate().await;
        reconciler.measured(started.elapsed(), result.is_err());
        let (wait, failed) = match result {
            Ok(Next::Now) => (Duration::ZERO, false),
            Ok(Next::Within(wait)) => (wait.min(interval), false),
            Ok(Next::Notice) => (interval, false),
            Err(error) => {
                tracing::warn!(reconciler = reconciler.name(), %error, "activation failed; trying again");
                (retry, true)
            }
        };
        retry = if failed {
            (retry * 2).min(MAX_RETRY)
        } else {
            MIN_RETRY
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // After a failure the wait is kept, or a burst of notices would be a burst of failures.
            noticed = notices.changed(), if !failed => {
                if noticed.is_err() {
                    return;
                }
            }
            () = shutdown.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    struct Counter(Arc<AtomicU32>, Result<Next, &'static str>);

    #[async_trait]
    impl Reconciler for Counter {
        type Error = &'static str;
        fn name(&self) -> &'static str {
            "counter"
        }
        async fn activate(&mut self) -> Result<Next, &'static str> {
            self.0.fetch_add(1, Ordering::SeqCst);
            self.1
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_notice_activates_and_silence_does_at_the_interval() {
        let count = Arc::new(AtomicU32::new(0));
        let (notice, notices) = watch::channel(0);
        let stop = CancellationToken::new();
        let task = tokio::spawn(drive(
            Counter(count.clone(), Ok(Next::Notice)),
            notices,
            Duration::from_secs(10),
            stop.clone(),
        ));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
        notice.send_replace(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(count.load(Ordering::SeqCst), 3);
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_up_to_the_limit() {
        let count = Arc::new(AtomicU32::new(0));
        let (_notice, notices) = watch::channel(0);
        let stop = CancellationToken::new();
        let task = tokio::spawn(drive(
            Counter(count.clone(), Err("no")),
            notices,
            Duration::from_secs(60),
            stop.clone(),
        ));
        tokio::time::sleep(Duration::from_secs(100)).await;
        let activations = count.load(Ordering::SeqCst);
        assert!(
            (15..=35).contains(&activations),
            "{activations} activations in 100 s"
        );
        stop.cancel();
        task.await.unwrap();
    }
}
