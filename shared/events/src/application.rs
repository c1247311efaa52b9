//! Events of applications and their releases; written by scheduler-svc.

use crate::{macros::events, spec::ApplicationSpec};
use berth_ids::{ApplicationId, ClusterId, Name, ReleaseId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

events! {
    /// What happened to an application.
    ApplicationEvent in crate::Category::Application;
    Created(ApplicationCreated) = "application.created", v 1;
    ReleaseStarted(ReleaseStarted) = "application.release_started", v 5, from { 1 => v1::ReleaseStarted, 2 => v2::ReleaseStarted, 3 => v3::ReleaseStarted, 4 => v4::ReleaseStarted };
    ImagesPinned(ImagesPinned) = "application.images_pinned", v 1;
    ReleaseSettled(ReleaseSettled) = "application.release_settled", v 1;
    ReleasePaused(ReleasePaused) = "application.release_paused", v 1;
    ReleaseResumed(ReleaseResumed) = "application.release_resumed", v 1;
    WeightsChanged(WeightsChanged) = "application.weights_changed", v 1;
    Scaled(ApplicationScaled) = "application.scaled", v 1;
    Stopped(ApplicationStopped) = "application.stopped", v 1;
    Started(ApplicationStarted) = "application.started", v 1;
    RestartRequested(RestartRequested) = "application.restart_requested", v 1;
    VolumeAbandoned(VolumeAbandoned) = "application.volume_abandoned", v 1;
    RemoveRequested(RemoveRequested) = "application.remove_requested", v 1;
    Removed(ApplicationRemoved) = "application.removed", v 1;
}

/// An application exists; its first release follows in the same append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationCreated {
    /// The application.
    pub application_id: ApplicationId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its name, unique in the cluster.
    pub name: Name,
}

/// A version of the application goes live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseStarted {
    /// The release.
    pub release_id: ReleaseId,
    /// 1, 2, 3 … within the application.
    pub number: u32,
    /// The whole application as it should be.
    pub spec: ApplicationSpec,
    /// Where it came from.
    pub source: ReleaseSource,
    /// Warnings that were shown at deploy.
    #[serde(default)]
    pub warnings: Vec<StoredWarning>,
    /// How it goes live.
    #[serde(default, skip_serializing_if = "ReleaseMethod::is_rolling")]
    pub method: ReleaseMethod,
}

/// How a release goes live.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ReleaseMethod {
    /// Container by container, as each service's update policy says.
    #[default]
    Rolling,
    /// Every container of a changed service at once: old ones end, new ones start.
    Standard,
    /// New services beside the old ones until somebody confirms or rolls back. The release's
    /// specification holds both.
    BlueGreen {
        /// What goes when it is confirmed.
        retires: Retired,
    },
}

impl ReleaseMethod {
    /// The usual method, left out of the event.
    pub fn is_rolling(&self) -> bool {
        *self == Self::Rolling
    }
}

/// What a blue-green release takes away when it is confirmed, by name in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Retired {
    /// Services.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<String>,
    /// Volumes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Networks.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub networks: BTreeSet<String>,
}

impl Retired {
    /// Takes it out of a specification.
    pub fn take_from(&self, spec: &mut ApplicationSpec) {
        spec.services.retain(|name, _| !self.services.contains(name));
        spec.volumes.retain(|name, _| !self.volumes.contains(name));
        spec.networks.retain(|name, _| !self.networks.contains(name));
    }
}

/// Shapes of earlier versions, kept for ever (invariant 9).
mod v1 {
    use super::*;

    /// Version 1 had fewer keys in its specification, and none with another meaning.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct ReleaseStarted(pub(super) super::ReleaseStarted);
}

impl From<v1::ReleaseStarted> for ReleaseStarted {
    fn from(old: v1::ReleaseStarted) -> Self {
        // What version 2 can say besides was then ignored with a warning: absent means the same.
        old.0
    }
}

mod v2 {
    use super::*;

    /// Version 2 knew no images that are pulled again after some time.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct ReleaseStarted(pub(super) super::ReleaseStarted);
}

impl From<v2::ReleaseStarted> for ReleaseStarted {
    fn from(old: v2::ReleaseStarted) -> Self {
        // Such a wish had no effect then: the image was pulled if it was missing.
        old.0
    }
}

