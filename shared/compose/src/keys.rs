//! Which keys there are, and what to do instead of those that have no effect here.

use crate::{
    cx::{Cx, Item},
    diagnostic::Severity,
};

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
const BUILD: &str = "build and push the image first, and name it under `image`";

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

pub(crate) const BUILD_CURE: &str = BUILD;

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
    read: &["cpus", "memory", "devices"],
    unsupported: &[("generic_resources", LATER), ("pids", "set it under `limits`")],
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

pub(crate) const LOGGING: Keys = Keys {
    read: &["driver", "options"],
    unsupported: &[],
};

pub(crate) const ULIMIT: Keys = Keys {
    read: &["soft", "hard"],
    unsupported: &[],
};

pub(crate) const PORT: Keys = Keys {
    read: &["target", "published", "protocol", "host_ip", "mode"],
    unsupported: &[
        ("name", "it is a note only"),
        ("app_protocol", "it is a note only"),
    ],
};

pub(crate) const MOUNT: Keys = Keys {
    read: &["type", "source", "target", "read_only", "bind", "tmpfs", "volume"],
    unsupported: &[
        ("consistency", "mounts are always consistent on Linux"),
        ("image", LATER),
    ],
};

pub(crate) const MOUNT_BIND: Keys = Keys {
    read: &["create_host_path"],
    unsupported: &[
        ("propagation", "the engine's default is used"),
        ("selinux", "set the label on the node"),
        ("recursive", "the engine's default is used"),
    ],
};

pub(crate) const MOUNT_TMPFS: Keys = Keys {
    read: &["size", "mode"],
    unsupported: &[],
};

pub(crate) const MOUNT_VOLUME: Keys = Keys {
    read: &[],
    unsupported: &[
        (
            "nocopy",
            "an empty volume is filled from the image, as the engine does",
        ),
        ("subpath", "mount the whole volume"),
        ("labels", "write the labels under the top-level `volumes`"),
    ],
};

pub(crate) const VOLUME: Keys = Keys {
    read: &["name", "external", "driver", "driver_opts", "labels"],
    unsupported: &[],
};

pub(crate) const NETWORK: Keys = Keys {
    read: &["name", "external", "internal", "labels", "driver"],
    unsupported: &[
        ("driver_opts", LATER),
        ("attachable", "a bridge is attachable on its node anyway"),
        ("enable_ipv4", LATER),
        ("enable_ipv6", LATER),
        ("ipam", "the engine chooses the addresses"),
    ],
};

pub(crate) const ATTACHMENT: Keys = Keys {
    read: &["aliases"],
    unsupported: &[
        ("ipv4_address", "the engine chooses the address; use the name"),
        ("ipv6_address", "the engine chooses the address; use the name"),
        ("link_local_ips", LATER),
        ("mac_address", "the engine chooses it"),
        ("interface_name", LATER),
        ("driver_opts", LATER),
        ("gw_priority", LATER),
        ("priority", LATER),
    ],
};

pub(crate) const DEPENDENCY: Keys = Keys {
    read: &["condition"],
    unsupported: &[
        (
            "restart",
            "containers are not restarted when one that they need was updated",
        ),
        ("required", "every service of the file is deployed"),
    ],
};

const NOTE: &str = "nothing looks at it";
const OWN_DRIVER: &str = "remove it: the vault keeps the content";

pub(crate) const SECRET: Keys = Keys {
    read: &[
        "name",
        "file",
        "environment",
        "external",
        "x-berth-kept",
        "x-berth-content",
        "x-berth-base64",
    ],
    unsupported: &[
        ("labels", NOTE),
        ("driver", OWN_DRIVER),
        ("driver_opts", OWN_DRIVER),
        (
            "template_driver",
            "write the values with variables of the file: ${NAME}",
        ),
    ],
};

pub(crate) const CONFIG: Keys = Keys {
    read: &[
        "name",
        "file",
        "environment",
        "content",
        "external",
        "x-berth-kept",
        "x-berth-public",
        "x-berth-content",
        "x-berth-base64",
    ],
    unsupported: SECRET.unsupported,
};

pub(crate) const MOUNTED: Keys = Keys {
    read: &["source", "target", "uid", "gid", "mode"],
    unsupported: &[],
};

pub(crate) const ENV_FILE: Keys = Keys {
    read: &["path", "required", "format"],
    unsupported: &[],
};

pub(crate) const DEVICE: Keys = Keys {
    read: &["source", "target", "permissions"],
    unsupported: &[],
};

pub(crate) const DEVICE_REQUEST: Keys = Keys {
    read: &["driver", "count", "device_ids", "capabilities", "options"],
    unsupported: &[],
};

pub(crate) const BLKIO: Keys = Keys {
    read: &[
        "weight",
        "weight_device",
        "device_read_bps",
        "device_write_bps",
        "device_read_iops",
        "device_write_iops",
    ],
    unsupported: &[],
};
