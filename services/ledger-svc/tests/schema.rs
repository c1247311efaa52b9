//! The database itself: rights, triggers, proofs, partitions, repeated setups.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod common;

use berth_eventsourcing::{AppendError, Expected};
use berth_ledger_core::Fault;
use berth_ledger_svc::{LedgerOptions, VerifyError, setup, verify};
use common::{World, cordon, eventually, options, roles};
use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

async fn refused(pool: &PgPool, statement: &str) -> String {
    let result = pool.execute(AssertSqlSafe(statement)).await;
    let error = result.expect_err(statement);
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .unwrap();
    assert_eq!(code, "42501", "{statement}: {error}");
    error.to_string()
}

const CHANGES: &[&str] = &[
    "update es.event set data = '{}' where position = 2",
    "update es.event_1 set data = '{}' where position = 2",
    "delete from es.event where position = 2",
    "delete from es.event_1 where position = 2",
    "truncate es.event",
    "truncate es.event_1",
    "update es.log set reason = 'x'",
    "delete from es.log",
    "truncate es.log",
];

#[tokio::test]
async fn nobody_changes_what_is_recorded() {
    let world = World::start().await;
    let ledger = world.active().await;
    ledger.append(cordon(1, Expected::Version(0), 3)).await.unwrap();
    for change in CHANGES {
        // The superuser, who made it all: the trigger.
        let error = refused(&world.admin, change).await;
        assert!(error.contains("append-only"), "{error}");
        // The writer and a reader: their rights.
        for role in ["berth_ledger", "berth_cluster"] {
            let error = refused(&world.pool_as(role).await, change).await;
            assert!(error.contains("permission denied"), "{error}");
        }
    }
    let insert =
        "insert into es.event select position + 1, stream, version + 1, category, cat_prev, event_id, type,
        schema_v, tenant, data, meta, hash, recorded_at from es.event where position = 3";
    let others = [
        insert,
        "update es.writer set last_pos = 0",
        "delete from es.command",
        "update es.stream_head set version = 0",
        "select es.accept_loss('x')",
    ];
    for change in others {
        refused(&world.pool_as("berth_ledger").await, change).await;
    }
    for change in [
        "select es.open_writer()",
        "select es.prune_commands(now(), 1)",
        "select * from vault.x",
    ] {
        refused(&world.pool_as("berth_cluster").await, change).await;
    }
    assert_eq!(verify(&world.admin, 1..=3).await.unwrap().checked, 3);
}

