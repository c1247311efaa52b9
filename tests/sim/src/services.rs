//! The services: real cores over the log in memory.

use crate::promise;
use berth_cluster_core::ClusterView;
use berth_events::{
    AllocationEvent, AllocationReport, Assignment, Category, ClusterCommand, CommandBody, CommandOutcome,
    Event, Meta, Recorded, RecordedUpTo, Rejection, SchedulerCommand, StreamName,
};
use berth_eventsourcing::{
    Aggregate, AppendError, AppendRequest, Appended, CommandRecord, Decision, LoadedStream, MemoryLog,
    NewEvent, StreamAppend, Streams, Undecided, View,
};
use berth_ids::{AllocationId, ClusterId, CommandId, EventId, NodeId, Timestamp};
use berth_monitor_core::{MonitorView, Verdict, Watch};
use berth_scheduler_core::{
    allocation::{AllocationAggregate, NodeAllocations, take},
    application,
    planner::{Plan, plan},
    view::SchedulerView,
};
use std::collections::BTreeMap;

/// The tenant of everything.
pub(crate) const TENANT: &str = "main";
/// Plans in a row before the simulation gives up on ever seeing an empty one.
const MAX_PLANS: usize = 100;

#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) log: MemoryLog,
    pub(crate) clusters: ClusterView,
    pub(crate) scheduler: SchedulerView,
    monitor: MonitorView,
    watch: Watch,
    /// What the scheduler keeps between reports.
    taken: BTreeMap<NodeId, NodeAllocations>,
    ids: u128,
    /// When the plan changes by itself.
    pub(crate) wake_at: Option<Timestamp>,
    /// Position that the last plan rested on.
    planned: u64,
    /// The scheduler does not run.
    pub(crate) scheduler_off: bool,
    /// A promise of a release that a plan has broken.
    pub(crate) broken: Option<String>,
}

impl Services {
    pub(crate) fn new() -> Self {
        Self {
            log: MemoryLog::default(),
            clusters: ClusterView::default(),
            scheduler: SchedulerView::default(),
            monitor: MonitorView::default(),
            watch: Watch::default(),
            taken: BTreeMap::new(),
            ids: 1 << 32,
            wake_at: None,
            planned: 0,
            scheduler_off: false,
            broken: None,
        }
    }

    pub(crate) fn id(&mut self) -> u128 {
        self.ids += 1;
        self.ids
    }

    fn append(
        &mut self,
        caller: &str,
        decision: &Decision,
        command: Option<CommandRecord>,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let mut streams = Vec::new();
        for change in &decision.changes {
            let mut events = Vec::new();
            for event in &change.events {
                let event_id = EventId::from_u128(self.id());
                events.push(
                    NewEvent::encode(event_id, event).map_err(|error| AppendError::Refused {
                        reason: error.to_string(),
                    })?,
                );
            }
            streams.push(StreamAppend {
                stream: change.stream.clone(),
                expected: change.expected,
                events,
            });
        }
        let request = AppendRequest {
            tenant: TENANT.to_owned(),
            meta: Meta::default(),
            streams,
            guards: decision.guards.clone(),
            command,
        };
        let head = self.log.head();
        let appended = self.log.append(caller, &request, now)?;
        for recorded in self.log.after(head).to_vec() {
            self.fold(&recorded);
        }
        Ok(appended)
    }

    fn fold(&mut self, recorded: &Recorded) {
        if let Ok(event) = recorded.event() {
            self.clusters.apply(recorded, &event);
            self.scheduler.apply(recorded, &event);
            self.monitor.apply(recorded, &event);
        }
    }

    fn load(&self, name: &StreamName) -> LoadedStream {
        let recorded: Vec<&Recorded> = self.log.stream(name).collect();
        LoadedStream {
            version: recorded.len() as u64,
            tenant: recorded.first().map(|first| first.tenant.to_string()),
            events: recorded.iter().filter_map(|one| one.event().ok()).collect(),
        }
    }

    fn decide(
        &self,
        rules: impl Fn(&Self, &Streams) -> Result<Decision, Undecided>,
    ) -> Result<Decision, Rejection> {
        let mut streams = Streams::default();
        loop {
            match rules(self, &streams) {
                Ok(decision) => return Ok(decision),
                Err(Undecided::Refused(rejection)) => return Err(rejection),
                Err(Undecided::Needs(name)) => {
                    let loaded = self.load(&name);
                    streams.insert(name, loaded);
                }
            }
        }
    }

    fn cluster_rules(
        &self,
        command: &ClusterCommand,
        streams: &Streams,
        now: Timestamp,
    ) -> Result<Decision, Undecided> {
        let context = berth_cluster_core::Context {
            tenant: TENANT,
            now,
            view: &self.clusters,
        };
        berth_cluster_core::decide(command, context, streams)
    }

    fn scheduler_rules(&self, command: &SchedulerCommand, streams: &Streams) -> Result<Decision, Undecided> {
        let context = application::Context {
            tenant: TENANT,
            view: &self.scheduler,
        };
        application::decide(command, context, streams)
    }

