//! What comes of a command, and what some of them answer with.

use crate::Scope;
use berth_ids::ClusterId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What came of a command. Stored with it: a repeated command gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum CommandOutcome {
    /// Decided and recorded, or already so.
    Accepted {
        /// Position that a read must reach to show it.
        position: u64,
        /// What the command answers with, such as the id of what it made.
        #[serde(default)]
        result: serde_json::Value,
    },
    /// Refused by a rule; nothing changed.
    Rejected(Rejection),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rejection {
    /// Kind, which decides the HTTP status.
    pub kind: RejectionKind,
    /// Stable code, such as `cluster.name_taken`.
    pub code: String,
    /// What is the matter, for people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// Kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectionKind {
    /// The object is not there: 404.
    NotFound,
    /// The state forbids it: 409.
    Conflict,
    /// `If-Match` failed: 412.
    VersionMismatch,
    /// The content breaks a rule: 422.
    Invalid,
    /// The principal may not: 403.
    Forbidden,
    /// A repeated key with another content: 422.
    KeyReused,
    /// Try again later: 503.
    Unavailable,
}

/// Answer to [`crate::AccessCommand::RedeemJoin`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinGrant {
    /// The cluster that the token opens.
    pub cluster_id: ClusterId,
    /// Tenant of the cluster.
    pub tenant: String,
    /// Signed bus user; worthless without the agent's own seed.
    pub user_jwt: String,
}

/// Who speaks: what `q.access.authenticate` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// As in [`crate::Meta::actor`].
    pub actor: String,
    /// Tenant.
    pub tenant: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// In which clusters; empty: all.
    pub clusters: BTreeSet<ClusterId>,
}
