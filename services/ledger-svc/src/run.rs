//! One instance of the ledger: standby, active, and what happens between.

use crate::{
    enable::enable_features,
    error::LedgerError,
    intake::take_appends,
    known::Known,
    metrics::{LedgerMetrics, LedgerSnapshot},
    options::LedgerOptions,
    questions::answer_questions,
    queue::{LedgerHandle, Queue, queue},
    relay::{MAX_FED_BATCHES, Relay, last_relayed},
    store::Store,
    streams::{check_server, ensure_others},
    writer::{Committed, Ended, Writer},
};
use berth_bus::Bus;
use berth_events::{HealthState, ServiceHealth};
use berth_ids::Timestamp;
use chrono::Utc;
use sqlx::PgPool;
use std::{
    sync::{Arc, PoisonError, RwLock, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How often a standby tries to become the writer.
const STANDBY_POLL: Duration = Duration::from_millis(200);
/// Wait after a fault before the log is opened again.
const REOPEN_DELAY: Duration = Duration::from_millis(200);
/// How often a stopped writer refuses what arrives late.
const DRAIN_POLL: Duration = Duration::from_millis(10);
/// Wait before a fork is looked at again.
const FORK_POLL: Duration = Duration::from_secs(2);

/// What is known of this instance from outside.
#[derive(Debug)]
pub(crate) struct Status {
    state: RwLock<HealthState>,
    relay: watch::Sender<Option<String>>,
    dead: watch::Sender<Option<String>>,
    metrics: Arc<LedgerMetrics>,
    options: LedgerOptions,
    started_at: Timestamp,
}

impl Status {
    fn set(&self, state: HealthState) {
        let mut current = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if *current != state {
            match &state {
                HealthState::Green => tracing::info!("the ledger writes"),
                HealthState::Yellow(reason) => tracing::info!(%reason, "the ledger does not write"),
                HealthState::Red(reason) => tracing::error!(%reason, "the ledger has stopped"),
            }
            *current = state;
        }
    }

    pub(crate) fn state(&self) -> HealthState {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner).clone();
        match (state, &*self.relay.borrow()) {
            (HealthState::Green, Some(trouble)) => HealthState::Yellow(format!("the relay waits: {trouble}")),
            (HealthState::Green, None) => match &*self.dead.borrow() {
                Some(letters) => HealthState::Yellow(letters.clone()),
                None => HealthState::Green,
            },
            (state, _) => state,
        }
    }

    /// What was given up.
    pub(crate) fn dead_letters(&self, letters: Option<String>) {
        self.dead.send_if_modified(|known| {
            let news = *known != letters;
            if news && let Some(letters) = &letters {
                tracing::warn!("{letters}");
            }
            *known = letters;
            news
        });
    }

    pub(crate) fn health(&self) -> ServiceHealth {
        ServiceHealth {
            service: "ledger".into(),
            instance: self.options.instance.clone(),
            version: self.options.version.clone(),
            state: self.state(),
            position: Some(self.metrics.head.load(Relaxed)),
            started_at: self.started_at,
            reads: self.options.introduced.clone(),
        }
    }
}

/// An instance of the ledger. [`Ledger::run`] is its life; the other methods look at it.
pub struct Ledger {
    bus: Bus,
    pool: PgPool,
    options: LedgerOptions,
    handle: LedgerHandle,
    queue: Queue,
    status: Arc<Status>,
}

/// Looks at a ledger that runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LedgerView {
    handle: LedgerHandle,
    status: Arc<Status>,
}

impl LedgerView {
    /// Appends without the bus, for a caller in the same process.
    pub fn handle(&self) -> &LedgerHandle {
        &self.handle
    }
    /// How it is.
    pub fn health(&self) -> ServiceHealth {
        self.status.health()
    }
    /// Its counters.
    pub fn metrics(&self) -> LedgerSnapshot {
        self.status.metrics.snapshot()
    }
}

