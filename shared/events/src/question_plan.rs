//! `q.scheduler.plan.<cluster>`: what a change would do, before anybody asks for it.

use crate::{
    BlockReport, PlacementReason, SchedulerCommand, StopReason,
    spec::{SecretRef, UpdateOrder},
};
use berth_ids::{ApplicationId, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be planned: commands as they would be sent, one after the other. Nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanQuestion {
    /// Tenant of the commands.
    pub tenant: String,
    /// The commands, at least one.
    pub commands: Vec<SchedulerCommand>,
    /// Values of the vault that are the same as before although they would be in another version.
    #[serde(default)]
    pub same_values: BTreeSet<SecretRef>,
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ChangePlan {
    /// Position of the log that it rests on.
    pub position: u64,
    /// The application; one that does not exist yet has no id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<ApplicationId>,
    /// Number of the release that would go live; absent: none would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u32>,
    /// Something would be recorded.
    pub changed: bool,
    /// How the application's file would differ.
    pub model: ModelChange,
    /// What would become of each service, by name.
    pub services: BTreeMap<String, ServicePlan>,
    /// What would become of each container of the application, at most 2,000 of them.
    pub containers: Vec<PlannedContainer>,
    /// How many of each, all of them.
    pub counts: PlanCounts,
    /// Containers of other applications that would be placed, moved or stopped on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<PlannedContainer>,
    /// Images that nodes do not have yet, as far as is known, with the nodes that would pull them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pulls: BTreeMap<String, BTreeSet<Name>>,
    /// In how many steps, each waiting for the containers of the one before.
    pub steps: u32,
    /// All steps were looked at; `false`: there are more than could be.
    pub complete: bool,
}

/// How the file of an application would differ from the one that is live.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ModelChange {
    /// Services that would be new.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub added: BTreeSet<String>,
    /// Services that would go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<String>,
    /// Keys that would differ, in the order of their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyChange>,
}

/// One key that would differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyChange {
    /// Where, such as `services.web.image`.
    pub path: String,
    /// Its value before, in one line; absent: it was not there. Values of the vault are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its value after; absent: it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What would become of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServicePlan {
    /// Containers that are wanted then.
    pub wanted: u32,
    /// Containers that are ready now.
    pub ready: u32,
    /// The fewest that would be ready on the way, if every new container comes up.
    pub least_ready: u32,
    /// Which of the two containers of a slot is first, where one is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<UpdateOrder>,
    /// At some moment none would be ready, although some are now and some are wanted then.
    pub interrupted: bool,
    /// Slots that would have no container.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pending: BTreeSet<u32>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<BlockReport>,
}

/// How many containers of the application would be what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlanCounts {
    /// New ones in slots that had none.
    pub create: u32,
    /// Old ones that give way to new ones.
    pub replace: u32,
    /// Those that stay as they are.
    pub keep: u32,
    /// Those that go.
    pub remove: u32,
    /// Slots that would stay without one.
    pub pending: u32,
}

/// What would become of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedContainer {
    /// Name of the application.
    pub application: Name,
    /// The service.
    pub service: String,
    /// Number of the replica.
    pub slot: u32,
    /// What.
    pub action: PlanAction,
    /// The node that has its container now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Name>,
    /// The node that would have it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Name>,
    /// In which step its new container would be placed. What is in step 1 would be recorded exactly so and at
    /// once; the rest follows when the containers before it are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_in: Option<u32>,
    /// In which step its old container would be told to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_in: Option<u32>,
    /// Why the old container would stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopReason>,
    /// Why that node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<PlacementReason>,
}

/// What would become of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanAction {
    /// It gets its first container.
    Create,
    /// Its container gives way to a new one.
    Replace,
    /// Its container stays.
    Keep,
    /// Its container goes.
    Remove,
    /// It would have none, for want of a place.
    Pending,
}
