//! What the platform tells this agent directly: reports recorded, output wanted, a heartbeat wanted.

use super::{Link, build::Builders, logs, registry};
use crate::{engine::Engine, worker::Remote};
use berth_bus::async_nats::Message;
use berth_events::{LookAtRegistry, OpenBuild, OpenLogs, RecordedUpTo};
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Output streams open at the same time.
const MAX_SESSIONS: usize = 64;
/// Wait before a broken subscription is made again.
const RESUBSCRIBE_DELAY: Duration = Duration::from_millis(200);

/// What orders are carried out with.
pub(super) struct Desk {
    pub(super) worker: Remote,
    pub(super) engine: Engine,
    pub(super) builders: Builders,
    pub(super) notes: mpsc::Sender<RecordedUpTo>,
}

pub(super) async fn run(link: Link, desk: Desk, shutdown: CancellationToken) {
    let Desk {
        worker,
        engine,
        builders,
        notes,
    } = desk;
    let sessions = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(MAX_SESSIONS));
    let cleaner = builders.clone();
    sessions.spawn(async move { cleaner.clear().await });
    let subject = format!("ctl.{}.>", link.node_id);
    while !shutdown.is_cancelled() {
        let mut messages = match link.client.subscribe(subject.clone()).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "could not subscribe to `{subject}`");
                tokio::time::sleep(RESUBSCRIBE_DELAY).await;
                continue;
            }
        };
        while let Some(message) = tokio::select! {
            message = messages.next() => message,
            () = shutdown.cancelled() => None,
        } {
            match message.subject.rsplit('.').next() {
                Some("beat") => link.beat.notify_one(),
                Some("recorded") => take_recorded(&message, &notes),
                Some("logs") => {
                    let Ok(open) = serde_json::from_slice::<OpenLogs>(&message.payload) else {
                        tracing::warn!("an order to send output cannot be read");
                        continue;
                    };
                    let slot = Arc::clone(&slots).try_acquire_owned().ok();
                    let (link, worker, engine) = (link.clone(), worker.clone(), engine.clone());
                    let shutdown = shutdown.clone();
                    sessions.spawn(async move {
                        let full = slot.is_none();
                        logs::serve(link, worker, engine, open, full, shutdown).await;
                        drop(slot);
                    });
                }
                Some("build") => {
                    let Ok(open) = serde_json::from_slice::<OpenBuild>(&message.payload) else {
                        tracing::warn!("an order to make an image cannot be read");
                        continue;
                    };
                    sessions.spawn(builders.clone().serve(link.clone(), open, shutdown.clone()));
                }
                Some("registry") => {
                    let Ok(look) = serde_json::from_slice::<LookAtRegistry>(&message.payload) else {
                        tracing::warn!("an order to look at registries cannot be read");
                        continue;
                    };
                    let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                        continue;
                    };
                    let (link, engine, secrets) = (link.clone(), engine.clone(), builders.secrets());
                    sessions.spawn(async move {
                        registry::serve(link, engine, secrets, look).await;
                        drop(slot);
                    });
                }
                _ => tracing::debug!("`{}` is nothing that this agent knows", message.subject),
            }
        }
    }
    sessions.close();
    sessions.wait().await;
}

fn take_recorded(message: &Message, notes: &mpsc::Sender<RecordedUpTo>) {
    match serde_json::from_slice(&message.payload) {
        // A full queue: the next one says more.
        Ok(recorded) => drop(notes.try_send(recorded)),
        Err(error) => tracing::warn!(%error, "an acknowledgement cannot be read"),
    }
}
