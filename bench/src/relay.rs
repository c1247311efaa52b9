//! From commit to consumer, at a fixed rate, against JetStream's own publish and deliver.

use crate::{servers::Servers, statistics::Sorted, workload};
use anyhow::{Context, Result, anyhow};
use async_nats::jetstream::{consumer, stream};
use berth_bus::Bus;
use berth_events::Recorded;
use berth_ledger_svc::{EVT, Ledger, LedgerOptions, LedgerView};
use futures::StreamExt;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

const PEER: &str = "PEER";
/// What an event of the benchmark weighs on the bus.
const PEER_BYTES: usize = 800;
const PATIENCE: Duration = Duration::from_secs(30);
/// The load comes in ticks, each with the same number of messages.
const TICKS_PER_SECOND: u64 = 500;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Events a second.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Times that both are measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// JetStream syncs each message to the disk.
    #[arg(long)]
    sync_always: bool,
}

/// Measures and prints.
pub async fn run(options: &Options) -> Result<()> {
    let servers = Servers::start(options.sync_always).await?;
    let ledger = Ledger::new(
        servers.bus("ledger").await?,
        servers.ledger.clone(),
        LedgerOptions::default(),
    );
    let (view, stop) = (ledger.view(), CancellationToken::new());
    let running = tokio::spawn(ledger.run(stop.clone()));
    wait_for_stream(&servers.bus("bench").await?).await?;
    println!(
        "relay: {} events/s for {} s, JetStream sync_always: {}",
        options.rate, options.seconds, options.sync_always
    );
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let (committed, called) = relayed(&servers, &view, options, round).await?;
        println!("  ours: commit → consumer      {committed}");
        println!("  ours: append → consumer      {called}");
        let peer = jetstream(&servers, options).await?;
        println!("  JetStream: publish → consumer {peer}");
        ours.push(committed);
        peers.push(peer);
    }
    stop.cancel();
    running.await??;
    let best = |all: &[Sorted], share| {
        all.iter()
            .map(|one| one.quantile(share))
            .min()
            .unwrap_or_default()
    };
    let (p50, p99) = (best(&ours, 0.5), best(&ours, 0.99));
    println!(
        "  best: p50 {} µs = {:.2} of JetStream's {} µs (to reach: 1.5), p99 {} µs (JetStream {} µs; to reach: 1000)",
        p50.as_micros(),
        p50.as_secs_f64() / best(&peers, 0.5).as_secs_f64(),
        best(&peers, 0.5).as_micros(),
        p99.as_micros(),
        best(&peers, 0.99).as_micros()
    );
    Ok(())
}

async fn wait_for_stream(bus: &Bus) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while bus.jetstream().get_stream(EVT).await.is_err() {
        anyhow::ensure!(Instant::now() < until, "the ledger did not make stream EVT");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// When each sequence of a stream arrived, from one to another.
async fn consume(
    bus: Bus,
    name: &str,
    from: u64,
    count: u64,
) -> Result<JoinHandle<Result<HashMap<u64, Instant>>>> {
    let config = consumer::pull::OrderedConfig {
        deliver_policy: consumer::DeliverPolicy::ByStartSequence { start_sequence: from },
        ..Default::default()
    };
    let consumer = bus
        .jetstream()
        .get_stream(name)
        .await?
        .create_consumer(config)
        .await?;
    let mut messages = consumer.messages().await?;
    let ours = name == EVT;
    Ok(tokio::spawn(async move {
        let mut arrived = HashMap::new();
        for sequence in from..from + count {
            let message = timeout(PATIENCE, messages.next())
                .await?
                .context("the stream ended")??;
            arrived.insert(sequence, Instant::now());
            if ours {
                let event: Recorded = serde_json::from_slice(&message.payload)?;
                anyhow::ensure!(
                    event.position == sequence,
                    "{} came where {sequence} was due",
                    event.position
                );
            }
        }
        Ok(arrived)
    }))
}

async fn relayed(
    servers: &Servers,
    view: &LedgerView,
    options: &Options,
    round: u32,
) -> Result<(Sorted, Sorted)> {
    let head = view.metrics().head;
    let count = options.rate * options.seconds;
    let consumer = consume(servers.bus("reader").await?, EVT, head + 1, count).await?;
    let (sender, mut times) = mpsc::unbounded_channel();
    paced(options, |n| {
        let (handle, sender) = (view.handle().clone(), sender.clone());
        tokio::spawn(async move {
            let stream = u128::from(round) << 64 | u128::from(n);
            let called = Instant::now();
            let appended = match workload::append(stream, 0, "because the benchmark says so") {
                Ok(request) => handle
                    .append("cluster", request)
                    .await
                    .map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            // The receiver outlives all appends.
            let _ = sender.send(appended.map(|appended| (appended.last_position, called, Instant::now())));
        });
    })
    .await;
    drop(sender);
    let mut answers = Vec::new();
    while let Some(answer) = times.recv().await {
        answers.push(answer.context("this machine does not carry the rate now")?);
    }
    let arrived = consumer.await??;
    let (mut committed, mut from_call) = (Vec::new(), Vec::new());
    for (position, called, answered) in answers {
        let at = arrived.get(&position).context("an event did not arrive")?;
        committed.push(at.saturating_duration_since(answered));
        from_call.push(at.saturating_duration_since(called));
    }
    anyhow::ensure!(
        committed.len() as u64 == count,
        "{} of {count} appended",
        committed.len()
    );
    Ok((Sorted::new(committed), Sorted::new(from_call)))
}

async fn jetstream(servers: &Servers, options: &Options) -> Result<Sorted> {
    let bus = servers.bus("peer").await?;
    // The one before may not be there.
    let _ = bus.jetstream().delete_stream(PEER).await;
    let config = stream::Config {
        name: PEER.into(),
        subjects: vec!["peer.>".into()],
        ..stream::Config::default()
    };
    bus.jetstream().create_stream(config).await?;
    let count = options.rate * options.seconds;
    let consumer = consume(servers.bus("reader").await?, PEER, 1, count).await?;
    let (sender, mut times) = mpsc::unbounded_channel();
    // As large as an event of ours.
    let payload = vec![b'x'; PEER_BYTES];
    paced(options, |n| {
        let (bus, sender, payload) = (bus.clone(), sender.clone(), payload.clone());
        tokio::spawn(async move {
            let called = Instant::now();
            let ack = bus
                .jetstream()
                .publish(format!("peer.{n}"), payload.into())
                .await?;
            let sequence = ack.await?.sequence;
            sender
                .send((sequence, called))
                .map_err(|_| anyhow!("the benchmark has ended"))
        });
    })
    .await;
    drop(sender);
    let arrived = consumer.await??;
    let mut all = Vec::new();
    while let Some((sequence, called)) = times.recv().await {
        let at = arrived.get(&sequence).context("a message did not arrive")?;
        all.push(at.saturating_duration_since(called));
    }
    Ok(Sorted::new(all))
}

/// Calls `send` at the rate, evenly spread over ticks.
async fn paced(options: &Options, mut send: impl FnMut(u64)) {
    let each = (options.rate / TICKS_PER_SECOND).max(1);
    let mut ticks =
        tokio::time::interval(Duration::from_secs(1) / u32::try_from(TICKS_PER_SECOND).unwrap_or(1));
    let count = options.rate * options.seconds;
    for n in 0..count {
        if n % each == 0 {
            ticks.tick().await;
        }
        send(n);
    }
}
