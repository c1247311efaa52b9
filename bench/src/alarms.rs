//! Every core busy for minutes: no node may be taken for lost.

use crate::{
    client::Follower,
    moment::{self, millis},
    site::{PATIENCE, Site, compose, load},
};
use anyhow::{Result, ensure};
use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const NODES: usize = 3;
const CONTAINERS: usize = 9;
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(60);
const SECONDS_PER_MINUTE: u64 = 60;
/// Steps between two looks at whether the load should end.
const STEPS: u64 = 1_000_000;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Minutes of load.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Busy threads; absent: one a core.
    #[arg(long)]
    threads: Option<usize>,
}

/// Threads that do nothing useful until they are dropped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count)
            .map(|_| {
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        black_box((0..STEPS).fold(0_u64, |sum, step| sum.wrapping_mul(31) ^ black_box(step)));
                    }
                })
            })
            .collect();
        Self { stop, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("a busy thread ended by a panic");
            }
        }
    }
}

/// Measures, prints, and fails if there was an alarm.
pub async fn run(options: &Options) -> Result<()> {
    let mut site = Site::start(NODES).await?;
    site.client.deploy("busy", &compose(CONTAINERS, false)).await?;
    for _ in 0..CONTAINERS {
        site.log.until("allocation.running", PATIENCE, |_| ()).await?;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = options.threads.unwrap_or(cores);
    println!(
        "false alarms: {NODES} agents, {CONTAINERS} containers, {threads} busy threads for {} min; {}",
        options.minutes,
        load()
    );
    let busy = Load::start(threads);
    let found = watch(
        &mut site.log,
        Duration::from_secs(options.minutes * SECONDS_PER_MINUTE),
    )
    .await?;
    println!("  under load: {}", load());
    drop(busy);
    let lost = found.get("node.lost").copied().unwrap_or(0);
    println!(
        "  node.lost: {lost} in {} min (to reach: 0); all events under load: {found:?}",
        options.minutes
    );
    ensure!(lost == 0, "{lost} false alarms");
    Ok(())
}

/// Counts events by type.
async fn watch(log: &mut Follower, time: Duration) -> Result<BTreeMap<String, u64>> {
    let (until, mut progress) = (Instant::now() + time, Instant::now() + PROGRESS);
    let (mut found, mut slowest) = (BTreeMap::new(), 0.0_f64);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        let step = left.min(progress.saturating_duration_since(Instant::now()));
        if let Some(seen) = log.within(step).await? {
            slowest = slowest.max(millis(seen.event.recorded_at, moment::now()));
            *found.entry(seen.event.type_name.to_string()).or_default() += 1;
        }
        if Instant::now() >= progress {
            progress += PROGRESS;
            println!(
                "  {} s left, events {found:?}; {}",
                left.saturating_sub(step).as_secs(),
                load()
            );
        }
    }
    if slowest > 0.0 {
        println!("  slowest event, recorded → at a client: {slowest:.0} ms");
    }
    Ok(found)
}
