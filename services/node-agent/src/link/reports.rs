//! Sends what the worker saw, in order, until the owner says that it is recorded.

use super::{Link, SendError};
use crate::worker::{Order, Remote, Status};
use berth_bus::subject;
use berth_events::{AllocationReport, RecordedUpTo};
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};

/// Reports that are not known to be recorded after this are sent again.
const RESEND_AFTER: Duration = Duration::from_secs(5);
/// Time between two reports of everything.
const DIGEST_INTERVAL: Duration = Duration::from_secs(60);
/// Wait before a report of everything that came in the middle of news.
const DIGEST_DELAY: Duration = Duration::from_millis(200);
/// Wait after the stream did not take a report.
const RETRY_DELAY: Duration = Duration::from_millis(500);

struct Reporter {
    link: Link,
    worker: Remote,
    /// Journal and number of the last report that the stream took.
    sent: (u64, u64),
    /// Number up to which the owner has recorded.
    recorded: u64,
    resend_at: Instant,
    digest_at: Instant,
}

pub(super) async fn run(link: Link, worker: Remote, mut notes: mpsc::Receiver<RecordedUpTo>) {
    let mut status = worker.watch();
    let mut up = link.up.clone();
    let mut reporter = Reporter {
        link,
        worker,
        sent: (0, 0),
        recorded: 0,
        resend_at: Instant::now() + RESEND_AFTER,
        digest_at: Instant::now(),
    };
    loop {
        reporter.link.wait_up().await;
        let next = match reporter.send_all().await {
            Ok(()) => reporter.resend_at.min(reporter.digest_at),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a report was not sent; trying again"
                );
                Instant::now() + RETRY_DELAY
            }
        };
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            changed = up.changed() => {
                if changed.is_err() { return }
                // After an outage the owner may have missed anything.
                reporter.digest_at = Instant::now();
            }
            Some(recorded) = notes.recv() => reporter.note(recorded).await,
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

impl Reporter {
    async fn note(&mut self, recorded: RecordedUpTo) {
        if recorded.journal != self.sent.0 {
            return;
        }
        self.recorded = self.recorded.max(recorded.number);
        if recorded.resend {
            self.sent.1 = recorded.number;
        }
        self.resend_at = Instant::now() + RESEND_AFTER;
        self.worker.tell(Order::Recorded(recorded)).await;
    }

    async fn send_all(&mut self) -> Result<(), SendError> {
        let status = self.worker.status();
        if status.journal != self.sent.0 {
            self.sent = (status.journal, 0);
            self.recorded = 0;
        }
        if Instant::now() >= self.resend_at {
            self.resend_at = Instant::now() + RESEND_AFTER;
            self.sent.1 = self.sent.1.min(self.recorded);
        }
        if status.last_number > self.sent.1 {
            let reports = self.worker.reports_after(self.sent.1).await.unwrap_or_default();
            for report in reports {
                self.send(report, status.last_number).await?;
            }
        }
        if Instant::now() >= self.digest_at {
            self.send_digest(status).await?;
        }
        Ok(())
    }

    /// Sends a report of everything, unless it would tell what may not be told yet.
    async fn send_digest(&mut self, status: Status) -> Result<(), SendError> {
        self.digest_at = Instant::now() + DIGEST_DELAY;
        let Some(report) = self.worker.digest().await else {
            return Ok(());
        };
        let told = report.digest.as_ref().map_or(0, |digest| digest.last_number);
        if (report.journal, told) == (status.journal, status.last_number) {
            self.digest_at = Instant::now() + DIGEST_INTERVAL;
            self.store(&report).await?;
        }
        Ok(())
    }

    /// Sends a report as far as it may be told.
    async fn send(&mut self, mut report: AllocationReport, up_to: u64) -> Result<(), SendError> {
        report.items.retain(|item| item.number <= up_to);
        let Some(last) = report.items.last().map(|item| item.number) else {
            return Ok(());
        };
        self.store(&report).await?;
        self.sent = (report.journal, last);
        Ok(())
    }

    async fn store(&self, report: &AllocationReport) -> Result<(), SendError> {
        self.link
            .store(subject::report("alloc", self.link.node_id), report)
            .await
    }
}
