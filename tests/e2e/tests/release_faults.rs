//! Releases on real engines while something fails: an image that some nodes do not have, a zone that is cut off, a
//! scheduler that is killed, two operators at once. The service answers all the time.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Client, Form, IMAGE, Platform, engines_equal_desired, items, path, signal, wait_for};
use std::{collections::BTreeMap, time::Duration};

/// How long the engines may take to become what should be.
const SETTLE: Duration = Duration::from_secs(90);
/// Time between the start of a release and the fault: in the middle of it.
const INTO_RELEASE: Duration = Duration::from_millis(1_500);
/// How long the scheduler stays dead.
const DEAD: Duration = Duration::from_secs(2);
const REPLICAS: usize = 3;
/// An image of a registry that nobody reaches.
const PARTIAL: &str = "127.0.0.1:9/partial:1";
const ALL: Client = Client {
    application: "shop",
    least: REPLICAS,
};

fn file(image: &str, version: &str) -> String {
    format!(
        "services:
  web:
    image: {image}
    command: [sh, -c, \"mkdir -p /srv; echo {version} > /srv/index.html; exec httpd -f -p 80 -h /srv\"]
    stop_grace_period: 1s
    healthcheck: {{ test: [CMD, wget, -q, -O, /dev/null, \"http://127.0.0.1/\"], interval: 1s, retries: 2, start_period: 5s }}
    deploy:
      replicas: {REPLICAS}
      update_config: {{ order: start-first, parallelism: 1, failure_action: rollback }}
"
    )
}

/// Begins a release and does not wait for its end.
fn begin(platform: &Platform, image: &str, version: &str) -> Result<()> {
    let next = platform.file(&format!("{version}.yml"), &file(image, version))?;
    platform.berth(&["deploy", &path(&next), "--name", "shop"])?;
    std::thread::sleep(INTO_RELEASE);
    Ok(())
}

fn watch(platform: &Platform) -> Result<String> {
    platform.berth(&["release", "watch", "shop", "--timeout", "120s"])
}

/// Every slot runs once on the engines, as the platform says, and answers with this version.
fn runs(platform: &Platform, version: &str) -> Result<()> {
    let wanted = BTreeMap::from([("shop/web".to_owned(), 3)]);
    wait_for("engines as they should be", SETTLE, || {
        engines_equal_desired(platform, &wanted).map(Some)
    })?;
    let answers = ALL.answers(platform)?;
    ensure!(answers == [version; REPLICAS], "{answers:?}");
    Ok(())
}

#[test]
fn whatever_fails_on_the_way_a_release_ends_in_the_new_version_or_the_old_one() -> Result<()> {
    let mut platform = Platform::start(Form::Split, 3)?;
    platform.deploy("shop", &file(IMAGE, "one"))?;
    an_image_that_some_nodes_do_not_have(&mut platform).context("image")?;
    a_zone_is_cut_off(&platform).context("zone")?;
    the_scheduler_is_killed(&mut platform).context("scheduler")?;
    two_operators_at_once(&platform).context("operators")
}

fn an_image_that_some_nodes_do_not_have(platform: &mut Platform) -> Result<()> {
    platform.lab.node(1).context("a node")?.import_busybox(PARTIAL)?;
    let requests = ALL.asks_during(platform, || {
        begin(platform, PARTIAL, "partial")?;
        wait_for("its end", SETTLE, || {
            let releases = items(&platform.json(&["release", "ls", "shop"])?);
            let states: Vec<_> = releases
                .iter()
                .map(|release| release["state"].as_str().unwrap_or_default())
                .collect();
            Ok((states == ["running", "failed", "running"]).then_some(()))
        })
    })?;
    println!("{requests} requests while an image was missing on two nodes");
    let failed = platform.json(&["release", "show", "shop", "2"])?;
    let why = failed["failure"].as_str().unwrap_or_default();
    ensure!(why.contains("web") && why.contains("pulled"), "{why}");
    runs(platform, "one")
}

/// One node is one zone, a third of all.
fn a_zone_is_cut_off(platform: &Platform) -> Result<()> {
    let node = &platform.lab.nodes()[2];
    begin(platform, IMAGE, "two")?;
    node.cut_link()?;
    // What was there and cannot be reached any more is not asked for.
    let rest = Client { least: 1, ..ALL };
    let requests = rest.asks_during(platform, || watch(platform).map(|_| ()))?;
    println!("{requests} requests while a zone was cut off");
    let answers = ALL.answers(platform)?;
    ensure!(answers == ["two"; REPLICAS], "without the zone: {answers:?}");
    node.join_link()?;
    wait_for("the zone", SETTLE, || {
        let nodes = items(&platform.json(&["node", "ls"])?);
        Ok(nodes.iter().all(|node| node["status"] == "ready").then_some(()))
    })?;
    runs(platform, "two")
}

fn the_scheduler_is_killed(platform: &mut Platform) -> Result<()> {
    ALL.asks_during(platform, || {
        begin(platform, IMAGE, "three")?;
        let scheduler = platform.servers.get("scheduler").context("the scheduler")?;
        signal(scheduler.pid(), "KILL")?;
        std::thread::sleep(DEAD);
        Ok(())
    })?;
    // Reaps what is left of it.
    platform
        .servers
        .get_mut("scheduler")
        .context("the scheduler")?
        .kill();
    platform.start_server("scheduler", &["--only", "scheduler"])?;
    let requests = ALL.asks_during(platform, || watch(platform).map(|_| ()))?;
    println!("{requests} requests after the scheduler was killed");
    runs(platform, "three")
}

/// Orders of two people who do not know of each other: each is refused or obeyed, and one version is left.
fn two_operators_at_once(platform: &Platform) -> Result<()> {
    let deploy = |version: &str| {
        let next = platform.file(&format!("{version}.yml"), &file(IMAGE, version))?;
        platform.try_berth(&["deploy", &path(&next), "--name", "shop"])
    };
    let order = |words: &[&str]| platform.try_berth(&[words, &["shop"]].concat());
    ALL.asks_during(platform, || {
        std::thread::scope(|scope| {
            let one = scope.spawn(|| -> Result<()> {
                deploy("four")?;
                order(&["release", "pause"])?;
                order(&["rollback"])?;
                order(&["release", "resume"])?;
                Ok(())
            });
            let two = scope.spawn(|| -> Result<()> {
                deploy("five")?;
                order(&["release", "abort"])?;
                deploy("six")?;
                order(&["release", "pause"])?;
                Ok(())
            });
            one.join().map_err(|_| anyhow::anyhow!("one broke"))??;
            two.join().map_err(|_| anyhow::anyhow!("two broke"))?
        })?;
        // Whoever comes last looks after it.
        order(&["release", "resume"])?;
        watch(platform).map(|_| ())
    })?;
    let answers = ALL.answers(platform)?;
    let version = answers.first().context("an answer")?.clone();
    runs(platform, &version)
}
