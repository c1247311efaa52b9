//! Events of applications and their releases; written by scheduler-svc.

use crate::{macros::events, spec::ApplicationSpec};
use berth_ids::{ApplicationId, ClusterId, Name, ReleaseId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

events! {
    /// What happened to an application.
    ApplicationEvent in crate::Category::Application;
    Created(ApplicationCreated) = "application.created", v 1;
    ReleaseStarted(ReleaseStarted) = "application.release_started", v 2, from { 1 => v1::ReleaseStarted };
    ReleaseSettled(ReleaseSettled) = "application.release_settled", v 1;
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
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseOutcome {
    /// Every slot runs (and is healthy, where a check exists) or has completed.
    Running,
    /// A later release took over first.
    Superseded,
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
