//! Events of accounts, tokens, credentials and secrets' metadata; written by access-svc.

use crate::macros::events;
use berth_ids::{AccountId, ClusterId, NodeId, SecretId, Timestamp, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

events! {
    /// What happened to an account.
    AccountEvent in crate::Category::Account;
    Created(AccountCreated) = "account.created", v 1;
}

/// An account was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountCreated {
    /// The account.
    pub account_id: AccountId,
    /// Tenant name, such as `main`.
    pub tenant: String,
}

events! {
    /// What happened to a token.
    TokenEvent in crate::Category::Token;
    Minted(TokenMinted) = "token.minted", v 1;
    Used(TokenUsed) = "token.used", v 1;
    Revoked(TokenRevoked) = "token.revoked", v 1;
}

/// A token was minted; only its hash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenMinted {
    /// The token.
    pub token_id: TokenId,
    /// What it opens.
    pub grant: TokenGrant,
    /// SHA-256 of the secret part, hexadecimal.
    pub hash: String,
    /// A word for people.
    pub label: String,
    /// After this it opens nothing; absent: never ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What a token opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TokenGrant {
    /// Joining a cluster as a node.
    Join {
        /// The cluster.
        cluster_id: ClusterId,
        /// How often; 0: without limit until it expires.
        max_uses: u32,
    },
    /// The API.
    Api {
        /// What may be done.
        scopes: BTreeSet<Scope>,
        /// In which clusters; empty: all.
        #[serde(default)]
        clusters: BTreeSet<ClusterId>,
    },
}

/// What a bearer of an API token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything, tokens included.
    Admin,
    /// See everything but secrets.
    Read,
    /// Deploy and change applications.
    Deploy,
    /// Clusters and nodes.
    Nodes,
}

/// A join token was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenUsed {
    /// By the server that became this node.
    pub node_id: NodeId,
}

/// A token opens nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRevoked {}

events! {
    /// What happened to an agent's bus user.
    CredentialEvent in crate::Category::Credential;
    Issued(CredentialIssued) = "credential.issued", v 1;
    Revoked(CredentialRevoked) = "credential.revoked", v 1;
}

/// A node has a bus user of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CredentialIssued {
    /// The node.
    pub node_id: NodeId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Public nkey of its bus user (`U…`).
    pub user_key: String,
    /// Public curve key to which secrets are sealed (`X…`).
    pub sealing_key: String,
}

/// A node's bus user is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CredentialRevoked {
    /// Public nkey of the bus user.
    pub user_key: String,
}

events! {
    /// What happened to a secret; its values are in the vault.
    SecretEvent in crate::Category::Secret;
    VersionStored(SecretVersionStored) = "secret.version_stored", v 1;
    Destroyed(SecretDestroyed) = "secret.destroyed", v 1;
}

/// The vault holds a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretVersionStored {
    /// The secret.
    pub secret_id: SecretId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// What it belongs to, such as `shop/web`.
    pub scope: String,
    /// From 1.
    pub version: u64,
    /// Names of its values.
    pub keys: BTreeSet<String>,
}

/// All versions were destroyed in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretDestroyed {}

events! {
    /// What happened to the platform itself.
    PlatformEvent in crate::Category::Platform;
    FeatureEnabled(FeatureEnabled) = "platform.feature_enabled", v 1;
}

/// All live instances can read a new type or version, so it may be written (invariant 12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeatureEnabled {
    /// `type@version`.
    pub feature: String,
}
