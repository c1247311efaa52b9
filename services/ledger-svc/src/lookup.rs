//! What the writer asks the database: heads of streams, and commands that are known.

use crate::{
    error::LedgerError,
    read,
    store::{COMMIT_PATIENCE, Store, position_from_sql},
};
use berth_events::{Feature, StreamName, features_stream};
use berth_ids::{CommandId, Timestamp};
use berth_ledger_core::{Features, KnownCommand};
use chrono::{DateTime, Utc};
use sqlx::{Row, postgres::PgRow};
use std::{collections::BTreeSet, str::FromStr};
use uuid::Uuid;

/// What look-ups found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) heads: Vec<(StreamName, u64)>,
    pub(crate) commands: Vec<(CommandId, KnownCommand)>,
}

impl Store {
    /// All heads, if they are no more than a limit.
    pub(crate) async fn all_heads(
        &mut self,
        at_most: usize,
    ) -> Result<Option<Vec<(StreamName, u64)>>, LedgerError> {
        const ACTION: &str = "read the heads of the streams";
        let limit = i64::try_from(at_most).unwrap_or(i64::MAX).saturating_add(1);
        let rows = sqlx::query("select stream, version from es.stream_head limit $1")
            .bind(limit)
            .fetch_all(&mut self.connection)
            .await
            .map_err(LedgerError::database(ACTION))?;
        if rows.len() > at_most {
            return Ok(None);
        }
        let heads = rows
            .iter()
            .map(|row| Ok((read_stream(row)?, position_from_sql(row.try_get("version")?))));
        heads
            .collect::<Result<_, sqlx::Error>>()
            .map(Some)
            .map_err(LedgerError::database(ACTION))
    }

    /// Features, with those that are enabled.
    pub(crate) async fn features(&mut self, introduced: &BTreeSet<Feature>) -> Result<Features, LedgerError> {
        let mut features = Features::new(introduced.iter().cloned());
        for recorded in read::read_stream(&mut self.connection, &features_stream()).await? {
            features.take(&recorded);
        }
        Ok(features)
    }

    /// Heads and commands that the caches do not hold, in one query.
    pub(crate) async fn look_up(
        &mut self,
        streams: &[&str],
        commands: &[Uuid],
    ) -> Result<Found, LedgerError> {
        if streams.is_empty() && commands.is_empty() {
            return Ok(Found::default());
        }
        let query = sqlx::query(
            "select stream, version, null::uuid as command_id, null as request_hash, null as outcome,
               null::bigint as first_pos, null::bigint as last_pos, null::timestamptz as at
             from es.stream_head where stream = any($1)
             union all
             select null, null, command_id, request_hash, outcome::text, first_pos, last_pos, at
             from es.command where command_id = any($2)",
        )
        .bind(streams)
        .bind(commands)
        .fetch_all(&mut self.connection);
        let failed = LedgerError::database("look up heads and commands");
        let rows = tokio::time::timeout(COMMIT_PATIENCE, query)
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)
            .and_then(|rows| rows)
            .map_err(failed)?;
        let mut found = Found::default();
        for row in &rows {
            read_found(row, &mut found).map_err(LedgerError::database("read heads and commands"))?;
        }
        Ok(found)
    }
}

fn read_stream(row: &PgRow) -> Result<StreamName, sqlx::Error> {
    StreamName::from_str(row.try_get("stream")?).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn read_found(row: &PgRow, found: &mut Found) -> Result<(), sqlx::Error> {
    if row.try_get::<Option<&str>, _>("stream")?.is_some() {
        let version = position_from_sql(row.try_get("version")?);
        found.heads.push((read_stream(row)?, version));
        return Ok(());
    }
    let (id, known) = read_command(row)?;
    found.commands.push((id, known));
    Ok(())
}

/// Reads a row of `es.command`.
pub(crate) fn read_command(row: &PgRow) -> Result<(CommandId, KnownCommand), sqlx::Error> {
    let outcome: &str = row.try_get("outcome")?;
    let known = KnownCommand {
        request_hash: row.try_get("request_hash")?,
        outcome: serde_json::from_str(outcome).map_err(|error| sqlx::Error::Decode(error.into()))?,
        first_position: position_from_sql(row.try_get("first_pos")?),
        last_position: position_from_sql(row.try_get("last_pos")?),
        recorded_at: Timestamp::from(row.try_get::<DateTime<Utc>, _>("at")?),
    };
    Ok((CommandId::from(row.try_get::<Uuid, _>("command_id")?), known))
}
