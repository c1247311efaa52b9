//! Undoes `up`, in reverse, from what it noted; then looks whether anything is left.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::firewall;
use crate::process::{capture, step};
use crate::state::State;

const STOP_PATIENCE: Duration = Duration::from_secs(45);
/// The label of everything that an agent makes in an engine.
const CLUSTER_LABEL: &str = "io.berth.cluster";
/// The control group of the containers of an engine that `up` started.
pub(crate) const ENGINE_CGROUP: &str = "berth-dev";
/// The programs of a platform.
const SERVERS: [&str; 4] = ["berth", "nats-server", "postgres", "dockerd"];
const SAMPLE_IMAGES: &str = "berth-samples/*";

/// Undoes everything that is noted in a folder, and removes the folder.
pub(crate) fn run(data: &Path) -> Result<()> {
    let Some(state) = State::load(data)? else {
        println!("nothing is up in {}", data.display());
        return Ok(());
    };
    let engine = |name: &str| name == "the Docker Engine";
    // Agents first, so that they do not start again what is removed from their engines.
    for process in state
        .processes
        .iter()
        .rev()
        .filter(|process| !engine(&process.name))
    {
        step(&format!("stop {}", process.name));
        process.stop(STOP_PATIENCE)?;
    }
    for host in &state.engines {
        step("remove containers, networks, volumes and images");
        clean_engine(host, &scope(&state));
    }
    for process in state.processes.iter().filter(|process| engine(&process.name)) {
        step(&format!("stop {}", process.name));
        process.stop(STOP_PATIENCE)?;
    }
    if let Some(before) = &state.firewall {
        berth_lab::remove_group(ENGINE_CGROUP);
        firewall::clean(before);
    }
    if let Some(lab) = state.lab {
        step("remove the engines in namespaces");
        berth_lab::remove(lab)?;
    }
    step("look whether anything is left");
    let left = leftovers(&state, data);
    if !left.is_empty() {
        // The notes stay, so that `down` can be tried again.
        bail!("left over: {}", left.join("; "));
    }
    fs::remove_dir_all(data).with_context(|| format!("could not remove `{}`", data.display()))?;
    println!("everything is removed");
    Ok(())
}

/// The kinds of things an agent makes: how they are listed, how they are removed.
const KINDS: [(&[&str], &[&str]); 3] = [
    (&["ps", "-aq"], &["rm", "-f", "-v"]),
    (&["network", "ls", "-q"], &["network", "rm"]),
    (&["volume", "ls", "-q"], &["volume", "rm"]),
];

/// What is ours in an engine.
enum Scope {
    /// All: we started the engine.
    Everything,
    /// What carries the label of this cluster.
    Cluster(String),
    /// Only the images.
    Nothing,
}

fn scope(state: &State) -> Scope {
    match (&state.firewall, &state.cluster) {
        (Some(_), _) => Scope::Everything,
        (None, Some(cluster)) => Scope::Cluster(cluster.clone()),
        (None, None) => Scope::Nothing,
    }
}

/// Removes what is ours from an engine; `leftovers` tells what could not be removed.
fn clean_engine(host: &str, scope: &Scope) {
    for (list, remove) in KINDS {
        let found = ours(host, list, scope);
        if !found.is_empty() {
            let _ = capture(docker(host).args(remove).args(found));
        }
    }
    let images = sample_images(host);
    if !images.is_empty() {
        let _ = capture(docker(host).args(["rmi", "-f"]).args(images));
    }
}

fn leftovers(state: &State, data: &Path) -> Vec<String> {
    let running = state.processes.iter().filter(|process| process.runs());
    let mut left: Vec<String> = running.map(|process| process.name.clone()).collect();
    left.extend(users_of(data));
    left.extend(state.lab.map(berth_lab::leftovers).unwrap_or_default());
    left.extend(
        state
            .firewall
            .as_ref()
            .map(firewall::leftovers)
            .unwrap_or_default(),
    );
    for host in &state.engines {
        left.extend(
            sample_images(host)
                .into_iter()
                .map(|image| format!("image {image}")),
        );
        for (list, _) in KINDS {
            let what = list.first().copied().unwrap_or_default();
            left.extend(
                ours(host, list, &scope(state))
                    .into_iter()
                    .map(|id| format!("{what} {id}")),
            );
        }
    }
    left
}

/// Processes that name the folder: started by hand in place of one that died, say. They are not ours to end.
fn users_of(data: &Path) -> Vec<String> {
    let data = data.display().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_string_lossy().into_owned();
            let line = fs::read(process.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let program = line.split(' ').next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            (SERVERS.contains(&name) && line.contains(&data)).then(|| {
                format!("process {pid} ({program}), which `./dev up` did not start: end it, then try again")
            })
        })
        .collect()
}

fn ours(host: &str, list: &[&str], scope: &Scope) -> Vec<String> {
    let mut command = docker(host);
    command.args(list);
    match scope {
        Scope::Nothing => return Vec::new(),
        Scope::Cluster(cluster) => {
            command.args(["--filter", &format!("label={CLUSTER_LABEL}={cluster}")]);
        }
        // Not the networks that every engine has.
        Scope::Everything if list.contains(&"network") => {
            command.args(["--filter", "type=custom"]);
        }
        Scope::Everything => {}
    }
    lines(&mut command)
}

fn sample_images(host: &str) -> Vec<String> {
    lines(docker(host).args(["images", "-q", SAMPLE_IMAGES]))
}

/// An engine that is gone, ours, has nothing left in it.
fn lines(command: &mut Command) -> Vec<String> {
    capture(command)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn docker(host: &str) -> Command {
    let mut command = Command::new("docker");
    command.args(["-H", host]);
    command
}
