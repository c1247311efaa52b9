//! Events that not every running service can read are refused, until all can.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod common;

use berth_bus::QuestionSink;
use berth_events::{
    Event, Feature, FeatureEnabled, HealthState, PlatformEvent, ServiceHealth, features_stream,
};
use berth_eventsourcing::{AppendError, Expected};
use berth_ids::Timestamp;
use berth_ledger_svc::{LedgerOptions, SERVICES, read_stream};
use common::{World, cordon, eventually, options, with_command};
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;

/// Longer than the rounds that an enabled feature takes.
const SEVERAL_ROUNDS: Duration = Duration::from_secs(8);

fn feature() -> Feature {
    Feature::of("node.cordoned", 1)
}

fn gated() -> LedgerOptions {
    LedgerOptions {
        introduced: BTreeSet::from([feature()]),
        ..options()
    }
}

/// An instance of a service that says what it can read.
async fn instance(world: &World, service: &'static str, reads: BTreeSet<Feature>, stop: CancellationToken) {
    let bus = world.bus(service).await;
    let sink = QuestionSink {
        service: service.into(),
        question: "health".into(),
        shutdown: stop,
    };
    let health = ServiceHealth {
        service: service.into(),
        instance: "test".into(),
        version: "1".into(),
        state: HealthState::Green,
        position: None,
        started_at: Timestamp::default(),
        reads,
    };
    tokio::spawn(async move {
        let answer = move |_: String, _: serde_json::Value| {
            let health = health.clone();
            async move { Ok(health) }
        };
        bus.answer(sink, answer).await;
    });
}

#[tokio::test]
async fn an_event_is_refused_until_every_instance_can_read_it() {
    let world = World::start().await;
    let ledger = world.instance(gated()).await;
    ledger.wait_green().await;
    let (stop, old) = (CancellationToken::new(), CancellationToken::new());
    for service in SERVICES.iter().filter(|service| **service != "ledger") {
        instance(&world, service, BTreeSet::from([feature()]), stop.clone()).await;
    }
    instance(&world, "lb", BTreeSet::new(), old.clone()).await;

    let asked = with_command(cordon(1, Expected::Version(0), 1), 7, "aa");
    tokio::time::sleep(SEVERAL_ROUNDS).await;
    let refused = ledger.append(asked.clone()).await;
    let Err(AppendError::Refused { reason }) = refused else {
        panic!("an instance cannot read it: {refused:?}");
    };
    assert!(reason.contains("node.cordoned@1"), "{reason}");

    old.cancel();
    let appended = eventually("the feature is enabled", || async {
        ledger.append(asked.clone()).await.ok()
    })
    .await;
    assert_eq!(appended.last_position, 2);
    let enabled = read_stream(&ledger.pool, &features_stream()).await.unwrap();
    assert_eq!(enabled.len(), 1);
    let expected = PlatformEvent::FeatureEnabled(FeatureEnabled {
        feature: feature().to_string(),
    });
    assert_eq!(enabled[0].event().unwrap(), Event::Platform(expected));
    stop.cancel();
    ledger.shut_down().await;

    // What is enabled stays enabled, whoever runs now.
    let later = world.instance(gated()).await;
    later.wait_green().await;
    assert!(later.append(cordon(1, Expected::Version(1), 1)).await.is_ok());
    later.shut_down().await;
}
