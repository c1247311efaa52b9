//! What is mounted into containers, and the volumes of an application.

use super::is_default;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct MountSpec {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path inside the container.
    pub target: String,
    /// The container cannot write.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Mount propagation of a bind, such as `rslave`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<String>,
    /// An empty volume is not filled with what the image has there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_copy: bool,
    /// The folder of the volume that is mounted; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum MountSource {
    /// A volume named in the file.
    Volume {
        /// Its name in the file.
        name: String,
    },
    /// A volume without a name that lives and dies with the container.
    #[default]
    Anonymous,
    /// A path of the node.
    Bind {
        /// Absolute path on the node.
        path: String,
        /// Make the directory if it is not there.
        #[serde(default)]
        create: bool,
    },
    /// Memory.
    Tmpfs {
        /// Size limit in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
        /// Permissions of the mount, as a number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
    },
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct VolumeSpec {
    /// Name on the engine; absent: `<application>_<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Exists already and is not removed with the application.
    #[serde(default, skip_serializing_if = "is_default")]
    pub external: bool,
    /// Volume driver; absent: `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels of the volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
