//! Each rule of the house, as one test that names every breach.

use anyhow::Result;
use berth_tidy::{packages, root, tracked};
use std::{path::Path, process::Command};

/// The most lines of a source file.
const MAX_FILE_LINES: usize = 400;
/// The most lines of a file of tests: many small cases under one roof.
const MAX_TEST_FILE_LINES: usize = 800;

/// What a core may not touch: input, output, clocks, randomness, runtimes, logs.
const BANNED_IN_CORES: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "new_v4",
    "now_v7",
    "rand::",
    "tokio::",
    "async fn",
    "async move",
    "tracing::",
    "println!",
    "eprintln!",
];

/// What only these packages may link.
const RESERVED: &[(&str, &[&str])] = &[
    ("bollard", &["berth-node-agent", "berth-bench"]),
    (
        "async-nats",
        &[
            "berth-bus",
            "berth-ledger-svc",
            "berth-node-agent",
            "berth-testkit",
            "berth-bench",
            "berth-e2e",
        ],
    ),
    ("axum", &["berth-gateway", "berth-service-kit"]),
];

fn is_core(name: &str) -> bool {
    name.starts_with("berth-") && name.ends_with("-core")
}

fn is_shell(name: &str) -> bool {
    name.ends_with("-svc") || name == "berth-gateway" || name == "berth-node-agent"
}

fn core_of(shell: &str) -> String {
    match shell {
        "berth-gateway" => "berth-gateway-core".into(),
        "berth-node-agent" => "berth-agent-core".into(),
        other => other.replace("-svc", "-core"),
    }
}

fn none(breaches: Vec<String>) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn cores_know_no_other_core_and_no_shell() -> Result<()> {
    let allowed = ["berth-ids", "berth-events", "berth-eventsourcing"];
    let mut breaches = Vec::new();
    for package in packages()?.iter().filter(|package| is_core(&package.name)) {
        for dependency in package
            .dependencies
            .iter()
            .filter(|name| name.starts_with("berth-"))
        {
            // The gateway's core builds the API's answers; `berth-api` holds shapes only.
            let shapes = package.name == "berth-gateway-core" && dependency == "berth-api";
            if !allowed.contains(&dependency.as_str()) && !shapes {
                breaches.push(format!("core `{}` depends on `{dependency}`", package.name));
            }
        }
        for banned in [
            "tokio",
            "sqlx",
            "async-nats",
            "rand",
            "tracing",
            "axum",
            "bollard",
            "chrono",
        ] {
            if package.dependencies.iter().any(|name| name == banned) {
                breaches.push(format!("core `{}` depends on `{banned}`", package.name));
            }
        }
    }
    none(breaches);
    Ok(())
}

#[test]
fn shells_know_their_own_core_and_no_other_shell() -> Result<()> {
    let mut breaches = Vec::new();
    for package in packages()?.iter().filter(|package| is_shell(&package.name)) {
        for dependency in &package.dependencies {
            let foreign_core = is_core(dependency) && *dependency != core_of(&package.name);
            if foreign_core || is_shell(dependency) {
                breaches.push(format!("shell `{}` depends on `{dependency}`", package.name));
            }
        }
    }
    none(breaches);
    Ok(())
}

#[test]
fn the_shared_crates_point_one_way() -> Result<()> {
    let order = [
        "berth-ids",
        "berth-events",
        "berth-eventsourcing",
        "berth-bus",
        "berth-service-kit",
    ];
    let mut breaches = Vec::new();
    for package in packages()? {
        let Some(place) = order.iter().position(|name| *name == package.name) else {
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|name| name.starts_with("berth-"))
        {
            if !order[..place].contains(&dependency.as_str()) {
                breaches.push(format!("`{}` depends on `{dependency}`", package.name));
            }
        }
    }
    none(breaches);
    Ok(())
}

#[test]
fn reserved_libraries_are_linked_by_their_owners_only() -> Result<()> {
    let mut breaches = Vec::new();
    for package in packages()? {
        for (library, owners) in RESERVED {
            let links = package.dependencies.iter().any(|name| name == library);
            if links && !owners.contains(&package.name.as_str()) {
                breaches.push(format!(
                    "`{}` links `{library}`; only {owners:?} may",
                    package.name
                ));
            }
        }
    }
    none(breaches);
    Ok(())
}

#[test]
fn cores_touch_nothing_outside() -> Result<()> {
    let mut breaches = Vec::new();
    for path in tracked(".rs")?
        .iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "core"))
    {
        if !path.components().any(|part| part.as_os_str() == "src") {
            continue;
        }
        let text = std::fs::read_to_string(root().join(path))?;
        // Tests at the end of a file may do what they like.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for banned in BANNED_IN_CORES.iter().filter(|banned| line.contains(**banned)) {
                breaches.push(format!("{}:{}: `{banned}` in a core", path.display(), number + 1));
            }
        }
    }
    none(breaches);
    Ok(())
}

#[test]
fn every_source_file_says_what_it_is_for() -> Result<()> {
    let mut breaches = Vec::new();
    for path in tracked(".rs")? {
        let text = std::fs::read_to_string(root().join(&path))?;
        if !text.starts_with("//!") {
            breaches.push(format!("{} does not begin with `//!`", path.display()));
        }
    }
    none(breaches);
    Ok(())
}

#[test]
fn no_source_file_is_too_long() -> Result<()> {
    let mut breaches = Vec::new();
    for path in tracked(".rs")? {
        let lines = std::fs::read_to_string(root().join(&path))?.lines().count();
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        let limit = if is_test {
            MAX_TEST_FILE_LINES
        } else {
            MAX_FILE_LINES
        };
        if lines > limit {
            breaches.push(format!(
                "{} has {lines} lines, more than {limit}: split it",
                path.display()
            ));
        }
    }
    none(breaches);
    Ok(())
}

#[test]
fn golden_files_of_events_are_never_changed() -> Result<()> {
    let output = Command::new("git")
        .args([
            "log",
            "--diff-filter=MD",
            "--name-only",
            "--format=",
            "--",
            "shared/events/golden",
        ])
        .current_dir(root())
        .output()?;
    let changed: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    none(
        changed
            .into_iter()
            .map(|path| format!("{path} was changed or removed: add a version instead"))
            .collect(),
    );
    Ok(())
}

#[test]
fn nothing_names_a_machine_or_a_registry_host() -> Result<()> {
    let mut breaches = Vec::new();
    for ending in [".rs", ".md", ".toml", ".yml", ".yaml", ".sh", "dev", "run"] {
        for path in tracked(ending)? {
            if path.starts_with("tests/tidy") || path == Path::new("Cargo.lock") {
                continue;
            }
            let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
            for word in ["/work/main", "/work/shared", "/work/target", "/work/logs"] {
                if text.contains(word) {
                    breaches.push(format!("{} names `{word}`", path.display()));
                }
            }
        }
    }
    none(breaches);
    Ok(())
}
