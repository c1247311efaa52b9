//! `q.ledger.head.-`, `q.ledger.command.<id>`, `q.ledger.health.-`: answered by every instance.

use crate::{error::LedgerError, lookup, read, run::Status};
use berth_bus::{Bus, QuestionSink};
use berth_events::{CommandStatus, Rejection, RejectionKind, ServiceHealth};
use serde::de::IgnoredAny;
use sqlx::PgPool;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SERVICE: &str = "ledger";

/// Answers until `shutdown`.
pub(crate) async fn answer_questions(
    bus: Bus,
    pool: PgPool,
    status: Arc<Status>,
    shutdown: CancellationToken,
) {
    let sink = |question: &str| QuestionSink {
        service: SERVICE.to_owned(),
        question: question.to_owned(),
        shutdown: shutdown.clone(),
    };
    let heads = bus.answer(sink("head"), {
        let pool = pool.clone();
        move |_key, _: IgnoredAny| {
            let pool = pool.clone();
            async move { read::head(&pool).await.map_err(|error| away(&error)) }
        }
    });
    let commands = bus.answer(sink("command"), move |key, _: IgnoredAny| {
        let pool = pool.clone();
        async move { command_status(&pool, &key).await }
    });
    let health = bus.answer(sink("health"), move |_key, _: IgnoredAny| {
        let health: ServiceHealth = status.health();
        async move { Ok(health) }
    });
    tokio::join!(heads, commands, health);
}

async fn command_status(pool: &PgPool, key: &str) -> Result<CommandStatus, Rejection> {
    let id = Uuid::parse_str(key).map_err(|error| Rejection {
        kind: RejectionKind::Invalid,
        code: "command.id".into(),
        message: format!("`{key}` is not the id of a command: {error}"),
        cure: None,
    })?;
    let row = sqlx::query(
        "select command_id, request_hash, outcome::text as outcome, first_pos, last_pos, at
         from es.command where command_id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
    .and_then(|row| row.as_ref().map(lookup::read_command).transpose())
    .map_err(LedgerError::database("look for a command"))
    .map_err(|error| away(&error))?;
    Ok(match row {
        Some((_, known)) => CommandStatus {
            outcome: Some(known.outcome),
            request_hash: Some(known.request_hash),
        },
        None => CommandStatus {
            outcome: None,
            request_hash: None,
        },
    })
}

fn away(error: &LedgerError) -> Rejection {
    tracing::warn!(%error, "a question to the log was not answered");
    Rejection {
        kind: RejectionKind::Unavailable,
        code: "log.unavailable".into(),
        message: error.to_string(),
        cure: Some("try again when the database is back".into()),
    }
}
