//! A container specification in the words of the engine.

use super::SECRET_FILE;
use berth_agent_core::{Wanted, names};
use berth_events::spec::{
    ContainerSpec, EnvironmentValue, FileSpec, HealthcheckSpec, MountSource, MountSpec, ResourceSpec,
    SecretRef,
};
use berth_ids::{ClusterId, NodeId};
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountTmpfsOptions, MountType, NetworkingConfig, PortBinding, PortMap, ResourcesUlimits,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// Nanoseconds of processor time in a thousandth of a core.
const NANOS_PER_MILLI_CPU: u64 = 1_000_000;
const NANOS_PER_MS: u64 = 1_000_000;

/// Everything that makes a container.
pub struct Recipe<'a> {
    /// The order.
    pub wanted: &'a Wanted,
    /// Cluster, for the labels.
    pub cluster_id: ClusterId,
    /// Node, for the labels.
    pub node_id: NodeId,
    /// Values of its secrets.
    pub secrets: &'a BTreeMap<SecretRef, String>,
    /// Digest of its image in the registry, if it came from one.
    pub image_digest: Option<&'a str>,
    /// Where its files are, called by their number.
    pub files: Option<&'a Path>,
    /// Containers of which it shares a namespace, by service.
    pub peers: &'a BTreeMap<String, String>,
}

/// The body of the engine's create call.
pub(super) fn body(recipe: &Recipe<'_>) -> ContainerCreateBody {
    let spec = &*recipe.wanted.container;
    let mut labels = names::container_labels(recipe.wanted, recipe.cluster_id, recipe.node_id);
    if let Some(digest) = recipe.image_digest {
        labels.insert(names::LABEL_IMAGE_DIGEST.to_owned(), digest.to_owned());
    }
    let published = spec
        .ports
        .iter()
        .map(|port| format!("{}/{}", port.target, port.protocol));
    let mut exposed: Vec<String> = published.chain(spec.expose.iter().cloned()).collect();
    if joins_network(spec) {
        // The engine refuses them: the network is that of the other container.
        exposed.clear();
    }
    ContainerCreateBody {
        image: Some(names::pinned_image(
            &spec.image,
            recipe.wanted.placed.image_digest.as_deref(),
        )),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        env: Some(environment(spec, recipe.secrets)),
        labels: Some(labels.into_iter().collect()),
        exposed_ports: Some(exposed),
        hostname: spec.hostname.clone(),
        domainname: spec.engine.domainname.clone(),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        healthcheck: spec.healthcheck.as_ref().map(healthcheck),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace_period_ms.map(|ms| signed(ms.div_ceil(1_000))),
        host_config: Some(host_config(recipe)),
        networking_config: networking(recipe.wanted),
        ..ContainerCreateBody::default()
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// 0 stands for "not set".
fn set(value: u64) -> Option<i64> {
    (value > 0).then(|| signed(value))
}

fn environment(spec: &ContainerSpec, secrets: &BTreeMap<SecretRef, String>) -> Vec<String> {
    let value_of = |value: &EnvironmentValue| match value {
        EnvironmentValue::Plain(text) => Some(text.clone()),
        EnvironmentValue::Secret(secret) => secrets.get(secret).cloned(),
    };
    spec.environment
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value_of(value)?)))
        .collect()
}

fn healthcheck(check: &HealthcheckSpec) -> HealthConfig {
    let nanos = |ms: Option<u64>| ms.map(|ms| signed(ms.saturating_mul(NANOS_PER_MS)));
    HealthConfig {
        test: Some(check.test.clone()),
        interval: nanos(check.interval_ms),
        timeout: nanos(check.timeout_ms),
        retries: check.retries.map(i64::from),
        start_period: nanos(check.start_period_ms),
        start_interval: nanos(check.start_interval_ms),
    }
}

fn host_config(recipe: &Recipe<'_>) -> HostConfig {
    let wanted = recipe.wanted;
    let spec = &*wanted.container;
    let (binds, mut mounts) = mounts(wanted);
    mounts.extend(files(spec, recipe.files));
    let resources = resources(spec.resources);
    HostConfig {
        binds: Some(binds),
        mounts: Some(mounts),
        port_bindings: Some(if joins_network(spec) {
            PortMap::new()
        } else {
            port_bindings(spec)
        }),
        network_mode: Some(of_peer(network_mode(wanted), recipe.peers)),
        cap_add: Some(spec.cap_add.clone()),
        cap_drop: Some(spec.cap_drop.clone()),
        readonly_rootfs: Some(spec.read_only),
        ulimits: Some(ulimits(spec)),
        sysctls: Some(spec.sysctls.clone().into_iter().collect()),
        extra_hosts: Some(spec.extra_hosts.clone()),
        log_config: spec.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: Some(logging.driver.clone()),
            config: Some(logging.options.clone().into_iter().collect()),
        }),
        privileged: Some(spec.privileged),
        pid_mode: spec.pid_mode.clone().map(|mode| of_peer(mode, recipe.peers)),
        ipc_mode: spec.ipc_mode.clone().map(|mode| of_peer(mode, recipe.peers)),
        init: spec.init,
        ..options::host_config(&spec.engine, resources)
    }
}

fn joins_network(spec: &ContainerSpec) -> bool {
    spec.network_mode
        .as_ref()
        .is_some_and(|mode| mode.starts_with("service:"))
}

