//! Facts of the server: sent on connect and when they change.

use super::Link;
use crate::{engine::Engine, worker::Remote};
use berth_bus::subject;
use berth_events::{NodeFacts, NodeReport};
use std::time::Duration;

/// Time between two measurements.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) async fn run(link: Link, worker: Remote, engine: Engine) {
    let mut up = link.up.clone();
    let mut status = worker.watch();
    let mut told: Option<NodeFacts> = None;
    loop {
        link.wait_up().await;
        up.mark_unchanged();
        match engine.facts().await {
            Ok(facts) if told.as_ref() != Some(&facts) => {
                let report = NodeReport {
                    node_id: link.node_id,
                    facts: facts.clone(),
                    address: link.address.to_string(),
                };
                match link.store(subject::report("node", link.node_id), &report).await {
                    Ok(()) => told = Some(facts),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "the facts of the node were not sent"
                        );
                    }
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the engine gives no facts"
            ),
        }
        let engine_up = worker.status().engine_up;
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            // Connected again: the platform may have lost what it was told.
            _ = up.changed() => told = None,
            changed = status.wait_for(|status| status.engine_up != engine_up) => if changed.is_err() { return },
        }
    }
}
