//! Keeps the newest sample of each node and answers with them.

use berth_bus::QuestionSink;
use berth_events::UsageSample;
use berth_monitor_core::UsageStore;
use berth_service_kit::{ServiceContext, cluster_of};
use futures::StreamExt;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Wait before a broken subscription is made again.
const RETRY_DELAY: Duration = Duration::from_millis(250);

#[derive(Clone)]
struct Samples {
    store: Arc<Mutex<UsageStore>>,
    started: Instant,
}

impl Samples {
    fn with<T>(&self, look: impl FnOnce(&mut UsageStore, u64) -> T) -> T {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        look(
            &mut self.store.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        )
    }
}

/// Takes samples and answers `q.monitor.usage.<cluster>` until shutdown.
pub(crate) async fn keep(context: ServiceContext) {
    let samples = Samples {
        store: Arc::default(),
        started: Instant::now(),
    };
    let sink = QuestionSink {
        service: context.service.to_owned(),
        question: "usage".to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let asked = samples.clone();
    let answering = context
        .bus
        .answer(sink, move |cluster: String, _: serde_json::Value| {
            let samples = asked.clone();
            async move {
                let cluster = cluster_of(&cluster, "monitor")?;
                Ok(samples.with(|store, now| store.of(cluster, now)))
            }
        });
    tokio::join!(take(&context, &samples), answering);
}

async fn take(context: &ServiceContext, samples: &Samples) {
    while !context.shutdown.is_cancelled() {
        match context.bus.client().subscribe("met.*.*").await {
            Ok(mut messages) => {
                while let Some(message) = tokio::select! {
                    message = messages.next() => message,
                    () = context.shutdown.cancelled() => None,
                } {
                    if let Some(sample) = read(&message.subject, &message.payload)
                        && !samples.with(|store, now| store.take(sample, now))
                    {
                        tracing::warn!("too many nodes send samples; a new one is left out");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "could not subscribe to samples; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = context.shutdown.cancelled() => {}
        }
    }
}

/// A sample, if it speaks for the node on whose subject it came.
fn read(subject: &str, payload: &[u8]) -> Option<UsageSample> {
    let sample: UsageSample = match serde_json::from_slice(payload) {
        Ok(sample) => sample,
        Err(error) => {
            tracing::debug!(%error, "a sample on `{subject}` does not have its shape");
            return None;
        }
    };
    let own = format!("met.{}.{}", sample.cluster_id, sample.node_id);
    (own == subject).then_some(sample)
}
