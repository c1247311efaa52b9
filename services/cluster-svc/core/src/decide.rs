//! A command to cluster-svc, decided over the streams that it touches.

use crate::{
    ClusterAction, ClusterAggregate, ClusterView, NewSettings, NodeAggregate,
    cluster::{self, Cluster},
    join::{JoinRequest, join},
    name::look_up,
    node::{Node, Presence},
    node_command::node_command,
    refusal::{conflict, not_found, version_mismatch},
};
use berth_events::{
    Category, ClusterCommand, ClusterCreated, ClusterEvent, Event, NameClaimed, NameEvent, NameReleased,
    NodeEvent, Rejection, StreamName,
};
use berth_eventsourcing::{Aggregate, Decision, LoadedStream, Streams, Undecided};
use berth_ids::{ClusterId, Name, NodeId, Timestamp};
use serde_json::json;

/// What a decision rests on besides the streams.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Tenant of the command.
    pub tenant: &'a str,
    /// Moment of the command.
    pub now: Timestamp,
    /// Facts of other services, folded from the log.
    pub view: &'a ClusterView,
}

/// An aggregate's state with the version of its stream.
pub(crate) struct At<S> {
    pub(crate) stream: StreamName,
    pub(crate) version: u64,
    pub(crate) state: S,
}

/// The stream of a cluster.
pub fn cluster_stream(id: ClusterId) -> StreamName {
    StreamName::new(Category::Cluster, id)
}

/// The stream of a node.
pub fn node_stream(id: NodeId) -> StreamName {
    StreamName::new(Category::Node, id)
}

/// The stream that makes a cluster's name unique in its tenant.
pub fn cluster_name(tenant: &str, name: &Name) -> StreamName {
    StreamName::name(format_args!("tenant/{tenant}/cluster"), name.as_str())
}

/// The stream that makes a node's name unique in its cluster.
pub fn node_name(cluster: ClusterId, name: &Name) -> StreamName {
    StreamName::name(format_args!("cluster/{cluster}/node"), name.as_str())
}

/// The stream that gives a node index away once: never released, so never used again.
pub fn index_claim(cluster: ClusterId, index: u32) -> StreamName {
    StreamName::name(format_args!("cluster/{cluster}/index"), &index.to_string())
}

/// What a command comes to.
///
/// # Errors
/// [`Undecided`]: a stream to be loaded first, or the rule that refuses.
pub fn decide(
    command: &ClusterCommand,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    use ClusterCommand as C;
    match command {
        C::CreateCluster {
            cluster_id,
            name,
            region,
            zones,
            policy,
            strategy,
        } => {
            let created = ClusterCreated {
                cluster_id: *cluster_id,
                name: name.clone(),
                region: region.clone(),
                zones: zones.clone(),
                policy: *policy,
                strategy: *strategy,
            };
            create_cluster(created, context, streams)
        }
        C::RenameCluster {
            cluster_id,
            name,
            expected_version,
        } => rename_cluster(*cluster_id, name, *expected_version, context, streams),
        C::ChangeSettings {
            cluster_id,
            policy,
            strategy,
            quota,
            application_quota,
            expected_version,
        } => {
            let action = ClusterAction::ChangeSettings(NewSettings {
                policy: *policy,
                strategy: *strategy,
                quota: *quota,
                application_quota: *application_quota,
            });
            on_cluster(*cluster_id, &action, *expected_version, context, streams)
        }
        C::DeleteCluster { cluster_id, force } => {
            let action = ClusterAction::Delete {
                force: *force,
                applications: context.view.applications(*cluster_id).len(),
            };
            on_cluster(*cluster_id, &action, None, context, streams)
        }
        C::FinishDelete { cluster_id } => finish_delete(*cluster_id, context, streams),
        C::JoinNode {
            node_id,
            cluster_id,
            name,
            zone,
            address,
            labels,
            resources,
            facts,
        } => {
            let request = JoinRequest {
                node_id: *node_id,
                cluster_id: *cluster_id,
                name: name.as_ref(),
                zone: zone.as_deref(),
                address,
                labels,
                resources,
                facts,
            };
            join(&request, context, streams)
        }
        C::LabelNode { .. }
        | C::SetResources { .. }
        | C::CordonNode { .. }
        | C::UncordonNode { .. }
        | C::DrainNode { .. }
        | C::SettleDrain { .. }
        | C::RemoveNode { .. }
        | C::MarkLost { .. }
        | C::MarkReturned { .. } => node_command(command, context, streams),
    }
}

fn create_cluster(
    created: ClusterCreated,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let at = load_cluster(created.cluster_id, context, streams)?;
    let events = ClusterAggregate::decide(&at.state, &ClusterAction::Create(created.clone()))?;
    let name = cluster_name(context.tenant, &created.name);
    let owner = look_up(streams, &name)?;
    if owner.owner.is_some() {
        return Err(cluster_name_taken(&created.name).into());
    }
    let id = created.cluster_id;
    Ok(Decision::nothing()
        .with(at.stream, at.version, events)
        .with(name, owner.version, [claimed(id)])
        .answering(json!({ "cluster_id": id, "name": created.name })))
}

