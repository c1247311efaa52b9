//! Own NATS and Postgres servers as supervised child processes, all data under one folder.
//!
//! `berth server` uses it when no URLs are configured, tests use it for real servers. The programs are
//! searched (see [`Binaries`]), never downloaded. A server that dies is started again; both die with us.
//! This crate knows nothing of what is stored in them: it must never open a session to either.

mod account;
mod binaries;
mod child;
mod cluster;
mod error;
mod folder;
mod nats;
mod output;
mod postgres;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use binaries::{BUNDLE_ENV, Binaries, NATS_SERVER_ENV, POSTGRES_BIN_ENV, SYSTEM_BUNDLE};
pub use error::Error;
pub use nats::{EmbeddedNats, MAX_FILE_BYTES, MAX_MEMORY_BYTES, NatsOptions};
pub use postgres::{Durability, EmbeddedPostgres, PostgresOptions, SUPERUSER};

/// What both servers are started with.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedOptions {
    /// The folder of all data; made if it is not there.
    pub data: PathBuf,
    /// Configured programs.
    pub binaries: Binaries,
    /// Choices for Postgres.
    pub postgres: PostgresOptions,
    /// Choices for NATS.
    pub nats: NatsOptions,
}

/// Process ids; `None` while a server is being restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pids {
    /// Of Postgres (the postmaster).
    pub postgres: Option<u32>,
    /// Of nats-server.
    pub nats: Option<u32>,
}

/// Both servers, running under supervision. Dropping it stops them.
pub struct Embedded {
    // Services stop before what they stand on: NATS is dropped first.
    nats: Arc<EmbeddedNats>,
    postgres: Arc<EmbeddedPostgres>,
}

impl Embedded {
    /// Starts both and waits until both answer.
    pub async fn start(options: EmbeddedOptions) -> Result<Self, Error> {
        blocking("starts the embedded servers", move || {
            Self::start_blocking(&options)
        })
        .await?
    }

    /// As [`Embedded::start`], for callers without a runtime.
    pub fn start_blocking(options: &EmbeddedOptions) -> Result<Self, Error> {
        let data: &Path = &options.data;
        let postgres = EmbeddedPostgres::start_blocking(data, &options.binaries, &options.postgres)?;
        let nats = EmbeddedNats::start_blocking(data, &options.binaries, &options.nats)?;
        Ok(Self {
            nats: Arc::new(nats),
            postgres: Arc::new(postgres),
        })
    }

    /// The URL of a database; it holds the superuser's password.
    pub fn postgres_url(&self, database: &str) -> String {
        self.postgres.url(database)
    }

    /// The URL of NATS for clients on this machine.
    pub fn nats_url(&self) -> String {
        self.nats.url()
    }

    /// More about Postgres.
    pub fn postgres(&self) -> &EmbeddedPostgres {
        &self.postgres
    }

    /// More about NATS.
    pub fn nats(&self) -> &EmbeddedNats {
        &self.nats
    }

    /// Takes other `extra` lines of the NATS configuration into force without a restart.
    pub async fn reload_nats(&self, extra: String) -> Result<(), Error> {
        let nats = self.nats.clone();
        blocking("reloads NATS", move || nats.reload_blocking(&extra)).await?
    }

    /// The process ids.
    pub fn pids(&self) -> Pids {
        Pids {
            postgres: self.postgres.pid(),
            nats: self.nats.pid(),
        }
    }

    /// Stops both in order and waits until they are gone.
    pub async fn stop(&self) -> Result<(), Error> {
        let (nats, postgres) = (self.nats.clone(), self.postgres.clone());
        blocking("stops the embedded servers", move || {
            nats.stop_blocking();
            postgres.stop_blocking();
        })
        .await
    }

    /// Stops both within `patience` each, by force if need be.
    pub fn stop_within(&self, patience: Duration) {
        self.nats.stop_within(patience);
        self.postgres.stop_within(patience);
    }
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Abandoned { action })
}
