//! Keys of what services are made of, and of what stands beside them.

use super::{Keys, LATER};

const BY_BUILDER: &str =
    "the engine's builder on the node does not have it; build such an image elsewhere, and push it";

pub(crate) const BUILD: Keys = Keys {
    read: &[
        "context",
        "dockerfile",
        "dockerfile_inline",
        "args",
        "target",
        "labels",
        "no_cache",
        "pull",
        "network",
        "extra_hosts",
        "platforms",
        "tags",
        "cache_from",
        "shm_size",
    ],
    unsupported: &[
        (
            "additional_contexts",
            "copy what it names into the context, or use an image by COPY --from=IMAGE",
        ),
        (
            "secrets",
            "the engine's builder on the node has no secret mounts; fetch what needs them before, into the context",
        ),
        (
            "ssh",
            "no key of yours is sent to a node; fetch what needs it before, into the context",
        ),
        ("cache_to", "the node keeps the layers of its builds by itself"),
        (
            "no_cache_filter",
            "use no_cache: true, which leaves the cache out of all stages",
        ),
        ("entitlements", "steps run with the rights of a usual container"),
        ("privileged", "steps run with the rights of a usual container"),
        ("ulimits", "steps run with the limits of the node's engine"),
        ("isolation", "Berth runs Linux containers only"),
        ("provenance", BY_BUILDER),
        ("sbom", BY_BUILDER),
    ],
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
    unsupported: &[(
        "x-cluster-spec",
        "it is for volumes of Docker's swarm mode; give `driver` and `driver_opts`",
    )],
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
        "file",
        "environment",
        "external",
        "x-berth-kept",
        "x-berth-content",
        "x-berth-base64",
    ],
    unsupported: &[
        ("name", "it is known by its key, and in this application only"),
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
