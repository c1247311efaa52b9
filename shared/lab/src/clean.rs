//! Removal of a lab by its names alone, in the reverse order of making; what is not there is no error.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, io_error};
use crate::names::Names;
use crate::network;
use crate::slot::Record;
use crate::system::{cgroup_folders, mounts_below, processes_in_cgroup, processes_in_namespace, run, runs};

/// Killed processes vanish within this, or they are reported.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
const KILL_POLL: Duration = Duration::from_millis(20);
/// A mount point may be busy for a moment after its processes were killed.
const UNMOUNT_ROUNDS: usize = 5;

/// Removes everything of a lab; an error names what could not be removed.
pub(crate) fn remove(names: &Names, record: &Record) -> Result<(), Error> {
    kill_all(|| lab_processes(*names, record));
    remove_cgroup(&names.cgroup());
    unmount(record);
    network::remove(*names, record.nodes);
    if record.root.exists() {
        fs::remove_dir_all(&record.root).map_err(io_error("remove the folder", &record.root))?;
    }
    let left = leftovers(*names, record);
    if left.is_empty() {
        Ok(())
    } else {
        Err(Error::Leftovers(left))
    }
}

/// Everything of a lab that is there.
pub(crate) fn leftovers(names: Names, record: &Record) -> Vec<String> {
    let mut left: Vec<String> = lab_processes(names, record)
        .iter()
        .map(|pid| format!("process {pid}"))
        .collect();
    left.extend(
        cgroup_folders(&names.cgroup())
            .iter()
            .map(|path| format!("control group {}", path.display())),
    );
    left.extend(
        mounts_below(&record.root)
            .iter()
            .map(|path| format!("mount {}", path.display())),
    );
    left.extend(network::leftovers(names, record.nodes));
    if record.root.exists() {
        left.push(format!("folder {}", record.root.display()));
    }
    left
}

/// Kills a node's engine, containers and every other process in it, as a power failure would.
pub(crate) fn kill_node(names: Names, node: usize) {
    kill_all(|| node_processes(names, node));
    remove_cgroup(&names.node_cgroup(node));
}

/// Kills everything in a control group and removes it.
pub(crate) fn remove_group(group: &str) {
    kill_all(|| {
        processes_in_cgroup(group)
            .into_iter()
            .filter(|pid| runs(*pid))
            .collect()
    });
    remove_cgroup(group);
}

fn lab_processes(names: Names, record: &Record) -> BTreeSet<i32> {
    (1..=record.nodes)
        .flat_map(|node| node_processes(names, node))
        .collect()
}

fn node_processes(names: Names, node: usize) -> BTreeSet<i32> {
    // Engine, shims and agents are in the node's namespace; containers, with namespaces of their own, in its group.
    let mut pids: BTreeSet<i32> = processes_in_namespace(&names.namespace(node))
        .into_iter()
        .collect();
    pids.extend(processes_in_cgroup(&names.node_cgroup(node)));
    pids.retain(|pid| runs(*pid));
    pids
}

/// Kills until nothing is found: what is killed may just have started something.
fn kill_all(find: impl Fn() -> BTreeSet<i32>) {
    let until = Instant::now() + KILL_PATIENCE;
    loop {
        let pids = find();
        if pids.is_empty() || Instant::now() >= until {
            return;
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(KILL_POLL);
    }
}

fn remove_cgroup(group: &str) {
    let until = Instant::now() + KILL_PATIENCE;
    loop {
        let folders = cgroup_folders(group);
        if folders.is_empty() || Instant::now() >= until {
            return;
        }
        for folder in folders.iter().rev() {
            // Busy for a moment while the kernel takes the last processes out.
            let _ = fs::remove_dir(folder);
        }
        std::thread::sleep(KILL_POLL);
    }
}

fn unmount(record: &Record) {
    for round in 1..=UNMOUNT_ROUNDS {
        let mounts = mounts_below(&record.root);
        if mounts.is_empty() {
            return;
        }
        for mount in mounts {
            let target = mount.to_string_lossy().into_owned();
            let lazily: &[&str] = if round == UNMOUNT_ROUNDS {
                &["-l", &target]
            } else {
                &[&target]
            };
            let _ = run("umount", lazily);
        }
    }
}
