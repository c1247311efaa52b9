//! Generates specifications: any that a file can say.

use berth_events::spec::{
    Affinity, ApplicationSpec, Constraint, ContainerSpec, DependencyCondition, EnvironmentValue,
    HealthcheckSpec, LoggingSpec, MountSource, MountSpec, NetworkAttachment, NetworkSpec, Operator,
    PlacementSpec, PortSpec, PullPolicy, ReschedulePolicy, ResourceSpec, RestartCondition, RestartPolicy,
    ServiceMode, ServiceSpec, Strategy as NodeOrder, Ulimit, VolumeSpec,
};
use proptest::{collection, option, prelude::*, sample::select};
use std::collections::{BTreeMap, BTreeSet};

/// Any text: dollars, quotes, colons, line breaks, control characters.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        select(vec!["on", "null", "1.10", "$A", "${", "- a", "a: b", "#", "~"]).prop_map(str::to_owned)
    ]
}

fn full_text() -> impl Strategy<Value = String> {
    text().prop_filter("an empty text is a fault where something must be said", |text| {
        !text.is_empty()
    })
}

/// Any name of a label, option or kernel parameter.
fn key() -> impl Strategy<Value = String> {
    full_text().prop_filter("kept for rules and for Berth", |key| {
        !["aliyun.", "berth.", "com.docker.swarm."]
            .iter()
            .any(|prefix| key.starts_with(prefix))
    })
}

fn table() -> impl Strategy<Value = BTreeMap<String, String>> {
    collection::btree_map(key(), text(), 0..3)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9][a-z0-9._-]{0,8}"
}

/// A path inside a container, one of a few so that two may meet.
fn target() -> impl Strategy<Value = String> {
    "/[a-z:$ä]{1,3}(/[a-z ]{1,3}[a-z])?"
}

fn mounts() -> impl Strategy<Value = Vec<MountSpec>> {
    let source = prop_oneof![
        Just(MountSource::Volume {
            name: "data".to_owned()
        }),
        Just(MountSource::Anonymous),
        (target(), any::<bool>()).prop_map(|(path, create)| MountSource::Bind { path, create }),
        (option::of(0..1_u64 << 50), option::of(0..=0o7777_u32))
            .prop_map(|(size_bytes, mode)| MountSource::Tmpfs { size_bytes, mode }),
    ];
    let mount = (source, target(), any::<bool>());
    collection::btree_map(target(), mount, 0..4).prop_map(|mounts| {
        let mount = |(target, (source, _, read_only))| MountSpec {
            source,
            target,
            read_only,
            ..MountSpec::default()
        };
        mounts.into_iter().map(mount).collect()
    })
}

fn ports() -> impl Strategy<Value = Vec<PortSpec>> {
    let ip = select(vec![None, Some("127.0.0.1"), Some("::1")]);
    let port = (
        1..=u16::MAX,
        any::<bool>(),
        select(vec!["tcp", "udp", "sctp"]),
        ip,
    );
    collection::btree_map(1..=u16::MAX, port, 0..4).prop_map(|ports| {
        let port =
            |(published, (target, fixed, protocol, ip)): (u16, (u16, bool, &str, Option<&str>))| PortSpec {
                target,
                published: fixed.then_some(published),
                protocol: protocol.to_owned(),
                host_ip: ip.map(str::to_owned),
            };
        let distinct: BTreeSet<PortSpec> = ports.into_iter().map(port).collect();
        distinct.into_iter().collect()
    })
}

fn healthcheck() -> impl Strategy<Value = HealthcheckSpec> {
    let test = prop_oneof![
        Just(vec!["NONE".to_owned()]),
        full_text().prop_map(|line| vec!["CMD-SHELL".to_owned(), line]),
        collection::vec(text(), 1..3).prop_map(|words| [vec!["CMD".to_owned()], words].concat()),
    ];
    let time = || option::of(0..10_000_000_u64);
    (test, time(), time(), option::of(0..1000_u32), time()).prop_map(
        |(test, interval_ms, timeout_ms, retries, start_period_ms)| HealthcheckSpec {
            test,
            interval_ms,
            timeout_ms,
            retries,
            start_period_ms,
            ..HealthcheckSpec::default()
        },
    )
}

fn resources() -> impl Strategy<Value = ResourceSpec> {
    (
        0..64_000_u64,
        0..1_u64 << 40,
        0..1000_u64,
        0..1_u64 << 30,
        any::<[bool; 2]>(),
    )
        .prop_map(|(cpu, memory, pids_limit, shm_bytes, limited)| {
            let memory_limit_bytes = if limited[0] { memory.max(6 << 20) } else { 0 };
            ResourceSpec {
                cpu_reserved_millis: cpu / 2,
                memory_reserved_bytes: memory / 2,
                cpu_limit_millis: if limited[1] { cpu } else { 0 },
                memory_limit_bytes,
                pids_limit,
                shm_bytes,
            }
        })
}

