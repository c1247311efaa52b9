//! The other side's view of the worker: orders in, status and reports out.

use berth_agent_core::{Applied, ApplyError, Node, Seen};
use berth_events::{AllocationReport, PlacementDecided, RecordedUpTo};
use berth_ids::{AllocationId, ApplicationId};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

/// What everyone may know of the worker at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Generation that it obeys.
    pub generation: u64,
    /// It has ever been told what to run.
    pub known: bool,
    /// The engine answers.
    pub engine_up: bool,
    /// Number of the journal.
    pub journal: u64,
    /// Number of the last observation that may be told.
    pub last_number: u64,
}

/// A container that runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The allocation.
    pub allocation_id: AllocationId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Id in the engine.
    pub container_id: String,
    /// Name in the engine.
    pub name: String,
}

/// What the worker is told or asked.
pub enum Order {
    /// A change of the assignment.
    Apply {
        /// The change.
        change: Box<PlacementDecided>,
        /// Position of its event.
        position: u64,
        /// Its trace context.
        traceparent: Option<String>,
        /// What became of it.
        answer: oneshot::Sender<Result<Applied, ApplyError>>,
    },
    /// The complete assignment.
    Replace {
        /// All of it.
        whole: Box<berth_events::Assignment>,
        /// What became of it.
        answer: oneshot::Sender<Result<Applied, ApplyError>>,
    },
    /// Reports are recorded up to a number.
    Recorded(RecordedUpTo),
    /// The bus came or went.
    BusUp(bool),
    /// Reports with everything above a number.
    Reports(u64, oneshot::Sender<Vec<AllocationReport>>),
    /// A report of everything.
    Digest(oneshot::Sender<AllocationReport>),
    /// The container of an allocation in the engine.
    Container(AllocationId, oneshot::Sender<Option<String>>),
    /// What runs now.
    Running(oneshot::Sender<Vec<Running>>),
}

impl Order {
    /// Carries an order out. An asker that is gone needs no answer.
    pub(super) fn obey(self, node: &mut Node, bus_up: &mut bool) {
        match self {
            Self::Apply {
                change,
                position,
                traceparent,
                answer,
            } => {
                let _ = answer.send(node.apply(&change, position, traceparent.as_deref()));
            }
            Self::Replace { whole, answer } => {
                let _ = answer.send(node.replace(&whole));
            }
            Self::Recorded(recorded) => node.recorded_up_to(&recorded),
            Self::BusUp(up) => *bus_up = up,
            Self::Reports(after, answer) => {
                let _ = answer.send(node.reports_after(after));
            }
            Self::Digest(answer) => {
                let _ = answer.send(node.digest());
            }
            Self::Container(id, answer) => {
                let container = node.seen().get(&id).and_then(Seen::container);
                let _ = answer.send(container.map(|c| c.id.clone()));
            }
            Self::Running(answer) => {
                let _ = answer.send(running(node));
            }
        }
    }
}

fn running(node: &Node) -> Vec<Running> {
    let all = node.seen().iter();
    all.filter(|(_, seen)| seen.is_running())
        .filter_map(|(id, seen)| {
            let container = seen.container()?;
            Some(Running {
                allocation_id: *id,
                application_id: container.application_id,
                container_id: container.id.clone(),
                name: container.name.clone(),
            })
        })
        .collect()
}

/// A worker that runs. Dropping the handle does not stop it; its shutdown token does.
pub struct WorkerHandle {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

impl WorkerHandle {
    pub(super) fn new(
        orders: mpsc::Sender<Order>,
        status: watch::Receiver<Status>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { orders, status, task }
    }

    /// A way to give orders and see the status from elsewhere.
    pub fn remote(&self) -> Remote {
        Remote {
            orders: self.orders.clone(),
            status: self.status.clone(),
        }
    }

    /// Waits until the worker has stopped.
    pub async fn stopped(self) {
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            tracing::error!(%error, "the worker ended by a fault of the agent");
        }
    }

    /// Ends the worker at once, as a kill of the process would.
    pub fn kill(self) {
        self.task.abort();
    }
}

/// Gives orders to a worker. Cheap to clone. Answers are `None` once the worker has stopped.
#[derive(Clone)]
pub struct Remote {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
}

impl Remote {
    /// Status now.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }
    /// Status with its changes.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
    /// Gives an order that needs no answer.
    pub async fn tell(&self, order: Order) {
        // The worker is gone only at shutdown.
        let _ = self.orders.send(order).await;
    }
    /// Applies a change of the assignment.
    pub async fn apply(
        &self,
        change: PlacementDecided,
        position: u64,
        traceparent: Option<String>,
    ) -> Option<Result<Applied, ApplyError>> {
        let change = Box::new(change);
        self.ask(|answer| Order::Apply {
            change,
            position,
            traceparent,
            answer,
        })
        .await
    }
    /// Gives the complete assignment.
    pub async fn replace(&self, whole: berth_events::Assignment) -> Option<Result<Applied, ApplyError>> {
        let whole = Box::new(whole);
        self.ask(|answer| Order::Replace { whole, answer }).await
    }
    /// Reports with everything above a number.
    pub async fn reports_after(&self, number: u64) -> Option<Vec<AllocationReport>> {
        self.ask(|answer| Order::Reports(number, answer)).await
    }
    /// A report of everything.
    pub async fn digest(&self) -> Option<AllocationReport> {
        self.ask(Order::Digest).await
    }
    /// The container of an allocation in the engine.
    pub async fn container(&self, id: AllocationId) -> Option<String> {
        self.ask(|answer| Order::Container(id, answer)).await.flatten()
    }
    /// What runs now.
    pub async fn running(&self) -> Vec<Running> {
        self.ask(Order::Running).await.unwrap_or_default()
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.ok()?;
        answered.await.ok()
    }
}
