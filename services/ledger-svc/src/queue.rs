//! The bounded queue before the writer.

use crate::metrics::LedgerMetrics;
use berth_eventsourcing::{AppendError, AppendRequest, Appended, MAX_APPEND_BYTES};
use berth_ids::CommandId;
use berth_ledger_core::admit;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

/// Appends that may wait.
pub const MAX_QUEUED: usize = 8_192;
/// Data that may wait, in KiB.
pub const MAX_QUEUED_KIB: usize = 64 * 1024;
/// How long an append waits for a place in the queue before it is told that the log is busy.
pub const BUSY_AFTER: Duration = Duration::from_millis(50);
/// Events of one batch.
pub const MAX_BATCH_EVENTS: usize = 2_000;
/// Data of one batch, in bytes.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// An append that waits.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) caller: String,
    pub(crate) request: AppendRequest,
    pub(crate) reply: oneshot::Sender<Result<Appended, AppendError>>,
    events: usize,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

impl Job {
    /// The command whose outcome it records.
    pub(crate) fn command_id(&self) -> Option<CommandId> {
        self.request.command.as_ref().map(|command| command.command_id)
    }
}

/// Where appends are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LedgerHandle {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    metrics: Arc<LedgerMetrics>,
}

impl LedgerHandle {
    /// Appends as a service, and waits for the outcome.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append(&self, caller: &str, request: AppendRequest) -> Result<Appended, AppendError> {
        admit(&request)?;
        let events: usize = request.streams.iter().map(|append| append.events.len()).sum();
        let bytes = weight(&request);
        let kib = u32::try_from(bytes.min(MAX_APPEND_BYTES * 2) / 1024 + 1).unwrap_or(u32::MAX);
        let busy = || {
            self.metrics.busy.fetch_add(1, Relaxed);
            AppendError::Busy
        };
        let enter = async {
            let room = self.room.clone().acquire_many_owned(kib).await.ok()?;
            Some((room, self.jobs.reserve().await.ok()?))
        };
        let (room, place) = timeout(BUSY_AFTER, enter)
            .await
            .map_err(|_| busy())?
            .ok_or_else(|| unavailable("it is shutting down"))?;
        let (reply, answer) = oneshot::channel();
        self.metrics.queued.fetch_add(1, Relaxed);
        place.send(Job {
            caller: caller.to_owned(),
            request,
            reply,
            events,
            bytes,
            _room: room,
        });
        answer
            .await
            .unwrap_or_else(|_| Err(unavailable("the writer has stopped")))
    }
}

/// What an append weighs in the queue and in a batch: its texts and the size of its parts.
fn weight(request: &AppendRequest) -> usize {
    let events = request.streams.iter().flat_map(|append| &append.events);
    let data: usize = events
        .map(|event| event.data.len() + event.type_name.len() + 64)
        .sum();
    let names: usize = request
        .streams
        .iter()
        .map(|append| append.stream.as_str().len() + 64)
        .sum();
    let guards: usize = request
        .guards
        .iter()
        .map(|guard| guard.stream.as_str().len() + 64)
        .sum();
    data + names + guards + request.meta.actor.len() + 256
}

pub(crate) fn unavailable(reason: impl Into<String>) -> AppendError {
    AppendError::Unavailable {
        reason: reason.into(),
    }
}

/// The writer's end of the queue.
#[derive(Debug)]
pub(crate) struct Queue {
    jobs: mpsc::Receiver<Job>,
    held: Option<Job>,
    metrics: Arc<LedgerMetrics>,
}

pub(crate) fn queue(metrics: Arc<LedgerMetrics>) -> (LedgerHandle, Queue) {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED);
    let handle = LedgerHandle {
        jobs: sender,
        room: Arc::new(Semaphore::new(MAX_QUEUED_KIB)),
        metrics: metrics.clone(),
    };
    let queue = Queue {
        jobs: receiver,
        held: None,
        metrics,
    };
    (handle, queue)
}

impl Queue {
    /// What waits, up to the limits of a batch; waits for the first. `None`: nothing will come any more.
    pub(crate) async fn batch(&mut self) -> Option<Vec<Job>> {
        let first = match self.held.take() {
            Some(job) => job,
            None => self.jobs.recv().await?,
        };
        let (mut events, mut bytes) = (first.events, first.bytes);
        let mut batch = vec![first];
        while let Ok(job) = self.jobs.try_recv() {
            events += job.events;
            bytes += job.bytes;
            if events > MAX_BATCH_EVENTS || bytes > MAX_BATCH_BYTES {
                self.held = Some(job);
                break;
            }
            batch.push(job);
        }
        self.metrics.queued.fetch_sub(batch.len() as u64, Relaxed);
        Some(batch)
    }

    /// Tells all who wait that nothing was done.
    pub(crate) fn refuse_all(&mut self, reason: &str) {
        let held = self.held.take();
        let waiting = std::iter::from_fn(|| self.jobs.try_recv().ok());
        for job in held.into_iter().chain(waiting) {
            self.metrics.queued.fetch_sub(1, Relaxed);
            // An asker that is gone needs no answer.
            let _ = job.reply.send(Err(unavailable(reason)));
        }
    }
}
