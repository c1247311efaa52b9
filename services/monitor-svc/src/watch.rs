//! Listens to heartbeats and commands cluster-svc when a node falls silent or is heard again.

use berth_bus::{Bus, async_nats::connection::State, subject};
use berth_events::{ClusterCommand, CommandBody, CommandOutcome, Heartbeat, LogHead};
use berth_ids::{ClusterId, CommandId, NodeId};
use berth_monitor_core::{MonitorView, Verdict, Watch};
use berth_service_kit::{ServiceContext, ViewHandle, derived_id, own_command};
use futures::{FutureExt, StreamExt};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc};

/// How often it looks who is silent.
const TICK: Duration = Duration::from_millis(100);
/// Wait before a broken subscription is made again.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Heartbeats taken from the queue before a look.
const MAX_DRAINED: usize = 16_384;
/// Verdicts on their way at the same time.
const MAX_COMMANDS: usize = 64;

/// Time between two questions while the watch doubts its own link.
const ASK_INTERVAL: Duration = Duration::from_millis(300);
/// Nodes asked for a heartbeat at once.
const MAX_ASKED: usize = 1_024;
/// Answers of the platform that were not looked at yet.
const MAX_PROOFS: usize = 16;

/// Watches until shutdown.
pub(crate) async fn keep(context: ServiceContext, view: ViewHandle<MonitorView>) {
    let (prove, proofs) = mpsc::channel(MAX_PROOFS);
    let mut watcher = Watcher {
        prove,
        proofs,
        asked_at: None,
        sending: Arc::new(Semaphore::new(MAX_COMMANDS)),
        watch: Watch::default(),
        started: Instant::now(),
        known_at: None,
        connected: true,
        context: context.clone(),
        view,
    };
    while !context.shutdown.is_cancelled() {
        match context.bus.client().subscribe("hb.*").await {
            Ok(beats) => watcher.listen(beats).await,
            Err(error) => tracing::warn!(%error, "could not subscribe to heartbeats; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = context.shutdown.cancelled() => {}
        }
        let now = watcher.now();
        watcher.watch.reconnected(now);
    }
}

struct Watcher {
    context: ServiceContext,
    view: ViewHandle<MonitorView>,
    watch: Watch,
    started: Instant,
    /// Position of the view that the watch knows.
    known_at: Option<u64>,
    /// The own link was up at the last look.
    connected: bool,
    sending: Arc<Semaphore>,
    /// When the questions were asked whose answers have come.
    prove: mpsc::Sender<u64>,
    proofs: mpsc::Receiver<u64>,
    /// When nodes and platform were last asked; absent: nothing is in doubt.
    asked_at: Option<Instant>,
}

impl Watcher {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn listen(&mut self, mut beats: berth_bus::async_nats::Subscriber) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let shutdown = self.context.shutdown.clone();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                beat = beats.next() => match beat {
                    Some(message) => self.heard(&message),
                    None => return,
                },
                _ = ticks.tick() => {
                    // What waits in the queue was heard before this look.
                    for _ in 0..MAX_DRAINED {
                        match beats.next().now_or_never() {
                            Some(Some(message)) => self.heard(&message),
                            Some(None) => return,
                            None => break,
                        }
                    }
                    self.look();
                }
            }
        }
    }

    /// The subject alone says whose heartbeat it is: an agent can publish only on its own.
    fn heard(&mut self, message: &berth_bus::async_nats::Message) {
        if let Some(node) = message
            .subject
            .strip_prefix("hb.")
            .and_then(|id| id.parse::<NodeId>().ok())
        {
            let now = self.now();
            // A body that says nothing of the engine is that of an agent of another version.
            match serde_json::from_slice::<Heartbeat>(&message.payload) {
                Ok(beat) if !beat.engine_up => self.watch.heard_without_engine(node, now),
                Ok(_) | Err(_) => self.watch.heard(node, now),
            }
        }
    }

    fn look(&mut self) {
        let now = self.now();
        let position = self.view.position();
        if self.known_at != Some(position) {
            self.watch.know(self.view.read(MonitorView::known), now);
            self.known_at = Some(position);
        }
        let connected = self.context.bus.client().connection_state() == State::Connected;
        if !connected {
            self.connected = false;
            return;
        }
        if !self.connected {
            self.connected = true;
            self.watch.reconnected(now);
        }
        while let Ok(asked_at) = self.proofs.try_recv() {
            self.watch.link_proven(asked_at);
        }
        for verdict in self.watch.tick(now) {
            self.say(verdict);
        }
        self.ask(now);
    }

    /// So many are silent that the fault may be here: asks them, and whether the own link carries.
    fn ask(&mut self, now: u64) {
        let doubted = self.watch.doubted(now);
        if doubted.is_empty() {
            self.asked_at = None;
            return;
        }
        match self.asked_at {
            Some(at) if at.elapsed() < ASK_INTERVAL => return,
            Some(_) => {}
            None => tracing::warn!(
                nodes = doubted.len(),
                "many nodes are silent at once: asking them, and whether the own link carries"
            ),
        }
        self.asked_at = Some(Instant::now());
        let (bus, prove) = (self.context.bus.clone(), self.prove.clone());
        tokio::spawn(async move {
            for node in doubted.into_iter().take(MAX_ASKED) {
                let asked = bus.tell(subject::control(node, "beat"), &()).await;
                if let Err(error) = asked {
                    tracing::debug!(node.id = %node, %error, "a node could not be asked");
                }
            }
            let head: Result<LogHead, _> = bus.ask("ledger", "head", "-", &()).await;
            match head {
                // A full queue has newer proofs.
                Ok(_) => drop(prove.try_send(now)),
                Err(error) => tracing::debug!(%error, "the own link may be broken: nobody is called lost"),
            }
        });
    }

    /// Sends a verdict in the background; one that is refused or lost comes again.
    fn say(&self, verdict: Verdict) {
        let Ok(permit) = self.sending.clone().try_acquire_owned() else {
            return;
        };
        let (node_id, what, version, body) = match verdict {
            Verdict::Lost {
                node_id,
                silent_ms,
                version,
            } => (
                node_id,
                "lost",
                version,
                ClusterCommand::MarkLost { node_id, silent_ms },
            ),
            Verdict::Returned { node_id, version } => (
                node_id,
                "returned",
                version,
                ClusterCommand::MarkReturned { node_id },
            ),
        };
        let of_node = |view: &MonitorView| {
            view.node(node_id)
                .map(|node| (node.cluster_id, node.tenant.clone()))
        };
        let Some((cluster, tenant)) = self.view.read(of_node) else {
            return;
        };
        let id: CommandId = derived_id(node_id.as_uuid(), &format!("{what}/{version}"));
        let command = own_command(&self.context, &tenant, id, CommandBody::Cluster(body));
        let bus = self.context.bus.clone();
        tokio::spawn(async move {
            send(&bus, &command, cluster, node_id, what).await;
            drop(permit);
        });
    }
}

async fn send(bus: &Bus, command: &berth_events::Command, cluster: ClusterId, node: NodeId, what: &str) {
    match bus.submit(command, Some(cluster)).await {
        Ok(CommandOutcome::Accepted { .. }) => tracing::info!(node.id = %node, "node `{node}` is {what}"),
        Ok(CommandOutcome::Rejected(rejection)) => {
            tracing::warn!(node.id = %node, code = rejection.code, "could not mark node `{node}` as {what}");
        }
        Err(error) => tracing::warn!(node.id = %node, %error, "could not mark node `{node}` as {what} yet"),
    }
}
