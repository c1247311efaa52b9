//! Random histories: commands and faults in any order, then a rest.

use crate::{
    bus::Faults,
    check::{self, Fault},
    rng::Rng,
    sim::{CLUSTER, Sim, name},
};
use berth_events::{
    ClusterCommand, DeployMethod, NodeFacts, ReleaseMethod, ReleaseSource, SchedulerCommand,
    spec::{
        Affinity, ApplicationSpec, ContainerSpec, DependencyCondition, FailureAction, HealthcheckSpec,
        MountSource, MountSpec, Operator, PortSpec, ReschedulePolicy, RestartCondition, RestartPolicy,
        ServiceMode, ServiceSpec, UpdateOrder, UpdatePolicy,
    },
};
use berth_ids::{ApplicationId, NodeId, ReleaseId};
use berth_scheduler_core::view::ApplicationRow;
use std::{collections::BTreeMap, time::Duration};

const GIB: u64 = 1 << 30;
const APPLICATIONS: u64 = 3;
/// The longest rest that a history may need, in rounds of ten seconds.
const MAX_REST_ROUNDS: usize = 60;

/// A history of a seed: a cluster, `deeds` random deeds under a faulty bus, then a rest.
///
/// The simulation as it is at the end, or where something did not hold.
pub fn history(seed: u64, deeds: u64) -> (Sim, Result<(), Fault>) {
    let mut sim = Sim::new(seed);
    let outcome = unfold(&mut sim, deeds);
    (sim, outcome)
}

fn unfold(sim: &mut Sim, deeds: u64) -> Result<(), Fault> {
    let nodes = sim.rng.between(2, 4);
    for number in 1..=nodes {
        let memory = sim.rng.between(2, 6);
        let facts = NodeFacts {
            hostname: format!("n{number}"),
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            cpu_millis: 4_000,
            memory_bytes: memory * GIB,
            generic_resources: BTreeMap::from([("gpu".to_owned(), number % 3)]),
            ..NodeFacts::default()
        };
        let zone = format!("z{}", number % 2);
        sim.join(&format!("n{number}"), &zone, BTreeMap::new(), facts);
    }
    sim.faults = Faults::MANY;
    for _ in 0..deeds {
        deed(sim);
        let pause = sim.rng.between(10, 4_000);
        sim.run(Duration::from_millis(pause))?;
    }
    rest(sim)
}

/// Faults stop; everything comes back and finds its place.
///
/// # Errors
/// What did not hold, or what never came to rest.
pub fn rest(sim: &mut Sim) -> Result<(), Fault> {
    sim.faults = Faults::NONE;
    let nodes: Vec<NodeId> = sim.agents.keys().copied().collect();
    for node in nodes {
        sim.link(node, true);
        sim.power(node, true);
    }
    let mut last = Ok(());
    for _ in 0..MAX_REST_ROUNDS {
        resume_all(sim);
        sim.run(Duration::from_secs(10))?;
        last = check::at_rest(sim);
        if last.is_ok() {
            // A quiet minute and it still holds.
            sim.run(Duration::from_secs(70))?;
            last = check::at_rest(sim);
            if last.is_ok() {
                return Ok(());
            }
        }
    }
    last
}

/// Somebody looks after the releases that have paused, or that wait for a word.
fn resume_all(sim: &mut Sim) {
    let applications = sim.services.scheduler.applications_of(CLUSTER);
    let waiting = |row: &&ApplicationRow| {
        !row.settled && !row.paused && matches!(row.method, ReleaseMethod::BlueGreen { .. })
    };
    let waiting: Vec<(ApplicationId, u32)> = applications
        .filter(waiting)
        .map(|row| (row.application_id, row.release_number))
        .collect();
    for (application_id, number) in waiting {
        let release_id = ReleaseId::from_u128(sim.services.id());
        sim.scheduler(match number % 2 {
            0 => SchedulerCommand::ConfirmRelease {
                application_id,
                force: false,
            },
            _ => SchedulerCommand::Rollback {
                application_id,
                release_id,
                to: None,
                unsettled_only: true,
                expected_version: None,
            },
        });
    }
    let applications = sim.services.scheduler.applications_of(CLUSTER);
    let paused: Vec<ApplicationId> = applications
        .filter(|row| row.paused)
        .map(|row| row.application_id)
        .collect();
    for application_id in paused {
        sim.scheduler(SchedulerCommand::ResumeRelease { application_id });
    }
}

