//! The writer's own connection: lock, epoch, and the one call that writes a batch.

use crate::error::LedgerError;
use berth_events::{Category, Recorded, StreamName};
use berth_eventsourcing::{Hash, Sequencer, ZERO_HASH};
use berth_ids::Timestamp;
use berth_ledger_core::{Batch, MovedHead};
use chrono::{DateTime, Utc};
use sqlx::{Connection, Executor, PgConnection, PgPool, Row, postgres::PgRow};
use std::{collections::HashMap, time::Duration};
use uuid::Uuid;

/// Key of the advisory lock that the active writer holds; for calm only, the epoch is what is safe.
const WRITER_LOCK: i64 = 0x6265_7274_6802;
/// The constraint that makes a command happen once.
const COMMAND_KEY: &str = "command_pkey";
/// The longest wait for an answer of the database; after it the outcome is unknown.
pub(crate) const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// Heads that have moved.
pub(crate) type Moved = HashMap<StreamName, MovedHead>;

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Written {
    /// Committed.
    Yes,
    /// There was nothing to write.
    Nothing,
    /// Another writer has taken over; nothing was written.
    Fenced,
    /// A command of the batch is in the database already; nothing was written.
    Repeated,
    /// The database refused the batch; nothing was written.
    Refused(sqlx::Error),
    /// It may or may not have been committed.
    Unknown(String),
}

/// The connection of the active writer. The lock goes with it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) connection: PgConnection,
    epoch: i64,
    partition_size: i64,
    covered: u64,
}

impl Store {
    /// Takes the lock and raises the epoch; `None` while another writer has the lock.
    pub(crate) async fn open(
        pool: &PgPool,
        partition_size: u64,
    ) -> Result<Option<(Self, Sequencer)>, LedgerError> {
        let mut connection = pool
            .acquire()
            .await
            .map_err(LedgerError::database("connect the writer"))?
            .detach();
        prepare(&mut connection).await?;
        let locked: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(WRITER_LOCK)
            .fetch_one(&mut connection)
            .await
            .map_err(LedgerError::database("take the writer's lock"))?;
        if !locked {
            // Nothing is lost if the goodbye fails.
            let _ = connection.close().await;
            return Ok(None);
        }
        let row = sqlx::query("select * from es.open_writer()")
            .fetch_one(&mut connection)
            .await
            .map_err(LedgerError::database("open the log"))?;
        let (epoch, sequencer) =
            read_writer(&row).map_err(LedgerError::database("read the end of the log"))?;
        let mut store = Self {
            connection,
            epoch,
            partition_size: i64::try_from(partition_size).unwrap_or(i64::MAX),
            covered: 0,
        };
        store.cover(sequencer.position).await?;
        Ok(Some((store, sequencer)))
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Whether nobody has taken over.
    pub(crate) async fn is_writer(&mut self) -> Result<bool, LedgerError> {
        let query = sqlx::query_scalar("select epoch = $1 from es.writer")
            .bind(self.epoch)
            .fetch_one(&mut self.connection);
        tokio::time::timeout(COMMIT_PATIENCE, query)
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)
            .and_then(|answer| answer)
            .map_err(LedgerError::database("check the fence"))
    }

    /// Makes sure that the next positions have a partition, and that one more is there ahead of need.
    async fn cover(&mut self, position: u64) -> Result<(), LedgerError> {
        let ahead = position_to_sql(position)
            .saturating_add(self.partition_size)
            .max(self.partition_size + 1);
        let covered: i64 = sqlx::query_scalar("select es.ensure_partitions($1, $2)")
            .bind(ahead)
            .bind(self.partition_size)
            .fetch_one(&mut self.connection)
            .await
            .map_err(LedgerError::database("make the next partition"))?;
        self.covered = position_from_sql(covered);
        Ok(())
    }

    /// Makes the next partition once the last one is being filled.
    pub(crate) async fn cover_ahead(&mut self, position: u64) -> Result<(), LedgerError> {
        if position.saturating_add(position_from_sql(self.partition_size)) < self.covered {
            return Ok(());
        }
        self.cover(position).await
    }

    /// Writes a batch with one call, and heads of streams: none, or all that have moved since the last time.
    pub(crate) async fn write(&mut self, batch: &Batch, heads: &Moved) -> Written {
        let epoch = self.epoch;
        let call = append_call(&mut self.connection, epoch, batch, heads);
        match tokio::time::timeout(COMMIT_PATIENCE, call).await {
            Ok(Ok(true)) => Written::Yes,
            Ok(Ok(false)) => Written::Fenced,
            Ok(Err(error)) if is_known_command(&error) => Written::Repeated,
            Ok(Err(error)) if is_refusal(&error) => Written::Refused(error),
            Ok(Err(error)) => Written::Unknown(error.to_string()),
            Err(_) => Written::Unknown(format!("no answer of the database within {COMMIT_PATIENCE:?}")),
        }
    }

    /// Forgets keys of commands older than a moment; how many are gone.
    pub(crate) async fn prune(&mut self, before: DateTime<Utc>, at_most: i64) -> Result<i64, LedgerError> {
        sqlx::query_scalar("select es.prune_commands($1, $2)")
            .bind(before)
            .bind(at_most)
            .fetch_one(&mut self.connection)
            .await
            .map_err(LedgerError::database("forget old commands"))
    }

    /// Gives the lock back.
    pub(crate) async fn close(self) {
        // The server ends the session anyway once the socket is gone.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.close()).await;
    }
}

/// The key of a command is taken.
fn is_known_command(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() && error.constraint() == Some(COMMAND_KEY))
}

