//! What a caller may see.

use crate::{ApiView, ApplicationRow, ClusterRow, NodeRow, TokenRow};
use berth_events::{Principal, TokenGrant};
use berth_ids::ClusterId;
use std::collections::BTreeSet;

/// What a caller may see: objects of its account, in its clusters. Others do not exist for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Account.
    pub tenant: String,
    /// Clusters; empty: all of the account.
    pub clusters: BTreeSet<ClusterId>,
}

impl From<&Principal> for Access {
    fn from(principal: &Principal) -> Self {
        Self {
            tenant: principal.tenant.clone(),
            clusters: principal.clusters.clone(),
        }
    }
}

impl Access {
    /// Whether it is confined to some clusters.
    pub fn confined(&self) -> bool {
        !self.clusters.is_empty()
    }

    /// Whether it may see a cluster of its account with this id.
    pub fn names(&self, cluster: ClusterId) -> bool {
        self.clusters.is_empty() || self.clusters.contains(&cluster)
    }

    /// Whether it may see a cluster.
    pub fn cluster(&self, row: &ClusterRow) -> bool {
        row.tenant == self.tenant && self.names(row.id)
    }
}

impl ApiView {
    /// The cluster, if the caller may see it.
    pub fn cluster_row(&self, access: &Access, id: ClusterId) -> Option<&ClusterRow> {
        self.clusters.get(&id).filter(|row| access.cluster(row))
    }

    /// All clusters that the caller may see.
    pub fn cluster_ids(&self, access: &Access) -> Vec<ClusterId> {
        let rows = self.clusters.values().filter(|row| access.cluster(row));
        rows.map(|row| row.id).collect()
    }

    pub(crate) fn sees_cluster(&self, access: &Access, id: ClusterId) -> bool {
        self.cluster_row(access, id).is_some()
    }

    pub(crate) fn sees_node(&self, access: &Access, row: &NodeRow) -> bool {
        self.sees_cluster(access, row.cluster_id)
    }

    pub(crate) fn sees_application(&self, access: &Access, row: &ApplicationRow) -> bool {
        self.sees_cluster(access, row.cluster_id)
    }

    /// A join token belongs to its cluster. An API token is seen by those who see all it opens.
    pub(crate) fn sees_token(&self, access: &Access, row: &TokenRow) -> bool {
        row.tenant == access.tenant
            && match &row.grant {
                TokenGrant::Join { cluster_id, .. } => access.names(*cluster_id),
                TokenGrant::Api { clusters, .. } => {
                    !access.confined() || (!clusters.is_empty() && clusters.is_subset(&access.clusters))
                }
            }
    }
}
