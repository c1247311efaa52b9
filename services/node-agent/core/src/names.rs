//! Names and labels on the engine (docs/contracts.md, "Names on the engine").

use crate::assignment::Wanted;
use berth_events::{ProjectSpec, spec::MountSource};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Label: the allocation.
pub const LABEL_ALLOCATION: &str = "io.berth.allocation";
/// Label: the application.
pub const LABEL_APPLICATION: &str = "io.berth.application";
/// Label: name of the application.
pub const LABEL_APPLICATION_NAME: &str = "io.berth.application-name";
/// Label: the service.
pub const LABEL_SERVICE: &str = "io.berth.service";
/// Label: the slot.
pub const LABEL_SLOT: &str = "io.berth.slot";
/// Label: the release.
pub const LABEL_RELEASE: &str = "io.berth.release";
/// Label: the cluster.
pub const LABEL_CLUSTER: &str = "io.berth.cluster";
/// Label: the node.
pub const LABEL_NODE: &str = "io.berth.node";
/// Label: hash of the specification.
pub const LABEL_SPEC: &str = "io.berth.spec";
/// Label: digest of the image in its registry, as it was when the container was made.
pub const LABEL_IMAGE_DIGEST: &str = "io.berth.image-digest";
/// Name in the file of the network that every service joins unless it says otherwise.
pub const DEFAULT_NETWORK: &str = "default";

/// Name of the container; `taken` says that another container has it.
pub fn container_name(wanted: &Wanted, taken: bool) -> String {
    let placed = &wanted.placed;
    let name = format!("{}_{}_{}", wanted.project.name, placed.service, placed.slot);
    if !taken {
        return name;
    }
    // The last characters: the first ones of ids made in one moment are equal.
    let id = placed.allocation_id.as_uuid().simple().to_string();
    format!("{name}-{}", &id[id.len() - 6..])
}

/// Name of a volume on the engine, by its name in the file.
pub fn volume_name(project: &ProjectSpec, volume: &str) -> String {
    let own = project.volumes.get(volume).and_then(|spec| spec.name.clone());
    own.unwrap_or_else(|| format!("{}_{volume}", project.name))
}

/// Name of a network on the engine, by its name in the file.
pub fn network_name(project: &ProjectSpec, network: &str) -> String {
    let own = project.networks.get(network).and_then(|spec| spec.name.clone());
    own.unwrap_or_else(|| format!("{}_{network}", project.name))
}

/// Engine names of the named volumes that a container mounts.
pub fn mounted_volumes(wanted: &Wanted) -> BTreeSet<String> {
    wanted
        .container
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            MountSource::Volume { name } => Some(volume_name(&wanted.project, name)),
            MountSource::Anonymous | MountSource::Bind { .. } | MountSource::Tmpfs { .. } => None,
        })
        .collect()
}

/// Networks that a container joins, by name in the file; empty if its network mode says so.
pub fn joined_networks(wanted: &Wanted) -> BTreeSet<String> {
    let container = &wanted.container;
    match (&container.network_mode, container.networks.is_empty()) {
        (Some(_), _) => BTreeSet::new(),
        (None, true) => BTreeSet::from([DEFAULT_NETWORK.to_owned()]),
        (None, false) => container.networks.keys().cloned().collect(),
    }
}

/// All labels of a container: those of the file, and ours, which win.
pub fn container_labels(wanted: &Wanted, cluster_id: ClusterId, node_id: NodeId) -> BTreeMap<String, String> {
    let placed = &wanted.placed;
    let mut labels = wanted.container.labels.clone();
    let ours = [
        (LABEL_ALLOCATION, placed.allocation_id.to_string()),
        (LABEL_APPLICATION, placed.application_id.to_string()),
        (LABEL_APPLICATION_NAME, wanted.project.name.clone()),
        (LABEL_SERVICE, placed.service.clone()),
        (LABEL_SLOT, placed.slot.to_string()),
        (LABEL_RELEASE, placed.release_id.to_string()),
        (LABEL_CLUSTER, cluster_id.to_string()),
        (LABEL_NODE, node_id.to_string()),
        (LABEL_SPEC, placed.spec_hash.clone()),
        ("com.docker.compose.project", wanted.project.name.clone()),
        ("com.docker.compose.service", placed.service.clone()),
        ("com.docker.compose.container-number", placed.slot.to_string()),
    ];
    labels.extend(ours.map(|(key, value)| (key.to_owned(), value)));
    labels
}

/// All labels of a volume or network: those of the file, and ours, which win.
pub fn shared_labels(
    wanted: &Wanted,
    cluster_id: ClusterId,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut labels = own.clone();
    let ours = [
        (LABEL_APPLICATION, wanted.placed.application_id.to_string()),
        (LABEL_APPLICATION_NAME, wanted.project.name.clone()),
        (LABEL_CLUSTER, cluster_id.to_string()),
    ];
    labels.extend(ours.map(|(key, value)| (key.to_owned(), value)));
    labels
}

