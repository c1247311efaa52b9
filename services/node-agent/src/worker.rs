//! The reconcile loop: looks at the engine, lets the core decide, carries out one step a container, keeps
//! what it knows on disk. Needs no bus; the bus side talks to it through [`WorkerHandle`].

mod cleaning;
mod done;
mod engine_watch;
mod files;
mod handle;
mod keeping;
mod probes;
mod secrets;
mod steps;
mod values;

pub use handle::{Order, Remote, Running, Status, WorkerHandle};
pub use secrets::{NoSecrets, SecretError, SecretSource};

use crate::{
    engine::Engine,
    state::{StateDir, StateError},
};
use berth_agent_core::{ApplyError, Moment, Node, Plan, Seen, Step};
use berth_ids::{AllocationId, ClusterId, NodeId, Timestamp};
use done::{Done, Task};
use engine_watch::{Bell, watch_engine};
use keeping::Keeping;
use probes::{Probes, Word};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use steps::Context;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Time between two complete looks at the engine: heals what its events did not tell.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// First and longest wait before the engine is tried again.
const AWAY_DELAY: Duration = Duration::from_millis(250);
const AWAY_DELAY_MAX: Duration = Duration::from_secs(5);
/// Orders waiting for the loop.
const ORDER_QUEUE: usize = 256;
/// Doorbells waiting for the loop; a full queue only means a look a little later.
const BELL_QUEUE: usize = 1_024;
/// Orders and doorbells taken before the loop plans again.
const MAX_BATCH: usize = 256;
/// The longest wait for running steps at shutdown.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Why the agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The assignment on its disk is not complete.
    #[error(
        "the assignment on disk is not complete; move assignment.json away, and the agent asks the platform anew"
    )]
    Assignment(#[from] ApplyError),
}

/// What a worker needs.
pub struct WorkerOptions {
    /// The node.
    pub node_id: NodeId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its engine.
    pub engine: Engine,
    /// Its folder.
    pub state: StateDir,
    /// Where secret values come from.
    pub secrets: Arc<dyn SecretSource>,
    /// When to stop. Containers go on.
    pub shutdown: CancellationToken,
}

/// Reads the folder and starts the loop.
///
/// # Errors
/// [`WorkerError`] if the folder cannot be read.
pub fn start(options: WorkerOptions) -> Result<WorkerHandle, WorkerError> {
    let assignment = options.state.assignment()?;
    let stored = options.state.journal()?;
    let (node_id, cluster_id) = (options.node_id, options.cluster_id);
    let node = Node::new(node_id, cluster_id, assignment.as_ref(), stored, rand::random())?;
    let keeping = Keeping::new(node.journal());
    let status = Status {
        generation: node.assignment().generation(),
        known: node.assignment().is_known(),
        engine_up: false,
        last_number: node.journal().last_number(),
        journal: node.journal().id(),
    };
    let (orders, order_queue) = mpsc::channel(ORDER_QUEUE);
    let (status_in, status_out) = watch::channel(status);
    let (bells, bell_queue) = mpsc::channel(BELL_QUEUE);
    let watching = watch_engine(options.engine.clone(), node_id, bells, options.shutdown.clone());
    let (fetching, fetch_queue) = mpsc::channel(BELL_QUEUE);
    let (words, word_queue) = mpsc::channel(BELL_QUEUE);
    let context = Arc::new(Context::new(&options, fetching));
    let worker = Worker {
        node,
        context,
        state: options.state,
        shutdown: options.shutdown,
        started: (Instant::now(), wall_clock()),
        orders: order_queue,
        bells: bell_queue,
        fetches: fetch_queue,
        words: word_queue,
        probes: Probes::new(words),
        _watcher: AbortOnDropHandle::new(tokio::spawn(watching)),
        status: status_in,
        steps: JoinSet::new(),
        tasks: HashMap::new(),
        pulls: BTreeMap::new(),
        cleaning: false,
        clean_at: Instant::now(),
        check_networks: true,
        engine_up: false,
        bus_up: false,
        look_at: Some(Instant::now()),
        looking: false,
        away_delay: AWAY_DELAY,
        keeping,
    };
    let task = tokio::spawn(worker.run());
    Ok(WorkerHandle::new(orders, status_out, task))
}

/// The clock on the wall.
pub(crate) fn wall_clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_micros(i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX))
}

