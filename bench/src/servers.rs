//! Own Postgres (fsync on) and NATS for a benchmark, in a folder that goes with them.

use anyhow::{Context, Result};
use berth_bus::{Bus, BusOptions};
use berth_ledger_svc::{Roles, SERVICES, setup};
use berth_testkit::embedded::{Embedded, EmbeddedOptions, NatsOptions, PostgresOptions};
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;

const DATABASE: &str = "berth";
const PASSWORD: &str = "benchmark";
const CONNECTIONS: u32 = 8;
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Both servers, with the schema of the log.
pub struct Servers {
    embedded: Embedded,
    /// The superuser.
    pub admin: PgPool,
    /// The ledger's role.
    pub ledger: PgPool,
    // Removed after the servers have stopped.
    _folder: TempDir,
}

impl Servers {
    /// Starts both. `sync_always`: JetStream syncs each message to the disk.
    pub async fn start(sync_always: bool) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("berth-bench-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()?;
        let embedded = Embedded::start(EmbeddedOptions {
            data: folder.path().to_path_buf(),
            postgres: PostgresOptions {
                database: Some(DATABASE.into()),
                ..PostgresOptions::default()
            },
            nats: NatsOptions {
                extra: "max_payload: 2MB".into(),
                sync_always,
                ..NatsOptions::default()
            },
            ..EmbeddedOptions::default()
        })
        .await
        .context("starting Postgres and NATS")?;
        let admin = PgPool::connect(&embedded.postgres_url(DATABASE)).await?;
        let passwords = SERVICES
            .iter()
            .map(|service| ((*service).to_owned(), PASSWORD.to_owned()));
        setup(
            &admin,
            &Roles {
                passwords: passwords.collect(),
            },
        )
        .await?;
        let url = embedded.postgres().url_as("berth_ledger", PASSWORD, DATABASE);
        let ledger = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect(&url)
            .await?;
        Ok(Self {
            embedded,
            admin,
            ledger,
            _folder: folder,
        })
    }

    /// A connection to the bus.
    pub async fn bus(&self, user: &str) -> Result<Bus> {
        let options = BusOptions {
            url: self.embedded.nats_url(),
            user: user.to_owned(),
            ..BusOptions::default()
        };
        Ok(Bus::connect(&options).await?)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.embedded.stop_within(STOP_PATIENCE);
    }
}
