//! Events of the making of images; written by scheduler-svc.

use crate::{Category, StreamName, macros::events};
use berth_ids::{BuildId, ClusterId, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

events! {
    /// What happened to the making of an image.
    BuildEvent in crate::Category::Build;
    Requested(BuildRequested) = "build.requested", v 1;
    Succeeded(BuildSucceeded) = "build.succeeded", v 1;
    Failed(BuildFailed) = "build.failed", v 1;
}

/// A node is to make an image and to push it. Files and arguments of the making go to the node only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildRequested {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The node.
    pub node_id: NodeId,
    /// Name under which the image is pushed.
    pub image: String,
    /// Further names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Registries whose logins the node may use for it.
    pub registries: BTreeSet<String>,
    /// Name of the application that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The service that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// The image is in its registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildSucceeded {
    /// Its digest there.
    pub digest: String,
    /// Its id on the node.
    pub image_id: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// There is no image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildFailed {
    /// Why, with the builder's last words; values of arguments are left out.
    pub message: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// How the making of an image ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BuildResult {
    /// The image is in its registry.
    Succeeded {
        /// Its digest there.
        digest: String,
        /// Its id on the node.
        image_id: String,
    },
    /// There is none.
    Failed {
        /// Why, with the builder's last words; values of arguments are left out.
        message: String,
    },
}

/// The longest time that the making of an image may take, push included.
pub const MAX_BUILD_MS: u64 = 60 * 60 * 1_000;

/// The stream of the making of an image.
pub fn build_stream(id: BuildId) -> StreamName {
    StreamName::new(Category::Build, id)
}