mod v3 {
    use super::*;

    /// Version 3 knew no priority.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct ReleaseStarted(pub(super) super::ReleaseStarted);
}

impl From<v3::ReleaseStarted> for ReleaseStarted {
    fn from(old: v3::ReleaseStarted) -> Self {
        // Every service was as important as every other: 0.
        old.0
    }
}

mod v4 {
    use super::*;

    /// Version 4 promised no domains but zones, and counted no resources but processor time and memory.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(transparent)]
    pub struct ReleaseStarted(pub(super) super::ReleaseStarted);
}

impl From<v4::ReleaseStarted> for ReleaseStarted {
    fn from(old: v4::ReleaseStarted) -> Self {
        // What is absent was neither promised nor reserved.
        old.0
    }
}

/// It is known which bytes a release runs: every container of it from now on has these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImagesPinned {
    /// The release.
    pub release_id: ReleaseId,
    /// Digest in its registry (`sha256:…`) by image as the file names it. Adds to what was pinned before.
    pub images: BTreeMap<String, String>,
}

/// Where a release came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ReleaseSource {
    /// A Compose file.
    Compose {
        /// Its name as the client gave it.
        file_name: String,
        /// SHA-256 of its text, hexadecimal.
        sha256: String,
    },
    /// `berth run IMAGE`.
    Image {
        /// The image.
        image: String,
    },
    /// An earlier release, brought back.
    Rollback {
        /// Its number.
        to: u32,
        /// Number of the release that it takes back.
        of: u32,
        /// The release failed and its policy asked for it; otherwise somebody did.
        #[serde(default)]
        automatic: bool,
    },
}

/// A warning of a deploy, kept with the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredWarning {
    /// Stable code, such as `compose.unsupported_key`.
    pub code: String,
    /// Path in the file, such as `services.web.build`.
    pub path: String,
    /// What is the matter and what to do instead.
    pub message: String,
    /// Line in the file, from 1; 0: none.
    pub line: u32,
}

/// A release reached its end, for good or ill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseSettled {
    /// The release.
    pub release_id: ReleaseId,
    /// How it ended.
    pub outcome: ReleaseOutcome,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ReleaseFailure>,
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseOutcome {
    /// Every slot runs (and is healthy, where a check exists) or has completed.
    Running,
    /// A later release took over first.
    Superseded,
    /// Too many of its containers failed, and its policy brought the one before back.
    Failed,
    /// Somebody brought an earlier one back before it had come to its end.
    Aborted,
}

/// A release replaces nothing more until it is resumed, aborted or superseded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleasePaused {
    /// The release.
    pub release_id: ReleaseId,
    /// Too many containers failed; absent: somebody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ReleaseFailure>,
}

/// Why a release has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseFailure {
    /// The service whose new containers failed.
    pub service: String,
    /// How many of its slots have failed.
    pub failed: u32,
    /// How many slots it has.
    pub of: u32,
    /// How the last of them failed, in words.
    pub last: String,
}

/// A paused release goes on; failures before do not count any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseResumed {
    /// The release.
    pub release_id: ReleaseId,
}

/// How traffic is shared between services that answer to the same route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeightsChanged {
    /// Weight of a service, 0–100; those not named keep theirs (100 if nobody said).
    pub weights: BTreeMap<String, u8>,
}

/// The wanted number of containers of a service changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationScaled {
    /// The service.
    pub service: String,
    /// Wanted now.
    pub replicas: u32,
    /// Wanted before.
    pub previous: u32,
}

/// All containers are to be stopped; the application stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationStopped {}

/// The containers are to run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationStarted {}

/// Running containers are to be replaced by new ones of the same specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestartRequested {
    /// Which services; empty: all.
    #[serde(default)]
    pub services: BTreeSet<String>,
}

/// An operator lets go of the local volume that holds a slot to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeAbandoned {
    /// The service.
    pub service: String,
    /// Its slots; empty: all of the service.
    #[serde(default)]
    pub slots: BTreeSet<u32>,
}

/// The application is being removed: its containers go first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemoveRequested {
    /// Its named volumes go too.
    pub volumes: bool,
}

/// The application is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationRemoved {}
