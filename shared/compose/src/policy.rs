//! What a cluster's policy refuses. Every rule is one line of [`RULES`].

use crate::limits::MAX_DIAGNOSTICS;
use berth_events::SecurityPolicy;
use berth_events::spec::{ApplicationSpec, ContainerSpec, MountSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that a policy refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyViolation {
    /// The service.
    pub service: String,
    /// The key in the file, such as `cap_add`.
    pub key: String,
    /// The refused value.
    pub value: String,
    /// Stable name of the rule, such as `host_network`.
    pub rule: String,
    /// The policy in force.
    pub policy: SecurityPolicy,
    /// Who can allow it, and how.
    pub who_may_allow: String,
}

impl fmt::Display for PolicyViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            key,
            value,
            rule,
            ..
        } = self;
        let policy = name(self.policy);
        write!(
            f,
            "`{key}: {value}` of the service `{service}` is refused by the rule `{rule}` of the policy `{policy}`"
        )
    }
}

/// Its name in files and on the command line.
fn name(policy: SecurityPolicy) -> &'static str {
    match policy {
        SecurityPolicy::Restricted => "restricted",
        SecurityPolicy::Baseline => "baseline",
        SecurityPolicy::Open => "open",
    }
}

/// Keys and values that a rule has found.
type Found = Vec<(&'static str, String)>;

/// A rule: the strictest policy that allows what it finds, and what it finds as (key, value).
struct Rule {
    name: &'static str,
    allowed_by: SecurityPolicy,
    find: fn(&ContainerSpec, &ApplicationSpec) -> Found,
}

const RULES: [Rule; 13] = [
    Rule {
        name: "privileged",
        allowed_by: SecurityPolicy::Open,
        find: privileged,
    },
    Rule {
        name: "host_network",
        allowed_by: SecurityPolicy::Open,
        find: host_network,
    },
    Rule {
        name: "host_namespace",
        allowed_by: SecurityPolicy::Open,
        find: host_namespace,
    },
    Rule {
        name: "engine_socket",
        allowed_by: SecurityPolicy::Open,
        find: engine_socket,
    },
    Rule {
        name: "system_path",
        allowed_by: SecurityPolicy::Open,
        find: system_path,
    },
    Rule {
        name: "dangerous_capability",
        allowed_by: SecurityPolicy::Open,
        find: dangerous_capability,
    },
    Rule {
        name: "node_device",
        allowed_by: SecurityPolicy::Open,
        find: node_device,
    },
    Rule {
        name: "weak_security",
        allowed_by: SecurityPolicy::Open,
        find: weak_security,
    },
    Rule {
        name: "control_group",
        allowed_by: SecurityPolicy::Open,
        find: control_group,
    },
    Rule {
        name: "memory_priority",
        allowed_by: SecurityPolicy::Open,
        find: memory_priority,
    },
    Rule {
        name: "engine_runtime",
        allowed_by: SecurityPolicy::Baseline,
        find: engine_runtime,
    },
    Rule {
        name: "host_path",
        allowed_by: SecurityPolicy::Baseline,
        find: host_path,
    },
    Rule {
        name: "added_capability",
        allowed_by: SecurityPolicy::Baseline,
        find: added_capability,
    },
];

/// Capabilities that lead out of the container or let it disturb the node.
const DANGEROUS_CAPABILITIES: [&str; 18] = [
    "ALL",
    "SYS_ADMIN",
    "NET_ADMIN",
    "SYS_PTRACE",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_BOOT",
    "SYS_TIME",
    "DAC_READ_SEARCH",
    "BPF",
    "PERFMON",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "SYSLOG",
    "AUDIT_CONTROL",
    "CHECKPOINT_RESTORE",
    "SYS_PACCT",
    "LINUX_IMMUTABLE",
];
/// Sockets whose holder commands the node.
const ENGINE_SOCKETS: [&str; 3] = ["docker.sock", "containerd.sock", "podman.sock"];
/// Folders whose holder commands the node; what is below them counts too.
const SYSTEM_PATHS: [&str; 13] = [
    "/etc",
    "/proc",
    "/sys",
    "/var/run",
    "/run",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/root",
    "/boot",
    "/dev",
    "/bin",
    "/sbin",
    "/usr",
];

/// What a policy refuses of an application, in the order of services and rules; at most
/// [`MAX_DIAGNOSTICS`](crate::limits::MAX_DIAGNOSTICS) things, more are not needed to refuse it.
pub fn policy_violations(spec: &ApplicationSpec, policy: SecurityPolicy) -> Vec<PolicyViolation> {
    let mut violations: Vec<PolicyViolation> = Vec::new();
    for (service, service_spec) in &spec.services {
        for rule in RULES.iter().filter(|rule| policy < rule.allowed_by) {
            for (key, value) in (rule.find)(&service_spec.container, spec) {
                let known = |v: &PolicyViolation| v.service == *service && v.key == key && v.value == value;
                if violations.len() >= MAX_DIAGNOSTICS {
                    return violations;
                }
                if !violations.iter().any(known) {
                    violations.push(PolicyViolation {
                        service: service.clone(),
                        key: key.to_owned(),
                        value,
                        rule: rule.name.to_owned(),
                        policy,
                        who_may_allow: format!(
                            "ask an administrator of the cluster to set its policy to {}",
                            name(rule.allowed_by)
                        ),
                    });
                }
            }
        }
    }
    violations
}

fn privileged(container: &ContainerSpec, _: &ApplicationSpec) -> Found {
    if container.privileged {
        vec![("privileged", "true".to_owned())]
    } else {
        Vec::new()
    }
}

fn host_network(container: &ContainerSpec, spec: &ApplicationSpec) -> Found {
    let mode = container.network_mode.iter().filter(|mode| *mode == "host");
    // Joining an existing network that is called `host` is the same by another name.
    let joined = container.networks.keys().filter(|name| {
        spec.networks
            .get(*name)
            .and_then(|network| network.name.as_deref())
            .unwrap_or(name)
            == "host"
    });
    mode.map(|mode| ("network_mode", mode.clone()))
        .chain(joined.map(|name| ("networks", name.clone())))
        .collect()
}

fn host_namespace(container: &ContainerSpec, _: &ApplicationSpec) -> Found {
    let engine = &container.engine;
    let namespaces = [
        ("pid", &container.pid_mode),
        ("ipc", &container.ipc_mode),
        ("userns_mode", &engine.userns_mode),
        ("uts", &engine.uts_mode),
        ("cgroup", &engine.cgroup),
    ];
    let named = namespaces
        .into_iter()
        .filter_map(|(key, mode)| mode.clone().map(|mode| (key, mode)));
    named.filter(|(_, mode)| mode == "host").collect()
}

/// Paths of the node that the container sees. The options of a volume can name some too: `device` of a
/// bind mount, `lowerdir` of an overlay, the folder of a plugin.
fn binds<'s>(container: &'s ContainerSpec, spec: &'s ApplicationSpec) -> Vec<&'s str> {
    let mut paths = Vec::new();
    for mount in &container.mounts {
        match &mount.source {
            MountSource::Bind { path, .. } => paths.push(path.as_str()),
            MountSource::Volume { name } => {
                let options = spec
                    .volumes
                    .get(name)
                    .into_iter()
                    .flat_map(|volume| volume.driver_opts.values());
                paths.extend(options.flat_map(|option| option_paths(option)));
            }
            MountSource::Anonymous | MountSource::Tmpfs { .. } => {}
        }
    }
    paths
}

/// Absolute paths in an option. `:/path` is one of another machine.
fn option_paths(option: &str) -> impl Iterator<Item = &str> {
    let local = if option.starts_with(':') { "" } else { option };
    local.split([',', ':', '=']).filter(|part| part.starts_with('/'))
}

fn refused_binds(container: &ContainerSpec, spec: &ApplicationSpec, refused: impl Fn(&str) -> bool) -> Found {
    let paths = binds(container, spec).into_iter();
    paths
        .filter(|path| refused(path))
        .map(|path| ("volumes", path.to_owned()))
        .collect()
}

fn engine_socket(container: &ContainerSpec, spec: &ApplicationSpec) -> Found {
    refused_binds(container, spec, |path| {
        ENGINE_SOCKETS.iter().any(|socket| path.ends_with(socket))
    })
}

/// A path is as bad as what it holds: `/var/lib` holds `/var/lib/docker`.
fn system_path(container: &ContainerSpec, spec: &ApplicationSpec) -> Found {
    refused_binds(container, spec, |path| {
        let clean = crate::mounts::normal(path).unwrap_or_else(|| "/".to_owned());
        clean == "/"
            || SYSTEM_PATHS
                .iter()
                .any(|system| within(&clean, system) || within(system, &clean))
    })
}

fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn host_path(container: &ContainerSpec, spec: &ApplicationSpec) -> Found {
    refused_binds(container, spec, |_| true)
}

fn dangerous_capability(container: &ContainerSpec, spec: &ApplicationSpec) -> Found {
    let added = added_capability(container, spec).into_iter();
    added
        .filter(|(_, name)| DANGEROUS_CAPABILITIES.contains(&bare(name).as_str()))
        .collect()
}

fn added_capability(container: &ContainerSpec, _: &ApplicationSpec) -> Found {
    container
        .cap_add
        .iter()
        .map(|name| ("cap_add", name.clone()))
        .collect()
}

/// The name without `CAP_`: a specification may come from elsewhere than a file.
fn bare(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

/// Whoever has a device of the node may read and write past its file systems.
fn node_device(container: &ContainerSpec, _: &ApplicationSpec) -> Found {
    let devices = container.engine.devices.iter();
    let devices = devices.map(|device| ("devices", device.source.clone()));
    let rules = container.engine.device_cgroup_rules.iter();
    devices
        .chain(rules.map(|rule| ("device_cgroup_rules", rule.clone())))
        .collect()
}

/// Options that take protections away; only more protection is free.
fn weak_security(container: &ContainerSpec, _: &ApplicationSpec) -> Found {
    let strict = |option: &str| matches!(option.split(['=', ':']).next(), Some("no-new-privileges"));
    let options = container.engine.security_opt.iter();
    options
        .filter(|option| !strict(option))
        .map(|option| ("security_opt", option.clone()))
        .collect()
}

fn control_group(container: &ContainerSpec, _: &ApplicationSpec) -> Found {
    let parent = container.engine.cgroup_parent.iter();
    parent.map(|parent| ("cgroup_parent", parent.clone())).collect()
}

/// What lets a container live on while others are killed for memory.
fn memory_priority(container: &ContainerSpec, _: &ApplicationSpec) -> Found {
    let engine = &container.engine;
    let score = engine.oom_score_adj.filter(|score| *score < 0);
    let score = score.map(|score| ("oom_score_adj", score.to_string()));
    let disable = engine
        .oom_kill_disable
        .then(|| ("oom_kill_disable", "true".to_owned()));
    score.into_iter().chain(disable).collect()
}

fn engine_runtime(container: &ContainerSpec, _: &ApplicationSpec) -> Found {
    let runtime = container.engine.runtime.iter();
    runtime.map(|runtime| ("runtime", runtime.clone())).collect()
}
