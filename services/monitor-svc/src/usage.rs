//! The newest sample of each node, taken from the bus and given to who asks.

use crate::monotonic_ms;
use berth_bus::QuestionSink;
use berth_events::{Rejection, RejectionKind, UsageSample};
use berth_ids::ClusterId;
use berth_monitor_core::UsageStore;
use berth_service_kit::ServiceContext;
use futures::StreamExt;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Wait before a broken subscription is made again.
const RESUBSCRIBE_DELAY: Duration = Duration::from_millis(200);
/// How often samples of nodes that send no more are dropped.
const CLEAN_INTERVAL: Duration = Duration::from_secs(30);

/// The samples held. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Samples {
    store: Arc<Mutex<UsageStore>>,
    since: Instant,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            store: Arc::default(),
            since: Instant::now(),
        }
    }
}

impl Samples {
    fn store(&self) -> MutexGuard<'_, UsageStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        monotonic_ms(self.since)
    }
}

/// Takes samples until shutdown.
pub(crate) async fn take(context: ServiceContext, samples: Samples) {
    while !context.shutdown.is_cancelled() {
        let mut messages = match context.bus.client().subscribe("met.*.*").await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "could not listen to samples; trying again");
                tokio::time::sleep(RESUBSCRIBE_DELAY).await;
                continue;
            }
        };
        let mut cleaning = tokio::time::interval(CLEAN_INTERVAL);
        loop {
            tokio::select! {
                () = context.shutdown.cancelled() => return,
                _ = cleaning.tick() => samples.store().drop_old(samples.now()),
                message = messages.next() => match message {
                    Some(message) => take_one(&samples, message.subject.as_str(), &message.payload),
                    None => break,
                },
            }
        }
    }
}

fn take_one(samples: &Samples, subject: &str, payload: &[u8]) {
    match serde_json::from_slice::<UsageSample>(payload) {
        // The bus lets an agent speak only for its own node and cluster.
        Ok(sample) if subject == format!("met.{}.{}", sample.cluster_id, sample.node_id) => {
            if !samples.store().take(sample, samples.now()) {
                tracing::warn!("a sample was refused: too many nodes send samples");
            }
        }
        Ok(sample) => {
            tracing::warn!(node.id = %sample.node_id, "a sample on `{subject}` speaks for another node")
        }
        Err(error) => tracing::warn!(%error, "a sample on `{subject}` does not have its shape"),
    }
}

/// Answers `q.monitor.usage.<cluster>` until shutdown.
pub(crate) async fn answer(context: ServiceContext, samples: Samples) {
    let sink = QuestionSink {
        service: context.service.to_owned(),
        question: "usage".to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let answer = move |cluster: String, (): ()| {
        let samples = samples.clone();
        async move { usage(&samples, &cluster) }
    };
    context.bus.answer(sink, answer).await;
}

fn usage(samples: &Samples, cluster: &str) -> Result<Vec<UsageSample>, Rejection> {
    let cluster: ClusterId = cluster.parse().map_err(|_| Rejection {
        kind: RejectionKind::NotFound,
        code: "cluster.not_found".into(),
        message: format!("`{cluster}` is no id of a cluster"),
        cure: Some("`berth cluster ls` lists them".into()),
    })?;
    Ok(samples.store().of(cluster, samples.now()))
}
