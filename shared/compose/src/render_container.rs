//! The keys of one container as YAML: ports, mounts, networks, and how it runs.

use crate::{render::Entries, yaml::Yaml};
use berth_events::spec::{ContainerSpec, HealthcheckSpec, MountSource, MountSpec, PortSpec, PullPolicy};

pub(crate) fn port_text(port: &PortSpec) -> String {
    let published = port.published.map_or_else(String::new, |port| port.to_string());
    let front = match &port.host_ip {
        Some(ip) if ip.contains(':') => format!("[{ip}]:{published}:"),
        Some(ip) => format!("{ip}:{published}:"),
        None if published.is_empty() => String::new(),
        None => format!("{published}:"),
    };
    let protocol = if port.protocol == "tcp" {
        String::new()
    } else {
        format!("/{}", port.protocol)
    };
    format!("{front}{}{protocol}", port.target)
}

pub(crate) fn mount_entries(mount: &MountSpec) -> Yaml {
    let mode = if mount.read_only { ":ro" } else { "" };
    let simple = !mount.target.contains(':');
    let mut out = Entries::default();
    match &mount.source {
        MountSource::Volume { name } if simple => {
            return Yaml::text(format!("{name}:{}{mode}", mount.target));
        }
        MountSource::Bind { path, create: true } if simple && !path.contains(':') => {
            return Yaml::text(format!("{path}:{}{mode}", mount.target));
        }
        MountSource::Anonymous if simple && !mount.read_only => return Yaml::text(&mount.target),
        MountSource::Volume { name } => {
            out.add("type", Yaml::text("volume"));
            out.add("source", Yaml::text(name));
        }
        MountSource::Anonymous => out.add("type", Yaml::text("volume")),
        MountSource::Bind { path, create } => {
            out.add("type", Yaml::text("bind"));
            out.add("source", Yaml::text(path));
            out.add(
                "bind",
                Yaml::Map(vec![("create_host_path".to_owned(), Yaml::raw(create))]),
            );
        }
        MountSource::Tmpfs { size_bytes, mode } => {
            out.add("type", Yaml::text("tmpfs"));
            let mut options = Entries::default();
            if let Some(size) = size_bytes {
                options.add("size", Yaml::raw(size));
            }
            if let Some(mode) = mode {
                options.add("mode", Yaml::raw(format!("0{mode:o}")));
            }
            out.nested("tmpfs", options.map());
        }
    }
    out.add("target", Yaml::text(&mount.target));
    out.flag("read_only", mount.read_only);
    out.map()
}

pub(crate) fn networks(out: &mut Entries, container: &ContainerSpec) {
    if let Some(mode) = &container.network_mode {
        out.add("network_mode", Yaml::text(mode));
        return;
    }
    let plain = container
        .networks
        .values()
        .all(|attachment| attachment.aliases.is_empty());
    let names: Vec<&String> = container.networks.keys().collect();
    if plain && names == [crate::networks::DEFAULT] {
        return;
    }
    if plain {
        out.add("networks", Yaml::texts(names));
        return;
    }
    let entries = container.networks.iter().map(|(name, attachment)| {
        let mut entry = Entries::default();
        entry.nested("aliases", Yaml::texts(&attachment.aliases));
        (name.clone(), entry.map())
    });
    out.add("networks", Yaml::Map(entries.collect()));
}

pub(crate) fn runtime(out: &mut Entries, container: &ContainerSpec) {
    out.text("user", container.user.as_ref());
    out.text("working_dir", container.working_dir.as_ref());
    out.text("hostname", container.hostname.as_ref());
    if let Some(check) = &container.healthcheck {
        out.nested("healthcheck", healthcheck(check));
    }
    out.text("stop_signal", container.stop_signal.as_ref());
    out.duration("stop_grace_period", container.stop_grace_period_ms);
    out.nested("cap_add", Yaml::texts(&container.cap_add));
    out.nested("cap_drop", Yaml::texts(&container.cap_drop));
    out.flag("read_only", container.read_only);
    out.number("shm_size", container.resources.shm_bytes);
    let ulimits = container.ulimits.iter().map(|(name, limit)| {
        let both = [("soft", limit.soft), ("hard", limit.hard)];
        let both = both.map(|(key, value)| (key.to_owned(), Yaml::raw(value)));
        (name.clone(), Yaml::Map(both.to_vec()))
    });
    out.nested("ulimits", Yaml::Map(ulimits.collect()));
    out.nested("sysctls", Yaml::table(&container.sysctls));
    out.nested("extra_hosts", Yaml::texts(&container.extra_hosts));
    if let Some(logging) = &container.logging {
        let mut entries = Entries::default();
        entries.add("driver", Yaml::text(&logging.driver));
        entries.nested("options", Yaml::table(&logging.options));
        out.add("logging", entries.map());
    }
    crate::render_engine::engine(out, &container.engine);
    out.flag("privileged", container.privileged);
    out.text("pid", container.pid_mode.as_ref());
    out.text("ipc", container.ipc_mode.as_ref());
    if let Some(init) = container.init {
        out.add("init", Yaml::raw(init));
    }
    out.flag("tty", container.tty);
    out.flag("stdin_open", container.stdin_open);
    out.text("platform", container.platform.as_ref());
    match container.pull_policy {
        PullPolicy::Missing => {}
        PullPolicy::Always => out.add("pull_policy", Yaml::text("always")),
        PullPolicy::Never => out.add("pull_policy", Yaml::text("never")),
        PullPolicy::Every { seconds } => out.add("pull_policy", Yaml::text(format!("every_{seconds}s"))),
    }
}

fn healthcheck(check: &HealthcheckSpec) -> Yaml {
    let mut out = Entries::default();
    out.nested("test", Yaml::texts(&check.test));
    out.duration("interval", check.interval_ms);
    out.duration("timeout", check.timeout_ms);
    if let Some(retries) = check.retries {
        out.add("retries", Yaml::raw(retries));
    }
    out.duration("start_period", check.start_period_ms);
    out.duration("start_interval", check.start_interval_ms);
    out.map()
}
