//! What crosses the border between the services' account and the account of each node.
//!
//! Every node has an account of its own. What it asks or reports is imported from the services' account as a
//! request: the server gives the services a reply subject of its own making, and what they answer comes out
//! in the node's account only, whatever subject the node has named. What it hears is imported as a broadcast.

use crate::{agent_inbox, agent_permissions};
use berth_ids::{ClusterId, NodeId};

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the node to the services, whose answers come back.
    Request,
    /// From the services to the node.
    Broadcast,
}

impl Direction {
    /// The word of NATS.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "service",
            Self::Broadcast => "stream",
        }
    }
}

/// A subject that crosses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// Which way.
    pub direction: Direction,
    /// The subject, the same on both sides.
    pub subject: String,
}

fn shares(direction: Direction, subjects: impl IntoIterator<Item = String>) -> impl Iterator<Item = Share> {
    subjects
        .into_iter()
        .map(move |subject| Share { direction, subject })
}

/// What the services' account offers: the subjects of all nodes. Disjoint, or NATS refuses them.
pub fn exports() -> Vec<Share> {
    let requests = [
        "rpt.*.*",
        "hb.*",
        "log.*.*",
        "met.*.*",
        "q.scheduler.assignment.*",
        "q.access.secret.*",
        "q.access.renew.*",
        "term.*.*.out",
        "$JS.API.DIRECT.GET.EVT.evt.*.placement.*",
        "$JS.API.DIRECT.GET.DOC.doc.>",
    ];
    let broadcasts = ["evt.*.placement.*", "ctl.*.>", "term.*.*.in", "doc.>"];
    shares(Direction::Request, requests.map(str::to_owned))
        .chain(shares(Direction::Broadcast, broadcasts.map(str::to_owned)))
        .collect()
}

/// What a node's account imports: what the node's user may say and hear, and nothing else.
pub fn imports(node: NodeId, cluster: ClusterId) -> Vec<Share> {
    let rights = agent_permissions(node, cluster);
    let inbox = agent_inbox(node);
    // Its inbox is in its own account.
    let heard = rights
        .subscribe
        .into_iter()
        .filter(|subject| !subject.starts_with(&inbox));
    shares(Direction::Request, rights.publish)
        .chain(shares(Direction::Broadcast, heard))
        .collect()
}
