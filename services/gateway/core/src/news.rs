//! Which images run by digests that their registries may have left behind.

use crate::{ApiView, ApplicationRow};
use berth_api::ContainerState;
use berth_ids::{AllocationId, NodeId};

/// An image that runs by a digest, and a container by which its node may ask the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedImage {
    /// Its name.
    pub image: String,
    /// The digest that runs.
    pub digest: String,
    /// A node that runs it.
    pub node_id: NodeId,
    /// In this container.
    pub allocation_id: AllocationId,
}

impl ApiView {
    /// Images of an application whose names may mean other content by now.
    pub fn pinned_images(&self, row: &ApplicationRow) -> Vec<PinnedImage> {
        let Some(release) = row.releases.last() else {
            return vec![];
        };
        // A name with a digest means what it always meant.
        let pinned = release.digests.iter().filter(|(image, _)| !image.contains('@'));
        let found = pinned.filter_map(|(image, digest)| {
            let container = self.allocations_of(row.id).find(|container| {
                let node = self.nodes.get(&container.node_id);
                container.image == *image
                    && container.state == ContainerState::Running
                    && node.is_some_and(|node| !node.lost)
            })?;
            Some(PinnedImage {
                image: image.clone(),
                digest: digest.clone(),
                node_id: container.node_id,
                allocation_id: container.id,
            })
        });
        found.collect()
    }
}
