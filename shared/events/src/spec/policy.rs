//! Where containers run, and what happens when one ends or its node is lost.

use super::is_default;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where containers may and should run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlacementSpec {
    /// Hard rules on labels of nodes; all must hold. Soft ones only add to the score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// Rules about other containers, images or labels already on the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affinities: Vec<Affinity>,
    /// Node labels over whose values containers are spread, most important first (`zone` when empty).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<String>,
    /// Most containers of the service on one node; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_replicas_per_node: u32,
    /// Spread (default) or binpack; absent: the cluster's strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Zones over which the service must or should be spread; absent: no promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones: Option<ZoneSpread>,
    /// The same for values of other node labels, such as racks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainSpread>,
}

impl PlacementSpec {
    /// Over which labels the containers must or should be spread, zones first.
    pub fn promises(&self) -> Vec<DomainSpread> {
        let zones = self.zones.map(|zones| DomainSpread {
            label: ZONE_LABEL.to_owned(),
            domains: zones.zones,
            soft: zones.soft,
        });
        zones.into_iter().chain(self.domains.iter().cloned()).collect()
    }
}

/// The key of a node's zone.
pub const ZONE_LABEL: &str = "zone";

/// `availability:LABEL==N`: the containers of a service run on nodes with at least this many values of a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainSpread {
    /// The label, as a constraint names it: `rack`, `node.labels.rack`.
    pub label: String,
    /// How many values, from 1.
    pub domains: u32,
    /// As many as there are (`==~`), instead of a refusal.
    #[serde(default, skip_serializing_if = "is_default")]
    pub soft: bool,
}

/// `availability:az==N`: the containers of a service run in at least this many zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ZoneSpread {
    /// How many zones, from 1.
    pub zones: u32,
    /// As many as there are (`==~`), instead of a refusal.
    #[serde(default, skip_serializing_if = "is_default")]
    pub soft: bool,
}

/// How nodes are preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The emptiest node first.
    #[default]
    Spread,
    /// The fullest node that still has room first.
    Binpack,
}

/// `KEY OP PATTERN` on a node: `node.id`, `node.hostname`, `node.labels.X`, `node.platform.os`,
/// `node.platform.arch`, `engine.labels.X`, `zone`, or a bare label key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Constraint {
    /// What is looked at.
    pub key: String,
    /// Equal or not.
    pub operator: Operator,
    /// Text, glob with `*`, or `/regular expression/`.
    pub pattern: String,
    /// Preferred, not required (`==~`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub soft: bool,
}

/// Near to or away from what runs on a node already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Affinity {
    /// `service`, `container`, `image`, or a container label key.
    pub subject: String,
    /// Equal (near) or not (away).
    pub operator: Operator,
    /// Text, glob with `*`, or `/regular expression/`.
    pub pattern: String,
    /// Preferred, not required (`==~`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub soft: bool,
}

/// Equal or not equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// What to do when a container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestartPolicy {
    /// After which endings.
    pub condition: RestartCondition,
    /// Restarts before the slot is given up; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_attempts: u32,
    /// First wait before a restart; doubled each time up to a limit. 0: Berth's default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay_ms: u64,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            condition: RestartCondition::Any,
            max_attempts: 0,
            delay_ms: 0,
        }
    }
}

/// After which endings a container is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartCondition {
    /// Never (Compose `"no"`).
    Never,
    /// Only after an exit code other than 0.
    OnFailure,
    /// Always (Compose `always`, `unless-stopped`, `any`).
    Any,
}

/// What happens to the containers of a lost node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReschedulePolicy {
    /// Replaced elsewhere unless a local volume holds them.
    #[default]
    Default,
    /// Replaced elsewhere even if a local volume is left behind (`reschedule:on-node-failure`).
    OnNodeFailure,
    /// Kept until the node is back (`reschedule:off`).
    Off,
}

/// How running containers are replaced by those of a new release (Compose `deploy.update_config`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdatePolicy {
    /// Containers replaced at the same time; 0: all.
    pub parallelism: u32,
    /// The old one first, or the new one first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub order: UpdateOrder,
    /// Pause after a container is ready, before the next is replaced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay_ms: u64,
    /// For how long a new container is watched before it counts as good.
    #[serde(default, skip_serializing_if = "is_default")]
    pub monitor_ms: u64,
    /// Thousandths of the service's containers that may fail before the release has failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_failure_permille: u32,
    /// What happens when it has failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failure_action: FailureAction,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self {
            parallelism: 1,
            order: UpdateOrder::default(),
            delay_ms: 0,
            monitor_ms: 0,
            max_failure_permille: 0,
            failure_action: FailureAction::default(),
        }
    }
}

/// Which of the two containers of a slot is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOrder {
    /// The old one ends, then the new one starts.
    #[default]
    StopFirst,
    /// The new one is ready before the old one ends.
    StartFirst,
}

/// What happens when too many new containers fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureAction {
    /// Nothing more is replaced until somebody decides.
    #[default]
    Pause,
    /// It goes on.
    Continue,
    /// The last release that ran is brought back.
    Rollback,
}

/// What must have happened to a service before one that depends on it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// Its containers run.
    #[default]
    ServiceStarted,
    /// Its containers are healthy.
    ServiceHealthy,
    /// Its containers have ended with code 0.
    ServiceCompletedSuccessfully,
}
