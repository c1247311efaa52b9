//! Join tokens and API tokens.

use berth_events::Scope;
use berth_ids::{ClusterId, CommandId, Timestamp, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Makes a join token: `POST /v1/clusters/{cluster}/join-tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MintJoinToken {
    /// How long it opens the cluster; absent: 24 hours; at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// How many servers may join with it; absent: 1; 0: any number until it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// A word for people.
    #[serde(default)]
    pub label: String,
}

/// Makes an API token: `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MintApiToken {
    /// What its bearer may do.
    pub scopes: BTreeSet<Scope>,
    /// In which clusters, by id or name; empty: all.
    #[serde(default)]
    pub clusters: BTreeSet<String>,
    /// How long; absent: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// A word for people.
    #[serde(default)]
    pub label: String,
}

/// A new token. Its text is shown here once and never again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MintedToken {
    /// Its id.
    pub id: TokenId,
    /// Its whole text.
    pub token: String,
    /// When it ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Position that a read must reach to show it.
    pub position: u64,
    /// The command that made it.
    pub command_id: CommandId,
}

impl std::fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintedToken")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it opens.
    pub kind: TokenKind,
    /// Whether it still does.
    pub state: TokenState,
    /// A word for people.
    pub label: String,
    /// Of a join token: the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<ClusterId>,
    /// Of a join token: how many servers may join; 0: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// Of a join token: how many have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Of an API token: what its bearer may do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<Scope>,
    /// Of an API token: in which clusters; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clusters: BTreeSet<ClusterId>,
    /// When it ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
}

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// A cluster, to new nodes.
    Join,
    /// The API.
    Api,
}

/// Whether a token still opens something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// It was used as often as it may.
    UsedUp,
    /// It was revoked.
    Revoked,
}
