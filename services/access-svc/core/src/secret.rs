//! Metadata of one secret, `secret/<id>`: its versions and the names of its values, never the values.

use crate::refusal::{conflict, invalid};
use berth_events::{Event, Rejection, SecretDestroyed, SecretEvent, SecretVersionStored};
use berth_eventsourcing::LoadedStream;
use berth_ids::{ClusterId, SecretId};
use std::collections::BTreeSet;

/// The longest scope, in bytes: names of an application and of a secret or config, and what is between.
pub const MAX_SECRET_SCOPE_BYTES: usize = 200;
/// The most values of one version.
pub const MAX_SECRET_KEYS: usize = 1_000;

/// What the events of a secret add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// Newest version; 0: none.
    pub version: u64,
    /// Its values were destroyed.
    pub destroyed: bool,
}

/// A version of a secret that the vault holds already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSecret {
    /// The secret.
    pub secret_id: SecretId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// What it belongs to, such as `shop/web`.
    pub scope: String,
    /// Its version in the vault.
    pub version: u64,
    /// Names of its values.
    pub keys: BTreeSet<String>,
}

/// The state of a loaded secret stream.
pub fn secret_of(stream: &LoadedStream) -> Secret {
    stream.events.iter().fold(Secret::default(), |mut secret, event| {
        match event {
            Event::Secret(SecretEvent::VersionStored(stored)) => secret.version = stored.version,
            Event::Secret(SecretEvent::Destroyed(_)) => secret.destroyed = true,
            _ => {}
        }
        secret
    })
}

/// Records a version that the vault holds; none if it is recorded already.
///
/// # Errors
/// [`Rejection`] if the scope or the names break a limit, or the secret was destroyed.
pub fn store(secret: &Secret, wanted: &StoreSecret) -> Result<Vec<SecretEvent>, Rejection> {
    check(wanted)?;
    if secret.destroyed {
        return Err(conflict(
            "access.secret_destroyed",
            format!("secret {} was destroyed", wanted.secret_id),
            "store the values under a new scope",
        ));
    }
    if wanted.version <= secret.version {
        return Ok(vec![]);
    }
    Ok(vec![SecretEvent::VersionStored(SecretVersionStored {
        secret_id: wanted.secret_id,
        cluster_id: wanted.cluster_id,
        scope: wanted.scope.clone(),
        version: wanted.version,
        keys: wanted.keys.clone(),
    })])
}

/// Says that all versions of a secret are destroyed; nothing if it was said, or if there never was one.
pub fn destroy(secret: &Secret) -> Vec<SecretEvent> {
    if secret.destroyed || secret.version == 0 {
        return vec![];
    }
    vec![SecretEvent::Destroyed(SecretDestroyed {})]
}

fn check(wanted: &StoreSecret) -> Result<(), Rejection> {
    if wanted.scope.is_empty() || wanted.scope.len() > MAX_SECRET_SCOPE_BYTES {
        return Err(invalid(
            "access.scope_invalid",
            format!(
                "a scope has 1 to {MAX_SECRET_SCOPE_BYTES} bytes, this one has {}",
                wanted.scope.len()
            ),
            "choose shorter names of application and service",
        ));
    }
    if wanted.keys.is_empty() || wanted.keys.len() > MAX_SECRET_KEYS {
        return Err(invalid(
            "access.keys_invalid",
            format!(
                "a secret has 1 to {MAX_SECRET_KEYS} values, this one has {}",
                wanted.keys.len()
            ),
            "split it",
        ));
    }
    Ok(())
}
