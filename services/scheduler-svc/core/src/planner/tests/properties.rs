//! Whatever happens to a cluster, in whatever order: the rules hold after every plan, a plan after its own
//! events is empty, the same view gives the same plan, and calm follows.

use crate::{
    lab::{CLUSTER, GIB, Lab, app, restored, running},
    planner::{
        self,
        variants::{variant, with_policy},
    },
};
use berth_events::{
    DeployMethod, FailureReason, NodeCordoned, NodeEvent, NodeRemoved, NodeUncordoned, Observed,
    SchedulerCommand, StopReason,
    spec::{ReschedulePolicy, ServiceMode},
};
use berth_ids::{AllocationId, NodeId, ReleaseId};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) enum Deed {
    AddNode {
        memory: u64,
        ssd: bool,
    },
    LoseNode(usize),
    BringBack(usize),
    Cordon(usize),
    Uncordon(usize),
    Drain(usize, bool),
    RemoveNode(usize),
    Deploy {
        application: usize,
        variant: u8,
        replicas: u32,
        policy: u8,
        method: u8,
    },
    Rollback(usize, Option<u32>),
    Pause(usize),
    Resume(usize),
    Confirm(usize),
    Scale {
        application: usize,
        replicas: u32,
    },
    StopApp(usize),
    StartApp(usize),
    Restart(usize),
    Remove(usize, bool),
    Obey,
    Exit(usize, i64),
    Fail(usize),
    Vanish(usize),
    Health(usize, bool),
    Wait(u64),
}

pub(crate) fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => (1..8_u64, any::<bool>()).prop_map(|(memory, ssd)| Deed::AddNode { memory, ssd }),
        1 => (0..8_usize).prop_map(Deed::LoseNode),
        1 => (0..8_usize).prop_map(Deed::BringBack),
        1 => (0..8_usize).prop_map(Deed::Cordon),
        1 => (0..8_usize).prop_map(Deed::Uncordon),
        1 => (0..8_usize, any::<bool>()).prop_map(|(n, force)| Deed::Drain(n, force)),
        1 => (0..8_usize).prop_map(Deed::RemoveNode),
        4 => (0..3_usize, 0..10_u8, 0..6_u32, 0..8_u8, 0..6_u8)
            .prop_map(|(application, variant, replicas, policy, method)| {
                Deed::Deploy { application, variant, replicas, policy, method }
            }),
        1 => (0..3_usize, prop::option::of(1..5_u32)).prop_map(|(a, to)| Deed::Rollback(a, to)),
        1 => (0..3_usize).prop_map(Deed::Pause),
        1 => (0..3_usize).prop_map(Deed::Resume),
        1 => (0..3_usize).prop_map(Deed::Confirm),
        1 => (0..3_usize, 0..8_u32).prop_map(|(application, replicas)| Deed::Scale { application, replicas }),
        1 => (0..3_usize).prop_map(Deed::StopApp),
        1 => (0..3_usize).prop_map(Deed::StartApp),
        1 => (0..3_usize).prop_map(Deed::Restart),
        1 => (0..3_usize, any::<bool>()).prop_map(|(a, volumes)| Deed::Remove(a, volumes)),
        4 => Just(Deed::Obey),
        1 => (0..20_usize, 0..3_i64).prop_map(|(a, code)| Deed::Exit(a, code)),
        1 => (0..20_usize).prop_map(Deed::Fail),
        1 => (0..20_usize).prop_map(Deed::Vanish),
        1 => (0..20_usize, any::<bool>()).prop_map(|(a, well)| Deed::Health(a, well)),
        2 => (0..100_u64).prop_map(Deed::Wait),
    ]
}

