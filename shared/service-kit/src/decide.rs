//! How a service decides a command: load, decide (pure), append with the outcome; again on a conflict.

use crate::{LogError, ServiceContext, metrics, new_id};
use async_trait::async_trait;
use berth_bus::{CommandSink, Handled};
use berth_events::{Command, CommandOutcome, Event, Meta, Rejection, StreamName};
use berth_eventsourcing::{
    AppendError, AppendRequest, Appended, CommandRecord, Expected, Guard, NewEvent, StreamAppend,
};
use std::{sync::Arc, time::Instant};
use tracing::Instrument;

/// Tries of one command against changing streams before it goes back to the queue.
const MAX_CONFLICTS: u32 = 20;

/// What a service decided.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Events to append, all or nothing; none if it is already so.
    Append {
        /// Stream, expected version, events.
        streams: Vec<(StreamName, Expected, Vec<Event>)>,
        /// What must not have changed.
        guards: Vec<Guard>,
        /// What the command answers with.
        result: serde_json::Value,
    },
    /// Refused by a rule.
    Reject(Rejection),
}

impl Decision {
    /// Events for one stream, nothing else.
    pub fn one(stream: StreamName, version: u64, events: Vec<Event>) -> Self {
        let streams = vec![(stream, Expected::Version(version), events)];
        Self::Append {
            streams,
            guards: Vec::new(),
            result: serde_json::Value::Null,
        }
    }
}

/// Why nothing could be decided now; the command comes again.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Something else is away.
    #[error("{0}")]
    Unavailable(String),
}

/// A service's rules with the loading around them.
#[async_trait]
pub trait Decide: Send + Sync + 'static {
    /// Loads what the rules need and asks them. Called again after a conflict.
    async fn decide(&self, command: &Command) -> Result<Decision, DecideError>;
}

/// Decides the service's commands until shutdown.
pub async fn serve_decisions(context: ServiceContext, rules: Arc<dyn Decide>) {
    let sink = CommandSink {
        service: context.service.to_owned(),
        shutdown: context.shutdown.clone(),
    };
    let bus = context.bus.clone();
    bus.serve_commands(sink, move |command| {
        let (context, rules) = (context.clone(), rules.clone());
        async move { handle(&context, &*rules, command).await }
    })
    .await;
}

async fn handle(context: &ServiceContext, rules: &dyn Decide, command: Command) -> Handled {
    let started = Instant::now();
    let verb = command.body.verb();
    let span = crate::telemetry::continued("decide", command.traceparent.as_deref());
    let handled = async {
        for _ in 0..MAX_CONFLICTS {
            let decision = match rules.decide(&command).await {
                Ok(decision) => decision,
                Err(error) => {
                    tracing::warn!(command.id = %command.command_id, %error, "could not decide `{verb}` now");
                    return Handled::Retry;
                }
            };
            match record(context, &command, decision).await {
                Ok(outcome) => return Handled::Outcome(outcome),
                Err(AppendError::Conflict { .. } | AppendError::Guarded { .. }) => {}
                Err(AppendError::KeyReused { .. }) => return Handled::Outcome(reused(&command)),
                Err(error @ (AppendError::TooLarge { .. } | AppendError::Refused { .. })) => {
                    return record_refusal(context, &command, &error).await;
                }
                Err(error @ (AppendError::Busy | AppendError::Unavailable { .. })) => {
                    tracing::warn!(command.id = %command.command_id, %error, "could not record `{verb}` now");
                    return Handled::Retry;
                }
            }
        }
        Handled::Retry
    }
    .instrument(span)
    .await;
    let outcome = match &handled {
        Handled::Outcome(CommandOutcome::Accepted { .. }) | Handled::Done => "accepted",
        Handled::Outcome(CommandOutcome::Rejected(_)) | Handled::Drop => "rejected",
        Handled::Retry => "retried",
    };
    metrics::record(|metrics| {
        metrics
            .commands_total
            .with_label_values(&[context.service, verb, outcome])
            .inc();
        metrics
            .command_seconds
            .with_label_values(&[context.service])
            .observe(started.elapsed().as_secs_f64());
    });
    handled
}

async fn record(
    context: &ServiceContext,
    command: &Command,
    decision: Decision,
) -> Result<CommandOutcome, AppendError> {
    let (streams, guards, outcome) = match decision {
        Decision::Append {
            streams,
            guards,
            result,
        } => (streams, guards, CommandOutcome::Accepted { position: 0, result }),
        Decision::Reject(rejection) => (Vec::new(), Vec::new(), CommandOutcome::Rejected(rejection)),
    };
    let request = AppendRequest {
        tenant: command.tenant.clone(),
        meta: Meta {
            actor: command.actor.clone(),
            command_id: Some(command.command_id),
            correlation_id: command.correlation_id,
            causation_id: None,
            traceparent: crate::telemetry::current_traceparent().or_else(|| command.traceparent.clone()),
        },
        streams: encode(streams)?,
        guards,
        command: Some(CommandRecord {
            command_id: command.command_id,
            request_hash: command.request_hash.clone(),
            outcome: outcome.clone(),
        }),
    };
    let appended = context.bus.append(&request).await?;
    Ok(appended.outcome.unwrap_or(outcome))
}

async fn record_refusal(context: &ServiceContext, command: &Command, error: &AppendError) -> Handled {
    let rejection = Rejection {
        kind: berth_events::RejectionKind::Invalid,
        code: "log.refused".into(),
        message: error.to_string(),
        cure: Some("make the request smaller".into()),
    };
    match record(context, command, Decision::Reject(rejection)).await {
        Ok(outcome) => Handled::Outcome(outcome),
        Err(error) => {
            tracing::warn!(command.id = %command.command_id, %error, "could not record a refusal now");
            Handled::Retry
        }
    }
}

fn reused(command: &Command) -> CommandOutcome {
    CommandOutcome::Rejected(Rejection {
        kind: berth_events::RejectionKind::KeyReused,
        code: "command.key_reused".into(),
        message: format!(
            "key of command {} was used for another request",
            command.command_id
        ),
        cure: Some("use a new Idempotency-Key for a new request".into()),
    })
}

fn encode(streams: Vec<(StreamName, Expected, Vec<Event>)>) -> Result<Vec<StreamAppend>, AppendError> {
    streams
        .into_iter()
        .map(|(stream, expected, events)| {
            let events: Result<Vec<NewEvent>, _> = events
                .iter()
                .map(|event| NewEvent::encode(new_id(), event))
                .collect();
            let events = events.map_err(|error| AppendError::Refused {
                reason: error.to_string(),
            })?;
            Ok(StreamAppend {
                stream,
                expected,
                events,
            })
        })
        .collect()
}

/// Appends without a command behind it: what a reconciler or a report leads to.
///
/// # Errors
/// [`AppendError`].
pub async fn append_events(
    context: &ServiceContext,
    tenant: &str,
    meta: Meta,
    streams: Vec<(StreamName, Expected, Vec<Event>)>,
    guards: Vec<Guard>,
) -> Result<Appended, AppendError> {
    let request = AppendRequest {
        tenant: tenant.to_owned(),
        meta,
        streams: encode(streams)?,
        guards,
        command: None,
    };
    context.bus.append(&request).await
}

/// Meta of something that a service does by itself.
pub fn own_meta(context: &ServiceContext) -> Meta {
    Meta {
        actor: format!("service:{}", context.service),
        command_id: None,
        correlation_id: new_id(),
        causation_id: None,
        traceparent: crate::telemetry::current_traceparent(),
    }
}
