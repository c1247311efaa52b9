//! Commands to scheduler-svc.

use crate::{BuildRequested, BuildResult, ReleaseSource, StoredWarning, spec::ApplicationSpec};
use berth_ids::{ApplicationId, BuildId, ClusterId, Name, ReleaseId, TemplateId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Asked of scheduler-svc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum SchedulerCommand {
    /// Bring a specification live: a new application, or a new release of the one with this name.
    Deploy {
        /// The cluster.
        cluster_id: ClusterId,
        /// Name of the application.
        name: Name,
        /// Id, if the name is new.
        application_id: ApplicationId,
        /// Id of the release.
        release_id: ReleaseId,
        /// The whole application.
        spec: Box<ApplicationSpec>,
        /// Where it came from.
        source: ReleaseSource,
        /// Warnings shown to the caller.
        warnings: Vec<StoredWarning>,
        /// How it goes live; absent: rolling.
        #[serde(default)]
        method: DeployMethod,
        /// Refuse unless an application of this name is (`true`) or is not (`false`) there.
        must_exist: Option<bool>,
        /// Refuse unless the application is at this version (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Bring an earlier release back: its file, parameters and counts.
    Rollback {
        /// The application.
        application_id: ApplicationId,
        /// Id of the new release.
        release_id: ReleaseId,
        /// Number of the release to bring back; absent: the last one before that ran.
        to: Option<u32>,
        /// Only if the release at hand has not come to its end (`abort`).
        unsettled_only: bool,
        /// Refuse unless the application is at this version (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Replace nothing more.
    PauseRelease {
        /// The application.
        application_id: ApplicationId,
    },
    /// Go on with a paused release.
    ResumeRelease {
        /// The application.
        application_id: ApplicationId,
    },
    /// The old services of a blue-green release go.
    ConfirmRelease {
        /// The application.
        application_id: ApplicationId,
        /// Also if new containers are not ready.
        force: bool,
    },
    /// Share traffic between services.
    SetWeights {
        /// The application.
        application_id: ApplicationId,
        /// Weight of a service, 0–100.
        weights: BTreeMap<String, u8>,
    },
    /// Change the wanted number of containers of a service.
    Scale {
        /// The application.
        application_id: ApplicationId,
        /// The service.
        service: String,
        /// Wanted.
        replicas: u32,
        /// Refuse unless the application is at this version (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Stop all containers.
    Stop {
        /// The application.
        application_id: ApplicationId,
    },
    /// Run them again.
    Start {
        /// The application.
        application_id: ApplicationId,
    },
    /// Replace running containers by new ones.
    Restart {
        /// The application.
        application_id: ApplicationId,
        /// Which services; empty: all.
        services: BTreeSet<String>,
    },
    /// Remove it.
    Remove {
        /// The application.
        application_id: ApplicationId,
        /// Its named volumes too.
        volumes: bool,
    },
    /// Store a template, or a new version of the one with this name.
    SaveTemplate {
        /// The template; follows from account and name.
        template_id: TemplateId,
        /// Its name, unique in the account.
        name: Name,
        /// What it is for.
        description: String,
        /// The text of a Compose file.
        text: String,
        /// Refuse unless the template is at this version of its stream (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Forget a template with all its versions; applications made from it stay.
    RemoveTemplate {
        /// The template.
        template_id: TemplateId,
        /// Its name, for messages.
        name: Name,
        /// Refuse unless the template is at this version of its stream (`If-Match`).
        expected_version: Option<u64>,
    },
    /// Let a node make an image.
    RequestBuild {
        /// Id of the making.
        build_id: BuildId,
        /// What, where.
        requested: BuildRequested,
    },
    /// What came of the making of an image.
    FinishBuild {
        /// The making.
        build_id: BuildId,
        /// How it ended.
        result: BuildResult,
        /// How long it took.
        duration_ms: u64,
    },
    /// Let go of the local volume that holds slots to a node.
    AbandonVolume {
        /// The application.
        application_id: ApplicationId,
        /// The service.
        service: String,
        /// Its slots; empty: all.
        slots: BTreeSet<u32>,
    },
}

/// How a deploy goes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeployMethod {
    /// Container by container, as each service's update policy says.
    #[default]
    Rolling,
    /// All containers of a changed service at once.
    Standard,
    /// New services beside the old ones until it is confirmed.
    BlueGreen,
}

impl SchedulerCommand {
    /// Verb, for the subject and for people.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Deploy { .. } => "deploy",
            Self::Rollback { .. } => "rollback",
            Self::PauseRelease { .. } => "pause_release",
            Self::ResumeRelease { .. } => "resume_release",
            Self::ConfirmRelease { .. } => "confirm_release",
            Self::SetWeights { .. } => "set_weights",
            Self::Scale { .. } => "scale",
            Self::Stop { .. } => "stop",
            Self::Start { .. } => "start",
            Self::Restart { .. } => "restart",
            Self::Remove { .. } => "remove",
            Self::AbandonVolume { .. } => "abandon_volume",
            Self::SaveTemplate { .. } => "save_template",
            Self::RemoveTemplate { .. } => "remove_template",
            Self::RequestBuild { .. } => "request_build",
            Self::FinishBuild { .. } => "finish_build",
        }
    }
}
