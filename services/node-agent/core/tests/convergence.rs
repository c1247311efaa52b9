//! Whatever happens to the agent and its containers, in any order: once it is quiet, the engine matches the
//! assignment, and every step it takes is one of few.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test ends by panicking

use berth_agent_core::{CRASH_LIMIT, Container, Failure, Moment, Node, RESET_AFTER, Seen, Step, StoredNode};
use berth_events::{
    ExitStatus, FailureReason, ObservationKind, Observed, Placed, PlacementDecided, PlacementReason,
    RecordedUpTo, RetryStep, StopOrder, StopReason,
    spec::{ContainerSpec, RestartCondition, RestartPolicy},
};
use berth_ids::{AllocationId, ApplicationId, ClusterId, NodeId, ReleaseId, Timestamp};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// More than any history of these tests needs once it is quiet.
const MAX_QUIET_STEPS: usize = 400;

#[derive(Debug, Clone)]
enum Act {
    Place {
        restart: RestartPolicy,
    },
    Stop(usize),
    Exit {
        which: usize,
        code: i64,
    },
    Vanish(usize),
    Steps {
        fail: Option<Fault>,
    },
    Wait(u64),
    AgentRestarts,
    AgentForgets,
    BusGoes,
    BusComes,
    EngineRestarts,
    /// The journal does not reach the disk for a while; a restart then finds an older one.
    DiskSlow(bool),
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Passing,
    EngineAway,
    /// The engine did it, but the answer was lost.
    AnswerLost,
}

/// A small engine: one container an allocation.
#[derive(Default)]
struct Engine(BTreeMap<AllocationId, Seen>);

impl Engine {
    fn act(&mut self, id: AllocationId, step: &Step, now: Timestamp) {
        let container = Container {
            id: id.to_string(),
            ..Container::default()
        };
        let running = Seen::Running {
            container: container.clone(),
            healthy: None,
            health_output: String::new(),
        };
        match step {
            Step::Create => assert!(
                self.0.insert(id, Seen::Created(container)).is_none(),
                "created twice"
            ),
            Step::Start | Step::Restart => {
                if self.0.contains_key(&id) {
                    self.0.insert(id, running);
                }
            }
            Step::Stop { .. } | Step::Kill => self.exit(id, 143, now),
            Step::Remove => {
                self.0.remove(&id);
            }
            Step::Pull => {}
            other => panic!("{other:?} is no effect"),
        }
    }

    fn exit(&mut self, id: AllocationId, code: i64, now: Timestamp) {
        if let Some(seen) = self.0.get_mut(&id)
            && let Seen::Running { container, .. } = seen
        {
            *seen = Seen::Ended {
                container: container.clone(),
                exit: ExitStatus {
                    exit_code: code,
                    oom_killed: false,
                },
                started_at: now,
                finished_at: now,
                output: String::new(),
            };
        }
    }
}

struct World {
    node: Node,
    engine: Engine,
    now: Timestamp,
    bus_up: bool,
    position: u64,
    placed: Vec<AllocationId>,
    wanted: BTreeMap<AllocationId, RestartPolicy>,
    journals: u64,
    disk: Option<StoredNode>,
    disk_slow: bool,
    on_disk: (u64, u64),
    /// What the owner recorded, and the last number it has of each journal.
    reported: BTreeMap<AllocationId, Vec<Observed>>,
    taken: BTreeMap<u64, u64>,
}

impl World {
    fn new() -> Self {
        Self {
            node: Node::new(NodeId::default(), ClusterId::default(), None, None, 1).unwrap(),
            engine: Engine::default(),
            now: Timestamp::from_millis(1_000_000),
            bus_up: true,
            position: 0,
            placed: Vec::new(),
            wanted: BTreeMap::new(),
            journals: 1,
            disk: None,
            disk_slow: false,
            on_disk: (0, 0),
            reported: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            wall: self.now,
        }
    }

    /// The journal reaches the disk.
    fn keep(&mut self) {
        let stored = self.node.store();
        self.on_disk = (stored.journal.id(), stored.journal.last_number());
        self.disk = Some(stored);
    }

    fn pick(&self, which: usize) -> Option<AllocationId> {
        (!self.placed.is_empty()).then(|| self.placed[which % self.placed.len()])
    }