#[tokio::test]
async fn a_service_reaches_the_log_and_its_own_schema_only() {
    let world = World::start().await;
    let scheduler = world.pool_as("berth_scheduler").await;
    scheduler
        .execute("create table svc_scheduler.row(key text)")
        .await
        .unwrap();
    scheduler.fetch_all("select * from es.recorded").await.unwrap();
    scheduler.fetch_all("select * from es.head").await.unwrap();
    let cluster = world.pool_as("berth_cluster").await;
    refused(&cluster, "select * from svc_scheduler.row").await;
    refused(&cluster, "create table svc_scheduler.mine(key text)").await;
    refused(&cluster, "create table es.mine(key text)").await;
    refused(&cluster, "create table vault.mine(key text)").await;
    let access = world.pool_as("berth_access").await;
    access
        .execute("create table vault.secret(key text)")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_proof_finds_what_a_superuser_changed() {
    let world = World::start().await;
    let ledger = world.active().await;
    ledger.append(cordon(1, Expected::Version(0), 5)).await.unwrap();
    let mut forger = world.admin.acquire().await.unwrap();
    forger
        .execute("set session_replication_role = replica")
        .await
        .unwrap();
    let cases = [
        (3, "data = '{\"reason\":\"forged\"}'"),
        (2, "meta = '{}'"),
        (4, "recorded_at = recorded_at + interval '1 microsecond'"),
        (5, "version = 6"),
        (1, "tenant = 'other'"),
    ];
    for (position, change) in cases {
        forger
            .execute("create temp table kept as select * from es.event")
            .await
            .unwrap();
        let statement = format!("update es.event set {change} where position = {position}");
        forger.execute(AssertSqlSafe(statement)).await.unwrap();
        match verify(&ledger.pool, 1..=u64::MAX).await {
            Err(VerifyError::Bad(Fault::Changed { position: found, .. })) => {
                assert_eq!(found, position, "{change}")
            }
            other => panic!("{change}: {other:?}"),
        }
        forger
            .execute("delete from es.event; insert into es.event select * from kept; drop table kept")
            .await
            .unwrap();
        verify(&ledger.pool, 1..=u64::MAX).await.unwrap();
    }
    forger
        .execute("delete from es.event where position = 4")
        .await
        .unwrap();
    let hole = verify(&ledger.pool, 1..=u64::MAX).await;
    assert!(
        matches!(hole, Err(VerifyError::Bad(Fault::Hole { due: 4, found: 5 }))),
        "{hole:?}"
    );
    forger
        .execute("delete from es.event where position = 5")
        .await
        .unwrap();
    let short = verify(&ledger.pool, 1..=u64::MAX).await;
    assert!(
        matches!(short, Err(VerifyError::Bad(Fault::Hole { due: 4, found: 0 }))),
        "{short:?}"
    );
}

#[tokio::test]
async fn partitions_are_made_ahead_and_rolled_over() {
    let world = World::start().await;
    let ledger = world
        .instance(LedgerOptions {
            partition_size: 100,
            ..options()
        })
        .await;
    ledger.wait_green().await;
    for round in 0..7 {
        ledger
            .append(cordon(1, Expected::Version(round * 60), 60))
            .await
            .unwrap();
    }
    // Larger than a whole partition.
    ledger.append(cordon(2, Expected::Version(0), 400)).await.unwrap();
    assert_eq!(verify(&ledger.pool, 1..=u64::MAX).await.unwrap().checked, 820);
    let rows: Vec<(i64, i64)> = sqlx::query_as("select from_pos, to_pos from es.partition order by from_pos")
        .fetch_all(&world.admin)
        .await
        .unwrap();
    assert!(rows.len() >= 10, "{rows:?}");
    assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].0), "{rows:?}");
    refused(&world.admin, "truncate es.event_801").await;
    refused(&world.admin, "delete from es.event_801").await;
}

#[tokio::test]
async fn setups_may_run_at_once_and_again() {
    let world = World::start().await;
    let ledger = world.active().await;
    ledger.append(cordon(1, Expected::Version(0), 2)).await.unwrap();
    let second = PgPool::connect(&world.services.fresh_database().await.unwrap())
        .await
        .unwrap();
    let tasks = (0..6).map(|n| {
        let pool = if n % 2 == 0 {
            world.admin.clone()
        } else {
            second.clone()
        };
        tokio::spawn(async move { setup(&pool, &roles()).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    assert_eq!(verify(&world.admin, 1..=u64::MAX).await.unwrap().checked, 2);
    assert_eq!(verify(&second, 1..=u64::MAX).await.unwrap().checked, 0);
    ledger.append(cordon(1, Expected::Version(2), 1)).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_says_busy_at_once() {
    const LARGE: usize = 250 * 1024;
    const APPENDS: u128 = 130;
    /// `BUSY_AFTER` is 50 ms; the rest is for a loaded machine.
    const AT_ONCE: Duration = Duration::from_secs(2);
    let world = World::start().await;
    let ledger = Arc::new(world.active().await);
    let mut blocker = world.admin.begin().await.unwrap();
    blocker
        .execute("select * from es.writer for update")
        .await
        .unwrap();
    let event = common::new_event(&"x".repeat(LARGE));
    let appends = (0..APPENDS).map(|node| {
        let mut request = cordon(node, Expected::Version(0), 1);
        request.streams[0].events = vec![event.clone(); 3];
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            (ledger.append(request).await, started.elapsed())
        })
    });
    let appends = appends.collect::<Vec<_>>();
    eventually("appends are told that the log is busy", || async {
        (ledger.view.metrics().busy >= 20).then_some(())
    })
    .await;
    blocker.rollback().await.unwrap();
    let (mut done, mut busy) = (0, 0);
    for append in appends {
        match append.await.unwrap() {
            (Ok(_), _) => done += 1,
            (Err(AppendError::Busy), took) => {
                busy += 1;
                assert!(took < AT_ONCE, "busy after {took:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(done > 50 && busy >= 20, "{done} done, {busy} busy");
    assert_eq!(
        verify(&world.admin, 1..=u64::MAX).await.unwrap().checked,
        done * 3
    );
}
