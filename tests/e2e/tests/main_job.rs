//! The main job on three real engines: deploy, scale, update, drain, lose a node, remove.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, engines_equal_desired, items, on_engines, path, wait_for};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long the engines may take to become what should be.
const SETTLE: Duration = Duration::from_secs(60);
/// The product's promises.
const LOSS_SEEN: Duration = Duration::from_secs(2);
const REPLACED: Duration = Duration::from_secs(4);
/// What a busy machine of two cores may add to them; `bench/` measures the promise itself.
const SLACK: Duration = Duration::from_secs(6);

fn compose(greeting: &str) -> String {
    format!(
        "services:
  web:
    image: {IMAGE}
    environment: {{ GREETING: {greeting} }}
    deploy: {{ replicas: 3 }}
  worker:
    image: {IMAGE}
    command: [sh, -c, \"while true; do sleep 1; done\"]
    depends_on: [web]
"
    )
}

fn wanted(services: &[(&str, u32)]) -> BTreeMap<String, u32> {
    services
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

fn settle(platform: &Platform, services: &[(&str, u32)]) -> Result<()> {
    let wanted = wanted(services);
    wait_for("engines as they should be", SETTLE, || {
        engines_equal_desired(platform, &wanted).map(Some)
    })
}

fn allocations_of(platform: &Platform, service: &str) -> Result<Vec<String>> {
    let mut found: Vec<String> = on_engines(platform)?
        .into_iter()
        .filter(|container| container.slot.starts_with(service))
        .map(|container| container.allocation)
        .collect();
    found.sort();
    Ok(found)
}

#[test]
fn an_application_lives_through_its_whole_life_on_three_engines() -> Result<()> {
    let mut platform = Platform::start(Form::One, 3)?;
    deploys_and_spreads(&platform)?;
    scales_up_and_down(&platform)?;
    replaces_only_what_changed(&platform)?;
    drains_a_node(&platform)?;
    replaces_a_lost_node(&mut platform)?;
    stops_starts_and_removes(&platform)?;
    platform.servers.get_mut("server").context("the server")?.stop()
}

fn deploys_and_spreads(platform: &Platform) -> Result<()> {
    platform.deploy("shop", &compose("hello"))?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 1)])?;
    let nodes: std::collections::BTreeSet<usize> = on_engines(platform)?
        .iter()
        .filter(|container| container.slot.starts_with("shop/web"))
        .map(|container| container.node)
        .collect();
    ensure!(
        nodes.len() == 3,
        "three replicas are on nodes {nodes:?}, not on three"
    );
    let same = platform.json(&[
        "deploy",
        &path(&platform.folder().join("shop.yml")),
        "--name",
        "shop",
    ])?;
    ensure!(
        same["application_id"].is_string(),
        "a second deploy of the same file answered {same}"
    );
    settle(platform, &[("shop/web", 3), ("shop/worker", 1)])
}

fn scales_up_and_down(platform: &Platform) -> Result<()> {
    platform.berth(&["scale", "shop", "worker", "30"])?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 30)])?;
    platform.berth(&["scale", "shop", "worker", "3"])?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 3)])?;
    platform.berth(&["scale", "shop", "worker", "1"])?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 1)])
}

fn replaces_only_what_changed(platform: &Platform) -> Result<()> {
    let (web, worker) = (
        allocations_of(platform, "shop/web")?,
        allocations_of(platform, "shop/worker")?,
    );
    platform.deploy("shop", &compose("good-day"))?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 1)])?;
    ensure!(
        allocations_of(platform, "shop/worker")? == worker,
        "the worker was replaced although it is the same"
    );
    ensure!(
        allocations_of(platform, "shop/web")?
            .iter()
            .all(|id| !web.contains(id)),
        "a changed container was kept"
    );
    Ok(())
}

fn drains_a_node(platform: &Platform) -> Result<()> {
    platform.berth(&["node", "drain", "n2", "--deadline", "60s"])?;
    wait_for("empty n2", SETTLE, || {
        Ok(on_engines(platform)?
            .iter()
            .all(|container| container.node != 2)
            .then_some(()))
    })?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 1)])?;
    platform.berth(&["node", "uncordon", "n2"])?;
    Ok(())
}

fn node_status(platform: &Platform, name: &str) -> Result<String> {
    let nodes = items(&platform.json(&["node", "ls"])?);
    let node = nodes
        .iter()
        .find(|node| node["name"] == name)
        .context("the node is listed")?;
    Ok(node["status"].as_str().unwrap_or_default().to_owned())
}

fn replaces_a_lost_node(platform: &mut Platform) -> Result<()> {
    let victim = on_engines(platform)?
        .iter()
        .find(|container| container.slot.starts_with("shop/web"))
        .map(|container| container.node)
        .context("a web container")?;
    let name = format!("n{victim}");
    platform.lab.node(victim).context("the victim")?.cut_link()?;
    let cut = Instant::now();
    wait_for("node marked lost", LOSS_SEEN + SLACK, || {
        Ok((node_status(platform, &name)? == "lost").then_some(()))
    })?;
    println!("loss of a node seen after {:?}", cut.elapsed());
    wait_for("replacements running", REPLACED + SLACK, || {
        let shown = items(&platform.json(&["ps", "shop"])?);
        let alive = shown
            .iter()
            .filter(|container| container["node"] != name.as_str() && container["state"] == "running")
            .count();
        Ok((alive == 4).then_some(()))
    })?;
    println!("replacements run after {:?}", cut.elapsed());
    // The cut-off node's containers went on; now that it is back, the surplus goes.
    platform.lab.node(victim).context("the victim")?.join_link()?;
    wait_for("node back", Duration::from_secs(20), || {
        Ok((node_status(platform, &name)? == "ready").then_some(()))
    })?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 1)])
}

fn stops_starts_and_removes(platform: &Platform) -> Result<()> {
    platform.berth(&["stop", "shop"])?;
    wait_for("no container", SETTLE, || {
        Ok(on_engines(platform)?.is_empty().then_some(()))
    })?;
    platform.berth(&["start", "shop"])?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 1)])?;
    let before = allocations_of(platform, "shop/web")?;
    platform.berth(&["restart", "shop"])?;
    wait_for("restarted containers", SETTLE, || {
        let after = allocations_of(platform, "shop/web")?;
        Ok((after.len() == 3 && after.iter().all(|id| !before.contains(id))).then_some(()))
    })?;
    settle(platform, &[("shop/web", 3), ("shop/worker", 1)])?;
    platform.berth(&["rm", "shop"])?;
    settle(platform, &[])?;
    wait_for("application gone", SETTLE, || {
        Ok(items(&platform.json(&["apps"])?).is_empty().then_some(()))
    })?;
    for node in platform.lab.nodes() {
        let networks = node.docker(&["network", "ls", "-q", "--filter", "label=io.berth.application"])?;
        ensure!(
            networks.trim().is_empty(),
            "networks are left on node {}",
            node.number()
        );
    }
    Ok(())
}