/// The allocation in a container's labels.
pub fn allocation_of(labels: &BTreeMap<String, String>) -> Option<AllocationId> {
    labels.get(LABEL_ALLOCATION)?.parse().ok()
}

/// The application in the labels of a container, volume or network.
pub fn application_of(labels: &BTreeMap<String, String>) -> Option<ApplicationId> {
    labels.get(LABEL_APPLICATION)?.parse().ok()
}

/// An image reference with a tag or digest: `web` becomes `web:latest`.
pub fn full_image(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || image.contains('@') {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

/// The image as an engine is to take it: of this digest, whatever its name means by now.
pub fn pinned_image(image: &str, digest: Option<&str>) -> String {
    let full = full_image(image);
    match digest {
        Some(digest) if !full.contains('@') => format!("{full}@{digest}"),
        Some(_) | None => full,
    }
}

/// The digest of an image in its registry, among those that an engine knows of it (`name@sha256:…`).
pub fn digest_of<'d>(image: &str, known: impl IntoIterator<Item = &'d str>) -> Option<&'d str> {
    let wanted = repository(image);
    known.into_iter().find_map(|known| {
        let (name, digest) = known.split_once('@')?;
        (repository(name) == wanted).then_some(digest)
    })
}

/// An image's name without its tag, and its tag; `latest` if it names none.
pub fn split_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        Some(_) | None => (image, "latest"),
    }
}

/// The name without tag and digest, as engines shorten it.
fn repository(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        Some(_) | None => name,
    };
    let hub = ["docker.io/", "index.docker.io/"];
    let name = hub
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::{
        Placed, PlacementReason,
        spec::{ContainerSpec, NetworkAttachment, RestartPolicy, VolumeSpec},
    };
    use berth_ids::ReleaseId;
    use std::sync::Arc;

    fn wanted(container: ContainerSpec) -> Wanted {
        let named = VolumeSpec {
            name: Some("own".into()),
            ..VolumeSpec::default()
        };
        Wanted {
            placed: Placed {
                allocation_id: AllocationId::from_u128(0xabc_def0),
                application_id: ApplicationId::from_u128(1),
                release_id: ReleaseId::default(),
                service: "web".into(),
                slot: 2,
                spec_hash: "h".into(),
                restart: RestartPolicy::default(),
                why: PlacementReason::default(),
                image_digest: None,
            },
            container: Arc::new(container),
            project: Arc::new(ProjectSpec {
                name: "shop".into(),
                volumes: BTreeMap::from([("named".to_owned(), named)]),
                networks: BTreeMap::new(),
            }),
        }
    }

    #[test]
    fn names_are_as_agreed() {
        let wanted = wanted(ContainerSpec::default());
        assert_eq!(container_name(&wanted, false), "shop_web_2");
        assert_eq!(container_name(&wanted, true), "shop_web_2-bcdef0");
        assert_eq!(volume_name(&wanted.project, "data"), "shop_data");
        assert_eq!(volume_name(&wanted.project, "named"), "own");
        assert_eq!(network_name(&wanted.project, "back"), "shop_back");
    }

    #[test]
    fn every_service_joins_the_default_network_unless_it_says_otherwise() {
        let of = |container| {
            joined_networks(&wanted(container))
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(of(ContainerSpec::default()), ["default"]);
        let back = BTreeMap::from([("back".to_owned(), NetworkAttachment::default())]);
        let own = ContainerSpec {
            networks: back,
            ..ContainerSpec::default()
        };
        assert_eq!(of(own), ["back"]);
        let host = ContainerSpec {
            network_mode: Some("host".into()),
            ..ContainerSpec::default()
        };
        assert!(of(host).is_empty());
    }

    #[test]
    fn our_labels_win() {
        let file = BTreeMap::from([
            (LABEL_SLOT.to_owned(), "9".to_owned()),
            ("tier".to_owned(), "front".to_owned()),
        ]);
        let wanted = wanted(ContainerSpec {
            labels: file,
            ..ContainerSpec::default()
        });
        let labels = container_labels(&wanted, ClusterId::default(), NodeId::default());
        assert_eq!(
            (labels[LABEL_SLOT].as_str(), labels["tier"].as_str()),
            ("2", "front")
        );
        assert_eq!(allocation_of(&labels), Some(AllocationId::from_u128(0xabc_def0)));
    }

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        for (given, full) in [
            ("web", "web:latest"),
            ("web:1", "web:1"),
            ("host:5000/web", "host:5000/web:latest"),
            ("host:5000/web:1", "host:5000/web:1"),
            ("web@sha256:aa", "web@sha256:aa"),
        ] {
            assert_eq!(full_image(given), full);
        }
    }
}
