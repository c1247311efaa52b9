//! The worker against a real engine: containers come, go, fail, restart; the agent and the engine die.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test ends by panicking

mod common;

use berth_events::{
    FailureReason, Observed, ProjectSpec, RetryStep,
    spec::{
        ContainerSpec, EnvironmentValue, HealthcheckSpec, MountSource, MountSpec, PortSpec, ProbeCheck,
        ProbeSpec, PullPolicy, RestartCondition, RestartPolicy, VolumeSpec,
    },
};
use berth_node_agent::worker::Order;
use common::{IMAGE, Rig, named, placed, policy, shell, sleeper};
use std::collections::BTreeMap;

const ANY: RestartCondition = RestartCondition::Any;

fn is_retrying(state: &Observed) -> bool {
    matches!(state, Observed::Retrying { .. })
}

fn failed_with(state: &Observed, wanted: FailureReason) -> bool {
    matches!(state, Observed::Failed { reason, .. } if *reason == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_comes_with_everything_and_goes_without_a_trace() {
    let mut rig = Rig::new();
    let web = placed(1, "web", policy(ANY));
    let id = web.allocation_id;
    let spec = ContainerSpec {
        image: IMAGE.into(),
        environment: BTreeMap::from([("MODE".to_owned(), EnvironmentValue::Plain("a b".into()))]),
        labels: BTreeMap::from([("tier".to_owned(), "front".to_owned())]),
        ports: vec![PortSpec {
            target: 80,
            published: Some(18080),
            protocol: "tcp".into(),
            host_ip: None,
        }],
        mounts: vec![
            MountSpec {
                source: MountSource::Volume { name: "data".into() },
                target: "/data".into(),
                read_only: false,
                ..MountSpec::default()
            },
            MountSpec {
                source: MountSource::Tmpfs {
                    size_bytes: Some(1 << 20),
                    mode: None,
                },
                target: "/scratch".into(),
                read_only: false,
                ..MountSpec::default()
            },
        ],
        networks: named(&["back", "front"]),
        healthcheck: Some(HealthcheckSpec {
            test: vec!["CMD-SHELL".into(), "test ! -e /data/ill".into()],
            interval_ms: Some(200),
            timeout_ms: Some(2_000),
            retries: Some(2),
            start_period_ms: None,
            ..HealthcheckSpec::default()
        }),
        hostname: Some("webhost".into()),
        stop_grace_period_ms: Some(1_000),
        ..ContainerSpec::default()
    };
    rig.order(vec![(web, spec)], &[]).await;
    let healthy = |wanted: bool| move |state: &Observed| matches!(state, Observed::Running { healthy, .. } if *healthy == Some(wanted));
    let state = rig.until(id, "healthy", healthy(true)).await;
    let Observed::Running { addresses, ports, .. } = state else {
        unreachable!()
    };
    assert_eq!(addresses.keys().collect::<Vec<_>>(), ["shop_back", "shop_front"]);
    assert!(
        ports
            .iter()
            .any(|port| port.target == 80 && port.host_port == 18080)
    );
    let first: Vec<&str> = rig.states(id).await.iter().take(2).map(kind).collect();
    assert_eq!(first, ["created", "running"]);

    assert_eq!(
        rig.docker(&["exec", "shop_web_1", "sh", "-c", "echo $MODE $(hostname)"]),
        "a b webhost"
    );
    let page = rig.docker(&["exec", "shop_web_1", "wget", "-qO-", "http://web/"]);
    assert_eq!(page, "berth test page", "reached by the name of its service");
    let label = "{{index .Config.Labels \"com.docker.compose.service\"}} {{index .Config.Labels \"tier\"}}";
    assert_eq!(rig.docker(&["inspect", "-f", label, "shop_web_1"]), "web front");

    rig.docker(&["exec", "shop_web_1", "touch", "/data/ill"]);
    rig.until(id, "unhealthy", healthy(false)).await;

    rig.order_with(Vec::new(), &[id], &["shop_data"], ProjectSpec::default())
        .await;
    rig.removed(id).await;
    let last: Vec<&str> = rig.states(id).await.iter().rev().take(3).map(kind).collect();
    assert_eq!(last, ["removed", "exited", "stopping"]);
    rig.eventually("networks and volumes are removed", |rig| {
        let networks = rig.docker(&["network", "ls", "-q", "--filter", "label=io.berth.application"]);
        let volumes = rig.docker(&["volume", "ls", "-q"]);
        networks.is_empty() && volumes.is_empty()
    })
    .await;
    assert_eq!(rig.docker(&["ps", "-aq"]), "");
}

fn kind(state: &Observed) -> &'static str {
    match state {
        Observed::Pulling { .. } => "pulling",
        Observed::Created { .. } => "created",
        Observed::Running { .. } => "running",
        Observed::Retrying { .. } => "retrying",
        Observed::Stopping => "stopping",
        Observed::Exited(_) => "exited",
        Observed::Failed { .. } => "failed",
        Observed::Removed => "removed",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_decides_what_follows_an_end() {
    let mut rig = Rig::new();
    rig.remote
        .tell(berth_node_agent::worker::Order::BusUp(true))
        .await;
    let crashing = placed(1, "crash", policy(ANY));
    let never = placed(2, "never", policy(RestartCondition::Never));
    let fine = placed(3, "fine", policy(RestartCondition::OnFailure));
    let twice = placed(
        4,
        "twice",
        RestartPolicy {
            max_attempts: 2,
            ..policy(RestartCondition::OnFailure)
        },
    );
    let ids: Vec<_> = [&crashing, &never, &fine, &twice].map(|p| p.allocation_id).into();
    let work = vec![
        (crashing, shell("echo cannot open database >&2; exit 3")),
        (never, shell("exit 4")),
        (fine, shell("exit 0")),
        (twice, shell("exit 5")),
    ];
    rig.order(work, &[]).await;
    // Told at once, with code and last words; never as running for longer than it ran.
    let state = rig.until(ids[0], "retrying", is_retrying).await;
    let Observed::Retrying {
        step,
        message,
        attempt,
        exit,
        ..
    } = state
    else {
        unreachable!()
    };
    assert_eq!((step, exit.unwrap().exit_code), (RetryStep::Run, 3));
    assert!(attempt >= 1);
    assert_eq!(message, "cannot open database");
    let state = rig
        .until(ids[0], "in a crash loop", |s| {
            failed_with(s, FailureReason::CrashLoop)
        })
        .await;
    assert!(format!("{state:?}").contains("its last output: cannot open database"));
    let attempts: Vec<u32> = rig
        .states(ids[0])
        .await
        .iter()
        .filter_map(|s| match s {
            Observed::Retrying { attempt, .. } => Some(*attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    for (id, code) in [(ids[1], 4), (ids[2], 0), (ids[3], 5)] {
        rig.until(
            id,
            "exited",
            |s| matches!(s, Observed::Exited(exit) if exit.exit_code == code),
        )
        .await;
    }
    assert_eq!(
        rig.docker(&["inspect", "-f", "{{.RestartCount}}", "shop_crash_1"]),
        "0",
        "the engine restarts nothing"
    );

    // Killed from outside, it is started again, and the report says how it had ended.
    let steady = placed(5, "steady", policy(ANY));
    let id = steady.allocation_id;
    rig.order(vec![(steady, sleeper())], &[]).await;
    rig.running(id).await;
    rig.docker(&["kill", "shop_steady_5"]);
    let state = rig
        .until(id, "restarted", |s| {
            matches!(s, Observed::Running { restarts: 1, .. })
        })
        .await;
    let Observed::Running { last_exit, .. } = state else {
        unreachable!()
    };
    assert_eq!(last_exit.unwrap().exit_code, 137);

    // Removed from outside, it has vanished and is not made again.
    rig.docker(&["rm", "-f", "shop_steady_5"]);
    rig.until(id, "vanished", |s| failed_with(s, FailureReason::Vanished))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_trouble_is_named_and_the_others_run() {
    let mut rig = Rig::new();
    let never = policy(RestartCondition::Never);
    let absent = placed(1, "absent", never);
    let silent = placed(2, "silent", never);
    let wrong = placed(3, "wrong", never);
    let outside = placed(4, "outside", never);
    let fine = placed(5, "fine", never);
    let ids: Vec<_> = [&absent, &silent, &wrong, &outside, &fine]
        .map(|p| p.allocation_id)
        .into();
    let of = |image: &str, pull_policy| ContainerSpec {
        image: image.into(),
        pull_policy,
        ..sleeper()
    };
    let project = ProjectSpec {
        name: "shop".into(),
        volumes: BTreeMap::from([(
            "theirs".to_owned(),
            VolumeSpec {
                name: Some("theirs".into()),
                external: true,
                ..VolumeSpec::default()
            },
        )]),
        ..ProjectSpec::default()
    };
    let theirs = ContainerSpec {
        mounts: vec![MountSpec {
            source: MountSource::Volume {
                name: "theirs".into(),
            },
            target: "/data".into(),
            read_only: false,
            ..MountSpec::default()
        }],
        ..sleeper()
    };
    rig.docker(&["create", "--name", "shop_fine_5", IMAGE, "true"]);
    let work = vec![
        (absent, of("127.0.0.1:1/none:1", PullPolicy::Missing)),
        (silent, of("none:1", PullPolicy::Never)),
        (
            wrong,
            ContainerSpec {
                command: Some(vec!["/no/such/program".into()]),
                ..sleeper()
            },
        ),
        (outside, theirs),
        (fine, sleeper()),
    ];
    rig.order_with(work, &[], &[], project).await;
    rig.running(ids[4]).await;
    let named = rig.docker(&["ps", "--format", "{{.Names}}"]);
    assert_eq!(named, "shop_fine_5-000005", "its first name was taken");
    let first = |states: Vec<Observed>| states.into_iter().find(is_retrying);
    let told = first(rig.states(ids[0]).await).expect("the first try that failed is told");
    assert!(
        matches!(&told, Observed::Retrying { step: RetryStep::Pull, attempt: 1, message, .. } if message.contains("127.0.0.1:1")),
        "{told:?}"
    );
    for (id, reason, words) in [
        (ids[0], FailureReason::Pull, "127.0.0.1:1/none:1"),
        (ids[1], FailureReason::Pull, "`never`"),
        (ids[2], FailureReason::Start, "/no/such/program"),
        (ids[3], FailureReason::Create, "docker volume create theirs"),
    ] {
        let state = rig.until(id, "failed", |s| failed_with(s, reason)).await;
        let Observed::Failed { message, .. } = state else {
            unreachable!()
        };
        assert!(message.contains(words), "{message}");
    }
    rig.order(Vec::new(), &ids).await;
    for id in ids {
        rig.removed(id).await;
    }
    assert_eq!(
        rig.docker(&["ps", "-a", "--format", "{{.Names}}"]),
        "shop_fine_5",
        "only the foreign one is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_goes_is_waited_for_and_a_taken_one_is_named() {
    let mut rig = Rig::new();
    let publishing = || ContainerSpec {
        ports: vec![PortSpec {
            target: 80,
            published: Some(18081),
            protocol: "tcp".into(),
            host_ip: None,
        }],
        ..shell("trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done")
    };
    let old = placed(1, "web", policy(ANY));
    let old_id = old.allocation_id;
    rig.order(vec![(old, publishing())], &[]).await;
    rig.running(old_id).await;
    let new = placed(2, "web", policy(ANY));
    let new_id = new.allocation_id;
    rig.order(vec![(new, publishing())], &[old_id]).await;
    rig.running(new_id).await;
    let taken = placed(3, "web", policy(ANY));
    let taken_id = taken.allocation_id;
    rig.order(vec![(taken, publishing())], &[]).await;
    let state = rig
        .until(taken_id, "failed", |s| failed_with(s, FailureReason::Start))
        .await;
    let Observed::Failed { message, .. } = state else {
        unreachable!()
    };
    assert!(message.contains("18081"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_adopts_what_runs_and_goes_on() {
    let mut rig = Rig::new();
    let mut work = Vec::new();
    let mut ids = Vec::new();
    for n in 1..=6 {
        let placed = placed(n, "web", policy(ANY));
        ids.push(placed.allocation_id);
        work.push((placed, sleeper()));
    }
    rig.order(work, &[]).await;
    // In the middle of it.
    rig.running(ids[0]).await;
    rig.kill_agent();
    rig.start_agent();
    for id in &ids {
        rig.running(*id).await;
    }
    let before = rig.docker(&["ps", "-q", "--no-trunc"]);
    assert_eq!(before.lines().count(), 6, "nothing is doubled");

    // While it is away, one container ends and one is no longer wanted but still there.
    rig.kill_agent();
    rig.docker(&["kill", "shop_web_2"]);
    rig.start_agent();
    rig.until(ids[1], "restarted", |s| {
        matches!(s, Observed::Running { restarts: 1, .. })
    })
    .await;
    assert_eq!(rig.docker(&["ps", "-q", "--no-trunc"]).lines().count(), 6);
    let untouched = rig.docker(&[
        "inspect",
        "-f",
        "{{.RestartCount}} {{.State.Running}}",
        "shop_web_3",
    ]);
    assert_eq!(untouched, "0 true");

    // A container with our labels that is not in the assignment goes.
    let label = format!("io.berth.node={}", common::NODE);
    let stray = "io.berth.allocation=00000000-0000-0000-0000-000000000099";
    rig.docker(&[
        "run", "-d", "--name", "stray", "--label", &label, "--label", stray, IMAGE,
    ]);
    rig.eventually("the stray is gone", |rig| {
        !rig.docker(&["ps", "-a", "--format", "{{.Names}}"])
            .contains("stray")
    })
    .await;
    assert_eq!(rig.docker(&["ps", "-q"]).lines().count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_comes_back_to_what_it_should_run() {
    let mut rig = Rig::new();
    let mut ids = Vec::new();
    let mut work = Vec::new();
    for n in 1..=3 {
        let placed = placed(n, "web", policy(ANY));
        ids.push(placed.allocation_id);
        work.push((placed, sleeper()));
    }
    rig.order(work, &[]).await;
    for id in &ids {
        rig.running(*id).await;
    }
    rig.lab.node(1).unwrap().kill_engine().unwrap();
    rig.eventually("the engine is known to be away", |rig| {
        !rig.remote.status().engine_up
    })
    .await;
    // Ordered while it is away.
    let later = placed(4, "web", policy(ANY));
    let later_id = later.allocation_id;
    rig.order(vec![(later, sleeper())], &[ids[0]]).await;
    rig.lab.node(1).unwrap().start_engine().unwrap();
    rig.running(later_id).await;
    rig.removed(ids[0]).await;
    rig.eventually("three run", |rig| rig.docker(&["ps", "-q"]).lines().count() == 3)
        .await;
    assert!(rig.remote.status().engine_up);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_the_container_says_how_it_is() {
    let mut rig = Rig::new();
    let web = placed(1, "web", policy(ANY));
    let id = web.allocation_id;
    let spec = ContainerSpec {
        probe: Some(ProbeSpec {
            check: ProbeCheck::Command {
                line: "test ! -e /ill || { echo it is ill: $WORD; false; }".into(),
            },
            timeout_ms: 1_000,
            initial_delay_ms: 500,
        }),
        environment: BTreeMap::from([("WORD".to_owned(), EnvironmentValue::Plain("planted".into()))]),
        labels: BTreeMap::from([("berth.replace_unhealthy".to_owned(), "3".to_owned())]),
        ..sleeper()
    };
    let healthy = |state: &Observed, wanted: bool| match state {
        Observed::Running { healthy, .. } => *healthy == Some(wanted),
        _ => false,
    };
    rig.remote.tell(Order::BusUp(true)).await;
    rig.order(vec![(web, spec)], &[]).await;
    rig.until(id, "healthy", |state| healthy(state, true)).await;
    rig.docker(&["exec", "shop_web_1", "touch", "/ill"]);
    let state = rig.until(id, "unhealthy", |state| healthy(state, false)).await;
    match state {
        Observed::Running { health_output, .. } => assert_eq!(health_output, "exit code 1: it is ill: ***"),
        state => panic!("{state:?}"),
    }
    let state = rig
        .until(id, "given up", |state| {
            failed_with(state, FailureReason::Unhealthy)
        })
        .await;
    assert!(format!("{state:?}").contains("it is ill"), "{state:?}");
    rig.eventually("it is stopped", |rig| {
        rig.docker(&["inspect", "-f", "{{.State.Running}}", "shop_web_1"]) == "false"
    })
    .await;
}