pub(crate) struct World {
    pub(crate) lab: Lab,
    nodes: Vec<NodeId>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            lab: Lab::new(),
            nodes: Vec::new(),
        }
    }

    fn pick(&self, at: usize) -> Option<NodeId> {
        let node = *self.nodes.get(at % self.nodes.len().max(1))?;
        self.lab.view.node(node).map(|row| row.node_id)
    }

    fn allocation(&self, at: usize) -> Option<AllocationId> {
        let all: Vec<_> = self
            .lab
            .rows()
            .into_iter()
            .filter(|row| !self.lab.view.node(row.node_id).unwrap().lost)
            .collect();
        all.get(at % all.len().max(1)).map(|row| row.allocation_id)
    }

    fn on_application(&mut self, at: usize, command: impl Fn(berth_ids::ApplicationId) -> SchedulerCommand) {
        if let Some(id) = self.lab.applications.get(&format!("app{at}")) {
            // A refusal is an answer too.
            let command = command(*id);
            let _ = self.lab.try_command(&command);
        }
    }

    fn on_node(&mut self, at: usize, event: NodeEvent) {
        if let Some(node) = self.pick(at) {
            self.lab.node_event(node, event);
        }
    }

    fn node_deed(&mut self, deed: Deed) {
        match deed {
            Deed::AddNode { memory, ssd } if self.nodes.len() < 8 => {
                let name = format!("n{}", self.nodes.len());
                let node = self.lab.node_with(&name, |node| {
                    node.facts.memory_bytes = memory * GIB;
                    node.zone = format!("z{}", memory % 3);
                    node.resources.insert("gpu".into(), memory % 3);
                    if ssd {
                        node.labels.insert("disk".into(), "ssd".into());
                    }
                });
                self.nodes.push(node);
            }
            Deed::LoseNode(at) => {
                if let Some(node) = self
                    .pick(at)
                    .filter(|node| !self.lab.view.node(*node).unwrap().lost)
                {
                    self.lab.lose(node);
                }
            }
            Deed::BringBack(at) => {
                if let Some(node) = self
                    .pick(at)
                    .filter(|node| self.lab.view.node(*node).unwrap().lost)
                {
                    self.lab.bring_back(node);
                }
            }
            Deed::Cordon(at) => self.on_node(
                at,
                NodeEvent::Cordoned(NodeCordoned {
                    reason: String::new(),
                }),
            ),
            Deed::Uncordon(at) => self.on_node(at, NodeEvent::Uncordoned(NodeUncordoned {})),
            Deed::Drain(at, force) => {
                if let Some(node) = self.pick(at) {
                    self.lab.drain(node, Duration::from_secs(30), force);
                }
            }
            Deed::RemoveNode(at) => self.on_node(at, NodeEvent::Removed(NodeRemoved { forced: true })),
            _ => {}
        }
    }

    /// A deploy of one of many files; `side` goes with every one.
    pub(crate) fn deploy_command(
        &mut self,
        name: &str,
        (kind, replicas): (u8, u32),
        policy: u8,
        method: u8,
    ) -> SchedulerCommand {
        let mut web = with_policy(variant(kind, replicas), policy);
        web.labels.priority = [0, 0, 5, 10][replicas as usize % 4];
        let colour = if method == 1 { "green" } else { "web" };
        let mut spec = app([(colour, web), ("side", variant(kind / 2, 1))]);
        spec.volumes.insert("data".into(), Default::default());
        let mut command = self.lab.deploy_command(name, spec);
        if let SchedulerCommand::Deploy { method: asked, .. } = &mut command {
            *asked = match method {
                1 => DeployMethod::BlueGreen,
                2 => DeployMethod::Standard,
                _ => DeployMethod::Rolling,
            };
        }
        command
    }

    fn application_deed(&mut self, deed: Deed) {
        match deed {
            Deed::Deploy {
                application,
                variant: kind,
                replicas,
                policy,
                method,
            } => {
                let name = format!("app{application}");
                let command = self.deploy_command(&name, (kind, replicas), policy, method);
                if let Ok(result) = self.lab.try_command(&command) {
                    let id = result["application_id"].as_str().unwrap().parse().unwrap();
                    self.lab.applications.insert(name, id);
                }
            }
            Deed::Scale {
                application,
                replicas,
            } => {
                self.on_application(application, |application_id| SchedulerCommand::Scale {
                    application_id,
                    service: "web".into(),
                    replicas,
                    expected_version: None,
                });
            }
            Deed::Rollback(at, to) => {
                let release_id = ReleaseId::from_u128(self.lab.id());
                self.on_application(at, |application_id| SchedulerCommand::Rollback {
                    application_id,
                    release_id,
                    to,
                    unsettled_only: false,
                    expected_version: None,
                });
            }
            Deed::Pause(at) => {
                self.on_application(at, |application_id| SchedulerCommand::PauseRelease {
                    application_id,
                });
            }
            Deed::Resume(at) => {
                self.on_application(at, |application_id| SchedulerCommand::ResumeRelease {
                    application_id,
                });
            }
            Deed::Confirm(at) => {
                self.on_application(at, |application_id| SchedulerCommand::ConfirmRelease {
                    application_id,
                    force: at == 1,
                });
            }
            Deed::StopApp(at) => {
                self.on_application(at, |application_id| SchedulerCommand::Stop { application_id })
            }
            Deed::StartApp(at) => {
                self.on_application(at, |application_id| SchedulerCommand::Start { application_id })
            }
            Deed::Restart(at) => self.on_application(at, |application_id| SchedulerCommand::Restart {
                application_id,
                services: Default::default(),
            }),
            Deed::Remove(at, volumes) => {
                self.on_application(at, |application_id| SchedulerCommand::Remove {
                    application_id,
                    volumes,
                });
            }
            _ => {}
        }
    }

    pub(crate) fn container_deed(&mut self, deed: Deed) {
        let report = |world: &mut Self, at: usize, state: &dyn Fn(AllocationId) -> Observed| {
            if let Some(id) = world.allocation(at) {
                world.lab.report(id, state(id));
            }
        };
        match deed {
            Deed::Exit(at, code) => {
                if let Some(id) = self.allocation(at) {
                    self.lab.exit(id, code);
                }
            }
            Deed::Fail(at) => report(self, at, &|_| Observed::Failed {
                reason: FailureReason::Pull,
                message: "no".into(),
            }),
            Deed::Vanish(at) => report(self, at, &|_| Observed::Removed),
            Deed::Health(at, well) => report(self, at, &|id| running(id, 0, Some(well))),
            Deed::Obey => self.lab.obey(),
            Deed::Wait(seconds) => self.lab.pass(Duration::from_secs(seconds)),
            other => {
                self.node_deed(other.clone());
                self.application_deed(other);
            }
        }
    }

    /// A plan twice: the same; a plan after its own events: empty.
    pub(crate) fn plan(&mut self) {
        let plan_now = |lab: &Lab| {
            let mut id = 1_u128 << 64;
            planner::plan(&lab.view, CLUSTER, lab.now, &mut || {
                id += 1;
                AllocationId::from_u128(id)
            })
        };
        let (one, two) = (plan_now(&self.lab), plan_now(&self.lab));
        assert_eq!(one, two, "the same view gives the same plan");
        let plans = self.lab.plan_all();
        for plan in &plans {
            self.check_hard_rules(plan);
        }
        let steps = plans.iter().filter(|plan| !plan.is_empty()).count();
        assert!(steps <= 3, "{steps} plans until calm: {plans:#?}");
    }

    /// New containers keep the hard rules of their service.
    fn check_hard_rules(&self, plan: &planner::Plan) {
        for change in &plan.changes {
            for order in change
                .stop
                .iter()
                .filter(|order| order.reason == StopReason::PushedOut)
            {
                let row = self.lab.view.allocation(order.allocation_id).unwrap();
                let spec = &self.lab.view.application(row.application_id).unwrap().spec;
                let service = &spec.services[&row.service];
                let by = order.by.as_ref().unwrap();
                assert!(service.labels.priority < by.priority, "{order:?}");
                assert!(service.mode != ServiceMode::Global && service.reschedule != ReschedulePolicy::Off);
                let container = self.lab.view.container(&row.spec_hash).unwrap();
                assert_eq!(container.named_volumes().count(), 0, "its data is here");
            }
            let node = self.lab.view.node(change.node_id).unwrap();
            for placed in &change.place {
                assert!(!node.lost && node.availability == crate::view::Availability::Active);
                let spec = &self.lab.view.application(placed.application_id).unwrap().spec;
                let service = &spec.services[&placed.service];
                if !service.placement.constraints.is_empty() {
                    assert_eq!(node.labels.get("disk").map(String::as_str), Some("ssd"));
                }
            }
        }
    }
}

