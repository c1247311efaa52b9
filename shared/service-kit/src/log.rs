//! The log as it stands in Postgres: what projections rebuild from and decisions load.

use berth_events::{Recorded, SpecVersion, StreamName};
use berth_eventsourcing::ZERO_HASH;
use berth_ids::{EventId, Timestamp};
use serde_json::value::RawValue;
use sqlx::{PgPool, Row, postgres::PgRow};

/// Events read in one page.
pub const PAGE_EVENTS: i64 = 2_000;

const COLUMNS: &str = "position, stream, version, cat_prev, event_id, type, schema_v, tenant, data, meta, \
    hash, recorded_at, incarnation, log_id";

/// The log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Postgres does not answer or refuses.
    #[error("could not read the log from Postgres")]
    Read(#[from] sqlx::Error),
    /// A row does not have its shape.
    #[error("event {position} of the log does not have its shape: {reason}")]
    Shape {
        /// Which.
        position: i64,
        /// What is the matter.
        reason: String,
    },
}

/// Reads the log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    pool: PgPool,
}

impl Log {
    /// Reads through a pool whose role may read schema `es`.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Position of the last event; 0 if there is none.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn head(&self) -> Result<u64, LogError> {
        let row: (Option<i64>,) = sqlx::query_as("select position from es.head")
            .fetch_one(&self.pool)
            .await?;
        Ok(row.0.unwrap_or(0).unsigned_abs())
    }

    /// Up to `PAGE_EVENTS` events after a position, in order.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn after(&self, position: u64) -> Result<Vec<Recorded>, LogError> {
        // One event more, the one before: it gives the first its previous hash.
        let sql = format!(
            "select {COLUMNS} from es.recorded where position >= $1 and position <= $1 + {PAGE_EVENTS} \
             order by position"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(signed(position))
            .fetch_all(&self.pool)
            .await?;
        let mut previous = hex::encode(ZERO_HASH);
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let event = recorded(row, std::mem::take(&mut previous))?;
            previous.clone_from(&event.hash);
            if event.position > position {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// All events of a stream, in order.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn stream(&self, stream: &StreamName) -> Result<Vec<Recorded>, LogError> {
        self.stream_after(stream, 0).await
    }

    /// Events of a stream after a version, in order.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn stream_after(&self, stream: &StreamName, version: u64) -> Result<Vec<Recorded>, LogError> {
        let sql = format!(
            "select {COLUMNS}, prev_hash from es.recorded where stream = $1 and version > $2 order by version"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(stream.as_str())
            .bind(signed(version))
            .fetch_all(&self.pool)
            .await?;
        let previous = |row: &PgRow| row.try_get::<&[u8], _>("prev_hash").map(hex::encode);
        rows.iter().map(|row| recorded(row, previous(row)?)).collect()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn recorded(row: &PgRow, previous_hash: String) -> Result<Recorded, LogError> {
    let position: i64 = row.try_get("position")?;
    let shape = |reason: String| LogError::Shape { position, reason };
    let raw = |text: String| RawValue::from_string(text).map_err(|error| shape(error.to_string()));
    let log_id: String = row.try_get("log_id")?;
    let stream: String = row.try_get("stream")?;
    let recorded_at: chrono::DateTime<chrono::Utc> = row.try_get("recorded_at")?;
    Ok(Recorded {
        specversion: SpecVersion::V1,
        id: EventId::from_uuid(row.try_get("event_id")?),
        source: format!("berth/{log_id}").into(),
        type_name: row.try_get::<String, _>("type")?.into(),
        stream: stream
            .parse()
            .map_err(|error: berth_events::StreamNameError| shape(error.to_string()))?,
        recorded_at: Timestamp::from(recorded_at),
        position: position.unsigned_abs(),
        version: row.try_get::<i64, _>("version")?.unsigned_abs(),
        category_previous: row.try_get::<i64, _>("cat_prev")?.unsigned_abs(),
        schema_version: row.try_get::<i16, _>("schema_v")?.unsigned_abs(),
        tenant: row.try_get::<String, _>("tenant")?.into(),
        incarnation: row.try_get::<i64, _>("incarnation")?.unsigned_abs(),
        hash: hex::encode(row.try_get::<&[u8], _>("hash")?),
        previous_hash,
        meta: raw(row.try_get("meta")?)?,
        data: raw(row.try_get("data")?)?,
    })
}
