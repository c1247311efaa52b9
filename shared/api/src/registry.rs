//! Logins of registries.

use berth_ids::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stores the login of a registry: `PUT /v1/clusters/{cluster}/registries/{registry}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryLogin {
    /// Whose login it is.
    pub username: String,
    /// Its password or access token. Kept in the vault, given to nodes sealed, shown by nothing.
    pub password: String,
}

impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryLogin")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A registry of which a login is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registry {
    /// The registry, as names of images begin: `ghcr.io`, `registry.example.com:5000`, `docker.io`.
    pub registry: String,
    /// Whose login it is.
    pub username: String,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Who stored it.
    pub stored_by: String,
}

/// The logins of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registries {
    /// By registry.
    pub items: Vec<Registry>,
}
