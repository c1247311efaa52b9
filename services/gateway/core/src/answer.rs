//! Answers about clusters, nodes and tokens.

use crate::{ApiView, ClusterRow, DrainRow, NodeRow, TokenRow, countable::counted, service::reserved};
use berth_api::{
    Cluster, ClusterState, ContainerCounts, Drain, DrainState, Node, NodeCounts, NodeStatus, Token,
    TokenKind, TokenState,
};
use berth_events::TokenGrant;
use berth_ids::Timestamp;
use std::collections::BTreeSet;

impl ApiView {
    /// The answer about a cluster.
    pub fn cluster(&self, row: &ClusterRow) -> Cluster {
        let nodes: Vec<&NodeRow> = self.nodes_in(row).collect();
        let mut answer = Cluster {
            id: row.id,
            name: row.name.to_string(),
            tenant: row.tenant.clone(),
            region: row.region.clone(),
            zones: row.zones.clone(),
            policy: row.policy,
            strategy: row.strategy,
            quotas: row.quotas,
            state: cluster_state(row, &nodes),
            nodes: NodeCounts::default(),
            applications: u32::try_from(self.applications_of.count(&row.id)).unwrap_or(u32::MAX),
            containers: ContainerCounts::default(),
            cpu_millis: 0,
            memory_bytes: 0,
            cpu_reserved_millis: 0,
            memory_reserved_bytes: 0,
            waits_for: self.remains_of_cluster(row),
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        };
        for node in nodes {
            answer.nodes.total += 1;
            match node.status() {
                NodeStatus::Ready => answer.nodes.ready += 1,
                NodeStatus::Cordoned => answer.nodes.cordoned += 1,
                NodeStatus::Draining | NodeStatus::Drained => answer.nodes.draining += 1,
                NodeStatus::Lost => answer.nodes.lost += 1,
            }
            answer.cpu_millis = answer.cpu_millis.saturating_add(node.facts.cpu_millis);
            answer.memory_bytes = answer.memory_bytes.saturating_add(node.facts.memory_bytes);
            let here = self.counts(self.live_on(node.id));
            answer.containers.total += here.total;
            answer.containers.running += here.running;
            answer.containers.healthy += here.healthy;
            let (cpu, memory) = reserved(self.live_on(node.id));
            answer.cpu_reserved_millis = answer.cpu_reserved_millis.saturating_add(cpu);
            answer.memory_reserved_bytes = answer.memory_reserved_bytes.saturating_add(memory);
        }
        answer
    }

    fn nodes_in(&self, cluster: &ClusterRow) -> impl Iterator<Item = &NodeRow> {
        self.nodes_of.of(&cluster.id).filter_map(|id| self.nodes.get(id))
    }

    /// The answer about a node.
    pub fn node(&self, row: &NodeRow) -> Node {
        let containers = self.counts(self.live_on(row.id));
        let (cpu_reserved_millis, memory_reserved_bytes) = reserved(self.live_on(row.id));
        Node {
            id: row.id,
            name: row.name.to_string(),
            cluster_id: row.cluster_id,
            cluster: self.cluster_name(row.cluster_id),
            index: row.index,
            zone: row.zone.clone(),
            address: row.address.clone(),
            status: row.status(),
            status_since: row.status_since,
            cordoned: row.cordoned.is_some(),
            reason: row.cordoned.clone().filter(|reason| !reason.is_empty()),
            drain: row
                .drain
                .as_ref()
                .map(|drain| answer_drain(drain, containers.total)),
            labels: row.labels.clone(),
            facts: row.facts.clone(),
            containers,
            cpu_reserved_millis,
            memory_reserved_bytes,
            resources: counted(row, self.live_on(row.id)),
            joined_at: row.joined_at,
            version: row.version,
        }
    }
}

fn cluster_state(row: &ClusterRow, nodes: &[&NodeRow]) -> ClusterState {
    if row.deleting {
        return ClusterState::Deleting;
    }
    let heard = nodes.iter().filter(|node| !node.lost);
    let agents: BTreeSet<&str> = heard.map(|node| node.facts.agent_version.as_str()).collect();
    match (nodes.len(), agents.len()) {
        (0, _) => ClusterState::Inactive,
        (_, 0) => ClusterState::Failed,
        (_, 1) => ClusterState::Running,
        _ => ClusterState::Updating,
    }
}

fn answer_drain(drain: &DrainRow, containers: u32) -> Drain {
    let state = match drain.expired {
        _ if drain.done => DrainState::Done,
        Some(_) => DrainState::Expired,
        None => DrainState::Running,
    };
    Drain {
        deadline_at: drain.deadline_at,
        force: drain.force,
        state,
        remaining: containers,
    }
}

impl TokenRow {
    /// The answer about a token, as of a moment.
    pub fn answer(&self, now: Timestamp) -> Token {
        let mut answer = Token {
            id: self.id,
            kind: TokenKind::Join,
            state: self.state(now),
            label: self.label.clone(),
            cluster_id: None,
            max_uses: None,
            uses: None,
            scopes: BTreeSet::new(),
            clusters: BTreeSet::new(),
            expires_at: self.expires_at,
            created_at: self.created_at,
            created_by: self.created_by.clone(),
        };
        match &self.grant {
            TokenGrant::Join { cluster_id, max_uses } => {
                answer.cluster_id = Some(*cluster_id);
                answer.max_uses = Some(*max_uses);
                answer.uses = Some(self.uses);
            }
            TokenGrant::Api { scopes, clusters } => {
                answer.kind = TokenKind::Api;
                answer.scopes.clone_from(scopes);
                answer.clusters.clone_from(clusters);
            }
        }
        answer
    }

    fn state(&self, now: Timestamp) -> TokenState {
        let used_up = match self.grant {
            TokenGrant::Join { max_uses, .. } => max_uses > 0 && self.uses >= max_uses,
            TokenGrant::Api { .. } => false,
        };
        if self.revoked {
            TokenState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            TokenState::Expired
        } else if used_up {
            TokenState::UsedUp
        } else {
            TokenState::Active
        }
    }
}