/// An error of the statement itself: its transaction is gone. Anything else says nothing about the commit.
fn is_refusal(error: &sqlx::Error) -> bool {
    let Some(code) = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
    else {
        return false;
    };
    // Data exception, integrity, cardinality, rights and syntax, raised by our own function, limits.
    ["21", "22", "23", "42", "P0", "54"]
        .iter()
        .any(|class| code.starts_with(class))
}

async fn prepare(connection: &mut PgConnection) -> Result<(), LedgerError> {
    // A dead machine must not keep the lock; a commit must be on the disk when it is acknowledged.
    connection
        .execute(
            "set tcp_keepalives_idle = 1; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 2;
             set application_name = 'berth-ledger-writer'; set timezone = 'UTC';
             select set_config('synchronous_commit', 'on', false)
               where current_setting('synchronous_commit') in ('off', 'local')",
        )
        .await
        .map_err(LedgerError::database("prepare the writer's session"))?;
    Ok(())
}

fn read_writer(row: &PgRow) -> Result<(i64, Sequencer), sqlx::Error> {
    let log_id: String = row.try_get("log_id")?;
    let categories: String = row.try_get("categories")?;
    let named: HashMap<String, u64> =
        serde_json::from_str(&categories).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let mut sequencer = Sequencer::empty(&log_id);
    sequencer.incarnation = position_from_sql(row.try_get("incarnation")?);
    sequencer.position = position_from_sql(row.try_get("last_pos")?);
    sequencer.hash = hash_from_sql(row.try_get("last_hash")?);
    sequencer.recorded_at = Timestamp::from(row.try_get::<DateTime<Utc>, _>("last_at")?);
    let known = Category::ALL
        .iter()
        .filter_map(|category| Some((*category, *named.get(category.as_str())?)));
    sequencer.categories = known.collect();
    Ok((row.try_get("epoch")?, sequencer))
}

async fn append_call(
    connection: &mut PgConnection,
    epoch: i64,
    batch: &Batch,
    heads: &Moved,
) -> Result<bool, sqlx::Error> {
    let encode = |error: serde_json::Error| sqlx::Error::Encode(error.into());
    let end = batch.sequencer();
    let categories: HashMap<&str, u64> = end.categories.iter().map(|(c, p)| (c.as_str(), *p)).collect();
    let events = batch.events();
    let column = |get: fn(&Recorded) -> &str| events.iter().map(get).collect::<Vec<&str>>();
    let heads = || heads.iter();
    let commands = || batch.commands().iter();
    let outcomes = commands().map(|(_, known)| serde_json::to_string(&known.outcome));
    sqlx::query_scalar(
        "select es.append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
           $18, $19, $20, $21, $22, $23, $24, $25, $26)",
    )
    .bind(epoch)
    .bind(position_to_sql(batch.start()))
    .bind(end.hash.as_slice())
    .bind(DateTime::<Utc>::from(end.recorded_at))
    .bind(serde_json::to_string(&categories).map_err(encode)?)
    .bind(column(|event| event.stream.as_str()))
    .bind(numbers(events, |event| event.version))
    .bind(column(|event| event.stream.category().as_str()))
    .bind(numbers(events, |event| event.category_previous))
    .bind(
        events
            .iter()
            .map(|event| event.id.as_uuid())
            .collect::<Vec<Uuid>>(),
    )
    .bind(column(|event| &event.type_name))
    .bind(
        events
            .iter()
            .map(schema_version)
            .collect::<Result<Vec<i16>, _>>()?,
    )
    .bind(column(|event| &event.tenant))
    .bind(column(|event| event.data.get()))
    .bind(column(|event| event.meta.get()))
    .bind(
        events
            .iter()
            .map(hash_bytes)
            .collect::<Result<Vec<Vec<u8>>, _>>()?,
    )
    .bind(
        events
            .iter()
            .map(|event| event.recorded_at.into())
            .collect::<Vec<DateTime<Utc>>>(),
    )
    .bind(heads().map(|(stream, _)| stream.as_str()).collect::<Vec<_>>())
    .bind(
        heads()
            .map(|(_, head)| position_to_sql(head.version))
            .collect::<Vec<_>>(),
    )
    .bind(
        heads()
            .map(|(_, head)| position_to_sql(head.position))
            .collect::<Vec<_>>(),
    )
    .bind(commands().map(|(id, _)| id.as_uuid()).collect::<Vec<_>>())
    .bind(
        commands()
            .map(|(_, known)| known.request_hash.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(
        commands()
            .map(|(_, known)| position_to_sql(known.first_position))
            .collect::<Vec<_>>(),
    )
    .bind(
        commands()
            .map(|(_, known)| position_to_sql(known.last_position))
            .collect::<Vec<_>>(),
    )
    .bind(outcomes.collect::<Result<Vec<String>, _>>().map_err(encode)?)
    .bind(
        commands()
            .map(|(_, known)| known.recorded_at.into())
            .collect::<Vec<DateTime<Utc>>>(),
    )
    .fetch_one(connection)
    .await
}

fn numbers(events: &[Recorded], get: impl Fn(&Recorded) -> u64) -> Vec<i64> {
    events.iter().map(|event| position_to_sql(get(event))).collect()
}

fn schema_version(event: &Recorded) -> Result<i16, sqlx::Error> {
    i16::try_from(event.schema_version).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn hash_bytes(event: &Recorded) -> Result<Vec<u8>, sqlx::Error> {
    hex::decode(&event.hash).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Positions and versions are never negative and stay below 2^63.
pub(crate) fn position_to_sql(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

pub(crate) fn position_from_sql(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(0)
}

pub(crate) fn hash_from_sql(bytes: &[u8]) -> Hash {
    bytes.try_into().unwrap_or(ZERO_HASH)
}
