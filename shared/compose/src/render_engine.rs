//! What is handed to the engine, as keys of a Compose file.

use crate::{render::Entries, yaml::Yaml};
use berth_events::spec::{BlkioSpec, CpuSpec, DeviceRequest, DeviceValue, EngineSpec};

pub(crate) fn engine(out: &mut Entries, engine: &EngineSpec) {
    let devices = engine.devices.iter().map(|device| {
        Yaml::text(format!(
            "{}:{}:{}",
            device.source, device.target, device.permissions
        ))
    });
    out.nested("devices", Yaml::List(devices.collect()));
    for (key, texts) in [
        ("device_cgroup_rules", &engine.device_cgroup_rules),
        ("dns", &engine.dns),
        ("dns_opt", &engine.dns_options),
        ("dns_search", &engine.dns_search),
        ("security_opt", &engine.security_opt),
        ("group_add", &engine.group_add),
    ] {
        out.nested(key, Yaml::texts(texts));
    }
    for (key, text) in [
        ("domainname", &engine.domainname),
        ("mac_address", &engine.mac_address),
        ("userns_mode", &engine.userns_mode),
        ("uts", &engine.uts_mode),
        ("cgroup", &engine.cgroup),
        ("cgroup_parent", &engine.cgroup_parent),
        ("isolation", &engine.isolation),
        ("runtime", &engine.runtime),
    ] {
        out.text(key, text.as_ref());
    }
    out.nested("storage_opt", Yaml::table(&engine.storage_opt));
    out.nested("annotations", Yaml::table(&engine.annotations));
    for (key, number) in [
        ("oom_score_adj", engine.oom_score_adj),
        ("memswap_limit", engine.memory_swap_bytes),
        ("mem_swappiness", engine.memory_swappiness),
    ] {
        if let Some(number) = number {
            out.add(key, Yaml::raw(number));
        }
    }
    out.flag("oom_kill_disable", engine.oom_kill_disable);
    cpu(out, &engine.cpu);
    out.nested("blkio_config", blkio(&engine.blkio));
}

fn cpu(out: &mut Entries, cpu: &CpuSpec) {
    for (key, number) in [
        ("cpu_shares", cpu.shares),
        ("cpu_period", cpu.period),
        ("cpu_rt_runtime", cpu.realtime_runtime),
        ("cpu_rt_period", cpu.realtime_period),
    ] {
        if let Some(number) = number {
            out.add(key, Yaml::raw(number));
        }
    }
    if let Some(quota) = cpu.quota {
        out.add("cpu_quota", Yaml::raw(quota));
    }
    out.text("cpuset", cpu.set.as_ref());
}

fn blkio(blkio: &BlkioSpec) -> Yaml {
    let mut out = Entries::default();
    if let Some(weight) = blkio.weight {
        out.add("weight", Yaml::raw(weight));
    }
    for (key, name, values) in [
        ("weight_device", "weight", &blkio.weight_device),
        ("device_read_bps", "rate", &blkio.device_read_bps),
        ("device_write_bps", "rate", &blkio.device_write_bps),
        ("device_read_iops", "rate", &blkio.device_read_iops),
        ("device_write_iops", "rate", &blkio.device_write_iops),
    ] {
        let entry = |value: &DeviceValue| {
            let path = ("path".to_owned(), Yaml::text(&value.path));
            Yaml::Map(vec![path, (name.to_owned(), Yaml::raw(value.value))])
        };
        out.nested(key, Yaml::List(values.iter().map(entry).collect()));
    }
    out.map()
}

/// Devices that a driver chooses, as `deploy.resources.reservations.devices`.
pub(crate) fn requests(requests: &[DeviceRequest]) -> Yaml {
    let entries = requests.iter().map(|request| {
        let mut out = Entries::default();
        out.text("driver", request.driver.as_ref());
        if let Some(count) = request.count {
            out.add("count", Yaml::raw(count));
        }
        out.nested("device_ids", Yaml::texts(&request.device_ids));
        out.nested("capabilities", Yaml::texts(&request.capabilities));
        out.nested("options", Yaml::table(&request.options));
        out.map()
    });
    Yaml::List(entries.collect())
}
