//! What can be measured of the server and its engine.

use super::{Engine, EngineError};
use berth_events::NodeFacts;
use bollard::models::SystemInfo;
use std::path::Path;

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
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

fn engine_labels(info: &SystemInfo) -> std::collections::BTreeMap<String, String> {
    let labels = info.labels.iter().flatten();
    labels
        .map(|label| label.split_once('=').unwrap_or((label, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Size of the file system that holds a path; 0 if it cannot be measured (the engine may be elsewhere).
pub fn disk_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize))
}
