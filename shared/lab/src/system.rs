//! Commands, processes, control groups and mounts of the machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;

const CGROUP_ROOT: &str = "/sys/fs/cgroup";
const MOUNTS: &str = "/proc/self/mountinfo";
/// The column of the mount point in [`MOUNTS`].
const MOUNT_POINT: usize = 4;

/// Runs a command to its end; its standard output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    run_command(command)
}

pub(crate) fn run_command(mut command: Command) -> Result<String, Error> {
    let shown = shown(&command);
    let failed = |status: String, output: String| Error::Command {
        command: shown,
        status,
        output,
    };
    match command.output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
                .trim()
                .to_owned();
            Err(failed(output.status.to_string(), text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let program = command.get_program().to_string_lossy().into_owned();
            Err(Error::MissingProgram {
                package: package_of(&program),
                program,
            })
        }
        Err(error) => Err(failed("not started".into(), error.to_string())),
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn package_of(program: &str) -> &'static str {
    match program {
        "ip" | "bridge" => "iproute2",
        "iptables" => "iptables",
        "dockerd" | "docker" => "docker.io",
        "busybox" => "busybox-static",
        "tar" => "tar",
        _ => "util-linux",
    }
}

/// Pids of all processes whose network namespace is `name`, as long as it has that name.
pub(crate) fn processes_in_namespace(name: &str) -> Vec<i32> {
    // Fails when there is no such namespace, and then there are no processes.
    let pids = run("ip", &["netns", "pids", name]).unwrap_or_default();
    pids.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The folders of a control group in every hierarchy, the deepest last.
pub(crate) fn cgroup_folders(group: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(CGROUP_ROOT) else {
        return Vec::new();
    };
    let mut tops: Vec<PathBuf> = entries.flatten().map(|entry| entry.path().join(group)).collect();
    tops.push(Path::new(CGROUP_ROOT).join(group));
    // On version 1 some hierarchies are links to others: each folder once.
    let mut tops: Vec<PathBuf> = tops.iter().filter_map(|path| path.canonicalize().ok()).collect();
    tops.sort();
    tops.dedup();
    tops.into_iter().flat_map(|top| folders_below(&top)).collect()
}

fn folders_below(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_path_buf()];
    let mut next = 0;
    while let Some(folder) = found.get(next) {
        let inner = fs::read_dir(folder)
            .map(|entries| entries.flatten().collect::<Vec<_>>())
            .unwrap_or_default();
        let folders = inner
            .iter()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(folders.map(fs::DirEntry::path).collect::<Vec<_>>());
        next += 1;
    }
    found
}

/// Pids of all processes in a control group and below.
pub(crate) fn processes_in_cgroup(group: &str) -> Vec<i32> {
    let files = cgroup_folders(group)
        .into_iter()
        .map(|folder| folder.join("cgroup.procs"));
    let text: String = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Mount points below a folder, the innermost first.
pub(crate) fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(MOUNTS).unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(MOUNT_POINT));
    let mut points: Vec<PathBuf> = points
        .map(PathBuf::from)
        .filter(|point| point.starts_with(folder))
        .collect();
    points.reverse();
    points
}

/// The last lines of a file.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n")
}

/// Whether a process runs; one that only waits to be reaped does not.
pub(crate) fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_shown_with_its_output() {
        let error = run("sh", &["-c", "echo oh no; exit 3"]).unwrap_err().to_string();
        assert!(
            error.contains("sh -c echo oh no") && error.contains("exit status: 3"),
            "{error}"
        );
        let error = run("no-such-program", &[]).unwrap_err().to_string();
        assert!(error.contains("`no-such-program` is not installed"), "{error}");
    }

    #[test]
    fn the_tail_is_the_end() {
        let folder = std::env::temp_dir().join(format!("berth-lab-tail-{}", std::process::id()));
        fs::write(&folder, "1\n2\n3\n").unwrap();
        assert_eq!(tail(&folder, 2), "2\n3");
        assert_eq!(tail(&folder, 9), "1\n2\n3");
        fs::remove_file(&folder).unwrap();
    }
}
