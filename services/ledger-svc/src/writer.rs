//! The log-writer: takes what waits, decides it against the heads, writes it with one call, answers.

use crate::{
    error::LedgerError,
    known::Known,
    metrics::LedgerMetrics,
    queue::{Job, Queue, unavailable},
    store::{Store, Written},
};
use berth_events::Recorded;
use berth_eventsourcing::{AppendError, Appended, Sequencer};
use berth_ids::Timestamp;
use berth_ledger_core::Batch;
use berth_service_kit::metrics::record;
use chrono::Utc;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How often an idle writer looks whether it still is the writer.
const IDLE_CHECK: Duration = Duration::from_millis(500);
/// The label of this log in the metrics of the process.
pub(crate) const LOG: &str = "main";
/// How long a key of a command is good.
const COMMAND_DAYS: i64 = 7;
/// How often old keys are forgotten, and how many at once.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
const PRUNE_AT_MOST: i64 = 10_000;

/// Why a writer ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// It was asked to.
    #[error("the ledger is shutting down")]
    Shutdown,
    /// Another writer has taken over.
    #[error("another log-writer has taken over")]
    Fenced,
    /// A commit with an unknown outcome: only a new epoch knows the end of the log.
    #[error("the outcome of a commit is not known: {0}")]
    Unknown(String),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] LedgerError),
}

/// What the writer tells the relay.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    /// Position of the last event.
    pub(crate) head: watch::Sender<u64>,
    /// The events themselves; dropped when the relay is slow, it then reads the database.
    pub(crate) feed: mpsc::Sender<Vec<Recorded>>,
}

/// The active writer.
#[derive(Debug)]
pub(crate) struct Writer {
    store: Store,
    sequencer: Sequencer,
    known: Known,
    /// The last call told the database of heads.
    told: bool,
    committed: Committed,
    metrics: Arc<LedgerMetrics>,
    pruned: Instant,
}

/// The connection, the end of the log, and what is known of it.
pub(crate) type Opened = (Store, Sequencer, Known);
type Reply = (Job, Result<Appended, AppendError>);

impl Writer {
    pub(crate) fn new(
        (store, sequencer, known): Opened,
        committed: Committed,
        metrics: Arc<LedgerMetrics>,
    ) -> Self {
        metrics.head.store(sequencer.position, Relaxed);
        metrics.takeovers.fetch_add(1, Relaxed);
        committed.head.send_replace(sequencer.position);
        Self {
            store,
            sequencer,
            known,
            told: false,
            committed,
            metrics,
            pruned: Instant::now(),
        }
    }

