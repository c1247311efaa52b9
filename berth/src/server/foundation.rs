//! What services stand on: Postgres and NATS, own, of another process on the same data folder, or foreign.

use super::{
    folder::{Folder, read_json, write_json},
    roles::{self, DATABASE, Urls},
    security::Security,
};
use crate::{
    config::Config,
    exit::{Exit, Failure, Outcome, chain},
};
use berth_embedded::{
    Binaries, Durability, EmbeddedNats, EmbeddedPostgres, Error, NatsOptions, PostgresOptions,
};
use berth_ledger_svc::Roles;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest wait for the process that runs NATS and Postgres of the folder.
const ATTACH_PATIENCE: Duration = Duration::from_secs(90);
/// The longest wait for schema and roles.
const SETUP_PATIENCE: Duration = Duration::from_secs(60);
const ATTACH_POLL: Duration = Duration::from_millis(200);

/// Where the own servers of a folder are, for other processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// URL of NATS on this machine.
    pub nats_url: String,
    /// URLs of NATS for agents.
    pub nats_public: Vec<String>,
    /// Process that runs them.
    pub pid: u32,
}

/// Postgres and NATS of a process.
pub struct Foundation {
    postgres: Option<Arc<EmbeddedPostgres>>,
    nats: Option<Arc<EmbeddedNats>>,
    /// Database URLs by service.
    pub urls: Urls,
    /// URL of NATS for services.
    pub nats_url: String,
    /// URLs of NATS for agents.
    pub nats_public: Vec<String>,
    /// CA, bus users and certificates.
    pub security: Arc<Security>,
}

impl Foundation {
    /// Starts or finds Postgres and NATS.
    ///
    /// # Errors
    /// A server cannot be started or reached.
    pub async fn start(config: &Config, folder: &Folder) -> Outcome<Self> {
        let Some(admin) = Admin::open(config, folder).await? else {
            return Self::attach(config, folder).await;
        };
        let (urls, passwords) = roles::ensure(folder, &|role, password| admin.url_of(role, password))?;
        let pool = roles::open(&admin.url, "berth-setup")?;
        set_up(&pool, &passwords).await?;
        pool.close().await;
        let security = Arc::new(Security::ensure(config, folder, true)?);
        let (nats, nats_url) = match &config.nats_url {
            Some(url) => (None, url.clone()),
            None => {
                let nats = start_nats(config, folder, security.nats_lines()?).await?;
                let url = nats.url();
                (Some(nats), url)
            }
        };
        let nats_public = match (&config.nats_url, &nats) {
            (None, Some(nats)) => security.public_urls(nats.address().port()),
            _ => nats_url.split(',').map(str::to_owned).collect(),
        };
        let endpoints = Endpoints {
            nats_url: nats_url.clone(),
            nats_public: nats_public.clone(),
            pid: std::process::id(),
        };
        write_json(&folder.endpoints(), &endpoints)?;
        Ok(Self {
            postgres: admin.postgres,
            nats,
            urls,
            nats_url,
            nats_public,
            security,
        })
    }

    /// Takes foreign servers, or waits for the process that runs those of this folder.
    async fn attach(config: &Config, folder: &Folder) -> Outcome<Self> {
        if let Some(url) = &config.nats_url {
            return Ok(Self {
                postgres: None,
                nats: None,
                urls: roles::kept(folder)?,
                nats_url: url.clone(),
                nats_public: url.split(',').map(str::to_owned).collect(),
                security: Arc::new(Security::ensure(config, folder, false)?),
            });
        }
        let until = Instant::now() + ATTACH_PATIENCE;
        loop {
            let endpoints: Option<Endpoints> = read_json(&folder.endpoints())?;
            let found = endpoints.filter(|endpoints| runs(endpoints.pid));
            if let Some(endpoints) = found {
                let security = Arc::new(Security::ensure(config, folder, false)?);
                return Ok(Self {
                    postgres: None,
                    nats: None,
                    urls: roles::kept(folder)?,
                    nats_url: endpoints.nats_url,
                    nats_public: endpoints.nats_public,
                    security,
                });
            }
            if Instant::now() > until {
                let message = format!(
                    "the process that runs NATS and Postgres of `{}` is not ready",
                    folder.root().display()
                );
                return Err(Failure::new(Exit::Unavailable, message)
                    .cure("start it with `berth server --embedded-only`, and see its log"));
            }
            tokio::time::sleep(ATTACH_POLL).await;
        }
    }

