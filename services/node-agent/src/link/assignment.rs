//! How the agent learns what it must run: a doorbell, then the last message of the stream, else a question.
//!
//! A message of the subscription alone is not believed: it is also seen when the stream refused it. It
//! counts once the stream's last message is it, or follows from it.

use super::Link;
use crate::worker::Remote;
use berth_agent_core::ApplyError;
use berth_bus::{
    async_nats::{self, Message, Request},
    subject,
};
use berth_events::{Answer, Assignment, Event, PlacementDecided, PlacementEvent, Recorded};
use futures::StreamExt;
use std::{collections::BTreeMap, time::Duration};

/// Silence after which the last message is read without a doorbell.
const SILENCE: Duration = Duration::from_secs(30);
/// Tries to find a message that rang in the stream, and the wait between them.
const CONFIRM_ATTEMPTS: u32 = 6;
const CONFIRM_DELAY: Duration = Duration::from_millis(10);
/// Tries to ask for the complete assignment before the next silence, and the first wait between them.
const ASK_ATTEMPTS: u32 = 6;
const ASK_DELAY: Duration = Duration::from_millis(200);
/// Messages that rang and are not confirmed yet; more are asked for.
const MAX_UNCONFIRMED: usize = 32;
/// Wait before a broken subscription is made again.
const RESUBSCRIBE_DELAY: Duration = Duration::from_millis(200);

/// A change as it came, by its position.
struct Change {
    change: PlacementDecided,
    traceparent: Option<String>,
}

pub(super) async fn run(link: Link, worker: Remote) {
    let doorbell = format!("evt.*.placement.{}", link.node_id);
    let mut reader = Reader {
        link,
        worker,
        unconfirmed: BTreeMap::new(),
    };
    loop {
        let mut up = reader.link.up.clone();
        reader.link.wait_up().await;
        up.mark_unchanged();
        let mut bells = match reader.link.client.subscribe(doorbell.clone()).await {
            Ok(bells) => bells,
            Err(error) => {
                tracing::warn!(%error, "could not subscribe to the assignment");
                tokio::time::sleep(RESUBSCRIBE_DELAY).await;
                continue;
            }
        };
        reader.read(0).await;
        loop {
            tokio::select! {
                bell = bells.next() => match bell {
                    Some(bell) => reader.ring(&bell).await,
                    None => break,
                },
                // The client renews subscriptions by itself; what came meanwhile must be read.
                changed = up.changed() => {
                    if changed.is_err() { return }
                    if *up.borrow_and_update() { reader.read(0).await }
                }
                () = tokio::time::sleep(SILENCE) => reader.read(0).await,
            }
        }
    }
}

struct Reader {
    link: Link,
    worker: Remote,
    unconfirmed: BTreeMap<u64, Change>,
}

impl Reader {
    async fn ring(&mut self, bell: &Message) {
        let Some((position, change)) = change_of(&bell.payload) else {
            return;
        };
        if position <= self.worker.status().generation {
            return;
        }
        if self.unconfirmed.len() >= MAX_UNCONFIRMED {
            self.unconfirmed.pop_first();
        }
        self.unconfirmed.insert(position, change);
        self.read(position).await;
    }

    /// Reads the last message; waits a moment for one that rang as `at_least`.
    async fn read(&mut self, at_least: u64) {
        for _ in 0..CONFIRM_ATTEMPTS {
            match self.last().await {
                Ok(Some((position, change))) if position >= at_least => {
                    self.unconfirmed.insert(position, change);
                    return self.catch_up(position).await;
                }
                Ok(Some(_)) => {}
                Ok(None) if at_least == 0 => {
                    // Nothing was ever ordered; without a word from the scheduler strays would stay.
                    if !self.worker.status().known {
                        self.ask(0).await;
                    }
                    return;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "could not read the last change of the assignment");
                }
            }
            tokio::time::sleep(CONFIRM_DELAY).await;
        }
    }

    /// The stream's last message about this node.
    async fn last(&self) -> Result<Option<(u64, Change)>, async_nats::RequestError> {
        let (tenant, node) = (&self.link.tenant, self.link.node_id);
        let subject = format!("$JS.API.DIRECT.GET.EVT.evt.{tenant}.placement.{node}");
        let answer = self.link.client.request(subject, bytes::Bytes::new()).await?;
        Ok(change_of(&answer.payload))
    }

    /// Applies what leads to `position`, which is confirmed; asks for everything if a link is missing.
    async fn catch_up(&mut self, position: u64) {
        loop {
            let status = self.worker.status();
            if status.known && status.generation >= position {
                break;
            }
            let own = status.generation;
            let next = self
                .unconfirmed
                .iter()
                .find(|(at, change)| **at <= position && **at > own && change.change.previous == own)
                .map(|(at, _)| *at);
            let Some((at, change)) = next.and_then(|at| self.unconfirmed.remove_entry(&at)) else {
                self.ask(position).await;
                break;
            };
            match self.worker.apply(change.change, at, change.traceparent).await {
                Some(Ok(_)) => self.wait_for(at).await,
                Some(Err(error)) => {
                    log_refused(&error);
                    self.ask(position).await;
                    break;
                }
                None => return,
            }
        }
        self.unconfirmed.retain(|at, _| *at > position);
    }

    /// The status follows the worker's loop.
    async fn wait_for(&self, position: u64) {
        let mut status = self.worker.watch();
        let _ = tokio::time::timeout(SILENCE, status.wait_for(|status| status.generation >= position)).await;
    }

    /// Asks for the complete assignment, until it is at least as new as what the stream has.
    async fn ask(&self, at_least: u64) {
        let subject = subject::question("scheduler", "assignment", &self.link.node_id.to_string());
        for attempt in 0..ASK_ATTEMPTS {
            let request = Request::new().payload("{}".into());
            match self.link.client.send_request(subject.clone(), request).await {
                Ok(answer) => match serde_json::from_slice::<Answer<Assignment>>(&answer.payload) {
                    Ok(Answer::Ok(whole)) => {
                        let generation = whole.generation;
                        match self.worker.replace(whole).await {
                            Some(Ok(_)) if generation >= at_least => return self.wait_for(generation).await,
                            Some(Ok(_)) => {}
                            Some(Err(error)) => log_refused(&error),
                            None => return,
                        }
                    }
                    Ok(Answer::Refused(rejection)) => {
                        tracing::warn!(
                            code = rejection.code,
                            "the scheduler gives no assignment: {}",
                            rejection.message
                        );
                    }
                    Err(error) => tracing::warn!(%error, "the scheduler's answer cannot be read"),
                },
                Err(error) => tracing::debug!(%error, "the scheduler does not answer"),
            }
            // Jitter: a scheduler that comes back is asked by all nodes.
            let wait = ASK_DELAY * 2_u32.pow(attempt);
            tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        }
    }
}

fn log_refused(error: &ApplyError) {
    match error {
        ApplyError::Gap { .. } => tracing::info!("{error}; asking for the complete assignment"),
        ApplyError::Incomplete { .. } | ApplyError::TooLarge(_) => tracing::error!("{error}"),
    }
}

/// The change in a message of the log; anything else says nothing to an agent.
fn change_of(payload: &[u8]) -> Option<(u64, Change)> {
    let recorded: Recorded = serde_json::from_slice(payload).ok()?;
    let traceparent = recorded.meta().traceparent;
    match recorded.event() {
        Ok(Event::Placement(PlacementEvent::Decided(change))) => {
            Some((recorded.position, Change { change, traceparent }))
        }
        Ok(_) => None,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a change of the assignment cannot be read; is this agent too old?"
            );
            None
        }
    }
}
