//! The log-writer: takes what waits, decides it against the heads, writes it with one call, answers.

use crate::{
    cache::Cache,
    error::LedgerError,
    metrics::LedgerMetrics,
    queue::{Job, Queue, unavailable},
    store::{Store, Written},
};
use berth_events::{Recorded, StreamName};
use berth_eventsourcing::{AppendError, Appended, Heads, Sequencer};
use berth_ids::{CommandId, Timestamp};
use berth_ledger_core::{Batch, Commands, KnownCommand};
use berth_service_kit::metrics::record;
use chrono::Utc;
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Heads of streams kept in memory.
const MAX_CACHED_HEADS: usize = 200_000;
/// Commands kept in memory; all of 7 days are in the database.
const MAX_CACHED_COMMANDS: usize = 50_000;
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
    heads: CachedHeads,
    commands: CachedCommands,
    committed: Committed,
    metrics: Arc<LedgerMetrics>,
    pruned: Instant,
}

#[derive(Debug)]
struct CachedHeads(Cache<StreamName, u64>);

impl Heads for CachedHeads {
    fn version(&self, stream: &StreamName) -> u64 {
        self.0.get(stream).copied().unwrap_or(0)
    }
}

#[derive(Debug)]
struct CachedCommands(Cache<CommandId, KnownCommand>);

impl Commands for CachedCommands {
    fn known(&self, id: CommandId) -> Option<&KnownCommand> {
        self.0.get(&id)
    }
}

type Reply = (Job, Result<Appended, AppendError>);

impl Writer {
    pub(crate) fn new(
        store: Store,
        sequencer: Sequencer,
        committed: Committed,
        metrics: Arc<LedgerMetrics>,
    ) -> Self {
        metrics.head.store(sequencer.position, Relaxed);
        metrics.takeovers.fetch_add(1, Relaxed);
        committed.head.send_replace(sequencer.position);
        Self {
            store,
            sequencer,
            heads: CachedHeads(Cache::new(MAX_CACHED_HEADS)),
            commands: CachedCommands(Cache::new(MAX_CACHED_COMMANDS)),
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
        if let Err(error) = self.load(&jobs).await {
            answer_all(jobs, &error.to_string());
            return Err(error.into());
        }
        let (batch, replies) = self.decide(jobs);
        if batch.is_empty() {
            self.answer(replies);
            return Ok(());
        }
        let started = Instant::now();
        match self.write(&batch).await {
            Written::Yes => {
                self.commit(batch, started.elapsed());
                self.answer(replies);
                Ok(())
            }
            Written::Refused(error) => {
                let jobs = replies.into_iter().map(|(job, _)| job).collect::<Vec<_>>();
                self.one_by_one(jobs, &error).await
            }
            Written::Fenced => {
                answer_all(
                    replies.into_iter().map(|(job, _)| job),
                    &Ended::Fenced.to_string(),
                );
                Err(Ended::Fenced)
            }
            Written::Unknown(reason) => {
                let ended = Ended::Unknown(reason);
                answer_all(replies.into_iter().map(|(job, _)| job), &ended.to_string());
                Err(ended)
            }
        }
    }

    async fn write(&mut self, batch: &Batch) -> Written {
        match self.store.cover_ahead(batch.sequencer().position).await {
            Ok(()) => self.store.write(batch).await,
            Err(error) => Written::Unknown(error.to_string()),
        }
    }

    /// The database refused a batch: one job of it is at fault, and only that one is refused.
    async fn one_by_one(&mut self, jobs: Vec<Job>, error: &sqlx::Error) -> Result<(), Ended> {
        tracing::error!(%error, jobs = jobs.len(), "the database refused a batch; writing its appends one by one");
        let mut waiting = jobs.into_iter();
        while let Some(job) = waiting.next() {
            let (batch, replies) = self.decide(vec![job]);
            let started = Instant::now();
            let written = if batch.is_empty() {
                None
            } else {
                Some(self.write(&batch).await)
            };
            match written {
                None => self.answer(replies),
                Some(Written::Yes) => {
                    self.commit(batch, started.elapsed());
                    self.answer(replies);
                }
                Some(Written::Refused(error)) => {
                    let reason = format!("the database of the log refuses it: {error}");
                    let refused = |(job, _)| {
                        (
                            job,
                            Err(AppendError::Refused {
                                reason: reason.clone(),
                            }),
                        )
                    };
                    self.answer(replies.into_iter().map(refused).collect());
                }
                Some(written @ (Written::Fenced | Written::Unknown(_))) => {
                    let ended = match written {
                        Written::Unknown(reason) => Ended::Unknown(reason),
                        _ => Ended::Fenced,
                    };
                    let unanswered = replies.into_iter().map(|(job, _)| job).chain(waiting);
                    answer_all(unanswered, &ended.to_string());
                    return Err(ended);
                }
            }
        }
        Ok(())
    }

    /// Fills the caches with all that the jobs name.
    async fn load(&mut self, jobs: &[Job]) -> Result<(), LedgerError> {
        let mut streams = HashSet::new();
        let mut commands = HashSet::new();
        for job in jobs {
            let named = job.request.streams.iter().map(|append| &append.stream);
            let guarded = job.request.guards.iter().map(|guard| &guard.stream);
            for stream in named.chain(guarded) {
                if !self.heads.0.touch(stream) {
                    streams.insert(stream);
                }
            }
            if let Some(command) = &job.request.command
                && !self.commands.0.touch(&command.command_id)
            {
                commands.insert(command.command_id.as_uuid());
            }
        }
        let texts: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
        let ids: Vec<_> = commands.into_iter().collect();
        let found = self.store.look_up(&texts, &ids).await?;
        for stream in streams {
            self.heads.0.insert(stream.clone(), 0);
        }
        for (stream, version) in found.heads {
            self.heads.0.insert(stream, version);
        }
        for (id, known) in found.commands {
            self.commands.0.insert(id, known);
        }
        Ok(())
    }

    fn decide(&self, jobs: Vec<Job>) -> (Batch, Vec<Reply>) {
        let mut batch = Batch::new(self.sequencer.clone());
        let mut replies = Vec::with_capacity(jobs.len());
        let now = Timestamp::from(Utc::now());
        for job in jobs {
            let decided = batch.decide(&job.caller, &job.request, &self.heads, &self.commands, now);
            replies.push((job, decided));
        }
        (batch, replies)
    }

    fn commit(&mut self, batch: Batch, took: Duration) {
        let (sequencer, events, heads, commands) = batch.into_parts();
        for (stream, head) in heads {
            self.heads.0.insert(stream, head.version);
        }
        for (id, known) in commands {
            self.commands.0.insert(id, known);
        }
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

fn answer_all(jobs: impl IntoIterator<Item = Job>, reason: &str) {
    for job in jobs {
        let _ = job.reply.send(Err(unavailable(reason)));
    }
}