    fn change(&mut self, place: Vec<Placed>, stop: Vec<StopOrder>) {
        let containers = BTreeMap::from([("h".to_owned(), ContainerSpec::default())]);
        let change = PlacementDecided {
            cluster_id: ClusterId::default(),
            node_id: NodeId::default(),
            previous: self.position,
            place,
            stop,
            containers,
            projects: BTreeMap::new(),
            drop_volumes: BTreeSet::new(),
        };
        self.position += 3;
        let told = self.node.apply(&change, self.position, None);
        if told.is_err() {
            self.tell_all();
        }
    }

    /// The owner answers with the complete assignment.
    fn tell_all(&mut self) {
        let whole = berth_events::Assignment {
            generation: self.position,
            change: PlacementDecided {
                cluster_id: ClusterId::default(),
                node_id: NodeId::default(),
                previous: 0,
                place: self
                    .wanted
                    .iter()
                    .map(|(id, restart)| placed(*id, *restart))
                    .collect(),
                stop: Vec::new(),
                containers: BTreeMap::from([("h".to_owned(), ContainerSpec::default())]),
                projects: BTreeMap::new(),
                drop_volumes: BTreeSet::new(),
            },
        };
        self.node.replace(&whole).unwrap();
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Place { restart } => {
                let id = AllocationId::from_u128(self.placed.len() as u128 + 1);
                self.placed.push(id);
                self.wanted.insert(id, *restart);
                self.change(vec![placed(id, *restart)], Vec::new());
            }
            Act::Stop(which) => {
                if let Some(id) = self.pick(*which) {
                    self.wanted.remove(&id);
                    let reason = StopReason::Surplus;
                    let allocation_id = id;
                    self.change(
                        Vec::new(),
                        vec![StopOrder {
                            allocation_id,
                            reason,
                            by: None,
                        }],
                    );
                }
            }
            Act::Exit { which, code } => {
                if let Some(id) = self.pick(*which) {
                    self.engine.exit(id, *code, self.now);
                }
            }
            Act::Vanish(which) => {
                if let Some(id) = self.pick(*which) {
                    self.engine.0.remove(&id);
                }
            }
            Act::Steps { fail } => {
                self.steps(*fail);
            }
            Act::Wait(ms) => self.now = self.now.plus(Duration::from_millis(*ms)),
            Act::AgentRestarts => {
                let assignment = self.node.stored_assignment();
                // Over the disk and back.
                let rest = self.disk.as_ref().map(|rest| {
                    let text = serde_json::to_string(rest).unwrap();
                    serde_json::from_str(&text).unwrap()
                });
                self.journals += 1;
                let ids = (NodeId::default(), ClusterId::default());
                self.node = Node::new(ids.0, ids.1, assignment.as_ref(), rest, self.journals).unwrap();
                self.on_disk = (self.journals, self.node.journal().last_number());
            }
            Act::AgentForgets => {
                self.journals += 1;
                let ids = (NodeId::default(), ClusterId::default());
                self.node = Node::new(ids.0, ids.1, None, None, self.journals).unwrap();
                self.disk = None;
            }
            Act::DiskSlow(slow) => self.disk_slow = *slow,
            Act::BusGoes => self.bus_up = false,
            Act::BusComes => self.bus_up = true,
            Act::EngineRestarts => {
                for id in self.placed.clone() {
                    self.engine.exit(id, 255, self.now);
                }
            }
        }
    }

    /// One round: look, plan, carry out. Gives the number of steps.
    fn steps(&mut self, fail: Option<Fault>) -> usize {
        let look = self.node.begin_look();
        self.node.looked(look, self.engine.0.clone(), self.moment());
        let plan = self.node.plan(self.moment(), self.bus_up);
        let count = plan.steps.len();
        for (id, step) in plan.steps {
            self.node.begin(id, self.moment());
            let passing = Failure::Passing {
                reason: FailureReason::Start,
                message: "no".into(),
            };
            let outcome = match fail {
                Some(Fault::Passing) => Err(passing),
                Some(Fault::EngineAway) => Err(Failure::EngineAway),
                Some(Fault::AnswerLost) => {
                    self.engine.act(id, &step, self.now);
                    Err(Failure::EngineAway)
                }
                None => {
                    self.engine.act(id, &step, self.now);
                    Ok(())
                }
            };
            let seen = match fail {
                Some(Fault::EngineAway | Fault::AnswerLost) => None,
                Some(Fault::Passing) | None => Some(self.engine.0.get(&id).cloned().unwrap_or(Seen::Absent)),
            };
            self.node.finished(id, &step, outcome, seen, self.moment());
        }
        if !self.disk_slow {
            self.keep();
        }
        self.deliver();
        if !self.disk_slow {
            self.keep();
        }
        count
    }

    /// The owner takes what is next in the journal and says so.
    fn deliver(&mut self) {
        if !self.bus_up {
            return;
        }
        let journal = self.node.journal();
        let on_disk = if self.on_disk.0 == journal.id() {
            self.on_disk.1
        } else {
            0
        };
        let tellable = journal.tellable(on_disk);
        for report in self.node.reports_after(0) {
            let taken = self.taken.entry(report.journal).or_default();
            for item in report.items.into_iter().filter(|item| item.number <= tellable) {
                assert!(item.number <= *taken + 1, "a hole before {}", item.number);
                if item.number <= *taken {
                    continue;
                }
                *taken = item.number;
                if let ObservationKind::Allocation { allocation_id, state } = item.what {
                    self.reported.entry(allocation_id).or_default().push(state);
                }
            }
            let number = *taken;
            let journal = report.journal;
            self.node.recorded_up_to(&RecordedUpTo {
                journal,
                number,
                resend: false,
            });
        }
    }

    /// Everything works again; time passes.
    fn quiet(&mut self) -> usize {
        self.bus_up = true;
        self.disk_slow = false;
        self.tell_all();
        let mut steps = 0;
        for _ in 0..MAX_QUIET_STEPS {
            steps += self.steps(None);
            self.now = self.now.plus(Duration::from_secs(1));
        }
        steps
    }

    fn check(&mut self) {
        for id in &self.placed {
            let seen = self.engine.0.get(id);
            match self.wanted.get(id) {
                None => assert_eq!(seen, None, "an unwanted container is left"),
                Some(_) => {
                    let ended = matches!(
                        self.reported.get(id).and_then(|all| all.last()),
                        Some(Observed::Exited(_) | Observed::Failed { .. })
                    );
                    let running = seen.is_some_and(Seen::is_running);
                    assert!(running || ended, "{id} neither runs nor ended for good: {seen:?}");
                }
            }
        }
        assert!(self.node.journal().pending().is_empty());
        // Quiet stays quiet.
        assert_eq!(self.steps(None), 0);
    }
}

