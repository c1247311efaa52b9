//! What a change would do.

use crate::{Diagnostic, Restart, Rollback};
use berth_events::ChangePlan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answer to `POST /v1/clusters/{cluster}/plan` and `POST /v1/applications/{app}/plan`. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// Name of the application.
    pub name: String,
    /// What would have no effect.
    pub warnings: Vec<Diagnostic>,
    /// What the change would do.
    pub plan: ChangePlan,
}

/// A change whose effect is asked for: `POST /v1/applications/{app}/plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanChange {
    /// Other numbers of containers, by service.
    Scale(BTreeMap<String, u32>),
    /// An earlier release again.
    Rollback(Rollback),
    /// New containers of the same kind.
    Restart(Restart),
    /// It goes.
    Remove {
        /// Its named volumes too.
        #[serde(default)]
        volumes: bool,
    },
}
