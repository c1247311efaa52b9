//! The loop: what happens next, in order of virtual time.

use crate::{
    agent::{Agent, Wish},
    bus::{Faults, Message},
    check,
    engine::WillEnd,
    rng::Rng,
    services::Services,
    show::{Teller, table},
};
use berth_agent_core::Step;
use berth_events::{
    ClusterCommand, CommandBody, CommandOutcome, Event, PlacementEvent, SchedulerCommand, SecurityPolicy,
    spec::Strategy,
};
use berth_ids::{AllocationId, ClusterId, CommandId, Name, NodeId, Timestamp};
use berth_monitor_core::Verdict;
use berth_scheduler_core::view::SchedulerView;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

/// The cluster of every simulation.
pub(crate) const CLUSTER: ClusterId = ClusterId::from_u128(1);
const HEARTBEAT_MS: u64 = 500;
const WATCH_MS: u64 = 250;
const PLAN_MS: u64 = 1_000;

#[derive(Debug)]
pub(crate) enum Happening {
    Deliver(Message),
    Wake(NodeId, u64),
    StepDone(NodeId, u64, AllocationId, Step),
    Ends(NodeId, AllocationId, WillEnd),
    Beat(NodeId),
    Watch,
    Plan,
    /// A rival scheduler plans from what was known some time ago.
    Rival(Box<SchedulerView>),
}

/// A cluster with everything that belongs to it.
#[derive(Debug)]
pub struct Sim {
    pub(crate) now: Timestamp,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) services: Services,
    pub(crate) agents: BTreeMap<NodeId, Agent>,
    queue: BinaryHeap<Reverse<(Timestamp, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    order: u64,
    published: u64,
    /// Check what must always hold after every step.
    pub(crate) checked: bool,
}

impl Sim {
    /// An empty cluster.
    pub fn new(seed: u64) -> Self {
        let mut sim = Self {
            now: Timestamp::from_millis(1_000_000),
            rng: Rng::new(seed),
            faults: Faults::NONE,
            services: Services::new(),
            agents: BTreeMap::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            order: 0,
            published: 0,
            checked: true,
        };
        sim.command(CommandBody::Cluster(ClusterCommand::CreateCluster {
            cluster_id: CLUSTER,
            name: name("main"),
            region: "here".to_owned(),
            zones: Default::default(),
            policy: SecurityPolicy::Open,
            strategy: Strategy::Spread,
        }));
        sim.after(WATCH_MS, Happening::Watch);
        sim.after(PLAN_MS, Happening::Plan);
        sim
    }

    /// Hash of the last event: the same for the same history.
    pub fn fingerprint(&self) -> String {
        let log = &self.services.log;
        let last = log.after(log.head().saturating_sub(1)).first();
        last.map(|event| event.hash.clone()).unwrap_or_default()
    }

    /// Number of events.
    pub fn events(&self) -> u64 {
        self.services.log.head()
    }

    /// Nodes, containers and what is pending.
    pub fn table(&self) -> Vec<String> {
        table(&self.services.scheduler, CLUSTER)
    }

    /// The log in words, each line with its position and the seconds since the beginning.
    pub fn story(&self) -> Vec<String> {
        let mut teller = Teller::default();
        let events = self.services.log.after(0).iter();
        events
            .filter_map(|event| {
                let seconds = event.recorded_at.as_millis() - 1_000_000;
                let line = teller.line(event)?;
                Some(format!(
                    "{:4} {:7.3} {line}",
                    event.position,
                    seconds as f64 / 1_000.0
                ))
            })
            .collect()
    }

    /// Decides a command at once, as a caller who waits for the answer.
    pub(crate) fn command(&mut self, body: CommandBody) -> CommandOutcome {
        let id = CommandId::from_u128(self.services.id());
        let outcome = self.services.command(id, &body, self.now);
        self.publish();
        outcome
    }

    pub(crate) fn scheduler(&mut self, command: SchedulerCommand) -> CommandOutcome {
        self.command(CommandBody::Scheduler(command))
    }

    pub(crate) fn cluster(&mut self, command: ClusterCommand) -> CommandOutcome {
        self.command(CommandBody::Cluster(command))
    }

    pub(crate) fn wake(&mut self, node: NodeId) {
        if let Some(agent) = self.agents.get(&node) {
            let boot = agent.boot;
            self.after(1, Happening::Wake(node, boot));
        }
    }

    pub(crate) fn after(&mut self, delay_ms: u64, happening: Happening) {
        self.order += 1;
        let at = self.now.plus(Duration::from_millis(delay_ms));
        self.queue.push(Reverse((at, self.order)));
        self.happenings.insert(self.order, happening);
    }

    fn send(&mut self, message: Message) {
        let queued = matches!(message, Message::Command(..));
        let copies = 1 + u64::from(self.rng.chance(self.faults.twice));
        for _ in 0..copies {
            if queued || !self.rng.chance(self.faults.loss) {
                let (low, high) = self.faults.delay_ms;
                let delay = self.rng.between(low, high);
                self.after(delay, Happening::Deliver(message.clone()));
            }
        }
    }

