//! What an operator does when a tail of the log is lost for good.

use crate::{
    error::LedgerError,
    store::position_from_sql,
    streams::{EVT, delete},
};
use berth_bus::Bus;
use sqlx::PgPool;

/// Streams that tell of the lost tail; both are made anew from the log.
const DERIVED: [&str; 2] = [EVT, berth_bus::subject::DOC];

/// Accepts that the database is the truth and that what EVT holds beyond it is lost: raises the incarnation
/// and deletes EVT and DOC. A ledger that has stopped on the fork goes on by itself. Gives the incarnation.
///
/// `admin` is the pool of the one who ran the setup.
///
/// # Errors
/// [`LedgerError`]; it may be repeated.
pub async fn accept_loss(admin: &PgPool, bus: &Bus, reason: &str) -> Result<u64, LedgerError> {
    let incarnation: i64 = sqlx::query_scalar("select es.accept_loss($1)")
        .bind(reason)
        .fetch_one(admin)
        .await
        .map_err(LedgerError::database("raise the incarnation"))?;
    for stream in DERIVED {
        delete(bus.jetstream(), stream).await?;
    }
    Ok(position_from_sql(incarnation))
}
