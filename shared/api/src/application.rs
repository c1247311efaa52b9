//! Applications and their services.

use crate::{ContainerCounts, Diagnostic, Release, TemplateSource};
use berth_events::{
    BlockReport, DeployMethod, StoredWarning,
    spec::{ApplicationSpec, ServiceMode},
};
use berth_ids::{ApplicationId, ClusterId, CommandId, Name, ReleaseId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Brings an application live: `POST /v1/clusters/{cluster}/applications`, `PUT /v1/applications/{app}`.
/// Exactly one of `compose`, `image` and `template` is given.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// Name of the application; absent: the file's `name:`, or the image's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// A Compose file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<ComposeSource>,
    /// One image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
    /// A stored template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateSource>,
    /// How it goes live; absent: `rolling`.
    #[serde(default)]
    pub method: DeployMethod,
}

impl std::fmt::Debug for Deploy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deploy")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A Compose file with everything that its meaning depends on.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComposeSource {
    /// Name of the file, for messages.
    pub file_name: String,
    /// Its text.
    pub text: String,
    /// Variables of the caller; they win over `dotenv`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Text of `.env`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dotenv: Option<String>,
    /// Texts of the files that it names (`env_file`, `extends`, `include`, `secrets` …), by their path below
    /// the project folder.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Files of `secrets` and `configs` that are no text, in base64, by their path below the project folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binaries: BTreeMap<String, String>,
    /// Files that are laid over this one, in this order, by their path in `files`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// Chosen profiles; empty: those of the variable `COMPOSE_PROFILES`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Digests of the images that were built from `build`, by service (`POST /v1/clusters/{cluster}/builds` makes
    /// them). An empty one means the image as its registry has it. A service with `build` that is not named here
    /// is refused by a deploy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built: BTreeMap<String, String>,
}

/// An image with what `berth run` can say about it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSource {
    /// The image, such as `nginx:1.27`.
    pub image: String,
    /// Published ports, as in a Compose file: `8080:80`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How many containers; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Name of the service; absent: from the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces the image's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
}

/// Answer to a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deployed {
    /// Position that a read must reach to show it.
    pub position: u64,
    /// The command that did it.
    pub command_id: CommandId,
    /// The application.
    pub application_id: ApplicationId,
    /// Its name.
    pub name: String,
    /// The release; absent: nothing has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_id: Option<ReleaseId>,
    /// What has no effect.
    pub warnings: Vec<Diagnostic>,
}

/// Answer to `POST /v1/applications:check`: what a deploy would read, without doing it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// The file can be deployed.
    pub valid: bool,
    /// The name that it would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Faults and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The normalised specification, if the file could be read; values that are not public are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<ApplicationSpec>,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Name of its cluster.
    pub cluster: String,
    /// What it is doing.
    pub status: ApplicationStatus,
    /// Its services, by name.
    pub services: Vec<Service>,
    /// Its containers.
    pub containers: ContainerCounts,
    /// Names of its volumes in the file.
    pub volumes: BTreeSet<String>,
    /// Names of its networks in the file.
    pub networks: BTreeSet<String>,
    /// What has no effect in the file of its last release.
    pub warnings: Vec<StoredWarning>,
    /// Its releases, newest first, at most 20.
    pub releases: Vec<Release>,
    /// Share of the traffic of a service, 0–100; not named: 100.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, u8>,
    /// What its removal waits for: containers that are left, and nodes that do not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Images of which the registry has other content than what runs; only if it was asked (`registry=true`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_news: Vec<ImageNews>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by somebody.
    pub updated_at: Timestamp,
    /// Version for `If-Match`.
    pub version: u64,
}

/// An image of which the registry has other content than what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageNews {
    /// Its name.
    pub image: String,
    /// The digest that runs.
    pub running: String,
    /// The digest in the registry.
    pub registry: String,
    /// When the registry was asked.
    pub asked_at: Timestamp,
}

impl ImageNews {
    /// In words.
    pub fn text(&self) -> String {
        let Self {
            image,
            running,
            registry,
            ..
        } = self;
        format!("registry has new content for {image}: {registry} (running {running})")
    }
}

/// What an application or a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationStatus {
    /// Every wanted container runs and no check fails, or it has ended well.
    Running,
    /// A release or a change is on its way.
    Deploying,
    /// A restart was asked for, and containers from before it are still there.
    Restarting,
    /// Fewer containers run than wanted, or a check fails.
    Degraded,
    /// Containers wait for a node; `why` says for what.
    Pending,
    /// Its release is paused: too many new containers failed, or somebody asked.
    Paused,
    /// A blue-green release runs beside the old one and waits for `confirm` or `rollback`.
    AwaitingConfirmation,
    /// Stopped by order.
    Stopped,
    /// Being removed.
    Removing,
}

/// A service of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// How many containers, or one a node.
    pub mode: ServiceMode,
    /// What it is doing.
    pub status: ApplicationStatus,
    /// Wanted containers.
    pub wanted: u32,
    /// Containers that run.
    pub running: u32,
    /// Containers that run and whose check passed.
    pub healthy: u32,
    /// Containers whose check fails.
    pub unhealthy: u32,
    /// Containers that ended with code 0 and stay so.
    pub completed: u32,
    /// It has a check.
    pub has_healthcheck: bool,
    /// Published ports as in a Compose file: `8080:80/tcp`.
    pub ports: Vec<String>,
    /// Named volumes that its containers use; each holds a slot to the node where its data is.
    #[serde(default)]
    pub volumes: BTreeSet<String>,
    /// Slots that wait for a node.
    pub pending_slots: BTreeSet<u32>,
    /// Why they wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<BlockReport>,
}

/// Changes a service's number of containers: `POST /v1/applications/{app}/scale`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The service.
    pub service: String,
    /// Wanted containers.
    pub replicas: u32,
}

/// Replaces containers: `POST /v1/applications/{app}/restart`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Which services; empty: all.
    #[serde(default)]
    pub services: BTreeSet<String>,
}

/// Lets go of local volumes that hold slots to nodes: `POST /v1/applications/{app}/abandon-volume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbandonVolume {
    /// The service.
    pub service: String,
    /// Its slots; empty: all.
    #[serde(default)]
    pub slots: BTreeSet<u32>,
}
