//! Logins of registries: secrets of a cluster whose scope is the registry. They live until somebody takes them
//! away or the cluster goes, and are given to nodes that have an image of the registry to run.

use crate::{
    AccessView,
    refusal::forbidden,
    rows::{Ownerless, SecretRow},
    view::SECRET,
};
use berth_events::{Event, LOGIN_SCOPE, Recorded, Rejection, SecretEvent};
use berth_eventsourcing::{LoadedStream, RowKey};
use berth_ids::{AllocationId, ClusterId, NodeId};

/// The scope of a registry's login.
pub fn login_scope(registry: &str) -> String {
    format!("{LOGIN_SCOPE}{}", registry.to_lowercase())
}

/// The registry whose login a scope is.
pub fn registry_in(scope: &str) -> Option<&str> {
    scope.strip_prefix(LOGIN_SCOPE)
}

pub(crate) fn is_login(scope: &str) -> bool {
    registry_in(scope).is_some()
}

/// Whether a loaded secret is a login of this cluster.
pub(crate) fn is_login_of(stream: &LoadedStream, cluster: ClusterId) -> bool {
    stream.events.iter().any(|event| match event {
        Event::Secret(SecretEvent::VersionStored(stored)) => {
            stored.cluster_id == cluster && is_login(&stored.scope)
        }
        _ => false,
    })
}

impl AccessView {
    /// The stored login of a registry.
    pub fn login(&self, cluster: ClusterId, registry: &str) -> Option<&SecretRow> {
        let scope = login_scope(registry);
        self.logins(cluster).find(|row| row.scope == scope)
    }

    /// All stored logins of a cluster.
    pub fn logins(&self, cluster: ClusterId) -> impl Iterator<Item = &SecretRow> {
        let of_cluster = move |row: &&SecretRow| row.cluster_id == cluster && !row.destroyed;
        self.secrets
            .values()
            .filter(|row| is_login(&row.scope))
            .filter(of_cluster)
    }

    /// Whether an allocation of the node's assignment has an image of this registry.
    ///
    /// # Errors
    /// [`Rejection`] if it has not.
    pub fn may_log_in(
        &self,
        node: NodeId,
        allocation: AllocationId,
        registry: &str,
    ) -> Result<(), Rejection> {
        let row = self.allocations.get(&allocation);
        let fits = row.is_some_and(|row| row.node_id == node && row.registry == registry);
        if fits {
            return Ok(());
        }
        Err(forbidden(
            "access.login_not_assigned",
            &format!("the allocation is not in the node's assignment, or has no image of `{registry}`"),
            "ask again when the node's assignment has changed",
        ))
    }

    /// A cluster's logins go with it.
    pub(crate) fn on_cluster_deleted(&mut self, recorded: &Recorded) -> Vec<RowKey> {
        let Ok(cluster) = recorded.stream.key().parse::<ClusterId>() else {
            return vec![];
        };
        let mut keys = Vec::new();
        for row in self.secrets.values_mut() {
            if row.cluster_id == cluster && is_login(&row.scope) {
                row.ownerless = Some(Ownerless {
                    since: recorded.recorded_at,
                    removed: true,
                });
                keys.push(RowKey::new(SECRET, row.secret_id));
            }
        }
        keys
    }
}
