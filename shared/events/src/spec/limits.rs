//! Limits, health checks and log drivers of containers.

use super::is_default;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits (enforced by the engine) and reservations (counted by the scheduler).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ResourceSpec {
    /// Reserved processor time in thousandths of a core.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cpu_reserved_millis: u64,
    /// Reserved memory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_reserved_bytes: u64,
    /// Most processor time in thousandths of a core; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cpu_limit_millis: u64,
    /// Most memory; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_limit_bytes: u64,
    /// Most processes; 0: no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pids_limit: u64,
    /// Size of `/dev/shm`; 0: the engine's default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shm_bytes: u64,
}

/// A limit of the shell kind; -1 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ulimit {
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// How the engine checks health (Compose `healthcheck`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HealthcheckSpec {
    /// `["CMD", …]`, `["CMD-SHELL", line]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Time between checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// Longest time of one check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Failures in this time after the start do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period_ms: Option<u64>,
    /// Time between checks during the start period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval_ms: Option<u64>,
}

/// Log driver of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LoggingSpec {
    /// Driver, such as `json-file`.
    pub driver: String,
    /// Its options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}
