//! The log, seen over the bus: appends go to its writer, facts come from the stream EVT.

use crate::{Bus, BusError, subject};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy, pull};
use berth_events::Recorded;
use berth_eventsourcing::{AppendError, AppendRequest, Appended};
use futures::StreamExt;
use std::time::Duration;

/// The longest wait for the log-writer's answer.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

impl Bus {
    /// Asks the log-writer to append, as the service that this connection belongs to.
    ///
    /// # Errors
    /// [`AppendError`]. After [`AppendError::Unavailable`] the outcome is not known: repeat it with the
    /// same command id.
    pub async fn append(&self, request: &AppendRequest) -> Result<Appended, AppendError> {
        let unavailable = |reason: String| AppendError::Unavailable { reason };
        let payload = serde_json::to_vec(request).map_err(|error| unavailable(error.to_string()))?;
        let ask = async_nats::Request::new()
            .payload(payload.into())
            .timeout(Some(APPEND_TIMEOUT));
        let answer = self
            .client
            .send_request(subject::append(&self.user), ask)
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        serde_json::from_slice::<Result<Appended, AppendError>>(&answer.payload)
            .map_err(|error| unavailable(error.to_string()))?
    }

    /// Follows the log from the event after a position.
    ///
    /// # Errors
    /// [`BusError::Stream`] if the stream is not there (yet).
    pub async fn tail(&self, after: u64) -> Result<Tail, BusError> {
        let failed = |error: &dyn std::fmt::Display| BusError::stream("follow the log", error);
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: after + 1,
            },
            replay_policy: ReplayPolicy::Instant,
            ..Default::default()
        };
        let consumer = self
            .jetstream
            .create_consumer_on_stream(config, subject::EVT)
            .await
            .map_err(|error| failed(&error))?;
        let messages = consumer.messages().await.map_err(|error| failed(&error))?;
        Ok(Tail {
            messages,
            next: after + 1,
        })
    }
}

/// Facts as they come. Ends with an error after an outage or a hole; the reader then catches up from the
/// database and follows again.
pub struct Tail {
    messages: pull::Ordered,
    next: u64,
}

impl Tail {
    /// The next fact, with its position checked.
    ///
    /// # Errors
    /// [`BusError`]: this tail is of no use any more.
    pub async fn next(&mut self) -> Result<Recorded, BusError> {
        let message = match self.messages.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(BusError::stream("follow the log", error)),
            None => return Err(BusError::stream("follow the log", "the stream ended")),
        };
        let recorded: Recorded =
            serde_json::from_slice(&message.payload).map_err(|source| BusError::Shape {
                subject: message.subject.to_string(),
                source,
            })?;
        if recorded.position != self.next {
            let reason = format!("position {} came where {} was due", recorded.position, self.next);
            return Err(BusError::stream("follow the log", reason));
        }
        self.next += 1;
        Ok(recorded)
    }
}
