//! Rows and checkpoints of views in a service's own schema.

use berth_eventsourcing::View;
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

pub(super) async fn write_rows<V: View>(
    transaction: &mut sqlx::Transaction<'_, sqlx::Postgres>,
    schema: &str,
    upserts: (Vec<String>, Vec<String>, Vec<String>),
    deletes: (Vec<String>, Vec<String>),
) -> Result<(), sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "insert into {schema}.row (view, version, kind, key, body) \
         select $1, $2, kind, key, body::json from unnest($3::text[], $4::text[], $5::text[]) as t(kind, key, body) \
         on conflict (view, version, kind, key) do update set body = excluded.body"
    )))
    .bind(V::NAME)
    .bind(V::VERSION.cast_signed())
    .bind(upserts.0)
    .bind(upserts.1)
    .bind(upserts.2)
    .execute(&mut **transaction)
    .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "delete from {schema}.row r using unnest($3::text[], $4::text[]) as t(kind, key) \
         where r.view = $1 and r.version = $2 and r.kind = t.kind and r.key = t.key"
    )))
    .bind(V::NAME)
    .bind(V::VERSION.cast_signed())
    .bind(deletes.0)
    .bind(deletes.1)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
