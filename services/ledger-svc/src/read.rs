//! Reads the log: in order, by stream, and as a proof.

use crate::{
    error::LedgerError,
    store::{hash_from_sql, position_from_sql, position_to_sql},
};
use berth_events::{LogHead, Recorded, SpecVersion, StreamName};
use berth_eventsourcing::{Hash, ZERO_HASH};
use berth_ids::{EventId, Timestamp};
use berth_ledger_core::{Fault, Proof};
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::{PgExecutor, PgPool, Row, postgres::PgRow};
use std::{ops::RangeInclusive, str::FromStr, sync::Arc};
use uuid::Uuid;

/// Events read at once.
pub const PAGE: usize = 1_000;

const COLUMNS_AFTER: &str = "select position, stream, version, cat_prev, event_id, type, schema_v, tenant,
    data, meta, hash, recorded_at, incarnation, log_id
  from es.recorded where position >= $1 order by position limit $2";
const COLUMNS_STREAM: &str = "select position, stream, version, cat_prev, event_id, type, schema_v, tenant,
    data, meta, hash, prev_hash, recorded_at, incarnation, log_id
  from es.recorded where stream = $1 order by version";

/// Events after a position, in order, at most `limit`.
///
/// # Errors
/// [`LedgerError`].
pub async fn read(pool: &PgPool, after: u64, limit: usize) -> Result<Vec<Recorded>, LedgerError> {
    let rows = sqlx::query(COLUMNS_AFTER)
        .bind(position_to_sql(after))
        // One more: the event before the first gives its previous hash.
        .bind(i64::try_from(limit.saturating_add(usize::from(after > 0))).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await
        .map_err(LedgerError::database("read events"))?;
    let mut events = Vec::with_capacity(rows.len());
    let mut previous = hex::encode(ZERO_HASH);
    for row in &rows {
        let event = recorded(row, previous)?;
        previous = event.hash.clone();
        if event.position > after {
            events.push(event);
        }
    }
    Ok(events)
}

/// All events of a stream, oldest first.
///
/// # Errors
/// [`LedgerError`].
pub async fn read_stream<'c>(
    database: impl PgExecutor<'c>,
    stream: &StreamName,
) -> Result<Vec<Recorded>, LedgerError> {
    let rows = sqlx::query(COLUMNS_STREAM)
        .bind(stream.as_str())
        .fetch_all(database)
        .await
        .map_err(LedgerError::database("read a stream"))?;
    rows.iter()
        .map(|row| {
            let previous: &[u8] = row
                .try_get("prev_hash")
                .map_err(LedgerError::database("read an event"))?;
            recorded(row, hex::encode(previous))
        })
        .collect()
}

/// The end of the log.
///
/// # Errors
/// [`LedgerError`].
pub async fn head(pool: &PgPool) -> Result<LogHead, LedgerError> {
    let read = |row: PgRow| -> Result<LogHead, sqlx::Error> {
        Ok(LogHead {
            log_id: row.try_get("log_id")?,
            incarnation: position_from_sql(row.try_get("incarnation")?),
            position: position_from_sql(row.try_get("position")?),
            hash: hex::encode(row.try_get::<&[u8], _>("hash")?),
        })
    };
    sqlx::query("select log_id, incarnation, position, hash from es.head")
        .fetch_one(pool)
        .await
        .and_then(read)
        .map_err(LedgerError::database("read the end of the log"))
}

/// Hash of the event at a position; `None` if there is none.
pub(crate) async fn hash_at(pool: &PgPool, position: u64) -> Result<Option<Hash>, LedgerError> {
    let bytes: Option<Vec<u8>> = sqlx::query_scalar("select hash from es.event where position = $1")
        .bind(position_to_sql(position))
        .fetch_optional(pool)
        .await
        .map_err(LedgerError::database("read a hash"))?;
    Ok(bytes.map(|bytes| hash_from_sql(&bytes)))
}

/// What a verification found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Events checked.
    pub checked: u64,
    /// Position of the last one.
    pub last_position: u64,
    /// Its hash, hexadecimal.
    pub last_hash: String,
}

/// Why a verification ended early.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The first thing that is wrong with the log.
    #[error(transparent)]
    Bad(#[from] Fault),
    /// The log could not be read.
    #[error(transparent)]
    Unread(#[from] LedgerError),
}

/// Computes the chain of a range of positions anew. The hash before the range is taken as it is stored; a
/// range that reaches the end is compared with what the writer recorded.
///
/// # Errors
/// [`VerifyError::Bad`] names the first bad position.
pub async fn verify(pool: &PgPool, range: RangeInclusive<u64>) -> Result<VerifyReport, VerifyError> {
    let end = head(pool).await?;
    let before = range.start().saturating_sub(1);
    let last = (*range.end()).min(end.position);
    let hash = match before {
        0 => ZERO_HASH,
        position => hash_at(pool, position).await?.unwrap_or(ZERO_HASH),
    };
    let mut proof = Proof::after(before, hash);
    while proof.position() < last {
        let wanted = usize::try_from(last - proof.position()).unwrap_or(PAGE).min(PAGE);
        let page = read(pool, proof.position(), wanted).await?;
        if page.is_empty() {
            let due = proof.position() + 1;
            return Err(Fault::Hole { due, found: 0 }.into());
        }
        for event in &page {
            proof.next(event)?;
        }
    }
    let last_hash = hex::encode(proof.hash());
    if proof.position() == end.position && last_hash != end.hash {
        return Err(Fault::End {
            position: end.position,
            hash: last_hash,
            recorded: end.hash,
        }
        .into());
    }
    Ok(VerifyReport {
        checked: proof.position().saturating_sub(before),
        last_position: proof.position(),
        last_hash,
    })
}

fn recorded(row: &PgRow, previous_hash: String) -> Result<Recorded, LedgerError> {
    let position = position_from_sql(
        row.try_get("position")
            .map_err(LedgerError::database("read an event"))?,
    );
    fields(row, position, previous_hash).map_err(|error| LedgerError::Unreadable {
        position,
        reason: error.to_string(),
    })
}

fn fields(row: &PgRow, position: u64, previous_hash: String) -> Result<Recorded, sqlx::Error> {
    let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
    let json = |column: &str| -> Result<Box<RawValue>, sqlx::Error> {
        RawValue::from_string(row.try_get(column)?).map_err(|error| decode(error.into()))
    };
    let text = |column: &str| -> Result<Arc<str>, sqlx::Error> { Ok(row.try_get::<&str, _>(column)?.into()) };
    let schema: i16 = row.try_get("schema_v")?;
    Ok(Recorded {
        specversion: SpecVersion::V1,
        id: EventId::from(row.try_get::<Uuid, _>("event_id")?),
        source: format!("berth/{}", row.try_get::<&str, _>("log_id")?).into(),
        type_name: text("type")?,
        stream: StreamName::from_str(row.try_get("stream")?).map_err(|error| decode(error.into()))?,
        recorded_at: Timestamp::from(row.try_get::<DateTime<Utc>, _>("recorded_at")?),
        position,
        version: position_from_sql(row.try_get("version")?),
        category_previous: position_from_sql(row.try_get("cat_prev")?),
        schema_version: u16::try_from(schema).map_err(|error| decode(error.into()))?,
        tenant: text("tenant")?,
        incarnation: position_from_sql(row.try_get("incarnation")?),
        hash: hex::encode(row.try_get::<&[u8], _>("hash")?),
        previous_hash,
        meta: json("meta")?,
        data: json("data")?,
    })
}
