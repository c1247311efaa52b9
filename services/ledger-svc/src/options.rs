//! What can be chosen about the log.

use crate::streams;
use berth_events::Feature;
use std::{collections::BTreeSet, time::Duration};

/// Positions of one partition of `es.event`.
pub const PARTITION_SIZE: u64 = 10_000_000;

/// Choices for one instance of the ledger.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// Names this process in its health.
    pub instance: String,
    /// Version of the binary, for its health.
    pub version: String,
    /// Copies of each stream in a cluster of NATS servers: 1 or 3.
    pub replicas: usize,
    /// Positions of one partition of `es.event`.
    pub partition_size: u64,
    /// How long EVT keeps events; older ones are read from the database.
    pub evt_max_age: Duration,
    /// How large EVT may become.
    pub evt_max_bytes: i64,
    /// How large CMD, RPT and DOC may become, each.
    pub work_max_bytes: i64,
    /// How large LOGS may become.
    pub logs_max_bytes: i64,
    /// Events that must be enabled before they may be written.
    pub introduced: BTreeSet<Feature>,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            instance: "ledger".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            replicas: 1,
            partition_size: PARTITION_SIZE,
            evt_max_age: streams::EVT_MAX_AGE,
            evt_max_bytes: streams::EVT_MAX_BYTES,
            work_max_bytes: streams::WORK_MAX_BYTES,
            logs_max_bytes: streams::LOGS_MAX_BYTES,
            introduced: Feature::introduced().collect(),
        }
    }
}