/// Histories tried if `PROPTEST_CASES`, which `default` reads, says nothing; proptest itself would try more then.
const CASES: u32 = 150;
const UNSAID: u32 = 256;

pub(crate) fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if config.cases == UNSAID {
        config.cases = CASES;
    }
    config.max_shrink_iters = 2_000;
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_rules_hold_whatever_happens(
        deeds in prop::collection::vec((deed(), prop::option::weighted(0.3, 0..4_usize)), 1..60),
    ) {
        let mut world = World::new();
        for (deed, recorded) in deeds {
            world.container_deed(deed);
            if let Some(recorded) = recorded {
                // A planner dies while it records its plan.
                world.lab.plan_in_part(recorded);
            }
            world.plan();
        }
        assert!(restored(&world.lab) == world.lab.view, "rows hold the whole state");
        calm(&mut world);
    }
}

/// With all nodes back and agents that obey, every slot runs, has completed, or says why not.
fn calm(world: &mut World) {
    for at in 0..world.nodes.len() {
        world.node_deed(Deed::BringBack(at));
    }
    let mut pushed_out = 0;
    for round in 0..16 {
        let head = world.lab.log.head();
        for at in 0..3 {
            world.application_deed(Deed::Resume(at));
        }
        world.lab.settle();
        if round >= 6 {
            let events = world.lab.log.after(head).iter();
            let text = events.map(|event| event.data.get().matches("\"pushed_out\"").count());
            pushed_out += text.sum::<usize>();
        }
        world.lab.pass(Duration::from_secs(61));
        for row in world.lab.rows() {
            if row.healthy == Some(false) && row.stop.is_none() {
                world.lab.report(
                    row.allocation_id,
                    running(row.allocation_id, row.restarts, Some(true)),
                );
            }
        }
    }
    world.lab.settle();
    assert_eq!(pushed_out, 0, "nobody pushes and is pushed for ever");
    let view = &world.lab.view;
    for application in view.applications_of(CLUSTER) {
        assert!(
            application.removing.is_none(),
            "nothing is left of what was removed"
        );
        for (name, service) in &application.spec.services {
            let ServiceMode::Replicated { replicas } = service.mode else {
                continue;
            };
            let replicas = if application.stopped { 0 } else { replicas };
            let blocked = view.blocked(application.application_id, name);
            let runs = |slot: &u32| {
                view.allocations_of(application.application_id, name).any(|row| {
                    row.slot == *slot
                        && row.is_kept()
                        && row.phase == crate::allocation::Phase::Running
                        && view.is_current(row)
                })
            };
            for slot in 1..=replicas {
                let told = blocked.is_some_and(|row| row.slots.contains(&slot));
                assert!(
                    runs(&slot) != told,
                    "{name}.{slot}: runs {}, blocked {told}",
                    runs(&slot)
                );
            }
            let more = view
                .allocations_of(application.application_id, name)
                .filter(|row| row.slot > replicas)
                .count();
            assert_eq!(more, 0, "surplus of {name}");
        }
    }
}
