//! For tests of services: a real log on a real Postgres and NATS, and a context for each service.
//!
//! Only for `[dev-dependencies]`. Dropping a [`TestLog`] ends everything.

use berth_bus::{Bus, BusOptions};
use berth_events::{Command, CommandBody, CommandOutcome, Event, HealthState, Meta, StreamName};
use berth_eventsourcing::{AppendRequest, Expected, NewEvent, StreamAppend};
use berth_ids::{ClusterId, CommandId};
use berth_ledger_svc::{Ledger, LedgerOptions, LedgerView, Roles, setup};
use berth_service_kit::{Clock, Health, ServiceContext, new_id};
use berth_testkit::TestServices;
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The longest a test waits for something.
pub const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const PASSWORD: &str = "of a test";
const CONNECTIONS: u32 = 6;
/// What the bus needs to carry everything that the log can hold.
const NATS: &str = "max_payload: 2MB\n";

/// What went wrong around a test.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A log that runs.
pub struct TestLog {
    services: TestServices,
    database: String,
    credentials: Option<PathBuf>,
    ledger: LedgerView,
    shutdown: CancellationToken,
    _stop: DropGuard,
}

impl TestLog {
    /// Starts servers and log; nobody needs to log in at the bus.
    ///
    /// # Errors
    /// Something did not start.
    pub async fn start() -> Result<Self, Failure> {
        Self::start_with("", None).await
    }

    /// Starts with more lines for NATS, and the folder with `<service>.creds` files if it asks for them.
    ///
    /// # Errors
    /// Something did not start.
    pub async fn start_with(nats: &str, credentials: Option<PathBuf>) -> Result<Self, Failure> {
        let services = TestServices::start_with(&format!("{NATS}{nats}")).await?;
        let url = services.fresh_database().await?;
        let database = url
            .rsplit('/')
            .next()
            .and_then(|last| last.split('?').next())
            .unwrap_or_default()
            .to_owned();
        let admin = PgPool::connect(&url).await?;
        let passwords = berth_ledger_svc::SERVICES
            .iter()
            .map(|service| ((*service).to_owned(), PASSWORD.to_owned()))
            .collect();
        setup(&admin, &Roles { passwords }).await?;
        let shutdown = CancellationToken::new();
        let bus = connect(&services.nats_url(), "ledger", credentials.as_deref()).await?;
        let pool = pool(&services, "ledger", &database).await?;
        let ledger = Ledger::new(bus, pool, LedgerOptions::default());
        let view = ledger.view();
        tokio::spawn(ledger.run(shutdown.clone()));
        let log = Self {
            services,
            database,
            credentials,
            ledger: view,
            _stop: shutdown.clone().drop_guard(),
            shutdown,
        };
        eventually("the ledger writes", || async {
            matches!(log.ledger.health().state, HealthState::Green).then_some(())
        })
        .await?;
        Ok(log)
    }

    /// What a service is given when it starts. It stops with the log, or by its own token.
    ///
    /// # Errors
    /// No connection.
    pub async fn context(&self, service: &'static str) -> Result<ServiceContext, Failure> {
        Ok(ServiceContext {
            service,
            instance: format!("{service}-test"),
            bus: self.bus(service).await?,
            db: pool(&self.services, service, &self.database).await?,
            shutdown: self.shutdown.child_token(),
            health: Health::new(service, "test"),
        })
    }

    /// A connection to the bus as a user.
    ///
    /// # Errors
    /// No connection.
    pub async fn bus(&self, user: &str) -> Result<Bus, Failure> {
        connect(&self.services.nats_url(), user, self.credentials.as_deref()).await
    }

    /// How the log is.
    pub fn health(&self) -> berth_events::ServiceHealth {
        self.ledger.health()
    }

    /// The servers themselves.
    pub fn services(&self) -> &TestServices {
        &self.services
    }

    /// A connection to the database of the log as its owner.
    ///
    /// # Errors
    /// No connection.
    pub async fn admin(&self) -> Result<PgPool, Failure> {
        Ok(PgPool::connect(&self.services.postgres_url(&self.database)).await?)
    }

    /// Records an event as its owner; answers its position.
    ///
    /// # Errors
    /// The log refuses it.
    pub async fn record(&self, stream: StreamName, event: impl Into<Event>) -> Result<u64, Failure> {
        let owner = match stream.category().owner() {
            "*" => "cluster",
            owner => owner,
        };
        let request = AppendRequest {
            tenant: "main".into(),
            meta: Meta::default(),
            streams: vec![StreamAppend {
                stream,
                expected: Expected::Any,
                events: vec![NewEvent::encode(new_id(), &event.into())?],
            }],
            guards: vec![],
            command: None,
        };
        let appended = self.ledger.handle().append(owner, request).await?;
        Ok(appended.last_position)
    }
}

/// A command of a test, with an id of its own.
pub fn command(body: CommandBody) -> Command {
    let command_id: CommandId = new_id();
    Command {
        version: berth_events::COMMAND_VERSION,
        command_id,
        request_hash: command_id.as_uuid().simple().to_string(),
        tenant: "main".into(),
        actor: "test".into(),
        correlation_id: new_id(),
        issued_at: Clock::now(),
        traceparent: None,
        body,
    }
}

/// Sends a command and waits for its outcome.
///
/// # Errors
/// The outcome is not known.
pub async fn submit(
    bus: &Bus,
    body: CommandBody,
    cluster: Option<ClusterId>,
) -> Result<CommandOutcome, Failure> {
    Ok(bus.submit(&command(body), cluster).await?)
}

/// Looks again and again until something is there.
///
/// # Errors
/// Not within [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> Result<T, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() > until {
            return Err(format!("not within {PATIENCE:?}: {what}").into());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn connect(url: &str, user: &str, credentials: Option<&std::path::Path>) -> Result<Bus, Failure> {
    let options = BusOptions {
        url: url.to_owned(),
        user: user.to_owned(),
        credentials: credentials.map(|folder| folder.join(format!("{user}.creds"))),
        ca: None,
    };
    Ok(Bus::connect(&options).await?)
}

async fn pool(services: &TestServices, service: &str, database: &str) -> Result<PgPool, Failure> {
    let url = services
        .embedded()
        .postgres()
        .url_as(&format!("berth_{service}"), PASSWORD, database);
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&url)
        .await?)
}
