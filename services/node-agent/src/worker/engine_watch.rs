//! The engine's events as a doorbell: they say where to look, never what is.

use crate::engine::Engine;
use berth_agent_core::names;
use berth_ids::{AllocationId, NodeId};
use futures::StreamExt;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// First and longest wait before the events are subscribed again.
const RETRY_DELAY: Duration = Duration::from_millis(250);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// Where to look.
pub(super) enum Bell {
    /// Everywhere: events may have been missed.
    All,
    /// At one container.
    One(AllocationId, String),
}

/// Rings for each event of our containers until shutdown.
pub(super) async fn watch_engine(
    engine: Engine,
    node_id: NodeId,
    bells: mpsc::Sender<Bell>,
    shutdown: CancellationToken,
) {
    let mut delay = RETRY_DELAY;
    while !shutdown.is_cancelled() && !bells.is_closed() {
        let mut lost = false;
        if let Ok(events) = engine.events(node_id).await {
            let mut events = std::pin::pin!(events);
            // Whatever happened before the subscription is found by a look.
            lost = true;
            ring(&bells, Bell::All);
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = shutdown.cancelled() => None,
                };
                let Some(Ok(event)) = event else { break };
                delay = RETRY_DELAY;
                let actor = event.actor.unwrap_or_default();
                let labels = actor.attributes.unwrap_or_default().into_iter().collect();
                if let (Some(id), Some(container)) = (names::allocation_of(&labels), actor.id) {
                    ring(&bells, Bell::One(id, container));
                }
            }
        }
        if lost {
            engine.forget().await;
            ring(&bells, Bell::All);
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = shutdown.cancelled() => {}
        }
        delay = (delay * 2).min(RETRY_DELAY_MAX);
    }
}

/// A full queue is served soon, and the periodic look finds what this bell would have told.
fn ring(bells: &mpsc::Sender<Bell>, bell: Bell) {
    if bells.try_send(bell).is_err() {
        tracing::debug!("the engine tells more than can be looked at; the next look finds the rest");
    }
}
