//! The log, seen over the bus: appends go to its writer, facts come from the stream EVT.

use crate::{Bus, BusError, subject};
use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, Consumer, DeliverPolicy, ReplayPolicy, pull},
    stream::ConsumerCreateStrictErrorKind,
};
use berth_events::Recorded;
use berth_eventsourcing::{AppendError, AppendRequest, Appended};
use futures::StreamExt;
use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

/// Readers of the log that a user can have at the same time, over all its instances: its rights name them.
pub const LOG_READERS: u8 = 8;
/// A reader that asks for nothing so long is dropped by the server: that of a killed process.
const READER_IDLE: Duration = Duration::from_secs(10);
/// Facts asked for at once, how long the server holds the question, and how often it says that it is there.
const READ_BATCH: usize = 500;
const READ_EXPIRES: Duration = Duration::from_secs(30);
const READ_HEARTBEAT: Duration = Duration::from_secs(15);
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
    /// [`BusError::Stream`] if the stream is not there (yet), or the user has [`LOG_READERS`] readers already.
    pub async fn tail(&self, after: u64) -> Result<Tail, BusError> {
        let failed = |error: &dyn std::fmt::Display| BusError::stream("follow the log", error);
        let (name, consumer) = self.log_reader(after + 1).await?;
        let reader = Reader {
            jetstream: self.jetstream.clone(),
            name,
        };
        let messages = consumer
            .stream()
            .max_messages_per_batch(READ_BATCH)
            .expires(READ_EXPIRES)
            .heartbeat(READ_HEARTBEAT)
            .messages()
            .await
            .map_err(|error| failed(&error))?;
        Ok(Tail {
            messages,
            next: after + 1,
            _reader: reader,
        })
    }

    /// Makes a reader under the next name of this user that nobody has.
    async fn log_reader(&self, start_sequence: u64) -> Result<(String, Consumer<pull::Config>), BusError> {
        let failed = |error: &dyn std::fmt::Display| BusError::stream("follow the log", error);
        for _ in 0..LOG_READERS {
            let number = NEXT_READER.fetch_add(1, Ordering::Relaxed) % LOG_READERS;
            let name = format!("{}-{number}", self.user);
            let config = pull::Config {
                name: Some(name.clone()),
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
                replay_policy: ReplayPolicy::Instant,
                ack_policy: AckPolicy::None,
                inactive_threshold: READER_IDLE,
                num_replicas: 1,
                memory_storage: true,
                ..Default::default()
            };
            let made = self
                .jetstream
                .create_consumer_strict_on_stream(config, subject::EVT);
            match made.await {
                Ok(consumer) => return Ok((name, consumer)),
                Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        let reason = format!("user `{}` has {LOG_READERS} readers already", self.user);
        Err(failed(&reason))
    }
}

/// Where the next search for a free name begins.
static NEXT_READER: AtomicU8 = AtomicU8::new(0);

/// Gives its name back when it is dropped.
struct Reader {
    jetstream: jetstream::Context,
    name: String,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let (jetstream, name) = (self.jetstream.clone(), std::mem::take(&mut self.name));
        // Without a runtime, or without an answer, the server drops it by itself after a while.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let dropped = jetstream.delete_consumer_from_stream(&name, subject::EVT).await;
                if let Err(error) = dropped {
                    tracing::debug!(%error, "reader `{name}` of the log was not there to be dropped");
                }
            });
        }
    }
}

/// Facts as they come. Ends with an error after an outage or a hole; the reader then catches up from the
/// database and follows again.
pub struct Tail {
    messages: pull::Stream,
    next: u64,
    _reader: Reader,
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
