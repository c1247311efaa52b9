//! Releases of applications.

use crate::{ContainerHealth, ContainerState};
use berth_events::{ReleaseMethod, ReleaseSource, StopReason};
use berth_ids::{AllocationId, ReleaseId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A version of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// 1, 2, 3 … within the application.
    pub number: u32,
    /// How far it is.
    pub state: ReleaseState,
    /// Where it came from.
    pub source: ReleaseSource,
    /// How it goes live.
    pub method: ReleaseMethod,
    /// Image of each service.
    pub images: BTreeMap<String, String>,
    /// Digest of each image in its registry, as soon as it is known: all containers of the release run it.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
    /// Why it has failed or is paused, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Who started it.
    pub actor: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it reached its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
}

/// How far a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// On its way.
    Deploying,
    /// It is what runs.
    Running,
    /// A later one took over.
    Superseded,
    /// It replaces nothing more until it is resumed, aborted or superseded.
    Paused,
    /// Too many of its containers failed, and the one before was brought back.
    Failed,
    /// Somebody brought an earlier one back before it had come to its end.
    Aborted,
}

/// Answer to `GET /v1/applications/{app}/releases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Releases {
    /// Releases, newest first, at most 20.
    pub items: Vec<Release>,
    /// Position of the log that the answer shows.
    pub position: u64,
}

/// Answer to `GET /v1/applications/{app}/releases/{number}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseDetail {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// The Compose file that it amounts to.
    pub template: String,
    /// What differs from the release before, as a unified diff; empty: nothing, or there is none before.
    pub difference: String,
    /// Values of its environments and files that the vault keeps: version by name, by service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, BTreeMap<String, u64>>,
    /// Its containers, also those that have ended as far as they are remembered; of the newest release those of
    /// earlier ones too that it leaves alone. At most 500, the newest.
    #[serde(default)]
    pub containers: Vec<ReleaseContainer>,
    /// Share of the traffic of each of its services, 0–100: now, or when the next release took over.
    #[serde(default)]
    pub weights: BTreeMap<String, u8>,
    /// What happened to it and to its containers, oldest first; at most 500, the newest.
    pub timeline: Vec<ReleaseStep>,
}

/// A container of a release: where it was placed, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseContainer {
    /// Its id.
    pub id: AllocationId,
    /// Its service.
    pub service: String,
    /// Number of the replica.
    pub slot: u32,
    /// Name of its node.
    pub node: String,
    /// An earlier release placed it, and this one leaves it alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// What it is doing.
    pub state: ContainerState,
    /// What its check says.
    pub health: ContainerHealth,
    /// Starts after the first.
    pub restarts: u32,
    /// Digest of its image in the registry, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// What made its placement necessary: `new`, `changed`, `crashed`, `node_lost` …
    pub cause: String,
    /// When its place was decided.
    pub placed_at: Timestamp,
    /// When its check first passed, or, if it has none, when it first ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// It is to be stopped, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// What the engine said of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Something that happened to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseStep {
    /// When.
    pub at: Timestamp,
    /// Who did it, or the node that saw it.
    pub actor: String,
    /// What.
    pub what: String,
}

/// Brings an earlier release back: `POST /v1/applications/{app}/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Its number; absent: the last one before that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

/// Lets the old services of a blue-green release go: `POST /v1/applications/{app}/confirm-release`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRelease {
    /// Also if new containers are not ready.
    #[serde(default)]
    pub force: bool,
}

/// Shares traffic between services: `POST /v1/applications/{app}/weights`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Weight of a service, 0–100.
    pub weights: BTreeMap<String, u8>,
}
