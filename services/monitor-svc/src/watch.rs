//! Listens to heartbeats, asks the watch several times a second, and has its verdicts recorded.

use crate::monotonic_ms;
use berth_bus::async_nats::{Subscriber, connection::State};
use berth_events::{ClusterCommand, CommandBody, CommandOutcome, Heartbeat};
use berth_ids::{ClusterId, CommandId, NodeId};
use berth_monitor_core::{MonitorView, Verdict, Watch};
use berth_service_kit::{ServiceContext, ViewHandle, derived_id, own_command};
use futures::StreamExt;
use std::time::{Duration, Instant};

/// Time between two questions to the watch.
const TICK: Duration = Duration::from_millis(100);
/// Wait before a broken subscription is made again.
const RESUBSCRIBE_DELAY: Duration = Duration::from_millis(200);
/// A verdict that led nowhere is a new command after this time; before, its repeat is the same.
const RETRY_MS: u64 = 10_000;

/// Watches until shutdown.
pub(crate) async fn run(context: ServiceContext, view: ViewHandle<MonitorView>) {
    let since = Instant::now();
    let mut watch = Watch::default();
    while !context.shutdown.is_cancelled() {
        match context.bus.client().subscribe("hb.*").await {
            Ok(beats) => listen(&context, &view, &mut watch, beats, since).await,
            Err(error) => {
                tracing::warn!(%error, "could not listen to heartbeats; trying again");
                tokio::time::sleep(RESUBSCRIBE_DELAY).await;
            }
        }
        watch.reconnected(monotonic_ms(since));
    }
}

async fn listen(
    context: &ServiceContext,
    view: &ViewHandle<MonitorView>,
    watch: &mut Watch,
    mut beats: Subscriber,
    since: Instant,
) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut connected = true;
    loop {
        tokio::select! {
            // Heartbeats first: after a pause, those that waited count before anyone is judged.
            biased;
            () = context.shutdown.cancelled() => return,
            beat = beats.next() => match beat {
                Some(message) => {
                    if let Ok(beat) = serde_json::from_slice::<Heartbeat>(&message.payload)
                        && message.subject.as_str() == berth_bus::subject::heartbeat(beat.node_id)
                    {
                        watch.heard(beat.node_id, monotonic_ms(since));
                    }
                }
                None => return,
            },
            _ = ticks.tick() => {
                let now = monotonic_ms(since);
                let was_connected = std::mem::replace(
                    &mut connected,
                    context.bus.client().connection_state() == State::Connected,
                );
                if !connected || !was_connected {
                    // Our own link was away: silence meanwhile says nothing of the nodes.
                    watch.reconnected(now);
                }
                watch.know(view.read(MonitorView::known), now);
                for verdict in watch.tick(now) {
                    tell(context, view, verdict, now);
                }
            }
        }
    }
}

/// Sends the command in the background: the watch must not stand still meanwhile. It gives a verdict again
/// if nothing came of it.
fn tell(context: &ServiceContext, view: &ViewHandle<MonitorView>, verdict: Verdict, now: u64) {
    let (node_id, version, word, command) = match verdict {
        Verdict::Lost {
            node_id,
            silent_ms,
            version,
        } => (
            node_id,
            version,
            "lost",
            ClusterCommand::MarkLost { node_id, silent_ms },
        ),
        Verdict::Returned { node_id, version } => (
            node_id,
            version,
            "returned",
            ClusterCommand::MarkReturned { node_id },
        ),
    };
    let Some((cluster, tenant)) = place(view, node_id) else {
        return;
    };
    let period = now.div_euclid(RETRY_MS);
    let id: CommandId = derived_id(node_id.as_uuid(), &format!("{word}/{version}/{period}"));
    let mut command = own_command(context, &tenant, id, CommandBody::Cluster(command));
    // Instances measure different silences: what makes the request is the verdict, not the number.
    command.request_hash = format!("{word}/{version}");
    let context = context.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = context.shutdown.cancelled() => {}
            outcome = context.bus.submit(&command, Some(cluster)) => match outcome {
                Ok(CommandOutcome::Accepted { .. }) => {
                    tracing::info!(node.id = %node_id, "node {node_id} is {word}");
                }
                Ok(CommandOutcome::Rejected(rejection)) => {
                    tracing::warn!(node.id = %node_id, code = rejection.code, "`{word}` is refused: {}", rejection.message);
                }
                Err(error) => {
                    tracing::warn!(node.id = %node_id, %error, "could not have it recorded that node {node_id} is {word}; trying again");
                }
            }
        }
    });
}

fn place(view: &ViewHandle<MonitorView>, node: NodeId) -> Option<(ClusterId, String)> {
    view.read(|view| view.node(node).map(|node| (node.cluster_id, node.tenant.clone())))
}