fn deed(sim: &mut Sim) {
    let nodes: Vec<NodeId> = sim.agents.keys().copied().collect();
    let Some(node) = sim.rng.pick(&nodes) else {
        return;
    };
    let applications: Vec<ApplicationId> = sim
        .services
        .scheduler
        .applications_of(CLUSTER)
        .map(|row| row.application_id)
        .collect();
    let application = sim.rng.pick(&applications);
    match (sim.rng.between(0, 31), application) {
        (0..=5, _) => deploy(sim),
        (28, Some(application_id)) => stand_beside(sim, application_id),
        (29, Some(application_id)) => {
            let force = sim.rng.chance(30);
            sim.scheduler(SchedulerCommand::ConfirmRelease {
                application_id,
                force,
            });
        }
        (30, Some(application_id)) => {
            let share = |rng: &mut Rng| u8::try_from(rng.between(0, 100)).unwrap_or(0);
            let weights = [("web", share(&mut sim.rng)), ("web-2", share(&mut sim.rng))];
            let weights = weights.map(|(name, weight)| (name.to_owned(), weight));
            sim.scheduler(SchedulerCommand::SetWeights {
                application_id,
                weights: BTreeMap::from(weights),
            });
        }
        (6, Some(application_id)) => {
            let replicas = u32::try_from(sim.rng.between(0, 6)).unwrap_or(0);
            sim.scheduler(SchedulerCommand::Scale {
                application_id,
                service: "web".to_owned(),
                replicas,
                expected_version: None,
            });
        }
        (7, Some(application_id)) => {
            sim.scheduler(SchedulerCommand::Stop { application_id });
        }
        (8, Some(application_id)) => {
            sim.scheduler(SchedulerCommand::Start { application_id });
        }
        (9, Some(application_id)) => {
            sim.scheduler(SchedulerCommand::Restart {
                application_id,
                services: Default::default(),
            });
        }
        (10, Some(application_id)) => {
            let volumes = sim.rng.chance(50);
            sim.scheduler(SchedulerCommand::Remove {
                application_id,
                volumes,
            });
        }
        (11, Some(application_id)) => {
            sim.scheduler(SchedulerCommand::AbandonVolume {
                application_id,
                service: "db".to_owned(),
                slots: Default::default(),
            });
        }
        (24, Some(application_id)) => {
            let release_id = ReleaseId::from_u128(sim.services.id());
            let to = sim.rng.chance(30).then_some(1);
            let unsettled_only = sim.rng.chance(30);
            sim.scheduler(SchedulerCommand::Rollback {
                application_id,
                release_id,
                to,
                unsettled_only,
                expected_version: None,
            });
        }
        (25, Some(application_id)) => {
            sim.scheduler(SchedulerCommand::PauseRelease { application_id });
        }
        (26, Some(application_id)) => {
            sim.scheduler(SchedulerCommand::ResumeRelease { application_id });
        }
        (other, _) => fault(sim, other, node),
    }
}

fn fault(sim: &mut Sim, kind: u64, node: NodeId) {
    match kind {
        12 => sim.power(node, false),
        13 | 14 => sim.power(node, true),
        15 => sim.link(node, false),
        16 | 17 => sim.link(node, true),
        18 => sim.restart_agent(node),
        19 => {
            let deadline_at = sim.now.plus(Duration::from_secs(sim.rng.between(1, 60)));
            let force = sim.rng.chance(50);
            sim.cluster(ClusterCommand::DrainNode {
                node_id: node,
                deadline_at,
                force,
            });
        }
        20 => {
            sim.cluster(ClusterCommand::UncordonNode { node_id: node });
        }
        21 => sim.services.restart_scheduler(),
        22 => {
            let delay = sim.rng.between(1, 3_000);
            sim.rival(delay);
        }
        _ => harm_a_container(sim, node),
    }
}

fn harm_a_container(sim: &mut Sim, node: NodeId) {
    let Some(agent) = sim.agents.get_mut(&node) else {
        return;
    };
    let running: Vec<_> = agent.engine.running().map(|(id, _)| id).collect();
    if let Some(id) = sim.rng.pick(&running) {
        if sim.rng.chance(50) {
            agent.engine.snatch(id);
        } else {
            agent.engine.end(id, None, 9, sim.now);
        }
        sim.wake(node);
    }
}

fn deploy(sim: &mut Sim) {
    let number = sim.rng.between(1, APPLICATIONS);
    let spec = application(sim);
    let standard = sim.rng.chance(20);
    let (application_id, release_id) = (sim.services.id(), sim.services.id());
    sim.scheduler(SchedulerCommand::Deploy {
        cluster_id: CLUSTER,
        name: name(&format!("app{number}")),
        application_id: ApplicationId::from_u128(application_id),
        release_id: ReleaseId::from_u128(release_id),
        spec: Box::new(spec),
        source: ReleaseSource::Image {
            image: "random".to_owned(),
        },
        warnings: vec![],
        method: if standard {
            DeployMethod::Standard
        } else {
            DeployMethod::Rolling
        },
        must_exist: None,
        expected_version: None,
    });
}

