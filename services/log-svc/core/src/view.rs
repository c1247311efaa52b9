//! Which node has which container, folded from the log. A container is there until its engine has removed it.

use berth_events::{AllocationEvent, Event, NodeEvent, PlacementEvent, Recorded};
use berth_eventsourcing::{Index, RowError, RowKey, Rows, View};
use berth_ids::{AllocationId, ClusterId, NodeId};
use serde::{Deserialize, Serialize};

const CONTAINER: &str = "container";
const LOST: &str = "lost";

/// A container that a node was told to run and has not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRow {
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its node.
    pub node_id: NodeId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct LostRow {
    lost: bool,
}

/// All containers whose logs can be had.
#[derive(Debug, Clone, Default)]
pub struct LogView {
    containers: Rows<AllocationId, ContainerRow>,
    lost: Rows<NodeId, LostRow>,
    of_node: Index<NodeId, AllocationId>,
}

impl LogView {
    /// Where a container is.
    pub fn container(&self, id: AllocationId) -> Option<&ContainerRow> {
        self.containers.get(&id)
    }

    /// Whether a node is lost.
    pub fn is_lost(&self, node: NodeId) -> bool {
        self.lost.contains_key(&node)
    }

    fn forget(&mut self, id: AllocationId) -> Option<RowKey> {
        let row = self.containers.remove(&id)?;
        self.of_node.take(&row.node_id, &id);
        Some(RowKey::new(CONTAINER, id))
    }

    fn on_node(&mut self, recorded: &Recorded, event: &NodeEvent) -> Vec<RowKey> {
        let Ok(node) = recorded.stream.key().parse::<NodeId>() else {
            return vec![];
        };
        match event {
            NodeEvent::Lost(_) => {
                self.lost.insert(node, LostRow { lost: true });
                vec![RowKey::new(LOST, node)]
            }
            NodeEvent::Returned(_) => {
                self.lost.remove(&node);
                vec![RowKey::new(LOST, node)]
            }
            NodeEvent::Removed(_) => {
                let gone: Vec<AllocationId> = self.of_node.of(&node).copied().collect();
                self.lost.remove(&node);
                let keys = gone.into_iter().filter_map(|id| self.forget(id));
                keys.chain([RowKey::new(LOST, node)]).collect()
            }
            NodeEvent::Joined(_)
            | NodeEvent::FactsChanged(_)
            | NodeEvent::LabelsChanged(_)
            | NodeEvent::ResourcesChanged(_)
            | NodeEvent::Cordoned(_)
            | NodeEvent::Uncordoned(_)
            | NodeEvent::DrainStarted(_)
            | NodeEvent::Drained(_)
            | NodeEvent::DrainExpired(_) => vec![],
        }
    }
}

impl View for LogView {
    const NAME: &'static str = "containers";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded, event: &Event) -> Vec<RowKey> {
        match event {
            Event::Placement(PlacementEvent::Decided(decided)) => {
                let row = ContainerRow {
                    cluster_id: decided.cluster_id,
                    node_id: decided.node_id,
                };
                let mut keys = Vec::new();
                for placed in &decided.place {
                    self.containers.insert(placed.allocation_id, row);
                    self.of_node.add(row.node_id, placed.allocation_id);
                    keys.push(RowKey::new(CONTAINER, placed.allocation_id));
                }
                keys
            }
            Event::Allocation(AllocationEvent::Removed(removed)) => {
                self.forget(removed.allocation_id).into_iter().collect()
            }
            Event::Node(event) => self.on_node(recorded, event),
            _ => vec![],
        }
    }

    fn row(&self, key: &RowKey) -> Option<String> {
        match key.kind.as_str() {
            CONTAINER => self.containers.text(&key.key),
            LOST => self.lost.text(&key.key),
            _ => None,
        }
    }

    fn restore(&mut self, key: RowKey, json: &str) -> Result<(), RowError> {
        match key.kind.as_str() {
            CONTAINER => {
                let (id, row) = self.containers.restore(Self::NAME, &key, json)?;
                self.of_node.add(row.node_id, id);
            }
            LOST => {
                self.lost.restore(Self::NAME, &key, json)?;
            }
            _ => return Err(RowError::of(Self::NAME, &key, None)),
        }
        Ok(())
    }
}
