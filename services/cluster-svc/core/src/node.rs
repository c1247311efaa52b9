//! The rules of one node, `node/<id>`.

use crate::{
    labels::{check_count, check_labels},
    node_drain::{cordon, drain, settle, uncordon},
    node_labels::{label, set_resources},
    refusal::{conflict, invalid, not_found},
    resources::{check_kinds, check_resources},
};
use berth_events::{
    NodeEvent, NodeFacts, NodeFactsChanged, NodeJoined, NodeLost, NodeRemoved, NodeReturned, Rejection,
};
use berth_eventsourcing::Aggregate;
use berth_ids::{ClusterId, Name, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a node belongs to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// Never joined.
    #[default]
    Absent,
    /// Joined.
    Joined,
    /// Removed, for ever.
    Removed,
}

/// Whether containers may be placed on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Availability {
    /// Yes.
    #[default]
    Active,
    /// No; what runs stays.
    Cordoned,
    /// No; what runs is moved away.
    Draining {
        /// When what is left is reported.
        deadline_at: Timestamp,
        /// Then, stop what could not be moved.
        force: bool,
    },
    /// No; the deadline passed with containers left.
    DrainExpired,
    /// No; nothing is left on it.
    Drained,
}

/// What the events of a node add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Whether it belongs to a cluster.
    pub presence: Presence,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its name.
    pub name: Option<Name>,
    /// Its number in the cluster.
    pub index: u32,
    /// Whether containers may be placed on it.
    pub availability: Availability,
    /// Its heartbeat is not heard.
    pub lost: bool,
    /// Address by which other nodes reach it.
    pub address: String,
    /// Labels given by people.
    pub labels: BTreeMap<String, String>,
    /// Countable resources named by people, by kind.
    pub resources: BTreeMap<String, u64>,
    /// What the agent measured.
    pub facts: NodeFacts,
}

/// What a node can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAction {
    /// Belong to a cluster.
    Join(NodeJoined),
    /// Take what the agent measured.
    Report {
        /// Facts.
        facts: NodeFacts,
        /// Address.
        address: String,
    },
    /// Change labels.
    Label {
        /// Set or overwrite.
        set: BTreeMap<String, String>,
        /// Take away.
        remove: BTreeSet<String>,
    },
    /// Change countable resources.
    SetResources {
        /// Set or overwrite.
        set: BTreeMap<String, u64>,
        /// Take away.
        remove: BTreeSet<String>,
    },
    /// Take nothing new.
    Cordon {
        /// Why.
        reason: String,
    },
    /// Take containers again.
    Uncordon,
    /// Let containers be moved away.
    Drain {
        /// When what is left is reported.
        deadline_at: Timestamp,
        /// Then, stop what could not be moved.
        force: bool,
        /// Moment of the command.
        now: Timestamp,
    },
    /// End a drain.
    SettleDrain {
        /// Containers left.
        remaining: u32,
        /// Moment of the command.
        now: Timestamp,
    },
    /// Leave the cluster.
    Remove {
        /// Although containers are on it.
        force: bool,
        /// Containers on it.
        containers: usize,
    },
    /// Not be heard.
    MarkLost {
        /// For how long.
        silent_ms: u64,
    },
    /// Be heard again.
    MarkReturned,
}

/// The rules of one node.
#[derive(Debug)]
pub struct NodeAggregate;

impl Aggregate for NodeAggregate {
    type State = Node;
    type Command = NodeAction;
    type Event = NodeEvent;
    type Error = Rejection;

    fn decide(node: &Node, action: &NodeAction) -> Result<Vec<NodeEvent>, Rejection> {
        match action {
            NodeAction::Join(joined) => return join(node, joined),
            // Removing twice is the same as removing once.
            NodeAction::Remove { .. } if node.presence == Presence::Removed => return Ok(vec![]),
            _ => joined(node)?,
        }
        match action {
            NodeAction::Join(joined) => join(node, joined),
            NodeAction::Report { facts, address } => Ok(take_facts(node, facts, address)),
            NodeAction::Label { set, remove } => label(node, set, remove),
            NodeAction::SetResources { set, remove } => set_resources(node, set, remove),
            NodeAction::Cordon { reason } => Ok(cordon(node, reason)),
            NodeAction::Uncordon => uncordon(node),
            NodeAction::Drain {
                deadline_at,
                force,
                now,
            } => drain(node, *deadline_at, *force, *now),
            NodeAction::SettleDrain { remaining, now } => settle(node, *remaining, *now),
            NodeAction::Remove { force, containers } => remove(*force, *containers),
            NodeAction::MarkLost { silent_ms } => Ok(mark_lost(node, *silent_ms)),
            NodeAction::MarkReturned => Ok(mark_returned(node)),
        }
    }

