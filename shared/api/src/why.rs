//! Why applications and their services are as they are.

use crate::{ApplicationStatus, Container};
use berth_events::BlockReport;
use berth_ids::ApplicationId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Why an application is as it is: `GET /v1/applications/{app}/why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// The application.
    pub application_id: ApplicationId,
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub status: ApplicationStatus,
    /// What its removal waits for: containers that are left, and nodes that do not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Its services.
    pub services: Vec<ServiceWhy>,
}

/// Why a service is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceWhy {
    /// The service.
    pub service: String,
    /// What it is doing.
    pub status: ApplicationStatus,
    /// Wanted containers.
    pub wanted: u32,
    /// Containers that run.
    pub running: u32,
    /// Slots that wait for a node.
    pub pending_slots: BTreeSet<u32>,
    /// Why they wait: each filter's count, nodes with what each lacks, the smallest change that would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<BlockReport>,
    /// Labels over whose values it must, should or wishes to be spread, with where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<ServiceDomains>,
    /// Its containers, with the reason of each place; ended ones too if they are the last of their slot.
    pub containers: Vec<Container>,
}

/// How a service is spread over the values of a label of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceDomains {
    /// The label: `zone`, `node.labels.rack`.
    pub label: String,
    /// How many values are asked for; 0: no number.
    pub wanted: u32,
    /// It must be so many (`==N`), not as many as there are (`==~N`).
    pub promised: bool,
    /// Each value that a node of the cluster has.
    pub domains: BTreeMap<String, DomainCount>,
}

/// One value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DomainCount {
    /// Nodes with it that take containers.
    pub nodes: u32,
    /// Containers of the service there.
    pub containers: u32,
}