    /// Decides a command; one that comes again gets its first outcome.
    pub(crate) fn command(&mut self, id: CommandId, body: &CommandBody, now: Timestamp) -> CommandOutcome {
        if let Some(known) = self.log.command(id) {
            return known.clone();
        }
        if self.scheduler_off && matches!(body, CommandBody::Scheduler(_)) {
            return unavailable("the scheduler is away".to_owned());
        }
        let decided = match body {
            CommandBody::Cluster(command) => {
                self.decide(|own, streams| own.cluster_rules(command, streams, now))
            }
            CommandBody::Scheduler(command) => {
                self.decide(|own, streams| own.scheduler_rules(command, streams))
            }
            CommandBody::Access(_) => Ok(Decision::nothing()),
        };
        let (decision, outcome) = match decided {
            Ok(decision) => {
                let result = decision.result.clone();
                (decision, CommandOutcome::Accepted { position: 0, result })
            }
            Err(rejection) => (Decision::nothing(), CommandOutcome::Rejected(rejection)),
        };
        let record = CommandRecord {
            command_id: id,
            request_hash: String::new(),
            outcome: outcome.clone(),
        };
        match self.append(body.service(), &decision, Some(record), now) {
            Ok(appended) => appended.outcome.unwrap_or(outcome),
            Err(error) => unavailable(error.to_string()),
        }
    }

    /// Takes a report; the answer goes out only after what is news is in the log.
    pub(crate) fn report(&mut self, report: &AllocationReport, now: Timestamp) -> Option<RecordedUpTo> {
        if self.scheduler_off {
            return None;
        }
        let node = report.node_id;
        self.scheduler.node(node)?;
        let stream = StreamName::new(Category::Allocation, node);
        let state = self
            .taken
            .remove(&node)
            .unwrap_or_else(|| self.allocations(&stream));
        let taken = take(&state, report, &self.scheduler.stopping_on(node));
        let decision = Decision::nothing().with(stream, state.version, taken.events);
        match self.append("scheduler", &decision, None, now) {
            Ok(_) => {
                self.taken.insert(node, taken.state);
                Some(taken.recorded)
            }
            // The reconciler has appended to the stream meanwhile: the report comes again.
            Err(_) => None,
        }
    }

    fn allocations(&self, stream: &StreamName) -> NodeAllocations {
        let events: Vec<AllocationEvent> = self
            .load(stream)
            .events
            .into_iter()
            .filter_map(|event| match event {
                Event::Allocation(event) => Some(event),
                _ => None,
            })
            .collect();
        AllocationAggregate::fold(&events)
    }

    pub(crate) fn assignment(&self, node: NodeId) -> Option<Assignment> {
        if self.scheduler_off {
            return None;
        }
        self.scheduler.assignment(node)
    }

    /// Plans until nothing is to be recorded; drains that have ended.
    pub(crate) fn plan(&mut self, cluster: ClusterId, now: Timestamp) -> Vec<(NodeId, u32, u64)> {
        let due = self.wake_at.is_some_and(|at| at <= now);
        if self.scheduler_off || (self.planned == self.log.head() && !due) {
            return vec![];
        }
        for _ in 0..MAX_PLANS {
            self.planned = self.log.head();
            let view = std::mem::take(&mut self.scheduler);
            let plan = self.plan_from(&view, cluster, now);
            self.scheduler = view;
            self.wake_at = plan.wake_at;
            if plan.is_empty() {
                return plan.drains().collect();
            }
            if self.record(&plan, now).is_err() {
                return vec![];
            }
        }
        vec![]
    }

    /// A plan from any view, also one that is behind.
    pub(crate) fn plan_from(&mut self, view: &SchedulerView, cluster: ClusterId, now: Timestamp) -> Plan {
        let mut next = self.ids;
        let plan = plan(view, cluster, now, &mut || {
            next += 1;
            AllocationId::from_u128(next)
        });
        self.ids = next;
        self.note(promise::kept(view, &plan));
        self.note(promise::is_all_new(view, &plan));
        plan
    }

    pub(crate) fn record(&mut self, plan: &Plan, now: Timestamp) -> Result<(), AppendError> {
        for part in plan.clone().into_decisions() {
            self.append("scheduler", &part, None, now)?;
        }
        Ok(())
    }

    /// The first promise that is broken is told.
    fn note(&mut self, outcome: Result<(), String>) {
        if let (None, Err(what)) = (&self.broken, outcome) {
            self.broken = Some(what);
        }
    }

    /// The scheduler dies and starts: what it holds is folded from the log again.
    pub(crate) fn restart_scheduler(&mut self) {
        self.scheduler_off = false;
        self.planned = 0;
        self.taken.clear();
        self.scheduler = SchedulerView::default();
        for recorded in self.log.after(0).to_vec() {
            if let Ok(event) = recorded.event() {
                self.scheduler.apply(&recorded, &event);
            }
        }
    }

    pub(crate) fn heard(&mut self, node: NodeId, now_ms: u64) {
        self.watch.heard(node, now_ms);
    }

    pub(crate) fn watch(&mut self, now_ms: u64) -> Vec<Verdict> {
        self.watch.know(self.monitor.known(), now_ms);
        let verdicts = self.watch.tick(now_ms);
        // Its link is that of all services, which answer each other in this world.
        if !self.watch.doubted(now_ms).is_empty() {
            self.watch.link_proven(now_ms);
        }
        verdicts
    }
}

fn unavailable(message: String) -> CommandOutcome {
    CommandOutcome::Rejected(Rejection {
        kind: berth_events::RejectionKind::Unavailable,
        code: "log".to_owned(),
        message,
        cure: None,
    })
}
