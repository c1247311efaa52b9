//! Rows and checkpoints of views in a service's own schema.

use berth_eventsourcing::{RowKey, View};
use sqlx::PgPool;

pub(super) async fn prepare(db: &PgPool, schema: &str) -> Result<(), sqlx::Error> {
    for table in [
        "row (view text, version int, kind text, key text, body json not null, primary key (view, version, kind, key))",
        "checkpoint (view text, version int, position bigint not null, hash text not null, primary key (view, version))",
    ] {
        let sql = format!("create table if not exists {schema}.{table}");
        if let Err(error) = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(db).await {
            // Two instances that start at once may both try: the loser finds the winner's table.
            let lost_race = error
                .as_database_error()
                .is_some_and(|error| error.is_unique_violation());
            if !lost_race {
                return Err(error);
            }
        }
    }
    Ok(())
}

pub(super) type StoredRow = (String, String, String);

/// Checkpoint and rows as of one moment: another instance may be writing.
pub(super) async fn load<V: View>(
    db: &PgPool,
    schema: &str,
) -> Result<(Option<(u64, String)>, Vec<StoredRow>), sqlx::Error> {
    let mut transaction = db.begin().await?;
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *transaction)
        .await?;
    let checkpoint: Option<(i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select position, hash from {schema}.checkpoint where view = $1 and version = $2"
    )))
    .bind(V::NAME)
    .bind(V::VERSION.cast_signed())
    .fetch_optional(&mut *transaction)
    .await?;
    let rows = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select kind, key, body::text from {schema}.row where view = $1 and version = $2 order by kind, key"
    )))
    .bind(V::NAME)
    .bind(V::VERSION.cast_signed())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok((
        checkpoint.map(|(position, hash)| (position.unsigned_abs(), hash)),
        rows,
    ))
}

pub(super) async fn clear<V: View>(db: &PgPool, schema: &str) -> Result<(), sqlx::Error> {
    for table in ["row", "checkpoint"] {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "delete from {schema}.{table} where view = $1 and version = $2"
        )))
        .bind(V::NAME)
        .bind(V::VERSION.cast_signed())
        .execute(db)
        .await?;
    }
    Ok(())
}

/// Rows that were touched since the last transaction.
#[derive(Default)]
pub(super) struct Changed {
    kinds: Vec<String>,
    keys: Vec<String>,
    bodies: Vec<String>,
    gone_kinds: Vec<String>,
    gone_keys: Vec<String>,
}

impl Changed {
    /// Takes a row as it is now; `None`: it is gone.
    pub(super) fn take(&mut self, key: &RowKey, body: Option<String>) {
        match body {
            Some(body) => {
                self.kinds.push(key.kind.clone());
                self.keys.push(key.key.clone());
                self.bodies.push(body);
            }
            None => {
                self.gone_kinds.push(key.kind.clone());
                self.gone_keys.push(key.key.clone());
            }
        }
    }
}

/// Writes rows and checkpoint in one transaction, unless another instance is further already.
pub(super) async fn write<V: View>(
    db: &PgPool,
    schema: &str,
    changed: Changed,
    position: u64,
    hash: &str,
) -> Result<(), sqlx::Error> {
    // Rows can be folded again: a commit that is lost with the machine costs no truth, and the disk is left to
    // the log.
    let mut transaction = db.begin_with("begin; set local synchronous_commit = off").await?;
    let stored: Option<(i64,)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select position from {schema}.checkpoint where view = $1 and version = $2 for update"
    )))
    .bind(V::NAME)
    .bind(V::VERSION.cast_signed())
    .fetch_optional(&mut *transaction)
    .await?;
    if stored.is_none_or(|(stored,)| stored < position.cast_signed()) {
        write_rows::<V>(&mut transaction, schema, changed).await?;
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "insert into {schema}.checkpoint (view, version, position, hash) values ($1, $2, $3, $4) \
             on conflict (view, version) do update set position = excluded.position, hash = excluded.hash"
        )))
        .bind(V::NAME)
        .bind(V::VERSION.cast_signed())
        .bind(position.cast_signed())
        .bind(hash)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

async fn write_rows<V: View>(
    transaction: &mut sqlx::Transaction<'_, sqlx::Postgres>,
    schema: &str,
    changed: Changed,
) -> Result<(), sqlx::Error> {
    if !changed.keys.is_empty() {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "insert into {schema}.row (view, version, kind, key, body) \
             select $1, $2, kind, key, body::json \
             from unnest($3::text[], $4::text[], $5::text[]) as t(kind, key, body) \
             on conflict (view, version, kind, key) do update set body = excluded.body"
        )))
        .bind(V::NAME)
        .bind(V::VERSION.cast_signed())
        .bind(changed.kinds)
        .bind(changed.keys)
        .bind(changed.bodies)
        .execute(&mut **transaction)
        .await?;
    }
    if changed.gone_keys.is_empty() {
        return Ok(());
    }
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "delete from {schema}.row r using unnest($3::text[], $4::text[]) as t(kind, key) \
         where r.view = $1 and r.version = $2 and r.kind = t.kind and r.key = t.key"
    )))
    .bind(V::NAME)
    .bind(V::VERSION.cast_signed())
    .bind(changed.gone_kinds)
    .bind(changed.gone_keys)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
