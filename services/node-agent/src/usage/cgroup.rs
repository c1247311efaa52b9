//! Control groups of one container, of version 1 and 2.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A limit above this is none: version 1 writes the largest page-aligned number instead.
const NO_LIMIT: u64 = 1 << 60;

/// Folders in which the kernel counts for one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Groups {
    /// One folder a controller.
    V1 {
        cpuacct: PathBuf,
        memory: PathBuf,
        pids: PathBuf,
    },
    /// One folder for all.
    V2(PathBuf),
}

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Processor time since its start.
    pub(crate) cpu_nanos: u64,
    /// Memory without the page cache that can be dropped.
    pub(crate) memory_bytes: u64,
    /// 0: none.
    pub(crate) memory_limit_bytes: u64,
    /// Processes.
    pub(crate) pids: u64,
}

impl Groups {
    /// The groups of a process: `proc` and `cgroup` are where those file systems are mounted.
    pub(super) fn of_process(proc: &Path, cgroup: &Path, process: i64) -> Option<Self> {
        let text = fs::read_to_string(proc.join(process.to_string()).join("cgroup")).ok()?;
        let path_of = |controller: &str| {
            text.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let (controllers, path) = (parts.next()?, parts.next()?);
                let fits = controllers.split(',').any(|name| name == controller);
                fits.then(|| path.trim_start_matches('/'))
            })
        };
        if let (Some(cpuacct), Some(memory), Some(pids)) =
            (path_of("cpuacct"), path_of("memory"), path_of("pids"))
        {
            return Some(Self::V1 {
                cpuacct: cgroup.join("cpuacct").join(cpuacct),
                memory: cgroup.join("memory").join(memory),
                pids: cgroup.join("pids").join(pids),
            });
        }
        Some(Self::V2(cgroup.join(path_of("")?)))
    }

    /// What it uses now; `None` if the folders are gone.
    pub(super) fn read(&self) -> Option<Reading> {
        match self {
            Self::V1 {
                cpuacct,
                memory,
                pids,
            } => Some(Reading {
                cpu_nanos: number(&cpuacct.join("cpuacct.usage"))?,
                memory_bytes: without_cache(memory, "memory.usage_in_bytes", "total_inactive_file")?,
                memory_limit_bytes: limit(&memory.join("memory.limit_in_bytes")),
                pids: number(&pids.join("pids.current")).unwrap_or(0),
            }),
            Self::V2(folder) => Some(Reading {
                cpu_nanos: field(&folder.join("cpu.stat"), "usage_usec")?.saturating_mul(1_000),
                memory_bytes: without_cache(folder, "memory.current", "inactive_file")?,
                memory_limit_bytes: limit(&folder.join("memory.max")),
                pids: number(&folder.join("pids.current")).unwrap_or(0),
            }),
        }
    }
}

/// As `docker stats` counts: without file pages that the kernel may drop at any time.
fn without_cache(folder: &Path, usage: &str, cache: &str) -> Option<u64> {
    let used = number(&folder.join(usage))?;
    Some(used.saturating_sub(field(&folder.join("memory.stat"), cache).unwrap_or(0)))
}

fn limit(path: &Path) -> u64 {
    number(path).filter(|limit| *limit < NO_LIMIT).unwrap_or(0)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn read(folder: &Path) -> Option<Reading> {
        Groups::of_process(&folder.join("proc"), &folder.join("cg"), 42)?.read()
    }

    #[test]
    fn version_1_is_read() {
        let folder = tree(&[
            (
                "proc/42/cgroup",
                "9:pids:/docker/c1\n5:cpu,cpuacct:/docker/c1\n3:memory:/docker/c1\n1:name=systemd:/x\n",
            ),
            ("cg/cpuacct/docker/c1/cpuacct.usage", "123456789\n"),
            ("cg/memory/docker/c1/memory.usage_in_bytes", "5000\n"),
            (
                "cg/memory/docker/c1/memory.stat",
                "cache 9\ntotal_inactive_file 1000\n",
            ),
            (
                "cg/memory/docker/c1/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("cg/pids/docker/c1/pids.current", "3\n"),
        ]);
        let wanted = Reading {
            cpu_nanos: 123_456_789,
            memory_bytes: 4_000,
            memory_limit_bytes: 0,
            pids: 3,
        };
        assert_eq!(read(folder.path()), Some(wanted));
    }

    #[test]
    fn version_2_is_read() {
        let folder = tree(&[
            ("proc/42/cgroup", "0::/system.slice/docker-c1.scope\n"),
            (
                "cg/system.slice/docker-c1.scope/cpu.stat",
                "usage_usec 77\nuser_usec 7\n",
            ),
            ("cg/system.slice/docker-c1.scope/memory.current", "5000\n"),
            (
                "cg/system.slice/docker-c1.scope/memory.stat",
                "anon 1\ninactive_file 500\n",
            ),
            ("cg/system.slice/docker-c1.scope/memory.max", "8192\n"),
            ("cg/system.slice/docker-c1.scope/pids.current", "2\n"),
        ]);
        let wanted = Reading {
            cpu_nanos: 77_000,
            memory_bytes: 4_500,
            memory_limit_bytes: 8_192,
            pids: 2,
        };
        assert_eq!(read(folder.path()), Some(wanted));
    }

    #[test]
    fn what_is_gone_is_not_zero() {
        let folder = tree(&[("proc/42/cgroup", "0::/gone\n")]);
        assert_eq!(read(folder.path()), None);
    }
}
