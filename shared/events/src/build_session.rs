//! What the gateway has nodes do with images: the way of a build's files to a node and of the builder's words back,
//! and what registries have. Nothing of it is stored.

use crate::BuildResult;
use berth_ids::{AllocationId, BuildId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of the context in one message.
pub const CONTEXT_CHUNK_BYTES: usize = 64 * 1_024;

/// `ctl.<node>.build`: make an image; its context comes on `term.<node>.<session>.in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBuild {
    /// The making.
    pub build_id: BuildId,
    /// Names the subjects.
    pub session: String,
    /// What is made, and how.
    pub order: BuildOrder,
}

/// What a builder is told. Arguments may hold secrets: this is never stored.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuildOrder {
    /// Name under which the image is pushed.
    pub image: String,
    /// Further names under which it is pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Registries whose logins may be used.
    pub registries: BTreeSet<String>,
    /// Path of the Dockerfile in the context.
    pub dockerfile: String,
    /// Build arguments.
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
    /// Network of the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Further host names, `name:address`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// Platform of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Images whose layers may be used again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<String>,
    /// Size of `/dev/shm` in the steps; 0: the engine's default.
    #[serde(default)]
    pub shm_bytes: u64,
}

impl std::fmt::Debug for BuildOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildOrder")
            .field("image", &self.image)
            .field("args", &self.args.keys())
            .finish_non_exhaustive()
    }
}

/// From the gateway to the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BuildInput {
    /// Bytes of the context: a tar archive, plain or by gzip.
    Context {
        /// From 1, without holes; a hole ends the session.
        number: u64,
        /// Base64, at most [`CONTEXT_CHUNK_BYTES`] decoded.
        bytes: String,
    },
    /// The context is complete.
    End {
        /// Number after that of the last bytes.
        number: u64,
    },
    /// The gateway is there.
    Alive,
    /// Nobody wants the image any more.
    Cancel,
}

/// From the node to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildFrame {
    /// From 1, without holes; a hole ends the session.
    pub number: u64,
    /// What it says.
    pub body: BuildSaid,
}

/// What a node says of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BuildSaid {
    /// Bytes of the context up to this number may be sent.
    Credit {
        /// Number of a [`BuildInput::Context`].
        up_to: u64,
    },
    /// What the builder wrote.
    Output {
        /// Lines.
        text: String,
    },
    /// The builder is at work.
    Alive,
    /// The end.
    Done {
        /// How it ended.
        result: BuildResult,
    },
}

/// Images that one [`LookAtRegistry`] may name.
pub const MAX_LOOKED_IMAGES: usize = 50;

/// `ctl.<node>.registry`: what registries have now; the answer is one [`RegistryLook`] on
/// `term.<node>.<session>.out`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAtRegistry {
    /// Names the subject.
    pub session: String,
    /// Which images.
    pub images: Vec<LookedImage>,
}

/// An image that is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedImage {
    /// Its name.
    pub image: String,
    /// An allocation of the node that runs it, whose login is used.
    pub allocation_id: AllocationId,
}

/// Digests that registries have under names of images; those that were not to be learnt are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryLook {
    /// By image.
    pub digests: BTreeMap<String, String>,
}
