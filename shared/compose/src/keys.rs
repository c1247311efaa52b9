//! Which keys there are, and what to do instead of those that have no effect here.

use crate::{
    cx::{Cx, Item},
    diagnostic::Severity,
};

mod parts;
pub(crate) use parts::*;

/// The keys of one mapping.
pub(crate) struct Keys {
    /// Keys that are read.
    pub read: &'static [&'static str],
    /// Keys of Compose that have no effect here, each with a cure.
    pub unsupported: &'static [(&'static str, &'static str)],
}

impl Cx {
    /// Warns of every key that is not read. `x-…` is silent, except a near miss of one of Berth's own.
    pub(crate) fn check_keys(&self, item: &Item<'_>, keys: &Keys) {
        for entry in item.entries() {
            let key = entry.key;
            if keys.read.contains(&key) {
                continue;
            }
            if let Some((_, cure)) = keys.unsupported.iter().find(|(name, _)| *name == key) {
                let message = format!("`{key}` has no effect");
                self.warn(&entry, "compose.unsupported_key", message, *cure);
            } else if !key.starts_with("x-") || key.starts_with("x-berth") {
                self.unknown(&entry, keys);
            }
        }
    }

    fn unknown(&self, entry: &Item<'_>, keys: &Keys) {
        let names = keys
            .read
            .iter()
            .chain(keys.unsupported.iter().map(|(name, _)| name));
        let cure = match self.nearest(entry.key, names.copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "remove it, or begin its name with `x-` if it is a note of your own".to_owned(),
        };
        let message = format!(
            "`{}` is no key that Compose has here; it has no effect",
            crate::cx::shorten(entry.key)
        );
        let at = entry.key_at.unwrap_or(entry.node.at);
        self.report(
            Severity::Warning,
            "compose.unknown_key",
            &entry.path,
            at,
            message,
            cure,
        );
    }
}

const LATER: &str = "it comes with a later release";
const IN_DEPLOY: &str = "write it under `deploy`";

pub(crate) const TOP: Keys = Keys {
    read: &[
        "version", "name", "services", "volumes", "networks", "labels", "secrets", "configs",
    ],
    unsupported: &[(
        "models",
        "name the address of the model in an environment variable",
    )],
};

pub(crate) const SERVICE: Keys = Keys {
    read: &[
        "image",
        "build",
        "command",
        "entrypoint",
        "environment",
        "env_file",
        "ports",
        "expose",
        "labels",
        "restart",
        "depends_on",
        "deploy",
        "scale",
        "cpus",
        "mem_limit",
        "mem_reservation",
        "cpu_shares",
        "pids_limit",
        "shm_size",
        "user",
        "working_dir",
        "hostname",
        "healthcheck",
        "stop_signal",
        "stop_grace_period",
        "cap_add",
        "cap_drop",
        "read_only",
        "tmpfs",
        "ulimits",
        "sysctls",
        "extra_hosts",
        "logging",
        "volumes",
        "networks",
        "network_mode",
        "privileged",
        "pid",
        "ipc",
        "init",
        "tty",
        "stdin_open",
        "platform",
        "pull_policy",
        "profiles",
        "links",
        "external_links",
        "volumes_from",
        "secrets",
        "configs",
        "dns",
        "dns_search",
        "dns_opt",
        "domainname",
        "devices",
        "device_cgroup_rules",
        "gpus",
        "runtime",
        "security_opt",
        "userns_mode",
        "uts",
        "cgroup",
        "cgroup_parent",
        "group_add",
        "isolation",
        "mac_address",
        "oom_kill_disable",
        "oom_score_adj",
        "mem_swappiness",
        "memswap_limit",
        "blkio_config",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpuset",
        "storage_opt",
        "annotations",
        "dns_options",
        "oom-kill-disable",
        "x-berth-public",
        "x-berth-abandon-volume",
        "x-berth-strategy",
    ],
    unsupported: &[
        ("replicas", IN_DEPLOY),
        ("mode", IN_DEPLOY),
        ("placement", IN_DEPLOY),
        ("resources", IN_DEPLOY),
        ("restart_policy", IN_DEPLOY),
        ("net", "write it as `network_mode`"),
        ("cgroupns_mode", "write it as `cgroup`"),
        (
            "pull_refresh_after",
            "write it as `pull_policy`: daily, weekly or every_12h",
        ),
        ("dockerfile", "write it under `build`"),
        ("log_driver", "write it as `driver` under `logging`"),
        ("log_opt", "write it as `options` under `logging`"),
        (
            "container_name",
            "Berth names containers `<application>_<service>_<number>`; use a network alias for a fixed name",
        ),
        ("cpu_count", "use `cpus`"),
        ("cpu_percent", "use `cpus`"),
        ("attach", "`berth logs` shows the output"),
        ("develop", "it is for work on one machine"),
        ("label_file", "write the labels under `labels`"),
        ("post_start", LATER),
        ("pre_stop", LATER),
        ("provider", LATER),
        (
            "models",
            "name the address of the model in an environment variable",
        ),
        ("credential_spec", "Berth runs Linux containers only"),
        ("use_api_socket", "the engine is reached through Berth only"),
        ("external", LATER),
        (
            "kernel_memory",
            "kernels and engines of today have no such limit; set `mem_limit`",
        ),
        (
            "memswap_reservation",
            "no engine has such a limit; set `mem_reservation`",
        ),
        (
            "volume_driver",
            "write `driver` at the volume under the top-level `volumes`",
        ),
    ],
};

pub(crate) const DEPLOY: Keys = Keys {
    read: &[
        "replicas",
        "mode",
        "placement",
        "resources",
        "restart_policy",
        "labels",
        "update_config",
        "rollback_config",
    ],
    unsupported: &[(
        "endpoint_mode",
        "service names resolve to the containers; a virtual address comes with a later release",
    )],
};

pub(crate) const UPDATE: Keys = Keys {
    read: &[
        "parallelism",
        "delay",
        "failure_action",
        "monitor",
        "max_failure_ratio",
        "order",
    ],
    unsupported: &[],
};

pub(crate) const PLACEMENT: Keys = Keys {
    read: &["constraints", "preferences", "max_replicas_per_node"],
    unsupported: &[],
};

pub(crate) const RESOURCES: Keys = Keys {
    read: &["limits", "reservations"],
    unsupported: &[],
};

pub(crate) const LIMITS: Keys = Keys {
    read: &["cpus", "memory", "pids"],
    unsupported: &[],
};

pub(crate) const RESERVATIONS: Keys = Keys {
    read: &["cpus", "memory", "devices", "generic_resources"],
    unsupported: &[("pids", "set it under `limits`")],
};

pub(crate) const GENERIC_RESOURCE: Keys = Keys {
    read: &["discrete_resource_spec"],
    unsupported: &[],
};

pub(crate) const DISCRETE_RESOURCE: Keys = Keys {
    read: &["kind", "value"],
    unsupported: &[],
};

pub(crate) const RESTART_POLICY: Keys = Keys {
    read: &["condition", "delay", "max_attempts"],
    unsupported: &[(
        "window",
        "Berth counts a container that ran for a while as recovered by itself",
    )],
};

pub(crate) const HEALTHCHECK: Keys = Keys {
    read: &[
        "test",
        "disable",
        "interval",
        "timeout",
        "retries",
        "start_period",
        "start_interval",
    ],
    unsupported: &[],
};
