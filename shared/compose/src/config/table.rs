//! The keys of a Compose file with their forms, as in the Compose Specification.

use super::shape::{Field, Shape, Shape::*, always, field, said};

pub(super) const TOP: [Field; 10] = [
    field("version", Loose),
    field("name", Text),
    field("include", Any),
    said("services", Shape::Map(&Keys(&SERVICE))),
    said("networks", MapOfMaybe(&Keys(&NETWORK))),
    said("volumes", MapOfMaybe(&Keys(&VOLUME))),
    said("secrets", Shape::Map(&Keys(&FILE))),
    said("configs", Shape::Map(&Keys(&FILE))),
    said("models", Shape::Map(&Keys(&MODEL))),
    field("labels", Table),
];

const SERVICE: [Field; 102] = [
    field("profiles", Texts),
    field("annotations", Table),
    said("attach", Truth),
    said("build", Keys(&BUILD)),
    said("develop", Keys(&DEVELOP)),
    said("blkio_config", Keys(&BLKIO)),
    field("cap_add", Texts),
    field("cap_drop", Texts),
    field("cgroup_parent", Text),
    field("cgroup", Text),
    field("cpu_count", Whole),
    field("cpu_percent", Number),
    field("cpu_period", Whole),
    field("cpu_quota", Whole),
    field("cpu_rt_period", Whole),
    field("cpu_rt_runtime", Whole),
    field("cpus", Number),
    field("cpuset", Loose),
    field("cpu_shares", Whole),
    always("command", Command),
    field("configs", List(&Keys(&MOUNTED))),
    field("container_name", Text),
    said("credential_spec", Keys(&CREDENTIAL)),
    field("depends_on", Shape::Map(&Keys(&DEPENDENCY))),
    said("deploy", Keys(&DEPLOY)),
    field("device_cgroup_rules", Texts),
    field("devices", List(&Keys(&DEVICE))),
    field("dns", Texts),
    field("dns_opt", Texts),
    field("dns_search", Texts),
    field("dockerfile", Text),
    field("domainname", Text),
    always("entrypoint", Command),
    said("provider", Keys(&PROVIDER)),
    field("environment", Names),
    field("env_file", List(&Keys(&ENV_FILE))),
    field("expose", Texts),
    field("external_links", Texts),
    field("extra_hosts", Hosts),
    field("group_add", Texts),
    field("gpus", List(&Keys(&REQUEST))),
    field("hostname", Text),
    said("healthcheck", Keys(&HEALTHCHECK)),
    field("image", Text),
    said("init", Truth),
    field("ipc", Text),
    field("isolation", Text),
    field("labels", Table),
    field("label_file", Texts),
    field("links", Texts),
    said("logging", Keys(&LOGGING)),
    field("log_driver", Text),
    field("log_opt", Table),
    field("mem_limit", Bytes),
    field("mem_reservation", Bytes),
    field("memswap_limit", Bytes),
    field("mem_swappiness", Bytes),
    field("mac_address", Text),
    field("models", MapOfMaybe(&Keys(&SERVICE_MODEL))),
    field("net", Text),
    field("network_mode", Text),
    field("networks", MapOfMaybe(&Keys(&ATTACHMENT))),
    field("oom_kill_disable", Truth),
    field("oom_score_adj", Whole),
    field("pid", Text),
    field("pids_limit", Whole),
    field("platform", Text),
    field("ports", List(&Keys(&PORT))),
    field("privileged", Truth),
    field("pull_policy", Text),
    field("read_only", Truth),
    field("restart", Text),
    field("runtime", Text),
    said("scale", Whole),
    field("secrets", List(&Keys(&MOUNTED))),
    field("security_opt", Texts),
    field("shm_size", Bytes),
    field("stdin_open", Truth),
    said("stop_grace_period", Time),
    field("stop_signal", Text),
    field("storage_opt", Table),
    field("sysctls", Table),
    field("tmpfs", Texts),
    field("tty", Truth),
    field("ulimits", Shape::Map(&Limit)),
    field("use_api_socket", Truth),
    field("user", Loose),
    field("userns_mode", Text),
    field("uts", Text),
    field("volume_driver", Text),
    field("volumes", List(&Keys(&MOUNT))),
    field("volumes_from", Texts),
    field("working_dir", Text),
    field("pre_start", List(&Keys(&HOOK))),
    field("post_start", List(&Keys(&HOOK))),
    field("pre_stop", List(&Keys(&HOOK))),
    // Of earlier versions.
    field("kernel_memory", Bytes),
    field("memswap_reservation", Bytes),
    field("oom-kill-disable", Truth),
    field("dns_options", Texts),
    field("external", Any),
    field("extends", Any),
];

