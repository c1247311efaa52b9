//! What the engine says of the container of one allocation.

use berth_events::{ExitStatus, PortBinding};
use berth_ids::{ApplicationId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A container as the engine describes it, apart from its state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Id in the engine.
    pub id: String,
    /// Name in the engine.
    pub name: String,
    /// Id of its image.
    pub image_id: String,
    /// Digest of its image in the registry, if it came from one.
    pub image_digest: Option<String>,
    /// The application in its label.
    pub application_id: ApplicationId,
    /// The service in its label.
    pub service: String,
    /// The slot in its label.
    pub slot: u32,
    /// Time between the signal to end and the kill.
    pub grace: Duration,
    /// Its address on each network.
    pub addresses: BTreeMap<String, String>,
    /// Ports published on the node.
    pub ports: Vec<PortBinding>,
    /// When it was last started, by the engine's clock.
    pub started_at: Timestamp,
    /// Ids of containers of which it shares a namespace.
    pub joined: BTreeSet<String>,
    /// Engine volumes that it mounts.
    pub volumes: BTreeSet<String>,
}

/// State of the container of one allocation in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// There is none.
    Absent,
    /// It has never run.
    Created(Container),
    /// It runs.
    Running {
        /// What runs.
        container: Container,
        /// What the engine's check says; `None`: there is none or it has not said.
        healthy: Option<bool>,
        /// Last output of a failed check.
        health_output: String,
    },
    /// It has ended.
    Ended {
        /// What ended.
        container: Container,
        /// How.
        exit: ExitStatus,
        /// When it was last started, by the engine's clock.
        started_at: Timestamp,
        /// When it ended, by the engine's clock.
        finished_at: Timestamp,
        /// Its last lines, as far as the look asked for them.
        output: String,
    },
    /// The engine is removing it.
    Removing(Container),
}

impl Seen {
    /// The container, if the engine has one.
    pub const fn container(&self) -> Option<&Container> {
        match self {
            Self::Absent => None,
            Self::Created(container)
            | Self::Running { container, .. }
            | Self::Ended { container, .. }
            | Self::Removing(container) => Some(container),
        }
    }

    /// Whether it runs now.
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}
