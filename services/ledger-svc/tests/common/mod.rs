//! One Postgres and one NATS server, a log in a fresh database, and appends for it.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use berth_bus::Bus;
use berth_events::{Category, CommandOutcome, Event, Meta, NodeCordoned, NodeEvent, Recorded, StreamName};
use berth_eventsourcing::{
    AppendError, AppendRequest, Appended, CommandRecord, Expected, NewEvent, StreamAppend,
};
use berth_ids::{CommandId, EventId, NodeId};
use berth_ledger_svc::{Ledger, LedgerError, LedgerOptions, LedgerView, Roles, setup};
use berth_testkit::TestServices;
use futures::StreamExt;
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const NATS: &str = "max_payload: 2MB";
const PASSWORD: &str = "it's \"quoted\" \\ text";

/// The servers, and the database of the log.
pub struct World {
    pub services: TestServices,
    pub admin: PgPool,
    pub database: String,
}

/// An instance that runs in this process.
pub struct Instance {
    pub view: LedgerView,
    pub pool: PgPool,
    pub stop: CancellationToken,
    pub task: JoinHandle<Result<(), LedgerError>>,
}

pub fn options() -> LedgerOptions {
    LedgerOptions::default()
}

pub fn roles() -> Roles {
    let passwords = berth_ledger_svc::SERVICES
        .iter()
        .map(|service| ((*service).to_owned(), PASSWORD.to_owned()));
    Roles {
        passwords: passwords.collect(),
    }
}

impl World {
    pub async fn start() -> Self {
        let services = TestServices::start_with(NATS).await.unwrap();
        let url = services.fresh_database().await.unwrap();
        let admin = PgPool::connect(&url).await.unwrap();
        setup(&admin, &roles()).await.unwrap();
        Self {
            services,
            admin,
            database: "test_1".into(),
        }
    }

    pub async fn pool_as(&self, role: &str) -> PgPool {
        let embedded = self.services.embedded().postgres();
        let url = embedded.url_as(role, PASSWORD, &self.database);
        PgPoolOptions::new()
            .max_connections(5)
            .acquire_timeout(Duration::from_secs(5))
            .connect(&url)
            .await
            .unwrap()
    }

    pub async fn bus(&self, user: &str) -> Bus {
        bus(&self.services.nats_url(), user).await
    }

    pub async fn instance(&self, options: LedgerOptions) -> Instance {
        let pool = self.pool_as("berth_ledger").await;
        start(self.bus("ledger").await, pool, options)
    }

    /// An instance that writes.
    pub async fn active(&self) -> Instance {
        let instance = self.instance(options()).await;
        instance.wait_green().await;
        instance
    }
}

pub async fn bus(url: &str, user: &str) -> Bus {
    let client = async_nats::ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(50))
        .connect(url)
        .await
        .unwrap();
    Bus::from_client(client, user)
}

pub fn start(bus: Bus, pool: PgPool, options: LedgerOptions) -> Instance {
    let ledger = Ledger::new(bus, pool.clone(), options);
    let (view, stop) = (ledger.view(), CancellationToken::new());
    let task = tokio::spawn(ledger.run(stop.clone()));
    Instance {
        view,
        pool,
        stop,
        task,
    }
}

impl Instance {
    pub async fn wait_green(&self) {
        eventually("the ledger writes", || async {
            matches!(self.view.health().state, berth_events::HealthState::Green).then_some(())
        })
        .await;
    }

    pub async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.view.handle().append("cluster", request).await
    }

    pub async fn shut_down(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn node_stream(node: u128) -> StreamName {
    StreamName::new(Category::Node, NodeId::from_u128(node))
}

pub fn new_event(reason: &str) -> NewEvent {
    let event = Event::from(NodeEvent::Cordoned(NodeCordoned {
        reason: reason.to_owned(),
    }));
    NewEvent::encode(EventId::from_uuid(uuid::Uuid::now_v7()), &event).unwrap()
}

/// `count` events for a node's stream.
pub fn cordon(node: u128, expected: Expected, count: usize) -> AppendRequest {
    AppendRequest {
        tenant: "main".into(),
        meta: Meta {
            actor: "root".into(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            ..Meta::default()
        },
        streams: vec![StreamAppend {
            stream: node_stream(node),
            expected,
            events: (0..count).map(|n| new_event(&format!("because {n}"))).collect(),
        }],
        guards: Vec::new(),
        command: None,
    }
}

pub fn with_command(mut request: AppendRequest, id: u128, hash: &str) -> AppendRequest {
    request.command = Some(CommandRecord {
        command_id: CommandId::from_u128(id),
        request_hash: hash.to_owned(),
        outcome: CommandOutcome::Accepted {
            position: 0,
            result: serde_json::json!({ "id": id.to_string() }),
        },
    });
    request
}

/// The first `count` events of EVT from a position on, with their sequences.
pub async fn published(bus: &Bus, from: u64, count: usize) -> Vec<(u64, String, Recorded, Vec<u8>)> {
    let stream = bus.jetstream().get_stream("EVT").await.unwrap();
    let config = async_nats::jetstream::consumer::pull::OrderedConfig {
        deliver_policy: async_nats::jetstream::consumer::DeliverPolicy::ByStartSequence {
            start_sequence: from,
        },
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let message = tokio::time::timeout(PATIENCE, messages.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let sequence = message.info().unwrap().stream_sequence;
        let recorded = serde_json::from_slice(&message.payload).unwrap();
        found.push((
            sequence,
            message.subject.to_string(),
            recorded,
            message.payload.to_vec(),
        ));
    }
    found
}