const BUILD: [Field; 25] = [
    field("context", Text),
    said("dockerfile", Text),
    field("dockerfile_inline", Text),
    field("entitlements", Texts),
    field("args", Names),
    field("provenance", Loose),
    field("sbom", Loose),
    field("ssh", MapOfMaybe(&Loose)),
    field("labels", Table),
    field("cache_from", Texts),
    field("cache_to", Texts),
    field("no_cache", Truth),
    field("no_cache_filter", Texts),
    field("additional_contexts", Table),
    field("pull", Truth),
    field("extra_hosts", Hosts),
    field("isolation", Text),
    field("network", Text),
    field("target", Text),
    field("secrets", List(&Keys(&MOUNTED))),
    field("shm_size", Bytes),
    field("tags", Texts),
    field("ulimits", Shape::Map(&Limit)),
    field("platforms", Texts),
    field("privileged", Truth),
];

const DEVELOP: [Field; 1] = [field("watch", List(&Keys(&TRIGGER)))];

const TRIGGER: [Field; 7] = [
    field("path", Text),
    field("action", Text),
    field("target", Text),
    always("exec", Keys(&HOOK)),
    field("include", Texts),
    field("ignore", Texts),
    field("initial_sync", Truth),
];

const HOOK: [Field; 7] = [
    always("command", Command),
    field("image", Text),
    field("user", Loose),
    field("privileged", Truth),
    field("working_dir", Text),
    field("environment", Names),
    field("per_replica", Truth),
];

const BLKIO: [Field; 6] = [
    field("weight", Whole),
    field("weight_device", List(&Keys(&WEIGHT))),
    field("device_read_bps", List(&Keys(&RATE))),
    field("device_read_iops", List(&Keys(&RATE))),
    field("device_write_bps", List(&Keys(&RATE))),
    field("device_write_iops", List(&Keys(&RATE))),
];

const WEIGHT: [Field; 2] = [said("path", Text), said("weight", Whole)];
const RATE: [Field; 2] = [said("path", Text), said("rate", Bytes)];

const MOUNTED: [Field; 5] = [
    field("source", Text),
    field("target", Text),
    field("uid", Loose),
    field("gid", Loose),
    said("mode", Mode),
];

const CREDENTIAL: [Field; 3] = [
    field("config", Text),
    field("file", Text),
    field("registry", Text),
];

const DEPENDENCY: [Field; 3] = [
    field("condition", Text),
    field("restart", Truth),
    said("required", Truth),
];

const DEPLOY: [Field; 9] = [
    field("mode", Text),
    said("replicas", Whole),
    field("labels", Table),
    said("update_config", Keys(&UPDATE)),
    said("rollback_config", Keys(&UPDATE)),
    always("resources", Keys(&RESOURCES)),
    said("restart_policy", Keys(&RESTART)),
    always("placement", Keys(&PLACEMENT)),
    field("endpoint_mode", Text),
];

const UPDATE: [Field; 6] = [
    said("parallelism", Whole),
    field("delay", Time),
    field("failure_action", Text),
    field("monitor", Time),
    field("max_failure_ratio", Number),
    field("order", Text),
];

const RESOURCES: [Field; 2] = [
    said("limits", Keys(&RESOURCE)),
    said("reservations", Keys(&RESOURCE)),
];

const RESOURCE: [Field; 5] = [
    field("cpus", Number),
    field("memory", Bytes),
    field("pids", Whole),
    field("devices", List(&Keys(&REQUEST))),
    field("generic_resources", List(&Any)),
];

