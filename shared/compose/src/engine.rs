//! Keys that are handed to the engine as they are: devices, name servers, namespaces, control groups.

use crate::{
    cx::{Cx, Item, shorten},
    keys,
    tree::Kind,
};
use berth_events::spec::{BlkioSpec, CpuSpec, DeviceRequest, DeviceSpec, DeviceValue, EngineSpec};
use std::collections::BTreeMap;

/// Most GPUs or other devices of one request.
const MAX_DEVICES: i64 = 1_024;
const MAX_WEIGHT: i64 = 1_000;
const MAX_CPU_SHARES: u64 = 262_144;
const MAX_MICROSECONDS: u64 = 1_000_000_000;

/// Reads these keys of a service.
pub(crate) fn read(cx: &Cx, item: &Item<'_>) -> EngineSpec {
    let get = |name: &str| item.child(name).filter(|item| !item.is_null());
    let texts =
        |name: &str, example: &str| get(name).map(|item| cx.texts(&item, example)).unwrap_or_default();
    let table = |name: &str| -> BTreeMap<String, String> {
        let example = format!("{name}: {{name: value}}");
        get(name)
            .map(|item| cx.table(&item, &example))
            .unwrap_or_default()
    };
    let text = |name: &str| get(name).and_then(|item| cx.text(&item));
    let mode = |name: &str, words: &[&str]| {
        let item = get(name)?;
        let index = cx.word(&item, words)?;
        words.get(index).map(|word| (*word).to_owned())
    };
    let mut dns_options = texts("dns_opt", "dns_opt: [ndots:1]");
    dns_options.extend(texts("dns_options", "dns_opt: [ndots:1]"));
    let kill = get("oom_kill_disable").or_else(|| get("oom-kill-disable"));
    EngineSpec {
        devices: devices(cx, item),
        device_requests: requests(cx, item),
        device_cgroup_rules: texts("device_cgroup_rules", "device_cgroup_rules: ['c 1:3 mr']"),
        dns: addresses(cx, item),
        dns_options,
        dns_search: texts("dns_search", "dns_search: [example.com]"),
        domainname: text("domainname"),
        mac_address: get("mac_address").and_then(|item| mac(cx, &item)),
        security_opt: texts("security_opt", "security_opt: ['no-new-privileges:true']"),
        userns_mode: mode("userns_mode", &["host"]),
        uts_mode: mode("uts", &["host"]),
        cgroup: mode("cgroup", &["host", "private"]),
        cgroup_parent: text("cgroup_parent"),
        isolation: mode("isolation", &["default"]),
        runtime: text("runtime"),
        storage_opt: table("storage_opt"),
        annotations: table("annotations"),
        group_add: texts("group_add", "group_add: [mail]"),
        oom_score_adj: get("oom_score_adj").and_then(|item| cx.number(&item, -1_000, 1_000)),
        oom_kill_disable: kill.and_then(|item| cx.truth(&item)).unwrap_or(false),
        memory_swap_bytes: get("memswap_limit").and_then(|item| swap(cx, &item)),
        memory_swappiness: get("mem_swappiness").and_then(|item| cx.number(&item, 0, 100)),
        kernel_memory_bytes: None,
        cpu: cpu(cx, item),
        blkio: get("blkio_config")
            .map(|item| blkio(cx, &item))
            .unwrap_or_default(),
    }
}

/// Memory and swap together; -1 is no limit.
fn swap(cx: &Cx, item: &Item<'_>) -> Option<i64> {
    if item.raw() == Some("-1") {
        return Some(-1);
    }
    cx.bytes(item).and_then(|bytes| i64::try_from(bytes).ok())
}

fn cpu(cx: &Cx, service: &Item<'_>) -> CpuSpec {
    let get = |name: &str| service.child(name).filter(|item| !item.is_null());
    let count = |name: &str| get(name).and_then(|item| cx.count(&item, MAX_MICROSECONDS));
    let quota = get("cpu_quota").and_then(|item| {
        let most = i64::try_from(MAX_MICROSECONDS).unwrap_or(i64::MAX);
        cx.number(&item, -1, most)
    });
    if let Some(item) = get("cpu_quota")
        .or_else(|| get("cpu_period"))
        .filter(|_| get("cpus").is_some())
    {
        let message = "`cpus` and `cpu_quota` or `cpu_period` both limit the processor";
        cx.error(&item, "compose.conflict", message, "keep `cpus`");
    }
    CpuSpec {
        shares: get("cpu_shares")
            .and_then(|item| cx.count(&item, MAX_CPU_SHARES))
            .filter(|shares| *shares > 0),
        quota,
        period: count("cpu_period"),
        realtime_runtime: count("cpu_rt_runtime"),
        realtime_period: count("cpu_rt_period"),
        set: get("cpuset").and_then(|item| cpuset(cx, &item)),
    }
}

fn cpuset(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    let number = |text: &str| text.parse::<u16>().is_ok();
    let part = |part: &str| match part.split_once('-') {
        Some((first, last)) => number(first) && number(last),
        None => number(part),
    };
    if text.split(',').all(part) {
        return Some(text);
    }
    let message = format!("`{}` is no list of cores", shorten(&text));
    cx.error(item, "compose.cpuset", message, "write 0-3 or 0,2");
    None
}

fn mac(cx: &Cx, item: &Item<'_>) -> Option<String> {
    let text = cx.text(item)?;
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let good = |part: &&str| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit());
    if parts.len() == 6 && parts.iter().all(good) {
        return Some(text);
    }
    let message = format!("`{}` is no hardware address", shorten(&text));
    cx.error(
        item,
        "compose.mac_address",
        message,
        "write it like 02:42:ac:11:65:43",
    );
    None
}

