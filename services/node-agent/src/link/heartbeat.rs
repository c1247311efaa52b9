//! Signs of life, in a task of their own so that nothing can hold them up.

use super::Link;
use crate::worker::Remote;
use berth_bus::subject;
use berth_events::Heartbeat;
use std::time::Duration;

/// Time between two heartbeats; monitor-svc calls a node silent after 2 s.
const INTERVAL: Duration = Duration::from_millis(500);

pub(super) async fn run(link: Link, worker: Remote) {
    let boot = rand::random();
    let subject = subject::heartbeat(link.node_id);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = link.beat.notified() => {}
        }
        // Heartbeats are never kept for later.
        if !link.is_up() {
            continue;
        }
        let status = worker.status();
        let beat = Heartbeat {
            node_id: link.node_id,
            cluster_id: link.cluster_id,
            boot,
            generation: status.generation,
            engine_up: status.engine_up,
        };
        if let Err(error) = link.tell(subject.clone(), &beat).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a heartbeat was not sent"
            );
        }
    }
}
