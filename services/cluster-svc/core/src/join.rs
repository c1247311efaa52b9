//! Joining: a server becomes a node with a name and an index that nobody else has.

use crate::{
    ClusterView, NodeAction, NodeAggregate,
    cluster::{active, check_place},
    decide::{Context, claimed, has_joined, index_claim, load_cluster, load_node, node_name},
    name::{NameOwner, look_up},
    node::{Node, check_rejoin},
    refusal::{conflict, invalid},
};
use berth_events::{NodeFacts, NodeJoined, Rejection, StreamName};
use berth_eventsourcing::{Aggregate, Decision, Streams, Undecided};
use berth_ids::{ClusterId, Name, NameError, NodeId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most numbers tried behind a taken host name.
pub const MAX_NAME_TRIES: u32 = 10_000;
/// The most indexes looked at beyond what the view knows: joins that are on their way.
pub const MAX_INDEX_TRIES: u32 = 32;
/// The zone of a node that names none.
const DEFAULT_ZONE: &str = "default";
/// The longest base of a candidate, so that a number fits behind it.
const MAX_BASE_CHARS: usize = 56;

/// A server asks to be a node.
pub(crate) struct JoinRequest<'a> {
    pub(crate) node_id: NodeId,
    pub(crate) cluster_id: ClusterId,
    pub(crate) name: Option<&'a Name>,
    pub(crate) zone: Option<&'a str>,
    pub(crate) address: &'a str,
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) resources: &'a BTreeMap<String, u64>,
    pub(crate) facts: &'a NodeFacts,
}

/// What a join comes to: the node, its name and its index in one append.
///
/// Two joins at once cannot get the same index or name: each is a stream claimed at the version that this
/// decision saw, and the loser decides again.
pub(crate) fn join(
    request: &JoinRequest<'_>,
    context: Context<'_>,
    streams: &Streams,
) -> Result<Decision, Undecided> {
    let node = load_node(request.node_id, context, streams)?;
    if has_joined(&node.state) {
        return Ok(already(request, &node.state)?);
    }
    let cluster = load_cluster(request.cluster_id, context, streams)?;
    active(&cluster.state)?;
    let zone = zone(request.zone, &cluster.state.zones)?;
    let (name, name_stream, owner) = free_name(request, context.view, streams)?;
    let (index, index_stream) = free_index(request.cluster_id, context.view, streams)?;
    let joined = NodeJoined {
        node_id: request.node_id,
        cluster_id: request.cluster_id,
        name: name.clone(),
        index,
        zone,
        address: request.address.to_owned(),
        labels: request.labels.clone(),
        resources: request.resources.clone(),
        facts: request.facts.clone(),
    };
    let events = NodeAggregate::decide(&node.state, &NodeAction::Join(joined))?;
    Ok(Decision::nothing()
        .with(node.stream, node.version, events)
        .with(name_stream, owner.version, [claimed(request.node_id)])
        .with(index_stream, 0, [claimed(request.node_id)])
        .guarded(cluster.stream, cluster.version)
        .answering(answer(request.node_id, request.cluster_id, &name, index)))
}

/// The same node asks again: the same answer; another cluster or a removed node is refused.
fn already(request: &JoinRequest<'_>, node: &Node) -> Result<Decision, Rejection> {
    check_rejoin(node, request.cluster_id)?;
    Ok(Decision::nothing().answering(json!({
        "node_id": request.node_id,
        "cluster_id": request.cluster_id,
        "name": node.name,
        "index": node.index,
    })))
}

fn answer(node: NodeId, cluster: ClusterId, name: &Name, index: u32) -> Value {
    json!({ "node_id": node, "cluster_id": cluster, "name": name, "index": index })
}

fn zone(asked: Option<&str>, zones: &BTreeSet<String>) -> Result<String, Rejection> {
    let only = (zones.len() == 1).then(|| zones.first()).flatten();
    let zone = asked.or(only.map(String::as_str)).unwrap_or(DEFAULT_ZONE);
    check_place("zone", zone)?;
    if zones.is_empty() || zones.contains(zone) {
        return Ok(zone.to_owned());
    }
    let known: Vec<&str> = zones.iter().map(String::as_str).collect();
    Err(invalid(
        "node.zone_unknown",
        format!("the cluster has no zone `{zone}`"),
        &format!("name one of: {}", known.join(", ")),
    ))
}

fn free_name(
    request: &JoinRequest<'_>,
    view: &ClusterView,
    streams: &Streams,
) -> Result<(Name, StreamName, NameOwner), Undecided> {
    if let Some(name) = request.name {
        let stream = node_name(request.cluster_id, name);
        let owner = look_up(streams, &stream)?;
        if owner.owner.is_some() {
            return Err(name_taken(name).into());
        }
        return Ok((name.clone(), stream, owner));
    }
    let taken = view.node_names(request.cluster_id);
    for number in 1..=MAX_NAME_TRIES {
        let name = host_name_candidate(&request.facts.hostname, number).map_err(no_name)?;
        if taken.contains(&name.as_str().to_lowercase()) {
            continue;
        }
        let stream = node_name(request.cluster_id, &name);
        let owner = look_up(streams, &stream)?;
        if owner.owner.is_none() {
            return Ok((name, stream, owner));
        }
    }
    Err(conflict(
        "node.name_taken",
        format!(
            "`{}` is taken with every number up to {MAX_NAME_TRIES}",
            request.facts.hostname
        ),
        "give the node a name",
    )
    .into())
}

fn free_index(
    cluster: ClusterId,
    view: &ClusterView,
    streams: &Streams,
) -> Result<(u32, StreamName), Undecided> {
    let first = view.next_index(cluster);
    for index in first..first.saturating_add(MAX_INDEX_TRIES) {
        let stream = index_claim(cluster, index);
        if streams.get(&stream)?.version == 0 {
            return Ok((index, stream));
        }
    }
    Err(conflict(
        "node.too_many_joins",
        format!("{MAX_INDEX_TRIES} nodes are joining the cluster at this moment"),
        "try again in a second",
    )
    .into())
}

/// A name made from a host name: what no name may have becomes `-`; from the second on with a number.
///
/// # Errors
/// [`NameError`] if even that is no name, which a test holds to be impossible.
pub fn host_name_candidate(hostname: &str, number: u32) -> Result<Name, NameError> {
    let base: String = hostname
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .skip_while(|c| !c.is_alphanumeric())
        .take(MAX_BASE_CHARS)
        .collect();
    let base = if base.is_empty() { "node" } else { base.as_str() };
    match number {
        0 | 1 => Name::parse(base),
        number => Name::parse(&format!("{base}-{number}")),
    }
}

fn no_name(error: NameError) -> Rejection {
    invalid("node.name_invalid", error.to_string(), "give the node a name")
}

fn name_taken(name: &Name) -> Rejection {
    conflict(
        "node.name_taken",
        format!("a node named `{name}` is in the cluster already"),
        "choose another name, or none: then the host name with a number is used",
    )
}
