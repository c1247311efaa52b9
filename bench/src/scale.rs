//! Many containers on several engines: Berth, the raw engines in parallel, Swarm mode.

use crate::{
    moment::{self, millis},
    site::{NETWORK, PATIENCE, Site, compose, load, rest},
    swarm::Swarm,
};
use anyhow::{Context, Result};
use futures::future::try_join_all;

/// What Berth may need of what the raw engines need.
const TARGET: f64 = 1.1;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Containers.
    #[arg(long, default_value_t = 100)]
    containers: usize,
    /// Engines of each side.
    #[arg(long, default_value_t = 3)]
    engines: usize,
    /// Times that each is measured.
    #[arg(long, default_value_t = 2)]
    runs: usize,
}

/// Measures and prints.
pub async fn run(options: &Options) -> Result<()> {
    let mut site = Site::start(options.engines).await?;
    let swarm = Swarm::start(options.engines).await?;
    println!(
        "scale: {} containers on {} engines, image present, one network that is there before; {}",
        options.containers,
        options.engines,
        load()
    );
    let (mut ours, mut raws, mut peers) = (f64::MAX, f64::MAX, f64::MAX);
    for round in 0..options.runs {
        let took = raw(&site, options, round).await?;
        println!("  raw engines in parallel: asked → all started   {took:>9.0} ms");
        raws = raws.min(took);
        let took = berth(&mut site, options, round).await?;
        println!("  Berth: POST → all running in the log          {took:>9.0} ms");
        ours = ours.min(took);
        let took = swarms(&swarm, options, round).await?;
        println!("  Swarm mode: asked → all tasks running         {took:>9.0} ms");
        peers = peers.min(took);
    }
    println!(
        "  best: Berth {ours:.0} ms = {:.2} of the raw engines (to reach: {TARGET}), {:.2} of Swarm mode (to reach: below 1)",
        ours / raws,
        ours / peers
    );
    println!("  at the end: {}", load());
    Ok(())
}

async fn berth(site: &mut Site, options: &Options, round: usize) -> Result<f64> {
    let name = format!("scale-{round}");
    let sent = site
        .client
        .deploy(&name, &compose(options.containers, false))
        .await?;
    let mut last = sent.asked;
    for _ in 0..options.containers {
        let seen = site.log.until("allocation.running", PATIENCE, |_| ()).await?;
        last = last.max(seen.event.recorded_at);
    }
    site.remove(&sent.application).await?;
    Ok(millis(sent.asked, last))
}

async fn raw(site: &Site, options: &Options, round: usize) -> Result<f64> {
    let count = site.engines.len();
    let name = format!("raw-{round}");
    let asked = moment::now();
    let ends = try_join_all(site.engines.iter().enumerate().map(|(index, engine)| {
        let share = options.containers / count + usize::from(index < options.containers % count);
        engine.run_many(&name, NETWORK, share)
    }))
    .await?;
    let last = ends.into_iter().max().context("at least one engine")?;
    for engine in &site.engines {
        engine.clear().await?;
    }
    rest().await;
    Ok(millis(asked, last))
}

async fn swarms(swarm: &Swarm, options: &Options, round: usize) -> Result<f64> {
    let name = format!("peer-{round}");
    let asked = swarm.create(&name, options.containers).await?;
    let tasks = swarm.wait_running(&name, options.containers, 0).await?;
    let last = tasks.iter().map(|task| task.since).max().context("tasks")?;
    swarm.remove(&name).await?;
    rest().await;
    Ok(millis(asked, last))
}
