//! What the node and its containers use now, read from the kernel's files; the engine's own statistics are
//! costly and only asked when there are no files.

mod cgroup;

use crate::{
    engine::Engine,
    worker::{Running, wall_clock},
};
use berth_events::{ContainerUsage, UsageSample};
use berth_ids::{ClusterId, NodeId};
use cgroup::Groups;
pub(crate) use cgroup::Reading;
use procfs::{Current, CurrentSI};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

/// Time between two samples.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two words about how far images are that are fetched.
pub const PULL_INTERVAL: Duration = Duration::from_secs(1);
/// Ticks a second in which the kernel counts processor time for programs.
const TICKS_PER_SECOND: u64 = 100;

/// Takes samples; a rate needs two.
pub struct Sampler {
    engine: Engine,
    groups: BTreeMap<String, Groups>,
    /// When each container was read, and its processor time in nanoseconds.
    cpu: BTreeMap<String, (Instant, u64)>,
    node_cpu: Option<(Instant, u64)>,
}

impl Sampler {
    /// A sampler for the containers of an engine on this machine.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            groups: BTreeMap::new(),
            cpu: BTreeMap::new(),
            node_cpu: None,
        }
    }

    /// What the node and these containers use now.
    pub async fn sample(
        &mut self,
        node_id: NodeId,
        cluster_id: ClusterId,
        running: &[Running],
    ) -> UsageSample {
        let present: BTreeSet<&str> = running.iter().map(|c| c.container_id.as_str()).collect();
        self.groups.retain(|id, _| present.contains(id.as_str()));
        self.cpu.retain(|id, _| present.contains(id.as_str()));
        let mut containers = Vec::with_capacity(running.len());
        for container in running {
            containers.extend(self.container(container).await);
        }
        let (memory_bytes, memory_total_bytes) = node_memory();
        UsageSample {
            node_id,
            cluster_id,
            taken_at: wall_clock(),
            cpu_millis: self.node_cpu(),
            memory_bytes,
            memory_total_bytes,
            containers,
            pulls: self.engine.pulls(),
        }
    }

    async fn container(&mut self, running: &Running) -> Option<ContainerUsage> {
        let id = &running.container_id;
        let reading = match self.files(id).await {
            Some(reading) => reading,
            // The files are elsewhere or not for this user.
            None => self.engine.usage(id).await.ok().flatten()?,
        };
        let now = Instant::now();
        let before = self.cpu.insert(id.clone(), (now, reading.cpu_nanos));
        Some(ContainerUsage {
            allocation_id: running.allocation_id,
            application_id: running.application_id,
            name: running.name.clone(),
            cpu_millis: millis(before, now, reading.cpu_nanos),
            memory_bytes: reading.memory_bytes,
            memory_limit_bytes: reading.memory_limit_bytes,
            pids: reading.pids,
        })
    }

    /// What the kernel's files say of a container.
    async fn files(&mut self, id: &str) -> Option<Reading> {
        if !self.groups.contains_key(id) {
            let process = self.engine.process(id).await.ok().filter(|pid| *pid > 0)?;
            let groups = Groups::of_process(Path::new("/proc"), Path::new("/sys/fs/cgroup"), process)?;
            self.groups.insert(id.to_owned(), groups);
        }
        let reading = self.groups.get(id)?.read();
        if reading.is_none() {
            // It was restarted in another group: find it anew next time.
            self.groups.remove(id);
        }
        reading
    }

    fn node_cpu(&mut self) -> u64 {
        let Ok(stat) = procfs::KernelStats::current() else {
            return 0;
        };
        let total = stat.total;
        let ticks =
            total.user + total.nice + total.system + total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
        let nanos = ticks.saturating_mul(1_000_000_000 / TICKS_PER_SECOND);
        let now = Instant::now();
        millis(self.node_cpu.replace((now, nanos)), now, nanos)
    }
}

/// Thousandths of a core between two readings; 0 at the first.
fn millis(before: Option<(Instant, u64)>, now: Instant, nanos: u64) -> u64 {
    let Some((then, earlier)) = before else { return 0 };
    let wall = u64::try_from(now.duration_since(then).as_nanos())
        .unwrap_or(u64::MAX)
        .max(1);
    let used = u128::from(nanos.saturating_sub(earlier)) * 1_000 / u128::from(wall);
    u64::try_from(used).unwrap_or(u64::MAX)
}

/// Memory in use and all memory.
fn node_memory() -> (u64, u64) {
    procfs::Meminfo::current().map_or((0, 0), |memory| {
        let available = memory.mem_available.unwrap_or(memory.mem_free);
        (memory.mem_total.saturating_sub(available), memory.mem_total)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_readings() {
        let then = Instant::now();
        let now = then + Duration::from_secs(2);
        assert_eq!(millis(None, now, 5_000_000_000), 0);
        assert_eq!(millis(Some((then, 1_000_000_000)), now, 4_000_000_000), 1_500);
        // A restarted container counts from the beginning.
        assert_eq!(millis(Some((then, 4_000_000_000)), now, 0), 0);
    }
}
