//! Keys that are handed to the engine: read, written again, refused by policies.
// A helper of tests fails like a test.
#![allow(clippy::unwrap_used)]

use crate::common::{Case, list, service};
use berth_compose::{Policy, policy_violations};
use berth_events::spec::*;

const ALL: &str = "devices: ['/dev/fuse', '/dev/a:/dev/b:r', {source: /dev/c}]
device_cgroup_rules: ['c 1:3 mr']
gpus: all
deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ['0'], capabilities: [gpu, utility], options: {a: b}}]}}}
dns: 10.0.0.53
dns_opt: ['ndots:1']
dns_search: [example.com]
domainname: example.com
mac_address: 02:42:ac:11:65:43
security_opt: ['no-new-privileges:true']
userns_mode: host
uts: host
cgroup: private
cgroup_parent: /batch
runtime: runc
storage_opt: {size: 1G}
annotations: {a: b}
group_add: [mail]
oom_score_adj: -500
oom_kill_disable: true
mem_limit: 64m
memswap_limit: -1
mem_swappiness: 10
cpu_shares: 50
cpu_quota: 50000
cpu_period: 100000
cpuset: 0-3,7
blkio_config: {weight: 300, device_read_bps: [{path: /dev/sda, rate: 12mb}], weight_device: [{path: /dev/sda, weight: 400}]}";

#[test]
fn every_key_reaches_the_specification_and_is_written_again() {
    let parsed = Case::default().read(&service(ALL));
    assert!(parsed.warnings.is_empty(), "{}", list(&parsed.warnings));
    let engine = &parsed.spec.services["web"].container.engine;
    assert_eq!(engine.devices.len(), 3);
    assert_eq!(engine.devices[1].permissions, "r");
    assert_eq!(engine.devices[2].target, "/dev/c");
    assert_eq!(engine.gpus(), None, "all of the node");
    assert_eq!(engine.device_requests[1].device_ids, ["0"]);
    assert_eq!(engine.dns, ["10.0.0.53"]);
    assert_eq!(engine.memory_swap_bytes, Some(-1));
    assert_eq!(
        (engine.oom_score_adj, engine.memory_swappiness),
        (Some(-500), Some(10))
    );
    let cpu = CpuSpec {
        shares: Some(50),
        quota: Some(50_000),
        period: Some(100_000),
        set: Some("0-3,7".into()),
        ..CpuSpec::default()
    };
    assert_eq!(engine.cpu, cpu);
    assert_eq!(engine.blkio.device_read_bps[0].value, 12 * 1024 * 1024);
    let again = berth_compose::render(None, &parsed.spec, &|_, _, _| None);
    assert_eq!(Case::default().read(&again).spec, parsed.spec, "{again}");
}

#[test]
fn wrong_values_are_named() {
    for (line, code) in [
        ("dns: nowhere", "compose.address"),
        ("mac_address: '02:42'", "compose.mac_address"),
        ("cpuset: all", "compose.cpuset"),
        ("devices: ['sda']", "compose.device"),
        ("devices: ['/dev/a:/dev/b:x']", "compose.device"),
        ("oom_score_adj: 2000", "compose.range"),
        ("mem_swappiness: 101", "compose.range"),
        ("uts: private", "compose.unknown_value"),
        ("isolation: hyperv", "compose.unknown_value"),
        ("cpus: 1\ncpu_quota: 5", "compose.conflict"),
        ("gpus: [{count: 1, device_ids: ['0']}]", "compose.conflict"),
        ("blkio_config: {weight: 1}", "compose.range"),
    ] {
        let faults = Case::default().parse(&service(line)).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.code == code),
            "{line}\n{}",
            list(&faults)
        );
    }
}

#[test]
fn what_leads_out_of_a_container_needs_an_open_policy() {
    let spec = Case::default().read(&service(ALL)).spec;
    assert!(policy_violations(&spec, Policy::Open).is_empty());
    let keys = |policy| -> Vec<String> {
        let mut keys: Vec<_> = policy_violations(&spec, policy)
            .into_iter()
            .map(|v| v.key)
            .collect();
        keys.sort();
        keys.dedup();
        keys
    };
    let baseline = keys(Policy::Baseline);
    for key in [
        "devices",
        "device_cgroup_rules",
        "userns_mode",
        "uts",
        "cgroup_parent",
        "oom_score_adj",
        "oom_kill_disable",
    ] {
        assert!(baseline.contains(&key.to_owned()), "{key}: {baseline:?}");
    }
    assert!(
        !baseline.contains(&"security_opt".to_owned()),
        "no-new-privileges protects"
    );
    assert!(!baseline.contains(&"runtime".to_owned()));
    assert!(keys(Policy::Restricted).contains(&"runtime".to_owned()));
    let weak = Case::default()
        .read(&service("security_opt: ['seccomp:unconfined']"))
        .spec;
    let found = policy_violations(&weak, Policy::Baseline);
    assert_eq!((found.len(), found[0].rule.as_str()), (1, "weak_security"));
}
