//! Releases on real engines, with a client that requests all the time through the containers' own addresses.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Client, Form, IMAGE, Platform, engines_equal_desired, items, path, wait_for};
use std::{collections::BTreeMap, time::Duration};

/// How long the engines may take to become what should be.
const SETTLE: Duration = Duration::from_secs(60);
/// Containers of the service that must answer at any moment.
const REPLICAS: usize = 3;
/// Exit codes of the command line: something was refused as it is, something did not become ready.
const NOT_READY: i32 = 6;

/// `web` says its version to whoever asks.
fn web(version: &str) -> String {
    let serve = format!("mkdir -p /srv; echo {version} > /srv/index.html; exec httpd -f -p 80 -h /srv");
    service("web", &serve)
}

fn service(name: &str, command: &str) -> String {
    format!(
        "  {name}:
    image: {IMAGE}
    command: [sh, -c, \"{command}\"]
    stop_grace_period: 1s
    healthcheck: {{ test: [CMD, wget, -q, -O, /dev/null, \"http://127.0.0.1/\"], interval: 1s, retries: 2, start_period: 5s }}
    deploy:
      replicas: {REPLICAS}
      update_config: {{ order: start-first, parallelism: 1, failure_action: rollback }}
"
    )
}

fn file(services: &str) -> String {
    format!("services:\n{services}")
}

const CLIENT: Client = Client {
    application: "shop",
    least: REPLICAS,
};

/// Requests without a pause while something is done: none fails.
fn uninterrupted(platform: &Platform, deed: impl FnOnce() -> Result<()>) -> Result<()> {
    CLIENT.asks_during(platform, deed).map(|requests| {
        println!("{requests} requests, none failed");
    })
}

fn answers(platform: &Platform) -> Result<Vec<String>> {
    CLIENT.answers(platform)
}

fn states(platform: &Platform) -> Result<Vec<String>> {
    let releases = items(&platform.json(&["release", "ls", "shop"])?);
    let mut states: Vec<String> = releases
        .iter()
        .map(|release| release["state"].as_str().unwrap_or_default().to_owned())
        .collect();
    states.reverse();
    Ok(states)
}

fn runs(platform: &Platform, services: &[&str]) -> Result<()> {
    let wanted: BTreeMap<String, u32> = services.iter().map(|name| (format!("shop/{name}"), 3)).collect();
    wait_for("engines as they should be", SETTLE, || {
        engines_equal_desired(platform, &wanted).map(Some)
    })
}

#[test]
fn no_release_of_any_kind_breaks_what_runs() -> Result<()> {
    let mut platform = Platform::start(Form::One, 3)?;
    platform.deploy("shop", &file(&web("one")))?;
    a_rolling_release_keeps_its_promise(&platform).context("rolling")?;
    a_release_that_never_gets_well_is_taken_back(&platform).context("failing")?;
    a_release_is_rolled_back_by_order(&platform).context("rollback")?;
    a_paused_release_waits(&platform).context("pause")?;
    a_release_outlives_the_platform(&mut platform).context("kill -9")?;
    two_colours_stand_side_by_side(&platform).context("blue-green")
}

fn a_rolling_release_keeps_its_promise(platform: &Platform) -> Result<()> {
    uninterrupted(platform, || platform.deploy("shop", &file(&web("two"))))?;
    runs(platform, &["web"])?;
    ensure!(answers(platform)? == ["two"; REPLICAS]);
    ensure!(states(platform)? == ["running", "running"]);
    let shown = platform.json(&["release", "show", "shop", "2"])?;
    let difference = shown["difference"].as_str().unwrap_or_default();
    ensure!(
        difference.contains("+") && difference.contains("echo two"),
        "{difference}"
    );
    ensure!(
        shown["timeline"].as_array().is_some_and(|steps| steps.len() >= 2),
        "{shown}"
    );
    Ok(())
}

fn a_release_that_never_gets_well_is_taken_back(platform: &Platform) -> Result<()> {
    let bad = platform.file("bad.yml", &file(&service("web", "sleep 1; exit 3")))?;
    uninterrupted(platform, || {
        let refused = platform.try_berth(&[
            "deploy",
            &path(&bad),
            "--name",
            "shop",
            "--wait",
            "--timeout",
            "120s",
        ])?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(
            refused.status.code() == Some(NOT_READY),
            "{:?}: {said}",
            refused.status
        );
        ensure!(said.contains("failed") && said.contains("web"), "{said}");
        platform.berth(&["release", "watch", "shop", "--timeout", "60s"])?;
        Ok(())
    })?;
    runs(platform, &["web"])?;
    ensure!(answers(platform)? == ["two"; REPLICAS]);
    ensure!(states(platform)? == ["running", "running", "failed", "running"]);
    Ok(())
}

fn a_release_is_rolled_back_by_order(platform: &Platform) -> Result<()> {
    uninterrupted(platform, || {
        platform
            .berth(&["rollback", "shop", "--to", "1", "--wait", "--timeout", "90s"])
            .map(|_| ())
    })?;
    ensure!(answers(platform)? == ["one"; REPLICAS]);
    Ok(())
}

fn a_paused_release_waits(platform: &Platform) -> Result<()> {
    let next = platform.file("next.yml", &file(&web("three")))?;
    platform.berth(&["deploy", &path(&next), "--name", "shop"])?;
    platform.berth(&["release", "pause", "shop"])?;
    let shown = platform.json(&["app", "show", "shop"])?;
    ensure!(shown["status"] == "paused", "{}", shown["status"]);
    std::thread::sleep(Duration::from_secs(4));
    ensure!(
        answers(platform)?.contains(&"one".to_owned()),
        "a paused release replaced everything"
    );
    platform.berth(&["release", "resume", "shop"])?;
    platform.berth(&["release", "watch", "shop", "--timeout", "90s"])?;
    runs(platform, &["web"])?;
    ensure!(answers(platform)? == ["three"; REPLICAS]);
    Ok(())
}

fn a_release_outlives_the_platform(platform: &mut Platform) -> Result<()> {
    let next = platform.file("next.yml", &file(&web("four")))?;
    platform.berth(&["deploy", &path(&next), "--name", "shop"])?;
    std::thread::sleep(Duration::from_millis(1_500));
    platform.servers.get_mut("server").context("the server")?.kill();
    platform.servers.clear();
    platform.start_servers()?;
    platform.berth(&["release", "watch", "shop", "--timeout", "90s"])?;
    runs(platform, &["web"])?;
    ensure!(answers(platform)? == ["four"; REPLICAS]);
    Ok(())
}

fn green(platform: &Platform) -> Result<()> {
    let serve = "mkdir -p /srv; echo five > /srv/index.html; exec httpd -f -p 80 -h /srv";
    let green = platform.file("green.yml", &file(&service("web-2", serve)))?;
    let deploy = [
        "deploy",
        &path(&green),
        "--name",
        "shop",
        "--method",
        "blue-green",
        "--wait",
        "--timeout",
        "90s",
    ];
    platform.berth(&deploy)?;
    runs(platform, &["web", "web-2"])
}

fn weights(platform: &Platform, wanted: &serde_json::Value) -> Result<()> {
    let shown = platform.json(&["app", "show", "shop"])?;
    ensure!(shown["weights"] == *wanted, "{}", shown["weights"]);
    Ok(())
}

fn two_colours_stand_side_by_side(platform: &Platform) -> Result<()> {
    uninterrupted(platform, || green(platform))?;
    let shown = platform.json(&["app", "show", "shop"])?;
    ensure!(shown["status"] == "awaiting_confirmation", "{}", shown["status"]);
    weights(platform, &serde_json::json!({"web": 100, "web-2": 0}))?;
    let blue = platform.file("blue.yml", &file(&web("six")))?;
    let second = platform.try_berth(&["deploy", &path(&blue), "--name", "shop"])?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(
        !second.status.success() && said.contains("Conflicts with unconfirmed updates"),
        "{said}"
    );
    // Taken back with all the traffic on the new side: the old one has it all again.
    platform.berth(&["release", "weight", "shop", "web=0", "web-2=100"])?;
    let back = ["rollback", "shop", "--wait", "--timeout", "90s"];
    uninterrupted(platform, || platform.berth(&back).map(|_| ()))?;
    weights(platform, &serde_json::json!({"web": 100}))?;
    runs(platform, &["web"])?;
    ensure!(answers(platform)? == ["four"; REPLICAS]);
    // Once more, confirmed; and what was confirmed is taken back too.
    uninterrupted(platform, || {
        green(platform)?;
        platform.berth(&["release", "weight", "shop", "web=50", "web-2=50"])?;
        platform.berth(&["release", "confirm", "shop", "--wait", "--timeout", "90s"])?;
        runs(platform, &["web-2"])
    })?;
    ensure!(answers(platform)? == ["five"; REPLICAS]);
    uninterrupted(platform, || platform.berth(&back).map(|_| ()))?;
    runs(platform, &["web"])?;
    ensure!(answers(platform)? == ["four"; REPLICAS]);
    the_record_ties_it_together(platform)
}

/// The last release of the story, as `berth release show` prints it.
fn the_record_ties_it_together(platform: &Platform) -> Result<()> {
    let shown = platform.json(&["release", "show", "shop"])?;
    let containers = items(&shown["containers"]);
    let own = containers.iter().filter(|one| one["service"] == "web");
    ensure!(own.clone().count() == REPLICAS, "{containers:?}");
    ensure!(
        own.clone()
            .all(|one| one["ready_at"].is_string() && one["health"] == "healthy"),
        "{containers:?}"
    );
    ensure!(
        shown["weights"] == serde_json::json!({"web": 100}),
        "{}",
        shown["weights"]
    );
    let timeline = items(&shown["timeline"]);
    let told = |what: &str| {
        let mut steps = timeline.iter().filter_map(|step| step["what"].as_str());
        steps.any(|step| step.contains(what))
    };
    ensure!(
        told("brings release") && told("web.1 is healthy") && told("ended: running"),
        "{timeline:?}"
    );
    Ok(())
}
