//! Writes touched rows and the checkpoint of a view, beside its fold.
//!
//! Nothing waits for the disk here: a row that a dying machine forgets is folded again from the log, because
//! rows and checkpoint move together.

use super::{FLUSH_EVENTS, FLUSH_INTERVAL, Projector, store};
use crate::LogError;
use berth_eventsourcing::{RowKey, View};
use std::{collections::BTreeSet, sync::PoisonError};
use tokio::{task::JoinError, time::Instant};
use tokio_util::task::AbortOnDropHandle;

/// A transaction under way.
pub(super) struct Flushing {
    task: AbortOnDropHandle<Result<(), sqlx::Error>>,
    /// What it writes; to be written again if it fails.
    keys: BTreeSet<RowKey>,
    events: usize,
}

type Flushed = Option<Result<Result<(), sqlx::Error>, JoinError>>;

impl<V: View> Projector<V> {
    pub(super) fn is_flush_due(&self) -> bool {
        self.flushing.is_none()
            && self.unflushed > 0
            && (self.unflushed >= FLUSH_EVENTS || self.unflushed_since.elapsed() >= FLUSH_INTERVAL)
    }

    /// Begins a transaction with all that was touched, unless there is nothing or one is under way.
    pub(super) fn begin_flush(&mut self) {
        if self.unflushed == 0 || self.flushing.is_some() {
            return;
        }
        let keys = std::mem::take(&mut self.touched);
        let events = std::mem::take(&mut self.unflushed);
        let mut rows = store::Changed::default();
        {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            for key in &keys {
                rows.take(key, view.row(key));
            }
        }
        let (db, schema) = (self.context.db.clone(), self.schema.clone());
        let (position, hash) = (self.position, self.hash.clone());
        let writing = async move { store::write::<V>(&db, &schema, rows, position, &hash).await };
        self.flushing = Some(Flushing {
            task: AbortOnDropHandle::new(tokio::spawn(writing)),
            keys,
            events,
        });
    }

    /// Waits for the transaction under way; `None` if there is none. Can be dropped and called again.
    pub(super) async fn flushed(flushing: &mut Option<Flushing>) -> Flushed {
        match flushing {
            Some(flushing) => Some((&mut flushing.task).await),
            None => None,
        }
    }

    /// Takes note of what became of it.
    pub(super) fn end_flush(&mut self, flushed: Flushed) -> Result<(), LogError> {
        let Some(flushing) = self.flushing.take() else {
            return Ok(());
        };
        let error = match flushed {
            Some(Ok(Ok(()))) | None => return Ok(()),
            Some(Ok(Err(error))) => error,
            // Only a panic ends it early.
            Some(Err(_)) => sqlx::Error::WorkerCrashed,
        };
        if self.unflushed == 0 {
            self.unflushed_since = Instant::now();
        }
        self.unflushed += flushing.events;
        self.touched.extend(flushing.keys);
        Err(error.into())
    }

    /// Writes everything, and waits for it.
    pub(super) async fn flush(&mut self) -> Result<(), LogError> {
        // What is under way may be from before the last touch.
        let earlier = Self::flushed(&mut self.flushing).await;
        self.end_flush(earlier)?;
        self.begin_flush();
        let flushed = Self::flushed(&mut self.flushing).await;
        self.end_flush(flushed)
    }
}
