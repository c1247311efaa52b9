//! `./dev test` and `./dev lint`: every check there is, one line of outcome each, nothing left behind.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::process::{capture, run, step};
use crate::{doctor, install, place};

/// Tests that start engines or whole platforms; left out by `--quick`.
const SLOW: &str = "package(berth-e2e) or binary(lab)";
/// Folders that tests make in the folder of temporary files begin like this.
const TEMPORARY: &str = "berth-";

/// A check: its name and how it went.
struct Outcome {
    name: &'static str,
    error: Option<String>,
}

fn check(outcomes: &mut Vec<Outcome>, name: &'static str, action: impl FnOnce() -> Result<()>) {
    step(name);
    let error = action().err().map(|error| format!("{error:#}"));
    outcomes.push(Outcome { name, error });
}

/// Format, clippy, cargo deny, tidy.
pub(crate) fn lint() -> Result<()> {
    let began = Instant::now();
    let mut outcomes = Vec::new();
    lints(&mut outcomes);
    check(&mut outcomes, "tidy", || {
        run(cargo().args(["test", "-q", "-p", "berth-tidy"]))
    });
    conclude(&outcomes, began)
}

/// Lints, then all tests.
pub(crate) fn test(quick: bool) -> Result<()> {
    let began = Instant::now();
    install::run_missing()?;
    let mut outcomes = Vec::new();
    lints(&mut outcomes);
    let before = leftovers()?;
    // Tests of whole platforms start the program itself.
    check(&mut outcomes, "build", || {
        run(cargo().args(["build", "-p", "berth"]))
    });
    check(&mut outcomes, if quick { "quick tests" } else { "tests" }, || {
        tests(quick)
    });
    check(&mut outcomes, "documentation", || {
        run(cargo()
            .env("RUSTDOCFLAGS", "-D warnings")
            .args(["doc", "-q", "--workspace", "--no-deps"]))
    });
    check(&mut outcomes, "nothing left behind", || {
        if berth_lab::is_root() {
            berth_lab::sweep()?;
        }
        let left: Vec<String> = leftovers()?
            .into_iter()
            .filter(|what| !before.contains(what))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            bail!("left by the tests: {}", left.join("; "))
        }
    });
    conclude(&outcomes, began)
}

fn lints(outcomes: &mut Vec<Outcome>) {
    check(outcomes, "format", || {
        run(cargo().args(["fmt", "--all", "--check"]))
    });
    check(outcomes, "clippy", || {
        run(cargo().args([
            "clippy",
            "-q",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
    if capture(cargo().args(["deny", "--version"])).is_ok() {
        check(outcomes, "licences and sources", || {
            run(cargo().args(["deny", "check", "licenses", "bans", "sources"]))
        });
    } else {
        println!("cargo-deny is not installed: licences and sources are not checked");
    }
}

/// What proptest draws its cases from.
const SEED: &str = "PROPTEST_RNG_SEED";
/// The same cases everywhere: a change passes or fails by itself, not by luck.
const THE_SEED: &str = "1";

fn tests(quick: bool) -> Result<()> {
    let berth = place::target().join("debug/berth");
    let with = |mut command: Command| {
        command
            .env("BERTH_BIN", &berth)
            .env("BERTH_BUNDLE", place::bundle());
        if std::env::var_os(SEED).is_none() {
            command.env(SEED, THE_SEED);
        }
        command
    };
    if capture(cargo().args(["nextest", "--version"])).is_ok() {
        let mut nextest = with(cargo());
        nextest.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
        if quick {
            nextest.args(["-E", &format!("not ({SLOW})")]);
        }
        run(&mut nextest)?;
        // nextest does not know the examples in the documentation.
        return run(with(cargo()).args(["test", "-q", "--workspace", "--doc"]));
    }
    let mut test = with(cargo());
    test.args(["test", "--workspace", "--no-fail-fast"]);
    if quick {
        // The runner of cargo knows no test binaries by pattern: the slow package is left out.
        test.args(["--exclude", "berth-e2e"]);
    }
    run(&mut test)
}

fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(place::repository());
    command
}

/// Folders and processes that tests may leave.
fn leftovers() -> Result<Vec<String>> {
    // The second is where servers of tests keep their data if it is large enough.
    let places = [std::env::temp_dir(), "/dev/shm".into()];
    let temporary = places
        .iter()
        .filter_map(|place| fs::read_dir(place).ok())
        .flatten()
        .flatten();
    let folders = temporary.filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMPORARY));
    let mut left: Vec<String> = folders
        .map(|entry| format!("folder {}", entry.path().display()))
        .collect();
    let target = place::target().canonicalize()?;
    let us = std::process::id().to_string();
    for process in fs::read_dir("/proc")?.flatten() {
        let Ok(program) = fs::read_link(process.path().join("exe")) else {
            continue;
        };
        let servers = ["nats-server", "postgres", "dockerd"]
            .iter()
            .any(|name| program.ends_with(name));
        if (program.starts_with(&target) || servers) && process.file_name().to_string_lossy() != us {
            left.push(format!(
                "process {} ({})",
                process.file_name().to_string_lossy(),
                program.display()
            ));
        }
    }
    Ok(left)
}

/// Prints a line a check and the last word.
fn conclude(outcomes: &[Outcome], began: Instant) -> Result<()> {
    println!();
    for outcome in outcomes {
        match &outcome.error {
            None => println!("ok      {}", outcome.name),
            Some(error) => println!("FAILED  {}: {error}", outcome.name),
        }
    }
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| outcome.error.is_some())
        .map(|outcome| outcome.name)
        .collect();
    let seconds = began.elapsed().as_secs();
    if failed.is_empty() {
        println!(
            "all {} checks passed in {seconds} s ({})",
            outcomes.len(),
            doctor::summary()
        );
        return Ok(());
    }
    println!("FAILED after {seconds} s: {}", failed.join(", "));
    std::process::exit(1);
}
