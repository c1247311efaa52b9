//! From a deploy to a running container: Berth beside the raw engine and Swarm mode, taking turns.

use crate::{
    moment::millis,
    site::{NETWORK, PATIENCE, Site, compose, load, rest},
    stages::{Moments, Stages},
    statistics::Millis,
    swarm::Swarm,
};
use anyhow::Result;

/// What Berth may need beyond the raw engine.
const TARGET_P50: f64 = 40.0;
const TARGET_P99: f64 = 150.0;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Times that each is measured.
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// Times before that, which do not count.
    #[arg(long, default_value_t = 3)]
    warmup: usize,
}

/// A way to have one container.
#[derive(Default)]
struct Way {
    /// Until it is known to run: in the log, by the engine's answer, by the manager.
    known: Vec<f64>,
    /// Until its process began, by the engine.
    began: Vec<f64>,
}

impl Way {
    fn take(&mut self, known: f64, began: f64) {
        self.known.push(known);
        self.began.push(began);
    }
}

/// A network that both sides have, or one that both have to make.
#[derive(Default)]
struct Pair {
    own_network: bool,
    ours: Way,
    raw: Way,
    stages: Stages,
}

/// Measures and prints.
pub async fn run(options: &Options) -> Result<()> {
    let mut site = Site::start(1).await?;
    let swarm = Swarm::start(1).await?;
    println!(
        "deploy: 1 container, image present, {} runs each, taking turns; {}",
        options.runs,
        load()
    );
    let mut pairs = [
        Pair::default(),
        Pair {
            own_network: true,
            ..Pair::default()
        },
    ];
    let mut peer = Way::default();
    for round in 0..options.warmup + options.runs {
        if round == options.warmup {
            pairs = [
                Pair::default(),
                Pair {
                    own_network: true,
                    ..Pair::default()
                },
            ];
            peer = Way::default();
        }
        for pair in &mut pairs {
            ours(&mut site, pair, round).await?;
            raw(&site, pair, round).await?;
        }
        swarms(&swarm, &mut peer, round).await?;
    }
    for pair in pairs {
        print_pair(pair);
    }
    println!(
        "  Swarm mode, service of 1 task, endpoint mode dnsrr, a bridge of each node that is there before"
    );
    print("Swarm: asked → task running", peer.known);
    print("Swarm: asked → process began", peer.began);
    println!("  at the end: {}", load());
    Ok(())
}

async fn ours(site: &mut Site, pair: &mut Pair, round: usize) -> Result<()> {
    let name = format!("deploy-{round}");
    let sent = site.client.deploy(&name, &compose(1, pair.own_network)).await?;
    let mut moments = Moments::new(&sent);
    let running = site
        .log
        .until("allocation.running", PATIENCE, |seen| moments.take(seen))
        .await?;
    let began = site.engine()?.began(moments.container(&running)?).await?;
    pair.ours.take(
        millis(sent.asked, running.event.recorded_at),
        millis(sent.asked, began),
    );
    pair.stages.take(&moments.finish(began)?);
    site.remove(&sent.application).await
}

async fn raw(site: &Site, pair: &mut Pair, round: usize) -> Result<()> {
    let engine = site.engine()?;
    let name = format!("raw-{round}");
    let own = format!("raw-{round}_default");
    let network = if pair.own_network { &own } else { NETWORK };
    let started = engine.run(&name, network, pair.own_network).await?;
    let began = engine.began(&started.id).await?;
    pair.raw.take(
        millis(started.asked, started.answered),
        millis(started.asked, began),
    );
    engine.clear().await?;
    if pair.own_network {
        engine.remove_network(&own).await?;
    }
    rest().await;
    Ok(())
}

async fn swarms(swarm: &Swarm, way: &mut Way, round: usize) -> Result<()> {
    let name = format!("peer-{round}");
    let asked = swarm.create(&name, 1).await?;
    for task in swarm.wait_running(&name, 1, 0).await? {
        way.take(
            millis(asked, task.since),
            millis(asked, swarm.began(&task).await?),
        );
    }
    swarm.remove(&name).await?;
    rest().await;
    Ok(())
}

fn print(what: &str, values: Vec<f64>) -> Millis {
    let values = Millis::new(values);
    println!("    {what:<42} {values}");
    values
}

fn print_pair(pair: Pair) {
    if pair.own_network {
        println!(
            "  the application has a network of its own, as Compose makes by default: both sides make it"
        );
    } else {
        println!("  a network that is there before");
    }
    let ours = print("Berth: POST → allocation.running in the log", pair.ours.known);
    let ours_began = print("Berth: POST → process began", pair.ours.began);
    let raw = print("raw engine: create + start → answer", pair.raw.known);
    let raw_began = print("raw engine: create + start → process began", pair.raw.began);
    let (p50, p99) = (
        ours.quantile(0.5) - raw.quantile(0.5),
        ours.quantile(0.99) - raw.quantile(0.99),
    );
    let verdict = |reached| if reached { "reached" } else { "missed" };
    println!(
        "    Berth − raw: p50 {p50:+.1} ms (to reach: +{TARGET_P50}; {}), p99 {p99:+.1} ms (to reach: +{TARGET_P99}; {})",
        verdict(p50 <= TARGET_P50),
        verdict(p99 <= TARGET_P99)
    );
    println!(
        "    Berth − raw until the process began: p50 {:+.1} ms, p99 {:+.1} ms",
        ours_began.quantile(0.5) - raw_began.quantile(0.5),
        ours_began.quantile(0.99) - raw_began.quantile(0.99)
    );
    pair.stages.print();
}
