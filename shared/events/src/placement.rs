//! Events of the planner: which containers run where and why; written by scheduler-svc.

use crate::{
    macros::events,
    spec::{ContainerSpec, NetworkSpec, RestartPolicy, VolumeSpec},
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, ReleaseId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

events! {
    /// What the planner decided.
    PlacementEvent in crate::Category::Placement;
    Decided(PlacementDecided) = "placement.decided", v 5, from { 1 => v1::PlacementDecided, 2 => v2::PlacementDecided, 3 => v3::PlacementDecided, 4 => v4::PlacementDecided };
    Blocked(PlacementBlocked) = "placement.blocked", v 1;
}

/// The complete change of one node's assignment: everything in it takes effect together.
///
/// The position of this event is the node's new generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacementDecided {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The node whose assignment changes.
    pub node_id: NodeId,
    /// The node's generation before; 0: none. An agent applies the change only if it has this one.
    pub previous: u64,
    /// Containers to run.
    #[serde(default)]
    pub place: Vec<Placed>,
    /// Containers to stop and remove.
    #[serde(default)]
    pub stop: Vec<StopOrder>,
    /// Specifications by hash, each named by at least one of `place`.
    #[serde(default)]
    pub containers: BTreeMap<String, ContainerSpec>,
    /// Volumes and networks of the applications in `place`, by application.
    #[serde(default)]
    pub projects: BTreeMap<ApplicationId, ProjectSpec>,
    /// Engine volumes to be removed once no container uses them.
    #[serde(default)]
    pub drop_volumes: BTreeSet<String>,
}

/// Shapes of earlier versions, kept for ever (invariant 9).
mod v1 {
    use super::*;

    /// Version 1 had fewer keys in its specifications, and none with another meaning.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct PlacementDecided(pub(super) super::PlacementDecided);
}

impl From<v1::PlacementDecided> for PlacementDecided {
    fn from(old: v1::PlacementDecided) -> Self {
        // What version 2 can say besides was then ignored with a warning: absent means the same.
        old.0
    }
}

mod v2 {
    use super::*;

    /// Version 2 named no digests and knew no images that are pulled again after some time.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct PlacementDecided(pub(super) super::PlacementDecided);
}

impl From<v2::PlacementDecided> for PlacementDecided {
    fn from(old: v2::PlacementDecided) -> Self {
        // Without a digest the image's name decides, as it did then.
        old.0
    }
}

mod v3 {
    use super::*;

    /// Version 3 pushed nothing out.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct PlacementDecided(pub(super) super::PlacementDecided);
}

impl From<v3::PlacementDecided> for PlacementDecided {
    fn from(old: v3::PlacementDecided) -> Self {
        // No order of it was for the sake of another container.
        old.0
    }
}

mod v4 {
    use super::*;

    /// Version 4 counted no resources but processor time and memory.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct PlacementDecided(pub(super) super::PlacementDecided);
}

impl From<v4::PlacementDecided> for PlacementDecided {
    fn from(old: v4::PlacementDecided) -> Self {
        // Its containers reserved no others.
        old.0
    }
}

/// What containers of one application share on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProjectSpec {
    /// Name of the application.
    pub name: String,
    /// Its volumes, by name in the file.
    #[serde(default)]
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Its networks, by name in the file.
    #[serde(default)]
    pub networks: BTreeMap<String, NetworkSpec>,
}

/// One container to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// The allocation; also a label of the container.
    pub allocation_id: AllocationId,
    /// The application.
    pub application_id: ApplicationId,
    /// The release that asked for it.
    pub release_id: ReleaseId,
    /// The service.
    pub service: String,
    /// Number of the replica, from 1; for global services the node's index.
    pub slot: u32,
    /// Hash of the specification in `containers`.
    pub spec_hash: String,
    /// What the agent does when the container ends.
    pub restart: RestartPolicy,
    /// Why this node.
    pub why: PlacementReason,
    /// The image's digest in its registry that the release runs (`sha256:…`); absent: what the name means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}

/// Why a node was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlacementReason {
    /// What made a placement necessary: `new`, `scaled`, `changed`, `restarted`, `node_lost`, `drained`, `crashed` …
    pub cause: String,
    /// Nodes that passed every filter.
    pub candidates: u32,
    /// Nodes refused, by filter.
    #[serde(default)]
    pub refused: BTreeMap<String, u32>,
    /// Parts of the chosen node's score, by name; higher is better.
    #[serde(default)]
    pub score: BTreeMap<String, i64>,
}

/// One container to stop and remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopOrder {
    /// The allocation.
    pub allocation_id: AllocationId,
    /// Why.
    pub reason: StopReason,
    /// For whom it is pushed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<PushedOutBy>,
}

/// A more important container, for which another gives way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PushedOutBy {
    /// Its application.
    pub application_id: ApplicationId,
    /// Name of the application.
    pub application: String,
    /// Its service.
    pub service: String,
    /// Number of the replica.
    pub slot: u32,
    /// How important it is.
    pub priority: u32,
}

/// Why a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Fewer are wanted, or the service is no longer in the file.
    Surplus,
    /// The specification changed.
    Changed,
    /// Asked by `restart`.
    Restart,
    /// The application was stopped.
    ApplicationStopped,
    /// The application was removed.
    ApplicationRemoved,
    /// The node is drained.
    Drained,
    /// It failed here too often and is tried elsewhere, or it has ended and is cleaned up.
    Ended,
    /// Its slot was replaced while the node was lost.
    Replaced,
    /// A hard rule no longer holds on this node.
    Misplaced,
    /// A more important container needs its room.
    PushedOut,
}

/// Slots of a service that could not be placed, and why. Appended when the answer changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacementBlocked {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The application.
    pub application_id: ApplicationId,
    /// The service.
    pub service: String,
    /// Which slots; empty: none any more.
    pub slots: BTreeSet<u32>,
    /// Why.
    pub report: BlockReport,
}

/// Why slots could not be placed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BlockReport {
    /// One line for people: `pending: no node has 4 GiB of memory free`.
    pub summary: String,
    /// Nodes looked at.
    pub nodes: u32,
    /// Refusals by filter.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
    /// The smallest change that would help, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// One filter's refusals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Filter, such as `memory`.
    pub filter: String,
    /// How many nodes it refused.
    pub nodes: u32,
    /// Nodes by name with what each lacks; at most 20.
    #[serde(default)]
    pub examples: BTreeMap<String, String>,
}