fn placement() -> impl Strategy<Value = PlacementSpec> {
    let operator = || select(vec![Operator::Equal, Operator::NotEqual]);
    let pattern = || "[a-z0-9*$.:/][a-z0-9*$._:-]{0,6}";
    let key = || {
        select(vec![
            "zone",
            "node.labels.a-b",
            "group",
            "node.platform.os",
            "x.y_z",
        ])
    };
    let constraint =
        (key(), operator(), pattern(), any::<bool>()).prop_map(|(key, operator, pattern, soft)| Constraint {
            key: key.to_owned(),
            operator,
            pattern,
            soft,
        });
    let affinity =
        (key(), operator(), pattern(), any::<bool>()).prop_map(|(subject, operator, pattern, soft)| {
            Affinity {
                subject: subject.to_owned(),
                operator,
                pattern,
                soft,
            }
        });
    (
        collection::vec(constraint, 0..3),
        collection::vec(affinity, 0..3),
        collection::vec("[a-z.]{1,8}", 0..3),
        0..5_u32,
        option::of(select(vec![NodeOrder::Spread, NodeOrder::Binpack])),
    )
        .prop_map(
            |(constraints, affinities, spread, max_replicas_per_node, strategy)| PlacementSpec {
                constraints,
                affinities,
                spread,
                max_replicas_per_node,
                strategy,
                ..PlacementSpec::default()
            },
        )
}

fn networks() -> impl Strategy<Value = (BTreeMap<String, NetworkAttachment>, Option<String>)> {
    let aliases = collection::btree_set("[a-z]([a-z-]{0,4}[a-z])?", 0..3);
    let attachment = aliases.prop_map(|aliases| NetworkAttachment {
        aliases: aliases.into_iter().collect(),
        ..NetworkAttachment::default()
    });
    let joined = collection::btree_map(
        select(vec!["default".to_owned(), "front".to_owned()]),
        attachment,
        0..3,
    );
    prop_oneof![
        joined.prop_map(|joined| (joined, None)),
        select(vec!["host", "none"]).prop_map(|mode| (BTreeMap::new(), Some(mode.to_owned()))),
    ]
}

