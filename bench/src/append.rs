//! Appends of many writers, version check, hash and idempotency on, against a bulk insert of the same rows.

use crate::{servers::Servers, statistics::Sorted, workload};
use anyhow::{Context, Result};
use berth_ledger_svc::{LedgerHandle, LedgerOptions, verify, write_only};
use sqlx::{AssertSqlSafe, Executor, PgPool};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Rows of one bulk insert, as many as one batch of the log-writer has at most.
const BULK_ROWS: u64 = 2_000;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Writers at the same time, each waiting for its answer.
    #[arg(long, default_value_t = 64)]
    writers: u128,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Times that both are measured, one after the other; the best of each counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Bytes of text in each event.
    #[arg(long, default_value_t = 120)]
    bytes: usize,
}

/// Measures and prints.
pub async fn run(options: &Options) -> Result<()> {
    let servers = Servers::start(false).await?;
    let stop = CancellationToken::new();
    let (handle, writer) = write_only(&servers.ledger, &LedgerOptions::default(), stop.clone()).await?;
    let (mut ours, mut limit, mut limit_events) = (0.0_f64, 0.0_f64, 0.0_f64);
    println!(
        "append: {} writers, one event of {} bytes and one command an append, fsync on, {} s each",
        options.writers, options.bytes, options.seconds
    );
    for round in 0..options.rounds {
        let (rate, latencies) = appends(&handle, options, round).await?;
        println!("  ours                         {rate:>9.0} events/s  {latencies}");
        ours = ours.max(rate);
        if round == 0 {
            make_copies(&servers.admin).await?;
        }
        let rate = bulk(&servers.admin, options, true).await?;
        println!("  bulk insert, same 3 tables   {rate:>9.0} events/s");
        limit = limit.max(rate);
        let rate = bulk(&servers.admin, options, false).await?;
        println!("  bulk insert, events only     {rate:>9.0} events/s");
        limit_events = limit_events.max(rate);
    }
    stop.cancel();
    writer.await?;
    let report = verify(&servers.ledger, 1..=u64::MAX).await?;
    println!("  verified: {} events, chain whole", report.checked);
    println!(
        "  best: ours {ours:.0}/s = {:.2} of the same 3 tables, {:.2} of the events alone (to reach: 0.40)",
        ours / limit,
        ours / limit_events
    );
    Ok(())
}

async fn appends(handle: &LedgerHandle, options: &Options, round: u32) -> Result<(f64, Sorted)> {
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let reason = "x".repeat(options.bytes);
    let started = Instant::now();
    let writers = (0..options.writers).map(|writer| {
        let (handle, reason) = (handle.clone(), reason.clone());
        let stream = u128::from(round) << 64 | writer;
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < until {
                let request = workload::append(stream, latencies.len() as u64, &reason)?;
                let asked = Instant::now();
                handle.append("cluster", request).await?;
                latencies.push(asked.elapsed());
            }
            anyhow::Ok(latencies)
        })
    });
    let mut all = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        all.extend(writer.await??);
    }
    let rate = all.len() as f64 / started.elapsed().as_secs_f64();
    Ok((rate, Sorted::new(all)))
}

/// Tables of the same columns, indexes and partitions, and rows to fill them with.
async fn make_copies(admin: &PgPool) -> Result<()> {
    admin
        .execute(
            "create schema bulk;
             create table bulk.event (like es.event including all) partition by range (position);
             create table bulk.event_1 partition of bulk.event for values from (1) to (1000000000);
             create table bulk.stream_head (like es.stream_head including all) with (fillfactor = 70);
             create table bulk.command (like es.command including all);
             create table bulk.source as
               select row_number() over (order by e.position) as n, e.*, c.command_id, c.request_hash, c.outcome
               from (select * from es.event order by position limit 2000) e
               join es.command c on c.first_pos = e.position;
             analyze bulk.source",
        )
        .await
        .context("copying the schema")?;
    Ok(())
}

/// Inserts in whole batches over one connection, without any check.
async fn bulk(admin: &PgPool, options: &Options, all_tables: bool) -> Result<f64> {
    admin
        .execute("truncate bulk.event, bulk.stream_head, bulk.command")
        .await?;
    let mut connection = admin.acquire().await?;
    let statement = statement(all_tables);
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let started = Instant::now();
    let mut rows = 0;
    while Instant::now() < until {
        let done = sqlx::query(AssertSqlSafe(statement.clone()))
            .bind(i64::try_from(rows)?)
            .execute(&mut *connection)
            .await?;
        anyhow::ensure!(done.rows_affected() > 0, "the bulk insert wrote nothing");
        rows += BULK_ROWS;
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}

fn statement(all_tables: bool) -> String {
    let events = "insert into bulk.event
        select $1 + n, stream, version + $1, category, cat_prev, event_id, type, schema_v, tenant, data, meta, hash,
          recorded_at from bulk.source";
    if !all_tables {
        return events.to_owned();
    }
    format!(
        "with event as ({events} returning 1),
         head as (insert into bulk.stream_head as old
           select stream, max(version) + $1, max(position) + $1 from bulk.source group by stream
           on conflict (stream) do update set version = excluded.version, last_pos = excluded.last_pos returning 1)
         insert into bulk.command(command_id, request_hash, first_pos, last_pos, outcome, at)
           select gen_random_uuid(), request_hash, $1 + n, $1 + n, outcome, recorded_at from bulk.source"
    )
}
