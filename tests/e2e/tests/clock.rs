//! Clocks that jump: server and agents are an hour ahead, back, an hour behind, back. Postgres, NATS, engines
//! and the command line keep the right time. Nobody is taken for dead, and orders are carried out meanwhile.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, engines_equal_desired, items, wait_for};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// Fakes the wall clock of one process (package `faketime`).
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];
/// Longer than the silence after which a node is lost, and a second look at it.
const SETTLE: Duration = Duration::from_secs(6);
/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_hour_ahead_and_an_hour_behind_nothing_is_lost_and_nobody_is_dead() -> Result<()> {
    let library = LIBRARIES.iter().find(|path| Path::new(path).is_file());
    let library = library.context("install the package `faketime`")?;
    let folder = tempfile::tempdir()?;
    let clock: PathBuf = folder.path().join("clock");
    std::fs::write(&clock, "+0")?;
    let clock_text = clock.display().to_string();
    let platform = Platform::start_with(
        Form::One,
        2,
        &[
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", &clock_text),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    )?;
    platform.deploy("shop", &format!("services: {{ web: {{ image: {IMAGE} }} }}\n"))?;
    for (jump, replicas) in [("+3600", 3), ("+0", 2), ("-3600", 4), ("+0", 1)] {
        std::fs::write(&clock, jump)?;
        std::thread::sleep(SETTLE);
        let count = replicas.to_string();
        platform
            .berth(&["scale", "shop", "web", &count])
            .with_context(|| format!("scale with the clock at {jump}"))?;
        let wanted = BTreeMap::from([("shop/web".to_owned(), replicas)]);
        wait_for("engines as they should be", PATIENCE, || {
            engines_equal_desired(&platform, &wanted).map(Some)
        })
        .with_context(|| format!("the clock at {jump}"))?;
    }
    for event in ["node.lost", "allocation.lost", "allocation.failed"] {
        let found = items(&platform.json(&["events", "--type", event])?);
        ensure!(found.is_empty(), "a jump of the clock led to {found:?}");
    }
    let events = platform.json(&["events", "--type", "application.scaled"])?;
    let events = items(&events);
    let times: Vec<&str> = events.iter().filter_map(|event| event["time"].as_str()).collect();
    ensure!(times.len() == 4, "every order is in the log: {events:?}");
    // Otherwise no clock has jumped, and this test says nothing. The log's own time never goes back.
    let soon = std::process::Command::new("date")
        .args(["-u", "-d", "+30 minutes", "+%FT%T"])
        .output()?;
    let soon = String::from_utf8(soon.stdout)?;
    ensure!(
        times.iter().all(|time| *time > soon.trim()),
        "the log's clock has not jumped: {times:?} at {soon}"
    );
    Ok(())
}