fn addresses(cx: &Cx, service: &Item<'_>) -> Vec<String> {
    let Some(item) = service.child("dns").filter(|item| !item.is_null()) else {
        return Vec::new();
    };
    let mut out = cx.texts(&item, "dns: [10.0.0.53]");
    out.retain(|address| {
        let good = address.parse::<std::net::IpAddr>().is_ok();
        if !good {
            let message = format!("`{}` is no address of a name server", shorten(address));
            cx.error(&item, "compose.address", message, "write an IP address");
        }
        good
    });
    out
}

fn devices(cx: &Cx, service: &Item<'_>) -> Vec<DeviceSpec> {
    let Some(item) = service.child("devices") else {
        return Vec::new();
    };
    let entries = cx.list(&item, "devices: ['/dev/fuse:/dev/fuse:rwm']");
    entries.iter().filter_map(|entry| device(cx, entry)).collect()
}

fn device(cx: &Cx, entry: &Item<'_>) -> Option<DeviceSpec> {
    let (source, target, permissions) = if let Kind::Map(_) = entry.node.kind {
        cx.check_keys(entry, &keys::DEVICE);
        let field = |name: &str| entry.child(name).and_then(|item| cx.text(&item));
        (field("source")?, field("target"), field("permissions"))
    } else {
        let text = cx.text(entry)?;
        let mut parts = text.split(':').map(str::to_owned);
        (parts.next()?, parts.next(), parts.next())
    };
    let permissions = permissions.unwrap_or_else(|| "rwm".to_owned());
    let path = |text: &str| text.starts_with('/');
    let target = target
        .filter(|target| !target.is_empty())
        .unwrap_or_else(|| source.clone());
    if !path(&source) || !path(&target) || !permissions.chars().all(|c| "rwm".contains(c)) {
        let message = format!("`{}` is no device", shorten(&source));
        cx.error(
            entry,
            "compose.device",
            message,
            "write /dev/NAME[:/dev/NAME[:rwm]]",
        );
        return None;
    }
    Some(DeviceSpec {
        source,
        target,
        permissions,
    })
}

/// `gpus`, and `deploy.resources.reservations.devices`.
fn requests(cx: &Cx, service: &Item<'_>) -> Vec<DeviceRequest> {
    let mut out = Vec::new();
    if let Some(item) = service.child("gpus").filter(|item| !item.is_null()) {
        if item.raw() == Some("all") {
            out.push(DeviceRequest {
                count: Some(-1),
                ..DeviceRequest::default()
            });
        } else {
            let entries = cx.list(&item, "gpus: all");
            out.extend(entries.iter().filter_map(|entry| request(cx, entry)));
        }
        for request in &mut out {
            if !request.capabilities.iter().any(|word| word == "gpu") {
                request.capabilities.push("gpu".to_owned());
            }
        }
    }
    let reserved = ["deploy", "resources", "reservations", "devices"]
        .iter()
        .try_fold(service.clone(), |item, key| item.child(key));
    if let Some(item) = reserved.filter(|item| !item.is_null()) {
        let entries = cx.list(&item, "devices: [{capabilities: [gpu], count: 1}]");
        out.extend(entries.iter().filter_map(|entry| request(cx, entry)));
    }
    out
}

fn request(cx: &Cx, entry: &Item<'_>) -> Option<DeviceRequest> {
    cx.map(entry, "- {capabilities: [gpu], count: 1}");
    cx.check_keys(entry, &keys::DEVICE_REQUEST);
    let get = |name: &str| entry.child(name).filter(|item| !item.is_null());
    let texts = |name: &str| {
        get(name)
            .map(|item| cx.texts(&item, "[name]"))
            .unwrap_or_default()
    };
    let device_ids = texts("device_ids");
    let count = match get("count") {
        Some(item) if item.raw() == Some("all") => Some(-1),
        Some(item) => Some(cx.number(&item, -1, MAX_DEVICES)?),
        None if device_ids.is_empty() => Some(-1),
        None => None,
    };
    if count.is_some() && !device_ids.is_empty() {
        let message = "`count` and `device_ids` exclude each other";
        cx.error(entry, "compose.conflict", message, "keep one of the two");
    }
    let options = get("options").map(|item| cx.table(&item, "options: {name: value}"));
    Some(DeviceRequest {
        driver: get("driver").and_then(|item| cx.text(&item)),
        count,
        device_ids,
        capabilities: texts("capabilities"),
        options: options.unwrap_or_default(),
    })
}

fn blkio(cx: &Cx, item: &Item<'_>) -> BlkioSpec {
    cx.map(item, "blkio_config: {weight: 300}");
    cx.check_keys(item, &keys::BLKIO);
    let rates = |name: &str| values(cx, item, name, "rate");
    let weight = item
        .child("weight")
        .and_then(|item| cx.number(&item, 10, MAX_WEIGHT));
    BlkioSpec {
        weight: weight.and_then(|weight| u16::try_from(weight).ok()),
        weight_device: values(cx, item, "weight_device", "weight"),
        device_read_bps: rates("device_read_bps"),
        device_write_bps: rates("device_write_bps"),
        device_read_iops: rates("device_read_iops"),
        device_write_iops: rates("device_write_iops"),
    }
}

fn values(cx: &Cx, item: &Item<'_>, name: &str, value: &str) -> Vec<DeviceValue> {
    let Some(item) = item.child(name) else {
        return Vec::new();
    };
    let entries = cx.list(&item, "device_read_bps: [{path: /dev/sda, rate: 1mb}]");
    let read = |entry: &Item<'_>| {
        Some(DeviceValue {
            path: entry.child("path").and_then(|item| cx.text(&item))?,
            value: entry.child(value).and_then(|item| cx.bytes(&item))?,
        })
    };
    entries.iter().filter_map(read).collect()
}
