//! Events of what agents saw of their containers; written by scheduler-svc from reports.

use crate::macros::events;
use berth_ids::{AllocationId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

events! {
    /// What an agent saw of its containers.
    AllocationEvent in crate::Category::Allocation;
    Pulling(AllocationPulling) = "allocation.pulling", v 1;
    ContainerCreated(AllocationCreated) = "allocation.created", v 2, from { 1 => v1::AllocationCreated };
    Running(AllocationRunning) = "allocation.running", v 1;
    Healthy(AllocationHealthy) = "allocation.healthy", v 1;
    Unhealthy(AllocationUnhealthy) = "allocation.unhealthy", v 1;
    Restarted(AllocationRestarted) = "allocation.restarted", v 1;
    RetryScheduled(AllocationRetryScheduled) = "allocation.retry_scheduled", v 1;
    Stopping(AllocationStopping) = "allocation.stopping", v 1;
    Exited(AllocationExited) = "allocation.exited", v 1;
    Failed(AllocationFailed) = "allocation.failed", v 1;
    Lost(AllocationLost) = "allocation.lost", v 1;
    Removed(AllocationRemoved) = "allocation.removed", v 1;
    VolumesDropped(VolumesDropped) = "allocation.volumes_dropped", v 1;
}

/// Which report of the agent an observation came in; reports are numbered per node and boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReportMark {
    /// Random number of the agent's start of numbering (one a journal).
    pub journal: u64,
    /// Number of the report, from 1.
    pub number: u64,
    /// When the agent saw it, by its own clock.
    pub seen_at: Timestamp,
}

macro_rules! allocation_event {
    ($(#[$doc:meta])* $name:ident { $( $(#[$fdoc:meta])* $field:ident : $ty:ty, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// The allocation.
            pub allocation_id: AllocationId,
            /// The report that said so.
            pub report: ReportMark,
            $( $(#[$fdoc])* pub $field: $ty, )*
        }
    };
}

allocation_event! {
    /// The image is being pulled.
    AllocationPulling {
        /// The image.
        image: String,
    }
}
allocation_event! {
    /// The engine has the container; it does not run yet.
    AllocationCreated {
        /// Id in the engine.
        container_id: String,
        /// Name in the engine.
        container_name: String,
        /// Id of the image it was made from.
        image_id: String,
        /// Digest of that image in its registry (`sha256:…`); absent: the image came from none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image_digest: Option<String>,
    }
}

/// Shapes of earlier versions, kept for ever (invariant 9).
mod v1 {
    use super::*;

    allocation_event! {
        /// Version 1 did not say which bytes of its registry a container runs.
        AllocationCreated {
            /// Id in the engine.
            container_id: String,
            /// Name in the engine.
            container_name: String,
            /// Id of the image it was made from.
            image_id: String,
        }
    }
}

impl From<v1::AllocationCreated> for AllocationCreated {
    fn from(old: v1::AllocationCreated) -> Self {
        Self {
            allocation_id: old.allocation_id,
            report: old.report,
            container_id: old.container_id,
            container_name: old.container_name,
            image_id: old.image_id,
            // Unknown: such a container is neither pinned to nor replaced for another digest.
            image_digest: None,
        }
    }
}
allocation_event! {
    /// The container runs.
    AllocationRunning {
        /// Id in the engine.
        container_id: String,
        /// Its address on each network of the node, by the network's name in the engine.
        #[serde(default)]
        addresses: BTreeMap<String, String>,
        /// Ports published on the node.
        #[serde(default)]
        ports: Vec<PortBinding>,
    }
}
allocation_event! {
    /// Its check passed.
    AllocationHealthy {}
}
allocation_event! {
    /// Its check failed as often as the file allows.
    AllocationUnhealthy {
        /// Last output of the check, at most 1 KiB.
        output: String,
    }
}
allocation_event! {
    /// It ended and the agent started it again.
    AllocationRestarted {
        /// How often by now.
        restarts: u32,
        /// Code with which it had ended.
        exit_code: i64,
        /// Killed for want of memory.
        #[serde(default)]
        oom_killed: bool,
    }
}
allocation_event! {
    /// It ended, or a step before its start failed; its agent tries again at a known time.
    AllocationRetryScheduled {
        /// What is tried again.
        step: RetryStep,
        /// What the engine said, or the last output; at most 1 KiB.
        message: String,
        /// Tries of this step in a row that have failed.
        attempt: u32,
        /// Code with which it ended, if it ran.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i64>,
        /// Killed for want of memory.
        #[serde(default)]
        oom_killed: bool,
        /// When it is tried again, by the agent's clock.
        next_try_at: Timestamp,
    }
}
allocation_event! {
    /// It was asked to end.
    AllocationStopping {}
}
allocation_event! {
    /// It ended and stays ended.
    AllocationExited {
        /// Its code.
        exit_code: i64,
        /// Killed for want of memory.
        #[serde(default)]
        oom_killed: bool,
    }
}
allocation_event! {
    /// It could not be run here.
    AllocationFailed {
        /// Which step failed.
        reason: FailureReason,
        /// What the engine said, or the last output; at most 1 KiB.
        message: String,
    }
}
allocation_event! {
    /// Nobody knows what became of it: its node is lost or was removed.
    AllocationLost {}
}
allocation_event! {
    /// The engine has no trace of it any more.
    AllocationRemoved {}
}

/// What an agent tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryStep {
    /// Getting its image.
    Pull,
    /// Getting its secrets.
    Secrets,
    /// Creating it.
    Create,
    /// Starting it for the first time.
    Start,
    /// Running: it ended, and its policy starts it again.
    Run,
}

/// Which step of a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The image is not to be had.
    Pull,
    /// The engine refused to create it.
    Create,
    /// The engine refused to start it.
    Start,
    /// Its secrets were not to be had.
    Secrets,
    /// It ended again and again.
    CrashLoop,
    /// Its check failed again and again.
    Unhealthy,
    /// The container vanished from the engine.
    Vanished,
}

/// A port of a container on its node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PortBinding {
    /// Port in the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Address on the node.
    pub host_ip: String,
    /// Port on the node.
    pub host_port: u16,
}

/// Engine volumes were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumesDropped {
    /// Their names in the engine.
    pub volumes: BTreeSet<String>,
    /// The report that said so.
    pub report: ReportMark,
}
