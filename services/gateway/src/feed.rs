//! New events, for all that follow: one reader of the bus, many listeners.

use berth_events::Recorded;
use berth_service_kit::ServiceContext;
use std::{sync::Arc, time::Duration};
use tokio::sync::{broadcast, watch};

/// Events held for listeners that are slow; who falls behind reads on from Postgres.
const BUFFERED_EVENTS: usize = 4_096;
/// Wait before the bus is followed anew.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// New events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Feed {
    sender: broadcast::Sender<Arc<Recorded>>,
}

impl Feed {
    /// Follows the log from its end until shutdown.
    pub(crate) fn start(context: &ServiceContext, reached: watch::Receiver<u64>) -> Self {
        let feed = Self {
            sender: broadcast::Sender::new(BUFFERED_EVENTS),
        };
        tokio::spawn(follow(context.clone(), reached, feed.sender.clone()));
        feed
    }

    /// Listens from now on. A listener finds holes by position and fills them from Postgres.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<Recorded>> {
        self.sender.subscribe()
    }
}

async fn follow(
    context: ServiceContext,
    reached: watch::Receiver<u64>,
    sender: broadcast::Sender<Arc<Recorded>>,
) {
    let mut position = 0;
    while !context.shutdown.is_cancelled() {
        // What the bus has lost, the read model has from Postgres, and so do listeners.
        position = position.max(*reached.borrow());
        let step = async {
            let mut tail = context.bus.tail(position).await?;
            loop {
                let recorded = tail.next().await?;
                position = recorded.position;
                // Nobody listens now: that is no fault.
                let _ = sender.send(Arc::new(recorded));
            }
        };
        let ended: Result<(), berth_bus::BusError> = tokio::select! {
            ended = step => ended,
            () = context.shutdown.cancelled() => return,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "live events are held up; following anew");
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}
