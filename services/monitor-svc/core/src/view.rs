//! The nodes that are watched, folded from the log.

use berth_events::{Event, NodeEvent, Recorded};
use berth_eventsourcing::{RowError, RowKey, Rows, View};
use berth_ids::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};

use crate::Known;

const NODE: &str = "node";

/// A node that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedNode {
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Account that owns the cluster.
    pub tenant: String,
    /// It is recorded as lost.
    pub lost: bool,
    /// Version of its stream.
    pub version: u64,
}

/// All nodes that are in a cluster.
#[derive(Debug, Clone, Default)]
pub struct MonitorView {
    nodes: Rows<NodeId, WatchedNode>,
}

impl MonitorView {
    /// A node, if it is in a cluster.
    pub fn node(&self, id: NodeId) -> Option<&WatchedNode> {
        self.nodes.get(&id)
    }

    /// What the watch needs to know.
    pub fn known(&self) -> Vec<(NodeId, Known)> {
        self.nodes
            .iter()
            .map(|(id, node)| {
                let known = Known {
                    cluster_id: node.cluster_id,
                    lost: node.lost,
                    version: node.version,
                };
                (*id, known)
            })
            .collect()
    }
}

impl View for MonitorView {
    const NAME: &'static str = "watched";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<RowKey> {
        let Event::Node(event) = event else {
            return vec![];
        };
        let Ok(id) = recorded.stream.key().parse::<NodeId>() else {
            return vec![];
        };
        if let NodeEvent::Joined(joined) = event {
            let node = WatchedNode {
                cluster_id: joined.cluster_id,
                tenant: recorded.tenant.to_string(),
                lost: false,
                version: recorded.version,
            };
            self.nodes.insert(id, node);
        }
        if let NodeEvent::Removed(_) = event {
            self.nodes.remove(&id);
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.version = recorded.version;
            match event {
                NodeEvent::Lost(_) => node.lost = true,
                NodeEvent::Returned(_) => node.lost = false,
                NodeEvent::Joined(_)
                | NodeEvent::FactsChanged(_)
                | NodeEvent::LabelsChanged(_)
                | NodeEvent::ResourcesChanged(_)
                | NodeEvent::Cordoned(_)
                | NodeEvent::Uncordoned(_)
                | NodeEvent::DrainStarted(_)
                | NodeEvent::Drained(_)
                | NodeEvent::DrainExpired(_)
                | NodeEvent::Removed(_) => {}
            }
        }
        vec![RowKey::new(NODE, id)]
    }

    fn row(&self, key: &RowKey) -> Option<String> {
        self.nodes.text(&key.key)
    }

    fn restore(&mut self, key: RowKey, json: &str) -> Result<(), RowError> {
        self.nodes.restore(Self::NAME, &key, json).map(|_| ())
    }
}