/// A writer alone, without bus, relay and standby: for benchmarks and for filling a log from elsewhere.
/// Whoever starts a ledger on the same log later relays what was written. It ends with `shutdown` or with
/// the first fault; the task says why.
///
/// # Errors
/// [`LedgerError`] if the log cannot be opened or another instance writes.
pub async fn write_only(
    pool: &PgPool,
    options: &LedgerOptions,
    shutdown: CancellationToken,
) -> Result<(LedgerHandle, tokio::task::JoinHandle<LedgerError>), LedgerError> {
    let opened = Store::open(pool, options.partition_size).await?;
    let (mut store, sequencer) =
        opened.ok_or_else(|| LedgerError::Ended("another instance writes".into()))?;
    let known = Known::load(&mut store, &options.introduced).await?;
    let metrics = Arc::new(LedgerMetrics::default());
    let (handle, mut queue) = queue(metrics.clone());
    // Nobody reads the feed: it is full or closed, and both are no loss.
    let (feed, _) = mpsc::channel(1);
    let head = watch::Sender::new(sequencer.position);
    let writer = Writer::new((store, sequencer, known), Committed { head, feed }, metrics);
    let task = tokio::spawn(async move {
        let ended = writer.run(&mut queue, &shutdown).await;
        LedgerError::Ended(ended.to_string())
    });
    Ok((handle, task))
}

impl Ledger {
    /// Prepares an instance; `pool` logs in as `berth_ledger`.
    pub fn new(bus: Bus, pool: PgPool, options: LedgerOptions) -> Self {
        let metrics = Arc::new(LedgerMetrics::default());
        let (handle, queue) = queue(metrics.clone());
        let status = Status {
            state: RwLock::new(HealthState::Yellow("starting".into())),
            relay: watch::Sender::new(None),
            dead: watch::Sender::new(None),
            metrics,
            options: options.clone(),
            started_at: Timestamp::from(Utc::now()),
        };
        Self {
            bus,
            pool,
            options,
            handle,
            queue,
            status: Arc::new(status),
        }
    }

    /// A view that outlives `run`.
    pub fn view(&self) -> LedgerView {
        LedgerView {
            handle: self.handle.clone(),
            status: self.status.clone(),
        }
    }

