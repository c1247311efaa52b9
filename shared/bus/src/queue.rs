//! Work-queues: messages that are taken off once they are taken care of, and what becomes of those that never are.

use crate::{Bus, BusError, subject};
use async_nats::jetstream::{self, AckKind, consumer::pull};
use berth_events::{CommandOutcome, DeadLetter};
use futures::StreamExt;
use std::{future::Future, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time after which an unanswered delivery is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(15);
/// Deliveries of one command before it is given up: hours, so that an outage of the database loses none.
const MAX_DELIVERIES: i64 = 1_000;
/// The longest wait before a command is delivered again.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
/// Messages of one queue handled at the same time.
const MAX_PARALLEL_MESSAGES: usize = 32;
/// Wait before a broken consumer is made again, and first wait before a command is delivered again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

impl Bus {
    /// Takes messages of a work-queue off until shutdown (reports of agents, commands).
    pub async fn serve_queue<F, Fut>(
        &self,
        stream: &str,
        filter: &str,
        durable: &str,
        shutdown: CancellationToken,
        handler: Arc<F>,
    ) where
        F: Fn(Delivered) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Handled> + Send + 'static,
    {
        let limit = Arc::new(tokio::sync::Semaphore::new(MAX_PARALLEL_MESSAGES));
        let tasks = TaskTracker::new();
        while !shutdown.is_cancelled() {
            let mut messages = match self.pull(stream, filter, durable).await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::warn!(%error, "queue `{filter}` is not there yet; trying again");
                    self.troubles.away(filter, &error);
                    tokio::time::sleep(RETRY_DELAY).await;
                    continue;
                }
            };
            self.troubles.back(filter);
            while let Some(next) = tokio::select! {
                next = messages.next() => next,
                () = shutdown.cancelled() => None,
            } {
                let message = match next {
                    Ok(message) => message,
                    Err(error) => {
                        tracing::warn!(%error, "queue `{filter}` broke; reading it anew");
                        break;
                    }
                };
                let Ok(permit) = limit.clone().acquire_owned().await else {
                    break;
                };
                let (bus, handler) = (self.clone(), handler.clone());
                tasks.spawn(async move {
                    bus.handle_one(message, &*handler).await;
                    drop(permit);
                });
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn pull(&self, stream: &str, filter: &str, durable: &str) -> Result<pull::Stream, BusError> {
        let failed =
            |error: &dyn std::fmt::Display| BusError::stream(format!("read queue `{filter}`"), error);
        let config = pull::Config {
            durable_name: Some(durable.to_owned()),
            filter_subject: filter.to_owned(),
            ack_wait: ACK_WAIT,
            // One more than we try: the last one says that it is given up.
            max_deliver: MAX_DELIVERIES + 1,
            ..Default::default()
        };
        let consumer = self
            .jetstream
            .create_consumer_on_stream(config, stream)
            .await
            .map_err(|error| failed(&error))?;
        consumer.messages().await.map_err(|error| failed(&error))
    }

    async fn handle_one<F, Fut>(&self, message: jetstream::Message, handler: &F)
    where
        F: Fn(Delivered) -> Fut,
        Fut: Future<Output = Handled>,
    {
        let reply = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get(subject::REPLY_HEADER))
            .map(|value| value.as_str().to_owned());
        let proof = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get(crate::actor::PROOF_HEADER))
            .map(|value| value.as_str().to_owned());
        let delivered = Delivered {
            subject: message.subject.to_string(),
            payload: message.payload.clone(),
            proof,
        };
        let (tried, number) = message
            .info()
            .map_or((1, 0), |info| (info.delivered, info.stream_sequence));
        let handled = handler(delivered).await;
        self.troubles
            .tried(number, &message.subject, tried, matches!(handled, Handled::Retry));
        let kind = match handled {
            Handled::Outcome(outcome) => {
                if let (Some(reply), Ok(payload)) = (reply, serde_json::to_vec(&outcome))
                    && let Err(error) = self.client.publish(reply, payload.into()).await
                {
                    tracing::debug!(%error, "could not answer a command; its sender will ask the log");
                }
                AckKind::Ack
            }
            Handled::Done => AckKind::Ack,
            Handled::Retry if tried < MAX_DELIVERIES => AckKind::Nak(Some(retry_delay(tried))),
            Handled::Retry => {
                self.bury(&message, tried, "it failed each time; see the log of the service")
                    .await
            }
            Handled::Drop => {
                self.bury(
                    &message,
                    tried,
                    "it does not have its shape, or not its right sender",
                )
                .await
            }
        };
        if let Err(error) = message.ack_with(kind).await {
            tracing::debug!(%error, "could not acknowledge a message; it will come again");
        }
    }
}

impl Bus {
    /// Puts a message that nobody will handle into the stream of dead letters, and only then off its queue.
    async fn bury(&self, message: &jetstream::Message, tried: i64, reason: &str) -> AckKind {
        let letter = DeadLetter {
            service: self.user.to_string(),
            subject: message.subject.to_string(),
            deliveries: u64::try_from(tried).unwrap_or(0),
            reason: reason.to_owned(),
            payload: String::from_utf8_lossy(&message.payload).into_owned(),
        };
        match self.store(subject::dead_letter(&self.user), &letter).await {
            Ok(()) => AckKind::Term,
            Err(error) => {
                tracing::warn!(%error, "a message that cannot be handled is kept in its queue");
                AckKind::Nak(Some(MAX_RETRY_DELAY))
            }
        }
    }
}

/// Doubles with each delivery up to `MAX_RETRY_DELAY`.
fn retry_delay(delivered: i64) -> Duration {
    let doublings = u32::try_from(delivered.saturating_sub(1)).unwrap_or(0).min(10);
    RETRY_DELAY.saturating_mul(1 << doublings).min(MAX_RETRY_DELAY)
}

/// What became of a delivered message.
#[derive(Debug, Clone)]
pub enum Handled {
    /// Its outcome is recorded: answer and acknowledge.
    Outcome(CommandOutcome),
    /// It is taken care of: acknowledge.
    Done,
    /// Not now: deliver it again.
    Retry,
    /// It can never be handled.
    Drop,
}

/// A message of a work-queue.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub payload: bytes::Bytes,
    /// The gateway's signature under subject and body, if it has one.
    pub proof: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit() {
        assert_eq!(retry_delay(1), RETRY_DELAY);
        assert_eq!(retry_delay(2), RETRY_DELAY * 2);
        assert_eq!(retry_delay(1_000), MAX_RETRY_DELAY);
        assert_eq!(retry_delay(0), RETRY_DELAY);
    }
}
