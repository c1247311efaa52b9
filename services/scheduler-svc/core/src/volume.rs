//! Which volumes hold a container to a node.

use berth_events::spec::VolumeSpec;

/// Types of the `local` driver that reach over the network.
const NETWORK_TYPES: &[&str] = &["nfs", "nfs4", "cifs", "glusterfs", "ceph"];

/// Name of a volume on the engine: `<application>_<volume>` unless the file names it.
pub fn engine_volume_name(application: &str, volume: &str, spec: Option<&VolumeSpec>) -> String {
    spec.and_then(|spec| spec.name.clone())
        .unwrap_or_else(|| format!("{application}_{volume}"))
}

/// The data of such a volume lives on one node only.
///
/// A volume without a definition is the engine's default: local.
pub fn is_node_local(spec: Option<&VolumeSpec>) -> bool {
    let Some(spec) = spec else { return true };
    let local = spec.driver.as_deref().is_none_or(|driver| driver == "local");
    let remote = spec
        .driver_opts
        .get("type")
        .is_some_and(|kind| NETWORK_TYPES.contains(&kind.as_str()));
    local && !remote
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_volume_is_bound_and_a_network_share_is_not() {
        let nfs = VolumeSpec {
            driver_opts: [("type".to_owned(), "nfs".to_owned())].into(),
            ..VolumeSpec::default()
        };
        let plugin = VolumeSpec {
            driver: Some("ossfs".into()),
            ..VolumeSpec::default()
        };
        assert!(is_node_local(None));
        assert!(is_node_local(Some(&VolumeSpec::default())));
        assert!(!is_node_local(Some(&nfs)));
        assert!(!is_node_local(Some(&plugin)));
    }
}
