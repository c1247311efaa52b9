//! The mapping of every part of a specification.

use super::*;
use berth_events::{
    Placed, PlacementReason, ProjectSpec,
    spec::{LoggingSpec, NetworkAttachment, PortSpec, RestartPolicy, Ulimit},
};
use berth_ids::{AllocationId, ApplicationId, ReleaseId, SecretId};
use std::sync::Arc;

fn create(container: ContainerSpec, secrets: &BTreeMap<SecretRef, String>) -> serde_json::Value {
    let wanted = Wanted {
        placed: Placed {
            allocation_id: AllocationId::from_u128(1),
            application_id: ApplicationId::from_u128(2),
            release_id: ReleaseId::default(),
            service: "web".into(),
            slot: 1,
            spec_hash: "h".into(),
            restart: RestartPolicy::default(),
            why: PlacementReason::default(),
            image_digest: None,
        },
        container: Arc::new(container),
        project: Arc::new(ProjectSpec {
            name: "shop".into(),
            ..ProjectSpec::default()
        }),
    };
    let recipe = Recipe {
        wanted: &wanted,
        cluster_id: ClusterId::default(),
        node_id: NodeId::default(),
        secrets,
        image_digest: None,
        files: Some(Path::new("/run/berth/1")),
        peers: &BTreeMap::from([("db".to_owned(), "c0ffee".to_owned())]),
    };
    serde_json::to_value(body(&recipe)).unwrap()
}

#[test]
fn resources_are_in_the_units_of_the_engine() {
    let resources = ResourceSpec {
        cpu_reserved_millis: 100,
        memory_reserved_bytes: 64 << 20,
        cpu_limit_millis: 1_500,
        memory_limit_bytes: 32 << 20,
        pids_limit: 7,
        shm_bytes: 0,
    };
    let spec = ContainerSpec {
        resources,
        ..ContainerSpec::default()
    };
    let host = &create(spec, &BTreeMap::new())["HostConfig"];
    assert_eq!(host["NanoCpus"], 1_500_000_000_i64);
    assert_eq!(
        (&host["Memory"], &host["MemoryReservation"]),
        (&(32 << 20).into(), &(32 << 20).into())
    );
    assert_eq!(host["PidsLimit"], 7);
    assert!(host.get("ShmSize").is_none());
}

#[test]
fn a_service_whose_network_is_shared_is_named_by_its_container() {
    let spec = ContainerSpec {
        network_mode: Some("service:db".into()),
        pid_mode: Some("service:db".into()),
        ipc_mode: Some("shareable".into()),
        expose: ["80/tcp".to_owned()].into(),
        ..ContainerSpec::default()
    };
    let body = create(spec, &BTreeMap::new());
    let host = &body["HostConfig"];
    assert_eq!(
        (&host["NetworkMode"], &host["PidMode"]),
        (&"container:c0ffee".into(), &"container:c0ffee".into())
    );
    assert_eq!(host["IpcMode"], "shareable");
    assert_eq!(body["ExposedPorts"], serde_json::json!({}));
}

#[test]
fn files_are_mounted_one_by_one_and_read_only() {
    let file = |target: &str| FileSpec {
        target: target.to_owned(),
        content: EnvironmentValue::Plain("planted".to_owned()),
        uid: None,
        gid: None,
        mode: None,
    };
    let spec = ContainerSpec {
        files: vec![file("/run/secrets/a"), file("/etc/b")],
        ..ContainerSpec::default()
    };
    let body = create(spec, &BTreeMap::new());
    let mount = |index: u32, target: &str| {
        serde_json::json!({
            "Type": "bind", "Source": format!("/run/berth/1/{index}"), "Target": target, "ReadOnly": true
        })
    };
    let expected = serde_json::json!([mount(0, "/run/secrets/a"), mount(1, "/etc/b")]);
    assert_eq!(body["HostConfig"]["Mounts"], expected);
    assert!(!body.to_string().contains("planted"));
}

#[test]
fn secrets_become_environment_and_nothing_else() {
    let secret = SecretRef {
        secret_id: SecretId::from_u128(1),
        version: 1,
        key: "PASSWORD".into(),
    };
    let spec = ContainerSpec {
        environment: BTreeMap::from([
            ("MODE".to_owned(), EnvironmentValue::Plain("x=y".into())),
            ("PASSWORD".to_owned(), EnvironmentValue::Secret(secret.clone())),
        ]),
        ..ContainerSpec::default()
    };
    let body = create(spec, &BTreeMap::from([(secret, "hunter2".to_owned())]));
    assert_eq!(body["Env"], serde_json::json!(["MODE=x=y", "PASSWORD=hunter2"]));
    assert!(!body["Labels"].to_string().contains("hunter2"));
}

#[test]
fn mounts_take_the_form_that_fits() {
    let mount = |source, read_only| MountSpec {
        source,
        target: "/data".into(),
        read_only,
        ..MountSpec::default()
    };
    let bind = |create| MountSource::Bind {
        path: "/srv".into(),
        create,
    };
    let spec = ContainerSpec {
        mounts: vec![
            mount(MountSource::Volume { name: "data".into() }, false),
            mount(bind(true), true),
            mount(bind(false), false),
            mount(
                MountSource::Tmpfs {
                    size_bytes: Some(1024),
                    mode: Some(0o700),
                },
                false,
            ),
        ],
        ..ContainerSpec::default()
    };
    let host = create(spec, &BTreeMap::new())["HostConfig"].clone();
    assert_eq!(host["Binds"], serde_json::json!(["/srv:/data:ro"]));
    let types: Vec<&str> = host["Mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["Type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["volume", "bind", "tmpfs"]);
    assert_eq!(host["Mounts"][0]["Source"], "shop_data");
    assert_eq!(host["Mounts"][2]["TmpfsOptions"]["Mode"], 0o700);
}

