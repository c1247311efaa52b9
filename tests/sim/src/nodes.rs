//! What may befall servers: they join, go dark, lose their link, lose their agent.

use crate::{
    agent::Agent,
    sim::{CLUSTER, Happening, Sim, name},
};
use berth_events::{ClusterCommand, CommandOutcome, NodeFacts};
use berth_ids::NodeId;
use std::collections::BTreeMap;

impl Sim {
    /// A server joins.
    pub(crate) fn join(
        &mut self,
        node: &str,
        zone: &str,
        labels: BTreeMap<String, String>,
        facts: NodeFacts,
    ) -> CommandOutcome {
        let node_id = NodeId::from_u128(self.services.id());
        let outcome = self.cluster(ClusterCommand::JoinNode {
            node_id,
            cluster_id: CLUSTER,
            name: Some(name(node)),
            zone: Some(zone.to_owned()),
            address: "10.0.0.1".to_owned(),
            labels,
            resources: BTreeMap::new(),
            facts,
        });
        if matches!(outcome, CommandOutcome::Accepted { .. }) {
            let journal = self.rng.next();
            let agent = Agent::new(node_id, CLUSTER, self.now, journal);
            self.agents.insert(node_id, agent);
            self.after(1, Happening::Beat(node_id));
            self.wake(node_id);
        }
        outcome
    }

    pub(crate) fn node_named(&self, name: &str) -> Option<NodeId> {
        self.services
            .scheduler
            .nodes_of(CLUSTER)
            .find(|node| node.name.as_str() == name)
            .map(|node| node.node_id)
    }

    /// The power of a node goes off or on.
    pub(crate) fn power(&mut self, node: NodeId, on: bool) {
        let journal = self.rng.next();
        let Some(agent) = self.agents.get_mut(&node) else {
            return;
        };
        if on {
            agent.start(self.now, journal);
            self.wake(node);
        } else {
            agent.cut(self.now);
        }
    }

    /// Only the agent dies and starts again.
    pub(crate) fn restart_agent(&mut self, node: NodeId) {
        let journal = self.rng.next();
        if let Some(agent) = self.agents.get_mut(&node).filter(|agent| agent.is_up()) {
            agent.halt();
            agent.start(self.now, journal);
            self.wake(node);
        }
    }

    pub(crate) fn link(&mut self, node: NodeId, linked: bool) {
        if let Some(agent) = self.agents.get_mut(&node) {
            agent.linked = linked;
        }
    }

    /// A second scheduler plans from today's view, but later.
    pub(crate) fn rival(&mut self, delay_ms: u64) {
        let view = self.services.scheduler.clone();
        self.after(delay_ms, Happening::Rival(Box::new(view)));
    }
}
