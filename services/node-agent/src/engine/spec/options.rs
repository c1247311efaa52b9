//! What a file hands to the engine as it is.

use super::signed;
use berth_events::spec::{DeviceValue, EngineSpec};
use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigCgroupnsModeEnum, HostConfigIsolationEnum,
    ResourcesBlkioWeightDevice, ThrottleDevice,
};
use std::collections::{BTreeMap, HashMap};

/// Adds the options to a host configuration.
pub(super) fn host_config(engine: &EngineSpec, base: HostConfig) -> HostConfig {
    let (cpu, blkio) = (&engine.cpu, &engine.blkio);
    HostConfig {
        devices: some(engine.devices.iter().map(|device| DeviceMapping {
            path_on_host: Some(device.source.clone()),
            path_in_container: Some(device.target.clone()),
            cgroup_permissions: Some(device.permissions.clone()),
        })),
        device_requests: some(engine.device_requests.iter().map(request)),
        device_cgroup_rules: texts(&engine.device_cgroup_rules),
        dns: texts(&engine.dns),
        dns_options: texts(&engine.dns_options),
        dns_search: texts(&engine.dns_search),
        security_opt: texts(&engine.security_opt),
        userns_mode: engine.userns_mode.clone(),
        uts_mode: engine.uts_mode.clone(),
        cgroupns_mode: engine.cgroup.as_deref().map(|mode| match mode {
            "host" => HostConfigCgroupnsModeEnum::HOST,
            _ => HostConfigCgroupnsModeEnum::PRIVATE,
        }),
        cgroup_parent: engine.cgroup_parent.clone(),
        isolation: engine
            .isolation
            .as_ref()
            .map(|_| HostConfigIsolationEnum::DEFAULT),
        runtime: engine.runtime.clone(),
        storage_opt: table(&engine.storage_opt),
        annotations: table(&engine.annotations),
        group_add: texts(&engine.group_add),
        oom_score_adj: engine.oom_score_adj,
        oom_kill_disable: engine.oom_kill_disable.then_some(true),
        memory_swap: engine.memory_swap_bytes,
        memory_swappiness: engine.memory_swappiness,
        cpu_shares: cpu.shares.map(signed),
        cpu_quota: cpu.quota,
        cpu_period: cpu.period.map(signed),
        cpu_realtime_runtime: cpu.realtime_runtime.map(signed),
        cpu_realtime_period: cpu.realtime_period.map(signed),
        cpuset_cpus: cpu.set.clone(),
        blkio_weight: blkio.weight,
        blkio_weight_device: some(
            blkio
                .weight_device
                .iter()
                .map(|device| ResourcesBlkioWeightDevice {
                    path: Some(device.path.clone()),
                    weight: usize::try_from(device.value).ok(),
                }),
        ),
        blkio_device_read_bps: rates(&blkio.device_read_bps),
        blkio_device_write_bps: rates(&blkio.device_write_bps),
        blkio_device_read_iops: rates(&blkio.device_read_iops),
        blkio_device_write_iops: rates(&blkio.device_write_iops),
        ..base
    }
}

fn some<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.collect();
    (!items.is_empty()).then_some(items)
}

fn texts(texts: &[String]) -> Option<Vec<String>> {
    some(texts.iter().cloned())
}

fn table(table: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!table.is_empty()).then(|| table.clone().into_iter().collect())
}

fn rates(values: &[DeviceValue]) -> Option<Vec<ThrottleDevice>> {
    some(values.iter().map(|device| ThrottleDevice {
        path: Some(device.path.clone()),
        rate: Some(signed(device.value)),
    }))
}

fn request(request: &berth_events::spec::DeviceRequest) -> DeviceRequest {
    DeviceRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: texts(&request.device_ids),
        capabilities: some([request.capabilities.clone()].into_iter()),
        options: table(&request.options),
    }
}