    /// Writes until something ends it. The lock is free afterwards.
    pub(crate) async fn run(mut self, queue: &mut Queue, stop: &CancellationToken) -> Ended {
        let ended = loop {
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => break Ended::Shutdown,
                batch = timeout(IDLE_CHECK, queue.batch()) => batch,
            };
            let done = match batch {
                Ok(Some(jobs)) => self.take(jobs).await,
                Ok(None) => Err(Ended::Shutdown),
                Err(_) => self.check_fence().await,
            };
            if let Err(ended) = done {
                break ended;
            }
            if let Err(error) = self.housekeeping().await {
                break error.into();
            }
        };
        self.store.close().await;
        ended
    }

    /// An idle writer must notice too that its connection is gone or that another has taken over.
    async fn check_fence(&mut self) -> Result<(), Ended> {
        if self.store.is_writer().await? {
            Ok(())
        } else {
            Err(Ended::Fenced)
        }
    }

    async fn housekeeping(&mut self) -> Result<(), LedgerError> {
        if self.pruned.elapsed() < PRUNE_EVERY {
            return Ok(());
        }
        self.pruned = Instant::now();
        let before = Utc::now() - chrono::TimeDelta::days(COMMAND_DAYS);
        let gone = self.store.prune(before, PRUNE_AT_MOST).await?;
        tracing::debug!(gone, "forgot old commands");
        Ok(())
    }

    /// Decides and writes jobs, and answers each.
    async fn take(&mut self, jobs: Vec<Job>) -> Result<(), Ended> {
        if let Err(error) = self.known.look_up_heads(&mut self.store, &jobs).await {
            return Err(give_up(jobs, error.into()));
        }
        let (batch, replies) = self.decide(jobs).await?;
        let started = Instant::now();
        let written = self.write(&batch).await;
        if !matches!(written, Written::Repeated) {
            return self.finish(batch, replies, written, started).await;
        }
        let jobs = self.look_up_commands(jobs_of(replies).collect()).await?;
        let (batch, replies) = self.decide(jobs).await?;
        let started = Instant::now();
        let written = self.write(&batch).await;
        self.finish(batch, replies, written, started).await
    }

    /// Answers as the database has answered.
    async fn finish(
        &mut self,
        batch: Batch,
        replies: Vec<Reply>,
        written: Written,
        started: Instant,
    ) -> Result<(), Ended> {
        match written {
            Written::Nothing => {
                self.answer(replies);
                Ok(())
            }
            Written::Yes => {
                self.commit(batch, started.elapsed());
                self.answer(replies);
                Ok(())
            }
            Written::Repeated => self.one_by_one(replies, "a command is known already").await,
            Written::Refused(error) => self.one_by_one(replies, &error.to_string()).await,
            Written::Fenced => Err(give_up(jobs_of(replies), Ended::Fenced)),
            Written::Unknown(reason) => Err(give_up(jobs_of(replies), Ended::Unknown(reason))),
        }
    }

    async fn write(&mut self, batch: &Batch) -> Written {
        if batch.is_empty() {
            return Written::Nothing;
        }
        let heads = self.known.heads_to_tell(batch);
        self.told = !heads.is_empty();
        match self.store.cover_ahead(batch.sequencer().position).await {
            Ok(()) => self.store.write(batch, &heads).await,
            Err(error) => Written::Unknown(error.to_string()),
        }
    }

    /// The database refused a batch: one job of it is at fault, and only that one is refused.
    async fn one_by_one(&mut self, replies: Vec<Reply>, error: &str) -> Result<(), Ended> {
        tracing::error!(%error, jobs = replies.len(), "the database refused a batch; writing its appends one by one");
        let jobs = self.look_up_commands(jobs_of(replies).collect()).await?;
        let mut waiting = jobs.into_iter();
        while let Some(job) = waiting.next() {
            let (batch, replies) = self.number(vec![job]);
            let started = Instant::now();
            match self.write(&batch).await {
                Written::Nothing => self.answer(replies),
                Written::Yes => {
                    self.commit(batch, started.elapsed());
                    self.answer(replies);
                }
                Written::Repeated => self.refuse(replies, "its command is known already"),
                Written::Refused(error) => self.refuse(replies, &error.to_string()),
                Written::Fenced => return Err(give_up(jobs_of(replies).chain(waiting), Ended::Fenced)),
                Written::Unknown(reason) => {
                    let unanswered = jobs_of(replies).chain(waiting);
                    return Err(give_up(unanswered, Ended::Unknown(reason)));
                }
            }
        }
        Ok(())
    }

    fn refuse(&self, replies: Vec<Reply>, error: &str) {
        let reason = format!("the database of the log refuses it: {error}");
        let refused = jobs_of(replies).map(|job| {
            let reason = reason.clone();
            (job, Err(AppendError::Refused { reason }))
        });
        self.answer(refused.collect());
    }

    /// Decides jobs. What a rule refuses may be a command that was done before this term: then its first
    /// outcome is the answer.
    async fn decide(&mut self, jobs: Vec<Job>) -> Result<(Batch, Vec<Reply>), Ended> {
        let (batch, replies) = self.number(jobs);
        let refused = replies.iter().filter(|(_, reply)| reply.is_err());
        let ids: Vec<_> = refused.filter_map(|(job, _)| job.command_id()).collect();
        match self
            .known
            .look_up_commands(&mut self.store, ids.into_iter())
            .await
        {
            Ok(false) => Ok((batch, replies)),
            Ok(true) => Ok(self.number(jobs_of(replies).collect())),
            Err(error) => Err(give_up(jobs_of(replies), error.into())),
        }
    }

    /// Looks up all commands of jobs.
    async fn look_up_commands(&mut self, jobs: Vec<Job>) -> Result<Vec<Job>, Ended> {
        let ids = jobs.iter().filter_map(Job::command_id);
        match self.known.look_up_commands(&mut self.store, ids).await {
            Ok(_) => Ok(jobs),
            Err(error) => Err(give_up(jobs, error.into())),
        }
    }

    fn number(&self, jobs: Vec<Job>) -> (Batch, Vec<Reply>) {
        let mut batch = Batch::new(self.sequencer.clone());
        let mut replies = Vec::with_capacity(jobs.len());
        let now = Timestamp::from(Utc::now());
        let Known {
            heads,
            commands,
            features,
        } = &self.known;
        for job in jobs {
            let decided = batch.decide(&job.caller, &job.request, heads, commands, features, now);
            replies.push((job, decided));
        }
        (batch, replies)
    }

    fn commit(&mut self, batch: Batch, took: Duration) {
        let (sequencer, events, heads, commands) = batch.into_parts();
        self.known.committed(&events, heads, self.told, commands);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.metrics
            .committed(events.len() as u64, micros, sequencer.position);
        record(|metrics| {
            metrics
                .commit_events
                .with_label_values(&[LOG])
                .observe(events.len() as f64);
        });
        self.sequencer = sequencer;
        if !events.is_empty() {
            // A full feed is no loss: the relay sees the hole and reads the database.
            let _ = self.committed.feed.try_send(events);
            self.committed.head.send_replace(self.sequencer.position);
        }
    }

    fn answer(&self, replies: Vec<Reply>) {
        for (job, reply) in replies {
            let counter = match &reply {
                Ok(appended) if appended.repeated => &self.metrics.repeated,
                Ok(_) => &self.metrics.appends,
                Err(_) => &self.metrics.refused,
            };
            counter.fetch_add(1, Relaxed);
            // An asker that is gone asks again with its command id.
            let _ = job.reply.send(reply);
        }
    }
}

fn jobs_of(replies: Vec<Reply>) -> impl Iterator<Item = Job> {
    replies.into_iter().map(|(job, _)| job)
}

/// Tells all who wait why the term ends.
fn give_up(jobs: impl IntoIterator<Item = Job>, ended: Ended) -> Ended {
    let reason = ended.to_string();
    for job in jobs {
        // An asker that is gone asks again with its command id.
        let _ = job.reply.send(Err(unavailable(reason.as_str())));
    }
    ended
}