fn rename_cluster(
    id: ClusterId,
    name: &Name,
    expected: Option<u64>,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let at = load_cluster(id, context, streams)?;
    check_version("cluster", at.version, expected)?;
    let action = ClusterAction::Rename { name: name.clone() };
    let events = ClusterAggregate::decide(&at.state, &action)?;
    let answer = json!({ "cluster_id": id, "name": name });
    let Some(previous) = at.state.name.filter(|_| !events.is_empty()) else {
        return Ok(Decision::nothing().answering(answer));
    };
    let (old, new) = (
        cluster_name(context.tenant, &previous),
        cluster_name(context.tenant, name),
    );
    let mut decision = Decision::nothing().with(at.stream, at.version, events);
    // Names are compared without case: `shop` → `Shop` claims nothing new.
    if old != new {
        let owner = look_up(streams, &new)?;
        if owner.owner.is_some() {
            return Err(cluster_name_taken(name).into());
        }
        let released_at = look_up(streams, &old)?.version;
        decision = decision
            .with(new, owner.version, [claimed(id)])
            .with(old, released_at, [released(id)]);
    }
    Ok(decision.answering(answer))
}

fn finish_delete(id: ClusterId, context: Context<'_>, streams: &Streams) -> Result<Decision, Undecided> {
    let at = load_cluster(id, context, streams)?;
    let action = ClusterAction::FinishDelete {
        applications: context.view.applications(id).len(),
        nodes: context.view.nodes(id).count(),
    };
    let events = ClusterAggregate::decide(&at.state, &action)?;
    let answer = json!({ "cluster_id": id });
    let Some(name) = at.state.name.filter(|_| !events.is_empty()) else {
        return Ok(Decision::nothing().answering(answer));
    };
    let name = cluster_name(context.tenant, &name);
    let named_at = look_up(streams, &name)?.version;
    Ok(Decision::nothing()
        .with(at.stream, at.version, events)
        .with(name, named_at, [released(id)])
        .answering(answer))
}

fn on_cluster(
    id: ClusterId,
    action: &ClusterAction,
    expected: Option<u64>,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let at = load_cluster(id, context, streams)?;
    check_version("cluster", at.version, expected)?;
    let events = ClusterAggregate::decide(&at.state, action)?;
    Ok(Decision::nothing()
        .with(at.stream, at.version, events)
        .answering(json!({ "cluster_id": id })))
}

pub(crate) fn load_cluster(
    id: ClusterId,
    context: Context<'_>,
    streams: &Streams,
) -> Result<At<Cluster>, Undecided> {
    let stream = cluster_stream(id);
    let loaded = streams.get(&stream)?;
    if foreign(loaded, context) {
        return Err(cluster::unknown().into());
    }
    let state = fold_cluster(loaded);
    Ok(At {
        version: loaded.version,
        stream,
        state,
    })
}

pub(crate) fn load_node(id: NodeId, context: Context<'_>, streams: &Streams) -> Result<At<Node>, Undecided> {
    let stream = node_stream(id);
    let loaded = streams.get(&stream)?;
    if foreign(loaded, context) {
        return Err(not_found("node.unknown", "there is no such node".to_owned()).into());
    }
    Ok(At {
        version: loaded.version,
        stream,
        state: fold_node(loaded),
    })
}

/// What belongs to another tenant is not there.
fn foreign(loaded: &LoadedStream, context: Context<'_>) -> bool {
    loaded
        .tenant
        .as_ref()
        .is_some_and(|tenant| tenant != context.tenant)
}

fn fold_cluster(loaded: &LoadedStream) -> Cluster {
    ClusterAggregate::fold(loaded.events.iter().filter_map(|event| match event {
        Event::Cluster(event) => Some(event),
        _ => None::<&ClusterEvent>,
    }))
}

pub(crate) fn fold_node(loaded: &LoadedStream) -> Node {
    NodeAggregate::fold(loaded.events.iter().filter_map(|event| match event {
        Event::Node(event) => Some(event),
        _ => None::<&NodeEvent>,
    }))
}

pub(crate) fn check_version(what: &str, actual: u64, expected: Option<u64>) -> Result<(), Rejection> {
    match expected {
        Some(expected) if expected != actual => Err(version_mismatch(what, expected, actual)),
        Some(_) | None => Ok(()),
    }
}

fn cluster_name_taken(name: &Name) -> Rejection {
    conflict(
        "cluster.name_taken",
        format!("a cluster named `{name}` is there already"),
        "choose another name",
    )
}

pub(crate) fn claimed(owner: impl std::fmt::Display) -> NameEvent {
    NameEvent::Claimed(NameClaimed {
        owner: owner.to_string(),
    })
}

pub(crate) fn released(owner: impl std::fmt::Display) -> NameEvent {
    NameEvent::Released(NameReleased {
        owner: owner.to_string(),
    })
}

/// A node that is, or was, in a cluster.
pub(crate) fn has_joined(node: &Node) -> bool {
    match node.presence {
        Presence::Joined | Presence::Removed => true,
        Presence::Absent => false,
    }
}
