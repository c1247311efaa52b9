//! Keeps a view at the end of the log: from Postgres first, then from the bus, healed from Postgres.
//!
//! The view lives in memory; its rows and its checkpoint move together in one transaction, so that a
//! restart continues where they stand. Several instances may keep the same rows: the furthest wins.
//!
//! The fold never waits for these transactions: they run beside it, one at a time.

mod flush;
mod store;

use crate::{Log, LogError, ServiceContext, metrics};
use berth_events::{HealthState, Recorded};
use berth_eventsourcing::{RowKey, View};
use flush::Flushing;
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// Rows and checkpoint are written this long after the first fact that they do not have.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);
/// Events after which they are written in any case.
const FLUSH_EVENTS: usize = 1_000;
/// Events folded in a rebuild before rows are written.
const REBUILD_FLUSH_EVENTS: usize = 100_000;
/// Without a fact for this long, Postgres is asked whether the bus has lost one.
const SILENCE: Duration = Duration::from_secs(5);
/// Wait after a fault.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// The longest a reader waits for a position.
pub const READ_WAIT: Duration = Duration::from_secs(2);

/// The read model is behind the position that a reader asked for.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the read model is at position {reached}, not yet at {wanted}; try again")]
pub struct Lagging {
    /// Asked for.
    pub wanted: u64,
    /// Reached.
    pub reached: u64,
}

/// A view that is kept at the end of the log. Cheap to clone.
pub struct ViewHandle<V> {
    view: Arc<RwLock<V>>,
    position: watch::Receiver<u64>,
}

impl<V> Clone for ViewHandle<V> {
    fn clone(&self) -> Self {
        Self {
            view: self.view.clone(),
            position: self.position.clone(),
        }
    }
}

impl<V> ViewHandle<V> {
    /// Looks at the view. Must not take long: the fold waits.
    pub fn read<T>(&self, look: impl FnOnce(&V) -> T) -> T {
        look(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Position up to which it is.
    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Waits until it is at least at a position, for `READ_WAIT` at most.
    ///
    /// # Errors
    /// [`Lagging`].
    pub async fn at_least(&self, wanted: u64) -> Result<u64, Lagging> {
        let mut position = self.position.clone();
        let wait = position.wait_for(|reached| *reached >= wanted);
        // The guard of the answer locks the channel: to ask for the position while it lives is a deadlock as
        // soon as the fold wants to tell of a move.
        if let Ok(Ok(reached)) = tokio::time::timeout(READ_WAIT, wait).await {
            return Ok(*reached);
        }
        let reached = self.position();
        Err(Lagging { wanted, reached })
    }

    /// Tells of every move; for reconcilers and live streams.
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.position.clone()
    }
}

/// Keeps one view.
pub struct Projector<V> {
    context: ServiceContext,
    log: Log,
    schema: String,
    view: Arc<RwLock<V>>,
    moved: watch::Sender<u64>,
    position: u64,
    hash: String,
    touched: BTreeSet<RowKey>,
    unflushed: usize,
    /// When the first fact came that is not in the rows.
    unflushed_since: Instant,
    flushing: Option<Flushing>,
}

/// Restores a view, brings it to the end of the log, and keeps it there in the background until shutdown.
///
/// # Errors
/// [`LogError`] if Postgres cannot be used at start.
pub async fn start_projection<V: View>(context: &ServiceContext) -> Result<ViewHandle<V>, LogError> {
    let mut projector = Projector::<V>::restore(context).await?;
    projector.catch_up().await?;
    // A log without news moves nothing, and the view is at its end all the same.
    context.health.reached(projector.position);
    let handle = ViewHandle {
        view: projector.view.clone(),
        position: projector.moved.subscribe(),
    };
    tokio::spawn(projector.run());
    Ok(handle)
}

impl<V: View> Projector<V> {
    async fn restore(context: &ServiceContext) -> Result<Self, LogError> {
        let schema = format!("svc_{}", context.service);
        store::prepare(&context.db, &schema).await?;
        let mut view = V::default();
        let (checkpoint, rows) = store::load::<V>(&context.db, &schema).await?;
        let mut rows_read = true;
        if checkpoint.is_some() {
            for (kind, key, body) in rows {
                if let Err(error) = view.restore(RowKey { kind, key }, &body) {
                    tracing::warn!(view = V::NAME, %error, "stored rows cannot be read; rebuilding the view");
                    rows_read = false;
                    break;
                }
            }
        }
        let (position, hash) = match checkpoint {
            Some(checkpoint) if rows_read => checkpoint,
            Some(_) | None => {
                view = V::default();
                store::clear::<V>(&context.db, &schema).await?;
                (0, String::new())
            }
        };
        Ok(Self {
            log: context.log(),
            context: context.clone(),
            schema,
            view: Arc::new(RwLock::new(view)),
            moved: watch::Sender::new(position),
            position,
            hash,
            touched: BTreeSet::new(),
            unflushed: 0,
            unflushed_since: Instant::now(),
            flushing: None,
        })
    }

