//! Commands: sent through the work-queue CMD, answered when their outcome is recorded.

use crate::{Bus, BusError, connect::encode, subject};
use async_nats::{
    HeaderMap,
    jetstream::{self, AckKind, consumer::pull},
};
use berth_events::{Command, CommandOutcome, CommandStatus};
use berth_ids::ClusterId;
use futures::StreamExt;
use std::{future::Future, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The largest command, encoded, in bytes.
pub const MAX_COMMAND_BYTES: usize = 512 * 1024;
/// How long a sender waits for an outcome.
const SUBMIT_WAIT: Duration = Duration::from_secs(10);
/// How long it waits for the direct answer before it asks the log.
const DIRECT_WAIT: Duration = Duration::from_secs(2);
/// Time between two questions to the log.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Time after which an unanswered delivery is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(15);
/// Deliveries of one command before it is given up: hours, so that an outage of the database loses none.
const MAX_DELIVERIES: i64 = 1_000;
/// The longest wait before a command is delivered again.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
/// Commands of one service decided at the same time.
const MAX_PARALLEL_COMMANDS: usize = 32;
/// Wait before a broken consumer is made again, and first wait before a command is delivered again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Why a sender does not know an outcome.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Past `MAX_COMMAND_BYTES`.
    #[error("the command has {actual} bytes, more than the limit of {MAX_COMMAND_BYTES}")]
    TooLarge {
        /// Its size.
        actual: usize,
    },
    /// The bus does not take it.
    #[error("the bus does not take commands: {0}")]
    NotTaken(String),
    /// It may still be carried out: repeat it with the same key.
    #[error("the outcome of command {0} is not known yet; repeat it with the same key")]
    Unknown(berth_ids::CommandId),
}