    /// Lives until shutdown. The schema must be there ([`crate::setup`]).
    ///
    /// # Errors
    /// [`LedgerError::Setup`] if the bus cannot carry what the log can hold. Everything else heals, or is
    /// shown in the health until somebody acts.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), LedgerError> {
        check_server(self.bus.client())?;
        let questions = tokio::spawn(answer_questions(
            self.bus.clone(),
            self.pool.clone(),
            self.status.clone(),
            shutdown.clone(),
        ));
        let dead = tokio::spawn(crate::dead::watch(
            self.bus.clone(),
            self.status.clone(),
            shutdown.clone(),
        ));
        while !shutdown.is_cancelled() {
            let wait = match self.term(&shutdown).await {
                Ok(()) => Duration::ZERO,
                Err(error @ LedgerError::Fork(_)) => {
                    self.status.set(HealthState::Red(error.to_string()));
                    FORK_POLL
                }
                Err(error) => {
                    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
                    let reason = format!("{error}{}", source.unwrap_or_default());
                    self.status.set(HealthState::Yellow(reason));
                    REOPEN_DELAY
                }
            };
            self.queue.refuse_all("no writer is active here");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.cancelled() => {}
            }
        }
        self.status.set(HealthState::Yellow("shutting down".into()));
        // It ends with `shutdown`; a panic in it is already reported.
        let _ = questions.await;
        let _ = dead.await;
        Ok(())
    }

    /// One term as the writer: from the lock to a fault or shutdown.
    async fn term(&mut self, shutdown: &CancellationToken) -> Result<(), LedgerError> {
        let Some((mut store, sequencer)) = self.stand_by(shutdown).await? else {
            return Ok(());
        };
        tracing::info!(
            epoch = store.epoch(),
            position = sequencer.position,
            "the log is open"
        );
        let (head, heads) = watch::channel(sequencer.position);
        let (feed, fed) = mpsc::channel(MAX_FED_BATCHES);
        let relay = Relay {
            bus: self.bus.clone(),
            pool: self.pool.clone(),
            options: self.options.clone(),
            metrics: self.status.metrics.clone(),
            head: heads,
            feed: fed,
            held: None,
            trouble: self.status.relay.clone(),
        };
        let committed = Committed { head, feed };
        let known = Known::load(&mut store, &self.options.introduced).await?;
        let features = known.features.clone();
        let opened = (store, sequencer, known);
        let writer = Writer::new(opened, committed, self.status.metrics.clone());
        // Nothing is appended to a log whose end is disputed.
        last_relayed(&self.bus, &self.pool, &self.options, u64::MAX).await?;
        ensure_others(self.bus.jetstream(), &self.options).await?;
        self.status.set(HealthState::Green);
        let enabling = enable_features(self.bus.clone(), self.handle.clone(), features);
        let _enabling = AbortOnDropHandle::new(tokio::spawn(enabling));
        self.serve(writer, relay, shutdown).await
    }

    async fn serve(
        &mut self,
        writer: Writer,
        relay: Relay,
        shutdown: &CancellationToken,
    ) -> Result<(), LedgerError> {
        let (stop_intake, stop_writer) = (shutdown.child_token(), CancellationToken::new());
        let (client, handle) = (self.bus.client().clone(), self.handle.clone());
        let intake = tokio::spawn({
            let stop = stop_intake.clone();
            async move { take_appends(&client, &handle, &stop).await }
        });
        let mut relay = tokio::spawn(relay.run());
        let ended = {
            let write = writer.run(&mut self.queue, &stop_writer);
            tokio::pin!(write);
            tokio::select! {
                ended = &mut write => Err(ended),
                fork = &mut relay => {
                    stop_writer.cancel();
                    write.await;
                    Ok(fork)
                }
                () = shutdown.cancelled() => {
                    stop_writer.cancel();
                    Err(write.await)
                }
            }
        };
        relay.abort();
        stop_intake.cancel();
        let taken = self.drain(intake).await;
        match ended {
            Ok(Ok(fork)) => Err(fork),
            Ok(Err(panic)) => Err(LedgerError::bus("run the relay")(panic)),
            Err(Ended::Shutdown) => taken,
            Err(Ended::Database(error)) => Err(error),
            Err(ended) => Err(LedgerError::Ended(ended.to_string())),
        }
    }

    /// Refuses what still waits until the last asker has its answer.
    async fn drain(
        &mut self,
        mut intake: tokio::task::JoinHandle<Result<(), LedgerError>>,
    ) -> Result<(), LedgerError> {
        loop {
            self.queue.refuse_all("the writer has stopped");
            match tokio::time::timeout(DRAIN_POLL, &mut intake).await {
                Ok(ended) => return ended.map_err(LedgerError::bus("listen for appends"))?,
                Err(_) => continue,
            }
        }
    }

    async fn stand_by(
        &mut self,
        shutdown: &CancellationToken,
    ) -> Result<Option<(Store, berth_eventsourcing::Sequencer)>, LedgerError> {
        while !shutdown.is_cancelled() {
            let opened = Store::open(&self.pool, self.options.partition_size).await?;
            if opened.is_some() {
                return Ok(opened);
            }
            self.queue.refuse_all("another instance writes");
            self.status
                .set(HealthState::Yellow("standby: another instance writes".into()));
            tokio::select! {
                () = tokio::time::sleep(STANDBY_POLL) => {}
                () = shutdown.cancelled() => {}
            }
        }
        Ok(None)
    }
}
