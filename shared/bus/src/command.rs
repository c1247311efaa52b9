//! Commands: sent through the work-queue CMD, answered when their outcome is recorded.

use crate::{
    Bus, Delivered, Handled,
    actor::{PROOF_HEADER, unproven},
    connect::encode,
    subject,
};
use async_nats::HeaderMap;
use berth_events::{Command, CommandOutcome, CommandStatus};
use berth_ids::ClusterId;
use futures::StreamExt;
use std::{future::Future, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The largest command, encoded, in bytes.
pub const MAX_COMMAND_BYTES: usize = 512 * 1024;
/// How long a sender waits for an outcome.
const SUBMIT_WAIT: Duration = Duration::from_secs(10);
/// How long it waits for the direct answer before it asks the log.
const DIRECT_WAIT: Duration = Duration::from_secs(2);
/// Time between two questions to the log.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

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
        if let Some(proof) = self.actors.sign(&subject, &payload) {
            headers.insert(PROOF_HEADER, proof.as_str());
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
        let actors = self.actors.clone();
        let handler = Arc::new(move |delivered: Delivered| {
            let decoded = serde_json::from_slice::<Command>(&delivered.payload);
            let proven = decoded
                .as_ref()
                .is_ok_and(|command| actors.proves(&command.actor, &delivered));
            let future = decoded.map(|command| match proven {
                true => Ok(handler(command)),
                false => Err(unproven(&command)),
            });
            async move {
                match future {
                    Ok(Ok(handled)) => handled.await,
                    Ok(Err(rejection)) => {
                        tracing::error!(target: "audit", subject = delivered.subject, "{}", rejection.message);
                        Handled::Outcome(CommandOutcome::Rejected(rejection))
                    }
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

/// Which commands are taken, and until when.
#[derive(Clone)]
pub struct CommandSink {
    /// The service that decides.
    pub service: String,
    /// When to stop.
    pub shutdown: CancellationToken,
}
