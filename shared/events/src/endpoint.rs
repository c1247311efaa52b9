//! Documents and answers about endpoints and log sessions: published or answered, never stored as events.

use crate::PortBinding;
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `doc.<cluster>.endpoints.<application>.<service>`: where the containers of a service are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointSet {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The application.
    pub application_id: ApplicationId,
    /// The service.
    pub service: String,
    /// Position of the last event that changed it; an older document is ignored.
    pub generation: u64,
    /// Running containers, by slot; empty: none.
    pub endpoints: Vec<Endpoint>,
}

/// Where one container is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Its allocation.
    pub allocation_id: AllocationId,
    /// Number of the replica.
    pub slot: u32,
    /// Its node.
    pub node_id: NodeId,
    /// Address of the node.
    pub node_address: String,
    /// Its own address on each network, by the network's name in the engine.
    pub addresses: BTreeMap<String, String>,
    /// Ports published on the node.
    pub ports: Vec<PortBinding>,
    /// Whether it may be sent traffic.
    pub health: EndpointHealth,
}

/// Whether a container may be sent traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointHealth {
    /// It runs and has no check.
    Unchecked,
    /// It runs; its check has not passed yet.
    Starting,
    /// Its check passes.
    Healthy,
    /// Its check fails.
    Unhealthy,
    /// Its node is lost: nobody knows.
    Unknown,
}

/// `q.log.open.<cluster>`: opens the log of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLog {
    /// The container's allocation.
    pub allocation_id: AllocationId,
    /// Session of the asker's choice, so that it can subscribe before it asks; absent: a new one.
    #[serde(default)]
    pub session: Option<String>,
    /// Go on when the end is reached.
    pub follow: bool,
    /// Lines from the end; absent: all.
    pub tail: Option<u32>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Put the engine's time before each line.
    pub timestamps: bool,
}

/// Answer: frames come on `term.<node>.<session>.out`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOpened {
    /// The session.
    pub session: String,
    /// The node.
    pub node_id: NodeId,
}
