//! Lists, sorted by what people sort by, cut into pages.

use crate::{Access, AllocationRow, ApiView, PageRequest};
use berth_api::{Application, Cluster, Container, Node, Token};
use berth_events::TokenGrant;
use berth_ids::{ApplicationId, ClusterId, NodeId, Timestamp};

/// Items of a page and the cursor of the next.
type Items<T> = (Vec<T>, Option<String>);

/// Which containers are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerFilter {
    /// Of this cluster.
    pub cluster: Option<ClusterId>,
    /// Of this application.
    pub application: Option<ApplicationId>,
    /// Of this service.
    pub service: Option<String>,
    /// On this node.
    pub node: Option<NodeId>,
    /// Those that have ended too; without it, of these only those whose slot waits for its next container.
    pub all: bool,
}

impl ContainerFilter {
    fn takes(&self, view: &ApiView, row: &AllocationRow) -> bool {
        (self.all || !row.state.ended() || view.waiting(row).is_some())
            && self.cluster.is_none_or(|id| id == row.cluster_id)
            && self.application.is_none_or(|id| id == row.application_id)
            && self.service.as_ref().is_none_or(|name| *name == row.service)
            && self.node.is_none_or(|id| id == row.node_id)
    }
}

impl ApiView {
    /// Clusters by name.
    pub fn list_clusters(&self, access: &Access, page: &PageRequest) -> Items<Cluster> {
        let rows = self.clusters.values().filter(|row| access.cluster(row));
        let (rows, next) = page.cut(rows.map(|row| (row.name.to_string(), row.id.to_string(), row)));
        (rows.into_iter().map(|row| self.cluster(row)).collect(), next)
    }

    /// Nodes by name.
    pub fn list_nodes(&self, access: &Access, cluster: Option<ClusterId>, page: &PageRequest) -> Items<Node> {
        let rows = self.nodes.values().filter(|row| {
            self.sees_node(access, row) && cluster.is_none_or(|cluster| cluster == row.cluster_id)
        });
        let (rows, next) = page.cut(rows.map(|row| (row.name.to_string(), row.id.to_string(), row)));
        (rows.into_iter().map(|row| self.node(row)).collect(), next)
    }

    /// Applications by name.
    pub fn list_applications(
        &self,
        access: &Access,
        cluster: Option<ClusterId>,
        page: &PageRequest,
    ) -> Items<Application> {
        let rows = self.applications.values().filter(|row| {
            self.sees_application(access, row) && cluster.is_none_or(|cluster| cluster == row.cluster_id)
        });
        let (rows, next) = page.cut(rows.map(|row| (row.name.to_string(), row.id.to_string(), row)));
        (rows.into_iter().map(|row| self.application(row)).collect(), next)
    }

    /// Containers by application, service, slot and age.
    pub fn list_containers(
        &self,
        access: &Access,
        filter: &ContainerFilter,
        page: &PageRequest,
    ) -> Items<Container> {
        let rows = self
            .allocations
            .values()
            .filter(|row| filter.takes(self, row) && self.sees_cluster(access, row.cluster_id));
        let (rows, next) = page.cut(rows.map(|row| {
            let application = self.application_name(row.application_id);
            // A control character sorts before everything that a name may hold.
            let key = format!(
                "{application}\u{1}{}\u{1}{:010}\u{1}{:020}",
                row.service, row.slot, row.placed_position
            );
            (key, row.id.to_string(), row)
        }));
        (rows.into_iter().map(|row| self.container(row)).collect(), next)
    }

    /// Tokens by age: join tokens of a cluster, or API tokens.
    pub fn list_tokens(
        &self,
        access: &Access,
        join: Option<ClusterId>,
        now: Timestamp,
        page: &PageRequest,
    ) -> Items<Token> {
        let rows = self.tokens.values().filter(|row| {
            let wanted = match (&row.grant, join) {
                (TokenGrant::Join { cluster_id, .. }, Some(cluster)) => *cluster_id == cluster,
                (TokenGrant::Api { .. }, None) => true,
                (TokenGrant::Join { .. }, None) | (TokenGrant::Api { .. }, Some(_)) => false,
            };
            wanted && self.sees_token(access, row)
        });
        let (rows, next) = page.cut(rows.map(|row| (row.created_at.to_string(), row.id.to_string(), row)));
        (rows.into_iter().map(|row| row.answer(now)).collect(), next)
    }
}
