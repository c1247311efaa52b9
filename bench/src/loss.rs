//! A node's cable is cut: until that is known, and until its containers run elsewhere; beside Swarm mode.

use crate::{
    moment::{self, millis},
    site::{PATIENCE, Site, compose, load, rest},
    statistics::Millis,
    swarm::Swarm,
};
use anyhow::{Context, Result, ensure};
use berth_e2e::items;
use std::collections::BTreeSet;

const NODES: usize = 3;
const TARGET_SEEN: f64 = 2_000.0;
const TARGET_REPLACED: f64 = 4_000.0;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Times that each is measured.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Containers on three nodes.
    #[arg(long, default_value_t = 6)]
    containers: usize,
}

#[derive(Default)]
struct Way {
    seen: Vec<f64>,
    replaced: Vec<f64>,
}

/// Measures and prints.
pub async fn run(options: &Options) -> Result<()> {
    let mut site = Site::start(NODES).await?;
    let swarm = Swarm::start(NODES).await?;
    println!(
        "loss: cable of one of {NODES} nodes cut, {} containers, image present, {} runs; {}",
        options.containers,
        options.runs,
        load()
    );
    let (mut ours, mut peer) = (Way::default(), Way::default());
    for round in 0..options.runs {
        // The first node is Swarm's manager: it stays.
        let victim = 2 + round % (NODES - 1);
        berth(&mut site, &mut ours, options, round, victim).await?;
        swarms(&swarm, &mut peer, options, round, victim).await?;
    }
    let seen = print("Berth: cut → node.lost recorded", ours.seen);
    let replaced = print("Berth: cut → all replacements running", ours.replaced);
    print("Swarm mode: cut → node down", peer.seen);
    print("Swarm mode: cut → all tasks running elsewhere", peer.replaced);
    println!(
        "  worst: seen {:.0} ms (to reach: {TARGET_SEEN}), replaced {:.0} ms (to reach: {TARGET_REPLACED})",
        seen.quantile(1.0),
        replaced.quantile(1.0)
    );
    println!("  at the end: {}", load());
    Ok(())
}

fn print(what: &str, values: Vec<f64>) -> Millis {
    let values = Millis::new(values);
    println!("  {what:<46} {values}");
    values
}

async fn berth(site: &mut Site, way: &mut Way, options: &Options, round: usize, victim: usize) -> Result<()> {
    let name = format!("loss-{round}");
    let sent = site
        .client
        .deploy(&name, &compose(options.containers, false))
        .await?;
    for _ in 0..options.containers {
        site.log.until("allocation.running", PATIENCE, |_| ()).await?;
    }
    rest().await;
    let on_victim = containers(site, &format!("n{victim}"))?;
    ensure!(on_victim > 0, "nothing of {name} runs on node {victim}");
    let cut = moment::now();
    node(site, victim)?.cut_link()?;
    let lost = site.log.until("node.lost", PATIENCE, |_| ()).await?;
    way.seen.push(millis(cut, lost.event.recorded_at));
    let mut last = cut;
    for _ in 0..on_victim {
        let seen = site.log.until("allocation.running", PATIENCE, |_| ()).await?;
        last = last.max(seen.event.recorded_at);
    }
    way.replaced.push(millis(cut, last));
    node(site, victim)?.join_link()?;
    site.log.until("node.returned", PATIENCE, |_| ()).await?;
    site.remove(&sent.application).await
}

async fn swarms(swarm: &Swarm, way: &mut Way, options: &Options, round: usize, victim: usize) -> Result<()> {
    let name = format!("peer-{round}");
    swarm.create(&name, options.containers).await?;
    swarm.wait_running(&name, options.containers, 0).await?;
    rest().await;
    let before = swarm.running(&name).await?;
    ensure!(
        before.iter().any(|task| task.node == victim),
        "nothing of {name} runs on node {victim}"
    );
    let old: BTreeSet<&str> = before.iter().map(|task| task.container.as_str()).collect();
    let cable = swarm.lab.nodes().get(victim - 1).context("the victim")?;
    let cut = moment::now();
    cable.cut_link()?;
    way.seen.push(millis(cut, swarm.wait_node(victim, true).await?));
    let tasks = swarm.wait_running(&name, options.containers, victim).await?;
    let new = tasks.iter().filter(|task| !old.contains(task.container.as_str()));
    let last = new.map(|task| task.since).max().context("a replacement")?;
    way.replaced.push(millis(cut, last));
    cable.join_link()?;
    swarm.wait_node(victim, false).await?;
    swarm.remove(&name).await?;
    rest().await;
    Ok(())
}

fn node(site: &Site, number: usize) -> Result<&berth_lab::Node> {
    let node = number
        .checked_sub(1)
        .and_then(|index| site.platform.lab.nodes().get(index));
    node.context("a node of the lab")
}

fn containers(site: &Site, node: &str) -> Result<usize> {
    let shown = items(&site.platform.json(&["ps"])?);
    Ok(shown
        .iter()
        .filter(|container| container["node"] == node && container["state"] == "running")
        .count())
}