impl Bus {
    /// Sends a command and waits for its recorded outcome.
    ///
    /// # Errors
    /// [`SubmitError`]; after `Unknown` the command may still be carried out, once.
    pub async fn submit(
        &self,
        command: &Command,
        cluster: Option<ClusterId>,
    ) -> Result<CommandOutcome, SubmitError> {
        let subject = subject::command(command.body.service(), command.body.verb(), cluster);
        let payload = encode(&subject, command).map_err(|error| SubmitError::NotTaken(error.to_string()))?;
        if payload.len() > MAX_COMMAND_BYTES {
            return Err(SubmitError::TooLarge {
                actual: payload.len(),
            });
        }
        let not_taken = |error: &dyn std::fmt::Display| SubmitError::NotTaken(error.to_string());
        let inbox = self.client.new_inbox();
        let mut answers = self
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| not_taken(&error))?;
        let mut headers = HeaderMap::new();
        headers.insert(subject::REPLY_HEADER, inbox.as_str());
        headers.insert("Nats-Msg-Id", command.command_id.to_string().as_str());
        if let Some(trace) = &command.traceparent {
            headers.insert(subject::TRACE_HEADER, trace.as_str());
        }
        let deadline = tokio::time::Instant::now() + SUBMIT_WAIT;
        let ack = self
            .jetstream
            .publish_with_headers(subject, headers, payload)
            .await;
        let ack = ack
            .map_err(|error| not_taken(&error))?
            .await
            .map_err(|error| not_taken(&error))?;
        if !ack.duplicate {
            let direct = tokio::time::timeout(DIRECT_WAIT, answers.next()).await;
            if let Ok(Some(message)) = direct
                && let Ok(outcome) = serde_json::from_slice(&message.payload)
            {
                return Ok(outcome);
            }
        }
        self.await_outcome(command, deadline, &mut answers).await
    }

    async fn await_outcome(
        &self,
        command: &Command,
        deadline: tokio::time::Instant,
        answers: &mut async_nats::Subscriber,
    ) -> Result<CommandOutcome, SubmitError> {
        let key = command.command_id.to_string();
        while tokio::time::Instant::now() < deadline {
            let status: Result<CommandStatus, _> = self.ask("ledger", "command", &key, &()).await;
            if let Ok(CommandStatus {
                outcome: Some(outcome),
                request_hash,
            }) = status
            {
                return Ok(if request_hash.is_some_and(|hash| hash != command.request_hash) {
                    CommandOutcome::Rejected(key_reused(command))
                } else {
                    outcome
                });
            }
            if let Ok(Some(message)) = tokio::time::timeout(POLL_INTERVAL, answers.next()).await
                && let Ok(outcome) = serde_json::from_slice(&message.payload)
            {
                return Ok(outcome);
            }
        }
        Err(SubmitError::Unknown(command.command_id))
    }

    /// Takes a service's commands off the queue until shutdown, several at a time.
    ///
    /// A command is acknowledged only when its outcome is known; otherwise it comes again.
    pub async fn serve_commands<F, Fut>(&self, sink: CommandSink, handler: F)
    where
        F: Fn(Command) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Handled> + Send + 'static,
    {
        let handler = Arc::new(move |delivered: Delivered| {
            let decoded = serde_json::from_slice::<Command>(&delivered.payload);
            let future = decoded.map(&handler);
            async move {
                match future {
                    Ok(handled) => handled.await,
                    Err(error) => {
                        tracing::error!(%error, "a command on `{}` does not have its shape", delivered.subject);
                        Handled::Drop
                    }
                }
            }
        });
        let filter = format!("cmd.{}.>", sink.service);
        self.serve_queue(
            subject::CMD,
            &filter,
            &sink.service.clone(),
            sink.shutdown,
            handler,
        )
        .await;
    }

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
        let limit = Arc::new(tokio::sync::Semaphore::new(MAX_PARALLEL_COMMANDS));
        let tasks = TaskTracker::new();
        while !shutdown.is_cancelled() {
            let mut messages = match self.pull(stream, filter, durable).await {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::warn!(%error, "queue `{filter}` is not there yet; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                    continue;
                }
            };
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
            max_deliver: MAX_DELIVERIES,
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
        let delivered = Delivered {
            subject: message.subject.to_string(),
            payload: message.payload.clone(),
        };
        let delivered_times = message.info().map_or(1, |info| info.delivered);
        let kind = match handler(delivered).await {
            Handled::Outcome(outcome) => {
                if let (Some(reply), Ok(payload)) = (reply, serde_json::to_vec(&outcome))
                    && let Err(error) = self.client.publish(reply, payload.into()).await
                {
                    tracing::debug!(%error, "could not answer a command; its sender will ask the log");
                }
                AckKind::Ack
            }
            Handled::Done => AckKind::Ack,
            Handled::Retry => AckKind::Nak(Some(retry_delay(delivered_times))),
            Handled::Drop => AckKind::Term,
        };
        if let Err(error) = message.ack_with(kind).await {
            tracing::debug!(%error, "could not acknowledge a message; it will come again");
        }
    }
}

/// Doubles with each delivery up to `MAX_RETRY_DELAY`.
fn retry_delay(delivered: i64) -> Duration {
    let doublings = u32::try_from(delivered.saturating_sub(1)).unwrap_or(0).min(10);
    RETRY_DELAY.saturating_mul(1 << doublings).min(MAX_RETRY_DELAY)
}

fn key_reused(command: &Command) -> berth_events::Rejection {
    berth_events::Rejection {
        kind: berth_events::RejectionKind::KeyReused,
        code: "command.key_reused".into(),
        message: format!(
            "key of command {} was used for another request",
            command.command_id
        ),
        cure: Some("use a new Idempotency-Key for a new request".into()),
    }
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
}

/// Which commands are taken, and until when.
#[derive(Clone)]
pub struct CommandSink {
    /// The service that decides.
    pub service: String,
    /// When to stop.
    pub shutdown: CancellationToken,
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