    /// Runs for some virtual time.
    ///
    /// # Errors
    /// What must never be, if it is.
    pub fn run(&mut self, time: Duration) -> Result<(), check::Fault> {
        let end = self.now.plus(time);
        while let Some(Reverse((at, order))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            let head = self.services.log.head();
            if let Some(happening) = self.happenings.remove(&order) {
                self.happen(happening);
            }
            self.publish();
            if self.checked && self.services.log.head() != head {
                check::safe(self)?;
            }
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver(message) => self.deliver(message),
            Happening::Wake(node, boot) => {
                let rng = &mut self.rng;
                let agent = self.agents.get_mut(&node).filter(|agent| agent.boot == boot);
                let Some(agent) = agent.filter(|agent| agent.is_up()) else {
                    return;
                };
                let wishes = agent.wake(self.now, rng);
                self.grant(node, wishes);
            }
            Happening::StepDone(node, boot, id, step) => {
                let rng = &mut self.rng;
                let agent = self.agents.get_mut(&node).filter(|agent| agent.boot == boot);
                if let Some(agent) = agent {
                    let wishes = agent.step_done(id, &step, self.now, rng);
                    self.grant(node, wishes);
                    self.wake(node);
                }
            }
            Happening::Ends(node, id, will_end) => {
                if let Some(agent) = self.agents.get_mut(&node) {
                    agent.engine.end(id, Some(will_end.run), will_end.code, self.now);
                    self.wake(node);
                }
            }
            Happening::Beat(node) => {
                if self.agents.get(&node).is_some_and(Agent::is_up) {
                    self.send(Message::Heartbeat(node));
                    self.wake(node);
                }
                if self.agents.contains_key(&node) {
                    self.after(HEARTBEAT_MS, Happening::Beat(node));
                }
            }
            Happening::Watch => self.watch(),
            Happening::Plan => {
                self.plan();
                self.after(PLAN_MS, Happening::Plan);
            }
            Happening::Rival(view) => {
                let plan = self.services.plan_from(&view, CLUSTER, self.now);
                // It may be refused: then somebody was faster, which is all that can happen.
                let _ = self.services.record(&plan, self.now);
            }
        }
    }

    fn grant(&mut self, node: NodeId, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Send(message) => self.send(message),
                Wish::Begin(id, step, duration) => {
                    let boot = self.agents.get(&node).map_or(0, |agent| agent.boot);
                    self.after(duration, Happening::StepDone(node, boot, id, step));
                }
                Wish::End(id, will_end) => self.after(will_end.after_ms, Happening::Ends(node, id, will_end)),
            }
        }
    }

    fn deliver(&mut self, message: Message) {
        let reachable = |node: NodeId| {
            self.agents
                .get(&node)
                .is_some_and(|agent| agent.linked && agent.is_up())
        };
        if message.node().is_some_and(|node| !reachable(node)) {
            return;
        }
        match message {
            Message::Placement(change, position) => {
                let node = change.node_id;
                let wishes = self
                    .agents
                    .get_mut(&node)
                    .map(|agent| agent.placement(&change, position));
                self.grant(node, wishes.unwrap_or_default());
                self.wake(node);
            }
            Message::AskAssignment(node) => {
                if let Some(whole) = self.services.assignment(node) {
                    self.send(Message::Assignment(node, Box::new(whole)));
                }
            }
            Message::Assignment(node, whole) => {
                if let Some(agent) = self.agents.get_mut(&node) {
                    agent.assignment(&whole);
                }
                self.wake(node);
            }
            Message::Report(report) => {
                if let Some(recorded) = self.services.report(&report, self.now) {
                    self.send(Message::Recorded(report.node_id, recorded));
                }
                self.plan();
            }
            Message::Recorded(node, recorded) => {
                if let Some(agent) = self.agents.get_mut(&node) {
                    agent.recorded(&recorded);
                }
            }
            Message::Heartbeat(node) => {
                let now = self.millis();
                self.services.heard(node, now);
            }
            Message::Command(id, body) => {
                self.services.command(id, &body, self.now);
                self.plan();
            }
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.now.as_millis()).unwrap_or(0)
    }

    fn watch(&mut self) {
        let now = self.millis();
        for verdict in self.services.watch(now) {
            let (command, node_id, version, kind) = match verdict {
                Verdict::Lost {
                    node_id,
                    silent_ms,
                    version,
                } => (
                    ClusterCommand::MarkLost { node_id, silent_ms },
                    node_id,
                    version,
                    1,
                ),
                Verdict::Returned { node_id, version } => {
                    (ClusterCommand::MarkReturned { node_id }, node_id, version, 2)
                }
            };
            let id =
                CommandId::from_u128((node_id.as_uuid().as_u128() << 64) | u128::from(version << 2 | kind));
            self.send(Message::Command(id, Box::new(CommandBody::Cluster(command))));
        }
        self.after(WATCH_MS, Happening::Watch);
    }

    /// The scheduler's reconciler, woken by an event or its timer.
    pub(crate) fn plan(&mut self) {
        for (node_id, remaining, position) in self.services.plan(CLUSTER, self.now) {
            let id = CommandId::from_u128((u128::from(position) << 64) | u128::from(remaining) << 2 | 3);
            let command = ClusterCommand::SettleDrain { node_id, remaining };
            self.send(Message::Command(id, Box::new(CommandBody::Cluster(command))));
        }
    }

    /// What is new in the log goes to the nodes that it concerns.
    pub(crate) fn publish(&mut self) {
        let events = self.services.log.after(self.published).to_vec();
        self.published = self.services.log.head();
        for recorded in events {
            if let Ok(Event::Placement(PlacementEvent::Decided(change))) = recorded.event() {
                self.send(Message::Placement(Box::new(change), recorded.position));
            }
        }
    }
}

/// A name that is known to be one.
pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|_| name("unnamed"))
}