#[test]
fn ports_networks_and_the_rest_are_mapped() {
    let spec = ContainerSpec {
        image: "web".into(),
        ports: vec![PortSpec {
            target: 80,
            published: Some(8080),
            protocol: "tcp".into(),
            host_ip: Some("127.0.0.1".into()),
        }],
        expose: ["90/udp".to_owned()].into(),
        networks: BTreeMap::from([
            (
                "back".to_owned(),
                NetworkAttachment {
                    aliases: vec!["api".into()],
                    ..NetworkAttachment::default()
                },
            ),
            ("front".to_owned(), NetworkAttachment::default()),
        ]),
        stop_grace_period_ms: Some(1_500),
        ulimits: BTreeMap::from([("nofile".to_owned(), Ulimit { soft: 1, hard: 2 })]),
        logging: Some(LoggingSpec {
            driver: "local".into(),
            options: BTreeMap::new(),
        }),
        healthcheck: Some(HealthcheckSpec {
            test: vec!["CMD".into(), "true".into()],
            interval_ms: Some(500),
            ..HealthcheckSpec::default()
        }),
        ..ContainerSpec::default()
    };
    let body = create(spec, &BTreeMap::new());
    assert_eq!(body["Image"], "web:latest");
    assert_eq!(body["StopTimeout"], 2);
    assert_eq!(body["Healthcheck"]["Interval"], 500_000_000);
    assert_eq!(
        body["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"],
        "8080"
    );
    assert_eq!(body["HostConfig"]["NetworkMode"], "shop_back");
    assert_eq!(body["HostConfig"]["Ulimits"][0]["Hard"], 2);
    assert_eq!(body["HostConfig"]["LogConfig"]["Type"], "local");
    let endpoints = &body["NetworkingConfig"]["EndpointsConfig"];
    assert_eq!(
        endpoints.as_object().unwrap().len(),
        1,
        "one network at the creation"
    );
    assert_eq!(
        endpoints["shop_back"]["Aliases"],
        serde_json::json!(["web", "api"])
    );
}

#[test]
fn what_a_file_hands_to_the_engine_arrives_there() {
    let engine = serde_json::from_value(serde_json::json!({
        "devices": [{"source": "/dev/fuse", "target": "/dev/fuse", "permissions": "rw"}],
        "device_requests": [{"driver": "nvidia", "count": -1, "capabilities": ["gpu"]}],
        "device_cgroup_rules": ["c 1:3 mr"],
        "dns": ["10.0.0.53"], "dns_options": ["ndots:1"], "dns_search": ["example.com"],
        "domainname": "example.com", "security_opt": ["no-new-privileges"], "userns_mode": "host",
        "uts_mode": "host", "cgroup": "host", "cgroup_parent": "/batch", "runtime": "runc",
        "storage_opt": {"size": "1G"}, "annotations": {"a": "b"}, "group_add": ["mail"],
        "oom_score_adj": 100, "oom_kill_disable": true, "memory_swap_bytes": -1, "memory_swappiness": 5,
        "cpu": {"shares": 50, "quota": 5000, "period": 10000, "set": "0"},
        "blkio": {"weight": 300, "device_read_bps": [{"path": "/dev/sda", "value": 1024}]},
    }))
    .unwrap();
    let spec = ContainerSpec {
        image: "busybox".into(),
        engine,
        ..ContainerSpec::default()
    };
    let created = create(spec, &BTreeMap::new());
    let host = &created["HostConfig"];
    assert_eq!(created["Domainname"], "example.com");
    assert_eq!(host["Devices"][0]["CgroupPermissions"], "rw");
    assert_eq!(
        host["DeviceRequests"][0]["Capabilities"],
        serde_json::json!([["gpu"]])
    );
    for (key, wanted) in [
        ("DeviceCgroupRules", serde_json::json!(["c 1:3 mr"])),
        ("Dns", serde_json::json!(["10.0.0.53"])),
        ("DnsOptions", serde_json::json!(["ndots:1"])),
        ("DnsSearch", serde_json::json!(["example.com"])),
        ("SecurityOpt", serde_json::json!(["no-new-privileges"])),
        ("UsernsMode", serde_json::json!("host")),
        ("UTSMode", serde_json::json!("host")),
        ("CgroupnsMode", serde_json::json!("host")),
        ("CgroupParent", serde_json::json!("/batch")),
        ("Runtime", serde_json::json!("runc")),
        ("StorageOpt", serde_json::json!({"size": "1G"})),
        ("Annotations", serde_json::json!({"a": "b"})),
        ("GroupAdd", serde_json::json!(["mail"])),
        ("OomScoreAdj", serde_json::json!(100)),
        ("OomKillDisable", serde_json::json!(true)),
        ("MemorySwap", serde_json::json!(-1)),
        ("MemorySwappiness", serde_json::json!(5)),
        ("CpuShares", serde_json::json!(50)),
        ("CpuQuota", serde_json::json!(5000)),
        ("CpuPeriod", serde_json::json!(10000)),
        ("CpusetCpus", serde_json::json!("0")),
        ("BlkioWeight", serde_json::json!(300)),
    ] {
        assert_eq!(host[key], wanted, "{key}");
    }
    assert_eq!(host["BlkioDeviceReadBps"][0]["Rate"], 1024);
}