const RESTART: [Field; 4] = [
    field("condition", Text),
    said("delay", Time),
    said("max_attempts", Whole),
    said("window", Time),
];

const PLACEMENT: [Field; 3] = [
    field("constraints", Texts),
    field("preferences", List(&Keys(&PREFERENCE))),
    field("max_replicas_per_node", Whole),
];

const PREFERENCE: [Field; 1] = [field("spread", Text)];

const DEVICE: [Field; 3] = [
    field("source", Text),
    field("target", Text),
    field("permissions", Text),
];

const REQUEST: [Field; 5] = [
    field("capabilities", Texts),
    field("driver", Text),
    field("count", Count),
    field("device_ids", Texts),
    field("options", Table),
];

const PROVIDER: [Field; 2] = [field("type", Text), field("options", Any)];
const ENV_FILE: [Field; 3] = [
    field("path", Text),
    said("required", Truth),
    field("format", Text),
];

const HEALTHCHECK: [Field; 7] = [
    field("test", Test),
    said("timeout", Time),
    said("interval", Time),
    said("retries", Whole),
    said("start_period", Time),
    said("start_interval", Time),
    field("disable", Truth),
];

const LOGGING: [Field; 2] = [field("driver", Text), field("options", Table)];

const SERVICE_MODEL: [Field; 2] = [field("endpoint_var", Text), field("model_var", Text)];
const MODEL: [Field; 4] = [
    field("name", Text),
    field("model", Text),
    field("context_size", Whole),
    field("runtime_flags", Texts),
];

const ATTACHMENT: [Field; 9] = [
    field("aliases", Texts),
    field("driver_opts", Table),
    field("gw_priority", Whole),
    field("interface_name", Text),
    field("ipv4_address", Text),
    field("ipv6_address", Text),
    field("link_local_ips", Texts),
    field("mac_address", Text),
    field("priority", Whole),
];

const PORT: [Field; 7] = [
    field("name", Text),
    field("mode", Text),
    field("host_ip", Text),
    field("target", Whole),
    field("published", Loose),
    field("protocol", Text),
    field("app_protocol", Text),
];

const MOUNT: [Field; 9] = [
    field("type", Text),
    field("source", Text),
    field("target", Text),
    field("read_only", Truth),
    field("consistency", Text),
    said("bind", Keys(&BIND)),
    said("volume", Keys(&MOUNT_VOLUME)),
    said("tmpfs", Keys(&TMPFS)),
    said("image", Keys(&MOUNT_IMAGE)),
];

const BIND: [Field; 4] = [
    field("selinux", Text),
    field("propagation", Text),
    said("create_host_path", Truth),
    field("recursive", Text),
];

const MOUNT_VOLUME: [Field; 3] = [
    field("labels", Table),
    field("nocopy", Truth),
    field("subpath", Text),
];
const TMPFS: [Field; 2] = [field("size", Bytes), field("mode", Whole)];
const MOUNT_IMAGE: [Field; 1] = [field("subpath", Text)];

const NETWORK: [Field; 10] = [
    field("name", Text),
    field("driver", Text),
    field("driver_opts", Table),
    always("ipam", Keys(&IPAM)),
    field("external", Truth),
    field("internal", Truth),
    field("attachable", Truth),
    field("labels", Table),
    said("enable_ipv4", Truth),
    said("enable_ipv6", Truth),
];

const IPAM: [Field; 3] = [
    field("driver", Text),
    field("config", List(&Keys(&POOL))),
    field("options", Table),
];

const POOL: [Field; 4] = [
    field("subnet", Text),
    field("gateway", Text),
    field("ip_range", Text),
    field("aux_addresses", Table),
];

const VOLUME: [Field; 5] = [
    field("name", Text),
    field("driver", Text),
    field("driver_opts", Table),
    field("external", Truth),
    field("labels", Table),
];

const FILE: [Field; 9] = [
    field("name", Text),
    field("file", Text),
    field("environment", Text),
    field("content", Text),
    field("external", Truth),
    field("labels", Table),
    field("driver", Text),
    field("driver_opts", Table),
    field("template_driver", Text),
];