/// `service:X` in the words of the engine: the id of its container.
fn of_peer(mode: String, peers: &BTreeMap<String, String>) -> String {
    match mode
        .strip_prefix("service:")
        .and_then(|service| peers.get(service))
    {
        Some(id) => format!("container:{id}"),
        None => mode,
    }
}

fn resources(resources: ResourceSpec) -> HostConfig {
    HostConfig {
        nano_cpus: set(resources.cpu_limit_millis.saturating_mul(NANOS_PER_MILLI_CPU)),
        memory: set(resources.memory_limit_bytes),
        // A reservation above the limit would be refused.
        memory_reservation: set(match resources.memory_limit_bytes {
            0 => resources.memory_reserved_bytes,
            limit => resources.memory_reserved_bytes.min(limit),
        }),
        pids_limit: set(resources.pids_limit),
        shm_size: set(resources.shm_bytes),
        ..HostConfig::default()
    }
}

fn port_bindings(spec: &ContainerSpec) -> PortMap {
    let mut map: PortMap = HashMap::new();
    for port in &spec.ports {
        let key = format!("{}/{}", port.target, port.protocol);
        let bindings = map.entry(key).or_insert_with(|| Some(Vec::new()));
        bindings.get_or_insert_default().push(PortBinding {
            host_ip: port.host_ip.clone(),
            host_port: Some(port.published.map(|port| port.to_string()).unwrap_or_default()),
        });
    }
    map
}

fn ulimits(spec: &ContainerSpec) -> Vec<ResourcesUlimits> {
    spec.ulimits
        .iter()
        .map(|(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })
        .collect()
}

/// The classic form for host paths that are made if absent, the typed form for everything else: it fails
/// if the path is not there, and the engines of today have no switch for that in the typed form.
fn mounts(wanted: &Wanted) -> (Vec<String>, Vec<Mount>) {
    let (mut binds, mut mounts) = (Vec::new(), Vec::new());
    for mount in &wanted.container.mounts {
        match &mount.source {
            MountSource::Bind { path, create: true } => {
                let mode = if mount.read_only { "ro" } else { "rw" };
                binds.push(format!("{path}:{}:{mode}", mount.target));
            }
            MountSource::Bind { path, create: false } => {
                mounts.push(typed(mount, MountType::BIND, Some(path.clone())));
            }
            MountSource::Volume { name } => {
                let name = names::volume_name(&wanted.project, name);
                mounts.push(typed(mount, MountType::VOLUME, Some(name)));
            }
            MountSource::Anonymous => mounts.push(typed(mount, MountType::VOLUME, None)),
            MountSource::Tmpfs { size_bytes, mode } => mounts.push(Mount {
                tmpfs_options: Some(MountTmpfsOptions {
                    size_bytes: size_bytes.map(signed),
                    mode: mode.map(i64::from),
                    options: None,
                }),
                ..typed(mount, MountType::TMPFS, None)
            }),
        }
    }
    (binds, mounts)
}

/// Each file of a secret or config, mounted at its place.
fn files(spec: &ContainerSpec, folder: Option<&Path>) -> Vec<Mount> {
    let files = spec.files.iter().enumerate().zip(folder.into_iter().cycle());
    let mount = |((index, file), folder): ((usize, &FileSpec), &Path)| Mount {
        target: Some(file.target.clone()),
        source: Some(folder.join(file_name(index, file)).to_string_lossy().into_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    };
    files.map(mount).collect()
}

/// What a file of a container is called on the node.
pub(crate) fn file_name(index: usize, file: &FileSpec) -> String {
    let secret = match &file.content {
        EnvironmentValue::Secret(reference) => reference.key.starts_with("secrets/"),
        EnvironmentValue::Plain(_) => false,
    };
    format!("{index}{}", if secret { SECRET_FILE } else { "" })
}

fn typed(mount: &MountSpec, typ: MountType, source: Option<String>) -> Mount {
    Mount {
        target: Some(mount.target.clone()),
        source,
        typ: Some(typ),
        read_only: Some(mount.read_only),
        ..Mount::default()
    }
}

fn network_mode(wanted: &Wanted) -> String {
    match (&wanted.container.network_mode, first_network(wanted)) {
        (Some(mode), _) => mode.clone(),
        (None, Some(network)) => names::network_name(&wanted.project, &network),
        (None, None) => "none".to_owned(),
    }
}

/// Engines before API 1.44 take one network at the creation; the others are joined before the start.
fn first_network(wanted: &Wanted) -> Option<String> {
    names::joined_networks(wanted).into_iter().next()
}

fn networking(wanted: &Wanted) -> Option<NetworkingConfig> {
    let network = first_network(wanted)?;
    let name = names::network_name(&wanted.project, &network);
    Some(NetworkingConfig {
        endpoints_config: Some(HashMap::from([(name, endpoint(wanted, &network))])),
    })
}

/// How a container is known on a network: by its service and by the aliases of the file.
pub(super) fn endpoint(wanted: &Wanted, network: &str) -> EndpointSettings {
    let mut aliases = vec![wanted.placed.service.clone()];
    if let Some(attachment) = wanted.container.networks.get(network) {
        aliases.extend(attachment.aliases.iter().cloned());
    }
    let first = first_network(wanted).as_deref() == Some(network);
    EndpointSettings {
        aliases: Some(aliases),
        mac_address: wanted.container.engine.mac_address.clone().filter(|_| first),
        ..EndpointSettings::default()
    }
}

mod options;

#[cfg(test)]
mod tests;
