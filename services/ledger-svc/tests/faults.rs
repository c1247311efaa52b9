//! What dies, and that nothing acknowledged is lost or done twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod common;

use berth_events::HealthState;
use berth_eventsourcing::{AppendError, Appended, Expected};
use berth_ledger_svc::{read, verify};
use common::{Instance, PATIENCE, World, cordon, eventually, options, published, with_command};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

fn kill(pid: Option<u32>) {
    let pid = i32::try_from(pid.unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Repeats an append with its command id until its outcome is known, as a service does.
async fn insist(ledger: &Instance, writer: u128, n: u64) -> Appended {
    let id = writer << 64 | u128::from(n);
    let until = Instant::now() + PATIENCE;
    loop {
        let request = with_command(cordon(writer, Expected::Version(n), 1), id, "aa");
        match ledger.append(request).await {
            Ok(appended) => return appended,
            Err(AppendError::Unavailable { .. } | AppendError::Busy) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert!(Instant::now() < until, "writer {writer} waits for {n} too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_killed_postgres_loses_and_doubles_nothing() {
    const WRITERS: u128 = 16;
    const EACH: u64 = 200;
    let world = World::start().await;
    let ledger = Arc::new(world.active().await);
    let done = Arc::new(AtomicU64::new(0));
    let writers = (0..WRITERS).map(|writer| {
        let (ledger, done) = (ledger.clone(), done.clone());
        tokio::spawn(async move {
            let mut positions = Vec::new();
            for n in 0..EACH {
                positions.push(insist(&ledger, writer, n).await.last_position);
                done.fetch_add(1, Ordering::Relaxed);
            }
            positions
        })
    });
    let writers = writers.collect::<Vec<_>>();
    let total = WRITERS as u64 * EACH;
    for share in [8, 2] {
        eventually("the load moves", || async {
            (done.load(Ordering::Relaxed) >= total / share).then_some(())
        })
        .await;
        let takeovers = ledger.view.metrics().takeovers;
        kill(world.services.pids().postgres);
        let at = done.load(Ordering::Relaxed);
        assert!(at < total, "the load ended before the kill");
        // The next kill must meet a log that writes again, not this outage.
        eventually("the log is opened again", || async {
            (ledger.view.metrics().takeovers > takeovers).then_some(())
        })
        .await;
    }
    let mut acknowledged = HashMap::new();
    for (writer, task) in writers.into_iter().enumerate() {
        for (n, position) in task.await.unwrap().into_iter().enumerate() {
            assert_eq!(
                acknowledged.insert(position, (writer, n)),
                None,
                "position {position} twice"
            );
        }
    }
    assert_eq!(verify(&ledger.pool, 1..=u64::MAX).await.unwrap().checked, total);
    assert_eq!(acknowledged.len() as u64, total);
    for event in read(&ledger.pool, 0, total as usize).await.unwrap() {
        let (writer, n) = acknowledged[&event.position];
        assert_eq!(event.stream, common::node_stream(writer as u128));
        assert_eq!(event.version, n as u64 + 1);
    }
    let relayed = published(&world.bus("cluster").await, 1, total as usize).await;
    assert!(
        relayed
            .iter()
            .zip(1..)
            .all(|((sequence, _, event, _), due)| *sequence == due && event.position == due)
    );
}

#[tokio::test]
async fn a_replaced_writer_writes_nothing() {
    let world = World::start().await;
    let ledger = world.active().await;
    ledger.append(cordon(1, Expected::Version(0), 1)).await.unwrap();
    sqlx::query("select * from es.open_writer()")
        .execute(&world.admin)
        .await
        .unwrap();
    let fenced = ledger.append(cordon(1, Expected::Version(1), 1)).await;
    assert!(
        matches!(fenced, Err(AppendError::Unavailable { .. })),
        "{fenced:?}"
    );
    assert_eq!(read(&ledger.pool, 0, 10).await.unwrap().len(), 1);
    // It opens the log anew, with a higher epoch, and knows where it ends.
    ledger.wait_green().await;
    let next = insist(&ledger, 1, 1).await;
    assert_eq!(next.last_position, 2);
    assert_eq!(verify(&ledger.pool, 1..=u64::MAX).await.unwrap().checked, 2);
}

#[tokio::test]
async fn an_idle_writer_notices_that_it_was_replaced() {
    let world = World::start().await;
    let ledger = world.active().await;
    let takeovers = ledger.view.metrics().takeovers;
    sqlx::query("select * from es.open_writer()")
        .execute(&world.admin)
        .await
        .unwrap();
    eventually("the log is opened again", || async {
        (ledger.view.metrics().takeovers > takeovers).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_standby_takes_over_within_a_second() {
    let world = World::start().await;
    let first = world.active().await;
    let second = world.instance(options()).await;
    let bus = world.bus("cluster").await;
    for n in 0..20 {
        bus.append(&cordon(1, Expected::Version(n), 1)).await.unwrap();
    }
    assert!(matches!(second.view.health().state, HealthState::Yellow(_)));
    assert_eq!(second.view.metrics().appends, 0);
    first.task.abort();
    let died = Instant::now();
    let appended = loop {
        let request = with_command(cordon(1, Expected::Version(20), 1), 1, "aa");
        match bus.append(&request).await {
            Ok(appended) => break appended,
            Err(AppendError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(other) => panic!("{other:?}"),
        }
        assert!(died.elapsed() < PATIENCE);
    };
    let took = died.elapsed();
    assert_eq!(appended.last_position, 21);
    assert!(took < Duration::from_millis(1_500), "took {took:?}");
    assert_eq!(second.view.metrics().takeovers, 1);
    second.shut_down().await;
}

#[tokio::test]
async fn appends_go_on_while_nats_is_killed_and_the_relay_catches_up() {
    let world = World::start().await;
    let ledger = world.active().await;
    for round in 0..3 {
        for n in 0..50 {
            ledger
                .append(cordon(1, Expected::Version(round * 50 + n), 1))
                .await
                .unwrap();
            if n == 20 {
                kill(world.services.pids().nats);
            }
        }
        eventually("the relay has caught up", || async {
            (ledger.view.metrics().relayed == (round + 1) * 50).then_some(())
        })
        .await;
    }
    let relayed = published(&world.bus("cluster").await, 1, 150).await;
    assert!(
        relayed
            .iter()
            .zip(1..)
            .all(|((sequence, _, event, _), due)| *sequence == due && event.position == due)
    );
    eventually("it is green again", || async {
        matches!(ledger.view.health().state, HealthState::Green).then_some(())
    })
    .await;
}
