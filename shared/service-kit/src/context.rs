//! What a service is given when it starts.

use crate::{Health, Log};
use berth_bus::Bus;
use berth_ids::Timestamp;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// What a service is given when it starts. Cheap to clone.
#[derive(Clone)]
pub struct ServiceContext {
    /// Its name, such as `scheduler`.
    pub service: &'static str,
    /// One a process: tells two of the same service apart.
    pub instance: String,
    /// Its connection to the bus, as its own user.
    pub bus: Bus,
    /// Its connection to Postgres, as its own role.
    pub db: PgPool,
    /// When to stop.
    pub shutdown: CancellationToken,
    /// Where it says how it is.
    pub health: Health,
}

impl ServiceContext {
    /// Reads the log from Postgres.
    pub fn log(&self) -> Log {
        Log::new(self.db.clone())
    }
}

/// Why a service ended.
#[derive(Debug, thiserror::Error)]
#[error("service `{service}` could not {what}")]
pub struct ServiceError {
    /// The service.
    pub service: &'static str,
    /// What it could not do.
    pub what: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ServiceError {
    /// Names what a service could not do.
    pub fn new(
        service: &'static str,
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            service,
            what: what.into(),
            source: source.into(),
        }
    }
}

/// The wall clock, read only in shells.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Now.
    pub fn now() -> Timestamp {
        Timestamp::from(chrono::Utc::now())
    }
}
