//! A node: the real agent's core, a fake engine, a disk, and the thin shell between them.

use crate::{
    bus::Message,
    engine::{Engine, WillEnd},
    rng::Rng,
};
use berth_agent_core::{Journal, Moment, Node, Step, StoredNode};
use berth_events::{Assignment, PlacementDecided, RecordedUpTo};
use berth_ids::{AllocationId, ClusterId, NodeId, Timestamp};

/// Time between two digests, in milliseconds.
const DIGEST_MS: u64 = 10_000;
/// Time after which what was not acknowledged is sent again, and the assignment asked for, in milliseconds.
const REPEAT_MS: u64 = 3_000;
/// The journal reaches the disk with every so manieth write.
const WRITES_A_JOURNAL: u64 = 3;

/// What an agent wants done.
#[derive(Debug)]
pub(crate) enum Wish {
    Send(Message),
    /// A step takes time.
    Begin(AllocationId, Step, u64),
    /// A container will end by itself.
    End(AllocationId, WillEnd),
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) node_id: NodeId,
    cluster_id: ClusterId,
    pub(crate) engine: Engine,
    node: Option<Node>,
    disk: (Option<Assignment>, Option<StoredNode>),
    /// The disk is behind with the journal now and then, never with the assignment.
    writes: u64,
    /// One a start of the agent: what an earlier one began comes to nothing.
    pub(crate) boot: u64,
    pub(crate) linked: bool,
    sent: u64,
    journal: u64,
    repeated_at: Timestamp,
    digested_at: Timestamp,
}

impl Agent {
    pub(crate) fn new(node_id: NodeId, cluster_id: ClusterId, now: Timestamp, journal_id: u64) -> Self {
        let mut agent = Self {
            node_id,
            cluster_id,
            engine: Engine::default(),
            node: None,
            disk: (None, None),
            writes: 0,
            boot: 0,
            linked: true,
            sent: 0,
            journal: 0,
            repeated_at: now,
            digested_at: now,
        };
        agent.start(now, journal_id);
        agent
    }

    pub(crate) fn is_up(&self) -> bool {
        self.node.is_some()
    }

    /// Power off.
    pub(crate) fn cut(&mut self, now: Timestamp) {
        self.halt();
        self.engine.cut(now);
    }

    /// Only the agent dies; containers run on.
    pub(crate) fn halt(&mut self) {
        self.node = None;
        self.boot += 1;
    }

    pub(crate) fn start(&mut self, now: Timestamp, journal_id: u64) {
        if self.node.is_some() {
            return;
        }
        let (assignment, stored) = self.disk.clone();
        self.node = Node::new(
            self.node_id,
            self.cluster_id,
            assignment.as_ref(),
            stored,
            journal_id,
        )
        .ok();
        self.sent = 0;
        self.repeated_at = Timestamp::default();
        self.digested_at = Timestamp::default();
        self.save();
        let _ = now;
    }

    fn save(&mut self) {
        if let Some(node) = &self.node {
            self.disk.0 = node.stored_assignment();
            self.writes += 1;
            if self.writes.is_multiple_of(WRITES_A_JOURNAL) {
                self.disk.1 = Some(node.store());
            }
        }
    }

    pub(crate) fn placement(&mut self, change: &PlacementDecided, position: u64) -> Vec<Wish> {
        let Some(node) = &mut self.node else {
            return vec![];
        };
        if node.apply(change, position, None).is_err() {
            return vec![Wish::Send(Message::AskAssignment(self.node_id))];
        }
        self.save();
        vec![]
    }

    pub(crate) fn assignment(&mut self, whole: &Assignment) {
        if let Some(node) = &mut self.node {
            // One that is not complete is asked for again with the next repetition.
            let _ = node.replace(whole);
        }
        self.save();
    }

    pub(crate) fn recorded(&mut self, recorded: &RecordedUpTo) {
        let Some(node) = &mut self.node else { return };
        node.recorded_up_to(recorded);
        if recorded.resend && recorded.journal == node.journal().id() {
            self.sent = recorded.number;
        }
        self.save();
    }

    /// Looks, plans, begins what is to be done, and says what is new.
    pub(crate) fn wake(&mut self, now: Timestamp, rng: &mut Rng) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let moment = Moment { now, wall: now };
        let Some(node) = &mut self.node else {
            return wishes;
        };
        let look = node.begin_look();
        node.looked(look, self.engine.look(now), moment);
        let plan = node.plan(moment, self.linked);
        for (id, step) in plan.steps {
            let wanted = node.assignment().wanted().get(&id);
            let duration = self.engine.duration_ms(&step, wanted, rng);
            if let (Step::Pull, Some(wanted)) = (&step, wanted) {
                let image = wanted.container.image.clone();
                node.pulling(id, &image, moment);
            }
            node.begin(id, moment);
            wishes.push(Wish::Begin(id, step, duration));
        }
        if !plan.drop_volumes.is_empty() {
            self.engine.drop_volumes(&plan.drop_volumes);
            node.volumes_dropped(plan.drop_volumes, moment);
        }
        self.save();
        self.speak(now, &mut wishes);
        wishes
    }

    pub(crate) fn step_done(
        &mut self,
        id: AllocationId,
        step: &Step,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Vec<Wish> {
        let Some(node) = &mut self.node else {
            return vec![];
        };
        let wanted = node.assignment().wanted().get(&id);
        let outcome = self.engine.take(id, step, wanted, now, rng);
        let (outcome, will_end) = match outcome {
            Ok(will_end) => (Ok(()), will_end),
            Err(failure) => (Err(failure), None),
        };
        let moment = Moment { now, wall: now };
        let seen = self.engine.seen(id, now);
        node.finished(id, step, outcome, Some(seen), moment);
        self.save();
        will_end
            .map(|will_end| Wish::End(id, will_end))
            .into_iter()
            .collect()
    }

    fn speak(&mut self, now: Timestamp, wishes: &mut Vec<Wish>) {
        let Some(node) = &self.node else { return };
        if self.journal != node.journal().id() {
            (self.journal, self.sent) = (node.journal().id(), 0);
        }
        if now.since(self.repeated_at).as_millis() >= u128::from(REPEAT_MS) {
            self.repeated_at = now;
            self.sent = 0;
            wishes.push(Wish::Send(Message::AskAssignment(self.node_id)));
        }
        let journal = node.journal();
        let on_disk = self.disk.1.as_ref().map(|stored| &stored.journal);
        let on_disk = on_disk.filter(|kept| kept.id() == journal.id());
        let tellable = journal.tellable(on_disk.map_or(0, Journal::last_number));
        for mut report in node.reports_after(self.sent) {
            report.items.retain(|item| item.number <= tellable);
            wishes.push(Wish::Send(Message::Report(Box::new(report))));
        }
        self.sent = self.sent.max(tellable);
        if tellable == journal.last_number()
            && now.since(self.digested_at).as_millis() >= u128::from(DIGEST_MS)
        {
            self.digested_at = now;
            wishes.push(Wish::Send(Message::Report(Box::new(node.digest()))));
        }
    }
}
