//! Making images on nodes.

use berth_ids::{BuildId, ClusterId, NodeId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The largest context of a build, as it is sent, in bytes.
pub const MAX_CONTEXT_BYTES: u64 = 512 * 1024 * 1024;
/// The largest `order` of a build, in bytes.
pub const MAX_BUILD_ORDER_BYTES: usize = 256 * 1024;

/// The form of `POST /v1/clusters/{cluster}/builds`: `order` first, then `context`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildForm {
    /// What is made, and how, as JSON.
    pub order: BuildRequest,
    /// A tar archive of the files, plain or by gzip, of at most 512 MiB.
    #[schemars(extend("contentMediaType" = "application/x-tar"))]
    pub context: String,
}

/// What is made, and how.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildRequest {
    /// Name under which the image is pushed, such as `registry.example.com:5000/shop/web:2`.
    pub image: String,
    /// Further names under which it is pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Registries of the images that it is built on: the node gets their stored logins besides that of `image`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub registries: BTreeSet<String>,
    /// Path of the Dockerfile in the context; absent: `Dockerfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// Build arguments. They go to the node only, and are stored nowhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Stage at which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Labels of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Use nothing of earlier builds.
    #[serde(default)]
    pub no_cache: bool,
    /// Fetch base images anew.
    #[serde(default)]
    pub pull: bool,
    /// Network of the steps: `default`, `none`, or in clusters with policy `open` another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Further host names, `name:address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// Platform of the image; it is made on a node that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Images whose layers may be used again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<String>,
    /// Size of `/dev/shm` in the steps; 0: the engine's default.
    #[serde(default)]
    pub shm_bytes: u64,
    /// Node that makes it, by name or id; absent: Berth chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Name of the application that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The service that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

impl std::fmt::Debug for BuildRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildRequest")
            .field("image", &self.image)
            .field("args", &self.args.keys())
            .finish_non_exhaustive()
    }
}

/// The making of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// Its id.
    pub id: BuildId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// The node that makes it.
    pub node_id: NodeId,
    /// Name of that node.
    pub node: String,
    /// Name of the image.
    pub image: String,
    /// Further names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Name of the application that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The service that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// How far it is.
    pub state: BuildState,
    /// The image's digest in its registry, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why it failed, with the builder's last words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Who asked.
    pub requested_by: String,
    /// How long it took, if it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// How far the making of an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// A node is at work.
    Running,
    /// The image is in its registry.
    Succeeded,
    /// There is no image.
    Failed,
    /// Its end was never told: the gateway that led it has gone.
    Abandoned,
}

/// One line of the answer to a build. The last is not `output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BuildLine {
    /// What the builder wrote.
    Output {
        /// One line.
        text: String,
    },
    /// How it ended.
    Ended {
        /// The making.
        build: Build,
    },
}
