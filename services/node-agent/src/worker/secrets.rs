//! Where secret values come from. They live in memory for the length of one call of the engine.

use crate::engine::Login;
use async_trait::async_trait;
use berth_events::spec::SecretRef;
use berth_ids::AllocationId;
use std::collections::{BTreeMap, BTreeSet};

/// Why there are no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The platform does not answer; try again later.
    #[error("the secrets are not to be had now: {0}")]
    Away(String),
    /// The platform will not give them.
    #[error("the secrets were refused: {0}")]
    Refused(String),
}

/// Gives values of secrets for a container that is about to be created.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// All wanted values, or why not.
    async fn open(
        &self,
        allocation_id: AllocationId,
        wanted: BTreeSet<SecretRef>,
    ) -> Result<BTreeMap<SecretRef, String>, SecretError>;

    /// The login that is stored for the registry of the allocation's image, if one is.
    async fn login(&self, allocation_id: AllocationId, registry: &str) -> Result<Option<Login>, SecretError>;
}

/// A source that has none, for agents without a bus.
pub struct NoSecrets;

#[async_trait]
impl SecretSource for NoSecrets {
    async fn open(
        &self,
        _: AllocationId,
        _: BTreeSet<SecretRef>,
    ) -> Result<BTreeMap<SecretRef, String>, SecretError> {
        Err(SecretError::Away("this agent has no bus".to_owned()))
    }

    async fn login(&self, _: AllocationId, _: &str) -> Result<Option<Login>, SecretError> {
        Ok(None)
    }
}