struct Worker {
    node: Node,
    context: Arc<Context>,
    state: StateDir,
    shutdown: CancellationToken,
    /// The same moment on the clock that never jumps and on the wall.
    started: (Instant, Timestamp),
    orders: mpsc::Receiver<Order>,
    bells: mpsc::Receiver<Bell>,
    /// Images that the engine begins to fetch.
    fetches: mpsc::Receiver<(AllocationId, String)>,
    /// What probes say.
    words: mpsc::Receiver<Word>,
    probes: Probes,
    _watcher: AbortOnDropHandle<()>,
    status: watch::Sender<Status>,
    steps: JoinSet<Done>,
    /// What each of them does, for the case that it panics.
    tasks: HashMap<tokio::task::Id, Task>,
    /// Fetches under way, to be let go if their container is no longer wanted.
    pulls: BTreeMap<AllocationId, CancellationToken>,
    /// Volumes or networks are being removed.
    cleaning: bool,
    /// No cleaning before: something that should go was still in use.
    clean_at: Instant,
    /// Networks may have become useless.
    check_networks: bool,
    engine_up: bool,
    bus_up: bool,
    look_at: Option<Instant>,
    looking: bool,
    away_delay: Duration,
    keeping: Keeping,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let wake_at = self.advance();
            let keep_at = self.keep();
            self.tell();
            let wake_at = [wake_at, keep_at].into_iter().flatten().min();
            let wake = async move {
                match wake_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                Some(order) = self.orders.recv() => self.take_orders(order),
                Some(bell) = self.bells.recv() => self.take_bells(bell),
                Some((id, image)) = self.fetches.recv() => self.node.pulling(id, &image, self.moment()),
                Some((id, verdict)) = self.words.recv() => self.node.probed(id, verdict, self.moment()),
                Some(done) = self.steps.join_next_with_id() => self.take_done(done),
                () = wake => {}
            }
        }
        self.finish().await;
    }

    /// Begins everything that can begin now; gives when to wake at the latest.
    fn advance(&mut self) -> Option<Instant> {
        if self.look_at.is_some_and(|at| at <= Instant::now()) && !self.looking {
            self.begin_look();
        }
        if !self.engine_up {
            return self.look_at;
        }
        self.keep_probes();
        let moment = self.moment();
        let plan = self.node.plan(moment, self.bus_up);
        let wake_at = plan.wake_at.map(|at| self.instant(at));
        let clean_at = if self.is_assignment_kept() {
            self.clean(&plan.drop_volumes)
        } else {
            None
        };
        self.begin_steps(plan, moment);
        // The look that is under way sets the next one when it ends.
        let look_at = self.look_at.filter(|_| !self.looking);
        [wake_at, look_at, clean_at].into_iter().flatten().min()
    }

    fn begin_look(&mut self) {
        self.looking = true;
        self.look_at = None;
        let look = self.node.begin_look();
        let context = Arc::clone(&self.context);
        self.spawn(Task::Look, async move { Done::Look(look, context.look().await) });
    }

    fn begin_steps(&mut self, plan: Plan, moment: Moment) {
        let is_kept = self.is_assignment_kept();
        for (id, step) in plan.steps {
            // A container of an order that the disk does not know would be a stray after a crash, and one
            // that was stopped would come back. An image does no harm.
            if !is_kept && step != Step::Pull {
                continue;
            }
            self.node.begin(id, moment);
            let wanted = self.node.assignment().wanted().get(&id).cloned();
            let container = self.node.seen().get(&id).and_then(Seen::container).cloned();
            let trace = self.node.traceparent(id).map(str::to_owned);
            let let_go = CancellationToken::new();
            if step == Step::Pull {
                self.pulls.insert(id, let_go.clone());
            }
            let work = steps::Work {
                id,
                step: step.clone(),
                wanted,
                container,
                peers: self.node.peers(id),
                let_go,
            };
            let context = Arc::clone(&self.context);
            self.spawn(Task::Step(id, step.clone()), async move {
                Done::Step(id, step, context.carry_out(work, trace.as_deref()).await)
            });
        }
    }

    fn take_orders(&mut self, first: Order) {
        self.obey(first);
        for _ in 0..MAX_BATCH {
            match self.orders.try_recv() {
                Ok(order) => self.obey(order),
                Err(_) => break,
            }
        }
        let wanted = self.node.assignment().wanted();
        for (id, pull) in &self.pulls {
            if !wanted.contains_key(id) {
                pull.cancel();
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let bus_up = &mut self.bus_up;
        order.obey(&mut self.node, bus_up);
    }

    fn take_bells(&mut self, first: Bell) {
        let mut all = vec![first];
        while all.len() < MAX_BATCH
            && let Ok(bell) = self.bells.try_recv()
        {
            all.push(bell);
        }
        for bell in all {
            match bell {
                Bell::All => self.look_soon(),
                Bell::One(id, container) => self.look_at_one(id, &container),
            }
        }
    }

    fn look_soon(&mut self) {
        self.look_at = Some(Instant::now());
    }

    /// An event told of one container. If the core knows another one for the allocation, a complete look
    /// says which of them counts.
    fn look_at_one(&mut self, id: AllocationId, container: &str) {
        let known = self.node.seen().get(&id).and_then(Seen::container);
        if known.is_some_and(|known| known.id != container) {
            return self.look_soon();
        }
        let look = self.node.begin_look();
        let (context, container) = (Arc::clone(&self.context), container.to_owned());
        self.spawn(Task::One, async move {
            Done::One(look, id, context.engine.inspect_closely(&container).await.ok())
        });
    }

    async fn finish(&mut self) {
        self.pulls.values().for_each(CancellationToken::cancel);
        // Steps that have begun are carried out; the next start adopts whatever is there.
        let ended = async {
            while let Some(done) = self.steps.join_next_with_id().await {
                self.take_done(done);
            }
        };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, ended).await.is_err() {
            tracing::debug!("steps were still under way at the end; the next start goes on with them");
        }
        self.steps.shutdown().await;
        self.keep_all().await;
    }

    fn moment(&self) -> Moment {
        let (instant, wall) = self.started;
        Moment {
            now: wall.plus(instant.elapsed()),
            wall: wall_clock(),
        }
    }

    fn instant(&self, at: Timestamp) -> Instant {
        let (instant, wall) = self.started;
        instant + at.since(wall)
    }
}
