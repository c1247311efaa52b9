//! Rows of the view.

use berth_events::TokenGrant;
use berth_ids::{ApplicationId, ClusterId, NodeId, SecretId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// The token.
    pub token_id: TokenId,
    /// Account that owns it.
    pub tenant: String,
    /// What it opens.
    pub grant: TokenGrant,
    /// SHA-256 of its secret, hexadecimal.
    pub hash: String,
    /// A word for people.
    pub label: String,
    /// After this it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was minted.
    pub minted_at: Timestamp,
    /// Nodes that joined by it.
    pub uses: BTreeSet<NodeId>,
    /// It opens nothing any more.
    pub revoked: bool,
}

/// The making of an image that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRow {
    /// The node that makes it.
    pub node_id: NodeId,
    /// Registries whose logins it may use.
    pub registries: BTreeSet<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

/// A node's bus user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRow {
    /// The node.
    pub node_id: NodeId,
    /// Account that owns the cluster.
    pub tenant: String,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Public nkey of its bus user.
    pub user_key: String,
    /// Public curve key to which secrets are sealed.
    pub sealing_key: String,
    /// Its node was removed: it must be revoked.
    pub node_removed: bool,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Which secret versions an allocation of a node's assignment names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationRow {
    /// The node.
    pub node_id: NodeId,
    /// Secret versions.
    pub secrets: BTreeSet<(SecretId, u64)>,
    /// Registry of its image.
    pub registry: String,
}

/// A secret's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRow {
    /// The secret.
    pub secret_id: SecretId,
    /// Account that owns the cluster.
    pub tenant: String,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// What it belongs to.
    pub scope: String,
    /// Newest version.
    pub version: u64,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Who stored it.
    pub stored_by: String,
    /// Its values were destroyed.
    pub destroyed: bool,
    /// Since when no application has its scope; absent while one has.
    pub ownerless: Option<Ownerless>,
}

/// That a secret has no application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownerless {
    /// Since when.
    pub since: Timestamp,
    /// Its application was removed; otherwise none has come yet.
    pub removed: bool,
}

/// An application whose secrets are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRow {
    /// The application.
    pub application_id: ApplicationId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its name, without case: what scopes of its secrets begin with.
    pub name: String,
}
