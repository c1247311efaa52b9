//! What can be measured of the server and its engine.

use super::{Engine, EngineError};
use berth_events::{NodeFacts, spec::resource_kind};
use bollard::models::SystemInfo;
use std::{collections::BTreeMap, path::Path};

impl Engine {
    /// Facts of this node.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn facts(&self) -> Result<NodeFacts, EngineError> {
        let docker = self.docker().await?;
        let info = docker.info().await.map_err(|e| self.error(e))?;
        let version = docker.version().await.map_err(|e| self.error(e))?;
        let root = info.docker_root_dir.clone().unwrap_or_default();
        let whole = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
        Ok(NodeFacts {
            hostname: info.name.clone().unwrap_or_default(),
            engine_version: version.version.unwrap_or_default(),
            engine_api_version: version.api_version.unwrap_or_default(),
            os: info.os_type.clone().unwrap_or_else(|| "linux".to_owned()),
            architecture: version.arch.unwrap_or_default(),
            kernel: info.kernel_version.clone().unwrap_or_default(),
            cpu_millis: whole(info.ncpu).saturating_mul(1_000),
            memory_bytes: whole(info.mem_total),
            disk_bytes: disk_bytes(Path::new(&root)),
            engine_labels: engine_labels(&info),
            generic_resources: generic_resources(&info),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

fn engine_labels(info: &SystemInfo) -> BTreeMap<String, String> {
    let labels = info.labels.iter().flatten();
    labels
        .map(|label| label.split_once('=').unwrap_or((label, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// What the engine counts itself (`node-generic-resources`): a number of a kind, or each by its name.
fn generic_resources(info: &SystemInfo) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for one in info.generic_resources.iter().flatten() {
        let counted = one.discrete_resource_spec.as_ref();
        let counted =
            counted.and_then(|spec| Some((spec.kind.as_deref()?, u64::try_from(spec.value?).ok()?)));
        let named = one.named_resource_spec.as_ref();
        let named = named.and_then(|spec| Some((spec.kind.as_deref()?, 1)));
        if let Some((kind, count)) = counted.or(named) {
            let known: &mut u64 = all.entry(resource_kind(kind)).or_default();
            *known = known.saturating_add(count);
        }
    }
    all
}

/// Size of the file system that holds a path; 0 if it cannot be measured (the engine may be elsewhere).
pub fn disk_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{
        GenericResourcesInner, GenericResourcesInnerDiscreteResourceSpec,
        GenericResourcesInnerNamedResourceSpec,
    };

    #[test]
    fn resources_are_counted_by_number_and_by_name() {
        let named = |value: &str| GenericResourcesInner {
            named_resource_spec: Some(GenericResourcesInnerNamedResourceSpec {
                kind: Some("NVIDIA-GPU".into()),
                value: Some(value.into()),
            }),
            ..GenericResourcesInner::default()
        };
        let counted = GenericResourcesInner {
            discrete_resource_spec: Some(GenericResourcesInnerDiscreteResourceSpec {
                kind: Some("SSD".into()),
                value: Some(3),
            }),
            ..GenericResourcesInner::default()
        };
        let info = SystemInfo {
            generic_resources: Some(vec![named("GPU-1"), counted, named("GPU-2")]),
            ..SystemInfo::default()
        };
        let expected = [("gpu".to_owned(), 2), ("ssd".to_owned(), 3)];
        assert_eq!(generic_resources(&info), expected.into());
    }
}