    /// The own NATS takes renewed certificates into force.
    ///
    /// # Errors
    /// It keeps the old ones.
    pub async fn reload_nats(&self) -> Outcome {
        let Some(nats) = self.nats.clone() else {
            return Ok(());
        };
        let lines = self.security.nats_lines()?;
        tokio::task::spawn_blocking(move || nats.reload_blocking(&lines))
            .await
            .map_err(|error| Failure::from_error("reload NATS", &error))?
            .map_err(|error| Failure::from_error("reload NATS", &error))
    }

    /// Process ids of own servers, for the report.
    pub fn own(&self) -> (Option<u32>, Option<u32>) {
        let postgres = self.postgres.as_ref().and_then(|postgres| postgres.pid());
        (postgres, self.nats.as_ref().and_then(|nats| nats.pid()))
    }

    /// Stops own servers: NATS first, then Postgres.
    pub async fn stop(&self) {
        let (nats, postgres) = (self.nats.clone(), self.postgres.clone());
        let stopped = tokio::task::spawn_blocking(move || {
            if let Some(nats) = nats {
                nats.stop_blocking();
            }
            if let Some(postgres) = postgres {
                postgres.stop_blocking();
            }
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "the own servers were not stopped in order");
        }
    }
}

/// Makes schema and roles. A primary whose synchronous standby is away takes everything and commits nothing.
async fn set_up(pool: &PgPool, passwords: &Roles) -> Outcome {
    let failed = |reason: &str| {
        Failure::new(
            Exit::Unavailable,
            format!("could not set the database up: {reason}"),
        )
    };
    match tokio::time::timeout(SETUP_PATIENCE, berth_ledger_svc::setup(pool, passwords)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(&chain(&error))),
        Err(_) => {
            let failure = failed(&format!("nothing was committed within {SETUP_PATIENCE:?}"));
            Err(failure.cure(
                "see whether its synchronous standby is connected: `select * from pg_stat_replication`",
            ))
        }
    }
}

fn runs(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Postgres with the right to set it up.
struct Admin {
    postgres: Option<Arc<EmbeddedPostgres>>,
    url: String,
}

impl Admin {
    /// `None`: another process has that right.
    async fn open(config: &Config, folder: &Folder) -> Outcome<Option<Self>> {
        if let Some(url) = &config.postgres_url {
            return Ok(Some(Self {
                postgres: None,
                url: url.clone(),
            }));
        }
        if config.attach || config.nats_url.is_some() {
            // The database URLs come from the folder or the environment.
            return Ok(None);
        }
        let data = folder.root().to_path_buf();
        let options = PostgresOptions {
            loopback_port: None,
            durability: if config.durable {
                Durability::Full
            } else {
                Durability::ProcessOnly
            },
            database: Some(DATABASE.to_owned()),
            ..PostgresOptions::default()
        };
        let started = tokio::task::spawn_blocking(move || {
            EmbeddedPostgres::start_blocking(&data, &Binaries::default(), &options)
        })
        .await
        .map_err(|error| Failure::from_error("start Postgres", &error))?;
        match started {
            Ok(postgres) => {
                let url = postgres.url(DATABASE);
                Ok(Some(Self {
                    postgres: Some(Arc::new(postgres)),
                    url,
                }))
            }
            Err(Error::Locked { .. }) if config.may_attach => Ok(None),
            Err(error) => Err(Failure::from_error("start Postgres", &error)),
        }
    }

    fn url_of(&self, role: &str, password: &str) -> String {
        match &self.postgres {
            Some(postgres) => postgres.url_as(role, password, DATABASE),
            None => roles::beside(&self.url, role, password),
        }
    }
}

async fn start_nats(config: &Config, folder: &Folder, extra: String) -> Outcome<Arc<EmbeddedNats>> {
    let mut listen = config.nats;
    let chosen = listen.port() == 0;
    if chosen && let Some(port) = read_json::<u16>(&folder.nats_port())? {
        // Agents know the port: it stays.
        listen = SocketAddr::new(listen.ip(), port);
    }
    let options = NatsOptions {
        listen,
        extra,
        sync_always: config.durable,
        ..NatsOptions::default()
    };
    let data = folder.root().to_path_buf();
    let nats = tokio::task::spawn_blocking(move || {
        EmbeddedNats::start_blocking(&data, &Binaries::default(), &options)
    })
    .await
    .map_err(|error| Failure::from_error("start NATS", &error))?
    .map_err(|error| Failure::from_error("start NATS", &error))?;
    if chosen {
        write_json(&folder.nats_port(), &nats.address().port())?;
    }
    Ok(Arc::new(nats))
}