    /// Folds what Postgres has beyond the view.
    async fn catch_up(&mut self) -> Result<(), LogError> {
        loop {
            let page = self.log.after(self.position).await?;
            if page.is_empty() {
                self.flush().await?;
                return Ok(());
            }
            for recorded in &page {
                self.apply(recorded)?;
            }
            if self.unflushed >= REBUILD_FLUSH_EVENTS {
                self.flush().await?;
            }
        }
    }

    async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        while !shutdown.is_cancelled() {
            let followed = tokio::select! {
                followed = self.follow() => followed,
                () = shutdown.cancelled() => break,
            };
            if let Err(error) = followed {
                let reason = format!("view {} is held up: {error}", V::NAME);
                let poisoned = error
                    .downcast_ref::<LogError>()
                    .is_some_and(|error| matches!(error, LogError::Shape { .. }));
                let state = if poisoned {
                    HealthState::Red(reason)
                } else {
                    HealthState::Yellow(reason)
                };
                self.context.health.set(state);
                tokio::select! {
                    () = tokio::time::sleep(RETRY_DELAY) => {}
                    () = shutdown.cancelled() => break,
                }
            }
        }
        if let Err(error) = self.flush().await {
            tracing::debug!(view = V::NAME, %error, "rows were not written at shutdown; the next start folds them again");
        }
    }

    /// Catches up, then takes facts from the bus until something is wrong.
    async fn follow(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.catch_up().await?;
        let mut tail = self.context.bus.tail(self.position).await?;
        self.context.health.set(HealthState::Green);
        loop {
            if self.is_flush_due() {
                self.begin_flush();
            }
            let flush_due = self.unflushed_since + FLUSH_INTERVAL;
            let may_flush = self.unflushed > 0 && self.flushing.is_none();
            let busy = self.unflushed > 0 || self.flushing.is_some();
            tokio::select! {
                biased;
                // First: facts that never pause must not hide that it is done.
                flushed = Self::flushed(&mut self.flushing), if self.flushing.is_some() => {
                    self.end_flush(flushed)?;
                }
                recorded = tail.next() => self.apply(&recorded?)?,
                () = tokio::time::sleep_until(flush_due), if may_flush => {}
                () = tokio::time::sleep(SILENCE), if !busy => {
                    if self.log.head().await? > self.position {
                        return Err("the bus has lost facts; taking them from the log".into());
                    }
                }
            }
        }
    }

    fn apply(&mut self, recorded: &Recorded) -> Result<(), LogError> {
        let shape = |reason: String| LogError::Shape {
            position: recorded.position.cast_signed(),
            reason,
        };
        if recorded.position != self.position + 1 {
            return Err(shape(format!(
                "the view is at {} and can only take the next",
                self.position
            )));
        }
        if !self.hash.is_empty() && recorded.previous_hash != self.hash {
            return Err(shape(
                "it does not follow what the view has folded: the log has forked".into(),
            ));
        }
        let event = recorded.event().map_err(|error| shape(error.to_string()))?;
        let touched = self
            .view
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(recorded, &event);
        self.touched.extend(touched);
        self.position = recorded.position;
        self.hash.clone_from(&recorded.hash);
        if self.unflushed == 0 {
            self.unflushed_since = Instant::now();
        }
        self.unflushed += 1;
        self.moved.send_replace(self.position);
        self.context.health.reached(self.position);
        metrics::record(|metrics| {
            let labels = [self.context.service, V::NAME];
            metrics
                .view_position
                .with_label_values(&labels)
                .set(self.position.cast_signed());
        });
        Ok(())
    }
}
