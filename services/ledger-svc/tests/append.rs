//! Appends against a real Postgres and NATS: conflicts, guards, repeated commands, group commit, questions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod common;

use berth_events::{CommandOutcome, CommandStatus, HealthState, LogHead, Recorded, ServiceHealth};
use berth_eventsourcing::{AppendError, Expected, Guard};
use berth_ids::CommandId;
use berth_ledger_svc::{read, read_stream, verify};
use common::{World, cordon, node_stream, published, with_command};
use std::sync::Arc;

fn as_json(events: &[Recorded]) -> serde_json::Value {
    serde_json::to_value(events).unwrap()
}

#[tokio::test]
async fn appends_over_the_bus_are_recorded_relayed_and_answered() {
    let world = World::start().await;
    let ledger = world.active().await;
    let bus = world.bus("cluster").await;
    let appended = bus.append(&cordon(1, Expected::Version(0), 2)).await.unwrap();
    assert_eq!((appended.first_position, appended.last_position), (1, 2));
    let stored = read(&ledger.pool, 0, 10).await.unwrap();
    let stream = read_stream(&ledger.pool, &node_stream(1)).await.unwrap();
    assert_eq!(as_json(&stored), as_json(&stream));
    let relayed = published(&bus, 1, 2).await;
    for ((sequence, subject, message, _), row) in relayed.iter().zip(&stored) {
        assert_eq!(*sequence, row.position);
        assert_eq!(*subject, format!("evt.main.node.{}", node_stream(1).key()));
        assert_eq!(
            serde_json::to_value(message).unwrap(),
            serde_json::to_value(row).unwrap()
        );
    }
    let foreign = world
        .bus("scheduler")
        .await
        .append(&cordon(2, Expected::Version(0), 1))
        .await;
    assert!(matches!(foreign, Err(AppendError::Refused { .. })), "{foreign:?}");
    ledger.shut_down().await;
}

#[tokio::test]
async fn conflicts_and_guards_append_nothing() {
    let world = World::start().await;
    let ledger = world.active().await;
    ledger.append(cordon(1, Expected::Version(0), 1)).await.unwrap();
    let conflict = ledger.append(cordon(1, Expected::Version(0), 1)).await;
    assert!(
        matches!(conflict, Err(AppendError::Conflict { actual: 1, .. })),
        "{conflict:?}"
    );
    let mut guarded = cordon(2, Expected::Version(0), 1);
    guarded.guards.push(Guard {
        stream: node_stream(1),
        at_most: 0,
    });
    let refused = ledger.append(guarded.clone()).await;
    assert!(
        matches!(refused, Err(AppendError::Guarded { actual: 1, .. })),
        "{refused:?}"
    );
    guarded.guards[0].at_most = 1;
    assert_eq!(ledger.append(guarded).await.unwrap().last_position, 2);
    let invalid = ledger.append({
        let mut request = cordon(3, Expected::Any, 1);
        request.streams[0].events[0].data = "{}".into();
        request
    });
    assert!(matches!(invalid.await, Err(AppendError::Refused { .. })));
    assert_eq!(verify(&ledger.pool, 1..=u64::MAX).await.unwrap().checked, 2);
    ledger.shut_down().await;
}