fn placed(id: AllocationId, restart: RestartPolicy) -> Placed {
    Placed {
        allocation_id: id,
        application_id: ApplicationId::from_u128(1),
        release_id: ReleaseId::default(),
        service: "web".into(),
        slot: u32::try_from(id.as_uuid().as_u128()).unwrap(),
        spec_hash: "h".into(),
        restart,
        why: PlacementReason::default(),
        image_digest: None,
    }
}

fn policy() -> impl Strategy<Value = RestartPolicy> {
    let condition = prop_oneof![
        Just(RestartCondition::Never),
        Just(RestartCondition::OnFailure),
        Just(RestartCondition::Any)
    ];
    (condition, 0..3_u32).prop_map(|(condition, max_attempts)| RestartPolicy {
        condition,
        max_attempts,
        delay_ms: 0,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let fault = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Fault::Passing)),
        1 => Just(Some(Fault::EngineAway)),
        1 => Just(Some(Fault::AnswerLost)),
    ];
    prop_oneof![
        3 => policy().prop_map(|restart| Act::Place { restart }),
        2 => (0..8_usize).prop_map(Act::Stop),
        3 => (0..8_usize, 0..2_i64).prop_map(|(which, code)| Act::Exit { which, code }),
        1 => (0..8_usize).prop_map(Act::Vanish),
        8 => fault.prop_map(|fail| Act::Steps { fail }),
        3 => (0..20_000_u64).prop_map(Act::Wait),
        2 => Just(Act::AgentRestarts),
        1 => Just(Act::AgentForgets),
        1 => Just(Act::BusGoes),
        1 => Just(Act::BusComes),
        1 => Just(Act::EngineRestarts),
        2 => any::<bool>().prop_map(Act::DiskSlow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_history_converges_once_it_is_quiet(acts in prop::collection::vec(act(), 0..60)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        let steps = world.quiet();
        prop_assert!(steps <= acts.len() * 6 + 1, "{steps} steps");
        world.check();
    }

    #[test]
    fn states_reported_only_go_forward_unless_the_agent_forgets(
        acts in prop::collection::vec(act().prop_filter(
            "keeps its disk",
            |act| !matches!(act, Act::AgentForgets | Act::DiskSlow(_))
        ), 0..60)
    ) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.quiet();
        for states in world.reported.values() {
            let ranks: Vec<u8> = states.iter().map(rank).collect();
            prop_assert!(ranks.is_sorted(), "{states:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    // The owner places a slot anew once it hears of an end: a crash must not wake the old container up.
    #[test]
    fn an_end_that_was_told_is_never_taken_back(
        acts in prop::collection::vec(act().prop_filter("keeps its disk", |act| !matches!(act, Act::AgentForgets)), 0..60)
    ) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.quiet();
        for states in world.reported.values() {
            // What is told twice is no news to the owner; how it ends is.
            let ended = states.iter().any(|state| rank(state) >= 4);
            prop_assert!(!ended || states.last().map(rank) >= Some(4), "{states:?}");
        }
    }
}

fn rank(state: &Observed) -> u8 {
    match state {
        Observed::Pulling { .. } => 0,
        Observed::Created { .. } => 1,
        Observed::Running { .. } => 2,
        Observed::Retrying { step, .. } => match step {
            RetryStep::Pull | RetryStep::Secrets | RetryStep::Create => 0,
            RetryStep::Start => 1,
            RetryStep::Run => 2,
        },
        Observed::Stopping => 3,
        Observed::Exited(_) | Observed::Failed { .. } => 4,
        Observed::Removed => 5,
    }
}

/// A world with one container that runs.
fn one_running() -> (World, AllocationId) {
    let mut world = World::new();
    let restart = RestartPolicy::default();
    world.act(&Act::Place { restart });
    for _ in 0..3 {
        world.steps(None);
    }
    let id = world.placed[0];
    assert!(world.engine.0[&id].is_running());
    (world, id)
}

/// Exits it each time it runs, until `seconds` have passed; gives how often it was started again.
fn crash(world: &mut World, id: AllocationId, seconds: u64) -> usize {
    let mut restarts = 0;
    for _ in 0..seconds {
        world.engine.exit(id, 1, world.now);
        restarts += world.steps(None);
        world.now = world.now.plus(Duration::from_secs(1));
    }
    restarts
}

#[test]
fn a_crash_loop_is_given_up_after_the_limit() {
    let (mut world, id) = one_running();
    assert_eq!(crash(&mut world, id, 600), CRASH_LIMIT as usize);
    let last = world.reported[&id].last().unwrap();
    let reason = FailureReason::CrashLoop;
    assert!(
        matches!(last, Observed::Failed { reason: r, .. } if *r == reason),
        "{last:?}"
    );
}

#[test]
fn without_the_bus_it_goes_on_restarting_once_a_minute() {
    let (mut world, id) = one_running();
    world.bus_up = false;
    crash(&mut world, id, 600);
    let restarts = crash(&mut world, id, 3_600);
    assert!((55..=60).contains(&restarts), "{restarts}");
}

#[test]
fn running_for_a_while_begins_the_count_anew() {
    let (mut world, id) = one_running();
    for _ in 0..(CRASH_LIMIT * 3) {
        let started_at = world.now;
        world.now = world.now.plus(RESET_AFTER);
        world.engine.exit(id, 1, world.now);
        if let Some(Seen::Ended {
            started_at: start, ..
        }) = world.engine.0.get_mut(&id)
        {
            *start = started_at;
        }
        world.steps(None);
        world.now = world.now.plus(Duration::from_secs(1));
        assert_eq!(world.steps(None), 1);
    }
    assert!(world.engine.0[&id].is_running());
}

#[test]
fn an_agent_that_knows_nothing_leaves_alone_what_runs() {
    let (mut world, id) = one_running();
    world.act(&Act::AgentForgets);
    assert_eq!(world.steps(None), 0);
    world.tell_all();
    assert_eq!(world.steps(None), 0, "a healthy container is not touched");
    assert!(world.engine.0[&id].is_running());
}

#[test]
fn a_removal_that_the_engine_tells_of_late_is_not_reported_again() {
    let (mut world, id) = one_running();
    world.act(&Act::Stop(0));
    for _ in 0..3 {
        world.steps(None);
    }
    assert_eq!(world.reported[&id].last(), Some(&Observed::Removed));
    let count = world.reported[&id].len();
    let look = world.node.begin_look();
    world.node.looked_one(look, id, Seen::Absent, world.moment());
    world.steps(None);
    assert_eq!(world.reported[&id].len(), count);
}