fn capabilities() -> impl Strategy<Value = Vec<String>> {
    select(vec![vec![], vec!["ALL"], vec!["CHOWN", "NET_ADMIN"]])
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

/// The part of a container that says how it is reached and what it holds.
fn outside() -> impl Strategy<Value = ContainerSpec> {
    let environment = collection::btree_map(
        "[A-Za-z_][A-Za-z0-9_.]{0,5}",
        text().prop_map(EnvironmentValue::Plain),
        0..3,
    );
    let expose = collection::btree_set((1..=u16::MAX).prop_map(|port| format!("{port}/udp")), 0..3);
    (environment, table(), ports(), expose, mounts(), networks()).prop_map(
        |(environment, labels, ports, expose, mounts, (networks, network_mode))| ContainerSpec {
            environment,
            labels,
            ports,
            expose,
            mounts,
            networks,
            network_mode,
            ..ContainerSpec::default()
        },
    )
}

fn logging() -> impl Strategy<Value = LoggingSpec> {
    (full_text(), table()).prop_map(|(driver, options)| LoggingSpec { driver, options })
}

/// The part that says how it is kept apart and looked after.
fn inside() -> impl Strategy<Value = ContainerSpec> {
    let word = |words: Vec<&'static str>| option::of(select(words).prop_map(str::to_owned));
    let limit = |soft| Ulimit {
        soft,
        hard: if soft < 0 { -1 } else { soft + 1 },
    };
    let ulimits = option::of((-1..100_i64).prop_map(limit));
    let namespaces = (word(vec!["host"]), word(vec!["host", "private"]));
    let ends = (word(vec!["SIGINT", "9"]), option::of(0..86_400_000_u64));
    (
        option::of(healthcheck()),
        capabilities(),
        capabilities(),
        ulimits,
        namespaces,
        ends,
        table(),
    )
        .prop_map(
            |(healthcheck, cap_add, cap_drop, ulimit, (pid_mode, ipc_mode), ends, sysctls)| ContainerSpec {
                healthcheck,
                cap_add,
                cap_drop,
                ulimits: ulimit
                    .map(|limit| ("nofile".to_owned(), limit))
                    .into_iter()
                    .collect(),
                sysctls,
                pid_mode,
                ipc_mode,
                stop_signal: ends.0,
                stop_grace_period_ms: ends.1,
                ..ContainerSpec::default()
            },
        )
}

fn container() -> impl Strategy<Value = ContainerSpec> {
    let words = || option::of(collection::vec(text(), 0..3));
    let run = (words(), words(), option::of(full_text()), option::of(target()));
    let policy = select(vec![
        PullPolicy::Missing,
        PullPolicy::Always,
        PullPolicy::Never,
        PullPolicy::Every { seconds: 5_400 },
    ]);
    let flags = (any::<[bool; 5]>(), option::of(any::<bool>()), policy);
    (
        outside(),
        inside(),
        run,
        resources(),
        option::of(logging()),
        flags,
    )
        .prop_map(
            |(outside, inside, (entrypoint, command, user, working_dir), resources, logging, flags)| {
                let ([read_only, privileged, tty, stdin_open, more], init, pull_policy) = flags;
                let hosts = ["six:::1".to_owned(), "gw:host-gateway".to_owned()];
                ContainerSpec {
                    image: "registry:5000/a/b:1@sha256:00".to_owned(),
                    entrypoint,
                    command,
                    user,
                    working_dir,
                    resources,
                    logging,
                    read_only,
                    privileged,
                    tty,
                    stdin_open,
                    init,
                    pull_policy,
                    platform: more.then(|| "linux/arm64/v8".to_owned()),
                    hostname: more.then(|| "a.b-c".to_owned()),
                    extra_hosts: hosts.into_iter().take(if more { 2 } else { 0 }).collect(),
                    environment: outside.environment,
                    labels: outside.labels,
                    ports: outside.ports,
                    expose: outside.expose,
                    mounts: outside.mounts,
                    networks: outside.networks,
                    network_mode: outside.network_mode,
                    ..inside
                }
            },
        )
}

fn service() -> impl Strategy<Value = ServiceSpec> {
    let mode = prop_oneof![
        Just(ServiceMode::Global),
        (0..100_u32).prop_map(|replicas| ServiceMode::Replicated { replicas })
    ];
    let condition = select(vec![
        RestartCondition::Any,
        RestartCondition::OnFailure,
        RestartCondition::Never,
    ]);
    let restart = (condition, 0..3_u32, select(vec![0, 500, 3_600_000])).prop_map(
        |(condition, max_attempts, delay_ms)| RestartPolicy {
            condition,
            max_attempts,
            delay_ms,
        },
    );
    let reschedule = select(vec![
        ReschedulePolicy::Default,
        ReschedulePolicy::Off,
        ReschedulePolicy::OnNodeFailure,
    ]);
    (mode, container(), placement(), restart, reschedule, table()).prop_map(
        |(mode, container, placement, restart, reschedule, service_labels)| ServiceSpec {
            update: None,
            rollback: None,
            mode,
            container,
            placement,
            restart,
            reschedule,
            depends_on: BTreeMap::new(),
            service_labels,
            ..ServiceSpec::default()
        },
    )
}

/// A whole application.
pub fn application() -> impl Strategy<Value = ApplicationSpec> {
    let volume = (option::of(full_text()), option::of(full_text()), table(), table()).prop_map(
        |(name, driver, driver_opts, labels)| VolumeSpec {
            name,
            external: false,
            driver,
            driver_opts,
            labels,
        },
    );
    let network = || {
        (option::of(full_text()), any::<bool>(), table()).prop_map(|(name, external, labels)| NetworkSpec {
            name,
            external,
            internal: false,
            labels: if external { BTreeMap::new() } else { labels },
            ..NetworkSpec::default()
        })
    };
    let condition = select(vec![
        DependencyCondition::ServiceStarted,
        DependencyCondition::ServiceHealthy,
        DependencyCondition::ServiceCompletedSuccessfully,
    ]);
    (
        collection::btree_map(name(), service(), 1..4),
        volume,
        network(),
        option::of(network()),
        condition,
    )
        .prop_map(|(mut services, data, front, default, condition)| {
            let names: Vec<String> = services.keys().cloned().collect();
            for (before, after) in names.iter().zip(names.iter().skip(1)) {
                if let Some(service) = services.get_mut(after) {
                    service.depends_on.insert(before.clone(), condition);
                }
            }
            let uses = services
                .values()
                .any(|service| service.container.networks.contains_key("default"));
            let default = default.or(uses.then(NetworkSpec::default));
            let default = default.map(|network| ("default".to_owned(), network));
            ApplicationSpec {
                services,
                volumes: BTreeMap::from([("data".to_owned(), data)]),
                networks: default.into_iter().chain([("front".to_owned(), front)]).collect(),
                ..ApplicationSpec::default()
            }
        })
}