#[tokio::test]
async fn a_command_is_done_once_also_by_a_later_writer() {
    let world = World::start().await;
    let ledger = world.active().await;
    let request = with_command(cordon(1, Expected::Version(0), 1), 7, "aa");
    let first = ledger.append(request.clone()).await.unwrap();
    let second = ledger.append(request.clone()).await.unwrap();
    assert!(!first.repeated && second.repeated);
    assert_eq!(first.outcome, second.outcome);
    let reused = ledger
        .append(with_command(cordon(1, Expected::Version(1), 1), 7, "bb"))
        .await;
    assert!(matches!(reused, Err(AppendError::KeyReused { .. })), "{reused:?}");
    ledger.shut_down().await;

    // The first writer may not have told the database where the stream ends.
    let later = world.active().await;
    let stale = later.append(cordon(1, Expected::Version(0), 1)).await;
    assert!(
        matches!(stale, Err(AppendError::Conflict { actual: 1, .. })),
        "{stale:?}"
    );
    let third = later.append(request).await.unwrap();
    assert!(third.repeated);
    assert_eq!(third.outcome, first.outcome);
    assert_eq!(third.last_position, first.last_position);
    // The rules would take it again; the table of commands does not.
    let takes_any = with_command(cordon(1, Expected::Any, 1), 7, "aa");
    let mut others = tokio::task::JoinSet::new();
    for node in 100..120 {
        let (handle, request) = (later.view.handle().clone(), cordon(node, Expected::Version(0), 1));
        others.spawn(async move { handle.append("cluster", request).await });
    }
    let fourth = later.append(takes_any).await.unwrap();
    assert!(fourth.repeated);
    assert_eq!(fourth.outcome, first.outcome);
    for other in others.join_all().await {
        assert!(!other.unwrap().repeated);
    }
    assert_eq!(verify(&later.pool, 1..=u64::MAX).await.unwrap().checked, 21);
    let outcome_only = with_command(cordon(1, Expected::Any, 0), 8, "cc");
    let outcome_only = berth_eventsourcing::AppendRequest {
        streams: Vec::new(),
        ..outcome_only
    };
    let decided = later.append(outcome_only).await.unwrap();
    assert!(
        matches!(
            decided.outcome,
            Some(CommandOutcome::Accepted { position: 21, .. })
        ),
        "{decided:?}"
    );
    later.shut_down().await;
}

#[tokio::test]
async fn sixty_four_writers_share_commits() {
    const WRITERS: u128 = 64;
    const EACH: u64 = 40;
    let world = World::start().await;
    let ledger = Arc::new(world.active().await);
    let writers = (0..WRITERS).map(|writer| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                let request = with_command(
                    cordon(writer, Expected::Version(n), 1),
                    writer << 64 | u128::from(n),
                    "aa",
                );
                ledger.append(request).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let metrics = ledger.view.metrics();
    let total = WRITERS as u64 * EACH;
    assert_eq!(
        (metrics.events, metrics.head, metrics.queue_length),
        (total, total, 0)
    );
    assert!(metrics.batches < total / 4, "{metrics:?}");
    assert_eq!(verify(&ledger.pool, 1..=total).await.unwrap().checked, total);
    let relayed = published(&world.bus("cluster").await, 1, total as usize).await;
    assert!(
        relayed
            .iter()
            .zip(1..)
            .all(|((sequence, _, event, _), due)| *sequence == due && event.position == due)
    );
}

#[tokio::test]
async fn questions_are_answered() {
    let world = World::start().await;
    let ledger = world.active().await;
    let bus = world.bus("gateway").await;
    let empty = serde_json::json!({});
    ledger
        .append(with_command(cordon(1, Expected::Version(0), 3), 9, "ab"))
        .await
        .unwrap();
    let head: LogHead = bus.ask("ledger", "head", "-", &empty).await.unwrap();
    assert_eq!((head.position, head.incarnation), (3, 1));
    let id = CommandId::from_u128(9).to_string();
    let status: CommandStatus = bus.ask("ledger", "command", &id, &empty).await.unwrap();
    assert_eq!(status.request_hash.as_deref(), Some("ab"));
    assert!(matches!(
        status.outcome,
        Some(CommandOutcome::Accepted { position: 3, .. })
    ));
    let unknown = CommandId::from_u128(10).to_string();
    let status: CommandStatus = bus.ask("ledger", "command", &unknown, &empty).await.unwrap();
    assert_eq!(status.outcome, None);
    assert!(
        bus.ask::<CommandStatus>("ledger", "command", "x", &empty)
            .await
            .is_err()
    );
    let health: ServiceHealth = bus.ask("ledger", "health", "-", &empty).await.unwrap();
    assert_eq!((health.state, health.position), (HealthState::Green, Some(3)));
    ledger.shut_down().await;
}