/// A blue-green release: what runs, with another `web` under another name.
fn stand_beside(sim: &mut Sim, application_id: ApplicationId) {
    let Some(row) = sim.services.scheduler.application(application_id).cloned() else {
        return;
    };
    let mut spec = (*row.spec).clone();
    let old = spec
        .services
        .remove("web")
        .or_else(|| spec.services.remove("web-2"));
    let fresh = if row.spec.services.contains_key("web") {
        "web-2"
    } else {
        "web"
    };
    let Some(mut web) = old.filter(|_| !spec.services.contains_key(fresh)) else {
        return;
    };
    let image = if sim.rng.chance(30) { "flaky" } else { "ok" };
    web.container.image = format!("{image}:{}", sim.rng.between(1, 2));
    spec.services.insert(fresh.to_owned(), web);
    let release_id = ReleaseId::from_u128(sim.services.id());
    sim.scheduler(SchedulerCommand::Deploy {
        cluster_id: CLUSTER,
        name: row.name,
        application_id,
        release_id,
        spec: Box::new(spec),
        source: ReleaseSource::Image {
            image: "random".to_owned(),
        },
        warnings: vec![],
        method: DeployMethod::BlueGreen,
        must_exist: None,
        expected_version: None,
    });
}

fn policy(rng: &mut Rng) -> UpdatePolicy {
    let action = [
        FailureAction::Pause,
        FailureAction::Continue,
        FailureAction::Rollback,
    ];
    UpdatePolicy {
        parallelism: u32::try_from(rng.between(0, 3)).unwrap_or(1),
        order: if rng.chance(50) {
            UpdateOrder::StartFirst
        } else {
            UpdateOrder::StopFirst
        },
        delay_ms: if rng.chance(30) { 3_000 } else { 0 },
        monitor_ms: if rng.chance(30) { 5_000 } else { 0 },
        max_failure_permille: if rng.chance(30) { 400 } else { 0 },
        failure_action: rng.pick(&action).unwrap_or_default(),
    }
}

fn application(sim: &mut Sim) -> ApplicationSpec {
    let rng = &mut sim.rng;
    let kind = match rng.between(0, 19) {
        0..=5 => "flaky",
        6 => "missing",
        _ => "ok",
    };
    let image = format!("{kind}:{}", rng.between(1, 2));
    let replicas = u32::try_from(rng.between(0, 5)).unwrap_or(1);
    let mut web = service(replicas, &image);
    if rng.chance(30) {
        web.container.resources.memory_reserved_bytes = GIB;
    }
    if rng.chance(20) {
        web.container.ports.push(port(8_000));
    }
    if rng.chance(20) {
        web.container.generic_resources.insert("gpu".to_owned(), 1);
    }
    if rng.chance(20) {
        web.placement.affinities.push(Affinity {
            subject: "service".to_owned(),
            operator: Operator::NotEqual,
            pattern: "db".to_owned(),
            soft: false,
        });
    }
    web.update = rng.chance(60).then(|| policy(rng));
    let mut db = service(1, "ok:db");
    db.container.mounts.push(MountSpec {
        source: MountSource::Volume {
            name: "data".to_owned(),
        },
        target: "/data".to_owned(),
        read_only: false,
        ..MountSpec::default()
    });
    db.container.healthcheck = Some(HealthcheckSpec {
        test: vec!["CMD".to_owned(), "true".to_owned()],
        ..HealthcheckSpec::default()
    });
    if rng.chance(30) {
        db.reschedule = ReschedulePolicy::OnNodeFailure;
    }
    let mut services = BTreeMap::from([("db".to_owned(), db)]);
    if rng.chance(30) {
        let condition = DependencyCondition::ServiceHealthy;
        web.depends_on.insert("db".to_owned(), condition);
    }
    services.insert("web".to_owned(), web);
    if rng.chance(30) {
        let mut job = service(1, "job:1");
        job.restart = RestartPolicy {
            condition: RestartCondition::OnFailure,
            ..RestartPolicy::default()
        };
        services.insert("job".to_owned(), job);
    }
    ApplicationSpec {
        services,
        volumes: BTreeMap::from([("data".to_owned(), Default::default())]),
        networks: BTreeMap::new(),
        ..ApplicationSpec::default()
    }
}

fn service(replicas: u32, image: &str) -> ServiceSpec {
    ServiceSpec {
        mode: ServiceMode::Replicated { replicas },
        container: ContainerSpec {
            image: image.to_owned(),
            ..ContainerSpec::default()
        },
        ..ServiceSpec::default()
    }
}

pub(crate) fn port(published: u16) -> PortSpec {
    PortSpec {
        target: 80,
        published: Some(published),
        protocol: "tcp".to_owned(),
        host_ip: None,
    }
}