    fn evolve(mut node: Node, event: &NodeEvent) -> Node {
        match event {
            NodeEvent::Joined(joined) => {
                node = Node {
                    presence: Presence::Joined,
                    cluster_id: joined.cluster_id,
                    name: Some(joined.name.clone()),
                    index: joined.index,
                    address: joined.address.clone(),
                    labels: joined.labels.clone(),
                    resources: joined.resources.clone(),
                    facts: joined.facts.clone(),
                    ..Node::default()
                };
            }
            NodeEvent::FactsChanged(changed) => {
                node.facts = changed.facts.clone();
                node.address = changed.address.clone();
            }
            NodeEvent::LabelsChanged(changed) => {
                node.labels.retain(|key, _| !changed.removed.contains(key));
                node.labels.extend(changed.set.clone());
            }
            NodeEvent::ResourcesChanged(changed) => {
                node.resources.retain(|kind, _| !changed.removed.contains(kind));
                node.resources.extend(changed.set.clone());
            }
            NodeEvent::Cordoned(_) => node.availability = Availability::Cordoned,
            NodeEvent::Uncordoned(_) => node.availability = Availability::Active,
            NodeEvent::DrainStarted(drain) => {
                node.availability = Availability::Draining {
                    deadline_at: drain.deadline_at,
                    force: drain.force,
                };
            }
            NodeEvent::Drained(_) => node.availability = Availability::Drained,
            NodeEvent::DrainExpired(_) => node.availability = Availability::DrainExpired,
            NodeEvent::Lost(_) => node.lost = true,
            NodeEvent::Returned(_) => node.lost = false,
            NodeEvent::Removed(_) => node.presence = Presence::Removed,
        }
        node
    }
}

fn joined(node: &Node) -> Result<(), Rejection> {
    match node.presence {
        Presence::Joined => Ok(()),
        Presence::Absent => Err(not_found("node.unknown", "there is no such node".to_owned())),
        Presence::Removed => Err(not_found(
            "node.removed",
            "the node was removed from its cluster".to_owned(),
        )),
    }
}

fn join(node: &Node, joined: &NodeJoined) -> Result<Vec<NodeEvent>, Rejection> {
    if node.presence == Presence::Absent {
        check_labels(&joined.labels)?;
        check_count(joined.labels.len())?;
        check_resources(&joined.resources)?;
        check_kinds(joined.resources.len())?;
        check_address(&joined.address)?;
        return Ok(vec![NodeEvent::Joined(joined.clone())]);
    }
    check_rejoin(node, joined.cluster_id)?;
    Ok(vec![])
}

/// A node that has joined may ask again for the same cluster, and gets the same answer.
pub(crate) fn check_rejoin(node: &Node, cluster_id: ClusterId) -> Result<(), Rejection> {
    match node.presence {
        Presence::Absent => Ok(()),
        Presence::Joined if node.cluster_id == cluster_id => Ok(()),
        Presence::Joined => Err(conflict(
            "node.other_cluster",
            format!("the node belongs to cluster {}", node.cluster_id),
            "remove it there first; then join with a new identity",
        )),
        Presence::Removed => Err(conflict(
            "node.removed",
            "this identity was removed from its cluster".to_owned(),
            "delete the agent's data folder, so that it joins as a new node",
        )),
    }
}

fn take_facts(node: &Node, facts: &NodeFacts, address: &str) -> Vec<NodeEvent> {
    if node.facts == *facts && node.address == address {
        return vec![];
    }
    vec![NodeEvent::FactsChanged(NodeFactsChanged {
        facts: facts.clone(),
        address: address.to_owned(),
    })]
}

fn remove(force: bool, containers: usize) -> Result<Vec<NodeEvent>, Rejection> {
    if containers > 0 && !force {
        return Err(conflict(
            "node.has_containers",
            format!("{containers} container(s) are on the node"),
            "drain it first, or force the removal, which leaves them to be replaced elsewhere",
        ));
    }
    Ok(vec![NodeEvent::Removed(NodeRemoved {
        forced: containers > 0,
    })])
}

fn mark_lost(node: &Node, silent_ms: u64) -> Vec<NodeEvent> {
    if node.lost {
        return vec![];
    }
    vec![NodeEvent::Lost(NodeLost { silent_ms })]
}

fn mark_returned(node: &Node) -> Vec<NodeEvent> {
    if !node.lost {
        return vec![];
    }
    vec![NodeEvent::Returned(NodeReturned {})]
}

/// The longest address, in bytes: that of a host name.
const MAX_ADDRESS_BYTES: usize = 253;

fn check_address(address: &str) -> Result<(), Rejection> {
    let fine = !address.is_empty()
        && address.len() <= MAX_ADDRESS_BYTES
        && !address.chars().any(|c| c.is_whitespace() || c.is_control());
    if fine {
        return Ok(());
    }
    Err(invalid(
        "node.address_invalid",
        format!("`{address}` is no address of a node"),
        "name the IP address or host name by which other nodes reach it",
    ))
}
