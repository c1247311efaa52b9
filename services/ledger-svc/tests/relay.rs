//! EVT wiped, rolled back, made anew, forked: it is restored identically, or the ledger stops and says why.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod common;

use berth_events::HealthState;
use berth_eventsourcing::{AppendError, Expected};
use berth_ledger_svc::{accept_loss, setup};
use berth_testkit::embedded::{Binaries, EmbeddedNats, NatsOptions};
use common::{Instance, World, bus, cordon, eventually, options, published, roles, start};
use sqlx::PgPool;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// A NATS server that can be stopped, wiped and started on the same port.
struct Nats {
    server: Option<EmbeddedNats>,
    folder: PathBuf,
    address: SocketAddr,
}

async fn start_nats(folder: &Path, listen: SocketAddr) -> EmbeddedNats {
    let folder = folder.to_path_buf();
    let nats = NatsOptions {
        listen,
        extra: common::NATS.into(),
        ..NatsOptions::default()
    };
    let started = tokio::task::spawn_blocking(move || {
        EmbeddedNats::start_blocking(&folder, &Binaries::default(), &nats)
    });
    started.await.unwrap().unwrap()
}

impl Nats {
    async fn start(world: &World) -> Self {
        let folder = world.services.folder().join("own");
        std::fs::create_dir(&folder).unwrap();
        let server = start_nats(&folder, "127.0.0.1:0".parse().unwrap()).await;
        Self {
            address: server.address(),
            server: Some(server),
            folder,
        }
    }
    fn url(&self) -> String {
        format!("nats://{}", self.address)
    }
    fn store(&self) -> PathBuf {
        self.folder.join("nats")
    }
    async fn stop(&mut self) {
        let server = self.server.take().unwrap();
        tokio::task::spawn_blocking(move || server.stop_blocking())
            .await
            .unwrap();
    }
    async fn again(&mut self) {
        self.server = Some(start_nats(&self.folder, self.address).await);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn relayed(ledger: &Instance, position: u64) {
    eventually("the relay has caught up", || async {
        let metrics = ledger.view.metrics();
        (metrics.relayed == position && matches!(ledger.view.health().state, HealthState::Green))
            .then_some(())
    })
    .await;
}

async fn append(ledger: &Instance, from: u64, count: u64) {
    for version in from..from + count {
        ledger
            .append(cordon(1, Expected::Version(version), 1))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_wiped_or_rolled_back_stream_is_restored_identically() {
    let world = World::start().await;
    let mut nats = Nats::start(&world).await;
    let reader = bus(&nats.url(), "cluster").await;
    let ledger = start(
        bus(&nats.url(), "ledger").await,
        world.pool_as("berth_ledger").await,
        options(),
    );
    ledger.wait_green().await;
    append(&ledger, 0, 30).await;
    relayed(&ledger, 30).await;
    let old = world.services.folder().join("old");
    nats.stop().await;
    copy(&nats.store(), &old);
    nats.again().await;
    append(&ledger, 30, 40).await;
    relayed(&ledger, 70).await;
    let before = published(&reader, 1, 70).await;

    // Rolled back to 30, and no append follows: the relay looks by itself.
    nats.stop().await;
    std::fs::remove_dir_all(nats.store()).unwrap();
    copy(&old, &nats.store());
    nats.again().await;
    let resyncs = ledger.view.metrics().relay_resyncs;
    eventually("the relay notices", || async {
        (ledger.view.metrics().relay_resyncs > resyncs).then_some(())
    })
    .await;
    relayed(&ledger, 70).await;
    assert_eq!(bytes(&published(&reader, 1, 70).await), bytes(&before));

    // Wiped, while appends go on.
    nats.stop().await;
    std::fs::remove_dir_all(nats.store()).unwrap();
    append(&ledger, 70, 5).await;
    nats.again().await;
    append(&ledger, 75, 5).await;
    relayed(&ledger, 80).await;
    assert_eq!(bytes(&published(&reader, 1, 70).await), bytes(&before));
    assert_eq!(published(&reader, 71, 10).await.last().unwrap().2.position, 80);
    ledger.shut_down().await;
    nats.stop().await;
}

fn bytes<T, U>(messages: &[(u64, T, U, Vec<u8>)]) -> Vec<(u64, &[u8])> {
    messages
        .iter()
        .map(|(sequence, _, _, payload)| (*sequence, payload.as_slice()))
        .collect()
}

#[tokio::test]
async fn a_database_behind_the_stream_stops_the_ledger_until_the_loss_is_accepted() {
    let world = World::start().await;
    let first = world.active().await;
    append(&first, 0, 10).await;
    relayed(&first, 10).await;
    first.shut_down().await;

    // A database that knows nothing of those events, as after a fail-over to an empty standby.
    let url = world.services.fresh_database().await.unwrap();
    let admin = PgPool::connect(&url).await.unwrap();
    setup(&admin, &roles()).await.unwrap();
    let behind = World {
        database: "test_2".into(),
        admin,
        ..world
    };
    let ledger = behind.instance(options()).await;
    let reason = eventually("it stops", || async {
        match ledger.view.health().state {
            HealthState::Red(reason) => Some(reason),
            _ => None,
        }
    })
    .await;
    assert!(
        reason.contains("up to 10") && reason.contains("only up to 0"),
        "{reason}"
    );
    let refused = ledger.append(cordon(1, Expected::Version(0), 1)).await;
    assert!(
        matches!(refused, Err(AppendError::Unavailable { .. })),
        "{refused:?}"
    );

    let reader = behind.bus("cluster").await;
    assert_eq!(
        accept_loss(&behind.admin, &reader, "the test lost it")
            .await
            .unwrap(),
        2
    );
    ledger.wait_green().await;
    append(&ledger, 0, 3).await;
    let events = published(&reader, 1, 3).await;
    assert!(
        events
            .iter()
            .all(|(sequence, _, event, _)| *sequence == event.position && event.incarnation == 2)
    );
    ledger.shut_down().await;
}

#[tokio::test]
async fn another_history_in_the_stream_stops_a_running_ledger() {
    let world = World::start().await;
    let ledger = world.active().await;
    append(&ledger, 0, 5).await;
    relayed(&ledger, 5).await;
    let rogue = world.bus("rogue").await;
    let (_, subject, _, payload) = published(&rogue, 5, 1).await.remove(0);
    let mut event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    event["sequence"] = 6.into();
    rogue.store(subject, &event).await.unwrap();
    let reason = eventually("it stops", || async {
        match ledger.view.health().state {
            HealthState::Red(reason) => Some(reason),
            _ => None,
        }
    })
    .await;
    assert!(reason.contains("fork"), "{reason}");
}

#[tokio::test]
async fn what_somebody_else_puts_into_the_stream_is_swept_out() {
    let world = World::start().await;
    let ledger = world.active().await;
    append(&ledger, 0, 5).await;
    relayed(&ledger, 5).await;
    let rogue = world.bus("rogue").await;
    let before = published(&rogue, 1, 5).await;
    // What JetStream itself sends to a subject that a client names for a reply: an acknowledgement, and an
    // event that was read.
    let (_, subject, event, _) = before[2].clone();
    rogue
        .store(subject.clone(), &serde_json::json!({"stream": "RPT", "seq": 7}))
        .await
        .unwrap();
    rogue.store(subject, &event).await.unwrap();
    // Also while events are on their way.
    append(&ledger, 5, 3).await;
    relayed(&ledger, 8).await;
    let after = eventually("the stream is the log", || async {
        let found = published(&rogue, 1, 8).await;
        found
            .iter()
            .all(|(sequence, _, event, _)| *sequence == event.position)
            .then_some(found)
    })
    .await;
    assert_eq!(bytes(&after[..5]), bytes(&before));
}

#[tokio::test]
async fn a_server_that_cannot_carry_the_largest_append_is_refused() {
    let world = World::start().await;
    let small = "127.0.0.1:0".parse().unwrap();
    let folder = world.services.folder().join("small");
    std::fs::create_dir(&folder).unwrap();
    let nats = NatsOptions {
        listen: small,
        ..NatsOptions::default()
    };
    let started = tokio::task::spawn_blocking(move || {
        EmbeddedNats::start_blocking(&folder, &Binaries::default(), &nats)
    });
    let server = started.await.unwrap().unwrap();
    let ledger = start(
        bus(&server.url(), "ledger").await,
        world.pool_as("berth_ledger").await,
        options(),
    );
    let error = ledger.task.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("max_payload: 2MB"), "{error}");
}
