//! A worker on a real engine in a network namespace, ordered about without any bus.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)] // each test file uses its part, and ends by panicking

use berth_agent_core::Applied;
use berth_events::{
    AllocationReport, ObservationKind, Observed, Placed, PlacementDecided, PlacementReason, ProjectSpec,
    StopOrder, StopReason,
    spec::{ContainerSpec, RestartCondition, RestartPolicy},
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, ReleaseId};
use berth_lab::Lab;
use berth_node_agent::{
    engine::Engine,
    state::StateDir,
    worker::{self, NoSecrets, Remote, SecretSource, WorkerHandle, WorkerOptions},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

pub const IMAGE: &str = "busybox:test";
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Rig {
    pub lab: Lab,
    pub engine: Engine,
    pub agent: Option<WorkerHandle>,
    pub remote: Remote,
    pub generation: u64,
    folder: tempfile::TempDir,
    secrets: Arc<dyn SecretSource>,
}

pub const NODE: NodeId = NodeId::from_u128(0x11);
pub const CLUSTER: ClusterId = ClusterId::from_u128(0x22);

impl Rig {
    pub fn new() -> Self {
        Self::with_secrets(Arc::new(NoSecrets))
    }

    pub fn with_secrets(secrets: Arc<dyn SecretSource>) -> Self {
        let mut lab = Lab::start(1).unwrap();
        let node = lab.node(1).unwrap();
        node.import_busybox(IMAGE).unwrap();
        let engine = Engine::at(&node.docker_host());
        let folder = tempfile::tempdir().unwrap();
        let (agent, remote) = launch(&engine, folder.path(), &secrets);
        Self {
            lab,
            engine,
            agent: Some(agent),
            remote,
            generation: 0,
            folder,
            secrets,
        }
    }

    /// As a kill of the process: nothing is finished, nothing saved.
    pub fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill();
    }

    pub fn start_agent(&mut self) {
        let (agent, remote) = launch(&self.engine, self.folder.path(), &self.secrets);
        (self.agent, self.remote) = (Some(agent), remote);
    }

    pub fn docker(&mut self, arguments: &[&str]) -> String {
        self.lab
            .node(1)
            .unwrap()
            .docker(arguments)
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Orders containers and stops; gives what became of it.
    pub async fn order(&mut self, place: Vec<(Placed, ContainerSpec)>, stop: &[AllocationId]) {
        self.order_with(
            place,
            stop,
            &[],
            ProjectSpec {
                name: "shop".into(),
                ..ProjectSpec::default()
            },
        )
        .await;
    }

    pub async fn order_with(
        &mut self,
        place: Vec<(Placed, ContainerSpec)>,
        stop: &[AllocationId],
        drop_volumes: &[&str],
        project: ProjectSpec,
    ) {
        let change = PlacementDecided {
            cluster_id: CLUSTER,
            node_id: NODE,
            previous: self.generation,
            containers: place
                .iter()
                .map(|(p, c)| (p.spec_hash.clone(), c.clone()))
                .collect(),
            projects: place
                .iter()
                .map(|(p, _)| (p.application_id, project.clone()))
                .collect(),
            place: place.into_iter().map(|(p, _)| p).collect(),
            stop: stop
                .iter()
                .map(|id| StopOrder {
                    allocation_id: *id,
                    reason: StopReason::Surplus,
                    by: None,
                })
                .collect(),
            drop_volumes: drop_volumes.iter().map(|name| (*name).to_owned()).collect(),
        };
        self.generation += 10;
        let applied = self.remote.apply(change, self.generation, None).await.unwrap();
        assert_eq!(applied, Ok(Applied::Changed));
    }

    /// Every state told of an allocation so far.
    pub async fn states(&self, id: AllocationId) -> Vec<Observed> {
        let reports: Vec<AllocationReport> = self.remote.reports_after(0).await.unwrap();
        let told = self.remote.status().last_number;
        let items = reports.into_iter().flat_map(|report| report.items);
        let items = items.filter(|item| item.number <= told);
        items
            .filter_map(|item| match item.what {
                ObservationKind::Allocation { allocation_id, state } if allocation_id == id => Some(state),
                _ => None,
            })
            .collect()
    }

    /// Waits until the last reported state is as asked; panics with all states if it never is.
    pub async fn until(&self, id: AllocationId, what: &str, fits: impl Fn(&Observed) -> bool) -> Observed {
        let end = Instant::now() + PATIENCE;
        loop {
            let states = self.states(id).await;
            if let Some(state) = states.last().filter(|state| fits(state)) {
                return state.clone();
            }
            assert!(Instant::now() < end, "not {what}: {states:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn running(&self, id: AllocationId) -> Observed {
        self.until(id, "running", |state| matches!(state, Observed::Running { .. }))
            .await
    }

    pub async fn removed(&self, id: AllocationId) {
        self.until(id, "removed", |state| *state == Observed::Removed)
            .await;
    }

    pub async fn eventually(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            if Instant::now() >= end {
                let listed = self.docker(&["ps", "-a"]);
                let told = self.remote.reports_after(0).await;
                panic!("never: {what}\n{listed}\n{told:#?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn launch(
    engine: &Engine,
    folder: &std::path::Path,
    secrets: &Arc<dyn SecretSource>,
) -> (WorkerHandle, Remote) {
    let agent = worker::start(WorkerOptions {
        node_id: NODE,
        cluster_id: CLUSTER,
        engine: engine.clone(),
        state: StateDir::open(folder).unwrap(),
        secrets: Arc::clone(secrets),
        shutdown: CancellationToken::new(),
    })
    .unwrap();
    let remote = agent.remote();
    (agent, remote)
}

pub fn policy(condition: RestartCondition) -> RestartPolicy {
    RestartPolicy {
        condition,
        max_attempts: 0,
        delay_ms: 100,
    }
}

/// Allocation `id` of `shop/<service>` in a slot of the same number.
pub fn placed(id: u32, service: &str, restart: RestartPolicy) -> Placed {
    Placed {
        allocation_id: AllocationId::from_u128(u128::from(id)),
        application_id: ApplicationId::from_u128(0x33),
        release_id: ReleaseId::from_u128(0x44),
        service: service.to_owned(),
        slot: id,
        spec_hash: format!("hash-{id}"),
        restart,
        why: PlacementReason::default(),
        image_digest: None,
    }
}

pub fn sleeper() -> ContainerSpec {
    shell("trap 'exit 0' TERM; while :; do sleep 0.1; done")
}

pub fn shell(script: &str) -> ContainerSpec {
    ContainerSpec {
        image: IMAGE.into(),
        command: Some(vec!["sh".into(), "-c".into(), script.into()]),
        stop_grace_period_ms: Some(2_000),
        ..ContainerSpec::default()
    }
}

pub fn named(names: &[&str]) -> BTreeMap<String, berth_events::spec::NetworkAttachment> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), Default::default()))
        .collect()
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
